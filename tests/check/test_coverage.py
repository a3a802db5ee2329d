"""The table of what is covered: nothing of NumPy is missing, and what it says is so."""

from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.check.coverage import MISSING, NONE, REFUSED, RULE, covered, markdown

ROWS = covered()
PAGE = Path(__file__).parents[2] / "docs" / "coverage.md"


def test_nothing_is_missing():
    """A new NumPy may add functions: give each a rule, or a reason in ops/refused.py."""
    assert [row.name for row in ROWS if row.status == MISSING] == []


def test_every_refusal_has_a_reason():
    assert all(len(row.remark) > 20 for row in ROWS if row.status == REFUSED)


def test_it_is_wider_than_its_peers():
    """autograd differentiates 115 names of np, 9 of linalg and 14 of fft."""
    count = {
        space: sum(r.status == RULE and r.name.rpartition(".")[0] == space for r in ROWS)
        for space in ("np", "np.linalg", "np.fft")
    }
    assert count["np"] > 200
    assert count["np.linalg"] > 25
    assert count["np.fft"] >= 16


@pytest.mark.parametrize("name", ["np.argsort", "np.floor", "np.isnan", "np.greater", "np.shape"])
def test_what_has_no_derivative(name):
    assert next(row.status for row in ROWS if row.name == name) == NONE


def test_it_is_printed(capsys):
    mg.coverage()
    printed = capsys.readouterr().out
    assert "np.linalg: " in printed
    assert " tanh " in printed
    assert "histogram" in printed


@pytest.mark.skipif(not PAGE.exists() or np.__version__ not in PAGE.read_text(), reason="made with another NumPy")
def test_the_page_is_up_to_date():
    assert PAGE.read_text() == markdown(), "run scripts/coverage"
