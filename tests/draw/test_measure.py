"""What a picture says of values, gradients, times and memory is what it is."""

from __future__ import annotations

import gc
import json
import math
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad.draw import draw
from minigrad.draw.heat import heats
from minigrad.draw.measure import stats_of
from minigrad.draw.palette import on_scale
from tests.draw import nets


def node_of(drawing, name):
    return next(node for node in drawing.view.nodes if node.name == name)


def rms(array):
    return float(np.sqrt(np.mean(np.square(array))))


# --- statistics -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 24, 25, 1000, 200_000])
def test_statistics_of_small_and_large_arrays(size):
    x = np.random.default_rng(size).standard_normal(size)
    stats = stats_of(x, histograms=True)
    assert stats.size == size
    expected = (x.min(), x.max(), x.mean(), rms(x))
    assert (stats.min, stats.max, stats.mean, stats.rms) == pytest.approx(expected, rel=1e-6)
    assert bool(stats.whole) == (size <= 24)
    assert sum(stats.histogram) == (size if size <= 65_536 else len(x[:: -(-size // 65_536)]))
    if 1 < size <= 65_536:
        assert list(stats.histogram) == np.histogram(x, 16)[0].tolist()


@pytest.mark.parametrize("repeat", [1, 10])
def test_statistics_of_what_is_not_finite(repeat):
    x = np.tile([1.0, np.nan, -np.inf, np.inf, 0.0, -3.0], repeat)
    stats = stats_of(x, histograms=True)
    assert (stats.nan, stats.inf, stats.zero) == (repeat, 2 * repeat, repeat)
    assert (stats.min, stats.max) == (-3.0, 1.0)
    nothing = stats_of(np.full(6 * repeat, np.nan))
    assert (nothing.nan, nothing.min, nothing.rms) == (6 * repeat, None, None)


@pytest.mark.parametrize("value", [1e300, 1e-300, 5e-324])
@pytest.mark.parametrize("size", [3, 100])
def test_squares_neither_overflow_nor_vanish(value, size):
    assert stats_of(np.full(size, value)).rms == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    "x",
    [
        np.array(3),
        np.array([True, False]),
        np.arange(100),
        np.zeros(0),
        np.zeros((0, 3), np.float32),
        np.array([3 + 4j]),
        np.full(50, 1j, np.complex64),
        np.float16([60000, 60000]),
        np.array(["a"]),
    ],
)
def test_statistics_of_any_array_are_json(x):
    stats = stats_of(x, histograms=True)
    assert stats.size == x.size
    json.dumps(stats, allow_nan=False)


# --- values and gradients -------------------------------------------------------------------------------------------


def test_values_and_gradients_are_those_of_the_run():
    function, (params, X, y) = nets.mlp2()
    drawing = draw(function, params, X, y)
    gradients = mg.grad(lambda params: function(params, X, y))(params)
    for parameter in drawing.view.parameters:
        assert parameter.gradient.rms == pytest.approx(rms(gradients[parameter.name]), rel=1e-6)
        assert parameter.value.rms == pytest.approx(rms(params[parameter.name]), rel=1e-6, abs=1e-12)
    hidden = np.maximum(0, X.reshape(50, -1) @ params["fc1.W"] + params["fc1.b"])
    assert node_of(drawing, "relu").value.mean == pytest.approx(hidden.mean(), rel=1e-6)
    tape = mg.Tape()
    h = tape.watch(hidden)
    loss = mg.softmax_loss(h @ params["fc2.W"] + params["fc2.b"], y)
    assert node_of(drawing, "relu").gradient.rms == pytest.approx(rms(tape.gradient(loss, h)), rel=1e-6)
    assert node_of(drawing, "softmax_loss").gradient.rms == 1.0
    assert node_of(drawing, "X").gradient.size == X.size
    assert node_of(drawing, "y").gradient is None


def test_several_outputs_and_results_are_measured():
    drawing = draw(lambda x: np.linalg.svd(x), np.diag([3.0, 2.0]))
    assert drawing.view.notes == ("gradients are those of the sum of all results",)
    assert node_of(drawing, "svd").value.size == 4


def test_a_program_is_run_once():
    runs = []

    def f(x):
        runs.append(1)
        return np.sum(np.tanh(x))

    draw(f, np.ones(3), color="time")
    assert len(runs) == 1


def test_what_cannot_be_measured_is_said_and_drawn_all_the_same():
    @mg.primitive
    def strange(x):
        if len(calls) > 1:
            raise RuntimeError("only once")
        calls.append(1)
        return x * 2

    strange.vjp(x=lambda g: 1 / 0)
    calls = [1]
    drawing = draw(lambda x: np.sum(strange(x)), np.ones(3))
    assert drawing.view.notes == (
        "values and forward times were not measured: only once",
        "gradients and backward times were not measured: division by zero",
    )
    calls.pop()
    partly = draw(lambda x: np.sum(strange(x)), np.ones(3), color="grad")
    assert partly.shown.messages == ("gradients and backward times were not measured: division by zero",)
    assert [node.name for node in partly.shown.nodes if "grad" in node.heat] == ["strange", "sum"]


def test_a_tensor_is_measured_as_far_as_its_tape_goes():
    tape = mg.Tape()
    x = tape.watch(np.array([1.0, 2.0]), name="x")
    drawing = draw(np.sum(x * x))
    assert node_of(drawing, "multiply").gradient.rms == 1.0
    assert node_of(drawing, "multiply").value is None
    assert "a Tensor's tape does not keep its inputs" in drawing.view.notes[0]
    assert tape.gradient(x * x, x).tolist() == [2.0, 4.0]


def test_warnings_of_the_program_come_once():
    with np.errstate(all="ignore"):
        drawing = draw(lambda x: np.sum(np.log(x)), np.array([0.0, 1.0]))
    assert node_of(drawing, "log").value.inf == 1


# --- marks ----------------------------------------------------------------------------------------------------------


def test_the_first_nan_is_marked():
    def f(params, x):
        with mg.scope("a"):
            x = np.tanh(x @ params["W"])
        with mg.scope("b"):
            x = np.log(x - 2.0)
        return np.sum(np.exp(x))

    with np.errstate(all="ignore"):
        drawing = draw(f, {"W": np.eye(2)}, np.ones((3, 2)))
        heat = draw(f, {"W": np.eye(2)}, np.ones((3, 2)), color="grad")
    assert {node.name: node.mark for node in drawing.shown.nodes if node.mark} == {"log": "the first NaN is here"}
    assert "the first NaN is here" in drawing.source
    assert {node.heat["grad"].text for node in heat.shown.nodes if node.heat} >= {"NaN"}
    assert "! the first NaN is here" in drawing.to_text()


def test_infinite_inputs_are_marked_and_carried_ones_are_not():
    drawing = draw(lambda x: np.sum(np.maximum(x, 0.0) * 2.0), np.array([np.inf, 1.0]))
    assert [node.name for node in drawing.shown.nodes if node.mark] == ["x"]


@pytest.mark.parametrize("key", ["fc1/matmul", "n7", 7])
def test_remarks_are_drawn_on_the_node_that_they_name(key):
    function, arguments = nets.mlp2()
    drawing = draw(function, *arguments, mark={key: "look <here>"})
    (marked,) = [node for node in drawing.shown.nodes if node.mark]
    assert (marked.name, marked.frame, marked.mark) == ("matmul", "fc1", "look <here>")
    assert "look &lt;here&gt;" in drawing.source


def test_a_remark_inside_a_collapsed_scope_is_drawn_on_it_and_one_in_a_run_keeps_its_replica_apart():
    function, arguments = nets.bn5()
    boxed = draw(function, *arguments, mark={"layers.0/bn/batchnorm": "odd"}, depth=1)
    assert [node.mark for node in boxed.shown.nodes if node.name == "layers.0"] == ["odd"]
    apart = draw(function, *arguments, mark={"layers.2/bn/batchnorm": "odd"})
    assert [frame.times for frame in apart.shown.frames] == [1] * 13


# --- memory and time ------------------------------------------------------------------------------------------------


def test_views_of_an_array_are_counted_once_and_the_callers_arrays_not_at_all():
    def f(params, x):
        h = np.exp(x @ params["W"])  # keeps its result
        return np.sum(np.square(h) + np.square(h.T).T + np.square(h.reshape(-1)).reshape(h.shape))

    x, W = np.ones((4, 5)), np.ones((5, 6))
    drawing = draw(f, {"W": W}, x, color="memory")
    matmul = node_of(drawing, "matmul")
    assert sorted((part.name, part.bytes, part.counted) for part in matmul.saved) == [("x", 160, 0), ("y", 240, 0)]
    assert [part.counted for part in node_of(drawing, "exp").saved] == [192]
    assert [[part.counted for part in node.saved] for node in drawing.view.nodes if node.name == "square"] == [[0]] * 3
    heat = {node.name: node.heat["memory"] for node in drawing.shown.nodes if "memory" in node.heat}
    assert heat["exp"].text == "192 B"
    assert heat["reshape"].value == 0


def test_times_are_of_both_passes():
    function, arguments = nets.conv3()
    drawing = draw(function, *arguments, color="time")
    nodes = [node for node in drawing.view.nodes if node.op]
    assert all(node.forward_s > 0 and node.backward_s > 0 for node in nodes)
    hottest = max((node for node in drawing.shown.nodes if "time" in node.heat), key=lambda n: n.heat["time"].value)
    assert hottest.heat["time"].fill == drawing.shown.legends["time"].colors[-1]
    (member,) = (node for node in nodes if node.id == hottest.id)
    assert hottest.heat["time"].value == member.forward_s + member.backward_s
    whole = sum(node.forward_s + node.backward_s for node in nodes)
    assert hottest.heat["time"].text.endswith(f" · {hottest.heat['time'].value / whole:.0%}")


# --- heat maps ------------------------------------------------------------------------------------------------------


def gradient_colors(activation):
    function, arguments = nets.deep(activation)
    drawing = draw(function, *arguments, color="grad")
    return [node.heat["grad"] for node in drawing.shown.nodes if node.name == "matmul"]


def test_vanishing_gradients_are_blue_and_healthy_ones_pale():
    vanishing = gradient_colors(mg.sigmoid)
    assert len(vanishing) == 9  # layers of a heat map are not folded
    assert vanishing[0].value < 1e-4 * vanishing[-1].value
    assert vanishing[0].fill < vanishing[-1].fill  # 00.. against 8A..: the first is blue, the last orange
    healthy = gradient_colors(mg.relu)
    assert 0.1 < healthy[0].value / healthy[-1].value < 10


def test_the_scale_of_gradients_is_centred_on_their_median():
    function, arguments = nets.mlp2()
    shown = draw(function, *arguments, color="grad").shown
    low, high = float(shown.legends["grad"].low), float(shown.legends["grad"].high)
    values = [node.heat["grad"].value for node in shown.nodes if node.heat.get("grad")]
    values += [chip.heat.value for node in shown.nodes for chip in node.chips]
    assert math.sqrt(low * high) == pytest.approx(np.median(values), rel=0.05)
    assert high / low == pytest.approx(1e6, rel=0.1)


@pytest.mark.parametrize("params", ["inline", "nodes"])
@pytest.mark.parametrize("view", ["forward", "dual"])
def test_pictures_with_one_scale_can_be_compared(view, params):
    low, high = 1e-7, 1e-1
    colors, names = {}, []
    for activation in (mg.sigmoid, mg.relu):
        function, arguments = nets.deep(activation)
        shown = draw(function, *arguments, color="grad", scale=(low, high), view=view, params=params).shown
        legend = shown.legends["grad"]
        assert (legend.low, legend.high) == ("1.0e-07", "1.0e-01")
        assert "median" not in legend.title
        heats = [node.heat["grad"] for node in shown.nodes if node.heat.get("grad")]
        heats += [chip.heat for node in shown.nodes for chip in node.chips if chip.heat]
        names.append(len(heats))
        for heat in heats:
            assert colors.setdefault(heat.value, heat.fill) == heat.fill
    for value, fill in colors.items():
        assert fill == on_scale("grad", math.log10(value / low) / 6)
    assert min(names) > 25
    assert on_scale("grad", 0.0) in colors.values() and on_scale("grad", 1.0) in colors.values(), "beyond the ends"


def test_a_scale_is_that_of_the_colouring_it_was_given_for():
    function, arguments = nets.mlp2()
    plain = draw(function, *arguments, color="memory")
    drawing = draw(function, *arguments, color="memory", scale=[10, 1e9])
    shown = drawing.shown
    assert drawing.to_json()["shown"]["scale"] == [10.0, 1e9]
    assert shown.scale == (10.0, 1e9) and plain.shown.scale is None
    assert (shown.legends["memory"].low, shown.legends["memory"].high) == ("10 B", "1 GB")
    assert shown.legends["grad"] == plain.shown.legends["grad"]
    for node in shown.nodes:
        if "memory" in node.heat:
            heat = node.heat["memory"]
            place = math.log10(heat.value / 10) / 8 if heat.value else 0
            assert heat.fill == on_scale("memory", place)
    timed = draw(function, *arguments, color="time", scale=(1e-3, 1.0)).shown.legends["time"]
    assert (timed.low, timed.high) == ("1 ms", "1 s")


@pytest.mark.parametrize("size", [1e-322, 1e307])
def test_gradients_at_the_ends_of_the_floats_have_colours(size):
    drawing = draw(lambda x: np.sum(np.tanh(x)) * size, np.zeros(2), color="grad")
    assert node_of(drawing, "tanh").gradient.rms == size
    assert next(node for node in drawing.shown.nodes if node.name == "tanh").heat["grad"].value == size


def test_every_colouring_is_in_the_data_of_every_picture():
    function, arguments = nets.mlp2()
    shown = draw(function, *arguments).shown
    assert list(shown.legends) == ["grad", "time", "memory"]
    assert set(shown.nodes[2].heat) == {"grad", "time", "memory"}


def test_a_scope_has_the_heat_of_all_inside():
    function, arguments = nets.mlp2()
    open_, closed = (draw(function, *arguments, color="time", collapse=names) for names in ((), ("fc1",)))
    box = next(node for node in closed.shown.nodes if node.name == "fc1")
    inside = [node for node in closed.view.nodes if node.frame == "fc1"]
    assert box.heat["time"].value == pytest.approx(sum(node.forward_s + node.backward_s for node in inside))
    assert box.heat["memory"].value == sum(part.counted for node in inside for part in node.saved)
    assert len(open_.shown.nodes) == len(closed.shown.nodes) + 1


def test_a_gradient_of_zero_is_at_the_low_end():
    drawing = draw(lambda x: np.sum(np.maximum(x, 0.0) * 2.0 + np.tanh(x)), -np.ones(3), color="grad")
    assert node_of(drawing, "maximum").gradient.rms == 2.0
    zero = draw(lambda x, w: np.sum(np.tanh(x * w)) * 0.0 + np.sum(np.exp(x)), np.ones(3), np.ones(3), color="grad")
    assert next(node for node in zero.shown.nodes if node.name == "tanh").heat["grad"].text == "0"


def test_heats_of_nothing_measured_are_none():
    drawing = draw(lambda x: np.sum(np.tanh(x)), np.ones(3), measure=False)
    nodes, legends = heats(drawing.view, list(drawing.shown.nodes))
    assert list(legends) == ["memory"]  # what is saved is known without a measurement
    assert not any("grad" in node.heat for node in nodes)


def test_histograms_are_in_the_tooltips_when_asked_for():
    function, arguments = nets.mlp2()
    drawing = draw(function, *arguments, histograms=True)
    assert sum(node_of(drawing, "relu").gradient.histogram) == 5000
    hover = next(node.hover for node in drawing.shown.nodes if node.name == "relu")
    assert any(line.startswith("gradient min ") and "█" in line for line in hover)
    assert not node_of(draw(function, *arguments), "relu").gradient.histogram


# --- nothing is changed and nothing is kept -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"color": "grad"}, {"view": "dual"}, {"color": "time", "histograms": True}])
def test_drawing_keeps_nothing_alive(options):
    function, (params, X, y) = nets.mlp2()
    arrays = [X, *params.values()]
    made = []

    def watched(params, X, y):
        hidden = np.tanh(X.reshape(len(X), -1) @ params["fc1.W"])
        made.append(weakref.ref(hidden.value))
        return mg.softmax_loss(hidden @ params["fc2.W"], y)

    drawing = draw(watched, params, X, y, **options)
    references = [*map(weakref.ref, arrays), *made]
    del arrays, params, X, y, function
    gc.collect()
    assert [reference() for reference in references] == [None] * len(references)
    assert drawing.source


@pytest.mark.parametrize("options", [{}, {"color": "grad"}, {"view": "backward"}, {"color": "memory"}])
def test_drawing_inside_a_program_changes_no_gradient(options):
    function, (params, X, y) = nets.mlp2()
    before = {name: value.copy() for name, value in params.items()}

    def with_pictures(params, X, y):
        draw(lambda p: function(p, X, y), params, **options)  # on Tensors of the tape that is recording
        return function(params, X, y)

    plain = mg.grad(function)(params, X, y)
    drawn = mg.grad(with_pictures)(params, X, y)
    for name in params:
        np.testing.assert_array_equal(plain[name], drawn[name])
        np.testing.assert_array_equal(params[name], before[name])


def test_looking_at_a_pass_records_nothing_on_outer_tapes():
    tape = mg.Tape()
    x = tape.watch(np.ones(3))
    draw(lambda v: np.sum(np.tanh(v)), x, measure=False)
    recorded = len(tape)
    draw(lambda v: np.sum(np.tanh(v)), x)
    assert len(tape) == 2 * recorded - 1  # what the program itself does, and no more


# --- the backward pass ----------------------------------------------------------------------------------------------


def test_the_dual_view_has_each_rule_what_it_reads_and_the_gradients():
    function, arguments = nets.mlp2()
    drawing = draw(function, *arguments, view="dual")
    nodes = {node.id: node for node in drawing.shown.nodes}
    relu = next(node for node in drawing.shown.nodes if node.name == "relu")
    assert relu.lines[-1].startswith("nets.py:")
    assert "mg.relu(affine" in relu.lines[-1]
    rule = nodes[f"b{relu.id}"]
    assert rule.kind == "backward" and rule.lines[-1] == "dx = g * (out > 0)"
    assert rule.lines[0].startswith("g: 50×100  rms ")
    assert nodes[f"k{relu.id}"].lines == ("out  50×100  40 KB",)
    gradients = [node.name for node in drawing.shown.nodes if node.kind == "gradient"]
    assert sorted(gradients) == ["dX", "dfc1.W", "dfc1.b", "dfc2.W", "dfc2.b"]
    assert [node.name for node in drawing.shown.nodes if node.kind == "parameter"] == [
        "fc1.W", "fc1.b", "fc2.W", "fc2.b",
    ]  # fmt: skip


@pytest.mark.parametrize("name", nets.GOLDEN)
@pytest.mark.parametrize("view", ["dual", "backward"])
def test_backward_arrows_are_the_forward_ones_turned_round(name, view):
    function, arguments = nets.GOLDEN[name]()
    drawing = draw(function, *arguments, view=view)
    forward = draw(function, *arguments, view="dual").shown
    names = {node.id for node in drawing.shown.nodes}
    back = {(edge.target[1:], edge.source[1:]): edge.members for edge in drawing.shown.edges if edge.kind == "backward"}
    there = {}
    for edge in forward.edges:
        flowing = tuple(number for number in edge.members if drawing.view.edges[number].flows)
        if edge.kind not in ("backward", "saved") and flowing:
            there.setdefault((edge.source, edge.target), set()).update(flowing)
    assert back.keys() == there.keys()
    assert all(set(members) <= there[pair] for pair, members in back.items())
    assert all(f"b{target}" in names for _, target in there)


def test_the_backward_view_has_no_forward_nodes():
    function, arguments = nets.mlp2()
    drawing = draw(function, *arguments, view="backward")
    assert {node.kind for node in drawing.shown.nodes} == {"backward", "gradient"}
    assert "rankdir=BT" in drawing.source


def test_rules_in_words():
    def f(x, y, z):
        return np.sum(np.tanh(x @ y) * z + np.exp(-z))

    drawing = draw(f, np.ones((2, 3)), np.ones((3, 4)), np.ones(4))
    rules = {node.name: node.rule for node in drawing.view.nodes if node.rule}
    assert rules == {
        "matmul": ("dx = g @ y.T", "dy = x.T @ g"),
        "tanh": ("dx = g - g * out * out",),
        "multiply": ("dx = g * y", "dy = g * x, summed to 4"),
        "negative": ("dx = -g",),
        "exp": ("dx = g * out",),
        "add": ("dx = g", "dy = g, summed to 4"),
        "sum": ("dx = g, spread over the axes that were summed",),
    }


def test_every_op_with_a_rule_has_words_for_it():
    from minigrad.draw.rules import _argument_text

    for op in mg.ops.REGISTRY.values():
        if op.differentiable and op.kind != "backward":
            for argument in op.args:
                if op.shared is not None or op.rules.get(argument) is not None:
                    assert 0 < len(_argument_text(op, argument)) <= 80
