"""The course's ``classifiers/fc_net.py``."""

from __future__ import annotations

from ..networks import FullyConnectedNet, TwoLayerNet

__all__ = ["FullyConnectedNet", "TwoLayerNet"]
