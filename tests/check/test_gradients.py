"""check_grads: quiet about right gradients, and clear about what is wrong with the others."""

import re
from typing import NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad.autodiff.fused import fused
from minigrad.core.errors import GradientError, MinigradError, OptionError
from tests.gradients import source

rng = np.random.default_rng(12)
A, X, W = rng.standard_normal(4), rng.standard_normal((5, 3)), rng.standard_normal((3, 3))
CUBE = rng.standard_normal((2, 2, 2))
LABELS = np.array([0, 2, 1, 1, 0])


def op_with(forward, linear="", **rules):
    """Make a primitive outside the registry."""
    op = mg.Primitive(forward, linear=linear)
    op.vjp(**rules)
    return op


def message(f, args, order=1, **options):
    """Return the text of the failure, with what every failure has to say checked."""
    with pytest.raises(GradientError) as caught:
        mg.check_grads(f, args, order, **options)
    text = str(caught.value)
    found = re.match(r"order \d, (forward|reverse) mode, argument \d", text)
    assert found, text
    assert re.search(r"the derivative is .* by differences, and .* was computed", text), text
    return text


# --- right gradients pass -------------------------------------------------------------------------------------------


class Layer(NamedTuple):
    w: object
    b: object


RIGHT = {
    "tanh": (np.tanh, (A,)),
    "a number": (lambda x: x**3, (0.7,)),
    "0-d": (np.exp, (np.array(0.3),)),
    "empty": (np.sin, (np.zeros(0),)),
    "empty and not": (lambda x, y: np.sum(x) * y, (np.zeros((0, 3)), A)),
    "several arguments": (lambda x, w, b: np.tanh(x @ w + b), (X, W, A[:3])),
    "several results": (lambda x: (np.sin(x), {"n": np.sum(x * x)}, [x[0]]), (A,)),
    "containers": (lambda p, s: s * np.sum(p["l"].w @ p["l"].b), ({"l": Layer(W, A[:3])}, 2.0)),
    "integers passed through": (lambda s, y: mg.softmax_loss(s, y), (X, LABELS)),
    "a mask passed through": (lambda x, mask: np.where(mask, x * x, 0.0), (A, A > 0)),
    "plain things passed through": (lambda x, n, word: x**n, (A, 3, "word")),
    "integer results": (lambda x: (np.argsort(x), x * 2), (A,)),
    "a constant": (lambda x: 3.0 + 0 * x, (A,)),
    "nothing": (lambda x: np.ones(3), (A,)),
    "large values": (lambda x: 1e6 * np.sin(x) + 1e6, (A,)),
    "small values": (lambda x: 1e-6 * np.sin(x), (A,)),
    "large arguments": (lambda x: np.log(x), (1e4 * (1 + A**2),)),
    "batchnorm": (mg.batchnorm, (X, W[0], W[1])),
    "svm": (lambda s, y: mg.svm_loss(s, y), (np.arange(15.0).reshape(5, 3) % 4 * 0.3, LABELS)),
    "assignment": (lambda x: assigned(x), (A,)),
    "checkpoint": (mg.checkpoint(lambda x: np.tanh(np.sin(x))), (A,)),
    "relu away from its kink": (lambda x: np.maximum(x, 0), (np.array([1.0, -1.0, 0.3]),)),
    "a discontinuous gradient far away": (lambda x: np.abs(x - 10) * x, (A,)),
}


def assigned(x):
    y = x * 1.0
    y[1:] *= y[:-1]
    return y


@pytest.mark.parametrize("f, args", RIGHT.values(), ids=RIGHT)
def test_right_gradients_pass(f, args):
    for seed in range(3):
        assert mg.check_grads(f, args, seed=seed) is None


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("modes", [("fwd",), ("rev",), ("fwd", "rev")], ids=str)
def test_orders_and_modes(order, modes):
    mg.check_grads(lambda x, w: np.sum(np.tanh(x @ w) ** 2, axis=0), (X, W), order, modes)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_dtypes(dtype):
    mg.check_grads(lambda x: np.tanh(x) * x, (A.astype(dtype),))
    mg.check_grads(lambda x, w: np.sum(np.exp(x @ w / 4)), (X.astype(dtype), W.astype(dtype)))


def test_mixed_dtypes():
    mg.check_grads(lambda x, w: np.tanh(x @ w), (X.astype(np.float32), W))
    mg.check_grads(lambda x, w: np.tanh(x @ w), (X, W.astype(np.float32)))


