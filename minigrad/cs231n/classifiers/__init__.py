"""The course's ``classifiers``: losses of linear classifiers, and the networks.

Its files ``linear_svm``, ``softmax``, ``fc_net``, ``cnn`` and ``rnn`` are modules here.
"""

from __future__ import annotations

from . import cnn, fc_net, linear_svm, rnn, softmax  # noqa: F401
from .linear_svm import *  # noqa: F403
from .softmax import *  # noqa: F403

__all__ = [*linear_svm.__all__, *softmax.__all__]
