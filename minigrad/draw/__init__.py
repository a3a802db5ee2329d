"""Pictures of computations: a reader of tapes.

``draw`` runs a model or a function once on a tape of its own, or takes the tape of a Tensor (``subject.py``). The tape
becomes a graph view, plain data (``view.py``, its wording in ``words.py``), the view DOT text (``dot.py``), and the
text a picture (``engine.py``). How each kind of node looks is in ``palette.py``: to add a kind, add a row there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .drawing import Drawing

__all__ = ["draw"]


def draw(subject: Any, *inputs: Any, title: str | None = None) -> Drawing:
    """Draw a model, a function or a Tensor.

    Drawing runs the forward pass once more, or reads what was recorded. It changes no gradient, parameter or state, and
    keeps no array alive.

    Parameters
    ----------
    subject : model, callable or Tensor
        A model is run as ``model.evaluate(params, X, y)``, and its parameters are those of ``model.params``. A function
        is run on the inputs. Of a Tensor, what it was computed from is drawn; its tape must be a full one, as
        ``mg.Tape()`` is.
    *inputs : arrays, or dicts, lists, tuples of arrays
        For a model X, or X and y. For a function its arguments, which are named as the function names them, entries of
        a dict by their keys. The float arrays of a dict given for an argument named ``params``, ``parameters``,
        ``weights``, ``p`` or ``w`` are drawn as parameters, all others as data. Integers, flags and other things that
        are not arrays or floats are handed to the function as they are.
    title : str, optional
        The model's class or the function's name, when left out.

    Returns
    -------
    Drawing
        With ``.save("net.svg")`` (or .png, .pdf, .gv), ``.source``, ``.digraph`` and ``.view``.

    Raises
    ------
    DTypeError
        If the subject cannot be drawn, or its result does not depend on its inputs.
    OptionError
        If the number of inputs does not fit.
    StaleTensorError
        If the tape of a Tensor does not hold all that happened.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.draw import draw
    >>> def layer(params, x):
    ...     return np.tanh(x @ params["W"] + params["b"])
    >>> drawing = draw(layer, {"W": np.ones((3, 2)), "b": np.zeros(2)}, np.ones((5, 3)))
    >>> [node.name for node in drawing.view.nodes]
    ['W', 'b', 'x', 'matmul', 'add', 'tanh']
    >>> drawing.source.splitlines()[0]
    'digraph minigrad {'
    """
    # Imported when something is drawn: `import minigrad` would cost half as much again.
    from .drawing import Drawing
    from .subject import view_of

    return Drawing(view_of(subject, inputs, title))
