"""np.linalg: inverses, determinants, decompositions, norms; real and complex, in stacks, and where derivatives end."""

import itertools
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import MinigradWarning, NoGradientRule
from tests.gradients import agrees, as_tuple, check_derivatives, gradients_of

rng = np.random.default_rng(101)
START = rng.bit_generator.state
SHAPES = [(4, 3), (2, 4), (3, 3)]


@pytest.fixture(autouse=True)
def same_numbers_in_any_order():
    """Let each test draw the same numbers, whichever tests ran before: some stand near kinks for others."""
    rng.bit_generator.state = START


def normal(*shape):
    return np.asarray(rng.standard_normal(shape))


def away(*shape):
    """Return numbers away from 0, and from each other in absolute value."""
    count = int(np.prod(shape))
    return (rng.choice([-1.0, 1.0], count) * (0.5 + 0.25 * rng.permutation(count))).reshape(shape)


def adjoint(x):
    return np.conjugate(np.swapaxes(x, -1, -2))


def unitary(size, *batch, imaginary=0):
    return np.linalg.qr(normal(*batch, size, size) + imaginary * normal(*batch, size, size))[0]


def with_values(values, rows, columns, *batch, imaginary=0):
    """Return matrices with given singular values."""
    u, v = (unitary(size, *batch, imaginary=imaginary)[..., : len(values)] for size in (rows, columns))
    return (u * np.array(values)) @ adjoint(v)


def spread(rows, columns, *batch, imaginary=0):
    """Return matrices with the singular values 2, 3.5, 5 ..."""
    return with_values(0.5 + 1.5 * np.arange(min(rows, columns), 0, -1), rows, columns, *batch, imaginary=imaginary)


def hermitian(values, *batch, imaginary=0):
    q = unitary(len(values), *batch, imaginary=imaginary)
    return (q * np.array(values)) @ adjoint(q)


def mirrored(x):
    return (x + adjoint(x)) * 0.5


def squares(z):
    """Absolute values squared, which phases leave alone."""
    return np.real(z * np.conjugate(z))


def parts(*outputs):
    return [part(x) for x in outputs for part in (np.real, np.imag)]


def agrees_on_complex(f, *matrices):
    """Check a function of complex arrays, given in parts; it returns real arrays, or complex ones to be split."""

    def of_parts(*given):
        out = as_tuple(f(*(re + im * 1j for re, im in zip(given[::2], given[1::2]))))
        return [y for x in out for y in ((x,) if x.dtype.kind == "f" else parts(x))]

    agrees(of_parts, *(np.ascontiguousarray(part) for x in matrices for part in (x.real, x.imag)))


# --- inverses and solutions ------------------------------------------------------------------------------------------


def test_inverse():
    agrees(np.linalg.inv, spread(3, 3, 2), orders=3)
    agrees_on_complex(np.linalg.inv, spread(3, 3, 2, imaginary=1j))


def test_solutions_of_vectors_matrices_and_stacks():
    agrees(np.linalg.solve, spread(3, 3), normal(3))
    agrees(np.linalg.solve, spread(3, 3, 2), normal(3))
    agrees(np.linalg.solve, spread(3, 3, 2), normal(2, 3, 2))
    agrees(np.linalg.solve, spread(3, 3, 4, 1), normal(2, 3, 1))
    agrees(lambda b: np.linalg.solve([[2.0, 1.0], [0.0, 3.0]], b), normal(2))
    agrees(lambda a: np.linalg.solve(a, [1.0, 2.0]), spread(2, 2))
    agrees_on_complex(np.linalg.solve, spread(3, 3, imaginary=1j), normal(3, 2) + normal(3, 2) * 1j)


@pytest.mark.parametrize("rows, columns", SHAPES)
def test_pseudo_inverse(rows, columns):
    agrees(np.linalg.pinv, spread(rows, columns, 2))
    agrees_on_complex(np.linalg.pinv, spread(rows, columns, imaginary=1j))


