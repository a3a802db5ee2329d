"""Pictures of computations: a reader of tapes.

``draw`` runs a model or a function once on a tape of its own, or takes the tape of a Tensor (``subject.py``). The ops
are looked at once more on their own (``measure.py``), and all becomes a graph view, plain data (``view.py``, made by
``build.py`` with the scopes and runs of ``folds.py``). What a picture shows of it is decided in ``show.py`` and
``dual.py``, coloured by ``heat.py``, written as DOT text (``dot.py``) or as a list (``text.py``), and the DOT text
becomes a picture in ``engine.py``. ``page/`` is the page to look into, and ``step.py`` the walk through the backward
pass. How each kind of node looks is in ``palette.py``: to add a kind, add a row there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .drawing import Drawing

__all__ = ["draw"]


def draw(
    subject: Any,
    *inputs: Any,
    view: str = "forward",
    color: str = "kind",
    scale: tuple[float, float] | None = None,
    params: str = "inline",
    depth: int | None = None,
    fold: bool = True,
    collapse: str | Iterable[str] = (),
    expand: str | Iterable[str] = (),
    shapes: bool = True,
    direction: str = "TB",
    max_nodes: int = 500,
    theme: str = "auto",
    title: str | None = None,
    mark: Mapping[Any, str] | None = None,
    measure: bool = True,
    histograms: bool = False,
) -> Drawing:
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
    view : ``"forward"``, ``"dual"`` or ``"backward"``
        The forward pass; both passes side by side, each op with its source line, what it saves and its rule; the
        backward pass alone.
    color : ``"kind"``, ``"grad"``, ``"time"`` or ``"memory"``
        What colours mean: the kind of node, or a heat map of what was measured: the root mean square of the gradient
        that arrives, seconds forward and backward, bytes saved for the backward pass.
    scale : (low, high), optional
        The values at the ends of a heat map's colours, which lie between them on a logarithmic scale; what is beyond
        them has the colour of the end. For pictures to be compared, such as one per epoch. Without it the scale
        follows the values of the picture: gradients three powers of ten around their median, seconds and bytes from
        the least to the most.
    params : ``"inline"``, ``"nodes"`` or ``"hide"``
        Parameters inside the ops that read them, as nodes of their own, or left out.
    depth : int, optional
        Scopes at this depth are collapsed to a box: with 1, those at the top.
    fold : bool
        Draw runs of equal scopes once, as ×N. In a heat map they are drawn apart up to 150 ops, since they differ.
    collapse, expand : str or iterable of str
        Scopes to collapse, and to keep open in spite of `depth` and `max_nodes`: a path ``"blocks.0/attn"``, a name
        ``"attn"``, either without its number, or a pattern ``"blocks.*/attn"``. The path of a later replica of a folded
        run, in `expand`, unfolds the run.
    shapes : bool
        Write shapes on edges.
    direction : ``"TB"`` or ``"LR"``
        From the top down, or from left to right.
    max_nodes : int
        Above so many nodes, the deepest scopes are collapsed, and the picture says so.
    theme : ``"auto"``, ``"light"`` or ``"dark"``
        ``"auto"`` has no ground of its own, and suits light and dark pages.
    title : str, optional
        The model's class or the function's name, when left out.
    mark : dict of str or int to str, optional
        Remarks on nodes: ``{"fc1/matmul": "look here"}``. Keys name ops, with or without their scope, or ids of the
        view. Where NaN or infinity appear first is marked anyway.
    measure : bool
        Run what was recorded once more, forward and backward, to know values, gradients and times.
    histograms : bool
        Count histograms of values and gradients, and show them in tooltips.

    Returns
    -------
    Drawing
        With ``.save("net.svg")`` (or .png, .pdf, .gv), ``.source``, ``.to_text()``, ``.to_json()`` and more.

    Raises
    ------
    DTypeError
        If the subject cannot be drawn, or its result is not computed from its inputs.
    OptionError
        If the number of inputs does not fit, or an option is not understood.
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
    from .make import check_options, make_view
    from .subject import record

    options = check_options(
        collapse,
        expand,
        view=view,
        color=color,
        scale=scale,
        params=params,
        depth=depth,
        fold=bool(fold),
        shapes=bool(shapes),
        direction=direction,
        max_nodes=max_nodes,
        theme=theme,
        histograms=bool(histograms),
    )
    return Drawing(make_view(record(subject, inputs, title), options, mark, bool(measure)))
