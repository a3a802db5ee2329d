"""Losses of linear classifiers: against loops written as in the lecture, and differences."""

import numpy as np
import pytest

from minigrad import cs231n

rng = np.random.default_rng(67)
W, X, Y = 0.1 * rng.standard_normal((7, 4)), rng.standard_normal((9, 7)), rng.integers(4, size=9)


def svm(W, X, y, reg):
    total = 0.0
    for x, right in zip(X, y):
        scores = x @ W
        total += sum(max(0.0, score - scores[right] + 1) for j, score in enumerate(scores) if j != right)
    return total / len(X) + reg * (W**2).sum()


def softmax(W, X, y, reg):
    total = 0.0
    for x, right in zip(X, y):
        scores = np.exp(x @ W)
        total -= np.log(scores[right] / scores.sum())
    return total / len(X) + reg * (W**2).sum()


@pytest.mark.parametrize("way", ["naive", "vectorized"])
@pytest.mark.parametrize("name, loop", [("svm", svm), ("softmax", softmax)])
@pytest.mark.parametrize("reg", [0.0, 0.3, np.float64(5e1)])
def test_loss_and_gradient(way, name, loop, reg):
    loss_of, weights = getattr(cs231n, f"{name}_loss_{way}"), W.copy()
    loss, dW = loss_of(weights, X, Y, reg)
    assert loss == pytest.approx(loop(W, X, Y, reg))
    numeric = cs231n.eval_numerical_gradient(lambda W: loop(W, X, Y, reg), weights, verbose=False)
    assert type(dW) is np.ndarray and cs231n.rel_error(dW, numeric) < 1e-6


def test_float32_is_kept_with_a_reg_of_numpy():
    loss, dW = cs231n.svm_loss_vectorized(W.astype("f4"), X.astype("f4"), Y, np.float64(0.1))
    assert loss.dtype == dW.dtype == np.float32


def test_images_of_bytes():
    images = rng.integers(256, size=(9, 7)).astype(np.uint8)
    assert cs231n.softmax_loss_vectorized(W, images, Y, 0.0)[1].dtype == float
