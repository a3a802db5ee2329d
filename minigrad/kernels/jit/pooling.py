"""Pooling for Numba: image by image, and in it a row of windows at a time.

Maxima are taken of as many neighbouring windows at once as a vector has numbers, in registers. Sums are taken down the
columns first, which goes along rows of pixels that lie together, into one row that stays in the cache; then along this
row, window by window. The way back goes through the windows one after the other, so
that overlapping ones need no care, while the image stays in the cache. Margins are never written around images: where a
window's row is outside there is nothing to read, and the one row has margins of its own.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .define import jit, parallel, part
from .tile import BYTES, Code

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
    """Write each window's maximum and place: of neighbouring windows together, save where they are over a margin."""
    rows, columns, down, along, top, left, _ = frame
    height, width = x.shape
    pixels, values, places = x.reshape(x.size), highest.reshape(highest.size), choice.reshape(choice.size)
    lane, wide = BYTES // x.itemsize, highest.shape[1]
    begin = min(-(-left // along), wide)
    end = max(min((width + left - columns) // along + 1, wide), begin)
    above, below = -(-top // down), (height + top - rows) // down  # the first and last row of windows that are inside
    for p in range(len(highest)):
        if p < above or p > below or end - begin < lane:
            _maxima_of_windows(x, frame, p, 0, wide, highest, choice)
            continue
        row = (p * down - top) * width - left
        for q in range(begin, end, lane):
            q = min(q, end - lane)
            _maxima_of_neighbours(values, places, p * wide + q, pixels, row + q * along, width, rows, columns, along)
        if begin > 0 or end < wide:
            _maxima_of_windows(x, frame, p, 0, begin, highest, choice)
            _maxima_of_windows(x, frame, p, end, wide, highest, choice)


@part
def _maxima_of_windows(x: Any, frame: Any, p: int, first: int, last: int, highest: Any, choice: Any) -> None:
    """Look at some windows of row p one by one."""
    rows, columns, down, along, top, left, _ = frame
    height, width = x.shape
    for q in range(first, last):
        r, c = p * down - top, q * along - left
        best, which = x.dtype.type(-np.inf), 0
        for i in range(max(-r, 0), min(rows, height - r)):
            for j in range(max(-c, 0), min(columns, width - c)):
                value = x[r + i, c + j]
                which = i * columns + j if value > best else which
                best = value if (value > best) | (value != value) else best
        highest[p, q] = best
        choice[p, q] = which


@intrinsic
def _maxima_of_neighbours(typing: Any, highest: Any, choice: Any, at: Any, x: Any, start: Any, pitch: Any, rows: Any,
                          columns: Any, along: Any) -> Any:  # fmt: skip
    """Write the maxima and places of as many windows as a vector has numbers, from ``highest[at]`` on.

    The first begins at ``x[start]``, the next `along` further; rows are a `pitch` apart.
    """
    signature = types.void(highest, choice, at, x, start, pitch, rows, columns, along)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature, args)
        highest, choice, at, x, start, pitch, rows, columns, along = code.args
        size = code.vector.count
        count = ir.VectorType(ir.IntType(8 * code.itemsize), size)
        best = cgutils.alloca_once_value(builder, ir.Constant(code.vector, None))
        builder.store(code.spread(ir.Constant(code.number, -np.inf)), best)
        which = cgutils.alloca_once_value(builder, ir.Constant(count, None))
        builder.store(ir.Constant(count, None), which)
        with cgutils.for_range(builder, rows) as down:
            row = code.plus(start, code.times(down.index, pitch))
            with cgutils.for_range(builder, columns) as across:
                values = code.every(x, code.plus(row, across.index), along)
                number = builder.trunc(code.plus(code.times(down.index, columns), across.index), count.element)
                old = builder.load(best)
                higher = builder.fcmp_ordered(">", values, old)
                missing = builder.fcmp_unordered("uno", values, values)
                builder.store(builder.select(higher, code.spread(number), builder.load(which)), which)
                builder.store(builder.select(builder.or_(higher, missing), values, old), best)
        code.store(builder.load(best), highest, at)
        small = ir.VectorType(ir.IntType(8), size)
        target = builder.bitcast(builder.gep(choice, [at]), small.as_pointer())
        builder.store(builder.trunc(builder.load(which), small), target, align=1)
        return context.get_dummy_value()

    return signature, generate


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
