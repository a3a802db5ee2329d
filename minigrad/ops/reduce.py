"""Reductions: sums, means, extremes and products over axes.

An op has ``axis`` and ``keepdims``. What else NumPy's functions take (``where``, ``initial``, ``dtype``, ``mean``) is
composed around the ops at the end, and so are those that skip NaN.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.numpy_protocol import FUNCTIONS, UFUNC_METHODS, implements, refuse
from ..core.primitive import primitive
from ..core.tensor import Tensor, value_of
from .define import as_array

__all__ = ["average", "ptp", "std"]

Axis = Any  # None, an integer, or a tuple of integers

NO_VALUE: Any = inspect.signature(np.sum).parameters["initial"].default
"""What stands for an argument of a NumPy function that was not given, where None means something."""


def spread(g: Any, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Any:
    """Broadcast what a reduction gave back over the axes that it reduced."""
    return np.broadcast_to(unreduce(g, shape, axis, keepdims), shape)


def unreduce(g: Any, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Any:
    """Give the result of a reduction its reduced axes back, with size 1, so that it broadcasts against the argument."""
    if keepdims or not shape or (axis is None and np.ndim(g) == 0):
        return g
    reduced = axes_of(axis, len(shape))
    return np.reshape(g, tuple(1 if i in reduced else size for i, size in enumerate(shape)))


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return the reduced axes as a tuple of non-negative numbers."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(i % ndim for i in (axis if isinstance(axis, tuple) else (axis,)))


def count(shape: tuple[int, ...], axis: Axis) -> int:
    """Return how many elements are reduced to one."""
    total = 1
    for i in axes_of(axis, len(shape)):
        total *= shape[i]
    return total


@primitive(linear="jointly")
def sum(x, *, axis=None, keepdims=False):
    """Sum over axes."""
    return np.add.reduce(x, axis=axis, keepdims=keepdims)


sum.vjp(x=lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims))


@primitive(linear="jointly")
def mean(x, *, axis=None, keepdims=False):
    """Mean over axes."""
    return np.mean(x, axis=axis, keepdims=keepdims)


mean.vjp(x=lambda g, x_shape, axis, keepdims: spread(g / count(x_shape, axis), x_shape, axis, keepdims))


@primitive
def var(x, *, axis=None, ddof=0, keepdims=False):
    """Variance over axes: ``sum(|x - mean(x)|**2) / (n - ddof)``."""
    return np.var(x, axis=axis, ddof=ddof, keepdims=keepdims)


def freedom(n: int, ddof: float) -> float:
    """Return the divisor of a variance, at least 0 as in NumPy."""
    return n - ddof if n > ddof else 0


def _var_rule(g: Any, x: Any, axis: Axis, ddof: int, keepdims: bool) -> Any:
    centred = x - np.mean(x, axis=axis, keepdims=True)
    centred = centred - np.mean(centred, axis=axis, keepdims=True)  # a mean is rounded, and a constant must give 0
    if x.dtype.kind == "c":
        centred = np.conjugate(centred)
    return unreduce(g, x.shape, axis, keepdims) * centred * np.divide(2.0, freedom(count(x.shape, axis), ddof)).item()


var.vjp(x=_var_rule)


@primitive
def deviation(x):
    """Square root whose derivative at 0 is 0, for standard deviations of constants."""
    return np.sqrt(x)


def _deviation_rule(g: Any, out: Any) -> Any:
    flat = np.equal(out, 0)
    return np.where(flat, np.zeros((), g.dtype), g / np.where(flat, np.ones((), out.dtype), out + out))


deviation.vjp(x=_deviation_rule)


@primitive(differentiable=False)
def tie_share(x, extreme, *, axis=None, keepdims=False):
    """The share of each element in an extreme: 1 over the number of ties where it equals it, 0 elsewhere.

    NaN ties with NaN: where the extreme is NaN, the elements that are share.
    """
    extreme = unreduce(extreme, x.shape, axis, keepdims)
    hit = np.equal(x, extreme) | (np.isnan(x) & np.isnan(extreme))
    ties = np.sum(hit, axis=axis, keepdims=True) if x.ndim else 1
    return (hit / np.maximum(ties, 1)).astype(x.dtype)


def _extreme_rule(g: Any, x: Any, out: Any, axis: Axis, keepdims: bool) -> Any:
    return unreduce(g, x.shape, axis, keepdims) * tie_share(x, out, axis=axis, keepdims=keepdims)


@primitive
def max(x, *, axis=None, keepdims=False):
    """Largest element over axes. Elements that tie share the gradient."""
    return np.maximum.reduce(x, axis=axis, keepdims=keepdims)


@primitive
def min(x, *, axis=None, keepdims=False):
    """Smallest element over axes. Elements that tie share the gradient."""
    return np.minimum.reduce(x, axis=axis, keepdims=keepdims)


@primitive
def nanmax(x, *, axis=None, keepdims=False):
    """Largest element over axes, NaN left out."""
    return np.nanmax(x, axis=axis, keepdims=keepdims)


@primitive
def nanmin(x, *, axis=None, keepdims=False):
    """Smallest element over axes, NaN left out."""
    return np.nanmin(x, axis=axis, keepdims=keepdims)


for _extreme in (max, min, nanmax, nanmin):
    _extreme.vjp(x=_extreme_rule)


@primitive
def prod(x, *, axis=None, keepdims=False):
    """Product over axes. Right with zeros too."""
    return np.multiply.reduce(x, axis=axis, keepdims=keepdims)


def _prod_rule(g: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    """Return g times the product of the *other* elements: products of those before and after, so zeros do no harm."""
    return unreduce(g, x.shape, axis, keepdims) * product_of_others(x, axis=axis)


@primitive
def product_of_others(x, *, axis):
    """For each element the product of all others along the axes."""
    reduced = axes_of(axis, x.ndim)
    kept = tuple(i for i in range(x.ndim) if i not in reduced)
    rows = np.transpose(x, kept + reduced)
    flat = rows.reshape(*rows.shape[: len(kept)], count(x.shape, axis))
    before, after = np.ones_like(flat), np.ones_like(flat)
    if flat.shape[-1] > 1:
        np.multiply.accumulate(flat[..., :-1], axis=-1, out=before[..., 1:])
        after[..., :-1] = np.multiply.accumulate(flat[..., :0:-1], axis=-1)[..., ::-1]
    return np.transpose((before * after).reshape(rows.shape), np.argsort(kept + reduced))


def _others_rule(g: Any, x: Any, axis: Axis) -> Any:
    """Differentiate the products of the others: pairs (i, j) of distinct elements, the product of all the rest."""
    reduced = axes_of(axis, len(x.shape))
    kept = tuple(i for i in range(len(x.shape)) if i not in reduced)
    order = kept + reduced
    back = tuple(int(i) for i in np.argsort(order))
    lead = tuple(x.shape[i] for i in kept)
    n = count(x.shape, reduced)
    if n < 2:
        return np.zeros(x.shape, x.dtype) * g
    flat, weights = (np.reshape(np.transpose(y, order), (*lead, n)) for y in (x, g))
    # rest[..., i, j] is the product of all but elements i and j: of row i with element i set to 1, all but element j.
    eye = np.eye(n, dtype=bool)
    rest = product_of_others(np.where(eye, np.ones((), x.dtype), np.expand_dims(flat, -2)), axis=-1)
    result = np.sum(np.expand_dims(weights, -1) * np.where(eye, np.zeros((), x.dtype), rest), axis=-2)
    return np.transpose(np.reshape(result, (*lead, *(x.shape[i] for i in reduced))), back)


product_of_others.vjp(x=_others_rule)
prod.vjp(x=_prod_rule)


@primitive
def sum_squares(x):
    """Sum of the squares of all elements, in one pass: what weight decay is made of."""
    flat = x.reshape(-1)
    return np.dot(flat, flat)


sum_squares.vjp(x=lambda g, x: g * (x + x))
sum_squares.reference = lambda x: np.sum(x * x)


# --- no derivative --------------------------------------------------------------------------------------------------


@primitive(np.argmax, differentiable=False)
def argmax(x, *, axis=None, keepdims=False):
    """Index of the largest element."""
    return np.argmax(x, axis=axis, keepdims=keepdims)


@primitive(np.argmin, differentiable=False)
def argmin(x, *, axis=None, keepdims=False):
    """Index of the smallest element."""
    return np.argmin(x, axis=axis, keepdims=keepdims)


@primitive(np.nanargmax, differentiable=False)
def nanargmax(x, *, axis=None, keepdims=False):
    """Index of the largest element, NaN left out."""
    return np.nanargmax(x, axis=axis, keepdims=keepdims)


@primitive(np.nanargmin, differentiable=False)
def nanargmin(x, *, axis=None, keepdims=False):
    """Index of the smallest element, NaN left out."""
    return np.nanargmin(x, axis=axis, keepdims=keepdims)


@primitive(differentiable=False)
def any(x, *, axis=None, keepdims=False):
    """Whether any element is true."""
    return np.any(x, axis=axis, keepdims=keepdims)


@primitive(differentiable=False)
def all(x, *, axis=None, keepdims=False):
    """Whether all elements are true."""
    return np.all(x, axis=axis, keepdims=keepdims)


@primitive(np.count_nonzero, differentiable=False)
def count_nonzero(x, *, axis=None, keepdims=False):
    """How many elements are not zero."""
    return np.count_nonzero(x, axis=axis, keepdims=keepdims)


# --- NumPy's arguments ----------------------------------------------------------------------------------------------


def given(value: Any) -> bool:
    """Whether an argument of a NumPy function was given."""
    return value is not None and value is not NO_VALUE


def refuse_given(name: str, unknown: Any = None, **arguments: Any) -> None:
    """Raise for the arguments that cannot be recorded and were given, and for those that NumPy does not have."""
    for argument, value in arguments.items():
        if given(value):
            raise refuse(f"np.{name}", argument)
    for argument in unknown or ():
        known = ", ".join(inspect.signature(getattr(np, name)).parameters)
        raise TypeError(f"np.{name} has no argument {argument!r}; it takes {known}")


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the parts of complex numbers; any other dtype as it is."""
    return np.zeros((), dtype).real.dtype


