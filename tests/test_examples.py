"""Every example runs, quickly and in any folder; what it claims is so."""

import sys

import numpy as np
import pytest

from tests.example_scripts import EXAMPLES, load, run

NEEDS = {"fit_with_lbfgs": ["scipy"]}
FIT = "fit_with_lbfgs"


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example):
    for package in NEEDS.get(example, []):
        pytest.importorskip(package)
    _, printed, files = run(example)
    assert printed
    assert all(files.values())


def test_the_fit_finds_the_truth(tmp_path):
    pytest.importorskip("scipy")
    result = load(FIT)["main"](out=tmp_path / "pictures")
    assert result["fit"].success
    assert np.max(np.abs(result["pulls"])) < 4  # standard errors
    assert 10 * result["fit"].nfev < result["by_differences"].nfev
    picture = tmp_path / "pictures" / "fit_with_lbfgs.png"
    if picture.exists():  # with matplotlib
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_gradient_of_the_fit_is_right():
    import minigrad as mg

    example = load(FIT)
    x = example["pack"](example["TRUTH"], example["BACKGROUND"])
    counts = np.arange(300.0) % 50
    mg.check_grads(lambda x: 1e-3 * example["misfit"](x, counts), (x,))


@pytest.mark.parametrize("package, message", [("scipy", "pip install scipy"), ("matplotlib", "pip install matplotlib")])
def test_the_fit_says_what_to_install(package, message, tmp_path, monkeypatch, capsys):
    if package == "matplotlib":
        pytest.importorskip("scipy")
    for name in [name for name in sys.modules if name.partition(".")[0] == package] + [package]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it now raises ImportError
    main = load(FIT)["main"]
    if package == "scipy":
        with pytest.raises(SystemExit, match=message):
            main()
    else:
        main()
        assert message in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.png"))
