"""Layers of every network: affine, activations, shapes, dropout, embedding."""

from __future__ import annotations

import inspect
import math
import operator
from typing import Any

import numpy as np

from .. import ops
from ..core.errors import OptionError, ShapeError, did_you_mean
from . import init
from .containers import Function
from .layer import Declaration, Layer

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Affine",
    "Dropout",
    "Embedding",
    "Flatten",
    "LeakyReLU",
    "ReLU",
    "Reshape",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "check_call",
    "whole",
]


def whole(layer: str, what: str, value: Any, least: int = 1) -> int:
    """Return an option that must be a whole number, or raise an error that says so."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise OptionError(f"{layer}: {what}={value!r} came; it takes a whole number from {least} on")
    return number


def check_call(layer: str, op: Any, *arguments: Any, **options: Any) -> None:
    """Raise unless an op can be called with these; now, and not when the network is built."""
    signature = inspect.signature(op)
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        known = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        unknown = next((name for name in options if name not in signature.parameters), "")
        raise OptionError(f"{layer}: {error}{did_you_mean(unknown, known)} (it takes {', '.join(known)})") from error


class Affine(Layer):
    """A fully connected layer: ``x @ W + b``.

    Parameters
    ----------
    units : int
        Outputs per sample.
    bias : bool
    init : initialiser of W, Kaiming's normal numbers by default
    axis : int, default 1
        The axes from here on make up the inputs: with 1, images are laid out in rows as in the course; with -1 every
        vector along the last axis is mapped on its own, as in (N, T, D).

    Parameters by name
    ------------------
    W : (D, units); b : (units,)

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> net = mg.nn.Affine(10).build(np.ones((1, 3, 8, 8)), seed=0)
    >>> net.params["W"].shape
    (192, 10)
    """

    def __init__(self, units: int, *, bias: bool = True, init: Any = init.kaiming_normal, axis: int = 1) -> None:
        self.units = whole("Affine", "units", units)
        self.bias, self.init, self.axis = bias, init, axis

    def parameters(self, x: Any) -> Declaration:
        if x.ndim < 2:
            raise ShapeError(f"Affine: x {x.shape} came; it takes a minibatch of samples (N, ...)")
        size = math.prod(x.shape[self.axis :])
        if size == 0:
            raise ShapeError(f"Affine: x {x.shape} has no elements per sample")
        declared: Declaration = {"W": ((size, self.units), self.init)}
        return {**declared, "b": ((self.units,), init.zeros)} if self.bias else declared

    def forward(self, x: Any, W: Any, b: Any = None) -> Any:
        whole_sample = self.axis in (1, 1 - x.ndim)
        rows = x if whole_sample else x.reshape(-1, math.prod(x.shape[self.axis :]))
        out = ops.affine(rows, W, b) if b is not None else rows.reshape(len(rows), len(W)) @ W
        return out if whole_sample else out.reshape(*x.shape[: self.axis], self.units)


class Flatten(Layer):
    """Lay each sample out in a row: (N, C, H, W) to (N, C * H * W)."""

    def forward(self, x: Any) -> Any:
        return x.reshape(len(x), math.prod(x.shape[1:]))


class Reshape(Layer):
    """Give each sample a shape: ``Reshape(7, 7, 64)`` makes (N, 7, 7, 64)."""

    def __init__(self, *shape: int) -> None:
        self.shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape

    def forward(self, x: Any) -> Any:
        return x.reshape(len(x), *self.shape)


class Dropout(Layer):
    """In training keep each element with probability p, divided by p; at test time leave x as it is.

    The masks are drawn from the network's generator, on from where the last one stopped. See :func:`minigrad.dropout`.

    Parameters
    ----------
    p : float
        The probability of KEEPING an element, as in the course; many libraries take that of dropping.
    channels : bool
        Drop whole channels of images (N, C, H, W), and not single pixels. (Tompson et al., 2014, arXiv:1411.4280.)

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> net = mg.nn.Sequential(mg.nn.Affine(50), mg.nn.Dropout(p=0.8), mg.nn.Affine(2)).build(np.ones((1, 3)), seed=0)
    >>> list(net.state)
    ['rng']
    """

    def __init__(self, p: float, *, channels: bool = False) -> None:
        ops.dropout(np.ones(1), np.ones(1, bool), p=p)  # says what is wrong with p, now and not in training
        self.p, self.channels = p, channels

    def forward(self, x: Any, train: bool, rng: Any) -> Any:
        if not train or self.p == 1:
            return x
        if self.channels:
            return ops.dropout(
                x, ops.dropout_mask((*x.shape[:2], *(1,) * (x.ndim - 2)), rng, p=self.p, like=x), p=self.p
            )
        return ops.dropout(x, rng, p=self.p)


class Embedding(Layer):
    """A vector for each number: (N, T) of integers to (N, T, width).

    Parameters
    ----------
    count : int
        How many there are: the numbers go from 0 to count - 1.
    width : int
    init : initialiser of W, normal numbers of 0.01 by default

    Parameters by name
    ------------------
    W : (count, width)
    """

    def __init__(self, count: int, width: int, *, init: Any = init.normal(1e-2)) -> None:  # noqa: B008 - a constant
        self.count, self.width = whole("Embedding", "count", count), whole("Embedding", "width", width)
        self.init = init

    def parameters(self, x: Any) -> Declaration:
        return {"W": ((self.count, self.width), self.init)}

    def forward(self, x: Any, W: Any) -> Any:
        return ops.embedding(W, x)


def _activation(name: str, function: Any, meaning: str) -> Any:
    """Make the layer of an activation function; its options are the function's."""

    def __init__(self: Function, **options: Any) -> None:
        Function.__init__(self, function, **options)

    doc = f"{meaning}, elementwise; with the options of :func:`minigrad.ops.{function.__name__}`."
    return type(name, (Function,), {"__init__": __init__, "__doc__": doc, "__module__": __name__})


ReLU = _activation("ReLU", ops.relu, "``max(x, 0)``")
LeakyReLU = _activation("LeakyReLU", ops.leaky_relu, "x, and slope * x below 0")
ELU = _activation("ELU", ops.elu, "x, and alpha * (exp(x) - 1) below 0")
SELU = _activation("SELU", ops.selu, "The scaled ELU of self-normalising networks")
GELU = _activation("GELU", ops.gelu, "x times the normal distribution function of x")
SiLU = _activation("SiLU", ops.silu, "x times the logistic function of x")
Sigmoid = _activation("Sigmoid", ops.sigmoid, "The logistic function")
Softplus = _activation("Softplus", ops.softplus, "``log(1 + exp(x))``")
Tanh = _activation("Tanh", ops.tanh, "Hyperbolic tangent")
