"""From the whole computation to what a picture shows of it: fold what repeats, collapse what is too deep or too much.

A picture is a quotient of the graph: its nodes are classes of nodes, and every edge of the whole becomes a member of
exactly one arrow, or lies inside a collapsed scope. So it cannot show an edge that does not exist; and since only
structurally equal scopes are folded, an arrow inside a folded frame stands for an edge in each of the replicas.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..core.errors import OptionError, did_you_mean
from .folds import base_name, generic_path
from .heat import heats
from .palette import KINDS
from .view import Chip, Fold, Frame, GraphNode, GraphView, Shown, ShownChip, ShownEdge, ShownNode, Stats
from .words import bytes_text, seconds_text, shape_text

__all__ = ["Options", "show"]

EDGE_LABELS = 150
"""Above so many nodes, edges carry no shapes: they would be unreadable, and take most of the time of the layout."""


class Options(NamedTuple):
    """The options of a picture; see :func:`minigrad.draw.draw`."""

    view: str = "forward"
    color: str = "kind"
    params: str = "inline"
    depth: int | None = None
    fold: bool = True
    collapse: tuple[str, ...] = ()
    expand: tuple[str, ...] = ()
    shapes: bool = True
    direction: str = "TB"
    max_nodes: int = 500
    theme: str = "auto"
    histograms: bool = False
    scale: tuple[float, float] | None = None


DEFAULTS = Options()


def show(view: GraphView, options: Options = DEFAULTS) -> Shown:
    """Return what a picture with these options shows of a view. Made in time linear in the size of the view."""
    return _Shower(view, options).shown()


class _Class:
    """Nodes of the whole that one node of the picture stands for."""

    __slots__ = ("frame", "kind", "members", "scope")

    def __init__(self, frame: str, scope: str = "", kind: str = "") -> None:
        self.frame = frame
        self.scope = scope  # of a collapsed one
        self.kind = kind  # "scope" or "part" for a collapsed one
        self.members: list[int] = []


Steps = tuple[tuple[int, int], ...]  # for each folded run around a node, which run and which replica of it


class _Shower:
    def __init__(self, view: GraphView, options: Options) -> None:
        self.view = view
        self.options = options
        self.numbers = {node.id: number for number, node in enumerate(view.nodes)}
        self.scopes = {scope.path: scope for scope in view.scopes}
        self.limited = False
        self.messages: list[str] = []
        self._read_folds()
        self._canonise()
        self._frame_paths()
        self._chains: dict[str, list[str]] = {"": []}
        self.collapse = set(map(self._canonical, self._matching("collapse", options.collapse)))
        expanded = map(self._canonical, self._matching("expand", options.expand))
        self.expand = {frame for path in expanded for frame in self._chain(path)}

    # --- which scopes the user means ---------------------------------------------------------------------------------

    def _matching(self, option: str, patterns: Iterable[str]) -> set[str]:
        """Return the paths that the patterns mean: a whole path or its end, with or without numbers, or a glob."""
        found: set[str] = set()
        for pattern in patterns:
            matches = {path for path in self.scopes if _means(pattern, path)}
            if not matches:
                known = dict.fromkeys(name for path in self.scopes for name in (generic_path(path), path))
                listed = ", ".join(list(known)[:8]) + (", …" if len(known) > 8 else "")
                raise OptionError(
                    f"draw: {option}={pattern!r} is no scope of {self.view.title}{did_you_mean(pattern, known)} "
                    f"(its scopes: {listed or 'none'})"
                )
            found |= matches
        return found

    # --- folding -----------------------------------------------------------------------------------------------------

    def _read_folds(self) -> None:
        """Note for each op of a folded run the op that stands for it, and in which replica it is."""
        self.canon: dict[int, int] = {}
        self.steps: dict[int, Steps] = {}
        self.folds: list[Fold] = []
        exact = set(self.options.expand)
        if not self.options.fold:
            return
        for fold in self.view.folds:
            if not exact.isdisjoint(fold.scopes[1:]):  # one replica is asked for by its own name: show all
                continue
            number = len(self.folds)
            self.folds.append(fold)
            first = [self.numbers[name] for name in fold.nodes[0]]
            for replica, names in enumerate(fold.nodes):
                for name, of_first in zip(names, first):
                    node = self.numbers[name]
                    self.steps[node] = (*self.steps.get(node, ()), (number, replica))
                    if replica:
                        self.canon[node] = of_first

    def _canonise(self) -> None:
        """Find for every node the one that stands for it when all runs are folded, and the replicas it is in."""
        nodes, edges = self.view.nodes, self.view.edges
        self.consumers: dict[int, int] = {}  # of constants
        self.stands: list[int] = list(range(len(nodes)))
        self.around: list[Steps] = [()] * len(nodes)
        readers: dict[int, list[tuple[int, int]]] = {}
        for edge in edges:
            if nodes[self.numbers[edge.source]].kind in ("constant", "parameter"):
                readers.setdefault(self.numbers[edge.source], []).append((self.numbers[edge.target], edge.position))
        for number in range(len(nodes)):
            steps = self.steps.get(number, ())
            first = number
            while first in self.canon:
                first = self.canon[first]
                steps = (*steps, *self.steps[first][len(steps) :])
            self.stands[number], self.around[number] = first, steps
        keys: dict[Any, int] = {}
        for number, reading in sorted(readers.items()):
            if nodes[number].kind == "constant":
                self.consumers[number] = reading[0][0]
            steps = _common([self.around[target] for target, _ in reading])
            if steps:  # a constant or a parameter of a replica: what stands for it is that of the first
                key = (nodes[number].kind, nodes[number].shape, *((self.stands[t], p) for t, p in reading))
                self.stands[number] = keys.setdefault(key, number)
                self.around[number] = steps

    def _frame_paths(self) -> None:
        """Find for each frame of the picture the frame around it, and which run it stands for.

        A run whose replicas are more than one scope each gets a frame of its own around them.
        """
        self.parents = {path: scope.parent for path, scope in self.scopes.items()}
        self.run_of: dict[str, int] = {}
        self.frame_of_run: list[str] = []
        self.extra: dict[int, str] = {}  # node directly in such a frame -> the frame
        for number, fold in enumerate(self.folds):
            if fold.alone:
                self.run_of[fold.scopes[0]] = number
                self.frame_of_run.append(fold.scopes[0])
                continue
            frame = f"{fold.parent}/{fold.title} ×{len(fold.nodes)}".lstrip("/")
            while frame in self.parents:
                frame += "'"
            self.run_of[frame] = number
            self.frame_of_run.append(frame)
            self.parents[frame] = fold.parent
            inside = set()
            for name in fold.nodes[0]:
                node = self.view.nodes[self.numbers[name]]
                if node.frame == fold.parent:
                    self.extra[self.numbers[name]] = frame
                else:
                    inside.add(self._child(fold.parent, node.frame))
            for path in inside & self.parents.keys():
                self.parents[path] = frame
        self.first_scope: dict[str, str] = {}  # scope of a later replica -> that of the first
        for fold in self.folds:
            for names in fold.nodes[1:]:
                for name, of_first in zip(names, fold.nodes[0]):
                    frame, first = (self.view.nodes[self.numbers[n]].frame for n in (name, of_first))
                    if frame != fold.parent:
                        self.first_scope[self._child(fold.parent, frame)] = self._child(fold.parent, first)
        self._canonical_paths: dict[str, str] = {"": ""}

    @staticmethod
    def _child(parent: str, path: str) -> str:
        """Return the scope right below `parent` on the way to `path`."""
        rest = path[len(parent) + 1 :] if parent else path
        return f"{parent}/{rest.partition('/')[0]}" if parent else rest.partition("/")[0]

    def _canonical(self, path: str) -> str:
        """Return the path with the first replica of every folded run in place of a later one."""
        missing = []
        while path not in self._canonical_paths:
            missing.append(path)
            path = self.scopes[path].parent
        for path in reversed(missing):
            scope = self.scopes[path]
            around_it = self._canonical_paths[scope.parent]
            here = f"{around_it}/{scope.title}" if around_it else scope.title
            self._canonical_paths[path] = self.first_scope.get(here, here)
        return self._canonical_paths[path]

    def _frame(self, first: int) -> str:
        """Return the frame of a node that stands for others."""
        if first in self.consumers:  # a constant is drawn beside what reads it
            first = self.stands[self.consumers[first]]
        return self.extra.get(first) or self._canonical(self.view.nodes[first].frame)

    def _chain(self, frame: str) -> list[str]:
        """Return the frames around a place, the outermost first."""
        if frame not in self._chains:
            missing = []
            while frame and frame not in self._chains:
                missing.append(frame)
                frame = self.parents.get(frame, "")
            chain = self._chains.get(frame, [])
            for path in reversed(missing):
                chain = self._chains[path] = [*chain, path]
            return chain
        return self._chains[frame]

    # --- collapsing --------------------------------------------------------------------------------------------------

    def _classes(self) -> tuple[list[_Class], list[int]]:
        """Return the classes, and for each node the number of its class."""
        frames = {first: self._frame(first) for first in dict.fromkeys(self.stands)}
        chains = {first: self._chain(frame) for first, frame in frames.items()}
        depth = self._depth(chains)
        closed = {first: self._closed(chain, depth) for first, chain in chains.items()}
        keys: dict[Any, int] = {}
        classes: list[_Class] = []
        of_node: list[int] = []
        for number, first in enumerate(self.stands):
            scope = closed[first]
            key: Any = ("scope", scope) if scope is not None else first
            if key not in keys:
                keys[key] = len(classes)
                if scope is None:
                    classes.append(_Class(frames[first]))
                else:
                    classes.append(_Class(self.parents[scope], scope, "scope"))
            of_node.append(keys[key])
            classes[keys[key]].members.append(number)
        if len(classes) > self.options.max_nodes:
            classes, of_node = self._parts(classes, of_node)
        return classes, of_node

    def _closed(self, chain: list[str], depth: int | None) -> str | None:
        """Return the outermost frame around a place that is collapsed, if one is."""
        for level, frame in enumerate(chain, start=1):
            if frame in self.collapse or (depth is not None and level >= depth and frame not in self.expand):
                return frame
        return None

    def _depth(self, chains: dict[int, list[str]]) -> int | None:
        """Return from which depth on scopes are collapsed: as asked, or so that the picture does not get too large."""
        asked = self.options.depth
        deepest = max(map(len, chains.values()), default=0)
        depth = asked
        for level in range(deepest, 0, -1):
            if asked is not None and level >= asked:
                continue
            shown = {self._closed(chain, depth) or first for first, chain in chains.items()}
            if len(shown) <= self.options.max_nodes:
                break
            depth = level
        if depth != asked:
            self.limited = True
        return depth

    def _parts(self, classes: list[_Class], of_node: list[int]) -> tuple[list[_Class], list[int]]:
        """Gather what lies side by side at the top, in the tape's order, into parts: the last resort."""
        kinds = [self.view.nodes[c.members[0]].kind if not c.kind else "scope" for c in classes]
        loose = [i for i, c in enumerate(classes) if not c.frame and kinds[i] not in ("input", "parameter")]
        results = {i for i in loose if not classes[i].kind and self.view.nodes[classes[i].members[-1]].result}
        loose = [i for i in loose if i not in results]
        room = max(self.options.max_nodes - (len(classes) - len(loose)), 1)
        size = -(-len(loose) // room)
        if size < 2:
            return classes, of_node
        loose.sort(key=lambda i: classes[i].members[-1])
        to_part = {number: place // size for place, number in enumerate(loose)}
        keys: dict[Any, int] = {}
        merged: list[_Class] = []
        target: list[int] = []
        for i, old in enumerate(classes):
            key = ("part", to_part[i]) if i in to_part else i
            if key not in keys:
                keys[key] = len(merged)
                merged.append(_Class("", f"part {to_part[i] + 1}", "part") if i in to_part else old)
            target.append(keys[key])
            if i in to_part:
                merged[keys[key]].members += old.members
        self.limited = True
        return merged, [target[i] for i in of_node]

    # --- putting it together -----------------------------------------------------------------------------------------

    def shown(self) -> Shown:
        """Make the picture."""
        classes, of_node = self._classes()
        names = self._names(classes)
        nodes = [self._node(c, name) for c, name in zip(classes, names)]
        labels = self.options.shapes and len(nodes) <= EDGE_LABELS
        edges, hidden = self._edges(classes, of_node, names, labels)
        if self.limited:
            self.messages.append(f"{len(self.view.nodes):,} nodes -> {len(nodes):,} shown; use depth= or expand=")
        if self.options.shapes and not labels:
            self.messages.append(f"{len(nodes):,} nodes: shapes on edges are left out above {EDGE_LABELS}")
        nodes, legends = heats(self.view, nodes, {self.options.color: self.options.scale} if self.options.scale else {})
        kinds = {node.kind if node.kind in KINDS else "op" for node in nodes}
        if self.options.params == "inline" and any(node.chips for node in nodes):
            kinds.add("parameter")
        return Shown(
            self.options.view,
            self.options.color,
            self.options.params,
            self.options.direction,
            self.options.theme,
            tuple(nodes),
            tuple(edges),
            self._frames(nodes),
            tuple(hidden),
            tuple(kind for kind in KINDS if kind in kinds),
            legends,
            tuple(self.messages),
            self.options.scale,
        )

    def _names(self, classes: list[_Class]) -> list[str]:
        counter = 0
        names = []
        for c in classes:
            if c.kind:
                names.append(f"s{counter}")
                counter += 1
            else:
                names.append(self.view.nodes[c.members[0]].id)
        return names

    def _times(self, steps: Steps) -> int:
        return math.prod(len(self.folds[number].nodes) for number, _ in steps)

    def _node(self, c: _Class, name: str) -> ShownNode:
        members = [self.view.nodes[number] for number in c.members]
        if c.kind:
            return self._collapsed(c, name, members)
        first = members[0]
        times = len(members) if self.around[c.members[0]] else 1
        shown = ShownNode(
            name,
            first.kind,
            _joined([node.name for node in members]),
            tuple(map(_joined, zip(*(node.details for node in members)))),
            tuple(node.id for node in members),
            times,
            first.scope,
            c.frame,
            first.shape,
            first.dtype,
            tuple(self._chip(members, place) for place in range(len(first.chips))),
            first.result,
            mark=first.mark,
        )
        return shown._replace(hover=self._hover(shown, first))

    def _chip(self, members: Sequence[GraphNode], place: int) -> ShownChip:
        chips: list[Chip] = [node.chips[place] for node in members]
        first = chips[0]
        distinct = {chip.entry: _within(chip.name, node.frame) for chip, node in zip(chips, members)}
        name = _joined(distinct.values())
        shared = max(chip.shared for chip in chips)
        return ShownChip(name, first.shape, first.dtype, tuple(distinct), shared, first.again)

    def _collapsed(self, c: _Class, name: str, members: list[GraphNode]) -> ShownNode:
        ops = sum(node.kind not in ("input", "parameter", "constant") for node in members)
        saved = sum(array.counted for node in members for array in node.saved)
        run = self.run_of.get(c.scope)
        times = len(self.folds[run].nodes) if run is not None else 1
        outside = self._times([step for step in self.around[c.members[0]] if self._is_outside(step[0], c.scope)])  # type: ignore[arg-type]
        title, kind, sizes = c.scope, "", 0
        if c.kind == "scope":
            title, kind, sizes = self._title(c.scope), self._kind(c.scope), self._size(c.scope)
        each = " each" if times > 1 else ""
        count, saved = ops // (times * outside), saved // (times * outside)
        words = [
            f"{count:,} {'op' if count == 1 else 'ops'}",
            f"{sizes:,} {'param' if sizes == 1 else 'params'}" if sizes else "",
            f"saves {bytes_text(saved)}" if saved else "",
        ]
        details = tuple(filter(None, (f"· {kind}" if kind else "", f"×{times}" if times > 1 else "")))
        marks = dict.fromkeys(node.mark for node in members if node.mark)
        last = members[-1]
        shown = ShownNode(
            name,
            "scope",
            title,
            details,
            tuple(node.id for node in members),
            outside * times,
            c.scope,
            c.frame,
            last.shape,
            last.dtype,
            result="".join(dict.fromkeys(node.result for node in members if node.result)),
            lines=(" · ".join(filter(None, words)) + each,),
            mark="; ".join(marks),
        )
        return shown._replace(hover=self._hover(shown, None))

    def _is_outside(self, run: int, scope: str) -> bool:
        """Whether a folded run lies around a collapsed scope, and not inside it."""
        frame = self.frame_of_run[run]
        return frame != scope and frame in self._chain(scope)

    # --- words -------------------------------------------------------------------------------------------------------

    def _title(self, frame: str) -> str:
        run = self.run_of.get(frame)
        if run is not None:
            fold = self.folds[run]
            return fold.title if fold.alone else f"{fold.title} …"
        around_it = self.run_of.get(self.parents[frame])
        if around_it is not None and not self.folds[around_it].alone:
            fold = self.folds[around_it]
            if frame == fold.scopes[0]:
                return fold.title
            return base_name(self.scopes[frame].title)[0]
        return self.scopes[frame].title

    def _kind(self, frame: str) -> str:
        return self.scopes[frame].kind if frame in self.scopes else ""

    def _size(self, frame: str) -> int:
        if frame in self.scopes:
            return self.scopes[frame].parameters
        return sum(self.scopes[path].parameters for path in self.scopes if self.parents[path] == frame)

    def _hover(self, shown: ShownNode, node: GraphNode | None) -> tuple[str, ...]:
        parts = [
            " ".join((shown.name, *shown.details)),
            f"{shape_text(shown.shape) or 'one number'} {shown.dtype}" if node is not None else "",
            *shown.lines,
        ]
        if node is not None:
            where = f"in {node.scope}" if node.scope else ""
            parts += [f"{node.line}: {node.source}" if node.source else node.line, where]
        if shown.times > 1:
            parts.append(f"×{shown.times}")
        for chip, whole in zip(shown.chips, node.chips if node is not None else ()):
            shared = f", shared ×{chip.shared}" if chip.shared else ""
            name = whole.name if len(chip.entries) == 1 else chip.name
            parts.append(f"{name} {shape_text(chip.shape)}{shared} {chip.dtype}")
        if node is not None and (self.options.color == "grad" or self.options.histograms):
            parts += _stats_words(node)
        if node is not None and self.options.color == "time" and node.forward_s is not None:
            parts.append(f"forward {seconds_text(node.forward_s)}")
            parts += [f"backward {seconds_text(node.backward_s)}"] if node.backward_s is not None else []
        if node is not None and self.options.color == "memory":
            parts += [f"saves {array.name} {shape_text(array.shape)} {bytes_text(array.bytes)}" for array in node.saved]
        if shown.mark:
            parts.append(shown.mark)
        return tuple(filter(None, parts))

    # --- edges -------------------------------------------------------------------------------------------------------

    def _edges(
        self, classes: list[_Class], of_node: list[int], names: list[str], labels: bool
    ) -> tuple[list[ShownEdge], list[int]]:
        found: dict[Any, list[int]] = {}
        hidden: list[int] = []
        outputs = self._outputs()
        for number, edge in enumerate(self.view.edges):
            source, target = self.numbers[edge.source], self.numbers[edge.target]
            one, other = of_node[source], of_node[target]
            run, offset = self._carried(source, target)
            if classes[one].kind and one == other and (run < 0 or not self._is_outside(run, classes[one].scope)):
                hidden.append(number)
                continue
            # Which argument it is, is told apart for an arrow from one op to one; not where an op reads all replicas.
            plain = not classes[one].kind and not classes[other].kind
            plain = plain and (run >= 0 or self._shares_runs(source, target))
            key = (one, other, run, offset, edge.label, edge.position if plain else -1, outputs[number] if plain else 0)
            found.setdefault(key, []).append(number)
        edges = []
        for (one, other, run, offset, _, _, _), members in found.items():
            first = self.view.edges[members[0]]
            source_kind = self.view.nodes[self.numbers[first.source]].kind
            kind = source_kind if source_kind in ("parameter", "constant") and not classes[one].kind else "data"
            if run >= 0:
                ahead = {1: "next", -1: "previous"}.get(offset, f"{offset:+d}")
                edges.append(
                    ShownEdge(names[one], names[other], "carried", tuple(members), f"{ahead} ×{len(members)}", offset)
                )
                continue
            label = " ".join(
                filter(None, (first.label if labels else "", self._count_text(classes, one, other, members)))
            )
            edges.append(ShownEdge(names[one], names[other], kind, tuple(members), label))
        return edges, hidden

    def _shares_runs(self, source: int, target: int) -> bool:
        return (
            len(self.around[source]) == len(self.around[target]) == len(_same(self.around[source], self.around[target]))
        )

    def _outputs(self) -> list[int]:
        """Return for each edge which output of its source it carries."""
        entries = {node.id: node.entry for node in self.view.nodes}
        return [edge.entry - entries[edge.source] for edge in self.view.edges]

    def _carried(self, source: int, target: int) -> tuple[int, int]:
        """Return the run that an edge leads on in, and to the how many-th next replica; (-1, 0) if it does not."""
        for one, other in zip(self.around[source], self.around[target]):
            if one == other:
                continue
            return (one[0], other[1] - one[1]) if one[0] == other[0] else (-1, 0)
        return -1, 0

    def _count_text(self, classes: list[_Class], one: int, other: int, members: list[int]) -> str:
        """Say how many edges an arrow stands for, where that is not one in each replica, or the obvious one."""
        edge = self.view.edges[members[0]]
        source, target = self.numbers[edge.source], self.numbers[edge.target]
        if classes[one].kind or classes[other].kind:
            base = self._times(_same(self._outer(classes[one]), self._outer(classes[other])))
            return f"(×{len(members) // base})" if len(members) > base else ""
        shared = _same(self.around[source], self.around[target])
        base = self._times(shared)
        if source in self.consumers:  # drawn with what reads it, if only in some of the replicas
            if len(members) == base:
                return ""
            first = len(members) == 1 and not any(replica for _, replica in self.around[target])
            return "first only" if first else f"×{len(members)} of {base}"
        if len(members) != base:
            return f"(×{len(members) // base})" if len(members) % base == 0 else f"(×{len(members)} in all)"
        entered, left = self.around[target][len(shared) :], self.around[source][len(shared) :]
        if any(replica for _, replica in entered):
            return f"to {entered[0][1] + 1} of {len(self.folds[entered[0][0]].nodes)}"
        if any(replica != len(self.folds[run].nodes) - 1 for run, replica in left):
            return f"from {left[0][1] + 1} of {len(self.folds[left[0][0]].nodes)}"
        return ""

    def _outer(self, c: _Class) -> Steps:
        steps = self.around[c.members[0]]
        if c.kind == "part":
            return ()
        return tuple(step for step in steps if not c.kind or self._is_outside(step[0], c.scope))

    # --- frames ------------------------------------------------------------------------------------------------------

    def _frames(self, nodes: list[ShownNode]) -> tuple[Frame, ...]:
        paths = dict.fromkeys(path for node in nodes for path in self._chain(node.frame))
        frames = []
        for path in paths:
            run = self.run_of.get(path)
            times = len(self.folds[run].nodes) if run is not None else 1
            frames.append(Frame(path, self._title(path), self._kind(path), self.parents[path], self._size(path), times))
        return tuple(frames)


def _means(pattern: str, path: str) -> bool:
    generic = generic_path(path)
    names = (path, generic, path.rpartition("/")[2], generic.rpartition("/")[2])
    return pattern in names or fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(generic, pattern)


def _same(one: Steps, other: Steps) -> Steps:
    """Return the runs that both are in the same replica of."""
    count = 0
    while count < min(len(one), len(other)) and one[count] == other[count]:
        count += 1
    return one[:count]


def _common(steps: list[Steps]) -> Steps:
    common = steps[0]
    for other in steps[1:]:
        common = _same(common, other)
    return common


def _joined(names: Iterable[str]) -> str:
    """Return one name for several: the name, if they are equal, else from the first to the last.

    >>> _joined(["W", "W"]), _joined(["W2", "W3", "W10"]), _joined(["0.fc.W", "1.fc.W"]), _joined(["a", "b"])
    ('W', 'W2…10', '0…1.fc.W', 'a…b')
    """
    first, *rest = dict.fromkeys(names)
    if not rest:
        return first
    last = rest[-1]
    start, end = 0, 0
    while start < min(len(first), len(last)) and first[start] == last[start]:
        start += 1
    while start and first[start - 1].isdigit():
        start -= 1
    while end < min(len(first), len(last)) - start and first[-1 - end] == last[-1 - end]:
        end += 1
    while end and first[len(first) - end].isdigit():
        end -= 1
    one, other = first[start : len(first) - end], last[start : len(last) - end]
    if one.isdigit() and other.isdigit():
        return f"{first[:start]}{one}…{other}{first[len(first) - end :]}"
    return f"{first}…{last}"


def _within(name: str, frame: str) -> str:
    """Return a parameter's name without the names of the scopes that it is drawn in.

    >>> _within("fc1.W", "fc1"), _within("blocks.0.attn.W", "blocks.0/attn"), _within("W1", "layers.0")
    ('W', 'W', 'W1')
    """
    scopes = set(re.split(r"[/.]", frame))
    *outer, own = name.split(".")
    return own if own and outer and scopes.issuperset(outer) else name


def _stats_words(node: GraphNode) -> list[str]:
    words = []
    for name, stats in (("value", node.value), ("gradient", node.gradient)):
        if stats is not None:
            words.append(f"{name} {stats_text(stats)}")
    return words


BARS = "▁▂▃▄▅▆▇█"


def stats_text(stats: Stats) -> str:
    """Write statistics on one line, with the histogram as bars."""
    numbers = (("min", stats.min), ("mean", stats.mean), ("max", stats.max), ("rms", stats.rms))
    parts = [f"{name} {number:.3g}" for name, number in numbers if number is not None]
    parts += [f"{count:,} {name}" for name, count in (("NaN", stats.nan), ("infinite", stats.inf)) if count]
    if stats.histogram:
        top = max(stats.histogram) or 1
        parts.append("".join(BARS[-(-count * (len(BARS) - 1) // top)] for count in stats.histogram))
    return ", ".join(parts)
