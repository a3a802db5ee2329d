"""A compiled program gives what the function itself gives, and keeps the Solver API.

With NumPy's kernels it gives that bit for bit. With Numba's, which fuse chains of ops, it gives it to rounding.
"""

import copy
import gc
import importlib
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.compile.compiled import LIMIT, compile
from tests.gradients import is_float_array
from tests.models.test_models import NAMES, data_for, make
from tests.ops.samples import SAMPLES

for _family in sorted((Path(__file__).parent.parent / "ops").glob("samples_*.py")):  # they add their rows to SAMPLES
    importlib.import_module(f"tests.ops.{_family.stem}")

rng = np.random.default_rng(0)


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def choice(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the compiled kernels need it")
    with mg.kernels.using(request.param):
        yield request.param


def same(found, expected, rtol=0.0):
    found, tree = mg.core.tree.flatten(found)
    expected, other = mg.core.tree.flatten(expected)
    assert tree.paths == other.paths
    for one, two in zip(found, expected):
        tolerance = rtol
        if mg.kernels.fast() is not None and np.asarray(two).dtype.kind in "fc":
            tolerance = max(rtol, 1000 * np.finfo(np.asarray(two).dtype).eps)
        if tolerance:
            np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(one, two)
        assert np.asarray(one).dtype == np.asarray(two).dtype
        assert np.shape(one) == np.shape(two)


# --- models -----------------------------------------------------------------------------------------------------------


# Eagerly, the rows of an embedding's gradient are added into that of the regularisation one by one.
ADDED_IN_ANOTHER_ORDER = NAMES[-4:]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAMES)
def test_every_model_trains_as_it_does_eagerly(name, dtype, choice):
    eager, X, y = make(name, dtype=dtype), *data_for(name)
    eager.reg = 0.1
    compiled = compile(copy.deepcopy(eager))
    config = {key: {"learning_rate": 0.1} for key in eager.params}
    exact = choice == "numpy" and name not in ADDED_IN_ANOTHER_ORDER
    rtol = 0.0 if exact else 1000 * np.finfo(dtype).eps
    for _ in range(4):
        results = eager.loss(X, y), compiled.loss(X, y)
        same(results[1], results[0], rtol=rtol)
        for key, w in eager.params.items():
            eager.params[key], config[key] = mg.optim.adam(w, results[0][1][key], config[key])
            compiled.params[key] = eager.params[key].copy()
        for key, value in eager.state.items():
            if key != "rng":
                same(compiled.state[key], value, rtol=rtol)
    if "Captioning" not in name:
        same(compiled.loss(X), eager.loss(X), rtol=rtol)
    assert len(compiled._step.programs) == 1


def test_a_solver_does_not_notice():
    data = {"X_train": (X := rng.standard_normal((60, 8))), "y_train": (y := (X[:, 0] > 0).astype(int))}
    data |= {"X_val": X[:25], "y_val": y[:25]}
    found = []
    for wrap in (lambda model: model, compile):
        model = mg.models.FullyConnectedNet([9, 7], 8, 2, dropout=0.8, normalization="batchnorm", seed=0)
        solver = mg.Solver(wrap(model), data, update_rule="adam", batch_size=10, num_epochs=3, verbose=False, seed=0)
        solver.train()
        found.append((solver.loss_history, solver.val_acc_history, solver.best_params, model.params))
    same(found[1], found[0])


def test_the_last_batch_may_be_smaller():
    model = compile(mg.models.TwoLayerNet(5, 4, 3, seed=0))
    for count in (6, 4, 6, 4):
        X, y = rng.standard_normal((count, 5)), rng.integers(0, 3, count)
        same(model.loss(X, y), model.model.loss(X, y))
    assert len(model._step.programs) == 2
    assert "captured 2 times" in model.report()


def test_parameters_may_be_rebound_and_written_into():
    model = compile(mg.models.TwoLayerNet(5, 4, 3, seed=0))
    X, y = rng.standard_normal((6, 5)), rng.integers(0, 3, 6)
    model.loss(X, y)
    model.params["W1"] = model.params["W1"] + 1
    same(model.loss(X, y), model.model.loss(X, y))
    model.params["W2"] *= 2
    same(model.loss(X, y), model.model.loss(X, y))
    assert model.params is model.model.params


