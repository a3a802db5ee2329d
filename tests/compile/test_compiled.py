"""A compiled program gives what the function itself gives, bit for bit, and keeps the Solver API."""

import copy
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.compile.compiled import LIMIT, compile
from tests.models.test_models import NAMES, data_for, make

rng = np.random.default_rng(0)


def same(found, expected, rtol=0.0):
    found, tree = mg.core.tree.flatten(found)
    expected, other = mg.core.tree.flatten(expected)
    assert tree.paths == other.paths
    for one, two in zip(found, expected):
        if rtol:
            np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol)
        else:
            np.testing.assert_array_equal(one, two)
        assert np.asarray(one).dtype == np.asarray(two).dtype
        assert np.shape(one) == np.shape(two)


# --- models -----------------------------------------------------------------------------------------------------------


# Eagerly, the rows of an embedding's gradient are added into that of the regularisation one by one.
ADDED_IN_ANOTHER_ORDER = NAMES[-4:]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAMES)
def test_every_model_trains_to_the_same_bits(name, dtype):
    eager, X, y = make(name, dtype=dtype), *data_for(name)
    eager.reg = 0.1
    compiled = compile(copy.deepcopy(eager))
    configs = (
        {key: {"learning_rate": 0.1} for key in eager.params},
        {key: {"learning_rate": 0.1} for key in eager.params},
    )
    rtol = 1000 * np.finfo(dtype).eps if name in ADDED_IN_ANOTHER_ORDER else 0.0
    for _ in range(4):
        results = eager.loss(X, y), compiled.loss(X, y)
        same(results[1], results[0], rtol=rtol)
        for model, config, (_, grads) in zip((eager, compiled), configs, results):
            for key, w in model.params.items():
                model.params[key], config[key] = mg.optim.adam(w, grads[key], config[key])
        for key, value in eager.state.items():
            if key != "rng":
                np.testing.assert_array_equal(compiled.state[key], value)
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
    expected = [model.model.loss(*batch) for batch in batches]
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
    assert compiled(x) == f(x)
    assert compiled.programs[0].buffer_bytes == x.nbytes


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
