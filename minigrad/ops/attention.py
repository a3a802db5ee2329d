"""Attention: scaled dot products, several heads, and the positions of what is attended to."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from ..autodiff.fused import fused
from ..core.errors import DataError, DTypeError, OptionError, ShapeError
from ..core.explain import where
from ..core.tensor import Tensor, value_of
from ..kernels import attention as kernels
from .affine import affine
from .define import as_array
from .dropout import drop
from .special import softmax

__all__ = ["attention", "multi_head_attention", "positional_encoding"]

ALL = np.array(True)
"""Stands for a mask where none is given: everything may be attended to, everything is kept."""

# --- scaled dot products ---------------------------------------------------------------------------------------------


def _reference(q: Any, k: Any, v: Any, mask: Any, keep: Any, *, scale: float, causal: bool, p: float) -> Any:
    scores = np.matmul(q, np.swapaxes(k, -1, -2)) * scale
    allowed = np.logical_and(mask, kernels.in_order(q.shape[-2], k.shape[-2])) if causal else mask
    weights = softmax(np.where(allowed, scores, -np.inf), axis=-1)
    return np.matmul(drop(weights, keep, p=p), v)


@fused(reference=_reference, outputs=("result", "powers", "total"), visible=1)
def dot_product_attention(q, k, v, mask, keep, *, scale, causal, p):
    """Attend with arrays that have been checked, and a mask and a keep of booleans: what :func:`attention` records."""
    result, powers, total = kernels.attend(q, k, v, mask, keep, scale=scale, causal=causal, p=p)
    return result.astype(np.result_type(q, k, v, np.float16), copy=False), powers, total


@dot_product_attention.backward
def dot_product_attention_backward(g, q, k, v, mask, keep, result, powers, total, *, scale, causal, p, wants):
    """The softmax's cotangent and four matrix products, block by block."""
    given = {"q": q, "k": k, "v": v}
    found = kernels.attend_backward(
        g, q, k, v, mask, keep, result, powers, total, scale=scale, causal=causal, p=p, wants=wants
    )
    return tuple(cotangent.astype(given[name].dtype, copy=False) for name, cotangent in zip(wants, found))


for _op in (dot_product_attention, dot_product_attention_backward):
    _op.vjp(mask=None, keep=None)


def attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    keep: Any = None,
    p: float = 1.0,
) -> Any:
    """Scaled dot product attention: for each query the mean of the values, weighted by how its key fits the query.

    ``softmax(q @ k.T * scale) @ v``, the softmax over the keys that may be attended to. A query that may attend to
    nothing gets an output of 0, and gradients of 0. (Vaswani et al., Attention is all you need, 2017, arXiv:1706.03762,
    section 3.2.1; CS231n, assignment 3.)

    Parameters
    ----------
    q : array (..., S, D)
        S queries. The leading axes (samples, heads) of q, k and v broadcast.
    k : array (..., T, D)
        T keys.
    v : array (..., T, E)
        Their values.
    mask : array that broadcasts to (..., S, T), optional
        Of booleans, true where a query may attend to a key; or of the numbers 1 and 0, in the same meaning. For keys
        that only fill up shorter sequences, booleans (N, T), it is ``mask[:, None, :]``, and with heads
        ``mask[:, None, None, :]``.
    causal : bool
        Whether a query sees only what came before: query i the keys up to ``i + T - S``. So the last query sees all
        keys; where there are fewer keys than queries, the first S - T queries see none. With a mask, both apply.
    scale : float, optional
        ``1 / sqrt(D)`` when it is left out.
    keep : array of booleans that broadcasts to (..., S, T), optional
        Dropout of the weights: those to keep, drawn with :func:`dropout_mask`. They are divided by `p`; a query's
        weights then sum to 1 in the mean over many draws. Leave it out at test time, and nothing is dropped.
    p : float
        The probability of KEEPING with which `keep` was drawn.

    Returns
    -------
    array (..., S, E)

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If an array is not of real numbers, or the mask or `keep` not of what is said above.
    DataError
        If a mask of numbers has others than 0 and 1, such as the 0 and -inf that are added to scores elsewhere (turn
        them into booleans by ``mask == 0``), or floats of which all are 0, which could mean either.
    OptionError
        If p is not above 0 and at most 1, or some weights are dropped and p is 1; if the scale is not a finite number.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> q, k = np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([[1.0, 0.0], [-1.0, 0.0]])
    >>> v = np.array([[10.0], [20.0]])
    >>> mg.ops.attention(q, k, v).round(3)
    array([[15.],
           [10.]])
    >>> mg.ops.attention(q, k, v, np.array([[True, False], [False, False]]))
    array([[10.],
           [ 0.]])
    """
    return _attend("attention", q, k, v, mask, causal=causal, scale=scale, keep=keep, p=p)


