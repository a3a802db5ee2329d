"""Samples of attention: against the definition, one query at a time."""

import numpy as np

import minigrad as mg
from minigrad.ops import attention  # noqa: F401 (it is in the registry once loaded)
from tests.ops.samples import normal, rng, row

ALL = np.array(True)


def weights_of(q, k, mask, scale, causal):
    """Return the weights of all queries, (..., S, T), from the scores that count alone."""
    (*batch, length, _), width = q.shape, k.shape[-2]
    mask = np.broadcast_to(mask, (*batch, length, width))
    weights = np.zeros((*batch, length, width), q.dtype)
    for *place, i in np.ndindex(*batch, length):
        at = tuple(place)
        last = i + width - length if causal else width
        seen = [j for j in range(width) if mask[(*at, i, j)] and j <= last]
        if seen:
            scores = np.array([np.dot(q[(*at, i)], k[(*at, j)]) for j in seen], q.dtype) * scale
            powers = np.exp(scores - scores.max())
            weights[(*at, i, seen)] = powers / powers.sum()
    return weights


def attended(q, k, v, mask, keep, *, scale, causal, p):
    weights = weights_of(q, k, mask, scale, causal)
    return np.einsum("...st,...te->...se", weights * keep * np.asarray(1 / p, q.dtype), v)


def attended_backward(g, q, k, v, mask, keep, *, scale, causal, p):
    """Through the Jacobian of the softmax, query by query."""
    weights = weights_of(q, k, mask, scale, causal)
    dropped = keep * np.asarray(1 / p, q.dtype)
    d_weights = np.einsum("...se,...te->...st", g, v) * dropped
    jacobian = weights[..., None] * (np.eye(k.shape[-2], dtype=q.dtype) - weights[..., None, :])
    d_scores = np.einsum("...stu,...su->...st", jacobian, d_weights) * np.asarray(scale, q.dtype)
    d_v = np.einsum("...st,...se->...te", weights * dropped, g)
    return np.einsum("...st,...td->...sd", d_scores, k), np.einsum("...st,...sd->...td", d_scores, q), d_v


HOW = {
    "plain": ((2, 2), 3, 4, ALL, ALL, {"scale": 0.5, "causal": False, "p": 1.0}),
    "causal": ((2,), 3, 4, ALL, ALL, {"scale": 0.5, "causal": True, "p": 1.0}),
    "causal, fewer keys": ((2,), 4, 2, ALL, ALL, {"scale": 1.0, "causal": True, "p": 1.0}),
    "a mask for each head": ((2, 2), 3, 4, rng.random((2, 1, 4)) < 0.6, ALL, {"scale": 0.5, "causal": False, "p": 1.0}),
    "nothing for query 1": ((2,), 3, 4, np.arange(3)[:, None] != 1, ALL, {"scale": 0.5, "causal": False, "p": 1.0}),
    "everything": (
        (2, 2), 3, 4, rng.random((2, 1, 3, 4)) < 0.7, rng.random((2, 2, 3, 4)) < 0.8,
        {"scale": -0.7, "causal": True, "p": 0.8},
    ),
}  # fmt: skip

for label, (batch, length, width, mask, keep, how) in HOW.items():
    q, k, v = normal(*batch, length, 2), normal(*batch, width, 2), normal(*batch, width, 3)

    def call_backward(g, q, k, v, mask, keep, how=how):
        _, powers, total = mg.ops.dot_product_attention.all_outputs(q, k, v, mask, keep, **how)
        result = mg.ops.dot_product_attention(q, k, v, mask, keep, **how)
        return mg.ops.dot_product_attention_backward(
            g, q, k, v, mask, keep, result, powers, total, needs=("q", "k", "v"), unread=(), **how
        )

    def expected_backward(g, q, k, v, mask, keep, how=how):
        return attended_backward(g, q, k, v, mask, keep, **how)

    row("dot_product_attention", (q, k, v, mask, keep), attended, label=label, **how)
    row(
        "dot_product_attention_backward",
        (normal(*batch, length, 3), q, k, v, mask, keep),
        expected_backward,
        label=label,
        call=call_backward,
    )
