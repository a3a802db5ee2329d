"""Recurrent networks, the arithmetic of a step's gates in one compiled loop.

As in NumPy the steps come first, and the matrix products are BLAS's. What stands between two of them (biases, sigmoids
and hyperbolic tangents, the new state; on the way back, all cotangents of what goes into the gates) is one pass over
the numbers of the step, one sample at a time, by one thread: the products of the steps before and after take turns with
it many times in a millisecond, and a second thread costs more to wake up than it would save.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from ..recurrent import (
    _add_gradients_of_h,
    _add_gradients_of_x,
    _no_gradients,
    _of,
    _parts,
    _paths,
    _project,
    _room,
)
from .define import jit, sigmoid, tanh

__all__ = ["gru", "gru_backward", "lstm", "lstm_backward", "rnn", "rnn_backward"]


def _declined(*arrays: Any) -> bool:
    """Whether NumPy's kernel is to be taken: for other dtypes, and where there is nothing to do."""
    return arrays[0].dtype not in (np.float32, np.float64) or not all(x.size for x in arrays)


def _steps_first(g: Any) -> Any:
    return np.ascontiguousarray(np.swapaxes(g, 0, 1))


# --- vanilla ---------------------------------------------------------------------------------------------------------


def rnn(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    if _declined(h0, x):
        return NotImplemented
    (path,) = _paths(x.shape[1], h0)
    _project(x, Wx, out=path[1:])
    product, b = np.empty_like(path[0]), np.array(b)
    for t in range(len(path) - 1):
        np.matmul(path[t], Wh, out=product)
        _rnn_step(t, path, product, b)
    return path


@jit
def _rnn_step(t: int, path: Any, product: Any, b: Any) -> None:
    for n in range(len(product)):
        a, u = path[t + 1, n], product[n]
        for j in range(b.size):
            a[j] = tanh(a[j] + u[j] + b[j])


def rnn_backward(g: Any, x: Any, Wx: Any, Wh: Any, path: Any, wants: Collection[str]) -> Any:
    if _declined(path, x):
        return NotImplemented
    found = _no_gradients(wants, x, Wx, Wh)
    g, d_h, turned = _steps_first(g), np.zeros_like(path[0]), Wh.T
    room = _room(x, path.shape[2], path.dtype)
    for part in _parts(x):
        d_into = _of(part, room)
        for t in reversed(range(part.start, part.stop)):
            d_a = d_into[t - part.start]
            _rnn_step_back(t, g, d_h, path, d_a)
            np.matmul(d_a, turned, out=d_h)
        _add_gradients_of_h(found, part, path, d_into)
        _add_gradients_of_x(found, part, x, Wx, d_into)
    return {"h0": d_h, **found}


@jit
def _rnn_step_back(t: int, g: Any, d_h: Any, path: Any, d_into: Any) -> None:
    one = d_h.dtype.type(1)
    for n in range(len(d_h)):
        above, back, h, d = g[t, n], d_h[n], path[t + 1, n], d_into[n]
        for j in range(d.size):
            d[j] = (above[j] + back[j]) * (one - h[j] * h[j])


# --- long short-term memory ------------------------------------------------------------------------------------------


def lstm(x: Any, h0: Any, c0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    if _declined(h0, x):
        return NotImplemented
    gates, paths = _project(x, Wx), _paths(x.shape[1], h0, c0)
    product, b = np.empty(gates.shape[1:], gates.dtype), np.array(b)
    for t in range(len(gates)):
        np.matmul(paths[0, t], Wh, out=product)
        _lstm_step(t, gates, paths, product, b)
    return paths, gates


@jit
def _lstm_step(t: int, gates: Any, paths: Any, product: Any, b: Any) -> None:
    width = paths.shape[3]
    sigmoids = 3 * width
    for n in range(len(product)):
        a, u = gates[t, n], product[n]
        for j in range(sigmoids):
            a[j] = sigmoid(a[j] + u[j] + b[j])
        i, f, o, new = a[:width], a[width : 2 * width], a[2 * width : sigmoids], a[sigmoids:]
        last, last_bias = u[sigmoids:], b[sigmoids:]
        for j in range(width):
            new[j] = tanh(new[j] + last[j] + last_bias[j])
        c, c_after, h_after = paths[1, t, n], paths[1, t + 1, n], paths[0, t + 1, n]
        for j in range(width):
            c_after[j] = f[j] * c[j] + i[j] * new[j]
        for j in range(width):
            h_after[j] = o[j] * tanh(c_after[j])


def lstm_backward(g: Any, x: Any, Wx: Any, Wh: Any, paths: Any, gates: Any, wants: Collection[str]) -> Any:
    if _declined(paths, x):
        return NotImplemented
    found = _no_gradients(wants, x, Wx, Wh)
    d_h, d_c, turned = np.zeros_like(paths[0, 0]), np.zeros_like(paths[1, 0]), Wh.T
    g_h, g_c, room = _steps_first(g[0]), g[1], _room(x, gates.shape[2], gates.dtype)
    for part in _parts(x):
        d_into = _of(part, room)
        for t in reversed(range(part.start, part.stop)):
            d_a = d_into[t - part.start]
            if g_c is not None:
                d_c += g_c[:, t]
            _lstm_step_back(t, g_h, d_h, d_c, paths, gates, d_a)
            np.matmul(d_a, turned, out=d_h)
        _add_gradients_of_h(found, part, paths[0], d_into)
        _add_gradients_of_x(found, part, x, Wx, d_into)
    return {"h0": d_h, "c0": d_c, **found}


@jit
def _lstm_step_back(t: int, g: Any, d_h: Any, d_c: Any, paths: Any, gates: Any, d_into: Any) -> None:
    """Write the cotangents of what goes into the gates, and that of the cell before the step in place of d_c."""
    width, one = d_h.shape[1], d_h.dtype.type(1)
    for n in range(len(d_h)):
        a, d = gates[t, n], d_into[n]
        i, f, o, new = a[:width], a[width : 2 * width], a[2 * width : 3 * width], a[3 * width :]
        d_i, d_f, d_o, d_new = d[:width], d[width : 2 * width], d[2 * width : 3 * width], d[3 * width :]
        above, back, carried, before, after = g[t, n], d_h[n], d_c[n], paths[1, t, n], paths[1, t + 1, n]
        for j in range(width):
            tanh_c, total = tanh(after[j]), above[j] + back[j]
            d_o[j] = total * tanh_c * (o[j] * (one - o[j]))
            carried[j] += total * o[j] * (one - tanh_c * tanh_c)
        for j in range(width):
            d_i[j] = carried[j] * new[j] * (i[j] * (one - i[j]))
            d_new[j] = carried[j] * i[j] * (one - new[j] * new[j])
        for j in range(width):
            d_f[j] = carried[j] * before[j] * (f[j] * (one - f[j]))
            carried[j] *= f[j]


# --- gated recurrent unit --------------------------------------------------------------------------------------------


def gru(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any, bh: Any) -> Any:
    if _declined(h0, x):
        return NotImplemented
    width = h0.shape[1]
    gates, (path,) = _project(x, Wx), _paths(x.shape[1], h0)
    inner = np.empty((len(gates), *h0.shape), path.dtype)
    product, bias, inner_bias = np.empty(gates.shape[1:], gates.dtype), np.array(b), np.array(bh[2 * width :])
    bias[: 2 * width] += bh[: 2 * width]
    for t in range(len(gates)):
        np.matmul(path[t], Wh, out=product)
        _gru_step(t, gates, inner, path, product, bias, inner_bias)
    return path, gates, inner


@jit
def _gru_step(t: int, gates: Any, inner: Any, path: Any, product: Any, b: Any, inner_bias: Any) -> None:
    width = inner_bias.size
    for n in range(len(product)):
        a, u, within, before, after = gates[t, n], product[n], inner[t, n], path[t, n], path[t + 1, n]
        for j in range(2 * width):
            a[j] = sigmoid(a[j] + u[j] + b[j])
        r, z, new = a[:width], a[width : 2 * width], a[2 * width :]
        last, last_bias = u[2 * width :], b[2 * width :]
        for j in range(width):
            within[j] = last[j] + inner_bias[j]
            new[j] = tanh(new[j] + last_bias[j] + r[j] * within[j])
        for j in range(width):
            after[j] = new[j] + z[j] * (before[j] - new[j])


def gru_backward(g: Any, x: Any, Wx: Any, Wh: Any, path: Any, gates: Any, inner: Any, wants: Collection[str]) -> Any:
    if _declined(path, x):
        return NotImplemented
    width = path.shape[2]
    found = _no_gradients(wants, x, Wx, Wh)
    g, turned = _steps_first(g), Wh.T
    back, carried = np.zeros_like(path[0]), np.zeros_like(path[0])
    room, room_inner = (_room(x, columns, gates.dtype) for columns in (3 * width, width))
    for part in _parts(x):
        d_gates, d_new = _of(part, room), _of(part, room_inner)
        for t in reversed(range(part.start, part.stop)):
            d_a = d_gates[t - part.start]
            _gru_step_back(t, g, back, carried, path, gates, inner, d_a, d_new[t - part.start])
            np.matmul(d_a, turned, out=back)
        _add_gradients_of_h(found, part, path, d_gates)
        d_gates[..., 2 * width :] = d_new
        _add_gradients_of_x(found, part, x, Wx, d_gates)
    return {"h0": back + carried, **found}


@jit
def _gru_step_back(
    t: int, g: Any, back: Any, carried: Any, path: Any, gates: Any, inner: Any, d_gates: Any, d_inner: Any
) -> None:
    """Write the cotangents of ``h Wh + bh``, and of ``x Wn + bn``.

    That of the state before the step has two parts: `back` comes through the gates, `carried` past them.
    """
    width, one = back.shape[1], back.dtype.type(1)
    for n in range(len(back)):
        a, d, d_new, within, before = gates[t, n], d_gates[n], d_inner[n], inner[t, n], path[t, n]
        r, z, new = a[:width], a[width : 2 * width], a[2 * width :]
        d_r, d_z, d_last = d[:width], d[width : 2 * width], d[2 * width :]
        above, through, past = g[t, n], back[n], carried[n]
        for j in range(width):
            past[j] += above[j] + through[j]
            d_new[j] = past[j] * (one - z[j]) * (one - new[j] * new[j])
        for j in range(width):
            d_last[j] = d_new[j] * r[j]
            d_r[j] = d_last[j] * within[j] * (one - r[j])
        for j in range(width):
            d_z[j] = past[j] * (before[j] - new[j]) * (z[j] * (one - z[j]))
            past[j] *= z[j]
