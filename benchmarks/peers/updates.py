"""The update rules on NumPy arrays, in place, for the systems that have none of their own."""

from __future__ import annotations

import math

import numpy as np

from ..specs import ADAM, MOMENTUM

__all__ = ["Update"]

Arrays = dict[str, np.ndarray]


class Update:
    """One of the rules sgd, mom and adam, parameter by parameter, without new arrays; none does nothing."""

    def __init__(self, rule: str, params: Arrays, learning_rate: float) -> None:
        self.params, self.learning_rate, self.steps = params, learning_rate, 0
        self.apply = {"sgd": self._sgd, "mom": self._momentum, "adam": self._adam, "none": self._none}[rule]
        self.scratch, self.mean, self.square = ({k: np.zeros_like(w) for k, w in params.items()} for _ in range(3))

    def __call__(self, grads: Arrays) -> None:
        self.steps += 1
        for name, w in self.params.items():
            self.apply(name, w, grads[name])

    def _none(self, name: str, w: np.ndarray, g: np.ndarray) -> None:
        pass

    def _sgd(self, name: str, w: np.ndarray, g: np.ndarray) -> None:
        w -= np.multiply(g, self.learning_rate, out=self.scratch[name])

    def _momentum(self, name: str, w: np.ndarray, g: np.ndarray) -> None:
        velocity = self.mean[name]
        velocity *= MOMENTUM
        velocity += g
        w -= np.multiply(velocity, self.learning_rate, out=self.scratch[name])

    def _adam(self, name: str, w: np.ndarray, g: np.ndarray) -> None:
        m, v, scratch = self.mean[name], self.square[name], self.scratch[name]
        beta1, beta2 = ADAM["beta1"], ADAM["beta2"]
        m *= beta1
        m += np.multiply(g, 1 - beta1, out=scratch)
        v *= beta2
        np.multiply(g, g, out=scratch)
        scratch *= 1 - beta2
        v += scratch
        np.sqrt(v, out=scratch)
        scratch *= 1 / math.sqrt(1 - beta2**self.steps)
        scratch += ADAM["epsilon"]
        np.divide(m, scratch, out=scratch)
        scratch *= self.learning_rate / (1 - beta1**self.steps)
        w -= scratch
