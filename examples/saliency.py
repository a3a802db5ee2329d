"""Ask a trained network about its input: saliency maps, fooling images, and what a class looks like to it.

Training takes the gradient of the loss with respect to the parameters. Here the parameters stay as they are, and the
gradient is taken with respect to the image, by `mg.grad` of a function of it:

1. Saliency: how strongly each pixel changes the score of the right digit. Inverting the most salient pixels harms the
   network far more than inverting as many others.
2. Fooling images: some small steps up the score of a wrong digit, until the image is taken for that one. A person still
   sees the right digit in most, and random changes of the same size hardly disturb the network.
3. Class visualisation: many steps up the score of a digit, from noise. The images are kept smooth by a penalty on their
   total variation, and by shifting them to and fro between the steps.

    pip install . matplotlib
    python examples/saliency.py               # trains a small convolutional network on the digits first
    python examples/saliency.py --epochs 20 --visualisation-steps 1000

(Simonyan, Vedaldi and Zisserman, 2013, arXiv:1312.6034; Szegedy et al., 2013, arXiv:1312.6199; CS231n, assignment 3.)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import new_figure, save

import minigrad as mg


def main(epochs: int = 4, visualisation_steps: int = 200, seed: int = 0, out: str | Path = "out") -> dict[str, Any]:
    """Train a network, ask it the three questions, print the answers in numbers and draw them."""
    data = mg.data.digits(normalize=False)
    for split in ("train", "val", "test"):
        data[f"X_{split}"] = data[f"X_{split}"] / 8 - 1  # from -1, no ink, to 1
    X, y = data["X_test"], data["y_test"]
    net = trained_network(data, epochs, seed)
    print(f"test accuracy: {accuracy(net, X, y):.1%}")

    saliency = saliency_maps(net, X, y)
    orders = {
        "the most salient": np.argsort(-saliency.reshape(len(X), -1), axis=1),
        "any": np.argsort(np.random.default_rng(seed).random((len(X), 64)), axis=1),
        "the least salient": np.argsort(saliency.reshape(len(X), -1), axis=1),
    }
    after = {which: [accuracy(net, inverted(X, order, n), y) for n in (2, 4, 8)] for which, order in orders.items()}
    print("\naccuracy after inverting     2 pixels   4 pixels   8 pixels of 64")
    for which, accuracies in after.items():
        print(f"  {which:<24}" + "".join(f"{a:11.1%}" for a in accuracies))

    scores = net(X)
    scores[np.arange(len(y)), y] = -np.inf
    targets = scores.argmax(axis=1)  # the digit that each is taken for most easily, other than the right one
    fooled, steps = fooling_images(net, X, targets)
    size = length(fooled - X)
    noise = np.random.default_rng(seed).standard_normal(X.shape)
    noisy = np.clip(X + size * noise / length(noise), -1, 1)
    print(f"\naccuracy on fooling images, {np.median(steps):.0f} steps (median) away: {accuracy(net, fooled, y):.1%}")
    print(f"  on images with random changes of the same size: {accuracy(net, noisy, y):.1%}")
    print(f"  the changes measure {np.median(size / length(X + 1)):.0%} of the ink (median)")

    classes = class_images(net, visualisation_steps, seed)
    certainty = np.diagonal(mg.softmax(net(classes)))
    print(f"\nimages made for each digit, taken for it with probability {certainty.min():.2f} or more")

    some = np.array([np.flatnonzero(y == digit)[2] for digit in range(10)])
    draw(out, X[some], saliency[some], fooled[some], targets[some], classes)
    return {
        "after": after,
        "fooled": accuracy(net, fooled, y),
        "noisy": accuracy(net, noisy, y),
        "fooled_into": accuracy(net, fooled, targets),
        "certainty": certainty,
    }


def draw(out: str | Path, X: Any, saliency: Any, fooled: Any, targets: Any, classes: Any) -> None:
    """Draw ten images, their saliency maps, the images that fool and how, and the images made for each class."""
    figure = new_figure(9, 5.2)
    if figure is None:
        return
    ink, change = {"cmap": "gray_r", "vmin": -1, "vmax": 1}, {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}
    figure.get_layout_engine().set(h_pad=0.01)
    rows = [
        ("test images", X[:, 0], ink),
        ("saliency", saliency / saliency.max(axis=(1, 2), keepdims=True), {"cmap": "magma", "vmin": 0, "vmax": 1}),
        ("fooling images", fooled[:, 0], ink),
        ("their changes", (fooled - X)[:, 0], change),
        ("made for\nthis digit", classes[:, 0], ink),
    ]
    sheet = figure.subplots(len(rows), 10)
    for axes, target in zip(sheet[2], targets):
        axes.set_title(f"taken for {target}", fontsize=8)
    for (title, images, how), line in zip(rows, sheet):
        for axes, image in zip(line, images):
            axes.imshow(image, **how)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("0.8")
        line[0].set_ylabel(title, rotation=0, ha="right", va="center")
    save(figure, out, "saliency.png")


def trained_network(data: dict[str, Any], epochs: int, seed: int) -> Any:
    """Return a convolutional network that has learnt the digits."""
    net = mg.nn.Sequential(
        mg.nn.Conv2d(16, 3, padding="same"),
        mg.relu,
        mg.nn.Conv2d(32, 3, padding="same"),
        mg.relu,
        mg.nn.MaxPool2d(2),
        mg.nn.Affine(10),
    ).build(data["X_train"][:1], seed=seed)
    mg.Solver(
        net,
        data,
        update_rule="adam",
        optim_config={"learning_rate": 3e-3},
        num_epochs=epochs,
        verbose=False,
        seed=seed,
    ).train()
    return net


def saliency_maps(net: Any, X: Any, y: Any) -> Any:
    """Return the size of the gradient of each image's right score with respect to its pixels: (N, H, W)."""
    return np.max(np.abs(mg.grad(lambda X: scores_of(net, X, y))(X)), axis=1)


