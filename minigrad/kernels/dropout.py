"""Dropout of what a mask says. The mask itself is drawn by NumPy's generators, whose numbers decide what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from .choice import kernel

__all__ = ["drop"]


@kernel
def drop(x: Any, mask: Any, scale: float) -> Any:
    """Return ``x * mask * scale``, of the shape of x and of its dtype; of integers it is floats.

    Parameters
    ----------
    x : array of any shape
    mask : array of booleans
        Of the shape of x, or one that broadcasts to it.
    scale : float
    """
    dtype = np.result_type(x, np.float16)
    if mask.size < x.size:
        return np.multiply(x, np.multiply(mask, scale), dtype=dtype)
    out = np.multiply(x, mask, dtype=dtype)
    out *= scale
    return out
