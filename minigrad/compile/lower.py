"""Lowering: write an op as simpler ones, where those can use planned buffers. The numbers keep their bits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..core.primitive import REGISTRY
from .capture import Captured, Step

__all__ = ["lower"]


def lower(captured: Captured) -> Captured:
    """Return the same program with affine maps and rectifiers taken apart."""
    specs = dict(zip(captured.inputs, captured.specs))
    specs.update((entry, (np.shape(value), _dtype(value))) for entry, value in captured.constants.items())
    ends = [step.entry + len(step.shapes) for step in captured.steps]
    work = _Work(dict(captured.constants), specs, itertools.count(max([*ends, *specs, -1]) + 1))
    steps: list[Step] = []
    for step in captured.steps:
        take_apart = _LOWERED.get(step.op.name) if REGISTRY.get(step.op.name) is step.op else None
        for part in take_apart(step, work) if take_apart is not None else [step]:
            steps.append(part)
            work.specs.update(zip(range(part.entry, part.entry + len(part.shapes)), zip(part.shapes, part.dtypes)))
    return captured._replace(steps=steps, constants=work.constants)


class _Work(NamedTuple):
    constants: dict[int, Any]
    specs: dict[int, tuple[tuple[int, ...], Any]]  # shape and dtype of every entry so far
    numbers: Iterator[int]  # for new entries


def _dtype(value: Any) -> Any:
    return value.dtype if hasattr(value, "dtype") else type(value)


def _one(step: Step, op: str, entry: int, parents: tuple[int, ...], out: tuple[int, ...], **params: Any) -> Step:
    aliases = (frozenset([0] if op == "reshape" else ()),)
    return step._replace(entry=entry, op=REGISTRY[op], params=params, parents=parents, shapes=(out,), aliases=aliases)


def _affine(step: Step, work: _Work) -> list[Step]:
    """``x.reshape(N, D) @ w + b``: a product, and an addition in its place."""
    x, w, b = step.parents
    (shape, dtype), out = work.specs[x], step.shapes[0]
    if not out[0] or {dtype, work.specs[w][1], work.specs[b][1]} != {step.dtypes[0]}:
        return [step]
    steps = []
    if len(shape) != 2:
        rows = (out[0], math.prod(shape[1:]))
        steps.append(_one(step, "reshape", next(work.numbers), (x,), rows, shape=rows))
        x = steps[-1].entry
    product = next(work.numbers)
    return [*steps, _one(step, "matmul", product, (x, w), out), _one(step, "add", step.entry, (product, b), out)]


def _relu(step: Step, work: _Work) -> list[Step]:
    """``max(x, 0)``."""
    zero = next(work.numbers)
    work.constants[zero] = 0.0 if step.dtypes[0].kind == "f" else 0
    work.specs[zero] = (), float
    return [_one(step, "maximum", step.entry, (step.parents[0], zero), step.shapes[0])]


_LOWERED: dict[str, Callable[[Step, _Work], list[Step]]] = {"affine": _affine, "relu": _relu}
