"""The order of an image's axes: channels first (NCHW), and channels last (NHWC) where that is asked for.

The kernels know NCHW. In the other layout a transposed view goes in and comes out, which copies nothing by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import OptionError, ShapeError, did_you_mean
from ..core.explain import where

__all__ = ["channels_first", "check_images", "check_layout", "in_layout"]

LAYOUTS = ("NCHW", "NHWC")


def check_layout(name: str, layout: str) -> None:
    """Raise unless this is a layout."""
    if layout not in LAYOUTS:
        raise OptionError(
            f'{where(name)}: layout={layout!r} came; it takes "NCHW" (channels first) or "NHWC" (channels last)'
            f"{did_you_mean(layout, LAYOUTS)}"
        )


def check_images(name: str, x: Any, layout: str, *, filled: bool = False, hint: str = "") -> None:
    """Raise unless x is a batch of images in a layout; `filled`, unless they have pixels. The hint says what to do."""
    check_layout(name, layout)
    if x.ndim != 4 or (filled and 0 in (x.shape[layout.index("H")], x.shape[layout.index("W")])):
        if x.ndim == 3:
            hint = "; for a single image write x[None]"
        pixels = " with at least one pixel" if filled else ""
        raise ShapeError(f"{where(name)}: x {x.shape}: x must be ({', '.join(layout)}){pixels}{hint}")


def channels_first(x: Any, layout: str) -> Any:
    """Return images in a layout as (N, C, H, W)."""
    return x if layout == "NCHW" else np.transpose(x, (0, 3, 1, 2))


def in_layout(x: Any, layout: str) -> Any:
    """Return images (N, C, H, W) in a layout."""
    return x if layout == "NCHW" else np.transpose(x, (0, 2, 3, 1))
