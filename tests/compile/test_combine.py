"""Batch normalisation and the rectifier after it become one step, and the bits stay."""

import copy

import numpy as np
import pytest

import minigrad as mg
from minigrad.compile.combine import combine

rng = np.random.default_rng(0)


@pytest.fixture(params=["numpy", "numba"])
def kernels(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="Numba is not installed")
    with mg.kernels.using(request.param):
        yield request.param


def images(dtype):
    nn = mg.nn
    layers = (
        nn.Conv2d(8, 3),
        nn.BatchNorm(),
        mg.relu,
        nn.Conv2d(4, 3, padding=1),
        nn.BatchNorm(),
        mg.relu,
        nn.MaxPool2d(2),
    )
    X = rng.standard_normal((6, 3, 8, 8)).astype(dtype)
    return nn.Sequential(*layers, nn.Flatten(), nn.Affine(3)).build(X, seed=0), X


def samples(dtype):
    nn = mg.nn
    layers = nn.Affine(7, bias=False), nn.BatchNorm(), mg.relu, nn.Affine(5, bias=False), nn.BatchNorm(), mg.relu
    X = rng.standard_normal((20, 6)).astype(dtype)
    return nn.Sequential(*layers, nn.Affine(3)).build(X, seed=0), X


@pytest.mark.filterwarnings("ignore::minigrad.MinigradWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("make", [images, samples])
def test_models_with_rectified_batchnorm(make, dtype, kernels):
    eager, X = make(dtype)
    compiled = mg.compile(copy.deepcopy(eager))
    y = rng.integers(0, 3, len(X))
    for _ in range(3):
        (expected, grads), (found, others) = eager.loss(X, y), compiled.loss(X, y)
        tolerance = {"rtol": 0, "atol": 0} if kernels == "numpy" else {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(found, expected, **tolerance)
        for name, g in grads.items():
            np.testing.assert_allclose(others[name], g, **tolerance)
        for name, value in eager.state.items():
            np.testing.assert_allclose(compiled.state[name], value, **tolerance)
    ops = combined_ops(compiled._step)
    assert ops.count("rectified_batchnorm") == ops.count("rectified_batchnorm_backward") == 2
    assert "greater" not in ops


def combined_ops(function):
    """Return the ops of a compiled function's program."""
    return [step.op.name for step in combine(function.programs[0].captured).steps]


def batchnorm(x, gamma, beta):
    return mg.batchnorm(x, gamma, beta)


@pytest.mark.parametrize(
    "use, combined",
    [
        (lambda out: mg.relu(out), (True, True)),
        (lambda out: np.maximum(out, 0), (False, False)),  # at a tie its rule shares, for which it reads the sum
        (lambda out: mg.relu(out) + out, (False, False)),  # somebody else reads it
        (lambda out: mg.relu(out) * np.sum(mg.relu(out) > 0), (True, False)),  # so is the mask
        (lambda out: np.maximum(out, 0.5), (False, False)),
    ],
    ids=["relu", "maximum", "also read", "other mask", "not zero"],
)
def test_what_is_combined(use, combined, kernels):
    def f(x, gamma, beta):
        return np.sum(np.sin(use(batchnorm(x, gamma, beta))))

    step = mg.compile(mg.value_and_grad(f, argnums=(0, 1, 2)))
    arguments = rng.standard_normal((10, 4)), rng.standard_normal(4), rng.standard_normal(4)
    for _ in range(2):
        found, expected = step(*arguments), mg.value_and_grad(f, argnums=(0, 1, 2))(*arguments)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
        for one, two in zip(found[1], expected[1]):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)
    ops = combined_ops(step)
    assert ("rectified_batchnorm" in ops, "rectified_batchnorm_backward" in ops) == combined


def test_a_rectified_result_that_is_asked_for(kernels):
    step = mg.compile(lambda x, gamma, beta: (batchnorm(x, gamma, beta), mg.relu(batchnorm(x, gamma, beta))))
    x, one, zero = rng.standard_normal((10, 4)), np.ones(4), np.zeros(4)
    plain, rectified = step(x, one, zero)
    np.testing.assert_allclose(plain, mg.batchnorm(x, one, zero), rtol=1e-12)
    np.testing.assert_array_equal(rectified, np.maximum(plain, 0))
