"""The demo: a two-layer network learns the embedded digits, and minigrad draws what it recorded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import minigrad as mg
from minigrad.core.errors import GraphvizNotFound
from minigrad.data import digits

__all__ = ["TwoLayerNet", "main"]


class TwoLayerNet(mg.Model):
    """Two fully-connected layers with a relu between them, given by the forward pass alone.

    Parameters
    ----------
    input_dim, hidden_dim, num_classes : int
        Numbers of inputs D, of hidden units H, and of classes C.
    weight_scale : float
        Standard deviation of the initial weights.
    reg : float
        Strength of the L2 penalty on the weights.
    seed : int, optional
        Seed of the initial weights.
    """

    def __init__(
        self,
        input_dim: int = 64,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-2,
        reg: float = 0.0,
        seed: int | None = None,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.reg = reg
        self.params = {
            "W1": weight_scale * rng.standard_normal((input_dim, hidden_dim)),
            "b1": np.zeros(hidden_dim),
            "W2": weight_scale * rng.standard_normal((hidden_dim, num_classes)),
            "b2": np.zeros(num_classes),
        }

    def forward(self, params: Any, X: Any) -> Any:
        """Return the scores (N, C) of the images X (N, ...)."""
        hidden = np.maximum(0, X.reshape(len(X), -1) @ params["W1"] + params["b1"])
        return hidden @ params["W2"] + params["b2"]


def main(out: str | Path = "out", seed: int = 0) -> dict[str, Any]:
    """Train a network on the digits; write a picture of its computation and its learning curves.

    What cannot be drawn on this machine, for want of Graphviz or matplotlib, is named with the way to get it, and the
    rest is written all the same.

    Parameters
    ----------
    out : str or Path
        Folder for the files; made when it is missing.
    seed : int
        Seed of the initial weights and of the batches.

    Returns
    -------
    dict
        ``val_accuracy`` and ``test_accuracy`` (float), ``seconds`` of training (float), and ``files``, the paths that
        were written (list of Path).
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    data = digits()
    model = TwoLayerNet(reg=1e-3, seed=seed)

    print(f"Training a 64-100-10 network on {len(data['y_train'])} handwritten digits:")
    solver, seconds = _train(model, data, seed)
    test_accuracy = float(solver.check_accuracy(data["X_test"], data["y_test"]))

    files = _draw_network(model, data["X_train"][:50], data["y_train"][:50], folder)
    files += _draw_curves(solver, folder)

    print(
        f"\nTest accuracy {test_accuracy:.1%}, validation accuracy {solver.best_val_acc:.1%}, "
        f"after {seconds:.1f} s of training. Written:"
    )
    for path in files:
        print(f"  {path}")
    return {
        "val_accuracy": float(solver.best_val_acc),
        "test_accuracy": test_accuracy,
        "seconds": seconds,
        "files": files,
    }


def _train(model: TwoLayerNet, data: dict[str, npt.NDArray[Any]], seed: int) -> tuple[mg.Solver, float]:
    solver = mg.Solver(
        model,
        data,
        update_rule="adam",
        optim_config={"learning_rate": 3e-3},
        num_epochs=20,
        batch_size=100,
        print_every=100,
        seed=seed,
    )
    start = time.perf_counter()
    solver.train()
    return solver, time.perf_counter() - start


def _draw_network(model: TwoLayerNet, X: npt.NDArray[Any], y: npt.NDArray[Any], folder: Path) -> list[Path]:
    """Write the recorded computation as DOT and, where Graphviz can be had, as SVG."""
    drawing = mg.draw(model, X, y)
    files = []
    for path in (folder / "digits-network.gv", folder / "digits-network.svg"):
        try:
            drawing.save(path)
        except GraphvizNotFound as error:
            print(f"\nNot drawn: {path}\n  {error}")
        else:
            files.append(path)
    return files


def _draw_curves(solver: mg.Solver, folder: Path) -> list[Path]:
    """Write the loss of every iteration, and the accuracies after every epoch."""
    path = folder / "curves.png"
    try:
        from matplotlib.figure import Figure  # not pyplot: no window, no global state
    except ImportError:
        print(f'\nNot drawn: {path}\n  It needs matplotlib: pip install matplotlib, or pip install "minigrad[demo]".')
        return []

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    losses = np.asarray(solver.loss_history, dtype=float)
    window = 15
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    left.plot(losses, color="#9ecae1", linewidth=1, label="each batch")
    left.plot(np.arange(len(smooth)) + window // 2, smooth, color="#08519c", label=f"mean of {window} batches")
    left.set(title="Loss", xlabel="iteration", ylabel="softmax loss + L2 penalty", yscale="log")
    epochs = np.arange(len(solver.train_acc_history))
    right.plot(epochs, solver.train_acc_history, color="#d95f02", marker="o", markersize=3, label="training")
    right.plot(epochs, solver.val_acc_history, color="#1b9e77", marker="o", markersize=3, label="validation")
    right.set(title="Accuracy", xlabel="epoch", ylabel="share of digits named right", ylim=(0.0, 1.02))
    right.xaxis.get_major_locator().set_params(integer=True)
    for axes in (left, right):
        axes.grid(color="#e6e6e6")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    return [path]
