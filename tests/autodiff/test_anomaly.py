"""Finding the first NaN or infinity by running a function and its backward pass again."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.autodiff.anomaly import Detector, detecting, entry_text, find_first_nonfinite, line_text, source_text
from minigrad.core.tape import watcher


def divided(params):
    with mg.scope("block1"):
        with mg.scope("norm"):
            return np.sum(params["x"] / params["y"])


def test_the_first_op_forward():
    text = find_first_nonfinite(divided, {"x": np.ones(3), "y": np.array([1.0, 0.0, 2.0])})
    lines = text.splitlines()
    assert lines[0] == "divide in block1/norm: its result holds the first infinity: 1 inf in shape (3,), at [1]"
    assert lines[1].startswith("in the forward pass, at test_anomaly.py:")
    assert lines[2].strip() == 'return np.sum(params["x"] / params["y"])'
    assert "    x = %0 x, float64 (3,): min 1, max 1, mean 1; 0 NaN, 0 infinite" in lines
    assert "    y = %1 y, float64 (3,): min 0, max 2, mean 1; 0 NaN, 0 infinite" in lines
    assert "the divisor y is 0 in 1 places" in text
    assert "    %2 divide(%0, %1) (3,) in block1/norm, test_anomaly.py:" in text


def test_the_first_op_backward():
    text = find_first_nonfinite(lambda x: np.sum(np.sqrt(x) * 2.0), np.array([1.0, 0.0, 0.0]))
    lines = text.splitlines()
    assert lines[0] == (
        "sqrt: the cotangent of its argument x holds the first infinity: 2 inf in shape (3,), the first at [1]"
    )
    assert lines[1].startswith("in the backward pass, of the op at test_anomaly.py:")
    assert "    g = float64 (3,): min 2, max 2, mean 2; 0 NaN, 0 infinite" in lines
    assert "np.where(x > 0, x, 1)" in text


def test_finite_is_none():
    assert find_first_nonfinite(lambda x: np.sum(x * x), np.ones(3)) is None
    assert find_first_nonfinite(lambda x: 1.0, np.ones(3)) is None
    assert find_first_nonfinite(lambda x: np.argmax(x), np.ones(3)) is None
    assert watcher() is None


def test_an_infinity_that_came_with_a_constant_is_named_when_nothing_else_explains_the_result():
    text = find_first_nonfinite(lambda x: np.sum(x) + np.inf, np.ones(3))
    assert text.startswith("add: its result holds the first infinity: 1 inf\n")
    assert "y came with 1 inf already" in text


def test_a_function_is_run_without_warnings_and_on_the_same_values():
    seen = []

    def f(x):
        seen.append(np.array(x.value))
        return np.log(x).sum()

    x = np.array([-1.0, 0.0])
    assert "1 NaN, 1 -inf in shape (2,), the first at [0]" in find_first_nonfinite(f, x)
    np.testing.assert_array_equal(seen[0], x)


def test_a_nonfinite_parameter_is_said_to_be_so_already():
    text = find_first_nonfinite(lambda p: np.sum(np.ones((2, 2)) @ p["W"]), {"W": np.array([[np.nan, 1.0], [0, 0]])})
    assert text.startswith("matmul: its result holds the first NaN: 2 NaN in shape (2, 2), the first at [0, 0]\n")
    assert "y = %0 W, float64 (2, 2): min 0, max 1, mean 0.3333; 1 NaN, 0 infinite" in text
    assert "y came with 1 NaN already" in text


@pytest.mark.parametrize(
    "f, x, advice",
    [
        (lambda x: np.exp(x), 1000.0, "exp overflows above 709.8 in float64"),
        (lambda x: np.exp(x), np.float32(100), "exp overflows above 88.72 in float32"),
        (lambda x: np.exp2(x), 2000.0, "exp2 overflows above 1024 in float64"),
        (lambda x: np.sqrt(x), -1.0, "x holds 1 negative numbers"),
        (lambda x: np.log1p(x), -1.0, "x holds 1 elements equal to -1 and 0 below it"),
        (lambda x: x * x, 1e200, "the numbers grow too large for their dtype"),
        (lambda x: np.reciprocal(x), 0.0, "the divisor x is 0 in 1 places"),
    ],
)
def test_advice(f, x, advice):
    assert advice in find_first_nonfinite(f, x)


def test_a_sum_of_cotangents_that_overflows_where_broadcasting_is_undone():
    x = np.full(2000, 100.0, np.float16)
    text = find_first_nonfinite(lambda b: np.multiply(x, b) * np.float16(1), np.array(1.0, np.float16))
    assert text.startswith("multiply: the cotangent of its argument y holds the first infinity: 1 inf\n")


def test_a_cotangent_that_arrives_is_checked_too():
    with detecting(Detector()), mg.Tape() as tape, pytest.raises(mg.NonFiniteError) as caught:
        x = tape.watch(np.ones(2))
        tape.gradient(np.tanh(x), x, np.array([1.0, np.nan]))
    assert str(caught.value).startswith("tanh: the cotangent that arrives at its result holds the first NaN: 1 NaN")


def test_several_outputs_are_named():
    @mg.primitive(outputs=("low", "high"))
    def both(x):
        return x, 1 / x

    both.vjp(x=lambda g, x: g[0] - g[1] / x**2)
    text = find_first_nonfinite(lambda x: sum(both(x)), 0.0)
    assert text.startswith("both: its result high holds the first infinity: 1 inf\n")
    both.vjp(x=lambda g: g[0] / 0.0 + g[1])
    text = find_first_nonfinite(lambda x: sum(both(x)), np.ones(2))
    assert "both: the cotangent of its argument x" in text and "g high = " in text


def test_complex_numbers():
    text = find_first_nonfinite(lambda z: np.sum(np.real(1 / z)), np.array([1j, 0j]))
    assert "1 NaN" in text and "modulus from 0 to 1" in text


def test_words():
    assert line_text(("/a/b/net.py", 12)) == line_text(("C:\\a\\net.py", 12)) == "net.py:12"
    assert line_text(None) == source_text(None) == source_text(("no such file", 1)) == ""
    with mg.Tape() as tape, mg.scope("fc"):
        x = tape.watch(np.ones((2, 3)), name="x")
        x @ np.ones((3, 1))
    assert entry_text(tape.records, 0) == "%0 input x (2, 3) in fc"
    assert entry_text(tape.records, 2) == "%2 matmul(%0, %1) (2, 1) in fc"
