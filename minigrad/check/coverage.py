"""Coverage: what of NumPy has a gradient, what has none, what is refused and why.

The table is made from NumPy's own namespaces and from the tables through which its functions reach minigrad, so a new
release of NumPy cannot add a hole that nobody sees: what it adds is listed as missing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..core.numpy_protocol import FUNCTIONS, INSTEAD, UFUNCS, load_rest
from ..core.primitive import REGISTRY, Primitive

__all__ = ["Covered", "coverage", "covered", "markdown"]

NAMESPACES = {"np": np, "np.linalg": np.linalg, "np.fft": np.fft}
RULE, NONE, REFUSED, MISSING = "rule", "no derivative", "refused", "missing"

_DISCRETE = frozenset(
    """
    all allclose any argmax argmin argpartition argsort argwhere array2string array_equal array_equiv array_repr
    array_str can_cast common_type count_nonzero diag_indices_from einsum_path empty_like fix flatnonzero in1d iscomplex
    iscomplexobj isclose isin isneginf isposinf isreal isrealobj lexsort may_share_memory min_scalar_type ndim nonzero
    ones_like result_type searchsorted shape shares_memory size tril_indices_from triu_indices_from unique_counts
    unique_inverse zeros_like
    """.split()
)
"""Compositions whose results are indices, truths, texts, shapes or fresh constants."""

_Dispatched = type(np.sum)  # the type of NumPy's functions that a Tensor can answer for


class Covered(NamedTuple):
    """A row of the table: a function of NumPy, its status, and a remark."""

    name: str
    status: str
    remark: str = ""


def covered() -> list[Covered]:
    """Return a row for each function of NumPy that takes arrays, sorted by name within its namespace."""
    load_rest()
    rows = []
    for space, module in NAMESPACES.items():
        for name, function in sorted(vars(module).items()):
            if not name.startswith("_") and isinstance(function, (np.ufunc, _Dispatched)):
                rows.append(Covered(f"{space}.{name}", *_status(name, function)))
    return rows


def _status(name: str, function: Any) -> tuple[str, str]:
    if isinstance(function, np.ufunc):
        op = REGISTRY.get(function.__name__)
        if function not in UFUNCS:
            return MISSING, ""
        return (NONE, "") if op is not None and not op.differentiable else (RULE, "")
    if function in FUNCTIONS:
        op = getattr(FUNCTIONS[function], "op", None)
        if isinstance(op, Primitive):
            return (RULE, "") if op.differentiable else (NONE, "")
        return (NONE, "") if name in _DISCRETE else (RULE, "")
    if function in INSTEAD:
        return REFUSED, INSTEAD[function]
    return MISSING, ""


def coverage() -> None:
    """Print what of NumPy has a gradient: a line per status with its names, and the reasons of what is refused.

    Examples
    --------
    >>> import minigrad as mg
    >>> mg.coverage()  # doctest: +SKIP
    np: 212 functions with a rule
      abs absolute add ...
    """
    rows = covered()
    for space in NAMESPACES:
        own = [row for row in rows if row.name.rpartition(".")[0] == space]
        for status, title in (
            (RULE, "functions with a rule"),
            (NONE, "without a derivative: plain results"),
            (MISSING, "missing"),
        ):
            names = [row.name.rpartition(".")[2] for row in own if row.status == status]
            if names:
                print(f"{space}: {len(names)} {title}")
                print(_wrapped(names))
        refused = [row for row in own if row.status == REFUSED]
        if refused:
            print(f"{space}: {len(refused)} refused, and why")
            for row in refused:
                print(f"  {row.name.rpartition('.')[2]}: {row.remark}")


def markdown() -> str:
    """Return the table as a page of the documentation."""
    rows = covered()
    count = {status: sum(row.status == status for row in rows) for status in (RULE, NONE, REFUSED, MISSING)}
    lines = [
        "# What of NumPy is covered",
        "",
        f"Made by `scripts/coverage` from NumPy {np.__version__}: of {len(rows)} functions that take arrays, "
        f"{count[RULE]} have a gradient rule, {count[NONE]} have no derivative and give plain results, "
        f"{count[REFUSED]} are refused, and {count[MISSING]} are missing. Ufuncs of `scipy.special` are covered where "
        "SciPy is installed; see [conventions.md](conventions.md) for what happens at kinks and ties.",
        "",
        "| function | | remark |",
        "|---|---|---|",
    ]
    lines += [f"| `{row.name}` | {row.status} | {row.remark.replace('|', chr(92) + '|')} |" for row in rows]
    return "\n".join(lines) + "\n"


def _wrapped(names: list[str], width: int = 116) -> str:
    lines, line = [], " "
    for name in names:
        if len(line) + len(name) + 1 > width:
            lines.append(line)
            line = " "
        line += f" {name}"
    return "\n".join([*lines, line])
