"""Simplify a captured list: drop what nobody reads, and compute once what is computed twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core.primitive import REGISTRY
from .capture import Captured, Step

__all__ = ["simplify"]


def simplify(captured: Captured) -> Captured:
    """Return the same program without dead code and without common subexpressions.

    Ops that draw random numbers stay, all of them and in their order, so that a compiled program draws what the
    function itself would have drawn.
    """
    steps, same = _shared(captured.steps, captured.constants)
    results = [same.get(result, result) if isinstance(result, int) else result for result in captured.results]
    needed = {result for result in results if isinstance(result, int)}
    kept: list[Step] = []
    for step in reversed(steps):
        entries = range(step.entry, step.entry + len(step.shapes))
        if draws(step) or not needed.isdisjoint(entries):
            needed.update(step.parents)
            kept.append(step)
    constants = {entry: value for entry, value in captured.constants.items() if entry in needed}
    cotangents = {same.get(g, g): same.get(value, value) for g, value in captured.cotangents.items()}
    return captured._replace(steps=kept[::-1], constants=constants, results=results, cotangents=cotangents)


def draws(step: Step) -> bool:
    """Whether a step draws random numbers, so that it is no function of its arguments alone."""
    return "rng" in step.params


def _shared(steps: list[Step], constants: dict[int, Any]) -> tuple[list[Step], dict[int, int]]:
    """Leave each step out that an earlier one repeats, or that changes nothing.

    Return the others, and which entry stands for which.
    """
    same: dict[int, int] = {}
    first: dict[Any, int] = {}
    for entry, value in constants.items():
        key = _constant_key(value)
        if key is not None:
            same[entry] = first.setdefault(key, entry)
    kept = []
    for step in steps:
        step = step._replace(parents=tuple(same.get(parent, parent) for parent in step.parents))
        if step.op is REGISTRY["stopped"]:  # which is for derivatives; those have been taken
            same[step.entry] = step.parents[0]
            continue
        key = None if draws(step) else _step_key(step)
        before = first.setdefault(key, step.entry) if key is not None else step.entry
        if before == step.entry:
            kept.append(step)
        else:
            same.update((step.entry + number, before + number) for number in range(len(step.shapes)))
    return kept, same


def _step_key(step: Step) -> Any:
    try:
        key = (step.op.name, id(step.op), step.parents, tuple(_parts(step.params)))
        hash(key)
    except TypeError:
        return None
    return key


def _parts(params: dict[str, Any]) -> Iterator[Any]:
    for name, value in sorted(params.items()):
        yield name, type(value), repr(value) if isinstance(value, slice) else value


def _constant_key(value: Any) -> Any:
    """Numbers with the same bits are one constant; arrays are told apart by what they are, and not compared."""
    if isinstance(value, (bool, int, float)):
        return "number", type(value), repr(value)
    if isinstance(value, np.generic) or isinstance(value, np.ndarray) and value.ndim == 0:
        return "scalar", type(value), value.dtype.str, value.tobytes()
    return None
