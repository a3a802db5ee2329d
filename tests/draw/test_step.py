"""Stepping: the numbers are those of the tape, cotangents add up as they arrive, and the walk is the walk itself."""

import ast
import gc
import json
import os
import re
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import DTypeError, OptionError
from minigrad.draw import step as step_module
from minigrad.draw.step import Numbers, numbers_of, step_through
from tests.draw import nets


@pytest.fixture
def arrays(monkeypatch):
    """Let the steps hold the arrays themselves in place of their text."""
    monkeypatch.setattr(step_module, "numbers_of", lambda value: Numbers(np.array(value), "", True))


def forward_steps(walk):
    return [step for step in walk.steps if step.phase == "forward"]


def backward_steps(walk):
    return [step for step in walk.steps if step.phase == "backward"]


def value_of(walk, name, phase="forward"):
    (found,) = [step for step in walk.steps if step.name == name and step.phase == phase]
    return found.values[0][1].text


def micro(a, b, c, f):
    e = a * b
    d = e + c
    return d * f + e


def block(params, x, y):
    with mg.scope("fc1"):
        hidden = mg.relu(x @ params["W1"] + params["b1"])
    return np.mean((hidden @ params["W2"] - y) ** 2) + 0.1 * np.sum(params["W1"] ** 2)


def block_inputs():
    rng = np.random.default_rng(0)
    params = {"W1": rng.standard_normal((3, 4)), "b1": rng.standard_normal(4), "W2": rng.standard_normal((4, 2))}
    return params, rng.standard_normal((5, 3)), rng.standard_normal((5, 2))


# --- the numbers ----------------------------------------------------------------------------------------------------


def test_values_and_gradients_of_a_formula(arrays):
    walk = step_through(micro, 2.0, -3.0, 10.0, -2.0)
    names = [step.name for step in walk.steps]
    assert names[:8] == ["a", "b", "c", "f", "multiply 1", "add 1", "multiply 2", "add 2"]
    assert names[8:] == ["add 2", "multiply 2", "add 1", "multiply 1", "f", "c", "b", "a"]
    assert [float(step.values[0][1].text) for step in forward_steps(walk)] == [2, -3, 10, -2, -6, 4, -8, -14]
    gradients = mg.grad(micro, (0, 1, 2, 3))(2.0, -3.0, 10.0, -2.0)
    for name, gradient in zip("abcf", gradients):
        assert value_of(walk, name, "backward") == gradient


def test_values_and_gradients_of_a_network(arrays):
    inputs = block_inputs()
    walk = step_through(block, *inputs)
    loss, grads = mg.value_and_grad(block)(*inputs)
    assert forward_steps(walk)[-1].values[0][1].text == loss
    for name, gradient in grads.items():
        np.testing.assert_allclose(value_of(walk, name, "backward"), gradient, rtol=1e-12)


@pytest.mark.parametrize("make", [nets.mlp2, nets.bn5, nets.conv3, nets.lstm10, nets.transformer])
def test_what_arrives_is_the_sum_of_what_was_given(arrays, make):
    function, inputs = make()
    walk = step_through(function, *inputs)
    totals, counts = {}, {}
    for step in backward_steps(walk):
        if step.node in totals and len(step.values) == 1 and "of" not in step.values[0][0]:
            np.testing.assert_allclose(step.values[0][1].text, totals.pop(step.node), rtol=1e-12)
            number, count = counts.pop(step.node)
            assert number == count, "a rule is run when all cotangents have arrived"
        for gift in step.gifts:
            before = 0 if gift.before is None else gift.before.text
            assert (gift.before is None) == (gift.number == 1)
            np.testing.assert_array_equal(gift.total.text, before + gift.amount.text)
            totals[gift.node] = gift.total.text
            counts[gift.node] = gift.number, gift.count
    params = inputs[0]
    grads = mg.grad(function)(*inputs)
    for name in params:
        np.testing.assert_allclose(value_of(walk, name, "backward"), grads[name], rtol=1e-9, atol=1e-12)


