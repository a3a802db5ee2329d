"""Attention as a user calls it: against its definition, finite differences and PyTorch; masks and messages."""

import tracemalloc
from functools import partial

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import attention as kernels
from minigrad.ops.attention import attention, multi_head_attention, positional_encoding
from tests.gradients import agrees, gradients_of

rng = np.random.default_rng(47)
Q, K, V = (rng.standard_normal(shape) for shape in ((2, 3, 4), (2, 5, 4), (2, 5, 6)))
MASK = rng.random((2, 3, 5)) < 0.6
NAMES = "query key value Wq bq Wk bk Wv bv Wo bo".split()


def normal(*shape):
    return rng.standard_normal(shape)


def composed(q, k, v, mask=True, causal=False, scale=None, keep=True, p=1.0):
    """Attention in simple steps, for scores that do not overflow; all rows must have something to attend to."""
    (length, width), scale = (q.shape[-2], k.shape[-2]), scale or q.shape[-1] ** -0.5
    if causal:
        mask = np.logical_and(mask, np.tri(length, width, width - length, dtype=bool))
    powers = np.exp(np.matmul(q, np.swapaxes(k, -1, -2)) * scale) * mask
    weights = powers / np.sum(powers, axis=-1, keepdims=True)
    return np.matmul(weights * keep * (1 / p), v)


def same(f, g, *args, tolerance=1e-12):
    """Assert that two functions have the same values and gradients."""
    found, wanted = gradients_of(f, args), gradients_of(g, args)
    np.testing.assert_allclose(found[0], wanted[0], rtol=tolerance, atol=tolerance)
    for a, b in zip(found[1], wanted[1]):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# --- values and derivatives ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"causal": True},
        {"scale": 0.3},
        {"mask": np.array([True, False, True, True, False])},
        {"mask": np.array([[1, 0, 1, 0, 0]] * 3), "causal": True},
        {"mask": np.array([[[1.0]], [[1.0]]])},
        {"keep": rng.random((2, 3, 5)) < 0.7, "p": 0.7},
        {"keep": rng.random((3, 1)) < 0.5, "p": 0.5, "causal": True, "mask": np.arange(5) < 4},
    ],
    ids=lambda how: ",".join(how),
)
def test_it_is_what_the_formula_says(how):
    same(partial(attention, **how), partial(composed, **how), Q, K, V)
    agrees(partial(attention, **how), Q, K, V)


def test_two_axes_are_enough_and_leading_axes_broadcast():
    assert attention(Q[0], K[0], V[0]).shape == (3, 6)
    for shapes in [
        ((2, 3, 3, 4), (2, 1, 5, 4), (5, 6)),
        ((3, 4), (2, 5, 4), (2, 5, 1)),
        ((1, 3, 4), (5, 4), (7, 5, 2)),
    ]:
        same(attention, composed, *(normal(*shape) for shape in shapes))
    agrees(attention, normal(2, 1, 3, 4), normal(3, 5, 4), normal(5, 2))


@pytest.mark.parametrize("length, width", [(1, 1), (1, 4), (4, 4), (2, 5), (5, 2)])
def test_causal_lets_the_last_query_see_all_keys(length, width):
    q, k, v = normal(2, length, 3), normal(2, width, 3), normal(2, width, 3)
    out = attention(q, k, v, causal=True)
    for i in range(length):
        seen = max(0, i + 1 + width - length)
        wanted = attention(q[:, i : i + 1], k[:, :seen], v[:, :seen])[:, 0]
        np.testing.assert_allclose(out[:, i], wanted, rtol=1e-12)
    assert not out[:, : max(0, length - width)].any()
    agrees(partial(attention, causal=True), q, k, v)


def test_what_is_masked_has_no_influence_and_no_gradient():
    mask = np.arange(5) < 3
    _, gradients = gradients_of(partial(attention, mask=mask), (Q, K, V))
    assert not gradients[1][:, 3:].any() and not gradients[2][:, 3:].any()
    far = K + np.where(mask, 0, 1e6)[:, None]
    np.testing.assert_allclose(attention(Q, far, V, mask), attention(Q, K[:, :3], V[:, :3]), rtol=1e-12)