def _flag(keepdims: Any) -> bool:
    return keepdims is not NO_VALUE and bool(keepdims)


def _keep(a: Any, where: Any, neutral: float) -> Any:
    """Put a neutral number where a mask leaves elements out (they may be NaN, so no arithmetic must reach them)."""
    return a if where is True or not given(where) else np.where(np.broadcast_to(where, a.shape), a, neutral)


def _enter(function: Callable[..., Any], *targets: Callable[..., Any]) -> None:
    """Let a function take the place of NumPy functions, and of the array method with their name."""
    for target in targets:
        FUNCTIONS[target] = function
        if hasattr(np.ndarray, target.__name__):
            setattr(Tensor, target.__name__, function)


def _fold(op: Any, combine: Any, neutral: float) -> Callable[..., Any]:
    """Return np.sum or np.prod of Tensors."""

    def fold(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = NO_VALUE,
        where: Any = True,
        **unknown: Any,
    ) -> Any:
        if out is not None or unknown:
            refuse_given(op.name, unknown, out=out)
        if where is not True:
            a = _keep(a, where, neutral)
        if dtype is not None:
            a = a.astype(dtype)
        total = op(a, axis=axis, keepdims=_flag(keepdims))
        return combine(total, _like(initial, total)) if given(initial) else total

    return fold


