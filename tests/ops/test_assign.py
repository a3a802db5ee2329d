"""Item assignment and in-place operators on Tensors: what they mean, and that gradients flow to both sides."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import DTypeError, NoGradientRule, ShapeError, StaleTensorError
from tests.gradients import as_tuple, check_derivatives

rng = np.random.default_rng(8)
X, Y = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
A, B = np.array([0.3, -0.7, 1.2]), np.array([1.5, 0.4, -0.6])
MASK = np.array([[True, False, True, True], [False] * 4, [True, False, False, True]])


def agrees(f, *args):
    """Check value and derivatives of a function that assigns in place (given copies): both modes, to second order."""
    plain = f(*(x.copy() for x in args))
    primals = [x.copy() for x in args]
    out, pullback = mg.vjp(f, *primals)
    value, moved = mg.jvp(f, primals, [np.cos(x) for x in primals])
    for x, before in zip(primals, args):
        np.testing.assert_array_equal(x, before)  # what was given is not written to
    np.testing.assert_array_equal(out, plain)
    np.testing.assert_array_equal(value, plain)
    w = np.sin(1.0 + np.arange(np.size(plain))).reshape(np.shape(plain))
    pulled = sum(np.sum(p * np.cos(x)) for p, x in zip(pullback(w), args))
    np.testing.assert_allclose(np.sum(w * moved), pulled, atol=1e-12)
    check_derivatives(lambda *xs: f(*(x * 1.0 for x in xs)), args)


def assigning(index):
    def f(x, v):
        y = x * x
        y[index] = v
        return y * y

    return f


# --- which elements, and what is put there --------------------------------------------------------------------------

INDICES = {
    "integer": 1,
    "negative integer": -1,
    "element": (1, 2),
    "slice": slice(0, 2),
    "step": (slice(None, None, 2), slice(3, None, -2)),
    "Ellipsis": (Ellipsis, 1),
    "everything": Ellipsis,
    "empty tuple": (),
    "None": (None, 1),
    "None inside": (slice(None), None, 2),
    "rows": np.array([2, 0]),
    "list": [0, 2],
    "pairs": (np.array([0, 1, 2]), np.array([3, 0, 1])),
    "array and slice": (np.array([0, 2]), slice(1, 3)),
    "slice and array": (slice(1, 3), np.array([3, 0])),
    "apart": (np.array([0, 2])[:, None], np.array([1, 3])),
    "mask": MASK,
    "mask of rows": np.array([True, False, True]),
    "mask and integer": (np.array([True, False, True]), 2),
    "nothing": slice(0, 0),
    "empty array": np.zeros(0, int),
    "empty list": [],
    "no row": np.zeros(3, bool),
    "numpy integer": np.int64(2),
    "0-d array": np.array(1),
    "True": True,
}
every_index = pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)


@every_index
def test_an_array_of_the_shape_that_the_index_takes(index):
    agrees(assigning(index), X, rng.standard_normal(X[index].shape))


@every_index
def test_a_number(index):
    agrees(lambda x: assigning(index)(x, 2.0), X)
    agrees(assigning(index), X, np.array(0.7))


@pytest.mark.parametrize("shape", [(1,), (4,), (2, 1), (1, 4), (1, 1), (1, 2, 4), (1, 1, 1, 1)], ids=str)
def test_broadcasting(shape):
    """Also leading axes of size one, which an assignment ignores as NumPy's does."""
    agrees(assigning(np.array([2, 0])), X, rng.standard_normal(shape))
    agrees(assigning(slice(0, 2)), X, rng.standard_normal(shape))


def test_into_numbers():
    def f(x, v):
        y = np.reshape(np.stack([x * x]), ())  # a 0-d array, which NumPy's own x * x is not
        y[()] += v
        y[...] = y * v
        return y * x

    agrees(f, np.array(0.4), np.array(1.5))


@pytest.mark.parametrize(
    "index",
    [[0, 0], [1, 0, 1, 1], ([0, 2, 0], [1, 1, 1]), np.array([[0, 1], [1, 0]]), [0, -3], (slice(None), [3, 3, 0])],
    ids=str,
)
def test_where_an_index_repeats_the_last_one_stays(index):
    """And the others get no gradient."""
    if type(index) is tuple:
        index = tuple(np.array(part) if isinstance(part, list) else part for part in index)
    v = rng.standard_normal(X[index].shape)
    agrees(assigning(index), X, v)
    agrees(assigning(index), X, np.array(1.3))
    agrees(assigning(index), X, v[:1])


