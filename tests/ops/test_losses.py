"""Losses: the course's numbers and loops, closed forms, PyTorch's values, extreme scores, and what they refuse."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, rel_entr, softmax

import minigrad as mg
from tests.gradients import agrees, check_derivatives, gradients_of

rng = np.random.default_rng(43)
PRED, TARGET = rng.standard_normal((2, 3, 4))
SHARES = rng.uniform(0, 1, (3, 4))
SIGNS = np.where(rng.standard_normal((3, 4)) > 0, 1, -1)
SCORES, Y = rng.standard_normal((5, 4)), np.array([0, 3, 1, 1, 2])
P = softmax(rng.standard_normal((5, 4)), axis=1)
SEQUENCES, WORDS = rng.standard_normal((3, 4, 5)), rng.integers(0, 5, (3, 4))
MASK = rng.uniform(size=(3, 4)) < 0.6
LEFT, RIGHT = rng.standard_normal((2, 4, 3))
IMAGES = rng.standard_normal((2, 3, 4, 5))
GRAM = rng.standard_normal((2, 3, 3))
WEIGHTS = np.array([1.0, 0.5, 2.0, 0.0])

CALLS = {  # every loss with arguments that may be differentiated
    "temporal_softmax_loss": (lambda x: mg.temporal_softmax_loss(x, WORDS, MASK), SEQUENCES),
    "cross_entropy": (lambda s: mg.cross_entropy(s, Y), SCORES),
    "cross_entropy smoothed": (lambda s: mg.cross_entropy(s, Y, smoothing=0.2), SCORES),
    "cross_entropy weighted": (lambda s: mg.cross_entropy(s, Y, weights=WEIGHTS), SCORES),
    "cross_entropy both": (lambda s: mg.cross_entropy(s, Y, smoothing=0.2, weights=WEIGHTS), SCORES),
    "binary_cross_entropy": (mg.binary_cross_entropy_with_logits, PRED, SHARES),
    "hinge": (lambda s: mg.hinge(s, SIGNS), PRED),
    "mse": (mg.mse, PRED, TARGET),
    "l1": (mg.l1, PRED, TARGET),
    "huber": (lambda p, t: mg.huber(p, t, delta=0.7), PRED, TARGET),
    "kl_divergence": (lambda s: mg.kl_divergence(s, P), SCORES),
    "kl_divergence of softmax": (lambda s, q: mg.kl_divergence(s, mg.ops.softmax(q, axis=1)), SCORES, P),
    "nt_xent": (lambda a, b: mg.nt_xent(a, b, tau=0.5), LEFT, RIGHT),
    "gan_discriminator_loss": (mg.gan_discriminator_loss, PRED, TARGET[0]),
    "gan_generator_loss": (mg.gan_generator_loss, PRED),
    "lsgan_discriminator_loss": (mg.lsgan_discriminator_loss, PRED, TARGET[0]),
    "lsgan_generator_loss": (mg.lsgan_generator_loss, PRED),
    "content_loss": (lambda a, b: mg.content_loss(0.3, a, b), IMAGES, IMAGES[::-1] * 0.5),
    "style_loss": (lambda f, g: mg.style_loss([f, f * 2], [0, -1], [g, g], [3.0, 0.1]), IMAGES, GRAM),
    "tv_loss": (lambda x: mg.tv_loss(x, 0.4), IMAGES),
}
EACH = pytest.mark.parametrize("f, args", [(f, args) for f, *args in CALLS.values()], ids=CALLS)


# --- all of them -----------------------------------------------------------------------------------------------------


@EACH
def test_derivatives_to_second_order_and_in_both_modes(f, args):
    agrees(f, *args)
    mg.check_grads(f, tuple(args))


@EACH
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_dtypes_are_kept(f, args, dtype):
    out, gradients = gradients_of(f, [x.astype(dtype) for x in args])
    if f is not CALLS["kl_divergence"][0]:  # whose targets stay float64 here
        assert out.dtype == dtype
    assert np.shape(out) == () and {g.dtype for g in gradients} == {np.dtype(dtype)}
    np.testing.assert_allclose(out, f(*args), rtol=2e-2 if dtype is np.float16 else 1e-5)


# --- classification --------------------------------------------------------------------------------------------------


def temporal_loop(x, y, mask):
    loss, d = 0.0, np.zeros_like(x)
    for n, t in zip(*np.nonzero(mask)):
        loss -= log_softmax(x[n, t])[y[n, t]]
        d[n, t] = softmax(x[n, t])
        d[n, t, y[n, t]] -= 1
    return loss / len(x), d / len(x)


@pytest.mark.parametrize("scale", [1, 10, 1e4])
def test_temporal_softmax_loss_is_the_courses(scale):
    for mask in (MASK, np.ones_like(MASK), np.zeros_like(MASK)):
        value, g = mg.value_and_grad(mg.temporal_softmax_loss)(scale * SEQUENCES, WORDS, mask)
        wanted = temporal_loop(scale * SEQUENCES, WORDS, mask)
        np.testing.assert_allclose(value, wanted[0], rtol=1e-12)
        np.testing.assert_allclose(g, wanted[1], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    "samples, steps, share, wanted", [(100, 1, 1.0, 2.3), (100, 10, 1.0, 23), (5000, 10, 0.1, 2.3)]
)
def test_temporal_softmax_loss_of_small_scores(samples, steps, share, wanted):
    """The notebook's check: log(10) for each step that counts."""
    x, y = 0.001 * rng.standard_normal((samples, steps, 10)), rng.integers(0, 10, (samples, steps))
    mask = rng.uniform(size=(samples, steps)) <= share
    assert abs(mg.temporal_softmax_loss(x, y, mask) - wanted) < 0.1


