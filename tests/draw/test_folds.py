"""What repeats is drawn once, and only what repeats: a folded picture shows no edge that is not there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.draw import draw
from tests.draw import nets

# --- the truth ------------------------------------------------------------------------------------------------------


def check_truth(view):
    """A picture is a quotient of the graph: each node and each edge of the whole in exactly one place."""
    shown = view.shown
    nodes = {node.id: node for node in view.nodes}
    members = {node.id: set(node.members) for node in shown.nodes}
    assert len(members) == len(shown.nodes)
    assert sorted(name for node in shown.nodes for name in node.members) == sorted(nodes)
    numbers = sorted([*shown.hidden, *(number for edge in shown.edges for number in edge.members)])
    assert numbers == list(range(len(view.edges)))
    for edge in shown.edges:
        assert edge.members
        for number in edge.members:
            assert view.edges[number].source in members[edge.source]
            assert view.edges[number].target in members[edge.target]
    collapsed = {name: node.id for node in shown.nodes if node.kind == "scope" for name in node.members}
    for number in shown.hidden:
        edge = view.edges[number]
        assert collapsed[edge.source] == collapsed[edge.target]
    frames = {frame.path for frame in shown.frames}
    assert {node.frame for node in shown.nodes} - {""} <= frames
    assert {frame.parent for frame in shown.frames} - {""} <= frames
    check_folds(view, nodes)
    check_replicas(view)


def check_folds(view, nodes):
    """Corresponding nodes of a run's replicas are alike, and so are the edges between them."""
    for fold in view.folds:
        assert len(fold.nodes) == len(fold.scopes) == len(fold.edges) >= 2
        patterns = []
        for names, numbers in zip(fold.nodes, fold.edges):
            place = {name: index for index, name in enumerate(names)}
            inside = [e for e in view.edges if e.source in place and e.target in place]
            assert sorted(numbers) == [view.edges.index(e) for e in inside]
            patterns.append(
                [
                    (place[e.source], place[e.target], e.position, e.entry - nodes[e.source].entry, e.label)
                    for e in map(view.edges.__getitem__, numbers)
                ]
            )
        assert all(pattern == patterns[0] for pattern in patterns)
        for names in zip(*fold.nodes):
            alike = [nodes[name] for name in names]
            assert len({(n.name, n.kind, n.shape, n.dtype, len(n.chips)) for n in alike}) == 1


def check_replicas(view):
    """An arrow between two nodes of one folded frame stands for an edge in each replica; a carried one leads on."""
    replica_of = {}  # (run, node) -> replica; of a nested run those of the first replica around it
    for run, fold in enumerate(view.folds):
        for replica, names in enumerate(fold.nodes):
            for name in names:
                replica_of[run, name] = replica
    times = {node.id: node.times for node in view.shown.nodes}
    kinds = {node.id: node.kind for node in view.shown.nodes}
    frames = {node.id: node.frame for node in view.shown.nodes}
    for edge in view.shown.edges:
        pairs = [(view.edges[number].source, view.edges[number].target) for number in edge.members]
        if edge.kind == "carried":
            steps = {
                (run, replica_of[run, target] - replica_of[run, source])
                for source, target in pairs
                for run in range(len(view.folds))
                if (run, source) in replica_of and (run, target) in replica_of
            }
            assert edge.offset
            assert any(step == edge.offset for _, step in steps) or len(view.folds) > 1
        elif "scope" not in (kinds[edge.source], kinds[edge.target]) and edge.kind == "data":
            if frames[edge.source] == frames[edge.target] and times[edge.source] == times[edge.target] > 1:
                assert len(edge.members) == times[edge.source]
                assert len({target for _, target in pairs}) == times[edge.target]


# --- random programs ------------------------------------------------------------------------------------------------

OPS = ("tanh", "weight", "own weight", "skip", "twice", "mask", "row", "halve", "split", "outer")
statements = st.recursive(
    st.sampled_from(OPS),
    lambda inner: st.tuples(
        st.sampled_from(["a", "b.", "step", "block"]),  # a scope's name
        st.integers(1, 4),  # how often it is entered
        st.sampled_from(["same", "numbered", "function"]),  # under which names
        st.sampled_from([None, None, 0, 1, 2]),  # which time differs
        st.lists(inner, min_size=1, max_size=4),
        st.sampled_from(["", "tanh", "skip"]),  # what stands beside it in the loop
    ),
    max_leaves=12,
)
programs = st.lists(statements, min_size=1, max_size=5)


@mg.primitive(outputs=("low", "high"))
def halves(x):
    return np.minimum(x, 0), np.maximum(x, 0)


halves.vjp(x=lambda g, x: g[0] * (x < 0) + g[1] * (x > 0))


