"""A network with enough parameters learns 50 images by heart within 20 epochs: a wrong gradient would not let it."""

import numpy as np
import pytest

import minigrad as mg

EPOCHS = 20


@pytest.fixture
def few():
    """50 digits, five of each kind."""
    data = mg.data.digits()
    members = np.sort(np.concatenate([np.flatnonzero(data["y_train"] == digit)[:5] for digit in range(10)]))
    return {**data, "X_train": data["X_train"][members], "y_train": data["y_train"][members]}


def training_accuracy(model, data, rule, learning_rate, seed=0):
    """Train, and return the highest accuracy on all training images after any of the epochs."""
    solver = mg.Solver(
        model,
        data,
        update_rule=rule,
        optim_config={"learning_rate": learning_rate},
        num_epochs=EPOCHS,
        batch_size=25,
        num_train_samples=None,
        verbose=False,
        seed=seed,
    )
    solver.train()
    assert len(solver.loss_history) == 2 * EPOCHS
    assert solver.loss_history[-1] < 0.1 * solver.loss_history[0]
    return max(solver.train_acc_history)


RULES = [("sgd", 0.1), ("sgd_momentum", 0.02), ("rmsprop", 1e-3), ("adam", 5e-3)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rule, learning_rate", RULES)
def test_five_layers_with_each_rule(few, rule, learning_rate, dtype):
    model = mg.models.FullyConnectedNet([100] * 4, input_dim=64, weight_scale=0.13, dtype=dtype, seed=0)
    assert model.num_layers == 5
    assert training_accuracy(model, few, rule, learning_rate) == 1
    assert {w.dtype for w in model.params.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
def test_five_layers_normalised_or_not(few, normalization, seed):
    model = mg.models.FullyConnectedNet(
        [100] * 4, input_dim=64, weight_scale=0.13, normalization=normalization, seed=seed
    )
    assert training_accuracy(model, few, "adam", 5e-3, seed) == 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rule, learning_rate", RULES)
def test_three_layers_with_a_convolution_with_each_rule(few, rule, learning_rate, dtype):
    model = convolutional(dtype=dtype)
    assert training_accuracy(model, few, rule, learning_rate) == 1
    assert {w.dtype for w in model.params.values()} == {np.dtype(dtype)}


@pytest.mark.parametrize("seed", range(1, 4))
def test_three_layers_with_a_convolution_from_any_start(few, seed):
    assert training_accuracy(convolutional(seed=seed), few, "adam", 5e-3, seed) == 1


def convolutional(dtype=np.float64, seed=0):
    return mg.models.ThreeLayerConvNet(
        input_dim=(1, 8, 8), num_filters=16, filter_size=3, hidden_dim=100, weight_scale=0.1, dtype=dtype, seed=seed
    )
