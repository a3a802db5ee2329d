"""Elementwise ops: arithmetic, comparison, exponentials, trigonometry, choosing.

Most are a NumPy ufunc and one short rule per argument. Broadcasting is undone after the rule, in one place, so a rule
is written as if all arguments had the shape of the result.

Conventions at awkward points:

- Ties share: each of two equal arguments of ``maximum`` gets half. ``abs``, ``hypot`` and ``arctan2`` have gradient 0
  at the origin.
- A cotangent that is exactly 0 stays 0 where a slope is infinite or undefined (``sqrt`` and ``log`` at 0 and below, a
  quotient at a denominator of 0, ``arcsin`` at 1, ...), so ``np.where(x > 0, np.sqrt(x), 0)`` has gradient 0 at 0, not
  nan. The element is taken to be unused, so its derivatives of every order are 0. Where the cotangent is not 0 the
  gradient is what the formula says: infinite, with NumPy's warning.
- ``logaddexp`` of -inf and -inf has gradient 0: both terms are flat there. Of +inf and +inf it is shared.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.numpy_protocol import FUNCTIONS, UFUNCS, implements, refuse
from ..core.primitive import primitive
from ..core.tensor import Tensor, value_of
from ..core.tree import map_leaves
from .define import ufunc

__all__ = ["angle", "stop_gradient"]

# --- products and quotients with a cotangent that may be 0 ----------------------------------------------------------

SMALL = 1000  # below this size it is cheaper to count the zeros of a cotangent than to look at the result


def _zero_where_unused(g: Any, combine: Any, other: Any) -> Any:
    """Return ``combine(g, other)``, and 0 where g is 0 whatever `other` is there."""
    if np.size(g) < SMALL and np.count_nonzero(g) == np.size(g):
        return combine(g, other)
    with np.errstate(invalid="ignore"):
        out = combine(g, other)
        lowest = np.min(out, initial=0)
    if lowest == lowest:  # nan is the lowest, so there is none: 0 / 0 and 0 * inf did not occur
        return out
    return np.where(np.equal(g, 0), np.zeros((), out.dtype), out)


@primitive(linear="elementwise")
def zero_safe_divide(g, d):
    """Quotient ``g / d``, and 0 where g is 0 (also over a d of 0 or nan)."""
    return _zero_where_unused(g, np.divide, d)


@primitive(linear="elementwise")
def zero_safe_multiply(g, s):
    """Product ``g * s``, and 0 where g is 0 (also with an s of inf or nan)."""
    return _zero_where_unused(g, np.multiply, s)


@primitive(linear="jointly")
def keep_used(c, g, s):
    """c, and 0 where an element is unused: where g is 0 and the slope s, or ``1 / s``, is not finite."""
    unused = np.equal(g, 0) & (np.equal(s, 0) | ~np.isfinite(s))
    return np.where(unused, np.zeros((), np.result_type(c)), c)


keep_used.vjp(c=lambda k, g, s: keep_used(k, g, s), g=None, s=None)
zero_safe_divide.vjp(
    g=lambda c, g, d: zero_safe_divide(keep_used(c, g, d), d),
    d=lambda c, d, out: zero_safe_multiply(zero_safe_divide(-out, d), c),
)
zero_safe_multiply.vjp(
    g=lambda c, g, s: zero_safe_multiply(keep_used(c, g, s), s),
    s=lambda c, g: zero_safe_multiply(g, c),
)


def _over(g: Any, y: Any) -> Any:
    """Return ``g / y``: a number that is not 0 needs no care."""
    return g / y if isinstance(y, (int, float, complex)) and y else zero_safe_divide(g, y)


def _direction(x: Any) -> Any:
    """Derivative of the absolute value: the sign of a real x; of a complex one ``conj(x) / |x|``. At 0 it is 0."""
    return np.conjugate(np.sign(x)) if x.dtype.kind == "c" else np.sign(x)


# --- arithmetic -----------------------------------------------------------------------------------------------------

add = ufunc(np.add, "add", x=lambda g: g, y=lambda g: g)
subtract = ufunc(np.subtract, "sub", x=lambda g: g, y=lambda g: -g)
multiply = ufunc(np.multiply, "mul", x=lambda g, y: g * y, y=lambda g, x: g * x)
divide = ufunc(
    np.divide,
    "truediv",
    x=lambda g, y: _over(g, y),
    y=lambda g, y, out: zero_safe_multiply(zero_safe_divide(-g, y), out),
)
negative = ufunc(np.negative, "neg", x=lambda g: -g)
positive = ufunc(np.positive, "pos", x=lambda g: g)
reciprocal = ufunc(np.reciprocal, x=lambda g, out: zero_safe_multiply(zero_safe_multiply(-g, out), out))
square = ufunc(np.square, x=lambda g, x: g * (x + x))
sqrt = ufunc(np.sqrt, x=lambda g, out: zero_safe_divide(g, out + out))
cbrt = ufunc(np.cbrt, x=lambda g, out: zero_safe_divide(g, 3.0 * out * out))
conjugate = ufunc(np.conjugate, x=lambda g: np.conjugate(g))
absolute = ufunc(np.absolute, "abs", x=lambda g, x: g * _direction(x))
fabs = ufunc(np.fabs, x=lambda g, x: g * np.sign(x))
remainder = ufunc(np.remainder, "mod", x=lambda g: g, y=lambda g, x, y: -g * np.floor_divide(x, y))
fmod = ufunc(np.fmod, x=lambda g: g, y=lambda g, x, y: -g * np.trunc(x / y))
divmod = ufunc(
    np.divmod, "divmod", linear="", x=lambda g: g[1], y=lambda g, x, y: -g[1] * np.floor_divide(x, y)
)  # of the whole quotient and the remainder only the second has a slope
modf = ufunc(np.modf, linear="", x=lambda g: g[0])  # the fraction, and the whole part, which is constant piece by piece
frexp = ufunc(np.frexp, linear="", x=lambda g, second: np.ldexp(g[0], -second))
ldexp = ufunc(np.ldexp, x=lambda g, y: np.ldexp(g, y), y=None)
copysign = ufunc(np.copysign, x=lambda g, x, y: np.sign(x) * np.where(np.signbit(y), -g, g), y=None)
heaviside = ufunc(np.heaviside, x=None, y=lambda g, x: where(np.equal(x, 0), g, np.zeros((), g.dtype)))
nextafter = ufunc(np.nextafter, x=lambda g: g, y=None)
hypot = ufunc(
    np.hypot,
    x=lambda g, x, out: g * zero_safe_divide(x, out),
    y=lambda g, y, out: g * zero_safe_divide(y, out),
)


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
    if not isinstance(y, (int, float)):
        return zero_safe_multiply(g, power_slope(x, y))
    if y == 2:  # the usual case is a constant exponent
        return g * (x + x)
    if y in (0, 1):
        return g * float(y)
    if y < 1:  # the slope is infinite at 0
        return zero_safe_divide(g * y, x ** (1 - y))
    return g * (y * x ** (y - 1)) if y == int(y) else zero_safe_multiply(g, y * x ** (y - 1))


def _power_log_rule(g: Any, x: Any, y: Any) -> Any:
    return zero_safe_multiply(g, power_log(x, y))


power = ufunc(np.power, "pow", x=_power_rule, y=_power_log_rule)
float_power = ufunc(np.float_power, x=_power_rule, y=_power_log_rule)


def _log_or_0(x: Any) -> Any:
    """Logarithm, and 0 at 0: beside a power of x that is 0 there too."""
    return np.log(np.where(np.equal(x, 0), 1, x))


power_slope.vjp(
    # At x = y = 0 the slope is 0 in x, whatever the order; elsewhere it is the slope of the next lower power.
    x=lambda g, x, y: zero_safe_multiply(g, y * power_slope(x, np.where(np.equal(x, 0) & np.equal(y, 0), 1, y - 1))),
    y=lambda g, x, y: zero_safe_multiply(g, x ** (y - 1) + y * power_log(x, y - 1)),
)
power_log.vjp(
    x=lambda g, x, y: zero_safe_multiply(g, power_slope(x, y) * _log_or_0(x) + x ** (y - 1)),
    y=lambda g, x, y: zero_safe_multiply(g, power_log(x, y) * _log_or_0(x)),
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


@primitive(linear="jointly")
def where_number_greater(g, x, y):
    """`where_greater` for ``np.fmax``: a number wins over NaN."""
    return _share(g, np.greater(x, y) | (np.isnan(y) & ~np.isnan(x)), x, y)


@primitive(linear="jointly")
def where_number_less(g, x, y):
    """`where_less` for ``np.fmin``: a number wins over NaN."""
    return _share(g, np.less(x, y) | (np.isnan(y) & ~np.isnan(x)), x, y)


where_greater.vjp(g=lambda c, x, y: where_greater(c, x, y), x=None, y=None)
where_less.vjp(g=lambda c, x, y: where_less(c, x, y), x=None, y=None)
where_number_greater.vjp(g=lambda c, x, y: where_number_greater(c, x, y), x=None, y=None)
where_number_less.vjp(g=lambda c, x, y: where_number_less(c, x, y), x=None, y=None)

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
fmax = ufunc(
    np.fmax,
    x=lambda g, x, y: where_number_greater(g, x, y),
    y=lambda g, x, y: where_number_greater(g, y, x),
)
fmin = ufunc(
    np.fmin,
    x=lambda g, x, y: where_number_less(g, x, y),
    y=lambda g, x, y: where_number_less(g, y, x),
)

# --- exponentials and trigonometry ----------------------------------------------------------------------------------

LOG_2, LOG_10 = math.log(2), math.log(10)  # Python numbers: they leave float32 as it is

exp = ufunc(np.exp, x=lambda g, out: g * out)
exp2 = ufunc(np.exp2, x=lambda g, out: g * out * LOG_2)
expm1 = ufunc(np.expm1, x=lambda g, out: g * out + g)
log = ufunc(np.log, x=lambda g, x: zero_safe_divide(g, x))
log2 = ufunc(np.log2, x=lambda g, x: zero_safe_divide(g, x * LOG_2))
log10 = ufunc(np.log10, x=lambda g, x: zero_safe_divide(g, x * LOG_10))
log1p = ufunc(np.log1p, x=lambda g, x: zero_safe_divide(g, x + 1))


@primitive(linear="elementwise")
def logaddexp_share(x, y):
    """Derivative of ``logaddexp(x, y)`` with respect to x: ``exp(x) / (exp(x) + exp(y))``.

    0 where both are -inf, a half where both are +inf.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        share = 1 / (1 + np.exp(np.subtract(y, x)))
    if not np.isnan(share).any():
        return share
    return np.where(np.isinf(x) & np.equal(x, y), np.greater(x, 0) * share.dtype.type(0.5), share)


