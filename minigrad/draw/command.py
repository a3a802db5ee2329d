"""``python -m minigrad draw FILE:NAME``: a picture of what a function in a file makes, without writing code."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core.errors import MinigradError, OptionError, did_you_mean
from . import draw
from .drawing import ENDINGS, Drawing, write_whole
from .make import CHOICES

__all__ = ["add_arguments", "run"]

SAMPLES = 2
"""Of a minibatch that nobody has given."""
SIDES = (32, 28, 8, 64, 16, 224, 96, 12, 24)
"""Of images, those that are tried when nobody says."""
LENGTHS = (8, 16, 4, 1)
"""Of sequences of integers, likewise."""
DRAWN = {"view": "forward", "color": "kind", "params": "inline", "direction": "TB", "theme": "auto"}
"""Options of a picture, and their usual choices."""
WALKED = ("direction", "theme")
"""Those that a walk has too."""
TEXTS = (".html", ".htm", ".json", ".txt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes to its parser."""
    parser.add_argument(
        "subject",
        metavar="FILE:NAME",
        help="a file and a function in it, which is called without arguments and returns a model, or (model, X), "
        "or (model, X, y), or (function, arguments ...); NAME may also be a class of models, or a model",
    )
    add = parser.add_argument
    endings = ".html, .svg, .png, .pdf, .gv, .json or .txt"
    add("--out", default="net.html", metavar="FILE", help=f"what to write: {endings} (default: net.html)")
    add("--shape", metavar="N,...", help="of the minibatch X, such as 50,3,32,32, where none is returned")
    add("--dtype", metavar="DTYPE", help="of the minibatch X, such as int64 for words (default: as the parameters)")
    for name, default in DRAWN.items():
        add(f"--{name}", default=default, metavar="|".join(CHOICES[name]), help=f"(default: {default})")
    add("--depth", type=int, metavar="N", help="collapse scopes at this depth")
    most = "above so many, collapse the deepest scopes (default: 500)"
    add("--max-nodes", type=int, default=500, metavar="N", help=most)
    add("--no-fold", action="store_true", help="draw each of several equal layers")
    add("--step", action="store_true", help="a page that walks forward and backward, node by node")
    add("--relayout", nargs="?", const=True, default=False, metavar="VIZ_JS", help="put Graphviz into the page")


def run(options: argparse.Namespace) -> int:
    """Draw, and return the exit status: 0, or 1 with a line on the standard error that says what is wrong."""
    try:
        ending = _ending(options)
        subject, inputs = _subject(options)
        if options.step:
            from .step import step_through

            step_through(subject, *inputs, direction=options.direction, theme=options.theme).save(
                options.out, relayout=options.relayout
            )
        else:
            drawing = draw(
                subject,
                *inputs,
                view=options.view,
                color=options.color,
                params=options.params,
                direction=options.direction,
                theme=options.theme,
                depth=options.depth,
                max_nodes=options.max_nodes,
                fold=not options.no_fold,
                histograms=ending in (".html", ".htm"),
            )
            _save(drawing, options, ending)
    except (MinigradError, OSError) as error:
        print(f"python -m minigrad draw: {error}", file=sys.stderr)
        return 1
    print(f"written: {options.out}")
    return 0


def _ending(options: argparse.Namespace) -> str:
    ending = os.path.splitext(options.out)[1].lower()
    known = (*ENDINGS, *TEXTS)
    if ending not in known:
        raise OptionError(
            f"--out {options.out}: the ending {ending!r} is not known{did_you_mean(ending, known)} "
            f"(known: {', '.join(dict.fromkeys(known))})"
        )
    if options.step and ending not in (".html", ".htm"):
        raise OptionError(f"--out {options.out}: with --step a page is written, so the name must end in .html")
    if options.step:
        for name, usual in {**DRAWN, "depth": None, "max_nodes": 500, "no_fold": False}.items():
            if name not in WALKED and getattr(options, name) != usual:
                raise OptionError(
                    f"--{name.replace('_', '-')} is for pictures; a walk (--step) shows every op, and takes "
                    f"{' and '.join(f'--{walked}' for walked in WALKED)}"
                )
    if options.relayout and ending not in (".html", ".htm"):
        raise OptionError(f"--relayout is for a page, and --out {options.out} is none")
    return ending


def _save(drawing: Drawing, options: argparse.Namespace, ending: str) -> None:
    if ending in (".html", ".htm"):
        drawing.to_html(options.out, relayout=options.relayout)
    elif ending == ".json":
        write_whole(options.out, json.dumps(drawing.to_json(), ensure_ascii=False).encode("utf-8", "replace"))
    elif ending == ".txt":
        write_whole(options.out, f"{drawing.to_text()}\n".encode("utf-8", "replace"))
    else:
        drawing.save(options.out)


# --- what to draw ---------------------------------------------------------------------------------------------------


def _subject(options: argparse.Namespace) -> tuple[Any, tuple[Any, ...]]:
    """Return the model or function, and its inputs."""
    made = _make(options.subject)
    subject, *inputs = made if isinstance(made, tuple) and made else (made,)
    is_model = isinstance(getattr(subject, "params", None), dict) and callable(getattr(subject, "evaluate", None))
    if inputs or not is_model:
        for option in ("shape", "dtype"):
            if getattr(options, option) is not None:
                raise OptionError(
                    f"--{option} is for a model that comes without an input; {options.subject} returned "
                    f"{_described(made)}"
                )
        if not inputs and not callable(subject):
            raise OptionError(
                f"{options.subject} returned {_described(made)}; it must return a model, (model, X), (model, X, y), or "
                f"a function with its arguments: (function, x, ...)"
            )
        return subject, tuple(inputs)
    return subject, _example(subject, options)


