"""The innermost loops of a convolution: a tile of sums that stays in registers.

A loop over numbers that LLVM makes into one over vectors loads and stores its sums at every step. To keep the
arithmetic busy they must stay in registers, several at once, as in the innermost loop of a matrix product (Goto and van
de Geijn, "Anatomy of high-performance matrix multiplication", 2008). Numba's language has no vectors, so the two loops
are spelled out in LLVM's. Each step loads :data:`WIDTH` vectors and :data:`FILTERS` more, and adds their products, each
one's with each other, to as many sums: 7 loads for 12 multiply-adds, in 16 registers.

Vectors are as long as AVX's. For a machine that has longer or shorter ones, LLVM splits them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["FILTERS", "WIDTH", "correlate", "lanes", "outer"]

FILTERS = 4
"""How many filters a tile has."""

WIDTH = 3
"""How many vectors of places, or how many taps, a tile has."""

BYTES = 32

FUSED = ("contract",)  # a product may be added without rounding first


def lanes(itemsize: int) -> int:
    """Return how many numbers a vector holds."""
    return BYTES // itemsize


class Code:
    """What the two loops are written with: arrays of numbers, and vectors that begin anywhere in them."""

    def __init__(self, context: Any, builder: Any, signature: Any, args: Any) -> None:
        self.context, self.builder = context, builder
        self.args = [self._argument(*pair) for pair in zip(signature.args, args)]
        self.index = context.get_value_type(types.intp)
        self.itemsize = signature.args[0].dtype.bitwidth // 8
        self.number = context.get_value_type(signature.args[0].dtype)
        self.vector = ir.VectorType(self.number, lanes(self.itemsize))

    def _argument(self, kind: Any, value: Any) -> Any:
        """Return a number as it is, and the address of an array's first element."""
        if isinstance(kind, types.Array):
            return self.context.make_array(kind)(self.context, self.builder, value).data
        return value

    def whole(self, value: int) -> Any:
        return ir.Constant(self.index, value)

    def plus(self, a: Any, b: Any) -> Any:
        return self.builder.add(a, b)

    def times(self, a: Any, b: Any) -> Any:
        return self.builder.mul(a, b)

    def element(self, array: Any, index: Any) -> Any:
        return self.builder.load(self.builder.gep(array, [index]))

    def address(self, array: Any, index: Any, kind: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(array, [index]), kind.as_pointer())

    def load(self, array: Any, index: Any, kind: Any = None) -> Any:
        return self.builder.load(self.address(array, index, kind or self.vector), align=self.itemsize)

    def store(self, value: Any, array: Any, index: Any) -> None:
        self.builder.store(value, self.address(array, index, value.type), align=self.itemsize)

    def spread(self, value: Any) -> Any:
        """Return a vector of one number in all places."""
        undefined = ir.Constant(ir.VectorType(value.type, self.vector.count), ir.Undefined)
        first = self.builder.insert_element(undefined, value, self.whole(0))
        return self.shuffle(first, undefined, [0] * self.vector.count)

    def every(self, array: Any, index: Any, step: Any) -> Any:
        """Load a vector of numbers that are a step apart. Steps of 1 and 2 are quick."""
        found = cgutils.alloca_once(self.builder, self.vector)
        size = self.vector.count
        with self.builder.if_else(self.builder.icmp_signed("==", step, self.whole(1))) as (one, more):
            with one:
                self.builder.store(self.load(array, index), found)
            with more, self.builder.if_else(self.builder.icmp_signed("==", step, self.whole(2))) as (two, many):
                with two:  # the last load may not begin further on: what follows the last number may not be there
                    first, second = (self.load(array, self.plus(index, self.whole(n))) for n in (0, size - 1))
                    chosen = [*range(0, size, 2), *range(size + 1, 2 * size, 2)]
                    self.builder.store(self.shuffle(first, second, chosen), found)
                with many:
                    numbers = ir.Constant(self.vector, ir.Undefined)
                    for n in range(size):
                        number = self.element(array, self.plus(index, self.times(step, self.whole(n))))
                        numbers = self.builder.insert_element(numbers, number, self.whole(n))
                    self.builder.store(numbers, found)
        return self.builder.load(found)

    def shuffle(self, a: Any, b: Any, places: Any) -> Any:
        places = list(places)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
        return self.builder.shuffle_vector(a, b, mask)

    def sums(self, values: Any) -> list[list[Any]]:
        """Return a tile of variables, with one value in each row to begin with. LLVM makes registers of them."""
        variables = []
        for value in values:
            variables.append([cgutils.alloca_once_value(self.builder, value) for _ in range(WIDTH)])
        return variables

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.fadd(self.builder.fmul(a, b, flags=FUSED), c, flags=FUSED)

    def accumulate(self, variable: Any, a: Any, b: Any) -> None:
        self.builder.store(self.multiply_add(a, b, self.builder.load(variable)), variable)

    def pairwise(self, a: Any, b: Any) -> Any:
        """Return the sums of neighbours in a, then those of neighbours in b."""
        size = 2 * a.type.count
        even, odd = (self.shuffle(a, b, range(first, size, 2)) for first in (0, 1))
        return self.builder.fadd(even, odd)

    def totals(self, vectors: list[Any]) -> Any:
        """Return one vector of the sums over each of some vectors, whose number is a power of two."""
        total = len(vectors)
        while len(vectors) > 1:
            vectors = [self.pairwise(a, b) for a, b in zip(vectors[::2], vectors[1::2])]
        (vector,) = vectors
        while vector.type.count > total:
            even, odd = (self.shuffle(vector, vector, range(first, vector.type.count, 2)) for first in (0, 1))
            vector = self.builder.fadd(even, odd)
        return vector