def fooling_images(net: Any, X: Any, targets: Any, step: float = 0.15, most: int = 200) -> tuple[Any, Any]:
    """Move images up the scores of wrong classes until they are taken for them; also return after how many steps."""
    X, steps = X.copy(), np.zeros(len(X), int)
    climb = mg.grad(lambda X, y: scores_of(net, X, y))
    for _ in range(most):
        left = np.flatnonzero(net(X).argmax(axis=1) != targets)
        if not len(left):
            break
        g = climb(X[left], targets[left])
        X[left] = np.clip(X[left] + step * g / length(g), -1, 1)  # a picture remains a picture
        steps[left] += 1
    return X, steps


def class_images(net: Any, steps: int, seed: int, smoothness: float = 0.05) -> Any:
    """Return an image for each class that has a high score for it, found from noise: (10, 1, 8, 8)."""
    rng, y = np.random.default_rng(seed), np.arange(10)
    X = 0.1 * rng.standard_normal((10, 1, 8, 8))
    climb = mg.grad(lambda X: scores_of(net, X, y) - mg.tv_loss(X, smoothness))
    for _ in range(steps):
        shift = rng.integers(-1, 2, size=2)
        X = np.roll(X, shift, axis=(2, 3))
        g = climb(X)
        X = X + 0.2 * g / length(g)
        X = np.clip(np.roll(X, -shift, axis=(2, 3)), -1, 1)
    return X


def scores_of(net: Any, X: Any, y: Any) -> Any:
    """Add up the scores that images have for given classes. Each image's gradient is that of its own score."""
    return np.sum(net(X)[np.arange(len(y)), y])


def length(X: Any) -> Any:
    """Return the Euclidean length of each image: (N, 1, 1, 1)."""
    return np.sqrt(np.sum(X**2, axis=(1, 2, 3), keepdims=True))


def accuracy(net: Any, X: Any, y: Any) -> float:
    """Return the share of images that are taken for the given digits."""
    return float(np.mean(net(X).argmax(axis=1) == y))


def inverted(X: Any, order: Any, count: int) -> Any:
    """Return the images with the first pixels in an order of their own, (N, H * W), inverted."""
    changed = X.reshape(len(X), -1).copy()
    rows = np.arange(len(X))[:, None]
    changed[rows, order[:, :count]] *= -1
    return changed.reshape(X.shape)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10, help="of training the network")
    parser.add_argument("--visualisation-steps", type=int, default=500, help="of making an image for each class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(**vars(parser.parse_args()))
