"""Reductions: sums, means, extremes and products over axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.numpy_protocol import UFUNC_METHODS, implements
from ..core.primitive import primitive
from ..core.tensor import Tensor

__all__ = ["std"]

Axis = Any  # None, an integer, or a tuple of integers


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


@primitive(np.sum, linear="jointly")
def sum(x, *, axis=None, keepdims=False):
    """Sum over axes."""
    return np.add.reduce(x, axis=axis, keepdims=keepdims)


sum.vjp(x=lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims))


@primitive(np.mean, linear="jointly")
def mean(x, *, axis=None, keepdims=False):
    """Mean over axes."""
    return np.mean(x, axis=axis, keepdims=keepdims)


mean.vjp(x=lambda g, x_shape, axis, keepdims: spread(g / count(x_shape, axis), x_shape, axis, keepdims))


@primitive(np.var)
def var(x, *, axis=None, ddof=0, keepdims=False):
    """Variance over axes: ``sum(|x - mean(x)|**2) / (n - ddof)``."""
    return np.var(x, axis=axis, ddof=ddof, keepdims=keepdims)


def _var_rule(g: Any, x: Any, axis: Axis, ddof: int, keepdims: bool) -> Any:
    centred = x - np.mean(x, axis=axis, keepdims=True)
    return unreduce(g, x.shape, axis, keepdims) * centred * np.divide(2.0, count(x.shape, axis) - ddof).item()


var.vjp(x=_var_rule)


@implements(np.std)
def std(a: Any, axis: Axis = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False) -> Any:
    """Standard deviation over axes: the root of the variance.

    At a constant the root has no derivative: the gradient is 0 there, the one that is smallest and symmetric.
    """
    if dtype is not None or out is not None:
        raise TypeError("np.std on a Tensor takes no dtype= and no out=; use .astype, and assign the result")
    return deviation(var(a, axis=axis, ddof=ddof, keepdims=bool(keepdims)))


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
    """The share of each element in an extreme: 1 over the number of ties where it equals it, 0 elsewhere."""
    hit = np.equal(x, unreduce(extreme, x.shape, axis, keepdims)) | np.isnan(x)
    ties = np.sum(hit, axis=axis, keepdims=True) if x.ndim else 1
    return (hit / np.maximum(ties, 1)).astype(x.dtype)


def _extreme_rule(g: Any, x: Any, out: Any, axis: Axis, keepdims: bool) -> Any:
    return unreduce(g, x.shape, axis, keepdims) * tie_share(x, out, axis=axis, keepdims=keepdims)


@primitive(np.max, np.amax)
def max(x, *, axis=None, keepdims=False):
    """Largest element over axes. Elements that tie share the gradient."""
    return np.maximum.reduce(x, axis=axis, keepdims=keepdims)


@primitive(np.min, np.amin)
def min(x, *, axis=None, keepdims=False):
    """Smallest element over axes. Elements that tie share the gradient."""
    return np.minimum.reduce(x, axis=axis, keepdims=keepdims)


max.vjp(x=_extreme_rule)
min.vjp(x=_extreme_rule)


@primitive(np.prod)
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


# --- ufunc.reduce ---------------------------------------------------------------------------------------------------


def _reduce(op: Any) -> Any:
    def reduce(array: Any, axis: Axis = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        if dtype is not None or out is not None:
            raise TypeError(f"np.{op.name} reduction of a Tensor takes no dtype= and no out=")
        return op(array, axis=axis, keepdims=keepdims)

    return reduce


UFUNC_METHODS |= {
    (np.add, "reduce"): _reduce(sum),
    (np.multiply, "reduce"): _reduce(prod),
    (np.maximum, "reduce"): _reduce(max),
    (np.minimum, "reduce"): _reduce(min),
}

# --- no derivative --------------------------------------------------------------------------------------------------


@primitive(np.argmax, differentiable=False)
def argmax(x, *, axis=None, keepdims=False):
    """Index of the largest element."""
    return np.argmax(x, axis=axis, keepdims=keepdims)


@primitive(np.argmin, differentiable=False)
def argmin(x, *, axis=None, keepdims=False):
    """Index of the smallest element."""
    return np.argmin(x, axis=axis, keepdims=keepdims)


@primitive(np.argsort, differentiable=False)
def argsort(x, *, axis=-1, kind=None):
    """Indices that sort the elements."""
    return np.argsort(x, axis=axis, kind=kind)


@primitive(np.any, differentiable=False)
def any(x, *, axis=None, keepdims=False):
    """Whether any element is true."""
    return np.any(x, axis=axis, keepdims=keepdims)


@primitive(np.all, differentiable=False)
def all(x, *, axis=None, keepdims=False):
    """Whether all elements are true."""
    return np.all(x, axis=axis, keepdims=keepdims)


@primitive(np.count_nonzero, differentiable=False)
def count_nonzero(x, *, axis=None, keepdims=False):
    """How many elements are not zero."""
    return np.count_nonzero(x, axis=axis, keepdims=keepdims)


def _std_method(self: Tensor, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    return std(self, axis=axis, ddof=ddof, keepdims=keepdims)


Tensor.std = _std_method  # type: ignore[attr-defined]
