"""The vector machine: every instruction against NumPy, at awkward numbers too, over all layouts of blocks."""

import itertools

import numpy as np
import pytest

from minigrad.kernels.machine import BINARY, BLOCK, INSTRUCTIONS, LANES, LOADS, SHARED, STORES, UNARY, header, layout

pytest.importorskip("numba", reason="it runs the machine")

from minigrad.kernels.jit import routine  # noqa: E402

rng = np.random.default_rng(6)
EPS = {np.float32: 1.2e-7, np.float64: 2.3e-16}


def run(name, *arrays, loads=None, shape=None, boolean=False):
    """Run one instruction on arrays, loaded as `loads` says, and return its result."""
    loads = loads or ["load"] * len(arrays)
    rows, columns = shape or arrays[0].shape
    form = layout(rows, columns)
    dtype = next(x.dtype for x in arrays if x.dtype != bool)
    arrays = [np.ascontiguousarray(x) for x in arrays]
    out = np.full((rows, columns), True if boolean else np.nan, bool if boolean else dtype)
    constant = [load == "load_number" or load == "load_row" and form.high > 0 for load in loads]
    order = sorted(range(len(arrays)), key=lambda k: not constant[k])  # what is the same in all blocks comes first
    body = [[INSTRUCTIONS[loads[k]], k * form.width, k, 0, 0] for k in order]
    reads = [k * form.width for k in range(len(arrays))]
    result = len(arrays) * form.width
    body.append([INSTRUCTIONS[name], result, *(reads + reads[-1:] * 3)[:3]])
    body.append([INSTRUCTIONS["store_bool" if boolean else "store"], len(arrays), result, 0, 0])
    code = np.concatenate([header(form, sum(constant)), np.array(body, np.int64)])
    execute(code, form, len(arrays) + 1, dtype, [*arrays, out])
    return out


def execute(code, form, slots, dtype, arrays):
    """Run a program of the machine on arrays, by one thread or several."""
    threads = 3 if form.rows * form.columns >= SHARED else 1
    scratch = np.full((threads, slots * form.width), np.nan, dtype)
    arrays = [*arrays, scratch]
    objects, places = np.array([id(x) for x in arrays]), np.arange(1, len(arrays) + 1)
    table = np.zeros(len(arrays) + 1, np.int64)
    table[0] = address(objects)
    code[1:, 1:3] += np.where(np.isin(code[1:, 0], [INSTRUCTIONS[name] for name in LOADS])[:, None], [0, 1], 0)
    code[1:, 1] += np.isin(code[1:, 0], [INSTRUCTIONS[name] for name in STORES])
    row = np.array([address(code), len(code), len(arrays), slots * form.width, threads], np.int64)
    name, run = ("chain", routine.run) if threads == 1 else ("chain_shared", routine.run_shared)
    found = routine.find(name, np.dtype(dtype)), address(row)
    assert run(np.array([(len(arrays), address(places)), found], np.int64), table) == 0


def address(x):
    return x.__array_interface__["data"][0]


def zero_safe(function):
    def safe(g, d):
        return np.where(g == 0, np.zeros((), g.dtype), function(g, d))

    return safe


def share(chosen):
    def shared(g, x, y):
        half = g.dtype.type(0.5)
        return g * np.where(chosen(x, y) | np.isnan(x), 1, np.where(x == y, half, 0)).astype(g.dtype)

    return shared


def wide(x):
    """In numbers whose products neither round nor overflow."""
    return x.astype(np.longdouble if x.dtype == np.float64 else np.float64)


REFERENCE = {name: getattr(np, name) for name in (*UNARY, *BINARY, "where") if hasattr(np, name)} | {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "zero_safe_divide": zero_safe(np.divide),
    "zero_safe_multiply": zero_safe(np.multiply),
    "where": lambda c, x, y: np.where(c != 0, x, y),
    "where_greater": share(np.greater),
    "where_less": share(np.less),
    "multiply_add": lambda x, y, z: (wide(x) * wide(y) + wide(z)).astype(x.dtype),
    "subtract_product": lambda x, y, z: (wide(z) - wide(x) * wide(y)).astype(x.dtype),
}
TRUTHS = "greater greater_equal less less_equal equal not_equal logical_and logical_or logical_not isnan".split()
ROUNDED = "exp expm1 log log1p tanh sigmoid sin cos power multiply_add subtract_product divide zero_safe_divide".split()

AWKWARD = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-30, -3.7]


def arity(name):
    return 1 if name in UNARY else 2 if name in BINARY else 3


