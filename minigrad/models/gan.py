"""Generative adversarial networks: a generator and a discriminator, fully connected or convolutional.

(Goodfellow et al., 2014, arXiv:1406.2661; Radford, Metz and Chintala, 2015, arXiv:1511.06434; CS231n, assignment 3.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn, ops
from ..core.errors import OptionError, ShapeError, did_you_mean
from ..model import Model

__all__ = [
    "GAN",
    "ConvDiscriminator",
    "ConvGenerator",
    "FullyConnectedDiscriminator",
    "FullyConnectedGenerator",
]


class FullyConnectedDiscriminator(nn.Layer):
    """Images to one score each: how real they look. Affine layers with leaky ReLU between them.

    Parameters
    ----------
    image_shape : (C, H, W)
    hidden_dim : int
    dtype, seed
        Of the parameters, and where they are drawn from.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (1, 28, 28),
        hidden_dim: int = 256,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        self.net = nn.Sequential(
            nn.Affine(hidden_dim),
            nn.LeakyReLU(slope=0.01),
            nn.Affine(hidden_dim),
            nn.LeakyReLU(slope=0.01),
            nn.Affine(1),
        )
        self.build(np.zeros((1, *image_shape)), dtype=dtype, seed=seed)

    def forward(self, x: Any) -> Any:
        return self.net(x)


