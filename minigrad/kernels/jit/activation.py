"""Activation functions in one pass over memory each, shared between threads where the arrays are large.

The lower tail of the normal distribution is ``erfc(y) / 2`` with ``y = |x| / sqrt(2)``. Of it
``(1 + 2 y) exp(y^2) erfc(y)`` lies between 1 and 1.2 on the whole half line, and is a smooth function of
``t = (y - k) / (y + k)``, which maps the half line to [-1, 1]: one polynomial in t serves everywhere, without a branch.
(M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36, 1981, 249-253.) The coefficients are those of the
Chebyshev series of that function, computed with 60 digits, cut where the rest is less than half a unit in the last
place, and sorted by powers of t. Errors are a few units in the last place; in the far tail the rounding of ``y^2``
adds some ``y^2`` of them, in NumPy's kernel too.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import overload

from ..activation import GELU_CUBIC, GELU_SCALE, ROOT_2_PI, ROOT_HALF, SATURATED
from .define import EXACT, _artanh, exp, expm1, parallel, part
from .define import sigmoid as logistic

LEAST = 500  # fewer elements are done sooner by NumPy
PIECE = 8192
ALONE = 32768  # so many elements are done sooner than a second thread has started
REALS = (np.dtype(np.float32), np.dtype(np.float64))


def leaky_relu_backward(g: Any, out: Any, slope: float) -> Any:
    return _mapped(_leaky_relu_backward_all, g, out, numbers=(slope,))


def elu(x: Any, scale: float, alpha: float) -> Any:
    return _mapped(_elu_all, x, numbers=(scale, alpha))


def elu_backward(g: Any, out: Any, scale: float, alpha: float) -> Any:
    return _mapped(_elu_backward_all, g, out, numbers=(scale, alpha))


def sigmoid(x: Any) -> Any:
    return _mapped(_sigmoid_all, x)


def softplus(x: Any) -> Any:
    return _mapped(_softplus_all, x)


def silu(x: Any) -> Any:
    return _mapped(_silu_all, x)


def silu_backward(g: Any, x: Any) -> Any:
    return _mapped(_silu_backward_all, g, x)


def normal_cdf(x: Any) -> Any:
    return _mapped(_normal_cdf_all, x)


def gelu(x: Any, *, approximate: str) -> Any:
    return _mapped(_gelu_all if approximate == "none" else _gelu_tanh_all, x, results=2)


def gelu_backward(g: Any, x: Any, share: Any, *, approximate: str) -> Any:
    return _mapped(_gelu_backward_all if approximate == "none" else _gelu_tanh_backward_all, g, x, share)


def _mapped(loop: Any, *arrays: Any, numbers: tuple[float, ...] = (), results: int = 1) -> Any:
    """Run a loop over arrays of one shape and dtype, then results, then numbers. Return the results."""
    first = arrays[0]
    if not all(isinstance(array, np.ndarray) for array in arrays) or first.size < LEAST or first.dtype not in REALS:
        return NotImplemented
    if any(array.shape != first.shape or array.dtype != first.dtype for array in arrays[1:]):
        return NotImplemented
    found = [np.empty(first.shape, first.dtype) for _ in range(results)]
    vectors = [np.ascontiguousarray(array).reshape(-1) for array in (*arrays, *found)]
    loop(*vectors, *(float(number) for number in numbers))
    return found[0] if results == 1 else tuple(found)


@part
def _pieces(x):
    return (len(x) + PIECE - 1) // PIECE


@part
def _piece(k):
    return slice(k * PIECE, (k + 1) * PIECE)


# --- elementary functions --------------------------------------------------------------------------------------------

COEFFICIENTS_32 = (
    1.253008056, -0.1356210694, -0.04756215693, 0.1296441143, -0.1192752753, 0.06831656777, -0.02376357644,
    0.00249911687, 0.001875079124, -0.000726453679, -9.254516687e-5, 7.731024224e-5,
)  # fmt: skip
COEFFICIENTS_64 = (
    1.23751263083782753, -0.140240598585546962, 0.00358541548547902564, 0.0822767384901452077,
    -0.108803930142444613, 0.0923043211603774778, -0.0586933985766493384, 0.0283622774189564043,
    -0.00974657968326526223, 0.00175562585289529536, 0.00029371437804495803, -0.000290154080540841711,
    5.16465297417741613e-5, 2.23842391550822298e-5, -1.14380480333468936e-5, -9.73559896736774934e-7,
    1.74198215862248159e-6, -5.72182306032240875e-8, -2.48571262480167429e-7, 2.32635087088591237e-8,
    3.19792667166680429e-8, -3.74421008096201864e-9, -2.62310734713347576e-9, 3.1114333809799252e-10,
)  # fmt: skip


def _functions(dtype: Any, terms: int, coefficients: tuple[float, ...], k: float) -> dict[str, Any]:
    """Return the functions of one dtype, for compiled code: `terms` as in `define`, the others for the normal tail."""
    scope = {f"c{n}": dtype(c) for n, c in enumerate(coefficients)}
    text = " + t * (".join(scope) + ")" * (len(scope) - 1)
    exec(f"def series(t):\n    return {text}\n", scope)
    series = numba.njit(fastmath=EXACT)(scope["series"])
    root_half, zero, half, one, two, three, k = (dtype(value) for value in (ROOT_HALF, 0, 0.5, 1, 2, 3, k))
    saturated, height, log2 = dtype(SATURATED), dtype(1 / ROOT_2_PI), dtype(math.log(2))
    artanh = _artanh(terms, dtype)

    def clipped(x: Any) -> Any:
        c = min(max(x, -saturated), saturated)
        return c if x == x else x

    compiled_clipped = numba.njit(fastmath=EXACT)(clipped)

    def log1p_to_1(x: Any) -> Any:  # the logarithm of 1 + x for x from 0 to 1, which is that of (1 + x) / 2 and log 2
        far = x > half
        part = artanh(((x - one) if far else x) / ((x + three) if far else (x + two)))
        return (log2 if far else zero) + two * part

    def normal_below(x: Any) -> Any:
        c = compiled_clipped(x)
        y = abs(c) * root_half
        inverse = one / ((y + k) * (one + two * y))
        tail = half * series((y - k) * (one + two * y) * inverse) * (y + k) * inverse * exp(-y * y)
        base, sign = (one, -one) if x > zero else (zero, one)  # numbers to choose between, not ways to go
        return base + sign * tail

    def normal_density(x: Any) -> Any:
        return height * exp(-half * x * x)

    return {
        "clipped": clipped,
        "log1p_to_1": log1p_to_1,
        "normal_below": normal_below,
        "normal_density": normal_density,
    }


_BY_TYPE = {
    types.float32: _functions(np.float32, 7, COEFFICIENTS_32, 3.0),
    types.float64: _functions(np.float64, 13, COEFFICIENTS_64, 3.75),
}


def _elementary(name: str) -> Any:
    def function(x: Any) -> Any:
        raise TypeError(f"{name} is there for compiled code only")

    function.__name__ = function.__qualname__ = name

    @overload(function, jit_options={"fastmath": EXACT})
    def choose(x: Any) -> Any:
        return _BY_TYPE[x][name] if x in _BY_TYPE else None

    return function


clipped = _elementary("clipped")
log1p_to_1 = _elementary("log1p_to_1")
normal_below = _elementary("normal_below")
normal_density = _elementary("normal_density")


# --- straight lines and exponentials ---------------------------------------------------------------------------------


@part
def _leaky_relu_backward(g, y, d_x, slope):
    below = g.dtype.type(slope)
    for i in range(len(g)):
        d_x[i] = g[i] if y[i] > 0 else below * g[i]


@part
def _elu(x, out, scale, alpha):
    real = x.dtype.type
    above, below = real(scale), real(scale * alpha)
    for i in range(len(x)):
        negative = below * expm1(x[i])
        out[i] = above * x[i] if x[i] > 0 else negative


@part
def _elu_backward(g, y, d_x, scale, alpha):
    real = g.dtype.type
    above, below = real(scale), real(scale * alpha)
    for i in range(len(g)):
        d_x[i] = g[i] * (above if y[i] > 0 else y[i] + below)


# --- the logistic function and its integral --------------------------------------------------------------------------


@part
def _sigmoid(x, out):
    for i in range(len(x)):
        out[i] = logistic(x[i])


@part
def _softplus(x, out):
    zero = x.dtype.type(0)
    for i in range(len(x)):
        rest = log1p_to_1(exp(-abs(x[i])))
        out[i] = (x[i] if x[i] > zero else zero) + rest


@part
def _silu(x, out):
    for i in range(len(x)):
        out[i] = x[i] * logistic(x[i])


@part
def _silu_backward(g, x, d_x):
    one = x.dtype.type(1)
    for i in range(len(x)):
        gate = logistic(x[i])
        d_x[i] = g[i] * (gate + x[i] * gate * (one - gate))


# --- the normal distribution and gelu --------------------------------------------------------------------------------


@part
def _normal_cdf(x, out):
    for i in range(len(x)):
        out[i] = normal_below(x[i])


@part
def _gelu(x, out, share):
    for i in range(len(x)):
        s = normal_below(x[i])
        out[i] = x[i] * s
        share[i] = s


@part
def _gelu_backward(g, x, share, d_x):
    for i in range(len(x)):
        c = clipped(x[i])
        d_x[i] = g[i] * (share[i] + c * normal_density(c))


@part
def _gelu_tanh(x, out, share):
    real = x.dtype.type
    one, cubic, scale = real(1), real(GELU_CUBIC), real(2 * GELU_SCALE)
    for i in range(len(x)):
        c = clipped(x[i])
        s = logistic(scale * c * (one + cubic * c * c))
        out[i] = x[i] * s
        share[i] = s


@part
def _gelu_tanh_backward(g, x, share, d_x):
    real = x.dtype.type
    one, cubic, scale = real(1), real(3 * GELU_CUBIC), real(2 * GELU_SCALE)
    for i in range(len(x)):
        c, s = clipped(x[i]), share[i]
        d_x[i] = g[i] * (s + scale * c * (one + cubic * c * c) * (s - s * s))


# --- all of an array -------------------------------------------------------------------------------------------------


@parallel
def _leaky_relu_backward_all(g, y, d_x, slope):
    if len(g) < ALONE:
        _leaky_relu_backward(g, y, d_x, slope)
    else:
        for k in numba.prange(_pieces(g)):
            at = _piece(k)
            _leaky_relu_backward(g[at], y[at], d_x[at], slope)


@parallel
def _elu_all(x, out, scale, alpha):
    if len(x) < ALONE:
        _elu(x, out, scale, alpha)
    else:
        for k in numba.prange(_pieces(x)):
            at = _piece(k)
            _elu(x[at], out[at], scale, alpha)


@parallel
def _elu_backward_all(g, y, d_x, scale, alpha):
    if len(g) < ALONE:
        _elu_backward(g, y, d_x, scale, alpha)
    else:
        for k in numba.prange(_pieces(g)):
            at = _piece(k)
            _elu_backward(g[at], y[at], d_x[at], scale, alpha)


@parallel
def _sigmoid_all(x, out):
    if len(x) < ALONE:
        _sigmoid(x, out)
    else:
        for k in numba.prange(_pieces(x)):
            at = _piece(k)
            _sigmoid(x[at], out[at])


@parallel
def _softplus_all(x, out):
    if len(x) < ALONE:
        _softplus(x, out)
    else:
        for k in numba.prange(_pieces(x)):
            at = _piece(k)
            _softplus(x[at], out[at])


@parallel
def _silu_all(x, out):
    if len(x) < ALONE:
        _silu(x, out)
    else:
        for k in numba.prange(_pieces(x)):
            at = _piece(k)
            _silu(x[at], out[at])


@parallel
def _silu_backward_all(g, x, d_x):
    if len(g) < ALONE:
        _silu_backward(g, x, d_x)
    else:
        for k in numba.prange(_pieces(g)):
            at = _piece(k)
            _silu_backward(g[at], x[at], d_x[at])


@parallel
def _normal_cdf_all(x, out):
    if len(x) < ALONE:
        _normal_cdf(x, out)
    else:
        for k in numba.prange(_pieces(x)):
            at = _piece(k)
            _normal_cdf(x[at], out[at])


@parallel
def _gelu_all(x, out, share):
    if len(x) < ALONE:
        _gelu(x, out, share)
    else:
        for k in numba.prange(_pieces(x)):
            at = _piece(k)
            _gelu(x[at], out[at], share[at])


@parallel
def _gelu_backward_all(g, x, share, d_x):
    if len(g) < ALONE:
        _gelu_backward(g, x, share, d_x)
    else:
        for k in numba.prange(_pieces(g)):
            at = _piece(k)
            _gelu_backward(g[at], x[at], share[at], d_x[at])


@parallel
def _gelu_tanh_all(x, out, share):
    if len(x) < ALONE:
        _gelu_tanh(x, out, share)
    else:
        for k in numba.prange(_pieces(x)):
            at = _piece(k)
            _gelu_tanh(x[at], out[at], share[at])


@parallel
def _gelu_tanh_backward_all(g, x, share, d_x):
    if len(g) < ALONE:
        _gelu_tanh_backward(g, x, share, d_x)
    else:
        for k in numba.prange(_pieces(g)):
            at = _piece(k)
            _gelu_tanh_backward(g[at], x[at], share[at], d_x[at])
