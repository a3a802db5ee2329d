"""Recurrent networks: vanilla, long short-term memory (LSTM) and gated recurrent unit (GRU), by the step and whole.

Each op is one node, forward and backward in one kernel (see :mod:`minigrad.kernels.recurrent`). Its reference is the
loop over the steps, and gives the higher orders. The ops of LSTMs return both states in one array, h before c, so that
the backward kernel gets the cotangents of both; what a user calls takes them apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff.fused import fused
from ..core.errors import DTypeError, ShapeError
from ..core.explain import where
from ..kernels import recurrent as kernels
from .activation import sigmoid
from .define import as_array

__all__ = ["gru", "gru_step", "lstm", "lstm_step", "rnn", "rnn_step"]

# --- references ------------------------------------------------------------------------------------------------------

# `a` is what the input of a step adds to its gates, x Wx + b.


def _rnn_cell(a: Any, h: Any, Wh: Any) -> Any:
    return np.tanh(a + np.matmul(h, Wh))


def _lstm_cell(a: Any, states: Any, Wh: Any) -> Any:
    i, f, o, g = np.split(a + np.matmul(states[0], Wh), 4, axis=1)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    return np.stack([sigmoid(o) * np.tanh(c), c])


def _gru_cell(a: Any, h: Any, Wh: Any, bh: Any) -> Any:
    (ar, az, an), (ur, uz, un) = np.split(a, 3, axis=1), np.split(np.matmul(h, Wh) + bh, 3, axis=1)
    z, n = sigmoid(az + uz), np.tanh(an + sigmoid(ar + ur) * un)
    return (1 - z) * n + z * h


def _unrolled(cell: Any, x: Any, Wx: Any, b: Any, state: Any, *weights: Any) -> Any:
    """Return the states (..., N, T, H) of a cell that goes over the steps of x."""
    into, states = np.matmul(x, Wx) + b, [state]
    for t in range(x.shape[1]):
        states.append(cell(into[:, t], states[-1], *weights))
    return np.stack(states, axis=-2)[..., 1:, :]


# --- vanilla ---------------------------------------------------------------------------------------------------------


@fused(reference=lambda x, h, Wx, Wh, b: _rnn_cell(np.matmul(x, Wx) + b, h, Wh), outputs=("h_next", "path"), visible=1)
def rnn_step(x, h, Wx, Wh, b):
    """One step of a vanilla recurrent network: ``h_next = tanh(x @ Wx + h @ Wh + b)``. (CS231n, assignment 3.)

    Parameters
    ----------
    x : array (N, D)
        Input of this step.
    h : array (N, H)
        The state before it.
    Wx, Wh, b : arrays (D, H), (H, H), (H,)

    Returns
    -------
    array (N, H)
        The state after the step.

    Raises
    ------
    ShapeError
        If the shapes do not fit; it says which, and what was expected.
    DTypeError
        If something else than real numbers comes.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.rnn_step(np.ones((1, 3)), np.zeros((1, 2)), np.zeros((3, 2)), np.eye(2), np.array([0.0, 1.0]))
    array([[0.        , 0.76159416]])
    """
    x, *others = _checked("rnn_step", 1, x=x, h=h, Wx=Wx, Wh=Wh, b=b)
    path = kernels.rnn(x[:, None], *others)
    return path[1], path


@rnn_step.backward
def rnn_step_backward(g, x, h, Wx, Wh, b, path, *, wants):
    """The sequence of one step."""
    g, x, Wx, Wh = _cast(path.dtype, g, x, Wx, Wh)
    found = kernels.rnn_backward(g[:, None], x[:, None], Wx, Wh, path, wants)
    return _step_cotangents({**found, "h": found["h0"]}, wants)


@fused(reference=lambda x, h0, Wx, Wh, b: _unrolled(_rnn_cell, x, Wx, b, h0, Wh), outputs=("h", "path"), visible=1)
def rnn(x, h0, Wx, Wh, b):
    """Run a vanilla recurrent network over sequences: ``h[:, t] = tanh(x[:, t] @ Wx + h[:, t - 1] @ Wh + b)``.

    (CS231n, assignment 3; Elman, Finding structure in time, 1990.)

    Parameters
    ----------
    x : array (N, T, D)
        T inputs for each of N sequences; T may be 0.
    h0 : array (N, H)
        The state before the first step.
    Wx, Wh, b : arrays (D, H), (H, H), (H,)

    Returns
    -------
    array (N, T, H)
        The state after each step. ``h[:, -1]`` is the `h0` with which the sequences go on.

    Raises
    ------
    ShapeError, DTypeError
        As :func:`rnn_step`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> x, h0 = np.array([[[1.0], [0.0]]]), np.zeros((1, 1))
    >>> mg.ops.rnn(x, h0, np.ones((1, 1)), np.ones((1, 1)), np.zeros(1)).round(4)
    array([[[0.7616],
            [0.642 ]]])
    """
    path = kernels.rnn(*_checked("rnn", 1, x=x, h0=h0, Wx=Wx, Wh=Wh, b=b))
    return np.swapaxes(path[1:], 0, 1), path


@rnn.backward
def rnn_backward(g, x, h0, Wx, Wh, b, path, *, wants):
    """A loop back over the steps, and one product for each gradient."""
    g, x, Wx, Wh = _cast(path.dtype, g, x, Wx, Wh)
    return _cotangents(kernels.rnn_backward(g, x, Wx, Wh, path, wants), wants)


# --- long short-term memory ------------------------------------------------------------------------------------------


@fused(
    reference=lambda x, h0, c0, Wx, Wh, b: _lstm_cell(np.matmul(x, Wx) + b, np.stack([h0, c0]), Wh),
    outputs=("states", "paths", "gates"),
    visible=1,
)
def lstm_cell(x, h0, c0, Wx, Wh, b):
    """One step of an LSTM, the states after it in one array (2, N, H): what :func:`lstm_step` is made of."""
    x, *others = _checked("lstm_step", 4, x=x, h=h0, c=c0, Wx=Wx, Wh=Wh, b=b)
    paths, gates = kernels.lstm(x[:, None], *others)
    return paths[:, 1], paths, gates


@lstm_cell.backward
def lstm_cell_backward(g, x, h0, c0, Wx, Wh, b, paths, gates, *, wants):
    """The sequence of one step."""
    g, x, Wx, Wh = _cast(paths.dtype, g, x, Wx, Wh)
    found = kernels.lstm_backward(g[:, :, None], x[:, None], Wx, Wh, paths, gates, wants)
    return _step_cotangents(found, wants)


def _lstm_reference(x: Any, h0: Any, c0: Any, Wx: Any, Wh: Any, b: Any) -> Any:
    return _unrolled(_lstm_cell, x, Wx, b, np.stack([h0, c0]), Wh)


@fused(reference=_lstm_reference, outputs=("states", "paths", "gates"), visible=1)
def lstm_states(x, h0, c0, Wx, Wh, b):
    """An LSTM over sequences, state and cell in one array (2, N, T, H): :func:`lstm` with cells."""
    paths, gates = kernels.lstm(*_checked("lstm", 4, x=x, h0=h0, c0=c0, Wx=Wx, Wh=Wh, b=b))
    return np.swapaxes(paths[:, 1:], 1, 2), paths, gates


@lstm_states.backward
def lstm_states_backward(g, x, h0, c0, Wx, Wh, b, paths, gates, *, wants):
    """A loop back over the steps, and one product for each gradient."""
    g, x, Wx, Wh = _cast(paths.dtype, g, x, Wx, Wh)
    return _cotangents(kernels.lstm_backward(g, x, Wx, Wh, paths, gates, wants), wants)


@fused(reference=lambda *args: _lstm_reference(*args)[0], outputs=("h", "paths", "gates"), visible=1)
def lstm_sequence(x, h0, c0, Wx, Wh, b):
    """An LSTM over sequences, the state (N, T, H) alone: :func:`lstm` without cells."""
    states, paths, gates = lstm_states.forward(x, h0, c0, Wx, Wh, b)
    return states[0], paths, gates


@lstm_sequence.backward
def lstm_sequence_backward(g, x, h0, c0, Wx, Wh, b, paths, gates, *, wants):
    """That of both, where no cotangent comes to the cells."""
    g, x, Wx, Wh = _cast(paths.dtype, g, x, Wx, Wh)
    return _cotangents(kernels.lstm_backward((g, None), x, Wx, Wh, paths, gates, wants), wants)


def lstm_step(x: Any, h: Any, c: Any, Wx: Any, Wh: Any, b: Any) -> tuple[Any, Any]:
    """One step of a long short-term memory.

    ``i, f, o, g = split(x @ Wx + h @ Wh + b)``, then ``c_next = sigmoid(f) * c + sigmoid(i) * tanh(g)`` and ``h_next =
    sigmoid(o) * tanh(c_next)``. (CS231n, assignment 3; Hochreiter and Schmidhuber, 1997, with the forget gate of Gers,
    Schmidhuber and Cummins, 2000.)

    Parameters
    ----------
    x : array (N, D)
        Input of this step.
    h, c : arrays (N, H)
        State and cell before it.
    Wx, Wh, b : arrays (D, 4H), (H, 4H), (4H,)
        Their columns are those of the gates i, f, o and g, in this order. (PyTorch has i, f, g, o, and the transposes.)

    Returns
    -------
    h, c : arrays (N, H)
        State and cell after the step.

    Raises
    ------
    ShapeError
        If the shapes do not fit; it says which, and what was expected.
    DTypeError
        If something else than real numbers comes.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> x, h, c = np.zeros((1, 3)), np.zeros((1, 1)), np.ones((1, 1))
    >>> h, c = mg.ops.lstm_step(x, h, c, np.zeros((3, 4)), np.zeros((1, 4)), np.array([0.0, 100.0, 100.0, 0.0]))
    >>> c, h  # forgets nothing, and shows all
    (array([[1.]]), array([[0.76159416]]))
    """
    states = lstm_cell(x, h, c, Wx, Wh, b)
    return states[0], states[1]


def lstm(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any, c0: Any = None, *, cells: bool = False) -> Any:
    """Run a long short-term memory over sequences: :func:`lstm_step` for each step, in one op.

    Parameters
    ----------
    x : array (N, T, D)
        T inputs for each of N sequences; T may be 0.
    h0 : array (N, H)
        The state before the first step.
    Wx, Wh, b : arrays (D, 4H), (H, 4H), (4H,)
        Their columns are those of the gates i, f, o and g, in this order.
    c0 : array (N, H), optional
        The cell before the first step, zeros when left out.
    cells : bool
        Whether to return the cells too, as a sequence needs that is to go on.

    Returns
    -------
    h : array (N, T, H)
        The state after each step.
    c : array (N, T, H)
        The cell after each step; only with `cells`. The sequences go on with ``h[:, -1]`` and ``c[:, -1]``.

    Raises
    ------
    ShapeError, DTypeError
        As :func:`lstm_step`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> x, h0, Wx, Wh, b = np.ones((1, 3, 2)), np.zeros((1, 1)), np.ones((2, 4)), np.ones((1, 4)), np.zeros(4)
    >>> h, c = mg.ops.lstm(x, h0, Wx, Wh, b, cells=True)
    >>> h.shape
    (1, 3, 1)
    >>> rest = mg.ops.lstm(x[:, 1:], h[:, 0], Wx, Wh, b, c[:, 0])
    >>> np.allclose(rest, h[:, 1:])
    True
    """
    c0 = _zeros_like(h0) if c0 is None else c0
    if not cells:
        return lstm_sequence(x, h0, c0, Wx, Wh, b)
    states = lstm_states(x, h0, c0, Wx, Wh, b)
    return states[0], states[1]


# --- gated recurrent unit --------------------------------------------------------------------------------------------


@fused(
    reference=lambda x, h0, Wx, Wh, b, bh: _gru_cell(np.matmul(x, Wx) + b, h0, Wh, bh),
    outputs=("h_next", "path", "gates", "inner"),
    visible=1,
)
def gru_cell(x, h0, Wx, Wh, b, bh):
    """One step of a GRU with both biases: what :func:`gru_step` is made of."""
    x, *others = _checked("gru_step", 3, x=x, h=h0, Wx=Wx, Wh=Wh, b=b, bh=bh)
    path, gates, inner = kernels.gru(x[:, None], *others)
    return path[1], path, gates, inner


@gru_cell.backward
def gru_cell_backward(g, x, h0, Wx, Wh, b, bh, path, gates, inner, *, wants):
    """The sequence of one step."""
    g, x, Wx, Wh = _cast(path.dtype, g, x, Wx, Wh)
    found = kernels.gru_backward(g[:, None], x[:, None], Wx, Wh, path, gates, inner, wants)
    return _step_cotangents(found, wants)


@fused(
    reference=lambda x, h0, Wx, Wh, b, bh: _unrolled(_gru_cell, x, Wx, b, h0, Wh, bh),
    outputs=("h", "path", "gates", "inner"),
    visible=1,
)
def gru_sequence(x, h0, Wx, Wh, b, bh):
    """A GRU over sequences with both biases: what :func:`gru` is made of."""
    path, gates, inner = kernels.gru(*_checked("gru", 3, x=x, h0=h0, Wx=Wx, Wh=Wh, b=b, bh=bh))
    return np.swapaxes(path[1:], 0, 1), path, gates, inner


@gru_sequence.backward
def gru_sequence_backward(g, x, h0, Wx, Wh, b, bh, path, gates, inner, *, wants):
    """A loop back over the steps, and one product for each gradient."""
    g, x, Wx, Wh = _cast(path.dtype, g, x, Wx, Wh)
    return _cotangents(kernels.gru_backward(g, x, Wx, Wh, path, gates, inner, wants), wants)


def gru_step(x: Any, h: Any, Wx: Any, Wh: Any, b: Any, bh: Any = None) -> Any:
    """One step of a gated recurrent unit.

    With the columns of the weights split into those of r, z and n: ``r = sigmoid(x @ Wxr + br + h @ Whr + bhr)``, z
    alike, ``n = tanh(x @ Wxn + bn + r * (h @ Whn + bhn))``, and ``h_next = (1 - z) * n + z * h``. (Cho and others,
    2014, arXiv:1406.1078; the reset gate after the product as in PyTorch and cuDNN.)

    Parameters
    ----------
    x : array (N, D)
        Input of this step.
    h : array (N, H)
        The state before it.
    Wx, Wh, b : arrays (D, 3H), (H, 3H), (3H,)
        Their columns are those of r, z and n, in this order. (PyTorch has the transposes.)
    bh : array (3H,), optional
        The bias of ``h @ Wh``. It makes a difference for n alone.

    Returns
    -------
    array (N, H)
        The state after the step.

    Raises
    ------
    ShapeError
        If the shapes do not fit; it says which, and what was expected.
    DTypeError
        If something else than real numbers comes.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> x, h, Wx, Wh = np.zeros((1, 3)), np.full((1, 1), 0.5), np.zeros((3, 3)), np.zeros((1, 3))
    >>> mg.ops.gru_step(x, h, Wx, Wh, np.array([0.0, 100.0, 0.0]))  # keeps its state
    array([[0.5]])
    """
    return gru_cell(x, h, Wx, Wh, b, _zeros_like(b) if bh is None else bh)


def gru(x: Any, h0: Any, Wx: Any, Wh: Any, b: Any, bh: Any = None) -> Any:
    """Run a gated recurrent unit over sequences: :func:`gru_step` for each step, in one op.

    Parameters
    ----------
    x : array (N, T, D)
        T inputs for each of N sequences; T may be 0.
    h0 : array (N, H)
        The state before the first step.
    Wx, Wh, b : arrays (D, 3H), (H, 3H), (3H,)
        Their columns are those of the gates r, z and n, in this order.
    bh : array (3H,), optional
        The bias of ``h @ Wh``.

    Returns
    -------
    array (N, T, H)
        The state after each step. ``h[:, -1]`` is the `h0` with which the sequences go on.

    Raises
    ------
    ShapeError, DTypeError
        As :func:`gru_step`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> x, h0, Wx, Wh = np.ones((2, 4, 3)), np.zeros((2, 5)), np.ones((3, 15)), np.ones((5, 15))
    >>> mg.ops.gru(x, h0, Wx, Wh, np.zeros(15)).shape
    (2, 4, 5)
    """
    return gru_sequence(x, h0, Wx, Wh, b, _zeros_like(b) if bh is None else bh)


def _zeros_like(x: Any) -> Any:
    """Return zeros in the place of what was left out: a plain array, no part of the recording."""
    x = as_array(x)
    return np.zeros(x.shape, x.dtype)


# --- cotangents of kernels -------------------------------------------------------------------------------------------


def _cast(dtype: Any, *arrays: Any) -> list[Any]:
    """Return what a backward kernel reads in the dtype that the forward kernel computed in."""
    return [x.astype(dtype, copy=False) for x in arrays]


def _cotangents(found: dict[str, Any], wants: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(found[name] for name in wants)


def _step_cotangents(found: dict[str, Any], wants: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the cotangents for one step, where x has no axis of steps."""
    return tuple(found[name][:, 0] if name == "x" else found[name] for name in wants)


