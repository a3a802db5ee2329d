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
from .assemble import assemble
from .capture import Captured, Step
from .combine import combine
from .fuse import fuse
from .native import Native
from .plan import Plan, is_elementwise, is_sum, size_of
from .section import Call, Sections

__all__ = ["Program"]


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
        captured = assemble(combine(captured))
        routine, sections = kernels.compiled("routine"), None
        if routine is not None:
            captured = fuse(captured)
            sections = Sections(captured, routine.thread_count())
        plan = Plan(captured, sections.calls if sections is not None else ())
        writer = _Writer(captured, plan, sections, routine)
        self.text = writer.text
        self.buffer_bytes = sum(size_of(shape, dtype) for shape, dtype in writer.buffers.values())
        self._buffers = writer.buffers
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
        buffers = [np.empty(shape, dtype) for shape, dtype in self._buffers.values()]
        run: Callable[..., Any] = space["make"](*buffers)
        run.buffers = buffers  # type: ignore[attr-defined] # which routines know by their addresses alone
        return run


# --- writing the lines ------------------------------------------------------------------------------------------------


class _Writer:
    """Writes the source of a program, and collects the names that it uses.

    Attributes
    ----------
    once, each : list of str
        The lines to run once, and those for each run.
    buffers : dict of str to (shape, dtype)
        The arrays that a run is made with.
    """

    def __init__(self, captured: Captured, plan: Plan, sections: Sections | None, routine: Any) -> None:
        self.captured, self.plan, self.sections = captured, plan, sections
        self.space: dict[str, Any] = {}
        self.names: dict[int, str] = {}
        self.specs: dict[int, tuple[tuple[int, ...], np.dtype[Any]]] = dict(zip(captured.inputs, captured.specs))
        for step in captured.steps:
            entries = range(step.entry, step.entry + len(step.shapes))
            self.specs.update(zip(entries, zip(step.shapes, step.dtypes)))
        for number, entry in enumerate(captured.inputs):
            self.names[entry] = f"x{number}"
        for entry, value in captured.constants.items():
            self.names[entry] = self.bind(f"c{entry}", value)
        self.once: list[str] = []
        self.each: list[str] = []
        self._native = None if sections is None else Native(self, routine)
        asked = self._asked()
        for number, step in enumerate(captured.steps):
            self._step(number, step, asked)
            done = [self.names[entry] for entry in plan.done.get(number, ()) if entry in self.names]
            self._later([f"{name} = None" for name in done])
        results = [
            self.names[result] if isinstance(result, int) else self.bind(f"r{number}", result[0])
            for number, result in enumerate(captured.results)
        ]
        if self._native is not None:
            self._native.end_section()
            self.once = [*self._native.head(), *self.once]
        self.check = self._unsure(results)
        self.buffers = {f"b{number}": spec for number, spec in enumerate(plan.buffers)}
        if self._native is not None:
            self.buffers |= self._native.scratch
        given = [f"x{number}" for number in range(len(captured.inputs))]
        given += [f"g{number}" for number in range(len(captured.generators))]
        inputs = ", ".join(given)
        self.text = "\n".join(
            [
                f"def make({', '.join(self.buffers)}):",
                *(f"    {line}" for line in self.once),
                f"    def run({inputs}):",
                *(f"        {line}" for line in self.each),
                f"        return [{', '.join(results)}]",
                "    return run",
                "",
            ]
        )

    def _asked(self) -> set[int]:
        """Return the entries that are read by name, by Python or to be put into the table of addresses."""
        asked = {result for result in self.captured.results if isinstance(result, int)}
        for number in range(len(self.captured.steps) - 1, -1, -1):
            step, call = self.captured.steps[number], self._call(number)
            entries = range(step.entry, step.entry + len(step.shapes))
            if call is not None:
                asked.update(slot.entry for slot in call.slots if slot.kind in ("memory", "value"))
                asked.update(step.parents if call.refuses else ())
            elif not asked.isdisjoint(entries) or not self._is_view(step):
                asked.update(step.parents)
        return asked

    def _call(self, number: int) -> Call | None:
        return None if self.sections is None else self.sections.calls.get(number)

    def _is_view(self, step: Step) -> bool:
        """Whether the results of a step are known to be views, so that making them reads no number."""
        entries = range(step.entry, step.entry + len(step.shapes))
        return self.sections is not None and all(
            place in self.sections.places and self.sections.places[place].memory != place for place in entries
        )

    def _step(self, number: int, step: Step, asked: set[int]) -> None:
        call = self._call(number)
        if call is not None and self._native is not None:
            self._native.call(step, call)
        elif not self._is_view(step):
            if self._native is not None:
                self._native.end_section()
            self._write(step)
        elif not asked.isdisjoint(range(step.entry, step.entry + len(step.shapes))):
            if self._native is not None and self._native.numbers:
                self._native.end_section()
            self._write(step)

    def _write(self, step: Step) -> None:
        line = self._line(step)
        fixed = step.entry in self.plan.fixed and step.entry not in self.plan.place
        (self.once if fixed else self.each).append(line)

    def _later(self, lines: list[str]) -> None:
        """Write lines that must wait for the end of a section, if one is under way."""
        (self.each if self._native is None or not self._native.calls else self._native.after).extend(lines)

    def bind(self, name: str, value: Any) -> str:
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
        if is_sum(step):
            call = self._sum(step, arguments, "None")
        else:
            call = _as_method(step, arguments) or f"{self.function(step)}({', '.join(arguments)})"
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
                return self.bind(f"c{parent}_{dtype.char}", np.array(value, dtype))
        return self.names[parent]

    def function(self, step: Step) -> str:
        function = step.op.forward
        params = {name: value for name, value in step.params.items() if name != "rng"}
        if params and not isinstance(function, np.ufunc):
            function = functools.partial(function, **params)
        return self.bind(f"f{step.entry}_{_word(step.op.name)}", function)

    def _generator(self, rng: Any) -> str:
        """Return the name of a generator: one of those given at each call, or else the one that was there."""
        for number, generator in enumerate(self.captured.generators):
            if rng is generator:
                return f"g{number}"
        return self.bind("rng", rng)

    def _writing(self, step: Step, arguments: list[str], target: str) -> str:
        if is_sum(step):
            return self._sum(step, arguments, target)
        function = self.bind(_word(step.op.name), step.op.forward)
        by_name = step.op.forward in (np.maximum, np.minimum)  # whose third position is deprecated
        return f"{function}({', '.join(arguments)}, {'out=' if by_name else ''}{target})"

    def _sum(self, step: Step, arguments: list[str], target: str) -> str:
        """Write a sum as the method of the ufunc that NumPy's function comes down to."""
        axis = self.bind(f"a{step.entry}", step.params["axis"])
        add = self.bind("add_reduce", np.add.reduce)
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


def _word(name: str) -> str:
    return name if name.isidentifier() else "op"
