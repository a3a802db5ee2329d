"""The ops: everything that has a derivative rule. ``mg.ops.NAME`` is the op of that name.

``REGISTRY`` lists the primitives; other names here (``std``, ``vstack``, ``dot``) are compositions of them.

The modules that every network needs are loaded with the package. The rest (decompositions, transforms, sorting, special
functions ...) are loaded when a function of theirs, or a name that is not here yet, is first asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from ..core import numpy_protocol
from ..core.primitive import REGISTRY as _registry
from ..core.primitive import Primitive

_FIRST = ("elementwise", "reduce", "shape", "index", "assign", "linalg")
_LAYERS = {  # these are reached by name alone
    name: module
    for module, names in {
        "activation": "elu gelu gelu_backward leaky_relu normal_cdf selu sigmoid silu softplus",
        "affine": "affine",
        "attention": "attention multi_head_attention positional_encoding",
        "conv": """
            biased_convolution conv1d conv2d conv_transpose2d convolution convolution_input convolution_weight
        """,
        "dropout": "drop dropout dropout_mask",
        "embedding": "embedding",
        "loss": "softmax_loss softmax_loss_backward svm_loss svm_loss_backward",
        "losses": """
            binary_cross_entropy_with_logits content_loss cross_entropy gan_discriminator_loss
            gan_generator_loss gram_matrix hinge kl_divergence l1 lsgan_discriminator_loss lsgan_generator_loss
            mse nt_xent style_loss temporal_softmax_loss temporal_softmax_loss_backward tv_loss
        """,
        "norm": """
            batchnorm instancenorm layernorm rmsnorm running_batchnorm spatial_batchnorm spatial_groupnorm
        """,
        "pool": """
            adaptive_avg_pool2d avg_pool2d global_avg_pool max_pool2d max_pooling upsample window_pick
            window_put window_spread window_sum
        """,
        "recurrent": "gru gru_step lstm lstm_step rnn rnn_step",
        "special": "log_softmax logsumexp softmax",
    }.items()
    for name in names.split()
}
_LATER = (
    "special",
    "ufunc_methods",
    "order",
    "sequence",
    "arrange",
    "select",
    "ranges",
    "products",
    "decomposition",
    "fft",
    "refused",
)

__all__: list[str] = ["REGISTRY"]


class _Ops(ModuleType):
    """This package. Some modules have the name of their op; here that name means the op, whoever imports the module."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, getattr(value, name) if isinstance(value, ModuleType) and name in _LAYERS else value)


sys.modules[__name__].__class__ = _Ops


def _enter(module: ModuleType) -> None:
    """Put a module's primitives into the registry, and them and its compositions among the names here."""
    for name in getattr(module, "__all__", ()):
        globals()[name] = getattr(module, name)
        __all__.append(name)
    for name, op in list(vars(module).items()):
        if isinstance(op, Primitive) and not name.startswith("_"):
            _registry[op.name] = op
            op.__module__ = __name__  # where it is found by its name, as pickle and help() do
            globals()[op.name] = op
            if op.name not in __all__:
                __all__.append(op.name)


def _load_rest() -> None:
    for name in dict.fromkeys((*_LAYERS.values(), *_LATER)):
        _enter(import_module(f".{name}", __name__))
    # Whatever else NumPy's functions reach is here under NumPy's names, also where a module has that name (shape).
    for space in (np, np.linalg, np.fft):
        for name, target in vars(space).items():
            found: Any = _registry.get(target.__name__) if isinstance(target, np.ufunc) else None
            if callable(target) and not isinstance(target, type):
                found = found or numpy_protocol.FUNCTIONS.get(target)
            if found is not None and (name not in globals() or isinstance(globals()[name], ModuleType)):
                globals()[name] = found
                __all__.append(name)
    globals()["REGISTRY"] = _registry


for _name in _FIRST:
    _enter(import_module(f".{_name}", __name__))
numpy_protocol.when_unknown(_load_rest)


def __getattr__(name: str) -> Any:
    if name in _LAYERS:
        _enter(import_module(f".{_LAYERS[name]}", __name__))
        return globals()[name]
    if not name.startswith("__") and numpy_protocol.load_rest() and name in globals():
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    numpy_protocol.load_rest()
    return sorted(__all__)
