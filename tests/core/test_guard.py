"""The broadcast guard: what it takes for an accident, when it speaks, and that it does so once."""

import warnings

import numpy as np
import pytest

import minigrad as mg

X = np.arange(6.0).reshape(3, 2)


class Regression(mg.Model):
    def __init__(self):
        self.params = {"w": np.ones((2, 1))}

    def forward(self, params, X):
        return X @ params["w"]

    def objective(self, scores, y):
        return np.mean((scores - y) ** 2)


class Outer(Regression):
    def __init__(self):
        self.params = {"w": np.ones((2, 1)), "b": np.zeros(3)}

    def forward(self, params, X):
        return (X @ params["w"]) * params["b"]

    def objective(self, scores, y):
        return np.mean(scores)


def silent(function):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function()


def test_labels_of_one_axis_against_scores_of_two():
    with pytest.warns(mg.BroadcastWarning) as caught:
        Regression().loss(X, np.ones(3))
    text = str(caught[0].message)
    assert "subtract: the result of matmul (3, 1) and (3,) broadcast to (3, 3), which is larger than both" in text
    assert caught[0].filename == __file__
    assert "test_guard.py:" in text


def test_two_recorded_arrays():
    with pytest.warns(mg.BroadcastWarning, match=r"the result of matmul \(3, 1\) and b \(3,\) broadcast to \(3, 3\)"):
        Outer().loss(X, np.ones(3))


def test_it_is_said_once_for_a_line(tmp_path):
    model = Regression()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(5):
            model.loss(X, np.ones(3))
    assert len(caught) == 1


def test_it_can_be_silenced():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=mg.BroadcastWarning)
        Regression().loss(X, np.ones(3))


class Free(mg.Model):
    """A loss that is any function of the parameters."""

    def __init__(self, loss, **params):
        self.params, self.compute = params, loss

    def forward(self, params, X):
        return self.compute(**params)

    def objective(self, scores, y):
        return np.sum(scores)


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: a[:, np.newaxis] - b[np.newaxis, :],  # the wish is plain
        lambda a, b: np.ones((4, 3)) * a + b,
        lambda a, b: np.outer(a, b),
        lambda a, b: a * 2.0 + np.float64(1) + np.ones(()) + b,
        lambda a, b: a[:, np.newaxis] * np.arange(5.0) + np.sum(b),  # features of each number: not as long as the axis
        lambda a, b: np.sum(a.reshape(3, 1) @ b.reshape(1, 3)),
    ],
)
def test_what_is_meant_passes(loss):
    model = Free(loss, a=np.ones(3), b=np.ones(3))
    silent(lambda: model.loss(X, np.zeros(3)))


def test_outside_training_it_is_quiet_unless_strict():
    def outer(a, b):
        return np.sum(a * b)

    arguments = np.ones((3, 1)), np.ones(4)
    silent(lambda: mg.grad(outer)(*arguments))
    silent(lambda: mg.hessian(lambda a: outer(a, arguments[1]))(arguments[0]))
    with mg.strict(), pytest.raises(mg.ShapeError, match=r"\(3, 1\) and argument 1 \(4,\) broadcast to \(3, 4\)"):
        mg.grad(outer, (0, 1))(*arguments)
    silent(lambda: mg.grad(outer)(*arguments))


def test_strict_refuses_what_a_warning_lets_pass():
    model = Free(lambda a, b: a[:, np.newaxis] - b[np.newaxis, :], a=np.ones(3), b=np.ones(3))
    with mg.strict(), pytest.raises(mg.ShapeError, match="use np.broadcast_to"):
        model.loss(X, np.zeros(3))
    assert mg.strict(False).__exit__() is None


def test_strict_may_be_switched_on_and_off_for_good():
    switch = mg.strict()
    try:
        with pytest.raises(mg.ShapeError):
            Regression().loss(X, np.ones(3))
    finally:
        switch.__exit__()
    with pytest.warns(mg.BroadcastWarning):
        Regression().loss(X, np.ones(3))


def test_second_derivatives_under_strict():
    """What rules do among themselves is no business of the user's."""

    def loss(w):
        return np.mean((X @ w) ** 2 * np.ones((3, 1)))

    with mg.strict():
        found = mg.hessian(loss)(np.ones((2, 1)))
    np.testing.assert_allclose(found.reshape(2, 2), 2 * X.T @ X / 3)
