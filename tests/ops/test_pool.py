"""Pooling and resizing as a user calls them."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.pool import adaptive_avg_pool2d, avg_pool2d, global_avg_pool, max_pool2d, upsample
from tests.gradients import agrees, gradients_of
from tests.ops.samples import distinct

X = distinct(2, 3, 4, 6)


def test_the_values_that_the_course_publishes():
    x = np.linspace(-0.3, 0.4, num=2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    wanted = [
        [
            [[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]],
            [[-0.14526316, -0.13052632], [-0.08631579, -0.07157895]],
            [[-0.02736842, -0.01263158], [0.03157895, 0.04631579]],
        ],
        [
            [[0.09052632, 0.10526316], [0.14947368, 0.16421053]],
            [[0.20842105, 0.22315789], [0.26736842, 0.28210526]],
            [[0.32631579, 0.34105263], [0.38526316, 0.4]],
        ],
    ]
    np.testing.assert_allclose(max_pool2d(x, 2, stride=2), wanted, atol=5e-9)


@pytest.mark.parametrize(
    "window, options",
    [
        (2, {}),
        ((4, 3), {}),
        (2, {"stride": 1}),
        (3, {"padding": "same", "stride": 2}),
        (3, {"padding": 1, "stride": 1}),
    ],
    ids=str,
)
def test_derivatives(window, options):
    agrees(lambda x: max_pool2d(x, window, **options), X)
    agrees(lambda x: avg_pool2d(x, window, **options), X)
    agrees(lambda x: avg_pool2d(x, window, count_padding=False, **options), X)
    mg.check_grads(lambda x: np.sin(max_pool2d(x, window, **options)), (X,))
    mg.check_grads(lambda x: np.sin(avg_pool2d(x, window, **options)), (X,))


def test_the_first_of_equal_maxima_gets_the_gradient():
    x = np.array([[[[1.0, 2.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]]])
    gradient = mg.grad(lambda x: np.sum(max_pool2d(x, 2) * np.array([3.0, 5.0])))(x)
    np.testing.assert_array_equal(gradient, [[[[0, 3, 5, 0], [0, 0, 0, 0]]]])


def test_padding_is_lower_than_every_pixel_and_counts_or_not():
    x = -np.ones((1, 1, 2, 2))
    np.testing.assert_array_equal(max_pool2d(x, 2, stride=1, padding=1), -np.ones((1, 1, 3, 3)))
    corners = [[-0.25, -0.5, -0.25], [-0.5, -1.0, -0.5], [-0.25, -0.5, -0.25]]
    np.testing.assert_array_equal(avg_pool2d(x, 2, stride=1, padding=1), [[corners]])
    np.testing.assert_array_equal(avg_pool2d(x, 2, stride=1, padding=1, count_padding=False), -np.ones((1, 1, 3, 3)))


def test_global_mean():
    np.testing.assert_allclose(global_avg_pool(X), X.mean(axis=(2, 3)))
    agrees(global_avg_pool, X)


@pytest.mark.parametrize("size", [1, (2, 3), (3, 4), (4, 6), (7, 5)], ids=str)
def test_adaptive_means(size):
    found = adaptive_avg_pool2d(X, size)
    rows, columns = np.broadcast_to(size, 2)
    for p, q in np.ndindex(rows, columns):
        top, bottom = int(np.floor(p * 4 / rows)), int(np.ceil((p + 1) * 4 / rows))
        left, right = int(np.floor(q * 6 / columns)), int(np.ceil((q + 1) * 6 / columns))
        np.testing.assert_allclose(found[:, :, p, q], X[:, :, top:bottom, left:right].mean(axis=(2, 3)), atol=1e-12)
    agrees(lambda x: adaptive_avg_pool2d(x, size), X)


def test_nearest():
    np.testing.assert_array_equal(upsample(X, (2, 3)), X.repeat(2, axis=2).repeat(3, axis=3))
    agrees(lambda x: upsample(x, (2, 3)), X)
    assert upsample(X[:0]).shape == (0, 3, 8, 12)


def test_bilinear():
    ramp = np.arange(4.0)[:, None] * 10 + np.arange(6.0)
    found = upsample(ramp[None, None], 2, mode="bilinear", align_corners=True)[0, 0]
    np.testing.assert_allclose(found, np.linspace(0, 30, 8)[:, None] + np.linspace(0, 5, 12))
    found = upsample(ramp[None, None], 2, mode="bilinear")[0, 0]
    down, along = (np.clip((np.arange(2 * n) - 0.5) / 2, 0, n - 1) for n in (4, 6))
    np.testing.assert_allclose(found, 10 * down[:, None] + along)
    for corners in (False, True):
        agrees(lambda x, c=corners: upsample(x, (2, 3), mode="bilinear", align_corners=c), X)


FUNCTIONS = [
    max_pool2d, avg_pool2d, global_avg_pool, lambda x: adaptive_avg_pool2d(x, 3),
    upsample, lambda x: upsample(x, mode="bilinear"),
]  # fmt: skip


@pytest.mark.parametrize("f", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_dtype_is_kept(f, dtype):
    out, (gradient,) = gradients_of(f, [X.astype(dtype)])
    assert out.dtype == gradient.dtype == dtype


@pytest.mark.parametrize("f", FUNCTIONS)
def test_what_is_no_batch_of_images(f):
    with pytest.raises(mg.ShapeError, match=r"in pool: x \(3, 4, 6\): x must be .*x\[None\]"), mg.scope("pool"):
        f(X[0])


@pytest.mark.parametrize("f", [max_pool2d, avg_pool2d])
def test_windows_that_do_not_fit(f):
    with pytest.raises(mg.ShapeError, match=r"pool2d: x .* the window covers 5 pixels of the height"):
        f(X, 5)
    with pytest.raises(mg.ShapeError, match=r"stride 4 does not fit the width: .*width 4 or 8; stride 1 or 2"):
        f(X, (4, 4))
    with pytest.raises(mg.OptionError, match=r"padding .* must be less than the window"):
        f(X, 2, padding=2)
    with pytest.raises(mg.OptionError, match=r"window=0 came"):
        f(X, 0)


def test_options_that_are_no_options():
    with pytest.raises(mg.OptionError, match=r"mode='cubic' came; it takes"):
        upsample(X, mode="cubic")
    with pytest.raises(mg.OptionError, match=r"align_corners=True is for"):
        upsample(X, align_corners=True)
    with pytest.raises(mg.OptionError, match=r"size=0 came"):
        adaptive_avg_pool2d(X, 0)
