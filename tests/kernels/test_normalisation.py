"""The kernels of normalisation: in parts as at once, with large means, narrow dtypes, empty arrays."""

import numpy as np
import pytest

from minigrad.kernels import normalisation as kernels
from minigrad.kernels import using


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def choice(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the compiled kernels need it")
    with using(request.param):
        yield request.param


rng = np.random.default_rng(41)
BATCHES = [(40, 6, 1), (7, 6, 5), (3, 2, 100), (2, 5, 1), (1, 3, 2)]
GROUPS = [(40, 1, 6, 1), (7, 2, 3, 5), (3, 4, 1, 9), (1, 1, 4, 100), (5, 3, 2, 1)]


def both_ways(forward, backward, x, gamma, beta, g, eps=1e-5):
    wants = ("x", "gamma") if beta is None else ("x", "gamma", "beta")
    out, mean, var = forward(x, gamma, beta, eps=eps)
    return [a for a in (out, mean, var, *backward(g, x, gamma, mean, var, eps=eps, wants=wants)) if a is not None]


def batch_case(shape):
    return kernels.batch_forward, kernels.batch_backward, *arrays(shape, shape[1:2])


def group_case(shape, centring=True):
    x, gamma, beta, g = arrays(shape, shape[1:3])
    return kernels.group_forward, kernels.group_backward, x, gamma, beta if centring else None, g


def arrays(shape, channels):
    x, g = rng.standard_normal((2, *shape))
    return 3 + x, rng.uniform(0.5, 2, channels), rng.standard_normal(channels), g


CASES = [
    *[pytest.param(batch_case(shape), id=f"batch {shape}") for shape in BATCHES],
    *[pytest.param(group_case(shape), id=f"group {shape}") for shape in GROUPS],
    *[pytest.param(group_case(shape, centring=False), id=f"root mean square {shape}") for shape in GROUPS],
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("chunk", [1, 200, 1000])
def test_parts_add_up(monkeypatch, case, chunk):
    whole = both_ways(*case)
    monkeypatch.setattr(kernels, "CHUNK", chunk)
    for a, b in zip(both_ways(*case), whole, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("wants", [("x",), ("gamma",), ("beta",), ("x", "beta"), ("gamma", "beta")], ids=str)
def test_what_is_wanted_alone(case, wants):
    forward, backward, x, gamma, beta, g = case
    if beta is None and "beta" in wants:
        return
    _, mean, var = forward(x, gamma, beta, eps=0.1)
    full = ("x", "gamma", "beta") if beta is not None else ("x", "gamma")
    everything = dict(zip(full, backward(g, x, gamma, mean, var, eps=0.1, wants=full)))
    alone = backward(g, x, gamma, mean, var, eps=0.1, wants=wants)
    for name, found in zip(wants, alone, strict=True):
        np.testing.assert_array_equal(found, everything[name])


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_came_is_changed(case):
    given = [a for a in case[2:] if a is not None]
    before = [a.copy() for a in given]
    both_ways(*case)
    for a, b in zip(given, before):
        np.testing.assert_array_equal(a, b)


def test_a_large_mean_keeps_its_digits():
    """Next to a mean of 10,000 float32 has steps of 0.001: what is left are the digits that the numbers had."""
    x = (1e4 + rng.standard_normal((20_000, 2, 1))).astype(np.float32)
    ones, zeros = np.ones(2, np.float32), np.zeros(2, np.float32)
    out, mean, var = kernels.batch_forward(x, ones, zeros, eps=1e-5)
    exact = x.astype(float)
    np.testing.assert_allclose(mean, exact.mean((0, 2)), rtol=1e-7)
    np.testing.assert_allclose(var, exact.var((0, 2)), rtol=1e-4)
    normal = (exact - exact.mean((0, 2))[:, None]) / np.sqrt(exact.var((0, 2)) + 1e-5)[:, None]
    np.testing.assert_allclose(out, normal, atol=1e-4)
    rows = np.swapaxes(x, 0, 2).reshape(2, 1, 200, 100).astype(np.float32)
    out, _, var = kernels.group_forward(rows, np.ones((1, 200), np.float32), np.zeros((1, 200), np.float32), eps=1e-5)
    np.testing.assert_allclose(var, exact.var((0, 2))[:, None], rtol=1e-3)
    np.testing.assert_allclose(out.reshape(2, -1), normal[..., 0].T, atol=5e-3)


def test_half_precision_is_computed_in_single():
    """The sum of 64 squares of 75 is more than float16 holds."""
    x = (75 * np.sign(rng.standard_normal((64, 3, 1)))).astype(np.float16)
    out, _, _ = kernels.batch_forward(x, np.ones(3, np.float16), np.zeros(3, np.float16), eps=1e-5)
    rows = np.moveaxis(x, 0, 2)[None]
    normal, _, _ = kernels.group_forward(rows, np.ones((3, 1), np.float16), np.zeros((3, 1), np.float16), eps=1e-5)
    for found, axis in ((out, 0), (normal, 3)):
        assert found.dtype == np.float16
        np.testing.assert_allclose(found.astype(float).std(axis), 1, rtol=1e-3)


@pytest.mark.parametrize("shape", [(3, 0, 1), (3, 0, 4)])
def test_no_channels(shape):
    out, mean, var = kernels.batch_forward(np.zeros(shape), np.zeros(0), np.zeros(0), eps=1e-5)
    assert out.shape == shape and mean.shape == var.shape == (0,)
    found = kernels.batch_backward(out, out, mean, mean, var, eps=1e-5, wants=("x", "gamma", "beta"))
    assert [d.shape for d in found] == [shape, (0,), (0,)]


def test_no_samples():
    x = np.zeros((0, 2, 3, 4))
    out, mean, var = kernels.group_forward(x, np.ones((2, 3)), np.ones((2, 3)), eps=1e-5)
    assert out.shape == x.shape and mean.shape == var.shape == (0, 2)
    found = kernels.group_backward(x, x, np.ones((2, 3)), mean, var, eps=1e-5, wants=("x", "gamma", "beta"))
    assert [d.shape for d in found] == [x.shape, (2, 3), (2, 3)] and not found[1].any() and not found[2].any()


# --- against the formulas in float64 ---------------------------------------------------------------------------------


def normalised(x, axes, eps, mean=None):
    mean = x.mean(axes, keepdims=True) if mean is None else mean
    var = np.square(x - mean).mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps), mean.squeeze(), var.squeeze(), np.sqrt(var + eps)


def way_back(g, normal, gamma, deviation, axes, centring=True):
    """The cotangent of x, as in the module's docstring."""
    slope = g * gamma
    d_x = slope - normal * (slope * normal).mean(axes, keepdims=True)
    return (d_x - (slope.mean(axes, keepdims=True) if centring else 0)) / deviation


SHAPES = [(2, 1, 1), (65, 513, 1), (128, 3, 1), (200, 40, 7), (64, 2, 31), (5, 3, 33), (40, 20, 60), (2, 3, 5000)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_over_the_batch(shape, dtype):
    x, gamma, beta, g = (a.astype(dtype) for a in arrays(shape, shape[1]))
    normal, mean, var, deviation = normalised(x.astype(float), (0, 2), 1e-3)
    scale, wide = gamma.astype(float)[:, None], g.astype(float)
    expected = {
        "out": normal * scale + beta.astype(float)[:, None], "mean": mean, "var": var,
        "x": way_back(wide, normal, scale, deviation, (0, 2)),
        "gamma": (wide * normal).sum((0, 2)), "beta": wide.sum((0, 2)),
    }  # fmt: skip
    found = both_ways(kernels.batch_forward, kernels.batch_backward, x, gamma, beta, g, eps=1e-3)
    check(found, expected, dtype)


@pytest.mark.parametrize("shape", [(2, 1, 2, 1), (100, 1, 65, 1), (70, 3, 2, 5), (33, 2, 3, 64), (3, 1, 40, 70)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("centring", [True, False])
def test_over_groups(shape, dtype, centring):
    x, gamma, beta, g = (a.astype(dtype) for a in arrays(shape, shape[1:3]))
    normal, mean, var, deviation = normalised(
        x.astype(float), (2, 3), 1e-3, None if centring else np.zeros((1, 1, 1, 1))
    )
    scale, wide = gamma.astype(float)[..., None], g.astype(float)
    expected = {
        "out": normal * scale + (beta.astype(float)[..., None] if centring else 0), "mean": mean, "var": var,
        "x": way_back(wide, normal, scale, deviation, (2, 3), centring),
        "gamma": (wide * normal).sum((0, 3)), "beta": wide.sum((0, 3)),
    }  # fmt: skip
    if not centring:
        del expected["mean"], expected["beta"]
    found = both_ways(kernels.group_forward, kernels.group_backward, x, gamma, beta if centring else None, g, eps=1e-3)
    check(found, expected, dtype)


def check(found, expected, dtype):
    tolerance = 1e-11 if dtype == np.float64 else 3e-5
    for a, (name, b) in zip(found, expected.items(), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(
            np.squeeze(a), np.squeeze(b), rtol=0, atol=tolerance * max(1, abs(b).max()), err_msg=name
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("large", [0, 1e4])
def test_a_rectifier_within_gives_the_bits_of_one_after(shape, dtype, large):
    x, gamma, beta, g = (a.astype(dtype) for a in arrays(shape, shape[1]))
    x += dtype(large)
    out, mean, var = kernels.batch_forward(x, gamma, beta, eps=1e-5)
    *found, rectified = kernels.batch_forward(x, gamma, beta, eps=1e-5, relu=True)
    for a, b in zip(found, (np.maximum(out, 0), mean, var), strict=True):
        np.testing.assert_array_equal(a, b)
    wants = ("x", "gamma", "beta")
    within = kernels.batch_backward(g, x, gamma, mean, var, eps=1e-5, wants=wants, rectified=rectified)
    after = kernels.batch_backward(g * (out > 0), x, gamma, mean, var, eps=1e-5, wants=wants)
    for a, b in zip(within, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_arguments_need_not_be_contiguous_or_writeable():
    x, gamma, beta, g = arrays((6, 4, 40), 4)
    expected = both_ways(kernels.batch_forward, kernels.batch_backward, x, gamma, beta, g)
    x, g = (np.asfortranarray(a) for a in (x, g))
    x.flags.writeable = False
    found = both_ways(kernels.batch_forward, kernels.batch_backward, x, np.repeat(gamma, 2)[::2], beta, g)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("pixels", [1, 50])
def test_nan_stays_in_its_channel(pixels):
    x, gamma, beta, g = arrays((4, 3, pixels), 3)
    x[1, 2, 0] = np.nan
    out, mean, var, d_x, d_gamma, d_beta = both_ways(kernels.batch_forward, kernels.batch_backward, x, gamma, beta, g)
    for a in (out, d_x):
        assert np.isnan(a[:, 2]).all() and np.isfinite(a[:, :2]).all()
    for a in (mean, var, d_gamma):
        assert np.isnan(a).tolist() == [False, False, True]
    np.testing.assert_allclose(d_beta, g.sum((0, 2)))
