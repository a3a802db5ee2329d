"""The course's losses, which return the loss and its gradient at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..autodiff.reverse import value_and_grad
from .wrap import as_floats

__all__ = ["linear_loss", "softmax_loss", "svm_loss", "temporal_softmax_loss", "with_gradient"]


def softmax_loss(x: Any, y: Any) -> tuple[Any, Any]:
    """Softmax loss of scores x (N, C) with labels y (N,), averaged over the samples, and its gradient dx.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.cs231n import softmax_loss
    >>> loss, dx = softmax_loss(np.zeros((2, 2)), np.array([0, 1]))
    >>> dx
    array([[-0.25,  0.25],
           [ 0.25, -0.25]])
    """
    return with_gradient(ops.softmax_loss, x, y)


def svm_loss(x: Any, y: Any) -> tuple[Any, Any]:
    """Multiclass hinge loss of scores x (N, C) with labels y (N,), averaged over the samples, and its gradient dx."""
    return with_gradient(ops.svm_loss, x, y)


def temporal_softmax_loss(x: Any, y: Any, mask: Any, verbose: bool = False) -> tuple[Any, Any]:
    """Softmax loss of scores x (N, T, V) with words y (N, T) where the mask (N, T) is true, and its gradient dx.

    Summed over the steps and averaged over the samples. The mask is of booleans, or of zeros and ones. With `verbose`,
    prints the shape of the scores of all steps in one list.
    """
    mask = np.asarray(mask)
    if mask.dtype != bool and np.isin(mask, (0, 1)).all():
        mask = mask.astype(bool)
    loss, dx = with_gradient(ops.temporal_softmax_loss, x, y, mask)
    if verbose:
        print("dx_flat: ", (dx.shape[0] * dx.shape[1], dx.shape[2]))
    return loss, dx


def linear_loss(loss: Callable[..., Any], W: Any, X: Any, y: Any, reg: float) -> tuple[Any, Any]:
    """Return ``loss(X @ W, y) + reg * sum(W * W)`` and its gradient dW."""
    reg = float(reg)  # NumPy's own floats would make float64 of float32
    return with_gradient(lambda W, y: loss(np.matmul(X, W), y) + reg * np.sum(W * W), W, y)


def with_gradient(loss: Callable[..., Any], x: Any, *labels: Any) -> tuple[Any, Any]:
    """Return a loss and its gradient with respect to its first argument."""
    return value_and_grad(lambda x: loss(x, *labels))(as_floats(x, "the first argument of a loss"))  # type: ignore[no-any-return]
