"""Drawing: a picture of a computation, as data, as DOT text, and as a file."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
from typing import TYPE_CHECKING, Any

from ..core.errors import OptionError, did_you_mean
from .dot import dot_text
from .engine import render
from .view import GraphNode, GraphView
from .words import shape_text

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

    @functools.cached_property
    def source(self) -> str:
        """The DOT text, as Graphviz reads it."""
        return dot_text(self.view)

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
            The ending says what to write: ``.svg``, ``.png``, ``.pdf``, or the text as ``.gv`` or ``.dot``.

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
        format = ENDINGS.get(ending.lower())
        if format is None:
            raise OptionError(
                f"cannot save a drawing as {path!r}: the ending {ending!r} is not known"
                f"{did_you_mean(ending.lower(), ENDINGS)} (known: {', '.join(ENDINGS)})"
            )
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            raise FileNotFoundError(errno.ENOENT, "the folder to save the drawing in does not exist", folder)
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, "cannot save the drawing over a folder", path)
        write_whole(path, self._render(format, path) if format else self.source.encode())

    def _render(self, format: str, what: str) -> bytes:
        ground = "transparent" if format == "svg" else "white"
        picture = render(format, lambda html: dot_text(self.view, html=html, ground=ground), what)
        return self._with_own_ids(picture) if format == "svg" else picture

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
            return {"text/plain": str(self)}
        # HTML first: a notebook shows image/svg+xml as an image, without tooltips.
        return {"text/html": svg[svg.index("<svg") :], "image/svg+xml": svg, "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Drawing of {self.view.title}: {len(self.view.nodes)} nodes, {len(self.view.edges)} edges>"

    def __str__(self) -> str:
        return "\n".join([self.view.title, *map(_line, self.view.nodes)])


def _line(node: GraphNode) -> str:
    indent = "  " * (1 + (node.frame.count("/") + 1 if node.frame else 0))
    where = f"{node.frame.rpartition('/')[2]}: " if node.frame else ""
    name = " ".join((node.name, *node.details))
    chips = "".join(f"  [{chip.name} {shape_text(chip.shape)}]" for chip in node.chips)
    value = f" {node.result}" if "=" in node.result else f"  {shape_text(node.shape)}"
    return f"{indent}{where}{name}{chips}{value}".rstrip()


def write_whole(path: str, data: bytes) -> None:
    """Write a file beside its place, then put it there in one step; when anything fails, the old one is untouched."""
    folder, name = os.path.split(os.path.realpath(path))  # a link keeps pointing to the file
    draft = os.path.join(folder, f".{name}.{os.getpid()}.part")
    try:
        with open(draft, "wb") as file:
            file.write(data)
        os.replace(draft, os.path.join(folder, name))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
