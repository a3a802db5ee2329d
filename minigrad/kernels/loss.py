"""The softmax cross-entropy loss and its gradient, some rows at a time.

With ``total`` the sum of ``exp(scores - highest)`` over the classes of a sample, its loss is ``log(total)`` minus the
right class's ``score - highest``, which neither overflows nor loses the digits of large scores. The gradient computes
the exponentials anew from the scores, so that what is kept between the two directions is two numbers per sample, not
an array as large as the scores.

Losses are added up in float64. Of sequences, all steps of all samples are rows, and some of them may not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .choice import kernel

__all__ = ["softmax_backward", "softmax_forward"]

PIECE = 65536
"""About how many scores to work on at a time, for them to stay in the cache."""


@kernel
def softmax_forward(scores: Any, y: Any, count: int | None = None) -> tuple[Any, Any, Any]:
    """Compute the mean loss of scores (N, C) with the right classes y (N,).

    With a `count` it is the sum of the losses, divided by that, and rows whose class is -1 do not count.

    Returns
    -------
    loss : number of the dtype of the scores
        Of integer scores it is a float.
    highest, total : arrays (N, 1)
        For each sample that counts the highest score, and the sum of ``exp(scores - highest)``.
    """
    dtype = np.result_type(scores, np.float16)
    highest, total = np.empty((len(y), 1), scores.dtype), np.empty((len(y), 1), dtype)
    loss = 0.0
    for part in _parts(scores):
        np.maximum.reduce(scores[part], axis=1, keepdims=True, out=highest[part])
        powers = np.subtract(scores[part], highest[part], dtype=dtype)
        right = powers[np.arange(len(powers)), y[part]]
        np.exp(powers, out=powers)
        np.add.reduce(powers, axis=1, keepdims=True, out=total[part])
        losses = np.log(total[part, 0]) - right
        loss += np.add.reduce(losses if count is None else losses[y[part] >= 0], dtype=np.float64)
    return dtype.type(loss / (len(y) if count is None else count)), highest, total


@kernel
def softmax_backward(g: Any, scores: Any, y: Any, highest: Any, total: Any, count: int | None = None) -> Any:
    """Return the cotangent of the scores, ``(softmax(scores) - one_hot(y)) * g / N``, from that of the mean loss.

    With a `count` it is divided by that, and 0 in rows whose class is -1.
    """
    scale = np.asarray(float(g) / (len(y) if count is None else count), scores.dtype)
    d = scores - highest
    np.exp(d, out=d)
    d *= scale / total
    d[np.arange(len(y)), y] -= scale
    if count is not None:
        d[y < 0] = 0
    return d


def _parts(scores: Any) -> list[slice]:
    """Cut the rows into parts."""
    rows = max(PIECE // max(scores.shape[1], 1), 1)
    return [slice(start, start + rows) for start in range(0, len(scores), rows)]
