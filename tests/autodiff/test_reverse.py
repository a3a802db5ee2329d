"""Reverse mode as users meet it: grad, value_and_grad and vjp; containers, levels, ownership and errors."""

import collections
import tracemalloc
import weakref
from typing import NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import DTypeError, MinigradError, ShapeError

A = np.array([1.0, 2.0, 3.0])


def square_sum(x):
    return np.sum(x * x)


def numeric(f, x, step=1e-6):
    """Central differences of a real function of one float64 array."""
    result = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        result[i] = (f(up) - f(down)) / (2 * step)
    return result


# --- levels -----------------------------------------------------------------------------------------------------------


class TestNested:
    def test_inner_gradient_of_a_product_with_the_outer_variable(self):
        assert mg.grad(lambda x: x * mg.grad(lambda y: x * y)(2.0))(1.0) == 2.0

    def test_inner_gradient_that_does_not_depend_on_the_outer_variable(self):
        assert mg.grad(lambda x: x * mg.grad(lambda y: x + y)(1.0))(1.0) == 1.0

    def test_inner_function_at_the_outer_variable(self):
        assert mg.grad(lambda x: x * mg.grad(lambda y: x * y * y)(x))(3.0) == 3 * 2 * 3.0**2

    def test_inner_function_that_ignores_its_argument(self):
        assert mg.grad(lambda x: mg.grad(lambda y: x * x)(5.0) + x)(4.0) == 1.0

    def test_inner_function_that_returns_only_the_outer_variable(self):
        value, slope = mg.value_and_grad(lambda x: mg.value_and_grad(lambda y: x)(1.0)[0])(7.0)
        assert (value, slope) == (7.0, 1.0)

    @pytest.mark.parametrize("order", range(6))
    def test_orders_of_a_power(self, order):
        f, expected = (lambda x: x**5), [32.0, 80.0, 160.0, 240.0, 240.0, 120.0][order]
        for _ in range(order):
            f = mg.grad(f)
        assert float(f(2.0)) == expected

    @pytest.mark.parametrize("order", range(1, 6))
    def test_orders_of_the_sine(self, order):
        f = np.sin
        for _ in range(order):
            f = mg.grad(f)
        np.testing.assert_allclose(f(0.3), [np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)][order % 4](0.3))

    def test_three_levels_that_all_close_over_each_other(self):
        def f(x):
            return mg.grad(lambda y: y * mg.grad(lambda z: x * y * z * z * z)(y))(x)

        # d/dz: 3 x y z^2 at z = y: 3 x y^3; times y: 3 x y^4; d/dy: 12 x y^3 at y = x: 12 x^4; d/dx: 48 x^3
        assert mg.grad(f)(2.0) == 48 * 8.0

    def test_gradient_inside_pullback_inside_gradient(self):
        def f(x):
            def g(y):
                return y * mg.grad(lambda z: np.sum(x * z**3))(y)

            out, pullback = mg.vjp(g, x * x)
            return np.sum(pullback(x)[0] * out)

        x = np.array([0.7, -1.3])

        def by_hand(x):  # g(y) = 3 x y^3, so out = 3 x^7 and the pullback of x is 9 x y^2 x = 9 x^6
            return np.sum(9 * x**6 * 3 * x**7)

        np.testing.assert_allclose(f(x), by_hand(x))
        np.testing.assert_allclose(mg.grad(f)(x), 27 * 13 * x**12)

    def test_pullback_differentiated_with_respect_to_its_cotangent(self):
        x = np.array([0.5, -2.0])

        def f(c):
            return np.sum(mg.vjp(np.sin, x)[1](c)[0] ** 2)

        c = np.array([1.0, 3.0])
        np.testing.assert_allclose(mg.grad(f)(c), 2 * c * np.cos(x) ** 2)

    def test_pullback_kept_from_an_inner_recording_is_used_in_the_outer_one(self):
        def f(x):
            _, pullback = mg.vjp(lambda y: y * y * x, x)
            return np.sum(pullback(np.ones(3))[0]) + np.sum(pullback(x)[0])

        np.testing.assert_allclose(mg.grad(f)(A), 4 * A + 6 * A * A)

    def test_gradient_of_a_matrix_function_to_second_order_is_a_hessian(self):
        W = np.arange(9.0).reshape(3, 3)

        def f(x):
            return np.sum(np.tanh(W @ x * 0.1))

        rows = [mg.grad(lambda x, i=i: mg.grad(f)(x)[i])(A) for i in range(3)]
        expected = np.stack([numeric(lambda x, i=i: mg.grad(f)(x)[i], A) for i in range(3)])
        np.testing.assert_allclose(np.stack(rows), expected, atol=1e-7)

    def test_outer_tensor_among_the_arguments_that_are_not_differentiated(self):
        def f(x):
            return np.sum(mg.grad(lambda y, z: np.sum(y * y * z))(A, x))

        np.testing.assert_allclose(mg.grad(f)(A), 2 * A)

    def test_outer_tensor_inside_a_container_argument(self):
        def f(x):
            gradient = mg.grad(lambda p: np.sum(p["a"] ** 2 * p["b"]))({"a": x, "b": A})
            return np.sum(gradient["a"] + gradient["b"])

        np.testing.assert_allclose(mg.grad(f)(A), 2 * A + 2 * A)

    def test_inner_gradients_of_an_outer_tensor_that_is_not_reached_are_zeros(self):
        gradients = []

        def f(x):
            gradients.append(mg.grad(lambda y, z: np.sum(z), argnums=0)(x, x))
            return np.sum(x)

        mg.grad(f)(A)
        np.testing.assert_array_equal(np.asarray(gradients[0]), np.zeros(3))

    def test_a_gradient_step_inside_a_loss(self):
        def inner(w, s):
            return np.sum((w * s - 1) ** 2)

        def outer(w, s):
            return inner(w - 0.1 * mg.grad(inner)(w, s), s)

        w = np.array([0.3, -0.2])
        for argnum in (0, 1):
            args = [w, np.array([1.5, 0.5])]

            def of_one(x, argnum=argnum, args=args):
                return outer(*[x if i == argnum else a for i, a in enumerate(args)])

            np.testing.assert_allclose(mg.grad(outer, argnum)(*args), numeric(of_one, args[argnum]), atol=1e-8)

    def test_stop_gradient_stops_every_level(self):
        assert mg.grad(lambda x: mg.grad(lambda y: mg.stop_gradient(x * y) * y)(2.0))(3.0) == 0.0

    def test_a_branch_on_a_value_under_two_levels(self):
        def f(x):
            return x**3 if x > 0 else -x

        assert mg.grad(mg.grad(f))(2.0) == 12.0
        assert mg.grad(mg.grad(f))(-2.0) == 0.0


