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

from .palette import FONT, INK, KINDS, MARK, THEMES, UNMEASURED, Look, ink_on, look_of
from .view import Frame, GraphView, Heat, Shown, ShownChip, ShownEdge, ShownNode
from .words import dtype_text, shape_text

__all__ = ["dot_text", "html_text", "quoted", "record_text", "theme_style"]

LONGEST = 60
"""Longer names are cut in labels, with an ellipsis."""
PALE = "#6A6A6A"
"""Text and borders of what a heat map has no value for."""


def dot_text(view: GraphView, *, html: bool = True, ground: str = "", frames: bool = True) -> str:
    """Write what a view shows as DOT.

    Parameters
    ----------
    view : GraphView
    html : bool
        With HTML-like labels; else in the dialect for engines that cannot read them.
    ground : str
        Colour behind the picture, in place of the theme's.
    frames : bool
        Whether to draw frames around scopes. Without them a layout is found sooner.

    Returns
    -------
    str
        The same for the same view, always. Made in time linear in the size of the view.
    """
    if view.shown is None:
        raise ValueError("this view says nothing about a picture; see minigrad.draw.show.show")
    writer = (_Html if html else _Plain)(view, view.shown, frames)
    return "".join(f"{line}\n" for line in ("digraph minigrad {", *writer.lines(ground), "}"))


def theme_style(root: str) -> str:
    """Return the style element that gives an SVG the colours of the dark theme where a viewer asks for them.

    Parameters
    ----------
    root : str
        The id of the SVG's graph, so that the style holds for this drawing only.
    """
    dark = THEMES["dark"]
    rules = [
        f"#{root}>text{{fill:{dark.title}}}",
        f"#{root} .edge text{{fill:{dark.edge}}}",
        f"#{root} .cluster>path,#{root} .cluster>polygon{{stroke:{dark.frame}}}",
        f"#{root} .fold>path,#{root} .fold>polygon{{stroke:{dark.fold}}}",
        f"#{root} .cluster text{{fill:{dark.frame_text}}}",
    ]
    for name in ("data", "parameter", "constant", "carried", "backward", "saved"):
        color = _edge_color(name, "dark")
        rules.append(f"#{root} .{name} path{{stroke:{color}}}")
        rules.append(f"#{root} .{name} polygon{{stroke:{color};fill:{color}}}")
    return f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"


