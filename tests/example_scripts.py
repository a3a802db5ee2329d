"""The scripts in examples/, for tests: to load one, and to run it once for all tests that look at what it does."""

import contextlib
import functools
import io
import os
import runpy
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "examples"
HELPERS = {"common"}  # what examples import
EXAMPLES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in HELPERS)


def load(example):
    """Return an example's names, without running its main."""
    sys.path.insert(0, str(FOLDER))  # as Python does for a script
    try:
        return runpy.run_path(str(FOLDER / f"{example}.py"), run_name=example)
    finally:
        sys.path.remove(str(FOLDER))


@functools.cache
def run(example):
    """Run an example without arguments in an empty folder; return its result, what it printed, and its files."""
    printed, before = io.StringIO(), Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(printed):
        os.chdir(folder)
        try:
            result = load(example)["main"]()
            files = {path.name: path.read_bytes() for path in Path(folder).rglob("*.*") if path.is_file()}
        finally:
            os.chdir(before)
    return result, printed.getvalue(), files
