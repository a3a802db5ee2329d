"""Products: every rank of matmul and dot, tensordot's axes, einsum's notation."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad.ops.linalg import explicit_subscripts
from tests.gradients import agrees, gradients_of

rng = np.random.default_rng(17)
A, B = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))

LEFT = [(3,), (2, 3), (1, 2, 3), (5, 2, 3), (4, 1, 2, 3)]
RIGHT = [(3,), (3, 2), (1, 3, 2), (5, 3, 2), (1, 5, 3, 2)]


@pytest.mark.parametrize("left, right", list(itertools.product(LEFT, RIGHT)), ids=str)
def test_matmul_of_all_ranks(left, right):
    agrees(lambda x, y: x @ y, rng.standard_normal(left), rng.standard_normal(right))


@pytest.mark.parametrize(
    "left, right",
    [
        ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((2, 3), (3, 0)), ((0,), (0,)), ((5, 2, 0), (0, 4)), ((5, 2, 3), (3, 0)),
        ((0, 2, 3), (3, 4)), ((0, 2, 3), (0, 3, 4)), ((2, 3), (0, 3, 4)),
    ],
    ids=str,
)  # fmt: skip
def test_matmul_of_empty_arrays(left, right):
    out, (gx, gy) = gradients_of(np.matmul, [np.ones(left), np.ones(right)])
    assert out.shape == (np.ones(left) @ np.ones(right)).shape
    assert (gx.shape, gy.shape) == (left, right)
    assert not gx.any() and not gy.any()


def test_matmul_with_arrays_and_lists_on_either_side():
    agrees(lambda x: x @ B, A)
    agrees(lambda x: A @ x, B)
    agrees(lambda x: x @ [[1.0], [2.0], [3.0]], A)
    agrees(lambda x: [[1.0, 2.0]] @ x, A)
    agrees(lambda x: x @ np.arange(12).reshape(3, 4), A)
    agrees(lambda x: x @ x.T @ x, A)


def test_the_error_says_which_sizes_differ_and_what_to_transpose():
    with pytest.raises(ValueError, match=r"\(2, 3\) @ \(4, 3\): inner sizes 3 and 4 differ.*\.T"):
        mg.Tape().watch(A) @ B.T


RANKS = [(), (3,), (2, 3), (4, 2, 3)]
SECOND = [(), (3,), (3, 2), (2, 3, 5)]


@pytest.mark.parametrize("left, right", list(itertools.product(RANKS, SECOND)), ids=str)
def test_dot_of_all_ranks(left, right):
    agrees(np.dot, rng.standard_normal(left), rng.standard_normal(right))


def test_dot_as_a_method_and_with_lists():
    agrees(lambda x: x.dot(B), A)
    agrees(lambda x: np.dot([1.0, 2.0], x), A)


@pytest.mark.parametrize(
    "axes, left, right",
    [
        (0, (2,), (3, 2)),
        (1, (2, 3), (3, 4)),
        (2, (4, 2, 3), (2, 3, 5)),
        ((1, 1), (2, 3), (4, 3)),
        (([0, 1], [1, 0]), (2, 3, 4), (3, 2)),
        (((-1, 0), (0, -1)), (2, 3, 4), (4, 5, 2)),
        ((-1, [0]), (2, 3), (3, 4)),
        ((np.array([0, 1]), np.array([1, 0])), (2, 3, 4), (3, 2)),
        (np.array([[0, 1], [1, 0]]), (2, 3, 4), (3, 2)),
        (([], []), (2,), (3,)),
        (1, (2, 0), (0, 3)),
    ],
    ids=str,
)
def test_tensordot(axes, left, right):
    agrees(lambda x, y: np.tensordot(x, y, axes), rng.standard_normal(left), rng.standard_normal(right))


def test_tensordot_of_axes_that_differ_is_a_value_error():
    with pytest.raises(ValueError, match="tensordot.*different sizes"):
        np.tensordot(mg.Tape().watch(A), A, axes=1)


def test_outer():
    agrees(np.outer, A, np.array([1.0, 2.0]))
    assert gradients_of(np.outer, [np.zeros(0), np.ones(2)])[1][1].shape == (2,)


@pytest.mark.parametrize(
    "subscripts, shapes",
    [
        ("ij,jk", [(2, 3), (3, 4)]),
        ("ij,jk->ki", [(2, 3), (3, 4)]),
        (" i j , jk -> ik ", [(2, 3), (3, 4)]),
        ("ba", [(2, 3)]),
        ("bA", [(2, 3)]),
        ("ii", [(3, 3)]),
        ("ii->i", [(3, 3)]),
        ("iii->i", [(2, 2, 2)]),
        ("iij,jj->i", [(2, 2, 3), (3, 3)]),
        ("ij->", [(2, 3)]),
        ("i,j->", [(2,), (3,)]),
        ("...ij,...jk->...ik", [(5, 2, 3), (3, 4)]),
        ("...i,i", [(2, 4, 3), (3,)]),
        ("i...,i...", [(3, 2), (3, 1)]),
        ("...,...", [(2, 1), (1, 3)]),
        ("...ii->...", [(2, 3, 3)]),
        ("ij...,...k->...ki", [(2, 3, 4), (4, 5)]),
        ("ij,ij->i", [(1, 3), (2, 3)]),
        ("ij,ij->j", [(2, 1), (2, 3)]),
        (",->", [(), ()]),
        (",ij->ji", [(), (2, 3)]),
        ("ab,bc,cd->ad", [(2, 3), (3, 2), (2, 4)]),
        ("ij,j->ij", [(0, 3), (3,)]),
    ],
)
@pytest.mark.parametrize("optimize", [False, True])
def test_einsum(subscripts, shapes, optimize):
    args = [rng.standard_normal(shape) for shape in shapes]
    agrees(lambda *xs: np.einsum(subscripts, *xs, optimize=optimize), *args)


NUMBERS = [([0, 1], [1, 2], [0, 2]), ([0, 1], [1, 2]), ([1, 0], [0, 2]), ([27, 1], [1, 2])]
NUMBERS += [([..., 1], [1, 2], [..., 2])]


@pytest.mark.parametrize("numbers", NUMBERS, ids=str)
def test_einsum_with_numbers_for_letters(numbers):
    agrees(lambda x, y: np.einsum(x, numbers[0], y, numbers[1], *numbers[2:]), A, B)


@pytest.mark.parametrize("subscripts", ["...i->i", "ij,jk->ik", "ij->k", "ijk->i", "ij,jk"])
def test_what_numpy_refuses_is_refused(subscripts):
    """Every text above is wrong for two arrays (2, 3)."""
    arrays = [A] * (subscripts.count(",") + 1)
    with pytest.raises(ValueError):
        np.einsum(subscripts, *arrays)
    with pytest.raises(ValueError):
        np.einsum(subscripts, *[mg.Tape().watch(A), *arrays[1:]])


def test_explicit_subscripts():
    assert explicit_subscripts("ij,jk", [(2, 3), (3, 4)]) == "ij,jk->ik"
    assert explicit_subscripts("...i,...i->...", [(2, 3), (4, 2, 3)]).count("...") == 0


@pytest.mark.parametrize(
    "f, text",
    [
        (lambda x: np.dot(x, B, out=np.zeros((2, 4))), "dot.*out="),
        (lambda x: np.outer(x, B, out=np.zeros((6, 12))), "outer.*out="),
        (lambda x: np.einsum("ij->i", x, dtype=np.float32), "einsum"),
    ],
)
def test_refused_by_name(f, text):
    with pytest.raises((mg.NoGradientRule, TypeError), match=text):
        f(mg.Tape(full=False).watch(A))
