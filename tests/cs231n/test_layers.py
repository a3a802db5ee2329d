"""The layers of assignment 2: the notebooks' numbers, gradients by differences, parameter dictionaries, refusals."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import cs231n
from tests.cs231n.pairs import check_pair, relative

rng = np.random.default_rng(47)


def randn(*shape):
    return rng.standard_normal(shape)


def ramp(start, end, *shape):
    return np.linspace(start, end, num=np.prod(shape)).reshape(shape)


# --- affine, relu ----------------------------------------------------------------------------------------------------


def test_affine_forward_of_the_notebook():
    out, _ = cs231n.affine_forward(ramp(-0.1, 0.5, 2, 4, 5, 6), ramp(-0.2, 0.3, 120, 3), np.linspace(-0.3, 0.1, num=3))
    wanted = [[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]]
    np.testing.assert_allclose(out, wanted, atol=5e-9)


def test_affine_gradients():
    check_pair("affine", [randn(10, 2, 3), randn(6, 5), randn(5)], tolerance=1e-9)


def test_relu_forward_of_the_notebook():
    out, _ = cs231n.relu_forward(ramp(-0.5, 0.5, 3, 4))
    wanted = [[0, 0, 0, 0], [0, 0, 0.04545455, 0.13636364], [0.22727273, 0.31818182, 0.40909091, 0.5]]
    np.testing.assert_allclose(out, wanted, atol=5e-9)


def test_relu_gradients():
    check_pair("relu", [randn(10, 10)], tolerance=1e-10)


# --- batch normalisation ---------------------------------------------------------------------------------------------


def notebook_batch():
    """The activations of a two-layer network that the notebook normalises."""
    state = np.random.RandomState(231)
    x, w1, w2 = state.randn(200, 50), state.randn(50, 60), state.randn(60, 3)
    return np.maximum(0, x @ w1) @ w2


def test_batchnorm_forward_of_the_notebook():
    a = notebook_batch()
    np.testing.assert_allclose(a.mean(axis=0), [-2.3814598, -13.18038246, 1.91780462], atol=5e-9)
    np.testing.assert_allclose(a.std(axis=0), [27.18502186, 34.21455511, 37.68611762], atol=5e-9)
    out, _ = cs231n.batchnorm_forward(a, np.ones(3), np.zeros(3), {"mode": "train"})
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(out.std(axis=0), 1, rtol=1e-7)
    gamma, beta = np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, 13.0])
    out, _ = cs231n.batchnorm_forward(a, gamma, beta, {"mode": "train"})
    np.testing.assert_allclose(out.mean(axis=0), beta)
    np.testing.assert_allclose(out.std(axis=0), [0.99999999, 1.99999999, 2.99999999], atol=1e-8)


@pytest.mark.parametrize("momentum, eps", [(None, None), (0.9, 1e-5), (0.5, 1e-2), (0.0, 1e-5), (1.0, 1e-5)])
def test_running_statistics_over_steps(momentum, eps):
    param = {"mode": "train"}
    param |= {key: value for key, value in (("momentum", momentum), ("eps", eps)) if value is not None}
    kept, eps = 0.9 if momentum is None else momentum, eps or 1e-5
    mean, var = np.zeros(3), np.zeros(3)
    gamma, beta = randn(3), randn(3)
    for _ in range(4):
        x = 3 + 2 * randn(6, 3)
        cs231n.batchnorm_forward(x, gamma, beta, param)
        mean, var = kept * mean + (1 - kept) * x.mean(axis=0), kept * var + (1 - kept) * x.var(axis=0)
        np.testing.assert_allclose(param["running_mean"], mean)
        np.testing.assert_allclose(param["running_var"], var)
    before = {key: value.copy() for key, value in param.items() if key.startswith("running")}
    param["mode"] = "test"
    out, _ = cs231n.batchnorm_forward(x, gamma, beta, param)
    np.testing.assert_allclose(out, (x - mean) / np.sqrt(var + eps) * gamma + beta)
    for key, value in before.items():
        np.testing.assert_array_equal(param[key], value)


def test_after_many_batches_the_test_mode_normalises():
    state, param = np.random.RandomState(231), {"mode": "train"}
    w1, w2 = state.randn(50, 60), state.randn(60, 3)

    def activations():
        return np.maximum(0, state.randn(200, 50) @ w1) @ w2

    for _ in range(50):
        cs231n.batchnorm_forward(activations(), np.ones(3), np.zeros(3), param)
    param["mode"] = "test"
    out, _ = cs231n.batchnorm_forward(activations(), np.ones(3), np.zeros(3), param)
    assert np.abs(out.mean(axis=0)).max() < 0.2 and np.abs(out.std(axis=0) - 1).max() < 0.2


def test_test_mode_before_any_training_uses_zeros():
    param, x = {"mode": "test"}, randn(2, 3)
    out, _ = cs231n.batchnorm_forward(x, np.ones(3), np.zeros(3), param)
    np.testing.assert_allclose(out, x / np.sqrt(1e-5))
    np.testing.assert_array_equal([param["running_mean"], param["running_var"]], np.zeros((2, 3)))


@pytest.mark.parametrize("mode", ["train", "test"])
@pytest.mark.parametrize("name, shape", [("batchnorm", (6, 5)), ("spatial_batchnorm", (2, 5, 4, 3))])
def test_batchnorm_gradients(mode, name, shape):
    param = {"mode": mode, "running_mean": randn(5), "running_var": rng.uniform(0.5, 2, 5)}
    check_pair(name, [5 * randn(*shape) + 12, randn(5), randn(5)], [param])


def test_the_other_way_backwards_is_the_same():
    x, gamma, beta, dout = 5 * randn(30, 8) + 12, randn(8), randn(8), randn(30, 8)
    _, cache = cs231n.batchnorm_forward(x, gamma, beta, {"mode": "train"})
    for one, other in zip(cs231n.batchnorm_backward(dout, cache), cs231n.batchnorm_backward_alt(dout, cache)):
        np.testing.assert_array_equal(one, other)


def test_spatial_batchnorm_is_batchnorm_of_the_pixels():
    x, gamma, beta = 4 * randn(2, 3, 4, 5) + 10, randn(3), randn(3)
    spatial, plain = {"mode": "train"}, {"mode": "train"}
    out, _ = cs231n.spatial_batchnorm_forward(x, gamma, beta, spatial)
    rows, _ = cs231n.batchnorm_forward(x.transpose(0, 2, 3, 1).reshape(-1, 3), gamma, beta, plain)
    np.testing.assert_allclose(out, rows.reshape(2, 4, 5, 3).transpose(0, 3, 1, 2))
    for key in ("running_mean", "running_var"):
        assert spatial[key].shape == (3,)
        np.testing.assert_allclose(spatial[key], plain[key])


def test_running_statistics_keep_float32():
    param = {"mode": "train"}
    cs231n.batchnorm_forward(randn(4, 3).astype("f4"), np.ones(3, "f4"), np.zeros(3, "f4"), param)
    assert param["running_mean"].dtype == param["running_var"].dtype == np.float32


@pytest.mark.parametrize("x, gamma", [((6, 4), (3,)), ((4,), (4,)), ((1, 4), (4,))], ids=str)
def test_what_fails_leaves_the_parameters_alone(x, gamma):
    param = {"mode": "train", "running_mean": np.zeros(4)}
    with pytest.raises(mg.ShapeError, match="batchnorm"):
        cs231n.batchnorm_forward(np.ones(x), np.ones(gamma), np.ones(gamma), param)
    assert list(param) == ["mode", "running_mean"] and not param["running_mean"].any()


# --- layer and group normalisation -----------------------------------------------------------------------------------


def test_layernorm_rows_are_normalised():
    gamma, beta = np.full(3, 3.0), np.full(3, 5.0)
    out, _ = cs231n.layernorm_forward(notebook_batch()[:4], gamma, beta, {})
    np.testing.assert_allclose(out.mean(axis=1), 5)
    np.testing.assert_allclose(out.std(axis=1), 3, rtol=1e-4)


def test_layernorm_eps():
    x = randn(4, 3)
    out, _ = cs231n.layernorm_forward(x, np.ones(3), np.zeros(3), {"eps": 0.5})
    np.testing.assert_allclose(out, (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 0.5))


def test_layernorm_gradients():
    check_pair("layernorm", [5 * randn(4, 5) + 12, randn(5), randn(5)], [{}])


def test_spatial_groupnorm_groups_are_normalised():
    x = 4 * randn(2, 6, 4, 5) + 10
    out, _ = cs231n.spatial_groupnorm_forward(x, np.ones((1, 6, 1, 1)), np.zeros((1, 6, 1, 1)), 2, {})
    groups = out.reshape(4, -1)
    np.testing.assert_allclose(groups.mean(axis=1), 0, atol=1e-13)
    np.testing.assert_allclose(groups.std(axis=1), 1, rtol=1e-5)
    gamma, beta = randn(1, 6, 1, 1), randn(1, 6, 1, 1)
    scaled, _ = cs231n.spatial_groupnorm_forward(x, gamma, beta, 2, {})
    np.testing.assert_allclose(scaled, out * gamma + beta)


def test_spatial_groupnorm_gradients():
    args = [5 * randn(2, 6, 4, 5) + 12, randn(1, 6, 1, 1), randn(1, 6, 1, 1)]
    _, (_, dgamma, dbeta) = check_pair("spatial_groupnorm", args, [2, {"eps": 1e-4}])
    assert dgamma.shape == dbeta.shape == (1, 6, 1, 1)


# --- dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p, zeros", [(0.25, 0.749784), (0.4, 0.600796), (0.7, 0.30074)])
def test_dropout_of_the_notebook(p, zeros):
    state = np.random.get_state()
    try:
        np.random.seed(231)
        x = np.random.randn(500, 500) + 10
        for kept in (0.25, 0.4, 0.7):  # one after the other, from the same stream of numbers
            out, _ = cs231n.dropout_forward(x, {"mode": "train", "p": kept})
            test, _ = cs231n.dropout_forward(x, {"mode": "test", "p": kept})
            if kept == p:
                assert (out == 0).mean() == pytest.approx(zeros, abs=1e-9)
                assert out.mean() == pytest.approx(x.mean(), abs=0.05)
            np.testing.assert_array_equal(test, x)
    finally:
        np.random.set_state(state)


def test_dropout_draws_as_the_course_does():
    x, param = randn(5, 4), {"mode": "train", "p": 0.3, "seed": 123}
    mask = (np.random.RandomState(123).rand(*x.shape) < 0.3) / 0.3
    out, cache = cs231n.dropout_forward(x, param)
    np.testing.assert_array_equal(out, x * mask)
    np.testing.assert_array_equal(cs231n.dropout_forward(x, param)[0], out)
    dout = randn(5, 4)
    np.testing.assert_array_equal(cs231n.dropout_backward(dout, cache), dout * mask)


@pytest.mark.parametrize("mode", ["train", "test"])
def test_dropout_gradients(mode):
    check_pair("dropout", [randn(10, 10) + 10], [{"mode": mode, "p": 0.2, "seed": 123}], tolerance=1e-9)


# --- convolution and pooling -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["naive", "fast", "im2col", "strides"])
def test_conv_forward_of_the_notebook(way):
    x, w, b = ramp(-0.1, 0.5, 2, 3, 4, 4), ramp(-0.2, 0.3, 3, 3, 4, 4), np.linspace(-0.1, 0.2, num=3)
    out, _ = getattr(cs231n, f"conv_forward_{way}")(x, w, b, {"stride": 2, "pad": 1})
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
    np.testing.assert_allclose(out, wanted, atol=1e-8)


@pytest.mark.parametrize("way", ["naive", "fast", "im2col", "strides"])
def test_conv_gradients(way):
    check_pair(f"conv/{way}", [randn(2, 3, 5, 5), randn(2, 3, 3, 3), randn(2)], [{"stride": 1, "pad": 1}])


def test_conv_gradients_with_a_stride():
    check_pair("conv/fast", [randn(2, 2, 7, 5), randn(3, 2, 3, 3), randn(3)], [{"stride": 2, "pad": 0}])


@pytest.mark.parametrize("way", ["naive", "fast", "im2col", "reshape"])
def test_max_pool_forward_of_the_notebook(way):
    param = {"pool_width": 2, "pool_height": 2, "stride": 2}
    out, _ = getattr(cs231n, f"max_pool_forward_{way}")(ramp(-0.3, 0.4, 2, 3, 4, 4), param)
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
    np.testing.assert_allclose(out, wanted, atol=5e-9)


@pytest.mark.parametrize("way", ["naive", "fast", "im2col", "reshape"])
@pytest.mark.parametrize("height, width, stride", [(2, 2, 2), (2, 4, 2), (3, 2, 1)])
def test_max_pool_gradients(way, height, width, stride):
    param = {"pool_height": height, "pool_width": width, "stride": stride}
    check_pair(f"max_pool/{way}", [randn(2, 2, 8, 8)], [param])


def test_ways_of_the_same_layer_share_their_caches():
    _, cache = cs231n.conv_forward_fast(randn(1, 1, 3, 3), randn(1, 1, 3, 3), randn(1), {"stride": 1, "pad": 1})
    dout = randn(1, 1, 3, 3)
    one, other = cs231n.conv_backward_naive(dout, cache), cs231n.conv_backward_fast(dout, cache)
    assert all(relative(a, b) == 0 for a, b in zip(one, other))


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda x: cs231n.batchnorm_forward(x, x[0], x[0], {}), 'batchnorm_forward: bn_param has no "mode"'),
        (lambda x: cs231n.batchnorm_forward(x, x[0], x[0], {"mode": "eval"}), 'is \'eval\', and "train" or "test"'),
        (lambda x: cs231n.dropout_forward(x, {"p": 0.5}), r'dropout_param has no "mode" \(it has: p\)'),
        (lambda x: cs231n.dropout_forward(x, {"mode": "train", "P": 0.5}), 'has no "p"; did you mean "P"'),
        (lambda x: cs231n.dropout_forward(x, {"mode": "train", "p": 0}), "probability of KEEPING"),
        (lambda x: cs231n.conv_forward_naive(x, x, x, {"stride": 1, "padding": 1}), 'conv_param has no "pad"; did you'),
        (lambda x: cs231n.max_pool_forward_naive(x, {"stride": 1}), 'pool_param has no "pool_height"'),
    ],
)
def test_parameter_dictionaries_that_lack_something(call, text):
    with pytest.raises(mg.OptionError, match=text):
        call(np.ones((3, 3)))


def test_a_stride_that_leaves_a_rest():
    with pytest.raises(mg.ShapeError, match="stride 2 does not fit the height.*What would fit"):
        cs231n.conv_forward_naive(np.ones((1, 1, 6, 6)), np.ones((1, 1, 3, 3)), np.ones(1), {"stride": 2, "pad": 0})
