"""Measures of codes and samples: MMD, sliced Wasserstein, spectra, active dimensions, Fréchet and
energy distance, precision and recall, and what lies along paths in latent space.

All compute in float64 and give plain numbers or tensors; arrays and tensors are both welcome.
"""

from vaelab.metrics.codes import (
    active_dims,
    direction_variance,
    eigenvalue_counts,
    jacobians,
    mean_squared_error,
    rank_correlation,
    singular_values,
)
from vaelab.metrics.coverage import f_score, nearest, precision_recall
from vaelab.metrics.distances import (
    Kernel,
    energy_distance,
    energy_test,
    frechet_distance,
    imq,
    mmd2,
    sliced_wasserstein,
)
from vaelab.metrics.paths import (
    conditional_entropy,
    diversity,
    nearest_share,
    separability,
    step_variation,
)
from vaelab.metrics.perceptual import perceptual_diversity
from vaelab.metrics.quality import inception_score, kernel_distance

__all__ = [
    "Kernel",
    "active_dims",
    "conditional_entropy",
    "direction_variance",
    "diversity",
    "eigenvalue_counts",
    "energy_distance",
    "energy_test",
    "f_score",
    "frechet_distance",
    "imq",
    "inception_score",
    "jacobians",
    "kernel_distance",
    "mean_squared_error",
    "mmd2",
    "nearest",
    "nearest_share",
    "perceptual_diversity",
    "precision_recall",
    "rank_correlation",
    "separability",
    "singular_values",
    "sliced_wasserstein",
    "step_variation",
]
