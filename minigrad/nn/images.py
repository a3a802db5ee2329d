"""Layers of images: convolutions, pooling, enlarging."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.errors import ShapeError
from . import init
from .basic import check_call, whole
from .containers import Function
from .layer import Declaration, Layer

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "GlobalAvgPool",
    "MaxPool2d",
    "Upsample",
]


class _Convolution(Layer):
    """What the convolutions share: filters and a bias."""

    _op: Any
    _axes = 2

    def __init__(
        self, filters: int, kernel: Any, *, bias: bool = True, init: Any = init.kaiming_normal, **options: Any
    ) -> None:
        name = type(self).__name__
        check_call(name, type(self)._op, None, None, **options)
        self.filters = whole(name, "filters", filters)
        sizes = tuple(kernel) if isinstance(kernel, (tuple, list)) else (kernel,) * self._axes
        self.kernel = tuple(whole(name, "kernel", size) for size in sizes)
        self.groups = whole(name, "groups", options.get("groups", 1))
        self.bias, self.init, self.options = bias, init, options
        if len(self.kernel) != self._axes:
            raise ShapeError(f"{name}: kernel={kernel!r} came; it takes a whole number or {self._axes} of them")

    def _channels(self, x: Any) -> int:
        if x.ndim != self._axes + 2:
            forms = "(N, C, L)" if self._axes == 1 else "(N, C, H, W)"
            raise ShapeError(f"{type(self).__name__}: x {x.shape} came; it takes a minibatch {forms}")
        axis = -1 if self.options.get("layout") == "NHWC" else 1
        return int(x.shape[axis])

    def _filters(self, channels: int) -> tuple[int, ...]:
        return self.filters, channels // self.groups, *self.kernel

    def parameters(self, x: Any) -> Declaration:
        declared: Declaration = {"W": (self._filters(self._channels(x)), self.init)}
        return {**declared, "b": ((self.filters,), init.zeros)} if self.bias else declared

    def forward(self, x: Any, W: Any, b: Any = None) -> Any:
        return type(self)._op(x, W, b, **self.options)


class Conv2d(_Convolution):
    """Convolve images with filters. See :func:`minigrad.conv2d`.

    Parameters
    ----------
    filters : int
    kernel : int or (rows, columns)
    bias : bool
    init : initialiser of W, Kaiming's normal numbers by default
    **options
        ``stride``, ``padding``, ``dilation``, ``groups``, ``layout``, as of :func:`minigrad.conv2d`.

    Parameters by name
    ------------------
    W : (filters, C / groups, rows, columns); b : (filters,)

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> net = mg.nn.Conv2d(16, 3, padding="same").build(np.ones((1, 3, 8, 8)), seed=0)
    >>> net.params["W"].shape
    (16, 3, 3, 3)
    """

    _op = staticmethod(ops.conv2d)


class Conv1d(_Convolution):
    """Convolve sequences (N, C, L) with filters. See :func:`minigrad.conv1d`, and `Conv2d` for the parameters."""

    _op = staticmethod(ops.conv1d)
    _axes = 1


class ConvTranspose2d(_Convolution):
    """Transposed convolution: what grows images in a generator. See :func:`minigrad.conv_transpose2d`.

    The parameters are those of `Conv2d`, and ``output_padding``. W is (C, filters / groups, rows, columns).
    """

    _op = staticmethod(ops.conv_transpose2d)

    def _filters(self, channels: int) -> tuple[int, ...]:
        return channels, self.filters // self.groups, *self.kernel


class _Images(Function):
    """A function of images without parameters, with its arguments."""

    _op: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        check_call(type(self).__name__, type(self)._op, None, *arguments, **options)
        super().__init__(type(self)._op, **options)
        self.arguments = arguments

    def forward(self, x: Any) -> Any:
        return self.function(x, *self.arguments, **self.options)


class MaxPool2d(_Images):
    """The maximum of each window: ``MaxPool2d(2)``. See :func:`minigrad.max_pool2d` for the arguments after x."""

    _op = staticmethod(ops.max_pool2d)


class AvgPool2d(_Images):
    """The mean of each window. See :func:`minigrad.avg_pool2d` for the arguments after x."""

    _op = staticmethod(ops.avg_pool2d)


class AdaptiveAvgPool2d(_Images):
    """Means over a grid of a given size. See :func:`minigrad.adaptive_avg_pool2d` for the arguments after x."""

    _op = staticmethod(ops.adaptive_avg_pool2d)


class GlobalAvgPool(_Images):
    """The mean of each channel: (N, C, H, W) to (N, C)."""

    _op = staticmethod(ops.global_avg_pool)


class Upsample(_Images):
    """Enlarge images. See :func:`minigrad.upsample` for the arguments after x."""

    _op = staticmethod(ops.upsample)
