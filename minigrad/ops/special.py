"""Special functions: softmax and its kin, and those of ``scipy.special`` where SciPy is installed.

SciPy's ufuncs reach these ops when they are given a Tensor (``scipy.special.erf(x)``), and ``mg.ops.erf(x)`` calls
them. SciPy is imported by the first call, never by minigrad itself: the rules are kept by the ufunc's name until then.
``scipy.special.softmax``, ``log_softmax``, ``logsumexp`` and ``polygamma`` are Python functions that no protocol
reaches; ``mg.ops`` has its own.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import DTypeError, SciPyNotFound
from ..core.numpy_protocol import UFUNC_FINDERS, UFUNCS
from ..core.primitive import Primitive, primitive
from .elementwise import cbrt, exp2, expm1, log1p, zero_safe_divide, zero_safe_multiply
from .reduce import unreduce

__all__ = ["digamma"]

# --- softmax, its logarithm, and the logarithm of its sum ------------------------------------------------------------


def _below_the_largest(x: Any, axis: Any) -> tuple[Any, Any, Any]:
    """Return ``x - m``, the sum of its exponentials, and the largest element m.

    Where m is +inf, those that tie with it are 0 and the others -inf; where it is -inf, all are -inf and the sum is 0.
    """
    if np.result_type(x).kind == "c":
        raise DTypeError(
            "softmax and logsumexp take real numbers, and complex ones came; use np.log(np.sum(np.exp(x)))"
        )
    m = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        shifted = x - m
    if np.isinf(m).any():
        shifted = np.where(np.isinf(m), np.where(np.equal(x, m) & (m > 0), shifted.dtype.type(0), -np.inf), shifted)
    return shifted, np.sum(np.exp(shifted), axis=axis, keepdims=True), m


@primitive
def logsumexp(x, *, axis=None, keepdims=False):
    """Logarithm of the sum of exponentials over axes, without overflow. It is -inf where all elements are.

    The gradient is the softmax: 0 where all elements are -inf, shared among those that are +inf.

    >>> import numpy as np, minigrad as mg
    >>> mg.ops.logsumexp(np.array([1000.0, 1000.0]))
    np.float64(1000.6931471805599)
    """
    _, total, m = _below_the_largest(x, axis)
    with np.errstate(divide="ignore"):
        out = np.where(np.isinf(m), m, np.log(total) + m)
    return out[()] if keepdims else np.squeeze(out, axis=axis)[()]


logsumexp.vjp(x=lambda g, x, x_shape, axis, keepdims: unreduce(g, x_shape, axis, keepdims) * softmax(x, axis=axis))


@primitive(kind="activation")
def softmax(x, *, axis=-1):
    """``exp(x) / sum(exp(x))`` over the last axis or those given, without overflow.

    Where all elements are -inf (everything is masked) it is 0; elements of +inf share 1.

    >>> import numpy as np, minigrad as mg
    >>> mg.ops.softmax(np.array([[0.0, np.log(3.0)], [0.0, -np.inf]]), axis=1)
    array([[0.25, 0.75],
           [1.  , 0.  ]])
    """
    shifted, total, _ = _below_the_largest(x, axis)
    return np.exp(shifted) / np.where(total == 0, total.dtype.type(1), total)


softmax.vjp(x=lambda g, out, axis: out * (g - np.sum(g * out, axis=axis, keepdims=True)))


@primitive(kind="activation")
def log_softmax(x, *, axis=-1):
    """Logarithm of the softmax over the last axis or those given, without overflow. It is -inf where all are.

    >>> import numpy as np, minigrad as mg
    >>> mg.ops.log_softmax(np.array([0.0, 1000.0]))
    array([-1000.,     0.])
    """
    shifted, total, _ = _below_the_largest(x, axis)
    return shifted - np.log(np.where(total == 0, total.dtype.type(1), total))


log_softmax.vjp(x=lambda g, out, axis: g - np.exp(out) * np.sum(g, axis=axis, keepdims=True))

# --- SciPy's ufuncs ---------------------------------------------------------------------------------------------------


@functools.cache
def _scipy(name: str) -> Any:
    """Return a function of ``scipy.special``."""
    try:
        import scipy.special
    except ImportError as error:
        raise SciPyNotFound(
            f"mg.ops.{name} computes with scipy.special.{name}, and SciPy is not installed: pip install scipy"
        ) from error
    return getattr(scipy.special, name)


_BY_NAME: dict[str, Callable[..., Any]] = {op.name: op for op in (cbrt, exp2, expm1, log1p)}
"""Name of a ufunc of ``scipy.special`` -> its op."""


def _special(name: str, arrays: str, /, **rules: Callable[..., Any] | None) -> Primitive:
    """Make the op of a ufunc of ``scipy.special``: its arguments' names, and the rules of those that have one."""

    def forward(*args: Any) -> Any:
        return _scipy(name)(*args)

    forward.__doc__ = f"``scipy.special.{name}({arrays.replace(' ', ', ')})``, elementwise."
    op = Primitive(forward, name=name, args=tuple(arrays.split()), linear="elementwise")
    op.vjp(**rules)
    _BY_NAME[name] = op.bind
    return op


