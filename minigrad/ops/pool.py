"""Pooling and resizing of images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.errors import OptionError
from ..core.explain import where
from ..core.primitive import primitive
from ..kernels import pooling as kernels
from .conv import Pairs, check_fit, numbers, paddings
from .define import as_array
from .layout import channels_first, check_images, in_layout

__all__ = ["adaptive_avg_pool2d", "avg_pool2d", "global_avg_pool", "max_pool2d", "upsample"]

# --- what pooling is made of -----------------------------------------------------------------------------------------


@primitive(outputs=("out", "choice"), visible=1)
def max_pooling(x, *, window, stride, padding):
    """Take the maximum of each window, and remember at which of its places it came first."""
    return kernels.first_maximum(x, window=window, stride=stride, padding=padding)


@primitive(linear="jointly")
def window_pick(x, choice, *, window, stride, padding):
    """Take from each window the pixel at a chosen place."""
    return kernels.pick(x, choice, window=window, stride=stride, padding=padding)


@primitive(linear="jointly")
def window_put(y, choice, *, size, window, stride, padding):
    """Add a number per window to its pixel at a chosen place: the transpose of `window_pick`."""
    return kernels.put(y, choice, size=size, window=window, stride=stride, padding=padding)


@primitive(linear="jointly")
def window_sum(x, *, window, stride, padding):
    """Sum each window."""
    return kernels.window_sum(x, window=window, stride=stride, padding=padding)


@primitive(linear="jointly")
def window_spread(y, *, size, window, stride, padding):
    """Add a number per window to all its pixels: the transpose of `window_sum`."""
    return kernels.spread(y, size=size, window=window, stride=stride, padding=padding)


max_pooling.vjp(
    x=lambda g, choice, x_shape, window, stride, padding: window_put(
        g[0], choice, size=tuple(x_shape[2:]), window=window, stride=stride, padding=padding
    )
)
window_pick.vjp(
    x=lambda g, choice, x_shape, window, stride, padding: window_put(
        g, choice, size=tuple(x_shape[2:]), window=window, stride=stride, padding=padding
    ),
    choice=None,
)
window_put.vjp(
    y=lambda g, choice, window, stride, padding: window_pick(g, choice, window=window, stride=stride, padding=padding),
    choice=None,
)
window_sum.vjp(
    x=lambda g, x_shape, window, stride, padding: window_spread(
        g, size=tuple(x_shape[2:]), window=window, stride=stride, padding=padding
    )
)
window_spread.vjp(y=lambda g, window, stride, padding: window_sum(g, window=window, stride=stride, padding=padding))

# --- what a user calls -----------------------------------------------------------------------------------------------


def max_pool2d(x: Any, window: Any = 2, *, stride: Any = None, padding: Any = 0, layout: str = "NCHW") -> Any:
    """Take the maximum of each window.

    Where a maximum comes several times in a window, its first place (row by row) gets the whole gradient. Padding is
    lower than every pixel.

    Parameters
    ----------
    x : array (N, C, H, W)
        Or (N, H, W, C), with ``layout="NHWC"``.
    window : int or (rows, columns)
    stride : int or (rows, columns), optional
        Steps between windows; the window's size if left out, so that windows tile the image.
    padding : int, (rows, columns), ((top, bottom), (left, right)), "valid" or "same"
        Less than the window.
    layout : str
        Of x and of the result: "NCHW" or "NHWC".

    Returns
    -------
    array (N, C, OH, OW), or (N, OH, OW, C)
        ``OH = (H + top + bottom - rows) / stride + 1``, and OW alike.

    Raises
    ------
    ShapeError
        If the window is larger than the padded image, or the stride leaves a rest.
    OptionError
        If an option is something else than the above.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """
    x, how = _windows("max_pool2d", x, window, stride, padding, layout)
    return in_layout(max_pooling(x, **how), layout)


def avg_pool2d(
    x: Any,
    window: Any = 2,
    *,
    stride: Any = None,
    padding: Any = 0,
    count_padding: bool = True,
    layout: str = "NCHW",
) -> Any:
    """Take the mean of each window.

    Parameters
    ----------
    x, window, stride, padding, layout
        As of :func:`max_pool2d`; padding is zeros.
    count_padding : bool
        Whether padding counts as pixels. If not, the sum is divided by the number of real pixels in each window.

    Returns
    -------
    array (N, C, OH, OW), or (N, OH, OW, C)

    Raises
    ------
    ShapeError, OptionError
        As :func:`max_pool2d`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    x, how = _windows("avg_pool2d", x, window, stride, padding, layout)
    total = window_sum(x, **how)
    if count_padding or not any(map(any, how["padding"])):
        number: Any = math.prod(how["window"])
    else:
        number = window_sum(np.ones((1, 1, *x.shape[2:]), total.dtype), **how)
    return in_layout(total / number, layout)


def global_avg_pool(x: Any, *, layout: str = "NCHW") -> Any:
    """Take the mean of each channel's pixels: (N, C, H, W), or (N, H, W, C) with ``layout="NHWC"``, to (N, C).

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.global_avg_pool(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[1.5, 5.5]])
    """
    return np.mean(_images("global_avg_pool", x, layout, filled=True), axis=(2, 3))


