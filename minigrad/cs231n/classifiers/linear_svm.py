"""The course's ``classifiers/linear_svm.py``."""

from __future__ import annotations

from typing import Any

from ... import ops
from ..losses import linear_loss

__all__ = ["svm_loss_naive", "svm_loss_vectorized"]


def svm_loss_vectorized(W: Any, X: Any, y: Any, reg: float) -> tuple[Any, Any]:
    """Loss of a linear SVM and its gradient dW: ``svm_loss(X @ W, y) + reg * sum(W * W)``.

    With weights W (D, C), samples X (N, D) and labels y (N,).
    """
    return linear_loss(ops.svm_loss, W, X, y, reg)


svm_loss_naive = svm_loss_vectorized  # in the course this has loops
