"""Primitive: what an op is.

An op is a NumPy function and, beside it, one rule per argument. A rule names what it reads, the way a pytest test names
its fixtures: the cotangent ``g``, the op's arguments, its outputs, its static parameters, or the shape of an argument
(``x_shape``). That is how the tape knows what to keep.

>>> import numpy as np, minigrad as mg
>>> @mg.primitive
... def scale(x, *, factor):
...     return x * factor
>>> scale.vjp(x=lambda g, factor: g * factor)
>>> mg.grad(lambda x: scale(x, factor=3.0).sum())(np.ones(2))
array([3., 3.])
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .errors import DTypeError, MinigradError, NoGradientRule, did_you_mean
from .explain import EXPLAINED, explain, where
from .guard import check_broadcast
from .numpy_protocol import FUNCTIONS, UFUNCS, adapt
from .scope import current_scope
from .tape import DTYPE, SHAPE, Tape, watcher
from .tensor import Tensor, has_method, on_tape

__all__ = ["REGISTRY", "UNWANTED", "Plan", "Primitive", "primitive"]

REGISTRY: dict[str, Primitive] = {}
"""Every op of minigrad itself, by name: what the conformance test and the documentation go through."""

CONTAINERS = frozenset({list, tuple, dict})
"""What may stand for an array in a call (lists and tuples), or be there by mistake."""


class _Unwanted:
    """Stands in the place of a cotangent that nobody asked for."""

    def __repr__(self) -> str:
        return "UNWANTED"


ALIKE = 4
"""Added to the mask of arguments where all of them that are on the tape have the result's shape and dtype."""

UNWANTED: Any = _Unwanted()
_NO_PARAMS: dict[str, Any] = {}


class Plan:
    """What a backward pass does at a node, given which of its arguments are on the tape.

    Attributes
    ----------
    reads : tuple of str
        Names of what is kept in ``node.saved``, in that order.
    wants : tuple of str
        Names of the arguments that get a cotangent.
    save : callable (args, out) -> tuple, or None when nothing is kept
    pull : callable (g, saved, params) -> tuple with one cotangent, or UNWANTED, per argument
    exact : bool
        Whether the cotangents surely have their arguments' shapes and dtypes.
    """

    __slots__ = ("exact", "pull", "reads", "save", "wants")

    def __init__(self, reads: tuple[str, ...], wants: tuple[str, ...], save: Any, pull: Any, exact: bool) -> None:
        self.exact = exact
        self.reads = reads
        self.wants = wants
        self.save = save
        self.pull = pull


