"""What is kept alive, and for how long: nothing that no rule reads, and nothing after a step."""

import gc
import tracemalloc
import weakref
from contextlib import contextmanager

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.tape import Tape

MEGABYTE = 2**20


class Net(mg.Model):
    def __init__(self, width=60):
        rng = np.random.default_rng(0)
        self.reg = 0.1
        self.params = {
            "W1": rng.standard_normal((20, width)),
            "gamma": np.ones(width),
            "beta": np.zeros(width),
            "W2": rng.standard_normal((width, 5)),
        }
        self.state = {"mean": np.zeros(width)}

    def forward(self, params, X, train):
        hidden = X @ params["W1"]
        if train:
            hidden, mean, _ = mg.batchnorm.all_outputs(hidden, params["gamma"], params["beta"])
            self.state["mean"] = 0.9 * self.state["mean"] + 0.1 * mean
        return np.maximum(0, hidden) @ params["W2"]


def batch(seed=0, size=50):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((size, 20)), rng.integers(5, size=size)


@contextmanager
def no_garbage():
    """Fail if the block leaves anything that only the cycle collector could free."""
    gc.collect()
    gc.disable()
    try:
        yield
        assert gc.collect() == 0
    finally:
        gc.enable()


def deep(x, steps=100_000):
    for _ in range(steps // 2):
        x = x * 0.5
        x = x + 1.0
    return x


# --- long chains ------------------------------------------------------------------------------------------------------


def test_a_chain_of_100_000_ops_is_recorded_differentiated_and_freed():
    value, gradient = mg.value_and_grad(lambda x: deep(x))(3.0)
    assert value == pytest.approx(2.0)
    assert gradient == 0.5**50_000 == 0.0


def test_a_long_chain_of_multiplications_keeps_its_gradient():
    def f(x):
        y = x
        for _ in range(100_000):
            y = y * 1.0
        return y

    assert mg.grad(f)(3.0) == 1.0


def test_a_long_chain_under_two_levels():
    def f(x):
        y = x
        for _ in range(5_000):
            y = y * 1.0 + x * 0.0
        return y * x

    assert mg.grad(mg.grad(f))(3.0) == 2.0


def test_a_long_chain_on_a_full_tape():
    tape = mg.Tape()
    x = tape.watch(1.0)
    y = deep(x, 40_000)
    assert tape.gradient(y, x) is not None
    del tape, x, y


def test_a_pullback_of_a_long_chain_is_freed_without_recursion():
    factors = [np.ones(10)]
    alive = weakref.ref(factors[0])
    _, pullback = mg.vjp(lambda x: deep(x, 50_000) * factors.pop(), 1.0)
    pullback(np.ones(10))
    assert alive() is not None
    del pullback
    assert alive() is None


# --- nothing is kept that no rule reads -------------------------------------------------------------------------------


KEEPS_NOTHING = {
    "add": lambda x: x + x,
    "subtract": lambda x: x - 1,
    "negative": lambda x: -x,
    "sum": lambda x: np.sum(x, axis=0),
    "mean": lambda x: np.mean(x),
    "reshape": lambda x: np.reshape(x, (-1,)),
    "transpose": lambda x: x.T,
    "multiply by a constant": lambda x: x * 3.0,
    "slice": lambda x: x[1:],
    "concatenate": lambda x: np.concatenate([x, x]),
    "stack": lambda x: np.stack([x, x]),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, *x.shape)),
    "astype": lambda x: x.astype(np.float32),
    "matmul by a constant": lambda x: x @ np.ones((3, 2)),
    "where": lambda x: np.where(np.ones((4, 3), bool), x, 0.0),
    "greater": lambda x: x > 0,
    "relu": lambda x: mg.relu(x),
}

KEEPS_THE_INPUT = {
    "multiply": lambda x: x * x,
    "maximum": lambda x: np.maximum(x, 0),
    "sin": lambda x: np.sin(x),
    "log": lambda x: np.log(x),
}

KEEPS_THE_OUTPUT = {"exp": np.exp, "tanh": np.tanh, "sqrt": np.sqrt}


