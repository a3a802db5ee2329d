"""The Solver: draw a batch, step every parameter, measure at the ends of epochs, keep the best.

The constructor's arguments, the attributes, the printed lines, the checkpoint and the order of the random draws are
those of the Solver in Stanford's course CS231n: code written for that one runs unchanged, and after
``np.random.seed(s)`` the histories are the same to the last bit.

The Solver asks little of a model. ``model.params`` is a dictionary of float arrays. ``model.loss(X)`` returns scores of
shape (N, C); ``model.loss(X, y)`` returns ``(loss, grads)``, where ``grads`` has the keys of ``model.params``. How the
gradients were found is not its business.
"""

from __future__ import annotations

import copy
import math
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from numbers import Real
from typing import Any, Protocol

import numpy as np

from minigrad import optim
from minigrad.core.errors import (
    DataError,
    DTypeError,
    LargeUpdateWarning,
    NonFiniteError,
    OptionError,
    ParameterError,
    ShapeError,
    did_you_mean,
)
from minigrad.flat import FlatUpdate, all_finite, name_of

__all__ = ["Solver", "Trainable"]

LARGE_UPDATE = 0.1
"""Steps that change the norm of a weight by more than this part of it are warned of."""

_SPLITS = (("X_train", "y_train"), ("X_val", "y_val"))
_OPTIONS = (
    "update_rule",
    "optim_config",
    "lr_decay",
    "batch_size",
    "num_epochs",
    "num_train_samples",
    "num_val_samples",
    "checkpoint_name",
    "print_every",
    "verbose",
    "seed",
    "on_epoch",
)


class Trainable(Protocol):
    """What the Solver needs of a model. If there is a ``state`` dictionary (running statistics), it is kept too."""

    params: dict[str, np.ndarray]

    def loss(self, X: np.ndarray, y: np.ndarray | None = None) -> Any:
        """Return scores (N, C) for ``loss(X)``, and ``(loss, grads)`` for ``loss(X, y)``."""


