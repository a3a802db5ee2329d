"""Measures: every system in a process of its own, checked against NumPy by hand before it is timed.

Systems take turns, round by round, each with a slice of time in which it makes batches of training steps of at least 4
milliseconds. A slice during which other processes used the machine is repeated. A system's time is the 10th percentile
of its batches; times compare within one run only. A system that is not installed, fails or disagrees is an entry that
says so.

What comes of it is plain data, which `page` makes tables of::

    {"machine": {...}, "how": {...},
     "steps": {workload: {system: {"ms": 1.2, "batches": 300, "disturbed": 0, "loss": 1e-7, "gradient": 1e-6}}},
     "memory": {workload: {system: {"bytes": 1000000}}},
     "graph": {system: {ops: {"us_per_op": 4.0, "bytes_per_op": 600.0}}},
     "imports": {package: {"ms": 60.0}}}

with ``{"error": "why"}`` for what could not be measured.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import systems
from .systems import SYSTEMS

__all__ = [
    "GRAPH_SIZES",
    "Worker",
    "disagreement",
    "machine",
    "measure_graph",
    "measure_imports",
    "measure_memory",
    "time_steps",
]

ROOT = Path(__file__).resolve().parent.parent

TOLERANCE = 1e-4
"""How far loss and gradients may be from NumPy by hand, relatively."""
SEEDS = (2, 3, 4, 5)
"""Of the data to agree on."""
TRAINED_TOLERANCE = 1e-3
"""How far the loss may be after a few updates."""
DISTURBED = 0.05
"""The share of the machine that others may use during a slice."""
TRIES = 3
PAUSE = 0.12
"""Seconds before a slice: the threads of the system before have stopped spinning by then."""
PATIENCE = 240
"""Seconds that a system may take for anything."""

GRAPH_SIZES = (1_000, 10_000, 100_000, 1_000_000)
GRAPH_SYSTEMS = ("numpy", "minigrad", "torch", "autograd", "mygrad")
GRAPH_SECONDS = 20
"""A graph that will take longer, judging by the one before, is left out."""
MEMORY_WORKLOADS = ("W4", "W5", "W7")
MEMORY_SYSTEMS = tuple(name for name in SYSTEMS if name not in ("torch-compile", "autograd", "mygrad"))
PACKAGES = ("minigrad", "autograd", "mygrad", "torch", "jax", "numba")

Entry = dict[str, Any]
Say = Callable[[str], None]


class Worker:
    """A process that does one job of `worker` for one system. A context manager: it ends with the block."""

    def __init__(self, job: str, system: str, *arguments: str) -> None:
        self.system = system
        command = [sys.executable, "-m", "benchmarks.worker", job, system, *arguments]
        environment = {"JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore", **os.environ, **SYSTEMS[system].environment}
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.answers: queue.Queue[str] = queue.Queue()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.answers.put(line)
        self.answers.put("")

    def answer(self) -> Entry:
        """Wait for the next answer."""
        try:
            line = self.answers.get(timeout=PATIENCE)
        except queue.Empty:
            return {"error": f"no answer within {PATIENCE} seconds"}
        if line:
            return json.loads(line)
        status = self.process.wait()
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
        self.errors.seek(0)
        words = self.errors.read().strip().splitlines()
        return {"error": f"its process ended {how}" + (f": {words[-1]}" if words else "")}

    def ask(self, *words: Any) -> Entry:
        """Send a line of input, and wait for the answer."""
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(words), file=self.process.stdin, flush=True)
        return self.answer()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.listener.join()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(BrokenPipeError):  # closing flushes
                stream.close()  # type: ignore[union-attr]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def ask_once(job: str, system: str, *arguments: str) -> Entry:
    """Have a process of its own do a job that has one answer."""
    if reason := systems.missing(system):
        return {"error": reason}
    with Worker(job, system, *arguments) as worker:
        return worker.answer()


# --- training steps --------------------------------------------------------------------------------------------------


def time_steps(workload: str, names: list[str], rounds: int, seconds: float, say: Say) -> dict[str, Entry]:
    """Time training steps of a workload by several systems; the first is what the others have to agree with."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker("steps", name, workload)) for name in names if not systems.missing(name)
        }
        expected = _Checked(workers[names[0]], Path(folder))

        def prepare(name: str) -> Entry:
            if reason := systems.missing(name):
                return {"error": reason}
            entry = agreement(_Checked(workers[name], Path(folder)), expected)
            return entry if "error" in entry else {**entry, **workers[name].ask("warm")}

        found: dict[str, Entry] = {}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, entry in zip(names, pool.map(prepare, names)):
                found[name] = entry
                say(f"{workload} {SYSTEMS[name].label}: {_said(entry)}")
                if "error" in entry and name in workers:
                    workers[name].end()
        ask = {name: partial(workers[name].ask, "slice", seconds) for name in names if "error" not in found[name]}
        slices = take_turns(ask, found, rounds)
    return {name: {**entry, **summary(slices.get(name, []))} for name, entry in found.items()}


