"""np.linalg: inverses, solutions, determinants, norms and decompositions. All take stacks of matrices.

The formulas are those of Giles (2008, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation"), Golub and Pereyra (1973, pinv), Murray (2016, cholesky), Walter and Lehmann (2018, qr of tall
matrices), Roberts and Roberts (2020, qr of wide ones), Boeddeker et al. (2017, eig and eigh of complex matrices),
Wan and Zhang (2019, complex svd), written in the convention for complex numbers: a cotangent g stands for the change
``Re(sum(g * dx))`` of a real loss, so that ``.T`` stands where a formula for real numbers has it, and a conjugate
only where the function itself has one.

Where a derivative does not exist, its part is left out with a `MinigradWarning`: of eigenvectors whose eigenvalues
coincide, and of anything that depends on a choice that the decomposition leaves open (the phase of an eigenvector).
Eigenvalues and singular values alone have their right gradient there too.
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.errors import MinigradError, MinigradWarning, NoGradientRule
from ..core.explain import where
from ..core.numpy_protocol import implements
from ..core.primitive import primitive
from ..core.tensor import Tensor, value_of
from .products import conjugated
from .reduce import deviation, product_of_others

__all__ = [
    "cond",
    "eigvals",
    "eigvalsh",
    "lstsq",
    "matrix_norm",
    "matrix_power",
    "norm",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vector_norm",
]


class MatrixError(MinigradError, np.linalg.LinAlgError):
    """A matrix that NumPy refuses: singular, not square, not positive definite. The text says in which op."""


def refusing(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Let NumPy's LinAlgError through as what it is (the ops would turn a ValueError into one about shapes)."""

    @functools.wraps(forward)
    def call(*arrays: Any, **static: Any) -> Any:
        try:
            return forward(*arrays, **static)
        except np.linalg.LinAlgError as error:
            shapes = ", ".join(str(np.shape(x)) for x in arrays)
            raise MatrixError(f"{where(forward.__name__)}: {shapes}: {error}") from error

    return call


# --- what the rules are written with --------------------------------------------------------------------------------


def transposed(x: Any) -> Any:
    """Exchange the last two axes."""
    return np.swapaxes(x, -1, -2)


def adjoint(x: Any) -> Any:
    """Transpose and conjugate."""
    return conjugated(transposed(x))


def symmetrised(g: Any) -> Any:
    """Return the part of a cotangent that a symmetric (Hermitian) argument has."""
    return (g + adjoint(g)) * 0.5


def _real_dtype(x: Any) -> Any:
    return np.finfo(x.dtype).dtype


def _eye(x: Any) -> Any:
    """Return the identity matrix for a stack of square matrices, in their real dtype."""
    return np.eye(x.shape[-1], dtype=_real_dtype(x))


def _triangle(x: Any, diagonal: float) -> Any:
    """Return weights that take the upper triangle of square matrices, and of the diagonal a share."""
    return np.triu(np.ones(x.shape[-2:], _real_dtype(x)), 1) + diagonal * _eye(x)


def _columns(x: Any, y: Any) -> Any:
    """Return the inner product, without conjugates, of each column of x with the same column of y."""
    return np.sum(x * y, axis=-2)


def _significant(x: Any, scale: Any) -> Any:
    """Whether elements of a cotangent are more than the rounding of numbers of some size (both plain arrays)."""
    return np.abs(x) > 1e3 * np.finfo(x.dtype).eps * np.max(np.abs(scale), initial=0.0)


def _warn(about: str) -> None:
    warnings.warn(f"{about}; this part of it is left out (taken as 0)", MinigradWarning, stacklevel=2)


@primitive(differentiable=False)
def coincident(values):
    """For each pair of values whether they are equal to the rounding of a decomposition (as each is to itself)."""
    size = np.max(np.abs(values), axis=-1, keepdims=True, initial=0.0)[..., None]
    gap = np.abs(values[..., None, :] - values[..., :, None])
    return gap <= 10 * values.shape[-1] * np.finfo(values.dtype).eps * size


