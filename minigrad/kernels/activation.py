"""Activation functions, and the slopes of those for which a single pass pays.

All of them hold at arguments of any size: nothing overflows, and no digits cancel in the tails. Arrays are of real
floating-point numbers; what is narrower than float32 is computed in float32.

The distribution function of the normal distribution, which GELU rests on, is ``erfc(-x / sqrt(2)) / 2``, by rational
Chebyshev approximations of the error function (W. J. Cody, Mathematics of Computation 23, 1969, 631-637).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .choice import kernel

__all__ = [
    "elu",
    "elu_backward",
    "gelu",
    "gelu_backward",
    "leaky_relu_backward",
    "normal_cdf",
    "sigmoid",
    "silu",
    "silu_backward",
    "softplus",
]


# --- straight lines and exponentials ---------------------------------------------------------------------------------


@kernel
def leaky_relu_backward(g: Any, out: Any, slope: float) -> Any:
    """``g`` where the result is positive, else ``slope * g``."""
    return np.where(out > 0, g, g * slope)


@kernel
def elu(x: Any, scale: float, alpha: float) -> Any:
    """``scale * x`` where x is positive, else ``scale * alpha * (exp(x) - 1)``."""
    negative = np.expm1(np.minimum(x, 0)) * (scale * alpha)
    positive = np.maximum(x, 0)
    return (positive if scale == 1 else positive * scale) + negative


@kernel
def elu_backward(g: Any, out: Any, scale: float, alpha: float) -> Any:
    """``scale * g`` where the result is positive, else ``g * (out + scale * alpha)``."""
    return np.where(out > 0, g if scale == 1 else g * scale, g * (out + scale * alpha))


# --- the logistic function and its integral --------------------------------------------------------------------------


def _wide(x: Any) -> Any:
    """Return float16 as float32, which has room for exponentials; other arrays as they are."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


@kernel
def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``."""
    with np.errstate(over="ignore"):  # 1 / (1 + inf) is 0, as it should be
        out = np.exp(-_wide(x))
    out += 1
    return np.reciprocal(out).astype(x.dtype, copy=False)


@kernel
def softplus(x: Any) -> Any:
    """``log(1 + exp(x))``."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@kernel
def silu(x: Any) -> Any:
    """``x * sigmoid(x)``."""
    return x * sigmoid(x)


@kernel
def silu_backward(g: Any, x: Any) -> Any:
    """``g * s * (1 + x * (1 - s))`` with ``s = sigmoid(x)``."""
    gate = sigmoid(x)
    return g * (gate + x * gate * (1 - gate))


# --- the normal distribution -----------------------------------------------------------------------------------------

ROOT_HALF, ROOT_2_PI, ROOT_PI = math.sqrt(0.5), math.sqrt(2 * math.pi), math.sqrt(math.pi)
BLOCK = 16384  # elements: the steps of a rational function then stay in the processor's cache
SATURATED = 40.0  # from here on all of these functions and slopes are 0, 1 or x, in every precision

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


@kernel
def normal_cdf(x: Any) -> Any:
    """``(1 + erf(x / sqrt(2))) / 2``, to rounding in the precision of x, in the lower tail too."""
    flat = _wide(np.reshape(x, -1))
    out = np.empty_like(flat)
    for start in range(0, len(flat), BLOCK):
        out[start : start + BLOCK] = _normal_cdf_of_block(flat[start : start + BLOCK])
    return out.reshape(x.shape).astype(x.dtype, copy=False)[()]


# --- gelu ------------------------------------------------------------------------------------------------------------

GELU_CUBIC, GELU_SCALE = 0.044715, math.sqrt(2 / math.pi)


@kernel
def gelu(x: Any, *, approximate: str) -> tuple[Any, Any]:
    """``x * share``, and the share: what the normal distribution has below x, or its approximation.

    The approximation ``(1 + tanh(u)) / 2``, with ``u = sqrt(2 / pi) * (x + 0.044715 * x**3)``, is ``sigmoid(2 * u)``.
    """
    if approximate == "none":
        share = normal_cdf(x)
        return x * share, share
    c = np.clip(x, -SATURATED, SATURATED)  # its cube would overflow
    u = c * c
    u *= GELU_CUBIC
    u += 1
    u *= c
    u *= 2 * GELU_SCALE
    share = sigmoid(u)
    return x * share, share


@kernel
def gelu_backward(g: Any, x: Any, share: Any, *, approximate: str) -> Any:
    """``g * (share + x * d share / dx)``."""
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
