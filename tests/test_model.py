"""Model: parameters and a forward pass in, (loss, grads) out; what it promises, and what it says about misuse."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import (
    DataError,
    DTypeError,
    MinigradError,
    MinigradWarning,
    MissingParameterError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    StaleTensorError,
)
from minigrad.demo import TwoLayerNet
from tests import published

N, D, H, C = 3, 5, 50, 7


def course_net(reg=0.0):
    """CS231n's test of TwoLayerNet: assignment 2, FullyConnectedNets.ipynb."""
    model = TwoLayerNet(input_dim=D, hidden_dim=H, num_classes=C, reg=reg)
    model.params = {
        "W1": np.linspace(-0.7, 0.3, num=D * H).reshape(D, H),
        "b1": np.linspace(-0.1, 0.9, num=H),
        "W2": np.linspace(-0.3, 0.4, num=H * C).reshape(H, C),
        "b2": np.linspace(-0.9, 0.1, num=C),
    }
    return model


COURSE_X = np.linspace(-5.5, 4.5, num=N * D).reshape(D, N).T
COURSE_Y = np.array([0, 5, 1])


class Linear(mg.Model):
    """The smallest model, with hooks for tests."""

    def __init__(self, dtype=np.float64, **params):
        rng = np.random.default_rng(0)
        self.params = {
            "W": rng.standard_normal((4, 3)).astype(dtype),
            "b": np.zeros(3, dtype),
            **params,
        }

    def forward(self, params, X):
        return X @ params["W"] + params["b"]


class Running(Linear):
    """A model with a state: a running mean, a count, and what a subclass does amid the forward pass."""

    def __init__(self):
        super().__init__()
        self.state = {"mean": np.zeros(3), "calls": 0, "nested": {"seen": []}}

    def forward(self, params, X, train):
        scores = X @ params["W"] + params["b"]
        if train:
            self.state["mean"] = 0.9 * self.state["mean"] + 0.1 * np.mean(scores, axis=0)
        self.state["calls"] += 1
        self.state["nested"]["seen"].append(len(X))
        return self.finish(scores)

    def finish(self, scores):
        return scores