def _inverse_gaps(gaps: Any, same: Any) -> Any:
    """Return 1 / gaps, and 0 where the values are the same."""
    one, zero = np.ones((), gaps.dtype), np.zeros((), gaps.dtype)
    return np.where(same, zero, 1 / np.where(same, one, gaps))


def _differences(values: Any) -> Any:
    """Return ``values[j] - values[i]`` as a matrix."""
    return np.expand_dims(values, -2) - np.expand_dims(values, -1)


def _reached(part: Any, g: Any) -> bool:
    """Whether a cotangent has more than rounding in a part of it, or is what forward mode gives.

    Forward mode transposes a rule, and runs it for that on a cotangent that is a Tensor of zeros: then a tangent of
    every part will be computed.
    """
    value = value_of(g)
    return (type(g) is Tensor and not np.any(value)) or bool(np.any(_significant(part, value)))


def _warn_of_vectors(name: str, same: Any, turns: Sequence[Any], cotangents: Sequence[Any]) -> None:
    """Warn if a loss depends on single vectors of coinciding values, or on the phases of complex vectors.

    ``turn[i, j]`` is the cotangent of turning vector j towards vector i; there is one turn for each kind of vectors.
    """
    same, turns = value_of(same), [value_of(turn) for turn in turns]
    others = same & ~np.eye(same.shape[-1], dtype=bool)
    if np.any(others) and any(_reached(turn[others], g) for turn, g in zip(turns, cotangents)):
        _warn(
            f"{name}: the derivative reaches vectors whose values coincide, and that of such vectors does not exist "
            f"(functions of the values that treat them alike have one)"
        )
    elif turns[0].dtype.kind == "c":
        phases = np.imag(np.diagonal(sum(turns), axis1=-2, axis2=-1))
        if all(np.any(_significant(phases, value_of(g))) for g in cotangents):
            _warn(f"{name}: the loss depends on the phase of complex vectors, which the decomposition leaves open")


def _orthogonal_rest(name: str, g: Any, q: Any, size: int) -> tuple[Any, Any]:
    """Split a unitary matrix, and fold the cotangent of the columns from `size` on into that of the columns before.

    The later columns are any basis of the space orthogonal to the earlier ones, so they turn only as far as these make
    them: ``d rest = -first @ d first.H @ rest``. A loss that depends on the basis itself gets a warning.
    """
    first, rest = q[..., :size], q[..., size:]
    g_first, g_rest = g[..., :size], g[..., size:]
    turn = np.matmul(transposed(value_of(rest)), value_of(g_rest))
    if np.any(_significant(turn - adjoint(turn), value_of(g))):
        _warn(f"{name}: the loss depends on the columns that fill up the orthogonal matrix, and any basis may be there")
    return first, g_first - conjugated(rest) @ adjoint(g_rest) @ conjugated(first)


# --- inverses and solutions -----------------------------------------------------------------------------------------


@primitive(np.linalg.inv)
@refusing
def inv(x):
    """Inverse of square matrices: ``dY = -Y dX Y``."""
    return np.linalg.inv(x)


inv.vjp(x=lambda g, out: -(transposed(out) @ g @ transposed(out)))


@primitive(np.linalg.solve)
@refusing
def solve(a, b):
    """Solution X of ``a X = b``; b is a vector if it has one axis, else a matrix or a stack of matrices."""
    return np.linalg.solve(a, b)


def _as_columns(x: Any, b_shape: tuple[int, ...]) -> Any:
    return np.expand_dims(x, -1) if len(b_shape) == 1 else x


def _solve_back(g: Any, a: Any, b_shape: tuple[int, ...]) -> Any:
    return np.linalg.solve(transposed(a), _as_columns(g, b_shape))


def _solve_right(g: Any, a: Any, b_shape: tuple[int, ...]) -> Any:
    back = _solve_back(g, a, b_shape)
    return np.squeeze(back, -1) if len(b_shape) == 1 else back


solve.vjp(
    a=lambda g, a, b_shape, out: -(_solve_back(g, a, b_shape) @ transposed(_as_columns(out, b_shape))),
    b=_solve_right,
)


