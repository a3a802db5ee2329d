"""Ready networks: each file is a forward pass and little else, to be read and changed.

>>> import numpy as np, minigrad as mg
>>> model = mg.models.FullyConnectedNet([50, 50], input_dim=12, num_classes=3, normalization="batchnorm", seed=0)
>>> loss, grads = model.loss(np.ones((4, 12)), np.array([0, 1, 2, 0]))
"""

from .captioning_rnn import CaptioningRNN
from .captioning_transformer import CaptioningTransformer
from .char_transformer import CharTransformer
from .convnet import ConvNet, ThreeLayerConvNet
from .fully_connected import FullyConnectedNet, TwoLayerNet
from .gan import GAN, ConvDiscriminator, ConvGenerator, FullyConnectedDiscriminator, FullyConnectedGenerator
from .linear import LinearClassifier
from .resnet import ResNet

__all__ = [
    "GAN",
    "CaptioningRNN",
    "CaptioningTransformer",
    "CharTransformer",
    "ConvDiscriminator",
    "ConvGenerator",
    "ConvNet",
    "FullyConnectedDiscriminator",
    "FullyConnectedGenerator",
    "FullyConnectedNet",
    "LinearClassifier",
    "ResNet",
    "ThreeLayerConvNet",
    "TwoLayerNet",
]
