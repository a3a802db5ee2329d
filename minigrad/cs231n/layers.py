"""The course's ``layers.py``: each layer by its forward pass, wrapped.

Arrays, and so gradients, come first in every signature; parameter dictionaries after them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..core.errors import OptionError, did_you_mean
from ..core.tensor import value_of
from .losses import softmax_loss, svm_loss
from .wrap import layer

__all__ = [
    "affine_backward",
    "affine_forward",
    "batchnorm_backward",
    "batchnorm_backward_alt",
    "batchnorm_forward",
    "conv_backward_naive",
    "conv_forward_naive",
    "dropout_backward",
    "dropout_forward",
    "layernorm_backward",
    "layernorm_forward",
    "max_pool_backward_naive",
    "max_pool_forward_naive",
    "relu_backward",
    "relu_forward",
    "softmax_loss",
    "spatial_batchnorm_backward",
    "spatial_batchnorm_forward",
    "spatial_groupnorm_backward",
    "spatial_groupnorm_forward",
    "svm_loss",
]

# --- the forward passes ----------------------------------------------------------------------------------------------


def affine(x, w, b):
    """Affine layer: ``out = x.reshape(N, D) @ w + b``, with x (N, d_1, ..., d_k), w (D, M) and b (M,)."""
    return ops.affine(x, w, b)


def relu(x):
    """ReLU: ``out = max(0, x)``."""
    return ops.relu(x)


def batchnorm(x, gamma, beta, bn_param):
    """Batch normalisation of x (N, D), with gamma and beta (D,). See `spatial_batchnorm` for `bn_param`."""
    return _batchnorm("batchnorm_forward", x, gamma, beta, bn_param)


def spatial_batchnorm(x, gamma, beta, bn_param):
    """Batch normalisation of the channels of x (N, C, H, W), with gamma and beta (C,).

    `bn_param` has ``mode`` ("train" or "test"), and may have ``eps`` (1e-5) and ``momentum`` (0.9). Running averages
    are kept in it as ``running_mean`` and ``running_var``, which start at zeros. In training they become
    ``momentum * running + (1 - momentum) * of the batch``, with the biased variance; they are written when the pass has
    succeeded, and not before.
    """
    return _batchnorm("spatial_batchnorm_forward", x, gamma, beta, bn_param)


def layernorm(x, gamma, beta, ln_param):
    """Layer normalisation of each row of x (N, D), with gamma and beta (D,); `ln_param` may have ``eps`` (1e-5)."""
    return ops.layernorm(x, gamma, beta, eps=ln_param.get("eps", 1e-5))


def spatial_groupnorm(x, gamma, beta, G, gn_param):
    """Group normalisation of x (N, C, H, W) in G groups of channels, with gamma and beta (1, C, 1, 1).

    `gn_param` may have ``eps`` (1e-5).
    """
    gamma, beta = np.reshape(gamma, -1), np.reshape(beta, -1)
    return ops.spatial_groupnorm(x, gamma, beta, groups=G, eps=gn_param.get("eps", 1e-5))


def dropout(x, dropout_param):
    """Inverted dropout.

    `dropout_param` has ``mode`` ("train" or "test") and ``p``, the probability of KEEPING an element. The mask is drawn
    from NumPy's global state, ``np.random.rand(*x.shape) < p``, which is seeded first if there is a ``seed``.
    """
    if not _is_training("dropout_forward", "dropout_param", dropout_param):
        return x
    if dropout_param.get("seed") is not None:
        np.random.seed(dropout_param["seed"])
    return ops.dropout(x, np.random, p=_entry("dropout_forward", "dropout_param", dropout_param, "p"))


def conv(x, w, b, conv_param):
    """Convolution of x (N, C, H, W) with filters w (F, C, HH, WW) and bias b (F,).

    `conv_param` has ``stride`` and ``pad``. A stride that leaves a rest of the image is an error.
    """
    stride, pad = (_entry("conv_forward", "conv_param", conv_param, key) for key in ("stride", "pad"))
    return ops.conv2d(x, w, b, stride=stride, padding=pad)


def max_pool(x, pool_param):
    """Max pooling of x (N, C, H, W); `pool_param` has ``pool_height``, ``pool_width`` and ``stride``.

    Where a maximum comes several times in a window, its first place gets the gradient.
    """
    keys = ("pool_height", "pool_width", "stride")
    height, width, stride = (_entry("max_pool_forward", "pool_param", pool_param, key) for key in keys)
    return ops.max_pool2d(x, (height, width), stride=stride)


# --- their parameter dictionaries ------------------------------------------------------------------------------------


def _entry(name: str, which: str, param: dict[str, Any], key: str) -> Any:
    if key not in param:
        raise OptionError(f'{name}: {which} has no "{key}"{did_you_mean(key, param)} (it has: {", ".join(param)})')
    return param[key]


def _is_training(name: str, which: str, param: dict[str, Any]) -> bool:
    mode = _entry(name, which, param, "mode")
    if mode not in ("train", "test"):
        raise OptionError(f'{name}: {which}["mode"] is {mode!r}, and "train" or "test" was expected')
    return bool(mode == "train")


def _batchnorm(name: str, x: Any, gamma: Any, beta: Any, bn_param: dict[str, Any]) -> Any:
    train = _is_training(name, "bn_param", bn_param)
    running = [bn_param.get(key, np.zeros(x.shape[1:2], x.dtype)) for key in ("running_mean", "running_var")]
    eps, momentum = bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    out, mean, var = ops.running_batchnorm(x, gamma, beta, *running, train=train, momentum=momentum, eps=eps)
    bn_param.update(running_mean=value_of(mean), running_var=value_of(var))
    return out


# --- the pairs -------------------------------------------------------------------------------------------------------

affine_forward, affine_backward = layer(affine, (0, 1, 2))
relu_forward, relu_backward = layer(relu, 0)
batchnorm_forward, batchnorm_backward = layer(batchnorm, (0, 1, 2))
spatial_batchnorm_forward, spatial_batchnorm_backward = layer(spatial_batchnorm, (0, 1, 2))
layernorm_forward, layernorm_backward = layer(layernorm, (0, 1, 2))
spatial_groupnorm_forward, spatial_groupnorm_backward = layer(spatial_groupnorm, (0, 1, 2))
dropout_forward, dropout_backward = layer(dropout, 0)
conv_forward_naive, conv_backward_naive = layer(conv, (0, 1, 2))
max_pool_forward_naive, max_pool_backward_naive = layer(max_pool, 0)

batchnorm_backward_alt = batchnorm_backward  # in the course another way to the same numbers
