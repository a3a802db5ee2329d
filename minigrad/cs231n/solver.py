"""The course's ``solver.py``."""

from __future__ import annotations

from ..solver import Solver

__all__ = ["Solver"]
