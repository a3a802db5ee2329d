"""The update rules: the published arithmetic to the last bit, and what they say about misuse."""

import numpy as np
import pytest

from minigrad import optim
from minigrad.core.errors import DTypeError, MinigradError, OptionError, ShapeError
from tests import published

NAMES = sorted(optim.RULES)
DTYPES = [np.float64, np.float32]
MEMORIES = {"sgd": [], "sgd_momentum": ["velocity"], "rmsprop": ["cache"], "adam": ["m", "v"]}


def assert_same(a, b):
    """Equal to the last bit: dtype, shape, values (so that NaN equals NaN and 0.0 differs from -0.0)."""
    a, b = np.asarray(a), np.asarray(b)
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    assert a.tobytes() == b.tobytes()


def run_both(name, w, gradients, config):
    """Step both texts of a rule through the gradients, comparing everything after every step."""
    w_ours, w_theirs = w.copy(order="K"), w.copy(order="K")
    ours, theirs = dict(config), dict(config)
    for dw in gradients:
        w_ours, ours = optim.RULES[name](w_ours, dw, ours)
        w_theirs, theirs = published.RULES[name](w_theirs, dw, theirs)
        assert_same(w_ours, w_theirs)
    assert ours.keys() == theirs.keys()
    for key in ours:
        assert_same(ours[key], theirs[key])
    return w_ours, w_theirs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_steps_have_the_published_bits(name, dtype):
    rng = np.random.default_rng(0)
    gradients = (10.0 ** rng.uniform(-6, 3) * rng.standard_normal((7, 5)).astype(dtype) for _ in range(1000))
    gradients = (g.astype(dtype) for g in gradients)
    run_both(name, rng.standard_normal((7, 5)).astype(dtype), gradients, {"learning_rate": 3e-3})


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"learning_rate": 1},
        {"learning_rate": np.float64(1e-2)},
        {"learning_rate": np.float32(1e-2)},
        {"learning_rate": 0.3, "momentum": 0.5, "decay_rate": 0.7, "epsilon": 1e-3, "beta1": 0.6, "beta2": 0.8},
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_hyperparameter_has_the_published_bits_and_dtype(name, dtype, config):
    rng = np.random.default_rng(1)
    gradients = rng.standard_normal((20, 4, 3)).astype(dtype)
    run_both(name, rng.standard_normal((4, 3)).astype(dtype), gradients, config)


@pytest.mark.parametrize("gradient_dtype", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_another_precision_have_the_published_bits_and_dtype(name, dtype, gradient_dtype):
    rng = np.random.default_rng(2)
    run_both(name, rng.standard_normal(9).astype(dtype), rng.standard_normal((20, 9)).astype(gradient_dtype), {})


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0, 3), (3, 1, 2)])
@pytest.mark.parametrize("name", NAMES)
def test_every_shape(name, shape):
    rng = np.random.default_rng(3)
    run_both(name, np.array(rng.standard_normal(shape)), [np.array(rng.standard_normal(shape)) for _ in range(5)], {})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("w_order", "CF")
@pytest.mark.parametrize("dw_order", "CF")
def test_memory_layout_is_the_published_one(name, w_order, dw_order):
    """A matrix product may round differently for another layout, so the layout is part of the bits."""
    rng = np.random.default_rng(4)
    w = np.asarray(rng.standard_normal((6, 5)), order=w_order)
    ours, theirs = run_both(name, w, [np.asarray(rng.standard_normal((6, 5)), order=dw_order) for _ in range(3)], {})
    assert ours.strides == theirs.strides


@pytest.mark.parametrize("name", NAMES)
def test_large_arrays_have_the_published_bits(name):
    """NumPy reuses large temporaries by itself, and small ones not."""
    rng = np.random.default_rng(5)
    run_both(name, rng.standard_normal(300_000), rng.standard_normal((3, 300_000)), {})


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_the_published_ones(name):
    _, ours = optim.RULES[name](np.ones(2), np.ones(2))
    _, theirs = published.RULES[name](np.ones(2), np.ones(2))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[key], theirs[key]) for key in ours)


def test_sgd_writes_into_the_parameter():
    w = np.ones(3)
    assert optim.sgd(w, np.ones(3))[0] is w


@pytest.mark.parametrize("name", ["sgd_momentum", "rmsprop", "adam"])
def test_other_rules_leave_their_inputs_and_old_memories_alone(name):
    rng = np.random.default_rng(6)
    w, dw = rng.standard_normal(4), rng.standard_normal(4)
    w, config = optim.RULES[name](w, dw)
    held = {"w": w, "dw": dw, **{key: config[key] for key in MEMORIES[name]}}
    before = {key: value.copy() for key, value in held.items()}
    next_w, next_config = optim.RULES[name](w, dw, config)
    for key, value in held.items():
        assert_same(value, before[key])
        assert not np.shares_memory(value, next_w)
    assert next_config is config


