"""Finding the first NaN or infinity: what looks at every op as it is recorded, and at every cotangent of a walk.

A `Detector` is put into a context variable for the length of a ``with`` block. The recorder and the backward walk ask
that variable and hand over what they made; outside a block nobody is asked. The error is raised while the op runs, so
that the stack shows the user's own line.
"""

from __future__ import annotations

import inspect
import linecache
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..core.errors import MinigradError, NonFiniteError
from ..core.explain import where
from ..core.primitive import UNWANTED, Plan, Primitive
from ..core.tape import WATCH, Node, Tape, user_line
from ..core.tensor import Tensor, on_tape, value_of
from .forward import ForwardTape, NoTangent
from .reverse import Part, Recording, fit

__all__ = [
    "Detector",
    "argument_name",
    "detecting",
    "entry_text",
    "find_first_nonfinite",
    "line_text",
    "source_text",
    "with_pulls",
]

LAST = 5
"""So many entries of the tape are shown with an error."""
_SEPARATORS = r"[/\\]"  # of folders, on any system
DRAWN = 60
"""So many ops before and after the marked one are drawn: a picture of thousands says nothing, and takes long."""


def find_first_nonfinite(function: Callable[[Any], Any], params: Any, *, path: str | None = None) -> str | None:
    """Run a function and its backward pass again, and describe the first op that makes a NaN or an infinity.

    Parameters
    ----------
    function : callable
        Of `params`; returns an array, such as a loss. It is called once or twice, so it should change nothing.
    params : array, or dict, list, tuple of arrays
    path : str, optional
        Where to save a picture with that op marked.

    Returns
    -------
    str or None
        The text of the error that ``mg.detect_anomaly()`` raises; None when all is finite.

    Examples
    --------
    >>> import numpy as np
    >>> text = find_first_nonfinite(lambda w: np.sum(np.log(w)), np.array([1.0, 0.0]))
    >>> text.splitlines()[0]
    'log: its result holds the first infinity: 1 -inf in shape (2,), at [1]'
    >>> find_first_nonfinite(lambda w: np.sum(np.log(w)), np.array([1.0, 2.0])) is None
    True
    """
    for carried in (True, False):  # an infinity that came with a constant counts only when nothing else explains it
        try:
            with detecting(Detector(path, carried=carried)):
                recording = Recording(function, params)
                out = recording.out
                if type(out) is Tensor and out.dtype.kind in "fc":
                    recording.pull([out], [np.ones(out.shape, out.dtype)], consume=True)
        except NonFiniteError as error:
            return str(error)
        if _bad(out) is None:
            return None
    return None


@contextmanager
def detecting(detector: Detector) -> Iterator[None]:
    """Let a detector look at all that is recorded and walked inside a ``with`` block, in this thread or task only."""
    tapes = [(tape, tape.plain, tape.lines) for tape in _under_way()]
    token = WATCH.set(detector)
    for tape, _, _ in tapes:
        tape.plain, tape.lines = False, True
    try:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # the error says more than the warning
            yield
    finally:
        WATCH.reset(token)
        for tape, plain, lines in tapes:
            tape.plain, tape.lines = plain and not tape.ended, lines


def _under_way() -> list[Tape]:
    """Return the tapes of the derivatives that are being taken now, for a block that begins inside a function."""
    tapes, frame = [], sys._getframe(1)
    while frame is not None:
        if frame.f_code is Recording.__init__.__code__:
            tapes.append(frame.f_locals["self"].tape)
        frame = frame.f_back  # type: ignore[assignment]
    return tapes


