"""Every op of the registry, held to the same promises on the samples of ``samples.py``."""

import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.primitive import UNWANTED
from tests.gradients import as_tuple, check_derivatives, float_positions, gradients_of, is_float_array, pullback_of
from tests.ops.samples import SAMPLES

REGISTRY = mg.ops.REGISTRY
for _family in sorted(Path(__file__).parent.glob("samples_*.py")):  # they add their rows to SAMPLES
    importlib.import_module(f"tests.ops.{_family.stem}")

KNOWN = [s for s in SAMPLES if s.op in REGISTRY]
DIFFERENTIABLE = [s for s in KNOWN if s.primitive.differentiable]
DISCRETE = [s for s in KNOWN if not s.primitive.differentiable]
ELEMENTWISE = [s for s in KNOWN if s.makers]
THIRD_ORDER = "tanh multiply matmul softmax_loss batchnorm prod power getitem einsum".split()


def over(samples):
    return pytest.mark.parametrize("sample", samples, ids=[s.id for s in samples])


def same(found, wanted, tolerance=1e-12):
    """Assert that all outputs have equal shapes and values, to rounding of float64 unless told."""
    found, wanted = as_tuple(found), as_tuple(wanted)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=tolerance, atol=tolerance)


def values(out):
    """Take the outputs' values out of Tensors."""
    return tuple(x.value if isinstance(x, mg.Tensor) else x for x in as_tuple(out))


def converted(sample, dtype):
    """Return the sample's arguments with all floating-point arrays in another dtype."""
    return tuple(x.astype(dtype) if is_float_array(x) else x for x in sample.args)


def subsets(positions):
    """Return each position alone, and all of them together."""
    return [(i,) for i in positions] + ([tuple(positions)] if len(positions) > 1 else [])


def watched(tape, args):
    return tuple(tape.watch(x) if is_float_array(x) else x for x in args)


# --- the table is complete -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REGISTRY)
def test_every_primitive_has_samples(name):
    assert any(s.op == name for s in SAMPLES), f"{name} has no sample: add a row to tests/ops/samples.py"


def test_every_sample_is_of_a_known_primitive():
    assert {s.op for s in SAMPLES} <= REGISTRY.keys()


def test_ids_tell_samples_apart():
    ids = [s.id for s in SAMPLES]
    assert sorted({i for i in ids if ids.count(i) > 1}) == []


# --- values ----------------------------------------------------------------------------------------------------------


@over(KNOWN)
def test_value_is_numpys_on_arrays(sample):
    found, wanted = sample.run(*sample.args), sample.wanted(*sample.args)
    same(found, wanted)
    assert not any(isinstance(x, mg.Tensor) for x in as_tuple(found))


@over(KNOWN)
@pytest.mark.parametrize("full", [True, False], ids=["full tape", "derivative tape"])
def test_value_is_numpys_on_tensors(sample, full):
    tape = mg.Tape(full=full)
    found = sample.run(*watched(tape, sample.args))
    same(values(found), sample.wanted(*sample.args))


@over([s for s in DIFFERENTIABLE if float_positions(s.args)])
def test_value_is_numpys_under_vjp(sample):
    out, _ = gradients_of(sample.run, sample.args)
    same(out, sample.wanted(*sample.args))


# --- derivatives -----------------------------------------------------------------------------------------------------


@over(DIFFERENTIABLE)
def test_derivatives_agree_with_differences(sample):
    """First and second order (third for some), each argument alone and all together."""
    orders = 3 if sample.op in THIRD_ORDER else 2
    for wrt in subsets(float_positions(sample.args)):
        check_derivatives(sample.run, sample.args, orders=orders, wrt=wrt)


@over([s for s in DIFFERENTIABLE if s.primitive.reference is not None])
def test_kernel_equals_reference(sample):
    """Value and gradient of a fused op are those of the composition that it stands for, by-products included."""
    op = sample.primitive

    def reference(*args):
        return op.reference(*args, **sample.params)

    def kernel(*args):
        out = op.all_outputs(*args, **sample.params)
        return out[: len(as_tuple(reference(*sample.args)))] if op.outputs else out

    if op.outputs and not isinstance(reference(*sample.args), tuple):
        fast, slow = gradients_of(lambda *args: kernel(*args)[0], sample.args), gradients_of(reference, sample.args)
    else:
        fast, slow = gradients_of(kernel, sample.args), gradients_of(reference, sample.args)
    same(fast[0], slow[0])
    same(fast[1], slow[1])


# --- dtypes ----------------------------------------------------------------------------------------------------------

PRECISIONS = {"float64": 1e-12, "float32": 1e-4, "float16": 5e-2}


