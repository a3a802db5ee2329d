"""Stepping through a computation: the tape forward, then backward, node by node, with the numbers.

What is told of the backward pass is what the walk itself does: its plans are watched while it goes over the tape, so
each step holds the cotangent that the walk handed to a rule and what the rule gave back. Numbers become text at once,
and no array is kept.
"""

from __future__ import annotations

import contextlib
import html as html_module
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..autodiff.reverse import Part, backward, fit
from ..core.errors import OptionError
from ..core.primitive import UNWANTED, Plan, Primitive
from ..core.tape import Node
from ..core.tensor import value_of
from .make import check_options, make_view
from .rules import rule_texts
from .subject import Recorded, record
from .view import GraphNode, GraphView
from .words import op_name, shape_text

__all__ = ["Gift", "Numbers", "Read", "Step", "Walk", "step_through"]

MOST_OPS = 500
"""A longer walk is for nobody's eyes, and its page would be slow."""
WHOLE = 64
"""Arrays of up to so many elements are printed whole."""
SHORT = 24
"""So many characters of an array are shown in the node itself."""
PRINTING: Any = {
    "precision": 5,
    "linewidth": 72,
    "threshold": WHOLE + 1,
    "floatmode": "maxprec",
    "suppress": False,
    "sign": "-",
    "nanstr": "nan",
    "infstr": "inf",
    "formatter": {},
    "legacy": False,
}
"""All of NumPy's options, so that a user's own do not change a page."""


class Numbers(NamedTuple):
    """An array as text.

    Attributes
    ----------
    text : str
        The array printed whole when it is small; else its shape and what is to be said of it.
    short : str
        What fits into a node of the picture.
    whole : bool
        Whether `text` is the whole array.
    """

    text: str
    short: str
    whole: bool


class Read(NamedTuple):
    """Something that a node reads.

    Attributes
    ----------
    argument : str
        What the op or its rule calls it: an argument, or ``out``.
    name, node : str
        What the picture calls it, and the id of its node (empty for what has none, such as a number).
    numbers : Numbers
    """

    argument: str
    name: str
    node: str
    numbers: Numbers


class Gift(NamedTuple):
    """What a rule gives to one argument, and what that has got so far.

    Attributes
    ----------
    name, node : str
        The argument's name in the picture, and the id of its node.
    rule : str
        The rule in words: ``"dx = g * y"``.
    amount : Numbers
        The cotangent that the rule gives.
    before, total : Numbers or None
        What was there before, if anything was, and the sum.
    number, count : int
        The how many-th of how many cotangents this is that the argument gets.
    """

    name: str
    node: str
    rule: str
    amount: Numbers
    before: Numbers | None
    total: Numbers
    number: int
    count: int


class Step(NamedTuple):
    """One step of a walk.

    Attributes
    ----------
    phase : str
        ``"forward"`` or ``"backward"``.
    node, name : str
        The id of the node in the picture, and what it is called.
    words : str
        What happens, in words.
    values : tuple of (str, Numbers)
        Forward the value that appears, backward the cotangent that has arrived; of an op with several outputs one each.
    reads : tuple of Read
        What the op, or its rule, reads.
    gifts : tuple of Gift
        Backward, what the rule gives to whom.
    """

    phase: str
    node: str
    name: str
    words: str
    values: tuple[tuple[str, Numbers], ...]
    reads: tuple[Read, ...] = ()
    gifts: tuple[Gift, ...] = ()


