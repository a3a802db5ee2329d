"""Convolutions of images and sequences, plain and transposed.

Convolution is linear in the image and in the filters, and so are its two gradients: the three are each other's rules
(see :mod:`minigrad.kernels.convolution`), and with them every order is there.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..core.errors import OptionError, ShapeError
from ..core.explain import where
from ..core.primitive import primitive
from ..kernels import convolution as kernels
from .define import as_array
from .layout import channels_first, check_images, in_layout

__all__ = ["conv1d", "conv2d", "conv_transpose2d"]

Pairs = tuple[tuple[int, int], ...]

# --- the three products ----------------------------------------------------------------------------------------------


@primitive(linear="each")
def convolution(x, w, *, stride, padding, dilation, groups):
    """Convolve images (N, C, H, W) with filters (F, C / groups, KH, KW): what :func:`conv2d` is made of."""
    return kernels.convolve(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)


@primitive(linear="each")
def convolution_input(y, w, *, size, stride, padding, dilation, groups):
    """Send what is at the output of a convolution back to its images, (N, C, *size): its transpose in the images."""
    return kernels.input_gradient(y, w, size=size, stride=stride, padding=padding, dilation=dilation, groups=groups)


@primitive(linear="each")
def convolution_weight(y, x, *, kernel, stride, padding, dilation, groups):
    """Send what is at the output of a convolution back to its filters, (F, C / groups, *kernel)."""
    return kernels.weight_gradient(
        y, x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, groups=groups
    )


def _to_output(x: Any, w: Any, *how: Any) -> Any:
    return convolution(x, w, **dict(zip(_HOW, how)))


def _to_input(y: Any, w: Any, size: Any, *how: Any) -> Any:
    return convolution_input(y, w, size=tuple(size), **dict(zip(_HOW, how)))


def _to_weight(y: Any, x: Any, kernel: Any, *how: Any) -> Any:
    return convolution_weight(y, x, kernel=tuple(kernel), **dict(zip(_HOW, how)))


_HOW = ("stride", "padding", "dilation", "groups")


def _input_rule(g: Any, x_shape: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
    return _to_input(g, w, x_shape[2:], stride, padding, dilation, groups)


def _weight_rule(g: Any, x: Any, w_shape: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
    return _to_weight(g, x, w_shape[2:], stride, padding, dilation, groups)


convolution.vjp(x=_input_rule, w=_weight_rule)
convolution_input.vjp(
    y=lambda g, w, stride, padding, dilation, groups: _to_output(g, w, stride, padding, dilation, groups),
    w=lambda g, y, w_shape, stride, padding, dilation, groups: _to_weight(
        y, g, w_shape[2:], stride, padding, dilation, groups
    ),
)
convolution_weight.vjp(
    y=lambda g, x, stride, padding, dilation, groups: _to_output(x, g, stride, padding, dilation, groups),
    x=lambda g, y, x_shape, stride, padding, dilation, groups: _to_input(
        y, g, x_shape[2:], stride, padding, dilation, groups
    ),
)


@primitive
def biased_convolution(x, w, b, *, stride, padding, dilation, groups):
    """Convolve, and add a number per filter while the result is in the cache."""
    return kernels.convolve(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)


biased_convolution.vjp(x=_input_rule, w=_weight_rule, b=lambda g: np.sum(g, axis=(0, 2, 3)))
biased_convolution.reference = lambda x, w, b, **how: convolution(x, w, **how) + np.reshape(b, (-1, 1, 1))

# --- what a user calls -----------------------------------------------------------------------------------------------


def conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
) -> Any:
    """Convolve images with filters (cross-correlation, as networks have it).

    ``out[n, f, p, q] = b[f] + sum over c, i, j of w[f, c, i, j] * x[n, c, p * stride + i * dilation - padding, ...]``
    (CS231n, convolutional networks notes.)

    Parameters
    ----------
    x : array (N, C, H, W)
        Or (N, H, W, C), with ``layout="NHWC"``.
    w : array (F, C / groups, KH, KW)
        In either layout.
    b : array (F,), optional
    stride, dilation : int or (rows, columns)
        Steps between windows, and between the pixels of one window.
    padding : int, (rows, columns), ((top, bottom), (left, right)), "valid" or "same"
        Zeros around the images. "valid" is none; "same" gives ``ceil(H / stride)`` rows and columns alike, and puts an
        odd row of zeros at the end.
    groups : int
        Filters and channels come in so many groups that do not see each other; ``groups=C`` is a depthwise convolution.
    layout : str
        Of x and of the result: "NCHW" or "NHWC".

    Returns
    -------
    array (N, F, OH, OW), or (N, OH, OW, F)
        ``OH = (H + top + bottom - dilation * (KH - 1) - 1) / stride + 1``, and OW alike.

    Raises
    ------
    ShapeError
        If the channels do not fit, the kernel is larger than the padded image, or the stride leaves a rest.
    OptionError
        If stride, padding, dilation, groups or layout is something else than the above.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))
    >>> mg.ops.conv2d(x, w)
    array([[[[ 8., 12.],
             [20., 24.]]]])
    >>> mg.ops.conv2d(x, w, np.array([1.0]), stride=2, padding="same").shape
    (1, 1, 2, 2)
    """
    return _convolve("conv2d", x, w, b, stride, padding, dilation, groups, layout)


def conv1d(
    x: Any, w: Any, b: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolve sequences with filters: :func:`conv2d` with one axis.

    Parameters
    ----------
    x : array (N, C, L)
    w : array (F, C / groups, K)
    b : array (F,), optional
    stride, dilation : int
    padding : int, (before, after), "valid" or "same"
    groups : int

    Returns
    -------
    array (N, F, OL)

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.conv1d(np.arange(4.0).reshape(1, 1, 4), np.array([[[-1.0, 1.0]]]), padding=(1, 0))
    array([[[0., 1., 1., 1.]]])
    """
    return _convolve("conv1d", x, w, b, stride, padding, dilation, groups, "NCL")