class _Checked:
    """What a system computes on the data of a seed; each is asked for once. It may be used by several threads."""

    def __init__(self, worker: Worker, folder: Path) -> None:
        self.worker, self.folder = worker, folder
        self.answers: dict[int, tuple[Entry, dict[str, np.ndarray]]] = {}
        self.lock = threading.Lock()

    def __call__(self, seed: int) -> tuple[Entry, dict[str, np.ndarray]]:
        with self.lock:
            if seed not in self.answers:
                self.answers[seed] = self._ask(seed)
            return self.answers[seed]

    def _ask(self, seed: int) -> tuple[Entry, dict[str, np.ndarray]]:
        file = self.folder / f"{self.worker.system}-{seed}.npz"
        answer = self.worker.ask("check", seed, str(file))
        if "error" in answer:
            return answer, {}
        with np.load(file) as arrays:
            return answer, dict(arrays)


Computed = Callable[[int], tuple[Entry, dict[str, np.ndarray]]]


def agreement(computed: Computed, expected: Computed) -> Entry:
    """Return a system's entry: how well it agrees, or the error that it does not.

    Among millions of ReLUs there is often one whose input is zero but for rounding. It goes one way in one system and
    the other way in another, and that alone moves a gradient by more than is tolerated. So gradients that differ are
    compared anew on other data: to agree once is enough, for who computes something else never does.
    """
    for seed in SEEDS:
        (answer, grads), (right, right_grads) = computed(seed), expected(seed)
        if "error" in answer:
            return answer
        if "error" in right:
            return {"error": f"nothing to agree with: {right['error']}"}
        entry = compared(answer, grads, right, right_grads)
        if entry.get("gradient", 0.0) < TOLERANCE:
            break
    return entry


def compared(answer: Entry, grads: dict[str, Any], expected: Entry, expected_grads: dict[str, Any]) -> Entry:
    """Return the entry of a system whose loss and gradients have been compared with the expected ones."""
    entry = {
        "loss": abs(answer["loss"] / expected["loss"] - 1),
        "gradient": disagreement(grads, expected_grads),
    }
    if answer["dtypes"] != ["float32"]:
        return {**entry, "error": f"its gradients are {', '.join(answer['dtypes'])}, not float32"}
    if not max(entry.values()) < TOLERANCE:
        return {**entry, "error": "it disagrees: loss by {loss:.1e}, gradients by {gradient:.1e}".format(**entry)}
    if "trained" not in answer:
        return {**entry, "slow": True}
    if not abs(answer["trained"] / expected["trained"] - 1) < TRAINED_TOLERANCE:
        return {**entry, "error": f"after some updates its loss is {answer['trained']}, not {expected['trained']}"}
    return entry


def disagreement(grads: dict[str, Any], expected: dict[str, Any]) -> float:
    """Return how far gradients are from the expected ones: the largest relative distance of a parameter's.

    One that should be nearly zero (a bias before batch normalisation) is measured against the largest of all.
    """
    if grads.keys() != expected.keys() or any(grads[name].shape != g.shape for name, g in expected.items()):
        return math.inf
    norms = {name: np.linalg.norm(g.astype(np.float64)) for name, g in expected.items()}
    least = TOLERANCE * max(norms.values())
    return max(
        float(np.linalg.norm(grads[name].astype(np.float64) - g) / max(norms[name], least))
        for name, g in expected.items()
    )


def take_turns(ask: dict[str, Callable[[], Entry]], entries: dict[str, Entry], rounds: int) -> dict[str, list[Entry]]:
    """Give each system a slice in each round, a slow one in the first only; each round begins with another system."""
    slices: dict[str, list[Entry]] = {name: [] for name in ask}
    order = list(ask)
    for i in range(rounds):
        start = i % max(1, len(order))
        for name in order[start:] + order[:start]:
            if i == 0 or "slow" not in entries[name]:
                slices[name].append(quietest(ask[name]))
    return slices


