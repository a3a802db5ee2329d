"""Excerpt: a function or class as the text that it has in its module, without what nobody needs who only reads it.

Left out are annotations, decorators of this project, the later lines of docstrings, and checks: statements that can
only raise, and what is computed for them alone. Names of other definitions are replaced by what stands for them.
Everything else, comments and line breaks too, stays as it was written.
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any

from ..core.errors import OptionError
from ..core.primitive import Primitive
from ..core.tensor import Tensor

__all__ = ["UNKNOWN", "Excerpt", "definition_of", "plain"]

UNKNOWN = object()
"""What a name stands for that is no global one."""

WIDTH = 100
"""A function's first line is broken where it would be longer."""

_ON_ARRAYS = {"where": "{}", "value_of": "{}", "as_array": "np.asarray({})"}
"""What is left of these functions of minigrad where there are only arrays, and nothing fails."""

_REMARK = re.compile(r"\s*# (type|noqa|pragma)\b.*$")
"""Comments for tools."""

_FUNCTIONS = (ast.FunctionDef, ast.Lambda)
_Definition = ast.FunctionDef | ast.ClassDef | ast.Lambda


def plain(function: Any) -> Any:
    """Return the Python function behind an op, a kernel or a wrapper; anything else as it is."""
    if isinstance(function, Primitive):
        function = function.forward
    return inspect.unwrap(function) if callable(function) and not isinstance(function, type) else function


def definition_of(thing: Any) -> tuple[_Definition, str, int]:
    """Return the definition of a function or class, the text that it is in, and its line in the file.

    Raises
    ------
    OptionError
        If there is no source, or one line has several functions without a name.
    """
    try:
        lines, number = inspect.getsourcelines(thing)
    except (OSError, TypeError) as error:
        raise OptionError(f"{thing!r} has no Python source, so it cannot be written out") from error
    text = textwrap.dedent("".join(lines))
    if getattr(thing, "__name__", "") != "<lambda>":
        (node,) = ast.parse(text).body
        assert isinstance(node, (ast.FunctionDef, ast.ClassDef))
        return node, text, number
    try:
        tree: ast.AST = ast.parse(text)
    except SyntaxError:  # a piece of a statement
        raise OptionError(
            f"the lambda at {thing.__code__.co_filename}:{number} stands inside a longer statement"
        ) from None
    names = list(inspect.signature(thing).parameters)
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Lambda) and [a.arg for a in _arguments(n)] == names]
    if len(found) != 1:
        raise OptionError(f"{thing.__code__.co_filename}:{number} has several lambdas, which cannot be told apart")
    return found[0], text, number


def _arguments(node: ast.FunctionDef | ast.Lambda) -> list[ast.arg]:
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return given + [argument for argument in (node.args.vararg, node.args.kwarg) if argument is not None]


