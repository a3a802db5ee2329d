"""Forward mode: against reverse mode on every op, nested in every order, in threads, and in constant memory."""

import collections
import gc
import importlib
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import DTypeError, NoGradientRule, ShapeError, StaleTensorError
from tests.gradients import as_tuple, float_positions, is_float_array, random_like
from tests.ops.samples import SAMPLES

for _family in sorted((Path(__file__).parents[1] / "ops").glob("samples_*.py")):  # they add their rows to SAMPLES
    importlib.import_module(f"tests.ops.{_family.stem}")

SMOOTH = [s for s in SAMPLES if s.op in mg.ops.REGISTRY and s.primitive.differentiable and float_positions(s.args)]
A, B = np.array([0.3, -0.7, 1.2]), np.array([1.5, 0.4, -0.6])


def over(samples):
    return pytest.mark.parametrize("sample", samples, ids=[s.id for s in samples])


def of_floats(sample, dtype=np.float64, wrt=None):
    """Return a sample as a function of some of its floating-point arrays (of all of them), and those arrays."""
    args = [x.astype(dtype) if is_float_array(x) else x for x in sample.args]
    wrt = float_positions(args) if wrt is None else wrt

    def f(*chosen):
        full = list(args)
        for position, x in zip(wrt, chosen):
            full[position] = x
        return [y for y in as_tuple(sample.run(*full)) if y.dtype.kind in "fc"]

    return f, [args[position] for position in wrt]


def dot(xs, ys):
    return sum(np.sum(np.asarray(x, float) * np.asarray(y, float)) for x, y in zip(xs, ys))


def size_of(xs, ys):
    return 1 + sum(np.sum(np.abs(np.asarray(x, float) * np.asarray(y, float))) for x, y in zip(xs, ys))


# --- against reverse mode -------------------------------------------------------------------------------------------


@over(SMOOTH)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-11), (np.float32, 3e-4)], ids=["float64", "float32"])
def test_jvp_and_vjp_are_transposes(sample, dtype, tolerance):
    """<w, J v> = <J^T w, v>, for each argument alone and for all together; values, shapes and dtypes are equal."""
    positions = float_positions(sample.args)
    for wrt in [*((i,) for i in positions), positions]:
        f, primals = of_floats(sample, dtype, wrt)
        rng = np.random.default_rng(len(primals))
        out, pullback = mg.vjp(f, *primals)
        w, v = random_like(rng, out), random_like(rng, primals)
        value, moved = mg.jvp(f, primals, v)
        for y, t, wanted in zip(value, moved, out):
            assert y.shape == t.shape == wanted.shape
            assert y.dtype == t.dtype == wanted.dtype
            np.testing.assert_array_equal(y, wanted)
        pulled = pullback(w)
        assert abs(dot(w, moved) - dot(pulled, v)) <= tolerance * (size_of(w, moved) + size_of(pulled, v))


@over(SMOOTH)
def test_all_second_derivatives_agree(sample):
    """Reverse over reverse, forward over reverse, reverse over forward and forward over forward are one number."""
    f, primals = of_floats(sample)
    rng = np.random.default_rng(1)
    w, u, v = random_like(rng, f(*primals)), random_like(rng, primals), random_like(rng, primals)
    everywhere = tuple(range(len(primals)))

    def total(*xs):
        return sum(np.sum(y * c) for y, c in zip(f(*xs), w))

    def reverse(g, direction):
        return lambda *xs: sum(np.sum(p * d) for p, d in zip(mg.grad(g, everywhere)(*xs), direction))

    def forward(g, direction):
        return lambda *xs: mg.jvp(g, xs, direction)[1]

    orders = [reverse(reverse(total, u), v), forward(reverse(total, u), v)]
    orders += [reverse(forward(total, u), v), forward(forward(total, u), v)]
    found = [float(order(*primals)) for order in orders]
    np.testing.assert_allclose(found, found[0], rtol=1e-8, atol=1e-9)


