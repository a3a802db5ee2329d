"""Warnings that save an afternoon: each when its sign is there, once, and not otherwise."""

import warnings

import numpy as np
import pytest

import minigrad as mg

rng = np.random.default_rng(0)
X = rng.standard_normal((32, 6))
Y = rng.integers(0, 3, 32)


def said(function, category):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return [str(w.message) for w in caught if issubclass(w.category, category)]


class Net(mg.Model):
    def __init__(self, activation, bias):
        self.activation = activation
        self.params = {"W": rng.standard_normal((6, 20)), "b": np.full(20, bias), "V": rng.standard_normal((20, 3))}

    def forward(self, params, X):
        with mg.scope("fc1"):
            hidden = self.activation(X @ params["W"] + params["b"])
        return hidden @ params["V"]


RELUS = {
    "mg.relu": mg.relu,
    "np.maximum(0, x)": lambda x: np.maximum(0, x),
    "np.maximum(x, 0)": lambda x: np.maximum(x, 0.0),
}


@pytest.mark.parametrize("relu", RELUS.values(), ids=RELUS)
def test_dead_units(relu):
    model = Net(relu, bias=-100.0)
    (text,) = said(lambda: [model.loss(X, Y) for _ in range(5)], mg.DeadUnitsWarning)
    assert "in fc1: 20 of 20 units are active for none of the 32 samples" in text
    assert "lower the learning rate" in text
    assert not said(lambda: Net(relu, bias=0.0).loss(X, Y), mg.DeadUnitsWarning)


def test_a_few_dead_units_are_no_sign():
    model = Net(mg.relu, bias=0.0)
    model.params["b"][:18] = -100.0  # 90%
    assert not said(lambda: model.loss(X, Y), mg.DeadUnitsWarning)
    model.params["b"][:19] = -100.0
    assert said(lambda: Net.loss(model, X, Y) or model.loss(X, Y), mg.DeadUnitsWarning)


def test_units_that_cannot_die_and_small_batches():
    assert not said(lambda: Net(mg.leaky_relu, bias=-100.0).loss(X, Y), mg.DeadUnitsWarning)
    assert not said(lambda: Net(lambda x: np.maximum(-1.0, x), bias=-100.0).loss(X, Y), mg.DeadUnitsWarning)
    assert not said(lambda: Net(mg.relu, bias=-100.0).loss(X[:8], Y[:8]), mg.DeadUnitsWarning)


def test_dead_channels():
    net = mg.nn.Sequential(mg.nn.Conv2d(8, 3, padding="same"), mg.relu, mg.nn.Affine(3))
    net.build(np.ones((1, 2, 4, 4)), seed=0)
    net.params["conv1.b"] -= 100
    images = rng.standard_normal((32, 2, 4, 4))
    (text,) = said(lambda: net.loss(images, Y), mg.DeadUnitsWarning)
    assert "relu1: 8 of 8 units" in text


def test_units_that_die_later_are_noticed_now_and_then():
    model = Net(mg.relu, bias=0.0)
    for _ in range(4):
        model.loss(X, Y)
    model.params["b"] = np.full(20, -100.0)
    texts = said(lambda: [model.loss(X, Y) for _ in range(20)], mg.DeadUnitsWarning)
    assert len(texts) == 1


@pytest.mark.parametrize("layer", [mg.nn.Affine(5), mg.nn.Conv2d(5, 3, padding="same")], ids=["affine", "conv"])
def test_a_bias_before_batchnorm(layer):
    shape = (8, 2, 4, 4) if isinstance(layer, mg.nn.Conv2d) else (8, 6)
    images, labels = rng.standard_normal(shape), np.arange(8) % 3
    net = mg.nn.Sequential(layer, mg.nn.BatchNorm(), mg.nn.Affine(3)).build(images, seed=0)
    (text,) = said(lambda: net.loss(images, labels), mg.BiasBeforeNormWarning)
    assert "in batchnorm1: it subtracts the mean, and with it the bias" in text
    layer.bias = False
    net = mg.nn.Sequential(layer, mg.nn.BatchNorm(), mg.nn.Affine(3)).build(images, seed=0)
    assert not said(lambda: net.loss(images, labels), mg.BiasBeforeNormWarning)


def test_the_courses_network_has_that_bias_and_is_left_alone():
    model = mg.models.FullyConnectedNet([5], input_dim=6, num_classes=3, normalization="batchnorm", seed=0)
    assert not said(lambda: model.loss(X, Y), mg.BiasBeforeNormWarning)


@pytest.mark.parametrize(
    "data, is_said",
    [
        (lambda: rng.uniform(0, 255, (32, 6)), True),
        (lambda: rng.uniform(0, 255, (32, 6)).astype(np.uint8), True),
        (lambda: 1000 * rng.standard_normal((32, 6)), True),
        (lambda: rng.standard_normal((32, 6)), False),
        (lambda: rng.uniform(0, 1, (32, 6)), False),
        (lambda: 64 * rng.standard_normal((32, 6)), False),  # the course's CIFAR-10: the mean image subtracted
        (lambda: rng.integers(0, 5000, (32, 6)), False),  # words
    ],
)
def test_data_that_are_not_normalised(data, is_said):
    texts = said(lambda: Net(np.tanh, 0.0).loss(data(), Y), mg.UnnormalisedInputWarning)
    assert len(texts) == is_said
    assert all("subtract the mean image" in text for text in texts)


def trained(learning_rate, rule="sgd", steps=40):
    data = {"X_train": X, "y_train": Y, "X_val": X, "y_val": Y}
    model = mg.models.LinearClassifier(6, 3, seed=0)
    config = {"learning_rate": learning_rate}
    solver = mg.Solver(
        model, data, update_rule=rule, optim_config=config, batch_size=32, num_epochs=steps, verbose=False, seed=0
    )
    return said(solver.train, mg.LargeUpdateWarning)


def test_updates_that_are_large_beside_the_weights():
    (text,) = trained(1.0, "adam")
    assert '"W" has changed by' in text
    assert "with learning rate 1.0" in text
    assert not trained(1e-3, "adam")
    assert not trained(0.1)
    assert not trained(1.0, "adam", steps=20)  # the first steps settle the scale of the weights


def test_warnings_can_be_silenced_one_by_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=mg.DeadUnitsWarning)
        Net(mg.relu, bias=-100.0).loss(X, Y)


def test_a_model_can_silence_large_updates():
    data = {"X_train": X, "y_train": Y, "X_val": X, "y_val": Y}
    model = mg.models.LinearClassifier(6, 3, seed=0)
    model.silenced = (mg.LargeUpdateWarning,)
    solver = mg.Solver(
        model,
        data,
        update_rule="adam",
        optim_config={"learning_rate": 1.0},
        batch_size=32,
        num_epochs=40,
        verbose=False,
    )
    assert not said(solver.train, mg.LargeUpdateWarning)
