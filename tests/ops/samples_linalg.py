"""Samples of np.linalg: matrices whose eigenvalues or singular values lie well apart.

Vectors of a decomposition are determined up to their sign, so rows compare their squares and products.
"""

from dataclasses import dataclass

import numpy as np
import pytest

import minigrad as mg
from tests.ops.samples import SAMPLES, Sample

rng = np.random.default_rng(3)  # its own: the numbers stay what they are when other samples change


def normal(*shape):
    return rng.standard_normal(shape)


@dataclass(frozen=True)
class LinalgSample(Sample):
    """A sample of a function that NumPy does not have for float16."""

    def run(self, *args):
        if any(getattr(x, "dtype", None) == np.float16 for x in args):
            pytest.skip("NumPy's linalg takes no float16")
        return super().run(*args)


def row(op, args, expected, label, call=None, **params):
    SAMPLES.append(LinalgSample(op, args, expected, params, label, call=call))


def orthogonal(size, *batch):
    return np.linalg.qr(normal(*batch, size, size))[0]


def spread(rows, columns, *batch):
    """Return matrices with the singular values 2, 3.5, 5 ..."""
    rank = min(rows, columns)
    values = 0.5 + 1.5 * np.arange(rank, 0, -1)
    return (orthogonal(rows, *batch)[..., :rank] * values) @ orthogonal(columns, *batch)[..., :rank, :]


def symmetric(*eigenvalues):
    q = orthogonal(len(eigenvalues))
    return (q * np.array(eigenvalues)) @ q.T


def mirrored(x):
    return (x + np.swapaxes(x, -1, -2)) * 0.5


def cofactors(x):
    return np.linalg.det(x)[..., None, None] * np.swapaxes(np.linalg.inv(x), -1, -2)


def cofactors_slope(g, x):
    inverse = np.swapaxes(np.linalg.inv(x), -1, -2)
    twice = inverse @ np.swapaxes(g, -1, -2) @ inverse
    return np.linalg.det(x)[..., None, None] * (np.sum(g * inverse, (-1, -2), keepdims=True) * inverse - twice)


SQUARE = spread(3, 3, 2)
row("inv", (SQUARE,), np.linalg.inv, "stack")
row("solve", (SQUARE, normal(2, 3, 2)), np.linalg.solve, "stack")
row("solve", (SQUARE[0], normal(2, 3, 1)), np.linalg.solve, "one matrix for all")
row("solve", (SQUARE, normal(3)), np.linalg.solve, "vector")
row("det", (SQUARE,), np.linalg.det, "stack")
row("cofactor", (SQUARE,), cofactors, "stack")
row("cofactor_slope", (normal(2, 3, 3), SQUARE), cofactors_slope, "stack")
row("slogdet", (SQUARE,), lambda x: tuple(np.linalg.slogdet(x)), "stack")
for name, x in [("tall", spread(4, 3)), ("wide", spread(2, 4)), ("square", SQUARE)]:
    row("pinv", (x,), np.linalg.pinv, name)

SYMMETRIC = symmetric(-2.0, 0.5, 3.0, 5.5)
GENERAL = np.diag([-2.0, 0.5, 3.0]) + 0.3 * normal(3, 3)


def eigh_squares(function):
    def call(x, UPLO="L"):
        values, vectors = function(mirrored(x), UPLO=UPLO)
        return values, vectors * vectors

    return call


def eig_squares(function):
    def call(x):
        values, vectors = map(np.real, function(x))  # NumPy 2.5 gives complex numbers, be they real or not
        return values, vectors * vectors

    return call


row("eigh", (SYMMETRIC,), eigh_squares(np.linalg.eigh), "symmetric", call=eigh_squares(mg.ops.eigh))
row("eig", (GENERAL,), eig_squares(np.linalg.eig), "real eigenvalues", call=eig_squares(mg.ops.eig))
row("coincident", (np.array([1.0, 2.0, 1.0]),), lambda x: x == x[:, None], "one pair")
row("matrix_rank", (np.ones((2, 3)),), lambda x: np.linalg.matrix_rank(x), "one")


def svd_products(function, full_matrices):
    """Return what of a decomposition is determined."""

    def call(x):
        u, s, vh = function(x, full_matrices=full_matrices)
        rank = s.shape[-1]
        first, rest, rows, more = u[..., :rank], u[..., rank:], vh[..., :rank, :], vh[..., rank:, :]
        return (
            *(first * first, s, rows * rows, first @ rows),
            *(rest @ np.swapaxes(rest, -1, -2), np.swapaxes(more, -1, -2) @ more),
        )

    return call


for name, x in [("tall", spread(4, 3)), ("wide", spread(2, 4)), ("square", SQUARE)]:
    for full in (False, True):
        calls = [svd_products(function, full) for function in (np.linalg.svd, mg.ops.svd)]
        row("svd", (x,), calls[0], f"{name},full_matrices={full}", call=calls[1])


def qr_products(function, mode):
    def call(x):
        q, r = function(x, mode=mode)
        rest = q[..., min(x.shape[-2:]) :]
        return q[..., : min(x.shape[-2:])], r, rest @ np.swapaxes(rest, -1, -2)

    return call


for name, x in [("tall", spread(4, 2)), ("wide", spread(2, 4)), ("square", SQUARE)]:
    for mode in ("reduced", "complete"):
        calls = [qr_products(function, mode) for function in (np.linalg.qr, mg.ops.qr)]
        row("qr", (x,), calls[0], f"{name},{mode}", call=calls[1])

POSITIVE = symmetric(1.0, 2.0, 4.0)
row(
    "cholesky",
    (POSITIVE,),
    lambda x: np.linalg.cholesky(mirrored(x)),
    "positive",
    call=lambda x: mg.ops.cholesky(mirrored(x)),
)


def exponential(x):
    """Sum of the series."""
    total = term = np.eye(x.shape[-1], dtype=x.dtype)
    for n in range(1, 40):
        term = term @ x / n
        total = total + term
    return total


row("expm", (0.5 * normal(2, 3, 3),), exponential, "stack")
