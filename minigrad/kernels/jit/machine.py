"""The vector machine, compiled: see `kernels/machine.py` for what it is and what its programs look like."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np

from ..machine import BLOCK, INSTRUCTIONS
from .define import array_at, exp, expm1, log, log1p, part, sigmoid, tanh

__all__ = ["run_blocks"]

LOAD = INSTRUCTIONS["load"]
LOAD_ROW = INSTRUCTIONS["load_row"]
LOAD_COLUMN = INSTRUCTIONS["load_column"]
LOAD_NUMBER = INSTRUCTIONS["load_number"]
LOAD_BOOL = INSTRUCTIONS["load_bool"]
STORE = INSTRUCTIONS["store"]
STORE_BOOL = INSTRUCTIONS["store_bool"]
POSITIVE = INSTRUCTIONS["positive"]
NEGATIVE = INSTRUCTIONS["negative"]
ABSOLUTE = INSTRUCTIONS["absolute"]
SIGN = INSTRUCTIONS["sign"]
SQUARE = INSTRUCTIONS["square"]
SQRT = INSTRUCTIONS["sqrt"]
RECIPROCAL = INSTRUCTIONS["reciprocal"]
EXP = INSTRUCTIONS["exp"]
EXPM1 = INSTRUCTIONS["expm1"]
LOG = INSTRUCTIONS["log"]
LOG1P = INSTRUCTIONS["log1p"]
TANH = INSTRUCTIONS["tanh"]
SIGMOID = INSTRUCTIONS["sigmoid"]
SIN = INSTRUCTIONS["sin"]
COS = INSTRUCTIONS["cos"]
FLOOR = INSTRUCTIONS["floor"]
CEIL = INSTRUCTIONS["ceil"]
LOGICAL_NOT = INSTRUCTIONS["logical_not"]
ISNAN = INSTRUCTIONS["isnan"]
ADD = INSTRUCTIONS["add"]
SUBTRACT = INSTRUCTIONS["subtract"]
MULTIPLY = INSTRUCTIONS["multiply"]
DIVIDE = INSTRUCTIONS["divide"]
MAXIMUM = INSTRUCTIONS["maximum"]
MINIMUM = INSTRUCTIONS["minimum"]
POWER = INSTRUCTIONS["power"]
GREATER = INSTRUCTIONS["greater"]
GREATER_EQUAL = INSTRUCTIONS["greater_equal"]
LESS = INSTRUCTIONS["less"]
LESS_EQUAL = INSTRUCTIONS["less_equal"]
EQUAL = INSTRUCTIONS["equal"]
NOT_EQUAL = INSTRUCTIONS["not_equal"]
LOGICAL_AND = INSTRUCTIONS["logical_and"]
LOGICAL_OR = INSTRUCTIONS["logical_or"]
ZERO_SAFE_DIVIDE = INSTRUCTIONS["zero_safe_divide"]
ZERO_SAFE_MULTIPLY = INSTRUCTIONS["zero_safe_multiply"]
WHERE = INSTRUCTIONS["where"]
WHERE_GREATER = INSTRUCTIONS["where_greater"]
WHERE_LESS = INSTRUCTIONS["where_less"]
MULTIPLY_ADD = INSTRUCTIONS["multiply_add"]
SUBTRACT_PRODUCT = INSTRUCTIONS["subtract_product"]


@part
def _compute(op: Any, to: Any, first: Any, second: Any, third: Any, width: Any, zero: Any, half: Any, one: Any) -> None:
    """Carry out one instruction on whole slots, given where they are."""
    out, x = array_at(to, zero, width), array_at(first, zero, width)
    y, z = array_at(second, zero, width), array_at(third, zero, width)
    if op == POSITIVE:
        for q in range(width):
            out[q] = x[q]
    elif op == NEGATIVE:
        for q in range(width):
            out[q] = -x[q]
    elif op == ABSOLUTE:
        for q in range(width):
            out[q] = abs(x[q])
    elif op == SIGN:
        for q in range(width):
            out[q] = one * (x[q] > zero) - one * (x[q] < zero) if x[q] == x[q] else x[q]
    elif op == SQUARE:
        for q in range(width):
            out[q] = x[q] * x[q]
    elif op == SQRT:
        for q in range(width):
            out[q] = math.sqrt(x[q])
    elif op == RECIPROCAL:
        for q in range(width):
            out[q] = one / x[q]
    elif op == EXP:
        for q in range(width):
            out[q] = exp(x[q])
    elif op == EXPM1:
        for q in range(width):
            out[q] = expm1(x[q])
    elif op == LOG:
        for q in range(width):
            out[q] = log(x[q])
    elif op == LOG1P:
        for q in range(width):
            out[q] = log1p(x[q])
    elif op == TANH:
        for q in range(width):
            out[q] = tanh(x[q])
    elif op == SIGMOID:
        for q in range(width):
            out[q] = sigmoid(x[q])
    elif op == SIN:
        for q in range(width):
            out[q] = math.sin(x[q])
    elif op == COS:
        for q in range(width):
            out[q] = math.cos(x[q])
    elif op == FLOOR:
        for q in range(width):
            out[q] = np.floor(x[q])
    elif op == CEIL:
        for q in range(width):
            out[q] = np.ceil(x[q])
    elif op == LOGICAL_NOT:
        for q in range(width):
            out[q] = one if x[q] == zero else zero
    elif op == ISNAN:
        for q in range(width):
            out[q] = one if x[q] != x[q] else zero
    elif op == ADD:
        for q in range(width):
            out[q] = x[q] + y[q]
    elif op == SUBTRACT:
        for q in range(width):
            out[q] = x[q] - y[q]
    elif op == MULTIPLY:
        for q in range(width):
            out[q] = x[q] * y[q]
    elif op == DIVIDE:
        for q in range(width):
            out[q] = x[q] / y[q]
    elif op == MAXIMUM:
        for q in range(width):
            out[q] = x[q] if x[q] > y[q] or x[q] != x[q] else y[q]
    elif op == MINIMUM:
        for q in range(width):
            out[q] = x[q] if x[q] < y[q] or x[q] != x[q] else y[q]
    elif op == POWER:
        for q in range(width):
            out[q] = x[q] ** y[q]
    elif op == GREATER:
        for q in range(width):
            out[q] = one if x[q] > y[q] else zero
    elif op == GREATER_EQUAL:
        for q in range(width):
            out[q] = one if x[q] >= y[q] else zero
    elif op == LESS:
        for q in range(width):
            out[q] = one if x[q] < y[q] else zero
    elif op == LESS_EQUAL:
        for q in range(width):
            out[q] = one if x[q] <= y[q] else zero
    elif op == EQUAL:
        for q in range(width):
            out[q] = one if x[q] == y[q] else zero
    elif op == NOT_EQUAL:
        for q in range(width):
            out[q] = one if x[q] != y[q] else zero
    elif op == LOGICAL_AND:
        for q in range(width):
            out[q] = one if x[q] != zero and y[q] != zero else zero
    elif op == LOGICAL_OR:
        for q in range(width):
            out[q] = one if x[q] != zero or y[q] != zero else zero
    elif op == ZERO_SAFE_DIVIDE:
        for q in range(width):
            out[q] = x[q] / y[q] if x[q] != zero else zero
    elif op == ZERO_SAFE_MULTIPLY:
        for q in range(width):
            out[q] = x[q] * y[q] if x[q] != zero else zero
    elif op == WHERE:
        for q in range(width):
            out[q] = y[q] if x[q] != zero else z[q]
    elif op == WHERE_GREATER:
        for q in range(width):
            out[q] = x[q] * (one if y[q] > z[q] or y[q] != y[q] else (half if y[q] == z[q] else zero))
    elif op == WHERE_LESS:
        for q in range(width):
            out[q] = x[q] * (one if y[q] < z[q] or y[q] != y[q] else (half if y[q] == z[q] else zero))
    elif op == MULTIPLY_ADD:
        for q in range(width):
            out[q] = x[q] * y[q] + z[q]
    elif op == SUBTRACT_PRODUCT:
        for q in range(width):
            out[q] = z[q] - x[q] * y[q]


@part
def _load(
    op: Any, out: Any, place: Any, row: Any, rows: Any, column: Any, columns: Any, width: Any, zero: Any, size: Any
) -> None:
    """Fill a slot with what a block sees of an array: `rows` by `columns` numbers from (row, column) on."""
    count, start = rows * columns, row * width + column
    if op == LOAD:
        source = array_at(place + start * size, zero, count)
        for q in range(count):
            out[q] = source[q]
    elif op == LOAD_ROW:
        source = array_at(place + column * size, zero, columns)
        for r in range(rows):
            line = out[r * columns : (r + 1) * columns]
            for c in range(columns):
                line[c] = source[c]
    elif op == LOAD_COLUMN:
        source = array_at(place + row * size, zero, rows)
        for r in range(rows):
            line = out[r * columns : (r + 1) * columns]
            for c in range(columns):
                line[c] = source[r]
    elif op == LOAD_NUMBER:
        number = array_at(place, zero, 1)[0]
        for q in range(count):
            out[q] = number
    elif op == LOAD_BOOL:
        bits = array_at(place + start, numba.uint8(0), count)
        for q in range(count):
            out[q] = bits[q]


@part
def _store(op: Any, x: Any, place: Any, start: Any, count: Any, zero: Any, size: Any) -> None:
    """Write a block's results into an array."""
    if op == STORE:
        target = array_at(place + start * size, zero, count)
        for q in range(count):
            target[q] = x[q]
    else:
        bits = array_at(place + start, numba.uint8(0), count)
        for q in range(count):
            bits[q] = x[q] != zero


