"""Functions that select elements: every spelling against NumPy, to second order."""

import numpy as np
import pytest

import minigrad as mg
from tests.gradients import agrees, gradients_of, source

rng = np.random.default_rng(31)
X = rng.standard_normal((3, 4, 3))
Y = rng.standard_normal((3, 4, 3))
M = rng.standard_normal((3, 4))
ORDER = np.argsort(X, axis=1)

SELECTING = [
    lambda x: np.take(x, 3),
    lambda x: np.take(x, [[0, 5], [5, -1]]),
    lambda x: np.take(x, (1, 1, 0), 1),
    lambda x: np.take(a=x, indices=2, axis=-1),
    lambda x: np.take(x, [True, False, True]),
    lambda x: np.take(x, [7, -9, 2], axis=1, mode="wrap"),
    lambda x: np.take(x, [7, -9, 2], 0, None, "clip"),
    lambda x: np.take(x, np.array(1), axis=1),
    lambda x: x.take([0, 0, 2], axis=2),
    lambda x: x.take([[1]]),
    lambda x: np.take(x, np.array([], int), 1),
    lambda x: np.take_along_axis(x, ORDER, 1),
    lambda x: np.take_along_axis(x, ORDER[:, :2], axis=-2),
    lambda x: np.take_along_axis(x, np.array([[[0, 2, 2, -1, 0]]]), -1),
    lambda x: np.take_along_axis(x, ORDER.ravel(), axis=None),
    lambda x: np.compress([True, False, True], x, axis=0),
    lambda x: np.compress([0, 1], x, 1),
    lambda x: np.compress(condition=[True, False, True], a=x),
    lambda x: np.compress([False, True, True, False, False, False], x, axis=1),
    lambda x: x.compress([True, True, False], axis=-1),
    lambda x: np.compress(x[:, 0, 0] > -9, x, axis=0),
    lambda x: np.extract(x > 0, x),
    lambda x: np.extract([0, 1, 1], x),
    lambda x: np.diag(x[0], 1),
    lambda x: np.diag(x[0, 0]),
    lambda x: np.diag(x[0, 0], k=-2),
    lambda x: np.diagflat(x[:, :2, 0], 1),
    lambda x: np.diagonal(x),
    lambda x: np.diagonal(x, -1, 2, 1),
    lambda x: x.diagonal(1, axis1=-1, axis2=0),
    lambda x: np.diagonal(x, offset=9),
    lambda x: np.linalg.diagonal(x, offset=1),
    lambda x: np.trace(x),
    lambda x: x.trace(1, 1, 2),
    lambda x: np.trace(x, axis1=0, axis2=-1, offset=-1),
    lambda x: np.linalg.trace(x, offset=-1),
    lambda x: np.tril(x),
    lambda x: np.tril(x, -1),
    lambda x: np.triu(x, k=1),
    lambda x: np.triu(x[0, 0]),
    lambda x: np.insert(x, 2, 7.0),
    lambda x: np.insert(x, [1, 1, 3], 5.0, axis=0),
    lambda x: np.insert(x, 1, x[1], axis=0),
    lambda x: np.insert(x, -1, x[:, :, 0], axis=2),
    lambda x: np.insert(x, [0, 4], x[:, :2], axis=1),
    lambda x: np.insert(x, slice(0, 3), x[0, 0, 0], axis=1),
    lambda x: np.insert(np.zeros(4), [1, 2], x[0, 0, :2]),
    lambda x: np.delete(x, 1),
    lambda x: np.delete(x, [0, -1, 0], axis=1),
    lambda x: np.delete(x, slice(None, None, 2), axis=-2),
    lambda x: np.delete(x, [True, False, True, False], 1),
    lambda x: np.select([x > 1, x > 0], [x**2, x], -x),
    lambda x: np.select([x > 0, M[:, :, None] > 0], [3.0, x * x]),
    lambda x: np.select([x[0] > 0], [x], default=1),
    lambda x: np.piecewise(x, [x < 0, x > 1], [lambda v: v * v, np.exp]),
    lambda x: np.piecewise(x, [x < 0, x > 1], [lambda v: v * v, 3, lambda v: v**3]),
    lambda x: np.piecewise(x[0, 0], x[0, 0] < 0, [np.exp, np.sin]),
    lambda x: np.piecewise(x[0, :3, 0], M[:, :3] < 0, [1, np.exp, np.sin]),
    lambda x: np.piecewise(x, [[True, False, True]], [np.exp, lambda v: v[:, :1]]),
    lambda x: np.piecewise(x, [[True, False, True]], [np.ones(3)]) * x,
    lambda x: np.piecewise(x, [x < 0.5, x < 0], [lambda v, n, c: c * v**n, 2.0], 3, c=0.5),
    lambda x: np.piecewise(x, [x > 99], [lambda v: 1 / 0]) + x,
    lambda x: np.piecewise(x, [x > 0], [lambda v: 3.0]),
    lambda x: np.piecewise(x[0, 0, 0], x[0, 0, 0] < 9, [np.exp, 0]),
    lambda x: np.piecewise(x[0, 0], [True, False, True], [np.exp, 0]),
    lambda x: np.trim_zeros(np.pad(x[0, 0], (2, 3))),
]