def _edge_color(kind: str, theme: str) -> str:
    colors = THEMES[theme]
    known = {"parameter": colors.parameter, "carried": colors.carry, "backward": colors.backward, "saved": colors.saved}
    return known.get(kind, colors.edge)


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

    def __init__(self, view: GraphView, shown: Shown, frames: bool) -> None:
        self.view = view
        self.shown = shown
        self.theme = THEMES[shown.theme]
        self.frames = shown.frames if frames else ()
        self.dual = shown.view == "dual"
        self.hot = shown.color if shown.color in shown.legends else ""
        self.direction = shown.direction
        if shown.view == "backward":  # its arrows go up, or to the left
            self.direction = {"TB": "BT", "LR": "RL"}[shown.direction]

    def lines(self, ground: str) -> Iterator[str]:
        """Yield the lines between the braces of the graph."""
        colors = self.theme
        yield (
            f'  graph [bgcolor="{ground or colors.ground}" fontname="{FONT}" fontsize=16 fontcolor="{colors.title}" '
            "labelloc=t labeljust=l"
        )
        yield f"         rankdir={self.direction} nodesep=0.3 ranksep=0.38 pad=0.2]"
        yield f'  node [fontname="{FONT}" fontsize=12 fontcolor="{INK}" margin="0.12,0.06" height=0.3 width=0.4]'
        yield (
            f'  edge [fontname="{FONT}" fontsize=10 fontcolor="{colors.edge}" color="{colors.edge}" arrowsize=0.7 '
            f'class="data"]'
        )
        yield from self.heading()
        yield from self._body()
        if self.dual:
            yield from self._rows()
        by_id = {node.id: node for node in self.shown.nodes}
        for edge in self.shown.edges:
            yield self._edge(edge, by_id)
        yield from self.legend()

    def heading(self) -> Iterator[str]:
        """Yield the title and the messages."""
        raise NotImplementedError

    def legend(self) -> Iterator[str]:
        """Yield the legend, where it is not a part of the heading."""
        return iter(())

    def label(self, node: ShownNode, look: Look) -> str:
        """Return the attributes that hold a node's text."""
        raise NotImplementedError

    def frame_label(self, frame: Frame) -> str:
        """Return the label of a frame."""
        raise NotImplementedError

    def shape_name(self, node: ShownNode, look: Look) -> str:
        """Return Graphviz's name of a node's shape."""
        return look.shape

    def _body(self) -> Iterator[str]:
        """Yield the nodes, each inside its frame. Walks with a stack: scopes may nest deeper than Python recurses."""
        known = {frame.path for frame in self.frames}
        inside: dict[str, list[ShownNode]] = {}
        for node in self.shown.nodes:
            inside.setdefault(node.frame if node.frame in known else "", []).append(node)
        children: dict[str, list[int]] = {}
        for number, frame in enumerate(self.frames):
            children.setdefault(frame.parent, []).append(number)
        yield from map(self._node, inside.get("", ()))
        stack = list(reversed(children.get("", ())))
        while stack:
            number = stack.pop()
            if number < 0:
                yield "  }"
                continue
            frame = self.frames[number]
            folded = frame.times > 1
            border, width = (self.theme.fold, 2.2) if folded else (self.theme.frame, 1)
            yield f"  subgraph cluster_{number} {{"
            yield (
                f'  graph [label={self.frame_label(frame)} style="rounded,filled" fillcolor="{self.theme.frame_fill}" '
                f'color="{border}" fontcolor="{self.theme.frame_text}" fontsize=11 penwidth={width:g} margin=9 '
                f'class="{"fold" if folded else "frame"}" tooltip={quoted(frame.path, tooltip=True)}]'
            )
            yield from map(self._node, inside.get(frame.path, ()))
            stack += [-1, *reversed(children.get(frame.path, ()))]

    def look(self, node: ShownNode) -> tuple[Look, str]:
        """Return how a node is drawn, with the colours of a heat map where there is one, and the value it shows."""
        look = look_of(node.kind)
        if node.kind == "loss" and not node.result:
            # A loss that is added to something else is a loss too; the thick border is for the final one.
            look = look._replace(width=KINDS["op"].width)
        value = ""
        if self.hot and node.kind != "saved":
            heat = node.heat.get(self.hot)
            if heat is None:
                look = look._replace(fill=UNMEASURED, border=PALE, text=PALE)
            else:
                look = look._replace(fill=heat.fill, text=heat.ink)
                value = heat.text
        if node.mark:
            look = look._replace(border=MARK, width=3.2)
        return look, value

    def _node(self, node: ShownNode) -> str:
        look, _ = self.look(node)
        shape = self.shape_name(node, look)
        style = f'shape={shape} style="{look.style}" fillcolor="{look.fill}" color="{look.border}"'
        attributes = f'{style} penwidth={look.width:g} fontcolor="{look.text}" class="{node.kind}"'
        if node.mark:
            attributes += " peripheries=2" if look.shape not in ("cylinder", "box3d", "note") else ""
        if shape == "box3d":
            attributes += ' margin="0.12,0.11"'  # Graphviz counts the face at the top as room for text
        if self.dual:
            attributes += f' group="{ {"backward": "b", "saved": "k", "gradient": "d"}.get(node.kind, "f") }"'
        return (
            f"  {quoted(node.id)} [{self.label(node, look)} {attributes} tooltip={quoted(*node.hover, tooltip=True)}]"
        )

    def _rows(self) -> Iterator[str]:
        """Put each op, what it saves, and its rule on one line."""
        names = {node.id for node in self.shown.nodes}
        for node in self.shown.nodes:
            row = [node.id, *(f"{letter}{node.id}" for letter in "kb" if f"{letter}{node.id}" in names)]
            if len(row) > 1:
                yield f"  {{rank=same {' '.join(map(quoted, row))}}}"

    def _edge(self, edge: ShownEdge, by_id: dict[str, ShownNode]) -> str:
        source, target = by_id[edge.source], by_id[edge.target]
        color = _edge_color(edge.kind, self.shown.theme)
        what = [f"{source.name} → {target.name}", edge.label or shape_text(source.shape)]
        if len(edge.members) > 1:
            what.append(f"{len(edge.members):,} edges")
        attributes = [f"tooltip={quoted(*filter(None, what), tooltip=True)}"]
        if edge.label:
            attributes.append(f"label={quoted(f'  {edge.label}')} labeltooltip={quoted(edge.label, tooltip=True)}")
        if edge.kind != "data":
            attributes.append(f'color="{color}" class="{edge.kind}"')
        ends = (edge.source, edge.target)
        if edge.kind == "constant":
            attributes.append("style=dashed")
        elif edge.kind == "carried" or edge.offset:
            # Against the direction of the layout, which is that of one replica.
            attributes.append(f'style=dashed penwidth=1.5 constraint=false fontcolor="{color}"')
        elif edge.kind == "data" and self.dual:
            attributes.append("weight=4")
        elif edge.kind == "saved":
            attributes.append(f"style=dashed{' dir=none' if target.kind == 'saved' else ''}")
        elif edge.kind == "backward" and self.dual:
            # Written from its end to its start: so the layout puts a rule below those that it feeds.
            ends = (edge.target, edge.source)
            attributes.append("dir=back")
        return f"  {quoted(ends[0])} -> {quoted(ends[1])} [{' '.join(attributes)}]"

    def chips(self, node: ShownNode) -> tuple[ShownChip, ...]:
        """Return the chips that are drawn."""
        return () if self.shown.params == "hide" else node.chips

    def shape(self, node: ShownNode | ShownChip) -> str:
        """Return shape and, where it is unusual, dtype."""
        return " ".join(filter(None, (shape_text(node.shape), dtype_text(node.dtype, self.view.dtype))))

    def small_lines(self, node: ShownNode, value: str) -> list[str]:
        """Return what stands under a node's name."""
        shape = self.shape(node) if node.kind in ("input", "parameter", "constant") else ""
        return [text for text in (shape, node.result, *node.lines, value) if text]

    def chip_words(self, chip: ShownChip, heat: Heat | None) -> str:
        """Return what a chip says beside the name."""
        words = heat.text if heat is not None else self.shape(chip)
        return f"{words}, shared ×{chip.shared}" if chip.shared else words

    def chip_heat(self, chip: ShownChip) -> Heat | None:
        """Return the heat that a chip shows."""
        return chip.heat if self.hot == "grad" else None

    def frame_words(self, frame: Frame) -> str:
        """Return what a frame says beside its title and number."""
        unit = "param" if frame.parameters == 1 else "params"
        size = f"· {frame.parameters:,} {unit}" if frame.parameters else ""
        return f"{size} each" if size and frame.times > 1 else size


