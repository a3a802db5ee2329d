"""The models give the course's numbers, their gradients are right, and bad input is answered."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import models

rng = np.random.default_rng(0)
X = rng.standard_normal((4, 12))
Y = np.array([0, 2, 1, 1])
IMAGES = rng.standard_normal((4, 2, 8, 8))
WORDS = {"<NULL>": 0, "<START>": 1, "<END>": 2, "a": 3, "cat": 4, "dog": 5}
FEATURES = rng.standard_normal((3, 6))
CAPTIONS = np.array([[1, 3, 4, 2, 0], [1, 4, 2, 0, 0], [1, 3, 5, 4, 2]])
TEXT = "to be or not to be, that is the question"


# --- published numbers ------------------------------------------------------------------------------------------------


@pytest.fixture
def course():
    np.random.seed(231)
    return np.random.randn(2, 15), np.random.randint(10, size=(2,))


@pytest.mark.parametrize(
    "normalization, expected",
    [(None, [2.3004790897684924, 7.052114776533016]), ("batchnorm", [2.2611955101340957, 6.996533220108303])],
)
def test_fully_connected_net(course, normalization, expected):
    X, y = course
    found = [
        models.FullyConnectedNet(
            [20, 30], input_dim=15, num_classes=10, reg=reg, weight_scale=5e-2, normalization=normalization
        ).loss(X, y)[0]
        for reg in (0, 3.14)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_dropout_as_the_course_seeds_it(course):
    X, y = course
    found = [
        mg.cs231n.FullyConnectedNet(
            [20, 30], 15, 10, dropout_keep_ratio=ratio, weight_scale=5e-2, dtype=np.float64, seed=123
        ).loss(X, y)[0]
        for ratio in (1, 0.75, 0.5)
    ]
    np.testing.assert_allclose(found, [2.3004790897684924, 2.302371489704412, 2.30427592207859], rtol=1e-13)


def filled(model, low, high):
    for name, w in model.params.items():
        model.params[name] = np.linspace(low, high, num=w.size).reshape(w.shape)
    return model


@pytest.mark.parametrize(
    "cell_type, features, expected", [("rnn", (-1.5, 0.3), 9.83235591003), ("lstm", (-0.5, 1.7), 9.82445935443)]
)
def test_captioning(cell_type, features, expected):
    N, D, W, H, T, words = 10, 20, 30, 40, 13, {"<NULL>": 0, "cat": 1, "dog": 2}
    model = models.CaptioningRNN(words, input_dim=D, wordvec_dim=W, hidden_dim=H, cell_type=cell_type)
    filled(model, -1.4, 1.3)
    features = np.linspace(*features, num=N * D).reshape(N, D)
    captions = (np.arange(N * T) % len(words)).reshape(N, T)
    loss, _ = model.loss(features, captions)
    assert abs(loss - expected) < 5e-12


def test_two_layer_net():
    N, D, H, C = 3, 5, 50, 7
    model = models.TwoLayerNet(input_dim=D, hidden_dim=H, num_classes=C, weight_scale=1e-3)
    model.params = {
        "W1": np.linspace(-0.7, 0.3, num=D * H).reshape(D, H),
        "b1": np.linspace(-0.1, 0.9, num=H),
        "W2": np.linspace(-0.3, 0.4, num=H * C).reshape(H, C),
        "b2": np.linspace(-0.9, 0.1, num=C),
    }
    X = np.linspace(-5.5, 4.5, num=N * D).reshape(D, N).T
    scores = [
        [11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765, 16.09215096],
        [12.05769098, 12.74614105, 13.43459113, 14.1230412, 14.81149128, 15.49994135, 16.18839143],
        [12.58373087, 13.20054771, 13.81736455, 14.43418138, 15.05099822, 15.66781506, 16.2846319],
    ]
    np.testing.assert_allclose(model.loss(X), scores, atol=1e-8)
    y = np.array([0, 5, 1])
    losses = []
    for model.reg in (0.0, 1.0):
        losses.append(model.loss(X, y)[0])
    np.testing.assert_allclose(losses, [3.4702243556, 26.5948426952], atol=1e-10)


def test_a_fresh_convnet_is_undecided():
    """log(10) without regularisation, a little more with it: the course's sanity check."""
    np.random.seed(0)
    model = models.ThreeLayerConvNet()
    X, y = np.random.randn(10, 3, 32, 32), np.random.randint(10, size=10)
    assert abs(model.loss(X, y)[0] - np.log(10)) < 1e-4
    model.reg = 0.5
    assert 2.45 < model.loss(X, y)[0] < 2.55


