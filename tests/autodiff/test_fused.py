"""Fused ops defined by a user: the kernel gives the first order, the reference all others."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.autodiff.fused import fused
from minigrad.core.errors import NoGradientRule

X = np.random.default_rng(0).standard_normal((4, 3))
W = np.random.default_rng(1).standard_normal(3)


def make_gate(calls=None):
    """x * sigmoid(x * w), with a kernel, a saved intermediate, and a static parameter."""

    def reference(x, w, *, power=1):
        return x * (1 / (1 + np.exp(-x * w))) ** power

    @fused(reference=reference, outputs=("out", "s"), visible=1)
    def gate(x, w, *, power=1):
        s = 1 / (1 + np.exp(-x * w))
        return x * s**power, s

    @gate.backward
    def gate_backward(g, x, w, s, *, power, wants):
        if calls is not None:
            calls.append(wants)
        slope = power * s**power * (1 - s)
        found = {"x": g * (s**power + x * w * slope), "w": (g * x * x * slope).sum(axis=0)}
        return tuple(found[name] for name in wants)

    return gate


def test_value_is_that_of_the_kernel():
    gate = make_gate()
    np.testing.assert_allclose(gate(X, W, power=2), gate.reference(X, W, power=2))


@pytest.mark.parametrize("power", [1, 3])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_every_order_equals_the_reference(power, order):
    gate = make_gate()

    def derivative(f):
        def scalar(x, w):
            return np.sum(f(x, w, power=power) * np.cos(np.arange(12).reshape(4, 3)))

        for _ in range(order - 1):
            inner = mg.grad(scalar, (0, 1))

            def scalar(x, w, inner=inner):
                dx, dw = inner(x, w)
                return np.sum(dx * np.sin(np.arange(12).reshape(4, 3))) + np.sum(dw * np.arange(3))

        return mg.grad(scalar, (0, 1))(X, W)

    for found, expected in zip(derivative(gate), derivative(gate.reference)):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


def test_only_what_is_wanted_is_asked_of_the_kernel():
    calls = []
    gate = make_gate(calls)
    mg.grad(lambda x: np.sum(gate(x, W)))(X)
    mg.grad(lambda w: np.sum(gate(X, w)))(W)
    mg.grad(lambda x, w: np.sum(gate(x, w)), (0, 1))(X, W)
    assert calls == [("x",), ("w",), ("x", "w")]


def test_outputs_that_a_call_leaves_out_are_on_full_tapes_only():
    gate = make_gate()
    counts = {}
    for full in (False, True):
        tape = mg.Tape(full=full)
        x = tape.watch(X)
        counts[full] = len(tape)
        gate(x, W)
        counts[full] = len(tape) - counts[full]
    assert counts == {False: 1, True: 3}  # the op; and the constant W, and s
    out, s = gate.all_outputs(tape.watch(X), W)
    assert type(out) is type(s) is mg.Tensor


def test_further_outputs_differentiate_through_the_reference():
    out, pullback = mg.vjp(lambda x: mg.batchnorm.all_outputs(x, np.ones(3), np.zeros(3)), X)
    cotangents = np.sin(X), np.arange(3.0), np.ones(3)

    def reference(x):
        return mg.batchnorm.reference(x, np.ones(3), np.zeros(3))

    expected = mg.vjp(reference, X)[1](cotangents)
    np.testing.assert_allclose(pullback(cotangents)[0], expected[0], atol=1e-12)


def test_a_second_derivative_through_saved_statistics():
    """What the forward kernel computed on the way depends on the input, and the second order must know it."""

    def f(x):
        return np.sum(mg.batchnorm(x, np.ones(3), np.zeros(3)) ** 3)

    def slope(x):
        return np.sum(mg.grad(f)(x) * np.cos(X))

    found = mg.grad(slope)(X)
    step = 1e-5
    for i in np.ndindex(X.shape):
        move = np.zeros_like(X)
        move[i] = step
        assert found[i] == pytest.approx((slope(X + move) - slope(X - move)) / (2 * step), abs=1e-6)


def test_float32_is_kept():
    gate = make_gate()
    x, w = X.astype(np.float32), W.astype(np.float32)
    gradients = mg.grad(lambda x, w: np.sum(gate(x, w)), (0, 1))(x, w)
    assert [g.dtype for g in gradients] == [np.float32, np.float32]


def test_an_argument_that_the_kernel_does_not_read():
    @fused(reference=lambda x, b: np.tanh(x) + b)
    def shifted(x, b):
        return np.tanh(x) + b

    @shifted.backward
    def shifted_backward(g, x, *, wants):
        found = {"x": g * (1 - np.tanh(x) ** 2), "b": g.sum(axis=0)}
        return tuple(found[name] for name in wants)

    def f(op):
        return lambda x, b: np.sum(mg.grad(lambda x: np.sum(op(x, b) ** 2))(x) ** 2)

    for found, expected in zip(mg.grad(f(shifted), (0, 1))(X, W), mg.grad(f(shifted.reference), (0, 1))(X, W)):
        np.testing.assert_allclose(found, expected)


def test_a_kernel_that_reads_an_unknown_name():
    @fused(reference=lambda x: x)
    def same(x):
        return x * 1.0

    with pytest.raises(TypeError, match="reads 'y'"):

        @same.backward
        def same_backward(g, y, *, wants):
            return (g,)


def test_without_a_backward_kernel_the_error_says_so():
    @fused(reference=lambda x: x)
    def same(x):
        return x * 1.0

    with pytest.raises(NoGradientRule, match="same"):
        mg.grad(lambda x: np.sum(same(x)))(X)
