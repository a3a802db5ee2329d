"""Elementwise ops at their awkward points: ties, zeros, integer exponents, chosen branches, mixed types."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import minigrad as mg
from tests.gradients import agrees, check_derivatives, gradients_of, source

rng = np.random.default_rng(7)
X = rng.uniform(0.5, 2.0, (2, 3)) * np.array([[1, -1, 1], [-1, 1, -1]])
POSITIVE = np.abs(X)


def gradient(f, x):
    """Return the gradient of the sum of f's elements."""
    return mg.grad(lambda x: np.sum(f(x)))(np.asarray(x, float))


def second(f, x):
    """Return the sum of the second derivatives with respect to each pair that contains the element."""
    return mg.grad(lambda x: np.sum(mg.grad(lambda x: np.sum(f(x)))(x)))(np.asarray(x, float))


def gradients_of_sum(f, x, y):
    """Return the sum of f's elements and its gradients with respect to both arguments."""
    return mg.value_and_grad(lambda x, y: f(x, y).sum(), (0, 1))(x, y)


# --- ties and kinks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f, at, wanted",
    [
        (lambda x: np.maximum(x, 0), [-1, 0, -0.0, 1], [0, 0.5, 0.5, 1]),
        (lambda x: np.maximum(0, x), [-1, 0, 1], [0, 0.5, 1]),
        (lambda x: np.minimum(x, 0), [-1, 0, 1], [1, 0.5, 0]),
        (lambda x: np.maximum(x, x), [-1, 0, 1], [1, 1, 1]),
        (lambda x: np.maximum(x, np.array([1, 2])), [1, 1], [0.5, 0]),
        (abs, [-2, 0, 2], [-1, 0, 1]),
        (np.fabs, [-2, 0, 2], [-1, 0, 1]),
        (mg.relu, [-1, 0, 1], [0, 0, 1]),
        (lambda x: np.clip(x, -1, 1), [-2, -1, 0, 1, 2], [0, 1, 1, 1, 0]),
        (lambda x: np.clip(x, None, 1), [-2, 1, 2], [1, 1, 0]),
    ],
)
def test_gradient_at_a_kink(f, at, wanted):
    np.testing.assert_array_equal(gradient(f, at), wanted)


def test_ties_share_the_gradient_between_both_sides():
    x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])
    for f, dx in [(np.maximum, [0.5, 0, 1]), (np.minimum, [0.5, 1, 0])]:
        _, (gx, gy) = gradients_of_sum(f, x, y)
        np.testing.assert_array_equal(gx, dx)
        np.testing.assert_array_equal(gx + gy, 1)


def test_nan_is_the_extreme():
    for f in (np.maximum, np.minimum):
        _, (gx, gy) = gradients_of_sum(f, np.array([np.nan, 1.0]), np.array([1.0, np.nan]))
        np.testing.assert_array_equal((gx, gy), np.eye(2))


@pytest.mark.parametrize("bound", [np.array([1, 1], np.uint8), np.array([True, True]), np.array([1, 1]), 1, True])
def test_minimum_with_integers_of_any_kind(bound):
    np.testing.assert_array_equal(gradient(lambda x: np.minimum(x, bound), [0.5, 3]), [1, 0])
    np.testing.assert_array_equal(gradient(lambda x: np.maximum(x, bound), [0.5, 3]), [0, 1])


# --- where -----------------------------------------------------------------------------------------------------------


def test_where_gives_the_other_branch_zeros():
    agrees(lambda x, y: np.where(np.array([[True, False, True]]), x * y, x - y), X, POSITIVE)


def test_where_does_not_let_infinities_of_the_other_branch_through_its_own_rule():
    g = gradient(lambda x: np.where(x > 0, x * 2, np.inf), [1, -1])
    np.testing.assert_array_equal(g, [2, 0])


def test_where_protects_a_function_with_an_infinite_slope_before_it():
    """A cotangent of exactly 0 stays 0, also where the slope of ``sqrt`` is infinite."""
    careless = gradient(lambda x: np.where(x > 0, np.sqrt(x), 0), [0, 4])
    np.testing.assert_array_equal(careless, [0, 0.25])
    careful = gradient(lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1)), 0), [0, 4])
    np.testing.assert_array_equal(careful, [0, 0.25])


# --- power -----------------------------------------------------------------------------------------------------------


INTEGRAL = [0, 1, 2, 3, -1, -2, 2.0, 1.0, 0.0, np.float64(3), np.int64(2), np.array(2)]


@pytest.mark.parametrize("exponent", INTEGRAL, ids=repr)
def test_integral_exponents_take_any_base(exponent):
    agrees(lambda x: x**exponent, X)


def test_square_root_as_a_power():
    agrees(lambda x: x**0.5, POSITIVE)