def test_every_instruction_is_tested():
    assert set(REFERENCE) == set(INSTRUCTIONS) - set(LOADS) - set(STORES)
    assert sorted(INSTRUCTIONS.values()) == list(range(len(INSTRUCTIONS)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", REFERENCE)
def test_awkward_numbers(name, dtype):
    columns = [np.array(x, dtype) for x in zip(*itertools.product(AWKWARD, repeat=arity(name)))]
    arrays = [x.reshape(2, -1) for x in columns]
    found = run(name, *arrays)
    with np.errstate(all="ignore"):
        expected = REFERENCE[name](*arrays).astype(dtype)
    tolerance = 5 * EPS[dtype] if name in ROUNDED else 0
    atol = 1e-17 if name in ("multiply_add", "subtract_product") else 0  # where the wide ones cancel
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=atol)
    if name in UNARY and name != "sigmoid":
        np.testing.assert_array_equal(np.signbit(found)[~np.isnan(found)], np.signbit(expected)[~np.isnan(found)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", TRUTHS)
def test_truths_as_booleans(name, dtype):
    columns = [np.array(x, dtype) for x in zip(*itertools.product(AWKWARD, repeat=arity(name)))]
    arrays = [x.reshape(1, -1) for x in columns]
    np.testing.assert_array_equal(run(name, *arrays, boolean=True), REFERENCE[name](*arrays))


SHAPES = [(1, 1), (1, 7), (7, 1), (3, 5), (1, BLOCK), (1, BLOCK + 1), (2, BLOCK), (3, BLOCK + 1), (2, 3 * BLOCK - 5)]
SHAPES += [
    (BLOCK + 3, 1),
    (BLOCK, 2),
    (100, LANES + 1),
    (1000, 5),
    (5, 1000),
    (257, 300),
    (70_001, 1),
    (1, 70_001),
    (33, 1025),
]
FORMS = {
    "load": lambda rows, columns: (rows, columns),
    "load_row": lambda rows, columns: (1, columns),
    "load_column": lambda rows, columns: (rows, 1),
    "load_number": lambda rows, columns: (1, 1),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_layout_and_load(shape, dtype):
    for loads in [("load", form) for form in FORMS] + [("load_row", "load_column"), ("load_number", "load_column")]:
        x, y = (rng.standard_normal(FORMS[load](*shape)).astype(dtype) for load in loads)
        np.testing.assert_array_equal(run("subtract", x, y, loads=loads, shape=shape), np.broadcast_to(x - y, shape))
        np.testing.assert_array_equal(
            run("less", x, y, loads=loads, shape=shape, boolean=True), np.broadcast_to(x < y, shape)
        )
    chosen, x = rng.integers(0, 2, shape) > 0, rng.standard_normal(shape).astype(dtype)
    found = run("where", chosen, x, x, loads=["load_bool", "load", "load"], shape=shape)
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(run("multiply", chosen, x, loads=["load_bool", "load"], shape=shape), chosen * x)


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_beside_the_result_is_written(shape):
    rows, columns = shape
    form = layout(rows, columns)
    room = np.full(rows * columns + 200, 7.0)
    x = rng.standard_normal(shape)
    store = [INSTRUCTIONS["store"], 1, 0, 0, 0]
    code = np.concatenate([header(form, 0), np.array([[INSTRUCTIONS["load"], 0, 0, 0, 0], store], np.int64)])
    execute(code, form, 1, x.dtype, [x, room[100:]])
    np.testing.assert_array_equal(room[100:-100].reshape(shape), x)
    assert (room[:100] == 7).all() and (room[-100:] == 7).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_layouts(shape):
    form = layout(*shape)
    assert form.width % LANES == 0
    assert form.width >= (form.high * form.columns if form.high else BLOCK)
    assert form.high <= form.rows
    elements = form.high * form.columns if form.high else BLOCK
    assert form.blocks * elements >= form.rows * form.columns


def test_the_same_bits_each_time():
    x = rng.standard_normal((300, 301))
    first = run("exp", x)
    assert all(np.array_equal(run("exp", x), first) for _ in range(20))


@pytest.mark.parametrize("kind", ["plain", "read only", "unaligned", "strided", "transposed", "subclass", "no axes"])
def test_addresses_are_looked_up(kind):
    """The routines' loop reads them where NumPy's header says that an array has them."""
    x = {
        "plain": np.arange(6.0),
        "read only": np.arange(6.0),
        "unaligned": np.empty(49, np.uint8)[1:].view(np.float64),
        "strided": np.arange(12.0)[::2],
        "transposed": np.ones((2, 3)).T,
        "subclass": np.arange(6.0).view(np.recarray),
        "no axes": np.array(3.0),
    }[kind]
    x.setflags(write=kind != "read only")
    objects, places, table = np.array([id(x)]), np.array([2]), np.zeros(3, np.int64)
    table[0] = address(objects)
    plain = kind not in ("unaligned", "strided", "transposed")
    assert routine.run(np.array([(1, address(places))]), table) == (0 if plain else -1)
    assert table[2] == (address(x) if plain else 0)
