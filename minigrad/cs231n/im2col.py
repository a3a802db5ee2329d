"""The course's ``im2col.py``: images as matrices of windows, so that a convolution is a matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff.reverse import vjp
from ..core.errors import ShapeError

__all__ = ["col2im_indices", "get_im2col_indices", "im2col_indices"]


def get_im2col_indices(
    x_shape: tuple[int, ...], field_height: int, field_width: int, padding: int = 1, stride: int = 1
) -> tuple[Any, Any, Any]:
    """Return the indices k, i, j (channel, row, column) of the pixels of all windows of padded images.

    They broadcast to ``(C * field_height * field_width, OH * OW)``.

    Raises
    ------
    ShapeError
        If a window does not fit, or the stride leaves a rest.
    """
    _, channels, *size = x_shape
    room = [n + 2 * padding - extent for n, extent in zip(size, (field_height, field_width))]
    if min(room) < 0 or any(rest % stride for rest in room):
        raise ShapeError(
            f"im2col: windows of {field_height} x {field_width} with stride {stride} do not fit images of shape "
            f"{x_shape} with padding {padding}: after the first window {room[0]} rows and {room[1]} columns remain, "
            f"and multiples of the stride are needed"
        )
    k, row, column = (a.reshape(-1, 1) for a in np.indices((channels, field_height, field_width)))
    down, along = (stride * a.reshape(1, -1) for a in np.indices([rest // stride + 1 for rest in room]))
    return k, row + down, column + along


def im2col_indices(x: Any, field_height: int, field_width: int, padding: int = 1, stride: int = 1) -> Any:
    """Return the windows of images (N, C, H, W) as the columns of a matrix.

    It has shape ``(C * field_height * field_width, OH * OW * N)``; the images' number runs fastest along a row.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.cs231n import im2col_indices
    >>> im2col_indices(np.arange(4.0).reshape(1, 1, 2, 2), 1, 2, padding=0)
    array([[0., 2.],
           [1., 3.]])
    """
    k, i, j = get_im2col_indices(x.shape, field_height, field_width, padding, stride)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = padded[:, k, i, j]
    return np.reshape(np.transpose(windows, (1, 2, 0)), (windows.shape[1], -1))


def col2im_indices(
    cols: Any, x_shape: tuple[int, ...], field_height: int = 3, field_width: int = 3, padding: int = 1, stride: int = 1
) -> Any:
    """Add the columns that `im2col_indices` makes up to images again: its backward pass."""

    def windows(x: Any) -> Any:
        return im2col_indices(x, field_height, field_width, padding, stride)

    _, pullback = vjp(windows, np.zeros(x_shape, np.result_type(cols, np.float16)))
    return pullback(cols)[0]
