"""Shape ops: reshaping, joining and splitting. They move elements and do no arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.numpy_protocol import FUNCTIONS, implements, refuse
from ..core.primitive import primitive
from ..core.tensor import Tensor, value_of
from .define import as_array


@primitive(kind="view", linear="jointly")
def reshape(x, *, shape):
    """Give the same elements another shape."""
    return np.reshape(x, shape)


reshape.vjp(x=lambda g, x_shape: np.reshape(g, x_shape))


@implements(np.reshape)
def _np_reshape(a: Any, /, shape: Any = None, order: str = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    shape = plain_shape(shape if shape is not None else newshape)
    if order in ("A", "K"):  # as the elements lie in memory
        flags = value_of(a).flags
        order = "F" if flags.fnc else "C" if order == "A" or flags.c_contiguous else order
    if order == "F":
        return transpose(reshape(transpose(a, axes=None), shape=shape[::-1]), axes=None)
    if order != "C":
        raise ValueError(
            f"reshape of a Tensor takes order='C', 'F' or 'A' ('K' if it is contiguous), and {order!r} came"
        )
    return reshape(a, shape=shape)


def plain_shape(shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple of plain integers, so that it is a static parameter."""
    return tuple(int(size) for size in np.ravel(shape))


def _reshape_method(self: Tensor, *shape: Any, order: str = "C") -> Any:
    return _np_reshape(self, shape[0] if len(shape) == 1 else shape, order=order)


Tensor.reshape = _reshape_method  # type: ignore[attr-defined]


@implements(np.ravel)
def _np_ravel(a: Any, order: str = "C") -> Any:
    return _np_reshape(a, (-1,), order=order)


def _flatten_method(self: Tensor, order: str = "C") -> Any:
    return _np_ravel(self, order)


Tensor.ravel = Tensor.flatten = _flatten_method  # type: ignore[attr-defined]


@primitive(np.transpose, np.permute_dims, kind="view", linear="jointly")
def transpose(x, *, axes=None):
    """Put the axes in another order (reversed when none is given)."""
    return np.transpose(x, axes)


transpose.vjp(x=lambda g, axes: np.transpose(g, _inverse(axes)))


def _inverse(axes: Any) -> Any:
    """Return the permutation that undoes one."""
    if axes is None:
        return None
    order = [0] * len(axes)
    for position, axis in enumerate(axes):
        order[axis % len(axes)] = position
    return tuple(order)


def _transpose_method(self: Tensor, *axes: Any) -> Any:
    order = axes[0] if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)) else axes or None
    return transpose(self, axes=tuple(order) if order is not None else None)


Tensor.transpose = _transpose_method  # type: ignore[attr-defined]


@primitive(np.swapaxes, kind="view", linear="jointly")
def swapaxes(x, *, axis1, axis2):
    """Exchange two axes."""
    return np.swapaxes(x, axis1, axis2)


swapaxes.vjp(x=lambda g, axis1, axis2: np.swapaxes(g, axis1, axis2))


@primitive(np.squeeze, kind="view", linear="jointly")
def squeeze(x, *, axis=None):
    """Leave out axes of size 1."""
    return np.squeeze(x, axis)


squeeze.vjp(x=lambda g, x_shape: np.reshape(g, x_shape))


@primitive(np.expand_dims, kind="view", linear="jointly")
def expand_dims(x, *, axis):
    """Put in axes of size 1."""
    return np.expand_dims(x, axis)


expand_dims.vjp(x=lambda g, x_shape: np.reshape(g, x_shape))


@primitive(np.broadcast_to, kind="view", linear="jointly")
def broadcast_to(x, *, shape):
    """Repeat along new axes and axes of size 1. The gradient is summed back over them."""
    return np.broadcast_to(x, shape)


broadcast_to.vjp(x=lambda g: g)  # the walk sums a cotangent back to its argument's shape


# --- joining and splitting ------------------------------------------------------------------------------------------


@primitive(linear="jointly")
def concatenate(*arrays, axis=0):
    """Join arrays along an axis."""
    return np.concatenate(arrays, axis)


