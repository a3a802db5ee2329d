"""Samples of the special functions."""

import numpy as np
import scipy.special

from tests.ops.samples import around, away_from_zero, elementwise, normal, positive, rng, row

AXES = [{}, {"axis": 0}, {"axis": (0, -1)}]


def open_unit(*shape):
    return np.asarray(rng.uniform(0.1, 0.9, shape))


def symmetric_unit(*shape):
    return np.asarray(rng.uniform(-0.8, 0.8, shape))


def total(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def share(x, axis=-1):
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


for params in AXES:
    row("softmax", (normal(2, 3, 2),), share, **params)
    row("log_softmax", (normal(2, 3, 2),), lambda x, axis=-1: np.log(share(x, axis)), **params)
    row("logsumexp", (normal(2, 3, 2),), total, **params)
row("logsumexp", (normal(2, 3, 2),), total, axis=-1, keepdims=True)


def of_scipy(name, *makers):
    elementwise(name, *makers, expected=getattr(scipy.special, name))


for name in "erf erfc erfcx erfi dawsn ndtr log_ndtr expit log_expit exp10 exprel i0e i1e j0 j1 i1".split():
    of_scipy(name, away_from_zero if name in ("i0e", "i1e") else normal)
for name in "gamma rgamma gammaln loggamma psi entr exp1 expi y0 y1 k0 k1 k0e k1e".split():
    of_scipy(name, positive)
of_scipy("erfinv", symmetric_unit)
for name in "erfcinv logit ndtri".split():
    of_scipy(name, open_unit)
for name in "beta betaln poch xlogy xlog1py rel_entr kl_div".split():
    of_scipy(name, positive, positive)
elementwise("i0", normal, expected=np.i0)
of_scipy("huber", around(1.0), around(-3, -0.3, 0.4, 3))
of_scipy("pseudo_huber", positive, normal)

for name, *parameters in [
    ("gammainc", 2.5),
    ("gammaincc", 2.5),
    ("jv", 1.5),
    ("yv", 1.5),
    ("iv", 1.5),
    ("kv", 1.5),
    ("ive", 2.0),
    ("kve", 2.0),
    ("yn", 2),
    ("kn", 2),
    ("hyp0f1", 1.5),
    ("hyp1f1", 1.5, 2.5),
    ("hyp2f1", 0.5, 1.5, 2.5),
    ("betainc", 2.5, 1.5),
    ("zeta", 2.5),
]:
    maker = open_unit if name in ("betainc", "hyp2f1") else positive
    row(name, (*parameters, maker(3, 4)), getattr(scipy.special, name))


def polygamma(x, n):
    return scipy.special.polygamma(n, x).astype(np.result_type(x, np.float32))


for n in (1, 2):
    row("polygamma", (positive(3, 4),), polygamma, n=n)
