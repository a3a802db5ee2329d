"""The written-out training step runs without minigrad, computes what the model does, and reads well."""

import ast
import copy
import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.embedding import embedding
from tests.gradients import as_tuple, float_positions
from tests.models.test_models import NAMES, data_for, make, pair
from tests.ops.samples import SAMPLES

for _family in sorted(Path(mg.__file__).parents[1].glob("tests/ops/samples_*.py")):  # they add their rows to SAMPLES
    importlib.import_module(f"tests.ops.{_family.stem}")


@pytest.fixture(autouse=True)
def numpys_kernels():
    """What is written out are the kernels in NumPy."""
    with mg.kernels.using("numpy"):
        yield


def run(text, function, *arguments):
    space = {}
    exec(text, space)
    return space[function](*arguments)


def step_arguments(model, X, y):
    return (model.params, copy.deepcopy(model.state), X, y) if model.state else (model.params, X, y)


# --- every model ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_it_computes_what_the_model_does(name):
    model, (X, y) = make(name), data_for(name)
    model.reg = 0.1
    text = mg.explain_backward(model, X, y)
    assert "minigrad" not in text
    assert "# backward" in text
    for _ in range(2):  # with other numbers, and in training for a step
        for w in model.params.values():
            w *= 1.01
        loss, grads, *rest = run(text, "loss_and_grads", *step_arguments(model, X, y))
        expected_loss, expected = model.loss(X, y)
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-14)  # sums of squares are taken in another order
        assert grads.keys() == expected.keys()
        for key, g in expected.items():
            np.testing.assert_allclose(grads[key], g, rtol=1e-12, atol=1e-14)
        for key, value in rest[0].items() if rest else ():
            if key != "rng":
                np.testing.assert_array_equal(value, model.state[key])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_without_regularisation_it_does_so_to_the_last_bit(name, dtype):
    model, (X, y) = make(name, dtype=dtype), data_for(name)
    X = X.astype(dtype) if X.dtype.kind == "f" else X
    text = mg.explain_backward(model, X, y)
    loss, grads, *_ = run(text, "loss_and_grads", *step_arguments(model, X, y))
    expected_loss, expected = model.loss(X, y)
    assert loss == expected_loss
    for key, g in expected.items():
        assert grads[key].dtype == dtype
        np.testing.assert_array_equal(grads[key], g)


@pytest.mark.parametrize("kind", ["fully connected", "conv"])
def test_a_pair_of_models(kind):
    gan = pair(kind)
    noise = gan.noise(4)

    def loss(params, noise):
        fake = gan.generator.apply(params, noise, train=True)
        return mg.gan_generator_loss(gan.discriminator(fake))

    step = mg.compile(mg.value_and_grad(loss))
    expected = step(gan.generator.params, noise)
    value, grads = run(step.source, "loss", gan.generator.params, noise)
    assert value == expected[0]
    for key, g in expected[1].items():
        np.testing.assert_allclose(grads[key], g, rtol=1e-12, atol=1e-14)


ALONE = """
import pickle, sys
sys.modules["minigrad"] = None  # whoever imports it fails
import numpy as np
for name, (text, arguments, loss, grads) in pickle.load(open("steps.pkl", "rb")).items():
    space = {}
    exec(text, space)
    found = space["loss_and_grads"](*arguments)
    assert abs(found[0] - loss) < 1e-12, name
    assert list(found[1]) == list(grads), name
    for key, g in grads.items():
        np.testing.assert_allclose(found[1][key], g, rtol=1e-12, atol=1e-14, err_msg=name + " " + key)
print("all of them")
"""


def test_it_runs_where_minigrad_is_not(tmp_path):
    steps = {}
    for name in NAMES:
        model, (X, y) = make(name), data_for(name)
        text, arguments = mg.explain_backward(model, X, y), step_arguments(model, X, y)
        steps[name] = (text, copy.deepcopy(arguments), *model.loss(X, y))
    (tmp_path / "steps.pkl").write_bytes(pickle.dumps(steps))
    command = [sys.executable, "-I", "-c", ALONE]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert printed.stdout.strip() == "all of them", printed.stderr


# --- every op ---------------------------------------------------------------------------------------------------------

DEPENDS_ON_VALUES = {"unique_part", "argwhere"}
"""Ops whose result has a shape that depends on values: no program can be captured."""


def written_samples():
    for sample in SAMPLES:
        if sample.op in mg.ops.REGISTRY and sample.op not in DEPENDS_ON_VALUES and float_positions(sample.args):
            yield pytest.param(sample, id=sample.id)


