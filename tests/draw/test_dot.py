"""The DOT text: escaping, both dialects, and the same bytes in every process."""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.draw import draw
from minigrad.draw.dot import dot_text, html_text, quoted, record_text
from minigrad.draw.palette import KINDS, look_of

HOSTILE = ["<lambda>", "a\\N b", 'say "hi" & <b>', "変数 的", "x|y{z}", "tail\\", "&lt;", "\\", "it's", "]]>", "--"]
BLANK = ["", " ", "new\nline", "tab\t", "\x00\x07", "\ud800", "long " * 100]

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's dot program")


def hostile_drawing(names):
    def f(params):
        total = 0.0
        for name in params:
            with mg.scope(name or "/"):
                total = np.tanh(total + params[name] * np.ones((3, 3)))
        return np.sum(total)

    f.__name__ = 'f <&> a\\N "q" {x|y}'
    return draw(f, {name: np.ones(3) for name in names})


def texts_of(svg):
    """Return what an SVG's text elements say, one string per element, and its tooltips."""
    root = ElementTree.fromstring(svg)
    texts = ["".join(element.itertext()).strip(" ") for element in root.iter("{http://www.w3.org/2000/svg}text")]
    tooltips = [element.get("{http://www.w3.org/1999/xlink}title", "") for element in root.iter()]
    return texts, tooltips


def dot(source):
    done = subprocess.run(["dot", "-Tsvg"], input=source.encode(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@needs_dot
@pytest.mark.parametrize("html", [True, False])
def test_hostile_names_arrive_as_they_are(html):
    drawing = hostile_drawing(HOSTILE)
    texts, tooltips = texts_of(dot(dot_text(drawing.view, html=html)))
    for name in HOSTILE:
        if html:
            assert texts.count(name) == 2  # the frame's title and the chip
        else:
            assert f"{name} · 3 params" in texts
            assert f"{name} 3" in texts
        assert name in tooltips  # the frame's
        assert any(f"· {name} 3 float64" in tooltip for tooltip in tooltips)
    assert drawing.view.title in texts


@needs_dot
def test_no_text_starts_with_a_space_that_an_svg_would_lose():
    svg = dot(hostile_drawing(["W", "b"]).source).decode()
    starts = re.findall(r'<text [^>]*text-anchor="start"[^>]*>(.)', svg)
    assert len(starts) > 10
    assert " " not in starts


@needs_dot
@pytest.mark.parametrize("html", [True, False])
def test_names_that_are_hardly_names_do_no_harm(html):
    texts, _ = texts_of(dot(dot_text(hostile_drawing(BLANK).view, html=html)))
    assert any("new↵line" in text for text in texts)
    assert max(map(len, texts)) < 90


def test_each_kind_of_text_has_its_escaping():
    assert html_text('<a & "b">') == "&lt;a &amp; &quot;b&quot;&gt;"
    assert quoted('a "b" & \\N') == r'"a \"b\" &amp; \\N"'
    assert quoted("one", "two") == r'"one\ntwo"'
    assert quoted("\\N", "two", tooltip=True) == r'"\\\\N · two"'
    assert record_text("{a|b} <c>") == r"\{a\|b\} \<c\>"
    assert html_text("\x00\ud800\n") == "\ufffd\ufffd↵"


PROGRAM = """
import sys
import numpy as np, minigrad as mg
from minigrad.draw import draw
def f(params, x, labels):
    with mg.scope("fc1"):
        h = np.maximum(0, x @ params["W1"] + params["b1"])
    with mg.scope("fc2"):
        scores = np.where(h > 0, h, 0.0) @ params["W2"]
    return mg.softmax_loss(scores, labels) + 0.5 * np.sum(params["W2"] * params["W2"])
rng = np.random.default_rng(0)
params = {"W1": rng.standard_normal((4, 5)), "b1": np.zeros(5), "W2": rng.standard_normal((5, 3))}
sys.stdout.buffer.write(draw(f, params, rng.standard_normal((7, 4)), np.arange(7) % 3).source.encode())
"""


def test_every_process_writes_the_same_bytes(tmp_path):
    outputs = set()
    for seed in ("0", "1", "4242"):
        folder = tmp_path / seed  # the folder must not show either
        folder.mkdir()
        (folder / "program.py").write_text(PROGRAM)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(mg.__file__).parents[1])}
        outputs.add(subprocess.check_output([sys.executable, folder / "program.py"], env=environment))
    (source,) = outputs
    assert source.startswith(b"digraph minigrad {\n")
    assert b"program.py:7" in source


@pytest.mark.parametrize("html", [True, False])
def test_only_the_kinds_that_occur_are_in_the_legend(html):
    source = dot_text(draw(lambda x: np.tanh(np.exp(x)), np.ones(2)).view, html=html)
    legend = [kind for kind, look in KINDS.items() if re.search(rf"[>\"]{re.escape(look.legend)}[<\"]", source)]
    assert legend == ["input", "op", "activation"]


def test_the_plain_dialect_has_no_html():
    source = dot_text(hostile_drawing(["W", "b"]).view, html=False)
    assert "label=<" not in source
    assert "shape=Mrecord" in source


def test_an_unknown_kind_of_op_is_drawn_as_an_op():
    @mg.primitive(kind="something new")
    def strange(x):
        return x * 2

    strange.vjp(x=lambda g: g * 2)
    drawing = draw(strange, np.ones(2))
    assert drawing.view.nodes[-1].kind == "something new"
    assert look_of("something new") is KINDS["op"]
    assert f'fillcolor="{KINDS["op"].fill}"' in drawing.source
