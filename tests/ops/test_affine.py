"""The affine layer: shapes, dtypes, empty batches and messages."""

import numpy as np
import pytest

import minigrad as mg
from tests.gradients import agrees, gradients_of

rng = np.random.default_rng(19)
W, B = rng.standard_normal((6, 4)), rng.standard_normal(4)


@pytest.mark.parametrize("shape", [(5, 6), (5, 2, 3), (5, 1, 2, 3), (1, 6)], ids=str)
def test_axes_after_the_first_are_flattened(shape):
    x = rng.standard_normal(shape)
    agrees(mg.affine, x, W, B)
    np.testing.assert_allclose(mg.affine(x, W, B), x.reshape(len(x), 6) @ W + B)


def test_a_vector_is_a_batch_of_single_features():
    agrees(mg.affine, rng.standard_normal(5), W[:1], B)


@pytest.mark.parametrize("x, w", [((0, 6), (6, 4)), ((0, 2, 3), (6, 4)), ((3, 0), (0, 4)), ((3, 6), (6, 0))], ids=str)
def test_empty_sizes(x, w):
    args = [np.ones(x), np.ones(w), np.ones(w[1])]
    out, gradients = gradients_of(mg.affine, args)
    assert out.shape == (x[0], w[1])
    assert [g.shape for g in gradients] == [a.shape for a in args]


def test_integer_inputs_beside_float_weights():
    agrees(lambda w, b: mg.affine(np.arange(12).reshape(2, 6), w, b), W, B)


def test_the_bias_widens_the_result():
    out, gradients = gradients_of(mg.affine, [np.ones((2, 6), np.float32), W.astype(np.float32), B])
    assert out.dtype == np.float64
    assert [g.dtype for g in gradients] == [np.float32, np.float32, np.float64]


@pytest.mark.parametrize(
    "x, w, b, text",
    [
        ((5, 4), (6, 4), (4,), r"affine: x \(5, 4\).*4 elements and w has 6 rows; did you mean w.T"),
        ((5, 5), (6, 4), (4,), r"5 elements and w has 6 rows$"),
        ((5, 6), (6, 4), (6,), r"b must have shape \(4,\)"),
        ((5, 6), (6, 4), (), r"b must have shape \(4,\)"),
        ((5, 6), (6,), (4,), r"w must be a matrix"),
        ((), (6, 4), (4,), r"x must have a first axis"),
    ],
)
@pytest.mark.parametrize("watch", [False, True], ids=["arrays", "tensors"])
def test_shapes_that_do_not_fit(x, w, b, text, watch):
    args = [np.ones(shape) for shape in (x, w, b)]
    with pytest.raises(mg.ShapeError, match=text):
        mg.affine(*(mg.Tape().watch(args) if watch else args))


def test_the_layer_is_named():
    with pytest.raises(mg.ShapeError, match="affine in fc1"), mg.scope("fc1"):
        mg.affine(np.ones((5, 5)), W, B)


def test_lists_are_arrays():
    np.testing.assert_array_equal(mg.affine(np.ones((1, 2)), np.ones((2, 1)), [1.0]), [[3.0]])
