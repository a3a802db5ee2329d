"""Embedding: the course's example, repeated words, shapes of indices, and what it refuses."""

import numpy as np
import pytest

import minigrad as mg
from tests.gradients import agrees, gradients_of

rng = np.random.default_rng(47)
TABLE = rng.standard_normal((5, 3))
WORDS = np.array([[0, 3, 1, 2], [2, 1, 0, 3]])


def test_the_courses_numbers():
    """Those of the notebook on captioning."""
    table = np.linspace(0, 1, num=15).reshape(5, 3)
    wanted = [
        [[0, 0.07142857, 0.14285714], [0.64285714, 0.71428571, 0.78571429],
         [0.21428571, 0.28571429, 0.35714286], [0.42857143, 0.5, 0.57142857]],
        [[0.42857143, 0.5, 0.57142857], [0.21428571, 0.28571429, 0.35714286],
         [0, 0.07142857, 0.14285714], [0.64285714, 0.71428571, 0.78571429]],
    ]  # fmt: skip
    np.testing.assert_allclose(mg.embedding(table, WORDS), wanted, atol=1e-8)


@pytest.mark.parametrize("shape", [(), (4,), (50, 6), (2, 3, 4), (0,), (2, 0)], ids=str)
def test_repeated_words_add_up(shape):
    words = rng.integers(0, 5, shape)
    out, pullback = mg.vjp(lambda table: mg.embedding(table, words), TABLE)
    assert out.shape == (*shape, 3)
    g = rng.standard_normal(out.shape)
    wanted = np.zeros_like(TABLE)
    for place in np.ndindex(*shape):
        np.testing.assert_array_equal(out[place], TABLE[words[place]])
        wanted[words[place]] += g[place]
    np.testing.assert_allclose(pullback(g)[0], wanted, atol=1e-13)


@pytest.mark.parametrize("words", [WORDS, WORDS.astype(np.uint8), WORDS.tolist(), np.array(2), 2, []], ids=str)
def test_derivatives_for_every_kind_of_index(words):
    agrees(lambda table: mg.embedding(table, words) ** 2, TABLE)
    agrees(lambda table: np.tanh(mg.embedding(table, words)), TABLE)


def test_both_modes():
    mg.check_grads(lambda table: mg.embedding(table * table, WORDS), (TABLE,))


def test_many_words():
    """Enough for the faster way of adding up."""
    table, words = rng.standard_normal((40, 8)), rng.integers(0, 40, (30, 20))
    g = rng.standard_normal((30, 20, 8))
    wanted = np.zeros_like(table)
    np.add.at(wanted, words, g)
    np.testing.assert_allclose(mg.grad(lambda table: np.sum(mg.embedding(table, words) * g))(table), wanted, rtol=1e-12)


def test_dtypes_are_kept():
    for dtype in (np.float16, np.float32):
        out, (g,) = gradients_of(lambda table: mg.embedding(table, WORDS), [TABLE.astype(dtype)])
        assert out.dtype == g.dtype == dtype


def test_indices_on_a_tape():
    """A program that is recorded whole has the indices on its tape too."""
    tape = mg.Tape()
    out = mg.embedding(tape.watch(TABLE), tape.watch(WORDS))
    np.testing.assert_array_equal(out.value, TABLE[WORDS])
    node = tape.nodes[out.index]
    assert len(node.parents) == 2 and None not in node.parents


@pytest.mark.parametrize(
    "table, words, error, text",
    [
        (TABLE, [[0, 1], [5, 2]], mg.ShapeError, r"indices\[1, 0\] is 5.*\(5, 3\).*0 to 4 \(1 of 4 indices"),
        (TABLE, [0, -1], IndexError, r"indices\[1\] is -1"),
        (TABLE, 7, IndexError, "the index is 7"),
        (np.zeros((0, 3)), [0], IndexError, r"indices\[0\] is 0"),
        (TABLE, [0.0, 1.0], mg.DTypeError, r"indices \(2,\) are float64.*astype"),
        (TABLE, [True, False], mg.DTypeError, "indices .* are bool"),
        (TABLE, np.zeros(0), mg.DTypeError, "float64"),
        (TABLE[0], [0], mg.ShapeError, r"weights \(3,\) came, and \(V, D\)"),
    ],
)
@pytest.mark.parametrize("watch", [False, True], ids=["arrays", "tensors"])
def test_what_is_refused(table, words, error, text, watch):
    with pytest.raises(error, match=f"embedding in words: .*{text}"), mg.scope("words"):
        mg.embedding(mg.Tape(full=False).watch(table) if watch else table, words)