class Solver:
    """Train a classifier by stochastic gradient descent, and leave in it the parameters that did best.

    Parameters
    ----------
    model : object
        Has ``params`` and ``loss`` as `Trainable` says. If it has a dictionary ``state`` as well, that is copied and
        put back together with the parameters.
    data : dict
        ``"X_train"`` (N_train, d_1, ..., d_k) and ``"X_val"`` (N_val, d_1, ..., d_k), arrays of numbers;
        ``"y_train"`` (N_train,) and ``"y_val"`` (N_val,), arrays of integer labels from 0 to C - 1. Other keys are
        left alone.
    update_rule : str or callable, default "sgd"
        A name in ``optim.RULES``, or a function ``rule(w, dw, config) -> (next_w, config)``.
    optim_config : dict, optional
        Hyperparameters for the update rule, such as ``{"learning_rate": 1e-3}``. Every parameter gets a copy of its
        own; the dictionary that was passed is never changed.
    lr_decay : float, default 1.0
        After each epoch the learning rate is multiplied by this.
    batch_size : int, default 100
        Samples per step, drawn with replacement, so it may be larger than the data.
    num_epochs : int, default 10
        One epoch is ``max(N_train // batch_size, 1)`` steps. With 0, `train` leaves the model as it is.
    num_train_samples : int or None, default 1000
        How many training samples, drawn with replacement, the training accuracy is measured on; None for all.
    num_val_samples : int or None, default None
        The same for the validation accuracy.
    checkpoint_name : str or path, optional
        If given, every measurement writes the file ``<checkpoint_name>_epoch_<epoch>.pkl``.
    print_every : int, default 10
        Print the loss every so many steps.
    verbose : bool, default True
        False prints nothing.
    seed : int or numpy.random.Generator, optional
        Draw batches from a generator of the Solver's own. Solvers with equal seeds draw equal batches, whatever else
        uses random numbers meanwhile. A Generator is copied. Without a seed the draws come from NumPy's global state.
    on_epoch : callable (Solver) -> object, optional
        Called with the Solver after every measurement: after the first step, where `epoch` is still 0 (if an epoch has
        more than one step), and after every epoch. By then the histories hold the measurement, the checkpoint is
        written, the best is kept, and ``solver.model`` has the parameters that were measured. What it returns is
        ignored. NumPy's global random state is put back after it, so training has the same bits with it and without.

    Attributes
    ----------
    epoch : int
        Epochs completed.
    loss_history : list of float
        The loss of every step.
    train_acc_history, val_acc_history : list of float
        Accuracies after the first step, after every epoch, and after the last step.
    best_val_acc : float
        The highest validation accuracy so far.
    best_params : dict of str to ndarray
        A copy of the parameters that reached it.
    best_state : dict or None
        A deep copy of ``model.state`` at that moment; None if the model has none.
    optim_configs : dict of str to dict
        For each parameter, what its update rule is given at the next step.

    Raises
    ------
    OptionError
        An unknown argument, update rule or hyperparameter, or a value out of range.
    DataError, ShapeError, DTypeError
        Data that cannot be trained on: a missing array, lengths that differ, labels that are not classes of the model
        (it is asked for the scores of one sample to count them), NaN or infinity.
    ParameterError
        A model without usable ``params`` and ``loss``.

    References
    ----------
    CS231n: Deep Learning for Computer Vision, assignment 2, ``solver.py``, https://cs231n.github.io/

    Examples
    --------
    >>> import numpy as np
    >>> class Linear:
    ...     def __init__(self):
    ...         self.params = {"W": np.zeros((2, 2))}
    ...     def loss(self, X, y=None):
    ...         scores = X @ self.params["W"]
    ...         if y is None:
    ...             return scores
    ...         error = scores - np.eye(2)[y]
    ...         return 0.5 * np.sum(error**2) / len(X), {"W": X.T @ error / len(X)}
    >>> X, y = np.array([[1.0, 0.0], [0.0, 1.0]] * 10), np.array([0, 1] * 10)
    >>> data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    >>> solver = Solver(Linear(), data, optim_config={"learning_rate": 0.5}, batch_size=10, num_epochs=1, seed=0)
    >>> solver.train()
    (Iteration 1 / 2) loss: 0.500000
    (Epoch 0 / 1) train acc: 1.000000; val_acc: 1.000000
    (Epoch 1 / 1) train acc: 1.000000; val_acc: 1.000000

    To look at the model while it learns, as with ``mg.draw(solver.model, X, y, color="grad").save(...)``:

    >>> def look(solver):
    ...     W = solver.model.params["W"]
    ...     print(f"epoch {solver.epoch}: loss {solver.loss_history[-1]:.3f}, |W| = {np.linalg.norm(W):.2f}")
    >>> options = {"optim_config": {"learning_rate": 0.5}, "batch_size": 10, "num_epochs": 2, "seed": 0}
    >>> Solver(Linear(), data, verbose=False, on_epoch=look, **options).train()
    epoch 0: loss 0.500, |W| = 0.36
    epoch 1: loss 0.260, |W| = 0.64
    epoch 2: loss 0.099, |W| = 0.98
    """

    def __init__(
        self,
        model: Trainable,
        data: Mapping[str, np.ndarray],
        *,
        update_rule: str | optim.UpdateRule = "sgd",
        optim_config: Mapping[str, Any] | None = None,
        lr_decay: float = 1.0,
        batch_size: int = 100,
        num_epochs: int = 10,
        num_train_samples: int | None = 1000,
        num_val_samples: int | None = None,
        checkpoint_name: str | os.PathLike[str] | None = None,
        print_every: int = 10,
        verbose: bool = True,
        seed: int | np.random.Generator | None = None,
        on_epoch: Callable[[Solver], object] | None = None,
        **unknown: Any,
    ) -> None:
        _refuse_unknown(unknown)
        self.update_rule = optim.resolve(update_rule)
        self.optim_config = _checked_config(self.update_rule, optim_config)
        self.lr_decay = _positive("lr_decay", lr_decay)
        self.batch_size = _whole("batch_size", batch_size, least=1)
        self.num_epochs = _whole("num_epochs", num_epochs, least=0)
        self.num_train_samples = _whole_or_none("num_train_samples", num_train_samples)
        self.num_val_samples = _whole_or_none("num_val_samples", num_val_samples)
        self.checkpoint_name = _checked_checkpoint_name(checkpoint_name)
        self.print_every = _whole("print_every", print_every, least=1)
        self.verbose = verbose
        self.seed = _checked_seed(seed)
        self.on_epoch = _checked_on_epoch(on_epoch)

        _check_model(model)
        _check_data(data)
        self.model = model
        self.X_train = data["X_train"]
        self.y_train = data["y_train"]
        self.X_val = data["X_val"]
        self.y_val = data["y_val"]
        self._check_classes()
        self._reset()

    def train(self) -> None:
        """Run ``num_epochs`` epochs, then put the best parameters (and state) into the model.

        A model that never gets a validation sample right keeps the parameters of its last step. A second call trains
        on from there for as many epochs again.

        If training stops early, by Ctrl-C or by an exception (from `on_epoch` too), nothing is lost. ``model.params``
        holds the whole arrays of the last complete step; `best_params`, `best_state`, the histories and the checkpoints
        hold what was recorded; and a further call of `train` goes on from there. Only an interrupt that hits amid the
        update itself leaves a trace: what the rules remember (`optim_configs`) may have taken in that step for some
        parameters, and so may the parameters under a rule that writes into ``w``, as ``sgd`` does.

        Raises
        ------
        NonFiniteError
            If the loss becomes NaN or infinite. The parameters are those that gave this loss.
        ParameterError
            If the gradients lack a parameter, or have one that the model lacks.
        ShapeError
            If a gradient has another shape than its parameter.
        """
        iterations_per_epoch = max(self.X_train.shape[0] // self.batch_size, 1)
        num_iterations = self.num_epochs * iterations_per_epoch
        if num_iterations == 0:
            return

        for t in range(num_iterations):
            self._step()
            if self.verbose and t % self.print_every == 0:
                print(f"(Iteration {t + 1} / {num_iterations}) loss: {self.loss_history[-1]:f}")
            epoch_end = (t + 1) % iterations_per_epoch == 0
            if epoch_end:
                self.epoch += 1
                self._decay_learning_rate()
            if epoch_end or t == 0:
                self._measure()
                self._call_on_epoch()

        if self.best_val_acc == 0:
            self._keep_as_best()
        self._restore_best()

    def check_accuracy(
        self, X: np.ndarray, y: np.ndarray, num_samples: int | None = None, batch_size: int = 100
    ) -> float:
        """Return the fraction of samples whose highest score is that of their label.

        Parameters
        ----------
        X : ndarray, (N, d_1, ..., d_k)
            Samples.
        y : ndarray of int, (N,)
            Labels.
        num_samples : int, optional
            If there are more samples than this, draw this many of them, with replacement.
        batch_size : int, default 100
            How many samples the model is given at once; a smaller number takes less memory.

        Returns
        -------
        float
            Between 0 and 1.

        Raises
        ------
        ShapeError
            If `X` and `y` differ in length.
        DataError
            If there are no samples.
        OptionError
            If `num_samples` or `batch_size` is not a whole number of 1 or more.
        """
        _check_lengths("X", X, "y", y)
        _whole_or_none("num_samples", num_samples)
        _whole("batch_size", batch_size, least=1)
        N = X.shape[0]
        if num_samples is not None and N > num_samples:
            chosen = self._draw(N, num_samples)
            N, X, y = num_samples, X[chosen], y[chosen]
        batches = (X[start : start + batch_size] for start in range(0, N, batch_size))
        predicted = [np.argmax(self.model.loss(batch), axis=1) for batch in batches]
        accuracy: float = np.mean(np.hstack(predicted) == y)
        return accuracy

    def _reset(self) -> None:
        """Forget the training so far, save for the model's parameters; a seed starts anew."""
        self.epoch = 0
        self._warned = False
        self.best_val_acc: float = 0
        self.best_params: dict[str, np.ndarray] = {}
        self.best_state: dict[str, Any] | None = None
        self.loss_history: list[float] = []
        self.train_acc_history: list[float] = []
        self.val_acc_history: list[float] = []
        # Deep copies, so that a rule that remembers something in a list does not share it between parameters.
        self.optim_configs = {name: copy.deepcopy(self.optim_config) for name in self.model.params}
        self._flat: FlatUpdate | None = None
        self._generator = None if self.seed is None else np.random.default_rng(copy.deepcopy(self.seed))

    def _draw(self, n: int, size: int) -> np.ndarray:
        """Draw indices below n, with replacement."""
        if self._generator is None:
            return np.random.choice(n, size)
        return self._generator.choice(n, size)

    def _step(self) -> None:
        """Draw a batch and step every parameter once. Whatever is wrong is found before anything changes."""
        batch = self._draw(self.X_train.shape[0], self.batch_size)
        X, y = self.X_train[batch], self.y_train[batch]
        try:
            loss, grads = _loss_and_grads(self.model.loss(X, y))
        except NonFiniteError as error:  # a model that looks itself, and knows more of the cause
            cause, _, _ = str(error).partition("\n")
            raise self._non_finite(f"{cause}. It came", X, y) from error
        params = self.model.params
        if not math.isfinite(loss):
            raise self._non_finite(f"The loss is {loss}", X, y)
        _check_gradients(params, grads)
        if not all_finite(grads.values()):
            bad = [name for name, g in grads.items() if not all_finite([g])]
            raise self._non_finite(f"The loss is {loss:.6g}, and the gradient of {', '.join(bad)} is not finite", X, y)
        if not params.keys() <= self.optim_configs.keys():
            added = ", ".join(f'"{name}"' for name in params if name not in self.optim_configs)
            raise ParameterError(f"model.params has gained {added} since the Solver was made; make a new Solver.")
        self.loss_history.append(loss)

        before = {name: w.copy() for name, w in params.items()} if self._is_looking() else {}
        flat = self._flat_update()
        if flat is None:
            self._step_by_rule(params, grads)
        else:
            flat.step(params, grads)
        if before:
            self._warn_of_large_updates(before)

    def _flat_update(self) -> FlatUpdate | None:
        """What steps all parameters at once, if the rule is one of those with a name."""
        name = name_of(self.update_rule)
        if self._flat is None or self._flat.rule != name or self._flat.configs is not self.optim_configs:
            self._flat = None if name is None else FlatUpdate(name, self.model.params, self.optim_configs)
        return self._flat

    def _step_by_rule(self, params: dict[str, np.ndarray], grads: Mapping[str, np.ndarray]) -> None:
        """Give one parameter after the other to the rule.

        The parameters change together, after the last one. The configs change one by one: keeping the old moments until
        the end as well would cost a sixth of a step in fresh memory (adam, 300,000 parameters).
        """
        next_params = {}
        for name, w in params.items():
            stepped = self.update_rule(w, grads[name], self.optim_configs[name])
            next_params[name], self.optim_configs[name] = _checked_update(name, w, stepped)
        params.update(next_params)

    def _is_looking(self) -> bool:
        """Whether this step is looked at for large updates: the 32nd, 64th, 128th ..., after the first have settled."""
        step = len(self.loss_history)
        return step >= 32 and step & (step - 1) == 0

    def _warn_of_large_updates(self, before: Mapping[str, np.ndarray]) -> None:
        """Warn, once, if the weights have changed by more than a tenth in one step."""
        if LargeUpdateWarning in getattr(self.model, "silenced", ()):
            return
        for name, w in before.items():
            size, change = np.linalg.norm(w), np.linalg.norm(self.model.params[name] - w)
            if w.ndim >= 2 and change > LARGE_UPDATE * size and not self._warned:
                self._warned = True
                config = self.optim_configs[name]
                warnings.warn(
                    f'"{name}" has changed by {change / size if size else math.inf:.0%} in step '
                    f"{len(self.loss_history)}, with learning rate "
                    f"{config.get('learning_rate', optim.default_learning_rate(self.update_rule))}; a good step is "
                    f"about 0.1% of the weights, and above {LARGE_UPDATE:.0%} training is seldom stable: lower the "
                    f"learning rate",
                    LargeUpdateWarning,
                    stacklevel=4,
                )

    def _decay_learning_rate(self) -> None:
        for config in self.optim_configs.values():
            if "learning_rate" in config:
                config["learning_rate"] *= self.lr_decay
            elif self.lr_decay != 1:
                raise OptionError(
                    f"lr_decay={self.lr_decay} has nothing to act on: the update rule keeps no "
                    '"learning_rate" in its config. Give one in optim_config, or leave lr_decay at 1.0.'
                )

    def _measure(self) -> None:
        """Record the accuracies, save a checkpoint, and keep a copy of the model if it is the best so far."""
        train_acc = self.check_accuracy(self.X_train, self.y_train, num_samples=self.num_train_samples)
        val_acc = self.check_accuracy(self.X_val, self.y_val, num_samples=self.num_val_samples)
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
        self._save_checkpoint()
        if self.verbose:
            print(f"(Epoch {self.epoch} / {self.num_epochs}) train acc: {train_acc:f}; val_acc: {val_acc:f}")
        if val_acc > self.best_val_acc:
            self._keep_as_best()
            self.best_val_acc = val_acc  # last, so that an interrupt cannot leave an accuracy without its parameters

    def _call_on_epoch(self) -> None:
        """Let the caller look, once all is recorded, so that an exception there loses nothing."""
        if self.on_epoch is not None:
            with _global_random_state_kept():
                self.on_epoch(self)

    def _keep_as_best(self) -> None:
        state = getattr(self.model, "state", None)
        best_state = copy.deepcopy(state) if isinstance(state, dict) else None
        best_params = {name: w.copy() for name, w in self.model.params.items()}
        self.best_params, self.best_state = best_params, best_state

    def _restore_best(self) -> None:
        """Put copies of the best into the model: training on writes into the model's arrays, never into the best."""
        self.model.params = {name: w.copy() for name, w in self.best_params.items()}
        if self.best_state is not None:
            self.model.state = copy.deepcopy(self.best_state)  # type: ignore[attr-defined]

    def _save_checkpoint(self) -> None:
        """Pickle the model and the histories, if a checkpoint_name was given."""
        if self.checkpoint_name is None:
            return
        checkpoint = {
            "model": self.model,
            "update_rule": self.update_rule,
            "lr_decay": self.lr_decay,
            "optim_config": self.optim_config,
            "batch_size": self.batch_size,
            "num_train_samples": self.num_train_samples,
            "num_val_samples": self.num_val_samples,
            "epoch": self.epoch,
            "loss_history": self.loss_history,
            "train_acc_history": self.train_acc_history,
            "val_acc_history": self.val_acc_history,
        }
        filename = f"{self.checkpoint_name}_epoch_{self.epoch}.pkl"
        if self.verbose:
            print(f'Saving checkpoint to "{filename}"')
        _pickle_whole(checkpoint, filename)

    def _check_classes(self) -> None:
        """Refuse labels that the model has no score for."""
        with _global_random_state_kept():
            scores = self.model.loss(self.X_train[:1])
        if getattr(scores, "ndim", None) != 2:
            return
        num_classes = scores.shape[1]
        for name, y in (("y_train", self.y_train), ("y_val", self.y_val)):
            if y.max() >= num_classes:
                index = int(np.argmax(y >= num_classes))
                raise DataError(
                    f'data["{name}"][{index}] is {y[index]}, and the model gives scores for {num_classes} classes: '
                    f"labels go from 0 to {num_classes - 1}. Give the model more classes, or count the labels from 0."
                )

    def _non_finite(self, what: str, X: np.ndarray, y: np.ndarray) -> NonFiniteError:
        config = next(iter(self.optim_configs.values()))
        learning_rate = config.get("learning_rate", optim.default_learning_rate(self.update_rule))
        return NonFiniteError(
            f"{what} at iteration {len(self.loss_history) + 1}, in epoch {self.epoch + 1}, with learning rate "
            f"{learning_rate}. This step has changed no parameter. Lower the learning rate (try a tenth of it); "
            "if it is the first iteration, check the data, the scale of the initial parameters, and the model for "
            f"log(0), 0/0 and overflow.{self._origin(X, y)}"
        )

    def _origin(self, X: np.ndarray, y: np.ndarray) -> str:
        """Ask a model that can tell which op went wrong, and let it draw that op."""
        find = getattr(self.model, "first_nonfinite", None)
        if find is None:
            return ""
        with _global_random_state_kept():
            text = find(X, y, path=f"{self.checkpoint_name or 'solver'}_nonfinite.svg")
        return f"\n{text}" if text else ""


# The options.


def _refuse_unknown(unknown: Mapping[str, Any]) -> None:
    if unknown:
        names = ", ".join(f'"{name}"' for name in unknown)
        hints = "".join(did_you_mean(name, _OPTIONS) for name in unknown)
        raise OptionError(f"Unrecognized arguments {names}{hints or '.'} The Solver takes: {', '.join(_OPTIONS)}.")


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least:
        return int(value)
    raise OptionError(f"{name} must be a whole number, {least} or more; got {value!r}.")


def _whole_or_none(name: str, value: Any) -> int | None:
    return None if value is None else _whole(name, value, least=1)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < math.inf:
        return value  # type: ignore[return-value]
    raise OptionError(f"{name} must be a finite number above 0; got {value!r}.")


def _checked_config(rule: optim.UpdateRule, optim_config: Any) -> dict[str, Any]:
    if optim_config is None:
        return {}
    if not isinstance(optim_config, Mapping):
        raise OptionError(
            f'optim_config must be a dict such as {{"learning_rate": 1e-3}}; got {type(optim_config).__name__}.'
        )
    optim.check_config(rule, optim_config)
    return dict(optim_config)


def _checked_checkpoint_name(name: Any) -> str | os.PathLike[str] | None:
    if name is None or isinstance(name, (str, os.PathLike)):
        return name
    raise OptionError(f'checkpoint_name must be the beginning of a file name, such as "net"; got {name!r}.')


def _checked_seed(seed: Any) -> int | np.random.Generator | None:
    if seed is None:
        return None
    if isinstance(seed, np.random.Generator):
        return copy.deepcopy(seed)
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool) and seed >= 0:
        return int(seed)
    raise OptionError(f"seed must be a whole number, 0 or more, or a numpy.random.Generator; got {seed!r}.")


