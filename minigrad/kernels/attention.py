"""Scaled dot product attention and its gradients, some blocks of the scores at a time.

The scores of all queries with all keys, (..., S, T), are the large arrays here; all else is (..., S, D) or (..., T, D).
So every pass over them counts, and the kernels go about it as follows.

- They work on blocks of queries, small enough that a block of scores stays in the cache from one step to the next.
- What makes the weights sum to 1 is divided out of the results, not of the weights: ``(powers @ v) / total``.
- The largest score of a row is subtracted only where exponentials could overflow otherwise. By the inequality of Cauchy
  and Schwarz no score is above the product of the longest query and the longest key, which costs little to know.
- The exponentials are kept for the backward pass while they are not too many, and are computed again where they are: a
  long sequence then takes memory in proportion to its length, not to its square.
- Where queries see only what came before them, keys that a whole block does not see are not looked at.

Both directions take ``mask`` and ``keep``, arrays of booleans that broadcast to the scores: which scores count at all,
and which weights dropout has kept (with probability ``p``). Where all count, or all are kept, a single true says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .choice import kernel

__all__ = ["attend", "attend_backward", "in_order"]

BLOCK = 1 << 20
"""How many bytes of scores to compute at a time: about what fits into a core's cache."""

KEPT = 1 << 26
"""Up to how many bytes of exponentials are kept for the backward pass."""

SAFE = 40.0
"""Scores from -SAFE to SAFE have exponentials, sums and quotients that float32 holds to full precision."""


@kernel
def attend(
    q: Any, k: Any, v: Any, mask: Any, keep: Any, *, scale: float, causal: bool, p: float
) -> tuple[Any, Any, Any]:
    """Return for each query the mean of the values, weighted by the softmax of its scores with the keys.

    Parameters
    ----------
    q : array (..., S, D)
    k : array (..., T, D)
    v : array (..., T, E)
        All with the same leading axes.

    Returns
    -------
    out : array (..., S, E)
    powers : array (..., S, T), or empty (0,) if they are too many to keep
        Exponentials of the scores, up to a factor for each query; 0 where the score does not count.
    total : array (N, S, 1)
        Their sums, for N sequences in all, before dropout; 1 for a query without any score that counts. If the
        exponentials are not kept, the logarithm of the sum of those of the scores themselves: ``exp(score - total)``
        are then the weights, and cannot overflow.
    """
    batch, (q, k, v) = _stacked(q, k, v)
    scores = _Scores(q, k, mask, scale, causal, batch)
    dropout = _Choice(keep, batch)
    count, length, width = scores.shape
    out = np.empty((count, length, v.shape[2]), q.dtype)
    total, shift = np.empty((count, length, 1), q.dtype), np.zeros((count, length, 1), q.dtype)
    stays = math.prod(scores.shape) * q.itemsize <= KEPT
    powers = np.empty(scores.shape if stays else 0, q.dtype)
    scratch, ones = _Scratch(q.dtype), np.ones((width, 1), q.dtype)
    for block in scores.blocks():
        part = powers[block.scores] if stays else scratch("powers", block)
        scores.powers(block, out=part, shift=shift[block.queries])
        if stays:
            powers[block.items, block.rows, block.seen :] = 0
        np.matmul(part, ones[: block.seen], out=total[block.queries])  # faster than a sum along short rows
        if not dropout.all:
            part = np.multiply(part, dropout(block), out=scratch("dropped", block))
        np.matmul(part, v[block.keys], out=out[block.queries])
    total[total == 0] = 1
    out /= total if dropout.all else total * total.dtype.type(p)
    if not stays:
        total = np.log(total) + shift
    out = out.reshape(*batch, *out.shape[1:])
    return out, powers.reshape(*batch, length, width) if stays else powers, total