def _attend(name: str, q: Any, k: Any, v: Any, mask: Any, *, causal: Any, scale: Any, keep: Any, p: Any) -> Any:
    q, k, v = (_real(name, what, x) for what, x in (("q", q), ("k", k), ("v", v)))
    batch = _check_shapes(name, q.shape, k.shape, v.shape)
    q, k, v = (x if x.shape[:-2] == batch else np.broadcast_to(x, batch + x.shape[-2:]) for x in (q, k, v))
    scores = (*batch, q.shape[-2], k.shape[-2])
    scale = _check_scale(name, scale, q.shape[-1])
    mask = ALL if mask is None else _check_mask(name, mask, scores)
    keep = ALL if keep is None else _check_keep(name, keep, scores, p)
    p = 1.0 if keep is ALL else float(p)
    return dot_product_attention(q, k, v, mask, keep, scale=scale, causal=bool(causal), p=p)


def _real(name: str, what: str, x: Any) -> Any:
    x = as_array(x)
    if x.dtype.kind not in "fiu":
        raise DTypeError(f"{where(name)}: {what} {x.shape} is {x.dtype}, and real numbers were expected")
    return x


def _check_shapes(name: str, q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...]) -> tuple[int, ...]:
    """Return the leading axes that q, k and v broadcast to, or raise."""
    call = f"{where(name)}: q {q}, k {k}, v {v}"
    if min(map(len, (q, k, v))) < 2:
        raise ShapeError(f"{call}: expected q (..., S, D), k (..., T, D) and v (..., T, E)")
    if q[-1] != k[-1]:
        raise ShapeError(
            f"{call}: a query has {q[-1]} elements and a key {k[-1]}, and their dot product needs as many in both: "
            f"expected q (..., S, D) and k (..., T, D)"
        )
    if k[-2] != v[-2]:
        raise ShapeError(
            f"{call}: there are {k[-2]} keys and {v[-2]} values, and each key has one value: expected k (..., T, D) "
            f"and v (..., T, E)"
        )
    try:
        return np.broadcast_shapes(q[:-2], k[:-2], v[:-2])
    except ValueError:
        raise ShapeError(
            f"{call}: the leading axes {q[:-2]}, {k[:-2]} and {v[:-2]} do not broadcast; make them equal, or 1"
        ) from None


def _check_scale(name: str, scale: Any, width: int) -> float:
    if scale is None:
        return 1 / math.sqrt(max(width, 1))
    if type(scale) is Tensor:
        raise OptionError(
            f"{where(name)}: scale= came as a Tensor, and no gradient flows to it; multiply q by it, and give scale=1.0"
        )
    if not isinstance(scale, Real) or not math.isfinite(scale):
        raise OptionError(f"{where(name)}: scale={scale!r} came, and a finite number was expected")
    return float(scale)


def _check_mask(name: str, mask: Any, scores: tuple[int, ...]) -> Any:
    """Return a mask of booleans or of 0 and 1 as one of booleans, or raise."""
    mask = as_array(mask)
    _check_fits(name, "mask", mask.shape, scores)
    if mask.dtype == bool:
        return mask
    call = f"{where(name)}: the mask {mask.shape} is {mask.dtype}"
    if mask.dtype.kind not in "fiu":
        raise DTypeError(f"{call}, and booleans were expected: true where a query may attend to a key")
    values = np.asarray(value_of(mask))
    other = values[(values != 0) & (values != 1)]
    added = "if it is one to add to the scores (0 where allowed, -inf or -1e9 where not), give mask == 0"
    if other.size:
        raise DataError(
            f"{call} and has {other[0]} in it; expected booleans, or the numbers 1 (may be attended to) and 0 (may "
            f"not); {added}"
        )
    if mask.dtype.kind == "f" and values.size and not values.any():
        raise DataError(
            f"{call} and 0 everywhere, which could mean that nothing may be attended to, or that nothing is added to "
            f"the scores; say it with booleans: {added}, else mask.astype(bool)"
        )
    return np.not_equal(mask, 0)


