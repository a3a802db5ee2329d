"""The graph view: what pictures of a tape are made from, as plain data.

A tape lists everything that happened. Its graph view is what a reader should see of that: parameters as chips inside
the op that reads them, numbers inside the op's label, the outputs of an op as edges from it, scopes as a tree. Nothing
is lost on the way: every node, chip and number keeps the entry of the tape that it stands for, and every edge the
argument that it feeds, so the tape's edges can be read back from the view.

A view has two parts. ``nodes``, ``edges``, ``scopes`` and ``folds`` are the whole computation, unfolded. ``shown`` is
what one picture shows of it: repeated scopes drawn once, others collapsed to a box. Each of its nodes and edges names
its members, the nodes and edges of the whole that it stands for.

The view holds numbers and text only. It keeps no array, Tensor or tape alive, and the same program gives the same view
in every process, measured times apart. ``docs/graph-view.md`` describes its JSON.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = [
    "Chip",
    "Fold",
    "Frame",
    "GraphEdge",
    "GraphNode",
    "GraphView",
    "Heat",
    "Inlined",
    "Legend",
    "Parameter",
    "Result",
    "Saved",
    "Scope",
    "Shown",
    "ShownChip",
    "ShownEdge",
    "ShownNode",
    "Stats",
]

FORMAT = "minigrad graph view"
VERSION = 1
"""Of the JSON. It changes when a field changes its meaning or goes; new fields may come at any time."""


# --- the whole computation ------------------------------------------------------------------------------------------


class Stats(NamedTuple):
    """What is known of an array's numbers.

    Attributes
    ----------
    size : int
        How many elements it has.
    min, max, mean, rms : float or None
        Of the finite elements (their magnitudes, where they are complex); None when there are none.
    nan, inf, zero : int
        How many elements are NaN, infinite, exactly zero.
    histogram : tuple of int
        How many of the finite elements fall into each of 16 equal bins from min to max. Of a large array, evenly
        spaced elements are counted. Empty unless asked for.
    whole : str
        The array itself as text, when it has a few elements only.
    """

    size: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    rms: float | None = None
    nan: int = 0
    inf: int = 0
    zero: int = 0
    histogram: tuple[int, ...] = ()
    whole: str = ""


class Saved(NamedTuple):
    """An array that an op keeps for its backward rule.

    Attributes
    ----------
    name : str
        As the rule names it: an argument of the op, or ``out``.
    shape : tuple of int
    dtype : str
    bytes : int
        What it occupies.
    counted : int
        What it adds to the memory of the whole: 0 for inputs and parameters, which the caller holds anyway, and for an
        array that an earlier op keeps already, also as a view.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    counted: int


class Parameter(NamedTuple):
    """A parameter; chips refer to it by its entry.

    Attributes
    ----------
    entry : int
    name, dtype : str
    shape : tuple of int
    scope : str
        The innermost scope around all ops that read it.
    value, gradient : Stats or None
    """

    entry: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scope: str = ""
    value: Stats | None = None
    gradient: Stats | None = None


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
    """One op, input, parameter or constant.

    Attributes
    ----------
    id : str
        Unique in the view, and the same in every process.
    entry : int
        The entry of the tape that it stands for.
    kind : str
        A row of :data:`minigrad.draw.palette.KINDS`.
    name : str
        The op or the input, as a picture calls it.
    shape : tuple of int
    dtype : str
    op : str
        The name of the primitive; empty for what no op made.
    details : tuple of str
        What the label says beside the name: numbers and static parameters, such as ``"axis 1"``.
    scope, frame : str
        The scope that was running, and the path of the entry of :attr:`GraphView.scopes` that it belongs to. They
        differ where a scope was entered several times, and where a function that was running serves as one.
    line, source : str
        ``"file.py:12"`` of the user's code and what stands there, or empty strings.
    chips : tuple of Chip
    inlined : tuple of Inlined
    result : str
        For what was computed in the end: ``"= 2.3026"`` or ``"→ 50×10"``; else an empty string.
    rule : tuple of str
        Its backward rule in words, a line per argument; empty where no derivative flows.
    saved : tuple of Saved
    value, gradient : Stats or None
        Of its result, and of the cotangent that arrives at it. None where that was not measured.
    forward_s, backward_s : float or None
        Seconds that its forward function and its rule took. None where that was not measured.
    mark : str
        A remark on this node, drawn conspicuously.
    """

    id: str
    entry: int
    kind: str
    name: str
    shape: tuple[int, ...]
    dtype: str
    op: str = ""
    details: tuple[str, ...] = ()
    scope: str = ""
    frame: str = ""
    line: str = ""
    source: str = ""
    chips: tuple[Chip, ...] = ()
    inlined: tuple[Inlined, ...] = ()
    result: str = ""
    rule: tuple[str, ...] = ()
    saved: tuple[Saved, ...] = ()
    value: Stats | None = None
    gradient: Stats | None = None
    forward_s: float | None = None
    backward_s: float | None = None
    mark: str = ""


