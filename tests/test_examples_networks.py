"""What the examples with classifiers, captions and text claim."""

import numpy as np
import pytest

import minigrad as mg
from tests.data.files import write_cifar10
from tests.example_scripts import load, run


@pytest.mark.parametrize(
    "example", ["linear_classifiers", "fully_connected", "convnet", "captioning", "char_transformer"]
)
def test_a_picture_is_written(example):
    pytest.importorskip("matplotlib")
    _, printed, files = run(example)
    assert files[f"{example}.png"].startswith(b"\x89PNG")
    assert f"{example}.png" in printed


@pytest.mark.parametrize("loss", ["SVM", "softmax"])
def test_the_losses_written_out_are_the_fused_ones(loss):
    written_out = load("linear_classifiers")["LinearClassifier"](loss, 0.1, seed=0)
    fused = mg.models.LinearClassifier(64, loss=loss.lower(), reg=0.1, seed=0)
    data = mg.data.digits(flatten=True)
    batch = data["X_train"][:50], data["y_train"][:50]
    for (found, grads), (expected, references) in [(written_out.loss(*batch), fused.loss(*batch))]:
        np.testing.assert_allclose(found, expected)
        for name, reference in references.items():
            np.testing.assert_allclose(grads[name], reference, atol=1e-12)


@pytest.mark.parametrize("loss", ["SVM", "softmax"])
def test_a_penalty_makes_templates_look_like_the_digits(loss):
    weak, strong = (row for row in run("linear_classifiers")[0] if row["loss"] == loss)
    assert strong["likeness"] > weak["likeness"]
    assert weak["accuracy"][2] > max(strong["accuracy"][2], 0.95)


def test_momentum_and_adaptive_steps_are_faster():
    rules = run("fully_connected")[0]["rules"]
    end = {rule: np.mean(solver.loss_history[-20:]) for rule, solver in rules.items()}
    assert end["sgd_momentum"] < 0.5 * end["sgd"]
    assert max(end["rmsprop"], end["adam"]) < end["sgd"]


def test_normalisation_makes_up_for_small_weights():
    solvers = run("fully_connected")[0]["norms"]
    accuracy = {key: solver.val_acc_history[-1] for key, solver in solvers.items()}
    small, fitting = sorted({scale for _, scale in accuracy})
    assert accuracy["none", small] < 0.3 < 0.7 < accuracy["none", fitting]
    assert min(accuracy["batch", small], accuracy["layer", small]) > 0.9


def test_dropout_keeps_a_network_from_learning_wrong_labels():
    solvers = run("fully_connected")[0]["dropouts"]
    assert solvers[1.0].train_acc_history[-1] > 0.98 > 0.9 > solvers[0.5].train_acc_history[-1]
    assert solvers[0.5].val_acc_history[-1] > solvers[1.0].val_acc_history[-1] + 0.02


def test_the_filters_become_smooth():
    result, _, _ = run("convnet")

    def roughness(filters):
        across, down = np.diff(filters, axis=3), np.diff(filters, axis=2)
        return (np.mean(across**2) + np.mean(down**2)) / np.var(filters)

    after = result["solver"].model.params["W1"]
    assert roughness(after) < 0.8 * roughness(result["before"])
    assert result["test_accuracy"] > 0.9


def test_the_convolutional_network_takes_the_files_of_cifar_10(tmp_path, capsys):
    write_cifar10(tmp_path / "files", size=220)
    result = load("convnet")["main"](cifar10=tmp_path / "files", images=100, epochs=1, filters=4, out=tmp_path)
    assert result["before"].shape == (4, 3, 7, 7)
    assert len(result["solver"].loss_history) == 2
    assert "truck: " in capsys.readouterr().out


def test_every_model_learns_the_captions_by_heart():
    result, printed, _ = run("captioning")
    assert list(result["rows"]) == ["rnn", "lstm", "transformer"]
    for name, row in result["rows"].items():
        assert row["train"] == 1.0
        assert row["last"] < 0.05 * row["first"]
        assert 0.05 < row["test"] < 0.5  # by heart
        assert f"  {name:<12} a zero with a hole\n" in printed


def test_captions_tell_what_is_in_the_picture():
    describe = load("captioning")["describe"]
    column = np.zeros((8, 8))
    column[:, 3] = 16
    assert describe(column, 1) == "a thin narrow one"
    assert describe(np.full((8, 8), 9), 8) == "a bold wide eight with two holes"
    middle = np.zeros((8, 8))
    middle[:, 2:6] = 9.5
    middle[:, 2] += 1
    assert describe(middle, 8) == "a narrow eight with two holes"


def test_the_transformer_learns_more_than_the_frequencies_of_letters():
    result, printed, _ = run("char_transformer")
    limits = list(result["baselines"].values())
    assert limits == sorted(limits, reverse=True)
    held_out = list(result["tests"].values())
    assert held_out[-1] < limits[1] - 0.5
    assert abs(result["losses"][0] - limits[0]) < 0.5  # it begins knowing nothing
    assert result["text"].startswith("The gradient") and result["text"] in printed


def test_the_transformer_takes_other_texts(tmp_path):
    (tmp_path / "poem.md").write_text("so much depends upon a red wheel barrow glazed with rain water " * 20)
    main = load("char_transformer")["main"]
    result = main(steps=10, width=8, block_size=8, prompt="red", length=5, docs=tmp_path, out=tmp_path)
    assert len(result["text"]) == 8
    with pytest.raises(SystemExit, match="no .md files"):
        main(docs=tmp_path / "nowhere")
