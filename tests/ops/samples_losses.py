"""Samples of the losses that are ops of their own; the others are compositions."""

import numpy as np

import minigrad as mg
from tests.ops.samples import labels, normal, row, softmax, truth


def temporal(x, y, mask):
    """Step by step."""
    loss = x.dtype.type(0)
    for n, t in zip(*np.nonzero(mask)):
        loss -= np.log(softmax(x[n])[t, y[n, t]])
    return loss / len(x)


def temporal_backward(g, x, y, mask):
    d = np.zeros_like(x)
    for n, t in zip(*np.nonzero(mask)):
        d[n, t] = (softmax(x[n])[t] - np.eye(x.shape[2], dtype=x.dtype)[y[n, t]]) * g / len(x)
    return (d,)


def call_temporal_backward(g, x, y, mask):
    rows = np.reshape(x, (-1, x.shape[2]))
    highest = np.max(rows, axis=1, keepdims=True)
    total = np.sum(np.exp(rows - highest), axis=1, keepdims=True)
    return mg.ops.temporal_softmax_loss_backward(g, x, y, mask, highest, total, needs=("x",), unread=())


WORDS, MASK = labels((2, 3), 4), truth(2, 3)
row("temporal_softmax_loss", (normal(2, 3, 4), WORDS, MASK), temporal)
row("temporal_softmax_loss", (normal(2, 3, 4), WORDS, np.zeros((2, 3), bool)), temporal, label="nothing counts")
row(
    "temporal_softmax_loss_backward",
    (normal(), normal(2, 3, 4), WORDS, MASK),
    temporal_backward,
    call=call_temporal_backward,
)
