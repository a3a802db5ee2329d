"""The compiled convolution kernels against NumPy's, with images taken apart in every way; and what they promise."""

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="Numba compiles these kernels")

from minigrad.kernels import convolution as plain  # noqa: E402
from minigrad.kernels.jit import convolution as compiled  # noqa: E402

PLAIN = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


def agree(x, w, **how):
    r = np.random.default_rng(0)
    b = r.standard_normal(len(w)).astype(x.dtype)
    tolerance = 1e-10 if x.dtype == np.float64 else 1e-3
    out = compiled.convolve(x, w, b, **how)
    g = r.standard_normal(out.shape).astype(x.dtype)
    results = [
        (out, plain.convolve.numpy(x, w, b, **how)),
        (
            compiled.input_gradient(g, w, size=x.shape[2:], **how),
            plain.input_gradient.numpy(g, w, size=x.shape[2:], **how),
        ),
        (
            compiled.weight_gradient(g, x, kernel=w.shape[2:], **how),
            plain.weight_gradient.numpy(g, x, kernel=w.shape[2:], **how),
        ),
    ]
    for ours, numpys in results:
        assert ours.dtype == x.dtype and ours.flags.c_contiguous
        np.testing.assert_allclose(ours, numpys, rtol=tolerance, atol=tolerance)


def random_case(seed):
    r = np.random.default_rng(seed)
    groups = int(r.integers(1, 4))
    kernel, dilation = (tuple(map(int, r.integers(1, high, 2))) for high in (6, 3))
    stride = (1, 1) if seed % 2 else tuple(map(int, r.integers(1, 4, 2)))
    padding = tuple(tuple(map(int, side)) for side in r.integers(0, 5, (2, 2)))
    kernel = (kernel[0], 2) if kernel == (1, 1) else kernel
    size = [int(r.integers(d * k, 50)) for d, k in zip(dilation, kernel)]
    dtype = np.float64 if seed % 4 == 0 else np.float32
    x = r.standard_normal((int(r.integers(1, 70)), groups * int(r.integers(1, 5)), *size)).astype(dtype)
    w = r.standard_normal((groups * int(r.integers(1, 9)), x.shape[1] // groups, *kernel)).astype(dtype)
    return x, w, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


@pytest.mark.parametrize("seed", range(24))
def test_they_agree_with_numpys(seed):
    x, w, how = random_case(seed)
    agree(x, w, **how)


@pytest.mark.parametrize(
    "images, filters, kernel",
    [
        ((70, 5, 4, 4), 6, 3),  # several images at a time, the last of them short, as one row
        ((70, 5, 8, 8), 6, 3),  # the same by rows
        ((2, 3, 45, 17), 9, 3),  # bands of rows, the last of them short
        ((1, 40, 30, 40), 130, 3),  # parts of the filters
        ((3, 2, 12, 1), 1, 2),
        ((1, 1, 1, 1), 1, 3),
        ((2, 1, 5, 300), 2, 7),
    ],
)
def test_images_are_taken_apart(images, filters, kernel):
    r = np.random.default_rng(1)
    x = r.standard_normal(images).astype(np.float32)
    agree(x, r.standard_normal((filters, images[1], kernel, kernel)).astype(np.float32), **PLAIN)


def test_every_remainder_of_filters_and_taps():
    r = np.random.default_rng(2)
    for filters in range(1, 10):
        for channels in range(1, 4):
            agree(r.standard_normal((2, channels, 9, 9)), r.standard_normal((filters, channels, 2, 2)), **PLAIN)


def test_any_layout_is_read_and_none_is_written():
    r = np.random.default_rng(3)
    x = r.standard_normal((2, 9, 10, 3)).transpose(0, 3, 1, 2)
    w = r.standard_normal((3, 4, 3, 3))[..., ::-1].swapaxes(0, 1)
    x.flags.writeable = w.flags.writeable = False
    agree(x, w, **PLAIN)
    g = np.broadcast_to(1.0, (2, 4, 9, 10))
    slopes = compiled.weight_gradient(g, x, kernel=(3, 3), **PLAIN)
    np.testing.assert_allclose(
        slopes, plain.weight_gradient.numpy(g, x, kernel=(3, 3), **PLAIN), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("shape", [(40, 3, 16, 16), (1, 3, 40, 40)])
def test_the_bits_do_not_depend_on_the_threads(shape):
    r = np.random.default_rng(4)
    x, w = r.standard_normal(shape).astype(np.float32), r.standard_normal((5, 3, 3, 3)).astype(np.float32)
    out = compiled.convolve(x, w, **PLAIN)
    slopes = compiled.weight_gradient(out, x, kernel=(3, 3), **PLAIN)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        assert np.array_equal(compiled.convolve(x, w, **PLAIN), out)
        assert np.array_equal(compiled.weight_gradient(out, x, kernel=(3, 3), **PLAIN), slopes)
    finally:
        numba.set_num_threads(threads)


def test_what_numpys_are_better_at_is_left_to_them():
    x, w = np.ones((2, 3, 5, 5)), np.ones((4, 3, 1, 1))
    how = PLAIN | {"padding": ((0, 0), (0, 0))}
    assert compiled.convolve(x, w, **how) is NotImplemented  # one matrix product
    x, w = x.astype(np.float16), np.ones((4, 3, 3, 3), np.float16)
    assert compiled.convolve(x, w, **PLAIN) is NotImplemented
    assert compiled.convolve(x[:0], w, **PLAIN) is NotImplemented
    assert compiled.convolve(x.astype(np.float32), w.astype(np.float64), **PLAIN) is NotImplemented


def test_float32_sums_over_many_places_are_accurate():
    x = np.full((64, 1, 64, 64), 0.1, np.float32)
    g = np.ones((64, 1, 64, 64), np.float32)
    slopes = compiled.weight_gradient(g, x, kernel=(3, 3), **PLAIN)
    exact = np.float64(np.float32(0.1)) * 64 * np.outer([63, 64, 63], [63, 64, 63])
    np.testing.assert_allclose(slopes[0, 0], exact, rtol=5e-6)  # of one running sum: 1e-3
