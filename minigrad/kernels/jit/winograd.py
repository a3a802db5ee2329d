"""Correlations of 3 by 3 taps with fewer products than there are pairs of tap and place.

Two neighbouring sums over three taps each take four products instead of six, if pixels and weights are first combined:
Winograd's F(2, 3). In two dimensions a tile of 2 by 2 places, which sees 4 by 4 pixels, takes 16 products, not 36:

    out = A' [ U * (B' x B) ] A,    U = G w G',    * element by element

(Winograd, "Arithmetic complexity of computations", 1980; Lavin and Gray, 2016, arXiv:1509.09308.) Sums over channels
come between: for each of the 16 elements one matrix product, (tiles, channels) by (channels, filters). The gradient of
the filters is the same with the sum over tiles:

    d_w = G' [ sum of (A g A') * (B' x B) ] G

All factors are 0, 1, -1 and 1/2, so rounding is as in the sums over taps, relative to the largest number that a tile
sees. Infinite numbers are another matter: their differences are NaN all over a tile. What is not finite is found, and
left to the direct way.

Images are taken apart into units whose combined pixels stay in a core's second-level cache. In a unit, channels come
last: then combining is arithmetic on vectors of channels, whatever the size of images, and the products are the rows
and panels of an ordinary matrix product, whose sums stay in registers (:mod:`.tile`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import get_thread_id, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from .define import parallel, part, thread_count
from .tile import Code, lanes

__all__ = ["correlate", "sum_over_places", "worth_it"]

LEAST = 16
"""From how many channels and filters on the smaller number of products outweighs the combining."""

COMBINED = 128 << 10
"""How many bytes of combined pixels to work on at a time."""

TILES = 24
"""How many tiles to work on at a time, however many channels they have."""

SHARES = 8
"""Among how many threads the sum over places can be shared. A fixed number, so that sums do not depend on them."""

TOTALS = 16 << 20
"""How many bytes their sums may take."""

IMAGE = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
"""B', which combines pixels."""

SLOPE = ((1, 0), (1, 1), (1, -1), (0, -1))
"""A, which combines the cotangent of a tile."""

BACK = ((1, 1, 1, 0), (0, 1, -1, -1))
"""A', which makes a tile of sums from products."""

PANEL = 2
"""How many vectors of filters a tile of registers has."""

Pair = tuple[int, int]


def worth_it(depth: int, filters: int, reach: Any, stride: Pair) -> bool:
    """Whether a correlation is of 3 by 3 neighbours, and of enough channels to be done this way."""
    near = all(max(distances) - min(distances) == 2 and len(distances) == 3 for distances in reach)
    return near and stride == (1, 1) and min(depth, filters) >= LEAST


