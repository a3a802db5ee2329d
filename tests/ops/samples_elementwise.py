"""Samples of the elementwise ops beyond arithmetic, and of the methods of ufuncs."""

import numpy as np

from tests.ops.samples import (
    around,
    away_from_zero,
    between,
    distinct,
    elementwise,
    normal,
    rng,
    row,
    small_integers,
    unit,
)


def above_one(*shape):
    return np.asarray(rng.uniform(1.2, 3.0, shape))


def integers(*shape):
    return np.asarray(rng.integers(0, 4, shape))


for name in "arcsinh deg2rad rad2deg degrees radians".split():
    elementwise(name, normal)
elementwise("arctanh", unit)
elementwise("arccosh", above_one)
elementwise("cbrt", away_from_zero)
for name in "logaddexp logaddexp2".split():
    elementwise(name, normal, normal)
for name in "hypot arctan2 copysign".split():
    elementwise(name, away_from_zero, away_from_zero)
for name in "fmax fmin".split():
    elementwise(name, distinct, between)
elementwise("fmod", around(-5, 5), around(2))
row("divmod", (around(-5, 5)(3, 4), around(2)(4)), np.divmod)
row("modf", (around(-1.5, 0.5, 2.5)(3, 4),), np.modf)
row("frexp", (around(-1.5, 3.0)(3, 4),), np.frexp)
row("ldexp", (normal(3, 4), integers(3, 4)), np.ldexp)
row("ldexp", (normal(3, 4), 3), np.ldexp, label="y=3")
row("heaviside", (np.array([-1, 0, 0, 2]), normal(4)), np.heaviside)
row("nextafter", (normal(3, 4), 9.0), np.nextafter)

elementwise("zero_safe_divide", normal, away_from_zero, expected=np.divide)
elementwise("zero_safe_multiply", normal, away_from_zero, expected=np.multiply)
elementwise(
    "keep_used", normal, away_from_zero, away_from_zero, expected=lambda c, g, s: (c + 0 * (g + s)).astype(c.dtype)
)
elementwise("logaddexp_share", normal, normal, expected=lambda x, y: np.exp(x - np.logaddexp(x, y)))
elementwise("where_number_greater", normal, distinct, between, expected=lambda g, x, y: g * (x > y))
elementwise("where_number_less", normal, distinct, between, expected=lambda g, x, y: g * (x < y))
elementwise("sinc", normal)
for order in (1, 2):
    points = np.array([-3.0, -1.2, -0.4, 0.0, 1e-3, 0.63, 0.65, 2.0])

    def slope(x, order):
        """Integral of ``u ** n * cos(pi * x * u + n * pi / 2)``, by Gauss and Legendre."""
        nodes, weights = np.polynomial.legendre.leggauss(40)
        u, w = (nodes + 1) / 2, weights / 2
        values = u**order * np.cos(np.pi * x.astype(float)[:, None] * u + order * np.pi / 2)
        return (np.pi**order * values @ w).astype(x.dtype)

    row("sinc_slope", (points,), slope, order=order)
row("nan_to_num", (normal(3, 4),), np.nan_to_num)

for name in "gcd lcm left_shift right_shift".split():
    row(name, (integers(3, 4), integers(3, 4)), getattr(np, name))
row("bitwise_count", (integers(3, 4),), np.bitwise_count)
row("spacing", (normal(3, 4),), np.spacing)
for decimals in (0, 2, -1):
    row("round", (10 * normal(3, 4),), np.round, decimals=decimals)


# --- the methods of ufuncs -------------------------------------------------------------------------------------------


def holders(x, out, axis):
    """Weights ``w[j, i]`` of element i in the record at place j, for one row."""
    n = len(x)
    hit = np.tril(np.equal(out[:, None], x[None, :]))
    return (hit / np.maximum(hit.sum(1, keepdims=True), 1)).reshape(n, n)


def given_to_holders(g, x, record, axis):
    rows = [holders(a, b, axis).T @ c for a, b, c in zip(*(np.moveaxis(y, axis, -1) for y in (x, record, g)))]
    return np.moveaxis(np.stack(rows), -1, axis).astype(g.dtype)


def taken_from_holders(c, x, record, axis):
    rows = [holders(a, b, axis) @ d for a, b, d in zip(*(np.moveaxis(y, axis, -1) for y in (x, record, c)))]
    return np.moveaxis(np.stack(rows), -1, axis).astype(c.dtype)


for axis in (0, -1):
    row("running_max", (distinct(3, 4),), np.maximum.accumulate, axis=axis)
    row("running_min", (distinct(3, 4),), np.minimum.accumulate, axis=axis)
    ties = small_integers(3, 4).astype(int)  # integers, so that no difference quotient breaks the ties
    args = (normal(3, 4), ties, np.maximum.accumulate(ties, axis=axis))
    row("to_record_holders", args, given_to_holders, axis=axis)
    row("from_record_holders", args, taken_from_holders, axis=axis)
