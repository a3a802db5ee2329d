"""Samples of the reductions that ``samples.py`` does not have."""

import numpy as np

from tests.ops.samples import AXES, distinct, normal, row

for params in AXES:
    row("nanmax", (distinct(2, 3, 4),), np.nanmax, **params)
    row("nanmin", (distinct(2, 3, 4),), np.nanmin, **params)
for params in [{}, {"axis": 1}, {"axis": -1, "keepdims": True}]:
    row("nanargmax", (normal(2, 3, 4),), np.nanargmax, **params)
    row("nanargmin", (normal(2, 3, 4),), np.nanargmin, **params)
