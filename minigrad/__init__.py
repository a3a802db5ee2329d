"""minigrad: a small autograd framework. Write the forward pass in plain NumPy; get the rest.

>>> import numpy as np, minigrad as mg
>>> def f(x):
...     return np.sum(np.tanh(x) ** 2)
>>> mg.grad(f)(np.array([0.0, 1.0]))
array([0.        , 0.63970001])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import ops
from .autodiff.reverse import grad, value_and_grad, vjp
from .core.errors import (
    BranchError,
    DataError,
    DTypeError,
    GradientError,
    GraphvizFailed,
    GraphvizNotFound,
    MinigradError,
    MinigradWarning,
    MissingParameterError,
    NoGradientRule,
    NonFiniteError,
    OptionError,
    ParameterError,
    SciPyNotFound,
    ShapeError,
    StaleTensorError,
)
from .core.primitive import Primitive, primitive
from .core.scope import scope
from .core.tape import Node, Tape
from .core.tensor import Tensor
from .draw import draw
from .ops import relu, stop_gradient

if TYPE_CHECKING:
    from . import data, optim
    from .autodiff.custom import checkpoint, custom_vjp, fallback, numerical_vjp
    from .autodiff.forward import jvp
    from .autodiff.higher import elementwise_grad, hessian, hvp, jacobian
    from .check.coverage import coverage
    from .check.gradients import check_grads
    from .model import Model
    from .ops import (
        adaptive_avg_pool2d,
        affine,
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
        hinge,
        kl_divergence,
        l1,
        leaky_relu,
        lsgan_discriminator_loss,
        lsgan_generator_loss,
        max_pool2d,
        mse,
        nt_xent,
        selu,
        sigmoid,
        silu,
        softmax_loss,
        softplus,
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
    "avg_pool2d": "ops",
    "batchnorm": "ops",
    "binary_cross_entropy_with_logits": "ops",
    "check_grads": "check.gradients",
    "checkpoint": "autodiff.custom",
    "content_loss": "ops",
    "conv1d": "ops",
    "conv2d": "ops",
    "conv_transpose2d": "ops",
    "coverage": "check.coverage",
    "cross_entropy": "ops",
    "custom_vjp": "autodiff.custom",
    "data": "data",
    "dropout": "ops",
    "elementwise_grad": "autodiff.higher",
    "elu": "ops",
    "embedding": "ops",
    "fallback": "autodiff.custom",
    "gan_discriminator_loss": "ops",
    "gan_generator_loss": "ops",
    "gelu": "ops",
    "global_avg_pool": "ops",
    "gram_matrix": "ops",
    "hessian": "autodiff.higher",
    "hinge": "ops",
    "huber": "ops.losses",
    "hvp": "autodiff.higher",
    "jacobian": "autodiff.higher",
    "jvp": "autodiff.forward",
    "kl_divergence": "ops",
    "l1": "ops",
    "leaky_relu": "ops",
    "lsgan_discriminator_loss": "ops",
    "lsgan_generator_loss": "ops",
    "max_pool2d": "ops",
    "mse": "ops",
    "nt_xent": "ops",
    "numerical_vjp": "autodiff.custom",
    "optim": "optim",
    "selu": "ops",
    "sigmoid": "ops",
    "silu": "ops",
    "softmax_loss": "ops",
    "softplus": "ops",
    "style_loss": "ops",
    "svm_loss": "ops",
    "temporal_softmax_loss": "ops",
    "tv_loss": "ops",
    "upsample": "ops",
}
"""Where to find the names that not every program needs. They are loaded when they are first used."""

__version__ = "0.1.0"

__all__ = [
    "BranchError",
    "DTypeError",
    "DataError",
    "GradientError",
    "GraphvizFailed",
    "GraphvizNotFound",
    "MinigradError",
    "MinigradWarning",
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
    "adaptive_avg_pool2d",
    "affine",
    "avg_pool2d",
    "batchnorm",
    "binary_cross_entropy_with_logits",
    "check_grads",
    "checkpoint",
    "content_loss",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "coverage",
    "cross_entropy",
    "custom_vjp",
    "data",
    "draw",
    "dropout",
    "elementwise_grad",
    "elu",
    "embedding",
    "fallback",
    "gan_discriminator_loss",
    "gan_generator_loss",
    "gelu",
    "global_avg_pool",
    "grad",
    "gram_matrix",
    "hessian",
    "hinge",
    "huber",
    "hvp",
    "jacobian",
    "jvp",
    "kl_divergence",
    "l1",
    "leaky_relu",
    "lsgan_discriminator_loss",
    "lsgan_generator_loss",
    "max_pool2d",
    "mse",
    "nt_xent",
    "numerical_vjp",
    "ops",
    "optim",
    "primitive",
    "relu",
    "scope",
    "selu",
    "sigmoid",
    "silu",
    "softmax_loss",
    "softplus",
    "stop_gradient",
    "style_loss",
    "svm_loss",
    "temporal_softmax_loss",
    "tv_loss",
    "upsample",
    "value_and_grad",
    "vjp",
]


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'minigrad' has no attribute {name!r}")
    module = import_module(f".{_ON_FIRST_USE[name]}", __name__)
    value = globals()[name] = getattr(module, name, module)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
