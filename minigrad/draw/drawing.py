"""Drawing: a picture of a computation, as data, as DOT text, and as a file."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
from typing import TYPE_CHECKING, Any

from ..core.errors import GraphvizNotFound, MinigradError, OptionError, did_you_mean
from .dot import dot_text, theme_style
from .engine import render
from .text import text_tree
from .view import GraphView, Shown

if TYPE_CHECKING:
    import graphviz  # type: ignore[import-untyped]

__all__ = ["Drawing"]

ENDINGS = {".gv": "", ".dot": "", ".svg": "svg", ".png": "png", ".pdf": "pdf"}
"""Endings of files that can be saved, and Graphviz's name of the format (none: the text itself)."""


class Drawing:
    """A picture of a computation. Made by :func:`minigrad.draw.draw`.

    It holds numbers and text only, no arrays. In a notebook it shows itself.

    Attributes
    ----------
    view : GraphView
        What the picture shows, as data; ``view.to_json()`` gives dicts and lists.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.draw import draw
    >>> drawing = draw(lambda x: np.sum(np.tanh(x) * 2), np.ones(3))
    >>> drawing
    <Drawing of <lambda>: 4 nodes, 3 edges>
    >>> print(drawing)
    <lambda>
      x  3
      tanh  3
      multiply 2  3
      sum = 4.5696
    """

    __slots__ = ("__dict__", "view")

    def __init__(self, view: GraphView) -> None:
        self.view = view

    @property
    def shown(self) -> Shown:
        """What the picture shows of the view."""
        assert self.view.shown is not None  # draw makes no view without it
        return self.view.shown

    @functools.cached_property
    def source(self) -> str:
        """The DOT text, as Graphviz reads it."""
        return dot_text(self.view)

    def to_json(self) -> dict[str, Any]:
        """Return the view as dicts, lists, strings and numbers; see ``docs/graph-view.md``."""
        return self.view.to_json()

    def to_text(self) -> str:
        """Return the picture as an indented list: scopes, ops, parameters in brackets, shapes."""
        return text_tree(self.view)

    def to_html(
        self, path: str | os.PathLike[str] | None = None, relayout: bool | str | os.PathLike[str] = False
    ) -> str | None:
        """Write the picture as one HTML page to look into, or return the page; see ``docs/pictures.md``.

        Parameters
        ----------
        path : str or Path, optional
            The file, which ends in ``.html``; without it the text of the page is returned.
        relayout : bool or path
            Put Graphviz itself into the page (1.3 MB), so that it lays out what is expanded: True, or the path of
            ``viz-global.js`` of the package ``@viz-js/viz``.

        Raises
        ------
        OptionError
            If the ending is another one, or ``viz-global.js`` is not found; the error says how to get it.
        OSError
            If the file cannot be written.
        """
        from .page.data import page_data
        from .page.page import page_html, write_page

        page = page_html(page_data(self.view), self.to_text(), relayout=relayout)
        if path is None:
            return page
        write_page(path, page, "a drawing")
        return None

    @property
    def digraph(self) -> graphviz.Digraph:
        """The same text as a ``graphviz.Digraph``, which needs the package ``graphviz`` (``pip install graphviz``)."""
        try:
            import graphviz
        except ImportError as error:
            raise ImportError("drawing.digraph needs the Python package graphviz: pip install graphviz") from error
        graph = graphviz.Digraph("minigrad")
        graph.body = self.source.splitlines(keepends=True)[1:-1]  # without the braces, which Digraph writes
        return graph

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file.

        An older file of that name stays whole until the new one is complete.

        Parameters
        ----------
        path : str or Path
            The ending says what to write: ``.svg``, ``.png``, ``.pdf``, the page of `to_html` as ``.html``, or the text
            as ``.gv`` or ``.dot``.

        Raises
        ------
        OptionError
            If the ending is none of these.
        GraphvizNotFound, GraphvizFailed
            If Graphviz is not installed, or cannot draw this graph. The text can be saved without it.
        OSError
            If the file cannot be written.
        """
        path = os.fspath(path)
        ending = os.path.splitext(path)[1]
        if ending.lower() == ".html":
            self.to_html(path)
            return
        format = ENDINGS.get(ending.lower())
        if format is None:
            raise OptionError(
                f"cannot save a drawing as {path!r}: the ending {ending!r} is not known"
                f"{did_you_mean(ending.lower(), [*ENDINGS, '.html'])} (known: {', '.join([*ENDINGS, '.html'])})"
            )
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, "the folder to save the drawing in does not exist", folder)
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, "cannot save the drawing over a folder", path)
        if not format:
            write_whole(path, self.source.encode())
            return
        try:
            picture = self.render(format, what=path)
        except GraphvizNotFound as error:
            raise GraphvizNotFound(f"{error}\n{self._save_instead(path)}") from None
        write_whole(path, picture)

    def _save_instead(self, path: str) -> str:
        """Write what needs no Graphviz beside the file that was asked for, and say so."""
        written = []
        stem = os.path.splitext(path)[0]
        for ending, save in ((".gv", self.save), (".html", getattr(self, "to_html", None))):
            if save is not None:
                with contextlib.suppress(OSError, MinigradError):
                    save(stem + ending)
                    written.append(stem + ending)
        if not written:
            return 'Without it, the text can be saved, as drawing.save("net.gv"), and opened in any Graphviz viewer.'
        return f"Written instead, without it: {' and '.join(written)}"

    def render(self, format: str = "svg", *, what: str = "the drawing") -> bytes:
        """Return the picture as the bytes of a file.

        Parameters
        ----------
        format : str
            ``"svg"``, ``"png"`` or ``"pdf"``.
        what : str
            What to call it in errors.

        Raises
        ------
        OptionError
            If the format is none of these.
        GraphvizNotFound, GraphvizFailed
            If Graphviz is not installed, or cannot draw this graph.
        """
        formats = sorted(set(ENDINGS.values()) - {""})
        if format not in formats:
            raise OptionError(
                f"render: {format!r} is not known{did_you_mean(format, formats)} (known: {', '.join(formats)})"
            )
        return self._themed(self._render(format, what)) if format == "svg" else self._render(format, what)

    def _render(self, format: str, what: str) -> bytes:
        ground = "white" if format != "svg" and self.shown.theme == "auto" else ""

        def source(html: bool, frames: bool) -> str:
            return dot_text(self.view, html=html, ground=ground, frames=frames)

        picture = render(format, source, what)
        return self._with_own_ids(picture) if format == "svg" else picture

    def _themed(self, svg: bytes) -> bytes:
        """Let a file that follows the viewer's theme hold the colours of the dark one too."""
        root = re.search(rb'<g id="([^"]+)" class="graph"', svg)
        if self.shown.theme != "auto" or root is None:
            return svg
        return svg[: root.start()] + theme_style(root[1].decode()).encode() + b"\n" + svg[root.start() :]

    def show(self) -> None:
        """Show the picture: in a notebook in its place, else as a page in the browser. It needs no Graphviz."""
        from .page.page import show_page

        show_page(self, self.to_html)

    def _with_own_ids(self, svg: bytes) -> bytes:
        """Give the ids of an SVG a prefix of this drawing's own, so that one page can hold several drawings."""
        import hashlib

        prefix = hashlib.sha256(self.source.encode()).hexdigest()[:8]
        return re.sub(rb' id="', f' id="d{prefix}-'.encode(), svg)  # in text, Graphviz writes a quote as &quot;

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Show the drawing in a notebook: as a picture where Graphviz is found, else as text. Never raises."""
        try:
            svg = self._render("svg", "the drawing").decode()
        except Exception:
            with contextlib.suppress(Exception):
                return {"text/plain": self.to_text()}
            return {"text/plain": object.__repr__(self)}
        # HTML first: a notebook shows image/svg+xml as an image, without tooltips.
        return {"text/html": svg[svg.index("<svg") :], "image/svg+xml": svg, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Drawing of {self.view.title}: {len(self.shown.nodes)} nodes, {len(self.shown.edges)} edges>"

    def __str__(self) -> str:
        return self.to_text()


def write_whole(path: str, data: bytes) -> None:
    """Write a file beside its place, then put it there in one step; when anything fails, the old one is untouched."""
    folder, name = os.path.split(os.path.realpath(path))  # a link keeps pointing to the file
    draft = os.path.join(folder, f".{name}.{os.getpid()}.part")
    try:
        with open(draft, "wb") as file:
            file.write(data)
        os.replace(draft, os.path.join(folder, name))
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        if isinstance(error, PermissionError):  # it names the draft
            raise PermissionError(errno.EACCES, "no permission to save the drawing there", path) from error
        if isinstance(error, OSError) and error.filename == draft:
            raise OSError(error.errno, error.strerror, path) from error
        raise