def test_repeated_elements_by_hand():
    def f(v):
        x = v * 0.0
        x[[0, 1, 0]] = v
        return np.sum(x * np.array([10.0, 20.0, 30.0]))

    np.testing.assert_array_equal(mg.grad(f)(A), [0.0, 20.0, 10.0])


@pytest.mark.parametrize(
    "v", [[1.0, 2.0, 3.0, 4.0], (1, 2, 3, 4), range(4), 3, np.arange(4), True, np.float32(2)], ids=str
)
def test_plain_values(v):
    agrees(lambda x: assigning(1)(x, v), X)


def test_a_list_of_tensors_is_not_turned_into_numbers():
    """It is either recorded, or refused."""

    def f(x):
        y = x * 1.0
        y[:2] = [x[2], x[1] * 2]
        return np.sum(y * y)

    try:
        found = mg.grad(f)(A)
    except NoGradientRule:
        return
    np.testing.assert_allclose(found, [0, 8 * A[1], 4 * A[2]])


@every_index
def test_augmented(index):
    def f(x, v):
        y = x * 1.0
        y[index] += v
        y[index] *= y[index]
        y[index] -= 0.5
        return y

    agrees(f, X, rng.standard_normal(X[index].shape))


def test_augmented_by_a_mask_of_the_values():
    def f(x, v):
        y = x * 1.0
        y[y > 0] += v
        y[y < 0] = 0.0
        return y

    agrees(f, X, np.array(0.3))


def test_augmented_with_repeats_counts_once_as_in_numpy():
    def f(x):
        y = x * 1.0
        y[[0, 0]] += 1.0
        return y

    agrees(f, A)


# --- in-place operators ---------------------------------------------------------------------------------------------


def test_every_operator():
    def f(x, v):
        y = x + 3.0
        y += v
        y -= v * v
        y *= v
        y /= 1.5 + v * v
        y **= 2
        y %= 50.0
        return y

    agrees(f, X, Y)


def test_matmul_in_place():
    def f(x, w):
        y = x * 1.0
        y @= w
        return y

    agrees(f, X, rng.standard_normal((4, 4)))


@pytest.mark.parametrize("shape", [(), (4,), (3, 1), (1, 1)], ids=str)
def test_operators_broadcast_the_right_side(shape):
    def f(x, v):
        y = x * 1.0
        y += v
        y *= v
        return y

    agrees(f, X, rng.standard_normal(shape))


def test_operators_do_not_enlarge_the_left_side():
    def f(x):
        y = x * 1.0
        y += Y
        return np.sum(y)

    with pytest.raises(ValueError):
        f(Y[:1].copy())
    with pytest.raises(ShapeError, match=r"in place: \(4,\) with \(3, 4\) gives \(3, 4\)"):
        mg.grad(f)(Y[0])
    with pytest.raises(ShapeError, match="in place"):
        mg.jvp(f, (Y[0],), (Y[0],))


# --- dtypes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("narrow, wide", [(np.float32, np.float64), (np.float16, np.float32), (np.float64, np.float32)])
def test_the_dtype_of_the_left_side_stays(narrow, wide):
    def f(x, v):
        y = x * 1
        y[0] = v[0]
        y += v
        y[1] *= v[1]
        assert y.dtype == narrow
        return np.sum(y * y)

    x, v = A.astype(narrow), B.astype(wide)
    for gradient, argument in zip(mg.grad(f, (0, 1))(x, v), (x, v)):
        assert gradient.dtype == argument.dtype
    exact = mg.grad(f, (0, 1))(A.astype(narrow), B.astype(narrow))
    np.testing.assert_allclose(mg.grad(f, (0, 1))(x, v)[1], exact[1], rtol=1e-2)
    assert mg.jvp(f, (x, v), (x, v))[1].dtype == narrow


def test_integers_into_floats():
    agrees(lambda x: assigning(1)(x, np.arange(4)), X)


def test_integer_tensors_on_a_full_tape():
    tape = mg.Tape()
    n = tape.watch(np.arange(4), name="n")
    n[1] = 10
    n[[2, 3]] += 5
    np.testing.assert_array_equal(n.value, [0, 10, 7, 8])
    assert n.dtype == np.arange(4).dtype
    with pytest.raises(DTypeError, match="in place"):
        n += 0.5
    with pytest.raises(DTypeError, match="in place"):
        n /= 2


def test_complex_into_real_is_never_silent():
    def f(v):
        y = np.real(v) * 1.0
        y[0] = v[0]
        return np.sum(y)

    with pytest.raises((np.exceptions.ComplexWarning, DTypeError)):
        mg.vjp(f, A + 1j * B)


