"""Along a sequence: cumulative sums, differences, interpolation, convolution, polynomials, covariances."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from ..core.errors import NoGradientRule
from ..core.numpy_protocol import INSTEAD, implements
from ..core.primitive import primitive
from ..core.tensor import Tensor, value_of
from .define import as_array
from .index import gather
from .order import searchsorted
from .reduce import NO_VALUE, given, refuse_given

__all__ = ["correlate", "corrcoef", "cov", "diff", "gradient", "interp", "polyval", "trapezoid"]


def cut(x: Any, axis: int, start: int | None, stop: int | None = None, step: int | None = None) -> Any:
    """Slice along one axis: ``x[..., start:stop:step, ...]``."""
    return x[(slice(None),) * (axis % len(x.shape)) + (slice(start, stop, step),)]


def flip(x: Any, axis: int) -> Any:
    """Reverse one axis."""
    return cut(x, axis, None, None, -1)


def delay(x: Any, axis: int, first: float) -> Any:
    """Move everything one step later along an axis, with a number as what comes first."""
    return np.concatenate([np.full_like(cut(x, axis, 0, 1), first), cut(x, axis, None, -1)], axis=axis)


def _along(a: Any, axis: Any) -> tuple[Any, int]:
    """Return the array and the axis to work along: of no axis, the flat array and its only one."""
    a = as_array(a)
    return (np.ravel(a), 0) if axis is None else (a, normalize_axis_index(axis, len(a.shape)))


def _at_least_1d(x: Any) -> Any:
    x = as_array(x)
    return x if len(x.shape) else np.reshape(x, (1,))


# --- cumulative sums and products -----------------------------------------------------------------------------------


@primitive(linear="jointly")
def cumsum(x, *, axis):
    """Sum of each element and all before it."""
    return np.cumsum(x, axis=axis)


cumsum.vjp(x=lambda g, axis: flip(cumsum(flip(g, axis), axis=axis), axis))


@primitive
def recurrence(decay, x, *, axis=-1):
    """First-order linear recurrence along an axis: ``s[t] = decay[t] * s[t - 1] + x[t]``, beginning with ``x[0]``.

    Leaky integrators, moving averages and discounted returns are of this form.

    >>> import numpy as np, minigrad as mg
    >>> mg.ops.recurrence(np.array([0.5, 0.5, 0.5]), np.array([1.0, 1.0, 1.0]))
    array([1.  , 1.5 , 1.75])
    """
    factors = np.moveaxis(decay, axis, 0)
    states = np.moveaxis(np.array(x, np.result_type(decay, x)), axis, 0)
    for t in range(1, len(states)):
        states[t] += factors[t] * states[t - 1]
    return np.moveaxis(states, 0, axis)


def _backwards(g: Any, decay: Any, axis: int) -> Any:
    """Return the cotangent of a recurrence's input, ``c[t] = g[t] + decay[t + 1] * c[t + 1]``: a recurrence again."""
    factors = np.concatenate([np.zeros_like(cut(decay, axis, 0, 1)), cut(decay, axis, None, 0, -1)], axis=axis)
    return flip(recurrence(factors, flip(g, axis), axis=axis), axis)


recurrence.vjp(
    x=lambda g, decay, axis: _backwards(g, decay, axis),
    decay=lambda g, decay, out, axis: _backwards(g, decay, axis) * delay(out, axis, 0),
)


@primitive
def cumprod(x, *, axis):
    """Product of each element and all before it. Right with zeros too: no rule divides."""
    return np.cumprod(x, axis=axis)


# With p[t] the product before x[t]: dp[k]/dx[t] = p[t] * x[t + 1] * ... * x[k], whose sum over k is a recurrence.
cumprod.vjp(x=lambda g, x, out, axis: delay(out, axis, 1) * _backwards(g, x, axis))


