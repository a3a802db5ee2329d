"""The elementary functions for compiled code: within 4 units in the last place, and right at the ends of the range."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="they are written for it")

from minigrad.kernels.jit import define  # noqa: E402

LIMIT = 4  # units in the last place

rng = np.random.default_rng(8)


def vectorised(function):
    @define.jit
    def core(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    def apply(x):
        out = np.empty_like(x)
        core(x, out)
        return out

    return apply


def exact(name, x):
    """Return the function's values in numbers with 64 bits of mantissa, or as many as there are."""
    x = x.astype(np.longdouble)
    if name == "sigmoid":
        return 1 / (1 + np.exp(-x))
    return getattr(np, name)(x)


FUNCTIONS = {name: vectorised(getattr(define, name)) for name in ("exp", "expm1", "tanh", "sigmoid", "log", "log1p")}


def spread(low, high, count=20_000):
    """Numbers of all magnitudes between two powers of ten, of both signs."""
    size = 10.0 ** rng.uniform(low, high, count)
    return np.concatenate([size, -size])


RANGES = {
    "exp": lambda dtype: [rng.uniform(-20, 20, 20_000), spread(-30, 0), ends(dtype)],
    "expm1": lambda dtype: [rng.uniform(-45, 20, 20_000), spread(-30, 0.5), ends(dtype)],
    "tanh": lambda dtype: [rng.uniform(-25, 25, 20_000), spread(-30, 3)],
    "sigmoid": lambda dtype: [rng.uniform(-30, 30, 20_000), spread(-30, 1), ends(dtype) * 0.98],
    "log": lambda dtype: [np.abs(spread(-37, 37)), rng.uniform(0.5, 2, 20_000), 1 + spread(-7, -1)],
    "log1p": lambda dtype: [rng.uniform(-0.999, 5, 20_000), spread(-37, -0.01), np.abs(spread(-1, 37))],
}


def ends(dtype):
    """Where exp goes over the whole range of normal numbers."""
    info = np.finfo(dtype)
    return rng.uniform(np.log(float(info.tiny)) + 1, np.log(float(info.max)) - 1, 20_000)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_units_in_the_last_place(name, dtype):
    x = np.concatenate(RANGES[name](dtype)).astype(dtype)
    with np.errstate(over="ignore"):
        expected = exact(name, x)
        found = FUNCTIONS[name](x)
    assert found.dtype == dtype
    unit = np.spacing(np.abs(expected).astype(dtype)).astype(np.longdouble)
    error = np.abs(found - expected) / unit
    assert error.max() <= LIMIT, f"{name}({x[error.argmax()]!r}) is {error.max()} units off"


TINY = {np.float32: np.float32(1e-45), np.float64: np.float64(5e-324)}

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 2.0, -2.0, 1e4, -1e4, 1e30, -1e30]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name, dtype):
    x = np.array([*SPECIAL, TINY[dtype], -TINY[dtype], np.finfo(dtype).max, np.finfo(dtype).tiny], dtype)
    with np.errstate(all="ignore"):
        expected = exact(name, x).astype(dtype)
    found = FUNCTIONS[name](x)
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps, atol=TINY[dtype])
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(expected[known]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_below_the_normal_ones(dtype):
    info = np.finfo(dtype)
    small = np.geomspace(float(info.tiny) / 1000, float(info.tiny) * 1000, 2001).astype(dtype)
    for name in ("expm1", "tanh", "log1p"):
        np.testing.assert_allclose(FUNCTIONS[name](small), small, rtol=1e-6, atol=2 * float(TINY[dtype]))
    np.testing.assert_allclose(FUNCTIONS["log"](small), exact("log", small).astype(dtype), rtol=4 * info.eps)
    x = np.linspace(np.log(float(info.tiny)) - 12, np.log(float(info.tiny)) + 2, 501).astype(dtype)
    np.testing.assert_allclose(FUNCTIONS["exp"](x), exact("exp", x).astype(dtype), rtol=1e-6, atol=float(TINY[dtype]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_they_rise(dtype):
    """No step down where the pieces of the range meet."""
    x = np.linspace(-3, 3, 200_001).astype(dtype)
    for name in ("exp", "expm1", "tanh", "sigmoid"):
        y = FUNCTIONS[name](x)
        assert (np.diff(y) >= -LIMIT * np.spacing(np.abs(y[1:]))).all()


def test_other_dtypes_and_plain_python_are_refused():
    with pytest.raises(TypeError, match="exp is there for compiled code only"):
        define.exp(1.0)


def test_arrays_at_addresses():
    @define.jit
    def total(address, count):
        array = define.array_at(address, np.float64(0), count)
        found = 0.0
        for i in range(count):
            found += array[i]
            array[i] = -1.0
        return found

    x = np.arange(10.0)
    assert total(x.ctypes.data, 9) == 36
    np.testing.assert_array_equal(x, [*[-1.0] * 9, 9.0])


@pytest.mark.parametrize("count", [0, 1, 31, 40_001])
def test_threads_share_a_loop(count):
    import numba

    @define.parallel
    def doubled(x, out):
        for i in numba.prange(len(x)):
            out[i] = 2 * x[i]

    x = rng.standard_normal(count)
    out = np.empty_like(x)
    doubled(x, out)
    np.testing.assert_array_equal(out, 2 * x)


def test_what_was_compiled_is_kept_beside_the_contents_of_the_file(monkeypatch, tmp_path):
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @define.jit
    def one(x):
        return x + 1

    assert one(1.0) == 2
    assert numba.config.CACHE_DIR == str(tmp_path)
    assert [path.name[:12] for path in tmp_path.iterdir()] == ["test_define-"]
    assert list(tmp_path.rglob("*.nbi"))