def test_pseudo_inverse_of_deficient_rank():
    """Along changes that keep the rank: of products of narrow factors."""
    agrees(lambda x, y: np.linalg.pinv(x @ y, 1e-10), spread(5, 2), spread(2, 4))
    agrees(lambda x, y: np.linalg.pinv(x @ y, rtol=1e-10), spread(3, 2, 2), spread(2, 3, 2))
    agrees(lambda x: np.linalg.pinv(mirrored(x), hermitian=True), hermitian([-1.0, 2.0, 3.0]))
    gradient = mg.grad(lambda x: np.linalg.pinv(x).sum())(np.zeros((2, 3)))
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))


def test_rcond_and_rtol_are_one():
    x = with_values([1.0, 1e-3], 2, 2)
    tensor = mg.Tape().watch(x)
    for keywords in [{"rcond": 1e-2}, {"rtol": 1e-2}, {"rtol": None}, {}]:
        np.testing.assert_allclose(np.linalg.pinv(tensor, **keywords).value, np.linalg.pinv(x, **keywords))
    with pytest.raises(ValueError, match="both came"):
        np.linalg.pinv(tensor, 1e-2, rtol=1e-2)


@pytest.mark.parametrize("rows, columns, right", [(5, 3, (5, 2)), (5, 3, (5,)), (3, 5, (3, 2)), (3, 3, (3,))])
def test_least_squares(rows, columns, right):
    a, b = spread(rows, columns), normal(*right)
    found, wanted = np.linalg.lstsq(mg.Tape().watch(a), b), np.linalg.lstsq(a, b)
    assert found[2] == wanted[2]
    for i in (0, 1, 3):
        np.testing.assert_allclose(getattr(found[i], "value", found[i]), wanted[i])

    def floats(a, b):
        x, misses, _, values = np.linalg.lstsq(a, b)
        return (x, misses, values) if misses.size else (x, values)

    agrees(floats, a, b)


def test_least_squares_of_deficient_rank():
    a = with_values([3.0, 1.0, 0.0], 5, 3)
    found, wanted = np.linalg.lstsq(mg.Tape().watch(a), np.ones(5)), np.linalg.lstsq(a, np.ones(5))
    assert found[2] == wanted[2] == 2 and found[1].shape == wanted[1].shape == (0,)
    np.testing.assert_allclose(found[0].value, wanted[0])
    agrees(lambda x, y, b: np.linalg.lstsq(x @ y, b, 1e-10)[0], spread(5, 2), spread(2, 4), normal(5))


def test_tensor_solutions():
    agrees(np.linalg.tensorinv, spread(6, 6).reshape(2, 3, 6))
    agrees(lambda a: np.linalg.tensorinv(a, ind=1), spread(6, 6).reshape(6, 3, 2))
    agrees(np.linalg.tensorsolve, spread(6, 6).reshape(2, 3, 3, 2), normal(2, 3))
    moved = np.ascontiguousarray(np.moveaxis(spread(6, 6).reshape(2, 3, 2, 3), (2, 3), (0, 2)))
    agrees(lambda a, b: np.linalg.tensorsolve(a, b, (0, 2)), moved, normal(2, 3))


@pytest.mark.parametrize("n", [-3, -1, 1, 2, 3, 6])
def test_matrix_power(n):
    agrees(lambda x: np.linalg.matrix_power(x, n), spread(2, 2, 3) / 2)


def test_matrix_power_0_is_constant():
    np.testing.assert_array_equal(np.linalg.matrix_power(mg.Tape().watch(spread(2, 2)), 0), np.eye(2))
    with pytest.raises(TypeError):
        np.linalg.matrix_power(mg.Tape().watch(spread(2, 2)), 0.5)


# --- determinants ----------------------------------------------------------------------------------------------------


