"""checkpoint, custom_vjp, numerical_vjp and fallback: right at every order, and clear where they end."""

import functools
import gc
import math
import threading
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import MinigradError, MinigradWarning, NoGradientRule, OptionError, ShapeError
from minigrad.core.numpy_protocol import FUNCTIONS
from tests.gradients import check_derivatives

A, B = np.array([0.3, -0.7, 1.2]), np.array([1.5, 0.4, -0.6])
M = np.array([[2.0, 0.3, -0.1], [0.5, 1.0, 0.2], [0.1, -0.4, 3.0]])


def same_derivatives(f, g, *args):
    """Check that two functions agree in value and in all derivatives to second order, in every combination of modes."""
    everywhere = tuple(range(len(args)))
    np.testing.assert_allclose(f(*args), g(*args))
    for transform in (
        lambda f: mg.grad(f, everywhere),
        lambda f: lambda *xs: [mg.jvp(f, xs, [np.cos(x) for x in xs])[1]],
        lambda f: [mg.jacobian(mg.grad(f, i), j, mode=mode) for i in everywhere for j in everywhere for mode in MODES],
    ):
        found, wanted = transform(f), transform(g)
        if callable(found):
            found, wanted = [found], [wanted]
        for left, right in zip(found, wanted):
            for a, b in zip(left(*args), right(*args)):
                np.testing.assert_allclose(a, b, atol=1e-12)


MODES = ("forward", "reverse")