# --- drawn as the course draws ----------------------------------------------------------------------------------------


def test_order_and_scale_of_the_weights():
    np.random.seed(5)
    expected = [1e-3 * np.random.randn(*shape) for shape in [(4, 2, 3, 3), (4 * 16, 7), (7, 10)]]
    np.random.seed(5)
    model = models.ThreeLayerConvNet((2, 8, 8), num_filters=4, filter_size=3, hidden_dim=7)
    for number, w in enumerate(expected, start=1):
        np.testing.assert_array_equal(model.params[f"W{number}"], w)
    np.random.seed(5)
    drawn = [np.random.randn(*shape) for shape in [(6, 5), (6, 4), (5, 16), (4, 16), (4, 6)]]
    np.random.seed(5)
    model = models.CaptioningRNN(WORDS, input_dim=6, wordvec_dim=5, hidden_dim=4, cell_type="lstm")
    scales = [1 / 100, 1 / np.sqrt(6), 1 / np.sqrt(5), 1 / np.sqrt(4), 1 / np.sqrt(4)]
    for name, w, scale in zip(("W_embed", "W_proj", "Wx", "Wh", "W_vocab"), drawn, scales):
        np.testing.assert_allclose(model.params[name], w * scale, rtol=1e-15)


def make(name, seed=0, **more):
    arguments = {
        "LinearClassifier": lambda: models.LinearClassifier(12, 3, weight_scale=0.5, seed=seed, **more),
        "LinearClassifier svm": lambda: models.LinearClassifier(12, 3, loss="svm", weight_scale=0.5, seed=seed, **more),
        "TwoLayerNet": lambda: models.TwoLayerNet(12, 5, 3, weight_scale=0.5, seed=seed, **more),
        "FullyConnectedNet": lambda: models.FullyConnectedNet([6, 5], 12, 3, weight_scale=0.5, seed=seed, **more),
        "FullyConnectedNet batchnorm": lambda: models.FullyConnectedNet(
            [6, 5], 12, 3, weight_scale=0.5, normalization="batchnorm", dropout=0.8, seed=seed, **more
        ),
        "FullyConnectedNet layernorm": lambda: models.FullyConnectedNet(
            [6, 5], 12, 3, weight_scale=0.5, normalization="layernorm", seed=seed, **more
        ),
        "ThreeLayerConvNet": lambda: models.ThreeLayerConvNet(
            (2, 8, 8), 3, 3, 5, 3, weight_scale=0.3, seed=seed, **more
        ),
        "ConvNet": lambda: models.ConvNet((2, 8, 8), (3, 4), 1, (6,), 3, dropout=0.8, seed=seed, **more),
        "ResNet": lambda: models.ResNet((2, 8, 8), blocks=(1, 2), width=3, num_classes=3, seed=seed, **more),
        "CaptioningRNN rnn": lambda: models.CaptioningRNN(WORDS, 6, 5, 4, "rnn", seed=seed, **more),
        "CaptioningRNN lstm": lambda: models.CaptioningRNN(WORDS, 6, 5, 4, "lstm", seed=seed, **more),
        "CaptioningTransformer": lambda: models.CaptioningTransformer(
            WORDS, 6, 8, 2, 1, dropout=0.9, seed=seed, **more
        ),
        "CharTransformer": lambda: models.CharTransformer(TEXT, 6, 8, 2, 1, dropout=0.9, seed=seed, **more),
    }
    return arguments[name]()


