"""Ufuncs: every one of NumPy's is known; their awkward points, their keywords, their methods."""

import operator

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.numpy_protocol import UFUNCS
from tests.gradients import agrees, check_derivatives, gradients_of, source

rng = np.random.default_rng(11)
X = rng.uniform(0.5, 2.0, (2, 3)) * np.array([[1, -1, 1], [-1, 1, -1]])
Y = rng.uniform(0.5, 2.0, (2, 3))


def gradient(f, x):
    """Return the gradient of the sum of f's elements."""
    return mg.grad(lambda x: np.sum(f(x)))(np.asarray(x, float))


def second(f, x):
    """Return the gradient of the sum of the gradient's elements."""
    return gradient(lambda x: mg.grad(lambda x: np.sum(f(x)))(x), x)


def watched(x):
    return mg.Tape(full=False).watch(x)


# --- all of them -----------------------------------------------------------------------------------------------------

ALL = {name: f for name, f in vars(np).items() if isinstance(f, np.ufunc)}


@pytest.mark.parametrize("name", ALL)
def test_every_ufunc_is_known(name):
    assert ALL[name] in UFUNCS


def test_no_times_in_tensors():
    with pytest.raises(TypeError, match="isnat"):
        np.isnat(watched(X))


# --- awkward points --------------------------------------------------------------------------------------------------


GUARDED = [
    lambda x: np.where(x > 0, np.sqrt(x), 0),
    lambda x: np.where(x > 0, np.cbrt(x), 0),
    lambda x: np.where(x > 0, np.log(x), 0),
    lambda x: np.where(x > 0, np.log2(x), 0),
    lambda x: np.where(x > 0, np.log10(x), 0),
    lambda x: np.where(x > 0, np.log1p(x - 1), 0),
    lambda x: np.where(x > 0, 1 / x, 0),
    lambda x: np.where(x > 0, np.ones(4) / x, 0),
    lambda x: np.where(x > 0, x / x**2, 0),
    lambda x: np.where(x > 0, np.reciprocal(x), 0),
    lambda x: np.where(x > 0, x**0.5, 0),
    lambda x: np.where(x > 0, x**1.5, 0),
    lambda x: np.where(x > 0, x**-1, 0),
    lambda x: np.where(x > 0, x ** np.array([0.5, 1.5, -1, 0.5]), 0),
    lambda x: np.where(x > 0, np.arcsin(1 - 0.1 * x), 0),
    lambda x: np.where(x > 0, np.arccos(1 - 0.1 * x), 0),
    lambda x: np.where(x > 0, np.arctanh(1 - 0.1 * x), 0),
    lambda x: np.where(x > 0, np.arccosh(1 + x), 0),
]


@pytest.mark.parametrize("f", GUARDED, ids=source)
@pytest.mark.parametrize("size", [1, 500], ids=["small", "large"])
def test_a_result_that_is_not_chosen_has_gradient_0(f, size):
    """At 0, where the slope is infinite, and below, where it is undefined; in both orders."""
    x = np.tile([0.0, 4.0, -1.0, 1.5], (size, 1))
    inside = x > 0
    with np.errstate(all="ignore"):
        first, other = gradient(f, x), second(f, x)
        expected = [gradient(f, np.where(inside, x, 2.0)), second(f, np.where(inside, x, 2.0))]
    np.testing.assert_allclose(first, np.where(inside, expected[0], 0), rtol=1e-12)
    np.testing.assert_allclose(other, np.where(inside, expected[1], 0), rtol=1e-12)


def test_root_that_is_not_chosen_warns_of_nothing():
    for f in (np.sqrt, np.cbrt, lambda x: x**0.5):
        guarded = lambda x: np.where(x > 0, f(x), 0)  # noqa: B023, E731
        np.testing.assert_array_equal(gradient(guarded, [0.0, 0.0]), 0)
        np.testing.assert_array_equal(second(guarded, [0.0, 0.0]), 0)


@pytest.mark.parametrize("f", [np.sqrt, np.cbrt, lambda x: x**0.5], ids=source)
def test_an_infinite_slope_that_counts_is_infinite(f):
    with np.errstate(divide="ignore"):
        assert gradient(f, 0.0) == np.inf


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_arctan2_and_hypot_at_the_origin(dtype):
    origin = np.zeros(2, dtype)
    for f in (np.arctan2, np.hypot):
        first = mg.grad(lambda x, y: np.sum(f(x, y)), (0, 1))  # noqa: B023
        np.testing.assert_array_equal(first(origin, origin), 0)
        np.testing.assert_array_equal(mg.grad(lambda x, y: sum(map(np.sum, first(x, y))))(origin, origin), 0)  # noqa: B023