def test_real_into_complex():
    def f(z, v):
        y = z * 1.0
        y[1] = v
        return np.sum(np.real(y * y))

    gz, gv = mg.grad(f, (0, 1))(A + 1j * B, 0.7)
    np.testing.assert_allclose(gz[1], 0)
    np.testing.assert_allclose(gv, 1.4)
    assert gv.dtype == np.float64


# --- what it means --------------------------------------------------------------------------------------------------


class TestMeaning:
    def test_what_was_computed_before_stays(self):
        def f(x):
            y = x * 1.0
            before = np.sin(y) * y
            y[0] = 5.0
            y *= 2.0
            return before + y

        def plain(x):
            return np.sin(x) * x + np.concatenate([[10.0], 2.0 * x[1:]])

        out, pullback = mg.vjp(f, A)
        np.testing.assert_allclose(out, plain(A))
        np.testing.assert_allclose(pullback(B)[0], B * (np.cos(A) * A + np.sin(A) + np.array([0.0, 2.0, 2.0])))

    def test_views_do_not_alias(self):
        tape = mg.Tape()
        x = tape.watch(X)
        row, turned = x[0], x.T
        x[0] = 1.0
        np.testing.assert_array_equal(row.value, X[0])
        np.testing.assert_array_equal(turned.value, X.T)
        row[1] = 7.0
        assert x.value[0, 1] == 1.0

    def test_two_names_of_one_tensor_both_see_it(self):
        x = mg.Tape().watch(X)
        same = x
        same[0] = 1.0
        assert x is same and x.value[0, 0] == 1.0
        same += 1.0
        assert x is same and x.value[0, 0] == 2.0

    def test_nothing_that_was_given_is_written_to(self):
        x, v = X.copy(), Y.copy()
        tape = mg.Tape()
        t, u = tape.watch(x), tape.watch(v)
        t[0] = u[0]
        t += u
        t[MASK] = 3.0
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(v, Y)

    def test_the_argument_of_a_gradient_may_be_assigned_to(self):
        def f(x):
            x[0] = x[1] * x[2]
            x *= x
            return np.sum(x)

        x = A.copy()
        a, b, c = A
        np.testing.assert_allclose(mg.grad(f)(x), [0, 2 * b * c * c + 2 * b, 2 * c * b * b + 2 * c])
        np.testing.assert_array_equal(x, A)
        np.testing.assert_allclose(mg.jvp(f, (x,), (B,))[1], np.sum(mg.grad(f)(x) * B))
        np.testing.assert_array_equal(x, A)
        out, pullback = mg.vjp(f, x)
        np.testing.assert_array_equal(pullback(1.0)[0], pullback(1.0)[0])

    def test_an_input_of_a_tape_keeps_its_entry(self):
        """Its gradient is asked of another Tensor, since the name stands for the new value."""
        tape = mg.Tape()
        x = tape.watch(A)
        first = x * 1.0
        x[0] = 2.0
        out = np.sum(x * first)
        np.testing.assert_allclose(tape.gradient(out, first), [2.0, A[1], A[2]])
        assert tape.nodes[0].role == "input"

    def test_an_assigned_container_entry(self):
        def f(params):
            params["w"][0] = 0.0
            params["w"] += params["b"]
            return np.sum(params["w"] ** 2)

        params = {"w": A.copy(), "b": 2.0}
        found = mg.grad(f)(params)
        np.testing.assert_allclose(found["w"], [0, 2 * (A[1] + 2), 2 * (A[2] + 2)])
        np.testing.assert_array_equal(params["w"], A)

    def test_the_whole_is_drawn_as_one_node_per_assignment(self):
        tape = mg.Tape()
        x = tape.watch(A)
        x[0] = 1.0
        assert [node.name for node in tape.nodes if node.role == "op"] == ["put"]

    def test_swapping(self):
        def f(x):
            y = x * 1.0
            y[0], y[1] = y[1], y[0]
            y[[0, 2]] = y[[2, 0]]
            return y * np.arange(1.0, 4.0)

        agrees(f, A)

    def test_assigning_a_tensor_to_itself(self):
        def f(x):
            y = x * x
            y[...] = y
            y[::-1] = y
            y[1:] = y[:-1]
            return y

        agrees(f, A)


# --- levels ---------------------------------------------------------------------------------------------------------