def test_a_wrong_linear_mark_is_found_by_the_identity():
    @mg.primitive(linear="jointly")
    def affine_only(x):
        return 2 * x + 1

    affine_only.vjp(x=lambda g: 2 * g)
    _, moved = mg.jvp(affine_only, (A,), (B,))
    _, pullback = mg.vjp(affine_only, A)
    assert abs(np.sum(A * moved) - np.sum(pullback(A)[0] * B)) > 0.1


@pytest.mark.parametrize("name", [n for n, op in mg.ops.REGISTRY.items() if op.linear in ("jointly", "each")])
def test_linear_marks_are_true(name):
    """The forward function of an op that is marked as linear is: f(2a - 3b) = 2 f(a) - 3 f(b)."""
    for sample in (s for s in SMOOTH if s.op == name and s.call is None):
        op, args = sample.primitive, sample.args
        moving = [i for i, x in enumerate(args) if is_float_array(x) and op.has_rule(i)]
        rng = np.random.default_rng(2)
        for wrt in [moving] if op.linear == "jointly" else [[i] for i in moving]:
            f, primals = of_floats(sample, wrt=tuple(wrt))
            a, b = random_like(rng, primals), random_like(rng, primals)
            if op.linear == "jointly" and any(isinstance(x, float) for x in args):
                continue  # a constant among the arrays would have to be zero
            both = f(*(2 * x - 3 * y for x, y in zip(a, b)))
            for found, left, right in zip(both, f(*a), f(*b)):
                np.testing.assert_allclose(found, 2 * left - 3 * right, rtol=1e-10, atol=1e-10)


def test_a_primitive_without_a_linear_mark():
    @mg.primitive
    def scaled_norm(x, y, *, factor):
        return factor * np.sqrt(np.sum(x * x)) * y

    def norm_rule(g, x, y, factor):
        return factor * np.sum(g * y) * x / np.sqrt(np.sum(x * x))

    scaled_norm.vjp(x=norm_rule, y=lambda g, x, factor: factor * g * np.sqrt(np.sum(x * x)))
    norm = np.sqrt(A @ A)
    out, moved = mg.jvp(lambda x, y: scaled_norm(x, y, factor=3.0), (A, B), (B, A))
    np.testing.assert_allclose(out, 3 * norm * B)
    np.testing.assert_allclose(moved, 3 * (A @ B) / norm * B + 3 * norm * A)


def test_a_primitive_with_several_outputs_and_an_integer_one():
    @mg.primitive(outputs=("highest", "place", "total"))
    def summary(x):
        return np.max(x), np.argmax(x), np.sum(x * x)

    summary.vjp(x=lambda g, x, place: g[0] * (np.arange(len(x)) == place) + 2 * g[2] * x)
    (high, place, total), moved = mg.jvp(summary, (A,), (B,))
    assert (high, place, total) == (1.2, 2, np.sum(A * A))
    np.testing.assert_allclose([moved[0], moved[2]], [B[2], 2 * A @ B])
    assert moved[1] == 0


def test_a_primitive_without_a_rule_is_refused():
    @mg.primitive
    def nothing_known(x):
        return x * 2

    with pytest.raises(NoGradientRule, match="nothing_known has no gradient rule"):
        mg.jvp(nothing_known, (A,), (B,))


# --- fused ops ------------------------------------------------------------------------------------------------------


def test_fused_ops_go_by_their_reference():
    scores, y = np.array([[1.0, 2.0, 0.5], [0.1, -0.4, 0.3]]), np.array([0, 2])
    direction = np.array([[0.2, -1.0, 0.7], [1.0, 0.4, -0.2]])
    _, moved = mg.jvp(lambda s: mg.softmax_loss(s, y), (scores,), (direction,))
    powers = np.exp(scores)
    exact = (powers / powers.sum(1, keepdims=True) - np.eye(3)[y]) / 2
    np.testing.assert_allclose(moved, np.sum(exact * direction))


