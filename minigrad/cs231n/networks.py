"""The course's networks with the course's constructors, defaults (float32) and way of drawing masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import models

__all__ = ["CaptioningRNN", "FullyConnectedNet", "ThreeLayerConvNet", "TwoLayerNet"]

TwoLayerNet = models.TwoLayerNet


class FullyConnectedNet(models.FullyConnectedNet):
    """The course's ``classifiers/fc_net.py``: :class:`minigrad.models.FullyConnectedNet` with its arguments.

    Parameters
    ----------
    dropout_keep_ratio : float
        The probability of keeping a hidden unit.
    seed : int, optional
        Of the masks alone: NumPy's global state is set to it at every dropout layer of every call, as the course does
        to check gradients. The weights come from the global state.
    others
        As there.

    Examples
    --------
    >>> import numpy as np
    >>> np.random.seed(231)
    >>> X, y = np.random.randn(2, 15), np.random.randint(10, size=(2,))
    >>> for ratio in (1, 0.75, 0.5):
    ...     model = FullyConnectedNet(
    ...         [20, 30], 15, 10, dropout_keep_ratio=ratio, weight_scale=5e-2, dtype=np.float64, seed=123
    ...     )
    ...     loss, grads = model.loss(X, y)
    ...     print(f"{loss:.12f}")
    2.300479089768
    2.302371489704
    2.304275922079
    """

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout_keep_ratio: float = 1,
        normalization: str | None = None,
        reg: float = 0.0,
        weight_scale: float = 1e-2,
        dtype: Any = np.float32,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            hidden_dims, input_dim, num_classes, dropout_keep_ratio, normalization, reg, weight_scale, dtype
        )
        self.seed = seed

    def _rng(self) -> Any:
        if self.seed is not None:
            np.random.seed(self.seed)
        return np.random


class ThreeLayerConvNet(models.ThreeLayerConvNet):
    """The course's ``classifiers/cnn.py``: :class:`minigrad.models.ThreeLayerConvNet` in float32."""

    def __init__(
        self,
        input_dim: tuple[int, int, int] = (3, 32, 32),
        num_filters: int = 32,
        filter_size: int = 7,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(input_dim, num_filters, filter_size, hidden_dim, num_classes, weight_scale, reg, dtype)


class CaptioningRNN(models.CaptioningRNN):
    """The course's ``classifiers/rnn.py``: :class:`minigrad.models.CaptioningRNN` in float32."""

    def __init__(
        self,
        word_to_idx: Mapping[str, int],
        input_dim: int = 512,
        wordvec_dim: int = 128,
        hidden_dim: int = 128,
        cell_type: str = "rnn",
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(word_to_idx, input_dim, wordvec_dim, hidden_dim, cell_type, dtype)
