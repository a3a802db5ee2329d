"""The kernel of embeddings: against a loop over rows, bit for bit."""

import numpy as np
import pytest

from minigrad.kernels import embedding as kernels
from minigrad.kernels import using


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def choice(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the compiled kernels need it")
    with using(request.param):
        yield request.param


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, complex])
@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32])
@pytest.mark.parametrize("words, width, count", [(7, 3, 5), (1, 1, 9), (20, 40, 300), (4, 5, 0), (9, 0, 4)])
def test_rows_add_up_in_their_order(words, width, count, kind, dtype):
    rng = np.random.default_rng(3)
    total = rng.standard_normal((words, width)).astype(dtype)
    numbers = rng.integers(0 if kind == np.uint8 else -words, words, count).astype(kind)
    g = rng.standard_normal((count, 2 * width)).astype(dtype)[:, ::2]
    expected = total.copy()
    for number, row in zip(numbers, g):
        expected[number] += row
    assert kernels.add_rows(total, numbers, g) is None
    np.testing.assert_array_equal(total, expected)


@pytest.mark.parametrize("wrong", [4, -5])
@pytest.mark.parametrize("width", [2, 2000])
def test_numbers_out_of_range(wrong, width):
    total = np.zeros((4, width))
    with pytest.raises(IndexError):
        kernels.add_rows(total, np.array([0, wrong]), np.ones((2, width)))
