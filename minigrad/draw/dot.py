"""DOT text of a graph view.

It is written in two dialects. The first has HTML-like labels, in which a parameter is a coloured cell inside its op;
Graphviz's own ``dot`` program draws it. The second has plain and record labels only, for engines that cannot read
HTML.

Names come from users, so they may hold anything: quotes, ``<``, ``&``, ``\\N``, newlines, Chinese. There is one
function for text inside HTML-like labels (:func:`html_text`), one for text in double quotes (:func:`quoted`), one for
record labels (:func:`record_text`), and nothing reaches the output past them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .palette import EDGE, FONT, FRAME, INK, KINDS, TITLE, look_of
from .view import Chip, Frame, GraphEdge, GraphNode, GraphView
from .words import dtype_text, shape_text

__all__ = ["dot_text", "html_text", "quoted", "record_text"]

LONGEST = 60
"""Longer names are cut in labels, with an ellipsis."""


def dot_text(view: GraphView, *, html: bool = True, ground: str = "transparent") -> str:
    """Write a view as DOT.

    Parameters
    ----------
    view : GraphView
    html : bool
        With HTML-like labels; else in the dialect for engines that cannot read them.
    ground : str
        Colour behind the picture.

    Returns
    -------
    str
        The same for the same view, always. Made in time linear in the size of the view.
    """
    writer = _Html(view) if html else _Plain(view)
    return "".join(f"{line}\n" for line in ("digraph minigrad {", *writer.lines(ground), "}"))


# --- escaping -------------------------------------------------------------------------------------------------------

_LINE_ENDS = re.compile("\r\n|[\n\r\u2028\u2029]")
# Control characters, lone surrogates and non-characters: not text, or not allowed in an SVG.
_BROKEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def _clean(text: str) -> str:
    """Put text on one line, with a sign in place of what is not text."""
    return _BROKEN.sub("\ufffd", _LINE_ENDS.sub("↵", text).replace("\t", " "))


def _short(name: str) -> str:
    """Cut a long name. Tooltips tell the whole of it."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\\": "&#92;&#92;"})


def html_text(text: str) -> str:
    r"""Escape text for an HTML-like label.

    The backslash is doubled, because Graphviz replaces ``\N`` by the node's id in these labels too.

    >>> html_text("<lambda> & a\\N b")
    '&lt;lambda&gt; &amp; a&#92;&#92;N b'
    """
    return _clean(text).translate(_HTML)


def html_name(text: str) -> str:
    """Escape a name for an HTML-like label. A blank one is put in quotes, as Graphviz refuses empty tags."""
    return html_text(_short(text) if _clean(text).strip() else f'"{text}"')


def quoted(*lines: str, tooltip: bool = False) -> str:
    r"""Write lines of text as a quoted string of DOT.

    Graphviz reads ``&amp;`` and the like in quoted strings as well. It replaces ``\N`` in labels once, and in tooltips
    twice.

    >>> print(quoted('say "a\\N"', "R&D"))
    "say \"a\\N\"\nR&amp;D"
    """
    backslash, between = ("\\\\\\\\", " · ") if tooltip else ("\\\\", "\\n")
    texts = [_clean(line).replace("\\", backslash).replace('"', '\\"').replace("&", "&amp;") for line in lines]
    return f'"{between.join(texts)}"'


def record_text(text: str) -> str:
    r"""Escape text for a field of a record label; it still has to be put between double quotes.

    >>> print(record_text("{a|b}"))
    \{a\|b\}
    """
    return re.sub(r"([{}|<>])", r"\\\1", quoted(text)[1:-1])


# --- what both dialects write ---------------------------------------------------------------------------------------


