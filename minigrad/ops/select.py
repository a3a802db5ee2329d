"""Selecting: by index, by condition, on diagonals and in triangles; inserting and deleting."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..core.numpy_protocol import implements, refuse
from ..core.primitive import primitive
from ..core.tensor import Tensor
from .define import as_array
from .index import ARRAY, gather, getitem, numbered, scatter

# --- by index ---------------------------------------------------------------------------------------------------------


@implements(np.take)
def take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
    """Take elements along an axis (of the flattened array when none is given); an index may come again and again."""
    if out is not None:
        raise refuse("np.take", "out")
    a = as_array(a)
    indices = _indices(indices)
    size = a.size if axis is None else a.shape[axis]
    return gather(a, _bounded(indices, size, mode, "take"), axis)


Tensor.take = take  # type: ignore[attr-defined]


def _indices(indices: Any) -> Any:
    """Return indices as an array of integers; truth values count as 0 and 1 here, not as a mask."""
    indices = as_array(indices)
    return indices.astype(np.intp) if indices.dtype.kind == "b" else indices


def _bounded(indices: Any, size: int, mode: str, name: str) -> Any:
    """Bring indices into an axis, in NumPy's ways: leave them to fail, wrap them around, or clip them."""
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"np.{name} takes mode='raise', 'wrap' or 'clip', and {mode!r} came")
    if mode == "raise":
        return indices
    return np.remainder(indices, size) if mode == "wrap" else np.minimum(np.maximum(indices, 0), size - 1)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """Take elements by an index array that has an index for each place, as ``argsort`` and ``argmax`` give it."""
    arr, indices = as_array(arr), as_array(indices)
    if axis is None:
        if indices.ndim != 1:
            raise ValueError(f"take_along_axis with axis=None takes a vector of indices, and {indices.shape} came")
        return gather(arr, indices)
    axis = normalize_axis_index(axis, arr.ndim)
    if indices.ndim != arr.ndim:
        raise ValueError(
            f"take_along_axis takes as many dimensions in both, and {arr.shape} with indices {indices.shape} came"
        )
    mesh: list[Any] = list(np.ix_(*map(np.arange, arr.shape)))
    mesh[axis] = indices
    return getitem(arr, *mesh, index=(ARRAY,) * arr.ndim)


@primitive(linear="jointly")
def choose(index, *choices):
    """Take each element from the array that an index array names: ``choices[index[i]][i]``."""
    return np.choose(index, choices)


@choose.vjp_shared
def _choose_rule(g: Any, index: Any, *, wants: tuple[int, ...]) -> tuple[Any, ...]:
    return tuple(np.where(np.equal(index, number), g, np.zeros((), g.dtype)) for number in wants)


choose.vjp(index=None)


@implements(np.choose)
def _np_choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    if out is not None:
        raise refuse("np.choose", "out")
    return choose(_bounded(as_array(a), len(choices), mode, "choose"), *choices)


Tensor.choose = _np_choose  # type: ignore[attr-defined]

# --- by condition -----------------------------------------------------------------------------------------------------


