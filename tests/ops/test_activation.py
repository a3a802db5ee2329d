"""Activation functions and dropout: published identities, tails, kinks, extreme arguments, and what they refuse."""

import math

import numpy as np
import pytest
import scipy.special

import minigrad as mg
from tests.gradients import agrees, check_derivatives, gradients_of

rng = np.random.default_rng(41)
X = rng.standard_normal((3, 4))
LINE = np.linspace(-12, 12, 4001)
SIZES = {np.float16: 1e4, np.float32: 1e30, np.float64: 1e200}
FORMS = ("none", "tanh")
ALL = {
    "leaky_relu": mg.leaky_relu,
    "elu": mg.elu,
    "selu": mg.selu,
    "sigmoid": mg.sigmoid,
    "softplus": mg.softplus,
    "silu": mg.silu,
    "normal_cdf": mg.ops.normal_cdf,
    "gelu": mg.gelu,
    "gelu tanh": lambda x: mg.gelu(x, approximate="tanh"),
}
EACH = pytest.mark.parametrize("f", ALL.values(), ids=ALL)


def slope(f, x):
    """Return the derivative of an elementwise function."""
    return mg.grad(lambda x: np.sum(f(x)))(np.asarray(x, float))


def curvature(f, x):
    return slope(lambda x: mg.grad(lambda x: np.sum(f(x)))(x), x)


# --- all of them -----------------------------------------------------------------------------------------------------


@EACH
def test_derivatives_to_third_order_and_in_both_modes(f):
    agrees(f, X, orders=3)
    mg.check_grads(f, (X,))


@EACH
@pytest.mark.parametrize("dtype", SIZES, ids=lambda dtype: dtype.__name__)
def test_extreme_arguments_are_quiet_and_finite(f, dtype):
    """Values, slopes and curvatures: those of straight lines, or 0."""
    size = SIZES[dtype]
    for x in np.array([[-size, -1e4, 1e4, size], [-50, -20, 20, 50]], dtype):
        out, (g,) = gradients_of(f, [x])
        second = mg.grad(lambda x: np.sum(mg.grad(lambda x: np.sum(f(x)))(x)))(x)
        assert out.dtype == g.dtype == second.dtype == dtype
        assert all(np.isfinite(part).all() for part in (out, g, second))
        np.testing.assert_allclose(second[[0, -1]], 0, atol=1e-6)


@EACH
def test_nan_stays_nan(f):
    np.testing.assert_array_equal(np.isnan(f(np.array([np.nan, 1.0, -1.0]))), [True, False, False])


@EACH
def test_numbers_lists_and_integers_become_floats(f):
    wanted = f(np.array([-2.0, 0.0, 1.0, 3.0]))
    for x in ([-2, 0, 1, 3], np.array([-2, 0, 1, 3])):
        found = f(x)
        np.testing.assert_allclose(found, wanted, rtol=1e-15)
        assert found.dtype == np.float64
    assert isinstance(f(1.0), float)
    assert f(np.zeros((0, 3))).shape == (0, 3)


@EACH
def test_the_argument_is_not_modified(f):
    x = X.copy()
    x.flags.writeable = False
    gradients_of(f, [x])


@EACH
def test_complex_numbers_are_refused(f):
    with pytest.raises(mg.DTypeError, match=r"x \(3, 4\) is complex128.*np.real"):
        f(X * 1j)


# --- straight lines and exponentials ---------------------------------------------------------------------------------


def test_the_slope_at_a_kink_is_the_one_from_the_left():
    zero = np.zeros(1)
    assert slope(mg.leaky_relu, zero) == 0.01
    assert slope(lambda x: mg.elu(x, alpha=0.5), zero) == 0.5
    assert slope(mg.elu, zero) == 1
    np.testing.assert_allclose(slope(mg.selu, zero), 1.0507009873554805 * 1.6732632423543772)


def test_leaky_relu_lies_between_relu_and_the_identity():
    np.testing.assert_array_equal(mg.leaky_relu(X, slope=0), mg.relu(X))
    np.testing.assert_array_equal(mg.leaky_relu(X, slope=1), X)
    np.testing.assert_allclose(mg.leaky_relu(X, slope=0.3), 0.3 * X + 0.7 * mg.relu(X), rtol=1e-14)
    np.testing.assert_allclose(mg.leaky_relu(X, slope=3), 3 * X - 2 * mg.relu(X), rtol=1e-14)


def test_numpy_numbers_as_options_leave_float32():
    x = X.astype(np.float32)
    for f in (lambda x: mg.leaky_relu(x, slope=np.float64(0.1)), lambda x: mg.elu(x, alpha=np.float64(2))):
        out, (g,) = gradients_of(f, [x])
        assert out.dtype == g.dtype == np.float32
        agrees(f, X)


