"""What several models share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..core.errors import DataError, OptionError, ShapeError

__all__ = ["Captions", "cast_like"]


def cast_like(X: Any, w: Any) -> Any:
    """Give the data the dtype of the parameters, so that a float32 network stays one, and bytes become numbers."""
    return X if X.dtype == w.dtype else X.astype(w.dtype)


class Captions:
    """Captions as rows of word numbers: how to cut them into what is given and what is to be predicted, and write one.

    Parameters
    ----------
    word_to_idx : dict of str to int
        Has ``<NULL>``, and for writing ``<START>``; ``<END>`` ends a caption.
    """

    def __init__(self, word_to_idx: Mapping[str, int]) -> None:
        if "<NULL>" not in word_to_idx:
            raise OptionError(f"the vocabulary has no <NULL>, which pads captions (its words: {_some(word_to_idx)})")
        if sorted(word_to_idx.values()) != list(range(len(word_to_idx))):
            raise OptionError(f"the vocabulary must number its {len(word_to_idx)} words from 0 on, each once")
        self.word_to_idx = dict(word_to_idx)
        self.idx_to_word = {number: word for word, number in word_to_idx.items()}
        self.null, self.start, self.end = (word_to_idx.get(word) for word in ("<NULL>", "<START>", "<END>"))

    def split(self, captions: Any) -> tuple[Any, Any, Any]:
        """Return the words that are given (N, T - 1), those that follow them, and where a word follows."""
        captions = captions if hasattr(captions, "dtype") else np.asarray(captions)
        if captions.ndim != 2 or captions.shape[1] < 2 or captions.dtype.kind not in "iu":
            raise ShapeError(
                f"captions of shape {captions.shape} and dtype {captions.dtype} came; expected integers (N, T), at "
                f"least 2 words each"
            )
        following = captions[:, 1:]
        return captions[:, :-1], following, following != self.null

    @staticmethod
    def check_given(words: Any) -> None:
        """Raise unless there are words to score."""
        if words is None:
            raise OptionError(
                "a captioning model scores the words that follow words; use model.loss(features, captions) in "
                "training, and model.sample(features) to write captions"
            )

    def write(self, count: int, max_length: int, scores_after: Callable[[Any], Any]) -> Any:
        """Write captions word by word, the likeliest each time; `scores_after` scores what follows the last words."""
        if self.start is None:
            raise DataError("the vocabulary has no <START>, with which a caption begins; add it to sample captions")
        captions = np.full((count, max_length), self.null)
        words, going = np.full(count, self.start), np.ones(count, bool)
        for t in range(max_length):
            words = np.argmax(scores_after(words), axis=1)
            captions[going, t] = words[going]
            going &= words != self.end
            if not going.any():
                break
        return captions

    def decode(self, captions: Any) -> list[str]:
        """Return captions as text, up to ``<END>``.

        Examples
        --------
        >>> Captions({"<NULL>": 0, "<START>": 1, "<END>": 2, "cat": 3}).decode(np.array([[1, 3, 2, 0]]))
        ['cat']
        """
        texts = []
        for row in np.atleast_2d(captions):
            words = [self.idx_to_word[int(number)] for number in row]
            words = words[: words.index("<END>")] if "<END>" in words else words
            texts.append(" ".join(word for word in words if word not in ("<NULL>", "<START>")))
        return texts


def _some(words: Mapping[str, int]) -> str:
    return ", ".join(list(words)[:8]) + (", ..." if len(words) > 8 else "")
