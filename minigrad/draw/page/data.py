"""What the page knows of a graph view: the graph as fine as it can be shown, and what is inside of each frame.

The page opens and closes frames by itself, so it is given the picture in which none is closed, and a list of those that
are closed in the beginning. Where scopes are folded it is given the unfolded graph too, if that is not too large.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..dual import with_backward
from ..palette import INK, KINDS, MARK, NONFINITE, SCALES
from ..show import EDGE_LABELS, Options, show
from ..view import Frame, GraphNode, GraphView, Shown, ShownChip, ShownEdge, ShownNode, Stats
from ..words import bytes_text, dtype_text, shape_text

__all__ = ["page_data"]

MOST_NODES = 1500
"""A page with more nodes would be slow."""
MOST_UNFOLDED = 200
"""So many nodes the unfolded graph may have to be in the page too."""
LANES = {"parameter": -1, "constant": -1, "saved": 1, "backward": 2, "gradient": 2}
"""In the dual view, what stands left and right of the forward pass."""
EDGES = ("data", "parameter", "constant", "carried", "backward", "saved")


def page_data(view: GraphView) -> dict[str, Any]:
    """Return what the page of a view is made from, as dicts, lists, strings and numbers."""
    shown = view.shown
    if shown is None:
        raise ValueError("this view says nothing about a picture; see minigrad.draw.show.show")
    shapes = _has_shapes(view, shown)
    finest = _finest(view, shown, shapes)
    graphs = [_Graph(view, finest, shown, shapes).data("folded")]
    start = 0
    if finest.frames and view.folds:
        unfolded = _finest(view._replace(folds=()), shown, shapes)
        if len(unfolded.nodes) <= MOST_UNFOLDED:
            graphs.append(_Graph(view._replace(folds=()), unfolded, shown, shapes).data("unfolded"))
            # A replica that was asked for by its own name unfolds the picture.
            start = int(not any(node.times > 1 for node in shown.nodes))
    used = {node["of"] for graph in graphs for node in graph["nodes"]}
    chips = {chip["entry"] for graph in graphs for node in graph["nodes"] for chip in node.get("chips", ())}
    abouts: dict[str, int] = {}
    found: list[dict[str, Any]] = []
    whole = {node.id: _whole(node, view, abouts, found) for node in view.nodes if node.id in used}
    return {
        "title": view.title,
        "view": shown.view,
        "color": shown.color if shown.color in shown.legends else "kind",
        "scale": shown.scale,
        "direction": shown.direction,
        "theme": shown.theme,
        "messages": [text for text in shown.messages if "->" not in text and "shapes on edges" not in text],
        "notes": list(view.notes),
        "start": start,
        "graphs": graphs,
        "whole": whole,
        "abouts": found,
        "parameters": {
            parameter.entry: _without_nothing(
                name=parameter.name,
                shape=_shape(parameter.shape, parameter.dtype, view),
                value=_stats(parameter.value),
                gradient=_stats(parameter.gradient),
            )
            for parameter in view.parameters
            if parameter.entry in chips
        },
        "edges": list(EDGES),
        "kinds": {
            kind: {
                "legend": look.legend,
                "shape": look.shape,
                "style": look.style,
                "fill": look.fill,
                "border": look.border,
                "width": look.width,
                "size": look.size,
            }
            for kind, look in KINDS.items()
        },
        "ink": INK,
        "mark": MARK,
        "nonfinite": NONFINITE,
        "scales": {color: SCALES[color] for color in finest.legends},
        "colors": {color: legend.title for color, legend in finest.legends.items()},
    }


def _has_shapes(view: GraphView, shown: Shown) -> bool:
    """Whether edges have shapes: not with ``shapes=False``; a picture without them may just be too large."""
    edges = [(edge.label, view.edges[edge.members[0]].label) for edge in shown.edges if edge.members]
    return len(shown.nodes) > EDGE_LABELS or any(shape and label.startswith(shape) for label, shape in edges)


def _finest(view: GraphView, shown: Shown, shapes: bool) -> Shown:
    """Return the picture of a view with nothing collapsed."""
    if shown.view == "dual":  # it has no frames, and nothing to open
        return shown
    options = Options(
        shown.view,
        "kind",
        shown.params,
        shapes=shapes,
        direction=shown.direction,
        max_nodes=MOST_NODES,
        theme=shown.theme,
    )
    finest = show(view, options)
    return with_backward(view, finest) if shown.view == "backward" else finest


class _Graph:
    """One graph of the page."""

    def __init__(self, view: GraphView, finest: Shown, shown: Shown, shapes: bool) -> None:
        self.view = view
        self.finest = finest
        self.shown = shown
        self.frames = {frame.path: number for number, frame in enumerate(finest.frames)}
        self.chains = self._chains()
        self.nodes = {node.id: node for node in finest.nodes}
        self.whole = {node.id: node for node in view.nodes}
        self.replicas = [
            {name: (number, place) for number, names in enumerate(fold.nodes) for place, name in enumerate(names)}
            for fold in view.folds
        ]
        self.shapes = shapes

    def data(self, name: str) -> dict[str, Any]:
        """Return the graph as plain data."""
        numbers = {node.id: number for number, node in enumerate(self.finest.nodes)}
        return {
            "name": name,
            "nodes": [self._node(node) for node in self.finest.nodes],
            "edges": [self._edge(edge, numbers) for edge in self.finest.edges],
            "frames": [self._frame(frame) for frame in self.finest.frames],
            "closed": self._closed(),
        }

    def _chains(self) -> dict[str, list[str]]:
        chains: dict[str, list[str]] = {"": []}
        for frame in self.finest.frames:
            chains[frame.path] = [*chains.get(frame.parent, []), frame.path]
        return chains

    def _closed(self) -> list[int]:
        """Return the frames that are closed in the beginning: those collapsed in the picture, and all inside."""
        closed = {node.scope for node in self.shown.nodes if node.kind == "scope"}
        return [self.frames[path] for path, chain in self.chains.items() if not closed.isdisjoint(chain)]

    def _node(self, node: ShownNode) -> dict[str, Any]:
        heat = {color: heat.text if heat.value is None else _short(heat.value) for color, heat in node.heat.items()}
        gradients = [self.whole[name].gradient for name in node.members]
        base = node.id[1:] if node.kind in ("backward", "saved") else node.id
        dual = self.shown.view == "dual"
        return _without_nothing(
            id=node.id,
            of=node.members[0],
            kind=node.kind,
            name=node.name,
            details=list(node.details),
            lines=list(node.lines),
            result=node.result,
            mark=node.mark,
            shape=_shape(node.shape, node.dtype, self.view),
            times=node.times if node.times > 1 else None,
            frame=self.frames.get(node.frame),
            chips=[self._chip(chip) for chip in node.chips] if self.shown.params != "hide" else [],
            heat=heat,
            count=sum(stats.size for stats in gradients if stats is not None) or None,
            lane=LANES.get(node.kind, 0) if dual else None,
            row=base if dual and node.kind not in ("parameter", "constant", "gradient") else None,
        )

    def _chip(self, chip: ShownChip) -> dict[str, Any]:
        words = _shape(chip.shape, chip.dtype, self.view)
        if chip.shared:
            words = f"{words}, shared ×{chip.shared}".removeprefix(", ")
        heat = None
        if chip.heat is not None:
            heat = chip.heat.text if chip.heat.value is None else _short(chip.heat.value)
        return _without_nothing(
            name=chip.name,
            words=words,
            entry=chip.entries[0],
            shared=chip.shared or None,
            again=chip.again or None,
            grad=heat,
        )

    def _edge(self, edge: ShownEdge, numbers: dict[str, int]) -> list[Any]:
        label = edge.label
        if not label and self.shapes and edge.members and edge.kind in ("data", "parameter", "constant"):
            label = self.view.edges[edge.members[0]].label  # left out only because there are many
        return [
            numbers[edge.source],
            numbers[edge.target],
            EDGES.index(edge.kind),
            label,
            len(edge.members),
            int(any(self.view.edges[number].flows for number in edge.members)),
            self._run(edge),
            int(edge.offset != 0),  # to another replica: against the direction of the layout
        ]

    def _run(self, edge: ShownEdge) -> int:
        """Return the frame of the run in which a carried edge goes from one replica to another; else -1."""
        if not edge.offset or not edge.members:
            return -1
        one, other = (self.chains.get(self.nodes[name].frame, []) for name in (edge.source, edge.target))
        common = [path for path, same in zip(one, other) if path == same]
        runs = [path for path in common if self.finest.frames[self.frames[path]].times > 1]
        if not runs:
            return -1
        first = self.view.edges[edge.members[0]]
        source, target = first.source, first.target
        inside = 0
        for fold, places in zip(self.view.folds, self.replicas):
            if source not in places or target not in places or inside >= len(runs):
                continue
            (replica, place), (other_replica, other_place) = places[source], places[target]
            if replica != other_replica:
                return self.frames[runs[inside]]
            # Folds inside a replica are listed for the first one.
            source, target, inside = fold.nodes[0][place], fold.nodes[0][other_place], inside + 1
        return self.frames[runs[-1]]

    def _frame(self, frame: Frame) -> dict[str, Any]:
        inside = [node for node in self.finest.nodes if frame.path in self.chains.get(node.frame, ())]
        around = math.prod(self.finest.frames[self.frames[path]].times for path in self.chains[frame.path])
        ops = saved = 0
        for node in inside:
            for name in node.members:
                part = self.whole[name]
                ops += part.kind not in ("input", "parameter", "constant") and node.kind != "gradient"
                saved += sum(array.counted for array in part.saved)
        count, saved = ops // around, saved // around
        each = " each" if frame.times > 1 else ""
        size = f"{frame.parameters:,} {'param' if frame.parameters == 1 else 'params'}" if frame.parameters else ""
        word = "rule" if self.shown.view == "backward" else "op"
        words = [f"{count:,} {word if count == 1 else f'{word}s'}", size, f"saves {bytes_text(saved)}" if saved else ""]
        return {
            "path": frame.path,
            "title": frame.title,
            "kind": frame.kind,
            "parent": self.frames.get(frame.parent, -1),
            "times": frame.times,
            "size": f"· {size}{each}" if size else "",
            "words": " · ".join(filter(None, words)) + each,
        }


def _whole(node: GraphNode, view: GraphView, abouts: dict[str, int], found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the panel says of one node; what many have in common is said once, in `found`."""
    about = _without_nothing(
        op=node.op,
        scope=node.scope,
        line=node.line,
        source=node.source,
        dtype=node.dtype,
        rule=list(node.rule),
        saved=[[array.name, _shape(array.shape, array.dtype, view), array.bytes] for array in node.saved],
    )
    number = abouts.setdefault(repr(about), len(found))
    if number == len(found):
        found.append(about)
    return {
        "about": number,
        **_without_nothing(
            value=_stats(node.value),
            gradient=_stats(node.gradient),
            forward=_short(node.forward_s),
            backward=_short(node.backward_s),
        ),
    }


def _shape(shape: tuple[int, ...], dtype: str, view: GraphView) -> str:
    return " ".join(filter(None, (shape_text(shape), dtype_text(dtype, view.dtype))))


def _stats(stats: Stats | None) -> list[Any] | None:
    """Return statistics as a list, without what is nothing at its end."""
    if stats is None:
        return None
    numbers: Iterable[Any] = (_short(number) for number in (stats.min, stats.max, stats.mean, stats.rms))
    row = [stats.size, *numbers, stats.nan, stats.inf, stats.zero, list(stats.histogram) or 0, stats.whole or 0]
    while row and not row[-1]:
        row.pop()
    return row


def _short(number: float | None) -> float | None:
    """Keep five digits: nobody reads more of a page."""
    return None if number is None else float(f"{number:.5g}")


def _without_nothing(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value not in ("", [], {})}
