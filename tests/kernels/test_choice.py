"""The choice of kernels: asked for from inside and outside, and what happens where Numba is not as it should be."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import choice as choices

ROOT = Path(__file__).parent.parent.parent
NUMBA = importlib.util.find_spec("numba") is not None
with_numba = pytest.mark.skipif(not NUMBA, reason="it is about Numba's kernels")

# A training step that goes through kernels, compiled and not, in a process of its own.
WORK = """
import logging, sys
messages = []
class Keep(logging.Handler):
    def emit(self, record):
        messages.append((record.levelname, record.getMessage()))
log = logging.getLogger("minigrad.kernels")
log.setLevel(logging.DEBUG)
log.addHandler(Keep())
{before}
import numpy as np
import minigrad as mg
X, y = np.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8), np.array([0, 1])
model = mg.models.ConvNet((3, 8, 8), (3, 4), 1, (6,), 3, seed=0)
for each in (model, mg.compile(model)):
    loss, grads = each.loss(X, y)
x = np.linspace(-1, 1, 40000)
assert np.allclose(mg.ops.sigmoid(x), 1 / (1 + np.exp(-x)))
assert np.allclose(mg.compile(lambda x: np.tanh(x * 2) + 1)(x), np.tanh(x * 2) + 1)
print(mg.kernels.report().splitlines()[0])
print(len(messages), *messages)
"""


def run(before="", **environment):
    """Run the work in a process of its own; return the first line of the report, and the messages."""
    env = {name: value for name, value in os.environ.items() if name != "MINIGRAD_KERNELS"} | environment
    env["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WORK.format(before=before)], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# --- from inside ------------------------------------------------------------------------------------------------------


def test_what_does_not_exist_is_refused():
    before = mg.kernels.report()
    with pytest.raises(ValueError, match="auto, numpy, numba, and 'cuda' came"):
        mg.kernels.use("cuda")
    with pytest.raises(ValueError, match="'fast' came"), mg.kernels.using("fast"):
        pass
    assert mg.kernels.report() == before


def test_using_puts_back_what_was():
    before = choices._state.choice
    with mg.kernels.using("numpy"):
        assert choices._state.choice == "numpy"
        assert mg.kernels.fast() is None and mg.kernels.compiled("loss") is None
        with mg.kernels.using("auto"):
            assert choices._state.choice == "auto"
        assert choices._state.choice == "numpy"
        with pytest.raises(KeyError), mg.kernels.using("auto"):
            raise KeyError
        assert choices._state.choice == "numpy"
    assert choices._state.choice == before


def test_report_names_every_kernel():
    with mg.kernels.using("numpy"):
        head, *lines = mg.kernels.report().splitlines()
    assert head == "kernels: NumPy (NumPy's were asked for)"
    assert all(line.endswith(": NumPy") for line in lines)
    names = [line.split(":")[0].strip() for line in lines]
    assert names == sorted(set(names), key=lambda name: tuple(name.split(".")))
    assert {name.split(".")[0] for name in names} == set(mg.kernels.MODULES)


@with_numba
def test_report_with_numba():
    with mg.kernels.using("numba"):
        head, *lines = mg.kernels.report().splitlines()
        assert head.startswith("kernels: Numba 0.") and "threads" in head
        assert any(line.endswith(": Numba") for line in lines)
        assert mg.kernels.compiled("no such module") is None


@with_numba
def test_a_counterpart_may_decline(monkeypatch):
    asked = []

    def decline(*args, **kwargs):
        asked.append(args)
        return NotImplemented

    from minigrad.kernels import activation

    with mg.kernels.using("numba"):
        mg.kernels.report()
        monkeypatch.setattr(activation.sigmoid, "compiled", decline)
        found = activation.sigmoid(np.zeros(3))
        monkeypatch.undo()
    np.testing.assert_array_equal(found, np.full(3, 0.5))
    assert len(asked) == 1


def test_a_kernel_without_a_counterpart():
    @choices.kernel
    def lonely(x, *, factor=2):
        """Its own text."""
        return x * factor

    try:
        lonely.module = "activation"
        assert lonely.__doc__ == "Its own text." and lonely.__name__ == "lonely"
        for choice in ("numpy", "auto"):
            with mg.kernels.using(choice):
                assert lonely(3) == 6 and lonely(3, factor=5) == 15
                assert lonely.compiled is None
                assert "lonely" not in mg.kernels.report()  # which lists the package's own
    finally:
        choices.KERNELS.remove(lonely)


def test_wrong_arguments_raise_both_ways():
    from minigrad.kernels import activation

    for choice in ("numpy", "numba") if NUMBA else ("numpy",):
        with mg.kernels.using(choice), pytest.raises(TypeError):
            activation.sigmoid()


# --- from outside -----------------------------------------------------------------------------------------------------


def test_numpy_from_outside():
    head, messages = run(MINIGRAD_KERNELS="numpy")
    assert head == "kernels: NumPy (NumPy's were asked for)"
    assert messages == "0"


@with_numba
@pytest.mark.parametrize("value", ["numba", "auto"])
def test_numba_from_outside(value):
    head, *_ = run(MINIGRAD_KERNELS=value)
    assert head.startswith("kernels: Numba")


def test_nonsense_from_outside():
    with pytest.raises(AssertionError, match="MINIGRAD_KERNELS is one of auto, numpy, numba, and 'fast' came"):
        run(MINIGRAD_KERNELS="fast")


# --- Numba absent, old, broken ----------------------------------------------------------------------------------------

ABSENT = "sys.modules['numba'] = None"
OLD = """
import types
numba = types.ModuleType("numba")
numba.__version__ = "0.53.1"
sys.modules["numba"] = numba
"""
BROKEN = """
import importlib.abc
class Broken(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "numba":
            raise {error}
sys.meta_path.insert(0, Broken())
"""
HOLLOW = OLD.replace("0.53.1", "0.68.0")  # it says that it is recent, and has nothing in it
CASES = {
    "absent": (ABSENT, "ModuleNotFoundError"),
    "old": (OLD, "Numba 0.53.1 is older than 0.60"),
    "without a library": (BROKEN.format(error="OSError('no libLLVM')"), "OSError: no libLLVM"),
    "with NumPy too new": (BROKEN.format(error="SystemError('initialization failed')"), "SystemError"),
    "without its version": (OLD.replace('numba.__version__ = "0.53.1"', ""), "AttributeError"),
    "with an odd version": (OLD.replace("0.53.1", "dev"), "ValueError"),
    "hollow": (HOLLOW, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_everything_works_without_numba_and_says_so_once(case):
    before, reason = CASES[case]
    head, messages = run(before)
    assert head.startswith("kernels: NumPy (") and reason in head
    assert messages.startswith("1 ('DEBUG', ") and "minigrad's kernels are NumPy's: " in messages


def test_without_compilation():
    head, messages = run(NUMBA_DISABLE_JIT="1") if NUMBA else run(ABSENT)
    assert head.startswith("kernels: NumPy (") and messages.startswith("1 ('DEBUG'")


def test_numba_asked_for_and_absent():
    before = (
        ABSENT
        + "\nimport minigrad\ntry:\n    minigrad.kernels.use('numba')\nexcept ImportError:\n    log.debug('refused')"
    )
    head, messages = run(before)
    assert head.startswith("kernels: NumPy (ModuleNotFoundError")
    assert "refused" in messages


# --- forked processes -------------------------------------------------------------------------------------------------

FORK = """
import os, sys
import numpy as np
import minigrad as mg
x = np.linspace(-1, 1, 100_000)
f = mg.compile(lambda x: np.tanh(x * 2) + 1)
def work():
    assert np.allclose(mg.ops.sigmoid(x), 1 / (1 + np.exp(-x)))
    assert np.allclose(f(x), np.tanh(x * 2) + 1)
work()
{fork}
if not child:
    work()
    {after}
    mg.kernels.report()
    os._exit(7)
work()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("after", ["pass", "mg.kernels.use('auto'); work()"])
@pytest.mark.parametrize("fork", ["child = os.fork()", "with mg.kernels.using('auto'): child = os.fork()"])
def test_a_forked_process_can_compute(fork, after):
    env = os.environ | {"PYTHONPATH": str(ROOT), "MINIGRAD_KERNELS": "auto"}
    text = FORK.format(fork=fork, after=after)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=env, timeout=60)
    assert done.stdout == "7\n", done.stderr
