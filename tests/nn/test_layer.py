"""Layers compose into networks that are Models: names, shapes, state, masks, sharing, errors that name the layer."""

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

rng = np.random.default_rng(0)
X = rng.standard_normal((4, 6))
Y = np.array([0, 2, 1, 1])


class Block(nn.Layer):
    def __init__(self, units):
        self.first, self.second = nn.Affine(units), nn.Affine(units)

    def forward(self, x):
        return x + self.second(np.tanh(self.first(x)))


class Net(nn.Layer):
    def __init__(self):
        self.stem = nn.Affine(5)
        self.blocks = [Block(5), Block(5)]
        self.heads = {"left": nn.Affine(3), "right": nn.Affine(3)}

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.heads["left"](x) + self.heads["right"](x)


NAMES = [
    "stem.W",
    "stem.b",
    "blocks.0.first.W",
    "blocks.0.first.b",
    "blocks.0.second.W",
    "blocks.0.second.b",
    "blocks.1.first.W",
    "blocks.1.first.b",
    "blocks.1.second.W",
    "blocks.1.second.b",
    "heads.left.W",
    "heads.left.b",
    "heads.right.W",
    "heads.right.b",
]


def check(net, *inputs, y=None):
    """Gradients of a built network's loss with respect to all its parameters, to second order."""
    mg.check_grads(lambda params: np.sum(np.sin(net.apply(params, *inputs))), (dict(net.params),))


# --- composing --------------------------------------------------------------------------------------------------------


def test_names_follow_attributes_in_the_order_of_the_run():
    net = Net().build(X[:1], seed=0)
    assert list(net.params) == NAMES
    assert isinstance(net, mg.Model)
    loss, grads = net.loss(X, Y)
    assert list(grads) == NAMES
    assert all(grads[name].shape == w.shape for name, w in net.params.items())
    check(net, X)


def test_each_layer_is_a_scope():
    net = Net().build(X[:1], seed=0)
    tape = mg.Tape()
    net.apply(tape.watch(net.params), X)
    scopes = {node.scope for node in tape.nodes if node.primitive is not None}
    assert {"stem", "blocks.0", "blocks.0/first", "blocks.1/second", "heads.left"} <= scopes
    assert net.kinds["blocks.0/first"] == "Affine"
    assert net.kinds["blocks.1"] == "Block"
    assert set(net.kinds) >= {scope for scope in scopes if scope}


def test_the_network_equals_the_same_in_plain_numpy():
    net = nn.Sequential(nn.Affine(5), mg.relu, nn.Affine(3)).build(X[:1], seed=0)
    p = net.params
    by_hand = np.maximum(X @ p["affine1.W"] + p["affine1.b"], 0) @ p["affine2.W"] + p["affine2.b"]
    np.testing.assert_array_equal(net.loss(X), by_hand)
    np.testing.assert_array_equal(net(X), by_hand)


def test_names_in_sequential():
    net = nn.Sequential(
        nn.Conv2d(2, 3), np.tanh, nn.Conv2d(2, 3), mg.relu, nn.MaxPool2d(2), mg.relu, lambda x: 2 * x, head=nn.Affine(3)
    ).build(np.ones((1, 1, 8, 8)))
    assert list(dict(net.children())) == ["conv1", "tanh1", "conv2", "relu1", "pool1", "relu2", "function1", "head"]
    assert net["head"] is net[-1]
    assert len(net) == len(list(net)) == 8
    with pytest.raises(mg.OptionError, match='did you mean "conv1"'):
        net["covn1"]


def test_a_name_given_is_not_taken_again():
    net = nn.Sequential(nn.Affine(2), nn.Affine(3), affine1=nn.Affine(4))
    assert list(dict(net.children())) == ["affine2", "affine3", "affine1"]


def test_a_layer_in_two_places_shares_its_parameters():
    shared = nn.Affine(6)
    net = nn.Sequential(shared, np.tanh, shared, nn.Affine(3)).build(X[:1], seed=0)
    assert list(net.params) == ["affine1.W", "affine1.b", "affine3.W", "affine3.b"]
    p = net.params
    h = np.tanh(X @ p["affine1.W"] + p["affine1.b"]) @ p["affine1.W"] + p["affine1.b"]
    np.testing.assert_allclose(net(X), h @ p["affine3.W"] + p["affine3.b"])
    check(net, X)