def _like(x: Any, other: Any) -> Any:
    """Return a number or Tensor in the dtype of another."""
    return x.astype(other.dtype) if type(x) is Tensor else np.asarray(x, other.dtype)


def _extremum(op: Any, combine: Any, farthest: float) -> Callable[..., Any]:
    """Return np.max or np.min of Tensors, or one of those that leave NaN out."""

    def extremum(
        a: Any,
        axis: Axis = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = NO_VALUE,
        where: Any = True,
        **unknown: Any,
    ) -> Any:
        if out is not None or unknown:
            refuse_given(op.name, unknown, out=out)
        keepdims = _flag(keepdims)
        if not given(initial):
            if where is not True and given(where):
                raise ValueError(f"np.{op.name} with where= needs initial=, the result where the mask leaves nothing")
            return op(a, axis=axis, keepdims=keepdims)
        if op.name.startswith("nan"):
            a = _keep(a, ~np.isnan(a), farthest)
        a = _keep(a, where, farthest)
        if not count(a.shape, axis):
            return sum(a, axis=axis, keepdims=keepdims) + _like(initial, a)
        return combine(op(a, axis=axis, keepdims=keepdims), _like(initial, a))

    return extremum


def _test(op: Any, neutral: bool) -> Callable[..., Any]:
    """Return np.any or np.all of Tensors."""

    def test(
        a: Any, axis: Axis = None, out: Any = None, keepdims: Any = False, *, where: Any = True, **unknown: Any
    ) -> Any:
        refuse_given(op.name, unknown, out=out)
        return op(_keep(a, where, neutral), axis=axis, keepdims=_flag(keepdims))

    return test


