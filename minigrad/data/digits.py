"""1,797 small pictures of handwritten digits, shipped inside the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from minigrad.core.errors import DTypeError

__all__ = ["digits"]

_FILE = "digits.npz"
_PIXEL_MAX = 16  # a pixel counts the inked points of a 4 x 4 block
_EVERY = 7  # of every seven images of a digit, one is for validation, one for testing, five for training
_SPLIT_BELOW = 175  # 25 whole groups of seven; the rarest digit has 174 images, which holds both members of its last


def digits(
    *, dtype: npt.DTypeLike = np.float64, normalize: bool = True, flatten: bool = False
) -> dict[str, npt.NDArray[Any]]:
    """Load 1,797 handwritten digits of 8 x 8 pixels, as the dict that a Solver takes.

    The images come with the package: nothing is downloaded. Every call returns fresh arrays, which may be written to.

    Parameters
    ----------
    dtype : floating dtype, default float64
        dtype of the images.
    normalize : bool, default True
        Give the training images mean 0 at every pixel and a standard deviation of 1 over all pixels together::

            X = (pixels / 16 - mean) / std

        ``mean`` (8, 8) is the mean training image of ``pixels / 16``, and the scalar ``std`` is the standard deviation
        of all training pixels around it. The validation and test images are scaled by the same two, so nothing is
        learned from them. With False, X holds the raw pixel values 0, 1, ..., 16.
    flatten : bool, default False
        Return images as rows of shape (N, 64) in place of (N, 1, 8, 8).

    Returns
    -------
    dict
        ``X_train`` (1297, 1, 8, 8), ``X_val`` (250, 1, 8, 8), ``X_test`` (250, 1, 8, 8): images as (N, C, H, W), which
        a convolution takes as they are and a fully-connected network as ``X.reshape(len(X), -1)``;
        ``y_train`` (1297,), ``y_val`` (250,), ``y_test`` (250,): the digits, int64.

    Raises
    ------
    DTypeError
        If `dtype` is not a floating dtype.

    Notes
    -----
    The split is a rule, without random numbers, so that it is the same everywhere and for ever: among the first 175
    images of each digit, in the order of the source, numbers 0, 7, 14, ... are for validation and numbers
    1, 8, 15, ... for testing. Both sets thus hold 25 images of each digit. All other images are for training, in the
    order of the source. The writers are not separated: each has images in all three sets.

    References
    ----------
    E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository, 1998,
    doi:10.24432/C50P49. Its test part, under CC BY 4.0; see DIGITS_LICENSE.md beside this file.

    Examples
    --------
    >>> from minigrad.data import digits
    >>> data = digits()
    >>> for name, array in data.items():
    ...     print(name, array.shape, array.dtype)
    X_train (1297, 1, 8, 8) float64
    y_train (1297,) int64
    X_val (250, 1, 8, 8) float64
    y_val (250,) int64
    X_test (250, 1, 8, 8) float64
    y_test (250,) int64
    >>> raw = digits(normalize=False)
    >>> print(raw["y_val"][0])
    0
    >>> for row in raw["X_val"][0, 0]:
    ...     print("".join(" .:*#"[int(pixel) // 4] for pixel in row).rstrip())
      .*:
      **:*.
      *  ::
     .*  ::
     .:  ::
     .:  *.
      *.:*
      .*:
    """
    dtype = np.dtype(dtype)
    if not np.issubdtype(dtype, np.floating):
        raise DTypeError(f"digits: dtype {dtype} cannot be trained on; ask for a floating dtype, float64 or float32")
    pixels, labels = _read()
    number = _number_within_class(labels)
    val = (number % _EVERY == 0) & (number < _SPLIT_BELOW)
    test = (number % _EVERY == 1) & (number < _SPLIT_BELOW)
    train = ~(val | test)

    images = pixels[:, None].astype(np.float64)
    if normalize:
        images /= _PIXEL_MAX
        images -= images[train].mean(axis=0)
        images /= images[train].std()
    if flatten:
        images = images.reshape(len(images), -1)
    data = {}
    for name, members in (("train", train), ("val", val), ("test", test)):
        data[f"X_{name}"] = images[members].astype(dtype)
        data[f"y_{name}"] = labels[members]
    return data


def _read() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read the pixels (1797, 8, 8), 0 to 16, and the labels (1797,) from the file in the package."""
    from importlib import resources  # 14 ms, which importing minigrad should not cost

    with (
        resources.files("minigrad.data").joinpath(_FILE).open("rb") as stream,  # also finds it inside a zip file
        np.load(stream, allow_pickle=False) as file,
    ):
        return file["images"], file["labels"].astype(np.int64)


def _number_within_class(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Count, for each image, the images of the same digit before it."""
    number = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        number[members] = np.arange(len(members))
    return number
