"""The documentation is true: its examples run and print what is shown, and its links lead somewhere."""

import doctest
import re
from pathlib import Path

import pytest

import minigrad as mg
from tests.example_scripts import EXAMPLES

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\(([^()\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def name(page):
    return page.name


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=name)
def test_the_examples_of_a_page_print_what_is_shown(page):
    if "scipy" in page.read_text(encoding="utf-8"):
        pytest.importorskip("scipy")
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed == 0


WITHOUT_EXAMPLES = ("index.md", "architecture.md", "coverage.md")


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in WITHOUT_EXAMPLES], ids=name)
def test_a_page_has_examples_at_a_prompt(page):
    examples = doctest.DocTestParser().get_examples(page.read_text(encoding="utf-8"))
    assert len(examples) >= 5


@pytest.mark.parametrize("op", sorted(mg.ops.REGISTRY))
def test_the_docstring_of_an_op_is_true(op):
    text = getattr(mg.ops.REGISTRY[op].forward, "__doc__", None) or ""
    if (getattr(mg.ops.REGISTRY[op].forward, "__module__", None) or "").startswith("minigrad"):  # not NumPy's own text
        test = doctest.DocTestParser().get_doctest(text, {}, op, None, 0)
        assert doctest.DocTestRunner().run(test).failed == 0


def outside_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=name)
def test_relative_links_lead_to_files_that_exist(page):
    text = outside_code(page.read_text(encoding="utf-8"))
    targets = [found[0] or found[1] for found in LINK.findall(text)]
    missing = [
        target
        for target in targets
        if not re.match(r"[a-z]+:|#", target) and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert not missing


def test_the_contents_page_names_every_page():
    contents = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name != "index.md" and f"({page.name})" not in contents] == []


def test_the_contents_page_names_every_example():
    contents = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [example for example in EXAMPLES if f"{example}.py)" not in contents] == []