def conv_transpose2d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
) -> Any:
    """Transposed convolution: each pixel of x puts its filters, times itself, on the result, `stride` apart.

    It is the gradient of :func:`conv2d` (with the same filters and options) with respect to its images, and so turns a
    convolution's shapes round. (Dumoulin and Visin, 2016, arXiv:1603.07285.)

    Parameters
    ----------
    x : array (N, C, H, W)
        Or (N, H, W, C), with ``layout="NHWC"``.
    w : array (C, F / groups, KH, KW)
        In either layout.
    b : array (F,), optional
    stride, dilation, groups
        As of the convolution that it turns round.
    padding : int, (rows, columns), ((top, bottom), (left, right)), "valid" or "same"
        How much is cut off the result. "same" gives ``H * stride`` rows and ``W * stride`` columns.
    output_padding : int or (rows, columns)
        Rows and columns to add at the end of the result, fewer than the stride: a convolution may have left them over.
    layout : str
        Of x and of the result: "NCHW" or "NHWC".

    Returns
    -------
    array (N, F, OH, OW), or (N, OH, OW, F)
        ``OH = (H - 1) * stride + dilation * (KH - 1) + 1 - top - bottom + output_padding``, and OW alike.

    Raises
    ------
    ShapeError, OptionError
        As :func:`conv2d`, and if nothing would be left of the result.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> mg.ops.conv_transpose2d(np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 2, 2)), stride=2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
    """
    name = "conv_transpose2d"
    x, w, b = as_array(x), as_array(w), None if b is None else as_array(b)
    _check_ranks(name, x, w, layout, "(C, F / groups, KH, KW)")
    groups = _check_groups(name, x, w, groups, layout, turned=True)
    call = f"{where(name)}: x {x.shape}, w {w.shape}"
    x = channels_first(x, layout)
    strides, dilations = numbers(name, "stride", stride, 2, 1), numbers(name, "dilation", dilation, 2, 1)
    extra = numbers(name, "output_padding", output_padding, 2, 0)
    if any(more >= step for more, step in zip(extra, strides)):
        raise OptionError(f"{call}: output_padding {extra} must be less than the stride {strides}")
    extents = tuple(d * (k - 1) + 1 for d, k in zip(dilations, w.shape[2:]))
    if padding == "same":
        if any(extra):
            raise OptionError(f'{call}: output_padding {extra} has no place beside padding="same", which sets the size')
        size = tuple(n * s for n, s in zip(x.shape[2:], strides))
        margins = paddings(name, "same", size, extents, strides)
    else:
        margins = paddings(name, padding, x.shape[2:], extents, strides)
        size = tuple(
            (n - 1) * s + extent - sum(cut) + more
            for n, s, extent, cut, more in zip(x.shape[2:], strides, extents, margins, extra)
        )
    if min(size) < 1:
        raise ShapeError(f"{call}: padding {margins} cuts off everything: {size} would be left; use less padding")
    out = convolution_input(x, w, size=size, stride=strides, padding=margins, dilation=dilations, groups=groups)
    if b is not None:
        _check_bias(call, b, w.shape[1] * groups)
        out = out + np.reshape(b, (-1, 1, 1))
    return in_layout(out, layout)


