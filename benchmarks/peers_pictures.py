"""What pictures of five networks consist of: the nodes and edges that minigrad, torchviz and torchview draw.

    python benchmarks/peers_pictures.py

The networks are those of tests/draw/nets.py. Here they are written once more as PyTorch modules, the way such modules
usually are: with layers of ``torch.nn``, and with the gates of the LSTM and the heads of the transformer in the open,
as the minigrad networks have them. Each includes its loss. The peers are asked as their READMEs say,
``torchviz.make_dot(loss, params=...)`` and ``torchview.draw_graph(model, input_data=...)``, and what they give to
Graphviz is counted, not laid out. Without them (pip install torch torchviz torchview) minigrad is counted alone.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import minigrad as mg
from tests.draw.nets import GOLDEN

NETS = {
    "mlp2": "2-layer MLP",
    "bn5": "5-layer batchnorm net",
    "conv3": "ThreeLayerConvNet",
    "lstm10": "10-step LSTM",
    "transformer2": "2-block transformer",
}
PEERS = ("torchviz", "torchview")


class Count(NamedTuple):
    """How much is in a picture."""

    nodes: int
    edges: int


def count_minigrad(name: str, **options: Any) -> Count:
    """Count what minigrad draws of one of the networks."""
    function, arguments = GOLDEN[name]()
    shown = mg.draw(function, *arguments, measure=False, **options).shown
    return Count(len(shown.nodes), len(shown.edges))


def count_dot(source: str) -> Count:
    """Count the nodes and edges of a graph in the DOT text that the package graphviz writes, a statement a line."""
    edges = re.findall(r'^\s*"?\w+"? -> "?\w+"?', source, re.MULTILINE)
    nodes = set(re.findall(r'^\s*"?(\w+)"? \[', source, re.MULTILINE)) - {"graph", "node", "edge"}
    return Count(len(nodes), len(edges))


def have_peers() -> bool:
    """Whether both peers can be asked here."""
    return all(importlib.util.find_spec(name) for name in ("torch", *PEERS))


def count_peers(name: str) -> dict[str, Count]:
    """Count what each peer draws of one of the networks."""
    import torchview
    import torchviz

    model, inputs = _modules()[name]
    found = model(*inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "torchviz": count_dot(torchviz.make_dot(found, params=dict(model.named_parameters())).source),
            "torchview": count_dot(torchview.draw_graph(model, input_data=inputs, device="cpu").visual_graph.source),
        }


def _modules() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Return the networks as PyTorch modules, each with its inputs: the same as those of the minigrad networks."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    class TwoLayerNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(3072, 100), nn.Linear(100, 10)

        def forward(self, X, y):
            hidden = torch.relu(self.fc1(X.reshape(len(X), -1)))
            return F.cross_entropy(self.fc2(hidden), y)

    class BatchNormNet(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [192, 100, 100, 100, 100]
            self.layers = nn.ModuleList(
                nn.Sequential(nn.Linear(rows, columns), nn.BatchNorm1d(columns), nn.ReLU(), nn.Dropout(0.25))
                for rows, columns in zip(sizes, sizes[1:])
            )
            self.out = nn.Linear(100, 10)

        def forward(self, X, y):
            x = X.reshape(len(X), -1)
            for layer in self.layers:
                x = layer(x)
            return F.cross_entropy(self.out(x), y)

    class ThreeLayerConvNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pool = nn.Conv2d(3, 32, 7, padding=3), nn.MaxPool2d(2)
            self.fc1, self.fc2 = nn.Linear(2048, 100), nn.Linear(100, 10)

        def forward(self, X, y):
            x = self.pool(torch.relu(self.conv(X)))
            x = torch.relu(self.fc1(x.reshape(len(x), -1)))
            return F.cross_entropy(self.fc2(x), y)

    class LSTM(nn.Module):
        def __init__(self, width=16):
            super().__init__()
            self.embed = nn.Embedding(50, width)
            self.Wx = nn.Parameter(0.1 * torch.randn(width, 4 * width))
            self.Wh = nn.Parameter(0.1 * torch.randn(width, 4 * width))
            self.b = nn.Parameter(torch.zeros(4 * width))
            self.out, self.width = nn.Linear(width, 50), width

        def forward(self, tokens, targets):
            x = self.embed(tokens)
            h = c = torch.zeros(4, self.width)
            steps = []
            for t in range(10):
                gates = x[:, t] @ self.Wx + h @ self.Wh + self.b
                i, f, o = (torch.sigmoid(gates[:, k * self.width : (k + 1) * self.width]) for k in range(3))
                c = f * c + i * torch.tanh(gates[:, 3 * self.width :])
                h = o * torch.tanh(c)
                steps.append(h)
            scores = self.out(torch.stack(steps, dim=1))
            return F.cross_entropy(scores.reshape(40, 50), targets.reshape(40))

    class Attention(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.width, self.heads = width, heads
            self.register_buffer("mask", torch.where(torch.ones(16, 16).tril() > 0, 0.0, -1e9))

        def forward(self, x):
            q, k, v = (
                part.reshape(4, 16, self.heads, -1).transpose(1, 2) for part in self.qkv(x).split(self.width, dim=-1)
            )
            scores = q @ k.transpose(-1, -2) * (self.width / self.heads) ** -0.5 + self.mask
            mixed = torch.softmax(scores, dim=-1) @ v
            return self.proj(mixed.transpose(1, 2).reshape(4, 16, self.width))

    class Block(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.ln1, self.attn, self.ln2 = nn.LayerNorm(width), Attention(width, heads), nn.LayerNorm(width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

        def forward(self, x):
            x = x + self.attn(self.ln1(x))
            return x + self.mlp(self.ln2(x))

    class Transformer(nn.Module):
        def __init__(self, blocks=2, width=64, heads=4):
            super().__init__()
            self.wte, self.wpe = nn.Embedding(50, width), nn.Parameter(0.1 * torch.randn(16, width))
            self.blocks = nn.ModuleList(Block(width, heads) for _ in range(blocks))
            self.head = nn.Linear(width, 50)

        def forward(self, tokens, targets):
            x = self.wte(tokens) + self.wpe
            for block in self.blocks:
                x = block(x)
            return F.cross_entropy(self.head(x).reshape(64, 50), targets.reshape(64))

    modules = {
        "mlp2": TwoLayerNet(),
        "bn5": BatchNormNet(),
        "conv3": ThreeLayerConvNet(),
        "lstm10": LSTM(),
        "transformer2": Transformer(),
    }
    inputs = {name: tuple(torch.as_tensor(array) for array in GOLDEN[name]()[1][1:]) for name in modules}
    return {
        name: (model, tuple(x.float() if x.is_floating_point() else x for x in inputs[name]))
        for name, model in modules.items()
    }


def main() -> None:
    """Print a line for each network."""
    peers = PEERS if have_peers() else ()
    if not peers:
        print("torchviz and torchview are left out: pip install torch torchviz torchview\n")
    columns = ("minigrad", "unfolded", *peers)
    print(f"{'nodes, edges':24}" + "".join(f"{column:>14}" for column in columns))
    for name, title in NETS.items():
        counts = [count_minigrad(name), count_minigrad(name, fold=False)]
        if peers:
            counts += count_peers(name).values()
        print(f"{title:24}" + "".join(f"{f'{count.nodes}, {count.edges}':>14}" for count in counts))


if __name__ == "__main__":
    main()
