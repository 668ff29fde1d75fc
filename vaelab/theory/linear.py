"""The linear VAE in closed form: probabilistic PCA, the exact twin of every trained check.

For data with covariance C (eigenvalues ℓ_1 ≥ … ≥ ℓ_d, eigenvectors e_j), decoder W z + mean and
variance γ, the optimum at this γ is W = [√(ℓ_j − γ)₊ e_j], j ≤ κ, up to a rotation of z, and a
Gaussian encoder makes the bound exact:

    λ_j  = γ / ℓ_j where ℓ_j > γ, else 1        (eigenvalues of Σ_z; a mode is active if ℓ_j > γ)
    cost = ½ [ d log 2πγ + Σ_active (log ℓ_j/γ + 1) + Σ_others ℓ_j/γ ]        (nats an example)

Source: Tipping & Bishop (1999); Dai & Wipf (2019), Section 3, and Theorem 3 with its footnote 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab._door import door
from vaelab.manifolds.lattice import float64


@dataclass(frozen=True, eq=False)
class LinearOptimum:
    """The optimal linear VAE at one γ.

    Args:
        gamma: decoder variance.
        weights: W, shape (d, κ), orthogonal columns.
        encoder: V in μ_z = V (x − mean), shape (κ, d).
        sigma_z: Σ_z, the same for every x, shape (κ, κ), diagonal.
        data_term: −2 E log p(x given z), in nats an example, as in Eq. 8.
        kl_term: 2 E KL[q ‖ N(0, I)], as in Eq. 9.
    """

    gamma: float
    weights: Tensor
    encoder: Tensor
    sigma_z: Tensor
    data_term: float
    kl_term: float

    @property
    def cost(self) -> float:
        """The VAE cost in nats an example, half the sum of both terms: −E log p_θ(x) here."""
        return 0.5 * (self.data_term + self.kl_term)

    @property
    def n_active(self) -> int:
        """How many λ_j < 1, that is ℓ_j > γ by more than the rounding of the eigenvalues.

        >>> C = torch.diag(torch.tensor([1.0, 0.3, 0.3], dtype=torch.float64))
        >>> linear_optimum(C, 3, 0.3).n_active
        1
        """
        lam = self.sigma_z.diagonal()
        rounding = len(self.weights) * torch.finfo(lam.dtype).eps / lam.min()
        return int((1 / lam - 1 > rounding).sum())


@door
def linear_optimum(covariance: Tensor, latent_dim: int, gamma: float) -> LinearOptimum:
    """The optimal affine encoder and decoder for Gaussian data N(0, C) (or any data: only C
    matters) at a fixed γ.

    Args:
        covariance: C, symmetric, positive semi-definite, shape (d, d).
        latent_dim: κ ≥ 1.
        gamma: decoder variance > 0.

    Raises:
        ValueError: C not symmetric positive semi-definite, κ < 1 or γ ≤ 0.

    >>> C = torch.diag(torch.tensor([4.0, 1.0, 0.0], dtype=torch.float64))
    >>> best = linear_optimum(C, latent_dim=2, gamma=0.5)
    >>> best.n_active, best.sigma_z.diagonal().tolist()
    (2, [0.125, 0.5])
    """
    values, vectors = spectrum(covariance)
    d = len(values)
    q = min(latent_dim, d)
    kept = values[:q].clamp_min(gamma)
    below = (values[:q] - gamma).clamp_max(0)
    rest = values[q:].sum() + below.sum()
    weights = torch.zeros(d, latent_dim, dtype=torch.float64)
    weights[:, :q] = vectors[:, :q] * (kept - gamma).sqrt()
    sigma = torch.ones(latent_dim, dtype=torch.float64)
    sigma[:q] = gamma / kept
    encoder = sigma[:, None] * weights.T / gamma
    noise_term = noise_cost(d, gamma)
    data_term = noise_term + q + float(rest) / gamma
    kl_term = float((kept / gamma).log().sum())
    return LinearOptimum(gamma, weights, encoder, sigma.diag(), data_term, kl_term)


def noise_cost(d: int, gamma: float) -> float:
    """d log 2πγ: twice the nats that d coordinates of noise cost."""
    return d * math.log(2 * math.pi * gamma)


@door
def spectrum(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues of C, largest first, shape (d,), rounding below zero removed, and eigenvectors,
    (d, d), as columns.

    Raises:
        ValueError: C not square, symmetric and positive semi-definite.
    """
    C = float64(covariance, "covariance")
    square = C.ndim == 2 and C.shape[0] == C.shape[1]
    if not square or not torch.allclose(C, C.T, rtol=1e-9, atol=1e-12):
        raise ValueError(
            f"covariance: expected a symmetric matrix of shape (d, d), got {tuple(C.shape)}"
        )
    values, vectors = torch.linalg.eigh(0.5 * (C + C.T))
    if values[0] < -1e-10 * values[-1].abs() or not values[-1] > 0:
        raise ValueError(
            f"covariance: expected eigenvalues ≥ 0, not all zero, got {values[0]:.3g} … "
            f"{values[-1]:.3g}"
        )
    floor = len(values) * torch.finfo(C.dtype).eps * values[-1]
    kept = torch.where(values > floor, values, 0.0)
    return kept.flip(0), vectors.flip(1)