def test_gradients_are_the_callers_own():
    model = compile(mg.models.FullyConnectedNet([4, 4], 5, 3, normalization="layernorm", seed=0))
    X, y = rng.standard_normal((6, 5)), rng.integers(0, 3, 6)
    _, first = model.loss(X, y)
    kept = copy.deepcopy(first)
    _, second = model.loss(X + 1, y)
    same(first, kept)
    for g in first.values():
        g[...] = np.nan
    same(model.loss(X, y)[1], kept)
    arrays = [*first.values(), *second.values(), *model.params.values(), X]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_running_statistics_and_masks():
    def net():
        layers = mg.nn.Affine(6, bias=False), mg.nn.BatchNorm(), mg.relu, mg.nn.Dropout(0.5), mg.nn.Affine(3)
        return mg.nn.Sequential(*layers).build(np.ones((1, 5)), seed=3)

    eager, compiled = net(), compile(net())
    for _ in range(5):
        X, y = rng.standard_normal((8, 5)), rng.integers(0, 3, 8)
        same(compiled.loss(X, y), eager.loss(X, y))
        same(compiled.loss(X), eager.loss(X))
    assert compiled.state["rng"].bit_generator.state == eager.state["rng"].bit_generator.state


def test_masks_from_the_global_state():
    def net():
        return mg.models.FullyConnectedNet([20], 5, 3, dropout=0.5)

    np.random.seed(0)
    eager = net()
    compiled = compile(copy.deepcopy(eager))
    X, y = rng.standard_normal((8, 5)), rng.integers(0, 3, 8)
    compiled.loss(X, y)
    for seed in range(3):
        np.random.seed(seed)
        expected = eager.loss(X, y)
        np.random.seed(seed)
        same(compiled.loss(X, y), expected)


def test_an_error_is_that_of_the_model_and_changes_nothing():
    def net():
        return mg.nn.Sequential(mg.nn.Affine(6), mg.nn.Dropout(0.5), mg.nn.Affine(3)).build(np.ones((1, 5)), seed=0)

    model, X = compile(net()), rng.standard_normal((4, 5))
    model.loss(X, np.array([0, 1, 2, 0]))
    state = copy.deepcopy(model.state)
    with pytest.raises(mg.DataError, match=r"label y\[3\] is 3"):
        model.loss(X, np.array([0, 1, 2, 3]))
    with pytest.raises(mg.ShapeError, match=r"affine in affine1: x \(4, 4\), w \(5, 6\)"):
        model.loss(X[:, :4], np.array([0, 1, 2, 0]))
    assert model.state["rng"].bit_generator.state == state["rng"].bit_generator.state
    model.params["affine1.W"][0, 0] = np.nan
    with pytest.raises(mg.NonFiniteError, match="affine1.W holds NaN"):
        model.loss(X, np.array([0, 1, 2, 0]))


