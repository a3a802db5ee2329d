"""Random programs: compiled they give what they give eagerly, with NumPy's kernels to the last bit.

A program is a recipe: a list of integers from which `interpret` builds the same computation each time, elementwise ops
above all, and between them what interrupts a chain of those: products, reductions, and views. Every recipe runs several
times, on arrays of one signature that lie in memory in all ways that arrays can.
"""

import copy
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.compile.compiled import compile

# Of float64 and of float32, where the vector machine rounds in other places than NumPy: relative to the largest number.
TOLERANCE = {np.float64: 1e-10, np.float32: 5e-3}

SIZES = [(2, 3), (3, 4), (1, 1), (1, 5), (5, 1), (4, 4), (7, 3), (33, 16), (3, 600), (700, 2), (64, 520)]


# --- from a recipe to a computation -----------------------------------------------------------------------------------

# Slopes are bounded, so that rounding stays rounding; and no comparison has to decide between equals.
UNARY = [
    lambda x: np.tanh(x),
    lambda x: np.exp(-x * x),
    lambda x: np.sin(x) * 0.5,
    lambda x: np.cos(x) + x,
    lambda x: np.sqrt(x * x + 1),
    lambda x: np.log1p(x * x),
    lambda x: np.log(np.abs(x - 0.137) + 1.5),
    lambda x: 1 / (1 + np.exp(-x)),
    lambda x: np.expm1(np.tanh(x)),
    lambda x: mg.ops.sigmoid(x),
    lambda x: mg.relu(x - 0.137),
    lambda x: -x,
    lambda x: np.abs(x + 0.0771),
    lambda x: np.sign(x + 0.0771) * x,
    lambda x: np.square(x) * 0.3,
    lambda x: (x * x + 2) ** -1,
    lambda x: (x * x + 2) ** 0.5,
    lambda x: x**2 * 0.25,
    lambda x: np.where(np.isnan(x), 0.0, x),
    lambda x: x * (x > 0.137),
    lambda x: np.clip(x, -0.7713, 0.9137),
    lambda x: np.reciprocal(x * x + 1),
]
BINARY = [
    np.add,
    np.subtract,
    lambda x, y: x * y,
    lambda x, y: x * y + x,
    lambda x, y: y - x * y,
    lambda x, y: x / (1 + y * y),
    lambda x, y: np.maximum(x, y + 0.0137),
    lambda x, y: np.minimum(x, y - 0.0173),
    lambda x, y: np.where(x > y + 0.0137, x, y),
    lambda x, y: np.where((x < y - 0.0137) | (x > 0.871), x, 0.5),
    lambda x, y: np.where(np.logical_and(x <= y + 0.0137, np.logical_not(y >= 0.637)), x * y, x + y),
    lambda x, y: ((x > 0.137) + (y > 0.0137)) * x,
    lambda x, y: np.hypot(x, y + 2),
]
WHOLE = [  # they interrupt a chain
    lambda x, n: np.sum(x, axis=n % x.ndim if x.ndim else None, keepdims=True) * 0.2,
    lambda x, n: np.sum(x, axis=n % x.ndim if x.ndim else None) * 0.2,
    lambda x, n: np.mean(x),
    lambda x, n: np.sum(x) * (1 / max(1, x.size)),
    lambda x, n: np.max(x, axis=n % x.ndim if x.ndim else None, keepdims=n % 2 > 0),
    lambda x, n: x - np.mean(x, axis=-1, keepdims=True) if x.ndim else x,
    lambda x, n: x.T,
    lambda x, n: x.reshape(-1),
    lambda x, n: x.reshape(x.shape[::-1]),
    lambda x, n: x[n % len(x) :] if x.ndim else x,
    lambda x, n: x[..., :: -1 - n % 2] if x.ndim else x,
    lambda x, n: x[n % len(x)] if x.ndim else x,
    lambda x, n: x[:, None] if x.ndim else x,
    lambda x, n: np.concatenate([x, x * 2]) if 0 < x.size < 99 and x.ndim else x,
    lambda x, n: np.cumsum(x) * 0.1,
    lambda x, n: mg.ops.softmax(x) if x.ndim else x,
    lambda x, n: np.broadcast_to(x, (2, *x.shape)) if x.ndim == 1 else x,
    lambda x, n: x.sum(0) @ x.T * (1 / x.size) if x.ndim == 2 else x,
    lambda x, n: x @ (x * 0.5).T * (1 / x.size) if x.ndim == 2 and len(x) < 99 else x,
]

TURNING = (6, 10, 17, 18)  # those of them that give other orders in memory to what comes after them


def fits(x, y):
    try:
        return np.prod(np.broadcast_shapes(np.shape(x), np.shape(y)), dtype=int) < 70_000
    except ValueError:
        return False


