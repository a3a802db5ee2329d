"""mg.primitive: a user's own op, in one place, and the errors that help to write it."""

import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import DTypeError, MinigradError, NoGradientRule, ShapeError

A = np.array([0.5, -1.0, 2.0])


def make_scale():
    @mg.primitive
    def scale(x, *, factor, shift=0.0):
        """Multiply and shift."""
        return x * factor + shift

    scale.vjp(x=lambda g, factor: g * factor)
    return scale


def make_product():
    @mg.primitive
    def product(x, y):
        return x * y

    return product


def make_polar():
    """An op with several outputs, a shared rule, and an output that only the rule reads."""

    @mg.primitive(outputs=("length", "unit", "inverse"), visible=2)
    def polar(x):
        length = np.sqrt(np.sum(x * x))
        return length, x / length, 1 / length

    @polar.vjp_shared
    def rule(g, unit, inverse, *, wants):
        assert wants == ("x",)
        g_length, g_unit, g_inverse = g  # the last is zero to first order, and not to second: the rule itself reads it
        return ((g_length - g_inverse * inverse**2) * unit + (g_unit - unit * np.sum(unit * g_unit)) * inverse,)

    return polar


# --- one place --------------------------------------------------------------------------------------------------------


def test_on_arrays_it_is_the_function():
    scale = make_scale()
    result = scale(A, factor=2.0)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, 2 * A)
    np.testing.assert_array_equal(scale(x=A, factor=2.0, shift=1.0), 2 * A + 1)


def test_name_and_documentation():
    scale = make_scale()
    assert (scale.__name__, scale.__doc__, scale.__module__) == ("scale", "Multiply and shift.", __name__)
    assert repr(scale).startswith("<primitive scale(x, ")


def test_ops_of_the_library_are_pickled_by_name():
    assert pickle.loads(pickle.dumps(mg.ops.tanh)) is mg.ops.tanh


def test_first_and_second_order():
    scale = make_scale()
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(scale(x, factor=3.0)))(A), np.full(3, 3.0))
    second = mg.grad(lambda x: np.sum(mg.grad(lambda x: np.sum(scale(x, factor=3.0) ** 2))(x)))(A)
    np.testing.assert_array_equal(second, np.full(3, 18.0))


def test_one_rule_per_argument_and_broadcasting_is_undone():
    product = make_product()
    product.vjp(x=lambda g, y: g * y, y=lambda g, x: g * x)
    x, y = mg.grad(lambda x, y: np.sum(product(x, y)), (0, 1))(np.ones((2, 1)), A)
    np.testing.assert_allclose(x, np.full((2, 1), A.sum()))
    np.testing.assert_allclose(y, np.full(3, 2.0))


def test_only_the_rules_that_are_needed_run():
    product = make_product()
    ran = []

    def rule(name):
        return lambda g: ran.append(name) or g

    product.vjp(x=rule("x"), y=rule("y"))
    mg.grad(lambda x: np.sum(product(x, A)))(A)
    assert ran == ["x"]
    ran.clear()
    mg.grad(lambda x: np.sum(product(A, x)))(A)
    assert ran == ["y"]
    ran.clear()
    mg.grad(lambda x: np.sum(product(x, x)))(A)
    assert sorted(ran) == ["x", "y"]


def test_a_numpy_function_reaches_the_op(monkeypatch):
    from minigrad.core.numpy_protocol import FUNCTIONS

    monkeypatch.setitem(FUNCTIONS, np.sinc, None)  # put back afterwards

    @mg.primitive(np.sinc)
    def sinc(x):
        return np.sinc(x)

    sinc.vjp(x=lambda g, x, out: g * (np.cos(np.pi * x) - out) / x)
    step = 1e-6
    expected = (np.sinc(A + step) - np.sinc(A - step)) / (2 * step)
    np.testing.assert_allclose(mg.grad(lambda x: np.sum(np.sinc(x)))(A), expected, atol=1e-8)


def test_several_outputs_and_a_shared_rule():
    polar = make_polar()
    assert len(polar(A)) == 2
    assert len(polar.all_outputs(A)) == 3
    length = np.linalg.norm(A)
    np.testing.assert_allclose(mg.grad(lambda x: polar(x)[0])(A), A / length)
    w = np.array([1.0, 2.0, 3.0])

    def f(x):
        length, unit = polar(x)
        return np.sum(unit * w) * length**2

    def plain(x):
        length = np.sqrt(np.sum(x * x))
        return np.sum(x / length * w) * length**2

    np.testing.assert_allclose(mg.grad(f)(A), mg.grad(plain)(A))
    second, expected = (mg.grad(lambda x, h=h: np.sum(mg.grad(h)(x) * w))(A) for h in (f, plain))
    np.testing.assert_allclose(second, expected)
    out, pullback = mg.vjp(polar, A)
    assert type(out) is tuple
    np.testing.assert_allclose(pullback((1.0, np.zeros(3)))[0], A / length)


