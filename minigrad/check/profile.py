"""explain: the computation as a table, with what each op costs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..autodiff.anomaly import line_text, with_pulls
from ..autodiff.reverse import backward
from ..core.errors import DTypeError, OptionError, did_you_mean
from ..core.tape import Node, user_line
from ..core.tensor import Tensor, value_of
from ..core.tree import argument_names, flatten, path_name
from .recorded import Run, root_of

__all__ = ["Explanation", "Row", "explain"]

PARAMETER_DICTS = ("params", "parameters", "weights", "p", "w")
"""Names of a function's arguments whose entries are parameters, when the argument is a dict of float arrays."""
LONG = 2.0
"""No further run is measured once so many seconds have been spent."""
WIDTH = 140
"""The table is at most so many characters wide; long names are cut."""


class Row(NamedTuple):
    """What the table says of one op, or of all ops of a scope.

    Attributes
    ----------
    number : int
        Its place in the order of execution.
    op, layer : str
        The op's name, and the scope that it ran in.
    shape, dtype
        Of its result.
    parameters : tuple of str
        Names of the parameters that it reads.
    parameter_count : int
        How many numbers these hold.
    saved_bytes : int
        What the backward pass keeps of it beyond parameters and data: each array once, where it is saved first.
    forward_s, backward_s : float
        Seconds in its forward function and in its rules: the best of several runs.
    gradient_rms : float or None
        Root mean square of the cotangent that arrives at its result; None where none does.
    line : str
        ``"net.py:12"`` of the user's code.
    """

    number: int
    op: str
    layer: str
    shape: tuple[int, ...]
    dtype: str
    parameters: tuple[str, ...]
    parameter_count: int
    saved_bytes: int
    forward_s: float
    backward_s: float
    gradient_rms: float | None
    line: str


class Explanation:
    """A computation as a table. Made by :func:`explain`; its text is the table.

    Attributes
    ----------
    title : str
    rows : list of Row
        Folded, sorted and cut as asked for.
    total : dict
        Over all ops, also those that the table leaves out: ``ops``, ``parameter_count``, ``saved_bytes``,
        ``forward_s``, ``backward_s``.
    notes : list of str
    """

    def __init__(
        self, title: str, rows: list[Row], left_out: int, total: dict[str, Any], notes: list[str], with_backward: bool
    ) -> None:
        self.title = title
        self.rows = rows
        self.total = total
        self.notes = notes
        self._left_out = left_out
        self._with_backward = with_backward

    def to_dict(self) -> dict[str, Any]:
        """Return all as dicts, lists, strings and numbers, ready for ``json.dumps``."""
        rows = []
        for row in self.rows:
            entry = row._asdict() | {"shape": list(row.shape), "parameters": list(row.parameters)}
            rows.append(entry)
        return {"title": self.title, "rows": rows, "total": dict(self.total), "notes": list(self.notes)}

    def __str__(self) -> str:
        cells = [self._cells(row) for row in self.rows]
        if self._left_out:
            cells.append({"op": f"… {self._left_out} more"})
        total = self.total
        last = {
            "op": f"{total['ops']} ops",
            "parameters": "total",
            "count": f"{total['parameter_count']:,}",
            "saved": _bytes_text(total["saved_bytes"]),
            "forward ms": _time_text(total["forward_s"]),
            "backward ms": _time_text(total["backward_s"]),
        }
        return "\n".join([self.title, *_table(cells, last, self._with_backward), *self.notes])

    __repr__ = __str__

    def _cells(self, row: Row) -> dict[str, str]:
        return {
            "#": str(row.number),
            "op": row.op,
            "layer": row.layer,
            "line": row.line,
            "shape": "×".join(map(str, row.shape)),
            "parameters": " ".join(row.parameters),
            "count": f"{row.parameter_count:,}" if row.parameters else "",
            "saved": _bytes_text(row.saved_bytes) if row.saved_bytes else "",
            "forward ms": _time_text(row.forward_s),
            "backward ms": _time_text(row.backward_s) if row.gradient_rms is not None else "",
            "gradient RMS": "" if row.gradient_rms is None else f"{row.gradient_rms:.2e}",
        }


