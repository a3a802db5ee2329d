"""Samples of assignment in place, which is an op from the old value to the new one."""

import numpy as np

from minigrad.ops.index import ARRAY
from tests.ops.samples import normal, row


def assigned(x, v, *arrays, index):
    out = x.copy()
    places = iter(arrays)
    out[tuple(next(places) if part is ARRAY else part for part in index)] = v
    return out


def wins(x, *arrays, index):
    """Of the elements written, those that stay."""
    count = np.zeros(x.shape, int)
    places = iter(arrays)
    where = tuple(next(places) if part is ARRAY else part for part in index)
    order = np.arange(np.size(x[where])).reshape(np.shape(x[where]))
    count[where] = order
    return count[where] == order


row("put", (normal(4, 3), normal(3)), assigned, index=(1,))
row("put", (normal(4, 3), normal(2, 1)), assigned, index=(slice(None, None, 2), slice(1, None)))
row("put", (normal(5), normal(3), np.array([4, 0, 4])), assigned, label="repeated", index=(ARRAY,))
row("put", (normal(3, 2), normal(), normal(3, 2) > 0), assigned, label="mask", index=(ARRAY,))
row("put_wins", (normal(5), np.array([4, 0, 4])), wins, index=(ARRAY,))
