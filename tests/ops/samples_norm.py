"""Samples of normalisation, against the formulas step by step: what shares a mean is brought to the last axis first."""

import numpy as np

import minigrad as mg
from tests.ops.samples import normal, positive, row


def normalised(rows, eps):
    """Return rows normalised along the last axis, mean and variance."""
    mean, var = rows.mean(-1), rows.var(-1)
    return (rows - mean[..., None]) / np.sqrt(var + eps)[..., None], mean, var


def normalised_slope(d, rows, eps):
    """Return the cotangent of rows from that of the normalised ones, step by step as in the paper."""
    normal, _, var = normalised(rows, eps)
    along = d.mean(-1, keepdims=True) + normal * (d * normal).mean(-1, keepdims=True)
    return (d - along) / np.sqrt(var + eps)[..., None]


def to_first(x, layout):
    return x if layout == "NCHW" else np.moveaxis(x, -1, 1)


def to_layout(x, layout):
    return x if layout == "NCHW" else np.moveaxis(x, 1, -1)


def by_channel(v):
    return v[:, None, None]


# What each normalisation makes rows of, and the way back.


def batch_rows(x):
    return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)


def batch_back(rows, x):
    return np.moveaxis(rows.reshape(x.shape[1], len(x), *x.shape[2:]), 0, 1)


def group_rows(x, groups):
    return x.reshape(len(x), groups, -1)


def spatial_batch(x, gamma, beta, eps=1e-5, layout="NCHW"):
    x = to_first(x, layout)
    rows, mean, var = normalised(batch_rows(x), eps)
    return to_layout(batch_back(rows, x) * by_channel(gamma) + by_channel(beta), layout), mean, var


def spatial_batch_backward(g, x, gamma, eps=1e-5, layout="NCHW"):
    g, x = to_first(g, layout), to_first(x, layout)
    rows, slopes = batch_rows(x), batch_rows(g)
    d_x = batch_back(normalised_slope(slopes * gamma[:, None], rows, eps), x)
    return to_layout(d_x, layout), (slopes * normalised(rows, eps)[0]).sum(1), slopes.sum(1)


def group(x, gamma, beta, groups, eps=1e-5, layout="NCHW"):
    x = to_first(x, layout)
    rows, mean, var = normalised(group_rows(x, groups), eps)
    return to_layout(rows.reshape(x.shape) * by_channel(gamma) + by_channel(beta), layout), mean, var


def group_backward(g, x, gamma, groups, eps=1e-5, layout="NCHW"):
    g, x = to_first(g, layout), to_first(x, layout)
    rows = group_rows(x, groups)
    d_x = normalised_slope(group_rows(g * by_channel(gamma), groups), rows, eps).reshape(x.shape)
    d_gamma = (g * normalised(rows, eps)[0].reshape(x.shape)).sum((0, 2, 3))
    return to_layout(d_x, layout), d_gamma, g.sum((0, 2, 3))


def layer(x, gamma, beta, eps=1e-5):
    rows, mean, var = normalised(x, eps)
    return rows * gamma + beta, mean, var


def layer_backward(g, x, gamma, eps=1e-5):
    samples = tuple(range(x.ndim - 1))
    return normalised_slope(g * gamma, x, eps), (g * normalised(x, eps)[0]).sum(samples), g.sum(samples)


def root_mean_square(x, gamma, eps=1e-6):
    square = np.mean(x * x, axis=-1)
    return x / np.sqrt(square + eps)[..., None] * gamma, square


def root_mean_square_backward(g, x, gamma, eps=1e-6):
    root = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)
    normal, d = x / root, g * gamma
    d_x = (d - normal * np.mean(d * normal, axis=-1, keepdims=True)) / root
    return d_x, (g * normal).sum(tuple(range(x.ndim - 1)))


def first(function):
    return lambda *args, **params: function(*args, **params)[0]


def rows_of(op, x, gamma, beta, plain, plain_backward, label, **params):
    """Enter an op on some arguments, and its backward pass."""
    primitive = getattr(mg.ops, op)
    args = (x, gamma) if beta is None else (x, gamma, beta)
    row(op, args, first(plain), label=label, **params)
    needs = ("x", "gamma", "beta")[: len(args)]
    unread = () if beta is None else (("beta", beta.shape),)
    eps = {"eps": 1e-6 if beta is None else 1e-5}
    layout = {"layout": "NCHW"} if op.startswith("spatial") else {}

    def backward(g, x, gamma):
        _, *statistics = plain(*(x, gamma, gamma)[: len(args)], **params)
        given = {**layout, **eps, **params, "needs": needs, "unread": unread}
        return primitive.backward_op(g, x, gamma, *statistics, **given)

    row(
        f"{op}_backward",
        (normal(*x.shape), x, gamma),
        lambda g, x, gamma: plain_backward(g, x, gamma, **params),
        label=label,
        call=backward,
    )


IMAGES, LAST = normal(3, 4, 2, 3), normal(3, 2, 2, 4)
for label, x, params in [
    ("images", IMAGES, {}),
    ("channels last", LAST, {"layout": "NHWC"}),
    ("eps", IMAGES, {"eps": 0.1}),
]:
    rows_of("spatial_batchnorm", x, positive(4), normal(4), spatial_batch, spatial_batch_backward, label, **params)
for label, x, params in [
    ("two groups", IMAGES, {"groups": 2}),
    ("one group", IMAGES, {"groups": 1, "eps": 0.1}),
    ("channels last", LAST, {"groups": 4, "layout": "NHWC"}),
    ("one pixel", normal(3, 4, 1, 1), {"groups": 1}),
]:
    rows_of("spatial_groupnorm", x, positive(4), normal(4), group, group_backward, label, **params)
for label, x, params in [("vectors", normal(3, 4), {}), ("sequences", normal(2, 3, 4), {"eps": 0.1})]:
    rows_of("layernorm", x, positive(4), normal(4), layer, layer_backward, label, **params)
    rows_of("rmsnorm", x, positive(4), None, root_mean_square, root_mean_square_backward, label, **params)
rows_of("layernorm", normal(4), positive(4), normal(4), layer, layer_backward, "one vector")
