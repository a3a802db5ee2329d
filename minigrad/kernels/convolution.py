"""Two-dimensional convolution and its two gradients, as matrix products over unfolded images (im2col).

One sum over taps, ``sum of g[n, f, p, q] * w[f, c, i, j] * x[n, c, p * stride + i * dilation, ...]``, is linear in the
image x, in the weights w and in the cotangent g of the output. Each function here gives one of the three from the other
two. All take

- ``stride`` and ``dilation``: (rows, columns);
- ``padding``: ((top, bottom), (left, right)), zeros around the image;
- ``groups``: the channels come in so many groups, and each filter sees one of them.

What a stride leaves over at the end of an image is not looked at, and gets a gradient of zero.

The images are unfolded a few at a time, so that the unfolded copy stays in the cache until the product has read it.
With a stride of 1 an unfolded row keeps the padded image's whole width: then each tap is one long run of memory to
copy, and the columns too many in the product are dropped (their share is small, or the exact width is taken).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .choice import kernel

__all__ = ["convolve", "input_gradient", "is_pointwise", "output_size", "weight_gradient"]

Pair = tuple[int, int]

CHUNK = 1 << 22
"""How many bytes of unfolded images to make at a time: little enough for the cache, and enough to keep threads busy."""

WIDEST = 1.3
"""Up to this ratio of padded width to output width, long runs are worth the columns that they add to the product."""


def output_size(
    size: Pair, kernel: Pair, *, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair = (1, 1)
) -> tuple[int, ...]:
    """Return the numbers of rows and columns of places that a kernel has in a padded image."""
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)
    )


@kernel
def convolve(
    x: Any, w: Any, b: Any = None, *, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int
) -> Any:
    """Convolve images with filters, and add a bias if there is one.

    Parameters
    ----------
    x : array (N, C, H, W)
    w : array (F, C / groups, KH, KW)
    b : array (F,), optional

    Returns
    -------
    array (N, F, OH, OW)
    """
    dtype = np.result_type(x, w)
    x, w = x.astype(dtype, copy=False), w.astype(dtype, copy=False)
    count, channels, *size = x.shape
    filters, _, *kernel = w.shape
    rows, columns = output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)
    out = np.empty((count, filters, rows, columns), dtype if b is None else np.result_type(dtype, b))
    weights = w.reshape(groups, filters // groups, -1)
    shift = None if b is None else np.reshape(b, (-1, 1, 1))
    if is_pointwise(kernel, stride, padding):
        product = np.matmul(weights, x.reshape(count, groups, channels // groups, rows * columns)).reshape(out.shape)
        return product if shift is None else np.add(product, shift, out=out)
    for part, unfolded in _unfold(x, kernel, stride, padding, dilation, (rows, columns)):
        product = np.matmul(weights, unfolded.reshape(groups, weights.shape[2], -1))
        images = product.reshape(filters, *unfolded.shape[3:])[..., :columns].swapaxes(0, 1)
        if shift is None:
            out[part] = images
        else:
            np.add(images, shift, out=out[part])
    return out


@kernel
def weight_gradient(
    g: Any, x: Any, *, kernel: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int
) -> Any:
    """Return the gradient of the filters, (F, C / groups, KH, KW), from that of the output and the images.

    Parameters
    ----------
    g : array (N, F, OH, OW)
    x : array (N, C, H, W)
    kernel : (KH, KW)
    """
    dtype = np.result_type(g, x)
    g, x = g.astype(dtype, copy=False), x.astype(dtype, copy=False)
    count, filters, rows, columns = g.shape
    depth = x.shape[1] // groups
    shape = (filters, depth, *kernel)
    if is_pointwise(kernel, stride, padding):
        slopes = g.reshape(count, groups, filters // groups, rows * columns)
        images = x.reshape(count, groups, depth, rows * columns)
        return np.matmul(slopes, images.swapaxes(2, 3)).sum(axis=0).reshape(shape)
    if stride == (1, 1) and depth * (kernel[1] - 1) > filters // groups:
        with np.errstate(invalid="ignore", over="ignore"):
            total = _spread_and_multiply(g, x, kernel, padding, dilation, groups)
        if np.isfinite(total).all():  # zeros between the rows may have met infinite pixels
            return total
    total = np.zeros((groups, filters // groups, depth * kernel[0] * kernel[1]), dtype)
    for part, unfolded in _unfold(x, kernel, stride, padding, dilation, (rows, columns), exact=True):
        slopes = g[part].swapaxes(0, 1).reshape(groups, filters // groups, -1)
        total += np.matmul(slopes, unfolded.reshape(groups, total.shape[2], -1).swapaxes(1, 2))
    return total.reshape(shape)


@kernel
def input_gradient(
    g: Any, w: Any, *, size: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int
) -> Any:
    """Return the gradient of the images, (N, C, H, W), from that of the output and the filters.

    With a stride of 1 it is the convolution of the cotangent with the filters turned round; otherwise, and where images
    have far fewer channels than filters, each place of the kernel adds its share to the image (col2im).

    Parameters
    ----------
    g : array (N, F, OH, OW)
    w : array (F, C / groups, KH, KW)
    size : (H, W)
    """
    filters, depth, *kernel = w.shape
    if stride != (1, 1) or depth * groups * 4 <= filters:
        return _fold(g, w, size, stride, padding, dilation, groups)
    turned = w.reshape(groups, filters // groups, depth, *kernel)[..., ::-1, ::-1].swapaxes(1, 2)
    margins, cut = [], []
    for n, k, d, (before, _), places in zip(size, kernel, dilation, padding, g.shape[2:]):
        first, last = d * (k - 1) - before, n + before - places  # what to pad g with; a negative number crops it
        margins.append((max(first, 0), max(last, 0)))
        cut.append(slice(max(-first, 0), places + min(last, 0)))
    return convolve(
        g[:, :, cut[0], cut[1]],
        turned.reshape(groups * depth, filters // groups, *kernel),
        stride=stride,
        padding=(margins[0], margins[1]),
        dilation=dilation,
        groups=groups,
    )


def _spread_and_multiply(g: Any, x: Any, kernel: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int) -> Any:
    """Return the gradient of the filters by unfolding the images' rows only, and the cotangent's columns.

    A tap's row is a shift of the image, and its column one of the cotangent the other way. So ``C KH + F KW`` copies of
    planes do where a whole unfolding takes ``C KH KW``, and one product of the two has all pairs of shifts.
    """
    count, filters, rows, columns = g.shape
    channels, height, width = x.shape[1:]
    (top, _), (left, right) = padding
    line = left + width + right
    step = _images_at_a_time(count, max(channels * kernel[0], filters * kernel[1]) * rows * line * x.itemsize)
    total = np.zeros((groups, kernel[1] * (filters // groups), channels // groups * kernel[0]), x.dtype)
    for start in range(0, count, step):
        images, slopes = x[start : start + step].swapaxes(0, 1), g[start : start + step].swapaxes(0, 1)
        if start == 0 or images.shape[1] < step:
            down = np.zeros((channels, kernel[0], images.shape[1], rows, line), x.dtype)
            along = np.zeros((groups, kernel[1], filters // groups, images.shape[1], rows, line), x.dtype)
        for i in range(kernel[0]):
            shift = i * dilation[0] - top
            seen = slice(max(0, -shift), max(0, -shift, min(rows, height - shift)))
            down[:, i, :, seen, left : left + width] = images[:, :, seen.start + shift : seen.stop + shift]
        for j in range(kernel[1]):
            shift = j * dilation[1]
            along[:, j, ..., shift : shift + columns] = slopes.reshape(groups, -1, *slopes.shape[1:])
        total += np.matmul(along.reshape(*total.shape[:2], -1), down.reshape(groups, total.shape[2], -1).swapaxes(1, 2))
    shares = total.reshape(groups, kernel[1], filters // groups, channels // groups, kernel[0])
    return np.ascontiguousarray(shares.transpose(0, 2, 3, 4, 1)).reshape(filters, channels // groups, *kernel)


def is_pointwise(kernel: Any, stride: Pair, padding: tuple[Pair, Pair]) -> bool:
    """Whether each output pixel sees one input pixel, its own: then nothing has to be unfolded."""
    return tuple(kernel) == stride == (1, 1) and padding == ((0, 0), (0, 0))


def _images_at_a_time(count: int, image_bytes: int) -> int:
    return max(1, min(count, CHUNK // max(1, image_bytes)))


def _unfold(
    x: Any, kernel: Any, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, places: Pair, *, exact: bool = False
) -> Iterator[tuple[slice, Any]]:
    """Yield a few images at a time: which, and what each tap sees, (C, KH, KW, images, OH, OW or the padded width).

    Columns beyond OW hold the pixels that follow in memory. They are left out when ``exact`` is asked for, as it must
    be where the columns are summed: zero times an infinite pixel is not zero.
    """
    count, channels, height, width = x.shape
    (top, bottom), (left, right) = padding
    padded_height, padded_width = height + top + bottom, width + left + right
    rows, columns = places
    if not exact and stride == (1, 1) and padded_width <= WIDEST * columns:
        columns = padded_width
    step = _images_at_a_time(count, channels * kernel[0] * kernel[1] * rows * columns * x.itemsize)
    plane = padded_height * padded_width
    line = np.zeros(channels * step * plane + dilation[1] * (kernel[1] - 1), x.dtype)
    images = line[: channels * step * plane].reshape(channels, step, padded_height, padded_width)
    inner = images[:, :, top : top + height, left : left + width]
    pixel = np.array(
        [step * plane, dilation[0] * padded_width, dilation[1], plane, stride[0] * padded_width, stride[1]]
    )
    windows = as_strided(line, (channels, *kernel, step, rows, columns), tuple(pixel * x.itemsize), writeable=False)
    buffer = np.empty(windows.size, x.dtype)
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        number = part.stop - start
        seen = windows[:, :, :, :number]
        unfolded = buffer[: seen.size].reshape(seen.shape)
        np.copyto(inner[:, :number], x[part].swapaxes(0, 1))
        np.copyto(unfolded, seen)
        yield part, unfolded


def _fold(g: Any, w: Any, size: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, groups: int) -> Any:
    """Add to each pixel what the taps that saw it send back, a few images at a time."""
    dtype = np.result_type(g, w)
    g, w = g.astype(dtype, copy=False), w.astype(dtype, copy=False)
    count, filters, rows, columns = g.shape
    _, depth, *kernel = w.shape
    channels = depth * groups
    (top, bottom), (left, right) = padding
    weights = w.reshape(groups, filters // groups, -1).swapaxes(1, 2)
    out = np.empty((count, channels, *size), dtype)
    step = _images_at_a_time(count, channels * kernel[0] * kernel[1] * rows * columns * g.itemsize)
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        slopes = g[part].swapaxes(0, 1).reshape(groups, filters // groups, -1)
        sent = np.matmul(weights, slopes).reshape(channels, *kernel, -1, rows, columns)
        images = np.zeros((channels, sent.shape[3], size[0] + top + bottom, size[1] + left + right), dtype)
        for i in range(kernel[0]):
            down = slice(i * dilation[0], i * dilation[0] + stride[0] * (rows - 1) + 1, stride[0])
            for j in range(kernel[1]):
                along = slice(j * dilation[1], j * dilation[1] + stride[1] * (columns - 1) + 1, stride[1])
                images[:, :, down, along] += sent[:, i, j]
        out[part] = images[:, :, top : top + size[0], left : left + size[1]].swapaxes(0, 1)
    return out
