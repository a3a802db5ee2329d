"""Guards against accidents that are no error of NumPy's.

The broadcast guard: (N,) against (N, 1) gives (N, N), and hardly anybody means that. And no random numbers in what
is run again in the backward pass: it would draw others.
"""

from __future__ import annotations

import warnings
from contextvars import ContextVar
from typing import Any

from .errors import BroadcastWarning, OptionError, ShapeError
from .explain import where
from .tape import user_frame
from .tensor import Tensor

__all__ = ["check_broadcast", "guarding", "refuse_draws", "run_again", "strict"]

_reaction: ContextVar[str] = ContextVar("minigrad_broadcast_guard", default="")  # "", "warn" or "raise"


class guarding:
    """Set how the guard reacts inside a ``with`` statement: "warn" in training, "" in backward rules.

    Under `strict` it goes on raising where it would warn.
    """

    __slots__ = ("_before", "_reaction")

    def __init__(self, reaction: str) -> None:
        self._reaction = reaction

    def __enter__(self) -> None:
        before = _reaction.get()
        self._before = _reaction.set(before if self._reaction and before == "raise" else self._reaction)

    def __exit__(self, *exc_info: object) -> None:
        _reaction.reset(self._before)


class strict:
    """Make an error of every recorded operation that broadcasts two arrays to a shape larger than both.

    Otherwise a model's training warns (`BroadcastWarning`), once at each line, and only where the two have different
    numbers of axes: with ``x[:, np.newaxis] - y[np.newaxis, :]`` the wish is plain.

    Used in a ``with`` statement it holds inside; called on its own, from then on.

    Parameters
    ----------
    on : bool

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> def loss(w, y):
    ...     return np.mean((np.ones((3, 2)) @ w - y) ** 2)
    >>> with mg.strict():
    ...     mg.grad(loss)(np.ones((2, 1)), np.ones(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    minigrad.core.errors.ShapeError: subtract: the result of matmul (3, 1) and (3,) broadcast to (3, 3), ...
    """

    def __init__(self, on: bool = True) -> None:
        self._before = _reaction.set("raise" if on else "")

    def __enter__(self) -> strict:
        return self

    def __exit__(self, *exc_info: object) -> None:
        _reaction.reset(self._before)


run_again: ContextVar[bool] = ContextVar("minigrad_run_again", default=False)
"""Whether what runs now will be run again in the backward pass, as under ``mg.checkpoint``."""


def refuse_draws(name: str) -> None:
    """Raise if random numbers are drawn where the backward pass would draw others."""
    if run_again.get():
        raise OptionError(
            f"{where(name)}: a mask is drawn inside mg.checkpoint, which runs its function again in the backward pass "
            f"and would draw another; draw it outside, with mg.ops.dropout_mask, and pass it in as an argument"
        )


def check_broadcast(op: str, x: Any, y: Any, shape: tuple[int, ...]) -> None:
    """Warn, or under `strict` raise, if an elementwise op has made more than both its arguments hold.

    One argument may be a plain array, such as labels. Then the sign of an accident is that the axis which is repeated
    is as long as the one it is repeated along.
    """
    reaction = _reaction.get()
    left, right = getattr(x, "shape", ()), getattr(y, "shape", ())
    if not reaction or shape in (left, right) or not (left and right):
        return
    if reaction == "warn":
        if len(left) == len(right):
            return
        if not (type(x) is Tensor and type(y) is Tensor) and shape[-1] != shape[-2]:
            return
    text = (
        f"{where(op)}: {_describe(x)} and {_describe(y)} broadcast to {shape}, which is larger than both; if that is "
        f"an accident, give them one shape with .reshape(...); if it is meant, say so with np.newaxis"
    )
    if reaction == "raise":
        raise ShapeError(text.replace("say so with np.newaxis", "use np.broadcast_to"))
    frame = user_frame()
    if frame is None:
        warnings.warn(text, BroadcastWarning, stacklevel=2)
        return
    # As from the user's own line, so that Python's filters show it once for each such line.
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(
        f"{text} ({frame.f_code.co_filename}:{frame.f_lineno})",
        BroadcastWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        registry=registry,
    )


def _describe(x: Any) -> str:
    if type(x) is not Tensor:
        return f"{x.shape}"
    node = x.tape.nodes[x.index]
    name = node.name if node.primitive is None else f"the result of {node.name}"
    return f"{name} {x.shape}".strip()
