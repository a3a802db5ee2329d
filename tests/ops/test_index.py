"""Indexing as NumPy has it: every kind of index alone and mixed, to second order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import minigrad as mg
from tests.gradients import agrees, gradients_of

X = np.random.default_rng(13).standard_normal((3, 4, 5))
MASK = np.array([True, False, True])
WIDE = X > 0

INDICES = [
    0,
    -1,
    np.int64(1),
    np.uint8(2),
    slice(None),
    slice(None, None, -1),
    slice(2, None, -2),
    slice(5, 9),
    Ellipsis,
    None,
    (),
    (Ellipsis, 0),
    (0, Ellipsis, None, slice(1, 3)),
    (None, slice(None), None, 1),
    (slice(None), -1, slice(None, None, 2)),
    (1, 2, 3),
    [0, 2],
    [2, 2, 0, 2],
    [],
    [[0, 1], [1, 1]],
    range(2),
    ((0, 0, 1),),
    ((0, 0), (1, 1)),
    np.array([0, 0, 1]),
    np.array([[0, -1], [0, 2]]),
    np.array(1),
    np.array([1, 1], np.int8),
    np.array([], int),
    ([0, 0, 1], [1, 1, 2]),
    ([0, 0], slice(None), [1, 1]),
    (slice(1), [0, 0, 3]),
    (0, slice(None), [1, 1]),
    (np.array([[0], [0]]), np.array([1, 1])),
    (Ellipsis, [0, 0], None),
    MASK,
    ~(MASK | True),
    WIDE,
    (MASK, 0),
    (slice(None), np.array([True, False, False, True])),
    (MASK, [1, 1]),
    (MASK, slice(None, None, -1), [0, 0]),
    [True, False, True],
    True,
    np.False_,
    (True, [0, 0]),
]


@pytest.mark.parametrize("index", INDICES, ids=lambda i: repr(i).replace("\n", "")[:60])
def test_every_kind_of_index(index):
    agrees(lambda x: x[index], X)


def test_indexing_numbers():
    agrees(lambda x: x[()], np.array(2.0))
    agrees(lambda x: x[..., None], np.array(2.0))
    agrees(lambda x: x[x > 0], np.array(2.0))


def test_an_object_that_stands_for_an_integer():
    class Two:
        def __index__(self):
            return 2

    agrees(lambda x: x[Two(), : Two()], X)


def test_index_of_an_index_accumulates():
    g = mg.grad(lambda x: np.sum(x[[0, 0, 1]][[0, 1, 1]] * np.array([1, 2, 4])))(np.ones(3))
    np.testing.assert_array_equal(g, [7, 0, 0])


def test_a_mask_that_depends_on_the_values():
    agrees(lambda x: x[x > 0] ** 2, X)
    agrees(lambda x: x[np.arange(3), np.argmax(x[..., 0], axis=1)] ** 2, X)


def test_indices_from_a_full_tape():
    tape = mg.Tape()
    x, rows = tape.watch(X), tape.watch(np.array([0, 0, 2]))
    np.testing.assert_array_equal(tape.gradient(x[rows], x)[:, 0, 0], [2, 0, 1])
    np.testing.assert_array_equal(tape.gradient(x[x > 0], x), X > 0)


def test_iteration_and_unpacking():
    agrees(lambda x: sum((i + 1) * row for i, row in enumerate(x)), X)
    agrees(lambda x: (lambda a, b, c: a * b - c)(*x), X)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("indices", [2, [0, 0, 2], np.array([[0, 1], [1, 1]])], ids=str)
def test_take(axis, indices):
    agrees(lambda x: np.take(x, indices, axis=axis), X)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_narrow_floats_keep_their_dtype(dtype):
    for index in ([0, 0], slice(2), MASK):
        out, (g,) = gradients_of(lambda x: x[index], [X.astype(dtype)])  # noqa: B023
        assert out.dtype == g.dtype == dtype


@pytest.mark.parametrize("index", [5, (0, 9), [7], 0.5, "a", (0, 0, 0, 0), np.array([True, False])], ids=repr)
def test_a_bad_index_is_an_index_error_that_names_the_shape(index):
    with pytest.raises(IndexError, match=r"\(3, 4, 5\)"):
        mg.Tape().watch(X)[index]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_index_takes_gradients_back_to_where_elements_came_from(data):
    """The gradient of ``sum(x[index] * w)`` adds each weight to the element that its place was filled from."""
    shape = data.draw(arrays_of.array_shapes(min_dims=1, max_dims=3, max_side=4))
    kinds = arrays_of.basic_indices(shape, allow_newaxis=True) | arrays_of.integer_array_indices(shape)
    kinds |= arrays_of.arrays(bool, shape)
    index = data.draw(kinds)
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    taken = x[index]
    weights = np.random.default_rng(1).standard_normal(np.shape(taken))
    g = mg.grad(lambda x: np.sum(x[index] * weights))(x)
    wanted = np.bincount(np.ravel(taken).astype(int), np.ravel(weights), x.size).reshape(shape)
    np.testing.assert_allclose(g, wanted, rtol=1e-12, atol=1e-12)
