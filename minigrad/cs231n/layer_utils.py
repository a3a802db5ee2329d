"""The course's ``layer_utils.py``: layers that often come together, as compositions of the forward passes."""

from __future__ import annotations

from .layers import affine, batchnorm, conv, layernorm, max_pool, relu, spatial_batchnorm
from .wrap import layer

__all__ = [
    "affine_bn_relu_backward",
    "affine_bn_relu_forward",
    "affine_ln_relu_backward",
    "affine_ln_relu_forward",
    "affine_relu_backward",
    "affine_relu_forward",
    "conv_bn_relu_backward",
    "conv_bn_relu_forward",
    "conv_relu_backward",
    "conv_relu_forward",
    "conv_relu_pool_backward",
    "conv_relu_pool_forward",
]


def affine_relu(x, w, b):
    """Affine layer, then ReLU."""
    return relu(affine(x, w, b))


def affine_bn_relu(x, w, b, gamma, beta, bn_param):
    """Affine layer, batch normalisation, ReLU."""
    return relu(batchnorm(affine(x, w, b), gamma, beta, bn_param))


def affine_ln_relu(x, w, b, gamma, beta, ln_param):
    """Affine layer, layer normalisation, ReLU."""
    return relu(layernorm(affine(x, w, b), gamma, beta, ln_param))


def conv_relu(x, w, b, conv_param):
    """Convolution, then ReLU."""
    return relu(conv(x, w, b, conv_param))


def conv_bn_relu(x, w, b, gamma, beta, conv_param, bn_param):
    """Convolution, batch normalisation of the channels, ReLU."""
    return relu(spatial_batchnorm(conv(x, w, b, conv_param), gamma, beta, bn_param))


def conv_relu_pool(x, w, b, conv_param, pool_param):
    """Convolution, ReLU, max pooling."""
    return max_pool(relu(conv(x, w, b, conv_param)), pool_param)


affine_relu_forward, affine_relu_backward = layer(affine_relu, (0, 1, 2))
affine_bn_relu_forward, affine_bn_relu_backward = layer(affine_bn_relu, (0, 1, 2, 3, 4))
affine_ln_relu_forward, affine_ln_relu_backward = layer(affine_ln_relu, (0, 1, 2, 3, 4))
conv_relu_forward, conv_relu_backward = layer(conv_relu, (0, 1, 2))
conv_bn_relu_forward, conv_bn_relu_backward = layer(conv_bn_relu, (0, 1, 2, 3, 4))
conv_relu_pool_forward, conv_relu_pool_backward = layer(conv_relu_pool, (0, 1, 2))
