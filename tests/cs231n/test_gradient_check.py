"""Numerical gradients: right on functions with known ones; what they move is put back."""

from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from minigrad.cs231n import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    eval_numerical_gradient_blobs,
    eval_numerical_gradient_net,
    grad_check_sparse,
    rel_error,
)

rng = np.random.default_rng(73)
X = rng.standard_normal((3, 4))


def cubes(x):
    return np.sum(x**3)


def test_of_a_number():
    x = X.copy()
    np.testing.assert_allclose(eval_numerical_gradient(cubes, x, verbose=False), 3 * X**2, atol=1e-9)
    np.testing.assert_array_equal(x, X)


def test_the_step_can_be_chosen():
    found = eval_numerical_gradient(cubes, X.copy(), verbose=False, h=0.1)
    np.testing.assert_allclose(found, 3 * X**2 + 0.01)  # its error is h * h for a cube


def test_verbose_prints_each_entry(capsys):
    eval_numerical_gradient(np.sum, np.zeros((1, 2)))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(") ")[0] for line in lines] == ["(0, 0", "(0, 1"]
    assert [float(line.split(") ")[1]) for line in lines] == pytest.approx([1, 1])


@pytest.mark.parametrize("f", [np.tanh, lambda x: x, lambda x: x.T, lambda x: x[0]], ids=["tanh", "x", "x.T", "row"])
def test_of_an_array(f):
    """Also where the function returns its argument, or a view of it, which moves under its feet."""
    x, df = X.copy(), rng.standard_normal(f(X).shape)
    _, pullback = mg.vjp(f, X)
    np.testing.assert_allclose(eval_numerical_gradient_array(f, x, df), pullback(df)[0], atol=1e-9)


def test_empty_and_0d():
    np.testing.assert_allclose(eval_numerical_gradient(lambda x: x**2, np.array(3.0), verbose=False), 6.0)
    assert eval_numerical_gradient(np.sum, np.zeros((0, 2)), verbose=False).shape == (0, 2)


class Net:
    """An affine layer on blobs."""

    def __init__(self):
        self.inputs = [self.blob(3, 4), self.blob(4, 2)]
        self.output = self.blob(3, 2)

    @staticmethod
    def blob(*shape):
        return SimpleNamespace(vals=rng.standard_normal(shape), diffs=rng.standard_normal(shape))

    def forward(self):
        x, w = self.inputs
        self.output.vals[...] = x.vals @ w.vals


def test_of_blobs_and_nets():
    net = Net()
    x, w = net.inputs
    found = eval_numerical_gradient_net(net, net.inputs, net.output)
    wanted = [net.output.diffs @ w.vals.T, x.vals.T @ net.output.diffs]
    again = eval_numerical_gradient_blobs(lambda x, w, out: net.forward(), tuple(net.inputs), net.output)
    for one, other, right in zip(found, again, wanted):
        np.testing.assert_allclose(one, right, atol=1e-9)
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "check",
    [
        lambda f, x: eval_numerical_gradient(f, x, verbose=False),
        lambda f, x: eval_numerical_gradient_array(f, x, 1.0),
        lambda f, x: grad_check_sparse(f, x, x),
        lambda f, x: eval_numerical_gradient_blobs(lambda a, b: f(x), [SimpleNamespace(vals=x, diffs=x)], None),
    ],
    ids=["number", "array", "sparse", "blobs"],
)
def test_x_is_restored_when_the_function_raises(check):
    calls = []

    def fails(x):
        calls.append(x.copy())
        raise ZeroDivisionError

    x = X.copy()
    with pytest.raises(ZeroDivisionError):
        check(fails, x)
    assert not np.array_equal(calls[0], X)
    np.testing.assert_array_equal(x, X)


def test_sparse(capsys):
    grad_check_sparse(cubes, X.copy(), 3 * X**2, num_checks=5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for line in lines:
        words = line.split()
        assert words[0] == "numerical:" and words[2] == "analytic:" and words[4:6] == ["relative", "error:"]
        assert float(words[6]) < 1e-5 and float(words[1]) == pytest.approx(float(words[3].rstrip(",")), abs=1e-5)


def test_sparse_where_both_are_zero(capsys):
    grad_check_sparse(lambda x: 0.0, X.copy(), 0 * X, num_checks=1)
    assert capsys.readouterr().out.endswith("relative error: 0.000000e+00\n")


def test_rel_error():
    assert rel_error(np.array([1.0, -2.0]), np.array([1.0, 2.0])) == 1.0
    assert rel_error(3.0, 3.0) == 0.0 and rel_error(np.zeros(2), np.zeros(2)) == 0.0
    assert rel_error(1e-9, 0.0) == pytest.approx(0.1)
    assert rel_error(np.zeros(0), np.zeros(0)) == 0.0
    assert np.isnan(rel_error(np.array([np.nan, 1.0]), np.ones(2)))
    assert rel_error(np.ones(3), 1.0) == 0.0


# --- what it refuses -------------------------------------------------------------------------------------------------


def test_shapes_that_would_broadcast():
    with pytest.raises(mg.ShapeError, match=r"rel_error: arrays of shapes \(3,\) and \(3, 1\)"):
        rel_error(np.ones(3), np.ones((3, 1)))
    with pytest.raises(mg.ShapeError, match=r"df has shape \(4,\)"):
        eval_numerical_gradient_array(lambda x: x, X.copy(), np.ones(4))
    with pytest.raises(mg.ShapeError, match="grad_check_sparse"):
        grad_check_sparse(cubes, X.copy(), X.T)


@pytest.mark.parametrize("x", [np.arange(3), [1.0, 2.0], 2.0], ids=str)
def test_no_array_of_floats(x):
    with pytest.raises(mg.DTypeError, match="array of floats"):
        eval_numerical_gradient(np.sum, x)
