"""Tell handwritten digits apart with ten templates: linear classifiers with two losses.

A linear classifier scores an image by its inner product with one template per class: each column of W is one, and can
be looked at. The two losses that CS231n begins with are written out below in plain NumPy. That of the support vector
machine asks that the right score be the highest by a margin of 1, and is content then. That of softmax regression is
the negative log of the right class's probability, and always wants more. (`mg.models.LinearClassifier` is the same
network with the losses as fused ops.)

The picture shows what was learned: what speaks for a class is blue, what speaks against it red. Each loss is trained
with a weak and a strong penalty on the weights. With a weak one the templates are free to look for the few pixels that
tell a digit from its nearest rivals, and they tell the digits apart better. With a strong one they come to look like
the mean image of their digit; the table says how much.

    python examples/linear_classifiers.py
    python examples/linear_classifiers.py --epochs 100 --penalties 0 0 1e-3 1e-1 10
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import grid, new_figure, save

import minigrad as mg


def svm_loss(scores: Any, y: Any) -> Any:
    """Return the mean over images of ``sum(max(0, score - right score + 1))`` over the wrong classes."""
    right = scores[np.arange(len(y)), y]
    margins = np.maximum(0, scores - right[:, np.newaxis] + 1)
    return np.sum(margins) / len(y) - 1  # the right class itself has a margin of 1


def softmax_loss(scores: Any, y: Any) -> Any:
    """Return the mean over images of the negative log-probability of the right class."""
    shifted = scores - np.max(scores, axis=1, keepdims=True)  # so that no exponential overflows
    return np.mean(np.log(np.sum(np.exp(shifted), axis=1)) - shifted[np.arange(len(y)), y])


LOSSES = {"SVM": svm_loss, "softmax": softmax_loss}


class LinearClassifier(mg.Model):
    """Scores that are linear in the pixels."""

    def __init__(self, loss: str, reg: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.params = {"W": 1e-3 * rng.standard_normal((64, 10)), "b": np.zeros(10)}
        self.loss_name, self.reg = loss, reg

    def forward(self, params: dict[str, Any], X: Any) -> Any:
        return X @ params["W"] + params["b"]

    def objective(self, scores: Any, y: Any) -> Any:
        return LOSSES[self.loss_name](scores, y)


def main(
    epochs: int = 20, penalties: Sequence[float] = (1e-3, 1.0), seed: int = 0, out: str | Path = "out"
) -> list[dict[str, Any]]:
    """Train a classifier with each loss and penalty, print how good they are, and draw their templates."""
    data = mg.data.digits(flatten=True)
    means = np.stack([data["X_train"][data["y_train"] == digit].mean(axis=0) for digit in range(10)])
    rows = []
    print("loss      penalty   training   validation    test   likeness of templates and mean images")
    for loss in LOSSES:
        for reg in penalties:
            model = LinearClassifier(loss, reg, seed)
            solver = mg.Solver(
                model,
                data,
                update_rule="sgd_momentum",
                optim_config={"learning_rate": 0.02},
                num_epochs=epochs,
                lr_decay=0.95,
                batch_size=50,
                verbose=False,
                seed=seed,
            )
            solver.train()
            shares = [solver.check_accuracy(data[f"X_{part}"], data[f"y_{part}"]) for part in ("train", "val", "test")]
            templates = model.params["W"].T
            alike = likeness(templates, means)
            rows.append({"loss": loss, "reg": reg, "accuracy": shares, "templates": templates, "likeness": alike})
            print(f"{loss:<8} {reg:8g} {shares[0]:10.1%} {shares[1]:12.1%} {shares[2]:7.1%} {alike:39.2f}")

    figure = new_figure(8, len(rows) + 1)
    if figure is not None:
        sheets = {"mean image\nless that of all": means}
        sheets |= {f"{row['loss']}\npenalty {row['reg']:g}": row["templates"] for row in rows}
        panels = figure.subplots(len(sheets), 1)
        for axes, (title, images) in zip(panels, sheets.items()):
            limit = np.abs(images).max()
            axes.imshow(grid(images.reshape(10, 8, 8), columns=10), cmap="RdBu", vmin=-limit, vmax=limit)
            axes.set_ylabel(title, rotation=0, ha="right", va="center")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        panels[0].set_xticks(9 * np.arange(10) + 3.5, [str(digit) for digit in range(10)])
        panels[0].tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
        save(figure, out, "linear_classifiers.png")
    return rows


def likeness(templates: Any, images: Any) -> float:
    """Return the mean cosine of the angle between templates and images: 1 if they look the same."""
    templates, images = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (templates, images))
    return float(np.mean(np.sum(templates * images, axis=1)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--penalties", type=float, nargs="+", default=[1e-3, 1.0], help="strengths of the L2 penalty")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(**vars(parser.parse_args()))
