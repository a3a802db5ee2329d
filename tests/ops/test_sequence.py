"""Cumulative sums and products, differences, interpolation, convolution, polynomials, covariances."""

import numpy as np
import pytest

import minigrad as mg
from tests.gradients import agrees, check_derivatives, gradients_of, source

rng = np.random.default_rng(14)
X = rng.standard_normal((2, 3, 4))
V = rng.standard_normal(6)
TIMES = np.cumsum(rng.uniform(0.5, 1.5, 4))


def gradient(f, x):
    return mg.grad(lambda x: np.sum(f(x)))(np.asarray(x, float))


SPELLINGS = [
    lambda x: np.cumsum(x),
    lambda x: np.cumsum(x, 1),
    lambda x: np.cumsum(a=x, axis=-1, dtype=np.float64),
    lambda x: x.cumsum(axis=0),
    lambda x: np.cumprod(x[0, 0]),
    lambda x: np.cumprod(x, axis=-2),
    lambda x: x.cumprod(2),
    lambda x: np.diff(x),
    lambda x: np.diff(x, 2, 1),
    lambda x: np.diff(x, n=0),
    lambda x: np.diff(x, axis=0, prepend=0),
    lambda x: np.diff(x, axis=1, prepend=x[:, :2], append=1.5),
    lambda x: np.diff(X, axis=1, append=x),
    lambda x: np.ediff1d(x),
    lambda x: np.ediff1d(x, to_end=[1, 2], to_begin=0.5),
    lambda x: np.ediff1d(X, to_end=x[0, 0]),
    lambda x: np.gradient(x)[2],
    lambda x: np.gradient(x, axis=-1),
    lambda x: np.gradient(x, 0.5, axis=1),
    lambda x: np.gradient(x, 2, axis=(1, 2), edge_order=2)[0],
    lambda x: np.gradient(x, TIMES, axis=2),
    lambda x: np.gradient(x, TIMES, axis=2, edge_order=2),
    lambda x: np.gradient(x, 0.5, [0.0, 1.0, 3.0], TIMES)[1],
    lambda x: np.gradient(x[0, 0], x[0, 1] + 5 * TIMES),
    lambda x: np.gradient(X[0], x[0, 0, 0], np.exp(x[1, 0]) + TIMES)[1],
    lambda x: np.trapezoid(x),
    lambda x: np.trapezoid(x, dx=0.3, axis=0),
    lambda x: np.trapezoid(x, TIMES),
    lambda x: np.trapezoid(x, [0.0, 1.0, 5.0], axis=1),
    lambda x: np.trapezoid(x, x**2),
    lambda x: np.trapezoid(X, x[0, 0]),
    lambda x: np.convolve(x[0, 0], V),
    lambda x: np.convolve(V, x[0, 0], "same"),
    lambda x: np.convolve([1, 2], x[0, 0], mode="valid"),
    lambda x: np.convolve(x[0, 0], x[0, 1]),
    lambda x: np.convolve(x[0, 0, 0], V),
    lambda x: np.correlate(x[0, 0], V),
    lambda x: np.correlate(x[0, 0], V, "same"),
    lambda x: np.correlate(V, x[0, 0], "same"),
    lambda x: np.correlate(V[:5], x[0, 0], "full"),
    lambda x: np.correlate(x[0, 0], V[:3], "same"),
    lambda x: np.correlate(x[0, 0], x[0, 1], mode="full"),
    lambda x: np.polyval(x[0, 0], 0.7),
    lambda x: np.polyval([1, 2, 3.0], x),
    lambda x: np.polyval([x[0, 0, 0], 2, x[0, 0, 1] ** 2], x[1]),
    lambda x: np.polyval(x[0, 1], X),
    lambda x: np.polyadd(x[0, 0], V),
    lambda x: np.polysub([1.0], x[0, 0]),
    lambda x: np.polymul(x[0, 0], x[0, 1]),
    lambda x: np.polymul([0, 0, 2.0, 1.0], x[0, 1]),
    lambda x: np.polyder(x[0, 0]),
    lambda x: np.polyder(x[0, 0], 2),
    lambda x: np.polyint(x[0, 0]),
    lambda x: np.polyint(x[0, 0], 2, [3.0, 1.0]),
    lambda x: np.polyint(x[0, 1], m=1, k=x[0, 0, 0]),
    lambda x: np.poly(x[0, 0]),
    lambda x: np.vander(x[0, 0]),
    lambda x: np.vander(x[0, 0], 3, increasing=True),
    lambda x: np.vander(x[0, 0], N=1),
    lambda x: np.vander(x[0, 0], N=0),
    lambda x: np.cov(x[0]),
    lambda x: np.cov(x[0], rowvar=False, bias=True),
    lambda x: np.cov(x[0], ddof=0),
    lambda x: np.cov(x[0, 0]),
    lambda x: np.cov(x[0, 0], X[1]),
    lambda x: np.cov(X[0], y=x[1]),
    lambda x: np.cov(x[0], fweights=[1, 2, 1, 3]),
    lambda x: np.cov(x[0], aweights=TIMES, ddof=0),
    lambda x: np.cov(x[0], fweights=[1, 2, 1, 3], aweights=TIMES),
    lambda x: np.cov(X[0], X[1], aweights=np.exp(x[0, 0])) + np.cov(x[0], x[1], aweights=np.exp(x[0, 0])),
    lambda x: np.corrcoef(x[0]),
    lambda x: np.corrcoef(x[0, 0], X[1], rowvar=True),
    lambda x: np.corrcoef(x[0], rowvar=False)[:2],
    lambda x: np.corrcoef(x[0, 0]),
    lambda x: np.unwrap(3 * x),
    lambda x: np.unwrap(3 * x, axis=0, period=2.0),
    lambda x: np.apply_along_axis(np.sum, 1, x),
    lambda x: np.apply_along_axis(lambda row: np.outer(row, row), 1, x),
    lambda x: np.apply_along_axis(lambda row, k, scale=1: row[:k] * scale, 0, x, 1, scale=3),
    lambda x: np.apply_along_axis(lambda row: row * row, -1, x),
    lambda x: np.apply_over_axes(np.sum, x, [0, 2]),
    lambda x: np.apply_over_axes(np.cumsum, x, 1),
]
if hasattr(np, "cumulative_sum"):  # since NumPy 2.1
    SPELLINGS += [
        lambda x: np.cumulative_sum(x, axis=1),
        lambda x: np.cumulative_sum(x[0, 0], include_initial=True),
        lambda x: np.cumulative_prod(x, axis=-1, include_initial=True, dtype=np.float64),
    ]


