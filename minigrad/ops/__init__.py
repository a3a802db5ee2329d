"""The ops: everything that has a derivative rule. ``mg.ops.NAME`` is the op of that name.

``REGISTRY`` lists the primitives; some names here (``std``, ``dot``, ``tensordot``, ``outer``) are compositions.
"""

from __future__ import annotations

from ..core.primitive import REGISTRY, Primitive
from . import (
    affine,
    decomposition,
    elementwise,
    fft,
    index,
    linalg,
    loss,
    norm,
    order,
    reduce,
    select,
    sequence,
    shape,
    special,
    ufunc_methods,
)

__all__ = ["REGISTRY"]

_MODULES = (
    elementwise,
    special,
    reduce,
    ufunc_methods,
    order,
    sequence,
    shape,
    index,
    select,
    linalg,
    decomposition,
    fft,
    affine,
    norm,
    loss,
)

for _module in _MODULES:
    for _name in getattr(_module, "__all__", ()):  # compositions, which are functions and no primitives
        globals()[_name] = getattr(_module, _name)
        __all__.append(_name)
    for _name, _op in list(vars(_module).items()):
        if isinstance(_op, Primitive) and not _name.startswith("_"):
            REGISTRY[_op.name] = _op
            _op.__module__ = __name__  # where it is found by its name, as pickle and help() do
            globals()[_op.name] = _op
            if _op.name not in __all__:
                __all__.append(_op.name)
