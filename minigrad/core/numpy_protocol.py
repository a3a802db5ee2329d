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

__all__ = ["FUNCTIONS", "INSTEAD", "UFUNCS", "UFUNC_FINDERS", "UFUNC_METHODS", "implements", "refuse"]

FALLBACK: ContextVar[Callable[..., Any] | None] = ContextVar("minigrad_fallback", default=None)
"""What to call, with (function, args, keywords), for NumPy functions without a rule; they raise when it is None."""

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
"""ufunc -> the op behind ``ufunc(...)``."""

UFUNC_FINDERS: list[Callable[[np.ufunc], Callable[..., Any] | None]] = []
"""What is asked, in turn, for the op of a ufunc that is not in the table: for ufuncs of libraries not yet imported."""

UFUNC_METHODS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {}
"""(ufunc, "reduce" | "outer" | ...) -> the function behind ``ufunc.reduce(...)``."""

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""NumPy function -> the function that takes its place, with NumPy's signature."""

INSTEAD: dict[Any, str] = {}
"""NumPy function -> what to use instead, for those that are often met and have no rule."""


_rest: list[Callable[[], None]] = []


def when_unknown(load: Callable[[], None]) -> None:
    """Call `load` once, before a function is said to be unknown: it may enter further ones into the tables."""
    _rest.append(load)


def load_rest() -> bool:
    """Load what has been put off; return whether there was anything."""
    waiting = bool(_rest)
    while _rest:
        _rest.pop()()
    return waiting


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

    call.op = op  # type: ignore[attr-defined]  # for the table of what is covered
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
        "write it with functions that have one, define your own op with mg.primitive, or give it the plain .value if "
        "no gradient should flow"
    )
    return NoGradientRule(f"{name} has no gradient rule; {instead}")


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Take the place of a ufunc call with keywords, or of one of its methods."""
    name = f"np.{ufunc.__name__}"
    if method != "__call__":
        function = UFUNC_METHODS.get((ufunc, method))
        if function is None and load_rest():
            function = UFUNC_METHODS.get((ufunc, method))
        if function is None:
            raise NoGradientRule(f"{name}.{method} has no gradient rule; write it with other functions")
        if all(out is None for out in keywords.get("out", ())):
            keywords.pop("out", None)
        return function(*inputs, **keywords)
    if ufunc not in UFUNCS:
        load_rest()
    op = UFUNCS.get(ufunc) or next(filter(None, (find(ufunc) for find in UFUNC_FINDERS)), None)
    if op is None:
        other_way = FALLBACK.get()
        if other_way is None:
            raise no_rule(ufunc)
        return other_way(ufunc, inputs, keywords)
    if any(out is not None for out in keywords.pop("out", ())):
        raise NoGradientRule(
            f"{name} cannot write a Tensor into an array in place (out=, or an augmented assignment such as a *= t), "
            f"because the gradient would be lost; write a = a * t instead"
        )
    if keywords.pop("where", True) is not True:
        raise NoGradientRule(
            f"{name} on a Tensor does not take where=: what it leaves out would be undefined; use "
            f"np.where(mask, {name}(x), other)"
        )
    dtype = keywords.pop("dtype", None)
    if dtype is not None:
        inputs = _cast(ufunc, inputs, np.dtype(dtype))
    for keyword in [key for key, default in _UFUNC_DEFAULTS.items() if keywords.get(key) == default]:
        del keywords[keyword]
    if ufunc.signature is not None and "axis" in keywords:
        axis = keywords.pop("axis")
        inputs = tuple(np.moveaxis(x, axis, -1) for x in inputs)
    for keyword in keywords:
        raise refuse(name, keyword)
    return op(*inputs)


_UFUNC_DEFAULTS = {"casting": "same_kind", "order": "K", "subok": True}


def _cast(ufunc: np.ufunc, inputs: tuple[Any, ...], dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Convert the inputs of a ufunc as ``dtype=`` asks: to those of its loop that computes in that dtype."""
    loops = (loop.split("->") for loop in ufunc.types)
    kinds = next((given for given, results in loops if set(results) == {dtype.char}), None)
    if kinds is None:  # comparisons and the like, which give no numbers of that dtype
        raise refuse(f"np.{ufunc.__name__}", "dtype")
    cast = []
    for x, kind in zip(inputs, kinds):
        x = x if hasattr(x, "astype") else np.asarray(x, None if np.ndim(x) else kind)
        if not np.can_cast(x.dtype, kind, "same_kind"):
            raise TypeError(f"np.{ufunc.__name__} cannot cast an input from {x.dtype} to {np.dtype(kind)} (dtype=)")
        cast.append(x.astype(kind))
    return tuple(cast)


def call_function(function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Take the place of a NumPy function that is not a ufunc."""
    replacement = FUNCTIONS.get(function)
    if replacement is None and load_rest():
        replacement = FUNCTIONS.get(function)
    if replacement is None:
        other_way = FALLBACK.get()
        if other_way is None:
            raise no_rule(function)
        return other_way(function, args, keywords)
    return replacement(*args, **keywords)