@pytest.mark.parametrize("f", SPELLINGS, ids=source)
def test_spellings(f):
    agrees(f, X)


# --- cumulative products ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zeros", [(), (0,), (2,), (4,), (1, 3), (0, 1, 4), (0, 1, 2, 3, 4)], ids=str)
def test_cumprod_with_zeros_to_third_order(zeros):
    x = np.array([2.0, -3.0, 0.5, 1.5, 1.2])
    x[list(zeros)] = 0
    check_derivatives(np.cumprod, [x], orders=3)


def test_gradient_of_cumprod_with_zeros():
    np.testing.assert_array_equal(gradient(np.cumprod, [2, 0, 3, 0]), [1, 2 + 6, 0, 0])


def test_recurrence_to_third_order():
    check_derivatives(mg.ops.recurrence, [X[0], X[1]], orders=3)
    np.testing.assert_allclose(mg.ops.recurrence(np.full(3, 0.5), np.ones(3)), [1, 1.5, 1.75])


@pytest.mark.parametrize("f", [np.cumsum, np.cumprod, lambda x: np.diff(x, axis=1), lambda x: np.cumprod(x, axis=1)])
def test_nothing(f):
    out, (g,) = gradients_of(f, [np.zeros((0, 3))])
    assert out.shape == f(np.zeros((0, 3))).shape and g.shape == (0, 3)


