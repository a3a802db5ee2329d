"""Initialisers have the moments that they promise, and draw from what they are given."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import init

SHAPES = [(400, 300), (64, 30, 5, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "initialiser, variance",
    [
        (init.normal(0.3), lambda i, o: 0.09),
        (init.uniform(0.3), lambda i, o: 0.03),
        (init.xavier_normal, lambda i, o: 2 / (i + o)),
        (init.xavier_uniform, lambda i, o: 2 / (i + o)),
        (init.kaiming_normal, lambda i, o: 2 / i),
        (init.kaiming_uniform, lambda i, o: 2 / i),
        (init.lecun_normal, lambda i, o: 1 / i),
    ],
)
def test_moments(initialiser, variance, shape):
    W = initialiser(shape, np.random.default_rng(0))
    expected = variance(*init.fans(shape))
    assert W.shape == shape
    assert abs(W.mean()) < 5 * math.sqrt(expected / W.size)
    assert abs(W.var() / expected - 1) < 0.03


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (6, 2, 3, 3), (40, 2, 3, 3)])
def test_orthogonal(shape):
    W = init.orthogonal(shape, np.random.default_rng(0)).reshape(shape[0], -1)
    product = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-12)


def test_constants():
    assert not init.zeros((2, 3)).any()
    assert (init.ones((2, 3)) == 1).all()
    assert (init.constant(2)((2, 3)) == 2.0).all()


def test_the_courses_weights_are_drawn_from_the_global_state():
    np.random.seed(0)
    expected = 1e-2 * np.random.randn(3, 4)
    np.random.seed(0)
    np.testing.assert_array_equal(init.normal(1e-2)((3, 4), init.random_source(None)), expected)


def test_sources():
    generator = np.random.default_rng(0)
    assert init.random_source(generator) is generator
    state = np.random.RandomState(0)
    assert init.random_source(state) is state
    assert init.random_source(5).random() == np.random.default_rng(5).random()
    for seed in ("5", 5.0, True):
        with pytest.raises(mg.OptionError, match="seed="):
            init.random_source(seed)


def test_shapes_without_fans():
    with pytest.raises(mg.ShapeError, match="fans"):
        init.fans(())
    with pytest.raises(mg.ShapeError, match="two axes"):
        init.orthogonal((3,), np.random.default_rng(0))