def _kind_words(frame: Frame) -> str:
    return f" · {frame.kind}" if frame.kind else ""


def _table(rows: str, *, spacing: int, padding: int) -> str:
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="{spacing}" CELLPADDING="{padding}">{rows}</TABLE>'


# --- the dialects ---------------------------------------------------------------------------------------------------


class _Html(_Writer):
    """The dialect with HTML-like labels: chips, bold names, a legend of coloured cells."""

    def heading(self) -> Iterator[str]:
        small = 'POINT-SIZE="9"'
        color = self.theme.title
        rows = [html_name(self.view.title)]
        if self.hot:
            legend = self.shown.legends[self.hot]
            cells = "".join(f'<TD BGCOLOR="{fill}" WIDTH="22" HEIGHT="10"></TD>' for fill in legend.colors)
            half = f'COLSPAN="{len(legend.colors) // 2}"'
            low, high = (
                f'<FONT {small} COLOR="{color}">{html_text(text)}</FONT>' for text in (legend.low, legend.high)
            )
            ends = f'<TD ALIGN="LEFT" {half}>{low}</TD><TD></TD><TD ALIGN="RIGHT" {half}>{high}</TD>'
            rows.append(f'<FONT POINT-SIZE="10">{html_text(legend.title)}</FONT>')
            rows.append(_table(f"<TR>{cells}</TR><TR>{ends}</TR>", spacing=0, padding=1))
        elif self.shown.kinds:
            cells = "".join(
                f'<TD BORDER="1" BGCOLOR="{KINDS[kind].fill}" COLOR="{KINDS[kind].border}">'
                f'<FONT {small} COLOR="{INK}">{html_text(KINDS[kind].legend)}</FONT></TD>'
                for kind in self.shown.kinds
            )
            rows.append(_table(f"<TR>{cells}</TR>", spacing=3, padding=3))
        rows += [f'<FONT POINT-SIZE="10">{html_text(message)}</FONT>' for message in self.shown.messages]
        table = _table("".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in rows), spacing=0, padding=2)
        yield f"  label=<{table}>"

    def label(self, node: ShownNode, look: Look) -> str:
        value = self.look(node)[1]
        words = [html_name(node.name)]
        if self.dual or node.kind in ("loss", "input", "parameter", "scope", "backward", "gradient"):
            words[0] = f"<B>{words[0]}</B>"
        words += [html_text(detail) for detail in node.details]
        head = f'<FONT POINT-SIZE="{look.size}">{" ".join(words)}</FONT>' if node.kind != "saved" else ""
        left = '<BR ALIGN="LEFT"/>' if node.kind in ("backward", "saved") else "<BR/>"
        small = [f'<FONT POINT-SIZE="10">{html_text(text)}</FONT>' for text in self.small_lines(node, value)]
        lines = [line for line in (head, *small) if line]
        text = left.join(lines) + (left if left != "<BR/>" else "")
        if node.mark:
            mark = f'<FONT POINT-SIZE="10" COLOR="#FFFFFF"><B>{html_name(node.mark)}</B></FONT>'
            text = _table(f'<TR><TD>{text}</TD></TR><TR><TD BGCOLOR="{MARK}">{mark}</TD></TR>', spacing=2, padding=2)
        chips = self.chips(node)
        if not chips:
            return f"label=<{text}>"
        rows = "".join((f"<TR><TD>{text}</TD></TR>", *(self._chip(chip, node) for chip in chips)))
        return f'margin="0.05,0.05" label=<{_table(rows, spacing=2, padding=3)}>'

    def _chip(self, chip: ShownChip, node: ShownNode) -> str:
        look = KINDS["gradient" if node.kind == "backward" else "parameter"]
        heat = self.chip_heat(chip)
        fill, border, ink = look.fill, look.border, INK
        if heat is not None:
            fill, border, ink = heat.fill, PALE, heat.ink
        elif self.hot:
            fill, border, ink = UNMEASURED, PALE, PALE
        style = ' STYLE="dashed"' if chip.again else ""
        return (  # the gap is inside the bold text, because an SVG loses a space at the start of a text
            f'<TR><TD BORDER="1"{style} BGCOLOR="{fill}" COLOR="{border}"><FONT POINT-SIZE="10" COLOR="{ink}">'
            f"<B>{html_name(chip.name)} </B>{html_text(self.chip_words(chip, heat))}</FONT></TD></TR>"
        )

    def frame_label(self, frame: Frame) -> str:
        title = f"<B>{html_name(frame.title)} </B>" if frame.title else ""
        times = f'<FONT POINT-SIZE="14"><B>×{frame.times} </B></FONT>' if frame.times > 1 else ""
        kind = f"{html_text(_kind_words(frame)).lstrip()} " if frame.kind else ""
        return f"<{title}{kind}{times}{html_text(self.frame_words(frame))}>"


