"""Sections: runs of steps that compiled code calls one after another (see `kernels/jit/routine.py`).

This module knows which steps have a routine, and what its row says. A view costs nothing here: who reads it reads the
memory that it shows, with an offset and strides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.primitive import REGISTRY
from ..kernels.blas import product
from ..kernels.machine import SHARED
from .capture import Captured, Step
from .fuse import Chain

__all__ = ["Call", "Code", "Sections", "Slot"]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
INTEGERS = np.dtype(np.int64)

THIN = 1 << 14
"""A product of a matrix and a vector with more multiplications than this is NumPy's, which has a function for it."""


class Slot(NamedTuple):
    """An array in the table of addresses.

    Attributes
    ----------
    kind : {"memory", "value", "constant", "scratch"}
        The memory of an entry that is no view; an entry as Python holds it; a constant; room to work in.
    entry : int
    dtype : dtype or None
        Of a constant or of scratch.
    """

    kind: str
    entry: int
    dtype: Any = None


class Code(NamedTuple):
    """A program of the vector machine, and the arrays that its loads and stores count."""

    rows: Any
    slots: tuple[Slot, ...]


class Call(NamedTuple):
    """A call of a routine.

    Attributes
    ----------
    routine : str
    dtype : dtype
        Which the routine works in.
    row : tuple
        Integers, and a Slot or Code where the integer is not known yet.
    scratch : int
        How many numbers it needs room for.
    refuses : bool
        Whether it may find its arguments wrong.
    """

    routine: str
    dtype: np.dtype[Any]
    row: tuple[Any, ...]
    scratch: int = 0
    refuses: bool = False

    @property
    def slots(self) -> Iterator[Slot]:
        for value in self.row:
            if isinstance(value, Slot):
                yield value
            elif isinstance(value, Code):
                yield from value.slots


class _Place(NamedTuple):
    """Where an entry's numbers are: in which entry's memory, from which byte on, and how far apart."""

    memory: int
    offset: int
    strides: tuple[int, ...]


class Sections:
    """Which steps have a routine.

    Parameters
    ----------
    captured : Captured
        With its chains fused.
    threads : int
        How many there are.

    Attributes
    ----------
    calls : dict of int to Call
        By the number of the step.
    places : dict of int to place
        Of entries whose memory is known; a view that is not here may be a copy.
    """

    def __init__(self, captured: Captured, threads: int) -> None:
        self.threads = threads
        self.constants = captured.constants
        self.specs: dict[int, tuple[tuple[int, ...], Any]] = dict(zip(captured.inputs, captured.specs))
        for entry, value in captured.constants.items():
            self.specs[entry] = np.shape(value), getattr(value, "dtype", None)
        for step in captured.steps:
            entries = range(step.entry, step.entry + len(step.shapes))
            self.specs.update(zip(entries, zip(step.shapes, step.dtypes)))
        self.places: dict[int, _Place] = {}
        for entry in captured.inputs:
            self._place(entry)
        self.calls: dict[int, Call] = {}
        for number, step in enumerate(captured.steps):
            call = self._call(step)
            if call is not None:
                self.calls[number] = call
            if any(step.aliases):
                self._look_through(step)
            elif step.op.name != "assembled":  # which lays its numbers out as its reader wants them
                for place in range(len(step.shapes)):
                    self._place(step.entry + place)

    def _call(self, step: Step) -> Call | None:
        if isinstance(step.op, Chain):
            return self._chain(step, step.op)
        known = REGISTRY.get(step.op.name, step.op) is step.op and step.op.__module__.startswith("minigrad.")
        write = _CALLS.get(step.op.name) if known else None
        return None if write is None else write(step, self)

    # --- where numbers are ---

    def _place(self, entry: int) -> None:
        shape, dtype = self.specs[entry]
        self.places[entry] = _Place(entry, 0, _strides(shape, dtype.itemsize))

    def _look_through(self, step: Step) -> None:
        """Note where the results of a view are, if they are in the memory of what it is a view of."""
        place = self.places.get(step.parents[0])
        if place is None or step.op.kind != "view" or len(step.parents) != 1 or "rng" in step.params:
            return
        shape, dtype = self.specs[place.memory]
        memory = np.empty(math.prod(shape) * dtype.itemsize, np.uint8)
        if not memory.size:
            return
        parent = np.ndarray(self.specs[step.parents[0]][0], dtype, memory, place.offset, place.strides)
        found = step.op.forward(parent, **step.params)
        for number, view in enumerate(found if step.op.outputs else [found]):
            if isinstance(view, np.ndarray) and view.dtype == dtype and np.may_share_memory(view, memory):
                offset = view.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
                self.places[step.entry + number] = _Place(place.memory, offset, view.strides)

    def operand(self, entry: int) -> tuple[Slot, int, tuple[int, ...]]:
        """Return the memory of an entry, the offset in it, and the strides."""
        if entry in self.places:
            memory, offset, strides = self.places[entry]
            return Slot("memory", memory), offset, strides
        return self.copied(entry)

    def copied(self, entry: int) -> tuple[Slot, int, tuple[int, ...]]:
        """Return the same for an array that is contiguous: the value itself, or a copy that is made of it."""
        shape, dtype = self.specs[entry]
        if entry in self.constants:
            return Slot("constant", entry, dtype), 0, _strides(shape, dtype.itemsize)
        return Slot("value", entry), 0, _strides(shape, dtype.itemsize)

    def contiguous(self, entry: int) -> tuple[Slot, int]:
        """Return memory and offset of an entry whose numbers lie one after another."""
        shape, dtype = self.specs[entry]
        slot, offset, strides = self.operand(entry)
        if not _same_order(strides, _strides(shape, dtype.itemsize), shape):
            slot, offset, _ = self.copied(entry)
        return slot, offset

    def whole(self, entry: int, dtype: Any = None) -> Slot:
        """Return where an entry's numbers lie one after another from the first byte on; of a constant, in a dtype."""
        if entry in self.constants:
            value = self.constants[entry]
            own = getattr(value, "dtype", None)
            return Slot("constant", entry, own if own == np.bool_ else dtype)
        slot, offset = self.contiguous(entry)
        return slot if not offset else Slot("value", entry)

    # --- chains ---

    def _chain(self, step: Step, chain: Chain) -> Call:
        slots = [self.whole(parent, chain.dtype) for parent in step.parents]
        slots += _results(step)
        threads = self.threads if chain.layout.rows * chain.layout.columns >= SHARED else 1
        room, scratch = chain.slots * chain.layout.width, Slot("scratch", -1, chain.dtype)
        row = (Code(chain.code, tuple(slots)), len(chain.code), scratch, room, threads)
        return Call("chain" if threads == 1 else "chain_shared", chain.dtype, row, room * threads)


