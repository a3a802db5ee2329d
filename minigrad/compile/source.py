"""Source: a captured program as readable NumPy, the way one would have written it by hand.

A result gets a line of its own if it is read more than once, if the user's code gave it a name, or if its expression is
long; otherwise it goes into the line of its reader. Names are the user's own, and `d_` with the name of a value for its
cotangent. What a line calls follows below the function, taken from where it is defined (see :mod:`.embed`).
"""

from __future__ import annotations

import ast
import builtins
import keyword
import linecache
import math
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..autodiff.fused import Fused
from ..core.errors import OptionError
from ..core.primitive import REGISTRY
from .capture import Captured, Step
from .embed import Embedded, Filled, calls_helpers, is_atom, returns_tuple

__all__ = ["write"]

WIDTH = 100
LONG = 60
"""Expressions longer than this get a line of their own."""

LARGE = 10_000
"""Constants with more numbers are refused."""

_FORMS = {
    "add": "x + y",
    "subtract": "x - y",
    "multiply": "x * y",
    "divide": "x / y",
    "matmul": "x @ y",
    "power": "x ** y",
    "greater": "x > y",
    "less": "x < y",
    "greater_equal": "x >= y",
    "less_equal": "x <= y",
    "equal": "x == y",
    "not_equal": "x != y",
    "negative": "-x",
    "positive": "x",
    "square": "x ** 2",
    "reciprocal": "1 / x",
    "relu": "np.maximum(0, x)",
    "drop": "x * mask * (1 / p)",
    "sum_squares": "np.sum(x ** 2)",
    "sum": "np.sum(x, axis=axis, keepdims=keepdims)",
    "max": "np.max(x, axis=axis, keepdims=keepdims)",
    "min": "np.min(x, axis=axis, keepdims=keepdims)",
    "prod": "np.prod(x, axis=axis, keepdims=keepdims)",
    "stopped": "x",
}
"""What one writes for an op, in terms of its arguments and static parameters."""

_ROLES = {
    "relu": "hidden",
    "maximum": "hidden",
    "affine": "pre",
    "add": "summed",
    "sum": "total",
    "where": "chosen",
    "matmul": "product",
    "scatter": "scattered",
    "dot_product_attention": "attended",
    "softmax": "weights",
    "drop": "dropped",
    "biased_convolution": "maps",
    "convolution": "maps",
    "max_pooling": "pooled",
    "batchnorm": "normal",
    "spatial_batchnorm": "normal",
    "layernorm": "normal",
    "transpose": "turned",
    "swapaxes": "turned",
    "concatenate": "joined",
    "stack": "stacked",
}
"""What a result is called that has no name of its own."""


