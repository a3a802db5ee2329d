"""NumPy by hand: forward and backward pass of every workload as CS231n's assignments have them, written with care.

Each layer is a function and its backward; convolution is im2col, one product, and col2im. Temporary arrays are reused
where that is plain to see. This is what the other systems have to agree with, and what their times are divided by.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..specs import CHAIN_UNITS, EPS_NORM, HEADS, Spec
from .updates import Update

__all__ = ["Runner"]

Array = np.ndarray
Arrays = dict[str, Array]
f32 = np.float32


def affine(x: Array, w: Array, b: Array) -> Array:
    out = x @ w
    out += b
    return out


def affine_backward(d: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    return d @ w.T, x.T @ d, d.sum(axis=0)


def cross_entropy(scores: Array, y: Array) -> tuple[Array, Array]:
    """Return the mean loss and its gradient; the scores are overwritten."""
    rows = np.arange(len(y))
    scores -= scores.max(axis=1, keepdims=True)
    right = scores[rows, y]
    d = np.exp(scores, out=scores)
    total = d.sum(axis=1, keepdims=True)
    loss = (np.log(total).sum() - right.sum()) / len(y)
    d /= total
    d[rows, y] -= 1
    d *= f32(1 / len(y))
    return loss, d


def batchnorm(x: Array, gamma: Array, beta: Array) -> tuple[Array, Any]:
    """Normalise each column, or each channel of images; x is overwritten."""
    axes = (0, *range(2, x.ndim))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    gamma, count = gamma.reshape(shape), f32(x.size // gamma.size)
    x -= x.mean(axis=axes, keepdims=True)
    variance = per_channel(x, x).reshape(shape) / count
    scale = 1 / np.sqrt(variance + f32(EPS_NORM))
    x *= scale
    out = x * gamma
    out += beta.reshape(shape)
    return out, (x, gamma, scale, count, axes)


def batchnorm_backward(d: Array, cache: Any) -> tuple[Array, Array, Array]:
    normal, gamma, scale, count, axes = cache
    dgamma, dbeta = per_channel(d, normal), d.sum(axis=axes)
    dx = normal * (-dgamma / count).reshape(gamma.shape)
    dx += d
    dx -= (dbeta / count).reshape(gamma.shape)
    dx *= gamma * scale
    return dx, dgamma, dbeta


def per_channel(a: Array, b: Array) -> Array:
    """Return the sums of a * b over everything but axis 1."""
    return np.einsum("nc,nc->c", a, b) if a.ndim == 2 else np.einsum("nchw,nchw->c", a, b)


def conv(x: Array, w: Array, padding: int) -> tuple[Array, Any]:
    filters, channels, size, _ = w.shape
    images, _, height, width = x.shape
    padded = np.zeros((images, channels, height + 2 * padding, width + 2 * padding), x.dtype)
    padded[:, :, padding:-padding, padding:-padding] = x
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    columns = windows.transpose(0, 1, 4, 5, 2, 3).reshape(images, channels * size * size, height * width)
    out = np.matmul(w.reshape(filters, -1), columns).reshape(images, filters, height, width)
    return out, (columns, w, x.shape, padding)


def conv_backward(d: Array, cache: Any, with_dx: bool = True) -> tuple[Array | None, Array]:
    columns, w, (images, channels, height, width), padding = cache
    filters, _, size, _ = w.shape
    d = d.reshape(images, filters, height * width)
    dw = np.matmul(d, columns.transpose(0, 2, 1)).sum(axis=0).reshape(w.shape)
    if not with_dx:
        return None, dw
    spread = np.matmul(w.reshape(filters, -1).T, d).reshape(images, channels, size, size, height, width)
    padded = np.zeros((images, channels, height + 2 * padding, width + 2 * padding), d.dtype)
    for i, j in itertools.product(range(size), repeat=2):
        padded[:, :, i : i + height, j : j + width] += spread[:, :, i, j]
    return padded[:, :, padding:-padding, padding:-padding], dw


def max_pool(x: Array) -> Array:
    """Take the maximum of each 2x2 square."""
    upper, lower = x[:, :, ::2], x[:, :, 1::2]
    return np.maximum(np.maximum(upper[..., ::2], upper[..., 1::2]), np.maximum(lower[..., ::2], lower[..., 1::2]))


def max_pool_backward(d: Array, x: Array, out: Array) -> Array:
    dx = np.empty_like(x)
    for i, j in itertools.product(range(2), repeat=2):
        np.multiply(x[:, :, i::2, j::2] == out, d, out=dx[:, :, i::2, j::2])
    return dx


def layernorm(x: Array, gamma: Array, beta: Array) -> tuple[Array, Any]:
    normal = x - x.mean(axis=1, keepdims=True)
    variance = np.einsum("nd,nd->n", normal, normal)[:, None] / f32(x.shape[1])
    scale = 1 / np.sqrt(variance + f32(EPS_NORM))
    normal *= scale
    out = normal * gamma
    out += beta
    return out, (normal, gamma, scale)


def layernorm_backward(d: Array, cache: Any) -> tuple[Array, Array, Array]:
    normal, gamma, scale = cache
    dgamma, dbeta = np.einsum("nd,nd->d", d, normal), d.sum(axis=0)
    dx = d * gamma
    along = np.einsum("nd,nd->n", dx, normal)[:, None] / f32(d.shape[1])
    dx -= dx.mean(axis=1, keepdims=True)
    dx -= normal * along
    dx *= scale
    return dx, dgamma, dbeta


GELU_OUTER, GELU_INNER = f32(np.sqrt(2 / np.pi)), f32(0.044715)


def gelu(x: Array) -> tuple[Array, Any]:
    """Return 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
    squared = x * x
    t = squared * GELU_INNER
    t += 1
    t *= x
    t *= GELU_OUTER
    np.tanh(t, out=t)
    return f32(0.5) * x * (1 + t), (x, squared, t)


