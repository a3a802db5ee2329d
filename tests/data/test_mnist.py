"""MNIST's published files are read, and files that are something else are refused."""

import gzip

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import DataError, DTypeError, MissingFileError, OptionError
from minigrad.data import mnist
from tests.data.files import idx, write_mnist


@pytest.mark.parametrize("packed", [True, False])
def test_raw_pixels_come_as_they_are_in_the_files(tmp_path, packed):
    (images, labels), (test_images, test_labels) = write_mnist(tmp_path, packed=packed)
    data = mnist(tmp_path, num_training=12, num_validation=6, normalize=False, dtype=np.float64)
    np.testing.assert_array_equal(data["X_train"], images[:12, None])
    np.testing.assert_array_equal(data["X_val"], images[12:18, None])
    np.testing.assert_array_equal(data["X_test"], test_images[:, None])
    for name, expected in (("train", labels[:12]), ("val", labels[12:18]), ("test", test_labels)):
        np.testing.assert_array_equal(data[f"y_{name}"], expected)
        assert data[f"y_{name}"].dtype == np.int64
    assert list(data) == ["X_train", "y_train", "X_val", "y_val", "X_test", "y_test"]


def test_normalized_by_the_training_set_alone(tmp_path):
    write_mnist(tmp_path)
    raw = mnist(tmp_path, num_validation=8, normalize=False, dtype=np.float64)
    data = mnist(tmp_path, num_validation=8)
    mean = raw["X_train"].mean(axis=0) / 255
    std = (raw["X_train"] / 255 - mean).std()
    for name in ("X_train", "X_val", "X_test"):
        np.testing.assert_allclose(data[name], (raw[name] / 255 - mean) / std, rtol=1e-5, atol=1e-5)
        assert data[name].dtype == np.float32 and data[name].flags.writeable


def test_names_with_a_dot_are_found(tmp_path):
    write_mnist(tmp_path, packed=False)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("-idx", ".idx"))
    assert mnist(tmp_path, num_validation=5)["X_train"].shape == (15, 1, 28, 28)


def test_a_network_learns_from_it(tmp_path):
    write_mnist(tmp_path)
    model = mg.models.FullyConnectedNet([4], input_dim=28 * 28, weight_scale=0.05, seed=0)
    solver = mg.Solver(model, mnist(tmp_path, num_validation=4), batch_size=8, num_epochs=1, verbose=False, seed=0)
    solver.train()
    assert len(solver.loss_history) == 2


def test_a_missing_file_is_named(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(MissingFileError, match="has no file t10k-labels-idx1-ubyte or .*; it takes the four files"):
        mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        mnist(tmp_path / "elsewhere")


@pytest.mark.parametrize("packed, end", [(True, ".gz"), (False, "")])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_is_cut_off(tmp_path, packed, end, part):
    write_mnist(tmp_path, packed=packed)
    path = tmp_path / f"train-images-idx3-ubyte{end}"
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(DataError, match="mnist: .*train-images.*(cut off|begins with)"):
        mnist(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"<html>not found</html>", "cut off or no gzip file"),
        (gzip.compress(b"hello"), "begins with b'hell', and an IDX file of bytes with 3 axes"),
        (gzip.compress(idx(np.zeros(5, np.uint8))), "begins with"),
        (gzip.compress(idx(np.zeros((2, 4, 4), np.uint8)) + b"more"), r"array \(2, 4, 4\), 32 bytes, and has 36"),
        (gzip.compress(idx(np.zeros((2, 28, 28), np.uint8))), r"2 images, and labels of shape \(5,\)"),
        (gzip.compress(idx(np.zeros((5, 8, 8), np.uint8))), r"images are \(28, 28\) pixels, test images \(8, 8\)"),
    ],
)
def test_something_else(tmp_path, content, message):
    write_mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        mnist(tmp_path)


def test_a_label_that_is_no_digit(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([1, 2, 77, 3, 4], np.uint8))))
    with pytest.raises(DataError, match="label 2 in .*t10k-labels.* is 77"):
        mnist(tmp_path)


def test_options_that_do_not_fit(tmp_path):
    write_mnist(tmp_path)
    with pytest.raises(OptionError, match="21 images are asked for, and the training files hold 20"):
        mnist(tmp_path, num_training=20, num_validation=1)
    with pytest.raises(OptionError, match="20 images for training, 0 for validation"):
        mnist(tmp_path, num_validation=0)
    with pytest.raises(DTypeError, match="mnist: dtype uint8 cannot be trained on"):
        mnist(tmp_path, num_validation=5, dtype=np.uint8)
