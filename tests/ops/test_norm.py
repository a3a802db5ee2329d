"""Normalisation: statistics and their gradients, degenerate input, running averages, a peer, and what is refused."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.norm import (
    batchnorm,
    instancenorm,
    layernorm,
    rmsnorm,
    running_batchnorm,
    spatial_batchnorm,
    spatial_groupnorm,
)
from tests.gradients import agrees, check_derivatives, gradients_of

rng = np.random.default_rng(29)
X, GAMMA, BETA = 3 + 2 * rng.standard_normal((6, 4)), rng.uniform(0.5, 2, 4), rng.standard_normal(4)
ARGS = [X, GAMMA, BETA]


def test_columns_are_normalised():
    out = mg.batchnorm(X, np.ones(4), np.zeros(4))
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=0), 1, rtol=1e-4)


def test_statistics_come_with_it():
    _, mean, var = mg.batchnorm.all_outputs(*ARGS)
    np.testing.assert_allclose(mean, X.mean(axis=0))
    np.testing.assert_allclose(var, X.var(axis=0))


@pytest.mark.parametrize("outputs", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_gradients_through_any_of_the_outputs(outputs):
    def chosen(*args):
        all_of_them = mg.batchnorm.all_outputs(*args)
        return tuple(all_of_them[i] for i in outputs)

    check_derivatives(chosen, ARGS, orders=3)
    for wrt in [(0,), (1,), (2,), (1, 2)]:
        check_derivatives(chosen, ARGS, wrt=wrt)


@pytest.mark.parametrize("eps", [0.0, 1e-8, 1e-5, 1.0])
def test_every_eps(eps):
    check_derivatives(lambda *args: mg.batchnorm(*args, eps=eps), ARGS)


def test_fourth_order():
    check_derivatives(mg.batchnorm, ARGS, orders=4)


@pytest.mark.parametrize("x", [np.ones((5, 4)), np.zeros((5, 4))], ids=["ones", "zeros"])
def test_batches_without_spread_are_finite(x):
    out, gradients = gradients_of(mg.batchnorm, [x, GAMMA, BETA])
    np.testing.assert_allclose(out, np.broadcast_to(BETA, x.shape))
    assert all(np.isfinite(g).all() for g in gradients)
    check_derivatives(lambda *args: mg.batchnorm(*args, eps=0.1), [x, GAMMA, BETA])


def test_no_features():
    out, gradients = gradients_of(mg.batchnorm, [np.zeros((3, 0)), np.zeros(0), np.zeros(0)])
    assert out.shape == (3, 0) and [g.shape for g in gradients] == [(3, 0), (0,), (0,)]


@pytest.mark.parametrize("dtypes", ["f4 f8 f8", "f8 f4 f4", "f4 f4 f8", "f2 f4 f4"])
def test_dtypes_promote_as_in_the_formula(dtypes):
    x, gamma, beta = args = [a.astype(dtype) for a, dtype in zip(ARGS, dtypes.split())]
    out, gradients = gradients_of(mg.batchnorm, args)
    formula = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * gamma + beta
    assert out.dtype == formula.dtype
    assert [g.dtype for g in gradients] == [a.dtype for a in args]


def test_float32_with_a_large_mean_keeps_its_digits():
    """The variance is that of what is left after subtracting the mean, so a large mean does not cancel it."""
    x = (1e4 + rng.standard_normal((64, 3))).astype(np.float32)
    found = mg.batchnorm(x, np.ones(3, np.float32), np.zeros(3, np.float32))
    wanted = mg.batchnorm(x.astype(float), np.ones(3), np.zeros(3))
    np.testing.assert_allclose(found, wanted, atol=5e-3)


def test_what_needs_no_gradient_gets_none():
    tape = mg.Tape(full=False)
    out = mg.batchnorm(X, GAMMA, tape.watch(BETA))
    assert tape.nodes[out.index].plan.wants == ("beta",)


@pytest.mark.parametrize(
    "x, gamma, beta",
    [((6, 4), (3,), (4,)), ((6, 4), (4,), ()), ((6, 4, 1), (4,), (4,)), ((0, 4), (4,), (4,)), ((4,), (4,), (4,))],
    ids=str,
)
def test_shapes_that_do_not_fit(x, gamma, beta):
    with pytest.raises(mg.ShapeError, match=r"batchnorm: x \("):
        mg.batchnorm(np.ones(x), np.ones(gamma), np.ones(beta))


def test_an_unknown_parameter_is_named():
    with pytest.raises(TypeError, match='"eps"'):
        mg.batchnorm(*ARGS, ep=1e-3)


# --- all of them -----------------------------------------------------------------------------------------------------

IMAGES = 1 + 2 * rng.standard_normal((3, 4, 2, 3))
SEQUENCES = rng.standard_normal((2, 3, 4))


def groups_of_two(*args, **options):
    return spatial_groupnorm(*args, groups=2, **options)


NORMS = {
    "batchnorm": (batchnorm, (X, GAMMA, BETA)),
    "spatial_batchnorm": (spatial_batchnorm, (IMAGES, GAMMA, BETA)),
    "spatial_groupnorm": (groups_of_two, (IMAGES, GAMMA, BETA)),
    "instancenorm": (instancenorm, (IMAGES, GAMMA, BETA)),
    "layernorm": (layernorm, (SEQUENCES, GAMMA, BETA)),
    "rmsnorm": (rmsnorm, (SEQUENCES, GAMMA)),
}
over_norms = pytest.mark.parametrize("name", NORMS)


@over_norms
def test_derivatives(name):
    f, args = NORMS[name]
    agrees(f, *args, orders=3)
    for position in range(len(args)):
        agrees(lambda *args: f(*args, eps=0.1), *args, wrt=(position,))
    mg.check_grads(lambda *args: np.tanh(f(*args)), args)


@over_norms
def test_arrays_by_keyword_lists_and_integers(name):
    f, args = NORMS[name]
    labels = ("x", "gamma", "beta")[: len(args)]
    np.testing.assert_array_equal(f(**dict(zip(labels, args))), f(*args))
    np.testing.assert_array_equal(f(*(a.tolist() for a in args)), f(*args))
    whole = [np.round(4 * a).astype(int) for a in args]
    np.testing.assert_allclose(f(*whole), f(*(a.astype(float) for a in whole)))
    assert f(*whole).dtype == np.float64


@over_norms
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(name, dtype):
    f, args = NORMS[name]
    out, gradients = gradients_of(lambda *args: f(*args, eps=np.float64(1e-5)), [a.astype(dtype) for a in args])
    assert {a.dtype for a in (out, *gradients)} == {np.dtype(dtype)}


@over_norms
@pytest.mark.parametrize("eps", [-1e-5, np.inf, np.nan])
def test_eps_must_be_a_small_number(name, eps):
    f, args = NORMS[name]
    with pytest.raises(mg.OptionError, match="eps=.* came"):
        f(*args, eps=eps)


@over_norms
def test_complex_numbers_are_refused(name):
    f, args = NORMS[name]
    with pytest.raises(mg.DTypeError, match=r"x \(.* is complex128, and real numbers"):
        f(args[0] + 0j, *args[1:])


@over_norms
@pytest.mark.parametrize("shape", [(3,), (), (4, 1), (1, 4, 1, 1)], ids=str)
def test_scale_and_shift_of_a_wrong_shape(name, shape):
    f, args = NORMS[name]
    hint = r"; did you mean gamma.reshape\(-1\)\?" if np.prod(shape) == 4 else "$"
    text = rf"in block: x \(.*gamma must have shape \(4,\).*{hint}"
    with pytest.raises(mg.ShapeError, match=text), mg.scope("block"):
        f(args[0], np.ones(shape), *args[2:])
    if len(args) == 3:
        with pytest.raises(mg.ShapeError, match=r"beta must have shape \(4,\)"):
            f(*args[:2], np.ones(shape))


# --- statistics ------------------------------------------------------------------------------------------------------


def test_statistics_of_each():
    for found, rows in [
        (spatial_batchnorm.all_outputs(IMAGES, GAMMA, BETA), np.moveaxis(IMAGES, 1, 0).reshape(4, -1)),
        (spatial_groupnorm.all_outputs(IMAGES, GAMMA, BETA, groups=2), IMAGES.reshape(3, 2, -1)),
        (layernorm.all_outputs(SEQUENCES, GAMMA, BETA), SEQUENCES),
    ]:
        np.testing.assert_allclose(found[1], rows.mean(-1))
        np.testing.assert_allclose(found[2], rows.var(-1))
    np.testing.assert_allclose(rmsnorm.all_outputs(SEQUENCES, GAMMA)[1], np.mean(SEQUENCES**2, axis=-1))


@pytest.mark.parametrize(
    "f, args",
    [
        (spatial_batchnorm.all_outputs, (IMAGES, GAMMA, BETA)),
        (lambda *args: spatial_groupnorm.all_outputs(*args, groups=2), (IMAGES, GAMMA, BETA)),
        (layernorm.all_outputs, (SEQUENCES, GAMMA, BETA)),
        (rmsnorm.all_outputs, (SEQUENCES, GAMMA)),
    ],
    ids=["spatial_batchnorm", "spatial_groupnorm", "layernorm", "rmsnorm"],
)
def test_gradients_through_statistics(f, args):
    for chosen in range(1, len(f(*args))):
        check_derivatives(lambda *args, i=chosen: (f(*args)[0], f(*args)[i]), args)


def test_what_is_normalised_together():
    ones, zeros = np.ones(4), np.zeros(4)
    for out, axes in [
        (spatial_batchnorm(IMAGES, ones, zeros), (0, 2, 3)),
        (spatial_groupnorm(IMAGES, ones, zeros, groups=1), (1, 2, 3)),
        (instancenorm(IMAGES, ones, zeros), (2, 3)),
        (layernorm(SEQUENCES, ones, zeros), 2),
    ]:
        np.testing.assert_allclose(out.mean(axis=axes), 0, atol=1e-12)
        np.testing.assert_allclose(out.std(axis=axes), 1, rtol=1e-3)
    np.testing.assert_allclose(np.mean(rmsnorm(SEQUENCES, ones) ** 2, axis=2), 1, rtol=1e-3)


def test_images_and_their_pixels_as_samples_are_the_same():
    pixels = np.moveaxis(IMAGES, 1, -1).reshape(-1, 4)
    found = np.moveaxis(spatial_batchnorm(IMAGES, GAMMA, BETA), 1, -1).reshape(-1, 4)
    np.testing.assert_allclose(found, batchnorm(pixels, GAMMA, BETA), rtol=1e-12, atol=1e-12)


def test_groups_are_of_neighbouring_channels():
    """As the course's notebook has it: images in two groups of three channels."""
    x = 4 * rng.standard_normal((2, 6, 4, 5)) + 10
    rows = spatial_groupnorm(x, np.ones(6), np.zeros(6), groups=2).reshape(4, -1)
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(rows.std(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("name", ["spatial_groupnorm", "instancenorm", "layernorm", "rmsnorm"])
def test_what_has_no_spread_is_finite(name):
    f, args = NORMS[name]
    for value in (0.0, 0.1):
        out, gradients = gradients_of(f, [np.full(args[0].shape, value), *args[1:]])
        assert all(np.isfinite(a).all() for a in (out, *gradients))


def test_nothing_to_normalise():
    for f, shape in [(layernorm, (0, 4)), (layernorm, (2, 0, 4)), (groups_of_two, (0, 4, 2, 2))]:
        out, gradients = gradients_of(f, [np.zeros(shape), GAMMA, BETA])
        assert out.shape == gradients[0].shape == shape
        assert not gradients[1].any() and not gradients[2].any()
    out, gradients = gradients_of(spatial_batchnorm, [np.zeros((2, 0, 3, 3)), np.zeros(0), np.zeros(0)])
    assert out.shape == gradients[0].shape == (2, 0, 3, 3)


# --- running statistics ----------------------------------------------------------------------------------------------

MEAN, VAR = rng.standard_normal(4), rng.uniform(0.5, 2, 4)


@pytest.mark.parametrize("x, op, axes", [(X, batchnorm, 0), (IMAGES, spatial_batchnorm, (0, 2, 3))], ids=["2d", "4d"])
def test_running_statistics_in_training(x, op, axes):
    out, mean, var = running_batchnorm(x, GAMMA, BETA, MEAN, VAR, train=True, momentum=0.7)
    np.testing.assert_array_equal(out, op(x, GAMMA, BETA))
    np.testing.assert_allclose(mean, 0.7 * MEAN + 0.3 * x.mean(axis=axes))
    np.testing.assert_allclose(var, 0.7 * VAR + 0.3 * x.var(axis=axes))
    agrees(lambda x, gamma, beta: running_batchnorm(x, gamma, beta, MEAN, VAR, train=True)[0], x, GAMMA, BETA)


def test_no_gradient_flows_through_what_is_kept():
    def kept(x, mean, var):
        _, *statistics = running_batchnorm(x, GAMMA, BETA, mean, var, train=True)
        return np.sum(np.stack(statistics)) + 0 * np.sum(x) + 0 * np.sum(mean) + 0 * np.sum(var)

    for gradient in mg.grad(kept, (0, 1, 2))(X, MEAN, VAR):
        assert not gradient.any()


@pytest.mark.parametrize("x", [X, X[:1], X[:0], IMAGES], ids=["2d", "one sample", "no sample", "4d"])
def test_running_statistics_at_test_time(x):
    out, mean, var = running_batchnorm(x, GAMMA, BETA, MEAN, VAR, train=False, eps=0.1)
    assert mean is MEAN and var is VAR
    gamma, beta, centre, spread = (v[:, None, None] if x.ndim == 4 else v for v in (GAMMA, BETA, MEAN, VAR))
    np.testing.assert_allclose(out, (x - centre) / np.sqrt(spread + 0.1) * gamma + beta, rtol=1e-12, atol=1e-12)
    if x.size:
        agrees(lambda *args: running_batchnorm(*args, train=False)[0], x, GAMMA, BETA, MEAN, VAR)


def test_it_is_pure():
    args = [a.copy() for a in (X, GAMMA, BETA, MEAN, VAR)]
    for train in (True, False):
        running_batchnorm(*args, train=train)
    for a, b in zip(args, (X, GAMMA, BETA, MEAN, VAR)):
        np.testing.assert_array_equal(a, b)


def test_running_averages_tend_to_the_statistics():
    """As the course has its students check: after many batches, test time normalises."""
    mean, var = np.zeros(4), np.zeros(4)
    draw = np.random.default_rng(0)
    for _ in range(100):
        _, mean, var = running_batchnorm(5 + 3 * draw.standard_normal((200, 4)), GAMMA, BETA, mean, var, train=True)
    out, *_ = running_batchnorm(5 + 3 * draw.standard_normal((200, 4)), np.ones(4), np.zeros(4), mean, var, train=False)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=0.3)
    np.testing.assert_allclose(out.std(axis=0), 1, atol=0.15)


@pytest.mark.parametrize("train", [True, False])
def test_running_float32_is_kept(train):
    args = [a.astype(np.float32) for a in (IMAGES, GAMMA, BETA, MEAN, VAR)]
    assert {a.dtype for a in running_batchnorm(*args, train=train)} == {np.dtype(np.float32)}


def test_running_refusals():
    with pytest.raises(mg.OptionError, match="momentum=1.5 came; it takes a number from 0 to 1"):
        running_batchnorm(X, GAMMA, BETA, MEAN, VAR, train=True, momentum=1.5)
    with pytest.raises(mg.ShapeError, match=r"mean \(3,\).*mean must have shape \(4,\)"):
        running_batchnorm(X, GAMMA, BETA, MEAN[:3], VAR, train=False)
    with pytest.raises(mg.ShapeError, match=r"x \(6,\): x must be \(N, C, H, W\), or \(N, D\)"):
        running_batchnorm(X[:, 0], GAMMA, BETA, MEAN, VAR, train=False)
    with pytest.raises(mg.OptionError, match="eps=-1 came"):
        running_batchnorm(X, GAMMA, BETA, MEAN, VAR, train=False, eps=-1)
    with pytest.raises(mg.ShapeError, match="one value, which is its own mean.*train=False"):
        running_batchnorm(X[:1], GAMMA, BETA, MEAN, VAR, train=True)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f, shape, text",
    [
        (batchnorm, (1, 4), "one value.*larger batch.*train=False.*or layernorm"),
        (batchnorm, (0, 4), "no value"),
        (spatial_batchnorm, (1, 4, 1, 1), "one value.*or spatial_groupnorm or layernorm"),
        (spatial_batchnorm, (3, 4, 0, 2), "no value"),
        (batchnorm, (3, 4, 2, 2), r"x must be \(N, D\); for images there is spatial_batchnorm"),
        (batchnorm, (4,), r"x must be \(N, D\)$"),
        (spatial_batchnorm, (3, 4), r"x must be \(N, C, H, W\); for samples \(N, D\) there is batchnorm"),
        (spatial_batchnorm, (4, 2, 2), r"x must be \(N, C, H, W\); for a single image write x\[None\]"),
        (groups_of_two, (3, 4), r"x must be .*; for samples \(N, D\) there is layernorm"),
        (instancenorm, (3, 4), r"instancenorm: .*; for samples \(N, D\) there is layernorm"),
        (groups_of_two, (3, 4, 0, 2), "with at least one pixel"),
        (layernorm, (), r"x must be \(..., D\), and D at least 1"),
        (layernorm, (3, 0), r"x must be \(..., D\), and D at least 1"),
        (layernorm, (3, 4, 2, 2), r"along the last axis.*there is spatial_groupnorm\(x, ..., groups=1\)"),
        (instancenorm, (3, 4, 1, 1), "instancenorm: .*one pixel per channel.*use spatial_groupnorm with fewer groups"),
        (lambda *args: spatial_groupnorm(*args, groups=3), (3, 4, 2, 2), r"into 3 groups; .* would fit: 1, 2, 4$"),
        (lambda *args: spatial_groupnorm(*args, groups=8), (3, 4, 2, 2), r"into 8 groups; .* would fit: 1, 2, 4$"),
        (lambda *args: spatial_groupnorm(*args, groups=4), (3, 4, 1, 1), "a group has one value.*use fewer groups"),
    ],
)
@pytest.mark.parametrize("watch", [False, True], ids=["arrays", "tensors"])
def test_shapes_that_are_refused(f, shape, text, watch):
    args = [np.ones(shape), GAMMA, BETA]
    with pytest.raises(mg.ShapeError, match=text):
        f(*(mg.Tape().watch(args) if watch else args))