def test_what_an_op_computes_is_said_in_words_and_not_by_a_signature():
    walk = step_through(lambda x: np.sum(np.tanh(x)), np.ones(2))
    assert [step.words for step in walk.steps[1:3]] == [
        "tanh: Compute hyperbolic tangent element-wise.",
        "sum: Sum over axes.",
    ]


def test_the_order_is_that_of_the_tape():
    walk = step_through(block, *block_inputs())
    order = {node.id: node.entry for node in walk.view.nodes}
    forward = [order[step.node] for step in forward_steps(walk)]
    assert forward == sorted(forward)
    ops = [order[step.node] for step in backward_steps(walk) if step.gifts]
    assert ops == sorted(ops, reverse=True)


def test_what_a_rule_reads_is_what_it_names(arrays):
    walk = step_through(lambda x, y: np.tanh(x * y), 0.5, 2.0)
    tanh, multiply = (step for step in backward_steps(walk) if step.gifts)
    assert [(read.argument, read.name) for read in tanh.reads] == [("out", "tanh itself")]
    assert tanh.reads[0].numbers.text == np.tanh(1.0)
    assert [(read.argument, read.name, float(read.numbers.text)) for read in multiply.reads] == [
        ("x", "x", 0.5),
        ("y", "y", 2.0),
    ]
    assert [gift.rule for gift in multiply.gifts] == ["dx = g * y", "dy = g * x"]
    assert tanh.gifts[0].rule == "dx = g - g * out * out"


def test_one_array_read_twice_by_one_op():
    walk = step_through(lambda x: x * x, 3.0)
    gifts = backward_steps(walk)[0].gifts
    assert [(gift.name, gift.amount.text, gift.number, gift.count) for gift in gifts] == [
        ("x", "3", 1, 2),
        ("x", "3", 2, 2),
    ]
    assert gifts[1].before.text == "3" and gifts[1].total.text == "6"
    assert backward_steps(walk)[-1].values[0][1].text == "6"


def test_broadcasting_is_undone_in_what_is_given(arrays):
    walk = step_through(lambda x, b: np.sum(x + b), np.ones((3, 2)), np.ones(2))
    add = next(step for step in backward_steps(walk) if step.name == "add")
    assert add.gifts[1].amount.text.tolist() == [3.0, 3.0]
    assert add.gifts[1].rule == "dy = g, summed to 2"


def test_parts_of_an_array_add_up(arrays):
    walk = step_through(lambda x: x[0] * x[1] + x[0], np.array([2.0, 5.0]))
    gifts = [gift for step in backward_steps(walk) for gift in step.gifts if gift.name == "x"]
    assert [gift.amount.text.tolist() for gift in gifts][-1] in ([6.0, 0.0], [5.0, 0.0], [1.0, 0.0])
    assert value_of(walk, "x", "backward").tolist() == [6.0, 2.0]
    assert gifts[-1].total.text.tolist() == [6.0, 2.0]


def test_an_op_with_several_outputs(arrays):
    def parts(x):
        one, other = np.split(x, 2)
        return np.sum(one * other)

    walk = step_through(parts, np.array([1.0, 2.0, 3.0, 4.0]))
    assert value_of(walk, "x", "backward").tolist() == [3.0, 4.0, 1.0, 2.0]
    scores = step_through(lambda s: mg.softmax_loss(s, np.array([0, 1])), np.zeros((2, 3)))
    loss = next(step for step in forward_steps(scores) if step.name == "softmax_loss")
    assert [name for name, _ in loss.values][0] == "loss"
    assert loss.values[0][1].text == pytest.approx(np.log(3))