@over(DIFFERENTIABLE)
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_dtype_is_kept(sample, dtype):
    """The value has NumPy's dtype, each gradient its argument's, and both are right to that precision."""
    args = converted(sample, dtype)
    out, gradients = gradients_of(sample.run, args)
    wanted = as_tuple(sample.wanted(*args))
    assert [x.dtype for x in as_tuple(out)] == [x.dtype for x in wanted]
    assert {g.dtype for g in gradients} <= {np.dtype(dtype)}
    tolerance = PRECISIONS[dtype]
    precise, exact = gradients_of(sample.run, sample.args)
    same(out, precise, tolerance)
    largest = max((np.abs(x).max(initial=1.0) for x in exact), default=1.0)
    same([g.astype(float) / largest for g in gradients], [x / largest for x in exact], tolerance)


@over(DIFFERENTIABLE)
def test_no_rule_computes_in_a_wider_dtype(sample):
    """A backward pass on float32 makes no float64 array on the way: it would cost time and memory."""
    args = converted(sample, np.float32)
    if any(np.result_type(x) == np.float64 for x in as_tuple(sample.wanted(*args))):
        return  # NumPy itself widens here: float32 ** int64
    tape = mg.Tape(full=False)
    args = watched(tape, args)
    wrt = tuple(i for i, x in enumerate(args) if isinstance(x, mg.Tensor))
    gradients_of(sample.run, args, wrt, dtype=np.float32)
    assert [str(node.name) for node in tape.nodes if node.dtype == np.float64] == []


@over([s for s in DIFFERENTIABLE if len(float_positions(s.args)) > 1])
def test_mixed_dtypes_give_each_argument_its_own(sample):
    positions = float_positions(sample.args)
    _, exact = gradients_of(sample.run, sample.args)
    for narrow in positions:
        args = list(sample.args)
        args[narrow] = args[narrow].astype(np.float32)
        out, gradients = gradients_of(sample.run, args)
        assert [g.dtype for g in gradients] == [args[i].dtype for i in positions]
        if sample.primitive.kind != "backward":  # whose result has the dtype of what it is the gradient of
            wanted = as_tuple(sample.wanted(*args))
            assert [x.dtype for x in as_tuple(out)] == [x.dtype for x in wanted]
        same(gradients, exact, tolerance=1e-4)


# --- shapes and memory -----------------------------------------------------------------------------------------------

PAIRS = [((), ()), ((0,), (0,)), ((2, 0, 3), (1,)), ((3,), ()), ((), (2, 3))]
PAIRS += [((2, 1), (1, 3)), ((2, 1, 4), (3, 1)), ((1,), (3, 1, 1))]


@over(ELEMENTWISE)
@pytest.mark.parametrize("shapes", PAIRS, ids=str)
def test_elementwise_shapes(sample, shapes):
    """0-d, empty and broadcast arguments, from either side."""
    for first, second in {shapes, shapes[::-1]}:
        args = tuple(make(*shape) for make, shape in zip(sample.makers, (first, second, first)))
        wanted = sample.expected(*args)
        if not sample.primitive.differentiable:
            same(sample.run(*args), wanted)
            continue
        out, gradients = gradients_of(sample.run, args)
        same(out, wanted)
        assert [g.shape for g in gradients] == [x.shape for x in args if is_float_array(x)]
        assert all(type(g) is np.ndarray for g in gradients)
        if wanted.size:
            check_derivatives(sample.run, args)


def fortran(x):
    return x.copy(order="F")


def strided(x):
    """Every second element of a larger array."""
    buffer = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
    view = buffer[tuple(slice(None, None, 2) for _ in x.shape)] if x.ndim else buffer
    view[...] = x
    return view


def reversed_view(x):
    every = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[every])[every] if x.ndim else x


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


@over(KNOWN)
@pytest.mark.parametrize("layout", [fortran, strided, reversed_view, read_only], ids=lambda f: f.__name__)
def test_memory_layout_does_not_matter(sample, layout):
    args = tuple(layout(x) if isinstance(x, np.ndarray) else x for x in sample.args)
    same(sample.run(*args), sample.run(*sample.args))
    if sample.primitive.differentiable:
        found, wanted = gradients_of(sample.run, args), gradients_of(sample.run, sample.args)
        same(found[0], wanted[0])
        same(found[1], wanted[1])


@over(DIFFERENTIABLE)
def test_gradients_are_arrays_of_their_own(sample):
    """The caller may write into gradients: they share memory with nothing else, and nothing given was modified."""
    out, pullback = pullback_of(sample.run, sample.args)
    cotangents = [np.ones(x.shape, x.dtype) for x in as_tuple(out)]
    given = type(out)(cotangents) if isinstance(out, (tuple, list)) else cotangents[0]
    others = [x for x in (*sample.args, *cotangents, *as_tuple(out)) if isinstance(x, np.ndarray)]
    before = [x.copy() for x in others]
    first = pullback(given)
    expected = [g.copy() for g in first]
    for i, gradient in enumerate(first):
        assert gradient.flags.writeable
        assert not any(np.shares_memory(gradient, other) for other in others + list(first[:i]))
        gradient[...] = np.nan
    for x, copy in zip(others, before):
        np.testing.assert_array_equal(x, copy)
    same(pullback(given), expected)


