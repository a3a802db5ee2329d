"""minigrad as a system of the benchmark: ``Runner(workload, spec, learning_rate, variant)``.

The variants are ``""`` (eager) and ``compile``. The environment variable ``MINIGRAD_KERNELS`` chooses the kernels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import minigrad as mg  # noqa: E402 - found by the path above
from benchmarks.workloads import WORKLOADS  # noqa: E402
from minigrad.flat import FlatUpdate  # noqa: E402 - what the Solver steps with

__all__ = ["Runner", "graph"]

RULES = {"sgd": "sgd", "mom": "sgd_momentum", "adam": "adam"}


class Runner:
    """Training steps of a workload, with updates by minigrad's own rules."""

    def __init__(self, name: str, spec: dict[str, Any], learning_rate: float, variant: str = "") -> None:
        if variant not in ("", "compile"):
            raise ValueError(f"minigrad has the variants '' and compile, and {variant!r} came")
        model = WORKLOADS[name](spec["params"])
        self.model = mg.compile(model) if variant == "compile" else model
        self.x, self.y = spec["x"], spec["y"]
        self.update: FlatUpdate | None = None
        if spec["opt"] != "none":
            configs = {name: {"learning_rate": learning_rate} for name in model.params}
            self.update = FlatUpdate(RULES[spec["opt"]], model.params, configs)

    def grads(self) -> tuple[float, dict[str, Any]]:
        loss, grads = self.model.loss(self.x, self.y)
        return loss, {name: np.array(g) for name, g in self.model.as_given(grads).items()}

    def step(self) -> float:
        loss, grads = self.model.loss(self.x, self.y)
        if self.update:
            self.update.step(self.model.params, grads)
        return loss

    def sync(self, loss: float) -> float:
        return loss


def graph(units: int) -> Callable[[], Any]:
    """Return a run, forward and backward, of a chain of three times so many ops on arrays of 4."""

    def chain(a: Any, b: Any) -> Any:
        x = np.full(4, 0.3, np.float32)
        for _ in range(units):
            x = a * np.tanh(x) + b
        return np.sum(x)

    gradient = mg.grad(chain, argnums=(0, 1))
    a, b = np.full(4, 0.9, np.float32), np.full(4, 0.05, np.float32)
    return lambda: gradient(a, b)
