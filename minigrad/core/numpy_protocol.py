"""How NumPy's functions reach minigrad's ops: the tables behind ``__array_ufunc__`` and ``__array_function__``.

An op enters itself here when it is defined (see :func:`minigrad.core.primitive.primitive`). What is not in the tables
raises :class:`~minigrad.core.errors.NoGradientRule`; nothing falls through to NumPy and loses its gradient.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from .errors import NoGradientRule

__all__ = ["FUNCTIONS", "INSTEAD", "UFUNCS", "UFUNC_METHODS", "implements", "refuse"]

FALLBACK: ContextVar[Callable[..., Any] | None] = ContextVar("minigrad_fallback", default=None)
"""What to call, with (function, args, keywords), for NumPy functions without a rule; they raise when it is None."""

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
"""ufunc -> the op behind ``ufunc(...)``."""

UFUNC_METHODS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {}
"""(ufunc, "reduce" | "outer" | ...) -> the function behind ``ufunc.reduce(...)``."""

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""NumPy function -> the function that takes its place, with NumPy's signature."""

INSTEAD: dict[Any, str] = {}
"""NumPy function -> what to use instead, for those that are often met and have no rule."""


def implements(*functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function with NumPy's signature take the place of NumPy functions when they are given Tensors."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for target in functions:
            FUNCTIONS[target] = function
        return function

    return enter


def adapt(
    function: Callable[..., Any], op: Callable[..., Any], arrays: int, static: frozenset[str]
) -> Callable[..., Any]:
    """Return a function with the signature of a NumPy function that calls an op.

    NumPy takes everything by position or by name; an op takes arrays by position and the rest by name. Arguments that
    the op does not know are refused by name, unless they have NumPy's default value.
    """
    parameters = inspect.signature(function).parameters
    names = tuple(parameters)
    defaults = {name: parameter.default for name, parameter in parameters.items()}

    def call(*args: Any, **keywords: Any) -> Any:
        if len(args) > arrays:
            if len(args) > len(names):
                raise TypeError(f"np.{function.__name__} takes {len(names)} arguments, and {len(args)} came")
            for name, value in zip(names[arrays:], args[arrays:]):
                if name in keywords:
                    raise TypeError(f"np.{function.__name__}: argument {name!r} came twice")
                keywords[name] = value
            args = args[:arrays]
        elif len(args) < arrays:
            args += tuple(keywords.pop(name) for name in names[len(args) : arrays] if name in keywords)
        for name in [name for name in keywords if name not in static]:
            if name in defaults and keywords[name] is defaults[name]:
                del keywords[name]
            elif name in defaults:
                raise refuse(f"np.{function.__name__}", name)
            else:
                raise TypeError(f"np.{function.__name__} has no argument {name!r}; it takes {', '.join(names)}")
        return op(*args, **{name: value for name, value in keywords.items() if value is not defaults.get(name, ...)})

    call.__name__ = call.__qualname__ = function.__name__
    call.__doc__ = function.__doc__
    return call


def refuse(name: str, argument: str) -> NoGradientRule:
    """Return the error for a NumPy function called with an argument that cannot be recorded."""
    advice = {
        "out": "assign the result instead: x = f(x)",
        "where": "use np.where on the result",
        "dtype": "use .astype on the argument or on the result",
    }.get(argument, "leave it out")
    return NoGradientRule(f"{name} on a Tensor does not take {argument}=; {advice}")


def no_rule(function: Any) -> NoGradientRule:
    """Return the error for a NumPy function that has no gradient rule."""
    module = getattr(function, "__module__", None) or "numpy"
    name = f"{module.replace('numpy', 'np', 1)}.{getattr(function, '__name__', function)}"
    instead = INSTEAD.get(function) or (
        "write it with functions that have one, define your own op with mg.primitive, or take the value out with "
        "mg.stop_gradient(x) if no gradient should flow"
    )
    return NoGradientRule(f"{name} has no gradient rule; {instead}")


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Take the place of a ufunc call with keywords, or of one of its methods."""
    if method != "__call__":
        function = UFUNC_METHODS.get((ufunc, method))
        if function is None:
            raise NoGradientRule(f"np.{ufunc.__name__}.{method} has no gradient rule; write it with other functions")
        return function(*inputs, **keywords)
    op = UFUNCS.get(ufunc)
    if op is None:
        raise no_rule(ufunc)
    if keywords.pop("out", None) is not None:
        raise NoGradientRule(
            f"np.{ufunc.__name__} cannot write a Tensor into an array in place (out=, or an augmented assignment such "
            f"as a *= t), because the gradient would be lost; write a = a * t instead"
        )
    if keywords.get("where", True) is not True:
        raise refuse(f"np.{ufunc.__name__}", "where")
    keywords.pop("where", None)
    dtype = keywords.pop("dtype", None)
    for name in keywords:
        raise refuse(f"np.{ufunc.__name__}", name)
    if dtype is not None:
        inputs = tuple(x.astype(dtype) if hasattr(x, "astype") else np.asarray(x, dtype) for x in inputs)
    return op(*inputs)


def call_function(function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Take the place of a NumPy function that is not a ufunc."""
    replacement = FUNCTIONS.get(function)
    if replacement is None:
        other_way = FALLBACK.get()
        if other_way is None:
            raise no_rule(function)
        return other_way(function, args, keywords)
    return replacement(*args, **keywords)