def test_a_layer_built_before_keeps_its_values():
    trunk = nn.Sequential(nn.Affine(5), nn.BatchNorm()).build(X[:1], seed=1)
    trunk.state["batchnorm1.running_mean"] = np.arange(5.0)
    whole = nn.Sequential(trunk, nn.Affine(3)).build(X[:1], seed=2)
    np.testing.assert_array_equal(whole.params["sequential1.affine1.W"], trunk.params["affine1.W"])
    np.testing.assert_array_equal(whole.state["sequential1.batchnorm1.running_mean"], np.arange(5.0))
    assert not np.shares_memory(whole.params["sequential1.affine1.W"], trunk.params["affine1.W"])
    other = nn.Sequential(nn.Affine(4), trunk)
    with pytest.raises(mg.ShapeError, match=r"affine1.W: a layer built before gave an array of shape \(6, 5\)"):
        other.build(X[:1], seed=0)
    assert other.params == {}


def test_building_again_starts_anew():
    net = nn.Sequential(nn.Affine(3)).build(X[:1], seed=0)
    before = dict(net.params)
    net.build(np.ones((1, 9)), seed=0)
    assert net.params["affine1.W"].shape == (9, 3)
    assert before["affine1.W"].shape == (6, 3)


def test_residual():
    net = nn.Residual(nn.Affine(6), np.tanh).build(X[:1], seed=0)
    p = net.params
    np.testing.assert_allclose(net(X), X + np.tanh(X @ p["branch.affine1.W"] + p["branch.affine1.b"]))
    wide = nn.Residual(nn.Affine(8), shortcut=nn.Affine(8, bias=False)).build(X[:1], seed=0)
    assert list(wide.params) == ["branch.affine1.W", "branch.affine1.b", "shortcut.W"]
    with pytest.raises(mg.ShapeError, match=r"Residual: the branch made \(1, 8\) of x \(1, 6\)"):
        nn.Residual(nn.Affine(8)).build(X[:1])


# --- being a Model ----------------------------------------------------------------------------------------------------


def test_a_solver_trains_it():
    labels = (X[:, 0] > 0).astype(int)
    data = {"X_train": X, "y_train": labels, "X_val": X, "y_val": labels}
    net = nn.Sequential(nn.Affine(8), nn.BatchNorm(), nn.Dropout(0.9), nn.Affine(2)).build(X[:1], seed=0)
    net.silenced = (mg.BiasBeforeNormWarning,)
    solver = mg.Solver(
        net, data, optim_config={"learning_rate": 0.1}, num_epochs=30, batch_size=4, verbose=False, seed=0
    )
    solver.train()
    assert solver.best_val_acc == 1
    assert set(solver.best_state) == {"batchnorm1.running_mean", "batchnorm1.running_var", "rng"}


def test_an_objective_of_its_own():
    net = nn.Sequential(nn.Affine(2)).build(X[:1], seed=0)
    net.objective = lambda scores, y: mg.mse(scores, y)
    net.reg = 0.5
    target = np.zeros((4, 2))
    loss, _ = net.loss(X, target)
    np.testing.assert_allclose(loss, np.mean(net(X) ** 2) + 0.25 * np.sum(net.params["affine1.W"] ** 2))


def test_float32_stays():
    for example in (X[:1].astype(np.float32), X[:1]):
        dtype = np.float32
        net = nn.Sequential(nn.Affine(5), nn.BatchNorm(), mg.gelu, nn.Dropout(0.5), nn.Affine(3))
        net.silenced = (mg.BiasBeforeNormWarning,)
        net.build(example, seed=0, dtype=dtype)
        _, grads = net.loss(X, Y)  # float64 data
        assert {g.dtype for g in grads.values()} == {np.dtype(dtype)}
        assert net.loss(X).dtype == dtype
        assert net.state["batchnorm1.running_mean"].dtype == dtype


def test_copies_and_pickles():
    net = nn.Sequential(nn.Affine(5), mg.relu, nn.Dropout(0.5), nn.Affine(3)).build(X[:1], seed=0)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other(X), net(X))
        other.params["affine1.W"] += 1
        assert other.loss(X, Y)[0] != copy.deepcopy(net).loss(X, Y)[0]