def test_elu_is_precise_near_0():
    np.testing.assert_allclose(mg.elu(np.array([-1e-12])), [np.expm1(-1e-12)], rtol=1e-15)


def test_selu_keeps_mean_and_variance():
    """The fixed point of the paper: normal numbers come out with mean 0 and variance 1."""
    x, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    out = mg.selu(x)
    np.testing.assert_allclose([weights @ out, weights @ out**2], [0, 1], atol=2e-3)


def test_selu_is_a_scaled_elu():
    np.testing.assert_allclose(mg.selu(X), 1.0507009873554805 * mg.elu(X, alpha=1.6732632423543772), rtol=1e-15)


# --- the logistic function -------------------------------------------------------------------------------------------


def test_sigmoid_is_scipys_in_the_tails_too():
    x = np.linspace(-700, 700, 2001)
    np.testing.assert_allclose(mg.sigmoid(x), scipy.special.expit(x), rtol=1e-14)
    np.testing.assert_allclose(mg.sigmoid(x) + mg.sigmoid(-x), 1, rtol=1e-15)
    assert mg.sigmoid(np.float16(-12)) > 0


def test_softplus_is_the_integral_of_sigmoid():
    x = np.linspace(-700, 700, 2001)
    np.testing.assert_allclose(mg.softplus(x), np.logaddexp(x, 0), rtol=1e-14)
    np.testing.assert_allclose(mg.softplus(X) - mg.softplus(-X), X, atol=1e-15)
    np.testing.assert_allclose(slope(mg.softplus, X), mg.sigmoid(X), rtol=1e-15)
    np.testing.assert_allclose(-mg.softplus(-X), np.log(mg.sigmoid(X)), rtol=1e-13)


def test_sigmoid_and_tanh_are_the_same_curve():
    np.testing.assert_allclose(2 * mg.sigmoid(2 * X) - 1, np.tanh(X), atol=1e-15)


def test_silu_has_its_published_minimum():
    x = np.array([-1.2784645427610738])
    np.testing.assert_allclose(mg.silu(x), -0.27846454276107380, rtol=1e-14)
    np.testing.assert_allclose(slope(mg.silu, x), 0, atol=1e-15)


# --- the normal distribution and gelu --------------------------------------------------------------------------------


def test_normal_cdf_is_exact_to_rounding():
    """Of the size of the result everywhere, also at the seams of the approximation and far down in the tail."""
    seams = [sign * math.sqrt(2) * y * (1 + d) for sign in (-1, 1) for y in (0.46875, 4.0) for d in (-1e-15, 0, 1e-15)]
    x = np.concatenate([LINE, seams, [0.0, 1e-300, -1e-300, 5e-9]])
    np.testing.assert_allclose(mg.ops.normal_cdf(x), scipy.special.ndtr(x), rtol=2e-14)
    middle = x[np.abs(x) < 1]
    np.testing.assert_allclose(mg.ops.normal_cdf(middle), scipy.special.ndtr(middle), rtol=1e-15)


def test_normal_cdf_gives_the_error_function():
    x = np.linspace(-6, 6, 4001)
    np.testing.assert_allclose(2 * mg.ops.normal_cdf(x * math.sqrt(2)) - 1, scipy.special.erf(x), atol=5e-16)
    np.testing.assert_allclose(2 * mg.ops.normal_cdf(-x * math.sqrt(2)), scipy.special.erfc(x), rtol=3e-14)


@pytest.mark.parametrize("dtype, precision", [(np.float32, 1e-7), (np.float16, 5e-4)])
def test_normal_cdf_in_narrow_dtypes(dtype, precision):
    x = LINE.astype(dtype)
    np.testing.assert_allclose(mg.ops.normal_cdf(x), scipy.special.ndtr(x.astype(float)), atol=precision)


def test_normal_cdf_of_many_elements_goes_by_blocks():
    x = rng.standard_normal((7, 5001))
    np.testing.assert_allclose(mg.ops.normal_cdf(x.T), scipy.special.ndtr(x.T), rtol=1e-14)


