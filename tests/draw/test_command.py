"""``python -m minigrad draw``: files and names, formats, examples of inputs, and what goes wrong."""

import json
import os
import shutil

import pytest

from minigrad.__main__ import main

NETS = """\
import numpy as np
import minigrad as mg
from helper import width

def conv():
    return mg.models.ThreeLayerConvNet(input_dim=(1, 8, 8), num_filters=4, filter_size=3, hidden_dim=width, seed=0)

def sequential():
    return mg.nn.Sequential(mg.nn.Affine(5), mg.relu, mg.nn.Affine(2)).build(np.ones((1, 3)), seed=0)

def words():
    class Net(mg.nn.Layer):
        def __init__(self):
            self.embedding, self.out = mg.nn.Embedding(10, 4), mg.nn.Affine(3)
        def forward(self, x):
            return self.out(np.mean(self.embedding(x), axis=1))
    return Net().build(np.zeros((1, 4), int), seed=0)

def unbuilt():
    return mg.nn.Sequential(mg.nn.Affine(5), mg.relu, mg.nn.Affine(2))

def with_data():
    return sequential(), np.ones((2, 3)), np.array([0, 1])

def with_input():
    return sequential(), np.ones((2, 3))

def function():
    return (lambda a, b: a * b + a), 2.0, 3.0

class Linear(mg.Model):
    def __init__(self):
        self.params = {"W": np.ones((6, 3))}
    def forward(self, params, X):
        return X @ params["W"]

model = Linear()

def needs(x):
    return x

def three():
    return 3

def breaks():
    raise KeyError("a mistake of the user's own")
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "helper.py").write_text("width = 10\n")
    (tmp_path / "broken.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        status = main(["draw", *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


@pytest.mark.parametrize(
    "name", ["conv", "sequential", "words", "with_data", "with_input", "function", "Linear", "model"]
)
def test_what_a_name_may_mean(run, name):
    status, out, _ = run(f"nets.py:{name}")
    assert (status, out) == (0, "written: net.html\n")
    with open("net.html", encoding="utf-8") as file:
        assert file.read().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("name", "shape"), [("conv", "(2, 1, 8, 8)"), ("sequential", "(2, 3)"), ("words", "(2, 8)"), ("Linear", "(2, 6)")]
)
def test_an_example_of_the_input_is_found(run, name, shape):
    status, _, err = run(f"nets.py:{name}", "--out", "net.json")
    assert status == 0
    assert f"is drawn for a minibatch of shape {shape}; use --shape for another" in err
    with open("net.json", encoding="utf-8") as file:
        data = json.load(file)
    assert "loss" in [node["kind"] for node in data["nodes"]]  # labels were found too


def test_a_given_shape_is_used_and_builds_a_network(run):
    status, _, err = run("nets.py:unbuilt", "--shape", "7,3", "--out", "net.txt")
    assert (status, err) == (0, "")
    with open("net.txt", encoding="utf-8") as file:
        assert "X  7×3" in file.read()
    assert run("nets.py:words", "--shape", "5x6", "--dtype", "int64", "--out", "net.txt")[0] == 0
    with open("net.txt", encoding="utf-8") as file:
        assert "5×6" in file.read()


@pytest.mark.parametrize("ending", ["gv", "dot", "json", "txt", "html"])
def test_formats_that_need_no_graphviz(run, ending, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert run("nets.py:function", "--out", f"net.{ending}")[0] == 0
    assert os.path.getsize(f"net.{ending}")


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's dot program")
@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_formats_of_graphviz(run, ending, start):
    assert run("nets.py:with_data", "--out", f"net.{ending}", "--view", "dual")[0] == 0
    with open(f"net.{ending}", "rb") as file:
        assert file.read().startswith(start)


def test_options_reach_the_picture(run):
    options = ["--view", "dual", "--color", "grad", "--direction", "LR", "--theme", "dark", "--params", "nodes"]
    assert run("nets.py:with_data", "--out", "net.json", *options)[0] == 0
    with open("net.json", encoding="utf-8") as file:
        shown = json.load(file)["shown"]
    assert [shown[name] for name in ("view", "color", "direction", "theme", "params")] == [
        "dual", "grad", "LR", "dark", "nodes",
    ]  # fmt: skip


def test_stepping(run):
    assert run("nets.py:function", "--step", "--out", "walk.html")[0] == 0
    with open("walk.html", encoding="utf-8") as file:
        assert 'id="slider"' in file.read()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nets.py"], "'nets.py' is not FILE:NAME; write, for example, examples/net.py:make_model"),
        ([":conv"], "is not FILE:NAME"),
        (["nothing.py:conv"], "there is no file 'nothing.py'"),
        (["nets.py:sequentail"], "nets.py has no 'sequentail'; did you mean \"sequential\"?"),
        (["nets.py:needs"], "needs in nets.py cannot be called without arguments"),
        (["nets.py:three"], "nets.py:three returned int; it must return a model"),
        (["nets.py:unbuilt"], "Sequential has no parameters yet: build it, or say what its minibatch is like"),
        (["nets.py:conv", "--out", "net.jpg"], "the ending '.jpg' is not known"),
        (["nets.py:conv", "--out", "net.svg", "--step"], "with --step a page is written"),
        (["nets.py:conv", "--step", "--color", "grad"], "--color is for pictures; a walk (--step) shows every op"),
        (["nets.py:conv", "--step", "--max-nodes", "9"], "--max-nodes is for pictures"),
        (["nets.py:conv", "--out", "net.svg", "--relayout"], "--relayout is for a page"),
        (["nets.py:conv", "--view", "duel"], 'did you mean "dual"'),
        (["nets.py:conv", "--shape", "a,b"], "--shape a,b: it takes whole numbers"),
        (["nets.py:conv", "--shape", "2,3,8,8"], "3"),
        (["nets.py:with_data", "--shape", "2,3"], "--shape is for a model that comes without an input"),
        (["nets.py:unbuilt", "--shape", "2,3", "--dtype", "flat32"], "--dtype flat32 is no dtype of NumPy"),
        (["nets.py:conv", "--out", "nowhere/net.html"], "the folder to save a drawing in does not exist"),
    ],
    ids=str,
)
def test_bad_input_is_one_line_and_writes_nothing(run, arguments, words):
    before = sorted(os.listdir())
    status, out, err = run(*arguments)
    assert (status, out) == (1, "")
    assert words in err
    assert err.splitlines()[-1].startswith("python -m minigrad draw: ") or "for a minibatch" in err
    assert [name for name in sorted(os.listdir()) if name != "__pycache__"] == before


def test_a_mistake_in_the_file_is_the_files_own(run):
    with pytest.raises(KeyError, match="a mistake of the user's own"):
        run("nets.py:breaks")
    with pytest.raises(SyntaxError):
        run("broken.py:f")


def test_it_is_among_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["drw"])
    assert 'did you mean "draw"?' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["draw", "--help"])
    assert "FILE:NAME" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["draw"])
    assert "FILE:NAME" in capsys.readouterr().err
