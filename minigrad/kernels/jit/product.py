"""Matrix products inside compiled loops: for matrices that are small, or that are multiplied again and again.

BLAS rearranges its right operand at every call, which costs a quarter of the time where the left one has few rows, and
its threads must meet after each product. Here the right operand is packed once, into panels of as many columns as a
tile has; and since the loops are part of the kernel that calls them, each thread goes through all of its products, and
what lies between them, alone.

A tile of sums stays in registers (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008):
some rows of a row-major result, and two vectors of columns, :data:`PANEL` bytes. Each step loads two vectors of the
right operand, and one number for each row, which is multiplied with both.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from .define import part
from .tile import BYTES, Code

__all__ = ["PANEL", "lanes", "pack", "pack_transpose", "panels", "rows_times_panel"]

PANEL = 2 * BYTES
"""How many bytes a row of a panel has."""


def _tile(height: int) -> Any:
    """Return the function that computes a tile of so many rows."""

    @intrinsic
    def tile(typing: Any, start: Any, start_at: Any, start_pitch: Any, a: Any, a_at: Any, a_pitch: Any, a_step: Any,
             b: Any, b_at: Any, b_pitch: Any, count: Any, out: Any, out_at: Any, out_pitch: Any, live: Any,
             ) -> Any:  # fmt: skip
        """Store ``start + a @ b`` in the first `live` rows; arrays are flat, each with a place and the way to go on."""
        signature = types.void(start, start_at, start_pitch, a, a_at, a_pitch, a_step, b, b_at, b_pitch, count, out,
                               out_at, out_pitch, live)  # fmt: skip

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code = Code(context, builder, signature, args)
            (start, start_at, start_pitch, a, a_at, a_pitch, a_step, b, b_at, b_pitch, count, out, out_at, out_pitch,
             live) = code.args  # fmt: skip
            second, last = code.whole(code.vector.count), builder.sub(live, code.whole(1))
            lines, rows = [], []
            for r in range(height):
                row = code.whole(r)
                if r:  # rows that are not there are computed like the last one
                    row = builder.select(builder.icmp_signed("<", row, last), row, last)
                rows.append(code.plus(a_at, code.times(row, a_pitch)))
                at = code.plus(start_at, code.times(row, start_pitch))
                given = [code.load(start, place) for place in (at, code.plus(at, second))]
                lines.append([cgutils.alloca_once_value(builder, vector) for vector in given])
            with cgutils.for_range(builder, count) as loop:
                place = code.plus(b_at, code.times(loop.index, b_pitch))
                factors = [code.load(b, at) for at in (place, code.plus(place, second))]
                shift = code.times(loop.index, a_step)
                for row, line in zip(rows, lines):
                    number = code.spread(code.element(a, code.plus(row, shift)))
                    for total, vector in zip(line, factors):
                        code.accumulate(total, number, vector)
            for r, line in enumerate(lines):
                with builder.if_then(builder.icmp_signed("<", code.whole(r), live)):
                    at = code.plus(out_at, code.times(code.whole(r), out_pitch))
                    for total, place in zip(line, (at, code.plus(at, second))):
                        code.store(builder.load(total), out, place)
            return context.get_dummy_value()

        return signature, generate

    return tile


_six, _four = _tile(6), _tile(4)


@part
def rows_times_panel(start: Any, a: Any, b: Any, out: Any, rows: int, count: int) -> None:
    """Store in `out` ``start + a @ b``, for one panel.

    All arrays are flat, and given with the place in them where the first row begins, and how many numbers after a row
    the next one does.

    Parameters
    ----------
    start : (array, place, pitch)
        What to add to, which may be `out` itself; the same row for all where the pitch is 0.
    a : (array, place, pitch, step)
        So many `rows`, of `count` numbers, each a step after the other.
    b : (array, place, pitch)
        So many rows as `a` has columns, of one panel.
    out : (array, place, pitch)
    """
    first, first_at, first_pitch = start
    left, left_at, left_pitch, step = a
    right, right_at, right_pitch = b
    to, to_at, to_pitch = out
    done = 0
    while done < rows:
        rest = rows - done
        from_, at, place = first_at + done * first_pitch, left_at + done * left_pitch, to_at + done * to_pitch
        if rest < 5 or rest == 7 or rest == 8:
            _four(first, from_, first_pitch, left, at, left_pitch, step, right, right_at, right_pitch, count,
                  to, place, to_pitch, min(rest, 4))  # fmt: skip
            done += 4
        else:
            _six(first, from_, first_pitch, left, at, left_pitch, step, right, right_at, right_pitch, count,
                 to, place, to_pitch, min(rest, 6))  # fmt: skip
            done += 6


def lanes(x: Any) -> Any:
    """Return how many columns a panel has for arrays like x: for compiled code, to which it is a constant."""
    raise TypeError("lanes is there for compiled code only")


@overload(lanes)
def _lanes(x):  # type: ignore[no-untyped-def] # as Numba compares the signatures
    count = PANEL * 8 // x.dtype.bitwidth
    return lambda x: count


@part
def panels(columns: int, x: Any) -> int:
    """Return how many panels so many columns take."""
    return (columns + lanes(x) - 1) // lanes(x)


@part
def pack(x: Any, scale: Any, out: Any) -> None:
    """Write up to a panel's columns of x (K, M), times a number, as a panel, flat; the rest are zeros."""
    wide, live = lanes(out), x.shape[1]
    if live == wide:
        for k in range(x.shape[0]):
            row, to = x[k], out[k * wide : (k + 1) * wide]
            for j in range(wide):
                to[j] = row[j] * scale
    else:
        out[: x.shape[0] * wide] = 0
        for k in range(x.shape[0]):
            for j in range(live):
                out[k * wide + j] = x[k, j] * scale


@part
def pack_transpose(x: Any, scale: Any, out: Any) -> None:
    """Write up to a panel's rows of x (M, K) as :func:`pack` writes columns."""
    wide, live = lanes(out), x.shape[0]
    if live < wide:
        out[: x.shape[1] * wide] = 0
    for first in range(0, x.shape[1], wide):
        last = min(first + wide, x.shape[1])
        for j in range(live):
            for k in range(first, last):
                out[k * wide + j] = x[j, k] * scale