@pytest.mark.parametrize(
    "f",
    [
        lambda z: np.exp(z) * z,
        lambda z: np.conj(z) * z,
        lambda z: np.real(z) ** 2 + 1j * np.imag(z),
        lambda z: np.abs(z),
        lambda z: np.sum(z * 1j),
    ],
    ids=source,
)
def test_complex(f):
    mg.check_grads(f, (A + 1j * A[::-1],))
    mg.check_grads(f, ((A + 1j * A[::-1]).astype(np.complex64),), order=1)


def test_real_and_complex_mixed():
    mg.check_grads(lambda x, z: np.exp(x * z), (A, A + 1j * A[::-1]))
    mg.check_grads(lambda x: np.real(np.exp(1j * x)), (A,))


def test_no_false_alarms():
    """200 random smooth functions: sums and products of ufuncs of random affine maps."""
    smooth = [np.sin, np.cos, np.tanh, np.arctan, lambda x: np.exp(-x * x), lambda x: np.sqrt(1 + x * x), np.square]
    for seed in range(200):
        own = np.random.default_rng(seed)
        n = int(own.integers(1, 5))
        scale = 10.0 ** own.integers(-2, 3)
        w, b, picks = own.standard_normal((3, n, n)), own.standard_normal((3, n)), own.integers(0, len(smooth), 3)

        def f(x, y, w=w, b=b, picks=picks, scale=scale):
            first, second, third = (smooth[pick] for pick in picks)
            hidden = first(w[0] @ x + b[0]) * second(w[1] @ y + b[1])
            return scale * third(w[2] @ hidden + b[2]) + x * np.sum(y)

        args = own.standard_normal(n), own.standard_normal(n)
        mg.check_grads(f, args, order=2 if seed % 4 == 0 else 1, seed=seed)
        if seed % 10 == 0:
            mg.check_grads(f, tuple(x.astype(np.float32) for x in args), order=1, seed=seed)


def test_nothing_is_written_to():
    x, w = X.copy(), W.copy()
    mg.check_grads(lambda x, w: np.tanh(x @ w), (x, w))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(w, W)
    x.flags.writeable = False
    mg.check_grads(lambda x, w: np.tanh(x @ w), (x, w))


def test_global_random_numbers_are_left_alone():
    state = np.random.get_state()[1].copy()
    mg.check_grads(np.tanh, (A,))
    np.testing.assert_array_equal(np.random.get_state()[1], state)


# --- wrong gradients: the diagnosis ---------------------------------------------------------------------------------


def matmul_forward(x, w):
    return x @ w