@pytest.mark.parametrize("far", [1.0, 1e3], ids=["small scores", "large scores"])
def test_a_query_that_may_attend_to_nothing_gives_zero(far):
    mask = MASK.copy()
    mask[0, 1] = False
    out, (d_q, _, _) = gradients_of(partial(attention, mask=mask), (far * Q, K, V))
    assert not out[0, 1].any() and not d_q[0, 1].any()
    assert np.isfinite(out).all() and out.any()
    hidden = np.zeros((2, 3, 5), bool)
    out, gradients = gradients_of(partial(attention, mask=hidden), (far * Q, K, V))
    assert not any(x.any() for x in (out, *gradients))
    agrees(partial(attention, mask=mask, causal=True), Q, K, V)


def test_nothing_to_attend_to_or_with():
    for length, width, size in [(0, 4, 3), (3, 0, 3), (0, 0, 3), (3, 4, 0)]:
        for batch in [(), (2,), (0, 2)]:
            args = normal(*batch, length, size), normal(*batch, width, size), normal(*batch, width, 2)
            for causal in (False, True):
                out, gradients = gradients_of(partial(attention, causal=causal), args)
                assert out.shape == (*batch, length, 2)
                assert [g.shape for g in gradients] == [x.shape for x in args]
                assert not any(g.any() for g in gradients[:2])
                assert size == 0 or not out.any()
    np.testing.assert_allclose(attention(normal(3, 0), normal(4, 0), V[0, :4])[0], V[0, :4].mean(axis=0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("factor", [1e2, 1e4])
def test_large_scores_do_not_overflow(dtype, factor):
    """The softmax becomes a choice of the highest score. Scores of float16 go far beyond its largest number."""
    q, k, v = (x.astype(dtype) for x in (factor * np.sign(Q), np.sign(K) * np.arange(1, 6)[:, None], V))
    out, gradients = gradients_of(partial(attention, scale=1.0), (q, k, v))
    assert out.dtype == dtype and {g.dtype for g in gradients} == {np.dtype(dtype)}
    scores = np.matmul(q.astype(float), k.astype(float).swapaxes(-1, -2))
    highest = scores == scores.max(axis=-1, keepdims=True)
    wanted = np.matmul(highest / highest.sum(axis=-1, keepdims=True), v.astype(float))
    np.testing.assert_allclose(out.astype(float), wanted, rtol=1e-2 if dtype == np.float16 else 1e-5)
    assert all(np.isfinite(g).all() for g in gradients)


def test_scores_of_both_ends_of_float32():
    q, k, v = (np.array(x, np.float32) for x in ([[3e19], [-3e19]], [[1e19], [-1e19]], [[1.0], [2.0]]))
    np.testing.assert_array_equal(attention(q, k, v, scale=1.0), [[1.0], [2.0]])


def test_dtypes():
    integers = np.arange(6).reshape(2, 3)
    assert attention(integers, integers, integers).dtype == np.float64
    mixed = gradients_of(attention, (Q.astype(np.float32), K, V.astype(np.float32)))
    assert mixed[0].dtype == np.float64
    assert [g.dtype for g in mixed[1]] == [np.float32, np.float64, np.float32]
    assert attention(Q.astype(np.float32), K.astype(np.float32), V.astype(np.float32), scale=np.float64(0.5)).dtype == (
        np.float32
    )
    assert isinstance(attention(Q[0].tolist(), K[0].tolist(), V[0].tolist(), [[True] * 5] * 3), np.ndarray)


# --- the ways of the kernel ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 100, 400], ids=lambda n: f"blocks of {n} bytes")
@pytest.mark.parametrize("kept", [0, 1 << 26], ids=["computed again", "kept"])
@pytest.mark.parametrize("safe", [-1.0, 40.0], ids=["largest subtracted", "as it is"])
def test_every_way_gives_the_same(monkeypatch, block, kept, safe):
    q, k, v = normal(2, 3, 7, 4), normal(2, 3, 9, 4), normal(2, 3, 9, 5)
    mask, keep = rng.random((2, 1, 7, 9)) < 0.8, rng.random((2, 3, 7, 9)) < 0.8
    mask[..., 0] = True
    for how in [{}, {"causal": True}, {"mask": mask, "causal": True, "keep": keep, "p": 0.8}]:
        wanted = gradients_of(partial(composed, **how), (q, k, v))
        for name, value in (("BLOCK", block), ("KEPT", kept), ("SAFE", safe)):
            monkeypatch.setattr(kernels, name, value)
        found = gradients_of(partial(attention, **how), (q, k, v))
        for a, b in zip((found[0], *found[1]), (wanted[0], *wanted[1])):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        for one in range(3):  # each alone takes its own way through the backward kernel
            _, (alone,) = gradients_of(partial(attention, **how), (q, k, v), wrt=(one,))
            np.testing.assert_allclose(alone, wanted[1][one], rtol=1e-12, atol=1e-12)


def test_fewer_keys_than_queries_in_blocks(monkeypatch):
    args = normal(2, 9, 3), normal(2, 4, 3), normal(2, 4, 2)
    wanted = gradients_of(partial(attention, causal=True), args)
    monkeypatch.setattr(kernels, "BLOCK", 64)
    found = gradients_of(partial(attention, causal=True), args)
    for a, b in zip((found[0], *found[1]), (wanted[0], *wanted[1])):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_a_long_sequence_takes_memory_for_a_few_blocks_of_scores(monkeypatch):
    monkeypatch.setattr(kernels, "KEPT", 1 << 20)
    q, k, v = (normal(1500, 8).astype(np.float32) for _ in range(3))  # its scores are 9 MB
    mask = np.ones((1, 1500), bool)
    mask[0, 7] = False
    gradients = mg.grad(lambda q, k, v: attention(q, k, v, mask, causal=True).sum(), argnums=(0, 1, 2))
    tracemalloc.start()
    gradients(q, k, v)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6e6


# --- dropout ---------------------------------------------------------------------------------------------------------


def test_dropout_of_the_weights_keeps_the_mean():
    keep = mg.ops.dropout_mask((4000, 3, 5), np.random.default_rng(0), p=0.8)
    q, k, v = (np.broadcast_to(x[0], (4000, *x[0].shape)) for x in (Q, K, V))
    np.testing.assert_allclose(
        attention(q, k, v, keep=keep, p=0.8).mean(axis=0), attention(Q[0], K[0], V[0]), atol=0.03
    )
    np.testing.assert_array_equal(attention(Q, K, V, keep=np.ones((3, 5), bool)), attention(Q, K, V))
    np.testing.assert_array_equal(attention(Q, K, V, p=0.5), attention(Q, K, V))  # as at test time
    assert not attention(Q, K, V, keep=np.zeros((3, 5), bool), p=0.5).any()


# --- masks and messages ----------------------------------------------------------------------------------------------


def test_masks_of_numbers_mean_what_booleans_mean():
    wanted = attention(Q, K, V, MASK)
    for dtype in (int, np.uint8, float, np.float32):
        np.testing.assert_array_equal(attention(Q, K, V, MASK.astype(dtype)), wanted)
    np.testing.assert_array_equal(attention(Q, K, V, MASK.tolist()), wanted)
    assert not attention(Q, K, V, np.zeros((3, 5), int)).any()


def test_a_recorded_mask_is_no_constant():
    tape = mg.Tape()
    out = attention(tape.watch(Q), K, V, tape.watch(MASK.astype(float)))
    np.testing.assert_array_equal(out.value, attention(Q, K, V, MASK))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: attention(Q[0, 0], K, V), mg.ShapeError, "expected q (..., S, D), k (..., T, D) and v (..., T, E)"),
        (lambda: attention(Q[..., :3], K, V), mg.ShapeError, "a query has 3 elements and a key 4"),
        (lambda: attention(Q, K, V[:, :4]), mg.ShapeError, "there are 5 keys and 4 values"),
        (lambda: attention(normal(3, 3, 4), K, V), mg.ShapeError, "the leading axes (3,), (2,) and (2,) do not"),
        (lambda: attention(Q + 0j, K, V), mg.DTypeError, "q (2, 3, 4) is complex128, and real numbers were expected"),
        (lambda: attention(Q, K, V, np.ones((2, 4, 5), bool)), mg.ShapeError, "mask (2, 4, 5) came for 3 queries and"),
        (lambda: attention(Q, K, V, np.ones((1, 2, 3, 5), bool)), mg.ShapeError, "expected (2, 3, 5), or a shape that"),
        (lambda: attention(Q, K, V, MASK.swapaxes(1, 2)), mg.ShapeError, "did you mean mask.swapaxes(-1, -2)?"),
        (lambda: attention(Q, K, V, np.ones((2, 5), bool)), mg.ShapeError, "give mask[:, None, :]"),
        (
            lambda: attention(Q[:, None], K[:, None], V[:, None], np.ones((2, 5), bool)),
            mg.ShapeError, "give mask[:, None, None, :]",
        ),
        (
            lambda: attention(normal(4, 2, 3, 4), normal(4, 2, 5, 4), normal(4, 2, 5, 4), np.ones((4, 3, 5), bool)),
            mg.ShapeError, "for one per sample, give mask[:, None]",
        ),
        (lambda: attention(Q, K, V, MASK + 0j), mg.DTypeError, "the mask (2, 3, 5) is complex128, and booleans were"),
        (lambda: attention(Q, K, V, np.where(MASK, 0, -np.inf)), mg.DataError, "has -inf in it; expected booleans"),
        (lambda: attention(Q, K, V, np.where(MASK, 0, -1e9)), mg.DataError, "give mask == 0"),
        (lambda: attention(Q, K, V, np.full((3, 5), np.nan)), mg.DataError, "has nan in it"),
        (lambda: attention(Q, K, V, np.array([0, 2, 0, 1, 1])), mg.DataError, "has 2 in it; expected booleans, or"),
        (lambda: attention(Q, K, V, np.zeros((3, 5))), mg.DataError, "0 everywhere, which could mean that"),
        (lambda: attention(Q, K, V, keep=np.ones((3, 5)), p=0.5), mg.DTypeError, "keep (3, 5) is float64, and"),
        (lambda: attention(Q, K, V, keep=MASK[:, :2], p=0.5), mg.ShapeError, "keep (2, 2, 5) came for 3 queries and 5"),
        (lambda: attention(Q, K, V, keep=MASK, p=0), mg.OptionError, "the probability of KEEPING a weight"),
        (lambda: attention(Q, K, V, keep=MASK), mg.OptionError, "p=1.0 says that all are kept"),
        (lambda: attention(Q, K, V, scale="half"), mg.OptionError, "scale='half' came, and a finite number"),
        (lambda: attention(Q, K, V, scale=np.inf), mg.OptionError, "scale=inf came"),
        (
            lambda: mg.grad(lambda s: attention(Q, K, V, scale=s).sum())(0.5),
            mg.OptionError, "multiply q by it, and give scale=1.0",
        ),
    ],
)  # fmt: skip
def test_messages(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith("attention: ")
    assert words in str(caught.value)


# --- several heads ---------------------------------------------------------------------------------------------------


def weights(query, key, value, out, inner=None, values=None):
    """Return weights and biases from the widths of query, key, value, the result and what is between."""
    inner, values = inner or query, values or inner or query
    made = []
    for rows, columns in ((query, inner), (key, inner), (value, values), (values, out)):
        made += [normal(rows, columns) / np.sqrt(rows), normal(columns)]
    return made


def by_head(query, key, value, Wq, bq, Wk, bk, Wv, bv, Wo, bo, heads, **how):
    """Return what several heads find, one head after the other."""
    scores = (len(query), heads, query.shape[1], key.shape[1])
    masks = {name: np.broadcast_to(how.pop(name), scores) for name in ("mask", "keep") if name in how}
    found = []
    for head in range(heads):
        inner, values = (slice(head * n // heads, (head + 1) * n // heads) for n in (Wq.shape[1], Wv.shape[1]))
        own = {name: x[:, head] for name, x in masks.items()}
        q, k = np.matmul(query, Wq[:, inner]) + bq[inner], np.matmul(key, Wk[:, inner]) + bk[inner]
        found.append(composed(q, k, np.matmul(value, Wv[:, values]) + bv[values], **own, **how))
    return np.matmul(np.concatenate(found, axis=-1), Wo) + bo


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"causal": True},
        {"mask": rng.random((1, 5)) < 0.9},
        {"mask": np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 1]])[:, None, None, :]},
        {"keep": rng.random((2, 1, 3, 5)) < 0.7, "p": 0.7, "causal": True},
    ],
    ids=lambda how: ",".join(how),
)
def test_heads_one_after_the_other(heads, how):
    args = [normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 4), *weights(4, 4, 4, 4)]
    same(
        partial(multi_head_attention, heads=heads, **how),
        partial(by_head, heads=heads, **how),
        *args,
    )


