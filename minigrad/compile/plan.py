"""Where the results of a program live: which get a buffer, which buffer, and when memory is let go.

A buffer is planned once and used again, in a run and by all runs: it is free for another step once its last reader has
run, and an elementwise op may write over an argument that it is the last to read.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np

from .capture import Captured, Step
from .fuse import Chain

__all__ = ["LARGE", "Plan", "is_elementwise", "is_sum", "size_of"]

SMALL = 2
"""Results of fewer elements than this get no buffer: NumPy's scalars are as quick."""
LARGE = 1 << 16
"""Arrays of so many bytes are let go as soon as they have been read for the last time."""


def size_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return how many bytes an array takes."""
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


class Plan:
    """Which results get a buffer, and which buffer.

    Parameters
    ----------
    captured : Captured
    native : container of int
        The numbers of the steps that have a routine: all their results are written where they are told to.

    Attributes
    ----------
    buffers : list of (shape, dtype)
    place : dict of int to int
        Entry -> number of its buffer.
    done : dict of int to list of int
        After the step of this number, the large arrays without a buffer that nobody reads any more.
    fixed : set of int
        Entries whose array is the same object in every run: those with a buffer, and views of them.
    """

    def __init__(self, captured: Captured, native: Container[int] = ()) -> None:
        self.buffers: list[tuple[tuple[int, ...], np.dtype[Any]]] = []
        self.place: dict[int, int] = {}
        self.fixed: set[int] = set()
        self.plain: set[int] = set()  # those of them that are contiguous
        self.roots = _roots(captured)
        last = _last_uses(captured, self.roots)
        self.done: dict[int, list[int]] = {}
        held = {root for result in captured.results if isinstance(result, int) for root in self.roots[result]}
        dying: dict[int, list[int]] = {}
        for root, number in last.items():
            dying.setdefault(number, []).append(root)
        free: dict[Any, list[int]] = {}
        by_python = {p for number, step in enumerate(captured.steps) if number not in native for p in step.parents}
        for number, step in enumerate(captured.steps):
            gone = [root for root in dying.get(number, ()) if root in self.place]
            early = [root for root in gone if self._may_write_over(step, root)]
            for root in early:
                self._release(root, free)
            for entry, key in _written(step, number in native, by_python):
                if entry not in held:
                    self._take(entry, key, free)
            for root in gone:
                if root not in early:
                    self._release(root, free)
            if self._is_view_of_fixed(step):
                self.fixed.add(step.entry)
                if step.op.name == "reshape":
                    self.plain.add(step.entry)
        self._let_go(captured, held)

    def _let_go(self, captured: Captured, held: set[int]) -> None:
        """Find out after which step each large array that is no buffer can be freed."""
        uses: dict[int, int] = {}
        large: set[int] = set()
        for number, step in enumerate(captured.steps):
            uses.update((root, number) for parent in step.parents for root in (parent, *self.roots[parent]))
            for place, (shape, dtype) in enumerate(zip(step.shapes, step.dtypes)):
                entry = step.entry + place
                uses[entry] = number
                if size_of(shape, dtype) >= LARGE and entry not in self.fixed:
                    large.add(entry)
        for entry in sorted(large):
            if held.isdisjoint(self.roots[entry]):
                self.done.setdefault(uses[entry], []).append(entry)

    def _may_write_over(self, step: Step, root: int) -> bool:
        """Whether a step may put its result where an argument is that nobody reads after it."""
        if isinstance(step.op, Chain):
            places = zip(step.parents, step.op.in_place)
            return all(parent == root and allowed for parent, allowed in places if root in self.roots[parent])
        if not is_elementwise(step):
            return False
        for parent in step.parents:
            if root in self.roots[parent] and (parent != root or self.buffers[self.place[root]][0] != step.shapes[0]):
                return False
        return True

    def _take(self, entry: int, key: Any, free: dict[Any, list[int]]) -> None:
        waiting = free.get(key)
        if waiting:
            number = waiting.pop()
        else:
            number = len(self.buffers)
            self.buffers.append(key)
        self.place[entry] = number
        self.fixed.add(entry)
        self.plain.add(entry)

    def _release(self, root: int, free: dict[Any, list[int]]) -> None:
        number = self.place[root]
        free.setdefault(self.buffers[number], []).append(number)

    def _is_view_of_fixed(self, step: Step) -> bool:
        return (
            step.op.kind == "view"
            and len(step.shapes) == 1
            and bool(step.aliases[0])
            and all(parent in self.fixed for parent in step.parents)
            and (step.op.name != "reshape" or step.parents[0] in self.plain)  # else it may be a copy
        )


def _roots(captured: Captured) -> dict[int, frozenset[int]]:
    """For each entry, the entries whose memory it may be part of."""
    roots = {entry: frozenset([entry]) for entry in (*captured.inputs, *captured.constants)}
    for step in captured.steps:
        for number, aliases in enumerate(step.aliases):
            own_memory = frozenset([step.entry + number])
            shared = [roots[step.parents[position]] for position in aliases]
            roots[step.entry + number] = frozenset().union(*shared) if shared else own_memory
    return roots


def _last_uses(captured: Captured, roots: dict[int, frozenset[int]]) -> dict[int, int]:
    """For each piece of memory, the number of the last step that reads or makes it."""
    last: dict[int, int] = {}
    for number, step in enumerate(captured.steps):
        for entry in (*step.parents, *range(step.entry, step.entry + len(step.shapes))):
            for root in roots[entry]:
                last[root] = number
    return last


def is_elementwise(step: Step) -> bool:
    return isinstance(step.op.forward, np.ufunc) and step.op.forward.signature is None and len(step.shapes) == 1


def is_sum(step: Step) -> bool:
    return step.op.name == "sum" and step.op.__module__.startswith("minigrad")


def _written(step: Step, native: bool, by_python: Container[int]) -> list[tuple[int, Any]]:
    """Return which results of a step can be written into buffers, and of what shape and dtype.

    What has no axes is a number for Python, and an array for routines.
    """
    results = [(step.entry + place, key) for place, key in enumerate(zip(step.shapes, step.dtypes))]
    if native:
        return [(entry, key) for entry, key in results if key[0] or entry not in by_python]
    able = is_elementwise(step) or step.op.forward is np.matmul or is_sum(step)
    return results if able and len(results) == 1 and int(np.prod(step.shapes[0], dtype=np.int64)) >= SMALL else []
