"""Routines: steps of a program that compiled code calls one after another, without Python in between.

On small arrays the calls from Python are what takes the time, not the numbers: a microsecond and more for each step.
Here a program is a table of *calls*, each two addresses, of a routine and of its *row*; :func:`run` goes down the table
(threaded code: Bell, 1973). A row holds integers that say what to work on. Arrays are named in it by their places in a
table of addresses, which is all that changes between two runs.

A routine is a function of the address of its row and of the table, and returns 0; anything else ends the run. The
table is typed as a pointer to numbers of the dtype that the routine is to work in, which is how the dtype is known.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..threads import numba_sleeps
from .define import WithThreads, array_at, jit, parallel, part, thread_count
from .loss import _losses, _slopes
from .machine import run_blocks
from .normalisation import batch_backward_alone, batch_forward_alone

__all__ = ["find", "run", "run_shared", "thread_count"]

WIDEST = 32
"""No row has more integers than this."""


# --- running ---------------------------------------------------------------------------------------------------------


@intrinsic
def _call(context: Any, routine: Any, row: Any, table: Any) -> Any:
    """Call the routine at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(64)
        kind = ir.FunctionType(integer, [integer, integer])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    return types.int64(types.int64, types.int64, types.int64), generate


DATA, FLAGS = object.__basicsize__, object.__basicsize__ + 48
"""Where NumPy's arrays have the address of their numbers and their flags (``PyArrayObject_fields`` in its header)."""

PLAIN = 0x101
"""The flags of arrays whose numbers lie one after another, each where the processor wants it."""


@jit
def run(calls: Any, table: Any) -> Any:
    """Look up where arrays are, make calls in order, and return 0.

    Parameters
    ----------
    calls : array (1 + calls, 2) of int64
        The first row: of how many arrays to look up the addresses, and where it is written to which places in the table
        they go. Each other one: the addresses of a routine and of its row.
    table : array of int64
        Its first entry is the address of a list of objects: the arrays to look up.

    Returns
    -------
    int
        -1 if one of these arrays is not contiguous (then no call is made); the number of the call that has refused,
        counted from 1; else 0.
    """
    places = array_at(calls[0, 1], np.int64(0), calls[0, 0])
    objects = array_at(table[0], np.int64(0), calls[0, 0])
    for k in range(len(places)):
        if array_at(objects[k] + FLAGS, np.int32(0), 1)[0] & PLAIN != PLAIN:
            return -1
        table[places[k]] = array_at(objects[k] + DATA, np.int64(0), 1)[0]
    for k in range(1, len(calls)):
        if _call(calls[k, 0], calls[k, 1], table.ctypes.data):
            return k
    return 0


run_shared = WithThreads(run)
"""The same for calls of which some have threads."""


@functools.cache
def find(name: str, dtype: np.dtype[Any]) -> int:
    """Return the address of a routine for a dtype; it is compiled if it has not been."""
    signature = types.int64, types.CPointer(numba.from_dtype(dtype))
    routine = getattr(ROUTINES[name], "compiled", ROUTINES[name])
    with numba_sleeps():  # a routine that has threads starts them already here
        routine.compile(signature)
    compiled = routine.overloads[signature]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)


@part
def _open(row: Any, table: Any) -> Any:
    """Return a row, the table, and 0 and 1 in the routine's dtype."""
    typed = numba.carray(table, (1,))
    addresses = array_at(typed.ctypes.data, np.int64(0), WIDEST)
    return array_at(row, np.int64(0), WIDEST), addresses, typed.dtype.type(0), typed.dtype.type(1)


@part
def _itemsize(table: Any) -> Any:
    """Return how many bytes a number of the routine's dtype takes."""
    return numba.carray(table, (1,)).itemsize


# --- chains of elementwise instructions ------------------------------------------------------------------------------


@jit
def _chain(row: Any, table: Any) -> Any:
    """Row: address and length of a program of the vector machine; place and size of its slots."""
    r, addresses, zero, _ = _open(row, table)
    run_blocks(array_at(r[0], r[0], r[1] * 5).reshape(r[1], 5), addresses, array_at(addresses[r[2]], zero, r[3]), 0, 1)
    return 0


@jit
def _chain_of_thread(row: Any, table: Any, thread: Any) -> None:
    r, addresses, zero, _ = _open(row, table)
    slots = array_at(addresses[r[2]] + thread * r[3] * _itemsize(table), zero, r[3])
    run_blocks(array_at(r[0], r[0], r[1] * 5).reshape(r[1], 5), addresses, slots, thread, r[4])


@parallel
def _shared_chain(row: Any, table: Any) -> Any:
    """The same, and how many threads share the blocks; each has slots of its own."""
    threads = array_at(row, np.int64(0), WIDEST)[4]
    for thread in numba.prange(threads):
        _chain_of_thread(row, table, thread)
    return 0