class Primitive:
    """An op: a forward function on arrays, and the rules of its derivative.

    Call it like the forward function. On arrays it is that function; when an argument is a Tensor, the call is recorded
    on that Tensor's tape.

    Parameters
    ----------
    forward : callable
        Takes arrays by position and static parameters by keyword (after ``*`` in its signature); returns an array, or
        a tuple of arrays when `outputs` says so. It must be pure.
    name : str
    outputs : sequence of str
        Names of the outputs when there are several; ``"many"`` when their number depends on the parameters.
    visible : int, optional
        How many of the outputs a caller gets. The others are there for the rules to read.
    differentiable : bool
        False for ops that have no derivative (comparisons, ``floor``): their result is not followed.
    kind : str
        ``"op"``, ``"activation"``, ``"normalisation"``, ``"view"`` or ``"loss"``: how a picture shows it.
    linear : str
        What forward mode may use: ``"jointly"`` if the op is linear in all its arrays that have a rule taken together
        (``concatenate``, ``sum``), ``"each"`` if it is linear in each of them alone (``matmul``, ``einsum``),
        ``"elementwise"`` if each element of the result depends on the same element of the arguments only (``tanh``).
        Empty for anything else, which costs more and is just as right.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        *,
        name: str = "",
        outputs: Sequence[str] | str = (),
        visible: int | None = None,
        differentiable: bool = True,
        kind: str = "op",
        args: tuple[str, ...] = (),
        exact: bool = False,
        exact_if_alike: bool = False,
        linear: str = "",
        transparent: bool = False,
    ) -> None:
        self.forward = forward
        self.name = name or getattr(forward, "__name__", type(forward).__name__)
        self.__name__ = self.__qualname__ = self.name
        self.__doc__ = forward.__doc__
        self.__module__ = getattr(forward, "__module__", None) or "numpy"
        self.outputs = outputs if isinstance(outputs, str) else tuple(outputs)
        self.visible = visible
        self.differentiable = differentiable
        self.kind = kind
        self.exact = exact  # whether each cotangent has its argument's shape and dtype without being made to fit
        self.exact_if_alike = exact_if_alike  # whether it is so where arguments and result have one shape and dtype
        self.linear = linear
        self.transparent = transparent  # whether lower tapes record what happens inside, instead of the op
        self.shape_from_values: Callable[[tuple[Any, ...]], bool] | None = (
            None  # of the arguments: does it depend on them
        )
        self.takes_none = False  # whether its rule takes None for an output without a cotangent (else zeros)
        self.args, self.variadic, self.defaults = (args, "", {}) if args else _signature(forward, self.name)
        self.static = frozenset(self.defaults)
        self._refuse_names_of_two_things()
        self.rules: dict[str, Callable[..., Any] | None] = {}
        self.shared: Callable[..., Any] | None = None
        self._shared_reads: tuple[str, ...] = ()
        self.reference: Callable[..., Any] | None = None
        self.kernel: Callable[..., Any] | None = None  # of an op that is the backward pass of a fused one
        self.kernel_static: tuple[str, ...] = ()
        self._plans: dict[tuple[int, int], Plan] = {}
        self._short_plans: list[Plan | None] = [None] * 8  # by mask, for ops of one or two arrays: see `short_plan`
        self.bind: Callable[..., Any] = self._make_bind()

    def _refuse_names_of_two_things(self) -> None:
        """Raise where a rule that reads a name could mean two things by it."""
        outputs = self.outputs if isinstance(self.outputs, tuple) and self.outputs else ("out",)
        taken = {*outputs, "wants", *(f"{name}_shape" for name in self.args)}
        for name in (*self.args, *self.static):
            if name in taken:
                raise TypeError(
                    f"primitive {self.name}: an argument cannot be called {name!r}, since for its rules that is an "
                    f"output, a shape or the list of wanted cotangents; call it something else"
                )

    # --- defining ---------------------------------------------------------------------------------------------------

    def vjp(self, /, **rules: Callable[..., Any] | None) -> None:
        """Give the rule of each argument: ``argument=lambda g, <what it reads>: cotangent of the argument``.

        `None` says that the derivative with respect to that argument is zero. The result may have the broadcast shape;
        it is summed back to the argument's shape in one place, after the rule. Where an op has several outputs, ``g``
        is the tuple of their cotangents.
        """
        for argument, rule in rules.items():
            if argument not in self.args:
                raise TypeError(
                    f"{self.name} has no argument {argument!r}{did_you_mean(argument, self.args)} "
                    f"(its arguments: {', '.join(self.args)})"
                )
            if rule is not None:
                self.reads_of(rule)
            self.rules[argument] = rule
        self._forget_plans()

    def vjp_shared(self, rule: Callable[..., Any], reads: Sequence[str] | None = None) -> Callable[..., Any]:
        """Give one rule for all arguments, for gradients that share work. Also a decorator.

        The rule's keyword ``wants`` tells which cotangents are needed (names; positions among the variadic arguments),
        and it returns a tuple with exactly those.
        """
        self.shared = rule
        self._shared_reads = tuple(reads) if reads is not None else self.reads_of(rule)
        self._forget_plans()
        return rule

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._short_plans[:] = [None] * 8

    def reads_of(self, rule: Callable[..., Any]) -> tuple[str, ...]:
        """Return what a rule reads beside the cotangent, or raise if it names something the op does not have."""
        _, *names = inspect.signature(rule).parameters or self._no_cotangent()
        known = self._readable()
        for name in names:
            if name not in known and name != "wants":
                raise TypeError(
                    f"a rule of {self.name} reads {name!r}{did_you_mean(name, known)} (it may read: {', '.join(known)})"
                )
        return tuple(name for name in names if name != "wants")

    def _no_cotangent(self) -> list[str]:
        raise TypeError(f"a rule of {self.name} takes no argument; the first is the cotangent, as in lambda g: ...")

    def _readable(self) -> dict[str, str]:
        """Map every name that a rule may read to the expression that finds it at recording, or in the parameters."""
        known = {name: f"args[{position}]" for position, name in enumerate(self.args)}
        if self.variadic:
            known[self.variadic] = f"args[{len(self.args) - 1}:]"
            known[f"{self.variadic}_shape"] = f"tuple(map(shape_of, args[{len(self.args) - 1}:]))"
        known |= {f"{name}_shape": f"shape_of({known[name]})" for name in self.args if name != self.variadic}
        known |= {name: f"params[{name!r}]" for name in self.static}
        known |= (
            {name: f"out[{number}]" for number, name in enumerate(self.outputs)}
            if isinstance(self.outputs, tuple) and self.outputs
            else {"out": "out"}
        )
        return known

    def plan(self, mask: int, count: int) -> Plan:
        """Return what a backward pass does when the arguments in the bit mask are on the tape (`count` in all)."""
        key = (mask, count)
        if key not in self._plans:
            self._plans[key] = self._make_plan([mask >> i & 1 == 1 for i in range(count)])
        return self._plans[key]

    def short_plan(self, mask: int) -> Plan:
        """Return the plan of an op of one or two arrays; with 4 added to the mask, the one for arguments all alike."""
        plan = self.plan(mask & 3, len(self.args))
        if mask & ALIKE:
            plan = Plan(plan.reads, plan.wants, plan.save, plan.pull, self.exact or self.exact_if_alike)
        self._short_plans[mask] = plan
        return plan

    def _make_plan(self, active: list[bool]) -> Plan:
        known, names = self._readable(), self._names(len(active))
        wanted = [i for i, on in enumerate(active) if on and self._has_rule(names[i])]
        calls = []  # for each argument, the text of the call that gives its cotangent
        reads: list[str] = []

        def expression(name: str) -> str:
            if known[name].startswith("params["):
                return known[name]
            if name not in reads:
                reads.append(name)
            return f"saved[{reads.index(name)}]"

        if self.shared is not None:
            fixed = len(self.args) - 1 if self.variadic else len(self.args)
            wants: tuple[Any, ...] = tuple(names[i] if i < fixed else i - fixed for i in wanted)
            arguments = [f"{name}={expression(name)}" for name in self._shared_reads]
            calls = [f"*spread(SHARED({', '.join(['g', *arguments, 'wants=wants'])}))"]
            if not wanted:
                calls, reads = ["UNWANTED"] * len(active), []
        else:
            wants = ()
            for i, name in enumerate(names):
                rule = self.rules.get(name) if i in wanted else None
                reading = [expression(read) for read in self.reads_of(rule)] if rule is not None else []
                calls.append(f"rule_{name}({', '.join(['g', *reading])})" if rule is not None else "UNWANTED")

        def spread(cotangents: Sequence[Any]) -> list[Any]:
            if len(cotangents) != len(wanted):
                raise TypeError(
                    f"the shared rule of {self.name} was asked for {wants} and returned {len(cotangents)} cotangents"
                )
            full: list[Any] = [UNWANTED] * len(active)
            for position, cotangent in zip(wanted, cotangents):
                full[position] = cotangent
            return full

        # Two one-line functions, made once per op and mask of arguments: at each node they would otherwise be a loop
        # over names. For np.multiply of two Tensors they read
        #     save = lambda args, out: (args[1], args[0],)
        #     pull = lambda g, saved, params: (rule_x(g, saved[0]), rule_y(g, saved[1]),)
        scope: dict[str, Any] = {f"rule_{name}": rule for name, rule in self.rules.items()}
        scope["__name__"] = __name__  # so that a search for the user's line passes over these functions
        scope |= {"SHARED": self.shared, "spread": spread, "UNWANTED": UNWANTED, "wants": wants, "shape_of": np.shape}
        save = eval(f"lambda args, out: ({', '.join(known[name] for name in reads)},)", scope) if reads else None
        pull = eval(f"lambda g, saved, params: ({', '.join(calls)},)", scope)
        return Plan(tuple(reads), tuple(names[i] for i in wanted), save, pull, self.exact)

    def _names(self, count: int) -> list[str]:
        """Return the arguments' names, a variadic one as often as it came."""
        if not self.variadic:
            return list(self.args)
        fixed = list(self.args[:-1])
        return fixed + [self.variadic] * (count - len(fixed))

    def has_rule(self, position: int) -> bool:
        """Whether a derivative flows through the argument at this position; raises if nothing is known about it."""
        return self.differentiable and self._has_rule(self.args[min(position, len(self.args) - 1)])

    def _has_rule(self, name: str) -> bool:
        if self.shared is not None:
            return self.rules.get(name, True) is not None
        if name not in self.rules:
            raise NoGradientRule(
                f"{self.name} has no gradient rule for its argument {name!r}; define one with "
                f"{self.name}.vjp({name}=...), or wrap the argument in mg.stop_gradient"
            )
        return self.rules[name] is not None

    # --- calling ----------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **params: Any) -> Any:
        if (len(args) != len(self.args) or params and not params.keys() <= self.static) and not self.variadic:
            args, params = self._arrange(args, params)
        visible = self.visible
        if visible is None:
            return self.bind(*args, **params)
        out = self._record(visible if self.takes_none else None, *args, **params)
        return out[0] if visible == 1 else out[:visible]

    def all_outputs(self, *args: Any, **params: Any) -> tuple[Any, ...]:
        """Call the op and return all its outputs, also those that a plain call leaves out."""
        return self.bind(*args, **params)  # type: ignore[no-any-return]

    def _arrange(self, args: tuple[Any, ...], params: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Put arrays that came by keyword into their positions; complain about what does not fit."""
        signature = ", ".join([*self.args, *(["*", *self.defaults] if self.defaults else [])])
        for name in self.args[: len(args)]:
            if name in params:
                raise TypeError(f"{self.name}({signature}): the argument {name!r} came twice")
        args += tuple(params[name] for name in self.args[len(args) :] if name in params)
        rest = {name: value for name, value in params.items() if name not in self.args}
        for name in rest.keys() - self.static:
            hint = did_you_mean(name, [*self.args, *self.static])
            raise TypeError(f"{self.name} has no argument {name!r}{hint} (it takes {signature})")
        if len(args) != len(self.args):
            raise TypeError(f"{self.name}({signature}) takes {len(self.args)} arrays by position, and {len(args)} came")
        return args, rest

    def _make_bind(self) -> Callable[..., Any]:
        """Return the function that records: a short one for ops of one or two arrays, else the general one."""
        if self.differentiable and not self.defaults and not self.outputs and not self.variadic:
            if len(self.args) == 1:
                return self._make_unary()
            if len(self.args) == 2:
                return self._make_binary()
        return functools.partial(self._record, None)

    # The two short ways below are the hot path of every elementwise op, so they make the Tensor themselves: a call of
    # `on_tape` would make recording 2 % slower.

    def _make_unary(self) -> Callable[..., Any]:
        forward, record, plans = self.forward, functools.partial(self._record, None), self._short_plans

        def bind(x: Any) -> Any:
            if type(x) is not Tensor:
                return record(x) if type(x) in CONTAINERS else forward(x)
            tape, value = x.tape, x.value
            if not tape.plain or type(value) is Tensor:
                return record(x)
            try:
                out = forward(value)
            except MinigradError:
                raise
            except EXPLAINED as error:
                raise explain(self, (x,), _NO_PARAMS, error) from error
            try:
                shape, dtype = out.shape, out.dtype
            except AttributeError:  # a Python number, a list, or nothing at all
                return record(x)
            plan = plans[1]
            if plan is None:
                plan = self.short_plan(1)
            saved = plan.save((value,), out) if plan.save is not None else ()
            records = tape.records
            tensor = Tensor()
            tensor.value = out
            tensor.tape = tape
            tensor.index = len(records)
            records.append((self, _NO_PARAMS, (x.index,), saved, current_scope(), shape, dtype, plan, None))
            return tensor

        return bind

    def _make_binary(self) -> Callable[..., Any]:
        forward, record, plans = self.forward, functools.partial(self._record, None), self._short_plans
        elementwise = self.linear == "elementwise"

        def bind(x: Any, y: Any) -> Any:
            parents: tuple[Any, Any]  # entries, or None for what is not on the tape
            if type(x) is Tensor:
                tape, left = x.tape, x.value
                if type(y) is Tensor:
                    if y.tape is not tape:
                        return record(x, y)
                    right, mask, parents = y.value, 3, (x.index, y.index)
                elif type(y) in CONTAINERS:
                    return record(x, y)
                else:
                    right, mask, parents = y, 1, (x.index, None)
            elif type(x) in CONTAINERS or type(y) in CONTAINERS:
                return record(x, y)
            elif type(y) is Tensor:
                tape, left, right, mask, parents = y.tape, x, y.value, 2, (None, y.index)
            else:
                return forward(x, y)
            if not tape.plain or type(left) is Tensor or type(right) is Tensor:
                return record(x, y)
            try:
                out = forward(left, right)
            except MinigradError:
                raise
            except EXPLAINED as error:
                raise explain(self, (x, y), _NO_PARAMS, error) from error
            try:
                shape, dtype = out.shape, out.dtype
            except AttributeError:  # a Python number, a list, or nothing at all
                return record(x, y)
            records = tape.records
            if elementwise:
                # The entries of the arguments; twice the same one where the other argument is not on the tape.
                entry: Any = parents[0] if mask & 1 else parents[1]
                one = records[entry]
                entry = parents[1] if mask & 2 else parents[0]
                other = records[entry]
                if not one[SHAPE] == shape == other[SHAPE]:
                    check_broadcast(self.name, x, y, shape)
                elif one[DTYPE] is dtype is other[DTYPE]:
                    mask |= ALIKE
            plan = plans[mask]
            if plan is None:
                plan = self.short_plan(mask)
            saved = plan.save((left, right), out) if plan.save is not None else ()
            tensor = Tensor()
            tensor.value = out
            tensor.tape = tape
            tensor.index = len(records)
            records.append((self, _NO_PARAMS, parents, saved, current_scope(), shape, dtype, plan, None))
            return tensor

        return bind

    def _record(self, visible: int | None, /, *args: Any, **params: Any) -> Any:
        """Compute, and record on the newest tape among the arguments (on none, when all are arrays).

        This is the short way, for arrays and for one tape that only differentiates: it asks the arguments all that it
        has to know in one loop. Whatever else comes goes the long way. Of several outputs it leaves out those that the
        caller will not see, if it is told how many he will.
        """
        tape: Tape | None = None
        values: list[Any] = []
        parents: list[int | None] = []
        mask, bit = 0, 1
        for x in args:
            if type(x) is Tensor:
                if tape is None:
                    tape = x.tape
                if x.tape is not tape or not tape.plain or type(x.value) is Tensor:
                    return self._record_in_any_case(*args, **params)
                values.append(x.value)
                parents.append(x.index)
                mask |= bit
            elif type(x) in CONTAINERS:
                return self._record_in_any_case(*args, **params)
            else:
                values.append(x)
                parents.append(None)
            bit <<= 1
        if tape is None:
            return self.forward(*args, **params)
        if not self.differentiable:
            return self.bind(*values, **params)
        if params and Tensor in map(type, params.values()):
            self._refuse_tensor_params(params)
        given = tuple(values)
        try:
            out = self.forward(*given, **params)
        except MinigradError:
            raise
        except EXPLAINED as error:
            raise explain(self, args, params, error) from error
        several = self.outputs
        if several or type(out) is not np.ndarray:
            out = self._as_results(out)
        if not any([result.dtype.kind in "fc" for result in (out if several else (out,))]):
            return out
        plan = self._plans.get((mask, len(given))) or self.plan(mask, len(given))
        saved = plan.save(given, out) if plan.save is not None else ()
        every = {**self.defaults, **params} if self.defaults else _NO_PARAMS
        if several:
            return tape.append(self, every, tuple(parents), saved, out[:visible], plan)
        records = tape.records
        records.append((self, every, tuple(parents), saved, current_scope(), out.shape, out.dtype, plan, None))
        return on_tape(out, tape, len(records) - 1)

    def _record_in_any_case(self, *args: Any, **params: Any) -> Any:
        """Compute and record, whatever came: several tapes, full ones, Tensors inside Tensors, lists, watchers."""
        if dict in map(type, args):
            raise DTypeError(f"{where(self.name)}: a dict came in place of an array; give it the arrays one by one")
        tape = max((x.tape for x in args if type(x) is Tensor), key=lambda tape: tape.level, default=None)
        values = tuple(
            x.value if type(x) is Tensor and x.tape is tape else np.asarray(x) if type(x) in CONTAINERS else x
            for x in args
        )
        if tape is None:
            return self.forward(*values, **params)
        if not (self.differentiable or tape.full):
            return self.bind(*values, **params)
        # A value that is itself a Tensor belongs to a lower tape, which records this op too.
        nested = not self.transparent and Tensor in map(type, values)
        out = self._compute(self.bind if nested else self.forward, values, args, params)
        results = out if self.outputs else (out,)
        entered = tape.enter(self, args, values, {**self.defaults, **params}, results)
        if not tape.plain and (watch := watcher()) is not None:
            watch.recorded(self, tape, args, results, entered)
        return entered if self.outputs else entered[0]

    def _compute(
        self, function: Callable[..., Any], values: tuple[Any, ...], args: tuple[Any, ...], params: dict[str, Any]
    ) -> Any:
        """Return what the forward function does, as arrays, or raise an error that names what it was given."""
        if params and Tensor in map(type, params.values()):
            self._refuse_tensor_params(params)
        try:
            out = function(*values, **params)
        except MinigradError:
            raise
        except EXPLAINED as error:
            raise explain(self, args, params, error) from error
        return self._as_results(out)

    def _as_results(self, out: Any) -> Any:
        """Return what the forward function returned as an array, or as a tuple of arrays if there are several."""
        return tuple(map(self._as_result, out)) if self.outputs else self._as_result(out)

    def _as_result(self, value: Any) -> Any:
        """Return one result of the forward function, made an array if it is a Python number."""
        if hasattr(value, "dtype"):
            return value
        if value is None:
            raise DTypeError(f"{where(self.name)}: the forward function returned None; is a `return` missing?")
        array = np.asarray(value)
        if array.dtype.kind not in "fciub":
            raise DTypeError(f"{where(self.name)}: the forward function returned {type(value).__name__}, not an array")
        return array

    def _refuse_tensor_params(self, params: dict[str, Any]) -> None:
        for name, value in params.items():
            if type(value) is Tensor:
                raise NoGradientRule(
                    f"{self.name}: the parameter {name}= is static and came as a Tensor of shape {value.shape}; no "
                    f"gradient flows to it, so give it a plain value (mg.stop_gradient(x), or x.value)"
                )

    def __repr__(self) -> str:
        return f"<primitive {self.name}({', '.join([*self.args, *self.static])})>"

    def __reduce__(self) -> str:
        return self.name  # by name, as functions are pickled


def _signature(forward: Callable[..., Any], name: str) -> tuple[tuple[str, ...], str, dict[str, Any]]:
    """Return the names of the arrays, the name of a variadic one, and the static parameters with their defaults."""
    arrays, variadic, static = [], "", {}
    for parameter in inspect.signature(forward).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            static[parameter.name] = parameter.default
        elif parameter.kind is parameter.VAR_KEYWORD:
            raise TypeError(f"primitive {name}: **{parameter.name} is not supported; name the static parameters")
        elif parameter.default is not parameter.empty:
            raise TypeError(
                f"primitive {name}: {parameter.name} has a default, so it seems to be a static parameter; "
                f"put it after * in the signature (arrays come by position, static parameters by keyword)"
            )
        else:
            arrays.append(parameter.name)
            variadic = parameter.name if parameter.kind is parameter.VAR_POSITIONAL else ""
    return tuple(arrays), variadic, static


def primitive(
    *targets: Any,
    outputs: Sequence[str] | str = (),
    visible: int | None = None,
    differentiable: bool = True,
    kind: str = "op",
    linear: str = "",
    reference: Callable[..., Any] | None = None,
) -> Any:
    """Make an op from a NumPy function. A decorator, with or without arguments.

    Parameters
    ----------
    *targets : NumPy functions or ufuncs
        Those that reach this op when they are given a Tensor. One that is also an array method (``np.sum``) becomes a
        method of Tensors.
    outputs, visible, differentiable, kind, linear
        See :class:`Primitive`.
    reference : callable, optional
        The same mathematics as a composition of simple ops, for ops that are written for speed.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> @mg.primitive(kind="activation")
    ... def swish(x):
    ...     return x / (1 + np.exp(-x))
    >>> def swish_rule(g, x, out):
    ...     s = 1 / (1 + np.exp(-x))
    ...     return g * (out + s * (1 - out))
    >>> swish.vjp(x=swish_rule)
    >>> round(float(mg.grad(swish)(1.0)), 6)
    0.927671
    >>> round(float(mg.grad(mg.grad(swish))(1.0)), 6)
    0.302366
    """

    def define(forward: Callable[..., Any]) -> Primitive:
        op = Primitive(
            forward, outputs=outputs, visible=visible, differentiable=differentiable, kind=kind, linear=linear
        )
        op.reference = reference
        for target in functions:
            connect(target, op)
        return op

    if len(targets) == 1 and _is_forward(targets[0]):
        functions: tuple[Any, ...] = ()
        return define(targets[0])
    functions = targets
    return define


def _is_forward(target: Any) -> bool:
    """Whether this is a function to make an op of, and not one of NumPy's that is to reach it."""
    module = getattr(target, "__module__", None) or ""
    return callable(target) and not isinstance(target, np.ufunc) and module.split(".")[0] != "numpy"


def connect(target: Any, op: Primitive) -> None:
    """Let a NumPy function or ufunc reach an op."""
    if isinstance(target, np.ufunc):
        UFUNCS[target] = op.bind
        return
    function = adapt(target, op, len(op.args), op.static)
    FUNCTIONS[target] = function
    if hasattr(np.ndarray, target.__name__) and not has_method(target.__name__):
        setattr(Tensor, target.__name__, function)
