"""Convolutions as a user calls them: options, values, derivatives, messages."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.conv import conv1d, conv2d, conv_transpose2d
from tests.gradients import agrees, gradients_of

rng = np.random.default_rng(31)
X, W, B = rng.standard_normal((2, 4, 6, 5)), rng.standard_normal((6, 4, 3, 3)), rng.standard_normal(6)


def rel_error(x, y):
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))


def test_the_values_that_the_course_publishes():
    x = np.linspace(-0.1, 0.5, num=2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    w = np.linspace(-0.2, 0.3, num=3 * 3 * 4 * 4).reshape(3, 3, 4, 4)
    b = np.linspace(-0.1, 0.2, num=3)
    wanted = [
        [
            [[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]],
            [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
            [[0.50813986, 0.54309974], [0.64082444, 0.67101435]],
        ],
        [
            [[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]],
            [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
            [[2.36270298, 2.36904306], [2.38090835, 2.38247847]],
        ],
    ]
    assert rel_error(conv2d(x, w, b, stride=2, padding=1), np.array(wanted)) < 3e-8


def spelled_out(x, w, stride, padding, dilation):
    """One output pixel at a time."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:])]
    rows, columns = ((n - r) // s + 1 for n, r, s in zip(x.shape[2:], reach, stride))
    out = np.zeros((len(x), len(w), rows, columns))
    for n, f, p, q in np.ndindex(*out.shape):
        top, left = p * stride[0], q * stride[1]
        seen = x[n, :, top : top + reach[0] : dilation[0], left : left + reach[1] : dilation[1]]
        out[n, f, p, q] = np.sum(seen * w[f])
    return out


@pytest.mark.parametrize(
    "options, plain",
    [
        ({}, ((1, 1), ((0, 0), (0, 0)), (1, 1))),
        ({"padding": "valid", "stride": (1, 2)}, ((1, 2), ((0, 0), (0, 0)), (1, 1))),
        ({"padding": "same"}, ((1, 1), ((1, 1), (1, 1)), (1, 1))),
        ({"padding": "same", "stride": 2}, ((2, 2), ((0, 1), (1, 1)), (1, 1))),
        ({"padding": "same", "dilation": (2, 1)}, ((1, 1), ((2, 2), (1, 1)), (2, 1))),
        ({"padding": (0, 1), "stride": (3, 2)}, ((3, 2), ((0, 0), (1, 1)), (1, 1))),
        ({"padding": ((1, 0), (2, 0)), "stride": 2}, ((2, 2), ((1, 0), (2, 0)), (1, 1))),
        ({"padding": np.int64(2), "dilation": 2}, ((1, 1), ((2, 2), (2, 2)), (2, 2))),
        ({"padding": [0, [0, 1]]}, ((1, 1), ((0, 0), (0, 1)), (1, 1))),
    ],
    ids=str,
)
def test_options(options, plain):
    np.testing.assert_allclose(conv2d(X, W, **options), spelled_out(X, W, *plain), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stride, size", [(1, (6, 5)), (2, (3, 3)), (3, (2, 2)), (4, (2, 2)), (7, (1, 1))])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_same_gives_the_size_over_the_stride_rounded_up(stride, size, kernel):
    w = rng.standard_normal((1, 4, kernel, kernel))
    if kernel < stride:  # rows between windows, and perhaps after the last, are not looked at
        return
    assert conv2d(X, w, stride=stride, padding="same").shape == (2, 1, *size)


def test_groups_see_their_own_channels():
    w = rng.standard_normal((6, 2, 3, 3))
    parts = [conv2d(X[:, :2], w[:3], padding=1), conv2d(X[:, 2:], w[3:], padding=1)]
    np.testing.assert_allclose(conv2d(X, w, padding=1, groups=2), np.concatenate(parts, axis=1))


def test_depthwise():
    w = rng.standard_normal((4, 1, 3, 3))
    parts = [conv2d(X[:, c : c + 1], w[c : c + 1]) for c in range(4)]
    np.testing.assert_allclose(conv2d(X, w, groups=4), np.concatenate(parts, axis=1))
    agrees(lambda x, w: conv2d(x, w, groups=4), X, w)


@pytest.mark.parametrize("options", [{"padding": 1}, {"padding": "same", "stride": 2}, {"dilation": 2}], ids=str)
def test_derivatives(options):
    agrees(lambda x, w: conv2d(x, w, **options), X, W)
    agrees(lambda x, w, b: conv2d(x, w, b, **options), X, W, B)


def test_derivatives_through_something_curved():
    """So that second derivatives do not vanish, in both modes."""
    x, w = X[:1, :, :4, :4], W[:2]
    mg.check_grads(lambda x, w, b: np.tanh(conv2d(x, w, b, padding=1)), (x, w, B[:2]))
    mg.check_grads(lambda x, w, b: np.tanh(conv_transpose2d(x, w, b, stride=2)), (x[:, :2], w, B[:4]))
    mg.check_grads(lambda x, w: np.tanh(conv1d(x, w, padding="same")), (x[:, :, 0], w[:, :, 0]))


def test_hessian_of_weights_is_exact():
    """The loss is a square of something linear in w: its Hessian is the Gram matrix of what the filters see."""
    x, w = X[:1, :1, :4, :4], W[:1, :1]
    hessian = mg.hessian(lambda w: 0.5 * np.sum(conv2d(x, w) ** 2))(w)
    seen = np.lib.stride_tricks.sliding_window_view(x[0, 0], (3, 3)).reshape(4, 9)
    np.testing.assert_allclose(np.reshape(hessian, (9, 9)), seen.T @ seen, rtol=1e-12, atol=1e-12)


def test_conv1d_is_conv2d_with_one_row():
    x, w, b = X[:, :, 0], W[:, :, 0], B
    for options in [{}, {"padding": (1, 0), "dilation": 1, "stride": 1}, {"stride": 2}, {"padding": "same"}]:
        margins = {"padding": ((0, 0), options["padding"])} if options.get("padding") == (1, 0) else {}
        wide = conv2d(x[:, :, None], w[:, :, None], b, **options | {"stride": (1, options.get("stride", 1))} | margins)
        np.testing.assert_allclose(conv1d(x, w, b, **options), wide[:, :, 0])
    agrees(lambda x, w, b: conv1d(x, w, b, padding=2, dilation=2), x, w, b)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"stride": (1, 2), "padding": (1, 0), "dilation": (2, 1)},
        {"stride": 2, "padding": "same"},
        {"stride": 3, "padding": ((1, 0), (0, 1)), "groups": 2},
    ],
    ids=str,
)
def test_transposed_convolution_puts_filters_down(options):
    groups = options.get("groups", 1)
    w, b = rng.standard_normal((4, 3, 3, 2)), rng.standard_normal(3 * groups)
    out = conv_transpose2d(X, w, b, **options)
    s, d = (np.broadcast_to(options.get(name, 1), 2) for name in ("stride", "dilation"))
    whole = np.zeros((2, 3 * groups, *(np.array([5, 4]) * s + d * np.array([2, 1]) + 1 + 3)))
    for c, f, p, q, i, j in np.ndindex(4, 3, 6, 5, 3, 2):
        target = f + 3 * (c // (4 // groups))
        whole[:, target, p * s[0] + i * d[0], q * s[1] + j * d[1]] += X[:, c, p, q] * w[c, f, i, j]
    padding = options.get("padding", 0)
    first = {"same": (0, 0), 1: (1, 1), 0: (0, 0)}.get(padding) if not isinstance(padding, tuple) else padding
    first = [side[0] if isinstance(side, tuple) else side for side in first]
    wanted = whole[:, :, first[0] : first[0] + out.shape[2], first[1] : first[1] + out.shape[3]]
    np.testing.assert_allclose(out, wanted + b[:, None, None], rtol=1e-12, atol=1e-12)
    agrees(lambda x, w, b: conv_transpose2d(x, w, b, **options), X, w, b)


def test_transposed_sizes():
    w = np.ones((4, 3, 3, 3))
    assert conv_transpose2d(X, w, stride=2, padding="same").shape == (2, 3, 12, 10)
    assert conv_transpose2d(X, w, stride=2, padding=1, output_padding=1).shape == (2, 3, 12, 10)
    assert conv_transpose2d(X, w, stride=2, padding=1).shape == (2, 3, 11, 9)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_dtype_is_kept(dtype):
    x, w, b = (a.astype(dtype) for a in (X, W, B))
    for f in (lambda x, w, b: conv2d(x, w, b), lambda x, w, b: conv_transpose2d(x, w[:4], b[:4])):
        out, gradients = gradients_of(f, [x, w, b])
        assert {out.dtype, *(g.dtype for g in gradients)} == {np.dtype(dtype)}


def test_complex_convolution_is_holomorphic():
    x, w = X + 1j * X[::-1], W - 2j * W[::-1]
    mixed = conv2d(X, W) + 2 * conv2d(X[::-1], W[::-1]) + 1j * (conv2d(X[::-1], W) - 2 * conv2d(X, W[::-1]))
    np.testing.assert_allclose(conv2d(x, w), mixed)
    gradient = mg.grad(lambda x: np.sum(np.real(conv2d(x, w))))(x)
    np.testing.assert_allclose(gradient, mg.ops.convolution_input(
        np.ones((2, 6, 4, 3)), w, size=(6, 5), stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1
    ))  # fmt: skip


def test_no_images_and_lists():
    assert conv2d(X[:0], W, B).shape == (0, 6, 4, 3)
    np.testing.assert_array_equal(conv2d([[[[1.0, 2.0]]]], [[[[3.0]]]], [1.0]), [[[[4.0, 7.0]]]])


@pytest.mark.parametrize(
    "f, x, w, options, text",
    [
        (conv2d, (2, 3, 8, 8), (4, 2, 3, 3), {}, r"conv2d: x \(2, 3, 8, 8\), w .*x has 3 channels, and w takes 2$"),
        (conv2d, (2, 4, 8, 8), (4, 2, 3, 3), {}, r"4 channels, and w takes 2; groups=2 would fit"),
        (conv2d, (2, 8, 8, 3), (4, 3, 3, 3), {}, r"channels last: layout=\"NHWC\" takes it so"),
        (conv2d, (2, 3, 8, 8), (4, 3, 3, 3), {"layout": "NHWC"}, r"x has 8 .*second: layout=\"NCHW\" takes it so"),
        (conv1d, (2, 8, 3), (4, 3, 3), {}, r"channels last: np.swapaxes\(x, 1, 2\)"),
        (conv1d, (8, 3), (4, 3, 3), {}, r"x must be \(N, C, L\); for a single sequence write x\[None\]"),
        (conv2d, (3, 8, 8), (4, 3, 3, 3), {}, r"x must be \(N, C, H, W\); for a single image write x\[None\]"),
        (conv2d, (1, 3, 8, 8), (4, 27), {}, r"w must be \(F, C / groups, KH, KW\)"),
        (conv2d, (1, 4, 8, 8), (3, 2, 3, 3), {"groups": 2}, r"3 filters do not fall into 2 groups"),
        (conv2d, (1, 1, 4, 8), (1, 1, 5, 3), {}, r"covers 5 pixels of the height, and the padded .* 4 .*least 1"),
        (conv2d, (1, 1, 8, 4), (1, 1, 3, 3), {"dilation": 2}, r"covers 5 pixels of the width"),
        (
            conv2d, (1, 1, 8, 8), (1, 1, 3, 3), {"stride": 2, "padding": 1},
            r"stride 2 does not fit the height: .*7 pixels remain.*height 7 or 9; stride 1 or 7; padding \(1, 0\)",
        ),
        (conv2d, (1, 1, 8, 8), (1, 1, 3, 3), {"stride": 2}, r"padding \(0, 1\) before and after.*\"same\""),
        (conv1d, (1, 1, 8), (1, 1, 3), {"stride": 3}, r"conv1d: .*does not fit the length"),
        (conv_transpose2d, (1, 3, 4, 4), (2, 3, 3, 3), {}, r"w takes 2; here w is \(C, F / groups, KH, KW\)"),
        (conv_transpose2d, (1, 3, 1, 1), (3, 3, 3, 3), {"padding": 2}, r"cuts off everything"),
        (conv_transpose2d, (1, 3, 1, 1), (3, 3, 3, 3), {"groups": 2}, r"3 channels do not fall into 2 groups"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("watch", [False, True], ids=["arrays", "tensors"])
def test_shapes_that_do_not_fit(f, x, w, options, text, watch):
    args = [np.ones(x), np.ones(w)]
    with pytest.raises(mg.ShapeError, match=text):
        f(*(mg.Tape().watch(args) if watch else args), **options)


def test_what_an_error_proposes_fits():
    x, w = np.ones((1, 1, 8, 8)), np.ones((1, 1, 3, 3))
    for fitting in [{"stride": 7, "padding": 1}, {"stride": 2, "padding": ((1, 0), (1, 0))}]:
        conv2d(x, w, **fitting)
    for size in (7, 9):
        conv2d(np.ones((1, 1, size, size)), w, stride=2, padding=1)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"stride": 0}, r"conv2d: stride=0 came; it takes a whole number from 1 on or a pair"),
        ({"stride": 1.5}, r"stride=1.5 came"),
        ({"stride": (1, 2, 3)}, r"stride=\(1, 2, 3\) came"),
        ({"padding": "full"}, r"padding='full' came; .*\"same\" or \"valid\""),
        ({"padding": -1}, r"padding=-1 came"),
        ({"padding": (1, (1, 2, 3))}, r"padding=\(1, \(1, 2, 3\)\) came"),
        ({"dilation": "2"}, r"dilation='2' came"),
        ({"groups": (1, 2)}, r"groups=\(1, 2\) came"),
    ],
)
def test_options_that_are_no_options(options, text):
    with pytest.raises(mg.OptionError, match=text):
        conv2d(X, W, **options)


def test_output_padding_must_be_less_than_the_stride():
    with pytest.raises(mg.OptionError, match=r"output_padding \(1, 1\) must be less than the stride \(1, 1\)"):
        conv_transpose2d(X, W[:4], output_padding=1)
    with pytest.raises(mg.OptionError, match=r"no place beside"):
        conv_transpose2d(X, W[:4], stride=2, output_padding=1, padding="same")


def test_the_bias_must_fit_and_the_layer_is_named():
    for f, w in ((conv2d, W), (conv_transpose2d, W[:4])):
        with pytest.raises(mg.ShapeError, match=r"in conv1: .*b \(5,\): b must have shape"), mg.scope("conv1"):
            f(X, w, np.ones(5))