class Excerpt:
    """A definition with its text.

    Parameters
    ----------
    node : definition, or an expression
        As it stands in the text.
    text : str
    space : dict
        What its global names stand for.
    refer : callable (name, value) -> str
        Returns what to write for a global name.
    """

    def __init__(self, node: Any, text: str, space: dict[str, Any], refer: Callable[[str, Any], str]) -> None:
        self.lines = [line.encode() for line in text.splitlines()]
        self.space, self.refer = space, refer
        self.local = _local_names(node)
        self.node = _Pruned(self).visit(copy.deepcopy(node))
        if isinstance(self.node, ast.FunctionDef):
            _drop_unused(node, self.node)

    # --- names ------------------------------------------------------------------------------------------------------

    def value(self, node: ast.AST) -> Any:
        """Return what a name, or a name in a module of this project, stands for; UNKNOWN for all that is not global."""
        if isinstance(node, ast.Name):
            return self.space.get(node.id, UNKNOWN) if node.id not in self.local else UNKNOWN
        if isinstance(node, ast.Attribute):
            base = self.value(node.value)
            if isinstance(base, ModuleType) and _is_ours(base):
                return getattr(base, node.attr)
            if isinstance(base, Primitive) and node.attr in ("forward", "bind", "all_outputs"):
                return base.forward
        return UNKNOWN

    def replacement(self, node: ast.AST) -> ast.expr | None:
        """Return what to write in place of an expression, or None if it stays (and its parts may not)."""
        if isinstance(node, ast.Call):
            function = self.value(node.func)
            ours = isinstance(function, FunctionType) and function.__module__.split(".")[0] == "minigrad"
            form = _ON_ARRAYS.get(function.__name__) if ours else None
            if form is not None:
                return _parsed(form.format(ast.unparse(self.renamed(node.args[0]))))
            if isinstance(function, Primitive) and function.visible is not None:
                call = ast.unparse(self._inside(copy.deepcopy(node)))
                return _parsed(f"{call}[{'0' if function.visible == 1 else f':{function.visible}'}]")
        if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
            value = self.value(node)
            if value is not UNKNOWN:
                name = node.id if isinstance(node, ast.Name) else node.attr
                given = self.refer(name, value)
                return None if isinstance(node, ast.Name) and given == name else _parsed(given)
        return None

    def renamed(self, node: Any) -> Any:
        """Return a copy of an expression in which names are those of the excerpt."""
        return _Renamed(self).visit(copy.deepcopy(node))

    def _inside(self, node: Any) -> Any:
        return _Renamed(self).generic_visit(node)

    # --- text -------------------------------------------------------------------------------------------------------

    def definition(self, name: str) -> str:
        """Return the definition under a name."""
        node = self.node
        if isinstance(node, ast.Lambda):
            return f"def {name}({ast.unparse(self.renamed(node.args))}):\n    return {self.expression(node.body)}"
        node.name = name
        return "\n".join(self._statement(node, ""))

    def expression(self, node: ast.expr) -> str:
        """Return the text of an expression."""
        text = self._text(node)
        return f"({text})" if "\n" in text and text[0] not in "([{" else text

    def _text(self, node: ast.AST) -> str:
        """Return the text of a node, with names replaced."""
        (top, left), (bottom, right) = (node.lineno - 1, node.col_offset), (node.end_lineno - 1, node.end_col_offset)  # type: ignore[attr-defined]
        lines = self.lines[top : bottom + 1]
        lines[-1] = lines[-1][:right]
        for inner, new in sorted(
            self._edits(node), key=lambda edit: (edit[0].lineno, edit[0].col_offset), reverse=True
        ):
            start, end = inner.lineno - 1 - top, inner.end_lineno - 1 - top
            lines[start : end + 1] = [
                lines[start][: inner.col_offset] + new.encode() + lines[end][inner.end_col_offset :]
            ]
        lines[0] = lines[0][left:]
        return "\n".join(_REMARK.sub("", line.decode()) for line in lines)

    def _edits(self, node: ast.AST) -> Iterator[tuple[Any, str]]:
        if isinstance(node, ast.JoinedStr):  # the places of its parts are not known in all versions of Python
            before, after = ast.unparse(node), ast.unparse(self.renamed(node))
            if before != after:
                yield node, after
            return
        new = self.replacement(node)
        if new is not None:
            yield node, ast.unparse(new)
            return
        for child in ast.iter_child_nodes(node):
            yield from self._edits(child)

    def _block(self, body: Sequence[ast.stmt], indent: str, after: int) -> list[str]:
        """Return the lines of statements, with the comments before each; `after` is the line that they follow."""
        lines: list[str] = []
        for statement in body:
            above = []
            for number in range(getattr(statement, "start", statement.lineno) - 2, after - 1, -1):
                line = self.lines[number].decode().strip()
                if line and not line.startswith("#"):
                    break
                above.append(line)
            above = [line for i, line in enumerate(above[::-1]) if line or i == 0 and lines]
            lines += [f"{indent}{line}" if line else "" for line in above if not _REMARK.match(f" {line}")]
            lines += self._statement(statement, indent)
            after = statement.end_lineno or after
        return lines

    def _statement(self, node: ast.stmt, indent: str) -> list[str]:
        inner = indent + "    "
        if isinstance(node, ast.FunctionDef):
            decorators = [f"{indent}@{self.expression(d)}" for d in node.decorator_list]
            body = [f'{inner}"""{_first_line(node)}"""'] if ast.get_docstring(node) else []
            rest = node.body[1:] if body else node.body
            lines = self._block(rest, inner, (node.body[0].end_lineno if body else node.body[0].lineno - 1) or 0)
            return [*decorators, *self._header(node, indent), *body, *(lines or [f"{inner}pass"] * (not body))]
        if isinstance(node, ast.ClassDef):
            decorators = [f"{indent}@{self.expression(d)}" for d in node.decorator_list]
            bases = ", ".join([self.expression(base) for base in node.bases])
            lines = [*decorators, f"{indent}class {node.name}{f'({bases})' if bases else ''}:"]
            documented = ast.get_docstring(node) is not None
            lines += [f'{inner}"""{_first_line(node)}"""', ""] if documented else []
            rest = node.body[1:] if documented else node.body
            return lines + self._block(rest, inner, (node.body[0].end_lineno if documented else node.lineno) or 0)
        suites = [
            (name, getattr(node, name))
            for name in ("body", "handlers", "orelse", "finalbody")
            if getattr(node, name, None)
        ]
        if not suites:
            return self._simple(node, indent)
        lines, line = [], node.lineno
        for name, suite in suites:
            if name == "handlers":
                for handler in suite:
                    lines += [
                        indent + self._head_text(handler, handler.lineno),
                        *self._block(handler.body, inner, handler.lineno),
                    ]
                continue
            if name == "orelse" and isinstance(node, ast.If) and self._is_elif(suite):
                chained = self._statement(suite[0], indent)
                lines += [f"{indent}el{chained[0].lstrip()}", *chained[1:]]
                continue
            head = (
                self._head_text(node, node.lineno)
                if name == "body"
                else {"orelse": "else:", "finalbody": "finally:"}[name]
            )
            lines += [f"{indent}{part}" for part in _reindented(head, node.col_offset)]
            lines += self._block(suite, inner, self._head_end(suite[0], node.lineno if name == "body" else line))
            line = suite[-1].end_lineno or line
        return lines

    def _is_elif(self, suite: list[ast.stmt]) -> bool:
        (first, *others) = suite
        return (
            not others
            and isinstance(first, ast.If)
            and self.lines[first.lineno - 1][first.col_offset :].startswith(b"elif")
        )

    def _simple(self, node: ast.stmt, indent: str) -> list[str]:
        text = self._text(node)
        if isinstance(node, ast.AnnAssign) and node.value is not None and not hasattr(node, "parent"):
            text = f"{ast.unparse(node.target)} = {self.expression(node.value)}"
        if isinstance(node, ast.Assign) and text == f"{ast.unparse(node.targets[0])} = {ast.unparse(node.targets[0])}":
            return []  # what it called does nothing on arrays
        comment = self.lines[(node.end_lineno or 1) - 1][node.end_col_offset :].decode()
        text += _REMARK.sub("", comment) if comment.strip().startswith("#") else ""
        return [f"{indent}{line}" if line else "" for line in _reindented(text, node.col_offset)]

    def _head_text(self, node: Any, first: int) -> str:
        """Return the head of a compound statement, from its first word to the colon."""
        if isinstance(node, ast.Try):
            return "try:"
        if isinstance(node, ast.ExceptHandler):
            kind = f" {self.expression(node.type)}" if node.type is not None else ""
            return f"except{kind}{f' as {node.name}' if node.name else ''}:"
        if isinstance(node, (ast.If, ast.While)):
            return f"{'if' if isinstance(node, ast.If) else 'while'} {self.expression(node.test)}:"
        if isinstance(node, ast.For):
            return f"for {ast.unparse(node.target).strip('()')} in {self.expression(node.iter)}:"
        if isinstance(node, ast.With):
            items = [
                self.expression(i.context_expr) + (f" as {ast.unparse(i.optional_vars)}" if i.optional_vars else "")
                for i in node.items
            ]
            return f"with {', '.join(items)}:"
        raise OptionError(f"a statement of the kind {type(node).__name__} cannot be written out")

    def _head_end(self, first: ast.stmt, least: int) -> int:
        """Return the line in which the head of a block ends whose first statement is given."""
        number = first.lineno - 1
        while number > least and self.lines[number - 1].strip()[:1] in (b"", b"#"):
            number -= 1
        return number

    def _header(self, node: ast.FunctionDef, indent: str) -> list[str]:
        arguments = self.renamed(node.args)
        line = f"{indent}def {node.name}({ast.unparse(arguments)}):".replace("'", '"')
        if len(line) <= WIDTH:
            return [line]
        return textwrap.wrap(
            line, WIDTH, subsequent_indent=" " * (len(indent) + len(node.name) + 5), break_long_words=False
        )


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _is_ours(module: ModuleType) -> bool:
    return module.__name__.split(".")[0] == "minigrad"


