"""Write docs/gallery.md and its pictures, docs/pictures/gallery/*.svg, and the picture of the README.

The code that the page shows is the code that is run here. How many nodes and edges the peers draw comes from
benchmarks/peers_pictures.py where the peers are installed; else what the page says of them is kept. With ``--check``
nothing is written: what is there is compared with what would be written, the page by its text and the pictures by what
stands in them, so that another version of dot, which places things elsewhere, makes no difference.
"""

from __future__ import annotations

import argparse
import ast
import linecache
import re
import shutil
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import peers_pictures  # noqa: E402 - found by the path above
from peers_pictures import NETS, PEERS, Count  # noqa: E402

from minigrad.draw.drawing import Drawing  # noqa: E402

PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "pictures" / "gallery"
README = ROOT / "README.md"
README_PICTURE = ROOT / "docs" / "pictures" / "two-layer-net.svg"
CLOSE = 0.05
"""Numbers in a picture may differ by this share: another machine adds up in another order."""


class Picture(NamedTuple):
    """A picture of the gallery.

    Attributes
    ----------
    name : str
        Of the file, without ``.svg``.
    title, text : str
        The heading, and two sentences; the first also stands in for the picture where it cannot be seen.
    code : str
        What makes it, as ``drawing``. It may use what the pictures before it have defined.
    """

    name: str
    title: str
    text: str
    code: str


START = """
import numpy as np, minigrad as mg
X, y = np.random.default_rng(0).standard_normal((50, 3, 32, 32)), np.arange(50) % 10
"""