@pytest.mark.parametrize("sample", list(written_samples()))
def test_every_op_can_be_written_out(sample):
    positions = float_positions(sample.args)
    if sample.op == "ldexp":
        positions = positions[:1]  # the exponent is an integer

    def loss(arrays):
        given = list(sample.args)
        for position in positions:
            given[position] = arrays[f"x{position}"]
        out = [part for part in as_tuple(sample.run(*given)) if part.dtype.kind == "f"]
        return sum([np.sum(part * part) for part in out], start=np.sum(arrays[f"x{positions[0]}"]))

    arrays = {f"x{position}": sample.args[position] for position in positions}
    step = mg.compile(mg.value_and_grad(loss))
    try:
        step(arrays)
    except TypeError:
        pytest.skip("this sample takes integers where floats were put")
    text = step.source
    assert "minigrad" not in text
    value, grads = run(text, "loss", arrays)
    expected_value, expected = mg.value_and_grad(loss)(arrays)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    for key, g in expected.items():
        np.testing.assert_allclose(grads[key], g, rtol=1e-10, atol=1e-12)


# --- as one would write it --------------------------------------------------------------------------------------------


def main_part(text):
    """Return the function itself, without what it calls."""
    return text[text.index("def ") :].split("\n\n\n# ---")[0]


TWO_LAYERS = """\
def loss_and_grads(params, X, y):
    W1 = params["W1"]
    b1 = params["b1"]
    W2 = params["W2"]
    b2 = params["b2"]
    # fc1
    hidden = np.maximum(0, X @ W1 + b1)
    # fc2
    scores = hidden @ W2 + b2
    loss, highest, total = softmax_loss(scores, y)
    # regularisation
    loss += 0.05 * (np.sum(W1 ** 2) + np.sum(W2 ** 2))

    # backward
    d_scores = softmax_loss_backward(np.float64(1.0), scores, y, highest, total, wants=("scores",))
    # fc2
    d_hidden = d_scores @ W2.T
    d_W2 = 0.1 * W2 + hidden.T @ d_scores
    d_b2 = np.sum(d_scores, axis=0)
    # fc1
    d_pre = d_hidden * (hidden > 0)
    d_W1 = 0.1 * W1 + X.T @ d_pre
    d_b1 = np.sum(d_pre, axis=0)
    grads = {"W1": d_W1, "b1": d_b1, "W2": d_W2, "b2": d_b2}
    return loss, grads"""

CAPTIONS = """\
    following = y[:, 1:]
    y_part = y[:, :-1]
    mask = following != 0
    # project
    h0 = X @ W_proj + b_proj
    # embed
    x = W_embed[y_part]
    # rnn
    h, path = rnn(x, h0, Wx, Wh, b)
    # vocab
    flat = h.reshape(12, 4)
    scores = (flat @ W_vocab + b_vocab).reshape(3, 4, 6)
    loss, highest, total = temporal_softmax_loss(scores, following, mask)

    # backward
    d_scores = temporal_softmax_loss_backward(
        np.float64(1.0), scores, following, mask, highest, total, wants=("x",)
    )
    # vocab
    d_pre = d_scores.reshape(12, 6)
    d_flat = d_pre @ W_vocab.T
    d_W_vocab = flat.T @ d_pre
    d_b_vocab = np.sum(d_pre, axis=0)
    # rnn
    d_x, d_h0, d_Wx, d_Wh, d_b = rnn_backward(
        d_flat.reshape(3, 4, 4), x, h0, Wx, Wh, b, path, wants=("x", "h0", "Wx", "Wh", "b")
    )
    # embed
    d_W_embed = np.zeros((6, 5))
    np.add.at(d_W_embed, y_part, d_x)
    # project
    d_W_proj = X.T @ d_h0
    d_b_proj = np.sum(d_h0, axis=0)
"""

DROPOUT = """\
    # fc1
    pre1 = X @ W1 + b1
    normal1, mean1, var1 = batchnorm(pre1, gamma1, beta1, eps=1e-05)
    new_running_mean1 = 0.9 * running_mean1 + (1 - 0.9) * mean1
    new_running_var1 = 0.9 * running_var1 + (1 - 0.9) * var1
    hidden1 = np.maximum(0, normal1)
    mask1 = rng.random((4, 6)) < 0.8
    dropped1 = hidden1 * mask1 * (1 / 0.8)
"""


def lines_of(text):
    """The order of the gradients of one layer is not part of the promise."""
    return sorted(line for line in text.splitlines() if not line.strip().startswith("#"))