def step_through(
    subject: Any, *inputs: Any, direction: str = "TB", theme: str = "auto", title: str | None = None
) -> Walk:
    """Walk through a model or a function, forward and then backward, node by node.

    The walk shows at each step what appears, a value or a cotangent, and the rule that made it; where a value is used
    more than once, how its cotangents add up. Small arrays are printed whole.

    Parameters
    ----------
    subject : model or callable
        As in :func:`minigrad.draw.draw`: a model is run as ``model.evaluate(params, X, y)``, a function on the inputs.
    *inputs : arrays, or dicts, lists, tuples of arrays
    direction : ``"TB"`` or ``"LR"``
        From the top down, or from left to right.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
    title : str, optional

    Returns
    -------
    Walk
        With ``.save("walk.html")``, ``.show()``, ``.steps``, ``.to_text()``; in a notebook it shows itself.

    Raises
    ------
    OptionError
        If the computation has more than 500 ops, or an option is not understood.
    DTypeError
        If the subject cannot be run so.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.draw.step import step_through
    >>> walk = step_through(lambda a, b: a * b + a, 2.0, -3.0)
    >>> print(walk)
    <lambda>
    forward
      a = 2
      b = -3
      multiply = -6    x = 2 (a), y = -3 (b)
      add = -4    x = -6 (multiply), y = 2 (a)
    backward
      add: g = 1
        dx = g: 1 to multiply
        dy = g: 1 to a, 1 of 2
      multiply: g = 1    x = 2 (a), y = -3 (b)
        dx = g * y: -3 to a, 2 of 2, in all -2
        dy = g * x: 2 to b
      b: g = 2
      a: g = -2
    """
    options = check_options(
        view="forward",
        color="kind",
        params="nodes",
        depth=None,
        fold=False,
        shapes=True,
        direction=direction,
        max_nodes=10 * MOST_OPS,
        theme=theme,
        histograms=False,
    )
    if hasattr(subject, "tape") and hasattr(subject, "index"):
        raise OptionError(
            "step_through takes a model or a function with its inputs, and a Tensor came: its tape does not keep the "
            "values. Give the function that computed it: mg.step_through(function, *inputs)"
        )
    recorded = record(subject, inputs, title)
    count = sum(node.role == "op" for node in recorded.nodes)
    if count > MOST_OPS:
        raise OptionError(
            f"step_through: {recorded.title} has {count:,} ops, more than anybody would walk through (at most "
            f"{MOST_OPS}); take a part of it, fewer time steps, or mg.draw for a picture of the whole"
        )
    view = make_view(recorded, options)
    return Walk(view, _Walker(recorded, view).steps())