@pytest.mark.parametrize("name", NAMES)
def test_unknown_keys_are_left_alone_by_a_rule(name):
    _, config = optim.RULES[name](np.ones(2), np.ones(2), {"note": "mine"})
    assert config["note"] == "mine"


@pytest.mark.parametrize("name", NAMES)
def test_shapes_that_differ(name):
    with pytest.raises(ShapeError) as caught:
        optim.RULES[name](np.ones((2, 3)), np.ones(3))
    assert str(caught.value).startswith(f"{name}: w has shape (2, 3) and dw has shape (3,); the gradient of a")
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.int64, np.bool_, object])
def test_a_parameter_that_is_not_float(name, dtype):
    w = np.ones(3).astype(dtype)
    with pytest.raises(DTypeError, match=f"^{name}: w has dtype {w.dtype}; expected a floating-point dtype") as caught:
        optim.RULES[name](w, np.ones(3))
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("name, key", [(name, key) for name in NAMES for key in MEMORIES[name]])
def test_a_memory_of_another_shape(name, key):
    """It would broadcast to the right shape, and so pass unseen."""
    with pytest.raises(ShapeError) as caught:
        optim.RULES[name](np.ones((2, 3)), np.ones((2, 3)), {key: np.zeros(3)})
    assert str(caught.value).startswith(f'{name}: config["{key}"] has shape (3,) and w has shape (2, 3); each')


def test_resolve():
    def mine(w, dw, config):
        return w, config

    assert [optim.resolve(name) for name in optim.RULES] == list(optim.RULES.values())
    assert optim.resolve(mine) is mine


@pytest.mark.parametrize(
    "rule, text",
    [
        ("adma", 'Invalid update_rule "adma"; did you mean "adam"? The rules are: sgd, sgd_momentum, rmsprop, adam; '),
        ("quickprop", 'Invalid update_rule "quickprop". The rules are: sgd, '),
        ("np", 'Invalid update_rule "np". The rules are: sgd, '),
        (3, 'Invalid update_rule "3". The rules are: sgd, '),
        (["adam"], "Invalid update_rule \"['adam']\""),
    ],
)
def test_resolve_names_what_it_does_not_know(rule, text):
    with pytest.raises(OptionError) as caught:
        optim.resolve(rule)
    assert str(caught.value).startswith(text)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, MinigradError)


def test_a_rule_of_ones_own_gets_a_name(monkeypatch):
    def lion(w, dw, config):
        return w - config["learning_rate"] * np.sign(dw), config

    monkeypatch.setitem(optim.RULES, "lion", lion)
    assert optim.resolve("lion") is lion
    optim.check_config(lion, {"anything": "goes"})
    assert optim.default_learning_rate(lion) is None


@pytest.mark.parametrize(
    "rule, config, text",
    [
        (
            optim.adam,
            {"learnig_rate": 1e-3},
            'optim_config: adam knows no "learnig_rate"; did you mean "learning_rate"? '
            "Its keys are: learning_rate, beta1, beta2, epsilon, m, v, t.",
        ),
        (
            optim.sgd,
            {"lambda": 0.9},
            'optim_config: sgd knows no "lambda". Its keys are: learning_rate.',
        ),
        (optim.sgd, {5: 1}, 'optim_config: sgd knows no "5". Its keys are: learning_rate.'),
        (
            optim.sgd,
            {"learning_rate": -1},
            'optim_config: "learning_rate" must be a finite number, 0 or more; got -1.',
        ),
        (
            optim.sgd,
            {"learning_rate": "1e-3"},
            "optim_config: \"learning_rate\" must be a finite number, 0 or more; got '1e-3'.",
        ),
        (
            optim.rmsprop,
            {"epsilon": float("nan")},
            'optim_config: "epsilon" must be a finite number, 0 or more; got nan.',
        ),
        (
            optim.sgd,
            {"learning_rate": float("inf")},
            'optim_config: "learning_rate" must be a finite number, 0 or more; got inf.',
        ),
        (
            optim.sgd,
            {"learning_rate": True},
            'optim_config: "learning_rate" must be a finite number, 0 or more; got True.',
        ),
        (optim.adam, {"beta1": 1.0}, 'optim_config: "beta1" must be a number from 0 to below 1; got 1.0.'),
        (optim.sgd_momentum, {"momentum": 1.5}, 'optim_config: "momentum" must be a number from 0 to 1; got 1.5.'),
    ],
)
def test_check_config_names_what_is_wrong(rule, config, text):
    with pytest.raises(OptionError) as caught:
        optim.check_config(rule, config)
    assert str(caught.value) == text


@pytest.mark.parametrize("name", NAMES)
def test_check_config_takes_what_a_rule_leaves_behind(name):
    _, config = optim.RULES[name](np.ones(2), np.ones(2))
    optim.check_config(optim.RULES[name], config)
    optim.check_config(optim.RULES[name], {"learning_rate": np.float32(0.1)})
    assert optim.default_learning_rate(optim.RULES[name]) == config["learning_rate"]
