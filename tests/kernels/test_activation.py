"""The kernels of the activation functions, both ways, against scipy and finite differences: sizes, layouts, tails."""

import math

import numpy as np
import pytest
import scipy.special

from minigrad.kernels import activation as kernels
from minigrad.kernels import using


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def choice(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the compiled kernels need it")
    with using(request.param):
        yield request.param


rng = np.random.default_rng(43)
SHAPES = [(), (0,), (3, 0), (1,), (17,), (499,), (5, 101), (8191,), (3, 71, 61), (32769,), (2, 5, 7001)]
PRECISION = {np.float32: 5e-7, np.float64: 1e-15}
FORMS = ("none", "tanh")
INNER = math.sqrt(2 / math.pi)


def gelu_share(x, form):
    return scipy.special.ndtr(x) if form == "none" else scipy.special.expit(2 * INNER * (x + 0.044715 * x**3))


FORWARD = {
    "elu": (lambda x: kernels.elu(x, 1.5, 0.7), lambda x: 1.5 * np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0)))),
    "sigmoid": (kernels.sigmoid, scipy.special.expit),
    "softplus": (kernels.softplus, lambda x: np.logaddexp(x, 0)),
    "silu": (kernels.silu, lambda x: x * scipy.special.expit(x)),
    "normal_cdf": (kernels.normal_cdf, scipy.special.ndtr),
    "gelu": (lambda x: kernels.gelu(x, approximate="none")[0], lambda x: x * gelu_share(x, "none")),
    "gelu tanh": (lambda x: kernels.gelu(x, approximate="tanh")[0], lambda x: x * gelu_share(x, "tanh")),
    "share": (lambda x: kernels.gelu(x, approximate="none")[1], lambda x: gelu_share(x, "none")),
    "share tanh": (lambda x: kernels.gelu(x, approximate="tanh")[1], lambda x: gelu_share(x, "tanh")),
}


def gelu_backward(form):
    return lambda g, x: kernels.gelu_backward(g, x, gelu_share(x, form).astype(g.dtype), approximate=form)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


BACKWARD = {  # the kernel as a function of g and x, and the function whose slope it is
    "leaky_relu": (lambda g, x: kernels.leaky_relu_backward(g, leaky(x).astype(g.dtype), 0.2), leaky),
    "elu": (lambda g, x: kernels.elu_backward(g, FORWARD["elu"][1](x).astype(g.dtype), 1.5, 0.7), FORWARD["elu"][1]),
    "silu": (kernels.silu_backward, FORWARD["silu"][1]),
    "gelu": (gelu_backward("none"), FORWARD["gelu"][1]),
    "gelu tanh": (gelu_backward("tanh"), FORWARD["gelu tanh"][1]),
}
EACH_FORWARD = pytest.mark.parametrize("name", FORWARD)
EACH_BACKWARD = pytest.mark.parametrize("name", BACKWARD)
EACH_DTYPE = pytest.mark.parametrize("dtype", PRECISION, ids=lambda dtype: dtype.__name__)


@EACH_FORWARD
@EACH_DTYPE
def test_values_at_any_size(name, dtype):
    kernel, expected = FORWARD[name]
    for shape in SHAPES:
        x = np.asarray(3 * rng.standard_normal(shape), dtype)
        found = kernel(x)
        assert found.dtype == dtype and found.shape == shape
        np.testing.assert_allclose(found, expected(x.astype(float)), rtol=20 * PRECISION[dtype], atol=PRECISION[dtype])


@EACH_BACKWARD
@EACH_DTYPE
def test_slopes_at_any_size(name, dtype):
    kernel, function = BACKWARD[name]
    for shape in SHAPES:
        x, g = (np.asarray(values, dtype) for values in rng.standard_normal((2, *shape)))
        x = x + np.sign(x) * dtype(1e-3)  # away from the kinks
        wide, step = x.astype(float), 1e-5
        slope = (function(wide + step) - function(wide - step)) / (2 * step)
        found = kernel(g, x)
        assert found.dtype == dtype and found.shape == shape
        np.testing.assert_allclose(found, g * slope, rtol=2e-5, atol=1e-6 if dtype == np.float32 else 1e-9)