@pytest.mark.parametrize("kind", [int, np.int8, float])
def test_array_of_exponents(kind):
    exponents = np.array([0, 1, 2]).astype(kind)
    agrees(lambda x: x**exponents, X)
    agrees(lambda x: np.power(x, exponents[:, None]), X[:, None])


@pytest.mark.parametrize("exponent, slope, curvature", [(0, 0, 0), (1, 1, 0), (2, 0, 2), (3, 0, 0)])
@pytest.mark.parametrize("dtype, shape", [(float, ()), (int, ()), (float, (1,)), (int, (1,)), (None, None)], ids=str)
def test_power_at_zero(exponent, slope, curvature, dtype, shape):
    y = exponent if dtype is None else np.full(shape, exponent, dtype)
    np.testing.assert_array_equal(gradient(lambda x: x**y, [0]), [slope])
    np.testing.assert_array_equal(second(lambda x: x**y, [0]), [curvature])


def test_exponent_at_base_zero():
    """0 ** y is 0 for every y > 0, so all its derivatives are 0 there."""
    f = lambda y: np.power(0.0, y)  # noqa: E731
    assert mg.grad(f)(2.0) == 0
    assert mg.grad(mg.grad(f))(2.0) == 0


def test_mixed_derivative_at_base_zero():
    """d/dx d/dy x ** y = x ** (y - 1) * (1 + y * log(x)), which goes to 0 with x for y > 1."""
    assert mg.grad(lambda x: mg.grad(lambda y: np.power(x, y))(3.0))(0.0) == 0
    assert mg.grad(lambda y: mg.grad(lambda x: np.power(x, y))(0.0))(3.0) == 0


def test_both_arguments_of_power():
    agrees(lambda x, y: x**y, POSITIVE, X, orders=3)
    agrees(lambda x: x**x, POSITIVE, orders=3)


# --- mixed types and spellings ---------------------------------------------------------------------------------------

BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.mod]
OTHERS = [2, 2.5, True, np.float32(2.5), np.float64(2), np.int64(2), np.array(2.5), np.arange(1.5, 4), [2.0, 3.0, 3.5]]


@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
@pytest.mark.parametrize("other", OTHERS, ids=repr)
@pytest.mark.parametrize("reflected", [False, True], ids=["x,other", "other,x"])
def test_operators_with_numbers_and_arrays_on_either_side(f, other, reflected):
    x = np.array([[4.3, 5.2, 6.1]])
    agrees((lambda x: f(other, x)) if reflected else (lambda x: f(x, other)), x, orders=1)


@pytest.mark.parametrize("scalar", [2, 2.0, True])
def test_python_numbers_leave_float32_alone(scalar):
    for f in BINARY:
        for g in (lambda x: f(x, scalar), lambda x: f(scalar, x)):  # noqa: B023
            out, (gradient,) = gradients_of(g, [np.array([4.3], np.float32)])
            assert out.dtype == gradient.dtype == np.float32


@pytest.mark.parametrize("x", [0.5, np.float64(0.5), np.float32(0.5), np.array(0.5)], ids=repr)
def test_scalars_stay_scalars(x):
    """A number's gradient is a number of its dtype, and a 0-d array's is a 0-d array."""
    g = mg.grad(lambda x: np.tanh(x) * x)(x)
    assert type(g) is (np.float64 if type(x) is float else type(x))
    assert g.dtype == np.asarray(x).dtype


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne])
def test_comparisons_from_either_side(compare):
    tape = mg.Tape(full=False)
    for other in (1.0, np.array([0.0, 1.0, 2.0])):
        x = np.array([1.0, 1.0, 0.0])
        np.testing.assert_array_equal(compare(tape.watch(x), other), compare(x, other))
        np.testing.assert_array_equal(compare(other, tape.watch(x)), compare(other, x))


CLIPS = [
    lambda x: np.clip(x, None, 1),
    lambda x: np.clip(x, -1, None),
    lambda x: np.clip(x, a_min=-1, a_max=1),
    lambda x: np.clip(a=x, a_min=-1, a_max=1),
    lambda x: x.clip(min=0),
    lambda x: x.clip(-1, 1),
    lambda x: x.clip(max=np.array([0.1, 0.2, 0.3])),
]
if hasattr(np, "unstack"):  # since NumPy 2.1
    CLIPS += [
        lambda x: np.clip(x, min=-1, max=1),
    ]


@pytest.mark.parametrize("f", CLIPS, ids=source)
def test_spellings_of_clip(f):
    agrees(f, 1.03 * X)
    assert f(X.astype(np.float32)).dtype == mg.vjp(f, X.astype(np.float32))[0].dtype


def test_all_of_clips_arguments_have_gradients():
    agrees(np.clip, np.array([-2.0, 0.3, 2.0]), np.array(-1.0), np.array([1.0, 1.1, 1.2]))