def _checked_on_epoch(function: Any) -> Callable[[Solver], object] | None:
    if function is None or callable(function):
        return function  # type: ignore[no-any-return]
    raise OptionError(
        f"on_epoch must be a function of the Solver, such as lambda solver: print(solver.epoch); got {function!r}."
    )


# The model.


def _check_model(model: Any) -> None:
    if isinstance(model, type):
        raise ParameterError(f"the class {model.__name__} itself came as the model; make one: {model.__name__}(...)")
    if not callable(getattr(model, "loss", None)):
        raise ParameterError(
            f"{type(model).__name__} has no method loss: the Solver calls model.loss(X) for scores and "
            "model.loss(X, y) for (loss, grads)."
        )
    params = getattr(model, "params", None)
    if not isinstance(params, Mapping) or not params:
        came = "an empty dict" if isinstance(params, Mapping) else type(params).__name__
        raise ParameterError(
            f"{type(model).__name__}.params must be a dict of parameter names and float arrays; got {came}."
            + (" Build it first: model.build(X_train[:1])." if hasattr(model, "build") else "")
        )
    for name, w in params.items():
        if not isinstance(w, (np.ndarray, np.generic)) or w.dtype.kind not in "fc":
            came = f"dtype {w.dtype}" if hasattr(w, "dtype") else type(w).__name__
            raise DTypeError(
                f'model.params["{name}"] must be an array of floating-point numbers; got {came}. '
                "Use np.asarray(value, dtype=np.float64)."
            )


