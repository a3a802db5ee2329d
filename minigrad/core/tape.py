"""The tape: a flat list of what happened, in order.

Everything else in minigrad reads this list: the backward pass walks it from the end, pictures and tables draw it, a
compiler turns it into a program. It is flat so that no reader needs recursion or sorting.
"""

from __future__ import annotations

import itertools
import linecache
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .errors import BranchError, DTypeError, ShapeError, StaleTensorError
from .explain import where
from .scope import current_scope
from .tensor import Tensor, on_tape
from .tree import flatten, path_name

if TYPE_CHECKING:
    from types import FrameType

    from .primitive import Plan, Primitive

__all__ = ["Node", "Tape"]

_levels = itertools.count(1)  # a newer tape has a higher level; next() is atomic, so threads may share it

WATCH: ContextVar[Any] = ContextVar("minigrad_watch", default=None)
watcher = WATCH.get
"""Return who looks at all that is recorded and walked in this context: None but under ``mg.detect_anomaly()``."""


class Node(NamedTuple):
    """One entry of a tape: an op and what it was applied to, or an input, a constant, or a further output.

    Attributes
    ----------
    primitive : Primitive or None
        The op; None for an entry that no op made (see `role`) and for the second and later outputs of an op.
    params : dict
        The op's static parameters. For the other entries ``{"role": ..., "name": ..., "number": ...}``.
    parents : tuple of (int or None)
        For each array argument the entry that it came from; None for a constant, which only a full tape keeps.
    saved : tuple
        What the rules of this node will read (named by ``plan.reads``), or the value of a constant. Nothing else.
    scope : str
        The layers that were running, such as ``"block1/fc1"``.
    shape, dtype
        Of the value. The value itself is not kept.
    plan : Plan or None
        Which rules a backward pass will run here; None where no derivative flows.
    line : tuple (str, int) or None
        File and line of the user's code, when the tape was asked to keep lines.
    """

    primitive: Primitive | None
    params: dict[str, Any]
    parents: tuple[int | None, ...]
    saved: tuple[Any, ...]
    scope: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    plan: Plan | None
    line: tuple[str, int] | None = None

    @property
    def role(self) -> str:
        """``"op"``, ``"input"``, ``"constant"``, or ``"output"`` (the second and later outputs of an op)."""
        return "op" if self.primitive is not None else str(self.params["role"])

    @property
    def active(self) -> bool:
        """Whether a derivative flows through this entry."""
        return self.plan is not None or self.params.get("role") == "input" and self.dtype.kind in "fc"

    @property
    def name(self) -> str:
        """The op's name, or the name of the input, or an empty string."""
        return self.primitive.name if self.primitive is not None else self.params.get("name", "")


SHAPE, DTYPE = map(Node._fields.index, ("shape", "dtype"))
"""Where these are in the plain tuple that a tape holds."""


class Nodes(Sequence[Node]):
    """A tape's entries as nodes. The tape holds plain tuples, which record in half the time of named ones."""

    __slots__ = ("_records",)

    def __init__(self, records: list[Any]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, entry: Any) -> Any:
        if isinstance(entry, slice):
            return [Node(*record) for record in self._records[entry]]
        return Node(*self._records[entry])


def _stale(op: str) -> StaleTensorError:
    return StaleTensorError(
        f"{where(op)}: an argument is a Tensor kept from an earlier call, whose recording has ended. Use its .value "
        f"(a plain array), or compute it again inside this call"
    )