def explain(
    subject: Any,
    *inputs: Any,
    depth: int | None = None,
    sort: str = "order",
    top: int | None = None,
    repeats: int = 5,
) -> Explanation:
    """Show a computation as a table: what each op makes, reads, keeps and costs.

    The computation is recorded once, in a run that leaves the model as it was. Its list of ops is then run again
    several times, forward and backward, and the best time of each op is kept. It is the time in the op's own forward
    function and in its rules, without what recording and adding up cotangents cost.

    Parameters
    ----------
    subject : model or callable
        A model is run as ``model.evaluate(params, X, y)``: with y in training, without it (or None) at test time, when
        there is no backward pass. Of a function, every argument that is an array of floats is differentiated; the
        gradient is that of the sum of all that it returns.
    *inputs
        X and y of a model; the arguments of a function.
    depth : int, optional
        Fold the ops into their scopes, to so many levels: 1 gives a row for each outermost layer.
    sort : str
        ``"order"`` (of execution), ``"time"`` (forward and backward), ``"forward"``, ``"backward"``, ``"saved"``,
        ``"parameters"``, ``"gradient"``: the largest first.
    top : int, optional
        Show so many rows. The totals are those of all.
    repeats : int
        How many runs to measure; fewer when they take long.

    Returns
    -------
    Explanation
        With ``.rows``, ``.total`` and ``.to_dict()``. Its text is the table.

    Raises
    ------
    OptionError
        For an unknown key or a number of inputs that does not fit.
    DTypeError
        If the subject is neither, or computes nothing from its inputs.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> from minigrad.check.profile import explain
    >>> def layer(params, x):
    ...     with mg.scope("fc"):
    ...         return np.tanh(x @ params["W"] + params["b"])
    >>> table = explain(layer, {"W": np.ones((3, 2)), "b": np.zeros(2)}, np.ones((5, 3)))
    >>> for row in table.rows:
    ...     print(row.op, row.layer, row.shape, row.parameters, row.saved_bytes)
    matmul fc (5, 2) ('W',) 0
    add fc (5, 2) ('b',) 0
    tanh fc (5, 2) () 80
    >>> table.total["parameter_count"]
    8
    """
    if sort not in SORTS:
        raise OptionError(
            f'explain: unknown sort="{sort}"{did_you_mean(sort, SORTS)} (it is one of {", ".join(SORTS)})'
        )
    for name, number, least in (("depth", depth, 0), ("top", top, 1), ("repeats", repeats, 1)):
        if number is not None and (not isinstance(number, int) or number < least):
            raise OptionError(f"explain: {name}={number!r} came; it is an integer of at least {least}")
    if isinstance(subject, type):
        raise DTypeError(f"explain needs a model, and the class {subject.__name__} itself came; make one first")
    if isinstance(getattr(subject, "params", None), dict) and callable(getattr(subject, "evaluate", None)):
        title, run, out, parameters = _run_model(subject, inputs)
        with_backward = len(inputs) == 2 and inputs[1] is not None
    elif callable(subject):
        title, run, out, parameters = _run_function(subject, inputs)
        with_backward = True
    else:
        raise DTypeError(
            f"explain takes a model with X (and y), or a function with its arguments, and {type(subject).__name__} came"
        )
    caller = user_line()  # a line that is only the call of this function is no line of the computation
    rows = _measure(run, out, parameters, with_backward, repeats, title, caller, flatten(list(inputs))[0])
    counts = {name: int(np.size(run.given[entry])) for entry, name in parameters.items()}
    total = {
        "ops": len(rows),
        "parameter_count": sum(counts.values()),
        "saved_bytes": sum(row.saved_bytes for row in rows),
        "forward_s": sum(row.forward_s for row in rows),
        "backward_s": sum(row.backward_s for row in rows),
    }
    read = {name for row in rows for name in row.parameters}
    unread = [name for name in counts if name not in read]
    notes = [f"read by no op: {', '.join(unread)}"] if unread else []
    if depth is not None:
        rows = _fold(rows, depth, counts)
    if sort != "order":
        rows = sorted(rows, key=SORTS[sort], reverse=True)
    shown = rows if top is None else rows[:top]
    return Explanation(title, shown, len(rows) - len(shown), total, notes, with_backward)


SORTS: dict[str, Any] = {
    "order": lambda row: row.number,
    "time": lambda row: row.forward_s + row.backward_s,
    "forward": lambda row: row.forward_s,
    "backward": lambda row: row.backward_s,
    "saved": lambda row: row.saved_bytes,
    "parameters": lambda row: row.parameter_count,
    "gradient": lambda row: -1.0 if row.gradient_rms is None else row.gradient_rms,
}


# --- running --------------------------------------------------------------------------------------------------------


