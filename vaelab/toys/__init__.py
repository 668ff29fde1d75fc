"""Train toys to their theory: several seeds as one model, γ annealed down a ladder, the cost held
to its optimum.

    from vaelab import manifolds, toys

    truth = toys.standardised(manifolds.manifold("smooth_graph", r=2, d=10))
    (models,) = toys.train(truth, latent_dim=5, gammas=(1e-2,))     # five seeds, annealed to this γ
    found = toys.measure(models, truth)
    found.gap                             # nats above what no VAE can beat, one a seed

The members are ordinary models, trained side by side by `training.fit_together`.
"""

from __future__ import annotations

from vaelab.toys.geodesic import BETAS, QUIET, GeodesicCoordinates, geodesic_coordinates, widen
from vaelab.toys.ladder import N_DATA, members, train
from vaelab.toys.measuring import Measured, measure
from vaelab.toys.truth import Outlook, covariance, explain, standardised

__all__ = [
    "BETAS",
    "N_DATA",
    "QUIET",
    "GeodesicCoordinates",
    "Measured",
    "Outlook",
    "covariance",
    "explain",
    "geodesic_coordinates",
    "measure",
    "members",
    "standardised",
    "train",
    "widen",
]