def test_determinant():
    agrees(np.linalg.det, normal(2, 4, 4), orders=3)
    agrees_on_complex(np.linalg.det, spread(3, 3, 2, imaginary=1j))


@pytest.mark.parametrize("size, rank", [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (4, 2)])
def test_determinant_of_singular_matrices(size, rank):
    """It is a polynomial of the elements, with derivatives of all orders everywhere."""
    agrees(np.linalg.det, with_values([2.0, 3.0][:rank], size, size), orders=4)


def test_logarithm_of_the_determinant():
    agrees(lambda x: np.linalg.slogdet(x).logabsdet, normal(2, 3, 3) + 4 * np.eye(3))
    agrees(lambda x: np.linalg.slogdet(x)[1] * np.linalg.slogdet(x)[0], -spread(3, 3))
    agrees_on_complex(np.linalg.slogdet, spread(3, 3, 2, imaginary=1j))


def test_gradient_of_log_determinant_is_the_inverse():
    x = spread(3, 3)
    gradient = mg.grad(lambda x: np.linalg.slogdet(x).logabsdet)(x)
    np.testing.assert_allclose(gradient, np.linalg.inv(x).T, atol=1e-14)


# --- eigenvalues -----------------------------------------------------------------------------------------------------

VALUES = [-2.0, 0.5, 3.0, 5.0]


@pytest.mark.parametrize("UPLO", ["L", "U", "l"])
def test_eigh(UPLO):
    def f(x):
        values, vectors = np.linalg.eigh(mirrored(x), UPLO)
        return values, vectors * vectors, np.linalg.eigvalsh(mirrored(x), UPLO=UPLO)

    agrees(f, hermitian(VALUES, 2))
    agrees_on_complex(
        lambda x: (f(x)[0], squares(np.linalg.eigh(mirrored(x), UPLO)[1])), hermitian(VALUES, imaginary=1j)
    )


def test_a_function_of_a_hermitian_matrix():
    def f(x):
        values, vectors = np.linalg.eigh(mirrored(x))
        return (vectors * np.expand_dims(np.exp(values), -2)) @ adjoint(vectors)

    agrees(f, hermitian([-1.0, 0.5, 2.0], 2))
    agrees_on_complex(f, hermitian([-1.0, 0.5, 2.0], 2, imaginary=1j))


def squares_of_eigenvectors(x):
    return squares(np.linalg.eigh(x)[1])


