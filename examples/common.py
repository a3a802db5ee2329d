"""What several examples share: steps for models that the Solver does not train, and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minigrad import optim


class Steps:
    """An update rule for each parameter of a model, for training loops that are not the Solver's.

    It remembers what the rule remembers between steps: ``steps = Steps(model, "adam", learning_rate=1e-3)``, then
    ``steps.take(grads)`` with the gradients of each step.
    """

    def __init__(self, model: Any, rule: str = "adam", **config: float) -> None:
        self.model, self.rule = model, optim.resolve(rule)
        optim.check_config(self.rule, config)
        self.configs: dict[str, dict[str, Any]] = {name: dict(config) for name in model.params}

    def take(self, grads: dict[str, Any]) -> None:
        """Move every parameter of the model by one step against its gradient."""
        params = self.model.params
        for name, grad in grads.items():
            params[name], self.configs[name] = self.rule(params[name], grad, self.configs[name])


def new_figure(width: float, height: float) -> Any:
    """Return a figure of so many inches; None, and a word about it, where Matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure  # without pyplot, so that no display is needed
    except ImportError:
        print("no picture: pip install matplotlib")
        return None
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def save(figure: Any, out: str | Path, name: str) -> Path:
    """Write a figure into a folder, which is made when it is missing."""
    path = Path(out) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    print(f"picture: {path}")
    return path


def grid(images: Any, columns: int, gap: int = 1, fill: float = np.nan) -> Any:
    """Put grey images (N, H, W) side by side, in rows of so many, with a gap between them."""
    count, height, width = images.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), fill)
    for number, image in enumerate(images):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet
