"""np.fft: discrete Fourier transforms over one axis or several, and shifts of the zero frequency.

Four primitives, `fft`, `ifft`, `rfft` and `irfft`, are transforms along one axis; all others are made of them, as they
are in NumPy. A transform is linear, so its rule is the transposed transform. In the convention for complex numbers
(the gradient of a real loss is ``dL/da - i dL/db``) that is the transpose without conjugates:

- the matrix of `fft` is symmetric, ``F[j, k] = exp(-2 pi i j k / n)``, so its rule is `fft` itself, with the same norm;
- `rfft` keeps the first half of a spectrum whose second half mirrors it, and `irfft` counts the mirrored entries twice:
  each is the other's transpose but for that factor, and the norm changes its direction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.numpy_protocol import implements, refuse
from ..core.primitive import primitive

__all__ = [
    "fft2",
    "fftn",
    "fftshift",
    "hfft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft2",
    "irfftn",
    "rfft2",
    "rfftn",
]

# --- transforms along one axis --------------------------------------------------------------------------------------


@primitive(np.fft.fft, linear="jointly")
def fft(x, *, n=None, axis=-1, norm=None):
    """Discrete Fourier transform: ``X[k] = sum_j x[j] exp(-2 pi i j k / n)``; x is cut or padded with zeros to n."""
    return np.fft.fft(x, n, axis, norm)


@primitive(np.fft.ifft, linear="jointly")
def ifft(x, *, n=None, axis=-1, norm=None):
    """Inverse transform: ``x[j] = sum_k X[k] exp(2 pi i j k / n) / n``."""
    return np.fft.ifft(x, n, axis, norm)


@primitive(np.fft.rfft, linear="jointly")
def rfft(x, *, n=None, axis=-1, norm=None):
    """Transform of real numbers: the entries 0 ... n // 2; the others are their mirror images, conjugated."""
    return np.fft.rfft(x, n, axis, norm)


@primitive(np.fft.irfft, linear="jointly")
def irfft(x, *, n=None, axis=-1, norm=None):
    """Inverse of `rfft`: n real numbers (n is even where it is left out). Imaginary parts of entry 0 are not read."""
    return np.fft.irfft(x, n, axis, norm)


fft.vjp(x=lambda g, x_shape, axis, norm: _resized(np.fft.fft(g, axis=axis, norm=norm), x_shape, axis))
ifft.vjp(x=lambda g, x_shape, axis, norm: _resized(np.fft.ifft(g, axis=axis, norm=norm), x_shape, axis))


def _rfft_rule(g: Any, x_shape: tuple[int, ...], n: int | None, axis: int, norm: str | None) -> Any:
    n = x_shape[axis] if n is None else n
    halved = np.conjugate(g) * (1 / _times_counted(g, n, axis))
    return _resized(np.fft.irfft(halved, n, axis, _other_direction(norm)), x_shape, axis)


def _irfft_rule(g: Any, x_shape: tuple[int, ...], axis: int, norm: str | None) -> Any:
    spectrum = np.conjugate(np.fft.rfft(g, axis=axis, norm=_other_direction(norm)))
    return _resized(spectrum * _times_counted(spectrum, g.shape[axis], axis), x_shape, axis)


rfft.vjp(x=_rfft_rule)
irfft.vjp(x=_irfft_rule)


def _times_counted(spectrum: Any, n: int, axis: int) -> Any:
    """How often each entry of a half spectrum stands in the whole: once at frequency 0 and at n / 2, else twice."""
    size = n // 2 + 1
    times = np.full(size, 2, np.finfo(spectrum.dtype).dtype)
    times[0] = 1
    if n % 2 == 0:
        times[-1] = 1
    return np.reshape(times, (size,) + (1,) * (len(spectrum.shape) - 1 - axis % len(spectrum.shape)))


def _resized(g: Any, shape: tuple[int, ...], axis: int) -> Any:
    """Cut an axis, or pad it with zeros, to its size in a shape: what undoes padding and cutting."""
    axis %= len(shape)
    missing = shape[axis] - g.shape[axis]
    if missing < 0:
        return g[(slice(None),) * axis + (slice(shape[axis]),)]
    if missing > 0:
        return np.concatenate([g, np.zeros((*shape[:axis], missing, *shape[axis + 1 :]), g.dtype)], axis)
    return g


