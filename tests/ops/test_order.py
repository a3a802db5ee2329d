"""Sorting, order statistics, searching and sets: NumPy's spellings, ties, NaN, float32, refusals."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.order import CONTINUOUS
from tests.gradients import agrees, check_derivatives, gradients_of, source

rng = np.random.default_rng(13)
X = rng.permutation(24).reshape(2, 3, 4) * 0.2 - 2.33  # far enough from each other for differences
V = rng.standard_normal(9)
BINS = np.array([0, 2, 2, 5, 0, 2, 1, 0, 5])


def gradient(f, x):
    return mg.grad(lambda x: np.sum(f(x)))(np.asarray(x, float))


SPELLINGS = [
    lambda x: np.sort(x),
    lambda x: np.sort(x, 0),
    lambda x: np.sort(x, axis=1, kind="mergesort"),
    lambda x: np.sort(x, axis=None),
    lambda x: np.sort(x, stable=True),
    lambda x: np.sort(a=x, axis=-2),
    lambda x: np.sort(x[:, ::-1], axis=0),
    lambda x: np.take_along_axis(X, np.argsort(x, axis=1), 1) * x,
    lambda x: np.partition(x, 2),
    lambda x: np.partition(x, (0, 3), axis=None),
    lambda x: np.partition(x, [1], axis=1),
    lambda x: np.real(np.sort_complex(x)),
    lambda x: np.median(x),
    lambda x: np.median(x, 1),
    lambda x: np.median(x, axis=(0, -1), keepdims=True),
    lambda x: np.median(x, axis=[0, 1]),
    lambda x: np.median(a=x, axis=2, overwrite_input=True),
    lambda x: np.quantile(x, 0.3),
    lambda x: np.quantile(x, 0.3, 1),
    lambda x: np.quantile(x, q=[0.1, 0.55], axis=0, keepdims=True),
    lambda x: np.quantile(x, np.array([[0.0, 1.0], [0.2, 0.5]]), axis=(0, 2)),
    lambda x: np.quantile(x, 1, axis=2),
    lambda x: np.quantile(x, (), axis=1),
    lambda x: np.percentile(x, 25),
    lambda x: np.percentile(x, [10, 62.5], axis=-1, method="hazen"),
    lambda x: np.percentile(x, 40, None, None, False, "nearest", True),
    lambda x: np.unique(x),
    lambda x: np.unique(x[0], axis=1),
    lambda x: np.unique(np.concatenate([x, x]), axis=0),
    lambda x: np.unique(np.concatenate([x, x]), return_counts=True)[0],
    lambda x: np.unique_values(x),
    lambda x: np.unique_all(x).values,
    lambda x: np.unique_counts(x)[0],
    lambda x: np.unique_inverse(x).values,
    lambda x: np.bincount(BINS, x.ravel()[:9]),
    lambda x: np.bincount(list(BINS), weights=x.ravel()[:9], minlength=8),
]


@pytest.mark.parametrize("f", SPELLINGS, ids=source)
def test_spellings(f):
    agrees(f, X)


SETS = [
    lambda x: np.union1d(x, X[0]),
    lambda x: np.union1d(X[0] + 1, x[0]),
    lambda x: np.intersect1d(x, X[0]),
    lambda x: np.intersect1d(X[0], x, assume_unique=True),
    lambda x: np.setdiff1d(x, X[0]),
    lambda x: np.setdiff1d(x[0], X[0, :2], assume_unique=True),
    lambda x: np.setxor1d(x, X[0] + 1),
]


@pytest.mark.parametrize("f", SETS, ids=source)
def test_values_of_sets(f):
    np.testing.assert_array_equal(gradients_of(f, [X])[0], f(X))


def test_sets_follow_the_elements_that_they_keep():
    x = np.array([3.0, 1.0, 2.0, 1.0])
    np.testing.assert_array_equal(gradient(lambda x: np.unique(x) * [1, 10, 100], x), [100, 1, 10, 0])
    np.testing.assert_array_equal(
        gradient(lambda x: np.union1d(x, [2.0, 5.0]) * [1, 10, 100, 1000], x), [100, 1, 10, 0]
    )
    np.testing.assert_array_equal(gradient(lambda x: np.setdiff1d(x, [1.0]) * [1, 10], x), [10, 0, 1, 0])
    np.testing.assert_array_equal(gradient(lambda x: np.intersect1d(x, [1.0, 2.0]) * [1, 10], x), [0, 1, 10, 0])
    np.testing.assert_array_equal(gradient(lambda x: np.setxor1d(x, [1.0, 7.0]) * [1, 10, 100], x), [10, 0, 1, 0])


def test_all_that_unique_returns():
    x = np.array([[3.0, 1.0], [2.0, 1.0]])
    for found, wanted in zip(
        np.unique(mg.Tape(full=False).watch(x), True, True, True), np.unique(x, True, True, True), strict=True
    ):
        np.testing.assert_array_equal(getattr(found, "value", found), wanted)
    found = np.unique_all(mg.Tape(full=False).watch(x))
    assert found._fields == np.unique_all(x)._fields
    np.testing.assert_array_equal(found.inverse_indices, np.unique_all(x).inverse_indices)


# --- ties ------------------------------------------------------------------------------------------------------------


def test_ties_share_the_gradient():
    x = [1.0, 2.0, 3.0, 2.0, 2.0]
    np.testing.assert_allclose(gradient(np.median, x), [0, 1 / 3, 0, 1 / 3, 1 / 3])
    np.testing.assert_allclose(gradient(lambda x: np.sort(x) * [1, 2, 3, 7, 10], x), [1, 4, 10, 4, 4])
    np.testing.assert_allclose(gradient(lambda x: np.partition(x, 2) * [1, 2, 3, 7, 10], x)[[1, 3, 4]].std(), 0)
    np.testing.assert_allclose(gradient(lambda x: np.quantile(x, 0.2), x), [0.2, 0.8 / 3, 0, 0.8 / 3, 0.8 / 3])


def test_largest_of_sorted_is_max():
    x = rng.integers(0, 3, (4, 5)).astype(float)
    np.testing.assert_allclose(
        gradient(lambda x: np.sort(x, axis=1)[:, -1], x), gradient(lambda x: np.max(x, axis=1), x)
    )
    np.testing.assert_allclose(gradient(lambda x: np.quantile(x, 1.0, axis=0), x), gradient(lambda x: x.max(0), x))


def test_second_order_over_ties_is_consistent():
    """The shares are a constant matrix, so the second derivative is that of what is done to the sorted elements."""
    x = np.array([1.0, 2.0, 2.0, 0.0])
    h = [mg.grad(lambda x, i=i: mg.grad(lambda x: np.sum(np.sort(x) ** 3))(x)[i])(x) for i in range(4)]
    np.testing.assert_allclose(h, np.transpose(h))
    np.testing.assert_allclose(np.sum(h, axis=1), 6 * x)


# --- order statistics ------------------------------------------------------------------------------------------------

METHODS = [*CONTINUOUS, "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "lower", "higher"]
METHODS += ["midpoint", "nearest"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_methods(method, n):
    x = rng.permutation(n) + rng.uniform(-0.2, 0.2, n)
    for q in (0.0, 0.04, 0.29, 0.5, 0.81, 1.0):
        agrees(lambda x, q=q: np.quantile(x, q, method=method), x)


@pytest.mark.parametrize("method", CONTINUOUS)
@pytest.mark.parametrize("f", [np.quantile, np.nanquantile], ids=lambda f: f.__name__)
def test_gradient_flows_to_q(method, f):
    x = rng.permutation(7) + rng.uniform(-0.2, 0.2, 7)
    check_derivatives(lambda x, q: f(x, q, method=method) ** 2, [x, np.array([0.07, 0.33, 0.58, 0.94])])


def test_gradient_flows_to_q_of_percentile():
    assert mg.grad(lambda q: np.percentile(np.array([0.0, 1.0, 5.0]), q))(75.0) == pytest.approx(0.08)
    assert mg.grad(lambda q: np.quantile([0.0, 1.0, 5.0], q))(0.5) == pytest.approx((2 + 8) / 2)  # mean of both sides
    assert mg.grad(lambda q: np.quantile([0.0, 1.0, 5.0], q, method="lower"))(0.7) == 0


@pytest.mark.parametrize("f", [np.median, lambda x: np.quantile(x, 0.4), lambda x: np.percentile(x, 40), np.sort])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_dtype_is_kept(f, dtype):
    out, (g,) = gradients_of(f, [X.astype(dtype)])
    assert out.dtype == g.dtype == dtype


def test_wide_q_widens_as_in_numpy():
    narrow = X.astype(np.float32)
    out, (g,) = gradients_of(lambda x: np.quantile(x, [0.3, 0.6]), [narrow])
    assert out.dtype == np.quantile(narrow, [0.3, 0.6]).dtype and g.dtype == np.float32


def test_median_of_nan_is_nan():
    out, (g,) = gradients_of(lambda x: np.median(x, axis=1), [np.array([[1.0, np.nan, 2.0], [1.0, 2.0, 3.0]])])
    np.testing.assert_array_equal(out, [np.nan, 2])
    np.testing.assert_array_equal(g[1] != 0, [False, True, False])


@pytest.mark.parametrize("f", [np.sort, lambda x: np.partition(x, 1), lambda x: np.median(x, axis=0)])
def test_nothing_along_another_axis(f):
    out, (g,) = gradients_of(f, [np.zeros((3, 0, 4))])
    assert out.shape == f(np.zeros((3, 0, 4))).shape and g.shape == (3, 0, 4)


def test_a_single_number():
    assert gradient(np.median, 3.0) == 1 and gradient(lambda x: np.quantile(x, 0.3), 3.0) == 1


def test_nan_sorts_last():
    np.testing.assert_array_equal(gradient(lambda x: np.sort(x)[:2] * [1, 10], [3, np.nan, 1]), [10, 0, 1])


@pytest.mark.parametrize("f", [np.sort, lambda z: np.partition(z, 2), np.median, lambda z: np.unique(z)])
def test_complex_numbers_are_sorted_by_their_parts(f):
    def parts(a, b):
        out = f(a + 1j * b)
        return np.real(out), 2 * np.imag(out)

    agrees(parts, X[0, 0], X[1, 1])


# --- indices ---------------------------------------------------------------------------------------------------------

INDICES = [
    lambda x: np.argsort(x),
    lambda x: np.argsort(x, axis=None, stable=True),
    lambda x: x.argsort(0, "stable"),
    lambda x: np.argpartition(x, 2, axis=1),
    lambda x: x.argpartition([1, 2]),
    lambda x: np.lexsort((x[0, 0], x[1, 1])),
    lambda x: np.lexsort((x[0, 0] > 0, X[1, 1])),
    lambda x: np.searchsorted(np.sort(x[0, 0]), 0.1),
    lambda x: np.searchsorted([-1.0, 0.0, 1.0], x, side="right"),
    lambda x: np.searchsorted(x[0, 0], x, sorter=np.argsort(x[0, 0])),
    lambda x: x[0, 0].searchsorted([100.0, -100.0]),
    lambda x: np.digitize(x, [-1, 0, 1]),
    lambda x: np.digitize(x, bins=np.array([1, 0, -1]), right=True),
    lambda x: np.isin(x, X[0]),
    lambda x: np.isin(X, x[0], invert=True),
    lambda x: np.bincount(np.digitize(x.ravel(), [-1, 0, 1])),
]


@pytest.mark.skipif(not hasattr(np, "in1d"), reason="another isin, which NumPy 2.4 gives up")
@pytest.mark.filterwarnings("ignore:`in1d` is deprecated:DeprecationWarning")
def test_in1d():
    tape = mg.Tape(full=False)
    np.testing.assert_array_equal(np.in1d(tape.watch(X), X[0], invert=True), np.in1d(X, X[0], invert=True))
    np.testing.assert_array_equal(np.in1d(list(X[0, 0]), tape.watch(X[:, 0])), np.in1d(X[0, 0], X[:, 0]))


@pytest.mark.parametrize("f", INDICES, ids=source)
@pytest.mark.parametrize("full", [False, True], ids=["derivative tape", "full tape"])
def test_indices_are_those_of_numpy(f, full):
    found = f(mg.Tape(full=full).watch(X))
    np.testing.assert_array_equal(getattr(found, "value", found), f(X))
    assert full or not isinstance(found, mg.Tensor)


def test_weights_of_bincount_in_float32():
    out, (g,) = gradients_of(lambda w: np.bincount(BINS, w), [V.astype(np.float32)])
    assert (out.dtype, g.dtype) == (np.float64, np.float32)


# --- refused ---------------------------------------------------------------------------------------------------------

REFUSED = [
    (lambda x: np.sort(x, order="a"), "np.sort.*order="),
    (lambda x: np.quantile(x, 0.3, weights=X, method="inverted_cdf", axis=None), "np.quantile.*weights="),
    (lambda x: np.median(x, out=np.zeros(())), "np.median.*out="),
    (lambda x: np.nanpercentile(x, 3, out=np.zeros(())), "np.nanpercentile.*out="),
    (lambda x: np.histogram(x), r"np\.histogram .*count.*np\.bincount"),
    (lambda x: np.histogram2d(x.ravel(), x.ravel()), r"np\.histogram2d .*count"),
    (lambda x: np.intersect1d(x, X, return_indices=True), "np.intersect1d.*return_indices="),
]


@pytest.mark.parametrize("f, text", REFUSED, ids=[text for _, text in REFUSED])
def test_refused_with_a_reason(f, text):
    with pytest.raises(mg.NoGradientRule, match=text):
        f(mg.Tape(full=False).watch(X))


MISTAKES = [
    (lambda x: np.quantile(x, 1.5), "quantile"),
    (lambda x: np.sort(x, kind="stable", stable=True), "kind= or stable="),
    (lambda x: np.bincount([0, 1], x.ravel()), r"bincount.*\(24,\).*\(2,\)"),
]


@pytest.mark.parametrize("f, text", MISTAKES, ids=[text for _, text in MISTAKES])
def test_mistakes(f, text):
    with pytest.raises(ValueError, match=text):
        f(mg.Tape(full=False).watch(X))
