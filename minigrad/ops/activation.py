"""Activation functions: what stands between two layers. ``relu`` is in ``elementwise``, ``softmax`` in ``special``.

At a kink the derivative is the one from the left, as it is for ``relu``: the slope of ``leaky_relu`` at 0, alpha for
``elu``. All of them hold at arguments of any size: nothing overflows, and no digits cancel in the tails.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff.fused import fused
from ..core.errors import DTypeError, OptionError, did_you_mean
from ..core.explain import where as op_and_layer
from ..core.primitive import primitive
from .elementwise import where

__all__ = ["elu", "gelu", "leaky_relu", "normal_cdf", "selu", "sigmoid", "silu", "softplus"]


def _floats(name: str, x: Any) -> Any:
    """Return x as an array of real floating-point numbers; integers become them as in ``np.exp``."""
    x = np.asarray(x)
    if x.dtype.kind == "f":
        return x
    if x.dtype.kind not in "iub":
        raise DTypeError(
            f"{op_and_layer(name)}: x {x.shape} is {x.dtype}, and real numbers were expected; of complex ones take "
            f"np.abs(x), or np.real(x) and np.imag(x) apart"
        )
    return x.astype(np.result_type(x, np.float16))


def _not_negative(name: str, option: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise OptionError(
            f"{op_and_layer(name)}: {option}={value!r} came, and a number that is not negative was expected"
        )
    return float(value)  # a Python number leaves float32 as it is


def _wide(x: Any) -> Any:
    """Return float16 as float32, which has room for exponentials; other arrays as they are."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


# --- straight lines and exponentials ---------------------------------------------------------------------------------


@primitive(kind="activation", linear="elementwise")
def leaky_relu(x, *, slope=0.01):
    """Leaky rectified linear unit, elementwise: ``x`` where x is positive, else ``slope * x``.

    (Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic models, 2013.)

    Parameters
    ----------
    x : array of any shape
    slope : float
        Slope for negative x, and the derivative at 0.

    Returns
    -------
    array of the same shape

    Raises
    ------
    OptionError
        If the slope is negative.
    DTypeError
        If x is complex.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.leaky_relu(np.array([-100.0, 0.0, 2.0]))
    array([-1.,  0.,  2.])
    """
    x, slope = _floats("leaky_relu", x), _not_negative("leaky_relu", "slope", slope)
    return np.maximum(x, slope * x) if slope <= 1 else np.minimum(x, slope * x)


# What is positive came from what is positive, so that the result, which the next layer keeps anyway, tells enough.
leaky_relu.vjp(x=lambda g, out, slope: where(out > 0, g, g * float(slope)))
leaky_relu.reference = lambda x, *, slope=0.01: np.where(x > 0, x, x * float(slope))


def _elu(x: Any, scale: float, alpha: float) -> Any:
    negative = np.expm1(np.minimum(x, 0)) * (scale * alpha)
    positive = np.maximum(x, 0)
    return (positive if scale == 1 else positive * scale) + negative


@primitive(kind="activation", linear="elementwise")
def elu(x, *, alpha=1.0):
    """Exponential linear unit, elementwise: ``x`` where x is positive, else ``alpha * (exp(x) - 1)``.

    (Clevert, Unterthiner and Hochreiter, 2015, arXiv:1511.07289.)

    Parameters
    ----------
    x : array of any shape
    alpha : float
        Minus the limit for very negative x, and the derivative at 0.

    Returns
    -------
    array of the same shape

    Raises
    ------
    OptionError
        If alpha is negative.
    DTypeError
        If x is complex.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.elu(np.array([-np.log(2), 0.0, 2.0]))
    array([-0.5,  0. ,  2. ])
    """
    return _elu(_floats("elu", x), 1.0, _not_negative("elu", "alpha", alpha))


elu.vjp(x=lambda g, out, alpha: where(out > 0, g, g * (out + float(alpha))))
elu.reference = lambda x, *, alpha=1.0: np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * float(alpha))

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@primitive(kind="activation", linear="elementwise")
def selu(x):
    """Scaled exponential linear unit, elementwise: ``scale * elu(x, alpha)`` with the constants of the paper.

    With them, mean 0 and variance 1 are kept from layer to layer. (Klambauer, Unterthiner, Mayr and Hochreiter,
    Self-normalizing neural networks, 2017, arXiv:1706.02515.)

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the same shape

    Raises
    ------
    DTypeError
        If x is complex.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.selu(np.array([-100.0, 0.0, 1.0])).round(4)
    array([-1.7581,  0.    ,  1.0507])
    """
    return _elu(_floats("selu", x), SELU_SCALE, SELU_ALPHA)


selu.vjp(x=lambda g, out: where(out > 0, g * SELU_SCALE, g * (out + SELU_SCALE * SELU_ALPHA)))
selu.reference = lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))

