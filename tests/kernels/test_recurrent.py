"""The kernels of recurrent networks against their definitions, and against differences."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import recurrent as kernels

BLOCKS = {"rnn": 1, "gru": 3, "lstm": 4}
ALL = ("x", "h0", "c0", "Wx", "Wh", "b", "bh")
every_kernel = pytest.mark.parametrize("name", BLOCKS)


@pytest.fixture(params=["numpy", "numba"], autouse=True)
def choice(request, monkeypatch):
    if request.param == "numba":
        pytest.importorskip("numba", reason="compiled kernels need Numba")
        from minigrad.kernels.jit import recurrent as compiled

        monkeypatch.setattr(compiled, "FEW", 1)  # so that the small arrays here are not left to NumPy
    with mg.kernels.using(request.param):
        yield request.param


def arguments(name, n=3, t=4, d=2, width=3, dtype=float):
    """Return the arguments by name."""
    rng, columns = np.random.default_rng(7), BLOCKS[name] * width
    shapes = {"x": (n, t, d), "h0": (n, width)} | ({"c0": (n, width)} if name == "lstm" else {})
    shapes |= {"Wx": (d, columns), "Wh": (width, columns), "b": (columns,)}
    shapes |= {"bh": (columns,)} if name == "gru" else {}
    return {what: rng.standard_normal(shape).astype(dtype) for what, shape in shapes.items()}


def run(name, args):
    """Return the states after each step, (N, T, H) or (2, N, T, H), and all that the kernel gives."""
    out = getattr(kernels, name)(*args.values())
    path = out if name == "rnn" else out[0]
    kept = (out,) if name == "rnn" else out
    return np.swapaxes(path[..., 1:, :, :], -3, -2), kept


def pull(name, args, g, wants=ALL):
    _, kept = run(name, args)
    return getattr(kernels, f"{name}_backward")(g, args["x"], args["Wx"], args["Wh"], *kept, wants)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def spelled_out(name, x, h0, Wx, Wh, b, c0=None, bh=None):
    """One step and one sample at a time."""
    h, c = h0.copy(), c0
    states = []
    for t in range(x.shape[1]):
        a, u = x[:, t] @ Wx + b, h @ Wh
        if name == "rnn":
            h = np.tanh(a + u)
        elif name == "lstm":
            i, f, o, g = np.split(a + u, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            r, z, n = np.split(a, 3, axis=1)
            ur, uz, un = np.split(u + bh, 3, axis=1)
            z = sigmoid(z + uz)
            h = (1 - z) * np.tanh(n + sigmoid(r + ur) * un) + z * h
        states.append((h, c) if name == "lstm" else h)
    return np.moveaxis(np.array(states), 0, -2)


@every_kernel
def test_states(name):
    args = arguments(name)
    states, kept = run(name, args)
    np.testing.assert_allclose(states, spelled_out(name, **args), rtol=1e-12, atol=1e-12)
    starts = kept[0][..., 0, :, :]
    np.testing.assert_array_equal(starts, np.stack([args["h0"], args["c0"]]) if name == "lstm" else args["h0"])


@every_kernel
@pytest.mark.parametrize("rows", [1024, 6, 1], ids="in one part,in uneven parts,step by step".split(","))
def test_cotangents(name, rows, monkeypatch):
    """Each is the derivative of ``<g, states>`` along a direction."""
    monkeypatch.setattr(kernels, "ROWS", rows)
    args = arguments(name, t=5)
    states, _ = run(name, args)
    rng = np.random.default_rng(8)
    g = rng.standard_normal(states.shape)
    found = pull(name, args, g)
    assert found.keys() >= args.keys()
    for what, x in args.items():
        direction = 1e-5 * rng.standard_normal(x.shape)
        ahead, behind = (run(name, {**args, what: x + s * direction})[0] for s in (1, -1))
        np.testing.assert_allclose(np.sum(found[what] * direction), np.sum(g * (ahead - behind)) / 2, rtol=1e-6)


def test_parts_are_the_whole_sequence(monkeypatch):
    for rows, lengths in [(1024, [7]), (14, [7]), (13, [3, 4]), (6, [1, 3, 3]), (1, [1] * 7)]:
        monkeypatch.setattr(kernels, "ROWS", rows)
        parts = list(kernels._parts(np.zeros((2, 7, 1))))
        assert [part.stop - part.start for part in parts] == lengths
        assert [step for part in parts[::-1] for step in range(7)[part]] == list(range(7))
    assert list(kernels._parts(np.zeros((2, 0, 1)))) == []


@every_kernel
def test_only_what_is_wanted(name):
    args = arguments(name)
    g = np.ones_like(run(name, args)[0])
    states = {"h0", "c0"} & args.keys()
    assert pull(name, args, g, ()).keys() == states
    for what in args.keys() - states:
        found = pull(name, args, g, (what,))
        assert found.keys() == states | {what}
        np.testing.assert_array_equal(found[what], pull(name, args, g)[what])


@every_kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_dtype_is_kept(name, dtype):
    args = arguments(name, dtype=dtype)
    states, kept = run(name, args)
    found = pull(name, args, np.ones_like(states))
    assert {x.dtype for x in (states, *kept, *found.values())} == {np.dtype(dtype)}


@every_kernel
@pytest.mark.parametrize("sizes", [{"n": 0}, {"t": 0}, {"d": 0}, {"width": 0}, {"t": 1}, {"n": 1}], ids=str)
def test_sizes_of_none_and_one(name, sizes):
    args = arguments(name, **sizes)
    states, _ = run(name, args)
    found = pull(name, args, np.ones_like(states))
    assert {what: found[what].shape for what in args} == {what: x.shape for what, x in args.items()}


@every_kernel
def test_nothing_is_written_into_the_arguments(name):
    args = arguments(name)
    for x in args.values():
        x.flags.writeable = False
    states, kept = run(name, args)
    g = np.ones_like(states)
    for x in (g, *kept):
        x.flags.writeable = False
    getattr(kernels, f"{name}_backward")(g, args["x"], args["Wx"], args["Wh"], *kept, ALL)


def by_numpy(name, *args):
    with mg.kernels.using("numpy"):
        return getattr(kernels, name)(*args)


@every_kernel
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 2e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (5, 7, 3, 9), (33, 20, 17, 40), (300, 3, 5, 8)], ids=str)
def test_compiled_ones_give_what_numpys_give(name, sizes, dtype, tolerance):
    """Also where what comes is not contiguous."""
    n, t, d, width = sizes
    args = arguments(name, n, t, d, width, dtype)
    args["x"] = np.repeat(args["x"], 2, axis=1)[:, ::2]
    args["Wh"] /= 2 * np.sqrt(width)  # or else every step would magnify the rounding of those before
    states, kept = run(name, args)
    expected = by_numpy(name, *args.values())
    for ours, theirs in zip(kept, (expected,) if name == "rnn" else expected):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    g = np.random.default_rng(1).standard_normal((*states.shape[:-1], 2 * width)).astype(dtype)[..., ::2]
    found = pull(name, args, g)
    check = by_numpy(f"{name}_backward", g, args["x"], args["Wx"], args["Wh"], *kept, ALL)
    assert found.keys() >= args.keys()
    for what in args:
        scale = max(1, np.abs(check[what]).max())
        np.testing.assert_allclose(found[what], check[what], atol=10 * tolerance * scale, err_msg=what)


def test_cells_without_a_cotangent():
    args = arguments("lstm")
    g = np.ones_like(run("lstm", args)[0])
    g[1] = 0
    for what, x in pull("lstm", args, (g[0], None)).items():
        np.testing.assert_array_equal(x, pull("lstm", args, g)[what])


@every_kernel
def test_saturated_and_undefined_numbers(name):
    args = arguments(name)
    args["x"][0] = 1e30
    args["x"][1] = np.nan
    states = run(name, args)[0]
    assert np.isfinite(states[..., 0, :, :]).all() and np.isnan(states[..., 1, :, :]).all()