def test_printing_a_network():
    text = repr(Net().build(X[:1], seed=0))
    assert "\n  blocks.0 " in text
    assert "\n    first " in text
    assert "W (6, 5), b (5,)" in text
    assert text.splitlines()[-1] == f"{35 + 4 * 30 + 2 * 18} parameters"
    assert repr(Net()) == "Net(stem=Affine, blocks.0=Block, blocks.1=Block, heads.left=Affine, heads.right=Affine)"


def test_two_threads_see_two_networks():
    nets = [nn.Sequential(nn.Affine(5), np.tanh, nn.Affine(3)).build(X[:1], seed=seed) for seed in range(2)]
    expected = [net.loss(X, Y)[0] for net in nets]
    found = [[], []]

    def run(number):
        for _ in range(100):
            found[number].append(nets[number].loss(X, Y)[0])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [set(losses) for losses in found] == [{loss} for loss in expected]


# --- train and test ---------------------------------------------------------------------------------------------------


def dropping():
    return nn.Sequential(nn.Affine(50, init=nn.init.ones), nn.Dropout(0.5), nn.Affine(3, init=nn.init.ones))


def test_masks_are_drawn_on_and_repeat_with_the_seed():
    def losses(net):
        return [net.loss(X, Y)[0] for _ in range(4)]

    X = np.eye(4)
    first, second = (losses(dropping().build(X, seed=7)) for _ in range(2))
    assert first == second
    net = nn.Sequential(nn.Dropout(0.5), nn.Affine(3)).build(X, seed=0)
    assert len(set(losses(net))) > 1


def test_without_a_seed_everything_comes_from_numpys_global_state():
    def run():
        np.random.seed(3)
        net = nn.Sequential(nn.Affine(20), nn.Dropout(0.5), nn.Affine(3)).build(X[:1])
        assert "rng" not in net.state
        return [net.loss(X, Y)[0] for _ in range(3)]

    assert run() == run()


def test_evaluation_neither_drops_nor_draws():
    net = nn.Sequential(nn.Affine(20), nn.Dropout(0.5), nn.Affine(3)).build(X[:1], seed=0)
    np.testing.assert_array_equal(net.loss(X), net.loss(X))
    before = copy.deepcopy(net).loss(X, Y)[0]
    net.loss(X)
    net.evaluate(net.params, X, Y)
    assert net.loss(X, Y)[0] == before  # the masks are those that would have come


def test_the_training_loss_as_a_function_has_one_mask_so_it_can_be_checked():
    net = nn.Sequential(nn.Affine(8), nn.Dropout(0.5), nn.BatchNorm(), nn.Affine(3)).build(X[:1], seed=0)
    mg.check_grads(lambda params: net.evaluate(params, X, Y), (dict(net.params),), order=1)


def test_running_statistics():
    net = nn.Sequential(nn.BatchNorm(momentum=0.8), nn.Affine(3)).build(X[:1], seed=0)
    mean, var = np.zeros(6), np.ones(6)
    for _ in range(3):
        net.loss(X, Y)
        mean, var = 0.8 * mean + 0.2 * X.mean(0), 0.8 * var + 0.2 * X.var(0)
    np.testing.assert_allclose(net.state["batchnorm1.running_mean"], mean)
    np.testing.assert_allclose(net.state["batchnorm1.running_var"], var)
    p = net.params
    normal = (X - mean) / np.sqrt(var + 1e-5)
    np.testing.assert_allclose(net.loss(X), normal @ p["affine1.W"] + p["affine1.b"])


def test_a_failed_step_leaves_the_state():
    net = nn.Sequential(nn.Affine(4), nn.BatchNorm(), nn.Dropout(0.5), nn.Affine(3)).build(X[:1], seed=0)
    net.silenced = (mg.BiasBeforeNormWarning,)
    net.loss(X, Y)
    before = copy.deepcopy(net.state)
    with pytest.raises(mg.DataError):
        net.loss(X, np.array([0, 1, 2, 3]))
    for name in ("batchnorm1.running_mean", "batchnorm1.running_var"):
        np.testing.assert_array_equal(net.state[name], before[name])
    assert net.state["rng"].bit_generator.state == before["rng"].bit_generator.state


# --- a layer of one's own ---------------------------------------------------------------------------------------------


class Counting(nn.Layer):
    """Declares a parameter and a statistic, and asks for all there is."""

    def parameters(self, x):
        return {"gain": (x.shape[1:], nn.init.ones)}

    def statistics(self, x):
        return {"calls": ((), nn.init.zeros)}

    def forward(self, x, gain, state, train, rng):
        if train:
            state["calls"] = state["calls"] + 1
            x = x + 0 * rng.standard_normal(x.shape)
        return x * gain


