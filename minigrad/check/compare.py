"""compare_backward: a hand-written backward pass against the tape, and the first thing in it that differs.

The tape knows the cotangent of every intermediate result, so a hand-written backward pass that tells some of its own
can be checked step by step. A step that differs is explained by itself, and its error is sent on through the rest of
the tape: a later step that differs by just that is a consequence and no further mistake.
"""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..autodiff.anomaly import argument_name, line_text, source_text, with_pulls
from ..autodiff.reverse import Part, backward, fit
from ..core.errors import DTypeError, GradientError, MinigradError, OptionError, ShapeError, did_you_mean
from ..core.primitive import UNWANTED, Plan
from ..core.tape import check_cotangent
from ..core.tensor import Tensor, on_tape, value_of
from ..core.tree import argument_names, flatten, map_leaves, path_name
from .diagnosis import diagnose
from .recorded import Run

__all__ = ["Comparison", "Entry", "compare_backward"]

MANY = 300
"""On longer tapes the search for a term that is left out would take long, and is not made."""
PAIRS = 16
"""Up to so many terms, two that are left out together are searched for."""


class Entry(NamedTuple):
    """What is said of one gradient.

    Attributes
    ----------
    name : str
        As the backward pass calls it, such as ``"dhidden"``.
    status : str
        ``"right"``; ``"wrong"``; ``"follows"`` (it differs, by what follows from an earlier mistake);
        ``"not compared"``.
    text : str
        The mistake, or why nothing was compared.
    line : str
        Where the user's code computes the variable: ``"net.py:12: hidden = np.tanh(x @ W)"``.
    found, right : array or None
    """

    name: str
    status: str
    text: str = ""
    line: str = ""
    found: Any = None
    right: Any = None


class Comparison:
    """The outcome of :func:`compare_backward`: true when all is right, and readable as text.

    Attributes
    ----------
    ok : bool
    entries : list of Entry
        In the order in which a backward pass computes them, from the end.
    first : Entry or None
        The first that is wrong.
    notes : list of str
    """

    def __init__(self, title: str, entries: list[Entry], notes: list[str]) -> None:
        self.title = title
        self.entries = entries
        self.notes = notes
        self.first = next((entry for entry in entries if entry.status == "wrong"), None)
        self.ok = self.first is None

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        compared = [entry for entry in self.entries if entry.status != "not compared"]
        right = sum(entry.status == "right" for entry in compared)
        parts = [f"{self.title}: {right} of {len(compared)} gradients are right"]
        width = max((len(entry.name) for entry in self.entries), default=0)
        for entry in self.entries:
            mark = "FIRST " if entry is self.first and len(compared) > 1 else ""
            status = f"{mark}{entry.status}".upper() if entry.status == "wrong" else entry.status
            parts.append(f"  {entry.name.ljust(width)}  {status}{': ' if entry.text else ''}{entry.text}")
            if entry.status == "wrong" and entry.line:
                parts.append(f"  {' ' * width}  {entry.line}")
        return "\n".join([*parts, *(f"note: {note}" for note in self.notes)])

    __repr__ = __str__


