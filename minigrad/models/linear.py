"""A linear classifier, with the loss of a support vector machine or of softmax regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..core.errors import OptionError, did_you_mean
from ..core.scope import scope
from ..model import Model
from ..nn.init import random_source
from .common import cast_like

__all__ = ["LinearClassifier"]

_LOSSES = {"softmax": "softmax_loss", "svm": "svm_loss"}


class LinearClassifier(Model):
    """Scores that are linear in the pixels: ``X @ W + b``. (CS231n, linear classification notes.)

    Parameters
    ----------
    input_dim, num_classes : int
    loss : str
        "softmax" or "svm".
    reg : float
        ``0.5 * reg * sum(W * W)`` is added to the loss.
    weight_scale : float
        Standard deviation of W.
    dtype : of the parameters
    seed : int, Generator or None
        None draws from NumPy's global state.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> model = mg.models.LinearClassifier(12, 3, loss="svm", seed=0)
    >>> loss, grads = model.loss(np.ones((2, 12)), np.array([0, 2]))
    >>> round(loss, 2)
    2.0
    """

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        *,
        loss: str = "softmax",
        reg: float = 0.0,
        weight_scale: float = 1e-3,
        dtype: Any = np.float64,
        seed: Any = None,
    ) -> None:
        if loss not in _LOSSES:
            raise OptionError(
                f"LinearClassifier: loss={loss!r} came; it is softmax or svm{did_you_mean(loss, _LOSSES)}"
            )
        self.loss_name, self.reg = loss, reg
        rng = random_source(seed)
        W = weight_scale * rng.standard_normal((input_dim, num_classes))
        self.params = {"W": W.astype(dtype), "b": np.zeros(num_classes, dtype)}

    def forward(self, params: dict[str, Any], X: Any) -> Any:
        with scope("linear"):
            return ops.affine(cast_like(X, params["W"]), params["W"], params["b"])

    def objective(self, scores: Any, y: Any) -> Any:
        return getattr(ops, _LOSSES[self.loss_name])(scores, y)
