"""Dropout. The random numbers come from a generator that is given, so that a run can be repeated."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DTypeError, OptionError, ShapeError
from ..core.explain import where
from ..core.guard import refuse_draws
from ..core.primitive import primitive
from ..kernels import dropout as kernels

__all__ = ["drop", "dropout", "dropout_mask"]


@primitive(linear="jointly")
def drop(x, mask, *, p):
    """Keep the elements where a mask is true, divided by p, and put 0 in place of the others: ``x * mask / p``.

    Parameters
    ----------
    x : array of any shape
    mask : array of booleans
        Of the shape of x, or one that broadcasts to it: (N, C, 1, 1) drops whole channels.
    p : float
        The probability of KEEPING with which the mask was drawn.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OptionError
        If p is not above 0 and at most 1.
    DTypeError
        If the mask is not of booleans.
    ShapeError
        If the mask does not broadcast to x.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.drop(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), p=0.5)
    array([2., 0., 6.])
    """
    _check_p("dropout", p)
    x, mask = np.asarray(x), np.asarray(mask)
    if mask.dtype != bool:
        raise DTypeError(
            f"{where('dropout')}: the mask is {mask.dtype}, and booleans were expected (true is kept); use "
            f"mask.astype(bool). The division by p={p} is done here"
        )
    if not _broadcasts_to(mask.shape, x.shape):
        raise ShapeError(
            f"{where('dropout')}: a mask of shape {mask.shape} came for x {x.shape}; give it the shape of x, or sizes "
            f"of 1 along the axes that are dropped together"
        )
    return kernels.drop(x, mask, 1 / float(p))


drop.vjp(x=lambda g, mask, p: drop(g, mask, p=p), mask=None)


def _broadcasts_to(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    return len(shape) <= len(target) and all(a in (1, b) for a, b in zip(shape[::-1], target[::-1]))


def _check_p(name: str, p: float) -> None:
    if not 0 < p <= 1:
        raise OptionError(
            f"{where(name)}: p={p!r} came; p is the probability of KEEPING an element, above 0 and at most 1 (to drop "
            f"30% of them, p=0.7)"
        )


@primitive(differentiable=False)
def _draw_mask(x, *, rng, shape, p):
    """Draw a mask while x is computed with: an entry of a captured program, which draws a new one each time it runs."""
    return rng.random(shape) < p


def dropout_mask(shape: tuple[int, ...], rng: Any, *, p: float, like: Any = None) -> Any:
    """Draw a mask for :func:`dropout`: true with probability p, for each element on its own.

    Parameters
    ----------
    shape : tuple of int
    rng : numpy.random.Generator or numpy.random.RandomState
        Each call draws on from where the last one stopped. ``np.random`` itself is NumPy's global state, and then the
        mask is ``np.random.rand(*shape) < p``.
    p : float
        The probability of KEEPING an element.
    like : array, optional
        What the mask is for. Where this is being recorded, the draw is recorded too, so that a compiled program draws.

    Returns
    -------
    array of booleans

    Raises
    ------
    OptionError
        If p is not above 0 and at most 1, or `rng` is no generator.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mask = mg.ops.dropout_mask((1000,), np.random.default_rng(0), p=0.9)
    >>> 880 < mask.sum() < 920
    np.True_
    """
    _check_p("dropout", p)
    if not callable(getattr(rng, "random", None)):
        raise OptionError(
            f"{where('dropout')}: {rng!r} came in place of a generator; make one once, as np.random.default_rng(seed), "
            f"and give it to every call (a seed would draw the same mask each time)"
        )
    refuse_draws("dropout")
    return _draw_mask(like, rng=rng, shape=tuple(shape), p=float(p)) if like is not None else rng.random(shape) < p


def dropout(x: Any, source: Any, *, p: float) -> Any:
    """Inverted dropout: keep each element with probability p, divided by p, and put 0 in place of the others.

    The mean stays what it was, so at test time nothing is to be done: do not call it then. (Srivastava, Hinton,
    Krizhevsky, Sutskever and Salakhutdinov, JMLR 15, 2014; CS231n, neural networks notes.)

    Parameters
    ----------
    x : array of any shape
    source : generator, or array of booleans
        A ``numpy.random.Generator`` or ``RandomState`` to draw the mask from (see :func:`dropout_mask`), or the mask
        itself: of the shape of x, or one that broadcasts to it.
    p : float
        The probability of KEEPING an element, as in the course; many libraries take that of dropping.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    OptionError
        If p is not above 0 and at most 1, or `source` is neither a generator nor an array.
    DTypeError, ShapeError
        If a mask came that is not of booleans, or does not fit.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.dropout(np.ones(4), np.array([True, True, False, True]), p=0.5)
    array([2., 2., 0., 2.])
    >>> out = mg.dropout(np.ones((100, 100)), np.random.default_rng(0), p=0.8)
    >>> round(float(out.mean()), 1)
    1.0
    """
    if hasattr(source, "dtype") or isinstance(source, (list, tuple)):
        return drop(x, source, p=p)
    return drop(x, dropout_mask(np.shape(x), source, p=p, like=x), p=p)
