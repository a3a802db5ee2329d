"""Race the update rules: down a curved valley, and off a saddle. It makes an animated GIF.

Four points start at one place and take their steps by four rules, with gradients from `mg.grad` of functions that are
written in plain NumPy.

Left, seen from above: a steep wall, then a bent valley with little slope. Momentum rolls like a ball, past the bend and
up the other side, and is at the minimum before the others. SGD creeps. RMSProp and Adam divide by the size of the
gradient, so they make headway where there is little of it.

Right: a saddle, which curves up in one direction and down in the other. The start is almost on the ridge, where the way
down has hardly any slope. SGD slides to the middle and stays there; with momentum it takes more than twice as long as
RMSProp and Adam, whose steps are nearly as long along the faint slope as along the steep one.

    pip install . matplotlib
    python examples/update_rules.py               # out/update_rules.gif, 61 frames
    python examples/update_rules.py --frames 121  # smoother

(After Alec Radford's animations in CS231n's notes, "Neural Networks Part 3".)
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import new_figure

import minigrad as mg

RULES: dict[str, tuple[dict[str, float], dict[str, float], str]] = {
    # hyperparameters in the valley and on the saddle, and a colour that colour-blind readers can tell (Okabe and Ito)
    "sgd": ({"learning_rate": 0.02}, {"learning_rate": 0.03}, "#000000"),
    "sgd_momentum": ({"learning_rate": 0.02}, {"learning_rate": 0.03}, "#d55e00"),
    "rmsprop": ({"learning_rate": 0.03, "decay_rate": 0.9}, {"learning_rate": 0.03, "decay_rate": 0.9}, "#0072b2"),
    "adam": ({"learning_rate": 0.05}, {"learning_rate": 0.05}, "#009e73"),
}
STEPS = 120
VALLEY_START, MINIMUM, NEAR = np.array([1.0, 1.5]), np.array([3.0, 0.5]), 0.2
SADDLE_START, EDGE = np.array([-1.0, 1e-4]), 1.0


def valley(w: Any) -> Any:
    """The logarithm of 1 + Beale's function, which is 0 at (3, 0.5). (Beale, 1958.)"""
    x, y = w
    return np.log(1 + (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2)


def saddle(w: Any) -> Any:
    """A surface that curves up along x and down along y."""
    x, y = w
    return x**2 - y**2


def path(function: Callable[[Any], Any], start: Any, rule: str, config: dict[str, float]) -> Any:
    """Return where a rule goes from a start, the start included: (STEPS + 1, 2)."""
    gradient, step, memory = mg.grad(function), mg.optim.resolve(rule), dict(config)
    places = [start]
    for _ in range(STEPS):
        w, memory = step(places[-1].copy(), gradient(places[-1]), memory)
        places.append(w)
    return np.stack(places)


def main(frames: int = 3, out: str | Path = "out") -> dict[str, Any]:
    """Run the race, print how it went, and draw it."""
    races = {}
    print("rule           valley: lr   near the minimum   lowest y   saddle: lr   off the saddle")
    for rule, (in_valley, on_saddle, _) in RULES.items():
        down, off = path(valley, VALLEY_START, rule, in_valley), path(saddle, SADDLE_START, rule, on_saddle)
        arrived = first(np.linalg.norm(down - MINIMUM, axis=1) < NEAR)
        left = first(np.abs(off[:, 1]) > EDGE)
        races[rule] = {"valley": down, "saddle": off, "arrived": arrived, "left": left}
        print(
            f"{rule:<14} {in_valley['learning_rate']:10.2f}   {said(arrived):>16}   {down[:, 1].min():8.2f}"
            f"   {on_saddle['learning_rate']:10.2f}   {said(left):>14}"
        )
    picture = Path(out) / "update_rules.gif"
    if animate(picture, races, frames):
        print(f"picture: {picture}")
    return races


def first(condition: Any) -> int | None:
    """Return the first step at which something holds, or None."""
    return int(np.argmax(condition)) if np.any(condition) else None


def said(step: int | None) -> str:
    """Return a step in words."""
    return "not yet" if step is None else f"at step {step}"


def animate(target: Path, races: dict[str, Any], frames: int) -> bool:
    """Write the race as a GIF of so many frames; return whether Matplotlib is there to do it."""
    figure = new_figure(8.4, 4.4)
    if figure is None:
        return False
    from PIL import Image  # which comes with Matplotlib

    above, aside = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d", computed_zorder=False)
    draw_valley(above)
    draw_saddle(aside)
    runners = []
    for rule, race in races.items():
        style = {"color": RULES[rule][2], "linewidth": 1.8, "marker": "o", "markersize": 7, "zorder": 5}
        on = race["saddle"][: race["left"]]  # who has left the picture stays at its edge
        runners.append((*above.plot([], [], label=rule, **style), race["valley"].T))
        runners.append((*aside.plot([], [], [], **style), np.vstack([on.T, saddle(on.T)])))
    above.legend(loc="upper right", framealpha=1)
    counter = figure.suptitle("step 0")
    figure.canvas.draw()
    figure.set_layout_engine("none")  # what has been laid out stays where it is from frame to frame

    pictures: list[Any] = []
    for step in np.linspace(0, STEPS, frames).round().astype(int):
        counter.set_text(f"step {step}")
        for line, places in runners:
            so_far = places[:, : step + 1]
            line.set_markevery([so_far.shape[1] - 1])  # a point where it is, a line where it was
            line.set_data(*so_far) if len(so_far) == 2 else line.set_data_3d(*so_far)
        stream = io.BytesIO()
        figure.savefig(stream, dpi=80)
        picture = Image.open(stream).convert("RGB")
        # The colours of the first frame serve for all: then only what moves is stored, and the file is small.
        pictures.append(
            picture.quantize(palette=pictures[0], dither=Image.Dither.NONE)
            if pictures
            else picture.quantize(256, method=Image.Quantize.FASTOCTREE)
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    milliseconds = [6000 // frames] * (frames - 1) + [3000]
    pictures[0].save(target, save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0)
    return True


def draw_valley(axes: Any) -> None:
    """Draw the contours of the valley, and its minimum."""
    x, y = np.meshgrid(np.linspace(0.2, 3.8, 120), np.linspace(-1.0, 1.8, 120))
    heights = valley((x, y))
    levels = np.linspace(0, np.sqrt(heights.max()), 24) ** 2  # closer where it is flat
    axes.contour(x, y, heights, levels=levels, cmap="gray", linewidths=0.8, alpha=0.6)
    axes.plot(*MINIMUM, marker="*", color="#e69f00", markersize=15, linestyle="none", zorder=4)
    axes.set(title="a bent valley, from above", xlabel="x", ylabel="y")


def draw_saddle(axes: Any) -> None:
    """Draw the saddle, so that the way down is in front."""
    x, y = np.meshgrid(np.linspace(-1.1, 1.1, 23), np.linspace(-EDGE, EDGE, 21))
    axes.plot_surface(x, y, saddle((x, y)), cmap="Greys_r", vmin=-2, linewidth=0.3, edgecolor="0.6")
    axes.set(title="a saddle, from the side", xlabel="x", ylabel="y", xticks=[-1, 0, 1], yticks=[-1, 0, 1], zticks=[])
    axes.grid(False)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
    axes.view_init(elev=38, azim=62)
    axes.set_box_aspect((1, 1, 0.7), zoom=1.05)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=61, help="pictures in the animation")
    parser.add_argument("--out", default="out", help="folder for the animation")
    main(**vars(parser.parse_args()))