@pytest.mark.parametrize(
    "f", [np.linalg.eigvalsh, squares_of_eigenvectors, np.linalg.cholesky], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("imaginary", [0, 1j])
def test_gradients_of_one_triangle_are_those_of_the_mirrored_matrix(f, imaginary):
    """The gradient is symmetric, and with a symmetric change it gives the change of the loss."""
    x, change = hermitian([1.0, 2.0, 4.0], imaginary=imaginary), mirrored(normal(3, 3) + imaginary * normal(3, 3))
    weights = normal(*f(x).shape)

    def loss(x):
        return np.sum(np.real(f(x)) * weights)

    gradient = mg.grad(loss)(x)
    np.testing.assert_allclose(gradient, adjoint(gradient), atol=1e-14)
    numeric = (loss(x + 1e-5 * change) - loss(x - 1e-5 * change)) / 2e-5
    np.testing.assert_allclose(np.sum(gradient * change).real, numeric, rtol=1e-8)


def eig_invariants(x):
    """Return the eigenvalues, and of the vectors what their phases leave alone."""
    values, vectors = np.linalg.eig(x)
    projections = (vectors * np.arange(1.0, 1 + vectors.shape[-1])) @ np.linalg.inv(vectors)
    return values, squares(vectors), projections


ROTATION = np.array([[1.0, 2.0, 0.3], [-2.0, 1.0, 0.1], [0.2, 0.4, 5.0]])


def test_eig_of_real_eigenvalues():
    """NumPy 2.5 gives them as complex numbers, earlier ones as real numbers."""
    agrees(lambda x: [np.real(y) for y in eig_invariants(x)], np.diag(VALUES) + 0.3 * normal(2, 4, 4))


def test_eig_of_complex_eigenvalues():
    def f(x):
        # The two of a pair weigh the same, so that their order does not matter.
        values, vectors = np.linalg.eig(x)
        return [*parts(values**2), squares(vectors), *parts((vectors * np.exp(values)) @ np.linalg.inv(vectors))]

    agrees(f, ROTATION)
    agrees_on_complex(eig_invariants, ROTATION + np.diag([0.3j, 0.5j, 1j]) + 0.1j * normal(3, 3))
    agrees(lambda x: parts(np.linalg.eigvals(x)), ROTATION)


@pytest.mark.parametrize("name", ["eigvalsh", "eigvals", "svdvals"])
@pytest.mark.parametrize("x", [np.eye(3), np.zeros((3, 3)), np.diag([2.0, 2.0, 1.0])], ids=["one", "zero", "pair"])
def test_symmetric_functions_of_repeated_eigenvalues(name, x):
    """The values alone have no trouble: of their sum the gradient is that of the trace, of squares that of tr(X X)."""
    function = getattr(np.linalg, name)
    np.testing.assert_allclose(mg.grad(lambda x: np.sum(np.real(function(x)) ** 2))(x), 2 * x, atol=1e-14)
    trace = mg.grad(lambda x: np.sum(np.real(function(x))))(x)
    np.testing.assert_allclose(trace, np.sign(x) if name == "svdvals" else np.eye(3), atol=1e-14)


REPEATED = hermitian([1.0, 1.0, 2.0])


@pytest.mark.parametrize("name", ["eigh", "eig", "svd"])
def test_vectors_of_repeated_eigenvalues_warn(name):
    """Of these vectors there is no derivative: the part that has one is given, and a warning says so."""
    vectors = {"eigh": 1, "eig": 1, "svd": 0}[name]
    with pytest.warns(MinigradWarning, match=f"{name}: .* coincide"):
        gradient = mg.grad(
            lambda x: np.sum(np.real(getattr(np.linalg, name)(x)[vectors]) * np.arange(9.0).reshape(3, 3))
        )(REPEATED)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["eigh", "svd"])
def test_forward_mode_warns_of_repeated_eigenvalues(name):
    with pytest.warns(MinigradWarning, match="coincide"):
        mg.jvp(lambda x: getattr(np.linalg, name)(x)[0], (REPEATED,), (np.eye(3),))


def test_a_function_of_a_matrix_with_repeated_eigenvalues_warns():
    """Here the derivative exists, but not through single vectors: what is given is not all of it."""
    with pytest.warns(MinigradWarning, match="coincide"):
        mg.grad(lambda x: np.sum((np.linalg.eigh(x)[1] * np.linalg.eigh(x)[0] ** 2)[:, 0]))(np.eye(3))


def test_the_vector_of_a_single_eigenvalue_is_right_beside_repeated_ones():
    """The eigenvalue 2 stands alone, and nothing warns."""
    agrees_first_order = dict(orders=1, tolerance=1e-7)
    check_derivatives(lambda x: np.linalg.eigh(mirrored(x))[1][:, 2] ** 2, [REPEATED], **agrees_first_order)
    check_derivatives(lambda x: np.linalg.svd(mirrored(x))[0][:, 0] ** 2, [REPEATED], **agrees_first_order)


def test_dependence_on_the_phase_of_complex_vectors_warns():
    x = hermitian([1.0, 2.0, 4.0], imaginary=1j) + 0.1j * np.diag([1, 2, 3])
    with pytest.warns(MinigradWarning, match="eig: .* phase"):
        mg.grad(lambda x: np.sum(np.imag(np.linalg.eig(x)[1])))(x)
    with pytest.warns(MinigradWarning, match="svd: .* phase"):
        mg.grad(lambda x: np.sum(np.imag(np.linalg.svd(x)[0])))(x)
    with pytest.warns(MinigradWarning, match="eigh: .* phase"):
        mg.grad(lambda x: np.sum(np.imag(np.linalg.eigh(mirrored(x))[1])))(x)


