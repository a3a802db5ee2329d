"""Samples of the activation functions and of dropout: their formulas as they are published."""

import math

import numpy as np
import scipy.special

import minigrad as mg
from tests.ops.samples import away_from_zero, elementwise, normal, row, truth


def logistic(x):
    return 1 / (1 + np.exp(-x))


def normal_cdf(x):
    return scipy.special.ndtr(x).astype(x.dtype)


def selu(x):
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return scale * np.where(x > 0, x, alpha * (np.exp(x) - 1))


elementwise("leaky_relu", away_from_zero, expected=lambda x: np.where(x > 0, x, 0.01 * x))
elementwise("elu", away_from_zero, expected=lambda x: np.where(x > 0, x, np.exp(x) - 1))
elementwise("selu", away_from_zero, expected=selu)
elementwise("sigmoid", normal, expected=logistic)
elementwise("softplus", normal, expected=lambda x: np.log(1 + np.exp(x)))
elementwise("silu", normal, expected=lambda x: x * logistic(x))
elementwise("normal_cdf", normal, expected=normal_cdf)
for slope in (0.0, 0.2, 1.0, 3.0):
    row("leaky_relu", (away_from_zero(3, 4),), lambda x, slope: np.where(x > 0, x, slope * x), slope=slope)
for alpha in (0.0, 0.5, 2.0):
    row("elu", (away_from_zero(3, 4),), lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x) - 1)), alpha=alpha)
row(
    "leaky_relu_backward",
    (normal(3, 4), away_from_zero(3, 4)),
    lambda g, y, slope: np.where(y > 0, g, g * slope),
    slope=0.2,
)
row(
    "elu_backward",
    (normal(3, 4), away_from_zero(3, 4)),
    lambda g, y, scale, alpha: np.where(y > 0, g * scale, g * (y + scale * alpha)),
    scale=1.5,
    alpha=0.5,
)
row(
    "silu_backward",
    (normal(3, 4), normal(3, 4)),
    lambda g, x: g * (logistic(x) + x * logistic(x) * logistic(-x)),
)


def gelu_share(x, approximate="none"):
    if approximate == "none":
        return mg.ops.normal_cdf(x)
    return 0.5 + 0.5 * np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))


def gelu(x, approximate="none"):
    return x * (gelu_share(x, approximate) if approximate == "tanh" else normal_cdf(x))


def gelu_backward(approximate):
    def expected(g, x):
        """The slope by the product rule."""
        if approximate == "none":
            return (g * (normal_cdf(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)),)
        t = 2 * gelu_share(x, "tanh") - 1
        inner = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
        return (g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner),)

    return expected


def call_gelu_backward(approximate):
    options = dict(approximate=approximate, needs=("x",), unread=())
    return lambda g, x: mg.ops.gelu_backward(g, x, gelu_share(x, approximate), **options)


elementwise("gelu", normal, expected=gelu)
for form in ("none", "tanh"):
    row("gelu", (normal(3, 4),), gelu, approximate=form)
    row("gelu_backward", (normal(3, 4), normal(3, 4)), gelu_backward(form), label=form, call=call_gelu_backward(form))


def dropped(x, mask, p):
    return np.where(mask, x / p, 0).astype(x.dtype)


row("drop", (normal(3, 4), truth(3, 4)), dropped, p=0.7)
row("drop", (normal(2, 3, 4), truth(2, 3, 1)), dropped, p=0.25, label="whole rows")
