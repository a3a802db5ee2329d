"""Products other than matmul, dot, tensordot and einsum: inner, kron, cross, multi_dot, and those of np.linalg."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import NoGradientRule
from tests.gradients import agrees, as_tuple, gradients_of

rng = np.random.default_rng(29)


def normal(*shape):
    return np.asarray(rng.standard_normal(shape))


def agrees_on_complex(f, *shapes):
    """Check a function on complex arguments, given and returned in parts."""

    def in_parts(*parts):
        out = f(*(re + im * 1j for re, im in zip(parts[::2], parts[1::2])))
        return [part(x) for x in as_tuple(out) for part in (np.real, np.imag)]

    agrees(in_parts, *(normal(*shape) for shape in shapes for _ in range(2)))


@pytest.mark.parametrize("left, right", [((), (3,)), ((2,), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 3), (4, 1, 3))])
def test_inner(left, right):
    agrees(np.inner, normal(*left), normal(*right))


@pytest.mark.parametrize(
    "left, right", list(itertools.product([(), (2,), (2, 3), (2, 1, 2)], [(3,), (1, 2), (2, 2, 2)]))
)
def test_kron_of_all_ranks(left, right):
    agrees(np.kron, normal(*left), normal(*right))


def test_vdot():
    agrees(np.vdot, normal(2, 3), normal(3, 2))
    agrees_on_complex(np.vdot, (2, 3), (6,))


def test_products_of_complex_numbers():
    agrees_on_complex(np.inner, (2, 3), (4, 3))
    agrees_on_complex(np.kron, (2, 1), (2, 2))
    agrees_on_complex(np.cross, (2, 3), (3,))
    agrees_on_complex(np.matmul, (2, 3), (3, 2))
    agrees_on_complex(np.linalg.vecdot, (2, 3), (3,))
    agrees_on_complex(lambda x, y: np.einsum("ij,jk->ik", x, y), (2, 3), (3, 2))


def test_cross():
    agrees(np.cross, normal(3), normal(3))
    agrees(np.cross, normal(2, 1, 3), normal(4, 3))
    agrees(lambda x, y: np.cross(x, y, axisa=0, axisb=1, axisc=0), normal(3, 2), normal(2, 3))
    agrees(lambda x, y: np.cross(x, y, axis=0), normal(3, 2), normal(3, 2))
    agrees(lambda x: np.cross([1.0, 2.0, 3.0], x), normal(3))
    agrees(lambda x, y: np.linalg.cross(x, y, axis=0), normal(3, 2), normal(3, 2))


def test_cross_of_two_components_says_what_to_do():
    with pytest.raises(ValueError, match="a third that is 0"):
        mg.grad(lambda x: np.cross(x, np.ones(3)).sum())(np.ones(2))


MATVEC = [((2, 3), (3,)), ((4, 2, 3), (3,)), ((2, 3), (4, 3)), ((5, 1, 2, 3), (4, 3))]


@pytest.mark.skipif(not hasattr(np, "matvec"), reason="NumPy before 2.2")
@pytest.mark.parametrize("left, right", MATVEC)
def test_matvec_and_vecmat(left, right):
    agrees(np.matvec, normal(*left), normal(*right))
    agrees(np.vecmat, normal(*right), np.swapaxes(normal(*left), -1, -2).copy())


@pytest.mark.skipif(not hasattr(np, "matvec"), reason="NumPy before 2.2")
def test_ufuncs_of_complex_vectors_conjugate_the_vector_on_the_left():
    agrees_on_complex(np.vecdot, (2, 3), (3,))
    agrees_on_complex(np.matvec, (2, 3), (3,))
    agrees_on_complex(np.vecmat, (3,), (3, 2))


def test_vecdot():
    agrees(np.vecdot, normal(4, 1, 3), normal(2, 3))
    agrees(lambda x: np.vecdot([1.0, 2.0], x), normal(2))
    agrees(lambda x, y: np.linalg.vecdot(x, y, axis=0), normal(3, 2), normal(3, 1))


CHAINS = [
    [(2, 3), (3, 4)], [(2, 3), (3, 4), (4, 2)], [(3,), (3, 4), (4, 2)], [(2, 3), (3, 4), (4,)], [(3,), (3, 3), (3,)],
    [(5, 2), (2, 7), (7, 1), (1, 4), (4, 3)], [(3,), (3,)],
]  # fmt: skip


@pytest.mark.parametrize("shapes", CHAINS, ids=str)
def test_multi_dot(shapes):
    agrees(lambda *arrays: np.linalg.multi_dot(arrays), *(normal(*shape) for shape in shapes))


def test_multi_dot_takes_the_cheap_order():
    tape = mg.Tape()
    tall, wide, vector = (tape.watch(normal(*shape)) for shape in [(50, 2), (2, 50), (50, 1)])
    np.linalg.multi_dot([tall, wide, vector])
    assert [node.shape for node in tape.nodes if str(node.name) == "matmul"] == [(2, 1), (50, 1)]


def test_multi_dot_refuses_what_numpy_does():
    with pytest.raises(np.linalg.LinAlgError, match="matrices"):
        mg.grad(lambda x: np.linalg.multi_dot([x, x]).sum())(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="at least two"):
        mg.grad(lambda x: np.linalg.multi_dot([x]).sum())(np.ones((2, 2)))
    with pytest.raises(NoGradientRule, match="out="):
        mg.grad(lambda x: np.linalg.multi_dot([x, x], out=np.ones((2, 2))).sum())(np.ones((2, 2)))


def test_the_spellings_of_linalg():
    agrees(np.linalg.matmul, normal(2, 3), normal(3, 2))
    agrees(np.linalg.outer, normal(2), normal(3))
    agrees(lambda x, y: np.linalg.tensordot(x, y, axes=((0, 1), (1, 0))), normal(2, 3), normal(3, 2))
    agrees(np.linalg.matrix_transpose, normal(2, 3, 4))
    agrees(np.matrix_transpose, normal(2, 3))
    agrees(lambda x: np.linalg.diagonal(x, offset=1), normal(2, 3, 4))
    agrees(lambda x: np.linalg.trace(x, offset=-1), normal(2, 3, 4))
    with pytest.raises(ValueError, match="two axes"):
        np.matrix_transpose(mg.Tape().watch(np.ones(3)))
    with pytest.raises(ValueError, match="two vectors"):
        np.linalg.outer(mg.Tape().watch(np.ones((2, 2))), np.ones(2))


@pytest.mark.parametrize("f", [np.inner, np.kron, np.vdot, np.linalg.vecdot], ids=lambda f: f.__name__)
def test_empty_arrays_and_float32(f):
    out, gradients = gradients_of(f, [np.ones((2, 0)), np.ones((2, 0))])
    assert np.shape(out) == np.shape(f(np.ones((2, 0)), np.ones((2, 0))))
    assert [g.shape for g in gradients] == [(2, 0), (2, 0)]
    out, gradients = gradients_of(f, [np.ones((2, 2), np.float32), np.ones((2, 2), np.float32)])
    assert {x.dtype for x in (out, *gradients)} == {np.dtype("float32")}
