"""Adding rows up by their numbers: the gradient of a table of vectors of which some were looked up."""

from __future__ import annotations

from typing import Any

import numpy as np

from .choice import kernel

__all__ = ["add_rows"]

FEW = 2000
"""For fewer numbers than these, making the place of each costs more than it saves."""


@kernel
def add_rows(total: Any, numbers: Any, g: Any) -> None:
    """Add each row of g (N, D) to that of `total` (V, D) with its number, in place, one after the other.

    With a vector of places in a vector ``np.add.at`` is several times as fast as with rows.

    Parameters
    ----------
    total : array (V, D), contiguous
    numbers : array (N,) of integers
        Negative ones count from the end.
    g : array (N, D)
    """
    if g.size < FEW:
        np.add.at(total, numbers, g)
        return
    words, width = total.shape
    numbers = numbers.astype(np.intp)
    _check(numbers, words)
    places = (np.where(numbers < 0, numbers + words, numbers) * width)[:, None] + np.arange(width)
    np.add.at(total.reshape(-1), places.reshape(-1), g.reshape(-1))


def _check(numbers: Any, words: int) -> None:
    wrong = (numbers < -words) | (numbers >= words)
    if wrong.any():
        raise IndexError(f"index {numbers[wrong][0]} is out of bounds for axis 0 with size {words}")