@intrinsic
def correlate(typing: Any, out: Any, start: Any, pitch: Any, live: Any, to: Any, bias: Any, weights: Any, taps: Any,
              x: Any, places: Any) -> Any:  # fmt: skip
    """Sum over taps, for each filter f and vector of places v.

    Stores ``bias[f] + sum over k of weights[k, f] * seen`` in the vector from ``out[start + f * pitch + to[v]]`` on,
    where what is seen is the vector from ``x[places[v] + taps[k]]`` on.

    Parameters
    ----------
    out, x : array of numbers, flat
    start, pitch, live : int
        Only the first ``live`` filters are stored.
    to, places : array (WIDTH,) of int
    bias : array (FILTERS,)
    weights : array (K, FILTERS)
    taps : array (K,) of int
    """
    signature = types.void(out, start, pitch, live, to, bias, weights, taps, x, places)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature, args)
        out, start, pitch, live, to, bias, weights, taps, x, places = code.args
        count = context.make_array(signature.args[7])(context, builder, args[7]).nitems
        sums = code.sums(code.spread(code.element(bias, code.whole(f))) for f in range(FILTERS))
        corners = [code.element(places, code.whole(v)) for v in range(WIDTH)]
        with cgutils.for_range(builder, count) as loop:
            tap = code.element(taps, loop.index)
            seen = [code.load(x, code.plus(corner, tap)) for corner in corners]
            row = code.times(loop.index, code.whole(FILTERS))
            for f, line in enumerate(sums):
                weight = code.spread(code.element(weights, code.plus(row, code.whole(f))))
                for total, pixels in zip(line, seen):
                    code.accumulate(total, weight, pixels)
        targets = [code.plus(start, code.element(to, code.whole(v))) for v in range(WIDTH)]
        for f, line in enumerate(sums):
            with builder.if_then(builder.icmp_signed("<", code.whole(f), live)):
                shift = code.times(pitch, code.whole(f))
                for total, target in zip(line, targets):
                    code.store(builder.load(total), out, code.plus(target, shift))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def outer(typing: Any, total: Any, taps: Any, g: Any, pitch: Any, x: Any, places: Any) -> Any:
    """Sum over places, for each tap k and filter f.

    Adds to ``total[k, f]`` the sum over vectors v, and over the numbers in them, of the products of the vector from
    ``g[f * pitch + v * lanes]`` on and that from ``x[places[v] + taps[k]]`` on.

    Parameters
    ----------
    total : array (WIDTH, FILTERS)
    taps : array (WIDTH,) of int
    g, x : array of numbers, flat
    pitch : int
    places : array of int
    """
    signature = types.void(total, taps, g, pitch, x, places)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = Code(context, builder, signature, args)
        total, taps, g, pitch, x, places = code.args
        count = context.make_array(signature.args[5])(context, builder, args[5]).nitems
        zero = ir.Constant(code.vector, None)
        sums = code.sums([zero] * FILTERS)
        shifts = [code.element(taps, code.whole(k)) for k in range(WIDTH)]
        lines = [code.times(pitch, code.whole(f)) for f in range(FILTERS)]
        with cgutils.for_range(builder, count) as loop:
            corner = code.element(places, loop.index)
            seen = [code.load(x, code.plus(corner, shift)) for shift in shifts]
            column = code.times(loop.index, code.whole(code.vector.count))
            for line, row in zip(lines, sums):
                slopes = code.load(g, code.plus(line, column))
                for variable, pixels in zip(row, seen):
                    code.accumulate(variable, slopes, pixels)
        few = ir.VectorType(code.number, FILTERS)
        for k in range(WIDTH):
            share = code.totals([builder.load(row[k]) for row in sums])
            place = code.whole(k * FILTERS)
            code.store(builder.fadd(share, code.load(total, place, few)), total, place)
        return context.get_dummy_value()

    return signature, generate
