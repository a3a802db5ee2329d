"""Normalisation: over the batch, within a sample, and by a root mean square.

All are fused ops on two kernels (see :mod:`minigrad.kernels.normalisation`): one normalises over the batch, in training
mode; one over groups of channels in each sample, of which layer and instance normalisation are the extremes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff.fused import fused
from ..core.errors import DTypeError, OptionError, ShapeError
from ..core.explain import where
from ..kernels import normalisation as kernels
from .conv import numbers
from .define import as_array
from .elementwise import stop_gradient
from .layout import channels_first, check_images, in_layout

__all__ = [
    "batchnorm",
    "batchnorm_backward",
    "instancenorm",
    "layernorm",
    "layernorm_backward",
    "rmsnorm",
    "rmsnorm_backward",
    "running_batchnorm",
    "spatial_batchnorm",
    "spatial_batchnorm_backward",
    "spatial_groupnorm",
    "spatial_groupnorm_backward",
]


def _normalised(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """Return x normalised over some axes, the mean and the variance: what the references are made of."""
    mean = np.mean(x, axis=axes, keepdims=True)
    var = np.mean(np.square(x - mean), axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps), np.squeeze(mean, axes), np.squeeze(var, axes)


# --- over the batch --------------------------------------------------------------------------------------------------


def _batchnorm_reference(x: Any, gamma: Any, beta: Any, *, eps: float = 1e-5) -> Any:
    normal, mean, var = _normalised(x, (0,), eps)
    return normal * gamma + beta, mean, var


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
        ``batchnorm.all_outputs(x, gamma, beta)`` also gives the mean and the variance, both (D,), for running averages
        (which :func:`running_batchnorm` takes).

    Raises
    ------
    ShapeError
        If the shapes do not fit, or N is less than 2.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.batchnorm(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), eps=0.0)
    array([[-1.],
           [ 1.]])
    """
    name = "batchnorm"
    x, gamma, beta, eps = _checked(name, x, gamma, beta, eps)
    if x.ndim != 2:
        hint = "; for images there is spatial_batchnorm" if x.ndim == 4 else ""
        raise ShapeError(f"{where(name)}: x {x.shape}: x must be (N, D){hint}")
    _check_channels(name, x.shape, x.shape[1], "channel", gamma=gamma, beta=beta)
    _check_batch(name, x.shape, len(x), "layernorm")
    out, mean, var = kernels.batch_forward(x[:, :, None], gamma, beta, eps=eps)
    return out[:, :, 0], mean, var


@batchnorm.backward
def batchnorm_backward(g, x, gamma, mean, var, *, eps, wants):
    """All cotangents from one pass over the batch for its sums, and one for that of x."""
    found = kernels.batch_backward(g[:, :, None], x[:, :, None], gamma, mean, var, eps=eps, wants=wants)
    return _shaped(found, x, wants)


def _spatial_batchnorm_reference(
    x: Any, gamma: Any, beta: Any, *, eps: float = 1e-5, layout: str = "NCHW"
) -> tuple[Any, Any, Any]:
    normal, mean, var = _normalised(channels_first(x, layout), (0, 2, 3), eps)
    return in_layout(normal * _per_image(gamma) + _per_image(beta), layout), mean, var


@fused(reference=_spatial_batchnorm_reference, outputs=("out", "mean", "var"), visible=1, kind="normalisation")
def spatial_batchnorm(x, gamma, beta, *, eps=1e-5, layout="NCHW"):
    """Batch normalisation of images, each channel over all pixels of all samples, as in training.

    Parameters
    ----------
    x : array (N, C, H, W)
        Or (N, H, W, C), with ``layout="NHWC"``.
    gamma, beta : arrays (C,)
        Scale and shift.
    eps : float
        Added to the variance.
    layout : str
        "NCHW" or "NHWC".

    Returns
    -------
    array of the shape of x
        ``spatial_batchnorm.all_outputs`` also gives mean and variance, as for :func:`batchnorm`.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or there is but one value per channel.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.spatial_batchnorm(np.array([[[[1.0, 3.0]]]]), np.ones(1), np.zeros(1), eps=0.0)
    array([[[[-1.,  1.]]]])
    """
    name = "spatial_batchnorm"
    x, gamma, beta, eps = _checked(name, x, gamma, beta, eps)
    check_images(name, x, layout, hint="; for samples (N, D) there is batchnorm")
    channels = x.shape[layout.index("C")]
    _check_channels(name, x.shape, channels, "channel", gamma=gamma, beta=beta)
    values = math.prod(x.shape[layout.index(axis)] for axis in "NHW")
    _check_batch(name, x.shape, values, "spatial_groupnorm or layernorm")
    out, mean, var = kernels.batch_forward(_pixels(x, layout), gamma, beta, eps=eps)
    return out.reshape(x.shape), mean, var