# --- the logistic function and its integral --------------------------------------------------------------------------


def _logistic(x: Any) -> Any:
    with np.errstate(over="ignore"):  # 1 / (1 + inf) is 0, as it should be
        out = np.exp(-_wide(x))
    out += 1
    return np.reciprocal(out).astype(x.dtype, copy=False)


@primitive(kind="activation", linear="elementwise")
def sigmoid(x):
    """Logistic function, elementwise: ``1 / (1 + exp(-x))``, without overflow and exact in the tail.

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the same shape
        Between 0 and 1.

    Raises
    ------
    DTypeError
        If x is complex.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.sigmoid(np.array([-1e4, 0.0, np.log(3), 1e4]))
    array([0.  , 0.5 , 0.75, 1.  ])
    """
    return _logistic(_floats("sigmoid", x))


sigmoid.vjp(x=lambda g, out: g * (out - out * out))
sigmoid.reference = lambda x: 0.5 * np.tanh(0.5 * x) + 0.5


@primitive(kind="activation", linear="elementwise")
def softplus(x):
    """Smooth rectifier, elementwise: ``log(1 + exp(x))``, without overflow. ``-softplus(-x)`` is ``log(sigmoid(x))``.

    (Dugas, Bengio, Belisle, Nadeau and Garcia, Incorporating second-order functional knowledge, 2001.)

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the same shape

    Raises
    ------
    DTypeError
        If x is complex.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.softplus(np.array([-1e4, 0.0, 100.0])).round(6)
    array([  0.      ,   0.693147, 100.      ])
    """
    x = _floats("softplus", x)
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


softplus.vjp(x=lambda g, x: g * sigmoid(x))
softplus.reference = lambda x: np.logaddexp(x, 0.0)


@primitive(kind="activation", linear="elementwise")
def silu(x):
    """Sigmoid linear unit, or swish, elementwise: ``x * sigmoid(x)``.

    (Elfwing, Uchibe and Doya, 2017, arXiv:1702.03118; Ramachandran, Zoph and Le, 2017, arXiv:1710.05941.)

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the same shape

    Raises
    ------
    DTypeError
        If x is complex.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.silu(np.array([-1e4, 0.0, 1e4]))
    array([   -0.,     0., 10000.])
    """
    x = _floats("silu", x)
    return x * _logistic(x)


def _silu_rule(g: Any, x: Any, out: Any) -> Any:
    gate = sigmoid(x)
    return g * (gate + out - out * gate)


silu.vjp(x=_silu_rule)
silu.reference = lambda x: x * sigmoid(x)

# --- the normal distribution -----------------------------------------------------------------------------------------

ROOT_HALF, ROOT_2_PI, ROOT_PI = math.sqrt(0.5), math.sqrt(2 * math.pi), math.sqrt(math.pi)
BLOCK = 16384  # elements: the steps of a rational function then stay in the processor's cache
SATURATED = 40.0  # from here on all of these functions and slopes are 0, 1 or x, in every precision

# Rational Chebyshev approximations of the error function: W. J. Cody, Mathematics of Computation 23 (1969), 631-637.
# Coefficients from the highest power down; errors below 1e-18. They are
# erf(y) / y in y**2 up to NEAR, exp(y**2) * erfc(y) in y up to FAR, and beyond it
# (1 / sqrt(pi) - y * exp(y**2) * erfc(y)) * y**2 in 1 / y**2.
NEAR, FAR = 0.46875, 4.0
NEAR_TOP = (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2,
            3.20937758913846947e3)  # fmt: skip
NEAR_BOTTOM = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
MIDDLE_TOP = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
              2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
              1.23033935479799725e3)  # fmt: skip
MIDDLE_BOTTOM = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
                 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
                 1.23033935480374942e3)  # fmt: skip
FAR_TOP = (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
           1.60837851487422766e-2, 6.58749161529837803e-4)  # fmt: skip
FAR_BOTTOM = (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
              2.33520497626869185e-3)  # fmt: skip


def _quotient(x: Any, top: tuple[float, ...], bottom: tuple[float, ...]) -> Any:
    """Return the quotient of two polynomials at x, given their coefficients from the highest power down."""
    numerator, denominator = np.full_like(x, top[0]), np.full_like(x, bottom[0])
    for polynomial, coefficients in ((numerator, top), (denominator, bottom)):
        for coefficient in coefficients[1:]:
            polynomial *= x
            polynomial += coefficient
    numerator /= denominator
    return numerator


