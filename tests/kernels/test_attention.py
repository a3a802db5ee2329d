"""The kernels of attention against their definition, and against differences."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import attention as kernels

ALL = np.array(True)

SHAPES = [  # leading axes, queries, keys, width, width of values
    ((), 3, 4, 2, 5),
    ((2,), 1, 1, 1, 1),
    ((2, 3), 5, 5, 4, 3),
    ((2, 1), 7, 4, 3, 3),
    ((1, 2), 131, 130, 6, 5),
    ((2, 1, 2), 260, 300, 4, 8),
]


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def choice(request):
    if request.param == "numba":
        pytest.importorskip("numba", reason="compiled kernels need Numba")
    with mg.kernels.using(request.param):
        yield request.param


def arguments(shape, dtype=float):
    """Return q, k, v, and a cotangent."""
    batch, length, width, d, e = shape
    rng = np.random.default_rng(3)
    sizes = (length, d), (width, d), (width, e), (length, e)
    return [rng.standard_normal((*batch, *size)).astype(dtype) for size in sizes]


def spelled_out(q, k, v, scale, causal):
    """One query at a time."""
    out = np.zeros((*q.shape[:-1], v.shape[-1]))
    length, width = q.shape[-2], k.shape[-2]
    for place in np.ndindex(q.shape[:-1]):
        *item, s = place
        seen = min(max(0, s + 1 + width - length), width) if causal else width
        scores = k[tuple(item)][:seen] @ q[place] * scale
        weights = np.exp(scores - scores.max(initial=-np.inf))
        out[place] = weights / max(weights.sum(), 1e-300) @ v[tuple(item)][:seen]
    return out


def attend(q, k, v, causal=False, scale=0.5):
    return kernels.attend(q, k, v, ALL, ALL, scale=scale, causal=causal, p=1.0)


def pull(g, q, k, v, kept, causal=False, scale=0.5, wants=("q", "k", "v")):
    return kernels.attend_backward(g, q, k, v, ALL, ALL, *kept, scale=scale, causal=causal, p=1.0, wants=wants)


causal_or_not = pytest.mark.parametrize("causal", [False, True])


@causal_or_not
@pytest.mark.parametrize("scale", [0.5, 50.0], ids=["small scores", "large scores"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_results(shape, scale, causal):
    q, k, v, _ = arguments(shape)
    found = attend(q, k, v, causal, scale)[0]
    np.testing.assert_allclose(found, spelled_out(q, k, v, scale, causal), rtol=1e-10, atol=1e-12)


@causal_or_not
@pytest.mark.parametrize("kept", [1 << 26, 0], ids=["exponentials kept", "computed again"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cotangents(shape, kept, causal, monkeypatch):
    """Each is the derivative of ``<g, result>`` along a direction."""
    monkeypatch.setattr(kernels, "KEPT", kept)
    *given, g = arguments(shape)
    found = pull(g, *given, attend(*given, causal), causal)
    rng = np.random.default_rng(4)
    for i, x in enumerate(given):
        direction = 1e-5 * rng.standard_normal(x.shape)
        ahead, behind = (attend(*given[:i], x + s * direction, *given[i + 1 :], causal)[0] for s in (1, -1))
        difference = np.sum(g * (ahead - behind)) / 2
        np.testing.assert_allclose(np.sum(found[i] * direction), difference, rtol=1e-5, atol=1e-11)


@causal_or_not
@pytest.mark.parametrize("kept", [1 << 26, 0], ids=["exponentials kept", "computed again"])
def test_numpy_goes_on_with_what_either_began(choice, kept, causal, monkeypatch):
    monkeypatch.setattr(kernels, "KEPT", kept)
    *given, g = arguments(((2, 2), 20, 20, 4, 4))
    result = attend(*given, causal)
    ours = pull(g, *given, result, causal)
    with mg.kernels.using("numpy"):
        theirs = pull(g, *given, result, causal)
        other = attend(*given, causal)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    with mg.kernels.using(choice):
        for a, b in zip(pull(g, *given, other, causal), theirs):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@causal_or_not
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_and_layouts(dtype, causal):
    """Heads that lie side by side in memory, as they come out of one product; and nothing may be written to."""
    rng = np.random.default_rng(5)
    together = rng.standard_normal((2, 40, 3, 4, 8)).astype(dtype)
    together.flags.writeable = False
    q, k, v = together.transpose(2, 0, 3, 1, 4)
    g = rng.standard_normal((2, 40, 4, 8)).astype(dtype).transpose(0, 2, 1, 3)
    result = attend(q, k, v, causal)
    for x in result:
        x.flags.writeable = False
    found = pull(g, q, k, v, result, causal)
    kept = np.float64 if dtype is np.float64 else np.float32
    assert {x.dtype for x in (*result, *found)} == {np.dtype(kept)}
    wide = [np.ascontiguousarray(x, dtype=np.float64) for x in (q, k, v, g)]
    expected = attend(*wide[:3], causal)
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(result[0], expected[0], rtol=tolerance, atol=tolerance)
    for a, b in zip(found, pull(wide[3], *wide[:3], expected, causal)):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=10 * tolerance)


def test_only_what_is_wanted():
    *given, g = arguments(((2, 2), 5, 6, 4, 3))
    result = attend(*given)
    everything = dict(zip("qkv", pull(g, *given, result)))
    for wants in [(), ("k",), ("v", "q")]:
        found = pull(g, *given, result, wants=wants)
        assert len(found) == len(wants)
        for name, x in zip(wants, found):
            np.testing.assert_allclose(x, everything[name], rtol=1e-12)


@pytest.mark.parametrize("shape", [((0, 2), 3, 3, 2, 2), ((2,), 0, 3, 2, 2), ((2,), 3, 0, 2, 2), ((2,), 3, 3, 2, 0)])
def test_empty_arrays(shape):
    *given, g = arguments(shape)
    result = attend(*given)
    assert result[0].shape == g.shape and not result[0].any()
    assert [x.shape for x in pull(g, *given, result)] == [x.shape for x in given]


def test_undefined_numbers_stay_with_their_query():
    q, k, v, g = arguments(((2,), 6, 5, 4, 3))
    q[1, 2, 0] = np.nan
    result = attend(q, k, v)
    undefined = np.isnan(result[0]).all(axis=-1)
    assert undefined[1, 2] and undefined.sum() == 1


def test_the_same_call_gives_the_same_bits():
    *given, g = arguments(((3, 2), 150, 150, 8, 8), np.float32)
    first, second = attend(*given, True), attend(*given, True)
    for a, b in zip((*first, *pull(g, *given, first, True)), (*second, *pull(g, *given, second, True))):
        np.testing.assert_array_equal(a, b)
