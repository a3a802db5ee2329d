"""The graph view tells the truth about the tape."""

import json

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.tensor import Tensor
from minigrad.draw import draw
from minigrad.draw.build import build_view
from minigrad.draw.view import Result


class TwoLayerNet(mg.Model):
    def __init__(self, reg=0.0, dtype=float):
        rng = np.random.default_rng(0)
        self.reg = reg
        self.params = {
            "W1": (0.01 * rng.standard_normal((12, 5))).astype(dtype),
            "b1": np.zeros(5, dtype),
            "W2": (0.01 * rng.standard_normal((5, 3))).astype(dtype),
            "b2": np.zeros(3, dtype),
        }

    def forward(self, params, X):
        with mg.scope("fc1"):
            hidden = np.maximum(0, X.reshape(len(X), -1) @ params["W1"] + params["b1"])
        with mg.scope("fc2"):
            return hidden @ params["W2"] + params["b2"]


X, y = np.random.default_rng(1).standard_normal((4, 3, 4)), np.array([0, 2, 1, 1])


def nodes_of(drawing, **wanted):
    return [node for node in drawing.view.nodes if all(getattr(node, key) == value for key, value in wanted.items())]


def reads(view):
    """Return every (entry that is read, entry that reads, position) that the view shows, in any of its three ways."""
    entries = {node.id: node.entry for node in view.nodes}
    shown = [(edge.entry, entries[edge.target], edge.position) for edge in view.edges]
    for node in view.nodes:
        shown += [(chip.entry, node.entry, chip.position) for chip in node.chips]
        shown += [(number.entry, node.entry, number.position) for number in node.inlined]
    return sorted(shown)


def tape_reads(nodes, results):
    """Return the same of the tape, for what feeds the results."""
    todo, seen, edges = list(results), set(), []
    while todo:
        entry = todo.pop()
        if entry in seen:
            continue
        seen.add(entry)
        node = nodes[entry]
        todo += [parent for parent in node.parents if parent is not None]
        if node.role == "op":
            edges += [(parent, entry, position) for position, parent in enumerate(node.parents) if parent is not None]
    return sorted(edges)


@mg.primitive(outputs=("low", "high"))
def split(x):
    return np.minimum(x, 0), np.maximum(x, 0)


split.vjp(x=lambda g, x: g[0] * (x < 0) + g[1] * (x > 0))


def random_program(seed):
    """Run a random program; return its tape, its results and the entries of its parameters."""
    rng = np.random.default_rng(seed)
    tape = mg.Tape(lines=bool(rng.integers(2)))
    parameters = [tape.watch(rng.standard_normal((3, 3)), name=f"W{i}") for i in range(rng.integers(0, 4))]
    values = [*parameters, tape.watch(rng.standard_normal((3, 3)), name="x"), tape.watch(np.array([0, 2]), name="i")]

    def pick():
        return values[rng.integers(len(values))]

    def float_pick():
        chosen = [value for value in values if value.dtype.kind == "f" and value.shape == (3, 3)]
        return chosen[rng.integers(len(chosen))]

    steps = [
        lambda: np.tanh(float_pick()),
        lambda: float_pick() + float_pick(),
        lambda: float_pick() @ float_pick(),
        lambda: 1 - float_pick(),
        lambda: float_pick() * 0.5,
        lambda: np.maximum(0, float_pick()),
        lambda: float_pick() * rng.standard_normal(3),
        lambda: float_pick().T,
        lambda: float_pick()[:, [2, 0, 1]],
        lambda: np.where(float_pick() > 0, float_pick(), 0.0),
        lambda: np.reshape(np.reshape(float_pick(), (9,)), (3, 3)),
        lambda: np.broadcast_to(np.mean(float_pick(), axis=0, keepdims=True), (3, 3)) * float_pick(),
        lambda: split(float_pick())[1],
        lambda: np.multiply(*split(float_pick())),
        lambda: mg.softmax_loss(float_pick(), np.array([0, 1, 2])) + float_pick(),
    ]
    for _ in range(rng.integers(1, 25)):
        with mg.scope(["regularisation", "a", "b", "a/c"][rng.integers(4)]):
            values.append(steps[rng.integers(len(steps))]())
    results = [values[-1], pick()] if rng.integers(2) else [np.sum(values[-1])]
    return tape, [result.index for result in results], [parameter.index for parameter in parameters]


