"""Tensor: it behaves like an array where it can, and says so where it cannot."""

import copy
import math
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import BranchError, NoGradientRule
from minigrad.core.tape import Tape

A = np.array([1.0, -2.0, 3.0])


def tensor(value=A, **options):
    return mg.Tape(**options).watch(value)


def traced(function, value=A):
    """Return what `function` gives for a Tensor that is being differentiated."""
    found = []
    mg.grad(lambda x: (found.append(function(x)), np.sum(x))[1])(value)
    return found[0]


# --- like an array ----------------------------------------------------------------------------------------------------


def test_attributes():
    x = tensor(np.ones((2, 3), np.float32))
    assert (x.shape, x.ndim, x.size, x.dtype, x.nbytes, len(x)) == ((2, 3), 2, 6, np.float32, 24, 2)
    assert (x.T.shape, x.mT.shape) == ((3, 2), (3, 2))


def test_conversion_to_python_numbers():
    x = tensor(2.5)
    assert (float(x), int(x), complex(x), bool(x), x.item()) == (2.5, 2, 2.5 + 0j, True, 2.5)
    assert tensor(A).tolist() == A.tolist()
    assert math.floor(float(x)) == 2


def test_conversion_under_two_levels():
    assert traced(lambda x: traced(lambda y: float(y), x[0]), A) == 1.0


def test_truth_of_an_array_is_refused_as_in_numpy():
    with pytest.raises(ValueError, match="ambiguous"):
        bool(tensor() > 0)


def test_integers_index():
    assert ["a", "b", "c"][tensor(np.array(1))] == "b"
    assert list(range(tensor(np.array(3)))) == [0, 1, 2]


@pytest.mark.parametrize("value", [1.0, np.array(1.0), A])
def test_other_values_do_not_index(value):
    with pytest.raises(TypeError):
        ["a", "b"][tensor(value)]


def test_iteration_and_unpacking():
    a, b, c = tensor()
    assert (float(a), float(b), float(c)) == tuple(A)
    assert [row.shape for row in tensor(np.ones((2, 3)))] == [(3,), (3,)]
    np.testing.assert_array_equal(mg.grad(lambda x: sum(v * v for v in x))(A), 2 * A)
    with pytest.raises(TypeError, match="0-d"):
        iter(tensor(1.0))
    with pytest.raises(TypeError):
        len(tensor(1.0))
    assert 3.0 in tensor()
    assert 4.0 not in tensor()


def test_formatting():
    assert f"{tensor(2.5):.3f}" == "2.500"
    assert f"{tensor(np.array([2.5])):5.1f}" == "  2.5"
    assert f"{tensor()}" == f"{A}"
    assert traced(lambda x: f"{x[0]:.1f}") == "1.0"


def test_repr():
    assert repr(tensor()) == "Tensor([ 1., -2.,  3.], entry 0)"
    assert repr(tensor(np.float32(2))) == "Tensor(2.0, dtype=float32, entry 0)"
    assert "Tensor(" in traced(lambda x: traced(repr, x))


def test_builtins():
    a, b = tensor(1.0), tensor(2.0)
    assert max(a, b) is b
    assert sorted([b, a])[0] is a
    assert float(sum([a, a])) == 2.0
    assert float(abs(tensor(-2.0))) == 2.0


def test_comparisons_while_differentiating_give_plain_arrays():
    for result in traced(lambda x: [x > 0, x >= 1, x < 0, x <= 0, x == 1, x != 1, 0 < x, np.isnan(x), np.sign(x)]):
        assert type(result) is np.ndarray
    assert traced(lambda x: type(x[0] > 0)) is np.bool_


def test_comparisons_on_a_full_tape_are_recorded():
    x = tensor()
    mask = x > 0
    assert isinstance(mask, mg.Tensor)
    assert mask.dtype == bool
    np.testing.assert_array_equal((~mask & (x < 3)).value, [False, True, False])


def test_operators_with_arrays_and_scalars_on_either_side():
    others = [2, 2.0, np.float64(2.0), np.float32(2.0), np.array(2.0), A, A.reshape(1, 3), True]
    operators = [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a / b,
        lambda a, b: a**b,
        lambda a, b: a % b,
        lambda a, b: a // b,
        lambda a, b: a > b,
        lambda a, b: a == b,
    ]
    positive = np.abs(A)
    for other in others:
        other = np.abs(other) if not isinstance(other, bool) else other
        for operator in operators:
            x = tensor(positive)
            for result, expected in (
                (operator(x, other), operator(positive, other)),
                (operator(other, x), operator(other, positive)),
            ):
                assert isinstance(result, mg.Tensor)
                np.testing.assert_array_equal(result.value, expected)
                assert result.dtype == expected.dtype


def test_matmul_on_either_side():
    x = tensor()
    assert float(x @ A) == float(A @ x) == A @ A
    assert isinstance(np.eye(3) @ x, mg.Tensor)


# --- in place ---------------------------------------------------------------------------------------------------------


def test_augmented_assignment_to_a_tensor_changes_what_it_stands_for():
    def f(x):
        y = x
        y += 1
        y *= x  # another name of the same Tensor
        y -= 2
        y /= 2
        y **= 2
        return np.sum(y), x

    x = A.copy()
    gradient, same = mg.grad(f, has_aux=True)(x)
    np.testing.assert_array_equal(same, (((A + 1) ** 2 - 2) / 2) ** 2)
    np.testing.assert_array_equal(x, A)
    np.testing.assert_allclose(gradient, ((A + 1) ** 2 - 2) * (A + 1))


def test_augmented_assignment_of_a_tensor_to_an_array_is_refused():
    array = np.zeros(3)
    for statement in ("array += x", "array *= x", "array -= x"):
        with pytest.raises(NoGradientRule, match="in place.*a = a"):
            exec(statement, {"array": array, "x": tensor()})
    np.testing.assert_array_equal(array, np.zeros(3))


