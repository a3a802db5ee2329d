"""The four update rules over flat arrays: the numbers of `optim`, at the speed of memory.

`optim` steps one parameter at a time, and each operator makes an array. For a small network that is a hundred calls
of NumPy for a few thousand numbers; for a large one it is pass after pass over memory. Here small parameters lie end to
end in one array, with their gradients and with what the rule remembers of them, large ones each in an array of its own,
and a kernel (`kernels.update`) steps an array in one call.

None of this can be seen from outside. A parameter and what is remembered of it are arrays as before, under the same
keys in the same dictionaries, views now of the flat ones, and every number has the bits that `optim` gives. Three
things take care:

- `optim` makes new arrays at every step, so one that was taken out of ``params`` or of a config keeps its numbers. A
  flat array is therefore written to only while nothing outside refers to it, which Python's count of references tells
  (by that sign NumPy reuses temporary arrays). The next parameters go into the array of the step before last, unless
  somebody still holds a part of it.
- Whoever puts another array, number or dictionary in place is heard: each step looks whether all is the very object
  that the last one left there, and gathers anew if not.
- What does not fit (no axes, another memory layout or precision, a hyperparameter that would change the precision) is
  stepped by `optim` itself.

``sgd`` writes into the parameter in place and remembers nothing, so nothing is to be laid end to end there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from operator import is_, itemgetter
from sys import getrefcount
from typing import Any

import numpy as np

from minigrad import optim
from minigrad.kernels import update

__all__ = ["FlatUpdate", "all_finite", "name_of"]

RULES = {"sgd": optim.sgd, "sgd_momentum": optim.sgd_momentum, "rmsprop": optim.rmsprop, "adam": optim.adam}
KERNELS = {"sgd_momentum": update.sgd_momentum, "rmsprop": update.rmsprop, "adam": update.adam}
MEMORIES = {"sgd_momentum": ("velocity",), "rmsprop": ("cache",), "adam": ("m", "v")}

LARGE = 65536
"""Elements of a flat array at most, save for one parameter alone. Whoever keeps a small one keeps no more than that."""

NUMBERS = {np.dtype(np.float32): (float, int, np.float32), np.dtype(np.float64): (float, int, np.float32, np.float64)}
"""The precisions served, and the types of hyperparameters that leave an array in it."""

Shape = tuple[int, ...]


def name_of(rule: Callable[..., Any]) -> str | None:
    """Return the name of one of the four rules of `optim`; None for any other function."""
    return next((name for name, own in RULES.items() if rule is own), None)


def all_finite(arrays: Iterable[Any]) -> bool:
    """Whether no element is NaN or infinite.

    One product of all the numbers with themselves tells: it is finite only if each of them is. Where it overflows by
    itself, each is looked at.
    """
    small, whole = [], []
    for a in arrays:
        if getattr(a, "size", 1) < LARGE:
            small.append(a)
        else:
            whole.append(a.ravel())
    if small:
        whole.append(np.concatenate(small, axis=None))
    with np.errstate(over="ignore", invalid="ignore"):
        return all(abs(np.dot(a, a)) < math.inf or np.isfinite(a).all() for a in whole)


class FlatUpdate:
    """Steps all parameters of a model by one of the four rules.

    Parameters
    ----------
    rule : {"sgd", "sgd_momentum", "rmsprop", "adam"}
    params : dict of str to ndarray
        The parameters.
    configs : dict of str to dict
        For each parameter, what its rule is given; a missing one is put there.

    Examples
    --------
    >>> import numpy as np
    >>> params = {"W": np.zeros((2, 2)), "b": np.zeros(2)}
    >>> configs = {"W": {"learning_rate": 0.1}, "b": {"learning_rate": 0.2}}
    >>> FlatUpdate("sgd_momentum", params, configs).step(params, {"W": np.ones((2, 2)), "b": np.ones(2)})
    >>> params["b"], configs["b"]["velocity"]
    (array([-0.2, -0.2]), array([-0.2, -0.2]))
    """

    def __init__(self, rule: str, params: Mapping[str, np.ndarray], configs: dict[str, dict[str, Any]]) -> None:
        self.rule = rule
        self.configs = configs
        for name in params:
            configs.setdefault(name, {})
        self._forget()

    def _forget(self) -> None:
        self._groups: list[_Group] = []
        self._others: list[str] = []  # parameters that `optim` steps
        self._count = 0  # of parameters in all

    def __getstate__(self) -> dict[str, Any]:
        """Without the flat arrays: their numbers are in the parameters and the configs."""
        return {"rule": self.rule, "configs": self.configs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def step(self, params: dict[str, np.ndarray], grads: Mapping[str, np.ndarray]) -> None:
        """Step every parameter once.

        The parameters change together, at the end. If something is raised before, what the rule remembers may have
        taken in this step (and under ``sgd`` so may parameters).

        Parameters
        ----------
        params : dict of str to ndarray
            The parameters; it is given the new ones.
        grads : mapping of str to ndarray
            The gradient of each.
        """
        if self.rule == "sgd":
            self._step_in_place(params, grads)
            return
        if not self._is_as_left(params):
            self._gather(params)
        gradients = []
        for group in self._groups:
            gradient = group.gradient(grads)
            if gradient is None:  # of another precision or type
                params.update(self._by_rule(params, params, grads))
                return
            gradients.append(gradient)
        next_params = self._by_rule(self._others, params, grads) if self._others else {}
        for group, gradient in zip(self._groups, gradients):
            next_params.update(group.step(gradient, self.configs))
        params.update(next_params)

    def _step_in_place(self, params: dict[str, np.ndarray], grads: Mapping[str, np.ndarray]) -> None:
        rest = []
        for name, w in params.items():
            dw = grads[name]
            if w.size < LARGE or self._settings(w, name) is None or not _is_like(dw, w) or np.may_share_memory(w, dw):
                rest.append(name)
            else:
                rate = self.configs[name].setdefault("learning_rate", optim._DEFAULTS["sgd"]["learning_rate"])
                update.sgd(dw.reshape(-1), w.reshape(-1), rate)
        params.update(self._by_rule(rest, params, grads))

    def _by_rule(self, names: Iterable[str], params: Mapping[str, Any], grads: Mapping[str, Any]) -> dict[str, Any]:
        """Step parameters as `optim` does, and return the new ones."""
        rule, configs, next_params = RULES[self.rule], self.configs, {}
        for name in names:
            next_params[name], configs[name] = rule(params[name], grads[name], configs[name])
        return next_params

    def _is_as_left(self, params: Mapping[str, np.ndarray]) -> bool:
        """Whether parameters and configs hold the very objects that the last step left there."""
        if len(params) != self._count:
            return False
        try:
            for group in self._groups:
                if not group.is_as_left(params, self.configs):
                    return False
            for name in self._others:
                if self._settings(params[name], name) is not None:
                    return False
            return True
        except KeyError:
            return False

    def _gather(self, params: Mapping[str, np.ndarray]) -> None:
        """Lay parameters of one precision and equal settings end to end."""
        bins: dict[Any, list[list[str]]] = {}
        self._forget()
        self._count = len(params)
        shared = len({id(self.configs[name]) for name in params}) < len(params)  # in turn, then: one waits for another
        for name, w in params.items():
            settings = None if shared else self._settings(w, name)
            if settings is None:
                self._others.append(name)
                continue
            lists = bins.setdefault((w.dtype, settings, *map(type, settings)), [[]])
            if sum(params[other].size for other in lists[-1]) + w.size > LARGE:
                lists.append([])
            lists[-1].append(name)
        for (_, settings, *_), lists in bins.items():
            for names in filter(None, lists):
                self._groups.append(_Group(self.rule, {name: params[name] for name in names}, self.configs, settings))

    def _settings(self, w: np.ndarray, name: str) -> tuple[Any, ...] | None:
        """Return the hyperparameters of a parameter (and Adam's t), or None if no kernel can serve it."""
        config = self.configs[name]
        if not _is_plain(w) or w.dtype not in NUMBERS or not w.ndim or not w.size:
            return None
        settings = tuple(config.get(key, default) for key, default in optim._DEFAULTS[self.rule].items())
        if any(type(value) not in NUMBERS[w.dtype] for value in settings):
            return None
        if any(key in config and not _is_like(config[key], w) for key in MEMORIES.get(self.rule, ())):
            return None
        if self.rule != "adam":
            return settings
        t = config.get("t", 0)
        return (*settings, t) if type(t) is int else None


class _Group:
    """Parameters of one precision and equal settings, end to end."""

    def __init__(self, rule: str, params: Mapping[str, np.ndarray], configs: Mapping[str, Any], settings: Any) -> None:
        self.kernel = KERNELS[rule]
        self.names = tuple(params)
        self.shapes = [w.shape for w in params.values()]
        self.dtype = next(iter(params.values())).dtype
        self.t = settings[-1] if rule == "adam" else None
        self.settings = settings if self.t is None else settings[:-1]
        self.keys = (*optim._DEFAULTS[rule], *MEMORIES[rule])
        self.of_each = _picker(self.names)
        self.of_config = _picker(self.keys)
        self.kinds = [(np.ndarray, self.dtype, shape) for shape in self.shapes]
        self.w, self.spare = self._flat(), self._flat()
        self.w.take(params.values())
        self.memories = [self._flat() for _ in MEMORIES[rule]]
        for key, memory in zip(MEMORIES[rule], self.memories):
            memory.take(configs[name].get(key, 0) for name in params)
        self.dw = self._flat() if len(params) > 1 else None
        self.news = True  # whether the configs are yet to be given what is expected of them
        self._expect(*self.memories)

    def is_as_left(self, params: Mapping[str, Any], configs: Mapping[str, Any]) -> bool:
        """Whether parameters and configs hold the very objects that the last step left there."""
        of_these = self.of_each(configs)
        found = chain(self.of_each(params), *map(self.of_config, of_these))
        return all(map(is_, found, chain(self.w.parts, self.left))) and (
            self.t is None or all(map(is_, map(itemgetter("t"), of_these), repeat(self.t)))
        )

    def gradient(self, grads: Mapping[str, Any]) -> Any:
        """Return the gradients end to end; None if one of them is no array of the parameter's shape and precision."""
        arrays = self.of_each(grads)
        try:
            if [(type(dw), dw.dtype, dw.shape) for dw in arrays] != self.kinds:
                return None
        except AttributeError:  # a Python number, for one
            return None
        if self.dw is None:
            return arrays[0].reshape(-1)
        self.dw.take(arrays)
        return self.dw.whole

    def step(self, dw: Any, configs: Mapping[str, dict[str, Any]]) -> Iterable[tuple[str, Any]]:
        """Run the kernel, bring the configs up to date, and return names and new parameters."""
        if self.spare.others():
            self.spare = self._flat()
        for i, memory in enumerate(self.memories):
            if memory.others() > len(self.names):  # more than the configs
                self.memories[i] = self._flat()
                self.memories[i].take(memory.parts)
                self._expect(self.memories[i])
        count = () if self.t is None else (self.t + 1,)
        self.kernel(
            self.w.whole, dw, *[memory.whole for memory in self.memories], self.spare.whole, *self.settings, *count
        )
        if self.news:
            left = iter(self.left)
            for name in self.names:
                configs[name].update(zip(self.keys, left))
            self.news = False
        if count:
            (self.t,) = count
            for name in self.names:
                configs[name]["t"] = self.t
        self.w, self.spare = self.spare, self.w
        return zip(self.names, self.w.parts)

    def _flat(self) -> _Flat:
        return _Flat(self.dtype, self.shapes)

    def _expect(self, *fresh: _Flat) -> None:
        """Note what the configs are to hold: the settings, and the parts of the memories, some of them fresh."""
        memories = zip(*(memory.parts for memory in self.memories))
        self.left = [value for parts in memories for value in (*self.settings, *parts)]
        self.news = True
        for memory in fresh:
            memory.settle()


class _Flat:
    """An array of one axis, and its parts, in the shapes of parameters."""

    def __init__(self, dtype: np.dtype[Any], shapes: Sequence[Shape]) -> None:
        self.whole = np.empty(sum(map(math.prod, shapes)), dtype)
        self.parts = tuple(_parts(self.whole, shapes))
        self.settle()

    def settle(self) -> None:
        """Call all references that there are now our own."""
        self.own = 0
        self.own = self.others()

    def others(self) -> int:
        """How many references there are that are not our own. (A view of a part, too, refers to the whole.)"""
        return getrefcount(self.whole) + sum(map(getrefcount, self.parts)) - self.own

    def take(self, arrays: Iterable[Any]) -> None:
        """Copy numbers into the parts."""
        for part, array in zip(self.parts, arrays):
            part[...] = array


def _picker(keys: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Return the function that takes the values under these keys out of a dictionary, as a tuple."""
    return itemgetter(*keys) if len(keys) > 1 else lambda values: (values[keys[0]],)


def _parts(whole: Any, shapes: Sequence[Shape]) -> Iterator[Any]:
    start = 0
    for shape in shapes:
        stop = start + math.prod(shape)
        yield whole[start:stop].reshape(shape)
        start = stop


def _is_plain(array: Any) -> bool:
    """Whether an array is NumPy's own, its elements one after another in memory."""
    return type(array) is np.ndarray and array.flags.c_contiguous


def _is_like(array: Any, w: np.ndarray) -> bool:
    return _is_plain(array) and array.dtype == w.dtype and array.shape == w.shape
