"""minigrad: a small autograd framework. Write the forward pass in plain NumPy; get the rest.

>>> import numpy as np, minigrad as mg
>>> def f(x):
...     return np.sum(np.tanh(x) ** 2)
>>> mg.grad(f)(np.array([0.0, 1.0]))
array([0.        , 0.63970001])
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from . import kernels, ops
from .autodiff.reverse import grad, value_and_grad, vjp
from .core.errors import (
    BiasBeforeNormWarning,
    BranchError,
    BroadcastWarning,
    DataError,
    DeadUnitsWarning,
    DTypeError,
    GradientError,
    GraphvizFailed,
    GraphvizNotFound,
    LargeUpdateWarning,
    MinigradError,
    MinigradWarning,
    MissingFileError,
    MissingParameterError,
    NoGradientRule,
    NonFiniteError,
    OptionError,
    ParameterError,
    SciPyNotFound,
    ShapeError,
    StaleTensorError,
    UnnormalisedInputWarning,
)
from .core.guard import strict
from .core.primitive import Primitive, primitive
from .core.scope import scope
from .core.tape import Node, Tape
from .core.tensor import Tensor
from .draw import draw
from .ops import relu, stop_gradient

if TYPE_CHECKING:
    from . import cs231n, data, models, nn, optim
    from .autodiff.custom import checkpoint, custom_vjp, fallback, numerical_vjp
    from .autodiff.forward import jvp
    from .autodiff.higher import elementwise_grad, hessian, hvp, jacobian
    from .check.anomaly import detect_anomaly
    from .check.compare import compare_backward
    from .check.coverage import coverage
    from .check.gradients import check_grads
    from .check.profile import explain
    from .compile.compiled import compile, explain_backward
    from .draw.step import step_through
    from .model import Model
    from .ops import (
        adaptive_avg_pool2d,
        affine,
        attention,
        avg_pool2d,
        batchnorm,
        binary_cross_entropy_with_logits,
        content_loss,
        conv1d,
        conv2d,
        conv_transpose2d,
        cross_entropy,
        dropout,
        elu,
        embedding,
        gan_discriminator_loss,
        gan_generator_loss,
        gelu,
        global_avg_pool,
        gram_matrix,
        gru,
        gru_step,
        hinge,
        instancenorm,
        kl_divergence,
        l1,
        layernorm,
        leaky_relu,
        log_softmax,
        lsgan_discriminator_loss,
        lsgan_generator_loss,
        lstm,
        lstm_step,
        max_pool2d,
        mse,
        multi_head_attention,
        nt_xent,
        positional_encoding,
        rmsnorm,
        rnn,
        rnn_step,
        running_batchnorm,
        selu,
        sigmoid,
        silu,
        softmax,
        softmax_loss,
        softplus,
        spatial_batchnorm,
        spatial_groupnorm,
        style_loss,
        svm_loss,
        temporal_softmax_loss,
        tv_loss,
        upsample,
    )
    from .ops.losses import huber
    from .solver import Solver

_ON_FIRST_USE = {
    "Model": "model",
    "Solver": "solver",
    "adaptive_avg_pool2d": "ops",
    "affine": "ops",
    "attention": "ops",
    "avg_pool2d": "ops",
    "batchnorm": "ops",
    "binary_cross_entropy_with_logits": "ops",
    "check_grads": "check.gradients",
    "checkpoint": "autodiff.custom",
    "compare_backward": "check.compare",
    "compile": "compile.compiled",
    "content_loss": "ops",
    "conv1d": "ops",
    "conv2d": "ops",
    "conv_transpose2d": "ops",
    "coverage": "check.coverage",
    "cross_entropy": "ops",
    "cs231n": "cs231n",
    "custom_vjp": "autodiff.custom",
    "data": "data",
    "detect_anomaly": "check.anomaly",
    "dropout": "ops",
    "elementwise_grad": "autodiff.higher",
    "elu": "ops",
    "embedding": "ops",
    "explain": "check.profile",
    "explain_backward": "compile.compiled",
    "fallback": "autodiff.custom",
    "gan_discriminator_loss": "ops",
    "gan_generator_loss": "ops",
    "gelu": "ops",
    "global_avg_pool": "ops",
    "gram_matrix": "ops",
    "gru": "ops",
    "gru_step": "ops",
    "hessian": "autodiff.higher",
    "hinge": "ops",
    "huber": "ops.losses",
    "hvp": "autodiff.higher",
    "instancenorm": "ops",
    "jacobian": "autodiff.higher",
    "jvp": "autodiff.forward",
    "kl_divergence": "ops",
    "l1": "ops",
    "layernorm": "ops",
    "leaky_relu": "ops",
    "log_softmax": "ops",
    "lsgan_discriminator_loss": "ops",
    "lsgan_generator_loss": "ops",
    "lstm": "ops",
    "lstm_step": "ops",
    "max_pool2d": "ops",
    "models": "models",
    "mse": "ops",
    "multi_head_attention": "ops",
    "nn": "nn",
    "nt_xent": "ops",
    "numerical_vjp": "autodiff.custom",
    "optim": "optim",
    "positional_encoding": "ops",
    "rmsnorm": "ops",
    "rnn": "ops",
    "rnn_step": "ops",
    "running_batchnorm": "ops",
    "selu": "ops",
    "sigmoid": "ops",
    "silu": "ops",
    "softmax": "ops",
    "softmax_loss": "ops",
    "softplus": "ops",
    "spatial_batchnorm": "ops",
    "spatial_groupnorm": "ops",
    "step_through": "draw.step",
    "style_loss": "ops",
    "svm_loss": "ops",
    "temporal_softmax_loss": "ops",
    "tv_loss": "ops",
    "upsample": "ops",
}
"""Where to find the names that not every program needs. They are loaded when they are first used."""

__version__ = "0.1.0"

__all__ = [
    "BiasBeforeNormWarning",
    "BranchError",
    "BroadcastWarning",
    "DTypeError",
    "DataError",
    "DeadUnitsWarning",
    "GradientError",
    "GraphvizFailed",
    "GraphvizNotFound",
    "LargeUpdateWarning",
    "MinigradError",
    "MinigradWarning",
    "MissingFileError",
    "MissingParameterError",
    "Model",
    "NoGradientRule",
    "Node",
    "NonFiniteError",
    "OptionError",
    "ParameterError",
    "Primitive",
    "SciPyNotFound",
    "ShapeError",
    "Solver",
    "StaleTensorError",
    "Tape",
    "Tensor",
    "UnnormalisedInputWarning",
    "adaptive_avg_pool2d",
    "affine",
    "attention",
    "avg_pool2d",
    "batchnorm",
    "binary_cross_entropy_with_logits",
    "check_grads",
    "checkpoint",
    "compare_backward",
    "compile",
    "content_loss",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "coverage",
    "cross_entropy",
    "cs231n",
    "custom_vjp",
    "data",
    "detect_anomaly",
    "draw",
    "dropout",
    "elementwise_grad",
    "elu",
    "embedding",
    "explain",
    "explain_backward",
    "fallback",
    "gan_discriminator_loss",
    "gan_generator_loss",
    "gelu",
    "global_avg_pool",
    "grad",
    "gram_matrix",
    "gru",
    "gru_step",
    "hessian",
    "hinge",
    "huber",
    "hvp",
    "instancenorm",
    "jacobian",
    "jvp",
    "kernels",
    "kl_divergence",
    "l1",
    "layernorm",
    "leaky_relu",
    "log_softmax",
    "lsgan_discriminator_loss",
    "lsgan_generator_loss",
    "lstm",
    "lstm_step",
    "max_pool2d",
    "models",
    "mse",
    "multi_head_attention",
    "nn",
    "nt_xent",
    "numerical_vjp",
    "ops",
    "optim",
    "positional_encoding",
    "primitive",
    "relu",
    "rmsnorm",
    "rnn",
    "rnn_step",
    "running_batchnorm",
    "scope",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmax_loss",
    "softplus",
    "spatial_batchnorm",
    "spatial_groupnorm",
    "step_through",
    "stop_gradient",
    "strict",
    "style_loss",
    "svm_loss",
    "temporal_softmax_loss",
    "tv_loss",
    "upsample",
    "value_and_grad",
    "vjp",
]


class _Face(ModuleType):
    """This package. One room has the name of its function; here that name means the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "compile" and isinstance(value, ModuleType):
            return  # found by __getattr__ below
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
    module = import_module(f".{_ON_FIRST_USE[name]}", __name__)
    value = globals()[name] = getattr(module, name, module)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
