"""Steps that compiled code calls without Python in between: what has a routine, and that it reads memory as it lies."""

import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.compile.compiled import compile
from minigrad.kernels.blas import product

pytest.importorskip("numba", reason="it compiles the routines")

rng = np.random.default_rng(21)
DTYPES = [np.float32, np.float64]

needs_blas = pytest.mark.skipif(product(np.dtype("f")) is None, reason="NumPy has another BLAS than its wheels")


@pytest.fixture(autouse=True)
def choice():
    with mg.kernels.using("numba"):
        yield


def check(function, *arguments):
    """Compile a function, compare what it computes on two sets of arguments, and return its program."""
    compiled = compile(function)
    for factor in (1.0, 0.5):
        given = [x * np.asarray(factor, x.dtype) if x.dtype.kind == "f" else x for x in arguments]
        found, expected = (mg.core.tree.flatten(f(*given))[0] for f in (compiled, function))
        for one, two in zip(found, expected, strict=True):
            one, two = np.asarray(one), np.asarray(two)
            assert (one.dtype, one.shape) == (two.dtype, two.shape)
            tolerance = 100 * np.finfo(two.dtype).eps if two.dtype.kind == "f" else 0
            np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance * max(1, np.abs(two).max(initial=0)))
    return compiled.programs[0]


def routines(program):
    """Return the names of the steps of each section."""
    lines = (line.strip() for line in program.text.split("\n"))
    return [line[2:].split(", ") for line in lines if line.startswith("# ")]


# --- products --------------------------------------------------------------------------------------------------------

LAYOUTS = {
    "plain": lambda x: x,
    "transposed": lambda x: x.T,
    "rows left out": lambda x: x[::2],
    "columns left out": lambda x: x[:, ::2],
    "corner": lambda x: x[1:5, 2:6],
    "corner, transposed": lambda x: x[1:5, 2:6].T,
    "backwards": lambda x: x[::-1],
    "one row": lambda x: x[3:4],
    "one column": lambda x: x[:, 3:4],
    "the same row again": lambda x: np.broadcast_to(x[2], (4, x.shape[1])),
    "taken apart": lambda x: x.reshape(4, 2, 8).reshape(4, 16),
    "flat": lambda x: x[2],
    "a column, flat": lambda x: x[:, 2],
}


@needs_blas
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("second", LAYOUTS)
@pytest.mark.parametrize("first", LAYOUTS)
def test_products_of_views(first, second, dtype):
    x, y = rng.standard_normal((8, 8)).astype(dtype), rng.standard_normal((8, 8)).astype(dtype)
    one, two = LAYOUTS[first], LAYOUTS[second]
    size = one(x).shape[-1]
    rows = two(y).shape[-2] if two(y).ndim > 1 else two(y).shape[0]
    w = rng.standard_normal((size, rows)).astype(dtype)

    def of_inputs(x, y, w):
        return one(x) @ w @ two(y)

    def of_results(x, y, w):
        return one(x * 2) @ w @ two(y + 1)

    for function in (of_inputs, of_results):
        names = routines(check(function, x, y, w))
        assert sum(section.count("matmul") for section in names) == 2


@needs_blas
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "first, second",
    [
        ((3, 4, 5), (5, 6)),
        ((3, 4, 5), (3, 5, 6)),
        ((2, 3, 4, 5), (5, 2)),
        ((2, 3, 4, 5), (2, 3, 5, 2)),
        ((2, 3, 4, 5), (3, 5, 2)),
        ((1, 4, 5), (3, 5, 2)),
        ((4, 5), (3, 5, 2)),
        ((5,), (3, 5, 2)),
        ((3, 4, 5), (5,)),
        ((1, 1), (1, 1)),
        ((1,), (1,)),
        ((7, 1), (1, 7)),
        ((0, 5), (5, 3)),
        ((4, 0), (0, 3)),
    ],
)
def test_stacks_of_matrices(first, second, dtype):
    x, y = rng.standard_normal(first).astype(dtype), rng.standard_normal(second).astype(dtype)
    check(lambda x, y: x @ y, x, y)
    if x.ndim > 1 and y.ndim > 1:
        check(lambda x, y: np.swapaxes(y, -1, -2) @ np.swapaxes(x, -1, -2), x, y)
    if x.ndim == 3 and y.ndim == 3 and 1 not in first:
        check(lambda x, y: np.swapaxes(x, 0, 1) @ y[0] + np.sum(y), x, y)
        check(lambda x, y: x[::2] @ y[::2], x, y)