def _convolve(
    name: str, x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: Any, layout: str
) -> Any:
    """Check what came, over one axis (of the layout NCL) or two, and call the op of two."""
    axes = 1 if layout == "NCL" else 2
    x, w, b = as_array(x), as_array(w), None if b is None else as_array(b)
    _check_ranks(name, x, w, layout, "(F, C / groups, K)" if axes == 1 else "(F, C / groups, KH, KW)")
    groups = _check_groups(name, x, w, groups, layout)
    strides, dilations = numbers(name, "stride", stride, axes, 1), numbers(name, "dilation", dilation, axes, 1)
    extents = tuple(d * (k - 1) + 1 for d, k in zip(dilations, w.shape[2:]))
    call = f"{where(name)}: x {x.shape}, w {w.shape}"
    if axes == 2:
        x = channels_first(x, layout)
    margins = paddings(name, padding, x.shape[2:], extents, strides)
    check_fit(call, "kernel", x.shape[2:], extents, strides, margins)
    if b is not None:
        _check_bias(call, b, w.shape[0])
    if axes == 1:
        x, w = np.expand_dims(x, 2), np.expand_dims(w, 2)
        strides, dilations, margins = (1, *strides), (1, *dilations), ((0, 0), *margins)
    how = {"stride": strides, "padding": margins, "dilation": dilations, "groups": groups}
    out = convolution(x, w, **how) if b is None else biased_convolution(x, w, b, **how)
    return np.squeeze(out, axis=2) if axes == 1 else in_layout(out, layout)


# --- what fits -------------------------------------------------------------------------------------------------------

AXES = {1: ("length",), 2: ("height", "width")}


def numbers(name: str, what: str, value: Any, axes: int, least: int) -> tuple[int, ...]:
    """Return an option that is a whole number, or one for each axis, as a tuple."""
    try:
        found = tuple(map(operator.index, value)) if _listed(value) else (operator.index(value),) * axes
    except TypeError:
        found = ()
    if len(found) != axes or min(found) < least:
        pair = " or a pair of them (rows, columns)" if axes == 2 else ""
        raise OptionError(f"{where(name)}: {what}={value!r} came; it takes a whole number from {least} on{pair}")
    return found


def _listed(value: Any) -> bool:
    return isinstance(value, (tuple, list)) or getattr(value, "ndim", 0) > 0


