"""What is drawn: run a model or a function once on a tape of its own, or take what a Tensor's tape holds."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import DTypeError, OptionError, StaleTensorError
from ..core.tape import Node, Tape
from ..core.tensor import Tensor, value_of
from ..core.tree import argument_names, flatten, path_name
from .recording import Place, RecordingTape
from .view import Result
from .words import number_text

__all__ = ["Recorded", "record"]

PARAMETER_DICTS = ("params", "parameters", "weights", "p", "w")
"""Names of a function's arguments whose entries are parameters, when the argument is a dict of float arrays."""


class Recorded(NamedTuple):
    """What a picture is made from.

    Attributes
    ----------
    nodes : list of Node
    results : list of Result
    title : str
    parameters, arguments : collections of int
        Entries of the inputs that are parameters, and of all inputs that are shown in any case.
    places : dict of int to Place
        Where the program asked for the ops; empty when that was not noted.
    inputs : dict of int to array, or None
        The values of the inputs; None when they are not known.
    kinds : dict of str to str
        What a scope is, such as the class of its layer, where that is known.
    """

    nodes: list[Node]
    results: list[Result]
    title: str
    parameters: Collection[int] = ()
    arguments: Collection[int] = ()
    places: Mapping[int, Place] = {}  # never written to
    inputs: dict[int, Any] | None = None
    kinds: Mapping[str, str] = {}  # never written to


def record(subject: Any, inputs: tuple[Any, ...], title: str | None = None) -> Recorded:
    """Record a model or a function, or read the tape of a Tensor; see :func:`minigrad.draw.draw`."""
    title = None if title is None else str(title)
    if type(subject) is Tensor:
        if inputs:
            raise OptionError(
                f"draw(tensor) takes no inputs, and {len(inputs)} came: a Tensor is drawn with what it was computed "
                f"from. To run a function on inputs, use draw(function, *inputs)"
            )
        return _record_tensor(subject, title)
    if isinstance(subject, type):
        name = subject.__name__
        raise DTypeError(f"draw needs a model, and the class {name} itself came; make one: {name}(...)")
    if isinstance(getattr(subject, "params", None), dict) and callable(getattr(subject, "evaluate", None)):
        return _record_model(subject, inputs, title)
    if callable(subject):
        return _record_function(subject, inputs, title)
    raise DTypeError(
        f"draw takes a model, a function with its inputs, or a Tensor, and {type(subject).__name__} came; "
        f"for example draw(model, X, y) or draw(function, x)"
    )


def _record_tensor(tensor: Tensor, title: str | None) -> Recorded:
    tape = tensor.tape
    advice = "record it with mg.Tape(), or draw the function: mg.draw(function, *inputs)"
    if not tape.full:
        raise StaleTensorError(
            f"draw: this Tensor of shape {tensor.shape} is on a tape that only differentiates, which keeps neither "
            f"constants nor ops without a derivative, so its picture would not be the whole truth; {advice}"
        )
    if tensor.index >= len(tape.nodes):
        raise StaleTensorError(
            f"draw: the recording of this Tensor of shape {tensor.shape} was used up by a backward pass; {advice}"
        )
    node = tape.nodes[tensor.index]
    if node.role == "input":
        raise DTypeError(
            f"draw: this Tensor of shape {tensor.shape} is an input as it came, so there is no op to draw and no edge; "
            f"draw what is computed from it"
        )
    return Recorded(tape.nodes[:], [_result(tensor)], title or node.name or node.role)


def _record_model(model: Any, inputs: tuple[Any, ...], title: str | None) -> Recorded:
    name = type(model).__name__
    if not 1 <= len(inputs) <= 2:
        raise OptionError(
            f"draw({name}, ...) takes X, or X and y, and {len(inputs)} inputs came; use draw(model, X, y) for the "
            f"loss, draw(model, X) for the scores"
        )
    tape = RecordingTape()
    with tape:
        params = {key: tape.watch(array, name=str(key)) for key, array in model.params.items()}
        arguments = len(tape.nodes)
        data = [_watch_array(tape, value, label) for value, label in zip(inputs, ("X", "y"))]
        watched = len(tape.nodes)
        out = model.evaluate(params, *data)
    return Recorded(
        tape.nodes[:],
        _results(tape, out, name, "loss" if len(inputs) == 2 else ""),
        title or name,
        range(arguments),
        range(watched),
        tape.places,
        _values([params, data]),
        getattr(model, "kinds", {}),
    )


