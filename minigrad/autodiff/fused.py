"""Fused ops: a fast forward kernel, a fast backward kernel, and a reference that makes every order right.

A fused op computes several steps in one kernel, and its backward pass in another. Its *reference* is the same
mathematics as a composition of simple ops. The backward kernel becomes a primitive of its own; its derivative is found
by differentiating the reference's gradient. So the first order is fast, every higher order is right by construction,
and the test writes itself: the kernel equals the reference.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.errors import NoGradientRule
from ..core.primitive import Primitive
from ..core.tensor import Tensor, value_of
from .reverse import vjp

__all__ = ["Fused", "fused"]


class Fused(Primitive):
    """An op with kernels for its first order and a reference for all others. Made by :func:`fused`."""

    def __init__(self, forward: Callable[..., Any], *, reference: Callable[..., Any], **options: Any) -> None:
        super().__init__(forward, **options)
        self.reference = reference
        self.takes_none = bool(self.outputs)
        self.backward_op: Primitive | None = None

    def backward(self, kernel: Callable[..., Any]) -> Primitive:
        """Give the backward kernel. A decorator.

        The kernel's first argument is the cotangent of the first output; the others name what it reads: arguments,
        outputs, static parameters. Its keyword ``wants`` names the arguments whose cotangents it returns, as a tuple in
        that order. An argument that it does not read must not influence any derivative of the op.
        """
        names = list(self.reads_of(kernel))
        arrays = tuple(name for name in names if name not in self.static)
        kernel_static = [name for name in names if name in self.static]
        unread = tuple(name for name in self.args if name not in arrays)
        self.backward_op = op = _backward_primitive(self, kernel, arrays, kernel_static)

        def rule(g: Any, /, *, wants: tuple[str, ...], **reads: Any) -> tuple[Any, ...]:
            values = [reads[name] for name in arrays]
            first, *others = g if self.outputs else (g,)
            several = [other for other in others if other is not None]
            if not several and Tensor not in map(type, (first, *values)):  # plain arrays: as `op` does, but shorter
                return _tuple(kernel(first, *values, wants=wants, **{name: reads[name] for name in kernel_static}))
            static = {name: reads[name] for name in self.static}
            shapes = tuple([(name, reads[f"{name}_shape"]) for name in unread])
            if several:
                return reference_pullback(self, g, dict(zip(arrays, values)), shapes, static, wants)
            return op.bind(first, *values, needs=wants, unread=shapes, **static)

        self.vjp_shared(rule, [*arrays, *(f"{name}_shape" for name in unread), *sorted(self.static)])
        return op


def fused(
    *, reference: Callable[..., Any], outputs: Sequence[str] = (), visible: int | None = None, kind: str = "op"
) -> Callable[[Callable[..., Any]], Fused]:
    """Make a fused op from its forward kernel. A decorator.

    Parameters
    ----------
    reference : callable
        The same mathematics as a composition of simple ops, with the kernel's signature. It returns the first output,
        or a tuple of all outputs that have a derivative.
    outputs, visible, kind
        See :class:`minigrad.core.primitive.Primitive`.
    """

    def define(forward: Callable[..., Any]) -> Fused:
        return Fused(forward, reference=reference, outputs=outputs, visible=visible, kind=kind)

    return define


def _backward_primitive(op: Fused, kernel: Callable[..., Any], arrays: tuple[str, ...], static: list[str]) -> Primitive:
    """Make the primitive that runs the backward kernel, with the rule that differentiates the reference."""

    def forward(g: Any, *reads: Any, needs: tuple[str, ...], unread: Any, **params: Any) -> tuple[Any, ...]:
        return _tuple(kernel(g, *reads, wants=needs, **{name: params[name] for name in static}))

    # The signature is spelled out because a primitive reads it: cotangent, what the kernel reads, static parameters.
    names = inspect.Parameter
    forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [names(name, names.POSITIONAL_ONLY) for name in ("g", *arrays)]
        + [names(name, names.KEYWORD_ONLY) for name in ("needs", "unread", *sorted(op.static))]
    )
    backward_op = Primitive(forward, name=f"{op.name}_backward", outputs="many", kind="backward")
    backward_op.__module__ = op.__module__
    backward_op.kernel, backward_op.kernel_static = kernel, tuple(static)  # for readers that write programs
    backward_op.__doc__ = f"The backward pass of {op.name}: the cotangents of the arguments named by ``needs``."

    def rule(
        c: Any, /, *, wants: tuple[str, ...], needs: tuple[str, ...], unread: Any, **reads: Any
    ) -> tuple[Any, ...]:
        params = {name: reads[name] for name in op.static}
        given = {name: reads[name] for name in arrays if name in op.args}

        def first_order(chosen: dict[str, Any]) -> tuple[Any, ...]:
            g = chosen.get("g", reads["g"])
            inputs = {name: chosen.get(name, value) for name, value in given.items()}
            cotangents = (g,) + (None,) * (len(op.outputs) - 1) if op.outputs else g
            return reference_pullback(op, cotangents, inputs, unread, params, needs)

        _, pullback = vjp(first_order, {name: reads[name] for name in wants})
        (result,) = pullback(tuple(c))
        return tuple(result[name] for name in wants)

    backward_op.vjp_shared(rule, ["g", *arrays, "needs", "unread", *sorted(op.static)])
    # What the forward kernel computed on the way (statistics, normalisers) is a function of the arguments, and the
    # reference differentiates it as such; as an argument of the backward kernel it adds nothing more.
    backward_op.vjp(**{name: None for name in arrays if name not in op.args})
    return backward_op


def _tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def reference_pullback(
    op: Fused, g: Any, inputs: dict[str, Any], unread: Any, params: dict[str, Any], wants: tuple[str, ...]
) -> tuple[Any, ...]:
    """Return the cotangents of the wanted arguments by differentiating the reference.

    Parameters
    ----------
    g : array, or tuple of (array or None)
        The cotangent of the output, or of each visible output.
    inputs : dict
        The arguments that the backward kernel reads.
    unread : tuple of (name, shape)
        The others. Their values do not matter, so zeros stand in for them.
    """
    several = bool(op.outputs)
    some = next(x for x in g if x is not None) if several else g
    full = {**inputs, **{name: np.zeros(shape, some.dtype) for name, shape in unread}}

    def run(chosen: dict[str, Any]) -> Any:
        out = op.reference(*[chosen.get(name, full[name]) for name in op.args], **params)  # type: ignore[misc]
        return list(out) if isinstance(out, tuple) else [out]

    out, pullback = vjp(run, {name: full[name] for name in wants})
    given = list(g) if several else [g]
    if any(x is not None for x in given[len(out) :]):
        names = ", ".join(op.outputs[len(out) :])
        raise NoGradientRule(
            f"{op.name}: a gradient came for {names}, which only the backward kernel reads; take "
            f"mg.stop_gradient of it, or compute it with other functions"
        )
    given = given[: len(out)]
    (result,) = pullback([np.zeros_like(value_of(y)) if x is None else x for x, y in zip(given, out)])
    return tuple(result[name] for name in wants)