class GraphEdge(NamedTuple):
    """The value of an entry goes into an argument of an op.

    Attributes
    ----------
    source, target : str
        Ids of nodes.
    entry, position : int
        The entry that is read (of an op with several outputs, that output), and which argument it is.
    label : str
        The shape, unless the source shows it itself; the dtype where it is not the usual one of this computation.
    flows : bool
        Whether a derivative flows back along it.
    """

    source: str
    target: str
    entry: int
    position: int
    label: str = ""
    flows: bool = False


class Scope(NamedTuple):
    """A scope, with all that is inside.

    Attributes
    ----------
    path : str
        Unique. Of a scope that was entered several times, ``"step#1"``, ``"step#2"``.
    title, kind : str
        ``"fc1"`` of the path ``"block/fc1"``, and what it is, such as the class of a layer (may be empty).
    parent : str
        The path of the scope around it; an empty string at the top.
    parameters, ops : int
        How many numbers the parameters inside hold, and how many ops are inside.
    """

    path: str
    title: str
    kind: str
    parent: str
    parameters: int
    ops: int


class Fold(NamedTuple):
    """A run of structurally equal siblings that is drawn once, as ×N.

    Attributes
    ----------
    title : str
        What the frame is called: ``"blocks"``, or ``"layers.1–3"`` where others of that name stay apart.
    parent : str
        The path of the scope around the run.
    scopes : tuple of str
        The path of the scope that each replica is, or begins with.
    alone : bool
        Whether a replica is its scope, with no ops beside it.
    nodes, edges : tuple of tuples
        For each replica the ids of its ops, and the numbers of the edges between them, all in corresponding order.
    """

    title: str
    parent: str
    scopes: tuple[str, ...]
    alone: bool
    nodes: tuple[tuple[str, ...], ...]
    edges: tuple[tuple[int, ...], ...]


# --- what a picture shows of it -------------------------------------------------------------------------------------


class Heat(NamedTuple):
    """A measured value, and how a heat map shows it.

    Attributes
    ----------
    value : float or None
        In the unit of the colouring: RMS, seconds, bytes. None where it is NaN or infinite.
    text : str
    fill, ink : str
        Colours of the box and of the text in it.
    """

    value: float | None
    text: str
    fill: str
    ink: str