GALLERY = [
    Picture(
        "convnet",
        "A convolutional network",
        "The course's three-layer network: parameters are chips inside the op that reads them, frames are the model's "
        "layers with the number of their parameters, and edges bear shapes. The regularisation reads the same weights "
        "again, so there their chips are dashed.",
        """
        model = mg.models.ThreeLayerConvNet(reg=1e-3, seed=0)
        drawing = mg.draw(model, X, y)
        """,
    ),
    Picture(
        "function",
        "Any function",
        "A fit of three peaks, written as a plain function: `mg.scope` names its parts, and the three rounds of the "
        "loop are drawn once, as ×3. The dashed blue edge is what one round hands to the next.",
        """
        def misfit(params, x, counts):
            with mg.scope("background"):
                curve = params["slope"] * x + params["offset"]
            for k in range(3):
                with mg.scope("peaks"):
                    distance = (x - params["centre"][k]) / params["width"][k]
                    curve = curve + params["height"][k] * np.exp(-(distance**2))
            with mg.scope("deviance"):
                return np.sum(curve - counts * np.log(curve))
        params = {"slope": 0.1, "offset": 1.0, "centre": np.array([2.0, 5.0, 8.0])}
        params |= {"width": np.ones(3), "height": np.ones(3)}
        drawing = mg.draw(misfit, params, np.linspace(0, 10, 200), np.ones(200))
        """,
    ),
    Picture(
        "dual",
        "Forward and backward, side by side",
        "On the left each op with its line of the program; in the middle what it saves; on the right its rule, with "
        "the size of the gradient that arrives. This is the picture to hold beside a backward pass on paper.",
        """
        def two_layer_net(params, X, y):
            hidden = X @ params["W1"] + params["b1"]
            hidden = np.maximum(0, hidden)
            scores = hidden @ params["W2"] + params["b2"]
            return mg.softmax_loss(scores, y)
        rng = np.random.default_rng(1)
        params = {"W1": rng.standard_normal((64, 100)) / 8, "b1": np.zeros(100)}
        params |= {"W2": rng.standard_normal((100, 10)) / 10, "b2": np.zeros(10)}
        digits = mg.data.digits()
        x, labels = digits["X_train"][:50].reshape(50, -1), digits["y_train"][:50]
        drawing = mg.draw(two_layer_net, params, x, labels, view="dual")
        """,
    ),
    Picture(
        "backward",
        "The backward pass alone",
        "The same network from the loss up to the gradients. Arrows point the way the gradients go.",
        """
        drawing = mg.draw(two_layer_net, params, x, labels, view="backward")
        """,
    ),
    Picture(
        "vanishing",
        "Where gradients vanish",
        "Eight sigmoid layers, coloured by the size of the gradient that arrives at each: at the first it is more "
        "than ten thousand times smaller than at the last. `depth=1` shows each layer as one box.",
        """
        def deep_net(params, x, y, activation=mg.sigmoid):
            for i in range(8):
                with mg.scope(f"layers.{i}"):
                    x = activation(x @ params[f"W{i}"])
            with mg.scope("out"):
                return mg.softmax_loss(x @ params["W"], y)
        rng = np.random.default_rng(2)
        weights = {f"W{i}": rng.standard_normal((64, 64)) / 8 for i in range(8)}
        weights["W"] = rng.standard_normal((64, 10)) / 8
        drawing = mg.draw(deep_net, weights, x, labels, color="grad", depth=1)
        """,
    ),
    Picture(
        "memory",
        "What holds the memory",
        "ResNet-20, coloured by the bytes that are kept for the backward pass. The first stage, with its large images, "
        "keeps the most.",
        """
        model = mg.models.ResNet(blocks=(3, 3, 3), seed=0)
        drawing = mg.draw(model, X[:8], y[:8], color="memory", depth=1)
        """,
    ),
    Picture(
        "lstm",
        "A recurrent network",
        "Ten steps of an LSTM, folded: its weights are shared by all steps, and the two blue edges carry the hidden "
        "state and the cell. Edges that only some steps have say so.",
        """
        def lstm(params, x):
            h = c = np.zeros((4, 16))
            for t in range(10):
                with mg.scope("step"):
                    gates = x[:, t] @ params["Wx"] + h @ params["Wh"] + params["b"]
                    i, f, o, g = np.split(gates, 4, axis=1)
                    c = mg.sigmoid(f) * c + mg.sigmoid(i) * np.tanh(g)
                    h = mg.sigmoid(o) * np.tanh(c)
            with mg.scope("out"):
                return np.mean((h @ params["W"]) ** 2)
        rng = np.random.default_rng(3)
        params = {"Wx": rng.standard_normal((8, 64)), "Wh": rng.standard_normal((16, 64)) / 4, "b": np.zeros(64)}
        params["W"] = rng.standard_normal((16, 3))
        drawing = mg.draw(lstm, params, rng.standard_normal((4, 10, 8)))
        """,
    ),
    Picture(
        "transformer-blocks",
        "A transformer at a glance",
        "Twelve layers of a language model, drawn once, with two levels of scopes open. What is closed says how much "
        "is in it, and what it keeps for the backward pass.",
        """
        model = mg.models.CharTransformer("to be or not to be", block_size=16, width=64, num_layers=12, seed=0)
        tokens = np.arange(64).reshape(4, 16) % len(model.alphabet)
        drawing = mg.draw(model, tokens, tokens, depth=2)
        """,
    ),
    Picture(
        "transformer",
        "The same, opened",
        "The whole of it: three paths into the attention, two residual connections around it. No arithmetic is done in "
        "the small dotted boxes, which are views.",
        """
        drawing = mg.draw(model, tokens, tokens)
        """,
    ),
    Picture(
        "nan",
        "Where a NaN comes from",
        "A Kullback-Leibler divergence of a distribution with a zero in it: the loss is NaN, and the picture marks the "
        "op where the first infinity appeared. `mark=` puts remarks of your own on nodes.",
        """
        def divergence(p, q):
            with mg.scope("log ratio"):
                ratio = np.log(p) - np.log(q)
            return np.sum(p * ratio)
        with np.errstate(all="ignore"):
            drawing = mg.draw(divergence, np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.25, 0.5]))
        """,
    ),
    Picture(
        "dark",
        "On a dark page",
        "A residual network composed of `mg.nn` layers, for a dark page. Without `theme=`, as in the other pictures, a "
        "picture has no ground of its own and follows the page it is on.",
        """
        def branch():
            return mg.nn.Sequential(mg.nn.BatchNorm(), mg.relu, mg.nn.Conv2d(16, 3, padding="same"))
        layers = [mg.nn.Conv2d(16, 3, padding="same"), *(mg.nn.Residual(branch()) for _ in range(3))]
        net = mg.nn.Sequential(*layers, mg.nn.GlobalAvgPool(), mg.nn.Affine(10)).build(X[:1], seed=0)
        drawing = mg.draw(net, X[:8], y[:8], theme="dark")
        """,
    ),
]

