"""Backward rules in words: what an op's rule says of each argument, as a line of text.

The text is the rule's own, read from its source: ``multiply.vjp(x=lambda g, y: g * y)`` gives ``dx = g * y``. Where the
source is a long function, :data:`WORDS` says it shortly.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable
from types import CodeType
from typing import Any

from ..core.primitive import Primitive
from ..core.tape import Node

__all__ = ["rule_texts"]

LONGEST = 72
"""A longer expression is replaced by what the rule's documentation says, or by its name."""

WORDS: dict[str, dict[str, str]] = {
    "matmul": {"x": "g @ y.T", "y": "x.T @ g"},
    "affine": {"x": "g @ w.T", "w": "x.T @ g", "b": "g"},
    "einsum": {"operands": "einsum of g and the other operands"},
    "sum": {"x": "g, spread over the axes that were summed"},
    "mean": {"x": "g / n, spread over the axes that were averaged"},
    "var": {"x": "g * 2 * (x - mean) / n"},
    "max": {"x": "g where x is the maximum (ties share), else 0"},
    "min": {"x": "g where x is the minimum (ties share), else 0"},
    "maximum": {"x": "g where x > y (ties: g / 2), else 0", "y": "g where y > x (ties: g / 2), else 0"},
    "minimum": {"x": "g where x < y (ties: g / 2), else 0", "y": "g where y < x (ties: g / 2), else 0"},
    "power": {"x": "g * y * x ** (y - 1)", "y": "g * out * log(x)"},
    "divide": {"x": "g / y", "y": "-g * out / y"},
    "sqrt": {"x": "g / (2 * out)"},
    "log": {"x": "g / x"},
    "concatenate": {"arrays": "its part of g"},
    "stack": {"arrays": "its slice of g"},
    "getitem": {"x": "zeros, with g added at the index"},
    "transpose": {"x": "g, with the axes put back"},
    "convolution": {"x": "g convolved with w, flipped", "w": "x correlated with g"},
    "biased_convolution": {"x": "g convolved with w, flipped", "w": "x correlated with g", "b": "g summed per filter"},
    "drop": {"x": "g where the mask is true, / p"},
    "max_pooling": {"x": "g at the maximum of each window, else 0"},
    "softmax": {"x": "out * (g - sum(g * out))"},
    "log_softmax": {"x": "g - softmax(x) * sum(g)"},
    "softmax_loss": {"scores": "g * (softmax(scores) - onehot(y)) / N"},
    "batchnorm": {
        "x": "gamma / std * (g - mean(g) - normal * mean(g * normal))",
        "gamma": "sum over the batch of g * normal",
        "beta": "sum over the batch of g",
    },
}
"""For ops whose rule is longer than its meaning."""


def rule_texts(node: Node, shapes: list[tuple[int, ...]]) -> tuple[str, ...]:
    """Return the backward rule of a node in words, a line per argument that gets a cotangent.

    Parameters
    ----------
    node : Node
    shapes : list of shapes
        Of its arguments.
    """
    op, plan = node.primitive, node.plan
    if op is None or plan is None:
        return ()
    lines = []
    fixed = len(op.args) - 1 if op.variadic else len(op.args)
    for position, argument in enumerate(op.args[:fixed]):
        if argument in plan.wants:
            text = _argument_text(op, argument)
            if shapes[position] != node.shape and _is_passed_on(text, op):
                text += f", summed to {'×'.join(map(str, shapes[position])) or 'one number'}"
            lines.append(f"d{argument} = {text}")
    if op.variadic in plan.wants:
        lines.append(f"d{op.variadic}[i] = {_argument_text(op, op.variadic)}")
    return tuple(lines)


def _is_passed_on(text: str, op: Primitive) -> bool:
    """Whether a cotangent has the result's shape, so that the walk has to undo broadcasting."""
    return op.linear == "elementwise" or (op.linear == "each" and op.name in ("add", "multiply")) or text == "g"


def _argument_text(op: Primitive, argument: str) -> str:
    words = WORDS.get(op.name, {}).get(argument)
    if words is not None:
        return words
    if op.shared is not None:
        backward = getattr(op, "backward_op", None)
        return f"{_name(backward.name)}(g, …)" if backward is not None else _function_text(op.shared)
    rule = op.rules.get(argument)
    return _function_text(rule) if rule is not None else "0"


@functools.lru_cache(maxsize=1024)
def _function_text(rule: Callable[..., Any]) -> str:
    """Return what a rule computes, as short text."""
    expression = _expression(rule)
    if expression and len(expression) <= LONGEST:
        return expression
    lines = (getattr(rule, "__doc__", None) or "").strip().splitlines()
    if lines and len(lines[0]) <= LONGEST:
        return lines[0].rstrip(".")
    name = getattr(rule, "__name__", "rule")
    return f"{_name(name)}(g, …)" if name != "<lambda>" else f"{expression[: LONGEST - 1]}…" if expression else "…"


def _name(name: str) -> str:
    return name.strip("_")


def _expression(rule: Callable[..., Any]) -> str:
    """Return the expression of a lambda, or of a function that consists of one."""
    code = getattr(rule, "__code__", None)
    if code is None:
        return ""
    if rule.__name__ != "<lambda>":
        for function in _definitions(code.co_filename).get(code.co_firstlineno, ()):
            if isinstance(function, ast.FunctionDef):
                body = [part for part in function.body if not _is_text(part)]
                if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
                    return _pretty(body[0].value)
        return ""
    for function in _definitions(code.co_filename).get(code.co_firstlineno, ()):
        if isinstance(function, ast.Lambda) and _is_source_of(function, code):
            return _pretty(function.body)
    return ""


def _is_source_of(function: ast.Lambda, code: CodeType) -> bool:
    """Whether this is the lambda that was compiled to this code, and not another on the same line."""
    if hasattr(code, "co_positions"):
        body = function.body
        return (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) in code.co_positions()
    constants = compile(ast.Expression(function), code.co_filename, "eval").co_consts  # Python 3.10
    alike = ("co_code", "co_varnames", "co_names", "co_consts")
    return any(all(getattr(c, name, None) == getattr(code, name) for name in alike) for c in constants)


@functools.lru_cache(maxsize=64)
def _definitions(path: str) -> dict[int, list[Any]]:
    """Return the functions of a source file by their first line; none when it cannot be read."""
    import linecache

    found: dict[int, list[Any]] = {}
    try:
        tree = ast.parse("".join(linecache.getlines(path)))
    except (SyntaxError, ValueError, RecursionError):
        return found
    for part in ast.walk(tree):
        if isinstance(part, (ast.Lambda, ast.FunctionDef)):
            line = min([part.lineno, *(decorator.lineno for decorator in getattr(part, "decorator_list", ()))])
            found.setdefault(line, []).append(part)
    return found


def _is_text(part: ast.stmt) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)


def _pretty(expression: ast.AST) -> str:
    return re.sub(r"\bnp\.", "", ast.unparse(expression)).replace("\n", " ")
