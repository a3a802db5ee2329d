"""Samples of np.fft. Complex arguments and results come in parts, real and imaginary: the tests know real arrays."""

import numpy as np

import minigrad as mg
from tests.ops.samples import row

rng = np.random.default_rng(5)  # its own: the numbers stay what they are when other samples change


def normal(*shape):
    return rng.standard_normal(shape)


def parts(z):
    return np.real(z), np.imag(z)


def of_complex(function, params):
    return lambda re, im: parts(function(re + im * 1j, **params))


def of_real(function, params):
    return lambda x: parts(function(x, **params))


def taking(make, name, params):
    """Return NumPy's function and the op, both on parts."""

    def expected(*args, **_):
        return make(getattr(np.fft, name), params)(*args)

    def call(*args):
        return make(getattr(mg.ops, name), params)(*args)

    return dict(expected=expected, call=call, label=",".join(f"{key}={value}" for key, value in params.items()))


for params in [{}, {"n": 3, "axis": 0}, {"n": 7}, {"axis": -2, "norm": "ortho"}, {"n": 4, "norm": "forward"}]:
    for name in ("fft", "ifft", "irfft"):
        row(name, (normal(2, 5), normal(2, 5)), **taking(of_complex, name, params))
    row("rfft", (normal(2, 5),), **taking(of_real, "rfft", params))
