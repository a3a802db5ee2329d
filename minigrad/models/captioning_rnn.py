"""A recurrent network that captions images. (CS231n, assignment 3.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import ops
from ..core.errors import OptionError, did_you_mean
from ..core.scope import scope
from ..model import Model
from ..nn.init import random_source
from .common import Captions, cast_like

__all__ = ["CaptioningRNN"]


class CaptioningRNN(Model):
    """Image features start the hidden state; from word to word it predicts the next one.

    Parameters
    ----------
    word_to_idx : dict of str to int
        The vocabulary of V words. It has ``<NULL>`` (padding), and usually ``<START>`` and ``<END>``.
    input_dim : int
        The width D of the image features.
    wordvec_dim, hidden_dim : int
        The widths W and H of the word vectors and of the hidden state.
    cell_type : str
        "rnn" or "lstm".
    dtype : of the parameters
    seed : int, Generator or None
        None draws from NumPy's global state, as the course does.

    Attributes
    ----------
    params
        W_embed (V, W); W_proj (D, H), b_proj; Wx (W, H), Wh (H, H), b (four times as wide for an LSTM);
        W_vocab (H, V), b_vocab.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> words = {"<NULL>": 0, "<START>": 1, "<END>": 2, "cat": 3, "dog": 4}
    >>> model = mg.models.CaptioningRNN(words, input_dim=6, wordvec_dim=5, hidden_dim=4, cell_type="lstm", seed=0)
    >>> features, captions = np.ones((2, 6)), np.array([[1, 3, 2], [1, 4, 2]])
    >>> loss, grads = model.loss(features, captions)
    >>> round(loss, 1)
    3.2
    >>> model.sample(features, max_length=4).shape
    (2, 4)
    """

    def __init__(
        self,
        word_to_idx: Mapping[str, int],
        input_dim: int = 512,
        wordvec_dim: int = 128,
        hidden_dim: int = 128,
        cell_type: str = "rnn",
        dtype: Any = np.float64,
        seed: Any = None,
    ) -> None:
        if cell_type not in ("rnn", "lstm"):
            raise OptionError(
                f"CaptioningRNN: cell_type={cell_type!r} came; it is rnn or lstm"
                f"{did_you_mean(str(cell_type), ['rnn', 'lstm'])}"
            )
        self.cell_type, self.captions = cell_type, Captions(word_to_idx)
        rng = random_source(seed)
        V, D, W, H = len(word_to_idx), input_dim, wordvec_dim, hidden_dim
        gates = {"rnn": H, "lstm": 4 * H}[cell_type]
        params = {
            "W_embed": rng.standard_normal((V, W)) / 100,
            "W_proj": rng.standard_normal((D, H)) / np.sqrt(D),
            "b_proj": np.zeros(H),
            "Wx": rng.standard_normal((W, gates)) / np.sqrt(W),
            "Wh": rng.standard_normal((H, gates)) / np.sqrt(H),
            "b": np.zeros(gates),
            "W_vocab": rng.standard_normal((H, V)) / np.sqrt(H),
            "b_vocab": np.zeros(V),
        }
        self.params = {name: w.astype(dtype) for name, w in params.items()}

    def forward(self, params: dict[str, Any], features: Any, words: Any = None) -> Any:
        """Score the word after each of `words` (N, T): (N, T, V)."""
        Captions.check_given(words)
        h0 = self._start(params, features)
        with scope("embed"):
            x = ops.embedding(params["W_embed"], words)
        with scope(self.cell_type):
            run = ops.rnn if self.cell_type == "rnn" else ops.lstm
            h = run(x, h0, params["Wx"], params["Wh"], params["b"])
        with scope("vocab"):
            N, T, H = h.shape
            return ops.affine(h.reshape(N * T, H), params["W_vocab"], params["b_vocab"]).reshape(N, T, -1)

    def data_loss(self, params: dict[str, Any], features: Any, captions: Any) -> Any:
        """Return the loss of predicting each word from those before it; ``<NULL>`` does not count."""
        words, following, mask = self.captions.split(captions)
        return ops.temporal_softmax_loss(self.forward(params, features, words), following, mask)

    def sample(self, features: Any, max_length: int = 30) -> Any:
        """Caption images, taking the likeliest word each time.

        Parameters
        ----------
        features : array (N, D)
        max_length : int
            Words per caption.

        Returns
        -------
        array (N, max_length) of integers
            Padded with ``<NULL>`` after ``<END>``, if the vocabulary has one.
        """
        params = self.params
        h = self._start(params, np.asarray(features))
        c = np.zeros_like(h)

        def scores_after(words: Any) -> Any:
            nonlocal h, c
            x = params["W_embed"][words]
            weights = (params["Wx"], params["Wh"], params["b"])
            if self.cell_type == "rnn":
                h = ops.rnn_step(x, h, *weights)
            else:
                h, c = ops.lstm_step(x, h, c, *weights)
            return ops.affine(h, params["W_vocab"], params["b_vocab"])

        return self.captions.write(len(h), max_length, scores_after)

    def _start(self, params: dict[str, Any], features: Any) -> Any:
        with scope("project"):
            return ops.affine(cast_like(features, params["W_proj"]), params["W_proj"], params["b_proj"])
