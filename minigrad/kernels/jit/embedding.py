"""Adding rows up by their numbers, in one loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..embedding import _check
from .define import jit

__all__ = ["add_rows"]


def add_rows(total: Any, numbers: Any, g: Any) -> Any:
    if total.dtype.char not in "fd" or not total.dtype.isnative or g.dtype != total.dtype or not g.size:
        return NotImplemented
    numbers = numbers.astype(np.int64)
    _check(numbers, len(total))
    _add(total, numbers, np.ascontiguousarray(g))
    return None


@jit
def _add(total: Any, numbers: Any, g: Any) -> None:
    for n in range(len(numbers)):
        row, to = g[n], total[numbers[n] if numbers[n] >= 0 else numbers[n] + len(total)]
        for j in range(row.size):
            to[j] += row[j]
