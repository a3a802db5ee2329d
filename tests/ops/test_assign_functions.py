"""NumPy's functions that write in place: on a Tensor they are recorded assignments."""

import numpy as np
import pytest

import minigrad as mg

X = np.arange(12.0).reshape(3, 4) + 1
V = np.array([5.0, 6.0, 7.0])
PLACES = np.array([[1], [0], [3]])
WEIGHTS = np.cos(np.arange(12.0)).reshape(3, 4)

WRITERS = {
    "fill_diagonal": lambda y, v: np.fill_diagonal(y, v),
    "fill_diagonal with a number": lambda y, v: np.fill_diagonal(y, v[0]),
    "put_along_axis": lambda y, v: np.put_along_axis(y, PLACES, v[:, None], 1),
    "put": lambda y, v: np.put(y, [0, 5, -1, 2], v),
    "place": lambda y, v: np.place(y, X > 5, v),
    "putmask": lambda y, v: np.putmask(y, X > 5, v),
    "copyto": lambda y, v: np.copyto(y, v[:, None]),
    "copyto with a mask": lambda y, v: np.copyto(y, v[:, None], where=X > 4),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_value_and_gradients(write):
    def f(x, v):
        y, v = x * 1.0, v * 1.0
        before = y * 2.0
        write(y, v)
        return y * y * WEIGHTS + before

    expected = X.copy()
    write(expected, V.copy())
    np.testing.assert_array_equal(mg.vjp(f, X, V)[0], expected * expected * WEIGHTS + 2 * X)
    mg.check_grads(f, (X, V), order=2)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_plain_array_cannot_take_a_tensor(write):
    with pytest.raises((mg.NoGradientRule, ValueError)):
        mg.grad(lambda v: (write(np.zeros((3, 4)), v), v.sum())[1])(V)
