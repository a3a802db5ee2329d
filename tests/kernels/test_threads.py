"""OpenBLAS's idle threads: told to sleep, unless the user has said what they should do; nothing else is touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="its threads are why OpenBLAS's have to sleep")

ROOT = Path(__file__).parent.parent.parent

WORK = """
import os
before = dict(os.environ)
import threading
import numpy as np
import minigrad as mg
from minigrad.kernels import threads
x = np.random.default_rng(0).standard_normal((300, 300))
expected = x @ x
print(threads.describe())
f = mg.compile(lambda x: np.tanh(x * 2) + np.exp(-x))
{work}
print(threads.describe())
assert dict(os.environ) == before
assert np.allclose(x @ x, expected)
for _ in range(20):
    assert np.allclose(f(x), np.tanh(x * 2) + np.exp(-x))
    assert np.allclose(x @ x, expected)
assert dict(os.environ) == before
assert threads.describe() in mg.kernels.report()
print(threads.describe())
"""
IN_A_THREAD = """
thread = threading.Thread(target=f, args=(x,))
thread.start()
thread.join()
"""


def run(work="f(x)", **environment):
    names = ("OPENBLAS_THREAD_TIMEOUT", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "NUMBA_THREADING_LAYER")
    env = {name: value for name, value in os.environ.items() if name not in names}
    env |= {"PYTHONPATH": str(ROOT), "MINIGRAD_KERNELS": "numba"} | environment
    done = subprocess.run([sys.executable, "-c", WORK.format(work=work)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


AS_THEY_WERE = "OpenBLAS's idle threads as they were"
SETTLED = ("OpenBLAS's idle threads sleep", "no OpenBLAS whose idle threads could be told to sleep")


def test_the_first_kernel_with_threads_settles_it():
    before, after, end = run()
    assert before == AS_THEY_WERE
    assert after in SETTLED and end == after


@pytest.mark.parametrize("value", ["4", "20"])
def test_what_the_user_has_set_stands(value):
    _, after, end = run(OPENBLAS_THREAD_TIMEOUT=value)
    assert after == end == f"OPENBLAS_THREAD_TIMEOUT={value} was set"


@pytest.mark.parametrize("variable", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_numbas_own_threads_as_the_user_has_set(variable):
    _, after, _ = run(**{variable: "PASSIVE" if variable == "OMP_WAIT_POLICY" else "100"})
    assert after in SETTLED


def test_while_other_threads_run_it_waits():
    """One of them may be in the midst of a product: it is settled at the first call without."""
    _, after, end = run(IN_A_THREAD)
    assert after in (AS_THEY_WERE, SETTLED[1])
    assert end in SETTLED


def test_numbas_simplest_threads():
    _, after, end = run(NUMBA_THREADING_LAYER="workqueue")
    assert after in SETTLED and end in SETTLED


def test_many_callers_of_numbas_simplest_threads():
    work = """
workers = [threading.Thread(target=lambda: [f(x) for _ in range(50)]) for _ in range(4)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
"""
    _, _, end = run(work, NUMBA_THREADING_LAYER="workqueue")
    assert end in SETTLED