def test_a_variadic_op_with_a_shared_rule():
    @mg.primitive
    def total(*xs, power=1):
        return sum(x**power for x in xs)

    @total.vjp_shared
    def rule(g, xs, power, *, wants):
        return tuple(g * power * xs[i] ** (power - 1) for i in wants)

    x, y = mg.grad(lambda x, y: np.sum(total(x, A, y, power=3)), (0, 1))(A, 2 * A)
    np.testing.assert_allclose(x, 3 * A**2)
    np.testing.assert_allclose(y, 12 * A**2)


@pytest.mark.parametrize("watched", [0, 1, 2])
def test_lists_are_arrays_and_dicts_are_not(watched):
    """In every place of ops of one, two and more arguments, beside Tensors and without."""
    tape = mg.Tape(full=False)
    arrays = [tape.watch(A), tape.watch(A + 1), A + 2]
    for op, count in ((mg.relu, 1), (mg.ops.add, 2), (mg.ops.clip, 3), (mg.ops.matmul, 2)):
        for place in range(count):
            args = [x if i < watched else mg.stop_gradient(x) for i, x in enumerate(arrays[:count])]
            expected = op(*args[:place], np.array([1.0, 2.0, 3.0]), *args[place + 1 :])
            found = op(*args[:place], [1.0, 2.0, 3.0], *args[place + 1 :])
            assert type(found) is type(expected)
            np.testing.assert_array_equal(mg.stop_gradient(found), mg.stop_gradient(expected))
            with pytest.raises(DTypeError, match=f"{op.name}: a dict came in place of an array"):
                op(*args[:place], {"a": 1}, *args[place + 1 :])


def test_an_op_that_returns_no_results_at_all():
    @mg.primitive(outputs="many")
    def rows(x):
        return tuple(x)

    rows.vjp(x=lambda g: np.stack(g))
    assert rows(mg.Tape(full=False).watch(np.ones((0, 3)))) == ()


def test_an_argument_without_a_derivative():
    product = make_product()
    product.vjp(x=lambda g, y: g * y, y=None)
    x, y = mg.grad(lambda x, y: np.sum(product(x, y)), (0, 1))(A, A)
    np.testing.assert_array_equal(x, A)
    np.testing.assert_array_equal(y, np.zeros(3))


def test_an_op_without_a_derivative_is_not_followed():
    @mg.primitive(differentiable=False)
    def half(x):
        return x / 2

    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(half(x) * x))(A), A / 2)
    tape = mg.Tape()
    assert isinstance(half(tape.watch(A)), mg.Tensor)


def test_integer_outputs_have_no_derivative():
    @mg.primitive(outputs=("top", "place"))
    def largest(x):
        place = np.argmax(x)
        return x[place], place

    def rule(g, x_shape, place):
        top, no_cotangent = g
        assert no_cotangent is None
        return top * (np.arange(x_shape[0]) == place)

    largest.vjp(x=rule)

    def f(x):
        top, place = largest(x)
        return top * place

    np.testing.assert_array_equal(mg.grad(f)(A), [0, 0, 2])


def test_rules_may_be_replaced():
    product = make_product()
    product.vjp(x=lambda g, y: g * y, y=lambda g, x: g * x)
    mg.grad(lambda x: np.sum(product(x, A)))(A)
    product.vjp(x=lambda g: g * 7)
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(product(x, A)))(A), np.full(3, 7.0))


@pytest.mark.parametrize("name", ["g", "shared", "saved", "params", "args", "out_", "wants_", "self"])
def test_arguments_may_have_any_name(name):
    scope = {}
    exec(f"def op(x, {name}): return x * {name}", scope)
    op = mg.primitive(scope["op"])
    exec(f"rules = dict(x=lambda g_, {name}: g_ * {name}, {name}=lambda g_, x: g_ * x)", scope)
    op.vjp(**scope["rules"])
    x, y = mg.grad(lambda x, y: np.sum(op(x, y)), (0, 1))(A, 2 * A)
    np.testing.assert_array_equal(x, 2 * A)
    np.testing.assert_array_equal(y, A)


# --- mistakes in a definition -----------------------------------------------------------------------------------------


def test_a_rule_for_an_unknown_argument():
    with pytest.raises(TypeError, match=r"scale has no argument 'xx'; did you mean \"x\"\? \(its arguments: x\)"):
        make_scale().vjp(xx=lambda g: g)


def test_a_rule_that_reads_an_unknown_name():
    with pytest.raises(TypeError, match=r"a rule of scale reads 'facter'; did you mean \"factor\"\?.*x_shape"):
        make_scale().vjp(x=lambda g, facter: g)


def test_a_shared_rule_that_reads_an_unknown_name():
    with pytest.raises(TypeError, match=r"reads 'inverze'; did you mean \"inverse\"\?"):
        make_polar().vjp_shared(lambda g, inverze, *, wants: (g,))


def test_a_rule_without_a_cotangent():
    with pytest.raises(TypeError, match="scale"):
        make_scale().vjp(x=lambda: 0.0)


