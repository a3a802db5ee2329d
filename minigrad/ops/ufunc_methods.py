"""Methods of ufuncs: ``reduce`` of logaddexp, ``accumulate``, ``outer``, ``at``.

``reduce`` of add, multiply, maximum and minimum are the reductions of :mod:`minigrad.ops.reduce`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import NoGradientRule
from ..core.numpy_protocol import UFUNC_METHODS, UFUNCS
from ..core.primitive import primitive
from ..core.tensor import Tensor
from .reduce import all, any, refuse_given
from .special import logsumexp

# --- reduce ---------------------------------------------------------------------------------------------------------


def _reduce_logaddexp(
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    """``np.logaddexp.reduce``: the logarithm of the sum of exponentials."""
    refuse_given("logaddexp.reduce", dtype=dtype, out=out)
    if where is not True:
        array = np.where(where, array, -np.inf)
    total = logsumexp(array, axis=axis, keepdims=keepdims)
    return total if initial is None else np.logaddexp(total, initial)


def _reduce_truth(op: Any) -> Any:
    def reduce(array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        refuse_given(f"logical_{'and' if op is all else 'or'}.reduce", dtype=dtype, out=out)
        return op(array, axis=axis, keepdims=keepdims)

    return reduce


UFUNC_METHODS |= {
    (np.logaddexp, "reduce"): _reduce_logaddexp,
    (np.logical_and, "reduce"): _reduce_truth(all),
    (np.logical_or, "reduce"): _reduce_truth(any),
}

# --- accumulate: maximum and minimum --------------------------------------------------------------------------------


@primitive
def running_max(x, *, axis):
    """Largest element so far along an axis. Elements that tie for it share the gradient."""
    return np.maximum.accumulate(x, axis=axis)


@primitive
def running_min(x, *, axis):
    """Smallest element so far along an axis. Elements that tie for it share the gradient."""
    return np.minimum.accumulate(x, axis=axis)


def _records(x: Any, out: Any, axis: int) -> tuple[Any, Any, Any]:
    """Return, with the axis first: which elements equal the record so far, how many did, and where a record stands."""
    x, out = np.moveaxis(x, axis, 0), np.moveaxis(out, axis, 0)
    hit = np.equal(x, out) | np.isnan(x)
    stands = np.zeros(out.shape, bool)
    stands[1:] = np.equal(out[1:], out[:-1]) | np.isnan(out[:-1])
    return hit, np.maximum(_running_sum(hit.astype(out.dtype), stands), 1), stands


def _running_sum(values: Any, stands: Any) -> Any:
    """Return sums along the first axis that start anew where a record does not stand."""
    sums = values.copy()
    for i in range(1, len(sums)):
        sums[i] += np.where(stands[i], sums[i - 1], 0)
    return sums


@primitive(linear="jointly")
def to_record_holders(g, x, record, *, axis):
    """Give each element of g to the elements of x that hold the record there, in equal shares."""
    hit, ties, stands = _records(x, record, axis)
    later = np.zeros_like(stands)
    later[:-1] = stands[1:]
    sums = _running_sum((np.moveaxis(g, axis, 0) / ties.astype(g.dtype))[::-1], later[::-1])[::-1]
    return np.moveaxis(np.where(hit, sums, 0), 0, axis)


@primitive(linear="jointly")
def from_record_holders(c, x, record, *, axis):
    """Mean of c over the elements of x that hold the record, for each place along the axis."""
    hit, ties, stands = _records(x, record, axis)
    return np.moveaxis(_running_sum(np.where(hit, np.moveaxis(c, axis, 0), 0), stands) / ties.astype(c.dtype), 0, axis)


to_record_holders.vjp(g=lambda c, x, record, axis: from_record_holders(c, x, record, axis=axis), x=None, record=None)
from_record_holders.vjp(c=lambda g, x, record, axis: to_record_holders(g, x, record, axis=axis), x=None, record=None)
for _op in (running_max, running_min):
    _op.vjp(x=lambda g, x, out, axis: to_record_holders(g, x, out, axis=axis))

# --- accumulate: the others -----------------------------------------------------------------------------------------


def _running_logaddexp(x: Any, *, axis: int) -> Any:
    """Combine each element with the one before, then with the one 2 before, 4 before ...: log(n) steps in all."""
    x = np.swapaxes(x, 0, axis)
    step = 1
    while step < len(x):
        x = np.concatenate([x[:step], np.logaddexp(x[step:], x[:-step])])
        step *= 2
    return np.swapaxes(x, 0, axis)


def _accumulate(ufunc: np.ufunc, function: Any) -> Any:
    def accumulate(array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
        refuse_given(f"{ufunc.__name__}.accumulate", out=out)
        if dtype is not None:
            array = array.astype(dtype)
        return function(array, axis=axis)

    return accumulate


UFUNC_METHODS |= {
    (ufunc, "accumulate"): _accumulate(ufunc, function)
    for ufunc, function in [
        (np.add, np.cumsum),
        (np.multiply, np.cumprod),
        (np.maximum, running_max),
        (np.minimum, running_min),
        (np.logaddexp, _running_logaddexp),
    ]
}

# --- outer, at ------------------------------------------------------------------------------------------------------


def _outer(ufunc: np.ufunc) -> Any:
    def outer(a: Any, b: Any, **keywords: Any) -> Any:
        """Apply the ufunc to all pairs: the result's shape is the one shape after the other."""
        a, b = (x if isinstance(x, (Tensor, np.ndarray)) else np.asarray(x) for x in (a, b))
        return ufunc(np.reshape(a, a.shape + (1,) * b.ndim), b, **keywords)

    return outer


def _at(ufunc: np.ufunc) -> Any:
    def at(a: Any, indices: Any, b: Any = None) -> Any:
        raise NoGradientRule(
            f"np.{ufunc.__name__}.at writes into its argument in place and has no rule; assign instead: "
            f"x[indices] = np.{ufunc.__name__}(x[indices], ...)"
        )

    return at


UFUNC_METHODS |= {(ufunc, "outer"): _outer(ufunc) for ufunc in UFUNCS if ufunc.nin == 2 and ufunc.signature is None}
for _ufunc in UFUNCS:
    if _ufunc.signature is None:  # those of arithmetic and extremes are recorded assignments: see assign.py
        UFUNC_METHODS.setdefault((_ufunc, "at"), _at(_ufunc))