def test_two_threads():
    model = compile(mg.models.FullyConnectedNet([30, 30], 20, 3, seed=0, normalization="layernorm"))
    batches = [(rng.standard_normal((16, 20)), rng.integers(0, 3, 16)) for _ in range(2)]
    expected = [model.loss(*batch) for batch in batches]
    same(expected, [model.model.loss(*batch) for batch in batches])
    wrong = []

    def run(number):
        for _ in range(200):
            value, grads = model.loss(*batches[number])
            if value != expected[number][0] or any((grads[k] != g).any() for k, g in expected[number][1].items()):
                wrong.append(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- functions --------------------------------------------------------------------------------------------------------

A, B, V = rng.standard_normal((4, 3)), rng.standard_normal((3, 4)), rng.standard_normal(3)

FUNCTIONS = {
    "chain": lambda a: np.tanh(np.exp(-a) * 2.0 + 1.0) - a,
    "its argument itself": lambda a: a,
    "a view of its argument": lambda a: (a.T, a[1:], a.reshape(-1)),
    "the same result twice": lambda a: (a * 2, a * 2, (a * 2).T),
    "a constant": lambda a: (np.ones(3), a + 1, 5.0),
    "reused buffers": lambda a, b: np.sum((a + 1) * (a + 2) - (a + 3) * (a + 4)) + np.sum(a @ b @ a),
    "views of buffers": lambda a, b: ((a * 2).T @ (a * 3) + (b * 2).T[:3, :3], np.sum((a * 5).T * (b + 1))),
    "views that live on": lambda a: [(a + 1)[i] * 2 for i in range(4)],
    "overwriting one's own transpose": lambda a, b: (a + 0.0) @ (b + 0.0) + ((a @ b) * 2).T,
    "reductions": lambda a: (np.sum(a, axis=0), np.max(a, axis=1, keepdims=True), np.mean(a), np.std(a)),
    "comparisons": lambda a: np.where(a > 0.5, a, -a) * (a < 1),
    "sorting": lambda a: (np.sort(a, axis=0), np.cumsum(a, axis=1), a[np.argsort(V)]),
    "assignment": lambda a, v: _assigned(a, v),
    "gradient": mg.value_and_grad(lambda a, v: np.sum(np.sin(a @ v) ** 2)),
    "gradient of two": mg.grad(lambda a, b: np.sum((a @ b) ** 2) + np.sum(a), (0, 1)),
    "hessian": mg.hessian(lambda v: np.sum(np.tanh(v) ** 3) * np.sum(v)),
    "jvp": lambda a, v: mg.jvp(lambda a: np.tanh(a @ v), (a,), (a,)),
    "containers": lambda a, b: {"product": a @ b, "parts": [a[0], (b[0],)]},
    "complex": lambda a: np.abs(np.fft.fft(a)) ** 2,
}
ARGUMENTS = {"a": A, "b": B, "v": V}


def _assigned(a, v):
    a = a * 1.0
    a[1] = v
    a[:, 0] += 2
    return a


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_functions(name, dtype):
    import inspect

    function = FUNCTIONS[name]
    names = [n for n in inspect.signature(function).parameters if n in ARGUMENTS]
    compiled = compile(function)
    for shift in (0.0, 1.0, 0.25):
        arguments = [(ARGUMENTS[n] + shift).astype(dtype) for n in names]
        kept = copy.deepcopy(arguments)
        expected = function(*arguments)
        found = compiled(*arguments)
        same(found, expected)
        same(arguments, kept)
        leaves = [leaf for leaf in mg.core.tree.flatten(found)[0] if isinstance(leaf, np.ndarray)]
        for number, leaf in enumerate(leaves):
            assert not any(np.shares_memory(leaf, other) for other in [*arguments, *leaves[:number]])
    assert len(compiled.programs) == 1


def test_a_branch_on_a_value_is_refused_with_its_line():
    def f(x):
        if np.sum(x) > 0:
            return x
        return -x

    with pytest.raises(mg.BranchError, match=r"bool.*\n  at .*test_compiled.py:\d+: if np.sum\(x\) > 0:"):
        compile(f)(A)


def test_what_is_no_array_is_part_of_the_signature():
    @compile
    def f(x, power, flip=False):
        return x**power if not flip else -(x**power)

    np.testing.assert_array_equal(f(A, 2), A**2)
    np.testing.assert_array_equal(f(A, 3), A**3)
    np.testing.assert_array_equal(f(A, 3, True), -(A**3))
    assert len(f.programs) == 3


def test_a_signature_that_changes_all_the_time():
    f = compile(lambda x: x + 1)
    for size in range(LIMIT):
        f(np.ones(size + 2))
    with pytest.raises(mg.OptionError, match=rf"captured for {LIMIT} signatures.*\({LIMIT},\) float64, then"):
        f(np.ones(100))
    np.testing.assert_array_equal(f(np.ones(5)), 2 * np.ones(5))


def test_a_compiled_function_can_be_differentiated():
    f = compile(lambda x: np.sum(np.tanh(x)))
    np.testing.assert_array_equal(mg.grad(f)(A), mg.grad(lambda x: np.sum(np.tanh(x)))(A))


def test_bad_targets():
    for target in (5, "model", mg.Model):
        with pytest.raises(mg.DTypeError, match="takes a model or a function"):
            compile(target)
    assert isinstance(compile(model := compile(mg.models.TwoLayerNet(4, 3, 2))), type(model))


def test_memory_is_let_go_and_used_again():
    def f(x):
        for _ in range(50):
            x = np.tanh(x) * 0.5 + 1.0
        return np.sum(x)

    compiled = compile(f)
    x = rng.standard_normal((100, 100))
    same(compiled(x), f(x))
    assert x.nbytes <= compiled.programs[0].buffer_bytes < 1.5 * x.nbytes  # the machine has some room to work in


def test_settings_of_the_model_may_change():
    model = compile(mg.models.FullyConnectedNet([6], 5, 3, dropout=0.9, seed=0))
    X, y = rng.standard_normal((6, 5)), rng.integers(0, 3, 6)
    without, _ = model.loss(X, y)
    model.reg, model.dropout = 10.0, 1.0
    same(model.loss(X, y), model.model.loss(X, y))
    model.objective = mg.svm_loss
    same(model.loss(X, y), model.model.loss(X, y))
    assert len(model._step.programs) == 3


def test_the_short_way_notices_another_parameter():
    model = compile(mg.models.TwoLayerNet(5, 4, 3, seed=0))
    X, y = rng.standard_normal((6, 5)), rng.integers(0, 3, 6)
    model.loss(X, y)
    model.params = {name: w.astype(np.float32) for name, w in model.params.items()}
    same(model.loss(X, y), model.model.loss(X, y))
    model.params = {"W1": np.ones((5, 2)), "b1": np.ones(2), "W2": np.ones((2, 3)), "b2": np.ones(3)}
    same(model.loss(X, y), model.model.loss(X, y))
    model.params["W1"] = np.ones((5, 3))
    with pytest.raises(mg.ShapeError, match="had shape"):
        model.loss(X, y)


def test_another_number_with_the_same_value_is_another_signature():
    f = compile(lambda x, c: x * c)
    for c in (0.0, -0.0, 0, False, 1.0, True):
        found, expected = f(A, c), A * c
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
    for _ in range(3):
        assert np.isnan(f(A, float("nan"))).all()
    assert len(f.programs) == 7


class _Scale:
    """An object without a hash, which a program holds what it read of."""

    __hash__ = None

    def __init__(self, factor):
        self.factor = factor


def test_objects_come_and_go():
    """One object may lie where another did that is gone."""
    scaled, parted = compile(lambda x, scale: x * scale.factor), compile(lambda x, part: x * part.start + part.stop)
    for number in range(8):
        same(scaled(A, _Scale(number)), A * number)
        same(parted(A, slice(number, 2 * number)), A * number + 2 * number)


def test_growth():
    """Neither programs nor runs of them keep anything: 10,000 steps take no more memory than 1,000."""
    model = compile(mg.models.FullyConnectedNet([6], 5, 3, normalization="batchnorm", dropout=0.9, seed=0))
    X, y = rng.standard_normal((4, 5)), rng.integers(0, 3, 4)

    def steps(count):
        for _ in range(count):
            model.loss(X, y)
        gc.collect()

    steps(100)
    tracemalloc.start()
    try:
        steps(100)
        before, _ = tracemalloc.get_traced_memory()
        steps(300)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4000
    resident = _resident()
    steps(10_000)
    assert _resident() - resident < 4 << 20
    assert len(model._step.programs) == 1
    assert model._step.programs[0].calls == 10_500
    assert len(model._step.programs[0]._idle) == 1


def _resident():
    """Bytes of memory that this process takes, where the system says so."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 if status.exists() else 0


def test_an_exception_in_the_midst_of_a_run():
    """The next run is as if it had not been, in the same buffers."""
    fail = []

    @mg.primitive
    def failing_for_a_test(x):
        if fail:
            raise fail.pop()
        return x + 0.0

    failing_for_a_test.vjp(x=lambda g: g)
    try:
        f = compile(lambda x: np.sum(np.tanh(failing_for_a_test(np.exp(-x) * 2 + x)) * x) + x)
        expected = f(A)
        for error in (ValueError("no"), KeyboardInterrupt()):
            fail.append(error)
            with pytest.raises(type(error)):
                f(A + 1)
            same(f(A), expected)
        assert len(f.programs[0]._idle) == 1
    finally:
        mg.ops.REGISTRY.pop("failing_for_a_test", None)


def test_generators_after_an_exception():
    def net():
        return mg.nn.Sequential(mg.nn.Dropout(0.5), mg.nn.Affine(6), mg.nn.Dropout(0.5)).build(np.ones((1, 5)), seed=0)

    eager, model = net(), compile(net())
    X, y = rng.standard_normal((4, 5)), np.array([0, 1, 2, 0])
    for labels in (y, y + 9, y, y + 9, y):
        if labels is y:
            same(model.loss(X, y), eager.loss(X, y))
        else:
            for each in (eager, model):
                with pytest.raises(mg.DataError):
                    each.loss(X, labels)
        assert model.state["rng"].bit_generator.state == eager.state["rng"].bit_generator.state


def test_threads_run_one_function_at_once():
    """Of large arrays too, whose chains are shared between threads themselves."""
    f = compile(mg.value_and_grad(lambda x, w: np.sum(np.tanh(x @ w) * np.exp(-x) + x)))
    inputs = [(rng.standard_normal((300, 300)), rng.standard_normal((300, 300)) / 20) for _ in range(3)]
    expected = [f(*each) for each in inputs]
    wrong = []

    def work(number):
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            value, slope = f(*inputs[number])
            if abs(value - expected[number][0]) > 1e-6 or not np.allclose(slope, expected[number][1]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(f.programs) == 1


def test_kernels_may_be_chosen_again(choice):
    f = compile(lambda x: np.tanh(np.exp(-x) * 2) + x)
    expected = f(A)
    other = "numpy" if choice == "numba" else "auto"
    with mg.kernels.using(other):
        np.testing.assert_allclose(f(A), expected, rtol=1e-14)
    same(f(A), expected)


# --- every op ---------------------------------------------------------------------------------------------------------


def _weighted(sample, places):
    """A number, and its gradient, from an op's results."""

    def loss(*floats):
        given = dict(zip(places, floats))
        out = sample.run(*(given.get(place, x) for place, x in enumerate(sample.args)))
        parts = mg.core.tree.flatten(out)[0]
        return sum(np.sum(np.cos(np.arange(part.size).reshape(part.shape)) * part) for part in parts)

    return mg.value_and_grad(loss, tuple(range(len(places))))


def _samples():
    return [s for s in SAMPLES if s.op in mg.ops.REGISTRY]


@pytest.mark.parametrize("sample", _samples(), ids=[s.id for s in _samples()])
def test_every_op(sample):
    places = [place for place, x in enumerate(sample.args) if is_float_array(x)]
    floats = [np.array(sample.args[place]) for place in places]

    def run(*floats):
        given = dict(zip(places, floats))
        return sample.run(*(given.get(place, x) for place, x in enumerate(sample.args)))

    functions = [run]
    if sample.primitive.differentiable and floats:
        functions.append(_weighted(sample, places))
    for function in functions:
        expected = function(*floats)
        compiled = compile(function)
        try:
            compiled(*(x * 0.99 for x in floats))
        except (mg.BranchError, mg.OptionError):
            continue
        # Channels last: eagerly, the arrays between keep that order, and sums are taken in it; buffers do not.
        same(compiled(*floats), expected, rtol=1e-13 if "channels last" in sample.id else 0.0)


def test_arguments_by_name():
    def f(x, scale, flip=False):
        return x * scale if flip else x + scale

    compiled, x = compile(f), rng.standard_normal(3)
    np.testing.assert_array_equal(compiled(x, scale=2.0, flip=True), x * 2)
    np.testing.assert_array_equal(compiled(x, flip=False, scale=2.0), x + 2)
    with pytest.raises(TypeError, match="scale"):
        compiled(x, scael=2.0)

    def g(x, *, scale):
        return x * scale

    with pytest.raises(mg.OptionError, match="scale by keyword only"):
        compile(g)(x, scale=2.0)