def test_a_single_number():
    assert gradients_of(np.cumsum, [np.array(2.0)])[0].shape == (1,)
    assert gradients_of(np.cumprod, [np.array(2.0)])[1][0] == pytest.approx(
        gradients_of(np.cumsum, [np.array(2.0)])[1][0]
    )


# --- interpolation ---------------------------------------------------------------------------------------------------

XP = np.array([0.0, 1.0, 2.5, 3.0])
FP = np.array([1.0, 3.0, -1.0, 0.5])
AT = np.array([[-0.7, 0.2, 1.4], [2.7, 2.9, 3.6]])


@pytest.mark.parametrize("more", [{}, {"left": -2.0}, {"right": 7}, {"left": 0, "right": 0}, {"period": 4.0}], ids=str)
def test_interp(more):
    agrees(lambda x, xp, fp: np.interp(x, xp, fp, **more), AT, XP, FP)


def test_interp_one_argument_at_a_time():
    agrees(lambda x: np.interp(x, XP, FP), AT)
    agrees(lambda fp: np.interp(0.3, XP, fp), FP)
    agrees(lambda xp: np.interp(list(AT[0]), xp, list(FP)), XP)
    agrees(lambda fp: np.interp([5.0, -1.0], [0.0], fp), np.ones(1))
    agrees(lambda x: np.interp(x, [9.0, 2.0, 5.0], [1.0, 4.0, 2.0], period=-6.0), AT)
    agrees(lambda a, b: np.real(np.interp(AT, XP, a + 1j * b) * (1 + 2j)), FP, FP[::-1] * 2)


def test_slope_of_interp_at_a_point_is_the_mean_of_both_sides():
    np.testing.assert_allclose(
        gradient(lambda x: np.interp(x, XP, FP), XP), [1, (2 - 8 / 3) / 2, (-8 / 3 + 3) / 2, 1.5]
    )
    np.testing.assert_array_equal(gradient(lambda fp: np.interp(XP, XP, fp), FP), np.ones(4))


def test_interp_where_it_is_flat_or_jumps():
    np.testing.assert_array_equal(gradient(lambda x: np.interp(x, XP, FP), [-np.inf, -5, 9, np.inf]), np.zeros(4))
    x, jump = np.array([0.5, 1.0, 1.5]), np.array([0.0, 1.0, 1.0, 2.0])
    np.testing.assert_array_equal(gradients_of(lambda x: np.interp(x, jump, FP), [x])[0], np.interp(x, jump, FP))
    np.testing.assert_allclose(gradient(lambda x: np.interp(x, jump, FP), x), [2, 1.75, 1.5])


def test_interp_widens_as_in_numpy():
    out, (g,) = gradients_of(lambda x: np.interp(x, XP, FP), [AT.astype(np.float32)])
    assert (out.dtype, g.dtype) == (np.float64, np.float32)


# --- complex numbers and precision -----------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [
    lambda z: np.cumsum(z),
    lambda z: np.cumprod(z, axis=1),
    lambda z: np.diff(z),
    lambda z: np.gradient(z, axis=1),
    lambda z: np.trapezoid(z),
    lambda z: np.convolve(z[0, 0], z[1, 0]),
    lambda z: np.correlate(z[0, 0], z[1, 0], "full"),
    lambda z: np.correlate(z[0, 0, :2], z[1, 0], "same"),
    lambda z: np.polyval(z[0, 0], z),
    lambda z: np.poly(z[0, 0]),
    lambda z: np.vander(z[0, 0]),
    lambda z: np.cov(z[0], z[1]),
    lambda z: np.corrcoef(z[0]),
])  # fmt: skip
def test_complex(f):
    def parts(a, b):
        out = f(a + 1j * b)
        return np.real(out), np.imag(out) * 2

    agrees(parts, X, rng.standard_normal(X.shape))


def test_coefficients_of_conjugate_roots_are_real():
    out, (g,) = gradients_of(lambda z: np.poly(z), [np.array([1 + 2j, 1 - 2j, 3])], wrt=(0,))
    assert out.dtype == np.float64 and g.dtype == np.complex128
    np.testing.assert_allclose(out, np.poly([1 + 2j, 1 - 2j, 3]))


