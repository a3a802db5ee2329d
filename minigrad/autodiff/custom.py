"""Functions with a derivative of their own: `custom_vjp`, `numerical_vjp`, and `checkpoint`.

All three put a whole function on the tape as one node. What runs inside is not recorded on that tape; the backward pass
asks the user's rule, finite differences, or the function itself once more.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.errors import MinigradWarning, NoGradientRule, OptionError, ShapeError, did_you_mean
from ..core.guard import run_again
from ..core.numpy_protocol import FALLBACK
from ..core.primitive import Primitive
from ..core.tensor import Tensor, read_only
from ..core.tree import Tree, flatten, path_name
from .reverse import vjp

__all__ = ["checkpoint", "custom_vjp", "fallback", "numerical_vjp"]


class _Call:
    """One call of a function: which leaves of its arguments are arrays, and how to put all together again."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self.function = function
        leaves, self.tree = flatten((args, keywords))
        self.places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, (Tensor, np.ndarray, np.generic))]
        self.arrays = [leaves[i] for i in self.places]
        self.rest = [None if i in set(self.places) else leaf for i, leaf in enumerate(leaves)]
        self.out_tree: Tree | None = None
        self.count = 0
        self.residuals: list[Any] = []
        self.residual_tree: Tree | None = None

    def arguments(self, arrays: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        leaves = list(self.rest)
        for place, array in zip(self.places, arrays):
            leaves[place] = _guarded(array)  # a write into it would change the caller's own
        return self.tree.unflatten(leaves)  # type: ignore[no-any-return]

    def take_arrays(self) -> list[Any]:
        """Hand the arrays out and forget them: the tape keeps this object, and must not keep its own Tensors."""
        arrays, self.arrays = self.arrays, []
        return arrays

    def run(self, arrays: Any) -> list[Any]:
        """Call the function and return the leaves of its result."""
        args, keywords = self.arguments(arrays)
        leaves, self.out_tree = flatten(self.function(*args, **keywords))
        self.count = len(leaves)
        return leaves

    first_order = False

    def result(self, outputs: Any) -> Any:
        return self.out_tree.unflatten(list(outputs)[: self.count])  # type: ignore[union-attr]

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


class Writable:
    """Marks an array of which a function may have a copy to write into."""

    def __init__(self, array: Any) -> None:
        self.array = array


def _guarded(x: Any) -> Any:
    return np.array(x.array) if type(x) is Writable else read_only(x)


# --- checkpoint -----------------------------------------------------------------------------------------------------


def _checkpointed(*arrays: Any, call: _Call) -> tuple[Any, ...]:
    token = run_again.set(True)
    try:
        return _run_checkpointed(arrays, call)
    finally:
        run_again.reset(token)


def _run_checkpointed(arrays: tuple[Any, ...], call: _Call) -> tuple[Any, ...]:
    try:
        outputs = call.run(arrays)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        outputs = call.run([Writable(x) for x in arrays])  # it assigns to its arguments: let it, on copies
    if any(type(out) is Tensor for out in outputs):
        raise NoGradientRule(
            f"checkpoint: {call} uses a Tensor from outside, whose gradient would be lost; pass it as an argument"
        )
    return tuple(outputs)


_checkpointed_op = Primitive(_checkpointed, name="checkpoint", outputs="many")


@_checkpointed_op.vjp_shared
def _checkpoint_rule(g: Any, arrays: Any, call: _Call, *, wants: tuple[int, ...]) -> tuple[Any, ...]:
    def run(*chosen: Any) -> list[Any]:
        full = list(arrays)
        for i, x in zip(wants, chosen):
            full[i] = x
        return call.run(full)

    _, pullback = vjp(run, *[arrays[i] for i in wants])
    return pullback(list(g))  # type: ignore[no-any-return]


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function keep its arguments only, and be computed again in the backward pass: less memory for more time.

    Parameters
    ----------
    f : callable
        A pure function of arrays, or containers of arrays. Tensors that it uses must be arguments, not closed over.

    Returns
    -------
    callable
        The same function. What it computes inside is not kept until the backward pass reaches it, which then calls it
        once more. (Griewank and Walther, "Revolve", 2000; Chen et al., 2016, arXiv:1604.06174.)

    Raises
    ------
    NoGradientRule
        If the function closes over a Tensor.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> block = mg.checkpoint(lambda x: np.tanh(np.tanh(np.tanh(x))))
    >>> mg.grad(lambda x: np.sum(block(x)))(np.array([0.0, 1.0])).round(4)
    array([1.    , 0.1677])
    """

    @functools.wraps(f)
    def checkpointed(*args: Any, **keywords: Any) -> Any:
        call = _Call(f, args, keywords)
        if not any(type(array) is Tensor for array in call.arrays):
            return f(*args, **keywords)
        return call.result(_checkpointed_op.bind(*call.take_arrays(), call=call))

    return checkpointed


# --- custom_vjp -----------------------------------------------------------------------------------------------------


def _run_custom(*arrays: Any, call: Any) -> tuple[Any, ...]:
    """Return the result's leaves, and after them the arrays that the backward rule will read."""
    args, keywords = call.arguments(arrays)
    if call.first_order and any(type(x) is Tensor for x in arrays):
        raise NoGradientRule(f"{call.name}: finite differences give first derivatives in reverse mode only")
    pair = call.function(*args, **keywords)
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ShapeError(f"{call.name}: its forward rule must return a pair (out, residuals), and it returned {pair!r}")
    out, residuals = pair
    leaves, call.out_tree = flatten(out)
    call.count = len(leaves)
    kept, call.residual_tree = flatten(residuals)
    is_array = [isinstance(leaf, (Tensor, np.ndarray, np.generic)) for leaf in kept]
    call.residuals = [None if yes else leaf for leaf, yes in zip(kept, is_array)]
    call.residual_places = [i for i, yes in enumerate(is_array) if yes]
    return (*leaves, *(kept[i] for i in call.residual_places))


# Tapes below see the insides of the forward rule, so that what it hands to the backward rule is followed there too and
# second derivatives are right.
_custom_op = Primitive(_run_custom, name="custom_vjp", outputs="many", transparent=True)
_custom_op.takes_none = True


@_custom_op.vjp_shared
def _custom_rule(g: Any, arrays_shape: Any, out: Any, call: Any, *, wants: tuple[int, ...]) -> tuple[Any, ...]:
    results, kept = out[: call.count], out[call.count :]
    residuals = list(call.residuals)
    for place, array in zip(call.residual_places, kept):
        residuals[place] = array
    cotangents = [np.zeros(x.shape, x.dtype) if c is None else c for c, x in zip(g, results)]
    answer = call.backward(call.residual_tree.unflatten(residuals), call.out_tree.unflatten(cotangents))
    return call.pick(answer, arrays_shape, wants)


class CustomVJP:
    """A function with a backward rule of the user's. Made by :func:`custom_vjp`."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = f
        self.__name__ = getattr(f, "__name__", type(f).__name__)
        functools.update_wrapper(self, f)
        self.first_order = False  # whether the rules hold for plain arrays only
        self._rules: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Give the rules: ``forward(*args) -> (out, residuals)`` and ``backward(residuals, g) -> cotangents``.

        `backward` returns a tuple with one cotangent per argument (of the argument's container and shapes; None for
        zero). Written with NumPy functions it may be differentiated again.
        """
        self._rules = forward, backward

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if self._rules is None:
            raise NoGradientRule(f"{self.__name__}: give its rules with {self.__name__}.defvjp(forward, backward)")
        if keywords:
            self._refuse_tensors_by_name(keywords)
        call: Any = _CustomCall(self._rules[0], args, keywords)
        if not any(type(array) is Tensor for array in call.arrays):
            return self.f(*args, **keywords)
        call.backward, call.name, call.nargs = self._rules[1], self.__name__, len(args)
        call.first_order = self.first_order
        return call.result(_custom_op.bind(*call.take_arrays(), call=call))

    def _refuse_tensors_by_name(self, keywords: dict[str, Any]) -> None:
        """Raise for Tensors that came by keyword: the backward rule answers by position, so they would get nothing."""
        for name, value in keywords.items():
            if any(type(leaf) is Tensor for leaf in flatten(value)[0]):
                raise NoGradientRule(
                    f"{self.__name__}: the Tensor in {name}= would get no gradient, since the backward rule answers "
                    f"for arguments by position; pass it by position"
                )


class _CustomCall(_Call):
    """A call of a function with a rule of its own."""

    backward: Callable[..., Any]
    name: str
    nargs: int
    residual_places: list[int]

    def pick(self, answer: Any, shapes: Any, wants: tuple[int, ...]) -> tuple[Any, ...]:
        """Return the wanted cotangents out of what the backward rule gave, one per argument."""
        if not isinstance(answer, (tuple, list)) or len(answer) != self.nargs:
            raise ShapeError(
                f"{self.name}: its backward rule must return a tuple with one cotangent per argument ({self.nargs}), "
                f"and it returned {f'{len(answer)}' if isinstance(answer, (tuple, list)) else type(answer).__name__}"
            )
        by_path: dict[str, Any] = {}
        for number, part in enumerate(answer):
            leaves, tree = flatten(part)
            given = [f"[0][{number}]{path}" for path in tree.paths]
            own = [
                path
                for path in self.tree.paths
                if path == f"[0][{number}]" or path.startswith(f"[0][{number}][") or path.startswith(f"[0][{number}].")
            ]
            if part is not None and sorted(given) != sorted(own):
                raise ShapeError(
                    f"{self.name}: its backward rule answered for argument {number} with the entries "
                    f"{[path_name(path) for path in tree.paths]}, and the argument has "
                    f"{[path_name(path.removeprefix(f'[0][{number}]')) for path in own]}; they must be the same"
                )
            by_path |= dict(zip(given, leaves))
        found = []
        for i in wants:
            cotangent = by_path.get(self.tree.paths[self.places[i]])
            found.append(np.zeros(shapes[i]) if cotangent is None else cotangent)
        return tuple(found)


def custom_vjp(f: Callable[..., Any]) -> CustomVJP:
    """Give a function a backward rule of your own, for one that has none or where a better one is known. A decorator.

    Parameters
    ----------
    f : callable
        A function of arrays or containers of arrays. It is called with plain arrays only.

    Returns
    -------
    CustomVJP
        Call ``.defvjp(forward, backward)`` on it before it is differentiated: ``forward(*args)`` returns the result and
        whatever the rule will need; ``backward(residuals, g)`` returns one cotangent per argument.

    Raises
    ------
    NoGradientRule
        If it is called without rules.
    ShapeError
        If the backward rule does not return one cotangent per argument.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> @mg.custom_vjp
    ... def log1pexp(x):
    ...     return np.log(1 + np.exp(x))
    >>> log1pexp.defvjp(lambda x: (log1pexp(x), x), lambda x, g: (g * (1 - 1 / (1 + np.exp(x))),))
    >>> mg.grad(log1pexp)(0.0)
    np.float64(0.5)
    """
    return CustomVJP(f)


# --- numerical_vjp --------------------------------------------------------------------------------------------------


def numerical_vjp(f: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function without rules be differentiated by finite differences: slow, approximate, first order only.

    Each gradient calls `f` twice per element of its arguments. Central differences with a step of ``eps ** (1/3)``
    relative to the element are right to about ten digits in float64.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> gamma = mg.numerical_vjp(np.vectorize(__import__("math").gamma))
    >>> round(float(mg.grad(lambda x: np.sum(gamma(x)))(np.array([3.0]))[0]), 6)
    1.845569
    """

    name = getattr(f, "__name__", type(f).__name__)

    def packed(args: Any, keywords: Any) -> Any:
        return f(*args, **keywords)

    packed.__name__ = name

    def backward(residuals: Any, g: Any) -> Any:
        leaves, tree = flatten(residuals)
        outputs, _ = flatten(g)
        if any(type(leaf) is Tensor for leaf in [*leaves, *outputs]):
            raise NoGradientRule(f"{name}: finite differences give first derivatives only")

        def total(changed: list[Any]) -> float:
            results, _ = flatten(packed(*tree.unflatten(changed)))
            if any(np.asarray(result).dtype.kind == "c" for result in results):
                raise NoGradientRule(f"{name}: finite differences are taken of real results, and a complex one came")
            return float(sum(np.sum(np.asarray(result) * c) for result, c in zip(results, outputs)))

        return tree.unflatten([_differences(total, leaves, i) for i in range(len(leaves))])

    op = custom_vjp(packed)
    op.first_order = True
    op.defvjp(lambda args, keywords: (packed(args, keywords), (args, keywords)), backward)

    @functools.wraps(f)
    def differentiable(*args: Any, **keywords: Any) -> Any:
        return op(args, keywords)  # packed, so that keyword arguments have a position too

    return differentiable


def _differences(total: Callable[[list[Any]], float], leaves: list[Any], number: int) -> Any:
    """Return the slopes of a function along each element of one leaf."""
    leaf = leaves[number]
    if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind == "c":
        raise NoGradientRule("finite differences are taken along real arguments only, and a complex one came")
    if not isinstance(leaf, (np.ndarray, np.generic)) or leaf.dtype.kind != "f":
        return None
    x = np.array(leaf)
    slopes = np.zeros(x.shape, x.dtype)
    for i in np.ndindex(x.shape):
        step = float(np.finfo(x.dtype).eps) ** (1 / 3) * max(1.0, abs(float(x[i])))
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[i] += sign * step
            ends.append((float(moved[i]), total([*leaves[:number], moved, *leaves[number + 1 :]])))
        (right, high), (left, low) = ends
        slopes[i] = (high - low) / (right - left)
    return slopes


@contextmanager
def fallback(kind: str) -> Iterator[None]:
    """Let NumPy functions without a gradient rule be differentiated another way inside a ``with`` block.

    Parameters
    ----------
    kind : str
        ``"numerical"``: by finite differences (:func:`numerical_vjp`), with a warning that names the function.

    Examples
    --------
    >>> import numpy as np, minigrad as mg, warnings
    >>> with mg.fallback("numerical"), warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     mg.grad(lambda x: np.linalg.svdvals(np.diag(x)).sum())(np.array([1.0, 2.0])).round(6)
    array([1., 1.])
    """
    if kind != "numerical":
        raise OptionError(f'fallback: unknown kind "{kind}"{did_you_mean(kind, ["numerical"])} (it is "numerical")')
    token = FALLBACK.set(_by_differences)
    try:
        yield
    finally:
        FALLBACK.reset(token)


def _by_differences(function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    warnings.warn(
        f"np.{function.__name__} has no gradient rule and is differentiated by finite differences: slow, approximate, "
        f"and first order only",
        MinigradWarning,
        stacklevel=4,
    )
    return numerical_vjp(function)(*args, **keywords)
