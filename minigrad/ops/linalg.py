"""Products of matrices and arrays: matmul, einsum, and what is made of them: dot, tensordot, outer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.numpy_protocol import implements
from ..core.primitive import primitive
from ..core.tensor import Tensor
from .define import ufunc

__all__ = ["dot", "outer", "tensordot"]

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
    over_a = [normalize_axis_index(i, left) for i in over_a]
    over_b = [normalize_axis_index(i, right) for i in over_b]
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
    occurs twice took a diagonal: an identity matrix puts it back on one. A letter of size 1 that was broadcast is
    summed over, and put back by the reshape.
    """
    inputs, result = subscripts.split("->")
    letters = inputs.split(",")
    result_cotangents = []
    for i in wants:
        sources: list[Any] = [g, *(x for j, x in enumerate(operands) if j != i)]
        labels = [result, *(part for j, part in enumerate(letters) if j != i)]
        widest: dict[str, int] = {}
        for part, source in zip(labels, sources):
            for letter, size in zip(part, source.shape):
                widest[letter] = max(widest.get(letter, 1), size)
        spare = iter(sorted(set(_LETTERS) - set(subscripts)))
        own = ""
        for letter, size in zip(letters[i], operands_shape[i]):
            if letter in own:
                double = next(spare)
                sources.append(np.eye(size, dtype=g.dtype))
                labels.append(letter + double)
                own += double
                continue
            if size == 1 and widest.get(letter, 1) > 1:
                continue
            if letter not in widest or widest[letter] < size:
                sources.append(np.ones(size, dtype=g.dtype))
                labels.append(letter)
            own += letter
        cotangent = np.einsum(f"{','.join(labels)}->{own}", *sources, optimize=optimize)
        result_cotangents.append(np.reshape(cotangent, operands_shape[i]))
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