@pytest.mark.parametrize("f", [
    lambda x: np.cumsum(x, axis=1),
    lambda x: np.cumprod(x, axis=1),
    lambda x: np.diff(x),
    lambda x: np.gradient(x, 0.5, axis=1),
    lambda x: np.gradient(x, TIMES, axis=2),
    lambda x: np.trapezoid(x, dx=0.5),
    lambda x: np.convolve(x[0, 0], x[0, 1]),
    lambda x: np.polyval(x[0, 0], x),
    lambda x: np.vander(x[0, 0]),
    lambda x: np.cov(x[0]),
    lambda x: np.unwrap(x),
    lambda x: np.nancumsum(x),
    lambda x: np.polyder(x[0, 0]),
    lambda x: np.polyint(x[0, 0]),
])  # fmt: skip
def test_dtype_is_that_of_numpy(f):
    narrow = X.astype(np.float32)
    out, (g,) = gradients_of(f, [narrow])
    assert out.dtype == f(narrow).dtype and g.dtype == np.float32
    np.testing.assert_allclose(out, f(narrow), rtol=1e-4, atol=1e-5)


# --- warnings and refusals -------------------------------------------------------------------------------------------


def test_too_few_samples_for_a_covariance():
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="Degrees of freedom"):
        assert np.isnan(gradients_of(np.cov, [np.ones(1)])[0])


REFUSED = [
    (lambda x: np.cumsum(x, out=np.zeros(24)), "np.cumsum.*out="),
    (lambda x: np.nancumprod(x, out=np.zeros(24)), "np.nancumprod.*out="),
    (lambda x: np.polyfit(x[0, 0], x[0, 1], 1), r"np\.polyfit .*lstsq"),
    (lambda x: np.polydiv(x[0, 0], x[0, 1]), r"np\.polydiv "),
    (lambda x: np.roots(x[0, 0]), r"np\.roots .*eigvals"),
    (lambda x: np.poly(x[0, :, :3]), r"np\.poly of a matrix.*eigvals"),
]


@pytest.mark.parametrize("f, text", REFUSED, ids=[text for _, text in REFUSED])
def test_refused_with_a_reason(f, text):
    with pytest.raises(mg.NoGradientRule, match=text):
        f(mg.Tape(full=False).watch(X))


MISTAKES = [
    (lambda x: np.diff(x, -1), "diff.*negative"),
    (lambda x: np.diff(x[0, 0, 0]), "diff.*dimension"),
    (lambda x: np.cumsum(x, axis=3), "axis 3"),
    (lambda x: np.gradient(x, edge_order=2), r"at least 3 samples.*\(2, 3, 4\)"),
    (lambda x: np.gradient(x, V, axis=2), r"4 coordinates.*\(6,\)"),
    (lambda x: np.gradient(x, axis=1, edge_order=3), "edge_order must be 1 or 2"),
    (lambda x: np.interp(x, XP, FP[:2]), r"interp.*\(4,\) and \(2,\)"),
    (lambda x: np.convolve(x[0, 0], V, "wide"), "convolve: mode.*'wide'"),
    (lambda x: np.vander(x), "vander.*one dimension"),
    (lambda x: np.polyint(x[0, 0], 3, [1, 2]), "polyint: k must be"),
    (lambda x: np.cov(x), "cov.*two dimensions"),
    (lambda x: np.cov(x[0], aweights=[1, 2, 3]), "weights.*4 samples"),
    (lambda x: np.apply_along_axis(np.sum, 0, x[:, :0]), "nothing to apply"),
]


@pytest.mark.parametrize("f, text", MISTAKES, ids=[text for _, text in MISTAKES])
def test_mistakes(f, text):
    with pytest.raises(ValueError, match=text):
        f(mg.Tape(full=False).watch(X))


def test_spacings_that_do_not_fit_the_axes():
    with pytest.raises(TypeError, match="3 axes"):
        np.gradient(mg.Tape().watch(X), 1.0, 2.0)
