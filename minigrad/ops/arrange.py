"""Arranging: moving and reversing axes, repeating, joining in NumPy's many ways, cutting, padding.

Most are made of other functions and need no rule: ``np.vstack`` is a concatenation, ``np.tile`` a broadcast between two
reshapes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ..core.errors import NoGradientRule
from ..core.numpy_protocol import FUNCTIONS, implements, refuse
from ..core.primitive import primitive
from ..core.tensor import Tensor
from .define import as_array
from .index import gather, numbered
from .shape import broadcast_to, concatenate, plain_shape, reshape, swapaxes, transpose

# --- broadcasting ---------------------------------------------------------------------------------------------------


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    """Broadcast arrays against each other."""
    shape = np.broadcast_shapes(*map(np.shape, args))
    return tuple(np.broadcast_to(x, shape) for x in args)


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    """Make coordinate arrays from vectors of coordinates."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid takes indexing='xy' or 'ij', and {indexing!r} came")
    swapped = indexing == "xy" and len(xi) > 1
    place = [1, 0, *range(2, len(xi))] if swapped else range(len(xi))
    open_mesh = [_along(as_array(x), axis, len(xi)) for x, axis in zip(xi, place)]
    return tuple(open_mesh) if sparse else broadcast_arrays(*open_mesh)


