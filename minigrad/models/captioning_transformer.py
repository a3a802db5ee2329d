"""A transformer that captions images. (CS231n, assignment 3.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import nn, ops
from ..core.errors import ShapeError
from .common import Captions

__all__ = ["CaptioningTransformer"]


class CaptioningTransformer(nn.Layer):
    """A decoder that looks at image features, and at the words so far, to predict the next one.

    Parameters
    ----------
    word_to_idx : dict of str to int
        The vocabulary of V words, with ``<NULL>``, ``<START>`` and ``<END>``.
    input_dim : int
        The width D of the image features.
    wordvec_dim : int
        The width of the word vectors, and of the decoder.
    num_heads : int
        Divides `wordvec_dim`.
    num_layers : int
    max_length : int
        Longer captions are refused.
    feed_forward : int, optional
        The width between the two affine maps of a layer, 4 times `wordvec_dim` if left out.
    dropout : float
        The probability of KEEPING an element in training.
    dtype : of the parameters
    seed : int, Generator or None

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> words = {"<NULL>": 0, "<START>": 1, "<END>": 2, "cat": 3, "dog": 4}
    >>> model = mg.models.CaptioningTransformer(words, input_dim=6, wordvec_dim=8, num_heads=2, seed=0)
    >>> features, captions = np.ones((2, 6)), np.array([[1, 3, 2], [1, 4, 2]])
    >>> loss, grads = model.loss(features, captions)
    >>> model.sample(features, max_length=4).shape
    (2, 4)
    """

    def __init__(
        self,
        word_to_idx: Mapping[str, int],
        input_dim: int = 512,
        wordvec_dim: int = 128,
        num_heads: int = 4,
        num_layers: int = 2,
        max_length: int = 50,
        *,
        feed_forward: int | None = None,
        dropout: float = 1.0,
        dtype: Any = np.float64,
        seed: Any = None,
    ) -> None:
        self.captions, self.max_length = Captions(word_to_idx), max_length
        self.project = nn.Affine(wordvec_dim, init=nn.init.lecun_normal)
        self.embed = nn.Embedding(len(word_to_idx), wordvec_dim)
        self.position = nn.PositionalEncoding(dropout)
        self.layers = [
            nn.TransformerDecoderLayer(num_heads, feed_forward or 4 * wordvec_dim, p=dropout) for _ in range(num_layers)
        ]
        self.vocab = nn.Affine(len(word_to_idx), axis=-1, init=nn.init.lecun_normal)
        self.build(np.zeros((1, input_dim)), np.zeros((1, 2), int), seed=seed, dtype=dtype)

    def forward(self, features: Any, words: Any = None) -> Any:
        """Score the word after each of `words` (N, T): (N, T, V)."""
        Captions.check_given(words)
        if words.shape[1] > self.max_length:
            raise ShapeError(
                f"CaptioningTransformer: captions of {words.shape[1]} words came, and max_length is {self.max_length}; "
                f"make it with a larger max_length, or cut them"
            )
        memory = self.project(features)
        memory = memory.reshape(len(memory), 1, -1)
        x = self.position(self.embed(words))
        for layer in self.layers:
            x = layer(x, memory)
        return self.vocab(x)

    def data_loss(self, params: dict[str, Any], features: Any, captions: Any) -> Any:
        """Return the loss of predicting each word from those before it; ``<NULL>`` does not count."""
        words, following, mask = self.captions.split(captions)
        return ops.temporal_softmax_loss(self.apply(params, features, words, train=True), following, mask)

    def sample(self, features: Any, max_length: int = 30) -> Any:
        """Caption images, taking the likeliest word each time. See :meth:`CaptioningRNN.sample`."""
        features = np.asarray(features)
        written = np.zeros((len(features), 0), int)

        def scores_after(words: Any) -> Any:
            nonlocal written
            written = np.concatenate([written, words[:, np.newaxis]], axis=1)
            return self(features, written)[:, -1]

        return self.captions.write(len(features), max_length, scores_after)
