"""Normalisation: batch normalisation in training mode."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff.fused import fused
from ..core.errors import ShapeError
from ..core.explain import where

__all__ = ["batchnorm", "batchnorm_backward"]


def _batchnorm_reference(x: Any, gamma: Any, beta: Any, *, eps: float = 1e-5) -> Any:
    mean = np.mean(x, axis=0)
    var = np.mean(np.square(x - mean), axis=0)
    return (x - mean) / np.sqrt(var + eps) * gamma + beta, mean, var


@fused(reference=_batchnorm_reference, outputs=("out", "mean", "var"), visible=1, kind="normalisation")
def batchnorm(x, gamma, beta, *, eps=1e-5):
    """Batch normalisation with the statistics of the batch, as in training.

    ``(x - mean) / sqrt(var + eps) * gamma + beta`` with mean and (biased) variance over the samples. (Ioffe and
    Szegedy, 2015, arXiv:1502.03167, algorithm 1.)

    Parameters
    ----------
    x : array (N, D)
    gamma, beta : arrays (D,)
        Scale and shift.
    eps : float
        Added to the variance.

    Returns
    -------
    array (N, D)
        ``batchnorm.all_outputs(x, gamma, beta)`` also gives the mean and the variance, both (D,), for running averages.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or N is 0.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.batchnorm(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    x, gamma, beta = np.asarray(x), np.asarray(gamma), np.asarray(beta)
    if x.ndim != 2 or gamma.shape != x.shape[1:] or beta.shape != x.shape[1:] or not len(x):
        raise ShapeError(
            f"{where('batchnorm')}: x {x.shape}, gamma {gamma.shape}, beta {beta.shape}: expected x (N, D) with at "
            f"least one sample, and gamma and beta (D,)"
        )
    mean = x.mean(axis=0)
    out = x - mean
    out = out.astype(np.result_type(x, gamma, beta), copy=False)
    var = np.einsum("nd,nd->d", out, out) / len(x)
    out *= gamma / np.sqrt(var + eps)
    out += beta
    return out, mean, var.astype(mean.dtype, copy=False)


@batchnorm.backward
def batchnorm_backward(g, x, gamma, mean, var, *, eps, wants):
    """One pass over the batch for all three cotangents."""
    scale = 1 / np.sqrt(var + eps)
    normal = (x - mean).astype(g.dtype, copy=False)
    normal *= scale
    d_beta = g.sum(axis=0)
    d_gamma = np.einsum("nd,nd->d", g, normal)
    found = {"gamma": d_gamma, "beta": d_beta}
    if "x" in wants:
        normal *= d_gamma / -len(x)
        normal += g
        normal -= d_beta / len(x)
        normal *= gamma * scale
        found["x"] = normal
    return tuple(found[name] for name in wants)