def test_a_layer_gets_what_it_names():
    net = nn.Sequential(Counting(), nn.Affine(3)).build(X[:1], seed=0)
    for _ in range(3):
        net.loss(X, Y)
        net.loss(X)
    assert net.state["counting1.calls"] == 3
    assert list(net.params) == ["counting1.gain", "affine1.W", "affine1.b"]
    assert "rng" in net.state


def test_a_layer_with_several_inputs_and_keywords():
    class Mix(nn.Layer):
        def parameters(self, x, y):
            return {"W": ((x.shape[1], y.shape[1]), nn.init.normal(1.0))}

        def forward(self, x, y, *, scale=1.0, W):
            return scale * (x @ W) * y

    class Net(nn.Layer):
        def __init__(self):
            self.mix = Mix()

        def forward(self, x):
            return self.mix(x, x[:, :3], scale=2.0)

    net = Net().build(X[:1], seed=0)
    np.testing.assert_allclose(net(X), 2 * (X @ net.params["mix.W"]) * X[:, :3])


class Mean(nn.Layer):
    """Keeps a running mean, written without `stop_gradient`."""

    def parameters(self, x):
        return {"gain": (x.shape[1:], nn.init.ones)}

    def statistics(self, x):
        return {"mean": (x.shape[1:], nn.init.zeros)}

    def forward(self, x, gain, state, train):
        if train:
            state["mean"] = 0.9 * state["mean"] + 0.1 * np.mean(x * gain, axis=0)
        return x * gain


def test_statistics_are_plain_arrays_after_any_training_run():
    net = nn.Sequential(Mean(), nn.Affine(3)).build(X[:1], seed=0)
    mg.grad(lambda params: np.sum(net.apply(params, X, train=True)))(dict(net.params))
    assert type(net.state["mean1.mean"]) is np.ndarray
    np.testing.assert_allclose(net.state["mean1.mean"], 0.1 * X.mean(axis=0))
    net.loss(X, Y)  # and the next step can begin
    np.testing.assert_allclose(net.state["mean1.mean"], 0.19 * X.mean(axis=0))


def test_a_layers_own_state_reads_as_a_mapping():
    class Asking(Mean):
        def forward(self, x, gain, state):
            assert list(state) == ["mean"] and "mean" in state and state.get("var") is None
            return x * gain

    nn.Sequential(Asking()).build(X, seed=0)


def test_calling_a_network_is_its_test_time_pass():
    net = nn.Sequential(nn.Affine(3)).build(X[:1], seed=0, dtype=np.float32)
    assert net(X).dtype == np.float32
    np.testing.assert_array_equal(net(X), net.loss(X))
    np.testing.assert_array_equal(net(X.tolist()), net(X))
    np.testing.assert_array_equal(mg.grad(lambda x: net(x)[1, 0])(X)[[0, 2, 3]], 0)
    del net.params["affine1.b"]
    with pytest.raises(mg.ParameterError, match="has no parameter 'affine1.b'"):
        net(X)


def test_calling_a_network_with_keywords():
    x = rng.standard_normal((2, 5, 8))
    mask = np.tril(np.ones((5, 5), bool))
    net = nn.MultiHeadAttention(2).build(x, seed=0)
    causal = nn.MultiHeadAttention(2, causal=True).build(x, seed=0)
    np.testing.assert_allclose(net(x, mask=mask), causal(x))
    np.testing.assert_allclose(net.apply(net.params, x, mask=mask), causal(x))


def test_a_call_leaves_the_callers_arrays():
    class Wrong(nn.Layer):
        def __init__(self):
            self.a = nn.Affine(3)

        def forward(self, x):
            x -= 1
            return self.a(x)

    net, before = Wrong().build(X.copy(), seed=0), X.copy()
    with pytest.raises(mg.ParameterError, match="in place"):
        net(X)
    np.testing.assert_array_equal(X, before)


