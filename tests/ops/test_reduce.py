"""Reductions at their awkward points: zeros in products, constants, ties, empty axes, NumPy's spellings."""

import numpy as np
import pytest

import minigrad as mg
from tests.gradients import agrees, check_derivatives, gradients_of, source

rng = np.random.default_rng(11)
X = rng.standard_normal((2, 3, 4))


def gradient(f, x):
    return mg.grad(lambda x: np.sum(f(x)))(np.asarray(x, float))


SPELLINGS = [
    lambda x: np.sum(x, 0),
    lambda x: np.sum(x, axis=(0, 2), keepdims=True),
    lambda x: np.sum(a=x),
    lambda x: np.sum(x, axis=-1, dtype=None, out=None),
    lambda x: np.sum(x, axis=()),
    lambda x: np.sum(x, axis=np.int64(1)),
    lambda x: x.sum(0),
    lambda x: x.sum(axis=(-1, 0)),
    lambda x: x.mean(axis=1),
    lambda x: x.mean((0, 1), keepdims=True),
    lambda x: np.max(x, 1),
    lambda x: np.amax(x, axis=-1),
    lambda x: np.min(x, (0, 1)),
    lambda x: x.max(),
    lambda x: x.min(1, keepdims=True),
    lambda x: x.prod(axis=1),
    lambda x: np.var(x, 1, ddof=1),
    lambda x: x.var(axis=(0, 1)),
    lambda x: np.std(x, axis=1, keepdims=True),
    lambda x: x.std(0, ddof=1),
    lambda x: np.std(x),
    lambda x: np.add.reduce(x),
    lambda x: np.add.reduce(x, axis=None),
    lambda x: np.add.reduce(x, axis=(1, 2), keepdims=True),
    lambda x: np.multiply.reduce(x, axis=1),
    lambda x: np.maximum.reduce(x, axis=-1),
    lambda x: np.minimum.reduce(x, 2),
]


@pytest.mark.parametrize("f", SPELLINGS, ids=source)
def test_spellings(f):
    agrees(f, X)


@pytest.mark.parametrize("name", "sum mean max min prod var std".split())
def test_a_single_number(name):
    f = getattr(np, name)
    out, (g,) = gradients_of(f, [np.array(2.0)])
    assert out == f(np.array(2.0)) and g.shape == ()
    assert gradients_of(lambda x: f(x, axis=()), [np.array([2.0, 3.0])])[1][0].shape == (2,)


@pytest.mark.parametrize("name", "sum mean max min prod var std".split())
@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)], ids=str)
def test_empty_arrays_reduced_along_another_axis(name, shape):
    f = getattr(np, name)
    out, (g,) = gradients_of(lambda x: f(x, axis=-1), [np.zeros(shape)])
    assert out.shape == shape[:-1] and g.shape == shape


@pytest.mark.parametrize("f", [np.sum, np.prod], ids=lambda f: f.__name__)
@pytest.mark.parametrize("axis", [None, 0])
def test_nothing_summed_and_multiplied(f, axis):
    out, (g,) = gradients_of(lambda x: f(x, axis=axis), [np.zeros((0, 3))])
    np.testing.assert_array_equal(out, f(np.zeros((0, 3)), axis=axis))
    assert g.shape == (0, 3)


@pytest.mark.parametrize("f", [np.mean, np.var, np.std], ids=lambda f: f.__name__)
def test_mean_of_nothing_is_nan_as_in_numpy(f):
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
        out, (g,) = gradients_of(f, [np.zeros(0)])
    assert np.isnan(out) and g.shape == (0,)


@pytest.mark.parametrize("f", [np.var, np.std], ids=lambda f: f.__name__)
def test_too_few_degrees_of_freedom_give_nan_as_in_numpy(f):
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):
        out, (g,) = gradients_of(lambda x: f(x, ddof=1), [np.array([3.0])])
    assert np.isnan(out) and g.shape == (1,)


# --- products with zeros ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zeros", [0, 1, 2, 3, 4])
def test_prod_with_zeros_to_third_order(zeros):
    x = np.array([2.0, -3.0, 0.5, 1.5])
    x[:zeros] = 0
    check_derivatives(np.prod, [x], orders=3)


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (2, 1)])
def test_prod_with_scattered_zeros(axis):
    x = X.copy()
    x[0, 1, 2] = x[1, 1, 2] = x[0, 0, 0] = x[1, 2, 3] = 0
    agrees(lambda x: np.prod(x, axis=axis), x)


def test_gradient_of_prod_with_one_and_two_zeros():
    np.testing.assert_array_equal(gradient(np.prod, [2, 0, 3]), [0, 6, 0])
    np.testing.assert_array_equal(gradient(np.prod, [0, 0, 3]), [0, 0, 0])


# --- constants -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.var, np.std], ids=lambda f: f.__name__)
def test_spread_of_a_constant_has_gradient_zero(f):
    np.testing.assert_array_equal(gradient(lambda x: f(x, axis=0), np.full((3, 2), 1.5)), np.zeros((3, 2)))


def test_variance_of_a_constant_has_its_curvature():
    check_derivatives(np.var, [np.full(3, 1.5)])


def test_std_of_a_constant_to_second_order_is_finite():
    g = mg.grad(lambda x: np.sum(mg.grad(np.std)(x)))(np.ones(3))
    np.testing.assert_array_equal(g, np.zeros(3))


def test_std_beside_a_constant_column():
    x = X[0].copy()
    x[:, 1] = 2.0
    g = gradient(lambda x: np.std(x, axis=0), x)
    np.testing.assert_array_equal(g[:, 1], 0)
    np.testing.assert_allclose(g[:, 0], (x[:, 0] - x[:, 0].mean()) / (3 * x[:, 0].std()))


# --- ties ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.max, lambda x, **axis: -np.min(-x, **axis)], ids=["max", "min"])
def test_ties_share_the_gradient(f):
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    np.testing.assert_allclose(gradient(lambda x: f(x, axis=1), x), [[0, 0.5, 0.5], [1 / 3] * 3])
    np.testing.assert_allclose(gradient(f, x), [[0, 0.5, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(gradient(lambda x: f(x, axis=0, keepdims=True), x), [[0, 1, 1], [1, 0, 0]])


def test_nan_takes_the_gradient_of_an_extreme():
    np.testing.assert_array_equal(gradient(np.max, [1, np.nan, 2]), [0, 1, 0])
    np.testing.assert_array_equal(gradient(np.min, [1, np.nan, 2]), [0, 1, 0])


# --- refused ---------------------------------------------------------------------------------------------------------

REFUSED = [
    (lambda x: np.sum(x, out=np.zeros(())), "sum.*out="),
    (lambda x: x.sum(axes=1), "axes.*axis"),
    (lambda x: x.sum(axis=mg.Tape().watch(1.0)), "axis="),
]


@pytest.mark.parametrize("f, text", REFUSED, ids=[text for _, text in REFUSED])
def test_arguments_that_cannot_be_recorded_are_refused_by_name(f, text):
    with pytest.raises((mg.NoGradientRule, TypeError), match=text):
        f(mg.Tape(full=False).watch(X))


def test_an_axis_outside_the_array_is_an_error_as_in_numpy():
    with pytest.raises(IndexError, match=r"sum.*\(2, 3, 4\).*axis=5"):
        mg.Tape().watch(X).sum(axis=5)
