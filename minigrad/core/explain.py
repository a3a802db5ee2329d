"""Errors that explain themselves: which op, in which layer, on what, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DTypeError, ShapeError
from .scope import current_scope
from .tensor import Tensor

if TYPE_CHECKING:
    from .primitive import Primitive

__all__ = ["EXPLAINED", "IndexShapeError", "explain", "where"]

EXPLAINED = (ValueError, TypeError, IndexError)
"""What NumPy raises about arguments that do not fit. Other errors pass as they are."""


class IndexShapeError(ShapeError, IndexError):
    """An index outside the array."""


def where(name: str) -> str:
    """Return ``"matmul in block1/fc1"``, or the op's name alone outside every scope."""
    scope = current_scope()
    return f"{name} in {scope}" if scope else name


def explain(op: Primitive, args: tuple[Any, ...], params: dict[str, Any], error: Exception) -> Exception:
    """Return the error to raise in place of one of `EXPLAINED` that NumPy raised inside an op."""
    shapes = [_shape(x) for x in args]
    sign = {"matmul": " @ ", "multiply": " * ", "add": " + ", "subtract": " - ", "divide": " / "}.get(op.name, ", ")
    call = sign.join(_describe(x) for x in args)
    if params:
        call += ", " + ", ".join(f"{name}={value!r}" for name, value in params.items())
    kind: type[Exception] = ShapeError
    if isinstance(error, IndexError):
        kind = IndexShapeError
    elif isinstance(error, TypeError):
        kind = DTypeError
    advice = _advice(op.name, shapes, params) or str(error)
    return kind(f"{where(op.name)}: {call}: {advice}")


def _shape(x: Any) -> tuple[int, ...]:
    try:
        return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)
    except ValueError:  # a ragged list
        return ()


def _describe(x: Any) -> str:
    if type(x) is Tensor:
        return f"{x.tape.name_of(x)} {x.shape}".strip()
    return str(x.shape) if hasattr(x, "shape") else repr(x)


def _advice(name: str, shapes: list[tuple[int, ...]], params: dict[str, Any]) -> str:
    """Say what is wrong with the shapes in the op's own terms, where that is known."""
    if name in ("matmul", "dot") and len(shapes) == 2 and all(shapes):
        a, b = shapes
        inner = a[-1], b[-2] if len(b) > 1 else b[0]
        if inner[0] == inner[1]:
            return f"the leading sizes {a[:-2]} and {b[:-2]} do not broadcast"
        hint = ""
        if len(b) > 1 and a[-1] == b[-1]:
            hint = "; did you mean to transpose the second (.T)?"
        elif len(a) > 1 and a[-2] == inner[1]:
            hint = "; did you mean to transpose the first (.T)?"
        return f"inner sizes {inner[0]} and {inner[1]} differ{hint}"
    if name == "reshape" and shapes:
        size = int(np.prod(shapes[0]))
        return f"{size} elements do not fit the shape {params.get('shape')}"
    if len(shapes) == 2 and name in ("add", "subtract", "multiply", "divide", "maximum", "minimum", "power"):
        for axis, (left, right) in enumerate(zip(reversed(shapes[0]), reversed(shapes[1])), start=1):
            if left != right and 1 not in (left, right):
                return (
                    f"these shapes do not broadcast: axis {-axis} has sizes {left} and {right}; make them equal, or "
                    f"one of them 1"
                )
    return ""
