"""Learn what digits look like without labels, by SimCLR; then see how far a few labels go.

Every image is shifted, scaled and noised at random, twice. A network learns to give both views of an image nearly the
same direction, and other images other directions; the loss is `mg.nt_xent`. It is never told which digit it is shown.
Then it stays as it is, and a linear classifier is trained on its features with a few labelled images. The same
classifier on the features of the untrained network, and on the pixels, shows what was learned.

    pip install . matplotlib            # matplotlib for the picture only
    python examples/simclr.py
    python examples/simclr.py --steps 3000 --batch 256

(Chen, Kornblith, Norouzi and Hinton, 2020, arXiv:2002.05709; CS231n, assignment 3.)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import Steps, grid, new_figure, save

import minigrad as mg


class Network(mg.nn.Layer):
    """Images to features, and these to vectors that are compared in training. Afterwards only the features are used."""

    def __init__(self) -> None:
        self.body = mg.nn.Sequential(
            mg.nn.Conv2d(16, 3, padding="same"),
            mg.relu,
            mg.nn.MaxPool2d(2),
            mg.nn.Conv2d(32, 3, padding="same"),
            mg.relu,
            mg.nn.Affine(64),
            mg.relu,
        )
        self.head = mg.nn.Sequential(mg.nn.Affine(64), mg.relu, mg.nn.Affine(32))

    def forward(self, x: Any) -> Any:
        features = self.body(x)
        return features, self.head(features)


def main(
    steps: int = 150, batch: int = 128, tau: float = 0.5, seed: int = 0, out: str | Path = "out"
) -> dict[str, Any]:
    """Train without labels, print how a linear classifier does with a few, and draw the features."""
    data = mg.data.digits(normalize=False, dtype=np.float32)
    images = {split: data[f"X_{split}"] / 8 - 1 for split in ("train", "test")}  # from -1, no ink, to 1
    rng = np.random.default_rng(seed)
    net = Network().build(images["train"][:1], seed=rng)
    features = {
        "pixels": {split: X.reshape(len(X), -1) for split, X in images.items()},
        "untrained": {split: net(X)[0] for split, X in images.items()},
    }

    optimiser, losses = Steps(net, "adam", learning_rate=2e-3), []
    for _ in range(steps):
        X = images["train"][rng.integers(len(images["train"]), size=batch)]
        left, right = augment(X, rng), augment(X, rng)

        def loss(params: dict[str, Any], left: Any = left, right: Any = right) -> Any:
            return mg.nt_xent(net.apply(params, left, train=True)[1], net.apply(params, right, train=True)[1], tau=tau)

        value, grads = net.value_and_grad(loss)
        optimiser.take(grads)
        losses.append(value)
    features["SimCLR"] = {split: net(X)[0] for split, X in images.items()}

    print(f"loss: {losses[0]:.3f} at first, {np.mean(losses[-20:]):.3f} in the end, after {steps} steps without labels")
    print("\ntest accuracy of a linear classifier on")
    print("labels per digit   " + "".join(f"{name:>12}" for name in features))
    table = {}
    for labels in (1, 5, 20):
        table[labels] = {name: linear_accuracy(f, data, labels) for name, f in features.items()}
        print(f"{labels:16}   " + "".join(f"{accuracy:12.1%}" for accuracy in table[labels].values()))

    draw(out, images["train"][:8], rng, {name: f["test"] for name, f in features.items()}, data["y_test"])
    return {"losses": losses, "table": table}


def linear_accuracy(features: dict[str, Any], data: dict[str, Any], labels: int, draws: int = 3) -> float:
    """Return the test accuracy of a linear classifier trained with so many labels per digit: the mean of some draws."""
    mean, scale = features["train"].mean(axis=0), features["train"].std()
    train, test = ((features[split] - mean) / scale for split in ("train", "test"))
    accuracies = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        members = [rng.choice(np.flatnonzero(data["y_train"] == digit), labels, replace=False) for digit in range(10)]
        few = np.concatenate(members)
        classifier = mg.models.LinearClassifier(train.shape[1], 10, reg=1e-2, seed=0)
        optimiser = Steps(classifier, "adam", learning_rate=2e-2)
        for _ in range(60):
            optimiser.take(classifier.loss(train[few], data["y_train"][few])[1])
        accuracies.append(np.mean(classifier.loss(test).argmax(axis=1) == data["y_test"]))
    return float(np.mean(accuracies))


def augment(X: Any, rng: np.random.Generator, shift: float = 1.0, scale: float = 0.15, noise: float = 0.15) -> Any:
    """Shift, scale and noise each image (N, 1, H, W) in its own way, by bilinear interpolation."""
    n, _, height, width = X.shape
    zoom = rng.uniform(1 - scale, 1 + scale, (n, 2, 1))
    move = rng.uniform(-shift, shift, (n, 2, 1))
    # where each row and each column of the result is looked up, and how much of which row or column that takes
    rows = (np.arange(height) - (height - 1) / 2) * zoom[:, 0] + (height - 1) / 2 + move[:, 0]
    columns = (np.arange(width) - (width - 1) / 2) * zoom[:, 1] + (width - 1) / 2 + move[:, 1]
    from_rows = np.maximum(0, 1 - np.abs(rows[:, :, None] - np.arange(height)))  # (N, H, H)
    from_columns = np.maximum(0, 1 - np.abs(columns[:, :, None] - np.arange(width)))
    moved = from_rows[:, None] @ (X + 1) @ from_columns[:, None].swapaxes(2, 3) - 1  # what comes in is blank: -1
    return (moved + noise * rng.standard_normal(X.shape)).astype(X.dtype)


def draw(out: str | Path, some: Any, rng: np.random.Generator, features: dict[str, Any], y: Any) -> None:
    """Draw some images with views of them, and the two principal components of the features of all test images."""
    figure = new_figure(12, 3.4)
    if figure is None:
        return
    from matplotlib.patheffects import withStroke

    first, *rest = figure.subplots(1, 1 + len(features))
    sheet = np.concatenate([some, *(augment(some, rng) for _ in range(7))])[:, 0]
    first.imshow(grid(sheet, columns=8), cmap="gray_r", vmin=-1, vmax=1)
    first.axhline(8, color="black", linewidth=0.8)
    first.set(title="images, and views of them", xticks=[], yticks=[])
    first.spines[:].set_visible(False)
    colours = [f"C{digit}" for digit in range(10)]
    for axes, (name, found) in zip(rest, features.items()):
        found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)  # directions are compared
        found = found - found.mean(axis=0)
        places = found @ np.linalg.svd(found, full_matrices=False)[2][:2].T
        for digit in range(10):
            members = places[y == digit]
            axes.scatter(*members.T, s=14, color=colours[digit], alpha=0.6, linewidths=0)
            label = axes.text(*np.median(members, axis=0), str(digit), color=colours[digit], ha="center", va="center")
            label.set(fontsize=14, fontweight="bold", path_effects=[withStroke(linewidth=3, foreground="white")])
        axes.set(title=f"features: {name}", xlabel="two principal components", xticks=[], yticks=[])
    save(figure, out, "simclr.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000, help="of training without labels")
    parser.add_argument("--batch", type=int, default=128, help="images in each step, each in two views")
    parser.add_argument("--tau", type=float, default=0.5, help="temperature of the loss")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(**vars(parser.parse_args()))
