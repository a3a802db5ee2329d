"""Which systems there are, and what the process of each needs."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

__all__ = ["COMPILED", "PEERS", "SHORT", "SYSTEMS", "System", "missing"]


class System(NamedTuple):
    """A row of the tables."""

    label: str
    module: str
    """The module that has the Runner."""
    needs: str
    """The package without which the system cannot run."""
    variant: str = ""
    kernels: str = ""
    """The kernels of minigrad, if it is minigrad."""

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for the system's process."""
        return {"MINIGRAD_KERNELS": self.kernels} if self.kernels else {}


MINIGRAD = "benchmarks.sys_minigrad"

SYSTEMS = {
    "numpy": System("NumPy by hand", "benchmarks.peers.numpy_by_hand", "numpy"),
    "minigrad": System("minigrad", MINIGRAD, "numba", kernels="numba"),
    "minigrad-compiled": System("minigrad compiled", MINIGRAD, "numba", "compile", kernels="numba"),
    "minigrad-numpy": System("minigrad, without Numba", MINIGRAD, "numpy", kernels="numpy"),
    "minigrad-numpy-compiled": System("minigrad compiled, without Numba", MINIGRAD, "numpy", "compile", "numpy"),
    "torch": System("PyTorch", "benchmarks.peers.torch", "torch"),
    "torch-fused": System("PyTorch, fused optimizer", "benchmarks.peers.torch", "torch", "fused"),
    "torch-compile": System("PyTorch, torch.compile", "benchmarks.peers.torch", "torch", "compile"),
    "jax": System("JAX, jit", "benchmarks.peers.jax", "jax"),
    "autograd": System("autograd", "benchmarks.peers.autograd", "autograd"),
    "mygrad": System("MyGrad", "benchmarks.peers.mygrad", "mygrad"),
}

COMPILED = ("minigrad-compiled", "minigrad-numpy-compiled")
PEERS = ("torch", "torch-fused", "torch-compile", "jax", "autograd", "mygrad")
"""Whose fastest a compiled minigrad is compared with."""

SHORT = tuple(name for name in SYSTEMS if name not in PEERS)


def missing(name: str) -> str:
    """Say why a system cannot run here; nothing if it can."""
    needs = SYSTEMS[name].needs
    return "" if importlib.util.find_spec(needs) else f"{needs} is not installed"
