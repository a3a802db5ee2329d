"""The pictures of five nets, as DOT text, are those that are kept in golden/.

After a change that is meant to show, write them anew, look at them and at the difference:

    python -m tests.draw.test_golden
    git diff tests/draw/golden
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad as mg
from minigrad.draw import draw
from tests.draw import nets

GOLDEN = Path(__file__).parent / "golden"
OPTIONS = {"kind": {}, "dual": {"view": "dual", "measure": False}}
"""Of each net the usual picture; of the first also the dual one."""

CASES = [(name, "kind") for name in nets.GOLDEN] + [("mlp2", "dual")]


def source_of(name, options):
    function, arguments = nets.GOLDEN[name]()
    return draw(function, *arguments, **OPTIONS[options]).source


def file_of(name, options):
    return GOLDEN / (f"{name}.gv" if options == "kind" else f"{name}_{options}.gv")


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_pictures_of_the_nets_are_as_they_were(name, options):
    assert source_of(name, options) == file_of(name, options).read_text(encoding="utf-8"), (
        "the picture has changed; if it should, run python -m tests.draw.test_golden and look at it"
    )


SCRIPT = """
import sys
from tests.draw.test_golden import CASES, source_of
sys.stdout.buffer.write("".join(source_of(*case) for case in CASES).encode())
"""


def test_every_process_draws_the_nets_with_the_same_bytes():
    root = Path(mg.__file__).parents[1]
    found = set()
    for seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        found.add(subprocess.check_output([sys.executable, "-c", SCRIPT], env=environment, cwd=root))
    assert len(found) == 1


def write():
    """Write all golden files anew."""
    GOLDEN.mkdir(exist_ok=True)
    for case in CASES:
        file_of(*case).write_text(source_of(*case), encoding="utf-8")


if __name__ == "__main__":
    write()