class TestDiagnosis:
    @pytest.mark.parametrize("factor", [2.0, 0.5, 3.7])
    def test_a_factor(self, factor):
        f = op_with(lambda x: np.sin(x), x=lambda g, x: factor * g * np.cos(x))
        for mode in ("fwd", "rev"):
            assert f"it is {factor:g} times the right one" in message(f, (A,), modes=(mode,))

    def test_the_number_of_samples(self):
        mean = op_with(lambda x: np.sum(np.sin(x)) / 5, x=lambda g, x: g * np.cos(x))
        text = message(mean, (X,))
        assert "it is 5 times the right one" in text and "size of an axis" in text
        total = op_with(lambda x: np.sum(np.sin(x)), x=lambda g, x: g * np.cos(x) / 15)
        assert "it is 1/15 of the right one" in message(total, (X,))
        total = op_with(lambda x: np.sum(np.sin(x), axis=0), x=lambda g, x: g * np.cos(x) / 5)
        assert "it is 1/5 of the right one" in message(total, (X,))

    def test_the_sign(self):
        f = op_with(lambda x: np.cos(x), x=lambda g, x: g * np.sin(x))
        assert "wrong sign" in message(f, (A,))

    def test_transposed(self):
        f = op_with(matmul_forward, x=lambda g, w: g @ w.T, w=lambda g, x: g.T @ x)
        text = message(f, (W @ W, W))
        assert "argument 1" in text and "axes in the order (1, 0): transposed" in text

    @pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0), (0, 2, 1)], ids=str)
    def test_permuted(self, order):
        f = op_with(lambda x: x**3, x=lambda g, x: np.transpose(3 * g * x * x, order))
        assert f"axes in the order {order}" in message(f, (CUBE,))

    def test_a_sum_over_the_wrong_axis(self):
        f = op_with(lambda x, b: x + b, x=lambda g: g, b=lambda g: np.sum(g, axis=1))
        text = message(f, (W, A[:3]))
        assert "argument 1" in text and "summed over axis (1,), and the right one over axis (0,)" in text

    @pytest.mark.parametrize("reg", [0.1, 2.0, -0.3])
    def test_a_missing_term(self, reg):
        f = op_with(lambda w: np.sum(np.sin(w)) + 0.5 * reg * np.sum(w * w), w=lambda g, w: g * np.cos(w))
        text = message(f, (W,))
        assert f"{'lacks' if reg > 0 else 'has in excess'} a term {abs(reg):g} times the value" in text
        assert "regularisation" in text

    def test_zero(self):
        f = op_with(lambda x: x * x, x=lambda g, x: 0 * g * x)
        assert "it is zero" in message(f, (A,))
        assert "it is zero" in message(lambda x: np.sin(mg.stop_gradient(x)), (A,), modes=("rev",))

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_not_finite(self, bad):
        f = op_with(lambda x: x * x, x=lambda g, x: 2 * g * x + np.array([0, 0, bad, 0]))
        text = message(f, (A,))
        assert "NaN or infinity" in text and "entry [2]" in text

    def test_a_wrong_shape_says_so(self):
        f = op_with(matmul_forward, x=lambda g, w: g @ w.T, w=lambda g, x: x)
        with pytest.raises(MinigradError, match=r"shape \(5, 3\).*\(3, 3\)"):
            mg.check_grads(f, (X, W))

    @pytest.mark.parametrize(
        "f, x",
        [
            (lambda x: np.maximum(x - 1e-7, 0), [0.0, 1.0]),
            (lambda x: np.abs(x - 1e-7), [1.0, 0.0]),
            (lambda x: np.where(x > 0, 2 * x, x), [0.0, 1.0]),
            (lambda x: np.max(x), [1.0, 1.0 + 1e-7]),
            (lambda x: np.where(x > 0, x + 1, x), [0.0, 1.0]),
        ],
        ids=source,
    )
    def test_a_kink(self, f, x):
        assert "kink within the step" in message(f, (np.array(x),), modes=("rev",))

    @pytest.mark.parametrize("f", [lambda x: np.maximum(x, 0), np.abs, np.max], ids=["maximum", "abs", "max"])
    def test_a_kink_in_the_middle_of_the_step(self, f):
        """Ties share, which is what central differences find there: nothing to complain of, in first order."""
        mg.check_grads(f, (np.array([0.0, 0.0, -1.0]),), order=1)

    def test_too_little_precision(self):
        assert "the precision of float32 is too low" in message(
            lambda x: np.sin(1e4 * x) / 1e4, (A.astype(np.float32),)
        )
        mg.check_grads(lambda x: np.sin(1e4 * x) / 1e4, (A,), order=1)

    def test_one_entry_alone(self):
        spoilt = np.ones((5, 3))
        spoilt[3, 1] = 1.5
        f = op_with(lambda x: x * x, x=lambda g, x: 2 * g * x * spoilt)
        text = message(f, (X,))
        assert "entry [3, 1]" in text
        numbers = [float(n) for n in re.findall(r"derivative is (\S+) by differences, and (\S+) was", text)[0]]
        assert numbers[1] == pytest.approx(1.5 * numbers[0], rel=1e-5)

    def test_the_leaf_of_a_container_is_named(self):
        f = op_with(lambda x, y: x * y, x=lambda g, y: g * y, y=lambda g, x: 2 * g * x)
        text = message(lambda p, q: f(p["good"], p["bad"][0]) + q, ({"good": A, "bad": [A]}, A))
        assert "argument 0 (bad[0])" in text

    def test_nothing_is_guessed_where_nothing_fits(self):
        noise = rng.standard_normal((5, 3))
        f = op_with(lambda x: np.sin(x), x=lambda g, x: g * np.cos(x) * noise)
        assert message(f, (X,)).endswith(")")

    def test_complex_conjugated(self):
        f = op_with(lambda z: z * z, z=lambda g, z: g * 2 * np.conj(z))
        assert message(f, (A + 1j * A[::-1],))


# --- what is wrong, and only that ------------------------------------------------------------------------------------


