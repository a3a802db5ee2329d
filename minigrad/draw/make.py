"""From what was recorded to the view of a picture, with the options that were given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from ..core.errors import OptionError, did_you_mean
from .build import build_view, seen_entries
from .dual import with_backward
from .measure import Measured, measure, saved_arrays
from .show import DEFAULTS, EDGE_LABELS, Options, show
from .subject import Recorded
from .view import GraphView

__all__ = ["check_options", "make_view"]

CHOICES = {
    "view": ("forward", "dual", "backward"),
    "color": ("kind", "grad", "time", "memory"),
    "params": ("inline", "nodes", "hide"),
    "direction": ("TB", "LR"),
    "theme": ("auto", "light", "dark"),
}

NOTHING = {
    "grad": "no gradient flows through it",
    "time": "no op of it was timed",
    "memory": "its ops save nothing for the backward pass but what the caller holds anyway",
}
"""Why a heat map would show nothing, where nothing else explains it."""


def check_options(collapse: Any = (), expand: Any = (), **given: Any) -> Options:
    """Return the options of a picture, or raise OptionError for one that is not understood."""
    for name, choices in CHOICES.items():
        if not isinstance(given[name], str) or given[name] not in choices:
            known = ", ".join(f'"{choice}"' for choice in choices)
            raise OptionError(
                f"draw: {name}={given[name]!r} is not known{did_you_mean(given[name], choices)} (known: {known})"
            )
    for name, least in (("depth", 1), ("max_nodes", 1)):
        value = given[name]
        if (value is not None or name == "max_nodes") and (
            isinstance(value, bool) or not isinstance(value, Integral) or value < least
        ):
            raise OptionError(f"draw: {name} must be a whole number of at least {least}, and {value!r} came")
        given[name] = value if value is None else int(value)
    given["scale"] = _checked_scale(given.get("scale"), given["color"])
    return Options(collapse=_names("collapse", collapse), expand=_names("expand", expand), **given)


def _checked_scale(scale: Any, color: str) -> tuple[float, float] | None:
    if scale is None:
        return None
    if color == "kind":
        raise OptionError('draw: scale is that of a heat map, and color="kind" has none; add color="grad" or another')
    ends = tuple(scale) if isinstance(scale, Iterable) else ()
    if len(ends) != 2 or not all(isinstance(end, Real) for end in ends) or not 0 < ends[0] < ends[1] < math.inf:
        raise OptionError(
            f"draw: scale must be two numbers (low, high) with 0 < low < high, such as (1e-6, 1e-2), and {scale!r} came"
        )
    return float(ends[0]), float(ends[1])


def _names(option: str, value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    for name in names:
        if not isinstance(name, str):
            raise OptionError(f'draw: {option} takes names of scopes, such as "fc1", and {name!r} came')
    return names


def make_view(
    recorded: Recorded, options: Options = DEFAULTS, marks: Mapping[Any, str] | None = None, measured: bool = True
) -> GraphView:
    """Measure what was recorded, and make the view of a picture of it."""
    if not measured and options.color in ("grad", "time"):
        raise OptionError(f'draw: color="{options.color}" shows what is measured; leave out measure=False')
    nodes = recorded.nodes
    results = [result.entry for result in recorded.results]
    entries = seen_entries(nodes, results, recorded.arguments)
    found = Measured({}, {}, {}, {})
    if measured:
        found = measure(
            nodes,
            entries,
            results,
            recorded.inputs,
            histograms=options.histograms,
            timed=options.color == "time",
        )
    # In a heat map replicas differ: they are drawn apart, as long as there is room.
    ops = sum(nodes[entry].role == "op" for entry in entries)
    options = options._replace(fold=options.fold and (options.color == "kind" or ops > EDGE_LABELS))
    apart = options.params == "inline" and options.view != "forward"
    view = build_view(
        nodes,
        recorded.results,
        title=recorded.title,
        parameters=recorded.parameters,
        arguments=recorded.arguments,
        places=recorded.places,
        kinds=recorded.kinds,
        params="apart" if apart else options.params,
        fold=options.fold,
        marks=_marks(recorded, entries, marks or {}),
        measured=found,
        saved=saved_arrays(nodes, entries, list((recorded.inputs or {}).values())),
    )
    shown = show(view, options)
    if options.color != "kind":
        if options.color not in shown.legends:
            why = "; ".join(_relevant(view.notes, options.color)) or NOTHING[options.color]
            raise OptionError(f'draw: color="{options.color}" has nothing to show of {view.title}: {why}')
        shown = shown._replace(messages=(*shown.messages, *_relevant(view.notes, options.color)))
    if options.view != "forward":
        if not any(node.rule for node in view.nodes):
            raise OptionError(
                f'draw: view="{options.view}" has nothing to show of {view.title}: no derivative flows through it'
            )
        shown = with_backward(view, shown)
    return view._replace(shown=shown)


def _relevant(notes: Iterable[str], color: str) -> list[str]:
    words = {"grad": ("gradients",), "time": ("times",), "memory": ()}[color]
    return [note for note in notes if any(word in note.partition(":")[0] for word in words)]


def _marks(recorded: Recorded, entries: list[int], marks: Mapping[Any, str]) -> dict[int, str]:
    """Find the entries that the keys of `mark` mean: an entry, an id, or an op's name, with or without its scope."""
    found: dict[int, str] = {}
    if not marks:
        return found
    if not isinstance(marks, Mapping):
        raise OptionError(f'draw: mark is a dict from ops to remarks, such as {{"matmul": "slow"}}, and {marks!r} came')
    names: dict[str, list[int]] = {}
    for entry in entries:
        node = recorded.nodes[entry]
        if node.role == "output":
            continue
        full = f"{node.scope}/{node.name}" if node.scope else node.name
        for name in dict.fromkeys((f"n{entry}", node.name, full)):
            if name:
                names.setdefault(name, []).append(entry)
    for key, text in marks.items():
        matches = names.get(f"n{key}" if isinstance(key, int) else str(key))
        if not matches:
            raise OptionError(
                f"draw: mark={{{key!r}: ...}} is no node of {recorded.title}{did_you_mean(str(key), names)}; name an "
                f'op, such as "matmul" or "fc1/matmul", or an id of the view, such as "n3"'
            )
        found.update(dict.fromkeys(matches, str(text)))
    return found
