"""The scikit-learn face: `VAE`, `TwoStageVAE`, and `Generative` for any model of the catalogue,
with fit, transform, inverse_transform, sample and score_samples.

Arrays in, arrays out; tensors in, tensors out. Rows may be vectors (n, d) or images (n, channels,
height, width).
"""

from vaelab.estimators.generative import Generative
from vaelab.estimators.vae import VAE, TwoStageVAE

__all__ = ["VAE", "Generative", "TwoStageVAE"]
