"""Compare how fully connected networks learn: by update rule, with and without normalisation, with and without dropout.

Three experiments on the handwritten digits, each after one of CS231n's second assignment:

1. The four update rules on one network. Momentum is several times as fast as plain gradient descent with the same
   learning rate; RMSProp and Adam scale the step of every weight by itself.
2. Five layers that begin with small weights, or with fitting ones. Without normalisation small ones let the signal fade
   from layer to layer, and nothing is learned. Batch normalisation restores its scale in every layer, and so does layer
   normalisation, by sample and not by minibatch.
3. 300 images, the labels of a fifth of which are drawn by lot. A network that is large enough learns even those by
   heart, and gets worse on new images for it. Dropout makes that harder.

    python examples/fully_connected.py
    python examples/fully_connected.py --epochs 20 --width 200
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import new_figure, save

import minigrad as mg
from minigrad import nn

RULES = {"sgd": 0.01, "sgd_momentum": 0.01, "rmsprop": 1e-3, "adam": 1e-3}  # with their learning rates
NORMS = {"none": None, "batch": nn.BatchNorm, "layer": nn.LayerNorm}
SCALES = (0.01, 0.2)  # standard deviations of the weights; Kaiming's initialiser has about the second here


def network(widths: list[int], *, norm: Any = None, keep: float = 1.0, init: Any = None, seed: int = 0) -> mg.Model:
    """{affine - [normalisation] - ReLU - dropout} for each width, then affine. `keep` is the probability of a unit."""
    init = init or nn.init.kaiming_normal
    layers: list[Any] = []
    for width in widths:
        layers.append(nn.Affine(width, bias=norm is not nn.BatchNorm, init=init))  # which takes any bias away again
        layers += [norm()] if norm else []
        layers += [mg.relu, nn.Dropout(keep)]
    net = nn.Sequential(*layers, nn.Affine(10, init=init)).build(np.zeros((1, 64)), seed=seed)
    net.silenced = (mg.DeadUnitsWarning, mg.LargeUpdateWarning)  # bad beginnings are what is shown here
    return net


def train(model: mg.Model, data: dict[str, Any], epochs: int, rule: str = "adam", seed: int = 0) -> mg.Solver:
    """Train a network with the rule's learning rate, and return the Solver with its histories."""
    solver = mg.Solver(
        model,
        data,
        update_rule=rule,
        optim_config={"learning_rate": RULES[rule]},
        num_epochs=epochs,
        batch_size=50,
        verbose=False,
        seed=seed,
    )
    solver.train()
    return solver


def main(epochs: int = 3, width: int = 50, seed: int = 0, out: str | Path = "out") -> dict[str, Any]:
    """Run the three experiments, print a table of each, and draw the learning curves."""
    data = mg.data.digits(flatten=True)

    rules = {rule: train(network([width] * 2, seed=seed), data, epochs, rule, seed) for rule in RULES}
    print(f"1. Update rules, {epochs} epochs\nrule           learning rate   loss at the end   validation accuracy")
    for rule, solver in rules.items():
        print(f"{rule:<14} {RULES[rule]:13g} {end(solver):17.3f} {solver.val_acc_history[-1]:21.1%}")

    norms = {}
    for norm, layer in NORMS.items():
        for scale in SCALES:
            model = network([width] * 4, norm=layer, init=nn.init.normal(scale), seed=seed)
            norms[norm, scale] = train(model, data, epochs, seed=seed)
    print(f"\n2. Validation accuracy of five layers after {epochs} epochs")
    print("normalisation", *(f"  weights of {scale:<5g}" for scale in SCALES))
    for norm in NORMS:
        print(f"{norm:<13}", *(f"{norms[norm, scale].val_acc_history[-1]:17.1%} " for scale in SCALES))

    rng = np.random.default_rng(seed)
    few = {**data, "X_train": data["X_train"][:300], "y_train": data["y_train"][:300].copy()}
    few["y_train"][:60] = rng.integers(10, size=60)
    dropouts = {
        keep: train(network([4 * width] * 2, keep=keep, seed=seed), few, 10 * epochs, seed=seed) for keep in (1.0, 0.5)
    }
    print(
        f"\n3. A fifth of the labels by lot, {10 * epochs} epochs\nunits kept   training accuracy   validation accuracy"
    )
    for keep, solver in dropouts.items():
        print(f"{keep:10.0%} {solver.train_acc_history[-1]:19.1%} {solver.val_acc_history[-1]:21.1%}")

    draw(rules, {norm: norms[norm, SCALES[0]] for norm in NORMS}, dropouts, out)
    return {"rules": rules, "norms": norms, "dropouts": dropouts}


def end(solver: mg.Solver) -> float:
    """Return the mean loss of the last 20 steps."""
    return float(np.mean(solver.loss_history[-20:]))


def draw(rules: dict[str, Any], norms: dict[str, Any], dropouts: dict[float, Any], out: str | Path) -> None:
    """Write a picture of the learning curves."""
    figure = new_figure(13, 4)
    if figure is None:
        return
    colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]  # told apart by colour-blind readers too (Okabe and Ito)
    left, middle, right = panels = figure.subplots(1, 3)
    titles = ("Update rules", f"Five layers, weights of {SCALES[0]:g}")
    for axes, title, solvers in zip(panels, titles, (rules, norms)):
        for colour, (name, solver) in zip(colours, solvers.items()):
            window = 10
            smooth = np.convolve(solver.loss_history, np.ones(window) / window, mode="valid")
            axes.plot(np.arange(len(smooth)) + window // 2, smooth, color=colour, label=name)
        axes.set(title=title, xlabel="step", ylabel="loss, mean of 10 minibatches", ylim=(0, None))
    for colour, (keep, solver) in zip(colours, dropouts.items()):
        name = "no dropout" if keep == 1 else f"{keep:.0%} of the units kept"
        right.plot(solver.train_acc_history, color=colour, linestyle=":", label=f"{name}: training")
        right.plot(solver.val_acc_history, color=colour, label=f"{name}: validation")
    right.set(title="A fifth of the labels by lot", xlabel="epoch", ylabel="accuracy", ylim=(0.4, 1.02))
    middle.legend(frameon=False, title="normalisation")
    for axes in (left, right):
        axes.legend(frameon=False)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, out, "fully_connected.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--width", type=int, default=100, help="of the hidden layers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(**vars(parser.parse_args()))