def test_results_that_are_read_again_and_several_results(arrays):
    def both(x):
        y = np.tanh(x)
        return y, y * 2.0

    walk = step_through(both, 0.3)
    tanh = next(step for step in backward_steps(walk) if step.name == "tanh")
    assert tanh.values[0][1].text == 3.0  # 1 of its own, and 2 from the product
    product = backward_steps(walk)[0]
    assert (product.gifts[0].number, product.gifts[0].count, float(product.gifts[0].before.text)) == (2, 2, 1.0)
    assert value_of(walk, "x", "backward") == pytest.approx(3 * (1 - np.tanh(0.3) ** 2))


def test_a_model_with_data(arrays):
    class Net(mg.Model):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.reg = 0.1
            self.params = {"W": rng.standard_normal((4, 3)), "b": np.zeros(3)}

        def forward(self, params, X):
            return X @ params["W"] + params["b"]

    model, X, y = Net(), np.random.default_rng(1).standard_normal((5, 4)), np.array([0, 1, 2, 1, 0])
    before = {name: value.copy() for name, value in model.params.items()}
    walk = step_through(model, X, y)
    loss, grads = model.loss(X, y)
    assert forward_steps(walk)[-1].values[0][1].text == pytest.approx(loss)
    for name, gradient in grads.items():
        np.testing.assert_allclose(value_of(walk, name, "backward"), gradient, rtol=1e-12)
    for name, value in before.items():
        np.testing.assert_array_equal(model.params[name], value)
    assert repr(step_through(model, X)).startswith("<Walk through Net:")


def test_what_has_no_gradient_is_only_walked_forward():
    walk = step_through(lambda x: np.argmax(x), np.array([1.0, 3.0, 2.0]))
    assert backward_steps(walk) == []
    assert "backward" not in walk.to_text()
    assert walk.to_html()


def test_nothing_that_is_not_finite_is_an_error():
    with np.errstate(divide="ignore"):
        walk = step_through(lambda x: np.sum(np.log(x)), np.array([0.0, 1.0]))
    assert "-inf" in walk.to_text()
    assert "inf" in walk.to_html()


# --- numbers as text ------------------------------------------------------------------------------------------------


def read_back(text):
    return np.array(ast.literal_eval(re.sub(r"(?<=[\d.])\s+(?=[-\d])", ", ", text.replace("]\n", "],\n"))), float)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (8, 8), (2, 3, 4), (1, 1)])
def test_small_arrays_are_whole(shape):
    array = np.random.default_rng(0).standard_normal(shape)
    numbers = numbers_of(array)
    assert numbers.whole
    np.testing.assert_allclose(read_back(numbers.text), array, atol=6e-6)


def test_large_arrays_are_summarised():
    numbers = numbers_of(np.arange(1000.0).reshape(10, 100))
    assert not numbers.whole
    assert numbers.text == "10×100 numbers of float64: min 0, mean 499.5, max 999, rms 576.9"
    assert numbers.short == "10×100, rms 5.8e+02"
    assert numbers_of(np.array([np.nan] * 100)).text.endswith("100 NaN")
    assert numbers_of(np.array([1e200, -1e200] * 50)).text.endswith("rms 1e+200")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2"),
        (1 / 3, "0.333333"),
        (np.int64(7), "7"),
        (True, "True"),
        (1e-9, "1e-09"),
        (np.nan, "nan"),
        (1 + 2j, "1+2j"),
    ],
)
def test_single_numbers(value, text):
    assert numbers_of(value) == Numbers(text, text, True)


def test_a_users_print_options_change_nothing():
    expected = numbers_of(np.array([0.123456789, -1.0]))
    with np.printoptions(precision=1, suppress=True, sign="+", formatter={"float": lambda x: "?"}):
        assert numbers_of(np.array([0.123456789, -1.0])) == expected


def test_empty_arrays():
    assert numbers_of(np.zeros((0, 3))).text == "[]"


# --- the page, files, notebooks -------------------------------------------------------------------------------------