def test_channels_at_the_end():
    images = rng.standard_normal((4, 6, 6, 4))

    def make(layout, *shape):
        net = nn.Sequential(
            nn.Conv2d(4, 3, layout=layout, bias=False),
            nn.BatchNorm(layout=layout),
            nn.GroupNorm(2, layout=layout),
            nn.InstanceNorm(layout=layout),
            nn.MaxPool2d(2, layout=layout),
            nn.GlobalAvgPool(layout=layout),
            nn.Affine(3),
        )
        return net.build(np.ones((1, *shape)), seed=0)

    last, first = make("NHWC", 6, 6, 4), make("NCHW", 4, 6, 6)
    moved = np.moveaxis(images, -1, 1)
    np.testing.assert_allclose(last(images), first(moved))
    (loss, grads), (expected, others) = last.loss(images, Y), first.loss(moved, Y)
    np.testing.assert_allclose(loss, expected)
    for name, g in grads.items():
        np.testing.assert_allclose(g, others[name], atol=1e-12)
    for name, statistic in last.state.items():
        np.testing.assert_allclose(statistic, first.state[name])


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_before_it_is_built():
    net = Net()
    for call in (lambda: net.loss(X), lambda: net.loss(X, Y), lambda: net(X), lambda: net.evaluate({}, X)):
        with pytest.raises(mg.ParameterError, match=r"build the network with an example of its input"):
            call()
    with pytest.raises(mg.ParameterError, match=r"build"):
        mg.Solver(net, {"X_train": X, "y_train": Y, "X_val": X, "y_val": Y})
    with pytest.raises(mg.OptionError, match="needs an example"):
        net.build()


def test_a_layer_made_in_forward():
    class Wrong(nn.Layer):
        def forward(self, x):
            return nn.Affine(3)(x)

    with pytest.raises(
        mg.ParameterError, match="Affine is no part of the network .* set in __init__ and not in forward"
    ):
        Wrong().build(X)


def test_a_layer_that_the_example_does_not_reach():
    class Wrong(nn.Layer):
        def __init__(self):
            self.a, self.b = nn.Affine(3), nn.Affine(3)

        def forward(self, x):
            return self.a(x) if len(x) == 1 else self.b(x)

    with pytest.raises(mg.ParameterError, match="b: this layer was not reached when the network was built"):
        Wrong().build(X[:1]).loss(X)


def test_a_parameter_that_forward_does_not_name():
    class Wrong(nn.Layer):
        def parameters(self, x):
            return {"W": ((2, 2), nn.init.ones)}

        def forward(self, x):
            return x

    with pytest.raises(mg.ParameterError, match=r"declares the parameter 'W', and its forward\(x\) does not take it"):
        Wrong().build(X)


