"""Special functions: softmax and its kin at infinity, SciPy's ufuncs through the protocol, and without SciPy."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.special

import minigrad as mg
from minigrad.ops import log_softmax, logsumexp, softmax
from tests.gradients import agrees, check_derivatives, gradients_of, source

rng = np.random.default_rng(5)
X = rng.standard_normal((2, 3))
INF = np.inf


def gradient(f, x):
    """Return the gradient of the sum of f's elements."""
    return mg.grad(lambda x: np.sum(f(x)))(np.asarray(x, float))


# --- softmax ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), (-1, 0)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_agrees_with_scipy(name, axis):
    ours, theirs = getattr(mg.ops, name), getattr(scipy.special, name)
    for x in (X, 1000 * X, X - 1e4):
        np.testing.assert_allclose(ours(x, axis=axis), theirs(x, axis=axis), rtol=1e-12, atol=1e-300)
    agrees(lambda x: ours(x, axis=axis), X, orders=3)


def test_logsumexp_keeps_axes():
    assert logsumexp(X, axis=1, keepdims=True).shape == (2, 1)
    agrees(lambda x: logsumexp(x, axis=(0, 1), keepdims=True), X)
    agrees(lambda x: logsumexp(x), np.array(0.3))


def test_minus_infinity_among_others():
    x = np.array([-INF, 0.0, np.log(3.0)])
    np.testing.assert_allclose(logsumexp(x), np.log(4))
    np.testing.assert_allclose(softmax(x), [0, 0.25, 0.75])
    np.testing.assert_allclose(log_softmax(x), [-INF, np.log(0.25), np.log(0.75)])
    np.testing.assert_allclose(gradient(logsumexp, x), [0, 0.25, 0.75])
    weights = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(gradient(lambda x: softmax(x) * weights, x), [0, -0.1875, 0.1875])
    np.testing.assert_allclose(gradient(lambda x: log_softmax(x)[1:], x), [0, 0.5, -0.5])


def test_nothing_but_minus_infinity():
    x = np.full((2, 3), -INF)
    np.testing.assert_array_equal(logsumexp(x, axis=1), -INF)
    np.testing.assert_array_equal(softmax(x, axis=1), 0)
    np.testing.assert_array_equal(log_softmax(x, axis=1), -INF)
    for f in (logsumexp, softmax):
        np.testing.assert_array_equal(gradient(lambda x: f(x, axis=1), x), 0)  # noqa: B023
        np.testing.assert_array_equal(gradient(lambda x: gradient_of(f, x), x), 0)  # noqa: B023


def gradient_of(f, x):
    return mg.grad(lambda x: np.sum(f(x, axis=1)))(x)


def test_plus_infinity_is_shared():
    x = np.array([INF, 0.0, INF, -INF])
    assert logsumexp(x) == INF
    np.testing.assert_array_equal(softmax(x), [0.5, 0, 0.5, 0])
    np.testing.assert_allclose(log_softmax(x), [-np.log(2), -INF, -np.log(2), -INF])
    np.testing.assert_array_equal(mg.vjp(logsumexp, x)[1](np.float64(1))[0], [0.5, 0, 0.5, 0])


def test_nan_stays_nan():
    assert np.isnan(logsumexp(np.array([1.0, np.nan])))
    assert np.isnan(softmax(np.array([1.0, np.nan]))).all()


def test_empty():
    assert logsumexp(np.zeros(0)) == -INF
    assert gradient(logsumexp, np.zeros(0)).shape == (0,)
    assert softmax(np.zeros((0, 3)), axis=1).shape == (0, 3)


@pytest.mark.parametrize("f", [softmax, log_softmax, logsumexp])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_dtypes_are_kept(f, dtype):
    for x in (X, np.array([[0.0, -INF], [INF, 0.0]])):
        out, (g,) = gradients_of(lambda x: f(x, axis=1), [x.astype(dtype)])
        assert out.dtype == g.dtype == dtype


