"""The digits are learned: the demo's network, trained by the Solver with each rule, with its own gradients."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import digits
from minigrad.demo import TwoLayerNet

SETTINGS = {
    "sgd": {"learning_rate": 0.5},
    "sgd_momentum": {"learning_rate": 0.1},
    "rmsprop": {"learning_rate": 3e-3},
    "adam": {"learning_rate": 3e-3},
}


def train(rule, dtype=np.float64, epochs=15, seed=0):
    data = {name: x.astype(dtype) if x.dtype.kind == "f" else x for name, x in digits().items()}
    model = TwoLayerNet(weight_scale=0.1, reg=1e-4, seed=seed)
    model.params = {name: w.astype(dtype) for name, w in model.params.items()}
    solver = mg.Solver(
        model,
        data,
        update_rule=rule,
        optim_config=SETTINGS[rule],
        num_epochs=epochs,
        batch_size=50,
        lr_decay=0.95,
        verbose=False,
        seed=seed,
    )
    solver.train()
    return solver


@pytest.mark.parametrize("rule", SETTINGS)
def test_digits_are_learned(rule):
    solver = train(rule)
    assert solver.best_val_acc >= 0.97
    assert solver.loss_history[-1] < 0.1 * solver.loss_history[0]
    X, y = digits()["X_test"], digits()["y_test"]
    assert solver.check_accuracy(X, y) >= 0.95


def test_digits_are_learned_in_float32():
    solver = train("adam", np.float32)
    assert solver.best_val_acc >= 0.97
    assert all(w.dtype == np.float32 for w in solver.model.params.values())


def test_training_is_repeatable():
    first, second = train("sgd_momentum", epochs=2), train("sgd_momentum", epochs=2)
    assert first.loss_history == second.loss_history
    assert first.val_acc_history == second.val_acc_history
    assert train("sgd_momentum", epochs=2, seed=1).loss_history != first.loss_history
