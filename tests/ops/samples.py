"""Samples: for every op, arguments to try it on and the plain NumPy function that it must agree with.

To add an op, add a row. Arguments are made by makers (functions of a shape) that keep away from the points where the op
has no derivative. Elementwise ops name their makers, so that the tests can ask for any shape; other rows name arrays.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.ops.index import ARRAY

rng = np.random.default_rng(20240607)

# --- makers: arrays of a shape ---------------------------------------------------------------------------------------


def normal(*shape):
    return np.asarray(rng.standard_normal(shape))


def positive(*shape):
    return np.asarray(rng.uniform(0.5, 2.0, shape))


def unit(*shape):
    """Between -0.9 and 0.9."""
    return np.asarray(rng.uniform(-0.9, 0.9, shape))


def around(*centres):
    """Return a maker of numbers at most 0.2 away from one of the centres."""
    return lambda *shape: np.asarray(rng.choice(np.array(centres, float), shape) + rng.uniform(-0.2, 0.2, shape))


def distinct(*shape):
    """Return numbers at least 0.25 apart from each other, from 0, and from those that `between` gives."""
    count = int(np.prod(shape))
    return np.asarray(rng.permutation(np.arange(count) - count // 2).reshape(shape) * 0.5 + 0.125)


def between(*shape):
    return distinct(*shape) + 0.25


def truth(*shape):
    return np.asarray(rng.integers(0, 2, shape) > 0)


def small_integers(*shape):
    return np.asarray(rng.integers(0, 3, shape)).astype(float)


def labels(count, classes):
    return rng.integers(0, classes, count)


away_from_zero = around(-1.5, -0.6, 0.6, 1.5)

# --- the table -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """One way to call an op, and what must come out.

    Attributes
    ----------
    op : str
        Name in the registry.
    args : tuple
        Arrays (those of floats are differentiated) and numbers.
    params : dict
        Static parameters.
    expected : callable
        Plain NumPy, with the same arguments and parameters.
    label : str
        What tells this row from others of the same op.
    makers : tuple
        For elementwise ops: what gives arguments of any shape.
    call : callable or None
        How to call the op on `args`, where that is not ``op(*args, **params)``.
    """

    op: str
    args: tuple
    expected: Any
    params: dict = field(default_factory=dict)
    label: str = ""
    makers: tuple = ()
    call: Any = None

    @property
    def id(self):
        return f"{self.op}-{self.label}" if self.label else self.op

    @property
    def primitive(self):
        return mg.ops.REGISTRY[self.op]

    def run(self, *args):
        """Call the op."""
        return self.call(*args) if self.call else self.primitive(*args, **self.params)

    def wanted(self, *args):
        """Call the NumPy function."""
        return self.expected(*args, **self.params)


SAMPLES = []


def row(op, args, expected, label="", call=None, **params):
    SAMPLES.append(Sample(op, args, expected, params, label or _label(params), call=call))


def elementwise(op, *makers, expected=None, label=""):
    args = tuple(make(3, 4) for make in makers)
    SAMPLES.append(Sample(op, args, expected or getattr(np, op), {}, label, makers))


def _label(params):
    return ",".join(f"{name}={value}" for name, value in params.items()).replace(" ", "")


# --- elementwise -----------------------------------------------------------------------------------------------------


def shared_by_size(g, x, y):
    return g * ((np.sign(x - y) + 1) / 2).astype(g.dtype)


for name in "add subtract multiply".split():
    elementwise(name, normal, normal)
for name in "negative positive conjugate real imag square exp exp2 expm1 sin cos sinh cosh tanh arctan".split():
    elementwise(name, normal)
for name in "sqrt log log2 log10 log1p reciprocal".split():
    elementwise(name, positive)
for name in "tan arcsin arccos".split():
    elementwise(name, unit)
for name in "absolute fabs".split():
    elementwise(name, away_from_zero)
for name in "maximum minimum".split():
    elementwise(name, distinct, between)

elementwise("divide", normal, away_from_zero)
elementwise("remainder", around(-5, 5), around(2))
elementwise("power", positive, normal)
elementwise("float_power", positive, normal)
elementwise("power_slope", positive, around(-1.5, 0.6, 2.5), expected=lambda x, y: y * x ** (y - 1))
elementwise("power_log", positive, normal, expected=lambda x, y: x**y * np.log(x))
elementwise("where_greater", normal, distinct, between, expected=lambda g, x, y: g * (x > y))
elementwise("where_less", normal, distinct, between, expected=lambda g, x, y: g * (x < y))
row("where_greater", (normal(9), *np.indices((3, 3)).reshape(2, 9)), label="ties", expected=shared_by_size)
for exponent in (0, 1, 2, 3, -1, 2.5):
    row("power", (positive(3, 4), exponent), np.power, label=f"y={exponent}")
row("power", (2.0, normal(3, 4)), np.power, label="x=2.0")
row("power", (away_from_zero(3, 4), np.arange(4)), np.power, label="integer array exponents")
row("add", (normal(2, 1, 4), normal(3, 1)), np.add, label="broadcast")
row("divide", (1.0, away_from_zero(3)), np.divide, label="x=1.0")

elementwise("where", truth, normal, normal)
elementwise("clip", around(-2, 0, 2), around(-1), around(1))
elementwise("stopped", normal, expected=lambda x: x)
elementwise("relu", away_from_zero, expected=lambda x: np.where(x > 0, x, 0))
elementwise("deviation", positive, expected=np.sqrt)
row("astype", (normal(3, 4),), lambda x, dtype: x.astype(dtype), dtype=np.dtype("float64"))
row("astype_discrete", (normal(3, 4),), lambda x, dtype: x.astype(dtype), dtype=np.dtype("int64"))

for name in "greater greater_equal less less_equal equal not_equal floor_divide".split():
    elementwise(name, small_integers if name != "floor_divide" else normal, positive)
for name in "logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor".split():
    elementwise(name, truth, truth)
for name in "logical_not invert".split():
    elementwise(name, truth)
for name in "sign floor ceil trunc rint isnan isinf isfinite signbit".split():
    elementwise(name, normal)

# --- reductions ------------------------------------------------------------------------------------------------------

AXES = [{}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 2)}, {"axis": (-1, 0), "keepdims": True}]

for name, maker in [("sum", normal), ("mean", normal), ("max", distinct), ("min", distinct), ("prod", normal)]:
    for params in AXES:
        row(name, (maker(2, 3, 4),), getattr(np, name), **params)
for params in [*AXES, {"axis": 1, "ddof": 1}]:
    row("var", (normal(2, 3, 4),), np.var, **params)
row("prod", (np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]]),), np.prod, axis=1, label="zeros")
for params in [{}, {"axis": 1}, {"axis": (0, -1), "keepdims": True}]:
    for name in "any all".split():
        row(name, (truth(2, 3, 4),), getattr(np, name), **params)
    row("count_nonzero", (small_integers(2, 3, 4),), np.count_nonzero, **params)
for params in [{}, {"axis": 1}, {"axis": -1, "keepdims": True}]:
    for name in "argmax argmin".split():
        row(name, (normal(2, 3, 4),), getattr(np, name), **params)
row("argsort", (normal(3, 4),), np.argsort)
row("argsort", (small_integers(3, 4),), np.argsort, axis=0, kind="stable")
row("sum_squares", (normal(3, 4),), lambda x: np.sum(x * x))


def others_product(x, axis):
    return np.prod(x, axis=axis, keepdims=True) / x


def share_of_ties(x, extreme, axis=None):
    hit = x == (extreme if axis is None else np.expand_dims(extreme, axis))
    return hit / hit.sum(axis=axis, keepdims=True)


for axis in (None, 1, (0, 2)):
    row("product_of_others", (away_from_zero(2, 3, 4),), others_product, axis=axis)
row("tie_share", (np.array([[1.0, 3.0, 3.0], [2.0, 0.0, 1.0]]), np.array([3.0, 2.0])), share_of_ties, axis=1)
row("tie_share", (np.array([1.0, 3.0, 3.0]), np.array(3.0)), share_of_ties)

# --- shapes ----------------------------------------------------------------------------------------------------------

for shape in [(4, 6), (-1,), (2, -1, 2)]:
    row("reshape", (normal(2, 3, 4),), lambda x, shape: np.reshape(x, shape), shape=shape)
for axes in [None, (1, 2, 0), (-1, 0, -2)]:
    row("transpose", (normal(2, 3, 4),), np.transpose, axes=axes)
row("swapaxes", (normal(2, 3, 4),), np.swapaxes, axis1=0, axis2=-1)
row("squeeze", (normal(2, 1, 3, 1),), np.squeeze)
row("squeeze", (normal(2, 1, 3, 1),), np.squeeze, axis=-1)
row("expand_dims", (normal(2, 3),), np.expand_dims, axis=1)
row("expand_dims", (normal(2, 3),), np.expand_dims, axis=(0, -1))
row("broadcast_to", (normal(3, 1),), np.broadcast_to, shape=(2, 3, 4))
row("broadcast_to", (normal(),), np.broadcast_to, shape=(2, 3))


def joined(function):
    return lambda *arrays, axis: function(arrays, axis=axis)


row("concatenate", (normal(2, 3), normal(1, 3), normal(4, 3)), joined(np.concatenate), axis=0)
row("concatenate", (normal(2, 3), normal(2, 1)), joined(np.concatenate), axis=-1)
row("concatenate", (normal(2, 3), normal(4)), joined(np.concatenate), axis=None)
for axis in (0, 1, -1):
    row("stack", (normal(2, 3), normal(2, 3)), joined(np.stack), axis=axis)
row("split", (normal(4, 6),), np.split, indices_or_sections=3, axis=1)
row("split", (normal(4, 6),), np.split, indices_or_sections=(1, 1, 3), axis=-2)

# --- indexing --------------------------------------------------------------------------------------------------------

ROWS, MASK = np.array([0, 2, 2]), np.array([True, False, True])


def chosen(x, *arrays, index):
    source = iter(arrays)
    return x[tuple(next(source) if part is ARRAY else part for part in index)]


def scattered(g, *arrays, index, shape):
    places = np.arange(np.prod(shape)).reshape(shape)
    taken = chosen(places, *arrays, index=index).ravel()
    return np.bincount(taken, g.ravel(), np.prod(shape, dtype=int)).reshape(shape).astype(g.dtype)


for label, arrays, index in [
    ("integer", (), (1,)),
    ("slices", (), (slice(None, None, -1), Ellipsis, slice(1, 4, 2))),
    ("new axes", (), (None, 0, Ellipsis, None)),
    ("repeated rows", (ROWS,), (ARRAY,)),
    ("mask", (MASK,), (ARRAY,)),
    ("pairs", (ROWS, ROWS), (ARRAY, slice(None), ARRAY)),
    ("mask and slice", (MASK,), (slice(1), ARRAY, -1)),
]:
    x = normal(3, 3, 4)
    row("getitem", (x, *arrays), chosen, index=index, label=label)
    g = normal(*chosen(x, *arrays, index=index).shape)
    row("scatter", (g, *arrays), scattered, index=index, shape=x.shape, label=label)

# --- products --------------------------------------------------------------------------------------------------------

for left, right in [((3,), (3,)), ((3,), (3, 2)), ((4, 3), (3,)), ((4, 3), (3, 2)), ((2, 4, 3), (3, 2))]:
    row("matmul", (normal(*left), normal(*right)), np.matmul, label=f"{left}@{right}".replace(" ", ""))
row("matmul", (normal(5, 1, 4, 3), normal(2, 3, 2)), np.matmul, label="broadcast batches")


def summed(*operands, subscripts):
    return np.einsum(subscripts, *operands)


for subscripts, *shapes in [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("bij,bjk,k->bi", (2, 3, 4), (2, 4, 2), (2,)),
    ("ij->", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii->", (3, 3)),
    ("iji,j->", (2, 3, 2), (3,)),
    ("ij,kl->jk", (2, 3), (4, 2)),
    ("ij,ij->ij", (1, 3), (2, 3)),
    (",i->i", (), (3,)),
]:
    row("einsum", tuple(normal(*shape) for shape in shapes), summed, subscripts=subscripts)

# --- layers and losses: kernels against their formulas ---------------------------------------------------------------


def affine(x, w, b):
    return x.reshape(len(x), -1) @ w + b


row("affine", (normal(4, 3), normal(3, 2), normal(2)), affine)
row("affine", (normal(4, 3, 2), normal(6, 5), normal(5)), affine, label="images")


def normalised(x, gamma, beta, eps=1e-5):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + eps) * gamma + beta


def normalised_with_statistics(x, gamma, beta, eps=1e-5):
    return normalised(x, gamma, beta, eps), x.mean(0), x.var(0)


def normalised_backward(g, x, gamma):
    """The cotangents of x, gamma and beta, step by step as in the paper."""
    n, spread = len(x), np.sqrt(x.var(0) + 1e-5)
    normal = (x - x.mean(0)) / spread
    d_normal = g * gamma
    d_x = (n * d_normal - d_normal.sum(0) - normal * (d_normal * normal).sum(0)) / (n * spread)
    return d_x, (g * normal).sum(0), g.sum(0)


def call_batchnorm_backward(g, x, gamma):
    all_three = dict(needs=("x", "gamma", "beta"), unread=(("beta", gamma.shape),))
    return mg.ops.batchnorm_backward(g, x, gamma, np.mean(x, axis=0), np.var(x, axis=0), eps=1e-5, **all_three)


BATCH = (normal(5, 3), positive(3), normal(3))
row("batchnorm", BATCH, normalised)
row("batchnorm", BATCH, normalised, eps=0.1)
row("batchnorm", BATCH, normalised_with_statistics, label="statistics", call=mg.ops.batchnorm.all_outputs)
row("batchnorm_backward", (normal(5, 3), *BATCH[:2]), normalised_backward, call=call_batchnorm_backward)


def softmax(scores):
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def cross_entropy(scores, y):
    return np.mean([-np.log(row[label]) for row, label in zip(softmax(scores), y)], dtype=scores.dtype)


def cross_entropy_backward(g, scores, y):
    return ((softmax(scores) - np.eye(scores.shape[1], dtype=scores.dtype)[y]) * g / len(y),)


def call_softmax_loss_backward(g, scores, y):
    highest = np.max(scores, axis=1, keepdims=True)
    total = np.sum(np.exp(scores - highest), axis=1, keepdims=True)
    return mg.ops.softmax_loss_backward(g, scores, y, highest, total, needs=("scores",), unread=())


def hinge(scores, y):
    """As the course's naive loop has it."""
    loss = scores.dtype.type(0)
    for i, label in enumerate(y):
        for j in range(scores.shape[1]):
            if j != label:
                loss += np.maximum(scores[i, j] - scores[i, label] + 1, 0)
    return loss / len(y)


def hinge_backward(g, scores, y):
    d = np.zeros_like(scores)
    for i, label in enumerate(y):
        for j in range(scores.shape[1]):
            if j != label and scores[i, j] - scores[i, label] + 1 > 0:
                d[i, j] += g / len(y)
                d[i, label] -= g / len(y)
    return (d,)


def call_svm_loss_backward(g, scores, y):
    return mg.ops.svm_loss_backward(g, scores, y, needs=("scores",), unread=())


Y = labels(5, 4)
row("softmax_loss", (normal(5, 4), Y), cross_entropy)
row("softmax_loss_backward", (normal(), normal(5, 4), Y), cross_entropy_backward, call=call_softmax_loss_backward)
SCORES = 0.3 * distinct(5, 4)  # margins are multiples of 0.15 plus 1: none is near the kink at 0
row("svm_loss", (SCORES, Y), hinge)
row("svm_loss_backward", (normal(), SCORES, Y), hinge_backward, call=call_svm_loss_backward)
