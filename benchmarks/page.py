"""Results as tables, and the page docs/benchmarks.md, which is made of nothing else.

python -m benchmarks.page        writes the page from results/latest.json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .harness import GRAPH_SIZES
from .specs import CHAIN_OPS
from .systems import COMPILED, PEERS, SYSTEMS

__all__ = ["PAGE", "RESULTS", "markdown", "tables", "write"]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "benchmarks" / "results" / "latest.json"

Results = dict[str, Any]
Row = Sequence[str]

NOTHING = "-"
DESCRIPTIONS = {
    "W1": "two-layer MLP 3072-100-10, batch 100, SGD",
    "W2": "five-layer MLP 3072-[100]x5-10 with batch normalisation, batch 100, Adam",
    "W3": "tiny MLP 64-32-10, batch 16, momentum",
    "W4": "three-layer convnet on 3x32x32, 32 filters 7x7, batch 50, Adam",
    "W5": "[conv 3x3 - BN - ReLU] x 2 - pool, twice, with 32 and 64 filters, batch 64, Adam",
    "W6": "LSTM, 20 steps, batch 64, 128 inputs, 256 units, softmax over 1000 words each step, Adam",
    "W6r": "the same with a vanilla RNN",
    "W7": "transformer, 2 blocks, width 128, 4 heads, 64 tokens, batch 16, Adam",
    "W8": f"{CHAIN_OPS} chained elementwise ops on 4 numbers, forward and backward",
    "W8s": "the same on scalars",
}


def write(results: Results) -> None:
    """Write the results, and the page made of them."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(markdown(results), encoding="utf-8")


def markdown(results: Results) -> str:
    """Return the page."""
    return f"""{INTRODUCTION}
## The machine

{machine(results)}

## Results

{tables(results)}
{EXPLANATION.format(**results["how"])}"""


def tables(results: Results) -> str:
    """Return the tables of everything that has been measured."""
    parts = [
        (results.get("steps"), steps),
        (results.get("steps"), against_peers),
        (results.get("steps"), per_op),
        (results.get("memory"), memory),
        (results.get("graph"), graph),
        (results.get("imports"), imports),
    ]
    texts = [make(found) for found, make in parts if found]
    return "\n".join(filter(None, [*texts, reasons(results)]))


def machine(results: Results) -> str:
    """Return a line about the machine and what is installed there."""
    at = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in at["versions"].items())
    return (
        f"{at['cpu']}, {at['cores']} cores, {at['system']}; Python {at['python']}, NumPy's BLAS is {at['blas']}; "
        f"{versions}; {at['date']}."
    )


# --- the tables ------------------------------------------------------------------------------------------------------


def steps(found: Results) -> str:
    """A training step of each system: time of the first, ratios of the others."""
    base = next(iter(SYSTEMS))
    rows = [[f"{SYSTEMS[base].label}, ms", *(number(ms(entries, base)) for entries in found.values())]]
    for name in list(SYSTEMS)[1:]:
        if any(name in entries for entries in found.values()):
            rows.append([SYSTEMS[name].label, *(times(ratio(entries, name, base)) for entries in found.values())])
    head = "### Training steps\n\nMilliseconds by hand, and how many times that the others take.\n"
    legend = "\n".join(f"- {name}: {DESCRIPTIONS[name]}" for name in found)
    return f"{head}\n{table(['', *found], rows)}\n\n{legend}\n"


def against_peers(found: Results) -> str:
    """The compiled step against the fastest peer's."""
    rows = []
    for workload, entries in found.items():
        peers = [name for name in PEERS if ms(entries, name)]
        if not peers:
            continue
        best = min(peers, key=lambda name: ms(entries, name))
        compared = [times(ratio(entries, name, best)) for name in COMPILED]
        rows.append([workload, SYSTEMS[best].label, number(ms(entries, best)), *compared])
    if not rows:
        return ""
    head = "### Compiled, against the fastest peer\n\nHow many times the fastest peer's step takes.\n"
    return f"{head}\n{table(['', 'fastest peer', 'its ms', *(SYSTEMS[name].label for name in COMPILED)], rows)}\n"