def test_arctan2_far_out_does_not_overflow():
    gx, gy = mg.grad(np.arctan2, (0, 1))(np.float32(3e30), np.float32(4e30))
    np.testing.assert_allclose([gx, gy], [4 / 25e30, -3 / 25e30], rtol=1e-6)


def test_arctan2_in_all_quadrants():
    agrees(np.arctan2, X, X[:, ::-1].copy(), orders=3)


def test_logaddexp_at_infinity():
    inf = np.inf
    x, y = np.array([-inf, -inf, 0.0, inf, inf, 800.0]), np.array([-inf, 0.0, -inf, inf, 0.0, -800.0])
    for f in (np.logaddexp, np.logaddexp2):
        gx, gy = mg.vjp(f, x, y)[1](np.ones(6))
        np.testing.assert_array_equal(gx, [0, 0, 1, 0.5, 1, 1])
        np.testing.assert_array_equal(gy, [0, 1, 0, 0.5, 0, 0])


def test_extremes_that_ignore_nan():
    x, y = np.array([np.nan, 1.0, 2.0, 3.0]), np.array([1.0, np.nan, 2.0, 1.0])
    for f, last in ((np.fmax, [1, 0]), (np.fmin, [0, 1])):
        gx, gy = mg.grad(lambda x, y: np.sum(f(x, y)), (0, 1))(x, y)  # noqa: B023
        np.testing.assert_array_equal(gx, [0, 1, 0.5, last[0]])
        np.testing.assert_array_equal(gy, [1, 0, 0.5, last[1]])


def test_zero_to_the_power():
    for f in (lambda x: x**0, lambda x: x**0.0, lambda x: x ** np.zeros(2)):
        np.testing.assert_array_equal(gradient(f, [0.0, 2.0]), 0)
    np.testing.assert_array_equal(gradient(lambda y: 0.0**y, [1.0, 2.0]), 0)


def test_sinc_around_0():
    np.testing.assert_allclose(gradient(np.sinc, [0.0]), [0])
    np.testing.assert_allclose(second(np.sinc, [0.0]), [-(np.pi**2) / 3])
    agrees(np.sinc, np.array([-2.0, 1e-5, 0.3, 0.64, 5.0]), orders=4)


def test_nan_to_num():
    x = np.array([1.0, np.nan, np.inf, -np.inf])
    f = lambda x: np.nan_to_num(x, nan=2.0, posinf=3.0, neginf=-3.0) ** 2  # noqa: E731
    np.testing.assert_array_equal(gradient(f, x), [2, 0, 0, 0])
    np.testing.assert_array_equal(gradient(lambda x: np.nan_to_num(x), x), [1, 0, 0, 0])


def test_clip_at_its_ends():
    np.testing.assert_array_equal(gradient(lambda x: np.clip(x, 0, 1), [-1, 0, 0.5, 1, 2]), [0, 1, 1, 1, 0])


# --- several outputs, operators, piecewise constants -----------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.divmod(x, 0.7)[1],
        lambda x: divmod(3.0, x)[1],
        lambda x: np.modf(x)[0] * np.modf(x)[1],
        lambda x: np.frexp(x)[0] ** 2,
        lambda x: np.ldexp(x, np.array([1, 2, -3])),
        lambda x: np.copysign(x, -1.0),
        lambda x: np.copysign(2.0, x) * x,
        lambda x: np.heaviside(x, 0.5) * x,
        lambda x: np.nextafter(x, 3.0),
        lambda x: np.round(x, 1) * x,
        lambda x: np.around(x) * x.round(1),
        lambda x: np.fix(x) * np.spacing(x) * x,
        lambda x: np.angle(x, deg=True) + x,
        lambda x: x.conj() * x.conjugate(),
    ],
    ids=source,
)
@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated:DeprecationWarning")  # since NumPy 2.5
def test_expressions(f):
    agrees(f, X)


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated:DeprecationWarning")  # since NumPy 2.5
def test_plain_results():
    x = watched(X)
    for f in (np.sign, np.floor, np.spacing, np.signbit, np.round, np.fix, lambda x: np.floor_divide(x, 2)):
        assert type(f(x)) is np.ndarray
        np.testing.assert_array_equal(f(x), f(X))


