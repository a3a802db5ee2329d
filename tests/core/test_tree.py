"""Containers: taken apart and put together without loss."""

import collections
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.core.tree import flatten, map_leaves, path_name


class Point(NamedTuple):
    x: object
    y: object


leaves = st.one_of(st.floats(allow_nan=False), st.text(max_size=3), st.none())
containers = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=3),
        st.builds(Point, inner, inner),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(containers)
def test_flatten_and_unflatten_are_inverse(container):
    found, tree = flatten(container)
    assert len(found) == len(tree.paths) == len(set(tree.paths))
    rebuilt = tree.unflatten(found)
    assert rebuilt == container
    assert type(rebuilt) is type(container)
    assert flatten(rebuilt)[1].paths == tree.paths


def test_dicts_keep_their_order():
    assert list(map_leaves(lambda x: x, {"b": 1, "a": 2})) == ["b", "a"]


def test_subclasses_of_containers_are_kept():
    ordered = collections.OrderedDict(b=1, a=2)
    assert map_leaves(lambda x: -x, ordered) == collections.OrderedDict(b=-1, a=-2)
    default = collections.defaultdict(list, a=1)
    result = map_leaves(lambda x: -x, default)
    assert type(result) is collections.defaultdict
    assert result["a"] == -1
    assert result["new"] == []
    assert default == {"a": 1}


def test_a_dict_whose_constructor_takes_something_else():
    class Named(dict):
        def __init__(self, entries, name):
            super().__init__(entries)
            self.name = name

    result = map_leaves(lambda x: -x, Named({"a": 1}, "n"))
    assert result == {"a": -1}


def test_a_tree_does_not_keep_the_leaves_alive():
    import weakref

    class Leaf:
        pass

    leaf = Leaf()
    alive = weakref.ref(leaf)
    found, tree = flatten({"a": [leaf], "b": collections.OrderedDict(c=leaf)})
    del leaf, found
    assert alive() is None
    assert tree.paths == ("['a'][0]", "['b']['c']")


def test_a_wrong_number_of_leaves_is_refused():
    _, tree = flatten([1, 2])
    with pytest.raises(ValueError, match="2 leaves, and 3 came"):
        tree.unflatten([1, 2, 3])


def test_names():
    _, tree = flatten({"W": 1, "blocks": [{"b": 2}], "p": Point(3, (4,)), 5: 6})
    assert [path_name(path) for path in tree.paths] == ["W", "blocks[0].b", "p.x", "p.y[0]", "[5]"]