def _check_keep(name: str, keep: Any, scores: tuple[int, ...], p: Any) -> Any:
    keep = as_array(keep)
    _check_fits(name, "keep", keep.shape, scores)
    if keep.dtype != bool:
        raise DTypeError(
            f"{where(name)}: keep {keep.shape} is {keep.dtype}, and booleans were expected (true is kept); use "
            f"keep.astype(bool). The division by p is done here"
        )
    if not 0 < p <= 1:
        raise OptionError(
            f"{where(name)}: p={p!r} came; p is the probability of KEEPING a weight, above 0 and at most 1"
        )
    if p == 1 and not np.asarray(value_of(keep)).all():
        raise OptionError(
            f"{where(name)}: keep drops some of the weights, and p={p!r} says that all are kept; give the p with which "
            f"it was drawn"
        )
    return keep


def _check_fits(name: str, what: str, shape: tuple[int, ...], scores: tuple[int, ...]) -> None:
    """Raise unless a mask's shape broadcasts to that of the scores."""
    if _fits(shape, scores):
        return
    *batch, length, width = scores
    hint = ""
    if len(shape) == 2 and batch and shape == (batch[0], width):
        hint = f"; for keys that no query of a sample sees, give {what}[:, {'None, ' * (len(batch) - 1)}None, :]"
    elif len(shape) >= 2 and _fits((*shape[:-2], shape[-1], shape[-2]), scores):
        hint = f"; did you mean {what}.swapaxes(-1, -2)? Queries come first, then keys"
    elif len(shape) == 3 and len(batch) == 2 and _fits((shape[0], 1, *shape[1:]), scores):
        hint = f"; for one per sample, give {what}[:, None]"
    raise ShapeError(
        f"{where(name)}: {what} {shape} came for {length} queries and {width} keys; expected {scores}, or a shape that "
        f"broadcasts to it{hint}"
    )


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    return len(shape) <= len(target) and all(a in (1, b) for a, b in zip(shape[::-1], target[::-1]))


# --- several heads ---------------------------------------------------------------------------------------------------


def multi_head_attention(
    query: Any,
    key: Any,
    value: Any,
    Wq: Any,
    bq: Any,
    Wk: Any,
    bk: Any,
    Wv: Any,
    bv: Any,
    Wo: Any,
    bo: Any,
    *,
    heads: int,
    mask: Any = None,
    causal: bool = False,
    keep: Any = None,
    p: float = 1.0,
) -> Any:
    """Attention by several heads, each with projections of its own, and a projection of what they found.

    ``concatenate([attention(query @ Wq[:, h], key @ Wk[:, h], value @ Wv[:, h]) for each head h]) @ Wo``, with biases;
    a head has its share of the columns. Self-attention is ``query = key = value``. (Vaswani et al., 2017,
    arXiv:1706.03762, section 3.2.2; CS231n, assignment 3.)

    Parameters
    ----------
    query : array (N, S, E)
    key, value : arrays (N, T, E)
        Their widths may be others, if the weights have them.
    Wq, Wk, Wv, Wo : arrays (E, E)
        Used as ``x @ W``. In general (width of query, A), (width of key, A), (width of value, B) and (B, any).
    bq, bk, bv, bo : arrays (E,)
    heads : int
        A divisor of E (of A and B); the scores are divided by ``sqrt(A / heads)``.
    mask, causal, keep, p
        As in :func:`attention`. Masks broadcast to (N, heads, S, T). One for each sample, (N, S, T), is given as
        ``mask[:, None]``; one with three axes is refused, since it could also be one for each head.

    Returns
    -------
    array (N, S, E)

    Raises
    ------
    ShapeError
        If the shapes do not fit, or the heads do not divide the width.
    OptionError
        If `heads` is no positive number, and as :func:`attention`.
    DTypeError, DataError
        As :func:`attention`.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> x, W, b = np.ones((2, 5, 4)), np.eye(4), np.zeros(4)
    >>> out = mg.ops.multi_head_attention(x, x, x, W, b, W, b, W, b, W, b, heads=2, causal=True)
    >>> out.shape, bool(np.allclose(out, x))
    ((2, 5, 4), True)
    """
    name = "multi_head_attention"
    query, key, value = (_sequences(name, what, x) for what, x in (("query", query), ("key", key), ("value", value)))
    if len({query.shape[0], key.shape[0], value.shape[0]}) > 1 or key.shape[1] != value.shape[1]:
        raise ShapeError(
            f"{where(name)}: query {query.shape}, key {key.shape}, value {value.shape}: expected as many samples in "
            f"all three, and as many keys as values: (N, S, E), (N, T, E), (N, T, E)"
        )
    if type(heads) is bool or not isinstance(heads, (int, np.integer)) or heads < 1:
        raise OptionError(f"{where(name)}: heads={heads!r} came, and a positive whole number was expected")
    q, k, v = (
        _split_heads(_project(name, letter, what, x, W, b), heads, f"{where(name)}: W{letter}")
        for letter, what, x, W, b in (
            ("q", "query", query, Wq, bq),
            ("k", "key", key, Wk, bk),
            ("v", "value", value, Wv, bv),
        )
    )
    for what, given in (("mask", mask), ("keep", keep)):
        if given is not None and np.ndim(given) == 3:
            raise ShapeError(
                f"{where(name)}: {what} {np.shape(given)} came, and (S, T) or what broadcasts to (N, heads, S, T) was "
                f"expected, here {(*q.shape[:-1], k.shape[-2])}; give {what}[:, None] if it is one for each sample, "
                f"{what}[None] if it is one for each head"
            )
    found = _attend(name, q, k, v, mask, causal=causal, scale=None, keep=keep, p=p)
    samples, _, length, width = found.shape
    joined = np.reshape(np.transpose(found, (0, 2, 1, 3)), (samples, length, heads * width))
    return _project(name, "o", "the heads' results", joined, Wo, bo)