def test_other_widths():
    args = [normal(2, 3, 5), normal(2, 4, 3), normal(2, 4, 7), *weights(5, 3, 7, 2, inner=6, values=4)]
    same(partial(multi_head_attention, heads=2), partial(by_head, heads=2), *args)
    assert multi_head_attention(*args, heads=2).shape == (2, 3, 2)
    agrees(partial(multi_head_attention, heads=2, causal=True), *args)


def test_self_attention_adds_up_what_comes_from_all_sides():
    W = weights(4, 4, 4, 4)
    agrees(lambda x: multi_head_attention(x, x, x, *W, heads=2, causal=True), normal(2, 3, 4))
    x = normal(2, 3, 4).astype(np.float32)
    W = [w.astype(np.float32) for w in W]
    out, gradients = gradients_of(lambda x, *W: multi_head_attention(x, x, x, *W, heads=2), (x, *W))
    assert out.dtype == np.float32 and {g.dtype for g in gradients} == {np.dtype(np.float32)}
    assert multi_head_attention(x[:0], x[:0], x[:0], *W, heads=2).shape == (0, 3, 4)
    by_name = dict(zip(NAMES, [x, x, x, *W]))
    np.testing.assert_array_equal(multi_head_attention(**by_name, heads=2), out)


def called(heads=2, mask=None, keep=None, **other):
    """Call several heads with some arrays other than those that fit."""
    args = dict(zip(NAMES, [normal(2, 3, 6), normal(2, 5, 6), normal(2, 5, 6), *weights(6, 6, 6, 6)]))
    return multi_head_attention(**(args | other), heads=heads, mask=mask, keep=keep, p=0.5)