@pytest.mark.parametrize("f", SELECTING, ids=source)
def test_selecting(f):
    agrees(f, X)


@pytest.mark.parametrize("f", SELECTING, ids=source)
def test_float32_is_kept(f):
    x = X.astype(np.float32)
    out, (g,) = gradients_of(f, [x], dtype=np.result_type(f(x)))
    assert (out.dtype, g.dtype) == (np.result_type(f(x)), np.float32)


@pytest.mark.parametrize("f", SELECTING, ids=source)
def test_a_full_tape_gives_the_same(f):
    """There conditions and indices are Tensors too."""
    tape = mg.Tape()
    x = tape.watch(X)
    out = f(x)
    np.testing.assert_array_equal(out.value, f(X))
    _, (wanted,) = gradients_of(lambda x: np.sum(f(x)), [X])
    weight = gradients_of(np.sum, [X])[1][0]
    np.testing.assert_allclose(tape.gradient(np.sum(out), x), wanted / weight, rtol=1e-12, atol=1e-12)


REAL = ("extract", "piecewise", "select", "> -9", "zeros(4)")  # comparisons, and what NumPy makes real with a warning
COMPLEX = [f for f in SELECTING if not any(word in source(f) for word in REAL)]


@pytest.mark.parametrize("f", COMPLEX, ids=source)
def test_complex_numbers(f):
    z = X + 1j * Y
    out, pullback = mg.vjp(f, z)
    np.testing.assert_array_equal(out, f(z))
    c = rng.standard_normal(out.shape) + 1j * rng.standard_normal(out.shape)
    parts = [mg.vjp(f, X)[1](part)[0] for part in (np.asarray(c.real), np.asarray(c.imag))]
    np.testing.assert_allclose(pullback(c)[0], parts[0] + 1j * parts[1], rtol=1e-12, atol=1e-12)


# --- choose ----------------------------------------------------------------------------------------------------------

WHICH = np.array([[2, 0, 1], [1, 1, 0]])


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: np.choose(WHICH, [x, y, 3.0]),
        lambda x, y: np.choose(WHICH, (x[0], y, x * y)),
        lambda x, y: np.choose(3 * WHICH - 2, [x, y], mode="wrap"),
        lambda x, y: np.choose(WHICH * 2 - 1, [x, y], None, "clip"),
        lambda x, y: np.choose(1, [x, y]),
    ],
    ids=source,
)
def test_choose(f):
    agrees(f, X[:2, 0], Y[1:, 1])


def test_choosing_by_a_recorded_index():
    tape = mg.Tape()
    x, index = tape.watch(M), tape.watch(np.array([0, 2, 1, 0]))
    for f in (lambda i: i.choose(x), lambda i: np.choose(i, list(x))):
        np.testing.assert_array_equal(f(index).value, np.choose(index.value, M))
        np.testing.assert_array_equal(tape.gradient(f(index), x), np.arange(3)[:, None] == index.value)
    with pytest.raises(ValueError, match="choose"):
        np.choose(index, [x[0], x[1]])


# --- awkward points --------------------------------------------------------------------------------------------------


