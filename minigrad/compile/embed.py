"""Embed: the functions that a written-out program calls, with all that they call in turn, as text for NumPy alone.

What a definition uses is followed by name: functions, classes and constants of this project and of the user are written
out as well, other modules are imported. Definitions of one module stand together, in the order that they have there,
those of modules that others use first.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import sys
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import OptionError
from ..core.primitive import Primitive
from .excerpt import WIDTH, Excerpt, definition_of, plain

__all__ = ["Embedded", "Filled", "calls_helpers", "is_atom", "returns_tuple"]


class _Definition(NamedTuple):
    module: str
    line: int
    text: str
    uses: frozenset[str]  # names of what it refers to


class Embedded:
    """Functions of this project and of the user, written out.

    Parameters
    ----------
    taken : set of str
        Names that stand for something else.
    """

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        self.imports: dict[str, None] = {"import numpy as np": None}
        self._definitions: dict[str, _Definition] = {}  # by name
        self._names: dict[Any, str] = {}  # id of a function or class, module and name of a constant -> its name here
        self._kept: list[Any] = []  # so that these ids stay theirs

    def name_of(self, function: Any) -> str:
        """Return the name under which a function can be called, writing it out when it is asked for first."""
        function = plain(function)
        name = getattr(function, "__name__", "")
        if isinstance(function, np.ufunc) and getattr(np, name, None) is function:
            return f"np.{name}"
        if id(function) in self._names:
            return self._names[id(function)]
        if not isinstance(function, FunctionType):
            raise OptionError(f"{function!r} has no Python source, so it cannot be written out")
        return self._write(function, function.__module__, space_of(function))

    def mark(self, value: Any) -> str:
        """Return the name of a value that its module knows by name, as pickle does."""
        return self._constant(type(value).__module__, value.__reduce__(), value)

    def inlined(self, function: Any, arguments: Mapping[str, ast.expr]) -> ast.expr | None:
        """Return a function of one expression with its arguments put into it, or None if it is not one.

        An argument that is an expression of several parts is put in once only.
        """
        function = plain(function)
        body = _only_expression(function)
        if body is None or any(isinstance(n, (ast.Lambda, ast.comprehension, ast.JoinedStr)) for n in ast.walk(body)):
            return None
        reads = [n.id for n in ast.walk(body) if isinstance(n, ast.Name) and n.id in arguments]
        if any(reads.count(name) > 1 and not is_atom(arguments[name]) for name in reads):
            return None
        node, text, _ = definition_of(function)
        excerpt = Excerpt(node, text, space_of(function), self.refer(function.__module__))
        return Filled(arguments).visit(excerpt.renamed(body))  # type: ignore[no-any-return]

    def refer(self, module: str) -> Any:
        """Return a function that tells what to write for a global name of a module: ``(name, value) -> text``."""
        return functools.partial(self._reference, module)

    def _reference(self, module: str, name: str, value: Any) -> str:
        if isinstance(value, ModuleType):
            if value.__name__.split(".")[0] == "minigrad":
                raise OptionError(f"the module {value.__name__} is used as a whole, so it cannot be written out")
            self.imports[f"import {value.__name__}" + (f" as {name}" if value.__name__ != name else "")] = None
            return name
        if isinstance(value, type) and issubclass(value, BaseException):
            return next(base.__name__ for base in value.__mro__ if base.__module__ == "builtins")
        if isinstance(value, np.ufunc):
            return self.name_of(value)
        own = getattr(plain(value), "__module__", None) or ""
        ours = own.split(".")[0] in ("minigrad", "__main__") or own == module
        if isinstance(value, type) and ours:
            return self._names.get(id(value)) or self._write(value, own, vars(sys.modules[own]))
        if isinstance(plain(value), FunctionType) and (ours or isinstance(value, Primitive)):
            return self.name_of(value)
        if callable(value) and not ours and hasattr(value, "__name__"):
            known = f" as {name}" if value.__name__ != name else ""
            self.imports[f"from {own} import {value.__name__}{known}"] = None
            return name
        return self._constant(module, name, value)

    @property
    def names(self) -> set[str]:
        """What is defined or imported so far."""
        return {*self._definitions, *(line.split()[-1] for line in self.imports)}

    # --- definitions ------------------------------------------------------------------------------------------------

    def _write(self, thing: Any, module: str, space: dict[str, Any]) -> str:
        node, text, line = definition_of(thing)
        name = self._new_name(thing.__name__ if thing.__name__.isidentifier() else "function", module)
        self._names[id(thing)] = name
        self._kept.append(thing)
        self._define(name, module, line, lambda refer: Excerpt(node, text, space, refer).definition(name))
        return name

    def _constant(self, module: str, name: str, value: Any) -> str:
        key = module, name, id(value)
        if key in self._names:
            return self._names[key]
        given = self._names[key] = self._new_name(name, module)
        self._kept.append(value)
        node, text = _assignment(module, name)
        if node is not None and getattr(sys.modules[module], name, self) is value:
            space = vars(sys.modules[module])
            self._define(
                given,
                module,
                node.lineno,
                lambda refer: f"{given} = {Excerpt(node, text, space, refer).expression(node)}",
            )
        elif _is_plain(value):
            self._define(given, module, 0, lambda refer: f"{given} = {value!r}")
        else:
            raise OptionError(f"{name} = {value!r} cannot be written out")
        return given

    def _define(self, name: str, module: str, line: int, write: Any) -> None:
        self._definitions[name] = _Definition(module, line, "", frozenset())  # its place; it may call itself
        used: set[str] = set()

        def refer(global_name: str, value: Any) -> str:
            text = self._reference(module, global_name, value)
            used.add(text)
            return text

        self._definitions[name] = _Definition(module, line, write(refer), frozenset(used))

    def _new_name(self, name: str, module: str) -> str:
        """Return the name of a definition; where it is taken, the module's name sets it apart."""
        room = module.rpartition(".")[2].strip("_")
        apart = f"{room.upper()}_{name}" if name.isupper() else f"{'_' * name.startswith('_')}{room}_{name.strip('_')}"
        candidates = [name, apart, *(f"{name}_{count}" for count in range(2, 1000))]
        return next(
            n for n in candidates if n not in self._definitions and n not in self.taken and not hasattr(builtins, n)
        )

    # --- all of it --------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """Return all definitions, module by module."""
        modules: dict[str, list[_Definition]] = {}
        for definition in self._definitions.values():
            modules.setdefault(definition.module, []).append(definition)
        parts = []
        for module in self._sorted(modules):
            place = module.removeprefix("minigrad.").replace(".", "/") if module != "__main__" else "your own"
            title = f"# --- {place} "
            text, before = title.ljust(WIDTH, "-") + "\n", ""
            for definition in sorted(modules[module], key=lambda each: each.line):
                short = "\n" not in before + definition.text
                text += ("\n" if short or not before else "\n\n") + definition.text + "\n"
                before = definition.text
            parts.append(text)
        return "\n\n".join(parts)

    def _sorted(self, modules: dict[str, list[_Definition]]) -> list[str]:
        """Return the modules, each after those that it uses."""
        found: list[str] = []

        def visit(module: str, above: tuple[str, ...]) -> None:
            if module in found or module in above:
                return
            names = {name for definition in modules[module] for name in definition.uses}
            for name in sorted(names & self._definitions.keys()):
                visit(self._definitions[name].module, (*above, module))
            found.append(module)

        for module in modules:
            visit(module, ())
        return found