def _cumulative(name: str, op: Any, neutral: int, skip_nan: bool = False) -> Callable[..., Any]:
    """Return np.cumsum or np.cumprod of Tensors, or one of those that leave NaN out."""

    def cumulative(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        refuse_given(name, out=out)
        a, axis = _along(a, axis)
        if skip_nan:
            a = np.where(np.isnan(a), neutral, a)
        return op(a if dtype is None else a.astype(dtype), axis=axis)

    return cumulative


_cumsum, _cumprod = _cumulative("cumsum", cumsum, 0), _cumulative("cumprod", cumprod, 1)
implements(np.cumsum)(_cumsum)
implements(np.cumprod)(_cumprod)
implements(np.nancumsum)(_cumulative("nancumsum", cumsum, 0, skip_nan=True))
implements(np.nancumprod)(_cumulative("nancumprod", cumprod, 1, skip_nan=True))
Tensor.cumsum, Tensor.cumprod = _cumsum, _cumprod  # type: ignore[attr-defined]


def _standard_cumulative(name: str, op: Any, neutral: int) -> None:
    """Enter np.cumulative_sum or np.cumulative_prod, which NumPy has since 2.1."""
    if not hasattr(np, name):
        return

    @implements(getattr(np, name))
    def cumulative(x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False):
        refuse_given(name, out=out)
        x = _at_least_1d(x)
        if axis is None and len(x.shape) > 1:
            raise ValueError(f"np.{name} of an array of shape {x.shape} needs an axis=")
        x, axis = _along(x, axis)
        result = op(x if dtype is None else x.astype(dtype), axis=axis)
        if not include_initial:
            return result
        shape = tuple(1 if i == axis else size for i, size in enumerate(result.shape))
        return np.concatenate([np.full(shape, neutral, result.dtype), result], axis=axis)


_standard_cumulative("cumulative_sum", cumsum, 0)
_standard_cumulative("cumulative_prod", cumprod, 1)

# --- differences and integrals --------------------------------------------------------------------------------------


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = NO_VALUE, append: Any = NO_VALUE) -> Any:
    """Difference of each element and the one before it, n times over."""
    a = as_array(a)
    if n == 0:
        return a
    if n < 0:
        raise ValueError(f"np.diff: n must not be negative, and {n} came")
    if not a.shape:
        raise ValueError("np.diff takes an array of at least one dimension, and a single number came")
    axis = normalize_axis_index(axis, len(a.shape))
    ends = [_as_end(prepend, a, axis), a, _as_end(append, a, axis)]
    if given(prepend) or given(append):
        a = np.concatenate([part for part in ends if part is not None], axis=axis)
    for _ in range(n):
        later, earlier = cut(a, axis, 1), cut(a, axis, None, -1)
        a = later != earlier if a.dtype == bool else later - earlier
    return a


def _as_end(x: Any, a: Any, axis: int) -> Any:
    """Return what is prepended or appended to an array as an array of as many dimensions."""
    if not given(x):
        return None
    x = as_array(x)
    if len(x.shape):
        return x
    return np.broadcast_to(x, tuple(1 if i == axis else size for i, size in enumerate(a.shape)))


