"""Train CS231n's convolutional network of three layers, on digits or on CIFAR-10, and look at its filters.

The network is conv - ReLU - 2x2 max pool - affine - ReLU - affine (`mg.models.ThreeLayerConvNet`, whose file is its
forward pass and little else). The filters of its first layer begin as noise. The picture shows what became of them: on
digits, edges of some direction and ends of strokes; on CIFAR-10, after some epochs, edges and spots of colour. Beside
them is what each filter of the trained network, after the ReLU, makes of one image.

    python examples/convnet.py                                    # digits, seconds
    python examples/convnet.py --cifar10 cifar-10-batches-py      # minutes; the files of the python version, unpacked
    python examples/convnet.py --cifar10 cifar-10-batches-py --images 5000 --epochs 3
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import grid, new_figure, save

import minigrad as mg


def main(
    cifar10: str | Path | None = None,
    images: int | None = None,
    epochs: int = 3,
    filters: int = 16,
    seed: int = 0,
    out: str | Path = "out",
) -> dict[str, Any]:
    """Train the network, print how good it is, and draw its filters before and after."""
    if cifar10 is None:
        data = mg.data.digits(dtype=np.float32)
        names: Any = range(10)
    else:
        data = mg.data.cifar10(cifar10, num_training=images)
        names = mg.data.CIFAR10_CLASSES
    X_train, y_train = data["X_train"][:images], data["y_train"][:images]
    model = mg.models.ThreeLayerConvNet(
        input_dim=X_train.shape[1:],
        num_filters=filters,
        filter_size=5 if cifar10 is None else 7,
        hidden_dim=100,
        weight_scale=0.03 if cifar10 is None else 1e-2,
        reg=1e-3,
        dtype=np.float32,
        seed=seed,
    )
    before = model.params["W1"].copy()
    solver = mg.Solver(
        model,
        {**data, "X_train": X_train, "y_train": y_train},
        update_rule="adam",
        optim_config={"learning_rate": 2e-3},
        num_epochs=epochs,
        batch_size=50,
        print_every=100,
        verbose=cifar10 is not None,
        seed=seed,
    )
    start = time.perf_counter()
    solver.train()
    seconds = time.perf_counter() - start

    print("epoch   training accuracy   validation accuracy")
    for epoch, shares in enumerate(zip(solver.train_acc_history, solver.val_acc_history)):
        print(f"{epoch:5} {shares[0]:19.1%} {shares[1]:21.1%}")
    right = np.argmax(model.loss(data["X_test"]), axis=1) == data["y_test"]
    print(f"test accuracy {np.mean(right):.1%}, after {seconds:.1f} s")
    print("   of", ", ".join(f"{name}: {np.mean(right[data['y_test'] == k]):.0%}" for k, name in enumerate(names)))

    figure = new_figure(12, 3.4)
    if figure is not None:
        figure.get_layout_engine().set(wspace=0.06)
        x = data["X_test"][:1]
        maps = mg.relu(mg.conv2d(x, model.params["W1"], model.params["b1"], padding="same"))[0]
        sheets = {
            "filters at the start": before,
            "filters after training": model.params["W1"],
            "an image": x,
            "what they make of it": maps[:, np.newaxis],
        }
        columns = int(np.ceil(np.sqrt(filters)))
        for axes, (title, pictures) in zip(figure.subplots(1, 4), sheets.items()):
            axes.imshow(sheet(pictures, columns), cmap="gray_r")
            axes.set_title(title)
            axes.set_axis_off()
        save(figure, out, "convnet.png")
    return {"solver": solver, "before": before, "test_accuracy": float(np.mean(right))}


def sheet(images: Any, columns: int) -> Any:
    """Put images (N, C, H, W) side by side, each from its darkest to its brightest; three channels are a colour."""
    low = images.min(axis=(1, 2, 3), keepdims=True)
    images = (images - low) / np.maximum(images.max(axis=(1, 2, 3), keepdims=True) - low, 1e-12)
    sheets = [grid(images[:, channel], min(columns, len(images)), fill=np.nan) for channel in range(images.shape[1])]
    return sheets[0] if len(sheets) == 1 else np.nan_to_num(np.stack(sheets, axis=-1), nan=1.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", metavar="FOLDER", help="folder of CIFAR-10's python version")
    parser.add_argument("--images", type=int, help="train on so many images only")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(**vars(parser.parse_args()))