def _run_model(model: Any, inputs: tuple[Any, ...]) -> tuple[str, Run, Any, dict[int, str]]:
    name = type(model).__name__
    if not 1 <= len(inputs) <= 2:
        raise OptionError(f"explain({name}, ...) takes X, or X and y, and {len(inputs)} inputs came")
    train = len(inputs) == 2 and inputs[1] is not None
    run = Run()
    put = run.follow if train else run.take
    params = {key: put(array, str(key)) for key, array in model.params.items()}
    parameters = {tensor.index: str(key) for key, tensor in params.items()}
    data = [_taken(run, value, label) for value, label in zip(inputs, ("X", "y")) if value is not None]
    with run.tape:
        out = model.evaluate(params, *data)
    size = np.shape(value_of(flatten(inputs[0])[0][0]))
    title = f"{name}, X {'×'.join(map(str, size))}, {'training' if train else 'test time'}"
    return title, run, out, parameters


def _taken(run: Run, value: Any, name: str) -> Any:
    """Put the float arrays of a minibatch on the tape, not to be differentiated: integers stay as they are."""
    leaves, tree = flatten(value)
    arrays = [value_of(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    if not isinstance(value, (dict, tuple)):  # a list of samples is one array
        arrays, tree = [np.asarray(value_of(value))], flatten(0)[1]
    return tree.unflatten(
        [run.take(x, name) if isinstance(x, np.ndarray) and x.dtype.kind in "fc" else x for x in arrays]
    )


def _run_function(function: Any, inputs: tuple[Any, ...]) -> tuple[str, Run, Any, dict[int, str]]:
    name = str(getattr(function, "__name__", type(function).__name__))
    run = Run()
    parameters: dict[int, str] = {}
    arguments = []
    for label, value in zip(argument_names(function, len(inputs)), inputs):
        leaves, tree = flatten(value)
        tensors = []
        for leaf, path in zip(leaves, tree.paths):
            x = value_of(leaf)
            if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "fc":
                inside = path_name(path) if isinstance(value, dict) else path_name(path, label)
                x = run.follow(x, inside)
                if label in PARAMETER_DICTS and isinstance(value, dict):
                    parameters[x.index] = inside
            tensors.append(x)
        arguments.append(tree.unflatten(tensors))
    with run.tape:
        out = function(*arguments)
    return name, run, out, parameters


def _measure(
    run: Run,
    out: Any,
    parameters: dict[int, str],
    with_backward: bool,
    repeats: int,
    title: str,
    caller: Any,
    held: list[Any],
) -> list[Row]:
    nodes = run.nodes
    ops = [entry for entry, node in enumerate(nodes) if node.primitive is not None]
    results = [x for x in flatten(out)[0] if type(x) is Tensor and x.tape is run.tape]
    if not ops or not results:
        raise DTypeError(
            f"explain: {title} computed nothing from its inputs; give it arrays of floats, and return what it computes"
        )
    forward_s, backward_s = dict.fromkeys(ops, math.inf), dict.fromkeys(ops, math.inf)
    rms: dict[int, float] = {}

    def timed(entry: int, node: Node, arguments: list[Any]) -> Any:
        start = time.perf_counter()
        found = node.primitive.forward(*arguments, **node.params)  # type: ignore[union-attr]
        forward_s[entry] = min(forward_s[entry], time.perf_counter() - start)
        return found

    def pull(entry: int, plan: Any, g: Any, saved: Any, params: Any) -> Any:
        start = time.perf_counter()
        pulled = plan.pull(g, saved, params)
        backward_s[entry] = min(backward_s[entry], time.perf_counter() - start)
        if entry not in rms:
            rms[entry] = _rms(g if isinstance(g, tuple) else (g,))
        return pulled

    seeds: dict[int, Any] = {}
    for x in results if with_backward else ():
        if x.dtype.kind in "fc":
            seeds[x.index] = np.ones(x.shape, x.dtype)
    sources = [entry for entry, node in enumerate(nodes) if node.role == "input"]
    records = with_pulls(run.tape.records, pull)
    began = time.perf_counter()
    with np.errstate(all="ignore"):  # what there is to warn of has been warned of in the first run
        for _ in range(repeats):
            run.replay(timed)
            if seeds and sources:
                backward(records, seeds, sources)
            if time.perf_counter() - began > LONG:
                break
    saved = _saved_bytes(nodes, [*run.given.values(), *held])
    rows = []
    for number, entry in enumerate(ops):
        node = nodes[entry]
        names = dict.fromkeys(parameters[p] for p in node.parents if p in parameters)
        count = sum(math.prod(nodes[p].shape) for p in dict.fromkeys(node.parents) if p in parameters)  # type: ignore[index]
        rows.append(
            Row(
                number,
                node.name,
                node.scope,
                node.shape,
                str(node.dtype),
                tuple(names),
                count,
                saved[entry],
                forward_s[entry],
                backward_s[entry] if entry in rms else 0.0,
                rms.get(entry),
                line_text(node.line) if node.line != caller else "",
            )
        )
    return rows


def _rms(arrays: Iterable[Any]) -> float:
    present = [np.abs(np.asarray(g, dtype=np.result_type(g, np.float64))) for g in arrays if g is not None]
    size = sum(g.size for g in present)
    return math.sqrt(sum(float(np.sum(g * g)) for g in present) / size) if size else 0.0


def _saved_bytes(nodes: list[Node], held: Iterable[Any]) -> dict[int, int]:
    """Return for each op how many bytes it is the first to keep alive, beyond what the caller holds."""
    seen = {id(root_of(x)) for x in held if isinstance(x, np.ndarray)}
    found: dict[int, int] = {}
    for entry, node in enumerate(nodes):
        found[entry] = 0
        if node.plan is None or node.primitive is None:
            continue
        for array in flatten([list(node.saved), list(node.params.values())])[0]:
            if isinstance(array, np.ndarray):
                root = root_of(array)
                if id(root) not in seen:
                    seen.add(id(root))
                    found[entry] += root.nbytes
    return found


def _fold(rows: list[Row], depth: int, counts: dict[str, int]) -> list[Row]:
    """Put the ops of each scope, to some depth, into one row."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault("/".join(row.layer.split("/")[:depth]), []).append(row)
    folded = []
    for number, (layer, members) in enumerate(groups.items()):
        last = members[-1]
        names = tuple(dict.fromkeys(name for row in members for name in row.parameters))
        arrived = [row.gradient_rms for row in members if row.gradient_rms is not None]
        folded.append(
            last._replace(
                number=number,
                op=f"{len(members)} ops" if len(members) > 1 else last.op,
                layer=layer,
                parameters=names,
                parameter_count=sum(counts[name] for name in names),
                saved_bytes=sum(row.saved_bytes for row in members),
                forward_s=sum(row.forward_s for row in members),
                backward_s=sum(row.backward_s for row in members),
                gradient_rms=arrived[-1] if arrived else None,
                line=members[0].line,
            )
        )
    return folded


# --- the table ------------------------------------------------------------------------------------------------------

LEFT = ("op", "layer", "line", "shape", "parameters")
CUT = ("parameters", "layer", "op", "line", "shape")  # the first is cut first
BACKWARD = ("saved", "backward ms", "gradient RMS")
COLUMNS = (
    "#",
    "op",
    "layer",
    "line",
    "shape",
    "parameters",
    "count",
    "saved",
    "forward ms",
    "backward ms",
    "gradient RMS",
)


def _table(rows: list[dict[str, str]], last: dict[str, str], with_backward: bool) -> list[str]:
    """Align the cells; leave out columns that say nothing, and cut long names until the table fits."""
    empty = {name for name in COLUMNS if not any(row.get(name) for row in rows)}
    columns = [name for name in COLUMNS if name not in empty and (with_backward or name not in BACKWARD)]
    widths = {name: max(len(row.get(name, "")) for row in [*rows, last, {name: name}]) for name in columns}
    for name in CUT:
        excess = sum(widths.values()) + 2 * (len(columns) - 1) - WIDTH
        if name in widths and excess > 0:
            widths[name] = max(widths[name] - excess, 12)

    def line(row: dict[str, str]) -> str:
        cells = []
        for name in columns:
            text, width = row.get(name, ""), widths[name]
            text = text if len(text) <= width else text[: width - 1] + "…"
            cells.append(text.ljust(width) if name in LEFT else text.rjust(width))
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths.values()) + 2 * (len(columns) - 1))
    return [line({name: name for name in columns}), rule, *map(line, rows), rule, line(last)]


def _time_text(seconds: float) -> str:
    return f"{1e3 * seconds:.3f}"


def _bytes_text(count: int) -> str:
    """Write a number of bytes shortly.

    >>> [_bytes_text(count) for count in (0, 999, 51_200, 3_000_000)]
    ['0 B', '999 B', '51.2 kB', '3.0 MB']
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