def test_no_parameters_at_all():
    with pytest.raises(mg.ParameterError, match="none of its layers declares any"):
        nn.Sequential(mg.relu).build(X)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.Affine(0), r"Affine: units=0 came; it takes a whole number from 1 on"),
        (lambda: nn.Affine(2.5), r"units=2.5"),
        (lambda: nn.Conv2d(4, "same"), r"kernel='same'"),
        (lambda: nn.Conv2d(4, (3, 3, 3)), r"kernel=\(3, 3, 3\) came; it takes a whole number or 2 of them"),
        (lambda: nn.Dropout(0.0), r"probability of KEEPING"),
        (lambda: nn.BatchNorm(momentum=2), r"momentum=2 came"),
        (lambda: nn.Sequential(), r"at least one layer"),
        (lambda: nn.Sequential(nn.Affine), r"the class Affine came in place of a layer: make one, Affine"),
        (lambda: nn.Sequential("relu"), r"a Layer or a function of arrays, and str came"),
        (
            lambda: nn.MultiHeadAttention(3).build(np.ones((1, 5, 8))),
            r"3 heads do not divide the width 8; .*1, 2, 4, 8",
        ),
        (lambda: nn.Affine(3).build(np.ones(5)), r"x \(5,\) came; it takes a minibatch"),
        (lambda: nn.LSTM(3).build(X), r"LSTM: x \(4, 6\) came; it takes sequences"),
        (lambda: nn.Conv2d(3, 3).build(X), r"Conv2d: x \(4, 6\) came; it takes a minibatch \(N, C, H, W\)"),
        (lambda: nn.Affine(3).build(X, dtype=int), r"parameters of dtype int64"),
        (lambda: nn.Affine(3).build(X, seed="one"), r"seed='one'"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(mg.MinigradError, match=message):
        make()


def test_an_error_in_training_names_the_layer_the_line_and_what_came_before():
    net = nn.Sequential(nn.Conv2d(3, 3), mg.relu, nn.Affine(4)).build(np.ones((1, 2, 5, 5)), seed=0)
    for labels in (np.array([0]), None):
        with pytest.raises(mg.ShapeError) as caught:
            net.loss(np.ones((1, 2, 6, 6)), labels)
        text = str(caught.value)
        assert "affine in affine1: x (1, 3, 4, 4), w (27, 4)" in text
        assert "recorded before it:\n    biased_convolution (1, 3, 4, 4) float64 in conv1\n    relu" in text


# --- every layer ------------------------------------------------------------------------------------------------------

IMAGES = rng.standard_normal((2, 4, 6, 6))
SEQUENCES = rng.standard_normal((2, 5, 4))
LAYERS = [
    (nn.Affine(3), X),
    (nn.Affine(3, bias=False), IMAGES),
    (nn.Affine(3, axis=-1), SEQUENCES),
    (nn.Conv2d(3, 3, padding="same", stride=2), IMAGES),
    (nn.Conv2d(4, (3, 1), groups=2, bias=False), IMAGES),
    (nn.Conv2d(3, 3, layout="NHWC"), IMAGES),
    (nn.Conv1d(3, 2), SEQUENCES),
    (nn.ConvTranspose2d(3, 4, stride=2, padding=1), IMAGES),
    (nn.Sequential(nn.Affine(3), nn.BatchNorm()), X),
    (nn.Sequential(nn.Conv2d(3, 3), nn.BatchNorm()), IMAGES),
    (nn.LayerNorm(), SEQUENCES),
    (nn.RMSNorm(), SEQUENCES),
    (nn.GroupNorm(2), IMAGES),
    (nn.InstanceNorm(), IMAGES),
    (nn.RNN(3), SEQUENCES),
    (nn.LSTM(3), SEQUENCES),
    (nn.LSTM(3, last=True), SEQUENCES),
    (nn.GRU(3), SEQUENCES),
    (nn.Embedding(7, 3), np.array([[0, 6, 6], [1, 2, 0]])),
    (nn.MultiHeadAttention(2), SEQUENCES),
    (nn.MultiHeadAttention(2, causal=True), SEQUENCES),
    (nn.TransformerEncoderLayer(2, 6), SEQUENCES),
    (nn.TransformerEncoderLayer(2, 6, norm_first=True, causal=True, activation=mg.gelu), SEQUENCES),
    (nn.Sequential(nn.Affine(3, axis=-1), nn.PositionalEncoding()), SEQUENCES),
    *(
        (nn.Sequential(nn.Conv2d(2, 1), layer), IMAGES)
        for layer in (
            nn.MaxPool2d(2),
            nn.AvgPool2d(3, stride=1),
            nn.AdaptiveAvgPool2d((2, 3)),
            nn.GlobalAvgPool(),
            nn.Upsample(2, mode="bilinear"),
            nn.Flatten(),
            nn.Reshape(8, 9),
            nn.ReLU(),
            nn.LeakyReLU(slope=0.2),
            nn.ELU(),
            nn.SELU(),
            nn.GELU(approximate="tanh"),
            nn.SiLU(),
            nn.Sigmoid(),
            nn.Softplus(),
            nn.Tanh(),
        )
    ),
]


@pytest.mark.parametrize("layer, x", LAYERS, ids=lambda value: getattr(value, "kind", ""))
def test_gradients_of_every_layer(layer, x):
    net = layer.build(x[:1], seed=0)
    check(net, x)
    trained = net.apply(net.params, x, train=True)
    assert trained.shape == net(x).shape


def test_every_layer_is_tried():
    tried = {type(layer) for layer, _ in LAYERS}
    for layer, _ in LAYERS:
        tried |= {type(inner) for inner, _ in layer._placed()}
    tried |= {nn.Dropout, nn.Residual, nn.Layer, nn.Function, nn.TransformerDecoderLayer}  # elsewhere in this file
    assert {getattr(nn, name) for name in nn.__all__ if name != "init"} <= tried


def test_decoder_layer():
    memory = rng.standard_normal((2, 3, 4))
    layer = nn.TransformerDecoderLayer(2, 6).build(SEQUENCES[:1], memory[:1], seed=0)
    check(layer, SEQUENCES, memory)
    changed = SEQUENCES.copy()
    changed[:, 3:] += 1
    np.testing.assert_allclose(layer(changed, memory)[:, :3], layer(SEQUENCES, memory)[:, :3])  # causal


def test_dropout_of_channels():
    net = nn.Sequential(nn.Dropout(0.5, channels=True), nn.Flatten(), nn.Affine(3)).build(IMAGES[:1], seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.loss(IMAGES, np.array([0, 1]))
    seen = []
    probe = nn.Sequential(
        nn.Dropout(0.5, channels=True), lambda x: seen.append(np.asarray(x.value if hasattr(x, "value") else x)) or x,
        nn.Affine(3),
    ).build(IMAGES[:1], seed=0)  # fmt: skip
    probe.loss(np.ones((8, 4, 6, 6)), np.arange(8) % 3)
    kept = seen[-1].reshape(8, 4, 36)
    assert set(np.unique(kept)) == {0.0, 2.0}
    np.testing.assert_array_equal(kept.min(axis=2), kept.max(axis=2))


def test_names_that_are_not_distinct():
    class Wrong(nn.Layer):
        def __init__(self):
            self.heads = {"1": nn.Affine(6), 1: nn.Affine(6)}

        def forward(self, x):
            return self.heads[1](self.heads["1"](x))

    with pytest.raises(mg.ParameterError, match="two layers have a 'heads.1.W'"):
        Wrong().build(X)


def test_a_return_forgotten_in_a_part():
    class Wrong(nn.Layer):
        def __init__(self):
            self.a = nn.Affine(3)

        def forward(self, x):
            self.a(x)

    with pytest.raises(mg.DTypeError, match="wrong1: Wrong.forward returned None; is a `return` missing"):
        nn.Sequential(Wrong(), nn.Affine(3)).build(X)


def test_a_layer_that_is_no_part():
    class Hidden(nn.Layer):
        def __init__(self, layer):
            self._layer = layer

        def forward(self, x):
            return self._layer(x)

    with pytest.raises(mg.ParameterError, match="without a leading underscore") as caught:
        Hidden(nn.Affine(3)).build(X)
    assert "apply" not in str(caught.value)
    other = nn.Sequential(nn.Affine(3)).build(X, seed=0)
    with pytest.raises(mg.ParameterError, match=r"a network of its own.* is run with its apply\(params, x\)"):
        Hidden(other).build(X)
    net = nn.Sequential(nn.Affine(3)).build(X, seed=0)
    net.layers["affine1"] = nn.Affine(4)
    with pytest.raises(mg.ParameterError, match="build the network again"):
        net(X)


def test_a_statistic_that_is_not_declared():
    class Wrong(Mean):
        def forward(self, x, gain, state):
            state["var"] = 1.0
            return x * gain

    with pytest.raises(
        mg.ParameterError, match=r"wrong1: statistics\(\) does not declare 'var'.* \(it declares: mean\)"
    ):
        nn.Sequential(Wrong()).build(X)


def test_an_error_of_numpy_while_building_names_the_layer():
    class Wrong(nn.Layer):
        def __init__(self):
            self.a = nn.Affine(5)

        def forward(self, x):
            return x + self.a(x)

    with pytest.raises(mg.ShapeError, match=r"add in wrong1: X \(4, 6\) \+ \(4, 5\)") as caught:
        nn.Sequential(Wrong()).build(X, seed=0)
    assert "return x + self.a(x)" in str(caught.value)
    assert "affine (4, 5) float64 in wrong1/a" in str(caught.value)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.Conv2d(4, 3, strides=2), r"Conv2d: .*'strides'; did you mean \"stride\""),
        (lambda: nn.MaxPool2d(2, 2, 2), r"MaxPool2d: too many positional arguments"),
        (lambda: nn.AdaptiveAvgPool2d(), r"AdaptiveAvgPool2d: missing a required argument: 'size'"),
        (lambda: nn.BatchNorm(layout="channels_last"), r"BatchNorm: layout='channels_last' came; it is NCHW or NHWC"),
    ],
)
def test_options_are_checked_at_once(make, message):
    with pytest.raises(mg.OptionError, match=message):
        make()


def test_attention_to_what_is_no_sequence():
    with pytest.raises(mg.ShapeError, match=r"memory \(2, 8\) came; it takes sequences"):
        nn.MultiHeadAttention(2).build(np.ones((2, 5, 8)), np.ones((2, 8)))