def make(program):
    """Return the function that a random program stands for, and its parameters."""
    own = {f"W{i}": np.eye(3) * (1 + i / 7) for i in range(60)}

    def run(params, x):
        kept = [x]
        counter = iter(range(60))

        def step(op, h):
            if op == "tanh":
                return np.tanh(h)
            if op == "weight":
                return h @ params["W0"]
            if op == "own weight":
                return h @ params[f"W{next(counter, 0)}"]
            if op == "skip":
                return h + kept[0]
            if op == "twice":
                return h * h
            if op == "mask":
                return np.where(np.eye(3) > 0, h, 0.0)
            if op == "row":
                return h - h[next(counter, 0) % 3]
            if op == "split":
                low, high = halves(h)
                return high - low
            if op == "outer":
                return h + kept[-1]
            return h * 0.5

        def body(statement, h, differs):
            for inner in statement[4]:
                h = go(inner, h)
            return np.exp(-h) if differs else h

        def go(statement, h):
            if isinstance(statement, str):
                return step(statement, h)
            name, count, naming, odd, _, beside = statement
            for i in range(count):
                if naming == "function":
                    h = body(statement, h, i == odd)
                else:
                    with mg.scope(f"{name}{i}" if naming == "numbered" else name):
                        h = body(statement, h, i == odd)
                if beside:
                    h = step(beside, h)
            kept.append(h)
            return h

        h = x
        for statement in program:
            h = go(statement, h)
        return np.sum(h)

    return run, own


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    program=programs,
    fold=st.sampled_from([True, True, False]),
    params=st.sampled_from(["inline", "nodes", "hide"]),
    depth=st.sampled_from([None, None, 1, 2]),
    max_nodes=st.sampled_from([500, 500, 10, 3]),
)
def test_a_picture_of_any_program_is_true(program, fold, params, depth, max_nodes):
    with np.errstate(all="ignore"):
        run, own = make(program)
        drawing = draw(run, own, np.eye(3), fold=fold, params=params, depth=depth, max_nodes=max_nodes, measure=False)
    check_truth(drawing.view)
    assert drawing.source.count(" -> ") >= len(drawing.shown.edges)
    assert drawing.to_text()


@pytest.mark.parametrize("name", nets.GOLDEN)
@pytest.mark.parametrize("options", [{}, {"fold": False}, {"depth": 1}, {"depth": 2}, {"params": "nodes"}])
def test_the_pictures_of_the_nets_are_true(name, options):
    function, arguments = nets.GOLDEN[name]()
    check_truth(draw(function, *arguments, measure=False, **options).view)


# --- what is folded, and what is not --------------------------------------------------------------------------------


def titles(drawing):
    return [(frame.title, frame.times, frame.parameters) for frame in drawing.shown.frames]


def shown_nodes(drawing, name):
    return [node for node in drawing.shown.nodes if node.name == name]


def test_layers_of_one_shape_are_drawn_once():
    function, arguments = nets.bn5()
    drawing = draw(function, *arguments)
    assert titles(drawing) == [
        ("layers.0", 1, 19500),
        ("affine", 1, 19300),
        ("bn", 1, 200),
        ("layers.1–3", 3, 10300),
        ("affine", 1, 10100),
        ("bn", 1, 200),
        ("out", 1, 1010),
    ]
    assert [chip.name for node in shown_nodes(drawing, "matmul") for chip in node.chips] == ["W1", "W2…4", "W5"]
    (carried,) = [edge for edge in drawing.shown.edges if edge.kind == "carried"]
    assert (carried.label, carried.offset, len(carried.members)) == ("next ×2", 1, 2)


def test_the_steps_of_a_loop_are_drawn_once_though_their_scope_has_one_name():
    function, arguments = nets.lstm10()
    drawing = draw(function, *arguments)
    assert titles(drawing) == [("step", 10, 0), ("out", 1, 850)]
    assert len(drawing.view.nodes) == 191
    assert len(drawing.shown.nodes) == 29
    carried = [edge for edge in drawing.shown.edges if edge.kind == "carried"]
    assert [edge.label for edge in carried] == ["next ×9", "next ×9"]
    weights = [chip for node in drawing.shown.nodes for chip in node.chips if chip.shared]
    assert [(chip.name, chip.shared) for chip in weights] == [("Wx", 10), ("Wh", 10), ("b", 10)]
    into_stack = [edge for edge in drawing.shown.edges if edge.target == shown_nodes(drawing, "stack")[0].id]
    assert [(edge.label, len(edge.members)) for edge in into_stack] == [("4×16 (×10)", 10)]


