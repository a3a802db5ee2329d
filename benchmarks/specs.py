"""What is computed: the workloads' shapes and data, the same numbers for every system, float32.

======  ==========================================================================================================
W1      two-layer MLP 3072-100-10, batch 100, SGD
W2      five-layer MLP 3072-[100]x5-10 with batch normalisation, batch 100, Adam
W3      tiny MLP 64-32-10, batch 16, momentum: call overhead
W4      three-layer convnet on 3x32x32, 32 filters 7x7, batch 50, Adam
W5      [conv 3x3 - BN - ReLU] x 2 - pool, twice, with 32 and 64 filters, then affine, batch 64, Adam
W6      LSTM, 20 steps, batch 64, 128 inputs, 256 units, softmax over 1000 words each step, Adam
W6r     the same with a vanilla RNN
W7      transformer, 2 blocks, width 128, 4 heads, 64 tokens, batch 16, 256 words, Adam
W8      999 chained elementwise ops on shape (4,), forward and backward, no update: cost per op
W8s     the same on scalars
======  ==========================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np

__all__ = ["ADAM", "CHAIN_OPS", "CHAIN_UNITS", "EPS_NORM", "HEADS", "MOMENTUM", "WORKLOADS", "Spec", "first", "make"]

CHAIN_UNITS = 333
"""How often W8 repeats ``x = a * tanh(x) + b``."""
CHAIN_OPS = 3 * CHAIN_UNITS
HEADS = 4
EPS_NORM = 1e-5
MOMENTUM = 0.9
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}

Params = dict[str, np.ndarray]
Made = tuple[Params, Any, Any, str]


class Spec(TypedDict):
    """A workload: parameters by name, inputs, labels, and the update rule: sgd, mom, adam or none."""

    params: Params
    x: np.ndarray
    y: np.ndarray
    opt: str


def make(name: str, seed: int = 0) -> Spec:
    """Return a workload's numbers; they are the same at every call."""
    if name not in WORKLOADS:
        raise ValueError(f"a workload is one of {', '.join(WORKLOADS)}, and {name!r} came")
    params, x, y, rule = WORKLOADS[name](np.random.default_rng(seed))
    x = np.asarray(x)
    return Spec(
        params={key: np.asarray(w, np.float32) for key, w in params.items()},
        x=x.astype(np.float32 if x.dtype.kind == "f" else np.int64),
        y=np.asarray(y, np.int64),
        opt=rule,
    )


def first(spec: Spec, samples: int) -> Spec:
    """Return the workload with the first samples of its batch only."""
    return spec if spec["opt"] == "none" else Spec(**{**spec, "x": spec["x"][:samples], "y": spec["y"][:samples]})


def mlp(rng: np.random.Generator, sizes: tuple[int, int, int], batch: int, rule: str) -> Made:
    inputs, hidden, classes = sizes
    params = {
        "W1": he(rng, inputs, hidden),
        "b1": np.zeros(hidden),
        "W2": he(rng, hidden, classes),
        "b2": np.zeros(classes),
    }
    return params, rng.standard_normal((batch, inputs)), rng.integers(0, classes, batch), rule


def batchnorm_mlp(rng: np.random.Generator, batch: int = 100) -> Made:
    sizes = [3072, *[100] * 5, 10]
    params: Params = {}
    for i, (rows, columns) in enumerate(zip(sizes, sizes[1:])):
        params |= {f"W{i}": he(rng, rows, columns), f"b{i}": np.zeros(columns)}
        if columns != sizes[-1]:
            params |= {f"g{i}": np.ones(columns), f"h{i}": np.zeros(columns)}
    return params, rng.standard_normal((batch, sizes[0])), rng.integers(0, sizes[-1], batch), "adam"


