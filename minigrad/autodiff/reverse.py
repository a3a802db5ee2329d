"""Reverse mode: the reader of a tape that differentiates it.

The cotangent of the result goes in at the end of the tape; the walk goes back entry by entry, asks each node's rules
for the cotangents of its arguments, and adds them up where an entry was used more than once. Rules are written with
NumPy functions, so that a walk over Tensors of a lower tape is itself recorded there: that is how derivatives of
derivatives come about, and how a captured program holds its own backward pass.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..core.errors import DTypeError, MinigradError, OptionError, ShapeError, StaleTensorError
from ..core.guard import guarding
from ..core.primitive import UNWANTED, Primitive
from ..core.scope import at_scope
from ..core.tape import Node, Tape, check_cotangent, watcher
from ..core.tensor import Tensor
from ..core.tree import flatten, map_leaves, path_name

__all__ = ["grad", "gradient", "value_and_grad", "vjp"]


# --- the walk -------------------------------------------------------------------------------------------------------


# Where the walk finds a field of a Node in the plain tuple that a tape holds.
_PRIMITIVE, _PARAMS, _SHAPE, _DTYPE, _PLAN = map(Node._fields.index, ("primitive", "params", "shape", "dtype", "plan"))


def backward(records: list[Any], seeds: dict[int, Any], sources: Sequence[int], *, consume: bool = False) -> list[Any]:
    """Walk a tape from its end and return the cotangents of some of its entries.

    Parameters
    ----------
    records : list of tuples with the fields of Node
    seeds : dict
        Entry -> cotangent to start with.
    sources : sequence of int
        The entries whose cotangents are wanted. No rule of an entry before the lowest of them is run.
    consume : bool
        Drop each node once it is done, so that what it saved is freed while the walk goes on.

    Returns
    -------
    list
        One cotangent per source, None where nothing arrived. They may share memory: see `own`.
    """
    if (watch := watcher()) is not None:
        records = watch.walked(records, seeds)  # the same entries, with plans that look at what they pull
    last = _end_of_outputs(records, max(seeds))
    cotangents: list[Any] = [None] * last
    owned = bytearray(last)  # 1 where the array was made by an addition here, so that nobody else holds it
    for entry, seed in seeds.items():
        cotangents[entry] = seed
    if consume:
        del records[last:]
    kept: dict[int, Any] = {s: None for s in sources if s < last and records[s][_PLAN] is not None}
    ndarray = np.ndarray
    for entry in range(last - 1, min(sources, default=last) - 1, -1):
        op, params, parents, saved, scope, _, _, plan, _ = records[entry]
        if kept and entry in kept:
            kept[entry] = cotangents[entry]
        if op is None:  # an input, a constant, or a further output, which its op gathers
            continue
        several = op.outputs
        if plan is not None:
            if several:
                g = _gather(records, entry, cotangents)
            else:
                g, cotangents[entry] = cotangents[entry], None
            if g is not None:
                if scope and (type(g) is Tensor or Tensor in map(type, saved)):
                    with at_scope(scope):  # what the rules record on a lower tape belongs to this node's layer
                        pulled = plan.pull(g, saved, params)
                else:
                    pulled = plan.pull(g, saved, params)
                exact = plan.exact
                for parent, cotangent in zip(parents, pulled):
                    if cotangent is UNWANTED:
                        continue
                    before = cotangents[parent]
                    if not exact:
                        made_by, _, _, _, _, shape, dtype, _, _ = records[parent]
                        try:
                            fits = cotangent.shape == shape and cotangent.dtype is dtype
                        except AttributeError:
                            fits = False
                        if not fits:
                            if type(cotangent) is Part:
                                _add_part(cotangent, parent, shape, dtype, cotangents, owned)
                                continue
                            cotangent = fit(cotangent, shape, dtype, op)
                        if before is None and made_by is None and _is_part_of(cotangent, saved):
                            cotangent = cotangent.copy()  # the caller's own array must not be given out
                    if before is None:
                        cotangents[parent] = cotangent
                    elif owned[parent] and type(cotangent) is ndarray:
                        before += cotangent
                    else:
                        cotangents[parent] = total = before + cotangent
                        owned[parent] = type(total) is ndarray
        if consume:
            if several:
                del records[entry:]
            else:
                records.pop()
    return [kept[s] if s in kept else cotangents[s] if s < last else None for s in sources]


class Part:
    """A cotangent that is zero but for a part: what indexing gives back.

    A rule may return one where all is plain arrays. The walk adds the part into an array that it owns: a loop over the
    rows of an array would otherwise make an array of its full size for every row.

    Parameters
    ----------
    add_to : callable
        Adds the part to an array of the argument's shape, in place.
    """

    __slots__ = ("add_to",)

    def __init__(self, add_to: Callable[[Any], None]) -> None:
        self.add_to = add_to


def _add_part(
    part: Part, parent: int, shape: tuple[int, ...], dtype: Any, cotangents: list[Any], owned: bytearray
) -> None:
    total = cotangents[parent]
    if type(total) is Tensor:
        alone = np.zeros(shape, dtype)
        part.add_to(alone)
        cotangents[parent] = total + alone
        return
    if total is None:
        total = np.zeros(shape, dtype)
    elif not (owned[parent] and type(total) is np.ndarray):
        total = np.array(total)
    part.add_to(total)
    cotangents[parent], owned[parent] = total, 1


def _is_part_of(cotangent: Any, saved: tuple[Any, ...]) -> bool:
    """Whether a cotangent is one of the arrays that the rule read, or a view of one."""
    # Loops: this is asked for every input, and `any` over a generator takes three times as long.
    if type(cotangent) is np.ndarray and cotangent.base is None:
        for array in saved:
            if array is cotangent:
                return True
        return False
    root = _root(cotangent)
    for array in saved:
        if _root(array) is root:
            return True
    return False


def _end_of_outputs(records: list[Any], entry: int) -> int:
    """Return the entry after the last output of the op that made this entry."""
    end = entry + 1
    while end < len(records) and records[end][_PRIMITIVE] is None and records[end][_PARAMS]["role"] == "output":
        end += 1
    return end


def _gather(records: list[Any], entry: int, cotangents: list[Any]) -> tuple[Any, ...] | None:
    """Return the cotangents of all outputs of a node as a tuple, or None when none arrived."""
    end = _end_of_outputs(records, entry)
    given = cotangents[entry:end]
    if not [g for g in given if g is not None]:
        return None
    cotangents[entry:end] = [None] * (end - entry)
    if records[entry][_PRIMITIVE].takes_none:
        return tuple(given)
    return tuple(
        np.zeros(out[_SHAPE], out[_DTYPE]) if g is None and out[_DTYPE].kind in "fc" else g
        for g, out in zip(given, records[entry:end])
    )


def fit(cotangent: Any, wanted: tuple[int, ...], dtype: np.dtype[Any], op: Primitive) -> Any:
    """Sum a cotangent over the axes that its argument was broadcast along, and give it the argument's dtype.

    This is the one place that undoes broadcasting, so no rule has to. A cotangent of any other shape is a mistake in a
    rule, and raises.
    """
    if not hasattr(cotangent, "dtype"):
        if not isinstance(cotangent, (int, float, complex)):
            raise DTypeError(
                f"a gradient rule of {op.name} returned {type(cotangent).__name__}; it must return an array, the "
                f"cotangent of its argument (of shape {wanted})"
                + ("; is a `return` missing?" if cotangent is None else "")
            )
        cotangent = np.asarray(cotangent)
    shape = cotangent.shape
    if shape != wanted:
        extra = len(shape) - len(wanted)
        sizes = shape[extra:] if extra >= 0 else ()
        if extra < 0 or any(size != want and want != 1 for size, want in zip(sizes, wanted)):
            raise ShapeError(
                f"a gradient rule of {op.name} returned a cotangent of shape {shape} for an argument of shape "
                f"{wanted}; it must have that shape, or one that the argument broadcasts to"
            )
        axes = tuple(range(extra)) + tuple(
            extra + axis for axis, (size, want) in enumerate(zip(sizes, wanted)) if size != want
        )
        cotangent = cotangent.sum(axis=axes)
        if cotangent.shape != wanted:
            cotangent = cotangent.reshape(wanted)
    if cotangent.dtype != dtype:
        if cotangent.dtype.kind == "c" and dtype.kind == "f":
            cotangent = cotangent.real
        cotangent = cotangent.astype(dtype)
    return cotangent


def own(gradients: list[Any], held: Iterable[Any]) -> list[Any]:
    """Copy the arrays that share memory with another of them, with one that is held elsewhere, or that are read-only.

    A rule may return its cotangent itself, or a view of it: both gradients of ``x + y`` are one array. The caller may
    write into what we return, so each gradient must be an array of its own.
    """
    taken = {id(a if type(a) is np.ndarray and a.base is None else _root(a)) for a in held}
    result = []
    for gradient in gradients:
        if type(gradient) is np.ndarray:
            root = gradient if gradient.base is None else _root(gradient)
            whole = root is gradient or type(root) is np.ndarray and root.nbytes == gradient.nbytes
            if not whole or id(root) in taken or not gradient.flags.writeable:
                gradient = gradient.copy()
            taken.add(id(root))
        result.append(gradient)
    return result


def _root(array: Any) -> Any:
    while isinstance(array, np.ndarray):
        base = array.base
        if base is None:
            break
        array = base
    return array


# --- what users call ------------------------------------------------------------------------------------------------


class Recording:
    """A function's run on a tape: its result, and the way back to the gradients of its arguments."""

    __slots__ = ("aux", "leaves", "out", "out_tree", "tape", "tree")

    def __init__(self, f: Callable[..., Any], primals: Any, names: Sequence[str] | None = None) -> None:
        self.leaves, self.tree = flatten(primals)
        self.tape = Tape(full=False)
        labels = names if names is not None else map(path_name, self.tree.paths)
        inputs = self.tape.watch_leaves(self.leaves, labels)
        try:
            self.out = f(self.tree.unflatten(inputs))
        except MinigradError as error:
            if error.tape is None:
                error.tape = self.tape
            raise
        except ValueError as error:
            # Where a Tensor is stored into an element of an array, NumPy puts its own words before the Tensor's.
            if not isinstance(error.__cause__, MinigradError):
                raise
            raise error.__cause__ from None
        finally:
            self.tape.end()

    def value(self, x: Any) -> Any:
        """Return what is inside a Tensor of this tape; anything else as it is."""
        if type(x) is not Tensor:
            return x
        if x.tape is self.tape:
            return x.value
        if x.tape.ended:
            raise StaleTensorError(
                f"the result is a Tensor of shape {x.shape} kept from an earlier call, whose recording has ended; "
                f"compute it again inside this call"
            )
        return x

    def pull(self, outputs: Sequence[Any], cotangents: Sequence[Any], *, consume: bool) -> tuple[list[Any], list[bool]]:
        """Return the gradients of all leaves, and which of them the outputs depend on."""
        seeds: dict[int, Any] = {}
        for out, cotangent in zip(outputs, cotangents):
            if type(out) is Tensor and out.tape is self.tape:
                before = seeds.get(out.index)
                seeds[out.index] = cotangent if before is None else before + cotangent
        count = len(self.leaves)
        with guarding(""):  # rules may broadcast
            found = backward(self.tape.records, seeds, range(count), consume=consume) if seeds else [None] * count
        reached = [gradient is not None for gradient in found]
        arrays = [
            gradient if type(gradient) is type(leaf) is np.ndarray else self._like_leaf(number, gradient)
            for number, (leaf, gradient) in enumerate(zip(self.leaves, found))
        ]
        return own(arrays, [*seeds.values(), *self.leaves]), reached

    def _like_leaf(self, number: int, gradient: Any) -> Any:
        """Return the gradient of a leaf as what the leaf is: an array, a number or a Tensor."""
        if gradient is None:
            node = self.tape.nodes[number]
            gradient = np.zeros(node.shape, node.dtype)
        if type(self.leaves[number]) is np.ndarray:
            return np.asarray(gradient) if isinstance(gradient, np.generic) else gradient
        return gradient[()] if type(gradient) is np.ndarray and gradient.ndim == 0 else gradient


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Compute a function and its pullback, the vector-Jacobian product.

    Parameters
    ----------
    f : callable
        A function of arrays, or containers of arrays, that returns an array or a container of arrays.
    *primals : arrays of floats, or dicts, lists, tuples of them
    has_aux : bool
        `f` returns a pair ``(out, aux)``; `aux` is handed through and not differentiated.

    Returns
    -------
    out
        The value of ``f(*primals)``.
    pullback : callable
        ``pullback(cotangent)``, where the cotangent has the container and shapes of `out`, returns a tuple with one
        gradient per primal: the cotangent times the Jacobian with respect to it. It may be called many times.
    aux
        Only with `has_aux`.

    Raises
    ------
    DTypeError
        If a primal is an integer array, or not an array of numbers.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> out, pullback = mg.vjp(lambda x, y: x * y, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    >>> out
    array([3., 8.])
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 3., 40.]), array([ 1., 20.]))
    """
    recording = Recording(lambda args: f(*args), primals, _argument_names(range(len(primals)), primals))
    result, aux = split_aux(recording.out, f) if has_aux else (recording.out, None)
    outputs, out_tree = flatten(result)
    check_outputs(outputs, f)
    values = [recording.value(out) for out in outputs]

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        given, given_tree = flatten(cotangent)
        if sorted(given_tree.paths) != sorted(out_tree.paths):
            raise ShapeError(
                f"the cotangent's container has the entries {list(given_tree.paths)}, and the result has "
                f"{list(out_tree.paths)}; they must be the same"
            )
        by_path = dict(zip(given_tree.paths, given))  # entries of a dict may come in another order
        given = [by_path[path] for path in out_tree.paths]
        seeds = [
            check_cotangent(g, np.shape(value), value.dtype, f"the result{path}") if type(out) is Tensor else None
            for g, value, out, path in zip(given, values, outputs, out_tree.paths)
        ]
        gradients, _ = recording.pull(outputs, seeds, consume=False)
        return tuple(recording.tree.unflatten(gradients))

    out = out_tree.unflatten(values)
    return (out, pullback, map_leaves(recording.value, aux)) if has_aux else (out, pullback)


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False
) -> Callable[..., Any]:
    """Return a function that computes both the value of `f` and its gradient.

    Parameters
    ----------
    f : callable
        A function that returns one real number (an array of shape ``()``).
    argnums : int or sequence of int
        The positional arguments to differentiate with respect to. An integer gives one gradient, a sequence a tuple.
    has_aux : bool
        `f` returns a pair ``(out, aux)``; `aux` is handed through and not differentiated.

    Returns
    -------
    callable
        With the arguments of `f`; returns ``(value, gradient)``, or ``((value, aux), gradient)``. A gradient has the
        container, shapes and dtypes of its argument, and zeros where the value does not depend on it.

    Raises
    ------
    ShapeError
        If `f` does not return one number.
    DTypeError
        If an argument to differentiate is an integer array, or not an array of numbers.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> def f(x, y):
    ...     return np.sum(x * y)
    >>> mg.value_and_grad(f, argnums=(0, 1))(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    (np.float64(11.0), (array([3., 4.]), array([1., 2.])))
    """
    name = getattr(f, "__name__", type(f).__name__)
    numbers, single = argument_numbers(argnums)

    @functools.wraps(f)
    def value_and_gradient(*args: Any, **keywords: Any) -> Any:
        positions = [argument_position(number, len(args), name) for number in numbers]
        if len(set(positions)) < len(positions):
            raise ValueError(f"argnums={argnums!r} names an argument of {name} twice")
        chosen = tuple(args[position] for position in positions)

        def run(arguments: tuple[Any, ...]) -> Any:
            full = list(args)
            for position, argument in zip(positions, arguments):
                full[position] = argument
            return f(*full, **keywords)

        recording = Recording(run, chosen, _argument_names(positions, chosen))
        out, aux = split_aux(recording.out, f) if has_aux else (recording.out, None)
        value = scalar_value(recording, out, name)
        gradients, _ = recording.pull([out], [np.ones((), value.dtype)], consume=True)
        gradient = recording.tree.unflatten(gradients)
        gradient = gradient[0] if single else gradient
        return ((value, map_leaves(recording.value, aux)), gradient) if has_aux else (value, gradient)

    return value_and_gradient


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Callable[..., Any]:
    """Return a function that computes the gradient of `f`.

    Parameters, errors and containers are those of :func:`value_and_grad`; with `has_aux` it returns
    ``(gradient, aux)``. It may be applied again, for derivatives of any order.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.grad(np.tanh)(0.5)
    np.float64(0.7864477329659274)
    >>> mg.grad(mg.grad(np.sin))(0.0)
    np.float64(-0.0)
    """
    both = value_and_grad(f, argnums, has_aux=has_aux)

    @functools.wraps(f)
    def gradient(*args: Any, **keywords: Any) -> Any:
        value, result = both(*args, **keywords)
        return (result, value[1]) if has_aux else result

    return gradient


def gradient(tape: Tape, target: Tensor, source: Any, cotangent: Any = None) -> Any:
    """Return the gradient of an entry of a tape with respect to others. See :meth:`minigrad.Tape.gradient`."""
    end = tape.index_of(target)
    leaves, tree = flatten(source)
    entries = [tape.index_of(leaf) for leaf in leaves]
    if cotangent is None:
        cotangent = np.ones(target.shape, target.dtype)
    seeds = {end: check_cotangent(cotangent, target.shape, target.dtype, "the target")}
    found = backward(tape.records, seeds, entries)
    gradients = [np.zeros(leaf.shape, leaf.dtype) if g is None else g for leaf, g in zip(leaves, found)]
    return tree.unflatten(own([np.asarray(g) if isinstance(g, np.generic) else g for g in gradients], seeds.values()))


def scalar_value(recording: Recording, out: Any, name: str) -> Any:
    """Return the value of a result that must be one real number, or raise an error that says what it is instead."""
    value = recording.value(out)
    if value is None:
        raise DTypeError(f"{name} returned None; it must return one number: is a `return` missing?")
    if isinstance(value, (int, float)):
        value = np.float64(value)
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise DTypeError(f"{name} returned {type(value).__name__}; it must return one number, an array of shape ()")
    if value.shape != ():
        raise ShapeError(
            f"{name} returned an array of shape {value.shape}, and a gradient needs one number: sum or average it, or "
            f"use mg.vjp for the gradients of all its elements"
        )
    if value.dtype.kind == "c":
        raise DTypeError(f"{name} returned a complex number, and a gradient needs a real one: use mg.vjp")
    if value.dtype.kind != "f":
        raise DTypeError(
            f"{name} returned {value.dtype}, and only floating-point results have a gradient; a count or a comparison "
            f"does not follow its arguments"
        )
    return value


def argument_numbers(argnums: Any) -> tuple[tuple[int, ...], bool]:
    """Return argnums as a tuple of integers, and whether it was a single one."""
    try:
        return (operator.index(argnums),), True
    except TypeError:
        pass
    try:
        numbers = tuple(operator.index(number) for number in argnums)
    except TypeError:
        numbers = ()
    if not numbers:
        raise TypeError(f"argnums must be an integer or a sequence of integers, and {argnums!r} came")
    return numbers, False


def argument_position(number: int, count: int, name: str) -> int:
    if not -count <= number < count:
        raise OptionError(
            f"argnums={number}, and {name} was called with {count} positional arguments; pass the arguments to "
            f"differentiate by position"
        )
    return number % count


def _argument_names(positions: Sequence[int], arguments: tuple[Any, ...]) -> list[str]:
    """Name the leaves of the arguments for errors: entries of a container by their keys, others by position."""
    names = []
    for position, argument in zip(positions, arguments):
        paths = flatten(argument)[1].paths
        names += [path_name(path) or f"argument {position}" for path in paths]
    return names


def split_aux(result: Any, f: Callable[..., Any]) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise DTypeError(
            f"has_aux=True expects {getattr(f, '__name__', f)} to return a pair (out, aux), and it returned "
            f"{type(result).__name__}"
        )
    return result


def check_outputs(outputs: list[Any], f: Callable[..., Any]) -> None:
    for out in outputs:
        if not hasattr(out, "shape") and not isinstance(out, (int, float, complex)):
            raise DTypeError(
                f"{getattr(f, '__name__', f)} returned {type(out).__name__}; it must return an array, or a dict, list "
                f"or tuple of arrays"
            )