class FullyConnectedGenerator(nn.Layer):
    """Noise (N, noise_dim) to images with pixels from -1 to 1. Affine layers with ReLU between them, and tanh.

    Parameters
    ----------
    image_shape : (C, H, W)
    noise_dim, hidden_dim : int
    dtype, seed
        Of the parameters, and where they are drawn from.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (1, 28, 28),
        noise_dim: int = 96,
        hidden_dim: int = 1024,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        self.noise_dim = noise_dim
        self.net = nn.Sequential(
            nn.Affine(hidden_dim),
            ops.relu,
            nn.Affine(hidden_dim),
            ops.relu,
            nn.Affine(int(np.prod(image_shape)), init=nn.init.xavier_normal),
            np.tanh,
            nn.Reshape(image_shape),
        )
        self.build(np.zeros((1, noise_dim)), dtype=dtype, seed=seed)

    def forward(self, noise: Any) -> Any:
        return self.net(noise)


class ConvDiscriminator(nn.Layer):
    """Images to one score each: how real they look. Two convolutions with pooling, two affine layers.

    Parameters
    ----------
    image_shape : (C, H, W)
        Height and width are multiples of 4.
    filters : int
        Of the first convolution; the second has twice as many.
    dtype, seed
        Of the parameters, and where they are drawn from.
    """

    def __init__(
        self, image_shape: tuple[int, int, int] = (1, 28, 28), filters: int = 32, *, dtype: Any = None, seed: Any = None
    ) -> None:
        _check_quarter("ConvDiscriminator", image_shape)
        self.net = nn.Sequential(
            nn.Conv2d(filters, 5, padding="same"),
            nn.LeakyReLU(slope=0.01),
            nn.MaxPool2d(2),
            nn.Conv2d(2 * filters, 5, padding="same"),
            nn.LeakyReLU(slope=0.01),
            nn.MaxPool2d(2),
            nn.Affine(16 * filters),
            nn.LeakyReLU(slope=0.01),
            nn.Affine(1),
        )
        self.build(np.zeros((1, *image_shape)), dtype=dtype, seed=seed)

    def forward(self, x: Any) -> Any:
        return self.net(x)


class ConvGenerator(nn.Layer):
    """Noise (N, noise_dim) to images with pixels from -1 to 1. Two affine layers, two transposed convolutions, tanh.

    Parameters
    ----------
    image_shape : (C, H, W)
        Height and width are multiples of 4.
    noise_dim : int
    filters : int
        Channels before the last transposed convolution; twice as many before the one before it.
    dtype, seed
        Of the parameters, and where they are drawn from.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (1, 28, 28),
        noise_dim: int = 96,
        filters: int = 64,
        *,
        dtype: Any = None,
        seed: Any = None,
    ) -> None:
        channels, height, width = _check_quarter("ConvGenerator", image_shape)
        self.noise_dim = noise_dim
        small = (2 * filters, height // 4, width // 4)
        self.net = nn.Sequential(
            nn.Affine(16 * filters),
            ops.relu,
            nn.BatchNorm(),
            nn.Affine(int(np.prod(small))),
            ops.relu,
            nn.BatchNorm(),
            nn.Reshape(small),
            nn.ConvTranspose2d(filters, 4, stride=2, padding=1),
            ops.relu,
            nn.BatchNorm(),
            nn.ConvTranspose2d(channels, 4, stride=2, padding=1, init=nn.init.xavier_normal),
            np.tanh,
        )
        self.build(np.zeros((1, noise_dim)), dtype=dtype, seed=seed)

    def forward(self, noise: Any) -> Any:
        return self.net(noise)


_LOSSES = {
    "gan": (ops.gan_discriminator_loss, ops.gan_generator_loss),
    "lsgan": (ops.lsgan_discriminator_loss, ops.lsgan_generator_loss),
}


class GAN:
    """A generator and a discriminator, and the losses by which they learn from each other.

    Parameters
    ----------
    generator : Model
        Noise (N, noise_dim) to images.
    discriminator : Model
        Images to scores (N, 1).
    loss : str
        "gan" or "lsgan" (least squares; Mao et al., 2016, arXiv:1611.04076).
    seed : int, Generator or None
        Where noise is drawn from.

    Examples
    --------
    >>> import numpy as np, minigrad as mg
    >>> shape = (1, 8, 8)
    >>> gan = mg.models.GAN(
    ...     mg.models.FullyConnectedGenerator(shape, noise_dim=4, hidden_dim=16, seed=0),
    ...     mg.models.FullyConnectedDiscriminator(shape, hidden_dim=16, seed=1),
    ...     seed=2,
    ... )
    >>> loss, grads = gan.discriminator_loss(np.zeros((5, *shape)))  # gradients of the discriminator's parameters
    >>> loss, grads = gan.generator_loss(5)  # and of the generator's
    >>> gan.sample(2).shape
    (2, 1, 8, 8)
    """

    def __init__(self, generator: Any, discriminator: Model, *, loss: str = "gan", seed: Any = None) -> None:
        if loss not in _LOSSES:
            raise OptionError(f"GAN: loss={loss!r} came; it is gan or lsgan{did_you_mean(loss, _LOSSES)}")
        self.generator, self.discriminator = generator, discriminator
        self._judge, self._deceive = _LOSSES[loss]
        self._rng = None if seed is None else nn.init.random_source(seed)  # and no module, which cannot be copied

    def noise(self, count: int) -> Any:
        """Draw noise for so many images: uniform numbers from -1 to 1."""
        rng = np.random if self._rng is None else self._rng
        return rng.uniform(-1, 1, (count, self.generator.noise_dim))

    def sample(self, count: int) -> Any:
        """Generate images, as at test time."""
        return self.generator(self.noise(count))

    def discriminator_loss(self, real: Any) -> tuple[float, dict[str, Any]]:
        """Return the discriminator's loss on real images and as many generated ones, and its gradients."""
        generator, discriminator = self.generator, self.discriminator
        fake = generator.apply(generator.params, self.noise(len(real)), train=True)
        if fake.shape[1:] != np.shape(real)[1:]:
            raise ShapeError(f"GAN: real images of shape {np.shape(real)}, and the generator makes {fake.shape}")

        def loss(params: dict[str, Any]) -> Any:
            scores = [discriminator.apply(params, images, train=True) for images in (real, fake)]
            return self._judge(*scores)

        return discriminator.value_and_grad(loss)

    def generator_loss(self, count: int) -> tuple[float, dict[str, Any]]:
        """Return the generator's loss on so many images that it makes, and its gradients."""
        noise, discriminator = self.noise(count), self.discriminator

        def loss(params: dict[str, Any]) -> Any:
            fake = self.generator.apply(params, noise, train=True)
            return self._deceive(discriminator.apply(discriminator.params, fake, train=True))

        return self.generator.value_and_grad(loss)


def _check_quarter(name: str, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    channels, height, width = image_shape
    if height % 4 or width % 4:
        raise ShapeError(f"{name}: images of {height}x{width} came; height and width must be multiples of 4")
    return channels, height, width