def batch(size=6, dtype=np.float64, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((size, 4)).astype(dtype), rng.integers(3, size=size)


X, Y = batch()


def numeric_gradients(model, X, y, step=1e-6):
    result = {}
    for name, w in model.params.items():
        result[name] = np.zeros_like(w)
        for i in np.ndindex(w.shape):
            before = w[i]
            losses = []
            for w[i] in (before + step, before - step):
                losses.append(model.loss(X, y)[0])
            w[i] = before
            result[name][i] = (losses[0] - losses[1]) / (2 * step)
    return result


# --- the course's check -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reg", "expected"), [(0.0, 3.4702243556), (1.0, 26.5948426952)])
def test_the_losses_of_the_course(reg, expected):
    loss, _ = course_net(reg).loss(COURSE_X, COURSE_Y)
    assert loss == pytest.approx(expected, abs=1e-10)


def test_the_scores_of_the_course():
    expected = np.array(
        [
            [11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765, 16.09215096],
            [12.05769098, 12.74614105, 13.43459113, 14.1230412, 14.81149128, 15.49994135, 16.18839143],
            [12.58373087, 13.20054771, 13.81736455, 14.43418138, 15.05099822, 15.66781506, 16.2846319],
        ]
    )
    np.testing.assert_allclose(course_net().loss(COURSE_X), expected, atol=1e-6)


@pytest.mark.parametrize("reg", [0.0, 0.7])
def test_gradients_equal_numeric_ones(reg):
    model = course_net(reg)
    _, grads = model.loss(COURSE_X, COURSE_Y)
    for name, expected in numeric_gradients(model, COURSE_X, COURSE_Y).items():
        np.testing.assert_allclose(grads[name], expected, atol=2e-7)


# --- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keys_shapes_and_dtypes_are_those_of_the_parameters(dtype):
    model = Linear(dtype)
    X, y = batch(dtype=dtype)
    loss, grads = model.loss(X, y)
    assert type(loss) is float
    assert type(grads) is dict
    assert list(grads) == list(model.params)
    for name, w in model.params.items():
        assert type(grads[name]) is np.ndarray
        assert (grads[name].shape, grads[name].dtype) == (w.shape, dtype)
        assert grads[name].flags.writeable
        assert not np.shares_memory(grads[name], w)
    assert not np.shares_memory(grads["W"], grads["b"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_at_test_time_are_a_plain_array(dtype):
    X, _ = batch(dtype=dtype)
    scores = Linear(dtype).loss(X)
    assert type(scores) is np.ndarray
    assert (scores.shape, scores.dtype) == ((6, 3), dtype)


def test_a_float32_model_with_a_penalty_stays_float32():
    seen = []

    class Watched(Linear):
        def penalty(self, params):
            penalty = super().penalty(params)
            seen.append(penalty.dtype)
            return penalty

        def objective(self, scores, y):
            loss = super().objective(scores, y)
            seen.append(loss.dtype)
            return loss

    model = Watched(np.float32)
    model.reg = np.float64(0.1)
    _, grads = model.loss(*batch(dtype=np.float32))
    assert seen == [np.float32, np.float32]
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}


def test_lists_are_taken_as_arrays():
    loss, _ = Linear().loss(X.tolist(), Y.tolist())
    assert loss == Linear().loss(X, Y)[0]
    np.testing.assert_array_equal(Linear().loss(X.tolist()), Linear().loss(X))


def test_written_gradients_do_not_change_parameters_or_the_next_call():
    model = Linear()
    before = {name: w.copy() for name, w in model.params.items()}
    loss, grads = model.loss(X, Y)
    for g in grads.values():
        g[...] = np.nan
    assert model.loss(X, Y)[0] == loss
    for name in before:
        np.testing.assert_array_equal(model.params[name], before[name])


def test_a_0d_parameter_trains_with_every_rule():
    class Scaled(Linear):
        def forward(self, params, X):
            return X @ params["W"] * params["scale"]

        def __init__(self):
            super().__init__(scale=np.array(1.0))
            del self.params["b"]

    for rule in published.RULES.values():
        model, config = Scaled(), None
        for _ in range(3):
            _, grads = model.loss(X, Y)
            model.params["scale"], config = rule(model.params["scale"], grads["scale"], config)
        assert float(model.params["scale"]) != 1.0


# --- forward ----------------------------------------------------------------------------------------------------------


def forward_variants():
    seen = []

    class Third(Linear):
        def forward(self, params, X, training):
            seen.append(training)
            return super().forward(params, X)

    class Keyword(Linear):
        def forward(self, params, X, *, train):
            seen.append(train)
            return super().forward(params, X)

    class Default(Linear):
        def forward(self, params, X, train=None):
            seen.append(train)
            return super().forward(params, X)

    class KeywordDefault(Linear):
        def forward(self, params, X, *, temperature=1.0, train=True):
            seen.append(train)
            return super().forward(params, X) / temperature

    return seen, [Third, Keyword, Default, KeywordDefault]


@pytest.mark.parametrize("number", range(4))
def test_forward_is_told_whether_this_is_training(number):
    seen, variants = forward_variants()
    model = variants[number]()
    model.loss(X, Y)
    model.loss(X)
    model.evaluate(model.params, X)
    model.evaluate(model.params, X, Y)
    assert seen == [True, False, False, True]


def test_another_third_parameter_with_a_default_is_left_alone():
    class Tempered(Linear):
        def forward(self, params, X, temperature=2.0):
            assert temperature == 2.0
            return super().forward(params, X) / temperature

    Tempered().loss(X, Y)


def test_forward_may_be_set_on_the_instance():
    model = Linear()
    model.forward = lambda params, X: X @ params["W"] * 2.0 + params["b"]
    np.testing.assert_allclose(model.loss(X), X @ model.params["W"] * 2.0)
    assert model.loss(X, Y)[1].keys() == model.params.keys()


def test_without_forward_the_error_says_what_to_write():
    class Empty(mg.Model):
        def __init__(self):
            self.params = {"W": np.ones((4, 3))}

    with pytest.raises(NotImplementedError, match=r"Empty has no forward\(self, params, X\)"):
        Empty().loss(X, Y)


@pytest.mark.parametrize(
    ("result", "error", "words"),
    [
        (lambda s: None, DTypeError, "forward returned None.*`return`"),
        (lambda s: [s, s], DTypeError, r"forward returned list; .*\(N, C\)"),
        (lambda s: (s, s), DTypeError, "forward returned tuple"),
        (lambda s: s.T, ShapeError, r"shape \(3, 6\) for X of shape \(6, 4\); expected.*\(6, C\)"),
        (lambda s: s[:, 0], ShapeError, r"shape \(6,\)"),
        (lambda s: s[:2], ShapeError, r"shape \(2, 3\)"),
        (lambda s: np.sum(s), (ShapeError, DTypeError), "forward returned"),
        (lambda s: 3.0, DTypeError, "forward returned float"),
    ],
)
@pytest.mark.parametrize("train", [True, False])
def test_forward_that_returns_something_else(result, error, words, train):
    class Wrong(Linear):
        def forward(self, params, X):
            return result(super().forward(params, X))

    with pytest.raises(error, match=words):
        Wrong().loss(X, Y if train else None)


def test_a_forward_pass_may_differentiate_with_respect_to_its_parameters():
    class Inner(Linear):
        def forward(self, params, X):
            step = mg.grad(lambda p: np.mean((X @ p["W"] + p["b"]) ** 2))(params)
            return X @ (params["W"] - 0.1 * step["W"]) + params["b"] - 0.1 * step["b"]

    model = Inner()
    _, grads = model.loss(X, Y)
    for name, expected in numeric_gradients(model, X, Y).items():
        np.testing.assert_allclose(grads[name], expected, atol=1e-7)


def test_parameters_are_a_dict_that_forward_may_copy_and_change():
    class Careless(Linear):
        def forward(self, params, X):
            params["W"] = params["W"] * 2
            return X @ params["W"] + dict(**params)["b"] + copy.copy(params)["b"]

    model = Careless()
    before = model.params["W"].copy()
    model.loss(X, Y)
    model.loss(X)
    np.testing.assert_array_equal(model.params["W"], before)


def test_errors_in_forward_name_the_layer():
    class Deep(Linear):
        def forward(self, params, X):
            with mg.scope("fc1"):
                return X @ (params["W"].T + 0.0)

    with pytest.raises(ShapeError, match=r"^matmul in fc1: \(6, 4\) @ \(3, 4\): inner sizes 4 and 3 differ"):
        Deep().loss(X, Y)


# --- objective and penalty --------------------------------------------------------------------------------------------


def test_reg_counts_the_weights_and_not_the_biases():
    model = Linear()
    model.params["b"] += 5.0
    plain, _ = model.loss(X, Y)
    model.reg = 0.3
    penalised, grads = model.loss(X, Y)
    assert penalised - plain == pytest.approx(0.15 * np.sum(model.params["W"] ** 2))
    for name, expected in numeric_gradients(model, X, Y).items():
        np.testing.assert_allclose(grads[name], expected, atol=1e-7)


def test_objective_may_be_overridden():
    class Regression(Linear):
        def forward(self, params, X):
            return X @ params["W"][:, 0] + params["b"][0]

        def objective(self, prediction, y):
            return np.mean((prediction - y) ** 2)

    model, y = Regression(), np.linspace(0, 1, 6)
    _, grads = model.loss(X, y)
    assert model.loss(X).shape == (6,)
    for name, expected in numeric_gradients(model, X, y).items():
        np.testing.assert_allclose(grads[name], expected, atol=1e-7)


def test_objective_may_be_set_on_the_instance():
    model = Linear()
    model.forward = lambda params, X: X @ params["W"][:, 0] + params["b"][0]
    model.objective = lambda prediction, y: np.mean((prediction - y) ** 2)
    loss, _ = model.loss(X, np.zeros(6))
    assert loss == pytest.approx(np.mean((X @ model.params["W"][:, 0]) ** 2))


def test_penalty_may_be_overridden():
    class Lasso(Linear):
        def penalty(self, params):
            return 0.1 * np.sum(np.abs(params["W"])) + 0.1 * np.sum(np.abs(params["b"] + 1))

    model = Lasso()
    loss, grads = model.loss(X, Y)
    assert loss == pytest.approx(Linear().loss(X, Y)[0] + 0.1 * np.abs(model.params["W"]).sum() + 0.3)
    np.testing.assert_allclose(grads["W"], Linear().loss(X, Y)[1]["W"] + 0.1 * np.sign(model.params["W"]))


@pytest.mark.parametrize(
    ("objective", "error", "words"),
    [
        (lambda self, s, y: None, DTypeError, "objective returned None"),
        (lambda self, s, y: np.sum(s, axis=1), ShapeError, r"objective returned an array of shape \(6,\)"),
        (lambda self, s, y: [np.sum(s)], (DTypeError, TypeError), "objective|list"),
    ],
)
def test_objective_that_returns_something_else(objective, error, words):
    model = type("Wrong", (Linear,), {"objective": objective})()
    with pytest.raises(error, match=words):
        model.loss(X, Y)


def test_a_hinge_loss_as_objective():
    class Hinge(Linear):
        def objective(self, scores, y):
            return mg.svm_loss(scores, y)

    model = Hinge()
    _, grads = model.loss(X, Y)
    for name, expected in numeric_gradients(model, X, Y).items():
        np.testing.assert_allclose(grads[name], expected, atol=1e-7)


# --- parameters -------------------------------------------------------------------------------------------------------


def test_parameters_that_are_rebound_or_written_into_are_seen():
    model = Linear()
    first, _ = model.loss(X, Y)
    model.params["W"] = model.params["W"] * 2
    second, _ = model.loss(X, Y)
    model.params["W"] *= 0.5
    assert model.loss(X, Y)[0] == first != second
    model.params = {name: w * 2 for name, w in model.params.items()}
    assert model.loss(X, Y)[0] == second


def test_a_missing_name_is_answered_with_the_nearest():
    class Typo(Linear):
        def forward(self, params, X):
            return X @ params["w"]

    words = r"Typo has no parameter 'w'; did you mean \"W\"\? \(it has: W, b\)"
    for y in (Y, None):
        with pytest.raises(MissingParameterError, match=words):
            Typo().loss(X, y)
    with pytest.raises(KeyError):
        Typo().loss(X, Y)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (np.ones((4, 3), int), DTypeError, r"parameter 'W' has dtype int64.*W\.astype\(float\)"),
        (np.ones((4, 3), bool), DTypeError, "bool"),
        ([[1.0, 2.0, 3.0]] * 4, DTypeError, "parameter 'W' is list"),
        (None, DTypeError, "NoneType"),
        (mg.Tape().watch(np.ones((4, 3))), StaleTensorError, r"parameter 'W' is a Tensor.*\.value"),
    ],
)
@pytest.mark.parametrize("train", [True, False])
def test_parameters_that_are_no_float_arrays(value, error, words, train):
    with pytest.raises(error, match=words):
        Linear(W=value).loss(X, Y if train else None)