def _normal_cdf_of_block(x: Any) -> Any:
    """Return ``erfc(-x / sqrt(2)) / 2`` for a vector of floats, by the approximation for each part of the line.

    The first two are computed everywhere and chosen from: that is cheaper than taking their parts out of the vector.
    """
    y = np.minimum(np.abs(x) * ROOT_HALF, SATURATED)
    square = y * y
    tail = _quotient(y, MIDDLE_TOP, MIDDLE_BOTTOM)
    far = y > FAR
    if far.any():
        part, inverse = y[far], 1 / square[far]
        tail[far] = (1 / ROOT_PI - inverse * _quotient(inverse, FAR_TOP, FAR_BOTTOM)) / part
    tail *= np.exp(-square)
    tail *= 0.5
    tail = np.where(x > 0, 1 - tail, tail)
    centre = _quotient(square, NEAR_TOP, NEAR_BOTTOM)
    centre *= x
    centre *= 0.5 * ROOT_HALF
    centre += 0.5
    return np.where(y > NEAR, tail, centre)


@primitive(linear="elementwise")
def normal_cdf(x):
    """Distribution function of the standard normal distribution, elementwise: ``(1 + erf(x / sqrt(2))) / 2``.

    To rounding in the precision of x, in the lower tail too. (Cody, 1969.)

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    array of the same shape
        Between 0 and 1.

    Raises
    ------
    DTypeError
        If x is complex.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.normal_cdf(np.array([-1.96, 0.0, 1.96])).round(3)
    array([0.025, 0.5  , 0.975])
    """
    x = _floats("normal_cdf", x)
    flat = _wide(np.reshape(x, -1))
    out = np.empty_like(flat)
    for start in range(0, len(flat), BLOCK):
        out[start : start + BLOCK] = _normal_cdf_of_block(flat[start : start + BLOCK])
    return out.reshape(x.shape).astype(x.dtype, copy=False)[()]


def _normal_density(x: Any) -> Any:
    x = np.clip(x, -SATURATED, SATURATED)  # a square would overflow; the density is 0 there
    return np.exp(-0.5 * x * x) / ROOT_2_PI


normal_cdf.vjp(x=lambda g, x: g * _normal_density(x))

# --- gelu ------------------------------------------------------------------------------------------------------------

GELU_FORMS = ("none", "tanh")
GELU_CUBIC, GELU_SCALE = 0.044715, math.sqrt(2 / math.pi)


def _gelu_reference(x: Any, *, approximate: str = "none") -> Any:
    if approximate == "none":
        return x * normal_cdf(x)
    c = np.clip(x, -SATURATED, SATURATED)  # its cube would overflow
    return 0.5 * x * (1 + np.tanh(GELU_SCALE * (c + GELU_CUBIC * c * c * c)))


@fused(reference=_gelu_reference, outputs=("out", "share"), visible=1, kind="activation")
def gelu(x, *, approximate="none"):
    """Gaussian error linear unit, elementwise: ``x * P(X <= x)`` for a standard normal X.

    (Hendrycks and Gimpel, 2016, arXiv:1606.08415.)

    Parameters
    ----------
    x : array of any shape
    approximate : str
        ``"none"`` for the exact function ``x * (1 + erf(x / sqrt(2))) / 2``; ``"tanh"`` for the paper's approximation
        ``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2``, which GPT-2 has: within 5e-4, and faster.

    Returns
    -------
    array of the same shape

    Raises
    ------
    OptionError
        If `approximate` is neither.
    DTypeError
        If x is complex.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    >>> mg.gelu(np.array([-1.0, 0.0, 1.0]), approximate="tanh").round(4)
    array([-0.1588,  0.    ,  0.8412])
    """
    if approximate not in GELU_FORMS:
        raise OptionError(
            f"{op_and_layer('gelu')}: approximate={approximate!r} came{did_you_mean(approximate, GELU_FORMS)} "
            f'(it is "none" or "tanh")'
        )
    x = _floats("gelu", x)
    share = normal_cdf.forward(x) if approximate == "none" else _gelu_tanh_share(x)
    return x * share, share


def _gelu_tanh_share(x: Any) -> Any:
    """``(1 + tanh(u)) / 2`` is ``sigmoid(2 * u)``."""
    x = np.clip(x, -SATURATED, SATURATED)
    u = x * x
    u *= GELU_CUBIC
    u += 1
    u *= x
    u *= 2 * GELU_SCALE
    return _logistic(u)


@gelu.backward
def gelu_backward(g, x, share, *, approximate, wants):
    """g * (share + x * d share / dx)."""
    x = np.clip(x, -SATURATED, SATURATED)
    slope = x * x
    if approximate == "none":
        slope *= -0.5
        slope = np.exp(slope)
        slope *= x
        slope *= 1 / ROOT_2_PI
    else:
        slope *= 3 * GELU_CUBIC
        slope += 1
        slope *= x
        slope *= share - share * share
        slope *= 2 * GELU_SCALE
    slope += share
    return g * slope
