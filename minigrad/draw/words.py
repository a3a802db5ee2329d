"""The words of a picture: how shapes, numbers, static parameters and source lines are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.tape import Node
from ..core.tensor import value_of

__all__ = ["dtype_text", "line_text", "number_text", "number_texts", "shape_text", "static_text", "static_texts"]

LONG_TEXT = 40
"""What a label says of a static parameter is cut to so many characters."""
COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or"})
_SEPARATORS = r"[/\\]"  # of folders, on any system
SHAPES_TELL = frozenset({"keepdims", "shape"})  # static parameters that the shapes on the edges show already


def shape_text(shape: Sequence[int]) -> str:
    """Write a shape as people do.

    >>> shape_text((50, 100)), shape_text((7,)), shape_text(())
    ('50×100', '7', '')
    """
    return "×".join(map(str, shape))


def dtype_text(dtype: str, usual: str) -> str:
    """Return the dtype, or an empty string where it is the usual one."""
    return "" if dtype == usual else dtype


def number_text(value: Any) -> str:
    """Write a single number shortly; an empty string for what is not a number.

    >>> number_text(0.5), number_text(3), number_text(1 / 3), number_text("x")
    ('0.5', '3', '0.33333', '')
    """
    value = value_of(value)
    value = value.item() if isinstance(value, (np.ndarray, np.generic)) else value
    if isinstance(value, (bool, int)):
        return str(value)
    return f"{value:.5g}" if isinstance(value, (float, complex)) else ""


def static_text(value: Any) -> str:
    """Write the value of a static parameter; a dot for what has no short text.

    >>> static_text((0, 2)), static_text((slice(None), slice(1, None, 2))), static_text(object())
    ('(0, 2)', '(:, 1::2)', '·')
    """
    if isinstance(value, (bool, int, float, complex, np.generic)):
        return number_text(value) or "·"
    if isinstance(value, slice):
        ends = ["" if end is None else static_text(end) for end in (value.start, value.stop)]
        return ":".join(ends if value.step is None else [*ends, static_text(value.step)])
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(static_text, value[:8]))}{', …' if len(value) > 8 else ''})"
    if isinstance(value, np.dtype):
        return str(value)
    if isinstance(value, type):
        return value.__name__
    if value is None or isinstance(value, str):
        return str(value)
    return "..." if value is Ellipsis else "·"


def number_texts(node: Node, numbers: dict[int, str]) -> tuple[str, ...]:
    """Write numbers among the arguments: ``0.5`` where their place is plain, else all arguments, as ``(1, ·)``."""
    if not numbers:
        return ()
    count = len(node.parents)
    trailing = min(numbers) == count - len(numbers)
    if (trailing and count > len(numbers)) or (count == 2 and len(numbers) == 1 and node.name in COMMUTATIVE):
        return tuple(numbers.values())
    return (f"({', '.join(numbers.get(position, '·') for position in range(count))})",)


def static_texts(node: Node) -> tuple[str, ...]:
    """Write the static parameters that differ from their defaults."""
    op = node.primitive
    if op is None or op.kind == "backward":  # those of a backward kernel are plumbing
        return ()
    texts = []
    for name, value in node.params.items():
        if name in SHAPES_TELL or _same(value, op.defaults.get(name)):
            continue
        if name == "index" and isinstance(value, tuple):
            texts.append(f"[{', '.join(map(static_text, value))[:LONG_TEXT]}]")
        else:
            texts.append(name if value is True else f"{name} {static_text(value)[:LONG_TEXT]}")
    return tuple(texts)


def _same(value: Any, default: Any) -> bool:
    try:
        return value is default or bool(value == default)
    except Exception:  # such as arrays, for which == has no one answer
        return False


def line_text(line: tuple[str, int] | None) -> str:
    """Name the file without its folder, so that the text is the same on every machine."""
    return "" if line is None else f"{re.split(_SEPARATORS, line[0])[-1]}:{line[1]}"