@pytest.mark.parametrize(
    "how, error, words",
    [
        ({"heads": 4}, mg.ShapeError, "heads=4 does not divide them evenly; these would: 1, 2, 3, 6"),
        ({"heads": 3, "Wv": normal(6, 4), "bv": normal(4)}, mg.ShapeError, "Wv has 4 columns, and heads=3 does not"),
        ({"heads": 0}, mg.OptionError, "heads=0 came, and a positive whole number was expected"),
        ({"heads": 2.0}, mg.OptionError, "heads=2.0 came"),
        ({"query": normal(3, 6)}, mg.ShapeError, "query of shape (3, 6) came, and (N, length, width) was expected"),
        ({"key": normal(3, 5, 6)}, mg.ShapeError, "expected as many samples in all three"),
        ({"value": normal(2, 4, 6)}, mg.ShapeError, "as many keys as values"),
        ({"key": normal(2, 5, 7)}, mg.ShapeError, "Wk (6, 6) came for key (2, 5, 7); expected (7, any)"),
        ({"Wo": normal(4, 6)}, mg.ShapeError, "Wo (4, 6) came for the heads' results (2, 3, 6); expected (6, any)"),
        ({"Wv": normal(4, 6), "bv": normal(4)}, mg.ShapeError, "for value (2, 5, 6); expected (6, any); did you mean"),
        ({"bk": normal(5)}, mg.ShapeError, "bk (5,) came for Wk (6, 6); expected (6,), one element per column"),
        ({"Wq": normal(6, 8), "bq": normal(8)}, mg.ShapeError, "a query has 4 elements and a key 3"),
        ({"mask": np.ones((2, 3, 5), bool)}, mg.ShapeError, "if it is one for each sample, mask[None] if"),
        ({"keep": np.ones((2, 3, 5), bool)}, mg.ShapeError, "expected, here (2, 2, 3, 5)"),
        ({"mask": np.ones((2, 5), bool)}, mg.ShapeError, "give mask[:, None, None, :]"),
        ({"mask": np.full((3, 5), -1e9)}, mg.DataError, "give mask == 0"),
        ({"query": normal(2, 3, 6) + 0j}, mg.DTypeError, "query (2, 3, 6) is complex128"),
    ],
)  # fmt: skip
def test_messages_of_several_heads(how, error, words):
    with pytest.raises(error) as caught:
        called(**how)
    assert str(caught.value).startswith("multi_head_attention: ")
    assert words in str(caught.value)


