"""Functions that move elements: every spelling against NumPy, to second order."""

import warnings

import numpy as np
import pytest

import minigrad as mg
from tests.gradients import agrees, gradients_of, source

rng = np.random.default_rng(21)
X = rng.standard_normal((2, 3, 4))
V = rng.standard_normal(5)
Z = rng.standard_normal((2, 3, 4)) + 1j * rng.standard_normal((2, 3, 4))

MOVING = [
    lambda x: np.moveaxis(x, 0, -1),
    lambda x: np.moveaxis(x, [0, -1], [1, 0]),
    lambda x: np.moveaxis(x, source=-1, destination=0),
    lambda x: np.rollaxis(x, 2),
    lambda x: np.rollaxis(x, 0, 3),
    lambda x: np.rollaxis(x, -1, start=-2),
    lambda x: np.rollaxis(x, 1, 1),
    lambda x: np.matrix_transpose(x),
    lambda x: np.linalg.matrix_transpose(x),
    lambda x: np.atleast_1d(x),
    lambda x: np.atleast_3d(x[0]),
    lambda x: np.atleast_3d(x[0, 0]),
    lambda x: np.atleast_2d(x[0, 0], x, 3.0),
    lambda x: np.atleast_1d(x[0, 0, 0]),
    lambda x: np.atleast_3d(x[0, 0, 0]),
    lambda x: np.flip(x),
    lambda x: np.flip(x, 1),
    lambda x: np.flip(m=x, axis=(0, -1)),
    lambda x: np.flipud(x),
    lambda x: np.fliplr(x),
    lambda x: np.rot90(x),
    lambda x: np.rot90(x, 2),
    lambda x: np.rot90(x, -1, (1, 2)),
    lambda x: np.rot90(x, k=4, axes=(2, 0)),
    lambda x: np.rot90(x, 5, axes=(-1, -2)),
    lambda x: np.roll(x, 5),
    lambda x: np.roll(x, -1, 1),
    lambda x: np.roll(x, (1, 2), (0, 1)),
    lambda x: np.roll(x, [1, 1], axis=[0, 0]),
    lambda x: np.roll(x, shift=np.int64(1), axis=(1, -1)),
    lambda x: np.tile(x, 2),
    lambda x: np.tile(x, (2, 1, 3)),
    lambda x: np.tile(x, (2, 1, 1, 2)),
    lambda x: np.tile(x, ()),
    lambda x: np.tile(x, (0, 1)),
    lambda x: np.repeat(x, 2),
    lambda x: x.repeat(3, axis=1),
    lambda x: x.repeat([2, 0, 1], -2),
    lambda x: np.repeat(x, [3], axis=0),
    lambda x: np.repeat(x, 0, axis=2),
    lambda x: np.repeat(x[0, 0], np.array([0, 1, 2, 3])),
    lambda x: np.resize(x, (5, 7)),
    lambda x: np.resize(x, 5),
    lambda x: np.broadcast_arrays(x[0, 0], x[0], np.ones((5, 1, 1))),
    lambda x: np.meshgrid(x[0, 0], x[0, 1, :2]),
    lambda x: np.meshgrid(x[0, 0], [1.0, 2.0], x[1, 1, :3], indexing="ij"),
    lambda x: np.meshgrid(x[0, 0], x[0, 1], sparse=True, copy=False),
    lambda x: np.meshgrid(x[0, 0]),
    lambda x: np.ix_(x[0, 0], x[1, 0]),
    lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=-1),
    lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 3), (1, 2)),
]


@pytest.mark.parametrize("f", MOVING, ids=source)
def test_moving_and_repeating(f):
    agrees(f, X)


def test_results_are_tuples_where_numpys_are():
    x = mg.Tape(full=False).watch(X)
    for f in (
        lambda x: np.atleast_1d(x, x),
        lambda x: np.meshgrid(x[0, 0], x[0, 1]),
        lambda x: np.broadcast_arrays(x, 1.0),
        lambda x: np.ix_(x[0, 0]),
    ):
        assert type(f(x)) is type(f(X)) and len(f(x)) == len(f(X))
    for f in (lambda x: np.array_split(x, 2), lambda x: np.hsplit(x, 3)):
        assert type(f(x)) is type(f(X)) is list


def test_a_mask_in_an_open_mesh_gives_indices():
    full = mg.Tape()
    rows, columns = np.ix_(full.watch(np.array([True, False, True])), [1, 2])
    np.testing.assert_array_equal(rows.value, [[0], [2]])
    np.testing.assert_array_equal(columns, [[1, 2]])


# --- joining ---------------------------------------------------------------------------------------------------------

