"""The course's ``classifiers/cnn.py``."""

from __future__ import annotations

from ..networks import ThreeLayerConvNet

__all__ = ["ThreeLayerConvNet"]
