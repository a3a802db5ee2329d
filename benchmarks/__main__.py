"""The command line of the benchmark: ``python -m benchmarks``, which scripts/bench runs.

It prints what was measured as tables; what goes on meanwhile goes to stderr.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from . import harness, page, specs, systems

PARTS = ("steps", "memory", "graph", "imports")
SHORT_WORKLOADS = ("W1", "W3", "W8")


def main() -> int:
    """Measure what the arguments say; return 1 if minigrad, or NumPy by hand, fails or disagrees."""
    options = arguments()
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"{time.perf_counter() - began:6.0f} s  {text}", file=sys.stderr, flush=True)

    results = measure(options, say)
    print(page.machine(results), page.tables(results), sep="\n\n", end="")
    if options.write:
        page.write(results)
        say(f"wrote {page.PAGE.relative_to(page.ROOT)} and {page.RESULTS.relative_to(page.ROOT)}")
    failed = wrong(results)
    for text in failed:
        print(f"FAILED: {text}", file=sys.stderr)
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Speed and memory, side by side with peers.")
    parser.add_argument("--short", action="store_true", help="see that all runs and agrees: no peers, two rounds")
    parser.add_argument(
        "--workloads", type=some_of(specs.WORKLOADS), help=f"of {','.join(specs.WORKLOADS)} (default: all)"
    )
    parser.add_argument(
        "--systems",
        type=some_of(systems.SYSTEMS, always=("numpy",)),
        help=f"of {','.join(systems.SYSTEMS)} (default: all)",
    )
    parser.add_argument("--rounds", type=int, help="how often each system gets a slice of time (default: 5)")
    parser.add_argument("--seconds", type=float, help="what a slice takes (default: 0.3)")
    parser.add_argument("--parts", type=some_of(PARTS), help=f"of {','.join(PARTS)} (default: all)")
    parser.add_argument(
        "--write", action="store_true", help="write docs/benchmarks.md, and the results beside the code"
    )
    options = parser.parse_args()
    short = options.short
    options.workloads = options.workloads or list(SHORT_WORKLOADS if short else specs.WORKLOADS)
    options.systems = options.systems or list(systems.SHORT if short else systems.SYSTEMS)
    options.parts = options.parts or list(PARTS[:1] if short else PARTS)
    options.rounds = options.rounds or (2 if short else 5)
    options.seconds = options.seconds or (0.05 if short else 0.3)
    return options


def some_of(known: Iterable[str], always: tuple[str, ...] = ()) -> Callable[[str], list[str]]:
    """Return a reader of names with commas between, which puts them into the order of the known ones."""

    def read(text: str) -> list[str]:
        wanted = {*always, *text.split(",")}
        if unknown := sorted(wanted.difference(known)):
            raise argparse.ArgumentTypeError(f"there are {', '.join(known)}, and {', '.join(unknown)} came")
        return [name for name in known if name in wanted]

    return read


def measure(options: argparse.Namespace, say: Any) -> dict[str, Any]:
    """Measure the parts that are asked for."""
    names = options.systems
    results: dict[str, Any] = {
        "machine": harness.machine(),
        "how": {"rounds": options.rounds, "seconds": options.seconds},
    }
    if "steps" in options.parts:
        results["steps"] = {
            workload: harness.time_steps(workload, names, options.rounds, options.seconds, say)
            for workload in options.workloads
        }
    if "memory" in options.parts:
        results["memory"] = harness.measure_memory(options.workloads, names, say)
    if "graph" in options.parts:
        results["graph"] = harness.measure_graph(names, say)
    if "imports" in options.parts:
        results["imports"] = harness.measure_imports(say)
    return results


def wrong(results: dict[str, Any]) -> list[str]:
    """Say what of minigrad and NumPy by hand could not be measured, save for what is not installed."""
    return [
        f"{workload}, {systems.SYSTEMS[name].label}: {entry['error']}"
        for workload, entries in results.get("steps", {}).items()
        for name, entry in entries.items()
        if name in systems.SHORT and "error" in entry and not systems.missing(name)
    ]


if __name__ == "__main__":
    sys.exit(main())