@spatial_batchnorm.backward
def spatial_batchnorm_backward(g, x, gamma, mean, var, *, eps, layout, wants):
    """All cotangents from one pass over the batch for its sums, and one for that of x."""
    lines = _pixels(g, layout), _pixels(x, layout)
    return _shaped(kernels.batch_backward(*lines, gamma, mean, var, eps=eps, wants=wants), x, wants)


def _pixels(x: Any, layout: str) -> Any:
    """Return images as (N, C, P). With the channels last, each pixel is a sample of its own."""
    if layout == "NCHW":
        return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    return x.reshape(math.prod(x.shape[:3]), x.shape[3], 1)


def running_batchnorm(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    *,
    train: bool,
    momentum: float = 0.9,
    eps: float = 1e-5,
    layout: str = "NCHW",
) -> tuple[Any, Any, Any]:
    """Batch normalisation with the statistics of the batch in training, and with running averages of them at test time.

    A pure function: the new running statistics are results, and x, mean and var stay as they are. In training the mean
    becomes ``momentum * mean + (1 - momentum) * mean of the batch``, and var likewise with the biased variance; no
    gradient flows through these. (CS231n, assignment 2.)

    Parameters
    ----------
    x : array (N, D) or (N, C, H, W)
    gamma, beta : arrays (D,) or (C,)
        Scale and shift.
    mean, var : arrays (D,) or (C,)
        Running statistics, zeros at first in the course.
    train : bool
    momentum : float
        From 0 to 1: how much of the old statistics stays. (PyTorch's momentum is ``1 - momentum``.)
    eps : float
        Added to the variance.
    layout : str
        "NCHW" or "NHWC", of images.

    Returns
    -------
    out : array of the shape of x
    mean, var : arrays
        The running statistics from now on; at test time those that came.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or in training for one value per channel.
    OptionError
        If momentum, eps or layout is something else than the above.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> x, ones, zeros = np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1)
    >>> out, mean, var = mg.ops.running_batchnorm(x, ones, zeros, zeros, zeros, train=True)
    >>> mean, var
    (array([0.2]), array([0.1]))
    >>> mg.ops.running_batchnorm(x, ones, zeros, zeros, ones, train=False, eps=0.0)[0]
    array([[1.],
           [3.]])
    """
    name = "running_batchnorm"
    x, gamma, beta, mean, var = map(as_array, (x, gamma, beta, mean, var))
    if x.ndim != 2:
        check_images(name, x, layout, hint=", or (N, D)")
    if not 0 <= momentum <= 1:
        raise OptionError(f"{where(name)}: momentum={momentum!r} came; it takes a number from 0 to 1")
    channels = x.shape[1 if x.ndim == 2 else layout.index("C")]
    _check_channels(name, x.shape, channels, "channel", gamma=gamma, beta=beta, mean=mean, var=var)
    if train:
        if x.ndim == 2:
            out, *batch = batchnorm.all_outputs(x, gamma, beta, eps=eps)
        else:
            out, *batch = spatial_batchnorm.all_outputs(x, gamma, beta, eps=eps, layout=layout)
        keep = float(momentum)
        kept = [keep * stop_gradient(old) + (1 - keep) * stop_gradient(new) for old, new in zip((mean, var), batch)]
        return out, *kept
    scale = gamma / np.sqrt(var + _checked_eps(name, eps))
    shift = beta - mean * scale
    if x.ndim == 4 and layout == "NCHW":
        scale, shift = _per_image(scale), _per_image(shift)
    return x * scale + shift, mean, var


# --- within a sample -------------------------------------------------------------------------------------------------


