"""Embed: the source of a kernel, with all that it calls, as text that runs on NumPy alone."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from ..core.errors import MinigradError, OptionError
from ..core.primitive import Primitive

__all__ = ["Embedded"]


class Embedded:
    """Functions of minigrad, written out.

    Docstrings, annotations and decorators are left out; names of the errors become those of Python's own.
    """

    def __init__(self) -> None:
        self.imports: dict[str, None] = {"import numpy as np": None}
        self.texts: dict[str, str] = {}  # name -> definition, in the order in which they are needed
        self._names: dict[int, str] = {}  # id of a function or value -> its name here
        self._kept: list[Any] = []  # so that these ids stay theirs

    def name_of(self, function: Any) -> str:
        """Return the name under which a function can be called, writing it out when it is asked for first."""
        function = _plain(function)
        if id(function) in self._names:
            return self._names[id(function)]
        if not isinstance(function, FunctionType):
            raise OptionError(f"{function!r} has no Python source to write out")
        if function.__closure__:
            raise OptionError(f"{function.__name__} closes over variables, and cannot be written out on its own")
        return self._write(function, function.__globals__)

    def _write(self, thing: Any, space: dict[str, Any]) -> str:
        name = self._new_name(thing.__name__, thing)
        definition = ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]
        assert isinstance(definition, (ast.FunctionDef, ast.ClassDef))
        definition.name = name
        self.texts[name] = ""  # its place; what it calls may follow, for a name is looked up when it is called
        self.texts[name] = ast.unparse(ast.fix_missing_locations(_Stripped(self, space).visit(definition)))
        return name

    def _new_name(self, name: str, thing: Any) -> str:
        wanted, count = name, 1
        while wanted in self.texts:
            count += 1
            wanted = f"{name}_{count}"
        self._names[id(thing)] = wanted
        self._kept.append(thing)
        return wanted

    def reference(self, name: str, value: Any) -> str:
        """Return what stands for a global name of an embedded function."""
        if isinstance(value, ModuleType):
            if value is not np and value.__name__.startswith("minigrad"):
                raise OptionError(f"the module {value.__name__} is used as a whole, and cannot be written out")
            self.imports[f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}"] = None
            return name
        if isinstance(value, type) and issubclass(value, MinigradError):
            return next(base.__name__ for base in value.__mro__ if base.__module__ == "builtins")
        if name == "where" and getattr(value, "__module__", "").startswith("minigrad"):
            self.texts.setdefault("where", "def where(name):\n    return name")
            return "where"
        if name == "ARRAY":  # a mark that is only ever compared with itself
            self.texts.setdefault(name, f"{name} = object()")
            return name
        module = getattr(value, "__module__", "") or ""
        if isinstance(value, type) and module.startswith("minigrad"):
            return self._names.get(id(value)) or self._write(value, vars(sys.modules[module]))
        if isinstance(value, Primitive) or isinstance(_plain(value), FunctionType) and module.startswith("minigrad"):
            return self.name_of(value)
        if callable(value) and module and not module.startswith("minigrad"):
            self.imports[f"from {module} import {value.__name__}"] = None
            return str(value.__name__)
        if isinstance(value, (int, float, str, tuple, frozenset, bool, type(None), dict)):
            if id(value) not in self._names:
                given = self._new_name(name, value)
                self.texts[given] = f"{given} = {value!r}"
            return self._names[id(value)]
        raise OptionError(f"{name} = {value!r} cannot be written out")


def _plain(function: Any) -> Any:
    if isinstance(function, Primitive):
        function = function.forward
    return inspect.unwrap(function) if callable(function) else function


class _Stripped(ast.NodeTransformer):
    """Takes decorators, docstrings and annotations away, and renames what a definition refers to."""

    def __init__(self, embedded: Embedded, space: dict[str, Any]) -> None:
        self.embedded, self.globals = embedded, space
        self.local: set[str] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        self._undocument(node)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.decorator_list = [d for d in node.decorator_list if ast.unparse(d) in ("property", "staticmethod")]
        node.returns = None
        self._undocument(node)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [argument for argument in (node.args.vararg, node.args.kwarg) if argument is not None]
        for argument in arguments:
            argument.annotation = None
        before = set(self.local)
        self.local |= {argument.arg for argument in arguments}
        self.local |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self.local |= {n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef) and n is not node}
        self.generic_visit(node)
        self.local = before
        return node

    @staticmethod
    def _undocument(node: ast.FunctionDef | ast.ClassDef) -> None:
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        before = set(self.local)
        self.local |= {argument.arg for argument in node.args.args}
        self.generic_visit(node)
        self.local = before
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno))

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        base = node.value
        if isinstance(base, ast.Name) and base.id not in self.local:
            module = self.globals.get(base.id)
            if isinstance(module, ModuleType) and module.__name__.startswith("minigrad"):
                return ast.Name(self.embedded.reference(node.attr, getattr(module, node.attr)), node.ctx)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id in self.local or not isinstance(node.ctx, ast.Load) or node.id not in self.globals:
            return node
        return ast.Name(self.embedded.reference(node.id, self.globals[node.id]), node.ctx)


def returns_tuple(function: Callable[..., Any]) -> bool:
    """Whether a function surely returns a tuple, by its return statements."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(_plain(function)))).body[0]
    values = [node.value for node in ast.walk(definition) if isinstance(node, ast.Return)]
    return all(
        isinstance(value, ast.Tuple)
        or isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id == "tuple"
        for value in values
    )