def lives(use):
    """Return whether the array between two ops is alive after the second, while the tape lives."""
    tape = Tape(full=False)
    x = tape.watch(np.ones((4, 3)))
    middle = x + 1.0
    alive = weakref.ref(middle.value)
    out = use(middle)
    del middle
    gc.collect()
    assert out is not None
    return alive() is not None


@pytest.mark.parametrize("op", KEEPS_NOTHING.values(), ids=KEEPS_NOTHING)
def test_an_array_that_no_rule_reads_is_freed_while_the_tape_lives(op):
    def without_view(x):
        return type(op(x)) and None or 1  # the result itself is dropped: a view would keep its base

    assert not lives(without_view)


@pytest.mark.parametrize("op", KEEPS_THE_INPUT.values(), ids=KEEPS_THE_INPUT)
def test_an_array_that_a_rule_reads_is_kept(op):
    assert lives(lambda x: op(x) is not None)


@pytest.mark.parametrize("op", KEEPS_THE_OUTPUT.values(), ids=KEEPS_THE_OUTPUT)
def test_a_rule_that_reads_the_output_does_not_keep_the_input(op):
    assert not lives(lambda x: op(x) is not None)


def test_an_inactive_factor_is_not_recorded():
    tape = Tape(full=False)
    x = tape.watch(np.ones(3))
    constant = np.ones(3) * 2
    alive = weakref.ref(constant)
    y = x + constant
    del constant
    assert alive() is None
    assert len(tape) == 2
    assert y.shape == (3,)


# --- the backward pass frees what it has used -------------------------------------------------------------------------


def peak_of(run):
    run()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        run()
        return (tracemalloc.get_traced_memory()[1] - before) / MEGABYTE
    finally:
        tracemalloc.stop()


