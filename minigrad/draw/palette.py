"""The visual language: for each kind of node its shape and colours.

Shape carries the meaning and colour repeats it, so a picture can be read in black and white. The fills were measured:
ink on any of them has a contrast of at least 8:1, and they stay apart for colour-blind readers.

To add a kind, add a row to :data:`KINDS`. A primitive declared with that ``kind=`` is drawn with it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EDGE", "FONT", "FRAME", "INK", "KINDS", "Look", "TITLE", "look_of"]

INK = "#1B1F24"
"""Text inside nodes."""
EDGE = "#767676"
"""Arrows and shapes: at least 4:1 on white, on #1E1E1E and on #111 alike, as an SVG has no ground of its own."""
TITLE = "#66707A"
"""The drawing's title and notes."""
FONT = "Helvetica,Arial,sans-serif"
"""Not monospaced: Graphviz measures those too narrow, and text would run out of its box."""


class Look(NamedTuple):
    """How one kind of node is drawn.

    Attributes
    ----------
    legend : str
        Its name in the legend.
    shape, style : str
        Graphviz's names.
    fill, border, text : str
        Colours, ``#RRGGBB``.
    width : float
        Of the border, in points.
    size : int
        Of the text, in points.
    """

    legend: str
    shape: str
    style: str
    fill: str
    border: str
    width: float = 1.2
    size: int = 12
    text: str = INK


KINDS: dict[str, Look] = {
    "input": Look("input", "ellipse", "filled", "#CFE5F7", "#0072B2", width=1.6),
    "parameter": Look("parameter", "cylinder", "filled", "#FFDC8F", "#9A6700"),
    "constant": Look("constant", "box", "dashed,filled", "#E8E8E8", "#80868B", size=10),
    "op": Look("op", "box", "rounded,filled", "#FFFFFF", "#57606A"),
    "activation": Look("activation", "box", "rounded,filled", "#B5E6D3", "#007A5A"),
    "normalisation": Look("normalisation", "box", "rounded,filled", "#C9B3E0", "#6A3D9A"),
    "view": Look("view (no arithmetic)", "box", "rounded,dotted,filled", "#E8E8E8", "#80868B", size=10),
    "backward": Look("backward", "box", "rounded,filled", "#FFF3EA", "#D55E00"),
    "loss": Look("loss", "octagon", "filled", "#F4A582", "#A63603", width=2.6),
}
"""Every kind of node, in the order of the legend."""

FRAME = Look("scope", "box", "rounded,filled", "#80868B10", "#9AA5B1", width=1.0, size=11, text="#4A739D")
"""Around the nodes of a scope. The fill is nearly transparent, so that it suits a light and a dark ground."""


def look_of(kind: str) -> Look:
    """Return the look of a kind; a kind that is not in the table looks like an op.

    >>> look_of("loss").shape, look_of("something new").shape
    ('octagon', 'box')
    """
    return KINDS.get(kind, KINDS["op"])