def _find(ufunc: np.ufunc) -> Callable[..., Any] | None:
    """Return the op of a ufunc if it is one of ``scipy.special``'s, and let NumPy's protocol know it from now on."""
    homes = (sys.modules.get(name) for name in ("scipy.special", "scipy.special._ufuncs"))
    op = _BY_NAME.get(ufunc.__name__)
    if op is None or not any(getattr(home, ufunc.__name__, None) is ufunc for home in homes):
        return None
    UFUNCS[ufunc] = op
    return op


UFUNC_FINDERS.append(_find)

ROOT_PI, ROOT_2_PI = math.sqrt(math.pi), math.sqrt(2 * math.pi)

# Error functions and the normal distribution.
erf = _special("erf", "x", x=lambda g, x: g * (2 / ROOT_PI) * np.exp(-x * x))
erfc = _special("erfc", "x", x=lambda g, x: g * (-2 / ROOT_PI) * np.exp(-x * x))
erfcx = _special("erfcx", "x", x=lambda g, x, out: g * (2.0 * x * out - 2 / ROOT_PI))
erfi = _special("erfi", "x", x=lambda g, x: g * (2 / ROOT_PI) * np.exp(x * x))
erfinv = _special("erfinv", "x", x=lambda g, out: zero_safe_multiply(g, (ROOT_PI / 2) * np.exp(out * out)))
erfcinv = _special("erfcinv", "x", x=lambda g, out: zero_safe_multiply(g, (-ROOT_PI / 2) * np.exp(out * out)))
dawsn = _special("dawsn", "x", x=lambda g, x, out: g * (1 - 2.0 * x * out))
ndtr = _special("ndtr", "x", x=lambda g, x: g * (1 / ROOT_2_PI) * np.exp(-0.5 * x * x))
log_ndtr = _special("log_ndtr", "x", x=lambda g, x, out: g * (1 / ROOT_2_PI) * np.exp(-0.5 * x * x - out))
ndtri = _special("ndtri", "x", x=lambda g, out: zero_safe_multiply(g, ROOT_2_PI * np.exp(0.5 * out * out)))

# The logistic function.
expit = _special("expit", "x", x=lambda g, out: g * (out - out * out))
logit = _special("logit", "x", x=lambda g, x: zero_safe_divide(g, x - x * x))
log_expit = _special("log_expit", "x", x=lambda g, x: g * expit(-x))


# The gamma function and its kin.
@primitive(linear="elementwise")
def polygamma(x, *, n):
    """Polygamma function: the derivative of order n of the digamma function."""
    return _scipy("polygamma")(n, x).astype(np.result_type(x, np.float32))


