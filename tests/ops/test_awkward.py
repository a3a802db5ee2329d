"""Awkward points that cross families: constants, broadcasting inside einsum, shapes that depend on values."""

import numpy as np
import pytest

import minigrad as mg


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("value", [1.0, 0.1, 1 / 3])
@pytest.mark.parametrize("count", [1, 3, 7, 1000])
def test_std_of_a_constant_has_gradient_0(count, value, dtype):
    """Also where the mean of the constant is rounded."""
    gradient = mg.grad(np.std)(np.full(count, value, dtype))
    np.testing.assert_array_equal(gradient, np.zeros(count))


@pytest.mark.parametrize(
    ("subscripts", "left", "right"),
    [
        ("ij,ij->", (3, 4), (1, 4)),
        ("ij,jk->ik", (3, 1), (4, 2)),
        ("ij,ij->i", (3, 1), (3, 4)),
        ("ij,ij->ij", (1, 4), (3, 1)),
    ],
)
def test_einsum_broadcasts_axes_of_size_1(subscripts, left, right):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(left), rng.standard_normal(right)
    mg.check_grads(lambda x, y: np.einsum(subscripts, x, y), (x, y))


def test_put_along_axis_broadcasts_its_indices():
    def f(x):
        y = x * 1.0
        np.put_along_axis(y, np.array([[1]]), 2.0, axis=1)
        return np.sum(y * y)

    x = np.arange(6.0).reshape(2, 3)
    value, gradient = mg.value_and_grad(f)(x)
    assert value == f(x)
    np.testing.assert_array_equal(gradient, [[0, 0, 4], [6, 0, 10]])


def test_the_condition_number_at_its_least_shares_ties():
    np.testing.assert_array_equal(mg.grad(np.linalg.cond)(np.eye(2)), np.zeros((2, 2)))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x[x > 0],
        lambda x: np.compress(x > 0, x),
        lambda x: np.unique(x),
        lambda x: np.argwhere(x > 0),
        lambda x: np.polymul(x, x),
    ],
)
def test_a_captured_program_may_not_depend_on_values(f):
    with pytest.raises(mg.BranchError):
        f(mg.Tape(static=True).watch(np.array([1.0, -2.0, 3.0])))
    f(mg.Tape().watch(np.array([1.0, -2.0, 3.0])))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.delete(x, np.argmax(x)),
        lambda x: np.insert(x, np.argmax(x), 2.0),
        lambda x: np.interp(x, [0.0, 1.0, 2.0], [1.0, 4.0, 2.0]),
        lambda x: x[np.nonzero(x > 1)],
    ],
)
def test_what_differentiates_can_be_drawn(f):
    x = np.array([1.5, 0.2, 0.7])
    mg.check_grads(f, (x,))
    assert "digraph" in mg.draw(lambda x: np.sum(f(x)), x).source


def test_ranges_keep_their_dtype():
    start = np.float32(1)
    assert mg.vjp(lambda t: np.linspace(t, np.float32(2), 3), start)[0].dtype == np.float32
    mg.check_grads(lambda a, b: np.geomspace(a, b, 4, axis=-1), (np.ones((3, 4)), np.full((3, 4), 5.0)))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.compress([True], x, axis=5),
        lambda x: np.tensordot(x, x, axes=(5, 4)),
        lambda x: np.take(x, 0, axis=5),
        lambda x: np.put_along_axis(x, np.array([[0]]), 1.0, axis=5),
    ],
)
def test_an_axis_outside_the_array_is_an_error(f):
    with pytest.raises((IndexError, ValueError)):
        f(mg.Tape().watch(np.ones((2, 3))))


@pytest.mark.parametrize(
    "ufunc",
    [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.logaddexp],
    ids=lambda u: u.__name__,
)
def test_at_combines_as_often_as_an_element_comes(ufunc):
    x, v, places = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 1.5, 2.5, -1.2]), np.array([1, 1, 3, 1])

    def f(x, v):
        y = x * 1.0
        ufunc.at(y, places, v)
        return y * y

    expected = x.copy()
    ufunc.at(expected, places, v)
    np.testing.assert_allclose(mg.vjp(f, x, v)[0], expected * expected)
    mg.check_grads(f, (x, v))
    with pytest.raises(mg.NoGradientRule, match="plain array"):
        mg.grad(lambda v: (ufunc.at(np.zeros(4), places, v), v.sum())[1])(v)


def test_at_with_slices_and_negative_indices():
    def f(x):
        y = x * 1.0
        np.add.at(y, (slice(None), [0, -3]), 2.0 * x[:, :1])
        return y * y

    x = np.arange(6.0).reshape(2, 3) + 0.5
    np.testing.assert_allclose(mg.vjp(f, x)[0], f(x))
    mg.check_grads(f, (x,))