def compare_backward(
    forward: Callable[..., Any],
    my_backward: Callable[..., Any],
    *args: Any,
    dout: Any = None,
    seed: int = 0,
    rtol: float | None = None,
    raises: bool = False,
) -> Comparison:
    """Compare a backward pass written by hand with the tape; say what differs first, and how.

    Parameters
    ----------
    forward : callable
        ``forward(*args)`` returns an array, or several. In the course's style it returns ``(out, cache)``, or more than
        one result before the cache. It is called once, on Tensors.
    my_backward : callable
        ``my_backward(dout, *args)``, or in the course's style ``my_backward(dout, cache)``; with one `dout` for each
        result. For a loss, which is one number, it may leave `dout` out.

        It returns a gradient per argument that is an array of floats (or a container of such arrays): an array, or a
        tuple in the order of the arguments. Or it returns a dict, ``{"dW": ..., "dhidden": ...}``, which may also hold
        the cotangents of intermediate results. These are found by the names of the local variables of `forward`, as
        they are when it returns; ``"dhidden"``, ``"d_hidden"``, ``"grad_hidden"`` and ``"hidden"`` mean the variable
        ``hidden``.
    *args
        Arguments of `forward`. Arrays of floats are differentiated; all else (integers, settings) is handed on.
    dout : array, or tuple of arrays, optional
        The cotangent of the result; random numbers when it is left out, and 1 for a loss.
    seed : int
        Of these random numbers.
    rtol : float, optional
        Tolerance relative to the largest element; by the dtype of the arguments when left out.
    raises : bool
        Raise GradientError with the report if anything is wrong.

    Returns
    -------
    Comparison
        True when all is right. ``.first`` is the first that differs, in the order in which a backward pass computes
        them, ``.entries`` are all, ``.ok``; its text is the report.

    Raises
    ------
    GradientError
        If something is wrong, and `raises` is set.
    OptionError, DTypeError, ShapeError
        If the two functions do not fit each other, or there is nothing to differentiate.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.check.compare import compare_backward
    >>> def forward(x, W, b):
    ...     hidden = x @ W + b
    ...     out = np.tanh(hidden)
    ...     return out
    >>> def my_backward(dout, x, W, b):
    ...     dhidden = dout * (1 - np.tanh(x @ W + b) ** 2)
    ...     return {"dhidden": dhidden, "db": dhidden.sum(axis=0), "dW": x.T @ dhidden / len(x), "dx": dhidden @ W.T}
    >>> rng = np.random.default_rng(0)
    >>> x, W, b = rng.standard_normal((5, 4)), rng.standard_normal((4, 3)), np.ones(3)
    >>> report = compare_backward(forward, my_backward, x, W, b)
    >>> bool(report), report.first.name
    (False, 'dW')
    >>> report.first.text
    'it is 1/5 of the right one, and 5 is the size of an axis: a sum taken for a mean?'
    """
    taped = _Taped(forward, args)
    outs, call = _how_to_call(taped, my_backward)
    douts = _cotangents(outs, dout, seed)
    given, answer = call(douts)
    targets, entries = _match(taped, answer)
    notes = [f"{_name_of(my_backward)} changed its argument {name} in place" for name in given]
    truth = _Truth(taped, outs, douts, targets)
    entries = _Judge(taped, truth, douts, rtol).judge(targets) + entries
    result = Comparison(f"{_name_of(my_backward)} against {_name_of(forward)}", entries, notes)
    if raises and not result.ok:
        raise GradientError(str(result))
    return result


# --- running both ---------------------------------------------------------------------------------------------------


