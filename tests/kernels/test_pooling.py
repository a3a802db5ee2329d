"""The pooling kernels against loops over the windows."""

import numpy as np
import pytest

from minigrad.kernels import pooling as kernels
from minigrad.kernels import using


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def choice_of_kernels(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the compiled kernels need it")
    with using(request.param):
        yield request.param


NO_PADDING = ((0, 0), (0, 0))
CASES = [
    {"window": (2, 2), "stride": (2, 2), "padding": NO_PADDING},
    {"window": (2, 3), "stride": (2, 3), "padding": NO_PADDING},
    {"window": (3, 3), "stride": (2, 2), "padding": ((1, 1), (1, 0))},
    {"window": (2, 3), "stride": (1, 2), "padding": ((0, 1), (2, 1))},
    {"window": (1, 2), "stride": (3, 3), "padding": NO_PADDING},
    {"window": (17, 17), "stride": (1, 1), "padding": ((8, 8), (8, 8))},
]
cases = pytest.mark.parametrize("how", CASES, ids=str)


def windows(x, value, *, window, stride, padding):
    """Yield (row, column) of each output pixel and its window (N, C, KH, KW)."""
    x = np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)
    for p, top in enumerate(range(0, x.shape[2] - window[0] + 1, stride[0])):
        for q, left in enumerate(range(0, x.shape[3] - window[1] + 1, stride[1])):
            yield p, q, x[:, :, top : top + window[0], left : left + window[1]]


def images():
    return np.random.default_rng(5).integers(-3, 4, (2, 3, 6, 8)).astype(float)  # with many ties


@cases
def test_the_first_maximum_and_its_place(how):
    x = images()
    highest, choice = kernels.first_maximum(x, **how)
    for p, q, seen in windows(x, -np.inf, **how):
        flat = seen.reshape(*seen.shape[:2], -1)
        np.testing.assert_array_equal(highest[:, :, p, q], flat.max(axis=2))
        np.testing.assert_array_equal(choice[:, :, p, q], flat.argmax(axis=2))
    np.testing.assert_array_equal(kernels.pick(x, choice, **how), highest)


@cases
def test_sums(how):
    x = images()
    total = kernels.window_sum(x, **how)
    for p, q, seen in windows(x, 0, **how):
        np.testing.assert_allclose(total[:, :, p, q], seen.sum(axis=(2, 3)))


@cases
def test_ways_back_are_transposes(how):
    """``<A x, g> = <x, A' g>`` for both pairs."""
    x = images()
    _, choice = kernels.first_maximum(x, **how)
    g = np.random.default_rng(6).standard_normal(choice.shape)
    size = x.shape[2:]
    back = kernels.put(g, choice, size=size, **how)
    assert back.shape == x.shape
    np.testing.assert_allclose(np.sum(kernels.pick(x, choice, **how) * g), np.sum(x * back))
    back = kernels.spread(g, size=size, **how)
    assert back.shape == x.shape
    np.testing.assert_allclose(np.sum(kernels.window_sum(x, **how) * g), np.sum(x * back))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32, np.bool_])
def test_dtype_is_kept(dtype):
    how = CASES[2]
    x = images().astype(dtype)
    highest, choice = kernels.first_maximum(x, **how)
    assert highest.dtype == dtype
    assert choice.dtype == np.uint8
    assert kernels.put(highest, choice, size=(6, 8), **how).dtype == dtype
    assert kernels.pick(x, choice, **how).dtype == dtype


def test_nan_is_passed_on():
    x = images()
    x[0, 0, 3, 3] = np.nan
    highest, _ = kernels.first_maximum(x, **CASES[0])
    assert np.argwhere(np.isnan(highest)).tolist() == [[0, 0, 1, 1]]


def test_nothing_is_written_into_the_argument():
    x = images()
    before = x.copy()
    x.flags.writeable = False
    for how in CASES:
        kernels.window_sum(x, **how)
        kernels.first_maximum(x, **how)
    np.testing.assert_array_equal(x, before)


@cases
def test_where_all_is_lowest_the_first_place_is_taken(how):
    x = np.full((1, 2, 6, 8), -np.inf)
    highest, choice = kernels.first_maximum(x, **how)
    assert (highest == -np.inf).all() and not choice.any()
    assert kernels.put(np.ones(highest.shape), choice, size=(6, 8), **how).shape == x.shape


@cases
def test_arguments_need_not_be_contiguous(how):
    x = images()
    strided = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for a, b in zip(kernels.first_maximum(strided, **how), kernels.first_maximum(x, **how), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(kernels.window_sum(strided, **how), kernels.window_sum(x, **how))


@pytest.mark.parametrize("seed", range(20))
def test_both_sets_of_kernels_agree(seed):
    pytest.importorskip("numba", reason="the compiled kernels need it")
    random = np.random.default_rng(seed)
    window, stride = (tuple(map(int, random.integers(1, 5, 2))) for _ in range(2))
    padding = tuple(tuple(map(int, random.integers(0, size, 2))) for size in window)
    shape = tuple(map(int, random.integers([1, 1, 4, 4], [4, 30, 20, 45])))
    dtype = random.choice([np.float32, np.float64])
    x, how = random.integers(-4, 5, shape).astype(dtype), {"window": window, "stride": stride, "padding": padding}
    if seed % 3 == 0:
        x[random.random(shape) < 0.02] = np.nan
        x[random.random(shape) < 0.02] = -np.inf
    results = []
    for name in ("numpy", "numba"):
        with using(name):
            highest, choice = kernels.first_maximum(x, **how)
            g, size = np.cos(np.arange(highest.size)).reshape(highest.shape).astype(dtype), shape[2:]
            back = kernels.put(g, choice, size=size, **how), kernels.spread(g, size=size, **how)
            results.append((highest, choice, *back, kernels.window_sum(x, **how)))
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
