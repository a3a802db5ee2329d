"""detect_anomaly: the first NaN or infinity is an error that says where it arose."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from ..autodiff.anomaly import Detector, detecting

__all__ = ["detect_anomaly"]


def detect_anomaly(path: str | os.PathLike[str] | None = "anomaly.svg") -> AbstractContextManager[None]:
    """Check every result and every cotangent inside a ``with`` block; raise at the first that is NaN or infinite.

    Values and gradients are those of a run without it. It costs a pass over every array, and holds the tape until the
    backward pass is done, so use it to find out and not to train. It sees what is recorded in this thread, in forward
    and reverse mode and in derivatives of derivatives; not what is computed from plain arrays alone.

    Infinities that come with a constant argument are let through, and so is what is computed from them, as long as no
    NaN arises: masks are made of them. NumPy's warnings of divisions by zero, overflows and invalid values are silent
    inside the block.

    Parameters
    ----------
    path : str or Path, optional
        Where to save a picture of the computation around that op, with the op marked; None for no picture. Without
        Graphviz the text of the picture is saved, ending in ``.gv``.

    Raises
    ------
    NonFiniteError
        Inside the block. Its text names the op, its layer, the pass, the line of the user's code, the statistics of
        what the op read, what to do, and the last entries of the tape.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> from minigrad.check.anomaly import detect_anomaly
    >>> with detect_anomaly(path=None):  # doctest: +ELLIPSIS
    ...     mg.grad(lambda x: np.sum(np.log(x)))(np.array([1.0, 0.0]))
    Traceback (most recent call last):
        ...
    minigrad.core.errors.NonFiniteError: log: its result holds the first infinity: 1 -inf in shape (2,), at [1]
    in the forward pass, at ...
    """
    return detecting(Detector(path))