def _reindented(text: str, column: int) -> list[str]:
    """Return the lines of a statement that stood at a column, now at the first."""
    first, *others = text.split("\n")
    return [first, *(line[column:] if not line[:column].strip() else line for line in others)]


def _first_line(node: Any) -> str:
    return (ast.get_docstring(node) or "").split("\n")[0]


def _local_names(node: ast.AST) -> set[str]:
    """Return the names that are not global somewhere in a definition."""
    names: set[str] = set()
    if isinstance(node, ast.ClassDef):
        return names.union(*(_local_names(child) for child in node.body if isinstance(child, ast.FunctionDef)))
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
            names.add(inner.id)
        elif isinstance(inner, ast.arg):
            names.add(inner.arg)
        elif isinstance(inner, ast.ExceptHandler) and inner.name:
            names.add(inner.name)
        elif isinstance(inner, (ast.FunctionDef, ast.ClassDef)) and inner is not node:
            names.add(inner.name)
    return names


class _Renamed(ast.NodeTransformer):
    """Gives names their place in the excerpt."""

    def __init__(self, excerpt: Excerpt) -> None:
        self.excerpt = excerpt

    def visit(self, node: ast.AST) -> Any:
        return self.excerpt.replacement(node) or self.generic_visit(node)


# --- what is left out -------------------------------------------------------------------------------------------------


