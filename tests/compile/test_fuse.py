"""Which steps are fused on known programs, and that what is fused is right in whatever order it must run."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.compile.compiled import compile

pytest.importorskip("numba", reason="chains are fused for the vector machine, which needs it")

rng = np.random.default_rng(12)
X, Y, W = rng.standard_normal((20, 30)), rng.standard_normal((20, 30)), rng.standard_normal((30, 30)) / 6


@pytest.fixture(autouse=True)
def choice():
    with mg.kernels.using("numba"):
        yield


def calls(function, *arguments):
    """Compile a function, check what it computes, and return how often its program calls the machine."""
    compiled = compile(function)
    for factor in (1.0, 0.5):
        given = [x * np.asarray(factor, x.dtype) if x.dtype.kind == "f" else x for x in arguments]
        found, expected = (mg.core.tree.flatten(f(*given))[0] for f in (compiled, function))
        for one, two in zip(found, expected):
            assert np.asarray(one).dtype == np.asarray(two).dtype
            rtol = 1000 * np.finfo(np.asarray(two).dtype).eps if np.asarray(two).dtype.kind == "f" else 0
            np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol)
    return chains(compiled)


def chains(compiled):
    """Return how many chains a function's program has."""
    return sum(
        line.split().count("chain") + line.split().count("chain,") for line in compiled.programs[0].text.split("\n")
    )


def test_a_chain_is_one_call():
    assert calls(lambda x: np.tanh(np.exp(-x) * 2 + 1) - x, X) == 1


def test_a_sum_in_the_middle_parts_a_chain():
    assert calls(lambda x: (x * 2 + 1) / (1 + np.sum(np.exp(x) * x + 1)) + x * 3, X) == 3  # the sum's own + 1


def test_what_does_not_wait_for_the_sum_may_join_either_side():
    def f(x):
        before = np.exp(x) * x + 1
        return np.tanh(before) * np.sum(before) + x

    assert calls(f, X) == 2


def test_forward_and_backward_around_a_product():
    """What is before the product, and what is after it; the chain after it is that of the backward pass too."""
    assert calls(mg.value_and_grad(lambda x, w: np.sum(np.tanh((np.exp(-x) * 2 + x) @ w) ** 2)), X, W) == 3


def test_siblings_are_one_call():
    def f(x, y):
        both = x * y
        return np.exp(both) + x, np.tanh(both) * y, both - 1

    assert calls(f, X, Y) == 1


def test_shapes_and_dtypes_are_kept_apart():
    assert calls(lambda x, w: (np.exp(x) * x + 1, np.exp(w) * w + 1), X, W) == 2
    assert calls(lambda x, y: (np.exp(x) * x + 1, np.exp(y) * y + 1), X, Y.astype(np.float32)) == 2


def test_rows_and_columns_of_one_length_share_a_call():
    assert (
        calls(lambda x, row, column: np.tanh((x - column) / np.exp(column) * row + row), X, X[0], X[:, :1]) == 2
    )  # and exp


def test_parts_that_want_other_rows():
    x = rng.standard_normal((4, 5, 6))
    assert calls(lambda x, a, b: (x * a + 1) * b - a * x + b * 2, x, x[:, :1, :1], x[0]) >= 1


@pytest.mark.parametrize(
    "function, x",
    [
        (lambda x: x * 2 * x + 1, np.arange(12)),  # whole numbers
        (lambda x: np.arctan(np.cbrt(np.sinh(x))), X),  # what the machine does not have
        (lambda x: x.astype(np.float16) * 2 + 1, X),
        (lambda x: x * 2j + 1 - x, X),
    ],
)
def test_what_is_not_fused(function, x):
    compiled = compile(function)
    compiled(x)
    np.testing.assert_array_equal(compiled(x), function(x))
    assert not chains(compiled)


def test_empty_arrays():
    assert calls(lambda x: np.exp(x) * 2 + 1, np.ones((0, 3))) == 0


# --- no cycles --------------------------------------------------------------------------------------------------------


def test_a_chain_around_a_product_is_not_its_own_past():
    """The step before the product and the one after it read the same; fused they would have to wait for themselves."""

    def f(x, w):
        a = np.exp(-x) * 2
        b = (a @ w) * a + 1
        c = (b @ w) * b + a
        return a + 1, b * 2, np.tanh(c) * a - b

    assert calls(f, X, W) == 3


