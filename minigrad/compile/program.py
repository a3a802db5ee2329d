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

from .. import kernels
from ..autodiff.reverse import own
from .capture import Captured, Step
from .combine import combine
from .fuse import Chain, fuse

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
    calls : int
        How often it has run.
    """

    def __init__(self, captured: Captured) -> None:
        self.captured = captured
        captured = combine(captured)
        machine = kernels.compiled("machine")
        if machine is not None:
            captured = fuse(captured)
        plan = _Plan(captured)
        writer = _Writer(captured, plan, machine)
        self.text = writer.text
        self.buffer_bytes = sum(_size(shape, dtype) for shape, dtype in plan.buffers)
        self._buffers = plan.buffers
        self._space = writer.space
        self._code = compile(self.text, "<compiled by minigrad>", "exec")
        self._idle: deque[Callable[..., Any]] = deque()  # runs that are not under way, each with buffers of its own
        self._check = writer.check
        self.calls = 0

    def __call__(self, inputs: list[Any], generators: list[Any]) -> list[Any]:
        """Run on the inputs, in the order of ``captured.inputs``, and return the leaves of the result.

        The results are the caller's own: no later run writes into them. Several threads may call at once.
        """
        self.calls += 1
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
        run.buffers = buffers  # type: ignore[attr-defined] # which a chain knows by their addresses alone
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
        self.plain: set[int] = set()  # those of them that are contiguous
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
            for entry, key in _written(step):
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


def _is_sum(step: Step) -> bool:
    return step.op.name == "sum" and step.op.__module__.startswith("minigrad")


def _written(step: Step) -> list[tuple[int, Any]]:
    """Return which results of a step can be written into buffers, and of what shape and dtype."""
    results = [
        (step.entry + place, (shape, dtype))
        for place, (shape, dtype) in enumerate(zip(step.shapes, step.dtypes))
        if int(np.prod(shape, dtype=np.int64)) >= SMALL
    ]
    if isinstance(step.op, Chain):
        return results
    able = is_elementwise(step) or step.op.forward is np.matmul or _is_sum(step)
    return results if able and len(step.shapes) == 1 else []


# --- writing the lines ------------------------------------------------------------------------------------------------


class _Writer:
    """Writes the source of a program, and collects the names that it uses."""

    def __init__(self, captured: Captured, plan: _Plan, machine: Any) -> None:
        self.captured, self.plan, self.machine = captured, plan, machine
        self.space: dict[str, Any] = {}
        self.names: dict[int, str] = {}
        self.specs: dict[int, tuple[tuple[int, ...], np.dtype[Any]]] = dict(zip(captured.inputs, captured.specs))
        for step in captured.steps:
            entries = range(step.entry, step.entry + len(step.shapes))
            self.specs.update(zip(entries, zip(step.shapes, step.dtypes)))
        for number, entry in enumerate(captured.inputs):
            self.names[entry] = f"x{number}"
        for entry, value in captured.constants.items():
            self.names[entry] = self._bind(f"c{entry}", value)
        once, each = [], []
        for number, step in enumerate(captured.steps):
            if isinstance(step.op, Chain):
                before, lines = self._chain(step, step.op)
                once += before
                each += lines
                each += [f"{self.names[entry]} = None" for entry in plan.done.get(number, ())]
                continue
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

    def _chain(self, step: Step, chain: Chain) -> tuple[list[str], list[str]]:
        """Return the lines that run a chain on the machine: those to run once, and those for each run.

        Addresses of buffers and constants are written into its table once; those of other arrays in each run.
        """
        bind, entry, machine = self._bind, step.entry, self.machine
        outputs = [(entry + place, *spec) for place, spec in enumerate(zip(step.shapes, step.dtypes))]
        table, before, after = [], [], []
        for place, parent in enumerate(step.parents):
            if parent in self.captured.constants:
                table.append(bind(f"c{parent}_{chain.dtype.char}", self._constant(parent, chain.dtype)))
            elif parent in self.plan.place:
                table.append(self.names[parent])
            else:
                table.append("None")
                # The array itself, or under another name a view made once, and an array in place of NumPy's scalars.
                name = self.names[parent]
                if parent in self.plan.fixed or not self.specs[parent][0]:
                    name = f"k{entry}_{place}"
                before += [f"{name} = {bind('contiguous', _contiguous)}({self.names[parent]})"]
                before += [f"t{entry}[{place}] = {bind('address', machine.address)}({name})"]
        for place, (result, shape, dtype) in enumerate(outputs, len(step.parents)):
            if result in self.plan.place:
                name = self.names[result] = f"b{self.plan.place[result]}"
                table.append(name)
                continue
            name = self.names[result] = f"v{result}"
            table.append("None")
            before.append(f"{name} = {bind('empty', np.empty)}({shape}, {bind(f'd_{dtype.name}', dtype)})")
            before.append(f"t{entry}[{place}] = {bind('address', machine.address)}({name})")
            if not shape:
                after.append(f"{name} = {name}[()]")
        bind(f"slots{entry}", functools.partial(machine.scratch, chain.layout, chain.slots, chain.dtype))
        once = [f"t{entry} = {bind('table', _table)}({', '.join(table)})", f"s{entry} = slots{entry}()"]
        run, code = bind(f"run{entry}", machine.runner(chain.layout)), bind(f"code{entry}", chain.code)
        return once, [*before, f"{run}({code}, t{entry}, s{entry})", *after]

    def _constant(self, entry: int, dtype: np.dtype[Any]) -> Any:
        value = self.captured.constants[entry]
        truths = isinstance(value, np.ndarray) and value.dtype.kind == "b"
        return np.asarray(value, value.dtype if truths else dtype, order="C")  # where it can, the array itself

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
        if _is_sum(step):
            call = self._sum(step, arguments, "None")
        else:
            call = _as_method(step, arguments) or f"{self._function(step)}({', '.join(arguments)})"
        targets = [f"v{step.entry + number}" for number in range(len(step.shapes))]
        self.names.update(zip(range(step.entry, step.entry + len(targets)), targets))
        name = ", ".join(targets) + "," * bool(step.op.outputs and len(targets) == 1)
        return f"{name} = {call}"

    def _argument(self, step: Step, parent: int) -> str:
        """Return the name of an argument. A Python number becomes an array of the dtype that NumPy would give it."""
        value = self.captured.constants.get(parent)
        one_dtype = is_elementwise(step) and step.op.forward is not np.ldexp  # which takes an integer
        if one_dtype and type(value) in (bool, int, float) and len(step.parents) == 2:
            (other,) = [p for p in step.parents if p != parent] or [parent]
            dtype = self.specs[other][1] if other in self.specs else None
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
            return self._sum(step, arguments, target)
        function = self._bind(_word(step.op.name), step.op.forward)
        by_name = step.op.forward in (np.maximum, np.minimum)  # whose third position is deprecated
        return f"{function}({', '.join(arguments)}, {'out=' if by_name else ''}{target})"

    def _sum(self, step: Step, arguments: list[str], target: str) -> str:
        """Write a sum as the method of the ufunc that NumPy's function comes down to."""
        axis = self._bind(f"a{step.entry}", step.params["axis"])
        add = self._bind("add_reduce", np.add.reduce)
        return f"{add}({arguments[0]}, {axis}, None, {target}, {bool(step.params['keepdims'])})"

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


def _contiguous(x: Any) -> Any:
    return np.asarray(x, order="C")


def _table(*arrays: Any) -> Any:
    """Return the addresses of arrays, and 0 for those that are not there yet."""
    return np.array([0 if x is None else x.__array_interface__["data"][0] for x in arrays], np.int64)


def _word(name: str) -> str:
    return name if name.isidentifier() else "op"