def paddings(
    name: str, padding: Any, size: tuple[int, ...], extents: tuple[int, ...], strides: tuple[int, ...]
) -> Pairs:
    """Return the padding before and after each axis."""
    axes = len(size)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * axes
        if padding == "same":
            totals = [max((-(-n // s) - 1) * s + e - n, 0) for n, e, s in zip(size, extents, strides)]
            return tuple((total // 2, total - total // 2) for total in totals)
    elif axes == 1 or not _listed(padding):
        return (_both(name, padding, padding),) * axes
    elif len(padding) == axes:
        return tuple(_both(name, side, padding) for side in padding)
    raise _bad_padding(name, padding)


def _both(name: str, value: Any, padding: Any) -> tuple[int, int]:
    """Return the padding of one axis, a number or a pair, as a pair."""
    try:
        found = tuple(map(operator.index, value)) if _listed(value) else (operator.index(value),) * 2
    except TypeError:
        found = ()
    if len(found) != 2 or min(found) < 0:
        raise _bad_padding(name, padding)
    return found


def _bad_padding(name: str, padding: Any) -> OptionError:
    forms = "(before, after)" if name == "conv1d" else "a pair (rows, columns), ((top, bottom), (left, right))"
    return OptionError(
        f'{where(name)}: padding={padding!r} came; it takes a whole number from 0 on, {forms}, "same" or "valid"'
    )


def check_fit(
    call: str, what: str, size: tuple[int, ...], extents: tuple[int, ...], strides: tuple[int, ...], margins: Pairs
) -> None:
    """Raise unless a kernel or window fits into the padded image, and its steps end where the image ends."""
    for axis, n, extent, step, (before, after) in zip(AXES[len(size)], size, extents, strides, margins):
        padded = n + before + after
        if extent > padded:
            raise ShapeError(
                f"{call}: the {what} covers {extent} pixels of the {axis}, and the padded image has {padded} "
                f"({n} + padding {before} + {after}); use a smaller {what}, or padding of at least {extent - n} in all"
            )
        rest = (padded - extent) % step
        if rest:
            _refuse_rest(call, what, axis, n, extent, step, before, after, rest)


def _refuse_rest(
    call: str, what: str, axis: str, n: int, extent: int, step: int, before: int, after: int, rest: int
) -> None:
    """Say that a stride leaves a rest, and what would not."""
    room = n + before + after - extent
    fitting = [s for s in range(1, room + 1) if room % s == 0]
    nearest = sorted(sorted(fitting, key=lambda s: abs(s - step))[:2])
    sizes = [m for m in (n - rest, n + step - rest) if m > 0]
    end = after - rest if rest <= after else after + step - rest
    raise ShapeError(
        f"{call}: stride {step} does not fit the {axis}: after the first {what} ({extent} of {n + before + after} "
        f"pixels with padding) {room} pixels remain, which is no multiple of {step}. What would fit: {axis} "
        f"{' or '.join(map(str, sizes))}; stride {' or '.join(map(str, nearest))}; padding ({before}, {end}) before "
        f'and after the {axis}; padding="same"'
    )


def _check_ranks(name: str, x: Any, w: Any, layout: str, filters: str) -> None:
    if layout == "NCL":
        if x.ndim != 3:
            hint = "; for a single sequence write x[None]" if x.ndim == 2 else ""
            raise ShapeError(f"{where(name)}: x {x.shape}: x must be (N, C, L){hint}")
    else:
        check_images(name, x, layout)
    if w.ndim != len(layout) or 0 in w.shape[1:]:
        raise ShapeError(f"{where(name)}: x {x.shape}, w {w.shape}: w must be {filters}, no size 0")


def _check_groups(name: str, x: Any, w: Any, groups: Any, layout: str, turned: bool = False) -> int:
    """Check the channels against groups and filters. Turned: the filters' first axis is that of the channels of x."""
    (count,) = numbers(name, "groups", groups, 1, 1)
    call = f"{where(name)}: x {x.shape}, w {w.shape}, groups {count}"
    channels = x.shape[layout.index("C")]
    takes = w.shape[0] if turned else w.shape[1] * count
    if channels != takes:
        hint = ""
        if layout == "NCL" and x.shape[-1] == takes:
            hint = "; x seems to have its channels last: np.swapaxes(x, 1, 2) puts them second"
        elif layout == "NCHW" and x.shape[-1] == takes:
            hint = '; x seems to have its channels last: layout="NHWC" takes it so'
        elif layout == "NHWC" and x.shape[1] == takes:
            hint = '; x seems to have its channels second: layout="NCHW" takes it so'
        elif not turned and channels % w.shape[1] == 0:
            hint = f"; groups={channels // w.shape[1]} would fit"
        elif turned and w.shape[1] == channels:
            hint = "; here w is (C, F / groups, KH, KW), the channels of x first"
        raise ShapeError(f"{call}: x has {channels} channels, and w takes {takes}{hint}")
    if w.shape[0] % count:
        what = "channels" if turned else "filters"
        fitting = [n for n in range(1, w.shape[0] + 1) if w.shape[0] % n == 0]
        raise ShapeError(
            f"{call}: {w.shape[0]} {what} do not fall into {count} groups; groups or a number of filters that fits: "
            f"{', '.join(map(str, fitting))} groups"
        )
    return count


def _check_bias(call: str, b: Any, filters: int) -> None:
    if b.shape != (filters,):
        raise ShapeError(f"{call}, b {b.shape}: b must have shape ({filters},), one element per filter")
