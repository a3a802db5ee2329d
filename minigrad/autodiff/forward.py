"""Forward mode: tangents that travel along with the values.

A `ForwardTape` records nothing. Each op that meets a Tensor of it computes the tangent of its result at once, from
those of its arguments, and the Tensor carries it on. No op needs a rule for that: the tangent follows from what is
known of the op already. Where an op is linear, or elementwise, its own forward function or its vjp rules give it
directly (see `Primitive.linear`); a fused op has its reference; for all others the pullback, a linear map, is
transposed by differentiating it once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import DTypeError, NoGradientRule, ShapeError
from ..core.primitive import UNWANTED, Primitive
from ..core.tape import Tape
from ..core.tensor import Tensor, on_tape
from ..core.tree import flatten, map_leaves, path_name
from .reverse import check_outputs, fit, own, split_aux, vjp

__all__ = ["ForwardTape", "jvp"]


class ForwardTape(Tape):
    """The tape of forward mode: it keeps nothing, its Tensors carry their tangents."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(full=False)
        self.plain = False  # every op comes to `enter`

    def dual(self, value: Any, tangent: Any) -> Tensor:
        """Return a Tensor with a tangent."""
        tensor = on_tape(value, self, 0)
        tensor.tangent = tangent
        return tensor

    def name_of(self, tensor: Tensor) -> str:
        """Return an empty string: nothing is watched by name here."""
        return ""

    def enter(
        self,
        op: Primitive,
        args: tuple[Any, ...],
        values: tuple[Any, ...],
        params: dict[str, Any],
        results: tuple[Any, ...],
    ) -> tuple[Any, ...]:
        """Return the results with their tangents; plain where there is none."""
        if self.ended:
            raise self.stale(op.name)
        tangents = {
            position: x.tangent
            for position, x in enumerate(args)
            if type(x) is Tensor and x.tape is self and op.has_rule(position)
        }
        if not tangents:
            return results
        found = push(op, values, params, results, tangents)
        return tuple(
            value
            if tangent is None or value.dtype.kind not in "fc"
            else self.dual(value, tangent if type(tangent) is NoTangent else _like(tangent, value))
            for value, tangent in zip(results, found)
        )


def push(
    op: Primitive,
    values: tuple[Any, ...],
    params: dict[str, Any],
    results: tuple[Any, ...],
    tangents: dict[int, Any],
) -> tuple[Any, ...]:
    """Return the tangent of each result of an op, given those of some of its arguments, by position."""
    if op.reference is not None:
        return _by_reference(op, values, params, results, tangents)
    if op.linear == "jointly":
        inputs = [
            tangents[i] if i in tangents else _zero(value) if op.has_rule(i) else value
            for i, value in enumerate(values)
        ]
        found = op.bind(*inputs, **params)
        return tuple(found) if op.outputs else (found,)
    if op.linear == "each":
        parts = [op.bind(*values[:i], tangent, *values[i + 1 :], **params) for i, tangent in tangents.items()]
        return (_total(parts),)
    if op.linear == "elementwise" and not op.outputs:
        return (_by_own_rules(op, values, params, results[0], tangents),)
    return _by_transposition(op, values, params, results, tangents)


def _by_own_rules(
    op: Primitive, values: tuple[Any, ...], params: dict[str, Any], out: Any, tangents: dict[int, Any]
) -> Any:
    """Elementwise ops: the Jacobian is diagonal, so the vjp rule of an argument is its jvp rule as well."""
    parts = []
    for position, tangent in tangents.items():
        plan = op.plan(1 << position, len(values))
        saved = plan.save(values, out) if plan.save is not None else ()
        spread = tangent if tangent.shape == out.shape else np.broadcast_to(tangent, out.shape)
        parts.append(plan.pull(spread, saved, params)[position])
    return _total(parts)


def _by_reference(
    op: Primitive,
    values: tuple[Any, ...],
    params: dict[str, Any],
    results: tuple[Any, ...],
    tangents: dict[int, Any],
) -> tuple[Any, ...]:
    """Fused ops: push the tangents through the same mathematics in simple ops."""
    positions = list(tangents)

    def run(*chosen: Any) -> list[Any]:
        inputs = list(values)
        for position, x in zip(positions, chosen):
            inputs[position] = x
        out = op.reference(*inputs, **params)  # type: ignore[misc]
        return list(out) if isinstance(out, tuple) else [out]

    _, found = jvp(run, [values[i] for i in positions], [tangents[i] for i in positions])
    return (*found, *(NoTangent(op.name),) * (len(results) - len(found)))


def _by_transposition(
    op: Primitive,
    values: tuple[Any, ...],
    params: dict[str, Any],
    results: tuple[Any, ...],
    tangents: dict[int, Any],
) -> tuple[Any, ...]:
    """Any op: its pullback is linear in the cotangent, and the pullback of the pullback is the tangent map."""
    given = results if op.outputs else results[0]
    plan = op.plan(sum(1 << position for position in tangents), len(values))
    saved = plan.save(values, given) if plan.save is not None else ()
    floats = [number for number, result in enumerate(results) if result.dtype.kind in "fc"]

    def pullback(cotangents: list[Any]) -> list[Any]:
        g: list[Any] = [None] * len(results)
        for number, cotangent in zip(floats, cotangents):
            g[number] = cotangent
        pulled = plan.pull(tuple(g) if op.outputs else g[0], saved, params)
        return [fit(pulled[i], values[i].shape, values[i].dtype, op) for i in tangents if pulled[i] is not UNWANTED]

    zeros = [np.zeros(results[number].shape, results[number].dtype) for number in floats]
    _, transposed = vjp(pullback, zeros)
    (found,) = transposed(list(tangents.values()))
    by_number = dict(zip(floats, found))
    return tuple(by_number.get(number) for number in range(len(results)))


