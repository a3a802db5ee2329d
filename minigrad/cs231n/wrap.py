"""From a forward function to the course's pair ``forward`` and ``backward``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autodiff.reverse import argument_numbers, argument_position, vjp
from ..core.errors import DTypeError, OptionError, ShapeError
from ..core.scope import scope
from ..core.tensor import Tensor

__all__ = ["Cache", "as_floats", "layer"]


class Cache:
    """What a backward pass needs from its forward pass. Nothing in it is for the user to take apart.

    Attributes
    ----------
    pullback : callable
        From the tuple of the outputs' cotangents to that of the gradients.
    likes : list of (shape, dtype)
        Of the outputs.
    """

    __slots__ = ("f", "likes", "name", "pullback", "single")

    def __init__(self, f: Any, name: str, outputs: Sequence[Any], pullback: Callable[..., Any], single: bool) -> None:
        self.f = f
        self.name = name
        self.likes = [(np.shape(out), np.result_type(out.dtype if hasattr(out, "dtype") else out)) for out in outputs]
        self.pullback = pullback
        self.single = single  # whether backward returns one array, and no tuple

    def __iter__(self) -> Any:
        raise DTypeError(
            f"the cache of {self.name}_forward holds a recording and cannot be unpacked; give it to "
            f"{self.name}_backward, which reads it"
        )

    def __repr__(self) -> str:
        outputs = ", ".join(str(shape) for shape, _ in self.likes)
        return f"<cache of {self.name}_forward, which returned {outputs}>"


def layer(
    f: Callable[..., Any], argnums: int | Sequence[int] | None = None
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make the course's pair of functions, ``forward`` and ``backward``, from a forward function.

    Parameters
    ----------
    f : callable
        A forward pass in plain NumPy. It returns an array, or several as a tuple.
    argnums : int or sequence of int, optional
        Which positional arguments get a gradient; integers in them become floats. When left out, those that are arrays
        of floats: numbers, None, dicts, lists, arrays of integers or booleans, and what comes after ``*`` in the
        signature of `f`, are passed on as they are and get none.

    Returns
    -------
    forward : callable
        ``out, cache = forward(...)`` with the arguments of `f`; ``out1, out2, cache`` when it returns several arrays.
    backward : callable
        ``dx, dw = backward(dout, cache)`` returns the gradients in the order of the arguments, or a single array where
        there is one; so does an integer as `argnums`. Of several outputs it takes as many cotangents, one by one or as
        a tuple, and None for zeros. It may be called many times for one cache.

        All results are arrays of the caller's own.

    Raises
    ------
    DTypeError
        By ``forward``: if no argument can have a gradient, or `f` returns no array. By ``backward``: if what came is
        no cache.
    OptionError
        By ``backward``: if the cache is that of another layer.
    ShapeError
        By ``backward``: if a cotangent has not the shape of its output, or their number is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.cs231n import layer
    >>> forward, backward = layer(lambda x, w, b: np.tanh(x @ w + b))
    >>> x, w, b = np.array([[1.0, 2.0]]), np.zeros((2, 3)), np.zeros(3)
    >>> out, cache = forward(x, w, b)
    >>> dx, dw, db = backward(np.ones((1, 3)), cache)
    >>> dw
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    name = getattr(f, "__name__", type(f).__name__)
    name = name if name.isidentifier() else "layer"  # a lambda has none

    def forward(*args: Any, **keywords: Any) -> tuple[Any, ...]:
        args, keywords = _by_position(f, args, keywords)
        positions, single = _differentiated(f"{name}_forward", args, argnums)

        def run(*chosen: Any) -> tuple[Any, ...]:
            full = list(args)
            for position, x in zip(positions, chosen):
                full[position] = x
            with scope(f"{name}_forward"):
                return _outputs(name, f(*full, **keywords))

        outputs, pullback = vjp(run, *(as_floats(args[i], f"{name}_forward: argument {i}") for i in positions))
        outputs = tuple(out.copy() if type(out) is np.ndarray else out for out in outputs)  # the cache has the others
        return (*outputs, Cache(f, name, outputs, pullback, single))

    def backward(*douts: Any, cache: Any = None) -> Any:
        if cache is None and douts:
            *douts, cache = douts  # type: ignore[assignment]
        _check_cache(f, name, douts, cache)
        gradients = cache.pullback(_cotangents(name, douts, cache.likes))
        return gradients[0] if cache.single else gradients

    functools.update_wrapper(forward, f, updated=())
    for function, end in ((forward, "forward"), (backward, "backward")):
        function.__name__ = function.__qualname__ = f"{name}_{end}"
        function.__module__ = getattr(f, "__module__", None) or __name__
    backward.__doc__ = _backward_text(f, name, argnums)
    return forward, backward


def _backward_text(f: Callable[..., Any], name: str, argnums: Any) -> str:
    """Return the docstring of a backward function, which names what it returns where that is known."""
    names = ""
    if inspect.isfunction(f) and argnums is not None:
        parameters = dict(enumerate(inspect.signature(f).parameters))
        names = ", ".join(f"d{parameters.get(number, number)}" for number in argument_numbers(argnums)[0])
        names = f"``{names}``, "
    return f"Return {names}the gradients of the arguments of `{name}_forward`, from that of its result and its cache."


def as_floats(x: Any, what: str) -> Any:
    """Return an array of floats: integers and lists become float64, floats and Tensors stay what they are."""
    array = x if hasattr(x, "dtype") else np.asarray(x)
    if array.dtype.kind not in "fciub":
        raise DTypeError(f"{what} is {type(x).__name__}, and an array of numbers was expected")
    return array.astype(float) if array.dtype.kind in "iub" else array


def _by_position(f: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Put arguments that came by keyword into their positions, where `f` has one for them."""
    if not keywords:
        return args, keywords
    try:
        bound = inspect.signature(f).bind(*args, **keywords)
    except (TypeError, ValueError):  # they do not fit, as f itself will say best; or it tells no signature
        return args, keywords
    return bound.args, bound.kwargs


