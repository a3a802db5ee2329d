"""The graph view: what a picture of a tape shows, as plain data.

A tape lists everything that happened. Its graph view is what a reader should see of that: parameters as chips inside
the op that reads them, numbers inside the op's label, the outputs of an op as edges from it, scopes as frames. Nothing
is lost on the way: every node, chip and number keeps the entry of the tape that it stands for, and every edge the
argument that it feeds, so the tape's edges can be read back from the view.

The view holds numbers and text only. It keeps no array, Tensor or tape alive, and the same program gives the same view
in every process.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from ..core.tape import Node
from .words import dtype_text, line_text, number_text, number_texts, shape_text, static_texts

__all__ = ["Chip", "Frame", "GraphEdge", "GraphNode", "GraphView", "Inlined", "Result", "build_view"]

SMALL_GRAPH = 3
"""Up to so many ops, parameters are drawn as cylinders: there is room, and the picture explains more."""
LONG_EDGES = 4
"""A parameter that more ops share than this becomes a chip in each of them, in place of so many long edges."""
EDGE_LABELS = 150
"""Above so many nodes, edges carry no shapes: they would be unreadable, and take most of the time of the layout."""
REGULARISATION = "regularisation"
"""The scope of a model's penalty. Its ops read every weight again; that does not make the weights shared."""


class Chip(NamedTuple):
    """A parameter shown inside the op that reads it.

    Attributes
    ----------
    entry, position : int
        The parameter's entry on the tape, and which argument of the op it is.
    name, dtype : str
    shape : tuple of int
    shared : int
        How many ops share the parameter, when several do; else 0. A model's penalty does not count.
    again : bool
        Whether the parameter is shown elsewhere too, so that this is not the place where it lives.
    """

    entry: int
    position: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    shared: int = 0
    again: bool = False


class Inlined(NamedTuple):
    """A constant number shown in the label of the op that reads it."""

    entry: int
    position: int
    text: str


class GraphNode(NamedTuple):
    """An ellipse, cylinder or box of the picture.

    Attributes
    ----------
    id : str
        Unique in the picture, and the same in every process.
    entry : int
        The entry of the tape that it stands for.
    kind : str
        A row of :data:`minigrad.draw.palette.KINDS`.
    name : str
        The op or the input.
    details : tuple of str
        What the label says beside the name: numbers and static parameters, such as ``"axis 1"``.
    shape : tuple of int
    dtype : str
    scope, frame : str
        Where it was computed, and the frame that it is drawn in.
    line : str
        ``"file.py:12"`` of the user's code, or an empty string.
    chips : tuple of Chip
    inlined : tuple of Inlined
    result : str
        For what was computed in the end: ``"= 2.3026"`` or ``"→ 50×10"``; else an empty string.
    """

    id: str
    entry: int
    kind: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    details: tuple[str, ...] = ()
    scope: str = ""
    frame: str = ""
    line: str = ""
    chips: tuple[Chip, ...] = ()
    inlined: tuple[Inlined, ...] = ()
    result: str = ""


class GraphEdge(NamedTuple):
    """An arrow: the value of an entry goes into an argument of an op.

    Attributes
    ----------
    source, target : str
        Ids of nodes.
    entry, position : int
        The entry that is read (of an op with several outputs, that output), and which argument it is.
    label : str
        The shape, unless the source shows it itself; the dtype where it is not the usual one of this picture.
    """

    source: str
    target: str
    entry: int
    position: int
    label: str = ""


class Frame(NamedTuple):
    """A scope, drawn around its nodes.

    Attributes
    ----------
    path, title : str
        Of the scope ``"block1/fc1"`` the title is ``"fc1"``.
    parent : str
        The path of the frame around it; an empty string at the top.
    parameters : int
        How many numbers the parameters inside hold.
    """

    path: str
    title: str
    parent: str
    parameters: int


