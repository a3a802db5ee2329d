"""Sorting and order statistics, searching, counting, and sets of values.

A sorted array is the same elements in another order, so its gradient goes back to where they came from. Elements that
tie share it, as in ``max``, which is the last of the sorted elements. An order statistic (a median, a quantile) is a
weighted sum of sorted elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.numpy_protocol import FUNCTIONS, INSTEAD, implements
from ..core.primitive import primitive
from ..core.tensor import Tensor, value_of
from .define import as_array
from .index import ARRAY, scatter
from .reduce import NO_VALUE, axes_of, count, real_dtype, refuse_given

__all__ = ["bincount", "unique"]

# --- sorting --------------------------------------------------------------------------------------------------------


@primitive(linear="jointly")
def unsort(g, x, *, axis):
    """Give each element of x what came to its place in the sorted order; elements that tie share."""
    places = np.argsort(x, axis=axis, kind="stable")
    out = np.empty_like(g)
    np.put_along_axis(out, places, _shared_by_ties(g, np.take_along_axis(x, places, axis), axis), axis)
    return out


@primitive(linear="jointly")
def sort_like(c, x, *, axis):
    """Put elements into the order that sorts x; where elements of x tie, their mean: the transpose of `unsort`."""
    places = np.argsort(x, axis=axis, kind="stable")
    return _shared_by_ties(np.take_along_axis(c, places, axis), np.take_along_axis(x, places, axis), axis)


def _shared_by_ties(g: Any, ordered: Any, axis: int) -> Any:
    """Replace elements by their mean where a sorted array has one value several times."""
    rows = np.moveaxis(ordered, axis, -1)
    first = np.ones(rows.shape, bool)  # where another value begins
    first[..., 1:] = rows[..., 1:] != rows[..., :-1]
    if first.all():
        return g
    columns = np.moveaxis(g, axis, -1)
    starts = np.flatnonzero(first)
    sizes = np.diff(starts, append=first.size)
    means = np.add.reduceat(columns.ravel(), starts) / sizes.astype(g.real.dtype)
    return np.moveaxis(np.repeat(means, sizes).reshape(columns.shape), -1, axis)


unsort.vjp(g=lambda c, x, axis: sort_like(c, x, axis=axis), x=None)
sort_like.vjp(c=lambda g, x, axis: unsort(g, x, axis=axis), x=None)


@primitive
def sort(x, *, axis=-1, kind=None):
    """Sorted copy along an axis. Elements that tie share the gradient."""
    return np.sort(x, axis=axis, kind=kind)


sort.vjp(x=lambda g, x, axis: unsort(g, x, axis=axis))


@primitive
def partition(x, *, kth, axis=-1, kind="introselect"):
    """Copy in which the elements at the places kth are where sorting would put them, smaller ones before them."""
    return np.partition(x, kth, axis=axis, kind=kind)


# Both x and out are the sorted array in another order: from out's order to the sorted one, and from there to x's.
partition.vjp(x=lambda g, x, out, axis: unsort(sort_like(g, out, axis=axis), x, axis=axis))


@implements(np.sort)
def _np_sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    refuse_given("sort", order=order)
    a, axis = _along(a, axis)
    return sort(a, axis=axis, kind=_kind(kind, stable))


@implements(np.partition)
def _np_partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    refuse_given("partition", order=order)
    a, axis = _along(a, axis)
    return partition(a, kth=_integers(kth), axis=axis, kind=kind)


@implements(np.sort_complex)
def _np_sort_complex(a: Any) -> Any:
    ordered = np.sort(as_array(a))
    narrow = ordered.dtype in (np.float16, np.float32, np.int8, np.uint8, np.int16, np.uint16)
    return ordered if ordered.dtype.kind == "c" else ordered.astype(np.complex64 if narrow else np.complex128)


def _along(a: Any, axis: Any) -> tuple[Any, int]:
    """Return the array and the axis to work along: of no axis, the flat array and its only one."""
    a = as_array(a)
    return (np.ravel(a), -1) if axis is None else (a, axis)


def _kind(kind: Any, stable: Any) -> Any:
    if stable is None:
        return kind
    if kind is not None:
        raise ValueError("np.sort and np.argsort take kind= or stable=, and both came")
    return "stable" if stable else None


def _integers(x: Any) -> Any:
    """Return integers as a static parameter: a plain integer, or a tuple of them."""
    return int(x) if np.ndim(x) == 0 else tuple(int(i) for i in x)


def _in_place(name: str, function: Any) -> None:
    """Let the method, which works in place on an array, make the Tensor stand for the result."""

    def method(self: Tensor, *args: Any, **keywords: Any) -> None:
        self.become(function(self, *args, **keywords))

    setattr(Tensor, name, method)


_in_place("sort", FUNCTIONS[np.sort])
_in_place("partition", FUNCTIONS[np.partition])

# --- order statistics -----------------------------------------------------------------------------------------------

CONTINUOUS = {
    "linear": (1, 1),
    "hazen": (1 / 2, 1 / 2),
    "weibull": (0, 0),
    "interpolated_inverted_cdf": (0, 1),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
"""Methods whose quantile is continuous in q: (alpha, beta), where its place among n sorted elements, counted from 0, is
``n * q + alpha + q * (1 - alpha - beta) - 1`` (Hyndman and Fan, 1996)."""


@primitive
def quantile(x, q, *, axis=None, method="linear", keepdims=False):
    """Quantiles over axes: a weighted sum of the one or two sorted elements beside the place of each."""
    return np.quantile(x, q, axis=axis, method=method, keepdims=keepdims)


@primitive
def nanquantile(x, q, *, axis=None, method="linear", keepdims=False):
    """Quantiles over axes, NaN left out."""
    if np.ndim(q) < 2:
        return np.nanquantile(x, q, axis=axis, method=method, keepdims=keepdims)
    # NumPy 2.4 gives the axes of q in another order than np.quantile does, if the reduced axis is the last one
    flat = np.nanquantile(x, np.ravel(q), axis=axis, method=method, keepdims=keepdims)
    return np.reshape(flat, np.shape(q) + flat.shape[1:])


@primitive
def median(x, *, axis=None, keepdims=False):
    """Median over axes: the middle of the sorted elements, or the mean of the two beside it."""
    return np.median(x, axis=axis, keepdims=keepdims)


@primitive
def nanmedian(x, *, axis=None, keepdims=False):
    """Median over axes, NaN left out."""
    return np.nanmedian(x, axis=axis, keepdims=keepdims)


def _dtype_of_weights(q: Any) -> Any:
    dtype = np.result_type(q)
    return dtype if dtype.kind == "f" else np.float64


@primitive
def quantile_weights(q, sizes, *, length, method):
    """Weights of sorted elements in quantiles: (sizes, q, length). Of `length` elements the first `sizes` count."""
    flat, dtype = np.ravel(q), _dtype_of_weights(q)
    weights = np.zeros((sizes.size, flat.size, length), dtype)
    for size in np.unique(sizes[sizes > 0]):
        place = np.quantile(np.arange(float(size)), flat, method=method)  # of the element 2, and a half: 2.5
        below = np.floor(place).astype(int)
        block = np.zeros((flat.size, length), dtype)
        block[np.arange(flat.size), np.minimum(below + 1, size - 1)] = place - below
        block[np.arange(flat.size), below] += 1 - (place - below)
        weights[sizes == size] = block
    return weights


@primitive(differentiable=False)
def quantile_slopes(q, sizes, *, length, method):
    """Derivative of `quantile_weights` by q. At a kink, a place right at an element, the mean of both sides."""
    flat, dtype = np.ravel(q), _dtype_of_weights(q)
    slopes = np.zeros((sizes.size, flat.size, length), dtype)
    if method not in CONTINUOUS:
        return slopes
    alpha, beta = CONTINUOUS[method]
    for size in np.unique(sizes):
        speed = size + 1 - alpha - beta
        place = speed * flat + alpha - 1
        block = np.zeros((flat.size, length), dtype)
        for below in (np.floor(place).astype(int), np.ceil(place).astype(int) - 1):
            rows = np.flatnonzero((below >= 0) & (below < size - 1))
            block[rows, below[rows]] -= speed / 2
            block[rows, below[rows] + 1] += speed / 2
        slopes[sizes == size] = block
    return slopes


def _weights_rule(g: Any, q: Any, sizes: Any, length: int, method: str) -> Any:
    slopes = quantile_slopes(q, sizes, length=length, method=method)
    return np.reshape(np.sum(g * slopes, axis=(0, 2)), np.shape(q))


quantile_weights.vjp(q=_weights_rule, sizes=None)


def _rows(x: Any, axis: Any) -> Any:
    """Make the reduced axes one, the last of two."""
    reduced = axes_of(axis, len(x.shape))
    kept = tuple(i for i in range(len(x.shape)) if i not in reduced)
    n = count(x.shape, reduced)
    return np.reshape(np.transpose(x, kept + reduced), (count(x.shape, kept), n))


def _unrows(rows: Any, shape: tuple[int, ...], axis: Any) -> Any:
    """Undo `_rows`."""
    reduced = axes_of(axis, len(shape))
    order = tuple(i for i in range(len(shape)) if i not in reduced) + reduced
    return np.transpose(np.reshape(rows, tuple(shape[i] for i in order)), tuple(int(i) for i in np.argsort(order)))


def _sizes(rows: Any, skip_nan: bool) -> Any:
    """Return how many elements of each row count: one number for all of them, unless NaN is left out."""
    return np.sum(~np.isnan(rows), axis=-1) if skip_nan else np.array([rows.shape[-1]])


def _statistic_rule(g: Any, x: Any, q: Any, axis: Any, method: str, skip_nan: bool) -> Any:
    rows = _rows(x, axis)
    sizes = _sizes(rows, skip_nan)
    weights = quantile_weights(q, sizes, length=rows.shape[-1], method=method)
    by_row = np.reshape(np.transpose(np.reshape(g, (np.size(q), len(rows)))), (len(rows), 1, np.size(q)))
    return _unrows(unsort(np.reshape(np.matmul(by_row, weights), rows.shape), rows, axis=-1), x.shape, axis)


def _statistic_rule_q(g: Any, x: Any, q: Any, axis: Any, method: str, skip_nan: bool) -> Any:
    rows = _rows(x, axis)
    slopes = quantile_slopes(q, _sizes(rows, skip_nan), length=rows.shape[-1], method=method)
    ordered = np.sort(rows, axis=-1)
    if skip_nan:  # they are last, and their slopes are 0
        ordered = np.where(np.isnan(ordered), 0, ordered)
    change = np.matmul(slopes, np.expand_dims(ordered, -1))  # (rows, q, 1)
    by_row = np.transpose(np.reshape(g, (np.size(q), len(rows))))
    return np.reshape(np.sum(by_row * change[..., 0], axis=0), np.shape(q))


def _median_rule(g: Any, x: Any, axis: Any, skip_nan: bool) -> Any:
    return _statistic_rule(g, x, np.full((), 0.5, real_dtype(g.dtype)), axis, "linear", skip_nan)


quantile.vjp(
    x=lambda g, x, q, axis, method: _statistic_rule(g, x, q, axis, method, False),
    q=lambda g, x, q, axis, method: _statistic_rule_q(g, x, q, axis, method, False),
)
nanquantile.vjp(
    x=lambda g, x, q, axis, method: _statistic_rule(g, x, q, axis, method, True),
    q=lambda g, x, q, axis, method: _statistic_rule_q(g, x, q, axis, method, True),
)
median.vjp(x=lambda g, x, axis: _median_rule(g, x, axis, False))
nanmedian.vjp(x=lambda g, x, axis: _median_rule(g, x, axis, True))


def _quantile_of(name: str, op: Any, hundred: bool) -> Any:
    """Return np.quantile or np.percentile of Tensors, or one of those that leave NaN out."""

    def statistic(
        a: Any,
        q: Any,
        axis: Any = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = False,
        *,
        weights: Any = None,
    ) -> Any:
        refuse_given(name, out=out, weights=weights)
        a = as_array(a)
        if hundred:
            q = np.true_divide(as_array(q), a.dtype.type(100) if a.dtype.kind == "f" else 100)
        q = np.asarray(q, a.dtype) if isinstance(q, (int, float)) and a.dtype.kind == "f" else as_array(q)
        return op(a, q, axis=_axes(axis), method=method, keepdims=keepdims is not NO_VALUE and bool(keepdims))

    return statistic


def _median_of(name: str, op: Any) -> Any:
    def statistic(
        a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False
    ) -> Any:
        refuse_given(name, out=out)
        return op(as_array(a), axis=_axes(axis), keepdims=keepdims is not NO_VALUE and bool(keepdims))

    return statistic


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


implements(np.quantile)(_quantile_of("quantile", quantile, False))
implements(np.percentile)(_quantile_of("percentile", quantile, True))
implements(np.nanquantile)(_quantile_of("nanquantile", nanquantile, False))
implements(np.nanpercentile)(_quantile_of("nanpercentile", nanquantile, True))
implements(np.median)(_median_of("median", median))
implements(np.nanmedian)(_median_of("nanmedian", nanmedian))

# --- indices: no derivative -----------------------------------------------------------------------------------------


@primitive(differentiable=False)
def argsort(x, *, axis=-1, kind=None):
    """Indices that sort the elements."""
    return np.argsort(x, axis=axis, kind=kind)


@primitive(differentiable=False)
def argpartition(x, *, kth, axis=-1, kind="introselect"):
    """Indices that partition the elements."""
    return np.argpartition(x, kth, axis=axis, kind=kind)


@primitive(differentiable=False)
def lexsort(*keys, axis=-1):
    """Indices that sort by several keys, the last of them first."""
    return np.lexsort(keys, axis=axis)


@primitive(differentiable=False)
def searchsorted(a, v, *, side="left"):
    """Where to put elements into a sorted array so that it stays sorted."""
    return np.searchsorted(a, v, side=side)


@primitive(np.digitize, differentiable=False)
def digitize(x, bins, *, right=False):
    """Number of the bin that each element falls into."""
    return np.digitize(x, bins, right=right)


@primitive(differentiable=False)
def isin(element, test_elements, *, assume_unique=False, invert=False, kind=None):
    """Whether each element is one of some others."""
    return np.isin(element, test_elements, assume_unique=assume_unique, invert=invert, kind=kind)


@implements(np.argsort)
def _np_argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    refuse_given("argsort", order=order)
    a, axis = _along(a, axis)
    return argsort(a, axis=axis, kind=_kind(kind, stable))


@implements(np.argpartition)
def _np_argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    refuse_given("argpartition", order=order)
    a, axis = _along(a, axis)
    return argpartition(a, kth=_integers(kth), axis=axis, kind=kind)


@implements(np.lexsort)
def _np_lexsort(keys: Any, axis: int = -1) -> Any:
    return lexsort(*keys, axis=axis)


@implements(np.searchsorted)
def _np_searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    a = as_array(a)
    return searchsorted(a if sorter is None else a[sorter], as_array(v), side=side)


@implements(np.isin)
def _np_isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    return isin(as_array(element), as_array(test_elements), assume_unique=assume_unique, invert=invert, kind=kind)


if hasattr(np, "in1d"):  # until NumPy 2.4

    @implements(np.in1d)
    def _np_in1d(ar1: Any, ar2: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None) -> Any:
        return _np_isin(np.ravel(as_array(ar1)), ar2, assume_unique, invert, kind=kind)


for _name, _method in [
    ("argsort", _np_argsort),
    ("argpartition", _np_argpartition),
    ("searchsorted", _np_searchsorted),
]:
    setattr(Tensor, _name, _method)

# --- counting -------------------------------------------------------------------------------------------------------


@primitive(differentiable=False)
def tally(x, *, minlength=0):
    """How often each of the integers 0, 1, 2 ... occurs."""
    return np.bincount(x, minlength=minlength)


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """Count the integers 0, 1, 2 ..., or add up their weights; to the weights flows a gradient."""
    x = as_array(x)
    if weights is None:
        return tally(x, minlength=minlength)
    weights = as_array(weights)
    if weights.shape != x.shape:
        raise ValueError(f"np.bincount: the weights' shape is {weights.shape}, and that of x is {x.shape}")
    size = np.bincount(value_of(x), minlength=minlength).size
    return scatter(weights.astype(np.float64), x, index=(ARRAY,), shape=(size,))


_COUNTS = (
    "a count does not change with the elements that it counts, so it has no gradient; take them out with "
    "mg.stop_gradient(x), and for weights use np.bincount(np.digitize(x, edges), weights)"
)
INSTEAD |= dict.fromkeys((np.histogram, np.histogram2d, np.histogramdd, np.histogram_bin_edges), _COUNTS)

# --- sets of values -------------------------------------------------------------------------------------------------


@primitive(differentiable=False)
def unique_part(x, *, part, axis=None, equal_nan=True):
    """What np.unique tells of the distinct elements: ``index`` of their first, ``inverse``, or ``counts``."""
    return np.unique(x, **{f"return_{part}": True}, axis=axis, equal_nan=equal_nan)[1]


@implements(np.unique)
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """Distinct elements in order. Each is the first of its kind, and to that one flows its gradient."""
    ar = as_array(ar)
    first = unique_part(ar, part="index", axis=axis, equal_nan=equal_nan)
    values = np.ravel(ar)[first] if axis is None else ar[(slice(None),) * (axis % ar.ndim) + (first,)]
    wanted = {"inverse": return_inverse, "counts": return_counts}
    parts = [unique_part(ar, part=part, axis=axis, equal_nan=equal_nan) for part in wanted if wanted[part]]
    parts = [first, *parts] if return_index else parts
    return (values, *parts) if parts else values


def _unique_result(function: Any, **wanted: bool) -> None:
    """Enter one of the functions of the array API standard, which return named tuples and tell NaNs apart."""

    @implements(function)
    def result(x: Any, /) -> Any:
        found = unique(x, **wanted, equal_nan=False)
        return type(function(np.zeros(1)))(*found) if wanted else found


_unique_result(np.unique_values)
_unique_result(np.unique_counts, return_counts=True)
_unique_result(np.unique_inverse, return_inverse=True)
_unique_result(np.unique_all, return_index=True, return_inverse=True, return_counts=True)


@implements(np.union1d)
def _np_union1d(ar1: Any, ar2: Any) -> Any:
    return unique(np.concatenate([np.ravel(as_array(ar1)), np.ravel(as_array(ar2))]))


@implements(np.setdiff1d)
def _np_setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    ar1 = np.ravel(as_array(ar1)) if assume_unique else unique(ar1)
    return ar1[isin(ar1, as_array(ar2), invert=True)]


@implements(np.intersect1d)
def _np_intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    refuse_given("intersect1d", return_indices=return_indices or None)
    ar1 = np.sort(as_array(ar1), axis=None) if assume_unique else unique(ar1)
    return ar1[isin(ar1, as_array(ar2))]


@implements(np.setxor1d)
def _np_setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    return np.sort(np.concatenate([_np_setdiff1d(ar1, ar2), _np_setdiff1d(ar2, ar1)]))


# The shapes of these depend on values, which a captured program must not.
tally.shape_from_values = unique_part.shape_from_values = lambda args: True
