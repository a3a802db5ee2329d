"""explain: the table of a computation."""

import json

import numpy as np
import pytest

import minigrad as mg
from minigrad.check.profile import Explanation, explain

rng = np.random.default_rng(2)


class Net(mg.Model):
    reg = 0.1

    def __init__(self):
        numbers = np.random.default_rng(0)
        self.params = {
            "W1": numbers.standard_normal((12, 5)),
            "b1": np.zeros(5),
            "W2": numbers.standard_normal((5, 3)),
            "b2": np.zeros(3),
            "unread": np.zeros(2),
        }
        self.state = {"mean": np.zeros(12), "rng": np.random.default_rng(1)}

    def forward(self, params, X, train):
        X = X.reshape(len(X), -1)
        if train:
            self.state["mean"] = 0.9 * self.state["mean"] + 0.1 * X.mean(axis=0)
            X = mg.dropout(X, self.state["rng"], p=0.8)
        with mg.scope("block"):
            with mg.scope("fc1"):
                hidden = np.maximum(0, X @ params["W1"] + params["b1"])
            with mg.scope("fc2"):
                return hidden @ params["W2"] + params["b2"]


X, y = rng.standard_normal((6, 3, 4)), np.array([0, 1, 2, 0, 1, 2])


def by_op(table):
    return {(row.layer, row.op): row for row in table.rows}


def test_training():
    table = explain(Net(), X, y)
    rows = by_op(table)
    assert [row.number for row in table.rows] == list(range(len(table.rows)))
    matmul = rows["block/fc1", "matmul"]
    assert matmul.shape == (6, 5) and matmul.dtype == "float64"
    assert matmul.parameters == ("W1",) and matmul.parameter_count == 60
    assert matmul.line.startswith("test_profile.py:")
    assert matmul.forward_s > 0 and matmul.backward_s > 0
    assert rows["", "reshape"].gradient_rms is None and rows["", "reshape"].backward_s == 0
    assert table.total["parameter_count"] == 60 + 5 + 15 + 3 + 2
    assert table.total["ops"] == len(table.rows)
    assert np.isclose(table.total["forward_s"], sum(row.forward_s for row in table.rows))
    assert table.notes == ["read by no op: unread"]
    assert table.title == "Net, X 6×3×4, training"


def test_gradient_norms_are_those_of_the_cotangents():
    def f(params, x):
        with mg.scope("a"):
            h = np.tanh(x @ params["W"])
        return np.sum(h**2)

    W, x = rng.standard_normal((4, 3)), rng.standard_normal((5, 4))
    rows = by_op(explain(f, {"W": W}, x))
    h = np.tanh(x @ W)
    assert np.isclose(rows["", "sum"].gradient_rms, 1.0)
    assert np.isclose(rows["a", "tanh"].gradient_rms, np.sqrt(np.mean((2 * h) ** 2)))
    assert np.isclose(rows["a", "matmul"].gradient_rms, np.sqrt(np.mean((2 * h * (1 - h**2)) ** 2)))


def test_saved_bytes_count_each_array_once():
    x = rng.standard_normal((10, 4))

    def f(params, x):
        h = np.tanh(x @ params["W"])  # tanh saves its result
        a = h * h  # both arguments are that array: nothing new
        return np.sum(a.reshape(5, 8).T @ np.ones((5, 2)) * h[:8, :2])  # a view of it, and the product

    W = rng.standard_normal((4, 4))
    rows = explain(f, {"W": W}, x).rows
    saved = {row.op + str(row.shape): row.saved_bytes for row in rows}
    assert saved["matmul(10, 4)"] == 0  # x and W are there anyway
    assert saved["tanh(10, 4)"] == 10 * 4 * 8
    assert saved["multiply(10, 4)"] == 0
    assert saved["matmul(8, 2)"] == 5 * 2 * 8  # the ones; the reshaped product needs no rule that reads it
    assert saved["multiply(8, 2)"] == 8 * 2 * 8


def test_test_time():
    table = explain(Net(), X)
    again = explain(Net(), X, None)
    assert [row.op for row in table.rows] == [row.op for row in again.rows]
    assert [row.op for row in table.rows] == ["reshape", "matmul", "add", "maximum", "matmul", "add"]
    assert all(row.gradient_rms is None and row.saved_bytes == 0 and row.backward_s == 0 for row in table.rows)
    assert "backward" not in str(table) and "gradient" not in str(table) and "saved" not in str(table)
    assert table.title.endswith("test time")


def test_the_model_is_as_it_was():
    model = Net()
    reference = Net()
    explain(model, X, y)
    explain(model, X)
    for name, w in reference.params.items():
        np.testing.assert_array_equal(model.params[name], w)
    np.testing.assert_array_equal(model.state["mean"], reference.state["mean"])
    with pytest.warns(mg.MinigradWarning):
        found = model.loss(X, y)
    with pytest.warns(mg.MinigradWarning):
        expected = reference.loss(X, y)
    assert found[0] == expected[0]  # the generator has drawn nothing


