"""Model: parameters and a forward pass in, the Solver's ``loss(X, y) -> (loss, grads)`` out."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import operator
import warnings
from collections.abc import Callable
from operator import is_
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from . import health
from .autodiff.reverse import Recording, scalar_value
from .core.errors import (
    DataError,
    DTypeError,
    MinigradError,
    MinigradWarning,
    MissingParameterError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    StaleTensorError,
    did_you_mean,
)
from .core.explain import EXPLAINED
from .core.guard import guarding
from .core.scope import scope
from .core.tape import tell_more
from .core.tensor import Tensor, read_only, value_of
from .core.tree import map_leaves
from .ops.loss import softmax_loss
from .ops.reduce import sum_squares

__all__ = ["Model"]


class Model:
    """A network, declared by its parameters and its forward pass.

    Subclass it, fill ``self.params`` with arrays, and write `forward` in plain NumPy. `loss` is then what the Solver
    of CS231n expects.

    Attributes
    ----------
    params : dict of str to array
        The parameters, floating-point arrays. Read by name at every call, so a Solver may rebind or overwrite them.
    state : dict
        What training carries along without a gradient, such as running statistics. `forward` may change it; the change
        is kept when a training step has succeeded, and undone otherwise.
    reg : float
        Strength of the L2 regularisation: ``0.5 * reg * sum(W * W)`` is added to the loss over the parameters of two or
        more dimensions.
    silenced : tuple of warning classes
        The signs of trouble that this model need not be warned of, such as `mg.DeadUnitsWarning`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> class Linear(mg.Model):
    ...     def __init__(self):
    ...         self.params = {"W": np.zeros((4, 3)), "b": np.zeros(3)}
    ...     def forward(self, params, X):
    ...         return X @ params["W"] + params["b"]
    >>> loss, grads = Linear().loss(np.ones((2, 4)), np.array([0, 2]))
    >>> round(loss, 4), grads["b"].round(4)
    (1.0986, array([-0.1667,  0.3333, -0.1667]))
    """

    params: dict[str, Any]
    state: dict[str, Any]
    reg: float = 0.0
    silenced: tuple[type[Warning], ...] = ()

    def __new__(cls, *args: Any, **keywords: Any) -> Model:
        self = super().__new__(cls)  # here, so that a subclass need not call super().__init__()
        self.params, self.state = {}, {}
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "params":  # another dict may have other shapes; an array of one dict may not change its own
            self.__dict__.pop("_shapes", None)
        object.__setattr__(self, name, value)

    # --- what a subclass writes -------------------------------------------------------------------------------------

    def forward(self, params: dict[str, Any], X: Any) -> Any:
        """Compute the scores of a minibatch. To be written by the subclass, in plain NumPy.

        Parameters
        ----------
        params : dict
            The parameters by name. Use these, not ``self.params``: gradients flow through the argument only.
        X : array (N, d_1, ..., d_k)
        train : bool, optional
            Written as a third parameter, of this name or ``training``, it tells whether this is a training step.

        Returns
        -------
        array (N, C)
            With the default `objective`, the score of each class for each sample.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, params, X); write its forward pass")

    def objective(self, scores: Any, y: Any) -> Any:
        """Return the data loss, one number: softmax cross-entropy, unless a subclass overrides it."""
        return softmax_loss(scores, y)

    def data_loss(self, params: dict[str, Any], X: Any, y: Any) -> Any:
        """Return the loss of a minibatch in training, before regularisation: `objective` of the scores of `forward`.

        Override it where the forward pass itself reads y, as a model that predicts the next word of a caption does.
        """
        return self.objective(self._scores(self.apply(params, X, train=True), X), y)

    def penalty(self, params: dict[str, Any]) -> Any:
        """Return the regularisation loss: ``0.5 * reg * sum(W * W)`` over parameters of two or more dimensions."""
        squares = [sum_squares(w) for w in params.values() if len(w.shape) >= 2] if self.reg else []
        return 0.5 * float(self.reg) * functools.reduce(operator.add, squares) if squares else 0.0

    # --- what a Solver calls ----------------------------------------------------------------------------------------

    def loss(self, X: Any, y: Any = None) -> Any:
        """Compute scores at test time, loss and gradients in training.

        Parameters
        ----------
        X : array (N, d_1, ..., d_k)
            A minibatch.
        y : array (N,) of integers, optional
            The right class of each sample. Without it, this is test time.

        Returns
        -------
        scores : array (N, C)
            At test time. Nothing is recorded, unless X is itself a Tensor.
        (loss, grads) : (float, dict of str to array)
            In training: the loss, and its gradient with respect to each parameter, under exactly the names of
            `params` and with their shapes and dtypes. A parameter that the loss does not reach gets zeros, and a
            warning once.

        Raises
        ------
        ParameterError, ShapeError, DTypeError, DataError, StaleTensorError
            If parameters, data or labels do not fit; the text names them.
        NonFiniteError
            If the loss is NaN or infinite.

        After an error, `params` and `state` are as they were.
        """
        self._check_params()
        X = _as_array(X, "X")
        if y is None:
            return self._test_scores(X)
        y = _as_array(y, "y")
        return self._differentiate(lambda params: self._training_loss(params, X, y), X)

    def value_and_grad(self, function: Callable[[dict[str, Any]], Any]) -> tuple[float, dict[str, Any]]:
        """Differentiate a function of this model's parameters, with everything that `loss` takes care of.

        `loss` is this for its own loss. Others are, for example, a generator's, which another model judges.

        Parameters
        ----------
        function : callable
            Takes the parameters, a dict, and returns one number. It runs the model with `apply`.

        Returns
        -------
        (value, grads) : (float, dict of str to array)
            As from `loss`. What `apply` did to `state` is kept.

        Raises
        ------
        As `loss`; after an error, `params` and `state` are as they were.

        Examples
        --------
        >>> import numpy as np, minigrad as mg
        >>> model = mg.nn.Affine(1).build(np.ones((1, 2)), seed=0)
        >>> X, target = np.ones((4, 2)), np.zeros((4, 1))
        >>> value, grads = model.value_and_grad(lambda params: mg.mse(model.apply(params, X, train=True), target))
        >>> list(grads)
        ['W', 'b']
        """
        self._check_params()
        return self._differentiate(function)

    def apply(self, params: dict[str, Any], *inputs: Any, train: bool = False, **options: Any) -> Any:
        """Run the forward pass with given parameters, in training or at test time. In training it may change `state`.

        Parameters
        ----------
        params : dict
            Of arrays or Tensors, with the names of `params`.
        *inputs : arrays or Tensors
            What `forward` takes: X, and more where it takes more.
        train : bool
        **options
            What `forward` takes by keyword, such as a mask.

        What a training run has put into `state` is plain arrays afterwards: no gradient flows from step to step.
        """
        model = params.model if isinstance(params, _Parameters) else type(self).__name__
        # What is recorded cannot be overwritten, and plain arrays must not be either: they are the caller's own.
        guarded = _Parameters(params)
        guarded.model = model
        for name, w in params.items():
            if type(w) is np.ndarray:
                guarded[name] = read_only(w)
        try:
            out = self._run(guarded, [read_only(x) for x in inputs], train, options)
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise ParameterError(
                f"{type(self).__name__}.forward writes into X or a parameter in place; that would change the caller's "
                f"array: compute a new one, as in W = W * c"
            ) from error
        if train and self.state:
            self.state = map_leaves(_settled, self.state)
        return out

    def evaluate(self, params: dict[str, Any], X: Any, y: Any = None) -> Any:
        """Compute the scores (without y) or the training loss as a function of given parameters.

        It changes neither `params` nor `state`, and takes arrays as well as Tensors: this is what to differentiate,
        draw or capture by hand.

        Examples
        --------
        >>> import numpy as np, minigrad as mg
        >>> class Linear(mg.Model):
        ...     def __init__(self):
        ...         self.params = {"W": np.zeros((4, 3))}
        ...     def forward(self, params, X):
        ...         return X @ params["W"]
        >>> model = Linear()
        >>> saliency = mg.grad(lambda X: model.evaluate({"W": np.eye(4, 3)}, X)[0, 2])
        >>> saliency(np.ones((1, 4)))
        array([[0., 0., 1., 0.]])
        """
        before = self.state
        self.state = copy.deepcopy(before)
        try:
            if y is None:
                return self.apply(params, X)
            return self._training_loss(params, X, y)
        finally:
            self.state = before

    def first_nonfinite(self, X: Any, y: Any, path: Any = None) -> str | None:
        """Run a training step again, and say which op makes the first NaN or infinity, forward or backward.

        Parameters
        ----------
        X, y
            As of `loss`.
        path : str or Path, optional
            Where to save a picture of the computation around that op, with the op marked.

        Returns
        -------
        str or None
            None if all is finite.
        """
        from .autodiff.anomaly import find_first_nonfinite

        return find_first_nonfinite(lambda params: self.evaluate(params, X, y), self.params, path=path)

    def _test_scores(self, X: Any) -> Any:
        try:
            return self._scores(self.evaluate(self.params, X), X)
        except (MinigradError, *EXPLAINED) as error:
            plain = error
        # It may name neither op nor parameters. A recorded run does, so make one to raise a better error.
        try:
            Recording(lambda params: self._scores(self.evaluate(params, X), X), self.params)
        except MinigradError as error:
            tell_more(error, error.tape)
            raise
        raise plain

    # --- how it is done ---------------------------------------------------------------------------------------------

    def _training_loss(self, params: dict[str, Any], X: Any, y: Any) -> Any:
        params = _Parameters(params)
        params.model = type(self).__name__
        loss = self.data_loss(params, X, y)
        if loss is None:
            method = "objective" if type(self).data_loss is Model.data_loss else "data_loss"
            raise DTypeError(f"{type(self).__name__}.{method} returned None; is a `return` missing?")
        if not self.reg and type(self).penalty is Model.penalty:
            return loss
        with scope("regularisation"):
            penalty = self.penalty(params)
            return loss if type(penalty) is float and penalty == 0.0 else loss + penalty

    def _differentiate(self, function: Callable[[dict[str, Any]], Any], X: Any = None) -> tuple[float, dict[str, Any]]:
        """Run a function of the parameters on a tape and pull its gradients; keep the state only if all went well."""
        params, entries, before = self.params, dict(self.params), self.state
        self.state = copy.deepcopy(before) if before else {}
        try:
            with guarding("warn"):
                recording = Recording(function, params)
            loss = scalar_value(recording, recording.out, f"{type(self).__name__}.objective")
            number = float(value_of(loss))
            if not math.isfinite(number):
                raise self._not_finite(number, X, function)
            self._look_after(recording, X)
            gradients, reached = recording.pull([recording.out], [np.array(1, loss.dtype)], consume=True)
            state = map_leaves(value_of, self.state) if self.state else {}
            if self.params is not params or not all(map(is_, map(params.get, entries), entries.values())):
                raise ParameterError(
                    f"{type(self).__name__}.forward has assigned to self.params; it computes scores from its argument "
                    f"params, and leaves updates to the Solver"
                )
        except BaseException as error:
            params.clear()
            params.update(entries)
            self.params, self.state = params, before
            if isinstance(error, MinigradError) and error.tape is not None:
                tell_more(error, error.tape)
            raise
        self.state = state
        if not all(reached):
            self._warn_unreached([name for name, found in zip(self.params, reached) if not found])
        gradients = [np.asarray(g) if isinstance(g, np.generic) else g for g in gradients]
        return number, dict(zip(self.params, gradients))

    def _run(self, params: dict[str, Any], inputs: list[Any], train: bool, options: dict[str, Any]) -> Any:
        """Call `forward`, and tell it whether this is training if it asks."""
        forward = self.forward
        how = _takes_train(getattr(forward, "__func__", forward), inspect.ismethod(forward))
        if how == "no":
            return forward(params, *inputs, **options)
        return forward(params, *inputs, **options, **{how: train})

    def _scores(self, scores: Any, X: Any) -> Any:
        """Return what `forward` returned, after checking that it is an array that fits the minibatch."""
        name = f"{type(self).__name__}.forward"
        if scores is None:
            raise DTypeError(f"{name} returned None; it must return the scores: is a `return` missing?")
        own_loss = type(self).data_loss is not Model.data_loss
        if own_loss or getattr(self.objective, "__func__", None) is not Model.objective:
            return scores  # its own objective knows what it takes
        if not isinstance(scores, (np.ndarray, Tensor)):
            raise DTypeError(f"{name} returned {type(scores).__name__}; it must return an array of scores (N, C)")
        if scores.ndim != 2 or len(scores) != len(X):
            raise ShapeError(
                f"{name} returned an array of shape {scores.shape} for X of shape {X.shape}; expected scores of shape "
                f"({len(X)}, C), one row per sample and one column per class"
            )
        return scores

    def _check_params(self) -> None:
        if not isinstance(self.params, dict) or not self.params:
            raise ParameterError(
                f"{type(self).__name__}.params must be a dict of arrays by name, and is {self.params!r}; fill it in "
                f"__init__"
            )
        shapes = self.__dict__.setdefault("_shapes", {})  # as they were at the first call with this dict
        for name, w in self.params.items():
            # A parameter of shape () becomes a NumPy scalar under most update rules.
            if type(w) is not np.ndarray and not isinstance(w, (np.ndarray, np.generic)) or w.dtype.kind not in "fc":
                raise self._bad_parameter(name, w)
            shape = w.shape
            if shapes.setdefault(name, shape) != shape:
                raise ShapeError(
                    f"{type(self).__name__}: parameter {name!r} had shape {shapes[name]} at an earlier call and has "
                    f"{shape} now; to change a network's shapes, assign a new dict to model.params"
                )

    def _bad_parameter(self, name: str, w: Any) -> Exception:
        label = f"{type(self).__name__}: parameter {name!r}"
        if isinstance(w, Tensor):
            return StaleTensorError(
                f"{label} is a Tensor kept from a recording; parameters are plain arrays: assign its .value"
            )
        if not isinstance(w, (np.ndarray, np.generic)):
            return DTypeError(f"{label} is {type(w).__name__}, and must be an array; use np.array({name}, dtype=float)")
        return DTypeError(
            f"{label} has dtype {w.dtype}, and only floating-point arrays have gradients; use {name}.astype(float)"
        )

    def _look_after(self, recording: Recording, X: Any) -> None:
        """Now and then look at a training step for signs that the network will not train well, and warn."""
        self.__dict__["_steps"] = steps = self.__dict__.get("_steps", 0) + 1
        if health.due(steps):
            said = self.__dict__.setdefault("_warned", set())
            health.warn(health.advise(recording.tape.records, X), said, type(self).__name__, self.silenced)

    def _not_finite(self, number: float, X: Any, function: Callable[..., Any]) -> NonFiniteError:
        values = {**({} if X is None else {"X": X}), **self.params}
        bad = [name for name, x in values.items() if x.dtype.kind in "fc" and not np.isfinite(value_of(x)).all()]
        cause = (
            f"{', '.join(bad)} {'holds' if len(bad) == 1 else 'hold'} NaN or infinity already"
            if bad
            else "the data and all parameters are finite, so it arose in the forward pass: a logarithm of 0, a "
            "division by 0, or an overflow"
        )
        from .autodiff.anomaly import find_first_nonfinite  # wanted when something went wrong, and not before

        origin = find_first_nonfinite(function, self.params)
        return NonFiniteError(
            f"the loss of {type(self).__name__} is {number}: {cause}; lower the learning rate or the weight scale, and "
            f"check the data" + (f"\n{origin}" if origin else "")
        )

    def _warn_unreached(self, names: list[str]) -> None:
        warned = self.__dict__.setdefault("_warned", set())
        for name in names:
            if name not in warned:
                warned.add(name)
                warnings.warn(
                    f"{type(self).__name__}: the loss does not depend on parameter {name!r}, so its gradient is zero; "
                    f"forward must use its argument params[{name!r}], not self.params[{name!r}]",
                    MinigradWarning,
                    stacklevel=4,
                )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_shapes", "_steps", "_warned")}