def write(
    captured: Captured,
    name: str,
    head: Sequence[str],
    inputs: Mapping[int, str],
    results: Sequence[tuple[str, str]],
    named: Mapping[int, str],
    title: str = "",
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
    results : sequence of (name, text)
        What is returned, with ``resultNUMBER`` for each of the program's results. What has a name is assigned to it
        first.
    named : mapping of int to str
        Names of results, such as ``d_W1``.
    title : str
        What the first line of the text says.

    Raises
    ------
    OptionError
        If an op cannot be written out.
    """
    return _Writer(captured, inputs, named).text(name, head, results, title)


class _Writer:
    """Turns steps into statements, in which ``@ENTRY`` stands for the name of an entry until all is known."""

    def __init__(self, captured: Captured, inputs: Mapping[int, str], named: Mapping[int, str]) -> None:
        self.captured, self.inputs, self.named = captured, inputs, named
        self.generators = {id(generator): f"rng{n or ''}" for n, generator in enumerate(captured.generators)}
        self.taken = {*inputs.values(), *named.values(), *self.generators.values(), *_ARGUMENTS, *keyword.kwlist}
        self.embedded = Embedded(self.taken)
        self.expressions: dict[int, ast.expr] = {entry: ast.Name(name, ast.Load()) for entry, name in inputs.items()}
        self.origin = {step.entry + n: (step, n) for step in captured.steps for n in range(len(step.shapes))}
        self.reads: dict[int, int] = {}
        for step in captured.steps:
            for parent in step.parents:
                self.reads[parent] = self.reads.get(parent, 0) + 1
        self.kept = {result for result in captured.results if isinstance(result, int)}
        self.kinds: dict[int, Any] = dict(zip(captured.inputs, captured.specs))
        self.kinds.update((entry, (step.shapes[n], step.dtypes[n])) for entry, (step, n) in self.origin.items())
        self.hints = self._hints()
        self.same: dict[int, int] = {}  # entry -> the sum that is made in its place, and has its name
        self.lines: list[ast.stmt | str] = []
        self.tables: list[ast.stmt] = []  # constants that stand below

    # --- names ------------------------------------------------------------------------------------------------------

    def _hints(self) -> dict[int, str]:
        """Return the names that lines of the user's code assign, for the last entry that each line makes."""
        last: dict[Any, int] = {}
        for step in self.captured.steps:
            if step.line is not None and len(step.shapes) == 1:
                last[step.line, step.scope] = step.entry
            if self.captured.cotangents and self._makes(step, self.captured.results[0]):
                break  # what follows is the backward pass
        found = {entry: name for (line, _), entry in last.items() if (name := _assigned(line))}
        often = {name for name, count in Counter(found.values()).items() if count > 1}
        return {entry: name for entry, name in found.items() if name not in often or not self._role(entry)}

    @staticmethod
    def _makes(step: Step, result: Any) -> bool:
        return isinstance(result, int) and step.entry <= result < step.entry + len(step.shapes)

    def _names(self) -> dict[int, str]:
        """Name every entry that is assigned; where several would have the same name, they are counted from 1."""
        assigned = [
            int(node.id[1:])
            for line in [*self.lines, *self.tables]
            if isinstance(line, ast.stmt)
            for node in ast.walk(line)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id[0] == "@"
        ]
        names = dict(self.named)
        taken = self.taken | self.embedded.names
        read = [self._finally(e) for e in assigned if self.reads.get(e) or e in self.kept]
        used = [e for e in dict.fromkeys(read) if e not in names]
        values = {entry: self._value_of(entry) for entry in used}
        _number([e for e in used if values[e] is None], self._base, names, taken)

        def back(entry: int) -> str:
            value: Any = values[entry]
            return f"d_{self.inputs.get(value) or names.get(value) or self._base(value)}"

        own = [entry for entry in used if values[entry] in (self.inputs.keys() | names.keys())]
        for entries in (own, [e for e in used if values[e] is not None and e not in own]):
            _number(entries, back, names, taken)
        return names | {entry: names[self._finally(entry)] for entry in self.same}

    def _finally(self, entry: int) -> int:
        """Return the entry that ends up under the name of this one."""
        while entry in self.same:
            entry = self.same[entry]
        return entry

    def _value_of(self, entry: int) -> int | None:
        """Return the entry whose cotangent this is, or None."""
        if entry in self.captured.cotangents:
            return self.captured.cotangents[entry]
        if entry not in self.origin:
            return None
        step, number = self.origin[entry]
        if step.op.kernel is None:
            return None
        return dict(zip(step.op.args, step.parents)).get(step.params["needs"][number])

    def _base(self, entry: int) -> str:
        """Return what to call a result, were it the only one of its kind."""
        if entry not in self.origin:
            return self.inputs.get(entry, "table")
        word = self.origin[entry][0].op.name.strip("_")
        return self.hints.get(entry) or self._role(entry) or (word if word.isidentifier() else "value")

    def _role(self, entry: int) -> str:
        """Return what a result is, by what made it and who reads it; empty if there is no word for it."""
        step, number = self.origin[entry]
        op, outputs = step.op, step.op.outputs
        if op.kernel is not None:
            return "value"
        readers = [s for s in self.captured.steps if entry in s.parents]
        if any(s.op.kind == "loss" and s.parents[0] == entry for s in readers):
            return "scores"
        if op.kind == "loss" and number == 0:
            return "data_loss"
        if isinstance(outputs, tuple) and outputs and outputs[number] not in ("out", "result"):
            return outputs[number]
        if step.scope == "regularisation":
            return "penalty"
        taken_as = {s.op.args[s.parents.index(entry)] for s in readers if isinstance(s.op, Fused) and not s.op.variadic}
        if len(taken_as) == 1 and (name := taken_as.pop()) not in ("x", "y", "w"):
            return name
        if op.name == "reshape":
            return "flat" if len(step.shapes[0]) <= 2 else ""
        if op.name == "add" and any(p in self.origin and self.origin[p][0].op.name == "matmul" for p in step.parents):
            return "pre"
        if op.name == "getitem" and (source := self.inputs.get(step.parents[0])):
            return f"{source}_part"
        if step.dtypes[0].kind == "b":
            return "mask"
        return _ROLES.get(op.name) or {"activation": "hidden", "normalisation": "normal"}.get(op.kind, "")

    # --- text -------------------------------------------------------------------------------------------------------

    def text(self, name: str, head: Sequence[str], results: Sequence[tuple[str, str]], title: str) -> str:
        scope, forward = "", bool(self.captured.cotangents)
        loss = self.captured.results[0] if self.captured.results else None
        for step in self.captured.steps:
            start = len(self.lines)
            try:
                self._add(step)
            except OptionError as error:
                layer = f" in {step.scope}" if step.scope else ""
                raise OptionError(f"{step.op.name}{layer} cannot be written out: {error}") from error
            if len(self.lines) > start and step.scope not in (scope, ""):
                self.lines.insert(start, f"# {step.scope}")
                scope = step.scope
            if forward and self._makes(step, loss):
                forward, scope = False, ""
                self.lines += ["", "# backward"]
        texts = [(result, _parsed(text)) for result, text in results]
        wanted = {node.id for _, text in texts for node in ast.walk(text) if isinstance(node, ast.Name)}
        given = {f"result{n}": result for n, result in enumerate(self.captured.results) if f"result{n}" in wanted}
        values = {word: self._result(result) for word, result in given.items()}
        names = _Final(self._names())
        found = [(result, Filled(values).visit(text)) for result, text in texts]
        self.lines += [_assign(ast.Name(result, ast.Store()), value) for result, value in found if result]
        returned = [ast.Name(result, ast.Load()) if result else value for result, value in found]
        self.lines.append(ast.Return(returned[0] if len(returned) == 1 else ast.Tuple(returned, ast.Load())))
        lines = [*head]
        for line in self.lines:
            lines += [line] if isinstance(line, str) else _wrapped(names.visit(line), WIDTH - 4)
        parts = [f'"""{title}"""\n' * bool(title) + "\n" * bool(title) + _import_lines(self.embedded.imports)]
        parts.append(f"def {name}:\n" + "\n".join(f"    {line}" if line else "" for line in lines))
        tables = "\n".join(line for table in self.tables for line in _wrapped(names.visit(table), WIDTH))
        parts += [part for part in (self.embedded.text(), tables) if part]
        return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"

    # --- steps ------------------------------------------------------------------------------------------------------

    def _add(self, step: Step) -> None:
        """Write a step, or keep its expression for the line of its only reader."""
        count = len(step.shapes)
        statements = _STATEMENTS.get(step.op.name) if _is_own(step) else None
        if statements is not None:
            self.lines += statements(self, step)
            self.expressions[step.entry] = _name(step.entry)
        elif step.op.kernel is not None or count > 1 or step.op.outputs:
            call = self._several(step)
            single = count == 1 and step.op.kernel is not None and not returns_tuple(step.op.kernel)
            stored: list[ast.expr] = [_name(step.entry + n, ast.Store()) for n in range(count)]
            self.lines.append(_assign(stored[0] if single else ast.Tuple(stored, ast.Store()), call))
            self.expressions.update((step.entry + n, _name(step.entry + n)) for n in range(count))
        elif (place := self._place_of_sum(step)) is not None:
            (other,) = [parent for parent in step.parents if parent != place]
            self.same[place] = step.entry
            self.lines.append(ast.AugAssign(_name(place, ast.Store()), ast.Add(), self._read(other)))
            self.expressions[step.entry] = _name(step.entry)
        else:
            self.expressions[step.entry] = expression = self._expression(step)
            named = step.entry in self.hints or step.entry in self.named or step.entry in self.kept
            named = named or self._is_cotangent_of_a_line(step.entry)
            alone = named or self.reads.get(step.entry, 0) != 1 or "rng" in step.params
            if (alone and not is_atom(expression)) or len(ast.unparse(expression)) > LONG:
                self._settle(step.entry)

    def _place_of_sum(self, step: Step) -> int | None:
        """Return the term of a gradient, or of a penalty, to which the other may be added: it is read only here."""
        gradient = step.entry in self.named or step.entry in self.captured.cotangents
        if step.op.name != "add" or not (gradient or step.scope == "regularisation"):
            return None
        kind = step.shapes[0], step.dtypes[0]
        for entry in step.parents:
            if entry in self.origin and self.reads[entry] == 1 and entry not in self.kept and self.kinds[entry] == kind:
                source, number = self.origin[entry]
                new = source.op.kernel is not None or source.op.kind != "view" and not source.aliases[number]
                if new and _is_placeholder(self.expressions[entry], entry) and entry not in self.hints:
                    return entry
        return None

    def _is_cotangent_of_a_line(self, entry: int) -> bool:
        """Whether this is the cotangent of a value that has a line of its own."""
        value = self.captured.cotangents.get(entry)
        expression = self.expressions.get(value) if value in self.origin else None
        return expression is not None and _is_placeholder(expression, value)

    def _settle(self, entry: int) -> None:
        """Give an expression a line of its own."""
        self.lines.append(_assign(_name(entry, ast.Store()), self.expressions[entry]))
        self.expressions[entry] = _name(entry)

    def _read(self, entry: int) -> ast.expr:
        """Return what to write where an entry is read."""
        if entry not in self.expressions:
            value = self.captured.constants[entry]
            self.expressions[entry] = expression = self._computed(value) or _constant(value)
            if isinstance(value, np.ndarray) and len(ast.unparse(expression)) > LONG:
                if value.size > LARGE:
                    raise OptionError(
                        f"a constant of shape {value.shape} is too large to be written out; make it an argument"
                    )
                self.tables.append(_assign(_name(entry, ast.Store()), expression))
                self.expressions[entry] = _name(entry)
        return self.expressions[entry]

    def _result(self, result: Any) -> ast.expr:
        return self._read(result) if isinstance(result, int) else _constant(result[0])

    def _computed(self, value: Any) -> ast.expr | None:
        """Return the call that gives a large constant, if it is one of those that models are made with."""
        if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype not in (np.float64, np.float32):
            return None
        attention = sys.modules.get("minigrad.ops.attention")  # a room that this one does not import
        function = getattr(attention, "positional_encoding", None)
        if function is None or value.size < 4 or not np.array_equal(function(*value.shape, dtype=value.dtype), value):
            return None
        call = f"{self.embedded.name_of(function)}({_comma(value.shape)}, dtype={_dtype_text(value.dtype)})"
        return _parsed(call)

    def _atom(self, entry: int) -> ast.expr:
        """Return the same as something that can be read several times."""
        if not is_atom(self._read(entry)) and entry in self.origin:
            self._settle(entry)
        return self._read(entry)

    def _several(self, step: Step) -> ast.expr:
        """Return the call of an op with several results, or of a backward kernel."""
        kernel = step.op.kernel
        if kernel is None:
            found = self._inlined(step, step.op.forward, self._static(step))
            if isinstance(found, ast.Call) and isinstance(found.func, ast.Name) and found.func.id == "tuple":
                return found.args[0]
            return found or self._call(step, step.op)
        static = {name: self._literal(step.params[name]) for name in step.op.kernel_static}
        wants = self._literal(step.params["needs"])
        return self._call(step, kernel, {**static, "wants": wants})

    def _static(self, step: Step) -> dict[str, ast.expr]:
        return {name: self._literal(value) for name, value in step.params.items()}

    def _call(self, step: Step, function: Any, static: Mapping[str, ast.expr] | None = None) -> ast.expr:
        static = self._static(step) if static is None else static
        arguments = [self._read(parent) for parent in step.parents]
        called = _parsed(self.embedded.name_of(function))
        return ast.Call(called, arguments, [ast.keyword(name, value) for name, value in static.items()])

    def _inlined(self, step: Step, function: Any, static: Mapping[str, ast.expr]) -> ast.expr | None:
        """Return what a function of one expression computes, with the arguments in it."""
        names = list(step.op.args)
        arguments: dict[str, Any] = dict(zip(names, map(self._read, step.parents)))
        if step.op.variadic:
            rest = [self._read(parent) for parent in step.parents[len(names) - 1 :]]
            arguments[step.op.variadic] = ast.Tuple(rest, ast.Load())
        if calls_helpers(function):
            return None  # the op's own name says more
        found = self.embedded.inlined(function, {**arguments, **static})
        return _tidy(found) if found is not None and len(ast.unparse(found)) <= WIDTH else None

    def _expression(self, step: Step) -> ast.expr:
        name, function, own = step.op.name, step.op.forward, _is_own(step)
        special = _METHODS.get(name) if own else None
        found = special(self, step) if special is not None else None
        if found is not None:
            return found
        form = _FORMS.get(name) if own else None
        if form is not None and not (name == "drop" and step.dtypes[0] != self.kinds[step.parents[0]][1]):
            operands = [self._operand(step, position) for position in range(len(step.parents))]
            if name == "multiply":
                for one, other, parent in zip(operands, operands[::-1], step.parents[::-1]):
                    same = self.kinds.get(parent) == (step.shapes[0], step.dtypes[0])
                    if same and isinstance(one, ast.Constant) and one.value == 1:
                        return other
            filled = _filled(form, {**dict(zip(step.op.args, operands)), **self._static(step)})
            return _tidy(filled)
        if isinstance(function, np.ufunc):
            operands = [self._operand(step, position) for position in range(len(step.parents))]
            return _tidy(ast.Call(_parsed(self.embedded.name_of(function)), operands, []))
        library = sys.modules.get("scipy.special")  # loaded by the op, if it is one of these
        if own and getattr(function, "__closure__", None) and hasattr(library, name):
            self.embedded.imports["import scipy.special"] = None
            return ast.Call(_parsed(f"scipy.special.{name}"), [self._read(parent) for parent in step.parents], [])
        return self._inlined(step, function, self._static(step)) or self._call(step, step.op)

    def _kind(self, entry: int) -> np.dtype[Any]:
        """Return the dtype of an entry."""
        return self.kinds[entry][1] if entry in self.kinds else np.asarray(self.captured.constants[entry]).dtype

    def _shape(self, entry: int) -> tuple[int, ...]:
        """Return the shape of an entry."""
        return self.kinds[entry][0] if entry in self.kinds else np.shape(self.captured.constants[entry])

    def _operand(self, step: Step, position: int) -> ast.expr:
        """Return an argument of an elementwise op; a constant that is one number all over is written as a number."""
        entry = step.parents[position]
        value = self.captured.constants.get(entry)
        if isinstance(value, (np.ndarray, np.generic)) and value.size and value.dtype.kind == "f":
            others = [self.kinds.get(parent) for parent in step.parents if parent != entry]
            same = others and all(o is not None and o[1] == value.dtype for o in others)
            fits = value.ndim == 0 or all(o is not None and o[0] == step.shapes[0] for o in others)
            if same and fits and np.isfinite(value.flat[0]) and (value == value.flat[0]).all():
                return _number_of(float(value.flat[0]))
        return self._read(entry)

    def _literal(self, value: Any) -> ast.expr:
        """Write a static parameter."""
        if id(value) in self.generators:
            return ast.Name(self.generators[id(value)], ast.Load())
        if value is np.random:
            return _parsed("np.random")
        if isinstance(value, (tuple, list)):
            parts = [self._literal(part) for part in value]
            return ast.Tuple(parts, ast.Load()) if isinstance(value, tuple) else ast.List(parts, ast.Load())
        if isinstance(value, (np.dtype, np.generic, np.ndarray)):
            return _parsed(f"np.{value.name}") if isinstance(value, np.dtype) else _constant(value)
        if isinstance(value, slice):
            return ast.Call(
                ast.Name("slice", ast.Load()), [self._literal(v) for v in (value.start, value.stop, value.step)], []
            )
        if value is None or value is Ellipsis or isinstance(value, (bool, int, float, complex, str)):
            return _number_of(value) if isinstance(value, float) else _parsed(repr(value))
        if type(value).__module__.split(".")[0] == "minigrad" and isinstance(value.__reduce__(), str):
            return _parsed(self.embedded.mark(value))
        if callable(value):
            return _parsed(self.embedded.name_of(value))
        raise OptionError(f"there is no text for its parameter {value!r}")


_ARGUMENTS = {"np", "params", "state", "X", "y", "rng", "grads", "new_state", *dir(builtins)}


def _name(entry: int, context: ast.expr_context | None = None) -> ast.Name:
    return ast.Name(f"@{entry}", context or ast.Load())


def _is_placeholder(node: ast.expr, entry: int | None) -> bool:
    return isinstance(node, ast.Name) and node.id == f"@{entry}"


def _assign(target: ast.expr, value: ast.expr) -> ast.stmt:
    return ast.Assign([target], value, lineno=0)


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _filled(form: str, arguments: Mapping[str, ast.expr]) -> ast.expr:
    return Filled(arguments).visit(_parsed(form))  # type: ignore[no-any-return]


def _comma(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _is_own(step: Step) -> bool:
    return REGISTRY.get(step.op.name) is step.op


def _number(entries: Sequence[int], base_of: Callable[[int], str], names: dict[int, str], taken: set[str]) -> None:
    """Name entries after their bases, those that share one by numbers; put them into `names` and `taken`."""
    groups: dict[str, list[int]] = {}
    for entry in entries:
        groups.setdefault(base_of(entry), []).append(entry)
    for base, group in groups.items():
        number = 0
        for entry in group:
            name = base
            while name in taken or (len(group) > 1 and name == base):
                number += 1
                name = f"{base}{'_' * base[-1].isdigit()}{number}"
            names[entry] = name
            taken.add(name)


def _assigned(line: tuple[str, int]) -> str:
    """Return the variable that a line of the user's code assigns, if it is one line that assigns one."""
    try:
        (statement,) = ast.parse(linecache.getline(*line).strip()).body
    except (SyntaxError, ValueError):
        return ""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    return ""


# --- ops that have a notation of their own ----------------------------------------------------------------------------


def _reshape(writer: _Writer, step: Step) -> ast.expr:
    entry = step.parents[0]
    while entry in writer.origin and writer.origin[entry][0].op.name == "reshape":
        if _is_placeholder(writer.expressions[entry], entry):
            break
        entry = writer.origin[entry][0].parents[0]
    x = writer._read(entry)
    if writer.kinds.get(entry, (None,))[0] == step.shapes[0]:
        return x
    return _method(x, "reshape", *(step.shapes[0] or [()]))


def _transpose(writer: _Writer, step: Step) -> ast.expr:
    x, axes = writer._read(step.parents[0]), step.params["axes"]
    if axes is None or tuple(axes) == (1, 0):
        return ast.Attribute(x, "T", ast.Load())
    return x if tuple(axes) == tuple(range(len(axes))) else _method(x, "transpose", *axes)


def _swapaxes(writer: _Writer, step: Step) -> ast.expr:
    x, axes = writer._read(step.parents[0]), (step.params["axis1"], step.params["axis2"])
    if len(step.shapes[0]) == 2 and {axis % 2 for axis in axes} == {0, 1}:
        return ast.Attribute(x, "T", ast.Load())
    return _method(x, "swapaxes", *axes)


def _astype(writer: _Writer, step: Step) -> ast.expr:
    x = writer._read(step.parents[0])
    dtype = step.dtypes[0]
    return ast.Call(ast.Attribute(x, "astype", ast.Load()), [_parsed(_dtype_text(dtype))], [])


def _getitem(writer: _Writer, step: Step) -> ast.expr:
    return ast.Subscript(writer._read(step.parents[0]), _index(writer, step, 1), ast.Load())


def _method(x: ast.expr, name: str, *numbers: Any) -> ast.expr:
    return ast.Call(ast.Attribute(x, name, ast.Load()), [_parsed(str(number)) for number in numbers], [])


def _index(writer: _Writer, step: Step, first: int) -> ast.expr:
    """Write an index; the arrays in it are the step's arguments from the first on."""
    arrays = iter([writer._read(parent) for parent in step.parents[first:]])

    def part(item: Any) -> ast.expr:
        if isinstance(item, slice):
            ends = [None if end is None else _parsed(str(end)) for end in (item.start, item.stop, item.step)]
            return ast.Slice(*ends)
        if item is None or item is Ellipsis or isinstance(item, (bool, int, np.integer, np.bool_)):
            return ast.Constant(item) if item is None or item is Ellipsis else _parsed(str(item))
        return next(arrays)

    index = step.params["index"]
    index = index if isinstance(index, tuple) else (index,)
    parts = [part(item) for item in index]
    return parts[0] if len(parts) == 1 else ast.Tuple(parts, ast.Load())


def _scatter(writer: _Writer, step: Step) -> list[ast.stmt]:
    """Zeros of a shape, to which the cotangent is added where its elements were taken."""
    index = _index(writer, step, 1)
    value = writer._value_of(step.entry)
    shape, dtype = step.shapes[0], step.dtypes[0]
    like = writer.expressions.get(value) if value is not None else None
    if value is not None and isinstance(like, ast.Name) and writer.kinds.get(value) == (shape, dtype):
        zeros = _filled("np.zeros_like(x)", {"x": like})
    else:
        zeros = _parsed(f"np.zeros({shape}" + ("" if dtype == np.float64 else f", {_dtype_text(dtype)}") + ")")
    g, target = writer._read(step.parents[0]), _name(step.entry)
    numbers = any(writer._kind(parent).kind != "b" for parent in step.parents[1:])
    if numbers:
        if isinstance(index, ast.Tuple) and any(isinstance(part, ast.Slice) for part in index.elts):
            index = ast.Subscript(_parsed("np.s_"), index, ast.Load())
        added: ast.stmt = ast.Expr(_filled("np.add.at(x, index, g)", {"x": target, "index": index, "g": g}))
    else:
        added = ast.Assign([ast.Subscript(target, index, ast.Store())], g, lineno=0)
    return [_assign(_name(step.entry, ast.Store()), zeros), added]


def _put(writer: _Writer, step: Step) -> list[ast.stmt]:
    """A copy into which values are written."""
    copied = _filled("x.copy()", {"x": writer._read(step.parents[0])})
    item = ast.Subscript(_name(step.entry), _index(writer, step, 2), ast.Store())
    written = ast.Assign([item], writer._read(step.parents[1]), lineno=0)
    return [_assign(_name(step.entry, ast.Store()), copied), written]


def _affine(writer: _Writer, step: Step) -> ast.expr:
    x, w, b = map(writer._read, step.parents)
    shape = writer._shape(step.parents[0])
    if len(shape) != 2:
        x = _method(x, "reshape", step.shapes[0][0], math.prod(shape[1:]))
    return _filled("x @ w + b", {"x": x, "w": w, "b": b})


def _where_greater(writer: _Writer, step: Step) -> ast.expr | None:
    """The slope of a rectifier, where the other argument is 0; half of it where they are equal."""
    g, x, y = step.parents
    if writer.captured.constants.get(y, 1) is None or np.any(writer.captured.constants.get(y, 1)):
        return None
    slope = _filled("np.heaviside(x, 0.5)", {"x": writer._read(x)})
    return ast.BinOp(writer._read(g), ast.Mult(), slope)


_METHODS: dict[str, Callable[[_Writer, Step], ast.expr | None]] = {
    "affine": _affine,
    "where_greater": _where_greater,
    "reshape": _reshape,
    "transpose": _transpose,
    "swapaxes": _swapaxes,
    "astype": _astype,
    "getitem": _getitem,
}
_STATEMENTS: dict[str, Callable[[_Writer, Step], list[ast.stmt]]] = {"scatter": _scatter, "put": _put}


# --- tidying ----------------------------------------------------------------------------------------------------------


def _tidy(expression: ast.expr) -> ast.expr:
    return _Tidy().visit(expression)  # type: ignore[no-any-return]


class _Tidy(ast.NodeTransformer):
    """Writes an expression as one does: no arguments that have their default, no ``x + x``; with the same numbers."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = ast.unparse(node.func)
        if not name.startswith("np."):
            return node
        node.keywords = [k for k in node.keywords if (k.arg, ast.unparse(k.value)) not in _DEFAULTS]
        for keyword_ in node.keywords:
            if keyword_.arg == "axis" and isinstance(keyword_.value, ast.Tuple) and len(keyword_.value.elts) == 1:
                keyword_.value = keyword_.value.elts[0]
        if name in ("np.maximum", "np.minimum") and isinstance(node.args[1], ast.Constant):
            node.args.reverse()
        node.args = [
            ast.Constant(0)
            if isinstance(a, ast.Constant)
            and a.value == 0.0
            and type(a.value) is float
            and name in ("np.maximum", "np.minimum")
            else a
            for a in node.args
        ]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.Add) and is_atom(node.left) and ast.dump(node.left) == ast.dump(node.right):
            return ast.BinOp(ast.Constant(2), ast.Mult(), node.left)
        if isinstance(node.op, ast.Mult):
            for number, other in ((node.left, node.right), (node.right, node.left)):
                if _is_float(number) and isinstance(other, ast.BinOp) and _is_twice(other):
                    return ast.BinOp(_number_of(2 * number.value), ast.Mult(), other.right)  # type: ignore[attr-defined]
        return node


_DEFAULTS = {("axis", "None"), ("keepdims", "False"), ("dtype", "None"), ("ddof", "0"), ("out", "None")}


def _is_float(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is float


def _is_twice(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.Mult) and isinstance(node.left, ast.Constant) and node.left.value == 2


class _Final(ast.NodeTransformer):
    """Gives entries their names."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id[0] == "@":
            return ast.Name(self.names.get(int(node.id[1:]), "_"), node.ctx)
        return node


# --- text of nodes ----------------------------------------------------------------------------------------------------


def _code(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if '"' in text else text.replace("'", '"')


def _wrapped(statement: ast.stmt, width: int) -> list[str]:
    """Return a statement as lines of at most a width, broken between arguments."""
    head = ""
    value: Any = getattr(statement, "value", None)
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Tuple):
        names = [_code(target) for target in statement.targets[0].elts]
        head = f"{', '.join(names)} = " if len(names) > 1 else f"({names[0]},) = "
    elif isinstance(statement, ast.Assign):
        head = f"{_code(statement.targets[0])} = "
    elif isinstance(statement, ast.Return):
        head = "return "
    parts = (
        [_code(part) for part in value.elts]
        if isinstance(statement, ast.Return) and isinstance(value, ast.Tuple)
        else []
    )
    text = head + (", ".join(parts) if parts else _code(value)) if head else _code(statement)
    if len(text) <= width:
        return [text]
    if parts and isinstance(value, ast.Tuple):
        lines = []
        for number, part in enumerate(value.elts):
            lines += _broken("", part, width - 4, "," if number < len(parts) - 1 else "")
        return [f"{head}(", *(f"    {line}" for line in lines), ")"]
    return _broken(head, value, width, "")


def _import_lines(imports: Iterable[str]) -> str:
    """Return imports as one sorts them: those of Python, then the others; the names of one module together."""
    whole = sorted(line for line in imports if line.startswith("import"))
    names: dict[str, list[str]] = {}
    for line in sorted(set(imports) - set(whole)):
        module, _, name = line.removeprefix("from ").partition(" import ")
        names.setdefault(module, []).append(name)
    lines = [*whole, *(f"from {module} import {', '.join(each)}" for module, each in names.items())]
    standard = [line for line in lines if line.split()[1].split(".")[0] in sys.stdlib_module_names]
    others = [line for line in lines if line not in standard]
    return "\n".join([*standard, *[""] * bool(standard), *others])


def _broken(head: str, value: Any, width: int, tail: str) -> list[str]:
    """Return an expression as lines; a call or a dict is opened, and filled."""
    text = _code(value)
    if len(head) + len(text) + len(tail) <= width:
        return [head + text + tail]
    if isinstance(value, ast.Call):
        inner = [*map(_code, value.args), *(f"{k.arg}={_code(k.value)}" for k in value.keywords)]
        opening, closing = f"{head}{_code(value.func)}(", ")"
    elif isinstance(value, ast.Dict):
        inner = [f"{_code(k)}: {_code(v)}" for k, v in zip(value.keys, value.values)]  # type: ignore[arg-type]
        opening, closing = head + "{", "}"
    else:
        inner, opening, closing = [text], f"{head}(", ")"
    filled = textwrap.wrap(", ".join(i.replace(" ", "\0") for i in inner), width - 4, break_long_words=False)
    return [opening, *(f"    {line}".replace("\0", " ") for line in filled), closing + tail]


def _number_of(value: float) -> ast.expr:
    """Write a float, as ``1 - 0.9`` or ``1 / 3`` where that is the same and shorter."""
    if not math.isfinite(value):
        return _parsed(f"float({str(value)!r})")
    if len(repr(value)) > 8 and value > 0:
        rest = round(1 - value, 6)
        if 0 < rest < 1 and 1 - rest == value:
            return _parsed(f"1 - {rest!r}")
        whole = round(1 / value)
        if 1 < whole < 1e9 and 1 / whole == value:
            return _parsed(f"1 / {whole}")
    return _parsed(repr(value))


def _dtype_text(dtype: np.dtype[Any]) -> str:
    return "bool" if dtype.kind == "b" else f"np.{dtype.name}"


def _constant(value: Any) -> ast.expr:
    """Write a constant: a number, an array of one value, a range, or all elements."""
    if isinstance(value, float) and not isinstance(value, np.generic):
        return _number_of(value)
    if isinstance(value, (bool, int, complex)) and not isinstance(value, np.generic):
        return _parsed(repr(value))
    array = np.asarray(value)
    dtype = _dtype_text(array.dtype)
    assert array.dtype.kind in "fciub"
    kind = "" if array.dtype in (np.float64, np.int64, bool) else f", {dtype}"
    if array.ndim == 0:
        item = array.item()
        if isinstance(item, bool):
            return _parsed(f"np.{item}_")
        return ast.Call(_parsed(dtype), [_number_of(item) if isinstance(item, float) else _parsed(repr(item))], [])
    if not array.size:
        return _parsed(f"np.zeros({array.shape}{kind or ', bool' * (array.dtype.kind == 'b')})")
    if (array == array.flat[0]).all():
        item = array.flat[0].item()
        made = {0: "zeros", 1: "ones"}.get(item)
        if made is not None:
            return _parsed(f"np.{made}({array.shape}{kind or ', bool' * (array.dtype.kind == 'b')})")
        number = _number_of(item) if isinstance(item, float) else _parsed(repr(item))
        return _parsed(f"np.full({array.shape}, {ast.unparse(number)}{kind})")
    if array.ndim == 1 and array.dtype == np.int64 and (array == np.arange(len(array))).all():
        return _parsed(f"np.arange({len(array)})")
    listed = array.tolist() if np.isfinite(array).all() else None
    if listed is None or array.dtype.kind not in "fciub":
        text = repr(array.tolist()).replace("nan", "float('nan')").replace("inf", "float('inf')")
        return _parsed(f"np.array({text}{kind})")
    return _parsed(f"np.array({listed!r}{kind})")
