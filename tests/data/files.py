"""Small files in the formats of the published data sets."""

import gzip
import pickle
import struct

import numpy as np

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def write_cifar10(folder, size=4, seed=0):
    """Write six batches of random images; return all pixels (6 * size, 3072) and labels."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (6 * size, 3072)).astype(np.uint8)
    labels = rng.integers(0, 10, 6 * size)
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(BATCHES):
        members = slice(number * size, (number + 1) * size)
        (folder / name).write_bytes(python_2_pickle(pixels[members], labels[members].tolist()))
    return pixels, labels


def python_2_pickle(pixels, labels):
    """Pickle ``{'data': pixels, 'labels': labels}`` byte by byte as Python 2 and the NumPy of 2009 did."""

    def text(string):
        return b"U" + bytes([len(string)]) + string  # SHORT_BINSTRING

    def number(n):
        return b"J" + struct.pack("<i", n)  # BININT

    dtype = (
        b"cnumpy\ndtype\n("
        + text(b"u1")
        + number(0)
        + number(1)
        + b"tR("
        + number(3)
        + text(b"|")
        + b"NNN"
        + number(-1)
        + number(-1)
        + number(0)
        + b"tb"
    )
    raw = b"T" + struct.pack("<i", pixels.nbytes) + pixels.tobytes()  # BINSTRING
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + number(0) + b"t" + text(b"b") + b"tR("
    array += (
        number(1) + b"(" + number(pixels.shape[0]) + number(pixels.shape[1]) + b"t" + dtype + b"I00\n" + raw + b"tb"
    )
    items = text(b"batch_label") + text(b"testing batch 1 of 1")
    items += text(b"labels") + b"](" + b"".join(map(number, labels)) + b"e" + text(b"data") + array
    return b"\x80\x02}(" + items + b"u."


def python_3_pickle(pixels, labels):
    """The same, as today's Python writes it for Python 2."""
    return pickle.dumps({b"data": pixels, b"labels": labels}, protocol=2)


def idx(array):
    """Return an array of bytes in the IDX format."""
    header = bytes((0, 0, 8, array.ndim)) + b"".join(struct.pack(">I", size) for size in array.shape)
    return header + array.tobytes()


def write_mnist(folder, size=20, tests=5, packed=True, seed=0):
    """Write four files of random images 28 x 28; return images and labels, of training and testing."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = []
    for part, count in (("train", size), ("t10k", tests)):
        images = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        labels = rng.integers(0, 10, count).astype(np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
            else:
                (folder / name).write_bytes(idx(array))
        arrays.append((images, labels))
    return arrays