def test_gelu_is_the_published_function():
    np.testing.assert_allclose(mg.gelu(LINE), LINE * scipy.special.ndtr(LINE), rtol=2e-14)
    np.testing.assert_allclose(mg.gelu(X) - mg.gelu(-X), X, atol=1e-15)
    np.testing.assert_allclose(slope(mg.gelu, [0.0, 1.0]), [0.5, 0.8413447460685429 + 0.24197072451914337])
    density = np.exp(-X * X / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(curvature(mg.gelu, X), density * (2 - X * X), rtol=1e-12)


def test_gelu_tanh_is_near_the_exact_one():
    found = mg.gelu(LINE, approximate="tanh")
    inner = math.sqrt(2 / math.pi) * (LINE + 0.044715 * LINE**3)
    np.testing.assert_allclose(found, 0.5 * LINE * (1 + np.tanh(inner)), atol=2e-15)
    assert 1e-4 < np.abs(found - mg.gelu(LINE)).max() < 5e-4


@pytest.mark.parametrize("form", FORMS)
def test_gelu_is_right_to_fourth_order(form):
    check_derivatives(lambda x: mg.gelu(x, approximate=form), [X], orders=4)


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: mg.gelu(X, approximate="tan"), "gelu: approximate='tan'.*did you mean \"tanh\""),
        (lambda: mg.gelu(X, approximate=True), "gelu: approximate=True"),
        (lambda: mg.leaky_relu(X, slope=-0.1), "leaky_relu: slope=-0.1.*not negative"),
        (lambda: mg.elu(X, alpha=-1), "elu: alpha=-1.*not negative"),
        (lambda: mg.elu(X, alpha=np.nan), "elu: alpha=nan"),
    ],
)
def test_options_that_are_refused(call, text):
    with pytest.raises(mg.OptionError, match=text):
        call()


# --- dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.25, 0.4, 0.7])
def test_dropout_is_the_courses(p):
    """``mask = (np.random.rand(*x.shape) < p) / p; out = x * mask``, to the last bit."""
    x = 10 + rng.standard_normal((50, 50))
    np.random.seed(123)
    mask = (np.random.rand(*x.shape) < p) / p
    for source in (np.random.RandomState(123), mask > 0):
        np.testing.assert_array_equal(mg.dropout(x, source, p=p), x * mask)
    np.random.seed(123)
    np.testing.assert_array_equal(mg.dropout(x, np.random, p=p), x * mask)
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(mg.dropout(x, mask > 0, p=p)))(x), mask)


def test_dropout_keeps_the_mean():
    out = mg.dropout(np.ones((200, 200)), np.random.default_rng(0), p=0.8)
    np.testing.assert_allclose([out.mean(), (out > 0).mean()], [1, 0.8], atol=0.01)
    assert set(np.unique(out)) == {0, 1.25}


def test_the_generator_moves_on_and_can_be_repeated():
    def two():
        generator = np.random.default_rng(3)
        return [mg.dropout(np.ones(100), generator, p=0.5) for _ in range(2)]

    (first, second), again = two(), two()
    assert (first != second).any()
    np.testing.assert_array_equal([first, second], again)


def test_the_gradient_has_the_mask_of_the_forward_pass():
    x = np.ones(1000)
    out, (g,) = gradients_of(lambda x: mg.dropout(x, np.random.default_rng(5), p=0.5), [x])
    np.testing.assert_array_equal(g == 0, out == 0)


def test_dropping_whole_channels():
    mask = np.array([True, False, True]).reshape(1, 3, 1, 1)
    out = mg.dropout(np.ones((2, 3, 4, 4)), mask, p=0.5)
    np.testing.assert_array_equal(out[0, :, 0, 0], [2, 0, 2])
    agrees(lambda x: mg.dropout(x, mask, p=0.5) ** 2, rng.standard_normal((2, 3, 2, 2)))


def test_dropout_keeps_dtypes_and_the_ends_of_p():
    for dtype in (np.float16, np.float32):
        assert mg.dropout(X.astype(dtype), np.random.default_rng(0), p=np.float64(0.5)).dtype == dtype
    np.testing.assert_array_equal(mg.dropout(X, np.random.default_rng(0), p=1), X)
    assert mg.dropout(np.arange(3), [True, False, True], p=0.5).tolist() == [0, 0, 4]


@pytest.mark.parametrize(
    "source, p, error, text",
    [
        (np.random.default_rng(0), 0, mg.OptionError, "dropout: p=0 came; p is the probability of KEEPING"),
        (np.random.default_rng(0), 1.5, mg.OptionError, "p=1.5"),
        (0, 0.5, mg.OptionError, "dropout: 0 came in place of a generator.*default_rng"),
        (None, 0.5, mg.OptionError, "None came in place of a generator"),
        (np.ones((3, 4)), 0.5, mg.DTypeError, "dropout: the mask is float64.*astype"),
        (np.ones((4, 3), bool), 0.5, mg.ShapeError, r"mask of shape \(4, 3\) came for x \(3, 4\)"),
        (np.ones((2, 3, 4), bool), 0.5, mg.ShapeError, r"mask of shape \(2, 3, 4\)"),
    ],
)
@pytest.mark.parametrize("watch", [False, True], ids=["arrays", "tensors"])
def test_what_dropout_refuses(source, p, error, text, watch):
    with pytest.raises(error, match=text):
        mg.dropout(mg.Tape(full=False).watch(X) if watch else X, source, p=p)