class Walk:
    """A walk through a computation. Made by :func:`step_through`.

    It holds numbers and text only, no arrays. In a notebook it shows itself.

    Attributes
    ----------
    steps : tuple of Step
    view : GraphView
        The graph that is walked through.
    """

    def __init__(self, view: GraphView, steps: tuple[Step, ...]) -> None:
        self.view = view
        self.steps = steps

    def to_html(self, *, relayout: bool | str | os.PathLike[str] = False) -> str:
        """Return the walk as one HTML page, for any browser; it needs no network.

        Parameters
        ----------
        relayout : bool or path
            As in ``drawing.to_html``.
        """
        from .page.data import page_data
        from .page.page import page_html

        data = {**page_data(self.view), "steps": self._data()}
        names = _names(self.view)
        for graph in data["graphs"]:
            for node in graph["nodes"]:  # the numbers that appear say the result and the shape
                node.update(name=names[node["of"]], result="", shape="")
        return page_html(data, self.to_text(), relayout=relayout)

    def save(self, path: str | os.PathLike[str], *, relayout: bool | str | os.PathLike[str] = False) -> None:
        """Write the page to a file; an older file of that name stays whole until the new one is complete.

        Raises
        ------
        OptionError
            If the name does not end in ``.html``.
        OSError
            If the file cannot be written.
        """
        from .page.page import write_page

        write_page(path, self.to_html(relayout=relayout), "a walk")

    def show(self) -> None:
        """Show the walk: in a notebook in its place, else in the browser."""
        from .page.page import show_page

        show_page(self, self.to_html)

    def to_text(self) -> str:
        """Return the walk as text, a line per step, for terminals."""
        lines = [self.view.title]
        phase = ""
        for step in self.steps:
            if step.phase != phase:
                phase = step.phase
                lines.append(phase)
            reads = ", ".join(f"{read.argument} = {read.numbers.short} ({read.name})" for read in step.reads)
            values = ", ".join(f"{label} = {numbers.short}" for label, numbers in step.values)
            if step.phase == "forward" and len(step.values) == 1:
                head = f"  {step.name} = {step.values[0][1].short}"
            else:
                head = f"  {step.name}: {values}"
            lines.append(f"{head}    {reads}".rstrip())
            lines += [f"    {_gift_text(gift)}" for gift in step.gifts]
        return "\n".join(lines)

    def _data(self) -> list[dict[str, Any]]:
        """Return the steps as the page wants them."""
        nodes = {node.id: node for node in self.view.nodes}
        return [_step_data(step, nodes[step.node]) for step in self.steps]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the walk in a notebook, in a frame of its own, where its keys are its own. Never raises."""
        with contextlib.suppress(Exception):
            page = html_module.escape(self.to_html())
            style = "width:100%;height:640px;border:1px solid #8884"
            frame = f'<iframe srcdoc="{page}" title="steps" style="{style}"></iframe>'
            return {"text/html": frame, "text/plain": repr(self)}
        return {"text/plain": object.__repr__(self)}

    def __repr__(self) -> str:
        forward = sum(step.phase == "forward" for step in self.steps)
        return f"<Walk through {self.view.title}: {forward} steps forward, {len(self.steps) - forward} backward>"

    def __str__(self) -> str:
        return self.to_text()


def _gift_text(gift: Gift) -> str:
    text = f"{gift.rule}: {gift.amount.short} to {gift.name}"
    if gift.count > 1:
        text += f", {gift.number} of {gift.count}"
    return f"{text}, in all {gift.total.short}" if gift.before is not None and gift.number == gift.count else text


def _step_data(step: Step, node: GraphNode) -> dict[str, Any]:
    if step.phase == "forward":
        slots = [[step.node, "value", step.values[0][1].short]]
    else:
        slots = [[step.node, "grad", f"grad {step.values[0][1].short}"]]
    for gift in step.gifts:
        partly = f" ({gift.number} of {gift.count})" if gift.number < gift.count else ""
        slots.append([gift.node, "grad", f"grad {gift.total.short}{partly}"])
    gives = [
        {
            "to": gift.node,
            "name": gift.name,
            "rule": gift.rule,
            "amount": gift.amount.text,
            **({"before": gift.before.text, "total": gift.total.text} if gift.before is not None else {}),
            "nth": gift.number,
            "of": gift.count,
        }
        for gift in step.gifts
    ]
    return {
        "phase": step.phase,
        "node": step.node,
        "name": step.name,
        "line": node.line,
        "source": node.source,
        "words": step.words,
        "values": [[label, numbers.text] for label, numbers in step.values],
        "reads": [[read.argument, read.name, read.node, read.numbers.text] for read in step.reads],
        "gives": gives,
        "slots": slots,
    }


# --- the walk itself ------------------------------------------------------------------------------------------------


class _Watching:
    """Stands in for a node's plan: hears what cotangent comes, and what the rules make of it."""

    __slots__ = ("_entry", "_heard", "_plan", "exact")

    def __init__(self, plan: Plan, entry: int, heard: list[tuple[int, Any, Any]]) -> None:
        self._plan = plan
        self._entry = entry
        self._heard = heard
        self.exact = plan.exact

    def pull(self, g: Any, saved: Any, params: Any) -> Any:
        pulled = self._plan.pull(g, saved, params)
        # Copies: the walk adds into arrays of its own, and a cotangent may be one of them.
        self._heard.append((self._entry, _copied(g), tuple(map(_copied, pulled))))
        return pulled


