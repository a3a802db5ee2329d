"""A training step on an outer tape: one flat list, forward and backward, that replays with other inputs."""

import numpy as np
import pytest

import minigrad as mg

N, D, H, C = 6, 4, 5, 3


def make_params(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "W1": rng.standard_normal((D, H)),
        "b1": rng.standard_normal(H),
        "W2": rng.standard_normal((H, C)),
        "b2": rng.standard_normal(C),
    }


def make_batch(seed=0):
    rng = np.random.default_rng(100 + seed)
    return rng.standard_normal((N, D)), rng.integers(C, size=N)


def mlp(p, X, y):
    hidden = np.maximum(0, X @ p["W1"] + p["b1"])
    return mg.softmax_loss(hidden @ p["W2"] + p["b2"], y)


def mlp_with_scopes(p, X, y):
    with mg.scope("fc1"):
        hidden = mg.affine(X, p["W1"], p["b1"])
    with mg.scope("act"):
        hidden = mg.relu(hidden)
    with mg.scope("fc2"):
        scores = mg.affine(hidden, p["W2"], p["b2"])
    return mg.softmax_loss(scores, y) + 0.5 * 0.1 * sum(np.sum(p[name] * p[name]) for name in ("W1", "W2"))


def batchnorm_net(p, X, y):
    hidden = mg.batchnorm(X @ p["W1"], p["b1"], p["b1"])
    return mg.softmax_loss(np.tanh(hidden) @ p["W2"] + p["b2"], y)


def ties_and_choices(p, X, y):
    """Rectifiers at 0 and at ties, label look-ups, masks, sorting, extremes: what could be baked in."""
    hidden = X @ p["W1"] + p["b1"]
    hidden = np.where(hidden > 0, hidden, 0.1 * hidden)
    hidden = hidden * (hidden < 3) + np.clip(hidden, -1.0, 1.0)
    hidden = np.maximum(np.minimum(hidden, hidden), np.maximum(hidden * 0, 0.5))
    scores = np.abs(hidden) ** 1.5 @ p["W2"] + np.max(hidden, axis=1, keepdims=True) - np.min(hidden)
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    right = shifted[np.arange(N), y]
    spread = np.std(scores) + np.prod(np.tanh(p["b2"]))
    order = np.argsort(p["b2"])
    ranked = np.sum(p["b2"][order] * np.arange(3, dtype=np.float32))
    return np.mean(np.log(np.sum(np.exp(shifted), axis=1)) - right) + spread + ranked


def hinge(p, X, y):
    return mg.svm_loss(np.concatenate([X @ p["W1"], X], axis=1)[:, :H] @ p["W2"] + p["b2"], y)


def second_order(p, X, y):
    """A penalty on the gradient: the step differentiates twice."""
    slopes = mg.grad(lambda p: mlp(p, X, y))(p)
    return mlp(p, X, y) + 0.1 * sum(np.sum(g * g) for g in slopes.values())


STEPS = [mlp, mlp_with_scopes, batchnorm_net, ties_and_choices, hinge, second_order]


class Captured:
    """What one step left on an outer tape."""

    def __init__(self, f, params, X, y, **options):
        self.tape = mg.Tape(**options)
        self.inputs = self.tape.watch(params), self.tape.watch(X, "X"), self.tape.watch(y, "y")
        self.before = len(self.tape)
        value, gradients = mg.value_and_grad(f)(*self.inputs)
        self.results = {"loss": value, **gradients}

    def replay(self, params, X, y):
        """Run the list again on other inputs, as a compiler would, and return the results."""
        feed = iter([*params.values(), X, y])
        env = []
        for entry, node in enumerate(self.tape.nodes):
            assert all(parent is not None and parent < entry for parent in node.parents)
            if node.role == "input":
                env.append(next(feed))
            elif node.role == "constant":
                env.append(node.saved[0])
            elif node.role == "output":
                (parent,) = node.parents
                env.append(env[parent][node.params["number"]])
            else:
                env.append(node.primitive.bind(*[first(env[parent]) for parent in node.parents], **node.params))
            assert first(env[-1]) is not None
            assert np.shape(first(env[-1])) == node.shape
            assert np.asarray(first(env[-1])).dtype == node.dtype or node.role == "constant"
        return {
            name: first(env[result.index]) if isinstance(result, mg.Tensor) else result  # zeros of what is not reached
            for name, result in self.results.items()
        }


def first(value):
    """Return the first output of an op with several, which stands for its own entry."""
    return value[0] if type(value) is tuple else value


def eager(f, params, X, y):
    value, gradients = mg.value_and_grad(f)(params, X, y)
    return {"loss": value, **gradients}


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], strict=False)
        assert np.asarray(found[name]).dtype == np.asarray(expected[name]).dtype


@pytest.mark.parametrize("f", STEPS)
def test_recording_a_step_does_not_change_its_bits(f):
    params, (X, y) = make_params(), make_batch()
    captured = Captured(f, params, X, y)
    found = {name: x.value if isinstance(x, mg.Tensor) else x for name, x in captured.results.items()}
    assert_same_bits(found, eager(f, params, X, y))


@pytest.mark.parametrize("f", STEPS)
def test_replay_with_the_same_inputs_gives_the_same_bits(f):
    params, (X, y) = make_params(), make_batch()
    assert_same_bits(Captured(f, params, X, y).replay(params, X, y), eager(f, params, X, y))


