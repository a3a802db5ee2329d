"""The tree of scopes, and the runs of equal scopes in it that a picture draws once.

Two scopes are equal when they do the same: the same ops on the same shapes with the same static parameters, and the
same edges between them. Only then does an op of one correspond to the op of the other at the same place, and an edge
drawn for one of them exists in each. Where their inputs come from may differ, and in a chain it does: the first block
reads the network's input, every other the block before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.tape import Node
from .recording import Place

__all__ = ["Group", "Tree", "base_name", "common_scope", "generic_path"]

LONGEST_PERIOD = 32
"""A replica may consist of so many siblings: a block, and the ops beside it. Longer ones are not looked for."""


def base_name(name: str) -> tuple[str, str]:
    """Split the number from a scope's name.

    >>> base_name("layers.3"), base_name("fc1"), base_name("step#2"), base_name("heads[0]"), base_name("attn")
    (('layers', '3'), ('fc', '1'), ('step', '2'), ('heads', '0'), ('attn', ''))
    """
    match = re.fullmatch(r"(.+?)[.\[_#\- ]?(\d+)\]?", name, re.DOTALL)
    return (match[1], match[2]) if match else (name, "")


def generic_path(path: str) -> str:
    """Return a path without the numbers of its scopes: ``"blocks.3/attn"`` is one of ``"blocks/attn"``."""
    return "/".join(base_name(name)[0] for name in path.split("/"))


def common_scope(scopes: Sequence[str]) -> str:
    """Return the innermost scope around all of these.

    >>> common_scope(["block/fc1", "block/fc2"]), common_scope([])
    ('block', '')
    """
    common = scopes[0].split("/") if scopes else []
    for scope in scopes[1:]:
        parts = scope.split("/")
        same = 0
        while same < min(len(parts), len(common)) and parts[same] == common[same]:
            same += 1
        common = common[:same]
    return "/".join(common)


class Branch:
    """A scope of the tree: its path, the ops in it and below it, and what it consists of in the tape's order."""

    __slots__ = ("children", "items", "ops", "parent", "path")

    def __init__(self, path: str, parent: Branch | None) -> None:
        self.path = path
        self.parent = parent
        self.ops: list[int] = []
        self.children: dict[str, Branch] = {}
        self.items: list[int | Branch] = []

    @property
    def title(self) -> str:
        """The last name of the path."""
        return self.path.rpartition("/")[2]


class Group(NamedTuple):
    """A run of equal siblings.

    Attributes
    ----------
    title, parent : str
        What to call it, and the path of the scope around it.
    scopes : tuple of str
        The path of the scope that each replica is, or begins with.
    alone : bool
        Whether a replica is its scope, with no ops beside it.
    units : list of lists of int
        For each replica its ops, in corresponding order.
    """

    title: str
    parent: str
    scopes: tuple[str, ...]
    alone: bool
    units: list[list[int]]


