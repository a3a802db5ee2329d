"""Pooling for Numba: image by image, and in it a row of windows at a time.

Maxima and sums are taken down the columns first, which goes along rows of pixels that lie together, into one row that
stays in the cache; then along this row, window by window. The way back goes through the windows one after the other, so
that overlapping ones need no care, while the image stays in the cache. Margins are never written around images: where a
window's row is outside there is nothing to read, and the one row has margins of its own.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .define import jit, parallel

__all__ = ["first_maximum", "put", "spread", "window_sum"]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

SMALL = 1 << 14
"""Fewer pixels than these are not worth waking a thread."""

PLACES = 256
"""How many places of a window a byte can tell apart."""


def first_maximum(x: Any, *, window: Any, stride: Any, padding: Any) -> Any:
    if x.dtype not in FLOATS or x.size == 0 or window[0] * window[1] > PLACES:
        return NotImplemented
    x, shape = np.ascontiguousarray(x), _shape(x, window, stride, padding)
    highest, choice = np.empty(shape, x.dtype), np.empty(shape, np.uint8)
    _maxima(_images(x), _frame(window, stride, padding), _images(highest), _images(choice))
    return highest, choice


def put(g: Any, choice: Any, *, size: Any, window: Any, stride: Any, padding: Any) -> Any:
    if g.dtype not in FLOATS or g.size == 0 or choice.dtype != np.uint8:
        return NotImplemented
    g, choice, out = np.ascontiguousarray(g), np.ascontiguousarray(choice), np.empty((*g.shape[:2], *size), g.dtype)
    _put_back(_images(g), _images(choice), _frame(window, stride, padding), _images(out))
    return out


def window_sum(x: Any, *, window: Any, stride: Any, padding: Any) -> Any:
    if x.dtype not in FLOATS or x.size == 0:
        return NotImplemented
    x, out = np.ascontiguousarray(x), np.empty(_shape(x, window, stride, padding), x.dtype)
    _sums(_images(x), _frame(window, stride, padding), _images(out))
    return out


def spread(g: Any, *, size: Any, window: Any, stride: Any, padding: Any) -> Any:
    if g.dtype not in FLOATS or g.size == 0:
        return NotImplemented
    g, out = np.ascontiguousarray(g), np.empty((*g.shape[:2], *size), g.dtype)
    _spread_back(_images(g), _frame(window, stride, padding), _images(out))
    return out


def _images(x: Any) -> Any:
    """Return (N, C, H, W) as (N * C, H, W)."""
    return x.reshape(-1, *x.shape[2:])


def _shape(x: Any, window: Any, stride: Any, padding: Any) -> tuple[int, ...]:
    """Return the shape (N, C, OH, OW) of what there is one of for each window."""
    sizes = [
        (pixels + sum(margins) - length) // step + 1
        for pixels, length, step, margins in zip(x.shape[2:], window, stride, padding)
    ]
    return (*x.shape[:2], *sizes)


def _frame(window: Any, stride: Any, padding: Any) -> tuple[int, ...]:
    """Return the rows and columns of a window, of a step, and the margins above, left and right."""
    (top, _), (left, right) = padding
    return tuple([int(number) for number in (*window, *stride, top, left, right)])


# --- maxima ----------------------------------------------------------------------------------------------------------


@parallel
def _maxima(x: Any, frame: Any, highest: Any, choice: Any) -> None:
    if x.size < SMALL:
        for n in range(len(x)):
            _maxima_of_image(x[n], frame, highest[n], choice[n])
    else:
        for n in numba.prange(len(x)):
            _maxima_of_image(x[n], frame, highest[n], choice[n])


@jit
def _maxima_of_image(x: Any, frame: Any, highest: Any, choice: Any) -> None:
    """Write each window's maximum and place.

    For the loops to be over vectors of one kind, places are kept as floats, and the maxima of columns are sorted by the
    remainder of the column modulo the stride: then neighbouring windows read neighbours.
    """
    rows, columns, down, along, top, left, right = frame
    width, each = x.shape[1], (left + x.shape[1] + right) // along + 1
    best, which = np.empty(each * along, x.dtype), np.zeros(each * along, x.dtype)
    best[:] = -np.inf
    sorted_best, sorted_which = np.empty((along, each), x.dtype), np.empty((along, each), x.dtype)
    places = np.empty(highest.shape[1], x.dtype)
    for p in range(len(highest)):
        best[left : left + width] = -np.inf
        which[left : left + width] = 0
        for i in range(rows):
            r = p * down - top + i
            if 0 <= r < len(x):
                _raise_columns(x[r], x.dtype.type(i * columns), best[left : left + width], which[left : left + width])
        for rest in range(along):
            for k in range(each):
                sorted_best[rest, k] = best[k * along + rest]
                sorted_which[rest, k] = which[k * along + rest]
        for j in range(columns):
            seen, numbers = sorted_best[j % along, j // along :], sorted_which[j % along, j // along :]
            _raise_windows(seen, numbers, j, highest[p], places)
        for q in range(len(places)):
            choice[p, q] = np.uint8(places[q])


@jit
def _raise_columns(row: Any, place: Any, best: Any, which: Any) -> None:
    """Raise the maxima of columns to a row of pixels."""
    for w in range(len(row)):
        value, highest = row[w], best[w]
        which[w] = place if value > highest else which[w]
        best[w] = value if (value > highest) | (value != value) else highest


@jit
def _raise_windows(best: Any, which: Any, j: Any, highest: Any, places: Any) -> None:
    """Raise the maxima of windows to those of their columns j. Among equal ones the first place is taken."""
    first = best.dtype.type(j)
    if j == 0:
        for q in range(len(highest)):
            highest[q] = best[q]
            places[q] = which[q]
    else:
        for q in range(len(highest)):
            value, place, top, top_place = best[q], which[q] + first, highest[q], places[q]
            better = (value > top) | ((value == top) & (place < top_place))
            places[q] = place if better else top_place
            highest[q] = value if better | (value != value) else top


@parallel
def _put_back(g: Any, choice: Any, frame: Any, out: Any) -> None:
    if out.size < SMALL:
        for n in range(len(g)):
            _put_into_image(g[n], choice[n], frame, out[n])
    else:
        for n in numba.prange(len(g)):
            _put_into_image(g[n], choice[n], frame, out[n])


@jit
def _put_into_image(g: Any, choice: Any, frame: Any, out: Any) -> None:
    rows, columns, down, along, top, left, right = frame
    height, width = out.shape
    out[:] = 0
    flat = out.reshape(out.size)
    place_row, place_column = np.empty(rows * columns, np.int64), np.empty(rows * columns, np.int64)
    for place in range(rows * columns):
        place_row[place], place_column[place] = place // columns - top, place % columns - left
    distance = place_row * width + place_column
    inside = (top == 0) & (left == 0) & (right == 0) & ((len(g) - 1) * down + rows <= height)
    for p in range(g.shape[0]):
        for q in range(g.shape[1]):
            place = choice[p, q]
            r, c = p * down + place_row[place], q * along + place_column[place]
            if inside or (0 <= r < height and 0 <= c < width):  # else a margin was as high as the pixels: -inf
                flat[p * down * width + q * along + distance[place]] += g[p, q]


# --- sums ------------------------------------------------------------------------------------------------------------


@parallel
def _sums(x: Any, frame: Any, out: Any) -> None:
    if x.size < SMALL:
        for n in range(len(x)):
            _sums_of_image(x[n], frame, out[n])
    else:
        for n in numba.prange(len(x)):
            _sums_of_image(x[n], frame, out[n])


@jit
def _sums_of_image(x: Any, frame: Any, out: Any) -> None:
    rows, columns, down, along, top, left, right = frame
    width = x.shape[1]
    line = np.zeros(left + width + right, x.dtype)
    column_sums = line[left : left + width]
    for p in range(len(out)):
        column_sums[:] = 0
        for i in range(rows):
            r = p * down - top + i
            if 0 <= r < len(x):
                row = x[r]
                for w in range(width):
                    column_sums[w] += row[w]
        for q in range(out.shape[1]):
            total = line[q * along]
            for j in range(1, columns):
                total += line[q * along + j]
            out[p, q] = total


@parallel
def _spread_back(g: Any, frame: Any, out: Any) -> None:
    if out.size < SMALL:
        for n in range(len(g)):
            _spread_over_image(g[n], frame, out[n])
    else:
        for n in numba.prange(len(g)):
            _spread_over_image(g[n], frame, out[n])


@jit
def _spread_over_image(g: Any, frame: Any, out: Any) -> None:
    rows, columns, down, along, top, left, right = frame
    width = out.shape[1]
    out[:] = 0
    line = np.empty(left + width + right, g.dtype)
    for p in range(g.shape[0]):
        line[:] = 0
        for q in range(g.shape[1]):
            for j in range(columns):
                line[q * along + j] += g[p, q]
        seen = line[left : left + width]
        for i in range(rows):
            r = p * down - top + i
            if 0 <= r < len(out):
                row = out[r]
                for w in range(width):
                    row[w] += seen[w]
