"""The embedded digits: the right bytes, a fixed split, and arrays that are safe to change."""

import hashlib
from importlib import resources

import numpy as np
import pytest

from minigrad.core.errors import DTypeError
from minigrad.data import digits

SIZES = {"train": 1297, "val": 250, "test": 250}


def test_file_is_small_and_holds_the_source_bytes():
    file = resources.files("minigrad.data").joinpath("digits.npz")
    assert len(file.read_bytes()) < 200_000
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8 and images.max() == 16
    assert labels.shape == (1797,) and labels.dtype == np.uint8
    note = resources.files("minigrad.data").joinpath("DIGITS_LICENSE.md").read_text(encoding="utf-8")
    assert hashlib.sha256(images.tobytes()).hexdigest() in note
    assert hashlib.sha256(labels.tobytes()).hexdigest() in note
    assert "CC BY 4.0" in note and "10.24432/C50P49" in note


def test_shapes_dtypes_and_balance():
    data = digits()
    assert list(data) == ["X_train", "y_train", "X_val", "y_val", "X_test", "y_test"]
    for name, size in SIZES.items():
        X, y = data[f"X_{name}"], data[f"y_{name}"]
        assert X.shape == (size, 1, 8, 8) and X.dtype == np.float64
        assert y.shape == (size,) and y.dtype == np.int64
    assert np.bincount(data["y_val"]).tolist() == [25] * 10
    assert np.bincount(data["y_test"]).tolist() == [25] * 10
    assert np.bincount(data["y_train"]).tolist() == [128, 132, 127, 133, 131, 132, 131, 129, 124, 130]


def test_normalized_by_the_training_set_alone():
    raw, data = digits(normalize=False), digits()
    mean = raw["X_train"].mean(axis=0) / 16
    std = (raw["X_train"] / 16 - mean).std()
    for name in SIZES:
        np.testing.assert_allclose(data[f"X_{name}"], (raw[f"X_{name}"] / 16 - mean) / std, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(data["X_train"].mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(data["X_train"].std(), 1)


def test_raw_pixels_are_whole_numbers_up_to_16():
    raw = digits(normalize=False)
    pixels = np.concatenate([raw[f"X_{name}"] for name in SIZES])
    assert np.unique(pixels).tolist() == list(range(17))


def test_sets_do_not_overlap():
    raw = digits(normalize=False, flatten=True)
    rows = [{row.tobytes() for row in raw[f"X_{name}"]} for name in SIZES]
    assert sum(map(len, rows)) == len(set.union(*rows)) == 1797


@pytest.mark.parametrize("dtype", [np.float32, "float64", np.float16])
def test_dtype(dtype):
    data = digits(dtype=dtype)
    assert {data[f"X_{name}"].dtype for name in SIZES} == {np.dtype(dtype)}
    np.testing.assert_allclose(data["X_val"], digits()["X_val"], rtol=2e-3, atol=1e-3)


def test_flatten():
    rows, images = digits(flatten=True), digits()
    for name, size in SIZES.items():
        assert rows[f"X_{name}"].shape == (size, 64)
        np.testing.assert_array_equal(rows[f"X_{name}"], images[f"X_{name}"].reshape(size, 64))


def test_every_call_returns_fresh_writable_arrays():
    first, untouched = digits(), digits()
    for array in first.values():
        assert array.flags.writeable and array.flags.c_contiguous and array.flags.owndata
        array[...] = 7
    second = digits()
    for name, array in untouched.items():
        np.testing.assert_array_equal(second[name], array)


@pytest.mark.parametrize("dtype", [int, bool, complex, str])
def test_a_dtype_without_gradients_is_refused(dtype):
    with pytest.raises(DTypeError, match="digits: dtype .* ask for a floating dtype"):
        digits(dtype=dtype)


def test_unknown_option():
    with pytest.raises(TypeError, match="normalise"):
        digits(normalise=True)
