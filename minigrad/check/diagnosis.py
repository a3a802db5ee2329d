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
        return f"its shape is {found.shape}, and the argument's is {right.shape}{_misshaped(found, right)}"
    if not np.all(np.isfinite(found)):
        return "it holds NaN or infinity"
    if not np.any(found):
        return "it is zero: no gradient arrives (is the value taken out on the way, with .value or stop_gradient?)"
    checks = (_permuted, _flipped, _wrong_axis, _missing_term, _masked, _elsewhere)
    return _factor(found, right, sizes) or next(filter(None, (c(found, right, x, cotangent) for c in checks)), "")


def _misshaped(found: Any, right: Any) -> str:
    """Say what would bring a gradient of the wrong shape to the right one, or return an empty string."""
    if found.size == right.size:
        for order in itertools.permutations(range(found.ndim)):
            if list(order) != sorted(order) and _same(np.transpose(found, order), right):
                return f": it is the right one with its axes in the order {_inverse(order)}: transposed"
        if _same(found.reshape(right.shape), right):
            return ": the numbers are right, and only the shape is not: reshape it"
    for axes in _axes(found.ndim):
        if found.size > right.size and _same_numbers(np.sum(found, axis=axes), right):
            return f": it is not summed over axis {axes}, along which the argument was broadcast"
    for axes in _axes(right.ndim):
        if found.size < right.size and _same_numbers(np.sum(right, axis=axes), found):
            return f": it is summed over axis {axes}, and the right one is not"
    return ""


def _axes(count: int) -> list[tuple[int, ...]]:
    """Return all choices of axes, few first."""
    return [axes for some in range(1, count + 1) for axes in itertools.combinations(range(count), some)]


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.argsort(order))


def _same(a: Any, b: Any) -> bool:
    return bool(a.shape == b.shape and _close(a, b))


def _same_numbers(a: Any, b: Any) -> bool:
    return bool(np.size(a) == np.size(b) and _close(np.reshape(a, np.shape(b)), b))


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


def _flipped(found: Any, right: Any, x: Any, cotangent: Any) -> str:
    for axes in _axes(found.ndim):
        if _close(found, np.flip(right, axes)) and not _close(found, right):
            return f"it is the right one reversed along axis {axes}: is a kernel to be rotated, or not?"
    return ""


def _masked(found: Any, right: Any, x: Any, cotangent: Any) -> str:
    """Recognise a mask that was left out, or gradients that were overwritten where they add up."""
    small = 1e-4 * np.max(np.abs(right), initial=0.0)
    equal, lacks, has = np.abs(found - right) <= small, np.abs(found) <= small, np.abs(right) > small
    if not small or not np.any(equal & has) or np.all(equal):
        return ""
    if np.all(equal | ~has):
        return (
            f"it is right where the right one is not zero, and not zero in {np.count_nonzero(~equal):,} places where "
            f"it should be: is a mask left out (of relu, a maximum, dropout)?"
        )
    if np.all(equal | lacks):
        return (
            f"it is zero in {np.count_nonzero(~equal):,} places where it should not be, and right elsewhere: is a mask "
            f"too narrow, or a part never written?"
        )
    return ""


def _elsewhere(found: Any, right: Any, x: Any, cotangent: Any) -> str:
    if found.ndim < 2 or found.dtype.kind == "c" or _close(found, right) or np.all(right == right.flat[0]):
        return ""
    if not _close(np.sort(found, axis=None), np.sort(right, axis=None)):
        return ""
    return "it holds the right numbers in other places: a reshape or a transpose in the wrong order?"


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
