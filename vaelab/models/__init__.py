"""The autoencoder, and the catalogue: every model of the papers is this one class with other parts.

posterior    what the encoder says about z    a point; a Gaussian (diagonal, full, constant
variance); a flow on top likelihood   what the decoder says about x    Gaussian with γ fixed,
learned or optimal; cross-entropy latent term  what pulls q(z) into shape       β KL to N(0, I); β
½‖z‖²; λ MMD; an adversary; both stages' costs
"""

from vaelab.models.autoencoder import Autoencoder, Joint, Terms, evaluating, from_spec
from vaelab.models.catalogue import (
    ae,
    ce_vae,
    fused_vae,
    joint_vae,
    vae,
    vae_flow,
    wae_gan,
    wae_mmd,
)

__all__ = [
    "Autoencoder",
    "Joint",
    "Terms",
    "ae",
    "ce_vae",
    "evaluating",
    "from_spec",
    "fused_vae",
    "joint_vae",
    "vae",
    "vae_flow",
    "wae_gan",
    "wae_mmd",
]
