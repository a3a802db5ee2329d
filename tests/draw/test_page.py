"""The page as a file and as data: what is in it, that it is whole, and that nothing in it can harm."""

import gc
import html.parser
import json
import os
import re
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import OptionError
from minigrad.draw import draw
from minigrad.draw.page.data import page_data
from minigrad.draw.page.page import find_viz, page_html
from tests.draw import nets

ROOT = Path(__file__).parents[2]
NETS = {"mlp2": nets.mlp2, "bn5": nets.bn5, "conv3": nets.conv3, "lstm10": nets.lstm10, "gpt2": nets.transformer}


def drawing_of(name, **options):
    function, arguments = NETS[name]()
    return draw(function, *arguments, **options)


@pytest.fixture(scope="module")
def drawing():
    return drawing_of("gpt2", depth=1)


class Elements(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = [("", {})]
        self.texts = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        tag, attributes = self.found[-1]
        key = attributes.get("id", tag)
        self.texts[key] = self.texts.get(key, "") + data


def data_in(page):
    return json.loads(Elements(page).texts["data"])


# --- the file -------------------------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_asks_for_nothing(drawing):
    page = drawing.to_html()
    elements = Elements(page)
    assert [tag for tag, _ in elements.found if tag in ("link", "img", "iframe", "object", "base")] == []
    assert all("src" not in attributes and "href" not in attributes for _, attributes in elements.found)
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|@import|url\(", page)
    addresses = set(re.findall(r"https?://[^\"'\s<>)]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not a place
    policy = next(a["content"] for tag, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy


def test_ids_are_unique(drawing):
    ids = [attributes["id"] for _, attributes in Elements(drawing.to_html()).found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_to_html_writes_or_returns(drawing, tmp_path):
    assert drawing.to_html(tmp_path / "net.html") is None
    assert (tmp_path / "net.html").read_text(encoding="utf-8") == drawing.to_html()
    assert os.listdir(tmp_path) == ["net.html"]


def test_a_page_of_a_network_of_middling_size_is_about_100_kilobytes():
    function, arguments = nets.transformer(12)
    assert len(draw(function, *arguments, depth=2).to_html().encode()) < 130_000
    assert len(drawing_of("conv3").to_html().encode()) < 100_000


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("net.htmk", OptionError, r"must end in \.html"),
        ("net", OptionError, r"must end in \.html"),
        ("nowhere/net.html", FileNotFoundError, "the folder to save a drawing in does not exist"),
    ],
)
def test_bad_paths(drawing, tmp_path, path, error, words):
    with pytest.raises(error, match=words):
        drawing.to_html(tmp_path / path)
    assert os.listdir(tmp_path) == []


def test_an_older_page_stays_whole_when_writing_fails(drawing, tmp_path, monkeypatch):
    path = tmp_path / "net.html"
    path.write_text("old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        drawing.to_html(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["net.html"]


def test_the_same_bytes_in_every_process():
    code = (
        "from tests.draw import nets; from minigrad.draw import draw; from minigrad.draw.step import step_through\n"
        "import hashlib, re\n"
        "for make in (nets.mlp2, nets.lstm10, nets.transformer):\n"
        "    f, a = make()\n"
        "    print(hashlib.sha256(draw(f, *a, measure=False).to_html().encode()).hexdigest())\n"
        "f, a = nets.mlp2()\n"
        "page = step_through(f, *a).to_html()\n"
        # what is measured with a clock differs
        "page = re.sub(r'\"(forward|backward|time)\":[-+.e0-9]+', '', page)\n"
        "print(hashlib.sha256(page.encode()).hexdigest())\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("0", "4711")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0].split()) == 4


def test_a_page_keeps_nothing_alive():
    class Marked(np.ndarray):
        pass

    x = np.ones((3, 2)).view(Marked)
    alive = weakref.ref(x)
    drawing = draw(lambda x: np.sum(np.tanh(x)), x)
    drawing.to_html()
    del x
    gc.collect()
    assert alive() is None


def test_a_reader_without_scripts_sees_the_text(drawing):
    page = drawing.to_html()
    assert "<noscript><pre>transformer\n  tokens  4×16" in page


# --- hostile names --------------------------------------------------------------------------------------------------

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!-- <script>",
    "]]>",
    "<lambda>",
    "say \"a\\N\" & 'b'",
    "汉字 and עברית",
    "a\u2028b\u2029c",
    "\ud800 alone",
    "\x00\x07",
    "__proto__",
    "constructor",
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_names_are_only_text(name):
    def net(params, x):
        with mg.scope("scope"):
            return np.sum(np.tanh(x @ params[name]))

    page = draw(net, {name: np.ones((3, 2))}, np.ones((2, 3)), title=name).to_html()
    page.encode()  # no lone surrogate is left
    elements = Elements(page)
    assert [tag for tag, _ in elements.found].count("script") == 2
    clean = re.sub("[\x00-\x08\x0b-\x1f\ud800-\udfff]", "\ufffd", name)
    assert elements.texts["title"].rstrip("\n") == clean
    data = data_in(page)
    assert data["title"] == clean
    assert clean in [node["name"] for node in data["graphs"][0]["nodes"]]
    assert "<" not in elements.texts["data"]


# --- the data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_the_graph_of_a_page_is_that_of_the_picture(name):
    drawing = drawing_of(name)
    graph = data_in(drawing.to_html())["graphs"][0]
    assert [node["id"] for node in graph["nodes"]] == [node.id for node in drawing.shown.nodes]
    ids = [node["id"] for node in graph["nodes"]]
    edges = [(ids[edge[0]], ids[edge[1]], edge[4]) for edge in graph["edges"]]
    assert edges == [(edge.source, edge.target, len(edge.members)) for edge in drawing.shown.edges]
    assert graph["closed"] == []
    assert [frame["title"] for frame in graph["frames"]] == [frame.title for frame in drawing.shown.frames]


def test_what_is_collapsed_in_the_picture_is_closed_in_the_page(drawing):
    graph = data_in(drawing.to_html())["graphs"][0]
    frames = graph["frames"]
    top = {number for number, frame in enumerate(frames) if frame.get("parent") == -1}
    assert set(graph["closed"]) == set(range(len(frames)))  # depth=1, and all that is inside
    assert {frames[number]["title"] for number in top} == {"blocks", "head"}
    only = data_in(drawing_of("gpt2", collapse="attn").to_html())["graphs"][0]
    closed = {only["frames"][number]["path"] for number in only["closed"]}
    assert "blocks.0/attn" in closed
    assert all(path.startswith("blocks.0/attn") for path in closed)


def test_the_unfolded_graph_is_in_the_page_unless_it_is_large():
    drawing = drawing_of("lstm10")
    graphs = data_in(drawing.to_html())["graphs"]
    assert [graph["name"] for graph in graphs] == ["folded", "unfolded"]
    assert len(graphs[1]["nodes"]) == len(drawing.view.nodes)
    function, arguments = nets.transformer(12)
    assert len(data_in(draw(function, *arguments).to_html())["graphs"]) == 1
    assert len(data_in(drawing_of("lstm10", fold=False).to_html())["graphs"]) == 1
    assert data_in(drawing.to_html())["start"] == 0
    assert data_in(drawing_of("lstm10", expand="step#4").to_html())["start"] == 1


def test_a_closed_frame_says_what_python_says_of_it():
    for path in ("blocks.0", "head", "blocks.0/attn"):
        closed = drawing_of("gpt2", collapse=path)
        box = next(node for node in closed.shown.nodes if node.kind == "scope")
        graph = data_in(closed.to_html())["graphs"][0]
        frame = next(frame for frame in graph["frames"] if frame["path"] == box.scope)
        assert frame["words"] == box.lines[0]
        assert frame["title"] == box.name


def test_measured_numbers_are_those_of_the_view():
    drawing = drawing_of("mlp2", histograms=True)
    data = data_in(drawing.to_html())
    by_id = {node.id: node for node in drawing.view.nodes}
    for node in data["graphs"][0]["nodes"]:
        seen, said = by_id[node["of"]], data["whole"][node["of"]]
        assert data["abouts"][said["about"]].get("line", "") == seen.line
        assert data["abouts"][said["about"]].get("rule", []) == list(seen.rule)
        for name in ("value", "gradient"):
            stats = getattr(seen, name)
            row = [*said.get(name, []), *[0] * 10]
            assert (stats is None) == (name not in said)
            if stats is not None:
                assert row[0] == stats.size
                assert row[1:5] == pytest.approx([stats.min, stats.max, stats.mean, stats.rms], rel=1e-4)
                assert row[5:8] == [stats.nan, stats.inf, stats.zero]
                assert row[8] == list(stats.histogram)
    for entry, parameter in data["parameters"].items():
        seen = next(p for p in drawing.view.parameters if p.entry == int(entry))
        assert parameter["name"] == seen.name
        assert parameter["gradient"][4] == pytest.approx(seen.gradient.rms, rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"view": "dual"},
        {"view": "backward"},
        {"params": "nodes"},
        {"params": "hide"},
        {"color": "grad"},
        {"color": "memory"},
        {"direction": "LR"},
        {"theme": "dark"},
        {"shapes": False},
        {"measure": False},
        {"max_nodes": 10},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["mlp2", "lstm10"])
def test_every_option_makes_a_page(name, options):
    drawing = drawing_of(name, **options)
    data = data_in(drawing.to_html())
    graph = data["graphs"][0]
    assert all(0 <= edge[0] < len(graph["nodes"]) and 0 <= edge[1] < len(graph["nodes"]) for edge in graph["edges"])
    assert all(-1 <= frame["parent"] < number for number, frame in enumerate(graph["frames"]))
    for name in ("direction", "view", "theme"):
        assert data[name] == getattr(drawing.shown, name)
    if options.get("params") == "hide":
        assert not any("chips" in node for node in graph["nodes"])
    if options.get("shapes") is False:
        assert not any(edge[3] for edge in graph["edges"] if edge[2] == 0 and "×" in edge[3] and "(" not in edge[3])
    if "measure" in options:
        assert set(data["colors"]) <= {"memory"}


def test_a_carried_edge_names_the_run_that_it_goes_through():
    """Folds in folds: from step to step inside a layer, and from layer to layer."""

    def stacked(params, x):
        for layer in range(2):
            with mg.scope(f"layers.{layer}"):
                state = np.zeros(4)
                outs = []
                for t in range(3):
                    with mg.scope("step"):
                        state = np.tanh(x[t] @ params[f"W{layer}"] + state)
                    outs.append(state)
                x = np.stack(outs)
        return np.sum(x)

    rng = np.random.default_rng(0)
    drawing = draw(stacked, {f"W{i}": rng.standard_normal((4, 4)) for i in range(2)}, np.ones((3, 4)))
    graph = data_in(drawing.to_html())["graphs"][0]
    carried = [
        (graph["nodes"][edge[0]]["name"], graph["nodes"][edge[1]]["name"], graph["frames"][edge[6]]["title"])
        for edge in graph["edges"]
        if edge[7]
    ]
    assert ("tanh", "add", "step") in carried
    assert any(run == "layers" and source == "stack" for source, _, run in carried)


def test_a_large_graph_is_no_trouble():
    def chain(x):
        for i in range(3000):
            with mg.scope(f"part.{i % 50}"):
                x = np.tanh(x) if i % 7 else np.sin(x)
        return x

    page = draw(chain, np.ones(2), fold=False).to_html()
    assert len(page) < 2_000_000
    empty = draw(lambda x: np.tanh(x), np.ones(2))
    assert len(data_in(empty.to_html())["graphs"][0]["nodes"]) == 2


# --- Graphviz in the page -------------------------------------------------------------------------------------------


@pytest.fixture
def viz(tmp_path):
    path = tmp_path / "viz-global.js"
    path.write_text("/*! Viz.js */ globalThis.Viz = {a: '</script>'};")
    return path


def test_relayout_puts_graphviz_into_the_page(drawing, viz):
    for where in (viz, str(viz), viz.parent):
        page = drawing.to_html(relayout=where)
        assert "globalThis.Viz" in page
        assert "Eclipse Public License" in page and "MIT License" in page
        assert "'wasm-unsafe-eval'" in page
        assert page.count("</script>") == 3
        assert data_in(page)["relayout"] is True
    assert data_in(drawing.to_html())["relayout"] is False
    assert "renderJSON" not in drawing.to_html()


def test_graphviz_is_found_in_node_modules_and_by_the_environment(tmp_path, monkeypatch, viz):
    inner = tmp_path / "a" / "b"
    place = tmp_path / "node_modules" / "@viz-js" / "viz" / "dist"
    inner.mkdir(parents=True)
    place.mkdir(parents=True)
    monkeypatch.chdir(inner)
    monkeypatch.delenv("MINIGRAD_VIZ_JS", raising=False)
    with pytest.raises(OptionError, match="npm install @viz-js/viz"):
        find_viz()
    (place / "viz-global.js").write_text("// viz")
    assert find_viz() == place / "viz-global.js"
    monkeypatch.setenv("MINIGRAD_VIZ_JS", str(viz))
    assert find_viz() == viz
    assert find_viz(tmp_path) == place / "viz-global.js"


def test_bad_places_of_graphviz(drawing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIGRAD_VIZ_JS", raising=False)
    with pytest.raises(OptionError, match=r'relayout="path/to/viz-global.js"'):
        drawing.to_html(relayout=True)
    with pytest.raises(OptionError, match="not at nowhere"):
        drawing.to_html(relayout="nowhere")
    (tmp_path / "other.js").write_text("alert(1)")
    with pytest.raises(OptionError, match="other.js is not viz-global.js"):
        drawing.to_html(tmp_path / "net.html", relayout="other.js")
    with pytest.raises(OptionError, match="relayout must be True, False or the path"):
        drawing.to_html(relayout=3)
    assert not (tmp_path / "net.html").exists()


def test_a_view_without_a_picture_is_an_error(drawing):
    with pytest.raises(ValueError, match="says nothing about a picture"):
        page_data(drawing.view._replace(shown=None))
    assert page_html(page_data(drawing.view), "") != ""
