"""The fast layers are the naive ones under other names; their numbers are tested there, in test_layers.py."""

import pytest

from minigrad.cs231n import fast_layers, layers


@pytest.mark.parametrize("name", fast_layers.__all__)
def test_they_are_the_naive_ones(name):
    assert getattr(fast_layers, name) is getattr(layers, f"{name.rpartition('_')[0]}_naive")
