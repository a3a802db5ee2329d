"""The words of a picture: how shapes, numbers, static parameters and source lines are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.tape import Node
from ..core.tensor import value_of

__all__ = [
    "bytes_text",
    "dtype_text",
    "line_text",
    "number_text",
    "number_texts",
    "op_name",
    "seconds_text",
    "shape_text",
    "source_text",
    "static_text",
    "static_texts",
]

LONG_TEXT = 40
"""What a label says of a static parameter is cut to so many characters."""
COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or"})
_SEPARATORS = r"[/\\]"  # of folders, on any system
CONVOLUTIONS = frozenset({"convolution", "biased_convolution"})
CALLED = {
    "_draw_mask": "dropout_mask",
    "dot_product_attention": "attention",
    "drop": "dropout",
    "gru_cell": "gru_step",
    "gru_sequence": "gru",
    "lstm_cell": "lstm_step",
    "lstm_sequence": "lstm",
    "max_pooling": "max_pool2d",
}
UNTOLD = frozenset({"rng", "scale"})  # static parameters that say nothing to a reader
NO_MASK = "True"  # as an argument: everything is kept
WINDOWED = {"window": "", "stride": "1", "padding": "0", "dilation": "1", "groups": "1"}
"""Static parameters with a number per axis, and the number that need not be said."""
SHORT_NAMES = {"padding": "pad"}
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
    numbers = {position: text for position, text in numbers.items() if text != NO_MASK}
    if not numbers:
        return ()
    count = len(node.parents)
    trailing = min(numbers) == count - len(numbers)
    if (trailing and count > len(numbers)) or (count == 2 and len(numbers) == 1 and node.name in COMMUTATIVE):
        return tuple(numbers.values())
    return (f"({', '.join(numbers.get(position, '·') for position in range(count))})",)


def op_name(node: Node) -> str:
    """Return what a picture calls an op: what the user called it, where the op is a part of that.

    >>> import numpy as np, minigrad as mg
    >>> tape = mg.Tape()
    >>> x = mg.conv2d(tape.watch(np.ones((1, 3, 8, 8))), np.ones((4, 3, 5, 5)), padding=2)
    >>> node = next(node for node in tape.nodes if node.role == "op")
    >>> op_name(node), static_texts(node, [(1, 3, 8, 8), (4, 3, 5, 5)])
    ('conv2d', ('5×5', 'pad 2'))
    """
    if node.name in CONVOLUTIONS:
        return f"conv{len(node.shape) - 2}d"
    return CALLED.get(node.name, node.name)


def static_texts(node: Node, shapes: Sequence[Sequence[int]] = ()) -> tuple[str, ...]:
    """Write the static parameters that differ from their defaults; of a window its size, from the arguments' shapes."""
    op = node.primitive
    if op is None or op.kind == "backward":  # those of a backward kernel are plumbing
        return ()
    texts = []
    if node.name in CONVOLUTIONS and len(shapes) > 1:
        texts.append(shape_text(shapes[1][2:]))
    window = node.params.get("window")
    for name, value in node.params.items():
        if name in WINDOWED:
            if name == "window":
                texts.append(static_text(value).strip("()").replace(", ", "×"))
            elif not _same(value, window) and (number := _one_number(value)) != WINDOWED[name]:
                texts.append(f"{SHORT_NAMES.get(name, name)} {number}")
            continue
        if name in UNTOLD or (name == "p" and value == 1):
            continue
        if name in SHAPES_TELL or _same(value, op.defaults.get(name)):
            continue
        if name == "index" and isinstance(value, tuple):
            texts.append(f"[{', '.join(map(static_text, value))[:LONG_TEXT]}]")
        else:
            texts.append(name if value is True else f"{name} {static_text(value)[:LONG_TEXT]}")
    return tuple(texts)


def _one_number(value: Any) -> str:
    """Write a number per axis, or a pair of them, as one number where all are equal."""
    numbers: set[Any] = set()
    for part in value if isinstance(value, tuple) else (value,):
        numbers.update(part if isinstance(part, tuple) else (part,))
    return static_text(numbers.pop()) if len(numbers) == 1 else static_text(value)


def _same(value: Any, default: Any) -> bool:
    try:
        return value is default or bool(value == default)
    except Exception:  # such as arrays, for which == has no one answer
        return False


def line_text(line: tuple[str, int] | None) -> str:
    """Name the file without its folder, so that the text is the same on every machine."""
    return "" if line is None else f"{re.split(_SEPARATORS, line[0])[-1]}:{line[1]}"


def source_text(line: tuple[str, int] | None) -> str:
    """Return what stands at a line of the user's code; an empty string when it cannot be read."""
    if line is None:
        return ""
    import linecache

    return linecache.getline(*line).strip()


def bytes_text(count: float) -> str:
    """Write an amount of memory.

    >>> bytes_text(5), bytes_text(614_400), bytes_text(1_228_800)
    ('5 B', '614 KB', '1.23 MB')
    """
    units = ("B", "KB", "MB", "GB", "TB")
    number = 0
    while count >= 999.5 and number < len(units) - 1:
        count, number = count / 1000, number + 1
    return f"{count:.3g} {units[number]}"


def seconds_text(seconds: float) -> str:
    """Write a time.

    >>> seconds_text(1.5), seconds_text(0.0031), seconds_text(2.4e-5)
    ('1.5 s', '3.1 ms', '24 µs')
    """
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size * 0.9995:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds * 1e6)} µs"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 99.5 else f"{number:.2g}"