@pytest.mark.parametrize("groups", [0, 1.5, "2", (1, 2)], ids=str)
def test_groups_that_are_no_number(groups):
    with pytest.raises(mg.OptionError, match=r"spatial_groupnorm: groups=.* came; it takes a whole number from 1 on"):
        spatial_groupnorm(IMAGES, GAMMA, BETA, groups=groups)


# --- a peer ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-11), (np.float32, 1e-5)])
@over_norms
def test_pytorch(name, dtype, tolerance):
    torch = pytest.importorskip("torch", reason="a peer for values and gradients")
    layers = torch.nn.functional
    peer = {
        "batchnorm": lambda x, w, b: layers.batch_norm(x, None, None, w, b, training=True),
        "spatial_batchnorm": lambda x, w, b: layers.batch_norm(x, None, None, w, b, training=True),
        "spatial_groupnorm": lambda x, w, b: layers.group_norm(x, 2, w, b),
        "instancenorm": lambda x, w, b: layers.instance_norm(x, weight=w, bias=b),
        "layernorm": lambda x, w, b: layers.layer_norm(x, (4,), w, b),
        "rmsnorm": lambda x, w: layers.rms_norm(x, (4,), w, eps=1e-6),
    }[name]
    f, args = NORMS[name]
    args = [a.astype(dtype) for a in args]
    out, pullback = mg.vjp(f, *args)
    g = np.cos(np.arange(out.size)).reshape(out.shape).astype(dtype)
    given = [torch.tensor(a, requires_grad=True) for a in args]
    wanted = peer(*given)
    wanted.backward(torch.tensor(g))
    np.testing.assert_allclose(out, wanted.detach().numpy(), rtol=tolerance, atol=tolerance)
    for found, tensor in zip(pullback(g), given, strict=True):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=tolerance, atol=10 * tolerance)


def test_pytorch_running_statistics():
    """Its momentum is that of the batch, and its running variance takes the unbiased one."""
    torch = pytest.importorskip("torch", reason="a peer for running statistics")
    mean, var = torch.tensor(MEAN), torch.tensor(VAR)
    wanted = torch.nn.functional.batch_norm(torch.tensor(X), mean, var, training=True, momentum=0.1)
    out, found_mean, found_var = running_batchnorm(X, np.ones(4), np.zeros(4), MEAN, VAR, train=True, momentum=0.9)
    np.testing.assert_allclose(out, wanted.numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found_mean, mean.numpy(), rtol=1e-12)
    biased = 0.9 * VAR + (var.numpy() - 0.9 * VAR) * (len(X) - 1) / len(X)
    np.testing.assert_allclose(found_var, biased, rtol=1e-12)
