"""The matrix products of NumPy's own BLAS, for compiled code to call without Python in between."""

from __future__ import annotations

import ctypes
import functools
import glob
import os

import numpy as np

__all__ = ["openblas", "product"]

PRODUCTS = {"f": "scipy_cblas_sgemm64_", "d": "scipy_cblas_dgemm64_"}
"""As NumPy's wheels name them; their integers have 64 bits."""


@functools.cache
def openblas() -> ctypes.CDLL | None:
    """Return the OpenBLAS that came with NumPy, None if it has another."""
    folder = os.path.dirname(np.__file__)
    for path in glob.glob(os.path.join(f"{folder}.libs", "*openblas*")):
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    return None


@functools.cache
def product(dtype: np.dtype) -> int | None:
    """Return where the function is that multiplies matrices of a dtype; None if there is none that is known."""
    function = getattr(openblas(), PRODUCTS.get(dtype.char, ""), None)
    return None if function is None else ctypes.cast(function, ctypes.c_void_p).value
