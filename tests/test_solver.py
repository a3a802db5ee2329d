"""The Solver: the published behaviour to the last bit, what goes beyond it, and what it says about misuse."""

import ast
import inspect
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import optim, solver
from minigrad.core.errors import (
    DataError,
    DTypeError,
    MinigradError,
    NonFiniteError,
    OptionError,
    ParameterError,
    ShapeError,
)
from minigrad.solver import Solver
from tests import published

RULES = sorted(optim.RULES)
RATES = {"sgd": 0.5, "sgd_momentum": 0.1, "rmsprop": 0.02, "adam": 0.02}


class TwoLayerNet:
    """affine, relu, affine, softmax, differentiated by hand. It can count its training calls in a state."""

    def __init__(self, inputs=6, hidden=8, classes=3, dtype=np.float64, state=False):
        rng = np.random.default_rng(0)
        self.params = {
            "W1": (0.5 * rng.standard_normal((inputs, hidden))).astype(dtype),
            "b1": np.zeros(hidden, dtype),
            "W2": (0.5 * rng.standard_normal((hidden, classes))).astype(dtype),
            "b2": np.zeros(classes, dtype),
        }
        if state:
            self.state = {"calls": np.zeros(1), "last": []}

    def loss(self, X, y=None):
        hidden = np.maximum(0, X @ self.params["W1"] + self.params["b1"])
        scores = hidden @ self.params["W2"] + self.params["b2"]
        if y is None:
            return scores
        if hasattr(self, "state"):
            self.state["calls"] += 1
            self.state["last"].append(float(X[0, 0]))
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities = shifted / shifted.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        loss = -np.log(probabilities[rows, y]).mean()
        d_scores = probabilities
        d_scores[rows, y] -= 1
        d_scores /= len(y)
        d_hidden = (d_scores @ self.params["W2"].T) * (hidden > 0)
        return loss, {
            "W1": X.T @ d_hidden,
            "b1": d_hidden.sum(axis=0),
            "W2": hidden.T @ d_scores,
            "b2": d_scores.sum(axis=0),
        }


