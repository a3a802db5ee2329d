"""detect_anomaly: the first NaN or infinity raises; all else is as without it."""

import asyncio
import threading
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad.check.anomaly import detect_anomaly
from minigrad.core.tape import watcher

rng = np.random.default_rng(3)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy says it too


class Net(mg.Model):
    reg = 0.1

    def __init__(self, seed=0):
        numbers = np.random.default_rng(seed)
        self.params = {"W1": numbers.standard_normal((4, 5)), "b1": np.ones(5), "W2": numbers.standard_normal((5, 3))}
        self.state["seen"] = np.zeros(4)

    def forward(self, params, X, train):
        with mg.scope("fc1"):
            hidden = np.maximum(0, X @ params["W1"] + params["b1"])
        if train:
            self.state["seen"] = 0.9 * self.state["seen"] + X.mean(axis=0)
        with mg.scope("norm"):
            hidden = hidden / np.sqrt((hidden * hidden).sum(axis=1, keepdims=True))
        return hidden @ params["W2"]


X, y = rng.standard_normal((6, 4)), np.array([0, 1, 2, 0, 1, 2])


# --- what it finds --------------------------------------------------------------------------------------------------


def test_a_layer_of_a_model():
    model = Net()
    model.params["b1"] -= 1.0
    model.params["W1"] = np.abs(model.params["W1"])
    params, state = {name: w.copy() for name, w in model.params.items()}, model.state["seen"].copy()
    zeros = np.abs(X)
    zeros[2] = 0  # the only row without an active unit
    with detect_anomaly(path=None), pytest.raises(mg.NonFiniteError) as caught:
        model.loss(zeros, y)
    text = str(caught.value)
    assert text.startswith("divide in norm: its result holds the first NaN: 5 NaN in shape (6, 5), the first at [2, 0]")
    assert "in the forward pass, at test_anomaly.py:" in text
    assert "hidden = hidden / np.sqrt(" in text
    for name, w in model.params.items():
        np.testing.assert_array_equal(w, params[name])
    np.testing.assert_array_equal(model.state["seen"], state)


def test_the_stack_shows_the_users_own_line():
    def f(x):
        return np.sum(np.log(x))  # this line

    with detect_anomaly(path=None), pytest.raises(mg.NonFiniteError) as caught:
        mg.grad(f)(np.zeros(2))
    assert any("this line" in str(entry.statement) for entry in caught.traceback)


def test_second_derivatives_are_looked_at():
    f = mg.grad(mg.grad(lambda x: np.sqrt(x) ** 3))  # 3/4 of 1/sqrt(x)
    with detect_anomaly(path=None):
        assert np.isclose(f(4.0), 0.375)
        mg.grad(lambda x: x**1.5)(0.0)  # the first derivative is finite
        with pytest.raises(mg.NonFiniteError, match="backward pass"):
            mg.grad(mg.grad(lambda x: x**1.5))(0.0)


def test_an_op_that_a_rule_recorded_is_said_to_be_of_the_backward_pass():
    with detect_anomaly(path=None), pytest.raises(mg.NonFiniteError) as caught:
        mg.grad(lambda x: mg.grad(lambda x: np.sum(np.log(x) * 1.0))(x).sum())(np.array([1e-320]))
    assert "it was recorded by the backward pass of log, test_anomaly.py:" in str(caught.value)


def test_forward_mode():
    with detect_anomaly(path=None):
        mg.jvp(np.sqrt, (4.0,), (1.0,))
        with pytest.raises(mg.NonFiniteError, match="log: its result holds the first infinity: 1 -inf"):
            mg.jvp(np.log, (0.0,), (1.0,))
        with pytest.raises(mg.NonFiniteError, match="sqrt: the tangent of its result holds the first infinity: 1 inf"):
            mg.jvp(np.sqrt, (0.0,), (1.0,))


def test_a_tape_at_a_prompt():
    tape = mg.Tape()
    x = tape.watch(np.zeros(2), name="x")
    np.log(x)
    with detect_anomaly(path=None), pytest.raises(mg.NonFiniteError, match="x = %0 x"):
        np.log(x)
    np.log(x)


def test_a_block_inside_the_function():
    def f(x):
        with detect_anomaly(path=None):
            return np.sum(np.log(x))

    with pytest.raises(mg.NonFiniteError, match="log: its result"):
        mg.grad(f)(np.zeros(2))
    np.testing.assert_array_equal(mg.grad(f)(np.ones(2)), np.ones(2))


def test_numpys_warnings_are_silent_inside_and_come_back():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with detect_anomaly(path=None), pytest.raises(mg.NonFiniteError):
            mg.grad(np.log)(0.0)
        with pytest.raises(RuntimeWarning, match="divide by zero"):
            mg.grad(np.log)(0.0)


# --- what passes ----------------------------------------------------------------------------------------------------


