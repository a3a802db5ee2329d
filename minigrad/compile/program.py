"""Program: a captured list as straight-line Python, on buffers that are planned once and used again.

Each step of the list becomes one line. An elementwise op, a matrix product or a sum writes into a buffer, if its result
is not handed to the caller; a buffer is free for another step once its last reader has run, and an elementwise op may
write over an argument that it is the last to read. Views of buffers are made once. Everything else is called as it is
called eagerly, so that the numbers are the same to the last bit.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff.reverse import own
from .capture import Captured, Step

__all__ = ["Program"]

SMALL = 2
"""Results of fewer elements than this get no buffer: NumPy's scalars are as quick."""
LARGE = 1 << 16
"""Arrays of so many bytes are let go as soon as they have been read for the last time."""


class Program:
    """What a captured function does, ready to run on other inputs of the same shapes and dtypes.

    Parameters
    ----------
    captured : Captured
        Simplified.

    Attributes
    ----------
    text : str
        The Python source that runs.
    buffer_bytes : int
        What the buffers of one run take together.
    """

    def __init__(self, captured: Captured) -> None:
        self.captured = captured
        plan = _Plan(captured)
        writer = _Writer(captured, plan)
        self.text = writer.text
        self.buffer_bytes = sum(_size(shape, dtype) for shape, dtype in plan.buffers)
        self._buffers = plan.buffers
        self._space = writer.space
        self._code = compile(self.text, "<compiled by minigrad>", "exec")
        self._idle: deque[Callable[..., Any]] = deque()  # runs that are not under way, each with buffers of its own
        self._check = writer.check

    def __call__(self, inputs: list[Any], generators: list[Any]) -> list[Any]:
        """Run on the inputs, in the order of ``captured.inputs``, and return the leaves of the result.

        The results are the caller's own: no later run writes into them. Several threads may call at once.
        """
        try:
            run = self._idle.pop()
        except IndexError:
            run = self._make_run()
        try:
            results = run(*inputs, *generators)
        finally:
            self._idle.append(run)
        if self._check:  # those that may share memory with an input, a constant or each other
            sure = [result for i, result in enumerate(results) if i not in self._check]
            chosen = own([results[i] for i in self._check], [*inputs, *self._shared, *sure])
            for i, result in zip(self._check, chosen):
                results[i] = result
        return results

    @functools.cached_property
    def _shared(self) -> list[Any]:
        return [value for value in self.captured.constants.values() if isinstance(value, np.ndarray)]

    def _make_run(self) -> Callable[..., Any]:
        space: dict[str, Any] = dict(self._space)
        exec(self._code, space)
        buffers = [np.empty(shape, dtype) for shape, dtype in self._buffers]
        run: Callable[..., Any] = space["make"](*buffers)
        return run


def _size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


# --- where results live -----------------------------------------------------------------------------------------------


