"""Scaled dot product attention, one sequence at a time by one thread, without BLAS.

The matrices of one head are small: what BLAS does for them is hardly faster than a compiled loop, and its results would
go through memory between the product, the softmax and the next product. Here a few queries stay in the nearest cache
from their scores to their results. The exponentials are not kept for the way back but computed again, so that both
directions need memory for the queries, keys and values alone. (Dao, Fu, Ermon, Rudra and Ré, FlashAttention, 2022,
arXiv:2205.14135.)

The queries that are taken together are a panel of :mod:`.product`: the scores of one key with all of them are one row.
So every step of the softmax goes along queries, and what it makes of the scores is packed already for the next product.
Where queries see only what came before them, keys that none of the panel sees are not looked at.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from .define import array_at, exp, jit, parallel, part
from .product import lanes, panels, rows_times_panel

__all__ = ["attend", "attend_backward"]

TOGETHER = 8
"""How many keys' scores an inner loop goes over: along one key's alone there are few."""

PART = 64
"""How many exponentials are added up before the next sum is begun: sums of sums lose less than one long sum."""


def attend(q: Any, k: Any, v: Any, mask: Any, keep: Any, *, scale: float, causal: bool, p: float) -> Any:
    if _declined(mask, keep, q, k, v):
        return NotImplemented
    batch, (q, k, v) = q.shape[:-2], map(_four_axes, (q, k, v))
    samples, heads, length, _ = q.shape
    out = _like(q, v.shape[3])
    total = np.empty((samples * heads, length, 1), q.dtype)
    _attend(*map(_loose, (q, k, v)), q.dtype.type(scale), causal, _loose(out), total)
    return out.reshape(*batch, length, out.shape[3]), np.empty(0, q.dtype), total


def attend_backward(
    g: Any,
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    keep: Any,
    out: Any,
    powers: Any,
    total: Any,
    *,
    scale: float,
    causal: bool,
    p: float,
    wants: tuple[str, ...],
) -> Any:
    if powers.ndim > 1 or _declined(mask, keep, q, k, v, g, out):
        return NotImplemented
    batch, (g, q, k, v, out) = q.shape[:-2], map(_four_axes, (g, q, k, v, out))
    found = {name: _like(x) for name, x in (("q", q), ("k", k), ("v", v))}
    given, total = map(_loose, (g, q, k, v, out)), np.ascontiguousarray(total)
    _attend_backward(*given, total, q.dtype.type(scale), causal, *map(_loose, found.values()))
    return tuple(found[name].reshape(*batch, *found[name].shape[2:]) for name in wants)


def _declined(mask: Any, keep: Any, *arrays: Any) -> bool:
    """Whether NumPy's kernel is to be taken: with masks or dropout, for other dtypes, and where there is nothing."""
    dtype = arrays[0].dtype
    if dtype not in (np.float32, np.float64) or any(x.dtype != dtype or not x.size for x in arrays):
        return True
    return not (mask.all() and keep.all())


def _four_axes(x: Any) -> Any:
    """Return (..., S, D) as (samples, heads, S, D)."""
    if x.ndim == 4:
        return x
    return x[None, None] if x.ndim == 2 else x.reshape(x.shape[0], -1, *x.shape[-2:])


def _like(x: Any, width: int | None = None) -> Any:
    """Return room for (samples, heads, S, D), or another D, in which the heads of a place lie together."""
    samples, heads, length, _ = x.shape
    return np.swapaxes(np.empty((samples, length, heads, x.shape[3] if width is None else width), x.dtype), 1, 2)


def _loose(x: Any) -> Any:
    """Return a view of x, twice, neither contiguous nor writeable: all such arrays share one compiled version.

    The rows are contiguous, and are read and written by their addresses.
    """
    x = x if x.strides[-1] == x.itemsize or x.shape[-1] == 1 else np.ascontiguousarray(x)
    return np.broadcast_to(x, (2, *x.shape))


@parallel
def _attend(q: Any, k: Any, v: Any, scale: Any, causal: bool, out: Any, total: Any) -> None:
    heads = q.shape[2]
    for n in prange(len(total)):
        head = n // heads, n % heads
        _attend_one(q[0], k[0], v[0], head, scale, causal, out[0], total[n])