A, B = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))

JOINING = [
    lambda x, y: np.vstack([x, y, [[1, 2, 3]]]),
    lambda x, y: np.vstack((x[0], y)),
    lambda x, y: np.hstack([x, y]),
    lambda x, y: np.hstack((x[0], 2.0, y[:, 0])),
    lambda x, y: np.dstack([x, y, np.ones((2, 3))]),
    lambda x, y: np.dstack([x[0], y[1]]),
    lambda x, y: np.column_stack([x[0], y[1]]),
    lambda x, y: np.column_stack((x, [1.0, 2.0], y[:, 1])),
    lambda x, y: np.append(x, y),
    lambda x, y: np.append(x, y, axis=1),
    lambda x, y: np.append(x, [[1.0, 2.0, 3.0]], 0) * np.append([5.0], y)[:3],
    lambda x, y: np.append(arr=x, values=7.0),
    lambda x, y: np.block([[x, y], [y, x * y]]),
    lambda x, y: np.block([x, np.ones((2, 1)), y]),
    lambda x, y: np.block([[x[0], 3.0], [y[0], 4.0]]),
    lambda x, y: np.block([[[x]], [[y]]]),
    lambda x, y: np.block(x) * y,
    lambda x, y: np.stack([x, y], dtype=np.float64),
]


@pytest.mark.parametrize("f", JOINING, ids=source)
def test_joining(f):
    agrees(f, A, B)


@pytest.mark.skipif(not hasattr(np, "row_stack"), reason="another name of vstack, which NumPy gives up")
def test_row_stack():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        agrees(lambda x, y: np.row_stack([x, y]), A, B)


@pytest.mark.parametrize("join", [np.concatenate, np.stack, np.vstack, np.hstack], ids=lambda f: f.__name__)
def test_joining_with_a_dtype(join):
    out, gradients = gradients_of(lambda x, y: join([x, y], dtype=np.float32), [A, B.astype(np.float32)])
    assert [out.dtype, *(g.dtype for g in gradients)] == [np.float32, np.float64, np.float32]
    for keywords in ({"dtype": int}, {"dtype": np.float32, "casting": "safe"}):
        for x in (A, mg.Tape().watch(A)):
            with pytest.raises(TypeError, match="cast"):
                join([x, x], **keywords)
    with pytest.raises(TypeError, match="equiv"):
        join([mg.Tape().watch(A), B.astype(np.float32)], casting="equiv")


def test_blocks_that_do_not_fit():
    x = mg.Tape().watch(A)
    for blocks in ([[x], x], [[x], []]):
        with pytest.raises(ValueError, match="depth"):
            np.block(blocks)
    with pytest.raises(TypeError, match="tuple"):
        np.block([(x, x)])


# --- splitting -------------------------------------------------------------------------------------------------------

SPLITTING = [
    lambda x: np.array_split(x, 3, axis=2),
    lambda x: np.array_split(x, 5, -1),
    lambda x: np.array_split(x, [1, 1, 3], axis=1),
    lambda x: np.array_split(x, 7),
    lambda x: np.hsplit(x, 3),
    lambda x: np.hsplit(x[0, 0], 2),
    lambda x: np.vsplit(x, [1]),
    lambda x: np.dsplit(x, 2),
]


@pytest.mark.parametrize("f", SPLITTING, ids=source)
def test_splitting(f):
    agrees(f, X)


@pytest.mark.skipif(not hasattr(np, "unstack"), reason="NumPy 2.1")
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unstack(axis):
    agrees(lambda x: np.unstack(x, axis=axis), X)
    assert np.unstack(mg.Tape().watch(np.zeros((0, 2)))) == ()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.vsplit(x[0, 0], 2),
        lambda x: np.dsplit(x[0], 2),
        lambda x: np.hsplit(x[0, 0, 0], 1),
        lambda x: np.array_split(x, 0),
        lambda x: np.split(x, 5),
        lambda x: np.flipud(x[0, 0, 0]),
        lambda x: np.fliplr(x[0, 0]),
        lambda x: np.rollaxis(x, 0, 5),
        lambda x: np.rollaxis(x, 0, -4),
        lambda x: np.moveaxis(x, [0, 1], [0]),
        lambda x: np.moveaxis(x, [0, 0], [0, 1]),
        lambda x: np.rot90(x, axes=(0, 0)),
        lambda x: np.matrix_transpose(x[0, 0]),
        lambda x: np.meshgrid(x, indexing="yx"),
        lambda x: np.ix_(x),
        lambda x: np.repeat(x, [1, 2], axis=1),
        lambda x: np.repeat(x, -1),
        lambda x: np.roll(x, 1, 3),
        lambda x: np.pad(x, 1, mode="mirror"),
        lambda x: np.pad(x, 1, mode="edge", constant_values=1),
        lambda x: np.pad(x[:0], 1, mode="edge"),
        lambda x: np.pad(x, -1),
        lambda x: np.pad(x, 1, mode="maximum", stat_length=0),
    ],
    ids=source,
)
def test_what_numpy_refuses_is_refused(f):
    with pytest.raises(ValueError):
        f(X)
    with pytest.raises(ValueError):
        f(mg.Tape(full=False).watch(X))