@EACH_FORWARD
@EACH_DTYPE
def test_layouts_do_not_matter(name, dtype):
    kernel, _ = FORWARD[name]
    x = rng.standard_normal((60, 40)).astype(dtype)
    wanted = kernel(x)
    for view, same in ((x.T, wanted.T), (x[::-1, ::2], wanted[::-1, ::2]), (x[:, None], wanted[:, None])):
        np.testing.assert_allclose(kernel(view), same, rtol=PRECISION[dtype] * 4)
    x.flags.writeable = False
    np.testing.assert_array_equal(kernel(x), wanted)
    np.testing.assert_allclose(kernel(x.astype(x.dtype.newbyteorder())), wanted, rtol=PRECISION[dtype] * 4)


@EACH_BACKWARD
def test_layouts_of_slopes_do_not_matter(name):
    kernel, _ = BACKWARD[name]
    g, x = rng.standard_normal((2, 60, 40))
    wanted = kernel(g, x)
    np.testing.assert_allclose(kernel(g.T, x.T), wanted.T, rtol=1e-14)
    np.testing.assert_allclose(kernel(g.T.copy().T, x), wanted, rtol=1e-14)
    np.testing.assert_allclose(kernel(np.broadcast_to(g[0], g.shape), x)[0], wanted[0], rtol=1e-14)
    assert kernel(g, x.astype(np.float32)).dtype == np.float64


@EACH_FORWARD
@EACH_DTYPE
def test_what_is_not_finite(name, dtype):
    """NaN stays, far arguments give what the function tends to, and the places around are as they were."""
    kernel, expected = FORWARD[name]
    x = rng.standard_normal(1000).astype(dtype)
    x[[3, 600]], x[[5, 601]], x[[7, 602]], x[[9, 603]] = np.nan, np.inf, 1e30, -1e30
    with np.errstate(all="ignore"):
        found, wanted = kernel(x), expected(np.clip(x.astype(float), -1e30, None))
    wanted[[5, 601]] = np.inf if wanted[7] > 1 else 1
    np.testing.assert_allclose(found, wanted, rtol=20 * PRECISION[dtype], atol=PRECISION[dtype])


@EACH_BACKWARD
@EACH_DTYPE
def test_slopes_of_what_is_not_finite(name, dtype):
    kernel, _ = BACKWARD[name]
    x, g = rng.standard_normal((2, 1000)).astype(dtype)
    x[:2], x[2], x[3], g[4] = np.nan, 1e4, -1e4, np.nan
    found = kernel(g, x)
    kept = name != "leaky_relu"  # whose slopes are two numbers
    np.testing.assert_array_equal(np.isnan(found), [kept, kept, False, False, True, *[False] * 995])
    ends = {"elu": (1.5, 0), "leaky_relu": (1, 0.2)}.get(name, (1, 0))
    np.testing.assert_allclose(found[2:4], g[2:4] * np.array(ends, dtype), rtol=1e-6, atol=1e-12)


def test_the_normal_distribution_far_down_the_tail():
    x = np.linspace(-37, 9, 5001)
    np.testing.assert_allclose(kernels.normal_cdf(x), scipy.special.ndtr(x), rtol=1e-12)
    near = x[np.abs(x) < 3]
    np.testing.assert_allclose(kernels.normal_cdf(near), scipy.special.ndtr(near), rtol=4e-15)
    small = np.linspace(-9, 9, 5001, dtype=np.float32)
    np.testing.assert_allclose(kernels.normal_cdf(small), scipy.special.ndtr(small.astype(float)), rtol=2e-5)
    assert (kernels.normal_cdf(np.full(1000, -1e200)) == 0).all()


def test_the_parts_of_one_half_that_gelu_has_at_0():
    out, share = kernels.gelu(np.zeros(1000), approximate="none")
    assert (out == 0).all()
    np.testing.assert_allclose(share, 0.5, rtol=5e-16)


def test_the_same_call_gives_the_same_bits():
    x = rng.standard_normal((300, 301)).astype(np.float32)
    for kernel, _ in FORWARD.values():
        np.testing.assert_array_equal(kernel(x), kernel(x))


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_is_numpys(form):
    x = rng.standard_normal(2000).astype(np.float16)
    out, share = kernels.gelu(x, approximate=form)
    assert out.dtype == share.dtype == np.float16
    np.testing.assert_allclose(out, x * gelu_share(x.astype(float), form), atol=2e-3)
