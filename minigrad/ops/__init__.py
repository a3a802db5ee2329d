"""The ops: everything that has a derivative rule. ``mg.ops.NAME`` is the op of that name.

``REGISTRY`` lists the primitives; some names here (``std``, ``dot``, ``tensordot``, ``outer``) are compositions.
"""

from __future__ import annotations

from ..core.primitive import REGISTRY, Primitive
from . import affine as _affine
from . import elementwise as _elementwise
from . import index as _index
from . import linalg as _linalg
from . import loss as _loss
from . import norm as _norm
from . import reduce as _reduce
from . import shape as _shape
from .affine import affine
from .linalg import dot, outer, tensordot
from .reduce import std

__all__ = ["REGISTRY", "affine", "dot", "outer", "std", "tensordot"]

for _module in (_elementwise, _reduce, _shape, _index, _linalg, _affine, _norm, _loss):
    for _name, _op in vars(_module).items():
        if isinstance(_op, Primitive) and not _name.startswith("_"):
            REGISTRY[_op.name] = _op
            _op.__module__ = __name__  # where it is found by its name, as pickle and help() do
            globals()[_op.name] = _op
            __all__.append(_op.name)