# --- arguments and containers -----------------------------------------------------------------------------------------


class Pair(NamedTuple):
    left: object
    right: object


class TestArguments:
    def test_argnums_as_an_integer_gives_one_gradient(self):
        assert mg.grad(lambda x, y: x * y * y, 1)(2.0, 3.0) == 12.0

    def test_argnums_as_a_sequence_gives_a_tuple(self):
        result = mg.grad(lambda x, y: x * y * y, (1, 0))(2.0, 3.0)
        assert type(result) is tuple
        assert result == (12.0, 9.0)
        assert mg.grad(lambda x, y: x * y * y, [0])(2.0, 3.0) == (9.0,)

    def test_negative_argnums_count_from_the_end(self):
        assert mg.grad(lambda x, y: x * y * y, -1)(2.0, 3.0) == 12.0
        assert mg.grad(lambda x, y: x * y * y, (-2, -1))(2.0, 3.0) == (9.0, 12.0)

    def test_argnums_may_be_a_numpy_integer(self):
        assert mg.grad(lambda x, y: x * y * y, np.int64(1))(2.0, 3.0) == 12.0

    @pytest.mark.parametrize("argnums", [(0, 0), (0, -2)])
    def test_the_same_argument_twice_is_refused(self, argnums):
        with pytest.raises((TypeError, ValueError), match="argnums"):
            mg.grad(lambda x, y: x * y, argnums)(2.0, 3.0)

    @pytest.mark.parametrize("argnums", [(), "0", 1.0, (0, "x"), None])
    def test_argnums_that_are_not_integers_are_refused(self, argnums):
        with pytest.raises(TypeError, match="argnums"):
            mg.grad(square_sum, argnums)

    def test_argnums_outside_the_arguments_say_how_many_came(self):
        with pytest.raises(MinigradError, match="argnums=2, and square_sum was called with 1 positional"):
            mg.grad(square_sum, 2)(A)

    def test_an_argument_to_differentiate_given_by_keyword_is_refused(self):
        with pytest.raises(MinigradError, match="by position"):
            mg.grad(square_sum)(x=A)

    def test_keywords_are_handed_through(self):
        np.testing.assert_array_equal(mg.grad(lambda x, *, k: np.sum(k * x))(A, k=3.0), np.full(3, 3.0))

    def test_the_same_array_twice_is_two_arguments(self):
        left, right = mg.grad(lambda x, y: np.sum(x * y * y), (0, 1))(A, A)
        np.testing.assert_array_equal(left, A * A)
        np.testing.assert_array_equal(right, 2 * A * A)
        np.testing.assert_array_equal(mg.grad(lambda x, y: np.sum(x * y * y))(A, A), A * A)

    def test_the_same_array_twice_in_a_container(self):
        gradient = mg.grad(lambda p: np.sum(p["a"] * 2 + p["b"] * 3))({"a": A, "b": A})
        np.testing.assert_array_equal(gradient["a"], np.full(3, 2.0))
        np.testing.assert_array_equal(gradient["b"], np.full(3, 3.0))

    @pytest.mark.parametrize(
        ("container", "total"),
        [
            ({"a": A, "b": A[:1]}, lambda p: np.sum(p["a"]) * p["b"][0]),
            ([A, A[:1]], lambda p: np.sum(p[0]) * p[1][0]),
            ((A, A[:1]), lambda p: np.sum(p[0]) * p[1][0]),
            (Pair(A, A[:1]), lambda p: np.sum(p.left) * p.right[0]),
            (collections.OrderedDict(a=A, b=A[:1]), lambda p: np.sum(p["a"]) * p["b"][0]),
            (collections.defaultdict(list, a=A, b=A[:1]), lambda p: np.sum(p["a"]) * p["b"][0]),
        ],
        ids=lambda x: "" if callable(x) else type(x).__name__,
    )
    def test_containers_come_back_as_they_are(self, container, total):
        value, gradient = mg.value_and_grad(total)(container)
        assert value == 6.0
        assert type(gradient) is type(container)
        first, second = gradient.values() if isinstance(gradient, dict) else gradient
        np.testing.assert_array_equal(first, np.ones(3))
        np.testing.assert_array_equal(second, [6.0])
        if isinstance(gradient, dict):
            assert list(gradient) == ["a", "b"]

    def test_nested_containers(self):
        params = {"blocks": [{"W": A, "b": 2.0}, {"W": 2 * A, "b": 3.0}], "scale": (Pair(1.0, [4.0]),)}

        def f(p):
            total = sum(np.sum(block["W"]) * block["b"] for block in p["blocks"])
            return total * p["scale"][0].left + p["scale"][0].right[0] ** 2

        gradient = mg.grad(f)(params)
        np.testing.assert_array_equal(gradient["blocks"][1]["W"], np.full(3, 3.0))
        assert gradient["blocks"][0]["b"] == 6.0
        assert type(gradient["scale"][0]) is Pair
        assert gradient["scale"][0].left == 2 * 6 + 3 * 12
        assert gradient["scale"][0].right == [8.0]

    def test_keys_of_a_dict_need_not_be_strings(self):
        assert mg.grad(lambda p: p[1] * p["x", 2])({1: 2.0, ("x", 2): 5.0}) == {1: 5.0, ("x", 2): 2.0}

    def test_empty_containers(self):
        assert mg.grad(lambda p: 1.0)({}) == {}
        assert mg.grad(lambda p: p["x"] * 2)({"x": 1.0, "none": []}) == {"x": 2.0, "none": []}

    def test_deep_nesting_of_containers(self):
        nested = 2.0
        for _ in range(200):
            nested = [nested]

        def innermost(x):
            while isinstance(x, list):
                (x,) = x
            return x

        assert innermost(mg.grad(lambda p: innermost(p) ** 2)(nested)) == 4.0

    def test_has_aux(self):
        def f(x):
            return np.sum(x * x), {"double": 2 * x, "text": "kept", "nothing": None}

        gradient, aux = mg.grad(f, has_aux=True)(A)
        np.testing.assert_array_equal(gradient, 2 * A)
        assert type(aux["double"]) is np.ndarray
        np.testing.assert_array_equal(aux["double"], 2 * A)
        assert (aux["text"], aux["nothing"]) == ("kept", None)
        (value, aux), gradient = mg.value_and_grad(f, has_aux=True)(A)
        assert value == 14.0
        out, pullback, aux = mg.vjp(f, A, has_aux=True)
        np.testing.assert_array_equal(pullback(1.0)[0], 2 * A)
        assert type(aux["double"]) is np.ndarray

    @pytest.mark.parametrize("result", [3.0, [1.0, 2.0], (1.0, 2.0, 3.0)])
    def test_has_aux_without_a_pair_says_what_came(self, result):
        with pytest.raises(DTypeError, match=rf"pair \(out, aux\), and it returned {type(result).__name__}"):
            mg.grad(lambda x: result, has_aux=True)(1.0)

    def test_wrapped_functions_keep_their_name_and_text(self):
        for wrapped in (mg.grad(square_sum), mg.value_and_grad(square_sum)):
            assert wrapped.__name__ == "square_sum"


