"""Layers made of layers: one after the other, and beside a shortcut."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from ..core.errors import DTypeError, OptionError, ShapeError, did_you_mean
from .layer import Layer

__all__ = ["Function", "Residual", "Sequential"]


class Function(Layer):
    """A function of arrays as a layer without parameters.

    Parameters
    ----------
    function : callable
    **options
        Keywords that it is called with.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.nn.Function(mg.leaky_relu, slope=0.1)
    Function(leaky_relu, slope=0.1)
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        if not callable(function):
            raise DTypeError(f"a layer must be a Layer or a function of arrays, and {type(function).__name__} came")
        self.function, self.options = function, options

    @property
    def kind(self) -> str:
        """The name of the function, or of the class made for it."""
        return _function_name(self.function) if type(self) is Function else type(self).__name__

    def forward(self, x: Any) -> Any:
        return self.function(x, **self.options)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({_function_name(self.function)}{options})"


class Sequential(Layer):
    """Layers one after the other, each given the result of the one before.

    Parameters
    ----------
    *layers : Layer or function of one array
    **named : the same, with names
        A layer that comes without a name is called after its class, and numbered: ``conv1``, ``conv2``, ``affine1``.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> net = mg.nn.Sequential(mg.nn.Affine(100), mg.relu, mg.nn.Affine(10))
    >>> net = net.build(np.ones((1, 3, 4)), seed=0)
    >>> net
    Sequential
      affine1   Affine  W (12, 100), b (100,)  1,300
      relu1     relu
      affine2   Affine  W (100, 10), b (10,)   1,010
    2,310 parameters
    >>> net(np.ones((5, 3, 4))).shape
    (5, 10)
    >>> net["affine2"] is net[2]
    True
    """

    def __init__(self, *layers: Any, **named: Any) -> None:
        counts: dict[str, int] = {}
        self.layers: dict[str, Layer] = {}
        for given in layers:
            layer = _as_layer(given)
            kind = _short_name(layer)
            while True:
                counts[kind] = counts.get(kind, 0) + 1
                name = f"{kind}{counts[kind]}"
                if name not in named:
                    break
            self.layers[name] = layer
        self.layers.update((name, _as_layer(given)) for name, given in named.items())
        if not self.layers:
            raise OptionError("Sequential needs at least one layer")

    def children(self) -> Iterator[tuple[str, Layer]]:
        yield from self.layers.items()

    def forward(self, x: Any) -> Any:
        for layer in self.layers.values():
            x = layer(x)
        return x

    def __getitem__(self, which: int | str) -> Layer:
        if isinstance(which, str):
            if which not in self.layers:
                raise OptionError(f"Sequential has no layer {which!r}{did_you_mean(which, self.layers)}")
            return self.layers[which]
        return list(self.layers.values())[which]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers.values())


class Residual(Layer):
    """A branch beside a shortcut: ``x + branch(x)``. (He, Zhang, Ren and Sun, 2015, arXiv:1512.03385.)

    Parameters
    ----------
    *branch : Layers or functions, one after the other
    shortcut : Layer or function, optional
        What x passes through on its way around, where the branch changes the shape: a 1x1 convolution, for example.

    Raises
    ------
    ShapeError
        If the two do not have one shape.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> block = mg.nn.Residual(mg.nn.Affine(4), mg.relu).build(np.ones((1, 4)), seed=0)
    >>> list(block.params)
    ['branch.affine1.W', 'branch.affine1.b']
    """

    def __init__(self, *branch: Any, shortcut: Any = None) -> None:
        self.branch = Sequential(*branch)
        self.shortcut = None if shortcut is None else _as_layer(shortcut)

    def forward(self, x: Any) -> Any:
        out = self.branch(x)
        around = x if self.shortcut is None else self.shortcut(x)
        if out.shape != around.shape:
            raise ShapeError(
                f"Residual: the branch made {out.shape} of x {x.shape}, and the shortcut is {around.shape}; give them "
                f"one shape, as with shortcut=mg.nn.Conv2d(channels, 1, stride=...)"
            )
        return around + out


def _as_layer(given: Any) -> Layer:
    if isinstance(given, type) and issubclass(given, Layer):
        raise DTypeError(f"the class {given.__name__} came in place of a layer: make one, {given.__name__}(...)")
    return given if isinstance(given, Layer) else Function(given)


_SHORT = {"Conv2d": "conv", "Conv1d": "conv", "ConvTranspose2d": "deconv", "MaxPool2d": "pool", "AvgPool2d": "pool"}


def _short_name(layer: Layer) -> str:
    if type(layer) is Function:
        return _function_name(layer.function)
    kind = type(layer).__name__
    return _SHORT.get(kind, kind.lower())


def _function_name(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "name", "") or getattr(function, "__name__", "") or type(function).__name__
    return name if name.isidentifier() else "function"
