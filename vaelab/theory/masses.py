"""Mass of sets under p_θt, and the two ways in which Theorem 2 has to be read with care.

p_θt(A) = E_z P[f(z) + N(0, γ I) ∈ A] tends to μ_gt(A ∩ χ), unless the boundary of A carries mass.

Source: Dai & Wipf (2019), Theorem 2 (ii), Eq. 6, and Appendix F.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from vaelab._door import door
from vaelab._inputs import check_positive
from vaelab.manifolds import Density, Manifold, Mixture, Region, gaussian, row_hessian
from vaelab.theory.gauss import hermite
from vaelab.theory.optimum import OptimalVAE, log_p_theta_lattice


@door
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
    gamma = 1 / t
    n_nodes = n_nodes or 2 ** (17 if vae.r == 1 else 18)
    u, w = vae.truth.density.nodes(n_nodes)
    mass = 0.0
    for nodes, weights in zip(u.split(2**16), w.split(2**16), strict=True):
        x = vae.truth.embed(nodes)
        mass += (weights * region.gaussian_mass(x, gamma)).sum()
    return float(mass)


@door
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
    sigma = math.sqrt(1 / t)
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


@door
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


@door
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


@door
def mass_of_tube(
    vae: OptimalVAE,
    t: float,
    width: float,
    n_nodes: int = 200,
) -> float:
    """p_θt(A_h) for the tube A_h = {ψ(u) + s n(u) : |s| ≤ h} around a curve in the plane.

        p_θt(A_h) = ∫ ∫ p_θt(ψ + s n) |ψ'| |1 − s k| ds du        (n the normal, k the curvature)

    by quadrature over u and s. μ_gt(A_h) = 1 for every h, and χ lies in all of them; yet the mass
    falls to 0 with h at every γ, as that of N(0, γ) on [−h, h]. So p_θt(χ) = 0, though μ_gt(χ) = 1.

    Args:
        vae: the optimum on a curve in the plane.
        t: 1/γ.
        width: h > 0, smaller than the radii of the curve's bends.
        n_nodes: of the quadrature over u; p_θt takes twenty times as many over z.

    Raises:
        ValueError: not a curve in the plane, or h ≤ 0.
    """
    check_positive("width", width)
    truth = vae.truth
    if (truth.r, truth.d) != (1, 2):
        raise ValueError(f"vae: expected a curve in the plane, got r = {truth.r}, d = {truth.d}")
    u, w = truth.density.nodes(n_nodes)
    tangent = truth.jacobian(u)[:, :, 0]
    speed = tangent.norm(dim=1)
    normal = torch.stack([-tangent[:, 1], tangent[:, 0]], 1) / speed[:, None]
    bend = row_hessian(truth.embed, u)[:, :, 0, 0]
    curvature = (bend * normal).sum(1) / speed.square()
    share = w * speed / truth.density.log_prob(u).exp()
    mass = 0.0
    reach = min(width, 6 / math.sqrt(t))
    for node, weight in zip(*np.polynomial.legendre.leggauss(12), strict=True):
        s = reach * node
        density = log_p_theta_lattice(vae, truth.embed(u) + s * normal, t, 20 * n_nodes).exp()
        area = (1 - s * curvature).abs()
        mass += reach * weight * float((share * area * density).sum())
    return float(mass)
