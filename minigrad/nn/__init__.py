"""Layers that compose into networks. A composed network is a Model: it has ``params``, ``state`` and ``loss``.

>>> import numpy as np, minigrad as mg
>>> net = mg.nn.Sequential(mg.nn.Conv2d(8, 3, padding="same"), mg.relu, mg.nn.MaxPool2d(2), mg.nn.Affine(10))
>>> net = net.build(np.ones((1, 3, 8, 8)), seed=0)
>>> list(net.params)
['conv1.W', 'conv1.b', 'affine1.W', 'affine1.b']
>>> loss, grads = net.loss(np.ones((2, 3, 8, 8)), np.array([3, 7]))
"""

from . import init
from .attention import MultiHeadAttention, PositionalEncoding, TransformerDecoderLayer, TransformerEncoderLayer
from .basic import (
    ELU,
    GELU,
    SELU,
    Affine,
    Dropout,
    Embedding,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from .containers import Function, Residual, Sequential
from .images import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool,
    MaxPool2d,
    Upsample,
)
from .layer import Layer
from .normalisation import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from .recurrent import GRU, LSTM, RNN

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AdaptiveAvgPool2d",
    "Affine",
    "AvgPool2d",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "Flatten",
    "Function",
    "GlobalAvgPool",
    "GroupNorm",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "MaxPool2d",
    "MultiHeadAttention",
    "PositionalEncoding",
    "RMSNorm",
    "ReLU",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
    "Upsample",
    "init",
]