@pytest.mark.parametrize("params", [{}, None, [np.ones(3)], np.ones(3)])
def test_params_that_are_no_dict_of_arrays(params):
    model = Linear()
    model.params = params
    with pytest.raises(ParameterError, match=r"Linear\.params must be a dict"):
        model.loss(X, Y)


def test_params_that_were_never_filled():
    class Forgetful(mg.Model):
        def forward(self, params, X):
            return X

    with pytest.raises(ParameterError, match="Forgetful.params.*__init__"):
        Forgetful().loss(X, Y)


def test_one_parameter_may_not_change_its_shape_and_a_new_dict_may():
    model = Linear()
    model.loss(X, Y)
    model.params["b"] = np.zeros((6, 3))
    with pytest.raises(ShapeError, match=r"parameter 'b' had shape \(3,\).*has \(6, 3\) now.*new dict"):
        model.loss(X, Y)
    model.params = {"W": np.ones((4, 5)), "b": np.zeros(5)}
    assert model.loss(X).shape == (6, 5)


def test_a_parameter_may_be_added_and_removed():
    model = Linear()
    model.loss(X, Y)
    model.params["extra"] = np.ones((2, 2))
    with pytest.warns(MinigradWarning, match="extra"):
        _, grads = model.loss(X, Y)
    assert grads["extra"].shape == (2, 2)
    del model.params["extra"]
    assert set(model.loss(X, Y)[1]) == {"W", "b"}


