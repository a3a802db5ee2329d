"""Recurrent networks: each thread takes some of the samples through all steps.

Samples do not wait for each other, only steps do. So a thread that goes through all steps with its samples never meets
another, and what belongs to one step of its samples stays in its cache from the product to the new state. The weights
are packed once for all steps (see :mod:`.product`). All gradients of weights are products over all steps, and BLAS's.

Arrays have samples first inside, and steps first, as in NumPy's kernels, to the outside: those are views. Where there
are too few numbers for packing to be worth it, NumPy's kernels run.

The gated recurrent unit has BLAS's products between compiled passes over one step's numbers, by one thread.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numba
import numpy as np

from ..recurrent import (
    _add_gradients_of_h,
    _add_gradients_of_x,
    _add_product,
    _no_gradients,
    _of,
    _parts,
    _paths,
    _project,
    _room,
    _steps_of_a_part,
)
from .define import jit, parallel, sigmoid, tanh, thread_count
from .define import part as inner  # `part` is one of a sequence here
from .product import PANEL, lanes, pack, pack_transpose, panels, rows_times_panel

__all__ = ["gru", "gru_backward", "lstm", "lstm_backward", "rnn", "rnn_backward"]

FEW = 32
"""Weights that fewer rows, steps times samples, are multiplied with are not worth packing."""

SAMPLES = 48
"""How many samples a thread takes at a time, at most."""


def _declined(*arrays: Any) -> bool:
    """Whether NumPy's kernel is to be taken: for other dtypes, and where there is nothing to do."""
    return arrays[0].dtype not in (np.float32, np.float64) or not all(x.size for x in arrays)


def _too_few(x: Any) -> bool:
    return x.shape[1] == 1 or x.shape[0] * x.shape[1] < FEW


def _steps_first(g: Any) -> Any:
    return np.ascontiguousarray(np.swapaxes(g, 0, 1))


# --- vanilla ---------------------------------------------------------------------------------------------------------