class NoTangent:
    """The tangent of a by-product that only a backward kernel reads. Whoever else uses it gets an error, not a zero."""

    __slots__ = ("op",)

    def __init__(self, op: str) -> None:
        self.op = op

    def __getattr__(self, name: str) -> Any:
        raise NoGradientRule(
            f"{self.op}: the derivative of a by-product is asked for, which only its backward kernel reads; compute it "
            f"with other functions, or take mg.stop_gradient of it"
        )


def _zero(value: Any) -> Any:
    return np.zeros(np.shape(value), value.dtype) if hasattr(value, "dtype") else 0.0


def _total(parts: list[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _like(tangent: Any, value: Any) -> Any:
    """Give a tangent the shape and dtype of its value."""
    if not hasattr(tangent, "dtype"):
        tangent = np.asarray(tangent, value.dtype)
    if tangent.dtype != value.dtype:
        if tangent.dtype.kind == "c" and value.dtype.kind == "f":
            tangent = np.real(tangent)
        tangent = tangent.astype(value.dtype)
    if tangent.shape != value.shape:
        tangent = np.broadcast_to(tangent, value.shape)
    return tangent[()] if isinstance(value, np.generic) and type(tangent) is np.ndarray else tangent


def jvp(f: Callable[..., Any], primals: Any, tangents: Any, *, has_aux: bool = False) -> Any:
    """Compute a function and its derivative along a direction, the Jacobian-vector product, in one forward pass.

    Parameters
    ----------
    f : callable
        A function of arrays, or containers of arrays, that returns an array or a container of arrays.
    primals : tuple or list
        The arguments: arrays of floats, or dicts, lists, tuples of them.
    tangents : tuple or list
        The direction: for each primal a tangent of the same container and shapes.
    has_aux : bool
        `f` returns a pair ``(out, aux)``; `aux` is handed through and not differentiated.

    Returns
    -------
    out
        The value of ``f(*primals)``.
    tangent
        The derivative of `out` along the direction; zeros where it does not depend on the primals.
    aux
        Only with `has_aux`.

    Raises
    ------
    ShapeError
        If a tangent has another container or shape than its primal.
    DTypeError
        If a primal is an integer array, or not an array of numbers.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> out, tangent = mg.jvp(lambda x, y: x * y, (np.array([1.0, 2.0]), 3.0), (np.array([1.0, 0.0]), 1.0))
    >>> out
    array([3., 6.])
    >>> tangent
    array([4., 2.])
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise DTypeError("jvp takes the arguments and their tangents as tuples: mg.jvp(f, (x,), (v,))")
    primals, tangents = tuple(primals), tuple(tangents)
    leaves, tree = flatten(primals)
    directions, direction_tree = flatten(tangents)
    if sorted(direction_tree.paths) != sorted(tree.paths):
        raise ShapeError(
            f"jvp: the primals have the entries {list(tree.paths)}, and the tangents have "
            f"{list(direction_tree.paths)}; they must be the same"
        )
    by_path = dict(zip(direction_tree.paths, directions))  # entries of a dict may come in another order
    directions = [by_path[path] for path in tree.paths]
    tape = ForwardTape()
    duals = [
        _watch(tape, leaf, direction, path_name(path)) for leaf, direction, path in zip(leaves, directions, tree.paths)
    ]
    try:
        result = f(*tree.unflatten(duals))
    finally:
        tape.end()
    out, aux = split_aux(result, f) if has_aux else (result, None)

    def value(x: Any) -> Any:
        return x.value if type(x) is Tensor and x.tape is tape else x

    def tangent(x: Any) -> Any:
        return x.tangent if type(x) is Tensor and x.tape is tape else np.zeros_like(x)

    check_outputs(flatten(out)[0], f)
    outputs, out_tree = flatten(out)
    found = own([tangent(y) for y in outputs], [*leaves, *directions])
    pair = map_leaves(value, out), out_tree.unflatten(found)
    return (*pair, map_leaves(value, aux)) if has_aux else pair


def _watch(tape: ForwardTape, leaf: Any, direction: Any, name: str) -> Tensor:
    value = Tape(full=False).watch(leaf, name).value  # with its checks of what can be differentiated
    if not hasattr(direction, "dtype"):
        direction = np.asarray(direction, value.dtype)
    if direction.shape != value.shape:
        raise ShapeError(f"jvp: primal {name} has shape {value.shape}, and its tangent {direction.shape}")
    if direction.dtype.kind == "c" and value.dtype.kind != "c":
        raise DTypeError(f"jvp: primal {name} is real ({value.dtype}), and its tangent came as {direction.dtype}")
    return tape.dual(value, _like(direction, value))
