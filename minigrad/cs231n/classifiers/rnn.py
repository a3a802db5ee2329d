"""The course's ``classifiers/rnn.py``."""

from __future__ import annotations

from ..networks import CaptioningRNN

__all__ = ["CaptioningRNN"]