class _Writer:
    """Writes the lines of a drawing; the dialects differ in their labels and in the legend."""

    def __init__(self, view: GraphView) -> None:
        self.view = view
        self.kinds = [kind for kind in KINDS if kind in _kinds_shown(view)]

    def lines(self, ground: str) -> Iterator[str]:
        """Yield the lines between the braces of the graph."""
        yield f'  graph [bgcolor="{ground}" fontname="{FONT}" fontsize=16 fontcolor="{TITLE}" labelloc=t labeljust=l'
        yield "         rankdir=TB nodesep=0.3 ranksep=0.38 pad=0.2]"
        yield f'  node [fontname="{FONT}" fontsize=12 fontcolor="{INK}" margin="0.12,0.06" height=0.3 width=0.4]'
        yield f'  edge [fontname="{FONT}" fontsize=10 fontcolor="{EDGE}" color="{EDGE}" arrowsize=0.7]'
        yield from self.heading()
        yield from self._body()
        by_id = {node.id: node for node in self.view.nodes}
        for edge in self.view.edges:
            yield self._edge(edge, by_id)
        yield from self.legend()

    def heading(self) -> Iterator[str]:
        """Yield the title and the notes."""
        raise NotImplementedError

    def legend(self) -> Iterator[str]:
        """Yield the legend, where it is not a part of the heading."""
        return iter(())

    def label(self, node: GraphNode) -> str:
        """Return the attributes that hold a node's text."""
        raise NotImplementedError

    def frame_label(self, frame: Frame) -> str:
        """Return the label of a frame."""
        raise NotImplementedError

    def _body(self) -> Iterator[str]:
        """Yield the nodes, each inside its frame. Walks with a stack: scopes may nest deeper than Python recurses."""
        inside: dict[str, list[GraphNode]] = {}
        for node in self.view.nodes:
            inside.setdefault(node.frame, []).append(node)
        children: dict[str, list[int]] = {}
        for number, frame in enumerate(self.view.frames):
            children.setdefault(frame.parent, []).append(number)
        yield from map(self._node, inside.get("", ()))
        stack = list(reversed(children.get("", ())))
        while stack:
            number = stack.pop()
            if number < 0:
                yield "  }"
                continue
            frame = self.view.frames[number]
            yield f"  subgraph cluster_{number} {{"
            yield (
                f'  graph [label={self.frame_label(frame)} style="{FRAME.style}" fillcolor="{FRAME.fill}" '
                f'color="{FRAME.border}" fontcolor="{FRAME.text}" fontsize={FRAME.size} penwidth={FRAME.width:g} '
                f"margin=9 tooltip={quoted(frame.path, tooltip=True)}]"
            )
            yield from map(self._node, inside.get(frame.path, ()))
            stack += [-1, *reversed(children.get(frame.path, ()))]

    def _node(self, node: GraphNode) -> str:
        tooltip = quoted(*self._tooltip(node), tooltip=True)
        return f"  {node.id} [{self.label(node)} {_style(node)} tooltip={tooltip}]"

    def _tooltip(self, node: GraphNode) -> list[str]:
        parts = (
            " ".join((node.name, *node.details)),
            f"{shape_text(node.shape) or 'one number'} {node.dtype}",
            node.line,
            f"in {node.scope}" if node.scope else "",
            *(f"{chip.name} {_chip_words(chip, shape_text(chip.shape))} {chip.dtype}" for chip in node.chips),
        )
        return [part for part in parts if part]

    def _edge(self, edge: GraphEdge, by_id: dict[str, GraphNode]) -> str:
        source, target = by_id[edge.source], by_id[edge.target]
        what = (f"{source.name} → {target.name}", edge.label or shape_text(source.shape))
        attributes = [f"tooltip={quoted(*filter(None, what), tooltip=True)}"]
        if edge.label:
            attributes.append(f"label={quoted(f'  {edge.label}')} labeltooltip={quoted(edge.label, tooltip=True)}")
        if source.kind in ("parameter", "constant"):
            attributes.append(f'color="{look_of(source.kind).border}"')
        if source.kind == "constant":
            attributes.append("style=dashed")
        return f"  {edge.source} -> {edge.target} [{' '.join(attributes)}]"

    def shape(self, node: GraphNode | Chip) -> str:
        """Return shape and, where it is unusual, dtype."""
        return " ".join(filter(None, (shape_text(node.shape), dtype_text(node.dtype, self.view.dtype))))


def _kinds_shown(view: GraphView) -> set[str]:
    kinds = {node.kind if node.kind in KINDS else "op" for node in view.nodes}
    return kinds | {"parameter"} if any(node.chips for node in view.nodes) else kinds


def _style(node: GraphNode) -> str:
    look = look_of(node.kind)
    # A loss that is added to something else is a loss too; the thick border is for the final one.
    width = look.width if node.kind != "loss" or node.result else KINDS["op"].width
    return f'shape={look.shape} style="{look.style}" fillcolor="{look.fill}" color="{look.border}" penwidth={width:g}'


def _own_shape(node: GraphNode) -> bool:
    """Whether a node shows its shape itself, having no edge that does."""
    return node.kind in ("input", "parameter", "constant")


def _frame_words(frame: Frame) -> str:
    unit = "param" if frame.parameters == 1 else "params"
    return f"· {frame.parameters:,} {unit}" if frame.parameters else ""


