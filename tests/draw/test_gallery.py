"""The gallery of docs/ is what scripts/gallery would write."""

from __future__ import annotations

import importlib.util
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LARGEST = 150_000  # bytes: pages with many pictures should open at once


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "scripts" / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        spec.loader.exec_module(module)
        # what the peers draw is no concern of the tests: the page keeps what it says of them
        patch.setattr(module.peers_pictures, "have_peers", lambda: False)
        yield module


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs the program dot of Graphviz")
def test_the_gallery_is_what_would_be_written(gallery):
    assert gallery.differences() == [], "run scripts/gallery, and look at the pictures"


def test_the_pictures_are_small_files_of_text(gallery):
    for path in gallery.PICTURES.iterdir():
        assert path.stat().st_size < LARGEST, path.name
        assert str(ROOT).encode() not in path.read_bytes(), path.name  # nothing of the machine that drew it
        ElementTree.parse(path)


def test_the_page_shows_each_picture_with_words_in_its_place(gallery):
    page = gallery.PAGE.read_text(encoding="utf-8")
    for picture in gallery.GALLERY:
        assert f'<img src="pictures/gallery/{picture.name}.svg" alt="' in page
    assert 'alt=""' not in page


def test_what_the_peers_draw_is_kept_where_they_are_not_installed(gallery):
    page = gallery.PAGE.read_text(encoding="utf-8")
    kept = gallery.counts_kept(page)
    assert {name: set(counts) for name, counts in kept.items()} == {
        name: {"torchviz", "torchview"} for name in gallery.NETS
    }
    assert gallery.counts_table(page) in page
    assert "| 2-layer MLP | 9, 8 | 9, 8 | - | - |" in gallery.counts_table("")


def test_pictures_say_the_same_up_to_rounding(gallery):
    assert gallery.same("text rms 1.26e-05", "text rms 1.27e-05")
    assert not gallery.same("text rms 1.2e-05", "text rms 1.2e-04")
    assert not gallery.same("text 50×64", "text 50×65")
    assert not gallery.same("text relu", None)


def test_counting_the_nodes_and_edges_of_dot_text(gallery):
    graphviz = pytest.importorskip("graphviz")
    graph = graphviz.Digraph("net", node_attr={"shape": "box"})
    graph.attr("graph", ordering="in")
    graph.node("1", 'a "quoted"\nlabel')
    with graph.subgraph(name="cluster_2") as inside:
        inside.node("2", "b [0]")
        inside.node("3", label="<<B>c</B>>")
    graph.edges([("1", "2"), ("1", "3")])
    graph.edge("2", "3", label="50 -> 10")
    assert gallery.peers_pictures.count_dot(graph.source) == (3, 3)
