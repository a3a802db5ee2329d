"""The two losses: the course's loops, large scores, derivatives of higher order, and what they refuse."""

import numpy as np
import pytest
from scipy.special import logsumexp

import minigrad as mg
from tests.gradients import check_derivatives, gradients_of

rng = np.random.default_rng(23)
SCORES = rng.standard_normal((6, 5))
Y = np.array([0, 4, 2, 2, 1, 3])
LOSSES = pytest.mark.parametrize("loss", [mg.softmax_loss, mg.svm_loss], ids=lambda op: op.name)


def softmax_loop(scores, y):
    """Loss and gradient, one sample at a time."""
    loss, d = 0.0, np.zeros_like(scores)
    for i, label in enumerate(y):
        loss += logsumexp(scores[i]) - scores[i, label]
        d[i] = np.exp(scores[i] - logsumexp(scores[i]))
        d[i, label] -= 1
    return loss / len(y), d / len(y)


def svm_loop(scores, y):
    loss, d = 0.0, np.zeros_like(scores)
    for i, label in enumerate(y):
        for j in range(scores.shape[1]):
            margin = scores[i, j] - scores[i, label] + 1
            if j != label and margin > 0:
                loss += margin
                d[i, j] += 1
                d[i, label] -= 1
    return loss / len(y), d / len(y)


@pytest.mark.parametrize("scale", [1, 10, 1e4])
@pytest.mark.parametrize("loss, loop", [(mg.softmax_loss, softmax_loop), (mg.svm_loss, svm_loop)], ids=["soft", "svm"])
def test_the_courses_definition(loss, loop, scale):
    value, gradient = mg.value_and_grad(loss)(scale * SCORES, Y)
    wanted = loop(scale * SCORES, Y)
    np.testing.assert_allclose(value, wanted[0], rtol=1e-12)
    np.testing.assert_allclose(gradient, wanted[1], rtol=1e-10, atol=1e-14)


@LOSSES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, -1e4, 1e30])
def test_large_scores_do_not_overflow(loss, dtype, size):
    scores = np.array([[size, 0, 1], [0, size, size]], dtype)
    value, gradient = mg.value_and_grad(loss)(scores, np.array([1, 1]))
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert value.dtype == gradient.dtype == dtype


def test_equal_scores_cost_the_log_of_the_number_of_classes():
    value, gradient = mg.value_and_grad(mg.softmax_loss)(np.zeros((4, 10)), np.arange(4))
    np.testing.assert_allclose(value, np.log(10))
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-16)
    assert mg.svm_loss(np.zeros((4, 10)), np.arange(4)) == 9


def test_softmax_loss_is_right_to_fourth_order():
    check_derivatives(lambda scores: mg.softmax_loss(scores, Y), [SCORES], orders=4)


def test_softmax_loss_where_the_highest_scores_tie():
    check_derivatives(lambda scores: mg.softmax_loss(scores, Y[:2]), [np.ones((2, 5))], orders=3)


def test_svm_loss_has_no_curvature():
    check_derivatives(lambda scores: mg.svm_loss(scores, Y), [SCORES])
    hessian = mg.grad(lambda s: np.sum(mg.grad(mg.svm_loss)(s, Y) ** 2))(SCORES)
    np.testing.assert_array_equal(hessian, 0)


@LOSSES
def test_one_class(loss):
    value, gradient = mg.value_and_grad(loss)(np.ones((2, 1)), np.array([0, 0]))
    assert value == 0 and not gradient.any()


@LOSSES
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint64])
def test_labels_of_any_integer_dtype(loss, kind):
    for f in (loss, mg.grad(loss)):
        np.testing.assert_array_equal(f(SCORES, Y.astype(kind)), f(SCORES, Y))


@LOSSES
def test_lists_and_integer_scores_are_taken_as_numbers(loss):
    assert loss(SCORES, Y.tolist()) == loss(SCORES, Y)
    assert loss(np.array([[2, 0], [0, 2]]), Y[:1].repeat(2)) == loss(np.array([[2.0, 0], [0, 2]]), Y[:1].repeat(2))


@LOSSES
def test_neither_scores_nor_labels_are_modified(loss):
    scores, y = SCORES.copy(), Y.copy()
    scores.flags.writeable = y.flags.writeable = False
    gradients_of(lambda s: loss(s, y), [scores])


def test_by_products_do_not_lose_gradients_silently():
    """The row maxima and sums are there for the rules. Whoever asks for their gradient gets it, or an error."""

    def total(scores):
        return np.sum(mg.softmax_loss.all_outputs(scores, Y)[2])

    wanted = np.exp(SCORES - SCORES.max(1, keepdims=True))
    wanted[np.arange(6), SCORES.argmax(1)] -= wanted.sum(1)
    try:
        found = mg.grad(total)(SCORES)
    except mg.MinigradError:
        return
    np.testing.assert_allclose(found, wanted)


@LOSSES
@pytest.mark.parametrize(
    "scores, y, error, text",
    [
        (np.ones(3), np.array([0]), mg.ShapeError, r"scores of shape \(3,\)"),
        (np.ones((2, 3)), np.array([0]), mg.ShapeError, r"labels of shape \(1,\).*expected \(2,\)"),
        (np.ones((2, 3)), np.array([[0], [1]]), mg.ShapeError, r"labels of shape \(2, 1\)"),
        (np.ones((2, 3)), np.array([0.0, 1.0]), mg.DTypeError, "labels are float64.*astype"),
        (np.ones((2, 3)), np.array([True, False]), mg.DTypeError, "labels are bool"),
        (np.ones((0, 3)), np.zeros(0, int), mg.ShapeError, "no samples"),
        (np.ones((2, 3)), np.array([0, 3]), mg.DataError, r"label y\[1\] is 3.*classes 0 to 2"),
        (np.ones((2, 3)), np.array([-1, 0]), mg.DataError, r"label y\[0\] is -1"),
    ],
)
@pytest.mark.parametrize("watch", [False, True], ids=["arrays", "tensors"])
def test_what_is_refused(loss, scores, y, error, text, watch):
    with pytest.raises(error, match=f"{loss.name}.*{text}"):
        loss(mg.Tape(full=False).watch(scores) if watch else scores, y)