def _sequences(name: str, what: str, x: Any) -> Any:
    x = _real(name, what, x)
    if len(x.shape) != 3:
        raise ShapeError(f"{where(name)}: {what} of shape {x.shape} came, and (N, length, width) was expected")
    return x


def _project(name: str, letter: str, what: str, x: Any, W: Any, b: Any) -> Any:
    """Return ``x @ W + b`` for x (N, length, width)."""
    W, b = as_array(W), as_array(b)
    if len(W.shape) != 2 or W.shape[0] != x.shape[2]:
        hint = "; did you mean its transpose (.T)?" if len(W.shape) == 2 and W.shape[1] == x.shape[2] else ""
        raise ShapeError(
            f"{where(name)}: W{letter} {W.shape} came for {what} {x.shape}; expected ({x.shape[2]}, any){hint}"
        )
    if b.shape != W.shape[1:]:
        raise ShapeError(
            f"{where(name)}: b{letter} {b.shape} came for W{letter} {W.shape}; expected {W.shape[1:]}, one element per "
            f"column"
        )
    samples, length, width = x.shape
    return np.reshape(affine(np.reshape(x, (samples * length, width)), W, b), (samples, length, W.shape[1]))


def _split_heads(x: Any, heads: int, whose: str) -> Any:
    """Return (N, heads, length, width / heads) for (N, length, width)."""
    samples, length, width = x.shape
    if width % heads:
        divisors = [str(n) for n in range(1, width + 1) if width % n == 0]
        raise ShapeError(
            f"{whose} has {width} columns, and heads={heads} does not divide them evenly; these would: "
            f"{', '.join(divisors)}"
        )
    return np.transpose(np.reshape(x, (samples, length, heads, width // heads)), (0, 2, 1, 3))


# --- positions -------------------------------------------------------------------------------------------------------


def positional_encoding(length: int, width: int, *, dtype: Any = np.float64) -> Any:
    """Sines and cosines that tell positions apart, to be added to what stands there. A plain array.

    ``sin(i * 10000**(-j / width))`` in row i for even columns j, ``cos(i * 10000**(-(j - 1) / width))`` for odd ones.
    (Vaswani et al., 2017, arXiv:1706.03762, section 3.5; CS231n, assignment 3.)

    Parameters
    ----------
    length : int
        How many positions.
    width : int
        How many elements each has.
    dtype : dtype of floats

    Returns
    -------
    array (length, width)

    Raises
    ------
    OptionError
        If `length` or `width` is no whole number from 0 on, or the dtype not one of floats.

    Examples
    --------
    >>> import minigrad as mg
    >>> mg.ops.positional_encoding(3, 4).round(2)
    array([[ 0.  ,  1.  ,  0.  ,  1.  ],
           [ 0.84,  0.54,  0.01,  1.  ],
           [ 0.91, -0.42,  0.02,  1.  ]])
    """
    for what, size in (("length", length), ("width", width)):
        if type(size) is bool or not isinstance(size, (int, np.integer)) or size < 0:
            raise OptionError(
                f"{where('positional_encoding')}: {what}={size!r} came, and a whole number from 0 on was expected"
            )
    if np.dtype(dtype).kind != "f":
        raise OptionError(
            f"{where('positional_encoding')}: dtype={np.dtype(dtype)} came, and a dtype of floats was expected"
        )
    column = np.arange(width)
    angle = np.arange(length)[:, None] * 10000.0 ** (-(column - column % 2) / max(width, 1))
    return np.where(column % 2, np.cos(angle), np.sin(angle)).astype(dtype)
