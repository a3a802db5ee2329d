"""The course's ``gradient_check.py``: gradients by central differences, to hold others against.

They are meant for float64: in float32 a step of 1e-5 is lost in rounding.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.errors import DTypeError, ShapeError

__all__ = [
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "eval_numerical_gradient_blobs",
    "eval_numerical_gradient_net",
    "grad_check_sparse",
    "rel_error",
]


def eval_numerical_gradient(f: Callable[[Any], Any], x: Any, verbose: bool = True, h: float = 1e-5) -> Any:
    """Gradient of a function that returns one number, by central differences.

    Parameters
    ----------
    f : callable
        It may look at `x` itself instead of its argument: the steps are made in place, and taken back, also when `f`
        raises.
    x : array of floats
    verbose : bool
        Print the index and the derivative of each entry.
    h : float
        The step.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    DTypeError
        If x is not an array of floats.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.cs231n import eval_numerical_gradient
    >>> eval_numerical_gradient(lambda x: np.sum(x**2), np.array([1.0, 2.0]), verbose=False).round(6)
    array([2., 4.])
    """
    gradient = np.zeros_like(_steppable(x))
    for index in np.ndindex(x.shape):
        right, left = _both_sides(lambda: f(x), x, index, h)
        gradient[index] = (right - left) / (2 * h)
        if verbose:
            print(index, gradient[index])
    return gradient


def eval_numerical_gradient_array(f: Callable[[Any], Any], x: Any, df: Any, h: float = 1e-5) -> Any:
    """Gradient of ``sum(f(x) * df)`` by central differences, for a function that returns an array.

    Parameters
    ----------
    f : callable
    x : array of floats
        Changed in place for each step, and restored, also when `f` raises.
    df : array of the shape of ``f(x)``, or a number
        The gradient that comes from above.
    h : float
        The step.

    Returns
    -------
    array of the shape of x

    Raises
    ------
    DTypeError
        If x is not an array of floats.
    ShapeError
        If `df` is an array of another shape.
    """
    gradient = np.zeros_like(_steppable(x))
    for index in np.ndindex(x.shape):
        right, left = _both_sides(lambda: f(x), x, index, h)
        gradient[index] = _weighted(right - left, df) / (2 * h)
    return gradient


def eval_numerical_gradient_blobs(
    f: Callable[..., Any], inputs: Sequence[Any], output: Any, h: float = 1e-5
) -> list[Any]:
    """Gradients by central differences for a function that writes into a blob.

    Parameters
    ----------
    f : callable
        ``f(*inputs, output)`` reads the inputs' ``vals``, and writes the output's.
    inputs : sequence of objects with arrays ``vals`` and ``diffs``
    output : object with arrays ``vals`` and ``diffs``
        The ``diffs`` are the gradient that comes from above.
    h : float

    Returns
    -------
    list of arrays
        One per input.
    """

    def run() -> Any:
        f(*inputs, output)
        return output.vals

    gradients = []
    for blob in inputs:
        gradient = np.zeros_like(blob.diffs)
        for index in np.ndindex(_steppable(blob.vals).shape):
            right, left = _both_sides(run, blob.vals, index, h)
            gradient[index] = _weighted(right - left, output.diffs) / (2 * h)
        gradients.append(gradient)
    return gradients


def eval_numerical_gradient_net(net: Any, inputs: Sequence[Any], output: Any, h: float = 1e-5) -> list[Any]:
    """Gradients by central differences for a net whose ``forward()`` goes from the inputs' blobs to the output's."""
    return eval_numerical_gradient_blobs(lambda *blobs: net.forward(), inputs, output, h=h)


def grad_check_sparse(
    f: Callable[[Any], Any], x: Any, analytic_grad: Any, num_checks: int = 10, h: float = 1e-5
) -> None:
    """Compare a gradient with central differences at a few random entries, and print both and their relative error.

    The entries are drawn from Python's ``random``.
    """
    if np.shape(analytic_grad) != _steppable(x).shape:
        raise ShapeError(f"grad_check_sparse: the gradient has shape {np.shape(analytic_grad)}, and x {x.shape}")
    for _ in range(num_checks):
        index = tuple(random.randrange(size) for size in x.shape)
        right, left = _both_sides(lambda: f(x), x, index, h)
        numerical, analytic = (right - left) / (2 * h), analytic_grad[index]
        total = abs(numerical) + abs(analytic)
        error = abs(numerical - analytic) / total if total else 0.0
        print(f"numerical: {numerical:f} analytic: {analytic:f}, relative error: {error:e}")


def rel_error(x: Any, y: Any) -> Any:
    """Largest relative error: ``max(|x - y| / max(1e-8, |x| + |y|))``.

    Raises
    ------
    ShapeError
        If both are arrays, of different shapes: after broadcasting the number would mean nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.cs231n import rel_error
    >>> rel_error(np.array([1.0, 0.0]), np.array([3.0, 0.0]))
    np.float64(0.5)
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.shape != y.shape and x.shape and y.shape:
        raise ShapeError(f"rel_error: arrays of shapes {x.shape} and {y.shape} came; make the shapes equal")
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)), initial=0.0)


def _steppable(x: Any) -> Any:
    """Return x if steps can be made in it."""
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        kind = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise DTypeError(
            f"a numerical gradient makes small steps in an array of floats, and {kind} came; use np.array(x, float)"
        )
    return x


def _both_sides(f: Callable[[], Any], x: Any, index: tuple[int, ...], h: float) -> tuple[Any, Any]:
    """Return what f gives with an entry of x raised by h and lowered by h; the entry is what it was afterwards."""
    value = x[index]
    try:
        x[index] = value + h
        right = np.array(f())  # a copy: f may return x itself, or write its result into the same place again
        x[index] = value - h
        left = np.array(f())
    finally:
        x[index] = value
    return right, left


def _weighted(difference: Any, df: Any) -> Any:
    if np.shape(df) not in ((), difference.shape):
        raise ShapeError(
            f"a numerical gradient: df has shape {np.shape(df)}, and the function returns shape {difference.shape}; "
            f"make them equal"
        )
    return np.sum(difference * df)
