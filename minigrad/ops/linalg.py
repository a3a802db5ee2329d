"""Products of matrices and arrays: matmul, einsum, and what is made of them: dot, tensordot, outer, kron, cross."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.numpy_protocol import UFUNCS, implements, refuse
from ..core.primitive import primitive
from ..core.tensor import Tensor
from .define import ufunc

__all__ = [
    "cross",
    "dot",
    "inner",
    "kron",
    "matvec",
    "multi_dot",
    "outer",
    "tensordot",
    "vdot",
    "vecdot",
    "vecmat",
]

# --- matmul ---------------------------------------------------------------------------------------------------------


def _matmul_left(g: Any, x_shape: tuple[int, ...], y: Any) -> Any:
    """Cotangent of the left factor: g @ y.T, with the cases of vectors."""
    if len(y.shape) == 1:
        return np.expand_dims(g, -1) * y
    if len(x_shape) == 1:
        return np.squeeze(np.matmul(y, np.expand_dims(g, -1)), -1)
    return np.matmul(g, np.swapaxes(y, -1, -2))


def _matmul_right(g: Any, x: Any, y_shape: tuple[int, ...]) -> Any:
    """Cotangent of the right factor: x.T @ g, with the cases of vectors."""
    if len(x.shape) == 1:
        return x * g if len(y_shape) == 1 else np.expand_dims(x, -1) * np.expand_dims(g, -2)
    if len(y_shape) == 1:
        return np.squeeze(np.matmul(np.expand_dims(g, -2), x), -2)
    if len(y_shape) == 2 and len(x.shape) > 2:  # one product over all rows, not one per batch and a sum
        rows = math.prod(x.shape[:-1])
        x, g = np.reshape(x, (rows, x.shape[-1])), np.reshape(g, (rows, g.shape[-1]))
    return np.matmul(np.swapaxes(x, -1, -2), g)


matmul = ufunc(np.matmul, "matmul", linear="each", x=_matmul_left, y=_matmul_right)


# --- products made of others ----------------------------------------------------------------------------------------


@implements(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """Dot product: elementwise for scalars, `matmul` up to matrices, else over the last and the second-last axis."""
    if out is not None:
        raise TypeError("np.dot of Tensors takes no out=; assign the result")
    left, right = np.ndim(a), np.ndim(b)
    if left == 0 or right == 0:
        return a * b
    if right <= 2:
        return np.matmul(a, b)
    return tensordot(a, b, axes=(left - 1, right - 2))


Tensor.dot = lambda self, b: dot(self, b)  # type: ignore[attr-defined]


@implements(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Sum of products over given axes, as one matrix product."""
    left, right = np.ndim(a), np.ndim(b)
    if isinstance(axes, (int, np.integer)):
        over_a, over_b = list(range(left - axes, left)), list(range(axes))
    else:
        over_a, over_b = (np.ravel(np.asarray(part, dtype=int)).tolist() for part in axes)
    over_a, over_b = [i % left for i in over_a], [i % right for i in over_b]
    shape_a, shape_b = np.shape(a), np.shape(b)
    if [shape_a[i] for i in over_a] != [shape_b[i] for i in over_b]:
        raise ValueError(f"tensordot: the axes {over_a} of {shape_a} and {over_b} of {shape_b} have different sizes")
    kept_a = [i for i in range(left) if i not in over_a]
    kept_b = [i for i in range(right) if i not in over_b]
    inner = int(np.prod([shape_a[i] for i in over_a], dtype=int))
    shape = tuple(shape_a[i] for i in kept_a) + tuple(shape_b[i] for i in kept_b)
    rows = int(np.prod([shape_a[i] for i in kept_a], dtype=int))
    columns = int(np.prod([shape_b[i] for i in kept_b], dtype=int))
    matrix_a = np.reshape(np.transpose(a, tuple(kept_a + over_a)), (rows, inner))
    matrix_b = np.reshape(np.transpose(b, tuple(over_b + kept_b)), (inner, columns))
    return np.reshape(np.matmul(matrix_a, matrix_b), shape)


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """Products of all pairs of elements of two flattened arrays."""
    if out is not None:
        raise TypeError("np.outer of Tensors takes no out=; assign the result")
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


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


# --- einsum ---------------------------------------------------------------------------------------------------------


@primitive(linear="each")
def einsum(*operands, subscripts, optimize=False):
    """Sum of products in Einstein's notation. Here the subscripts are explicit: ``"ij,jk->ik"``, without ellipses."""
    return np.einsum(subscripts, *operands, optimize=optimize)


