"""Indexing: slices, integers, integer arrays, boolean masks, Ellipsis and None."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..autodiff.reverse import Part
from ..core.primitive import primitive
from ..core.tensor import Tensor
from ..kernels.embedding import add_rows


class _Slot:
    """Stands in a static index for the next index array, which comes as an argument of its own."""

    def __repr__(self) -> str:
        return "array"

    def __reduce__(self) -> str:
        return "ARRAY"


ARRAY = _Slot()


def fill_index(index: tuple[Any, ...], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Put the index arrays into their places."""
    if not arrays:
        return index
    source = iter(arrays)
    return tuple(next(source) if part is ARRAY else part for part in index)


@primitive(kind="view", linear="jointly")
def getitem(x, *arrays, index):
    """Choose elements: ``x[index]``, where each ``ARRAY`` in the index stands for the next of the arrays."""
    return x[fill_index(index, arrays)]


@primitive(linear="jointly")
def scatter(g, *arrays, index, shape):
    """Put elements into an array of zeros, where indexing took them from; those taken more than once add up."""
    out = np.zeros(shape, g.dtype)
    _add_part(out, fill_index(index, arrays), g)
    return out


def _add_part(out: Any, where: tuple[Any, ...], g: Any) -> None:
    """Add g to the elements that an index takes, in place."""
    if any(isinstance(part, (list, tuple, np.ndarray)) and np.asarray(part).dtype.kind != "b" for part in where):
        _add_at(out, where, g)
    else:  # slices, integers and masks take each element once
        out[where] += g


@getitem.vjp_shared
def _getitem_rule(g: Any, x_shape: Any, arrays: Any, index: Any, *, wants: Any) -> tuple[Any, ...]:
    if type(g) is Tensor or Tensor in map(type, arrays):
        return (scatter(g, *arrays, index=index, shape=x_shape),)
    return (Part(lambda total: _add_part(total, fill_index(index, arrays), g)),)


@scatter.vjp_shared
def _scatter_rule(c: Any, arrays: Any, index: Any, *, wants: Any) -> tuple[Any, ...]:
    return (getitem(c, *arrays, index=index),)


getitem.vjp(arrays=None)
getitem.shape_from_values = lambda args: any(type(part) is Tensor and part.dtype.kind == "b" for part in args[1:])
scatter.vjp(arrays=None)


def _add_at(out: Any, where: tuple[Any, ...], g: Any) -> None:
    """Add into a contiguous array, ``np.add.at(out, where, g)``, by the numbers of the elements where that is faster.

    With a vector of indices into a vector ``np.add.at`` takes a path of its own, several times as fast as any other.
    For few elements making the numbers costs more than it saves. For whole rows there is a kernel.
    """
    if len(where) == 1 and out.ndim > 1 and out.flags.c_contiguous and g.size:
        rows = np.asarray(where[0])
        if g.shape == rows.shape + out.shape[1:]:
            add_rows(out.reshape(len(out), -1), rows.reshape(-1), g.reshape(rows.size, -1))
            return
    fast_already = out.ndim == g.ndim == 1 or not out.flags.c_contiguous
    numbers = None if fast_already or g.size < 2000 else _element_numbers(where, out.shape)
    if numbers is None:
        np.add.at(out, where, g)
    else:
        np.add.at(out.reshape(-1), numbers.reshape(-1), g.reshape(-1))


def _element_numbers(where: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """Return the numbers (in C order) of the elements that an index takes, or None for the rarer kinds of index.

    It knows slices and integer arrays, if the arrays stand side by side: then their axes stay in their place.
    """
    if any(part is None or isinstance(part, (bool, np.bool_)) or _is_mask(part) for part in where):
        return None
    spot = next((i for i, part in enumerate(where) if part is Ellipsis), len(where))
    whole = len(shape) - len(where) + (spot < len(where))  # axes that the index does not mention
    parts = [*where[:spot], *(slice(None),) * whole, *where[spot + 1 :]]
    chosen = [axis for axis, part in enumerate(parts) if not isinstance(part, slice)]
    first, last = chosen[0], chosen[-1]
    if len(chosen) != last - first + 1:
        return None
    taken = len(np.broadcast_shapes(*(np.shape(parts[axis]) for axis in chosen)))  # axes that the arrays make
    numbers: Any = 0
    for axis, (part, size) in enumerate(zip(parts, shape)):
        if isinstance(part, slice):
            line = np.arange(*part.indices(size))
            behind = len(shape) - 1 - axis + (taken - len(chosen) if axis < first else 0)
        else:
            line = np.asarray(part, np.intp)
            line = np.where(line < 0, line + size, line)
            behind = len(shape) - 1 - last
        numbers = numbers + line.reshape(line.shape + (1,) * behind) * math.prod(shape[axis + 1 :])
    return numbers


def _is_mask(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.dtype.kind == "b"


def split_index(index: Any) -> tuple[tuple[Any, ...], list[Any]]:
    """Take the arrays out of an index: return it with ``ARRAY`` in their places, and the arrays."""
    parts = index if type(index) is tuple else (index,)
    static, arrays = [], []
    for part in parts:
        if isinstance(part, (list, tuple, range)):
            part = np.asarray(part, dtype=None if len(part) else np.intp)
        if type(part) is Tensor or isinstance(part, np.ndarray):
            static.append(ARRAY)
            arrays.append(part)
        else:
            static.append(part)
    return tuple(static), arrays


def _getitem(self: Tensor, index: Any) -> Any:
    static, arrays = split_index(index)
    return getitem(self, *arrays, index=static)


Tensor.__getitem__ = _getitem  # type: ignore[attr-defined]


# --- for functions that are made of indexing --------------------------------------------------------------------------


def gather(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Take elements of an array or Tensor by an index array along an axis (of the flattened array if it is None)."""
    if axis is None:
        return getitem(np.ravel(x), indices, index=(ARRAY,))
    before = (slice(None),) * normalize_axis_index(axis, len(x.shape))
    return getitem(x, indices, index=(*before, ARRAY))


def numbered(shape: tuple[int, ...]) -> Any:
    """Return an array of a shape that holds the numbers of its elements, in C order.

    What NumPy makes of it tells where each element goes: for any ``f`` that only moves and repeats elements, ``f(x)``
    is ``gather(x, f(numbered(x.shape)))``.
    """
    return np.arange(math.prod(shape)).reshape(shape)