def _other_direction(norm: str | None) -> str | None:
    """Return the norm with which the transform back has the factor that the transform forward has with this one."""
    return {None: "forward", "backward": "forward", "forward": "backward"}.get(norm, norm)


# --- made of those --------------------------------------------------------------------------------------------------


@implements(np.fft.hfft)
def hfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Any:
    """Transform of a signal whose second half mirrors the first, conjugated: its spectrum is real."""
    _no_out("hfft", out)
    return np.fft.irfft(np.conjugate(a), n, axis, _other_direction(norm))


@implements(np.fft.ihfft)
def ihfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: Any = None) -> Any:
    """Inverse of `hfft`: the first half of the signal."""
    _no_out("ihfft", out)
    return np.conjugate(np.fft.rfft(a, n, axis, _other_direction(norm)))


def _no_out(name: str, out: Any) -> None:
    if out is not None:
        raise refuse(f"np.fft.{name}", "out")


def _sizes_and_axes(a: Any, s: Sequence[int | None] | None, axes: Sequence[int] | None) -> list[tuple[Any, int]]:
    """Return the pairs (size, axis) of a transform over several axes; a size of -1 is that of the argument."""
    if axes is None:
        axes = range(-(a.ndim if s is None else len(s)), 0)
    sizes = [None] * len(axes) if s is None else list(s)
    if len(sizes) != len(axes):
        raise ValueError(f"a transform over the axes {tuple(axes)} takes as many sizes, and s={tuple(sizes)} came")
    return [(a.shape[axis] if size == -1 else size, axis) for size, axis in zip(sizes, axes)]


def _over_axes(transform: Callable[..., Any], a: Any, pairs: Sequence[tuple[Any, int]], norm: str | None) -> Any:
    """Apply a transform along one axis after the other."""
    for size, axis in pairs:
        a = transform(a, n=size, axis=axis, norm=norm)
    return a


@implements(np.fft.fftn)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None) -> Any:
    """Transform over several axes (all, when none are given)."""
    _no_out("fftn", out)
    return _over_axes(fft, a, _sizes_and_axes(a, s, axes)[::-1], norm)


@implements(np.fft.ifftn)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None) -> Any:
    """Inverse of `fftn`."""
    _no_out("ifftn", out)
    return _over_axes(ifft, a, _sizes_and_axes(a, s, axes)[::-1], norm)


@implements(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None) -> Any:
    """Transform of real numbers over several axes: `rfft` along the last of them, then `fft` along the others."""
    _no_out("rfftn", out)
    *others, (size, axis) = _sizes_and_axes(a, s, axes)
    return _over_axes(fft, rfft(a, n=size, axis=axis, norm=norm), others[::-1], norm)


@implements(np.fft.irfftn)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: Any = None) -> Any:
    """Inverse of `rfftn`; the last axis has an even size where none is given."""
    _no_out("irfftn", out)
    *others, (size, axis) = _sizes_and_axes(a, s, axes)
    return irfft(_over_axes(ifft, a, others, norm), n=size, axis=axis, norm=norm)


@implements(np.fft.fft2)
def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None) -> Any:
    """`fftn` over two axes."""
    return fftn(a, s, axes, norm, out)


@implements(np.fft.ifft2)
def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None) -> Any:
    """`ifftn` over two axes."""
    return ifftn(a, s, axes, norm, out)


@implements(np.fft.rfft2)
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None) -> Any:
    """`rfftn` over two axes."""
    return rfftn(a, s, axes, norm, out)


@implements(np.fft.irfft2)
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: Any = None) -> Any:
    """`irfftn` over two axes."""
    return irfftn(a, s, axes, norm, out)


# --- shifts ---------------------------------------------------------------------------------------------------------


def _shifted(x: Any, axes: Any, shift_of: Callable[[int], int]) -> Any:
    axes = tuple(range(x.ndim)) if axes is None else (axes,) if isinstance(axes, (int, np.integer)) else tuple(axes)
    return np.roll(x, tuple(shift_of(x.shape[axis]) for axis in axes), axes)


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    """Move frequency 0 to the middle of the axes."""
    return _shifted(x, axes, lambda size: size // 2)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """Undo `fftshift`."""
    return _shifted(x, axes, lambda size: -(size // 2))