@needs_blas
def test_a_net_is_one_section():
    model = mg.compile(mg.models.TwoLayerNet(6, 5, 4, seed=0))
    model.loss(rng.standard_normal((7, 6)), rng.integers(0, 4, 7))
    (section,) = routines(model._step.programs[0])
    assert section.count("matmul") == 5 and "softmax_loss_backward" in section


# --- sums ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1), (1, 2), (0, 2), (0, 1, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums(axis, keepdims, dtype):
    for each in (rng.random((5, 1, 3)).astype(dtype), rng.random((30, 40, 9)).astype(dtype)):
        check(lambda x: np.sum(x, axis=axis, keepdims=keepdims), each)
        check(lambda x: np.sum(x.T, axis=axis, keepdims=keepdims) * 2, each)
        check(lambda x: np.sum(x[1:], axis=axis, keepdims=keepdims), each)


@pytest.mark.parametrize("axis", [(0, 2), (0, 2, 3), (1, 3), (0, 1), (2, 3), (3,), (0, 3), (1, 2), None])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (3, 1, 5, 6), (20, 30, 16, 16), (1, 1, 1, 1)])
def test_sums_over_some_axes(shape, axis):
    for dtype in DTYPES:
        program = check(
            lambda x: np.sum(x, axis=axis) + np.sum(x * 2) * 0.001, rng.standard_normal(shape).astype(dtype)
        )
    assert 1 in shape or axis == (1, 3) or "add_reduce" not in program.text


@pytest.mark.parametrize("size", [1, 5, 3000])
def test_sums_of_squares(size):
    for dtype in DTYPES:
        check(lambda w: mg.ops.sum_squares(w) + mg.ops.sum_squares(w[:1]), rng.standard_normal((size, 3)).astype(dtype))


def test_long_sums_are_as_accurate_as_numpys():
    x = rng.standard_normal(1 << 20).astype(np.float32) + 1
    exact = np.sum(x.astype(np.float64))
    assert abs(compile(lambda x: np.sum(x * 1.0))(x) - exact) <= 4 * np.spacing(np.float32(exact))


def test_sums_of_nothing():
    check(lambda x: (np.sum(x), np.sum(x, axis=0), np.sum(x, axis=1)), np.ones((0, 3)))


# --- losses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_loss(dtype, labels):
    step = mg.value_and_grad(lambda x, w, y: mg.softmax_loss(np.tanh(x) @ w, y) * 3 + np.sum(w * w), argnums=(0, 1))
    x, w = rng.standard_normal((9, 5)).astype(dtype), rng.standard_normal((5, 4)).astype(dtype)
    program = check(step, x, w, rng.integers(0, 4, 9).astype(labels))
    assert any("softmax_loss" in section for section in routines(program)) == (labels is np.int64)


@pytest.mark.parametrize("label", [-1, 4])
def test_a_wrong_label_is_named(label):
    compiled = compile(mg.value_and_grad(lambda x, y: mg.softmax_loss(x * 2, y) + mg.softmax_loss(x * 3, y[::-1])))
    x, y = rng.standard_normal((3, 4)), np.array([0, 1, 2])
    before = compiled(x, y)
    with pytest.raises(mg.DataError, match=rf"label y\[1\] is {label}"):
        compiled(x, np.array([0, label, 2]))
    after = compiled(x, y)
    assert after[0] == before[0]
    np.testing.assert_array_equal(after[1], before[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(6, 5), (6, 300), (300, 6), (5, 3, 2, 2), (4, 3, 7, 6), (1, 2)])
