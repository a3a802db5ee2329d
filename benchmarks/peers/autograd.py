"""HIPS autograd, with the functions it comes with. Updates are NumPy's, in place.

It has no convolution that is fast: its own convolutional example uses ``autograd.scipy.signal.convolve``, which takes
many seconds for a step of W5. Here a convolution is im2col by slices, and one product.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from autograd.extend import Box

from ..specs import Spec
from .composed import Composed
from .networks import LOSSES, chain
from .updates import Update

__all__ = ["Runner"]


class Ops(Composed):
    """The layers that NumPy's names alone do not give."""

    def cross_entropy(self, scores, y):
        scores = scores - plain(scores).max(axis=1, keepdims=True)
        losses = anp.log(anp.sum(anp.exp(scores), axis=1)) - scores[np.arange(len(y)), y]
        return anp.sum(losses) / np.float32(len(y))

    def softmax(self, scores):
        exponentials = anp.exp(scores - plain(scores).max(axis=-1, keepdims=True))
        return exponentials / anp.sum(exponentials, axis=-1, keepdims=True)

    def conv(self, x, w, b, padding):
        filters, channels, size, _ = w.shape
        images, _, height, width = x.shape
        x = anp.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), "constant")
        taps = itertools.product(range(size), repeat=2)
        columns = anp.stack([x[:, :, i : i + height, j : j + width] for i, j in taps], axis=2)
        columns = anp.reshape(columns, (images, channels * size * size, height * width))
        out = anp.reshape(anp.matmul(anp.reshape(w, (filters, -1)), columns), (images, filters, height, width))
        return out if b is None else out + anp.reshape(b, (1, -1, 1, 1))

    def max_pool(self, x):
        images, channels, height, width = x.shape
        return anp.max(anp.reshape(x, (images, channels, height // 2, 2, width // 2, 2)), axis=(3, 5))


def plain(x: Any) -> Any:
    """Return the array in a box: for what needs no gradient."""
    return plain(x._value) if isinstance(x, Box) else x


class Runner:
    """Training steps of a workload."""

    def __init__(self, name: str, spec: Spec, learning_rate: float, variant: str = "") -> None:
        loss, ops = LOSSES[name], Ops(anp)
        self.params = {key: w.copy() for key, w in spec["params"].items()}
        self.value_and_grad = autograd.value_and_grad(lambda params: loss(ops, params, spec["x"], spec["y"]))
        self.update = Update(spec["opt"], self.params, learning_rate)

    def grads(self) -> tuple[float, dict[str, np.ndarray]]:
        loss, grads = self.value_and_grad(self.params)
        return float(loss), {name: np.array(g) for name, g in grads.items()}

    def step(self) -> Any:
        loss, grads = self.value_and_grad(self.params)
        self.update(grads)
        return loss

    def sync(self, loss: Any) -> float:
        return float(loss)


def graph(units: int) -> Callable[[], Any]:
    """Return a run, forward and backward, of a chain of three times so many ops on arrays of 4."""
    params = {"a": np.full(4, 0.9, np.float32), "b": np.full(4, 0.05, np.float32)}
    x = np.full(4, 0.3, np.float32)
    gradient = autograd.grad(lambda params: chain(Ops(anp), params, x, units=units))
    return lambda: gradient(params)