@part
def _run(
    code: Any, first: Any, last: Any, table: Any, slots: Any, row: Any, rows: Any, column: Any, columns: Any
) -> None:
    """Run some instructions on one block."""
    width, slot, size, place = code[0, 1], code[0, 4], slots.itemsize, slots.ctypes.data
    zero, half, one = slots.dtype.type(0), slots.dtype.type(0.5), slots.dtype.type(1)
    for k in range(first, last):
        op, out, x = code[k, 0], code[k, 1], code[k, 2]
        if op <= LOAD_BOOL:
            _load(op, array_at(place + out * size, zero, slot), table[x], row, rows, column, columns, width, zero, size)
        elif op <= STORE_BOOL:
            _store(
                op, array_at(place + x * size, zero, slot), table[out], row * width + column, rows * columns, zero, size
            )
        else:
            y, z = code[k, 3], code[k, 4]
            _compute(
                op, place + out * size, place + x * size, place + y * size, place + z * size, slot, zero, half, one
            )


@part
def run_blocks(code: Any, table: Any, slots: Any, part: Any, parts: Any) -> None:
    """Run a program on one of several parts of its blocks."""
    rows, columns, high, once = code[0, 0], code[0, 1], code[0, 2], 1 + code[0, 3]
    pieces, wide = (1, columns) if high else (-(-columns // BLOCK), BLOCK)
    high = max(1, high)
    blocks = -(-rows // high) * pieces
    _run(code, 1, once, table, slots, 0, high, 0, wide)
    for block in range(blocks * part // parts, blocks * (part + 1) // parts):
        row, column = block // pieces * high, block % pieces * wide
        _run(code, once, len(code), table, slots, row, min(high, rows - row), column, min(wide, columns - column))