def test_an_unused_parameter_gets_zeros_and_a_warning_once():
    model = Linear(unused=np.ones((2, 3), np.float32), other=np.ones(1))
    with pytest.warns(MinigradWarning, match="Linear: the loss does not depend on parameter") as caught:
        _, grads = model.loss(X, Y)
    assert [str(w.message).split("'")[1] for w in caught] == ["unused", "other"]
    assert caught[0].filename == __file__
    assert (grads["unused"].shape, grads["unused"].dtype) == ((2, 3), np.float32)
    assert not grads["unused"].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.loss(X, Y)
        model.loss(X)


def test_parameters_taken_from_self_are_noticed():
    class Wrong(Linear):
        def forward(self, params, X):
            return X @ self.params["W"] + params["b"]

    with pytest.warns(MinigradWarning, match=r"params\['W'\], not self\.params\['W'\]"):
        _, grads = Wrong().loss(X, Y)
    assert not grads["W"].any()


def test_a_penalty_alone_reaches_a_parameter():
    model = Linear(unused=np.ones((2, 2)))
    model.reg = 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, grads = model.loss(X, Y)
    np.testing.assert_array_equal(grads["unused"], np.full((2, 2), 0.5))


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "error", "words"),
    [
        (np.array([0, 1, 2, 3, 0, 0]), DataError, r"label y\[3\] is 3.*classes 0 to 2"),
        (np.array([0, 1, 2, -1, 0, 0]), DataError, r"label y\[3\] is -1"),
        (np.zeros(6), DTypeError, r"labels are float64.*astype\(int\)"),
        (np.zeros(6, bool), DTypeError, "bool"),
        (np.zeros(5, int), ShapeError, r"labels of shape \(5,\)"),
        (np.zeros((6, 1), int), ShapeError, r"labels of shape \(6, 1\)"),
        (3, ShapeError, r"labels of shape \(\)"),
        (["a"] * 6, DTypeError, "labels are <U1"),
    ],
)
def test_labels_that_do_not_fit(y, error, words):
    with pytest.raises(error, match=words):
        Linear().loss(X, y)