def data_for(name):
    if name.startswith("Captioning"):
        return FEATURES, CAPTIONS
    if name == "CharTransformer":
        letters = sorted(set(TEXT))
        return (numbers := rng.integers(0, len(letters), (2, 7)))[:, :-1], numbers[:, 1:]
    return (IMAGES if "Conv" in name or name == "ResNet" else X), Y


NAMES = [
    "LinearClassifier",
    "LinearClassifier svm",
    "TwoLayerNet",
    "FullyConnectedNet",
    "FullyConnectedNet batchnorm",
    "FullyConnectedNet layernorm",
    "ThreeLayerConvNet",
    "ConvNet",
    "ResNet",
    "CaptioningRNN rnn",
    "CaptioningRNN lstm",
    "CaptioningTransformer",
    "CharTransformer",
]


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    model = make(name)
    model.reg = 0.1
    X, y = data_for(name)
    mg.check_grads(lambda params: model.evaluate(params, X, y), (dict(model.params),), order=1)
    state = copy.deepcopy(model.state)
    loss, grads = model.loss(X, y)
    model.state = state
    value, by_function = mg.value_and_grad(lambda params: model.evaluate(params, X, y))(dict(model.params))
    assert loss == value
    for key, g in grads.items():
        np.testing.assert_array_equal(g, by_function[key])


@pytest.mark.parametrize("name", NAMES)
def test_seeds_dtypes_and_copies(name):
    X, y = data_for(name)
    first, second, other = make(name), make(name), make(name, seed=1)
    assert first.loss(X, y)[0] == second.loss(X, y)[0] != other.loss(X, y)[0]
    again = pickle.loads(pickle.dumps(first))
    assert again.loss(X, y)[0] == copy.deepcopy(first).loss(X, y)[0]
    small = make(name, dtype=np.float32)
    loss, grads = small.loss(X, y)  # of float64 data
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(loss, second.loss(X, y)[0] if "Conv" not in name else loss, rtol=0.5)


@pytest.mark.parametrize("name", [name for name in NAMES if "Transformer" not in name and "Caption" not in name])
def test_scores_at_test_time(name):
    model, (X, _) = make(name), data_for(name)
    scores = model.loss(X)
    assert type(scores) is np.ndarray and scores.shape == (4, 3)
    np.testing.assert_array_equal(scores, model.loss(X))
    np.testing.assert_allclose(scores[:1], model.loss(X[:1]))  # each sample on its own


def test_running_statistics_of_the_courses_network():
    model = models.FullyConnectedNet([5], 12, 3, normalization="batchnorm", weight_scale=1, seed=0)
    hidden = X @ model.params["W1"] + model.params["b1"]
    model.loss(X, Y)
    np.testing.assert_allclose(model.state["running_mean1"], 0.1 * hidden.mean(axis=0))
    np.testing.assert_allclose(model.state["running_var1"], 0.1 * hidden.var(axis=0))


# --- writing captions and text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CaptioningRNN rnn", "CaptioningRNN lstm", "CaptioningTransformer"])
def test_a_caption_is_the_likeliest_word_each_time(name):
    model = make(name)
    if name == "CaptioningTransformer":
        model.params["vocab.W"] = 10 * model.params["vocab.W"]
    written = model.sample(FEATURES, max_length=6)
    assert written.shape == (3, 6)
    words = np.full((3, 1), WORDS["<START>"])
    for t in range(6):
        scores = model.apply(model.params, FEATURES, words)[:, -1]
        going = ~(words[:, 1:] == WORDS["<END>"]).any(axis=1)
        np.testing.assert_array_equal(written[going, t], scores.argmax(axis=1)[going])
        assert (written[~going, t] == WORDS["<NULL>"]).all()
        words = np.concatenate([words, scores.argmax(axis=1)[:, np.newaxis]], axis=1)


def test_padding_does_not_count():
    model = make("CaptioningRNN rnn")
    longer = np.concatenate([CAPTIONS, np.zeros((3, 4), int)], axis=1)
    assert abs(model.loss(FEATURES, CAPTIONS)[0] - model.loss(FEATURES, longer)[0]) < 1e-12


