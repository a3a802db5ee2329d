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
from ..kernels import activation as kernels
from ..kernels.activation import GELU_CUBIC, GELU_SCALE, ROOT_2_PI, SATURATED
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
leaky_relu.vjp(x=lambda g, out, slope: leaky_relu_backward(g, out, slope=float(slope)))
leaky_relu.reference = lambda x, *, slope=0.01: np.where(x > 0, x, x * float(slope))


@primitive(kind="backward", linear="elementwise")
def leaky_relu_backward(g, y, *, slope):
    """The backward pass of `leaky_relu`: ``g`` where its result y is positive, else ``slope * g``."""
    return kernels.leaky_relu_backward(g, y, slope)


leaky_relu_backward.vjp(g=lambda c, y, slope: leaky_relu_backward(c, y, slope=slope), y=None)


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
    return kernels.elu(_floats("elu", x), 1.0, _not_negative("elu", "alpha", alpha))


elu.vjp(x=lambda g, out, alpha: elu_backward(g, out, scale=1.0, alpha=float(alpha)))
elu.reference = lambda x, *, alpha=1.0: np.where(x > 0, x, np.expm1(np.minimum(x, 0)) * float(alpha))


@primitive(kind="backward", linear="elementwise")
def elu_backward(g, y, *, scale, alpha):
    """The backward pass of `elu` and `selu`: ``g`` times scale where y is positive, else ``y + scale * alpha``."""
    return kernels.elu_backward(g, y, scale, alpha)


elu_backward.vjp(
    g=lambda c, y, scale, alpha: elu_backward(c, y, scale=scale, alpha=alpha),
    y=lambda c, g, y: where(y > 0, 0.0, c * g),
)

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
    return kernels.elu(_floats("selu", x), SELU_SCALE, SELU_ALPHA)


selu.vjp(x=lambda g, out: elu_backward(g, out, scale=SELU_SCALE, alpha=SELU_ALPHA))
selu.reference = lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))

# --- the logistic function and its integral --------------------------------------------------------------------------


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
    return kernels.sigmoid(_floats("sigmoid", x))


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
    return kernels.softplus(_floats("softplus", x))


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
    return kernels.silu(_floats("silu", x))


silu.vjp(x=lambda g, x: silu_backward(g, x))
silu.reference = lambda x: x * sigmoid(x)


@primitive(kind="backward", linear="elementwise")
def silu_backward(g, x):
    """The backward pass of `silu`: ``g * s * (1 + x * (1 - s))`` with ``s = sigmoid(x)``."""
    return kernels.silu_backward(g, x)


def _silu_curvature(x: Any) -> Any:
    gate = sigmoid(x)
    return (gate - gate * gate) * (2 + x * (1 - 2 * gate))


silu_backward.vjp(g=lambda c, x: silu_backward(c, x), x=lambda c, g, x: c * g * _silu_curvature(x))


# --- the normal distribution -----------------------------------------------------------------------------------------


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
    return kernels.normal_cdf(_floats("normal_cdf", x))


def _normal_density(x: Any) -> Any:
    x = np.clip(x, -SATURATED, SATURATED)  # a square would overflow; the density is 0 there
    return np.exp(-0.5 * x * x) / ROOT_2_PI


normal_cdf.vjp(x=lambda g, x: g * _normal_density(x))

# --- gelu ------------------------------------------------------------------------------------------------------------

GELU_FORMS = ("none", "tanh")


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
    return kernels.gelu(_floats("gelu", x), approximate=approximate)


@gelu.backward
def gelu_backward(g, x, share, *, approximate, wants):
    """g * (share + x * d share / dx)."""
    return kernels.gelu_backward(g, x, share, approximate=approximate)
