"""Layers composed of NumPy's functions, for the peers that differentiate those: autograd and MyGrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..specs import EPS_NORM

__all__ = ["Composed"]

f32 = np.float32


class Composed:
    """The layers, in the functions of a module that has NumPy's names."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.tanh, self.sum = xp.tanh, xp.sum

    def affine(self, x, w, b):
        return self.xp.matmul(x, w) + b

    def relu(self, x):
        return self.xp.maximum(x, f32(0))

    def sigmoid(self, x):
        return f32(0.5) * (self.xp.tanh(f32(0.5) * x) + f32(1))

    def gelu(self, x):
        inner = f32(np.sqrt(2 / np.pi)) * (x + f32(0.044715) * x * x * x)
        return f32(0.5) * x * (f32(1) + self.xp.tanh(inner))

    def normalise(self, x, axes):
        x = x - self.xp.mean(x, axis=axes, keepdims=True)
        return x / self.xp.sqrt(self.xp.mean(x * x, axis=axes, keepdims=True) + f32(EPS_NORM))

    def batchnorm(self, x, gamma, beta):
        return self.normalise(x, 0) * gamma + beta

    def layernorm(self, x, gamma, beta):
        return self.normalise(x, -1) * gamma + beta

    def spatial_batchnorm(self, x, gamma, beta):
        return self.normalise(x, (0, 2, 3)) * gamma.reshape((1, -1, 1, 1)) + beta.reshape((1, -1, 1, 1))

    def rows_of_images(self, x):
        return x.reshape((len(x), -1))

    def embedding(self, w, x):
        return w[x]

    def softmax(self, scores):
        raise NotImplementedError

    def causal_attention(self, qkv, batch, heads):
        rows, width = qkv.shape[0], qkv.shape[1] // 3
        length, depth = rows // batch, width // heads
        split = qkv.reshape((batch, length, 3, heads, depth)).transpose((2, 0, 3, 1, 4))
        q, k, v = split[0], split[1], split[2]
        mask = np.triu(np.full((length, length), -1e9, f32), 1)
        weights = self.softmax(self.xp.matmul(q, k.transpose((0, 1, 3, 2))) * f32(depth**-0.5) + mask)
        return self.xp.matmul(weights, v).transpose((0, 2, 1, 3)).reshape((rows, width))

    def inputs_of_steps(self, x, Wx, b):
        """Return x @ Wx + b for all steps at once: (steps, batch, gates)."""
        batch, steps, inputs = x.shape
        rows = np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(steps * batch, inputs)
        return self.affine(rows, Wx, b).reshape((steps, batch, -1))

    def lstm(self, x, Wx, Wh, b):
        width = len(Wh)
        h = c = np.zeros((len(x), width), x.dtype)
        hidden, inputs = [], self.inputs_of_steps(x, Wx, b)
        for t in range(x.shape[1]):
            gates = inputs[t] + self.xp.matmul(h, Wh)
            i, f, o = (self.sigmoid(gates[:, k * width : (k + 1) * width]) for k in (0, 1, 3))
            c = f * c + i * self.xp.tanh(gates[:, 2 * width : 3 * width])
            h = o * self.xp.tanh(c)
            hidden.append(h)
        return self.xp.concatenate(hidden, axis=0)

    def rnn(self, x, Wx, Wh, b):
        h = np.zeros((len(x), len(Wh)), x.dtype)
        hidden, inputs = [], self.inputs_of_steps(x, Wx, b)
        for t in range(x.shape[1]):
            h = self.xp.tanh(inputs[t] + self.xp.matmul(h, Wh))
            hidden.append(h)
        return self.xp.concatenate(hidden, axis=0)
