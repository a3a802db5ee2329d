"""Convolutions computed directly: no unfolded copy, no matrix product.

The convolution and both its gradients are one sum over taps, which a tile of registers works off (:mod:`.tile`). For a
tile, the pixels that a tap sees from neighbouring places must be neighbours in memory. So a few images at a time, or a
band of rows of a large one, are copied to a scratch that stays in the cache, with zeros around them and, where there is
a stride, with the pixels sorted by their remainder modulo the stride. In it a tap is a distance, whatever the padding,
stride and dilation, and a place is a number.

Places are taken in vectors: along each row, or, where that takes fewer (rows that do not fill a vector), along the
whole image as if it were one row, with places in between that nobody wants.

The gradient of the images is such a correlation too: with a stride of 1 one of the cotangent with the filters turned
round, else one for each remainder of the pixels' positions modulo the stride, with the taps that reach those pixels.

Numbers are moved once into the scratch and once out of the registers, and each is used in many multiply-adds, so that
these take most of the time. One-by-one kernels are left to NumPy: they are a matrix product already. Three-by-three
kernels of many channels take fewer products (:mod:`.winograd`).
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import get_thread_id, prange

from ..convolution import Pair, is_pointwise, output_size
from . import winograd
from .define import parallel, part, thread_count
from .tile import FILTERS, WIDTH, correlate, lanes, outer

Reach = tuple[tuple[int, ...], tuple[int, ...]]

__all__ = ["convolve", "input_gradient", "weight_gradient"]

SCRATCH = 192 << 10
"""How many bytes of images are copied at a time: with the filters, they should stay in a core's second-level cache."""

VECTORS = 128
"""How many vectors of places at a time: of :data:`.tile.FILTERS` filters they should stay in its first-level cache."""

SHARES = 16
"""Among how many threads the images can be shared. A fixed number, so that sums do not depend on the threads."""

SLICE = 64
"""How many filters share a copy of the images in the sum for the filters' gradient."""