# --- results ----------------------------------------------------------------------------------------------------------


class TestResults:
    def test_function_that_returns_its_input(self):
        assert mg.value_and_grad(lambda x: x)(2.0) == (2.0, 1.0)

    def test_function_that_returns_a_constant(self):
        value, gradient = mg.value_and_grad(lambda x: 5.0)(A)
        assert value == 5.0
        np.testing.assert_array_equal(gradient, np.zeros(3))

    def test_unused_arguments_get_zeros_of_their_dtype_and_shape(self):
        gradients = mg.grad(lambda x, y, z: np.sum(x), (0, 1, 2))(A, np.ones((2, 3), np.float32), 1.0)
        assert gradients[1].shape == (2, 3)
        assert gradients[1].dtype == np.float32
        assert not gradients[1].any()
        assert gradients[2] == 0.0

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
    def test_dtype_is_kept_end_to_end(self, dtype):
        x, W = A.astype(dtype), np.ones((3, 2), dtype)

        def f(x, W):
            hidden = np.maximum(0, x @ W * 2 + 1)
            return np.mean(np.tanh(hidden / 7) ** 2) + 0.5 * np.sum(np.exp(-x) ** 0.5)

        value, gradients = mg.value_and_grad(f, (0, 1))(x, W)
        assert value.dtype == dtype
        assert [g.dtype for g in gradients] == [dtype, dtype]
        second = mg.grad(lambda x: np.sum(mg.grad(f)(x, W)))(x)
        assert second.dtype == dtype

    def test_mixed_dtypes_give_each_argument_its_own(self):
        x, y = A.astype(np.float32), A.copy()
        first, second = mg.grad(lambda x, y: np.sum(x * y), (0, 1))(x, y)
        assert (first.dtype, second.dtype) == (np.float32, np.float64)

    def test_python_floats_come_back_as_scalars(self):
        value, gradient = mg.value_and_grad(lambda x: x * x)(3.0)
        assert isinstance(value, np.float64)
        assert isinstance(gradient, np.float64)

    def test_0d_arrays_come_back_as_0d_arrays(self):
        gradient = mg.grad(lambda x: x * x)(np.array(3.0))
        assert type(gradient) is np.ndarray
        assert gradient.shape == ()

    def test_numpy_scalars_come_back_as_numpy_scalars(self):
        gradient = mg.grad(lambda x: x * x)(np.float32(3.0))
        assert type(gradient) is np.float32

    def test_empty_arrays(self):
        gradient = mg.grad(square_sum)(np.zeros((0, 3)))
        assert gradient.shape == (0, 3)

    def test_strided_and_read_only_arguments(self):
        x = np.arange(12.0).reshape(3, 4)[::2, ::-1].T
        x.flags.writeable = False
        gradient = mg.grad(square_sum)(x)
        np.testing.assert_array_equal(gradient, 2 * x)
        assert gradient.flags.writeable

    def test_an_entry_after_the_result_does_not_disturb(self):
        def f(x):
            y = np.sum(x * x)
            _ = [np.exp(y * i) for i in range(3)]
            return y

        np.testing.assert_array_equal(mg.grad(f)(A), 2 * A)


