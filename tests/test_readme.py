"""The README's first example does what it says. (Its examples at a prompt are in test_docs.py.)"""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_first_example_trains_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL).group(1)
    first = first.replace('"net.svg"', '"net.gv"')  # a picture needs Graphviz, its text does not
    names = {}
    exec(compile(first, str(README), "exec"), names)
    model, data = names["model"], names["data"]
    accuracy = (model.loss(data["X_test"]).argmax(axis=1) == data["y_test"]).mean()
    assert accuracy > 0.95
    assert "digraph" in (tmp_path / "net.gv").read_text()
    assert "(Epoch 10 / 10)" in capsys.readouterr().out