def test_the_two_layer_network():
    model, (X, y) = make("TwoLayerNet"), data_for("TwoLayerNet")
    model.reg = 0.1
    text = mg.explain_backward(model, X, y)
    assert lines_of(main_part(text)) == lines_of(TWO_LAYERS)
    assert text.startswith(
        '"""A training step of TwoLayerNet, forward and backward, for X (4, 12) and y (4,)."""\n\nimport'
    )


def test_a_recurrent_network():
    text = main_part(mg.explain_backward(make("CaptioningRNN rnn"), *data_for("CaptioningRNN rnn")))
    assert set(lines_of(CAPTIONS)) <= set(lines_of(text))


def test_batch_normalisation_and_dropout():
    name = "FullyConnectedNet batchnorm"
    assert DROPOUT in mg.explain_backward(make(name), *data_for(name))


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_without_meaning_and_nothing_is_assigned_in_vain(name):
    text = mg.explain_backward(make(name), *data_for(name))
    main = next(node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    assert main.name == "loss_and_grads"
    names = [node for node in ast.walk(main) if isinstance(node, ast.Name)]
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    assert {node.id for node in names if isinstance(node.ctx, ast.Store)} - read <= {"_"}
    assert not {name for name in read if name.startswith(("value", "table", "getitem", "multiply"))}
    assert max(map(len, main_part(text).splitlines())) <= 105


def test_it_keeps_the_names_of_the_user():
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


def test_names_that_mean_something_else():
    def loss(w):
        np_ = w * 2
        softmax = np.exp(np_) + np_
        sum = softmax * softmax
        return mg.ops.softmax(sum + sum * softmax, axis=0)[0]

    step = mg.compile(mg.value_and_grad(loss))
    w = np.array([0.1, 0.2, -0.3])
    expected = step(w)
    value, gradient = run(step.source, "loss", w)
    np.testing.assert_allclose(value, expected[0], rtol=1e-14)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-13)


# --- functions, and what cannot be ------------------------------------------------------------------------------------


def test_the_source_of_a_function():
    def loss(w, x):
        return np.sum(np.tanh(x @ w) ** 2)

    step = mg.compile(mg.value_and_grad(loss))
    with pytest.raises(mg.OptionError, match="not been called yet"):
        step.source  # noqa: B018
    w, x = np.ones((3, 2)), np.eye(3)
    expected = step(w, x)
    value, gradient = run(step.source, "loss", w, x)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])


def test_a_function_that_draws():
    def loss(params, generator):
        return np.sum(mg.dropout(params["w"], generator, p=0.5) ** 2)

    step = mg.compile(mg.value_and_grad(loss))
    params = {"w": np.arange(10.0)}
    expected = step(params, np.random.default_rng(3))
    value, grads = run(step.source, "loss", params, np.random.default_rng(3))
    assert value == expected[0]
    np.testing.assert_array_equal(grads["w"], expected[1]["w"])


def test_repeated_rows_of_a_table_add_up():
    step = mg.compile(mg.value_and_grad(lambda table: np.sum(embedding(table, np.array([2, 1, 2])) ** 2)))
    table = np.arange(8.0).reshape(4, 2)
    expected = step(table)
    assert "np.add.at(" in step.source
    _, gradient = run(step.source, "_lambda", table)
    np.testing.assert_array_equal(gradient, expected[1])


@mg.primitive
def _of_numpys_own(x):
    return np.vectorize(abs)(x)


_of_numpys_own.vjp(x=lambda g, x: g * np.sign(x))


def test_an_op_of_the_users_own():
    step = mg.compile(mg.value_and_grad(lambda x: np.sum(_of_numpys_own(x) * x)))
    x = np.array([1.0, -2.0])
    expected = step(x)
    value, gradient = run(step.source, "_lambda", x)
    assert value == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])


def test_what_cannot_be_written_out_is_refused():
    large = np.random.default_rng(0).standard_normal((200, 200))
    step = mg.compile(mg.value_and_grad(lambda x: np.sum(x @ large)))
    step(np.ones(200))
    with pytest.raises(mg.OptionError, match="too large to be written out; make it an argument"):
        step.source  # noqa: B018
    block = mg.compile(mg.value_and_grad(lambda x: np.sum(mg.checkpoint(lambda x: np.tanh(x) ** 2)(x))))
    block(np.ones(3))
    with pytest.raises(mg.OptionError, match="checkpoint cannot be written out: there is no text for its parameter"):
        block.source  # noqa: B018