def peak(f, x):
    """Return the most memory that a gradient takes, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        mg.grad(f)(x)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- checkpoint -----------------------------------------------------------------------------------------------------


def block(x, w):
    return np.tanh(np.tanh(x @ w) @ w.T) * x


class Layer(NamedTuple):
    w: object
    b: object


class TestCheckpoint:
    def test_value_and_derivatives_are_the_same(self):
        def loss(run):
            return lambda x, w: np.sum(run(run(x, w), w) ** 2)

        same_derivatives(loss(mg.checkpoint(block)), loss(block), A, M)

    def test_nested(self):
        inner = mg.checkpoint(lambda x: np.tanh(np.sin(x) * x))
        outer = mg.checkpoint(lambda x: inner(inner(x)) * x)

        def plain(x):
            y = np.tanh(np.sin(x) * x)
            return np.sum(np.tanh(np.sin(y) * y) * x)

        same_derivatives(lambda x: np.sum(outer(x)), plain, A)

    def test_on_arrays_it_is_the_function(self):
        assert type(mg.checkpoint(block)(A, M)) is np.ndarray
        np.testing.assert_array_equal(mg.checkpoint(block)(A, M), block(A, M))
        assert mg.checkpoint(block).__name__ == "block"

    def test_containers_keywords_and_plain_arguments(self):
        def f(params, x, labels, *, scale, power=2, word="kept"):
            assert word == "kept" and type(power) is int and labels.dtype.kind == "i"
            hidden = np.tanh(x @ params["layer"].w + params["layer"].b)
            return {"scores": scale * hidden[labels] ** power, "parts": (hidden, labels, 3.0)}

        def loss(run):
            def number(params, scale):
                out = run(params, A, np.array([2, 0, 0]), scale=scale, power=3)
                np.testing.assert_array_equal(out["parts"][1], [2, 0, 0])
                assert out["parts"][2] == 3.0
                return np.sum(out["scores"]) + np.sum(out["parts"][0])

            return number

        params = {"layer": Layer(M, B)}
        found = mg.grad(loss(mg.checkpoint(f)), (0, 1))(params, 2.0)
        wanted = mg.grad(loss(f), (0, 1))(params, 2.0)
        np.testing.assert_allclose(found[0]["layer"].w, wanted[0]["layer"].w)
        np.testing.assert_allclose(found[0]["layer"].b, wanted[0]["layer"].b)
        np.testing.assert_allclose(found[1], wanted[1])

    def test_integer_tensors_on_a_full_tape(self):
        tape = mg.Tape()
        x, rows = tape.watch(A), tape.watch(np.array([0, 2, 2]), name="rows")
        out = mg.checkpoint(lambda x, rows: np.sin(x)[rows])(x, rows)
        np.testing.assert_allclose(tape.gradient(np.sum(out), x), [np.cos(A[0]), 0, 2 * np.cos(A[2])])

    def test_it_is_one_node_of_a_tape_and_keeps_its_arguments_only(self):
        for full in (True, False):
            tape = mg.Tape(full=full)
            x, w = tape.watch(A), tape.watch(M)
            out = np.sum(mg.checkpoint(block)(x, w))
            assert [node.name for node in tape.nodes if node.role == "op"] == ["checkpoint", "sum"]
            kept = [array for node in tape.nodes for part in node.saved if isinstance(part, tuple) for array in part]
            assert {array.shape for array in kept if isinstance(array, np.ndarray)} == {A.shape, M.shape}
            np.testing.assert_allclose(tape.gradient(out, x), mg.grad(lambda x: np.sum(block(x, M)))(A), rtol=1e-12)

    def test_captured_on_a_full_tape_with_its_backward_pass(self):
        tape = mg.Tape()
        x = tape.watch(A)
        gradient = mg.grad(lambda x: np.sum(mg.checkpoint(lambda x: np.sin(x) ** 2)(x)))(x)
        np.testing.assert_allclose(gradient.value, np.sin(2 * A))
        np.testing.assert_allclose(tape.gradient(np.sum(gradient), x), 2 * np.cos(2 * A))

    def test_a_tensor_that_is_closed_over_is_refused(self):
        def f(x):
            return np.sum(mg.checkpoint(lambda y: y * np.exp(x))(x * x))

        for transform in (mg.grad, mg.hessian):
            with pytest.raises(NoGradientRule, match="pass it as an argument"):
                transform(f)(A)
        with pytest.raises(NoGradientRule, match="pass it as an argument"):
            mg.jvp(f, (A,), (B,))

    def test_a_tensor_of_an_outer_level_that_is_closed_over_is_refused(self):
        def f(x):
            return mg.grad(lambda y: mg.checkpoint(lambda z: z * z * x)(y))(2.0)

        with pytest.raises(NoGradientRule, match="pass it as an argument"):
            mg.grad(f)(3.0)
        assert mg.grad(lambda x: mg.grad(lambda y: mg.checkpoint(lambda z, x: z * z * x)(y, x))(2.0))(3.0) == 4.0

    def test_results_that_do_not_depend_on_the_arguments(self):
        f = mg.checkpoint(lambda x: (x * 2, np.ones(3), np.argsort(x), x))
        value, gradient = mg.value_and_grad(lambda x: np.sum(f(x)[0]) + np.sum(f(x)[1]) + np.sum(f(x)[3]))(A)
        np.testing.assert_allclose(gradient, [3, 3, 3])
        assert value == pytest.approx(3 * np.sum(A) + 3)

    def test_one_argument_used_twice_and_another_not_at_all(self):
        f = mg.checkpoint(lambda x, y, z: x * y)
        found = mg.grad(lambda x, z: np.sum(f(x, x, z)), (0, 1))(A, B)
        np.testing.assert_allclose(found[0], 2 * A)
        np.testing.assert_array_equal(found[1], np.zeros(3))

    def test_dtypes_are_kept(self):
        x, w = A.astype(np.float32), M.astype(np.float32)
        value, gradients = mg.value_and_grad(lambda x, w: np.sum(mg.checkpoint(block)(x, w)), (0, 1))(x, w)
        assert {value.dtype, *(g.dtype for g in gradients)} == {np.dtype(np.float32)}

    def test_complex(self):
        z = A + 1j * B
        run = mg.checkpoint(lambda z: np.exp(z) * z)
        _, pullback = mg.vjp(run, z)
        np.testing.assert_allclose(pullback(z)[0], z * np.exp(z) * (z + 1))

    def test_a_pullback_may_be_called_many_times(self):
        _, pullback = mg.vjp(mg.checkpoint(np.sin), A)
        for _ in range(2):
            np.testing.assert_allclose(pullback(B)[0], B * np.cos(A))

    def test_errors_inside_are_those_of_the_function(self):
        with pytest.raises(ShapeError, match="matmul"):
            mg.grad(lambda x: np.sum(mg.checkpoint(lambda x: x @ np.ones((2, 2)))(x)))(A)

    def test_the_function_is_called_once_forward_and_once_backward(self):
        calls = []

        def counted(x):
            calls.append(type(x))
            return np.tanh(x)

        mg.grad(lambda x: np.sum(mg.checkpoint(counted)(x)))(A)
        assert calls == [np.ndarray, mg.Tensor]

    def test_less_memory(self):
        """A chain of 10 blocks of 10 steps: without checkpoints 100 arrays are kept, with them about 20."""
        x = np.linspace(-1, 1, 40_000)

        def steps(x):
            for _ in range(10):
                x = np.tanh(x)
            return x

        def chain(run):
            def number(x):
                for _ in range(10):
                    x = run(x)
                return np.sum(x)

            return number

        np.testing.assert_allclose(
            mg.grad(chain(mg.checkpoint(steps)))(x[:5]), mg.grad(chain(steps))(x[:5]), rtol=1e-10
        )
        assert peak(chain(mg.checkpoint(steps)), x) < 0.35 * peak(chain(steps), x)

    def test_nested_checkpoints_use_less_memory_still(self):
        x = np.linspace(-1, 1, 20_000)

        def chain(depth):
            if depth == 0:
                return np.tanh
            inner = chain(depth - 1)
            return mg.checkpoint(lambda x: inner(inner(x)))

        block = chain(7)
        assert peak(lambda x: np.sum(block(x)), x) < 30 * x.nbytes  # where 128 steps keep 128 arrays

    @pytest.mark.parametrize("second", [False, True], ids=["first order", "second order"])
    def test_no_garbage_is_left_for_the_collector(self, second):
        """Nor does the tape of a pullback, which keeps its entries, hold itself alive."""
        inner = mg.checkpoint(lambda x: np.tanh(np.sin(x)))
        outer = mg.checkpoint(lambda x: inner(inner(x)) * log1pexp(x))

        def run():
            mg.vjp(outer, A)[1](B)
            mg.grad(lambda x: np.sum(outer(x)))(A)
            if second:
                mg.grad(lambda x: np.sum(mg.grad(lambda x: np.sum(outer(x)))(x)))(A)

        run()
        gc.collect()
        gc.disable()
        try:
            run()
            assert gc.collect() == 0
        finally:
            gc.enable()

    def test_threads(self):
        run = mg.checkpoint(block)
        wanted = [mg.grad(lambda x: np.sum(block(x, M)))(A * k) for k in range(8)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda k: mg.grad(lambda x: np.sum(run(x, M)))(A * k), range(8)))
        np.testing.assert_allclose(found, wanted)


# --- custom_vjp -----------------------------------------------------------------------------------------------------


def with_rules(f, forward, backward):
    op = mg.custom_vjp(f)
    op.defvjp(forward, backward)
    return op


def logistic_loss(x):
    return np.log(1 + np.exp(x))


log1pexp = with_rules(logistic_loss, lambda x: (log1pexp(x), x), lambda x, g: (g / (1 + np.exp(-x)),))


class TestCustomVJP:
    def test_the_rule_is_the_one_that_is_asked(self):
        doubled = with_rules(lambda x: x * 1.0, lambda x: (x * 1.0, None), lambda _, g: (g * 100.0,))
        np.testing.assert_array_equal(mg.grad(lambda x: np.sum(doubled(x)))(A), [100.0] * 3)
        np.testing.assert_array_equal(mg.jvp(doubled, (A,), (B,))[1], 100.0 * B)

    def test_to_second_order_in_both_modes(self):
        same_derivatives(lambda x: np.sum(log1pexp(x) * x), lambda x: np.sum(logistic_loss(x) * x), A)
        check_derivatives(lambda x: log1pexp(log1pexp(x)), (A,), orders=3)

    def test_stable_where_the_plain_formula_is_not(self):
        """What such a rule is for: the derivative of log(1 + exp(x)) at 100 is 1, not NaN."""
        assert mg.grad(log1pexp)(100.0) == 1.0
        assert mg.grad(mg.grad(log1pexp))(100.0) == pytest.approx(0.0, abs=1e-40)

    def test_residuals_of_any_kind(self):
        seen = []

        def forward(x, y):
            kept = {"x": x, "list": [y, 3, "word", None], "own": Layer(x * y, object), "mask": x > 0, "n": np.arange(3)}
            return x * y, kept

        def backward(kept, g):
            seen.append(kept)
            y, three, word, nothing = kept["list"]
            assert (three, word, nothing) == (3, "word", None)
            assert kept["own"].b is object and kept["mask"].dtype == bool and kept["n"].dtype.kind == "i"
            return g * y, g * kept["x"]

        product = with_rules(lambda x, y: x * y, forward, backward)
        same_derivatives(lambda x, y: np.sum(product(x, y) ** 2), lambda x, y: np.sum((x * y) ** 2), A, B)
        assert type(seen[0]["own"]) is Layer

    def test_no_residuals(self):
        negative = with_rules(lambda x: -x, lambda x: (-x, None), lambda _, g: (-g,))
        np.testing.assert_array_equal(mg.grad(lambda x: np.sum(negative(x)))(A), [-1.0] * 3)

    def test_containers(self):
        def f(layer, x):
            return {"out": layer["w"] @ x + layer["b"], "norm": (np.sum(layer["b"] ** 2),)}

        def backward(kept, g):
            layer, x = kept
            out, (norm,) = g["out"], g["norm"]
            return {"w": np.outer(out, x), "b": out + 2 * norm * layer["b"]}, out @ layer["w"]

        op = with_rules(f, lambda layer, x: (f(layer, x), (layer, x)), backward)

        def loss(run):
            def number(w, b, x):
                out = run({"w": w, "b": b}, x)
                return np.sum(np.sin(out["out"])) * out["norm"][0]

            return number

        same_derivatives(loss(op), loss(f), M, B, A)

    def test_cotangents_of_results_that_nobody_used_are_zeros(self):
        def backward(_, g):
            assert g[1].shape == (2, 2) and not np.any(g[1])
            return (3 * g[0],)

        op = with_rules(lambda x: (3 * x, np.ones((2, 2))), lambda x: ((3 * x, np.ones((2, 2))), None), backward)
        np.testing.assert_array_equal(mg.grad(lambda x: np.sum(op(x)[0]))(A), [3.0] * 3)

    def test_none_is_zero(self):
        op = with_rules(lambda x, y: x * y, lambda x, y: (x * y, y), lambda y, g: (g * y, None))
        found = mg.grad(lambda x, y: np.sum(op(x, y)), (0, 1))(A.astype(np.float32), B.astype(np.float32))
        np.testing.assert_array_equal(found[1], np.zeros(3))
        assert [g.dtype for g in found] == [np.float32] * 2

    def test_integer_and_plain_arguments(self):
        def backward(kept, g):
            x, rows, power = kept
            spread = np.stack([np.sum(np.where(rows == i, g, 0.0)) for i in range(3)])
            return spread * power * x ** (power - 1), None, None

        def f(x, rows, power):
            return (x**power)[rows]

        op = with_rules(f, lambda x, rows, power: (f(x, rows, power), (x, rows, power)), backward)
        rows = np.array([2, 0, 2, 2])
        same_derivatives(lambda x: np.sum(op(x, rows, 3) * A[0]), lambda x: np.sum(f(x, rows, 3) * A[0]), A)

    def test_keywords_without_a_derivative(self):
        def f(x, scale=1.0, name=""):
            return x * scale

        op = with_rules(f, lambda x, scale=1.0, name="": (x * scale, scale), lambda scale, g: (g * scale,))
        np.testing.assert_array_equal(mg.grad(lambda x: np.sum(op(x, scale=4.0, name="n")))(A), [4.0] * 3)
        np.testing.assert_array_equal(mg.grad(lambda x: np.sum(op(x, scale=A)))(A), A)

    def test_a_tensor_as_a_keyword_is_never_dropped_in_silence(self):
        """The rule returns cotangents by position: a keyword has none, and its gradient must not become zero."""

        def f(x, scale=1.0):
            return x * scale

        op = with_rules(f, lambda x, scale=1.0: (x * scale, (x, scale)), lambda kept, g: (g * kept[1],))
        with pytest.raises(MinigradError, match="scale"):
            mg.grad(lambda scale: np.sum(op(A, scale=scale)))(2.0)

    def test_called_several_times_and_by_several_instances_in_one_pass(self):
        ops = [
            with_rules(lambda x, k=k: k * x * x, lambda x, k=k: (k * x * x, x), lambda x, g, k=k: (2 * k * g * x,))
            for k in range(1, 4)
        ]

        def f(x):
            return sum(np.sum(op(op(x)) * op(x * B)) for op in ops)

        def plain(x):
            return sum(np.sum(k * (k * x * x) ** 2 * k * (x * B) ** 2) for k in range(1, 4))

        same_derivatives(f, plain, A)

    @pytest.mark.parametrize("order", [1, 2, 3, 4])
    def test_orders(self, order):
        cube = with_rules(lambda x: x**3, lambda x: (x**3, x), lambda x, g: (3 * g * x**2,))
        f = cube
        for _ in range(order):
            f = mg.grad(f)
        assert float(f(2.0)) == pytest.approx([None, 12.0, 12.0, 6.0, 0.0][order])

    def test_a_rule_in_the_middle_of_two_levels(self):
        cube = with_rules(lambda x: x**3, lambda x: (cube(x), x), lambda x, g: (3 * g * x**2,))
        assert mg.grad(lambda x: mg.grad(lambda y: cube(x * y))(2.0))(3.0) == pytest.approx(9 * 9 * 4)

    def test_a_rule_that_is_not_the_derivative_holds_at_every_level(self):
        """A straight-through estimator: rounding, with the derivative of the identity."""
        through = with_rules(np.round, lambda x: (through(x), None), lambda _, g: (g,))
        assert mg.grad(lambda x: through(x) ** 2)(1.2) == 2.0
        assert mg.grad(mg.grad(lambda x: through(x) ** 2))(1.2) == 2.0
        assert mg.jvp(mg.grad(lambda x: through(x) ** 2), (1.2,), (1.0,))[1] == 2.0

    def test_a_backward_rule_of_plain_numpy_loops_is_enough_for_the_first_order(self):
        def backward(x, g):
            out = np.zeros_like(x)
            for i in range(len(x)):
                out[i] = 2 * x[i] * g[i]
            return (out,)

        op = with_rules(lambda x: x * x, lambda x: (x * x, x), backward)
        np.testing.assert_array_equal(mg.grad(lambda x: np.sum(op(x)))(A), 2 * A)
        with pytest.raises((NoGradientRule, ValueError)):
            mg.hessian(lambda x: np.sum(op(x)))(A)

    def test_in_checkpoint_and_on_a_full_tape(self):
        same_derivatives(
            lambda x: np.sum(mg.checkpoint(lambda x: log1pexp(x) * x)(x)), lambda x: np.sum(logistic_loss(x) * x), A
        )
        tape = mg.Tape()
        x = tape.watch(A)
        out = np.sum(log1pexp(x))
        np.testing.assert_allclose(tape.gradient(out, x), 1 / (1 + np.exp(-A)))
        assert "custom_vjp" in [node.name for node in tape.nodes]

    def test_threads(self):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda k: mg.grad(mg.grad(log1pexp))(0.1 * k), range(16)))
        s = 1 / (1 + np.exp(-0.1 * np.arange(16)))
        np.testing.assert_allclose(found, s * (1 - s))

    def test_functions_without_a_name(self):
        op = mg.custom_vjp(functools.partial(np.power, 2.0))
        op.defvjp(lambda x: (2.0**x, x), lambda x, g: (g * 2.0**x * np.log(2.0),))
        assert mg.grad(op)(3.0) == pytest.approx(8 * np.log(2))


class TestCustomVJPMistakes:
    def test_missing_rules(self):
        @mg.custom_vjp
        def lonely(x):
            return x

        with pytest.raises(NoGradientRule, match=r"lonely\.defvjp\(forward, backward\)"):
            lonely(A)

    @pytest.mark.parametrize(
        "answer, text",
        [
            (lambda g: (g, g), "one cotangent per argument .1., and it returned 2"),
            (lambda g: (), "returned 0"),
            (lambda g: g, "returned ndarray"),
            (lambda g: None, "returned NoneType"),
            (lambda g: (np.ones(2),), r"shape \(2,\).*\(3,\)"),
            (lambda g: ("word",), "str"),
            (lambda g: ([g],), "argument 0|container|entries"),
            (lambda g: ({"a": g},), "argument 0|container|entries"),
        ],
        ids=["too many", "none", "no tuple", "None", "shape", "text", "a list", "a dict"],
    )
    def test_wrong_answers(self, answer, text):
        op = with_rules(lambda x: x * 2, lambda x: (x * 2, None), lambda _, g: answer(g))
        with pytest.raises(MinigradError, match=text):
            mg.grad(lambda x: np.sum(op(x)))(A)

    @pytest.mark.parametrize(
        "answer",
        [lambda g: ({"A": g, "b": g},), lambda g: ({"b": g},), lambda g: (g,)],
        ids=["spelling", "less", "array"],
    )
    def test_containers_that_do_not_fit(self, answer):
        """A gradient under a wrong key must not become zero in silence."""
        op = with_rules(lambda d: d["a"] + d["b"], lambda d: (d["a"] + d["b"], None), lambda _, g: answer(g))
        with pytest.raises(MinigradError):
            mg.grad(lambda d: np.sum(op(d)))({"a": A, "b": B})

    def test_a_forward_rule_that_returns_no_pair(self):
        op = with_rules(lambda x: x * 2, lambda x: x * 2, lambda _, g: (g,))
        with pytest.raises(MinigradError, match="residuals|pair"):
            mg.grad(lambda x: np.sum(op(x)))(A)


# --- numerical_vjp --------------------------------------------------------------------------------------------------

gamma = np.vectorize(math.gamma, otypes=[float])


class TestNumerical:
    def test_gradients(self):
        import scipy.special

        f = mg.numerical_vjp(gamma)
        x = np.array([[1.5, 3.0], [0.5, 4.2]])
        found = mg.grad(lambda x: np.sum(f(x) * x))(x)
        np.testing.assert_allclose(found, scipy.special.gamma(x) * (1 + x * scipy.special.digamma(x)), rtol=1e-7)

    def test_several_arguments_containers_and_plain_ones(self):
        def f(d, y, n, *, power):
            return {"out": np.asarray(d["x"]) ** power * y, "n": n}

        found = mg.grad(lambda d, y: np.sum(mg.numerical_vjp(f)(d, y, 3, power=2)["out"]), (0, 1))({"x": A}, B)
        np.testing.assert_allclose(found[0]["x"], 2 * A * B, rtol=1e-8)
        np.testing.assert_allclose(found[1], A**2, rtol=1e-8)

    @pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-8), (np.float32, 1e-2)])
    def test_scale_and_dtype(self, dtype, tolerance):
        x = np.array([1e-3, 1.0, 1e4], dtype)
        found = mg.grad(lambda x: np.sum(mg.numerical_vjp(np.sqrt)(x)))(x[1:])
        assert found.dtype == dtype
        np.testing.assert_allclose(found, 0.5 / np.sqrt(x[1:]), rtol=tolerance)

    def test_what_is_given_is_not_written_to(self):
        x = A.copy()
        x.flags.writeable = False
        mg.grad(lambda x: np.sum(mg.numerical_vjp(np.sin)(x)))(x)
        np.testing.assert_array_equal(x, A)

    @pytest.mark.parametrize(
        "f", [lambda x: x**2, lambda x: np.asarray(x) ** 2, gamma], ids=["NumPy", "asarray", "vectorize"]
    )
    def test_the_second_order_and_forward_mode_are_refused(self, f):
        run = mg.numerical_vjp(f)
        with pytest.raises(NoGradientRule, match="first derivatives"):
            mg.grad(mg.grad(run))(2.0)
        with pytest.raises(NoGradientRule, match="first derivatives|reverse mode"):
            mg.jvp(run, (2.0,), (1.0,))
        with pytest.raises(NoGradientRule, match="first derivatives"):
            mg.hessian(lambda x: np.sum(run(x)))(A + 2)

    def test_beside_higher_derivatives_of_something_else(self):
        """Only what depends on both levels is of second order."""
        f = mg.numerical_vjp(np.sin)
        assert mg.grad(lambda x: x * mg.grad(lambda y: f(y))(0.5))(3.0) == pytest.approx(np.cos(0.5))

    @pytest.mark.parametrize("kind", ["argument", "result"])
    def test_complex_numbers_are_right_or_refused(self, kind):
        def f(x):
            if kind == "argument":
                return np.sum(np.real(mg.numerical_vjp(lambda z: z * z)(x * (1 + 2j))))
            return np.sum(np.imag(mg.numerical_vjp(lambda x: x * x * (1 + 2j))(x)))

        try:
            found = mg.grad(f)(A)
        except MinigradError:
            return
        np.testing.assert_allclose(found, 2 * A * (-3 if kind == "argument" else 2), rtol=1e-6)

    def test_a_tensor_as_a_keyword_is_never_dropped_in_silence(self):
        try:
            found = mg.grad(lambda x: np.sum(mg.numerical_vjp(lambda x: np.asarray(x) ** 2)(x=x)))(A)
        except MinigradError:
            return
        np.testing.assert_allclose(found, 2 * A, rtol=1e-6)

    def test_functions_without_a_name(self):
        f = mg.numerical_vjp(functools.partial(np.power, 2.0))
        assert mg.grad(f)(3.0) == pytest.approx(8 * np.log(2))


# --- fallback -------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_rule_for_cov(monkeypatch):
    """Make sure that one NumPy function has no gradient rule, whatever may come to have one."""
    monkeypatch.delitem(FUNCTIONS, np.cov, raising=False)


def spread(x):
    return np.sum(np.cov(x * x))


def spread_gradient(x):
    """Of the sum of the covariances of the rows of ``x * x``: the variance of their sum."""
    total = np.sum(x * x, axis=0)
    return 2 * (total - total.mean()) / (x.shape[1] - 1) * 2 * x


@pytest.mark.usefixtures("no_rule_for_cov")
class TestFallback:
    def test_outside_it_is_refused(self):
        with pytest.raises(NoGradientRule, match="np.cov"):
            mg.grad(spread)(M)

    def test_gradient_and_one_warning_per_call(self):
        with mg.fallback("numerical"), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = mg.grad(lambda x: spread(x) + 2 * spread(x))(M)
        np.testing.assert_allclose(found, 3 * spread_gradient(M), rtol=1e-7)
        assert [w.category for w in caught] == [MinigradWarning] * 2

    def test_the_warning_names_the_function_and_points_here(self):
        with mg.fallback("numerical"), pytest.warns(MinigradWarning, match="np.cov .*first order only") as caught:
            mg.grad(spread)(M)
        assert len(caught) == 1
        assert caught[0].filename == __file__

    def test_ufuncs_too(self):
        """The distribution of Kolmogorov's statistic, a ufunc of SciPy's that is unlikely ever to have a rule."""
        from scipy.special import kolmogorov

        x, step = np.array([0.7, 1.0, 1.4]), 1e-5
        with mg.fallback("numerical"), pytest.warns(MinigradWarning, match="kolmogorov"):
            found = mg.grad(lambda x: np.sum(kolmogorov(x)))(x)
        np.testing.assert_allclose(found, (kolmogorov(x + step) - kolmogorov(x - step)) / (2 * step), rtol=1e-6)

    def test_the_second_order_is_refused(self):
        with mg.fallback("numerical"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(NoGradientRule, match="first derivatives"):
                mg.hessian(spread)(M)

    def test_functions_with_a_rule_keep_it(self):
        with mg.fallback("numerical"):  # warnings are errors here
            np.testing.assert_array_equal(mg.grad(lambda x: np.sum(np.sin(x)))(A), np.cos(A))

    def test_it_ends_with_its_block_also_after_an_error_and_nested(self):
        def refused():
            with pytest.raises(NoGradientRule):
                mg.grad(spread)(M)

        def works():
            with pytest.warns(MinigradWarning):
                found = mg.grad(spread)(M)
            np.testing.assert_allclose(found, spread_gradient(M), rtol=1e-7)

        with mg.fallback("numerical"):
            with mg.fallback("numerical"):
                works()
            works()
        refused()
        with pytest.raises(KeyError), mg.fallback("numerical"):
            raise KeyError
        refused()

    def test_an_unknown_kind(self):
        with pytest.raises(OptionError, match="numerical"), mg.fallback("numeric"):
            pass

    def test_a_keyword_argument_gets_its_gradient(self):
        with mg.fallback("numerical"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = mg.grad(lambda x: np.sum(np.cov(m=x * x)))(M)
        np.testing.assert_allclose(found, spread_gradient(M), rtol=1e-7)

    def test_threads_have_their_own(self):
        inside, done = threading.Event(), threading.Event()
        found = []

        def other():
            inside.wait(10)
            try:
                mg.grad(spread)(M)
                found.append("worked")
            except NoGradientRule:
                found.append("refused")
            done.set()

        thread = threading.Thread(target=other)
        thread.start()
        with mg.fallback("numerical"):
            inside.set()
            done.wait(10)
        thread.join()
        assert found == ["refused"]


def test_a_checkpoint_that_draws_masks_is_refused():
    """Run again in the backward pass, it would draw others, and the gradient would be that of another function."""
    generator = np.random.default_rng(0)
    with pytest.raises(mg.OptionError, match="draw it outside"):
        mg.grad(lambda x: np.sum(mg.checkpoint(lambda x: mg.dropout(x, generator, p=0.5))(x)))(np.ones(5))
    mask = mg.ops.dropout_mask((5,), generator, p=0.5)
    found = mg.grad(lambda x: np.sum(mg.checkpoint(lambda x: mg.dropout(x, mask, p=0.5))(x)))(np.ones(5))
    np.testing.assert_array_equal(found, 2.0 * mask)