class TestLevels:
    def test_a_value_of_the_outer_level_in_a_tensor_of_the_inner_one(self):
        def f(x):
            def inner(y):
                z = y * y
                z[0] = x
                return np.sum(z**3)

            return np.sum(mg.grad(inner)(A) * x)

        exact = np.sum(6 * A[1:] ** 5)
        assert mg.grad(f)(2.0) == pytest.approx(exact)

    def test_a_value_of_the_inner_level_in_a_tensor_of_the_outer_one(self):
        def f(x):
            def inner(y):
                z = x * 1.0
                z[0] = y
                return np.sum(z * z * x[1])

            return mg.grad(inner)(3.0) * x[0]

        np.testing.assert_allclose(mg.grad(f)(A), [6 * A[1], 6 * A[0], 0.0])

    def test_an_outer_tensor_that_inner_code_assigns_to_is_stale_afterwards(self):
        """Writing a derivative's variable into something that outlives it is a mistake, and says so."""

        def f(x):
            z = x * 1.0

            def inner(y):
                z[0] = y
                return np.sum(z * z)

            mg.grad(inner)(3.0)
            return np.sum(z)

        with pytest.raises(StaleTensorError):
            mg.grad(f)(A)

    @pytest.mark.parametrize("order", [1, 2, 3])
    def test_orders(self, order):
        def f(x):
            y = np.stack([x, x, x])
            y[0] = x**3
            y[1:] *= x
            return np.sum(y)  # x^3 + 2 x^2

        for _ in range(order):
            f = mg.grad(f)
        assert f(2.0) == [None, 20.0, 16.0, 6.0][order]

    def test_modes_mixed(self):
        def f(x):
            y = x * 1.0
            y[0] = np.sin(x[0]) * x[1]
            y += y
            return np.sum(y**2)

        H = mg.hessian(f)(A)
        np.testing.assert_allclose(mg.jacobian(mg.jacobian(f, mode="forward"), mode="reverse")(A), H)
        np.testing.assert_allclose(mg.jacobian(mg.grad(f))(A), H)
        step = 1e-6
        for i, direction in enumerate(np.eye(3)):
            numeric = (mg.grad(f)(A + step * direction) - mg.grad(f)(A - step * direction)) / (2 * step)
            np.testing.assert_allclose(H[i], numeric, atol=1e-7)

    def test_in_a_checkpoint(self):
        """A checkpointed function runs on plain arrays: it must not write into what others still need.

        The gradient is right, or the assignment is refused.
        """

        def f(x):
            x[0] = x[1] * x[2]
            return np.sum(x * x)

        x = A.copy()
        try:
            found = mg.grad(mg.checkpoint(f))(x)
        except ValueError:  # also what NumPy raises for arrays that are read-only
            found = mg.grad(f)(A)
        np.testing.assert_array_equal(x, A)
        np.testing.assert_allclose(found, mg.grad(f)(A))


# --- programs -------------------------------------------------------------------------------------------------------


