"""The course's ``rnn_layers.py``: recurrent layers, and layers over the steps of sequences."""

from __future__ import annotations

import numpy as np

from .. import ops
from ..core.errors import ShapeError
from ..core.explain import where
from ..ops import sigmoid
from .losses import temporal_softmax_loss
from .wrap import layer

__all__ = [
    "lstm_backward",
    "lstm_forward",
    "lstm_step_backward",
    "lstm_step_forward",
    "rnn_backward",
    "rnn_forward",
    "rnn_step_backward",
    "rnn_step_forward",
    "sigmoid",
    "temporal_affine_backward",
    "temporal_affine_forward",
    "temporal_softmax_loss",
    "word_embedding_backward",
    "word_embedding_forward",
]


def rnn_step(x, prev_h, Wx, Wh, b):
    """One step of a vanilla RNN: ``next_h = tanh(x @ Wx + prev_h @ Wh + b)``.

    With x (N, D), prev_h (N, H), Wx (D, H), Wh (H, H) and b (H,).
    """
    return ops.rnn_step(x, prev_h, Wx, Wh, b)


def rnn(x, h0, Wx, Wh, b):
    """Vanilla RNN over x (N, T, D) from h0 (N, H): the hidden states of all steps, (N, T, H)."""
    return ops.rnn(x, h0, Wx, Wh, b)


def lstm_step(x, prev_h, prev_c, Wx, Wh, b):
    """One step of an LSTM, with gates in the order i, f, o, g; returns next_h and next_c, both (N, H).

    With x (N, D), prev_h and prev_c (N, H), Wx (D, 4H), Wh (H, 4H) and b (4H,).
    """
    return ops.lstm_step(x, prev_h, prev_c, Wx, Wh, b)


def lstm(x, h0, Wx, Wh, b):
    """LSTM over x (N, T, D) from h0 (N, H) and cells of zeros: the hidden states of all steps, (N, T, H)."""
    return ops.lstm(x, h0, Wx, Wh, b)


def word_embedding(x, W):
    """Vectors of words: the rows of W (V, D) that x (N, T) names. Backward returns the gradient of W alone."""
    return ops.embedding(W, x)


def temporal_affine(x, w, b):
    """Affine layer at each step of x (N, T, D), with w (D, M) and b (M,): (N, T, M)."""
    if len(x.shape) != 3:
        raise ShapeError(f"{where('temporal_affine')}: x {x.shape} came, and (N, T, D) was expected")
    samples, steps, size = x.shape
    return np.reshape(ops.affine(np.reshape(x, (samples * steps, size)), w, b), (samples, steps, w.shape[1]))


rnn_step_forward, rnn_step_backward = layer(rnn_step, (0, 1, 2, 3, 4))
rnn_forward, rnn_backward = layer(rnn, (0, 1, 2, 3, 4))
lstm_step_forward, lstm_step_backward = layer(lstm_step, (0, 1, 2, 3, 4, 5))
lstm_forward, lstm_backward = layer(lstm, (0, 1, 2, 3, 4))
word_embedding_forward, word_embedding_backward = layer(word_embedding, 1)
temporal_affine_forward, temporal_affine_backward = layer(temporal_affine, (0, 1, 2))
