"""The course's ``optim.py``."""

from __future__ import annotations

from ..optim import adam, rmsprop, sgd, sgd_momentum

__all__ = ["adam", "rmsprop", "sgd", "sgd_momentum"]