class GraphView(NamedTuple):
    """All that a picture shows.

    Attributes
    ----------
    title : str
    nodes : tuple of GraphNode
    edges : tuple of GraphEdge
    frames : tuple of Frame
        Each after the frame around it.
    dtype : str
        The usual dtype, which is not written out.
    notes : tuple of str
        What the picture leaves out.
    """

    title: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    frames: tuple[Frame, ...]
    dtype: str
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the view as dicts, lists, strings and numbers, ready for ``json.dumps``.

        >>> import numpy as np
        >>> from minigrad.draw import draw
        >>> data = draw(lambda x: np.tanh(x), np.ones(3)).view.to_json()
        >>> [(node["kind"], node["name"], node["shape"]) for node in data["nodes"]]
        [('input', 'x', [3]), ('activation', 'tanh', [3])]
        """
        return _plain(self)  # type: ignore[no-any-return]


class Result(NamedTuple):
    """What was computed in the end: its entry, what to call it (may be empty), and its value when it is one number."""

    entry: int
    name: str = ""
    value: str = ""


def build_view(
    nodes: Sequence[Node],
    results: Iterable[Result],
    *,
    title: str,
    parameters: Collection[int] = (),
    arguments: Collection[int] = (),
) -> GraphView:
    """Make the view of what feeds the results.

    Parameters
    ----------
    nodes : sequence of Node
        A full tape's nodes.
    results : iterable of Result
    title : str
    parameters : collection of int
        Entries of inputs that are parameters; the other inputs are data.
    arguments : collection of int
        Entries of inputs to show even when nothing reads them.

    Returns
    -------
    GraphView
        Made in time linear in the number of nodes.
    """
    return _Builder(nodes, tuple(results), title, parameters, arguments).view()


class _Builder:
    """Makes a view of a tape: finds what is seen and what reads what, places the parameters, then writes the parts."""

    def __init__(
        self,
        nodes: Sequence[Node],
        results: tuple[Result, ...],
        title: str,
        parameters: Collection[int],
        arguments: Collection[int],
    ) -> None:
        self.tape = nodes
        self.results = {self._maker(result.entry): result for result in results}
        self.title = title
        self.parameters = frozenset(parameters)
        self.seen = self._feeding([result.entry for result in results], arguments)
        self.ops = [entry for entry in self.seen if nodes[entry].role == "op"]
        self.dtype = self._usual_dtype()
        self.readers = self._readers()
        self.chipped: dict[tuple[int, int], Chip] = {}  # (op, position) -> the parameter shown there
        self.homes: dict[int, str] = {}  # parameter -> the scope that it belongs to
        for entry in self.seen:
            if entry in self.parameters:
                self._place(entry)

    def view(self) -> GraphView:
        """Put the parts together."""
        nodes, edges = self._nodes_and_edges()
        notes: tuple[str, ...] = ()
        if len(nodes) > EDGE_LABELS:
            edges = [GraphEdge(edge.source, edge.target, edge.entry, edge.position) for edge in edges]
            notes = (f"{len(nodes):,} nodes: shapes on edges are left out above {EDGE_LABELS}",)
        return GraphView(self.title, tuple(nodes), tuple(edges), self._frames(nodes), self.dtype, notes)

    # --- reading the tape --------------------------------------------------------------------------------------------

    def _maker(self, entry: int) -> int:
        """Return the op of a further output; any other entry itself."""
        node = self.tape[entry]
        return node.parents[0] if node.role == "output" else entry  # type: ignore[return-value]

    def _feeding(self, results: list[int], arguments: Collection[int]) -> list[int]:
        """Return the entries that the results are computed from, and the arguments, in the tape's order."""
        needed = bytearray(len(self.tape))
        for entry in (*results, *arguments):
            needed[entry] = 1
        for entry in range(max(results), -1, -1):
            if needed[entry]:
                for parent in self.tape[entry].parents:
                    if parent is not None:
                        needed[parent] = 1
        return [entry for entry, flag in enumerate(needed) if flag]

    def _usual_dtype(self) -> str:
        """Return the commonest dtype of the parameters, else of the inputs with a fraction, else float64."""
        inputs = [entry for entry in self.seen if self.tape[entry].role == "input"]
        of_parameters = [str(self.tape[entry].dtype) for entry in inputs if entry in self.parameters]
        of_data = [str(self.tape[entry].dtype) for entry in inputs if self.tape[entry].dtype.kind in "fc"]
        counted = Counter(of_parameters or of_data or ["float64"])
        return counted.most_common(1)[0][0]  # of equally common ones the first: the same in every process

    def _readers(self) -> dict[int, list[tuple[int, int]]]:
        """Map each entry to the (op, position) pairs that read it."""
        readers: dict[int, list[tuple[int, int]]] = {}
        for entry in self.ops:
            for position, parent in enumerate(self.tape[entry].parents):
                if parent is not None:
                    readers.setdefault(parent, []).append((entry, position))
        return readers

    # --- parameters --------------------------------------------------------------------------------------------------

    def _place(self, entry: int) -> None:
        """Decide where a parameter is shown: in the one op that reads it, in each of many, or as a cylinder."""
        node = self.tape[entry]
        readers = self.readers.get(entry, [])
        work = [(op, position) for op, position in readers if not _is_regularisation(self.tape[op].scope)]
        ops = sorted({op for op, _ in work})
        self.homes[entry] = _common_scope([self.tape[op].scope for op, _ in work or readers])
        shared = len(ops) if len(ops) > 1 else 0
        as_cylinder = 1 < len(ops) <= LONG_EDGES or (ops and len(self.ops) <= SMALL_GRAPH)
        home = None if as_cylinder or not readers else ops[0] if ops else readers[0][0]
        for op, position in readers:
            if not as_cylinder or _is_regularisation(self.tape[op].scope):
                self.chipped[op, position] = Chip(
                    entry, position, node.name, node.shape, str(node.dtype), shared, again=op != home
                )

    def _is_inside(self, entry: int) -> bool:
        """Whether a parameter is shown inside ops only."""
        readers = self.readers.get(entry, [])
        return bool(readers) and entry not in self.results and all(reader in self.chipped for reader in readers)

    # --- nodes and edges ---------------------------------------------------------------------------------------------

    def _nodes_and_edges(self) -> tuple[list[GraphNode], list[GraphEdge]]:
        nodes: list[GraphNode] = []
        edges: list[GraphEdge] = []
        for entry in self.seen:
            role = self.tape[entry].role
            if role == "input" and not self._is_inside(entry):
                nodes.append(self._input(entry))
            elif role == "op":
                inlined = self._inlined(entry)
                constants, arrows = self._incoming(entry, {number.position for number in inlined})
                nodes += constants
                nodes.append(self._op(entry, inlined))
                edges += arrows
        return nodes, edges

    def _input(self, entry: int) -> GraphNode:
        node = self.tape[entry]
        is_parameter = entry in self.parameters
        return GraphNode(
            f"n{entry}",
            entry,
            "parameter" if is_parameter else "input",
            node.name or "input",
            node.shape,
            str(node.dtype),
            frame=self.homes[entry] if is_parameter else "",
            result=self._result_text(entry, shown=True),
        )

    def _op(self, entry: int, inlined: tuple[Inlined, ...]) -> GraphNode:
        node = self.tape[entry]
        result = self.results.get(entry)
        is_loss = result is not None and result.value != "" and node.dtype.kind in "fc"
        kind = "loss" if is_loss else node.primitive.kind  # type: ignore[union-attr]
        # The sum of data loss and penalty is made in the penalty's scope, but it is the result of the whole.
        frame = "" if is_loss and _is_regularisation(node.scope) else node.scope
        return GraphNode(
            f"n{entry}",
            entry,
            kind,
            node.name,
            node.shape,
            str(node.dtype),
            details=(*number_texts(node, {number.position: number.text for number in inlined}), *static_texts(node)),
            scope=node.scope,
            frame=frame,
            line=line_text(node.line),
            chips=tuple(filter(None, (self.chipped.get((entry, position)) for position in range(len(node.parents))))),
            inlined=inlined,
            result=self._result_text(entry),
        )

    def _result_text(self, entry: int, shown: bool = False) -> str:
        """Say what a result is: its value, or its shape unless that is `shown` by the node already."""
        result = self.results.get(entry)
        if result is None:
            return ""
        if result.value:
            return f"{result.name} = {result.value}".lstrip()
        shape = "" if shown else shape_text(self.tape[result.entry].shape)
        return f"{result.name} → {shape}".strip() if shape else ""

    def _inlined(self, entry: int) -> tuple[Inlined, ...]:
        """Return the constants among the op's arguments that are single numbers."""
        found = []
        for position, parent in enumerate(self.tape[entry].parents):
            if parent is not None and self.tape[parent].role == "constant" and not self.tape[parent].shape:
                text = number_text(self.tape[parent].saved[0])
                if text:
                    found.append(Inlined(parent, position, text))
        return tuple(found)

    def _incoming(self, entry: int, inlined: set[int]) -> tuple[list[GraphNode], list[GraphEdge]]:
        """Return the edges into an op, and its own copy of each constant array that it reads."""
        constants: dict[int, GraphNode] = {}
        edges = []
        for position, parent in enumerate(self.tape[entry].parents):
            if parent is None or position in inlined or (entry, position) in self.chipped:
                continue
            source = self.tape[parent]
            if source.role == "constant":
                name = f"n{parent}_{entry}"  # one per consumer: shared, a mask would pull the whole layout together
                constants.setdefault(
                    parent,
                    GraphNode(
                        name,
                        parent,
                        "constant",
                        "constant",
                        source.shape,
                        str(source.dtype),
                        frame=self.tape[entry].scope,
                    ),
                )
            else:
                name = f"n{self._maker(parent)}"
            edges.append(GraphEdge(name, f"n{entry}", parent, position, self._edge_label(parent)))
        return list(constants.values()), edges

    def _edge_label(self, parent: int) -> str:
        node = self.tape[parent]
        if node.role in ("input", "constant"):
            return ""  # these show their shape themselves
        maker = self.tape[self._maker(parent)]
        outputs = maker.primitive.outputs if maker.primitive is not None else ()
        number = node.params["number"] if node.role == "output" else 0
        name = (outputs[number] if isinstance(outputs, tuple) else f"[{number}]") if outputs else ""
        hidden_name = name if number or outputs == "many" else ""
        return " ".join(filter(None, (hidden_name, shape_text(node.shape), dtype_text(str(node.dtype), self.dtype))))

    # --- frames ------------------------------------------------------------------------------------------------------

    def _frames(self, nodes: list[GraphNode]) -> tuple[Frame, ...]:
        """Return a frame for every scope that has nodes, and for the scopes around it."""
        parents: dict[str, str] = {}
        for node in nodes:
            path, missing = node.frame, []
            while path and path not in parents:
                missing.append(path)
                path = path.rpartition("/")[0]
            parents.update((path, path.rpartition("/")[0]) for path in reversed(missing))
        sizes = dict.fromkeys(parents, 0)
        for entry, scope in self.homes.items():
            if scope in sizes:
                sizes[scope] += math.prod(self.tape[entry].shape)
        for path in reversed(parents):  # a frame comes after the one around it, so its own sum is complete by now
            if parents[path]:
                sizes[parents[path]] += sizes[path]
        return tuple(Frame(path, path.rpartition("/")[2], parents[path], sizes[path]) for path in parents)


# --- scopes, and plain data -----------------------------------------------------------------------------------------


def _is_regularisation(scope: str) -> bool:
    return REGULARISATION in scope.split("/")


def _common_scope(scopes: list[str]) -> str:
    """Return the innermost scope around all of these.

    >>> _common_scope(["block/fc1", "block/fc2"]), _common_scope([])
    ('block', '')
    """
    common = scopes[0].split("/") if scopes else []
    for scope in scopes[1:]:
        parts = scope.split("/")
        same = 0
        while same < min(len(parts), len(common)) and parts[same] == common[same]:
            same += 1
        common = common[:same]
    return "/".join(common)


def _plain(value: Any) -> Any:
    """Turn named tuples into dicts and other tuples into lists, all the way down."""
    if isinstance(value, tuple):
        items = [_plain(item) for item in value]
        return dict(zip(value._fields, items)) if hasattr(value, "_fields") else items
    return value
