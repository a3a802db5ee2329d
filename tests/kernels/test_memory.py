"""Freed memory is kept, where the C library can be told to, and where nobody else has said anything."""

import platform
import subprocess
import sys

import pytest

from minigrad.kernels import memory

FAULTS = """
import resource, sys
import numpy as np
from minigrad.kernels import memory

if sys.argv[1] == "keep":
    assert memory.keep_freed_memory()

def step():
    arrays = [np.ones(1 << 20) for _ in range(4)]

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


@pytest.fixture(autouse=True)
def no_limits(monkeypatch):
    for name in memory.VARIABLES:
        monkeypatch.delenv(name, raising=False)


def faults(how):
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@glibc
def test_arrays_take_the_memory_of_those_before_them():
    assert faults("keep") < 0.1 * faults("leave") + 50


@pytest.mark.parametrize("name", memory.VARIABLES)
def test_limits_of_the_user_stay(name, monkeypatch):
    monkeypatch.setenv(name, "1000000")
    assert not memory.keep_freed_memory()


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_without_a_library(error, monkeypatch):
    def fail(name):
        raise error

    monkeypatch.setattr(memory.ctypes, "CDLL", fail)
    assert not memory.keep_freed_memory()


def test_with_another_library(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.keep_freed_memory()
