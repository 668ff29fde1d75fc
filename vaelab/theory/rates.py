"""How fast Theorems 1 and 2 converge: the constants in front of γ, in closed form.

With z = μ_z + √γ S₁ w, S₁ = (JᵀJ)^(−1/2), w ~ N(0, I), the log ratio ℓ of the joint to q is
c − √γ δ₁(w) + O(γ),

    δ₁ = μ_z · S₁w + ½ (J S₁ w) · f''[S₁w, S₁w]

and KL = log E e^ℓ − E ℓ = ½ γ Var δ₁ + O(γ²), the term of order γ^(3/2) being odd in w. The paper
proves the limits; the constants are worked out here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab._door import door
from vaelab.manifolds import Density, Manifold, Mixture, row_hessian, row_jacobian
from vaelab.manifolds.lattice import float64
from vaelab.theory.optimum import OptimalVAE, inverse_root


@door
def kl_rate_exact(vae: OptimalVAE, x: Tensor) -> Tensor:
    """lim KL[q ‖ p_θ(z given x)] / γ = ½ Var δ₁ for each x on the manifold, in nats; shape (n,).

    For a linear term a·w and a symmetric cubic ½ T[w, w, w], Var = ‖a‖² + 3 a·τ + ¼ (6 ‖T‖² + 9
    ‖τ‖²), τ_i = Σ_j T_ijj. For r = 1: ½ (z²/a² + 3 z b/a³ + 15 b²/(4 a⁴)), a = f', b = f''.

    >>> from vaelab import manifolds
    >>> from vaelab.theory import optimal_vae
    >>> vae = optimal_vae(manifolds.manifold("flat", "gaussian", r=1))
    >>> round(kl_rate_exact(vae, torch.tensor([[2.0]], dtype=torch.float64)).item(), 9)     # z²/2
    2.0
    """
    J = vae.jacobian(x)
    S = inverse_root(J)
    code = vae.encode(x) @ vae.basis[:, : vae.r]
    a = torch.einsum("nij,ni->nj", S, code)
    bend = torch.einsum("ndkl,nki,nlj->ndij", vae.hessian(x), S, S)
    T = torch.einsum("ndi,ndjk->nijk", J @ S, bend)
    T = (T + T.permute(0, 2, 1, 3) + T.permute(0, 3, 2, 1)) / 3
    tau = torch.einsum("nijj->ni", T)
    cubic = 6 * T.square().sum((1, 2, 3)) + 9 * tau.square().sum(1)
    linear = a.square().sum(1)
    cross = 3 * (a * tau).sum(1)
    return 0.5 * (linear + cross + 0.25 * cubic)


@door
def laplacian(density: Density, x: Tensor) -> Tensor:
    """Δp = p (Δ log p + ‖∇ log p‖²), shape (n,)."""

    def log_p(v: Tensor) -> Tensor:
        return density.log_prob(v)[:, None]

    slope = row_jacobian(log_p, x)[:, 0]
    bend = row_hessian(log_p, x)[:, 0].diagonal(dim1=1, dim2=2)
    p = density.log_prob(x).exp()
    return p * (bend.sum(1) + slope.square().sum(1))


@door
def l1_distance(density: Mixture, t: float, n_nodes: int = 2**15) -> float:
    """∫ |p_θt − p_gt| dx for r = d, the distance Theorem 1 (i) sends to 0.

    As E[2 |p_θt − p_gt| / (p_θt + p_gt)] under the even mixture of the two densities: the integrand
    lies in [0, 2].
    """
    blurred = density.convolve(1 / t)
    total = 0.0
    for source in (density, blurred):
        x, w = source.nodes(n_nodes)
        p = density.log_prob(x)
        q = blurred.log_prob(x)
        distance = torch.tanh(0.5 * (p - q)).abs()
        total += float((w * distance).sum())
    return total


@door
def l1_rate_exact(density: Density, n_nodes: int = 2**15) -> float:
    """lim ∫ |p_θt − p_gt| dx / γ = ½ ∫ |Δp_gt| dx, since p_θt = p_gt + ½ γ Δp_gt + O(γ²) (heat
    equation).
    """
    x, w = density.nodes(n_nodes)
    ratio = laplacian(density, x) / density.log_prob(x).exp()
    return 0.5 * float((w * ratio.abs()).sum())


@door
def sup_distance(density: Mixture, x: Tensor, t: float) -> float:
    """max |p_θt(x) − p_gt(x)| over the given points, shape (n, r)."""
    blurred = density.convolve(1 / t)
    difference = blurred.log_prob(x).exp() - density.log_prob(x).exp()
    return float(difference.abs().max())


@door
def sup_rate_exact(density: Density, x: Tensor) -> float:
    """lim max |p_θt − p_gt| / γ = ½ max |Δp_gt| over the given points, shape (n, r)."""
    return 0.5 * float(laplacian(density, x).abs().max())


@door
def nll_limit(truth: Manifold, x: Tensor, t: float) -> Tensor:
    """−log p_θt(x) up to O(γ): ½ (d − r) log(2πγ) − log p̃_gt(x), for x on the manifold, in nats;
    shape (n,).
    """
    return 0.5 * (truth.d - truth.r) * math.log(2 * math.pi / t) - truth.log_density(x)


@door
def certified_optimum(truth: Manifold, gamma: float) -> float:
    """½ (d − r) log(2πγ) + H(μ_gt): the cost of the best VAE at this γ up to O(γ), nats an example.

    The yardstick for trained models: a cost above it is a gap, a cost below it is an error (or a γ
    too large).

    Source: the limit behind Dai & Wipf (2019), Theorem 2 (i), which holds where H(μ_gt) is finite.

    Raises:
        ValueError: the entropy is infinite or not to be had by quadrature; see `tails.LogTail`.

    >>> from vaelab import manifolds
    >>> line = manifolds.manifold("flat", "gaussian", r=1)
    >>> certified_optimum(line, 0.01)                       # ½ (1 + log 2π), as r = d
    1.418938533204...
    """
    return 0.5 * (truth.d - truth.r) * math.log(2 * math.pi * gamma) + truth.entropy()


@door
def slope_in_log_gamma(
    gammas: list[float] | Tensor, values: list[float] | Tensor
) -> tuple[float, float]:
    """Least-squares slope of `values` against log γ, and its standard error (0 for two points).

    >>> gammas = torch.tensor([1e-1, 1e-2, 1e-3])
    >>> round(slope_in_log_gamma(gammas, 2 * gammas.log())[0], 6)
    2.0
    """
    log_gamma = float64(gammas, "gammas").log()
    y = float64(values, "values")
    if len(y) < 2 or len(y) != len(log_gamma) or not torch.isfinite(log_gamma).all():
        raise ValueError(
            f"slope: expected 2 or more values, one for each γ > 0, got {len(y)} for "
            f"{len(log_gamma)}"
        )
    away = log_gamma - log_gamma.mean()
    spread = away.square().sum()
    slope = float((away * y).sum() / spread)
    left = y - y.mean() - slope * away
    variance = float(left.square().sum() / spread) / max(len(y) - 2, 1)
    return slope, math.sqrt(variance)