def _described(made: Any) -> str:
    if isinstance(made, tuple):
        return f"({', '.join(type(part).__name__ for part in made)})"
    return type(made).__name__


def _make(text: str) -> Any:
    """Load the file and call what the name means."""
    path, colon, name = text.rpartition(":")
    if not colon or not path or not name:
        raise OptionError(f"{text!r} is not FILE:NAME; write, for example, examples/net.py:make_model")
    if not os.path.isfile(path):
        raise OptionError(f"there is no file {path!r}; FILE:NAME is, for example, examples/net.py:make_model")
    module = _load(path)
    if not hasattr(module, name):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise OptionError(
            f"{path} has no {name!r}{did_you_mean(name, public)} (it has: {', '.join(public) or 'nothing to call'})"
        )
    value = getattr(module, name)
    is_model = isinstance(getattr(value, "params", None), dict) and not isinstance(value, type)
    return value if is_model or not callable(value) else _called(value, name, path)


def _called(value: Any, name: str, path: str) -> Any:
    import inspect

    try:
        inspect.signature(value).bind()
    except TypeError as error:
        raise OptionError(
            f"{name} in {path} cannot be called without arguments ({error}); write a function that returns the model, "
            f"or the function with its arguments: def make(): return {name}, x"
        ) from None
    except ValueError:  # some callables do not tell their signature
        pass
    return value()


def _load(path: str) -> types.ModuleType:
    """Run a file as a module of its own name, with its folder on the path, as Python does with a script."""
    spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(path))[0], path)
    if spec is None or spec.loader is None:
        raise OptionError(f"{path} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    folder = os.path.dirname(os.path.abspath(path))
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


# --- an example of its input ----------------------------------------------------------------------------------------


def _example(model: Any, options: argparse.Namespace) -> tuple[Any, ...]:
    """Return a minibatch that a model takes, with labels if it takes them: as was said, else the first that fits."""
    name = type(model).__name__
    if options.shape is not None:
        X = _drawn(_shape(options.shape), _dtype(options.dtype, model))
        if not model.params and callable(getattr(model, "build", None)):
            model.build(X[:1], seed=0)
        return _with_labels(model, X)
    if not model.params:
        raise OptionError(
            f"{name} has no parameters yet: build it, or say what its minibatch is like, as in --shape 50,3,32,32"
        )
    dtype = None if options.dtype is None else _dtype(options.dtype, model)
    for shape, usual in _guesses(model):
        X = _drawn(shape, dtype if dtype is not None else usual)
        try:
            model.evaluate(model.params, X)
        except Exception:  # whatever a model says of an input that it was not made for
            continue
        print(f"{name} is drawn for a minibatch of shape {shape}; use --shape for another", file=sys.stderr)
        return _with_labels(model, X)
    raise OptionError(f"no minibatch was found that {name} takes; say its shape, as in --shape 50,3,32,32")


def _guesses(model: Any) -> Iterator[tuple[tuple[int, ...], np.dtype[Any]]]:
    """Yield shapes and dtypes that may fit, from the first parameter of the model."""
    first = np.asarray(next(iter(model.params.values())))
    words = np.dtype(np.int64)
    if first.ndim == 4:
        for side in SIDES:
            yield (SAMPLES, first.shape[1], side, side), first.dtype
    if first.ndim == 2:
        yield (SAMPLES, first.shape[0]), first.dtype
        for side in SIDES:
            for channels in (3, 1):
                if channels * side * side == first.shape[0]:
                    yield (SAMPLES, channels, side, side), first.dtype
        for length in LENGTHS:
            yield (SAMPLES, length), words
        for length in LENGTHS:
            yield (SAMPLES, length, first.shape[0]), first.dtype
    elif first.ndim == 1:
        yield (SAMPLES, *first.shape), first.dtype


def _with_labels(model: Any, X: Any) -> tuple[Any, ...]:
    """Return X with labels, where the model gives scores (N, C) and takes labels for its loss; else X alone."""
    scores = model.evaluate(model.params, X)
    if getattr(scores, "ndim", 0) == 2:
        y = np.arange(len(X)) % scores.shape[1]
        try:
            model.evaluate(model.params, X, y)
        except MinigradError:
            return (X,)
        return X, y
    return (X,)


def _shape(text: str) -> tuple[int, ...]:
    parts = text.replace("×", ",").replace("x", ",").strip("()[] ").split(",")
    if not all(part.strip().isdigit() for part in parts if part.strip()) or not any(part.strip() for part in parts):
        raise OptionError(f"--shape {text}: it takes whole numbers with commas between, such as 50,3,32,32")
    return tuple(int(part) for part in parts if part.strip())


def _dtype(text: str | None, model: Any) -> np.dtype[Any]:
    if text is None:
        floats = (np.asarray(value).dtype for value in model.params.values())
        return next((dtype for dtype in floats if dtype.kind == "f"), np.dtype(np.float64))
    try:
        dtype = np.dtype(text)
    except TypeError:
        raise OptionError(f"--dtype {text} is no dtype of NumPy; write, for example, float32 or int64") from None
    if dtype.kind not in "fciub":
        raise OptionError(f"--dtype {text} is no dtype of numbers; write, for example, float32 or int64")
    return dtype


def _drawn(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return random numbers, the same every time; of integers zeros and ones, which are in any vocabulary."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, shape).astype(dtype) if dtype.kind in "iub" else rng.standard_normal(shape).astype(dtype)