def _chip_words(chip: Chip, shape: str) -> str:
    return f"{shape}, shared ×{chip.shared}" if chip.shared else shape


# --- the dialects ---------------------------------------------------------------------------------------------------


class _Html(_Writer):
    """The dialect with HTML-like labels: chips, bold names, a legend of coloured cells."""

    def heading(self) -> Iterator[str]:
        small = 'POINT-SIZE="9"'
        cells = "".join(
            f'<TD BORDER="1" BGCOLOR="{KINDS[kind].fill}" COLOR="{KINDS[kind].border}">'
            f'<FONT {small} COLOR="{INK}">{html_text(KINDS[kind].legend)}</FONT></TD>'
            for kind in self.kinds
        )
        legend = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="3" CELLPADDING="3"><TR>{cells}</TR></TABLE>'
        notes = [f'<FONT POINT-SIZE="10">{html_text(note)}</FONT>' for note in self.view.notes]
        rows = (html_name(self.view.title), legend, *notes)
        table = "".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in rows)
        yield f'  label=<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{table}</TABLE>>'

    def label(self, node: GraphNode) -> str:
        look = look_of(node.kind)
        words = [html_name(node.name)]
        if node.kind in ("loss", "input", "parameter"):
            words[0] = f"<B>{words[0]}</B>"
        words += [html_text(detail) for detail in node.details]
        head = f'<FONT POINT-SIZE="{look.size}">{" ".join(words)}</FONT>'
        small = [node.result] if not _own_shape(node) else [self.shape(node), node.result]
        lines = [head, *(f'<FONT POINT-SIZE="10">{html_text(text)}</FONT>' for text in small if text)]
        if not node.chips:
            return f"label=<{'<BR/>'.join(lines)}>"
        rows = [f"<TR><TD>{'<BR/>'.join(lines)}</TD></TR>", *map(self._chip, node.chips)]
        table = f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="2" CELLPADDING="3">{"".join(rows)}</TABLE>'
        return f'margin="0.05,0.05" label=<{table}>'

    def _chip(self, chip: Chip) -> str:
        look = KINDS["parameter"]
        words = html_text(_chip_words(chip, self.shape(chip)))
        style = ' STYLE="dashed"' if chip.again else ""
        return (  # the gap is inside the bold text, because an SVG loses a space at the start of a text
            f'<TR><TD BORDER="1"{style} BGCOLOR="{look.fill}" COLOR="{look.border}"><FONT POINT-SIZE="10">'
            f"<B>{html_name(chip.name)} </B>{words}</FONT></TD></TR>"
        )

    def frame_label(self, frame: Frame) -> str:
        return f"<<B>{html_name(frame.title)} </B>{html_text(_frame_words(frame))}>"


class _Plain(_Writer):
    """The dialect without HTML: an op with parameters is a record, the legend a row of nodes beside the graph."""

    def heading(self) -> Iterator[str]:
        yield f"  label={quoted(_short(self.view.title), *self.view.notes)}"

    def legend(self) -> Iterator[str]:
        yield "  subgraph legend {"
        yield "  graph [rank=same]"
        yield "  node [fontsize=9 height=0.22]"
        for kind in self.kinds:
            look = KINDS[kind]
            colours = f'style=filled fillcolor="{look.fill}" color="{look.border}"'
            yield f"  legend_{kind} [label={quoted(look.legend)} shape=box {colours}]"
        yield "  }"

    def label(self, node: GraphNode) -> str:
        look = look_of(node.kind)
        name = " ".join((_short(node.name), *node.details))
        small = [node.result] if not _own_shape(node) else [self.shape(node), node.result]
        lines = [name, *filter(None, small)]
        chips = [f"{_short(chip.name)} {_chip_words(chip, self.shape(chip))}" for chip in node.chips]
        if not chips or look.shape != "box":
            return f"fontsize={look.size} label={quoted(*lines, *chips)}"
        fields = ["\\n".join(map(record_text, lines)), *map(record_text, chips)]
        return f'fontsize={look.size} label="{{{"|".join(fields)}}}"'

    def frame_label(self, frame: Frame) -> str:
        return quoted(f"{_short(frame.title)} {_frame_words(frame)}".rstrip())

    def _node(self, node: GraphNode) -> str:
        line = super()._node(node)
        return line.replace(" shape=box ", " shape=Mrecord ", 1) if 'label="{' in line else line
