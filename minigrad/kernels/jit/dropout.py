"""Dropout of what a mask says, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .define import jit, parallel, part

__all__ = ["drop"]

ALONE = 131072
"""Fewer numbers than these are done sooner than a second thread has started."""

BLOCK = 16384
"""How many numbers a thread takes at a time."""


def drop(x: Any, mask: Any, scale: float) -> Any:
    if x.dtype.char not in "fd" or not x.dtype.isnative or x.shape != mask.shape or not x.ndim:
        return NotImplemented
    out = np.empty(x.shape, x.dtype)
    fill = _drop if x.size < ALONE else _drop_shared
    fill(x.reshape(-1), mask.reshape(-1), x.dtype.type(scale), out.reshape(-1))
    return out


@jit
def _drop(x: Any, mask: Any, scale: Any, out: Any) -> None:
    _fill(x, mask, scale, out)


@parallel
def _drop_shared(x: Any, mask: Any, scale: Any, out: Any) -> None:
    for k in prange((len(x) + BLOCK - 1) // BLOCK):
        at = slice(k * BLOCK, (k + 1) * BLOCK)
        _fill(x[at], mask[at], scale, out[at])


@part
def _fill(x: Any, mask: Any, scale: Any, out: Any) -> None:
    """A number that is dropped is multiplied by 0, and NaN and infinity show."""
    nothing = scale * 0
    for i in range(len(x)):
        out[i] = x[i] * (scale if mask[i] else nothing)
