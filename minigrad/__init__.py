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
    from .ops import affine, batchnorm, softmax_loss, svm_loss
    from .solver import Solver

_ON_FIRST_USE = {
    "Model": "model",
    "Solver": "solver",
    "affine": "ops",
    "batchnorm": "ops",
    "check_grads": "check.gradients",
    "checkpoint": "autodiff.custom",
    "coverage": "check.coverage",
    "custom_vjp": "autodiff.custom",
    "data": "data",
    "elementwise_grad": "autodiff.higher",
    "fallback": "autodiff.custom",
    "hessian": "autodiff.higher",
    "hvp": "autodiff.higher",
    "jacobian": "autodiff.higher",
    "jvp": "autodiff.forward",
    "numerical_vjp": "autodiff.custom",
    "optim": "optim",
    "softmax_loss": "ops",
    "svm_loss": "ops",
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
    "affine",
    "batchnorm",
    "jacobian",
    "hvp",
    "hessian",
    "elementwise_grad",
    "numerical_vjp",
    "fallback",
    "custom_vjp",
    "check_grads",
    "checkpoint",
    "coverage",
    "data",
    "draw",
    "grad",
    "jvp",
    "ops",
    "optim",
    "primitive",
    "relu",
    "scope",
    "softmax_loss",
    "stop_gradient",
    "svm_loss",
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
