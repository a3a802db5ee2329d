"""Images with their channels last: every op on images is, in that layout, the transposed op."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.conv import conv2d, conv_transpose2d
from minigrad.ops.norm import instancenorm, running_batchnorm, spatial_batchnorm, spatial_groupnorm
from minigrad.ops.pool import adaptive_avg_pool2d, avg_pool2d, global_avg_pool, max_pool2d, upsample
from tests.gradients import as_tuple, check_derivatives, gradients_of
from tests.ops.samples import distinct

rng = np.random.default_rng(37)
X = distinct(2, 4, 5, 6)
W, B = rng.standard_normal((4, 4, 2, 2)), rng.standard_normal(4)
GAMMA, BETA, MEAN, VAR = rng.uniform(0.5, 2, 4), rng.standard_normal(4), rng.standard_normal(4), rng.uniform(0.5, 2, 4)

OPS = {
    "conv2d": (lambda x, w, b, **how: conv2d(x, w, b, padding=((1, 0), (0, 1)), **how), (W, B)),
    "conv2d, strided": (lambda x, w, **how: conv2d(x, w, stride=(3, 2), **how), (W,)),
    "conv2d, grouped": (lambda x, w, b, **how: conv2d(x, w, b, groups=2, padding="same", **how), (W[:, :2], B)),
    "conv_transpose2d": (lambda x, w, b, **how: conv_transpose2d(x, w, b, stride=2, output_padding=1, **how), (W, B)),
    "conv_transpose2d, same": (lambda x, w, **how: conv_transpose2d(x, w, padding="same", **how), (W,)),
    "max_pool2d": (lambda x, **how: max_pool2d(x, (1, 2), **how), ()),
    "max_pool2d, padded": (lambda x, **how: max_pool2d(x, 3, stride=2, padding=((1, 1), (1, 0)), **how), ()),
    "avg_pool2d": (lambda x, **how: avg_pool2d(x, (5, 3), **how), ()),
    "avg_pool2d, padded": (lambda x, **how: avg_pool2d(x, 3, padding="same", count_padding=False, **how), ()),
    "global_avg_pool": (global_avg_pool, ()),
    "adaptive_avg_pool2d": (lambda x, **how: adaptive_avg_pool2d(x, (2, 5), **how), ()),
    "upsample": (lambda x, **how: upsample(x, (2, 1), **how), ()),
    "upsample, bilinear": (lambda x, **how: upsample(x, 2, mode="bilinear", **how), ()),
    "spatial_batchnorm": (spatial_batchnorm, (GAMMA, BETA)),
    "spatial_batchnorm, statistics": (spatial_batchnorm.all_outputs, (GAMMA, BETA)),
    "spatial_groupnorm": (lambda *args, **how: spatial_groupnorm(*args, groups=2, **how), (GAMMA, BETA)),
    "instancenorm": (instancenorm, (GAMMA, BETA)),
    "running_batchnorm": (
        lambda *args, **how: running_batchnorm(*args, train=True, **how)[0],
        (GAMMA, BETA, MEAN, VAR),
    ),
    "running_batchnorm, test time": (
        lambda *args, **how: running_batchnorm(*args, train=False, **how)[0],
        (GAMMA, BETA, MEAN, VAR),
    ),
}


def last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def first(x):
    return np.moveaxis(x, -1, 1) if np.ndim(x) == 4 else x


@pytest.mark.parametrize("name", OPS)
def test_channels_last_is_the_transposed_op(name):
    f, args = OPS[name]

    def turned(x, *args):
        out = f(x, *args, layout="NHWC")
        return tuple(map(first, out)) if isinstance(out, tuple) else first(out)

    plain, gradients = gradients_of(f, [X, *args])
    found, turned_gradients = gradients_of(turned, [last(X), *args])
    for a, b in zip(as_tuple(found), as_tuple(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert turned_gradients[0].shape == (2, 5, 6, 4)
    for a, b in zip((first(turned_gradients[0]), *turned_gradients[1:]), gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
    explicit = f(X, *args, layout="NCHW")
    for a, b in zip(as_tuple(explicit), as_tuple(plain), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", OPS)
def test_derivatives_with_the_channels_last(name):
    f, args = OPS[name]
    check_derivatives(lambda *args: f(*args, layout="NHWC"), [last(X), *args], wrt=range(1 + min(len(args), 2)))


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("layout", ["nhwc", "NHCW", "channels_last", None])
def test_an_unknown_layout(name, layout):
    f, args = OPS[name]
    text = f'layout={layout!r} came; it takes "NCHW" .* or "NHWC"'
    near = "" if layout in ("channels_last", None) else "; did you mean "
    with pytest.raises(mg.OptionError, match=f"in block: {text}.*{near}"), mg.scope("block"):
        f(X, *args, layout=layout)


@pytest.mark.parametrize("name", OPS)
def test_messages_have_the_axes_in_their_order(name):
    f, args = OPS[name]
    with pytest.raises(mg.ShapeError, match=r"x \(4, 5, 6\): x must be \(N, H, W, C\).*x\[None\]"):
        f(X[0], *args, layout="NHWC")


def test_what_does_not_fit_is_named_as_it_came():
    with pytest.raises(mg.ShapeError, match=r"x \(2, 5, 6, 4\), w .*stride 2 does not fit the height"):
        conv2d(last(X), W, stride=2, layout="NHWC")
    with pytest.raises(mg.ShapeError, match=r"x \(2, 5, 6, 4\), window \(7, 7\): the window covers 7"):
        max_pool2d(last(X), 7, layout="NHWC")


def test_nothing_is_copied_on_the_way():
    """A transposed view goes in, and one comes out."""
    out = avg_pool2d(last(X).astype(np.float32), 1, layout="NHWC")
    assert out.shape == (2, 5, 6, 4) and out.dtype == np.float32
    x = last(X)
    assert np.shares_memory(mg.ops.layout.channels_first(x, "NHWC"), x)
