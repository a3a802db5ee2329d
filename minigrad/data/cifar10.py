"""CIFAR-10: 60,000 small colour photographs of ten kinds of things, read from the published files."""

from __future__ import annotations

import codecs
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.core.errors import DataError
from minigrad.data.splits import check_labels, find, split

__all__ = ["CIFAR10_CLASSES", "cifar10"]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""What the labels 0 to 9 stand for."""

_SHAPE = (3, 32, 32)
_HINT = (
    "it takes the folder of the python version (cifar-10-python.tar.gz from "
    "https://www.cs.toronto.edu/~kriz/cifar.html, unpacked with tar -xzf)"
)


def cifar10(
    folder: str | os.PathLike[str],
    *,
    num_training: int | None = None,
    num_validation: int = 1000,
    num_test: int | None = None,
    normalize: bool = True,
    dtype: npt.DTypeLike = np.float32,
) -> dict[str, npt.NDArray[Any]]:
    """Read CIFAR-10 from its python version, as the dict that a Solver takes.

    Parameters
    ----------
    folder : str or path
        Holds ``data_batch_1`` to ``data_batch_5`` and ``test_batch``, or a folder ``cifar-10-batches-py`` that does.
    num_training : int, optional
        The first so many images are for training; all but those for validation if left out.
    num_validation : int, default 1000
        The images after those, as in CS231n.
    num_test : int, optional
        The first so many test images; all if left out.
    normalize : bool, default True
        Give the training images mean 0 at every pixel and channel, and a standard deviation of 1 over all together; the
        others are scaled by the same numbers. With False, X holds the raw values 0, 1, ..., 255.
    dtype : floating dtype, default float32
        dtype of the images. All of them fill 740 MB in float32, and twice that in float64.

    Returns
    -------
    dict
        ``X_train`` (49000, 3, 32, 32), ``X_val`` (1000, 3, 32, 32), ``X_test`` (10000, 3, 32, 32): images as
        (N, C, H, W), with the channels red, green, blue; ``y_train``, ``y_val``, ``y_test``: the classes, int64, whose
        names are `CIFAR10_CLASSES`.

    Raises
    ------
    MissingFileError
        If a file is not there.
    DataError
        If a file is cut off, or is something else. Nothing in a file is ever run: of the pickle format, only what the
        published files use is read.
    OptionError, DTypeError
        If more images are asked for than there are, or a dtype that cannot be trained on.

    References
    ----------
    A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009, chapter 3.

    Examples
    --------
    >>> data = cifar10("cifar-10-batches-py", num_training=5000)  # doctest: +SKIP
    >>> mg.Solver(mg.models.ThreeLayerConvNet(), data).train()  # doctest: +SKIP
    """
    inner = Path(folder) / "cifar-10-batches-py"
    folder = inner if inner.is_dir() else Path(folder)
    names = [f"data_batch_{number}" for number in range(1, 6)]
    batches = [_read(find("cifar10", folder, [name], _HINT)) for name in names]
    images, labels = (np.concatenate(parts) for parts in zip(*batches))
    test = _read(find("cifar10", folder, ["test_batch"], _HINT))
    return split(
        "cifar10",
        (images, labels),
        test,
        num_training=num_training,
        num_validation=num_validation,
        num_test=num_test,
        normalize=normalize,
        dtype=dtype,
    )


def _read(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read one batch: images (N, 3, 32, 32) and labels (N,)."""
    try:
        with path.open("rb") as stream:
            batch = _Unpickler(stream, encoding="bytes").load()
    except DataError:
        raise
    except Exception as error:  # of bytes that are no pickle, nearly anything can come
        raise DataError(
            f"cifar10: {path} ({path.stat().st_size} bytes) is cut off or is no batch of CIFAR-10 ({error}); {_HINT}"
        ) from error
    wanted = (b"data", b"labels")
    if not isinstance(batch, dict) or any(name not in batch for name in wanted):
        has = ", ".join(str(key) for key in batch) if isinstance(batch, dict) else type(batch).__name__
        raise DataError(f"cifar10: {path} has no 'data' and 'labels', but {has}; {_HINT}")
    pixels, labels = (np.asarray(batch[name]) for name in wanted)
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != np.prod(_SHAPE):
        raise DataError(
            f"cifar10: the images in {path} have shape {pixels.shape} and dtype {pixels.dtype}; expected (N, 3072) and "
            f"uint8"
        )
    check_labels("cifar10", path, pixels, labels)
    return pixels.reshape(-1, *_SHAPE), labels.astype(np.int64)


class _Unpickler(pickle.Unpickler):
    """Reads dicts, lists, numbers, bytes and NumPy arrays, and refuses to call anything else."""

    def find_class(self, module: str, name: str) -> Any:
        # NumPy has moved these since the files were written, and changed what they take.
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty_array
        if (module, name) == ("numpy", "dtype"):
            return _new_dtype
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return codecs.encode
        raise DataError(f"cifar10: a file asks for {module}.{name}, which no batch of CIFAR-10 does; {_HINT}")


def _empty_array(kind: Any, shape: tuple[int, ...], typecode: bytes) -> npt.NDArray[Any]:
    """Make the array that the pickle then fills."""
    return np.ndarray(shape, np.dtype(typecode))


def _new_dtype(name: Any, align: int = 0, copy: int = 1) -> np.dtype[Any]:
    return np.dtype(name, align=bool(align), copy=bool(copy))
