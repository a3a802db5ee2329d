"""Losses beyond one label per sample: of sequences, regression, distributions, adversaries, styles.

All return one number, an array of shape () that keeps float32. Where a loss is an average, it is over the elements or
samples that the text names. Most are compositions of NumPy functions; targets may be differentiated too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..autodiff.fused import fused
from ..core.errors import DataError, DTypeError, OptionError, ShapeError
from ..core.explain import where
from ..core.tensor import value_of
from ..kernels import loss as kernels
from .activation import softplus
from .define import as_array
from .elementwise import relu
from .loss import check_labels, softmax_loss
from .special import log_softmax, logsumexp

# mg.huber is here; mg.ops.huber is the op of scipy.special.huber.
__all__ = [
    "binary_cross_entropy_with_logits",
    "content_loss",
    "cross_entropy",
    "gan_discriminator_loss",
    "gan_generator_loss",
    "gram_matrix",
    "hinge",
    "kl_divergence",
    "l1",
    "lsgan_discriminator_loss",
    "lsgan_generator_loss",
    "mse",
    "nt_xent",
    "style_loss",
    "temporal_softmax_loss",
    "temporal_softmax_loss_backward",
    "tv_loss",
]

# --- what came -------------------------------------------------------------------------------------------------------


def _numbers(name: str, what: str, x: Any, axes: str = "", wanted: str = "") -> Any:
    """Return x as an array or Tensor of real numbers with at least one element, with these axes if they are named."""
    x = as_array(x)
    if x.dtype.kind not in "fiub":
        raise DTypeError(f"{where(name)}: {what} {x.shape} are {x.dtype}, and real numbers were expected")
    if axes and len(x.shape) != axes.count(",") + 1:
        raise ShapeError(f"{where(name)}: {what} of shape {x.shape} came, and ({axes}) was expected{wanted}")
    if 0 in x.shape:
        raise ShapeError(f"{where(name)}: {what} {x.shape} have no elements, so there is nothing to average")
    return x


def _pair(name: str, first: str, x: Any, second: str, y: Any) -> tuple[Any, Any]:
    """Return two arrays, of one shape or the second a number.

    Python numbers, integers and booleans in the second take the dtype of floats in the first: they are exact in it, or
    have no precision of their own.
    """
    x, plain = _numbers(name, first, x), type(y) in (bool, int, float)
    y = as_array(y)
    if y.shape != x.shape and y.shape != ():
        hint = f"; did you mean {second}.reshape({x.shape})?" if math.prod(y.shape) == math.prod(x.shape) else ""
        raise ShapeError(
            f"{where(name)}: {first} {x.shape} and {second} {y.shape} came, and one shape for both was expected{hint}"
        )
    y = _numbers(name, second, y)
    return x, y.astype(x.dtype) if x.dtype.kind == "f" and (plain or y.dtype.kind in "iub") else y


def _positive(name: str, option: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise OptionError(f"{where(name)}: {option}={value!r} came, and a positive number was expected")
    return float(value)  # a Python number leaves float32 as it is


# --- classification --------------------------------------------------------------------------------------------------


def _temporal_softmax_loss_reference(x: Any, y: Any, mask: Any) -> Any:
    samples, steps, _ = x.shape
    chances = log_softmax(x, axis=2)
    right = chances[np.expand_dims(np.arange(samples), 1), np.arange(steps), np.where(mask, y, 0)]
    return -np.sum(np.where(mask, right, 0)) / samples


@fused(reference=_temporal_softmax_loss_reference, outputs=("loss", "highest", "total"), visible=1, kind="loss")
def temporal_softmax_loss(x, y, mask):
    """Softmax cross-entropy loss of sequences: summed over the steps that count, averaged over the samples.

    ``sum_{n, t: mask[n, t]} -log softmax(x[n, t])[y[n, t]] / N``, computed without overflow. (CS231n, assignment 3.)

    Parameters
    ----------
    x : array (N, T, V) of floats
        Score of each of V words at each step of each sequence.
    y : array (N, T) of integers
        The right words, from 0 to V - 1. Where the mask is false anything may stand.
    mask : array (N, T) of booleans
        Whether a step counts: false for what only fills the end of a shorter sequence.

    Returns
    -------
    float
        The loss in nats, an array of shape () and the scores' dtype.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or there are no samples or words.
    DataError
        If a word that counts is outside the vocabulary.
    DTypeError
        If the words are not integers, or the mask is not of booleans.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mask = np.array([[True, True, False]])
    >>> round(float(mg.temporal_softmax_loss(np.zeros((1, 3, 10)), np.array([[4, 2, 0]]), mask)), 6)
    4.60517
    """
    x, words = _check_temporal(x, y, mask)
    return kernels.softmax_forward(x.reshape(-1, x.shape[2]), words, len(x))


@temporal_softmax_loss.backward
def temporal_softmax_loss_backward(g, x, y, mask, highest, total, *, wants):
    """(softmax(x) - one_hot(y)) * mask * g / N."""
    x, words = _check_temporal(x, y, mask)
    return kernels.softmax_backward(g, x.reshape(-1, x.shape[2]), words, highest, total, len(x)).reshape(x.shape)


def _check_temporal(x: Any, y: Any, mask: Any) -> tuple[Any, Any]:
    """Return scores, and words one after the other; those that do not count are -1."""
    name = where("temporal_softmax_loss")
    x, y, mask = np.asarray(x), np.asarray(y), np.asarray(mask)
    if x.ndim != 3 or not len(x) or not x.shape[2]:
        raise ShapeError(f"{name}: scores of shape {x.shape} came, and (N, T, V) was expected with N and V at least 1")
    for what, array in (("words y", y), ("a mask", mask)):
        if array.shape != x.shape[:2]:
            raise ShapeError(f"{name}: {what} of shape {array.shape} came for scores {x.shape}; expected {x.shape[:2]}")
    if y.dtype.kind not in "iu":
        raise DTypeError(f"{name}: the words y are {y.dtype}, and must be integers; use y.astype(int)")
    if mask.dtype != bool:
        raise DTypeError(f"{name}: the mask is {mask.dtype}, and must be of booleans; use mask.astype(bool)")
    wrong = mask & ((y < 0) | (y >= x.shape[2]))
    if wrong.any():
        i, t = (int(place[0]) for place in np.nonzero(wrong))
        raise DataError(
            f"{name}: the word y[{i}, {t}] is {y[i, t]}, and scores {x.shape} have the words 0 to {x.shape[2] - 1}; "
            f"count words from 0, or make the mask false where there is none"
        )
    return x, np.where(mask, y.astype(np.int64), -1).reshape(-1)


def cross_entropy(scores: Any, y: Any, *, smoothing: float = 0.0, weights: Any = None) -> Any:
    """Softmax cross-entropy loss with label smoothing and class weights; without them it is ``softmax_loss``.

    ``sum_i sum_c weights[c] * q[i, c] * -log softmax(scores[i])[c] / sum_i weights[y[i]]``, with the smoothed target
    ``q[i, c] = (1 - smoothing) * (c == y[i]) + smoothing / C``. (Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, 2015,
    arXiv:1512.00567, section 7; the weighted average as in PyTorch.)

    Parameters
    ----------
    scores : array (N, C) of floats
        Score of each class for each sample.
    y : array (N,) of integers
        The right class of each sample, from 0 to C - 1.
    smoothing : float
        How much of the target is spread evenly over all classes, from 0 to 1.
    weights : array (C,), optional
        How much each class counts; 1 when left out.

    Returns
    -------
    float
        The loss in nats, an array of shape ().

    Raises
    ------
    ShapeError
        If the scores are not (N, C), the labels not (N,), the weights not (C,), or N is 0.
    DataError
        If a label is outside the classes, a weight is negative, or the classes that came all weigh 0.
    DTypeError
        If the labels are not integers.
    OptionError
        If the smoothing is not from 0 to 1.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> scores, y = np.array([[2.0, 0.0], [2.0, 0.0]]), np.array([0, 1])
    >>> round(float(mg.cross_entropy(scores, y, smoothing=1.0)), 4)  # half of each class, for both samples
    1.1269
    >>> round(float(mg.cross_entropy(scores, y, weights=[1.0, 3.0])), 4)  # (0.1269 + 3 * 2.1269) / 4
    1.6269
    """
    if not 0 <= smoothing <= 1:
        raise OptionError(f"{where('cross_entropy')}: smoothing={smoothing!r} came; it is a share, from 0 to 1")
    if smoothing == 0 and weights is None:
        return softmax_loss(scores, y)
    scores, y, smoothing = as_array(scores), np.asarray(value_of(y)), float(smoothing)
    check_labels("cross_entropy", value_of(scores), y)
    chances = log_softmax(scores, axis=1)
    right = chances[np.arange(len(y)), y]
    if weights is None:
        return -(1 - smoothing) * np.mean(right) - smoothing * np.mean(chances)
    weights = _class_weights(weights, scores, y)
    chosen = weights[y]
    total = (1 - smoothing) * np.sum(chosen * right)
    if smoothing:
        total = total + smoothing / scores.shape[1] * np.sum(np.matmul(chances, weights))
    return -total / np.sum(chosen)


def _class_weights(weights: Any, scores: Any, y: Any) -> Any:
    name, weights = where("cross_entropy"), as_array(weights)
    if weights.shape != scores.shape[1:]:
        raise ShapeError(
            f"{name}: weights {weights.shape} came for scores {scores.shape}; expected {scores.shape[1:]}: one a class"
        )
    values = np.asarray(value_of(weights))
    if not (values >= 0).all() or not values[y].any():
        raise DataError(
            f"{name}: class weights must not be negative, nor 0 for all the classes that came; they go from "
            f"{values.min()} to {values.max()}"
        )
    return weights.astype(scores.dtype) if scores.dtype.kind == "f" else weights


def binary_cross_entropy_with_logits(logits: Any, targets: Any) -> Any:
    """Binary cross-entropy loss of sigmoid scores, averaged over all elements.

    ``mean(-t * log(sigmoid(x)) - (1 - t) * log(1 - sigmoid(x)))``, computed as ``softplus(x) - x * t``, which neither
    overflows nor cancels. (CS231n, assignment 3, ``bce_loss``.)

    Parameters
    ----------
    logits : array of any shape
    targets : array of the same shape, or a number
        From 0 to 1: labels or probabilities.

    Returns
    -------
    float
        The loss in nats, an array of shape ().

    Raises
    ------
    ShapeError
        If the shapes differ, or there are no elements.
    DataError
        If a target is not from 0 to 1.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> round(float(mg.binary_cross_entropy_with_logits(np.array([0.0, 1e4]), np.array([0, 1]))), 6)
    0.346574
    """
    name = "binary_cross_entropy_with_logits"
    logits, targets = _pair(name, "logits", logits, "targets", targets)
    values = value_of(targets)
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError(
            f"{where(name)}: targets go from {values.min()} to {values.max()}, and numbers from 0 to 1 were expected; "
            f"of labels -1 and 1 take (targets + 1) / 2"
        )
    return np.mean(softplus(logits) - logits * targets)


def hinge(scores: Any, targets: Any) -> Any:
    """Binary hinge loss with margin 1, averaged over all elements: ``mean(max(0, 1 - t * s))``.

    (Cortes and Vapnik, Support-vector networks, 1995.) For more than two classes see ``svm_loss``.

    Parameters
    ----------
    scores : array of any shape
    targets : array of the same shape
        -1 or 1.

    Returns
    -------
    float
        An array of shape ().

    Raises
    ------
    ShapeError
        If the shapes differ, or there are no elements.
    DataError
        If a target is neither -1 nor 1.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.hinge(np.array([2.0, 0.5, 0.5]), np.array([1, 1, -1]))
    np.float64(0.6666666666666666)
    """
    scores, targets = _pair("hinge", "scores", scores, "targets", targets)
    values = value_of(targets)
    if not (np.abs(values) == 1).all():
        raise DataError(
            f"{where('hinge')}: targets go from {values.min()} to {values.max()}, and -1 and 1 were expected; of "
            f"labels 0 and 1 take 2 * targets - 1"
        )
    return np.mean(relu(1 - targets * scores))


# --- regression ------------------------------------------------------------------------------------------------------


def mse(pred: Any, target: Any) -> Any:
    """Mean squared error over all elements: ``mean((pred - target)**2)``.

    Parameters
    ----------
    pred : array of any shape
    target : array of the same shape, or a number

    Returns
    -------
    float
        An array of shape ().

    Raises
    ------
    ShapeError
        If the shapes differ, though they may broadcast: (N,) against (N, 1) is hardly ever meant. If there are no
        elements.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.mse(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(2.0)
    """
    pred, target = _pair("mse", "pred", pred, "target", target)
    return np.mean(np.square(pred - target))


def l1(pred: Any, target: Any) -> Any:
    """Mean absolute error over all elements: ``mean(abs(pred - target))``. Where both are equal the gradient is 0.

    Parameters, result and errors are those of :func:`mse`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.l1(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(1.0)
    """
    pred, target = _pair("l1", "pred", pred, "target", target)
    return np.mean(np.abs(pred - target))


def huber(pred: Any, target: Any, *, delta: float = 1.0) -> Any:
    """Huber loss, averaged over all elements: squared error near 0, absolute error far from it.

    ``d**2 / 2`` where ``|d| <= delta``, else ``delta * (|d| - delta / 2)``, with ``d = pred - target``. (Huber, Robust
    estimation of a location parameter, 1964.)

    Parameters, result and errors are those of :func:`mse`, and

    delta : float
        Where the parabola goes over into straight lines; a positive number, or an OptionError is raised.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.huber(np.array([1.0, 5.0]), np.array([0.0, 0.0]))
    np.float64(2.5)
    """
    delta = _positive("huber", "delta", delta)
    pred, target = _pair("huber", "pred", pred, "target", target)
    d = pred - target
    near = np.clip(d, -delta, delta)
    return np.mean(near * (d - 0.5 * near))


# --- distributions ---------------------------------------------------------------------------------------------------


def kl_divergence(scores: Any, p: Any) -> Any:
    """Kullback-Leibler divergence from the softmax of scores to target distributions p, averaged over the samples.

    ``mean_i sum_c p[i, c] * (log p[i, c] - log softmax(scores[i])[c])``, where a p of 0 adds nothing. Logarithms of
    probabilities are scores too. (Kullback and Leibler, On information and sufficiency, 1951.)

    Parameters
    ----------
    scores : array (N, C)
    p : array (N, C)
        Each row a distribution: not negative, with sum 1.

    Returns
    -------
    float
        The divergence in nats, an array of shape (). It is 0 where the distributions are equal, else positive.

    Raises
    ------
    ShapeError
        If the shapes differ or are not (N, C), or N or C is 0.
    DataError
        If a row of p is no distribution.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> round(float(mg.kl_divergence(np.zeros((1, 4)), np.array([[0.5, 0.5, 0.0, 0.0]]))), 6)
    0.693147
    """
    scores, p = _pair("kl_divergence", "scores", scores, "p", p)
    _numbers("kl_divergence", "scores", scores, "N, C")
    values = value_of(p)
    sums = values.sum(axis=-1)
    wrong = (values < 0).any(axis=-1) | ~(np.abs(sums - 1) < 100 * np.finfo(p.dtype).eps ** 0.75)
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{where('kl_divergence')}: p[{i}] has the sum {sums[i]} and the smallest element {values[i].min()}, and a "
            f"distribution was expected; make one with mg.ops.softmax(p, axis=1)"
        )
    own = p * np.log(np.where(p > 0, p, 1))
    return np.sum(own - p * log_softmax(scores, axis=1)) / scores.shape[0]


def nt_xent(out_left: Any, out_right: Any, *, tau: float) -> Any:
    """Normalised temperature-scaled cross-entropy of SimCLR: two views of one image should be each other's nearest.

    For each of the 2N embeddings, with ``sim`` the cosine of the angle between two of them,
    ``-log(exp(sim(i, partner) / tau) / sum_{k != i} exp(sim(i, k) / tau))``; the mean of these. (Chen, Kornblith,
    Norouzi and Hinton, 2020, arXiv:2002.05709; CS231n, ``simclr_loss_vectorized``.) An embedding of zeros has cosine 0
    with all others.

    Parameters
    ----------
    out_left, out_right : arrays (N, D)
        Embeddings of the two views; row i of one belongs to row i of the other.
    tau : float
        Temperature, positive.

    Returns
    -------
    float
        The loss in nats, an array of shape ().

    Raises
    ------
    ShapeError
        If the shapes differ or are not (N, D), or N or D is 0.
    OptionError
        If tau is not positive.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> round(float(mg.nt_xent(np.eye(2), np.eye(2), tau=1.0)), 6)  # log(e + 2) - 1
    0.551445
    """
    tau = _positive("nt_xent", "tau", tau)
    out_left, out_right = _pair("nt_xent", "out_left", out_left, "out_right", out_right)
    _numbers("nt_xent", "out_left", out_left, "N, D", ": a row per image")
    left, right = _unit_rows(out_left), _unit_rows(out_right)
    both = np.concatenate([left, right])
    itself = np.eye(both.shape[0], dtype=bool)
    others = np.where(itself, -np.inf, np.matmul(both, both.T) / tau)
    return np.mean(logsumexp(others, axis=1)) - np.mean(np.sum(left * right, axis=1)) / tau


def _unit_rows(x: Any) -> Any:
    """Divide each row by its length; a row of zeros stays as it is."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


# --- generative adversarial networks ---------------------------------------------------------------------------------


def gan_discriminator_loss(logits_real: Any, logits_fake: Any) -> Any:
    """Loss of a GAN's discriminator: binary cross-entropy of real images against 1, plus that of fake ones against 0.

    ``-mean(log(sigmoid(real))) - mean(log(1 - sigmoid(fake)))``, without overflow. (Goodfellow and others, 2014,
    arXiv:1406.2661; CS231n, ``discriminator_loss``.)

    Parameters
    ----------
    logits_real, logits_fake : arrays of any shapes
        Scores that the discriminator gives to real images, and to those of the generator.

    Returns
    -------
    float
        An array of shape ().

    Raises
    ------
    ShapeError
        If one has no elements.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> round(float(mg.gan_discriminator_loss(np.zeros(3), np.zeros(3))), 6)  # 2 * log(2)
    1.386294
    """
    real = _numbers("gan_discriminator_loss", "logits_real", logits_real)
    fake = _numbers("gan_discriminator_loss", "logits_fake", logits_fake)
    return np.mean(softplus(-real)) + np.mean(softplus(fake))


def gan_generator_loss(logits_fake: Any) -> Any:
    """Loss of a GAN's generator: binary cross-entropy of fake images against 1, ``-mean(log(sigmoid(fake)))``.

    (The form that does not saturate; Goodfellow and others, 2014, arXiv:1406.2661; CS231n, ``generator_loss``.)
    Parameters, result and errors are those of :func:`gan_discriminator_loss`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.gan_generator_loss(np.array([-1e4, 1e4]))
    np.float64(5000.0)
    """
    return np.mean(softplus(-_numbers("gan_generator_loss", "logits_fake", logits_fake)))


def lsgan_discriminator_loss(scores_real: Any, scores_fake: Any) -> Any:
    """Least-squares loss of a GAN's discriminator: ``mean((real - 1)**2) / 2 + mean(fake**2) / 2``.

    (Mao and others, 2016, arXiv:1611.04076; CS231n, ``ls_discriminator_loss``.)
    Parameters, result and errors are those of :func:`gan_discriminator_loss`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.lsgan_discriminator_loss(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    np.float64(1.5)
    """
    real = _numbers("lsgan_discriminator_loss", "scores_real", scores_real)
    fake = _numbers("lsgan_discriminator_loss", "scores_fake", scores_fake)
    return 0.5 * np.mean(np.square(real - 1)) + 0.5 * np.mean(np.square(fake))


def lsgan_generator_loss(scores_fake: Any) -> Any:
    """Least-squares loss of a GAN's generator: ``mean((fake - 1)**2) / 2``.

    (Mao and others, 2016, arXiv:1611.04076; CS231n, ``ls_generator_loss``.)
    Parameters, result and errors are those of :func:`gan_discriminator_loss`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.lsgan_generator_loss(np.array([1.0, 3.0]))
    np.float64(1.0)
    """
    return 0.5 * np.mean(np.square(_numbers("lsgan_generator_loss", "scores_fake", scores_fake) - 1))


# --- style transfer --------------------------------------------------------------------------------------------------


def content_loss(content_weight: float, current: Any, original: Any) -> Any:
    """Content loss of style transfer: ``content_weight * sum((current - original)**2)``.

    (Gatys, Ecker and Bethge, 2015, arXiv:1508.06576; CS231n, assignment 3.)

    Parameters
    ----------
    content_weight : float
    current, original : arrays of one shape, as (1, C, H, W)
        Features of the image that is made, and of the one whose content it should have.

    Returns
    -------
    float
        An array of shape ().

    Raises
    ------
    ShapeError
        If the shapes differ, or there are no elements.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.content_loss(0.5, np.ones((1, 2, 2, 2)), np.zeros((1, 2, 2, 2)))
    np.float64(4.0)
    """
    current, original = _pair("content_loss", "current", current, "original", original)
    return _weight(content_weight) * np.sum(np.square(current - original))


def gram_matrix(features: Any, normalize: bool = True) -> Any:
    """Gram matrix of features: how much the channels occur together, wherever in the image.

    ``G[n, c, d] = sum_{h, w} F[n, c, h, w] * F[n, d, h, w]``. (Gatys, Ecker and Bethge, 2015, arXiv:1508.06576;
    CS231n, assignment 3.)

    Parameters
    ----------
    features : array (N, C, H, W)
    normalize : bool
        Whether to divide by ``C * H * W``.

    Returns
    -------
    array (N, C, C)

    Raises
    ------
    ShapeError
        If the features are not (N, C, H, W), or there are none.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.gram_matrix(np.array([[[[1.0, 2.0]], [[0.0, 3.0]]]]), normalize=False)
    array([[[5., 6.],
            [6., 9.]]])
    """
    features = _numbers("gram_matrix", "features", features, "N, C, H, W")
    n, c, h, w = features.shape
    rows = np.reshape(features, (n, c, h * w))
    gram = np.matmul(rows, np.swapaxes(rows, 1, 2))
    return gram / (c * h * w) if normalize else gram


def style_loss(
    feats: Sequence[Any], style_layers: Sequence[int], style_targets: Sequence[Any], style_weights: Sequence[float]
) -> Any:
    """Style loss of style transfer: how far the Gram matrices of some layers are from their targets.

    ``sum_i style_weights[i] * sum((gram_matrix(feats[style_layers[i]]) - style_targets[i])**2)``. (Gatys, Ecker and
    Bethge, 2015, arXiv:1508.06576; CS231n, assignment 3.)

    Parameters
    ----------
    feats : sequence of arrays (1, C, H, W), or mapping to them
        Features of each layer for the image that is made.
    style_layers : sequence of int
        The layers that count; keys of the mapping.
    style_targets : sequence of arrays (1, C, C)
        The Gram matrix that the style image has in each of these layers.
    style_weights : sequence of float

    Returns
    -------
    float
        An array of shape ().

    Raises
    ------
    OptionError
        If there are not as many targets and weights as layers, no layers at all, or no such layer.
    ShapeError
        If the features are not (N, C, H, W), or a target has not the shape of the Gram matrix.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> feats = [np.ones((1, 2, 3, 3)), np.ones((1, 1, 2, 2))]
    >>> mg.style_loss(feats, [1], [np.zeros((1, 1, 1))], [10.0])
    np.float64(10.0)
    """
    name = where("style_loss")
    if not len(style_layers) == len(style_targets) == len(style_weights) > 0:
        raise OptionError(
            f"{name}: {len(style_layers)} layers, {len(style_targets)} targets and {len(style_weights)} weights came, "
            f"and as many of each were expected, at least one"
        )
    known = feats if isinstance(feats, Mapping) else range(-len(feats), len(feats))
    loss: Any = 0.0
    for layer, target, weight in zip(style_layers, style_targets, style_weights):
        if layer not in known:
            raise OptionError(f"{name}: there is no layer {layer!r} among the {len(feats)} features")
        gram, target = _pair("style_loss", f"Gram matrix of layer {layer}", gram_matrix(feats[layer]), "target", target)
        loss = loss + _weight(weight) * np.sum(np.square(gram - target))
    return loss


def tv_loss(img: Any, tv_weight: float) -> Any:
    """Total variation of images, squared: the sum of squared differences between neighbours, times a weight.

    ``tv_weight * (sum((x[..., 1:, :] - x[..., :-1, :])**2) + sum((x[..., 1:] - x[..., :-1])**2))``. (CS231n, assignment
    3; Mahendran and Vedaldi, 2014, arXiv:1412.0035, with beta = 2.)

    Parameters
    ----------
    img : array (N, C, H, W)
    tv_weight : float

    Returns
    -------
    float
        An array of shape ().

    Raises
    ------
    ShapeError
        If the images are not (N, C, H, W), or there are none.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.tv_loss(np.array([[[[0.0, 1.0], [0.0, 3.0]]]]), 0.5)  # (0 + 4 + 1 + 9) / 2
    np.float64(7.0)
    """
    img = _numbers("tv_loss", "img", img, "N, C, H, W")
    down = img[:, :, 1:, :] - img[:, :, :-1, :]
    across = img[:, :, :, 1:] - img[:, :, :, :-1]
    return _weight(tv_weight) * (np.sum(np.square(down)) + np.sum(np.square(across)))


def _weight(weight: Any) -> Any:
    """Return a NumPy number as one of Python, which leaves float32 as it is."""
    return float(weight) if isinstance(weight, (int, np.number)) else weight