def test_triangles_leave_out_infinities():
    x = np.array([[1.0, np.inf], [np.nan, 2.0]])
    out, (g,) = gradients_of(lambda x: np.tril(np.triu(x)), [x])
    np.testing.assert_array_equal(out, np.diag([1.0, 2.0]))
    assert np.all(np.isfinite(g)) and g[0, 1] == g[1, 0] == 0


def test_piecewise_evaluates_each_function_where_it_belongs():
    """Unlike ``np.where``, which evaluates both branches: the derivative of the root at 0 does not get in."""
    g = mg.grad(lambda x: np.sum(np.piecewise(x, [x > 0], [np.sqrt, lambda v: 2 * v])))(np.array([0.0, 4.0]))
    np.testing.assert_array_equal(g, [2.0, 0.25])


def test_repeated_indices_add_up():
    g = mg.grad(lambda x: np.sum(np.take(x, [1, 1, -1]) * np.array([1.0, 2.0, 4.0])))(np.zeros(2))
    np.testing.assert_array_equal(g, [0, 7])


@pytest.mark.parametrize(
    "index",
    [
        (np.array([[3, -1], [0, 0]]),),
        (slice(None), np.array([[3, -1], [0, 0]])),
        (Ellipsis, np.arange(40) % 7 - 3),
        (Ellipsis, np.array([0, 3, 3, -1]), slice(None)),
        (slice(4, 0, -2), np.array([0, 0, 1], np.int8), np.array([[1], [-4]])),
        (np.array([0, 1, 1]), 2),
        (1, slice(None), np.array([0, 1, 1])),
        (np.array([1, 1]), slice(None), np.array([0, 1])),
        (slice(2), None, np.array([1, 1])),
        (np.array([True] * 5 + [False]), np.array([1] * 5)),
    ],
    ids=repr,
)
def test_many_repeated_elements_add_up(index):
    """Above a size (2000) the elements are added by their numbers: as ``np.add.at`` does it."""
    x = rng.standard_normal((6, 5, 4, 300))
    out, (g,) = gradients_of(lambda x: x[index], [x])
    wanted = np.zeros_like(x)
    np.add.at(wanted, index, np.random.default_rng(0).standard_normal(out.shape))
    np.testing.assert_allclose(g, wanted, rtol=1e-12, atol=1e-12)


def test_empty_arrays():
    for f in (
        lambda x: np.take(x, np.array([], int), 1),
        lambda x: np.delete(x, slice(None), 0),
        lambda x: np.insert(x, 0, 1.0, axis=0),
        lambda x: np.tril(x),
        lambda x: np.diagonal(x),
        lambda x: np.trace(x),
        lambda x: np.extract(x > 0, x),
        lambda x: np.select([x > 0], [x]),
        lambda x: np.piecewise(x, [x > 0], [np.exp]),
    ):
        out, (g,) = gradients_of(f, [np.zeros((0, 3))])
        assert np.shape(out) == f(np.zeros((0, 3))).shape and g.shape == (0, 3)
    agrees(lambda x: np.diagflat(x), np.array(2.0))
    agrees(lambda x: np.take(x, [0, 0]), np.array(2.0))


@pytest.mark.parametrize("trim", ["fb", "f", "b", "B"])
@pytest.mark.parametrize("x", [[0, 0, 1.5, 0, 2, 0], [1.5], [0, 0, 0.0], []], ids=str)
def test_trim_zeros(trim, x):
    x = np.asarray(x, float)
    out, (g,) = gradients_of(lambda x: np.trim_zeros(x, trim), [x])
    np.testing.assert_array_equal(out, np.trim_zeros(x, trim))
    assert g.shape == x.shape


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)] if hasattr(np, "matvec") else [None])
def test_trim_zeros_of_a_matrix(axis):
    """NumPy takes matrices, and an axis, since 2.2; here every version takes matrices."""
    keywords = {} if axis is None else {"axis": axis}
    x = np.pad(M, ((1, 0), (2, 1)))
    kept = {None: np.s_[1:, 2:-1], 0: np.s_[1:], -1: np.s_[:, 2:-1], (0, 1): np.s_[1:, 2:-1]}[axis]
    out, (g,) = gradients_of(lambda x: np.trim_zeros(x, **keywords), [x])
    np.testing.assert_array_equal(out, x[kept])
    assert np.count_nonzero(g) == out.size