class _Pruned(ast.NodeTransformer):
    """Takes away annotations, decorators and checks. What is left keeps its places in the text."""

    def __init__(self, excerpt: Excerpt) -> None:
        self.excerpt = excerpt

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.start = min([node.lineno, *(d.lineno for d in node.decorator_list)])  # type: ignore[attr-defined]
        node.decorator_list = [d for d in node.decorator_list if self._stays(d)]
        node.returns = None
        for argument in _arguments(node):
            argument.annotation = None
        return self._suites(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        node.decorator_list = [d for d in node.decorator_list if self._stays(d)]
        for child in node.body:
            child.parent = node  # type: ignore[attr-defined]
        return self._suites(node)

    def _stays(self, decorator: ast.expr) -> bool:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        value = self.excerpt.value(function if isinstance(function, ast.Name) else getattr(function, "value", function))
        if value is UNKNOWN:
            return ast.unparse(decorator) in ("property", "staticmethod", "classmethod")
        return not isinstance(value, Primitive) and not (getattr(value, "__module__", "") or "").startswith("minigrad")

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        return node if node.value is not None or hasattr(node, "parent") else None

    def visit_If(self, node: ast.If) -> Any:
        known = self._known(node.test)
        if known is not None or isinstance(node.body[-1], ast.Raise):
            return [self.visit(s) for s in (node.body if known else node.orelse)] or None
        return self._suites(node)

    def visit_Try(self, node: ast.Try) -> Any:
        if all(isinstance(handler.body[-1], ast.Raise) for handler in node.handlers) and not node.finalbody:
            return [self.visit(s) for s in [*node.body, *node.orelse]]
        return self._suites(node)

    def visit_For(self, node: Any) -> Any:
        return self._suites(node)

    visit_While = visit_With = visit_For

    def visit_Expr(self, node: ast.Expr) -> Any:
        function = self.excerpt.value(node.value.func) if isinstance(node.value, ast.Call) else UNKNOWN
        if not isinstance(function, FunctionType):
            return node
        room = function.__globals__.get("__name__", "")
        ours = room.split(".")[0] == "minigrad" or room == self.excerpt.space.get("__name__")
        return None if ours and _only_checks(function) else node

    def _suites(self, node: Any) -> Any:
        """Prune the statements inside; without any left the statement itself goes."""
        for name in ("body", "orelse", "finalbody"):
            kept: list[ast.stmt] = []
            for statement in getattr(node, name, []):
                new = self.visit(statement)
                kept += [s for s in (new if isinstance(new, list) else [new]) if s is not None]
            if hasattr(node, name):
                setattr(node, name, kept)
        for handler in getattr(node, "handlers", []):
            self._suites(handler)
        return node if node.body or isinstance(node, (ast.FunctionDef, ast.ClassDef)) else None

    def _known(self, test: ast.expr) -> bool | None:
        """Return what a test gives on arrays, if that is known: nothing is a Tensor."""
        if isinstance(test, ast.BoolOp):
            found = [self._known(value) for value in test.values]
            decisive = isinstance(test.op, ast.Or)
            return decisive if decisive in found else not decisive if None not in found else None
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self._known(test.operand)
            return None if inner is None else not inner
        names = [n for n in ast.walk(test) if isinstance(n, ast.Name) and self.excerpt.value(n) is Tensor]
        if isinstance(test, ast.Compare) and names:
            return isinstance(test.ops[0], (ast.IsNot, ast.NotEq, ast.NotIn))
        if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "isinstance" and names:
            return False if isinstance(test.args[1], ast.Name) else None
        return None


def _only_checks(function: FunctionType) -> bool:
    """Whether calling a function can do nothing but raise."""
    node, text, _ = definition_of(function)
    if isinstance(node, ast.Lambda):
        return False
    excerpt = Excerpt(node, text, {**function.__globals__, function.__name__: UNKNOWN}, lambda name, value: name)
    return all(isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) for s in excerpt.node.body)


