"""Samples of selecting ops."""

import numpy as np

from tests.ops.samples import normal, row, small_integers


def chosen(index, *choices):
    return np.choose(index, choices)


row("choose", (np.array([[0, 2, 1], [1, 1, 0]]), normal(2, 3), normal(2, 3), normal(2, 3)), chosen)
row("choose", (np.array([[0], [1]]), normal(3), normal(2, 1)), chosen, label="broadcast")

for params in [{}, {"offset": 1}, {"offset": -2, "axis1": -1, "axis2": 0}, {"offset": 7}]:
    row("diagonal", (normal(3, 4, 2),), np.diagonal, **params)


def with_diagonal(g, shape, offset=0, axis1=0, axis2=1):
    out = np.zeros(shape, g.dtype)
    for place in np.ndindex(shape):
        along = place[axis2] - place[axis1] == offset
        rest = tuple(n for axis, n in enumerate(place) if axis not in (axis1 % len(shape), axis2 % len(shape)))
        out[place] = g[(*rest, min(place[axis1], place[axis2]))] if along else 0
    return out


row("put_diagonal", (normal(3),), with_diagonal, shape=(3, 3))
row("put_diagonal", (normal(2, 3),), with_diagonal, shape=(3, 4, 2), offset=1)
row(
    "put_diagonal", (normal(4, 1),), with_diagonal, shape=(3, 4, 2), offset=-1, axis1=-1, axis2=0, label="negative axes"
)

row("argwhere", (small_integers(3, 4),), np.argwhere)
