"""Source: a captured program as readable NumPy, the way one would have written it by hand."""

from __future__ import annotations

import ast
import linecache
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import OptionError
from .capture import Captured, Step
from .embed import Embedded, returns_tuple

__all__ = ["write"]

_BINARY = {
    "add": ("+", 10),
    "subtract": ("-", 10),
    "multiply": ("*", 11),
    "divide": ("/", 11),
    "matmul": ("@", 11),
    "power": ("**", 13),
    "greater": (">", 5),
    "less": ("<", 5),
    "greater_equal": (">=", 5),
    "less_equal": ("<=", 5),
    "equal": ("==", 5),
    "not_equal": ("!=", 5),
}
_ATOM = 20
LONG = 60
"""Expressions longer than this get a line of their own."""


class _Expression(NamedTuple):
    text: str
    strength: int  # how tightly its outermost operator binds


def write(
    captured: Captured,
    name: str,
    head: Sequence[str],
    inputs: Mapping[int, str],
    results: str,
    named: Mapping[int, str],
) -> str:
    """Write a program as the source of one function and what it calls.

    Parameters
    ----------
    captured : Captured
        Simplified and lowered.
    name : str
        The function, with its arguments: ``"loss_and_grads(params, X, y)"``.
    head : sequence of str
        Lines that take the inputs out of the arguments.
    inputs : mapping of int to str
        The name of each input.
    results : str
        What is returned, with ``{entry}`` where a result stands.
    named : mapping of int to str
        Names of results, such as ``d_W1``.

    Raises
    ------
    OptionError
        If an op cannot be written out.
    """
    return _Writer(captured, inputs, named).text(name, head, results)