def test_complex_numbers_are_refused():
    with pytest.raises(mg.DTypeError, match="complex"):
        softmax(X * 1j)


# --- SciPy's ufuncs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x: scipy.special.erf(x) * scipy.special.erfc(x),
        lambda x: scipy.special.expit(x) + scipy.special.logit(scipy.special.expit(x)),
        lambda x: scipy.special.gammaln(x * x + 1),
        lambda x: scipy.special.digamma(x * x + 1),
        lambda x: scipy.special.psi(x * x + 1),
        lambda x: scipy.special.xlogy(x, 2.0),
        lambda x: scipy.special.xlogy(0.0, x * x),
        lambda x: scipy.special.expm1(x) + scipy.special.log1p(x * x) + scipy.special.exp2(x) + scipy.special.cbrt(x),
        lambda x: scipy.special.i0(x),
        lambda x: np.i0(x),
        lambda x: scipy.special.zeta(2.5, x * x + 1),
        lambda x: scipy.special.exprel(1e-3 * x),
        lambda x: scipy.special.jn(2, x),
        lambda x: mg.ops.polygamma(x * x + 1, n=2),
        lambda x: mg.ops.digamma(x * x + 1),
    ],
    ids=source,
)
def test_through_the_protocol(f):
    agrees(f, X, orders=3)


def test_all_arguments_with_a_derivative():
    positive = np.abs(X) + 0.5
    for f in (scipy.special.beta, scipy.special.betaln, scipy.special.xlogy, scipy.special.rel_entr):
        agrees(f, positive, positive[:, ::-1] * 1.1)


def test_awkward_points():
    np.testing.assert_array_equal(gradient(lambda y: scipy.special.xlogy(0.0, y), [0.0, 1.0]), 0)
    guarded = lambda x: np.where(x > 0, scipy.special.entr(np.where(x > 0, x, 1)), 0)  # noqa: E731
    np.testing.assert_array_equal(gradient(guarded, [0.0]), [0])
    np.testing.assert_allclose(gradient(scipy.special.i1, [0.0]), [0.5])
    np.testing.assert_allclose(gradient(scipy.special.exprel, [0.0]), [0.5])
    np.testing.assert_allclose(gradient(scipy.special.log_ndtr, [-40.0]), [40.02496883], rtol=1e-8)


def test_complex_arguments():
    check_derivatives(lambda x: np.real(scipy.special.erf(x + 0.3j)), [X])
    check_derivatives(lambda x: np.imag(scipy.special.loggamma(x + 2j)), [X], orders=1)


REFUSED = [
    (lambda x: scipy.special.jv(x, 1.0), "jv.*'v'"),
    (lambda x: scipy.special.gammainc(x, 1.0), "gammainc.*'a'"),
    (lambda x: scipy.special.owens_t(x, 1.0), "owens_t.*no gradient rule"),
    (lambda x: scipy.special.erf(x, out=np.zeros((2, 3))), "erf.*out="),
    (lambda x: scipy.special.softmax(x), "gradient would be lost"),
    (lambda x: scipy.special.logsumexp(x), "gradient would be lost"),
]


@pytest.mark.parametrize("f, text", REFUSED, ids=[text for _, text in REFUSED])
def test_refused_by_name(f, text):
    with pytest.raises(mg.NoGradientRule, match=text):
        f(mg.Tape(full=False).watch(X))


WITHOUT_SCIPY = """
import sys, numpy as np, minigrad as mg
assert not any(name.split(".")[0] == "scipy" for name in sys.modules)
assert mg.grad(mg.ops.logsumexp)(np.zeros(2)).tolist() == [0.5, 0.5]
sys.modules["scipy"] = None
try:
    mg.ops.erf(np.ones(2))
except ImportError as error:
    print(error)
"""


def test_scipy_is_not_needed_until_it_is():
    done = subprocess.run([sys.executable, "-c", WITHOUT_SCIPY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (
        "mg.ops.erf computes with scipy.special.erf, and SciPy is not installed: pip install scipy"
    )