polygamma.vjp(x=lambda g, x, n: g * polygamma(x, n=n + 1))
psi = digamma = _special("psi", "x", x=lambda g, x: g * polygamma(x, n=1))
gamma = _special("gamma", "x", x=lambda g, x, out: g * out * psi(x))
rgamma = _special("rgamma", "x", x=lambda g, x, out: g * -out * psi(x))
gammaln = _special("gammaln", "x", x=lambda g, x: g * psi(x))
loggamma = _special("loggamma", "x", x=lambda g, x: g * psi(x))
beta = _special(
    "beta",
    "a b",
    a=lambda g, a, b, out: g * out * (psi(a) - psi(a + b)),
    b=lambda g, a, b, out: g * out * (psi(b) - psi(a + b)),
)
betaln = _special(
    "betaln",
    "a b",
    a=lambda g, a, b: g * (psi(a) - psi(a + b)),
    b=lambda g, a, b: g * (psi(b) - psi(a + b)),
)
poch = _special(
    "poch",
    "z m",
    z=lambda g, z, m, out: g * out * (psi(z + m) - psi(z)),
    m=lambda g, z, m, out: g * out * psi(z + m),
)
gammainc = _special("gammainc", "a x", x=lambda g, a, x: g * _gamma_density(a, x))
gammaincc = _special("gammaincc", "a x", x=lambda g, a, x: -g * _gamma_density(a, x))
betainc = _special("betainc", "a b x", x=lambda g, a, b, x: g * _beta_density(a, b, x))


def _gamma_density(a: Any, x: Any) -> Any:
    return np.exp(zero_safe_multiply(a - 1, np.log(x)) - x - _weak(gammaln(a), a))


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    powers = zero_safe_multiply(a - 1, np.log(x)) + zero_safe_multiply(b - 1, np.log1p(-x))
    return np.exp(powers - _weak(betaln(a, b), a, b))


def _weak(value: Any, *parameters: Any) -> Any:
    """Make a function of Python numbers one itself, so that it leaves float32 as it is."""
    return float(value) if all(isinstance(x, (int, float)) for x in parameters) else value


# Entropies. Where x is 0, so is the slope in y.
xlogy = _special("xlogy", "x y", x=lambda g, y: g * np.log(y), y=lambda g, x, y: zero_safe_divide(g * x, y))
xlog1py = _special("xlog1py", "x y", x=lambda g, y: g * np.log1p(y), y=lambda g, x, y: zero_safe_divide(g * x, y + 1))
entr = _special("entr", "x", x=lambda g, x: zero_safe_multiply(-g, np.log(x) + 1))
rel_entr = _special(
    "rel_entr",
    "x y",
    x=lambda g, x, y: zero_safe_multiply(g, np.log(x / y) + 1),
    y=lambda g, x, y: zero_safe_divide(-g * x, y),
)
kl_div = _special(
    "kl_div",
    "x y",
    x=lambda g, x, y: zero_safe_multiply(g, np.log(x / y)),
    y=lambda g, x, y: g - zero_safe_divide(g * x, y),
)

# Exponential integrals, hypergeometric functions. exp10 and exprel with them.
exp10 = _special("exp10", "x", x=lambda g, out: g * out * math.log(10))
expi = _special("expi", "x", x=lambda g, x: zero_safe_divide(g * np.exp(x), x))
exp1 = _special("exp1", "x", x=lambda g, x: zero_safe_divide(-g * np.exp(-x), x))
hyp0f1 = _special("hyp0f1", "v x", x=lambda g, v, x: g * hyp0f1(v + 1.0, x) / v)
hyp1f1 = _special("hyp1f1", "a b x", x=lambda g, a, b, x: g * (a / b) * hyp1f1(a + 1.0, b + 1.0, x))
hyp2f1 = _special("hyp2f1", "a b c x", x=lambda g, a, b, c, x: g * (a * b / c) * hyp2f1(a + 1.0, b + 1.0, c + 1.0, x))
exprel = _special("exprel", "x", x=lambda g, x: g * 0.5 * hyp1f1(2.0, 3.0, x))  # exprel(x) is hyp1f1(1, 2, x)
zeta = _special("zeta", "x q", q=lambda g, x, q: g * -x * zeta(x + 1.0, q))
_BY_NAME["_zeta"] = zeta.bind  # scipy.special.zeta is a Python function around this ufunc