def test_an_empty_batch():
    with pytest.raises(ShapeError, match="no samples"):
        Linear().loss(X[:0], Y[:0])
    assert Linear().loss(X[:0]).shape == (0, 3)


def test_x_of_a_wrong_width_names_both():
    with pytest.raises((ShapeError, ValueError), match="matmul"):
        Linear().loss(X[:, :2], Y)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda model, X: X.__setitem__((0, 0), np.nan), "X holds NaN or infinity already"),
        (lambda model, X: model.params["W"].__setitem__((0, 0), np.inf), "W holds NaN or infinity already"),
        (lambda model, X: model.params["b"].__setitem__(0, np.nan), "b holds"),
    ],
)
def test_a_loss_that_is_not_finite_names_the_cause(spoil, words):
    model, spoilt = Linear(), X.copy()
    spoil(model, spoilt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(NonFiniteError, match=rf"the loss of Linear is (nan|inf): .*{words}"):
            model.loss(spoilt, Y)


def test_a_loss_that_becomes_infinite_on_the_way():
    class Log(Linear):
        def objective(self, scores, y):
            with np.errstate(all="ignore"):
                return np.sum(np.log(scores * 0))

    with pytest.raises(NonFiniteError, match="all parameters are finite, so it arose in the forward pass"):
        Log().loss(X, Y)


# --- state ------------------------------------------------------------------------------------------------------------


def state_of(model):
    return copy.deepcopy(model.state)


def assert_same_state(found, expected):
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found["mean"], expected["mean"])
    assert (found["calls"], found["nested"]) == (expected["calls"], expected["nested"])


def test_state_changes_with_a_training_step_and_holds_plain_arrays():
    model = Running()
    model.loss(X, Y)
    assert model.state["calls"] == 1
    assert type(model.state["mean"]) is np.ndarray
    np.testing.assert_allclose(model.state["mean"], 0.1 * (X @ model.params["W"]).mean(axis=0))
    model.loss(X, Y)
    assert model.state["nested"]["seen"] == [6, 6]
    assert type(model.state["mean"]) is np.ndarray


