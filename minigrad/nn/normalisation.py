"""Layers that normalise."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.errors import OptionError, ShapeError
from . import init
from .basic import whole
from .layer import Declaration, Layer

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "RMSNorm"]


class BatchNorm(Layer):
    """Batch normalisation of (N, D), or by channel of (N, C, H, W).

    In training it uses the statistics of the batch, and keeps running ones,
    ``running = momentum * running + (1 - momentum) * batch``, which it uses at test time. (Ioffe and Szegedy, 2015,
    arXiv:1502.03167; the momentum is the course's, 1 less that of PyTorch.)

    Parameters
    ----------
    momentum, eps : float
    layout : str
        Of images: "NCHW", or "NHWC" for channels at the end.

    Parameters by name
    ------------------
    gamma, beta : (D,) or (C,); state running_mean, running_var : the same

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> net = mg.nn.Sequential(mg.nn.Affine(4), mg.nn.BatchNorm()).build(np.ones((1, 3)), seed=0)
    >>> sorted(net.state)
    ['batchnorm1.running_mean', 'batchnorm1.running_var']
    """

    def __init__(self, *, momentum: float = 0.9, eps: float = 1e-5, layout: str = "NCHW") -> None:
        if not 0 <= momentum <= 1:
            raise OptionError(f"BatchNorm: momentum={momentum!r} came; it is a number from 0 to 1")
        self.momentum, self.eps, self.layout = momentum, eps, _checked_layout("BatchNorm", layout)

    def parameters(self, x: Any) -> Declaration:
        return _scale_and_shift(x, _channel_axis(self.layout))

    def statistics(self, x: Any) -> Declaration:
        shape = (x.shape[_channel_axis(self.layout)],)
        return {"running_mean": (shape, init.zeros), "running_var": (shape, init.ones)}

    def forward(self, x: Any, gamma: Any, beta: Any, state: Any, train: bool) -> Any:
        out, state["running_mean"], state["running_var"] = ops.running_batchnorm(
            x,
            gamma,
            beta,
            state["running_mean"],
            state["running_var"],
            train=train,
            momentum=self.momentum,
            eps=self.eps,
            layout=self.layout,
        )
        return out


class LayerNorm(Layer):
    """Normalise each vector along the last axis. See :func:`minigrad.layernorm`. Parameters gamma, beta : (D,)."""

    def __init__(self, *, eps: float = 1e-5) -> None:
        self.eps = eps

    def parameters(self, x: Any) -> Declaration:
        return _scale_and_shift(x, -1)

    def forward(self, x: Any, gamma: Any, beta: Any) -> Any:
        return ops.layernorm(x, gamma, beta, eps=self.eps)


class RMSNorm(Layer):
    """Divide each vector along the last axis by its root mean square. See :func:`minigrad.rmsnorm`. gamma : (D,)."""

    def __init__(self, *, eps: float = 1e-6) -> None:
        self.eps = eps

    def parameters(self, x: Any) -> Declaration:
        return {"gamma": (x.shape[-1:], init.ones)}

    def forward(self, x: Any, gamma: Any) -> Any:
        return ops.rmsnorm(x, gamma, eps=self.eps)


class GroupNorm(Layer):
    """Normalise each image (C, H, W) by groups of channels. See :func:`minigrad.spatial_groupnorm`. gamma, beta : (C,).

    Parameters
    ----------
    groups : int
        Divides the number of channels.
    eps : float
    layout : str
        "NCHW", or "NHWC" for channels at the end.
    """

    def __init__(self, groups: int, *, eps: float = 1e-5, layout: str = "NCHW") -> None:
        self.groups, self.eps = whole("GroupNorm", "groups", groups), eps
        self.layout = _checked_layout("GroupNorm", layout)

    def parameters(self, x: Any) -> Declaration:
        return _scale_and_shift(x, _channel_axis(self.layout))

    def forward(self, x: Any, gamma: Any, beta: Any) -> Any:
        return ops.spatial_groupnorm(x, gamma, beta, groups=self.groups, eps=self.eps, layout=self.layout)


class InstanceNorm(Layer):
    """Normalise each channel of each image. See :func:`minigrad.instancenorm`. Parameters gamma, beta : (C,)."""

    def __init__(self, *, eps: float = 1e-5, layout: str = "NCHW") -> None:
        self.eps, self.layout = eps, _checked_layout("InstanceNorm", layout)

    def parameters(self, x: Any) -> Declaration:
        return _scale_and_shift(x, _channel_axis(self.layout))

    def forward(self, x: Any, gamma: Any, beta: Any) -> Any:
        return ops.instancenorm(x, gamma, beta, eps=self.eps, layout=self.layout)


def _checked_layout(layer: str, layout: str) -> str:
    if layout not in ("NCHW", "NHWC"):
        raise OptionError(f"{layer}: layout={layout!r} came; it is NCHW or NHWC")
    return layout


def _channel_axis(layout: str) -> int:
    return 1 if layout == "NCHW" else -1


def _scale_and_shift(x: Any, axis: int) -> Declaration:
    if x.ndim < 2:
        raise ShapeError(f"normalisation of x {x.shape}: it takes a minibatch of samples (N, ...)")
    return {"gamma": ((x.shape[axis],), init.ones), "beta": ((x.shape[axis],), init.zeros)}
