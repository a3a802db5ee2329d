"""Recording for a picture: a tape that also notes where in the user's program each op was asked for."""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import Any, NamedTuple

from ..core.scope import current_visits
from ..core.tape import Tape

__all__ = ["Place", "RecordingTape"]


class Place(NamedTuple):
    """Where an op was asked for.

    Attributes
    ----------
    step : tuple
        The place in the source: where an op of one name stands twice, the program came there twice.
    functions : str
        The user's functions that were running, from the second one on, as a path: ``"encode/layer"``. A function that
        was called several times is ``"layer#1"``, ``"layer#2"``.
    visits : tuple of (path, number)
        The scopes that were running; the number is another each time a scope is entered.
    """

    step: tuple[Any, ...]
    functions: str
    visits: tuple[tuple[str, int], ...] = ()


class RecordingTape(Tape):
    """A tape with the lines of the user's program, and the place of each op.

    Attributes
    ----------
    places : dict of int to Place
        By entry.
    """

    __slots__ = ("_calls", "_counts", "_root", "_spans", "places")

    def __init__(self) -> None:
        super().__init__(lines=True)
        self.places: dict[int, Place] = {}
        self._root = sys._getframe(1)  # of whoever runs the program: the walk up the stack ends there
        self._calls: dict[FrameType, str] = {}  # frames are kept until the end, so each stands for one call
        self._counts: dict[str, int] = {}
        self._spans: dict[CodeType, list[Any]] = {}

    def append(self, *args: Any) -> Any:
        """Record an op, and note its place."""
        entry = len(self.records)
        result = super().append(*args)
        self._note(entry)
        return result

    def end(self) -> None:
        """Stop recording, and let go of the program's frames."""
        super().end()
        self._calls.clear()
        del self._root

    def _note(self, entry: int) -> None:
        frames: list[FrameType] = []
        frame = sys._getframe(2)
        while frame is not None and frame is not self._root:
            module = f"{frame.f_globals.get('__name__', '')}."
            if not module.startswith(("minigrad.", "numpy.")) and not frame.f_code.co_name.startswith("<"):
                frames.append(frame)
            frame = frame.f_back  # type: ignore[assignment]
        path = ""
        for frame in frames[-2::-1]:  # from the outside in, without the program itself
            path = self._call(frame, path)
        self.places[entry] = Place(self._step(frames[0]) if frames else (), path, current_visits())

    def _step(self, frame: FrameType) -> tuple[Any, ...]:
        """Return where in its function a frame stands: the span of source, so that it is the same at every visit.

        The number of the instruction is not: Python 3.11 and newer replace instructions by faster ones as they run.
        """
        code = frame.f_code
        if not hasattr(code, "co_positions"):  # Python 3.10
            return code, frame.f_lasti
        if code not in self._spans:
            self._spans[code] = list(code.co_positions())
        return code, *self._spans[code][frame.f_lasti // 2]

    def _call(self, frame: FrameType, around: str) -> str:
        """Return the path of one call of a function, inside the path around it."""
        if frame not in self._calls:
            name = frame.f_code.co_name
            if around.rpartition("/")[2].partition("#")[0] == name:  # recursion is no nesting of layers
                self._calls[frame] = around
            else:
                path = f"{around}/{name}" if around else name
                self._counts[path] = count = self._counts.get(path, 0) + 1
                self._calls[frame] = f"{path}#{count}"
        return self._calls[frame]
