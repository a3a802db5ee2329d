"""A run on a full tape with the user's lines: what the readers here have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.tape import Node, Tape
from ..core.tensor import Tensor, on_tape, value_of

__all__ = ["Run", "root_of"]


class Run:
    """A function's run on a tape that keeps all, so that its list can be run again op by op.

    Attributes
    ----------
    tape : Tape
    given : dict
        Entry -> array, of what went in.
    """

    def __init__(self) -> None:
        self.tape = Tape(lines=True)
        self.given: dict[int, Any] = {}

    def follow(self, array: Any, name: str) -> Tensor:
        """Put an array on the tape to be differentiated with respect to."""
        tensor = self.tape.watch(array, name=name)
        self.given[tensor.index] = array
        return tensor  # type: ignore[no-any-return]

    def take(self, array: Any, name: str) -> Tensor:
        """Put an array on the tape that is no variable: what is done to it is recorded, and not differentiated."""
        entry = self.tape.constant(array)
        self.tape.records[entry][1]["name"] = name
        self.given[entry] = array
        return on_tape(array, self.tape, entry)

    @property
    def nodes(self) -> list[Node]:
        """The entries."""
        return self.tape.nodes[:]  # type: ignore[no-any-return]

    def replay(self, call: Callable[[int, Node, list[Any]], Any]) -> list[Any]:
        """Run the list again; return the value of each entry.

        Parameters
        ----------
        call : callable
            ``call(entry, node, arguments)`` returns what the op's forward function makes of the arguments.
        """
        nodes = self.nodes
        values: list[Any] = [None] * len(nodes)
        for entry, node in enumerate(nodes):
            if node.primitive is None:
                if entry in self.given:
                    values[entry] = self.given[entry]
                elif node.role == "constant":
                    values[entry] = value_of(node.saved[0])
                continue
            out = call(entry, node, [values[parent] for parent in node.parents if parent is not None])
            results = tuple(out) if node.primitive.outputs else (out,)
            values[entry : entry + len(results)] = results
        return values

    def values(self) -> list[Any]:
        """Return the value of each entry."""
        return self.replay(lambda entry, node, arguments: node.primitive.forward(*arguments, **node.params))  # type: ignore[union-attr]


def root_of(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the array whose memory a view looks at; the array itself if it is no view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
