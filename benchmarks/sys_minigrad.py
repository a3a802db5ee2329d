"""minigrad as a system of the benchmark: ``Runner(workload, spec, learning_rate, variant)``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from workloads import WORKLOADS  # noqa: E402 - found by the path above

import minigrad as mg  # noqa: E402
from minigrad import optim  # noqa: E402

RULES = {"sgd": optim.sgd, "mom": optim.sgd_momentum, "adam": optim.adam, "none": None}


class Runner:
    """Training steps of a workload, with updates by minigrad's own rules."""

    def __init__(self, name: str, spec: dict[str, Any], learning_rate: float, variant: str = "") -> None:
        if variant not in ("", "compile"):
            raise ValueError(f"minigrad has the variants '' and compile, and {variant!r} came")
        model = WORKLOADS[name](spec["params"])
        self.model = mg.compile(model) if variant == "compile" else model
        self.x, self.y = spec["x"], spec["y"]
        self.rule = RULES[spec["opt"]]
        self.configs: dict[str, Any] = {name: {"learning_rate": learning_rate} for name in self.model.params}

    def grads(self) -> tuple[float, dict[str, Any]]:
        loss, grads = self.model.loss(self.x, self.y)
        return loss, {name: np.array(g) for name, g in self.model.as_given(grads).items()}

    def step(self) -> float:
        loss, grads = self.model.loss(self.x, self.y)
        params = self.model.params
        for name, w in params.items() if self.rule else ():
            params[name], self.configs[name] = self.rule(w, grads[name], self.configs[name])
        return loss

    def sync(self, loss: float) -> float:
        return loss
