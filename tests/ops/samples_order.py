"""Samples of sorting, order statistics, searching and counting."""

import numpy as np

from minigrad.ops.order import CONTINUOUS
from tests.ops.samples import distinct, labels, normal, row, small_integers


def unsorted(g, x, axis):
    out = np.zeros(x.shape, g.dtype)
    np.put_along_axis(out, np.argsort(x, axis), g, axis)
    return out


def sorted_like(c, x, axis):
    return np.take_along_axis(c, np.argsort(x, axis), axis)


for axis in (0, -1):
    row("sort", (distinct(3, 4),), np.sort, axis=axis)
    row("unsort", (normal(3, 4), distinct(3, 4)), unsorted, axis=axis)
    row("sort_like", (normal(3, 4), distinct(3, 4)), sorted_like, axis=axis)
row("sort", (distinct(5),), np.sort, kind="stable")
row("partition", (distinct(3),), np.partition, kth=1)
row("partition", (distinct(5, 3),), np.partition, kth=(1, 3), axis=0)

QS = np.array([[0.13, 0.57], [0.71, 0.93]])  # far from the kinks and jumps of all methods, for 3 and 4 elements
DISCRETE = "inverted_cdf averaged_inverted_cdf closest_observation lower higher midpoint nearest".split()
for method in [*CONTINUOUS, *DISCRETE]:
    row("quantile", (distinct(4, 3), QS), np.quantile, axis=0, method=method)
for name in "quantile nanquantile".split():
    row(name, (distinct(2, 4), np.array(0.3)), getattr(np, name))
    row(name, (distinct(2, 3, 2), QS), np.quantile, axis=(0, -1), keepdims=True)
for name in "median nanmedian".split():
    for params in [{}, {"axis": 1}, {"axis": (-1, 0), "keepdims": True}]:
        row(name, (distinct(2, 3, 4),), getattr(np, name), **params)


def weights_of_sorted(q, sizes, length, method):
    """Of n sorted elements the last k are 1 and the others 0: then a quantile is the sum of the last k weights."""
    result = np.zeros((len(sizes), q.size, length))
    for i, n in enumerate(sizes):
        tails = [np.quantile((np.arange(n) >= n - k).astype(float), q.ravel(), method=method) for k in range(n + 1)]
        result[i, :, :n] = np.diff(np.array(tails), axis=0)[::-1].T
    return result.astype(q.dtype)


def slopes_of_sorted(q, sizes, **parameters):
    q = q.astype(float)
    above, below = (weights_of_sorted(q + step, sizes, **parameters) for step in (1e-3, -1e-3))
    return (above - below) / 2e-3


SIZES = np.array([4, 3, 4])
for method in ["linear", "weibull", "median_unbiased", "nearest"]:
    row("quantile_weights", (QS, SIZES), weights_of_sorted, length=4, method=method)
    row("quantile_slopes", (QS, SIZES), slopes_of_sorted, length=4, method=method)

# --- indices ---------------------------------------------------------------------------------------------------------

row("argpartition", (distinct(7),), np.argpartition, kth=3)
row("lexsort", (small_integers(6), small_integers(6)), lambda *keys: np.lexsort(keys))
row("searchsorted", (np.arange(5.0), normal(3, 2)), np.searchsorted, side="right")
row("digitize", (normal(3, 2), np.arange(-2.0, 3)), np.digitize, right=True)
row("isin", (small_integers(3, 4), np.array([0.0, 2.0])), np.isin, invert=True)
row("tally", (labels(8, 4),), np.bincount, minlength=6)
for part in "index inverse counts".split():
    row("unique_part", (small_integers(3, 4),), lambda x, part: np.unique(x, **{f"return_{part}": True})[1], part=part)
