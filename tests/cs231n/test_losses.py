"""Losses that return their gradient: the notebooks' numbers, differences, what comes back."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.cs231n import eval_numerical_gradient, rel_error, softmax_loss, svm_loss, temporal_softmax_loss

rng = np.random.default_rng(61)


@pytest.mark.parametrize("loss_of, published", [(svm_loss, 8.999602749096233), (softmax_loss, 2.3025458445007376)])
def test_losses_of_the_notebook(loss_of, published):
    state = np.random.RandomState(231)
    x, y = 0.001 * state.randn(50, 10), state.randint(10, size=50)
    loss, dx = loss_of(x, y)
    assert loss == pytest.approx(published, rel=1e-14)
    assert rel_error(dx, eval_numerical_gradient(lambda x: loss_of(x, y)[0], x, verbose=False)) < 1e-7


def test_what_comes_back():
    loss, dx = softmax_loss(np.zeros((2, 3), np.float32), np.array([0, 1]))
    assert isinstance(loss, np.floating) and loss.dtype == dx.dtype == np.float32 and type(dx) is np.ndarray


def test_integer_scores():
    loss, dx = svm_loss([[3, 2, 0]], np.array([0]))
    assert loss == 0 and dx.dtype == float


@pytest.mark.parametrize("samples, steps, p, low, high", [(100, 1, 1, 2.2, 2.4), (100, 10, 1, 22.9, 23.2)])
def test_temporal_softmax_loss_of_the_notebook(samples, steps, p, low, high):
    x, y = 0.001 * rng.standard_normal((samples, steps, 10)), rng.integers(10, size=(samples, steps))
    loss, _ = temporal_softmax_loss(x, y, rng.random((samples, steps)) <= p)
    assert low < loss < high


def test_temporal_softmax_loss_counts_what_the_mask_says():
    x, y = 0.001 * rng.standard_normal((5000, 10, 10)), rng.integers(10, size=(5000, 10))
    mask = rng.random((5000, 10)) <= 0.1
    loss, dx = temporal_softmax_loss(x, y, mask)
    assert 2.0 < loss < 2.6  # a tenth of ten steps
    assert not dx[~mask].any() and dx[mask].any(axis=-1).all()


def test_temporal_softmax_loss_gradient():
    x, y = rng.standard_normal((4, 5, 6)), rng.integers(6, size=(4, 5))
    mask = rng.random((4, 5)) > 0.5
    _, dx = temporal_softmax_loss(x, y, mask)
    numeric = eval_numerical_gradient(lambda x: temporal_softmax_loss(x, y, mask)[0], x, verbose=False)
    assert rel_error(dx, numeric) < 1e-7


def test_a_mask_of_zeros_and_ones():
    x, y, mask = rng.standard_normal((2, 3, 4)), rng.integers(4, size=(2, 3)), np.array([[1, 1, 0], [1, 0, 0]])
    wanted = temporal_softmax_loss(x, y, mask == 1)
    for dtype in (int, float):
        loss, dx = temporal_softmax_loss(x, y, mask.astype(dtype))
        assert loss == wanted[0]
        np.testing.assert_array_equal(dx, wanted[1])
    with pytest.raises(mg.DTypeError, match="mask is float64"):
        temporal_softmax_loss(x, y, 0.5 * mask)


def test_verbose_prints_a_shape(capsys):
    x, y = rng.standard_normal((2, 3, 4)), rng.integers(4, size=(2, 3))
    temporal_softmax_loss(x, y, y >= 0, verbose=True)
    assert capsys.readouterr().out == "dx_flat:  (6, 4)\n"
    temporal_softmax_loss(x, y, y >= 0)
    assert capsys.readouterr().out == ""


def test_labels_outside_the_classes():
    with pytest.raises(mg.DataError, match=r"label y\[1\] is 3"):
        softmax_loss(np.zeros((2, 3)), np.array([0, 3]))