def test_a_by_product_that_has_no_derivative_is_refused_as_in_reverse_mode():
    def total(scores):
        return np.sum(mg.softmax_loss.all_outputs(scores, np.array([0]))[2])

    with pytest.raises(NoGradientRule):
        mg.grad(total)(A[None])
    with pytest.raises(NoGradientRule):
        mg.jvp(total, (A[None],), (B[None],))


# --- nested ---------------------------------------------------------------------------------------------------------


def along(f, x, v=1.0):
    return mg.jvp(f, (x,), (v,))[1]


def slope(f, x):
    return mg.grad(f)(x)


class TestNested:
    @pytest.mark.parametrize("outer", [along, slope], ids=["forward", "reverse"])
    @pytest.mark.parametrize("inner", [along, slope], ids=["forward", "reverse"])
    def test_perturbations_are_not_confused(self, outer, inner):
        """d/dx x (d/dy (x + y)) is 1, and 2 when the two are confused (Siskind and Pearlmutter, 2005)."""
        assert outer(lambda x: x * inner(lambda y: x + y, 1.0), 1.0) == 1.0
        assert outer(lambda x: x * inner(lambda y: x * y, 2.0), 1.0) == 2.0
        assert outer(lambda x: inner(lambda y: x * x, 5.0) + x, 4.0) == 1.0
        assert outer(lambda x: x * inner(lambda y: x * y * y, x), 3.0) == 3 * 2 * 9.0

    def test_the_tangent_may_depend_on_the_outer_variable(self):
        assert mg.grad(lambda x: mg.jvp(np.sin, (0.5,), (x * x,))[1])(3.0) == pytest.approx(6 * np.cos(0.5))
        assert along(lambda x: mg.jvp(np.sin, (x,), (x,))[1], 0.5) == pytest.approx(np.cos(0.5) - 0.5 * np.sin(0.5))

    @pytest.mark.parametrize("order", range(1, 6))
    def test_orders_of_the_sine(self, order):
        f = np.sin
        for _ in range(order):
            f = lambda x, f=f: along(f, x)  # noqa: E731
        exact = [np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)][order % 4](0.3)
        np.testing.assert_allclose(f(0.3), exact)

    @pytest.mark.parametrize("word", ["fff", "ffr", "frf", "rff", "frr", "rfr", "rrf", "rrr"])
    def test_third_derivatives_in_every_order_of_modes(self, word):
        def f(x):
            return np.sum(np.exp(x * A) * np.tanh(x * B))

        h = f
        for mode in word:
            h = mg.grad(h) if mode == "r" else (lambda x, h=h: along(h, x))
        t, e = np.tanh(0.4 * B), np.exp(0.4 * A)
        d = [t, B * (1 - t**2), B**2 * (-2 * t + 2 * t**3), B**3 * (1 - t**2) * (-2 + 6 * t**2)]
        exact = np.sum(e * (A**3 * d[0] + 3 * A**2 * d[1] + 3 * A * d[2] + d[3]))
        assert float(h(0.4)) == pytest.approx(exact)

    def test_pullback_inside_forward_inside_gradient(self):
        """sum_i of d/dt (x_i + t)^3 pulled back with the same: by hand 3 x^2 * 3 x^2 summed, of gradient 36 x^3."""

        def f(x):
            _, moved = mg.jvp(lambda y: mg.vjp(lambda z: z**3, y)[1](y)[0], (x,), (np.ones(3),))
            return np.sum(moved * x)  # 9 x^2 * x

        np.testing.assert_allclose(mg.grad(f)(A), 27 * A**2)
        np.testing.assert_allclose(along(f, A, B), np.sum(27 * A**2 * B))

    def test_pullback_kept_from_outside_is_used_inside(self):
        _, pullback = mg.vjp(np.sin, A)
        np.testing.assert_allclose(along(lambda g: pullback(g)[0], A, B), np.cos(A) * B)

    def test_inner_tensors_do_not_outlive_their_jvp(self):
        kept = []
        mg.jvp(lambda x: kept.append(x * 2) or x, (A,), (B,))
        with pytest.raises(StaleTensorError):
            np.sin(kept[0])
        with pytest.raises(StaleTensorError):
            kept[0] + 1.0

    def test_on_a_full_tape(self):
        tape = mg.Tape()
        x = tape.watch(A)
        out, moved = mg.jvp(lambda y: np.sin(y) * y, (x,), (B,))
        exact = np.cos(A) * A + np.sin(A)
        np.testing.assert_allclose(moved.value, exact * B)
        np.testing.assert_allclose(tape.gradient(np.sum(moved), x), (2 * np.cos(A) - A * np.sin(A)) * B)
        np.testing.assert_allclose(tape.gradient(np.sum(out), x), exact)

    def test_branches_follow_the_value(self):
        def f(x):
            total = 0.0
            for entry in x:
                total = total + (entry**2 if entry > 0 else -entry)
            return total

        np.testing.assert_allclose(along(f, A, B), 2 * A[0] * B[0] - B[1] + 2 * A[2] * B[2])


