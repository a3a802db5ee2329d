"""What a program's source says of its sections: the calls of routines, and the lines around them.

The addresses of buffers and constants are in the table of addresses from the beginning. For other arrays a run notes
which objects they are, and the routines' loop looks up where their numbers lie (see `kernels/jit/routine.py`); if one
of them is not contiguous it makes no call, and the run puts a copy in its place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from .capture import Step
from .fuse import renumbered
from .section import Call, Code, Slot

__all__ = ["Native"]


class Native:
    """Writes the sections of a program.

    Parameters
    ----------
    writer : the writer of the program
        It has the names of entries and their specs, the plan, and the lines so far.
    routine : module
        `kernels.jit.routine`.

    Attributes
    ----------
    calls : list of (step, call)
        Those of the section that is under way.
    numbers : list of str
        Lines to follow it, which take its results of shape () out of their arrays: Python knows them as numbers.
    after : list of str
        Lines to follow them.
    """

    def __init__(self, writer: Any, routine: Any) -> None:
        self.writer, self.routine = writer, routine
        self.bind = writer.bind
        self.calls: list[tuple[Step, Call]] = []
        self.numbers: list[str] = []
        self.after: list[str] = []
        self._made: set[int] = set()  # what the section computes
        self._copies: set[int] = set()  # of what it reads a copy, perhaps
        self._objects: dict[str, int] = {}  # the arrays whose addresses it looks up, and their places in the table
        self._given_as: list[str] = []  # those of them that may not be contiguous
        self._numbers: dict[Slot, int] = {}  # of a slot, its place in the table
        self._given: list[str] = ["ids"]  # for each, the array that is there from the beginning, or None
        self._filled: set[Slot] = set()
        self._room: dict[Any, int] = {}  # scratch for each dtype
        self._most, self._sections = 0, 0

    def call(self, step: Step, call: Call) -> None:
        """Add a call to the section."""
        roots = self.writer.plan.roots
        if any(slot.kind == "value" and not self._made.isdisjoint(roots[slot.entry]) for slot in call.slots):
            self.end_section()  # what Python is to make contiguous must be there
        for place, (shape, dtype) in enumerate(zip(step.shapes, step.dtypes)):
            self._made.add(step.entry + place)
            self._result(step.entry + place, shape, dtype)
        for slot in call.slots:
            self._fill(slot)
        if call.scratch:
            self._room[call.dtype] = max(self._room.get(call.dtype, 0), call.scratch)
        self.calls.append((step, call))

    def _result(self, entry: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Name a result, and make an array for it if it has no buffer."""
        place = self.writer.plan.place.get(entry)
        self.writer.names[entry] = f"v{entry}" if place is None else f"b{place}"
        if place is None:
            name = f"v{entry}" if shape else f"k{entry}"
            make, kind = self.bind("empty", np.empty), self.bind(f"d_{dtype.name}", dtype)
            self.writer.each.append(f"{name} = {make}({shape}, {kind})")
            self._look_up(Slot("memory", entry), name)
            if not shape:
                self.numbers.append(f"v{entry} = {name}[()]")

    def _fill(self, slot: Slot) -> None:
        """See to it that the address of an array is in the table."""
        if slot in self._filled:
            return
        writer, entry = self.writer, slot.entry
        if slot.kind == "scratch":
            self._number(slot, f"s_{slot.dtype.name}")
        elif slot.kind == "constant":
            value = np.asarray(writer.captured.constants[entry], slot.dtype, order="C")  # itself, where it can
            self._number(slot, self.bind(f"c{entry}_{value.dtype.name}", value))
        elif slot.kind == "memory" and entry in writer.plan.place:
            self._number(slot, writer.names[entry])
        elif slot.kind == "memory" and writer.specs[entry][0]:
            self._given_as.append(writer.names[entry])
            self._look_up(slot, writer.names[entry])
        else:  # a view, or a NumPy scalar, stays what it is
            writer.each.append(f"k{entry} = {self.bind('contiguous', _contiguous)}({writer.names[entry]})")
            self._look_up(slot, f"k{entry}")
            if slot.kind == "value":  # which the next section may find changed
                self._copies.add(entry)
        self._filled.add(slot)

    def _number(self, slot: Slot, array: str = "None") -> int:
        if slot not in self._numbers:
            self._numbers[slot] = len(self._given)
            self._given.append(array)
        return self._numbers[slot]

    def _look_up(self, slot: Slot, name: str) -> None:
        self._objects[name] = self._number(slot)
        self._filled.add(slot)

    def end_section(self) -> None:
        """Write the lines that make the calls, and those that follow them."""
        if self.calls:
            self._write()
            self._sections += 1
        self.writer.each += [*self.numbers, *self.after]
        for entry in self._copies:
            self.writer.each.append(f"k{entry} = None")
            self._filled.discard(Slot("value", entry))
        self.calls, self.numbers, self.after = [], [], []
        self._made, self._copies, self._objects, self._given_as = set(), set(), {}, []

    def _write(self) -> None:
        each = self.writer.each
        each.append(f"# {', '.join(step.op.name for step, _ in self.calls)}")
        put = []
        if self._objects:
            self._most = max(self._most, len(self._objects))
            pack = self.bind(f"put{len(self._objects)}", struct.Struct(f"={len(self._objects)}q").pack_into)
            put = [f"{pack}(ids, 0, {', '.join(f'id({name})' for name in self._objects)})"]
        threads = any(call.routine.endswith("_shared") for _, call in self.calls)
        run = self.bind("call_shared", self.routine.run_shared) if threads else self.bind("call", self.routine.run)
        line = f"{run}({self.bind(f'calls{self._sections}', self._calls())}, t)"
        refusing = [(number, step) for number, (step, call) in enumerate(self.calls, 1) if call.refuses]
        if not refusing and not self._given_as:
            each += [*put, line]
            return
        each += [*put, f"refused = {line}", "if refused:"]
        if self._given_as:
            contiguous = self.bind("contiguous", _contiguous)
            each.append("    if refused < 0:")
            each += [f"        {name} = {contiguous}({name})" for name in self._given_as]
            each += [*(f"        {each_line}" for each_line in put), f"        refused = {line}"]
        for number, step in refusing:
            again = ", ".join([self.writer.function(step), *(self.writer.names[parent] for parent in step.parents)])
            each.append(f"    if refused == {number}: {self.bind('refuse', _refuse)}({again})")

    def _calls(self) -> Any:
        """Return the calls of the section, as the addresses of routines and rows; before them, what to look up."""
        places = np.array([*self._objects.values()], np.int64)
        rows = [np.array([self._integer(value) for value in call.row], np.int64) for _, call in self.calls]
        found = [self.routine.find(call.routine, call.dtype) for _, call in self.calls]
        self._keep(places, *rows)
        first = len(places), _address_of(places)
        return np.array([first, *((where, _address_of(row)) for where, row in zip(found, rows))], np.int64)

    def _integer(self, value: Any) -> int:
        if isinstance(value, Slot):
            return self._number(value)
        if isinstance(value, Code):
            places = np.array([self._number(slot) for slot in value.slots], np.int64)
            code = renumbered(value.rows, places)
            self._keep(code)
            return _address_of(code)
        return int(value)

    def _keep(self, *arrays: Any) -> None:
        """Keep arrays as long as the program: they are known by their addresses alone."""
        self.writer.space.setdefault("kept", []).extend(arrays)

    def head(self) -> list[str]:
        """Return the lines that make the table of a run, and the room where it notes arrays."""
        if not self._sections:
            return []
        ids = f"ids = {self.bind('empty', np.empty)}({self._most}, {self.bind('d_int64', np.dtype(np.int64))})"
        return [ids, f"t = {self.bind('table', _table)}({', '.join(self._given)})"]

    @property
    def scratch(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """The arrays to work in, by name."""
        return {f"s_{dtype.name}": ((room,), dtype) for dtype, room in self._room.items()}


def _contiguous(x: Any) -> Any:
    x = np.asarray(x, order="C")
    return x if x.flags.aligned else x.copy()


def _address_of(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _table(*arrays: Any) -> Any:
    """Return the addresses of arrays, and 0 for those that are not there yet."""
    return np.array([0 if x is None else _address_of(x) for x in arrays], np.int64)


def _refuse(function: Callable[..., Any], *arguments: Any) -> None:
    """Call an op with what its routine has found wrong, for the op's own message."""
    function(*arguments)
    raise RuntimeError(f"{function} takes what its routine refuses")