# --- padding ---------------------------------------------------------------------------------------------------------

PADDING = [
    lambda x: np.pad(x, 1),
    lambda x: np.pad(x, (1, 2)),
    lambda x: np.pad(x, ((1,), (0,), (2,))),
    lambda x: np.pad(x, ((1, 2), (0, 3), (0, 0)), "constant"),
    lambda x: np.pad(x, 1, constant_values=5),
    lambda x: np.pad(x, 2, constant_values=((1, 2), (3, 4), (5, 6))),
    lambda x: np.pad(x, (2, 1), mode="constant", constant_values=(1, -2)),
    lambda x: np.pad(x[0, 0], (2, 1), constant_values=x[1, 0, :2]),
    lambda x: np.pad(x, 1, constant_values=x[0, 0, 0]),
    lambda x: np.pad(x, 2, "edge"),
    lambda x: np.pad(x, ((1, 0), (2, 5), (0, 0)), mode="reflect"),
    lambda x: np.pad(x, (3, 6), "reflect"),
    lambda x: np.pad(x, (1, 4), "symmetric"),
    lambda x: np.pad(x, (5, 1), "wrap"),
    lambda x: np.pad(x, (1, 2), "reflect", reflect_type="odd"),
    lambda x: np.pad(x, (7, 2), "symmetric", reflect_type="odd"),
    lambda x: np.pad(x, 2, "symmetric", reflect_type="even"),
    lambda x: np.pad(x, (1, 3), "linear_ramp"),
    lambda x: np.pad(x, (3, 1), "linear_ramp", end_values=((1, 2), (-1, 0.5), (3, 0))),
    lambda x: np.pad(x[0, 0], (3, 1), "linear_ramp", end_values=x[1, 1, :2]),
    lambda x: np.pad(x, 2, "mean"),
    lambda x: np.pad(x, (1, 2), "mean", stat_length=((1, 2), (3, 1), (9, 2))),
    lambda x: np.pad(x, (1, 2), "maximum"),
    lambda x: np.pad(x, (2, 0), "maximum", stat_length=2),
    lambda x: np.pad(x, ((0, 0), (1, 0), (0, 2)), "minimum", stat_length=(1, 2)),
    lambda x: np.pad(x, (1, 2), "median"),
]


@pytest.mark.parametrize("f", PADDING, ids=source)
def test_padding(f):
    agrees(f, X)


def test_padding_by_axis():
    agrees(lambda x: np.pad(x, {0: 1, -1: (2, 0)} if isinstance(x, mg.Tensor) else ((1, 1), (0, 0), (2, 0))), X)


def test_padding_empty_arrays_and_numbers():
    for shape in [(0,), (0, 2)]:
        out, (g,) = gradients_of(lambda x: np.pad(x, 1), [np.zeros(shape)])
        assert out.shape == tuple(n + 2 for n in shape) and g.shape == shape
    agrees(lambda x: np.pad(x, ((0, 0), (1, 0)), "edge"), np.zeros((0, 2)))
    for mode in ("constant", "edge", "mean", "linear_ramp"):
        agrees(lambda x: np.pad(x, 0, mode), np.array(2.0))  # noqa: B023


@pytest.mark.parametrize("mode", ["empty", lambda vector, width, axis, options: None], ids=["empty", "function"])
def test_padding_with_anything_is_refused_by_name(mode):
    with pytest.raises(mg.NoGradientRule, match=r"np\.pad.*(empty|function).*constant, edge"):
        np.pad(mg.Tape().watch(X), 1, mode)


# --- dtypes, complex numbers, empty arrays ---------------------------------------------------------------------------

ALL = [*MOVING, *PADDING, *SPLITTING]


@pytest.mark.parametrize("f", ALL, ids=source)
def test_float32_is_kept(f):
    x = X.astype(np.float32)
    out, (g,) = gradients_of(f, [x], dtype=np.float32)
    plain = f(x)
    as_list = list if isinstance(plain, (list, tuple)) else lambda out: [out]
    assert [np.result_type(a) for a in as_list(out)] == [np.result_type(a) for a in as_list(plain)]
    assert g.dtype == np.float32