class _Walker:
    """Makes the steps of what was recorded."""

    def __init__(self, recorded: Recorded, view: GraphView) -> None:
        self.nodes: Sequence[Node] = recorded.nodes
        self.inputs: Mapping[int, Any] = recorded.inputs or {}
        self.results = [result.entry for result in recorded.results]
        self.view = view
        self.ids = {node.entry: node.id for node in view.nodes if node.kind != "constant"}
        self.names = _names(view)
        self.constants = {
            (node.entry, node.id.partition("_")[2]): node.id for node in view.nodes if node.kind == "constant"
        }
        self.values: dict[int, Any] = {}
        self.numbers: dict[int, Numbers] = {}
        self.shapes: dict[int, list[tuple[int, ...]]] = {}

    def steps(self) -> tuple[Step, ...]:
        """Return the steps forward, then those backward."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the program has warned already, when it ran
            forward = self._forward()
            return (*forward, *self._backward())

    # --- forward -----------------------------------------------------------------------------------------------------

    def _forward(self) -> list[Step]:
        for entry, node in enumerate(self.nodes):
            self._run(entry, node)
        steps = []
        for seen in self.view.nodes:
            node = self.nodes[seen.entry]
            if seen.kind == "constant":
                continue
            if node.role == "op":
                reads = tuple(self._read(name, parent, seen) for name, parent in self._arguments(seen.entry))
                steps.append(
                    Step(
                        "forward", seen.id, self.names[seen.id], _meaning(node, seen), self._outputs(seen.entry), reads
                    )
                )
            else:
                what = "a parameter" if seen.kind == "parameter" else "an input"
                steps.append(
                    Step(
                        "forward", seen.id, self.names[seen.id], f"{what} of the computation", self._outputs(seen.entry)
                    )
                )
        return steps

    def _run(self, entry: int, node: Node) -> None:
        """Compute the value of an entry as it was computed when it was recorded."""
        if node.role == "input":
            value = value_of(self.inputs[entry])
        elif node.role == "constant":
            value = value_of(node.saved[0])
        elif node.role == "output":
            value = self.values[node.parents[0]][node.params["number"]]  # type: ignore[index]
        else:
            op: Any = node.primitive
            value = op.forward(*(self._value(parent) for parent in node.parents), **node.params)
            if op.outputs:
                value = tuple(value)
        self.values[entry] = value
        self.numbers[entry] = numbers_of(value[0] if type(value) is tuple else value)

    def _value(self, entry: int | None) -> Any:
        value = self.values[entry]  # type: ignore[index]
        return value[0] if type(value) is tuple else value

    def _outputs(self, entry: int) -> tuple[tuple[str, Numbers], ...]:
        """Return the value of a node, or the values of its outputs with their names."""
        value = self.values[entry]
        if type(value) is not tuple:
            return (("value", self.numbers[entry]),)
        return tuple((name, numbers_of(part)) for name, part in zip(self._output_names(entry, len(value)), value))

    def _output_names(self, entry: int, count: int) -> list[str]:
        op: Any = self.nodes[entry].primitive
        return list(op.outputs) if isinstance(op.outputs, tuple) else [f"out[{number}]" for number in range(count)]

    def _arguments(self, entry: int) -> list[tuple[str, int]]:
        """Return the arguments of an op: the name of each, and the entry that it came from."""
        node = self.nodes[entry]
        return [(_argument(node.primitive, position), parent) for position, parent in enumerate(node.parents)]  # type: ignore[arg-type, misc]

    def _read(self, argument: str, entry: int, reader: GraphNode) -> Read:
        node = self.nodes[entry]
        maker: int = node.parents[0] if node.role == "output" else entry  # type: ignore[assignment]
        if node.role == "constant":
            return Read(argument, "a constant", self.constants.get((entry, str(reader.entry)), ""), self.numbers[entry])
        return Read(argument, self._name(maker), self.ids.get(maker, ""), self.numbers[entry])

    def _name(self, entry: int) -> str:
        return self.names.get(self.ids.get(entry, ""), self.nodes[entry].name or "an input")

    # --- backward ----------------------------------------------------------------------------------------------------

    def _backward(self) -> list[Step]:
        seeds = {
            entry: np.ones(self.nodes[entry].shape, self.nodes[entry].dtype)
            for entry in self.results
            if self.nodes[entry].dtype.kind in "fc" and self.nodes[entry].active
        }
        if not seeds:
            return []
        heard: list[tuple[int, Any, Any]] = []
        records = []
        for entry, node in enumerate(self.nodes):
            plan = _Watching(node.plan, entry, heard) if node.plan is not None else None
            records.append(tuple(node._replace(saved=tuple(map(value_of, node.saved)), plan=plan)))  # type: ignore[arg-type]
        sources = [entry for entry, node in enumerate(self.nodes) if node.role == "input" and node.active]
        arrived = backward(records, seeds, sources)
        given = [(entry, g, self._gifts(entry, pulled)) for entry, g, pulled in heard]
        counts: dict[int, int] = {}
        for _, _, gifts in given:
            for parent, _, _ in gifts:
                counts[parent] = counts.get(parent, 0) + 1
        for entry in seeds:  # a result that is read by others too has its own cotangent from the start
            counts[entry] = counts.get(entry, 0) + 1
        totals: dict[int, Any] = dict(seeds)
        numbers = dict.fromkeys(seeds, 1)
        steps = [self._rule_step(entry, g, gifts, seeds, totals, numbers, counts) for entry, g, gifts in given]
        for entry, cotangent in reversed(list(zip(sources, arrived))):
            if cotangent is not None and entry in self.ids:
                words = f"the gradient of {self._name(entry)}: all its cotangents have arrived"
                steps.append(
                    Step("backward", self.ids[entry], self._name(entry), words, (("g", numbers_of(cotangent)),))
                )
        return steps

    def _gifts(self, entry: int, pulled: Sequence[Any]) -> list[tuple[int, str, Any]]:
        """Return what the rules of a node gave: to which entry, by which rule, and the array as the walk adds it."""
        node = self.nodes[entry]
        shapes = [self.nodes[parent].shape for parent in node.parents]  # type: ignore[index]
        rules = dict(line.split(" = ", 1) for line in rule_texts(node, shapes))
        gifts = []
        for position, (parent, cotangent) in enumerate(zip(node.parents, pulled)):
            if cotangent is UNWANTED or parent is None:
                continue
            target = self.nodes[parent]
            if type(cotangent) is Part:
                array = np.zeros(target.shape, target.dtype)
                cotangent.add_to(array)
            else:
                array = fit(cotangent, target.shape, target.dtype, node.primitive)  # type: ignore[arg-type]
            name = f"d{_argument(node.primitive, position)}"
            rule = rules.get(name) or rules.get(f"{name.partition('[')[0]}[i]", "…")
            gifts.append((parent, f"{name} = {rule}", array))
        return gifts

    def _rule_step(
        self,
        entry: int,
        g: Any,
        gifts: list[tuple[int, str, Any]],
        seeds: Mapping[int, Any],
        totals: dict[int, Any],
        numbers: dict[int, int],
        counts: Mapping[int, int],
    ) -> Step:
        """Return the step of a node whose rules are run, and add what they give to the totals."""
        told = []
        for parent, rule, array in gifts:
            before = totals.get(parent)
            totals[parent] = array if before is None else before + array
            numbers[parent] = numbers.get(parent, 0) + 1
            maker: int = self.nodes[parent].parents[0] if self.nodes[parent].role == "output" else parent  # type: ignore[assignment]
            told.append(
                Gift(
                    self._name(maker),
                    self.ids.get(maker, ""),
                    rule,
                    numbers_of(array),
                    None if before is None else numbers_of(before),
                    numbers_of(totals[parent]),
                    numbers[parent],
                    counts[parent],
                )
            )
        if type(g) is tuple:
            names = self._output_names(entry, len(g))
            values = tuple((f"g of {name}", numbers_of(part)) for name, part in zip(names, g) if part is not None)
        else:
            values = (("g", numbers_of(g)),)
        name = self._name(entry)
        if entry in seeds:
            words = "The backward pass starts here: the derivative of the result by itself is 1."
        elif counts.get(entry, 1) > 1:
            words = f"All {counts[entry]} cotangents of {name} have arrived; g is their sum."
        else:
            words = f"The cotangent of {name} has arrived."
        if not gifts:
            words += " Nothing that it reads has a gradient."
        return Step("backward", self.ids[entry], name, words, values, self._rule_reads(entry), tuple(told))

    def _rule_reads(self, entry: int) -> tuple[Read, ...]:
        """Return what the rules of a node read beside the cotangent: arguments and outputs, but no mere shapes."""
        node = self.nodes[entry]
        seen = next(part for part in self.view.nodes if part.entry == entry)
        names = set(node.plan.reads) if node.plan is not None else set()
        op: Any = node.primitive
        reads = [
            self._read(name, parent, seen)
            for name, parent in self._arguments(entry)
            if name in names or (name.partition("[")[0] in names and "[" in name)
        ]
        value = self.values[entry]
        if type(value) is tuple:
            own = zip(self._output_names(entry, len(value)), value)
        else:
            own = zip(["out"], [value])
        argument_names = {name for name, _ in self._arguments(entry)}
        reads += [
            Read(name, f"{self._name(entry)} itself", self.ids[entry], numbers_of(part))
            for name, part in own
            if name in names and name not in argument_names
        ]
        return tuple(reads) if op is not None else ()


def _argument(op: Primitive | None, position: int) -> str:
    """Return what an op calls its argument at a position; ``arrays[0]`` among those of which it takes any number.

    >>> import minigrad as mg
    >>> _argument(mg.ops.matmul, 1)
    'y'
    """
    assert op is not None
    fixed = len(op.args) - 1 if op.variadic else len(op.args)
    return op.args[position] if position < fixed else f"{op.variadic}[{position - fixed}]"


def _meaning(node: Node, seen: GraphNode) -> str:
    """Say what an op computes: its name with its details, and the first line of its documentation."""
    what = " ".join((op_name(node), *seen.details))
    lines = (getattr(node.primitive, "__doc__", None) or "").strip().splitlines()
    if lines and re.fullmatch(r"\w+\(.*\)", lines[0]):  # the documentation of NumPy's functions begins with a signature
        lines = [line for line in lines[1:] if line.strip()]
    return f"{what}: {lines[0].strip()}" if lines else what


def _names(view: GraphView) -> dict[str, str]:
    """Return a name for each node, with a number where several ops have the same.

    >>> from minigrad.draw import draw
    >>> list(_names(draw(lambda x: x * x * x, 2.0).view).values())
    ['x', 'multiply 1', 'multiply 2']
    """
    count: dict[str, int] = {}
    for node in view.nodes:
        count[node.name] = count.get(node.name, 0) + 1
    seen: dict[str, int] = {}
    names = {}
    for node in view.nodes:
        seen[node.name] = seen.get(node.name, 0) + 1
        alone = count[node.name] == 1
        names[node.id] = node.name if alone else f"{node.name} {seen[node.name]}"
    return names


def _copied(value: Any) -> Any:
    if type(value) is tuple:
        return tuple(map(_copied, value))
    return value.copy() if isinstance(value, np.ndarray) else value


# --- arrays as text -------------------------------------------------------------------------------------------------


def numbers_of(value: Any) -> Numbers:
    """Write an array: whole when it is small, else what is to be said of it.

    >>> numbers_of(np.array([[1.5, -2.0], [0.25, 10.0]])).text
    '[[ 1.5  -2.  ]\\n [ 0.25 10.  ]]'
    >>> numbers_of(np.linspace(0, 1, 1000)).text
    '1000 numbers of float64: min 0, mean 0.5, max 1, rms 0.5775'
    >>> numbers_of(2 / 3).short
    '0.666667'
    """
    array = np.asarray(value)
    if array.dtype.kind not in "fciub":
        return Numbers(f"{array.size:,} entries of {array.dtype}", str(array.dtype), False)
    if array.ndim == 0:
        text = _number(array.item())
        return Numbers(text, text, True)
    shape = shape_text(array.shape)
    if array.size <= WHOLE:
        with np.printoptions(**PRINTING):
            text = np.array2string(array)
        flat = f"[{', '.join(map(_number, array.ravel().tolist()))}]" if array.ndim == 1 else ""
        return Numbers(text, flat if 0 < len(flat) <= SHORT else _summary_short(array, shape), True)
    return Numbers(f"{shape} numbers of {array.dtype}: {_summary(array)}", _summary_short(array, shape), False)


def _number(number: Any) -> str:
    return str(number) if isinstance(number, (bool, int)) else f"{number:.6g}"


def _parts(array: np.ndarray[Any, Any]) -> dict[str, float]:
    numbers = np.abs(array) if array.dtype.kind == "c" else array.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return {}
    largest = float(np.max(np.abs(finite))) or 1.0
    rms = largest * float(np.sqrt(np.mean((finite / largest) ** 2)))
    return {"min": float(finite.min()), "mean": float(finite.mean()), "max": float(finite.max()), "rms": rms}


def _summary(array: np.ndarray[Any, Any]) -> str:
    words = [f"{name} {number:.4g}" for name, number in _parts(array).items()]
    for name, test in (("NaN", np.isnan), ("infinite", np.isinf)):
        if array.dtype.kind in "fc" and (count := int(np.count_nonzero(test(array)))):
            words.append(f"{count:,} {name}")
    return ", ".join(words)


def _summary_short(array: np.ndarray[Any, Any], shape: str) -> str:
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
        return f"{shape}, {'NaN' if np.isnan(array).any() else 'infinite'}"
    rms = _parts(array).get("rms")
    return f"{shape}, rms {rms:.2g}" if rms is not None and array.dtype.kind in "fc" else shape