@implements(np.ediff1d)
def _np_ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    steps = diff(np.ravel(as_array(ary)))
    ends = [None if end is None else np.ravel(as_array(end)).astype(steps.dtype) for end in (to_begin, to_end)]
    parts = [part for part in (ends[0], steps, ends[1]) if part is not None]
    return np.concatenate(parts) if len(parts) > 1 else steps


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Derivatives of sampled values by differences: central ones inside, one-sided ones at the ends."""
    f = as_array(f)
    ndim = len(f.shape)
    axes = range(ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(normalize_axis_index(i, ndim) for i in axes)
    if len(varargs) not in (0, 1, len(axes)) or (len(varargs) == 1 < len(axes) and np.ndim(varargs[0])):
        raise TypeError(f"np.gradient along {len(axes)} axes takes no spacing, one number, or {len(axes)} spacings")
    if edge_order not in (1, 2):
        raise ValueError(f"np.gradient: edge_order must be 1 or 2, and {edge_order} came")
    spacings = [1.0] * len(axes) if not varargs else list(varargs) * (len(axes) if len(varargs) == 1 else 1)
    if f.dtype.kind not in "fc":
        f = f.astype(np.float64)
    results = tuple(_slopes(f, spacing, i, edge_order) for i, spacing in zip(axes, spacings))
    return results[0] if len(results) == 1 else results


def _slopes(f: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    """Return the derivative along one axis, where `spacing` is a step or the coordinates of all samples."""
    size = f.shape[axis]
    if size < edge_order + 1:
        raise ValueError(
            f"np.gradient along axis {axis} needs at least {edge_order + 1} samples for edge_order={edge_order}, and "
            f"the array has shape {f.shape}"
        )
    if np.ndim(spacing) == 0:
        before = after = first = last = spacing
        first_next, last_next = spacing, spacing
    else:
        steps = diff(spacing)
        if np.ndim(spacing) != 1 or steps.shape[0] != size - 1:
            raise ValueError(
                f"np.gradient along axis {axis} of an array of shape {f.shape} takes a step or {size} coordinates, and "
                f"an array of shape {np.shape(spacing)} came"
            )
        steps = np.reshape(steps, (-1,) + (1,) * (len(f.shape) - 1 - axis))
        before, after = steps[:-1], steps[1:]
        first, last = steps[:1], steps[-1:]
        first_next, last_next = steps[1:2], steps[-2:-1]
    at = [cut(f, axis, i, i + 1 or None) for i in (0, 1, -2, -1)]
    middle = _three_points(before, after, cut(f, axis, None, -2), cut(f, axis, 1, -1), cut(f, axis, 2))
    if edge_order == 1:
        start, end = (at[1] - at[0]) / first, (at[3] - at[2]) / last
    else:
        start = _three_points_at_end(first, first_next, at[0], at[1], cut(f, axis, 2, 3))
        end = -_three_points_at_end(last, last_next, at[3], at[2], cut(f, axis, -3, -2))
    return np.concatenate([start, middle, end], axis=axis).astype(f.dtype)


def _three_points(before: Any, after: Any, a: Any, b: Any, c: Any) -> Any:
    """Return the slope at the middle one of three samples, of the parabola through them."""
    return ((b - a) / before * after + (c - b) / after * before) / (before + after)


def _three_points_at_end(near: Any, far: Any, a: Any, b: Any, c: Any) -> Any:
    """Return the slope at the first of three samples, of the parabola through them."""
    first, second = (b - a) / near, (c - b) / far
    return first + (first - second) * near / (near + far)


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Integral of sampled values by the trapezoidal rule: ``sum((y[1:] + y[:-1]) / 2 * diff(x))``."""
    y = as_array(y)
    axis = normalize_axis_index(axis, len(y.shape))
    steps = dx
    if x is not None:
        x = as_array(x)
        steps = diff(x, axis=axis) if len(x.shape) > 1 else diff(x)
        if len(x.shape) == 1:
            steps = np.reshape(steps, (-1,) + (1,) * (len(y.shape) - 1 - axis))
    return np.sum(steps * (cut(y, axis, 1) + cut(y, axis, None, -1)) / 2.0, axis=axis)


@primitive(linear="elementwise")
def unwrap(x, *, discont=None, axis=-1, period=2 * math.pi):
    """Add multiples of the period so that no step is longer than half of it. Its derivative is 1."""
    return np.unwrap(x, discont, axis, period=period)


unwrap.vjp(x=lambda g: g)


@implements(np.unwrap)
def _np_unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * math.pi) -> Any:
    return unwrap(p, discont=discont, axis=axis, period=period)