# --- plain answers and refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda x: np.nonzero(x > 0),
        lambda x: x.nonzero(),
        lambda x: np.argwhere(x > 0),
        lambda x: np.flatnonzero(x < 0),
    ],
    ids=source,
)
def test_indices_are_plain(ask):
    found = ask(mg.Tape(full=False).watch(X))
    np.testing.assert_array_equal(found, ask(X))
    assert type(found) is type(ask(X))
    found = ask(mg.Tape().watch(X))
    np.testing.assert_array_equal([i.value for i in found] if isinstance(found, tuple) else found.value, ask(X))


@pytest.mark.parametrize(
    "f, text",
    [
        (lambda x: np.putmask(np.zeros(X.shape), X > 0, x), r"np\.putmask.*plain array"),
        (lambda x: np.copyto(np.zeros(X.shape), x), r"np\.copyto.*plain array"),
        (lambda x: np.take(x, 0, out=np.zeros(())), r"np\.take.*out="),
        (lambda x: np.compress([True], x, out=np.zeros(1)), r"np\.compress.*out="),
        (lambda x: np.choose([0], [x], out=np.zeros(1)), r"np\.choose.*out="),
        (lambda x: np.trace(x, out=np.zeros(3)), r"np\.trace.*out="),
        (lambda x: x.fill(0), r"\.fill"),
        (lambda x: x.put([0], 1), r"\.put"),
    ],
    ids=lambda x: "" if callable(x) else x.partition(".*")[0],
)
def test_refused_by_name(f, text):
    with pytest.raises(mg.NoGradientRule, match=text):
        f(mg.Tape(full=False).watch(X))


REFUSED = [
    lambda x: np.take(x, 99),
    lambda x: np.take(x, 0, mode="mirror"),
    lambda x: np.take_along_axis(x, np.array([0]), 1),
    lambda x: np.take_along_axis(x, ORDER, axis=None),
    lambda x: np.take_along_axis(x, ORDER + 9, axis=1),
    lambda x: np.compress([False] * 9 + [True], x, axis=0),
    lambda x: np.diag(x),
    lambda x: np.diagonal(x, axis1=1, axis2=1),
    lambda x: np.diagonal(x[0, 0]),
    lambda x: np.insert(x, 99, 0, axis=1),
    lambda x: np.insert(x, [0, 1], np.zeros((5, 2)), axis=1),
    lambda x: np.delete(x, 99, axis=1),
    lambda x: np.delete(x, 0, axis=5),
    lambda x: np.select([], []),
    lambda x: np.select([x > 0], [x, x]),
    lambda x: np.select([np.ones(3)], [x]),
    lambda x: np.piecewise(x, [x > 0], [1, 2, 3]),
]
if hasattr(np, "unstack"):  # since NumPy 2.1
    REFUSED += [
        lambda x: np.nonzero(x[0, 0, 0]),
    ]
if hasattr(np, "matvec"):  # since NumPy 2.2
    REFUSED += [
        lambda x: np.trim_zeros(x[0, 0], "x"),
    ]


@pytest.mark.parametrize("f", REFUSED, ids=source)
def test_what_numpy_refuses_is_refused(f):
    for x in (X, mg.Tape(full=False).watch(X)):
        with pytest.raises((ValueError, IndexError, TypeError)):
            f(x)


def test_the_dtype_of_a_selection_is_numpys():
    x, y = X.astype(np.float32), Y
    for f in (
        lambda x, y: np.select([x > 0, x < -1], [x, 1], 0),
        lambda x, y: np.select([x > 0, x < -1], [x, y]),
        lambda x, y: np.select([x > 0], [x], np.int64(1)),
        lambda x, y: np.insert(x, 0, y[0, 0, 0]),
        lambda x, y: np.choose(np.array([0, 1, 1]), [x, y]),
        lambda x, y: np.trace(x, dtype=np.float64),
    ):
        out, gradients = gradients_of(f, [x, y])
        assert out.dtype == f(x, y).dtype
        np.testing.assert_allclose(out, f(x, y), rtol=1e-6)
        assert [g.dtype for g in gradients] == [np.float32, np.float64]
