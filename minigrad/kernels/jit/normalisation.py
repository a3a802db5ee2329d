"""Normalisation for Numba: over the batch, and over groups of channels within a sample.

Every result reads its arguments from memory once for the sums and once for itself; the second time they often still are
in the cache. Over the batch, one reading gives both sums because they are of differences from a channel's first number:
a large mean does not cancel there, since that number is one of those whose spread is measured.

Sums over many numbers are taken in parts (of a row, or of some rows) in the dtype of the array, and the parts are added
up in float64. Which parts there are depends on the shape alone, so the bits do not depend on the number of threads.

A channel's pixels lie together. Where they are many, loops run along them; where they are few (or one, as in (N, D)),
along the line of all channels and pixels of a sample, with each channel's factors repeated for its pixels.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .define import EXACT, jit, parallel

__all__ = ["batch_backward", "batch_forward", "group_backward", "group_forward"]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

FEW = 32
"""Fewer pixels than these are not worth a loop of their own."""

PART = 1024
"""How many numbers of a row to add up before float64 takes over."""

ROWS, COLUMNS = 64, 512
"""The size of a tile of lines."""

SMALL = 1 << 15
"""Fewer numbers than these are not worth waking a thread."""


# --- what is called --------------------------------------------------------------------------------------------------


def batch_forward(x: Any, gamma: Any, beta: Any, *, eps: float, relu: bool = False) -> Any:
    if not _served(x, gamma, beta):
        return NotImplemented
    x, gamma, beta = map(np.ascontiguousarray, (x, gamma, beta))
    out, stats = np.empty(x.shape, x.dtype), np.empty((4, x.shape[1]), x.dtype)
    run = _lines_forward if x.shape[2] < FEW else _planes_forward
    run(x, gamma, beta, eps, relu, out, stats)
    mean, var = stats[0], stats[1]
    return (out, mean, var, stats[::3]) if relu else (out, mean, var)


def batch_backward(
    g: Any, x: Any, gamma: Any, mean: Any, var: Any, *, eps: float, wants: tuple[str, ...], rectified: Any = None
) -> Any:
    relu = rectified is not None
    shift = rectified[1] if relu else mean  # else not read
    if not _served(x, g, gamma, mean, var, shift):
        return NotImplemented
    g, x, gamma, mean, var, shift = map(np.ascontiguousarray, (g, x, gamma, mean, var, shift))
    d_x, sums = np.empty(x.shape if "x" in wants else (0, 0, 0), x.dtype), np.empty((2, x.shape[1]), x.dtype)
    run = _lines_backward if x.shape[2] < FEW else _planes_backward
    run(g, x, gamma, mean, var, shift, eps, relu, d_x, sums)
    found = {"x": d_x, "gamma": sums[0], "beta": sums[1]}
    return tuple([found[name] for name in wants])


def group_forward(x: Any, gamma: Any, beta: Any, *, eps: float) -> Any:
    centring = beta is not None
    if not _served(x, gamma, *([beta] if centring else [])):
        return NotImplemented
    samples, groups, channels, pixels = x.shape
    x, gammas = np.ascontiguousarray(x), _factors(gamma, pixels)
    betas = _factors(beta, pixels) if centring else np.zeros(gammas.shape, x.dtype)
    out, stats = np.empty(x.shape, x.dtype), np.empty((2, samples, groups), x.dtype)
    shape = samples * groups, gammas.shape[1], -1
    block = _block(samples * groups)
    _group_forward(x.reshape(shape), gammas, betas, eps, centring, block, out.reshape(shape), stats.reshape(2, -1))
    return out, stats[0] if centring else None, stats[1]


def group_backward(g: Any, x: Any, gamma: Any, mean: Any, var: Any, *, eps: float, wants: tuple[str, ...]) -> Any:
    centring = mean is not None
    mean = mean if centring else np.zeros(var.shape, var.dtype)
    if not _served(x, g, gamma, mean, var):
        return NotImplemented
    samples, groups, channels, pixels = x.shape
    g, x, mean, var = map(np.ascontiguousarray, (g, x, mean, var))
    gammas = _factors(gamma, pixels)
    d_x, sums = np.empty(x.shape, x.dtype), np.empty((2, *gammas.shape), x.dtype)
    shape = samples, groups, gammas.shape[1], -1
    block = samples if x.size < SMALL else _block(samples)
    parts = np.empty((2, -(-samples // block), *gammas.shape), x.dtype)
    g, x, d_x = g.reshape(shape), x.reshape(shape), d_x.reshape(shape)
    _group_backward(g, x, gammas, mean, var, eps, centring, block, d_x, parts, sums)
    if gammas.shape != gamma.shape:
        sums = sums.reshape(2, groups, channels, pixels).sum(axis=-1)
    found = {"x": d_x.reshape(samples, groups, channels, pixels), "gamma": sums[0], "beta": sums[1]}
    return tuple([found[name] for name in wants])


def _served(x: Any, *others: Any) -> bool:
    """Whether all arrays are of one of the dtypes that there is code for, and x has elements."""
    dtype = x.dtype
    return dtype in FLOATS and x.size > 0 and all([other.dtype == dtype for other in others])


def _block(count: int) -> int:
    """Return how many of so many rows to take at a time: few to add up, and enough blocks for the threads."""
    return min(max(count // 16, 1), ROWS)


def _factors(v: Any, pixels: int) -> Any:
    """Return numbers per channel (G, K); (G, K * P), for each pixel, where pixels are few."""
    return np.repeat(v, pixels, axis=1) if 1 < pixels < FEW // 4 else np.ascontiguousarray(v)


# --- over the batch, by one thread -----------------------------------------------------------------------------------


@jit
def batch_forward_alone(x: Any, gamma: Any, beta: Any, eps: Any, relu: Any, out: Any, stats: Any) -> None:
    """Normalise few numbers (N, C, P); `stats` (4, C) gets means, variances, scales and shifts."""
    if x.shape[2] >= FEW:
        for c in range(x.shape[1]):
            _plane_forward(x, gamma, beta, eps, relu, c, out, stats)
        return
    lines, results = _as_lines(x), _as_lines(out)
    along, parts = _scratch(lines, 3)
    _prepare_origins(x, along)
    for tile in range(_tiles(lines)):
        _tile_moments(lines, along, tile, parts)
    _settle_lines(x, parts, gamma, beta, eps, stats, along)
    for tile in range(_tiles(lines)):
        _tile_normal(lines, along, relu, tile, results)


@jit
def batch_backward_alone(
    g: Any, x: Any, gamma: Any, mean: Any, var: Any, shift: Any, eps: Any, relu: Any, d_x: Any, sums: Any
) -> None:
    """Go back through it; `d_x` has no samples where it is not wanted."""
    if x.shape[2] >= FEW:
        for c in range(x.shape[1]):
            _plane_backward(g, x, gamma, mean, var, shift, eps, relu, c, d_x, sums)
        return
    lines, slopes = _as_lines(x), _as_lines(g)
    along, parts = _scratch(lines, 6)
    _prepare_lines(x.shape[2], gamma, mean, var, shift, eps, relu, along)
    for tile in range(_tiles(lines)):
        _tile_products(slopes, lines, along, tile, parts)
    _tilt_lines(x, parts, gamma, var, eps, sums, along)
    for tile in range(_tiles(lines) if len(d_x) else 0):
        _tile_slopes(slopes, lines, along, tile, _as_lines(d_x))


# --- over the batch, a row of pixels at a time -----------------------------------------------------------------------


@parallel
def _planes_forward(x: Any, gamma: Any, beta: Any, eps: Any, relu: Any, out: Any, stats: Any) -> None:
    if x.size < SMALL:
        for c in range(x.shape[1]):
            _plane_forward(x, gamma, beta, eps, relu, np.int64(c), out, stats)
    else:
        for c in numba.prange(x.shape[1]):
            _plane_forward(x, gamma, beta, eps, relu, np.int64(c), out, stats)


@jit
def _plane_forward(x: Any, gamma: Any, beta: Any, eps: Any, relu: Any, c: Any, out: Any, stats: Any) -> None:
    """Normalise one channel."""
    total, squares = 0.0, 0.0
    for n in range(x.shape[0]):
        part, part_squares = _moments(x[n, c], x[0, c, 0])
        total += part
        squares += part_squares
    _settle(x[0, c, 0], total, squares, x.shape[0] * x.shape[2], eps, gamma, beta, c, stats)
    mean, scale, shift = stats[0, c], stats[2, c], stats[3, c]
    lowest = x.dtype.type(0.0 if relu else -np.inf)
    for n in range(x.shape[0]):
        row, normal = x[n, c], out[n, c]
        for p in range(len(row)):
            y = _affine(row[p], mean, scale, shift)
            normal[p] = lowest if y <= lowest else y


@parallel
def _planes_backward(
    g: Any, x: Any, gamma: Any, mean: Any, var: Any, shift: Any, eps: Any, relu: Any, d_x: Any, sums: Any
) -> None:
    if x.size < SMALL:
        for c in range(x.shape[1]):
            _plane_backward(g, x, gamma, mean, var, shift, eps, relu, np.int64(c), d_x, sums)
    else:
        for c in numba.prange(x.shape[1]):
            _plane_backward(g, x, gamma, mean, var, shift, eps, relu, np.int64(c), d_x, sums)


@jit
def _plane_backward(
    g: Any, x: Any, gamma: Any, mean: Any, var: Any, shift: Any, eps: Any, relu: Any, c: Any, d_x: Any, sums: Any
) -> None:
    """Go back through one channel."""
    kind, zero = x.dtype.type, x.dtype.type(0)
    middle, b = mean[c], kind(_scale(gamma[c], var[c], eps))
    gate, threshold = (b, shift[c]) if relu else (kind(0), kind(1))
    total, products = 0.0, 0.0
    for n in range(x.shape[0]):
        part, part_products = _products(g[n, c], x[n, c], middle, gate, threshold)
        total += part
        products += part_products
    inverse = _scale(1.0, var[c], eps)
    sums[0, c] = products * inverse
    sums[1, c] = total
    tilt, offset = _tilt(total * gamma[c], products * gamma[c], x.shape[0] * x.shape[2], inverse)
    a, d = kind(tilt), kind(offset)
    for n in range(d_x.shape[0]):
        row, slope, result = x[n, c], g[n, c], d_x[n, c]
        for p in range(len(row)):
            centred = row[p] - middle
            s = zero if _affine(row[p], middle, gate, threshold) <= zero else slope[p]
            result[p] = centred * a + (s * b + d)


@jit
def _products(slope: Any, row: Any, mean: Any, gate: Any, threshold: Any) -> Any:
    """Return the sums of slopes that pass a rectifier, and of their products with the differences from the mean."""
    total, products = 0.0, 0.0
    zero = row.dtype.type(0)
    for start in range(0, len(row), PART):
        slopes, some = slope[start : start + PART], row[start : start + PART]
        part, part_products = zero, zero
        for i in range(len(some)):
            centred = some[i] - mean
            s = zero if _affine(some[i], mean, gate, threshold) <= zero else slopes[i]
            part += s
            part_products += s * centred
        total += part
        products += part_products
    return total, products


@jit
def _moments(row: Any, origin: Any) -> Any:
    """Return the sums of the differences from a number, and of their squares."""
    total, squares = 0.0, 0.0
    zero = row.dtype.type(0)
    for start in range(0, len(row), PART):
        some = row[start : start + PART]
        part, part_squares = zero, zero
        for i in range(len(some)):
            difference = some[i] - origin
            part += difference
            part_squares += difference * difference
        total += part
        squares += part_squares
    return total, squares


@jit
def _settle(
    origin: Any, total: Any, squares: Any, count: Any, eps: Any, gamma: Any, beta: Any, c: Any, stats: Any
) -> None:
    """Write a channel's mean, variance, scale and shift, from the sums of differences from `origin`.

    What the mean loses when it is rounded to the dtype goes into the shift.
    """
    offset = total / count
    spread = squares / count - offset * offset
    stats[0, c] = origin + offset
    stats[1, c] = 0.0 if spread < 0 else spread
    stats[2, c] = _scale(gamma[c], stats[1, c], eps)
    rest = (np.float64(origin) - np.float64(stats[0, c])) + offset
    stats[3, c] = beta[c] - rest * stats[2, c]


@numba.njit(fastmath=EXACT, error_model="numpy")
def _scale(gamma: Any, var: Any, eps: Any) -> Any:
    return gamma / np.sqrt(np.float64(var) + eps)


@numba.njit(fastmath=EXACT)
def _affine(x: Any, mean: Any, scale: Any, shift: Any) -> Any:
    """Return the normal form of x, with the same bits on the way there and back: the way back asks for its sign."""
    return (x - mean) * scale + shift


@jit
def _tilt(total: Any, products: Any, count: Any, inverse: Any) -> Any:
    """Return a and d of ``d_x = a (x - mean) + inverse gamma g + d``, from sums of ``gamma g`` and its products."""
    return -products * inverse * inverse * inverse / count, -total * inverse / count


# --- over the batch, a tile of lines at a time -----------------------------------------------------------------------


@parallel
def _lines_forward(x: Any, gamma: Any, beta: Any, eps: Any, relu: Any, out: Any, stats: Any) -> None:
    lines, results = _as_lines(x), _as_lines(out)
    along, parts = _scratch(lines, 3)
    _prepare_origins(x, along)
    for second in range(2):
        if second:
            _settle_lines(x, parts, gamma, beta, eps, stats, along)
        if x.size < SMALL:
            for tile in range(_tiles(lines)):
                _tile_forward(lines, along, relu, np.int64(tile), parts, results, second)
        else:
            for tile in numba.prange(_tiles(lines)):
                _tile_forward(lines, along, relu, np.int64(tile), parts, results, second)


@jit
def _tile_forward(lines: Any, along: Any, relu: Any, tile: Any, parts: Any, results: Any, second: Any) -> None:
    if second:
        _tile_normal(lines, along, relu, tile, results)
    else:
        _tile_moments(lines, along, tile, parts)


@jit
def _prepare_origins(x: Any, along: Any) -> None:
    _repeat(x[0, :, 0].copy(), x.shape[2], along[0])


@jit
def _settle_lines(x: Any, parts: Any, gamma: Any, beta: Any, eps: Any, stats: Any, along: Any) -> None:
    samples, channels, pixels = x.shape
    totals = _fold(parts, channels, pixels)
    for c in range(channels):
        _settle(x[0, c, 0], totals[0, c], totals[1, c], samples * pixels, eps, gamma, beta, c, stats)
    _repeat(stats[0], pixels, along[0])
    _repeat(stats[2], pixels, along[1])
    _repeat(stats[3], pixels, along[2])


@parallel
def _lines_backward(
    g: Any, x: Any, gamma: Any, mean: Any, var: Any, shift: Any, eps: Any, relu: Any, d_x: Any, sums: Any
) -> None:
    lines, slopes = _as_lines(x), _as_lines(g)
    along, parts = _scratch(lines, 6)
    _prepare_lines(x.shape[2], gamma, mean, var, shift, eps, relu, along)
    for second in range(2 if len(d_x) else 1):
        if second:
            _tilt_lines(x, parts, gamma, var, eps, sums, along)
        if x.size < SMALL:
            for tile in range(_tiles(lines)):
                _tile_backward(slopes, lines, along, np.int64(tile), parts, d_x, second)
        else:
            for tile in numba.prange(_tiles(lines)):
                _tile_backward(slopes, lines, along, np.int64(tile), parts, d_x, second)
    if not len(d_x):
        _tilt_lines(x, parts, gamma, var, eps, sums, along)


@jit
def _tile_backward(slopes: Any, lines: Any, along: Any, tile: Any, parts: Any, d_x: Any, second: Any) -> None:
    if second:
        _tile_slopes(slopes, lines, along, tile, _as_lines(d_x))
    else:
        _tile_products(slopes, lines, along, tile, parts)


@jit
def _prepare_lines(pixels: Any, gamma: Any, mean: Any, var: Any, shift: Any, eps: Any, relu: Any, along: Any) -> None:
    scale = np.empty_like(gamma)
    for c in range(len(gamma)):
        scale[c] = _scale(gamma[c], var[c], eps)
    _repeat(mean, pixels, along[0])
    if relu:
        _repeat(scale, pixels, along[1])
        _repeat(shift, pixels, along[2])
    else:
        along[1, :] = 0
        along[2, :] = 1
    _repeat(scale, pixels, along[4])


@jit
def _tilt_lines(x: Any, parts: Any, gamma: Any, var: Any, eps: Any, sums: Any, along: Any) -> None:
    samples, channels, pixels = x.shape
    totals, factors = _fold(parts, channels, pixels), np.empty((2, channels), x.dtype)
    for c in range(channels):
        inverse = _scale(1.0, var[c], eps)
        sums[0, c] = totals[1, c] * inverse
        sums[1, c] = totals[0, c]
        total, products = totals[0, c] * gamma[c], totals[1, c] * gamma[c]
        factors[0, c], factors[1, c] = _tilt(total, products, samples * pixels, inverse)
    _repeat(factors[0], pixels, along[3])
    _repeat(factors[1], pixels, along[5])


@jit
def _as_lines(x: Any) -> Any:
    """Return (N, C, P) as lines of one sample, or of several where these are short."""
    samples, size = x.shape[0], x.shape[1] * x.shape[2]
    while samples % 2 == 0 and 2 * size <= COLUMNS:
        samples, size = samples // 2, 2 * size
    return x.reshape(samples, size)


@jit
def _scratch(lines: Any, count: Any) -> Any:
    """Return room for so many factors per column, and for two sums of each column of each row of tiles."""
    parts = np.empty((2, -(-lines.shape[0] // ROWS), lines.shape[1]), lines.dtype)
    return np.empty((count, lines.shape[1]), lines.dtype), parts


@jit
def _tiles(lines: Any) -> Any:
    return -(-lines.shape[0] // ROWS) * -(-lines.shape[1] // COLUMNS)


@jit
def _tile(lines: Any, tile: Any) -> Any:
    """Return the number of the row of tiles, its rows, and the tile's columns."""
    across = -(-lines.shape[1] // COLUMNS)
    row, first = tile // across, tile % across * COLUMNS
    return row, row * ROWS, min((row + 1) * ROWS, lines.shape[0]), first, min(first + COLUMNS, lines.shape[1])


@jit
def _tile_moments(lines: Any, along: Any, tile: Any, parts: Any) -> None:
    part, start, stop, first, last = _tile(lines, tile)
    origin, total, squares = along[0, first:last], parts[0, part, first:last], parts[1, part, first:last]
    total[:] = 0
    squares[:] = 0
    for n in range(start, stop):
        line = lines[n, first:last]
        for i in range(len(line)):
            difference = line[i] - origin[i]
            total[i] += difference
            squares[i] += difference * difference


@jit
def _tile_normal(lines: Any, along: Any, relu: Any, tile: Any, results: Any) -> None:
    _, start, stop, first, last = _tile(lines, tile)
    mean, scale, shift = along[0, first:last], along[1, first:last], along[2, first:last]
    lowest = lines.dtype.type(0.0 if relu else -np.inf)
    for n in range(start, stop):
        line, normal = lines[n, first:last], results[n, first:last]
        for i in range(len(line)):
            y = _affine(line[i], mean[i], scale[i], shift[i])
            normal[i] = lowest if y <= lowest else y


@jit
def _tile_products(slopes: Any, lines: Any, along: Any, tile: Any, parts: Any) -> None:
    part, start, stop, first, last = _tile(lines, tile)
    total, products = parts[0, part, first:last], parts[1, part, first:last]
    mean, gate, threshold = along[0, first:last], along[1, first:last], along[2, first:last]
    zero = lines.dtype.type(0)
    total[:] = 0
    products[:] = 0
    for n in range(start, stop):
        line, slope = lines[n, first:last], slopes[n, first:last]
        for i in range(len(line)):
            centred = line[i] - mean[i]
            s = zero if _affine(line[i], mean[i], gate[i], threshold[i]) <= zero else slope[i]
            total[i] += s
            products[i] += s * centred


@jit
def _tile_slopes(slopes: Any, lines: Any, along: Any, tile: Any, results: Any) -> None:
    _, start, stop, first, last = _tile(lines, tile)
    mean, gate, threshold = along[0, first:last], along[1, first:last], along[2, first:last]
    a, b, d = along[3, first:last], along[4, first:last], along[5, first:last]
    zero = lines.dtype.type(0)
    for n in range(start, stop):
        line, slope, result = lines[n, first:last], slopes[n, first:last], results[n, first:last]
        for i in range(len(line)):
            centred = line[i] - mean[i]
            s = zero if _affine(line[i], mean[i], gate[i], threshold[i]) <= zero else slope[i]
            result[i] = centred * a[i] + (s * b[i] + d[i])


@jit
def _repeat(v: Any, pixels: Any, line: Any) -> None:
    """Write numbers per channel for each pixel and each sample of a line."""
    for start in range(0, len(line), len(v) * pixels):
        for c in range(len(v)):
            for p in range(pixels):
                line[start + c * pixels + p] = v[c]


@jit
def _fold(parts: Any, channels: Any, pixels: Any) -> Any:
    """Add up the parts of each channel in float64: (2, C)."""
    totals = np.zeros((2, channels))
    for k in range(2):
        for b in range(parts.shape[1]):
            for start in range(0, parts.shape[2], channels * pixels):
                for c in range(channels):
                    for p in range(pixels):
                        totals[k, c] += parts[k, b, start + c * pixels + p]
    return totals


# --- over groups -----------------------------------------------------------------------------------------------------


@parallel
def _group_forward(x: Any, gammas: Any, betas: Any, eps: Any, centring: Any, block: Any, out: Any, stats: Any) -> None:
    """Normalise rows (N * G, K, P), a block of rows at a time."""
    if x.size < SMALL:
        _rows_forward(x, gammas, betas, eps, centring, 0, len(x), out, stats)
    else:
        for task in numba.prange(-(-len(x) // block)):
            first = np.int64(task) * block
            _rows_forward(x, gammas, betas, eps, centring, first, min(first + block, len(x)), out, stats)


@jit
def _rows_forward(
    x: Any, gammas: Any, betas: Any, eps: Any, centring: Any, first: Any, last: Any, out: Any, stats: Any
) -> None:
    kind = x.dtype.type
    _, channels, pixels = x.shape
    size = channels * pixels
    rows, results = x.reshape(len(x), size), out.reshape(len(x), size)
    for n in range(first, last):
        row, normal = rows[n], results[n]
        gamma, beta = gammas[n % len(gammas)], betas[n % len(gammas)]
        mean, rest = kind(0), 0.0
        if centring:
            mean = kind(row[0] + _sum(row, row[0]) / size)
            rest = _sum(row, mean) / size
        spread = _sum_squares(row, mean) / size - rest * rest
        stats[0, n] = mean + rest
        stats[1, n] = 0.0 if spread < 0 else spread
        inverse = _scale(1.0, stats[1, n], eps)
        scale, shift = kind(inverse), kind(-rest * inverse)
        if pixels == 1:
            for k in range(size):
                normal[k] = ((row[k] - mean) * scale + shift) * gamma[k] + beta[k]
        else:
            for k in range(channels):
                factor, offset = gamma[k] * scale, gamma[k] * shift + beta[k]
                pixel, normal_pixel = x[n, k], out[n, k]
                for p in range(pixels):
                    normal_pixel[p] = (pixel[p] - mean) * factor + offset


@jit
def _sum(row: Any, origin: Any) -> Any:
    """Return the sum of the differences from a number."""
    total = 0.0
    for start in range(0, len(row), PART):
        part = row.dtype.type(0)
        for i in range(start, min(start + PART, len(row))):
            part += row[i] - origin
        total += part
    return total


@jit
def _sum_squares(row: Any, origin: Any) -> Any:
    """Return the sum of the squares of the differences from a number."""
    total = 0.0
    for start in range(0, len(row), PART):
        part = row.dtype.type(0)
        for i in range(start, min(start + PART, len(row))):
            part += (row[i] - origin) * (row[i] - origin)
        total += part
    return total


@parallel
def _group_backward(
    g: Any,
    x: Any,
    gammas: Any,
    mean: Any,
    var: Any,
    eps: Any,
    centring: Any,
    block: Any,
    d_x: Any,
    parts: Any,
    sums: Any,
) -> None:
    """Go back through rows (N, G, K, P), a block of samples of one group at a time."""
    groups = x.shape[1]
    tasks = parts.shape[1] * groups
    if x.size < SMALL:
        for task in range(tasks):
            _block_backward(g, x, gammas, mean, var, eps, centring, block, np.int64(task), d_x, parts)
    else:
        for task in numba.prange(tasks):
            _block_backward(g, x, gammas, mean, var, eps, centring, block, np.int64(task), d_x, parts)
    size = gammas.size
    totals = _fold(parts.reshape(2, parts.shape[1], size), size, 1)
    for k in range(2):
        for group in range(groups):
            for c in range(gammas.shape[1]):
                sums[k, group, c] = totals[k, group * gammas.shape[1] + c]


@jit
def _block_backward(
    g: Any,
    x: Any,
    gammas: Any,
    mean: Any,
    var: Any,
    eps: Any,
    centring: Any,
    block: Any,
    task: Any,
    d_x: Any,
    parts: Any,
) -> None:
    samples, groups, channels, pixels = x.shape
    part, group = task // groups, task % groups
    gamma, d_gamma, d_beta = gammas[group], parts[0, part, group], parts[1, part, group]
    d_gamma[:] = 0
    d_beta[:] = 0
    for n in range(part * block, min((part + 1) * block, samples)):
        inverse = 1 / np.sqrt(np.float64(var[n, group]) + eps)
        if pixels == 1:
            slope, row, result = (
                g[n, group].reshape(channels),
                x[n, group].reshape(channels),
                d_x[n, group].reshape(channels),
            )
            _vector_backward(slope, row, gamma, mean[n, group], inverse, centring, d_gamma, d_beta, result)
        else:
            _image_backward(
                g[n, group], x[n, group], gamma, mean[n, group], inverse, centring, d_gamma, d_beta, d_x[n, group]
            )


@jit
def _vector_backward(
    g: Any, x: Any, gamma: Any, mean: Any, inverse: Any, centring: Any, d_gamma: Any, d_beta: Any, d_x: Any
) -> None:
    kind = x.dtype.type
    scale = kind(inverse)
    total, products = 0.0, 0.0
    for start in range(0, len(x), PART):
        stop = start + PART
        row, slope, factor = x[start:stop], g[start:stop], gamma[start:stop]
        row_gamma, row_beta = d_gamma[start:stop], d_beta[start:stop]
        part, part_products = kind(0), kind(0)
        for k in range(len(row)):
            centred = row[k] - mean
            product = slope[k] * centred
            row_beta[k] += slope[k]
            row_gamma[k] += product * scale
            part += slope[k] * factor[k]
            part_products += product * factor[k]
        total += part
        products += part_products
    a, d = _tilt(total if centring else 0.0, products, len(x), inverse)
    a, d = kind(a), kind(d)
    for k in range(len(x)):
        d_x[k] = (x[k] - mean) * a + (g[k] * gamma[k] * scale + d)


@jit
def _image_backward(
    g: Any, x: Any, gamma: Any, mean: Any, inverse: Any, centring: Any, d_gamma: Any, d_beta: Any, d_x: Any
) -> None:
    kind = x.dtype.type
    total, products = 0.0, 0.0
    for k in range(len(x)):
        part, part_products = _products(g[k], x[k], mean, kind(0), kind(1))
        d_beta[k] += part
        d_gamma[k] += part_products * inverse
        total += gamma[k] * part
        products += gamma[k] * part_products
    a, d = _tilt(total if centring else 0.0, products, x.size, inverse)
    a, d = kind(a), kind(d)
    for k in range(len(x)):
        b = kind(gamma[k] * inverse)
        slope, row, result = g[k], x[k], d_x[k]
        for p in range(len(row)):
            result[p] = (row[p] - mean) * a + (slope[p] * b + d)
