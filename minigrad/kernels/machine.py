"""The instructions of the vector machine: elementwise programs that run block by block.

A chain of elementwise ops, one NumPy call each, goes over memory once per op, and on small arrays costs a call per op.
The machine runs the whole chain on one block of a few hundred numbers after the other, which stays in the cache from
the first instruction to the last: memory is read once and written once, and there is one call. Nothing has to be
compiled for a new chain, since the machine itself is compiled once. (numexpr does the same for expressions.)

A program works on arrays of one shape and dtype, seen as so many rows and columns, and on others that broadcast to it.
It has *slots*, each of the size of a block. Every instruction is a row of five integers: what to do, where the slot of
the result begins, and those of up to three others that are read; they may not be the result's own, or else the loops
over them would not be turned into vector instructions. Loads name an entry in a table of addresses in place of what is
read, and stores in place of the result.

This module holds what those who write programs need; `jit/machine.py` runs them, called from `jit/routine.py`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

__all__ = ["BLOCK", "INSTRUCTIONS", "SHARED", "Layout", "header", "layout"]

LOADS = ("load", "load_row", "load_column", "load_number", "load_bool")
"""Elements of the array; of a row, the same for all rows; of a column; one number; booleans as 0 and 1."""

STORES = ("store", "store_bool")

UNARY = (
    "positive negative absolute sign square sqrt reciprocal exp expm1 log log1p tanh sigmoid sin cos floor ceil "
    "logical_not isnan"
).split()

BINARY = (
    "add subtract multiply divide maximum minimum power greater greater_equal less less_equal equal not_equal "
    "logical_and logical_or zero_safe_divide zero_safe_multiply"
).split()

TERNARY = ("where", "where_greater", "where_less", "multiply_add", "subtract_product")
"""Among them ``x * y + z`` and ``z - x * y``, each in one instruction and without rounding the product."""

INSTRUCTIONS = {name: number for number, name in enumerate((*LOADS, *STORES, *UNARY, *BINARY, *TERNARY))}

BLOCK = 512
"""How many numbers a slot has at most: few enough that a dozen slots stay in the cache nearest to the processor."""

SHARED = 1 << 15
"""From so many numbers on, threads share the blocks."""

LANES = 32
"""Slots are made longer to a multiple of this, so that loops over them have no rest."""


class Layout(NamedTuple):
    """How a program goes over arrays of one shape.

    Attributes
    ----------
    rows, columns : int
        What the arrays are seen as.
    high : int
        How many rows a block has, where it has whole ones; 0 where a row has several blocks.
    width : int
        The length of a slot.
    """

    rows: int
    columns: int
    high: int
    width: int

    @property
    def blocks(self) -> int:
        if self.high:
            return -(-self.rows // self.high)
        return self.rows * -(-self.columns // BLOCK)


def layout(rows: int, columns: int) -> Layout:
    """Return how to go over so many rows of so many numbers."""
    high = min(rows, BLOCK // columns) if columns <= BLOCK else 0
    longest = high * columns if high else BLOCK
    return Layout(rows, columns, high, max(1, math.ceil(longest / LANES)) * LANES)


def header(shape: Layout, once: int) -> Any:
    """Return the first row of a program: its layout, and how many instructions come before the first block."""
    return np.array([[shape.rows, shape.columns, shape.high, once, shape.width]], np.int64)
