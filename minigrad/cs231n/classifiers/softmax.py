"""The course's ``classifiers/softmax.py``."""

from __future__ import annotations

from typing import Any

from ... import ops
from ..losses import linear_loss

__all__ = ["softmax_loss_naive", "softmax_loss_vectorized"]


def softmax_loss_vectorized(W: Any, X: Any, y: Any, reg: float) -> tuple[Any, Any]:
    """Loss of a linear softmax classifier and its gradient dW: ``softmax_loss(X @ W, y) + reg * sum(W * W)``.

    With weights W (D, C), samples X (N, D) and labels y (N,).
    """
    return linear_loss(ops.softmax_loss, W, X, y, reg)


softmax_loss_naive = softmax_loss_vectorized  # in the course this has loops
