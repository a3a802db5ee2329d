"""MyGrad, with its own layers, and its memory guarding off, as its documentation advises for speed.

Updates are NumPy's, in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mygrad
import numpy as np
from mygrad.nnet import activations, layers, losses

from ..specs import EPS_NORM, Spec
from .composed import Composed
from .networks import LOSSES, chain
from .updates import Update

__all__ = ["Runner"]


class Ops(Composed):
    """The layers that MyGrad has itself."""

    relu = staticmethod(activations.relu)
    sigmoid = staticmethod(activations.sigmoid)
    cross_entropy = staticmethod(losses.softmax_crossentropy)

    def softmax(self, scores):
        return activations.softmax(scores, axis=-1)

    def batchnorm(self, x, gamma, beta):
        return layers.batchnorm(x, gamma=gamma, beta=beta, eps=EPS_NORM)

    spatial_batchnorm = batchnorm

    def conv(self, x, w, b, padding):
        out = layers.conv_nd(x, w, stride=1, padding=padding)
        return out if b is None else out + b.reshape(1, -1, 1, 1)

    def max_pool(self, x):
        return layers.max_pool(x, (2, 2), 2)


class Runner:
    """Training steps of a workload."""

    def __init__(self, name: str, spec: Spec, learning_rate: float, variant: str = "") -> None:
        mygrad.turn_memory_guarding_off()
        self.loss, self.ops = LOSSES[name], Ops(mygrad)
        self.params = {key: mygrad.tensor(w.copy()) for key, w in spec["params"].items()}
        self.x, self.y = spec["x"], spec["y"]
        self.update = Update(spec["opt"], {name: w.data for name, w in self.params.items()}, learning_rate)

    def _backward(self) -> Any:
        loss = self.loss(self.ops, self.params, self.x, self.y)
        loss.backward()
        return loss

    def grads(self) -> tuple[float, dict[str, np.ndarray]]:
        loss = self._backward()
        return float(loss.data), {name: w.grad.copy() for name, w in self.params.items()}

    def step(self) -> Any:
        loss = self._backward()
        self.update({name: w.grad for name, w in self.params.items()})
        return loss

    def sync(self, loss: Any) -> float:
        return float(loss.data)


def graph(units: int) -> Callable[[], Any]:
    """Return a run, forward and backward, of a chain of three times so many ops on arrays of 4."""
    mygrad.turn_memory_guarding_off()
    a, b = (mygrad.tensor(np.full(4, value, np.float32)) for value in (0.9, 0.05))

    def run() -> Any:
        chain(Ops(mygrad), {"a": a, "b": b}, np.full(4, 0.3, np.float32), units=units).backward()
        return a.grad, b.grad

    return run