# --- positions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length, width", [(5, 6), (4, 7), (1, 1), (0, 4), (3, 0)])
def test_positions_are_those_of_the_formula(length, width):
    wanted = np.zeros((length, width))
    for i in range(length):
        for j in range(width):
            wanted[i, j] = np.sin(i * 10000 ** (-j / width)) if j % 2 == 0 else np.cos(i * 10000 ** (-(j - 1) / width))
    np.testing.assert_allclose(positional_encoding(length, width), wanted, rtol=1e-13, atol=1e-13)
    assert positional_encoding(length, width, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("how", [{"length": -1}, {"width": 2.0}, {"length": True}, {"dtype": int}])
def test_positions_that_are_none(how):
    with pytest.raises(mg.OptionError, match="expected"):
        positional_encoding(**({"length": 3, "width": 4} | how))


# --- PyTorch ---------------------------------------------------------------------------------------------------------


def gradients_by_torch(torch, out, tensors, dtype):
    cotangent = np.random.default_rng(0).standard_normal(tuple(out.shape)).astype(dtype)
    return out.detach().numpy(), [g.numpy() for g in torch.autograd.grad(out, tensors, torch.from_numpy(cotangent))]


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 2e-5)])
@pytest.mark.parametrize("how", ["plain", "causal", "mask", "scale"])
def test_as_pytorch_has_it(how, dtype, tolerance):
    torch = pytest.importorskip("torch", reason="PyTorch is a peer to compare with; it is not installed")
    args = [x.astype(dtype) for x in (normal(2, 3, 17, 8), normal(2, 3, 17, 8), normal(2, 3, 17, 5))]
    mask = rng.random((2, 1, 17, 17)) < 0.5
    mask[..., 0] = True
    ours, theirs = {
        "plain": ({}, {}),
        "causal": ({"causal": True}, {"is_causal": True}),
        "mask": ({"mask": mask}, {"attn_mask": torch.from_numpy(mask)}),
        "scale": ({"scale": 0.9}, {"scale": 0.9}),
    }[how]
    out, gradients = gradients_of(partial(attention, **ours), args)
    tensors = [torch.from_numpy(x).requires_grad_() for x in args]
    attended = torch.nn.functional.scaled_dot_product_attention(*tensors, **theirs)
    wanted = gradients_by_torch(torch, attended, tensors, dtype)
    for a, b in zip((out, *gradients), (wanted[0], *wanted[1])):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_several_heads_as_pytorch_has_them():
    torch = pytest.importorskip("torch", reason="PyTorch is a peer to compare with; it is not installed")
    layer = torch.nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=True, dtype=torch.float64)
    args = [normal(2, 3, 8), normal(2, 4, 6), normal(2, 4, 5), *weights(8, 6, 5, 8, inner=8)]
    tensors = [torch.from_numpy(x).requires_grad_() for x in args]
    query, key, value, Wq, bq, Wk, bk, Wv, bv, Wo, bo = tensors
    named = {
        "q_proj_weight": Wq.T, "k_proj_weight": Wk.T, "v_proj_weight": Wv.T, "in_proj_bias": torch.cat([bq, bk, bv]),
        "out_proj.weight": Wo.T, "out_proj.bias": bo,
    }  # fmt: skip
    padding = np.array([[False, False, True, False], [False, False, False, False]])
    out, _ = torch.func.functional_call(layer, named, (query, key, value, torch.from_numpy(padding)))
    wanted = gradients_by_torch(torch, out, tensors, np.float64)
    found = gradients_of(lambda *args: multi_head_attention(*args, heads=2, mask=~padding[:, None, None, :]), args)
    for a, b in zip((found[0], *found[1]), (wanted[0], *wanted[1])):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)
