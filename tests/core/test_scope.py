"""Scopes: how they nest, what they refuse, and that nothing leaks out of them."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.scope import current_scope


def test_scopes_nest_and_end():
    assert current_scope() == ""
    with mg.scope("a") as path:
        assert path == current_scope() == "a"
        with mg.scope("b") as path:
            assert path == current_scope() == "a/b"
        assert current_scope() == "a"
    assert current_scope() == ""


def test_the_same_scope_again_and_inside_itself():
    layer = mg.scope("layer")
    for _ in range(2):
        with layer:
            assert current_scope() == "layer"
            with layer:
                assert current_scope() == "layer/layer"
            assert current_scope() == "layer"
        assert current_scope() == ""


def test_a_scope_ends_when_an_error_passes():
    with pytest.raises(KeyError), mg.scope("a"), mg.scope("b"):
        raise KeyError
    assert current_scope() == ""


@pytest.mark.parametrize("name", ["", None, 3, b"fc1", ["fc1"]])
def test_names_that_are_refused(name):
    with pytest.raises(ValueError, match="non-empty string"):
        mg.scope(name)


def test_nodes_carry_the_scope_in_which_they_were_recorded():
    tape = mg.Tape()
    x = tape.watch(np.ones(2))
    with mg.scope("block"):
        with mg.scope("fc1"):
            y = np.sin(x)
        z = np.cos(y)
    np.exp(z)
    assert [node.scope for node in tape.nodes] == ["", "block/fc1", "block", ""]


def test_a_gradient_that_fails_leaves_no_scope_behind():
    def f(x):
        with mg.scope("fc1"):
            return np.sum(x @ np.ones(7))

    for _ in range(2):
        with pytest.raises(mg.ShapeError, match="^matmul in fc1: "):
            mg.grad(f)(np.ones(3))
        assert current_scope() == ""


def test_a_rule_that_fails_leaves_no_scope_behind():
    @mg.primitive
    def bad(x):
        return x * 1

    def bad_rule(g):
        raise RuntimeError("in a rule")

    bad.vjp(x=bad_rule)

    def f(x):
        with mg.scope("layer"):
            return bad(x)

    with pytest.raises(RuntimeError, match="in a rule"):
        mg.grad(lambda x: mg.grad(f)(x))(1.0)
    assert current_scope() == ""


def test_steps_of_the_backward_pass_are_in_the_scope_of_their_forward_node():
    tape = mg.Tape()
    x = tape.watch(np.ones(3))

    def f(x):
        with mg.scope("first"):
            y = np.sin(x)
        with mg.scope("second"):
            z = np.exp(y)
        return np.sum(z)

    before = len(tape)
    with mg.scope("step"):
        mg.grad(f)(x)
    backward = [(n.name, n.scope) for n in tape.nodes[before:] if n.role == "op"]
    assert ("cos", "step/first") in backward
    assert ("multiply", "step/second") in backward
    assert {scope for _, scope in backward} == {"step", "step/first", "step/second"}
