"""One file from the data, the scripts and the style sheets. It asks nothing of a network, and works from a folder."""

from __future__ import annotations

import errno
import html
import importlib.resources
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...core.errors import OptionError
from ..palette import MARK, THEMES

__all__ = ["find_viz", "page_html", "show_page", "write_page"]

VIZ = "viz-global.js"
PLACES = (("node_modules", "@viz-js", "viz", "dist"), ("node_modules", "@viz-js", "viz", "lib"), ())
VARIABLE = "MINIGRAD_VIZ_JS"
NOTICE = """\
@viz-js/viz, https://github.com/mdaines/viz-js, MIT License, Copyright (c) Michael Daines. It holds Graphviz,
https://graphviz.org, Eclipse Public License 1.0, and Expat, https://libexpat.github.io, MIT License."""

# What lies on the ground, beside the colours of palette.THEMES.
CHROME = {
    "light": {"text": "#1B1F24", "panel": "#F6F8FA", "line": "#C9D1D9", "quiet": "#57606A", "mark": MARK},
    "dark": {"text": "#E6EDF3", "panel": "#1A1D22", "line": "#3B424C", "quiet": "#9EA7B3", "mark": "#FF7B8E"},
}
HIGHLIGHT = {
    "light": {"chosen": "#1B1F24", "found": "#C2187A"},
    "dark": {"chosen": "#FFFFFF", "found": "#FF6FB5"},
}

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Not text, or not allowed in the SVG that the page can save."""


def page_html(data: dict[str, Any], text: str, *, relayout: bool | str | os.PathLike[str] = False) -> str:
    """Return the page as the text of an HTML file.

    Parameters
    ----------
    data : dict
        From :func:`minigrad.draw.page.data.page_data`; with ``"steps"`` the page can walk through them.
    text : str
        What a reader without scripts sees.
    relayout : bool or path
        Whether Graphviz itself goes into the page, and where it is; see :func:`find_viz`.

    Returns
    -------
    str
        The same for the same data, always.
    """
    steps = "steps" in data
    viz = find_viz(relayout).read_text(encoding="utf-8") if relayout is not False else ""
    scripts = ["layout.js", "page.js", *(["relayout.js"] if viz else []), *(["step.js"] if steps else [])]
    script = "".join(map(_script, scripts))
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'" + (
        " 'wasm-unsafe-eval'" if viz else ""
    )
    title = _clean(data["title"])
    embedded = json.dumps(_cleaned({**data, "relayout": bool(viz)}), ensure_ascii=False, separators=(",", ":"))
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="en" data-theme="{data["theme"]}">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="generator" content="minigrad">',
        f"<title>{html.escape(title)}</title>",
        f"<style>{_themes()}{_style('page.css')}{_style('step.css') if steps else ''}</style>",
        f'<style id="scene-style">{_style("scene.css")}</style>',
        "</head>",
        "<body>",
        _body(title, steps),
        f"<noscript><pre>{html.escape(_clean(text))}</pre></noscript>",
        # In a script element only "<" could end it, or start a comment.
        f'<script type="application/json" id="data">{embedded.replace("<", chr(92) + "u003c")}</script>',
        *([f"<script>/*! {NOTICE} */\n{_harmless(viz)}</script>"] if viz else []),
        f'<script>(() => {{\n"use strict";\n{script}start();\n}})();</script>',
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def find_viz(where: bool | str | os.PathLike[str] = True) -> Path:
    """Return the file with Graphviz as WebAssembly, ``viz-global.js`` of the package ``@viz-js/viz``.

    It has 1.3 MB, so it is not a part of minigrad. It is looked for at the given path (the file, or a folder that holds
    it), else where the environment variable ``MINIGRAD_VIZ_JS`` says, else in ``node_modules`` of the current folder or
    one above it, where ``npm install @viz-js/viz`` puts it.

    Raises
    ------
    OptionError
        If it is at none of these places; the error says how to get it.
    """
    if not isinstance(where, (bool, str, os.PathLike)):
        raise OptionError(
            f"relayout must be True, False or the path of {VIZ}, and {type(where).__name__} came: {where!r}"
        )
    given = os.environ.get(VARIABLE) if isinstance(where, bool) else where
    if given:
        folders = [Path(given)]
    else:
        here = Path.cwd()
        folders = [here, *here.parents]
    for folder in folders:
        if given and folder.is_file():
            return _checked(folder)
        for place in PLACES if given else PLACES[:-1]:
            file = folder.joinpath(*place, VIZ)
            if file.is_file():
                return _checked(file)
    looked = f"at {os.fspath(given)}" if given else f"in node_modules of {Path.cwd()} and of the folders above it"
    raise OptionError(
        f"relayout needs Graphviz for the browser, the file {VIZ} of the package @viz-js/viz, and it is not {looked}. "
        f"Get it with\n  npm install @viz-js/viz\n"
        f'in the current folder, or say where it is: relayout="path/to/{VIZ}", or the environment variable {VARIABLE}. '
        f"Without relayout, the page lays graphs out by itself."
    )


def _checked(file: Path) -> Path:
    with open(file, "rb") as opened:
        start = opened.read(4096).lower()
    if b"viz" not in start:
        raise OptionError(f"{file} is not {VIZ} of the package @viz-js/viz: it does not start as that does")
    return file


def _harmless(script: str) -> str:
    """Keep the text of a script from ending its element."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _clean(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    return list(map(_cleaned, value)) if isinstance(value, (list, tuple)) else value


