"""Containers: taken apart and put together without loss."""

import collections
import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.core.tree import flatten, map_leaves, path_name


class Point(NamedTuple):
    x: object
    y: object


@dataclasses.dataclass
class Layer:
    w: object
    b: object = 0.0


@dataclasses.dataclass(frozen=True)
class Frozen:
    w: object


leaves = st.one_of(st.floats(allow_nan=False), st.text(max_size=3), st.none())
containers = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=3),
        st.builds(Point, inner, inner),
        st.builds(Layer, inner, inner),
        st.builds(Frozen, inner),
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


def test_keys_that_are_equal_and_differ_in_type():
    for keys in ([1, "1"], [1.0, "a"], [True, "b"], ["1", 1], [np.str_("a")]):
        container = {key: np.ones(2) for key in keys}
        leaves, tree = flatten(container)
        assert tree.paths == tuple(f"[{key!r}]" for key in keys)
        assert list(map(type, tree.unflatten(leaves))) == list(map(type, keys))


def test_a_tree_does_not_follow_the_dict_that_it_was_made_of():
    container = {"a": np.zeros(1), "b": np.ones(1)}
    leaves, tree = flatten(container)
    container["c"] = np.ones(2)
    leaves.reverse()
    assert tree.paths == ("['a']", "['b']")
    assert {key: float(value[0]) for key, value in tree.unflatten(leaves).items()} == {"a": 1, "b": 0}


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


# --- dataclasses ------------------------------------------------------------------------------------------------------


def test_names_in_dataclasses():
    _, tree = flatten({"layer": Layer([1], Frozen(2))})
    assert [path_name(path) for path in tree.paths] == ["layer.w[0]", "layer.b.w"]


def test_dataclasses_come_back_as_what_they_were():
    @dataclasses.dataclass
    class Wide(Layer):
        extra: object = dataclasses.field(default_factory=list, kw_only=True)

    for item in (Layer(1, 2), Frozen(3), Wide(1, 2, extra=[3])):
        result = map_leaves(lambda x: -x, item)
        assert type(result) is type(item)
        assert dataclasses.astuple(result) == tuple(
            [-x for x in value] if isinstance(value, list) else -value for value in dataclasses.astuple(item)
        )


def test_dataclasses_with_slots():
    @dataclasses.dataclass(frozen=True, slots=True)
    class Small:
        w: object
        b: object = 2

    assert map_leaves(lambda x: -x, Small(1)) == Small(-1, -2)


def test_fields_that_the_constructor_does_not_take_are_made_again():
    @dataclasses.dataclass
    class Derived:
        w: object
        twice: object = dataclasses.field(init=False)

        def __post_init__(self):
            self.twice = 2 * self.w

    item = Derived(3)
    assert flatten(item)[1].paths == (".w",)
    assert map_leaves(lambda x: -x, item) == Derived(-3)


def test_class_variables_are_no_fields():
    @dataclasses.dataclass
    class Counted:
        count: ClassVar[int] = 3
        w: object = 1

    assert flatten(Counted(5))[0] == [5]
    assert map_leaves(lambda x: -x, Counted(5)) == Counted(-5)


def test_what_only_the_constructor_takes_is_no_field():
    """Its value is not kept in the instance, so it is left to its default."""

    @dataclasses.dataclass
    class Scaled:
        w: object
        scale: dataclasses.InitVar[Any] = 1

        def __post_init__(self, scale):
            self.w = self.w * scale

    item = Scaled(3, 2)
    assert flatten(item)[0] == [6]
    assert map_leaves(lambda x: -x, item).w == -6


def test_a_dataclass_itself_is_a_leaf():
    assert flatten([Layer, Point])[0] == [Layer, Point]


def test_a_tree_of_dataclasses_does_not_keep_the_leaves_alive():
    import weakref

    class Leaf:
        pass

    leaf = Leaf()
    alive = weakref.ref(leaf)
    found, tree = flatten(Layer([leaf], Frozen(leaf)))
    del leaf, found
    assert alive() is None
    assert tree.unflatten([1, 2]) == Layer([1], Frozen(2))


def test_gradients_of_dataclasses():
    def loss(layer, scale):
        return np.sum(layer.w @ layer.b.w) * scale

    w, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0])
    layer = Layer(w, Frozen(b))
    gradient = mg.grad(loss)(layer, 2.0)
    assert type(gradient) is Layer and type(gradient.b) is Frozen
    np.testing.assert_array_equal(gradient.w, 2 * np.array([b, b]))
    np.testing.assert_array_equal(gradient.b.w, 2 * w.sum(0))
    out, moved = mg.jvp(lambda layer: Layer(layer.w * 2, layer.b), (layer,), (layer,))
    np.testing.assert_array_equal(moved.w, 2 * w)
    assert type(out.b) is Frozen
    out, pullback = mg.vjp(lambda layer: Layer(layer.w * 2, layer.b), layer)
    (back,) = pullback(Layer(w, Frozen(b)))
    np.testing.assert_array_equal(back.w, 2 * w)