@jit
def _attend_one(q: Any, k: Any, v: Any, head: Any, scale: Any, causal: bool, out: Any, total: Any) -> None:
    length, width, inner, depth, wide, one = q.shape[2], k.shape[2], k.shape[3], v.shape[3], lanes(q), q.dtype.type(1)
    row, row_of_v = panels(inner, q) * wide, panels(depth, q) * wide
    keys, values = np.zeros(width * row, q.dtype), np.zeros(width * row_of_v, q.dtype)
    _copy(k, head, 0, width, one, keys, row)
    _copy(v, head, 0, width, one, values, row_of_v)
    turned_q, scores, found = _panel(inner, q), _panel(width, q), np.empty(wide * row_of_v, q.dtype)
    highest, sums, zeros = _panel(1, q), _panel(1, q), (_panel(1, q), 0, 0)
    for start in range(0, length, wide):
        live = min(wide, length - start)
        seen = _seen(start + live, length, width, causal)
        _copy_turned(q, head, start, live, scale, turned_q)
        s = _products(keys, row, turned_q, seen, scores)
        if causal:
            _hide(s, start + width - length)
        _softmax(s, highest, sums)
        for p in range(0, row_of_v, wide):
            rows_times_panel(zeros, (s, 0, 1, wide), (values, p, row_of_v), (found, p, row_of_v), live, seen)
        for i in range(live):
            total[start + i, 0] = highest[i] + math.log(sums[i])
            share = one / sums[i]
            to, weighted = _row(out, head, start + i), found[i * row_of_v : i * row_of_v + depth]
            for e in range(depth):
                to[e] = weighted[e] * share


@parallel
def _attend_backward(
    g: Any, q: Any, k: Any, v: Any, out: Any, total: Any, scale: Any, causal: bool, d_q: Any, d_k: Any, d_v: Any
) -> None:
    heads = q.shape[2]
    for n in prange(len(total)):
        head = n // heads, n % heads
        given, found = (g[0], q[0], k[0], v[0], out[0]), (d_q[0], d_k[0], d_v[0])
        _attend_backward_one(given, total[n], head, scale, causal, found)


@jit
def _attend_backward_one(given: Any, total: Any, head: Any, scale: Any, causal: bool, found: Any) -> None:
    g, q, k, v, out = given
    d_q, d_k, d_v = found
    length, width, inner, depth, wide, one = q.shape[2], k.shape[2], k.shape[3], v.shape[3], lanes(q), q.dtype.type(1)
    row, row_of_v = panels(inner, q) * wide, panels(depth, q) * wide
    keys, d_keys = np.zeros(width * row, q.dtype), np.zeros(width * row, q.dtype)
    values, d_values = np.zeros(width * row_of_v, q.dtype), np.zeros(width * row_of_v, q.dtype)
    _copy(k, head, 0, width, one, keys, row)
    _copy(v, head, 0, width, one, values, row_of_v)
    queries, slopes = np.zeros(wide * row, q.dtype), np.zeros(wide * row_of_v, q.dtype)
    turned_q, turned_g, scores, d_scores = _panel(inner, q), _panel(depth, q), _panel(width, q), _panel(width, q)
    below, means, zeros = _panel(1, q), _panel(1, q), (_panel(1, q), 0, 0)
    d_rows = np.empty(wide * row, q.dtype)
    for start in range(0, length, wide):
        live = min(wide, length - start)
        seen = _seen(start + live, length, width, causal)
        _copy_turned(q, head, start, live, scale, turned_q)
        _copy_turned(g, head, start, live, one, turned_g)
        _copy(q, head, start, live, scale, queries, row)
        _copy(g, head, start, live, one, slopes, row_of_v)
        for i in range(live):
            above, result, mean = slopes[i * row_of_v : i * row_of_v + depth], _row(out, head, start + i), one - one
            for e in range(depth):
                mean += above[e] * result[e]
            below[i], means[i] = total[start + i, 0], mean
        s, d = _products(keys, row, turned_q, seen, scores), _products(values, row_of_v, turned_g, seen, d_scores)
        if causal:
            _hide(s, start + width - length)
        _weights_and_slopes(s, below, d, means)
        for p in range(0, row_of_v, wide):
            sums = d_values, p, row_of_v
            rows_times_panel(sums, (s, 0, wide, 1), (slopes, p, row_of_v), sums, seen, live)
        for p in range(0, row, wide):
            sums = d_keys, p, row
            rows_times_panel(sums, (d, 0, wide, 1), (queries, p, row), sums, seen, live)
            rows_times_panel(zeros, (d, 0, 1, wide), (keys, p, row), (d_rows, p, row), live, seen)
        _write(d_rows, row, scale, d_q, head, start, live)
    _write(d_keys, row, one, d_k, head, 0, width)
    _write(d_values, row_of_v, one, d_v, head, 0, width)


