"""The update rules over flat arrays: nothing that a user can observe differs from the rules of `optim`."""

import copy
import pickle
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad import optim
from minigrad.core.errors import ShapeError
from minigrad.flat import LARGE, FlatUpdate, all_finite, name_of

RULES = sorted(optim.RULES)
MEMORIES = {"sgd": [], "sgd_momentum": ["velocity"], "rmsprop": ["cache"], "adam": ["m", "v"]}
REMEMBERING = [rule for rule in RULES if MEMORIES[rule]]
SHAPES = {"W1": (7, 5), "b1": (5,), "W2": (5, 3), "b2": (3,), "one": (1,)}


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def kernels(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="compares what Numba compiles")
    with mg.kernels.using(request.param):
        yield


def arrays(shapes=SHAPES, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in shapes.items()}


def gradients(params, step):
    rng = np.random.default_rng(step)
    scale = 10.0 ** rng.uniform(-3, 2)
    return {name: np.asarray(scale * rng.standard_normal(np.shape(w)), w.dtype) for name, w in params.items()}


def assert_same(a, b):
    """Equal to the last bit, with all types."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (np.ndarray, np.generic)):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()
    else:
        assert a == b


class Pair:
    """The same steps by `optim`, one parameter after the other, and over flat arrays."""

    def __init__(self, rule, params, configs=None):
        self.rule = optim.RULES[rule]
        self.params = [copy.deepcopy(params), copy.deepcopy(params)]
        configs = configs or {name: {"learning_rate": 3e-3} for name in params}
        self.configs = [copy.deepcopy(configs), copy.deepcopy(configs)]
        self.flat = FlatUpdate(rule, self.params[1], self.configs[1])
        self.count = 0

    def both(self, function):
        """Do something to parameters and configs of each."""
        for params, configs in zip(self.params, self.configs):
            function(params, configs)

    def step(self, times=1, change=lambda grads: grads):
        for _ in range(times):
            self.count += 1
            grads = change(gradients(self.params[0], self.count))
            params, configs = self.params[0], self.configs[0]
            stepped = {name: self.rule(w, grads[name], configs[name]) for name, w in params.items()}
            for name, (w, config) in stepped.items():
                params[name], configs[name] = w, config
            self.flat.step(self.params[1], grads)
            assert_same(*self.params)
            assert_same(*self.configs)


# The numbers.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
def test_hundreds_of_steps_have_the_bits_of_optim(rule, dtype):
    Pair(rule, arrays(dtype=dtype)).step(300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
def test_large_and_many_parameters_have_the_bits_of_optim(rule, dtype):
    shapes = {f"b{i}": (i + 1,) for i in range(20)}
    shapes |= {"large": (LARGE // 100, 101), "W": (100, 90), "odd": (3 * LARGE + 17,), "last": (LARGE - 1,)}
    Pair(rule, arrays(shapes, dtype)).step(3)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("rule", RULES)
def test_random_settings_that_change(rule, seed):
    """Any hyperparameters, for all or for one, other ones at any time."""
    rng = np.random.default_rng(seed)
    ranges = {"learning_rate": 1, "momentum": 1, "decay_rate": 1, "epsilon": 0.1, "beta1": 0.99, "beta2": 0.99}
    keys = [key for key in ranges if key in optim._DEFAULTS[rule]]
    pair = Pair(rule, arrays(dtype=rng.choice([np.float32, np.float64])), {name: {} for name in SHAPES})
    for _ in range(12):
        key, value = rng.choice(keys), float(rng.uniform())
        names = list(SHAPES) if rng.random() < 0.5 else [rng.choice(list(SHAPES))]
        change = {key: value * ranges[key]}
        pair.both(lambda _, configs, names=names, change=change: [configs[name].update(change) for name in names])
        pair.step(int(rng.integers(1, 4)))


@pytest.mark.parametrize("number", [1, np.float64(1e-2), np.float32(1e-2), np.float16(0.5), np.array(0.1)], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
def test_every_type_of_hyperparameter(rule, dtype, number):
    for key in optim._DEFAULTS[rule]:
        if not key.startswith("beta") or number != 1:
            Pair(rule, arrays(dtype=dtype), {name: {key: number} for name in SHAPES}).step(3)


@pytest.mark.parametrize("rule", RULES)
def test_parameters_that_do_not_fit_beside_those_that_do(rule):
    params = arrays()
    params["scalar"] = np.array(0.5)
    params["number"] = np.float64(0.5)
    params["double"] = np.ones((2, 2))
    params["half"] = np.ones(3, np.float16)
    params["complex"] = np.ones(3, complex)
    params["turned"] = np.arange(6, dtype=np.float32).reshape(2, 3).T
    params["strided"] = np.arange(6, dtype=np.float32)[::2]
    params["empty"] = np.zeros((0, 3), np.float32)
    params["swapped"] = np.ones(3, ">f4")
    params["large"] = np.ones((LARGE, 2), np.float32)[:, 0]
    Pair(rule, params).step(4)


@pytest.mark.parametrize("rule", RULES)
def test_gradients_of_any_precision_and_layout(rule):
    pair = Pair(rule, arrays({**SHAPES, "large": (300, 400)}))
    pair.step(change=lambda grads: {name: np.asfortranarray(g) for name, g in grads.items()})
    pair.step(change=lambda grads: {name: np.repeat(g, 2, axis=0)[::2] for name, g in grads.items()})
    for g in (grads := gradients(pair.params[0], 5)).values():
        g.flags.writeable = False
    pair.step(change=lambda _: grads)
    whole = np.arange(sum(w.size for w in pair.params[0].values()), dtype=np.float32)
    ends = np.cumsum([w.size for w in pair.params[0].values()])[:-1]
    views = np.split(whole, ends)
    views = {name: view.reshape(w.shape) for (name, w), view in zip(pair.params[0].items(), views)}
    pair.step(change=lambda _: views)
    pair.step(change=lambda grads: {name: g.astype(np.float64) for name, g in grads.items()})
    pair.step(2)


@pytest.mark.parametrize("rule", RULES)
def test_gradients_in_the_memory_of_the_parameters(rule):
    pair = Pair(rule, arrays({"W": (4, 4), "large": (300, 300)}))
    for turned in (False, True):
        for params, flat in zip(pair.params, (False, True)):
            grads = {name: w.T if turned else w for name, w in params.items()}
            if flat:
                pair.flat.step(params, grads)
            else:
                for name, w in params.items():
                    params[name], pair.configs[0][name] = pair.rule(w, grads[name], pair.configs[0][name])
        assert_same(*pair.params)


# What a user holds, changes and replaces.


@pytest.mark.parametrize("rule", REMEMBERING)
def test_arrays_that_were_taken_out_keep_their_numbers(rule):
    pair = Pair(rule, arrays({**SHAPES, "large": (300, 400)}))
    _, params = pair.params
    _, configs = pair.configs
    taken = []
    for step in range(6):
        pair.step()
        held = [params["W1"][1:, ::2], memoryview(params["b1"]), dict(params), params["large"].T]
        if step % 2:
            held += [configs["b2"][key][:1] for key in MEMORIES[rule]] + [copy.copy(configs["W1"])]
        taken.append((held, copy.deepcopy([np.asarray(held[1]), held[0], *held[2:]])))
        for held, kept in taken:
            assert_same(dict(enumerate([np.asarray(held[1]), held[0], *held[2:]])), dict(enumerate(kept)))
        if step == 3:
            taken.clear()


@pytest.mark.parametrize("rule", REMEMBERING)
def test_arrays_that_nobody_holds_are_used_again(rule):
    pair = Pair(rule, arrays())
    _, params = pair.params
    places = set()
    for _ in range(20):
        pair.step()
        places.add(params["W1"].ctypes.data)
    assert len(places) == 2


@pytest.mark.parametrize("size", [10, LARGE])
def test_sgd_writes_into_the_array_that_is_there(size):
    w = np.ones(size)
    params = {"w": w}
    FlatUpdate("sgd", params, {}).step(params, {"w": np.ones(size)})
    assert params["w"] is w and w[0] == 1 - 0.01


def test_sgd_refuses_an_array_that_is_read_only():
    w = np.ones(LARGE)
    w.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        FlatUpdate("sgd", {"w": w}, {}).step({"w": w}, {"w": np.ones(LARGE)})


@pytest.mark.parametrize("rule", RULES)
def test_whatever_is_replaced_or_written_into_is_heard(rule):
    pair = Pair(rule, arrays({**SHAPES, "large": (300, 400)}))
    pair.step(2)
    pair.both(lambda params, _: params.update(W1=params["W1"] * 2))
    pair.step(2)
    pair.both(lambda params, _: np.multiply(params["b1"], 3, out=params["b1"]))
    pair.step(2)
    pair.both(lambda params, _: params.update({name: np.clip(w, -1, 1) for name, w in params.items()}))
    pair.step(2)
    for key in MEMORIES[rule]:
        pair.both(lambda _, configs, key=key: configs["W2"].update({key: np.ones((5, 3), np.float32)}))
        pair.step(2)
        pair.both(lambda _, configs, key=key: configs["b2"][key].fill(2))
        pair.step(2)
        pair.both(lambda _, configs, key=key: configs["b1"].pop(key))
        pair.step(2)
        pair.both(lambda _, configs, key=key: configs["b1"].update({key: 0.25}))
        pair.step(2)
        pair.both(lambda _, configs, key=key: configs["b1"].update({key: configs["b1"][key].astype(np.float64)}))
        pair.step(2)
    pair.both(lambda _, configs: configs.update(one={"learning_rate": 0.5}, large=dict(configs["large"])))
    pair.step(2)
    pair.both(lambda _, configs: configs["W1"].update(t=7, own="kept"))
    pair.step(2)
    pair.both(lambda _, configs: [config.update(copy.deepcopy(config)) for config in configs.values()])
    pair.step(2)


@pytest.mark.parametrize("rule", RULES)
def test_parameters_come_and_go(rule):
    pair = Pair(rule, arrays())
    pair.step(2)
    pair.both(lambda params, _: params.pop("W2"))
    pair.step(2)
    pair.both(lambda params, configs: (params.update(new=np.ones(4)), configs.update(new={})))
    pair.step(2)
    pair.both(lambda params, _: params.update(W1=np.ones((2, 2), np.float32)))
    pair.both(lambda _, configs: configs.update(W1={}))
    pair.step(2)


@pytest.mark.parametrize("rule", RULES)
def test_one_array_under_two_names_and_one_config_for_two(rule):
    pair = Pair(rule, {"a": np.ones(3), "b": np.ones(3)})
    pair.step()
    pair.both(lambda params, _: params.update(a=params["b"]))
    pair.step(2)
    pair.both(lambda _, configs: configs.update(a=configs["b"]))
    pair.step(3)


@pytest.mark.parametrize("rule", RULES)
def test_another_dictionary_of_parameters(rule):
    pair = Pair(rule, arrays())
    pair.step(2)
    pair.params = [{name: w.copy() for name, w in params.items()} for params in pair.params]
    pair.step(2)


@pytest.mark.parametrize(
    "make", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("rule", RULES)
def test_copies_go_on_by_themselves(rule, make):
    pair = Pair(rule, arrays())
    pair.step(3)
    other = make(pair)
    assert other.flat.configs is other.configs[1]
    pair.step(2)
    other.step(2)
    assert_same(pair.params[1], other.params[1])


# What goes wrong.


@pytest.mark.parametrize("rule", RULES)
def test_shapes_that_differ_are_named_as_before(rule):
    params = arrays()
    flat = FlatUpdate(rule, params, {})
    for shape in ((5, 7), (1,), ()):
        before = {name: w.copy() for name, w in params.items()}
        grads = gradients(params, 0)
        grads["W1"] = np.ones(shape, np.float32)
        with pytest.raises(ShapeError, match="dw has shape"):
            flat.step(params, grads)
        if rule != "sgd":
            assert_same(params, before)


@pytest.mark.parametrize("rule", REMEMBERING)
def test_a_memory_of_another_shape_is_named_as_before(rule):
    configs = {name: {} for name in SHAPES}
    configs["b1"][MEMORIES[rule][0]] = np.ones(2, np.float32)
    with pytest.raises(ShapeError, match="each parameter needs a config of its own"):
        FlatUpdate(rule, arrays(), configs).step(params := arrays(), gradients(params, 0))


@pytest.mark.parametrize("rule", REMEMBERING)
def test_a_step_that_fails_changes_no_parameter(rule):
    pair = Pair(rule, arrays())
    pair.step(2)
    params, before = pair.params[1], copy.deepcopy(pair.params[1])

    def failing(*args):
        raise KeyboardInterrupt

    group = pair.flat._groups[0]
    kernel, group.kernel = group.kernel, failing
    with pytest.raises(KeyboardInterrupt):
        pair.flat.step(params, gradients(params, 9))
    assert_same(params, before)
    group.kernel = kernel
    pair.step(2)


def test_two_threads_with_a_model_each():
    def train(seed, into):
        params = arrays({"W": (40, 30), "large": (300, 400)}, seed=seed)
        flat = FlatUpdate("adam", params, {})
        for step in range(20):
            flat.step(params, gradients(params, step))
        into[seed] = params

    alone, together = {}, {}
    for seed in range(2):
        train(seed, alone)
    threads = [threading.Thread(target=train, args=(seed, together)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same(alone[0], together[0])
    assert_same(alone[1], together[1])


# Finding what is not finite.


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [1, 7, 1000, LARGE, 2 * LARGE + 1])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, complex])
def test_one_bad_number_is_found_anywhere(dtype, size, bad):
    arrays = [np.ones(3, dtype), np.full(size, np.finfo(dtype).max, dtype), np.ones((2, 2), dtype)]
    assert all_finite(arrays)
    arrays[1][size * 2 // 3] = bad
    assert not all_finite(arrays)


def test_numbers_without_axes_and_no_numbers_at_all():
    assert all_finite([]) and all_finite([np.zeros((0, 3))])
    assert all_finite([1.0, np.float64(2), np.array(3.0), np.ones((LARGE, 2))[:, 0]])
    assert not all_finite([1.0, float("nan")])
    assert not all_finite([np.complex128(complex(0, np.inf))])


def test_names_of_rules():
    assert [name_of(optim.RULES[rule]) for rule in RULES] == RULES
    assert name_of(lambda w, dw, config: (w, config)) is None