def make_data(num_train=90, num_val=40, inputs=6, classes=3, dtype=np.float64):
    """Noisy blobs: learnable, and not to the end, so that accuracies go up and down."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((classes, inputs))
    data = {}
    for split, size in (("train", num_train), ("val", num_val)):
        y = rng.integers(classes, size=size)
        data[f"X_{split}"] = (centres[y] + 1.2 * rng.standard_normal((size, inputs))).astype(dtype)
        data[f"y_{split}"] = y
    return data


def make_solver(model=None, data=None, **options):
    options = {"verbose": False, **options}
    return Solver(TwoLayerNet() if model is None else model, make_data() if data is None else data, **options)


def snapshot(params):
    return {name: w.copy() for name, w in params.items()}


def assert_same_params(a, b):
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].tobytes() == b[name].tobytes(), name


def assert_same_run(ours, theirs):
    """Equal histories, parameters and configurations, to the last bit."""
    for name in ("loss_history", "train_acc_history", "val_acc_history", "epoch", "best_val_acc"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert_same_params(ours.best_params, theirs.best_params)
    assert_same_params(ours.model.params, theirs.model.params)
    assert ours.optim_configs.keys() == theirs.optim_configs.keys()
    for name, config in ours.optim_configs.items():
        assert config.keys() == theirs.optim_configs[name].keys()
        for key, value in config.items():
            assert np.array_equal(value, theirs.optim_configs[name][key])


# The published behaviour.


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rule", RULES)
def test_a_run_has_the_published_bits(rule, dtype, capsys):
    options = {
        "update_rule": rule,
        "optim_config": {"learning_rate": RATES[rule]},
        "lr_decay": 0.93,
        "batch_size": 13,
        "num_epochs": 5,
        "num_train_samples": 31,
        "num_val_samples": 17,
        "print_every": 3,
    }
    runs = []
    for kind in (Solver, published.Solver):
        np.random.seed(7)
        run = kind(TwoLayerNet(dtype=dtype), make_data(dtype=dtype), **options)
        run.train()
        runs.append((run, capsys.readouterr().out, np.random.random()))
    (ours, our_text, our_next), (theirs, their_text, their_next) = runs
    assert_same_run(ours, theirs)
    assert our_text == their_text
    assert our_next == their_next, "the global state was drawn from equally often"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 1, "num_epochs": 1},
        {"batch_size": 500, "num_epochs": 3},
        {"batch_size": 89, "num_epochs": 3, "num_train_samples": None},
        {"num_train_samples": 1, "num_val_samples": 1},
        {"num_train_samples": 90, "num_val_samples": 1000},
        {"print_every": 1, "optim_config": {}},
        {"update_rule": "adam", "optim_config": {"beta1": 0.5, "epsilon": 1e-3}, "lr_decay": 0.5},
    ],
)
def test_other_options_have_the_published_bits(options, capsys):
    runs = []
    for kind in (Solver, published.Solver):
        np.random.seed(3)
        run = kind(TwoLayerNet(), make_data(), **options)
        run.train()
        runs.append((run, capsys.readouterr().out))
    assert_same_run(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]


@pytest.mark.parametrize("rule", RULES)
def test_training_twice_has_the_published_histories(rule):
    runs = []
    for kind in (Solver, published.Solver):
        np.random.seed(5)
        run = kind(TwoLayerNet(), make_data(), update_rule=rule, batch_size=20, num_epochs=3, verbose=False)
        run.train()
        run.train()
        runs.append(run)
    assert runs[0].loss_history == runs[1].loss_history
    assert runs[0].val_acc_history == runs[1].val_acc_history
    assert runs[0].epoch == runs[1].epoch == 6


def test_printed_lines(capsys, tmp_path):
    np.random.seed(0)
    name = tmp_path / "net"
    Solver(TwoLayerNet(), make_data(), batch_size=45, num_epochs=1, print_every=2, checkpoint_name=str(name)).train()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("(Iteration 1 / 2) loss: ") and len(lines[0].split(".")[1]) == 6
    assert lines[1] == f'Saving checkpoint to "{name}_epoch_0.pkl"'
    assert lines[2].startswith("(Epoch 0 / 1) train acc: 0.") and "; val_acc: 0." in lines[2]
    assert lines[3] == f'Saving checkpoint to "{name}_epoch_1.pkl"'
    assert lines[4].startswith("(Epoch 1 / 1) train acc: ")
    assert len(lines) == 5


def test_attributes_and_defaults():
    data = make_data()
    made = Solver(TwoLayerNet(), data)
    for name, default in published.DEFAULTS.items():
        if name != "update_rule":
            assert getattr(made, name) == default, name
    assert made.update_rule is optim.sgd
    assert all(getattr(made, name) is data[name] for name in data)
    assert (made.epoch, made.best_val_acc, made.best_params) == (0, 0, {})
    assert made.loss_history == made.train_acc_history == made.val_acc_history == []
    assert set(made.optim_configs) == set(made.model.params)


def test_the_signature_shows_every_argument():
    parameters = inspect.signature(Solver).parameters
    assert set(published.DEFAULTS) <= set(parameters)
    for name, default in published.DEFAULTS.items():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == (None if name == "optim_config" else default)


@pytest.mark.parametrize("num_samples, batch_size", [(None, 100), (None, 7), (12, 5), (90, 100), (1, 1)])
def test_check_accuracy_is_the_published_one(num_samples, batch_size):
    data = make_data()
    accuracies = []
    for kind in (Solver, published.Solver):
        run = kind(TwoLayerNet(), data)
        np.random.seed(2)
        accuracies.append(run.check_accuracy(data["X_train"], data["y_train"], num_samples, batch_size=batch_size))
    assert accuracies[0] == accuracies[1]


def test_check_accuracy_names_what_is_wrong():
    made = make_solver()
    X, y = made.X_val, made.y_val
    with pytest.raises(ShapeError, match=r"^X has shape \(40, 6\) and y has shape \(39,\); first sizes must be equal"):
        made.check_accuracy(X, y[:-1])
    with pytest.raises(DataError, match="^X and y hold no samples"):
        made.check_accuracy(X[:0], y[:0])
    with pytest.raises(OptionError, match="^batch_size must be a whole number, 1 or more; got 0"):
        made.check_accuracy(X, y, batch_size=0)
    with pytest.raises(OptionError, match="^num_samples must be a whole number, 1 or more; got 0"):
        made.check_accuracy(X, y, num_samples=0)


def test_the_solver_knows_nothing_of_the_tape():
    imported = set()
    for node in ast.walk(ast.parse(Path(solver.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("minigrad"):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert {name.rpartition(".")[0] for name in imported} == {"minigrad", "minigrad.core.errors", "minigrad.flat"}


# Beyond it: seeds, callables, best state, and runs that are cut short.


def test_a_seed_makes_runs_equal_whatever_else_draws():
    first, second = (make_solver(seed=11, batch_size=20, num_epochs=3, num_val_samples=9) for _ in range(2))
    np.random.seed(0)
    first.train()
    np.random.seed(1)
    original = second._step

    def step_amid_other_draws():
        np.random.random(3)
        original()

    second._step = step_amid_other_draws
    second.train()
    assert_same_run(first, second)
    other = make_solver(seed=12, batch_size=20, num_epochs=3, num_val_samples=9)
    other.train()
    assert other.loss_history != first.loss_history


def test_a_seed_leaves_the_global_state_alone():
    np.random.seed(4)
    expected = np.random.random(2)
    np.random.seed(4)
    made = make_solver(seed=0, num_epochs=2)
    first = np.random.random()
    made.train()
    assert [first, np.random.random()] == expected.tolist()


def test_a_generator_as_seed_is_copied():
    generator = np.random.default_rng(8)
    first, second = make_solver(seed=generator, num_epochs=2), make_solver(seed=generator, num_epochs=2)
    generator.random(5)
    first.train()
    second.train()
    assert_same_run(first, second)


def test_reset_starts_the_seed_anew():
    made = make_solver(seed=5, num_epochs=2)
    start = snapshot(made.model.params)
    made.train()
    losses = made.loss_history
    made.model.params = start
    made._reset()
    made.train()
    assert made.loss_history == losses


def test_an_update_rule_may_be_a_function():
    def plain(w, dw, config):
        return w - config["learning_rate"] * dw, config

    by_name = make_solver(seed=0, optim_config={"learning_rate": 0.1}, lr_decay=0.9)
    by_function = make_solver(seed=0, update_rule=plain, optim_config={"learning_rate": 0.1}, lr_decay=0.9)
    by_name.train()
    by_function.train()
    assert by_function.update_rule is plain
    assert_same_run(by_name, by_function)


def test_a_function_that_returns_the_wrong_thing():
    made = make_solver(update_rule=lambda w, dw, config: w - dw)
    before = snapshot(made.model.params)
    with pytest.raises(OptionError, match=r"must return \(next_w, config\); it gave ndarray of shape \(6, 8\)\.$"):
        made.train()
    assert_same_params(made.model.params, before)
    made = make_solver(update_rule=lambda w, dw, config: (w.sum(), config))
    with pytest.raises(ShapeError, match=r'^The update rule turned "W1" of shape \(6, 8\) into float64 of shape \(\)'):
        made.train()


def test_lr_decay_without_a_learning_rate():
    def restless(w, dw, config):
        return w - 0.1 * dw, config

    make_solver(update_rule=restless, num_epochs=1).train()
    with pytest.raises(OptionError, match=r"^lr_decay=0\.5 has nothing to act on"):
        make_solver(update_rule=restless, num_epochs=1, lr_decay=0.5).train()


def test_the_given_optim_config_is_never_modified():
    def listing(w, dw, config):
        config["seen"].append(1)
        return w, config

    given = {"seen": []}
    made = make_solver(update_rule=listing, optim_config=given, num_epochs=1)
    made.train()
    assert given == {"seen": []} and made.optim_config == {"seen": []}
    assert [len(config["seen"]) for config in made.optim_configs.values()] == [1] * 4, "and nothing is shared"
    given = {"learning_rate": 0.1}
    make_solver(update_rule="adam", optim_config=given, lr_decay=0.5).train()
    assert given == {"learning_rate": 0.1}


def test_the_best_state_travels_with_the_best_parameters():
    np.random.seed(7)
    made = make_solver(TwoLayerNet(state=True), batch_size=13, num_epochs=5, optim_config={"learning_rate": 0.5})
    made.train()
    best = int(np.argmax(made.val_acc_history))
    steps = 1 if best == 0 else best * (90 // 13)
    assert steps < len(made.loss_history)
    assert made.best_state["calls"] == made.model.state["calls"] == steps
    assert len(made.model.state["last"]) == steps, "copied deeply"
    assert made.model.state is not made.best_state
    made.model.state["last"].clear()
    assert len(made.best_state["last"]) == steps


def test_a_model_without_state_has_no_best_state():
    made = make_solver(num_epochs=1)
    made.train()
    assert made.best_state is None and not hasattr(made.model, "state")


def test_a_model_that_gets_nothing_right_keeps_its_last_parameters():
    data = make_data()
    model = TwoLayerNet(classes=4, state=True)
    model.params["b2"][3] = 30  # class 3 always wins, and no sample is of class 3
    made = make_solver(model, data, num_epochs=2, batch_size=30, optim_config={"learning_rate": 1e-3})
    steps = []
    original = made._step
    made._step = lambda: (original(), steps.append(snapshot(model.params)))
    made.train()
    assert made.val_acc_history == [0.0] * 3 and made.best_val_acc == 0
    assert_same_params(model.params, steps[-1])
    assert_same_params(made.best_params, steps[-1])
    assert made.best_params["W1"] is not model.params["W1"]
    assert made.best_state["calls"] == 6
    made.train()
    assert_same_params(model.params, steps[-1])
    assert len(steps) == 12


def test_no_epochs_leave_the_model_alone(capsys):
    made = make_solver(num_epochs=0, verbose=True)
    params, before = made.model.params, snapshot(made.model.params)
    made.train()
    assert made.model.params is params
    assert_same_params(params, before)
    assert capsys.readouterr().out == ""


def test_training_on_never_writes_into_the_best():
    made = make_solver(TwoLayerNet(state=True), seed=0, num_epochs=4, update_rule="sgd")
    made.train()
    assert_same_params(made.model.params, made.best_params)
    best, calls = snapshot(made.best_params), made.best_state["calls"].copy()
    made._step()
    assert made.model.params["W1"].tobytes() != best["W1"].tobytes()
    assert_same_params(made.best_params, best)
    assert made.best_state["calls"] == calls


class Interrupted(TwoLayerNet):
    """Fails at the given training call."""

    def __init__(self, at, error):
        super().__init__()
        self.at, self.error, self.calls = at, error, 0

    def loss(self, X, y=None):
        if y is not None:
            self.calls += 1
            if self.calls == self.at:
                raise self.error
        return super().loss(X, y)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no more memory")])
def test_an_interrupted_run_loses_nothing(error):
    options = {"seed": 0, "batch_size": 30, "num_epochs": 4, "update_rule": "adam"}
    whole = make_solver(**options)
    made = make_solver(Interrupted(8, error), **options)
    with pytest.raises(type(error)):
        made.train()
    whole.num_epochs = 2
    for _ in range(7):
        whole._step()
    assert made.loss_history == whole.loss_history and len(made.loss_history) == 7
    assert_same_params(made.model.params, whole.model.params)
    assert made.epoch == 2 and len(made.val_acc_history) == 3
    assert made.best_params.keys() == made.model.params.keys()
    made.train()
    assert len(made.loss_history) == 7 + 12


def test_parameters_change_together_or_not_at_all():
    def failing(w, dw, config):
        if w.shape == (3,) and config.get("t", 0) == 2:
            raise KeyboardInterrupt
        return optim.adam(w, dw, config)

    made = make_solver(update_rule=failing, batch_size=30)
    before = None
    with pytest.raises(KeyboardInterrupt):
        for _ in range(3):
            before = snapshot(made.model.params)
            made._step()
    assert_same_params(made.model.params, before)


# Looking on.


def test_on_epoch_is_called_after_every_measurement():
    seen = []

    def look(solver):
        seen.append((solver.epoch, len(solver.loss_history), len(solver.train_acc_history)))
        assert len(solver.val_acc_history) == len(seen)
        assert solver.best_val_acc == max(solver.val_acc_history)
        assert solver.check_accuracy(solver.X_val, solver.y_val) == solver.val_acc_history[-1]

    made = make_solver(batch_size=30, num_epochs=3, on_epoch=look)
    made.train()
    assert seen == [(0, 1, 1), (1, 3, 2), (2, 6, 3), (3, 9, 4)]
    made.num_epochs = 1
    made.train()
    assert seen[4:] == [(3, 10, 5), (4, 12, 6)]
    seen.clear()
    make_solver(batch_size=90, num_epochs=2, on_epoch=look).train()
    assert seen == [(1, 1, 1), (2, 2, 2)], "the first step is the first epoch"
    seen.clear()
    make_solver(num_epochs=0, on_epoch=look).train()
    assert seen == []


@pytest.mark.parametrize("seed", [None, 3])
def test_on_epoch_leaves_the_bits_of_training_alone(seed, tmp_path):
    def look(solver):
        np.random.seed(solver.epoch)
        np.random.random(5)
        solver.check_accuracy(solver.X_val, solver.y_val)

    runs = []
    for on_epoch in (None, look):
        np.random.seed(11)
        name = tmp_path / f"{on_epoch is None}"
        run = make_solver(seed=seed, batch_size=20, num_epochs=3, on_epoch=on_epoch, checkpoint_name=name)
        run.train()
        runs.append((run, np.random.random(), pickle.loads(Path(f"{name}_epoch_3.pkl").read_bytes())))
    (plain, plain_next, plain_checkpoint), (looked, looked_next, looked_checkpoint) = runs
    assert_same_run(looked, plain)
    assert looked_next == plain_next
    assert list(looked_checkpoint) == list(plain_checkpoint)


def test_drawing_in_on_epoch_leaves_training_alone():
    data = make_data()
    drawings, runs = [], []

    def draw(solver):
        drawings.append(mg.draw(solver.model, data["X_train"][:8], data["y_train"][:8], color="grad"))

    for on_epoch in (None, draw):
        model = mg.models.FullyConnectedNet(
            [7, 7], input_dim=6, num_classes=3, dropout=0.8, normalization="batchnorm", weight_scale=0.3, seed=2
        )
        runs.append(make_solver(model, data, seed=0, batch_size=30, num_epochs=2, on_epoch=on_epoch))
        runs[-1].train()
    assert_same_run(runs[1], runs[0])
    sizes = [{parameter.name: parameter.gradient.rms for parameter in drawing.view.parameters} for drawing in drawings]
    assert len(sizes) == 3
    assert all(size["W1"] > 0 for size in sizes)
    assert len({size["W1"] for size in sizes}) == 3, "each of the parameters of its epoch"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("no space left")])
def test_an_exception_in_on_epoch_loses_nothing(error):
    def look(solver):
        if solver.epoch == 2:
            raise error

    options = {"seed": 0, "batch_size": 30, "num_epochs": 2, "update_rule": "adam"}
    whole, made = make_solver(**options), make_solver(on_epoch=look, **{**options, "num_epochs": 4})
    start = np.random.get_state()[1].copy()
    with pytest.raises(type(error)):
        made.train()
    assert np.array_equal(np.random.get_state()[1], start)
    whole.train()
    assert made.model.params.keys() == whole.model.params.keys()
    for name in ("loss_history", "train_acc_history", "val_acc_history", "epoch", "best_val_acc"):
        assert getattr(made, name) == getattr(whole, name), name
    assert_same_params(made.best_params, whole.best_params)
    made.on_epoch = None
    made.train()
    assert len(made.loss_history) == 6 + 12


# Checkpoints.


def test_checkpoints_are_the_published_ones(tmp_path):
    runs = {}
    for kind, name in ((Solver, "ours"), (published.Solver, "theirs")):
        np.random.seed(9)
        options = {"batch_size": 30, "num_epochs": 2, "update_rule": "adam", "verbose": False}
        kind(TwoLayerNet(), make_data(), checkpoint_name=tmp_path / name, **options).train()
        files = sorted(tmp_path.glob(f"{name}*"))
        assert [file.name for file in files] == [f"{name}_epoch_{epoch}.pkl" for epoch in range(3)]
        runs[name] = [pickle.loads(file.read_bytes()) for file in files]
    for ours, theirs in zip(runs["ours"], runs["theirs"], strict=True):
        assert list(ours) == list(theirs)
        assert ours.pop("update_rule") is optim.adam and theirs.pop("update_rule") is published.adam
        assert_same_params(ours.pop("model").params, theirs.pop("model").params)
        assert ours == theirs
    assert list(tmp_path.glob("*.tmp")) == []


@pytest.mark.parametrize("failing", ["dump", "replace"])
def test_a_checkpoint_that_fails_leaves_the_older_file_whole(tmp_path, monkeypatch, failing):
    made = make_solver(checkpoint_name=tmp_path / "net", num_epochs=1)
    made._save_checkpoint()
    file = tmp_path / "net_epoch_0.pkl"
    before = file.read_bytes()

    def half_a_dump(value, file):
        file.write(b"half")
        raise OSError("disk full")

    def no_replace(source, target):
        raise OSError("disk full")

    if failing == "dump":
        monkeypatch.setattr(pickle, "dump", half_a_dump)
    else:
        monkeypatch.setattr(os, "replace", no_replace)
    made._step()
    with pytest.raises(OSError, match="disk full"):
        made._save_checkpoint()
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["net_epoch_0.pkl"]


# What a model may get wrong.


class Returning(TwoLayerNet):
    """Passes what its training call returns through a function."""

    def __init__(self, change, after=0):
        super().__init__()
        self.change, self.after = change, after

    def loss(self, X, y=None):
        result = super().loss(X, y)
        if y is None:
            return result
        self.after -= 1
        return result if self.after >= 0 else self.change(*result)


def without(grads, name):
    return {key: value for key, value in grads.items() if key != name}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "change, error, text",
    [
        (
            lambda loss, grads: (loss, without(grads, "b2")),
            ParameterError,
            'model.loss gave no gradient for "b2"; gradients came for: W1, b1, W2. A parameter that the loss does not '
            "reach has a gradient of zeros.",
        ),
        (
            lambda loss, grads: (loss, {}),
            ParameterError,
            'model.loss gave no gradient for "W1", "b1", "W2", "b2"; gradients came for: none. A parameter that the '
            "loss does not reach has a gradient of zeros.",
        ),
        (
            lambda loss, grads: (loss, {**without(grads, "W2"), "W_2": grads["W2"]}),
            ParameterError,
            'model.loss gave a gradient for "W_2", which model.params does not have; did you mean "W2"? '
            "The parameters are: W1, b1, W2, b2.",
        ),
        (
            lambda loss, grads: (loss, {**grads, "gamma": grads["b1"]}),
            ParameterError,
            'model.loss gave a gradient for "gamma", which model.params does not have. '
            "The parameters are: W1, b1, W2, b2.",
        ),
        (
            lambda loss, grads: (loss, {**grads, "b2": grads["b2"][None]}),
            ShapeError,
            'The gradient of "b2" is ndarray of shape (1, 3), and the parameter has shape (3,); the two must be equal. '
            "Was a sum over the batch left out, or a transpose?",
        ),
        (
            lambda loss, grads: (loss, {**grads, "b2": None}),
            ShapeError,
            'The gradient of "b2" is NoneType, and the parameter has shape (3,); the two must be equal. '
            "Was a sum over the batch left out, or a transpose?",
        ),
        (
            lambda loss, grads: (np.full(3, loss), grads),
            ShapeError,
            "The loss must be one number; got ndarray of shape (3,). Was the mean over the batch left out?",
        ),
        (
            lambda loss, grads: loss,
            ParameterError,
            "model.loss(X, y) must return (loss, grads), a number and a dict with the keys of model.params; "
            "got float64 of shape ().",
        ),
        (
            lambda loss, grads: (grads, loss),
            ParameterError,
            "model.loss(X, y) must return (loss, grads), a number and a dict with the keys of model.params; "
            "got (dict, float64).",
        ),
    ],
)
def test_what_a_model_returns_is_checked_before_anything_changes(rule, change, error, text):
    made = make_solver(Returning(change, after=2), update_rule=rule)
    before = None
    with pytest.raises(error) as caught:
        for _ in range(3):
            before, configs = snapshot(made.model.params), {name: dict(c) for name, c in made.optim_configs.items()}
            made._step()
    assert str(caught.value) == text
    assert isinstance(caught.value, ValueError)
    assert len(made.loss_history) == 2
    assert_same_params(made.model.params, before)
    assert all(made.optim_configs[name].keys() == configs[name].keys() for name in configs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float32("nan"), np.array(np.nan)])
def test_a_loss_that_is_not_finite_stops_before_the_step(value):
    made = make_solver(Returning(lambda loss, grads: (value, grads), after=7), batch_size=30, lr_decay=0.5)
    with pytest.raises(NonFiniteError) as caught:
        made.train()
    text = f"The loss is {value} at iteration 8, in epoch 3, with learning rate 0.0025. This step has changed no"
    assert str(caught.value).startswith(text)
    assert "Lower the learning rate" in str(caught.value) and "check the data" in str(caught.value)
    assert isinstance(caught.value, FloatingPointError) and isinstance(caught.value, MinigradError)
    assert len(made.loss_history) == 7 and np.isfinite(made.loss_history).all()
    assert len(made.val_acc_history) == 3
    assert all(np.isfinite(w).all() for w in made.model.params.values())


def test_a_loss_that_is_not_finite_at_the_first_step_names_the_default_rate():
    made = make_solver(Returning(lambda loss, grads: (np.nan, grads)), update_rule="adam")
    with pytest.raises(NonFiniteError, match="at iteration 1, in epoch 1, with learning rate 0.001"):
        made.train()


def test_parameters_added_after_construction():
    made = make_solver()
    made.model.params["b3"] = np.zeros(2)
    made.model.loss = lambda X, y: (0.0, {name: np.zeros_like(w) for name, w in made.model.params.items()})
    with pytest.raises(ParameterError, match='^model.params has gained "b3" since the Solver was made'):
        made._step()


class NoLoss:
    params = {"W": np.ones(2)}


class NoParams:
    def loss(self, X, y=None):
        return X


class BadParams(TwoLayerNet):
    def __init__(self, params):
        super().__init__()
        self.params = params


@pytest.mark.parametrize(
    "model, error, text",
    [
        (
            NoLoss(),
            ParameterError,
            "NoLoss has no method loss: the Solver calls model.loss(X) for scores and model.loss(X, y) "
            "for (loss, grads).",
        ),
        (
            NoParams(),
            ParameterError,
            "NoParams.params must be a dict of parameter names and float arrays; got NoneType.",
        ),
        (
            BadParams({}),
            ParameterError,
            "BadParams.params must be a dict of parameter names and float arrays; got an empty dict.",
        ),
        (
            BadParams([1.0]),
            ParameterError,
            "BadParams.params must be a dict of parameter names and float arrays; got list.",
        ),
        (
            BadParams({"W1": np.ones(2, int)}),
            DTypeError,
            f'model.params["W1"] must be an array of floating-point numbers; got dtype {np.dtype(int)}. '
            "Use np.asarray(value, dtype=np.float64).",
        ),
        (
            BadParams({"W1": [1.0]}),
            DTypeError,
            'model.params["W1"] must be an array of floating-point numbers; got list. '
            "Use np.asarray(value, dtype=np.float64).",
        ),
    ],
)
def test_models_that_cannot_be_trained(model, error, text):
    with pytest.raises(error) as caught:
        make_solver(model)
    assert str(caught.value) == text


# Options.

TAKES = (
    "The Solver takes: update_rule, optim_config, lr_decay, batch_size, num_epochs, num_train_samples, "
    "num_val_samples, checkpoint_name, print_every, verbose, seed, on_epoch."
)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"bach_size": 5}, f'Unrecognized arguments "bach_size"; did you mean "batch_size"? {TAKES}'),
        ({"colour": 5}, f'Unrecognized arguments "colour". {TAKES}'),
        (
            {"bach_size": 5, "lr_dekay": 1},
            'Unrecognized arguments "bach_size", "lr_dekay"; did you mean "batch_size"?; did you mean "lr_decay"? '
            + TAKES,
        ),
        (
            {"update_rule": "adm"},
            'Invalid update_rule "adm"; did you mean "adam"? The rules are: sgd, sgd_momentum, rmsprop, adam; '
            "a function rule(w, dw, config) -> (next_w, config) is taken too.",
        ),
        (
            {"optim_config": {"learnig_rate": 1}},
            'optim_config: sgd knows no "learnig_rate"; did you mean "learning_rate"? Its keys are: learning_rate.',
        ),
        ({"optim_config": 1e-3}, 'optim_config must be a dict such as {"learning_rate": 1e-3}; got float.'),
        ({"batch_size": 0}, "batch_size must be a whole number, 1 or more; got 0."),
        ({"batch_size": 10.0}, "batch_size must be a whole number, 1 or more; got 10.0."),
        ({"batch_size": True}, "batch_size must be a whole number, 1 or more; got True."),
        ({"num_epochs": -1}, "num_epochs must be a whole number, 0 or more; got -1."),
        ({"print_every": 0}, "print_every must be a whole number, 1 or more; got 0."),
        ({"num_train_samples": 0}, "num_train_samples must be a whole number, 1 or more; got 0."),
        ({"num_val_samples": "all"}, "num_val_samples must be a whole number, 1 or more; got 'all'."),
        ({"lr_decay": 0}, "lr_decay must be a finite number above 0; got 0."),
        ({"lr_decay": np.inf}, "lr_decay must be a finite number above 0; got inf."),
        ({"lr_decay": None}, "lr_decay must be a finite number above 0; got None."),
        ({"checkpoint_name": 3}, 'checkpoint_name must be the beginning of a file name, such as "net"; got 3.'),
        ({"seed": -1}, "seed must be a whole number, 0 or more, or a numpy.random.Generator; got -1."),
        ({"seed": "a"}, "seed must be a whole number, 0 or more, or a numpy.random.Generator; got 'a'."),
        (
            {"on_epoch": "print"},
            "on_epoch must be a function of the Solver, such as lambda solver: print(solver.epoch); got 'print'.",
        ),
    ],
)
def test_options_out_of_range(options, text):
    with pytest.raises(OptionError) as caught:
        make_solver(**options)
    assert str(caught.value) == text
    assert isinstance(caught.value, ValueError)


# Data.


def changed(name, value):
    return {**make_data(), name: value}


def poked(name, index, value):
    data = make_data()
    data[name][index] = value
    return data


@pytest.mark.parametrize(
    "data, error, text",
    [
        (
            [1, 2],
            DataError,
            "data must be a dict with the arrays X_train, y_train, X_val and y_val; got list.",
        ),
        (
            {},
            DataError,
            'data has no "X_train"; the Solver needs X_train, y_train, X_val and y_val.',
        ),
        (
            {"X_train": np.ones((2, 6)), "ytrain": np.zeros(2, int)},
            DataError,
            'data has no "y_train"; the Solver needs X_train, y_train, X_val and y_val. It has "ytrain"; did you mean '
            '"y_train"?',
        ),
        (
            changed("X_val", [[1.0]]),
            DataError,
            'data["X_val"] must be a NumPy array; got list. Use np.asarray(...).',
        ),
        (
            changed("y_train", np.zeros(89, int)),
            ShapeError,
            'data["X_train"] has shape (90, 6) and data["y_train"] has shape (89,); first sizes must be equal.',
        ),
        (
            changed("X_val", np.ones(())),
            ShapeError,
            'data["X_val"] has shape () and data["y_val"] has shape (40,); first sizes must be equal.',
        ),
        (
            {**make_data(), "X_val": np.ones((0, 6)), "y_val": np.zeros(0, int)},
            DataError,
            'data["X_val"] and data["y_val"] hold no samples; at least one is needed.',
        ),
        (
            changed("y_train", np.zeros((90, 3))),
            ShapeError,
            'data["y_train"] must be 1-D, one label for each sample; got shape (90, 3). '
            "Use y.argmax(axis=1) on one-hot labels, y.ravel() on a single column.",
        ),
        (
            changed("y_val", np.zeros(40)),
            DTypeError,
            'data["y_val"] has dtype float64; labels are integers, from 0 to the number of classes less 1. '
            "If they are whole numbers, use y.astype(int).",
        ),
        (
            changed("y_val", np.zeros(40, bool)),
            DTypeError,
            'data["y_val"] has dtype bool; labels are integers, from 0 to the number of classes less 1. '
            "If they are whole numbers, use y.astype(int).",
        ),
        (poked("y_train", [7, 9], -2), DataError, 'data["y_train"][7] is -2; labels are counted from 0.'),
        (
            poked("y_val", [4, 5], 3),
            DataError,
            'data["y_val"][4] is 3, and the model gives scores for 3 classes: labels go from 0 to 2. '
            "Give the model more classes, or count the labels from 0.",
        ),
        (
            poked("y_train", 89, 10),
            DataError,
            'data["y_train"][89] is 10, and the model gives scores for 3 classes: labels go from 0 to 2. '
            "Give the model more classes, or count the labels from 0.",
        ),
        (
            poked("X_train", ([11, 12], [5, 0]), np.nan),
            DataError,
            'data["X_train"][11, 5] is nan; samples must be finite. '
            "Drop sample 11, or replace its values with np.nan_to_num.",
        ),
        (
            poked("X_val", (39, 0), -np.inf),
            DataError,
            'data["X_val"][39, 0] is -inf; samples must be finite. '
            "Drop sample 39, or replace its values with np.nan_to_num.",
        ),
        (
            changed("X_train", np.full((90, 6), "a")),
            DTypeError,
            'data["X_train"] has dtype <U1; expected numbers.',
        ),
    ],
)
def test_data_that_does_not_fit(data, error, text):
    with pytest.raises(error) as caught:
        make_solver(data=data)
    assert str(caught.value) == text
    assert isinstance(caught.value, MinigradError)


def test_nan_is_found_in_any_chunk():
    X = np.zeros((3 * solver._CHUNK // 6, 6), np.float32)
    y = np.zeros(len(X), int)
    for row in (0, solver._CHUNK // 6, len(X) - 1):
        X[row, 2] = np.nan
        with pytest.raises(DataError, match=rf'^data\["X_train"\]\[{row}, 2\] is nan'):
            make_solver(data={**make_data(), "X_train": X, "y_train": y})
        X[row, 2] = 0


def test_integer_samples_and_unsigned_labels_are_data():
    data = make_data()
    data["X_train"] = (10 * data["X_train"]).astype(np.int32)
    data["y_train"] = data["y_train"].astype(np.uint8)
    make_solver(data=data, num_epochs=1).train()


def test_counting_the_classes_draws_nothing_from_the_global_state():
    class Drawing(TwoLayerNet):
        def loss(self, X, y=None):
            np.random.random()
            return super().loss(X, y)

    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    make_solver(Drawing())
    assert np.random.random() == expected


def test_scores_that_are_not_a_table_skip_the_class_check():
    class Flat(TwoLayerNet):
        def loss(self, X, y=None):
            return super().loss(X, y) if y is not None else np.zeros(len(X))

    make_solver(Flat(), poked("y_train", 0, 9))
