"""The workloads' losses, once for all peers that differentiate: ``LOSSES[name](ops, params, x, y)``.

``ops`` is the peer's layers. Recurrent layers give the hidden states of all steps as rows, the steps one after the
other (time-major), so the labels are put into that order.
"""

from __future__ import annotations

from typing import Any

from ..specs import CHAIN_UNITS, HEADS

__all__ = ["LOSSES"]


def mlp(ops: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    hidden = ops.relu(ops.affine(x, p["W1"], p["b1"]))
    return ops.cross_entropy(ops.affine(hidden, p["W2"], p["b2"]), y)


def batchnorm_mlp(ops: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    for i in range(5):
        x = ops.relu(ops.batchnorm(ops.affine(x, p[f"W{i}"], p[f"b{i}"]), p[f"g{i}"], p[f"h{i}"]))
    return ops.cross_entropy(ops.affine(x, p["W5"], p["b5"]), y)


def three_layer_convnet(ops: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    x = ops.max_pool(ops.relu(ops.conv(x, p["K"], p["kb"], padding=3)))
    return mlp(ops, p, ops.rows_of_images(x), y)


def batchnorm_convnet(ops: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    for i in range(4):
        x = ops.relu(ops.spatial_batchnorm(ops.conv(x, p[f"K{i}"], None, padding=1), p[f"g{i}"], p[f"h{i}"]))
        if i % 2:
            x = ops.max_pool(x)
    return ops.cross_entropy(ops.affine(ops.rows_of_images(x), p["W"], p["b"]), y)


def lstm(ops: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    hidden = ops.lstm(x, p["Wx"], p["Wh"], p["b"])
    return ops.cross_entropy(ops.affine(hidden, p["Wv"], p["bv"]), y.T.reshape(-1))


def rnn(ops: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    hidden = ops.rnn(x, p["Wx"], p["Wh"], p["b"])
    return ops.cross_entropy(ops.affine(hidden, p["Wv"], p["bv"]), y.T.reshape(-1))


def transformer(ops: Any, p: dict[str, Any], x: Any, y: Any) -> Any:
    batch, length = x.shape
    h = (ops.embedding(p["tok"], x) + p["pos"]).reshape((batch * length, -1))
    for i in range(2):
        qkv = ops.affine(ops.layernorm(h, p[f"g1{i}"], p[f"h1{i}"]), p[f"Wqkv{i}"], p[f"bqkv{i}"])
        h = h + ops.affine(ops.causal_attention(qkv, batch, HEADS), p[f"Wo{i}"], p[f"bo{i}"])
        wide = ops.affine(ops.layernorm(h, p[f"g2{i}"], p[f"h2{i}"]), p[f"Wa{i}"], p[f"ba{i}"])
        h = h + ops.affine(ops.gelu(wide), p[f"Wb{i}"], p[f"bb{i}"])
    return ops.cross_entropy(ops.affine(ops.layernorm(h, p["gf"], p["hf"]), p["Wv"], p["bv"]), y.reshape(-1))


def chain(ops: Any, p: dict[str, Any], x: Any, y: Any = None, units: int = CHAIN_UNITS) -> Any:
    a, b = p["a"], p["b"]
    for _ in range(units):
        x = a * ops.tanh(x) + b
    return ops.sum(x)


LOSSES = {
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
