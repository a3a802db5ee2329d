"""Containers of arrays: take the leaves out of dicts, lists, tuples and dataclasses, put others in, and name them.

>>> leaves, tree = flatten({"W": 1.0, "b": [2.0, 3.0]})
>>> leaves
[1.0, 2.0, 3.0]
>>> tree.paths
("['W']", "['b'][0]", "['b'][1]")
>>> tree.unflatten([10.0, 20.0, 30.0])
{'W': 10.0, 'b': [20.0, 30.0]}
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["Tree", "argument_names", "flatten", "map_leaves", "path_name"]


class Tree:
    """The shape of a container: how to rebuild it, and the path that leads to each leaf."""

    __slots__ = ("_build", "paths")

    def __init__(self, build: Callable[[Any], Any], paths: tuple[str, ...]) -> None:
        self._build = build
        self.paths = paths

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """Rebuild the container around other leaves, given in the order of :attr:`paths`."""
        if len(leaves) != len(self.paths):
            raise ValueError(f"this container has {len(self.paths)} leaves, and {len(leaves)} came")
        return self._build(iter(leaves))


def flatten(container: Any) -> tuple[list[Any], Tree]:
    """Take the leaves out of nested dicts, lists, tuples, named tuples and dataclasses; everything else is a leaf.

    Dict entries keep their order. Returns the leaves and the :class:`Tree` that puts them back.
    """
    if type(container) is dict and set(map(type, container.values())) == {np.ndarray}:  # most parameters are
        return list(container.values()), _flat_tree(*container)
    leaves: list[Any] = []
    paths: list[str] = []
    build = _flatten(container, "", leaves, paths)
    return leaves, Tree(build, tuple(paths))


@functools.lru_cache(typed=True)  # 1, 1.0 and True are one key of a dict, and three paths
def _flat_tree(*keys: Any) -> Tree:
    """Return the shape of a dict of arrays."""
    return Tree(lambda source: dict(zip(keys, source)), tuple([f"[{key!r}]" for key in keys]))


def _flatten(item: Any, path: str, leaves: list[Any], paths: list[str]) -> Callable[[Any], Any]:
    kind = type(item)
    if kind is np.ndarray:  # what most leaves are
        leaves.append(item)
        paths.append(path)
        return next
    if isinstance(item, dict):
        entries = {key: _flatten(entry, f"{path}[{key!r}]", leaves, paths) for key, entry in item.items()}
        if kind is dict:
            return lambda source: {key: part(source) for key, part in entries.items()}
        empty = copy.copy(item)  # keeps what a subclass has beside its entries, such as a defaultdict's factory
        empty.clear()
        return lambda source: _filled(copy.copy(empty), [(key, part(source)) for key, part in entries.items()])
    if hasattr(kind, "__dataclass_fields__"):
        names = [field.name for field in dataclasses.fields(item) if field.init]
        parts = [_flatten(getattr(item, name), f"{path}.{name}", leaves, paths) for name in names]
        return lambda source: kind(**{name: part(source) for name, part in zip(names, parts)})
    if isinstance(item, tuple) and hasattr(item, "_fields"):
        parts = [_flatten(getattr(item, name), f"{path}.{name}", leaves, paths) for name in item._fields]
        return lambda source: kind(*[part(source) for part in parts])
    if isinstance(item, (list, tuple)):
        parts = [_flatten(entry, f"{path}[{number}]", leaves, paths) for number, entry in enumerate(item)]
        return lambda source: kind([part(source) for part in parts])
    leaves.append(item)
    paths.append(path)
    return next


def _filled(empty: Any, entries: list[tuple[Any, Any]]) -> Any:
    empty.update(entries)
    return empty


def map_leaves(function: Callable[[Any], Any], container: Any) -> Any:
    """Apply a function to every leaf and return the same container around the results.

    >>> map_leaves(abs, (-1, {"a": -2}))
    (1, {'a': 2})
    """
    leaves, tree = flatten(container)
    return tree.unflatten([function(leaf) for leaf in leaves])


@functools.lru_cache(maxsize=4096)
def path_name(path: str, container: str = "") -> str:
    """Turn the path of a leaf into a readable name, after that of the container if it has one.

    >>> path_name("['W1']"), path_name("['block']['W'][0]"), path_name("['W1']", "params")
    ('W1', 'block.W[0]', 'params.W1')
    """
    name = path.replace("']['", ".").replace("['", ".").replace("']", "")
    return container + name if container else name.removeprefix(".")


def argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Return a function's names for its first `count` arguments; ``x0``, ``x1`` where it does not tell.

    >>> argument_names(lambda a, *rest: a, 3), argument_names(lambda x: x, 1)
    (['a', 'rest[0]', 'rest[1]'], ['x'])
    """
    names: list[str] = []
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some functions written in C have no signature
        parameters = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{number}]" for number in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return (names + [f"x{number}" for number in range(len(names), count)])[:count]
