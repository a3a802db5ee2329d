"""Fully connected networks of two layers, and of any number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import ops
from ..core.errors import BiasBeforeNormWarning, OptionError, did_you_mean
from ..core.scope import scope
from ..model import Model
from ..nn.init import random_source
from .common import cast_like

__all__ = ["FullyConnectedNet", "TwoLayerNet"]


class TwoLayerNet(Model):
    """affine - ReLU - affine, with softmax loss. (CS231n, assignment 1.)

    Parameters
    ----------
    input_dim, hidden_dim, num_classes : int
    weight_scale : float
        Standard deviation of the weights.
    reg : float
        ``0.5 * reg * sum(W * W)`` is added to the loss for each weight matrix.
    dtype : of the parameters
    seed : int, Generator or None
        None draws from NumPy's global state, as the course does.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> model = mg.models.TwoLayerNet(input_dim=4, hidden_dim=5, num_classes=3, seed=0)
    >>> {name: w.shape for name, w in model.params.items()}
    {'W1': (4, 5), 'b1': (5,), 'W2': (5, 3), 'b2': (3,)}
    """

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        dtype: Any = np.float64,
        seed: Any = None,
    ) -> None:
        self.reg = reg
        rng = random_source(seed)
        for layer, (inputs, outputs) in enumerate([(input_dim, hidden_dim), (hidden_dim, num_classes)], start=1):
            self.params[f"W{layer}"] = (weight_scale * rng.standard_normal((inputs, outputs))).astype(dtype)
            self.params[f"b{layer}"] = np.zeros(outputs, dtype)

    def forward(self, params: dict[str, Any], X: Any) -> Any:
        X = cast_like(X, params["W1"])
        with scope("fc1"):
            hidden = ops.relu(ops.affine(X, params["W1"], params["b1"]))
        with scope("fc2"):
            return ops.affine(hidden, params["W2"], params["b2"])


class FullyConnectedNet(Model):
    """{affine - [batch or layer normalisation] - ReLU - [dropout]} x (L - 1) - affine, with softmax loss.

    (CS231n, assignment 2.)

    Parameters
    ----------
    hidden_dims : sequence of int
        The width of each hidden layer.
    input_dim, num_classes : int
    dropout : float
        The probability of KEEPING a hidden unit in training; 1 is no dropout.
    normalization : None, "batchnorm" or "layernorm"
    reg : float
        ``0.5 * reg * sum(W * W)`` is added to the loss for each weight matrix.
    weight_scale : float
        Standard deviation of the weights.
    dtype : of the parameters
    seed : int, Generator or None
        Where weights and masks are drawn from; None is NumPy's global state, as in the course. Masks are drawn on from
        step to step; with a seed, the generator is part of `state`.

    Attributes
    ----------
    params
        W1, b1, [gamma1, beta1], W2, ...
    state
        running_mean1, running_var1, ... with batch normalisation; rng with dropout and a seed.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> model = mg.models.FullyConnectedNet([20, 30], input_dim=15, dropout=0.75, normalization="layernorm", seed=0)
    >>> list(model.params)
    ['W1', 'b1', 'gamma1', 'beta1', 'W2', 'b2', 'gamma2', 'beta2', 'W3', 'b3']
    """

    silenced = (BiasBeforeNormWarning,)  # the course's network has biases there, and so its numbers

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout: float = 1.0,
        normalization: str | None = None,
        reg: float = 0.0,
        weight_scale: float = 1e-2,
        dtype: Any = np.float64,
        seed: Any = None,
    ) -> None:
        kinds = ("batchnorm", "layernorm")
        if normalization is not None and normalization not in kinds:
            raise OptionError(
                f"FullyConnectedNet: normalization={normalization!r} came; it is None, batchnorm or layernorm"
                f"{did_you_mean(str(normalization), kinds)}"
            )
        if not 0 < dropout <= 1:
            raise OptionError(
                f"FullyConnectedNet: dropout={dropout!r} came; it is the probability of KEEPING a unit, above 0 and at "
                f"most 1"
            )
        self.reg, self.dropout, self.normalization = reg, dropout, normalization
        self.num_layers = 1 + len(hidden_dims)
        rng = random_source(seed)
        widths = [input_dim, *hidden_dims, num_classes]
        for layer, (inputs, outputs) in enumerate(zip(widths, widths[1:]), start=1):
            self.params[f"W{layer}"] = (weight_scale * rng.standard_normal((inputs, outputs))).astype(dtype)
            self.params[f"b{layer}"] = np.zeros(outputs, dtype)
            if normalization and layer < self.num_layers:
                self.params[f"gamma{layer}"], self.params[f"beta{layer}"] = (
                    np.ones(outputs, dtype),
                    np.zeros(outputs, dtype),
                )
                if normalization == "batchnorm":
                    self.state[f"running_mean{layer}"] = np.zeros(outputs, dtype)
                    self.state[f"running_var{layer}"] = np.zeros(outputs, dtype)
        if seed is not None and dropout < 1:
            self.state["rng"] = rng

    def forward(self, params: dict[str, Any], X: Any, train: bool) -> Any:
        x = cast_like(X, params["W1"])
        for layer in range(1, self.num_layers):
            with scope(f"fc{layer}"):
                x = ops.affine(x, params[f"W{layer}"], params[f"b{layer}"])
                x = ops.relu(self._normalise(x, params, layer, train))
                if train and self.dropout < 1:
                    x = ops.dropout(x, self._rng(), p=self.dropout)
        with scope(f"fc{self.num_layers}"):
            return ops.affine(x, params[f"W{self.num_layers}"], params[f"b{self.num_layers}"])

    def _rng(self) -> Any:
        return self.state.get("rng", np.random)

    def _normalise(self, x: Any, params: dict[str, Any], layer: int, train: bool) -> Any:
        if self.normalization is None:
            return x
        gamma, beta = params[f"gamma{layer}"], params[f"beta{layer}"]
        if self.normalization == "layernorm":
            return ops.layernorm(x, gamma, beta)
        mean, var = f"running_mean{layer}", f"running_var{layer}"
        x, self.state[mean], self.state[var] = ops.running_batchnorm(
            x, gamma, beta, self.state[mean], self.state[var], train=train
        )
        return x
