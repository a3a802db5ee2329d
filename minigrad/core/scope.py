"""Scopes: the names of the layers that are running, for pictures, tables and error messages."""

from __future__ import annotations

from contextvars import ContextVar, Token

__all__ = ["current_scope", "scope"]

# A context variable, not a module global: threads and asyncio tasks do not see each other's scopes.
_scope: ContextVar[str] = ContextVar("minigrad_scope", default="")

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

    __slots__ = ("_tokens", "name")

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"a scope's name must be a non-empty string, and {name!r} came")
        self.name = name
        self._tokens: list[Token[str]] = []

    def __enter__(self) -> str:
        outer = _scope.get()
        self._tokens.append(_scope.set(f"{outer}/{self.name}" if outer else self.name))
        return _scope.get()

    def __exit__(self, *exc_info: object) -> None:
        _scope.reset(self._tokens.pop())


class at_scope(scope):
    """Go to a whole path instead of one level down: what the backward pass does to name its steps."""

    __slots__ = ()

    def __init__(self, path: str) -> None:
        self.name = path
        self._tokens = []

    def __enter__(self) -> str:
        self._tokens.append(_scope.set(self.name))
        return self.name