def _differentiated(name: str, args: tuple[Any, ...], argnums: Any) -> tuple[list[int], bool]:
    """Return the positions of the arguments that get a gradient, and whether backward returns one array."""
    if argnums is None:
        positions = [i for i, x in enumerate(args) if isinstance(x, (np.ndarray, Tensor)) and x.dtype.kind in "fc"]
        if not positions:
            came = ", ".join(str(getattr(x, "dtype", type(x).__name__)) for x in args)
            raise DTypeError(
                f"{name}: none of the arguments ({came}) is an array of floats, so there is nothing to differentiate "
                f"with respect to; use x.astype(float)"
            )
        return positions, len(positions) == 1
    numbers, single = argument_numbers(argnums)
    return [argument_position(number, len(args), name) for number in numbers], single


def _outputs(name: str, out: Any) -> tuple[Any, ...]:
    outputs = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    for one in outputs:
        if not hasattr(one, "dtype") and not isinstance(one, (int, float, complex)):
            hint = "; is a `return` missing?" if one is None else ""
            raise DTypeError(
                f"{name} returned {type(one).__name__}; a layer returns an array, or a tuple of arrays{hint}"
            )
    return outputs


def _check_cache(f: Any, name: str, douts: Sequence[Any], cache: Any) -> None:
    if type(cache) is not Cache:
        swapped = any(type(dout) is Cache for dout in douts)
        hint = "; the cache comes last" if swapped else ""
        raise DTypeError(
            f"{name}_backward: {type(cache).__name__} came in place of the cache that {name}_forward returns beside "
            f"its result{hint}"
        )
    if cache.f is not f:
        raise OptionError(
            f"{name}_backward: the cache is that of {cache.name}_forward; give it to {cache.name}_backward"
        )


def _cotangents(name: str, douts: Sequence[Any], likes: list[Any]) -> tuple[Any, ...]:
    """Return one cotangent per output, checked, with zeros in place of None."""
    if len(likes) > 1 and len(douts) == 1 and isinstance(douts[0], (tuple, list)):
        douts = douts[0]
    call = f"{name}_backward"
    if len(douts) != len(likes):
        wanted = ", ".join(["dout"] if len(likes) == 1 else [f"dout{number + 1}" for number in range(len(likes))])
        none = " (None for zeros)" if len(likes) > 1 else ""
        raise ShapeError(
            f"{call}: {len(douts)} gradients came beside the cache, and {name}_forward returned {len(likes)} arrays; "
            f"call {call}({wanted}, cache){none}"
        )
    if all(dout is None for dout in douts):
        raise DTypeError(f"{call}: None came in place of dout; it must have the shape of the output, {likes[0][0]}")
    checked = []
    for number, (dout, (shape, dtype)) in enumerate(zip(douts, likes), start=1):
        dout = np.zeros(shape, dtype) if dout is None else dout if hasattr(dout, "dtype") else np.asarray(dout)
        if dout.shape != shape:
            which = f"dout{number}" if len(likes) > 1 else "dout"
            raise ShapeError(
                f"{call}: {which} has shape {dout.shape}, and the output of {name}_forward has shape {shape}; the "
                f"gradient of a loss has the shape of what it is the gradient of"
            )
        checked.append(dout)
    return tuple(checked)