def _layernorm_reference(x: Any, gamma: Any, beta: Any, *, eps: float = 1e-5) -> Any:
    normal, mean, var = _normalised(x, (-1,), eps)
    return normal * gamma + beta, mean, var


@fused(reference=_layernorm_reference, outputs=("out", "mean", "var"), visible=1, kind="normalisation")
def layernorm(x, gamma, beta, *, eps=1e-5):
    """Layer normalisation: of each vector along the last axis.

    ``(x - mean) / sqrt(var + eps) * gamma + beta`` with mean and (biased) variance over the last axis. (Ba, Kiros and
    Hinton, 2016, arXiv:1607.06450.)

    Parameters
    ----------
    x : array (..., D)
    gamma, beta : arrays (D,)
        Scale and shift.
    eps : float
        Added to the variance.

    Returns
    -------
    array (..., D)
        ``layernorm.all_outputs`` also gives mean and variance, both (...).

    Raises
    ------
    ShapeError
        If the shapes do not fit, or D is 0.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.layernorm(np.array([[1.0, 3.0], [5.0, 5.0]]), np.ones(2), np.zeros(2), eps=1e-12)
    array([[-1.,  1.],
           [ 0.,  0.]])
    """
    x, gamma, beta, eps = _checked("layernorm", x, gamma, beta, eps)
    _check_vectors("layernorm", x, gamma=gamma, beta=beta)
    out, mean, var = kernels.group_forward(_vectors(x), gamma[None], beta[None], eps=eps)
    return out.reshape(x.shape), mean.reshape(x.shape[:-1]), var.reshape(x.shape[:-1])


@layernorm.backward
def layernorm_backward(g, x, gamma, mean, var, *, eps, wants):
    """All cotangents in one pass."""
    statistics = mean.reshape(-1, 1), var.reshape(-1, 1)
    found = kernels.group_backward(_vectors(g), _vectors(x), gamma[None], *statistics, eps=eps, wants=wants)
    return _shaped(found, x, wants)


def _rmsnorm_reference(x: Any, gamma: Any, *, eps: float = 1e-6) -> Any:
    mean_square = np.mean(np.square(x), axis=-1, keepdims=True)
    return x / np.sqrt(mean_square + eps) * gamma, np.squeeze(mean_square, -1)


@fused(reference=_rmsnorm_reference, outputs=("out", "mean_square"), visible=1, kind="normalisation")
def rmsnorm(x, gamma, *, eps=1e-6):
    """Divide each vector along the last axis by its root mean square.

    ``x / sqrt(mean(x * x) + eps) * gamma``. (Zhang and Sennrich, 2019, arXiv:1910.07467.)

    Parameters
    ----------
    x : array (..., D)
    gamma : array (D,)
        Scale.
    eps : float
        Added to the mean square.

    Returns
    -------
    array (..., D)

    Raises
    ------
    ShapeError
        If the shapes do not fit, or D is 0.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.rmsnorm(np.array([1.0, 7.0]), np.ones(2)).round(6)
    array([0.2, 1.4])
    """
    x, gamma, _, eps = _checked("rmsnorm", x, gamma, gamma, eps)
    _check_vectors("rmsnorm", x, gamma=gamma)
    out, _, mean_square = kernels.group_forward(_vectors(x), gamma[None], None, eps=eps)
    return out.reshape(x.shape), mean_square.reshape(x.shape[:-1])


@rmsnorm.backward
def rmsnorm_backward(g, x, gamma, mean_square, *, eps, wants):
    """Both cotangents in one pass."""
    statistics = None, mean_square.reshape(-1, 1)
    found = kernels.group_backward(_vectors(g), _vectors(x), gamma[None], *statistics, eps=eps, wants=wants)
    return _shaped(found, x, wants)


def _vectors(x: Any) -> Any:
    """Return (..., D) as samples of one group of D channels of one pixel."""
    return x.reshape(math.prod(x.shape[:-1]), 1, x.shape[-1], 1)