class _Parameters(dict[str, Any]):
    """Parameters by name; a name that is not there is answered with the nearest one that is."""

    __slots__ = ("model",)  # its name; set afterwards, since a constructor of our own would take as long as the copy

    def __missing__(self, name: str) -> Any:
        raise MissingParameterError(
            f"{self.model} has no parameter {name!r}{did_you_mean(name, self)} (it has: {', '.join(map(str, self))})"
        )


def _settled(x: Any) -> Any:
    """Take a value of the state off the tapes that differentiate; one that is captured stays on its tape."""
    while type(x) is Tensor and not x.tape.static:
        x = x.value
    return x


def _as_array(x: Any, name: str) -> Any:
    if isinstance(x, (np.ndarray, Tensor)):
        return x
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise DataError(f"{name} is not an array of numbers: {error}; stack samples of one shape") from error
    if name == "X" and array.dtype.kind not in "fciub":  # of labels the objective knows more
        raise DataError(f"{name} came as {type(x).__name__}, and must be an array of numbers")
    return array


_TAKES_TRAIN: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()


def _takes_train(forward: Callable[..., Any], bound: bool) -> str:
    """Return the name of the parameter of `forward` that wants to know about training, or ``"no"``."""
    found = _TAKES_TRAIN.get(forward)
    if found is None:
        found = _TAKES_TRAIN[forward] = _find_train(forward, bound)
    return found


def _find_train(forward: Callable[..., Any], bound: bool) -> str:
    parameters = list(inspect.signature(forward).parameters.values())[1 if bound else 0 :]
    for name in ("train", "training"):
        if any(parameter.name == name for parameter in parameters):
            return name
    required = [
        p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return required[2].name if len(required) > 2 else "no"