class Tape:
    """Record computations on watched arrays, and ask for the gradient of any entry with respect to any other.

    Parameters
    ----------
    lines : bool
        Keep the file and line of the user's code for each node (for pictures and error messages; costs a stack walk
        per op).
    full : bool
        Keep everything: constants, and ops without a derivative such as comparisons. Readers that draw or replay need
        that. A tape that only differentiates is not full: it keeps no array that no rule reads.
    static : bool
        Refuse what needs a value while recording, such as ``if x > 0`` or ``float(x)``: a program that is captured to
        be run again must not depend on the values of this run.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> tape = mg.Tape()
    >>> x = tape.watch(np.array([1.0, 2.0]), name="x")
    >>> y = np.sum(np.square(x))
    >>> tape.gradient(y, x)
    array([2., 4.])
    >>> print(tape)
    entry  op      name  from  shape  dtype    scope  saved
    %0     input   x           2      float64
    %1     square        %0    2      float64         x 16 B
    %2     sum           %1           float64         x_shape
    """

    __slots__ = ("__weakref__", "ended", "full", "level", "lines", "plain", "records", "static")

    def __init__(self, *, lines: bool = False, full: bool = True, static: bool = False) -> None:
        self.level = next(_levels)
        self.records: list[Any] = []  # tuples with the fields of Node
        watched = watcher() is not None
        self.full = full or lines
        # Whether ops may take the short way of recording: it keeps no more than that, and asks no further question.
        self.plain = not (self.full or watched)
        self.lines = lines or watched
        self.static = static  # a captured program may not branch on values
        self.ended = False

    @property
    def nodes(self) -> Nodes:
        """The entries in the order in which they happened, each a `Node`."""
        return Nodes(self.records)

    def watch(self, value: Any, name: str = "") -> Any:
        """Put an array, or a container of arrays, on the tape; return Tensors in its place.

        Parameters
        ----------
        value : array of floats, or dict, list, tuple of such arrays
            Integer arrays may be watched on a full tape, where they are inputs without a derivative.
        name : str
            For tables, pictures and errors. In a container, the entries are named by their keys.

        Raises
        ------
        DTypeError
            If a leaf is not an array of numbers, or is an integer array on a tape that only differentiates.
        """
        leaves, tree = flatten(value)
        names = [path_name(path, name) for path in tree.paths]
        return tree.unflatten(self.watch_leaves(leaves, names))

    def watch_leaves(self, leaves: Iterable[Any], names: Iterable[str]) -> list[Tensor]:
        """Put arrays on the tape, each under its name."""
        records, scope, kinds = self.records, current_scope(), "fciub" if self.full else "fc"
        watched = []
        for leaf, name in zip(leaves, names):
            value = leaf if type(leaf) is np.ndarray and not self.ended else self._checked_leaf(leaf, name)
            dtype = value.dtype
            if dtype.kind not in kinds:
                raise DTypeError(
                    f"cannot differentiate with respect to {name or 'this argument'}: it is {_kind(dtype)} of shape "
                    f"{value.shape}, and only floating-point and complex numbers have derivatives; "
                    f"convert it first, for example with .astype(float)"
                )
            watched.append(on_tape(value, self, len(records)))
            role = {"role": "input", "name": name}
            records.append((None, role, (), (), scope, value.shape, dtype, None, None))
        return watched

    def _checked_leaf(self, leaf: Any, name: str) -> Any:
        if self.ended:
            raise StaleTensorError(f"watch({name}): this tape has ended; make a new one with mg.Tape()")
        value = leaf if isinstance(leaf, (Tensor, np.ndarray, np.generic)) else _as_array(leaf, name)
        if type(value) is Tensor and value.tape.level >= self.level:
            place = "on this tape already" if value.tape is self else "on a newer tape than this one"
            raise StaleTensorError(f"watch({name}): the Tensor of shape {value.shape} is {place}; watch its .value")
        return value

    def constant(self, value: Any) -> int:
        """Put a value that is not watched on the tape and return its entry. Only full tapes keep constants."""
        if self.ended:
            raise self.stale("constant")
        array = value if isinstance(value, (Tensor, np.ndarray, np.generic)) else np.asarray(value)
        records = self.records
        records.append(
            (None, {"role": "constant"}, (), (value,), current_scope(), array.shape, array.dtype, None, None)
        )
        return len(records) - 1

    def enter(
        self,
        op: Primitive,
        args: tuple[Any, ...],
        values: tuple[Any, ...],
        params: dict[str, Any],
        results: tuple[Any, ...],
    ) -> tuple[Any, ...]:
        """Record what an op has just computed, and return a Tensor for each result.

        Parameters
        ----------
        op : Primitive
        args, values : tuples
            The arguments as they came, and what they are one level down.
        params : dict
            All static parameters.
        results : tuple
            The outputs. Indices and masks stay plain arrays on a tape that only differentiates.
        """
        if self.ended:
            raise self.stale(op.name)
        if self.static and op.shape_from_values is not None and op.shape_from_values(args):
            raise BranchError(
                f"{where(op.name)}: the shape of the result depends on values, and the captured program would hold for "
                f"these values only; use np.where"
            )
        parents: list[int | None] = []
        mask = 0
        for position, x in enumerate(args):
            if type(x) is Tensor and x.tape is self:
                parents.append(x.index)
                if not self.full or self.nodes[x.index].active:
                    mask |= 1 << position
            else:
                parents.append(self.constant(x) if self.full else None)
        plan = op.plan(mask, len(args)) if mask and op.differentiable else None
        if plan is not None and not any([result.dtype.kind in "fc" for result in results]):
            plan = None
        if plan is None and not self.full:
            return results
        saved: tuple[Any, ...] = ()
        if plan is not None and plan.save is not None:
            saved = plan.save(values, results if op.outputs else results[0])
        return self.append(op, params, tuple(parents), saved, results, plan)

    def append(
        self,
        op: Primitive,
        params: dict[str, Any],
        parents: tuple[int | None, ...],
        saved: tuple[Any, ...],
        results: tuple[Any, ...],
        plan: Plan | None,
    ) -> tuple[Any, ...]:
        """Append the node of an op, and an entry for each further output; return the Tensors."""
        records, scope, full = self.records, current_scope(), self.full
        first, head = len(records), results[0]
        line = user_line() if self.lines else None
        records.append((op, params, parents, saved, scope, head.shape, head.dtype, plan, line))
        entered = [on_tape(head, self, first) if full or head.dtype.kind in "fc" else head]
        for number, value in enumerate(results[1:], start=1):
            inexact = value.dtype.kind in "fc"  # indices and masks have no derivative
            role = {"role": "output", "number": number}
            follows = plan if inexact else None
            records.append((None, role, (first,), (), scope, value.shape, value.dtype, follows, None))
            entered.append(on_tape(value, self, first + number) if full or inexact else value)
        return tuple(entered)

    def gradient(self, target: Tensor, source: Any, cotangent: Any = None) -> Any:
        """Return the gradient of one entry with respect to others; the tape stays as it is.

        Parameters
        ----------
        target : Tensor
            An entry of this tape, of any shape.
        source : Tensor, or container of Tensors
            Any entries of this tape, inputs or intermediate results.
        cotangent : array of the target's shape, optional
            The weights of the target's elements; ones when it is left out, as for the gradient of their sum.

        Returns
        -------
        array, or the same container of arrays
            Of the sources' shapes; zeros where the target does not depend on the source.
        """
        from ..autodiff.reverse import gradient  # the tape knows how to ask; how to differentiate is not its business

        return gradient(self, target, source, cotangent)

    @staticmethod
    def stale(op: str) -> StaleTensorError:
        """Return the error for an op on a Tensor of this tape after its end."""
        return _stale(op)

    def name_of(self, tensor: Tensor) -> str:
        """Return the name under which an input was watched, or an empty string."""
        node = self.nodes[tensor.index]
        return node.name if node.primitive is None else ""

    def index_of(self, tensor: Any) -> int:
        """Return the entry's number, after checking that the Tensor is on this tape."""
        if type(tensor) is not Tensor:
            raise DTypeError(f"expected a Tensor of this tape, and {type(tensor).__name__} came; see Tape.watch")
        if tensor.tape is not self:
            raise StaleTensorError("this Tensor is on another tape: ask that tape, or compute it again on this one")
        return tensor.index

    def end(self) -> None:
        """Stop recording. Ops on Tensors of this tape raise from now on; what was recorded stays readable."""
        if not self.ended:
            self.ended = True
            self.plain = False

    def __enter__(self) -> Tape:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"<Tape with {len(self.records)} entries{', ended' if self.ended else ''}>"

    def __str__(self) -> str:
        rows = [("entry", "op", "name", "from", "shape", "dtype", "scope", "saved")]
        for number, node in enumerate(self.nodes):
            is_op = node.primitive is not None
            rows.append(
                (
                    f"%{number}",
                    node.name if is_op else node.role,
                    "" if is_op else node.name,
                    " ".join("·" if parent is None else f"%{parent}" for parent in node.parents),
                    "×".join(map(str, node.shape)),
                    str(node.dtype),
                    node.scope,
                    _describe_saved(node),
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows)


def _describe_saved(node: Node) -> str:
    if node.plan is None or node.primitive is None:
        return ""
    parts = []
    for name, value in zip(node.plan.reads, node.saved):
        size = getattr(value, "nbytes", None)
        parts.append(name if size is None else f"{name} {size:,} B")
    return ", ".join(parts)


def _as_array(leaf: Any, name: str) -> Any:
    array = np.asarray(leaf) if isinstance(leaf, (bool, int, float, complex)) else None
    if array is None:
        raise DTypeError(
            f"cannot differentiate with respect to {name or 'this argument'}: {type(leaf).__name__} is not an array "
            f"of numbers (arrays, floats, and dicts, lists and tuples of them are)"
        )
    return array


def _kind(dtype: np.dtype[Any]) -> str:
    names = {"i": "an integer array", "u": "an integer array", "b": "a boolean array", "O": "an array of objects"}
    return f"{names.get(dtype.kind, 'an array')} ({dtype})"


_INTERNAL = (
    *(f"minigrad.{room}." for room in ("core", "autodiff", "ops", "nn", "model", "solver", "draw", "check", "compile")),
    "numpy.",
)


def user_line() -> tuple[str, int] | None:
    """Return file and line of the innermost frame outside NumPy and the machinery of minigrad."""
    frame = user_frame()
    return (frame.f_code.co_filename, frame.f_lineno) if frame is not None else None


def user_frame() -> FrameType | None:
    """Return the innermost frame outside NumPy and the machinery of minigrad."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _internal(frame):
        frame = frame.f_back
    return frame


def _internal(frame: FrameType) -> bool:
    return f"{frame.f_globals.get('__name__', '')}.".startswith(_INTERNAL)


def tell_more(error: Exception, tape: Tape | None) -> None:
    """Add to an error's text the user's line that it came from, and what was last recorded before it."""
    lines = []
    places = [(frame, number) for frame, number in traceback.walk_tb(error.__traceback__) if not _internal(frame)]
    if places:
        frame, number = places[-1]
        file = frame.f_code.co_filename
        source = linecache.getline(file, number).strip()
        lines.append(f"  at {file}:{number}" + (f": {source}" if source else ""))
    rows = []
    for node in tape.nodes[-3:] if tape is not None else ():
        if node.primitive is not None:
            rows.append(f"    {node.name} {node.shape} {node.dtype}{f' in {node.scope}' if node.scope else ''}")
    if rows:
        lines += ["  recorded before it:", *rows]
    error.args = ("\n".join([str(error), *lines]), *error.args[1:])


def check_cotangent(cotangent: Any, shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> Any:
    """Return the cotangent as an array of the given dtype, or raise ShapeError."""
    if not isinstance(cotangent, (Tensor, np.ndarray, np.generic)):
        cotangent = np.asarray(cotangent, dtype=dtype)
    if cotangent.shape != shape:
        raise ShapeError(
            f"{what} has shape {shape}, and its cotangent came with shape {cotangent.shape}; make them equal"
        )
    if cotangent.dtype.kind == "c" and dtype.kind != "c":
        raise DTypeError(f"{what} is real ({dtype}), and its cotangent came as {cotangent.dtype}; take its real part")
    return cotangent if cotangent.dtype == dtype else cotangent.astype(dtype)
