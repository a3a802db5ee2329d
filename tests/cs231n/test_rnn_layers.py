"""The layers of assignment 3: the notebooks' numbers, and gradients by differences."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import cs231n
from tests.cs231n.pairs import check_pair

rng = np.random.default_rng(59)


def randn(*shape):
    return rng.standard_normal(shape)


def ramp(start, end, *shape):
    return np.linspace(start, end, num=np.prod(shape)).reshape(shape)


# --- vanilla RNN -----------------------------------------------------------------------------------------------------


def test_rnn_step_forward_of_the_notebook():
    args = ramp(-0.4, 0.7, 3, 10), ramp(-0.2, 0.5, 3, 4), ramp(-0.1, 0.9, 10, 4), ramp(-0.3, 0.7, 4, 4)
    next_h, _ = cs231n.rnn_step_forward(*args, ramp(-0.2, 0.4, 4))
    wanted = [
        [-0.58172089, -0.50182032, -0.41232771, -0.31410098],
        [0.66854692, 0.79562378, 0.87755553, 0.92795967],
        [0.97934501, 0.99144213, 0.99646691, 0.99854353],
    ]
    np.testing.assert_allclose(next_h, wanted, atol=1e-8)


def test_rnn_forward_of_the_notebook():
    args = ramp(-0.1, 0.3, 2, 3, 4), ramp(-0.3, 0.1, 2, 5), ramp(-0.2, 0.4, 4, 5), ramp(-0.4, 0.1, 5, 5)
    h, _ = cs231n.rnn_forward(*args, ramp(-0.7, 0.1, 5))
    wanted = [
        [
            [-0.42070749, -0.27279261, -0.11074945, 0.05740409, 0.22236251],
            [-0.39525808, -0.22554661, -0.0409454, 0.14649412, 0.32397316],
            [-0.42305111, -0.24223728, -0.04287027, 0.15997045, 0.35014525],
        ],
        [
            [-0.55857474, -0.39065825, -0.19198182, 0.02378408, 0.23735671],
            [-0.27150199, -0.07088804, 0.13562939, 0.33099728, 0.50158768],
            [-0.51014825, -0.30524429, -0.06755202, 0.17806392, 0.40333043],
        ],
    ]
    np.testing.assert_allclose(h, wanted, atol=1e-7)


def test_rnn_gradients():
    check_pair("rnn_step", [randn(4, 5), randn(4, 6), randn(5, 6), randn(6, 6), randn(6)])
    check_pair("rnn", [randn(2, 10, 3), randn(2, 5), randn(3, 5), randn(5, 5), randn(5)], tolerance=1e-7)


# --- LSTM ------------------------------------------------------------------------------------------------------------


def test_lstm_step_forward_of_the_notebook():
    args = ramp(-0.4, 1.2, 3, 4), ramp(-0.3, 0.7, 3, 5), ramp(-0.4, 0.9, 3, 5)
    weights = ramp(-2.1, 1.3, 4, 20), ramp(-0.7, 2.2, 5, 20), ramp(0.3, 0.7, 20)
    next_h, next_c, _ = cs231n.lstm_step_forward(*args, *weights)
    wanted_h = [
        [0.24635157, 0.28610883, 0.32240467, 0.35525807, 0.38474904],
        [0.49223563, 0.55611431, 0.61507696, 0.66844003, 0.7159181],
        [0.56735664, 0.66310127, 0.74419266, 0.80889665, 0.858299],
    ]
    wanted_c = [
        [0.32986176, 0.39145139, 0.451556, 0.51014116, 0.56717407],
        [0.66382255, 0.76674007, 0.87195994, 0.97902709, 1.08751345],
        [0.74192008, 0.90592151, 1.07717006, 1.25120233, 1.42395676],
    ]
    np.testing.assert_allclose(next_h, wanted_h, atol=1e-8)
    np.testing.assert_allclose(next_c, wanted_c, atol=1e-8)


def test_lstm_forward_of_the_notebook():
    args = ramp(-0.4, 0.6, 2, 3, 5), ramp(-0.4, 0.8, 2, 4), ramp(-0.2, 0.9, 5, 16), ramp(-0.3, 0.6, 4, 16)
    h, _ = cs231n.lstm_forward(*args, ramp(0.2, 0.7, 16))
    wanted = [
        [
            [0.01764008, 0.01823233, 0.01882671, 0.0194232],
            [0.11287491, 0.12146228, 0.13018446, 0.13902939],
            [0.31358768, 0.33338627, 0.35304453, 0.37250975],
        ],
        [
            [0.45767879, 0.4761092, 0.4936887, 0.51041945],
            [0.6704845, 0.69350089, 0.71486014, 0.7346449],
            [0.81733511, 0.83677871, 0.85403753, 0.86935314],
        ],
    ]
    np.testing.assert_allclose(h, wanted, atol=1e-8)


def test_lstm_gradients():
    weights = [randn(5, 24), randn(6, 24), randn(24)]
    check_pair("lstm_step", [randn(4, 5), randn(4, 6), randn(4, 6), *weights], outputs=2)
    check_pair("lstm", [randn(2, 10, 5), randn(2, 6), *weights], tolerance=1e-7)


def test_one_cotangent_of_a_step_may_be_left_out():
    args = [randn(4, 5), randn(4, 6), randn(4, 6), randn(5, 24), randn(6, 24), randn(24)]
    next_h, next_c, cache = cs231n.lstm_step_forward(*args)
    dc = randn(4, 6)
    alone, zeros = cs231n.lstm_step_backward(None, dc, cache), cs231n.lstm_step_backward(0 * next_h, dc, cache)
    for one, other in zip(alone, zeros):
        np.testing.assert_allclose(one, other)


# --- words -----------------------------------------------------------------------------------------------------------


def test_word_embedding_of_the_notebook():
    x, W = np.array([[0, 3, 1, 2], [2, 1, 0, 3]]), ramp(0, 1, 5, 3)
    out, _ = cs231n.word_embedding_forward(x, W)
    wanted = [
        [[0, 0.07142857, 0.14285714], [0.64285714, 0.71428571, 0.78571429]],
        [[0.42857143, 0.5, 0.57142857], [0.21428571, 0.28571429, 0.35714286]],
    ]
    assert out.shape == (2, 4, 3)
    np.testing.assert_allclose(out[:, :2], wanted, atol=5e-9)


def test_word_embedding_gradients():
    """Backward returns the gradient of W alone."""
    x, W, dout = rng.integers(5, size=(50, 3)), randn(5, 6), randn(50, 3, 6)
    _, cache = cs231n.word_embedding_forward(x, W)
    dW = cs231n.word_embedding_backward(dout, cache)
    wanted = cs231n.eval_numerical_gradient_array(lambda W: cs231n.word_embedding_forward(x, W)[0], W, dout)
    assert type(dW) is np.ndarray and cs231n.rel_error(dW, wanted) < 1e-8


def test_temporal_affine():
    args = [randn(2, 3, 4), randn(4, 5), randn(5)]
    (out,), _ = check_pair("temporal_affine", args)
    np.testing.assert_allclose(out, args[0] @ args[1] + args[2])


@pytest.mark.parametrize("x, w", [((2, 4), (4, 5)), ((2, 3, 4), (5, 4)), ((2, 3, 4), (5,))], ids=str)
def test_temporal_affine_refuses(x, w):
    with pytest.raises(mg.ShapeError, match="temporal_affine"):
        cs231n.temporal_affine_forward(np.ones(x), np.ones(w), np.ones(5))


def test_sigmoid_does_not_overflow():
    np.testing.assert_allclose(cs231n.sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])