@primitive
@refusing
def pinv(a, *, rcond=1e-15, hermitian=False):
    """Pseudo-inverse of Moore and Penrose. Singular values up to rcond times the largest count as zero.

    The gradient is the one for changes that keep the rank (Golub and Pereyra, 1973, eq. 4.12):
    ``dP = -P dA P + P P.H dA.H (1 - A P) + (1 - P A) dA.H P.H P``. At a change of rank P jumps, and has none.
    With ``hermitian=True`` only the lower triangle is read; the gradient is symmetrised, as in `eigh`.
    """
    return np.linalg.pinv(a, rcond, hermitian)


def _pinv_rule(g: Any, a: Any, out: Any, hermitian: bool) -> Any:
    back = transposed(g)
    inside = transposed(out) @ g @ transposed(out)
    left = back @ out @ adjoint(out)
    right = adjoint(out) @ out @ back
    change = conjugated(left - a @ (out @ left) + right - (right @ out) @ a) - inside
    return symmetrised(change) if hermitian else change


pinv.vjp(a=_pinv_rule)

_NOT_GIVEN: Any = np._NoValue


@implements(np.linalg.pinv)
def _np_pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = _NOT_GIVEN) -> Any:
    if rcond is not None and rtol is not _NOT_GIVEN:
        raise ValueError("pinv takes rcond= or rtol=, which mean the same, and both came")
    if rcond is None:
        if rtol is _NOT_GIVEN:
            rcond = 1e-15
        else:
            rcond = rtol if rtol is not None else max(a.shape[-2:]) * np.finfo(a.dtype).eps
    return pinv(a, rcond=rcond, hermitian=hermitian)


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Any, Any, int, Any]:
    """Least-squares solution of ``a x = b`` (that of least norm), residuals, rank and singular values.

    The solution is ``pinv(a) @ b``, so its gradient is the one for changes that keep the rank.
    """
    if np.ndim(a) != 2 or np.ndim(b) not in (1, 2):
        raise MatrixError(f"lstsq takes one matrix a and b of one or two axes, and {np.shape(a)}, {np.shape(b)} came")
    rows, columns = np.shape(a)
    eps = float(np.finfo(np.result_type(a, b)).eps)
    cut = eps * max(rows, columns) if rcond is None else eps if rcond < 0 else rcond
    values = svdvals(a)
    plain = _plain(values, "lstsq, which counts the rank,")
    rank = int(np.sum(plain > cut * np.max(plain, initial=0.0)))
    x = pinv(a, rcond=cut) @ b
    if rank < columns or rows <= columns:
        return x, np.zeros(0, _real_dtype(x)), rank, values
    misses = b - a @ x
    return x, np.atleast_1d(np.sum(_squares(misses), axis=0)), rank, values


def _plain(x: Any, use: str) -> Any:
    return x.concrete(use) if type(x) is Tensor else x


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """Inverse with respect to `tensordot` over the first `ind` axes."""
    if ind <= 0:
        raise ValueError(f"tensorinv takes ind > 0, and {ind} came")
    size = int(np.prod(a.shape[ind:], dtype=int))
    return np.reshape(np.linalg.inv(np.reshape(a, (-1, size))), a.shape[ind:] + a.shape[:ind])


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """Solution x of ``tensordot(a, x, x.ndim) = b``; `axes` of a are moved to its end first."""
    ndim = np.ndim(a)
    if axes is not None:
        moved = [axis % ndim for axis in axes]
        a = np.transpose(a, (*(axis for axis in range(ndim) if axis not in moved), *moved))
    shape = np.shape(a)[np.ndim(b) - ndim :]
    size = int(np.prod(shape, dtype=int))
    return np.reshape(np.linalg.solve(np.reshape(a, (-1, size)), np.ravel(b)), shape)


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """Repeated product of square matrices with themselves; a negative power is that of the inverse."""
    n = operator.index(n)
    if n < 0:
        a, n = np.linalg.inv(a), -n
    if n == 0:
        return np.linalg.matrix_power(np.ones(a.shape, a.dtype), 0)
    power, square = None, a
    while True:
        if n % 2:
            power = square if power is None else power @ square
        n //= 2
        if n == 0:
            return power
        square = square @ square


