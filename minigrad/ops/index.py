"""Indexing: slices, integers, integer arrays, boolean masks, Ellipsis and None."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.numpy_protocol import implements
from ..core.primitive import primitive
from ..core.tensor import Tensor


class _Slot:
    """Stands in a static index for the next index array, which comes as an argument of its own."""

    def __repr__(self) -> str:
        return "array"

    def __reduce__(self) -> str:
        return "ARRAY"


ARRAY = _Slot()


def _fill(index: tuple[Any, ...], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Put the index arrays into their places."""
    if not arrays:
        return index
    source = iter(arrays)
    return tuple(next(source) if part is ARRAY else part for part in index)


@primitive(kind="view", linear="jointly")
def getitem(x, *arrays, index):
    """Choose elements: ``x[index]``, where each ``ARRAY`` in the index stands for the next of the arrays."""
    return x[_fill(index, arrays)]


@primitive(linear="jointly")
def scatter(g, *arrays, index, shape):
    """Put elements into an array of zeros, where indexing took them from; those taken more than once add up."""
    out = np.zeros(shape, g.dtype)
    where = _fill(index, arrays)
    if any(isinstance(part, (list, tuple, np.ndarray)) and np.asarray(part).dtype.kind != "b" for part in where):
        np.add.at(out, where, g)
    else:  # slices, integers and masks take each element once
        out[where] = g
    return out


@getitem.vjp_shared
def _getitem_rule(g: Any, x_shape: Any, arrays: Any, index: Any, *, wants: Any) -> tuple[Any, ...]:
    return (scatter(g, *arrays, index=index, shape=x_shape),)


@scatter.vjp_shared
def _scatter_rule(c: Any, arrays: Any, index: Any, *, wants: Any) -> tuple[Any, ...]:
    return (getitem(c, *arrays, index=index),)


getitem.vjp(arrays=None)
scatter.vjp(arrays=None)


def _getitem(self: Tensor, index: Any) -> Any:
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
    return getitem(self, *arrays, index=tuple(static))


Tensor.__getitem__ = _getitem  # type: ignore[attr-defined]


@implements(np.take)
def _np_take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
    if out is not None or mode != "raise":
        raise TypeError("np.take on a Tensor takes no out= and no mode=; index the Tensor instead: x[indices]")
    if axis is None:
        return np.ravel(a)[np.asarray(indices)]
    return a[(*(slice(None),) * (axis % a.ndim), np.asarray(indices))]
