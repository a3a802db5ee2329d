"""What ``mg.compile`` returns: functions and models that run as captured programs, one for each signature."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff.reverse import value_and_grad
from ..core.errors import DTypeError, OptionError
from ..core.tensor import Tensor
from ..core.tree import flatten, map_leaves, path_name
from .capture import capture, is_generator
from .lower import lower
from .program import Program
from .simplify import simplify

__all__ = ["CompiledFunction", "CompiledModel", "compile"]

LIMIT = 32
"""A function that has been captured for so many signatures is refused another: capturing each call costs more than it
saves."""


def compile(target: Any) -> Any:
    """Turn a model, or a function of arrays, into a program that runs without recording.

    The first call for each signature (the shapes and dtypes of the arrays, the values of everything else) runs the
    function once on a tape, forward and backward. The list of ops becomes straight-line Python on buffers that are
    planned once; from then on only that runs. Results are those of the function itself, to the last bit.

    Parameters
    ----------
    target : Model or callable
        Of a model, ``loss(X)`` and ``loss(X, y)`` are compiled, and everything else is the model's own: the result can
        be given to a Solver in the model's place. A function may take and return containers of arrays; it may
        differentiate inside, as in ``mg.compile(mg.value_and_grad(f))``.

    Returns
    -------
    CompiledModel or CompiledFunction

    Raises
    ------
    BranchError
        At the first call, if Python code branches on a value; the text has the line.
    OptionError
        If every call has another signature.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> step = mg.compile(mg.value_and_grad(lambda w, x: np.sum(np.tanh(x @ w) ** 2)))
    >>> w, x = np.ones((3, 2)), np.eye(3)
    >>> value, gradient = step(w, x)
    >>> value == mg.value_and_grad(lambda w, x: np.sum(np.tanh(x @ w) ** 2))(w, x)[0]
    np.True_
    >>> model = mg.compile(mg.nn.Sequential(mg.nn.Affine(4), mg.relu, mg.nn.Affine(2)).build(x, seed=0))
    >>> loss, grads = model.loss(x, np.array([0, 1, 0]))
    """
    if isinstance(target, (CompiledFunction, CompiledModel)):
        return target
    if callable(getattr(target, "loss", None)) and isinstance(getattr(target, "params", None), dict):
        if not callable(getattr(target, "evaluate", None)):
            raise DTypeError(f"mg.compile takes minigrad models, and {type(target).__name__} has no method evaluate")
        return CompiledModel(target)
    if not callable(target) or isinstance(target, type):
        raise DTypeError(f"mg.compile takes a model or a function, and {target!r} came")
    return CompiledFunction(target)


class CompiledFunction:
    """A function that runs as a program. Made by :func:`compile`."""

    def __init__(self, function: Callable[..., Any], name: str = "") -> None:
        self.function = function
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self.__doc__ = getattr(function, "__doc__", None)
        self._programs: dict[Any, tuple[Program, Any]] = {}
        self._lock = threading.Lock()
        self._calls: dict[Any, int] = {}

    def __call__(self, *args: Any) -> Any:
        """Compute the function."""
        leaves, tree = flatten(args)
        if any(type(leaf) is Tensor for leaf in leaves):
            return self.function(*args)  # it is being recorded, by whom it may concern
        key = (tree.paths, tuple(map(_signature, leaves)))
        found = self._programs.get(key)
        if found is None:
            found = self._capture(key, args, leaves, tree.paths)
        program, result_tree = found
        self._calls[key] = self._calls.get(key, 0) + 1
        inputs = [leaf for leaf in leaves if _is_array(leaf)]
        return result_tree.unflatten(program(inputs, [leaf for leaf in leaves if is_generator(leaf)]))

    def _capture(self, key: Any, args: tuple[Any, ...], leaves: list[Any], paths: tuple[str, ...]) -> Any:
        with self._lock:
            if key in self._programs:  # by another thread, meanwhile
                return self._programs[key]
            if len(self._programs) >= LIMIT:
                raise OptionError(
                    f"{self.name} has been captured for {LIMIT} signatures, and now came another. {self._changes()}. "
                    f"Give it arrays of one shape (pad or drop the last batch), numbers that change as arrays, or do "
                    f"not compile it"
                )
            names = [path_name(path) for path in paths]
            captured = simplify(capture(self.function, args, names, [_is_array(leaf) for leaf in leaves]))
            captured = simplify(lower(captured))  # again, since what is taken apart may have parts in common
            self._programs[key] = Program(captured), captured.tree
            return self._programs[key]

    def _changes(self) -> str:
        """Say what differs between the last two signatures."""
        (paths, before), (_, after) = list(self._programs)[-2:]
        for path, one, other in zip(paths, before, after):
            if one != other:
                return f"Between the last two, {path_name(path)} was {_describe(one)}, then {_describe(other)}"
        return "The last two had other containers"

    @property
    def programs(self) -> list[Program]:
        """The programs, in the order in which they were captured."""
        return [program for program, _ in self._programs.values()]

    def report(self) -> str:
        """Say how often the function was captured, for what, and what each program is."""
        lines = [f"{self.name}: captured {len(self._programs)} times"]
        for (paths, leaves), (program, _) in self._programs.items():
            shapes = ", ".join(
                f"{path_name(path)} {_describe(leaf)}" for path, leaf in zip(paths, leaves) if leaf[0] == "array"
            )
            calls = self._calls.get((paths, leaves), 0)
            steps = len(program.captured.steps)
            lines.append(f"  {calls} calls, {steps} steps, {program.buffer_bytes:,} bytes of buffers: {shapes}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<compiled {self.name}, {len(self._programs)} programs>"


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (np.ndarray, np.generic))


def _signature(leaf: Any) -> Any:
    """Return what a program depends on: of an array its shape and dtype, of anything else the value."""
    if isinstance(leaf, np.ndarray):
        return "array", leaf.shape, leaf.dtype
    if isinstance(leaf, np.generic):
        return "array", (), leaf.dtype
    if is_generator(leaf):
        return ("generator",)
    try:
        hash(leaf)
    except TypeError:
        return "object", id(leaf)
    return "value", type(leaf), leaf


def _describe(signature: Any) -> str:
    if signature[0] == "array":
        return f"{signature[1]} {signature[2]}"
    return repr(signature[-1])


class CompiledModel:
    """A model whose `loss` runs as a program. Made by :func:`compile`; all else is the model's own."""

    def __init__(self, model: Any) -> None:
        self.__dict__["model"] = model
        name = type(model).__name__
        self.__dict__["_step"] = CompiledFunction(self._training_step, f"{name}.loss(X, y)")
        self.__dict__["_scores"] = CompiledFunction(self._test_scores, f"{name}.loss(X)")

    def loss(self, X: Any, y: Any = None) -> Any:
        """Compute scores at test time, loss and gradients in training, as the model's own `loss` does."""
        model = self.model
        model._check_params()
        X = X if isinstance(X, np.ndarray) else np.asarray(X)
        if y is None:
            return self._run(lambda: self._scores(model.params, model.state, X), lambda: model.loss(X))
        y = y if isinstance(y, np.ndarray) else np.asarray(y)
        with np.errstate(all="warn"):
            value, grads, state = self._run(
                lambda: self._step(model.params, model.state, X, y), lambda: model.loss(X, y)
            )
        if not math.isfinite(value):
            return model.loss(X, y)  # which raises, and knows more of the cause
        model.state = state
        return float(value), grads

    def _run(self, program: Callable[[], Any], eagerly: Callable[[], Any]) -> Any:
        """Run a program; when it fails, run the model itself, whose error names layer, shapes and line."""
        generators = [leaf for leaf in flatten(self.model.state)[0] if is_generator(leaf)]
        before = [copy.deepcopy(generator) for generator in generators]
        try:
            return program()
        except Exception:
            for generator, kept in zip(generators, before):
                _restore(generator, kept)
            eagerly()
            raise

    def _training_step(self, params: Any, state: Any, X: Any, y: Any) -> Any:
        model, before = self.model, self.model.state
        model.state = state
        try:
            value, grads = value_and_grad(lambda params: model._training_loss(params, X, y))(params)
            return value, grads, map_leaves(lambda leaf: leaf, model.state)
        finally:
            model.state = before

    def _test_scores(self, params: Any, state: Any, X: Any) -> Any:
        model, before = self.model, self.model.state
        model.state = state
        try:
            return model._scores(model.apply(params, X), X)
        finally:
            model.state = before

    def report(self) -> str:
        """Say how often `loss` was captured, for what, and what each program is."""
        return f"{self._step.report()}\n{self._scores.report()}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["model"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.model, name, value)

    def __repr__(self) -> str:
        return f"<compiled {type(self.model).__name__}>"


def _restore(generator: Any, kept: Any) -> None:
    if isinstance(generator, np.random.RandomState):
        generator.set_state(kept.get_state())
    else:
        generator.bit_generator.state = kept.bit_generator.state
