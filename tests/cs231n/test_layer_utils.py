"""Layers that come together: their gradients, and that they are the single layers one after the other."""

import numpy as np
import pytest

from minigrad import cs231n
from tests.cs231n.pairs import check_pair

rng = np.random.default_rng(53)


def randn(*shape):
    return rng.standard_normal(shape)


CONV, POOL = {"stride": 1, "pad": 1}, {"pool_height": 2, "pool_width": 2, "stride": 2}
IMAGES = [randn(2, 3, 8, 8), randn(3, 3, 3, 3), randn(3)]
ROWS = [randn(4, 2, 3), randn(6, 5), randn(5)]


@pytest.mark.parametrize(
    "name, args, params",
    [
        ("affine_relu", ROWS, []),
        ("affine_bn_relu", [*ROWS, randn(5), randn(5)], [{"mode": "train"}]),
        ("affine_ln_relu", [*ROWS, randn(5), randn(5)], [{}]),
        ("conv_relu", IMAGES, [CONV]),
        ("conv_bn_relu", [*IMAGES, randn(3), randn(3)], [CONV, {"mode": "train"}]),
        ("conv_relu_pool", IMAGES, [CONV, POOL]),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_gradients(name, args, params):
    check_pair(name, args, params)


def test_one_after_the_other():
    x, w, b = IMAGES
    dout = randn(2, 3, 4, 4)
    out, cache = cs231n.conv_relu_pool_forward(x, w, b, CONV, POOL)
    a, conv_cache = cs231n.conv_forward_fast(x, w, b, CONV)
    s, relu_cache = cs231n.relu_forward(a)
    wanted, pool_cache = cs231n.max_pool_forward_fast(s, POOL)
    np.testing.assert_array_equal(out, wanted)
    da = cs231n.relu_backward(cs231n.max_pool_backward_fast(dout, pool_cache), relu_cache)
    for one, other in zip(cs231n.conv_relu_pool_backward(dout, cache), cs231n.conv_backward_fast(da, conv_cache)):
        np.testing.assert_allclose(one, other)


def test_running_statistics_are_kept():
    bn_param = {"mode": "train"}
    x, w, b = IMAGES
    cs231n.conv_bn_relu_forward(x, w, b, np.ones(3), np.zeros(3), CONV, bn_param)
    scores, _ = cs231n.conv_forward_fast(x, w, b, CONV)
    np.testing.assert_allclose(bn_param["running_mean"], 0.1 * scores.mean(axis=(0, 2, 3)))