class Detector:
    """Looks for what is not finite, and raises at the first.

    Parameters
    ----------
    path : str or Path, optional
        Where to save a picture with the op marked.
    carried : bool
        Let infinities through that come from a constant argument, and what is computed from them, as long as no NaN
        arises: masks are made of them.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, carried: bool = True) -> None:
        self.path = path
        self.carried = carried
        self._seen: WeakKeyDictionary[Tape, _Seen] = WeakKeyDictionary()

    # --- forward ----------------------------------------------------------------------------------------------------

    def recorded(
        self, op: Primitive, tape: Tape, args: tuple[Any, ...], results: tuple[Any, ...], entered: tuple[Any, ...]
    ) -> None:
        """Look at what an op has just computed. Called by the recorder.

        Parameters
        ----------
        op : Primitive
        tape : Tape
        args, results : tuples
            The arguments as they came, and the outputs one level down.
        entered : tuple
            The outputs as they are on the tape.
        """
        seen = self._seen.setdefault(tape, _Seen())
        entry = next((x.index - number for number, x in enumerate(entered) if type(x) is Tensor), None)
        if isinstance(tape, ForwardTape):
            entry = None
        elif entry is not None and not tape.full:
            seen.keep_constants(entry, args, tape)
        for number, result in enumerate(results):
            bad = _bad(result)
            if bad is None:
                continue
            if self.carried and not bad.nan and any(map(seen.brings_infinity, args, [tape] * len(args))):
                if entry is not None:
                    seen.infinite.add(entry + number)
                continue
            self._fail_forward(op, tape, args, bad, entry, f"its result{_output_name(op, number)}")
        for x in entered:
            tangent = getattr(x, "tangent", None) if isinstance(tape, ForwardTape) else None
            bad = _bad(tangent) if tangent is not None and type(tangent) is not NoTangent else None
            if bad is not None:
                self._fail_forward(op, tape, args, bad, None, "the tangent of its result")

    def _fail_forward(
        self, op: Primitive, tape: Tape, args: tuple[Any, ...], bad: Bad, entry: int | None, what: str
    ) -> None:
        names = [argument_name(op, position, len(args)) for position in range(len(args))]
        values = dict(zip(names, args))
        rows = [f"{name} = {_origin(x, tape)}{_statistics(x)}" for name, x in values.items()]
        text = _message(
            f"{where(op.name)}: {what} holds the first {bad.word}: {bad}",
            "forward",
            user_line(),
            ("its arguments:", rows),
            _forward_advice(op, values, bad),
        )
        if entry is not None:
            text += _last_entries(tape.records, entry)
            text += self._picture(tape, tape.records, entry, entry, f"first {bad.word}: {bad}")
        raise NonFiniteError(text)

    # --- backward ---------------------------------------------------------------------------------------------------

    def walked(self, records: list[Any], seeds: dict[int, Any]) -> list[Any]:
        """Return the records of a tape with plans that look at the cotangents. Called by the backward walk."""
        tape = next((tape for tape in list(self._seen) if tape.records is records), None)
        end = max(seeds)

        def pull(entry: int, plan: Plan, g: Any, saved: tuple[Any, ...], params: dict[str, Any]) -> tuple[Any, ...]:
            node = Node(*records[entry])
            op: Any = node.primitive

            def fail(bad: Bad, what: str) -> None:
                text = self._backward_text(records, entry, plan, g, saved, bad, what)
                raise NonFiniteError(text + self._picture(tape, records, end, entry, f"first {bad.word}: {bad}"))

            for number, cotangent in enumerate(g if op.outputs else (g,)):
                bad = _bad(cotangent)
                if bad is not None:
                    fail(bad, f"the cotangent that arrives at its result{_output_name(op, number)}")
            try:
                pulled = plan.pull(g, saved, params)
            except NonFiniteError as error:  # from an op that the rule itself is made of
                raise NonFiniteError(
                    f"{error}\nit was recorded by the backward pass of {_at(node.name, node.scope, node.line)}"
                ) from None
            fitted = list(pulled)
            for position, (parent, cotangent) in enumerate(zip(node.parents, pulled)):
                if cotangent is UNWANTED or type(cotangent) is Part:
                    continue
                if not plan.exact:
                    _, _, _, _, _, shape, dtype, _, _ = records[parent]  # type: ignore[index]
                    fitted[position] = cotangent = fit(cotangent, shape, dtype, op)
                bad = _bad(cotangent)
                if bad is not None:
                    name = argument_name(op, position, len(node.parents))
                    fail(bad, f"the cotangent of its argument {name}")
            return tuple(fitted)

        return with_pulls(records, pull)

    def _backward_text(
        self, records: list[Any], entry: int, plan: Plan, g: Any, saved: tuple[Any, ...], bad: Bad, what: str
    ) -> str:
        node = Node(*records[entry])
        op: Any = node.primitive
        cotangents = {f"g{_output_name(op, number)}": x for number, x in enumerate(g if op.outputs else (g,))}
        values = {name: x for name, x in cotangents.items() if x is not None}
        read = dict(zip(plan.reads, saved))
        values |= {name: x for name, x in read.items() if isinstance(x, (Tensor, np.ndarray, np.generic))}
        rows = [f"{name} = {_statistics(x)}" for name, x in values.items()]
        text = _message(
            f"{_at(node.name, node.scope, None)}: {what} holds the first {bad.word}: {bad}",
            "backward",
            node.line,
            ("its rule read the cotangent g of its result, and what it had saved:", rows),
            _backward_advice(node.name, read),
        )
        return text + _last_entries(records, entry)

    # --- picture ----------------------------------------------------------------------------------------------------

    def _picture(self, tape: Tape | None, records: list[Any], end: int, entry: int, text: str) -> str:
        """Save the picture, and return the line of the error about it. Whatever fails here must not hide the error."""
        if self.path is None:
            return ""
        path = os.fspath(self.path)
        seen = self._seen.get(tape, _Seen()) if tape is not None else _Seen()
        try:
            tensor, place = _drawable(records, seen.constants, end, entry)
            draw = import_module("minigrad").draw  # by its public name: the readers are not for this room to import
            takes = inspect.signature(draw).parameters
            # What is drawn holds no values (see _drawable), so there is nothing to run and measure.
            options = {name: x for name, x in {"mark": {place: text}, "measure": False}.items() if name in takes}
            drawing = draw(tensor, title=f"{Node(*records[entry]).name}: {text.partition(':')[0]}", **options)
            try:
                drawing.save(path)
            except (MinigradError, OSError) as error:
                if type(error).__name__ not in ("GraphvizNotFound", "GraphvizFailed"):
                    raise
                path = os.path.splitext(path)[0] + ".gv"
                drawing.save(path)
        except Exception as error:
            return f"\nno picture could be saved: {error}"
        return f"\npicture: {path}"


class _Seen:
    """What a detector remembers of a tape.

    Attributes
    ----------
    constants : dict
        (entry, position) -> stand-in for an argument that was a plain array: for pictures, since a tape that only
        differentiates keeps no constants.
    infinite : set of int
        Entries whose infinities came with a constant.
    """

    def __init__(self) -> None:
        self.constants: dict[tuple[int, int], Any] = {}
        self.infinite: set[int] = set()

    def keep_constants(self, entry: int, args: tuple[Any, ...], tape: Tape) -> None:
        for position, x in enumerate(args):
            if type(x) is not Tensor or x.tape is not tape:
                self.constants[entry, position] = _stand_in(value_of(x))

    def brings_infinity(self, x: Any, tape: Tape) -> bool:
        """Whether an argument holds infinities that were let through, or were put there by the user."""
        if type(x) is Tensor and x.tape is tape:
            return x.index in self.infinite
        bad = _bad(x)
        return bad is not None and bad.infinite


def with_pulls(records: list[Any], pull: Callable[..., tuple[Any, ...]]) -> list[Any]:
    """Return records for a walk in which ``pull(entry, plan, g, saved, params)`` stands in for each node's rules."""

    def plan_at(entry: int, plan: Plan) -> Plan:
        return Plan(plan.reads, plan.wants, plan.save, lambda *reads: pull(entry, plan, *reads), plan.exact)

    return [
        (*record[:7], plan_at(entry, record[7]), record[8])
        if record[0] is not None and record[7] is not None
        else record
        for entry, record in enumerate(records)
    ]