# --- what is recorded ------------------------------------------------------------------------------------------------


@over(DISCRETE)
def test_discrete_ops_are_not_followed(sample):
    """Under a derivative they give plain arrays; on a full tape they are nodes without rules."""
    light = mg.Tape(full=False)
    assert not isinstance(sample.run(*watched(light, sample.args)), mg.Tensor)
    full = mg.Tape()
    args = [full.watch(x) if isinstance(x, np.ndarray) else x for x in sample.args]
    out = sample.run(*args)
    node = full.nodes[out.index]
    assert node.primitive is sample.primitive
    assert node.plan is None and node.saved == ()


def what_rules_read(op, wants):
    """Return the names that the rules of the wanted arguments have as parameters, static ones left out."""
    if op.shared is not None:
        names = set(op._shared_reads)
    else:
        names = {read for want in wants for read in list(inspect.signature(op.rules[want]).parameters)[1:]}
    return names - op.static


@over(DIFFERENTIABLE)
def test_only_what_rules_read_is_saved(sample):
    op = sample.primitive
    positions = float_positions(sample.args)
    for wrt in subsets(positions):
        tape = mg.Tape(full=False)
        args = [tape.watch(x) if i in wrt else x for i, x in enumerate(sample.args)]
        sample.run(*args)
        nodes = [node for node in tape.nodes if node.primitive is op and node.plan is not None]
        for node in nodes:
            assert len(node.saved) == len(node.plan.reads)
            assert set(node.plan.reads) == what_rules_read(op, node.plan.wants)
            for name, kept in zip(node.plan.reads, node.saved):
                assert not name.endswith("_shape") or isinstance(kept, tuple), f"{name} keeps {type(kept).__name__}"


@pytest.mark.parametrize(
    "op, reads",
    [
        ("add", ()), ("subtract", ()), ("negative", ()), ("multiply", ("y", "x")), ("divide", ("y", "out")),
        ("tanh", ("out",)), ("exp", ("out",)), ("sqrt", ("out",)), ("relu", ("out",)), ("log", ("x",)),
        ("sum", ("x_shape",)), ("mean", ("x_shape",)), ("reshape", ("x_shape",)), ("transpose", ()),
        ("broadcast_to", ()), ("where", ("condition",)), ("max", ("x", "out")), ("concatenate", ("arrays_shape",)),
        ("stack", ()), ("split", ()), ("getitem", ("x_shape", "arrays")), ("affine", ("x_shape", "w", "x")),
        ("batchnorm", ("x", "gamma", "mean", "var", "beta_shape")), ("svm_loss", ("scores", "y")),
    ],
)  # fmt: skip
def test_saved_by_name(op, reads):
    sample = next(s for s in SAMPLES if s.op == op and s.call is None)
    tape = mg.Tape(full=False)
    sample.run(*watched(tape, sample.args))
    (node,) = (node for node in tape.nodes if node.primitive is sample.primitive)
    assert node.plan.reads == reads


def test_an_argument_that_needs_no_gradient_saves_nothing_for_it():
    tape = mg.Tape(full=False)
    x, y = np.ones(3), np.ones(3)
    product = tape.watch(x) * y
    assert [kept is y for kept in tape.nodes[product.index].saved] == [True]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
@over([sample for sample in DIFFERENTIABLE if sample.primitive.exact_if_alike or sample.primitive.exact])
def test_cotangents_of_what_is_alike_need_no_fitting(sample, dtype):
    """Where arguments and result have one shape and dtype, the walk does not look at what such rules return."""
    op = sample.primitive
    arrays = [np.full((2, 3), 0.5, dtype) for _ in op.args]
    tape = mg.Tape(full=False)
    try:
        with np.errstate(all="ignore"):
            out = op(*[tape.watch(x) for x in arrays])
    except (TypeError, mg.MinigradError):
        pytest.skip("not for this dtype")
    out = out[0] if isinstance(out, tuple) else out
    if not isinstance(out, mg.Tensor) or out.dtype != dtype or op.outputs:
        pytest.skip("the result is not alike")
    node = tape.nodes[out.index]
    assert node.plan.exact
    with np.errstate(all="ignore"):
        pulled = node.plan.pull(np.full((2, 3), 0.25, dtype), node.saved, node.params)
    for cotangent in pulled:
        assert cotangent is UNWANTED or (cotangent.shape, cotangent.dtype) == ((2, 3), dtype)
        assert not any(np.may_share_memory(cotangent, x) for x in arrays if cotangent is not UNWANTED)
