"""What ``mg.compile`` returns: functions and models that run as captured programs, one for each signature."""

from __future__ import annotations

import copy
import inspect
import keyword
import math
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import kernels
from ..autodiff.reverse import value_and_grad
from ..core.errors import DTypeError, OptionError
from ..core.tensor import Tensor
from ..core.tree import argument_names, flatten, map_leaves, path_name
from ..kernels.memory import hand_back
from .capture import capture, draws_taken_back, is_generator, put_back, random_states
from .lower import lower
from .program import Program
from .simplify import simplify
from .source import write

__all__ = ["CompiledFunction", "CompiledModel", "compile", "explain_backward"]

LIMIT = 32
"""A function that has been captured for so many signatures is refused another: capturing each call costs more than it
saves."""


def compile(target: Any) -> Any:
    """Turn a model, or a function of arrays, into a program that runs without recording.

    The first call for each signature (the shapes and dtypes of the arrays, the values of everything else) runs the
    function once on a tape, forward and backward. The list of ops becomes straight-line Python on buffers that are
    planned once; from then on only that runs. With NumPy's kernels, results are those of the function itself, to the
    last bit (where arrays lie in C order: sums of others are taken in another order); with Numba's, to rounding.

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
        self.last: Any = None  # the signature of the last call

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Compute the function."""
        if options:
            bound = inspect.signature(self.function).bind(*args, **options)
            if bound.kwargs:
                raise OptionError(
                    f"{self.name} takes {', '.join(bound.kwargs)} by keyword only, and a compiled function takes "
                    f"arguments that have a place; give the function such a signature, or set them by functools.partial"
                )
            args = bound.args
        leaves, tree = flatten(args)
        if any(type(leaf) is Tensor for leaf in leaves):
            return self.function(*args)  # it is being recorded, by whom it may concern
        key = (tree.paths, tuple(map(_signature, leaves)), kernels.fast() is not None)
        found = self._programs.get(key)
        if found is None:
            found = self._capture(key, args, leaves, tree.paths)
        self.last = key
        program, result_tree = found
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
            names = [self._name_of(path) for path in paths]
            captured = simplify(capture(self.function, args, names, [_is_array(leaf) for leaf in leaves]))
            captured = simplify(lower(captured))  # again, since what is taken apart may have parts in common
            self._programs[key] = Program(captured), captured.tree
            hand_back()  # what the function took to be captured, which is more than its program takes
            return self._programs[key]

    def _changes(self) -> str:
        """Say what differs between the last two signatures."""
        (paths, before, _), (_, after, _) = list(self._programs)[-2:]
        for path, one, other in zip(paths, before, after):
            if one != other:
                return f"Between the last two, {self._name_of(path)} was {_describe(one)}, then {_describe(other)}"
        return "The last two had other containers"

    def _name_of(self, path: str) -> str:
        """Return what an error or a table calls a leaf of the arguments: ``params.W1`` for ``[0]['W1']``."""
        number, rest = path[1:].split("]", 1)
        argument = argument_names(self.function, int(number) + 1)[-1]
        return path_name(rest, argument) if rest else argument

    @property
    def programs(self) -> list[Program]:
        """The programs, in the order in which they were captured."""
        return [program for program, _ in self._programs.values()]

    @property
    def source(self) -> str:
        """The program of the first signature as readable NumPy, which runs without minigrad."""
        paths, leaves, captured, tree = self._first()
        names = list(inspect.signature(self.function).parameters)
        head, inputs = [], {}
        entries, generators = iter(captured.inputs), iter(["rng", *(f"rng{n}" for n in range(1, len(leaves)))])
        for path, leaf in zip(paths, leaves):
            number, rest = path[1:].split("]", 1)
            name = names[int(number)]
            if leaf[0] == "array":
                entry = next(entries)
                inputs[entry] = word = _identifier(path_name(rest) or name) if rest else name
            elif leaf[0] == "generator":
                word = next(generators)
            else:
                continue
            if word != name or rest:
                head.append(f"{word} = {name}{rest}".replace("'", '"'))
        used = sorted({int(path[1:].split("]", 1)[0]) for path in paths})
        call = f"{_identifier(self.function.__name__)}({', '.join(names[number] for number in used)})"
        # A result that stands where an argument stands, one level down, is the gradient of it.
        places = {path[path.index("]") + 1 :]: inputs[e] for path, e in zip(_array_paths(paths, leaves), inputs)}
        results = zip((path[path.index("]") + 1 :] for path in tree.paths), captured.results)
        named = {
            entry: f"d_{places[end]}" for end, entry in results if end and end in places and isinstance(entry, int)
        }
        return write(captured, call, head, inputs, [("", _result_text(tree, captured.results))], named)

    def _first(self) -> Any:
        if not self._programs:
            raise OptionError(f"{self.name} has not been called yet, so there is no program; call it once")
        (paths, leaves, _), (program, tree) = next(iter(self._programs.items()))
        return paths, leaves, program.captured, tree

    def report(self) -> str:
        """Say how often the function was captured, for what, and what each program is."""
        lines = [f"{self.name}: captured {len(self._programs)} times"]
        for (paths, leaves, _), (program, _) in self._programs.items():
            shapes = ", ".join(
                f"{self._name_of(path)} {_describe(leaf)}" for path, leaf in zip(paths, leaves) if leaf[0] == "array"
            )
            steps = len(program.captured.steps)
            lines.append(f"  {program.calls} calls, {steps} steps, {program.buffer_bytes:,} bytes of buffers: {shapes}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<compiled {self.name}, {len(self._programs)} programs>"


def _array_paths(paths: tuple[str, ...], leaves: tuple[Any, ...]) -> list[str]:
    return [path for path, leaf in zip(paths, leaves) if leaf[0] == "array"]


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
    if isinstance(leaf, (float, complex)):  # 0.0 and -0.0 are equal, and NaN is not
        return "value", type(leaf), repr(leaf)
    if isinstance(leaf, slice):
        return "value", slice, repr(leaf)
    try:
        hash(leaf)
    except TypeError:
        return "object", _Same(leaf)
    return "value", type(leaf), leaf


class _Same:
    """An object, which is equal to itself alone, and lives as long as somebody compares with it."""

    def __init__(self, leaf: Any) -> None:
        self.leaf = leaf

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.leaf is other.leaf

    def __hash__(self) -> int:
        return id(self.leaf)

    def __repr__(self) -> str:
        return repr(self.leaf)


def _describe(signature: Any) -> str:
    if signature[0] == "array":
        return f"{signature[1]} {signature[2]}"
    return repr(signature[-1])


class _Short:
    """The short way into a model's training program: it looks at shapes and dtypes, and takes no container apart.

    Attributes
    ----------
    signature : tuple
        What the program depends on beside the model's parameters and state.
    """

    def __init__(self, signature: Any, program: Program, model: Any) -> None:
        self.signature = signature
        self.program = program
        self.names, self.order = list(model.params), list(model.state)
        self.generators = [name for name, w in model.state.items() if is_generator(w)]
        given = [*model.params.values(), *(w for w in model.state.values() if not is_generator(w))]
        self.kinds = [(type(w), w.shape, w.dtype) for w in given]

    def inputs(self, params: dict[str, Any], state: dict[str, Any]) -> list[Any] | None:
        """Return parameters and state in order, or None if they are of another kind than before."""
        if list(params) != self.names or list(state) != self.order:
            return None
        found = [*params.values()]
        if state:
            found += [w for w in state.values() if not is_generator(w)]
        try:
            kinds = [(type(w), w.shape, w.dtype) for w in found]
        except AttributeError:
            return None
        return found if kinds == self.kinds else None

    def results(self, values: list[Any]) -> Any:
        """Return ``(loss, grads, state)`` from what the program returns."""
        end = 1 + len(self.names)
        grads = dict(zip(self.names, values[1:end]))
        return values[0], grads, dict(zip(self.order, values[end:])) if self.order else {}


class CompiledModel:
    """A model whose `loss` runs as a program. Made by :func:`compile`; all else is the model's own."""

    def __init__(self, model: Any) -> None:
        self.__dict__["model"] = model
        name = type(model).__name__
        self.__dict__["_step"] = CompiledFunction(self._training_step, f"{name}.loss(X, y)")
        self.__dict__["_short"] = None
        self.__dict__["_scores"] = CompiledFunction(self._test_scores, f"{name}.loss(X)")

    def loss(self, X: Any, y: Any = None) -> Any:
        """Compute scores at test time, loss and gradients in training, as the model's own `loss` does."""
        model = self.model
        X = X if isinstance(X, np.ndarray) else np.asarray(X)
        if y is None:
            model._check_params()
            scores = lambda: self._scores(model.params, model.state, X, self._settings())  # noqa: E731
            return self._run(scores, lambda: model.loss(X))
        y = y if isinstance(y, np.ndarray) else np.asarray(y)
        signature = (X.shape, X.dtype, y.shape, y.dtype, self._settings(), kernels.fast() is not None)
        value, grads, state = self._run_short(signature, X, y) or self._run_step(signature, X, y)
        if not math.isfinite(value):
            return model.loss(X, y)  # which raises, and knows more of the cause
        model.state = state
        return float(value), grads

    def _run_short(self, signature: Any, X: np.ndarray, y: np.ndarray) -> Any:
        """Run the program of a training step by the short way, if the last step was of this kind; else return None."""
        short, model = self.__dict__["_short"], self.__dict__["model"]
        if short is None or short.signature != signature:
            return None
        inputs = short.inputs(model.params, model.state)
        if inputs is None:
            return None
        inputs += (X, y)
        if short.generators:
            generators = [model.state[name] for name in short.generators]
            return short.results(self._run(lambda: short.program(inputs, generators), lambda: model.loss(X, y)))
        try:
            return short.results(short.program(inputs, []))
        except Exception:
            model.loss(X, y)
            raise

    def _run_step(self, signature: Any, X: np.ndarray, y: np.ndarray) -> Any:
        """Run the program of a training step, capture it first if need be, and remember the short way to it."""
        model = self.model
        model._check_params()
        step = lambda: self._step(model.params, model.state, X, y, signature[4])  # noqa: E731
        results = self._run(step, lambda: model.loss(X, y))
        if not any(type(value) is dict for value in model.state.values()):
            program, _ = self._step._programs[self._step.last]
            self.__dict__["_short"] = _Short(signature, program, model)
        return results

    def _settings(self) -> tuple[Any, ...]:
        """Return what a program depends on beside arrays: the model's numbers and words, and functions put on it."""
        return tuple(
            [
                (name, value)
                for name, value in vars(self.model).items()
                if name[0] != "_" and (isinstance(value, (int, float, str, bool, type(None))) or callable(value))
            ]
        )

    def _run(self, program: Callable[[], Any], eagerly: Callable[[], Any]) -> Any:
        """Run a program; when it fails, run the model itself, whose error names layer, shapes and line."""
        before = random_states([leaf for leaf in self.model.state.values() if is_generator(leaf)])
        try:
            return program()
        except Exception:
            put_back(before)
            eagerly()
            raise

    def _training_step(self, params: Any, state: Any, X: Any, y: Any, settings: Any) -> Any:
        model, before = self.model, self.model.state
        model.state = state
        try:
            value, grads = value_and_grad(lambda params: model._training_loss(params, X, y))(params)
            return value, grads, map_leaves(lambda leaf: leaf, model.state)
        finally:
            model.state = before

    def _test_scores(self, params: Any, state: Any, X: Any, settings: Any) -> Any:
        model, before = self.model, self.model.state
        model.state = state
        try:
            return model._scores(model.apply(params, X), X)
        finally:
            model.state = before

    @property
    def source(self) -> str:
        """The training step as readable NumPy: the backward pass that one would have written by hand.

        It is a function ``loss_and_grads(params, X, y)`` (with ``state`` where the model has one, and then it returns
        the new state too), and what it calls; it runs without minigrad.
        """
        paths, leaves, captured, tree = self._step._first()
        params, state = list(self.model.params), [key for key in self.model.state if key != "rng"]
        keys = [*(("params", key) for key in params), *(("state", key) for key in state)]
        inputs = {entry: _identifier(key) for entry, (_, key) in zip(captured.inputs, keys)}
        head = [f'{_identifier(key)} = {container}["{key}"]' for container, key in keys]
        inputs.update(zip(captured.inputs[len(keys) :], ("X", "y")))
        if captured.generators:
            head.append('rng = state["rng"]')
        results = captured.results
        named = {entry: f"d_{_identifier(key)}" for key, entry in zip(params, results[1:]) if isinstance(entry, int)}
        if isinstance(results[0], int):
            named[results[0]] = "loss"
        grads = ", ".join(f"{key!r}: result{number}" for number, key in enumerate(params, 1))
        returned = [("", "result0"), ("grads", f"{{{grads}}}")]
        arguments = "params, X, y"
        if self.model.state:
            arguments = "params, state, X, y"
            new = [f"{key!r}: result{number}" for number, key in enumerate(state, 1 + len(params))]
            named |= {
                e: f"new_{_identifier(key)}" for key, e in zip(state, results[1 + len(params) :]) if isinstance(e, int)
            }
            new += ["'rng': rng"] if captured.generators else []
            returned.append(("new_state", f"{{{', '.join(new)}}}"))
        (x, _), (y, _) = captured.specs[-2:]
        title = f"A training step of {type(self.model).__name__}, forward and backward, for X {x} and y {y}."
        return write(captured, f"loss_and_grads({arguments})", head, inputs, returned, named, title)

    def report(self) -> str:
        """Say how often `loss` was captured, for what, and what each program is."""
        return f"{self._step.report()}\n{self._scores.report()}"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["model"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.model, name, value)

    def __repr__(self) -> str:
        return f"<compiled {type(self.model).__name__}>"


def explain_backward(model: Any, X: Any, y: Any) -> str:
    """Return a model's training step, forward and backward, as NumPy source that runs without minigrad.

    Parameters
    ----------
    model : Model
        It stays as it is.
    X, y : arrays
        A minibatch; the source holds for its shapes.

    Returns
    -------
    str
        A function ``loss_and_grads(params, X, y)``, and below it the kernels that it calls, in NumPy and without their
        checks of arguments. Where the model has a state, it takes and returns that as well.

    Raises
    ------
    OptionError
        If an op of the model has no source that stands on its own.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> model = mg.models.TwoLayerNet(4, 5, 3, seed=0)
    >>> text = mg.explain_backward(model, np.ones((2, 4)), np.array([0, 2]))
    >>> print(text[text.index("    # backward") : text.index("    grads = ")])
        # backward
        d_scores = softmax_loss_backward(np.float64(1.0), scores, y, highest, total, wants=("scores",))
        # fc2
        d_hidden = d_scores @ W2.T
        d_W2 = hidden.T @ d_scores
        d_b2 = np.sum(d_scores, axis=0)
        # fc1
        d_pre = d_hidden * (hidden > 0)
        d_W1 = X.T @ d_pre
        d_b1 = np.sum(d_pre, axis=0)
    <BLANKLINE>
    """
    compiled = CompiledModel(model)
    state = copy.deepcopy(model.state)
    try:
        loss, grads = compiled.loss(X, y)
        text = compiled.source
    finally:
        model.state = state
    _check_source(text, model, copy.deepcopy(state), X, y, (loss, grads))
    return text


def _check_source(text: str, model: Any, state: Any, X: Any, y: Any, expected: tuple[float, dict[str, Any]]) -> None:
    """Run a written-out training step, and raise unless it computes what the model does."""
    space: dict[str, Any] = {}
    arguments = (model.params, state, X, y) if state else (model.params, X, y)
    try:
        with draws_taken_back([]):
            exec(text, space)
            loss, grads, *_ = space["loss_and_grads"](*arguments)
    except Exception as error:
        raise OptionError(
            f"{type(model).__name__} uses an op that cannot be written out yet ({error}); mg.compile runs it all the "
            f"same"
        ) from error
    # To rounding: sums of squares are written as one would write them, and taken in another order by the model.
    rounding = 1e4 * max(np.finfo(w.dtype).eps for w in model.params.values())
    pairs = [(loss, expected[0]), *((grads[name], g) for name, g in expected[1].items())]
    if not all(np.allclose(found, right, rtol=rounding, atol=rounding) for found, right in pairs):
        raise OptionError(f"the source written for {type(model).__name__} does not compute what the model does")


def _identifier(name: str) -> str:
    """Return a name as a Python variable: ``conv1.W`` as ``conv1_W``."""
    word = re.sub(r"\W+", "_", name).strip("_") or "x"
    return f"_{word}" if word[0].isdigit() or keyword.iskeyword(word) else word


def _result_text(tree: Any, results: list[Any]) -> str:
    """Write the container of a function's results, with ``resultNUMBER`` for each."""
    return repr(tree.unflatten([_Slot(f"result{number}") for number in range(len(results))]))


class _Slot(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)
