"""What the encoder says about z: a point, a Gaussian with diagonal, full or constant covariance, or
a flow on top.

A `Posterior` turns the encoder's features into a `Distribution` of z, one row an image, which gives
`mean`, `rsample`, `at(eps)`, `log_prob`, `kl_to_standard_normal`, `covariance`, `eigenvalues`,
`len(q)` and `q[index]`; `cat` joins batches.

Source: Dai & Wipf (2019), Definition 1: q(z given x) = N(mu_z, S_z S_zᵀ), S_z any κ×κ matrix.
"""

from vaelab.posteriors.distributions import (
    LOG_2_PI,
    DiagonalNormal,
    Distribution,
    FullNormal,
    Point,
    cat,
)
from vaelab.posteriors.flow import FlowGaussian, FlowNormal
from vaelab.posteriors.heads import (
    ConstantGaussian,
    DiagonalGaussian,
    FullGaussian,
    PointHead,
    Posterior,
)

__all__ = [
    "LOG_2_PI",
    "ConstantGaussian",
    "DiagonalGaussian",
    "DiagonalNormal",
    "Distribution",
    "FlowGaussian",
    "FlowNormal",
    "FullGaussian",
    "FullNormal",
    "Point",
    "PointHead",
    "Posterior",
    "cat",
]
