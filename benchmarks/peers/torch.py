"""PyTorch on the CPU.

The variants are ``""`` (eager, torch.optim as it comes), ``fused`` (the optimizers' fused kernels, and images in
channels-last order) and ``compile`` (torch.compile of the loss, with fused optimizers).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..specs import ADAM, EPS_NORM, MOMENTUM, Spec
from .networks import LOSSES, chain

__all__ = ["Runner"]

RECURRENT = {"W6": torch.nn.LSTM, "W6r": torch.nn.RNN}


class Ops:
    """The layers, by torch.nn.functional."""

    relu = staticmethod(torch.relu)
    tanh = staticmethod(torch.tanh)
    sum = staticmethod(torch.sum)
    cross_entropy = staticmethod(F.cross_entropy)

    @staticmethod
    def affine(x, w, b):
        return torch.addmm(b, x, w)

    @staticmethod
    def batchnorm(x, gamma, beta):
        return F.batch_norm(x, None, None, gamma, beta, training=True, eps=EPS_NORM)

    spatial_batchnorm = batchnorm

    @staticmethod
    def conv(x, w, b, padding):
        return F.conv2d(x, w, b, padding=padding)

    @staticmethod
    def max_pool(x):
        return F.max_pool2d(x, 2)

    @staticmethod
    def rows_of_images(x):
        return x.flatten(start_dim=1)

    @staticmethod
    def embedding(w, x):
        return F.embedding(x, w)

    @staticmethod
    def layernorm(x, gamma, beta):
        return F.layer_norm(x, gamma.shape, gamma, beta, EPS_NORM)

    @staticmethod
    def gelu(x):
        return F.gelu(x, approximate="tanh")

    @staticmethod
    def causal_attention(qkv, batch, heads):
        rows, width = qkv.shape[0], qkv.shape[1] // 3
        q, k, v = qkv.reshape(batch, rows // batch, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(rows, width)


class RecurrentOps(Ops):
    """With the recurrent layer of torch.nn, which holds its own parameters."""

    def __init__(self, layer: torch.nn.Module) -> None:
        self.layer = layer

    def lstm(self, x, Wx, Wh, b):
        hidden, _ = self.layer(x.transpose(0, 1))
        return hidden.reshape(-1, hidden.shape[2])

    rnn = lstm


@cache
def compiled(name: str) -> Callable[..., Any]:
    """Return a workload's loss, compiled. It is kept, so that another Runner need not compile it again."""
    return torch.compile(LOSSES[name])


class Runner:
    """Training steps of a workload."""

    def __init__(self, name: str, spec: Spec, learning_rate: float, variant: str = "") -> None:
        torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        order = torch.channels_last if variant == "fused" else torch.contiguous_format
        self.params = {key: torch.tensor(w) for key, w in spec["params"].items()}
        self.x, self.y = torch.tensor(spec["x"]), torch.tensor(spec["y"])
        if self.x.dim() == 4:
            self.x = self.x.contiguous(memory_format=order)
            self.params = {k: w.contiguous(memory_format=order) if w.dim() == 4 else w for k, w in self.params.items()}
        ops: Any = Ops
        self.transposed: tuple[str, ...] = ()
        if name in RECURRENT:
            ops, self.transposed = self._recurrent(RECURRENT[name]), ("Wx", "Wh")
        for w in self.params.values():
            w.requires_grad_()
        self.loss = partial(compiled(name) if variant == "compile" else LOSSES[name], ops)
        self.optimizer = self._optimizer(spec["opt"], learning_rate, fused=variant != "")

    def _recurrent(self, kind: type) -> RecurrentOps:
        """Make the layer, and have its weights be the parameters, transposed as torch.nn has them."""
        layer = kind(self.params["Wx"].shape[0], self.params["Wh"].shape[0])
        with torch.no_grad():
            layer.weight_ih_l0.copy_(self.params["Wx"].T)
            layer.weight_hh_l0.copy_(self.params["Wh"].T)
            layer.bias_ih_l0.copy_(self.params["b"])
            layer.bias_hh_l0.zero_()  # a second bias, which this network has not
        layer.bias_hh_l0.requires_grad_(False)
        self.params |= {"Wx": layer.weight_ih_l0, "Wh": layer.weight_hh_l0, "b": layer.bias_ih_l0}
        return RecurrentOps(layer)

    def _optimizer(self, rule: str, learning_rate: float, fused: bool) -> Any:
        if rule == "none":
            return None
        params = list(self.params.values())
        if rule == "adam":
            betas = ADAM["beta1"], ADAM["beta2"]
            return torch.optim.Adam(params, learning_rate, betas, ADAM["epsilon"], fused=fused or None)
        momentum = MOMENTUM if rule == "mom" else 0
        return torch.optim.SGD(params, learning_rate, momentum=momentum, fused=fused or None)

    def _backward(self) -> Any:
        for w in self.params.values():
            w.grad = None
        loss = self.loss(self.params, self.x, self.y)
        loss.backward()
        return loss

    def grads(self) -> tuple[float, dict[str, np.ndarray]]:
        loss = self._backward()
        found = {name: w.grad.T if name in self.transposed else w.grad for name, w in self.params.items()}
        return loss.item(), {name: g.contiguous().numpy().copy() for name, g in found.items()}

    def step(self) -> Any:
        loss = self._backward()
        if self.optimizer:
            self.optimizer.step()
        return loss

    def sync(self, loss: Any) -> float:
        return loss.item()


def graph(units: int) -> Callable[[], Any]:
    """Return a run, forward and backward, of a chain of three times so many ops on arrays of 4."""
    a, b = (torch.full((4,), value, requires_grad=True) for value in (0.9, 0.05))

    def run() -> Any:
        a.grad = b.grad = None
        chain(Ops, {"a": a, "b": b}, torch.full((4,), 0.3), units=units).backward()
        return a.grad, b.grad

    return run
