"""What readers of published data sets share: find the file, and cut images into the six arrays of a Solver."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.core.errors import DataError, DTypeError, MissingFileError, OptionError

__all__ = ["check_labels", "find", "split"]

Images = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def find(reader: str, folder: str | os.PathLike[str], names: Iterable[str], hint: str) -> Path:
    """Return the first of the files that is in the folder, or raise an error that ends with the hint."""
    names, path = list(names), Path(folder)
    if not path.is_dir():
        raise MissingFileError(f"{reader}: there is no folder {path}; {hint}")
    for name in names:
        if (path / name).is_file():
            return path / name
    raise MissingFileError(f"{reader}: the folder {path} has no file {' or '.join(names)}; {hint}")


def check_labels(reader: str, path: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[Any]) -> None:
    """Raise unless there is a label from 0 to 9 for each image."""
    if labels.shape != (len(images),):
        raise DataError(f"{reader}: {len(images)} images, and labels of shape {labels.shape} in {path}")
    bad = np.flatnonzero((labels < 0) | (labels > 9))
    if len(bad):
        raise DataError(f"{reader}: label {bad[0]} in {path} is {labels[bad[0]]}; the classes are 0 to 9")


def split(
    reader: str,
    train: Images,
    test: Images,
    *,
    num_training: int | None,
    num_validation: int,
    num_test: int | None,
    normalize: bool,
    dtype: npt.DTypeLike,
) -> dict[str, npt.NDArray[Any]]:
    """Take the first images for training, those after them for validation, and the first test images.

    With `normalize`, all are ``(pixels / 255 - mean) / std``, with the mean training image and the standard deviation
    of all training pixels around it.
    """
    dtype = np.dtype(dtype)
    if not np.issubdtype(dtype, np.floating):
        raise DTypeError(f"{reader}: dtype {dtype} cannot be trained on; ask for a floating dtype, float32 or float64")
    count = max(len(train[0]) - num_validation, 0) if num_training is None else num_training
    tests = len(test[0]) if num_test is None else num_test
    if count < 1 or num_validation < 1 or tests < 1:
        raise OptionError(
            f"{reader}: {count} images for training, {num_validation} for validation and {tests} for testing came; "
            f"each needs at least one"
        )
    for wanted, there, kind in ((count + num_validation, len(train[0]), "training"), (tests, len(test[0]), "test")):
        if wanted > there:
            raise OptionError(f"{reader}: {wanted} images are asked for, and the {kind} files hold {there}")

    parts = {
        "train": (train, slice(0, count)),
        "val": (train, slice(count, count + num_validation)),
        "test": (test, slice(0, tests)),
    }
    data: dict[str, npt.NDArray[Any]] = {}
    for name, ((images, labels), members) in parts.items():
        data[f"X_{name}"], data[f"y_{name}"] = images[members].astype(dtype), labels[members].copy()
    if normalize:
        # In place, and image by image: those of CIFAR-10 fill 600 MB in float32.
        mean = data["X_train"].mean(axis=0, dtype=np.float64).astype(dtype)
        for name in parts:
            data[f"X_{name}"] -= mean
        variance = np.mean([np.mean(np.square(image, dtype=np.float64)) for image in data["X_train"]])
        for name in parts:
            data[f"X_{name}"] /= float(np.sqrt(variance)) or 1.0
    return data
