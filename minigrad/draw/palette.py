"""The visual language: for each kind of node its shape and colours; the themes; the scales of heat maps.

Shape carries the meaning and colour repeats it, so a picture can be read in black and white. The fills were measured:
ink on any of them has a contrast of at least 8:1, and they stay apart for colour-blind readers.

To add a kind, add a row to :data:`KINDS`. A primitive declared with that ``kind=`` is drawn with it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "FONT",
    "INK",
    "KINDS",
    "MARK",
    "NONFINITE",
    "SCALES",
    "THEMES",
    "Look",
    "Theme",
    "contrast",
    "ink_on",
    "look_of",
    "on_scale",
]

INK = "#1B1F24"
"""Text inside nodes."""
FONT = "Helvetica,Arial,sans-serif"
"""Not monospaced: Graphviz measures those too narrow, and text would run out of its box."""
MARK = "#CF0A2C"
"""The border of a marked node."""
NONFINITE = "#80FF00"
"""In heat maps, what is NaN or infinite: a colour that is on none of the scales."""
UNMEASURED = "#FFFFFF"
"""In heat maps, what has no value."""


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
    "loss": Look("loss", "octagon", "filled", "#F4A582", "#A63603", width=2.6),
    "scope": Look("collapsed scope", "box3d", "filled", "#AFC1D3", "#2F4B66", width=1.6),
    "saved": Look("saved for backward", "note", "filled", "#F3C6DE", "#A8477F", size=10),
    "backward": Look("backward rule", "box", "rounded,filled", "#FFF3EA", "#D55E00"),
    "gradient": Look("gradient", "cylinder", "filled", "#FFF3EA", "#D55E00"),
}
"""Every kind of node, in the order of the legend."""


def look_of(kind: str) -> Look:
    """Return the look of a kind; a kind that is not in the table looks like an op.

    >>> look_of("loss").shape, look_of("something new").shape
    ('octagon', 'box')
    """
    return KINDS.get(kind, KINDS["op"])


# --- themes ---------------------------------------------------------------------------------------------------------


class Theme(NamedTuple):
    """The colours of what lies on the ground itself: text, arrows and frames.

    Attributes
    ----------
    ground : str
        Behind the picture: a colour, or ``"transparent"``.
    title, edge, frame, frame_fill, frame_text, fold, carry, parameter, backward, saved : str
        Title and messages; arrows and shapes; a frame's border, fill and text; the border of a folded frame; arrows
        from one replica to the next, from parameters, of the backward pass, and from saved arrays.
    """

    ground: str
    title: str
    edge: str
    frame: str
    frame_fill: str
    frame_text: str
    fold: str
    carry: str
    parameter: str
    backward: str
    saved: str


THEMES: dict[str, Theme] = {
    "auto": Theme(
        # Each is in the middle, so that it can be read on white and on #111 alike; an SVG also holds the colours of the
        # dark theme, for viewers that ask for it.
        "transparent", "#6E7781", "#767676", "#8C959F", "#80868B10", "#4C7CAB", "#4C7CAB", "#0A7DC2", "#A87100",
        "#D55E00", "#B65690",
    ),
    "light": Theme(
        "#FFFFFF", "#1B1F24", "#6A6A6A", "#9AA5B1", "#F3F5F8", "#2F5C8A", "#2F5C8A", "#0072B2", "#9A6700",
        "#C25500", "#A8477F",
    ),
    "dark": Theme(
        "#111111", "#E6EDF3", "#9EA7B3", "#6E7B8A", "#FFFFFF0C", "#9CC3E6", "#7FAEDB", "#5AB4EE", "#D9A441",
        "#FF8A3D", "#E48BBF",
    ),
}  # fmt: skip
"""By name. What lies on the ground has a contrast of at least 4.5 on its own ground, frames and arrows at least 3."""


# --- heat maps ------------------------------------------------------------------------------------------------------

SCALES: dict[str, tuple[str, ...]] = {
    "grad": ("#004C7F", "#2E7FB8", "#8FC1E3", "#F7F7F7", "#F2B98B", "#CF7A2C", "#8A3D00"),
    "time": ("#FFF7EC", "#FDD9A5", "#FC9D62", "#E0482F", "#B30000"),
    "memory": ("#FCFBFD", "#DADAEB", "#A7A2CF", "#7660AE", "#54278F"),
}
"""Colours from the low end to the high one. That of gradients diverges from its middle, the median."""


def on_scale(color: str, place: float) -> str:
    """Return the colour at a place between 0 (low) and 1 (high) of a scale; ends hold beyond them.

    >>> on_scale("time", 0.0), on_scale("time", 2.0), on_scale("grad", 0.5)
    ('#FFF7EC', '#B30000', '#F7F7F7')
    """
    stops = SCALES[color]
    place = min(max(place, 0.0), 1.0) * (len(stops) - 1)
    low = min(int(place), len(stops) - 2)
    pairs = zip(_channels(stops[low]), _channels(stops[low + 1]))
    return "#" + "".join(f"{round(a + (b - a) * (place - low)):02X}" for a, b in pairs)


def ink_on(fill: str) -> str:
    """Return black or white, whichever is easier to read on a colour: at least 4.5:1 on any."""
    return max(("#000000", "#FFFFFF"), key=lambda ink: contrast(ink, fill))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21 (WCAG 2.1, "contrast ratio").

    >>> contrast("#000000", "#FFFFFF")
    21.0
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _channels(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def _luminance(color: str) -> float:
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(color))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