class TestComplex:
    """A gradient of a real function of a complex argument is right by one convention throughout, or refused."""

    @pytest.mark.parametrize(
        "f",
        [
            lambda z, c: np.sum(np.abs(z)),
            lambda z, c: np.sum(np.abs(z * c)),
            lambda z, c: np.sum(np.abs(np.exp(z * c))),
        ],
        ids=["abs", "abs of a product", "abs of a holomorphic function"],
    )
    def test_sane_or_refused(self, f):
        z, c = np.array([1 + 2j, 0.5 - 1j]), np.array([0.2 + 0.1j, 1 - 0.3j])
        step = 1e-6
        slopes = []
        for direction in (1, 1j):
            moves = step * direction * np.eye(2)
            slopes.append(np.array([(f(z + move, c) - f(z - move, c)) / (2 * step) for move in moves]))
        try:
            gradient = mg.grad(f)(z, c)
        except MinigradError:
            return
        np.testing.assert_allclose(gradient, slopes[0] - 1j * slopes[1], atol=1e-7)

    def test_complex_result_is_refused(self):
        with pytest.raises(DTypeError, match="complex"):
            mg.grad(np.sum)(np.array([1j]))

    def test_complex_cotangent_of_a_real_result_is_refused(self):
        _, pullback = mg.vjp(lambda x: 2 * x, A)
        with pytest.raises(DTypeError, match="cotangent"):
            pullback(A * 1j)