class TestWhere:
    def test_only_the_reverse_mode(self):
        f = op_with(lambda x: 3.0 * x, linear="jointly", x=lambda g: 2.0 * g)
        mg.check_grads(f, (A,), order=1, modes=("fwd",))
        assert "reverse mode" in message(f, (A,))

    def test_only_the_forward_mode(self):
        f = op_with(lambda x: 3.0 * x + 1.0, linear="jointly", x=lambda g: 3.0 * g)
        mg.check_grads(f, (A,), order=1, modes=("rev",))
        assert "forward mode" in message(f, (A,))

    def test_a_rule_that_is_not_elementwise_but_marked_so(self):
        f = op_with(lambda x: np.cumsum(x), linear="elementwise", x=lambda g: np.flip(np.cumsum(np.flip(g))))
        mg.check_grads(f, (A,), order=1, modes=("rev",))
        assert "forward mode" in message(f, (A,))

    def test_the_second_argument_alone(self):
        f = op_with(lambda x, y: x * y, x=lambda g, y: g * y, y=lambda g, x: -g * x)
        assert "argument 1: " in message(f, (A, A + 2))

    @pytest.mark.parametrize("mode", ["fwd", "rev"])
    def test_only_the_second_order(self, mode):
        """A rule that closes over an array: what it captured is a constant to the second derivative."""
        kept = {}

        def forward(x):
            kept["x"] = np.array(x)
            return x**3

        closed = op_with(forward, x=lambda g: 3 * g * kept["x"] ** 2)
        mg.check_grads(closed, (A,), order=1, modes=(mode,))
        assert message(closed, (A,), order=2, modes=(mode,)).startswith("order 2")

    def test_only_the_second_order_of_a_fused_op(self):
        @fused(reference=lambda x: mg.stop_gradient(x) ** 2 * x * 3)
        def wrong(x):
            return x**3

        @wrong.backward
        def wrong_backward(g, x, *, wants):
            return (3 * g * x * x,)

        mg.check_grads(wrong, (A,), order=1, modes=("rev",))
        assert message(wrong, (A,), order=2, modes=("rev",)).startswith("order 2")

    def test_only_the_third_order(self):
        cube_slope = op_with(lambda x: 3 * x**2, x=lambda g, x: 6 * g * mg.stop_gradient(x))
        cube = op_with(lambda x: x**3, x=lambda g, x: g * cube_slope(x))
        mg.check_grads(cube, (A,), order=2)
        assert message(cube, (A,), order=3).startswith("order 3")

    def test_a_small_error_counts(self):
        f = op_with(lambda x: np.sin(x), x=lambda g, x: 1.0001 * g * np.cos(x))
        message(f, (A,))

    def test_a_wrong_gradient_that_is_small_beside_the_value(self):
        f = op_with(lambda x: 1e3 + np.sin(x), x=lambda g, x: -g * np.cos(x))
        assert "wrong sign" in message(f, (A,))

    @pytest.mark.parametrize("scale", [1e-3, 1e-6])
    def test_a_wrong_gradient_of_small_size(self, scale):
        """Gradients of a well scaled loss may be small; that is no reason to pass a zero."""
        f = op_with(lambda x: scale * np.sin(x), x=lambda g, x: 0 * g * x)
        message(f, (A,))


def test_deterministic():
    spoilt = op_with(lambda x: np.sin(x), x=lambda g, x: g * np.cos(x) * 1.01)
    texts = [message(spoilt, (A,), seed=seed) for seed in (0, 0, 0, 1)]
    assert texts[0] == texts[1] == texts[2] != texts[3]


def test_tolerance():
    f = op_with(lambda x: np.sin(x), x=lambda g, x: 1.001 * g * np.cos(x))
    message(f, (A,))
    mg.check_grads(f, (A,), order=1, rtol=1e-2)


class TestMistakes:
    def test_modes(self):
        with pytest.raises(OptionError, match='unknown mode "backward"'):
            mg.check_grads(np.sin, (A,), modes=("backward",))

    def test_no_floating_point_argument(self):
        with pytest.raises(OptionError, match="none of the arguments"):
            mg.check_grads(np.sin, (np.arange(3),))

    def test_a_bare_array_for_the_arguments(self):
        """It would be taken apart into its elements."""
        with pytest.raises((OptionError, TypeError), match="tuple|sequence"):
            mg.check_grads(np.sin, A)

    def test_the_error_is_an_assertion_too(self):
        with pytest.raises(AssertionError):
            mg.check_grads(op_with(lambda x: x * 2, x=lambda g: g), (A,))