def test_shifts_on_a_full_tape():
    whole = mg.Tape().watch(np.arange(4))
    np.testing.assert_array_equal((whole << 1).value, np.arange(4) * 2)
    np.testing.assert_array_equal((8 >> whole).value, [8, 4, 2, 1])


@pytest.mark.parametrize("f", [np.arcsinh, np.cbrt, np.hypot, np.logaddexp, np.deg2rad, np.sinc, np.fmax, np.modf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_dtypes_are_kept(f, dtype):
    args = [X.astype(dtype)] * getattr(f, "nin", 1)
    out, gradients = gradients_of(f, args)
    assert {x.dtype for x in gradients} == {np.dtype(dtype)}


# --- complex numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.abs(np.sign(x * (1 + 2j)) + 1),
        lambda x: np.angle(x + 0.5j),
        lambda x: np.angle(x * x + 0.5j, deg=True),
        lambda x: np.real(np.arcsinh(x + 0.3j)),
        lambda x: np.imag(np.arccosh(x + 0.3j)),
        lambda x: np.real(np.arctanh(0.4 * x + 0.3j)),
        lambda x: np.imag(np.arcsin(x + 0.3j) * np.arccos(x - 0.2j)),
        lambda x: np.real(np.nan_to_num(x * (1 + 2j)) ** 2),
        lambda x: np.imag((x + 0.3j).conj() * 1j),
        lambda x: np.real(np.sqrt(x + 0.2j) * np.log(x + 0.1j) * (x + 1j) ** 0.5),
        lambda x: np.real(np.sinc(x + 0.2j)),
    ],
    ids=source,
)
def test_through_complex_numbers(f):
    check_derivatives(f, [X], tolerance=1e-7)


def test_sign_and_angle_of_complex_0():
    zero = np.zeros(2, complex)
    for f in (np.sign, np.angle, np.abs):
        np.testing.assert_array_equal(mg.grad(lambda z: np.sum(np.real(f(z))))(zero), 0)  # noqa: B023


def test_nan_to_num_of_one_part():
    z = np.array([complex(1, np.nan), complex(np.inf, 2)])
    g = mg.grad(lambda z: np.sum(np.real(np.nan_to_num(z)) + 3 * np.imag(np.nan_to_num(z))))(z)
    np.testing.assert_array_equal(g, [1, -3j])


