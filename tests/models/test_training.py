"""Usual training runs learn, and nothing is warned of on the way. Warnings are errors in tests."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import models

DIGITS = mg.data.digits()
IMAGE = (1, 8, 8)
WORDS = {"<NULL>": 0, "<START>": 1, "<END>": 2, "a": 3, "b": 4, "c": 5}

CLASSIFIERS = {
    "softmax": (lambda: models.LinearClassifier(64, loss="softmax", seed=0), "sgd", 1e-1),
    "svm": (lambda: models.LinearClassifier(64, loss="svm", seed=0), "sgd", 1e-2),
    "two layers": (lambda: models.TwoLayerNet(64, 50, weight_scale=1e-1, seed=0), "sgd_momentum", 1e-2),
    "batchnorm, dropout": (
        lambda: models.FullyConnectedNet(
            [50, 50], 64, normalization="batchnorm", dropout=0.8, weight_scale=5e-2, seed=0
        ),
        "adam",
        3e-3,
    ),
    "layernorm": (
        lambda: models.FullyConnectedNet([50, 50], 64, normalization="layernorm", weight_scale=5e-2, reg=1e-3, seed=0),
        "rmsprop",
        1e-3,
    ),
    "three layers": (
        lambda: models.ThreeLayerConvNet(IMAGE, 8, 3, 30, weight_scale=1e-2, seed=0),
        "adam",
        5e-3,
    ),
    "float32": (
        lambda: models.ThreeLayerConvNet(IMAGE, 8, 3, 30, weight_scale=1e-2, dtype=np.float32, seed=0),
        "adam",
        5e-3,
    ),
    "deep": (lambda: models.ConvNet(IMAGE, (8, 16), 1, (20,), seed=0), "adam", 3e-3),
    "residual": (lambda: models.ResNet(IMAGE, (1, 1), 8, seed=0), "sgd_momentum", 1e-2),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_digits(name):
    make, rule, learning_rate = CLASSIFIERS[name]
    flat = name not in ("three layers", "float32", "deep", "residual")
    cut = {key: value[: 500 if "train" in key else 100] for key, value in DIGITS.items()}
    data = {key: value.reshape(len(value), -1) if flat and key[0] == "X" else value for key, value in cut.items()}
    options = {"update_rule": rule, "optim_config": {"learning_rate": learning_rate}, "num_epochs": 6}
    solver = mg.Solver(make(), data, batch_size=25, verbose=False, seed=0, **options)
    solver.train()
    assert solver.best_val_acc > 0.75
    make().loss(data["X_train"][:20], data["y_train"][:20])
    with mg.strict():  # nothing broadcasts by accident either
        make().loss(data["X_train"][:20], data["y_train"][:20])


def steps(model, batch, count, learning_rate):
    configs = {name: {"learning_rate": learning_rate} for name in model.params}
    losses = []
    for _ in range(count):
        loss, grads = model.loss(*batch())
        losses.append(loss)
        for name, w in model.params.items():
            model.params[name], configs[name] = mg.optim.adam(w, grads[name], configs[name])
    return losses


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.CaptioningRNN(WORDS, 8, 6, 20, seed=0),
        lambda: models.CaptioningRNN(WORDS, 8, 6, 20, "lstm", seed=0),
        lambda: models.CaptioningTransformer(WORDS, 8, 8, 2, 1, dropout=0.95, seed=0),
    ],
    ids=["rnn", "lstm", "transformer"],
)
def test_captions(make):
    rng, model = np.random.default_rng(0), make()
    features = rng.standard_normal((6, 8))
    captions = np.array([[1, *rng.integers(3, 6, 3), 2] for _ in features])
    losses = steps(model, lambda: (features, captions), 150, 1e-2)
    assert losses[-1] < 0.2 * losses[0]
    assert np.mean(model.sample(features, 4) == captions[:, 1:]) > 0.9


def test_characters():
    text = "the quick brown fox jumps over the lazy dog. " * 10
    model, rng = models.CharTransformer(text, 16, 16, 2, 1, seed=0), np.random.default_rng(0)
    numbers = model.encode(text)
    losses = steps(model, lambda: model.batch(numbers, 16, rng), 80, 1e-2)
    assert losses[-1] < 0.6 * losses[0]