# --- words ----------------------------------------------------------------------------------------------------------


class Bad:
    """What of an array is not finite: how many of each kind, and the first of them."""

    __slots__ = ("_text", "infinite", "nan")

    def __init__(self, array: Any) -> None:
        kinds = [("NaN", np.isnan(array))]
        infinite = np.isinf(array)
        if array.dtype.kind == "c":
            kinds.append(("infinite", infinite))
        else:
            kinds += [("inf", infinite & (array > 0)), ("-inf", infinite & (array < 0))]
        counts = [(name, int(np.count_nonzero(mask))) for name, mask in kinds]
        first = np.unravel_index(int(np.argmax(~np.isfinite(array))), array.shape)
        self.nan = bool(counts[0][1])
        self.infinite = bool(infinite.any())
        text = ", ".join(f"{count:,} {name}" for name, count in counts if count)
        place = f" in shape {array.shape}, at [{', '.join(map(str, first))}]" if array.ndim else ""
        if sum(count for _, count in counts) > 1:
            place = place.replace(", at", ", the first at")
        self._text = text + place

    @property
    def word(self) -> str:
        """What to call it: a NaN says more than an infinity."""
        return "NaN" if self.nan else "infinity"

    def __str__(self) -> str:
        return self._text


def _bad(x: Any) -> Bad | None:
    """Return what is not finite in an array, or None."""
    x = value_of(x)
    if x is None or isinstance(x, (bool, int, str)):
        return None
    array = np.asarray(x)
    if array.dtype.kind not in "fc" or np.isfinite(array).all():
        return None
    return Bad(array)