# --- what fits -------------------------------------------------------------------------------------------------------

CELLS = {1: "rnn", 3: "gru", 4: "lstm"}
"""How many blocks of H columns the weights of each network have."""


def _checked(name: str, blocks: int, **arrays: Any) -> list[Any]:
    """Return the arrays in their common dtype of floats; raise for the first that does not fit the others."""
    arrays = {what: np.asarray(array) for what, array in arrays.items()}
    for what, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise DTypeError(
                f"{where(name)}: {what} is {array.dtype} {array.shape}, and an array of real numbers was expected"
            )
    axes = _axes(name, blocks, arrays)
    for what, array in arrays.items():
        if array.ndim != len(axes[what]):
            hint = _rank_hint(name, array) if what == "x" else ""
            raise _misfit(name, arrays, f"{what} must be {_written(axes[what])}, and is {array.shape}{hint}")
    sizes = _sizes(blocks, arrays)
    for what, array in arrays.items():
        wanted = tuple([sizes[axis] for axis in axes[what]])
        if array.shape != wanted:
            hint = _hint(what, array.shape, wanted, blocks, arrays["x"].shape)
            raise _misfit(name, arrays, f"{what} must be {_written(axes[what])} = {wanted}{hint}")
    dtype = np.result_type(np.float16, *arrays.values())  # float16 counts for integers alone
    return [array.astype(dtype, copy=False) for array in arrays.values()]


