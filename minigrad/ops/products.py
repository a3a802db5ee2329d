"""Further products of vectors and matrices, all made of ``matmul``, ``tensordot`` and elementwise ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.numpy_protocol import UFUNCS, implements, refuse
from .linalg import outer, tensordot

__all__ = ["cross", "inner", "kron", "matvec", "multi_dot", "vdot", "vecdot", "vecmat"]

# --- vectors and chains -----------------------------------------------------------------------------------------------


@implements(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """Sum of products over the last axis of both."""
    left, right = np.ndim(a), np.ndim(b)
    if left == 0 or right == 0:
        return a * b
    return tensordot(a, b, axes=(left - 1, right - 1))


@implements(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """Sum of products of all elements, the first conjugated."""
    return np.dot(np.ravel(conjugated(a)), np.ravel(b))


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """Kronecker product: each element of a times the whole of b, as blocks."""
    ndim = max(np.ndim(a), np.ndim(b))
    shape_a, shape_b = ((1,) * (ndim - np.ndim(x)) + np.shape(x) for x in (a, b))
    blocks = np.reshape(a, tuple(size for n in shape_a for size in (n, 1)))
    inside = np.reshape(b, tuple(size for n in shape_b for size in (1, n)))
    return np.reshape(blocks * inside, tuple(n * m for n, m in zip(shape_a, shape_b)))


@implements(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """Cross product of vectors of three components. (Those of two are deprecated in NumPy, and refused here.)"""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if not a.shape[-1] == b.shape[-1] == 3:
        raise ValueError(
            f"cross of Tensors takes vectors of three components, and these have {a.shape[-1]} and {b.shape[-1]}; "
            f"give those of two a third that is 0"
        )
    # The components (1, 2, 0) of one times (2, 0, 1) of the other, less the same with the two exchanged.
    product = np.roll(a, -1, -1) * np.roll(b, -2, -1) - np.roll(a, -2, -1) * np.roll(b, -1, -1)
    return np.moveaxis(product, -1, axisc)


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """Product of several matrices in the order that takes the fewest multiplications; vectors may stand at the ends."""
    if out is not None:
        raise refuse("np.linalg.multi_dot", "out")
    if len(arrays) < 2:
        raise ValueError(f"multi_dot takes at least two arrays, and {len(arrays)} came")
    first, last = np.ndim(arrays[0]), np.ndim(arrays[-1])
    factors = [np.expand_dims(arrays[0], 0) if first == 1 else arrays[0], *arrays[1:]]
    if last == 1:
        factors[-1] = np.expand_dims(factors[-1], -1)
    ranks = [np.ndim(x) for x in factors]
    if set(ranks) != {2}:
        raise np.linalg.LinAlgError(f"multi_dot takes matrices (vectors at the ends), and arrays of {ranks} axes came")
    product = _in_order(factors, *_cheapest_cuts([np.shape(x) for x in factors]))
    kept = tuple(n for n, end in zip(product.shape, (first, last)) if end > 1)
    return np.reshape(product, kept)


def _cheapest_cuts(shapes: Sequence[tuple[int, ...]]) -> tuple[dict[tuple[int, int], int], int, int]:
    """Return for every run of factors where to cut it in two (Cormen et al., Introduction to Algorithms, 15.2)."""
    count = len(shapes)
    sizes = [shape[0] for shape in shapes] + [shapes[-1][1]]
    cost = {(i, i): 0 for i in range(count)}
    cuts = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs = {k: cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)}
            cuts[i, j] = min(costs, key=costs.__getitem__)
            cost[i, j] = costs[cuts[i, j]]
    return cuts, 0, count - 1


def _in_order(factors: Sequence[Any], cuts: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return factors[i]
    cut = cuts[i, j]
    return np.matmul(_in_order(factors, cuts, i, cut), _in_order(factors, cuts, cut + 1, j))


# --- the ufuncs of vectors and matrices -----------------------------------------------------------------------------


def conjugated(x: Any) -> Any:
    """Complex conjugate; a real array as it is, so that nothing is recorded for it."""
    return np.conjugate(x) if np.iscomplexobj(x) else x


def vecdot(x1: Any, x2: Any) -> Any:
    """Sum of products over the last axis, the first vector conjugated."""
    return np.sum(np.multiply(conjugated(x1), x2), axis=-1)


def matvec(x1: Any, x2: Any) -> Any:
    """Product of matrices and vectors."""
    return np.squeeze(np.matmul(x1, np.expand_dims(x2, -1)), -1)


def vecmat(x1: Any, x2: Any) -> Any:
    """Product of vectors, conjugated, and matrices."""
    return np.squeeze(np.matmul(np.expand_dims(conjugated(x1), -2), x2), -2)


for _function in (vecdot, matvec, vecmat):
    if hasattr(np, _function.__name__):  # matvec and vecmat came with NumPy 2.2
        UFUNCS[getattr(np, _function.__name__)] = _function


# --- the spellings of np.linalg -------------------------------------------------------------------------------------


@implements(np.linalg.vecdot)
def _linalg_vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return vecdot(np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1))


@implements(np.linalg.matmul)
def _linalg_matmul(x1: Any, x2: Any, /) -> Any:
    return np.matmul(x1, x2)


@implements(np.linalg.tensordot)
def _linalg_tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    return tensordot(x1, x2, axes)


@implements(np.linalg.outer)
def _linalg_outer(x1: Any, x2: Any, /) -> Any:
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"np.linalg.outer takes two vectors, and arrays of {np.ndim(x1)} and {np.ndim(x2)} axes came")
    return outer(x1, x2)


@implements(np.linalg.cross)
def _linalg_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return cross(x1, x2, axis=axis)


@implements(np.matrix_transpose, np.linalg.matrix_transpose)
def _matrix_transpose(x: Any, /) -> Any:
    if np.ndim(x) < 2:
        raise ValueError(f"matrix_transpose takes an array of two axes or more, and one of shape {np.shape(x)} came")
    return np.swapaxes(x, -1, -2)


@implements(np.linalg.diagonal)
def _linalg_diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return np.diagonal(x, offset, -2, -1)


@implements(np.linalg.trace)
def _linalg_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    return np.trace(x, offset, -2, -1, dtype)