HEAD = """\
# Gallery

Pictures by `mg.draw`, each with the code that makes it. `drawing.save("net.svg")` writes one to a file (or `.png`,
`.pdf`, `.gv`). Open an SVG by itself and hover over a node: it says which line of the program it is. This page is
written by `scripts/gallery`.
"""

TIME = """\
## Where the time goes

The last colouring shows the seconds of each op, forward and backward. They differ from run to run, so there is no
picture of it here.

```python
>>> mg.draw(mg.models.ThreeLayerConvNet(seed=0), X, y, color="time").save("time.svg")  # doctest: +SKIP

```
"""

COUNTS = """\
## How much is drawn

The same five networks, each with its loss, drawn by minigrad and by two packages that draw PyTorch's graphs, with their
usual options (`benchmarks/peers_pictures.py`). A cell is *nodes, edges*.
"""

AFTER_COUNTS = """\
torchviz draws the backward graph: its nodes are backward functions, parameters and the steps that lead to them.
torchview draws a module as one node, with no parameters in it. minigrad's nodes are the ops, the inputs and the loss;
every parameter is in the picture too, as a chip inside its op, which is no node. Unfolded (`fold=False`) is what there
would be to look at if equal blocks were not drawn once.
"""


def run(code: str, name: str, names: dict[str, Any]) -> None:
    """Run code that is in no file, so that its lines are found all the same."""
    file = f"{name}.py"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    exec(compile(code, file, "exec"), names)


def code_of(picture: Picture) -> str:
    """Return the code of a picture as it is run."""
    return textwrap.dedent(picture.code).strip() + "\n"


def draw_all() -> dict[str, Drawing]:
    """Return the drawing of each picture, by name."""
    names: dict[str, Any] = {"__name__": "gallery"}
    run(START.strip(), "start", names)
    drawings = {}
    for picture in GALLERY:
        run(code_of(picture), picture.name, names)
        drawings[picture.name] = names["drawing"]
    return drawings


def readme_drawing() -> Drawing:
    """Return what the README's first example draws."""
    code = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]  # type: ignore[index]
    names: dict[str, Any] = {"__name__": "net"}
    changes = {"mg.draw(": "drawing = mg.draw(", '.save("net.svg")': "", "print_every=100": "verbose=False, seed=0"}
    for before, after in changes.items():
        code = code.replace(before, after)
    run(code, "net", names)
    return names["drawing"]


def at_prompt(code: str) -> Iterator[str]:
    """Yield the lines of code as one types them at a prompt."""
    lines = code.strip().splitlines()
    for statement in ast.parse(code.strip()).body:
        first, *others = lines[statement.lineno - 1 : statement.end_lineno]
        yield f">>> {first}"
        yield from (f"... {line}".rstrip() for line in others)


def wrapped(text: str) -> str:
    """Return a paragraph in lines of the usual length."""
    return "\n".join(textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False))


def section(picture: Picture, drawing: Drawing) -> str:
    """Return what the page says of a picture."""
    alt = re.split(r"(?<=\w)\. ", picture.text)[0].replace("`", "").replace('"', "&quot;").rstrip(".")
    code = "\n".join(at_prompt(code_of(picture)))
    return f"""\
## {picture.title}

{wrapped(picture.text)}

```python
{code}
>>> drawing
{drawing!r}

```

<p align="center"><img src="pictures/gallery/{picture.name}.svg" alt="{alt}"></p>
"""


def counts_kept(page: str) -> dict[str, dict[str, Count]]:
    """Return what a page says of the peers, by network and peer."""
    kept: dict[str, dict[str, Count]] = {}
    for name, title in NETS.items():
        row = re.search(rf"^\| {re.escape(title)} \|(.*)\|$", page, re.MULTILINE)
        if row is not None:
            cells = [cell.strip() for cell in row[1].split("|")][-len(PEERS) :]
            kept[name] = {
                peer: Count(*map(int, cell.split(", ")))
                for peer, cell in zip(PEERS, cells)
                if re.match(r"\d+, \d+$", cell)
            }
    return kept