def test_words_that_do_not_count_may_be_anything():
    y = np.where(MASK, WORDS, -100)
    for f in (mg.temporal_softmax_loss, mg.grad(mg.temporal_softmax_loss)):
        np.testing.assert_array_equal(f(SEQUENCES, y, MASK), f(SEQUENCES, WORDS, MASK))
    check_derivatives(lambda x: mg.temporal_softmax_loss(x, y, MASK), [SEQUENCES], orders=3)


def test_one_step_is_the_softmax_loss():
    found = mg.temporal_softmax_loss(SCORES[:, None], Y[:, None], np.ones((5, 1), bool))
    np.testing.assert_allclose(found, mg.softmax_loss(SCORES, Y), rtol=1e-15)


def smoothed_loop(scores, y, smoothing, weights):
    total, weight = 0.0, 0.0
    for row, label in zip(log_softmax(scores, axis=1), y):
        target = smoothing / len(row) + (1 - smoothing) * (np.arange(len(row)) == label)
        total -= np.sum(weights * target * row)
        weight += weights[label]
    return total / weight


@pytest.mark.parametrize("smoothing", [0, 0.0, 0.1, 1])
@pytest.mark.parametrize("weights", [None, WEIGHTS, [1, 2, 3, 4], np.full(4, 7.0)], ids=str)
def test_cross_entropy_with_smoothing_and_weights(smoothing, weights):
    found = mg.cross_entropy(SCORES, Y, smoothing=smoothing, weights=weights)
    wanted = smoothed_loop(SCORES, Y, smoothing, np.ones(4) if weights is None else np.asarray(weights, float))
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_cross_entropy_is_torchs():
    torch = pytest.importorskip("torch")
    for smoothing in (0.0, 0.3):
        for weights in (None, WEIGHTS):
            found = mg.cross_entropy(SCORES, Y, smoothing=smoothing, weights=weights)
            wanted = torch.nn.functional.cross_entropy(
                torch.tensor(SCORES),
                torch.tensor(Y),
                label_smoothing=smoothing,
                weight=None if weights is None else torch.tensor(weights),
            )
            np.testing.assert_allclose(found, float(wanted), rtol=1e-14)


def test_cross_entropy_leaves_float32_to_weights_of_float64():
    scores = SCORES.astype(np.float32)
    out, (g,) = gradients_of(lambda s: mg.cross_entropy(s, Y, smoothing=np.float64(0.1), weights=WEIGHTS), [scores])
    assert out.dtype == g.dtype == np.float32


