"""What the examples with images, and the race of the update rules, claim about what one sees."""

import io
import sys

import numpy as np
import pytest

import minigrad as mg
from tests.example_scripts import load, run


@pytest.mark.parametrize("example", ["gan", "saliency", "simclr", "style_transfer"])
def test_a_picture_is_written(example):
    pytest.importorskip("matplotlib")
    _, printed, files = run(example)
    assert files[f"{example}.png"].startswith(b"\x89PNG")
    assert f"{example}.png" in printed


def test_the_gan_learns_to_draw_digits():
    result, _, _ = run("gan")
    untrained, early, trained, real = result["table"]
    assert max(untrained["certainty"], early["certainty"]) + 0.1 < trained["certainty"] < real["certainty"]
    assert untrained["distance"] > early["distance"] > trained["distance"] > real["distance"]  # none learnt by heart
    assert trained["digits"] >= 9
    assert np.isfinite(result["losses"]).all()


@pytest.mark.parametrize("options", [{"conv": True}, {"loss": "lsgan"}], ids=str)
def test_the_other_gans_run(options, tmp_path):
    result = load("gan")["main"](steps=20, out=tmp_path, **options)
    assert np.isfinite(result["losses"]).all()
    assert np.abs(result["gan"].sample(3)).max() <= 1


def test_salient_pixels_matter_most():
    after = run("saliency")[0]["after"]
    for most, some, least in zip(after["the most salient"], after["any"], after["the least salient"]):
        assert most < some - 0.1 < least
    assert after["the most salient"][-1] < after["any"][-1] - 0.3


def test_fooling_images_fool_and_random_changes_do_not():
    result, _, _ = run("saliency")
    assert result["fooled_into"] == 1.0
    assert result["fooled"] == 0.0
    assert result["noisy"] > 0.95


def test_the_image_made_for_a_digit_is_taken_for_it():
    assert run("saliency")[0]["certainty"].min() > 0.75


def test_style_transfer_takes_the_style_and_keeps_the_content():
    result, _, _ = run("style_transfer")
    house, waves, _, made = result["table"]
    (made_content, made_style, _), (_, house_style, _), (waves_content, _, _) = made, house, waves
    assert house[0] == waves[1] == 0  # each is its own measure
    assert made_style < 0.1 * house_style
    assert made_content < 0.6 * waves_content
    assert result["history"][-1] < 0.3 * result["history"][0]
    assert result["image"].min() >= 0 and result["image"].max() <= 1


def test_features_learnt_without_labels_help_where_labels_are_few():
    result, _, _ = run("simclr")
    assert np.mean(result["losses"][-20:]) < result["losses"][0] - 0.5
    for accuracies in result["table"].values():
        assert accuracies["SimCLR"] > accuracies["untrained"] + 0.03
    mean = {name: np.mean([row[name] for row in result["table"].values()]) for name in ("pixels", "SimCLR")}
    assert mean["SimCLR"] > mean["pixels"] + 0.015


def test_views_are_of_the_image():
    augment = load("simclr")["augment"]
    X = mg.data.digits(normalize=False)["X_test"] / 8 - 1
    same = augment(X, np.random.default_rng(0), shift=0, scale=0, noise=0)
    assert np.allclose(same, X)
    views = augment(X, np.random.default_rng(0), noise=0)
    assert views.dtype == X.dtype and views.shape == X.shape
    assert views.min() >= -1 and views.max() <= 1
    own = np.sum((views - X) ** 2, axis=(1, 2, 3))
    assert own.min() > 0 and np.mean(own) < np.mean(np.sum((views - np.roll(X, 1, axis=0)) ** 2, axis=(1, 2, 3)))


def test_the_update_rules_race_as_described():
    races, printed, _ = run("update_rules")
    arrived = {rule: race["arrived"] for rule, race in races.items()}
    assert arrived["sgd_momentum"] < arrived["adam"] < arrived["rmsprop"]
    assert arrived["sgd"] is None and "not yet" in printed
    overshoot = {rule: race["valley"][:, 1].min() for rule, race in races.items()}
    assert overshoot["sgd_momentum"] < min(y for rule, y in overshoot.items() if rule != "sgd_momentum") - 0.5
    left = {rule: race["left"] for rule, race in races.items()}
    assert left["sgd"] is None and np.abs(races["sgd"]["saddle"][-1]).max() < 0.2  # in the middle of the saddle
    assert left["sgd_momentum"] > 2 * max(left["rmsprop"], left["adam"])


@pytest.mark.parametrize("surface", ["valley", "saddle"])
def test_the_gradient_of_a_surface_is_right(surface):
    function = load("update_rules")[surface]
    mg.check_grads(function, (np.array([0.7, -0.4]),))
    assert function(np.ones((2, 3, 4))).shape == (3, 4)


def test_the_minimum_of_the_valley():
    example = load("update_rules")
    assert example["valley"](example["MINIMUM"]) == 0
    assert np.array_equal(mg.grad(example["valley"])(example["MINIMUM"]), [0, 0])


def test_the_race_is_an_animation():
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    _, printed, files = run("update_rules")
    assert "update_rules.gif" in printed
    animation = image.open(io.BytesIO(files["update_rules.gif"]))
    assert animation.n_frames == 3
    frames = []
    for number in range(3):
        animation.seek(number)
        frames.append(np.asarray(animation.convert("RGB")))
    assert not np.array_equal(frames[0], frames[1]) and not np.array_equal(frames[1], frames[2])


@pytest.mark.parametrize("example, options", [("update_rules", {}), ("style_transfer", {"steps": 1, "size": 16})])
def test_without_matplotlib_there_are_words(example, options, tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"] + ["matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it now raises ImportError
    load(example)["main"](out=tmp_path, **options)
    assert "pip install matplotlib" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