logaddexp_share.vjp(
    x=lambda g, x, y, out: g * out * logaddexp_share(y, x),
    y=lambda g, x, y, out: -g * out * logaddexp_share(y, x),
)
logaddexp = ufunc(
    np.logaddexp,
    x=lambda g, x, y: g * logaddexp_share(x, y),
    y=lambda g, x, y: g * logaddexp_share(y, x),
)
logaddexp2 = ufunc(
    np.logaddexp2,
    x=lambda g, x, y: g * logaddexp_share(x * LOG_2, y * LOG_2),
    y=lambda g, x, y: g * logaddexp_share(y * LOG_2, x * LOG_2),
)
sin = ufunc(np.sin, x=lambda g, x: g * np.cos(x))
cos = ufunc(np.cos, x=lambda g, x: -g * np.sin(x))
tan = ufunc(np.tan, x=lambda g, out: g + g * out * out)
arcsin = ufunc(np.arcsin, x=lambda g, x: zero_safe_divide(g, np.sqrt(1 - x * x)))
arccos = ufunc(np.arccos, x=lambda g, x: zero_safe_divide(-g, np.sqrt(1 - x * x)))
arctan = ufunc(np.arctan, x=lambda g, x: g / (1 + x * x))
sinh = ufunc(np.sinh, x=lambda g, x: g * np.cosh(x))
cosh = ufunc(np.cosh, x=lambda g, x: g * np.sinh(x))
# g - g * out * out, not g * (1 - out * out): an array operation with a Python number costs twice one between arrays.
tanh = ufunc(np.tanh, kind="activation", x=lambda g, out: g - g * out * out)
arcsinh = ufunc(np.arcsinh, x=lambda g, x: g / np.sqrt(x * x + 1))
arccosh = ufunc(np.arccosh, x=lambda g, x: zero_safe_divide(zero_safe_divide(g, np.sqrt(x - 1)), np.sqrt(x + 1)))
arctanh = ufunc(np.arctanh, x=lambda g, x: zero_safe_divide(g, 1 - x * x))
# Divided twice by the radius, not once by its square, which would overflow early in float16 and float32.
arctan2 = ufunc(
    np.arctan2,
    x=lambda g, x, y: g * _over_square_radius(y, np.hypot(x, y)),
    y=lambda g, x, y: -g * _over_square_radius(x, np.hypot(x, y)),
)


