"""Teach a small transformer to write like this project's documentation, character by character.

The text is docs/*.md. The network (`mg.models.CharTransformer`) is shown pieces of it, and learns to predict each
character from those before it; then it writes, drawing each next character with the probability that it gives it.

How well it predicts is measured in bits per character, on the end of each page, which it was not trained on. Three
numbers to compare: all characters taken as equally likely; each as likely as it is in the text; and each as likely as
it is after the one before it. A model that is below the last has learned to look back further. After the minutes of
training by default it writes in syllables, short words and pieces of code; for whole words it needs to be larger.

    python examples/char_transformer.py                                     # minutes
    python examples/char_transformer.py --steps 5000 --width 128 --layers 4 # hours, and better
    python examples/char_transformer.py --prompt "A gradient" --temperature 0.5

(Radford et al., 2018-2019: GPT.)
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import Steps, new_figure, save

import minigrad as mg

DOCS = Path(__file__).resolve().parent.parent / "docs"


def read(folder: Path) -> tuple[str, str]:
    """Return all pages of a folder: the first nine tenths of each, and the rest."""
    pages = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.md"))]
    if not pages:
        raise SystemExit(f"there are no .md files in {folder}")
    cuts = [len(page) * 9 // 10 for page in pages]
    return (
        "\n".join(page[:cut] for page, cut in zip(pages, cuts)),
        "\n".join(page[cut:] for page, cut in zip(pages, cuts)),
    )


def main(
    steps: int = 160,
    width: int = 32,
    layers: int = 1,
    block_size: int = 32,
    batch_size: int = 16,
    learning_rate: float = 1e-2,
    prompt: str = "The gradient",
    length: int = 120,
    temperature: float = 0.8,
    seed: int = 0,
    docs: str | Path = DOCS,
    out: str | Path = "out",
) -> dict[str, Any]:
    """Train the network, print what it has learned and what it writes, and draw its learning curve."""
    training, held_out = read(Path(docs))
    rng = np.random.default_rng(seed)
    model = mg.models.CharTransformer(
        training + held_out + prompt,
        block_size=block_size,
        width=width,
        num_heads=4,
        num_layers=layers,
        dtype=np.float32,
        seed=rng,
    )
    known, new = model.encode(training), model.encode(held_out)
    size = sum(w.size for w in model.params.values())
    print(f"{len(known)} characters of {len(model.alphabet)} kinds to learn from; {size} parameters")
    limits = baselines(known, new, len(model.alphabet))
    for name, limit in limits.items():
        print(f"  {limit:.2f} bits per character: {name}")

    adam = Steps(model, "adam", learning_rate=learning_rate)
    losses, tests = [], {}
    start = time.perf_counter()
    for step in range(1, steps + 1):
        loss, grads = model.loss(*model.batch(known, batch_size, rng))
        adam.take(grads)
        losses.append(loss / np.log(2))
        if step % max(steps // 5, 1) == 0:
            tests[step] = bits(model, new)
            seconds = time.perf_counter() - start
            recent = np.mean(losses[-20:])
            print(f"step {step:5}   training {recent:5.2f}   held out {tests[step]:5.2f}   {seconds:4.0f} s")
    text = model.sample(prompt, length, temperature=temperature, rng=rng)
    print(f"\nIt writes:\n{text}")

    figure = new_figure(7, 4)
    if figure is not None:
        axes = figure.subplots()
        axes.plot(np.arange(1, steps + 1), losses, color="0.75", linewidth=1, label="training, each minibatch")
        axes.plot(list(tests), list(tests.values()), color="#0072b2", marker="o", label="held out")
        for name, limit in limits.items():
            axes.axhline(limit, color="#d55e00", linestyle=":", linewidth=1)
            axes.text(steps, limit, name, color="#d55e00", ha="right", va="bottom", fontsize=8)
        axes.set(xlabel="step", ylabel="bits per character", ylim=(0, None))
        axes.legend(frameon=False, loc="lower left")
        axes.spines[["top", "right"]].set_visible(False)
        save(figure, out, "char_transformer.png")
    return {"model": model, "losses": losses, "tests": tests, "baselines": limits, "text": text}


def bits(model: Any, numbers: Any, pieces: int = 64) -> float:
    """Return the bits per character that the model needs for a text, on pieces of it that are the same each time."""
    X, y = model.batch(numbers, pieces, rng=0)
    return float(model.objective(model.loss(X), y)) / np.log(2)


def baselines(known: Any, new: Any, kinds: int) -> dict[str, float]:
    """Return the bits per character for a text of models that count, each kind once more than it was seen."""
    single = np.bincount(known, minlength=kinds) + 1.0
    pairs = np.ones((kinds, kinds))
    np.add.at(pairs, (known[:-1], known[1:]), 1)
    pairs /= pairs.sum(axis=1, keepdims=True)
    return {
        "all alike": float(np.log2(kinds)),
        "by frequency": float(-np.mean(np.log2(single / single.sum())[new])),
        "by frequency after the one before": float(-np.mean(np.log2(pairs[new[:-1], new[1:]]))),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--width", type=int, default=64, help="of the vectors; a multiple of the 4 heads")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--block-size", type=int, default=64, help="characters that it sees at once")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--prompt", default="The gradient")
    parser.add_argument("--length", type=int, default=600, help="characters to write")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--docs", default=DOCS, help="folder of .md files")
    parser.add_argument("--out", default="out", help="folder for the picture")
    main(**vars(parser.parse_args()))