@kernel
def attend_backward(
    g: Any,
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    keep: Any,
    out: Any,
    powers: Any,
    total: Any,
    *,
    scale: float,
    causal: bool,
    p: float,
    wants: tuple[str, ...],
) -> tuple[Any, ...]:
    """Return the cotangents of those of q, k and v that are wanted, given ``g``, that of the output (..., S, E).

    With the weights ``w = powers / total``, of which dropout makes ``w * keep / p``, the cotangent of the scores is
    ``w * (keep / p * (g @ v.T) - sum(g * out))``. The other arguments are those and the results of :func:`attend`.
    """
    batch, (q, k, v, g, out) = _stacked(q, k, v, g, out)
    scores = _Scores(q, k, mask, scale, causal, batch)
    dropout = _Choice(keep, batch)
    stays = powers.ndim > 1
    if stays:
        powers = powers.reshape(scores.shape)
    found = {name: np.zeros(x.shape, x.dtype) for name, x in (("q", q), ("k", k), ("v", v)) if name in wants}
    scratch = _Scratch(q.dtype)
    for block in scores.blocks():
        kept = None if dropout.all else dropout(block)
        above, below = g[block.queries], total[block.queries]
        if stays:
            part = powers[block.scores]
        else:
            part, below = scores.weights(block, below, out=scratch("powers", block)), np.ones_like(below)
        share = above / (below if kept is None else below * below.dtype.type(p))
        if "v" in found:
            dropped = part if kept is None else np.multiply(part, kept, out=scratch("d", block))
            _add_product(found["v"], block, dropped, share)
        if "q" in found or "k" in found:
            d = np.matmul(share, v[block.keys].swapaxes(1, 2), out=scratch("d", block))
            if kept is not None:
                d *= kept
            d -= np.einsum("nse,nse->ns", above, out[block.queries])[..., None] / below
            d *= part
            if "q" in found:
                found["q"][block.queries] = np.matmul(d, k[block.keys]) * scores.scale
            if "k" in found:
                _add_product(found["k"], block, d, scores.scaled(block))
    return tuple(found[name].reshape(*batch, *found[name].shape[1:]) for name in wants)


def in_order(length: int, width: int, rows: slice = slice(None)) -> Any:
    """Return which of T keys each of S queries sees if none sees what comes later, (S, T); the last query sees all."""
    last = np.arange(width - length, width)[rows]
    return np.arange(width) <= last[:, None]


