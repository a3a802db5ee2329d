"""The picture as indented text, for terminals and for where no Graphviz is."""

from __future__ import annotations

from .view import Frame, GraphView, ShownNode
from .words import shape_text

__all__ = ["text_tree"]


def text_tree(view: GraphView) -> str:
    """Return what a view shows as an indented list.

    Scopes come with their parameters counted, folded ones with how often they stand, ops with their parameters in
    brackets and the shape of their result. Each line stands where its op stands in the program.
    """
    shown = view.shown
    if shown is None:
        raise ValueError("this view says nothing about a picture; see minigrad.draw.show.show")
    frames = {frame.path: frame for frame in shown.frames}
    lines = [view.title]
    inside: list[str] = []
    for node in shown.nodes:
        chain = _chain(node.frame, frames)
        same = 0
        while same < min(len(chain), len(inside)) and chain[same] == inside[same]:
            same += 1
        for depth in range(same, len(chain)):
            lines.append(f"{'  ' * (depth + 1)}{_frame_line(frames[chain[depth]])}")
        inside = chain
        lines.append(f"{'  ' * (len(chain) + 1)}{_line(node, shown.params != 'hide')}")
        if node.kind in ("backward", "saved"):
            lines += [f"{'  ' * (len(chain) + 3)}{text}" for text in node.lines]
    return "\n".join([*lines, *(f"  ({message})" for message in shown.messages)])


def _chain(path: str, frames: dict[str, Frame]) -> list[str]:
    chain = []
    while path in frames:
        chain.append(path)
        path = frames[path].parent
    return chain[::-1]


def _frame_line(frame: Frame) -> str:
    unit = "param" if frame.parameters == 1 else "params"
    each = " each" if frame.times > 1 else ""
    parts = (
        frame.title,
        frame.kind,
        f"×{frame.times}" if frame.times > 1 else "",
        f"{frame.parameters:,} {unit}{each}" if frame.parameters else "",
    )
    return f"{' · '.join(filter(None, parts))}:"


def _line(node: ShownNode, chips: bool) -> str:
    name = " ".join((node.name, *node.details))
    parameters = "".join(f"  [{chip.name} {shape_text(chip.shape)}]".replace(" ]", "]") for chip in node.chips if chips)
    lines = f"  {' · '.join(node.lines)}" if node.kind in ("scope", "gradient") else ""
    value = (
        f" {node.result}" if "=" in node.result else f"  {shape_text(node.shape)}" if node.kind != "gradient" else ""
    )
    mark = f"  ! {node.mark}" if node.mark else ""
    return f"{name}{parameters}{lines}{value}{mark}".rstrip()
