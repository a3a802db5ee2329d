"""What runs in a system's own process, and answers the harness in lines of JSON.

python -m benchmarks.worker steps  SYSTEM WORKLOAD     what the lines of its input tell it, see `Steps`
python -m benchmarks.worker memory SYSTEM WORKLOAD     the memory that a training step takes
python -m benchmarks.worker graph  SYSTEM OPS          time and memory of a graph of so many ops
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import specs
from .systems import SYSTEMS

BATCH = 0.004
"""Seconds of work timed at once, at least: a batch of steps."""
SLOW = 2.0
"""Seconds of a step from which one alone has to do."""
CHECKING_RATE, TIMING_RATE = 1e-3, 1e-6  # while steps are timed, the network shall stay as it is

Answer = dict[str, Any]


def steps(system: str, workload: str) -> Iterator[Answer]:
    """Do what the lines of the input say: each is the name of a method of `Steps` and its arguments, as a JSON list."""
    job = Steps(system, workload)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        yield getattr(job, name)(*arguments)


class Steps:
    """Training steps of a system: checked on some data, made ready, and timed."""

    def __init__(self, system: str, workload: str) -> None:
        self.make, self.variant = runner(system)
        self.workload = workload

    def check(self, seed: int, file: str) -> Answer:
        """Give the loss, the gradients (in a file), and the loss after two updates, unless steps are slow."""
        checked = self.make(self.workload, specs.make(self.workload, seed), CHECKING_RATE, self.variant)
        loss, grads = checked.grads()
        np.savez(file, **grads)
        answer = {"loss": loss, "dtypes": sorted({str(g.dtype) for g in grads.values()})}
        once(checked)  # which compiles, where something is compiled
        if once(checked) < SLOW:
            answer["trained"] = checked.sync(checked.step())
        return answer

    def warm(self) -> Answer:
        """Get ready to be timed."""
        gc.collect()
        self.timed = self.make(self.workload, specs.make(self.workload), TIMING_RATE, self.variant)
        once(self.timed)
        self.duration = once(self.timed)
        return {}

    def slice(self, length: float) -> Answer:
        """Give the seconds of a step, batch by batch for so many seconds, and the share of the machine others took."""
        at_once = max(1, round(BATCH / self.duration))
        if self.duration < SLOW:
            once(self.timed)  # it finds the caches filled by another system
        others, start = foreign_seconds(), time.perf_counter()
        batches: list[float] = []
        while not batches or time.perf_counter() - start < length:
            batches.append(once(self.timed, at_once) / at_once)
        elapsed = (time.perf_counter() - start) * (os.cpu_count() or 1)
        self.duration = min(batches)
        return {"batches": batches, "foreign": max(0.0, foreign_seconds() - others) / elapsed}


def once(runner: Any, steps: int = 1) -> float:
    """Make a step, or several in a row, and return the seconds that it took."""

    def run() -> None:
        for _ in range(steps):
            result = runner.step()
        runner.sync(result)

    return seconds(run)


def memory(system: str, workload: str) -> Iterator[Answer]:
    """Give the growth of the peak memory by training steps over what is there before the first.

    What a library loads when it first computes is no memory of the step, so two samples go first. What compiling takes
    is none either, so the peak counts from the second step on; what compiling and the first step leave behind counts.
    """
    make, variant = runner(system)
    spec = specs.make(workload)
    small = make(workload, specs.first(spec, 2), TIMING_RATE, variant)
    once(small)
    del small
    measured = make(workload, spec, TIMING_RATE, variant)
    before = resident()
    once(measured)
    forget_peak()
    once(measured, 3)
    yield {"bytes": peak() - before}


def graph(system: str, ops: str) -> Iterator[Answer]:
    """Give the time of recording a chain of ops and differentiating it, and the memory at the peak."""
    module = importlib.import_module(SYSTEMS[system].module)
    module.graph(100)()
    run = module.graph(int(ops) // 3)
    repeats = 3 if int(ops) < 300_000 else 1
    before = resident()
    forget_peak()
    duration = min(seconds(run) for _ in range(repeats))
    yield {"seconds": duration, "bytes": peak() - before}


def runner(system: str) -> tuple[Callable[..., Any], str]:
    """Return a system's Runner, and the variant to give it."""
    entry = SYSTEMS[system]
    return importlib.import_module(entry.module).Runner, entry.variant


def seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def foreign_seconds() -> float:
    """Return the seconds that the machine's processors have worked for others than this process; 0 where unknown."""
    try:
        fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, softirq, stolen, *_ = (int(field) for field in fields)
    return (user + nice + system + irq + softirq + stolen) / os.sysconf("SC_CLK_TCK") - time.process_time()


def resident() -> int:
    """Return the memory of this process, without what has been freed and kept for later."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim:
        trim(0)
    return status("VmRSS")


def peak() -> int:
    return status("VmHWM")


def status(field: str) -> int:
    """Return an entry of Linux's /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def forget_peak() -> None:
    """Have the peak count from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Run one of the jobs; what it yields goes to the harness, and anything else that is printed to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        job = {"steps": steps, "memory": memory, "graph": graph}[sys.argv[1]]
        for answer in job(*sys.argv[2:]):
            print(json.dumps(answer), file=answers, flush=True)
    except Exception as error:
        traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers, flush=True)


if __name__ == "__main__":
    main()
