"""Data sets, as the dict of six arrays that a Solver takes."""

from minigrad.data.cifar10 import CIFAR10_CLASSES, cifar10
from minigrad.data.digits import digits
from minigrad.data.mnist import mnist

__all__ = ["CIFAR10_CLASSES", "cifar10", "digits", "mnist"]
