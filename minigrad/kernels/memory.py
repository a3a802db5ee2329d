"""Memory of arrays that are no longer needed: kept for the next ones.

A training step makes arrays of some megabytes, and frees them before it ends. The C library of Linux hands such memory
back to the system at once, or as soon as enough of it lies at the end of its heap, and asks for it again in the next
step; the system then has to clear every page of it anew. That costs more than computing many of these arrays: a sixth
of the time of a small transformer's step. So the C library is told to keep what is freed, up to a limit; where it is
another one, or was given limits of the user's own, nothing is done.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["hand_back", "keep_freed_memory"]

TRIM, MMAP = -1, -3
"""What glibc's ``mallopt`` calls its limits (malloc.h)."""

KEPT = 1 << 28
"""How many free bytes at the end of the heap are not handed back."""

OWN_PAGES = 1 << 25
"""From so many bytes on, an array has pages of its own, which are always handed back; glibc allows no more."""

VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Have the C library keep freed memory for arrays to come; return whether it does."""
    if any(name in os.environ for name in VARIABLES):
        return False
    try:
        library = ctypes.CDLL(None)
        version, mallopt = library.gnu_get_libc_version, library.mallopt  # both, since others may only look like it
    except (OSError, TypeError, AttributeError):
        return False
    return bool(version) and mallopt(TRIM, KEPT) == mallopt(MMAP, OWN_PAGES) == 1


def hand_back() -> None:
    """Give the system back what is free now: after work that is done once, and takes more than what comes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
