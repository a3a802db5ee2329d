"""Let two networks teach each other to draw digits: a generative adversarial network.

The generator makes images of noise. The discriminator is shown those and real digits, and scores how real each looks.
Each takes an Adam step in turn: the discriminator to tell them apart, the generator to deceive it. The generator never
sees a digit. All that it learns comes through the discriminator: the gradient of the score with respect to the image.

Neither loss says how good the images are, so another network judges them: a classifier of real digits. Of real ones it
is sure what they are. A generator that always draws the same digit would deceive it, too, so the digits that occur are
counted; one that has learnt the training images by heart would be nearer to them than new real images are.

    python examples/gan.py                      # seconds, fully connected
    python examples/gan.py --steps 10000        # better digits
    python examples/gan.py --conv --steps 3000  # convolutions, batch normalisation and transposed convolutions
    python examples/gan.py --loss lsgan         # least squares in place of cross-entropy

(Goodfellow et al., 2014, arXiv:1406.2661; Adam's beta1 of 0.5: Radford, Metz and Chintala, 2015, arXiv:1511.06434.)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import Steps, grid, new_figure, save

import minigrad as mg

SHAPE = (1, 8, 8)


def networks(conv: bool, loss: str, rng: np.random.Generator) -> mg.models.GAN:
    """Return the generator, noise (N, 16) to images, and the discriminator, images to scores, as a pair."""
    how: dict[str, Any] = {"dtype": np.float32, "seed": rng}
    if conv:
        generator = mg.models.ConvGenerator(SHAPE, noise_dim=16, filters=16, **how)
        discriminator = mg.models.ConvDiscriminator(SHAPE, filters=16, **how)
    else:
        generator = mg.models.FullyConnectedGenerator(SHAPE, noise_dim=16, hidden_dim=128, **how)
        discriminator = mg.models.FullyConnectedDiscriminator(SHAPE, hidden_dim=128, **how)
    return mg.models.GAN(generator, discriminator, loss=loss, seed=rng)


def main(
    steps: int = 800, conv: bool = False, loss: str = "gan", seed: int = 0, out: str | Path = "out"
) -> dict[str, Any]:
    """Train the pair, print what the classifier thinks of its images, and draw some."""
    data = mg.data.digits(normalize=False, dtype=np.float32)
    for split in ("train", "val", "test"):
        data[f"X_{split}"] = data[f"X_{split}"] / 8 - 1  # from -1 to 1, as the generator's
    real, rng = data["X_train"], np.random.default_rng(seed)

    gan = networks(conv, loss, rng)
    judge_steps = Steps(gan.discriminator, "adam", learning_rate=1e-3, beta1=0.5)
    maker_steps = Steps(gan.generator, "adam", learning_rate=1e-3, beta1=0.5)
    stages = {0: gan.sample(250)}
    losses = []
    for step in range(1, steps + 1):
        judge_loss, grads = gan.discriminator_loss(real[rng.integers(len(real), size=64)])
        judge_steps.take(grads)
        maker_loss, grads = gan.generator_loss(64)
        maker_steps.take(grads)
        losses.append((judge_loss, maker_loss))
        if step in (steps // 10, steps):
            stages[step] = gan.sample(250)

    classifier = mg.models.TwoLayerNet(64, 100, 10, seed=seed)
    mg.Solver(
        classifier, data, update_rule="adam", optim_config={"learning_rate": 3e-3}, verbose=False, seed=seed
    ).train()
    table = {f"generated, step {step}": judged(images, classifier, real) for step, images in stages.items()}
    table["real (test images)"] = judged(data["X_test"], classifier, real)
    print("250 images             certainty   digits that occur   distance to the nearest training image")
    for name, row in table.items():
        print(f"{name:<22} {row['certainty']:8.0%}   {row['digits']:17}   {row['distance']:38.2f}")
    judge_loss, maker_loss = np.mean(losses[-100:], axis=0)
    blind = f" ({2 * np.log(2):.2f} if it could not tell)" if loss == "gan" else ""
    print(f"losses, mean of the last steps: discriminator {judge_loss:.2f}{blind}, generator {maker_loss:.2f}")

    figure = new_figure(3.2 * (len(stages) + 1), 3.6)
    if figure is not None:
        figure.get_layout_engine().set(wspace=0.06)
        sheets = {f"generated, step {step}": images for step, images in stages.items()} | {"real": data["X_test"]}
        for axes, (title, images) in zip(figure.subplots(1, len(sheets)), sheets.items()):
            axes.imshow(grid(images[:64, 0], columns=8), cmap="gray_r", vmin=-1, vmax=1)
            axes.set_title(title)
            axes.set_axis_off()
        save(figure, out, "gan.png")
    return {"gan": gan, "losses": losses, "table": list(table.values())}


def judged(images: Any, classifier: Any, training_images: Any) -> dict[str, Any]:
    """Return how certain a classifier is, on average, of the digits in images, and more that tells fakes from them."""
    probabilities = mg.softmax(classifier.loss(images))
    often = np.bincount(probabilities.argmax(axis=1), minlength=10) >= 0.01 * len(images)
    rows, training_rows = images.reshape(len(images), -1), training_images.reshape(len(training_images), -1)
    squares = np.sum(rows**2, axis=1)[:, None] + np.sum(training_rows**2, axis=1) - 2 * rows @ training_rows.T
    return {
        "certainty": float(np.mean(probabilities.max(axis=1))),
        "digits": int(np.sum(often)),
        "distance": float(np.mean(np.sqrt(np.maximum(squares.min(axis=1), 0)))),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000, help="of each of the two networks")
    parser.add_argument("--conv", action="store_true", help="convolutional networks")
    parser.add_argument("--loss", choices=["gan", "lsgan"], default="gan")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(**vars(parser.parse_args()))
