"""Images as matrices of windows: a convolution is a matrix product, and the way back is the transpose."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import cs231n

rng = np.random.default_rng(71)
X, W, B = rng.standard_normal((2, 3, 5, 7)), rng.standard_normal((4, 3, 3, 2)), rng.standard_normal(4)


@pytest.mark.parametrize("padding, stride, size", [(0, 1, (3, 6)), (1, 1, (5, 8)), (1, 2, None), (2, 3, (3, 4))])
def test_a_convolution_is_a_matrix_product(padding, stride, size):
    if size is None:
        with pytest.raises(mg.ShapeError, match="multiples of the stride"):
            cs231n.im2col_indices(X, 3, 2, padding, stride)
        return
    columns = cs231n.im2col_indices(X, 3, 2, padding, stride)
    out = (W.reshape(4, -1) @ columns + B[:, None]).reshape(4, *size, 2).transpose(3, 0, 1, 2)
    np.testing.assert_allclose(out, mg.ops.conv2d(X, W, B, stride=stride, padding=padding))


def test_the_way_back_is_the_transpose():
    columns = cs231n.im2col_indices(X, 3, 2, 1, 1)
    weights = rng.standard_normal(columns.shape)
    images = cs231n.col2im_indices(weights, X.shape, 3, 2, 1, 1)
    assert images.shape == X.shape
    np.testing.assert_allclose(np.sum(images * X), np.sum(weights * columns))


def test_windows_that_tile_come_back_as_they_were():
    x = rng.standard_normal((2, 3, 6, 6)).astype(np.float32)
    back = cs231n.col2im_indices(cs231n.im2col_indices(x, 3, 3, padding=0, stride=3), x.shape, padding=0, stride=3)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, x)


def test_a_window_larger_than_the_image():
    with pytest.raises(mg.ShapeError, match="do not fit"):
        cs231n.im2col_indices(X, 9, 9, padding=1)