def per_op(found: Results) -> str:
    """The chains, per op."""
    chains = [workload for workload in ("W8", "W8s") if workload in found]
    if not chains:
        return ""
    rows = [
        [system.label, *(number(ms(found[workload], name), 1e3 / CHAIN_OPS) for workload in chains)]
        for name, system in SYSTEMS.items()
        if any(name in found[workload] for workload in chains)
    ]
    head = "### Per op\n\nMicroseconds for one elementwise op of a chain, recorded, run, and differentiated.\n"
    columns = {"W8": "on 4 numbers", "W8s": "on scalars"}
    return f"{head}\n{table(['', *(columns[workload] for workload in chains)], rows)}\n"


def memory(found: Results) -> str:
    """The peak memory of steps."""
    rows = [
        [system.label, *(megabytes(entries.get(name, {})) for entries in found.values())]
        for name, system in SYSTEMS.items()
        if any(name in entries for entries in found.values())
    ]
    head = (
        "### Memory\n\nBy how many megabytes the peak of the process grows in training steps, over what is there "
        "before the first one.\n"
    )
    return f"{head}\n{table(['', *found], rows)}\n"


def graph(found: Results) -> str:
    """Time and memory per op against the number of ops."""
    sizes = [f"{size:,} ops" for size in GRAPH_SIZES]

    def rows(key: str, text: Callable[[float], str]) -> list[Row]:
        return [
            [
                SYSTEMS[name].label,
                *(text(by_size[str(size)][key]) if key in by_size[str(size)] else NOTHING for size in GRAPH_SIZES),
            ]
            for name, by_size in found.items()
        ]

    return (
        "### Graph size\n\nMicroseconds per op of a chain on 4 numbers, eager, forward and backward.\n\n"
        f"{table(['', *sizes], rows('us_per_op', number))}\n\n"
        "Bytes per op at the peak.\n\n"
        f"{table(['', *sizes], rows('bytes_per_op', lambda value: f'{value:,.0f}'))}\n"
    )


def imports(found: Results) -> str:
    """What imports take."""
    rows = [[f"import {name}", number(entry["ms"])] for name, entry in found.items() if "ms" in entry]
    head = "### Import\n\nMilliseconds; all but the first are over what `import numpy` takes.\n"
    return f"{head}\n{table(['', 'ms'], rows)}\n"


def reasons(results: Results) -> str:
    """What could not be measured, and why; what was measured under other conditions than the rest."""
    where: dict[tuple[str, str], list[str]] = {}
    for part, suffix in (("steps", ""), ("memory", " (memory)")):
        for workload, entries in results.get(part, {}).items():
            for name, entry in entries.items():
                for reason in remarks(entry):
                    where.setdefault((SYSTEMS[name].label, reason), []).append(workload + suffix)
    for name, by_size in results.get("graph", {}).items():
        for size, entry in by_size.items():
            for reason in remarks(entry):
                where.setdefault((SYSTEMS[name].label, reason), []).append(f"{int(size):,} ops")
    lines = [f"- {label}, {', '.join(places)}: {reason}" for (label, reason), places in where.items()]
    lines += [f"- import: {entry['error']}" for entry in results.get("imports", {}).values() if "error" in entry]
    for workload, entries in results.get("steps", {}).items():
        disturbed = [SYSTEMS[name].label for name, entry in entries.items() if entry.get("disturbed")]
        if disturbed:
            whom = "all systems" if len(disturbed) == len(entries) else ", ".join(disturbed)
            lines.append(f"- {workload}: other processes used the machine during slices of {whom}")
    return "### Remarks\n\n" + "\n".join(lines) + "\n" if lines else ""


def remarks(entry: Results) -> Iterable[str]:
    if "error" in entry:
        yield entry["error"]
    if "slow" in entry:
        yield "a step takes so long that one alone was timed"


# --- numbers ---------------------------------------------------------------------------------------------------------


def ms(entries: Results, name: str) -> Any:
    """Return a system's milliseconds, or None."""
    return entries.get(name, {}).get("ms")


