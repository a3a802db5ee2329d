"""Diagnosis: what a wrong gradient has in common with the right one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

__all__ = ["diagnose"]


def diagnose(found: Any, right: Any, x: Any, sizes: tuple[int, ...] = (), cotangent: Any = None) -> str:
    """Name the usual mistake that turns the right gradient into the one found, or return an empty string.

    Parameters
    ----------
    found, right : arrays of one shape
        The gradient to be judged, and the right one.
    x : array
        The argument.
    sizes : tuple of int
        Sizes that a factor may come from, such as the number of samples.
    cotangent : array, optional
        What the result was weighted with, to recognise a sum over the wrong axis.

    Examples
    --------
    >>> import numpy as np
    >>> right = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> diagnose(2 * right, right, np.zeros((2, 2)))
    'it is 2 times the right one'
    >>> diagnose(right.T, right, np.zeros((2, 2)))
    'it is the right one with its axes in the order (1, 0): transposed'
    """
    found, right, x = (np.asarray(array) for array in (found, right, x))
    if found.shape != right.shape:
        return f"its shape is {found.shape}, and the argument's is {right.shape}"
    if not np.all(np.isfinite(found)):
        return "it holds NaN or infinity"
    if not np.any(found):
        return "it is zero: no gradient arrives (is the value taken out on the way, with .value or stop_gradient?)"
    checks = (_permuted, _wrong_axis, _missing_term)
    return _factor(found, right, sizes) or next(filter(None, (c(found, right, x, cotangent) for c in checks)), "")


def _close(a: Any, b: Any) -> bool:
    scale = np.max(np.abs(b), initial=0.0)
    return bool(scale > 0 and np.max(np.abs(a - b), initial=0.0) <= 1e-4 * scale)


def _factor(found: Any, right: Any, sizes: tuple[int, ...]) -> str:
    denominator = np.sum(np.abs(right) ** 2)
    if not denominator:
        return ""
    factor = float(np.real(np.sum(found * np.conj(right))) / denominator)
    if not _close(found, factor * right) or abs(factor - 1) < 1e-4:
        return ""
    for size in dict.fromkeys(sizes):
        if size > 2 and np.isclose(factor, size, rtol=1e-3):
            return f"it is {size} times the right one, and {size} is the size of an axis: a mean taken for a sum?"
        if size > 2 and np.isclose(factor * size, 1, rtol=1e-3):
            return f"it is 1/{size} of the right one, and {size} is the size of an axis: a sum taken for a mean?"
    if np.isclose(factor, -1, rtol=1e-3):
        return "it has the wrong sign"
    return f"it is {factor:.4g} times the right one"


def _permuted(found: Any, right: Any, x: Any, cotangent: Any) -> str:
    for order in itertools.permutations(range(found.ndim)):
        moved = np.transpose(right, order)
        if list(order) != sorted(order) and moved.shape == found.shape and _close(found, moved):
            return f"it is the right one with its axes in the order {order}: transposed"
    return ""


def _wrong_axis(found: Any, right: Any, x: Any, cotangent: Any) -> str:
    if cotangent is None or np.ndim(cotangent) < 2 or found.ndim >= np.ndim(cotangent):
        return ""
    sums = {
        axis: np.sum(cotangent, axis=axis)
        for count in range(1, np.ndim(cotangent))
        for axis in itertools.combinations(range(np.ndim(cotangent)), count)
    }
    good = next((axis for axis, total in sums.items() if total.shape == right.shape and _close(total, right)), None)
    bad = next((axis for axis, total in sums.items() if total.shape == found.shape and _close(total, found)), None)
    if good is None or bad is None:
        return ""
    return f"it is summed over axis {bad}, and the right one over axis {good}"


def _missing_term(found: Any, right: Any, x: Any, cotangent: Any) -> str:
    missing = right - found
    size = np.sum(np.abs(x) ** 2)
    if not size or x.size < 2:
        return ""
    factor = float(np.real(np.sum(missing * np.conj(x))) / size)
    if not _close(missing, factor * x):
        return ""
    what = "lacks" if factor > 0 else "has in excess"
    return f"it {what} a term {abs(factor):.4g} times the value: is a regularisation left out, or counted twice?"