@concatenate.vjp_shared
def _concatenate_rule(g: Any, arrays_shape: Any, axis: Any, *, wants: tuple[int, ...]) -> tuple[Any, ...]:
    if axis is None:
        pieces = np.split(np.ravel(g), np.cumsum([int(np.prod(shape)) for shape in arrays_shape])[:-1])
        return tuple(np.reshape(pieces[i], arrays_shape[i]) for i in wants)
    stops = np.cumsum([shape[axis] for shape in arrays_shape])
    before = (slice(None),) * (axis % len(arrays_shape[0]))
    return tuple(g[(*before, slice(stops[i] - arrays_shape[i][axis], stops[i]))] for i in wants)


@implements(np.concatenate, np.concat)
def _np_concatenate(
    arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    if out is not None:
        raise refuse("np.concatenate", "out")
    return concatenate(*cast(arrays, dtype, casting), axis=axis)


def cast(arrays: Any, dtype: Any, casting: str) -> Any:
    """Convert arrays to the dtype that the result of joining them shall have (none: leave that to NumPy)."""
    if dtype is None and casting == "same_kind":
        return arrays
    arrays = list(map(as_array, arrays))
    wanted = np.result_type(*arrays) if dtype is None else np.dtype(dtype)
    for x in arrays:
        if not np.can_cast(x.dtype, wanted, casting):
            raise TypeError(f"cannot join {x.dtype} and others as {wanted} with casting={casting!r}")
    return [x.astype(wanted) for x in arrays]


@primitive(linear="jointly")
def stack(*arrays, axis=0):
    """Join arrays of one shape along a new axis."""
    return np.stack(arrays, axis)


@stack.vjp_shared
def _stack_rule(g: Any, axis: int, *, wants: tuple[int, ...]) -> tuple[Any, ...]:
    before = (slice(None),) * (axis % len(g.shape))
    return tuple(g[(*before, i)] for i in wants)


@implements(np.stack)
def _np_stack(arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    if out is not None:
        raise refuse("np.stack", "out")
    return stack(*cast(arrays, dtype, casting), axis=axis)


@primitive(outputs="many", linear="jointly")
def split(x, *, indices_or_sections, axis=0):
    """Cut an array into pieces along an axis."""
    return tuple(np.split(x, indices_or_sections, axis))


split.vjp(x=lambda g, axis: np.concatenate(g, axis))


@implements(np.split)
def _np_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if not isinstance(indices_or_sections, (int, np.integer)):
        indices_or_sections = tuple(int(i) for i in indices_or_sections)
    return list(split(ary, indices_or_sections=indices_or_sections, axis=axis))


# --- questions about arrays: plain answers --------------------------------------------------------------------------

for _question in (
    np.shape,
    np.ndim,
    np.size,
    np.iscomplexobj,
    np.isrealobj,
    np.result_type,
    np.can_cast,
    np.common_type,
    np.zeros_like,
    np.ones_like,
    np.empty_like,
    np.tril_indices_from,
    np.triu_indices_from,
    np.diag_indices_from,
):

    def _ask(*args: Any, _function: Any = _question, **keywords: Any) -> Any:
        return _function(*map(_stand_in, args), **{name: _stand_in(x) for name, x in keywords.items()})

    FUNCTIONS[_question] = _ask


def _stand_in(x: Any) -> Any:
    """Return an array of the same shape and dtype that costs no memory; other things as they are."""
    return np.broadcast_to(np.zeros((), x.dtype), x.shape) if type(x) is Tensor else x


@implements(np.full_like)
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **device: Any
) -> Any:
    """Return an array like another, filled with a value. Where that is a Tensor, its gradient is kept."""
    if type(fill_value) is not Tensor:
        return np.full_like(_stand_in(a), fill_value, dtype, order, subok, shape, **device)
    wanted = np.empty_like(_stand_in(a), dtype, shape=shape)
    return np.broadcast_to(fill_value.astype(wanted.dtype), wanted.shape)


def _astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    return x.astype(dtype)


if hasattr(np, "astype"):  # NumPy 2.1
    FUNCTIONS[np.astype] = _astype


def _value(x: Any) -> Any:
    """Return the plain array inside a Tensor, unless a program is being captured; other things as they are."""
    return x.concrete("a comparison of arrays") if type(x) is Tensor else x


for _comparison in (
    np.array_equal,
    np.array_equiv,
    np.allclose,
    np.isclose,
    np.array2string,
    np.array_repr,
    np.array_str,
):

    def _on_values(*args: Any, _function: Any = _comparison, **keywords: Any) -> Any:
        return _function(*map(_value, args), **{name: _value(x) for name, x in keywords.items()})

    FUNCTIONS[_comparison] = _on_values
