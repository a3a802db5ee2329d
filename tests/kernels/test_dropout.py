"""The kernel of dropout: the bits of the formula, whatever the mask's shape and the arrays' layout."""

import numpy as np
import pytest

from minigrad.kernels import dropout as kernels
from minigrad.kernels import using


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def choice(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the compiled kernels need it")
    with using(request.param):
        yield request.param


rng = np.random.default_rng(3)


@pytest.mark.parametrize(
    "shape, of_mask",
    [((), ()), ((0,), (0,)), ((5,), (5,)), ((4, 3, 2), (4, 3, 2)), ((70, 50, 60), (70, 50, 60))]
    + [((4, 3, 2), (4, 1, 1)), ((4, 3, 2), (2,)), ((4, 3, 2), ()), ((0, 3), (1, 3)), ((40, 30, 8, 20), (40, 30, 1, 1))],
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.complex128])
def test_the_formula(shape, of_mask, dtype):
    x, mask = (9 * rng.standard_normal(shape)).astype(dtype), rng.random(of_mask) < 0.7
    out = kernels.drop(x, mask, 1 / 0.7)
    wanted = x * mask * (1 / 0.7)
    assert out.dtype == wanted.dtype and out.shape == shape
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_is_no_number_shows(dtype):
    """Also where it is dropped: a model that has gone wrong does not look right for a time."""
    x = np.array([np.nan, np.nan, np.inf, -np.inf, -1], dtype)
    out = kernels.drop(x, np.array([True, False, True, False, False]), 2.0)
    np.testing.assert_array_equal(out, [np.nan, np.nan, np.inf, np.nan, -0.0])
    assert np.signbit(out[-1])


@pytest.mark.parametrize("size", [20, 600])
def test_any_layout_of_arrays_that_are_read_only(size):
    x, mask = rng.standard_normal((size, size)), rng.random((size, size)) < 0.5
    wanted = x * mask * 2
    for given in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1][::-1]):
        given.flags.writeable = False
        np.testing.assert_array_equal(kernels.drop(given, np.asfortranarray(mask), 2.0), wanted)