# --- interpolation --------------------------------------------------------------------------------------------------


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Piecewise linear interpolation through the points (xp, fp), constant beyond them.

    Gradients flow to x, xp and fp. At a point, the slope is the mean of those at its two sides. As NumPy's, the result
    is of float64 (or complex128).
    """
    x, xp, fp = as_array(x).astype(np.float64), as_array(xp).astype(np.float64), as_array(fp)
    fp = fp.astype(np.complex128 if fp.dtype.kind == "c" else np.float64)
    if len(xp.shape) != 1 or xp.shape != fp.shape or not xp.shape[0]:
        raise ValueError(f"np.interp takes points xp and fp of one shape (N,), N > 0; {xp.shape} and {fp.shape} came")
    if period is not None:
        x, xp, fp = _unrolled(x, xp, fp, np.absolute(period))
        left = right = None
    nearest = np.maximum(searchsorted(xp, x, side="right") - 1, 0)
    below, above = x < xp[0], x > xp[-1]
    start = gather(xp, nearest)
    way = np.where(below | above, start, x) - start
    slope = 0.5 * (_interval_slope(x, xp, fp, "left") + _interval_slope(x, xp, fp, "right"))
    out = gather(fp, nearest) + way * slope
    out = out if left is None else np.where(below, left, out)
    return out if right is None else np.where(above, right, out)


def _concrete(x: Any) -> Any:
    """Return the plain value for a decision that depends on it, unless a program is being captured."""
    return x.concrete("leaving out leading zeros") if type(x) is Tensor else x


def _interval_slope(x: Any, xp: Any, fp: Any, side: str) -> Any:
    """Return the slope of the interval that holds each x, at a point the one on a side of it; beyond all of them 0."""
    upper = searchsorted(xp, x, side=side)
    lower, upper = np.maximum(upper - 1, 0), np.minimum(upper, xp.shape[0] - 1)
    rise, run = (gather(points, upper) - gather(points, lower) for points in (fp, xp))
    return rise / np.where(np.equal(lower, upper), 1, run)


def _unrolled(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """Bring points of a periodic function into one period, in order, with one more at either end."""
    x, xp = np.remainder(x, period), np.remainder(xp, period)
    order = np.argsort(xp)
    xp, fp = gather(xp, order), gather(fp, order)
    xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
    return x, xp, np.concatenate([fp[-1:], fp, fp[:1]])


# --- convolution ----------------------------------------------------------------------------------------------------


@primitive(linear="each")
def convolve(a, v, *, mode="full"):
    """Discrete convolution: ``out[k] = sum over i of a[i] * v[k - i]``."""
    return np.convolve(a, v, mode)


def _whole(g: Any, n: int, m: int, mode: str) -> Any:
    """Put zeros where a mode left out elements of the full convolution of n and m elements."""
    before = {"full": 0, "same": (min(n, m) - 1) // 2, "valid": min(n, m) - 1}[mode]
    after = n + m - 1 - before - g.shape[0]
    return np.concatenate([np.zeros(before, g.dtype), g, np.zeros(after, g.dtype)])


convolve.vjp(
    a=lambda g, a_shape, v, mode: convolve(_whole(g, a_shape[0], v.shape[0], mode), flip(v, 0), mode="valid"),
    v=lambda g, a, v_shape, mode: convolve(_whole(g, a.shape[0], v_shape[0], mode), flip(a, 0), mode="valid"),
)


@implements(np.convolve)
def _np_convolve(a: Any, v: Any, mode: str = "full") -> Any:
    return convolve(_at_least_1d(a), _at_least_1d(v), mode=_mode("convolve", mode))


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """Cross-correlation: ``out[k] = sum over i of a[i + k] * conj(v[i])``."""
    a, v = _at_least_1d(a), _at_least_1d(v)
    if v.shape[0] > a.shape[0]:
        return flip(_conjugate(correlate(v, a, mode)), 0)
    return convolve(a, flip(_conjugate(v), 0), mode=_mode("correlate", mode))


def _conjugate(x: Any) -> Any:
    return np.conjugate(x) if x.dtype.kind == "c" else x


def _mode(name: str, mode: Any) -> str:
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"np.{name}: mode must be 'full', 'same' or 'valid', and {mode!r} came")
    return str(mode)


# --- polynomials: coefficients from the highest power down ----------------------------------------------------------


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """Value of a polynomial, by Horner's scheme."""
    p, x = as_array(p), as_array(x)
    y: Any = np.zeros_like(x)
    for i in range(p.shape[0]):
        y = y * x + p[i]
    return y