def _read(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    """Return a script without indentation and lines of comment, which would be a fifth of the page."""
    lines = (line.strip() for line in _read(name).splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))


def _style(name: str) -> str:
    return "".join(line.strip() for line in _read(name).splitlines())


def _themes() -> str:
    """Return the colours of both themes as variables, the dark ones also for readers whose system asks for them."""
    blocks = {}
    for name in ("light", "dark"):
        colors = {**THEMES[name]._asdict(), **CHROME[name], **HIGHLIGHT[name]}
        blocks[name] = "".join(f"--{key.replace('_', '-')}:{value};" for key, value in colors.items())
        blocks[name] += f"color-scheme:{name};"
    return (
        f":root{{{blocks['light']}}}:root[data-theme=dark]{{{blocks['dark']}}}"
        f"@media (prefers-color-scheme:dark){{:root[data-theme=auto]{{{blocks['dark']}}}}}"
    )


def _body(title: str, steps: bool) -> str:
    bar = f"""\
<header id="bar">
<h1 title="{html.escape(title)}">{html.escape(title)}</h1>
<input id="search" type="search" placeholder="search op, parameter, shape, source line ( / )" \
aria-label="search op, parameter, shape, source line" autocomplete="off" spellcheck="false">
<select id="color" aria-label="what colours mean"></select>
<button id="expand" type="button">expand all</button>
<button id="collapse" type="button">collapse all</button>
<button id="unfold" type="button" aria-pressed="false">unfold</button>
<button id="fit" type="button">fit</button>
<button id="theme" type="button" aria-label="dark theme" aria-pressed="false">dark</button>
<button id="save" type="button">save SVG</button>
<span id="count"></span>
<span id="status" role="status" aria-live="polite"></span>
</header>
<main class="stage">
<svg id="picture" tabindex="0" role="group" \
aria-label="graph of {html.escape(title)}; arrow keys go from node to node" \
font-family="Helvetica, Arial, sans-serif"><g id="scene"></g></svg>
<div id="legend" aria-label="legend"></div>
</main>
<aside id="panel" aria-label="details"><div id="steps"></div><div id="details"></div></aside>"""
    return f"{bar}\n{STEP_BAR}" if steps else bar


STEP_BAR = """\
<footer id="walk" aria-label="steps">
<button id="first" type="button" aria-label="first step">|◀</button>
<button id="back" type="button" aria-label="step back">◀</button>
<button id="next" type="button" aria-label="step forward">▶</button>
<button id="last" type="button" aria-label="last step">▶|</button>
<button id="play" type="button" aria-pressed="false">play</button>
<input id="slider" type="range" min="0" value="0" step="1" aria-label="step">
<output id="where" for="slider"></output>
<span id="spoken" class="unseen" role="status" aria-live="polite"></span>
</footer>"""


def write_page(path: str | os.PathLike[str], text: str, what: str) -> None:
    """Write a page to a file; an older file of that name stays whole until the new one is complete."""
    from ..drawing import write_whole

    path = os.fspath(path)
    folder, ending = os.path.dirname(path), os.path.splitext(path)[1]
    if ending.lower() not in (".html", ".htm"):
        raise OptionError(f"cannot save {what} as {path!r}: it is a page, so the name must end in .html")
    if folder and not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, f"the folder to save {what} in does not exist", folder)
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, f"cannot save {what} over a folder", path)
    write_whole(path, text.encode())


def show_page(thing: Any, make: Callable[[], str]) -> None:
    """Show a page: in a notebook in its place, else in the browser."""
    try:
        from IPython import get_ipython  # type: ignore[import-not-found]
        from IPython.display import display  # type: ignore[import-not-found]

        in_notebook = get_ipython() is not None and "IPKernelApp" in get_ipython().config
    except ImportError:
        in_notebook = False
    if in_notebook:
        display(thing)
        return
    import tempfile
    import webbrowser

    with tempfile.NamedTemporaryFile("wb", suffix=".html", prefix="minigrad-", delete=False) as file:
        file.write(make().encode())
    webbrowser.open(f"file://{file.name}")