@door
def optimal_gamma(covariance: Tensor, latent_dim: int) -> float:
    """The best γ of the linear VAE: the mean of the eigenvalues that κ dimensions leave out.

    0 when κ ≥ rank C and rank C < d: the cost has no minimum and falls to −∞ (Theorem 3). For κ ≥ d
    = rank C every γ ≤ ℓ_d is optimal, none lower than the other (footnote 3, the exception); the
    largest, ℓ_d, is returned.

    >>> optimal_gamma(torch.diag(torch.tensor([4.0, 1.0, 0.0])), latent_dim=2)
    0.0
    >>> optimal_gamma(torch.diag(torch.tensor([4.0, 1.0, 0.5])), latent_dim=1)
    0.75
    """
    values, _ = spectrum(covariance)
    left_out = values[latent_dim:] if latent_dim < len(values) else values[-1:]
    return float(left_out.mean())


@door
def linear_cost(
    covariance: Tensor,
    weights: Tensor,
    encoder: Tensor,
    scale: Tensor,
    gamma: float,
) -> tuple[Tensor, Tensor]:
    """Both halves of the cost of *any* linear VAE: x ~ (0, C), z = V x + S ε, x̂ = W z.

        −2 E log p(x given z) = d log 2πγ + tr[(I − W V) C (I − W V)ᵀ + W S Sᵀ Wᵀ] / γ
        2 E KL               = tr[V C Vᵀ + S Sᵀ] − κ − log det S Sᵀ

    Differentiable, so that an optimiser can be held against `linear_optimum`.

    Args:
        covariance: C, (d, d).
        weights: W, (d, κ).
        encoder: V, (κ, d).
        scale: S, (κ, κ), not singular.
        gamma: decoder variance > 0.

    Returns:
        data term and KL term, scalars; the cost in nats is half their sum.
    """
    d, kappa = weights.shape
    miss = torch.eye(d, dtype=weights.dtype) - weights @ encoder
    error = _trace(miss, covariance) + (weights @ scale).square().sum()
    data_term = noise_cost(d, gamma) + error / gamma
    spread = _trace(encoder, covariance) + scale.square().sum()
    log_det = torch.linalg.slogdet(scale).logabsdet
    return data_term, spread - kappa - 2 * log_det


def _trace(map_: Tensor, covariance: Tensor) -> Tensor:
    """tr[M C Mᵀ]."""
    return torch.einsum("ij,jk,ik->", map_, covariance, map_)
