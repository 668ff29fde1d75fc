"""Mass of sets under p_θt, and the two ways in which Theorem 2 has to be read with care.

p_θt(A) = E_z P[f(z) + N(0, γ I) ∈ A] tends to μ_gt(A ∩ χ), unless the boundary of A carries mass.

Source: Dai & Wipf (2019), Theorem 2 (ii), Eq. 6, and Appendix F.
"""

from __future__ import annotations

import math

import torch

from vaelab._inputs import check_positive
from vaelab.manifolds import Chart, Density, Manifold, Mixture, Region, gaussian
from vaelab.theory.gauss import hermite
from vaelab.theory.optimum import OptimalVAE, check_t


def mass_of_set(
    vae: OptimalVAE,
    region: Region,
    t: float,
    n_nodes: int | None = None,
) -> float:
    """p_θt(A) for a half-space, box or ball A, by quadrature over the coordinates.

    The noise N(0, γ I) is integrated in closed form. For r = 1 exact to rounding while 18 / n_nodes
    times |f'| stays below √γ; for r ≥ 2 to some 1e-5, on the nodes of `Manifold.mass`, so that
    p_θt(A) − μ_gt(A) is sharper still.

    Args:
        vae: the optimum of Theorem 1 or 2.
        region: A.
        t: 1/γ.
        n_nodes: by default 2¹⁷ for r = 1 and 2¹⁸ otherwise.

    >>> from vaelab import manifolds
    >>> from vaelab.theory import optimal_vae
    >>> vae = optimal_vae(manifolds.manifold("flat", "gaussian", r=1))
    >>> round(mass_of_set(vae, manifolds.HalfSpace([1.0], 0.0), 1e4), 12)
    0.5
    """
    gamma = 1 / check_t(t)
    n_nodes = n_nodes or 2 ** (17 if vae.r == 1 else 18)
    u, w = vae.truth.density.nodes(n_nodes)
    mass = 0.0
    for nodes, weights in zip(u.split(2**16), w.split(2**16), strict=True):
        x = vae.truth.embed(nodes)
        mass += (weights * region.gaussian_mass(x, gamma)).sum()
    return float(mass)


def mass_under_graph(
    curve: Manifold,
    t: float,
    thicken: float = 0.0,
    n_nodes: int = 2**14,
) -> float:
    """p_θt(A) for A = {x : x₂ ≤ g(x₁) + thicken}, where the curve χ = {x₂ = g(x₁)} is the boundary
    of A itself.

    μ_gt(A) = 1, but for `thicken` = 0 the limit of p_θt(A) is ½: half of the noise falls on the
    other side. Theorem 2 (ii) asks that the boundary carry no mass, and here it carries all of it.

    Args:
        curve: a graph in the plane such as "sine_curve": u is x₁.
        t: 1/γ.
        thicken: ≥ 0, by how much A is made larger.
        n_nodes: of the quadrature over u.

    Raises:
        ValueError: not a graph in the plane.
    """
    sigma = math.sqrt(1 / check_t(t))
    u, w = curve.density.nodes(n_nodes)
    if (curve.r, curve.d) != (1, 2) or not torch.allclose(curve.embed(u)[:, :1], u):
        raise ValueError(
            f"curve: expected the graph of a function in the plane, got the {curve.chart.name}"
        )
    eps, p = hermite(1, 40)
    height = curve.embed(u)[:, 1]
    moved = (u + sigma * eps[:, 0]).reshape(-1, 1)
    border = curve.embed(moved)[:, 1].reshape(len(u), -1)
    room = border - height[:, None] + thicken
    return float(w @ torch.special.ndtr(room / sigma) @ p)


def kl_between_measures(p: Density, q: Density, n_nodes: int = 2**14) -> float:
    """KL[p ‖ q] in nats between two densities of the coordinates, by quadrature.

    On one manifold it is KL[μ_p ‖ μ_q], the constant by which a model with the wrong measure q
    costs more than the optimum (claim D9): both costs fall as ½ (d − r) log γ, so falling to −∞
    does not certify the measure.

    >>> from vaelab import manifolds
    >>> p, q = manifolds.gaussian(1), manifolds.gaussian(1, mean=torch.ones(1))
    >>> round(kl_between_measures(p, q), 9)
    0.5
    """
    u, w = p.nodes_inside(n_nodes)
    log_ratio = p.log_prob(u) - q.log_prob(u)
    return float((w * log_ratio).sum())


def wrong_measure(truth: Manifold) -> Manifold:
    """The same manifold with a Gaussian of the same mean and covariance in place of the density: an
    affine map instead of Knothe's.

    Raises:
        ValueError: the density has no moments in closed form (not a mixture).
    """
    if not isinstance(truth.density, Mixture):
        kind = type(truth.density).__name__
        raise ValueError(
            f"density: expected a Mixture, got {kind}; choose the wrong one with "
            "truth.with_density(...)"
        )
    mean, covariance = truth.density.moments()
    return Manifold(truth.chart, gaussian(truth.r, mean, covariance))


def empty_set_mass(chart: Chart, gamma: float) -> float:
    """The mass of A ⊂ χ itself under p_θt: 0 for every γ > 0 when r < d, though μ_gt(A) may be 1.

    χ has no volume in ℝ^d and p_θt has a density there. With r = d the set χ is the whole space: 1.
    """
    check_positive("gamma", gamma)
    return 0.0 if chart.r < chart.d else 1.0
