"""Ranges between given ends: linspace, logspace, geomspace. Gradients flow to the ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.numpy_protocol import implements, refuse
from .define import as_array
from .reduce import real_dtype

__all__ = ["geomspace", "linspace", "logspace"]


@implements(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """Evenly spaced numbers: ``start + (stop - start) * t`` for evenly spaced t from 0 to 1."""
    if dtype is not None:
        raise refuse("np.linspace", "dtype")
    start, stop = as_array(start), as_array(stop)
    t = np.linspace(0.0, 1.0, num, endpoint).astype(real_dtype(np.result_type(start.dtype, stop.dtype, np.float16)))
    span = stop - start
    at = np.reshape(t, (num,) + (1,) * len(np.shape(span)))
    numbers = np.moveaxis(start + span * at, 0, axis)
    if not retstep:
        return numbers
    parts = num - 1 if endpoint else num
    return numbers, span / parts if parts > 0 else span * np.nan


@implements(np.logspace)
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    """Numbers with evenly spaced logarithms, from ``base ** start`` to ``base ** stop``."""
    if dtype is not None:
        raise refuse("np.logspace", "dtype")
    return np.power(base, linspace(start, stop, num, endpoint, axis=axis))


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Numbers of a constant ratio, from start to stop, both of one sign."""
    if dtype is not None:
        raise refuse("np.geomspace", "dtype")
    start, stop = as_array(start), as_array(stop)
    t = linspace(0.0 * start, 0.0 * stop + 1.0, num, endpoint)
    return np.moveaxis(start * np.power(stop / start, t), 0, axis)
