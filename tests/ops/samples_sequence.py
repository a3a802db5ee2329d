"""Samples of cumulative sums and products, convolution and the like."""

import numpy as np

from tests.ops.samples import normal, row


def recurrence(decay, x, axis=-1):
    decay, x = np.moveaxis(decay, axis, 0), np.moveaxis(x, axis, 0)
    states = [x[0]]
    for factor, added in zip(decay[1:], x[1:]):
        states.append(factor * states[-1] + added)
    return np.stack(states, axis)


for axis in (0, 1, -1):
    row("cumsum", (normal(2, 3, 4),), np.cumsum, axis=axis)
    row("cumprod", (normal(2, 3, 4),), np.cumprod, axis=axis)
    row("recurrence", (normal(2, 3, 4), normal(2, 3, 4)), recurrence, axis=axis)
row("cumprod", (np.array([[0.0, 2.0, 3.0], [2.0, 0.0, 3.0], [0.0, 2.0, 0.0]]),), np.cumprod, axis=1, label="zeros")
for mode in "full same valid".split():
    for n, m in [(5, 3), (5, 4), (3, 5), (2, 5), (4, 4), (1, 1), (1, 3)]:
        row("convolve", (normal(n), normal(m)), np.convolve, mode=mode, label=f"{mode},{n}*{m}")
row("unwrap", (np.array([[0.0, 1.0, 5.0, 6.0], [0.0, -2.0, -3.0, 4.0]]),), np.unwrap)
row("unwrap", (np.array([0.0, 4.0, 9.0, 5.0]),), np.unwrap, period=6.0, axis=0)