@pytest.mark.parametrize("seed", range(150))
def test_the_view_shows_exactly_the_edges_of_the_tape(seed):
    tape, results, parameters = random_program(seed)
    view = build_view(tape.nodes, map(Result, results), title="random", parameters=parameters)
    assert reads(view) == tape_reads(tape.nodes, results)

    by_id = {node.id: node for node in view.nodes}
    assert len(by_id) == len(view.nodes)
    for edge in view.edges:  # an arrow comes from what made the value
        entry = tape.nodes[edge.entry]
        maker = entry.parents[0] if entry.role == "output" else edge.entry
        assert by_id[edge.source].entry == maker
    for node in view.nodes:
        assert (node.shape, node.dtype) == (tape.nodes[node.entry].shape, str(tape.nodes[node.entry].dtype))
        for chip in node.chips:
            assert (chip.name, chip.shape) == (tape.nodes[chip.entry].name, tape.nodes[chip.entry].shape)
    scopes = {scope.path: scope for scope in view.scopes}
    assert {node.frame for node in view.nodes} - {""} <= set(scopes)
    assert all(scope.parent == "" or scope.parent in scopes for scope in view.scopes)
    assert [scope.path for scope in view.scopes if scope.parent == "regularisation"] == []


def test_parameters_are_chips_inside_their_op():
    drawing = draw(TwoLayerNet(), X, y)
    first, second = nodes_of(drawing, name="matmul")
    assert [(chip.name, chip.shape) for chip in first.chips] == [("W1", (12, 5))]
    assert [(chip.name, chip.shape) for chip in second.chips] == [("W2", (5, 3))]
    assert nodes_of(drawing, kind="parameter") == []
    assert [node.name for node in nodes_of(drawing, kind="input")] == ["X", "y"]


def test_frames_count_the_parameters_inside():
    frames = draw(TwoLayerNet(reg=0.1), X, y).shown.frames
    assert [(frame.title, frame.parameters) for frame in frames] == [("fc1", 65), ("fc2", 18), ("regularisation", 0)]


def test_frames_nest_and_sum_up():
    def f(params, x):
        with mg.scope("block"):
            with mg.scope("fc"):
                x = x @ params["W"]
            x = x + params["b"]
        return np.tanh(np.exp(x))

    frames = draw(f, {"W": np.ones((3, 2)), "b": np.ones(2)}, np.ones((1, 3))).view.scopes
    assert [(f.path, f.parent, f.parameters) for f in frames] == [("block", "", 8), ("block/fc", "block", 6)]


def test_the_penalty_does_not_make_weights_shared():
    drawing = draw(TwoLayerNet(reg=0.1), X, y)
    assert nodes_of(drawing, kind="parameter") == []
    chips = [chip for node in nodes_of(drawing, frame="regularisation") for chip in node.chips]
    assert sorted((chip.name, chip.again, chip.shared) for chip in chips) == [("W1", True, 0), ("W2", True, 0)]
    assert nodes_of(drawing, name="multiply")[0].details == ("0.05",)
    (loss,) = [node for node in drawing.view.nodes if node.result]
    assert loss.frame == "" and loss.scope == "regularisation"