def ratio(entries: Results, name: str, base: str) -> float | None:
    mine, other = ms(entries, name), ms(entries, base)
    return mine / other if mine and other else None


def times(value: float | None) -> str:
    return NOTHING if value is None else f"x{value:.2f}" if value < 100 else f"x{value:.0f}"


def number(value: float | None, factor: float = 1) -> str:
    """Return a number with three digits that count."""
    if value is None:
        return NOTHING
    value *= factor
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 4
    return f"{value:,.{digits}f}"


def megabytes(entry: Results) -> str:
    return f"{entry['bytes'] / 1e6:,.0f}" if "bytes" in entry else NOTHING


def table(head: Row, rows: Iterable[Row]) -> str:
    """Return a Markdown table that can be read as it is: its columns are aligned."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Row) -> str:
        padded = [cells[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:]))]
        return f"| {' | '.join(padded)} |"

    return "\n".join(map(line, [lines[0], rule, *lines[1:]]))


INTRODUCTION = """# Benchmarks

What a training step costs in minigrad, by hand in NumPy, and in the frameworks that people use: time, memory, and what
recording adds. `scripts/bench` measures all of it and writes this page; the numbers are in
[benchmarks/results/latest.json](../benchmarks/results/latest.json).
"""

EXPLANATION = """## How it is measured

- A step is forward pass, loss, backward pass and update, in float32, with the same parameters and the same data in
  every system ([benchmarks/specs.py](../benchmarks/specs.py)). minigrad's networks are ordinary models
  ([benchmarks/workloads.py](../benchmarks/workloads.py)), and update as the Solver does; the others' are in
  [benchmarks/peers](../benchmarks/peers), written the way one writes them in that library.
- Each system runs in a process of its own, with as many threads as it likes. Before anything is timed, loss and
  gradients must agree with NumPy by hand to 1e-4, and the loss must stay together over a few updates.
- The systems take turns: {rounds} rounds, in each a slice of {seconds} seconds for each system, in which it makes
  batches of steps of at least 4 milliseconds. The time is the 10th percentile of all its batches. A slice during
  which other processes take more than 5% of the machine is repeated, up to twice; where that did not help, the
  remarks say so.
- "PyTorch" is eager, with torch.optim as it comes; "fused optimizer" is with `fused=True` and images in channels-last
  order; "torch.compile" compiles the loss and has the fused optimizer. JAX runs the whole step in one `jax.jit`, its
  state donated and images channels last. MyGrad runs with its memory guarding off. autograd and MyGrad have no update
  rules; they get in-place ones in NumPy, as the code by hand has.
- Memory is the growth of the peak resident size in a fresh process, from just before the first step to the end of the
  fourth. What a library loads when it first computes is there before (two samples have gone through), and what
  compiling alone takes does not count.

## How to read it

- Compare within a row of one table, never times of two machines, nor of two runs: clocks, neighbours and libraries
  change. A difference of less than 5% is none.
- W3 and W8 are all overhead: the numbers themselves take no time. W1 is mostly matrix products, which are the same
  BLAS for all that use NumPy. W4 and W5 are convolution and memory, W6 and W7 everything in between.
- Hand-written NumPy is the course's way to write these networks, with care; it is not the fastest that NumPy can be.

Any of it can be repeated at a prompt, in the repository's folder:

```python
>>> from benchmarks import specs, sys_minigrad
>>> from benchmarks.peers import numpy_by_hand
>>> spec = specs.make("W3")
>>> by_hand = numpy_by_hand.Runner("W3", spec, learning_rate=1e-3)
>>> ours = sys_minigrad.Runner("W3", spec, learning_rate=1e-3, variant="compile")
>>> abs(by_hand.grads()[0] - ours.grads()[0]) < 1e-5
True
>>> [round(system.sync(system.step()), 3) for system in (by_hand, ours)]
[3.188, 3.188]

```
"""


def main() -> None:
    """Write the page anew from the results that are there."""
    PAGE.write_text(markdown(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
