"""Convolutional networks: the course's of three layers, and a deeper one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn, ops
from ..core.errors import ShapeError
from ..core.scope import scope
from ..model import Model
from ..nn.init import random_source
from .common import cast_like

__all__ = ["ConvNet", "ThreeLayerConvNet"]


class ThreeLayerConvNet(Model):
    """conv - ReLU - 2x2 max pool - affine - ReLU - affine, with softmax loss. (CS231n, assignment 2.)

    Parameters
    ----------
    input_dim : (C, H, W)
        Of even height and width.
    num_filters, filter_size : int
        The size is odd; images are padded so that the convolution keeps their height and width.
    hidden_dim, num_classes : int
    weight_scale : float
        Standard deviation of the weights.
    reg : float
        ``0.5 * reg * sum(W * W)`` is added to the loss for each weight.
    dtype : of the parameters
    seed : int, Generator or None
        None draws from NumPy's global state, as the course does.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> model = mg.models.ThreeLayerConvNet(input_dim=(1, 8, 8), num_filters=4, filter_size=3, hidden_dim=10, seed=0)
    >>> {name: w.shape for name, w in model.params.items()}
    {'W1': (4, 1, 3, 3), 'b1': (4,), 'W2': (64, 10), 'b2': (10,), 'W3': (10, 10), 'b3': (10,)}
    """

    def __init__(
        self,
        input_dim: tuple[int, int, int] = (3, 32, 32),
        num_filters: int = 32,
        filter_size: int = 7,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        dtype: Any = np.float64,
        seed: Any = None,
    ) -> None:
        channels, height, width = input_dim
        if height % 2 or width % 2 or filter_size % 2 == 0:
            raise ShapeError(
                f"ThreeLayerConvNet: images of {height}x{width} and filters of {filter_size} came; pooling needs an "
                f"even height and width, and keeping them an odd filter size"
            )
        self.reg = reg
        rng = random_source(seed)
        shapes = (
            (num_filters, channels, filter_size, filter_size),
            (num_filters * (height // 2) * (width // 2), hidden_dim),
            (hidden_dim, num_classes),
        )
        for layer, (shape, outputs) in enumerate(zip(shapes, (num_filters, hidden_dim, num_classes)), start=1):
            self.params[f"W{layer}"] = (weight_scale * rng.standard_normal(shape)).astype(dtype)
            self.params[f"b{layer}"] = np.zeros(outputs, dtype)

    def forward(self, params: dict[str, Any], X: Any) -> Any:
        x = cast_like(X, params["W1"])
        with scope("conv1"):
            x = ops.relu(ops.conv2d(x, params["W1"], params["b1"], padding="same"))
            x = ops.max_pool2d(x, 2)
        with scope("fc2"):
            x = ops.relu(ops.affine(x, params["W2"], params["b2"]))
        with scope("fc3"):
            return ops.affine(x, params["W3"], params["b3"])


class ConvNet(nn.Layer):
    """{[conv - norm - ReLU] x depth - pool} x stages - {affine - ReLU - [dropout]} x M - affine, with softmax loss.

    Parameters
    ----------
    input_dim : (C, H, W)
        Height and width are halved in each stage; an odd one is rounded up.
    filters : sequence of int
        The number of filters of each stage's 3x3 convolutions.
    depth : int
        Convolutions in each stage.
    hidden_dims : sequence of int
        Widths of the affine layers before the last.
    num_classes : int
    batchnorm : bool
    dropout : float
        The probability of KEEPING a unit of the affine layers in training.
    reg : float
        ``0.5 * reg * sum(W * W)`` is added to the loss for each weight.
    dtype : of the parameters
    seed : int, Generator or None

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.models.ConvNet(input_dim=(1, 8, 8), filters=(8, 16), depth=1, hidden_dims=(), seed=0)
    ConvNet
      stages.0      Sequential
        conv1       Conv2d      W (8, 1, 3, 3)           72
        batchnorm1  BatchNorm   gamma (8,), beta (8,)    16
        relu1       relu
        pool1       MaxPool2d
      stages.1      Sequential
        conv1       Conv2d      W (16, 8, 3, 3)          1,152
        batchnorm1  BatchNorm   gamma (16,), beta (16,)  32
        relu1       relu
        pool1       MaxPool2d
      head          Sequential
        affine1     Affine      W (64, 10), b (10,)      650
    1,922 parameters
    """

    def __init__(
        self,
        input_dim: tuple[int, int, int] = (3, 32, 32),
        filters: Sequence[int] = (32, 64, 128),
        depth: int = 2,
        hidden_dims: Sequence[int] = (256,),
        num_classes: int = 10,
        *,
        batchnorm: bool = True,
        dropout: float = 1.0,
        reg: float = 0.0,
        dtype: Any = np.float64,
        seed: Any = None,
    ) -> None:
        self.reg = reg
        self.stages = [self._stage(count, depth, batchnorm) for count in filters]
        hidden = [layer for width in hidden_dims for layer in (nn.Affine(width), ops.relu, nn.Dropout(dropout))]
        self.head = nn.Sequential(*hidden, nn.Affine(num_classes))
        self.build(np.zeros((1, *input_dim)), seed=seed, dtype=dtype)

    @staticmethod
    def _stage(filters: int, depth: int, batchnorm: bool) -> nn.Sequential:
        layers: list[Any] = []
        for _ in range(depth):
            # Batch normalisation subtracts the mean, and with it any bias.
            layers.append(nn.Conv2d(filters, 3, padding="same", bias=not batchnorm))
            layers += [nn.BatchNorm()] * batchnorm
            layers.append(ops.relu)
        return nn.Sequential(*layers, nn.MaxPool2d(2, padding="same"))

    def forward(self, x: Any) -> Any:
        for stage in self.stages:
            x = stage(x)
        return self.head(x)