def three_layer_convnet(rng: np.random.Generator, batch: int = 50) -> Made:
    params = {
        "K": 0.1 * rng.standard_normal((32, 3, 7, 7)),
        "kb": np.zeros(32),
        "W1": he(rng, 32 * 16 * 16, 100),
        "b1": np.zeros(100),
        "W2": he(rng, 100, 10),
        "b2": np.zeros(10),
    }
    return params, rng.standard_normal((batch, 3, 32, 32)), rng.integers(0, 10, batch), "adam"


def batchnorm_convnet(rng: np.random.Generator, batch: int = 64) -> Made:
    channels = [3, 32, 32, 64, 64]
    params: Params = {}
    for i, (before, after) in enumerate(zip(channels, channels[1:])):
        params[f"K{i}"] = rng.standard_normal((after, before, 3, 3)) * np.sqrt(2 / (9 * before))
        params |= {f"g{i}": np.ones(after), f"h{i}": np.zeros(after)}
    params |= {"W": he(rng, channels[-1] * 8 * 8, 10), "b": np.zeros(10)}
    return params, rng.standard_normal((batch, 3, 32, 32)), rng.integers(0, 10, batch), "adam"


def recurrent(rng: np.random.Generator, gates: int, batch: int = 64, steps: int = 20) -> Made:
    """The gates of the LSTM (4) lie side by side in the order i, f, g, o."""
    inputs, hidden, words = 128, 256, 1000
    params = {
        "Wx": lecun(rng, inputs, gates * hidden),
        "Wh": lecun(rng, hidden, gates * hidden),
        "b": np.zeros(gates * hidden),
        "Wv": lecun(rng, hidden, words),
        "bv": np.zeros(words),
    }
    return params, rng.standard_normal((batch, steps, inputs)), rng.integers(0, words, (batch, steps)), "adam"


def transformer(rng: np.random.Generator, batch: int = 16, length: int = 64) -> Made:
    width, words, blocks = 128, 256, 2
    params: Params = {
        "tok": 0.1 * rng.standard_normal((words, width)),
        "pos": 0.1 * rng.standard_normal((length, width)),
    }
    for i in range(blocks):
        params |= {f"g1{i}": np.ones(width), f"h1{i}": np.zeros(width)}
        params |= {f"Wqkv{i}": lecun(rng, width, 3 * width), f"bqkv{i}": np.zeros(3 * width)}
        params |= {f"Wo{i}": lecun(rng, width, width), f"bo{i}": np.zeros(width)}
        params |= {f"g2{i}": np.ones(width), f"h2{i}": np.zeros(width)}
        params |= {f"Wa{i}": lecun(rng, width, 4 * width), f"ba{i}": np.zeros(4 * width)}
        params |= {f"Wb{i}": lecun(rng, 4 * width, width), f"bb{i}": np.zeros(width)}
    params |= {"gf": np.ones(width), "hf": np.zeros(width), "Wv": lecun(rng, width, words), "bv": np.zeros(words)}
    return params, rng.integers(0, words, (batch, length)), rng.integers(0, words, (batch, length)), "adam"


def chain(shape: tuple[int, ...]) -> Made:
    return {"a": np.full(shape, 0.9), "b": np.full(shape, 0.05)}, np.full(shape, 0.3), np.zeros(1), "none"


def he(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Weights for an affine layer before ReLU."""
    return rng.standard_normal((rows, columns)) * np.sqrt(2 / rows)


def lecun(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Weights for an affine layer that keeps the variance."""
    return rng.standard_normal((rows, columns)) / np.sqrt(rows)


WORKLOADS: dict[str, Callable[[np.random.Generator], Made]] = {
    "W1": lambda rng: mlp(rng, (3072, 100, 10), batch=100, rule="sgd"),
    "W2": batchnorm_mlp,
    "W3": lambda rng: mlp(rng, (64, 32, 10), batch=16, rule="mom"),
    "W4": three_layer_convnet,
    "W5": batchnorm_convnet,
    "W6": lambda rng: recurrent(rng, gates=4),
    "W6r": lambda rng: recurrent(rng, gates=1),
    "W7": transformer,
    "W8": lambda rng: chain((4,)),
    "W8s": lambda rng: chain(()),
}