@pytest.mark.parametrize("f", [f for f in ALL if "imum" not in source(f) and "median" not in source(f)], ids=source)
def test_complex_numbers_move_as_real_ones_do(f):
    """The functions are linear with real weights: real and imaginary part go their ways side by side."""
    outputs = f(Z)
    first = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
    c = rng.standard_normal(first.shape) + 1j * rng.standard_normal(first.shape)

    def one(x):
        out = f(x)
        return out[0] if isinstance(out, (list, tuple)) else out

    out, pullback = mg.vjp(one, Z)
    np.testing.assert_allclose(out, first, rtol=1e-12, atol=1e-12)
    zero = np.zeros_like(X)
    (g,) = pullback(c)
    parts = [mg.vjp(lambda x: one(x) - one(zero), X)[1](part)[0] for part in (c.real, c.imag)]
    np.testing.assert_allclose(g, parts[0] + 1j * parts[1], rtol=1e-12, atol=1e-12)


def test_empty_arrays():
    x = np.zeros((2, 0))
    for f in (
        lambda x: np.tile(x, (2, 2)),
        lambda x: np.repeat(x, 2),
        lambda x: np.roll(x, 1),
        lambda x: np.flip(x),
        lambda x: np.rot90(x),
        lambda x: np.vstack([x, x]),
        lambda x: np.moveaxis(x, 0, 1),
        lambda x: np.atleast_3d(x),
    ):
        out, (g,) = gradients_of(f, [x])
        assert out.shape == f(x).shape and g.shape == (2, 0)
    np.testing.assert_array_equal(np.resize(mg.Tape().watch(x), (2, 2)), np.resize(x, (2, 2)))


def test_a_loop_over_unstacked_rows():
    agrees(lambda x: sum((i + 1) * row**2 for i, row in enumerate(np.split(x, len(x)))), X)


# --- questions and makers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: np.common_type(x, np.float32(1)),
        lambda x: np.zeros_like(x).tolist(),
        lambda x: np.ones_like(a=x, dtype=np.int8).tolist(),
        lambda x: np.empty_like(prototype=x, shape=(3, 2)).shape,
        lambda x: np.full_like(a=x, fill_value=2, shape=(2,)).tolist(),
        lambda x: np.full_like(x, [1, 2, 3, 4], np.float32).tolist(),
        lambda x: [i.tolist() for i in np.tril_indices_from(x[0], k=1)],
        lambda x: [i.tolist() for i in np.triu_indices_from(x[0])],
        lambda x: [i.tolist() for i in np.diag_indices_from(x[:, :2, 0])],
    ],
    ids=source,
)
def test_questions_have_plain_answers(ask):
    assert ask(mg.Tape(full=False).watch(X)) == ask(X)


def test_filling_with_a_tensor_keeps_its_gradient():
    agrees(lambda x: np.full_like(x, x[0, 0, 0]) * x, X)
    agrees(lambda x: np.full_like(x, x[0, 0], shape=(2, 4)), X)
    out, (g,) = gradients_of(lambda v: np.full_like(v, v, dtype=np.float32, shape=(2, 3)), [np.array(2.0)])
    assert (out.dtype, out.shape, g.dtype) == (np.float32, (2, 3), np.float64)
    v = mg.Tape(full=False).watch(np.array(2.5))
    assert np.full_like(v, v, dtype=int) == 2
    with pytest.raises(mg.NoGradientRule, match=r"np\.copyto.*np\.where"):  # NumPy fills an array of its own here
        np.full_like(X, v)


@pytest.mark.skipif(not hasattr(np, "astype"), reason="NumPy 2.1")
def test_astype_as_a_function():
    out, (g,) = gradients_of(lambda x: np.astype(x, np.float32, copy=False), [X])
    assert (out.dtype, g.dtype) == (np.float32, np.float64)


@pytest.mark.parametrize(
    "f, text",
    [
        (lambda x: np.concatenate([x], out=np.zeros(X.shape)), r"np\.concatenate.*out="),
        (lambda x: np.stack([x], out=np.zeros((1, *X.shape))), r"np\.stack.*out="),
        (lambda x: np.lib.stride_tricks.sliding_window_view(x, 1, axis=0, writeable=True), "writeable="),
        (lambda x: x.resize(3), r"\.resize"),
    ],
    ids=["concatenate", "stack", "windows", "resize"],
)
def test_refused_by_name(f, text):
    with pytest.raises(mg.NoGradientRule, match=text):
        f(mg.Tape(full=False).watch(X))