def _drop_unused(before: ast.AST, pruned: Any) -> None:
    """Take away what was computed for checks only, round by round."""
    read_before = _loads(before)
    gone = True
    while gone:
        unused = _Unused(read_before, _loads(pruned))
        unused.visit(pruned)
        gone = unused.found


def _loads(node: ast.AST) -> Counter[str]:
    return Counter(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))


class _Unused(ast.NodeTransformer):
    """Takes away assignments to names that nobody reads any more, and loops and branches that are empty then."""

    def __init__(self, before: Counter[str], now: Counter[str]) -> None:
        self.before, self.now, self.found = before, now, False

    def visit_Assign(self, node: ast.Assign) -> Any:
        stored = {n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
        simple = all(isinstance(target, (ast.Name, ast.Tuple)) for target in node.targets)
        own = _loads(node)  # reading a name to give it a new value is no use of it
        unread = all(self.before[name] and self.now[name] == own[name] for name in stored)
        if simple and unread and not _has_effects(node.value):
            self.found = True
            return None
        return node

    def visit_For(self, node: Any) -> Any:
        self.generic_visit(node)
        if not node.body:
            self.found = True
        return node if node.body else None

    visit_With = visit_For

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        if not node.body and not node.orelse:
            self.found = True
            return None
        return node


def _has_effects(node: ast.expr) -> bool:
    return any(
        isinstance(n, ast.Call)
        and (any(k.arg == "out" for k in n.keywords) or isinstance(n.func, ast.Name) and n.func.id == "next")
        for n in ast.walk(node)
    )