def _misfit(name: str, arrays: dict[str, Any], text: str) -> ShapeError:
    return ShapeError(f"{where(name)}: {', '.join(f'{what} {array.shape}' for what, array in arrays.items())}: {text}")


def _axes(name: str, blocks: int, arrays: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the names of the axes of each array."""
    columns = f"{blocks}H" if blocks > 1 else "H"
    known = {
        "x": ("N", "D") if name.endswith("_step") else ("N", "T", "D"),
        "Wx": ("D", columns),
        "Wh": ("H", columns),
        "b": (columns,),
        "bh": (columns,),
    }
    return {what: known.get(what, ("N", "H")) for what in arrays}


def _written(axes: tuple[str, ...]) -> str:
    return f"({', '.join(axes)}{',' * (len(axes) == 1)})"


def _sizes(blocks: int, arrays: dict[str, Any]) -> dict[str, int]:
    """Return the size of each axis; that of H is what two of the state, Wh and Wx agree on."""
    x, h, Wx, Wh = (arrays[what].shape for what in ("x", "h" if "h" in arrays else "h0", "Wx", "Wh"))
    width = Wh[0] if h[1] != Wh[0] and Wh[0] * blocks == Wx[1] else h[1]
    sizes = {"N": x[0], "D": x[-1], "H": width, f"{blocks}H": blocks * width}
    return sizes | {"T": x[1]} if len(x) == 3 else sizes


def _rank_hint(name: str, x: Any) -> str:
    if name.endswith("_step"):
        return f"; whole sequences (N, T, D) are for {name.removesuffix('_step')}" if x.ndim == 3 else ""
    if x.dtype.kind in "iu" and x.ndim == 2:
        return "; words become vectors by mg.embedding"
    return f"; a single step is for {name}_step, and a single sequence is written x[None]" if x.ndim == 2 else ""


def _hint(what: str, shape: tuple[int, ...], wanted: tuple[int, ...], blocks: int, x: tuple[int, ...]) -> str:
    """Say what may have happened where a shape is not the wanted one."""
    if what in ("Wx", "Wh") and shape == wanted[::-1]:
        return f"; did you mean {what}.T?"
    if what in ("Wx", "Wh", "b", "bh"):
        width = wanted[-1] // blocks
        other = next((cell for count, cell in CELLS.items() if shape[-1] == count * width != wanted[-1]), None)
        return f"; {shape[-1]} columns are for {other}" if other is not None else ""
    if len(x) == 3 and shape == (x[1], wanted[1]):
        return "; x seems to have its steps first: np.swapaxes(x, 0, 1) puts the samples first"
    return ""