def _stacked(*arrays: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Return the leading axes of arrays, and the arrays with one axis in their place, all of one dtype.

    That is float32 for float16, in which sums and exponentials would overflow early.
    """
    dtype = np.result_type(*arrays, np.float16)
    dtype = np.dtype(np.float32) if dtype == np.float16 else dtype
    batch = arrays[0].shape[:-2]
    return batch, [x.astype(dtype, copy=False).reshape(math.prod(batch), *x.shape[-2:]) for x in arrays]


class _Block(NamedTuple):
    """Some queries of some sequences, and how many keys they see."""

    items: slice
    rows: slice
    seen: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.items.stop - self.items.start, self.rows.stop - self.rows.start, self.seen

    @property
    def queries(self) -> tuple[slice, slice]:
        return self.items, self.rows

    @property
    def keys(self) -> tuple[slice, slice]:
        return self.items, slice(self.seen)

    @property
    def scores(self) -> tuple[slice, slice, slice]:
        return self.items, self.rows, slice(self.seen)


class _Scores:
    """The scores of N sequences, (N, S, T), and their exponentials, block by block."""

    def __init__(self, q: Any, k: Any, mask: Any, scale: float, causal: bool, batch: tuple[int, ...]) -> None:
        self.q, self.k, self.causal = q, k, causal
        self.shape = (len(q), q.shape[1], k.shape[1])
        self.scale = q.dtype.type(scale)
        self.mask = _Choice(mask, batch)
        longest = [float(np.einsum("nsd,nsd->ns", x, x).max(initial=0)) for x in (q, k)]
        self.bounded = abs(scale) * math.sqrt(longest[0]) * math.sqrt(longest[1]) <= SAFE  # false for NaN

    def blocks(self) -> Iterator[_Block]:
        """Go over all queries of all sequences."""
        count, length, width = self.shape
        row = max(1, width * self.q.itemsize)
        rows, items = (max(1, BLOCK // size) for size in (row, row * max(1, length)))
        for item in range(0, count, items):
            for start in range(0, length, rows):
                stop = min(start + rows, length)
                seen = min(max(0, stop + width - length), width) if self.causal else width
                yield _Block(slice(item, min(item + items, count)), slice(start, stop), seen)

    def scaled(self, block: _Block) -> Any:
        """Return the queries of a block times the scale."""
        return self.q[block.queries] * self.scale

    def powers(self, block: _Block, out: Any, shift: Any) -> Any:
        """Return the exponentials of a block's scores, up to a factor for each query, written into `out`.

        They are those of the scores less what is written into `shift`, which holds zeros before.
        """
        scores = self(block, out)
        if not self.bounded:
            # Not below the lowest number, so that where nothing counts -inf stays -inf, with a power of 0.
            np.max(scores, axis=2, keepdims=True, initial=np.finfo(scores.dtype).min, out=shift)
            self._lower(scores, shift)
        with np.errstate(under="ignore"):
            return np.exp(scores, out=scores)

    def weights(self, block: _Block, total: Any, out: Any) -> Any:
        """Return ``exp(score - total)`` for a block, written into `out`."""
        scores = self(block, out)
        self._lower(scores, total)
        with np.errstate(under="ignore"):
            return np.exp(scores, out=scores)

    def __call__(self, block: _Block, out: Any) -> Any:
        """Return a block's scores, written into `out`; -inf where they do not count."""
        scores = np.matmul(self.scaled(block), self.k[block.keys].swapaxes(1, 2), out=out)
        if self.causal:
            _, length, width = self.shape
            np.copyto(scores, -np.inf, where=~in_order(length, width, block.rows)[:, : block.seen])
        if not self.mask.all:
            np.copyto(scores, -np.inf, where=~self.mask(block))
        return scores

    @staticmethod
    def _lower(scores: Any, by: Any) -> None:
        with np.errstate(over="ignore"):  # a difference that is too large for the dtype has a power of 0 as well
            scores -= by


class _Choice:
    """Booleans that broadcast to the scores, block by block, without a copy of the size of all scores.

    Attributes
    ----------
    all : bool
        Whether all are true, so that no block needs to be asked for.
    """

    def __init__(self, mask: Any, batch: tuple[int, ...]) -> None:
        self.all = bool(mask.all())
        mask = mask.reshape((1,) * (len(batch) + 2 - mask.ndim) + mask.shape)
        own, count = mask.shape[:-2], math.prod(mask.shape[:-2])
        self.sheets = mask.reshape(count, *mask.shape[-2:])
        self.sheet = np.broadcast_to(np.arange(count).reshape(own), batch).reshape(-1)  # the one of each sequence

    def __call__(self, block: _Block) -> Any:
        _, length, width = self.sheets.shape
        sheets = self.sheets[:, block.rows if length > 1 else slice(1), : block.seen if width > 1 else 1]
        return sheets if len(sheets) == 1 else sheets[self.sheet[block.items]]


class _Scratch:
    """Memory that each block uses again."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.arrays: dict[str, Any] = {}

    def __call__(self, name: str, block: _Block) -> Any:
        size = math.prod(block.shape)
        if name not in self.arrays or self.arrays[name].size < size:
            self.arrays[name] = np.empty(size, self.dtype)
        return self.arrays[name][:size].reshape(block.shape)


def _add_product(total: Any, block: _Block, scores: Any, queries: Any) -> None:
    """Add to the keys of a block, (..., T, D), what its scores (..., S, T) send there from its queries (..., S, D)."""
    product = np.matmul(scores.swapaxes(1, 2), queries, out=total[block.keys] if block.rows.start == 0 else None)
    if block.rows.start:
        total[block.keys] += product