class _Writer:
    def __init__(self, captured: Captured, inputs: Mapping[int, str], named: Mapping[int, str]) -> None:
        self.captured = captured
        self.embedded = Embedded()
        self.generators = {id(generator): f"rng{n or ''}" for n, generator in enumerate(captured.generators)}
        self.expressions: dict[int, _Expression] = {entry: _Expression(name, _ATOM) for entry, name in inputs.items()}
        self.taken = {*inputs.values(), *named.values(), "np", "params", "state", "X", "y"}
        self.names = self._names(named)
        self.reads: dict[int, int] = {}
        for step in captured.steps:
            for parent in step.parents:
                self.reads[parent] = self.reads.get(parent, 0) + 1
        self.kept = {result for result in captured.results if isinstance(result, int)}
        self.kinds = dict(zip(captured.inputs, captured.specs))
        for step in captured.steps:
            self.kinds.update(zip(range(step.entry, step.entry + len(step.shapes)), zip(step.shapes, step.dtypes)))

    # --- names ------------------------------------------------------------------------------------------------------

    def _names(self, named: Mapping[int, str]) -> dict[int, str]:
        """Name the entries: as told, as the user's own line assigns them, and the cotangents after their values."""
        names = dict(named)
        last: dict[Any, int] = {}
        for step in self.captured.steps:
            if step.line is not None and len(step.shapes) == 1 and step.entry not in self.captured.cotangents:
                last[step.line, step.scope] = step.entry
        for (line, _), entry in last.items():
            target = _assigned(line)
            if target and entry not in names:
                names[entry] = self._free(target)
        for entry, value in self.captured.cotangents.items():
            base = names.get(value)
            if base and entry not in names:
                names[entry] = self._free(f"d_{base}")
        return names

    def _free(self, name: str) -> str:
        wanted, count = name, 1
        while wanted in self.taken:
            count += 1
            wanted = f"{name}{count}"
        self.taken.add(wanted)
        return wanted

    # --- lines ------------------------------------------------------------------------------------------------------

    def text(self, name: str, head: Sequence[str], results: str) -> str:
        lines = [*head]
        scope, pass_ = None, ""
        loss = self.captured.results[0] if self.captured.results else None
        for step in self.captured.steps:
            line = self._line(step)
            if line is None:
                continue
            if step.scope != scope and step.scope:
                lines.append(f"# {step.scope}")
            scope = step.scope
            lines.append(line)
            if loss in range(step.entry, step.entry + len(step.shapes)) and not pass_ and self.captured.cotangents:
                pass_ = "backward"
                lines += ["", "# backward"]
                scope = None
        values = {f"e{entry}": self._result(entry) for entry in self.captured.results if isinstance(entry, int)}
        body = [*lines, f"return {results.format(**values)}"]
        parts = [
            "\n".join(self.embedded.imports),
            *self.embedded.texts.values(),
            f"def {name}:\n" + "\n".join(f"    {line}" if line else "" for line in body),
        ]
        return "\n\n\n".join(parts) + "\n"

    def _result(self, result: Any) -> str:
        return self.expressions[result].text if isinstance(result, int) else _constant(result[0])

    def _line(self, step: Step) -> str | None:
        """Return the line of a step, or None if its expression goes into the line of its only reader."""
        if step.op.kernel is not None and len(step.shapes) == 1 and not returns_tuple(step.op.kernel):
            target = self._target(step, step.entry)
            self.expressions[step.entry] = _Expression(target, _ATOM)
            return f"{target} = {self._call(step).text}"
        if len(step.shapes) > 1 or step.op.outputs:
            targets = [self._target(step, step.entry + number) for number in range(len(step.shapes))]
            for number, target in enumerate(targets):
                self.expressions[step.entry + number] = _Expression(target, _ATOM)
            return f"{', '.join(targets)}{',' * (len(targets) == 1)} = {self._call(step).text}"
        expression = self._expression(step)
        alone = step.entry in self.names or step.entry in self.kept or self.reads.get(step.entry, 0) != 1
        if not alone and len(expression.text) <= LONG and "rng" not in step.params:
            self.expressions[step.entry] = expression
            return None
        target = self._target(step, step.entry)
        self.expressions[step.entry] = _Expression(target, _ATOM)
        return f"{target} = {expression.text}"

    def _target(self, step: Step, entry: int) -> str:
        if entry not in self.names:
            used = self.reads.get(entry, 0) or entry in self.kept
            self.names[entry] = self._free(self._base(step, entry - step.entry)) if used else "_"
        return self.names[entry]

    def _base(self, step: Step, number: int) -> str:
        """Return what to call a result that has no name of its own."""
        op = step.op
        if op.kernel is not None:  # the cotangent of an argument
            argument = self._argument(step.parents[1 + self._read(step).index(step.params["needs"][number])]).text
            return f"d_{argument}" if argument.isidentifier() else f"d_{step.params['needs'][number]}"
        if isinstance(op.outputs, tuple) and op.outputs:
            return f"{op.name}_{op.outputs[number]}" if op.outputs[number] == "out" else op.outputs[number]
        return f"{op.name}_out" if op.name.isidentifier() else "value"

    @staticmethod
    def _read(step: Step) -> list[str]:
        """Return the names of what a backward kernel reads, after the cotangent."""
        return list(step.op.args[1:])

    # --- expressions ------------------------------------------------------------------------------------------------

    def _argument(self, entry: int) -> _Expression:
        if entry not in self.expressions:
            text = _constant(self.captured.constants[entry])
            self.expressions[entry] = _Expression(text, _ATOM if not text.startswith("-") else 12)
        return self.expressions[entry]

    def _expression(self, step: Step) -> _Expression:
        arguments = [self._argument(parent) for parent in step.parents]
        texts = [argument.text for argument in arguments]
        name, function = step.op.name, step.op.forward
        ours = step.op.__module__.startswith("minigrad") or isinstance(function, np.ufunc)
        if isinstance(function, np.ufunc) and getattr(np, name, None) is function:
            if name in _BINARY:
                arguments = [self._plain_number(step, p) or a for p, a in zip(step.parents, arguments)]
                sign, strength = _BINARY[name]
                left, right = (
                    f"({a.text})" if a.strength < strength + number else a.text for number, a in enumerate(arguments)
                )
                return _Expression(f"{left} {sign} {right}", strength)
            if name == "negative":
                return _Expression(f"-{texts[0]}" if arguments[0].strength >= 12 else f"-({texts[0]})", 12)
            return _Expression(f"np.{name}({', '.join(texts)})", _ATOM)
        if not ours:
            return self._call(step)
        array = texts[0] if texts and arguments[0].strength == _ATOM else f"({texts[0]})" if texts else ""
        if name == "reshape" and self.kinds.get(step.parents[0], ((), None))[0] == step.shapes[0]:
            return arguments[0]
        if name == "reshape":
            return _Expression(f"{array}.reshape({_shape(step.shapes[0])})", _ATOM)
        if name == "getitem":
            return _Expression(f"{array}[{_index(step.params['index'], texts[1:])}]", _ATOM)
        if name == "transpose":
            axes = step.params["axes"]
            return _Expression(f"{array}.T" if axes is None else f"{array}.transpose({_shape(axes)})", _ATOM)
        if name == "astype":
            return _Expression(f"{array}.astype(np.{step.dtypes[0].name})", _ATOM)
        if name == "broadcast_to":
            return _Expression(f"np.broadcast_to({texts[0]}, {step.shapes[0]})", _ATOM)
        if name == "stopped":
            return arguments[0]
        if name == "sum_squares":
            return _Expression(f"np.sum({array} ** 2)", _ATOM)
        if name == "swapaxes":
            last = {step.params["axis1"] % len(step.shapes[0]), step.params["axis2"] % len(step.shapes[0])}
            short = len(step.shapes[0]) == 2 and last == {0, 1}
            axes = f"{step.params['axis1']}, {step.params['axis2']}"
            return _Expression(f"{array}.T" if short else f"{array}.swapaxes({axes})", _ATOM)
        if name in ("sum", "mean", "max", "min", "expand_dims", "squeeze", "where"):
            options = [f"{key}={value!r}" for key, value in step.params.items() if value not in (None, False)]
            return _Expression(f"np.{name}({', '.join([*texts, *options])})", _ATOM)
        return self._call(step)

    def _literal(self, value: Any) -> str:
        """Write a static parameter."""
        if isinstance(value, tuple):
            return f"({', '.join(map(self._literal, value))}{',' * (len(value) == 1)})"
        if isinstance(value, np.dtype):
            return f"np.{value.name}"
        if type(value).__module__.startswith("minigrad"):
            return self.embedded.reference(value.__reduce__(), value)  # a mark, known by its name
        return repr(value)

    def _plain_number(self, step: Step, entry: int) -> _Expression | None:
        """Write a NumPy scalar as a Python number, where that makes no difference."""
        value = self.captured.constants.get(entry)
        (other,) = [parent for parent in step.parents if parent != entry] or [entry]
        if not isinstance(value, (np.generic, np.ndarray)) or value.shape or value.dtype.kind != "f":
            return None
        if self.kinds.get(other, ((), None))[1] != value.dtype or float(repr(float(value))) != float(value):
            return None
        return _Expression(repr(float(value)), _ATOM if value >= 0 else 12)

    def _call(self, step: Step) -> _Expression:
        """Call the op's own function, written out."""
        texts = [self._argument(parent).text for parent in step.parents]
        kernel = getattr(step.op, "kernel", None)
        if kernel is not None:  # a backward kernel
            static = {name: step.params[name] for name in step.op.kernel_static}
            options = [f"{key}={value!r}" for key, value in {**static, "wants": step.params["needs"]}.items()]
            return _Expression(f"{self.embedded.name_of(kernel)}({', '.join([*texts, *options])})", _ATOM)
        options = []
        for key, value in step.params.items():
            text = self.generators.get(id(value)) or ("np.random" if value is np.random else self._literal(value))
            options.append(f"{key}={text}")
        return _Expression(f"{self.embedded.name_of(step.op)}({', '.join([*texts, *options])})", _ATOM)


