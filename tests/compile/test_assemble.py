"""Slices' gradients go into one array in one step, and the bits stay."""

import importlib

import numpy as np
import pytest

import minigrad as mg
from minigrad.compile.assemble import assemble

rng = np.random.default_rng(0)
X = rng.standard_normal((4, 6, 5))

CASES = {
    "the parts are the whole": (lambda x: np.sum(np.tanh(x[:, 0:2]) * x[:, 2:4] * x[:, 4:6]), True),
    "rows of a transpose": (lambda x: np.sum(np.prod(np.stack(list(np.transpose(x, (1, 2, 0)))), axis=0)), True),
    "a part is missing": (lambda x: np.sum(x[0] * np.exp(x[1])), True),
    "parts overlap": (lambda x: np.sum(x[0:3] * np.sin(x[1:4])), True),
    "one part": (lambda x: np.sum(np.sin(x[1])), False),
}


@pytest.mark.parametrize("f, assembles", CASES.values(), ids=CASES)
def test_gradients_of_slices(f, assembles, monkeypatch):
    seen = []
    program = importlib.import_module("minigrad.compile.program")

    def noted(captured):
        found = assemble(captured)
        seen.extend(step.op.name for step in found.steps)
        return found

    monkeypatch.setattr(program, "combine", noted)
    with mg.kernels.using("numpy"):  # whose functions are the same in chains
        compiled = mg.compile(mg.grad(f))
        for x in (X, -0.0 * X):
            assert compiled(x).tobytes() == mg.grad(f)(x).tobytes()
    assert ("assembled" in seen) == assembles