class ShownChip(NamedTuple):
    """A parameter inside a shown node.

    Attributes
    ----------
    name, dtype : str
        The name without that of the scope around it; of a folded node those of all replicas, as ``"W2…4"``.
    shape : tuple of int
    entries : tuple of int
        The parameters, each once.
    shared : int
    again : bool
        As in :class:`Chip`.
    heat : Heat or None
        The size of its gradient.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    entries: tuple[int, ...]
    shared: int = 0
    again: bool = False
    heat: Heat | None = None


class ShownNode(NamedTuple):
    """An ellipse, cylinder or box of the picture.

    Attributes
    ----------
    id : str
        That of its first member; of a collapsed scope ``"s<number>"``; of what only the backward pass has, that of its
        forward node with ``"b"``, ``"k"`` or ``"d"`` before it (rule, saved arrays, gradient).
    kind : str
        A row of :data:`minigrad.draw.palette.KINDS`; ``"scope"`` for a collapsed one.
    name : str
    details : tuple of str
    members : tuple of str
        Ids of the nodes that it stands for, in the order of the tape.
    times : int
        In how many replicas of a folded run it stands; 1 outside all runs.
    scope, frame : str
        For a collapsed scope its path, and the frame that it is drawn in.
    shape : tuple of int
    dtype : str
    chips : tuple of ShownChip
    result : str
    lines : tuple of str
        Small lines under the name.
    hover : tuple of str
        What a tooltip says.
    mark : str
        A remark, or what is not finite.
    heat : dict
        For each of the colourings ``"grad"``, ``"time"``, ``"memory"`` that was measured for it, its Heat.
    """

    id: str
    kind: str
    name: str
    details: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    times: int = 1
    scope: str = ""
    frame: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    chips: tuple[ShownChip, ...] = ()
    result: str = ""
    lines: tuple[str, ...] = ()
    hover: tuple[str, ...] = ()
    mark: str = ""
    heat: dict[str, Heat] = {}  # never written to


class ShownEdge(NamedTuple):
    """An arrow of the picture.

    Attributes
    ----------
    source, target : str
        Ids of shown nodes.
    kind : str
        ``"data"``, ``"parameter"``, ``"constant"``, ``"carried"`` (from one replica of a folded run to a later one),
        ``"backward"`` or ``"saved"``.
    members : tuple of int
        Numbers of the edges that it stands for. Of a backward arrow, those along which its cotangents flow back.
    label : str
    offset : int
        Of a carried edge, to the how many-th next replica it goes (negative: previous one); else 0.
    """

    source: str
    target: str
    kind: str = "data"
    members: tuple[int, ...] = ()
    label: str = ""
    offset: int = 0


class Frame(NamedTuple):
    """A scope, drawn around its nodes.

    Attributes
    ----------
    path, title, kind, parent : str
        As in :class:`Scope`; the path is that of the first replica. The parent is a frame of the picture.
    parameters : int
        Inside; of a folded run, inside one replica.
    times : int
        How many replicas it stands for.
    """

    path: str
    title: str
    kind: str
    parent: str
    parameters: int
    times: int = 1


class Legend(NamedTuple):
    """What the colours of a heat map mean.

    Attributes
    ----------
    title : str
    colors : tuple of str
        From the low end to the high one.
    low, high : str
        What the ends stand for.
    """

    title: str
    colors: tuple[str, ...]
    low: str
    high: str


class Shown(NamedTuple):
    """What one picture shows of a computation.

    Attributes
    ----------
    view, color, params, direction, theme : str
        The options of :func:`minigrad.draw.draw` that it was made with.
    nodes : tuple of ShownNode
    edges : tuple of ShownEdge
    frames : tuple of Frame
        Each after the frame around it.
    hidden : tuple of int
        Numbers of the edges inside collapsed scopes.
    kinds : tuple of str
        The kinds of nodes that occur, in the order of the legend.
    legends : dict of str to Legend
        For each colouring that was measured.
    messages : tuple of str
        What the picture leaves out, for the reader.
    scale : tuple of float, or None
        What the ends of the colours of `color` stand for, when that was given.
    """

    view: str
    color: str
    params: str
    direction: str
    theme: str
    nodes: tuple[ShownNode, ...]
    edges: tuple[ShownEdge, ...]
    frames: tuple[Frame, ...] = ()
    hidden: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()
    legends: dict[str, Legend] = {}  # never written to
    messages: tuple[str, ...] = ()
    scale: tuple[float, float] | None = None


class GraphView(NamedTuple):
    """A computation as data, and what a picture shows of it.

    Attributes
    ----------
    title : str
    dtype : str
        The usual dtype, which is not written out.
    nodes : tuple of GraphNode
        In the order of the tape: the forward pass goes through them from the first to the last, the backward pass from
        the last to the first.
    edges : tuple of GraphEdge
    parameters : tuple of Parameter
    scopes : tuple of Scope
        Each after the scope around it.
    folds : tuple of Fold
    notes : tuple of str
        What could not be measured.
    shown : Shown or None
    """

    title: str
    dtype: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    parameters: tuple[Parameter, ...] = ()
    scopes: tuple[Scope, ...] = ()
    folds: tuple[Fold, ...] = ()
    notes: tuple[str, ...] = ()
    shown: Shown | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the view as dicts, lists, strings and numbers, ready for ``json.dumps``.

        >>> import numpy as np
        >>> from minigrad.draw import draw
        >>> data = draw(lambda x: np.tanh(x), np.ones(3)).view.to_json()
        >>> [(node["kind"], node["name"], node["shape"]) for node in data["nodes"]]
        [('input', 'x', [3]), ('activation', 'tanh', [3])]
        """
        return {"format": FORMAT, "version": VERSION, **_plain(self)}


class Result(NamedTuple):
    """What was computed in the end: its entry, what to call it (may be empty), and its value when it is one number."""

    entry: int
    name: str = ""
    value: str = ""


def _plain(value: Any) -> Any:
    """Turn named tuples into dicts and other tuples into lists, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        items = [_plain(item) for item in value]
        return dict(zip(value._fields, items)) if hasattr(value, "_fields") else items
    return value
