"""Fast array code without any autograd in it: arrays in, arrays out. It imports nothing of minigrad.

Each kernel is here in NumPy, and some also in `jit/`, for Numba to compile: see `choice`.
"""

from .choice import compiled, fast, report, use, using

__all__ = ["compiled", "fast", "report", "use", "using"]

MODULES = (
    "activation",
    "attention",
    "convolution",
    "dropout",
    "embedding",
    "loss",
    "normalisation",
    "pooling",
    "recurrent",
    "update",
)
