"""The exceptions of minigrad, and the helper that suggests a near spelling.

Every exception here is a :class:`MinigradError` and also the built-in exception that a NumPy user would expect, so
``except ValueError`` keeps working. The text of each says which op or layer, what came, what was expected, and what to
do about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "BiasBeforeNormWarning",
    "BranchError",
    "BroadcastWarning",
    "DataError",
    "DeadUnitsWarning",
    "DTypeError",
    "GradientError",
    "GraphvizFailed",
    "GraphvizNotFound",
    "LargeUpdateWarning",
    "MinigradError",
    "MinigradWarning",
    "MissingFileError",
    "MissingParameterError",
    "NoGradientRule",
    "NonFiniteError",
    "OptionError",
    "ParameterError",
    "SciPyNotFound",
    "ShapeError",
    "StaleTensorError",
    "UnnormalisedInputWarning",
    "did_you_mean",
]


class MinigradError(Exception):
    """Base class of every error that minigrad raises on purpose."""

    tape: Any = None  # what was being recorded when it was raised


class ShapeError(MinigradError, ValueError):
    """Shapes that do not fit each other, or not the op."""


class DTypeError(MinigradError, TypeError):
    """A dtype that cannot be used here, such as an integer array that is asked for its gradient."""


class DataError(MinigradError, ValueError):
    """Data or labels that cannot be trained on."""


class MissingFileError(DataError, FileNotFoundError):
    """A file of a data set is not where it was looked for."""


class ParameterError(MinigradError, ValueError):
    """A model whose parameters, state or gradients do not fit together."""


class MissingParameterError(ParameterError, KeyError):
    """A parameter was asked for by a name that the model does not have."""

    __str__ = Exception.__str__  # a KeyError shows its text in quotes


class OptionError(MinigradError, ValueError):
    """An unknown argument, or a value that an argument does not take."""


class NoGradientRule(MinigradError, NotImplementedError):
    """A NumPy function that has no gradient rule was given a Tensor."""


class StaleTensorError(MinigradError, RuntimeError):
    """A Tensor was used after the recording that it belongs to had ended."""


class BranchError(MinigradError, TypeError):
    """Python code branched on the value of a Tensor while the program was being captured."""


class NonFiniteError(MinigradError, FloatingPointError):
    """A loss became NaN or infinite."""


class GradientError(MinigradError, AssertionError):
    """A gradient does not agree with finite differences."""


class GraphvizNotFound(MinigradError, RuntimeError):
    """Graphviz is needed to draw this file, and it is not installed."""


class SciPyNotFound(MinigradError, ImportError):
    """SciPy is needed for this function, and it is not installed."""


class GraphvizFailed(MinigradError, RuntimeError):
    """Graphviz is installed, and could not draw this graph."""


class MinigradWarning(UserWarning):
    """Something that works, and is probably not what was meant.

    Each kind has a class of its own, so that one can be silenced and not the others:
    ``warnings.filterwarnings("ignore", category=mg.DeadUnitsWarning)``.
    """


class BroadcastWarning(MinigradWarning):
    """Two arrays broadcast to a shape larger than both, as (N,) and (N, 1) do by accident."""


class BiasBeforeNormWarning(MinigradWarning):
    """A bias stands in front of a batch normalisation, which takes it away again."""


class DeadUnitsWarning(MinigradWarning):
    """Most units of a layer are never active."""


class LargeUpdateWarning(MinigradWarning):
    """A learning rate makes updates that are large beside the weights."""


class UnnormalisedInputWarning(MinigradWarning):
    """The data have not been centred or scaled."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``'; did you mean "NAME"?'`` for the nearest known spelling, or an empty string.

    Examples
    --------
    >>> did_you_mean("bach_size", ["batch_size", "lr_decay"])
    '; did you mean "batch_size"?'
    >>> did_you_mean("colour", ["batch_size"])
    ''
    """
    import difflib  # wanted when something went wrong, and not before

    spellings = {str(name).casefold(): str(name) for name in known}
    near = difflib.get_close_matches(str(word).casefold(), spellings, n=1)
    return f'; did you mean "{spellings[near[0]]}"?' if near else ""
