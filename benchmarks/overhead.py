"""What recording costs: microseconds per op, forward and backward, on arrays so small that only overhead counts.

    python benchmarks/overhead.py [--seconds S]

One program, ``x = a * tanh(x) + b`` 333 times over (999 ops) on arrays of 4 float32, is differentiated with respect to
``a`` and ``b`` by each system in turn: by hand in NumPy, by minigrad, and by those peers that are installed (autograd,
MyGrad, PyTorch). The gradients must agree to 1e-4 before anything is timed. The systems take turns in short batches and
the 10th percentile is shown, because the machine is never quiet. Then: what ``import minigrad`` costs over
``import numpy``, and whether the cost per op stays the same as the graph grows.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import minigrad as mg

UNITS = 333
OPS = 3 * UNITS
BATCH = 3  # runs timed together
Gradients = tuple[np.ndarray, np.ndarray]
System = Callable[[np.ndarray, np.ndarray, np.ndarray], Gradients]


def by_hand(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> Gradients:
    """The backward pass as one writes it in NumPy."""
    kept = []
    for _ in range(UNITS):
        t = np.tanh(x)
        kept.append(t)
        x = a * t + b
    g = np.ones_like(x)
    da, db = np.zeros_like(a), np.zeros_like(b)
    for t in reversed(kept):
        db = db + g
        da = da + g * t
        g = (g * a) * (1 - t * t)
    return da, db


def chain(a, b, x, tanh, units=UNITS):
    """The forward pass, for every system that records it."""
    for _ in range(units):
        x = a * tanh(x) + b
    return x


def by_minigrad(a: np.ndarray, b: np.ndarray, x: np.ndarray) -> Gradients:
    return mg.grad(lambda a, b: np.sum(chain(a, b, x, np.tanh)), argnums=(0, 1))(a, b)


def autograd_system() -> System:
    import autograd
    import autograd.numpy as anp

    gradient = autograd.grad(lambda ab, x: anp.sum(chain(*ab, x, anp.tanh)))
    return lambda a, b, x: gradient((a, b), x)


def mygrad_system() -> System:
    import mygrad

    def run(a, b, x):
        ta, tb = mygrad.tensor(a), mygrad.tensor(b)
        mygrad.sum(chain(ta, tb, x, mygrad.tanh)).backward()
        return ta.grad, tb.grad

    return run


def torch_system() -> System:
    import torch

    torch.set_num_threads(1)

    def run(a, b, x):
        ta, tb = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
        chain(ta, tb, torch.tensor(x), torch.tanh).sum().backward()
        return ta.grad.numpy(), tb.grad.numpy()

    return run


def systems() -> dict[str, System]:
    """Return the systems that are installed, those without peers first."""
    found: dict[str, System] = {"NumPy by hand": by_hand, f"minigrad {mg.__version__}": by_minigrad}
    for name, make in {"autograd": autograd_system, "mygrad": mygrad_system, "torch": torch_system}.items():
        try:
            version = getattr(importlib.import_module(name), "__version__", "")
        except ImportError:
            continue
        found[f"{name} {version}".strip()] = make()
    return found


def inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(np.full(4, value, np.float32) for value in (0.9, 0.05, 0.3))  # type: ignore[return-value]


def per_op(seconds: float) -> dict[str, float]:
    """Return microseconds per op of each system: the 10th percentile, the systems taking turns."""
    arguments = inputs()
    expected = by_hand(*arguments)
    running = systems()
    for name, run in running.items():
        for got, want in zip(run(*arguments), expected):
            if not np.allclose(got, want, rtol=1e-4):
                raise SystemExit(f"{name} disagrees with NumPy by hand: {got} against {want}")
    times: dict[str, list[float]] = {name: [] for name in running}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, run in running.items():
            run(*arguments)  # not timed: it finds the caches filled by another system
            start = time.perf_counter()
            for _ in range(BATCH):
                run(*arguments)
            times[name].append((time.perf_counter() - start) / BATCH / OPS * 1e6)
    return {name: float(np.quantile(batch, 0.1)) for name, batch in times.items()}


def by_size(sizes: tuple[int, ...] = (1_000, 10_000, 100_000)) -> dict[int, float]:
    """Return microseconds per op of minigrad for graphs of about so many ops: the best of three."""
    a, b, x = inputs()
    found = {}
    for size in sizes:
        gradient = mg.grad(lambda a, b, units=size // 3: np.sum(chain(a, b, x, np.tanh, units)), argnums=(0, 1))
        times = []
        for _ in range(3):
            start = time.perf_counter()
            gradient(a, b)
            times.append(time.perf_counter() - start)
        found[size] = min(times) / size * 1e6
    return found


def import_cost(repeats: int = 9) -> tuple[float, float]:
    """Return milliseconds of ``import numpy`` and of ``import minigrad`` after it: medians over fresh processes."""
    program = (
        "import time; t = time.perf_counter(); import numpy; u = time.perf_counter(); import minigrad; "
        "print((u - t) * 1e3, (time.perf_counter() - u) * 1e3)"
    )
    # With bytecode caches, as after any installation; the first run makes them.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(Path(mg.__file__).parent.parent)
    subprocess.run([sys.executable, "-c", program], env=environment, stdout=subprocess.DEVNULL, check=True)
    runs = [
        tuple(map(float, subprocess.check_output([sys.executable, "-c", program], env=environment, text=True).split()))
        for _ in range(repeats)
    ]
    numpy_ms, minigrad_ms = np.median(runs, axis=0)
    return float(numpy_ms), float(minigrad_ms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="how long to time the systems (default: 4)")
    options = parser.parse_args()

    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} cores, {platform.machine()}\n")
    found = per_op(options.seconds)
    base = next(iter(found.values()))
    print(f"{OPS} chained ops on 4 float32, forward and backward   us per op    ratio")
    for name, microseconds in found.items():
        print(f"  {name:<50} {microseconds:9.2f} {microseconds / base:8.2f}")
    print("\nminigrad by size of the graph                         us per op")
    for size, microseconds in by_size().items():
        print(f"  {f'{size:,} ops':<50} {microseconds:9.2f}")
    numpy_ms, minigrad_ms = import_cost()
    print(f"\nimport numpy {numpy_ms:.0f} ms; import minigrad, after it: {minigrad_ms:.0f} ms")


if __name__ == "__main__":
    main()
