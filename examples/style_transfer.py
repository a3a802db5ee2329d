"""Paint one image in the style of another, by gradients with respect to the pixels.

Both images are drawn by this example: a house on a hill, and a pattern of waves. A convolutional network looks at them;
its weights are random and are never trained, which is enough for textures. Of the new image three things are wanted:

- its features in one layer are those of the house: the content loss;
- its features go together, wherever in the image, as those of the waves do: the Gram matrices, the style loss;
- neighbouring pixels are not too different: the total variation.

The sum is a function of the pixels. `mg.value_and_grad` differentiates it, and Adam moves the pixels, from those of the
house on.

    pip install . matplotlib
    python examples/style_transfer.py                          # 300 steps on images of 96 x 96 pixels
    python examples/style_transfer.py --style-weight 50 # more waves, less house

(Gatys, Ecker and Bethge, 2015, arXiv:1508.06576; random weights: Ustyuzhaninov et al., 2016, arXiv:1606.00021.)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import new_figure, save

import minigrad as mg

STYLE_LAYERS, CONTENT_LAYER = [0, 1, 2], 1


class Features(mg.nn.Layer):
    """Images (N, 3, H, W) to the features that three layers of a network see in them."""

    def __init__(self) -> None:
        self.convolutions = [mg.nn.Conv2d(filters, 5, padding="same") for filters in (24, 32, 32)]

    def forward(self, x: Any) -> Any:
        x, found = x - 0.5, []
        for convolution in self.convolutions:
            x = mg.relu(convolution(x))
            found.append(x)
            x = mg.ops.avg_pool2d(x, 2)
        return found


def house(size: int) -> Any:
    """Draw a house on a hill under a sun: (1, 3, size, size), from 0 to 1."""
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    image = np.stack([0.55 + 0.35 * y, 0.75 + 0.15 * y, 0.95 - 0.1 * y])  # the sky
    parts = [
        ((x - 0.8) ** 2 + (y - 0.2) ** 2 < 0.11**2, (1.0, 0.85, 0.3)),  # the sun
        (y > 0.72 + 0.25 * (x - 0.4) ** 2, (0.35, 0.6, 0.25)),  # the hill
        ((np.abs(x - 0.42) < 0.2) & (np.abs(y - 0.63) < 0.17), (0.9, 0.85, 0.75)),  # the wall
        ((np.abs(x - 0.42) < y - 0.2) & (y < 0.46), (0.65, 0.2, 0.15)),  # the roof
        ((np.abs(x - 0.5) < 0.045) & (np.abs(y - 0.71) < 0.09), (0.35, 0.2, 0.1)),  # the door
        ((np.abs(x - 0.33) < 0.05) & (np.abs(y - 0.6) < 0.05), (0.3, 0.45, 0.65)),  # the window
    ]
    for where, colour in parts:
        image = np.where(where, np.reshape(colour, (3, 1, 1)), image)
    return image[None]


def waves(size: int) -> Any:
    """Draw bent stripes of four colours: (1, 3, size, size), from 0 to 1."""
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j] * size / 96
    height = y + 0.35 * x + 0.06 * np.sin(14 * x) + 0.04 * np.sin(23 * x + 9 * y)
    colours = np.array([(0.05, 0.15, 0.4), (0.15, 0.45, 0.75), (0.95, 0.75, 0.2), (0.95, 0.95, 0.85)])
    return np.moveaxis(colours[np.floor(24 * height).astype(int) % 4], 2, 0)[None]


def main(
    size: int = 64,
    steps: int = 60,
    content_weight: float = 1.0,
    style_weight: float = 5.0,
    tv_weight: float = 1.0,
    seed: int = 0,
    out: str | Path = "out",
) -> dict[str, Any]:
    """Make the image, print its losses beside those of the two that it is made of, and draw them."""
    content, style = house(size), waves(size)
    network = Features().build(content, seed=seed)
    content_target = network(content)[CONTENT_LAYER]
    style_targets = [mg.gram_matrix(network(style)[layer]) for layer in STYLE_LAYERS]
    # Each loss is measured by the size of what is wanted, so the weights mean the same for all images and networks.
    content_scale = 1 / float(np.sum(content_target**2))
    style_scales = [1 / float(np.sum(target**2)) for target in style_targets]
    tv_scale = 1 / float(mg.tv_loss(style, 1.0))

    def losses(image: Any) -> tuple[Any, Any, Any]:
        features = network(image)
        return (
            mg.content_loss(content_scale, features[CONTENT_LAYER], content_target),
            mg.style_loss(features, STYLE_LAYERS, style_targets, style_scales),
            mg.tv_loss(image, tv_scale),
        )

    def objective(image: Any) -> Any:
        from_content, from_style, variation = losses(image)
        return content_weight * from_content + style_weight * from_style + tv_weight * variation

    value_and_gradient = mg.value_and_grad(objective)
    image, config = content, {"learning_rate": 0.03}
    history, stages = [], {}
    for step in range(1, steps + 1):
        value, gradient = value_and_gradient(image)
        image, config = mg.optim.adam(image, gradient, config)
        image = np.clip(image, 0, 1)
        history.append(float(value))
        if step in (max(steps // 6, 1), steps):
            stages[f"after {step} steps"] = image

    pictures = {"content: a house": content, "style: waves": style, **stages}
    table = {title: [float(loss) for loss in losses(picture)] for title, picture in pictures.items()}
    print("relative losses    content   style   total variation")
    for title, (from_content, from_style, variation) in table.items():
        print(f"{title:<18} {from_content:7.3f} {from_style:7.3f} {variation:17.3f}")

    figure = new_figure(3 * len(pictures), 3.3)
    if figure is not None:
        for axes, (title, picture) in zip(figure.subplots(1, len(pictures)), pictures.items()):
            axes.imshow(np.moveaxis(picture[0], 0, 2))
            axes.set_title(title)
            axes.set_axis_off()
        save(figure, out, "style_transfer.png")
    return {"history": history, "table": list(table.values()), "image": image}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=96, help="of the images, in pixels; a multiple of 4")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--content-weight", type=float, default=1.0)
    parser.add_argument("--style-weight", type=float, default=5.0)
    parser.add_argument("--tv-weight", type=float, default=1.0, help="of the total variation")
    parser.add_argument("--seed", type=int, default=0, help="of the network's weights")
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(**vars(parser.parse_args()))
