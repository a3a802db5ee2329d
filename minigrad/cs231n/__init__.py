"""CS231n's own spelling: for people who have the course's notebooks.

``from minigrad.cs231n import *`` stands for the course's ``layers``, ``fast_layers``, ``layer_utils``, ``rnn_layers``,
``im2col``, ``gradient_check``, the losses of its linear classifiers, its networks, its Solver and its update rules,
with the same names, arguments and results. The modules are called as there, so ``from minigrad.cs231n.layers import *``
works too. `layer` makes such a pair of functions from a forward function of your own.

>>> import numpy as np
>>> from minigrad.cs231n import affine_backward, affine_forward
>>> out, cache = affine_forward(np.array([[1.0, 2.0]]), np.eye(2), np.array([0.5, 0.0]))
>>> out
array([[1.5, 2. ]])
>>> dx, dw, db = affine_backward(np.array([[1.0, 10.0]]), cache)
>>> dw
array([[ 1., 10.],
       [ 2., 20.]])

(Stanford's course CS231n: Deep Learning for Computer Vision, https://cs231n.github.io/.)
"""

from __future__ import annotations

from . import (
    classifiers,
    fast_layers,
    gradient_check,
    im2col,
    layer_utils,
    layers,
    networks,
    optim,
    rnn_layers,
    solver,
)
from .classifiers import *  # noqa: F403
from .fast_layers import *  # noqa: F403
from .gradient_check import *  # noqa: F403
from .im2col import *  # noqa: F403
from .layer_utils import *  # noqa: F403
from .layers import *  # noqa: F403
from .networks import *  # noqa: F403
from .optim import *  # noqa: F403
from .rnn_layers import *  # noqa: F403
from .solver import *  # noqa: F403
from .wrap import layer

__all__ = [
    "layer",
    *solver.__all__,
    *optim.__all__,
    *layers.__all__,
    *fast_layers.__all__,
    *layer_utils.__all__,
    *rnn_layers.__all__,
    *classifiers.__all__,
    *networks.__all__,
    *im2col.__all__,
    *gradient_check.__all__,
]
