"""What a picture knows of a run beside its structure: statistics, gradients, times and memory.

The recorded ops are run once more, one by one, on plain arrays; then the backward pass walks the tape with plans that
look at each cotangent on its way. The user's program is not run again, and no array outlives the measuring.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..autodiff.reverse import backward
from ..core.primitive import Plan
from ..core.tape import Node
from ..core.tensor import value_of
from .view import Saved, Stats

__all__ = ["Measured", "measure", "saved_arrays", "stats_of"]

BINS = 16
SAMPLE = 65_536
"""A histogram counts so many elements of a larger array, evenly spaced."""
WHOLE = 24
"""Arrays of up to so many elements are kept as text."""
REPEATS, SHORT = 3, 1e-3
"""What takes less than a millisecond is timed several times, and the shortest time is taken."""


class Measured(NamedTuple):
    """What was measured, by entry of the tape.

    Attributes
    ----------
    values, gradients : dict of int to Stats
    forward_s, backward_s : dict of int to float
    notes : tuple of str
        What could not be measured, and why.
    """

    values: dict[int, Stats]
    gradients: dict[int, Stats]
    forward_s: dict[int, float]
    backward_s: dict[int, float]
    notes: tuple[str, ...] = ()


def measure(
    nodes: Sequence[Node],
    entries: Iterable[int],
    results: Sequence[int],
    inputs: Mapping[int, Any] | None,
    *,
    histograms: bool = False,
    timed: bool = False,
) -> Measured:
    """Run what was recorded forward and backward, and look at it.

    Parameters
    ----------
    nodes : sequence of Node
    entries : iterable of int
        The entries that are shown, in order.
    results : sequence of int
        What the gradients are of: the sum of all elements of these.
    inputs : mapping of int to array, or None
        The values of the inputs. Without them nothing is run forward.
    histograms : bool
    timed : bool
        Whether to take more care with times.
    """
    found = Measured({}, {}, {}, {})
    notes: list[str] = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the program has warned already, when it ran
        if inputs is None:
            notes.append("values and forward times were not measured: a Tensor's tape does not keep its inputs")
        else:
            try:
                _forward(nodes, list(entries), inputs, found, histograms, timed)
            except Exception as error:  # such as an op of the user's that is not pure
                notes.append(f"values and forward times were not measured: {_short(error)}")
        try:
            _backward(nodes, results, found, histograms, timed)
            if found.gradients and (any(nodes[entry].shape for entry in results) or len(results) > 1):
                notes.append("gradients are those of the sum of all results")
        except Exception as error:  # such as an op without a rule
            notes.append(f"gradients and backward times were not measured: {_short(error)}")
    return found._replace(notes=tuple(notes))


def _short(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if len(text) <= 160 else f"{text[:159]}…"


def _forward(
    nodes: Sequence[Node], entries: list[int], inputs: Mapping[int, Any], found: Measured, histograms: bool, timed: bool
) -> None:
    makers = {entry: nodes[entry].parents[0] for entry in entries if nodes[entry].role == "output"}
    last_use = {parent: entry for entry in entries for parent in nodes[entry].parents}
    leaving: dict[int, list[int]] = {}
    for parent, entry in last_use.items():
        leaving.setdefault(entry, []).append(parent)  # type: ignore[arg-type]
    values: dict[int | None, Any] = {}
    for entry in entries:
        node = nodes[entry]
        if node.role == "input":
            value = value_of(inputs[entry])
        elif node.role == "constant":
            value = value_of(node.saved[0])
        elif entry in makers:
            value = values[makers[entry]][node.params["number"]]
        else:
            op = node.primitive
            arguments = [
                values[parent][0] if type(values[parent]) is tuple else values[parent] for parent in node.parents
            ]
            run = op.forward  # type: ignore[union-attr]
            value, found.forward_s[entry] = _time(partial(run, *arguments, **node.params), timed)
            if op.outputs:  # type: ignore[union-attr]
                value = tuple(value)
        values[entry] = value
        found.values[entry] = stats_of(value[0] if type(value) is tuple else value, histograms)
        for parent in leaving.get(entry, ()):
            values.pop(parent, None)


def _time(run: Callable[[], Any], timed: bool) -> tuple[Any, float]:
    """Return what a function returns, and the seconds that it took."""
    start = time.perf_counter()
    value = run()
    seconds = time.perf_counter() - start
    if timed:
        for _ in range(REPEATS - 1 if seconds < SHORT else 1):
            start = time.perf_counter()
            value = run()
            seconds = min(seconds, time.perf_counter() - start)
    return value, seconds


class _Watching:
    """Stands in for a node's plan: looks at the cotangent that comes, and times the rule."""

    __slots__ = ("_entry", "_found", "_how", "_plan", "exact")

    def __init__(self, plan: Plan, entry: int, found: Measured, how: tuple[bool, bool]) -> None:
        self._plan = plan
        self._entry = entry
        self._found = found
        self._how = how
        self.exact = plan.exact

    def pull(self, g: Any, saved: Any, params: Any) -> Any:
        histograms, timed = self._how
        first = next((part for part in g if part is not None), None) if type(g) is tuple else g
        self._found.gradients[self._entry] = stats_of(first, histograms)
        pulled, self._found.backward_s[self._entry] = _time(partial(self._plan.pull, g, saved, params), timed)
        return pulled


