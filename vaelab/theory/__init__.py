"""The theorems of Dai & Wipf (2019) as functions: explicit constructions, quadrature and closed
forms, no training.

    from vaelab import manifolds, theory

    truth = manifolds.manifold("helix", "bimodal")
    vae = theory.optimal_vae(truth, latent_dim=4, seed=0)
    x = truth.sample(100, seed=1)
    theory.kl_q_to_posterior(vae, x, t=1e4)              # → 0 as t = 1/γ grows (Theorems 1 and 2)
    theory.certified_optimum(truth, gamma=1e-4)          # what no trained model can beat

- `knothe`: F, G⁻¹∘F and F⁻¹∘G of a density.
- `optimum`: the optimal encoder and decoder, log p_θ, the cost, KL to the true posterior.
- `rates`: the constants in front of γ, and the certified optimum.
- `masses`: p_θ(A); boundaries that carry mass; wrong measures on the right manifold.
- `tails`: densities for which a printed proof or theorem fails.
- `linear`: probabilistic PCA in closed form.
- `split`: Eq. 83 for any decoder, active dimensions.

Everything is float64.
"""

from __future__ import annotations

from vaelab.theory import tails
from vaelab.theory.gauss import hermite
from vaelab.theory.knothe import (
    from_noise,
    normal_score,
    rosenblatt,
    to_noise,
    to_noise_hessian,
    to_noise_jacobian,
)
from vaelab.theory.linear import LinearOptimum, linear_cost, linear_optimum, optimal_gamma, spectrum
from vaelab.theory.masses import (
    kl_between_measures,
    mass_of_set,
    mass_of_tube,
    mass_under_graph,
    wrong_measure,
)
from vaelab.theory.optimum import (
    OptimalVAE,
    cost_terms,
    inverse_root,
    kl_q_to_posterior,
    log_p_theta,
    log_p_theta_decoder,
    log_p_theta_lattice,
    loss,
    optimal_vae,
    reconstruction_error,
    squared_error,
)
from vaelab.theory.rates import (
    certified_optimum,
    kl_rate_exact,
    l1_distance,
    l1_rate_exact,
    laplacian,
    nll_limit,
    slope_in_log_gamma,
    sup_distance,
    sup_rate_exact,
)
from vaelab.theory.split import (
    ActiveDimensions,
    active_dimensions,
    decoder_jacobian,
    diagonal_penalty,
    kl_between_covariances,
    optimal_covariance,
    optimal_eigenvalues,
    relative_frobenius,
    wilson_interval,
)

__all__ = [
    "ActiveDimensions",
    "LinearOptimum",
    "OptimalVAE",
    "active_dimensions",
    "certified_optimum",
    "cost_terms",
    "decoder_jacobian",
    "diagonal_penalty",
    "from_noise",
    "hermite",
    "inverse_root",
    "kl_between_covariances",
    "kl_between_measures",
    "kl_q_to_posterior",
    "kl_rate_exact",
    "l1_distance",
    "l1_rate_exact",
    "laplacian",
    "linear_cost",
    "linear_optimum",
    "log_p_theta",
    "log_p_theta_decoder",
    "log_p_theta_lattice",
    "loss",
    "mass_of_set",
    "mass_of_tube",
    "mass_under_graph",
    "nll_limit",
    "normal_score",
    "optimal_covariance",
    "optimal_eigenvalues",
    "optimal_gamma",
    "optimal_vae",
    "reconstruction_error",
    "relative_frobenius",
    "rosenblatt",
    "slope_in_log_gamma",
    "spectrum",
    "squared_error",
    "sup_distance",
    "sup_rate_exact",
    "tails",
    "to_noise",
    "to_noise_hessian",
    "to_noise_jacobian",
    "wilson_interval",
    "wrong_measure",
]
