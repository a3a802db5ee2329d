"""Normalisation in both directions: over the batch, and over groups of channels within a sample.

Both subtract a mean, divide by a standard deviation, then scale and shift each channel. They differ in what shares a
mean. With ``normal = (x - mean) / sqrt(var + eps)`` and the cotangent g of the output,

    d_beta  = sum of g                  over all elements of a channel
    d_gamma = sum of g * normal         likewise
    d_x     = (gamma * g - mean of gamma * g - normal * mean of (gamma * g * normal)) / sqrt(var + eps)

where the means are over what shares a mean. (Ioffe and Szegedy, 2015, arXiv:1502.03167, section 3.)

The work goes over a part of the array at a time that stays in the cache, so that the memory itself is read once and
written once. Variances are means of squared differences from the mean, which a large mean does not cancel. What is
narrower than float32 is computed in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .choice import kernel

__all__ = ["batch_backward", "batch_forward", "group_backward", "group_forward"]

CHUNK = 1 << 20
"""How many bytes of each array to work on at a time."""

LINE, LONG = 1 << 9, 1 << 16
"""Up to how many numbers several samples are taken as one line, and how many there must be for it to be worth it."""


# --- over the batch --------------------------------------------------------------------------------------------------


@kernel
def batch_forward(x: Any, gamma: Any, beta: Any, *, eps: float, relu: bool = False) -> tuple[Any, ...]:
    """Normalise each channel over samples and pixels.

    Parameters
    ----------
    x : array (N, C, P)
        Samples, channels, pixels.
    gamma, beta : arrays (C,)
    relu : bool
        Whether to rectify the result: ``max(out, 0)``.

    Returns
    -------
    out : array (N, C, P)
    mean, var : arrays (C,)
        Those of x; the variance is the biased one.
    rectified : array (2, C)
        With ``relu`` only, for :func:`batch_backward` to find the signs again: ``middle`` and ``shift`` with which
        ``(x - middle) * gamma / sqrt(var + eps) + shift`` was rectified. They are mean and beta to rounding.
    """
    dtype, of_x, work = _dtypes(x, gamma, beta)
    samples, channels, pixels = x.shape
    count = samples * pixels
    lines, parts = _lines(x, work)
    out = np.empty(lines.shape, work)
    near = _sum_channels(_sum_samples(lines, work), channels, pixels) / count
    middle = _along(lines, near, pixels)
    rest, var = np.zeros((2, channels), work)
    for part in parts:
        centred = np.subtract(lines[part], middle, out=out[part])
        rest += _sum_channels(_sum_samples(centred, work), channels, pixels)
        var += _sum_channels(_sum_products(centred, centred), channels, pixels)
    rest /= count  # what rounding left of the mean: digits that a large one has no room for
    mean = near + rest
    var = np.maximum(var / count - rest * rest, 0)
    scale = gamma.astype(work, copy=False) * _inverse_deviation(var, eps, work)
    shift = beta - rest * scale
    scales, shifts = _along(lines, scale, pixels), _along(lines, shift, pixels)
    for part in parts:
        normal = out[part]
        normal *= scales
        normal += shifts
        if relu:
            np.maximum(normal, 0, out=normal)
    found = out.reshape(x.shape).astype(dtype, copy=False), mean.astype(of_x, copy=False), var.astype(of_x, copy=False)
    return (*found, np.stack([near, shift])) if relu else found


@kernel
def batch_backward(
    g: Any, x: Any, gamma: Any, mean: Any, var: Any, *, eps: float, wants: tuple[str, ...], rectified: Any = None
) -> tuple[Any, ...]:
    """Return the cotangents of those of x, gamma and beta that `wants` names, from that of the output, g (N, C, P).

    With ``rectified`` the output was: its signs are computed again from x, to the same bits, and g passes where NaN is.
    """
    _, _, work = _dtypes(g, x)
    samples, channels, pixels = x.shape
    count = samples * pixels
    lines, parts = _lines(x, work)
    slopes, middle = g.reshape(lines.shape), _along(lines, mean, pixels)
    scale = _inverse_deviation(var, eps, work)
    if rectified is not None:
        factors = rectified[0], gamma.astype(work, copy=False) * scale, rectified[1]
        slopes = _passed(slopes, lines, parts, *(_along(lines, factor, pixels) for factor in factors))
    found = {"beta": _sum_channels(_sum_samples(slopes, work), channels, pixels)}
    if wants != ("beta",):
        d_x, d_gamma = np.empty(lines.shape, work), np.zeros(channels, work)
        for part in parts:
            centred = np.subtract(lines[part], middle, out=d_x[part])
            d_gamma += _sum_channels(_sum_products(slopes[part], centred), channels, pixels)
        found["gamma"] = d_gamma * scale
    if "x" in wants:
        factors = (found["gamma"] * scale / -count, found["beta"] / count, gamma.astype(work, copy=False) * scale)
        tilts, shifts, scales = (_along(lines, factor, pixels) for factor in factors)
        for part in parts:
            normal = d_x[part]
            normal *= tilts
            normal += slopes[part]
            normal -= shifts
            normal *= scales
        found["x"] = d_x.reshape(x.shape)
    return tuple(found[name].astype(g.dtype, copy=False) for name in wants)


def _passed(slopes: Any, lines: Any, parts: list[slice], middle: Any, scales: Any, shifts: Any) -> Any:
    """Return the slopes where what was rectified is positive, else 0."""
    passed = np.empty(slopes.shape, slopes.dtype)
    for part in parts:
        normal = np.subtract(lines[part], middle)
        normal *= scales
        normal += shifts
        np.multiply(slopes[part], ~(normal <= 0), out=passed[part])
    return passed


def _lines(x: Any, work: Any) -> tuple[Any, list[slice]]:
    """Return (N, C, P) as lines of one sample, or of several where these are short and many, and the lines in parts.

    NumPy is fastest along few and long lines.
    """
    samples, size = len(x), x.shape[1] * x.shape[2]
    while samples % 2 == 0 and LONG < x.size and 0 < 2 * size <= LINE:
        samples, size = samples // 2, 2 * size
    return x.reshape(samples, size), _parts(samples, CHUNK // max(size * work.itemsize, 1))


def _along(lines: Any, v: Any, pixels: int) -> Any:
    """Repeat numbers per channel over the pixels and samples of a line."""
    line = v if pixels == 1 else np.repeat(v, pixels)
    return line if len(line) == lines.shape[1] else np.tile(line, lines.shape[1] // len(line))


def _sum_samples(lines: Any, work: Any) -> Any:
    """Sum over the first axis, as a product with ones."""
    return np.matmul(np.ones(len(lines), work), lines)


def _sum_products(x: Any, y: Any) -> Any:
    return np.einsum("nl,nl->l", x, y)


def _sum_channels(line: Any, channels: int, pixels: int) -> Any:
    """Sum the numbers of each channel in a line."""
    return line if len(line) == channels else line.reshape(-1, channels, pixels).sum(axis=(0, 2))


# --- over groups -----------------------------------------------------------------------------------------------------


@kernel
def group_forward(x: Any, gamma: Any, beta: Any, *, eps: float) -> tuple[Any, Any, Any]:
    """Normalise each group of channels in each sample over its channels and pixels.

    Parameters
    ----------
    x : array (N, G, K, P)
        Samples, groups, channels in each, pixels.
    gamma : array (G, K)
    beta : array (G, K) or None
        Without it no mean is subtracted, and x is divided by the root of its mean square.

    Returns
    -------
    out : array (N, G, K, P)
    mean, var : arrays (N, G)
        Those of x; the variance is the biased one. Without beta they are None and the mean square.
    """
    centring = beta is not None
    dtype, of_x, work = _dtypes(x, gamma, *([beta] if centring else []))
    samples, groups, channels, pixels = x.shape
    size = channels * pixels
    rows, parts = x.reshape(samples, groups, size), _parts(samples, CHUNK // max(groups * size * work.itemsize, 1))
    out, var = np.empty(rows.shape, work), np.empty((samples, groups), work)
    mean = np.empty((samples, groups), work) if centring else None
    gammas, betas = _rows(gamma, pixels, parts, work), _rows(beta, pixels, parts, work) if centring else None
    for part in parts:
        centred = rows[part].astype(work, copy=False)
        if centring:
            mean[part] = _sum_last(_sum_last(x[part], work), work) / size
            centred = np.subtract(centred, mean[part][..., None], out=out[part])
        var[part] = np.vecdot(centred, centred) / size
        normal = np.multiply(centred, _inverse_deviation(var[part], eps, work)[..., None], out=out[part])
        normal *= gammas[: len(normal)]
        if centring:
            normal += betas[: len(normal)]
    mean = mean.astype(of_x, copy=False) if centring else None
    return out.reshape(x.shape).astype(dtype, copy=False), mean, var.astype(of_x, copy=False)


@kernel
def group_backward(
    g: Any, x: Any, gamma: Any, mean: Any, var: Any, *, eps: float, wants: tuple[str, ...]
) -> tuple[Any, ...]:
    """Return the cotangents of those of x, gamma and beta that `wants` names, from that of the output, g (N, G, K, P).

    A mean of None says that none was subtracted.
    """
    _, _, work = _dtypes(g, x)
    samples, groups, channels, pixels = x.shape
    size = channels * pixels
    rows, parts = x.reshape(samples, groups, size), _parts(samples, CHUNK // max(groups * size * work.itemsize, 1))
    slopes = g.reshape(rows.shape)
    gamma, scale = gamma.astype(work, copy=False), _inverse_deviation(var, eps, work)
    gammas = _rows(gamma, pixels, parts, work)
    found = {"x": np.empty(rows.shape, work), "gamma": np.zeros(gamma.shape, work), "beta": np.zeros(gamma.shape, work)}
    for part in parts:
        sums = _sum_last(g[part], work)  # over pixels
        found["beta"] += np.matmul(np.ones(len(sums), work), sums.reshape(len(sums), -1)).reshape(gamma.shape)
        if wants == ("beta",):
            continue
        centred, d_x, factor = rows[part], found["x"][part], scale[part]
        if mean is not None:
            centred = np.subtract(centred, mean[part][..., None], out=d_x)
        product = np.multiply(slopes[part], centred, dtype=work)
        products = _sum_last(product.reshape(x[part].shape), work)
        found["gamma"] += np.matmul(factor.T[:, None], products.swapaxes(0, 1))[:, 0]
        if "x" not in wants:
            continue
        np.multiply(centred, (np.vecdot(products, gamma) * factor * factor / -size)[..., None], out=d_x)
        d_x += np.multiply(slopes[part], gammas[: len(d_x)], out=product)
        if mean is not None:
            d_x -= (np.vecdot(sums, gamma) / size)[..., None]
        d_x *= factor[..., None]
    found["x"] = found["x"].reshape(x.shape)
    return tuple(found[name].astype(g.dtype, copy=False) for name in wants)


def _rows(v: Any, pixels: int, parts: list[slice], work: Any) -> Any:
    """Repeat numbers per channel (G, K) over the pixels, and over the samples of a part if there are several parts.

    A full array costs NumPy half the time of one that it must broadcast row by row, and this one stays in the cache.
    """
    line = np.repeat(v.astype(work), pixels, axis=1)[None]
    return np.repeat(line, parts[0].stop, axis=0) if len(parts) > 1 else line


def _sum_last(x: Any, work: Any) -> Any:
    """Sum over the last axis, as a product with ones."""
    if x.shape[-1] == 1:
        return x[..., 0]
    return np.matmul(x.reshape(-1, x.shape[-1]), np.ones(x.shape[-1], work)).reshape(x.shape[:-1])


# --- both ------------------------------------------------------------------------------------------------------------


def _dtypes(x: Any, *others: Any) -> tuple[Any, Any, Any]:
    """Return the dtypes of the result, of statistics of x, and of the work."""
    of_x = x.dtype if x.dtype.kind == "f" else np.dtype(float)
    dtype = np.result_type(of_x, *others)
    return dtype, of_x, np.result_type(dtype, np.float32)


def _parts(count: int, step: int) -> list[slice]:
    """Cut a range of so many into parts of at most `step`, or of one."""
    step = max(step, 1)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _inverse_deviation(var: Any, eps: float, work: Any) -> Any:
    return 1 / np.sqrt(var.astype(work, copy=False) + eps)
