"""The four update rules over flat arrays: what they remember, and the next parameter, written into what is there.

The arithmetic is that of `minigrad.optim`, operation by operation, so that the bits are the same. What is saved is
memory: `optim`'s readable text makes a new array at each operator. Here one piece after another, small enough to stay
in the processor's cache, goes through all of the operators, and each array is read and written once.

Unlike the other kernels these write into what they are given: the last arrays, from `velocity`, `cache` or `m` on. All
arrays of a call have one axis, one length and one dtype, and `w` and `dw` may not overlap what is written. In the loops
`p` and `g` are pieces of `w` and `dw`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .choice import kernel

__all__ = ["adam", "rmsprop", "sgd", "sgd_momentum"]

PIECE = 32768
"""Elements that go through a rule together: few enough for the cache, and enough that NumPy's calls weigh little."""


@kernel
def sgd(dw: Any, w: Any, learning_rate: float) -> None:
    """Write ``w - learning_rate * dw`` into w."""
    (rate,) = _numbers(w, learning_rate)
    for g, p, step in _pieces(dw, w):
        np.multiply(g, rate, out=step)
        np.subtract(p, step, out=p)


@kernel
def sgd_momentum(w: Any, dw: Any, velocity: Any, out: Any, learning_rate: float, momentum: float) -> None:
    """Write the next velocity, and the next w into out."""
    rate, keep = _numbers(w, learning_rate, momentum)
    for p, g, v, next_p, step in _pieces(w, dw, velocity, out):
        np.multiply(v, keep, out=v)
        np.multiply(g, rate, out=step)
        np.subtract(v, step, out=v)
        np.add(p, v, out=next_p)


@kernel
def rmsprop(w: Any, dw: Any, cache: Any, out: Any, learning_rate: float, decay_rate: float, epsilon: float) -> None:
    """Write the next cache, and the next w into out."""
    rate, keep, new, least = _numbers(w, learning_rate, decay_rate, 1 - decay_rate, epsilon)
    for p, g, square, next_p, root in _pieces(w, dw, cache, out):
        _average(square, np.square(g, out=root), keep, new, root)
        np.sqrt(square, out=root)
        np.add(root, least, out=root)
        np.multiply(g, rate, out=next_p)
        np.divide(next_p, root, out=next_p)
        np.subtract(p, next_p, out=next_p)


@kernel
def adam(
    w: Any, dw: Any, m: Any, v: Any, out: Any, learning_rate: float, beta1: float, beta2: float, epsilon: float, t: int
) -> None:
    """Write the next m and v, and the next w into out; t counts this step."""
    rate, least, whole1, whole2 = _numbers(w, learning_rate, epsilon, 1 - beta1**t, 1 - beta2**t)
    keep1, new1, keep2, new2 = _numbers(w, beta1, 1 - beta1, beta2, 1 - beta2)
    for p, g, mean, square, next_p, root in _pieces(w, dw, m, v, out):
        _average(mean, g, keep1, new1, root)
        _average(square, np.square(g, out=root), keep2, new2, root)
        np.divide(square, whole2, out=root)
        np.sqrt(root, out=root)
        np.add(root, least, out=root)
        np.divide(mean, whole1, out=next_p)
        np.multiply(next_p, rate, out=next_p)
        np.divide(next_p, root, out=next_p)
        np.subtract(p, next_p, out=next_p)


def _average(average: Any, new: Any, keep: Any, add: Any, scratch: Any) -> None:
    """Move an average towards what is new: ``keep * average + add * new``."""
    np.multiply(average, keep, out=average)
    np.multiply(new, add, out=scratch)
    np.add(average, scratch, out=average)


def _numbers(like: Any, *values: float) -> list[Any]:
    """Return numbers as arrays of no axes: NumPy converts a Python number anew at every operation."""
    return [np.array(value, like.dtype) for value in values]


def _pieces(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Yield one piece after another of all the arrays, and some room as long as the piece."""
    length = len(arrays[0])
    scratch = np.empty(min(length, PIECE), arrays[0].dtype)
    if length <= PIECE:
        yield (*arrays, scratch)
        return
    for start in range(0, length, PIECE):
        piece = tuple(array[start : start + PIECE] for array in arrays)
        yield (*piece, scratch[: len(piece[0])])