def test_the_steps_of_an_lstm_are_drawn_once_though_nobody_reads_the_last_cell():
    rng = np.random.default_rng(0)
    params = {"Wx": rng.standard_normal((3, 16)), "Wh": rng.standard_normal((4, 16)), "b": np.zeros(16)}

    def f(params, x):
        h = c = np.zeros((2, 4))
        for t in range(6):
            with mg.scope("step"):
                h, c = mg.lstm_step(x[:, t], h, c, params["Wx"], params["Wh"], params["b"])
        return np.sum(h)

    arguments = (params, rng.standard_normal((2, 6, 3)))
    drawing = draw(f, *arguments)
    assert [(title, times) for title, times, _ in titles(drawing)] == [("step 1–5", 5), ("step#6", 1)]
    carried = [edge.label for edge in drawing.shown.edges if edge.kind == "carried"]
    assert carried == ["next ×4", "next ×4"]
    check_truth(drawing.view)


def test_folding_follows_the_edges_and_not_the_places():
    def f(x, cross):
        left, right = np.tanh(x), np.exp(x)
        for i in range(4):
            with mg.scope(f"step.{i}"):
                sum_, product = left + right, left * right
                if cross and i == 2:  # the same ops on the same shapes in the same order, and other edges
                    left, right = np.sin(product), np.cos(sum_)
                else:
                    left, right = np.sin(sum_), np.cos(product)
        return np.sum(left + right)

    assert titles(draw(f, np.ones(3), False)) == [("step", 4, 0)]
    crossed = draw(f, np.ones(3), True)
    assert titles(crossed) == [("step.0–1", 2, 0), ("step.2", 1, 0), ("step.3", 1, 0)]
    check_truth(crossed.view)


@pytest.mark.parametrize(
    "different",
    [
        lambda x: np.tanh(x).astype(np.float32).astype(float),
        lambda x: np.tanh(x) * 3.0,
        lambda x: np.sum(x, axis=0, keepdims=True) + np.tanh(x),
        lambda x: np.sin(x),
    ],
)
def test_what_differs_in_anything_is_not_folded(different):
    def f(x):
        for i in range(2):
            with mg.scope(f"layer{i}"):
                x = np.exp(different(x) if i else np.tanh(x))
        return np.sum(x)

    assert draw(f, np.ones((2, 2))).view.folds == ()


def test_blocks_with_a_sum_beside_them_fold_with_it():
    def f(params, x):
        for i in range(5):
            with mg.scope(f"block{i}"):
                y = np.tanh(x @ params[f"W{i}"])
            x = x + y
        return np.sum(x)

    drawing = draw(f, {f"W{i}": np.eye(3) for i in range(5)}, np.ones((2, 3)))
    check_truth(drawing.view)
    assert [(frame.times, frame.parameters) for frame in drawing.shown.frames] == [(5, 9), (1, 9)]
    assert [node.times for node in drawing.shown.nodes] == [1, 5, 5, 5, 1]


def test_folds_nest():
    def f(params, x):
        for i in range(3):
            with mg.scope(f"block.{i}"):
                for j in range(2):
                    with mg.scope(f"head.{j}"):
                        x = np.tanh(x @ params[f"{i}.{j}"])
        return np.sum(x)

    drawing = draw(f, {f"{i}.{j}": np.eye(3) for i in range(3) for j in range(2)}, np.ones((2, 3)))
    assert titles(drawing) == [("block", 3, 18), ("head", 2, 9)]
    assert [node.times for node in drawing.shown.nodes] == [1, 6, 6, 1]
    carried = sorted((edge.label, len(edge.members)) for edge in drawing.shown.edges if edge.kind == "carried")
    assert carried == [("next ×2", 2), ("next ×3", 3)]  # block to block, and head to head in each block
    check_truth(drawing.view)


def test_one_replica_asked_for_by_name_unfolds_the_run():
    function, arguments = nets.bn5()
    assert ("layers.2", 1, 10300) in titles(draw(function, *arguments, expand="layers.2"))


def test_functions_are_frames_where_there_are_no_scopes():
    def dense(x, W, b):
        return np.tanh(x @ W + b)

    def relu(x):
        return np.maximum(0, x)

    def f(params, x):
        for i in range(3):
            x = dense(x, params[f"W{i}"], params["b"])
        return np.sum(relu(x))

    drawing = draw(f, {**{f"W{i}": np.eye(3) for i in range(3)}, "b": np.zeros(3)}, np.ones((2, 3)))
    assert titles(drawing) == [("dense", 3, 9)]  # and none around the single op of relu
    assert [node.scope for node in drawing.view.nodes] == [""] * len(drawing.view.nodes)
    assert titles(
        draw(f, {**{f"W{i}": np.eye(3) for i in range(3)}, "b": np.zeros(3)}, np.ones((2, 3)), fold=False)
    ) == [
        ("dense#1", 1, 9),
        ("dense#2", 1, 9),
        ("dense#3", 1, 9),
    ]