@einsum.vjp_shared
def _einsum_rule(
    g: Any, operands: Any, operands_shape: Any, subscripts: str, optimize: Any, *, wants: tuple[int, ...]
) -> tuple[Any, ...]:
    """Each operand's cotangent is an einsum itself: of g and the other operands, to the operand's own letters.

    A letter that occurs nowhere else was summed over: a vector of ones spreads the cotangent along it. A letter that
    occurs twice took a diagonal: an identity matrix puts it back on one.
    """
    inputs, result = subscripts.split("->")
    letters = inputs.split(",")
    result_cotangents = []
    for i in wants:
        sources: list[Any] = [g, *(x for j, x in enumerate(operands) if j != i)]
        labels = [result, *(part for j, part in enumerate(letters) if j != i)]
        available = set("".join(labels))
        spare = iter(sorted(set(_LETTERS) - set(subscripts)))
        own = ""
        for letter, size in zip(letters[i], operands_shape[i]):
            if letter in own:
                double = next(spare)
                sources.append(np.eye(size, dtype=g.dtype))
                labels.append(letter + double)
                own += double
                continue
            if letter not in available:
                sources.append(np.ones(size, dtype=g.dtype))
                labels.append(letter)
            own += letter
        result_cotangents.append(np.einsum(f"{','.join(labels)}->{own}", *sources, optimize=optimize))
    return tuple(result_cotangents)


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@implements(np.einsum)
def _np_einsum(*operands: Any, out: Any = None, optimize: Any = False, **options: Any) -> Any:
    if out is not None or options:
        raise TypeError("np.einsum of Tensors takes the arguments optimize= only")
    if not isinstance(operands[0], str):
        operands = _letters_for_numbers(operands)
    subscripts, *arrays = operands
    shapes = [np.shape(x) for x in arrays]
    return einsum(*arrays, subscripts=explicit_subscripts(subscripts, shapes), optimize=optimize)


def _letters_for_numbers(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Turn ``einsum(a, [0, 1], b, [1, 2], [0, 2])`` into ``einsum("ab,bc->ac", a, b)``."""
    *pairs, last = operands if len(operands) % 2 else (*operands, None)
    arrays, lists = pairs[::2], pairs[1::2]
    # Letters in the order of the numbers: the order of an implicit result is alphabetical.
    used = sorted({n for numbers in lists for n in numbers if n is not Ellipsis})
    letter = dict(zip(used, sorted(_LETTERS)))

    def text(numbers: Any) -> str:
        return "".join("..." if n is Ellipsis else letter[n] for n in numbers)

    subscripts = ",".join(map(text, lists)) + (f"->{text(last)}" if last is not None else "")
    return (subscripts, *arrays)


def explicit_subscripts(subscripts: str, shapes: Sequence[tuple[int, ...]]) -> str:
    """Write subscripts with a result and without ellipses, for operands of the given shapes.

    >>> explicit_subscripts("ij,jk", [(2, 3), (3, 4)])
    'ij,jk->ik'
    >>> explicit_subscripts("...i->...", [(2, 3, 4)])
    'abi->ab'
    """
    text = subscripts.replace(" ", "")
    inputs, arrow, result = text.partition("->")
    parts = inputs.split(",")
    if len(parts) != len(shapes):
        raise ValueError(f"einsum: {subscripts!r} names {len(parts)} operands, and {len(shapes)} came")
    spare = sorted(set(_LETTERS) - set(text), key=_LETTERS.index)
    width = 0
    for number, (part, shape) in enumerate(zip(parts, shapes)):
        extra = len(shape) - len(part.replace("...", ""))
        if extra < 0 or (extra > 0 and "..." not in part):
            raise ValueError(f"einsum: operand {number} has shape {shape}, and {part!r} names another number of axes")
        width = max(width, extra) if "..." in part else width
    dots = "".join(spare[:width])
    if arrow and dots and "..." not in result:
        raise ValueError(f"einsum: {subscripts!r} has an ellipsis in an operand and none in the result; write both")
    full = []
    for part, shape in zip(parts, shapes):
        extra = len(shape) - len(part.replace("...", ""))
        full.append(part.replace("...", dots[width - extra :] if extra else ""))
    if not arrow:
        named = "".join(parts).replace("...", "")
        result = ("..." if "..." in inputs else "") + "".join(sorted(c for c in set(named) if named.count(c) == 1))
    return f"{','.join(full)}->{result.replace('...', dots)}"
