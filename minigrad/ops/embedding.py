"""Embedding: rows of a table, chosen by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DTypeError, ShapeError
from ..core.explain import IndexShapeError, where
from ..core.tensor import value_of
from .define import as_array
from .index import ARRAY, getitem

__all__ = ["embedding"]


def embedding(weights: Any, indices: Any) -> Any:
    """Rows of a table of vectors by their numbers: ``weights[indices]``.

    In the gradient, the rows of a number that came several times add up. (CS231n, ``word_embedding_forward``; Bengio,
    Ducharme, Vincent and Jauvin, A neural probabilistic language model, 2003.)

    Parameters
    ----------
    weights : array (V, D)
        A vector for each of V words.
    indices : array of integers, any shape (...)
        Numbers from 0 to V - 1. Negative ones do not count from the end, as they do in NumPy.

    Returns
    -------
    array (..., D)

    Raises
    ------
    ShapeError
        If the weights are not (V, D). As an ``IndexShapeError``, which is an IndexError too: if a number is outside
        the vocabulary.
    DTypeError
        If the indices are not integers.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> table = np.array([[0.0, 0.0], [1.0, 10.0], [2.0, 20.0]])
    >>> mg.embedding(table, np.array([2, 1, 2]))
    array([[ 2., 20.],
           [ 1., 10.],
           [ 2., 20.]])
    >>> mg.grad(lambda table: mg.embedding(table, np.array([2, 1, 2])).sum())(table)
    array([[0., 0.],
           [1., 1.],
           [2., 2.]])
    """
    weights, numbers = as_array(weights), np.asarray(value_of(indices))
    if numbers.size == 0 and not hasattr(indices, "dtype"):  # NumPy makes an empty list an array of floats
        numbers = numbers.astype(np.intp)
    if len(weights.shape) != 2:
        raise ShapeError(f"{where('embedding')}: weights {weights.shape} came, and (V, D) was expected: a row per word")
    if numbers.dtype.kind not in "iu":
        raise DTypeError(
            f"{where('embedding')}: indices {numbers.shape} are {numbers.dtype}, and integers were expected; use "
            f"indices.astype(int)"
        )
    words = weights.shape[0]
    if numbers.size and (numbers.min() < 0 or numbers.max() >= words):
        wrong = (numbers < 0) | (numbers >= words)
        place = np.unravel_index(np.flatnonzero(wrong)[0], numbers.shape)
        spot = f"indices[{', '.join(map(str, place))}]" if place else "the index"
        raise IndexShapeError(
            f"{where('embedding')}: {spot} is {numbers[place]}, and weights {weights.shape} have the words 0 to "
            f"{words - 1} ({np.count_nonzero(wrong)} of {numbers.size} indices are outside); count words from 0, or "
            f"give the table more rows"
        )
    return getitem(weights, indices if hasattr(indices, "dtype") else numbers, index=(ARRAY,))