def test_missing_eigenvectors_warn():
    q = unitary(2)
    jordan = q @ np.array([[1.0, 1.0], [0.0, 1.0]]) @ q.T
    with pytest.warns(MinigradWarning, match="linearly dependent"):
        mg.grad(lambda x: np.sum(np.real(np.linalg.eigvals(x))))(jordan)


# --- singular values -------------------------------------------------------------------------------------------------


def svd_invariants(x, full_matrices):
    """Return the singular values, and of the vectors what signs, phases and the choice of a basis leave alone."""
    u, s, vh = np.linalg.svd(x, full_matrices)
    rank = s.shape[-1]
    first, rest, rows, more = u[..., :rank], u[..., rank:], vh[..., :rank, :], vh[..., rank:, :]
    weighted = (first * np.arange(1.0, rank + 1)) @ rows
    return squares(first), s, squares(rows), first @ rows, weighted, rest @ adjoint(rest), adjoint(more) @ more


@pytest.mark.parametrize("full_matrices", [True, False])
@pytest.mark.parametrize("rows, columns", SHAPES)
def test_svd(rows, columns, full_matrices):
    agrees(lambda x: svd_invariants(x, full_matrices), spread(rows, columns, 2))
    agrees_on_complex(lambda x: svd_invariants(x, full_matrices), spread(rows, columns, imaginary=1j))


def test_singular_values_alone():
    agrees(np.linalg.svdvals, spread(3, 2, 2))
    agrees(lambda x: np.linalg.svd(x, compute_uv=False), spread(2, 3, 2))
    agrees_on_complex(np.linalg.svdvals, spread(3, 2, imaginary=1j))
    tape = mg.Tape(full=False)
    np.linalg.svdvals(tape.watch(spread(2, 3)))
    assert [str(node.name) for node in tape.nodes][1] == "svd"


def test_only_some_outputs_of_an_svd():
    for i in range(3):
        agrees(lambda x, i=i: np.linalg.svd(x, full_matrices=False)[i] ** 2, spread(3, 2))


def test_a_low_rank_approximation_of_a_matrix_of_low_rank():
    """The vectors of the values 0 do not count here, and nothing warns (at the first order)."""

    def f(x, y):
        u, s, vh = np.linalg.svd(x @ y, full_matrices=False)
        return (u[:, :2] * s[:2]) @ vh[:2]

    agrees(f, spread(5, 2), spread(2, 4), orders=1)


def test_vectors_of_the_singular_value_0_warn():
    with pytest.warns(MinigradWarning, match="value 0"):
        mg.grad(lambda x: np.linalg.svd(x, full_matrices=False)[0][0, 1])(with_values([2.0, 0.0], 4, 2))


def test_the_basis_that_fills_up_warns():
    with pytest.warns(MinigradWarning, match="any basis"):
        mg.grad(lambda x: np.sum(np.linalg.svd(x)[0][:, 2:] * np.arange(8.0).reshape(4, 2)))(spread(4, 2))
    with pytest.warns(MinigradWarning, match="any basis"):
        mg.grad(lambda x: np.sum(np.linalg.qr(x, "complete")[0][:, 2:] * np.arange(8.0).reshape(4, 2)))(spread(4, 2))


def test_hermitian_svd_is_refused():
    with pytest.raises(NoGradientRule, match="eigh"):
        np.linalg.svd(mg.Tape().watch(np.eye(2)), hermitian=True)


