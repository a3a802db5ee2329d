"""A language model of characters: a transformer that only decodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import nn, ops
from ..core.errors import DataError, OptionError

__all__ = ["CharTransformer"]


class CharTransformer(nn.Layer):
    """Predict each character from those before it. (Radford et al., 2018-2019: GPT, in small.)

    Parameters
    ----------
    alphabet : str
        The characters that it knows; of a text, all it has.
    block_size : int
        How many characters it sees at once.
    width, num_heads, num_layers : int
        The heads divide the width.
    dropout : float
        The probability of KEEPING an element in training.
    dtype : of the parameters
    seed : int, Generator or None

    Examples
    --------
    >>> import minigrad as mg
    >>> text = "to be or not to be"
    >>> model = mg.models.CharTransformer(text, block_size=8, width=16, num_heads=2, num_layers=1, seed=0)
    >>> X, y = model.batch(model.encode(text), batch_size=4, rng=0)
    >>> loss, grads = model.loss(X, y)
    >>> X.shape, len(model.sample("to be", length=10, rng=0))
    ((4, 8), 15)
    """

    def __init__(
        self,
        alphabet: Iterable[str],
        block_size: int = 64,
        width: int = 128,
        num_heads: int = 4,
        num_layers: int = 2,
        *,
        dropout: float = 1.0,
        dtype: Any = np.float64,
        seed: Any = None,
    ) -> None:
        self.alphabet = "".join(sorted(set(alphabet)))
        self.block_size = block_size
        # As large as the sines and cosines that are added; smaller, and learning begins several times as slowly.
        self.embed = nn.Embedding(len(self.alphabet), width, init=nn.init.normal(1.0))
        self.position = nn.PositionalEncoding(dropout)
        self.layers = [
            nn.TransformerEncoderLayer(
                num_heads, 4 * width, p=dropout, causal=True, norm_first=True, activation=ops.gelu
            )
            for _ in range(num_layers)
        ]
        self.norm = nn.LayerNorm()
        self.head = nn.Affine(len(self.alphabet), axis=-1, init=nn.init.normal(1e-2))
        self.build(np.zeros((1, 2), int), seed=seed, dtype=dtype)

    def forward(self, x: Any) -> Any:
        """Score the character after each of x (N, T): (N, T, V)."""
        x = self.position(self.embed(x))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))

    def objective(self, scores: Any, y: Any) -> Any:
        """Return the mean cross-entropy of a character, in nats."""
        return ops.temporal_softmax_loss(scores, y, np.ones(np.shape(y), bool)) / scores.shape[1]

    def encode(self, text: str) -> Any:
        """Return a text as numbers."""
        for position, character in enumerate(text):
            if character not in self.alphabet:
                raise DataError(f"character {position} of the text is {character!r}, which the alphabet does not have")
        return np.array([self.alphabet.index(character) for character in text], int)

    def decode(self, numbers: Any) -> str:
        """Return numbers as text."""
        return "".join(self.alphabet[number] for number in numbers)

    def batch(self, numbers: Any, batch_size: int, rng: Any = None) -> tuple[Any, Any]:
        """Draw pieces of a text, (N, block_size), and what follows each of their characters."""
        if len(numbers) <= self.block_size:
            raise DataError(
                f"a text of {len(numbers)} characters is too short for pieces of {self.block_size} and one more"
            )
        starts = nn.init.random_source(rng).choice(len(numbers) - self.block_size, batch_size)
        pieces = numbers[starts[:, np.newaxis] + np.arange(self.block_size + 1)]
        return pieces[:, :-1], pieces[:, 1:]

    def sample(self, prompt: str, length: int, *, temperature: float = 1.0, rng: Any = None) -> str:
        """Go on writing from a prompt.

        Parameters
        ----------
        prompt : str
            At least one character.
        length : int
            How many characters to add.
        temperature : float
            Scores are divided by it before the draw; near 0 the likeliest character is taken each time.
        rng : int, Generator or None
        """
        if not prompt or temperature <= 0:
            raise OptionError("sample needs a prompt of at least one character, and a temperature above 0")
        rng = nn.init.random_source(rng)
        numbers = list(self.encode(prompt))
        for _ in range(length):
            scores = self(np.array([numbers[-self.block_size :]]))[0, -1]
            numbers.append(int(rng.choice(len(self.alphabet), p=ops.softmax(scores.astype(float) / temperature))))
        return self.decode(numbers)
