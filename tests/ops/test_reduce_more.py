"""Reductions with all that NumPy's take: where, initial, dtype, mean; those without NaN; complex numbers; averages."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.reduce import NO_VALUE
from tests.gradients import agrees, check_derivatives, gradients_of, source

rng = np.random.default_rng(12)
X = rng.standard_normal((2, 3, 4))
MASK = rng.random((2, 3, 4)) > 0.3
MASK[:, :, 0] = True
ROW = np.array([True, False, True, True])
MEAN = rng.standard_normal((2, 1, 4))
W = rng.uniform(0.5, 2, 4)


def gradient(f, x):
    return mg.grad(lambda x: np.sum(f(x)))(np.asarray(x, float))


SPELLINGS = [
    lambda x: np.sum(x, where=MASK),
    lambda x: np.sum(x, axis=1, where=ROW, keepdims=True),
    lambda x: np.sum(x, 0, None, None, True, 2.0, MASK),
    lambda x: np.sum(x, where=x > 0),
    lambda x: x.sum(axis=0, initial=3),
    lambda x: np.prod(x, axis=(0, 2), where=MASK, initial=0.5),
    lambda x: x.prod(where=ROW),
    lambda x: np.mean(x, where=MASK),
    lambda x: x.mean((0, 1), where=ROW | MASK, keepdims=True),
    lambda x: np.max(x, axis=1, initial=0.3),
    lambda x: np.max(x, axis=-1, initial=-9, where=MASK),
    lambda x: x.min(initial=0.1, where=ROW),
    lambda x: np.amin(x, (0, 2), None, True, 0.2),
    lambda x: np.var(x, axis=1, correction=1),
    lambda x: np.var(x, where=MASK, ddof=1),
    lambda x: x.var(axis=-1, where=MASK, keepdims=True),
    lambda x: np.var(x, axis=1, mean=MEAN, ddof=0.5),
    lambda x: np.var(x, axis=1, mean=np.mean(x, axis=1, keepdims=True), keepdims=True),
    lambda x: np.std(x, axis=(0, 1), where=MASK[:1], correction=0),
    lambda x: np.std(x, 1, None, None, 1, True),
    lambda x: x.std(where=MASK),
    lambda x: np.std(x, axis=1, mean=MEAN, where=MASK),
    lambda x: np.add.reduce(x, axis=1, initial=2.0, where=MASK),
    lambda x: np.maximum.reduce(x, axis=None, initial=-5.0, where=MASK),
    lambda x: np.ptp(x),
    lambda x: np.ptp(x, axis=(0, -1), keepdims=True),
    lambda x: np.average(x),
    lambda x: np.average(x, axis=1, keepdims=True),
    lambda x: np.average(x, axis=-1, weights=W),
    lambda x: np.average(x, axis=-1, weights=list(W), keepdims=True),
    lambda x: np.average(x, weights=X**2),
    lambda x: np.average(x, axis=(2, 0), weights=X[:, 0].T ** 2),
    lambda x: np.average(x, axis=2, weights=W, returned=True),
    lambda x: np.average(x, returned=True),
    lambda x: np.average(X, axis=1, weights=x * x, returned=True),
    lambda x: np.average(x[0, 0] ** 2, weights=np.exp(x[1, 2])),
]


@pytest.mark.parametrize("f", SPELLINGS, ids=source)
def test_spellings(f):
    agrees(f, X)


@pytest.mark.parametrize("f", [np.sum, np.prod, np.mean, np.var, np.std], ids=lambda f: f.__name__)
def test_dtype_is_that_of_the_result(f):
    narrow = X.astype(np.float32)
    out, (g,) = gradients_of(lambda x: f(x, dtype=np.float64, axis=0), [narrow])
    assert (out.dtype, g.dtype) == (np.float64, np.float32)
    np.testing.assert_array_equal(out, f(narrow, dtype=np.float64, axis=0))


@pytest.mark.parametrize("f", ["sum", "prod", "mean", "var", "std", "max", "nanmean", "nanvar", "nanmin", "nanprod"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_masks_keep_the_dtype(f, dtype):
    more = {"initial": 0.1} if f in ("max", "nanmin") else {}
    x = X.astype(dtype)
    out, (g,) = gradients_of(lambda x: getattr(np, f)(x, axis=1, where=MASK, **more), [x])
    assert out.dtype == g.dtype == dtype
    expected = getattr(np, f)(x, axis=1, where=MASK, **more)
    np.testing.assert_allclose(out.astype(float), expected.astype(float), rtol=5e-3, atol=5e-3)


def test_float16_counts_farther_than_it_reaches():
    x = np.ones(70000, np.float16)
    assert gradients_of(lambda x: np.mean(x, where=x > 0), [x])[0] == 1


@pytest.mark.parametrize("f", [np.max, np.min], ids=lambda f: f.__name__)
def test_initial_of_nothing(f):
    out, (g,) = gradients_of(lambda x: f(x, axis=0, initial=2.5), [np.zeros((0, 3))])
    np.testing.assert_array_equal(out, np.full(3, 2.5))
    assert g.shape == (0, 3)


def test_gradient_flows_to_initial():
    assert mg.grad(lambda a: np.sum(a * np.ones(2), initial=a))(3.0) == 3
    assert mg.grad(lambda a: np.max(a * np.array([1.0, 2.0]), initial=3 * a))(1.0) == 3


def test_any_and_all_of_tensors_with_masks():
    x = mg.Tape(full=False).watch(X)
    assert not np.any(x > 9) and (x > -9).all()
    np.testing.assert_array_equal(np.any(x, axis=1, where=MASK), np.any(X, axis=1, where=MASK))
    np.testing.assert_array_equal(np.all(np.isnan(x), axis=1, where=~MASK), np.all(np.isnan(X), axis=1, where=~MASK))


# --- variances of complex numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [
    lambda z: np.var(z),
    lambda z: np.var(z, axis=1, ddof=1),
    lambda z: np.std(z, axis=(0, 2), keepdims=True),
    lambda z: np.var(z, axis=1, where=MASK),
    lambda z: np.mean(z, axis=1, where=MASK),
    lambda z: np.nanvar(z, axis=0),
    lambda z: np.prod(z, axis=1, where=MASK),
    lambda z: np.average(z, axis=2, weights=W),
    lambda z: np.sum(z, axis=0, initial=1j),
    lambda z: np.max(z, axis=1),
    lambda z: np.ptp(z, axis=1),
])  # fmt: skip
def test_complex(f):
    def parts(a, b):
        out = f(a + 1j * b)
        return np.real(out), np.imag(out) * 2

    agrees(parts, X, rng.standard_normal(X.shape))


def test_variance_of_complex_numbers_in_closed_form():
    z = np.array([1 + 2j, 3 - 1j, -2 + 0.5j])
    np.testing.assert_allclose(mg.grad(np.var)(z), 2 / 3 * np.conj(z - z.mean()))


# --- without NaN -----------------------------------------------------------------------------------------------------

HOLES = np.where(rng.random((2, 3, 4)) > 0.7, np.nan, X)
HOLES[:, 0] = X[:, 0]
HOLES[1, 2, 3] = np.nan

WITHOUT_NAN = [
    lambda x: np.nansum(x),
    lambda x: np.nansum(x, axis=1, keepdims=True),
    lambda x: np.nansum(x, axis=-1, where=MASK, initial=2),
    lambda x: np.nanprod(x, axis=(0, 1)),
    lambda x: np.nanmean(x, axis=1),
    lambda x: np.nanmean(x, axis=(0, 2), keepdims=True),
    lambda x: np.nanmean(x, 1, where=MASK | ~ROW),
    lambda x: np.nanvar(x),
    lambda x: np.nanvar(x, axis=(0, 2), ddof=1),
    lambda x: np.nanstd(x, axis=(0, 2), correction=1),
    lambda x: np.nanmax(x),
    lambda x: np.nanmax(x, axis=1),
    lambda x: np.nanmin(x, axis=(0, -1), keepdims=True),
    lambda x: np.nanmax(x, axis=1, initial=-0.2, where=MASK),
    lambda x: np.nanmedian(x),
    lambda x: np.nanmedian(x, axis=(0, 2)),
    lambda x: np.nanquantile(x, 0.3),
    lambda x: np.nanquantile(x, [0.25, 0.6], axis=1),
    lambda x: np.nanpercentile(x, 35.0, axis=(0, 2), keepdims=True),
    lambda x: np.nanquantile(x, 0.3, axis=1, method="weibull"),
    lambda x: np.nancumsum(x, axis=1),
    lambda x: np.nancumprod(x),
]


@pytest.mark.parametrize("f", WITHOUT_NAN, ids=source)
def test_nan_is_left_out_and_gets_gradient_zero(f):
    holes = np.isnan(HOLES)

    def of_numbers(x):
        return f(np.where(holes, np.nan, x))

    agrees(of_numbers, np.where(holes, 0.0, HOLES))
    np.testing.assert_array_equal(gradient(f, HOLES)[holes], 0)


def test_nothing_but_nan():
    nothing = np.array([[1.0, 2.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(gradient(lambda x: np.nansum(x, axis=1), nothing), [[1, 1], [0, 0]])
    with np.errstate(all="ignore"):
        g = gradient(lambda x: np.nanmean(x, axis=1), nothing)
    np.testing.assert_array_equal(g[0], [0.5, 0.5])
    with pytest.warns(RuntimeWarning, match="All-NaN"):
        out, _ = gradients_of(lambda x: np.nanmax(x, axis=1), [nothing])
    np.testing.assert_array_equal(out, [2, np.nan])


def test_ties_share_beside_nan():
    np.testing.assert_array_equal(gradient(np.nanmax, [3, np.nan, 3, 1]), [0.5, 0, 0.5, 0])
    np.testing.assert_array_equal(gradient(np.nanmin, [3, np.nan, 3, 4]), [0.5, 0, 0.5, 0])
    np.testing.assert_array_equal(gradient(np.ptp, [2, 2, 2]), [0, 0, 0])


def test_places_of_extremes_are_plain():
    x = mg.Tape(full=False).watch(HOLES)
    np.testing.assert_array_equal(np.nanargmax(x, axis=1), np.nanargmax(HOLES, axis=1))
    assert np.nanargmin(x) == np.nanargmin(HOLES)


def test_masked_standard_deviation_of_a_constant_has_gradient_zero():
    x = np.array([2.0, 5.0, 2.0, 2.0])
    np.testing.assert_array_equal(gradient(lambda x: np.std(x, where=[True, False, True, True]), x), np.zeros(4))
    np.testing.assert_array_equal(gradient(np.nanstd, [1, np.nan, 1]), np.zeros(3))


def test_variance_about_a_mean_follows_the_mean():
    check_derivatives(lambda x, m: np.var(x, axis=1, mean=m), [X, MEAN])


# --- refused ---------------------------------------------------------------------------------------------------------

REFUSED = [
    (lambda x: np.sum(x, out=np.zeros(())), "np.sum.*out="),
    (lambda x: np.mean(x, out=np.zeros(())), "np.mean.*out="),
    (lambda x: np.std(x, out=np.zeros(())), "np.std.*out="),
    (lambda x: np.nanvar(x, out=np.zeros(())), "np.nanvar.*out="),
    (lambda x: np.nanmax(x, out=np.zeros(())), "np.nanmax.*out="),
    (lambda x: np.ptp(x, out=np.zeros(())), "np.ptp.*out="),
    (lambda x: np.any(x, out=np.zeros(())), "np.any.*out="),
    (lambda x: x.std(axes=1), "np.std.*axes.*axis"),
    (lambda x: np.add.reduce(x, out=np.zeros((3, 4))), "np.sum.*out="),
    (lambda x: np.average(x, weights=np.ones(4)), r"average.*\(4,\).*axis="),
]


@pytest.mark.parametrize("f, text", REFUSED, ids=[text for _, text in REFUSED])
def test_arguments_that_cannot_be_recorded_are_refused_by_name(f, text):
    with pytest.raises((mg.NoGradientRule, TypeError), match=text):
        f(mg.Tape(full=False).watch(X))


MISTAKES = [
    (lambda x: np.max(x, where=MASK), "max.*where=.*initial="),
    (lambda x: np.var(x, ddof=1, correction=1), "var.*correction="),
    (lambda x: np.average(x, axis=1, weights=np.ones(4)), r"average.*\(4,\)"),
    (lambda x: np.sum(x, where=np.ones(5, bool)), "broadcast"),
]


@pytest.mark.parametrize("f, text", MISTAKES, ids=[text for _, text in MISTAKES])
def test_mistakes(f, text):
    with pytest.raises(ValueError, match=text):
        f(mg.Tape(full=False).watch(X))


def test_weights_that_sum_to_zero():
    with pytest.raises(ZeroDivisionError, match="average"):
        np.average(mg.Tape().watch(np.ones(2)), weights=[1, -1])


def test_not_given_is_not_given():
    """Functions that hand their arguments on give NumPy's mark for those that they did not get."""
    x = mg.Tape(full=False).watch(X)
    assert np.sum(x, keepdims=NO_VALUE, initial=NO_VALUE, where=NO_VALUE).shape == ()
    assert np.var(x, keepdims=NO_VALUE, where=NO_VALUE, mean=NO_VALUE, correction=NO_VALUE).shape == ()