class _Plain(_Writer):
    """The dialect without HTML: an op with parameters is a record, the legend a row of nodes beside the graph."""

    def heading(self) -> Iterator[str]:
        lines = [_short(self.view.title), *self.shown.messages]
        yield f"  label={quoted(*lines)}"

    def legend(self) -> Iterator[str]:
        cells = [(kind, KINDS[kind].legend, KINDS[kind].fill, KINDS[kind].border) for kind in self.shown.kinds]
        if self.hot:
            legend = self.shown.legends[self.hot]
            ends = {0: legend.low, len(legend.colors) - 1: legend.high}
            cells = [(f"{i}", ends.get(i, " "), fill, PALE) for i, fill in enumerate(legend.colors)]
        yield "  subgraph legend {"
        yield "  graph [rank=same]"
        if self.hot:  # a node, as this engine cuts off a title that is wider than the graph
            title = quoted(*self.shown.legends[self.hot].title.split(": "))
            yield f'  legend_title [label={title} shape=plaintext fontsize=9 fontcolor="{self.theme.title}"]'
        yield "  node [fontsize=9 height=0.22 shape=box style=filled]"
        for name, text, fill, border in cells:
            ink = INK if not self.hot else ink_on(fill)
            yield f'  legend_{name} [label={quoted(text)} fillcolor="{fill}" color="{border}" fontcolor="{ink}"]'
        yield "  }"

    def label(self, node: ShownNode, look: Look) -> str:
        value = self.look(node)[1]
        name = " ".join((_short(node.name), *node.details))
        lines = [*([name] if node.kind != "saved" else []), *self.small_lines(node, value)]
        lines += [_short(node.mark)] if node.mark else []
        chips = [f"{_short(chip.name)} {self.chip_words(chip, self.chip_heat(chip))}" for chip in self.chips(node)]
        if not chips or look.shape != "box":
            return f"fontsize={look.size} label={quoted(*lines, *chips)}"
        fields = "|".join(["\\n".join(map(record_text, lines)), *map(record_text, chips)])
        return f'fontsize={look.size} label="{fields if self.direction in ("LR", "RL") else f"{{{fields}}}"}"'

    def frame_label(self, frame: Frame) -> str:
        times = f" ×{frame.times}" if frame.times > 1 else ""
        return quoted(f"{_short(frame.title)}{_kind_words(frame)}{times} {self.frame_words(frame)}".strip())

    def shape_name(self, node: ShownNode, look: Look) -> str:
        return "Mrecord" if self.chips(node) and look.shape == "box" else look.shape
