"""Random shapes: every elementwise op over shapes that broadcast, reductions over random axes, products, and indexing.

Each case compares the value with NumPy's, the gradient with differences along a random direction, forward mode with
reverse mode (<w, J v> = <J' w, v>), and the second order in both nestings (H is symmetric: <u, H v> = <v, H u>).
Hypothesis draws the shapes, the same in every run; `CASES` counts what was checked.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from tests.ops.test_conformance import ELEMENTWISE

CASES = {"count": 0}
quick = settings(max_examples=80, deadline=None, derandomize=True, database=None)
sizes = st.integers(0, 3)


@st.composite
def broadcastable(draw, count):
    """Return shapes that broadcast against each other: some axes 1, some leading axes left out."""
    full = draw(st.lists(sizes, max_size=3))
    shapes = []
    for _ in range(count):
        kept = full[draw(st.integers(0, len(full))) :]
        shapes.append(tuple(1 if draw(st.booleans()) and draw(st.booleans()) else size for size in kept))
    return shapes


def holds(f, args, expected=None, seed=0, second=True):
    """Check a function of float arrays at one point; `f` takes the arrays that are differentiated."""
    CASES["count"] += 1
    rng = np.random.default_rng(seed)
    args = [np.asarray(x) for x in args]
    out, pullback = mg.vjp(f, *args)
    if expected is not None:
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)
        assert np.shape(out) == np.shape(expected)
        assert np.asarray(out).dtype == np.asarray(expected).dtype
    w = np.asarray(rng.standard_normal(np.shape(out)))
    v = [np.asarray(rng.standard_normal(x.shape)) for x in args]
    gradients = pullback(w)
    assert [np.shape(g) for g in gradients] == [x.shape for x in args]
    reverse = sum(np.sum(g * d) for g, d in zip(gradients, v))
    _, tangent = mg.jvp(f, args, v)
    np.testing.assert_allclose(np.sum(w * tangent), reverse, rtol=1e-9, atol=1e-9)
    step = 1e-6
    ends = [np.sum(w * f(*[x + sign * step * d for x, d in zip(args, v)])) for sign in (1, -1)]
    np.testing.assert_allclose(reverse, (ends[0] - ends[1]) / (2 * step), rtol=2e-5, atol=2e-5)
    if not second:
        return

    def gradient(*xs):
        return list(mg.vjp(f, *xs)[1](w))

    u = [np.asarray(rng.standard_normal(x.shape)) for x in args]
    _, forward = mg.jvp(gradient, args, v)
    backward = mg.vjp(gradient, *args)[1](u)
    one = sum(np.sum(a * b) for a, b in zip(u, forward))
    other = sum(np.sum(a * b) for a, b in zip(v, backward))
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


def _rows():
    """Return one row per elementwise op: those whose arguments are all floats and differentiable."""
    seen = {}
    for sample in ELEMENTWISE:
        if sample.primitive.differentiable and all(np.asarray(x).dtype == float for x in sample.args):
            seen.setdefault(sample.op, sample)
    return list(seen.values())


@pytest.mark.parametrize("sample", _rows(), ids=lambda sample: sample.op)
def test_elementwise(sample):
    @quick
    @given(broadcastable(len(sample.makers)), st.integers(0, 2**31))
    def check(shapes, seed):
        args = [np.asarray(make(*shape)) for make, shape in zip(sample.makers, shapes)]
        floats = [i for i in range(len(args)) if sample.primitive.rules.get(sample.primitive.args[i], 1) is not None]

        def f(*chosen):
            full = list(args)
            for i, x in zip(floats, chosen):
                full[i] = x
            return sample.run(*full)

        holds(f, [args[i] for i in floats], sample.wanted(*args), seed)

    check()


@st.composite
def shape_and_axis(draw):
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=3)))
    if not shape or draw(st.booleans()):
        return shape, None
    count = draw(st.integers(1, len(shape)))
    axes = draw(st.permutations(range(len(shape))))[:count]
    axes = tuple(axis - len(shape) if draw(st.booleans()) else axis for axis in axes)
    return shape, axes[0] if len(axes) == 1 and draw(st.booleans()) else axes


REDUCTIONS = "sum mean prod max min var std ptp median nansum nanmean nanmax nanvar".split()


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name):
    reduce = getattr(np, name)

    @settings(quick, max_examples=150)
    @given(shape_and_axis(), st.booleans(), st.integers(0, 2**31))
    def check(where, keepdims, seed):
        shape, axis = where
        x = np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) * 0.7 + 0.35
        keywords = {"axis": axis, "keepdims": keepdims}
        constant = name in ("std", "ptp") and np.size(x) == np.size(reduce(x, **keywords))  # a kink
        if not constant:
            holds(lambda x: reduce(x, **keywords), [x], reduce(x, **keywords), seed)

    check()


MOVERS = {
    "transpose": lambda x: np.transpose(x),
    "ravel": lambda x: np.ravel(x),
    "flip": lambda x: np.flip(x),
    "tile": lambda x: np.tile(x, 2),
    "repeat": lambda x: np.repeat(x, 2),
    "expand": lambda x: np.expand_dims(x, 0),
    "squeeze": lambda x: np.squeeze(x),
    "pad": lambda x: np.pad(x, 1) if np.ndim(x) else x * 1,
    "roll": lambda x: np.roll(x, 2),
    "stack": lambda x: np.stack([x, x * x]),
    "concatenate": lambda x: np.concatenate([np.ravel(x), np.ravel(x * 2)]),
    "cumsum": lambda x: np.cumsum(x),
    "cumprod": lambda x: np.cumprod(x),
    "sort": lambda x: np.sort(np.ravel(x)),
    "diff": lambda x: np.diff(np.ravel(x)),
    "atleast_2d": lambda x: np.atleast_2d(x),
    "slice": lambda x: np.ravel(x)[::-2],
    "outer": lambda x: np.outer(x, x),
    "broadcast": lambda x: np.broadcast_to(x, (2, *np.shape(x))) * 1,
}


@pytest.mark.parametrize("f", MOVERS.values(), ids=MOVERS)
def test_moving_and_joining(f):
    @quick
    @given(st.lists(sizes, max_size=3).map(tuple), st.integers(0, 2**31))
    def check(shape, seed):
        x = np.asarray(np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) * 0.7 - 1.05)
        holds(f, [x], f(x), seed)

    check()


@settings(quick, max_examples=400)
@given(broadcastable(2), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**31))
def test_matmul_of_stacks(stacks, n, k, m, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((*stacks[0], n, k)), rng.standard_normal((*stacks[1], k, m))
    holds(np.matmul, [x, y], np.matmul(x, y), seed)


@settings(quick, max_examples=200)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**31))
def test_einsum(i, j, k, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((i, j)), rng.standard_normal((j, k))
    for subscripts in ("ij,jk->ik", "ij,jk->", "ij,jk->ki", "ij,jk->j"):
        holds(lambda x, y, s=subscripts: np.einsum(s, x, y), [x, y], np.einsum(subscripts, x, y), seed)


def test_zz_enough_was_checked(request):
    """Runs last in this file: the count says how many cases Hypothesis made."""
    if request.session.testscollected > 5000:  # not when a part of the suite was chosen
        assert CASES["count"] >= 10_000