def test_folding():
    flat = explain(Net(), X, y)
    table = explain(Net(), X, y, depth=1)
    assert [row.layer for row in table.rows] == ["", "block", "regularisation"]
    block = table.rows[1]
    assert block.op == "5 ops" and block.shape == (6, 3)
    assert block.parameters == ("W1", "b1", "W2", "b2") and block.parameter_count == 83
    assert block.saved_bytes == sum(row.saved_bytes for row in flat.rows if row.layer.startswith("block"))
    scores = [row for row in flat.rows if row.layer == "block/fc2"][-1]
    assert block.gradient_rms == pytest.approx(scores.gradient_rms)
    assert {row.layer for row in explain(Net(), X, y, depth=2).rows} == {"", "block/fc1", "block/fc2", "regularisation"}
    (everything,) = explain(Net(), X, y, depth=0).rows
    assert everything.op == f"{table.total['ops']} ops" and everything.parameter_count == 83


@pytest.mark.parametrize(
    "key, value",
    [
        ("time", lambda row: row.forward_s + row.backward_s),
        ("forward", lambda row: row.forward_s),
        ("backward", lambda row: row.backward_s),
        ("saved", lambda row: row.saved_bytes),
        ("parameters", lambda row: row.parameter_count),
        ("gradient", lambda row: row.gradient_rms if row.gradient_rms is not None else -1),
    ],
)
def test_sorting(key, value):
    rows = explain(Net(), X, y, sort=key).rows
    assert [value(row) for row in rows] == sorted(map(value, rows), reverse=True)


def test_the_first_few():
    table = explain(Net(), X, y, sort="parameters", top=2)
    assert [row.parameters for row in table.rows] == [("W1",), ("W1",)]  # in the layer and in the penalty
    assert f"… {table.total['ops'] - 2} more" in str(table)
    assert table.total["parameter_count"] == 85


def test_the_text_is_an_aligned_table():
    def long(params, x):
        with mg.scope("a_scope_with_a_very_long_name_indeed_that_goes_on_and_on"), mg.scope("and_another_one" * 3):
            return np.concatenate([x @ params[name] for name in params], axis=1)

    params = {f"weights_of_the_part_number_{number}": np.ones((4, 2)) for number in range(20)}
    table = explain(long, params, np.ones((3, 4)))
    lines = str(table).splitlines()
    assert repr(table) == str(table) and isinstance(table, Explanation)
    assert max(map(len, lines)) <= 140
    head = lines[1]
    assert head.split()[:4] == ["#", "op", "layer", "line"] and set(lines[2]) == {"-"}
    assert "…" in lines[3] and lines[-1].split()[:2] == ["21", "ops"]
    column = head.index("forward ms") + len("forward ms")
    assert all(line[column - 1].isdigit() for line in lines[3:-2])


def test_data_for_others():
    data = explain(Net(), X, y).to_dict()
    assert json.loads(json.dumps(data)) == data
    assert data["rows"][0]["op"] == "reshape" and data["rows"][0]["shape"] == [6, 12]
    assert set(data) == {"title", "rows", "total", "notes"}


def test_functions():
    table = explain(lambda a, b, k: (a * b, np.sum(b, axis=k)), np.ones((3, 4)), np.ones(4), 0)
    assert [row.op for row in table.rows] == ["multiply", "sum"]
    assert all(row.gradient_rms == 1.0 for row in table.rows)
    assert table.title == "<lambda>"
    several = explain(lambda x: np.sum(np.linalg.qr(x)[0] * 2.0), rng.standard_normal((3, 3)))
    assert several.rows[0].op == "qr" and several.rows[0].gradient_rms > 0


def test_integers_and_comparisons():
    def f(x, i):
        return np.sum(np.where(x > 0, x, 0.1 * x)[i])

    table = explain(f, rng.standard_normal((4, 3)), np.array([0, 2]))
    assert "greater" in [row.op for row in table.rows]


def test_what_a_model_takes():
    class Words(mg.Model):
        def __init__(self):
            self.params = {"E": np.ones((7, 3))}

        def forward(self, params, X):
            return mg.embedding(params["E"], X).sum(axis=1)

    table = explain(Words(), np.zeros((2, 4), int), np.array([0, 1]))
    assert table.rows[0].parameters == ("E",)


@pytest.mark.parametrize(
    "arguments, keywords, error, text",
    [
        ((Net,), {}, mg.DTypeError, "the class Net itself came"),
        ((3,), {}, mg.DTypeError, "int came"),
        ((Net(),), {}, mg.OptionError, "takes X, or X and y, and 0 inputs came"),
        ((Net(), X), dict(sort="tme"), mg.OptionError, 'did you mean "time"?'),
        ((Net(), X), dict(top=0), mg.OptionError, "top=0 came; it is an integer of at least 1"),
        ((Net(), X), dict(depth=-1), mg.OptionError, "depth=-1 came"),
        ((Net(), X), dict(repeats=1.5), mg.OptionError, "repeats=1.5 came"),
        ((lambda x: x, np.ones(3)), {}, mg.DTypeError, "computed nothing from its inputs"),
        ((lambda x: 3, np.ones(3)), {}, mg.DTypeError, "computed nothing from its inputs"),
    ],
)
def test_what_does_not_fit(arguments, keywords, error, text):
    with pytest.raises(error) as caught:
        explain(*arguments, **keywords)
    assert text in str(caught.value)


def test_it_leaves_nothing_behind_when_the_model_raises():
    model = Net()
    with pytest.raises(mg.ShapeError):
        explain(model, np.ones((6, 5)), y)
    np.testing.assert_array_equal(model.state["mean"], np.zeros(12))
    assert explain(model, X, y).rows
