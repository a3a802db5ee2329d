"""Update rules: how one parameter moves, given its gradient.

Every rule is a plain function ``rule(w, dw, config=None) -> (next_w, config)``. ``w`` and ``dw`` are float arrays of
one shape: the parameter, and the gradient of the loss with respect to it. ``config`` is a dictionary with the
hyperparameters; a rule fills in the ones that are missing, and keeps there what it has to remember between steps (a
velocity, moving averages, a step count). Hand the returned ``config`` to the next call for the same parameter.

================  ==========================================================================================
rule              hyperparameters and their defaults, then what it remembers
================  ==========================================================================================
``sgd``           ``learning_rate`` 1e-2
``sgd_momentum``  ``learning_rate`` 1e-2, ``momentum`` 0.9; ``velocity``
``rmsprop``       ``learning_rate`` 1e-2, ``decay_rate`` 0.99, ``epsilon`` 1e-8; ``cache``
``adam``          ``learning_rate`` 1e-3, ``beta1`` 0.9, ``beta2`` 0.999, ``epsilon`` 1e-8; ``m``, ``v``, ``t``
================  ==========================================================================================

The rules, their keys, their defaults and the order of their arithmetic are those of the Stanford course CS231n
(assignment 2, ``optim.py``), so a run here repeats a run there to the last bit. The order matters: floating-point
``a * b / c`` and ``a * (b / c)`` round differently.

A rule of your own is a function of the same form. Give it to the Solver as it is, or put it into `RULES` under a name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from minigrad.core.errors import DTypeError, OptionError, ShapeError, did_you_mean

__all__ = [
    "RULES",
    "UpdateRule",
    "adam",
    "check_config",
    "default_learning_rate",
    "resolve",
    "rmsprop",
    "sgd",
    "sgd_momentum",
]

Config = dict[str, Any]
UpdateRule = Callable[[np.ndarray, np.ndarray, Config], tuple[np.ndarray, Config]]

_DEFAULTS: dict[str, dict[str, float]] = {
    "sgd": {"learning_rate": 1e-2},
    "sgd_momentum": {"learning_rate": 1e-2, "momentum": 0.9},
    "rmsprop": {"learning_rate": 1e-2, "decay_rate": 0.99, "epsilon": 1e-8},
    "adam": {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
}
_REMEMBERED: dict[str, tuple[str, ...]] = {
    "sgd": (),
    "sgd_momentum": ("velocity",),
    "rmsprop": ("cache",),
    "adam": ("m", "v", "t"),
}
# For each hyperparameter: the largest value it takes, and whether that value itself is allowed. A beta of exactly 1
# would divide by zero in Adam's bias correction. The smallest value is 0 for all.
_LIMITS: dict[str, tuple[float, bool]] = {
    "learning_rate": (math.inf, False),
    "momentum": (1.0, True),
    "decay_rate": (1.0, True),
    "epsilon": (math.inf, False),
    "beta1": (1.0, False),
    "beta2": (1.0, False),
}


def sgd(w: np.ndarray, dw: np.ndarray, config: Config | None = None) -> tuple[np.ndarray, Config]:
    """Step against the gradient: stochastic gradient descent without memory.

    ``w <- w - learning_rate * dw``, written into ``w`` itself.

    Parameters
    ----------
    w : ndarray of float, any shape
        The parameter. It is changed in place.
    dw : ndarray, the shape of `w`
        The gradient of the loss with respect to `w`.
    config : dict, optional
        ``learning_rate`` (default 1e-2).

    Returns
    -------
    next_w : ndarray
        `w`, after the step.
    config : dict
        The dictionary for the next call.

    Raises
    ------
    ShapeError
        If the shapes of `w` and `dw` differ.
    DTypeError
        If `w` does not hold floating-point numbers.

    References
    ----------
    CS231n, "Neural Networks Part 3", https://cs231n.github.io/neural-networks-3/#sgd

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 2.0])
    >>> next_w, config = sgd(w, np.array([10.0, 20.0]), {"learning_rate": 0.01})
    >>> next_w
    array([0.9, 1.8])
    >>> next_w is w
    True
    """
    config = _ready("sgd", w, dw, config)
    w -= config["learning_rate"] * dw
    return w, config


def sgd_momentum(w: np.ndarray, dw: np.ndarray, config: Config | None = None) -> tuple[np.ndarray, Config]:
    """Step with a velocity that builds up along directions where gradients agree.

    ``v <- momentum * v - learning_rate * dw``, then ``w <- w + v``.

    Parameters
    ----------
    w : ndarray of float, any shape
        The parameter. It is left as it is.
    dw : ndarray, the shape of `w`
        The gradient of the loss with respect to `w`.
    config : dict, optional
        ``learning_rate`` (default 1e-2); ``momentum`` (default 0.9), between 0 and 1, where 0 gives plain `sgd`;
        ``velocity``, the shape of `w` (default: zeros), replaced by a new array at every step.

    Returns
    -------
    next_w : ndarray
        A new array.
    config : dict
        The dictionary for the next call.

    Raises
    ------
    ShapeError
        If the shapes of `w`, `dw` and ``config["velocity"]`` differ.
    DTypeError
        If `w` does not hold floating-point numbers.

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964;
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> w, config = sgd_momentum(np.zeros(2), np.array([1.0, -1.0]), {"learning_rate": 0.5})
    >>> w, config = sgd_momentum(w, np.array([1.0, -1.0]), config)
    >>> w
    array([-1.45,  1.45])
    >>> config["velocity"]
    array([-0.95,  0.95])
    """
    config = _ready("sgd_momentum", w, dw, config)
    velocity = config["momentum"] * _remembered("sgd_momentum", "velocity", w, config) - config["learning_rate"] * dw
    config["velocity"] = velocity
    return w + velocity, config


def rmsprop(w: np.ndarray, dw: np.ndarray, config: Config | None = None) -> tuple[np.ndarray, Config]:
    """Step with a rate of its own for every element: divided by the running size of its gradient.

    ``cache <- decay_rate * cache + (1 - decay_rate) * dw**2``, then
    ``w <- w - learning_rate * dw / (sqrt(cache) + epsilon)``.

    Parameters
    ----------
    w : ndarray of float, any shape
        The parameter. It is left as it is.
    dw : ndarray, the shape of `w`
        The gradient of the loss with respect to `w`.
    config : dict, optional
        ``learning_rate`` (default 1e-2); ``decay_rate`` (default 0.99), between 0 and 1; ``epsilon`` (default 1e-8),
        which keeps the division away from zero; ``cache``, the shape of `w` (default: zeros), the moving average of
        the squared gradient, replaced by a new array at every step.

    Returns
    -------
    next_w : ndarray
        A new array.
    config : dict
        The dictionary for the next call.

    Raises
    ------
    ShapeError
        If the shapes of `w`, `dw` and ``config["cache"]`` differ.
    DTypeError
        If `w` does not hold floating-point numbers.

    References
    ----------
    Tieleman and Hinton, "Lecture 6.5: RMSProp", COURSERA: Neural Networks for Machine Learning, 2012.

    Examples
    --------
    The first step has nearly the same length for a large gradient as for a small one.

    >>> import numpy as np
    >>> w, config = rmsprop(np.zeros(2), np.array([100.0, 0.01]), {"learning_rate": 0.1})
    >>> np.round(w, 3)
    array([-1., -1.])
    """
    config = _ready("rmsprop", w, dw, config)
    decay_rate = config["decay_rate"]
    cache = decay_rate * _remembered("rmsprop", "cache", w, config) + (1 - decay_rate) * dw**2
    config["cache"] = cache
    return _subtract(w, config["learning_rate"] * dw / (np.sqrt(cache) + config["epsilon"])), config


def adam(w: np.ndarray, dw: np.ndarray, config: Config | None = None) -> tuple[np.ndarray, Config]:
    """Step along a moving average of the gradient, divided by the running size of the gradient.

    With ``t`` counted from 1::

        m <- beta1 * m + (1 - beta1) * dw           mt = m / (1 - beta1**t)
        v <- beta2 * v + (1 - beta2) * dw**2        vt = v / (1 - beta2**t)
        w <- w - learning_rate * mt / (sqrt(vt) + epsilon)

    The averages start at zero and would be too small at first; ``mt`` and ``vt`` correct for that.

    Parameters
    ----------
    w : ndarray of float, any shape
        The parameter. It is left as it is.
    dw : ndarray, the shape of `w`
        The gradient of the loss with respect to `w`.
    config : dict, optional
        ``learning_rate`` (default 1e-3); ``beta1`` (default 0.9) and ``beta2`` (default 0.999), from 0 up to but not
        including 1; ``epsilon`` (default 1e-8); ``m`` and ``v``, the shape of `w` (default: zeros), the moving averages
        of the gradient and of its square, replaced by new arrays at every step; ``t`` (default 0), the steps done.

    Returns
    -------
    next_w : ndarray
        A new array.
    config : dict
        The dictionary for the next call.

    Raises
    ------
    ShapeError
        If the shapes of `w`, `dw`, ``config["m"]`` and ``config["v"]`` differ.
    DTypeError
        If `w` does not hold floating-point numbers.

    References
    ----------
    Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, https://arxiv.org/abs/1412.6980

    Examples
    --------
    >>> import numpy as np
    >>> w, config = adam(np.zeros(2), np.array([100.0, 0.01]))
    >>> np.round(w, 6)
    array([-0.001, -0.001])
    >>> config["t"]
    1
    """
    config = _ready("adam", w, dw, config)
    beta1, beta2 = config["beta1"], config["beta2"]
    m = beta1 * _remembered("adam", "m", w, config) + (1 - beta1) * dw
    v = beta2 * _remembered("adam", "v", w, config) + (1 - beta2) * dw**2
    t = config.get("t", 0) + 1
    config["m"], config["v"], config["t"] = m, v, t
    vt = v / (1 - beta2**t)
    # The root may overwrite vt, which was made a line ago. (A 0-d parameter gives a NumPy scalar, which has no room.)
    root = np.sqrt(vt, out=vt if isinstance(vt, np.ndarray) else None)
    return _subtract(w, config["learning_rate"] * (m / (1 - beta1**t)) / (root + config["epsilon"])), config


RULES: dict[str, UpdateRule] = {"sgd": sgd, "sgd_momentum": sgd_momentum, "rmsprop": rmsprop, "adam": adam}
"""The update rules that have a name. Add your own to use it by name: ``RULES["lion"] = lion``."""

_OWN_RULES = dict(RULES)  # what this module knows the hyperparameters of, whatever is added to RULES later


def resolve(rule: str | UpdateRule) -> UpdateRule:
    """Return the update rule of this name; a function is returned as it is.

    Parameters
    ----------
    rule : str or callable
        A name in `RULES`, or a function ``rule(w, dw, config) -> (next_w, config)``.

    Raises
    ------
    OptionError
        If there is no rule of this name. (An OptionError is a ValueError.)

    Examples
    --------
    >>> resolve("adam") is adam
    True
    >>> resolve("adma")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    minigrad.core.errors.OptionError: Invalid update_rule "adma"; did you mean "adam"? The rules are: sgd, ...
    """
    if callable(rule):
        return rule
    if isinstance(rule, str) and rule in RULES:
        return RULES[rule]
    hint = did_you_mean(str(rule), RULES) or "."
    raise OptionError(
        f'Invalid update_rule "{rule}"{hint} The rules are: {", ".join(RULES)}; '
        "a function rule(w, dw, config) -> (next_w, config) is taken too."
    )


def check_config(rule: UpdateRule, config: Mapping[str, Any]) -> None:
    """Check hyperparameters before training: their names, and the range of their values.

    Only the four rules of this module are checked; what another function reads from its configuration is its own
    affair.

    Parameters
    ----------
    rule : callable
        An update rule.
    config : mapping
        The configuration that it would be given at the first step.

    Raises
    ------
    OptionError
        If no rule knows a hyperparameter of such a name, or a value is out of its range.

    Examples
    --------
    >>> check_config(adam, {"learning_rate": 1e-3, "beta1": 0.8})
    >>> check_config(adam, {"learnig_rate": 1e-3})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    minigrad.core.errors.OptionError: optim_config: adam knows no "learnig_rate"; did you mean "learning_rate"? ...
    """
    name = _name_of(rule)
    if name is None:
        return
    known = (*_DEFAULTS[name], *_REMEMBERED[name])
    # A key of another rule passes, as it always did: one dictionary may serve for a comparison of all the rules.
    anywhere = {key for keys in (*_DEFAULTS.values(), *_REMEMBERED.values()) for key in keys}
    for key in config:
        if key not in anywhere:
            hint = did_you_mean(str(key), known) or "."
            raise OptionError(f'optim_config: {name} knows no "{key}"{hint} Its keys are: {", ".join(known)}.')
    for key in _DEFAULTS[name]:
        if key in config:
            _check_range(key, config[key])


def default_learning_rate(rule: UpdateRule) -> float | None:
    """Return the learning rate that a rule uses when its configuration has none; None for a rule of your own.

    Examples
    --------
    >>> default_learning_rate(adam)
    0.001
    """
    name = _name_of(rule)
    return None if name is None else _DEFAULTS[name]["learning_rate"]


def _name_of(rule: UpdateRule) -> str | None:
    """The name of one of this module's four rules; None for any other function."""
    return next((name for name, own in _OWN_RULES.items() if rule is own), None)


