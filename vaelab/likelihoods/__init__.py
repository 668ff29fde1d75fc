"""What the decoder says about x: a Gaussian of variance γ, cross-entropy, or rules of a grammar.

γ is the decoder *variance* everywhere, as in the papers' text; the Two-Stage VAE authors' code
calls the standard deviation gamma. A likelihood returns one value a row, summed over pixels, in
nats.
"""

from vaelab.likelihoods.likelihood import CrossEntropy, Gaussian, Likelihood, Rules
from vaelab.likelihoods.perceptual import Perceptual

__all__ = ["CrossEntropy", "Gaussian", "Likelihood", "Perceptual", "Rules"]
