"""Caption pictures of digits with a recurrent network, an LSTM and a transformer.

The captions are made here, by looking at each digit: how much ink it has, how far that spreads, how many holes a digit
of its kind has. "a bold wide zero with a hole" is one. Each model reads the 64 pixels and writes words, beginning
with <START>, each from the picture and from the words before, until it writes <END>. A recurrent network carries both
along in its state. A transformer looks back at all of them.

Training on few pictures, as CS231n does first, shows that all is wired up well: after some steps every caption of
those pictures comes back word by word. That is learning by heart: of new pictures, much is right and much is not. With
more pictures the models learn to look; say `--images 1297`.

    python examples/captioning.py
    python examples/captioning.py --images 1297 --steps 3000
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import Steps, new_figure, save

import minigrad as mg

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
HOLES = {0: "with a hole", 6: "with a hole", 9: "with a hole", 8: "with two holes"}
SHOWN = (0, 6, 8)  # pictures whose captions are printed
RATES = {"rnn": 5e-3, "lstm": 5e-3, "transformer": 2e-3}  # of Adam


def describe(pixels: Any, digit: int) -> str:
    """Put a picture (8, 8) of pixels from 0 to 16 into words."""
    ink, column = pixels.sum(axis=0), np.arange(pixels.shape[1])
    centre = np.average(column, weights=ink)
    spread = np.sqrt(np.average((column - centre) ** 2, weights=ink))
    weight = "bold" if ink.sum() > 340 else "thin" if ink.sum() < 280 else ""
    width = "wide" if spread > 1.4 else "narrow" if spread < 1.15 else ""
    words = [word for word in (weight, width, DIGITS[digit], HOLES.get(digit)) if word]
    return " ".join(["an" if words[0] == "eight" else "a", *words])


def numbered(texts: list[str], word_to_idx: dict[str, int]) -> Any:
    """Return captions as rows of word numbers, from <START> to <END>, padded with <NULL>."""
    rows = [["<START>", *text.split(), "<END>"] for text in texts]
    length = max(map(len, rows))
    return np.array([[word_to_idx[word] for word in row + ["<NULL>"] * (length - len(row))] for row in rows])


def main(images: int = 50, steps: int = 120, seed: int = 0, out: str | Path = "out") -> dict[str, Any]:
    """Train the three models, print how well they caption, and some of their captions beside the true ones."""
    pixels, data = mg.data.digits(normalize=False), mg.data.digits(flatten=True)
    texts = {
        part: [describe(image[0], digit) for image, digit in zip(pixels[f"X_{part}"], pixels[f"y_{part}"])]
        for part in ("train", "test")
    }
    words = sorted({word for text in texts["train"] for word in text.split()})
    word_to_idx = {word: number for number, word in enumerate(["<NULL>", "<START>", "<END>", *words])}
    features, captions = data["X_train"][:images], numbered(texts["train"][:images], word_to_idx)

    sizes = {"input_dim": 64, "wordvec_dim": 32, "seed": seed}
    models: dict[str, Any] = {
        "rnn": mg.models.CaptioningRNN(word_to_idx, hidden_dim=64, cell_type="rnn", **sizes),
        "lstm": mg.models.CaptioningRNN(word_to_idx, hidden_dim=64, cell_type="lstm", **sizes),
        "transformer": mg.models.CaptioningTransformer(word_to_idx, num_heads=2, num_layers=2, **sizes),
    }
    losses, written, rows = {}, {}, {}
    print(f"{images} pictures, {len(word_to_idx)} words, {steps} steps")
    print("model          loss: first    last   captions right: training   test   digits right: test")
    for name, model in models.items():
        losses[name] = train(model, features, captions, steps, RATES[name], seed)
        written[name] = {
            "train": model.captions.decode(model.sample(features)),
            "test": model.captions.decode(model.sample(data["X_test"])),
        }
        of_test = list(zip(written[name]["test"], texts["test"]))
        rows[name] = {
            "first": losses[name][0],
            "last": float(np.mean(losses[name][-10:])),
            "train": share(a == b for a, b in zip(written[name]["train"], texts["train"])),
            "test": share(a == b for a, b in of_test),
            "digits": share(set(a.split()) & set(DIGITS) == set(b.split()) & set(DIGITS) for a, b in of_test),
        }
        row = rows[name]
        print(
            f"{name:<14} {row['first']:11.2f} {row['last']:7.3f} {row['train']:26.0%} {row['test']:6.0%} "
            f"{row['digits']:20.0%}"
        )
    for part, title in (("train", "trained on"), ("test", "new")):
        print(f"\npictures {title}")
        for number in SHOWN:
            print(f"  truth        {texts[part][number]}")
            for name in models:
                print(f"  {name:<12} {written[name][part][number]}")

    figure = new_figure(11, 4.2)
    if figure is not None:
        left, *panels = figure.subplots(1, 4, width_ratios=[1.6, 1, 1, 1])
        for (name, history), colour in zip(losses.items(), ["#0072b2", "#d55e00", "#009e73"]):
            left.plot(history, color=colour, label=name)
        left.set(xlabel="step", ylabel="loss of a caption", yscale="log")
        left.legend(frameon=False)
        left.spines[["top", "right"]].set_visible(False)
        for number, axes in zip(SHOWN, panels):
            axes.imshow(pixels["X_test"][number, 0], cmap="gray_r")
            axes.set_axis_off()
            axes.set_anchor("N")
            lines = [("truth", texts["test"][number]), *((name, written[name]["test"][number]) for name in models)]
            text = "\n".join(f"{name}:\n  {line}" for name, line in lines)
            axes.text(0, -0.05, text, transform=axes.transAxes, va="top", fontsize=8)
        save(figure, out, "captioning.png")
    return {"models": models, "rows": rows, "losses": losses}


def train(model: Any, features: Any, captions: Any, steps: int, rate: float, seed: int) -> list[float]:
    """Take Adam steps on minibatches of 25; return the loss of each."""
    adam, rng = Steps(model, "adam", learning_rate=rate), np.random.default_rng(seed)
    losses = []
    for _ in range(steps):
        batch = rng.choice(len(features), 25)
        loss, grads = model.loss(features[batch], captions[batch])
        adam.take(grads)
        losses.append(loss)
    return losses


def share(right: Any) -> float:
    """Return the share of true ones."""
    return float(np.mean(list(right)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50, help="train on so many pictures, at most 1297")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(**vars(parser.parse_args()))