# --- determinants ---------------------------------------------------------------------------------------------------


@primitive(np.linalg.det)
@refusing
def det(x):
    """Determinant. Its derivative is the matrix of cofactors, also where the matrix is singular."""
    return np.linalg.det(x)


det.vjp(x=lambda g, x: np.expand_dims(g, (-1, -2)) * cofactor(x))


@primitive
@refusing
def cofactor(x):
    """Matrix of cofactors, ``det(x) * inv(x).T``, found from the singular values, so that singular matrices have one.

    It is multiplicative: of ``U S V.H`` it is ``det(U) det(V.H) conj(U) cofactor(S) conj(V.H)``.
    """
    u, s, vh = np.linalg.svd(x)
    return _rotation(u, vh) * ((np.conj(u) * product_of_others(s, axis=-1)[..., None, :]) @ np.conj(vh))


@primitive
@refusing
def cofactor_slope(g, x):
    """Gradient of ``sum(g * cofactor(x))`` with respect to x: the second derivative of the determinant.

    For diagonal x with elements s it has ``sum_j p[i, j] g[j, j]`` on the diagonal and ``-p[i, j] g[j, i]`` off it,
    where ``p[i, j]`` is the product of the s other than i and j; the singular values reduce all others to that.
    """
    u, s, vh = np.linalg.svd(x)
    turned = np.conj(np.swapaxes(u, -1, -2)) @ g @ np.conj(np.swapaxes(vh, -1, -2))
    eye = np.eye(s.shape[-1], dtype=bool)
    # Row i has element i set to 1, and its products of all others leave out j.
    pairs = product_of_others(np.where(eye, np.ones((), s.dtype), s[..., None, :]), axis=-1) * ~eye
    slope = -pairs * np.swapaxes(turned, -1, -2)
    slope = slope + eye * (pairs @ np.diagonal(turned, axis1=-2, axis2=-1)[..., None])
    return _rotation(u, vh) * (np.conj(u) @ slope @ np.conj(vh))


def _rotation(u: Any, vh: Any) -> Any:
    return (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]


def _cofactor_slope_rule(c: Any, g: Any, x: Any) -> Any:
    """Third derivative: a cofactor is, but for its sign, the determinant of the matrix without row i and column j."""
    size, dtype = x.shape[-1], _real_dtype(x)
    if size < 3:
        return np.zeros(x.shape, x.dtype)
    signs = (-1.0) ** np.add.outer(np.arange(size), np.arange(size)).astype(dtype)
    without = np.stack([np.delete(np.eye(size, dtype=dtype), i, axis=0) for i in range(size)])  # size, size - 1, size
    small_x, small_c = (np.einsum("iap,...pq,jbq->...ijab", without, y, without) for y in (x, c))
    slopes = np.expand_dims(g * signs, (-1, -2)) * cofactor_slope(small_c, small_x)
    return np.einsum("iap,...ijab,jbq->...pq", without, slopes, without)


cofactor.vjp(x=lambda g, x: cofactor_slope(g, x))
cofactor_slope.vjp(g=lambda c, x: cofactor_slope(c, x), x=_cofactor_slope_rule)


SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))
EighResult: Any = type(np.linalg.eigh(np.eye(1)))
EigResult: Any = type(np.linalg.eig(np.eye(1)))
SVDResult: Any = type(np.linalg.svd(np.eye(1)))
QRResult: Any = type(np.linalg.qr(np.eye(1)))


@primitive(outputs=("sign", "logabsdet"))
@refusing
def slogdet(x):
    """Sign (a number of absolute value 1) and logarithm of the absolute value of the determinant.

    A real sign is constant; a complex one turns with the imaginary part of ``trace(inv(x) @ dx)``.
    """
    return tuple(np.linalg.slogdet(x))


def _slogdet_rule(g: Any, x: Any, sign: Any) -> Any:
    g_sign, g_log = g
    if x.dtype.kind == "c":
        g_log = g_log + np.imag(g_sign * sign) * 1j
    return np.expand_dims(g_log, (-1, -2)) * transposed(np.linalg.inv(x))