def test_a_scope_with_a_loop_in_it_that_was_entered_once_stays_one():
    def f(x):
        with mg.scope("act"):
            x = np.tanh(np.tanh(x))
        return np.sum(x)

    assert titles(draw(f, np.ones(3))) == [("act", 1, 0)]


# --- collapsing -----------------------------------------------------------------------------------------------------


def boxes(drawing):
    return {node.name: node for node in drawing.shown.nodes if node.kind == "scope"}


def test_depth_collapses_what_is_deeper():
    function, arguments = nets.transformer(12)
    two = draw(function, *arguments, depth=2, measure=False)
    assert list(boxes(two)) == ["ln1", "attn", "mlp"]
    assert boxes(two)["attn"].lines[0].startswith("21 ops · 16,640 params · saves ")
    assert len(two.shown.nodes) == 13
    one = draw(function, *arguments, depth=1, measure=False)
    assert [(name, node.details) for name, node in boxes(one).items()] == [("blocks", ("×12",)), ("head", ())]
    assert "49,984 params" in boxes(one)["blocks"].lines[0]


@pytest.mark.parametrize("pattern", ["attn", "blocks/attn", "blocks.0/attn", "blocks.1/attn", "*/attn", "blocks.*/at*"])
def test_scopes_are_collapsed_by_path_name_or_pattern(pattern):
    function, arguments = nets.transformer()
    drawing = draw(function, *arguments, collapse=[pattern], measure=False)
    assert list(boxes(drawing)) == ["attn"]
    check_truth(drawing.view)


def test_expand_keeps_a_scope_open():
    function, arguments = nets.transformer()
    drawing = draw(function, *arguments, depth=1, expand="mlp", measure=False)
    assert list(boxes(drawing)) == ["ln1", "attn", "ln2", "fc1", "fc2", "head"]
    check_truth(drawing.view)


def test_too_large_a_picture_collapses_its_deepest_scopes_and_says_so():
    function, arguments = nets.transformer(4)
    drawing = draw(function, *arguments, max_nodes=30, measure=False)
    assert list(boxes(drawing)) == ["ln1", "attn", "mlp"]
    (message,) = drawing.shown.messages
    assert message == f"{len(drawing.view.nodes)} nodes -> {len(drawing.shown.nodes)} shown; use depth= or expand="
    assert message.replace(">", "&gt;") in drawing.source


def test_what_has_no_scopes_is_gathered_in_parts():
    def f(x):
        for _ in range(1000):
            x = np.tanh(x)
        return np.sum(x)

    drawing = draw(f, np.ones(3), max_nodes=50)
    assert len(drawing.shown.nodes) <= 50
    assert drawing.shown.nodes[1].lines == ("21 ops · saves 504 B",)
    assert "1,002 nodes -> " in drawing.shown.messages[0]
    check_truth(drawing.view)


# --- time -----------------------------------------------------------------------------------------------------------


def blocks(count, size):
    def f(x):
        for i in range(count):
            with mg.scope(f"group.{i % 7}" if i % 2 else f"other.{i}"):
                for j in range(size):
                    with mg.scope(f"part.{j}"):
                        x = np.tanh(x * 1.5) + x
        return np.sum(x)

    return f


def test_the_work_of_a_view_is_linear_in_its_nodes():
    """Counted in calls of Python functions, which no other process disturbs."""
    import sys

    from minigrad.draw.make import make_view
    from minigrad.draw.subject import record

    counts = []
    for count in (20, 80):
        recorded = record(blocks(count, 5), (np.ones(2),))
        calls = 0

        def count_call(frame, event, argument):
            nonlocal calls
            calls += event == "call"

        sys.setprofile(count_call)
        try:
            make_view(recorded, measured=False)
        finally:
            sys.setprofile(None)
        counts.append(calls / len(recorded.nodes))
    assert math.isclose(counts[0], counts[1], rel_tol=0.35), counts


def test_a_loop_inside_a_scope_is_one_visit():
    """A frame says ×N of a scope that was entered N times, and of nothing else."""

    def inside(x):
        with mg.scope("net"):
            for _ in range(4):
                x = np.tanh(x) * 2.0
        return np.sum(x)

    def around(x):
        for _ in range(4):
            with mg.scope("net"):
                x = np.tanh(x) * 2.0
        return np.sum(x)

    assert draw(inside, np.ones(3)).to_json()["folds"] == []
    assert [len(fold["nodes"]) for fold in draw(around, np.ones(3)).to_json()["folds"]] == [4]


def test_the_last_step_may_do_more():
    def f(x, w):
        for step in range(5):
            with mg.scope("step"):
                x = np.tanh(x @ w)
                if step == 4:
                    x = np.sum(x)
        return x

    (fold,) = draw(f, np.ones((2, 3)), np.ones((3, 3))).to_json()["folds"]
    assert len(fold["nodes"]) == 4
