"""The nets of the golden pictures: each a function that returns (function, arguments) for ``mg.draw``."""

from __future__ import annotations

import numpy as np

import minigrad as mg


def affine(p, name, x):
    with mg.scope(name):
        return x @ p[f"{name}.W"] + p[f"{name}.b"]


def affine_parameters(rng, sizes, scale=0.1):
    found = {}
    for name, rows, columns in sizes:
        found[f"{name}.W"] = scale * rng.standard_normal((rows, columns))
        found[f"{name}.b"] = np.zeros(columns)
    return found


def mlp2():
    rng = np.random.default_rng(0)
    params = affine_parameters(rng, [("fc1", 3072, 100), ("fc2", 100, 10)], 1e-3)

    def two_layer_net(params, X, y):
        hidden = mg.relu(affine(params, "fc1", X.reshape(len(X), -1)))
        return mg.softmax_loss(affine(params, "fc2", hidden), y)

    return two_layer_net, (params, rng.standard_normal((50, 3, 32, 32)), rng.integers(0, 10, 50))


def bn5():
    rng = np.random.default_rng(1)
    sizes = [192, 100, 100, 100, 100, 10]
    params = {}
    for i, (rows, columns) in enumerate(zip(sizes, sizes[1:])):
        params[f"W{i + 1}"] = rng.standard_normal((rows, columns)) / np.sqrt(rows)
        params[f"b{i + 1}"] = np.zeros(columns)
        if i < 4:
            params[f"gamma{i + 1}"], params[f"beta{i + 1}"] = np.ones(columns), np.zeros(columns)
    masks = [rng.random((50, 100)) < 0.75 for _ in range(4)]

    def batchnorm_net(params, X, y):
        x = X.reshape(len(X), -1)
        for i in range(4):
            with mg.scope(f"layers.{i}"):
                with mg.scope("affine"):
                    x = x @ params[f"W{i + 1}"] + params[f"b{i + 1}"]
                with mg.scope("bn"):
                    x = mg.batchnorm(x, params[f"gamma{i + 1}"], params[f"beta{i + 1}"])
                x = mg.dropout(mg.relu(x), masks[i], p=0.75)
        with mg.scope("out"):
            scores = x @ params["W5"] + params["b5"]
        return mg.softmax_loss(scores, y)

    return batchnorm_net, (params, rng.standard_normal((50, 3, 8, 8)), rng.integers(0, 10, 50))


def conv3():
    rng = np.random.default_rng(2)
    params = {"conv.W": 1e-2 * rng.standard_normal((32, 3, 7, 7)), "conv.b": np.zeros(32)}
    params |= affine_parameters(rng, [("fc1", 2048, 100), ("fc2", 100, 10)], 1e-2)

    def three_layer_conv_net(params, X, y):
        with mg.scope("conv"):
            x = mg.conv2d(X, params["conv.W"], params["conv.b"], stride=1, padding=3)
        x = mg.max_pool2d(mg.relu(x), 2)
        x = mg.relu(affine(params, "fc1", x.reshape(len(x), -1)))
        return mg.softmax_loss(affine(params, "fc2", x), y)

    return three_layer_conv_net, (params, rng.standard_normal((8, 3, 16, 16)), rng.integers(0, 10, 8))


def lstm10():
    rng = np.random.default_rng(3)
    width = 16
    params = {
        "We": 0.1 * rng.standard_normal((50, width)),
        "Wx": 0.1 * rng.standard_normal((width, 4 * width)),
        "Wh": 0.1 * rng.standard_normal((width, 4 * width)),
        "b": np.zeros(4 * width),
        **affine_parameters(rng, [("out", width, 50)]),
    }

    def lstm(params, tokens, targets):
        x = params["We"][tokens]
        h = c = np.zeros((4, width))
        steps = []
        for t in range(10):
            with mg.scope("step"):
                gates = x[:, t] @ params["Wx"] + h @ params["Wh"] + params["b"]
                i, f, o = (mg.sigmoid(gates[:, k * width : (k + 1) * width]) for k in range(3))
                c = f * c + i * np.tanh(gates[:, 3 * width :])
                h = o * np.tanh(c)
            steps.append(h)
        scores = affine(params, "out", np.stack(steps, axis=1))
        return mg.softmax_loss(scores.reshape(40, 50), targets.reshape(40))

    return lstm, (params, rng.integers(0, 50, (4, 10)), rng.integers(0, 50, (4, 10)))