slogdet.vjp(x=_slogdet_rule)


@implements(np.linalg.slogdet)
def _np_slogdet(a: Any) -> Any:
    return SlogdetResult(*slogdet(a))


# --- eigenvalues ----------------------------------------------------------------------------------------------------


@primitive(outputs=("eigenvalues", "eigenvectors"))
@refusing
def eigh(x, *, UPLO="L"):
    """Eigenvalues, ascending, and eigenvectors of symmetric (Hermitian) matrices.

    NumPy reads one triangle and takes the other as its mirror image. The gradient is that of ``(x + x.H) / 2``: a
    symmetric matrix, whose product with a symmetric change of x is the change of the loss.

    ``dw = diag(M)`` and ``dV = V (F * M)`` with ``M = V.H dX V`` and ``F[i, j] = 1 / (w[j] - w[i])``, 0 where the two
    coincide.
    """
    return tuple(np.linalg.eigh(x, UPLO))


def _eigh_rule(g: Any, eigenvalues: Any, eigenvectors: Any) -> Any:
    g_values, g_vectors = g
    if g_vectors is None:
        return (conjugated(eigenvectors) * np.expand_dims(g_values, -2)) @ transposed(eigenvectors)
    turn = transposed(eigenvectors) @ g_vectors
    same = coincident(eigenvalues)
    _warn_of_vectors("eigh", same, (turn,), (g_vectors,))
    inside = turn * _inverse_gaps(_differences(eigenvalues), same)
    if g_values is not None:
        inside = inside + _eye(inside) * np.expand_dims(g_values, -2)
    return symmetrised(conjugated(eigenvectors) @ inside @ transposed(eigenvectors))


eigh.takes_none = True
eigh.vjp(x=_eigh_rule)