class _Taped:
    """The forward function's run on a tape, and what its variables were when it returned."""

    def __init__(self, forward: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.forward, self.args = forward, args
        self.names = argument_names(forward, len(args))
        self.run = Run()
        self.floating: list[int] = []  # positions of the arguments that are differentiated
        watched = []
        for position, (name, argument) in enumerate(zip(self.names, args)):
            leaves, tree = flatten(argument)
            if leaves and all(isinstance(leaf, np.ndarray) and leaf.dtype.kind in "fc" for leaf in leaves):
                self.floating.append(position)
                labels = [path_name(path) if isinstance(argument, dict) else name + path for path in tree.paths]
                watched.append(tree.unflatten([self.run.follow(x, label) for x, label in zip(leaves, labels)]))
            else:
                watched.append(copy.deepcopy(argument))  # a dictionary of settings may be written into
        if not self.floating:
            raise OptionError(
                f"compare_backward: none of the arguments of {_name_of(forward)} is an array of floats, so there is no "
                f"gradient to compare"
            )
        self.watched = watched
        with self.run.tape:
            try:
                self.result, self.locals = _with_locals(forward, watched)
            except ValueError as error:
                # Where a Tensor is stored into an element of an array, NumPy puts its own words before the Tensor's.
                if not isinstance(error.__cause__, MinigradError):
                    raise
                raise error.__cause__ from None
        self.nodes = self.run.nodes
        self.values = functools.cache(self.run.values)

    @functools.cached_property
    def known(self) -> dict[str, Any]:
        """Everything that has a name: local variables, and before them the arguments and their entries."""
        arguments = {self.names[position]: self.watched[position] for position in self.floating}
        entries = {self.nodes[i].name: on_tape(x, self.run.tape, i) for i, x in self.run.given.items()}
        return {**self.locals, **entries, **arguments}

    def name_of(self, entry: int) -> str:
        """Return what the user calls an entry, or the op that made it."""
        for name, value in self.known.items():
            if type(value) is Tensor and value.tape is self.run.tape and value.index == entry:
                return name
        return self.nodes[entry].name or f"%{entry}"

    def place(self, entry: int) -> str:
        """Return the line of the user's code that made an entry; of an argument, the line that reads it first."""
        if self.nodes[entry].role != "input":
            maker = self.nodes[entry].parents[0] if self.nodes[entry].role == "output" else entry
            return _line(self.nodes[maker].line)  # type: ignore[index]
        readers = (node.line for node in self.nodes if node.primitive is not None and entry in node.parents)
        line = _line(next(readers, None))
        return f"read at {line}" if line else ""


def _line(line: tuple[str, int] | None) -> str:
    return ": ".join(filter(None, (line_text(line), source_text(line))))


def _with_locals(function: Callable[..., Any], args: list[Any]) -> tuple[Any, dict[str, Any]]:
    """Call a function; return its result, and its local variables at its end."""
    code, found = _code_of(function), {}

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "return" and frame.f_code is code:
            found.clear()
            found.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        return function(*args), found
    finally:
        sys.setprofile(before)


def _code_of(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__code__") and not hasattr(function, "__func__"):
        function = type(function).__call__  # an object that can be called
    return getattr(getattr(function, "__func__", function), "__code__", None)


def _name_of(function: Callable[..., Any]) -> str:
    if isinstance(function, functools.partial):
        return _name_of(function.func)
    return str(getattr(function, "__name__", type(function).__name__))


def _how_to_call(taped: _Taped, my_backward: Callable[..., Any]) -> tuple[list[Tensor], Callable[[list[Any]], Any]]:
    """Find the style of the backward pass.

    Returns the results that have cotangents, and a function that calls it with these: it returns the names of the
    arguments that were written into, and the answer.
    """
    result, args = taped.result, taped.args
    if result is None:
        raise DTypeError(f"{_name_of(taped.forward)} returned None; is a `return` missing?")
    several = isinstance(result, tuple)
    all_outs = result if several else (result,)
    # what of the results has cotangents, whether these are passed, and what follows them
    ways: list[tuple[Any, bool, list[Any], list[str]]] = []
    if several and len(result) > 1:
        ways.append((result[:-1], True, [map_leaves(value_of, result[-1])], ["cache"]))
        ways.append((result[:-1], True, list(args), taped.names))
    if len(all_outs) == 1 and np.shape(value_of(all_outs[0])) == () and _required(my_backward) == len(args):
        ways.append((all_outs, False, list(args), taped.names))
    ways.append((all_outs, True, list(args), taped.names))
    for outs, with_dout, rest, names in ways:
        if _takes(my_backward, len(outs) * with_dout + len(rest)) and all(map(_is_float, outs)):
            return _on_tape(taped, outs), functools.partial(_call, my_backward, rest, names, with_dout)
    raise OptionError(
        f"compare_backward: {_name_of(taped.forward)} returns "
        f"{f'{len(result)} things' if several else 'one result'}, and {_name_of(my_backward)}"
        f"{_signature(my_backward)} does not fit that; write it as my_backward(dout, {', '.join(taped.names)}), or, "
        f"where forward returns (out, cache), as my_backward(dout, cache)"
    )


def _takes(function: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # it has no signature to look at
        return True
    return True


def _required(function: Callable[..., Any]) -> int:
    """Return how many arguments a function must be given by position; -1 if it does not tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return -1
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _signature(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"


def _is_float(x: Any) -> bool:
    return getattr(value_of(x), "dtype", np.dtype(object)).kind in "fc"


def _on_tape(taped: _Taped, outs: Any) -> list[Tensor]:
    for out in outs:
        if type(out) is not Tensor or not taped.nodes[out.index].active:
            raise DTypeError(
                f"compare_backward: the result of {_name_of(taped.forward)} does not depend on "
                f"{', '.join(taped.names[i] for i in taped.floating)}, so there is no gradient to compare"
            )
    return list(outs)


def _cotangents(outs: list[Tensor], dout: Any, seed: int) -> list[Any]:
    if dout is not None:
        given = list(dout) if len(outs) > 1 else [dout]
        if len(given) != len(outs):
            raise ShapeError(
                f"compare_backward: dout= holds {len(given)} cotangents, and there are {len(outs)} results"
            )
        return [check_cotangent(g, out.shape, out.dtype, "the result") for g, out in zip(given, outs)]
    rng = np.random.default_rng(seed)
    found = []
    for out in outs:
        g = np.asarray(rng.standard_normal(out.shape) if out.shape or len(outs) > 1 else 1.0)
        if out.dtype.kind == "c":
            g = g + 1j * rng.standard_normal(out.shape)
        found.append(np.asarray(g, out.dtype))
    return found


def _call(
    my_backward: Callable[..., Any], rest: list[Any], names: list[str], with_dout: bool, douts: list[Any]
) -> tuple[list[str], Any]:
    """Call the backward pass on copies; return the names of arguments that it wrote into, and its answer."""
    given = [*(douts if with_dout else []), *rest]
    labels = [*(["dout"] * len(douts) if with_dout else []), *names]
    copies = copy.deepcopy(given)
    answer = my_backward(*copies)
    if answer is None:
        raise DTypeError(f"{_name_of(my_backward)} returned None; is a `return` missing?")
    changed = []
    for label, before, after in zip(labels, given, copies):
        pairs = zip(flatten(before)[0], flatten(after)[0])
        if any(
            isinstance(a, np.ndarray) and not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") for a, b in pairs
        ):
            changed.append(label)
    return changed, answer


# --- which gradient is of what --------------------------------------------------------------------------------------


class _Target(NamedTuple):
    """A gradient to be judged: what the user calls it, the entry that it belongs to, and what came."""

    name: str
    entry: int
    found: Any


def _match(taped: _Taped, answer: Any) -> tuple[list[_Target], list[Entry]]:
    """Return the gradients that can be compared, and an entry for each that cannot."""
    if isinstance(answer, dict):
        return _match_names(taped, answer)
    floating = taped.floating
    given = list(answer) if isinstance(answer, (tuple, list)) else [answer]
    if len(floating) == 1 and isinstance(taped.args[floating[0]], type(answer)) and len(given) != 1:
        given = [answer]  # the one argument is a container itself
    if len(given) != len(floating):
        arrays = [position for position in floating if isinstance(taped.args[position], np.ndarray)]
        if len(given) == len(taped.args):
            given = [given[position] for position in floating]
        elif len(given) == len(arrays):
            floating = arrays  # a dict of arrays may be one of settings
    if len(given) != len(floating):
        raise OptionError(
            f"compare_backward: the backward pass returned {len(given)} gradients, and there are {len(floating)} "
            f"arguments that are arrays of floats: {', '.join(taped.names[position] for position in floating)}; return "
            f"one for each, in that order, or a dict by name"
        )
    targets: list[_Target] = []
    skipped: list[Entry] = []
    for gradient, position in zip(given, floating):
        _pair(taped, f"d{taped.names[position]}", taped.watched[position], gradient, targets, skipped)
    return targets, skipped


def _match_names(taped: _Taped, answer: dict[Any, Any]) -> tuple[list[_Target], list[Entry]]:
    targets: list[_Target] = []
    skipped: list[Entry] = []
    for key, gradient in answer.items():
        variable = next((name for name in _stems(str(key)) if name in taped.known), None)
        if variable is None:
            wanted = _stems(str(key))[-1]
            hint = did_you_mean(wanted, taped.known)
            text = f"{_name_of(taped.forward)} has no variable {wanted!r}{hint}"
            skipped.append(Entry(str(key), "not compared", text))
        else:
            _pair(taped, str(key), taped.known[variable], gradient, targets, skipped)
    if not targets:
        raise OptionError(
            f"compare_backward: none of the names {', '.join(map(str, answer))} is a variable of "
            f"{_name_of(taped.forward)} that a gradient belongs to (its variables: {', '.join(taped.known)})"
        )
    return targets, skipped


def _stems(key: str) -> list[str]:
    """Return the variables that a gradient of this name may belong to, the likeliest first.

    >>> _stems("dhidden"), _stems("grad_W"), _stems("W1")
    (['dhidden', 'hidden'], ['grad_W', 'W'], ['W1'])
    """
    stems = [key[len(start) :] for start in ("grad_", "d_", "d") if key.startswith(start) and len(key) > len(start)]
    return [key, *stems[:1]]


def _pair(taped: _Taped, name: str, variable: Any, gradient: Any, targets: list[_Target], skipped: list[Entry]) -> None:
    """Put the gradients of a variable's arrays beside these arrays."""
    arrays, tree = flatten(variable)
    found, found_tree = flatten(gradient)
    by_path = dict(zip(found_tree.paths, found))
    for array, path in zip(arrays, tree.paths):
        label = f"{name}{path}" if path else name
        if path not in by_path or by_path[path] is None:
            text = (
                "the backward pass gives none" if gradient is None or path in by_path else "it is not in the container"
            )
            skipped.append(Entry(label, "not compared", text))
        elif type(array) is not Tensor or array.tape is not taped.run.tape or not taped.nodes[array.index].active:
            skipped.append(Entry(label, "not compared", "no derivative flows through that variable"))
        else:
            targets.append(_Target(label, array.index, np.asarray(value_of(by_path[path]))))


# --- what is right --------------------------------------------------------------------------------------------------


class _Edge(NamedTuple):
    """One use of an entry: which argument of which op it is, and the cotangent that comes back from there."""

    consumer: int
    position: int
    parent: int
    cotangent: Any


class _Truth:
    """The cotangents as the tape gives them: of entries, and along each edge."""

    def __init__(self, taped: _Taped, outs: list[Tensor], douts: list[Any], targets: list[_Target]) -> None:
        self.records = taped.run.tape.records
        self.nodes = taped.nodes
        self.seeds: dict[int, Any] = {}
        for out, g in zip(outs, douts):
            before = self.seeds.get(out.index)
            self.seeds[out.index] = g if before is None else before + g
        self.edges: list[_Edge] = []
        self.arriving: dict[int, Any] = {}  # op -> the cotangent of its result, of several the first that has one
        self.right = self._walk(self.seeds, self._keep, list(dict.fromkeys(target.entry for target in targets)))

    def _walk(self, seeds: dict[int, Any], pull: Any, sources: list[int]) -> dict[int, Any]:
        found = backward(with_pulls(self.records, pull), seeds, sources)
        return {
            entry: np.zeros(self.nodes[entry].shape, self.nodes[entry].dtype) if g is None else np.array(g)
            for entry, g in zip(sources, found)
        }

    def send(
        self, entry: int, cotangent: Any, sources: list[int], arriving: dict[int, Any] | None = None
    ) -> dict[int, Any]:
        """Return what a cotangent at one entry adds to the gradients of others, and add it to what arrives at ops."""

        def pull(at: int, plan: Plan, g: Any, saved: Any, params: Any) -> tuple[Any, ...]:
            if arriving is not None and at in arriving:
                arriving[at] = arriving[at] + _first(g)
            return plan.pull(g, saved, params)  # type: ignore[no-any-return]

        return self._walk({entry: cotangent}, pull, sources)

    def without(self, cut: list[_Edge], entry: int) -> Any:
        """Return the gradient of an entry when nothing comes back along some edges."""
        places = {(edge.consumer, edge.position) for edge in cut}

        def pull(at: int, plan: Plan, g: Any, saved: Any, params: Any) -> tuple[Any, ...]:
            pulled = plan.pull(g, saved, params)
            return tuple(UNWANTED if (at, position) in places else c for position, c in enumerate(pulled))

        return self._walk(self.seeds, pull, [entry])[entry]

    def _keep(self, at: int, plan: Plan, g: Any, saved: Any, params: Any) -> tuple[Any, ...]:
        pulled = plan.pull(g, saved, params)
        node = self.nodes[at]
        self.arriving[at] = np.array(_first(g))
        for position, (parent, cotangent) in enumerate(zip(node.parents, pulled)):
            if cotangent is UNWANTED or parent is None:
                continue
            shape, dtype = self.nodes[parent].shape, self.nodes[parent].dtype
            if type(cotangent) is Part:
                whole = np.zeros(shape, dtype)
                cotangent.add_to(whole)
            else:
                whole = np.array(fit(cotangent, shape, dtype, node.primitive))  # type: ignore[arg-type]
            self.edges.append(_Edge(at, position, parent, whole))
        return pulled

    def uses(self, entry: int) -> list[_Edge]:
        """Return the edges along which something comes back to an entry."""
        return [edge for edge in self.edges if edge.parent == entry]


def _first(g: Any) -> Any:
    return next(x for x in g if x is not None) if isinstance(g, tuple) else g


# --- judging --------------------------------------------------------------------------------------------------------


class _Judge:
    """Says of each gradient whether it is right, and of a wrong one what is wrong with it."""

    def __init__(self, taped: _Taped, truth: _Truth, douts: list[Any], rtol: float | None) -> None:
        self.taped, self.truth, self.douts = taped, truth, douts
        arrays = list(taped.run.given.values())
        self.eps = max(float(np.finfo(x.dtype).eps) for x in arrays)
        self.rtol = rtol if rtol is not None else max(1e-7, 1e3 * self.eps)
        results = [np.zeros(out.shape) for out in douts]
        self.sizes = tuple(size for x in [*arrays, *results] for size in (*x.shape, x.size))

    def judge(self, targets: list[_Target]) -> list[Entry]:
        """Judge all, in the order of a backward pass."""
        ordered = sorted(targets, key=lambda target: self._done_at(target.entry), reverse=True)
        expected, arriving = dict(self.truth.right), dict(self.truth.arriving)  # given the mistakes so far
        mistakes: list[tuple[str, int]] = []
        entries = []
        for number, (name, entry, found) in enumerate(ordered):
            right, wanted = self.truth.right[entry], expected[entry]
            line = self.taped.place(entry)
            if self._equal(found, right, entry):
                entries.append(Entry(name, "right", "", line, found, right))
                continue
            if mistakes and self._equal(found, wanted, entry):
                by = ", ".join(other for other, at in mistakes if self._feeds(entry, at))
                entries.append(Entry(name, "follows", f"it differs, as it must after {by}", line, found, right))
                continue
            text = self._swapped(found, entry, ordered) or self._explain(found, right, entry, self.truth.arriving)
            if not text and mistakes:
                text = self._explain(found, wanted, entry, arriving)
            entries.append(Entry(name, "wrong", text or _worst(found, right), line, found, right))
            mistakes.append((name, entry))
            later = [at for _, at, _ in ordered[number + 1 :] if at != entry]
            if found.shape == right.shape and later and self.taped.nodes[entry].role != "input":
                error = np.asarray(found - wanted, right.dtype)
                for at, added in self.truth.send(entry, error, later, arriving).items():
                    expected[at] = expected[at] + added
        return entries

    def _done_at(self, entry: int) -> tuple[float, int]:
        """Say when a backward pass has an entry's gradient: after the first op that reads it."""
        uses = [edge.consumer for edge in self.truth.uses(entry)]
        return (min(uses, default=float("inf")), entry)

    def _feeds(self, entry: int, later: int) -> bool:
        """Whether one entry is used, directly or not, to compute another."""
        reached = {entry}
        for number in range(entry + 1, later + 1):
            if not reached.isdisjoint(p for p in self.taped.nodes[number].parents if p is not None):
                reached.add(number)
        return later in reached

    def _equal(self, found: Any, right: Any, entry: int) -> bool:
        if found.shape != right.shape or found.dtype.kind not in "fciub":
            return False
        arriving = [np.sum(np.abs(self.truth.arriving[edge.consumer])) for edge in self.truth.uses(entry)]
        allowed = self.rtol * np.max(np.abs(right), initial=0.0) + 10 * self.eps * sum(arriving)
        return bool(np.all(np.abs(found - right) <= allowed))  # NaN is never equal

    # --- explaining -------------------------------------------------------------------------------------------------

    def _swapped(self, found: Any, entry: int, targets: list[_Target]) -> str:
        """Recognise the gradient of something else, in whose place there is another as well."""
        for name, at, given in targets:
            gradient = self.truth.right[at]
            if at != entry and _alike(found, gradient) and not self._equal(given, gradient, at):
                return f"it is the gradient that belongs to {name}: are they returned in another order?"
        return ""

    def _explain(self, found: Any, right: Any, entry: int, arriving: dict[int, Any]) -> str:
        """Name the mistake, or return an empty string.

        Parameters
        ----------
        found, right : arrays
        entry : int
        arriving : dict
            Op -> the cotangent of its result.
        """
        if found.dtype.kind not in "fciub":
            return f"it is an array of {found.dtype}, and must hold numbers"
        if found.shape == right.shape and np.all(np.isfinite(found)) and not np.any(found):
            return "it is zero"
        uses = self.truth.uses(entry)
        if found.shape == right.shape and len(uses) == 1 and _alike(found, arriving[uses[0].consumer]):
            name = self.taped.nodes[uses[0].consumer].name
            return f"it is what arrives at {name}, unchanged: the derivative of {name} itself is missing"
        x = self.taped.values()[entry]
        for cotangent in [arriving[edge.consumer] for edge in uses] or [None]:
            text = diagnose(found, right, x, self.sizes, cotangent)
            if text:
                return text + self._named_factor(found, right)
        return (
            self._products(found, entry, arriving)
            or self._left_out(found, right, entry)
            or self._missing_factor(found, right)
        )

    def _named_factor(self, found: Any, right: Any) -> str:
        """Say which number of the user's a constant factor is, if it is one."""
        if found.shape != right.shape or not np.any(right):
            return ""
        factor = np.sum(found * np.conj(right)) / np.sum(np.abs(right) ** 2)
        if not _alike(found, factor * right):
            return ""
        for name, value in self._numbers():
            if np.isclose(factor, value, rtol=1e-3):
                return f" (a factor {name} too many)"
            if np.isclose(factor * value, 1, rtol=1e-3):
                return f" (a factor {name} too few)"
        return ""

    def _numbers(self) -> Iterator[tuple[str, float]]:
        """Yield the user's variables that are single numbers, but for 0, 1 and -1."""
        variables = {**self.taped.locals, **dict(zip(self.taped.names, self.taped.args))}
        inside = {f"{name}[{key!r}]": x for name, d in variables.items() if isinstance(d, dict) for key, x in d.items()}
        for name, value in {**variables, **inside}.items():
            number = value_of(value)
            if isinstance(number, (int, float, np.generic, np.ndarray)) and np.ndim(number) == 0:
                if np.asarray(number).dtype.kind in "fiu" and number not in (0, 1, -1):
                    yield name, float(number)

    def _products(self, found: Any, entry: int, arriving: dict[int, Any]) -> str:
        """Recognise a product of the wrong matrices, or of the right ones transposed or swapped."""
        uses = self.truth.uses(entry)
        if len(uses) != 1 or self.taped.nodes[uses[0].consumer].name != "matmul":
            return ""
        consumer = uses[0].consumer
        left, other = self.taped.nodes[consumer].parents
        values = self.taped.values()
        a, b, g = self.taped.name_of(left), self.taped.name_of(other), "g"  # type: ignore[arg-type]
        factors = {a: values[left], b: values[other], g: arriving[consumer]}  # type: ignore[index]
        if any(np.ndim(x) != 2 for x in factors.values()):
            return ""
        wanted = f"{g} @ {b}.T" if uses[0].position == 0 else f"{a}.T @ {g}"
        turned = {**factors, **{f"{name}.T": x.T for name, x in factors.items()}}
        for (one, x), (two, y) in itertools.product(turned.items(), repeat=2):
            if x.shape[1] == y.shape[0] and (x.shape[0], y.shape[1]) == found.shape and _alike(found, x @ y):
                return f"it is {one} @ {two}, and the right one is {wanted}, where g arrives at the product"
        return ""

    def _left_out(self, found: Any, right: Any, entry: int) -> str:
        """Find the term of the backward pass that is left out, or has a wrong sign or factor."""
        if len(self.taped.nodes) > MANY:
            return ""
        edges = [edge for edge in self.truth.edges if edge.parent == entry or self._feeds(entry, edge.parent)]
        count = {parent: sum(edge.parent == parent for edge in edges) for parent in {edge.parent for edge in edges}}
        edges = [edge for edge in edges if count[edge.parent] > 1]  # those that are one term of a sum
        difference = found - right
        candidates: list[tuple[int, int, str]] = []
        for edge in edges:
            if edge.parent == entry:
                effect = edge.cotangent
            else:
                effect = self.truth.send(edge.parent, edge.cotangent, [entry])[entry]
            size = np.sum(np.abs(effect) ** 2)
            if not size:
                continue
            factor = 1 + float(np.real(np.sum(difference * np.conj(effect)) / size))
            if not _alike(difference, (factor - 1) * effect):
                continue
            term = self._term(edge)
            if abs(factor) < 1e-3:
                candidates.append((0, edge.consumer, f"it lacks the term that {term}"))
            elif abs(factor + 1) < 1e-3:
                candidates.append((1, edge.consumer, f"the term that {term} has the wrong sign"))
            else:
                candidates.append((2, edge.consumer, f"the term that {term} is {self._times(factor)}"))
        if candidates:
            return min(candidates)[2]
        if len(edges) <= PAIRS:
            for pair in itertools.combinations(edges, 2):
                if _alike(found, self.truth.without(list(pair), entry)):
                    return "it lacks " + " and ".join(f"the term that {self._term(edge)}" for edge in pair)
        return ""

    def _times(self, factor: float) -> str:
        for size in dict.fromkeys(self.sizes):
            if size > 2 and np.isclose(factor, size, rtol=1e-3):
                return f"{size} times what it should be, and {size} is the size of an axis: is 1/{size} missing?"
            if size > 2 and np.isclose(factor * size, 1, rtol=1e-3):
                return f"1/{size} of what it should be, and {size} is the size of an axis"
        return f"{factor:.4g} times what it should be"

    def _term(self, edge: _Edge) -> str:
        """Name a term by the op that it comes back through, and the user's line."""
        node = self.taped.nodes[edge.consumer]
        twice = sum(parent == edge.parent for parent in node.parents) > 1
        op: Any = node.primitive
        through = (
            f"argument {argument_name(op, edge.position, len(node.parents))} of {node.name}" if twice else node.name
        )
        place = _line(node.line)
        return f"comes to {self.taped.name_of(edge.parent)} through {through}" + (f" ({place})" if place else "")

    def _missing_factor(self, found: Any, right: Any) -> str:
        """Recognise an array of the user's that is multiplied in once too often, or not at all."""
        for name, factor in self._factors():
            if np.ndim(factor) > np.ndim(right) or np.asarray(factor).dtype.kind not in "fciub":
                continue
            try:
                shape = np.broadcast_shapes(np.shape(factor), right.shape)
            except ValueError:
                continue
            if shape != right.shape or np.size(factor) < 2:
                continue
            if _alike(found * factor, right):
                return f"it is not multiplied by {name}, or divided by it once too often"
            if _alike(found, right * factor):
                return f"it is multiplied by {name} once too often, or not divided by it"
        return ""

    def _factors(self) -> Iterator[tuple[str, Any]]:
        """Yield arrays that a gradient may have to be multiplied by."""
        if len(self.douts) == 1:
            yield "dout", self.douts[0]
        for name, value in self.taped.known.items():
            value = value_of(value)
            if isinstance(value, np.ndarray):
                yield name, value
                if value.dtype.kind == "f":
                    yield f"(1 - {name} ** 2)", 1 - value * value
                    yield f"{name} * (1 - {name})", value * (1 - value)
                    yield f"{name} ** 2", value * value


def _alike(a: Any, b: Any) -> bool:
    if np.shape(a) != np.shape(b) or np.asarray(a).dtype.kind not in "fciub":
        return False
    scale = np.max(np.abs(b), initial=0.0)
    return bool(scale > 0 and np.max(np.abs(a - b), initial=0.0) <= 1e-5 * scale)


def _worst(found: Any, right: Any) -> str:
    """Say where two arrays differ."""
    differs = ~(np.abs(found - right) <= 1e-5 * np.max(np.abs(right), initial=0.0))
    where = np.unravel_index(int(np.argmax(np.abs(found - right))), right.shape)
    text = f"{np.count_nonzero(differs):,} of {right.size:,} elements differ"
    rows = np.flatnonzero(differs.reshape(len(differs), -1).any(axis=1)) if right.ndim else []
    if right.ndim and len(rows) <= max(1, len(differs) // 3):
        text += f", all with the first index {', '.join(map(str, rows[:8]))}{' …' if len(rows) > 8 else ''}"
    at = f" at [{', '.join(map(str, where))}]" if right.ndim else ""
    return f"{text}; the most{at}: {found[where]:.6g} came, and {right[where]:.6g} is right"
