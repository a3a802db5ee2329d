"""Attention, and the layers of a transformer. (Vaswani et al., 2017, arXiv:1706.03762.)"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..core.errors import OptionError, ShapeError
from . import init
from .basic import Dropout, whole
from .layer import Declaration, Layer
from .normalisation import LayerNorm

__all__ = ["MultiHeadAttention", "PositionalEncoding", "TransformerDecoderLayer", "TransformerEncoderLayer"]


class MultiHeadAttention(Layer):
    """Attention with several heads. See :func:`minigrad.multi_head_attention`.

    Parameters
    ----------
    heads : int
        Divides the width.
    causal : bool
        Each position sees itself and those before it.
    p : float
        The probability of KEEPING an attention weight in training.
    init : initialiser of the four matrices

    Called with a query (N, S, E) and, for attention between two sequences, what to look at (N, T, E); and with
    ``mask=``, booleans that broadcast to (N, heads, S, T), true where the query may look.

    Parameters by name
    ------------------
    Wq, Wk, Wv, Wo : (E, E); bq, bk, bv, bo : (E,)

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> layer = mg.nn.MultiHeadAttention(2, causal=True).build(np.ones((1, 5, 8)), seed=0)
    >>> layer(np.ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    def __init__(self, heads: int, *, causal: bool = False, p: float = 1.0, init: Any = init.xavier_uniform) -> None:
        self.heads, self.causal, self.init = whole("MultiHeadAttention", "heads", heads), causal, init
        self.p = Dropout(p).p

    def parameters(self, x: Any, memory: Any = None) -> Declaration:
        if x.ndim != 3:
            raise ShapeError(f"MultiHeadAttention: x {x.shape} came; it takes sequences (N, S, E)")
        if memory is not None and memory.ndim != 3:
            raise ShapeError(f"MultiHeadAttention: memory {memory.shape} came; it takes sequences (N, T, E)")
        width = x.shape[2]
        if width % self.heads:
            fitting = [n for n in range(1, width + 1) if width % n == 0]
            raise OptionError(
                f"MultiHeadAttention: {self.heads} heads do not divide the width {width}; what would: "
                f"{', '.join(map(str, fitting))}"
            )
        source = width if memory is None else memory.shape[2]
        widths = {"q": width, "k": source, "v": source, "o": width}
        declared: Declaration = {}
        for name, size in widths.items():
            declared[f"W{name}"] = ((size, width), self.init)
            declared[f"b{name}"] = ((width,), init.zeros)
        return declared

    def forward(
        self,
        x: Any,
        memory: Any = None,
        *,
        mask: Any = None,
        Wq: Any,
        bq: Any,
        Wk: Any,
        bk: Any,
        Wv: Any,
        bv: Any,
        Wo: Any,
        bo: Any,
        train: bool,
        rng: Any,
    ) -> Any:
        memory = x if memory is None else memory
        keep = None
        if train and self.p < 1:
            keep = ops.dropout_mask((len(x), self.heads, x.shape[1], memory.shape[1]), rng, p=self.p, like=x)
        weights = (Wq, bq, Wk, bk, Wv, bv, Wo, bo)
        return ops.multi_head_attention(
            x, memory, memory, *weights, heads=self.heads, mask=mask, causal=self.causal, keep=keep, p=self.p
        )


class PositionalEncoding(Layer):
    """Add sines and cosines of the positions to (N, T, E), then drop some. See :func:`minigrad.positional_encoding`.

    Parameters
    ----------
    p : float
        The probability of KEEPING an element in training.
    """

    def __init__(self, p: float = 1.0) -> None:
        self.dropout = Dropout(p)

    def forward(self, x: Any) -> Any:
        if x.ndim != 3:
            raise ShapeError(f"PositionalEncoding: x {x.shape} came; it takes sequences (N, T, E)")
        return self.dropout(x + ops.positional_encoding(x.shape[1], x.shape[2], dtype=x.dtype))


class FeedForward(Layer):
    """Two affine maps with an activation between them, on every position."""

    def __init__(self, width: int, activation: Any, p: float) -> None:
        self.width, self.activation = whole("feed-forward layer", "width", width), activation
        self.dropout = Dropout(p)

    def parameters(self, x: Any) -> Declaration:
        size = x.shape[-1]
        return {
            "W1": ((size, self.width), init.xavier_uniform),
            "b1": ((self.width,), init.zeros),
            "W2": ((self.width, size), init.xavier_uniform),
            "b2": ((size,), init.zeros),
        }

    def forward(self, x: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        rows = x.reshape(-1, x.shape[-1])
        hidden = self.dropout(self.activation(ops.affine(rows, W1, b1)))
        return ops.affine(hidden, W2, b2).reshape(x.shape)


class TransformerEncoderLayer(Layer):
    """Self-attention, then two affine maps; each added to what it was given.

    Parameters
    ----------
    heads : int
        Divides the width E of the sequences.
    feed_forward : int
        The width between the two affine maps; 4 E is usual.
    p : float
        The probability of KEEPING an element in training: of the attention weights and the results of each part.
    norm_first : bool
        Normalise what goes into each part (Xiong et al., 2020, arXiv:2002.04745); otherwise, as in the paper and the
        course, the sum that comes out.
    causal : bool
        Each position sees itself and those before it, as in a language model.
    activation : function
        ReLU by default.

    Called with x (N, S, E) and, if wanted, ``mask=`` as `MultiHeadAttention`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> layer = mg.nn.TransformerEncoderLayer(2, 32).build(np.ones((1, 5, 8)), seed=0)
    >>> layer(np.ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        heads: int,
        feed_forward: int,
        *,
        p: float = 1.0,
        norm_first: bool = False,
        causal: bool = False,
        activation: Any = ops.relu,
    ) -> None:
        self.norm_first = norm_first
        self.self_attention = MultiHeadAttention(heads, causal=causal, p=p)
        self.norm1, self.dropout1 = LayerNorm(), Dropout(p)
        self.feed_forward = FeedForward(feed_forward, activation, p)
        self.norm2, self.dropout2 = LayerNorm(), Dropout(p)

    def forward(self, x: Any, *, mask: Any = None) -> Any:
        x = _beside(x, lambda x: self.self_attention(x, mask=mask), self.norm1, self.dropout1, self.norm_first)
        return _beside(x, self.feed_forward, self.norm2, self.dropout2, self.norm_first)


class TransformerDecoderLayer(Layer):
    """Causal self-attention, attention to another sequence, then two affine maps; each added to what it was given.

    The parameters are those of `TransformerEncoderLayer`. Called with x (N, S, E) and memory (N, T, E), and, if wanted,
    ``mask=`` for the self-attention and ``memory_mask=`` for the other.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> layer = mg.nn.TransformerDecoderLayer(2, 32).build(np.ones((1, 5, 8)), np.ones((1, 3, 8)), seed=0)
    >>> len(layer.params)
    26
    """

    def __init__(
        self,
        heads: int,
        feed_forward: int,
        *,
        p: float = 1.0,
        norm_first: bool = False,
        causal: bool = True,
        activation: Any = ops.relu,
    ) -> None:
        self.norm_first = norm_first
        self.self_attention = MultiHeadAttention(heads, causal=causal, p=p)
        self.norm1, self.dropout1 = LayerNorm(), Dropout(p)
        self.cross_attention = MultiHeadAttention(heads, p=p)
        self.norm2, self.dropout2 = LayerNorm(), Dropout(p)
        self.feed_forward = FeedForward(feed_forward, activation, p)
        self.norm3, self.dropout3 = LayerNorm(), Dropout(p)

    def forward(self, x: Any, memory: Any, *, mask: Any = None, memory_mask: Any = None) -> Any:
        x = _beside(x, lambda x: self.self_attention(x, mask=mask), self.norm1, self.dropout1, self.norm_first)
        x = _beside(
            x,
            lambda x: self.cross_attention(x, memory, mask=memory_mask),
            self.norm2,
            self.dropout2,
            self.norm_first,
        )
        return _beside(x, self.feed_forward, self.norm3, self.dropout3, self.norm_first)


def _beside(x: Any, part: Any, norm: Any, dropout: Any, norm_first: bool) -> Any:
    """Add what a part makes of x to x, normalised before or after."""
    if norm_first:
        return x + dropout(part(norm(x)))
    return norm(x + dropout(part(x)))