def test_binary_cross_entropy_is_the_formula():
    chance = expit(PRED)
    wanted = np.mean(-SHARES * np.log(chance) - (1 - SHARES) * np.log(1 - chance))
    np.testing.assert_allclose(mg.binary_cross_entropy_with_logits(PRED, SHARES), wanted, rtol=1e-14)
    gradient = mg.grad(mg.binary_cross_entropy_with_logits)(PRED, SHARES)
    np.testing.assert_allclose(gradient, (chance - SHARES) / 12, rtol=1e-13)
    for labels in (SHARES > 0.5, (SHARES > 0.5).astype(int)):
        assert mg.binary_cross_entropy_with_logits(PRED.astype(np.float32), labels).dtype == np.float32


def test_hinge_is_the_formula():
    wanted = np.mean([max(0, 1 - t * s) for s, t in zip(PRED.flat, SIGNS.flat)])
    np.testing.assert_allclose(mg.hinge(PRED, SIGNS), wanted, rtol=1e-15)
    np.testing.assert_array_equal(mg.grad(mg.hinge)(np.array([1.0, -1.0]), np.array([1, -1])), 0)  # at the kink


# --- regression ------------------------------------------------------------------------------------------------------


def test_regression_losses_are_their_formulas():
    d = (PRED - TARGET).ravel()
    np.testing.assert_allclose(mg.mse(PRED, TARGET), np.mean(d**2))
    np.testing.assert_allclose(mg.l1(PRED, TARGET), np.mean(np.abs(d)))
    for delta in (0.3, 1, 5.0):
        wanted = np.mean([x * x / 2 if abs(x) <= delta else delta * (abs(x) - delta / 2) for x in d])
        np.testing.assert_allclose(mg.huber(PRED, TARGET, delta=delta), wanted)
        np.testing.assert_allclose(
            mg.grad(lambda p: mg.huber(p, TARGET, delta=delta))(PRED).ravel(),  # noqa: B023
            np.clip(d, -delta, delta) / d.size,
        )
    np.testing.assert_allclose(mg.grad(mg.mse)(PRED, TARGET).ravel(), 2 * d / d.size)
    np.testing.assert_allclose(mg.grad(mg.l1)(PRED, TARGET).ravel(), np.sign(d) / d.size)


def test_a_prediction_that_is_right_has_no_gradient():
    for loss in (mg.mse, mg.l1, mg.huber):
        np.testing.assert_array_equal(mg.grad(loss)(PRED, PRED), 0)


def test_targets_may_be_integers_or_a_number():
    pred = PRED.astype(np.float32)
    for loss in (mg.mse, mg.l1, mg.huber, mg.binary_cross_entropy_with_logits):
        for target in (1, 1.0, np.ones((3, 4), int), np.ones((3, 4), bool), np.ones((3, 4)).tolist()):
            found = loss(pred, target)
            np.testing.assert_allclose(found, loss(PRED, np.ones((3, 4))), rtol=1e-6)
    assert mg.mse(pred, np.ones((3, 4), int)).dtype == np.float32


# --- distributions ---------------------------------------------------------------------------------------------------


def test_kl_divergence_is_the_formula():
    np.testing.assert_allclose(mg.kl_divergence(SCORES, P), np.sum(rel_entr(P, softmax(SCORES, axis=1))) / 5)
    np.testing.assert_allclose(mg.kl_divergence(np.log(P), P), 0, atol=1e-16)
    np.testing.assert_allclose(mg.grad(mg.kl_divergence)(SCORES, P), (softmax(SCORES, axis=1) - P) / 5, atol=1e-15)


def test_kl_divergence_from_certainty_is_the_cross_entropy():
    certain = np.eye(4)[Y]
    np.testing.assert_allclose(mg.kl_divergence(SCORES, certain), mg.softmax_loss(SCORES, Y), rtol=1e-14)
    gradients = mg.grad(mg.kl_divergence, (0, 1))(SCORES, certain)
    assert all(np.isfinite(g).all() for g in gradients)
    check_derivatives(lambda s: mg.kl_divergence(s, certain), [SCORES])