# --- containers, shapes, dtypes -------------------------------------------------------------------------------------


class Pair(NamedTuple):
    left: object
    right: object


class TestResults:
    def test_containers_come_back_as_they_are(self):
        def f(d, pair):
            return {"sum": d["a"] + pair.right, "rest": [pair, (d["a"],)], "other": collections.OrderedDict(k=d["b"])}

        d, pair = {"a": A, "b": 2.0}, Pair(B, A)
        out, moved = mg.jvp(f, (d, pair), ({"a": B, "b": 3.0}, Pair(A, A)))
        assert list(out) == list(moved) == ["sum", "rest", "other"]
        assert type(moved["rest"][0]) is Pair and type(moved["other"]) is collections.OrderedDict
        np.testing.assert_array_equal(moved["sum"], B + A)
        np.testing.assert_array_equal(moved["rest"][0].left, A)
        assert moved["other"]["k"] == 3.0 and out["other"]["k"] == 2.0

    def test_the_order_of_a_dict_does_not_matter(self):
        """As for the cotangent of a pullback: entries belong together by their names."""
        _, moved = mg.jvp(lambda d: d["a"] * d["b"], ({"a": A, "b": B},), ({"b": 0 * A, "a": A},))
        np.testing.assert_allclose(moved, A * B)

    def test_constants_have_zero_tangents(self):
        out, moved = mg.jvp(lambda x: (3.0, np.ones(2, np.float32), np.arange(3), x), (A,), (B,))
        assert out[0] == 3.0 and moved[0] == 0.0
        assert moved[1].dtype == np.float32 and not moved[1].any() and moved[1].shape == (2,)
        assert moved[2].shape == (3,) and not moved[2].any()
        np.testing.assert_array_equal(moved[3], B)

    def test_what_does_not_depend_on_the_values_has_a_zero_tangent(self):
        out, moved = mg.jvp(lambda x: (np.argsort(x), np.floor(x), x > 0, mg.stop_gradient(x)), (A,), (B,))
        assert not any(np.any(t) for t in moved)
        np.testing.assert_array_equal(out[0], np.argsort(A))

    def test_inputs_may_be_returned(self):
        out, moved = mg.jvp(lambda x, y: (y, x), (A, B), (2 * A, 3 * B))
        np.testing.assert_array_equal(moved[0], 3 * B)
        np.testing.assert_array_equal(out[1], A)

    @pytest.mark.parametrize(
        "f",
        [lambda x: x, lambda x: x.reshape(3, 1), lambda x: np.broadcast_to(x, (2, 3)), lambda x: x + np.zeros((2, 3))],
    )
    def test_tangents_are_arrays_of_their_own(self, f):
        """The caller may write into them: they are writeable and share memory with nothing that was given."""
        direction, x = B.copy(), A.copy()
        _, moved = mg.jvp(f, (x,), (direction,))
        moved[...] = np.nan
        np.testing.assert_array_equal(direction, B)
        np.testing.assert_array_equal(x, A)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_dtypes_are_kept(self, dtype):
        out, moved = mg.jvp(lambda x: np.sum(np.tanh(x) * 2.0 + x**2), (A.astype(dtype),), (B,))
        assert out.dtype == moved.dtype == dtype

    def test_mixed_dtypes_promote_as_numpy_does(self):
        out, moved = mg.jvp(lambda x, y: x * y, (A.astype(np.float32), B), (A, B))
        assert out.dtype == moved.dtype == np.float64

    @pytest.mark.parametrize("x", [0.5, np.float32(0.5), np.array(0.5)])
    def test_numbers(self, x):
        out, moved = mg.jvp(np.sin, (x,), (2.0,))
        assert np.shape(out) == np.shape(moved) == ()
        np.testing.assert_allclose(moved, 2 * np.cos(0.5), rtol=1e-6)

    @pytest.mark.parametrize("shape", [(0,), (2, 0, 3)])
    def test_empty_arrays(self, shape):
        out, moved = mg.jvp(lambda x: (np.sin(x), np.sum(x)), (np.zeros(shape),), (np.zeros(shape),))
        assert out[0].shape == moved[0].shape == shape
        assert moved[1] == 0.0

    def test_aux(self):
        out, moved, aux = mg.jvp(lambda x: (x * 2, {"x": x, "word": "kept"}), (A,), (B,), has_aux=True)
        np.testing.assert_array_equal(moved, 2 * B)
        np.testing.assert_array_equal(aux["x"], A)
        assert type(aux["x"]) is np.ndarray and aux["word"] == "kept"

    def test_complex(self):
        z, dz = A + 1j * B, B - 2j * A
        out, moved = mg.jvp(lambda z: np.exp(z) * z, (z,), (dz,))
        np.testing.assert_allclose(moved, (np.exp(z) * z + np.exp(z)) * dz)
        assert out.dtype == moved.dtype == np.complex128

    @pytest.mark.parametrize(
        "f, exact",
        [
            (np.conj, lambda z, t: np.conj(t)),
            (np.real, lambda z, t: t.real),
            (np.imag, lambda z, t: t.imag),
            (np.abs, lambda z, t: (np.conj(z) * t).real / np.abs(z)),
            (lambda z: np.arctan2(np.imag(z), np.real(z)), lambda z, t: (t / z).imag),
            (lambda z: z * np.conj(z), lambda z, t: 2 * (np.conj(z) * t).real),
            (lambda z: np.sum(np.real(z) ** 2), lambda z, t: np.sum(2 * z.real * t.real)),
        ],
        ids=["conj", "real", "imag", "abs", "angle", "square of the absolute", "reduced"],
    )
    def test_complex_functions_that_are_not_holomorphic(self, f, exact):
        z, dz = A + 1j * B, B - 2j * A
        out, moved = mg.jvp(f, (z,), (dz,))
        np.testing.assert_allclose(moved, exact(z, dz), atol=1e-14)
        assert moved.dtype == out.dtype

    def test_real_to_complex(self):
        _, moved = mg.jvp(lambda x: np.exp(1j * x), (A,), (B,))
        np.testing.assert_allclose(moved, 1j * np.exp(1j * A) * B)


