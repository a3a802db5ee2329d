"""The softmax cross-entropy loss and its gradient, a row at a time: each is read from memory once.

The second and third time that a row is looked at, it is still in the cache. Rows are shared between threads in blocks
of fixed size, so that the sum of their losses does not depend on how many threads there are. Sums of exponentials are
taken in parts in the dtype of the scores, and the parts, like the losses, are added up in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from .define import exp, jit, parallel, part

__all__ = ["softmax_backward", "softmax_forward"]

ALONE = 32768
"""Fewer scores than these are done sooner than a second thread has started."""

BLOCK = 16384
"""About how many scores a thread takes at a time."""

PART = 1024
"""How many exponentials to add up in the dtype of the scores."""

INTEGERS = np.dtype(np.int64)


def softmax_forward(scores: Any, y: Any, count: int | None = None) -> Any:
    if not _served(scores):
        return NotImplemented
    highest, total = np.empty((len(scores), 1), scores.dtype), np.empty((len(scores), 1), scores.dtype)
    forward = _forward if scores.size < ALONE else _forward_shared
    loss = forward(np.ascontiguousarray(scores), _labels(y), count is not None, highest, total)
    return scores.dtype.type(loss / (len(y) if count is None else count)), highest, total


def softmax_backward(g: Any, scores: Any, y: Any, highest: Any, total: Any, count: int | None = None) -> Any:
    if not _served(scores) or highest.dtype != scores.dtype or total.dtype != scores.dtype:
        return NotImplemented
    d = np.empty(scores.shape, scores.dtype)
    backward = _backward if scores.size < ALONE else _backward_shared
    statistics = np.ascontiguousarray(highest), np.ascontiguousarray(total)
    scale = float(g) / (len(y) if count is None else count)
    backward(scale, np.ascontiguousarray(scores), _labels(y), count is not None, *statistics, d)
    return d


def _served(scores: Any) -> bool:
    """Whether the loops have been made for such scores, and there are any."""
    return scores.dtype.char in "fd" and scores.dtype.isnative and scores.size > 0


def _labels(y: Any) -> Any:
    """Return labels of one dtype and layout."""
    return y if y.dtype == INTEGERS and y.flags.carray else np.array(y, INTEGERS)


# --- all rows, by one thread or several ------------------------------------------------------------------------------


@jit
def _forward(scores: Any, y: Any, some: bool, highest: Any, total: Any) -> Any:
    _check_labels(y, some, scores.shape[1])
    return _losses(scores, y, highest, total)


@parallel
def _forward_shared(scores: Any, y: Any, some: bool, highest: Any, total: Any) -> Any:
    _check_labels(y, some, scores.shape[1])
    rows = _block(scores)
    losses = np.empty((len(scores) + rows - 1) // rows)
    for k in prange(len(losses)):
        at = slice(k * rows, (k + 1) * rows)
        losses[k] = _losses(scores[at], y[at], highest[at], total[at])
    return losses.sum()


@jit
def _backward(scale: Any, scores: Any, y: Any, some: bool, highest: Any, total: Any, d: Any) -> None:
    _check_labels(y, some, scores.shape[1])
    _slopes(scale, scores, y, highest, total, d)


@parallel
def _backward_shared(scale: Any, scores: Any, y: Any, some: bool, highest: Any, total: Any, d: Any) -> None:
    _check_labels(y, some, scores.shape[1])
    rows = _block(scores)
    for k in prange((len(scores) + rows - 1) // rows):
        at = slice(k * rows, (k + 1) * rows)
        _slopes(scale, scores[at], y[at], highest[at], total[at], d[at])


@part
def _check_labels(y: Any, some: bool, classes: Any) -> None:
    """Refuse wrong labels; if only some rows count, -1 is right for the others."""
    _check(np.maximum(y, 0) if some else y, classes)


@part
def _check(y: Any, classes: Any) -> None:
    """Refuse to read or write where there is no score."""
    wrong = 0
    for i in range(len(y)):
        wrong += y[i] < 0 or y[i] >= classes
    if wrong:
        raise IndexError("a label is outside the classes")


@part
def _block(scores: Any) -> Any:
    """Return how many rows make a block."""
    return max(BLOCK // scores.shape[1], 1)


# --- some rows -------------------------------------------------------------------------------------------------------


@part
def _losses(scores: Any, y: Any, highest: Any, total: Any) -> Any:
    """Return the sum of the losses of rows. Those with a negative label are not read."""
    losses = 0.0
    for i in range(len(scores)):
        if y[i] < 0:
            highest[i, 0], total[i, 0] = np.inf, 1
            continue
        row = scores[i]
        top = _highest(row)
        powers = _sum_of_powers(row, top)
        highest[i, 0], total[i, 0] = top, powers
        losses += math.log(powers) - (row[y[i]] - top)
    return losses


@part
def _slopes(scale: Any, scores: Any, y: Any, highest: Any, total: Any, d: Any) -> None:
    """Write the cotangents of rows, zeros for those with a negative label."""
    for i in range(len(scores)):
        if y[i] < 0:
            d[i] = 0
            continue
        row, slopes, top = scores[i], d[i], highest[i, 0]
        factor = d.dtype.type(scale / total[i, 0])
        for j in range(len(row)):
            slopes[j] = exp(row[j] - top) * factor
        slopes[y[i]] -= d.dtype.type(scale)


@part
def _highest(row: Any) -> Any:
    """Return the highest number of a row, from four parts side by side: one comparison need not wait for the last.

    Numbers that are not (NaN) may be passed over; they show in the sum of the exponentials.
    """
    size = len(row) // 4
    first, second, third, fourth = row[:size], row[size : 2 * size], row[2 * size : 3 * size], row[3 * size : 4 * size]
    a = b = c = d = row[0]
    for j in range(size):
        a, b, c, d = _higher(first[j], a), _higher(second[j], b), _higher(third[j], c), _higher(fourth[j], d)
    top = _higher(_higher(a, b), _higher(c, d))
    for j in range(4 * size, len(row)):
        top = _higher(row[j], top)
    return top


@part
def _higher(x: Any, y: Any) -> Any:
    return x if x > y else y


@part
def _sum_of_powers(row: Any, top: Any) -> Any:
    powers = 0.0
    for start in range(0, len(row), PART):
        few = row[start : start + PART]
        sum_of_few = row.dtype.type(0)
        for j in range(len(few)):
            sum_of_few += exp(few[j] - top)
        powers += sum_of_few
    return powers
