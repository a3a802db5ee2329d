"""Batch normalisation: its statistics, their gradients, degenerate batches, and what it refuses."""

import numpy as np
import pytest

import minigrad as mg
from tests.gradients import check_derivatives, gradients_of

rng = np.random.default_rng(29)
X, GAMMA, BETA = 3 + 2 * rng.standard_normal((6, 4)), rng.uniform(0.5, 2, 4), rng.standard_normal(4)
ARGS = [X, GAMMA, BETA]


def test_columns_are_normalised():
    out = mg.batchnorm(X, np.ones(4), np.zeros(4))
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=0), 1, rtol=1e-4)


def test_statistics_come_with_it():
    _, mean, var = mg.batchnorm.all_outputs(*ARGS)
    np.testing.assert_allclose(mean, X.mean(axis=0))
    np.testing.assert_allclose(var, X.var(axis=0))


@pytest.mark.parametrize("outputs", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_gradients_through_any_of_the_outputs(outputs):
    def chosen(*args):
        all_of_them = mg.batchnorm.all_outputs(*args)
        return tuple(all_of_them[i] for i in outputs)

    check_derivatives(chosen, ARGS, orders=3)
    for wrt in [(0,), (1,), (2,), (1, 2)]:
        check_derivatives(chosen, ARGS, wrt=wrt)


@pytest.mark.parametrize("eps", [0.0, 1e-8, 1e-5, 1.0])
def test_every_eps(eps):
    check_derivatives(lambda *args: mg.batchnorm(*args, eps=eps), ARGS)


def test_fourth_order():
    check_derivatives(mg.batchnorm, ARGS, orders=4)


@pytest.mark.parametrize("x", [np.ones((1, 4)), np.ones((5, 4)), np.zeros((5, 4))], ids=["one sample", "ones", "zeros"])
def test_batches_without_spread_are_finite(x):
    out, gradients = gradients_of(mg.batchnorm, [x, GAMMA, BETA])
    np.testing.assert_allclose(out, np.broadcast_to(BETA, x.shape))
    assert all(np.isfinite(g).all() for g in gradients)
    check_derivatives(lambda *args: mg.batchnorm(*args, eps=0.1), [x, GAMMA, BETA])


def test_no_features():
    out, gradients = gradients_of(mg.batchnorm, [np.zeros((3, 0)), np.zeros(0), np.zeros(0)])
    assert out.shape == (3, 0) and [g.shape for g in gradients] == [(3, 0), (0,), (0,)]


@pytest.mark.parametrize("dtypes", ["f4 f8 f8", "f8 f4 f4", "f4 f4 f8", "f2 f4 f4"])
def test_dtypes_promote_as_in_the_formula(dtypes):
    x, gamma, beta = args = [a.astype(dtype) for a, dtype in zip(ARGS, dtypes.split())]
    out, gradients = gradients_of(mg.batchnorm, args)
    formula = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * gamma + beta
    assert out.dtype == formula.dtype
    assert [g.dtype for g in gradients] == [a.dtype for a in args]


def test_float32_with_a_large_mean_keeps_its_digits():
    """The variance is that of what is left after subtracting the mean, so a large mean does not cancel it."""
    x = (1e4 + rng.standard_normal((64, 3))).astype(np.float32)
    found = mg.batchnorm(x, np.ones(3, np.float32), np.zeros(3, np.float32))
    wanted = mg.batchnorm(x.astype(float), np.ones(3), np.zeros(3))
    np.testing.assert_allclose(found, wanted, atol=5e-3)


def test_what_needs_no_gradient_gets_none():
    tape = mg.Tape(full=False)
    out = mg.batchnorm(X, GAMMA, tape.watch(BETA))
    assert tape.nodes[out.index].plan.wants == ("beta",)


@pytest.mark.parametrize(
    "x, gamma, beta",
    [((6, 4), (3,), (4,)), ((6, 4), (4,), ()), ((6, 4, 1), (4,), (4,)), ((0, 4), (4,), (4,)), ((4,), (4,), (4,))],
    ids=str,
)
def test_shapes_that_do_not_fit(x, gamma, beta):
    with pytest.raises(mg.ShapeError, match=r"batchnorm: x \("):
        mg.batchnorm(np.ones(x), np.ones(gamma), np.ones(beta))


def test_an_unknown_parameter_is_named():
    with pytest.raises(TypeError, match='"eps"'):
        mg.batchnorm(*ARGS, ep=1e-3)
