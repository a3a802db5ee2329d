"""Excerpts keep what was written, and leave out what a program for known shapes does not need."""

from typing import NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad.compile.embed import Embedded, returns_tuple
from minigrad.core.errors import ShapeError
from minigrad.core.explain import where
from minigrad.core.tensor import Tensor, value_of
from minigrad.kernels.choice import Kernel

LIMIT = 1 << 4
"""How many at most."""


class Pair(NamedTuple):
    """Two numbers."""

    first: int
    second: int = 2

    @property
    def both(self) -> int:
        """Their sum."""
        return self.first + self.second


def check(x: np.ndarray) -> None:
    """Raise unless x is a matrix."""
    wanted = 2
    if x.ndim != wanted:
        raise ShapeError(f"{where('double')}: {x.shape}")


def doubled(x: np.ndarray, *, often: int = LIMIT) -> np.ndarray:
    """Double an array.

    At length.
    """
    name = "doubled"
    if not isinstance(x, np.ndarray):
        hint = "; use np.array"
        raise TypeError(f"{name}: no array{hint}")
    x = value_of(x)
    if type(x) is Tensor:
        return x + x
    # Here it happens.
    out: np.ndarray = x + x  # the whole of it
    for number in (1, 2):
        if number > LIMIT:
            raise ValueError(number)

    out *= Pair(1, 0).both
    return out


def written(function, **more):
    embedded = Embedded(set())
    name = embedded.name_of(function)
    text = embedded.text()
    space = {"np": np, "NamedTuple": NamedTuple, **more}
    exec("\n".join(embedded.imports) + "\n" + text, space)
    return text, space[name]


def test_checks_annotations_and_long_docstrings_are_left_out_and_comments_stay():
    text, function = written(doubled)
    assert (
        '''def doubled(x, *, often=LIMIT):
    """Double an array."""
    # Here it happens.
    out = x + x  # the whole of it

    out *= Pair(1, 0).both
    return out'''
        in text
    )
    assert "LIMIT = 1 << 4" in text
    assert text.index("LIMIT =") < text.index("class Pair") < text.index("def doubled")
    np.testing.assert_array_equal(function(np.ones(2)), [2, 2])


def test_a_function_that_can_only_raise_is_not_called():
    def checked(x):
        check(x)
        return x + 1

    text, _ = written(checked)
    assert "check(x)" not in text and "raise" not in text


def test_a_kernel_is_its_text_in_numpy():
    text, function = written(Kernel.__call__.__globals__["kernel"](_kernel))
    assert "def _kernel(x):" in text
    assert function(2) == 4


def _kernel(x):
    return x + x


def test_the_kernels_of_the_project():
    from minigrad.kernels import attention, normalisation, recurrent

    for module in (attention, normalisation, recurrent):
        for name in module.__all__:
            text, _ = written(getattr(module, name))
            assert "minigrad" not in text and "raise" not in text and "Kernel" not in text


def test_one_name_for_two_things_gets_apart():
    from minigrad.kernels import normalisation, recurrent

    embedded = Embedded({"lstm"})
    assert embedded.name_of(recurrent.lstm) == "recurrent_lstm"
    embedded.name_of(normalisation.batch_forward)
    text = embedded.text()
    assert text.count("def _parts(") == 1 and "def _normalisation_parts(" in text
    exec("import math, numpy as np\n" + text, {})


def test_a_function_of_a_function_takes_along_what_it_closes_over():
    def make(factor):
        def scaled(x):
            return x * factor

        return scaled

    text, function = written(make(3.5))
    assert "factor = 3.5" in text
    assert function(2.0) == 7.0


def test_an_op_inside_gives_what_a_plain_call_gives():
    text, function = written(lambda scores: mg.ops.softmax_loss(scores, np.array([0])) * 2)
    assert "softmax_loss(scores, np.array([0]))[0] * 2" in text
    assert function(np.zeros((1, 2))) == 2 * np.log(2)
    softmax_loss = mg.ops.softmax_loss

    def own(scores):
        return softmax_loss(scores, np.array([0])) * 2

    text, function = written(own)
    assert "softmax_loss(scores, np.array([0]))[0] * 2" in text
    assert function(np.zeros((1, 2))) == own(np.zeros((1, 2)))


def test_what_has_no_source():
    with pytest.raises(mg.OptionError, match="no Python source"):
        Embedded(set()).name_of(np.dot)


def test_whether_a_tuple_is_returned():
    assert returns_tuple(lambda x: (x, 1))
    assert not returns_tuple(check)
