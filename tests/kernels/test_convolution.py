"""The convolution kernels against loops that spell the definition out."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import convolution as kernels

rng = np.random.default_rng(21)


@pytest.fixture(autouse=True, params=["numpy", "numba"])
def choice(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="Numba compiles the counterparts")
    with mg.kernels.using(request.param):
        yield request.param


def padded(x, padding):
    return np.pad(x, ((0, 0), (0, 0), *padding))


def taps(x, w_shape, *, stride, padding, dilation, groups):
    """Yield for each filter, channel and tap: its index in the filters, its channel of x, and the pixels it sees."""
    x = padded(x, padding)
    filters, depth, kh, kw = w_shape
    rows = (x.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (x.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    for f, c, i, j in np.ndindex(*w_shape):
        channel = f // (filters // groups) * depth + c
        down = i * dilation[0] + stride[0] * np.arange(rows)
        along = j * dilation[1] + stride[1] * np.arange(columns)
        yield (f, c, i, j), channel, np.ix_(down, along)


def convolve_slowly(x, w, **how):
    big, out = padded(x, how["padding"]), 0
    for (f, c, i, j), channel, places in taps(x, w.shape, **how):
        seen = big[:, channel][(slice(None), *places)]
        share = np.zeros((len(x), w.shape[0], *seen.shape[1:]))
        share[:, f] = w[f, c, i, j] * seen
        out = out + share
    return out


def gradients_slowly(g, x, w, **how):
    big, dw = padded(x, how["padding"]), np.zeros_like(w)
    d_big = np.zeros_like(big)
    for index, channel, places in taps(x, w.shape, **how):
        dw[index] = np.sum(g[:, index[0]] * big[:, channel][(slice(None), *places)])
        d_big[(slice(None), channel, *places)] += w[index] * g[:, index[0]]
    (top, bottom), (left, right) = how["padding"]
    return d_big[:, :, top : d_big.shape[2] - bottom, left : d_big.shape[3] - right], dw


def agree(x, w, **how):
    out = kernels.convolve(x, w, **how)
    np.testing.assert_allclose(out, convolve_slowly(x, w, **how), rtol=1e-10, atol=1e-10)
    g = rng.standard_normal(out.shape)
    dx, dw = gradients_slowly(g, x, w, **how)
    np.testing.assert_allclose(kernels.input_gradient(g, w, size=x.shape[2:], **how), dx, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(kernels.weight_gradient(g, x, kernel=w.shape[2:], **how), dw, rtol=1e-10, atol=1e-10)


def random_case(seed):
    """Return images, filters and options, leftovers and negative paddings of the turned convolution included."""
    r = np.random.default_rng(seed)
    groups, n = (int(r.integers(1, high)) for high in (4, 4))
    c, f = groups * int(r.integers(1, 3)), groups * int(r.integers(1, 9))
    kernel, stride, dilation = (tuple(map(int, r.integers(1, high, 2))) for high in (4, 4, 3))
    padding = tuple(tuple(map(int, side)) for side in r.integers(0, 4, (2, 2)))
    size = [max(1, d * (k - 1) + 1 - sum(p)) + int(r.integers(0, 5)) for d, k, p in zip(dilation, kernel, padding)]
    if seed % 2:
        stride = (1, 1)
    x, w = r.standard_normal((n, c, *size)), r.standard_normal((f, c // groups, *kernel))
    return x, w, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


@pytest.mark.parametrize("seed", range(60))
def test_all_three_agree_with_loops(seed):
    x, w, how = random_case(seed)
    agree(x, w, **how)


PLAIN = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


@pytest.mark.parametrize("chunk", [1, 2000, 5000, 10**6])
def test_images_are_unfolded_in_parts_of_any_size(monkeypatch, chunk):
    monkeypatch.setattr(kernels, "CHUNK", chunk)
    x, w = rng.standard_normal((5, 2, 4, 8)), rng.standard_normal((3, 2, 3, 3))
    agree(x, w, **PLAIN)
    agree(x, w, **PLAIN | {"stride": (2, 1)})


def test_one_by_one_kernels_need_no_unfolding():
    how = PLAIN | {"padding": ((0, 0), (0, 0))}
    agree(rng.standard_normal((2, 4, 3, 5)), rng.standard_normal((6, 4, 1, 1)), **how)
    agree(rng.standard_normal((2, 4, 3, 5)), rng.standard_normal((6, 2, 1, 1)), **how | {"groups": 2})


def test_an_infinite_pixel_reaches_only_what_sees_it():
    """Rows are unfolded past their ends for speed; nothing of that may leak."""
    x, w = np.zeros((2, 1, 12, 12)), np.ones((1, 1, 3, 3))
    x[0, 0, 5, 11] = np.inf
    out = kernels.convolve(x, w, **PLAIN)
    assert np.argwhere(np.isinf(out)).tolist() == [[0, 0, r, c] for r in (4, 5, 6) for c in (10, 11)]
    assert np.isfinite(out[1]).all()
    x[0, 0, 5, 11], x[0, 0, 11, 11] = 0, np.inf
    g = np.zeros((2, 1, 12, 12))
    g[1] = 1
    with np.errstate(invalid="ignore"):
        dw = kernels.weight_gradient(g, x, kernel=(3, 3), **PLAIN)
    assert np.argwhere(np.isnan(dw[0, 0])).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]  # the taps that see the pixel


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex64, np.int64])
def test_dtype_is_kept(dtype):
    x, w = np.ones((1, 2, 4, 4), dtype), np.ones((3, 2, 3, 3), dtype)
    out = kernels.convolve(x, w, **PLAIN)
    assert out.dtype == dtype
    assert kernels.convolve(x, w, np.ones(3, dtype), **PLAIN).dtype == dtype
    assert kernels.input_gradient(out, w, size=(4, 4), **PLAIN).dtype == dtype
    assert kernels.weight_gradient(out, x, kernel=(3, 3), **PLAIN).dtype == dtype


def test_the_bias_is_added_and_may_widen():
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in [(2, 2, 4, 4), (3, 2, 3, 3), (3,)])
    for bias in (b, b.astype(np.float64)):
        out = kernels.convolve(x, w, bias, **PLAIN)
        np.testing.assert_allclose(out, kernels.convolve(x, w, **PLAIN) + b[:, None, None], rtol=1e-5, atol=1e-5)
        assert out.dtype == bias.dtype


def test_no_images():
    x, w = np.ones((0, 2, 4, 4)), np.ones((3, 2, 3, 3))
    out = kernels.convolve(x, w, **PLAIN)
    assert out.shape == (0, 3, 4, 4)
    assert kernels.input_gradient(out, w, size=(4, 4), **PLAIN).shape == x.shape
    assert not kernels.weight_gradient(out, x, kernel=(3, 3), **PLAIN).any()