@pytest.mark.parametrize("f", STEPS)
@pytest.mark.parametrize("seed", [1, 2])
def test_replay_with_other_inputs_gives_what_running_them_gives(f, seed):
    captured = Captured(f, make_params(), *make_batch())
    params, (X, y) = make_params(seed), make_batch(seed)
    assert_same_bits(captured.replay(params, X, y), eager(f, params, X, y))


@pytest.mark.parametrize("f", STEPS)
def test_replay_keeps_float32(f):
    def cast(params, X, y):
        return {name: w.astype(np.float32) for name, w in params.items()}, X.astype(np.float32), y

    captured = Captured(f, *cast(make_params(), *make_batch()))
    inputs = cast(make_params(3), *make_batch(3))
    found = captured.replay(*inputs)
    assert all(np.asarray(x).dtype == np.float32 for x in found.values())
    assert_same_bits(found, eager(f, *inputs))


def test_a_step_recorded_without_ties_replays_with_ties():
    def f(p, X, y):
        return np.sum(np.maximum(X @ p["W1"], 0) * X[0, 0]) + np.sum(np.maximum(p["b1"], p["b1"] * 1.0))

    captured = Captured(f, make_params(), *make_batch())
    params, (X, y) = make_params(1), make_batch(1)
    X[1:3] = 0.0
    params["b1"][:2] = 0.0
    assert_same_bits(captured.replay(params, X, y), eager(f, params, X, y))


def test_watching_the_parameters_only_keeps_the_batch_as_constants():
    params, (X, y) = make_params(), make_batch()
    tape = mg.Tape()
    mg.value_and_grad(mlp)(tape.watch(params), X, y)
    constants = [node.saved[0] for node in tape.nodes if node.role == "constant"]
    assert any(c is X for c in constants)
    assert any(c is y for c in constants)


def test_the_backward_pass_is_on_the_same_list():
    captured = Captured(mlp, make_params(), *make_batch())
    names = [node.name for node in captured.tape.nodes if node.role == "op"]
    assert names.index("softmax_loss") < names.index("softmax_loss_backward")
    assert names.count("matmul") == 2 + 3  # X has no cotangent


def test_names_of_inputs():
    captured = Captured(mlp, make_params(), *make_batch())
    assert [node.name for node in captured.tape.nodes[: captured.before]] == ["W1", "b1", "W2", "b2", "X", "y"]


def test_nodes_of_both_passes_carry_the_scope_of_the_layer():
    captured = Captured(mlp_with_scopes, make_params(), *make_batch())
    scopes = {}
    for node in captured.tape.nodes:
        if node.role == "op":
            scopes.setdefault(node.scope, []).append(node.name)
    assert scopes["fc1"].count("affine") == 1
    assert scopes["fc1"].count("matmul") == 1  # of the weights' gradient: none for X
    assert scopes["fc2"].count("matmul") == 2
    assert "relu" in scopes["act"]
    assert "multiply" in scopes["act"]
    assert "softmax_loss_backward" in scopes[""]


def test_scopes_around_the_call_do_not_double_up():
    tape = mg.Tape()
    params, (X, y) = tape.watch(make_params()), make_batch()
    with mg.scope("step"):
        mg.value_and_grad(mlp_with_scopes)(params, X, y)
    found = {node.scope for node in tape.nodes if node.role == "op"}
    assert found == {"step", "step/fc1", "step/act", "step/fc2"}


def test_lines_point_into_the_forward_pass():
    def forward(p, X, y):
        hidden = np.tanh(X @ p["W1"])
        return mg.softmax_loss(hidden @ p["W2"], y)

    captured = Captured(forward, make_params(), *make_batch(), lines=True)
    start = forward.__code__.co_firstlineno
    lines = {}
    for node in captured.tape.nodes:
        if node.role == "op":
            assert node.line[0] == __file__
            lines.setdefault(node.name, node.line[1])
    assert lines["tanh"] == start + 1
    assert lines["softmax_loss"] == start + 2
    assert all(node.line is None for node in captured.tape.nodes if node.role in ("input", "constant"))


def test_no_lines_unless_asked_for():
    captured = Captured(mlp, make_params(), *make_batch())
    assert all(node.line is None for node in captured.tape.nodes)


def test_a_model_is_captured_through_evaluate():
    from minigrad.demo import TwoLayerNet

    model = TwoLayerNet(input_dim=D, hidden_dim=H, num_classes=C, weight_scale=1.0, reg=0.3, seed=0)
    params, (X, y) = make_params(2), make_batch(2)
    captured = Captured(model.evaluate, model.params, *make_batch())
    model.params = params
    loss, grads = model.loss(X, y)
    assert_same_bits(captured.replay(params, X, y), {"loss": np.float64(loss), **grads})


@pytest.mark.parametrize("f", [mlp, mlp_with_scopes, batchnorm_net, hinge, second_order])
def test_a_static_capture_holds_no_branch_on_values(f):
    params, (X, y) = make_params(), make_batch()
    assert len(Captured(f, params, X, y, static=True).tape) > 10


@pytest.mark.parametrize("loss", [mg.softmax_loss, mg.svm_loss])
def test_fused_losses_to_second_order_with_watched_labels(loss):
    def f(p, X, y):
        return np.sum(mg.grad(lambda s: loss(s * s, y))(X @ p["W1"][:, :C]) ** 2)

    captured = Captured(f, make_params(), *make_batch())
    params, (X, y) = make_params(1), make_batch(1)
    assert_same_bits(captured.replay(params, X, y), eager(f, params, X, y))
