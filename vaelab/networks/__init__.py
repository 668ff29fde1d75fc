"""Encoders and decoders: `mlp` for vectors and small images; `small_conv` for images on a CPU;
`infogan`, `rae`, `resnet` and `wae` for images on a GPU.

A `Networks` is the pair before any choice is made about q or p: the encoder ends in features, from
which a posterior reads its parameters with `dense`; the decoder ends in an image. A user's pair is
a function under `recorded`, or a subclass of `Networks`.
"""

from vaelab.networks.choosing import MAKERS, for_shape
from vaelab.networks.infogan import infogan
from vaelab.networks.layers import Networks, seeded
from vaelab.networks.mlp import fused, mlp, with_context
from vaelab.networks.resnet import resnet
from vaelab.networks.sequence import sequence
from vaelab.networks.small_conv import small_conv
from vaelab.networks.spectral import spectral
from vaelab.networks.strided import rae, wae
from vaelab.parts import recorded

__all__ = [
    "MAKERS",
    "Networks",
    "for_shape",
    "fused",
    "infogan",
    "mlp",
    "rae",
    "recorded",
    "resnet",
    "seeded",
    "sequence",
    "small_conv",
    "spectral",
    "wae",
    "with_context",
]
