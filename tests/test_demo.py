"""The demo: it learns, writes its files, and does without the programs that it would like to have."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

import minigrad as mg
from minigrad import demo
from minigrad.__main__ import main as command_line
from minigrad.core.errors import GraphvizNotFound

NAMES = ["digits-network.gv", "digits-network.svg", "curves.png"]


def test_demo_learns_and_writes_its_files(tmp_path, capsys):
    out = tmp_path / "a folder" / "out"
    result = demo.main(out=out, seed=1)
    printed = capsys.readouterr().out
    assert result["val_accuracy"] >= 0.97
    assert result["test_accuracy"] >= 0.95
    assert f"Test accuracy {result['test_accuracy']:.1%}" in printed
    assert result["seconds"] < 20
    for name in NAMES:
        path = out / name
        assert str(path) in printed, "written or not, every file is named"
        assert (path in result["files"]) == path.exists()
    assert {"digits-network.gv", "curves.png"} <= {path.name for path in result["files"]}
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "digraph" in (out / "digits-network.gv").read_text(encoding="utf-8")
    if "digits-network.svg" in {path.name for path in result["files"]}:
        assert ElementTree.parse(out / "digits-network.svg").getroot().tag.endswith("svg")


@pytest.fixture
def quick_solver(monkeypatch):
    """One epoch instead of twenty: for what does not depend on learning."""
    train = mg.Solver.train

    def train_one_epoch(solver, *args, **kwargs):
        solver.num_epochs = 1
        return train(solver, *args, **kwargs)

    monkeypatch.setattr(mg.Solver, "train", train_one_epoch)


def test_seed_decides_the_result(tmp_path, quick_solver):
    first, again, other = (demo.main(out=tmp_path, seed=seed) for seed in (3, 3, 4))
    assert first["test_accuracy"] == again["test_accuracy"]
    assert (first["val_accuracy"], first["test_accuracy"]) != (other["val_accuracy"], other["test_accuracy"])


def test_demo_without_graphviz(tmp_path, capsys, monkeypatch, quick_solver):
    drawing_type = type(mg.draw(demo.TwoLayerNet(), *_batch()))
    save = drawing_type.save

    def save_without_graphviz(drawing, path, *args, **kwargs):
        if str(path).endswith(".svg"):
            raise GraphvizNotFound("install Graphviz")
        return save(drawing, path, *args, **kwargs)

    monkeypatch.setattr(drawing_type, "save", save_without_graphviz)
    assert command_line(["demo", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert f"Not drawn: {tmp_path / 'digits-network.svg'}\n  install Graphviz" in printed
    assert (tmp_path / "digits-network.gv").exists()
    assert not (tmp_path / "digits-network.svg").exists()
    assert (tmp_path / "curves.png").exists()


def test_demo_without_matplotlib(tmp_path, capsys, monkeypatch, quick_solver):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = demo.main(out=tmp_path)
    printed = capsys.readouterr().out
    assert f"Not drawn: {tmp_path / 'curves.png'}" in printed and "pip install matplotlib" in printed
    assert tmp_path / "curves.png" not in result["files"]
    assert tmp_path / "digits-network.gv" in result["files"]


def test_no_command_prints_the_help(capsys):
    assert command_line([]) == 0
    assert "demo" in capsys.readouterr().out


def test_unknown_command_suggests_the_nearest(capsys):
    with pytest.raises(SystemExit) as stopped:
        command_line(["dmeo"])
    assert stopped.value.code == 2
    assert 'unknown command "dmeo"; did you mean "demo"?' in capsys.readouterr().err


def test_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "minigrad", "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python -m minigrad")


def _batch():
    data = mg.data.digits()
    return data["X_train"][:50], data["y_train"][:50]