def _assigned(line: tuple[str, int]) -> str:
    """Return the variable that a line of the user's code assigns, if it is one line that assigns one."""
    try:
        (statement,) = ast.parse(linecache.getline(*line).strip()).body
    except (SyntaxError, ValueError):
        return ""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return ""


def _index(index: Any, arrays: Sequence[str]) -> str:
    """Write an index; what is not a number, a slice, None or an ellipsis stands for the next of the arrays."""
    waiting = iter(arrays)

    def part(item: Any) -> str:
        if isinstance(item, slice):
            ends = ["" if end is None else str(end) for end in (item.start, item.stop, item.step)]
            return ":".join(ends[: 3 if ends[2] else 2])
        if item is Ellipsis:
            return "..."
        return repr(item) if item is None or isinstance(item, (int, np.integer)) else next(waiting)

    return ", ".join(map(part, index)) if isinstance(index, tuple) else part(index)


def _shape(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


def _constant(value: Any) -> str:
    if isinstance(value, (bool, int, float, complex)):
        return repr(value) if not isinstance(value, float) or math.isfinite(value) else f"float({str(value)!r})"
    array = np.asarray(value)
    dtype = f"np.{array.dtype.name}" if array.dtype != bool else "bool"
    if array.ndim == 0:
        return f"{dtype}({array.item()!r})"
    if array.size and (array == array.flat[0]).all():
        return f"np.full({array.shape}, {array.flat[0].item()!r}, {dtype})"
    if array.ndim == 1 and array.dtype.kind in "iu" and (array == np.arange(len(array))).all():
        return f"np.arange({len(array)})"
    if array.size > 10_000:
        raise OptionError(f"a constant of shape {array.shape} is too large to be written out; make it an argument")
    return f"np.array({array.tolist()!r}, {dtype})"