def _spatial_groupnorm_reference(
    x: Any, gamma: Any, beta: Any, *, groups: int, eps: float = 1e-5, layout: str = "NCHW"
) -> Any:
    x = channels_first(x, layout)
    count, channels, height, width = x.shape
    parts = np.reshape(x, (count, groups, channels // groups, height, width))
    normal, mean, var = _normalised(parts, (2, 3, 4), eps)
    out = np.reshape(normal, x.shape) * _per_image(gamma) + _per_image(beta)
    return in_layout(out, layout), mean, var


@fused(reference=_spatial_groupnorm_reference, outputs=("out", "mean", "var"), visible=1, kind="normalisation")
def spatial_groupnorm(x, gamma, beta, *, groups, eps=1e-5, layout="NCHW"):
    """Group normalisation of images: of each group of channels in each sample, over its channels and pixels.

    (Wu and He, 2018, arXiv:1803.08494.) One group normalises whole images, as many groups as channels are
    :func:`instancenorm`.

    Parameters
    ----------
    x : array (N, C, H, W)
        Or (N, H, W, C), with ``layout="NHWC"``.
    gamma, beta : arrays (C,)
        Scale and shift.
    groups : int
        The channels come in so many groups of neighbours; it divides C.
    eps : float
        Added to the variance.
    layout : str
        "NCHW" or "NHWC".

    Returns
    -------
    array of the shape of x
        ``spatial_groupnorm.all_outputs`` also gives mean and variance, both (N, groups).

    Raises
    ------
    ShapeError
        If the shapes do not fit, groups does not divide C, or a group has but one value.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> x = np.arange(4.0).reshape(1, 4, 1, 1)
    >>> mg.ops.spatial_groupnorm(x, np.ones(4), np.zeros(4), groups=2, eps=0.0).ravel()
    array([-1.,  1., -1.,  1.])
    """
    x, gamma, beta, eps = _checked("spatial_groupnorm", x, gamma, beta, eps)
    _check_groups("spatial_groupnorm", x, gamma, beta, groups, layout)
    parts, gammas, betas = _grouped(x, groups, layout), gamma.reshape(groups, -1), beta.reshape(groups, -1)
    out, mean, var = kernels.group_forward(parts, gammas, betas, eps=eps)
    return _ungrouped(out, x, layout), mean, var


@spatial_groupnorm.backward
def spatial_groupnorm_backward(g, x, gamma, mean, var, *, groups, eps, layout, wants):
    """All cotangents in one pass."""
    parts = _grouped(g, groups, layout), _grouped(x, groups, layout)
    found = kernels.group_backward(*parts, gamma.reshape(groups, -1), mean, var, eps=eps, wants=wants)
    return tuple(_ungrouped(d, x, layout) if name == "x" else d.reshape(-1) for name, d in zip(wants, found))


def _grouped(x: Any, groups: int, layout: str) -> Any:
    """Return images as (N, G, C / G, P)."""
    x = channels_first(x, layout)
    count, channels, height, width = x.shape
    return x.reshape(count, groups, channels // groups, height * width)


def _ungrouped(parts: Any, x: Any, layout: str) -> Any:
    """Return what `_grouped` made of images like x as such images."""
    return in_layout(parts.reshape(channels_first(x, layout).shape), layout)


def instancenorm(x: Any, gamma: Any, beta: Any, *, eps: float = 1e-5, layout: str = "NCHW") -> Any:
    """Instance normalisation of images: of each channel of each sample, over its pixels.

    :func:`spatial_groupnorm` with a group for each channel. (Ulyanov, Vedaldi and Lempitsky, 2016, arXiv:1607.08022.)

    Parameters
    ----------
    x : array (N, C, H, W)
        Or (N, H, W, C), with ``layout="NHWC"``.
    gamma, beta : arrays (C,)
        Scale and shift.
    eps : float
        Added to the variance.
    layout : str
        "NCHW" or "NHWC".

    Returns
    -------
    array of the shape of x

    Raises
    ------
    ShapeError
        If the shapes do not fit, or an image has but one pixel.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.instancenorm(np.array([[[[1.0, 3.0]]]]), np.ones(1), np.zeros(1), eps=0.0)
    array([[[[-1.,  1.]]]])
    """
    x, gamma, beta = map(as_array, (x, gamma, beta))
    check_images("instancenorm", x, layout, hint="; for samples (N, D) there is layernorm")
    groups = max(x.shape[layout.index("C")], 1)
    _check_groups("instancenorm", x, gamma, beta, groups, layout)
    return spatial_groupnorm(x, gamma, beta, groups=groups, eps=eps, layout=layout)


# --- what fits -------------------------------------------------------------------------------------------------------


def _checked(name: str, x: Any, gamma: Any, beta: Any, eps: float) -> tuple[Any, Any, Any, float]:
    """Return arrays of real numbers, and eps as a Python number, which leaves float32 as it is."""
    arrays = [np.asarray(given) for given in (x, gamma, beta)]
    for what, given in zip(("x", "gamma", "beta"), arrays):
        if given.dtype.kind not in "fiub":
            raise DTypeError(f"{where(name)}: {what} {given.shape} is {given.dtype}, and real numbers were expected")
    return *arrays, _checked_eps(name, eps)


def _checked_eps(name: str, eps: float) -> float:
    if not 0 <= eps < math.inf:
        raise OptionError(f"{where(name)}: eps={eps!r} came; it takes a small number from 0 on")
    return float(eps)


def _check_channels(name: str, shape: tuple[int, ...], channels: int, what: str, **given: Any) -> None:
    """Raise unless each given array has one element per channel."""
    for wrong, array in given.items():
        if array.shape != (channels,):
            shapes = ", ".join(f"{label} {each.shape}" for label, each in given.items())
            hint = f"; did you mean {wrong}.reshape(-1)?" if array.shape and math.prod(array.shape) == channels else ""
            raise ShapeError(
                f"{where(name)}: x {shape}, {shapes}: {wrong} must have shape ({channels},), one element per {what}"
                f"{hint}"
            )


def _check_batch(name: str, shape: tuple[int, ...], values: int, instead: str) -> None:
    """Raise unless there are values to take a variance of."""
    if values < 2:
        few = "no value" if values == 0 else "one value, which is its own mean: beta would come out, whatever x is"
        raise ShapeError(
            f"{where(name)}: x {shape} has per channel {few}; use a larger batch, at test time "
            f"running_batchnorm(..., train=False), or {instead}, which needs no batch"
        )


def _check_vectors(name: str, x: Any, **given: Any) -> None:
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ShapeError(f"{where(name)}: x {x.shape}: x must be (..., D), and D at least 1")
    size = x.shape[-1]
    if x.ndim == 4 and size != x.shape[1] and all(array.shape == (x.shape[1],) for array in given.values()):
        raise ShapeError(
            f"{where(name)}: x {x.shape}, gamma {given['gamma'].shape}: this normalises along the last axis, and gamma "
            f"has an element per channel of (N, C, H, W); for images there is spatial_groupnorm(x, ..., groups=1)"
        )
    _check_channels(name, x.shape, size, "element of the last axis", **given)


def _check_groups(name: str, x: Any, gamma: Any, beta: Any, groups: int, layout: str) -> None:
    check_images(name, x, layout, filled=True, hint="; for samples (N, D) there is layernorm")
    channels = x.shape[layout.index("C")]
    _check_channels(name, x.shape, channels, "channel", gamma=gamma, beta=beta)
    (groups,) = numbers(name, "groups", groups, 1, 1)
    if channels % groups or not channels:
        fitting = [n for n in range(1, channels + 1) if channels % n == 0]
        raise ShapeError(
            f"{where(name)}: x {x.shape}: {channels} channels do not fall into {groups} groups"
            + (f"; groups that would fit: {', '.join(map(str, fitting))}" if fitting else "")
        )
    if math.prod(x.shape[1:]) == groups:
        what = "an image has one pixel per channel" if name == "instancenorm" else "a group has one value"
        raise ShapeError(
            f"{where(name)}: x {x.shape}: {what}, which is its own mean: beta would come out, whatever x is; use "
            f"{'spatial_groupnorm with ' if name == 'instancenorm' else ''}fewer groups, or larger images"
        )


# --- helpers ---------------------------------------------------------------------------------------------------------


def _per_image(v: Any) -> Any:
    """Return numbers per channel as they broadcast against (N, C, H, W)."""
    return np.reshape(v, (-1, 1, 1))


def _shaped(found: tuple[Any, ...], x: Any, wants: tuple[str, ...]) -> tuple[Any, ...]:
    """Return cotangents in the shapes of x and of the vectors gamma and beta."""
    return tuple(d.reshape(x.shape if name == "x" else -1) for name, d in zip(wants, found))