class _Plan:
    """Which results get a buffer, and which buffer.

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

    def __init__(self, captured: Captured) -> None:
        self.buffers: list[tuple[tuple[int, ...], np.dtype[Any]]] = []
        self.place: dict[int, int] = {}
        self.fixed: set[int] = set()
        self.roots = _roots(captured)
        last = _last_uses(captured, self.roots)
        self.done: dict[int, list[int]] = {}
        held = {root for result in captured.results if isinstance(result, int) for root in self.roots[result]}
        dying: dict[int, list[int]] = {}
        for root, number in last.items():
            dying.setdefault(number, []).append(root)
        free: dict[Any, list[int]] = {}
        for number, step in enumerate(captured.steps):
            gone = [root for root in dying.get(number, ()) if root in self.place]
            early = [root for root in gone if self._may_write_over(step, root)]
            for root in early:
                self._release(root, free)
            if writes_out(step) and step.entry not in held:
                self._take(step, free)
            for root in gone:
                if root not in early:
                    self._release(root, free)
            if self._is_view_of_fixed(step):
                self.fixed.add(step.entry)
        self._let_go(captured, held)

    def _let_go(self, captured: Captured, held: set[int]) -> None:
        """Find out after which step each large array that is no buffer can be freed."""
        uses: dict[int, int] = {}
        large: set[int] = set()
        for number, step in enumerate(captured.steps):
            uses.update((parent, number) for parent in step.parents)
            for place, (shape, dtype) in enumerate(zip(step.shapes, step.dtypes)):
                entry = step.entry + place
                uses[entry] = number
                if _size(shape, dtype) >= LARGE and entry not in self.fixed:
                    large.add(entry)
        for entry in sorted(large):
            if held.isdisjoint(self.roots[entry]):
                self.done.setdefault(uses[entry], []).append(entry)

    def _may_write_over(self, step: Step, root: int) -> bool:
        """Whether a step may put its result where an argument is that nobody reads after it."""
        if not is_elementwise(step):
            return False
        for parent in step.parents:
            if root in self.roots[parent] and (parent != root or self.buffers[self.place[root]][0] != step.shapes[0]):
                return False
        return True

    def _take(self, step: Step, free: dict[Any, list[int]]) -> None:
        key = (step.shapes[0], step.dtypes[0])
        waiting = free.get(key)
        if waiting:
            number = waiting.pop()
        else:
            number = len(self.buffers)
            self.buffers.append(key)
        self.place[step.entry] = number
        self.fixed.add(step.entry)

    def _release(self, root: int, free: dict[Any, list[int]]) -> None:
        number = self.place[root]
        free.setdefault(self.buffers[number], []).append(number)

    def _is_view_of_fixed(self, step: Step) -> bool:
        return (
            step.op.kind == "view"
            and len(step.shapes) == 1
            and bool(step.aliases[0])
            and all(parent in self.fixed for parent in step.parents)
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


def _is_sum(step: Step) -> bool:
    return step.op.name == "sum" and step.op.__module__.startswith("minigrad")


def writes_out(step: Step) -> bool:
    """Whether an op can write its result into a buffer."""
    if len(step.shapes) != 1 or int(np.prod(step.shapes[0], dtype=np.int64)) < SMALL:
        return False
    return is_elementwise(step) or step.op.forward is np.matmul or _is_sum(step)


# --- writing the lines ------------------------------------------------------------------------------------------------


class _Writer:
    """Writes the source of a program, and collects the names that it uses."""

    def __init__(self, captured: Captured, plan: _Plan) -> None:
        self.captured, self.plan = captured, plan
        self.space: dict[str, Any] = {}
        self.names: dict[int, str] = {}
        self.dtypes: dict[int, np.dtype[Any]] = {
            entry: dtype for entry, (_, dtype) in zip(captured.inputs, captured.specs)
        }
        for step in captured.steps:
            self.dtypes.update(zip(range(step.entry, step.entry + len(step.shapes)), step.dtypes))
        for number, entry in enumerate(captured.inputs):
            self.names[entry] = f"x{number}"
        for entry, value in captured.constants.items():
            self.names[entry] = self._bind(f"c{entry}", value)
        once, each = [], []
        for number, step in enumerate(captured.steps):
            line = self._line(step)
            (once if step.entry in plan.fixed and step.entry not in plan.place else each).append(line)
            each += [f"{self.names[entry]} = None" for entry in plan.done.get(number, ())]
        results = [
            self.names[result] if isinstance(result, int) else self._bind(f"r{number}", result[0])
            for number, result in enumerate(captured.results)
        ]
        self.check = self._unsure(results)
        buffers = ", ".join(f"b{number}" for number in range(len(plan.buffers)))
        given = [f"x{number}" for number in range(len(captured.inputs))]
        given += [f"g{number}" for number in range(len(captured.generators))]
        inputs = ", ".join(given)
        self.text = "\n".join(
            [
                f"def make({buffers}):",
                *(f"    {line}" for line in once),
                f"    def run({inputs}):",
                *(f"        {line}" for line in each),
                f"        return [{', '.join(results)}]",
                "    return run",
                "",
            ]
        )

    def _bind(self, name: str, value: Any) -> str:
        self.space[name] = value
        return name

    def _line(self, step: Step) -> str:
        arguments = [self._argument(step, parent) for parent in step.parents]
        if step.entry in self.plan.place:
            target = f"b{self.plan.place[step.entry]}"
            name = self.names[step.entry] = target
            return self._writing(step, arguments, target)
        if "rng" in step.params:
            arguments.append(f"rng={self._generator(step.params['rng'])}")
        call = _as_method(step, arguments) or f"{self._function(step)}({', '.join(arguments)})"
        targets = [f"v{step.entry + number}" for number in range(len(step.shapes))]
        self.names.update(zip(range(step.entry, step.entry + len(targets)), targets))
        name = ", ".join(targets) + "," * bool(step.op.outputs and len(targets) == 1)
        return f"{name} = {call}"

    def _argument(self, step: Step, parent: int) -> str:
        """Return the name of an argument. A Python number becomes an array of the dtype that NumPy would give it."""
        value = self.captured.constants.get(parent)
        if is_elementwise(step) and type(value) in (bool, int, float) and len(step.parents) == 2:
            (other,) = [p for p in step.parents if p != parent] or [parent]
            dtype = self.dtypes.get(other)
            if dtype is not None and dtype.kind == "f" and step.dtypes[0] in (dtype, np.dtype(bool)):
                return self._bind(f"c{parent}_{dtype.char}", np.array(value, dtype))
        return self.names[parent]

    def _function(self, step: Step) -> str:
        function = step.op.forward
        params = {name: value for name, value in step.params.items() if name != "rng"}
        if params and not isinstance(function, np.ufunc):
            function = functools.partial(function, **params)
        return self._bind(f"f{step.entry}_{_word(step.op.name)}", function)

    def _generator(self, rng: Any) -> str:
        """Return the name of a generator: one of those given at each call, or else the one that was there."""
        for number, generator in enumerate(self.captured.generators):
            if rng is generator:
                return f"g{number}"
        return self._bind("rng", rng)

    def _writing(self, step: Step, arguments: list[str], target: str) -> str:
        if _is_sum(step):
            axis = self._bind(f"a{step.entry}", step.params["axis"])
            add = self._bind("add_reduce", np.add.reduce)
            return f"{add}({arguments[0]}, {axis}, None, {target}, {bool(step.params['keepdims'])})"
        function = self._bind(_word(step.op.name), step.op.forward)
        by_name = step.op.forward in (np.maximum, np.minimum)  # whose third position is deprecated
        return f"{function}({', '.join(arguments)}, {'out=' if by_name else ''}{target})"

    def _unsure(self, results: list[str]) -> list[int]:
        """Return the results that may share memory with an input, a constant, a buffer, or another result."""
        roots = self.plan.roots
        fresh = {step.entry + number for step in self.captured.steps for number, a in enumerate(step.aliases) if not a}
        seen: set[int] = set()
        unsure = []
        for number, result in enumerate(self.captured.results):
            if not isinstance(result, int):
                unsure.append(number)
            elif roots[result] != {result} or result not in fresh or result in seen:
                unsure.append(number)
            seen.update(roots[result] if isinstance(result, int) else ())
        return unsure


def _as_method(step: Step, arguments: list[str]) -> str:
    """Write a view as a method of the array, which is quicker than NumPy's function; empty where there is none."""
    name, params = step.op.name, step.params
    if not step.op.__module__.startswith("minigrad") or not step.aliases[0] or len(arguments) != 1:
        return ""
    if name == "reshape":
        return f"{arguments[0]}.reshape({step.shapes[0]})"
    if name == "transpose":
        return f"{arguments[0]}.T" if params["axes"] is None else f"{arguments[0]}.transpose({params['axes']})"
    if name == "swapaxes":
        return f"{arguments[0]}.swapaxes({params['axis1']}, {params['axis2']})"
    return ""


def _word(name: str) -> str:
    return name if name.isidentifier() else "op"
