"""Jacobians, Hessians and their products with vectors: compositions of reverse and forward mode."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.errors import OptionError, ShapeError, did_you_mean
from ..core.tree import flatten
from .forward import jvp
from .reverse import argument_numbers, argument_position, grad, vjp

__all__ = ["elementwise_grad", "hessian", "hvp", "jacobian"]


def jacobian(f: Callable[..., Any], argnums: int | Sequence[int] = 0, *, mode: str = "auto") -> Callable[..., Any]:
    """Return a function that computes the Jacobian of `f`: all derivatives of all elements of its result.

    Parameters
    ----------
    f : callable
        A function of arrays, or containers of arrays, that returns an array or a container of arrays.
    argnums : int or sequence of int
        The positional arguments to differentiate with respect to. An integer gives one Jacobian, a sequence a tuple.
    mode : str
        ``"reverse"`` takes one backward pass per element of the result, ``"forward"`` one forward pass per element of
        the arguments; ``"auto"`` chooses the fewer.

    Returns
    -------
    callable
        With the arguments of `f`; returns an array of shape ``result.shape + argument.shape``, within the containers
        of the result and of the argument.

    Raises
    ------
    OptionError
        If the mode is unknown.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> A = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> mg.jacobian(lambda x: A @ x)(np.ones(2))
    array([[1., 2.],
           [3., 4.]])
    """
    if mode not in ("auto", "forward", "reverse"):
        hint = did_you_mean(mode, ["auto", "forward", "reverse"])
        raise OptionError(f'jacobian: unknown mode "{mode}"{hint} (it is "auto", "forward" or "reverse")')
    numbers, single = argument_numbers(argnums)

    @functools.wraps(f)
    def jacobian_of(*args: Any, **keywords: Any) -> Any:
        positions = [argument_position(number, len(args), getattr(f, "__name__", "f")) for number in numbers]

        if len(set(positions)) < len(positions):
            raise ValueError(f"argnums={argnums!r} names an argument twice")

        @functools.wraps(f)
        def run(*chosen: Any) -> Any:
            full = list(args)
            for position, argument in zip(positions, chosen):
                full[position] = argument
            return f(*full, **keywords)

        primals = tuple(args[position] for position in positions)
        inputs, input_tree = flatten(primals)
        out, pullback = vjp(run, *primals)
        outputs, output_tree = flatten(out)
        fewer_inputs = sum(map(np.size, inputs)) < sum(map(np.size, outputs))
        # A pullback to a real argument gives the real part; the imaginary one comes from a cotangent of 1j.
        to_complex = any(_kind(y) == "c" for y in outputs) and any(_kind(x) != "c" for x in inputs)
        if mode == "forward" or (mode == "auto" and fewer_inputs):
            columns = [
                jvp(run, primals, input_tree.unflatten(direction))[1] for direction in _basis(inputs)
            ]  # one tangent of the whole result per element of the inputs
            blocks = _from_columns([flatten(column)[0] for column in columns], inputs, outputs)
        else:
            rows = [flatten(pullback(output_tree.unflatten(direction)))[0] for direction in _basis(outputs)]
            if to_complex:
                turned = [[1j * d if _kind(d) == "c" else 0 * d for d in direction] for direction in _basis(outputs)]
                parts = [flatten(pullback(output_tree.unflatten(direction)))[0] for direction in turned]
                rows = [
                    [a if _kind(x) == "c" else a - 1j * b for a, b, x in zip(row, part, inputs)]
                    for row, part in zip(rows, parts)
                ]
            blocks = _from_rows(rows, inputs, outputs)
        found = []
        for row in blocks:
            per_argument = input_tree.unflatten(row)
            found.append(per_argument[0] if single else per_argument)
        return output_tree.unflatten(found)

    return jacobian_of


def hessian(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return a function that computes the Hessian of `f`, the matrix of its second derivatives.

    Parameters are those of :func:`minigrad.grad`; the result has the shape ``x.shape + x.shape``. It is computed by
    forward mode over reverse mode: one gradient per element of x.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]))
    array([[10.,  6.],
           [ 6.,  0.]])
    """
    return jacobian(grad(f, argnums), argnums, mode="forward")


