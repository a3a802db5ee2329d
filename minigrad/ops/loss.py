"""Losses over class scores: softmax cross-entropy and the multiclass hinge loss, as CS231n defines them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff.fused import fused
from ..core.errors import DataError, DTypeError, ShapeError
from ..core.explain import where
from ..kernels import loss as kernels

__all__ = ["check_labels", "softmax_loss", "softmax_loss_backward", "svm_loss", "svm_loss_backward"]


def _softmax_loss_reference(scores: Any, y: Any) -> Any:
    """Mean over samples of the negative log of the right class's softmax."""
    highest = np.max(scores, axis=1, keepdims=True)
    shifted = scores - highest
    log_total = np.log(np.sum(np.exp(shifted), axis=1))
    return np.mean(log_total - shifted[np.arange(len(y)), y])


@fused(reference=_softmax_loss_reference, outputs=("loss", "highest", "total"), visible=1, kind="loss")
def softmax_loss(scores, y):
    """Softmax cross-entropy loss, averaged over the samples.

    ``mean_i( log(sum_j exp(scores[i, j])) - scores[i, y[i]] )``, computed without overflow. (CS231n, linear
    classification notes.)

    Parameters
    ----------
    scores : array (N, C) of floats
        Score of each class for each sample.
    y : array (N,) of integers
        The right class of each sample, from 0 to C - 1.

    Returns
    -------
    float
        The loss in nats, an array of shape () and the scores' dtype.

    Raises
    ------
    ShapeError
        If the scores are not (N, C), the labels not (N,), or N is 0.
    DataError
        If a label is outside the classes.
    DTypeError
        If the labels are not integers.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> round(float(mg.softmax_loss(np.zeros((2, 10)), np.array([3, 4]))), 6)
    2.302585
    """
    check_labels("softmax_loss", scores, y)
    return kernels.softmax_forward(scores, np.asarray(y))


@softmax_loss.backward
def softmax_loss_backward(g, scores, y, highest, total, *, wants):
    """(softmax(scores) - one_hot(y)) * g / N."""
    return kernels.softmax_backward(g, scores, np.asarray(y), highest, total)


def _svm_loss_reference(scores: Any, y: Any) -> Any:
    """Mean over samples of the sum over wrong classes of ``max(0, s_j - s_y + 1)``."""
    rows = np.arange(len(y))
    margins = scores - np.expand_dims(scores[rows, y], 1) + 1
    wrong = np.not_equal(np.expand_dims(y, 1), np.arange(scores.shape[1]))
    return np.sum(np.where((margins > 0) & wrong, margins, 0)) / len(y)


@fused(reference=_svm_loss_reference, kind="loss")
def svm_loss(scores, y):
    """Multiclass hinge loss with margin 1, averaged over the samples.

    ``mean_i( sum_{j != y[i]} max(0, scores[i, j] - scores[i, y[i]] + 1) )``. (CS231n, linear classification notes;
    Weston and Watkins, 1999.)

    Parameters, result and errors are those of :func:`softmax_loss`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.svm_loss(np.array([[3.0, 2.5, 0.0]]), np.array([0]))
    np.float64(0.5)
    """
    check_labels("svm_loss", scores, y)
    return np.sum(_margins(scores, y)) / len(y)


@svm_loss.backward
def svm_loss_backward(g, scores, y, *, wants):
    """g / N for each class with a positive margin, and minus their sum for the right class."""
    scale = np.asarray(g / len(y), scores.dtype)
    d = (_margins(scores, y) > 0) * scale
    d[np.arange(len(y)), y] = -d.sum(axis=1)
    return d


def _margins(scores: Any, y: Any) -> Any:
    rows = np.arange(len(y))
    margins = scores - scores[rows, y][:, None]
    margins += 1
    np.maximum(margins, 0, out=margins)
    margins[rows, y] = 0
    return margins


def check_labels(name: str, scores: Any, y: Any) -> None:
    """Raise unless scores are (N, C), labels (N,) integers from 0 to C - 1, and N is at least 1."""
    scores, y = np.asarray(scores), np.asarray(y)
    if scores.ndim != 2:
        raise ShapeError(
            f"{where(name)}: scores of shape {scores.shape} came, and (N, C) was expected: a row per sample"
        )
    if y.shape != scores.shape[:1]:
        raise ShapeError(
            f"{where(name)}: labels of shape {y.shape} came for scores {scores.shape}; expected {scores.shape[:1]}"
        )
    if y.dtype.kind not in "iu":
        raise DTypeError(f"{where(name)}: labels are {y.dtype}, and class numbers must be integers; use y.astype(int)")
    if not len(y):
        raise ShapeError(f"{where(name)}: there are no samples (scores {scores.shape}), so the mean loss is undefined")
    classes, unsigned = scores.shape[1], _unsigned(y)
    if unsigned.item(unsigned.argmax()) >= classes:  # a tenth of the time that a maximum takes
        i = int(np.flatnonzero((y < 0) | (y >= classes))[0])
        raise DataError(
            f"{where(name)}: label y[{i}] is {y[i]}, and scores {scores.shape} have the classes 0 to {classes - 1}; "
            f"count labels from 0, or give the model more classes"
        )


_UNSIGNED = {np.dtype(f"{order}i{size}"): np.dtype(f"{order}u{size}") for order in "<>" for size in (1, 2, 4, 8)}


def _unsigned(y: Any) -> Any:
    """Return a view of integers without signs: the negative ones are huge in it."""
    return y if y.dtype.kind == "u" else y.view(_UNSIGNED[y.dtype])
