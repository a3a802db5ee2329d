"""The networks that the benchmarks time, as ordinary minigrad models: W1 to W8.

| | what |
|---|---|
| W1 | two-layer MLP 3072-100-10, batch 100, SGD |
| W2 | five-layer MLP 3072-[100]x5-10 with batch normalisation, batch 100, Adam |
| W3 | tiny MLP 64-32-10, batch 16, momentum |
| W4 | ThreeLayerConvNet 3x32x32, 32 filters 7x7, batch 50, Adam |
| W5 | [conv3x3 - BN - ReLU] x 2 - pool, twice, 32 and 64 channels, batch 64, Adam |
| W6, W6r | LSTM and vanilla RNN, T=20 N=64 D=128 H=256, softmax over 1000 words each step, Adam |
| W7 | 2-layer transformer, d=128, 4 heads, T=64, batch 16, Adam |
| W8, W8s | 999 chained elementwise ops on shape (4,) and on scalars, forward and backward |

Each takes its parameters from a dict, so that every system computes with the same numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import minigrad as mg

__all__ = ["WORKLOADS"]


class Workload(mg.Model):
    """A model whose parameters are given; its loss is the mean softmax loss of all rows."""

    silenced = (mg.BiasBeforeNormWarning, mg.DeadUnitsWarning, mg.UnnormalisedInputWarning)

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = {name: w.copy() for name, w in params.items()}

    def data_loss(self, params: dict[str, Any], X: Any, y: Any) -> Any:
        return mg.softmax_loss(self.apply(params, X, train=True), y.reshape(-1))

    def as_given(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """Return parameters, or their gradients, in the order in which the parameters were given."""
        return arrays


class W1(Workload):
    def forward(self, p: dict[str, Any], x: Any) -> Any:
        return mg.affine(mg.relu(mg.affine(x, p["W1"], p["b1"])), p["W2"], p["b2"])


class W2(Workload):
    def forward(self, p: dict[str, Any], x: Any) -> Any:
        for i in range(5):
            x = mg.relu(mg.batchnorm(mg.affine(x, p[f"W{i}"], p[f"b{i}"]), p[f"g{i}"], p[f"h{i}"]))
        return mg.affine(x, p["W5"], p["b5"])


class W3(W1):
    pass


class W4(Workload):
    def forward(self, p: dict[str, Any], x: Any) -> Any:
        x = mg.max_pool2d(mg.relu(mg.conv2d(x, p["K"], p["kb"], padding=3)), 2)
        return mg.affine(mg.relu(mg.affine(x, p["W1"], p["b1"])), p["W2"], p["b2"])


class W5(Workload):
    def forward(self, p: dict[str, Any], x: Any) -> Any:
        for i in range(4):
            x = mg.relu(mg.spatial_batchnorm(mg.conv2d(x, p[f"K{i}"], padding=1), p[f"g{i}"], p[f"h{i}"]))
            if i % 2:
                x = mg.max_pool2d(x, 2)
        return mg.affine(x, p["W"], p["b"])


class W6(Workload):
    """The gates come as i, f, g, o, and are i, f, o, g here."""

    cell = staticmethod(mg.lstm)

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__(self.as_given(params))

    def as_given(self, arrays: dict[str, Any]) -> dict[str, Any]:
        width = len(arrays["Wh"])
        order = np.r_[: 2 * width, 3 * width : 4 * width, 2 * width : 3 * width]  # its own inverse
        return {**arrays, **{name: arrays[name][..., order] for name in ("Wx", "Wh", "b")}}

    def forward(self, p: dict[str, Any], x: Any) -> Any:
        h = self.cell(x, np.zeros((len(x), len(p["Wh"])), x.dtype), p["Wx"], p["Wh"], p["b"])
        return mg.affine(h.reshape(-1, h.shape[2]), p["Wv"], p["bv"])


class W6r(W6):
    cell = staticmethod(mg.rnn)

    def as_given(self, arrays: dict[str, Any]) -> dict[str, Any]:
        return arrays


class W7(Workload):
    def forward(self, p: dict[str, Any], x: Any) -> Any:
        (batch, length), width, heads = x.shape, p["tok"].shape[1], 4
        h = (mg.embedding(p["tok"], x) + p["pos"]).reshape(batch * length, width)
        for i in range(2):
            qkv = mg.affine(mg.layernorm(h, p[f"g1{i}"], p[f"h1{i}"]), p[f"Wqkv{i}"], p[f"bqkv{i}"])
            q, k, v = qkv.reshape(batch, length, 3, heads, width // heads).transpose(2, 0, 3, 1, 4)
            seen = mg.attention(q, k, v, causal=True).transpose(0, 2, 1, 3).reshape(batch * length, width)
            h = h + mg.affine(seen, p[f"Wo{i}"], p[f"bo{i}"])
            wide = mg.affine(mg.layernorm(h, p[f"g2{i}"], p[f"h2{i}"]), p[f"Wa{i}"], p[f"ba{i}"])
            h = h + mg.affine(mg.gelu(wide, approximate="tanh"), p[f"Wb{i}"], p[f"bb{i}"])
        return mg.affine(mg.layernorm(h, p["gf"], p["hf"]), p["Wv"], p["bv"])


class W8(Workload):
    def forward(self, p: dict[str, Any], x: Any) -> Any:
        for _ in range(333):
            x = p["a"] * np.tanh(x) + p["b"]
        return np.sum(x)

    def data_loss(self, params: dict[str, Any], X: Any, y: Any) -> Any:
        return self.apply(params, X, train=True)


WORKLOADS = {"W1": W1, "W2": W2, "W3": W3, "W4": W4, "W5": W5, "W6": W6, "W6r": W6r, "W7": W7, "W8": W8, "W8s": W8}