def _loss_and_grads(result: Any) -> tuple[float, Mapping[str, np.ndarray]]:
    if not isinstance(result, (tuple, list)) or len(result) != 2 or not isinstance(result[1], Mapping):
        raise ParameterError(
            "model.loss(X, y) must return (loss, grads), a number and a dict with the keys of model.params; "
            f"got {_describe(result)}."
        )
    loss, grads = result
    if getattr(loss, "shape", ()) != ():
        raise ShapeError(f"The loss must be one number; got {_describe(loss)}. Was the mean over the batch left out?")
    return loss, grads


def _describe(value: Any) -> str:
    """The type of a value, and the shape of an array or the types inside a tuple."""
    kind = type(value).__name__
    if hasattr(value, "shape"):
        return f"{kind} of shape {value.shape}"
    if isinstance(value, tuple):
        return f"({', '.join(type(item).__name__ for item in value)})"
    return kind


def _check_gradients(params: Mapping[str, np.ndarray], grads: Mapping[str, np.ndarray]) -> None:
    """Check that there is one gradient per parameter, of its shape."""
    if grads.keys() != params.keys():
        raise _wrong_names(params, grads)
    for name, w in params.items():
        if getattr(grads[name], "shape", ()) != w.shape:
            raise ShapeError(
                f'The gradient of "{name}" is {_describe(grads[name])}, and the parameter has shape {w.shape}; '
                "the two must be equal. Was a sum over the batch left out, or a transpose?"
            )


