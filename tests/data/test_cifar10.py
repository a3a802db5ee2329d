"""CIFAR-10's published files are read, and files that are something else are refused."""

import pickle
import struct

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import DataError, DTypeError, MissingFileError, OptionError
from minigrad.data import CIFAR10_CLASSES, cifar10
from tests.data.files import BATCHES, python_2_pickle, python_3_pickle, write_cifar10

COUNTS = {"num_training": 16, "num_validation": 4}


@pytest.fixture
def folder(tmp_path):
    write_cifar10(tmp_path)
    return tmp_path


def test_raw_pixels_come_as_they_are_in_the_files(tmp_path):
    pixels, labels = write_cifar10(tmp_path)
    data = cifar10(tmp_path, num_training=14, num_validation=5, num_test=3, normalize=False, dtype=np.float64)
    for name, members in (("train", slice(0, 14)), ("val", slice(14, 19)), ("test", slice(20, 23))):
        np.testing.assert_array_equal(data[f"X_{name}"], pixels[members].reshape(-1, 3, 32, 32))
        np.testing.assert_array_equal(data[f"y_{name}"], labels[members])
    assert list(data) == ["X_train", "y_train", "X_val", "y_val", "X_test", "y_test"]


def test_what_is_left_out_means_all(folder):
    data = cifar10(folder, num_validation=4)
    assert [len(data[name]) for name in ("X_train", "X_val", "X_test")] == [16, 4, 4]
    assert {x.dtype for name, x in data.items() if name.startswith("X")} == {np.dtype(np.float32)}
    assert {y.dtype for name, y in data.items() if name.startswith("y")} == {np.dtype(np.int64)}
    assert len(CIFAR10_CLASSES) == 10


def test_normalized_by_the_training_set_alone(folder):
    raw = cifar10(folder, **COUNTS, normalize=False, dtype=np.float64)
    data = cifar10(folder, **COUNTS)
    mean = raw["X_train"].mean(axis=0) / 255
    std = (raw["X_train"] / 255 - mean).std()
    for name in ("X_train", "X_val", "X_test"):
        np.testing.assert_allclose(data[name], (raw[name] / 255 - mean) / std, rtol=1e-5, atol=1e-5)


def test_equal_images_are_not_divided_by_zero(tmp_path):
    for name in BATCHES:
        (tmp_path / name).write_bytes(python_3_pickle(np.full((4, 3072), 9, np.uint8), [0, 1, 2, 3]))
    assert not cifar10(tmp_path, **COUNTS)["X_train"].any()


def test_the_folder_around_it_will_do(tmp_path):
    write_cifar10(tmp_path / "cifar-10-batches-py")
    assert cifar10(str(tmp_path), num_validation=4)["X_train"].shape == (16, 3, 32, 32)


def test_a_network_learns_from_it(folder):
    data = cifar10(folder, **COUNTS)
    model = mg.models.ThreeLayerConvNet(num_filters=2, filter_size=3, hidden_dim=4, weight_scale=0.05, seed=0)
    solver = mg.Solver(model, data, batch_size=8, num_epochs=1, verbose=False, seed=0)
    solver.train()
    assert len(solver.loss_history) == 2


@pytest.mark.parametrize("write", [python_2_pickle, python_3_pickle])
def test_pickles_of_both_pythons_are_read(folder, write):
    pixels, labels = np.arange(2 * 3072).astype(np.uint8).reshape(2, 3072), [3, 9]
    (folder / "test_batch").write_bytes(write(pixels, labels))
    data = cifar10(folder, **COUNTS, normalize=False)
    np.testing.assert_array_equal(data["X_test"].reshape(2, -1), pixels)
    assert data["y_test"].tolist() == labels


def test_a_missing_file_is_named(folder):
    (folder / "data_batch_3").unlink()
    with pytest.raises(MissingFileError, match="has no file data_batch_3; .*cifar-10-python.tar.gz.* tar -xzf"):
        cifar10(folder)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        cifar10(folder / "elsewhere")


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.999])
def test_a_file_that_is_cut_off(folder, part):
    path = folder / "data_batch_2"
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(DataError, match=r"data_batch_2 \(\d+ bytes\) is cut off or is no batch of CIFAR-10"):
        cifar10(folder)


@pytest.mark.parametrize("content", [b"hello", b"\x1f\x8b\x08\x00", bytes(3073), struct.pack(">I", 2051)])
def test_something_else(folder, content):
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match="test_batch .* is cut off or is no batch"):
        cifar10(folder)


@pytest.mark.parametrize(
    "batch, message",
    [
        ([1, 2], "has no 'data' and 'labels', but list"),
        (
            {b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [1]},
            "has no 'data' and 'labels', but .*fine_labels",
        ),
        ({b"data": np.zeros((1, 3071), np.uint8), b"labels": [1]}, r"shape \(1, 3071\) and dtype uint8; expected \(N"),
        ({b"data": np.zeros((1, 3072)), b"labels": [1]}, "dtype float64; expected"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, r"2 images, and labels of shape \(1,\)"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 10]}, "label 1 in .* is 10; the classes are 0 to 9"),
    ],
)
def test_batches_that_do_not_fit(folder, batch, message):
    (folder / "test_batch").write_bytes(pickle.dumps(batch, protocol=2))
    with pytest.raises(DataError, match=message):
        cifar10(folder)


class Evil:
    def __reduce__(self):
        return print, ("this has run",)


def test_a_file_cannot_run_anything(folder, capsys):
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}))
    with pytest.raises(DataError, match="asks for builtins.print, which no batch of CIFAR-10 does"):
        cifar10(folder)
    assert not capsys.readouterr().out


def test_more_images_than_there_are(folder):
    with pytest.raises(OptionError, match="25 images are asked for, and the training files hold 20"):
        cifar10(folder, num_training=21, num_validation=4)
    with pytest.raises(OptionError, match="5 images are asked for, and the test files hold 4"):
        cifar10(folder, **COUNTS, num_test=5)
    with pytest.raises(OptionError, match="0 images for training, 1000 for validation and 4 for testing"):
        cifar10(folder)
    with pytest.raises(DTypeError, match="cifar10: dtype int64 cannot be trained on"):
        cifar10(folder, **COUNTS, dtype=int)
