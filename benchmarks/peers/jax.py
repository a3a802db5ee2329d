"""JAX on the CPU: the whole training step is one jitted function, and its state is donated.

Images have their channels last, which XLA's convolutions on the CPU are fastest with.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..specs import ADAM, EPS_NORM, MOMENTUM, Spec
from .networks import LOSSES

__all__ = ["Runner"]


class Ops:
    """The layers, in jax.numpy, jax.nn and jax.lax."""

    relu = staticmethod(jax.nn.relu)
    tanh = staticmethod(jnp.tanh)
    sum = staticmethod(jnp.sum)

    @staticmethod
    def affine(x, w, b):
        return x @ w + b

    @staticmethod
    def cross_entropy(scores, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], axis=1).mean()

    @staticmethod
    def batchnorm(x, gamma, beta):
        return normalise(x, 0) * gamma + beta

    @staticmethod
    def spatial_batchnorm(x, gamma, beta):
        return normalise(x, (0, 1, 2)) * gamma + beta

    @staticmethod
    def conv(x, w, b, padding):
        layout = ("NHWC", "OIHW", "NHWC")
        out = lax.conv_general_dilated(x, w, (1, 1), [(padding, padding)] * 2, dimension_numbers=layout)
        return out if b is None else out + b

    @staticmethod
    def max_pool(x):
        images, height, width, channels = x.shape
        return x.reshape(images, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))

    @staticmethod
    def rows_of_images(x):
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # in the order that the weights are in

    @staticmethod
    def embedding(w, x):
        return w[x]

    @staticmethod
    def layernorm(x, gamma, beta):
        return normalise(x, -1) * gamma + beta

    @staticmethod
    def gelu(x):
        return jax.nn.gelu(x, approximate=True)

    @staticmethod
    def causal_attention(qkv, batch, heads):
        rows, width = qkv.shape[0], qkv.shape[1] // 3
        length = rows // batch
        q, k, v = qkv.reshape(batch, length, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
        scores = jnp.einsum("bhid,bhjd->bhij", q, k) * (width // heads) ** -0.5
        scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -1e9)
        return jnp.einsum("bhij,bhjd->bhid", jax.nn.softmax(scores), v).transpose(0, 2, 1, 3).reshape(rows, width)

    @staticmethod
    def lstm(x, Wx, Wh, b):
        def cell(state, before):
            h, c = state
            i, f, g, o = jnp.split(before + h @ Wh, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = jnp.zeros((len(x), len(Wh)), x.dtype)
        _, hidden = lax.scan(cell, (start, start), x.transpose(1, 0, 2) @ Wx + b)
        return hidden.reshape(-1, len(Wh))

    @staticmethod
    def rnn(x, Wx, Wh, b):
        def cell(h, before):
            h = jnp.tanh(before + h @ Wh)
            return h, h

        _, hidden = lax.scan(cell, jnp.zeros((len(x), len(Wh)), x.dtype), x.transpose(1, 0, 2) @ Wx + b)
        return hidden.reshape(-1, len(Wh))


def normalise(x, axes):
    x = x - x.mean(axes, keepdims=True)
    return x * lax.rsqrt(jnp.square(x).mean(axes, keepdims=True) + EPS_NORM)


def updated(rule: str, learning_rate: float, params: Any, moments: Any, count: Any, grads: Any) -> tuple[Any, Any]:
    """Return the parameters and moments after a step of one of the rules."""
    each = jax.tree.map
    if rule == "none":
        return params, moments
    if rule == "sgd":
        return each(lambda w, g: w - learning_rate * g, params, grads), moments
    if rule == "mom":
        (velocity,) = moments
        velocity = each(lambda v, g: MOMENTUM * v + g, velocity, grads)
        return each(lambda w, v: w - learning_rate * v, params, velocity), (velocity,)
    beta1, beta2, epsilon = ADAM["beta1"], ADAM["beta2"], ADAM["epsilon"]
    mean, square = moments
    mean = each(lambda m, g: beta1 * m + (1 - beta1) * g, mean, grads)
    square = each(lambda v, g: beta2 * v + (1 - beta2) * g * g, square, grads)
    rate, root = learning_rate / (1 - beta1**count), lax.rsqrt(1 - beta2**count)
    params = each(lambda w, m, v: w - rate * m / (jnp.sqrt(v) * root + epsilon), params, mean, square)
    return params, (mean, square)


class Runner:
    """Training steps of a workload."""

    def __init__(self, name: str, spec: Spec, learning_rate: float, variant: str = "") -> None:
        loss, rule = LOSSES[name], spec["opt"]
        differentiate = jax.value_and_grad(lambda params, x, y: loss(Ops, params, x, y))

        def step(params, moments, count, x, y):
            value, grads = differentiate(params, x, y)
            params, moments = updated(rule, learning_rate, params, moments, count + 1, grads)
            return (params, moments, count + 1), (value, grads if rule == "none" else ())

        self.value_and_grad = jax.jit(differentiate)
        self.jitted = jax.jit(step, donate_argnums=(0, 1, 2))
        channels_last = spec["x"].transpose(0, 2, 3, 1) if spec["x"].ndim == 4 else spec["x"]
        self.x, self.y = jnp.array(channels_last), jnp.array(spec["y"])
        params = {key: jnp.array(w) for key, w in spec["params"].items()}
        kept = {"adam": 2, "mom": 1}.get(rule, 0)
        moments = tuple(jax.tree.map(jnp.zeros_like, params) for _ in range(kept))
        self.state = (params, moments, jnp.zeros((), jnp.float32))

    def grads(self) -> tuple[float, dict[str, np.ndarray]]:
        loss, grads = self.value_and_grad(self.state[0], self.x, self.y)
        return float(loss), {name: np.array(g) for name, g in grads.items()}

    def step(self) -> Any:
        self.state, results = self.jitted(*self.state, self.x, self.y)
        return results

    def sync(self, results: Any) -> float:
        jax.block_until_ready((self.state, results))
        return float(results[0])
