"""A small residual network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn, ops

__all__ = ["ResNet"]


class ResNet(nn.Layer):
    """Convolutions with shortcuts around each pair. (He, Zhang, Ren and Sun, 2015, arXiv:1512.03385.)

    A 3x3 convolution, then stages of blocks; the width doubles and the images halve from stage to stage; then the mean
    of each channel, and an affine map to the scores.

    Parameters
    ----------
    input_dim : (C, H, W)
    blocks : sequence of int
        How many blocks there are in each stage; (3, 3, 3) with 16 channels is the paper's ResNet-20 for CIFAR-10.
    width : int
        Channels of the first stage.
    num_classes : int
    reg : float
        ``0.5 * reg * sum(W * W)`` is added to the loss for each weight.
    dtype : of the parameters
    seed : int, Generator or None

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> model = mg.models.ResNet((1, 8, 8), blocks=(1, 1), width=4, seed=0)
    >>> [name for name in model.params if name.startswith("stages.1.0.")]  # doctest: +NORMALIZE_WHITESPACE
    ['stages.1.0.conv1.W', 'stages.1.0.norm1.gamma', 'stages.1.0.norm1.beta', 'stages.1.0.conv2.W',
     'stages.1.0.norm2.gamma', 'stages.1.0.norm2.beta', 'stages.1.0.shortcut.W']
    """

    def __init__(
        self,
        input_dim: tuple[int, int, int] = (3, 32, 32),
        blocks: Sequence[int] = (1, 1, 1),
        width: int = 16,
        num_classes: int = 10,
        *,
        reg: float = 0.0,
        dtype: Any = np.float64,
        seed: Any = None,
    ) -> None:
        self.reg = reg
        self.stem = nn.Sequential(conv=nn.Conv2d(width, 3, padding="same", bias=False), norm=nn.BatchNorm())
        self.stages = []
        channels = width
        for stage, count in enumerate(blocks):
            filters = width * 2**stage
            self.stages.append([])
            for number in range(count):
                self.stages[-1].append(Block(filters, halve=stage > 0 and number == 0, widen=filters != channels))
                channels = filters
        self.head = nn.Affine(num_classes)
        self.build(np.zeros((1, *input_dim)), seed=seed, dtype=dtype)

    def forward(self, x: Any) -> Any:
        x = ops.relu(self.stem(x))
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return self.head(ops.global_avg_pool(x))


class Block(nn.Layer):
    """Two 3x3 convolutions, and a shortcut around them."""

    def __init__(self, filters: int, halve: bool, widen: bool) -> None:
        how = {"stride": 2, "padding": ((1, 0), (1, 0))} if halve else {"padding": "same"}
        self.conv1, self.norm1 = nn.Conv2d(filters, 3, bias=False, **how), nn.BatchNorm()
        self.conv2, self.norm2 = nn.Conv2d(filters, 3, bias=False, padding="same"), nn.BatchNorm()
        self.shortcut = nn.Conv2d(filters, 2, bias=False, stride=2, padding="same") if halve else None
        if widen and not halve:
            self.shortcut = nn.Conv2d(filters, 1, bias=False)

    def forward(self, x: Any) -> Any:
        out = ops.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        return ops.relu(out + (x if self.shortcut is None else self.shortcut(x)))