def quietest(take: Callable[[], Entry], pause: float = PAUSE) -> Entry:
    """Take a slice, and again if others used the machine meanwhile; return the one with which they interfered least."""
    best: Entry = {"foreign": math.inf}
    for _ in range(TRIES):
        time.sleep(pause)
        taken = take()
        if "error" in taken or taken["foreign"] < best["foreign"]:
            best = taken
        if "error" in best or best["foreign"] < DISTURBED:
            break
    return best


def summary(slices: list[Entry]) -> Entry:
    """Return what is reported of a system's slices; nothing if there are none."""
    for taken in slices:
        if "error" in taken:
            return {"error": taken["error"]}
    batches = [duration for taken in slices for duration in taken["batches"]]
    if not batches:
        return {}
    return {
        "ms": 1e3 * float(np.quantile(batches, 0.1)),
        "batches": len(batches),
        "disturbed": sum(taken["foreign"] >= DISTURBED for taken in slices),
    }


def _said(entry: Entry) -> str:
    if "error" in entry:
        return entry["error"]
    return "agrees: loss {loss:.0e}, gradients {gradient:.0e}".format(**entry)


# --- memory, graph size, imports ------------------------------------------------------------------------------------


def measure_memory(workloads: Iterable[str], names: Iterable[str], say: Say) -> dict[str, dict[str, Entry]]:
    """Measure the peak memory of a training step."""
    found: dict[str, dict[str, Entry]] = {}
    for workload in workloads:
        if workload in MEMORY_WORKLOADS:
            say(f"{workload}: memory")
            found[workload] = {name: ask_once("memory", name, workload) for name in names if name in MEMORY_SYSTEMS}
    return found


def measure_graph(names: Iterable[str], say: Say) -> dict[str, dict[str, Entry]]:
    """Measure time and memory against the number of ops."""
    found: dict[str, dict[str, Entry]] = {}
    for name in names:
        if name in GRAPH_SYSTEMS:
            say(f"graph size: {SYSTEMS[name].label}")
            found[name] = {str(ops): entry for ops, entry in _by_size(name)}
    return found


def _by_size(name: str) -> Iterator[tuple[int, Entry]]:
    expected = 0.0
    for ops in GRAPH_SIZES:
        if expected > GRAPH_SECONDS:
            yield ops, {"error": f"it would take more than {GRAPH_SECONDS} seconds"}
            continue
        answer = ask_once("graph", name, str(ops))
        if "error" in answer:
            yield ops, answer
            continue
        expected = 10 * answer["seconds"]
        yield ops, {"us_per_op": 1e6 * answer["seconds"] / ops, "bytes_per_op": answer["bytes"] / ops}


def measure_imports(say: Say, repeats: int = 5) -> dict[str, Entry]:
    """Measure what it takes to import a package when NumPy is there already: the median over fresh processes."""
    say("imports")
    found: dict[str, Entry] = {"numpy": {"ms": _import_ms("pass", "numpy", repeats)}}
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            found[package] = {"error": f"{package} is not installed"}
        else:
            found[package] = {"ms": _import_ms("import numpy", package, repeats)}
    return found


def _import_ms(before: str, package: str, repeats: int) -> float:
    text = f"{before}; import time; t = time.perf_counter(); import {package}; print(time.perf_counter() - t)"
    # With bytecode caches, as after any installation; the first run makes them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-W", "ignore", "-c", text]
    run = lambda: float(subprocess.check_output(command, cwd=ROOT, env=environment, text=True).split()[-1])  # noqa: E731
    return 1e3 * float(np.median([run() for _ in range(1 + repeats)][1:]))


# --- the machine ----------------------------------------------------------------------------------------------------


def machine() -> Entry:
    """Describe the machine and what is installed."""
    names = ("minigrad", "numpy", "numba", "torch", "jax", "autograd", "mygrad")
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "blas": np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"],  # type: ignore[call-overload]
        "versions": {name: _version(name) for name in names if importlib.util.find_spec(name)},
        "date": datetime.date.today().isoformat(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # run from its folder
        return getattr(importlib.import_module(name), "__version__", "unknown")
