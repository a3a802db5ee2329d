"""Shape ops: NumPy's spellings, negative axes, joining and splitting, and the questions that answer plainly."""

import numpy as np
import pytest

import minigrad as mg
from tests.gradients import agrees, gradients_of, source

rng = np.random.default_rng(5)
X = rng.standard_normal((2, 3, 4))
Y = rng.standard_normal((2, 1, 4))

SPELLINGS = [
    lambda x: x.reshape(2, -1),
    lambda x: x.reshape((4, 6)),
    lambda x: x.reshape([4, 6]),
    lambda x: x.reshape(-1),
    lambda x: x.reshape(np.int64(4), 6),
    lambda x: np.reshape(x, -1),
    lambda x: np.reshape(x, np.array([6, 4])),
    lambda x: np.reshape(x, (6, -1), order="F"),
    lambda x: x.reshape(4, 6, order="F"),
    lambda x: x.reshape(4, 6, order="A"),
    lambda x: x.T.reshape(4, 6, order="A"),
    lambda x: np.ravel(x),
    lambda x: x.ravel("F"),
    lambda x: x.T.ravel(order="K"),
    lambda x: x.flatten(),
    lambda x: x.transpose(),
    lambda x: x.transpose(1, 0, 2),
    lambda x: x.transpose((2, 0, 1)),
    lambda x: x.transpose(-1, 0, -2),
    lambda x: x.transpose(None),
    lambda x: np.transpose(x, [1, 2, 0]),
    lambda x: np.permute_dims(x, (0, 2, 1)),
    lambda x: x.T,
    lambda x: x.mT,
    lambda x: x.swapaxes(0, 1),
    lambda x: np.swapaxes(x, axis1=-1, axis2=0),
    lambda x: x[:, :1].squeeze(),
    lambda x: x[:, :1].squeeze(1),
    lambda x: np.squeeze(x[:, :1], axis=(1,)),
    lambda x: np.expand_dims(x, (0, -1)),
    lambda x: np.broadcast_to(x[:, :1], (5, 2, 3, 4)),
]
if hasattr(np, "unstack"):  # since NumPy 2.1
    SPELLINGS += [
        lambda x: np.reshape(x, shape=(6, 4)),
    ]


@pytest.mark.parametrize("f", SPELLINGS, ids=source)
def test_spellings(f):
    agrees(f, X)


def test_transposing_a_vector():
    x = np.array([1.0, 2.0])
    agrees(lambda x: x.transpose(0), x)
    agrees(lambda x: x.transpose(np.int64(0)), x)
    agrees(lambda x: x.T, x)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)], ids=str)
def test_numbers_and_empty_arrays(shape):
    x = np.zeros(shape)
    for f in (lambda x: x.T, lambda x: x.reshape(x.shape + (1,)), lambda x: np.expand_dims(x, 0), lambda x: x.ravel()):
        out, (g,) = gradients_of(f, [x])
        assert out.shape == f(x).shape and g.shape == shape


def test_an_unknown_order_is_refused():
    with pytest.raises((ValueError, TypeError), match="order"):
        np.reshape(mg.Tape().watch(X), (6, 4), order="X")


def test_a_shape_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"reshape.*24 elements.*\(5, 5\)"):
        mg.Tape().watch(X).reshape(5, 5)


# --- joining and splitting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [1, -2])
def test_concatenate_along_an_axis(axis):
    agrees(lambda x, y: np.concatenate([x, y, x], axis), X, Y)
    agrees(lambda x, y: np.concat((x, y), axis=axis), X, Y)


def test_concatenate_flattened():
    agrees(lambda x, y: np.concatenate([x, y], axis=None), X, Y)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -4])
def test_stack(axis):
    axis = axis if axis != -4 else -3
    agrees(lambda x, y: np.stack([x, y, x * y], axis), X[0], 2 * X[1])


def test_joining_with_constants_of_any_kind():
    x = np.array([1.0, 2.0])
    agrees(lambda x: np.concatenate([x, np.array([3, 4])]) ** 2, x)
    agrees(lambda x: np.concatenate([x, [3.0, 4.0]]) ** 2, x)
    agrees(lambda x: np.stack([x, np.zeros(2)]) ** 2, x)
    agrees(lambda x: np.stack([x[0], 3.0, x[1] * x[0]]), x)


def test_joining_float32_and_float64_gives_each_its_own():
    out, gradients = gradients_of(lambda x, y: np.concatenate([x, y]), [np.ones(2, np.float32), np.ones(3)])
    assert [out.dtype, *(g.dtype for g in gradients)] == [np.float64, np.float32, np.float64]


def test_joining_the_rows_of_a_tensor():
    agrees(lambda x: np.concatenate(x), X)
    agrees(lambda x: np.stack([row * i for i, row in enumerate(x)]), X)


@pytest.mark.parametrize("sections", [2, [1, 3], (1, 1), np.array([2]), [-1], [2, 10]], ids=str)
@pytest.mark.parametrize("axis", [2, -1])
def test_split(sections, axis):
    agrees(lambda x: np.split(x, sections, axis), X)


def test_pieces_that_are_not_used_get_zeros():
    g = mg.grad(lambda x: np.sum(np.split(x, 3)[1] ** 2))(np.arange(6.0))
    np.testing.assert_array_equal(g, [0, 0, 4, 6, 0, 0])
    g = mg.grad(lambda x: np.sum(np.stack([x, x])[0]))(np.arange(2.0))
    np.testing.assert_array_equal(g, [1, 1])


# --- questions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: np.shape(x),
        lambda x: np.shape(a=x),
        lambda x: np.ndim(x),
        lambda x: np.ndim(a=x),
        lambda x: np.size(x),
        lambda x: np.size(x, 1),
        lambda x: np.size(a=x, axis=0),
        lambda x: np.result_type(x, np.float32),
        lambda x: np.iscomplexobj(x),
        lambda x: np.isrealobj(x=x),
        lambda x: np.allclose(x, X),
        lambda x: np.allclose(a=x, b=X),
        lambda x: np.array_equal(a1=X, a2=x),
        lambda x: np.isclose(x, X + 1).any(),
        lambda x: np.zeros_like(x).tolist(),
        lambda x: np.zeros_like(a=x, dtype=int).tolist(),
        lambda x: np.full_like(x, 3.0).tolist(),
        lambda x: np.ones_like(x, shape=(2,)).tolist(),
        lambda x: (len(x), x.shape, x.ndim, x.size, x.dtype, x.nbytes),
        lambda x: (x.tolist(), x[0, 0, 0].item(), float(x[0, 0, 0]), int(x[0, 0, 0]), bool(x[0, 0, 0] > 0)),
        lambda x: f"{x[0, 0, 0]:.3f}",
        lambda x: X[0, 0, 0] in x,
    ],
    ids=source,
)
def test_questions_have_numpys_answers(ask):
    assert ask(mg.Tape(full=False).watch(X)) == ask(X)


@pytest.mark.parametrize(
    "f, text",
    [
        (lambda x: np.concatenate([x], out=np.zeros(X.shape)), "concatenate.*out="),
        (lambda x: np.stack([x], out=np.zeros((1, *X.shape))), "stack.*out="),
        (lambda x: x.resize(3), r"\.resize"),
    ],
)
def test_refused_by_name(f, text):
    with pytest.raises((mg.NoGradientRule, TypeError), match=text):
        f(mg.Tape(full=False).watch(X))
