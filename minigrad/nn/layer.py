"""Layer: a piece of a network that knows its parameters' shapes and how to compute with them.

A layer holds no arrays. It *declares* parameters, and its `forward` *names* the ones it uses, as a test names its
fixtures. The network around it (the outermost layer, which is a Model) keeps all arrays in one flat dict, and hands
each layer its own when it runs. So a network stays a function of its parameters, whatever it is composed of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..autodiff.reverse import Recording
from ..core.errors import DTypeError, MinigradError, OptionError, ParameterError, ShapeError
from ..core.explain import EXPLAINED
from ..core.scope import scope
from ..core.tape import tell_more
from ..model import Model
from .init import random_source

__all__ = ["Layer"]

Declaration = dict[str, tuple[tuple[int, ...], Callable[..., Any]]]
"""For each name a shape and an initialiser, ``initialiser(shape, rng) -> array``."""


class Layer(Model):
    """A piece of a network; and, once it is built, a network: a `Model` with `params`, `state` and `loss`.

    Subclass it in one of two ways. A layer *made of layers* puts them into attributes (also in lists and dicts) and
    calls them in `forward`. A layer *of its own* declares its parameters in `parameters`, and its `forward` takes the
    input and then the names it wants to use: parameters, ``train`` (whether this is training), ``rng`` (the network's
    generator) and ``state`` (a dict of what `statistics` declares, to read and to write).

    The network computes shapes by running once on an example: call `build`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> class Scale(mg.nn.Layer):
    ...     def parameters(self, x):
    ...         return {"gain": (x.shape[1:], mg.nn.init.ones)}
    ...     def forward(self, x, gain):
    ...         return x * gain
    >>> class Net(mg.nn.Layer):
    ...     def __init__(self):
    ...         self.scale = Scale()
    ...         self.blocks = [mg.nn.Affine(4), mg.nn.Affine(4)]
    ...         self.out = mg.nn.Affine(3)
    ...     def forward(self, x):
    ...         x = self.scale(x)
    ...         for block in self.blocks:
    ...             x = x + np.tanh(block(x))
    ...         return self.out(x)
    >>> net = Net().build(np.ones((1, 4)), seed=0)
    >>> list(net.params)
    ['scale.gain', 'blocks.0.W', 'blocks.0.b', 'blocks.1.W', 'blocks.1.b', 'out.W', 'out.b']
    >>> loss, grads = net.loss(np.ones((2, 4)), np.array([0, 2]))
    >>> grads["out.W"].shape
    (4, 3)
    """

    _places: dict[Layer, _Place]
    _dtype: np.dtype[Any]

    # --- what a subclass writes -------------------------------------------------------------------------------------

    def forward(self, *inputs: Any, **names: Any) -> Any:
        """Compute the layer's result from its inputs and, by name, what it wants to use. To be written."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, x, ...); write its forward pass")

    def parameters(self, *inputs: Any) -> Declaration:
        """Declare the layer's own parameters from an example of its inputs: a shape and an initialiser for each."""
        return {}

    def statistics(self, *inputs: Any) -> Declaration:
        """Declare what the layer's own forward pass keeps from step to step, such as running averages."""
        return {}

    def children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers that this one is made of, each with its name: that of its attribute."""
        for attribute, value in vars(self).items():
            if not attribute.startswith("_"):
                yield from _layers_in(attribute, value)

    # --- what a user calls ------------------------------------------------------------------------------------------

    def build(self, *example: Any, seed: Any = None, dtype: Any = None) -> Any:
        """Make the parameters of a network, with shapes found by running it on an example.

        Parameters
        ----------
        *example : array
            A minibatch, of any number of samples: ``X_train[:1]`` will do.
        seed : int or numpy.random.Generator, optional
            Where the parameters, and later the random masks of the training, are drawn from. Without it they are drawn
            from NumPy's global state. With it the generator is part of `state`, so a training that is saved and
            resumed draws what it would have drawn.
        dtype : optional
            Of the parameters. float32 if the example is, else float64.

        Returns
        -------
        Layer
            The same network, ready to train.

        Raises
        ------
        ShapeError, DTypeError, OptionError
            If the example does not fit; the text names the layer.

        A layer in it that has been built already, such as one that was trained before, keeps (a copy of) its values.

        Examples
        --------
        >>> import numpy as np, minigrad as mg
        >>> net = mg.nn.Sequential(mg.nn.Affine(5), mg.relu, mg.nn.Affine(2)).build(np.ones((1, 3)), seed=0)
        >>> {name: w.shape for name, w in net.params.items()}
        {'affine1.W': (3, 5), 'affine1.b': (5,), 'affine2.W': (5, 2), 'affine2.b': (2,)}
        """
        inputs = [np.asarray(x) for x in example]
        if not inputs:
            raise OptionError(f"{type(self).__name__}.build needs an example of its input, as in build(X_train[:1])")
        dtype = np.dtype(dtype if dtype is not None else _float_of(inputs))
        if dtype.kind != "f":
            raise DTypeError(f"{type(self).__name__}.build: parameters of dtype {dtype}; use float32 or float64")
        builder = _Builder(self, random_source(seed), dtype)
        try:
            builder.run(inputs)
        except MinigradError:
            raise
        except EXPLAINED as error:
            self._fail_again(inputs, dtype, error)
            raise
        if not builder.params:
            raise ParameterError(f"{type(self).__name__} has no parameters: none of its layers declares any")
        if seed is not None and any("rng" in place.wants for place in builder.places.values()):
            builder.state["rng"] = builder.rng
        self._places, self.params, self.state = builder.places, builder.params, builder.state
        self._dtype = dtype
        return self

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        run = _running.get()
        if run is None:
            if "_places" not in vars(self):
                raise self._not_built()
            return self.apply(self.params, *map(_as_array, inputs), **options)  # a network at test time
        place = run.places.get(self)
        if place is None:
            hint = "; a network of its own, that is not to be trained with this one, is run with its apply(params, x)"
            raise ParameterError(
                f"{type(self).__name__} is no part of the network that is running: a layer must be an attribute of "
                f"the layer that calls it (or in a list or dict that is), under a name without a leading underscore, "
                f"set in __init__ and not in forward; after a change, build the network again"
                f"{hint if '_places' in vars(self) else ''}"
            )
        if place.parameters is None:
            if run.builder is None:
                raise ParameterError(
                    f"{place.path}: this layer was not reached when the network was built, so it has no parameters; "
                    f"build with an example that passes through it"
                )
            run.builder.make(self, place, inputs)
        keywords: dict[str, Any] = {name: run.params[full] for name, full in place.parameters.items()}  # type: ignore[union-attr]
        for name in place.wants:
            keywords[name] = _OwnState(place, run.state) if name == "state" else getattr(run, name)
        with scope(place.name) if place.name else nullcontext():
            out = self.forward(*inputs, **keywords, **options)
        if out is None:
            raise DTypeError(
                f"{place.path + ': ' if place.path else ''}{type(self).__name__}.forward returned None; is a `return` "
                f"missing?"
            )
        return out

    @property
    def kinds(self) -> dict[str, str]:
        """The class of each layer of a built network, by its scope: ``{"block1/conv1": "Conv2d", ...}``."""
        return {place.scope: layer.kind for layer, place in self._placed() if place.path}

    @property
    def kind(self) -> str:
        """What pictures and tables call this layer: the name of its class."""
        return type(self).__name__

    # --- how it is done ---------------------------------------------------------------------------------------------

    def _run(self, params: dict[str, Any], inputs: list[Any], train: bool, options: dict[str, Any]) -> Any:
        if "_places" not in vars(self):
            raise self._not_built()
        # Float64 data leave a float32 network what it is.
        inputs = [x.astype(self._dtype) if _is_other_float(x, self._dtype) else x for x in inputs]
        with _Run.of(self._places, params, self.state, train):
            return self(*inputs, **options)

    def _fail_again(self, inputs: list[Any], dtype: np.dtype[Any], cause: Exception) -> None:
        """Build on a tape, whose errors name op and layer, after NumPy has raised an error that does not."""

        def run(start: Any) -> None:
            watched = [start.tape.watch(x, "X") if x.dtype.kind == "f" else x for x in inputs]
            _Builder(self, np.random.default_rng(0), dtype, start.tape).run(watched)

        try:
            Recording(run, np.zeros(()))
        except MinigradError as error:
            tell_more(error, error.tape)
            raise error from cause
        except EXPLAINED:  # it has nothing to do with arrays on the tape
            return

    def _check_params(self) -> None:
        if "_places" not in vars(self) and not self.params:
            raise self._not_built()
        super()._check_params()

    def _not_built(self) -> ParameterError:
        return ParameterError(
            f"{type(self).__name__} has no parameters yet: build the network with an example of its input, as in "
            f"net.build(X_train[:1])"
        )

    def _placed(self) -> list[tuple[Layer, _Place]]:
        return list(vars(self).get("_places", {}).items())

    def __repr__(self) -> str:
        if "_places" not in vars(self):
            return f"{type(self).__name__}({', '.join(f'{name}={type(x).__name__}' for name, x in self.children())})"
        rows = []
        for layer, place in self._placed():
            own = [(name, self.params[full]) for name, full in (place.parameters or {}).items()]
            depth = place.scope.count("/") + 1 if place.path else 0
            rows.append(
                (
                    f"{'  ' * depth}{place.name or type(self).__name__}",
                    layer.kind if place.path else "",
                    ", ".join(f"{name} {w.shape}" for name, w in own),
                    f"{sum(w.size for _, w in own):,}" if own else "",
                )
            )
        total = f"{sum(w.size for w in self.params.values()):,} parameters"
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, total])


class _Place:
    """Where a layer stands in a network, and what it is handed there."""

    __slots__ = ("name", "parameters", "path", "scope", "state", "wants")

    def __init__(self, outer: _Place | None = None, name: str = "") -> None:
        self.name = name  # "conv1"; empty for the network itself
        self.path = outer.full(name) if outer is not None else ""  # "blocks.0.conv1"
        self.scope = f"{outer.scope}/{name}" if outer is not None and outer.scope else name  # "blocks.0/conv1"
        self.parameters: dict[str, str] | None = None  # own name -> name in the network's params; None: not made yet
        self.state: dict[str, str] = {}
        self.wants: tuple[str, ...] = ()

    def full(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


class _Run:
    """A pass through a network that is under way: what `Layer.__call__` hands out."""

    __slots__ = ("builder", "params", "places", "state", "train")

    @classmethod
    @contextmanager
    def of(
        cls,
        places: dict[Layer, _Place],
        params: dict[str, Any],
        state: dict[str, Any],
        train: bool,
        builder: _Builder | None = None,
    ) -> Iterator[None]:
        run = cls()
        run.places, run.params, run.state, run.train, run.builder = places, params, state, train, builder
        token = _running.set(run)
        try:
            yield
        finally:
            _running.reset(token)

    @property
    def rng(self) -> Any:
        return self.state.get("rng", np.random)


_running: ContextVar[_Run | None] = ContextVar("minigrad_network", default=None)

_OFFERED = ("train", "rng", "state")


class _OwnState(Mapping[str, Any]):
    """The part of the network's state that belongs to one layer, under the layer's own names."""

    __slots__ = ("_path", "_names", "_state")

    def __init__(self, place: _Place, state: dict[str, Any]) -> None:
        self._path, self._names, self._state = place.path, place.state, state

    def __getitem__(self, name: str) -> Any:
        return self._state[self._names[name]]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self._names:
            raise ParameterError(
                f"{self._path or 'the network'}: statistics() does not declare {name!r}, which forward writes into "
                f"state (it declares: {', '.join(self._names) or 'nothing'}); declare it, with a shape and an "
                f"initialiser"
            )
        self._state[self._names[name]] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Builder:
    """Makes the parameters of a network while it runs on an example for the first time."""

    def __init__(self, network: Layer, rng: Any, dtype: np.dtype[Any], tape: Any = None) -> None:
        self.network, self.rng, self.dtype, self.tape = network, rng, dtype, tape
        self.places = _places_of(network)
        self.params: dict[str, Any] = {}
        self.state: dict[str, Any] = {}
        self.given: dict[str, Any] = {}  # of layers that were built before, on their own
        for layer, place in self.places.items():
            if layer is not network:
                own = {**layer.params, **layer.state}
                self.given.update((place.full(name), w) for name, w in own.items() if name != "rng")

    def run(self, inputs: list[Any]) -> None:
        with _Run.of(self.places, self.params, self.state, train=False, builder=self):
            self.network(*inputs)

    def make(self, layer: Layer, place: _Place, inputs: tuple[Any, ...]) -> None:
        with scope(place.name) if place.name else nullcontext():  # so that an error names the layer
            declared, kept = layer.parameters(*inputs), layer.statistics(*inputs)
        named = list(inspect.signature(layer.forward).parameters)
        for name in declared:
            if name not in named:
                raise ParameterError(
                    f"{place.path or type(layer).__name__}: {type(layer).__name__} declares the parameter {name!r}, "
                    f"and its forward({', '.join(named)}) does not take it; name it there"
                )
        place.parameters = {name: place.full(name) for name in declared}
        place.state = {name: place.full(name) for name in kept}
        place.wants = tuple(name for name in _OFFERED if name in named and name not in declared)
        for entries, into in ((declared, self.params), (kept, self.state)):
            for name, (shape, initialiser) in entries.items():
                full = place.full(name)
                if full in into:
                    raise ParameterError(
                        f"two layers have a {full!r}, so their names are not distinct; rename an attribute, or a key "
                        f"of a dict of layers"
                    )
                array = self._array(full, tuple(shape), initialiser)
                into[full] = array if self.tape is None or into is self.state else self.tape.watch(array, full)

    def _array(self, name: str, shape: tuple[int, ...], initialiser: Callable[..., Any]) -> Any:
        given = self.given.get(name)
        array = np.array(initialiser(shape, self.rng) if given is None else given, dtype=self.dtype)
        if array.shape != shape:
            whence = "a layer built before" if given is not None else getattr(initialiser, "__name__", initialiser)
            raise ShapeError(f"{name}: {whence} gave an array of shape {array.shape}, and {shape} is needed here")
        return array


def _places_of(network: Layer) -> dict[Layer, _Place]:
    """Give every layer of a network its place: where it is met first. One layer in two places shares its parameters."""
    places: dict[Layer, _Place] = {}
    waiting: list[tuple[Layer, _Place]] = [(network, _Place())]
    while waiting:
        layer, place = waiting.pop()
        if layer not in places:
            places[layer] = place
            waiting += reversed([(child, _Place(place, name)) for name, child in layer.children()])
    return places


def _layers_in(name: str, value: Any) -> Iterator[tuple[str, Layer]]:
    if isinstance(value, Layer):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _layers_in(f"{name}.{number}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _layers_in(f"{name}.{key}", item)


def _as_array(x: Any) -> Any:
    return x if hasattr(x, "dtype") or x is None else np.asarray(x)


def _is_other_float(x: Any, dtype: np.dtype[Any]) -> bool:
    return x is not None and x.dtype.kind == "f" and x.dtype != dtype


def _float_of(inputs: list[Any]) -> Any:
    floats = [x.dtype for x in inputs if x.dtype.kind == "f"]
    return np.result_type(*floats) if floats else np.float64