def correlate(x: Any, w: Any, b: Any, out: Any, reach: Any) -> bool:
    """Store the sum over taps, and return whether all of it is finite.

    Parameters
    ----------
    w : array (groups, F / groups, C / groups, 3, 3)
    reach : two tuples
        Where tap [i, j] looks: (reach[0][i], reach[1][j]) from its place.
    """
    groups, filters, depth = w.shape[:3]
    lane = lanes(x.dtype.itemsize)
    panels, room = -(-filters // (PANEL * lane)), -(-depth // lane) * lane
    plan = _plan(len(x), out.shape[2:], 16 * room * x.dtype.itemsize)
    bias = np.zeros((groups, panels * PANEL * lane), x.dtype)
    if b is not None:
        bias[:, :filters] = b.reshape(groups, filters)
    shape = (groups, filters, depth, room, lane, *(min(distances) for distances in reach))
    threads = thread_count()
    scratch = np.empty((threads, plan.pixels * room), x.dtype)
    combined = np.zeros((threads, 16 * plan.tiles * room), x.dtype)
    products = np.empty((threads, 16 * plan.tiles * PANEL * lane), x.dtype)
    sums = np.empty((threads, plan.pixels * PANEL * lane), x.dtype)
    check = np.zeros((threads, PANEL * lane), x.dtype)
    down, along = (slice(None, None, 1 if distances[0] < distances[-1] else -1) for distances in reach)
    weights = np.empty(groups * panels * 16 * depth * PANEL * lane, x.dtype)
    _combine_weights(w[..., down, along], PANEL * lane, weights)
    _sum_over_taps(
        np.require(x, requirements="CW"), weights, bias.reshape(-1), out, shape, plan.unit,
        scratch, combined, products, sums, check,
    )  # fmt: skip
    return bool(np.isfinite(check).all())


def sum_over_places(g: Any, x: Any, total: Any, reach: Any) -> bool:
    """Store the gradient of the filters in `total`, (groups, F / groups, C / groups, 3, 3); whether it is finite."""
    groups, filters, depth = total.shape[:3]
    lane = lanes(x.dtype.itemsize)
    room, width = -(-depth // lane) * lane, -(-filters // (PANEL * lane)) * PANEL * lane
    plan = _plan(len(x), g.shape[2:], 8 * (room + width) * x.dtype.itemsize)
    shape = (groups, filters, depth, room, lane, *(min(distances) for distances in reach), width)
    size, threads = groups * 16 * room * width, thread_count()
    shares = min(plan.unit[0], SHARES, max(TOTALS // (size * x.dtype.itemsize), 2))
    scratch = np.empty((threads, plan.pixels * room), x.dtype)
    slope_scratch = np.empty((threads, plan.pixels * width), x.dtype)
    combined = np.zeros((threads, 16 * plan.tiles * room), x.dtype)
    slopes = np.zeros((threads, 16 * plan.tiles * width), x.dtype)
    totals = np.empty((shares, size), x.dtype)
    _sum_over_tiles(
        np.require(x, requirements="CW"), np.require(g, requirements="CW"), totals, shape, plan.unit,
        scratch, slope_scratch, combined, slopes,
    )  # fmt: skip
    with np.errstate(all="ignore"):
        sums = totals.sum(axis=0)
    _transposed_weights(sums.reshape(groups, 16, room * width), width, total)
    return bool(np.isfinite(total).all())


# --- what is worked on at a time -------------------------------------------------------------------------------------


class _Plan(NamedTuple):
    """How images are taken apart into units, some images or a band of one's rows of tiles."""

    tiles: int  # how many there is room for in a unit, and a few that nobody wants
    pixels: int  # how many a unit sees
    unit: Any  # how many: units, units in an image, images in a unit, rows of tiles in a unit, tiles in a row


@lru_cache(maxsize=256)
def _plan(count: int, size: Pair, tile_bytes: int) -> _Plan:
    down, along = (-(-n // 2) for n in size)
    most = max(COMBINED // tile_bytes, TILES)
    bands = -(-down // max(1, min(most // along, down)))
    while bands < down and count * bands < 2 * SHARES:
        bands *= 2
    rows = -(-down // bands)
    bands = -(-down // rows)
    images = max(1, min(most // (rows * along), count // (2 * SHARES))) if bands == 1 else 1
    pixels = images * (2 * rows + 2) * (2 * along + 2)
    return _Plan(images * rows * along + 4, pixels, (-(-count // images) * bands, bands, images, rows, along))


# --- loops over vectors ----------------------------------------------------------------------------------------------


def _signed(code: Any, signs: Any, values: Any) -> Any:
    """Return a sum of some vectors or their negatives."""
    total = None
    for sign, value in sorted(zip(signs, values), key=lambda pair: -pair[0]):
        if sign == 1:
            total = value if total is None else code.builder.fadd(total, value)
        elif sign == -1:
            total = code.builder.fneg(value) if total is None else code.builder.fsub(total, value)
    return total


def _combination(matrix: Any) -> Any:
    """Return a function that combines the pixels of a tile: matrix times pixels times the matrix turned round."""
    size = len(matrix[0])

    @intrinsic
    def combine(typing: Any, to: Any, start: Any, step: Any, x: Any, corner: Any, line: Any, room: Any) -> Any:
        """Read ``x[corner + i * line + j * room + c]`` for channels c, and write ``to[start + k * step + c]``."""
        signature = types.void(to, start, step, x, corner, line, room)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code = Code(context, builder, signature, args)
            to, start, step, x, corner, line, room = code.args
            with cgutils.for_range(builder, builder.sdiv(room, code.whole(code.vector.count))) as loop:
                channel = code.times(loop.index, code.whole(code.vector.count))
                place = code.plus(corner, channel)
                lines = []
                for i in range(size):
                    row = code.plus(place, code.times(line, code.whole(i)))
                    lines.append([code.load(x, code.plus(row, code.times(room, code.whole(j)))) for j in range(size)])
                target = code.plus(start, channel)
                for i, down in enumerate(matrix):
                    row = [_signed(code, down, column) for column in zip(*lines)]
                    for j, along in enumerate(matrix):
                        place = code.plus(target, code.times(step, code.whole(4 * i + j)))
                        code.store(_signed(code, along, row), to, place)
            return context.get_dummy_value()

        return signature, generate

    return combine


_combine_pixels, _combine_slopes = _combination(IMAGE), _combination(SLOPE)


def _product(height: int) -> Any:
    """Return the innermost loop of a matrix product, for a tile of so many rows."""

    @intrinsic
    def multiply(typing: Any, out: Any, to: Any, pitch: Any, a: Any, a_start: Any, a_step: Any, a_pitch: Any, b: Any,
                 b_start: Any, b_step: Any, count: Any, add: Any) -> Any:  # fmt: skip
        """Store, or add, the sum over k of the numbers ``a[a_start + k * a_step + r * a_pitch]`` times some vectors.

        These are ``b[b_start + k * b_step ...]``, and the result of row r is ``out[to + r * pitch ...]``.
        """
        signature = types.void(out, to, pitch, a, a_start, a_step, a_pitch, b, b_start, b_step, count, add)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code = Code(context, builder, signature, args)
            out, to, pitch, a, a_start, a_step, a_pitch, b, b_start, b_step, count, add = code.args
            size = code.vector.count
            zero = ir.Constant(code.vector, None)
            sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(PANEL)] for _ in range(height)]
            for line in sums:
                for total in line:
                    builder.store(zero, total)
            targets = [
                [code.plus(code.plus(to, code.times(pitch, code.whole(r))), code.whole(v * size)) for v in range(PANEL)]
                for r in range(height)
            ]
            shifts = [code.plus(a_start, code.times(a_pitch, code.whole(r))) for r in range(height)]
            with cgutils.for_range(builder, count) as loop:
                row = code.plus(b_start, code.times(loop.index, b_step))
                vectors = [code.load(b, code.plus(row, code.whole(v * size))) for v in range(PANEL)]
                column = code.times(loop.index, a_step)
                for line, shift in zip(sums, shifts):
                    number = code.spread(code.element(a, code.plus(shift, column)))
                    for total, vector in zip(line, vectors):
                        code.accumulate(total, number, vector)
            with builder.if_then(builder.icmp_signed("!=", add, ir.Constant(add.type, 0))):
                for line, places in zip(sums, targets):
                    for total, place in zip(line, places):
                        builder.store(builder.fadd(builder.load(total), code.load(out, place)), total)
            for line, places in zip(sums, targets):
                for total, place in zip(line, places):
                    code.store(builder.load(total), out, place)
            return context.get_dummy_value()

        return signature, generate

    return multiply


_multiply_six, _multiply_four = _product(6), _product(4)


@intrinsic
def _collect(typing: Any, to: Any, start: Any, row: Any, pixel: Any, products: Any, first: Any, step: Any, bias: Any,
             filters: Any, check: Any) -> Any:  # fmt: skip
    """Make a tile of sums from 16 products, ``products[first + i * step ...]``, for each filter of a panel.

    They go to ``to[start + r * row + c * pixel ...]``. Adds to `check` numbers that are zero, or NaN where a sum is not
    finite.
    """
    signature = types.void(to, start, row, pixel, products, first, step, bias, filters, check)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature, args)
        to, start, row, pixel, products, first, step, bias, filters, check = code.args
        zero = ir.Constant(code.vector, None)
        for v in range(PANEL):
            shift = code.whole(v * code.vector.count)
            elements = [
                code.load(products, code.plus(code.plus(first, shift), code.times(step, code.whole(i))))
                for i in range(16)
            ]
            offset = code.load(bias, code.plus(filters, shift))
            found = []
            columns = [[_signed(code, signs, elements[j::4]) for j in range(4)] for signs in BACK]
            for r, line in enumerate(columns):
                for c, signs in enumerate(BACK):
                    found.append(builder.fadd(_signed(code, signs, line), offset))
                    place = code.plus(code.times(row, code.whole(r)), code.times(pixel, code.whole(c)))
                    code.store(found[-1], to, code.plus(code.plus(start, shift), place))
            total = builder.fadd(builder.fadd(found[0], found[1]), builder.fadd(found[2], found[3]))
            code.store(code.multiply_add(total, zero, code.load(check, shift)), check, shift)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _transpose(typing: Any, to: Any, start: Any, pitch: Any, x: Any, first: Any, step: Any) -> Any:
    """Store as many vectors as a vector has numbers, transposed: from ``x[first + i * step ...]`` to `to`, likewise."""
    signature = types.void(to, start, pitch, x, first, step)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature, args)
        to, start, pitch, x, first, step = code.args
        size = code.vector.count
        rows = [code.load(x, code.plus(first, code.times(step, code.whole(i)))) for i in range(size)]
        half = size // 2
        while half:  # swap the off-diagonal quarters of squares of twice the size
            for i in range(size):
                if not i & half:
                    a, b = rows[i], rows[i + half]
                    rows[i] = code.shuffle(a, b, [p + size - half if p & half else p for p in range(size)])
                    rows[i + half] = code.shuffle(a, b, [p + size if p & half else p + half for p in range(size)])
            half //= 2
        for i, line in enumerate(rows):
            code.store(line, to, code.plus(start, code.times(pitch, code.whole(i))))
        return context.get_dummy_value()

    return signature, generate


# --- weights ---------------------------------------------------------------------------------------------------------


@parallel
def _combine_weights(w: Any, panel: int, to: Any) -> None:
    """Store ``G w G'`` of weights (groups, F, C, 3, 3), as (groups, panels, 16, C, filters of a panel)."""
    panels = -(-w.shape[1] // panel)
    for block in prange(len(w) * panels):
        _combine_panel(w[block // panels], np.intp(block) % panels * panel, panel, to, np.intp(block) * 16)


@part
def _combine_panel(w: Any, first: int, panel: int, to: Any, element: int) -> None:
    depth, half, rows = w.shape[1], w.dtype.type(0.5), np.empty((4, 3), w.dtype)
    step = depth * panel
    for c in range(depth):
        for k in range(panel):
            start = (element * depth + c) * panel + k
            if first + k >= len(w):
                for e in range(16):
                    to[start + e * step] = 0
                continue
            taps = w[first + k, c]
            for j in range(3):
                rows[0, j], rows[1, j], rows[2, j], rows[3, j] = _four(taps[0, j], taps[1, j], taps[2, j], half)
            for i in range(4):
                here = start + 4 * i * step
                to[here], to[here + step], to[here + 2 * step], to[here + 3 * step] = _four(
                    rows[i, 0], rows[i, 1], rows[i, 2], half
                )


@part
def _four(first: Any, middle: Any, last: Any, half: Any) -> Any:
    """Return G times three taps."""
    ends, middle = (first + last) * half, middle * half
    return first, ends + middle, ends - middle, last


@part
def _three(first: Any, plus: Any, minus: Any, last: Any, half: Any) -> Any:
    """Return G' times four elements."""
    both = (plus + minus) * half
    return first + both, (plus - minus) * half, both + last


@parallel
def _transposed_weights(sums: Any, width: int, total: Any) -> None:
    """Store ``G' sum G`` of sums (groups, 16, C, F), C and F with room, as (groups, F, C, 3, 3)."""
    for channel in prange(len(total) * total.shape[2]):
        group, c = channel // total.shape[2], np.intp(channel) % total.shape[2]
        _transposed_channel(sums[group], c * width, total[group], c)


@part
def _transposed_channel(sums: Any, start: int, total: Any, c: int) -> None:
    half, rows = sums.dtype.type(0.5), np.empty((3, 4), sums.dtype)
    for f in range(len(total)):
        for j in range(4):
            rows[0, j], rows[1, j], rows[2, j] = _three(
                sums[j, start + f], sums[4 + j, start + f], sums[8 + j, start + f], sums[12 + j, start + f], half
            )
        for i in range(3):
            total[f, c, i, 0], total[f, c, i, 1], total[f, c, i, 2] = _three(
                rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], half
            )


# --- compiled --------------------------------------------------------------------------------------------------------


@part
def _gather(
    x: Any, n: int, first: int, depth: int, row: int, column: int, rows: int, columns: int, room: int, lane: int,
    to: Any, start: int,
) -> None:  # fmt: skip
    """Copy a part of an image, channels last, with zeros around it and after the channels."""
    _, channels, height, width = x.shape
    pixels, plane = x.reshape(x.size), height * width
    whole = depth // lane * lane
    begin = min(max(-column, 0), columns)
    end = max(min(columns, width - column), begin)
    for i in range(rows):
        line = start + i * columns * room
        if row + i < 0 or row + i >= height:
            to[line : line + columns * room] = 0
            continue
        to[line : line + begin * room] = 0
        to[line + end * room : line + columns * room] = 0
    for c in range(0, room, lane):
        for i in range(max(0, -row), min(rows, height - row)):
            line = start + i * columns * room + c
            source = ((n * channels + first + c) * height + row + i) * width + column
            if c < whole and end - begin >= lane:
                for j in range(begin, end - lane + 1, lane):
                    _transpose(to, line + j * room, room, pixels, source + j, plane)
                if (end - begin) % lane:
                    _transpose(to, line + (end - lane) * room, room, pixels, source + end - lane, plane)
            else:
                for j in range(begin, end):
                    for k in range(lane):
                        to[line + j * room + k] = pixels[source + j + k * plane] if c + k < depth else 0


@part
def _scatter(sums: Any, columns: int, panel: int, lane: int, n: int, f: int, live: int, row: int, out: Any) -> None:
    """Copy rows of sums, filters last, to as many rows of an image as there are from `row` on."""
    _, filters, height, width = out.shape
    pixels, plane = out.reshape(out.size), height * width
    for c in range(0, live, lane):
        for i in range(sums.size // (columns * panel)):
            if row + i >= height:
                break
            line = i * columns * panel + c
            target = ((n * filters + f + c) * height + row + i) * width
            if c + lane <= live and width >= lane:
                for j in range(0, width - lane + 1, lane):
                    _transpose(pixels, target + j, plane, sums, line + j * panel, panel)
                if width % lane:
                    _transpose(pixels, target + width - lane, plane, sums, line + (width - lane) * panel, panel)
            else:
                for k in range(min(lane, live - c)):
                    for j in range(width):
                        pixels[target + k * plane + j] = sums[line + j * panel + k]


@part
def _begin(number: int, unit: Any, count: int, height: int) -> Any:
    """Return the first image and row of tiles of a unit, and how many of them it has."""
    _, bands, images, rows, _ = unit
    image, row = number // bands * images, number % bands * rows
    return image, row, min(images, count - image), min(rows, (height + 1) // 2 - row)


@part
def _combined_pixels(scratch: Any, images: int, rows: int, along: int, room: int, to: Any) -> None:
    """Store the 4 by 4 combinations of each tile's pixels."""
    line, step, start = (2 * along + 2) * room, to.size // 16, 0
    for k in range(images):
        for p in range(rows):
            for q in range(along):
                corner = (k * (2 * rows + 2) + 2 * p) * line + 2 * q * room
                _combine_pixels(to, start, step, scratch, corner, line, room)
                start += room


@part
def _combined_slopes(scratch: Any, images: int, rows: int, along: int, room: int, to: Any) -> None:
    """Store the 4 by 4 combinations of the cotangent of each tile."""
    line, step, start = 2 * along * room, to.size // 16, 0
    for p in range(images * rows):
        for q in range(along):
            _combine_slopes(to, start, step, scratch, 2 * p * line + 2 * q * room, line, room)
            start += room


@part
def _unit_of_taps(
    number: int, x: Any, weights: Any, bias: Any, out: Any, shape: Any, unit: Any, scratch: Any, combined: Any,
    products: Any, sums: Any, check: Any,
) -> None:  # fmt: skip
    groups, filters, depth, room, lane, first_row, first_column = shape
    n, row, images, rows = _begin(number, unit, len(x), out.shape[2])
    along, panel = unit[4], PANEL * lane
    high, wide, tiles = 2 * rows + 2, 2 * along + 2, images * rows * along
    step = combined.size // 16
    product_step = products.size // 16
    for group in range(groups):
        for k in range(images):
            _gather(
                x, n + k, group * depth, depth, 2 * row + first_row, first_column, high, wide, room, lane,
                scratch, k * high * wide * room,
            )  # fmt: skip
        _combined_pixels(scratch, images, rows, along, room, combined)
        for f in range(0, filters, panel):
            block = group * -(-filters // panel) + f // panel
            for e in range(16):
                here = (block * 16 + e) * depth * panel
                t = 0
                while t < tiles:
                    to, a = e * product_step + t * panel, e * step + t * room
                    if _six(tiles - t):
                        _multiply_six(products, to, panel, combined, a, 1, room, weights, here, panel, depth, 0)
                        t += 6
                    else:
                        _multiply_four(products, to, panel, combined, a, 1, room, weights, here, panel, depth, 0)
                        t += 4
            tile = 0
            for p in range(images * rows):
                for q in range(along):
                    corner = (2 * p * along + q) * 2 * panel
                    _collect(
                        sums, corner, 2 * along * panel, panel, products, tile, product_step, bias, block * panel, check
                    )
                    tile += panel
            size = 4 * rows * along * panel
            for k in range(images):
                _scatter(
                    sums[k * size : (k + 1) * size], 2 * along, panel, lane, n + k, group * filters + f,
                    min(panel, filters - f), 2 * row, out,
                )  # fmt: skip


@part
def _six(left: int) -> bool:
    """Whether to take six of so many rows, rather than four, so that as few as can be are taken in vain."""
    return left > 8 or 4 < left < 7


@parallel
def _sum_over_taps(
    x: Any, weights: Any, bias: Any, out: Any, shape: Any, unit: Any, scratch: Any, combined: Any, products: Any,
    sums: Any, check: Any,
) -> None:  # fmt: skip
    """Correlate: each unit by itself.

    Parameters
    ----------
    shape : groups, filters of a group, channels of one, room for these, numbers in a vector, first row, first column
    """
    for number in prange(unit[0]):
        thread = get_thread_id()
        _unit_of_taps(
            np.intp(number), x, weights, bias, out, shape, unit, scratch[thread], combined[thread],
            products[thread], sums[thread], check[thread],
        )  # fmt: skip


@part
def _share_of_tiles(
    share: int, shares: int, x: Any, g: Any, totals: Any, shape: Any, unit: Any, scratch: Any, slope_scratch: Any,
    combined: Any, slopes: Any,
) -> None:  # fmt: skip
    """Sum over the units share, share + shares, ..."""
    groups, filters, depth, room, lane, first_row, first_column, width = shape
    along, panel = unit[4], PANEL * lane
    step, slope_step = combined.size // 16, slopes.size // 16
    for number in range(share, unit[0], shares):
        n, row, images, rows = _begin(number, unit, len(x), g.shape[2])
        high, wide, tiles, add = 2 * rows + 2, 2 * along + 2, images * rows * along, np.intp(number > share)
        for group in range(groups):
            for k in range(images):
                _gather(
                    x, n + k, group * depth, depth, 2 * row + first_row, first_column, high, wide, room, lane,
                    scratch, k * high * wide * room,
                )  # fmt: skip
                _gather(
                    g, n + k, group * filters, filters, 2 * row, 0, 2 * rows, 2 * along, width, lane,
                    slope_scratch, k * 4 * rows * along * width,
                )  # fmt: skip
            _combined_pixels(scratch, images, rows, along, room, combined)
            _combined_slopes(slope_scratch, images, rows, along, width, slopes)
            for e in range(16):
                element = (group * 16 + e) * room
                for f in range(0, width, panel):
                    b, c = e * slope_step + f, 0
                    while c < room:
                        to, a = (element + c) * width + f, e * step + c
                        if _six(room - c):
                            _multiply_six(totals, to, width, combined, a, room, 1, slopes, b, width, tiles, add)
                            c += 6
                        else:
                            _multiply_four(totals, to, width, combined, a, room, 1, slopes, b, width, tiles, add)
                            c += 4


@parallel
def _sum_over_tiles(
    x: Any, g: Any, totals: Any, shape: Any, unit: Any, scratch: Any, slope_scratch: Any, combined: Any, slopes: Any
) -> None:
    """Sum over tiles: in each share of the units by itself."""
    for share in prange(len(totals)):
        thread = get_thread_id()
        _share_of_tiles(
            np.intp(share), len(totals), x, g, totals[share], shape, unit, scratch[thread], slope_scratch[thread],
            combined[thread], slopes[thread],
        )  # fmt: skip