def _of_one_length(a: Any, b: Any) -> tuple[Any, Any]:
    """Return two polynomials with as many coefficients each."""
    a, b = _at_least_1d(a), _at_least_1d(b)
    longest = max(a.shape[0], b.shape[0])
    a, b = (np.concatenate([np.zeros(longest - p.shape[0], p.dtype), p]) for p in (a, b))
    return a, b


@implements(np.polyadd)
def _np_polyadd(a1: Any, a2: Any) -> Any:
    a, b = _of_one_length(a1, a2)
    return a + b


@implements(np.polysub)
def _np_polysub(a1: Any, a2: Any) -> Any:
    a, b = _of_one_length(a1, a2)
    return a - b


@implements(np.polymul)
def _np_polymul(a1: Any, a2: Any) -> Any:
    return convolve(_without_leading_zeros(a1), _without_leading_zeros(a2), mode="full")


def _without_leading_zeros(p: Any) -> Any:
    p = _at_least_1d(p)
    others = np.flatnonzero(_concrete(p))
    return p[others[0] if others.size else p.shape[0] - 1 :]


@implements(np.polyder)
def _np_polyder(p: Any, m: int = 1) -> Any:
    p = as_array(p)
    for _ in range(_order("polyder", m)):
        p = p[:-1] * np.arange(p.shape[0] - 1, 0, -1)
    return p


@implements(np.polyint)
def _np_polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    p, constants = as_array(p), _at_least_1d(0.0 if k is None else k)
    if constants.shape[0] not in (1, _order("polyint", m)):
        raise ValueError(f"np.polyint: k must be one number or {m} of them, and {constants.shape[0]} came")
    for i in range(m):
        constant = constants[i : i + 1] if constants.shape[0] > 1 else constants
        p = np.concatenate([p / np.arange(p.shape[0], 0, -1), constant])
    return p


def _order(name: str, m: int) -> int:
    if m < 0:
        raise ValueError(f"np.{name}: the order m must not be negative, and {m} came")
    return int(m)


@implements(np.poly)
def _np_poly(seq_of_zeros: Any) -> Any:
    zeros = _at_least_1d(seq_of_zeros)
    if len(zeros.shape) != 1:
        raise NoGradientRule("np.poly of a matrix has no gradient rule; give it the eigenvalues, np.linalg.eigvals(A)")
    p: Any = np.ones(1, zeros.dtype)
    for i in range(zeros.shape[0]):
        p = convolve(p, np.concatenate([np.ones(1, zeros.dtype), -zeros[i : i + 1]]), mode="full")
    found = _concrete(zeros)
    if found.dtype.kind == "c" and np.array_equal(np.sort(found), np.sort(found.conj())):
        return np.real(p)  # roots in conjugate pairs: the coefficients are real
    return p


INSTEAD |= {
    np.polyfit: "solve the least-squares problem that it stands for: np.linalg.lstsq(np.vander(x, deg + 1), y)[0]",
    np.roots: "they are the eigenvalues of the polynomial's companion matrix: np.linalg.eigvals",
    np.polydiv: "take the remainder's part out with mg.stop_gradient, or write the division with np.convolve",
}


@implements(np.vander)
def _np_vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # noqa: N803 (NumPy's name)
    x = as_array(x)
    if len(x.shape) != 1:
        raise ValueError(f"np.vander takes an array of one dimension, and one of shape {x.shape} came")
    if N == 0:
        return np.zeros((x.shape[0], 0), x.dtype)
    x = x.astype(np.promote_types(x.dtype, int))  # NumPy widens float32 here
    powers = [np.ones(x.shape, x.dtype)]
    while len(powers) < (x.shape[0] if N is None else N):
        powers.append(powers[-1] * x)
    return np.stack(powers if increasing else powers[::-1], axis=1)


# --- covariances ----------------------------------------------------------------------------------------------------