@implements(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    """Make an open mesh from vectors: the k-th gets the k-th axis."""
    mesh = []
    for axis, x in enumerate(map(as_array, args)):
        if x.ndim != 1:
            raise ValueError(f"ix_ takes arrays of one dimension, and one of shape {x.shape} came")
        mesh.append(_along(np.nonzero(x)[0] if x.dtype.kind == "b" else x, axis, len(args)))
    return tuple(mesh)


def _along(x: Any, axis: int, ndim: int) -> Any:
    """Reshape a vector so that it lies along an axis."""
    return np.reshape(x, (1,) * axis + (-1,) + (1,) * (ndim - axis - 1))


# --- moving axes ----------------------------------------------------------------------------------------------------


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Move axes to other positions; the others keep their order."""
    origins = normalize_axis_tuple(source, a.ndim, "source")
    places = normalize_axis_tuple(destination, a.ndim, "destination")
    if len(origins) != len(places):
        raise ValueError(f"moveaxis: {len(origins)} axes to move (source), and {len(places)} places (destination)")
    order = [axis for axis in range(a.ndim) if axis not in origins]
    for place, origin in sorted(zip(places, origins)):
        order.insert(place, origin)
    return transpose(a, axes=tuple(order))


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """Move one axis backwards until it lies before another."""
    axis = normalize_axis_index(axis, a.ndim)
    start += a.ndim if start < 0 else 0
    if not 0 <= start <= a.ndim:
        raise np.exceptions.AxisError(f"rollaxis of {a.ndim} axes takes start from {-a.ndim} to {a.ndim}")
    order = [other for other in range(a.ndim) if other != axis]
    order.insert(start - (axis < start), axis)
    return transpose(a, axes=tuple(order))


def _atleast(widen: Callable[[Any], tuple[int, ...]]) -> Callable[..., Any]:
    """Return a function that reshapes each of its arguments, given what the new shape is."""

    def atleast(*arys: Any) -> Any:
        widened = tuple(np.reshape(x, widen(np.shape(x))) for x in map(as_array, arys))
        return widened[0] if len(widened) == 1 else widened

    return atleast


FUNCTIONS[np.atleast_1d] = _atleast(lambda shape: shape or (1,))
FUNCTIONS[np.atleast_2d] = _atleast(lambda shape: (1,) * (2 - len(shape)) + shape)
FUNCTIONS[np.atleast_3d] = _atleast(lambda shape: [(1, 1, 1), (1, *shape, 1), (*shape, 1), shape][min(len(shape), 3)])


# --- reversing and rotating -----------------------------------------------------------------------------------------


@primitive(np.flip, kind="view", linear="jointly")
def flip(x, *, axis=None):
    """Reverse the order of elements along axes (along all when none is given)."""
    return np.flip(x, axis)


flip.vjp(x=lambda g, axis: np.flip(g, axis))


@implements(np.flipud)
def flipud(m: Any) -> Any:
    """Reverse the first axis."""
    return _flip_one(m, 0, "flipud")


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    """Reverse the second axis."""
    return _flip_one(m, 1, "fliplr")


def _flip_one(m: Any, axis: int, name: str) -> Any:
    if m.ndim <= axis:
        raise ValueError(f"{name} takes an array of at least {axis + 1} dimensions, and one of shape {m.shape} came")
    return flip(m, axis=axis)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Rotate by 90 degrees, k times, in the plane of two axes, from the first to the second."""
    first, second = normalize_axis_tuple(axes, m.ndim)
    turns = k % 4
    if turns == 0:
        return m.copy()
    if turns == 2:
        return flip(m, axis=(first, second))
    turned = flip(m, axis=second if turns == 1 else first)
    return swapaxes(turned, axis1=first, axis2=second)


@primitive(linear="jointly")
def roll(x, *, shift, axis=None):
    """Shift elements along axes; those that leave at one end come in at the other."""
    return np.roll(x, shift, axis)


roll.vjp(x=lambda g, shift, axis: np.roll(g, tuple(-n for n in shift) if isinstance(shift, tuple) else -shift, axis))


@implements(np.roll)
def _np_roll(a: Any, shift: Any, axis: Any = None) -> Any:
    return roll(a, shift=_integers(shift), axis=axis if axis is None else _integers(axis))


def _integers(x: Any) -> Any:
    """Return an integer, or the integers of a sequence as a tuple: a static parameter."""
    return operator.index(x) if np.ndim(x) == 0 else tuple(map(operator.index, np.ravel(x)))


# --- repeating ------------------------------------------------------------------------------------------------------


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """Lay copies of an array side by side along its axes."""
    times = tuple(map(operator.index, np.ravel(reps)))
    ndim = max(A.ndim, len(times))
    sizes = (1,) * (ndim - A.ndim) + A.shape
    times = (1,) * (ndim - len(times)) + times
    apart = reshape(A, shape=tuple(n for size in sizes for n in (1, size)))
    copies = broadcast_to(apart, shape=tuple(n for pair in zip(times, sizes) for n in pair))
    return reshape(copies, shape=tuple(map(operator.mul, times, sizes)))


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """Repeat each element (along an axis) as often as told, by one number or by one number each."""
    if axis is None:
        return repeat(np.ravel(a), repeats, 0)
    axis = normalize_axis_index(axis, np.ndim(a))
    before, size, after = np.shape(a)[:axis], np.shape(a)[axis], np.shape(a)[axis + 1 :]
    if np.size(repeats) != 1:
        return gather(a, np.repeat(np.arange(size), repeats), axis)
    times = operator.index(np.ravel(repeats)[0])
    copies = np.broadcast_to(np.expand_dims(a, axis + 1), (*before, size, times, *after))
    return np.reshape(copies, (*before, size * times, *after))


Tensor.repeat = repeat  # type: ignore[attr-defined]


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """Fill another shape with the elements, over again or cut off as needed."""
    shape = plain_shape(new_shape)
    return gather(a, np.resize(numbered(a.shape), shape)) if a.size else np.zeros(shape, a.dtype)


# --- joining --------------------------------------------------------------------------------------------------------


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Join row by row: along the first axis, vectors as rows."""
    return np.concatenate([np.atleast_2d(x) for x in tup], 0, dtype=dtype, casting=casting)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    """Join column by column: along the second axis, vectors along their only one."""
    arrays = [np.atleast_1d(x) for x in tup]
    flat = bool(arrays) and arrays[0].ndim == 1
    return np.concatenate(arrays, 0 if flat else 1, dtype=dtype, casting=casting)


@implements(np.dstack)
def dstack(tup: Any) -> Any:
    """Join in depth: along the third axis."""
    return np.concatenate([np.atleast_3d(x) for x in tup], 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    """Join vectors as the columns of a matrix, and matrices by their columns."""
    arrays = map(as_array, tup)
    return np.concatenate([x if x.ndim >= 2 else np.reshape(x, (-1, 1)) for x in arrays], 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """Join two arrays along an axis (flattened when none is given)."""
    return concatenate(as_array(arr), as_array(values), axis=axis)


@implements(np.block)
def block(arrays: Any) -> Any:
    """Join an array from nested lists of blocks: the innermost lists along the last axis, and so on outwards."""
    depth = _depth(arrays)
    ndim = max(depth, *(np.ndim(leaf) for leaf in _leaves(arrays)))

    def join(blocks: Any, level: int) -> Any:
        if level == depth:
            return np.reshape(blocks, (1,) * (ndim - np.ndim(blocks)) + np.shape(blocks))
        return np.concatenate([join(inner, level + 1) for inner in blocks], axis=level - depth)

    return join(arrays, 0)


def _depth(blocks: Any) -> int:
    """Return how deep the lists of blocks are nested, or raise if that differs from place to place."""
    if not isinstance(blocks, list):
        if isinstance(blocks, tuple):
            raise TypeError("block takes nested lists of arrays, and a tuple came")
        return 0
    depths = set(map(_depth, blocks))
    if len(depths) != 1:
        raise ValueError(f"block takes lists nested to one depth, and there are the depths {sorted(depths)}")
    return depths.pop() + 1


def _leaves(blocks: Any) -> list[Any]:
    return [leaf for inner in blocks for leaf in _leaves(inner)] if isinstance(blocks, list) else [blocks]


# --- cutting --------------------------------------------------------------------------------------------------------


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut into pieces along an axis, the first of them one longer where the size does not divide."""
    if np.ndim(indices_or_sections) == 0:
        pieces, size = operator.index(indices_or_sections), ary.shape[axis]
        if pieces <= 0:
            raise ValueError(f"array_split takes a positive number of sections, and {pieces} came")
        indices_or_sections = [i * (size // pieces) + min(i, size % pieces) for i in range(1, pieces)]
    return np.split(ary, indices_or_sections, axis)


def _split_along(axis: int, least: int) -> Callable[..., Any]:
    """Return the function that splits arrays of at least so many dimensions along an axis."""

    def along(ary: Any, indices_or_sections: Any) -> list[Any]:
        if ary.ndim < least:
            raise ValueError(f"an array of shape {ary.shape} has no axis to split; it takes {least} or more dimensions")
        return np.split(ary, indices_or_sections, min(axis, ary.ndim - 1))  # hsplit splits vectors along their only one

    return along


FUNCTIONS[np.hsplit] = _split_along(1, least=1)
FUNCTIONS[np.vsplit] = _split_along(0, least=2)
FUNCTIONS[np.dsplit] = _split_along(2, least=3)


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """Return the slices along an axis, without it."""
    if x.ndim == 0:
        raise ValueError("unstack takes an array of at least one dimension, and one of shape () came")
    size = x.shape[axis]
    return tuple(np.squeeze(piece, axis) for piece in np.split(x, size, axis)) if size else ()


if hasattr(np, "unstack"):  # NumPy 2.1
    FUNCTIONS[np.unstack] = unstack


# --- padding --------------------------------------------------------------------------------------------------------

_PAD_OPTIONS: dict[str, tuple[str, Any]] = {  # what each way to pad can be told, and its default
    "constant": ("constant_values", 0),
    "edge": ("", None),
    "wrap": ("", None),
    "reflect": ("reflect_type", "even"),
    "symmetric": ("reflect_type", "even"),
    "linear_ramp": ("end_values", 0),
    "maximum": ("stat_length", None),
    "minimum": ("stat_length", None),
    "mean": ("stat_length", None),
    "median": ("stat_length", None),
}
_STATISTICS = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}

Widths = tuple[tuple[int, int], ...]  # for each axis how much before and how much after


@primitive(linear="jointly")
def pad(x, *, widths):
    """Put zeros around an array: along each axis so many before and so many after."""
    return np.pad(x, widths or 0)


def _pad_rule(g: Any, x_shape: tuple[int, ...], widths: Widths) -> Any:
    return g[tuple(slice(before, before + size) for (before, _), size in zip(widths, x_shape))]


pad.vjp(x=_pad_rule)


@implements(np.pad)
def _np_pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """Pad in any mode of NumPy's but ``"empty"``; ``constant_values`` and ``end_values`` may be Tensors too."""
    setting = _pad_setting(mode, options)
    widths = _pad_widths(pad_width, array.ndim)
    if mode == "constant":
        return _pad_with_constants(array, widths, setting)
    for size, width in zip(array.shape, widths):
        if size == 0 and width != (0, 0):
            raise ValueError(f"np.pad with mode={mode!r} has nothing to fill an axis of size 0 with")
    if mode in _STATISTICS:
        return _pad_with_statistic(array, widths, _STATISTICS[mode], setting)
    if mode == "linear_ramp":
        return _pad_with_ramp(array, widths, setting)
    if setting == "odd":
        return _pad_by_matrices(array, widths, mode, reflect_type="odd")
    return gather(array, np.pad(numbered(array.shape), widths or 0, mode))


def _pad_setting(mode: Any, options: dict[str, Any]) -> Any:
    """Return the one option that a mode has, or raise for a mode or options that there are not."""
    if callable(mode) or mode == "empty":
        what = "a function as mode, which would write into its argument" if callable(mode) else "mode='empty'"
        raise NoGradientRule(f"np.pad on a Tensor does not take {what}; it takes {', '.join(_PAD_OPTIONS)}")
    if mode not in _PAD_OPTIONS:
        raise ValueError(f"np.pad has no mode {mode!r}; on a Tensor it takes {', '.join(_PAD_OPTIONS)}")
    option, default = _PAD_OPTIONS[mode]
    for name in options.keys() - {option}:
        raise ValueError(f"np.pad with mode={mode!r} does not take {name}=")
    return options.get(option, default)


def _pad_widths(pad_width: Any, ndim: int) -> Widths:
    """Return the widths of all axes from any of NumPy's spellings: a number, a pair, pairs, a dict by axis."""
    if isinstance(pad_width, dict):
        full: Any = np.zeros((ndim, 2), int)
        for axis, width in pad_width.items():
            full[axis] = width
    else:
        full = np.broadcast_to(pad_width, (ndim, 2))
    return tuple((operator.index(before), operator.index(after)) for before, after in full)


def _pad_with_constants(x: Any, widths: Widths, constants: Any) -> Any:
    inside = pad(x, widths=widths)
    if type(constants) is not Tensor and not np.any(constants):
        return inside
    ndim = len(widths)
    sides = 1 + np.arange(2 * ndim).reshape(ndim, 2)
    # Where each element is from: 0 inside, else the number of a side. Later axes have the corners, as in NumPy.
    side = np.pad(np.zeros(x.shape, int), widths, constant_values=sides)
    constants = np.broadcast_to(as_array(constants).astype(x.dtype), (ndim, 2))
    return np.where(side > 0, gather(constants, np.maximum(side - 1, 0)), inside)


def _pad_with_statistic(x: Any, widths: Widths, statistic: Callable[..., Any], lengths: Any) -> Any:
    """Pad with a statistic of so many elements next to each edge (of all, when no length is given)."""
    lengths = np.broadcast_to(np.iinfo(int).max if lengths is None else lengths, (len(widths), 2))
    for axis, (width, near) in enumerate(zip(widths, lengths)):
        size, before = x.shape[axis], (slice(None),) * axis
        first, last = (min(size, int(length)) for length in near)
        parts = [x[(*before, slice(first))], x, x[(*before, slice(size - last, None))]]
        for side, wide in ((0, width[0]), (2, width[1])):
            value = statistic(parts[side], axis=axis, keepdims=True)
            parts[side] = np.broadcast_to(value, (*x.shape[:axis], wide, *x.shape[axis + 1 :]))
        x = np.concatenate(parts, axis)
    return x


def _pad_with_ramp(x: Any, widths: Widths, ends: Any) -> Any:
    """Pad with straight lines from the edges to the end values."""
    ends = np.broadcast_to(as_array(ends).astype(x.dtype), (len(widths), 2))
    for axis, (width, (start, end)) in enumerate(zip(widths, ends)):
        x = _pad_by_matrices(x, ((0, 0),) * axis + (width,), "linear_ramp")
        rise = np.pad(np.zeros(1, x.dtype), width, "linear_ramp", end_values=1)  # how much of its end value each has
        inner = np.zeros(x.shape[axis] - sum(width), x.dtype)
        ramp = np.concatenate([rise[: width[0]] * start, inner, rise[width[0] + 1 :] * end])
        x = x + _along(ramp, 0, x.ndim - axis)
    return x


def _pad_by_matrices(x: Any, widths: Widths, mode: str, **options: Any) -> Any:
    """Pad in a mode that is linear in the elements: along each axis by the matrix that NumPy pads an identity to."""
    for axis, width in enumerate(widths):
        if width != (0, 0):
            matrix = np.pad(np.eye(x.shape[axis], dtype=x.dtype), (width, (0, 0)), mode, **options)
            x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)
    return x


def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """Return all windows of a shape into an array."""
    if writeable:
        raise refuse("np.lib.stride_tricks.sliding_window_view", "writeable")
    return gather(x, np.lib.stride_tricks.sliding_window_view(numbered(x.shape), window_shape, axis))


FUNCTIONS[np.lib.stride_tricks.sliding_window_view] = sliding_window_view