# --- products and sums -----------------------------------------------------------------------------------------------


@intrinsic
def _gemm(
    context: Any,
    function: Any,
    flip_a: Any,
    flip_b: Any,
    m: Any,
    n: Any,
    k: Any,
    one: Any,
    a: Any,
    lda: Any,
    b: Any,
    ldb: Any,
    zero: Any,
    c: Any,
    ldc: Any,
) -> Any:
    """Call BLAS's product of matrices, stored row by row, at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function, flip_a, flip_b, m, n, k, one, a, lda, b, ldb, zero, c, ldc = args
        word, integer = ir.IntType(32), ir.IntType(64)
        kind = ir.FunctionType(
            ir.VoidType(),
            [word] * 3 + [integer] * 3 + [one.type] + [integer] * 4 + [one.type] + [integer] * 2,
        )
        flips = [builder.trunc(builder.add(integer(111), flip), word) for flip in (flip_a, flip_b)]
        values = [word(101), *flips, m, n, k, one, a, lda, b, ldb, zero, c, ldc]
        builder.call(builder.inttoptr(function, kind.as_pointer()), values)
        return context.get_dummy_value()

    integers = [types.int64] * 6
    return types.none(*integers, one, *[types.int64] * 4, one, *[types.int64] * 2), generate


@jit
def _matmul(row: Any, table: Any) -> Any:
    """Row: the product's address; for both arguments place, offset, whether transposed, leading dimension, and step
    from one matrix to the next; place of the result; rows, columns, length of the sums, and how many matrices.
    """  # fmt: skip
    r, addresses, zero, one = _open(row, table)
    a, b, c = addresses[r[1]] + r[2], addresses[r[6]] + r[7], addresses[r[11]]
    m, n, k = r[12], r[13], r[14]
    size = _itemsize(table)
    for _ in range(r[15]):
        _gemm(r[0], r[3], r[8], m, n, k, one, a, r[4], b, r[9], zero, c, n)
        a += r[5]
        b += r[10]
        c += m * n * size
    return 0


PART = 1024
"""How many numbers to add up in their dtype, before float64 takes over."""


@jit
def _sum(row: Any, table: Any) -> Any:
    """Row: place and offset of x, place of the result; the axes of x as four, of which the first and third are summed
    over; how many threads share the second.
    """  # fmt: skip
    _sum_part(row, table, 0, array_at(row, np.int64(0), WIDEST)[4])
    return 0


@parallel
def _shared_sum(row: Any, table: Any) -> Any:
    kept, threads = array_at(row, np.int64(0), WIDEST)[4], array_at(row, np.int64(0), WIDEST)[7]
    for k in numba.prange(threads):
        _sum_part(row, table, kept * k // threads, kept * (k + 1) // threads)
    return 0


@jit
def _sum_part(row: Any, table: Any, first: Any, last: Any) -> None:
    """Sum for some of the places on the second axis."""
    r, addresses, zero, _ = _open(row, table)
    outer, kept, within, after = r[3], r[4], r[5], r[6]
    x = array_at(addresses[r[0]] + r[1], zero, outer * kept * within * after)
    out = array_at(addresses[r[2]], zero, kept * after)
    for i in range(first, last):
        if after == 1:
            total = 0.0
            for o in range(outer):
                start = (o * kept + i) * within
                total += _total(x[start : start + within])
            out[i] = total
        else:
            line = out[i * after : (i + 1) * after]
            line[:] = 0
            for o in range(outer):
                for j in range((o * kept + i) * within, (o * kept + i + 1) * within):
                    other = x[j * after : (j + 1) * after]
                    for q in range(after):
                        line[q] += other[q]


@part
def _total(x: Any) -> Any:
    total = 0.0
    for start in range(0, len(x), PART):
        few = x[start : start + PART]
        sum_of_few = x.dtype.type(0)
        for i in range(len(few)):
            sum_of_few += few[i]
        total += sum_of_few
    return total


@jit
def _sum_squares(row: Any, table: Any) -> Any:
    """Row: place and offset of x, place of the result, and how many numbers."""
    r, addresses, zero, _ = _open(row, table)
    x, total = array_at(addresses[r[0]] + r[1], zero, r[3]), 0.0
    for start in range(0, len(x), PART):
        few = x[start : start + PART]
        sum_of_few = zero
        for i in range(len(few)):
            sum_of_few += few[i] * few[i]
        total += sum_of_few
    array_at(addresses[r[2]], zero, 1)[0] = total
    return 0


# --- losses ----------------------------------------------------------------------------------------------------------


@jit
def _softmax_loss(row: Any, table: Any) -> Any:
    """Row: places of scores, labels, loss, highest and total; samples and classes. Refuses labels that are none."""
    r, addresses, zero, _ = _open(row, table)
    samples, classes = r[5], r[6]
    scores = array_at(addresses[r[0]], zero, samples * classes).reshape(samples, classes)
    labels = array_at(addresses[r[1]], np.int64(0), samples)
    for i in range(samples):
        if labels[i] < 0 or labels[i] >= classes:
            return 1
    highest, total = array_at(addresses[r[3]], zero, samples), array_at(addresses[r[4]], zero, samples)
    losses = _losses(scores, labels, highest.reshape(samples, 1), total.reshape(samples, 1))
    array_at(addresses[r[2]], zero, 1)[0] = losses / samples
    return 0


@jit
def _softmax_loss_backward(row: Any, table: Any) -> Any:
    """Row: places of the cotangent, scores, labels, highest, total, and the result; samples and classes."""
    r, addresses, zero, _ = _open(row, table)
    samples, classes = r[6], r[7]
    scale = np.float64(array_at(addresses[r[0]], zero, 1)[0]) / samples
    scores = array_at(addresses[r[1]], zero, samples * classes).reshape(samples, classes)
    labels = array_at(addresses[r[2]], np.int64(0), samples)
    highest = array_at(addresses[r[3]], zero, samples).reshape(samples, 1)
    total = array_at(addresses[r[4]], zero, samples).reshape(samples, 1)
    d = array_at(addresses[r[5]], zero, samples * classes).reshape(samples, classes)
    _slopes(scale, scores, labels, highest, total, d)
    return 0


# --- normalisation ---------------------------------------------------------------------------------------------------


@jit
def _batchnorm(row: Any, table: Any) -> Any:
    """Row: places of x, gamma and beta, of the result, its mean and variance, and (0 where there is none) of mean and
    shift for the way back through a rectifier; samples, channels, pixels; the bits of eps; whether to rectify.
    """  # fmt: skip
    r, addresses, zero, _ = _open(row, table)
    samples, channels, pixels = r[7], r[8], r[9]
    count = samples * channels * pixels
    x = array_at(addresses[r[0]], zero, count).reshape(samples, channels, pixels)
    out = array_at(addresses[r[3]], zero, count).reshape(samples, channels, pixels)
    gamma, beta = array_at(addresses[r[1]], zero, channels), array_at(addresses[r[2]], zero, channels)
    stats = np.empty((4, channels), x.dtype)
    batch_forward_alone(x, gamma, beta, array_at(row, 0.0, WIDEST)[10], r[11] != 0, out, stats)
    array_at(addresses[r[4]], zero, channels)[:] = stats[0]
    array_at(addresses[r[5]], zero, channels)[:] = stats[1]
    if r[11]:
        rectified = array_at(addresses[r[6]], zero, 2 * channels)
        rectified[:channels] = stats[0]
        rectified[channels:] = stats[3]
    return 0


@jit
def _batchnorm_backward(row: Any, table: Any) -> Any:
    """Row: places of the cotangent, x, gamma, mean, variance, and what the rectifier kept; of the cotangents of x,
    gamma and beta (-1 where they are not wanted); samples, channels, pixels; the bits of eps; whether rectified.
    """  # fmt: skip
    r, addresses, zero, _ = _open(row, table)
    samples, channels, pixels = r[9], r[10], r[11]
    count = samples * channels * pixels
    g = array_at(addresses[r[0]], zero, count).reshape(samples, channels, pixels)
    x = array_at(addresses[r[1]], zero, count).reshape(samples, channels, pixels)
    gamma, mean = array_at(addresses[r[2]], zero, channels), array_at(addresses[r[3]], zero, channels)
    var = array_at(addresses[r[4]], zero, channels)
    shift = array_at(addresses[r[5]] + r[13] * channels * _itemsize(table), zero, channels)
    wanted = samples if r[6] >= 0 else 0
    d_x = array_at(addresses[max(r[6], 0)], zero, wanted * channels * pixels).reshape(wanted, channels, pixels)
    sums = np.empty((2, channels), x.dtype)
    eps = array_at(row, 0.0, WIDEST)[12]
    batch_backward_alone(g, x, gamma, mean, var, shift, eps, r[13] != 0, d_x, sums)
    for k in range(2):
        if r[7 + k] >= 0:
            array_at(addresses[r[7 + k]], zero, channels)[:] = sums[k]
    return 0


ROUTINES: dict[str, Any] = {
    "batchnorm": _batchnorm,
    "batchnorm_backward": _batchnorm_backward,
    "chain": _chain,
    "chain_shared": _shared_chain,
    "matmul": _matmul,
    "sum": _sum,
    "sum_shared": _shared_sum,
    "sum_squares": _sum_squares,
    "softmax_loss": _softmax_loss,
    "softmax_loss_backward": _softmax_loss_backward,
}