class Tree:
    """The tree of the scopes of a tape's ops.

    Parameters
    ----------
    tape : sequence of Node
    ops : list of int
        Entries of the ops that are shown.
    places : mapping of int to Place
        Where the program asked for them; empty when that was not noted.

    Attributes
    ----------
    frames : dict of int to str
        For each op the path of its scope in the tree.
    branches : dict of str to Branch
        By path, each after the one around it.
    groups : list of Group
        The runs of equal siblings, after :meth:`fold`; each after those around it.
    """

    def __init__(self, tape: Sequence[Node], ops: Sequence[int], places: Mapping[int, Place]) -> None:
        self.tape = tape
        self.places = places
        self.frames = {op: tape[op].scope or (places[op].functions if op in places else "") for op in ops}
        self._drop_small_functions(ops)
        self._tidy_calls(ops)
        self._grow(ops)
        while self._split_visits():  # from the outside in: within one visit of a scope, another may be visited again
            self._grow(ops)
        self.groups: list[Group] = []
        self._canon: dict[int, int] = {}  # op of a later replica -> the op of the first
        self._steps: dict[int, tuple[tuple[int, int], ...]] = {}  # op -> (group, replica) of each run around it

    # --- the tree ---------------------------------------------------------------------------------------------------

    def _drop_small_functions(self, ops: Sequence[int]) -> None:
        """A function around a single op says no more than the op: take it away."""
        counts: dict[str, int] = {}
        named = [op for op in ops if not self.tape[op].scope and self.frames[op]]
        for op in named:
            for path in around(self.frames[op]):
                counts[path] = counts.get(path, 0) + 1
        for op in named:
            path = self.frames[op]
            while path and counts[path] < 2:
                path = path.rpartition("/")[0]
            self.frames[op] = path

    def _tidy_calls(self, ops: Sequence[int]) -> None:
        """Number the calls of a function only where there are several."""
        named = [op for op in ops if not self.tape[op].scope and self.frames[op]]
        paths = dict.fromkeys(path for op in named for path in around(self.frames[op]))
        calls: dict[str, list[str]] = {}
        for path in paths:
            calls.setdefault(path.rpartition("#")[0], []).append(path)
        names: dict[str, str] = {}
        for path in paths:
            outer, _, name = path.rpartition("/")
            numbered = name if len(calls[path.rpartition("#")[0]]) > 1 else name.rpartition("#")[0]
            names[path] = f"{names[outer]}/{numbered}" if outer else numbered
        for op in named:
            self.frames[op] = names[self.frames[op]]

    def _grow(self, ops: Sequence[int]) -> None:
        self.root = Branch("", None)
        self.branches: dict[str, Branch] = {}
        for op in ops:
            branch = self._branch(self.frames[op])
            branch.items.append(op)
            while branch is not None:
                branch.ops.append(op)
                branch = branch.parent  # type: ignore[assignment]

    def _branch(self, path: str) -> Branch:
        branch = self.branches.get(path) if path else self.root
        if branch is not None:
            return branch
        missing = []
        while path and path not in self.branches:
            missing.append(path)
            path = path.rpartition("/")[0]
        branch = self.branches[path] if path else self.root
        for path in reversed(missing):
            child = self.branches[path] = Branch(path, branch)
            branch.children[path] = child
            branch.items.append(child)
            branch = child
        return branch

    def _split_visits(self) -> bool:
        """Tell the visits of a scope apart that was entered several times, where each of them did the same.

        The scope's path alone does not tell: the second step of a loop has the path of the first. The last visit may
        lack its end, or have more: what nobody reads is not shown, such as the cell that the last step of an LSTM
        makes, and the last step may do something with the result.
        """
        order = {op: number for number, op in enumerate(self.root.ops)}
        split: set[str] = set()
        for path, branch in self.branches.items():
            if branch.parent is not None and branch.parent.path in split:
                split.add(path)  # its turn comes in the next round
                continue
            if not all(op in self.places for op in branch.ops) or not self.tape[branch.ops[0]].scope:
                continue
            visits = self._visits(path, branch)
            gaps = {
                branch.ops[i] for i in range(1, len(branch.ops)) if order[branch.ops[i]] != order[branch.ops[i - 1]] + 1
            }
            if len(visits) > 1 and gaps <= {ops[0] for ops in visits} and self._alike(visits):
                split.add(path)
                for number, ops in enumerate(visits, start=1):
                    for op in ops:
                        self.frames[op] = f"{path}#{number}{self.frames[op][len(path) :]}"
        return bool(split)

    def _visits(self, path: str, branch: Branch) -> list[list[int]]:
        """Return the ops of a scope, a list for each time that it was entered."""
        depth = path.count("/") + 1
        visits: dict[int, list[int]] = {}
        for op in branch.ops:
            scope = "/".join(self.tape[op].scope.split("/")[:depth])
            visits.setdefault(dict(self.places[op].visits).get(scope, 0), []).append(op)
        return list(visits.values())

    def _alike(self, visits: list[list[int]]) -> bool:
        """Whether all visits did the same, in the same order, save that the last may do less or more in the end."""
        *tokens, last = [
            [(self.frames[op], self.tape[op].primitive, self.places[op].step) for op in ops] for ops in visits
        ]
        common = min(len(tokens[0]), len(last))
        return all(one == tokens[0] for one in tokens) and tokens[0][:common] == last[:common]

    # --- folding ----------------------------------------------------------------------------------------------------

    def fold(self, describe: Callable[[int], tuple[Any, ...]], argument: Callable[[int], tuple[Any, ...]]) -> None:
        """Find the runs of equal siblings.

        Parameters
        ----------
        describe : callable (op) -> tuple
            What must be equal of two corresponding ops, beside their arguments.
        argument : callable (entry) -> tuple
            Of an argument the op that made it (or None), which of that op's outputs it is, and what must be equal of
            two corresponding arguments wherever they come from.
        """
        stack = [self.root]
        while stack:
            branch = stack.pop()
            folded = self._fold_items(branch, describe, argument)
            stack += [child for child in reversed(branch.children.values()) if child.path not in folded]

    def _fold_items(self, branch: Branch, describe: Any, argument: Any) -> set[str]:
        """Find the runs among what a scope consists of; return the paths of all but the first replicas."""
        items = branch.items
        names = [item.title if isinstance(item, Branch) else "" for item in items]
        bases = [base_name(name)[0] if name else None for name in names]
        by_base: dict[str | None, int] = {}
        following = [0] * len(items)  # the next sibling with the same base name
        for i in range(len(items) - 1, -1, -1):
            following[i] = by_base.get(bases[i], 0) if bases[i] is not None else 0
            by_base[bases[i]] = i
        folded: set[str] = set()
        start = 0
        while start < len(items):
            period = following[start] - start
            units: list[list[int]] = []
            if 0 < period <= LONGEST_PERIOD and len(_ops(items[start])) == len(_ops(items[start + period])):
                units = self._equal_units(items, start, period, describe, argument)
            if len(units) < 2:
                start += 1
                continue
            end = start + period * len(units)
            self._add_group(branch, items[start:end], period, units, bases)
            folded.update(item.path for item in items[start + period : end] if isinstance(item, Branch))
            start = end
        return folded

    def _equal_units(self, items: list[Any], start: int, period: int, describe: Any, argument: Any) -> list[list[int]]:
        """Return the ops of the units of `period` items each, from `start` on, that equal the first."""
        units: list[list[int]] = []
        first: Any = None
        head: list[str] = []
        while start + period <= len(items):
            unit = items[start : start + period]
            if units and [_generic(item) for item in unit] != head:
                break
            ops = unit[0].ops if period == 1 else sorted(op for part in unit for op in _ops(part))
            signature = self._signature(unit, ops, describe, argument)
            if first is None:
                first, head = signature, [_generic(item) for item in unit]
            elif signature != first:
                break
            units.append(ops)
            start += period
        return units

    def _signature(self, unit: list[Any], ops: list[int], describe: Any, argument: Any) -> list[Any]:
        inside = {op: number for number, op in enumerate(ops)}
        starts = [(len(item.path), number) for number, item in enumerate(unit) if isinstance(item, Branch)]
        of_item = {op: starts[i] for i, item in enumerate(p for p in unit if isinstance(p, Branch)) for op in item.ops}
        signature: list[Any] = []
        for op in ops:
            length, number = of_item.get(op, (0, -1))
            place = (number, self.frames[op][length:]) if number >= 0 else (-1, "")
            arguments = []
            for parent in self.tape[op].parents:
                maker, output, what = argument(parent)
                arguments.append((inside[maker], output, what) if maker in inside else (-1, 0, what))
            signature.append((place, describe(op), tuple(arguments)))
        return signature

    def _add_group(
        self, branch: Branch, items: list[Any], period: int, units: list[list[int]], bases: list[Any]
    ) -> None:
        scopes = items[::period]
        (base, first), (_, last) = base_name(scopes[0].title), base_name(scopes[-1].title)
        title = base
        if bases.count(base) > len(scopes):
            between = scopes[0].title[len(base) :].partition(first)[0].translate({ord("["): ".", ord("#"): " "})
            title = f"{base}{between}{first}–{last}"
        number = len(self.groups)
        self.groups.append(Group(title, branch.path, tuple(scope.path for scope in scopes), period == 1, units))
        for replica, unit in enumerate(units):
            for op, of_first in zip(unit, units[0]):
                self._steps[op] = (*self._steps.get(op, ()), (number, replica))
                if replica:
                    self._canon[op] = of_first

    def representative(self, op: int) -> int:
        """Return the op of the first replica that stands for this op in a folded picture."""
        while op in self._canon:
            op = self._canon[op]
        return op

    def replicas(self, op: int) -> tuple[tuple[int, int], ...]:
        """Return the number of the run and of the replica for each run around an op, the outermost first."""
        steps = self._steps.get(op, ())
        while op in self._canon:
            op = self._canon[op]
            steps = (*steps, *self._steps[op][len(steps) :])
        return steps


def _generic(item: Any) -> str:
    return base_name(item.title)[0] if isinstance(item, Branch) else ""


def _ops(item: Any) -> list[int]:
    return item.ops if isinstance(item, Branch) else [item]


def around(path: str) -> Iterator[str]:
    """Yield a path and the paths around it, the outermost first.

    >>> list(around("a/b/c"))
    ['a', 'a/b', 'a/b/c']
    """
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)
    if path:
        yield path
