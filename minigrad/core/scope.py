"""Scopes: the names of the layers that are running, for pictures, tables and error messages."""

from __future__ import annotations

import itertools
from contextvars import ContextVar

__all__ = ["at_scope", "current_scope", "current_visits", "scope"]

# A context variable, not a module global: threads and asyncio tasks do not see each other's scopes.
_scope: ContextVar[str] = ContextVar("minigrad_scope", default="")

_visits: ContextVar[tuple[tuple[str, int], ...]] = ContextVar("minigrad_visits", default=())
_numbers = itertools.count(1)

current_visits = _visits.get
"""Return the paths of the scopes that are running, each with a number of its own for each time it was entered."""

current_scope = _scope.get
"""Return the path of the scope that is running now; the empty string outside every scope."""


class scope:
    """Name what is recorded inside a ``with`` block. Scopes nest, and their names are joined with ``/``.

    Parameters
    ----------
    name : str
        The layer's name, such as ``"fc1"``.

    Examples
    --------
    >>> import minigrad as mg
    >>> with mg.scope("block1"):
    ...     with mg.scope("fc1"):
    ...         current_scope()
    'block1/fc1'
    """

    __slots__ = ("name",)  # and no memory of what was entered: one object may serve several threads at once

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"a scope's name must be a non-empty string, and {name!r} came")
        self.name = name

    def __enter__(self) -> str:
        outer = _scope.get()
        path = f"{outer}/{self.name}" if outer else self.name
        _scope.set(path)
        _visits.set((*_visits.get(), (path, next(_numbers))))
        return path

    def __exit__(self, *exc_info: object) -> None:
        _scope.set(_scope.get()[: -len(self.name)].removesuffix("/"))
        _visits.set(_visits.get()[:-1])


class at_scope:
    """Go to a whole path instead of one level down: what the backward pass does to name its steps."""

    __slots__ = ("_before", "path")

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        self._before = _scope.set(self.path)

    def __exit__(self, *exc_info: object) -> None:
        _scope.reset(self._before)
