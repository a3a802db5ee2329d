"""Fuse chains of elementwise steps into programs of the vector machine (`kernels/machine.py`).

Steps on arrays of one shape and dtype are collected into groups, from the last step to the first: a step joins the
groups of the steps that read it, unless a way leads from it to such a group through a step outside, which would have to
run both before and after the group. So what only the backward pass needs of the forward pass is computed there, and not
kept.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..core.primitive import REGISTRY
from ..kernels.machine import BLOCK, INSTRUCTIONS, Layout, header, layout
from .capture import Captured, Step
from .simplify import draws

__all__ = ["Chain", "fuse", "renumbered"]

BOOL = np.dtype(bool)

TRUTHS = frozenset(
    "greater greater_equal less less_equal equal not_equal logical_and logical_or logical_not isnan".split()
)
"""Instructions whose result is 0 or 1."""

Key = tuple[tuple[int, ...], Any]


class Chain:
    """A fused group of steps, in the place of an op.

    Attributes
    ----------
    code : array (rows, 5) of int64
        The program, as `kernels/machine.py` describes it. The table of addresses has an entry for each parent of the
        step, then one for each result.
    layout : Layout
    slots : int
    dtype : dtype
    counts : tuple of int
        How many elements each parent has.
    in_place : tuple of bool
        For each parent, whether a result may be written over it: it is read where the result is written, and before.
    """

    kind = "op"
    name = "chain"
    forward = None

    def __init__(self, code: Any, shape: Layout, slots: int, dtype: Any, in_place: tuple[bool, ...]) -> None:
        self.code, self.layout, self.slots, self.dtype, self.in_place = code, shape, slots, dtype, in_place
        self.outputs = ("out",)


def fuse(captured: Captured) -> Captured:
    """Return the same program with its chains of elementwise steps fused."""
    work = _Work(captured)
    groups = _grouped(captured, work)
    if not groups:
        return captured
    fused = {number: group for group in groups for number in group.members}
    return _rewritten(captured, work, fused, groups)


def renumbered(code: Any, places: Any) -> Any:
    """Return a program whose loads and stores count the entries of another table."""
    code = code.copy()
    op = code[1:, 0]
    loads, stores = op <= INSTRUCTIONS["load_bool"], op > INSTRUCTIONS["load_bool"]
    stores &= op <= INSTRUCTIONS["store_bool"]
    code[1:, 2][loads] = places[code[1:, 2][loads]]
    code[1:, 1][stores] = places[code[1:, 1][stores]]
    return code


# --- which steps the machine can run ----------------------------------------------------------------------------------


class _Work:
    """What is known of each entry: shape, dtype, value of a constant, and who reads it."""

    def __init__(self, captured: Captured) -> None:
        self.constants = captured.constants
        self.specs: dict[int, tuple[tuple[int, ...], Any]] = dict(zip(captured.inputs, captured.specs))
        for entry, value in captured.constants.items():
            self.specs[entry] = np.shape(value), getattr(value, "dtype", None)
        self.made_by: dict[int, int] = {}
        for number, step in enumerate(captured.steps):
            for place, spec in enumerate(zip(step.shapes, step.dtypes)):
                self.specs[step.entry + place] = spec
                self.made_by[step.entry + place] = number
        self.keys: list[Key | None] = []
        self.columns: list[int] = []  # how long rows must be for a step, 0 where that does not matter
        for step in captured.steps:
            key = self._key(captured.steps, step)
            columns = self._columns(step, key) if key is not None else None
            self.keys.append(key if columns is not None else None)
            self.columns.append(columns or 0)

    def _key(self, steps: list[Step], step: Step) -> Key | None:
        """Return the shape and the float dtype of a step that the machine can run, else None."""
        if REGISTRY.get(step.op.name) is not step.op or step.op.name not in _WRITERS or len(step.shapes) != 1:
            return None
        if step.aliases[0] or step.params or _WRITERS[step.op.name](step, self) is None:
            return None
        (shape,), (dtype,) = step.shapes, step.dtypes
        if 0 in shape:
            return None
        if dtype == BOOL:
            if step.op.name not in TRUTHS:  # NumPy's sum of two booleans is their "or"
                return None
            found = {self._float_of(parent) for parent in step.parents} - {None}
            if len(found) != 1:
                return None
            (dtype,) = found
        if dtype not in (np.float32, np.float64):
            return None
        return (shape, dtype) if all(self._fits(parent, shape, dtype) for parent in step.parents) else None

    def _float_of(self, entry: int) -> Any:
        """Return the dtype of the floats behind an entry: its own, or for booleans that of what they compare."""
        dtype = self.specs[entry][1]
        if dtype == BOOL and entry in self.made_by:
            key = self.keys[self.made_by[entry]]
            return key[1] if key is not None else None
        return dtype

    def _fits(self, entry: int, shape: tuple[int, ...], dtype: Any) -> bool:
        own, kind = self.specs[entry]
        if kind is None:
            return type(self.constants[entry]) in (bool, int, float)
        if kind == BOOL:
            return own == shape
        return kind == dtype

    def _columns(self, step: Step, key: Key) -> int | None:
        """Return how long a row must be so that all arguments are arrays, rows, columns or numbers of it."""
        found = {self.operand(parent, key[0])[1] for parent in step.parents}
        if None in found:
            return None
        found -= {0}
        return found.pop() if len(found) == 1 else (None if found else 0)

    def operand(self, entry: int, shape: tuple[int, ...]) -> tuple[str, int | None]:
        """Return the instruction that loads an argument, and the length of a row that it asks for."""
        own, kind = self.specs[entry]
        if math.prod(own) == 1 and kind != BOOL:
            return "load_number", 0
        if own == shape:
            return ("load_bool" if kind == BOOL else "load"), 0
        full = (1,) * (len(shape) - len(own)) + own
        lead = next(axis for axis, size in enumerate(full) if size != 1) if any(n != 1 for n in full) else 0
        if full[lead:] == shape[lead:]:
            return "load_row", math.prod(shape[lead:])
        tail = max(axis for axis, size in enumerate(full) if size != 1) + 1
        if full[:tail] == shape[:tail]:
            return "load_column", math.prod(shape[tail:])
        return "", None


def _same(name: str) -> Callable[[Step, _Work], Any]:
    return lambda step, work: name


def _power(step: Step, work: _Work) -> str | None:
    """Powers that are more quickly had in another way, and others of few numbers, where a call costs most."""
    exponent = work.constants.get(step.parents[1])
    short = {2: "square", 0.5: "sqrt", -1: "reciprocal", 1: "positive"}.get(exponent) if _is_number(exponent) else None
    return short or ("power" if math.prod(step.shapes[0]) <= BLOCK else None)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


_WRITERS: dict[str, Callable[[Step, _Work], Any]] = {
    name: _same(name) for name in INSTRUCTIONS if not name.startswith(("load", "store")) and name != "power"
} | {"power": _power, "fabs": _same("absolute"), "true_divide": _same("divide")}


# --- groups -----------------------------------------------------------------------------------------------------------


class _Group:
    """Steps that run together: one step, or several that the machine runs.

    Attributes
    ----------
    bits : int
        With a bit set for each member.
    then : list of _Group
        Those that read a result of this one.
    after : int
        The bits of all groups that have to run later, because of a way from here to there.
    """

    def __init__(self, number: int, key: Key | None, columns: int, then: list[_Group]) -> None:
        self.members = [number]
        self.key, self.columns = key, columns
        self.bits = 1 << number
        self.then = then
        self.after = _union(group.bits | group.after for group in then)

    def fits(self, other: _Group) -> bool:
        """Whether the machine could run both as one, and no way leads from one to the other through a third."""
        if self.key is None or self.key != other.key or (self.columns and other.columns not in (0, self.columns)):
            return False
        both = self.bits | other.bits
        others = (group for group in (*self.then, *other.then) if group is not self and group is not other)
        return not any(group.after & both for group in others)

    def swallow(self, other: _Group, groups: list[_Group]) -> None:
        """Make one group of two."""
        self.members += other.members
        self.columns = self.columns or other.columns
        self.bits |= other.bits
        self.then = [group for group in _each_once([*self.then, *other.then]) if group not in (self, other)]
        self.after = _union(group.bits | group.after for group in self.then)
        groups.remove(other)
        for group in groups:
            if group is not self:
                if other in group.then:
                    group.then = _each_once([self if each is other else each for each in group.then])
                if group.after & self.bits:
                    group.after |= self.bits | self.after


def _grouped(captured: Captured, work: _Work) -> list[_Group]:
    """Return the groups of the steps that the machine can run."""
    readers: dict[int, list[int]] = {}
    for number, step in enumerate(captured.steps):
        for parent in step.parents:
            if parent in work.made_by:
                readers.setdefault(work.made_by[parent], []).append(number)
    groups: list[_Group] = []
    group_of: dict[int, _Group] = {}
    for number in range(len(captured.steps) - 1, -1, -1):
        then = _each_once([group_of[reader] for reader in readers.get(number, ())])
        group = _Group(number, work.keys[number], work.columns[number], list(then))
        groups.append(group)
        for reader in then:
            if reader.fits(group):
                if len(reader.members) > len(group.members):
                    reader, group = group, reader
                group.swallow(reader, groups)
                group_of.update(dict.fromkeys(reader.members, group))
        group_of[number] = group
    return [group for group in groups if group.key is not None]


def _each_once(groups: list[_Group]) -> list[_Group]:
    return list({id(group): group for group in groups}.values())


def _union(bits: Iterable[int]) -> int:
    total = 0
    for each in bits:
        total |= each
    return total


# --- programs ---------------------------------------------------------------------------------------------------------


def _rewritten(captured: Captured, work: _Work, fused: dict[int, _Group], chosen: list[_Group]) -> Captured:
    """Put a chain in the place of each chosen group, in an order in which everything is computed before it is read."""
    steps = captured.steps
    results = {result for result in captured.results if isinstance(result, int)}
    read_by: dict[int, list[int]] = {}
    for number, step in enumerate(steps):
        for parent in step.parents:
            read_by.setdefault(parent, []).append(number)
    new_entry = max([*work.specs, -1]) + 1
    chains: dict[int, Step] = {}
    renamed: dict[int, int] = {}
    for group in chosen:
        group.members.sort()
        inside = set(group.members)
        outputs = [
            steps[number].entry
            for number in group.members
            if steps[number].entry in results or not inside.issuperset(read_by.get(steps[number].entry, ()))
        ]
        chain, parents = _Assembler(work, group, [steps[number] for number in group.members], outputs).assemble()
        chains[id(group)] = Step(
            new_entry,
            chain,  # type: ignore[arg-type]
            {},
            parents,
            tuple(work.specs[entry][0] for entry in outputs),
            tuple(work.specs[entry][1] for entry in outputs),
            tuple(frozenset() for _ in outputs),
            steps[group.members[-1]].scope,
            steps[group.members[-1]].line,
        )
        renamed.update(zip(outputs, range(new_entry, new_entry + len(outputs))))
        new_entry += len(outputs)
    placed = []
    for step in _ordered(steps, work, fused, chains):
        placed.append(step._replace(parents=tuple(renamed.get(parent, parent) for parent in step.parents)))
    used = {parent for step in placed for parent in step.parents} | {renamed.get(r, r) for r in results}
    return captured._replace(
        steps=placed,
        constants={entry: value for entry, value in captured.constants.items() if entry in used},
        results=[renamed.get(r, r) if isinstance(r, int) else r for r in captured.results],
        cotangents={},
    )


def _ordered(steps: list[Step], work: _Work, fused: dict[int, _Group], chains: dict[int, Step]) -> list[Step]:
    """Return steps and chains in order, each as late as its last member was."""
    unit = [fused[number].members[-1] if number in fused else number for number in range(len(steps))]
    waits: dict[int, set[int]] = {u: set() for u in unit}
    drawn: int | None = None
    for number, step in enumerate(steps):
        before = {unit[work.made_by[parent]] for parent in step.parents if parent in work.made_by}
        if draws(step):
            before |= set() if drawn is None else {drawn}
            drawn = unit[number]
        waits[unit[number]] |= before - {unit[number]}
    then: dict[int, list[int]] = {u: [] for u in waits}
    for u, before in waits.items():
        for b in before:
            then[b].append(u)
    missing = {u: len(before) for u, before in waits.items()}
    ready = [u for u, count in missing.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        u = heapq.heappop(ready)
        order.append(chains[id(fused[u])] if u in fused else steps[u])
        for later in then[u]:
            missing[later] -= 1
            if not missing[later]:
                heapq.heappush(ready, later)
    return order


class _Assembler:
    """Writes the machine's program for a group: loads, one instruction per step, stores.

    A slot is free again once its last reader has run; a result never has the slot of what its instruction reads.
    """

    def __init__(self, work: _Work, group: _Group, steps: list[Step], outputs: list[int]) -> None:
        assert group.key is not None
        self.work, self.steps, self.outputs = work, steps, outputs
        shape, self.dtype = group.key
        self.shape = shape
        total = math.prod(shape)
        columns = group.columns or total
        self.layout = layout(total // columns, columns)
        self.instructions = self._instructions()
        self.last: dict[int, int] = {}
        for number, (_, _, reads) in enumerate(self.instructions):
            self.last.update(dict.fromkeys(reads, number))
        self.last.update(dict.fromkeys(outputs, len(self.instructions)))
        self.once: list[list[int]] = []
        self.code: list[list[int]] = []
        self.slot: dict[int, int] = {}
        self.free: list[int] = []
        self.slots = 0
        self.parents: list[int] = []
        self.in_place: list[bool] = []

    def _instructions(self) -> list[tuple[str, int, tuple[int, ...]]]:
        """Return for each step its instruction, its result and what it reads.

        A product that only one sum or difference reads goes into that one's instruction.
        """
        count: dict[int, int] = dict.fromkeys(self.outputs, 2)
        for step in self.steps:
            for parent in step.parents:
                count[parent] = count.get(parent, 0) + 1
        products = {
            step.entry: step.parents
            for step in self.steps
            if step.op is REGISTRY["multiply"] and count.get(step.entry) == 1
        }
        found = []
        taken = set()
        for step in self.steps:
            name = _WRITERS[step.op.name](step, self.work)
            reads = step.parents[:1] if step.op is REGISTRY["power"] and name != "power" else step.parents
            if name in ("add", "subtract"):
                first, second = reads
                if second in products:
                    name, reads = {"add": "multiply_add"}.get(name, "subtract_product"), (*products[second], first)
                    taken.add(second)
                elif first in products and name == "add":
                    name, reads = "multiply_add", (*products[first], second)
                    taken.add(first)
            found.append((name, step.entry, reads))
        return [each for each in found if each[1] not in taken]

    def _take(self) -> int:
        if self.free:
            return self.free.pop()
        self.slots += 1
        return self.slots - 1

    def assemble(self) -> tuple[Chain, tuple[int, ...]]:
        """Return the program, and the entries that it reads, in the order of its table."""
        made = {entry for _, entry, _ in self.instructions}
        loaded = dict.fromkeys(p for _, _, reads in self.instructions for p in reads if p not in made)
        kept: set[int] = set()  # slots that hold the same in every block
        for parent in loaded:
            name, _ = self.work.operand(parent, self.shape)
            if name == "load_number" or name == "load_row" and self.layout.high:
                kept.add(self._load(parent, name, self.once))
        for number, (name, entry, reads) in enumerate(self.instructions):
            for parent in reads:
                if parent not in self.slot:
                    self._load(parent, self.work.operand(parent, self.shape)[0], self.code)
            slots = [self.slot[parent] for parent in reads]
            self.slot[entry] = self._take()
            self.code.append([INSTRUCTIONS[name], self.slot[entry], *(slots + slots[-1:] * 3)[:3]])
            for parent in {*reads, entry}:
                if self.last.get(parent, -1) <= number and self.slot[parent] not in kept:
                    self.free.append(self.slot[parent])
        for place, entry in enumerate(self.outputs):
            name = "store_bool" if self.work.specs[entry][1] == BOOL else "store"
            self.code.append([INSTRUCTIONS[name], len(self.parents) + place, self.slot[entry], 0, 0])
        return self._chain(), tuple(self.parents)

    def _load(self, parent: int, name: str, into: list[list[int]]) -> int:
        slot = self.slot[parent] = self._take()
        into.append([INSTRUCTIONS[name], slot, len(self.parents), 0, 0])
        self.parents.append(parent)
        self.in_place.append(name in ("load", "load_bool"))
        return slot

    def _chain(self) -> Chain:
        """Return the program with slots as places in memory."""
        body = np.array([*self.once, *self.code], np.int64).reshape(-1, 5)
        op, width = body[:, 0], self.layout.width
        loads, stores = op <= INSTRUCTIONS["load_bool"], op > INSTRUCTIONS["load_bool"]
        stores &= op <= INSTRUCTIONS["store_bool"]
        body[:, 1] *= np.where(stores, 1, width)
        body[:, 2] *= np.where(loads, 1, width)
        body[:, 3:] *= width
        code = np.concatenate([header(self.layout, len(self.once)), body])
        return Chain(code, self.layout, self.slots, self.dtype, tuple(self.in_place))