def test_the_page_holds_the_steps(tmp_path):
    walk = step_through(micro, 2.0, -3.0, 10.0, -2.0)
    walk.save(tmp_path / "walk.html")
    page = (tmp_path / "walk.html").read_text(encoding="utf-8")
    assert page == walk.to_html()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert [step["name"] for step in data["steps"]] == [step.name for step in walk.steps]
    nodes = {node["id"] for node in data["graphs"][0]["nodes"]}
    for seen, step in zip(data["steps"], walk.steps):
        assert seen["node"] in nodes
        assert [text for _, text in seen["values"]] == [numbers.text for _, numbers in step.values]
        assert [give["amount"] for give in seen["gives"]] == [gift.amount.text for gift in step.gifts]
        assert all(slot[0] in nodes for slot in seen["slots"])
    assert 'id="slider"' in page


@pytest.mark.parametrize("path", ["walk.svg", "walk", "nowhere/walk.html"])
def test_bad_paths(tmp_path, path):
    walk = step_through(micro, 2.0, -3.0, 10.0, -2.0)
    with pytest.raises((OptionError, FileNotFoundError), match="a walk"):
        walk.save(tmp_path / path)
    assert os.listdir(tmp_path) == []


def test_notebooks(monkeypatch):
    walk = step_through(micro, 2.0, -3.0, 10.0, -2.0)
    shown = walk._repr_mimebundle_()
    assert shown["text/html"].startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
    assert shown["text/plain"] == "<Walk through micro: 8 steps forward, 8 backward>"
    monkeypatch.setattr(type(walk), "to_html", lambda self: 1 / 0)
    assert "text/plain" in walk._repr_mimebundle_()


def test_show_opens_a_page(monkeypatch):
    import webbrowser

    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    step_through(micro, 2.0, -3.0, 10.0, -2.0).show()
    path = opened[0].removeprefix("file://")
    with open(path, encoding="utf-8") as file:
        assert file.read().startswith("<!DOCTYPE html>")
    os.unlink(path)


def test_hostile_names():
    name = "</script><!-- \" ' & 汉字 \x07"
    walk = step_through(lambda params: np.sum(np.tanh(params[name])), {name: np.ones(2)}, title=name)
    page = walk.to_html()
    assert page.count("</script>") == 2
    assert name in walk.to_text()


def test_a_walk_keeps_nothing_alive():
    class Marked(np.ndarray):
        pass

    x = np.ones(3).view(Marked)
    alive = weakref.ref(x)
    walk = step_through(lambda x: np.sum(np.tanh(x)), x)
    walk.to_html()
    del x
    gc.collect()
    assert alive() is None
    assert len(walk.steps) == 6


# --- bad input ------------------------------------------------------------------------------------------------------


def test_too_long_a_walk_is_refused():
    def chain(x):
        for _ in range(501):
            x = np.tanh(x)
        return x

    with pytest.raises(OptionError, match="chain has 501 ops, more than anybody would walk through"):
        step_through(chain, 1.0)


def test_a_tensor_is_refused():
    with mg.Tape() as tape:
        y = np.tanh(tape.watch(np.ones(3)))
    with pytest.raises(OptionError, match="takes a model or a function with its inputs, and a Tensor came"):
        step_through(y)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((3,), {}, DTypeError, "takes a model, a function with its inputs"),
        ((mg.Model,), {}, DTypeError, "the class Model itself came"),
        ((lambda x: 3.0, 1.0), {}, DTypeError, "was not computed from its inputs"),
        ((micro, 1.0, 2.0, 3.0, 4.0), {"direction": "UP"}, OptionError, "direction='UP' is not known"),
        ((micro, 1.0, 2.0, 3.0, 4.0), {"theme": "drak"}, OptionError, 'did you mean "dark"'),
    ],
)
def test_bad_input(arguments, options, error, words):
    with pytest.raises(error, match=words):
        step_through(*arguments, **options)
