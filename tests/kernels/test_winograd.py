"""Convolutions with fewer products: the same numbers, and the direct way where there are infinite ones."""

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="Numba compiles these kernels")

from minigrad.kernels import convolution as plain  # noqa: E402
from minigrad.kernels import using  # noqa: E402
from minigrad.kernels.jit import convolution as compiled  # noqa: E402
from minigrad.kernels.jit import winograd  # noqa: E402

PLAIN = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}


@pytest.fixture
def calls(monkeypatch):
    """Which of the two functions were called, and what they said."""
    calls = []

    def noting(name, function):
        def noted(*args):
            calls.append((name, function(*args)))
            return calls[-1][1]

        return noted

    for name in ("correlate", "sum_over_places"):
        monkeypatch.setattr(winograd, name, noting(name, getattr(winograd, name)))
    return calls


def all_three(x, w, g, b=None, *, numpys=False, **how):
    """Return what the three compiled functions make of these, or NumPy's."""
    module = plain if numpys else compiled
    with using("numpy"):
        return [
            module.convolve(x, w, b, **how),
            module.input_gradient(g, w, size=x.shape[2:], **how),
            module.weight_gradient(g, x, kernel=w.shape[2:], **how),
        ]


def agree(x, w, g, b=None, *, tolerance=1e-10, **how):
    expected = all_three(x, w, g, b, numpys=True, **how)
    for ours, numpys in zip(all_three(x, w, g, b, **how), expected, strict=True):
        assert ours.dtype == x.dtype and ours.flags.c_contiguous
        np.testing.assert_allclose(ours, numpys, rtol=tolerance, atol=tolerance)


def random_case(seed):
    r = np.random.default_rng(seed)
    groups = int(r.integers(1, 3))
    depth, filters = (int(n) for n in r.integers(16, 40, 2))
    padding = tuple(tuple(map(int, side)) for side in r.integers(0, 4, (2, 2)))
    size = [int(n) for n in r.integers(3, 24, 2)]
    dtype = (np.float32, np.float64)[seed % 2]
    x = r.standard_normal((int(r.integers(1, 40)), groups * depth, *size)).astype(dtype)
    w = r.standard_normal((groups * filters, depth, 3, 3)).astype(dtype)
    how = PLAIN | {"padding": padding, "groups": groups}
    rows, columns = plain.output_size(size, (3, 3), stride=(1, 1), padding=padding)
    g = r.standard_normal((len(x), len(w), rows, columns)).astype(dtype)
    return x, w, g, r.standard_normal(len(w)).astype(dtype), how


@pytest.mark.parametrize("seed", range(16))
def test_they_agree_with_numpys(seed, calls):
    x, w, g, b, how = random_case(seed)
    agree(x, w, g, b, tolerance=1e-10 if x.dtype == np.float64 else 1e-3, **how)
    assert calls == [("correlate", True), ("correlate", True), ("sum_over_places", True)]


@pytest.mark.parametrize("combined", [1, 30_000, 100_000, 1 << 20])
@pytest.mark.parametrize("images", [(1, 17, 30, 41), (70, 16, 4, 4), (33, 20, 7, 8)])
def test_images_are_taken_apart(monkeypatch, combined, images):
    """Bands of rows, of which the last is short; several images at a time, likewise; rows shorter than a vector."""
    monkeypatch.setattr(winograd, "COMBINED", combined)
    winograd._plan.cache_clear()
    r = np.random.default_rng(1)
    x, w, g = (r.standard_normal(shape) for shape in (images, (19, images[1], 3, 3), (images[0], 19, *images[2:])))
    agree(x, w, g, **PLAIN)
    winograd._plan.cache_clear()


def test_small_whole_numbers_come_out_exactly():
    r = np.random.default_rng(2)
    x, w, g = (r.integers(-4, 5, shape).astype(np.float32) for shape in ((4, 16, 9, 9), (16, 16, 3, 3), (4, 16, 9, 9)))
    agree(x, w, g, tolerance=0, **PLAIN)