# --- triangular factors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["reduced", "complete"])
@pytest.mark.parametrize("rows, columns", SHAPES)
def test_qr(rows, columns, mode):
    def f(x):
        q, r = np.linalg.qr(x, mode=mode)
        rest = q[..., min(rows, columns) :]
        return q[..., : min(rows, columns)], r, rest @ adjoint(rest)

    agrees(f, spread(rows, columns, 2))
    agrees_on_complex(f, spread(rows, columns, imaginary=1j))


def test_modes_of_qr():
    agrees(lambda x: np.linalg.qr(x, "r"), spread(3, 2, 2))
    agrees(lambda x: np.linalg.qr(x).Q, spread(3, 2))
    with pytest.raises(NoGradientRule, match="'raw' came"):
        np.linalg.qr(mg.Tape().watch(np.eye(2)), "raw")


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky(upper):
    def f(x):
        return np.linalg.cholesky(x @ adjoint(x) + 2 * np.eye(3), upper=upper)

    agrees(f, normal(2, 3, 3))
    agrees_on_complex(f, normal(3, 3) + normal(3, 3) * 1j)


def test_log_density_of_a_gaussian_two_ways():
    """Through cholesky, and through inverse and determinant."""
    x, covariance = normal(3), hermitian([1.0, 2.0, 4.0])

    def by_cholesky(s):
        lower = np.linalg.cholesky(s)
        return -0.5 * np.sum(np.linalg.solve(lower, x) ** 2) - np.sum(np.log(np.linalg.diagonal(lower)))

    def by_inverse(s):
        return -0.5 * (x @ np.linalg.inv(s) @ x) - 0.5 * np.linalg.slogdet(s).logabsdet

    (a, da), (b, db) = mg.value_and_grad(by_cholesky)(covariance), mg.value_and_grad(by_inverse)(covariance)
    np.testing.assert_allclose(a, b)
    np.testing.assert_allclose(da, db, atol=1e-14)


# --- matrix exponential ----------------------------------------------------------------------------------------------


def test_exponential():
    agrees(mg.ops.expm, normal(2, 3, 3), orders=3)
    agrees_on_complex(mg.ops.expm, normal(2, 2) + normal(2, 2) * 1j)


def test_exponential_against_scipys_derivative():
    scipy_linalg = pytest.importorskip("scipy.linalg")
    x, direction, g = normal(3, 3), normal(3, 3), normal(3, 3)
    gradient = mg.grad(lambda x: np.sum(mg.ops.expm(x) * g))(x)
    _, derivative = scipy_linalg.expm_frechet(x, direction)
    np.testing.assert_allclose(np.sum(gradient * direction), np.sum(derivative * g))


# --- norms -----------------------------------------------------------------------------------------------------------

OF_VECTORS = [None, 2, 1, 3, 1.5, 0.5, -1, -2.5, np.inf, -np.inf]
OF_MATRICES = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


@pytest.mark.parametrize("ord", OF_VECTORS)
def test_norms_of_vectors(ord):
    """At elements away from 0, where orders below 2 have kinks."""
    agrees(lambda x: np.linalg.norm(x, ord), away(4))
    for axis, keepdims in itertools.product((0, -1, (1,)), (False, True)):
        agrees(lambda x, a=axis, k=keepdims: np.linalg.norm(x, ord, a, k), away(2, 3, 2))
    agrees_on_complex(lambda z: np.linalg.norm(z, ord, 0), away(3, 2) * (1 + 0.5j))
    if ord is not None:
        agrees(lambda x: np.linalg.vector_norm(x, axis=(0, 2), ord=ord, keepdims=True), away(2, 2, 3))
        agrees(lambda x: np.linalg.vector_norm(x, ord=ord), away(2, 2))


