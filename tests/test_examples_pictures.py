"""What the examples with pictures of graphs claim."""

import io
import math
import shutil
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad.draw import engine
from tests.example_scripts import load, run

EXAMPLE = "vanishing_gradients"


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_gradients_vanish_with_sigmoids_and_not_with_relu():
    runs, printed, _ = run(EXAMPLE)
    weights = load(EXAMPLE)["weight_gradients"]
    for drawing in runs["sigmoid"][1]:
        sizes = weights(drawing)
        assert len(sizes) == 8
        assert sizes == sorted(sizes)
        assert sizes[0] < 1e-3 * sizes[-1]
    for drawing in runs["ReLU"][1]:
        assert max(weights(drawing)) < 10 * min(weights(drawing))
    accuracy = {activation: solver.val_acc_history[-1] for activation, (solver, _) in runs.items()}
    assert accuracy["sigmoid"] < 0.2 < 0.8 < accuracy["ReLU"]
    for number, size in enumerate(weights(runs["sigmoid"][1][0]), start=1):
        assert any(line.split()[:2] == [str(number), f"{size:.1e}"] for line in printed.splitlines())


def test_the_numbers_are_the_gradients_of_the_loss():
    example, data = load(EXAMPLE), mg.data.digits(flatten=True)
    solver, drawings = example["train"]("ReLU", data, 1, 8, 3)
    solver.model.params = solver.best_params  # of the last epoch, which is the best here
    assert solver.best_val_acc == solver.val_acc_history[-1] > solver.val_acc_history[0]
    _, grads = solver.model.loss(data["X_train"][:100], data["y_train"][:100])
    expected = [np.sqrt(np.mean(grads[f"W{number}"] ** 2)) for number in range(1, 9)]
    np.testing.assert_allclose(example["weight_gradients"](drawings[-1]), expected, rtol=1e-6)


def test_there_is_a_picture_of_every_epoch_on_one_scale():
    runs, _, files = run(EXAMPLE)
    for activation, (solver, drawings) in runs.items():
        assert len(drawings) == solver.num_epochs + 1
        for epoch, drawing in enumerate(drawings):
            assert f"{activation}, epoch {epoch}, accuracy {solver.val_acc_history[epoch]:.0%}" in drawing.source
            assert drawing.shown.scale == load(EXAMPLE)["SCALE"]
            layers = [node for node in drawing.shown.nodes if node.kind == "scope"]
            assert len(layers) == 8 and all("grad" in node.heat for node in layers)
            assert any(name.startswith(f"{activation}_{epoch:02}.") for name in files)


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz's dot program")
def test_the_animation_has_a_frame_for_every_epoch():
    Image = pytest.importorskip("PIL.Image", reason="needs Pillow, which comes with Matplotlib")
    runs, _, files = run(EXAMPLE)
    with Image.open(io.BytesIO(files[f"{EXAMPLE}.gif"])) as animation:
        assert animation.n_frames == len(runs["ReLU"][1])
        assert math.prod(animation.size) > 600 * 800
    assert len(files[f"{EXAMPLE}.gif"]) < 400_000


@pytest.mark.parametrize("missing", ["dot", "all", "pillow"])
def test_what_is_missing_is_named_and_nothing_fails(missing, tmp_path, monkeypatch, capsys):
    if missing == "pillow":
        if shutil.which("dot") is None:
            pytest.skip("needs Graphviz's dot program")
        monkeypatch.setitem(sys.modules, "PIL", None)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    if missing == "all":
        monkeypatch.setattr(engine, "has_wheel", lambda: False)
    load(EXAMPLE)["main"](epochs=1, layers=3)
    printed = capsys.readouterr().out
    assert ("pip install pillow" if missing == "pillow" else "install graphviz") in printed
    assert "gradient RMS of the weights" in printed
    written = {path.suffix for path in (tmp_path / "out" / EXAMPLE).iterdir()}
    assert len(list((tmp_path / "out" / EXAMPLE).iterdir())) == 4
    assert written <= {"dot": {".svg", ".gv"}, "all": {".gv"}, "pillow": {".png"}}[missing]
    assert not list(tmp_path.rglob("*.gif"))