def masked_attention(scores):
    masked = scores + np.triu(np.full((3, 3), -np.inf), 1)
    weights = np.exp(masked - masked.max(axis=1, keepdims=True))
    return np.sum(weights / weights.sum(axis=1, keepdims=True) * np.arange(3.0))


def test_infinities_of_a_mask_pass():
    scores = rng.standard_normal((3, 3))
    expected = mg.grad(masked_attention)(scores)
    with detect_anomaly(path=None):
        np.testing.assert_array_equal(mg.grad(masked_attention)(scores), expected)
        mg.grad(lambda x: np.sum(np.exp(np.where(x > 0, x, -np.inf))))(scores)
        with pytest.raises(mg.NonFiniteError, match="NaN"):  # but not what becomes NaN
            mg.grad(lambda x: np.sum((x - np.inf) * 0.0))(scores)
        with pytest.raises(mg.NonFiniteError, match="infinity"):  # and not those of a variable
            mg.grad(lambda x: np.sum(x * 2.0))(np.array([np.inf]))


@mg.custom_vjp
def clipped(x):
    return np.exp(x)


clipped.defvjp(lambda x: (np.exp(x), np.exp(x)), lambda out, g: (np.minimum(g * out, 2.0),))

FUNCTIONS = {
    "net": lambda W: np.sum(np.tanh(X @ W) @ np.ones(5)),
    "index": lambda W: np.sum(W[[0, 0, 1]] * W[1:, None, 2]),
    "order": lambda W: np.sum(np.sort(W, axis=0) * np.arange(5.0)),
    "integers": lambda W: np.sum(np.take(W, np.argmax(W, axis=1)) * (W > 0).sum()),
    "several outputs": lambda W: np.sum(np.linalg.svd(W, full_matrices=False)[1] ** 2),
    "checkpoint": lambda W: np.sum(mg.checkpoint(lambda W: np.tanh(W) ** 2)(W)),
    "own rule": lambda W: np.sum(clipped(W)),
    "fused": lambda W: mg.softmax_loss(W, np.array([0, 1, 2, 3])),
    "branches": lambda W: np.sum(np.where(W > 0, W**2, np.abs(W))) if W.sum() > -99 else 0.0,
    "float32": lambda W: np.sum(W.astype(np.float32) ** 3),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_the_same(name):
    f, W = FUNCTIONS[name], rng.standard_normal((4, 5))
    plain, both = mg.value_and_grad(f), mg.vjp(f, W)[1]
    for _ in range(2):
        value, gradient = plain(W)
        pulled = both(np.ones((), value.dtype))[0]
        with detect_anomaly(path=None):
            watched_value, watched_gradient = plain(W)
            _, watched_pull = mg.vjp(f, W)
            np.testing.assert_array_equal(watched_value, value)
            np.testing.assert_array_equal(watched_gradient, gradient)
            np.testing.assert_array_equal(watched_pull(np.ones((), value.dtype))[0], pulled)
            assert watched_gradient.dtype == gradient.dtype and type(watched_value) is type(value)


def test_a_model_trains_the_same():
    model, watched = Net(), Net()
    expected = model.loss(X, y)
    with detect_anomaly(path=None):
        found = watched.loss(X, y)
        scores = watched.loss(X)
    assert found[0] == expected[0]
    for name in expected[1]:
        np.testing.assert_array_equal(found[1][name], expected[1][name])
    np.testing.assert_array_equal(watched.state["seen"], model.state["seen"])
    np.testing.assert_array_equal(scores, model.loss(X))


def test_higher_orders_are_the_same():
    def f(x):
        return np.sum(np.tanh(x) ** 2 / (1 + x * x))

    x = rng.standard_normal(4)
    v = np.ones(4)
    expected = mg.hessian(f)(x), mg.hvp(f)(x, v), mg.jvp(mg.grad(f), (x,), (v,))[1]
    with detect_anomaly(path=None):
        found = mg.hessian(f)(x), mg.hvp(f)(x, v), mg.jvp(mg.grad(f), (x,), (v,))[1]
    for a, b in zip(found, expected):
        np.testing.assert_array_equal(a, b)


def test_errors_of_other_kinds_pass_as_they_are():
    with detect_anomaly(path=None), pytest.raises(mg.ShapeError, match="inner sizes 5 and 4 differ"):
        mg.grad(lambda W: np.sum(W @ np.ones((4, 1))))(np.ones((4, 5)))
    with detect_anomaly(path=None), pytest.raises(mg.DTypeError, match="only floating-point"):
        mg.grad(lambda x: x)(3)


# --- nothing stays, nothing leaks -----------------------------------------------------------------------------------


def test_no_state_is_left():
    for path in (None, None):
        with pytest.raises(mg.NonFiniteError), detect_anomaly(path):
            mg.grad(np.log)(0.0)
        assert watcher() is None
        tape = mg.Tape(full=False)
        assert tape.plain and not tape.lines
    with detect_anomaly(path=None):
        value, pullback = mg.vjp(np.sqrt, 0.0)
    assert np.isinf(pullback(1.0)[0])  # the block is over


def test_blocks_nest():
    with detect_anomaly(path=None):
        outer = watcher()
        with pytest.raises(mg.NonFiniteError), detect_anomaly(path=None):
            mg.grad(np.log)(0.0)
        assert watcher() is outer is not None
        with pytest.raises(mg.NonFiniteError):
            mg.grad(np.log)(0.0)
    assert watcher() is None


def test_threads_do_not_see_each_others_blocks():
    start, results = threading.Barrier(4), {}

    def work(number):
        start.wait()
        for _ in range(20):
            try:
                if number % 2:
                    with detect_anomaly(path=None):
                        mg.grad(np.log)(0.0)
                else:
                    mg.grad(np.log)(0.0)
                results.setdefault(number, set()).add("passed")
            except mg.NonFiniteError:
                results.setdefault(number, set()).add("raised")

    with np.errstate(divide="ignore"):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {0: {"passed"}, 1: {"raised"}, 2: {"passed"}, 3: {"raised"}}


def test_tasks_do_not_see_each_others_blocks():
    async def watched():
        with detect_anomaly(path=None):
            await asyncio.sleep(0)
            with pytest.raises(mg.NonFiniteError):
                mg.grad(np.log)(0.0)
            await asyncio.sleep(0)

    async def free():
        for _ in range(3):
            mg.grad(np.log)(0.0)
            await asyncio.sleep(0)

    async def both():
        await asyncio.gather(watched(), free())

    asyncio.run(both())


# --- the picture ----------------------------------------------------------------------------------------------------


def anomaly(f, x, path):
    with detect_anomaly(path), pytest.raises(mg.NonFiniteError) as caught:
        mg.grad(f)(x)
    return str(caught.value)


def test_a_picture_is_saved(tmp_path):
    path = tmp_path / "first.gv"
    text = anomaly(lambda x: np.sum(np.log(x - x) * 2.0), np.ones(3), path)
    assert text.endswith(f"picture: {path}")
    drawn = path.read_text(encoding="utf-8")
    assert "log" in drawn and "subtract" in drawn
    assert "multiply" not in drawn  # it had not happened yet


def test_the_picture_of_a_backward_pass_shows_what_came_after(tmp_path):
    path = tmp_path / "first.gv"
    anomaly(lambda x: np.sum(np.sqrt(x) * np.arange(1.0, 4.0)), np.zeros(3), path)
    drawn = path.read_text(encoding="utf-8")
    assert "sqrt" in drawn and "multiply" in drawn and "sum" in drawn


@pytest.mark.parametrize("name", ["nowhere/x.svg", "x.what"])
def test_a_picture_that_cannot_be_saved_does_not_hide_the_error(tmp_path, name):
    text = anomaly(np.log, 0.0, tmp_path / name)
    assert text.startswith("log: ") and "no picture could be saved: " in text


def test_the_picture_of_a_long_computation_is_that_of_its_neighbourhood(tmp_path):
    path = tmp_path / "first.gv"

    def f(x):
        for _ in range(3000):
            x = x + 1.0
        x = np.sqrt(x - 3000.0)
        for _ in range(3000):
            x = x + 1.0
        return x

    text = anomaly(f, 0.0, path)
    assert "sqrt: the cotangent of its argument x" in text
    assert 100 < path.read_text(encoding="utf-8").count("add") < 2000


def test_the_op_is_marked_where_pictures_can_be(monkeypatch):
    seen = {}

    class Drawing:
        def save(self, path):
            seen["path"] = path

    def draw(subject, *, title=None, mark=None):
        seen.update(node=subject.tape.nodes[next(iter(mark))], text=next(iter(mark.values())), full=subject.tape.full)
        return Drawing()

    monkeypatch.setattr(mg, "draw", draw)
    anomaly(lambda x: np.sum(np.log(x - x) * 2.0), np.ones(3), "first.svg")
    assert seen["node"].name == "log" and seen["full"] and seen["path"] == "first.svg"
    assert seen["text"] == "first infinity: 3 -inf in shape (3,), the first at [0]"


def test_without_graphviz_the_text_is_saved(tmp_path, monkeypatch):
    saved = []

    class Drawing:
        def save(self, path):
            if path.endswith(".svg"):
                raise mg.GraphvizNotFound("no dot")
            saved.append(path)

    monkeypatch.setattr(mg, "draw", lambda subject, title=None: Drawing())
    text = anomaly(np.log, 0.0, tmp_path / "first.svg")
    assert saved == [str(tmp_path / "first.gv")] and text.endswith(saved[0])
