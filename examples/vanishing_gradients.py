"""Watch gradients vanish in eight layers of sigmoids, and not in eight of ReLU. It makes an animated GIF.

Two networks that differ in the activation alone, each begun as suits it (Glorot and Bengio for the sigmoid, He et al.
for ReLU), are trained on handwritten digits. After each epoch the Solver calls `on_epoch`, which takes a picture of the
computation, coloured by the gradients that arrive there. All pictures have one scale, so that they can be compared.

A sigmoid has a slope of 1/4 at most, so each layer leaves about a quarter of the gradient to the one before. What is
left for the first layers is thousands of times less than for the last (blue): they do not move, and the network tells
digits apart no better than by lot. ReLU hands on the gradient as it is wherever a unit is active: all layers have about
the same, and they learn together. When the digits are learned, the gradients fade (towards blue) in all layers at once.

    pip install . matplotlib                        # and Graphviz, for its program dot
    python examples/vanishing_gradients.py          # out/vanishing_gradients.gif, and a picture of each net and epoch
    python examples/vanishing_gradients.py --layers 12

(After Glorot and Bengio, 2010, "Understanding the difficulty of training deep feedforward neural networks".)
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg

ACTIVATIONS = {"sigmoid": (mg.sigmoid, 1.0), "ReLU": (mg.relu, 2.0)}  # with the variance of weights, times their inputs
SCALE = (1e-6, 1.0)  # gradients at the ends of the colours
REDUCED = 0.6  # size of the animation against that of the pictures


class DeepNet(mg.Model):
    """{affine - activation} x (layers - 1) - affine."""

    def __init__(self, activation: str, layers: int = 8, width: int = 32, seed: int = 0) -> None:
        self.activation, variance = ACTIVATIONS[activation]
        rng = np.random.default_rng(seed)
        sizes = [64, *[width] * (layers - 1), 10]
        for number, (inputs, outputs) in enumerate(zip(sizes, sizes[1:]), start=1):
            self.params[f"W{number}"] = rng.standard_normal((inputs, outputs)) * np.sqrt(variance / inputs)
            self.params[f"b{number}"] = np.zeros(outputs)
        self.layers = layers

    def forward(self, params: dict[str, Any], X: Any) -> Any:
        hidden = X
        for number in range(1, self.layers):
            with mg.scope(f"layer {number}"):
                hidden = self.activation(mg.affine(hidden, params[f"W{number}"], params[f"b{number}"]))
        with mg.scope(f"layer {self.layers}"):
            return mg.affine(hidden, params[f"W{self.layers}"], params[f"b{self.layers}"])


def train(activation: str, data: dict[str, Any], epochs: int, layers: int, seed: int) -> tuple[mg.Solver, list[Any]]:
    """Train a network; return the Solver, and a drawing of each of its epochs."""
    drawings = []
    X, y = data["X_train"][:100], data["y_train"][:100]

    def draw(solver: mg.Solver) -> None:
        title = f"{activation}, epoch {solver.epoch}, accuracy {solver.val_acc_history[-1]:.0%}"
        options = {"color": "grad", "scale": SCALE, "depth": 1, "shapes": False, "theme": "light"}
        drawings.append(mg.draw(solver.model, X, y, title=title, **options))

    model = DeepNet(activation, layers, seed=seed)
    settings = {"optim_config": {"learning_rate": 0.1}, "batch_size": 50, "num_epochs": epochs, "seed": seed}
    solver = mg.Solver(model, data, on_epoch=draw, verbose=False, **settings)
    solver.train()
    return solver, drawings


def main(epochs: int = 3, layers: int = 8, seed: int = 0, out: str | Path = "out") -> dict[str, Any]:
    """Train both networks, print the gradients of their weights, and write the pictures."""
    data = mg.data.digits(flatten=True)
    runs = {activation: train(activation, data, epochs, layers, seed) for activation in ACTIVATIONS}

    print("gradient RMS of the weights" + "".join(f"{activation:>22}" for activation in runs))
    print("layer" + " " * 22 + f"{'first step':>13} {f'epoch {epochs}':>8}" * len(runs))
    ends = [weight_gradients(drawings[i]) for _, drawings in runs.values() for i in (0, -1)]
    for number, sizes in enumerate(zip(*ends), start=1):
        print(f"{number:5}" + " " * 22 + "".join(f"{size:{width}.1e}" for size, width in zip(sizes, [13, 9] * 2)))
    accuracies = [solver.val_acc_history[-1] for solver, _ in runs.values()]
    print("validation accuracy" + " " * 8 + "".join(f"{accuracy:22.1%}" for accuracy in accuracies))

    write_pictures({activation: drawings for activation, (_, drawings) in runs.items()}, Path(out))
    return runs


def weight_gradients(drawing: Any) -> list[float]:
    """Return the root mean square of the gradient of each weight, from the first layer to the last."""
    return [parameter.gradient.rms for parameter in drawing.view.parameters if parameter.name.startswith("W")]


def write_pictures(drawings: dict[str, list[Any]], out: Path) -> None:
    """Write a picture of each network and epoch, and the animation of them all."""
    folder = out / "vanishing_gradients"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {activation: [picture(drawing) for drawing in drawings[activation]] for activation in drawings}
    for activation, frames in pictures.items():
        for epoch, (ending, content) in enumerate(frames):
            (folder / f"{activation}_{epoch:02}{ending}").write_bytes(content)
    endings = {ending for frames in pictures.values() for ending, _ in frames}
    print(f"pictures: {', '.join(str(folder / f'*{ending}') for ending in sorted(endings))}")
    if endings != {".png"}:
        print("no animation: it needs pictures as PNG, and these Graphviz's dot program (apt or brew install graphviz)")
        return
    try:
        from PIL import Image
    except ImportError:
        print("no animation: pip install pillow")
        return
    columns = [[Image.open(io.BytesIO(content)) for _, content in frames] for frames in pictures.values()]
    target = out / "vanishing_gradients.gif"
    animate(target, list(zip(*columns)))
    print(f"animation: {target}")


def picture(drawing: Any) -> tuple[str, bytes]:
    """Return the ending and the bytes of a file: PNG, else SVG, else the text for Graphviz."""
    for format in ("png", "svg"):
        try:
            return f".{format}", drawing.render(format)
        except (mg.GraphvizNotFound, mg.GraphvizFailed):
            pass
    return ".gv", drawing.source.encode()


def animate(target: Path, rows: list[tuple[Any, ...]]) -> None:
    """Write rows of images as the frames of a GIF."""
    from PIL import Image

    width = max(image.width for row in rows for image in row)
    height = max(image.height for row in rows for image in row)
    size = int(REDUCED * width), int(REDUCED * height)
    sheet = Image.new("RGB", (size[0] * len(rows[0]), size[1] * len(rows)), "white")
    for down, row in enumerate(rows):
        for across, image in enumerate(row):
            reduced = image.convert("RGB").resize(
                (int(REDUCED * image.width), int(REDUCED * image.height)), Image.Resampling.LANCZOS
            )
            sheet.paste(reduced, (across * size[0], down * size[1]))
    # One set of colours for all frames: then only what changes is stored, and the file is small.
    sheet = sheet.quantize(128, kmeans=2, dither=Image.Dither.NONE)
    frames = [sheet.crop((0, top, sheet.width, top + size[1])) for top in range(0, sheet.height, size[1])]
    milliseconds = [1500] + [500] * (len(frames) - 2) + [3000]
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10, help="passes through the training data")
    parser.add_argument("--layers", type=int, default=8, help="affine layers of each network")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out", help="folder for the pictures")
    main(**vars(parser.parse_args()))
