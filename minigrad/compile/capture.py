"""Capture: run a function once on a static tape, and keep what it did as a list of steps.

The tape is full (it holds constants and ops without a derivative) and static (Python code that branches on a value
raises), so the list holds for every input of the same shapes and dtypes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from ..autodiff.anomaly import with_pulls
from ..core.errors import MinigradError, OptionError
from ..core.primitive import Primitive
from ..core.tape import WATCH, Tape, tell_more
from ..core.tensor import Tensor
from ..core.tree import Tree, flatten

__all__ = ["Captured", "Step", "capture", "draws_taken_back", "is_generator", "put_back", "random_states"]


class Step(NamedTuple):
    """One op of a captured program.

    Attributes
    ----------
    entry : int
        The number of its (first) result; its further results have the numbers that follow.
    op : Primitive
    params : dict
        The static parameters.
    parents : tuple of int
        The entries that it reads.
    shapes, dtypes : tuples
        Of all results.
    aliases : tuple of frozenset
        For each result, the positions of the arguments whose memory it shares.
    scope : str
    line : tuple (file, line) or None
    """

    entry: int
    op: Primitive
    params: dict[str, Any]
    parents: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[np.dtype[Any], ...]
    aliases: tuple[frozenset[int], ...]
    scope: str
    line: tuple[str, int] | None


class Captured(NamedTuple):
    """A function as a list of steps.

    Attributes
    ----------
    steps : list of Step, in order
    inputs : list of int
        The entry of each input.
    specs : list of (shape, dtype)
        Theirs.
    names : list of str
        Their names.
    generators : list
        The random generators among the arguments: inputs that no op computes with.
    constants : dict of int to value
    results : list
        For each leaf of the result, its entry; or, in a tuple of one, a value that does not depend on the inputs.
    tree : Tree
        The container of the results.
    cotangents : dict of int to int
        For an entry of the backward pass that is a cotangent, the entry of the forward pass to whose value it belongs.
    """

    steps: list[Step]
    inputs: list[int]
    specs: list[tuple[tuple[int, ...], np.dtype[Any]]]
    names: list[str]
    generators: list[Any]
    constants: dict[int, Any]
    results: list[Any]
    tree: Tree
    cotangents: dict[int, int]


class _Observer:
    """Sees values while they are recorded: which results share the memory of which arguments."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.aliases: dict[int, frozenset[int]] = {}
        self.cotangents: dict[int, int] = {}
        self._above: WeakKeyDictionary[Tape, dict[int, int]] = WeakKeyDictionary()  # entry there -> entry on our tape

    def recorded(self, op: Any, tape: Any, args: Sequence[Any], results: Sequence[Any], entered: Sequence[Any]) -> None:
        if tape is not self.tape:
            for x, result in zip(entered, results):
                if type(x) is Tensor and type(result) is Tensor and result.tape is self.tape:
                    self._above.setdefault(tape, {})[x.index] = result.index
            return
        values = [x.value if type(x) is Tensor else x for x in args]
        for x, result in zip(entered, results):
            if isinstance(result, np.ndarray):
                shared = {
                    position
                    for position, value in enumerate(values)
                    if isinstance(value, np.ndarray) and np.may_share_memory(value, result)
                }
                if op.name == "reshape":  # which is a view or a copy, as the memory of its argument happens to lie
                    shared.add(0)
                if shared:
                    self.aliases[x.index] = frozenset(shared)

    def walked(self, records: list[Any], seeds: dict[int, Any]) -> list[Any]:
        """Note, while a differentiating tape is walked, which entry is the cotangent of which."""
        above = next((entries for tape, entries in self._above.items() if tape.records is records), None)
        if above is None:
            return records

        def pull(entry: int, plan: Any, g: Any, saved: Any, params: Any) -> Any:
            if type(g) is Tensor and g.tape is self.tape and entry in above:
                self.cotangents.setdefault(g.index, above[entry])
            return plan.pull(g, saved, params)

        return with_pulls(records, pull)


def is_generator(leaf: Any) -> bool:
    """Whether random numbers are drawn from it."""
    return isinstance(leaf, (np.random.Generator, np.random.RandomState))


def random_states(generators: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return each random generator with where it is."""
    return [(g, g.get_state() if isinstance(g, np.random.RandomState) else g.bit_generator.state) for g in generators]


def put_back(states: list[tuple[Any, Any]]) -> None:
    """Put random generators back to where they were."""
    for generator, state in states:
        if isinstance(generator, np.random.RandomState):
            generator.set_state(state)
        else:
            generator.bit_generator.state = state


@contextmanager
def draws_taken_back(generators: Sequence[Any]) -> Iterator[None]:
    """Put random generators, and NumPy's global state, back to where they were."""
    before, everywhere = random_states(generators), np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(everywhere)
        put_back(before)


def capture(
    function: Callable[..., Any], arguments: tuple[Any, ...], names: Sequence[str], watched: Sequence[bool]
) -> Captured:
    """Run a function on a tape and return what it did.

    Parameters
    ----------
    function : callable
    arguments : tuple
        Arrays, or containers of arrays and of other things.
    names : sequence of str
        A name for each leaf of the arguments.
    watched : sequence of bool
        Which leaves are inputs; the others are part of the program, save for random generators.

    Raises
    ------
    BranchError
        If the function branches on a value.
    OptionError
        Under ``mg.detect_anomaly()``, which looks at every op where a program has none.
    """
    if WATCH.get() is not None:
        raise OptionError("mg.compile cannot capture under mg.detect_anomaly(); call the function itself there")
    leaves, tree = flatten(arguments)
    tape = Tape(static=True, lines=True)
    observer = _Observer(tape)
    inputs, given = [], []
    for leaf, name, watch in zip(leaves, names, watched):
        given.append(tape.watch(leaf, name) if watch else leaf)
        if watch:
            inputs.append(given[-1].index)
    generators = [leaf for leaf in leaves if is_generator(leaf)]
    token = WATCH.set(observer)
    try:
        with draws_taken_back(generators):  # the program draws again when it runs
            out = function(*tree.unflatten(given))
    except MinigradError as error:
        tell_more(error, error.tape or tape)
        raise
    finally:
        WATCH.reset(token)
        tape.end()
    outputs, out_tree = flatten(out)
    results = [x.index if type(x) is Tensor and x.tape is tape else (x,) for x in outputs]
    steps, constants = _steps(tape, observer)
    kept = [name for name, watch in zip(names, watched) if watch]
    generators = [leaf for leaf in leaves if is_generator(leaf)]
    specs = [(tape.nodes[entry].shape, tape.nodes[entry].dtype) for entry in inputs]
    return Captured(steps, inputs, specs, kept, generators, constants, results, out_tree, observer.cotangents)


def _steps(tape: Tape, observer: _Observer) -> tuple[list[Step], dict[int, Any]]:
    steps: list[Step] = []
    constants: dict[int, Any] = {}
    nodes = tape.nodes[:]
    for entry, node in enumerate(nodes):
        if node.role == "constant":
            (constants[entry],) = node.saved
        if node.primitive is None:
            continue
        count = 1
        while entry + count < len(nodes) and nodes[entry + count].role == "output":
            count += 1
        results = nodes[entry : entry + count]
        steps.append(
            Step(
                entry,
                node.primitive,
                node.params,
                tuple(parent for parent in node.parents if parent is not None),
                tuple(result.shape for result in results),
                tuple(result.dtype for result in results),
                tuple(observer.aliases.get(entry + number, frozenset()) for number in range(count)),
                node.scope,
                node.line,
            )
        )
    return steps, constants
