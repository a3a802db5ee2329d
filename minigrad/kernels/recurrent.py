"""Recurrent networks over whole sequences, forward and backward.

All functions take x (N, T, D), states (N, H), and weights that are multiplied from the right, all of one dtype. Inside,
the steps come first: what belongs to one step is then one piece of memory. All that does not wait for another step is
done for many steps at once: the product with Wx, the slopes of the gates, and, from the cotangents of what goes into
the gates, the gradients of x and of the weights. The loop over the steps has one matrix product and a few passes over
one step's numbers, in place.

Products of many steps take long sequences in parts (:func:`_parts`), so that the way back needs room for one part only.

A *path* holds a state before the first step and after each step: (T + 1, N, H).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from .choice import kernel

__all__ = ["gru", "gru_backward", "lstm", "lstm_backward", "rnn", "rnn_backward"]

ROWS = 4096
"""About how many rows, steps times samples, a product of many steps has at most."""

# --- vanilla ---------------------------------------------------------------------------------------------------------


@kernel
def rnn(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    """Return the path of ``h = tanh(x Wx + h Wh + b)``."""
    (path,) = _paths(x.shape[1], h0)
    _project(x, Wx, b, out=path[1:])
    product = np.empty_like(path[0])
    for h, after in zip(path, path[1:]):
        np.matmul(h, Wh, out=product)
        after += product
        np.tanh(after, out=after)
    return path


@kernel
def rnn_backward(g: Any, x: Any, Wx: Any, Wh: Any, path: Any, wants: Collection[str]) -> dict[str, Any]:
    """Return the cotangents of the arguments of :func:`rnn` that are wanted, given that of h after each step (N, T, H).

    That of h0 is always among them, as in the functions below: the loop ends with it.
    """
    found = _no_gradients(wants, x, Wx, Wh)
    g, d_h, turned = np.swapaxes(g, 0, 1), np.zeros_like(path[0]), Wh.T
    room = _room(x, path.shape[2], path.dtype)
    for part in _parts(x):
        d_into = np.square(path[1:][part], out=_of(part, room))
        np.subtract(1, d_into, out=d_into)  # the slopes, which the loop turns into cotangents
        for d_out, d_a in _backwards(g[part], d_into):
            d_h += d_out
            d_a *= d_h
            np.matmul(d_a, turned, out=d_h)
        _add_gradients_of_h(found, part, path, d_into)
        _add_gradients_of_x(found, part, x, Wx, d_into)
    return {"h0": d_h, **found}


# --- long short-term memory ------------------------------------------------------------------------------------------


@kernel
def lstm(x: Any, h0: Any, c0: Any, Wx: Any, Wh: Any, b: Any) -> tuple[Any, Any]:
    """Run ``i, f, o, g = gates(x Wx + h Wh + b); c = f c + i g; h = o tanh(c)``: g by tanh, the others by sigmoid.

    Returns
    -------
    paths : array (2, T + 1, N, H)
        That of h and that of c.
    gates : array (T, N, 4H)
    """
    sigmoids = slice(3 * h0.shape[1])
    Wx, Wh, b = _negated(sigmoids, Wx, Wh, b)
    gates = _project(x, Wx, b)
    paths = _paths(len(gates), h0, c0)
    product, gain = np.empty(gates.shape[1:], gates.dtype), np.empty_like(paths[0, 0])
    states = (*paths, *paths[:, 1:])
    with np.errstate(over="ignore"):  # see _finish_sigmoid
        for a, s, i, f, o, g, h, c, h_after, c_after in zip(gates, gates[..., sigmoids], *_blocks(gates, 4), *states):
            np.matmul(h, Wh, out=product)
            a += product
            _finish_sigmoid(s)
            np.tanh(g, out=g)
            np.multiply(f, c, out=c_after)
            np.multiply(i, g, out=gain)
            c_after += gain
            np.tanh(c_after, out=h_after)
            h_after *= o
    return paths, gates


@kernel
def lstm_backward(g: Any, x: Any, Wx: Any, Wh: Any, paths: Any, gates: Any, wants: Collection[str]) -> dict[str, Any]:
    """Return the cotangents of the arguments of :func:`lstm` that are wanted, given those of h and of c, (N, T, H).

    The second may be None, if none came there.
    """
    found = _no_gradients(wants, x, Wx, Wh)
    g_h, g_c, turned = np.swapaxes(g[0], 0, 1), g[1], Wh.T
    d_h, d_c = np.zeros_like(paths[0, 0]), np.zeros_like(paths[1, 0])
    gain, room = np.empty_like(d_h), _room(x, gates.shape[2], gates.dtype)
    for part in _parts(x):
        i, f, o, new = _blocks(gates[part], 4)
        tanh_c = np.tanh(paths[1, 1:][part])
        # The slopes of h and c with respect to what goes into the gates, which the loop turns into cotangents.
        d_into = _slopes(gates[part], 3 * i.shape[2], out=_of(part, room))
        d_i, d_f, d_o, d_new = _blocks(d_into, 4)
        d_i *= new
        d_f *= paths[1, part]
        d_o *= tanh_c
        d_new *= i
        slope = np.square(tanh_c, out=tanh_c)  # of h with respect to c
        np.subtract(1, slope, out=slope)
        slope *= o
        d_i_and_f = d_into.reshape(*f.shape[:2], 4, f.shape[2])[:, :, :2]
        steps = (g_h[part], range(part.start, part.stop), d_into, d_i_and_f, d_o, d_new, slope, f)
        for d_h_out, t, d_a, by_c, by_h, also_by_c, s, forget in _backwards(*steps):
            d_h += d_h_out
            if g_c is not None:
                d_c += g_c[:, t]
            np.multiply(d_h, s, out=gain)
            d_c += gain
            by_c *= d_c[:, None]
            by_h *= d_h
            also_by_c *= d_c
            np.matmul(d_a, turned, out=d_h)
            d_c *= forget
        _add_gradients_of_h(found, part, paths[0], d_into)
        _add_gradients_of_x(found, part, x, Wx, d_into)
    return {"h0": d_h, "c0": d_c, **found}


# --- gated recurrent unit --------------------------------------------------------------------------------------------


@kernel
def gru(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any, bh: Any) -> tuple[Any, Any, Any]:
    """Run ``r, z = sigmoid(x Wx + b + h Wh + bh); n = tanh(x Wn + bn + r (h Whn + bhn)); h = (1 - z) n + z h``.

    Returns
    -------
    path : array (T + 1, N, H)
    gates : array (T, N, 3H)
    inner : array (T, N, H)
        ``h Whn + bhn``, which r multiplies.
    """
    width = h0.shape[1]
    sigmoids, rest = slice(2 * width), slice(2 * width, None)
    Wx, Wh, b, bh = _negated(sigmoids, Wx, Wh, b, bh)
    b[sigmoids] += bh[sigmoids]
    gates = _project(x, Wx, b)
    (path,) = _paths(len(gates), h0)
    inner = np.empty((len(gates), *h0.shape), path.dtype)
    product = np.empty(gates.shape[1:], gates.dtype)
    to_gates, to_inner, bias = product[:, sigmoids], product[:, rest], bh[rest]
    with np.errstate(over="ignore"):  # see _finish_sigmoid
        for s, r, z, n, u, h, after in zip(gates[..., sigmoids], *_blocks(gates, 3), inner, path, path[1:]):
            np.matmul(h, Wh, out=product)
            s += to_gates
            _finish_sigmoid(s)
            np.add(to_inner, bias, out=u)
            np.multiply(r, u, out=after)
            n += after
            np.tanh(n, out=n)
            np.subtract(h, n, out=after)  # h = n + z (h - n)
            after *= z
            after += n
    return path, gates, inner


@kernel
def gru_backward(
    g: Any, x: Any, Wx: Any, Wh: Any, path: Any, gates: Any, inner: Any, wants: Collection[str]
) -> dict[str, Any]:
    """Return the cotangents of the wanted arguments of :func:`gru`, given that of h after each step (N, T, H)."""
    found = _no_gradients(wants, x, Wx, Wh)
    g, d_h, turned = np.swapaxes(g, 0, 1), np.zeros_like(path[0]), Wh.T
    back, room = np.empty_like(d_h), _room(x, gates.shape[2], gates.dtype)
    for part in _parts(x):
        r, z, n = _blocks(gates[part], 3)
        # The slopes of h with respect to h Wh + bh, which the loop turns into cotangents. With respect to what goes in
        # they are the same but for the last block, `d_new`: there r comes in between.
        d_gates = _slopes(gates[part], 2 * r.shape[2], out=_of(part, room))
        d_r, d_z, d_last = _blocks(d_gates, 3)
        d_new = 1 - z
        d_new *= d_last
        np.multiply(d_new, r, out=d_last)
        d_z *= path[part] - n
        d_r *= inner[part]
        d_r *= d_new
        by_gate = d_gates.reshape(*z.shape[:2], 3, z.shape[2])
        for d_out, d_a, d_each, d_n, keep in _backwards(g[part], d_gates, by_gate, d_new, z):
            d_h += d_out
            d_each *= d_h[:, None]
            d_n *= d_h
            np.matmul(d_a, turned, out=back)
            d_h *= keep
            d_h += back
        _add_gradients_of_h(found, part, path, d_gates)
        d_last[...] = d_new
        _add_gradients_of_x(found, part, x, Wx, d_gates)
    return {"h0": d_h, **found}


# --- steps and gates -------------------------------------------------------------------------------------------------


def _parts(x: Any) -> Iterator[slice]:
    """Yield the steps of each part of the sequences x (N, T, D), parts of about one length, the last part first."""
    steps, length = x.shape[1], _steps_of_a_part(x)
    for start in reversed(range(0, steps, length)):
        yield slice(start, min(start + length, steps))


def _steps_of_a_part(x: Any) -> int:
    samples, steps = x.shape[:2]
    count = -(-samples * steps // ROWS)
    return max(1, -(-steps // max(1, count)))


def _room(x: Any, columns: int, dtype: Any) -> Any:
    """Return memory for what the way back computes for one part, which all parts use: fresh memory is slow to touch."""
    return np.empty((_steps_of_a_part(x), len(x), columns), dtype)


def _of(part: slice, room: Any) -> Any:
    return room[: part.stop - part.start]


def _rows_of(x: Any, part: slice) -> Any:
    """Return some steps of x (N, T, D) as rows, the samples of a step together."""
    return _rows(np.ascontiguousarray(np.swapaxes(x[:, part], 0, 1)))


def _rows(steps: Any) -> Any:
    """Return (T, N, K) as (T * N, K)."""
    return steps.reshape(steps.shape[0] * steps.shape[1], steps.shape[2])


def _backwards(*sequences: Any) -> Iterator[tuple[Any, ...]]:
    """Go over the steps of several sequences together, from the last."""
    return zip(*(steps[::-1] for steps in sequences))


def _blocks(gates: Any, count: int) -> list[Any]:
    """Return the views (T, N, H) of gates (T, N, count * H)."""
    return np.split(gates, count, axis=2)


def _paths(steps: int, *starts: Any) -> Any:
    """Return room for a path from each start, (number of starts, T + 1, N, H)."""
    paths = np.empty((len(starts), steps + 1, *starts[0].shape), starts[0].dtype)
    for path, start in zip(paths, starts):
        path[0] = start
    return paths


def _project(x: Any, Wx: Any, b: Any = None, out: Any = None) -> Any:
    """Return ``x Wx``, plus b where it is given, for all steps, (T, N, K)."""
    if out is None:
        out = np.empty((x.shape[1], x.shape[0], Wx.shape[1]), Wx.dtype)
    for part in _parts(x):
        np.matmul(_rows_of(x, part), Wx, out=_rows(out[part]))
        if b is not None:
            out[part] += b
    return out


def _negated(columns: slice, *weights: Any) -> list[Any]:
    """Return copies of weights with the signs of some columns turned: what goes into sigmoids."""
    copies = [w.copy() for w in weights]
    for w in copies:
        np.negative(w[..., columns], out=w[..., columns])
    return copies


def _finish_sigmoid(s: Any) -> None:
    """Put ``1 / (1 + exp(s))`` in place of s, which is minus what the gate is the sigmoid of.

    Where the exponential overflows, the result is 0, as it should be. NumPy's exp is about twice as fast as its tanh.
    """
    np.exp(s, out=s)
    s += 1
    np.divide(1, s, out=s)


def _slopes(gates: Any, sigmoids: int, out: Any) -> Any:
    """Return the derivatives of gates with respect to what goes into them: first so many sigmoids, then tanh."""
    slopes = np.square(gates, out=out)
    np.subtract(gates[..., :sigmoids], slopes[..., :sigmoids], out=slopes[..., :sigmoids])
    np.subtract(1, slopes[..., sigmoids:], out=slopes[..., sigmoids:])
    return slopes


# --- gradients of x, weights and biases ------------------------------------------------------------------------------


def _no_gradients(wants: Collection[str], x: Any, Wx: Any, Wh: Any) -> dict[str, Any]:
    """Return zeros for those that are wanted, to which the parts of the sequence are added."""
    samples, steps, width = x.shape
    columns = Wx.shape[1:]
    shapes = {"x": (steps, samples, width), "Wx": Wx.shape, "Wh": Wh.shape, "b": columns, "bh": columns}
    found = {name: np.zeros(shape, Wx.dtype) for name, shape in shapes.items() if name in wants}
    return found | {"x": np.swapaxes(found["x"], 0, 1)} if "x" in found else found


def _add_gradients_of_h(found: dict[str, Any], part: slice, path: Any, d_gates: Any) -> None:
    """Add those of Wh and bh, given the cotangents of ``h Wh + bh`` at the steps of a part, (T', N, K)."""
    rows, first = _rows(d_gates), part.stop == len(path) - 1
    if "Wh" in found:
        _add_product(found["Wh"], _rows(path[part]).T, rows, first)
    if "bh" in found:
        found["bh"] += rows.sum(axis=0)


def _add_gradients_of_x(found: dict[str, Any], part: slice, x: Any, Wx: Any, d_gates: Any) -> None:
    """Add those of x, Wx and b, given the cotangents of ``x Wx + b`` at the steps of a part, (T', N, K)."""
    rows, first = _rows(d_gates), part.stop == x.shape[1]
    if "x" in found:
        np.matmul(rows, Wx.T, out=_rows(np.swapaxes(found["x"], 0, 1)[part]))
    if "Wx" in found:
        _add_product(found["Wx"], _rows_of(x, part).T, rows, first)
    if "b" in found:
        found["b"] += rows.sum(axis=0)


def _add_product(total: Any, a: Any, b: Any, first: bool) -> None:
    """Add ``a @ b``, to zeros if it is the first."""
    product = np.matmul(a, b, out=total if first else None)
    if not first:
        total += product
