"""What the encoder says about z: a point, a Gaussian with diagonal, full or constant covariance, or
a flow on top.

Each head turns the encoder's features into a distribution q(z given x), one row an image. The
distributions share one small interface: `mean`, `rsample`, `at(eps)`, `log_prob`,
`kl_to_standard_normal`, `kl_at(z)`, `covariance`, `eigenvalues`, `len(q)`, `q[index]`, and `cat` to
join batches.

Source: Dai & Wipf (2019), Definition 1: q(z given x) = N(mu_z, S_z S_zᵀ), S_z any κ×κ matrix.
"""

from vaelab.posteriors.flow import FlowGaussian, FlowNormal
from vaelab.posteriors.heads import ConstantGaussian, DiagonalGaussian, FullGaussian, PointHead
from vaelab.posteriors.normal import LOG_2_PI, DiagonalNormal, FullNormal, Point, cat

__all__ = [
    "LOG_2_PI",
    "ConstantGaussian",
    "DiagonalGaussian",
    "DiagonalNormal",
    "FlowGaussian",
    "FlowNormal",
    "FullGaussian",
    "FullNormal",
    "Point",
    "PointHead",
    "cat",
]