def test_captions_as_text():
    model = make("CaptioningRNN rnn")
    assert model.captions.decode(CAPTIONS) == ["a cat", "cat", "a dog cat"]


def test_a_language_model_sees_only_what_came_before():
    model = make("CharTransformer")
    numbers = rng.integers(0, len(model.alphabet), (1, 6))
    changed = numbers.copy()
    changed[0, 4:] = 0
    np.testing.assert_allclose(model(numbers)[:, :4], model(changed)[:, :4])
    assert model.decode(model.encode(TEXT)) == TEXT
    assert model.sample("to", 20, rng=1) == model.sample("to", 20, rng=1)
    assert len(model.sample("to be", 20, temperature=1e-6, rng=0)) == 25


def test_pieces_of_a_text():
    model = make("CharTransformer")
    X, y = model.batch(model.encode(TEXT), 50, rng=0)
    assert X.shape == y.shape == (50, 6)
    np.testing.assert_array_equal(X[:, 1:], y[:, :-1])
    assert {model.decode(row) for row in X} <= {TEXT[i : i + 6] for i in range(len(TEXT) - 6)}


# --- the pair ---------------------------------------------------------------------------------------------------------


def pair(kind, **more):
    shape = (1, 8, 8)
    if kind == "conv":
        players = models.ConvGenerator(shape, 4, 3, seed=0), models.ConvDiscriminator(shape, 3, seed=1)
    else:
        players = (
            models.FullyConnectedGenerator(shape, 4, 9, seed=0),
            models.FullyConnectedDiscriminator(shape, 9, seed=1),
        )
    for player in players:
        player.silenced = (mg.BiasBeforeNormWarning,)
    return models.GAN(*players, seed=2, **more)


@pytest.mark.parametrize("loss", ["gan", "lsgan"])
@pytest.mark.parametrize("kind", ["fully connected", "conv"])
def test_the_losses_of_a_gan(kind, loss):
    gan, real = pair(kind, loss=loss), rng.standard_normal((5, 1, 8, 8))
    again = pair(kind, loss=loss)
    noise = np.random.default_rng(2).uniform(-1, 1, (5, 4))
    fake = again.generator.apply(again.generator.params, noise, train=True)
    d = again.discriminator
    judge = {"gan": mg.gan_discriminator_loss, "lsgan": mg.lsgan_discriminator_loss}[loss]
    value, grads = gan.discriminator_loss(real)
    assert abs(value - judge(d(real), d(fake))) < 1e-12
    assert list(grads) == list(gan.discriminator.params)
    value, grads = gan.generator_loss(6)
    assert list(grads) == list(gan.generator.params)
    assert all(np.isfinite(g).all() for g in grads.values())
    images = gan.sample(3)
    assert images.shape == (3, 1, 8, 8) and np.abs(images).max() <= 1


def test_the_gradient_of_a_generator():
    gan = pair("fully connected")
    noise = gan.noise(4)
    gan.noise = lambda count: noise
    value, grads = gan.generator_loss(4)

    def loss(params):
        return mg.gan_generator_loss(gan.discriminator(gan.generator.apply(params, noise, train=True)))

    mg.check_grads(loss, (dict(gan.generator.params),), order=1)
    expected = mg.grad(loss)(dict(gan.generator.params))
    for name, g in grads.items():
        np.testing.assert_allclose(g, expected[name])


@pytest.mark.parametrize("seed", [None, 3])
def test_a_gan_can_be_copied(seed):
    np.random.seed(0)
    gan = models.GAN(*(pair("fully connected").__dict__[name] for name in ("generator", "discriminator")), seed=seed)
    for other in (copy.deepcopy(gan), pickle.loads(pickle.dumps(gan))):
        assert other.sample(2).shape == (2, 1, 8, 8)


