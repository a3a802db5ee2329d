"""From a tape to its graph view: what is seen, what reads what, where the parameters are, and what was measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..core.tape import Node
from .folds import Tree, common_scope
from .measure import Measured
from .recording import Place
from .rules import rule_texts
from .view import Chip, Fold, GraphEdge, GraphNode, GraphView, Inlined, Parameter, Result, Saved, Scope, Stats
from .words import dtype_text, line_text, number_text, number_texts, op_name, shape_text, source_text, static_texts

__all__ = ["build_view"]

SMALL_GRAPH = 3
"""Up to so many ops, parameters are drawn as cylinders: there is room, and the picture explains more."""
LONG_EDGES = 4
"""A parameter that more ops share than this becomes a chip in each of them, in place of so many long edges."""
REGULARISATION = "regularisation"
"""The scope of a model's penalty. Its ops read every weight again; that does not make the weights shared."""


def build_view(
    nodes: Sequence[Node],
    results: Iterable[Result],
    *,
    title: str,
    parameters: Collection[int] = (),
    arguments: Collection[int] = (),
    places: Mapping[int, Place] | None = None,
    kinds: Mapping[str, str] | None = None,
    params: str = "inline",
    fold: bool = True,
    marks: Mapping[int, str] | None = None,
    measured: Measured | None = None,
    saved: Mapping[int, tuple[tuple[Saved, ...], int]] | None = None,
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
    places : mapping of int to Place, optional
        Where the program asked for the ops.
    kinds : mapping of str to str, optional
        What a scope is, such as the class of its layer.
    params : str
        Parameters inside the ops that read them (``"inline"``, where there are not few ops), as nodes of their own
        (``"nodes"``; ``"apart"``, unless many ops share one), or always inside (``"hide"``).
    fold : bool
        Whether to look for runs of equal scopes.
    marks : mapping of int to str, optional
        Remarks on entries.
    measured : Measured, optional
    saved : mapping, optional
        What `measure.saved_arrays` returns.

    Returns
    -------
    GraphView
        Made in time linear in the number of nodes (times the depth of their scopes).
    """
    return _Builder(
        nodes,
        tuple(results),
        title,
        frozenset(parameters),
        arguments,
        places or {},
        kinds or {},
        params,
        fold,
        marks or {},
        measured or Measured({}, {}, {}, {}),
        saved or {},
    ).view()


def seen_entries(nodes: Sequence[Node], results: Iterable[int], arguments: Collection[int]) -> list[int]:
    """Return the entries that the results are computed from, and the arguments, in the tape's order."""
    needed = bytearray(len(nodes))
    last = -1
    for entry in results:
        needed[entry] = 1
        last = max(last, entry)
    for entry in range(last, -1, -1):
        if needed[entry]:
            for parent in nodes[entry].parents:
                if parent is not None:
                    needed[parent] = 1
    for entry in arguments:
        needed[entry] = 1
    return [entry for entry, flag in enumerate(needed) if flag]


class _Builder:
    """Makes a view of a tape: finds what is seen and what reads what, places the parameters, then writes the parts."""

    def __init__(
        self,
        nodes: Sequence[Node],
        results: tuple[Result, ...],
        title: str,
        parameters: frozenset[int],
        arguments: Collection[int],
        places: Mapping[int, Place],
        kinds: Mapping[str, str],
        params: str,
        fold: bool,
        marks: Mapping[int, str],
        measured: Measured,
        saved: Mapping[int, tuple[tuple[Saved, ...], int]],
    ) -> None:
        self.tape = nodes
        self.results = {self._maker(result.entry): result for result in results}
        self.title = title
        self.parameters = parameters
        self.params = params
        self.kinds = kinds
        self.measured = measured
        self.saved = saved
        self.seen = seen_entries(nodes, [result.entry for result in results], arguments)
        self.marks = {**self._not_finite(), **marks}
        self.ops = [entry for entry in self.seen if nodes[entry].role == "op"]
        self.dtype = self._usual_dtype()
        self.readers = self._readers()
        self.tree = Tree(nodes, self.ops, places)
        if fold:
            self.tree.fold(self._describe, self._argument)
        self.chipped: dict[tuple[int, int], Chip] = {}  # (op, position) -> the parameter shown there
        self.homes: dict[int, str] = {}  # parameter -> the scope that it belongs to
        for entry in self.seen:
            if entry in self.parameters:
                self._place(entry)
        self._place_alike()

    def view(self) -> GraphView:
        """Put the parts together."""
        nodes, edges = self._nodes_and_edges()
        return GraphView(
            self.title,
            self.dtype,
            tuple(nodes),
            tuple(edges),
            tuple(self._parameter(entry) for entry in self.seen if entry in self.parameters),
            self._scopes(nodes),
            self._folds(edges),
            self.measured.notes,
        )

    # --- reading the tape --------------------------------------------------------------------------------------------

    def _maker(self, entry: int) -> int:
        """Return the op of a further output; any other entry itself."""
        node = self.tape[entry]
        return node.parents[0] if node.role == "output" else entry  # type: ignore[return-value]

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

    def _not_finite(self) -> dict[int, str]:
        """Mark where NaN or infinity appear first: in what is not finite though all that it was computed from is."""
        bad = {entry: _not_finite_text(stats) for entry, stats in self.measured.values.items()}
        return {
            entry: f"the first {text} is here"
            for entry, text in bad.items()
            if text and self.tape[entry].role != "output" and not any(bad.get(p) for p in self.tape[entry].parents)  # type: ignore[arg-type]
        }

    # --- folding -----------------------------------------------------------------------------------------------------

    def _describe(self, op: int) -> tuple[Any, ...]:
        """Return what must be equal of two ops that one node stands for."""
        node = self.tape[op]
        alone = op if op in self.results or op in self.marks else -1
        params = () if "index" in node.params else static_texts(node)  # a step reads the next entry of a sequence
        return node.primitive, params, node.shape, node.dtype, alone

    def _argument(self, parent: int) -> tuple[int | None, int, Any]:
        node = self.tape[parent]
        if node.role == "op":
            return parent, 0, ()
        if node.role == "output":
            return node.parents[0], node.params["number"], ()
        if parent in self.parameters:
            return None, 0, ("parameter", node.shape, node.dtype)
        return None, 0, self._number(parent) or ()

    def _number(self, entry: int) -> str:
        """Return the text of a constant that is a single number; else an empty string."""
        node = self.tape[entry]
        return number_text(node.saved[0]) if node.role == "constant" and not node.shape else ""

    # --- parameters --------------------------------------------------------------------------------------------------

    def _place(self, entry: int) -> None:
        """Decide where a parameter is shown: in the one op that reads it, in each of many, or as a cylinder."""
        node = self.tape[entry]
        readers = self.readers.get(entry, [])
        work = [(op, position) for op, position in readers if not _is_regularisation(self.tape[op].scope)]
        ops = sorted({op for op, _ in work})
        self.homes[entry] = common_scope([self.tree.frames[op] for op, _ in work or readers])
        # Of a folded run all replicas are one op in the picture.
        places = len({self.tree.representative(op) for op in ops})
        if self.params == "hide":
            as_cylinder = False
        elif self.params == "nodes":
            as_cylinder = True
        elif self.params == "apart":
            as_cylinder = places <= LONG_EDGES
        else:
            as_cylinder = 1 < places <= LONG_EDGES or (bool(ops) and len(self.ops) <= SMALL_GRAPH)
        home = None if as_cylinder or not readers else ops[0] if ops else readers[0][0]
        shared = len(ops) if len(ops) > 1 else 0
        for op, position in readers:
            if not as_cylinder or _is_regularisation(self.tape[op].scope):
                self.chipped[op, position] = Chip(
                    entry, position, node.name, node.shape, str(node.dtype), shared, again=op != home
                )

    def _place_alike(self) -> None:
        """Let corresponding arguments of a folded run look alike: if one is shown inside its op, all are."""
        inside = {(self.tree.representative(op), position) for op, position in self.chipped}
        for entry in self.homes:
            readers = self.readers.get(entry, [])
            for op, position in readers:
                if (op, position) not in self.chipped and (self.tree.representative(op), position) in inside:
                    node = self.tape[entry]
                    shared = len({reader for reader, _ in readers})
                    self.chipped[op, position] = Chip(
                        entry, position, node.name, node.shape, str(node.dtype), shared if shared > 1 else 0, True
                    )
            if readers and all(reader in self.chipped for reader in readers):  # one of them is its home then
                if all(self.chipped[reader].again for reader in readers):
                    self.chipped[readers[0]] = self.chipped[readers[0]]._replace(again=False)

    def _is_inside(self, entry: int) -> bool:
        """Whether a parameter is shown inside ops only."""
        readers = self.readers.get(entry, [])
        return bool(readers) and entry not in self.results and all(reader in self.chipped for reader in readers)

    def _parameter(self, entry: int) -> Parameter:
        node = self.tape[entry]
        return Parameter(
            entry,
            node.name,
            node.shape,
            str(node.dtype),
            self.homes[entry],
            self.measured.values.get(entry),
            self.measured.gradients.get(entry),
        )

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
            value=self.measured.values.get(entry),
            gradient=self.measured.gradients.get(entry),
            mark=self.marks.get(entry, ""),
        )

    def _op(self, entry: int, inlined: tuple[Inlined, ...]) -> GraphNode:
        node = self.tape[entry]
        result = self.results.get(entry)
        is_loss = result is not None and result.value != "" and node.dtype.kind in "fc"
        kind = "loss" if is_loss else node.primitive.kind  # type: ignore[union-attr]
        frame = self.tree.frames[entry]
        shapes = [self.tape[parent].shape for parent in node.parents]  # type: ignore[index]
        return GraphNode(
            f"n{entry}",
            entry,
            kind,
            op_name(node),
            node.shape,
            str(node.dtype),
            node.name,
            (*number_texts(node, {number.position: number.text for number in inlined}), *static_texts(node, shapes)),
            scope=node.scope,
            # The sum of data loss and penalty is made in the penalty's scope, but it is the result of the whole.
            frame="" if is_loss and _is_regularisation(node.scope) else frame,
            line=line_text(node.line),
            source=source_text(node.line),
            chips=tuple(filter(None, (self.chipped.get((entry, position)) for position in range(len(node.parents))))),
            inlined=inlined,
            result=self._result_text(entry),
            rule=rule_texts(node, shapes),
            saved=self.saved.get(entry, ((), 0))[0],
            value=self.measured.values.get(entry),
            gradient=self.measured.gradients.get(entry),
            forward_s=self.measured.forward_s.get(entry),
            backward_s=self.measured.backward_s.get(entry),
            mark=self.marks.get(entry, ""),
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
        parents = enumerate(self.tape[entry].parents)
        numbers = ((parent, position, self._number(parent)) for position, parent in parents if parent is not None)
        return tuple(Inlined(parent, position, text) for parent, position, text in numbers if text)

    def _incoming(self, entry: int, inlined: set[int]) -> tuple[list[GraphNode], list[GraphEdge]]:
        """Return the edges into an op, and its own copy of each constant array that it reads."""
        constants: dict[int, GraphNode] = {}
        edges = []
        node = self.tape[entry]
        for position, parent in enumerate(node.parents):
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
                        frame=self.tree.frames[entry],
                        value=self.measured.values.get(parent),
                        mark=self.marks.get(parent, ""),
                    ),
                )
            else:
                name = f"n{self._maker(parent)}"
            flows = node.plan is not None and source.active and node.primitive.has_rule(position)  # type: ignore[union-attr]
            edges.append(GraphEdge(name, f"n{entry}", parent, position, self._edge_label(parent), flows))
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

    # --- scopes and folds --------------------------------------------------------------------------------------------

    def _scopes(self, nodes: list[GraphNode]) -> tuple[Scope, ...]:
        """Return the scopes that have nodes, and those around them."""
        inside = {node.frame for node in nodes}
        kept = {path for path in inside if path}
        for path in list(kept):
            while (
                path and (branch := self.tree.branches.get(path)) and branch.parent and branch.parent.path not in kept
            ):
                path = branch.parent.path
                kept.add(path)
        kept.discard("")
        branches = [branch for path, branch in self.tree.branches.items() if path in kept]
        sizes = {branch.path: 0 for branch in branches}
        for entry, scope in self.homes.items():
            if scope in sizes:
                sizes[scope] += math.prod(self.tape[entry].shape)
        for branch in reversed(branches):  # a scope comes after the one around it, so its own sum is complete by now
            if branch.parent is not None and branch.parent.path:
                sizes[branch.parent.path] += sizes[branch.path]
        return tuple(
            Scope(
                branch.path,
                branch.title,
                self.kinds.get(branch.path, ""),
                branch.parent.path if branch.parent is not None else "",
                sizes[branch.path],
                len(branch.ops),
            )
            for branch in branches
        )

    def _folds(self, edges: list[GraphEdge]) -> tuple[Fold, ...]:
        incoming: dict[str, list[int]] = {}
        for number, edge in enumerate(edges):
            incoming.setdefault(edge.target, []).append(number)
        folds = []
        for group in self.tree.groups:
            names = [tuple(f"n{op}" for op in unit) for unit in group.units]
            between = []
            for unit in names:
                own = set(unit)
                between.append(tuple(e for op in unit for e in incoming.get(op, ()) if edges[e].source in own))
            folds.append(Fold(group.title, group.parent, group.scopes, group.alone, tuple(names), tuple(between)))
        return tuple(folds)


def _is_regularisation(scope: str) -> bool:
    return REGULARISATION in scope.split("/")


def _not_finite_text(stats: Stats) -> str:
    return "NaN" if stats.nan else "infinity" if stats.inf else ""
