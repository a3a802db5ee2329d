"""The written-out training step runs without minigrad, and computes what the model does."""

import copy
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from tests.models.test_models import data_for, make

WRITTEN = [
    "LinearClassifier",
    "LinearClassifier svm",
    "TwoLayerNet",
    "FullyConnectedNet",
    "FullyConnectedNet batchnorm",
    "FullyConnectedNet layernorm",
    "ThreeLayerConvNet",
    "ConvNet",
    "ResNet",
]


@pytest.mark.parametrize("name", WRITTEN)
def test_it_computes_what_the_model_does(name, tmp_path):
    model, (X, y) = make(name), data_for(name)
    model.reg = 0.1
    text = mg.explain_backward(model, X, y)
    assert "minigrad" not in text
    assert "# backward" in text
    space = {}
    exec(text, space)
    for _ in range(2):  # with other numbers, and in training for a step
        for w in model.params.values():
            w *= 1.01
        state = copy.deepcopy(model.state)
        arguments = (model.params, state, X + 1, y) if model.state else (model.params, X + 1, y)
        loss, grads, *rest = space["loss_and_grads"](*arguments)
        expected_loss, expected = model.loss(X + 1, y)
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-14)  # sums of squares are taken in another order
        assert grads.keys() == expected.keys()
        for key, g in expected.items():
            np.testing.assert_allclose(grads[key], g, rtol=1e-12, atol=1e-14)
        for key, value in rest[0].items() if rest else ():
            if key != "rng":
                np.testing.assert_array_equal(value, model.state[key])


def test_it_runs_where_minigrad_is_not(tmp_path):
    model, (X, y) = make("ThreeLayerConvNet"), data_for("ThreeLayerConvNet")
    text = mg.explain_backward(model, X, y)
    (tmp_path / "step.py").write_text(text, encoding="utf-8")
    np.savez(tmp_path / "data.npz", X=X, y=y, **model.params)
    script = """
import sys, numpy as np, step
data = dict(np.load("data.npz"))
X, y = data.pop("X"), data.pop("y")
loss, grads = step.loss_and_grads(data, X, y)
print(repr(float(loss)), repr(float(sum(np.sum(g * g) for g in grads.values()))), "minigrad" in sys.modules)
"""
    run = [sys.executable, "-c", script]
    printed = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    loss, grads = model.loss(X, y)
    assert printed == [repr(loss), repr(float(sum(np.sum(g * g) for g in grads.values()))), "False"]


def test_it_reads_like_the_work_of_a_hand():
    class Net(mg.Model):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.params = {"W1": rng.standard_normal((4, 5)), "b1": np.zeros(5), "W2": rng.standard_normal((5, 3))}

        def forward(self, params, X):
            hidden = np.tanh(X @ params["W1"] + params["b1"])
            scores = hidden @ params["W2"]
            return scores

    text = mg.explain_backward(Net(), np.ones((2, 4)), np.array([0, 2]))
    assert "    hidden = np.tanh(X @ W1 + b1)\n    scores = hidden @ W2\n    loss, highest, total = softmax" in text
    assert "    d_hidden = d_scores @ W2.T\n    d_W2 = hidden.T @ d_scores\n" in text


def test_what_cannot_be_written_out_is_refused():
    model, (X, y) = make("CharTransformer"), data_for("CharTransformer")
    with pytest.raises(mg.OptionError, match="cannot be written out"):
        mg.explain_backward(model, X, y)


def test_the_source_of_a_function():
    def loss(w, x):
        return np.sum(np.tanh(x @ w) ** 2)

    step = mg.compile(mg.value_and_grad(loss))
    with pytest.raises(mg.OptionError, match="not been called yet"):
        step.source  # noqa: B018
    w, x = np.ones((3, 2)), np.eye(3)
    expected = step(w, x)
    space = {}
    exec(step.source, space)
    value, gradient = space["loss"](w, x)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