def test_a_weight_of_a_few_ops_is_a_cylinder_and_one_of_many_is_chips():
    def f(params, x, steps):
        for _ in range(steps):
            x = np.tanh(x @ params["W"])
        return np.sum(x)

    few = draw(f, {"W": np.ones((3, 3))}, np.ones(3), 3)
    assert [node.name for node in nodes_of(few, kind="parameter")] == ["W"]
    assert sum(edge.source == nodes_of(few, kind="parameter")[0].id for edge in few.view.edges) == 3
    many = draw(f, {"W": np.ones((3, 3))}, np.ones(3), 10)
    chips = [chip for node in many.view.nodes for chip in node.chips]
    assert nodes_of(many, kind="parameter") == []
    assert [chip.shared for chip in chips] == [10] * 10
    assert [chip.again for chip in chips] == [False] + [True] * 9


def test_a_shared_weight_is_a_chip_in_the_penalty_all_the_same():
    def f(params, x):
        out = np.sum(np.tanh(np.tanh(x @ params["W"]) @ params["W"]))
        with mg.scope("regularisation"):
            return out + np.sum(params["W"] ** 2)

    drawing = draw(f, {"W": np.ones((3, 3))}, np.ones(3))
    (weight,) = nodes_of(drawing, kind="parameter")
    assert sum(edge.source == weight.id for edge in drawing.view.edges) == 2
    (power,) = nodes_of(drawing, name="power")
    assert [(chip.name, chip.shared, chip.again) for chip in power.chips] == [("W", 2, True)]


def test_the_loss_carries_its_value():
    model = TwoLayerNet(reg=0.1)
    (loss,) = [node for node in draw(model, X, y).view.nodes if node.result]
    assert loss.kind == "loss"
    assert loss.result == f"loss = {model.loss(X, y)[0]:.5g}"


def test_scores_show_their_shape():
    (scores,) = [node for node in draw(TwoLayerNet(), X).view.nodes if node.result]
    assert (scores.kind, scores.result) == ("op", "→ 4×3")


@pytest.mark.parametrize(
    ("function", "name", "details"),
    [
        (lambda x: np.maximum(0, x), "maximum", ("0",)),
        (lambda x: x * 0.5, "multiply", ("0.5",)),
        (lambda x: 1 - x, "subtract", ("(1, ·)",)),
        (lambda x: x - 1, "subtract", ("1",)),
        (lambda x: np.sum(x, axis=0, keepdims=True), "sum", ("axis 0",)),
        (lambda x: np.transpose(x, (1, 0)), "transpose", ("axes (1, 0)",)),
        (lambda x: x[:, 1:], "getitem", ("[:, 1:]",)),
        (lambda x: np.where(x > 0, x, -1.0), "where", ("-1",)),
        (lambda x: np.reshape(x, (6, 1)), "reshape", ()),
    ],
)
def test_numbers_and_static_parameters_are_in_the_label(function, name, details):
    (node,) = nodes_of(draw(function, np.ones((2, 3))), name=name)
    assert node.details == details


def test_constants_are_drawn_once_per_consumer():
    mask = np.array([[True, False], [False, True]])
    drawing = draw(lambda x: np.sum(np.where(mask, x, 0.0) + np.where(mask, 1.0, x)), np.ones((2, 2)))
    constants = nodes_of(drawing, kind="constant")
    assert len(constants) == 2
    assert len({node.id for node in constants}) == 2


def test_shapes_and_unusual_dtypes_are_on_the_edges():
    drawing = draw(TwoLayerNet(dtype=np.float32), X.astype(np.float32), y)
    assert drawing.view.dtype == "float32"
    labels = [edge.label for edge in drawing.view.edges]
    assert labels[:3] == ["", "4×12", "4×5"]
    mixed = draw(lambda x: np.exp(np.exp(x).astype(np.float32)), np.ones(3))
    assert [edge.label for edge in mixed.view.edges] == ["", "3", "3 float32"]


def test_edges_name_the_output_that_they_carry():
    drawing = draw(lambda x: np.multiply(*split(x)), np.ones(3))
    assert [node.name for node in drawing.view.nodes] == ["x", "split", "multiply"]
    assert [edge.label for edge in drawing.view.edges] == ["", "3", "high 3"]


