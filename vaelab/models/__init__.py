"""The autoencoder, and the catalogue: every model of the papers is this one class with other parts.

| part | what it says | choices |
| --- | --- | --- |
| posterior | what the encoder says about z | a point; Gaussian (diagonal, full, constant); flow |
| likelihood | what the decoder says about x | Gaussian, γ fixed, learned, optimal; cross-entropy |
| prior | what z is before any image | N(0, I), or one trained beside the autoencoder |
| latent term | what pulls q(z) into shape | β KL to the prior; β ½‖z‖²; λ MMD; an adversary |
| decoder term | what keeps the decoder smooth | nothing, or a penalty |
"""

from vaelab.models.autoencoder import Autoencoder, evaluating
from vaelab.models.catalogue import *  # noqa: F403
from vaelab.models.catalogue import CATALOGUE, build
from vaelab.models.conditional import Conditional, half_given, upper_half
from vaelab.models.second import SecondVAE

__all__ = [
    "CATALOGUE",
    "Autoencoder",
    "Conditional",
    "SecondVAE",
    "build",
    "evaluating",
    "half_given",
    "upper_half",
    *CATALOGUE,
]