def _check_range(key: str, value: Any) -> None:
    top, reaches_top = _LIMITS[key]
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if 0 <= number < top or (reaches_top and number == top):
            return
    if top == math.inf:
        limits = "a finite number, 0 or more"
    else:
        limits = f"a number from 0 to {'' if reaches_top else 'below '}1"
    raise OptionError(f'optim_config: "{key}" must be {limits}; got {value!r}.')


def _ready(rule: str, w: np.ndarray, dw: np.ndarray, config: Config | None) -> Config:
    """Check the arrays, and return the configuration with the missing hyperparameters filled in."""
    if _shape(w) != _shape(dw):
        raise ShapeError(
            f"{rule}: w has shape {_shape(w)} and dw has shape {_shape(dw)}; the gradient of a parameter has the "
            "shape of the parameter. Was a sum over the batch left out, or a transpose?"
        )
    dtype = w.dtype if hasattr(w, "dtype") else np.asarray(w).dtype
    if dtype.kind not in "fc":
        raise DTypeError(
            f"{rule}: w has dtype {dtype}; expected a floating-point dtype, because the steps are fractions. "
            "Use w.astype(np.float64) or start from float zeros."
        )
    if config is None:
        config = {}
    for key, value in _DEFAULTS[rule].items():
        config.setdefault(key, value)
    return config


def _remembered(rule: str, key: str, w: np.ndarray, config: Config) -> Any:
    """What the rule remembers under this key: zeros before the first step."""
    if key not in config:
        return np.zeros_like(w)
    value = config[key]
    if _shape(value) not in (_shape(w), ()):
        raise ShapeError(
            f'{rule}: config["{key}"] has shape {_shape(value)} and w has shape {_shape(w)}; '
            "each parameter needs a config of its own."
        )
    return value


def _shape(value: Any) -> tuple[int, ...]:
    """``np.shape``, without its cost where the value is an array."""
    return value.shape if hasattr(value, "shape") else np.shape(value)


def _subtract(w: np.ndarray, step: np.ndarray) -> Any:
    """``w - step`` for a step that nobody else holds: written over it where that changes neither dtype nor layout.

    The layout counts because a product of matrices may round differently for another order of the same numbers.
    """
    if isinstance(step, np.ndarray) and step.dtype == w.dtype and step.strides == w.strides:
        return np.subtract(w, step, out=step)
    return w - step