def rnn(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    if _declined(h0, x) or _too_few(x):
        return NotImplemented
    paths = _starting(x, h0)
    _rnn(np.ascontiguousarray(x), *_packed(Wx, Wh, b), paths[0], _share(x))
    return np.swapaxes(paths[0], 0, 1)


@parallel
def _rnn(x: Any, Wx: Any, Wh: Any, b: Any, path: Any, share: int) -> None:
    for k in numba.prange((len(x) + share - 1) // share):
        _rnn_of_some(slice(k * share, (k + 1) * share), x, Wx, Wh, b, path)


@jit
def _rnn_of_some(some: slice, x: Any, Wx: Any, Wh: Any, b: Any, path: Any) -> None:
    x, path = x[some], path[some]
    into = np.empty((len(x), len(b)), x.dtype)
    for t in range(x.shape[1]):
        _add_products(t, x, path, Wx, Wh, b, into)
        for n in range(len(x)):
            a, after = into[n], path[n, t + 1]
            for j in range(after.size):
                after[j] = tanh(a[j])


def rnn_backward(g: Any, x: Any, Wx: Any, Wh: Any, path: Any, wants: Collection[str]) -> Any:
    if _declined(path, x) or _too_few(x):
        return NotImplemented
    g, path, turned = np.ascontiguousarray(g), _samples_first(path), _packed_turned(Wh)
    d_h = np.zeros_like(path[:, 0])
    gradients = _Gradients(wants, x, Wx, Wh)
    for part, d_into in gradients.parts():
        _rnn_backward(part.start, g, path, turned, d_into, d_h, _share(x))
        gradients.add(part, path, d_into)
    return {"h0": d_h, **gradients.found}


@parallel
def _rnn_backward(first: int, g: Any, path: Any, turned: Any, d_into: Any, d_h: Any, share: int) -> None:
    for k in numba.prange((len(g) + share - 1) // share):
        _rnn_backward_of_some(slice(k * share, (k + 1) * share), first, g, path, turned, d_into, d_h)


@jit
def _rnn_backward_of_some(some: slice, first: int, g: Any, path: Any, turned: Any, d_into: Any, d_h: Any) -> None:
    g, path, d_into, d_h = g[some], path[some], d_into[some], d_h[some]
    one = g.dtype.type(1)
    back = _with_room(d_h)
    for t in range(d_into.shape[1] - 1, -1, -1):
        for n in range(len(g)):
            above, through, h, d = g[n, first + t], back[n], path[n, first + t + 1], d_into[n, t]
            for j in range(d.size):
                d[j] = (above[j] + through[j]) * (one - h[j] * h[j])
        _turn_back(t, d_into, turned, back)
    d_h[:] = back[:, : d_h.shape[1]]


# --- long short-term memory ------------------------------------------------------------------------------------------


def lstm(x: Any, h0: Any, c0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    if _declined(h0, x) or _too_few(x):
        return NotImplemented
    paths, gates = _starting(x, h0, c0), np.empty((*x.shape[:2], Wx.shape[1]), Wx.dtype)
    _lstm(np.ascontiguousarray(x), *_packed(Wx, Wh, b), paths, gates, _share(x))
    return np.swapaxes(paths, 1, 2), np.swapaxes(gates, 0, 1)


@parallel
def _lstm(x: Any, Wx: Any, Wh: Any, b: Any, paths: Any, gates: Any, share: int) -> None:
    for k in numba.prange((len(x) + share - 1) // share):
        _lstm_of_some(slice(k * share, (k + 1) * share), x, Wx, Wh, b, paths[0], paths[1], gates)


@jit
def _lstm_of_some(some: slice, x: Any, Wx: Any, Wh: Any, b: Any, states: Any, cells: Any, gates: Any) -> None:
    x, states, cells, gates = x[some], states[some], cells[some], gates[some]
    into, width = np.empty((len(x), len(b)), x.dtype), states.shape[2]
    sigmoids = 3 * width
    for t in range(x.shape[1]):
        _add_products(t, x, states, Wx, Wh, b, into)
        for n in range(len(x)):
            u, a = into[n], gates[n, t]
            for j in range(sigmoids):
                a[j] = sigmoid(u[j])
            i, f, o, new, last = a[:width], a[width : 2 * width], a[2 * width : sigmoids], a[sigmoids:], u[sigmoids:]
            c, c_after, h_after = cells[n, t], cells[n, t + 1], states[n, t + 1]
            for j in range(width):
                new[j] = tanh(last[j])
            for j in range(width):
                c_after[j] = f[j] * c[j] + i[j] * new[j]
            for j in range(width):
                h_after[j] = o[j] * tanh(c_after[j])


def lstm_backward(g: Any, x: Any, Wx: Any, Wh: Any, paths: Any, gates: Any, wants: Collection[str]) -> Any:
    if _declined(paths, x) or _too_few(x):
        return NotImplemented
    g_h, turned = np.ascontiguousarray(g[0]), _packed_turned(Wh)
    g_c = np.empty((0, 0, 0), g_h.dtype) if g[1] is None else np.ascontiguousarray(g[1])
    states, cells, gates = map(_samples_first, (paths[0], paths[1], gates))
    d_h, d_c = np.zeros_like(states[:, 0]), np.zeros_like(cells[:, 0])
    gradients = _Gradients(wants, x, Wx, Wh)
    for part, d_into in gradients.parts():
        _lstm_backward(part.start, g_h, g_c, cells, gates, turned, d_into, d_h, d_c, _share(x))
        gradients.add(part, states, d_into)
    return {"h0": d_h, "c0": d_c, **gradients.found}


@parallel
def _lstm_backward(
    first: int, g: Any, g_c: Any, cells: Any, gates: Any, turned: Any, d_into: Any, d_h: Any, d_c: Any, share: int
) -> None:
    for k in numba.prange((len(g) + share - 1) // share):
        some = slice(k * share, (k + 1) * share)
        _lstm_backward_of_some(some, first, g, g_c, cells, gates, turned, d_into, d_h, d_c)


@jit
def _lstm_backward_of_some(
    some: slice, first: int, g: Any, g_c: Any, cells: Any, gates: Any, turned: Any, d_into: Any, d_h: Any, d_c: Any
) -> None:
    """Write the cotangents of what goes into the gates, and those of the states before in place of those after."""
    g, g_c, cells, gates, d_into, d_h, d_c = (
        g[some], g_c[some], cells[some], gates[some], d_into[some], d_h[some], d_c[some]
    )  # fmt: skip
    width, one = d_h.shape[1], g.dtype.type(1)
    back = _with_room(d_h)
    for t in range(d_into.shape[1] - 1, -1, -1):
        for n in range(len(g)):
            a, d = gates[n, first + t], d_into[n, t]
            i, f, o, new = a[:width], a[width : 2 * width], a[2 * width : 3 * width], a[3 * width :]
            d_i, d_f, d_o, d_new = d[:width], d[width : 2 * width], d[2 * width : 3 * width], d[3 * width :]
            above, through, carried = g[n, first + t], back[n], d_c[n]
            before, after = cells[n, first + t], cells[n, first + t + 1]
            if len(g_c):
                from_cell = g_c[n, first + t]
                for j in range(width):
                    carried[j] += from_cell[j]
            for j in range(width):
                tanh_c, total = tanh(after[j]), above[j] + through[j]
                d_o[j] = total * tanh_c * (o[j] * (one - o[j]))
                carried[j] += total * o[j] * (one - tanh_c * tanh_c)
            for j in range(width):
                d_i[j] = carried[j] * new[j] * (i[j] * (one - i[j]))
                d_new[j] = carried[j] * i[j] * (one - new[j] * new[j])
            for j in range(width):
                d_f[j] = carried[j] * before[j] * (f[j] * (one - f[j]))
                carried[j] *= f[j]
        _turn_back(t, d_into, turned, back)
    d_h[:] = back[:, :width]


# --- both ------------------------------------------------------------------------------------------------------------


def _share(x: Any) -> int:
    """Return how many samples a thread takes at a time."""
    threads = thread_count()
    rounds = -(-len(x) // (threads * SAMPLES))
    return -(-len(x) // (threads * rounds))


def _starting(x: Any, *starts: Any) -> Any:
    """Return room for a path from each start, samples first, (number of starts, N, T + 1, H)."""
    samples, width = starts[0].shape
    paths = np.empty((len(starts), samples, x.shape[1] + 1, width), starts[0].dtype)
    for path, start in zip(paths, starts):
        path[:, 0] = start
    return paths


def _samples_first(path: Any) -> Any:
    return np.ascontiguousarray(np.swapaxes(path, 0, 1))


def _whole(columns: int, x: Any) -> int:
    """Return how many columns whole panels have that hold so many."""
    wide = PANEL // x.itemsize
    return -(-columns // wide) * wide


def _packed(Wx: Any, Wh: Any, b: Any) -> tuple[Any, Any, Any]:
    """Return weights and biases in whole panels."""
    columns = len(b)
    bias = np.zeros(_whole(columns, b), b.dtype)
    bias[:columns] = b
    found = [np.empty(len(w) * len(bias), w.dtype) for w in (Wx, Wh)]
    for w, room in zip((Wx, Wh), found):
        _pack(np.ascontiguousarray(w), room)
    return *found, bias


def _packed_turned(w: Any) -> Any:
    """Return the transpose in whole panels."""
    room = np.empty(_whole(len(w), w) * w.shape[1], w.dtype)
    _pack_turned(np.ascontiguousarray(w), room)
    return room


@jit
def _pack(w: Any, room: Any) -> None:
    wide, one = lanes(w), w.dtype.type(1)
    for p in range(panels(w.shape[1], w)):
        pack(w[:, p * wide : (p + 1) * wide], one, room[p * wide * len(w) : (p + 1) * wide * len(w)])


@jit
def _pack_turned(w: Any, room: Any) -> None:
    wide, one = lanes(w), w.dtype.type(1)
    for p in range(panels(len(w), w)):
        pack_transpose(w[p * wide : (p + 1) * wide], one, room[p * wide * w.shape[1] : (p + 1) * wide * w.shape[1]])


@inner
def _with_room(d: Any) -> Any:
    """Return rows in whole panels."""
    wider = np.zeros((len(d), panels(d.shape[1], d) * lanes(d)), d.dtype)
    wider[:, : d.shape[1]] = d
    return wider


@inner
def _add_products(t: int, x: Any, path: Any, Wx: Any, Wh: Any, b: Any, out: Any) -> None:
    """Write ``x Wx + h Wh + b`` for a step, in whole panels."""
    samples, steps, width = x.shape
    state, pitch = path.shape[2], len(b)
    rows, states, to = x.reshape(-1), path.reshape(-1), out.reshape(-1)
    for p in range(0, pitch, lanes(x)):
        sums = to, p, pitch
        of_x, of_h = (rows, t * width, steps * width, 1), (states, t * state, (steps + 1) * state, 1)
        rows_times_panel((b, p, 0), of_x, (Wx, p * width, lanes(x)), sums, samples, width)
        rows_times_panel(sums, of_h, (Wh, p * state, lanes(x)), sums, samples, state)


@inner
def _turn_back(t: int, d_into: Any, turned: Any, out: Any) -> None:
    """Write the cotangents of the states before a step, in whole panels."""
    samples, steps, columns = d_into.shape
    rows, to, pitch, zeros = d_into.reshape(-1), out.reshape(-1), out.shape[1], np.zeros(lanes(out), out.dtype)
    for p in range(0, pitch, lanes(out)):
        of_d, weights = (rows, t * columns, steps * columns, 1), (turned, p * columns, lanes(out))
        rows_times_panel((zeros, 0, 0), of_d, weights, (to, p, pitch), samples, columns)


class _Gradients:
    """Those of x, weights and biases, a part of the steps at a time.

    Attributes
    ----------
    found : dict
        Those that are wanted, as far as they have been added.
    """

    def __init__(self, wants: Collection[str], x: Any, Wx: Any, Wh: Any) -> None:
        self.x, self.Wx = x, Wx
        shapes = {"x": x.shape, "Wx": Wx.shape, "Wh": Wh.shape, "b": Wx.shape[1:]}
        self.found = {name: np.zeros(shape, Wx.dtype) for name, shape in shapes.items() if name in wants}

    def parts(self) -> Any:
        """Yield the steps of each part, the last part first, and room for the cotangents of what goes into the gates.

        All parts have the same room.
        """
        samples, columns = len(self.x), self.Wx.shape[1]
        room = np.empty(samples * _steps_of_a_part(self.x) * columns, self.Wx.dtype)
        for part in _parts(self.x):
            steps = part.stop - part.start
            yield part, room[: samples * steps * columns].reshape(samples, steps, columns)

    def add(self, part: slice, path: Any, d_into: Any) -> None:
        """Add what comes from the steps of a part."""
        rows, found, first = d_into.reshape(-1, d_into.shape[2]), self.found, part.stop == self.x.shape[1]
        if "Wh" in found:
            _add_product(found["Wh"], _as_rows(path[:, part]).T, rows, first)
        if "Wx" in found:
            _add_product(found["Wx"], _as_rows(self.x[:, part]).T, rows, first)
        if "b" in found:
            found["b"] += rows.sum(axis=0)
        if "x" in found:
            found["x"][:, part] = np.matmul(rows, self.Wx.T).reshape(*d_into.shape[:2], len(self.Wx))


def _as_rows(x: Any) -> Any:
    return x.reshape(-1, x.shape[2])


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