def test_out_is_refused():
    with pytest.raises(NoGradientRule, match="out="):
        np.add(tensor(), 1.0, out=np.zeros(3))


def test_assignment_of_a_tensor_into_an_array_is_refused():
    array = np.zeros((2, 3))
    with pytest.raises(NoGradientRule, match="gradient would be lost"):
        array[0] = tensor()
    with pytest.raises(NoGradientRule, match="gradient would be lost"):
        array[:, 0] = tensor(np.ones(2))


@pytest.mark.parametrize("dtype", [float, np.float32, int, complex, bool])
def test_assignment_of_one_number_into_an_array_is_refused(dtype):
    """NumPy asks for float(x) here, and turns what that raises into a ValueError for some dtypes."""
    array = np.zeros(3, dtype)
    with pytest.raises((ValueError, NoGradientRule)) as caught:
        array[0] = tensor(2.0)
    assert isinstance(caught.value, NoGradientRule) or isinstance(caught.value.__cause__, NoGradientRule)

    def f(x):
        out = np.zeros(3)
        for i in range(3):
            out[i] = x[i] ** 2
        return out.sum()

    with pytest.raises(NoGradientRule, match="gradient would be lost"):  # and not in NumPy's words
        mg.grad(f)(A)


@pytest.mark.parametrize(
    "make",
    [
        lambda t: np.array([t, t]),
        lambda t: np.asarray(t),
        lambda t: np.array(t),
        lambda t: np.array([t, 1.0]),
        lambda t: np.array([t, t], dtype=object),
        lambda t: np.asarray([[t], [t]]),
        lambda t: np.sum([t, t]),
        lambda t: np.full(3, t),
        lambda t: np.linspace(0, 1, 3) * np.array([t]),
    ],
)
@pytest.mark.parametrize("value", [2.0, A])
def test_making_arrays_of_tensors_is_refused(make, value):
    with pytest.raises(NoGradientRule):
        make(tensor(value))


# --- what is refused --------------------------------------------------------------------------------------------------


def test_hash():
    with pytest.raises(TypeError, match="unhashable"):
        hash(tensor())
    with pytest.raises(TypeError, match="unhashable"):
        {tensor(): 1}


@pytest.mark.parametrize("use", [pickle.dumps, copy.copy, copy.deepcopy, lambda x: copy.deepcopy({"a": [x]})])
def test_pickling_and_copying(use):
    with pytest.raises(NoGradientRule, match=r"pickled or copied.*\.value"):
        use(tensor())


def test_attributes_that_are_not_there():
    x = tensor()
    for name in ("fill", "byteswap", "nonsense", "_private", "grad", "backward", "__array_interface__", "itemset"):
        assert not hasattr(x, name)
    with pytest.raises(AttributeError, match="has no attribute 'grad'"):
        _ = x.grad
    with pytest.raises(NoGradientRule, match=r"\.fill has no gradient rule"):
        x.fill(0)
    with pytest.raises(AttributeError):
        x.note = 1


def test_numpy_functions_without_a_rule_name_themselves_and_a_way_out():
    for call, text in (
        (lambda x: np.roots(x), r"np\.roots has no gradient rule; .*eigvals"),
        (lambda x: np.histogram(x), r"np\.histogram has no gradient rule; .*count"),
        (lambda x: np.packbits(x), r"np\.packbits has no gradient rule; .*\.value"),
    ):
        with pytest.raises(NoGradientRule, match=text):
            call(tensor())


def test_static_parameters_refuse_tensors():
    @mg.primitive
    def scale(x, *, factor):
        return x * factor

    scale.vjp(x=lambda g, factor: g * factor)
    with pytest.raises(NoGradientRule, match=r"scale: the parameter factor= is static.*stop_gradient"):
        mg.grad(lambda x: np.sum(scale(x, factor=x[0])))(A)
    with pytest.raises(NoGradientRule, match="factor"):
        scale(tensor(), factor=tensor())


# --- branching while a program is captured ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "branch",
    [
        lambda x: 1 if x[0] > 0 else 2,
        lambda x: bool(x[0]),
        lambda x: float(x[0]),
        lambda x: int(x[0]),
        lambda x: x[0].item(),
        lambda x: x.tolist(),
        lambda x: np.any(x > 0) and 1,
        lambda x: max(x[0], x[1]),
        lambda x: np.allclose(x, 1.0) and 1,
        lambda x: np.array_equal(x, x) and 1,
        lambda x: 3.0 in x,
        lambda x: mg.grad(lambda y: y if y > 0 else -y)(x[0]),
        lambda x: mg.grad(lambda y: y * float(y))(x[0]),
    ],
)
def test_branching_on_a_value_under_capture(branch):
    with pytest.raises(BranchError, match="captured"):
        branch(tensor(A, static=True))
    branch(tensor(A, static=False))


@pytest.mark.parametrize(
    "use",
    [lambda x: repr(x), lambda x: f"{x[0]:.1f}", lambda x: len(x), lambda x: [row * 2 for row in x], lambda x: x.shape],
)
def test_what_does_not_branch_is_allowed_under_capture(use):
    use(tensor(A, static=True))


def test_python_ints_as_bounds_of_a_slice_under_capture():
    x = tensor(A, static=True)
    assert x[: len(x) - 1].shape == (2,)


def test_stop_gradient_takes_the_value_out():
    assert type(traced(mg.stop_gradient)) is np.ndarray
    x = Tape(full=False).watch(A)
    assert mg.stop_gradient(x) is A
    np.testing.assert_array_equal(mg.stop_gradient(A), A)