# --- pullbacks --------------------------------------------------------------------------------------------------------


class TestPullback:
    def test_may_be_called_many_times(self):
        _, pullback = mg.vjp(lambda x: np.tanh(x) * x, A)
        results = [pullback(np.ones(3))[0] for _ in range(5)]
        for result in results[1:]:
            np.testing.assert_array_equal(result, results[0])
        np.testing.assert_allclose(pullback(2 * np.ones(3))[0], 2 * results[0])

    def test_containers_of_results(self):
        out, pullback = mg.vjp(lambda x, y: {"a": (x * y, x), "b": [np.sum(y)]}, A, 2 * A)
        assert type(out["a"]) is tuple
        assert type(out["b"]) is list
        x, y = pullback({"a": (np.ones(3), np.full(3, 10.0)), "b": [100.0]})
        np.testing.assert_array_equal(x, 2 * A + 10)
        np.testing.assert_array_equal(y, A + 100)

    def test_dicts_with_the_same_keys_in_another_order(self):
        _, pullback = mg.vjp(lambda x: {"a": x, "b": 2 * x}, A)
        np.testing.assert_array_equal(pullback({"b": np.ones(3), "a": np.zeros(3)})[0], np.full(3, 2.0))

    def test_the_same_result_twice_adds_up(self):
        def f(x):
            y = x * x
            return y, y, [y]

        _, pullback = mg.vjp(f, A)
        np.testing.assert_array_equal(pullback((np.ones(3), np.full(3, 10.0), [np.full(3, 100.0)]))[0], 2 * A * 111)

    def test_the_input_itself_among_the_results(self):
        out, pullback = mg.vjp(lambda x: (x, x * 2, x), A)
        np.testing.assert_array_equal(out[0], A)
        np.testing.assert_array_equal(pullback((np.ones(3), np.ones(3), np.ones(3)))[0], np.full(3, 4.0))

    def test_constants_among_the_results(self):
        out, pullback = mg.vjp(lambda x: {"x": x * 2, "constant": np.ones(2), "number": 3}, A)
        assert out["number"] == 3
        gradient = pullback({"x": np.ones(3), "constant": np.ones(2), "number": 0.0})[0]
        np.testing.assert_array_equal(gradient, np.full(3, 2.0))

    def test_only_constants(self):
        _, pullback = mg.vjp(lambda x: np.ones(2), A)
        np.testing.assert_array_equal(pullback(np.ones(2))[0], np.zeros(3))

    def test_without_primals(self):
        out, pullback = mg.vjp(lambda: np.ones(2))
        assert pullback(np.ones(2)) == ()

    def test_wrong_shape_names_both(self):
        _, pullback = mg.vjp(lambda x: x * 2, A)
        with pytest.raises(ShapeError, match=r"the result has shape \(3,\), and its cotangent came with shape \(2,\)"):
            pullback(np.ones(2))
        with pytest.raises(ShapeError, match=r"shape \(\)"):
            pullback(1.0)

    def test_wrong_shape_in_a_container_names_the_path(self):
        _, pullback = mg.vjp(lambda x: {"a": x, "b": [x]}, A)
        with pytest.raises(ShapeError, match=r"\['b'\]\[0\] has shape \(3,\)"):
            pullback({"a": A, "b": [np.ones(4)]})

    def test_wrong_container_shows_both(self):
        _, pullback = mg.vjp(lambda x: {"a": x, "b": x}, A)
        with pytest.raises(ShapeError, match=r"\['c'\].*\['b'\]"):
            pullback({"a": A, "c": A})
        with pytest.raises(ShapeError, match="container"):
            pullback(A)

    def test_dtypes_of_cotangents_are_converted(self):
        _, pullback = mg.vjp(lambda x: x * 2, A.astype(np.float32))
        for cotangent in (np.ones(3), np.ones(3, int), [1, 1, 1][0] * np.ones(3)):
            assert pullback(cotangent)[0].dtype == np.float32

    def test_results_that_are_no_arrays_are_refused(self):
        with pytest.raises(DTypeError, match="NoneType"):
            mg.vjp(lambda x: None, A)
        with pytest.raises(DTypeError, match="str"):
            mg.vjp(lambda x: {"a": x, "b": "text"}, A)