def hvp(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that multiplies the Hessian of `f` with a vector, without making the Hessian.

    Returns
    -------
    callable
        ``hvp(f)(x, v, *others)`` is ``hessian(f)(x, *others) @ v``, with x and v arrays or containers of one form; it
        costs about two gradients. (Pearlmutter, "Fast exact multiplication by the Hessian", 1994.)

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.hvp(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]), np.array([1.0, 0.0]))
    array([10.,  6.])
    """
    gradient = grad(f)

    @functools.wraps(f)
    def product(x: Any, v: Any, *others: Any, **keywords: Any) -> Any:
        return jvp(lambda x: gradient(x, *others, **keywords), (x,), (v,))[1]

    return product


def elementwise_grad(f: Callable[..., Any], argnum: int = 0) -> Callable[..., Any]:
    """Return the derivative of a function that works on each element by itself, for arrays of any shape.

    Raises
    ------
    ShapeError
        If the result has another shape than the argument, so that it cannot be elementwise.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.elementwise_grad(np.sin)(np.array([0.0, np.pi])).round(6)
    array([ 1., -1.])
    """

    @functools.wraps(f)
    def derivative(*args: Any, **keywords: Any) -> Any:
        position = argument_position(argnum, len(args), getattr(f, "__name__", "f"))
        point = np.asarray(args[position]) if isinstance(args[position], (list, tuple)) else args[position]

        def run(x: Any) -> Any:
            return f(*args[:position], x, *args[position + 1 :], **keywords)

        out, pullback = vjp(run, point)
        if np.shape(out) != np.shape(point):
            raise ShapeError(
                f"elementwise_grad: {getattr(f, '__name__', f)} made {np.shape(out)} of an argument of shape "
                f"{np.shape(point)}, so it is not elementwise; use mg.jacobian, or mg.vjp"
            )
        return pullback(np.ones_like(out))[0]

    return derivative


def _kind(x: Any) -> str:
    return x.dtype.kind if hasattr(x, "dtype") else "f"


def _basis(leaves: Sequence[Any]) -> list[list[Any]]:
    """Return the directions along each element of each leaf, as lists of arrays."""
    directions = []
    zeros = [np.zeros(np.shape(leaf), getattr(leaf, "dtype", float)) for leaf in leaves]
    for number, zero in enumerate(zeros):
        for i in range(zero.size):
            direction = np.zeros(zero.size, zero.dtype)
            direction[i] = 1
            directions.append([*zeros[:number], direction.reshape(zero.shape), *zeros[number + 1 :]])
    return directions


def _from_rows(rows: list[list[Any]], inputs: Sequence[Any], outputs: Sequence[Any]) -> list[list[Any]]:
    """Put one gradient per element of the outputs together: a block for each output and input."""
    blocks, start = [], 0
    for out in outputs:
        stop = start + np.size(out)
        blocks.append(
            [
                np.reshape(np.stack([row[j] for row in rows[start:stop]]), np.shape(out) + np.shape(x))
                if stop > start
                else np.zeros(np.shape(out) + np.shape(x), getattr(x, "dtype", float))
                for j, x in enumerate(inputs)
            ]
        )
        start = stop
    return blocks


def _from_columns(columns: list[list[Any]], inputs: Sequence[Any], outputs: Sequence[Any]) -> list[list[Any]]:
    """Put one tangent per element of the inputs together: a block for each output and input."""
    blocks = []
    for i, out in enumerate(outputs):
        row, start = [], 0
        for x in inputs:
            stop = start + np.size(x)
            part = [column[i] for column in columns[start:stop]]
            shape = np.shape(out) + np.shape(x)
            empty = np.zeros(shape, getattr(out, "dtype", float))
            row.append(np.reshape(np.stack(part, axis=-1), shape) if part else empty)
            start = stop
        blocks.append(row)
    return blocks
