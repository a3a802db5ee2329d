"""minigrad: a small autograd framework. Write the forward pass in plain NumPy; get the rest.

>>> import numpy as np, minigrad as mg
>>> def f(x):
...     return np.sum(np.tanh(x) ** 2)
>>> mg.grad(f)(np.array([0.0, 1.0]))
array([0.        , 0.63970001])
"""

from . import data, ops, optim
from .autodiff.reverse import grad, value_and_grad, vjp
from .core.errors import (
    BranchError,
    DataError,
    DTypeError,
    GraphvizFailed,
    GraphvizNotFound,
    MinigradError,
    MinigradWarning,
    MissingParameterError,
    NoGradientRule,
    NonFiniteError,
    OptionError,
    ParameterError,
    ShapeError,
    StaleTensorError,
)
from .core.primitive import Primitive, primitive
from .core.scope import scope
from .core.tape import Node, Tape
from .core.tensor import Tensor
from .draw import draw
from .model import Model
from .ops import affine, batchnorm, relu, softmax_loss, stop_gradient, svm_loss
from .solver import Solver

__version__ = "0.1.0"

__all__ = [
    "BranchError",
    "DTypeError",
    "DataError",
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
    "ShapeError",
    "Solver",
    "StaleTensorError",
    "Tape",
    "Tensor",
    "affine",
    "batchnorm",
    "data",
    "draw",
    "grad",
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