def adaptive_avg_pool2d(x: Any, size: Any, *, layout: str = "NCHW") -> Any:
    """Take means over a grid of a given size.

    Row p is the mean of the rows from ``floor(p * H / OH)`` up to, and without, ``ceil((p + 1) * H / OH)``.

    Parameters
    ----------
    x : array (N, C, H, W)
        Or (N, H, W, C), with ``layout="NHWC"``.
    size : int or (OH, OW)
    layout : str
        Of x and of the result: "NCHW" or "NHWC".

    Returns
    -------
    array (N, C, OH, OW), or (N, OH, OW, C)

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.adaptive_avg_pool2d(np.arange(9.0).reshape(1, 1, 3, 3), (1, 2))
    array([[[[3.5, 4.5]]]])
    """
    x = _images("adaptive_avg_pool2d", x, layout, filled=True)
    return in_layout(_resized(x, numbers("adaptive_avg_pool2d", "size", size, 2, 1), _mean_weights), layout)


def upsample(
    x: Any, scale: Any = 2, *, mode: str = "nearest", align_corners: bool = False, layout: str = "NCHW"
) -> Any:
    """Enlarge images.

    Parameters
    ----------
    x : array (N, C, H, W)
        Or (N, H, W, C), with ``layout="NHWC"``.
    scale : int or (rows, columns)
        How many times as many rows and columns.
    mode : str
        "nearest" repeats each pixel; "bilinear" interpolates between the nearest two rows and columns, and repeats the
        pixels of the border outwards.
    align_corners : bool
        For "bilinear": pixels are points, and those in the corners stay in the corners. Otherwise pixels are squares,
        and the image's borders stay the borders.
    layout : str
        Of x and of the result: "NCHW" or "NHWC".

    Returns
    -------
    array (N, C, H * rows, W * columns), or (N, H * rows, W * columns, C)

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.upsample(np.array([[[[1.0, 2.0]]]]), (1, 2))
    array([[[[1., 1., 2., 2.]]]])
    >>> mg.ops.upsample(np.array([[[[1.0, 2.0]]]]), (1, 2), mode="bilinear")
    array([[[[1.  , 1.25, 1.75, 2.  ]]]])
    """
    x = _images("upsample", x, layout, filled=mode == "bilinear")
    rows, columns = numbers("upsample", "scale", scale, 2, 1)
    count, channels, height, width = x.shape
    if mode == "nearest":
        if align_corners:
            raise OptionError(f'{where("upsample")}: align_corners=True is for mode="bilinear"')
        spaced = np.reshape(x, (count, channels, height, 1, width, 1))
        repeated = np.broadcast_to(spaced, (count, channels, height, rows, width, columns))
        return in_layout(np.reshape(repeated, (count, channels, height * rows, width * columns)), layout)
    if mode != "bilinear":
        raise OptionError(f'{where("upsample")}: mode={mode!r} came; it takes "nearest" or "bilinear"')
    weights = _corner_weights if align_corners else _square_weights
    return in_layout(_resized(x, (height * rows, width * columns), weights), layout)


# --- helpers ---------------------------------------------------------------------------------------------------------


def _images(name: str, x: Any, layout: str, filled: bool = False) -> Any:
    """Check images in a layout, and return them as (N, C, H, W)."""
    x = as_array(x)
    check_images(name, x, layout, filled=filled)
    return channels_first(x, layout)


def _windows(name: str, x: Any, window: Any, stride: Any, padding: Any, layout: str) -> tuple[Any, dict[str, Any]]:
    """Check what came; return the images (N, C, H, W) and the parameters of the ops above."""
    given = np.shape(x)
    x = _images(name, x, layout)
    sizes = numbers(name, "window", window, 2, 1)
    strides = sizes if stride is None else numbers(name, "stride", stride, 2, 1)
    margins: Pairs = paddings(name, padding, x.shape[2:], sizes, strides)
    call = f"{where(name)}: x {given}, window {sizes}"
    if any(max(both) >= size for both, size in zip(margins, sizes)):
        raise OptionError(f"{call}: padding {margins} must be less than the window, or a window would see nothing else")
    check_fit(call, "window", x.shape[2:], sizes, strides, margins)
    return x, {"window": sizes, "stride": strides, "padding": margins}


def _resized(x: Any, size: tuple[int, ...], weights: Any) -> Any:
    """Return images whose rows and columns are weighted sums of those of x: two matrix products."""
    dtype = np.result_type(x.dtype, np.float16)  # integers become floats
    down, along = (weights(old, new).astype(dtype) for old, new in zip(x.shape[2:], size))
    return np.matmul(np.matmul(down, x), along.T)


def _mean_weights(old: int, new: int) -> Any:
    """Return the matrix (new, old) that takes means over a grid."""
    place, pixel = np.arange(new)[:, None], np.arange(old)
    inside = (pixel >= place * old // new) & (pixel < -(-(place + 1) * old // new))
    return inside / inside.sum(axis=1, keepdims=True)


def _corner_weights(old: int, new: int) -> Any:
    """Return the matrix (new, old) that interpolates between points, the first and last of which stay."""
    return _interpolation(np.linspace(0, old - 1, new), old)


def _square_weights(old: int, new: int) -> Any:
    """Return the matrix (new, old) that interpolates between the centres of squares."""
    return _interpolation((np.arange(new) + 0.5) * old / new - 0.5, old)


def _interpolation(positions: Any, old: int) -> Any:
    positions = np.clip(positions, 0, old - 1)[:, None]
    return np.maximum(0, 1 - np.abs(positions - np.arange(old)))