def test_state_does_not_change_at_test_time():
    model = Running()
    model.loss(X, Y)
    before, identity = state_of(model), model.state
    model.loss(X)
    model.evaluate(model.params, X)
    model.evaluate(model.params, X, Y)
    mg.grad(lambda p: model.evaluate(p, X, Y))(model.params)
    assert model.state is identity
    assert_same_state(model.state, before)


def failing(kind):
    class Failing(Running):
        def finish(self, scores):
            if kind == "shape":
                return scores @ np.ones((99, 2))
            if kind == "python":
                raise KeyboardInterrupt
            return scores

        def objective(self, scores, y):
            if kind == "objective":
                raise RuntimeError("objective")
            if kind == "nan":
                return np.sum(scores) * np.nan
            return mg.softmax_loss(scores, y) if kind != "vector" else scores[:, 0]

    return Failing()


@pytest.mark.parametrize("kind", ["shape", "python", "objective", "nan", "vector", "label"])
def test_state_is_undone_after_an_error(kind):
    model = failing(kind)
    before, identity = state_of(model), model.state
    with pytest.raises((Exception, KeyboardInterrupt)):
        model.loss(X, Y + 99 if kind == "label" else Y)
    assert model.state is identity
    assert_same_state(model.state, before)


@pytest.mark.parametrize("kind", ["shape", "python"])
def test_state_is_undone_after_an_error_at_test_time(kind):
    model = failing(kind)
    before, identity = state_of(model), model.state
    with pytest.raises((Exception, KeyboardInterrupt)):
        model.loss(X)
    assert model.state is identity
    assert_same_state(model.state, before)


def test_state_holds_no_tensor_of_an_outer_recording():
    model = Running()

    def f(X):
        model.loss(X, Y)
        return np.sum(X)

    mg.grad(f)(X)
    assert type(model.state["mean"]) is np.ndarray
    model.loss(X, Y)


def test_a_model_without_state_needs_none():
    model = Linear()
    model.loss(X, Y)
    assert model.state == {}


# --- derivatives of a model -------------------------------------------------------------------------------------------


def test_gradient_with_respect_to_the_data():
    model = Running()

    def f(X):
        return model.evaluate(model.params, X, Y)

    found, step = mg.grad(f)(X), 1e-6
    for i in [(0, 0), (3, 2), (5, 3)]:
        move = np.zeros_like(X)
        move[i] = step
        assert found[i] == pytest.approx((f(X + move) - f(X - move)) / (2 * step), abs=1e-8)


def test_evaluate_takes_other_parameters_and_gives_the_loss():
    model = Linear()
    model.reg = 0.2
    loss, grads = model.loss(X, Y)
    value, gradients = mg.value_and_grad(lambda p: model.evaluate(p, X, Y))(model.params)
    assert float(value) == loss
    for name in grads:
        np.testing.assert_array_equal(gradients[name], grads[name])
    doubled = {name: 2 * w for name, w in model.params.items()}
    assert model.evaluate(doubled, X, Y) != value
    np.testing.assert_array_equal(model.evaluate(doubled, X), X @ doubled["W"])


def test_second_derivative_of_a_model():
    model = course_net(0.1)
    direction = {name: np.cos(np.arange(w.size)).reshape(w.shape) for name, w in model.params.items()}

    def slope(p):
        g = mg.grad(lambda p: model.evaluate(p, COURSE_X, COURSE_Y))(p)
        return sum(np.sum(g[name] * direction[name]) for name in g)

    found = mg.grad(slope)(model.params)
    step = 1e-6
    up, down = ({name: w + sign * step * direction[name] for name, w in model.params.items()} for sign in (1, -1))
    gradients = [mg.grad(lambda p: model.evaluate(p, COURSE_X, COURSE_Y))(p) for p in (up, down)]
    for name in found:
        np.testing.assert_allclose(found[name], (gradients[0][name] - gradients[1][name]) / (2 * step), atol=1e-6)