# --- rows of a head --------------------------------------------------------------------------------------------------


@part
def _row(x: Any, head: Any, i: int) -> Any:
    """Return a row of (samples, heads, rows, width), which Numba does not know to be contiguous."""
    at = x.ctypes.data + head[0] * x.strides[0] + head[1] * x.strides[1] + i * x.strides[2]
    return array_at(at, x.dtype.type(0), x.shape[3])


@part
def _copy(x: Any, head: Any, start: int, count: int, scale: Any, out: Any, pitch: int) -> None:
    """Write some rows times a number, each `pitch` numbers after the one before."""
    for i in range(count):
        row, to = _row(x, head, start + i), out[i * pitch : i * pitch + x.shape[3]]
        for j in range(row.size):
            to[j] = row[j] * scale


@part
def _copy_turned(x: Any, head: Any, start: int, count: int, scale: Any, out: Any) -> None:
    """Write some rows times a number as the columns of a panel."""
    for i in range(count):
        row = _row(x, head, start + i)
        for j in range(row.size):
            out[j * lanes(x) + i] = row[j] * scale


@part
def _write(rows: Any, pitch: int, scale: Any, x: Any, head: Any, start: int, count: int) -> None:
    """Write rows that lie `pitch` numbers apart, times a number, to their places."""
    for i in range(count):
        row, to = rows[i * pitch : i * pitch + x.shape[3]], _row(x, head, start + i)
        for j in range(to.size):
            to[j] = row[j] * scale


# --- a panel of queries ----------------------------------------------------------------------------------------------


@part
def _panel(rows: int, x: Any) -> Any:
    """Return zeros for so many rows of a panel, flat."""
    return np.zeros(rows * lanes(x), x.dtype)


@part
def _products(rows: Any, pitch: int, turned: Any, count: int, room: Any) -> Any:
    """Return the dot products of the first rows with each column of a panel: flat (rows, panel)."""
    wide = lanes(turned)
    zeros = _panel(1, turned), 0, 0
    rows_times_panel(zeros, (rows, 0, pitch, 1), (turned, 0, wide), (room, 0, wide), count, turned.size // wide)
    return room[: count * wide]


@part
def _seen(stop: int, length: int, width: int, causal: bool) -> int:
    """Return how many keys the queries before `stop` see."""
    return min(max(0, stop + width - length), width) if causal else width


@part
def _hide(s: Any, ahead: int) -> None:
    """Make the scores -inf where the key comes later than the query, `ahead` keys after the first."""
    wide = lanes(s)
    for t in range(max(0, ahead), len(s) // wide):
        s[t * wide : t * wide + t - ahead] = -np.inf


@part
def _softmax(s: Any, highest: Any, sums: Any) -> None:
    """Put ``exp(s - highest)`` in place of s, and find the highest score and the sum of each query."""
    size = TOGETHER * lanes(s)
    tops = np.full(size, np.finfo(s.dtype).min, s.dtype)
    for start in range(0, len(s), size):
        some = s[start : start + size]
        for i in range(some.size):
            tops[i] = some[i] if some[i] > tops[i] else tops[i]
    highest[:] = tops[: highest.size]
    for first in range(0, size, highest.size):
        for i in range(highest.size):
            highest[i] = max(highest[i], tops[first + i])
    _repeat(highest, tops)
    sums[:] = 0
    few = np.empty_like(tops)
    for first in range(0, len(s), PART * size):
        few[:] = 0
        for start in range(first, min(first + PART * size, len(s)), size):
            some = s[start : start + size]
            for i in range(some.size):
                some[i] = exp(some[i] - tops[i])
                few[i] += some[i]
        for start in range(0, size, sums.size):
            for i in range(sums.size):
                sums[i] += few[start + i]
    for i in range(sums.size):
        if sums[i] == 0:  # nothing counts
            sums[i] = 1


@part
def _weights_and_slopes(s: Any, total: Any, d: Any, means: Any) -> None:
    """Make weights of the scores, and cotangents of the scores of those of the weights, in place."""
    size = TOGETHER * lanes(s)
    below, middle = np.empty(size, s.dtype), np.empty(size, s.dtype)
    _repeat(total, below)
    _repeat(means, middle)
    for start in range(0, len(s), size):
        some, slopes = s[start : start + size], d[start : start + size]
        for i in range(some.size):
            w = exp(some[i] - below[i])
            some[i] = w
            slopes[i] = w * (slopes[i] - middle[i])


@part
def _repeat(row: Any, out: Any) -> None:
    for start in range(0, out.size, row.size):
        out[start : start + row.size] = row
