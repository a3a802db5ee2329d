"""Kernels that Numba compiles: counterparts, by module and name, of those in NumPy.

Importing this package asks whether Numba is there, recent enough and working; it raises where not. The modules in it
are imported when one of their kernels is first called, and each kernel is compiled when it is first called with a
dtype. What was compiled is kept on disk for the next process, in ``NUMBA_CACHE_DIR`` or the user's cache.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from ..memory import keep_freed_memory

__all__ = ["MODULES", "describe", "forks_safely"]

MODULES: tuple[str, ...] = (
    "activation",
    "attention",
    "convolution",
    "dropout",
    "embedding",
    "loss",
    "machine",
    "normalisation",
    "pooling",
    "recurrent",
    "routine",
    "update",
)

OLDEST = (0, 60)


def _numba() -> Any:
    numba = importlib.import_module("numba")
    version = tuple(int(part) for part in numba.__version__.split(".")[:2])
    if version < OLDEST:
        raise ImportError(f"Numba {numba.__version__} is older than {'.'.join(map(str, OLDEST))}")
    return numba


def describe() -> str:
    """Name the version, the threads, and who runs them."""
    from .. import threads

    kept = "kept" if MEMORY_KEPT else "the C library's affair"
    numba = f"Numba {_numba().__version__}, {_threads()} threads ({_layer()})"
    return f"{numba}; {threads.describe()}; freed memory is {kept}"


def _threads() -> int:
    """Return how many threads there are, without starting them."""
    return int(_numba().config.NUMBA_NUM_THREADS)


def forks_safely() -> bool:
    """Whether a forked process may go on calling kernels with threads."""
    return _layer() in ("not started", "workqueue")


def _layer() -> str:
    try:
        return str(_numba().threading_layer())
    except ValueError:  # no kernel with threads has run yet
        return "not started"


if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
    raise ImportError("NUMBA_DISABLE_JIT is set")
_numba()
importlib.import_module(f"{__name__}.define")  # which asks for all that is used of Numba
MEMORY_KEPT = keep_freed_memory()