def _mean(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    *,
    where: Any = True,
    **unknown: Any,
) -> Any:
    if out is not None or unknown:
        refuse_given("mean", unknown, out=out)
    if dtype is not None:
        a = a.astype(dtype)
    keepdims = _flag(keepdims)
    if where is True or not given(where):
        return mean(a, axis=axis, keepdims=keepdims)
    if a.dtype == np.float16:  # which cannot count far
        return _mean(a.astype(np.float32), axis, keepdims=keepdims, where=where).astype(a.dtype)
    total = sum(_keep(a, where, 0), axis=axis, keepdims=keepdims)
    return total / _number(a, axis, keepdims, where)


def _number(a: Any, axis: Axis, keepdims: bool, where: Any) -> Any:
    """Return how many elements a mask lets through, in a dtype that does not widen a's."""
    dtype = real_dtype(a.dtype) if a.dtype.kind in "fc" else np.dtype(np.float64)
    return np.sum(np.broadcast_to(where, a.shape), axis=axis, dtype=dtype, keepdims=keepdims)


def _variance(name: str, finish: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return np.var or np.std of Tensors: what is left to do to the variance is `finish`."""

    def variance(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: Any = None,
        ddof: float = 0,
        keepdims: Any = False,
        *,
        where: Any = True,
        mean: Any = NO_VALUE,
        correction: Any = NO_VALUE,
        **unknown: Any,
    ) -> Any:
        if out is not None or unknown:
            refuse_given(name, unknown, out=out)
        if given(correction):
            if ddof != 0:
                raise ValueError(f"np.{name} takes ddof= or correction=, which are the same, and both came")
            ddof = correction
        if dtype is not None:
            a = a.astype(dtype)
        keepdims, where = _flag(keepdims), where if given(where) else True
        if where is True and not given(mean):
            return finish(var(a, axis=axis, ddof=ddof, keepdims=keepdims))
        return finish(_var_about(a, axis, ddof, keepdims, where, mean))

    return variance


def _var_about(a: Any, axis: Axis, ddof: float, keepdims: bool, where: Any, mean: Any) -> Any:
    """Return the variance of the elements that a mask lets through, about a given mean or their own."""
    if a.dtype == np.float16:  # which cannot count far
        return _var_about(a.astype(np.float32), axis, ddof, keepdims, where, mean).astype(a.dtype)
    a = _keep(a, where, 0)
    centred = a - (mean if given(mean) else _mean(a, axis, keepdims=True, where=where))
    squares = np.real(centred * np.conjugate(centred)) if centred.dtype.kind == "c" else centred * centred
    total = np.sum(squares, axis=axis, keepdims=keepdims, where=where)
    if where is True:
        return total / freedom(count(a.shape, axis), ddof)
    return total / np.maximum(_number(a, axis, keepdims, where) - ddof, 0)


_var, std = _variance("var", lambda x: x), _variance("std", deviation)
std.__doc__ = """Standard deviation over axes: the root of the variance. Takes what ``np.std`` takes.

At a constant the root has no derivative: the gradient is 0 there, the one that is smallest and symmetric.
"""
_sum, _prod = _fold(sum, np.add, 0), _fold(prod, np.multiply, 1)
_max, _min = _extremum(max, np.maximum, -np.inf), _extremum(min, np.minimum, np.inf)
_enter(_sum, np.sum)
_enter(_prod, np.prod)
_enter(_max, np.max, np.amax)
_enter(_min, np.min, np.amin)
_enter(_extremum(nanmax, np.maximum, -np.inf), np.nanmax)
_enter(_extremum(nanmin, np.minimum, np.inf), np.nanmin)
_enter(_mean, np.mean)
_enter(_var, np.var)
_enter(std, np.std)
_enter(_test(any, False), np.any)
_enter(_test(all, True), np.all)


def _reduce(function: Callable[..., Any]) -> Any:
    def reduce(
        array: Any,
        axis: Axis = 0,
        dtype: Any = None,
        out: Any = None,
        keepdims: bool = False,
        initial: Any = NO_VALUE,
        where: Any = True,
    ) -> Any:
        if dtype is not None:
            array = array.astype(dtype)
        return function(array, axis=axis, out=out, keepdims=keepdims, initial=initial, where=where)

    return reduce


UFUNC_METHODS |= {
    (np.add, "reduce"): _reduce(_sum),
    (np.multiply, "reduce"): _reduce(_prod),
    (np.maximum, "reduce"): _reduce(_max),
    (np.minimum, "reduce"): _reduce(_min),
}

# --- without NaN ----------------------------------------------------------------------------------------------------


def _numbers(a: Any, where: Any) -> Any:
    """Return the mask of the elements that are numbers and that another mask lets through."""
    return ~np.isnan(a) if where is True or not given(where) else ~np.isnan(a) & np.broadcast_to(where, a.shape)


def _without_nan(function: Callable[..., Any], target: Callable[..., Any]) -> None:
    """Enter a reduction that leaves NaN out: the function with a mask."""

    def skipping(a: Any, *args: Any, where: Any = True, **keywords: Any) -> Any:
        refuse_given(target.__name__, out=keywords.get("out"))
        return function(a, *args, where=_numbers(a, where), **keywords)

    _enter(skipping, target)


_without_nan(_sum, np.nansum)
_without_nan(_prod, np.nanprod)
_without_nan(_mean, np.nanmean)
_without_nan(_var, np.nanvar)
_without_nan(std, np.nanstd)

# --- compositions ---------------------------------------------------------------------------------------------------


@implements(np.ptp)
def ptp(a: Any, axis: Axis = None, out: Any = None, keepdims: Any = False) -> Any:
    """Peak to peak: the largest element less the smallest."""
    refuse_given("ptp", out=out)
    return np.max(a, axis=axis, keepdims=_flag(keepdims)) - np.min(a, axis=axis, keepdims=_flag(keepdims))


@implements(np.average)
def average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    """Weighted mean: ``sum(a * weights) / sum(weights)``. With `returned` also the sum of the weights."""
    a, keepdims = as_array(a), _flag(keepdims)
    total: Any
    if weights is None:
        result = np.mean(a, axis=axis, keepdims=keepdims)
        total = np.asarray(count(a.shape, axis), result.dtype)
    else:
        weights = _weights_along(as_array(weights), a, axis)
        total = np.sum(np.broadcast_to(weights, a.shape), axis=axis, keepdims=keepdims)
        if np.any(np.equal(value_of(total), 0)):
            raise ZeroDivisionError("np.average: the weights sum to zero, so they cannot be normalized")
        result = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (result, np.broadcast_to(total, result.shape)) if returned else result


def _weights_along(weights: Any, a: Any, axis: Axis) -> Any:
    """Give weights of the averaged axes a shape that broadcasts against the array."""
    if weights.shape == a.shape:
        return weights
    if axis is None:
        raise TypeError(f"np.average: weights of shape {weights.shape} for an array of shape {a.shape} need an axis=")
    axes = axes_of(axis, len(a.shape))
    if weights.shape != tuple(a.shape[i] for i in axes):
        raise ValueError(
            f"np.average: weights of shape {weights.shape} do not fit an array of shape {a.shape} along axis={axis}; "
            f"they must have its shape, or its sizes along these axes"
        )
    weights = np.transpose(weights, tuple(int(i) for i in np.argsort(axes)))
    return np.reshape(weights, tuple(size if i in axes else 1 for i, size in enumerate(a.shape)))
