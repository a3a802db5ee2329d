"""The affine layer: a matrix product and a bias, in one op."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.errors import ShapeError
from ..core.explain import where
from ..core.primitive import primitive


@primitive
def affine(x, w, b):
    """Affine map of the rows of x: ``x.reshape(N, D) @ w + b``.

    Parameters
    ----------
    x : array (N, d_1, ..., d_k)
        A minibatch; the axes after the first are flattened to D.
    w : array (D, M)
    b : array (M,)

    Returns
    -------
    array (N, M)

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.affine(np.ones((2, 3)), np.ones((3, 1)), np.array([0.5]))
    array([[3.5],
           [3.5]])
    """
    _check(x, w, b)
    out = np.matmul(_rows(x), w)
    if out.dtype is not b.dtype and np.result_type(out, b) != out.dtype:
        return out + b
    out += b
    return out


def _rows(x: Any) -> Any:
    return x if x.ndim == 2 else x.reshape(x.shape[0], math.prod(x.shape[1:]))


def _x_rule(g: Any, x_shape: tuple[int, ...], w: Any) -> Any:
    dx = np.matmul(g, w.T)
    return dx if len(x_shape) == 2 else dx.reshape(x_shape)


affine.vjp(
    x=_x_rule,
    w=lambda g, x: np.matmul(_rows(x).T, g),
    b=lambda g: g.sum(axis=0),
)
affine.reference = lambda x, w, b: np.matmul(_rows(x), w) + b


def _check(x: Any, w: Any, b: Any) -> None:
    x, w, b = np.asarray(x), np.asarray(w), np.asarray(b)
    if x.ndim < 1 or w.ndim != 2 or b.shape != w.shape[1:] or math.prod(x.shape[1:]) != w.shape[0]:
        call = f"{where('affine')}: x {x.shape}, w {w.shape}, b {b.shape}"
        if x.ndim < 1 or w.ndim != 2:
            raise ShapeError(f"{call}: x must have a first axis of N samples, and w must be a matrix (D, M)")
        size = math.prod(x.shape[1:])
        if size != w.shape[0]:
            hint = "; did you mean w.T?" if size == w.shape[1] else ""
            raise ShapeError(f"{call}: a sample of x has {size} elements and w has {w.shape[0]} rows{hint}")
        raise ShapeError(f"{call}: b must have shape {w.shape[1:]}, one element per column of w")