def test_conversions():
    out, (g,) = gradients_of(lambda x: x.astype(np.float32) * 2, [X])
    assert (out.dtype, g.dtype) == (np.float32, np.float64)
    assert type(mg.Tape(full=False).watch(X).astype(int)) is np.ndarray
    agrees(lambda x: x.copy() * np.copy(x), X)


def test_copy_of_a_mask_on_a_full_tape():
    mask = mg.Tape().watch(X) > 0
    np.testing.assert_array_equal(mask.copy().value, X > 0)


def test_ufunc_dtype_converts_the_arguments():
    out, (g,) = gradients_of(lambda x: np.multiply(x, 2, dtype=np.float32), [X])
    assert (out.dtype, g.dtype) == (np.float32, np.float64)


def test_stop_gradient_stops_every_order():
    f = lambda x: x * mg.stop_gradient(x**2)  # noqa: E731
    np.testing.assert_allclose(gradient(f, X), X**2)
    np.testing.assert_allclose(second(f, X), 0)


def test_integer_arrays_on_the_other_side_are_constants():
    agrees(lambda x: np.arange(3) * x + np.array([True, False, True]) / x, X)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.abs(x * 1j),
        lambda x: np.abs(x * (1 + 1j)) ** 2,
        lambda x: np.real(x * (1 + 2j)),
        lambda x: np.imag(x * (1 + 2j)) * np.real(1j * x * x * 1j),
        lambda x: np.conjugate(x * 1j).imag,
        lambda x: np.real(np.exp(1j * x) / (x + 1j)),
    ],
    ids=source,
)
def test_real_functions_through_complex_numbers(f):
    check_derivatives(f, [np.array([2.0, -1.0])])


# --- refused ---------------------------------------------------------------------------------------------------------


def write_slice(x):
    a = np.zeros((2, 3))
    a[:] = x


def write_in_place(x):
    a = np.ones((2, 3))
    a *= x


REFUSED = [
    (lambda x: np.add(x, 1, out=np.zeros((2, 3))), "add.*out="),
    (lambda x: np.add(x, 1, np.zeros((2, 3))), "add.*out="),
    (lambda x: np.add(x, 1, where=X > 0), "add.*where="),
    (lambda x: np.add(x, 1, casting="unsafe"), "add.*casting="),
    (lambda x: np.clip(x, 0, 1, out=np.zeros((2, 3))), "clip.*out"),
    (lambda x: np.add.at(np.zeros(3), [0], x), "add.at"),
    (lambda x: np.asarray(x), r"np\.stack"),
    (lambda x: np.array([x, x]), r"np\.stack"),
    (lambda x: np.full(3, x[0, 0]), "gradient"),
    (write_slice, r"np\.stack"),
    (write_in_place, "a = a [*] t"),
]


@pytest.mark.parametrize("f, text", REFUSED, ids=[text for _, text in REFUSED])
def test_what_would_lose_the_gradient_is_refused(f, text):
    with pytest.raises((mg.NoGradientRule, TypeError), match=text):
        f(mg.Tape(full=False).watch(X))


def test_a_number_written_into_an_array_is_refused():
    """NumPy asks the Tensor for a float here, and turns the error that it gets into a ValueError."""
    x = mg.Tape(full=False).watch(2.0)
    a = np.zeros(3)
    with pytest.raises((mg.NoGradientRule, ValueError)):
        a[0] = x
    a[0] = float(x)  # said in so many words, it is allowed
    assert a[0] == 2


def test_hasattr_tells_the_truth():
    x = mg.Tape().watch(X)
    assert hasattr(x, "sum") and not hasattr(x, "fill") and not hasattr(x, "nonsense")


# --- broadcasting, at random -----------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None, derandomize=True)
@given(shapes=arrays_of.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=3), data=st.data())
def test_broadcasting_is_undone(shapes, data):
    """Of any two shapes, the gradients are those of arrays that were broadcast beforehand, summed back by hand."""
    f = data.draw(st.sampled_from([np.add, np.subtract, np.multiply, np.divide, np.maximum, np.power]))
    shape = shapes.result_shape
    local = np.random.default_rng(3)
    x, y = (local.uniform(0.5, 2, s) for s in shapes.input_shapes)
    weights = local.standard_normal(shape)
    gx, gy = mg.grad(lambda x, y: np.sum(f(x, y) * weights), (0, 1))(x, y)
    whole = [np.broadcast_to(a, shape).copy() for a in (x, y)]
    for small, full in zip((gx, gy), mg.grad(lambda x, y: np.sum(f(x, y) * weights), (0, 1))(*whole)):
        lead = full.ndim - small.ndim
        axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(small.shape) if n == 1)
        np.testing.assert_allclose(small, full.sum(axis=axes).reshape(small.shape), rtol=1e-12, atol=1e-12)