def _wrong_names(params: Mapping[str, Any], grads: Mapping[str, Any]) -> ParameterError:
    extra = [name for name in grads if name not in params]
    if extra:
        names = ", ".join(f'"{name}"' for name in extra)
        hints = "".join(did_you_mean(name, params) for name in extra)
        return ParameterError(
            f"model.loss gave a gradient for {names}, which model.params does not have{hints or '.'} "
            f"The parameters are: {', '.join(params)}."
        )
    names = ", ".join(f'"{name}"' for name in params if name not in grads)
    came = ", ".join(str(name) for name in grads) or "none"
    return ParameterError(
        f"model.loss gave no gradient for {names}; gradients came for: {came}. A parameter that the loss does not "
        "reach has a gradient of zeros."
    )


def _checked_update(name: str, w: np.ndarray, stepped: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Check what an update rule returned; one that forgets the config is the usual slip."""
    if not isinstance(stepped, tuple) or len(stepped) != 2 or not isinstance(stepped[1], dict):
        raise OptionError(f"The update rule must return (next_w, config); it gave {_describe(stepped)}.")
    if getattr(stepped[0], "shape", ()) != w.shape:
        raise ShapeError(f'The update rule turned "{name}" of shape {w.shape} into {_describe(stepped[0])}.')
    return stepped


# The data.

_CHUNK = 1 << 16  # elements looked at together when searching for NaN: few enough to stay in the processor's cache


def _check_data(data: Any) -> None:
    """Refuse data that cannot be trained on, naming the array and the index."""
    if not hasattr(data, "keys") or not hasattr(data, "__getitem__"):
        raise DataError(
            f"data must be a dict with the arrays X_train, y_train, X_val and y_val; got {type(data).__name__}."
        )
    for samples, labels in _SPLITS:
        X, y = _array(data, samples), _array(data, labels)
        _check_lengths(f'data["{samples}"]', X, f'data["{labels}"]', y)
        _check_labels(labels, y)
        _check_samples(samples, X)
    train, val = data["X_train"].shape[1:], data["X_val"].shape[1:]
    if train != val:
        raise ShapeError(
            f'a sample of data["X_train"] has shape {train}, and one of data["X_val"] {val}; a model takes one shape.'
        )


def _array(data: Mapping[str, Any], name: str) -> np.ndarray:
    if name not in data.keys():
        others = [key for key in data.keys() if key not in {*_SPLITS[0], *_SPLITS[1]}]
        hints = [f' It has "{key}"{hint}' for key in others if (hint := did_you_mean(key, [name]))]
        raise DataError(f'data has no "{name}"; the Solver needs X_train, y_train, X_val and y_val.{"".join(hints)}')
    value = data[name]
    if not isinstance(value, np.ndarray):
        raise DataError(f'data["{name}"] must be a NumPy array; got {type(value).__name__}. Use np.asarray(...).')
    return value


def _check_lengths(samples: str, X: np.ndarray, labels: str, y: np.ndarray) -> None:
    if y.ndim != 1:
        raise ShapeError(
            f"{labels} must be 1-D, one label for each sample; got shape {y.shape}. "
            "Use y.argmax(axis=1) on one-hot labels, y.ravel() on a single column."
        )
    if X.ndim == 0 or len(X) != len(y):
        raise ShapeError(f"{samples} has shape {X.shape} and {labels} has shape {y.shape}; first sizes must be equal.")
    if len(y) == 0:
        raise DataError(f"{samples} and {labels} hold no samples; at least one is needed.")


def _check_labels(name: str, y: np.ndarray) -> None:
    if y.dtype.kind not in "iu":
        raise DTypeError(
            f'data["{name}"] has dtype {y.dtype}; labels are integers, from 0 to the number of classes less 1. '
            "If they are whole numbers, use y.astype(int)."
        )
    if y.min() < 0:
        index = int(np.argmax(y < 0))
        raise DataError(f'data["{name}"][{index}] is {y[index]}; labels are counted from 0.')


def _check_samples(name: str, X: np.ndarray) -> None:
    if X.dtype.kind not in "biufc":
        raise DTypeError(f'data["{name}"] has dtype {X.dtype}; expected numbers.')
    if X.dtype.kind not in "fc" or X.size == 0:
        return
    rows = max(1, _CHUNK * len(X) // X.size)
    for start in range(0, len(X), rows):
        finite = np.isfinite(X[start : start + rows])
        if not finite.all():
            offset = np.argwhere(~finite)[0].tolist()
            index = (start + offset[0], *offset[1:])
            where = ", ".join(str(i) for i in index)
            raise DataError(
                f'data["{name}"][{where}] is {X[index]}; samples must be finite. '
                f"Drop sample {index[0]}, or replace its values with np.nan_to_num."
            )


# Around a call.


@contextmanager
def _global_random_state_kept() -> Iterator[None]:
    """Leave NumPy's global random state as it was, so that looking at the model does not shift later draws."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)


def _pickle_whole(value: Any, filename: str) -> None:
    """Pickle into a file that is either the old one or the new one, never a piece: write beside it, then rename."""
    beside = f"{filename}.{os.getpid()}.tmp"
    try:
        with open(beside, "wb") as file:
            pickle.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, filename)
    except BaseException:
        with suppress(OSError):
            os.remove(beside)
        raise