def simclr_loop(left, right, tau):
    """As the course's naive loop has it."""
    out = np.concatenate([left, right])
    n, total = len(left), 0.0

    def sim(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    for k in range(n):
        for i, j in ((k, k + n), (k + n, k)):
            denominator = sum(np.exp(sim(out[i], out[m]) / tau) for m in range(2 * n) if m != i)
            total -= np.log(np.exp(sim(out[i], out[j]) / tau) / denominator)
    return total / (2 * n)


@pytest.mark.parametrize("tau", [0.07, 0.5, 5])
def test_nt_xent_is_the_courses(tau):
    np.testing.assert_allclose(mg.nt_xent(LEFT, RIGHT, tau=tau), simclr_loop(LEFT, RIGHT, tau), rtol=1e-12)


def test_nt_xent_does_not_see_lengths_nor_overflow():
    np.testing.assert_allclose(
        mg.nt_xent(1e4 * LEFT, 1e-4 * RIGHT, tau=1e-3), mg.nt_xent(LEFT, RIGHT, tau=1e-3), rtol=1e-12
    )
    gradient = mg.grad(lambda x: mg.nt_xent(x, RIGHT, tau=0.5))(LEFT)
    np.testing.assert_allclose(np.sum(gradient * LEFT, axis=1), 0, atol=1e-15)


def test_nt_xent_of_one_pair_and_of_zeros():
    np.testing.assert_allclose(mg.nt_xent(LEFT[:1], RIGHT[:1], tau=0.5), 0, atol=1e-15)
    left = np.concatenate([np.zeros((1, 3)), LEFT[1:]])
    out, gradients = gradients_of(lambda a, b: mg.nt_xent(a, b, tau=0.5), [left, RIGHT])
    assert np.isfinite(out) and all(np.isfinite(g).all() for g in gradients)


# --- generative adversarial networks ---------------------------------------------------------------------------------


def test_gan_losses_are_the_courses():
    real, fake = PRED, TARGET[0]

    def bce(x, t):
        """The notebook's stable form."""
        return np.mean(np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x))))

    np.testing.assert_allclose(mg.gan_discriminator_loss(real, fake), bce(real, 1) + bce(fake, 0), rtol=1e-14)
    np.testing.assert_allclose(mg.gan_generator_loss(fake), bce(fake, 1), rtol=1e-14)
    np.testing.assert_allclose(
        mg.lsgan_discriminator_loss(real, fake), 0.5 * np.mean((real - 1) ** 2) + 0.5 * np.mean(fake**2)
    )
    np.testing.assert_allclose(mg.lsgan_generator_loss(fake), 0.5 * np.mean((fake - 1) ** 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_scores_are_quiet_and_finite(dtype, size):
    x = np.array([[size, 0, 1], [0, size, -size]], dtype)
    targets, signs = np.array([[0, 1, 1], [0, 1, 1]]), np.array([[-1, 1, 1], [-1, 1, 1]])
    distributions = np.full((2, 3), 1 / 3, dtype)
    for f in (
        lambda x: mg.binary_cross_entropy_with_logits(x, targets),
        lambda x: mg.hinge(x, signs),
        lambda x: mg.kl_divergence(x, distributions),
        lambda x: mg.cross_entropy(x, targets[:, 0], smoothing=0.1, weights=[1, 2, 3]),
        lambda x: mg.temporal_softmax_loss(np.expand_dims(x, 0), targets[:1, :2], np.ones((1, 2), bool)),
        lambda x: mg.gan_discriminator_loss(x, -x),
        mg.gan_generator_loss,
        lambda x: mg.nt_xent(x, x, tau=0.01),
        lambda x: mg.huber(x, 0.0),
        lambda x: mg.l1(x, 0.0),
    ):
        value, g = mg.value_and_grad(f)(x)
        assert np.isfinite(value) and np.isfinite(g).all()
        assert value.dtype == g.dtype == dtype


# --- style transfer --------------------------------------------------------------------------------------------------


def gram_loop(features):
    n, c, h, w = features.shape
    gram = np.zeros((n, c, c))
    for i, a, b, y, x in np.ndindex(n, c, c, h, w):
        gram[i, a, b] += features[i, a, y, x] * features[i, b, y, x]
    return gram


def test_gram_matrix_is_the_courses():
    np.testing.assert_allclose(mg.gram_matrix(IMAGES, normalize=False), gram_loop(IMAGES), rtol=1e-13)
    np.testing.assert_allclose(mg.gram_matrix(IMAGES), gram_loop(IMAGES) / 60, rtol=1e-13)
    agrees(mg.gram_matrix, IMAGES)


def test_style_loss_is_the_courses():
    feats = [IMAGES, IMAGES[:, :, :2] + 1, IMAGES[:, :2]]
    targets = [rng.standard_normal((2, 2, 2)), GRAM]
    wanted = 5 * np.sum((gram_loop(feats[2]) / 40 - targets[0]) ** 2) + 2 * np.sum((gram_loop(IMAGES) / 60 - GRAM) ** 2)
    np.testing.assert_allclose(mg.style_loss(feats, [2, 0], targets, [5, 2]), wanted)
    by_name = {"conv1": feats[0], "conv3": feats[2]}
    np.testing.assert_allclose(mg.style_loss(by_name, ["conv3", "conv1"], targets, np.array([5, 2])), wanted)


def test_content_and_tv_loss_are_the_courses():
    np.testing.assert_allclose(mg.content_loss(6e-2, IMAGES, 0 * IMAGES), 6e-2 * np.sum(IMAGES**2))
    wanted = 0.0
    n, c, h, w = IMAGES.shape
    for i, k, y, x in np.ndindex(n, c, h, w):
        wanted += (IMAGES[i, k, y, x] - IMAGES[i, k, y - 1, x]) ** 2 if y else 0
        wanted += (IMAGES[i, k, y, x] - IMAGES[i, k, y, x - 1]) ** 2 if x else 0
    np.testing.assert_allclose(mg.tv_loss(IMAGES, 2e-2), 2e-2 * wanted)
    assert mg.tv_loss(np.full((1, 3, 4, 5), 7.0), 1.0) == 0 and mg.tv_loss(np.ones((1, 3, 1, 1)), 1.0) == 0


def test_numpy_numbers_as_weights_leave_float32():
    images = IMAGES.astype(np.float32)
    assert mg.tv_loss(images, np.float64(0.1)).dtype == np.float32
    assert mg.content_loss(np.float64(0.1), images, images + 1).dtype == np.float32
    assert mg.nt_xent(images[0, 0], images[1, 0], tau=np.float64(0.1)).dtype == np.float32


# --- what they refuse ------------------------------------------------------------------------------------------------

FULL = np.ones((3, 4), bool)
REFUSED = [
    (lambda: mg.mse(np.ones(3), np.ones((3, 1))), mg.ShapeError, r"mse: pred \(3,\) and target \(3, 1\).*did you mean"),
    (lambda: mg.l1(np.ones(3), np.ones(2)), mg.ShapeError, r"l1: pred \(3,\) and target \(2,\) came"),
    (lambda: mg.huber(np.ones(0), np.ones(0)), mg.ShapeError, r"huber: pred \(0,\) have no elements"),
    (lambda: mg.huber(PRED, TARGET, delta=0), mg.OptionError, "huber: delta=0.*positive"),
    (lambda: mg.mse(PRED * 1j, TARGET), mg.DTypeError, "mse: pred .* complex128"),
    (lambda: mg.mse(np.array(["a"]), np.ones(1)), mg.DTypeError, "mse: pred .* real numbers"),
    (lambda: mg.hinge(PRED, SIGNS > 0), mg.DataError, r"hinge: targets go from 0.0 to 1.0.*2 \* targets - 1"),
    (lambda: mg.binary_cross_entropy_with_logits(PRED, SIGNS), mg.DataError, "from -1.0 to 1.0.*from 0 to 1"),
    (lambda: mg.binary_cross_entropy_with_logits(PRED, SIGNS * np.nan), mg.DataError, "nan"),
    (lambda: mg.cross_entropy(SCORES, Y, smoothing=1.5), mg.OptionError, "cross_entropy: smoothing=1.5"),
    (lambda: mg.cross_entropy(SCORES, Y + 1, smoothing=0.1), mg.DataError, r"cross_entropy: label y\[1\] is 4"),
    (lambda: mg.cross_entropy(SCORES, Y[1:], weights=WEIGHTS), mg.ShapeError, r"cross_entropy: labels of shape \(4,\)"),
    (lambda: mg.cross_entropy(SCORES, Y, weights=np.ones(3)), mg.ShapeError, r"weights \(3,\).*expected \(4,\)"),
    (lambda: mg.cross_entropy(SCORES, Y, weights=-WEIGHTS), mg.DataError, "weights must not be negative"),
    (lambda: mg.cross_entropy(SCORES, 0 * Y + 3, weights=WEIGHTS), mg.DataError, "nor 0 for all"),
    (lambda: mg.kl_divergence(SCORES, 2 * P), mg.DataError, r"kl_divergence: p\[0\] has the sum 2.*softmax"),
    (lambda: mg.kl_divergence(SCORES[0], P[0]), mg.ShapeError, r"scores of shape \(4,\) came, and \(N, C\)"),
    (lambda: mg.nt_xent(LEFT, RIGHT, tau=0), mg.OptionError, "nt_xent: tau=0"),
    (lambda: mg.nt_xent(LEFT, RIGHT[:2], tau=1), mg.ShapeError, r"nt_xent: out_left \(4, 3\) and out_right \(2, 3\)"),
    (lambda: mg.nt_xent(LEFT[0], RIGHT[0], tau=1), mg.ShapeError, r"and \(N, D\) was expected: a row per image"),
    (lambda: mg.gan_generator_loss(np.ones((0, 1))), mg.ShapeError, "gan_generator_loss: logits_fake .* no elements"),
    (lambda: mg.gram_matrix(IMAGES[0]), mg.ShapeError, r"gram_matrix: features of shape .* \(N, C, H, W\)"),
    (lambda: mg.style_loss([IMAGES], [0], [GRAM[:1]], [1]), mg.ShapeError, r"style_loss: Gram matrix of layer 0 \(2"),
    (lambda: mg.style_loss([IMAGES], [0], [], [1]), mg.OptionError, "1 layers, 0 targets and 1 weights"),
    (lambda: mg.style_loss([IMAGES], [1], [GRAM], [1]), mg.OptionError, "no layer 1 among the 1 features"),
    (lambda: mg.style_loss([], [], [], []), mg.OptionError, "at least one"),
    (lambda: mg.tv_loss(IMAGES[0, 0], 1.0), mg.ShapeError, r"tv_loss: img of shape \(4, 5\)"),
    (lambda: mg.temporal_softmax_loss(SCORES, Y, FULL), mg.ShapeError, r"scores of shape \(5, 4\).*\(N, T, V\)"),
    (lambda: mg.temporal_softmax_loss(SEQUENCES, WORDS[0], MASK), mg.ShapeError, r"words y of shape \(4,\)"),
    (lambda: mg.temporal_softmax_loss(SEQUENCES, WORDS, MASK[:1]), mg.ShapeError, r"a mask of shape \(1, 4\)"),
    (lambda: mg.temporal_softmax_loss(SEQUENCES, WORDS, 1.0 * MASK), mg.DTypeError, "the mask is float64"),
    (lambda: mg.temporal_softmax_loss(SEQUENCES, 1.0 * WORDS, MASK), mg.DTypeError, "the words y are float64"),
    (lambda: mg.temporal_softmax_loss(SEQUENCES, WORDS + 5, FULL), mg.DataError, r"the word y\[0, 0\] is \d.* 0 to 4"),
    (lambda: mg.temporal_softmax_loss(SEQUENCES[:0], WORDS[:0], MASK[:0]), mg.ShapeError, "at least 1"),
]


@pytest.mark.parametrize("call, error, text", REFUSED, ids=[text for _, _, text in REFUSED])
def test_what_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_errors_name_the_layer():
    with pytest.raises(mg.ShapeError, match="mse in head:"), mg.scope("head"):
        mg.mse(np.ones(3), np.ones(2))