def _message(
    head: str,
    direction: str,
    line: tuple[str, int] | None,
    listed: tuple[str, list[str]],
    advice: str,
) -> str:
    place = f", {'at' if direction == 'forward' else 'of the op at'} {line_text(line)}" if line else ""
    parts = [head, f"in the {direction} pass{place}"]
    if source_text(line):
        parts.append(f"    {source_text(line)}")
    title, rows = listed
    parts += [title, *(f"    {row}" for row in rows)]
    if advice:
        parts.append(f"what to do: {advice}")
    return "\n".join(parts)


def _at(name: str, scope: str, line: tuple[str, int] | None) -> str:
    return name + (f" in {scope}" if scope else "") + (f", {line_text(line)}" if line else "")


def _last_entries(records: list[Any], entry: int) -> str:
    rows = [entry_text(records, i) for i in range(max(0, entry + 1 - LAST), entry + 1)]
    return "\n".join(["\nthe tape up to there:", *(f"    {row}" for row in rows)])


def entry_text(records: Sequence[Any], entry: int) -> str:
    """Write an entry of a tape in one line: its number, op and arguments, shape, layer and the user's line."""
    node = Node(*records[entry])
    reads = ", ".join("·" if parent is None else f"%{parent}" for parent in node.parents)
    what = f"{node.name}({reads})" if node.role == "op" else f"{node.role} {node.name}".rstrip()
    text = f"%{entry} {what} {node.shape}"
    return text + (f" in {node.scope}" if node.scope else "") + (f", {line_text(node.line)}" if node.line else "")


def line_text(line: tuple[str, int] | None) -> str:
    """Name the file without its folder, so that the text is the same on every machine: ``"net.py:12"``."""
    return "" if line is None else f"{re.split(_SEPARATORS, line[0])[-1]}:{line[1]}"


def source_text(line: tuple[str, int] | None) -> str:
    """Return the line of the user's code, or an empty string where it cannot be read."""
    return "" if line is None else linecache.getline(*line).strip()