def _over_square_radius(x: Any, radius: Any) -> Any:
    return zero_safe_divide(zero_safe_divide(x, radius), radius)


DEGREE = math.pi / 180
deg2rad, radians = (ufunc(f, linear="jointly", x=lambda g: g * DEGREE) for f in (np.deg2rad, np.radians))
rad2deg, degrees = (ufunc(f, linear="jointly", x=lambda g: g / DEGREE) for f in (np.rad2deg, np.degrees))


@primitive(np.sinc, linear="elementwise")
def sinc(x):
    """Normalised sinc: ``sin(pi * x) / (pi * x)``, and 1 at 0."""
    return np.sinc(x)


@primitive(linear="elementwise")
def sinc_slope(x, *, order):
    """Derivative of ``sinc`` of some order, at 0 too.

    Of ``f(u) = sin(u) / u`` with ``u = pi * x``: near 0 by its power series, elsewhere by the recurrence
    ``f_n = (sin(u + n * pi / 2) - n * f_(n-1)) / u``.
    """
    u = np.pi * np.asarray(x, np.result_type(x, np.float64))
    near = np.abs(u) < order + 1
    small, large = np.where(near, u, 0), np.where(near, 1, u)
    series = np.zeros_like(small)
    for k in range((order + 1) // 2, order + 15):
        series = series + (-1) ** k * small ** (2 * k - order) / ((2 * k + 1) * math.factorial(2 * k - order))
    recurrence = np.sin(large) / large
    for n in range(1, order + 1):
        recurrence = (np.sin(large + n * np.pi / 2) - n * recurrence) / large
    return (np.pi**order * np.where(near, series, recurrence)).astype(x.dtype)


sinc.vjp(x=lambda g, x: g * sinc_slope(x, order=1))
sinc_slope.vjp(x=lambda g, x, order: g * sinc_slope(x, order=order + 1))


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
bitwise_count = ufunc(np.bitwise_count, differentiable=False)
left_shift = ufunc(np.left_shift, "lshift", differentiable=False)
right_shift = ufunc(np.right_shift, "rshift", differentiable=False)
gcd = ufunc(np.gcd, differentiable=False)
lcm = ufunc(np.lcm, differentiable=False)
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
spacing = ufunc(np.spacing, differentiable=False)
UFUNCS[np.isnat] = lambda x: np.isnat(value_of(x))  # Tensors hold no times: NumPy's own TypeError


def _np_sign(x: Any) -> Any:
    """Sign of real numbers, a constant piece by piece; of complex ones ``x / |x|``, which is not, and 0 at 0."""
    return sign(x) if np.result_type(x).kind != "c" else zero_safe_divide(x, np.absolute(x))


UFUNCS[np.sign] = _np_sign


@primitive(np.round, np.around, differentiable=False)
def round(x, *, decimals=0):
    """Round to a number of decimals."""
    return np.round(x, decimals)


def _np_fix(x: Any, out: Any = None) -> Any:
    """Round towards 0."""
    if out is not None:
        raise refuse("np.fix", "out")
    return np.trunc(x)


if hasattr(np, "fix"):  # deprecated since NumPy 2.5
    implements(np.fix)(_np_fix)


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


def _np_clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """Limit to an interval; a bound may be left out, as in NumPy."""
    if out is not None:
        raise refuse("np.clip", "out")
    low = a_min if a_min is not None else min
    high = a_max if a_max is not None else max
    return clip(a, -np.inf if low is None else low, np.inf if high is None else high)


def _clip_method(self: Tensor, min: Any = None, max: Any = None, out: Any = None) -> Any:
    return _np_clip(self, min, max, out)


FUNCTIONS[np.clip] = _np_clip
Tensor.clip = _clip_method  # type: ignore[attr-defined]


@primitive(np.nan_to_num)
def nan_to_num(x, *, nan=0.0, posinf=None, neginf=None):
    """Replace nan and infinities by numbers. No gradient flows to what was replaced."""
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


def _nan_to_num_rule(g: Any, x: Any) -> Any:
    if x.dtype.kind != "c":
        return where(np.isfinite(x), g, np.zeros((), g.dtype))
    return _nan_to_num_rule(np.real(g), np.real(x)) + _nan_to_num_rule(np.imag(g), np.imag(x)) * 1j


nan_to_num.vjp(x=_nan_to_num_rule)


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
Tensor.conj = Tensor.conjugate = lambda self: conjugate(self)  # type: ignore[attr-defined]


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """Angle of complex numbers in the plane, from -pi to pi. At 0 the gradient is 0."""
    turned = np.arctan2(np.imag(z), np.real(z)) if np.result_type(z).kind == "c" else np.arctan2(0.0, z)
    return np.rad2deg(turned) if deg else turned


# --- identity with a meaning ----------------------------------------------------------------------------------------


@primitive(differentiable=False)
def stopped(x):
    """Return x; no gradient flows through it."""
    return x


def stop_gradient(x: Any) -> Any:
    """Return x, an array or a container of arrays; no gradient flows through it.

    >>> import numpy as np, minigrad as mg
    >>> mg.grad(lambda x: x * mg.stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    return map_leaves(stopped, x)


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