def _record_function(function: Callable[..., Any], inputs: tuple[Any, ...], title: str | None) -> Recorded:
    name = _name_of(function)
    labels = argument_names(function, len(inputs))
    flat = [flatten(value) for value in inputs]
    places = [(label, place) for label, value in zip(labels, inputs) for place in _leaf_names(label, value)]
    counts = Counter(place for _, place in places)
    names = iter([f"{label}.{place}" if counts[place] > 1 else place for label, place in places])
    arguments: list[Any] = []
    parameters: list[int] = []
    tape = RecordingTape()
    with tape:
        for label, value, (leaves, tree) in zip(labels, inputs, flat):
            first = len(tape.nodes)
            arguments.append(tree.unflatten([_watch_leaf(tape, leaf, next(names)) for leaf in leaves]))
            if label in PARAMETER_DICTS and isinstance(value, dict):
                parameters += [entry for entry in range(first, len(tape.nodes)) if tape.nodes[entry].dtype.kind in "fc"]
        count = len(tape.nodes)
        values = _values(arguments)
        out = function(*arguments)
    return Recorded(
        tape.nodes[:],
        _results(tape, out, name),
        title or name,
        parameters,
        range(count),
        tape.places,
        values,
    )


def _values(watched: Any) -> dict[int, Any]:
    """Return the values of the Tensors in a container, by entry."""
    return {leaf.index: value_of(leaf) for leaf in flatten(watched)[0] if type(leaf) is Tensor}


# --- what goes in ---------------------------------------------------------------------------------------------------


def _watch_array(tape: Tape, value: Any, name: str) -> Any:
    """Put a minibatch on the tape; a container of arrays as one input per array."""
    if isinstance(value, dict):
        return {key: _watch_array(tape, item, str(key)) for key, item in value.items()}
    return tape.watch(value if isinstance(value, (np.ndarray, Tensor)) else np.asarray(value), name=name)


def _watch_leaf(tape: Tape, leaf: Any, name: str) -> Any:
    """Put an array, or a number with a fraction, on the tape. Other things (integers, flags, None) stay as they are."""
    is_array = isinstance(leaf, (np.ndarray, np.generic, Tensor)) and leaf.dtype.kind in "fciub"
    return tape.watch(leaf, name=name) if is_array or isinstance(leaf, (float, complex)) else leaf


def _name_of(function: Callable[..., Any]) -> str:
    if isinstance(function, functools.partial):
        return _name_of(function.func)
    return str(getattr(function, "__name__", type(function).__name__))


def _leaf_names(label: str, value: Any) -> list[str]:
    """Name the leaves of an argument: those of a dict by their keys, others by the argument.

    >>> _leaf_names("params", {"W1": 0, "block": {"W": 0}}), _leaf_names("x", 0), _leaf_names("pair", (0, 0))
    (['W1', 'block.W'], ['x'], ['pair[0]', 'pair[1]'])
    """
    entries = value.items() if isinstance(value, dict) else [(label, value)]
    paths = [(str(key), path) for key, item in entries for path in flatten(item)[1].paths]
    return [f"{key}.{path_name(path)}" if path.startswith("['") else key + path_name(path) for key, path in paths]


# --- what comes out -------------------------------------------------------------------------------------------------


def _results(tape: Tape, out: Any, name: str, scalar: str = "") -> list[Result]:
    """Return what a function returned of this tape, or raise when that is nothing."""
    leaves, _ = flatten(out)
    returned = {leaf.index: leaf for leaf in leaves if type(leaf) is Tensor and leaf.tape is tape}  # each once
    results = [_result(leaf, scalar) for leaf in returned.values()]
    if results and all(tape.nodes[result.entry].role == "input" for result in results):
        raise DTypeError(
            f"draw: {name} returned its input as it came, so there is no op to draw and no edge; return what is "
            f"computed from it"
        )
    if not results:
        raise DTypeError(
            f"draw: {name} returned {type(out).__name__}, which was not computed from its inputs, so there is nothing "
            f"to draw; give it arrays or floats as inputs, and return what it computes from them"
        )
    return results


def _result(tensor: Tensor, name: str = "") -> Result:
    value = value_of(tensor)
    return Result(tensor.index, name, number_text(value) if value.ndim == 0 else "")
