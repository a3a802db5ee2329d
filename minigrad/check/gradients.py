"""Checking gradients against finite differences, to any order and in both modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autodiff.forward import jvp
from ..autodiff.reverse import vjp
from ..core.errors import GradientError, OptionError, did_you_mean
from ..core.tree import flatten, path_name
from .diagnosis import diagnose

__all__ = ["check_grads"]

MODES = {"fwd": "forward", "rev": "reverse"}


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("fwd", "rev"),
    *,
    seed: int = 0,
    rtol: float | None = None,
) -> None:
    """Compare the derivatives of a function with finite differences; return quietly if they agree.

    The result is weighted with random numbers, and differentiated along a random direction of each argument: by
    minigrad in each mode, and by central differences in double precision. For higher orders the first derivative
    itself is checked in the same way.

    Parameters
    ----------
    f : callable
        A function of arrays or containers of arrays, written with NumPy.
    args : sequence
        Its arguments. Arrays of floats are checked; integers, masks and other things are passed on.
    order : int
        The highest order of derivative to check.
    modes : sequence of str
        ``"fwd"`` and ``"rev"``.
    seed : int
        Of the random weights and directions, so that a failure can be repeated.
    rtol : float, optional
        Tolerance relative to the size of the derivative; by the dtype of the arguments when left out.

    Raises
    ------
    GradientError
        If they differ. The text says which argument and which entry, gives both numbers, and names the mistake when it
        looks like one that is known: a factor, a transposition, a sum over the wrong axis, a missing term, a zero, a
        kink within the step, or too little precision.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.check_grads(np.tanh, (np.array([0.5, -1.0]),))
    >>> @mg.primitive
    ... def double(x):
    ...     return 2.0 * x
    >>> double.vjp(x=lambda g: g)
    >>> mg.check_grads(double, (np.array([1.0, 2.0]),))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    minigrad.core.errors.GradientError: order 1, forward mode, argument 0: ...it is 0.5 times the right one...
    """
    for mode in modes:
        if mode not in MODES:
            raise OptionError(f'check_grads: unknown mode "{mode}"{did_you_mean(mode, MODES)} (it is "fwd" or "rev")')
    if not isinstance(args, (tuple, list)):
        raise OptionError("check_grads takes the arguments as a tuple: mg.check_grads(f, (x,))")
    leaves, tree = flatten(tuple(args))
    places = [i for i, leaf in enumerate(leaves) if _is_float(leaf)]
    if not places:
        raise OptionError("check_grads: none of the arguments is a floating-point array or a float")

    def run(*chosen: Any) -> list[Any]:
        full = list(leaves)
        for place, x in zip(places, chosen):
            full[place] = x
        out, _ = flatten(f(*tree.unflatten(full)))
        out = [np.asarray(y) if isinstance(y, float) else y for y in out]
        return [y for y in out if getattr(y, "dtype", np.dtype(object)).kind in "fc"]

    names = [_name(tree.paths[place]) for place in places]
    primals = [np.asarray(leaves[place]) for place in places]
    if not run(*primals):
        raise OptionError("check_grads: the function returns no floating-point numbers, so it has no derivative")
    _check(run, primals, names, order, tuple(modes), np.random.default_rng(seed), rtol, 1)


def _check(
    f: Callable[..., list[Any]],
    primals: list[Any],
    names: list[str],
    orders: int,
    modes: tuple[str, ...],
    rng: np.random.Generator,
    rtol: float | None,
    order: int,
) -> None:
    results = f(*primals)
    weights = [_random(rng, y) for y in results]
    if len(results) == 1 and np.ndim(results[0]) == 0:
        weights = [np.ones(())]  # so that what is reported is the derivative of the loss itself
    directions = [_random(rng, x) for x in primals]

    def total(*xs: Any) -> Any:
        return sum(np.sum(w * y) for w, y in zip(weights, f(*xs)))

    # Below a hundredth of the tolerance, relative to the value, differences say nothing: what rounding leaves.
    size = float(sum(np.sum(np.abs(w * y)) for w, y in zip(weights, results)))
    # In double precision, whatever the dtype of the arguments: the differences are the reference.
    doubles = [np.asarray(x, np.result_type(x, np.float64)) for x in primals]
    coarse = max(float(np.finfo(y.dtype).eps) for y in f(*doubles))  # a function may round to a shorter dtype itself
    tolerance = rtol if rtol is not None else max(1e-6, 300 * _eps(primals), 30 * coarse ** (2 / 3))
    for mode in modes:
        for number, direction in enumerate(directions):
            expected, kink = _slope(total, doubles, number, direction, coarse)
            if mode == "rev":
                _, pullback = vjp(f, *primals)
                gradients = pullback(_cotangents(f, primals, weights))
                found = np.real(np.sum(gradients[number] * direction))
            else:
                tangents = [direction if i == number else np.zeros_like(x) for i, x in enumerate(primals)]
                _, moved = jvp(f, primals, tangents)
                found = np.real(sum(np.sum(w * t) for w, t in zip(weights, moved)))
            allowed = tolerance * max(abs(expected), 1e-2 * size)
            if not abs(found - expected) <= allowed:
                raise _failure(f, total, primals, doubles, names, number, weights, mode, order, kink, tolerance, coarse)
    if order >= orders:
        return

    def reverse(*xs: Any) -> list[Any]:
        _, pullback = vjp(f, *xs)
        return list(pullback(_cotangents(f, xs, weights)))

    def forward(*xs: Any) -> list[Any]:
        return list(jvp(f, xs, [d.astype(x.dtype) for d, x in zip(directions, primals)])[1])

    for mode in modes:
        _check(reverse if mode == "rev" else forward, primals, names, orders, modes, rng, rtol, order + 1)


def _cotangents(f: Any, primals: Any, weights: list[Any]) -> list[Any]:
    dtype = np.result_type(*primals)
    return [w.astype(dtype) if w.dtype.kind == dtype.kind else w for w in weights]


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, float) or (isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind in "fc")


def _name(path: str) -> str:
    """Turn the path of a leaf of the arguments into a name: ``[0]['W']`` becomes ``argument 0 (W)``."""
    number, _, rest = path[1:].partition("]")
    return f"argument {number} ({path_name(rest)})" if rest else f"argument {number}"


def _random(rng: np.random.Generator, like: Any) -> Any:
    values = rng.standard_normal(np.shape(like))
    if np.asarray(like).dtype.kind == "c":
        values = values + 1j * rng.standard_normal(np.shape(like))
    return np.asarray(values)


def _eps(arrays: list[Any]) -> float:
    """Return the coarsest spacing of numbers near 1 among the dtypes of arrays."""
    return max(float(np.finfo(x.dtype).eps) for x in arrays)


def _slope(total: Any, primals: list[Any], number: int, direction: Any, eps: float) -> tuple[float, bool]:
    """Return the slope along a direction by central differences, and whether there is a kink within the step.

    The function is known to a relative `eps`; the step balances that against the curvature.
    """
    step = eps ** (1 / 3) * max(1.0, float(np.max(np.abs(primals[number]), initial=0.0)))

    def at(t: float) -> float:
        moved = list(primals)
        moved[number] = moved[number] + t * direction
        return float(np.real(total(*moved)))

    middle, ends, near = at(0.0), (at(step), at(-step)), (at(step / 2), at(-step / 2))
    slope = (8 * (near[0] - near[1]) - (ends[0] - ends[1])) / (6 * step)  # of fourth order
    fine, wide = (near[0] - near[1]) / step, (ends[0] - ends[1]) / (2 * step)
    right, left = (ends[0] - middle) / step, (middle - ends[1]) / step
    curvature = abs(near[0] - 2 * middle + near[1]) * 4 / step  # halves with the step where the function is smooth
    noise = 100 * eps * abs(middle) / step
    jump = abs(right - left)
    kink = jump > noise + 1e-3 * max(abs(right), abs(left), 1e-6) and curvature > 0.7 * 2 * jump
    steep = abs(fine - wide) > noise + 0.3 * max(abs(fine), abs(wide), 1e-6)  # a step: the slope grows without limit
    return slope, bool(kink or steep)


def _failure(
    f: Any,
    total: Any,
    primals: list[Any],
    doubles: list[Any],
    names: list[str],
    number: int,
    weights: list[Any],
    mode: str,
    order: int,
    kink: bool,
    tolerance: float,
    coarse: float,
) -> GradientError:
    """Look closer: compare entry by entry, and say what is wrong with the gradient of this argument."""
    x = primals[number]
    right = np.zeros(x.shape, doubles[number].dtype)
    any_kink = kink
    for i in np.ndindex(x.shape):
        direction = np.zeros_like(right)
        direction[i] = 1
        right[i], at_kink = _slope(total, doubles, number, direction, coarse)
        any_kink = any_kink or at_kink
        if right.dtype.kind == "c":
            right[i] -= 1j * _slope(total, doubles, number, 1j * direction, coarse)[0]
    found = _gradient(f, primals, number, weights, mode)
    worst = np.unravel_index(int(np.argmax(np.abs(found - right))), x.shape)
    where = f"at entry [{', '.join(map(str, worst))}] " if x.ndim else ""
    sizes = tuple(_sizes([*primals, *f(*primals)]))
    cotangent = weights[0] if len(weights) == 1 else None
    cause = diagnose(found, right, doubles[number], sizes, cotangent)
    if any_kink:
        cause = "there is a kink within the step of the differences: no derivative to compare with at this point"
    elif x.dtype.itemsize < right.dtype.itemsize:
        exact = _gradient(f, doubles, number, weights, mode)
        if np.max(np.abs(exact - right), initial=0.0) <= 1e-5 * max(float(np.max(np.abs(right), initial=0.0)), 1e-6):
            cause = f"the precision of {x.dtype} is too low for this function: in float64 both agree"
    return GradientError(
        f"order {order}, {MODES[mode]} mode, {names[number]}: {where}the derivative is "
        f"{right[worst]:.8g} by differences, and {found[worst]:.8g} was computed (tolerance {tolerance:.1g})"
        + (f"; {cause}" if cause else "")
    )


def _gradient(f: Any, primals: list[Any], number: int, weights: list[Any], mode: str) -> Any:
    """Return the whole gradient of one argument, in either mode."""
    if mode == "rev":
        return np.asarray(vjp(f, *primals)[1](_cotangents(f, primals, weights))[number])
    x = primals[number]
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        direction = np.zeros_like(x)
        direction[i] = 1
        tangents = [direction if j == number else np.zeros_like(y) for j, y in enumerate(primals)]
        gradient[i] = sum(np.sum(w * t) for w, t in zip(weights, jvp(f, primals, tangents)[1]))
    return gradient


def _sizes(arrays: list[Any]) -> list[int]:
    """Return the sizes of all axes, and of whole arrays, for factors to be recognised by."""
    return [size for array in arrays for size in (*np.shape(array), np.size(array))]
