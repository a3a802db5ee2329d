"""Assemble arrays from parts in one step: a sum of arrays that are zero but for a part each.

Such sums are what the backward pass makes of indexing: each slice that was taken from an array gives back zeros of its
full size with a part filled in, and all of them are added. Here the parts go straight into one array. Where something
transposes it next, it has from the beginning the layout that makes the transpose contiguous.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.primitive import REGISTRY, Primitive
from .capture import Captured, Step

__all__ = ["assemble"]

LARGE = 1 << 26
"""Up to how many elements it is looked up whether the parts overlap."""


def assemble(captured: Captured) -> Captured:
    """Return the same program with sums of scattered parts in one step each. The numbers keep their bits."""
    readers: dict[int, list[Step]] = {}
    for step in captured.steps:
        for parent in step.parents:
            readers.setdefault(parent, []).append(step)
    results = {result for result in captured.results if isinstance(result, int)}
    sums: dict[int, list[Step]] = {}  # for an entry that is such a sum, the scatters that it is the sum of
    absorbed: set[int] = set()
    for step in captured.steps:
        if _is(step, "scatter") and len(step.parents) == 1 and math.prod(step.shapes[0]) <= LARGE:
            sums[step.entry] = [step]
        elif _is(step, "add") and all(
            parent in sums and readers[parent] == [step] and parent not in results for parent in step.parents
        ):
            many, one = sorted((sums[parent] for parent in step.parents), key=len, reverse=True)
            if len(one) == 1 and (many[0].shapes, many[0].dtypes) == (one[0].shapes, one[0].dtypes):
                sums[step.entry] = many + one  # added one after the other, as the program does
                absorbed.update(step.parents)
    steps = []
    for step in captured.steps:
        if step.entry in sums and len(sums[step.entry]) > 1 and step.entry not in absorbed:
            steps.append(_assembled(step, sums[step.entry], readers.get(step.entry, [])))
        elif step.entry not in absorbed:
            steps.append(step)
    return captured._replace(steps=steps)


def _is(step: Step, name: str) -> bool:
    return step.op.name == name and REGISTRY.get(name) is step.op


def _assembled(step: Step, scatters: list[Step], readers: list[Step]) -> Step:
    """Return the step that takes the place of the last addition."""
    (shape,) = step.shapes
    indices = tuple(scatter.params["index"] for scatter in scatters)
    times = np.zeros(shape, np.int16)
    for index in indices:
        times[index] += 1
    params = {"indices": indices, "shape": shape, "axes": _axes(readers, len(shape)), "whole": bool((times == 1).all())}
    parents = tuple(scatter.parents[0] for scatter in scatters)
    return step._replace(op=_ASSEMBLED, params=params, parents=parents, aliases=(frozenset(),))


def _axes(readers: list[Step], rank: int) -> tuple[int, ...]:
    """Return the order of axes in which the array is to be contiguous: that of the only reader, if it transposes."""
    if len(readers) == 1 and _is(readers[0], "transpose"):
        axes = readers[0].params["axes"]
        return tuple(axis % rank for axis in axes) if axes is not None else tuple(reversed(range(rank)))
    return tuple(range(rank))


def _put_parts(
    *parts: Any, indices: tuple[Any, ...], shape: tuple[int, ...], axes: tuple[int, ...], whole: bool
) -> Any:
    """Return zeros with parts added. If `whole`, each element is in exactly one part.

    Adding 0 makes 0 of -0, as adding to zeros does.
    """
    make = np.empty if whole else np.zeros
    out = make([shape[axis] for axis in axes], parts[0].dtype).transpose(np.argsort(axes))
    for part, index in zip(parts, indices):
        np.add(part, 0 if whole else out[index], out=out[index])
    return out


_ASSEMBLED = Primitive(_put_parts, name="assembled")
