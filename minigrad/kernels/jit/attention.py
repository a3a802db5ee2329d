"""Scaled dot product attention, one sequence at a time by one thread, without BLAS.

The matrices of one head are small: what BLAS does for them is hardly faster than a compiled loop, and its results would
go through memory between the product, the softmax and the next product. Here a block of queries stays in the cache from
its scores to its results. The exponentials are not kept for the way back but computed again, so that both directions
need memory for the queries, keys and values alone. (Dao, Fu, Ermon, Rudra and Ré, FlashAttention, 2022,
arXiv:2205.14135.)

Within a block the queries come last: the scores of one key with all queries of the block are one row. All inner loops
then go along queries, which vectorises every step of the softmax; the products have the form of :func:`_multiply`, rows
times columns, or of :func:`_dots`, rows times rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .define import exp, jit, parallel

__all__ = ["attend", "attend_backward"]

QUERIES = 128
"""How many queries a block has at most."""


def attend(q: Any, k: Any, v: Any, mask: Any, keep: Any, *, scale: float, causal: bool, p: float) -> Any:
    if _declined(mask, keep, q, k, v):
        return NotImplemented
    batch, (q, k, v) = q.shape[:-2], map(_four_axes, (q, k, v))
    samples, heads, length, _ = q.shape
    out = np.empty((samples, length, heads, v.shape[3]), q.dtype)
    total = np.empty((samples * heads, length, 1), q.dtype)
    _attend(_loose(q), _loose(k), _loose(v), q.dtype.type(scale), causal, out, total)
    return np.swapaxes(out, 1, 2).reshape(*batch, length, out.shape[3]), np.empty(0, q.dtype), total


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
    found = {name: np.empty_like(np.swapaxes(x, 1, 2), order="C") for name, x in (("q", q), ("k", k), ("v", v))}
    _attend_backward(*map(_loose, (g, q, k, v, out)), total, q.dtype.type(scale), causal, *found.values())
    return tuple(np.swapaxes(found[name], 1, 2).reshape(*batch, *found[name].shape[1::2]) for name in wants)


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


def _loose(x: Any) -> Any:
    """Return a view of x, twice, neither contiguous nor writeable: all such arrays share one compiled version."""
    return np.broadcast_to(x, (2, *x.shape))


@parallel
def _attend(q: Any, k: Any, v: Any, scale: Any, causal: bool, out: Any, total: Any) -> None:
    heads = q.shape[2]
    for n in prange(len(total)):
        sample, head = n // heads, n % heads
        _attend_one(
            q[0, sample, head], k[0, sample, head], v[0, sample, head], scale, causal, out[sample, :, head], total[n]
        )


@jit
def _attend_one(q: Any, k: Any, v: Any, scale: Any, causal: bool, out: Any, total: Any) -> None:
    length, width = len(q), len(k)
    turned_v = _turned(v, v.dtype.type(1))
    block = min(QUERIES, length)
    scores, found = np.empty(width * block, q.dtype), np.empty(len(turned_v) * block, q.dtype)
    highest, sums = np.empty(block, q.dtype), np.empty(block, q.dtype)
    for start in range(0, length, block):
        rows = min(block, length - start)
        seen = _seen(start + rows, length, width, causal)
        turned_q = _turned(q[start : start + rows], scale)
        s = _zeros(scores, seen, rows)
        _multiply(s, k, turned_q)
        if causal:
            _hide(s, start + width - length)
        _softmax(s, highest[:rows], sums[:rows])
        o = _zeros(found, len(turned_v), rows)
        _multiply(o, turned_v, s)
        for i in range(rows):
            total[start + i, 0] = highest[i] + np.log(sums[i])
            for e in range(len(o)):
                out[start + i, e] = o[e, i] / sums[i]


@parallel
def _attend_backward(
    g: Any, q: Any, k: Any, v: Any, out: Any, total: Any, scale: Any, causal: bool, d_q: Any, d_k: Any, d_v: Any
) -> None:
    heads = q.shape[2]
    for n in prange(len(total)):
        s, h = n // heads, n % heads
        given = g[0, s, h], q[0, s, h], k[0, s, h], v[0, s, h], out[0, s, h], total[n]
        _attend_backward_one(given, scale, causal, d_q[s, :, h], d_k[s, :, h], d_v[s, :, h])


@jit
def _attend_backward_one(given: Any, scale: Any, causal: bool, d_q: Any, d_k: Any, d_v: Any) -> None:
    g, q, k, v, out, total = given
    length, width, one = len(q), len(k), k.dtype.type(1)
    turned_k = _turned(k, scale)
    block = min(QUERIES, length)
    scores, found = np.empty((2, width * block), q.dtype), np.empty(len(turned_k) * block, q.dtype)
    below = np.empty(block, q.dtype)
    d_k[:] = 0
    d_v[:] = 0
    for start in range(0, length, block):
        rows = min(block, length - start)
        seen = _seen(start + rows, length, width, causal)
        turned_q, turned_g = _turned(q[start : start + rows], scale), _turned(g[start : start + rows], one)
        s, d = _zeros(scores[0], seen, rows), _zeros(scores[1], seen, rows)
        _multiply(s, k, turned_q)
        if causal:
            _hide(s, start + width - length)
        for i in range(rows):
            below[i] = total[start + i, 0]
        _weights(s, below[:rows])
        _dots(d_v, s, turned_g)
        for i in range(rows):
            below[i] = 0
            for e in range(g.shape[1]):
                below[i] += g[start + i, e] * out[start + i, e]
        _multiply(d, v, turned_g)
        _softmax_backward(d, s, below[:rows])
        _dots(d_k, d, turned_q)
        o = _zeros(found, len(turned_k), rows)
        _multiply(o, turned_k, d)
        for i in range(rows):
            for e in range(len(o)):
                d_q[start + i, e] = o[e, i]


# --- a block ---------------------------------------------------------------------------------------------------------


@jit
def _zeros(room: Any, rows: int, columns: int) -> Any:
    """Return zeros in the first part of a vector; they are contiguous, and loops over a row vectorise."""
    zeros = room[: rows * columns].reshape((rows, columns))
    zeros[:] = 0
    return zeros


@jit
def _turned(x: Any, scale: Any) -> Any:
    """Return the transpose times a number."""
    turned = np.empty((x.shape[1], x.shape[0]), x.dtype)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            turned[j, i] = x[i, j] * scale
    return turned


@jit
def _seen(stop: int, length: int, width: int, causal: bool) -> int:
    """Return how many keys the queries before `stop` see."""
    return min(max(0, stop + width - length), width) if causal else width


@jit
def _hide(s: Any, ahead: int) -> None:
    """Make the scores -inf (keys, queries) where the key comes later than the query, `ahead` keys after the first."""
    for t in range(max(0, ahead), len(s)):
        s[t, : t - ahead] = -np.inf


@jit
def _softmax(s: Any, highest: Any, sums: Any) -> None:
    """Put ``exp(s - highest)`` in place of s (keys, queries), and find the highest score and the sum of each query."""
    highest[:] = np.finfo(s.dtype).min
    for t in range(len(s)):
        row = s[t]
        for i in range(highest.size):
            highest[i] = max(highest[i], row[i])
    sums[:] = 0
    part = np.empty_like(sums)
    for first in range(0, len(s), 64):  # sums of sums lose less than one long sum
        part[:] = 0
        for t in range(first, min(first + 64, len(s))):
            row = s[t]
            for i in range(part.size):
                power = exp(row[i] - highest[i])
                row[i] = power
                part[i] += power
        for i in range(part.size):
            sums[i] += part[i]
    for i in range(sums.size):
        if sums[i] == 0:  # nothing counts
            sums[i] = 1


@jit
def _weights(s: Any, total: Any) -> None:
    for t in range(len(s)):
        row = s[t]
        for i in range(total.size):
            row[i] = exp(row[i] - total[i])


@jit
def _softmax_backward(d: Any, weights: Any, means: Any) -> None:
    """Make cotangents of the scores of those of the weights, in place."""
    for t in range(len(d)):
        row, w = d[t], weights[t]
        for i in range(means.size):
            row[i] = w[i] * (row[i] - means[i])


# --- products --------------------------------------------------------------------------------------------------------


@jit
def _multiply(out: Any, a: Any, b: Any) -> None:
    """Add ``a @ b``, the rows of `out` and `b` being contiguous: 4 x 4 numbers of `a` at a time stay in registers."""
    rows, inner, columns = out.shape[0], b.shape[0], out.shape[1]
    whole_rows, whole = rows - rows % 4, inner - inner % 4
    for i in range(0, whole_rows, 4):
        o0, o1, o2, o3 = out[i], out[i + 1], out[i + 2], out[i + 3]
        for p in range(0, whole, 4):
            b0, b1, b2, b3 = b[p], b[p + 1], b[p + 2], b[p + 3]
            a00, a01, a02, a03 = a[i, p], a[i, p + 1], a[i, p + 2], a[i, p + 3]
            a10, a11, a12, a13 = a[i + 1, p], a[i + 1, p + 1], a[i + 1, p + 2], a[i + 1, p + 3]
            a20, a21, a22, a23 = a[i + 2, p], a[i + 2, p + 1], a[i + 2, p + 2], a[i + 2, p + 3]
            a30, a31, a32, a33 = a[i + 3, p], a[i + 3, p + 1], a[i + 3, p + 2], a[i + 3, p + 3]
            for j in range(columns):
                x0, x1, x2, x3 = b0[j], b1[j], b2[j], b3[j]
                o0[j] += a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
                o1[j] += a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
                o2[j] += a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
                o3[j] += a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3
    for i in range(rows):
        o0 = out[i]
        for p in range(whole if i < whole_rows else 0, inner):
            b0, a00 = b[p], a[i, p]
            for j in range(columns):
                o0[j] += a00 * b0[j]


@jit
def _dots(out: Any, a: Any, b: Any) -> None:
    """Add ``a @ b.T`` to the first rows of `out`, the rows of `a` and `b` being contiguous: 3 x 3 sums at a time."""
    rows, columns, inner, zero = a.shape[0], b.shape[0], a.shape[1], a.dtype.type(0)
    whole_rows, whole = rows - rows % 3, columns - columns % 3
    for i in range(0, whole_rows, 3):
        a0, a1, a2 = a[i], a[i + 1], a[i + 2]
        for j in range(0, whole, 3):
            b0, b1, b2 = b[j], b[j + 1], b[j + 2]
            s00 = s01 = s02 = s10 = s11 = s12 = s20 = s21 = s22 = zero
            for p in range(inner):
                x0, x1, x2, y0, y1, y2 = a0[p], a1[p], a2[p], b0[p], b1[p], b2[p]
                s00 += x0 * y0
                s01 += x0 * y1
                s02 += x0 * y2
                s10 += x1 * y0
                s11 += x1 * y1
                s12 += x1 * y2
                s20 += x2 * y0
                s21 += x2 * y1
                s22 += x2 * y2
            out[i, j] += s00
            out[i, j + 1] += s01
            out[i, j + 2] += s02
            out[i + 1, j] += s10
            out[i + 1, j + 1] += s11
            out[i + 1, j + 2] += s12
            out[i + 2, j] += s20
            out[i + 2, j + 1] += s21
            out[i + 2, j + 2] += s22
    for i in range(rows):
        a0 = a[i]
        for j in range(whole if i < whole_rows else 0, columns):
            b0, s00 = b[j], zero
            for p in range(inner):
                s00 += a0[p] * b0[p]
            out[i, j] += s00