def interpret(recipe, arrays, mask):
    """Return all that a recipe computes."""
    values = list(arrays)
    for kind, op, first, second in recipe:
        x = values[-1 - first % len(values)]  # the latest first
        y = values[-1 - second % len(values)]
        if kind == 0:
            values.append(UNARY[op % len(UNARY)](x))
        elif kind < 4:
            if not fits(x, y):
                y = values[second % 2 + 2]  # a row or a column of the first, or not
            values.append(BINARY[op % len(BINARY)](x, y) if fits(x, y) else np.tanh(x))
        elif kind == 4:
            values.append(WHOLE[op % len(WHOLE)](x, second))
        elif kind == 5:
            can = np.ndim(x) == np.ndim(y) == 2 and x.shape[1] == y.shape[0]
            values.append((x @ y) * (1 / y.shape[0]) if can else x + 0.25)
        elif np.shape(x) == np.shape(mask):
            values.append(np.where(mask, x, x * 0.5) + x * mask)
        else:
            values.append(x * 0.75)
    return values[len(arrays) :]


def forward(recipe):
    return lambda arrays, mask: interpret(recipe, arrays, mask)[-4:]


def gradient(recipe):
    def loss(arrays, mask):
        return sum(np.sum(value * 0.5) * (1 / max(1, value.size)) for value in interpret(recipe, arrays, mask)[-3:])

    return mg.value_and_grad(loss)


def both(recipe):
    """A program with a gradient in its midst, which it goes on with."""

    def step(arrays, mask):
        value, slopes = gradient(recipe)(arrays, mask)
        return value, [x - 0.1 * slope for x, slope in zip(arrays, slopes)]

    return step


# --- arrays that lie in memory in all ways ----------------------------------------------------------------------------


def as_it_is(x):
    return x


def fortran(x):
    return np.asarray(x, order="F")


def strided(x):
    wide = np.full((*x.shape, 2), np.nan, x.dtype) if x.dtype != bool else np.ones((*x.shape, 2), bool)
    wide[..., 0] = x
    return wide[..., 0]


def reversed_(x):
    return np.ascontiguousarray(x[::-1])[::-1] if x.ndim else x


def read_only(x):
    x = x.copy()
    x.setflags(write=False)
    return x


def spread(x):
    """One element of it everywhere."""
    return np.broadcast_to(x[(0,) * x.ndim], x.shape)


def unaligned(x):
    room = np.empty(x.nbytes + 1, np.uint8)[1:]
    out = room.view(x.dtype).reshape(x.shape)
    out[...] = x
    return out


def number(x):
    """NumPy's scalar in place of an array without axes."""
    return x[()]


IN_ORDER = [as_it_is, read_only, unaligned, number]
LAYOUTS = [*IN_ORDER, fortran, strided, reversed_, spread]


def arguments(rows, columns, dtype, seed, layouts=(as_it_is,)):
    rng = np.random.default_rng(seed)
    shapes = (rows, columns), (columns, min(columns, 6)), (columns,), (rows, 1), (), (rows, columns)
    arrays = [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]
    turn = itertools.cycle(layouts)
    mask = next(turn)(rng.integers(0, 2, (rows, columns)) > 0)
    return [next(turn)(x) for x in arrays], mask


# --- the checks -------------------------------------------------------------------------------------------------------


def leaves_of(tree):
    return mg.core.tree.flatten(tree)[0]


def check(found, expected, tolerance):
    found, expected = leaves_of(found), leaves_of(expected)
    assert len(found) == len(expected)
    for one, two in zip(found, expected):
        assert np.shape(one) == np.shape(two)
        assert np.asarray(one).dtype == np.asarray(two).dtype
        scale = max(1.0, float(np.max(np.abs(two), initial=0))) if tolerance else 0.0
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * scale)


def run(function, rows, columns, dtype, exact, layouts):
    compiled, earlier = compile(function), []
    tolerance = 0.0 if exact else TOLERANCE[dtype]
    for seed in range(3):
        given = arguments(rows, columns, dtype, seed, layouts if seed else (as_it_is,))
        before = copy.deepcopy(given)
        expected = function(*given)
        found = compiled(*given)
        check(found, expected, tolerance)
        check(given, before, 0.0)
        arrays = [x for x in leaves_of(found) if isinstance(x, np.ndarray)]
        for place, x in enumerate(arrays):
            assert not any(np.shares_memory(x, other) for other in [*leaves_of(given), *arrays[:place]])
        for old, kept in earlier:
            check(old, kept, 0.0)
        earlier.append((found, copy.deepcopy(found)))
    assert len(compiled.programs) == 1


@pytest.fixture(scope="module", params=["numpy", "numba"], autouse=True)
def choice(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the vector machine needs it")
    with mg.kernels.using(request.param):
        yield request.param


STEP = st.tuples(st.integers(0, 6), st.integers(0, 30), st.integers(0, 7), st.integers(0, 7))
RECIPES = st.lists(STEP, min_size=2, max_size=14)


def several(count):
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("make", [forward, gradient, both])
@several(110)
@given(
    RECIPES,
    st.sampled_from(SIZES[:7] * 3 + SIZES[7:]),
    st.sampled_from([np.float64, np.float32]),
    st.lists(st.sampled_from(LAYOUTS), min_size=1, max_size=4),
)
def test_compiled_is_eager(choice, make, recipe, size, dtype, layouts):
    # Eagerly, results lie in memory as their arguments do, and sums are taken in that order; buffers are in C's order.
    in_order = set(layouts) <= set(IN_ORDER) and not any(
        kind == 4 and op % len(WHOLE) in TURNING for kind, op, *_ in recipe
    )
    run(make(recipe), *size, dtype, choice == "numpy" and in_order, layouts)