def test_two_ways_from_one_chain_to_another():
    def f(x, w):
        a = np.tanh(x) * 2 + x
        left, right = np.exp(-a) @ w, np.sum(a * a, axis=0)
        return left * right + a - np.mean(left) * right

    assert calls(f, X, W) >= 2


def test_deep_alternation():
    def f(x, w):
        kept = []
        for number in range(12):
            x = np.tanh(x @ w) * 0.5 + x * 0.5
            kept.append(x)
            if number % 3 == 2:
                x = x + kept[number // 2] * 0.1 - np.mean(x)
        return x, np.sum(kept[0] * kept[-1])

    assert calls(f, X, W) >= 12
    assert calls(mg.value_and_grad(lambda w, x: f(x, w)[1]), W, X) >= 24


def test_random_draws_keep_their_order():
    def f(x, generator):
        a = np.exp(-x) * 2 + x
        b = mg.ops.dropout(a, generator, p=0.5)
        c = mg.ops.dropout(np.tanh(a) * 2 + 1, generator, p=0.8)
        return b * c + a * 2 - x

    compiled = compile(f)
    for _ in range(3):
        found = compiled(X, np.random.default_rng(3))
        np.testing.assert_allclose(found, f(X, np.random.default_rng(3)), rtol=1e-12)


# --- booleans, products, powers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (7,), (20, 30), (40, 1000)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_booleans_in_and_out(shape, dtype):
    x = np.asarray(rng.standard_normal(shape), dtype)
    mask = np.asarray(rng.integers(0, 2, shape) > 0)

    def f(x, mask):
        positive = x * 2 > 0.137
        return positive, np.where(mask, x, 2 * x) * positive, np.logical_and(mask, positive), (x + 1) * mask

    calls(f, x, mask)


def test_the_sum_of_booleans_is_a_boolean():
    calls(lambda x: ((x > 0) + (x < 0.5)) * x + 1, X)
    calls(lambda x: ((x > 0) + True) * x + 1, X)
    calls(lambda x: ((x > 0) + (x < 0.5), x * 2 + 1), X)
    calls(lambda x: np.maximum(x > 0, x < -1) * x * 2, X)
    calls(lambda x: ((x > 0) * (x < 0.5) + (x > 1)) * x + 1, X)


@pytest.mark.parametrize("exponent", [2, 0.5, -1, 1, 0, 3, 2.0, -2, 1.5])
def test_powers(exponent):
    calls(lambda x: (np.abs(x) + 0.5) ** exponent * 2 + x, X)


def test_products_read_by_one_and_by_two():
    def f(x, y):
        product, other = x * y, x * x
        return product + y, other - product, y - x * y, x * y - y, (x * y) + (y * y)

    assert calls(f, X, Y) == 1


@pytest.mark.parametrize(
    "value", [2, 2.5, True, np.float64(2.5), np.float32(2.5), np.array(2.5), np.ones(30), np.ones((20, 1))]
)
def test_constants(value):
    calls(lambda x: (x * value + 1) / (value + 1) - x, X)
    calls(lambda x: (x * value + 1) / (value + 1) - x, X.astype(np.float32))


def test_a_result_given_twice_and_an_input_given_back():
    f = compile(lambda x: ((y := np.exp(-x) * 2 + 1), y, x, y.T, y[3:]))
    given = X.copy()
    found = f(given)
    for one, two in zip(found, (lambda y: (y, y, X, y.T, y[3:]))(np.exp(-X) * 2 + 1)):
        np.testing.assert_allclose(one, two, rtol=1e-14)
    for place, one in enumerate(found):
        assert not np.shares_memory(one, given)
        assert not any(np.shares_memory(one, other) for other in found[:place])


def test_large_arrays_are_written_over_in_place():
    """Buffers are reused by chains that are the last to read them; threads share the blocks."""

    def f(x):
        for _ in range(5):
            x = np.tanh(x) * 0.5 + x
            x = x - np.mean(x, axis=0) + x[::-1] * 0.1
        return np.sum(x, axis=1)

    x = rng.standard_normal((300, 301))
    compiled = compile(f)
    np.testing.assert_allclose(compiled(x), f(x), rtol=1e-10, atol=1e-10)
    assert compiled.programs[0].buffer_bytes <= 4 * x.nbytes
