"""What stands in for q(z) once the autoencoder is trained: the model's own prior, a Gaussian, a
mixture of Gaussians, a second VAE, a flow, the codes themselves.

q(z) = E_x q(z given x) is the aggregated posterior, the distribution of codes that the decoder was
trained on. A `Density` is fitted to it afterwards, without touching the autoencoder ("ex-post",
Ghosh et al. 2020, Section 4), and then `model.images(density.sample(n))` draws images.
"""

from vaelab.densities.choosing import DENSITIES, named
from vaelab.densities.density import Density, Trained, draw
from vaelab.densities.empirical import Empirical
from vaelab.densities.evidence import log_prob_mc
from vaelab.densities.flow import Flow
from vaelab.densities.gaussian import DirichletMixture, Gaussian, GaussianMixture
from vaelab.densities.prior import ModelPrior, StandardNormal, is_standard_normal
from vaelab.densities.second_stage import SecondStage, fit_second_stages

__all__ = [
    "DENSITIES",
    "Density",
    "DirichletMixture",
    "Empirical",
    "Flow",
    "Gaussian",
    "GaussianMixture",
    "ModelPrior",
    "SecondStage",
    "StandardNormal",
    "Trained",
    "draw",
    "fit_second_stages",
    "is_standard_normal",
    "log_prob_mc",
    "named",
]
