"""Heat maps: what was measured of each shown node, as a colour with its value."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .palette import NONFINITE, ink_on, on_scale
from .view import GraphNode, GraphView, Heat, Legend, ShownChip, ShownNode, Stats
from .words import bytes_text, seconds_text

__all__ = ["heats"]

DECADES = 3
"""A gradient is coloured by how far it is from the median, up to so many powers of ten each way."""
LEAST, MOST = 5e-324, sys.float_info.max
"""Of the positive floats: what a scale around a median reaches at most."""
STEPS = 11
"""Colours in a legend."""

Heats = dict[str, Heat]


class Scale(NamedTuple):
    """The values at the ends of the colours, with a logarithmic scale between them."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Return where a value is, from 0 at the low end to 1 at the high one, and beyond."""
        if value <= 0:
            return 0.0
        low, high, here = (math.log10(size) for size in (*self, value))
        return (here - low) / (high - low)


def heats(
    view: GraphView, nodes: list[ShownNode], scales: Mapping[str, tuple[float, float]] | None = None
) -> tuple[list[ShownNode], dict[str, Legend]]:
    """Return the nodes with their heat in every colouring that was measured, and the legends.

    A colouring that is not in `scales` has a scale made for the values that are there.
    """
    fixed = {color: Scale(*ends) for color, ends in (scales or {}).items()}
    by_id = {node.id: node for node in view.nodes}
    parameters = {parameter.entry: parameter.gradient for parameter in view.parameters}
    legends: dict[str, Legend] = {}
    found: list[Heats] = [{} for _ in nodes]

    members = [[by_id[name] for name in node.members] for node in nodes]
    gradients = [_gradient(part.gradient for part in group if part.kind != "parameter") for group in members]
    for number, node in enumerate(nodes):
        if node.kind == "parameter":
            gradients[number] = _gradient(part.gradient for part in members[number])
    chips = [[_gradient(parameters.get(entry) for entry in chip.entries) for chip in node.chips] for node in nodes]
    sizes = [size for size in (*gradients, *(size for row in chips for size in row)) if size is not None]
    positive = [size for size in sizes if 0 < size < math.inf]
    if sizes:
        middle = statistics.median(positive) if positive else 1.0
        around = Scale(max(middle / 10**DECADES, LEAST), min(middle * 10**DECADES, MOST))
        scale = fixed.get("grad", around)
        against = "" if "grad" in fixed else " against the median"
        legends["grad"] = _legend(
            "grad",
            f"gradient RMS{against} (log): blue = vanishing, orange = exploding",
            f"{scale.low:.1e}",
            f"{scale.high:.1e}",
        )
        for number, size in enumerate(gradients):
            if size is not None:
                found[number]["grad"] = _gradient_heat(size, scale)
        nodes = [
            node._replace(chips=tuple(_hot_chip(chip, size, scale) for chip, size in zip(node.chips, row)))
            for node, row in zip(nodes, chips)
        ]
    seconds = [_sum(_seconds(part) for part in group) for group in members]
    memory: list[float | None] = [
        float(sum(array.counted for part in group for array in part.saved))
        if any(_is_op(part) for part in group)
        else None
        for group in members
    ]
    whole = sum(filter(None, seconds))
    for color, title, values, write in (
        (
            "time",
            "forward + backward time (log)",
            seconds,
            lambda value: f"{seconds_text(value)} · {value / whole:.0%}",
        ),
        ("memory", "memory saved for backward (log)", memory, bytes_text),
    ):
        known = [value for value in values if value is not None and value > 0]
        if not known:
            continue
        high = max(known)
        span = max(math.log10(high / min(known)), 1.0)  # of nearly equal values, none is hot
        scale = fixed.get(color, Scale(high / 10**span, high))
        for number, value in enumerate(values):
            if value is not None:
                fill = on_scale(color, scale.place(value))
                found[number][color] = Heat(value, write(value), fill, ink_on(fill))
        text = seconds_text if color == "time" else bytes_text
        legends[color] = _legend(color, title, text(scale.low), text(scale.high))
    return [node._replace(heat=heat) for node, heat in zip(nodes, found)], legends


def _legend(color: str, title: str, low: str, high: str) -> Legend:
    return Legend(title, tuple(on_scale(color, step / (STEPS - 1)) for step in range(STEPS)), low, high)


def _is_op(node: GraphNode) -> bool:
    return node.kind not in ("input", "parameter", "constant")


def _seconds(node: GraphNode) -> float | None:
    if node.forward_s is None and node.backward_s is None:
        return None
    return (node.forward_s or 0.0) + (node.backward_s or 0.0)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _gradient(stats: Iterable[Stats | None]) -> float | None:
    """Return the RMS over several arrays: NaN or infinity where one holds such, None where nothing was measured."""
    known = [part for part in stats if part is not None]
    if not known:
        return None
    if any(part.nan for part in known):
        return math.nan
    if any(part.inf for part in known):
        return math.inf
    count = sum(part.size for part in known)
    largest = max((part.rms or 0.0 for part in known), default=0.0)
    if not count or not largest:
        return 0.0
    return largest * math.sqrt(sum(part.size * ((part.rms or 0.0) / largest) ** 2 for part in known) / count)


def _gradient_heat(size: float, scale: Scale) -> Heat:
    if not math.isfinite(size):
        return Heat(None, "NaN" if math.isnan(size) else "infinite", NONFINITE, ink_on(NONFINITE))
    fill = on_scale("grad", scale.place(size))
    return Heat(size, f"{size:.1e}" if size else "0", fill, ink_on(fill))


def _hot_chip(chip: ShownChip, size: float | None, scale: Scale) -> ShownChip:
    return chip if size is None else chip._replace(heat=_gradient_heat(size, scale))