# Bessel functions: the slopes in x of those of order v are made of the orders v - 1 and v + 1. None in the order.
jv = _special("jv", "v x", x=lambda g, v, x: g * 0.5 * (jv(v - 1.0, x) - jv(v + 1.0, x)))
yv = _special("yv", "v x", x=lambda g, v, x: g * 0.5 * (yv(v - 1.0, x) - yv(v + 1.0, x)))
iv = _special("iv", "v x", x=lambda g, v, x: g * 0.5 * (iv(v - 1.0, x) + iv(v + 1.0, x)))
kv = _special("kv", "v x", x=lambda g, v, x: g * -0.5 * (kv(v - 1.0, x) + kv(v + 1.0, x)))
ive = _special(
    "ive", "v x", x=lambda g, v, x, out: g * (0.5 * (ive(v - 1.0, x) + ive(v + 1.0, x)) - np.sign(np.real(x)) * out)
)
kve = _special("kve", "v x", x=lambda g, v, x, out: g * (out - 0.5 * (kve(v - 1.0, x) + kve(v + 1.0, x))))
yn = _special("yn", "n x", n=None, x=lambda g, n, x: g * 0.5 * (yn(n - 1, x) - yn(n + 1, x)))
kn = _special("kn", "n x", n=None, x=lambda g, n, x: g * -0.5 * (kv(n - 1.0, x) + kv(n + 1.0, x)))
j0 = _special("j0", "x", x=lambda g, x: -g * j1(x))
j1 = _special("j1", "x", x=lambda g, x: g * 0.5 * (j0(x) - jv(2.0, x)))
y0 = _special("y0", "x", x=lambda g, x: -g * y1(x))
y1 = _special("y1", "x", x=lambda g, x: g * 0.5 * (y0(x) - yv(2.0, x)))
i1 = _special("i1", "x", x=lambda g, x: g * 0.5 * (i0(x) + iv(2.0, x)))
i0e = _special("i0e", "x", x=lambda g, x, out: g * (i1e(x) - np.sign(x) * out))
i1e = _special("i1e", "x", x=lambda g, x, out: g * (0.5 * (i0e(x) + ive(2.0, x)) - np.sign(x) * out))
k0 = _special("k0", "x", x=lambda g, x: -g * k1(x))
k1 = _special("k1", "x", x=lambda g, x: g * -0.5 * (k0(x) + kv(2.0, x)))
k0e = _special("k0e", "x", x=lambda g, x, out: g * (out - k1e(x)))
k1e = _special("k1e", "x", x=lambda g, x, out: g * (out - 0.5 * (k0e(x) + kve(2.0, x))))


@primitive(np.i0, linear="elementwise")
def i0(x):
    """Modified Bessel function of order 0, elementwise. NumPy has it; its derivative, ``i1``, needs SciPy."""
    return np.i0(x)


i0.vjp(x=lambda g, x: g * i1(x))
_BY_NAME["i0"] = i0.bind

# Losses that are quadratic near 0 and linear far from it.
huber = _special(
    "huber",
    "delta r",
    delta=lambda g, delta, r: g * np.maximum(np.abs(r) - delta, 0),
    r=lambda g, delta, r: g * np.clip(r, -delta, delta),
)


def _pseudo_huber_root(delta: Any, r: Any) -> Any:
    return np.sqrt(1 + (r / delta) ** 2)


pseudo_huber = _special(
    "pseudo_huber",
    "delta r",
    delta=lambda g, delta, r: g * _pseudo_huber_delta(delta, r, _pseudo_huber_root(delta, r)),
    r=lambda g, delta, r: g * r / _pseudo_huber_root(delta, r),
)


def _pseudo_huber_delta(delta: Any, r: Any, root: Any) -> Any:
    return 2.0 * delta * (root - 1) - r * r / (delta * root)