def test_a_positional_default():
    with pytest.raises(TypeError, match=r"factor has a default.*after \*"):

        @mg.primitive
        def scale(x, factor=2.0):
            return x * factor


def test_keywords_without_names():
    with pytest.raises(TypeError, match=r"\*\*options is not supported"):

        @mg.primitive
        def op(x, **options):
            return x


# --- mistakes in a call -----------------------------------------------------------------------------------------------


def test_an_unknown_parameter():
    for x in (A, mg.Tape().watch(A)):
        with pytest.raises(TypeError, match=r"scale has no argument 'facter'; did you mean \"factor\"\?"):
            make_scale()(x, facter=2.0)


def test_too_many_or_too_few_arrays():
    for args in ((), (A, A)):
        with pytest.raises(TypeError, match=rf"takes 1 arrays by position, and {len(args)} came"):
            make_scale()(*args, factor=1.0)


def test_an_array_by_position_and_by_name():
    for x in (A, mg.Tape().watch(A)):
        with pytest.raises(TypeError, match="'x'"):
            make_scale()(x, x=A, factor=1.0)


def test_a_parameter_without_default_that_is_missing():
    for x in (A, mg.Tape().watch(A)):
        with pytest.raises(TypeError, match="factor"):
            make_scale()(x)


def test_a_missing_rule_names_the_argument_and_the_ways_out():
    product = make_product()
    product.vjp(x=lambda g, y: g * y)
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(product(x, A)))(A), A)
    with pytest.raises(NoGradientRule, match=r"product has no gradient rule for its argument 'y'.*product\.vjp\(y="):
        mg.grad(lambda x: np.sum(product(A, x)))(A)
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(product(x, mg.stop_gradient(x))))(A), A)


# --- mistakes in what comes back --------------------------------------------------------------------------------------


def grad_with_rule(rule, x=A):
    @mg.primitive
    def op(x):
        return x * 2.0

    op.vjp(x=rule)
    return mg.grad(lambda x: np.sum(op(x)))(x)


def test_a_cotangent_of_a_wrong_shape():
    with pytest.raises(ShapeError, match=r"rule of op returned a cotangent of shape \(2,\).*argument of shape \(3,\)"):
        grad_with_rule(lambda g: g[:2])
    with pytest.raises(ShapeError, match=r"shape \(\)"):
        grad_with_rule(lambda g: np.sum(g))


def test_a_rule_without_return_is_an_error_and_not_a_zero():
    def rule(g):
        g * 2.0

    with pytest.raises(MinigradError, match="op"):
        grad_with_rule(rule)


@pytest.mark.parametrize("rule", [lambda g: 2.0, lambda g: [2.0, 2.0, 2.0], lambda g: "text"])
def test_a_rule_that_returns_no_array(rule):
    with pytest.raises(MinigradError, match="op"):
        grad_with_rule(rule)


def test_a_rule_may_return_a_number_for_a_number():
    """A float is what Python's own arithmetic gives; it is a cotangent like any other."""

    @mg.primitive
    def op(x):
        return np.asarray(x) * 2.0

    op.vjp(x=lambda g: float(g) * 2.0)
    assert mg.grad(op)(3.0) == 2.0


def test_a_shared_rule_that_returns_another_number_of_cotangents():
    product = make_product()
    product.vjp_shared(lambda g, x, y, *, wants: (g * y,))
    with pytest.raises(TypeError, match=r"shared rule of product was asked for \('x', 'y'\) and returned 1"):
        mg.grad(lambda x: np.sum(product(x, x)))(A)


def test_a_shared_rule_that_returns_an_array_is_not_taken_apart():
    @mg.primitive
    def op(x):
        return x * 2.0

    op.vjp_shared(lambda g, *, wants: g * 2.0)
    with pytest.raises((TypeError, MinigradError), match="op"):
        mg.grad(lambda x: np.sum(op(x)))(np.ones(1))


@pytest.mark.parametrize("result", [3.0, [1.0, 2.0]])
def test_a_forward_function_that_returns_python_numbers(result):
    @mg.primitive
    def op(x):
        return result

    op.vjp(x=lambda g, x_shape: np.broadcast_to(np.sum(g), x_shape))
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(op(x)))(A), np.full(3, np.size(result)))


@pytest.mark.parametrize("static", [True, False])
def test_a_forward_function_without_return(static):
    if static:

        @mg.primitive
        def op(x, *, k=1):
            x * 2

    else:

        @mg.primitive
        def op(x):
            x * 2

    op.vjp(x=lambda g: g)
    with pytest.raises(MinigradError, match="op.*None"):
        mg.grad(lambda x: op(x))(1.0)


def test_an_error_in_the_forward_function_names_op_scope_and_shapes():
    product = make_product()
    product.vjp(x=lambda g, y: g * y)
    with mg.scope("block"), mg.scope("gate"):
        with pytest.raises(ShapeError, match=r"product in block/gate: .*\(3,\).*\(2,\)"):
            mg.grad(lambda x: np.sum(product(x, np.ones(2))))(A)