def argument_name(op: Primitive, position: int, count: int) -> str:
    """Return the name of an op's argument; the variadic ones are numbered, where several came."""
    fixed = len(op.args) - 1
    if op.variadic and position >= fixed:
        return f"{op.variadic}[{position - fixed}]" if count > len(op.args) else op.variadic
    return op.args[position]


def _output_name(op: Primitive, number: int) -> str:
    if not op.outputs:
        return ""
    return f" {op.outputs[number]}" if isinstance(op.outputs, tuple) else f" [{number}]"


def _origin(x: Any, tape: Tape) -> str:
    if type(x) is not Tensor or x.tape is not tape or isinstance(tape, ForwardTape):
        return ""
    node = tape.nodes[x.index]
    return f"%{x.index} {node.name or node.role}, "


def _statistics(x: Any) -> str:
    """Describe the values of an array: shape, smallest, largest, mean, and how many are not finite."""
    array = np.asarray(value_of(x))
    if array.dtype.kind not in "fciub":
        return str(array.dtype)
    text = f"{array.dtype} {array.shape}"
    finite = array[np.isfinite(array)]
    if array.ndim == 0:
        return f"{array.dtype} {array[()]:.4g}" if array.dtype.kind in "fc" else f"{array.dtype} {array[()]}"
    if finite.size and array.dtype.kind == "c":
        sizes = np.abs(finite)
        text += f": modulus from {sizes.min():.4g} to {sizes.max():.4g}"
    elif finite.size and array.dtype.kind != "b":
        with np.errstate(over="ignore"):
            mean = np.mean(finite, dtype=np.float64)
        text += f": min {finite.min():.4g}, max {finite.max():.4g}, mean {mean:.4g}"
    if array.dtype.kind in "fc":
        text += f"; {np.count_nonzero(np.isnan(array)):,} NaN, {np.count_nonzero(np.isinf(array)):,} infinite"
    return text


def _count(values: dict[str, Any], name: str, test: Callable[[Any], Any]) -> int:
    array = np.asarray(value_of(values[name])) if name in values else np.zeros(0)
    return 0 if array.dtype.kind == "c" else int(np.count_nonzero(test(array)))


def _forward_advice(op: Primitive, values: dict[str, Any], bad: Bad) -> str:
    """Say what to do about an op whose result is not finite, from its arguments."""
    name = op.name
    for argument, x in values.items():
        brought = _bad(x)
        if brought is not None:
            return (
                f"{argument} came with {str(brought).partition(' in shape')[0]} already: look at the data, at the "
                f"parameters (did an update with too large a learning rate make them so?), or at where it was computed"
            )
    first = next(iter(values), "x")
    if name in ("log", "log2", "log10", "log1p"):
        low = -1 if name == "log1p" else 0
        at, below = _count(values, first, lambda x: x == low), _count(values, first, lambda x: x < low)
        return (
            f"{first} holds {at:,} elements equal to {low} and {below:,} below it: take np.log(x + 1e-12), or a "
            f"function of the scores that is exact where they are large, such as mg.softmax_loss or mg.ops.log_softmax"
        )
    if name in ("divide", "zero_safe_divide", "reciprocal", "remainder", "floor_divide"):
        divisor = list(values)[-1]
        zeros = _count(values, divisor, lambda y: y == 0)
        if zeros:
            return f"the divisor {divisor} is 0 in {zeros:,} places: add a small number to it, as in x / (y + 1e-8)"
    if name in ("exp", "expm1", "exp2", "sinh", "cosh"):
        kind = np.asarray(value_of(values[first])).dtype
        largest = np.log2(np.finfo(kind).max) if name == "exp2" else np.log(np.finfo(kind).max)
        return (
            f"{name} overflows above {float(largest):.4g} in {kind}: subtract the largest element first, as "
            f"mg.ops.softmax and mg.ops.logsumexp do"
        )
    if name in ("sqrt", "arccosh", "arcsin", "arccos", "arctanh", "power"):
        below = _count(values, first, lambda x: x < 0)
        return f"{first} holds {below:,} negative numbers" if below else ""
    if bad.nan or op.linear not in ("jointly", "each") and name not in ("power", "square"):
        return ""
    return "the numbers grow too large for their dtype: lower the learning rate or the weight scale"