def gelu_backward(d: Array, cache: Any) -> Array:
    x, squared, t = cache
    dx = squared * (3 * GELU_INNER)
    dx += 1
    dx *= GELU_OUTER
    dx *= x
    dx *= 1 - t * t
    dx += 1
    dx += t
    dx *= f32(0.5)
    dx *= d
    return dx


def causal_attention(qkv: Array, batch: int) -> tuple[Array, Any]:
    length, width = len(qkv) // batch, qkv.shape[1] // 3
    split = qkv.reshape(batch, length, 3, HEADS, width // HEADS).transpose(2, 0, 3, 1, 4)
    q, k, v = split = np.ascontiguousarray(split)
    scale = f32((width // HEADS) ** -0.5)
    weights = q @ k.transpose(0, 1, 3, 2)
    weights *= scale
    weights += np.triu(np.full((length, length), -1e9, f32), 1)
    weights -= weights.max(axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=-1, keepdims=True)
    out = weights @ v
    return out.transpose(0, 2, 1, 3).reshape(batch * length, width), (split, weights, scale)


def causal_attention_backward(d: Array, cache: Any) -> Array:
    (q, k, v), weights, scale = cache
    batch, heads, length, depth = q.shape
    d = np.ascontiguousarray(d.reshape(batch, length, heads, depth).transpose(0, 2, 1, 3))
    dsplit = np.empty((3, *q.shape), q.dtype)
    np.matmul(weights.transpose(0, 1, 3, 2), d, out=dsplit[2])
    dscores = d @ v.transpose(0, 1, 3, 2)
    dscores -= np.einsum("bhij,bhij->bhi", dscores, weights)[..., None]
    dscores *= weights
    dscores *= scale
    np.matmul(dscores, k, out=dsplit[0])
    np.matmul(dscores.transpose(0, 1, 3, 2), q, out=dsplit[1])
    return dsplit.transpose(1, 3, 0, 2, 4).reshape(batch * length, 3 * heads * depth)


def sigmoid(x: Array) -> None:
    """Overwrite x with 1 / (1 + exp(-x)), by the tangent, which does not overflow."""
    x *= f32(0.5)
    np.tanh(x, out=x)
    x += 1
    x *= f32(0.5)


def mlp(p: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    hidden = affine(x, p["W1"], p["b1"])
    np.maximum(hidden, 0, out=hidden)
    loss, d = cross_entropy(affine(hidden, p["W2"], p["b2"]), y)
    d, dW2, db2 = affine_backward(d, hidden, p["W2"])
    d *= hidden > 0
    return loss, {"W1": x.T @ d, "b1": d.sum(axis=0), "W2": dW2, "b2": db2}


def batchnorm_mlp(p: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    kept = []
    for i in range(5):
        out, cache = batchnorm(affine(x, p[f"W{i}"], p[f"b{i}"]), p[f"g{i}"], p[f"h{i}"])
        np.maximum(out, 0, out=out)
        kept.append((x, cache, out))
        x = out
    loss, d = cross_entropy(affine(x, p["W5"], p["b5"]), y)
    g: Arrays = {}
    d, g["W5"], g["b5"] = affine_backward(d, x, p["W5"])
    for i in reversed(range(5)):
        x, cache, out = kept[i]
        d *= out > 0
        d, g[f"g{i}"], g[f"h{i}"] = batchnorm_backward(d, cache)
        g[f"W{i}"], g[f"b{i}"] = x.T @ d, d.sum(axis=0)
        if i:
            d = d @ p[f"W{i}"].T
    return loss, g


def three_layer_convnet(p: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    images, cache = conv(x, p["K"], padding=3)
    images += p["kb"][:, None, None]
    np.maximum(images, 0, out=images)
    pooled = max_pool(images)
    rows = pooled.reshape(len(x), -1)
    hidden = affine(rows, p["W1"], p["b1"])
    np.maximum(hidden, 0, out=hidden)
    loss, d = cross_entropy(affine(hidden, p["W2"], p["b2"]), y)
    g: Arrays = {}
    d, g["W2"], g["b2"] = affine_backward(d, hidden, p["W2"])
    d *= hidden > 0
    d, g["W1"], g["b1"] = affine_backward(d, rows, p["W1"])
    d = max_pool_backward(d.reshape(pooled.shape), images, pooled)
    d *= images > 0
    g["kb"] = d.sum(axis=(0, 2, 3))
    _, g["K"] = conv_backward(d, cache, with_dx=False)
    return loss, g


def batchnorm_convnet(p: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    kept = []
    for i in range(4):
        images, conv_cache = conv(x, p[f"K{i}"], padding=1)
        out, norm_cache = batchnorm(images, p[f"g{i}"], p[f"h{i}"])
        np.maximum(out, 0, out=out)
        x = max_pool(out) if i % 2 else out
        kept.append((conv_cache, norm_cache, out, x))
    rows = x.reshape(len(x), -1)
    loss, d = cross_entropy(affine(rows, p["W"], p["b"]), y)
    g: Arrays = {}
    d, g["W"], g["b"] = affine_backward(d, rows, p["W"])
    d = d.reshape(x.shape)
    for i in reversed(range(4)):
        conv_cache, norm_cache, out, x = kept[i]
        if i % 2:
            d = max_pool_backward(d, out, x)
        d *= out > 0
        d, g[f"g{i}"], g[f"h{i}"] = batchnorm_backward(d, norm_cache)
        d, g[f"K{i}"] = conv_backward(d, conv_cache, with_dx=i > 0)
    return loss, g


def lstm(p: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    batch, steps, _ = x.shape
    width = len(p["Wh"])
    i, f, g, o = (slice(k * width, (k + 1) * width) for k in range(4))
    x = np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(steps * batch, -1)
    gates = affine(x, p["Wx"], p["b"]).reshape(steps, batch, 4 * width)
    h = np.zeros((steps + 1, batch, width), x.dtype)
    c = np.zeros((steps + 1, batch, width), x.dtype)
    tanh_c = np.empty((steps, batch, width), x.dtype)
    for t in range(steps):
        gate = gates[t]
        gate += h[t] @ p["Wh"]
        sigmoid(gate[:, : 2 * width])
        np.tanh(gate[:, g], out=gate[:, g])
        sigmoid(gate[:, o])
        np.multiply(gate[:, f], c[t], out=c[t + 1])
        c[t + 1] += gate[:, i] * gate[:, g]
        np.tanh(c[t + 1], out=tanh_c[t])
        np.multiply(gate[:, o], tanh_c[t], out=h[t + 1])
    rows = h[1:].reshape(steps * batch, width)
    loss, d = cross_entropy(affine(rows, p["Wv"], p["bv"]), y.T.reshape(-1))
    d, dWv, dbv = affine_backward(d, rows, p["Wv"])
    dh_all, dgates = d.reshape(steps, batch, width), np.empty_like(gates)
    dc = np.zeros((batch, width), x.dtype)
    for t in reversed(range(steps)):
        gate, dgate, dh = gates[t], dgates[t], dh_all[t]
        if t + 1 < steps:
            dh += dgates[t + 1] @ p["Wh"].T
        dc += dh * gate[:, o] * (1 - tanh_c[t] * tanh_c[t])
        np.multiply(dc, gate[:, g], out=dgate[:, i])
        np.multiply(dc, c[t], out=dgate[:, f])
        np.multiply(dc, gate[:, i], out=dgate[:, g])
        np.multiply(dh, tanh_c[t], out=dgate[:, o])
        dgate[:, : 2 * width] *= gate[:, : 2 * width] * (1 - gate[:, : 2 * width])
        dgate[:, g] *= 1 - gate[:, g] * gate[:, g]
        dgate[:, o] *= gate[:, o] * (1 - gate[:, o])
        dc *= gate[:, f]
    dgates = dgates.reshape(steps * batch, -1)
    dWh = h[:-1].reshape(steps * batch, width).T @ dgates
    return loss, {"Wx": x.T @ dgates, "Wh": dWh, "b": dgates.sum(axis=0), "Wv": dWv, "bv": dbv}


def rnn(p: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    batch, steps, _ = x.shape
    width = len(p["Wh"])
    x = np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(steps * batch, -1)
    before = affine(x, p["Wx"], p["b"]).reshape(steps, batch, width)
    h = np.zeros((steps + 1, batch, width), x.dtype)
    for t in range(steps):
        before[t] += h[t] @ p["Wh"]
        np.tanh(before[t], out=h[t + 1])
    rows = h[1:].reshape(steps * batch, width)
    loss, d = cross_entropy(affine(rows, p["Wv"], p["bv"]), y.T.reshape(-1))
    d, dWv, dbv = affine_backward(d, rows, p["Wv"])
    d = d.reshape(steps, batch, width)
    for t in reversed(range(steps)):
        if t + 1 < steps:
            d[t] += d[t + 1] @ p["Wh"].T
        d[t] *= 1 - h[t + 1] * h[t + 1]
    d = d.reshape(steps * batch, width)
    dWh = h[:-1].reshape(steps * batch, width).T @ d
    return loss, {"Wx": x.T @ d, "Wh": dWh, "b": d.sum(axis=0), "Wv": dWv, "bv": dbv}


def transformer(p: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    batch, length = x.shape
    h = (p["tok"][x] + p["pos"]).reshape(batch * length, -1)
    kept = []
    for i in range(2):
        normal1, norm1 = layernorm(h, p[f"g1{i}"], p[f"h1{i}"])
        seen, heads = causal_attention(affine(normal1, p[f"Wqkv{i}"], p[f"bqkv{i}"]), batch)
        h = affine(seen, p[f"Wo{i}"], p[f"bo{i}"]) + h
        normal2, norm2 = layernorm(h, p[f"g2{i}"], p[f"h2{i}"])
        wide, bent = gelu(affine(normal2, p[f"Wa{i}"], p[f"ba{i}"]))
        h = affine(wide, p[f"Wb{i}"], p[f"bb{i}"]) + h
        kept.append((normal1, norm1, seen, heads, normal2, norm2, wide, bent))
    normal, norm = layernorm(h, p["gf"], p["hf"])
    loss, d = cross_entropy(affine(normal, p["Wv"], p["bv"]), y.reshape(-1))
    g: Arrays = {}
    d, g["Wv"], g["bv"] = affine_backward(d, normal, p["Wv"])
    d, g["gf"], g["hf"] = layernorm_backward(d, norm)
    for i in reversed(range(2)):
        normal1, norm1, seen, heads, normal2, norm2, wide, bent = kept[i]
        branch, g[f"Wb{i}"], g[f"bb{i}"] = affine_backward(d, wide, p[f"Wb{i}"])
        branch, g[f"Wa{i}"], g[f"ba{i}"] = affine_backward(gelu_backward(branch, bent), normal2, p[f"Wa{i}"])
        branch, g[f"g2{i}"], g[f"h2{i}"] = layernorm_backward(branch, norm2)
        d += branch
        branch, g[f"Wo{i}"], g[f"bo{i}"] = affine_backward(d, seen, p[f"Wo{i}"])
        branch = causal_attention_backward(branch, heads)
        branch, g[f"Wqkv{i}"], g[f"bqkv{i}"] = affine_backward(branch, normal1, p[f"Wqkv{i}"])
        branch, g[f"g1{i}"], g[f"h1{i}"] = layernorm_backward(branch, norm1)
        d += branch
    g["pos"] = d.reshape(batch, length, -1).sum(axis=0)
    which = np.zeros((len(p["tok"]), batch * length), d.dtype)  # adding rows up as a product: faster than np.add.at
    which[x.reshape(-1), np.arange(batch * length)] = 1
    g["tok"] = which @ d
    return loss, g


def chain(p: Arrays, x: Array, y: Array | None = None, units: int = CHAIN_UNITS) -> tuple[Any, Arrays]:
    a, b = p["a"], p["b"]
    kept = []
    for _ in range(units):
        t = np.tanh(x)
        kept.append(t)
        x = a * t + b
    d = np.ones_like(x)
    da, db = np.zeros_like(a), np.zeros_like(b)
    for t in reversed(kept):
        db = db + d
        da = da + d * t
        d = (d * a) * (1 - t * t)
    return x.sum(), {"a": da, "b": db}


PASSES: dict[str, Callable[[Arrays, Array, Array], tuple[Any, Arrays]]] = {
    "W1": mlp,
    "W2": batchnorm_mlp,
    "W3": mlp,
    "W4": three_layer_convnet,
    "W5": batchnorm_convnet,
    "W6": lstm,
    "W6r": rnn,
    "W7": transformer,
    "W8": chain,
    "W8s": chain,
}


class Runner:
    """Training steps of a workload."""

    def __init__(self, name: str, spec: Spec, learning_rate: float, variant: str = "") -> None:
        self.forward_backward = PASSES[name]
        self.params = {key: w.copy() for key, w in spec["params"].items()}
        self.x, self.y = spec["x"], spec["y"]
        self.update = Update(spec["opt"], self.params, learning_rate)

    def grads(self) -> tuple[float, Arrays]:
        loss, grads = self.forward_backward(self.params, self.x, self.y)
        return float(loss), {name: np.array(g) for name, g in grads.items()}

    def step(self) -> Any:
        loss, grads = self.forward_backward(self.params, self.x, self.y)
        self.update(grads)
        return loss

    def sync(self, loss: Any) -> float:
        return float(loss)


def graph(units: int) -> Callable[[], Any]:
    """Return a run, forward and backward, of a chain of three times so many ops on arrays of 4."""
    params = {"a": np.full(4, 0.9, f32), "b": np.full(4, 0.05, f32)}
    return lambda: chain(params, np.full(4, 0.3, f32), units=units)
