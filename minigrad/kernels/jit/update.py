"""The update rules in one loop each, over all of their arrays at once.

The bits are NumPy's here too: the loops are compiled without leave to reorder sums or to skip the rounding of a product
before it is added. That costs nothing, since they wait for memory.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from .define import parallel

PIECE = 16384
ALONE = 1 << 19  # so many elements are done sooner than a second thread has awoken, between two products at least


def sgd(dw: Any, w: Any, learning_rate: float) -> Any:
    if not _served(w, dw):
        return NotImplemented
    return _sgd_all(dw, w, float(learning_rate))


def sgd_momentum(w: Any, dw: Any, velocity: Any, out: Any, learning_rate: float, momentum: float) -> Any:
    if not _served(w, dw):
        return NotImplemented
    return _sgd_momentum_all(w, dw, velocity, out, float(learning_rate), float(momentum))


def rmsprop(w: Any, dw: Any, cache: Any, out: Any, learning_rate: float, decay_rate: float, epsilon: float) -> Any:
    if not _served(w, dw):
        return NotImplemented
    rates = float(learning_rate), float(decay_rate), float(1 - decay_rate), float(epsilon)
    return _rmsprop_all(w, dw, cache, out, *rates)


def adam(
    w: Any, dw: Any, m: Any, v: Any, out: Any, learning_rate: float, beta1: float, beta2: float, epsilon: float, t: int
) -> Any:
    if not _served(w, dw):
        return NotImplemented
    first = float(beta1), float(1 - beta1), float(1 - beta1**t)
    second = float(beta2), float(1 - beta2), float(1 - beta2**t)
    return _adam_all(w, dw, m, v, out, float(learning_rate), *first, *second, float(epsilon))


def _served(w: Any, dw: Any) -> bool:
    """Whether the loops have been made for such arrays; what is written is like them."""
    return w.flags.carray and dw.flags.carray and w.dtype.char in "fd" and dw.dtype == w.dtype


exactly = numba.njit(error_model="numpy", fastmath=False)  # said, or it would be taken from the caller


@exactly
def _sgd(dw, w, learning_rate):
    real = w.dtype.type
    rate = real(learning_rate)
    for i in range(len(w)):
        w[i] -= rate * dw[i]


@exactly
def _sgd_momentum(w, dw, velocity, out, learning_rate, momentum):
    real = w.dtype.type
    rate, keep = real(learning_rate), real(momentum)
    for i in range(len(w)):
        next_velocity = keep * velocity[i] - rate * dw[i]
        velocity[i] = next_velocity
        out[i] = w[i] + next_velocity


@exactly
def _rmsprop(w, dw, cache, out, learning_rate, decay, new, epsilon):
    real = w.dtype.type
    rate, keep, add, least = real(learning_rate), real(decay), real(new), real(epsilon)
    for i in range(len(w)):
        square = keep * cache[i] + add * (dw[i] * dw[i])
        cache[i] = square
        out[i] = w[i] - rate * dw[i] / (np.sqrt(square) + least)


@exactly
def _adam(w, dw, m, v, out, learning_rate, beta1, new1, whole1, beta2, new2, whole2, epsilon):
    real = w.dtype.type
    rate, least = real(learning_rate), real(epsilon)
    keep1, add1, part1 = real(beta1), real(new1), real(whole1)
    keep2, add2, part2 = real(beta2), real(new2), real(whole2)
    for i in range(len(w)):
        mean = keep1 * m[i] + add1 * dw[i]
        square = keep2 * v[i] + add2 * (dw[i] * dw[i])
        m[i], v[i] = mean, square
        out[i] = w[i] - rate * (mean / part1) / (np.sqrt(square / part2) + least)


@exactly
def _pieces(w):
    return (len(w) + PIECE - 1) // PIECE


@exactly
def _piece(k):
    return slice(k * PIECE, (k + 1) * PIECE)


@parallel
def _sgd_all(dw, w, learning_rate):
    if len(w) < ALONE:
        _sgd(dw, w, learning_rate)
    else:
        for k in numba.prange(_pieces(w)):
            at = _piece(k)
            _sgd(dw[at], w[at], learning_rate)


@parallel
def _sgd_momentum_all(w, dw, velocity, out, learning_rate, momentum):
    if len(w) < ALONE:
        _sgd_momentum(w, dw, velocity, out, learning_rate, momentum)
    else:
        for k in numba.prange(_pieces(w)):
            at = _piece(k)
            _sgd_momentum(w[at], dw[at], velocity[at], out[at], learning_rate, momentum)


@parallel
def _rmsprop_all(w, dw, cache, out, learning_rate, decay, new, epsilon):
    if len(w) < ALONE:
        _rmsprop(w, dw, cache, out, learning_rate, decay, new, epsilon)
    else:
        for k in numba.prange(_pieces(w)):
            at = _piece(k)
            _rmsprop(w[at], dw[at], cache[at], out[at], learning_rate, decay, new, epsilon)


@parallel
def _adam_all(w, dw, m, v, out, learning_rate, beta1, new1, whole1, beta2, new2, whole2, epsilon):
    if len(w) < ALONE:
        _adam(w, dw, m, v, out, learning_rate, beta1, new1, whole1, beta2, new2, whole2, epsilon)
    else:
        for k in numba.prange(_pieces(w)):
            at = _piece(k)
            _adam(
                w[at], dw[at], m[at], v[at], out[at], learning_rate, beta1, new1, whole1, beta2, new2, whole2, epsilon
            )