def transformer(blocks=2, width=64, heads=4):
    rng = np.random.default_rng(4)
    sizes = []
    params = {"wte": 0.1 * rng.standard_normal((50, width)), "wpe": 0.1 * rng.standard_normal((16, width))}
    for i in range(blocks):
        for name in ("ln1", "ln2"):
            params[f"{i}.{name}.gamma"], params[f"{i}.{name}.beta"] = np.ones(width), np.zeros(width)
        sizes += [(f"{i}.qkv", width, 3 * width), (f"{i}.proj", width, width)]
        sizes += [(f"{i}.fc1", width, 4 * width), (f"{i}.fc2", 4 * width, width)]
    params |= affine_parameters(rng, [*sizes, ("head", width, 50)])
    mask = np.where(np.tril(np.ones((16, 16), bool)), 0.0, -1e9)

    def linear(params, i, name, x):
        with mg.scope(name):
            return x @ params[f"{i}.{name}.W"] + params[f"{i}.{name}.b"]

    def norm(params, i, name, x):
        with mg.scope(name):
            centred = x - np.mean(x, axis=-1, keepdims=True)
            scaled = centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)
            return scaled * params[f"{i}.{name}.gamma"] + params[f"{i}.{name}.beta"]

    def attention(params, i, x):
        with mg.scope("attn"):
            qkv = linear(params, i, "qkv", x)
            q, k, v = (
                qkv[..., j * width : (j + 1) * width].reshape(4, 16, heads, -1).transpose(0, 2, 1, 3) for j in range(3)
            )
            weights = mg.ops.softmax(q @ k.swapaxes(-1, -2) * (width / heads) ** -0.5 + mask)
            return linear(params, i, "proj", (weights @ v).transpose(0, 2, 1, 3).reshape(4, 16, width))

    def transformer(params, tokens, targets):
        x = params["wte"][tokens] + params["wpe"]
        for i in range(blocks):
            with mg.scope(f"blocks.{i}"):
                x = x + attention(params, i, norm(params, i, "ln1", x))
                with mg.scope("mlp"):
                    hidden = mg.relu(linear(params, i, "fc1", norm(params, i, "ln2", x)))
                    x = x + linear(params, i, "fc2", hidden)
        scores = affine(params, "head", x)
        return mg.softmax_loss(scores.reshape(64, 50), targets.reshape(64))

    return transformer, (params, rng.integers(0, 50, (4, 16)), rng.integers(0, 50, (4, 16)))


def deep(activation, layers=8):
    rng = np.random.default_rng(5)
    sizes = [192, *[100] * layers, 10]
    gain = 1.0 if activation is mg.sigmoid else np.sqrt(2.0)
    params = {}
    for i, (rows, columns) in enumerate(zip(sizes, sizes[1:])):
        params[f"W{i}"] = gain * rng.standard_normal((rows, columns)) / np.sqrt(rows)
        params[f"b{i}"] = np.zeros(columns)

    def deep_net(params, X, y):
        x = X
        for i in range(layers):
            with mg.scope(f"layers.{i}"):
                x = activation(x @ params[f"W{i}"] + params[f"b{i}"])
        with mg.scope("out"):
            scores = x @ params[f"W{layers}"] + params[f"b{layers}"]
        return mg.softmax_loss(scores, y)

    return deep_net, (params, rng.standard_normal((50, 192)), rng.integers(0, 10, 50))


GOLDEN = {"mlp2": mlp2, "bn5": bn5, "conv3": conv3, "lstm10": lstm10, "transformer2": transformer}
"""The five nets whose pictures are kept, by the name of their file."""
