"""The diagnosis of a wrong gradient, from numbers alone."""

import itertools

import numpy as np
import pytest

from minigrad.check.diagnosis import diagnose

rng = np.random.default_rng(4)
RIGHT, X = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))


@pytest.mark.parametrize(
    "found, text",
    [
        (2 * RIGHT, "it is 2 times the right one"),
        (RIGHT / 3.5, "it is 0.2857 times the right one"),
        (-RIGHT, "it has the wrong sign"),
        (7 * RIGHT, "it is 7 times the right one, and 7 is the size of an axis: a mean taken for a sum?"),
        (RIGHT / 7, "it is 1/7 of the right one, and 7 is the size of an axis: a sum taken for a mean?"),
        (0 * RIGHT, "it is zero"),
        (RIGHT * np.nan, "it holds NaN or infinity"),
        (RIGHT[:2], "its shape is (2, 3), and the argument's is (4, 3)"),
        (RIGHT - 0.5 * X, "it lacks a term 0.5 times the value"),
        (RIGHT + 0.5 * X, "it has in excess a term 0.5 times the value"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_each_mistake(found, text):
    assert diagnose(found, RIGHT, X, (7, 4)).startswith(text)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:], ids=str)
def test_permutations(order):
    cube = rng.standard_normal((3, 3, 3))
    assert f"axes in the order {order}" in diagnose(cube.transpose(order), cube, cube)


def test_axes_summed():
    g = rng.standard_normal((3, 3, 3))
    text = diagnose(g.sum((0, 2)), g.sum((0, 1)), np.ones(3), cotangent=g)
    assert text == "it is summed over axis (0, 2), and the right one over axis (0, 1)"
    text = diagnose(g.sum(2), g.sum(0), np.ones((3, 3)), cotangent=g)
    assert text == "it is summed over axis (2,), and the right one over axis (0,)"


def test_nothing_is_made_up():
    assert diagnose(rng.standard_normal((4, 3)), RIGHT, X, (7, 4), rng.standard_normal((5, 4, 3))) == ""
    assert diagnose(RIGHT, RIGHT, X) == ""
    assert diagnose(np.ones((4, 3)), np.zeros((4, 3)), X) == ""
    assert diagnose(np.ones(()), np.zeros(()), np.zeros(())) == ""


def test_complex_and_empty():
    z = RIGHT + 1j * X
    assert diagnose(2 * z, z, z) == "it is 2 times the right one"
    assert isinstance(diagnose(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3))), str)


def test_noise_of_differences_does_not_hide_it():
    assert diagnose(2 * RIGHT, RIGHT * (1 + 1e-7 * X), X) == "it is 2 times the right one"