class TestPrograms:
    def test_cumulative_sum(self):
        def f(x):
            y = x * 1.0
            for i in range(1, len(x)):
                y[i] += y[i - 1]
            return y

        agrees(f, rng.standard_normal(6))
        np.testing.assert_allclose(mg.jacobian(f)(np.ones(6)), np.tril(np.ones((6, 6))))

    def test_gauss_elimination(self):
        def solve(a, b):
            a, b = a * 1.0, b * 1.0
            n = len(b)
            for k in range(n):
                best = k + int(np.argmax(np.abs(a[k:, k])))
                a[[k, best]] = a[[best, k]]
                b[[k, best]] = b[[best, k]]
                for i in range(k + 1, n):
                    factor = a[i, k] / a[k, k]
                    a[i, k:] -= factor * a[k, k:]
                    b[i] -= factor * b[k]
            x = b * 0.0
            for k in reversed(range(n)):
                x[k] = (b[k] - a[k, k + 1 :] @ x[k + 1 :]) / a[k, k]
            return x

        a, b, w = rng.standard_normal((4, 4)), rng.standard_normal(4), rng.standard_normal(4)
        np.testing.assert_allclose(solve(a, b), np.linalg.solve(a, b))
        agrees(solve, a, b)
        _, pullback = mg.vjp(solve, a, b)
        ga, gb = pullback(w)
        exact = np.linalg.solve(a.T, w)
        np.testing.assert_allclose(gb, exact)
        np.testing.assert_allclose(ga, -np.outer(exact, np.linalg.solve(a, b)))

    def test_a_recurrence_with_a_buffer_on_the_tape(self):
        """A buffer made of Tensors (here ``0 * ...``) may be written to; one of np.zeros may not, and says why."""
        x, w, u = rng.standard_normal((5, 3)), rng.standard_normal((3, 2)), 0.5 * rng.standard_normal((2, 2))

        def rnn(w, u, buffer):
            states = buffer(w)
            h = np.zeros(2)
            for t in range(len(x)):
                h = np.tanh(x[t] @ w + h @ u)
                states[t] = h
            return states

        def stacked(w, u):
            states, h = [], np.zeros(2)
            for t in range(len(x)):
                h = np.tanh(x[t] @ w + h @ u)
                states.append(h)
            return np.stack(states)

        def recorded(w, u):
            return rnn(w, u, lambda w: x @ w * 0.0)

        agrees(recorded, w, u)
        found, wanted = (mg.grad(lambda w, u, f=f: np.sum(f(w, u) ** 2), (0, 1))(w, u) for f in (recorded, stacked))
        np.testing.assert_allclose(found[0], wanted[0], atol=1e-14)
        np.testing.assert_allclose(found[1], wanted[1], atol=1e-14)

        for transform in (mg.grad, mg.hessian):
            with pytest.raises(NoGradientRule, match=r"assignment into an array.*np\.stack"):
                transform(lambda w: np.sum(rnn(w, u, lambda w: np.zeros((5, 2)))))(w)
        with pytest.raises(NoGradientRule, match=r"assignment into an array.*np\.stack"):
            mg.jvp(lambda w: np.sum(rnn(w, u, lambda w: np.zeros((5, 2)))), (w,), (w,))

    @pytest.mark.parametrize("index", [0, slice(0, 1), [0], np.array([True, False, False])], ids=str)
    def test_a_tensor_does_not_go_into_an_array(self, index):
        """For single numbers NumPy makes a ValueError of it; its cause explains."""

        def f(x):
            buffer = np.zeros(3)
            buffer[index] = x
            return np.sum(buffer)

        with pytest.raises((NoGradientRule, ValueError)) as caught:
            mg.grad(f)(2.0)
        error = caught.value if isinstance(caught.value, NoGradientRule) else caught.value.__cause__
        assert isinstance(error, NoGradientRule) and "np.stack" in str(error)

    def test_in_place_into_an_array_is_refused(self):
        def f(x):
            buffer = np.zeros(3)
            buffer += x
            return np.sum(buffer)

        with pytest.raises(NoGradientRule, match="in place"):
            mg.grad(f)(A)
        with pytest.raises(NoGradientRule, match="in place"):
            mg.jvp(f, (A,), (A,))

    def test_a_thousand_assignments(self):
        def f(x):
            y = x * 1.0
            for i in range(1000):
                y[i % 3] = y[(i + 1) % 3] * 0.999 + 0.001
            return np.sum(y)

        direction = np.array([1.0, -1.0, 0.5])
        step = 1e-4
        numeric = (f(A + step * direction) - f(A - step * direction)) / (2 * step)
        assert np.sum(mg.grad(f)(A) * direction) == pytest.approx(numeric)
        assert mg.jvp(f, (A,), (direction,))[1] == pytest.approx(numeric)


# --- mistakes -------------------------------------------------------------------------------------------------------


class TestMistakes:
    @pytest.mark.parametrize(
        "index, v, error",
        [
            (5, 1.0, IndexError),
            ((0, 0, 0), 1.0, IndexError),
            (np.array([0, 9]), 1.0, IndexError),
            (np.ones(7, bool), 1.0, IndexError),
            (0, np.ones(3), ShapeError),
            (slice(0, 2), np.ones((3, 4)), ShapeError),
            ("word", 1.0, IndexError),
            (1.5, 1.0, IndexError),
            (0, "word", (ShapeError, DTypeError)),
            (0, None, (ShapeError, DTypeError)),
        ],
        ids=str,
    )
    def test_what_does_not_fit_names_the_op(self, index, v, error):
        x = mg.Tape().watch(X)
        with pytest.raises(error, match="put"):
            x[index] = v
        np.testing.assert_array_equal(x.value, X)

    def test_assignment_on_an_ended_tape(self):
        with mg.Tape() as tape:
            x = tape.watch(X)
        with pytest.raises(StaleTensorError):
            x[0] = 1.0
        with pytest.raises(StaleTensorError):
            x += 1.0
        np.testing.assert_array_equal(x.value, X)

    def test_deletion_is_refused(self):
        x = mg.Tape().watch(X)
        with pytest.raises((TypeError, ValueError, AttributeError)):
            del x[0]

    def test_out_is_still_refused(self):
        x = mg.Tape().watch(X)
        with pytest.raises(NoGradientRule, match="out"):
            np.add(x, 1.0, out=np.zeros((3, 4)))


def test_only_what_the_rule_reads_is_kept():
    tape = mg.Tape(full=False)
    x, v = tape.watch(X), tape.watch(Y[0])
    x[0] = v
    assert all(isinstance(kept, tuple) for kept in tape.nodes[-1].saved)
    assert as_tuple(tape.gradient(np.sum(x), v))[0].shape == (4,)