def test_backward_frees_saved_arrays_while_it_walks():
    steps, x = 40, np.ones(MEGABYTE // 8)  # one array is 1 MB

    def f(x):
        for _ in range(steps):
            x = np.tanh(x)
        return np.sum(x)

    # The forward pass saves one array a step; the walk needs a few more, not one more for each step.
    assert peak_of(lambda: mg.grad(f)(x)) < steps + 8


def test_what_was_recorded_after_the_result_is_freed_before_the_walk():
    x = np.zeros(10)
    saved = []

    @mg.primitive
    def probe(x):
        return x + 0.0

    def probe_rule(g):
        saved.append(alive() is None)
        return g

    probe.vjp(x=probe_rule)
    alive = None

    def f(x):
        nonlocal alive
        y = np.sum(probe(x))
        late = np.exp(x)  # a metric that is computed and not used
        alive = weakref.ref(late.value)
        for _ in range(10):
            late = np.tanh(late)
        return y

    mg.grad(f)(x)
    assert saved == [True]


def test_saved_arrays_die_in_the_order_of_the_walk():
    references, seen = [], []

    @mg.primitive
    def probe(x):
        return x + 0.0

    def probe_rule(g):
        seen.append([r() is not None for r in references])
        return g

    probe.vjp(x=probe_rule)

    def f(x):
        x = probe(np.exp(x))
        references.append(weakref.ref(x.value))
        x = np.sin(x)  # keeps its input
        x = probe(x)
        references.append(weakref.ref(x.value))
        return np.sum(np.sin(x))

    mg.grad(f)(np.ones(1000))
    assert seen == [[True, False], [False, False]]


# --- nothing remains --------------------------------------------------------------------------------------------------


KEPT_BY_PYTHON = 150_000  # bytes: CPython keeps freed small objects, such as tuples, for the next that are made


def growth(run, steps=200):
    """Return by how many bytes the memory has grown over many calls. One array of a step in 200 would be millions."""
    for _ in range(10):
        run()
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(5):
            run()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(steps):
            run()
        assert gc.collect() == 0  # no garbage; and it empties Python's free lists, which tracemalloc counts
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def test_200_training_steps_leave_nothing():
    model, (X, y) = Net(), batch()
    gc.disable()
    try:
        assert growth(lambda: model.loss(X, y)) < KEPT_BY_PYTHON
        assert growth(lambda: model.loss(X)) < KEPT_BY_PYTHON
    finally:
        gc.enable()


def test_200_gradients_leave_nothing():
    x = np.ones((50, 50))
    f = mg.grad(lambda x: np.sum(np.tanh(x @ x) * x))
    second = mg.grad(lambda x: np.sum(f(x) ** 2))
    gc.disable()
    try:
        assert growth(lambda: f(x)) < KEPT_BY_PYTHON
        assert growth(lambda: second(x), steps=50) < KEPT_BY_PYTHON
    finally:
        gc.enable()


def fails_in_python(x):
    raise RuntimeError("on purpose")


CALLS = {
    "grad": lambda x: mg.grad(lambda x: np.sum(np.tanh(x) * x))(x),
    "grad of grad": lambda x: mg.grad(lambda x: np.sum(mg.grad(lambda x: np.sum(np.tanh(x) * x))(x)))(x),
    "vjp": lambda x: mg.vjp(lambda x: {"a": np.tanh(x), "b": [x]}, x),
    "pullback": lambda x: mg.vjp(lambda x: np.tanh(x), x)[1](x),
    "softmax to second order": lambda x: mg.grad(
        lambda x: np.sum(mg.grad(lambda x: mg.softmax_loss(x, np.array([0, 1, 1])))(x) ** 2)
    )(x),
    "tape": lambda x: (lambda tape, x: tape.gradient(np.sum(x * x), x))(*(lambda t: (t, t.watch(x)))(mg.Tape())),
    "table": lambda x: str((lambda t: (np.sum(t.watch(x) * 2), t)[1])(mg.Tape(lines=True))),
    "model.loss": lambda x: Net().loss(*batch()),
}

FAILURES = {
    "an exception of the function": lambda x: mg.grad(fails_in_python)(x),
    "an error from NumPy": lambda x: mg.grad(lambda x: np.sum(x + np.ones(17)))(x),
    "an error that an op raises": lambda x: mg.grad(lambda x: mg.softmax_loss(x, np.array([0, 1, 99])))(x),
    "an error that an op raises, nested": lambda x: mg.grad(
        lambda x: np.sum(mg.grad(lambda x: mg.softmax_loss(x, np.array([0, 1, 99])))(x))
    )(x),
    "no rule": lambda x: mg.grad(lambda x: np.sum(np.linalg.qr(x)[0]))(x),
    "not a scalar": lambda x: mg.grad(lambda x: x)(x),
    "a wrong cotangent": lambda x: mg.vjp(lambda x: x * 2, x)[1](np.ones(99)),
    "a bad label": lambda x: Net().loss(batch()[0], np.full(50, 99)),
    "an array in place of a number": lambda x: mg.grad(lambda x: np.array([x[0, 0]]))(x),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_reference_cycles(call):
    call(np.ones((3, 2)))
    with no_garbage():
        call(np.ones((3, 2)))


@pytest.mark.parametrize("call", FAILURES.values(), ids=FAILURES)
def test_no_reference_cycles_after_an_error(call):
    def fail():
        try:
            call(np.ones((3, 2)))
        except Exception:
            return
        raise AssertionError("no error came")

    fail()
    with no_garbage():
        fail()


def test_no_reference_cycles_after_a_stale_tensor():
    kept = []
    mg.grad(lambda x: (kept.append(x), np.sum(x))[1])(np.ones(3))

    def fail():
        try:
            np.tanh(kept[0])
        except mg.StaleTensorError:
            pass

    fail()
    with no_garbage():
        fail()


def test_arguments_are_not_kept_after_the_call():
    x = np.ones(10)
    alive = weakref.ref(x)
    differentiate = mg.grad(lambda x: np.sum(x * x))
    gradient = differentiate(x)
    del x
    assert alive() is None
    assert gradient.shape == (10,)


def test_a_batch_is_not_kept_after_the_step():
    model, (X, y) = Net(), batch()
    alive = weakref.ref(X)
    result = model.loss(X, y)
    model.loss(X)
    del X
    assert alive() is None
    assert len(result) == 2