def test_float32_is_about_as_accurate_as_the_sum_over_taps(monkeypatch):
    r = np.random.default_rng(3)
    x, w, g = (r.standard_normal(shape) for shape in ((16, 32, 16, 16), (32, 32, 3, 3), (16, 32, 16, 16)))
    x, w, g = (a.astype(np.float32) for a in (x, w, g))
    exact = all_three(*(a.astype(float) for a in (x, w, g)), numpys=True, **PLAIN)
    ours = all_three(x, w, g, **PLAIN)
    monkeypatch.setattr(winograd, "LEAST", 1 << 30)
    direct = all_three(x, w, g, **PLAIN)
    for mine, other, right in zip(ours, direct, exact, strict=True):
        deviation = [np.sqrt(np.mean((found - right) ** 2)) / np.std(right) for found in (mine, other)]
        assert deviation[0] < 3 * deviation[1] and deviation[0] < 1e-6


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_infinite_pixel_reaches_only_what_sees_it(value, calls):
    x, w, g = np.zeros((2, 16, 12, 12)), np.ones((16, 16, 3, 3)), np.zeros((2, 16, 12, 12))
    x[0, 3, 5, 11] = value
    g[1] = 1
    with np.errstate(invalid="ignore"):
        expected = all_three(x, w, g, numpys=True, **PLAIN)
        for ours, numpys in zip(all_three(x, w, g, **PLAIN), expected, strict=True):
            if ours is not NotImplemented:  # which leaves it to NumPy
                np.testing.assert_array_equal(ours, numpys)
    assert [fine for _, fine in calls] == [False, True, False]


def test_infinite_weights_and_what_overflows_on_the_way_are_left_to_the_direct_way(calls):
    x, w, g = np.ones((2, 16, 6, 6)), np.ones((16, 16, 3, 3)), np.ones((2, 16, 6, 6))
    w[0, 0, 1, 1] = np.inf
    out, d_x, _ = all_three(x, w, g, **PLAIN)
    assert np.isinf(out[:, 0]).all() and (out[:, 1:] <= 144).all() and np.isinf(d_x[:, 0]).all()
    x = np.zeros((1, 16, 6, 6), np.float32)
    x[:, 0, :, ::4], x[:, 0, :, 2::4] = 3e38, -3e38
    w = np.zeros((16, 16, 3, 3), np.float32)
    w[:, :, 1, 1] = 0.5
    np.testing.assert_array_equal(compiled.convolve(x, w, **PLAIN)[:, 0], x[:, 0] / 2)
    assert [fine for _, fine in calls] == [False, False, True, False]


def test_the_bits_do_not_depend_on_the_threads():
    r = np.random.default_rng(4)
    x, w = r.standard_normal((20, 16, 10, 10)).astype(np.float32), r.standard_normal((24, 16, 3, 3)).astype(np.float32)
    g = r.standard_normal((20, 24, 10, 10)).astype(np.float32)
    before = all_three(x, w, g, **PLAIN)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        after = all_three(x, w, g, **PLAIN)
    finally:
        numba.set_num_threads(threads)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_few_channels_other_taps_and_steps_are_left_to_the_direct_way(calls):
    r = np.random.default_rng(5)
    for shape, filters, size, how in (
        ((2, 3, 9, 9), 32, (3, 3), {}),
        ((2, 32, 9, 9), 3, (3, 3), {}),
        ((2, 16, 9, 9), 16, (3, 2), {}),
        ((2, 16, 9, 9), 16, (3, 3), {"stride": (2, 2)}),
        ((2, 16, 9, 9), 16, (3, 3), {"dilation": (2, 1)}),
    ):
        compiled.convolve(r.standard_normal(shape), r.standard_normal((filters, shape[1], *size)), **PLAIN | how)
    assert not calls


def test_any_layout_is_read_and_none_is_written():
    r = np.random.default_rng(6)
    x = r.standard_normal((2, 9, 10, 16)).transpose(0, 3, 1, 2)
    w = r.standard_normal((16, 18, 3, 3))[..., ::-1].swapaxes(0, 1)
    g = np.broadcast_to(1.0, (2, 18, 9, 10))
    x.flags.writeable = w.flags.writeable = False
    agree(x, w, g, **PLAIN)