@pytest.mark.parametrize("ord", OF_MATRICES)
def test_norms_of_matrices(ord):
    agrees(lambda x: np.linalg.norm(x, ord), spread(3, 4))
    x = spread(3, 4, 2)
    for axes, keepdims in itertools.product(((1, 2), (-1, 0), (2, 1)), (False, True)):
        moved = np.ascontiguousarray(np.moveaxis(x, (1, 2), axes))
        agrees(lambda x, a=axes, k=keepdims: np.linalg.norm(x, ord, a, keepdims=k), moved)
    agrees_on_complex(lambda z: np.linalg.norm(z, ord), spread(3, 4, imaginary=1j))
    if ord is not None:
        agrees(lambda x: np.linalg.matrix_norm(x, ord=ord, keepdims=True), x)


def test_norm_of_any_shape():
    agrees(lambda x: np.linalg.norm(x), normal(2, 3, 2))
    agrees(lambda x: np.linalg.norm(x, keepdims=True), normal(2, 3, 2))


@pytest.mark.parametrize("ord", OF_VECTORS)
def test_norm_of_0(ord):
    """The gradient is 0 where a norm is 0: the smallest that a supporting plane has, and the symmetric one."""
    value, gradient = mg.value_and_grad(lambda x: np.sum(np.linalg.norm(x, ord, -1)))(np.zeros((2, 3)))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))
    second = mg.grad(lambda x: np.sum(mg.grad(lambda y: np.sum(np.linalg.norm(y, ord, -1)))(x)))(np.zeros((2, 3)))
    assert np.isfinite(second).all()


@pytest.mark.parametrize("ord", OF_MATRICES)
def test_matrix_norm_of_0(ord):
    value, gradient = mg.value_and_grad(lambda x: np.linalg.norm(x, ord))(np.zeros((3, 2)))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((3, 2)))


@pytest.mark.parametrize("ord", [3, 1.5, 0.5, 1, -1])
def test_norm_of_a_vector_with_zeros(ord):
    x = np.array([0.0, 3.0, -4.0])
    with np.errstate(divide="ignore"):
        wanted = np.linalg.norm(x, ord)
    value, gradient = mg.value_and_grad(lambda x: np.linalg.norm(x, ord))(x)
    np.testing.assert_allclose(value, wanted)
    assert gradient[0] == 0 and np.isfinite(gradient).all()
    if ord > 0:
        rest = mg.grad(lambda x: np.linalg.norm(x, ord))(x[1:])
        np.testing.assert_allclose(gradient[1:], rest)


def test_count_of_non_zeros_is_a_norm_without_gradient():
    x = np.array([0.0, 3.0, -4.0])
    np.testing.assert_array_equal(mg.grad(lambda x: np.linalg.norm(x, 0) + np.sum(x))(x), np.ones(3))
    assert np.linalg.norm(mg.Tape().watch(x), 0).value == 2


def test_ties_share():
    np.testing.assert_array_equal(mg.grad(lambda x: np.linalg.norm(x, np.inf))(np.array([2.0, -2.0])), [0.5, -0.5])
    np.testing.assert_allclose(mg.grad(lambda x: np.linalg.norm(x, 2))(np.eye(2)), np.eye(2) / 2)


def test_wrong_orders_and_axes():
    tensor = mg.Tape().watch(np.ones((2, 2, 2)))
    for arguments in [("fro", 0), ("nuc", 1), (3, (0, 1)), ("max", (0, 1)), (2,), (None, (0, 1, 2)), (2, (1, -2))]:
        with pytest.raises(ValueError):
            np.linalg.norm(tensor.value, *arguments)
        with pytest.raises(ValueError):
            np.linalg.norm(tensor, *arguments)


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"])
def test_condition_number(p):
    agrees(lambda x: np.linalg.cond(x, p), spread(3, 3, 2))


def test_condition_of_a_singular_matrix_is_infinite():
    assert np.linalg.cond(mg.Tape().watch(np.diag([1.0, 0.0]))).value == np.inf


def test_rank_is_a_plain_number():
    assert mg.grad(lambda x: np.sum(x) * np.linalg.matrix_rank(x))(np.ones((2, 3))).tolist() == [[1.0] * 3] * 2


