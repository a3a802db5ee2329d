"""Signs that a network will not train well, read off one training step. `Model` looks now and then, and warns."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from .core.errors import BiasBeforeNormWarning, DeadUnitsWarning, MinigradWarning, UnnormalisedInputWarning
from .core.tape import Node
from .core.tensor import value_of

__all__ = ["advise", "due", "warn"]

DEAD = 0.9
"""More units than this part of a layer without a sample that activates them are a sign that something is wrong."""
FEW = 16
"""With fewer samples than this, units that happen to be active for none are no sign of anything."""


def due(step: int) -> bool:
    """Whether to look at this training step: the first, and at powers of two, so that it costs nothing in the end."""
    return step & (step - 1) == 0


def advise(records: list[Any], X: Any) -> Iterator[tuple[str, MinigradWarning]]:
    """Yield a warning for each sign found, each with a key that stays the same from step to step.

    Parameters
    ----------
    records : the entries of a tape, before the backward pass has taken them away
    X : array or None
        The minibatch.
    """
    yield from _unnormalised(X)
    nodes = [Node(*record) for record in records]
    for node in nodes:
        if node.primitive is not None:
            yield from _dead_units(node)
            yield from _bias_before_norm(node, nodes)


def _unnormalised(X: Any) -> Iterator[tuple[str, MinigradWarning]]:
    X = value_of(X)
    if not isinstance(X, np.ndarray) or X.ndim < 2 or X.dtype.kind not in "fu" or X.size < 2 * FEW:
        return
    mean, std, largest = float(X.mean(dtype=float)), float(X.std(dtype=float)), float(np.abs(X).max())
    if largest > 10 and abs(mean) > std or std > 100:
        yield (
            "input",
            UnnormalisedInputWarning(
                f"the data X {X.shape} have mean {mean:.3g} and standard deviation {std:.3g}; networks train better on "
                f"centred data: subtract the mean image of the training set (X = X - X_train.mean(axis=0)), and divide "
                f"by the standard deviation or by {largest:.3g}"
            ),
        )


def _dead_units(node: Node) -> Iterator[tuple[str, MinigradWarning]]:
    active = _activity(node)
    if active is None or active.ndim < 2 or len(active) < FEW:
        return
    # A unit is a column of (N, D), a place along the last axis of (N, T, D), or a channel of (N, C, H, W).
    units = 1 if active.ndim != 3 else 2
    alive = active.any(axis=tuple(axis for axis in range(active.ndim) if axis != units))
    dead = alive.size - int(alive.sum())
    if dead > DEAD * alive.size:
        place = node.scope or f"the layer of {alive.size} units"
        yield (
            f"dead {node.scope} {active.shape[1:]}",
            DeadUnitsWarning(
                f"{node.name} in {place}: {dead} of {alive.size} units are active for none of the {len(active)} "
                f"samples, so they learn nothing; lower the learning rate, begin with smaller weights or with biases "
                f"of 0, or use mg.leaky_relu"
            ),
        )


def _activity(node: Node) -> Any:
    """Return where a ReLU let its input through, if the node is one, in whichever way it was written."""
    if node.plan is None or node.name not in ("relu", "maximum"):
        return None
    saved = dict(zip(node.plan.reads, node.saved))
    if node.name == "relu":
        return value_of(saved["out"]) > 0 if "out" in saved else None
    x, y = (value_of(saved.get(name)) for name in ("x", "y"))
    if x is None or y is None or 0 not in (np.size(x) - 1, np.size(y) - 1):
        return None
    if np.size(x) == 1:  # np.maximum(0, x)
        x, y = y, x
    return x > y if not np.any(y) else None


_NORMS = ("batchnorm", "spatial_batchnorm")


def _bias_before_norm(node: Node, nodes: list[Node]) -> Iterator[tuple[str, MinigradWarning]]:
    if node.name not in _NORMS or node.parents[0] is None:
        return
    before = nodes[node.parents[0]]
    bias = _bias_of(before, nodes)
    if bias is not None:
        yield (
            f"bias {bias.scope} {bias.name}",
            BiasBeforeNormWarning(
                f"{node.name} in {node.scope or 'forward'}: it subtracts the mean, and with it the bias "
                f"{bias.name or before.name}, which therefore learns nothing; leave the bias out (bias=False)"
            ),
        )


def _bias_of(node: Node, nodes: list[Node]) -> Node | None:
    """Return the input that an affine map, a convolution or a plain addition adds, one number per unit."""
    if node.name in ("affine", "biased_convolution"):
        candidates = node.parents[2:3]
    elif node.name == "add":
        candidates = node.parents
    else:
        return None
    for parent in candidates:
        if parent is not None and nodes[parent].role == "input" and len(nodes[parent].shape) == 1:
            return nodes[parent]
    return None


def warn(
    found: Iterator[tuple[str, MinigradWarning]], said: set[str], network: str, known: tuple[type[Warning], ...]
) -> None:
    """Give each warning that has not been given before, with the network's name in front; none of the known kinds."""
    for key, warning in found:
        if key not in said and not isinstance(warning, known):
            said.add(key)
            warnings.warn(type(warning)(f"{network}: {warning}"), stacklevel=5)
