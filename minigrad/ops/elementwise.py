"""Elementwise ops: arithmetic, comparison, exponentials, trigonometry, choosing.

Most are a NumPy ufunc and one short rule per argument. Broadcasting is undone after the rule, in one place, so a rule
is written as if all arguments had the shape of the result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.numpy_protocol import implements
from ..core.primitive import primitive
from ..core.tensor import Tensor
from .define import ufunc

# --- arithmetic -----------------------------------------------------------------------------------------------------

add = ufunc(np.add, "add", x=lambda g: g, y=lambda g: g)
subtract = ufunc(np.subtract, "sub", x=lambda g: g, y=lambda g: -g)
multiply = ufunc(np.multiply, "mul", x=lambda g, y: g * y, y=lambda g, x: g * x)
divide = ufunc(np.divide, "truediv", x=lambda g, y: g / y, y=lambda g, y, out: -g * out / y)
negative = ufunc(np.negative, "neg", x=lambda g: -g)
positive = ufunc(np.positive, "pos", x=lambda g: g)
reciprocal = ufunc(np.reciprocal, x=lambda g, out: -g * out * out)
square = ufunc(np.square, x=lambda g, x: g * (x + x))
sqrt = ufunc(np.sqrt, x=lambda g, out: g / (out + out))
conjugate = ufunc(np.conjugate, x=lambda g: np.conjugate(g))
absolute = ufunc(np.absolute, "abs", x=lambda g, x, out: g * _direction(x, out))
remainder = ufunc(np.remainder, "mod", x=lambda g: g, y=lambda g, x, y: -g * np.floor_divide(x, y))
fabs = ufunc(np.fabs, x=lambda g, x: g * np.sign(x))


def _direction(x: Any, size: Any) -> Any:
    """Derivative of the absolute value: the sign of a real x; of a complex one ``conj(x) / |x|``. At 0 it is 0."""
    if x.dtype.kind != "c":
        return np.sign(x)
    return np.conjugate(x) / np.where(np.equal(size, 0), np.ones((), size.dtype), size)


@primitive(linear="elementwise")
def power_slope(x, y):
    """Derivative of ``x ** y`` with respect to x: ``y * x ** (y - 1)``, and 0 where y is 0 (also at x = 0)."""
    y = np.asarray(y, dtype=np.result_type(x, y)) if np.ndim(y) else y
    return np.where(np.equal(y, 0), np.zeros((), np.result_type(x, y)), y * x ** np.where(np.equal(y, 0), 1, y - 1))


@primitive(linear="elementwise")
def power_log(x, y):
    """Derivative of ``x ** y`` with respect to y: ``x ** y * log(x)``, and 0 where x is 0 (its limit for y > 0)."""
    zero = np.equal(x, 0)
    return x**y * np.log(np.where(zero, np.ones((), np.result_type(x, y)), x))


def _power_rule(g: Any, x: Any, y: Any) -> Any:
    if isinstance(y, (int, float)):  # the usual case, a constant exponent
        if y == 2:
            return g * (x + x)
        return g * (y * x ** (y - 1)) if y not in (0, 1) else g * float(y)
    return g * power_slope(x, y)


power = ufunc(np.power, "pow", x=_power_rule, y=lambda g, x, y: g * power_log(x, y))
float_power = ufunc(np.float_power, x=_power_rule, y=lambda g, x, y: g * power_log(x, y))


def _log_or_0(x: Any) -> Any:
    """Logarithm, and 0 at 0: beside a power of x that is 0 there too."""
    return np.log(np.where(np.equal(x, 0), 1, x))


power_slope.vjp(
    # At x = y = 0 the slope is 0 in x, whatever the order; elsewhere it is the slope of the next lower power.
    x=lambda g, x, y: g * (y * power_slope(x, np.where(np.equal(x, 0) & np.equal(y, 0), 1, y - 1))),
    y=lambda g, x, y: g * (x ** (y - 1) + y * power_log(x, y - 1)),
)
power_log.vjp(
    x=lambda g, x, y: g * (power_slope(x, y) * _log_or_0(x) + x ** (y - 1)),
    y=lambda g, x, y: g * (power_log(x, y) * _log_or_0(x)),
)


@primitive(linear="jointly")
def where_greater(g, x, y):
    """g where x is greater than y, half of it where they are equal, 0 where x is smaller: ties share a gradient.

    NaN counts as greater, as it does in ``np.maximum``.
    """
    return _share(g, np.greater(x, y) | np.isnan(x), x, y)


@primitive(linear="jointly")
def where_less(g, x, y):
    """g where x is less than y, half of it where they are equal, 0 where x is greater. NaN counts as less."""
    return _share(g, np.less(x, y) | np.isnan(x), x, y)


def _share(g: Any, chosen: Any, x: Any, y: Any) -> Any:
    equal = np.equal(x, y)
    return g * chosen + g * equal * 0.5 if np.any(equal) else g * chosen


where_greater.vjp(g=lambda c, x, y: where_greater(c, x, y), x=None, y=None)
where_less.vjp(g=lambda c, x, y: where_less(c, x, y), x=None, y=None)

maximum = ufunc(
    np.maximum,
    x=lambda g, x, y: where_greater(g, x, y),
    y=lambda g, x, y: where_greater(g, y, x),
)
minimum = ufunc(
    np.minimum,
    x=lambda g, x, y: where_less(g, x, y),
    y=lambda g, x, y: where_less(g, y, x),
)

# --- exponentials and trigonometry ----------------------------------------------------------------------------------

LOG_2, LOG_10 = math.log(2), math.log(10)  # Python numbers: they leave float32 as it is

exp = ufunc(np.exp, x=lambda g, out: g * out)
exp2 = ufunc(np.exp2, x=lambda g, out: g * out * LOG_2)
expm1 = ufunc(np.expm1, x=lambda g, out: g * out + g)
log = ufunc(np.log, x=lambda g, x: g / x)
log2 = ufunc(np.log2, x=lambda g, x: g / (x * LOG_2))
log10 = ufunc(np.log10, x=lambda g, x: g / (x * LOG_10))
log1p = ufunc(np.log1p, x=lambda g, x: g / (x + 1))
sin = ufunc(np.sin, x=lambda g, x: g * np.cos(x))
cos = ufunc(np.cos, x=lambda g, x: -g * np.sin(x))
tan = ufunc(np.tan, x=lambda g, out: g + g * out * out)
arcsin = ufunc(np.arcsin, x=lambda g, x: g / np.sqrt(1 - x * x))
arccos = ufunc(np.arccos, x=lambda g, x: -g / np.sqrt(1 - x * x))
arctan = ufunc(np.arctan, x=lambda g, x: g / (1 + x * x))
sinh = ufunc(np.sinh, x=lambda g, x: g * np.cosh(x))
cosh = ufunc(np.cosh, x=lambda g, x: g * np.sinh(x))
# g - g * out * out, not g * (1 - out * out): an array operation with a Python number costs twice one between arrays.
tanh = ufunc(np.tanh, kind="activation", x=lambda g, out: g - g * out * out)


# --- no derivative: comparisons, rounding, tests --------------------------------------------------------------------

greater = ufunc(np.greater, "gt", differentiable=False)
greater_equal = ufunc(np.greater_equal, "ge", differentiable=False)
less = ufunc(np.less, "lt", differentiable=False)
less_equal = ufunc(np.less_equal, "le", differentiable=False)
equal = ufunc(np.equal, "eq", differentiable=False)
not_equal = ufunc(np.not_equal, "ne", differentiable=False)
logical_and = ufunc(np.logical_and, differentiable=False)
logical_or = ufunc(np.logical_or, differentiable=False)
logical_xor = ufunc(np.logical_xor, differentiable=False)
logical_not = ufunc(np.logical_not, differentiable=False)
bitwise_and = ufunc(np.bitwise_and, "and", differentiable=False)
bitwise_or = ufunc(np.bitwise_or, "or", differentiable=False)
bitwise_xor = ufunc(np.bitwise_xor, "xor", differentiable=False)
invert = ufunc(np.invert, "invert", differentiable=False)
sign = ufunc(np.sign, differentiable=False)
floor = ufunc(np.floor, differentiable=False)
ceil = ufunc(np.ceil, differentiable=False)
trunc = ufunc(np.trunc, differentiable=False)
rint = ufunc(np.rint, differentiable=False)
floor_divide = ufunc(np.floor_divide, "floordiv", differentiable=False)
isnan = ufunc(np.isnan, differentiable=False)
isinf = ufunc(np.isinf, differentiable=False)
isfinite = ufunc(np.isfinite, differentiable=False)
signbit = ufunc(np.signbit, differentiable=False)

# --- choosing -------------------------------------------------------------------------------------------------------


@primitive(linear="jointly")
def where(condition, x, y):
    """Choose elements of x where the condition is true, and of y where it is not."""
    return np.where(condition, x, y)


# A zero of the cotangent's own dtype, made by multiplying: 0 * inf must not arise, so it is chosen, not multiplied.
where.vjp(
    condition=None,
    x=lambda g, condition: where(condition, g, np.zeros((), g.dtype)),
    y=lambda g, condition: where(condition, np.zeros((), g.dtype), g),
)


@implements(np.where)
def _np_where(condition: Any, *branches: Any) -> Any:
    if len(branches) != 2:
        raise TypeError("np.where on a Tensor takes (condition, x, y); for the indices alone use np.nonzero(x.value)")
    return where(condition, *branches)


@primitive(linear="elementwise")
def clip(x, low, high):
    """Limit x to the interval from low to high. The gradient passes inside the interval and at its ends."""
    return np.clip(x, low, high)


clip.vjp(
    x=lambda g, x, low, high: where((x >= low) & (x <= high), g, np.zeros((), g.dtype)),
    low=lambda g, x, low, high: where((x < low) & (low <= high), g, np.zeros((), g.dtype)),
    high=lambda g, x, high: where(x > high, g, np.zeros((), g.dtype)),
)


@implements(np.clip)
def _np_clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """Limit to an interval; a bound may be left out, as in NumPy."""
    low = a_min if a_min is not None else min
    high = a_max if a_max is not None else max
    return clip(a, -np.inf if low is None else low, np.inf if high is None else high)


def _clip_method(self: Tensor, min: Any = None, max: Any = None) -> Any:
    return _np_clip(self, min, max)


Tensor.clip = _clip_method  # type: ignore[attr-defined]


# --- parts of complex numbers -----------------------------------------------------------------------------------------


@primitive(np.real, linear="jointly")
def real(x):
    """Real part."""
    return np.real(x)


@primitive(np.imag, linear="jointly")
def imag(x):
    """Imaginary part."""
    return np.imag(x)


# With a real loss L and z = a + ib, the gradient is dL/da - i dL/db, as in autograd: then rules of holomorphic
# functions need no conjugates.
real.vjp(x=lambda g: g)
imag.vjp(x=lambda g: g * -1j)
Tensor.real = property(lambda self: real(self))  # type: ignore[attr-defined]
Tensor.imag = property(lambda self: imag(self))  # type: ignore[attr-defined]

# --- identity with a meaning ----------------------------------------------------------------------------------------


@primitive(differentiable=False)
def stop_gradient(x):
    """Return x; no gradient flows through it.

    >>> import numpy as np, minigrad as mg
    >>> mg.grad(lambda x: x * mg.stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    return x


@primitive(linear="jointly")
def astype(x, *, dtype):
    """Convert to another dtype. The gradient is converted back; to an integer or boolean dtype there is none."""
    return x.astype(dtype)


astype.vjp(x=lambda g: g)  # the walk gives each cotangent the dtype of its argument


@primitive(differentiable=False)
def astype_discrete(x, *, dtype):
    """Convert to an integer or boolean dtype, through which no gradient flows."""
    return x.astype(dtype)


def _astype_method(self: Tensor, dtype: Any, **options: Any) -> Any:
    dtype = np.dtype(dtype)
    return (astype if dtype.kind in "fc" else astype_discrete)(self, dtype=dtype)


Tensor.astype = _astype_method  # type: ignore[attr-defined]


@implements(np.copy)
def _np_copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    return positive(a) if a.dtype.kind != "b" else logical_or(a, a)


Tensor.copy = _np_copy  # type: ignore[attr-defined]


# --- relu -----------------------------------------------------------------------------------------------------------


@primitive(kind="activation", linear="elementwise")
def relu(x):
    """Rectified linear unit, elementwise: ``max(x, 0)``.

    The derivative at 0 is 0, as in the course's backward pass (``np.maximum(0, x)`` shares it: 1/2).

    >>> import numpy as np, minigrad as mg
    >>> mg.relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return np.maximum(x, 0)


relu.vjp(x=lambda g, out: g * (out > 0))
relu.reference = lambda x: np.where(x > 0, x, 0)
