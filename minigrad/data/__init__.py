"""Data sets, as the dict of six arrays that a Solver takes."""

from minigrad.data.digits import digits

__all__ = ["digits"]