def _results(step: Step) -> list[Slot]:
    return [Slot("memory", step.entry + place) for place in range(len(step.shapes))]


def _strides(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Return the strides of numbers that lie one after another."""
    return tuple(itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _same_order(strides: Sequence[int], others: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether strides are the same where they matter."""
    return all(one == other for one, other, size in zip(strides, others, shape) if size > 1)


# --- products --------------------------------------------------------------------------------------------------------


def _matmul(step: Step, work: Sections) -> Call | None:
    dtype = step.dtypes[0]
    if dtype not in FLOATS or step.params or any(work.specs[parent][1] != dtype for parent in step.parents):
        return None
    first, second = (work.specs[parent][0] for parent in step.parents)
    m, k, n = first[-2] if len(first) > 1 else 1, first[-1], second[-1] if len(second) > 1 else 1
    function = product(dtype)
    if function is None or 0 in (*first, *second) or min(m, n) == 1 and m * n * k > THIN:
        return None
    lead = np.broadcast_shapes(first[:-2], second[:-2])
    parts = []
    for parent, shape, column in zip(step.parents, (first, second), (False, True)):
        matrices = _matrices(*work.operand(parent), shape, column, lead, dtype.itemsize) or _matrices(
            *work.copied(parent), shape, column, lead, dtype.itemsize
        )
        if matrices is None:
            return None
        parts.append(matrices)
    (a, a_step), (b, b_step) = parts
    count = math.prod(lead)
    if count > 1 and not b_step and not a[2] and a_step == m * a[3] * dtype.itemsize:  # rows of all, by one matrix
        m, count = m * count, 1
    return Call("matmul", dtype, (function, *a, a_step, *b, b_step, *_results(step), m, n, k, count))


def _matrices(
    slot: Slot,
    offset: int,
    strides: tuple[int, ...],
    shape: tuple[int, ...],
    column: bool,
    lead: tuple[int, ...],
    itemsize: int,
) -> tuple[tuple[Slot, int, int, int], int] | None:
    """Return memory, offset, whether transposed and the leading dimension of matrices, and the step between them.

    None if BLAS cannot read them, or the step is not the same everywhere. A vector is a row or a column.
    """
    if len(shape) == 1:
        shape, strides = ((*shape, 1), (*strides, 0)) if column else ((1, *shape), (0, *strides))
    *outer, rows, columns = shape
    *steps, down, across = strides
    if (across == itemsize or columns == 1) and (down >= columns * itemsize or rows == 1):
        flip, leading = 0, down // itemsize if rows > 1 else columns
    elif (down == itemsize or rows == 1) and (across >= rows * itemsize or columns == 1):
        flip, leading = 1, across // itemsize if columns > 1 else rows
    else:
        return None
    if (down if not flip else across) % itemsize:
        return None
    step = 0
    if math.prod(outer) > 1:
        if tuple(outer) != lead:
            return None
        inner = [(size, s) for size, s in zip(outer, steps) if size > 1]
        step = inner[-1][1]
        if any(s != size * t for (_, s), (size, t) in zip(inner, inner[1:])):
            return None
    return (slot, offset, flip, leading), step


# --- sums and losses -------------------------------------------------------------------------------------------------


def _sum(step: Step, work: Sections) -> Call | None:
    (x,) = step.parents
    shape, dtype = work.specs[x]
    if dtype not in FLOATS or step.dtypes[0] != dtype or 0 in shape:
        return None
    axis = step.params["axis"]
    axes = range(len(shape)) if axis is None else [axis] if isinstance(axis, (int, np.integer)) else axis
    four = _alternating(shape, {each % max(len(shape), 1) for each in axes})
    if four is None:
        return None
    threads = min(four[1], work.threads) if math.prod(shape) >= SHARED else 1
    row = (*work.contiguous(x), *_results(step), *four, threads)
    return Call("sum" if threads == 1 else "sum_shared", dtype, row)


def _alternating(shape: tuple[int, ...], axes: set[int]) -> list[int] | None:
    """Return a shape as four axes, the first and third of them summed over; None if it alternates more often."""
    sizes, summed = [1], True
    for axis, size in enumerate(shape):
        if size != 1 and (axis in axes) != summed:
            sizes.append(1)
            summed = not summed
        sizes[-1] *= size
    return [*sizes, 1, 1, 1][:4] if len(sizes) <= 4 else None


def _sum_squares(step: Step, work: Sections) -> Call | None:
    (x,) = step.parents
    shape, dtype = work.specs[x]
    if dtype not in FLOATS or step.dtypes[0] != dtype or not 0 < math.prod(shape) < SHARED:
        return None
    return Call("sum_squares", dtype, (*work.contiguous(x), *_results(step), math.prod(shape)))


def _softmax_loss(step: Step, work: Sections) -> Call | None:
    scores, y = step.parents
    if not _scores_and_labels(scores, y, work):
        return None
    loss, highest, total = _results(step)
    row = (work.whole(scores), work.whole(y, INTEGERS), loss, highest, total, *work.specs[scores][0])
    return Call("softmax_loss", step.dtypes[0], row, refuses=True)


def _softmax_loss_backward(step: Step, work: Sections) -> Call | None:
    g, scores, y, highest, total = step.parents
    dtype = step.dtypes[0]
    known = _scores_and_labels(scores, y, work) and all(work.specs[e][1] == dtype for e in (scores, highest, total))
    if not known or work.specs[g][0] or work.specs[g][1] not in (None, dtype):
        return None
    row = [work.whole(g, dtype), work.whole(scores), work.whole(y, INTEGERS), work.whole(highest), work.whole(total)]
    return Call("softmax_loss_backward", dtype, (*row, *_results(step), *work.specs[scores][0]))


def _scores_and_labels(scores: int, y: int, work: Sections) -> bool:
    (shape, dtype), (labels, integers) = work.specs[scores], work.specs[y]
    known = dtype in FLOATS and len(shape) == 2 and labels == shape[:1] and integers == INTEGERS
    return known and 0 < math.prod(shape) < SHARED  # a kernel has threads for more


# --- normalisation ----------------------------------------------------------------------------------------------------


def _batchnorm(step: Step, work: Sections) -> Call | None:
    known = _few_pixels(step, work)
    if known is None:
        return None
    sizes, dtype = known
    results = _results(step)
    rectified = len(results) == 4
    row = [*map(work.whole, step.parents), *results, *([] if rectified else [0]), *sizes]
    return Call("batchnorm", dtype, (*row, _bits(step.params["eps"]), int(rectified)))


def _batchnorm_backward(step: Step, work: Sections) -> Call | None:
    known = _few_pixels(step, work)
    if known is None:
        return None
    sizes, dtype = known
    rectified = len(step.parents) == 6
    wants = dict(zip(step.params["needs"], _results(step)))
    reads = [*map(work.whole, step.parents)]
    reads += [] if rectified else reads[-1:]  # there is nothing to rectify, but something to point at
    wanted = [wants.get(name, -1) for name in ("x", "gamma", "beta")]
    return Call("batchnorm_backward", dtype, (*reads, *wanted, *sizes, _bits(step.params["eps"]), int(rectified)))


def _few_pixels(step: Step, work: Sections) -> tuple[tuple[int, int, int], Any] | None:
    """Return samples, channels and pixels of what is normalised, and the dtype, if a thread does best alone."""
    shape, dtype = work.specs[step.parents[1 if "needs" in step.params else 0]]
    same = all(work.specs[parent][1] == dtype for parent in step.parents)
    if (
        dtype not in FLOATS
        or not same
        or not 0 < math.prod(shape) < SHARED
        or step.params.get("layout", "NCHW") != "NCHW"
    ):
        return None
    return (shape[0], shape[1], math.prod(shape[2:])), dtype


def _bits(value: float) -> int:
    return int(np.float64(value).view(np.int64))


_CALLS: dict[str, Callable[[Step, Sections], Call | None]] = {
    "batchnorm": _batchnorm,
    "batchnorm_backward": _batchnorm_backward,
    "matmul": _matmul,
    "sum": _sum,
    "sum_squares": _sum_squares,
    "softmax_loss": _softmax_loss,
    "softmax_loss_backward": _softmax_loss_backward,
    "spatial_batchnorm": _batchnorm,
    "spatial_batchnorm_backward": _batchnorm_backward,
    "rectified_batchnorm": _batchnorm,
    "rectified_batchnorm_backward": _batchnorm_backward,
}
