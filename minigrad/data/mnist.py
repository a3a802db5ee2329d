"""MNIST: 70,000 handwritten digits of 28 x 28 pixels, read from the published files."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.core.errors import DataError
from minigrad.data.splits import check_labels, find, split

__all__ = ["mnist"]

_UNSIGNED_BYTES = 8  # the format's code for them
_HINT = (
    "it takes the four files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte, with or without .gz (from a mirror such as https://ossci-datasets.s3.amazonaws.com/mnist/)"
)


def mnist(
    folder: str | os.PathLike[str],
    *,
    num_training: int | None = None,
    num_validation: int = 5000,
    num_test: int | None = None,
    normalize: bool = True,
    dtype: npt.DTypeLike = np.float32,
) -> dict[str, npt.NDArray[Any]]:
    """Read MNIST, as the dict that a Solver takes. Fashion-MNIST and others in the same files work too.

    Parameters
    ----------
    folder : str or path
        Holds the four published files, packed (``.gz``) or not.
    num_training : int, optional
        The first so many images are for training; all but those for validation if left out.
    num_validation : int, default 5000
        The images after those.
    num_test : int, optional
        The first so many test images; all if left out.
    normalize : bool, default True
        Give the training images mean 0 at every pixel, and a standard deviation of 1 over all together; the others are
        scaled by the same numbers. With False, X holds the raw values 0, 1, ..., 255.
    dtype : floating dtype, default float32
        dtype of the images. All of them fill 220 MB in float32.

    Returns
    -------
    dict
        ``X_train`` (55000, 1, 28, 28), ``X_val`` (5000, 1, 28, 28), ``X_test`` (10000, 1, 28, 28): images as
        (N, C, H, W); ``y_train``, ``y_val``, ``y_test``: the digits, int64.

    Raises
    ------
    MissingFileError
        If a file is not there.
    DataError
        If a file is cut off, or is something else.
    OptionError, DTypeError
        If more images are asked for than there are, or a dtype that cannot be trained on.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, *Gradient-based learning applied to document recognition*,
    Proceedings of the IEEE 86, 1998.

    Examples
    --------
    >>> data = mnist("mnist", num_training=5000)  # doctest: +SKIP
    >>> model = mg.models.FullyConnectedNet([100], input_dim=28 * 28)  # doctest: +SKIP
    >>> mg.Solver(model, data).train()  # doctest: +SKIP
    """
    train, test = (_read_pair(Path(folder), part) for part in ("train", "t10k"))
    if train[0].shape[1:] != test[0].shape[1:]:
        raise DataError(f"mnist: training images are {train[0].shape[2:]} pixels, test images {test[0].shape[2:]}")
    return split(
        "mnist",
        train,
        test,
        num_training=num_training,
        num_validation=num_validation,
        num_test=num_test,
        normalize=normalize,
        dtype=dtype,
    )


def _read_pair(folder: Path, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read images (N, 1, H, W) and their labels (N,)."""
    arrays = []
    for what, ndim in (("images", 3), ("labels", 1)):
        stems = (f"{part}-{what}-idx{ndim}-ubyte", f"{part}-{what}.idx{ndim}-ubyte")  # the second is how some unpack it
        path = find("mnist", folder, [f"{stem}{end}" for stem in stems for end in ("", ".gz")], _HINT)
        arrays.append(_read(path, ndim))
    images, labels = arrays
    check_labels("mnist", path, images, labels)
    return images[:, np.newaxis], labels.astype(np.int64)


def _read(path: Path, ndim: int) -> npt.NDArray[np.uint8]:
    """Read an array in the IDX format: two zeros, a type, the number of axes, the size of each, and the bytes."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"mnist: {path} ({path.stat().st_size} bytes) is cut off or no gzip file ({error})") from error
    header = 4 + 4 * ndim
    if len(content) < header or content[:4] != bytes((0, 0, _UNSIGNED_BYTES, ndim)):
        raise DataError(
            f"mnist: {path} begins with {content[:4]!r}, and an IDX file of bytes with {ndim} "
            f"{'axis' if ndim == 1 else 'axes'} with {bytes((0, 0, _UNSIGNED_BYTES, ndim))!r}; {_HINT}"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", ndim, offset=4))
    if len(content) - header != math.prod(shape):
        raise DataError(
            f"mnist: {path} says that it holds an array {shape}, {math.prod(shape)} bytes, and has "
            f"{len(content) - header}: it is cut off, or not such a file; get it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
