"""Short ways to define ops: what ``ops/elementwise.py`` and its neighbours are written with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import DTypeError, ShapeError
from ..core.explain import where
from ..core.numpy_protocol import UFUNCS
from ..core.primitive import Primitive
from ..core.tensor import Tensor

__all__ = ["as_array", "ufunc"]


def ufunc(
    function: np.ufunc,
    operator: str = "",
    *,
    differentiable: bool = True,
    kind: str = "op",
    linear: str = "elementwise",
    **rules: Callable[..., Any] | None,
) -> Primitive:
    """Make the op of a NumPy ufunc: its rules by argument (``x``, and ``y`` for the second) and its Python operator."""
    op = Primitive(
        function,
        name=function.__name__,
        args=("x", "y")[: function.nin],
        outputs=("out", "second") if function.nout == 2 else (),
        differentiable=differentiable,
        kind=kind,
        linear=linear,
        exact=function.nin == 1 and function is not np.absolute,  # |x| of a complex x is real
        exact_if_alike=function.nin == 2,
    )
    op.vjp(**rules)
    UFUNCS[function] = op.bind
    if operator:
        _install_operator(operator, op)
    return op


def _install_operator(name: str, op: Primitive) -> None:
    """Put an op on Tensor as ``__name__``, and for arithmetic also as the reflected ``__rname__``."""
    bind = op.bind
    if inspect.isfunction(bind):
        method = bind  # as it is: the hot path of every operator
    elif len(op.args) == 1:

        def method(self: Tensor) -> Any:
            return bind(self)
    else:

        def method(self: Tensor, other: Any) -> Any:
            return bind(self, other)

    setattr(Tensor, f"__{name}__", method)
    if len(op.args) == 2 and name not in ("lt", "le", "gt", "ge", "eq", "ne"):  # Python reflects comparisons itself
        setattr(Tensor, f"__r{name}__", lambda self, other: bind(other, self))
        setattr(Tensor, f"__i{name}__", lambda self, other: assign_whole(op, self, other))


def assign_whole(op: Primitive, x: Tensor, other: Any) -> Tensor:
    """Carry out ``x += other``, and its kind for other operators: x stands for the new value from now on.

    As in NumPy the shape and the dtype stay those of x, and other names of the same Tensor see the new value.
    """
    new = op.bind(x, other)
    if new.shape != x.shape:
        raise ShapeError(
            f"{where(op.name)} in place: {x.shape} with {np.shape(other)} gives {new.shape}, not {x.shape}"
        )
    if new.dtype != x.dtype:
        if not np.can_cast(new.dtype, x.dtype, "same_kind"):
            raise DTypeError(f"{where(op.name)} in place: a result of {new.dtype} does not fit a Tensor of {x.dtype}")
        new = new.astype(x.dtype)
    return x.become(new) if type(new) is Tensor else new


def as_array(x: Any) -> Any:
    """Return an array or Tensor for what NumPy takes as one: numbers, and nested lists of numbers and Tensors."""
    if isinstance(x, (list, tuple)) and _holds_tensors(x):
        return np.stack([as_array(part) for part in x])
    return x if hasattr(x, "dtype") else np.asarray(x)


def _holds_tensors(x: Any) -> bool:
    return type(x) is Tensor or (isinstance(x, (list, tuple)) and True in map(_holds_tensors, x))
