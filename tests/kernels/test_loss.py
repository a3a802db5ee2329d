"""The kernels of the softmax loss: against float64 one sample at a time, with extreme scores, in any layout."""

import numpy as np
import pytest
from scipy.special import logsumexp

from minigrad.kernels import loss as kernels
from minigrad.kernels import using


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def choice(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the compiled kernels need it")
    with using(request.param):
        yield request.param


rng = np.random.default_rng(17)
SHAPES = [(1, 1), (5, 1), (1, 3), (7, 4), (16, 10), (3, 1025), (1, 70_000), (70_000, 1), (3000, 37), (65, 1000)]
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def case(shape, dtype, spread=4):
    return (spread * rng.standard_normal(shape)).astype(dtype), rng.integers(0, shape[1], shape[0])


def both_ways(scores, y, g=1.0):
    loss, highest, total = kernels.softmax_forward(scores, y)
    return loss, highest, total, kernels.softmax_backward(scores.dtype.type(g), scores, y, highest, total)


def expected(scores, y, g=1.0):
    """Loss and gradient in float64, from probabilities."""
    scores, rows = scores.astype(float), np.arange(len(y))
    shifted = scores - scores.max(axis=1, keepdims=True)
    chances = shifted - logsumexp(shifted, axis=1, keepdims=True)
    d = np.exp(chances)
    d[rows, y] -= 1
    return -chances[rows, y].mean(), d * (g / len(y))


@pytest.mark.parametrize("shape", SHAPES)
@DTYPES
def test_loss_and_gradient(shape, dtype):
    scores, y = case(shape, dtype)
    loss, highest, total, d = both_ways(scores, y, 0.7)
    wanted, slopes = expected(scores, y, 0.7)
    tolerance = 1e-12 if dtype == np.float64 else 2e-6
    assert loss.dtype == highest.dtype == total.dtype == d.dtype == dtype and np.ndim(loss) == 0
    np.testing.assert_array_equal(highest, scores.max(axis=1, keepdims=True))
    powers = np.exp(scores.astype(float) - highest).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(total, powers, rtol=tolerance)
    np.testing.assert_allclose(loss, wanted, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(d, slopes, rtol=10 * tolerance, atol=tolerance / len(y))


@DTYPES
def test_the_gradient_is_the_slope_of_the_loss(dtype):
    """In float32 along a direction in which the scores change much."""
    scores, y = case((6, 5), dtype)
    direction, step = rng.standard_normal(scores.shape).astype(dtype), dtype(1e-2)
    *_, d = both_ways(scores, y)
    above, below = (kernels.softmax_forward(scores + sign * step * direction, y)[0] for sign in (1, -1))
    np.testing.assert_allclose((above - below) / (2 * step), np.sum(d * direction), atol=1e-3)


@DTYPES
def test_losses_of_many_samples_keep_their_digits(dtype):
    scores, y = case((300_000, 2), dtype)
    np.testing.assert_allclose(kernels.softmax_forward(scores, y)[0], expected(scores, y)[0], rtol=2e-7)


@DTYPES
@pytest.mark.parametrize("size", [1e4, -1e4, 1e30])
@pytest.mark.parametrize("repeat", [1, 20_000])
def test_extreme_scores(dtype, size, repeat):
    scores = np.tile(np.array([[size, 0, 1], [0, size, size]], dtype), (repeat, 1))
    y = np.tile([1, 1], repeat)
    loss, _, _, d = both_ways(scores, y)
    wanted, slopes = expected(scores, y)
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    np.testing.assert_allclose(d, slopes, rtol=1e-5, atol=1e-12)


@DTYPES
@pytest.mark.parametrize("width", [3, 9, 40_000])
def test_classes_that_are_impossible(dtype, width):
    """A score of -inf is a probability of 0: no gradient, and a loss without end where that class is the right one."""
    scores, y = case((2, width), dtype)
    scores[:, 1], y[:] = -np.inf, [0, 2]
    loss, _, _, d = both_ways(scores, y)
    np.testing.assert_allclose(loss, expected(scores, y)[0], rtol=1e-5)
    assert not d[:, 1].any() and np.isfinite(d).all()
    y[0] = 1
    loss, _, _, d = both_ways(scores, y)
    assert loss == np.inf and d[0, 1] == -0.5 and np.isfinite(d).all()


@DTYPES
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 1, 4, 8])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_nan_shows_in_its_row(dtype, bad, place):
    scores, y = case((3, 9), dtype)
    scores[1, place] = bad
    loss, _, _, d = both_ways(scores, y)
    assert np.isnan(loss)
    np.testing.assert_array_equal(np.isnan(d).any(axis=1), [False, True, False])
    if np.isnan(bad):
        assert np.isnan(d[1]).all()


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.uint64, ">i8"])
def test_labels_of_any_integer_dtype_and_layout(kind):
    scores, y = case((12, 5), np.float64)
    given = np.repeat(y, 2).astype(kind)[::2]
    given.flags.writeable = False
    for a, b in zip(both_ways(scores, given), both_ways(scores, y), strict=True):
        np.testing.assert_array_equal(a, b)