def _backward_advice(name: str, read: dict[str, Any]) -> str:
    """Say what to do about an op whose derivative is not finite."""
    for argument, x in read.items():
        brought = _bad(x)
        if brought is not None and isinstance(x, (Tensor, np.ndarray, np.generic)):
            return f"the {argument} that was saved holds {str(brought).partition(' in shape')[0]}: the cause lies there"
    zeros = sum(_count(read, argument, lambda x: x == 0) for argument in read)
    if zeros:
        return (
            f"the derivative of {name} is infinite at 0, and {zeros:,} of its elements are 0: keep away from it, as in "
            f"np.sqrt(x + 1e-12). An np.where around it does not help, since 0 times infinity is NaN: choose the "
            f"argument instead, np.sqrt(np.where(x > 0, x, 1))"
        )
    return ""


# --- a tape to draw -------------------------------------------------------------------------------------------------


def _stand_in(x: Any) -> Any:
    """Return something of an array's shape and dtype that takes no memory; numbers as they are."""
    array = np.asarray(x)
    return array if array.ndim == 0 else np.broadcast_to(np.zeros((), array.dtype), array.shape)


def _drawable(records: list[Any], constants: dict[tuple[int, int], Any], end: int, focus: int) -> tuple[Tensor, int]:
    """Return a Tensor on a full tape that holds what was recorded around an entry, and that entry's place there.

    Nothing is computed, and no array of the run is kept: the tape is there to be drawn.
    """
    needed = {end}
    for entry in range(end, -1, -1):
        if entry in needed:
            needed.update(parent for parent in Node(*records[entry]).parents if parent is not None)
    ops = sorted(entry for entry in needed if records[entry][0] is not None)
    near = ops.index(focus)
    inside = set(ops[max(0, near - DRAWN) : near + DRAWN])
    tape, places = Tape(lines=True), {}
    out = tape.records

    def place_of(entry: int, node: Node) -> int:
        """Return the place of an entry; one outside the window is shown as an input."""
        if entry not in places:
            name = node.name if node.role == "input" else f"%{entry} {node.name or node.role}"
            role = {"role": "input", "name": name}
            out.append((None, role, (), (), node.scope, node.shape, node.dtype, None, None))
            places[entry] = len(out) - 1
        return places[entry]

    last = focus
    after = {focus}
    for entry in sorted(inside):
        node = Node(*records[entry])
        if not after.isdisjoint(parent for parent in node.parents if parent is not None):
            after.add(entry)
            last = entry
        parents: list[int] = []
        for position, parent in enumerate(node.parents):
            if parent is not None:
                parents.append(place_of(parent, Node(*records[parent])))
            else:
                parents.append(tape.constant(constants.get((entry, position), np.zeros(()))))
        out.append(
            (node.primitive, node.params, tuple(parents), (), node.scope, node.shape, node.dtype, None, node.line)
        )
        places[entry] = first = len(out) - 1
        for further in range(entry + 1, len(records)):
            output = Node(*records[further])
            if output.role != "output":
                break
            out.append((None, output.params, (first,), (), output.scope, output.shape, output.dtype, None, None))
            places[further] = len(out) - 1
            after |= {further} if entry in after else set()
    shape, dtype = Node(*records[last]).shape, Node(*records[last]).dtype
    value = np.broadcast_to(np.zeros((), dtype), shape) if shape else np.array(None)  # a number that is not known
    return on_tape(value, tape, places[last]), places[focus]