@implements(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """Covariance matrix of variables, each a row (or, without `rowvar`, a column) of samples."""
    if ddof is not None and ddof != int(ddof):
        raise ValueError(f"np.cov: ddof must be an integer, and {ddof} came")
    parts = [_variables(x, rowvar) for x in (m, y) if x is not None]
    dtype = dtype or np.result_type(*parts, np.float64)
    x = np.concatenate([part.astype(dtype) for part in parts]) if len(parts) > 1 else parts[0].astype(dtype)
    if x.shape[0] == 0:
        return np.zeros((0, 0))
    weights = _sample_weights(fweights, aweights, x.shape[1])
    ddof = (0 if bias else 1) if ddof is None else ddof
    if weights is None:
        mean, divisor = np.mean(x, axis=1, keepdims=True), x.shape[1] - ddof
    else:
        mean, total = np.average(x, axis=1, weights=weights, keepdims=True), np.sum(weights)
        lost = 1 if aweights is None else np.sum(weights * as_array(aweights)) / total
        divisor = total - ddof * lost if ddof else total
    if value_of(divisor) <= 0:
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=2)
        divisor = 0.0
    centred = x - mean
    weighted = centred if weights is None else centred * weights
    result = np.matmul(centred, np.transpose(_conjugate(weighted))) / divisor
    return np.reshape(result, tuple(size for size in result.shape if size != 1))


def _variables(x: Any, rowvar: bool) -> Any:
    """Return samples with a row for each variable."""
    x = as_array(x)
    if len(x.shape) > 2:
        raise ValueError(f"np.cov takes arrays of at most two dimensions, and one of shape {x.shape} came")
    if len(x.shape) < 2:
        return np.reshape(x, (1, -1))
    return x if rowvar else np.transpose(x)


def _sample_weights(fweights: Any, aweights: Any, samples: int) -> Any:
    """Return the product of the weights that were given, or None."""
    weights = [as_array(w) for w in (fweights, aweights) if w is not None]
    for w in weights:
        if w.shape != (samples,) or np.any(value_of(w) < 0):
            raise ValueError(f"np.cov: weights must be one number >= 0 for each of the {samples} samples")
    if fweights is not None and np.any(value_of(weights[0]) != np.around(value_of(weights[0]))):
        raise TypeError("np.cov: fweights must be integers; for weights of any size use aweights=")
    return None if not weights else weights[0] if len(weights) == 1 else weights[0] * weights[1]


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """Correlation coefficients: covariances divided by the product of the standard deviations."""
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.shape:
        return c / c
    deviations = np.sqrt(np.real(np.einsum("ii->i", c)))
    c = c / np.expand_dims(deviations, 1) / deviations
    return np.clip(c, -1, 1) if c.dtype.kind != "c" else c


# --- functions applied along axes -----------------------------------------------------------------------------------


@implements(np.apply_along_axis)
def _np_apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **keywords: Any) -> Any:
    arr = as_array(arr)
    axis = normalize_axis_index(axis, len(arr.shape))
    kept = arr.shape[:axis] + arr.shape[axis + 1 :]
    results = [
        as_array(func1d(arr[(*place[:axis], slice(None), *place[axis:])], *args, **keywords))
        for place in np.ndindex(kept)
    ]
    if not results:
        raise ValueError(f"np.apply_along_axis of an array of shape {arr.shape} has nothing to apply the function to")
    inner = results[0].shape
    stacked = np.reshape(np.stack(results), kept + inner)
    moved = range(len(kept), len(kept) + len(inner))
    return np.transpose(stacked, (*range(axis), *moved, *range(axis, len(kept))))


@implements(np.apply_over_axes)
def _np_apply_over_axes(func: Callable[..., Any], a: Any, axes: int | Sequence[int]) -> Any:
    a = as_array(a)
    for axis in axes if isinstance(axes, Sequence) else (axes,):
        axis = normalize_axis_index(axis, len(a.shape))
        result, ndim = func(a, axis), len(a.shape)
        if len(result.shape) not in (ndim, ndim - 1):
            raise ValueError("np.apply_over_axes: the function must keep the number of dimensions, or drop its axis")
        a = result if len(result.shape) == ndim else np.expand_dims(result, axis)
    return a
