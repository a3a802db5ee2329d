"""Samples of convolution and pooling: against the definitions, as einsum over windows or plain loops."""

import numpy as np

from minigrad.ops import conv, pool  # noqa: F401 (they are in the registry once loaded)
from tests.ops.samples import distinct, normal, row

NONE = ((0, 0), (0, 0))
HOW = [
    {"stride": (1, 1), "padding": NONE, "dilation": (1, 1), "groups": 1},
    {"stride": (1, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 2},
    {"stride": (2, 1), "padding": ((1, 1), (0, 1)), "dilation": (2, 1), "groups": 1},
]


def seen(x, kernel, stride, padding, dilation):
    """Return what each tap sees, (N, C, KH, KW, OH, OW)."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    reach = [n - d * (k - 1) for n, k, d in zip(x.shape[2:], kernel, dilation)]
    rows, columns = [
        [slice(d * place, d * place + r, s) for place in range(k)]
        for k, s, d, r in zip(kernel, stride, dilation, reach)
    ]
    return np.stack([np.stack([x[:, :, a, b] for b in columns], axis=2) for a in rows], axis=2)


def grouped(x, groups, axis):
    return x.reshape(*x.shape[:axis], groups, -1, *x.shape[axis + 1 :])


def convolved(x, w, stride, padding, dilation, groups):
    taps = grouped(seen(x, w.shape[2:], stride, padding, dilation), groups, 1)
    out = np.einsum("gfcij,ngcijpq->ngfpq", grouped(w, groups, 0), taps)
    return out.reshape(len(x), len(w), *out.shape[3:])


def with_bias(x, w, b, **how):
    return convolved(x, w, **how) + b[:, None, None]


def weight_slope(y, x, kernel, stride, padding, dilation, groups):
    taps = grouped(seen(x, kernel, stride, padding, dilation), groups, 1)
    return np.einsum("ngfpq,ngcijpq->gfcij", grouped(y, groups, 1), taps).reshape(y.shape[1], -1, *kernel)


def input_slope(y, w, size, stride, padding, dilation, groups):
    """Transpose the convolution by convolving every unit image."""
    shape = (w.shape[1] * groups, *size)
    units = np.eye(int(np.prod(shape)), dtype=w.dtype).reshape(-1, *shape)
    sent = convolved(units, w, stride, padding, dilation, groups)
    return np.einsum("nfpq,ufpq->nu", y, sent).reshape(len(y), *shape)


for number, how in enumerate(HOW):
    label = f"case {number}"
    x, w = normal(2, 2, 5, 6), normal(4, 2 // how["groups"], 2, 3)
    y = normal(*convolved(x, w, **how).shape)
    row("convolution", (x, w), convolved, label=label, **how)
    row("biased_convolution", (x, w, normal(4)), with_bias, label=label, **how)
    row("convolution_input", (y, w), input_slope, label=label, size=(5, 6), **how)
    row("convolution_weight", (y, x), weight_slope, label=label, kernel=(2, 3), **how)

POOLS = [
    {"window": (2, 3), "stride": (2, 3), "padding": NONE},
    {"window": (2, 2), "stride": (1, 2), "padding": ((1, 0), (1, 1))},
]


def windows(x, window, stride, padding, value=0):
    """Return the pixels of each window, (N, C, OH, OW, rows * columns)."""
    widths = ((0, 0), (0, 0), *padding)
    x = np.pad(x, widths, constant_values=value)
    found = np.lib.stride_tricks.sliding_window_view(x, window, (2, 3))[:, :, :: stride[0], :: stride[1]]
    return found.reshape(*found.shape[:4], -1)


def highest(x, window, stride, padding):
    return windows(x, window, stride, padding, -np.inf).max(axis=-1)


def picked(x, choice, window, stride, padding):
    return np.take_along_axis(windows(x, window, stride, padding), choice[..., None].astype(int), -1)[..., 0]


def unit_images(y, size):
    return np.eye(int(np.prod(size)), dtype=y.dtype).reshape(1, -1, *size)


def put_back(y, choice, size, window, stride, padding):
    """Transpose `picked`: for each pixel of the image, what the windows that chose it send."""
    taps = windows(unit_images(y, size), window, stride, padding)[0]
    chosen = np.eye(window[0] * window[1], dtype=y.dtype)[choice]
    return np.einsum("ncpq,upqk,ncpqk->ncu", y, taps, chosen).reshape(*y.shape[:2], *size)


def window_total(x, window, stride, padding):
    return windows(x, window, stride, padding).sum(axis=-1)


def spread_back(y, size, window, stride, padding):
    taps = window_total(unit_images(y, size), window, stride, padding)[0]
    return np.einsum("ncpq,upq->ncu", y, taps).reshape(*y.shape[:2], *size)


for number, how in enumerate(POOLS):
    label = f"case {number}"
    x = distinct(2, 2, 4, 6)
    choice = windows(x, value=-np.inf, **how).argmax(axis=-1).astype(np.uint8)
    y = normal(*choice.shape)
    row("max_pooling", (x,), highest, label=label, **how)
    row("window_pick", (x, choice), picked, label=label, **how)
    row("window_put", (y, choice), put_back, label=label, size=(4, 6), **how)
    row("window_sum", (x,), window_total, label=label, **how)
    row("window_spread", (y,), spread_back, label=label, size=(4, 6), **how)