@DTYPES
@pytest.mark.parametrize("shape", [(6, 5), (300, 200)])
def test_scores_of_any_layout_are_read_only(dtype, shape):
    scores, y = case(shape, dtype)
    wanted = both_ways(scores, y)
    for given in (np.asfortranarray(scores), np.repeat(scores, 2, axis=1)[:, ::2], scores.copy()):
        given.flags.writeable = False
        for a, b in zip(both_ways(given, y), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(given, scores)


@pytest.mark.parametrize("shape", [(6, 5), (300, 200)])
def test_labels_out_of_range_write_nowhere(shape):
    scores, y = case(shape, np.float32)
    _, highest, total, _ = both_ways(scores, y)
    y[3] = shape[1]
    with pytest.raises(IndexError):
        kernels.softmax_forward(scores, y)
    with pytest.raises(IndexError):
        kernels.softmax_backward(np.float32(1), scores, y, highest, total)


@DTYPES
@pytest.mark.parametrize("shape", [(9, 5), (300, 200)])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_rows_that_do_not_count(dtype, shape, share):
    """The others give what they give alone."""
    scores, y = case(shape, dtype)
    some = rng.random(len(y)) < share
    y[~some] = -1
    loss, highest, total = kernels.softmax_forward(scores, y, 7)
    d = kernels.softmax_backward(dtype(0.5), scores, y, highest, total, 7)
    assert not d[~some].any()
    if some.any():
        alone, _, _, slopes = both_ways(scores[some], y[some], 0.5)
        np.testing.assert_allclose(loss, alone * (some.sum() / 7), rtol=1e-5)
        np.testing.assert_allclose(d[some], slopes * (some.sum() / 7), rtol=1e-5, atol=1e-7)
    else:
        assert loss == 0


@pytest.mark.parametrize("shape", [(6, 5), (300, 200)])
def test_labels_out_of_range_among_rows_that_do_not_count(shape):
    scores, y = case(shape, np.float32)
    y[1], y[3] = -1, shape[1]
    with pytest.raises(IndexError):
        kernels.softmax_forward(scores, y, 1)


def test_the_same_bits_each_time():
    scores, y = case((500, 333), np.float32)
    for a, b in zip(both_ways(scores, y), both_ways(scores, y), strict=True):
        np.testing.assert_array_equal(a, b)


def test_integers_and_half_precision():
    scores, y = np.array([[2, 0], [0, 2]]), np.array([1, 1])
    assert kernels.softmax_forward(scores, y)[0] == kernels.softmax_forward(scores.astype(float), y)[0]
    scores, y = case((70_000, 3), np.float16)
    loss, _, _, d = both_ways(scores, y)
    assert loss.dtype == d.dtype == np.float16
    np.testing.assert_allclose(loss, expected(scores, y)[0], rtol=2e-3)
