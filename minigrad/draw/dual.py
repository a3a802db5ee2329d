"""The backward pass beside the forward pass, or alone: each op's rule, what it saves, the gradients that come out."""

from __future__ import annotations

from collections.abc import Iterator

from .palette import KINDS
from .view import Frame, GraphNode, GraphView, Saved, Shown, ShownChip, ShownEdge, ShownNode, Stats
from .words import bytes_text, shape_text

__all__ = ["with_backward"]

RULES = 4
"""So many lines of a rule are shown."""
SOURCE = 60
"""A longer line of source is cut."""


def with_backward(view: GraphView, shown: Shown) -> Shown:
    """Return the picture with the backward pass in it (``view="dual"``), or of it alone (``view="backward"``)."""
    alone = shown.view == "backward"
    by_id = {node.id: node for node in view.nodes}
    gradients = {parameter.entry: parameter.gradient for parameter in view.parameters}
    members = {node.id: [by_id[name] for name in node.members] for node in shown.nodes}
    flowing = {edge: tuple(number for number in edge.members if view.edges[number].flows) for edge in shown.edges}
    reached = {edge.source for edge, numbers in flowing.items() if numbers}
    rules = {node.id: _rule(node, members[node.id], gradients) for node in shown.nodes if _has_rule(members[node.id])}
    results = {
        node.id: _gradient(node, members[node.id])
        for node in shown.nodes
        if node.kind in ("input", "parameter") and node.id in reached
    }
    saved = {node.id: _saved(node, members[node.id]) for node in shown.nodes if node.id in rules}
    backward: list[ShownNode] = []
    edges: list[ShownEdge] = []
    for node in shown.nodes:
        for table in (saved, rules, results) if not alone else (rules, results):
            extra = table.get(node.id)
            if extra is not None:
                backward.append(extra)
    for node in shown.nodes:
        notes = saved.get(node.id)
        if notes is not None and not alone:
            edges.append(ShownEdge(node.id, notes.id, "saved"))
            edges.append(ShownEdge(notes.id, rules[node.id].id, "saved"))
    for edge, numbers in flowing.items():
        taker = rules.get(edge.source) or results.get(edge.source)
        if numbers and taker is not None and edge.target in rules:
            label = edge.label if edge.kind == "carried" else ""
            edges.append(ShownEdge(rules[edge.target].id, taker.id, "backward", numbers, label, edge.offset))
    titles = {frame.path: f"in {frame.title}{f' ×{frame.times}' if frame.times > 1 else ''}" for frame in shown.frames}
    forward = [_with_source(node, members[node.id], titles.get(node.frame, "")) for node in shown.nodes if not alone]
    nodes = (*forward, *backward)
    kinds = {node.kind if node.kind in KINDS else "op" for node in nodes}
    if not alone and any(node.chips for node in forward):
        kinds.add("parameter")
    frames: tuple[Frame, ...] = shown.frames if alone else ()
    parents = {frame.path: frame.parent for frame in frames}
    used = {path for node in backward for path in _around(node.frame, parents)}
    return shown._replace(
        nodes=nodes,
        edges=tuple(edges) if alone else (*shown.edges, *edges),
        frames=tuple(frame for frame in frames if frame.path in used),
        kinds=tuple(kind for kind in KINDS if kind in kinds),
    )


def _around(path: str, parents: dict[str, str]) -> Iterator[str]:
    while path in parents:
        yield path
        path = parents[path]


def _has_rule(members: list[GraphNode]) -> bool:
    return any(node.rule for node in members)


def _with_source(node: ShownNode, members: list[GraphNode], where: str) -> ShownNode:
    """Put the line of source under a forward node, and its frame's name before its own."""
    first = members[0]
    if node.kind in ("input", "parameter", "constant", "scope"):
        return node
    arrow = () if node.result else (f"→ {shape_text(node.shape) or 'one number'}",)
    source = f"{first.line}  {first.source}" if first.source else first.line
    source = source if len(source) <= SOURCE else f"{source[: SOURCE - 1]}…"
    return node._replace(details=(*node.details, *arrow), lines=tuple(filter(None, (where, source))))


def _rule(node: ShownNode, members: list[GraphNode], gradients: dict[int, Stats | None]) -> ShownNode:
    sizes = [part.gradient for part in members if part.gradient is not None and part.rule]
    arriving = members[-1].gradient if node.kind == "scope" else sizes[0] if sizes else None
    lines = [f"g: {shape_text(node.shape) or 'one number'}{_size_text(arriving)}"] if node.kind != "scope" else []
    if node.kind == "scope":
        count = sum(bool(part.rule) for part in members)
        lines.append(f"backward of {count:,} {'op' if count == 1 else 'ops'}")
    else:
        rule = next(part.rule for part in members if part.rule)
        lines += rule[:RULES] + (("…",) if len(rule) > RULES else ())
    chips = tuple(
        ShownChip(f"d{chip.name}", chip.shape, chip.dtype, chip.entries, chip.shared, chip.again, chip.heat)
        for chip in node.chips
        if any(gradients.get(entry) is not None for entry in chip.entries)
    )
    heat = {color: value for color, value in node.heat.items() if color == "grad"}
    hover = (f"backward of {node.name}", *lines)
    return ShownNode(
        f"b{node.id}", "backward", node.name, ("vjp",), node.members, node.times, node.scope, node.frame, node.shape,
        node.dtype, chips, "", tuple(lines), hover, node.mark, heat,
    )  # fmt: skip


def _gradient(node: ShownNode, members: list[GraphNode]) -> ShownNode:
    text = f"{shape_text(node.shape) or 'one number'}{_size_text(members[0].gradient)}"
    return ShownNode(
        f"d{node.id}", "gradient", f"d{node.name}", (), node.members, node.times, "", node.frame, node.shape,
        node.dtype, (), "", (text,), (f"gradient of {node.name}", text), "", dict(node.heat),
    )  # fmt: skip


def _saved(node: ShownNode, members: list[GraphNode]) -> ShownNode | None:
    """Return the note of what a node saves: its arrays, or of a collapsed scope how much they are together."""
    if node.kind == "scope":
        arrays: list[Saved] = [array for part in members for array in part.saved]
        total = sum(array.counted for array in arrays)
        lines: tuple[str, ...] = (f"{len(arrays):,} arrays  {bytes_text(total)}",) if arrays else ()
    else:
        lines = tuple(
            f"{array.name}  {shape_text(array.shape) or 'one number'}  {bytes_text(array.bytes)}"
            for array in members[0].saved
        )
    if not lines:
        return None
    return ShownNode(
        f"k{node.id}", "saved", "saved", (), node.members, node.times, "", node.frame, (), "", (), "", lines,
        (f"saved by {node.name}", *lines),
    )  # fmt: skip


def _size_text(stats: Stats | None) -> str:
    if stats is None:
        return ""
    if stats.nan or stats.inf:
        return "  NaN" if stats.nan else "  infinite"
    return f"  rms {stats.rms:.2g}" if stats.rms is not None else ""
