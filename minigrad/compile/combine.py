"""Combine steps that one kernel can do together: a batch normalisation, and the rectifier that alone reads it.

Forward, the kernel rectifies what it has just written, while that is in the cache. Backward, it works out from x again
what was rectified, so neither the normalised x nor a mask is read from memory. The bits stay as they were.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from ..core.primitive import REGISTRY, Primitive
from ..kernels import normalisation
from .capture import Captured, Step

__all__ = ["combine"]


def combine(captured: Captured) -> Captured:
    """Return the same program with rectified batch normalisations in one step each, forward and backward."""
    work = _Work(captured)
    for number, step in enumerate(captured.steps):
        if _is(step, "batchnorm", "spatial_batchnorm") and step.params.get("layout", "NCHW") == "NCHW":
            work.combine(number, step)
    return work.result() if work.new else captured


class _Work:
    """A program, who reads what in it, and what takes the place of which step."""

    def __init__(self, captured: Captured) -> None:
        self.captured = captured
        self.readers: dict[int, list[int]] = {}
        for number, step in enumerate(captured.steps):
            for parent in step.parents:
                self.readers.setdefault(parent, []).append(number)
        self.results = {result for result in captured.results if isinstance(result, int)}
        ends = (step.entry + len(step.shapes) for step in captured.steps)
        self.numbers = itertools.count(max([*captured.inputs, *captured.constants, *ends], default=0) + 1)
        self.new: dict[int, Step | None] = {}
        self.renamed: dict[int, int] = {}

    def combine(self, number: int, step: Step) -> None:
        """Combine a batch normalisation with what follows it, if that is a rectifier."""
        place = self._only_reader(step.entry)
        if place is None or not self._rectifies(self.captured.steps[place]):
            return
        rectifier = self.captured.steps[place]
        out, mean, var, rectified = (next(self.numbers) for _ in range(4))
        self.renamed |= {rectifier.entry: out, step.entry + 1: mean, step.entry + 2: var}
        self.new[number] = step._replace(
            entry=out,
            op=_FORWARD,
            params={"eps": step.params["eps"]},
            shapes=(*step.shapes, (2, *step.shapes[1])),
            dtypes=(*step.dtypes, step.dtypes[0]),
            aliases=(frozenset(),) * 4,
        )
        self.new[place] = None
        for reader in self.readers.get(rectifier.entry, ()):
            self._combine_backward(step, reader, rectified)

    def _combine_backward(self, step: Step, place: int, rectified: int) -> None:
        """Combine ``g * (out > 0)``, whose mask is the step at `place`, with the backward pass that alone reads it."""
        steps = self.captured.steps
        mask = steps[place]
        gate_place = self._only_reader(mask.entry) if _is(mask, "greater") and self._is_zero(mask) else None
        if gate_place is None or not _is(steps[gate_place], "multiply"):
            return
        gate = steps[gate_place]
        back_place = self._only_reader(gate.entry)
        back = steps[back_place] if back_place is not None else step
        if not _is(back, f"{step.op.name}_backward") or back.parents[:2] != (gate.entry, step.parents[0]):
            return
        (g,) = (parent for parent in gate.parents if parent != mask.entry)
        if mask.shapes != gate.shapes or gate.dtypes[0] != step.dtypes[0]:
            return
        _, *reads = back.parents
        self.new[back_place] = back._replace(  # type: ignore[index]
            op=_BACKWARD,
            params={"eps": step.params["eps"], "needs": back.params["needs"]},
            parents=(g, *reads, rectified),
        )
        self.new[place] = self.new[gate_place] = None

    def _only_reader(self, entry: int) -> int | None:
        """Return the number of the step that reads an entry, if it is the only one and the entry is no result."""
        found = self.readers.get(entry, ())
        return found[0] if len(found) == 1 and entry not in self.results else None

    def _rectifies(self, step: Step) -> bool:
        return _is(step, "relu") or _is(step, "maximum") and self._is_zero(step)

    def _is_zero(self, step: Step) -> bool:
        """Whether the second argument is the number 0."""
        value = self.captured.constants.get(step.parents[1])
        return isinstance(value, (int, float)) and value == 0

    def result(self) -> Captured:
        """Return the program with the new steps in their places."""
        kept = [
            step for step in (self.new.get(n, step) for n, step in enumerate(self.captured.steps)) if step is not None
        ]
        name = self.renamed.get
        return self.captured._replace(
            steps=[step._replace(parents=tuple(name(parent, parent) for parent in step.parents)) for step in kept],
            results=[name(result, result) if isinstance(result, int) else result for result in self.captured.results],
        )


def _is(step: Step, *names: str) -> bool:
    return step.op.name in names and REGISTRY.get(step.op.name) is step.op


def _forward(x: Any, gamma: Any, beta: Any, *, eps: float) -> tuple[Any, ...]:
    out, mean, var, rectified = normalisation.batch_forward(_pixels(x), gamma, beta, eps=eps, relu=True)
    return out.reshape(x.shape), mean, var, rectified


def _backward(
    g: Any, x: Any, gamma: Any, mean: Any, var: Any, rectified: Any, *, eps: float, needs: tuple[str, ...]
) -> tuple[Any, ...]:
    found = normalisation.batch_backward(
        _pixels(g), _pixels(x), gamma, mean, var, eps=eps, wants=needs, rectified=rectified
    )
    return tuple(value.reshape(x.shape) if name == "x" else value for name, value in zip(needs, found))


def _pixels(x: Any) -> Any:
    """Return samples (N, C) or images (N, C, H, W) as (N, C, P)."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


_FORWARD = Primitive(_forward, name="rectified_batchnorm", outputs=("out", "mean", "var", "rectified"))
_BACKWARD = Primitive(
    _backward,
    name="rectified_batchnorm_backward",
    outputs="many",
    args=("g", "x", "gamma", "mean", "var", "rectified"),
)