# --- mistakes -------------------------------------------------------------------------------------------------------


class TestMistakes:
    @pytest.mark.parametrize(
        "primals, tangents, error, text",
        [
            ((A,), (np.ones(2),), ShapeError, r"shape \(3,\).*\(2,\)"),
            ((A,), (1.0,), ShapeError, r"shape \(3,\)"),
            ((A, A), (A,), ShapeError, "same"),
            (({"a": A},), ({"b": A},), ShapeError, "same"),
            ((np.arange(3),), (A,), DTypeError, "integer array"),
            (("word",), (A,), DTypeError, "not an array"),
            ((A,), (1j * A,), DTypeError, "real"),
        ],
        ids=["shape", "scalar", "count", "keys", "integers", "text", "complex tangent"],
    )
    def test_tangents_must_fit(self, primals, tangents, error, text):
        with pytest.raises(error, match=text):
            mg.jvp(lambda *args: args[0], primals, tangents)

    @pytest.mark.parametrize("x", [A, A[:1], np.array(1.0), 1.0], ids=["array", "one element", "0-d", "number"])
    def test_primals_must_be_a_tuple(self, x):
        """A bare array would be taken apart into its elements."""
        with pytest.raises((TypeError, ShapeError), match="tuple"):
            mg.jvp(np.sin, x, x)

    @pytest.mark.parametrize("result", ["word", None, object()], ids=["text", "None", "object"])
    @pytest.mark.parametrize("wrap", [lambda y: y, lambda y: (1.0, y)], ids=["alone", "in a tuple"])
    def test_results_must_be_arrays(self, result, wrap):
        with pytest.raises(DTypeError, match="returned"):
            mg.jvp(lambda x: wrap(result), (A,), (B,))

    def test_aux_must_be_a_pair(self):
        with pytest.raises(DTypeError, match="pair"):
            mg.jvp(lambda x: x, (A,), (B,), has_aux=True)

    def test_an_error_inside_leaves_nothing_behind(self):
        with pytest.raises(ShapeError):
            mg.jvp(lambda x: x @ np.ones((2, 2)), (A,), (B,))
        np.testing.assert_allclose(along(np.sin, A, B), np.cos(A) * B)


