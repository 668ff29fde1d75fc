"""Encoders and decoders: `mlp` for vectors and small images; `infogan`, `resnet` and `wae` for
images.

A `Networks` is the pair before any choice is made about q or p: the encoder ends in features, from
which a posterior head reads its parameters with `dense`; the decoder ends in an image.
"""

from vaelab.networks.infogan import infogan
from vaelab.networks.mlp import fused, mlp
from vaelab.networks.parts import Networks, seeded
from vaelab.networks.resnet import resnet
from vaelab.networks.wae import wae

__all__ = ["Networks", "fused", "infogan", "mlp", "resnet", "seeded", "wae"]
