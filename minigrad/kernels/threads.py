"""Threads of OpenBLAS and threads of Numba on the same cores.

After a product, OpenBLAS's threads wait for the next one by spinning, for some tens of milliseconds, and take the core
that a kernel's own threads want: on two cores such a kernel takes up to ten times as long. How long they spin is read
from ``OPENBLAS_THREAD_TIMEOUT`` when OpenBLAS is loaded, which `import numpy` has done long before. But its threads can
be ended, and with the next product they start anew: so the environment is read again in between. Nothing of it outlives
this process, and where a function for it is missing (another BLAS, another build), nothing is done.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .blas import openblas

__all__ = ["describe", "let_blas_sleep", "numba_sleeps"]

LOG = logging.getLogger("minigrad.kernels")

VARIABLE = "OPENBLAS_THREAD_TIMEOUT"
TIMEOUT = "17"
"""The logarithm (base 2) of the processor cycles to spin before sleeping; OpenBLAS's own default is 26."""

SPINS = "10000"
"""How often a thread of Numba's looks for work before it sleeps."""

FUNCTIONS = ("openblas_read_env", "blas_thread_shutdown_", "blas_thread_init")

_done = ""


def describe() -> str:
    """Say what has been done about OpenBLAS's idle threads."""
    return _done or "OpenBLAS's idle threads as they were"


def let_blas_sleep() -> bool:
    """Have OpenBLAS's idle threads sleep soon instead of spinning; return whether that is settled.

    It is not while other Python threads run: one may be in the midst of a product. Ask again then.
    """
    global _done
    if _done:
        return True
    if VARIABLE in os.environ:
        _done = f"{VARIABLE}={os.environ[VARIABLE]} was set"
        return True
    library = openblas()
    if library is None or not all(hasattr(library, name) for name in FUNCTIONS):
        _done = "no OpenBLAS whose idle threads could be told to sleep"
        LOG.debug("minigrad's kernels: %s; set %s=%s before NumPy is imported", _done, VARIABLE, TIMEOUT)
        return True
    if threading.active_count() > 1:
        return False
    with _environment(VARIABLE, TIMEOUT):
        library.openblas_read_env()
        library.blas_thread_shutdown_()
        library.blas_thread_init()
    _done = "OpenBLAS's idle threads sleep"
    return True


@contextmanager
def numba_sleeps() -> Iterator[None]:
    """Have Numba's idle threads sleep soon, if they are started inside this block.

    Those of GNU's OpenMP spin as well before they sleep, which products of matrices then wait for.
    """
    if any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")):
        yield
    else:
        with _environment("GOMP_SPINCOUNT", SPINS):
            yield


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
