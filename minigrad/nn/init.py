"""Initialisers: what a parameter is before training. Each is a function ``initialiser(shape, rng) -> array``.

Those with an argument are made by a call: ``normal(0.01)`` is an initialiser. The others, such as ``zeros`` and
``xavier_normal``, are initialisers as they stand. Fans are read off the shape: (D, M) has D inputs and M outputs per
unit, a filter bank (F, C, KH, KW) has C * KH * KW and F * KH * KW.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import OptionError, ShapeError

__all__ = [
    "constant",
    "fans",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "normal",
    "ones",
    "orthogonal",
    "random_source",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Shape = tuple[int, ...]
Initialiser = Callable[[Shape, Any], Any]


def random_source(seed: Any) -> Any:
    """Return what random numbers are drawn from: a generator of its own, or NumPy's global state for None.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> rng = mg.nn.init.random_source(0)
    >>> mg.nn.init.random_source(rng) is rng
    True
    """
    if seed is None:
        return np.random
    if isinstance(seed, (np.random.Generator, np.random.RandomState)):
        return seed
    if isinstance(seed, (bool, float, str)):
        raise OptionError(f"seed={seed!r} came; it takes a whole number, a numpy.random.Generator, or None")
    return np.random.default_rng(seed)


def fans(shape: Shape) -> tuple[int, int]:
    """Return how many numbers each output of a weight is made of, and how many each input reaches.

    Examples
    --------
    >>> import minigrad as mg
    >>> mg.nn.init.fans((100, 10)), mg.nn.init.fans((32, 3, 5, 5))
    ((100, 10), (75, 800))
    """
    if not shape:
        raise ShapeError("fans: a parameter of shape () has no inputs and outputs; use constant(c) or normal(scale)")
    if len(shape) <= 2:
        return shape[0], shape[-1]
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def zeros(shape: Shape, rng: Any = None) -> Any:
    """Zeros, as biases begin."""
    return np.zeros(shape)


def ones(shape: Shape, rng: Any = None) -> Any:
    """Ones, as scales begin."""
    return np.ones(shape)


def constant(value: float) -> Initialiser:
    """One number everywhere, such as the 1 with which an LSTM's forget gate may begin."""
    return functools.partial(_constant, float(value))


def _constant(value: float, shape: Shape, rng: Any = None) -> Any:
    return np.full(shape, value)


def normal(scale: float = 1e-2) -> Initialiser:
    """Normal numbers times `scale`: the course's ``weight_scale``.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> W = mg.nn.init.normal(1e-2)((100, 100), np.random.default_rng(0))
    >>> round(float(W.std()), 3)
    0.01
    """
    return functools.partial(_normal, scale)  # and not a lambda, so that a network can be pickled


def _normal(scale: float, shape: Shape, rng: Any) -> Any:
    return scale * rng.standard_normal(shape)


def uniform(limit: float) -> Initialiser:
    """Numbers spread evenly between ``-limit`` and `limit`."""
    return functools.partial(_uniform, limit)


def _uniform(limit: float, shape: Shape, rng: Any) -> Any:
    return rng.uniform(-limit, limit, shape)


def xavier_normal(shape: Shape, rng: Any) -> Any:
    """Normal numbers of variance ``2 / (fan_in + fan_out)``, for tanh. (Glorot and Bengio, AISTATS 2010.)"""
    return math.sqrt(2 / sum(fans(shape))) * rng.standard_normal(shape)


def xavier_uniform(shape: Shape, rng: Any) -> Any:
    """Uniform numbers of variance ``2 / (fan_in + fan_out)``. (Glorot and Bengio, AISTATS 2010.)"""
    limit = math.sqrt(6 / sum(fans(shape)))
    return rng.uniform(-limit, limit, shape)


def kaiming_normal(shape: Shape, rng: Any) -> Any:
    """Normal numbers of variance ``2 / fan_in``, for ReLU. (He, Zhang, Ren and Sun, 2015, arXiv:1502.01852.)"""
    return math.sqrt(2 / fans(shape)[0]) * rng.standard_normal(shape)


def kaiming_uniform(shape: Shape, rng: Any) -> Any:
    """Uniform numbers of variance ``2 / fan_in``, for ReLU. (He, Zhang, Ren and Sun, 2015, arXiv:1502.01852.)"""
    limit = math.sqrt(6 / fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


def lecun_normal(shape: Shape, rng: Any) -> Any:
    """Normal numbers of variance ``1 / fan_in``, as the course has for its recurrent networks. (LeCun et al., 1998.)"""
    return rng.standard_normal(shape) / math.sqrt(fans(shape)[0])


def orthogonal(shape: Shape, rng: Any) -> Any:
    """Rows (or columns, if there are fewer) at right angles, of length 1. (Saxe et al., 2013, arXiv:1312.6120.)

    Filters (F, C, KH, KW) count as F rows.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> W = mg.nn.init.orthogonal((3, 2), np.random.default_rng(0))
    >>> bool(np.allclose(W.T @ W, np.eye(2)))
    True
    """
    if len(shape) < 2:
        raise ShapeError(f"orthogonal: a parameter of shape {shape} has no rows and columns; it takes two axes or more")
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # else the signs, and so the matrices, are not evenly spread
    return (q if rows >= columns else q.T).reshape(shape)