def test_a_judge_with_statistics_of_its_own():
    class Centre(mg.nn.Layer):
        def parameters(self, x):
            return {"gain": (x.shape[1:], mg.nn.init.ones)}

        def statistics(self, x):
            return {"mean": (x.shape[1:], mg.nn.init.zeros)}

        def forward(self, x, gain, state, train):
            if train:
                state["mean"] = 0.9 * state["mean"] + 0.1 * np.mean(x * gain, axis=0)
            return (x - state["mean"]) * gain

    judge = mg.nn.Sequential(Centre(), mg.nn.Affine(1)).build(np.ones((1, 1, 8, 8)), seed=0)
    gan = models.GAN(models.FullyConnectedGenerator((1, 8, 8), 4, 9, seed=0), judge, seed=1)
    for _ in range(2):
        gan.generator_loss(5)
        assert type(judge.state["centre1.mean"]) is np.ndarray
        gan.discriminator_loss(rng.standard_normal((5, 1, 8, 8)))


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: models.LinearClassifier(loss="svn"), 'loss=.svn. came; it is softmax or svm; did you mean "svm"'),
        (lambda: models.FullyConnectedNet([5], normalization="batch"), r"normalization='batch' came"),
        (lambda: models.FullyConnectedNet([5], dropout=0), "probability of KEEPING"),
        (lambda: models.FullyConnectedNet([5], dropout=1.5), "probability of KEEPING"),
        (lambda: models.ThreeLayerConvNet((3, 7, 8)), "even height and width"),
        (lambda: models.ThreeLayerConvNet((3, 8, 8), filter_size=4), "odd filter size"),
        (lambda: models.CaptioningRNN(WORDS, cell_type="gru"), "it is rnn or lstm"),
        (lambda: models.CaptioningRNN({"cat": 0}), "no <NULL>"),
        (lambda: models.CaptioningRNN({"<NULL>": 0, "cat": 2}), "number its 2 words from 0 on"),
        (lambda: models.CaptioningRNN({"<NULL>": 0}, 6, 5, 4).sample(FEATURES), "no <START>"),
        (lambda: make("CaptioningRNN rnn").loss(FEATURES), r"use model.loss\(features, captions\)"),
        (lambda: make("CaptioningTransformer").loss(FEATURES), r"use model.loss\(features, captions\)"),
        (lambda: make("CaptioningRNN rnn").loss(FEATURES, CAPTIONS[0]), r"captions of shape \(5,\)"),
        (lambda: make("CaptioningRNN rnn").loss(FEATURES, CAPTIONS + 1), r"embed"),
        (lambda: make("CharTransformer").encode("to be?"), "character 5 of the text is '\\?'"),
        (lambda: make("CharTransformer").batch(np.zeros(4, int), 2), "4 characters is too short"),
        (lambda: make("CharTransformer").sample("", 3), "at least one character"),
        (
            lambda: models.CaptioningTransformer(WORDS, 6, 8, 2, 1, 3, seed=0).loss(FEATURES, CAPTIONS),
            "captions of 4 words came, and max_length is 3",
        ),
        (lambda: models.CaptioningTransformer(WORDS, 6, 8, num_heads=3), "3 heads do not divide the width 8"),
        (lambda: models.ConvGenerator((1, 6, 8)), "multiples of 4"),
        (lambda: models.GAN(None, None, loss="wgan"), "it is gan or lsgan"),
        (lambda: pair("conv").discriminator_loss(np.zeros((2, 1, 4, 4))), r"the generator makes \(2, 1, 8, 8\)"),
        (lambda: make("TwoLayerNet").loss(X[:, :5], Y), r"affine in fc1: x \(4, 5\), w \(12, 5\)"),
        (
            lambda: make("ThreeLayerConvNet").loss(IMAGES[:, :1], Y),
            "conv2d in conv1: .* x has 1 channels, and w takes 2",
        ),
        (lambda: make("FullyConnectedNet batchnorm").loss(X[:1], Y[:1]), "batchnorm in fc1"),
        (lambda: make("TwoLayerNet").loss(X, np.array([0, 1, 2, 3])), "label"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(mg.MinigradError, match=message):
        call()


def test_nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in NAMES:
            make(name).loss(*data_for(name))