@implements(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """Take each element from the first choice whose condition is true."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(f"select takes a choice for each condition, and {len(choicelist)} for {len(condlist)} came")
    conditions = list(map(as_array, condlist))
    for condition in conditions:
        if condition.dtype.kind != "b":
            raise TypeError(f"select takes boolean conditions, and one of dtype {condition.dtype} came")
    choices = [x if type(x) in (int, float, complex) else as_array(x) for x in (*choicelist, default)]
    dtype = np.result_type(*choices)
    *choices, result = (x if type(x) is Tensor else np.asarray(x, dtype) for x in choices)
    for condition, choice in zip(reversed(conditions), reversed(choices)):
        result = np.where(condition, choice, result)
    return result


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """Apply to the elements for which a condition is true the function (or number) that belongs to it."""
    x = as_array(x)
    conditions = _conditions(condlist, x)
    if len(funclist) not in (len(conditions), len(conditions) + 1):
        raise ValueError(
            f"piecewise with {len(conditions)} conditions takes as many functions, or one more for all other elements; "
            f"{len(funclist)} came"
        )
    if len(funclist) > len(conditions):
        conditions.append(np.logical_not(np.any(np.stack(conditions), axis=0)))
    result: Any = np.zeros(x.shape, x.dtype)
    for condition, function in zip(conditions, funclist):
        chosen = x[condition]
        if chosen.size:
            values = as_array(function(chosen, *args, **kw) if callable(function) else function)
            values = np.broadcast_to(values.astype(x.dtype), chosen.shape)
            placed = scatter(values, condition, index=(ARRAY,), shape=x.shape)
            result = np.where(np.reshape(condition, condition.shape + (1,) * (x.ndim - condition.ndim)), placed, result)
    return result


def _conditions(condlist: Any, x: Any) -> list[Any]:
    """Return conditions as a list of boolean arrays; a single one need not stand in a list."""
    many = isinstance(condlist, (list, tuple)) or np.ndim(condlist) > 0
    if not many or (x.ndim and np.ndim(condlist[0]) == 0):
        condlist = [condlist]
    return [c if type(c) is Tensor else np.asarray(c, bool) for c in condlist]


@implements(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Any:
    """Take the elements along an axis (of the flattened array when none is given) for which a condition is true."""
    if out is not None:
        raise refuse("np.compress", "out")
    return gather(a, np.nonzero(condition)[0], axis)


def _compress_method(self: Tensor, condition: Any, axis: int | None = None, out: Any = None) -> Any:
    return compress(condition, self, axis, out)


Tensor.compress = _compress_method  # type: ignore[attr-defined]


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """Take the elements for which a condition is true."""
    return compress(np.ravel(condition), as_array(arr))


@primitive(np.argwhere, differentiable=False)
def argwhere(x):
    """Return the indices of the elements that are not zero: a row for each element."""
    return np.argwhere(x)


@implements(np.nonzero)
def nonzero(a: Any) -> tuple[Any, ...]:
    """Return the indices of the elements that are not zero: an array for each axis."""
    if a.ndim == 0:
        raise ValueError("nonzero takes an array of at least one dimension, and one of shape () came")
    places = argwhere(a)
    return tuple(places[:, axis] for axis in range(a.ndim))


Tensor.nonzero = nonzero  # type: ignore[attr-defined]


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    """Return the numbers, in C order, of the elements that are not zero."""
    return np.nonzero(np.ravel(a))[0]


@implements(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """Cut off zeros at the front and at the back, along all axes or some."""
    sides = trim.lower()
    if sides not in ("f", "b", "fb", "bf"):
        raise ValueError(f"trim_zeros takes trim='f', 'b' or 'fb', and {trim!r} came")
    places = np.argwhere(filt.concrete("np.trim_zeros, whose result has a shape that depends on it,"))
    cut = range(filt.ndim) if axis is None else normalize_axis_tuple(axis, filt.ndim)
    index = [slice(None)] * filt.ndim
    for along in cut:
        first, stop = (places[:, along].min(), places[:, along].max() + 1) if len(places) else (0, 0)
        keep_front, keep_back = len(places) > 0 and "f" not in sides, len(places) > 0 and "b" not in sides
        index[along] = slice(None if keep_front else int(first), None if keep_back else int(stop))
    return filt[tuple(index)]


# --- diagonals and triangles ------------------------------------------------------------------------------------------


@primitive(np.diagonal, linear="jointly")
def diagonal(x, *, offset=0, axis1=0, axis2=1):
    """Take the diagonal of the planes of two axes; it is the last axis of the result."""
    return np.diagonal(x, offset, axis1, axis2)


@primitive(linear="jointly")
def put_diagonal(g, *, shape, offset=0, axis1=0, axis2=1):
    """Put the elements of the last axis onto the diagonal of the planes of two axes of an array of zeros."""
    out = np.zeros(shape, g.dtype)
    rows, columns = shape[axis1], shape[axis2]
    line = np.arange(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    planes = np.moveaxis(out, (axis1, axis2), (-2, -1))
    planes[..., line + max(0, -offset), line + max(0, offset)] = g
    return out


diagonal.vjp(
    x=lambda g, x_shape, offset, axis1, axis2: put_diagonal(g, shape=x_shape, offset=offset, axis1=axis1, axis2=axis2)
)
put_diagonal.vjp(g=lambda c, offset, axis1, axis2: diagonal(c, offset=offset, axis1=axis1, axis2=axis2))


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """Take a diagonal of a matrix, or make a matrix with a vector on a diagonal."""
    if v.ndim == 2:
        return diagonal(v, offset=k)
    if v.ndim != 1:
        raise ValueError(f"diag takes a vector or a matrix, and an array of shape {v.shape} came")
    return diagflat(v, k)


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """Make a matrix with all elements of an array on a diagonal."""
    size = v.size + abs(k)
    return put_diagonal(np.ravel(v), shape=(size, size), offset=operator.index(k))


@implements(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    """Sum along a diagonal."""
    if out is not None:
        raise refuse("np.trace", "out")
    line = diagonal(a, offset=offset, axis1=axis1, axis2=axis2)
    return np.sum(line if dtype is None else line.astype(dtype), axis=-1)


Tensor.trace = trace  # type: ignore[attr-defined]


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """Set the elements above a diagonal to zero."""
    return _where_in_triangle(m, np.tri(*m.shape[-2:], k=k, dtype=bool))


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """Set the elements below a diagonal to zero."""
    return _where_in_triangle(m, ~np.tri(*m.shape[-2:], k=k - 1, dtype=bool))


def _where_in_triangle(m: Any, kept: Any) -> Any:
    return np.where(kept, m, np.zeros((), m.dtype))


# --- inserting and deleting -------------------------------------------------------------------------------------------


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """Insert values before the positions told, along an axis (of the flattened array when none is given)."""
    arr, values = as_array(arr), as_array(values)
    obj = obj.concrete("np.insert") if type(obj) is Tensor else obj
    numbers = arr.size + numbered(values.shape)
    places = np.insert(numbered(arr.shape), obj, numbers, axis)
    return gather(np.concatenate([np.ravel(arr), np.ravel(values.astype(arr.dtype))]), places)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """Leave out elements along an axis (of the flattened array when none is given)."""
    obj = obj.concrete("np.delete") if type(obj) is Tensor else obj
    if axis is None:
        return delete(np.ravel(arr), obj, 0)
    size = arr.shape[axis]
    kept = np.zeros(size, bool)  # a mask takes each element once, so that its gradient need not add
    kept[np.delete(np.arange(size), obj)] = True
    return gather(arr, kept, axis)


# The shapes of these depend on values, which a captured program must not.
argwhere.shape_from_values = lambda args: True
