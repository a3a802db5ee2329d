"""Tape: what it records, what a person asks of it, and what it refuses."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import DTypeError, MinigradError, ShapeError, StaleTensorError
from minigrad.core.tape import Tape

A = np.array([1.0, 2.0, 3.0])


def polynomial():
    """Return a tape with x, y = x * x, z = sum(y), and an unused w."""
    tape = mg.Tape()
    x = tape.watch(A, "x")
    y = x * x
    z = np.sum(y)
    w = np.exp(x)
    return tape, x, y, z, w


# --- watch ------------------------------------------------------------------------------------------------------------


def test_watch_an_array():
    tape = mg.Tape()
    x = tape.watch(A, name="x")
    assert isinstance(x, mg.Tensor)
    assert x.value is A
    assert (x.index, x.tape, len(tape)) == (0, tape, 1)
    assert (tape.nodes[0].role, tape.nodes[0].name) == ("input", "x")


def test_watch_a_container_names_the_entries_by_their_keys():
    tape = mg.Tape()
    params = tape.watch({"W": A, "blocks": [A, (A,)]})
    assert isinstance(params["blocks"][1][0], mg.Tensor)
    assert [node.name for node in tape.nodes] == ["W", "blocks[0]", "blocks[1][0]"]


@pytest.mark.parametrize("value", [np.arange(3), np.ones(2, bool), np.uint8(3), 3, True])
def test_integers_may_be_watched_on_a_full_tape_and_have_no_derivative(value):
    tape = mg.Tape()
    x = tape.watch(value, "labels")
    assert tape.nodes[0].dtype == np.asarray(value).dtype
    assert not tape.nodes[0].active
    with pytest.raises(DTypeError, match="labels"):
        Tape(full=False).watch(value, "labels")
    assert x.dtype == np.asarray(value).dtype


@pytest.mark.parametrize("value", ["text", None, object(), np.array(["a"]), np.array([None])])
def test_what_is_no_array_of_numbers_is_refused(value):
    with pytest.raises(DTypeError):
        mg.Tape().watch(value)


def test_integer_inputs_take_part():
    tape = mg.Tape()
    scores, y = tape.watch(np.eye(3)), tape.watch(np.array([0, 2, 1]))
    out = np.sum(scores[np.arange(3), y])
    np.testing.assert_array_equal(tape.gradient(out, scores), [[1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_watching_a_tensor_of_a_newer_tape_is_refused():
    older, newer = mg.Tape(), mg.Tape()
    x = newer.watch(A)
    with pytest.raises(MinigradError):
        older.watch(x)


def test_watching_a_tensor_of_the_same_tape_is_refused():
    tape = mg.Tape()
    x = tape.watch(A)
    with pytest.raises(MinigradError):
        tape.watch(x)


def test_levels_rise():
    first, second = mg.Tape(), mg.Tape()
    assert second.level > first.level


# --- gradient ---------------------------------------------------------------------------------------------------------


def test_gradient_of_a_result_with_respect_to_an_input():
    tape, x, _, z, _ = polynomial()
    np.testing.assert_array_equal(tape.gradient(z, x), 2 * A)


def test_gradient_with_respect_to_an_intermediate_result():
    tape, _, y, z, _ = polynomial()
    np.testing.assert_array_equal(tape.gradient(z, y), np.ones(3))


def test_gradient_of_an_intermediate_result():
    tape, x, y, _, _ = polynomial()
    np.testing.assert_array_equal(tape.gradient(y, x), 2 * A)


def test_gradient_with_respect_to_itself_is_the_cotangent():
    tape, x, y, _, _ = polynomial()
    for entry in (x, y):
        cotangent = np.array([1.0, 10.0, 100.0])
        gradient = tape.gradient(entry, entry, cotangent)
        np.testing.assert_array_equal(gradient, cotangent)
        assert not np.shares_memory(gradient, cotangent)


def test_gradient_with_respect_to_a_later_or_unrelated_entry_is_zero():
    tape, x, y, z, w = polynomial()
    np.testing.assert_array_equal(tape.gradient(y, z), 0.0)
    np.testing.assert_array_equal(tape.gradient(x, y), np.zeros(3))
    np.testing.assert_array_equal(tape.gradient(z, w), np.zeros(3))


def test_gradient_with_respect_to_containers_and_to_one_entry_twice():
    tape, x, y, z, w = polynomial()
    found = tape.gradient(z, {"x": x, "list": [y, w], "again": (x,)})
    np.testing.assert_array_equal(found["x"], 2 * A)
    np.testing.assert_array_equal(found["list"][0], np.ones(3))
    np.testing.assert_array_equal(found["list"][1], np.zeros(3))
    np.testing.assert_array_equal(found["again"][0], 2 * A)
    assert not np.shares_memory(found["x"], found["again"][0])


def test_gradient_with_respect_to_an_entry_on_the_way_and_its_source():
    tape = mg.Tape()
    x = tape.watch(2.0)
    y = x * x
    z = y * y + x
    dx, dy = tape.gradient(z, (x, y))
    assert (float(dx), float(dy)) == (4 * 8.0 + 1, 8.0)


def test_gradient_weighted_by_a_cotangent():
    tape, x, y, _, _ = polynomial()
    np.testing.assert_array_equal(tape.gradient(y, x, np.array([1.0, 0.0, 10.0])), [2.0, 0.0, 60.0])
    np.testing.assert_array_equal(tape.gradient(y, x, np.array([1, 0, 10])), [2.0, 0.0, 60.0])
    with pytest.raises(ShapeError, match=r"the target has shape \(3,\), and its cotangent came with shape \(2,\)"):
        tape.gradient(y, x, np.ones(2))


def test_gradient_may_be_asked_again_and_leaves_the_tape_as_it_is():
    tape, x, _, z, _ = polynomial()
    before = str(tape)
    first = tape.gradient(z, x)
    first[:] = np.nan
    np.testing.assert_array_equal(tape.gradient(z, x), 2 * A)
    assert str(tape) == before


def test_gradient_of_several_outputs():
    tape = mg.Tape()
    x = tape.watch(np.arange(6.0))
    a, b, c = np.split(x * x, 3)
    np.testing.assert_array_equal(tape.gradient(b, x), [0, 0, 4, 6, 0, 0])
    np.testing.assert_array_equal(tape.gradient(a, x), [0, 2, 0, 0, 0, 0])
    np.testing.assert_array_equal(tape.gradient(np.sum(c) + a[1], x), [0, 2, 0, 0, 8, 10])
    np.testing.assert_array_equal(tape.gradient(np.sum(c * a), c), [0, 1])
    np.testing.assert_array_equal(tape.gradient(a, c), [0, 0])


def test_gradient_of_batch_statistics():
    tape = mg.Tape()
    x = tape.watch(np.array([[1.0], [3.0]]))
    _, mean, var = mg.batchnorm.all_outputs(x, np.ones(1), np.zeros(1))
    np.testing.assert_allclose(tape.gradient(mean, x), [[0.5], [0.5]])
    np.testing.assert_allclose(tape.gradient(var, x), [[-1.0], [1.0]])


def test_gradient_after_the_recording_has_ended():
    with mg.Tape() as tape:
        x = tape.watch(A)
        z = np.sum(x * x)
    np.testing.assert_array_equal(tape.gradient(z, x), 2 * A)
    assert "ended" in repr(tape)


def test_gradient_of_a_comparison_is_zero():
    tape, x, _, _, _ = polynomial()
    assert not tape.gradient(x > 1, x).any()


def test_second_derivative_through_an_outer_tape():
    outer = mg.Tape()
    x = outer.watch(A)
    inner = mg.Tape()
    y = inner.watch(x)
    slope = inner.gradient(y**3, y)
    assert isinstance(slope, mg.Tensor)
    np.testing.assert_allclose(outer.gradient(slope, x), 6 * A)


def test_arguments_of_gradient_that_are_not_on_the_tape():
    tape, x, y, z, _ = polynomial()
    other = mg.Tape().watch(A)
    with pytest.raises(StaleTensorError, match="another tape"):
        tape.gradient(other, x)
    with pytest.raises(StaleTensorError, match="another tape"):
        tape.gradient(z, [x, other])
    with pytest.raises(DTypeError, match="ndarray"):
        tape.gradient(A, x)
    with pytest.raises(DTypeError, match="float"):
        tape.gradient(z, {"x": x, "y": 1.0})


# --- after the end ----------------------------------------------------------------------------------------------------


USES = {
    "add": (lambda x: x + 1.0, "add"),
    "reflected": (lambda x: 2.0 * x, "multiply"),
    "unary": (lambda x: np.tanh(x), "tanh"),
    "reduction": (lambda x: x.sum(), "sum"),
    "index": (lambda x: x[0], "getitem"),
    "several arrays": (lambda x: np.concatenate([A, x]), "concatenate"),
    "several outputs": (lambda x: np.split(x, 3), "split"),
    "with an array": (lambda x: x @ A, "matmul"),
}


@pytest.mark.parametrize(("use", "name"), USES.values(), ids=USES)
@pytest.mark.parametrize("full", [True, False])
def test_a_stale_tensor_is_refused_by_an_error_that_names_the_op(use, name, full):
    with Tape(full=full) as tape:
        x = tape.watch(A)
    length = len(tape)
    with pytest.raises(StaleTensorError, match=rf"^{name}: .*earlier call.*\.value"):
        use(x)
    with mg.scope("fc1"), pytest.raises(StaleTensorError, match=rf"^{name} in fc1: "):
        use(x)
    assert len(tape) == length


def test_a_tensor_kept_from_an_earlier_call_is_refused_in_the_next():
    kept = []

    def f(x):
        kept.append(x)
        return np.sum(x * kept[0])

    mg.grad(f)(A)
    with pytest.raises(StaleTensorError, match="^multiply: "):
        mg.grad(f)(A)


def test_watching_on_an_ended_tape_says_so():
    with mg.Tape() as tape:
        pass
    with pytest.raises(StaleTensorError, match="ended"):
        tape.watch(A)
    with pytest.raises(StaleTensorError, match="^(?!: )"):
        tape.watch(A)


def test_the_tape_ends_after_an_error_too():
    tape = mg.Tape()
    with pytest.raises(ZeroDivisionError), tape:
        raise ZeroDivisionError
    assert tape.ended


# --- what it shows ----------------------------------------------------------------------------------------------------


def test_print_is_a_table():
    tape = mg.Tape()
    x = tape.watch(np.ones((2, 3), np.float32), "x")
    with mg.scope("fc1"):
        np.sum(np.tanh(x + 1.0), axis=0)
    lines = str(tape).splitlines()
    assert lines[0].split() == ["entry", "op", "name", "from", "shape", "dtype", "scope", "saved"]
    assert len(lines) == 1 + len(tape)
    assert lines[1].split() == ["%0", "input", "x", "2×3", "float32"]
    assert lines[4].split() == ["%3", "tanh", "%2", "2×3", "float32", "fc1", "out", "24", "B"]
    assert len({line.index("float") for line in lines[1:]}) == 1  # columns are aligned
    assert all(line == line.rstrip() for line in lines)


def test_the_same_program_prints_the_same_text():
    assert str(polynomial()[0]) == str(polynomial()[0])


def test_an_empty_tape_prints_its_header():
    assert str(mg.Tape()).startswith("entry")
    assert repr(mg.Tape()) == "<Tape with 0 entries>"


def test_nodes_of_a_tape_that_only_differentiates():
    tape = Tape(full=False)
    x = tape.watch(A)
    _ = x > 1
    _ = x * A
    assert [(node.name, node.parents) for node in tape.nodes[1:]] == [("multiply", (0, None))]


def test_constants_are_kept_on_a_full_tape():
    tape = mg.Tape()
    _ = tape.watch(A) * A + 1.0
    constants = [node.saved[0] for node in tape.nodes if node.role == "constant"]
    assert constants[0] is A
    assert constants[1] == 1.0


def test_static_parameters_are_recorded_with_their_defaults():
    tape = mg.Tape()
    np.sum(tape.watch(np.ones((2, 3))), axis=1)
    assert tape.nodes[-1].params == {"axis": 1, "keepdims": False}


def test_lines_are_those_of_the_user():
    tape = mg.Tape(lines=True)
    x = tape.watch(A)
    np.mean(np.sin(x))  # this line
    line = test_lines_are_those_of_the_user.__code__.co_firstlineno + 3
    assert [node.line for node in tape.nodes[1:]] == [(__file__, line)] * 2
    assert all(node.line is None for node in polynomial()[0].nodes)


def test_an_op_with_several_outputs_is_one_op_and_its_outputs():
    tape = mg.Tape()
    np.split(tape.watch(np.arange(4.0)), 2)
    op, output = tape.nodes[1:]
    assert (op.role, op.name, op.shape) == ("op", "split", (2,))
    assert (output.role, output.parents, output.params["number"]) == ("output", (1,), 1)


def test_a_tape_that_ended_while_it_was_watched_stays_ended():
    tape = mg.Tape(full=False)
    x = tape.watch(np.ones(2))
    with mg.detect_anomaly(path=None):
        tape.end()
    for use in (np.tanh, lambda x: x * x, lambda x: x.sum(), lambda x: mg.affine(x.reshape(1, 2), np.eye(2), x)):
        with pytest.raises(mg.StaleTensorError, match="has ended"):
            use(x)
    assert len(tape) == 1