# --- who owns what ----------------------------------------------------------------------------------------------------


def shares_nothing(arrays):
    return not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


class TestOwnership:
    FUNCTIONS = {
        "x + y": lambda x, y: np.sum(x + y),
        "x - y": lambda x, y: np.sum(x - y),
        "reshaped": lambda x, y: np.sum(np.reshape(x, (2, 2)) + np.reshape(y, (2, 2)).T),
        "broadcast": lambda x, y: np.sum(np.broadcast_to(x, (3, 4)) + y),
        "stacked": lambda x, y: np.sum(np.stack([x, y, x])),
        "joined": lambda x, y: np.sum(np.concatenate([x, y]) ** 2),
        "only x": lambda x, y: np.sum(x),
        "constant": lambda x, y: 1.0,
        "an element": lambda x, y: x[0] + y[1],
        "product": lambda x, y: np.sum(x * y),
        "positive": lambda x, y: np.sum(+x + +y),
    }

    @pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
    def test_gradients_may_be_written_into(self, f):
        x, y = np.arange(1.0, 5.0), np.arange(5.0, 9.0)
        before = x.copy(), y.copy()
        differentiate = mg.grad(f, (0, 1))
        expected = [g.copy() for g in differentiate(x, y)]
        gradients = differentiate(x, y)
        assert all(g.flags.writeable for g in gradients)
        assert shares_nothing([x, y, *gradients])
        for g in gradients:
            g[...] = np.nan
            np.testing.assert_array_equal(x, before[0])
            np.testing.assert_array_equal(y, before[1])
        for g, e in zip(differentiate(x, y), expected):
            np.testing.assert_array_equal(g, e)

    def test_results_of_a_pullback_share_nothing_with_the_cotangent_or_the_next_call(self):
        _, pullback = mg.vjp(lambda x, y: (x + y, x, y), A, A)
        cotangents = np.ones(3), np.ones(3), np.ones(3)
        first = pullback(cotangents)
        assert shares_nothing([*cotangents, *first, A])
        for g in first:
            g[...] = np.nan
        second = pullback(cotangents)
        for g in second:
            np.testing.assert_array_equal(g, np.full(3, 2.0))
        for c in cotangents:
            np.testing.assert_array_equal(c, np.ones(3))

    def test_a_pullback_given_its_cotangent_for_the_input_itself(self):
        _, pullback = mg.vjp(lambda x: x, A)
        cotangent = np.ones(3)
        (gradient,) = pullback(cotangent)
        assert not np.shares_memory(gradient, cotangent)

    def test_a_rule_that_returns_what_was_saved(self):
        @mg.primitive
        def weighted_sum(x, w):
            return np.sum(x * w)

        weighted_sum.vjp(x=lambda g, w: w, w=lambda g, x: x)
        w, x = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
        gradients = mg.grad(weighted_sum, (0, 1))(x, w)
        assert shares_nothing([x, w, *gradients])
        assert shares_nothing([x, w, mg.grad(lambda x: weighted_sum(x, w))(x)])
        _, pullback = mg.vjp(lambda x: weighted_sum(x, w), x)
        assert shares_nothing([w, pullback(1.0)[0], pullback(1.0)[0]])

    def test_accumulation_does_not_write_into_a_cotangent_that_a_rule_shares(self):
        def f(x, y):
            z = x + y  # both cotangents are one array
            return np.sum(z) + np.sum(x * 2) + np.sum(x * 3) + np.sum(y * 5)

        x, y = mg.grad(f, (0, 1))(A, A)
        np.testing.assert_array_equal(x, np.full(3, 6.0))
        np.testing.assert_array_equal(y, np.full(3, 6.0))

    def test_many_uses_of_shared_intermediates(self):
        def f(x):
            y = x + x
            z = y + y
            u = z + y + x
            return np.sum(u + z) + np.sum(u) + np.sum(y + u)

        np.testing.assert_array_equal(mg.grad(f)(A), np.full(3, 7.0 * 3 + 4 + 2))