# --- promises of all -------------------------------------------------------------------------------------------------

SQUARE = [np.linalg.inv, np.linalg.det, np.linalg.slogdet, np.linalg.pinv, np.linalg.eigvalsh, np.linalg.svdvals]
SQUARE += [np.linalg.cholesky, np.linalg.qr, np.linalg.cond, np.linalg.norm, np.linalg.eigvals, np.linalg.eigh]


def in_a_tuple(f):
    """Return f with a plain tuple as result."""
    return lambda x: as_tuple(f(x))


@pytest.mark.parametrize("f", SQUARE, ids=lambda f: f.__name__)
def test_float32_is_kept(f):
    x = hermitian([1.0, 2.0, 4.0]).astype(np.float32)
    out, (gradient,) = gradients_of(in_a_tuple(f), [x])
    assert [y.dtype for y in as_tuple(out)] == [y.dtype for y in as_tuple(f(x))]
    assert gradient.dtype == np.float32


@pytest.mark.parametrize(
    "f", [f for f in SQUARE if f not in (np.linalg.cond, np.linalg.norm)], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("shape", [(0, 2, 2), (0, 0), (3, 0, 0)], ids=str)
def test_empty_stacks_and_matrices(f, shape):
    out, (gradient,) = gradients_of(in_a_tuple(f), [np.ones(shape)])
    assert [np.shape(y) for y in as_tuple(out)] == [np.shape(y) for y in as_tuple(f(np.ones(shape)))]
    assert gradient.shape == shape


@pytest.mark.parametrize("f", [np.linalg.slogdet, np.linalg.eigh, np.linalg.eig, np.linalg.svd, np.linalg.qr])
def test_results_have_the_names_that_numpy_gives_them(f):
    x = hermitian([1.0, 2.0])
    found = f(mg.Tape().watch(x))
    assert type(found) is type(f(x))
    assert all(isinstance(part, mg.Tensor) for part in found)
    out, _ = mg.vjp(f, x)
    assert type(out) is type(f(x))


@pytest.mark.parametrize(
    "f, x",
    [
        (np.linalg.inv, np.zeros((2, 2))), (np.linalg.inv, np.ones((2, 3))), (np.linalg.det, np.ones((2, 3))),
        (np.linalg.cholesky, -np.eye(2)), (np.linalg.eigh, np.ones((2, 3))), (np.linalg.eig, np.full((2, 2), np.nan)),
        (np.linalg.svd, np.full((2, 2), np.nan)), (np.linalg.qr, np.ones(2)), (np.linalg.lstsq, np.ones((2, 2, 2))),
    ],
)  # fmt: skip
def test_errors_of_linear_algebra_pass(f, x):
    """They are NumPy's LinAlgError still, and say which op met which shape."""
    arguments = (x, np.ones(2)) if f is np.linalg.lstsq else (x,)
    with pytest.raises(np.linalg.LinAlgError):
        f(*arguments)
    name = "lstsq" if f is np.linalg.lstsq else f"{f.__name__}: \\({x.shape[0]}"
    with pytest.raises(np.linalg.LinAlgError, match=name):
        f(mg.Tape().watch(arguments[0]), *arguments[1:])


def test_a_singular_system():
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        mg.grad(lambda a: np.linalg.solve(a, np.ones(2)).sum())(np.ones((2, 2)))


def test_nothing_warns_without_reason():
    """Eigenvalues, and losses that no choice of vectors changes."""
    x = hermitian([1.0, 1.0, 2.0], imaginary=1j)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mg.grad(lambda x: np.sum(np.exp(np.linalg.eigvalsh(x))))(x)
        mg.grad(lambda x: np.sum(np.linalg.svdvals(x) ** 3))(x)
        mg.grad(lambda x: np.sum(np.real(np.linalg.eigvals(x))))(x)