def test_functions_name_their_inputs():
    def f(params, batch, *rest, flag=True):
        return params["W"] * batch["left"] + rest[0] * rest[1][0]

    drawing = draw(f, {"W": np.ones(2)}, {"left": np.ones(2)}, np.ones(2), [np.ones(2)])
    assert [(node.kind, node.name) for node in drawing.view.nodes[:4]] == [
        ("parameter", "W"),
        ("input", "left"),
        ("input", "rest[0]"),
        ("input", "rest[1][0]"),
    ]


def test_equal_keys_of_two_dicts_are_told_apart():
    drawing = draw(lambda a, b: a["W"] + b["W"], {"W": np.ones(2)}, {"W": np.ones(2)})
    assert [node.name for node in nodes_of(drawing, kind="input")] == ["a.W", "b.W"]


def test_unused_arguments_are_shown_and_unused_work_is_not():
    def f(params, x):
        np.exp(x)
        return np.tanh(x)

    drawing = draw(f, {"W": np.ones(2)}, np.ones(2))
    assert [(node.kind, node.name) for node in drawing.view.nodes] == [
        ("parameter", "W"),
        ("input", "x"),
        ("activation", "tanh"),
    ]


def test_a_tensor_is_drawn_with_what_feeds_it():
    tape = mg.Tape()
    x = tape.watch(np.ones(3), name="x")
    half = np.tanh(x)
    np.exp(half)
    drawing = draw(half)
    assert [node.name for node in drawing.view.nodes] == ["x", "tanh"]
    assert drawing.view.title == "tanh"


def test_a_parameter_that_is_returned_stays_visible():
    def f(params):
        return params["W"], np.sum(np.exp(np.sin(np.tanh(params["W"]))))

    drawing = draw(f, {"W": np.ones(2)})
    assert [node.name for node in nodes_of(drawing, kind="parameter")] == ["W"]


def test_lines_name_the_file_without_its_folder():
    def f(x):
        return np.tanh(x)

    (node,) = nodes_of(draw(f, np.ones(2)), name="tanh")
    assert node.line == f"test_view.py:{f.__code__.co_firstlineno + 1}"


def test_the_view_is_json():
    view = draw(TwoLayerNet(reg=0.1), X, y).view
    data = view.to_json()
    assert json.loads(json.dumps(data)) == data
    assert len(data["nodes"]) == len(view.nodes)
    assert data["nodes"][0]["shape"] == [4, 3, 4]


def test_the_view_holds_no_arrays():
    def check(value):
        assert type(value) in (str, int, float, bool, type(None), dict) or isinstance(value, tuple), type(value)
        if isinstance(value, (tuple, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                check(item)

    check(draw(TwoLayerNet(reg=0.1), X, y).view)


def test_long_chains_are_no_recursion():
    def f(x):
        for _ in range(10_000):
            x = np.tanh(x)
        return np.sum(x)

    drawing = draw(f, np.ones(3), max_nodes=20_000)
    assert len(drawing.view.nodes) == len(drawing.shown.nodes) == 10_002
    assert not any(edge.label for edge in drawing.shown.edges)
    assert drawing.shown.messages == ("10,002 nodes: shapes on edges are left out above 150",)
    assert drawing.source.count(" -> ") == 10_001


def test_drawing_changes_nothing():
    model = TwoLayerNet(reg=0.1)
    before = {name: value.copy() for name, value in model.params.items()}
    arrays = dict(model.params)
    loss, grads = model.loss(X, y)
    draw(model, X, y)
    again, grads_again = model.loss(X, y)
    assert loss == again
    for name in before:
        assert model.params[name] is arrays[name]
        assert not isinstance(model.params[name], Tensor)
        np.testing.assert_array_equal(model.params[name], before[name])
        np.testing.assert_array_equal(grads[name], grads_again[name])