# --- what is refused --------------------------------------------------------------------------------------------------


class TestRefused:
    @pytest.mark.parametrize(
        ("argument", "words"),
        [
            (np.arange(3), "an integer array"),
            (3, "an integer array"),
            (np.ones(3, bool), "a boolean array"),
            (True, "a boolean array"),
            (np.array([1.0, None]), "array of objects"),
            ("text", "str is not an array of numbers"),
            (None, "NoneType is not an array of numbers"),
            ({"W": np.ones(2), "n": 3}, "with respect to n: "),
            ([np.ones(2), [np.arange(2)]], r"with respect to \[1\]\[0\]: "),
        ],
    )
    def test_arguments_without_a_derivative(self, argument, words):
        with pytest.raises(DTypeError, match=words):
            mg.grad(lambda x: 1.0)(argument)

    def test_the_text_about_integers_names_the_argument_and_the_way_out(self):
        with pytest.raises(DTypeError, match=r"argument 1.*shape \(3,\).*\.astype\(float\)"):
            mg.grad(lambda x, y: np.sum(y), 1)(A, np.arange(3))

    def test_none(self):
        def forgot(x):
            np.sum(x)

        with pytest.raises(DTypeError, match="forgot returned None.*`return`"):
            mg.grad(forgot)(A)

    def test_not_a_scalar(self):
        with pytest.raises(ShapeError, match=r"shape \(3,\).*sum or average it, or use mg.vjp"):
            mg.grad(lambda x: x * 2)(A)
        with pytest.raises(ShapeError, match=r"shape \(1,\)"):
            mg.grad(lambda x: x[:1])(A)

    def test_containers(self):
        with pytest.raises(DTypeError, match="tuple"):
            mg.grad(lambda x: (x, x))(1.0)
        with pytest.raises(DTypeError, match="str"):
            mg.grad(lambda x: "text")(1.0)

    def test_errors_of_the_function_itself_pass_through(self):
        class Own(Exception):
            pass

        def f(x):
            raise Own("as it is")

        with pytest.raises(Own, match="as it is"):
            mg.grad(f)(A)

    def test_an_error_is_not_its_own_cause(self):
        with pytest.raises(ShapeError) as caught:
            mg.grad(lambda w: np.sum(mg.affine(np.ones((2, 3)), w, np.ones(7))))(np.ones((3, 4)))
        assert caught.value.__cause__ is not caught.value

    def test_numpy_errors_stay_the_cause(self):
        with pytest.raises(ShapeError) as caught:
            mg.grad(lambda x: np.sum(x + np.ones(4)))(A)
        assert type(caught.value.__cause__) is ValueError


# --- memory ---------------------------------------------------------------------------------------------------------


@mg.primitive
def held(x, *, seen, number):
    """The identity; in the backward pass it notes how many of the arrays made before it are still alive."""
    return x * 1.0


def held_rule(g, x, seen, number):
    seen["alive"].append((number, sum(array() is not None for array in seen["arrays"])))
    return g * 1.0


held.vjp(x=held_rule)


def test_what_was_saved_is_freed_while_the_walk_goes_on():
    seen = {"arrays": [], "alive": []}

    def f(x):
        for number in range(5):
            x = held(x, seen=seen, number=number)
            seen["arrays"].append(weakref.ref(x.value))
        return x.sum()

    mg.grad(f)(np.ones(3))
    # The rule of number n reads the result of number n - 1; those of n + 1 and later are gone. Nobody reads the last.
    assert seen["alive"] == [(4, 4), (3, 3), (2, 2), (1, 1), (0, 0)]


def test_a_backward_pass_holds_few_cotangents_at_a_time():
    size, depth = 100_000, 20  # 800 kB for each array

    def f(x):
        for _ in range(depth):
            x = -x  # saves nothing
        return x.sum()

    gradient, x = mg.grad(f), np.ones(size)
    gradient(x)
    tracemalloc.start()
    try:
        gradient(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * x.nbytes
