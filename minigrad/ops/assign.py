"""Assignment: ``x[i] = v`` on a Tensor is recorded, and the Tensor stands for the new value from then on.

Nothing is overwritten. The assignment is an op from the old value and `v` to the new one, so gradients flow to both,
and what was computed before from the old value stays right. Views do not alias: after ``y = x[0]; x[0] = 1``, y still
is what it was read as. Two names of one Tensor (``y = x``) both see the new value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.errors import DTypeError, NoGradientRule
from ..core.explain import where
from ..core.numpy_protocol import UFUNC_METHODS, implements
from ..core.primitive import primitive
from ..core.tensor import Tensor
from .define import as_array
from .index import ARRAY, fill_index, getitem, numbered, split_index


@primitive(linear="jointly")
def put(x, v, *arrays, index):
    """x with ``x[index] = v``; each ``ARRAY`` in the index stands for the next of the arrays."""
    out = np.array(x)
    out[fill_index(index, arrays)] = v
    return out


@primitive(differentiable=False)
def put_wins(x, *arrays, index):
    """Whether each element that an assignment writes is the one that stays: where an index repeats, the last."""
    places = np.arange(x.size).reshape(x.shape)[fill_index(index, arrays)]
    last = np.zeros(x.size, np.intp)
    order = np.arange(places.size).reshape(np.shape(places))
    np.maximum.at(last, places, order)
    return last[places] == order


@put.vjp_shared
def _put_rule(g: Any, x_shape: Any, v_shape: Any, arrays: Any, index: Any, *, wants: tuple[str, ...]) -> Any:
    found = []
    for want in wants:
        if want == "x":
            found.append(put(g, np.zeros((), g.dtype), *arrays, index=index))
        else:
            picked = getitem(g, *arrays, index=index)
            if arrays:
                picked = picked * put_wins(g, *arrays, index=index)
            extra = len(v_shape) - len(picked.shape)  # NumPy lets v have further leading axes of size 1
            found.append(np.reshape(picked, (1,) * extra + picked.shape) if extra > 0 else picked)
    return tuple(found)


put.vjp(arrays=None)


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    if value is None:
        raise DTypeError(f"{where('put')}: None cannot be assigned to items of a Tensor; is a `return` missing?")
    static, arrays = split_index(index)
    self.become(put(self, value, *arrays, index=static))


Tensor.__setitem__ = _setitem  # type: ignore[attr-defined]


# --- NumPy's functions that write in place ----------------------------------------------------------------------------


def _target(name: str, x: Any) -> Tensor:
    """Return the Tensor that is written to; an array cannot take a Tensor without losing its gradient."""
    if type(x) is not Tensor:
        raise NoGradientRule(
            f"np.{name} would write a Tensor into a plain array, and its gradient would be lost; make the array a "
            f"Tensor too (x = x + 0 * t), or build the new value with np.where"
        )
    return x


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Write the main diagonal."""
    diagonal = np.zeros(np.shape(a), bool)
    np.fill_diagonal(diagonal, True, wrap)
    target = _target("fill_diagonal", a)
    target[diagonal] = val if np.ndim(val) == 0 else np.resize(val, int(diagonal.sum()))  # type: ignore[index]


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None = -1) -> None:
    """Write the elements that `take_along_axis` would take."""
    target = _target("put_along_axis", arr)
    if axis is None:
        target[np.unravel_index(np.ravel(indices), target.shape)] = np.ravel(values)  # type: ignore[index]
        return
    axis = normalize_axis_index(axis, target.ndim)
    grid = np.ix_(*map(np.arange, target.shape))  # the indices broadcast against the other axes
    target[(*grid[:axis], indices, *grid[axis + 1 :])] = values  # type: ignore[index]


@implements(np.put)
def put_flat(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Write elements by their numbers in the flattened array; the values repeat as needed."""
    target = _target("put", a)
    numbers = np.ravel(np.asarray(ind))
    if mode != "raise":
        numbers = numbers % target.size if mode == "wrap" else np.clip(numbers, 0, target.size - 1)
    places = np.unravel_index(np.where(numbers < 0, numbers + target.size, numbers), target.shape)
    target[places] = v if np.ndim(v) == 0 else np.resize(v, numbers.size)  # type: ignore[index]


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """Write the elements where a mask is true, one value after the other; the values repeat as needed."""
    chosen = np.asarray(mask, bool)
    _target("place", arr)[chosen] = np.resize(vals, int(chosen.sum()))  # type: ignore[index]


@implements(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    """Write the elements where a mask is true, with those of the values in the same places."""
    chosen = np.asarray(mask, bool)
    _target("putmask", a)[chosen] = np.resize(values, np.shape(a))[chosen]  # type: ignore[index]


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """Write all elements, or those where a mask is true."""
    target = _target("copyto", dst)
    target[...] = src if where is True else np.where(where, src, target)  # type: ignore[index]


# --- ufunc.at ---------------------------------------------------------------------------------------------------------


def _at(function: np.ufunc) -> Any:
    """Return what takes the place of ``function.at(a, indices, b)``: as often as an element comes, it is combined."""

    def at(a: Any, indices: Any, b: Any) -> None:
        target = _target(f"{function.__name__}.at", a)
        static, arrays = split_index(indices)
        places = np.asarray(numbered(target.shape)[fill_index(static, tuple(map(np.asarray, arrays)))])
        values = np.ravel(np.broadcast_to(as_array(b), places.shape))
        flat, numbers = np.ravel(target), np.ravel(places)
        # Round after round, each taking every element at most once: the order within an element stays NumPy's.
        order = np.argsort(numbers, kind="stable")
        starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
        rounds = np.empty(numbers.size, np.intp)
        rounds[order] = np.arange(numbers.size) - np.repeat(starts, np.diff(np.append(starts, numbers.size)))
        for turn in range(int(rounds.max(initial=-1)) + 1):
            chosen = rounds == turn
            combined = function(flat[numbers[chosen]], values[chosen])
            flat = put(flat, combined, numbers[chosen], index=(ARRAY,))
        target.become(np.reshape(flat, target.shape))

    return at


UFUNC_METHODS |= {
    (function, "at"): _at(function)
    for function in (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.logaddexp)
}
