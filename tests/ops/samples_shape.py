"""Samples of shape ops."""

import numpy as np

from tests.ops.samples import normal, row

for axis in (None, 1, (0, -1)):
    row("flip", (normal(2, 3, 4),), np.flip, axis=axis)
for shift, axis in [(2, None), (-1, 1), ((1, -5), (0, 2)), (2, (0, -1))]:
    row("roll", (normal(2, 3, 4),), np.roll, shift=shift, axis=axis)


def padded(x, widths):
    return np.pad(x, widths)


row("pad", (normal(3),), padded, widths=((2, 1),))
row("pad", (normal(2, 3),), padded, widths=((0, 2), (1, 0)))
