"""What of NumPy has no derivative and never will, and what to do instead."""

from __future__ import annotations

import numpy as np

from ..core.numpy_protocol import FUNCTIONS, INSTEAD
from ..core.tensor import Tensor, value_of

_NO_NUMBERS = "it is about dates, bits or places in an array, not about real numbers; give it the .value"
_WRITES_A_FILE = "it writes a file; save the .value"

INSTEAD.update(
    {
        np.busday_count: _NO_NUMBERS,
        np.busday_offset: _NO_NUMBERS,
        np.datetime_as_string: _NO_NUMBERS,
        np.is_busday: _NO_NUMBERS,
        np.packbits: _NO_NUMBERS,
        np.unpackbits: _NO_NUMBERS,
        np.ravel_multi_index: _NO_NUMBERS,
        np.unravel_index: _NO_NUMBERS,
        np.save: _WRITES_A_FILE,
        np.savetxt: _WRITES_A_FILE,
        np.savez: _WRITES_A_FILE,
        np.savez_compressed: _WRITES_A_FILE,
        np.real_if_close: "whether it is real depends on the values; use np.real",
    }
)


def _plain(function: object) -> None:
    """Let a question about values be answered on the plain arrays."""

    def answer(*args: object, **keywords: object) -> object:
        return function(*map(_of, args), **{name: _of(x) for name, x in keywords.items()})  # type: ignore[operator]

    FUNCTIONS[function] = answer  # type: ignore[index]


def _of(x: object) -> object:
    return x.concrete("a question about values") if type(x) is Tensor else x


for _question in (np.iscomplex, np.isreal, np.isneginf, np.isposinf):
    _plain(_question)
for _about_memory in (np.may_share_memory, np.shares_memory, np.min_scalar_type, np.einsum_path):
    FUNCTIONS[_about_memory] = lambda *args, _f=_about_memory, **keywords: _f(*map(value_of, args), **keywords)