@pytest.mark.parametrize("rectify", [True, False])
def test_batch_normalisation(shape, dtype, rectify):
    op = mg.batchnorm if len(shape) == 2 else mg.spatial_batchnorm
    if shape[0] == 1:
        op = lambda x, gamma, beta: np.tanh(x) * gamma + beta  # noqa: E731 - one sample has no variance

    def f(x, gamma, beta):
        out = op(x * 2, gamma, beta)
        return np.sum(np.sin(mg.relu(out) if rectify else out))

    gamma, beta = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    x = rng.standard_normal(shape).astype(dtype)
    compiled, eager = (make(mg.value_and_grad(f, argnums=(0, 1, 2))) for make in (compile, lambda f: f))
    (value, found), (right, expected) = compiled(x, gamma, beta), eager(x, gamma, beta)
    np.testing.assert_allclose(value, right, rtol=1e-4 if dtype is np.float32 else 1e-12)
    for one, two in zip(found, expected):
        tolerance = (1e-3 if dtype is np.float32 else 1e-9) * max(1, np.abs(two).max())
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance)


# --- numbers, views and memory ---------------------------------------------------------------------------------------


def test_numbers_that_python_and_routines_read():
    def f(x):
        total = np.sum(np.exp(x))  # for Python, since np.cbrt has no routine; and for routines
        return np.cbrt(total) + np.broadcast_to(total * 2, (3,)) * np.reshape(total, (1,)) + total, total

    check(f, rng.standard_normal(5))


def test_views_of_what_a_section_has_yet_to_make():
    def f(x, w):
        y = np.tanh(x @ w)
        upper, flat = y[:3].T, y.reshape(-1)
        folded = (y.T * 2).T.reshape(-1)  # a copy
        return upper @ w[:3], np.sum(flat), np.exp(y.T).T.reshape(6, -1) * 2, np.cbrt(flat) + folded

    check(f, rng.standard_normal((6, 6)), rng.standard_normal((6, 6)))


def test_results_are_not_written_again():
    compiled = compile(lambda x, w: (x @ w, np.sum(x @ w, axis=0), np.tanh(x @ w)))
    x, w = rng.standard_normal((2, 5, 4)), rng.standard_normal((4, 3))
    first = compiled(x[0], w)
    kept = [each.copy() for each in first]
    compiled(x[1], w)
    for one, two in zip(first, kept):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", ["strided", "read only", "unaligned", "transposed"])
def test_inputs_as_they_come(kind):
    x, w = rng.standard_normal((6, 4)), rng.standard_normal((4, 3))
    if kind == "strided":
        x = rng.standard_normal((12, 8))[::2, ::2]
    elif kind == "read only":
        x.setflags(write=False)
    elif kind == "unaligned":
        room = np.empty(x.nbytes + 1, np.uint8)
        unaligned = room[1:].view(np.float64).reshape(x.shape)
        unaligned[...] = x
        x = unaligned
    else:
        x = np.asfortranarray(x)
    compiled = compile(lambda x, w: np.sum(np.tanh(x @ w) * 2 + 1, axis=0))
    np.testing.assert_allclose(compiled(x, w), np.sum(np.tanh(x @ w) * 2 + 1, axis=0), rtol=1e-12)


def test_two_threads():
    compiled = compile(mg.value_and_grad(lambda w, x: np.sum(np.tanh(x @ w) ** 2)))
    w, xs = rng.standard_normal((40, 30)), rng.standard_normal((2, 50, 40))
    expected = [compiled(w, x) for x in xs]
    wrong = []

    def work(k):
        for _ in range(200):
            value, gradient = compiled(w, xs[k])
            if value != expected[k][0] or not np.array_equal(gradient, expected[k][1]):
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