def convolve(
    x: Any, w: Any, b: Any = None, *, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int
) -> Any:
    if not _fits(x, w) or (b is not None and b.dtype != x.dtype) or is_pointwise(w.shape[2:], stride, padding):
        return NotImplemented
    filters, depth, *kernel = w.shape
    size = output_size(x.shape[2:], kernel, stride=stride, padding=padding, dilation=dilation)
    out = np.empty((len(x), filters, *size), x.dtype)
    weights = w.reshape(groups, filters // groups, depth, *kernel)
    _correlate(x, weights, b, out, _reach(kernel, padding, dilation), stride)
    return out


def input_gradient(
    g: Any, w: Any, *, size: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int
) -> Any:
    filters, depth, *kernel = w.shape
    if not _fits(g, w) or is_pointwise(kernel, stride, padding):
        return NotImplemented
    turned = w.reshape(groups, filters // groups, depth, *kernel).swapaxes(1, 2)
    out = np.empty((len(g), groups * depth, *size), g.dtype)
    senders = [
        [_senders(first, k, s, before, d) for first in range(min(s, n))]
        for k, s, (before, _), d, n in zip(kernel, stride, padding, dilation, size)
    ]
    for (row, (down, rows)), (column, (along, columns)) in itertools.product(*map(enumerate, senders)):
        if rows and columns:
            weights = turned[..., down, :][..., along]
            _correlate(g, weights, None, out, (rows, columns), (1, 1), (row, column), stride)
        else:
            out[:, :, row :: stride[0], column :: stride[1]] = 0
    return out


def weight_gradient(
    g: Any, x: Any, *, kernel: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int
) -> Any:
    if not _fits(g, x) or is_pointwise(kernel, stride, padding):
        return NotImplemented
    count, filters, *size = g.shape
    depth, reach = x.shape[1] // groups, _reach(kernel, padding, dilation)
    if winograd.worth_it(depth, filters // groups, reach, stride):
        total = np.empty((groups, filters // groups, depth, *kernel), x.dtype)
        if winograd.sum_over_places(g, x, total, reach):
            return total.reshape(filters, depth, *kernel)
    plan = _plan(count, depth, tuple(size), reach, stride, x.dtype.itemsize)
    blocks = -(-(filters // groups) // FILTERS)
    several = min(blocks, SLICE // FILTERS)
    shares = min(plan.unit[0], max(1, SHARES // -(-blocks // several)))
    totals = np.zeros((shares, groups, blocks, len(plan.taps), FILTERS), x.dtype)
    slope = len(plan.places) * lanes(x.dtype.itemsize)
    scratch, slopes = _per_thread(x.dtype, plan.scratch, several * FILTERS * slope)
    _sum_over_places(
        _dense(x), _dense(g), totals, several, scratch, slopes, plan.taps, plan.places, plan.unit, plan.image
    )
    taps = depth * kernel[0] * kernel[1]
    total = totals.sum(axis=0).swapaxes(2, 3).reshape(groups, blocks * FILTERS, -1)[:, : filters // groups, :taps]
    if not np.isfinite(total).all():  # zeros between the places may have met infinite pixels
        return NotImplemented
    return np.ascontiguousarray(total).reshape(filters, depth, *kernel)


def _fits(a: Any, b: Any) -> bool:
    return a.dtype == b.dtype and a.dtype in (np.float32, np.float64) and min(a.size, b.size) > 0


def _dense(a: Any) -> Any:
    """Return an array as compiled code takes it: always of one layout, so that it is compiled once."""
    return np.require(a, requirements="CW")


def _per_thread(dtype: Any, *sizes: int) -> list[Any]:
    return [np.zeros((thread_count(), size), dtype) for size in sizes]


def _reach(kernel: Any, padding: tuple[Pair, Pair], dilation: Pair) -> Reach:
    """Return for each tap, along both axes, how far from its place it looks."""
    down, along = (tuple(d * i - before for i in range(k)) for k, (before, _), d in zip(kernel, padding, dilation))
    return down, along


def _senders(first: int, kernel: int, stride: int, before: int, dilation: int) -> tuple[list[int], tuple[int, ...]]:
    """Return which taps saw pixels first, first + stride, ... of an axis, and how far their places are from there."""
    distances = {i: first + before - i * dilation for i in range(kernel)}
    taps = [i for i, distance in distances.items() if distance % stride == 0]
    return taps, tuple(distances[i] // stride for i in taps)


def _correlate(
    x: Any, w: Any, b: Any, out: Any, reach: Reach, stride: Pair, first: Pair = (0, 0), step: Pair = (1, 1)
) -> None:
    """Store the sum over taps in the rows and columns of the output that begin at `first` and are a `step` apart.

    Parameters
    ----------
    w : array (groups, F / groups, C / groups, KH, KW)
    reach : two tuples
        Where tap [i, j] looks: (reach[0][i], reach[1][j]) from its place, which is a multiple of the stride.
    """
    groups, filters, depth = w.shape[:3]
    if step == (1, 1) and winograd.worth_it(depth, filters, reach, stride) and winograd.correlate(x, w, b, out, reach):
        return
    blocks = -(-filters // FILTERS)
    size = tuple(-(-(n - f) // s) for n, f, s in zip(out.shape[2:], first, step))
    store = out[0].size if step == (1, 1) else 0
    plan = _plan(len(x), depth, size, reach, stride, x.dtype.itemsize, WIDTH, store)
    weights = np.zeros((groups, blocks * FILTERS, len(plan.taps)), x.dtype)
    weights[:, :filters] = w.reshape(groups, filters, -1)
    weights = weights.reshape(groups, blocks, FILTERS, -1).swapaxes(2, 3)
    bias = np.zeros((groups, blocks * FILTERS), x.dtype)
    if b is not None:
        bias[:, :filters] = b.reshape(groups, filters)
    scratch, sums = _per_thread(x.dtype, plan.scratch, FILTERS * len(plan.places) * lanes(x.dtype.itemsize))
    _sum_over_taps(
        _dense(x), _dense(weights), bias, out, (filters, *size, *first, *step), plan.direct, scratch, sums,
        plan.taps, plan.places, plan.to, plan.unit, plan.image,
    )  # fmt: skip


# --- what is where in the scratch ------------------------------------------------------------------------------------


class _Plan(NamedTuple):
    """How images are taken apart into units, some images or a band of one's rows, and what is where in the scratch."""

    taps: Any  # how far on each tap looks
    places: Any  # where each vector of places begins
    to: Any  # where it goes: in the output, or in a row of all vectors
    direct: bool  # whether it goes to the output
    scratch: int  # how many numbers there are
    unit: Any  # how many: units, units in an image, images and rows in a unit, places in a row and in an image
    image: Any  # first row and column; how many: channels, rests of rows and columns, rows, columns, numbers in all


@lru_cache(maxsize=256)
def _plan(
    count: int, depth: int, size: Pair, reach: Reach, stride: Pair, itemsize: int, together: int = 0, store: int = 0
) -> _Plan:
    """Plan a correlation of some images of so many channels, with an output of a size.

    Parameters
    ----------
    together : int
        How many places are worked off together. With 0, it is taps that are.
    store : int
        How many numbers an image has in the output, if vectors can be stored there.
    """
    lane = lanes(itemsize)
    first = tuple(min(distances) for distances in reach)
    down, along = ([divmod(d - f, s) for d in distances] for distances, f, s in zip(reach, first, stride))
    below, beside = (max(whole for whole, _ in steps) for steps in (down, along))
    width = size[1] + beside
    filled = -(-size[1] // lane) * lane
    as_one_row = size[0] * filled > (size[0] - 1) * width + size[1]
    pitch = width if as_one_row else filled
    direct = store > 0 and not as_one_row and size[1] >= lane

    def vectors(rows: int) -> int:
        return -(-((rows - 1) * pitch + size[1]) // lane)

    def plane(rows: int) -> int:
        """Return how many numbers to give a plane: an odd number of cache lines, so that planes fall on all of them."""
        line = 64 // itemsize
        return (-(-(rows + below) * width // line) | 1) * line

    def fits(images: int, rows: int) -> bool:
        numbers = images * depth * stride[0] * stride[1] * plane(rows)
        return numbers * itemsize <= SCRATCH and images * vectors(rows) <= VECTORS

    rows, images = size[0], 1
    while rows > 1 and not fits(1, rows) or rows > 8 and count * -(-size[0] // rows) < SHARES:
        rows = -(-rows // 2)
    while rows == size[0] and fits(2 * images, rows) and count >= 2 * images * SHARES:
        images *= 2
    bands = -(-size[0] // rows)
    rest = plane(rows)
    channel = stride[0] * stride[1] * rest
    taps = [
        c * channel + (row_rest * stride[1] + column_rest) * rest + row * width + column
        for c, (row, row_rest), (column, column_rest) in itertools.product(range(depth), down, along)
    ]
    places, to = [], []
    for n, v in itertools.product(range(images), range(vectors(rows))):
        row, column = divmod(v * lane, pitch)
        if direct:
            column = min(column, size[1] - lane)
        places.append(n * depth * channel + row * width + column)
        to.append(n * store + row * size[1] + column if direct else len(to) * lane)
    if together:
        places, to = (each + each[-1:] * (-len(each) % together) for each in (places, to))
    else:
        taps += taps[-1:] * (-len(taps) % WIDTH)
    return _Plan(
        np.array(taps),
        np.array(places),
        np.array(to),
        direct,
        images * depth * channel + width + 2 * lane,
        (bands * -(-count // images), bands, images, rows, pitch, vectors(rows) * lane),
        (*first, depth, *stride, rows + below, width, rest),
    )


# --- compiled --------------------------------------------------------------------------------------------------------


@part
def _begin(number: int, unit: Any, count: int, rows: int) -> Any:
    """Return the first image and row of a unit, and how many of them are another's, since the last unit is full too."""
    _, bands, images, band, _, _ = unit
    image, row = number // bands * images, number % bands * band
    first_image, first_row = min(image, count - images), min(row, rows - band)
    return first_image, first_row, image - first_image, row - first_row


@part
def _copy(x: Any, first_image: int, images: int, first_channel: int, first_row: int, image: Any, scratch: Any) -> None:
    """Copy a unit of images to the scratch, with zeros around, sorted by the remainders of rows and columns."""
    up, left, depth, row_step, column_step, rows, columns, size = image
    height, width = x.shape[2:]
    start = 0
    for n in range(first_image, first_image + images):
        for c in range(first_channel, first_channel + depth):
            for row_rest in range(row_step):
                for column_rest in range(column_step):
                    column = left + column_rest
                    begin = min(max(0, -(column // column_step)), columns)
                    end = max(min(columns, (width - 1 - column) // column_step + 1), begin)
                    for i in range(rows):
                        row = first_row * row_step + up + row_rest + i * row_step
                        line = scratch[start + i * columns : start + (i + 1) * columns]
                        if row < 0 or row >= height:
                            line[:] = 0
                            continue
                        line[:begin] = 0
                        line[end:] = 0
                        inner = line[begin:end]
                        if column_step == 1:
                            pixels = x[n, c, row, column + begin : column + end]
                            for j in range(inner.size):
                                inner[j] = pixels[j]
                        else:
                            pixels = x[n, c, row]
                            for j in range(inner.size):
                                inner[j] = pixels[column + (begin + j) * column_step]
                    start += size


@part
def _spread(sums: Any, live: int, n: int, f: int, row: int, unit: Any, grid: Any, out: Any) -> None:
    """Move the sums of some filters from the row of all places to their own rows and columns of the output."""
    _, _, images, rows, pitch, all_places = unit
    _, _, columns, first_row, first_column, row_step, column_step = grid
    size = sums.size // FILTERS
    for i in range(live):
        for k in range(images):
            for p in range(rows):
                start = i * size + k * all_places + p * pitch
                line = sums[start : start + columns]
                to = out[n + k, f + i, first_row + (row + p) * row_step]
                if column_step == 1:
                    to = to[first_column : first_column + columns]
                    for q in range(columns):
                        to[q] = line[q]
                else:
                    for q in range(columns):
                        to[first_column + q * column_step] = line[q]


@part
def _unit_of_taps(
    number: int, x: Any, weights: Any, bias: Any, out: Any, grid: Any, direct: bool, scratch: Any, sums: Any,
    taps: Any, places: Any, to: Any, unit: Any, image: Any,
) -> None:  # fmt: skip
    n, row, _, _ = _begin(number, unit, len(x), grid[1])
    filters, plane = grid[0], out.shape[2] * out.shape[3]
    flat = out.reshape(out.size)
    for group in range(len(weights)):
        _copy(x, n, unit[2], group * image[2], row, image, scratch)
        for block in range(weights.shape[1]):
            live = min(FILTERS, filters - block * FILTERS)
            f = group * filters + block * FILTERS
            start = (n * out.shape[1] + f) * plane + row * out.shape[3] if direct else 0
            for v in range(0, places.size, WIDTH):
                correlate(
                    flat if direct else sums, start, plane if direct else sums.size // FILTERS, live,
                    to[v : v + WIDTH], bias[group, block * FILTERS :], weights[group, block], taps,
                    scratch, places[v : v + WIDTH],
                )  # fmt: skip
            if not direct:
                _spread(sums, live, n, f, row, unit, grid, out)


@parallel
def _sum_over_taps(
    x: Any, weights: Any, bias: Any, out: Any, grid: Any, direct: bool, scratch: Any, sums: Any,
    taps: Any, places: Any, to: Any, unit: Any, image: Any,
) -> None:  # fmt: skip
    """Correlate: each unit by itself.

    Parameters
    ----------
    grid : filters of a group, rows, columns, first row, first column, step of rows, step of columns
        Of the output.
    """
    for number in prange(unit[0]):
        thread = get_thread_id()
        _unit_of_taps(
            np.intp(number), x, weights, bias, out, grid, direct, scratch[thread], sums[thread],
            taps, places, to, unit, image,
        )  # fmt: skip


@part
def _copy_slopes(
    g: Any, n: int, row: int, old_images: int, old_rows: int, f: int, filters: int, unit: Any, slopes: Any
) -> None:
    """Copy a unit of the cotangent, each filter's places in a row; zeros between them, and for another unit's."""
    _, _, images, rows, pitch, all_places = unit
    size, columns = images * all_places, g.shape[3]
    slopes[: filters * size] = 0
    for i in range(filters):
        for k in range(old_images, images):
            for p in range(old_rows, rows):
                start = i * size + k * all_places + p * pitch
                line, to = g[n + k, f + i, row + p], slopes[start : start + columns]
                for q in range(columns):
                    to[q] = line[q]


@part
def _share_of_places(
    share: int, shares: int, first: int, last: int, x: Any, g: Any, totals: Any, scratch: Any, slopes: Any,
    taps: Any, places: Any, unit: Any, image: Any,
) -> None:  # fmt: skip
    """Sum over the units share, share + shares, ... for the filters of some blocks."""
    size = unit[2] * unit[5]
    groups = totals.shape[0]
    filters = g.shape[1] // groups
    for number in range(share, unit[0], shares):
        n, row, old_images, old_rows = _begin(number, unit, len(x), g.shape[2])
        for group in range(groups):
            _copy(x, n, unit[2], group * image[2], row, image, scratch)
            live = min(last * FILTERS, filters) - first * FILTERS
            _copy_slopes(g, n, row, old_images, old_rows, group * filters + first * FILTERS, live, unit, slopes)
            for block in range(first, last):
                lines = slopes[(block - first) * FILTERS * size :]
                for k in range(0, taps.size, WIDTH):
                    outer(totals[group, block, k : k + WIDTH], taps[k : k + WIDTH], lines, size, scratch, places)


@parallel
def _sum_over_places(
    x: Any, g: Any, totals: Any, several: int, scratch: Any, slopes: Any, taps: Any, places: Any, unit: Any, image: Any
) -> None:
    """Sum over places: in each share of the units, and for several blocks of filters, by itself."""
    shares, blocks = len(totals), totals.shape[2]
    parts = -(-blocks // several)
    for job in prange(shares * parts):
        thread = get_thread_id()
        share, first = np.intp(job) // parts, np.intp(job) % parts * several
        _share_of_places(
            share, shares, first, min(first + several, blocks), x, g, totals[share], scratch[thread], slopes[thread],
            taps, places, unit, image,
        )  # fmt: skip
