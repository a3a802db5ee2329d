"""Tensor: a value on a tape.

A Tensor is what a function sees in place of an array while its computation is recorded. It speaks NumPy: operators,
array methods, ``np.`` functions and indexing all work, and each leaves a node on the tape. The operators and methods
are put on the class by the ops themselves (:func:`minigrad.core.primitive.primitive`), so that an op stays one place.
"""

from __future__ import annotations

import opcode
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BranchError, NoGradientRule
from .numpy_protocol import UFUNCS, call_function, call_ufunc, load_rest

if TYPE_CHECKING:
    from .tape import Tape

__all__ = ["Tensor", "has_method", "on_tape", "read_only", "value_of"]

_STORE_SUBSCR = opcode.opmap["STORE_SUBSCR"]


class NoSuchMethod(NoGradientRule, AttributeError):
    """An array method that Tensors do not have (an AttributeError too, so that ``hasattr`` tells the truth)."""


class Tensor:
    """A value, the tape it is on, and the number of its entry there.

    Attributes
    ----------
    value : array, or Tensor of a lower level
        What was computed. Reading it takes it out of the recording: no gradient flows through it.
    tape : Tape
    index : int

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> x = mg.Tape().watch(np.array([1.0, 4.0]))
    >>> np.sqrt(x).sum()
    Tensor(3.0, entry 2)
    """

    __slots__ = ("__weakref__", "index", "tangent", "tape", "value")  # the tangent is set in forward mode only
    tangent: Any
    __hash__ = None  # type: ignore[assignment]  # == compares elements, as with arrays

    # Made by `on_tape`. There is no __init__, and no __getattr__ either (see `_Absent`): calling the one, and the slots
    # being read past the other, would make recording 6 % slower.
    value: Any
    tape: Tape
    index: int

    if TYPE_CHECKING:  # the ops put array methods on the class, which a type checker does not see

        def __getattr__(self, name: str) -> Any: ...

    # --- NumPy's protocols ------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        if method == "__call__" and not keywords:
            op = UFUNCS.get(ufunc)
            if op is not None:
                return op(*inputs)
        return call_ufunc(ufunc, method, inputs, keywords)

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        return call_function(function, args, keywords)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.dtype.kind in "biu":  # indices and masks have no gradient to lose
            return np.asarray(self.concrete("np.asarray"), dtype)
        raise NoGradientRule(
            f"a Tensor of shape {self.shape} would be turned into a plain array, and its gradient would be lost "
            f"(np.array, np.asarray, an assignment into an array, or a function that is not NumPy's); use np.stack or "
            f"np.concatenate to join Tensors, mg.ops.NAME for what SciPy writes in Python (softmax, log_softmax, "
            f"logsumexp), or .value where no gradient should flow"
        )

    # --- what an array tells of itself ------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The value's shape."""
        return self.value.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The value's dtype."""
        return self.value.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.value.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.value.size  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        """The value's size in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def T(self) -> Any:
        """The transposed Tensor: its axes in reverse order."""
        return self.transpose()

    @property
    def mT(self) -> Any:
        """The Tensor with its last two axes exchanged."""
        return self.swapaxes(-1, -2)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d Tensor")
        return (self[row] for row in range(len(self)))  # type: ignore[index]

    def __repr__(self) -> str:
        value = value_of(self)
        text = repr(value.item()) if value.ndim == 0 else np.array2string(value, separator=", ", prefix="Tensor(")
        dtype = "" if value.dtype == np.float64 else f", dtype={value.dtype}"
        return f"Tensor({text}{dtype}, entry {self.index})"

    def become(self, other: Tensor) -> Tensor:
        """Stand for another value from now on: what assignment in place means on a tape.

        What was computed from the old value before stays what it was, and so does its entry.
        """
        self.value, self.tape, self.index = other.value, other.tape, other.index
        if hasattr(other, "tangent"):
            self.tangent = other.tangent
        return self

    # --- taking the value out ---------------------------------------------------------------------------------------

    def concrete(self, use: str) -> Any:
        """Return the plain value for a use that no tape can follow, unless a program is being captured."""
        inner: Any = self
        while type(inner) is Tensor:
            if inner.tape.static:
                raise BranchError(
                    f"{use} needs the value of a Tensor of shape {self.shape} while a program is captured, so that the "
                    f"program would hold for this value only; use np.where, or make it a static argument"
                )
            inner = inner.value
        return inner

    def __bool__(self) -> bool:
        self._refuse_storing(sys._getframe(1))
        return bool(self.concrete("bool(), as in `if` or `while`,"))

    def __contains__(self, item: Any) -> bool:
        return bool((self == item).any())

    def __float__(self) -> float:
        self._refuse_storing(sys._getframe(1))
        return float(self.concrete("float()"))

    def __int__(self) -> int:
        self._refuse_storing(sys._getframe(1))
        return int(self.concrete("int()"))

    def __complex__(self) -> complex:
        self._refuse_storing(sys._getframe(1))
        return complex(self.concrete("complex()"))

    def __index__(self) -> int:
        return self.concrete("an index").__index__()  # type: ignore[no-any-return]

    def __format__(self, spec: str) -> str:
        value = value_of(self)  # for a person to read, also while a program is captured
        return format(value.item() if self.size == 1 else value, spec)

    def _refuse_storing(self, frame: FrameType) -> None:
        """Raise if the calling frame is at ``array[i] = tensor``.

        For a single number NumPy asks the Tensor for its float there, and the gradient would be lost without a sign of
        it; from ``float(tensor)`` the same request is what the user wants. Only the instruction tells them apart.
        (NumPy turns what is raised here into a ValueError, with this as its cause.)
        """
        if frame.f_code.co_code[frame.f_lasti] == _STORE_SUBSCR:
            self.__array__()

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self.concrete("item()").item()

    def tolist(self) -> Any:
        """Return the value as nested lists of Python numbers."""
        return self.concrete("tolist()").tolist()

    def __reduce__(self) -> Any:
        raise NoGradientRule("a Tensor cannot be pickled or copied: it belongs to a recording; keep its .value instead")


def on_tape(value: Any, tape: Tape, index: int) -> Tensor:
    """Return the Tensor of a value, the tape it is on and the number of its entry there."""
    tensor = Tensor()
    tensor.value = value
    tensor.tape = tape
    tensor.index = index
    return tensor


class _Absent:
    """What stands on the class in the place of an attribute that Tensors do not have, and says what to do instead."""

    def __init__(self, name: str, advice: str = "") -> None:
        self.name = name
        self.advice = advice

    def __get__(self, tensor: Tensor | None, kind: type) -> Any:
        if self.advice:
            raise AttributeError(f"'Tensor' object has no attribute '{self.name}'{self.advice}")
        if load_rest() and has_method(self.name):  # another op may have taken this place by now
            return getattr(kind if tensor is None else tensor, self.name)
        raise NoSuchMethod(
            f"the array method .{self.name} has no gradient rule; use np. functions that have one, define your own op "
            f"with mg.primitive, or take the value out with mg.stop_gradient(x)"
        )


def has_method(name: str) -> bool:
    """Whether Tensors have an array method or attribute of this name."""
    return name in vars(Tensor) and type(vars(Tensor)[name]) is not _Absent


def _mark_absent() -> None:
    for name in dir(np.ndarray):
        if not name.startswith("_") and name not in vars(Tensor):
            setattr(Tensor, name, _Absent(name))
    for name in ("backward", "grad", "requires_grad", "zero_grad"):
        advice = ": gradients are returned, not stored; use mg.grad(f)(x), or tape.gradient(y, x)"
        setattr(Tensor, name, _Absent(name, advice))
    Tensor.numpy = _Absent("numpy", "; .value is the plain array")  # type: ignore[attr-defined]


_mark_absent()


def value_of(x: Any) -> Any:
    """Return the plain array inside a Tensor of any level; other things as they are."""
    while type(x) is Tensor:
        x = x.value
    return x


def read_only(x: Any) -> Any:
    """Return a view of an array that cannot be written to; Tensors and numbers as they are."""
    if type(x) is not np.ndarray:
        return x
    view = x.view()
    view.setflags(write=False)
    return view
