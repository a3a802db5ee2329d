"""Which kernel runs: the one written in NumPy, or its counterpart that Numba compiles.

A kernel is a function in one of this room's modules, marked with :func:`kernel`. Its counterpart is a function of the
same name and arguments in the module of the same name in `jit/`. It may decline a call (other dtypes than float32 and
float64, too few numbers to be worth it) by returning `NotImplemented`: then NumPy's runs. Nobody who calls a kernel
needs to know which of them it was; they agree to rounding.

Without Numba, with one that is too old, and where anything goes wrong while it is set up, all kernels are NumPy's, and
a message at debug level, once, says why.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Kernel", "compiled", "fast", "kernel", "report", "use", "using"]

LOG = logging.getLogger("minigrad.kernels")

KERNELS: list[Kernel] = []

CHOICES = ("auto", "numpy", "numba")


class _State:
    """What was asked for, and what came of it."""

    def __init__(self) -> None:
        self.choice = os.environ.get("MINIGRAD_KERNELS", "auto")
        self.room: Any = None  # the package jit, once it is loaded
        self.reason = "no kernel has run yet"  # why the kernels are NumPy's, where they are
        self.settled = False  # whether the question of Numba has been answered
        self.forked = False  # whether this process was forked from one that runs Numba's threads
        self.lock = threading.RLock()


_state = _State()


class Kernel:
    """A function on arrays, in NumPy, that hands over to its compiled counterpart where there is one."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.numpy = function
        self.module = function.__module__.rpartition(".")[2]
        self.compiled: Callable[..., Any] | None = None
        self._known = False  # whether `compiled` has been looked for
        functools.update_wrapper(self, function)
        KERNELS.append(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        compiled = self.compiled if self._known else self._find()
        if compiled is not None:
            result = compiled(*args, **kwargs)
            if result is not NotImplemented:
                return result
        return self.numpy(*args, **kwargs)

    def _find(self) -> Callable[..., Any] | None:
        room = fast()
        if room is not None:
            self.compiled = getattr(_module(room, self.module), self.__name__, None)
        self._known = True
        return self.compiled

    def forget(self) -> None:
        """Look for the counterpart again at the next call."""
        self.compiled, self._known = None, False


def kernel(function: Callable[..., Any]) -> Kernel:
    """Mark a function as a kernel that may have a compiled counterpart. A decorator."""
    return Kernel(function)


def fast() -> Any:
    """Return the package of compiled kernels, or None if NumPy's are to be used."""
    if not _state.settled:
        with _state.lock:
            if not _state.settled:
                _settle()
    return _state.room


def _settle() -> None:
    if _state.choice not in CHOICES:
        raise ValueError(f"MINIGRAD_KERNELS is one of {', '.join(CHOICES)}, and {_state.choice!r} came")
    _state.room = None
    if _state.choice == "numpy":
        _state.reason = "NumPy's were asked for"
    elif _state.forked:
        _state.reason = "this process was forked from one that runs Numba's threads"
        if _state.choice == "numba":
            raise ImportError(f"no kernels of Numba's: {_state.reason}; start it by spawning")
    else:
        try:
            _state.room = importlib.import_module(f"{__package__}.jit")
            _state.reason = ""
        except Exception as error:  # whatever a broken installation raises: everything works without
            _state.reason = f"{type(error).__name__}: {error}"
            LOG.debug("minigrad's kernels are NumPy's: %s", _state.reason)
            if _state.choice == "numba":
                raise
    _state.settled = True


def compiled(name: str) -> Any:
    """Return a module of `jit/`, or None where kernels are NumPy's."""
    room = fast()
    return None if room is None else _module(room, name)


def _module(room: Any, name: str) -> Any:
    """Return a module of compiled kernels, or None if it has none of that name."""
    if name not in room.MODULES:
        return None
    return importlib.import_module(f"{room.__name__}.{name}")


def use(choice: str) -> None:
    """Choose the kernels of this process from now on.

    Parameters
    ----------
    choice : {"auto", "numpy", "numba"}
        ``"auto"`` takes Numba's where Numba is installed and works; ``"numba"`` raises what went wrong where not.
        The environment variable ``MINIGRAD_KERNELS`` says the same from outside.

    Raises
    ------
    ValueError
        If it is none of these.
    ImportError
        If ``"numba"`` is asked for, and Numba is not there.

    Examples
    --------
    >>> import minigrad as mg
    >>> with mg.kernels.using("numpy"):
    ...     print(mg.kernels.report().splitlines()[0])
    kernels: NumPy (NumPy's were asked for)
    """
    if choice not in CHOICES:
        raise ValueError(f"kernels are one of {', '.join(CHOICES)}, and {choice!r} came")
    with _state.lock:
        before = _state.choice
        _state.choice, _state.settled = choice, False
        for each in KERNELS:
            each.forget()
        try:
            fast()
        except Exception:
            _state.choice, _state.settled = before, False
            raise


@contextmanager
def using(choice: str) -> Iterator[None]:
    """Choose the kernels for the time of a ``with`` block, in all threads."""
    before = _state.choice
    use(choice)
    try:
        yield
    finally:
        use(before)


def report() -> str:
    """Say which kernels are in use, and why.

    Returns
    -------
    str
        One line about Numba, then one for each kernel.
    """
    room = fast()
    for module in _modules():
        importlib.import_module(f"{__package__}.{module}")
    head = f"kernels: NumPy ({_state.reason})" if room is None else f"kernels: {room.describe()}"
    lines = [head]
    ours = (each for each in KERNELS if each.numpy.__module__ == f"{__package__}.{each.module}")
    for each in sorted(ours, key=lambda each: (each.module, each.__name__)):
        found = each.compiled if each._known else each._find()
        lines.append(f"  {each.module}.{each.__name__}: {'NumPy' if found is None else 'Numba'}")
    return "\n".join(lines)


def _modules() -> list[str]:
    """Return the names of the modules that kernels are in."""
    from . import MODULES

    return list(MODULES)


def _in_a_child() -> None:
    """Take NumPy's kernels in a process forked from one whose threads Numba runs: those threads are not there."""
    _state.lock = threading.RLock()  # another thread may have held the parent's
    if _state.room is not None and not _state.room.forks_safely():
        _state.forked, _state.settled = True, False
        _state.choice = "auto" if _state.choice == "numba" else _state.choice
        for each in KERNELS:
            each.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_child)