def space_of(function: FunctionType) -> dict[str, Any]:
    """Return what the names stand for that a function takes from outside."""
    closed = zip(function.__code__.co_freevars, function.__closure__ or ())
    return {**function.__globals__, **{name: cell.cell_contents for name, cell in closed}}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list, set, frozenset)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(part) for item in value.items() for part in item)
    return isinstance(value, (int, float, complex, str, bool, type(None), slice))


@functools.cache
def _module_source(module: str) -> tuple[str, dict[str, ast.expr]]:
    text = inspect.getsource(sys.modules[module])
    found: dict[str, ast.expr] = {}
    for statement in ast.parse(text).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        targets = (
            [statement.target] if isinstance(statement, ast.AnnAssign) and statement.value is not None else targets
        )
        if len(targets) == 1 and isinstance(targets[0], ast.Name):
            found[targets[0].id] = statement.value  # type: ignore[attr-defined]
    return text, found


def _assignment(module: str, name: str) -> tuple[ast.expr | None, str]:
    """Return what a module assigns to a name, with the module's text; None if there is no such assignment."""
    try:
        text, found = _module_source(module)
    except (OSError, TypeError):
        return None, ""
    return found.get(name), text


class Filled(ast.NodeTransformer):
    """Puts arguments in the place of parameters."""

    def __init__(self, arguments: Mapping[str, ast.expr]) -> None:
        self.arguments = arguments

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.arguments.get(node.id, node)


def is_atom(node: ast.expr) -> bool:
    """Whether an expression may stand in several places: it is a name, its transpose, or a literal."""
    if isinstance(node, ast.Attribute):
        return node.attr == "T" and isinstance(node.value, ast.Name)
    return isinstance(node, (ast.Name, ast.Constant, ast.Tuple))


def _only_expression(function: Any) -> ast.expr | None:
    """Return the expression that a function computes, if its body is that and a docstring."""
    if not isinstance(function, FunctionType):
        return None
    node, _, _ = definition_of(function)
    if isinstance(node, ast.Lambda):
        return node.body
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None


def calls_helpers(function: Any) -> bool:
    """Whether a function of one expression is made of others that are private to its module."""
    body = _only_expression(plain(function))
    names = [n for n in ast.walk(body) if isinstance(n, ast.Name)] if body is not None else []
    return any(n.id.startswith("_") and isinstance(plain(function).__globals__.get(n.id), FunctionType) for n in names)


def returns_tuple(function: Any) -> bool:
    """Whether a function surely returns a tuple, by its return statements."""
    node, _, _ = definition_of(plain(function))
    values = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Return)]
    values += [node.body] if isinstance(node, ast.Lambda) else []
    return bool(values) and all(
        isinstance(value, ast.Tuple)
        or isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id == "tuple"
        for value in values
    )