# --- keywords --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.add(x, 1, dtype=np.float32),
        lambda x: np.power(x, [2, 3, 4], dtype="f4"),
        lambda x: np.sin(x, dtype=np.float32),
    ],
    ids=source,
)
def test_dtype_chooses_the_loop(f):
    out, (g,) = gradients_of(f, [X])
    assert (out.dtype, g.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(out, f(X))


def test_keywords_with_their_default_values():
    agrees(lambda x: np.add(x, x, where=True, casting="same_kind", order="K", subok=True, out=None, dtype=None), X)


REFUSED = [
    (lambda x: np.greater(x, 1, dtype=bool), "greater.*dtype="),
    (lambda x: np.add(x, 1, dtype=int), "cannot cast"),
    (lambda x: np.sqrt(x, where=X > 0), r"sqrt.*where=.*np\.where"),
    (lambda x: np.sqrt(x, out=np.zeros((2, 3))), "sqrt.*out="),
    (lambda x: np.hypot(1.0, 1.0, out=x), "hypot.*out="),
    (lambda x: np.add(x, 1, order="F"), "add.*order="),
    (lambda x: np.hypot.at(x, [0], 1.0), r"hypot\.at.*x\[indices\]"),
    (lambda x: np.add.reduceat(x, [0, 1]), r"add\.reduceat"),
    (lambda x: np.hypot.reduce(x), r"hypot\.reduce"),
    (lambda x: np.subtract.accumulate(x), r"subtract\.accumulate"),
    (lambda x: np.maximum.accumulate(x, out=np.zeros((2, 3))), r"maximum\.accumulate.*out="),
    (lambda x: np.logaddexp.reduce(x, dtype=np.float32), r"logaddexp\.reduce.*dtype="),
    (lambda x: np.fix(x, out=np.zeros((2, 3))), "fix.*out="),
    (lambda x: np.nan_to_num(x, copy=False), "nan_to_num.*copy="),
]


@pytest.mark.parametrize("f, text", REFUSED, ids=[text for _, text in REFUSED])
def test_refused_by_name(f, text):
    with pytest.raises((mg.NoGradientRule, TypeError), match=text):
        f(watched(X))


def test_the_advice_instead_of_add_at():
    rows, v = np.array([0, 1, 1]), rng.standard_normal((3, 3))
    added = X.copy()
    np.add.at(added, rows, v)
    advised = lambda x, v: x + np.eye(len(x))[rows].T @ v  # noqa: E731
    np.testing.assert_allclose(advised(X, v), added)
    agrees(advised, X, v)


# --- methods ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.add.reduce(x),
        lambda x: np.multiply.reduce(x, axis=1),
        lambda x: np.logaddexp.reduce(x),
        lambda x: np.logaddexp.reduce(x, axis=1, keepdims=True),
        lambda x: np.logaddexp.reduce(x, axis=None, initial=0.5),
        lambda x: np.logaddexp.reduce(x, axis=-1, where=np.array([True, False, True]), initial=-np.inf),
        lambda x: np.add.accumulate(x),
        lambda x: np.add.accumulate(x, axis=1),
        lambda x: np.multiply.accumulate(x, axis=-1),
        lambda x: np.maximum.accumulate(x, axis=1),
        lambda x: np.minimum.accumulate(x, axis=-1) ** 2,
        lambda x: np.logaddexp.accumulate(x, axis=1),
        lambda x: np.logaddexp.accumulate(x),
    ],
    ids=source,
)
def test_reduce_and_accumulate(f):
    agrees(f, X)


def test_accumulated_products_with_zeros():
    x = np.array([2.0, 0.0, 3.0, 0.0, 5.0])
    agrees(lambda x: np.multiply.accumulate(x), x)


@pytest.mark.parametrize("n", range(6))
def test_accumulate_of_any_length(n):
    x = rng.standard_normal((n, 2))
    for ufunc in (np.logaddexp, np.maximum, np.minimum):
        agrees(ufunc.accumulate, x)


def test_accumulated_extremes_share_among_ties():
    x = np.array([1.0, 1.0, 0.0, 1.0, 3.0])
    weights = np.array([1.0, 10.0, 100.0, 1000.0, 10000.0])
    wanted = [1 + 5 + 50 + 1000 / 3, 5 + 50 + 1000 / 3, 0, 1000 / 3, 10000]
    np.testing.assert_allclose(gradient(lambda x: np.maximum.accumulate(x) * weights, x), wanted)
    np.testing.assert_allclose(gradient(lambda x: np.minimum.accumulate(-x) * weights, x), -np.array(wanted))
    both = lambda x: np.maximum.accumulate(x) ** 2  # noqa: E731
    np.testing.assert_allclose(gradient(both, np.array([2.0, 2.0])), [4 + 2, 2])


def test_accumulated_extreme_stays_nan():
    x = np.array([1.0, np.nan, 2.0])
    np.testing.assert_array_equal(gradient(np.maximum.accumulate, x), [1, 2, 0])


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.maximum, np.minimum, np.logaddexp, np.subtract, np.power])
def test_outer(ufunc):
    agrees(lambda x, y: ufunc.outer(x, y), Y, np.array([0.9, 1.1]))
    agrees(lambda x: ufunc.outer(x, [0.9, 1.1]), Y)
    agrees(lambda y: ufunc.outer(2.5, y), Y)


def test_outer_without_a_derivative():
    np.testing.assert_array_equal(np.greater.outer(watched(X), X), np.greater.outer(X, X))


# --- over vectors ----------------------------------------------------------------------------------------------------


def test_axis_of_vecdot():
    agrees(lambda x: np.vecdot(x, x * x, axis=0), X)
    with pytest.raises(mg.NoGradientRule, match="vecdot.*keepdims="):
        np.vecdot(watched(X), X, keepdims=True)


def test_operators_of_the_remaining_ufuncs():
    for f in (operator.mod, lambda x, y: divmod(x, y)[1]):
        agrees(f, np.array([4.3, -5.2]), np.array([2.1, 3.0]))
