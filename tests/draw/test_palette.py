"""The colours can be read, and told apart, also by those who see fewer of them."""

import itertools
import math

import numpy as np
import pytest

from minigrad.draw.palette import INK, KINDS, MARK, NONFINITE, SCALES, THEMES, ink_on, on_scale

GROUNDS = {"light": ["#FFFFFF"], "dark": ["#111111", "#1E1E1E"]}


def linear(color):
    channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """The contrast ratio of WCAG 2.1."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    """CIE L*a*b* (D65) of linear RGB."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = [t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in xyz / [0.9505, 1, 1.089]]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


def distance(one, other):
    """The distance in L*a*b* (CIE 1976)."""
    return math.dist(one, other)


# Machado, Oliveira and Fernandes, 2009: how dichromats see linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def seen(color, sight):
    return lab(np.clip(SIGHT[sight] @ linear(color), 0, 1))


def test_the_measure_is_right():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert distance(lab(linear("#E8E8E8")), lab(linear("#FFFFFF"))) == pytest.approx(8.0, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_ink_can_be_read_on_every_fill(kind):
    assert contrast(INK, KINDS[kind].fill) >= 8.3


@pytest.mark.parametrize(("sight", "least"), [("normal", 8.0), ("protan", 5.0), ("deutan", 5.9), ("tritan", 8.0)])
def test_kinds_are_told_apart_by_their_fill(sight, least):
    fills = dict.fromkeys(look.fill for kind, look in KINDS.items() if kind not in ("backward", "gradient"))
    found = {pair: distance(*(seen(color, sight) for color in pair)) for pair in itertools.combinations(fills, 2)}
    assert min(found.values()) >= least - 0.005, min(found, key=found.get)


@pytest.mark.parametrize("one", KINDS)
def test_kinds_of_one_fill_differ_in_shape_or_border(one):
    for other in KINDS:
        if other != one and KINDS[one].fill == KINDS[other].fill:
            a, b = KINDS[one], KINDS[other]
            assert (a.shape, a.style, a.size) != (b.shape, b.style, b.size)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_lies_on_the_ground_can_be_read(theme):
    colors = THEMES[theme]
    for ground in GROUNDS[theme]:
        for text in (colors.title, colors.edge, colors.frame_text, colors.carry):
            assert contrast(text, ground) >= 4.5
        for line in (colors.fold, colors.parameter, colors.backward, colors.saved):
            assert contrast(line, ground) >= 3
    assert contrast(colors.frame, GROUNDS[theme][0]) >= 2


def test_the_picture_without_a_ground_can_be_read_on_both():
    colors = THEMES["auto"]
    for ground in ("#FFFFFF", "#111111"):
        for text in (colors.title, colors.edge, colors.frame_text, colors.carry):
            assert contrast(text, ground) >= 4
        for line in (colors.frame, colors.fold, colors.parameter, colors.backward, colors.saved):
            assert contrast(line, ground) >= 2.9


@pytest.mark.parametrize("scale", SCALES)
def test_values_can_be_read_in_heat_maps(scale):
    for step in range(101):
        fill = on_scale(scale, step / 100)
        assert contrast(ink_on(fill), fill) >= 4.5


@pytest.mark.parametrize("sight", SIGHT)
def test_the_ends_and_the_middle_of_the_gradient_scale_are_told_apart(sight):
    low, middle, high = (seen(on_scale("grad", place), sight) for place in (0, 0.5, 1))
    assert min(distance(low, middle), distance(high, middle), distance(low, high)) > 15


@pytest.mark.parametrize("sight", SIGHT)
def test_what_is_not_finite_is_on_no_scale(sight):
    for scale in SCALES:
        for step in range(21):
            assert distance(seen(NONFINITE, sight), seen(on_scale(scale, step / 20), sight)) > 20


def test_marks_can_be_read():
    assert contrast("#FFFFFF", MARK) >= 4.5