@implements(np.linalg.eigh)
def _np_eigh(a: Any, UPLO: str = "L") -> Any:
    return EighResult(*eigh(a, UPLO=UPLO))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Eigenvalues of symmetric (Hermitian) matrices, ascending."""
    return eigh(a, UPLO=UPLO)[0]


@primitive(outputs=("eigenvalues", "eigenvectors"))
@refusing
def eig(x):
    """Eigenvalues and eigenvectors, of length 1, of square matrices.

    With ``M = inv(V) dX V``: ``dw = diag(M)`` and ``dV = V (F * M)``, less what would change the vectors' lengths. At
    a matrix without a full set of eigenvectors nothing of this has a derivative.
    """
    return tuple(np.linalg.eig(x))


def _eig_rule(g: Any, eigenvalues: Any, eigenvectors: Any) -> Any:
    g_values, g_vectors = g
    _warn_of_missing_vectors(value_of(eigenvectors))
    inside = _eye(eigenvectors) * np.expand_dims(g_values, -2) if g_values is not None else 0.0
    if g_vectors is not None:
        turn = transposed(eigenvectors) @ g_vectors
        same = coincident(eigenvalues)
        _warn_of_vectors("eig", same, (turn,), (g_vectors,))
        angles = transposed(eigenvectors) @ conjugated(eigenvectors)
        turn = turn - angles * np.expand_dims(np.real(_columns(eigenvectors, g_vectors)), -2)
        inside = inside + turn * _inverse_gaps(_differences(eigenvalues), same)
    return np.linalg.solve(transposed(eigenvectors), inside @ transposed(eigenvectors))


def _warn_of_missing_vectors(vectors: Any) -> None:
    if vectors.size and np.any(np.linalg.cond(vectors) > 0.1 / np.sqrt(np.finfo(vectors.dtype).eps)):
        warnings.warn(
            "eig: the eigenvectors are almost linearly dependent, and where they are the derivative does not exist: "
            "this gradient is not accurate",
            MinigradWarning,
            stacklevel=2,
        )


eig.takes_none = True
eig.vjp(x=_eig_rule)


@implements(np.linalg.eig)
def _np_eig(a: Any) -> Any:
    return EigResult(*eig(a))


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    """Eigenvalues of square matrices."""
    return eig(a)[0]


# --- singular values ------------------------------------------------------------------------------------------------


@primitive(outputs=("U", "S", "Vh"))
@refusing
def svd(x, *, full_matrices=True):
    """Singular value decomposition ``x = U @ diag(S) @ Vh``.

    With ``M = U.H dX V``: ``dS = Re diag(M)``; U and V turn within their columns by ``F * (M S + S M.H)`` and
    ``F * (S M + M.H S)``, where ``F[i, j] = 1 / (S[j]**2 - S[i]**2)``, and out of them by the rest of dX over S. A
    singular value of 0 has a kink there, as an absolute value has, and the gradient 0.
    """
    return tuple(np.linalg.svd(x, full_matrices))


def _svd_rule(g: Any, U: Any, S: Any, Vh: Any) -> Any:
    g_u, g_s, g_vh = g
    rank = S.shape[-1]
    null = np.less_equal(S, S[..., :1] * (float(np.finfo(S.dtype).eps) * max(U.shape[-2], Vh.shape[-1])))
    if g_s is not None:
        g_s = np.where(null, np.zeros((), S.dtype), g_s)
    if g_u is None and g_vh is None:
        return (conjugated(U[..., :rank]) * np.expand_dims(g_s, -2)) @ conjugated(Vh[..., :rank, :])
    v = adjoint(Vh)
    g_u = np.zeros(U.shape, U.dtype) if g_u is None else g_u
    g_v = np.zeros(v.shape, v.dtype) if g_vh is None else adjoint(g_vh)
    if U.shape[-1] > rank:
        U, g_u = _orthogonal_rest("svd", g_u, U, rank)
    if v.shape[-1] > rank:
        v, g_v = _orthogonal_rest("svd", g_v, v, rank)
    turn_u, turn_v = transposed(U) @ g_u, transposed(v) @ g_v
    same = coincident(S)
    _warn_of_vectors("svd", same, (turn_u, turn_v), (g_u, g_v))
    column, row = np.expand_dims(S, -1), np.expand_dims(S, -2)
    gaps = _inverse_gaps((row - column) * (row + column), same)
    inside = gaps * ((turn_u - adjoint(turn_u)) * row + (turn_v - adjoint(turn_v)) * column)
    inverse = np.expand_dims(_inverse_gaps(S, null), -2)
    on_diagonal = np.expand_dims(g_s, -2) if g_s is not None else 0.0
    if U.dtype.kind == "c":  # u and v turn against each other by the imaginary part of diag(M)
        against = np.imag(_columns(U, g_u) - _columns(v, g_v))
        on_diagonal = on_diagonal + np.expand_dims(against, -2) * inverse * 0.5j
    result = conjugated(U) @ (inside + _eye(inside) * on_diagonal) @ transposed(v)
    if U.shape[-2] > rank:
        _warn_of_null_vectors(null, g_u)
        result = result + ((g_u - conjugated(U) @ turn_u) * inverse) @ transposed(v)
    if v.shape[-2] > rank:
        _warn_of_null_vectors(null, g_v)
        result = result + conjugated(U) @ adjoint((g_v - conjugated(v) @ turn_v) * inverse)
    return result


def _warn_of_null_vectors(null: Any, g: Any) -> None:
    columns = np.broadcast_to(value_of(null)[..., None, :], g.shape)
    if np.any(columns) and _reached(value_of(g)[columns], g):
        _warn("svd: the derivative reaches singular vectors of the value 0, which are not determined")


svd.takes_none = True
svd.vjp(x=_svd_rule)


@implements(np.linalg.svd)
def _np_svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    if hermitian:
        raise NoGradientRule("np.linalg.svd on a Tensor does not take hermitian=True; leave it out, or use eigh")
    if not compute_uv:
        return svdvals(a)
    return SVDResult(*svd(a, full_matrices=full_matrices))


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """Singular values, descending."""
    return svd(x, full_matrices=False)[1]


@primitive(np.linalg.matrix_rank, differentiable=False)
@refusing
def matrix_rank(x, *, tol=None, hermitian=False, rtol=None):
    """Count of the singular values that are not 0 within rounding."""
    return np.linalg.matrix_rank(x, tol, hermitian, rtol=rtol)


# --- triangular factors ---------------------------------------------------------------------------------------------


@primitive(outputs=("Q", "R"))
@refusing
def qr(x, *, mode="reduced"):
    """Factors ``x = Q R`` with orthonormal columns and an upper triangle; the first columns of x must be independent.

    With ``C = dX inv(R)`` and ``X = Q.H C``: ``dQ = C - Q T`` and ``dR = T R``, where T is the triangle that keeps Q
    orthonormal: ``T[i, j] = X[i, j] + conj(X[j, i])`` above the diagonal, and the real part of X on it.
    """
    return tuple(np.linalg.qr(x, mode))


def _qr_rule(g: Any, Q: Any, R: Any) -> Any:
    g_q, g_r = g
    rows, columns = Q.shape[-2], R.shape[-1]
    if columns > rows:  # x = (A, B), and Q R = Q (U, V): A = Q U, and V = Q.H B
        g_b = conjugated(Q) @ g_r[..., rows:]
        g_q = g_q + conjugated(Q @ R[..., rows:]) @ adjoint(g_r[..., rows:])
        g_a = _square_qr_rule(g_q, g_r[..., :rows], Q, R[..., :rows])
        return np.concatenate([g_a, g_b], axis=-1)
    if Q.shape[-1] > columns:
        Q, g_q = _orthogonal_rest("qr", g_q, Q, columns)
        R, g_r = R[..., :columns, :], g_r[..., :columns, :]
    return _square_qr_rule(g_q, g_r, Q, R)


def _square_qr_rule(g_q: Any, g_r: Any, q: Any, r: Any) -> Any:
    """Cotangent of a matrix that has no more columns than rows: r is square."""
    inner = g_r @ transposed(r) - transposed(q) @ g_q
    upper = inner * _triangle(inner, 0.5)
    both = upper + adjoint(upper)  # its diagonal is the real part of the inner one
    return transposed(np.linalg.solve(r, transposed(g_q + conjugated(q) @ both)))


qr.vjp(x=_qr_rule)


@implements(np.linalg.qr)
def _np_qr(a: Any, mode: str = "reduced") -> Any:
    if mode == "r":
        return qr(a)[1]
    if mode not in ("reduced", "complete"):
        raise NoGradientRule(f"np.linalg.qr on a Tensor takes mode='reduced', 'complete' or 'r', and {mode!r} came")
    return QRResult(*qr(a, mode=mode))


@primitive
@refusing
def cholesky(x):
    """Lower triangle L with ``x = L L.H``, of a symmetric (Hermitian) positive definite matrix.

    NumPy reads the lower triangle of x alone. The gradient is that of ``(x + x.H) / 2``, as in `eigh`.
    ``dL = L P(inv(L) dX inv(L).H)``, where P takes the lower triangle and half of the diagonal.
    """
    return np.linalg.cholesky(x)


def _cholesky_rule(g: Any, out: Any) -> Any:
    inner = transposed(out) @ g
    lower = inner * transposed(_triangle(inner, 0.5))
    left = np.linalg.solve(transposed(out), lower)
    return symmetrised(transposed(np.linalg.solve(adjoint(out), transposed(left))))


cholesky.vjp(x=_cholesky_rule)


@implements(np.linalg.cholesky)
def _np_cholesky(a: Any, /, *, upper: bool = False) -> Any:
    return adjoint(cholesky(adjoint(a))) if upper else cholesky(a)


# --- matrix exponential ---------------------------------------------------------------------------------------------


@primitive
def expm(x):
    """Exponential of square matrices, ``1 + x + x @ x / 2 + ...``. Needs SciPy.

    Its derivative in a direction E is a block of a larger exponential (Najfeld and Havel 1995, theorem 4.12):
    ``expm([[x, E], [0, x]])`` has it above the diagonal; the rule takes the transpose of x there, and g for E.

    >>> import numpy as np, minigrad as mg
    >>> mg.ops.expm(np.zeros((2, 2)))
    array([[1., 0.],
           [0., 1.]])
    """
    try:
        from scipy.linalg import expm as of_arrays
    except ImportError as error:
        raise ImportError("expm needs SciPy: pip install scipy") from error
    return of_arrays(x)


def _expm_rule(g: Any, x: Any) -> Any:
    size = x.shape[-1]
    side = transposed(x)
    above = np.concatenate([side, g], axis=-1)
    below = np.concatenate([np.zeros(x.shape, x.dtype), side], axis=-1)
    return expm(np.concatenate([above, below], axis=-2))[..., :size, size:]


expm.vjp(x=_expm_rule)

# --- norms ----------------------------------------------------------------------------------------------------------


def _squares(x: Any) -> Any:
    """Square of the absolute value, without its kink at 0."""
    return np.real(x) ** 2 + np.imag(x) ** 2 if np.iscomplexobj(x) else x * x


def _vector_norm(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    """Norm over axes taken together. The gradient is 0 where the norm is, and for elements of 0 if ord is below 2."""
    if ord is None or ord == 2:
        return deviation(np.sum(_squares(x), axis=axis, keepdims=keepdims))
    if ord == np.inf:
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(np.not_equal(x, 0).astype(_real_dtype(x)), axis=axis, keepdims=keepdims)
    if ord == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    ord = float(ord)  # a NumPy number would make float32 wider
    # Zeros are taken out before the power, and a norm of 0 before the root: these have infinite slopes there.
    one = np.ones((), _real_dtype(x))
    none, power_of_0 = np.equal(x, 0), 0.0 if ord > 0 else np.inf
    powers = np.where(none, one * power_of_0, np.abs(np.where(none, one, x)) ** ord)
    total = np.sum(powers, axis=axis, keepdims=keepdims)
    flat = np.equal(total, power_of_0)
    return np.where(flat, one * 0.0, np.where(flat, one, total) ** (1 / ord))


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, int], keepdims: bool) -> Any:
    if ord in (None, "fro", "f"):
        return _vector_norm(x, 2, axes, keepdims)
    if isinstance(ord, str) and ord != "nuc" or not isinstance(ord, str) and abs(ord) not in (1, 2, np.inf):
        raise ValueError("Invalid norm order for matrices.")
    x = np.moveaxis(x, axes, (-2, -1))
    if ord == "nuc":
        result = np.sum(svdvals(x), axis=-1)
    elif abs(ord) == 2:
        result = (np.max if ord > 0 else np.min)(svdvals(x), axis=-1)
    else:
        sums = np.sum(np.abs(x), axis=-2 if abs(ord) == 1 else -1)
        result = (np.max if ord > 0 else np.min)(sums, axis=-1)
    return np.expand_dims(result, axes) if keepdims else result


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm of vectors or matrices, of any order that NumPy knows. Where it is 0, so is its gradient.

    Where the norm has a kink (the largest of several equal elements, a singular value of 0) elements that tie share
    the gradient, as in `max`, and zeros have none, as in `abs`.
    """
    ndim = np.ndim(x)
    if axis is None:
        if ord is None:
            return _vector_norm(x, None, tuple(range(ndim)), keepdims)
        if ndim not in (1, 2):
            raise ValueError("Improper number of dimensions to norm.")
        axis = tuple(range(ndim))
    axes = tuple(map(operator.index, axis if isinstance(axis, tuple) else (axis,)))
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    if axes[0] % ndim == axes[1] % ndim:
        raise ValueError("Duplicate axes given.")
    return _matrix_norm(x, ord, axes, keepdims)


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Norm over one axis or several (all, when none is given), as of one vector."""
    axes = tuple(range(np.ndim(x))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return _vector_norm(x, ord, axes, keepdims)


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norm of the matrices in the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """Condition number: the norm of a matrix times that of its inverse; for p = None or 2 from its singular values."""
    if p is None or p in (2, -2):
        values = svdvals(x)
        first, last = np.max(values, axis=-1), np.min(values, axis=-1)  # ties share, as everywhere
        with np.errstate(divide="ignore"):  # a singular matrix has the condition number inf, as in NumPy
            return last / first if p == -2 else first / last
    return norm(x, p, (-2, -1)) * norm(np.linalg.inv(x), p, (-2, -1))