def _backward(nodes: Sequence[Node], results: Sequence[int], found: Measured, histograms: bool, timed: bool) -> None:
    seeds = {
        entry: np.ones(nodes[entry].shape, nodes[entry].dtype)
        for entry in results
        if nodes[entry].dtype.kind in "fc" and nodes[entry].active
    }
    if not seeds:
        return
    how = (histograms, timed)
    records = []
    for entry, node in enumerate(nodes[: max(seeds) + 1]):
        plan = node.plan
        watching = _Watching(plan, entry, found, how) if plan is not None else None
        records.append(tuple(node._replace(saved=tuple(map(value_of, node.saved)), plan=watching)))  # type: ignore[arg-type]
    follow = max(seeds) + 1
    while follow < len(nodes) and nodes[follow].role == "output":
        records.append(tuple(nodes[follow]))
        follow += 1
    sources = [entry for entry, node in enumerate(nodes[: max(seeds) + 1]) if node.role == "input" and node.active]
    for entry, cotangent in zip(sources, backward(records, seeds, sources)):
        if cotangent is not None:
            found.gradients[entry] = stats_of(cotangent, histograms)


# --- arrays in numbers ----------------------------------------------------------------------------------------------


def stats_of(value: Any, histograms: bool = False) -> Stats:
    """Return what is to be said of an array's numbers.

    >>> stats_of(np.array([1.0, -2.0, 0.0, np.nan]))
    Stats(size=4, min=-2.0, max=1.0, mean=-0.3333333, rms=1.290994, nan=1, inf=0, zero=1, histogram=(), \
whole='[1, -2, 0, nan]')
    """
    array = np.asarray(value)
    if array.dtype.kind not in "fciub":
        return Stats(array.size)
    if array.size <= WHOLE:
        items = array.tolist()
        whole = _text(items)
        # Of a few numbers Python itself is done sooner than NumPy, and in a large graph there are many such arrays.
        numbers: Any = [float(abs(x)) if type(x) is complex else float(x) for x in np.ravel(array).tolist()]
        finite: Any = [x for x in numbers if math.isfinite(x)]
        nan = sum(x != x for x in numbers)
        zero = finite.count(0.0)
        if not finite:
            return Stats(len(numbers), nan=nan, inf=len(numbers) - nan, whole=whole)
        low, high, mean = min(finite), max(finite), math.fsum(finite) / len(finite)
    else:
        whole = ""
        numbers = np.abs(array) if array.dtype.kind == "c" else array
        finite, nan = numbers, 0
        if numbers.dtype.kind == "f":
            is_finite = np.isfinite(numbers)
            if not is_finite.all():
                nan = int(np.count_nonzero(np.isnan(numbers)))
                finite = numbers[is_finite]
        zero = int(finite.size - np.count_nonzero(finite))
        if not finite.size:
            return Stats(array.size, nan=nan, inf=array.size - nan)
        low, high = float(finite.min()), float(finite.max())
        mean = float(np.mean(finite, dtype=np.float64))
    count = len(finite) if isinstance(finite, list) else finite.size
    largest = max(abs(low), abs(high))
    rms = 0.0
    if largest:  # what is squared is at most 1: it neither overflows nor vanishes
        scaled = [x / largest for x in finite] if isinstance(finite, list) else np.divide(finite, largest, dtype=float)
        squares = (
            sum(x * x for x in scaled) if isinstance(scaled, list) else float(np.sum(np.square(scaled, out=scaled)))
        )
        rms = largest * math.sqrt(squares / count)
    counts = _histogram(np.asarray(finite), low, high) if histograms else ()
    inf = array.size - count - nan
    return Stats(
        array.size, _rounded(low), _rounded(high), _rounded(mean), _rounded(rms), nan, inf, zero, counts, whole
    )


def _text(items: Any) -> str:
    """Write nested lists of numbers, four digits of each."""
    if isinstance(items, list):
        return f"[{', '.join(map(_text, items))}]"
    return str(items) if isinstance(items, (bool, int)) else f"{items:.4g}"


def _rounded(number: float) -> float | None:
    """Keep seven digits, more than anybody reads, and fewer than differ between machines."""
    return float(f"{number:.7g}") if math.isfinite(number) else None


def _histogram(numbers: Any, low: float, high: float) -> tuple[int, ...]:
    flat = numbers.ravel()[:: -(-numbers.size // SAMPLE)]
    if low == high:
        return (0,) * (BINS // 2) + (len(flat),) + (0,) * (BINS - BINS // 2 - 1)
    half = flat * 0.5 - low * 0.5  # half of each, as the whole range may overflow
    places = (half / (high * 0.5 - low * 0.5) * BINS).astype(int)
    return tuple(np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS).tolist())


def saved_arrays(
    nodes: Sequence[Node], entries: Iterable[int], held: Collection[Any]
) -> dict[int, tuple[tuple[Saved, ...], int]]:
    """Return for each op the arrays that it keeps for its rule, and what they add to the memory of the whole.

    Parameters
    ----------
    nodes : sequence of Node
    entries : iterable of int
    held : collection of arrays
        Those that the caller holds anyway.
    """
    seen = {id(_root(array)) for array in held}
    found: dict[int, tuple[tuple[Saved, ...], int]] = {}
    for entry in entries:
        node = nodes[entry]
        if node.plan is None or node.primitive is None:
            continue
        saved = []
        for name, value in zip(node.plan.reads, node.saved):
            for array in value if type(value) is tuple else (value,):
                array = value_of(array)
                if isinstance(array, (np.ndarray, np.generic)):
                    root = _root(array)
                    counted = 0 if id(root) in seen else root.nbytes
                    seen.add(id(root))
                    saved.append(Saved(name, array.shape, str(array.dtype), array.nbytes, counted))
        if saved:
            found[entry] = tuple(saved), sum(part.counted for part in saved)
    return found


def _root(array: Any) -> Any:
    while isinstance(getattr(array, "base", None), np.ndarray):
        array = array.base
    return array