def counts_table(page: str) -> str:
    """Return the table of how much is drawn; what the peers draw is counted, or kept from the page."""
    kept = counts_kept(page)
    lines = [f"| network | minigrad | minigrad, unfolded | {' | '.join(PEERS)} |", f"|---|{'---:|' * (2 + len(PEERS))}"]
    for name, title in NETS.items():
        theirs = peers_pictures.count_peers(name) if peers_pictures.have_peers() else kept.get(name, {})
        ours = [peers_pictures.count_minigrad(name), peers_pictures.count_minigrad(name, fold=False)]
        cells = [f"{count.nodes}, {count.edges}" if count else "-" for count in (*ours, *map(theirs.get, PEERS))]
        lines.append(f"| {' | '.join([title, *cells])} |")
    return "\n".join(lines) + "\n"


def page_of(drawings: dict[str, Drawing], old: str) -> str:
    """Return the text of the page."""
    start = "\n".join(("```python", *at_prompt(START), "", "```\n"))
    sections = [section(picture, drawings[picture.name]) for picture in GALLERY]
    return "\n".join((HEAD, start, *sections, TIME, COUNTS, counts_table(old), AFTER_COUNTS))


def words_in(svg: bytes) -> list[str]:
    """Return what stands in a picture, sorted: names of nodes and edges, and all visible text."""
    found = []
    for element in ElementTree.fromstring(svg).iter():
        kind = element.tag.rpartition("}")[2]
        if kind in ("title", "text"):
            found.append(f"{kind} {(element.text or '').strip()}")
    return sorted(found)


NUMBER = re.compile(r"\d+\.\d+(?:e[-+]?\d+)?")


def same(a: str | None, b: str | None) -> bool:
    """Whether two texts of a picture say the same, up to rounding."""
    if a is None or b is None or NUMBER.sub("", a) != NUMBER.sub("", b):
        return False
    pairs = zip(NUMBER.findall(a), NUMBER.findall(b))
    return all(abs(float(x) - float(y)) <= CLOSE * max(abs(float(x)), abs(float(y))) for x, y in pairs)


def differences() -> list[str]:
    """Return what is not as it would be written, as lines of text."""
    drawings = draw_all()
    wanted = {PICTURES / f"{name}.svg": drawing for name, drawing in drawings.items()}
    found = [f"{path.relative_to(ROOT)} is not of the gallery" for path in PICTURES.glob("*") if path not in wanted]
    for path, drawing in {**wanted, README_PICTURE: readme_drawing()}.items():
        where = path.relative_to(ROOT)
        if not path.exists():
            found.append(f"{where} is missing")
            continue
        pairs = zip_longest(words_in(path.read_bytes()), words_in(drawing.render("svg")))
        other = next((pair for pair in pairs if not same(*pair)), None)
        if other is not None:
            found.append(f"{where}: {other[0]!r} is there, {other[1]!r} would be written")
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    lines = zip_longest(old.splitlines(), page_of(drawings, old).splitlines())
    for number, (is_, would_be) in enumerate(lines, 1):
        if is_ != would_be:
            found.append(f"{PAGE.relative_to(ROOT)}:{number}: {is_!r} is there, {would_be!r} would be written")
            break
    return found


def write() -> None:
    """Write the page and the pictures."""
    drawings = draw_all()
    PICTURES.mkdir(parents=True, exist_ok=True)
    for path in PICTURES.glob("*.svg"):
        if path.stem not in drawings:
            path.unlink()
    for name, drawing in drawings.items():
        drawing.save(PICTURES / f"{name}.svg")
    readme_drawing().save(README_PICTURE)
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text(page_of(drawings, old), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}, {len(drawings)} pictures, and that of the README")


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description="Write docs/gallery.md and its pictures.")
    parser.add_argument("--check", action="store_true", help="write nothing, and say what would change")
    check = parser.parse_args().check
    if shutil.which("dot") is None:
        print("scripts/gallery needs the program dot: on Debian and Ubuntu, apt-get install graphviz", file=sys.stderr)
        return 2
    if not peers_pictures.have_peers():
        print(
            "torchviz and torchview are not installed (pip install torch torchviz torchview): "
            "what the page says of them is kept"
        )
    if not check:
        write()
        return 0
    found = differences()
    print(
        "\n".join([*found, "Run scripts/gallery, and look at the pictures."]) if found else "The gallery is up to date."
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
