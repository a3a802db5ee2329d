"""Windows that move over images: their first maximum, their sum, and the way back.

All functions take images (N, C, H, W) and ``window``, ``stride``: (rows, columns), ``padding``: ((top, bottom), (left,
right)). They go over the places of the window, not over the windows: each place is a strided view of the padded image
with one pixel per window, so one NumPy call serves all windows at once. Where windows tile the image, these views are
the image in parts, and nothing is padded or copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .choice import kernel

__all__ = ["first_maximum", "pick", "put", "spread", "window_sum"]

Pair = tuple[int, int]
NO_PADDING = ((0, 0), (0, 0))


@kernel
def first_maximum(x: Any, *, window: Pair, stride: Pair, padding: tuple[Pair, Pair]) -> tuple[Any, Any]:
    """Return the maximum of each window, and at which place of the window it came first (row by row from 0).

    Returns
    -------
    highest : array (N, C, OH, OW)
        NaN where a window has one. Padding is lower than every pixel.
    choice : array of unsigned integers (N, C, OH, OW)
    """
    x = _padded(x, padding, _lowest(x.dtype))
    places = _places(x, window, stride)
    highest = next(places).copy()
    choice = np.zeros(highest.shape, np.min_scalar_type(window[0] * window[1] - 1))
    higher = np.empty(highest.shape, bool)
    for number, pixels in enumerate(places, start=1):
        np.greater(pixels, highest, out=higher)
        np.maximum(choice, higher * choice.dtype.type(number), out=choice)  # a later place has a greater number
        np.maximum(highest, pixels, out=highest)
    return highest, choice


@kernel
def pick(x: Any, choice: Any, *, window: Pair, stride: Pair, padding: tuple[Pair, Pair]) -> Any:
    """Return from each window the pixel at the chosen place; padding counts as 0."""
    out = np.zeros(choice.shape, x.dtype)
    for number, pixels in enumerate(_places(_padded(x, padding), window, stride)):
        np.copyto(out, pixels, where=choice == number)
    return out


@kernel
def put(g: Any, choice: Any, *, size: Pair, window: Pair, stride: Pair, padding: tuple[Pair, Pair]) -> Any:
    """Add a number per window to the chosen pixel of an image of zeros: the transpose of :func:`pick`."""
    out, inner = _zeros(g, size, padding)
    tiles = window[0] <= stride[0] and window[1] <= stride[1]
    here = np.empty(choice.shape, bool)
    for number, pixels in enumerate(_places(out, window, stride)):
        np.equal(choice, number, out=here)
        if tiles:
            np.multiply(g, here, out=pixels)
        else:
            pixels += g * here
    return inner


@kernel
def window_sum(x: Any, *, window: Pair, stride: Pair, padding: tuple[Pair, Pair]) -> Any:
    """Return the sum of each window, (N, C, OH, OW): first down the columns, then along the rows."""
    x = _padded(x, padding)
    for axis in (2, 3):
        parts = _slices(x, axis, window[axis - 2], stride[axis - 2])
        total = next(parts).copy()
        for part in parts:
            total += part
        x = total
    return x


@kernel
def spread(g: Any, *, size: Pair, window: Pair, stride: Pair, padding: tuple[Pair, Pair]) -> Any:
    """Add a number per window to every pixel of it, in an image of zeros: the transpose of :func:`window_sum`."""
    out, inner = _zeros(g, size, padding)
    lines = np.zeros((*g.shape[:3], out.shape[3]), g.dtype)
    for part in _slices(lines, 3, window[1], stride[1]):
        part += g
    for part in _slices(out, 2, window[0], stride[0]):
        part += lines
    return inner


def _lowest(dtype: Any) -> Any:
    """Return what no number of a dtype is below."""
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    return False if dtype.kind == "b" else -np.inf


def _padded(x: Any, padding: tuple[Pair, Pair], value: Any = 0) -> Any:
    if padding == NO_PADDING:
        return x
    return np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)


def _zeros(g: Any, size: Pair, padding: tuple[Pair, Pair]) -> tuple[Any, Any]:
    """Return padded images of zeros, and the view of them without the padding."""
    (top, bottom), (left, right) = padding
    out = np.zeros((*g.shape[:2], size[0] + top + bottom, size[1] + left + right), g.dtype)
    return out, out[:, :, top : top + size[0], left : left + size[1]]


def _slices(x: Any, axis: int, window: int, stride: int) -> Iterator[Any]:
    """Yield for each place in a window along an axis the view of what all windows have there."""
    reach = stride * ((x.shape[axis] - window) // stride) + 1
    for place in range(window):
        yield x[(slice(None),) * axis + (slice(place, place + reach, stride),)]


def _places(x: Any, window: Pair, stride: Pair) -> Iterator[Any]:
    """Yield for each place in a window, row by row, the view (N, C, OH, OW) of what all windows have there."""
    for rows in _slices(x, 2, window[0], stride[0]):
        yield from _slices(rows, 3, window[1], stride[1])