# --- copies, pickles, threads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_the_same_model_and_shares_nothing(again):
    model = course_net(0.5)
    model.state = {"count": np.zeros(2)}
    loss, grads = model.loss(COURSE_X, COURSE_Y)
    other = again(model)
    assert type(other) is TwoLayerNet
    assert other.reg == 0.5
    assert other.loss(COURSE_X, COURSE_Y)[0] == loss
    other.params["W1"] += 1
    other.state["count"] += 1
    assert model.loss(COURSE_X, COURSE_Y)[0] == loss
    assert model.state["count"][0] == 0
    other.params["b2"] = np.zeros((3, 7))
    other.params = {name: w[..., :1] for name, w in other.params.items()}
    assert grads.keys() == other.params.keys()


def test_a_model_that_holds_an_op_can_be_pickled():
    for op in (mg.ops.tanh, mg.relu, mg.softmax_loss, mg.affine):
        model = TwoLayerNet()
        model.activation = op
        assert pickle.loads(pickle.dumps(model)).activation is op
        assert copy.deepcopy(model).activation is op


def test_two_models_do_not_share_their_parameters_or_states():
    class Bare(mg.Model):
        pass

    first, second = Bare(), Bare()
    first.params["W"], first.state["s"] = 1, 2
    assert (second.params, second.state) == ({}, {})


def test_one_model_in_several_threads():
    model = TwoLayerNet(4, 8, 3, weight_scale=0.5, seed=0)
    batches = [batch(seed=i) for i in range(8)]
    expected = [model.loss(*b) for b in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda b: [model.loss(*b) for _ in range(30)], batches))
    for results, (loss, grads) in zip(found, expected):
        for other, other_grads in results:
            assert other == loss
            for name in grads:
                np.testing.assert_array_equal(other_grads[name], grads[name])


# --- the Solver, minigrad's and the published one ---------------------------------------------------------------------


def make_data(dtype):
    rng = np.random.default_rng(3)
    data, centres = {}, rng.standard_normal((3, 2, 3))
    for split, size in (("train", 80), ("val", 40)):
        y = rng.integers(3, size=size)
        data[f"X_{split}"] = (centres[y] + rng.standard_normal((size, 2, 3))).astype(dtype)
        data[f"y_{split}"] = y
    return data


def make_net(dtype, reg):
    model = TwoLayerNet(6, 10, 3, weight_scale=0.3, reg=reg, seed=5)
    model.params = {name: w.astype(dtype) for name, w in model.params.items()}
    return model


@pytest.mark.parametrize("rule", published.RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_published_solver_trains_a_model_to_the_same_bits(rule, dtype):
    data = make_data(dtype)
    solvers = []
    for make in (published.Solver, mg.Solver):
        np.random.seed(7)
        solver = make(
            make_net(dtype, reg=0.05),
            data,
            update_rule=rule,
            optim_config={"learning_rate": 0.02},
            lr_decay=0.9,
            num_epochs=5,
            batch_size=16,
            num_train_samples=50,
            verbose=False,
        )
        solver.train()
        solvers.append(solver)
    theirs, ours = solvers
    assert len(theirs.loss_history) == 25
    assert ours.loss_history == theirs.loss_history
    assert ours.train_acc_history == theirs.train_acc_history
    assert ours.val_acc_history == theirs.val_acc_history
    assert ours.best_val_acc == theirs.best_val_acc
    for name, w in ours.model.params.items():
        np.testing.assert_array_equal(w, theirs.model.params[name])
        assert w.dtype == dtype


def test_training_carries_the_best_state_along():
    class Small(Running):
        def __init__(self):
            super().__init__()
            self.params["W"] = np.zeros((6, 3))

        def forward(self, params, X, train):
            return super().forward(params, X.reshape(len(X), -1), train)

    solver = mg.Solver(Small(), make_data(np.float64), num_epochs=3, batch_size=20, verbose=False, seed=0)
    solver.train()
    assert 0 < solver.model.state["calls"] <= 12
    assert type(solver.model.state["mean"]) is np.ndarray


def test_every_refusal_is_a_minigrad_error():
    for y, kind in ((Y + 9, ValueError), (Y.astype(float), TypeError), (Y[:2], ValueError)):
        with pytest.raises(MinigradError) as caught:
            Linear().loss(X, y)
        assert isinstance(caught.value, kind)