# --- memory and threads ---------------------------------------------------------------------------------------------


def test_a_long_chain_keeps_no_intermediate_alive():
    alive = []

    def f(x):
        most = 0
        for _ in range(200):
            x = np.tanh(x) * 1.01
            alive.append(weakref.ref(x))
            most = max(most, sum(ref() is not None for ref in alive))
        assert most <= 2
        return np.sum(x)

    mg.jvp(f, (np.ones(10),), (np.ones(10),))
    assert not any(ref() for ref in alive)


def test_memory_does_not_grow_with_the_chain():
    def peak(steps):
        def chain(x):
            for _ in range(steps):
                x = np.sin(x) * 0.9
            return x

        x = np.ones(20_000)
        gc.collect()
        tracemalloc.start()
        try:
            mg.jvp(chain, (x,), (x,))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)
    assert peak(100) < 1.2 * peak(10)


def test_a_hundred_thousand_ops():
    def deep(x):
        for _ in range(50_000):
            x = x * 0.99999 + 1e-5
        return x

    out, moved = mg.jvp(deep, (0.5,), (1.0,))
    assert moved == pytest.approx(0.99999**50_000)


def test_no_garbage_is_left_for_the_collector():
    mg.jvp(lambda x: np.sum(np.linalg.norm(np.tanh(x) ** 2)), (A,), (B,))
    gc.collect()
    gc.disable()
    try:
        mg.jvp(lambda x: np.sum(np.tanh(x) ** 2), (A,), (B,))
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_threads_do_not_see_each_other():
    start = threading.Barrier(8)

    def work(number):
        start.wait()
        found = []
        for repeat in range(20):
            x = 0.1 * number + 0.01 * repeat
            found.append(along(lambda x: x * mg.grad(lambda y: np.sin(x * y))(x), x))
        exact = [2 * x * np.cos(x * x) - 2 * x**3 * np.sin(x * x) for x in 0.1 * number + 0.01 * np.arange(20)]
        np.testing.assert_allclose(found, exact, atol=1e-14)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


# --- assignment -----------------------------------------------------------------------------------------------------


def test_assignment_carries_tangents():
    def f(x, y):
        x = x * 1.0
        x[1] = y[0] * x[0]
        x[[0, 2]] += y[1:]
        x *= 2.0
        return x

    _, moved = mg.jvp(f, (A, B), (B, A))
    np.testing.assert_allclose(moved, 2 * np.array([B[0] + A[1], A[0] * A[0] + B[0] * B[0], B[2] + A[2]]))
