"""Layers of sequences (N, T, D) that carry a state from step to step."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..core.errors import ShapeError
from . import init
from .basic import whole
from .layer import Declaration, Layer

__all__ = ["GRU", "LSTM", "RNN"]


class _Recurrent(Layer):
    _gates: int

    def __init__(self, units: int, *, last: bool = False, init: Any = init.lecun_normal) -> None:
        self.units = whole(type(self).__name__, "units", units)
        self.last, self.init = last, init

    def parameters(self, x: Any, h0: Any = None) -> Declaration:
        if x.ndim != 3:
            raise ShapeError(f"{type(self).__name__}: x {x.shape} came; it takes sequences (N, T, D)")
        width = self._gates * self.units
        return {
            "Wx": ((x.shape[2], width), self.init),
            "Wh": ((self.units, width), self.init),
            "b": ((width,), init.zeros),
        }

    def _start(self, x: Any, h0: Any, Wh: Any) -> Any:
        return np.zeros((len(x), self.units), Wh.dtype) if h0 is None else h0

    def _end(self, h: Any) -> Any:
        return h[:, -1] if self.last else h


class RNN(_Recurrent):
    """A recurrent layer: ``h_t = tanh(x_t @ Wx + h_(t-1) @ Wh + b)``. See :func:`minigrad.rnn`.

    Parameters
    ----------
    units : int
        The width H of the hidden state.
    last : bool
        Return the last hidden state (N, H), and not all of them (N, T, H).
    init : initialiser of Wx and Wh
        By default the course's, normal numbers of variance 1 / fan_in.

    Called with x (N, T, D) and, if wanted, h0 (N, H); h0 is zeros otherwise.

    Parameters by name
    ------------------
    Wx : (D, H); Wh : (H, H); b : (H,)

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> net = mg.nn.Sequential(mg.nn.RNN(8, last=True), mg.nn.Affine(2)).build(np.ones((1, 5, 3)), seed=0)
    >>> net(np.ones((4, 5, 3))).shape
    (4, 2)
    """

    _gates = 1

    def forward(self, x: Any, h0: Any = None, *, Wx: Any, Wh: Any, b: Any) -> Any:
        return self._end(ops.rnn(x, self._start(x, h0, Wh), Wx, Wh, b))


class LSTM(_Recurrent):
    """Long short-term memory. See :func:`minigrad.lstm`, and `RNN` for the parameters.

    (Hochreiter and Schmidhuber, Neural Computation 9, 1997.) The gates come in the course's order, i, f, o, g.

    Parameters by name
    ------------------
    Wx : (D, 4H); Wh : (H, 4H); b : (4H,)
    """

    _gates = 4

    def forward(self, x: Any, h0: Any = None, *, Wx: Any, Wh: Any, b: Any) -> Any:
        return self._end(ops.lstm(x, self._start(x, h0, Wh), Wx, Wh, b))


class GRU(_Recurrent):
    """Gated recurrent unit. See :func:`minigrad.gru`, and `RNN` for the parameters.

    (Cho et al., 2014, arXiv:1406.1078.)

    Parameters by name
    ------------------
    Wx : (D, 3H); Wh : (H, 3H); b, bh : (3H,)
    """

    _gates = 3

    def parameters(self, x: Any, h0: Any = None) -> Declaration:
        declared = super().parameters(x, h0)
        return {**declared, "bh": declared["b"]}

    def forward(self, x: Any, h0: Any = None, *, Wx: Any, Wh: Any, b: Any, bh: Any) -> Any:
        return self._end(ops.gru(x, self._start(x, h0, Wh), Wx, Wh, b, bh))
