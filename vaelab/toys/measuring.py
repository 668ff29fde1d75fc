"""Trained toys beside what theory says they can reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from vaelab import theory
from vaelab._door import door
from vaelab._inputs import generator_of
from vaelab.manifolds import Manifold
from vaelab.models import Autoencoder

# Weight of a quadrature node beside the largest: no training run meets data so far out.
NEGLIGIBLE = 1e-5


@dataclass(frozen=True, eq=False)
class Measured:
    """What trained models reach, beside what theory says they can. Every tensor has one row a
    member.

    Args:
        gamma: decoder variance; the geometric mean, where it is learned.
        data_term: −2 E log p(x given z) in nats, as in Eq. 8, shape (S,).
        kl_term: 2 E KL[q ‖ N(0, I)], as in Eq. 9, shape (S,).
        gap: cost minus the certified optimum ½ (d − r) log(2πγ) + H(μ_gt), in nats, shape (S,).
        error: E ‖x − x̂(z)‖² / d over z ~ q, shape (S,).
        error_at_mean: the same at z = μ_z, shape (S,).
        eigenvalues: λ_j at n draws of x, ascending, shape (S, n, κ).
        frobenius: mean relative error of Eq. 83, shape (S,).
        kl_eq83: mean KL from q to the Gaussian of Eq. 83's covariance in nats, shape (S,).
        penalty: the part of it that no diagonal encoder can avoid, `theory.diagonal_penalty`, shape
            (S,).
    """

    gamma: float
    data_term: Tensor
    kl_term: Tensor
    gap: Tensor
    error: Tensor
    error_at_mean: Tensor
    eigenvalues: Tensor
    frobenius: Tensor
    kl_eq83: Tensor
    penalty: Tensor

    @property
    def cost(self) -> Tensor:
        """Nats an example, shape (S,)."""
        return 0.5 * (self.data_term + self.kl_term)

    @property
    def active(self) -> list[theory.ActiveDimensions]:
        """r̂ of every member, with its interval."""
        return [theory.active_dimensions(rows) for rows in self.eigenvalues]

    def share(self, r: int) -> Tensor:
        """At which share of the points r dimensions are active, shape (S,)."""
        return ((self.eigenvalues < 0.5).sum(2) == r).double().mean(1)


@door
@torch.no_grad()
def measure(
    members: Sequence[Autoencoder], truth: Manifold, n: int = 1024, draws: int = 8, seed: int = 0
) -> Measured:
    """Hold models of one γ against the theory, at about n quadrature nodes of μ_gt and 2 · `draws`
    draws of z at each.

    What noise costs a decoder that is straight about μ_z is known by its Jacobian; the draws tell
    the rest alone, a thousandth of a nat on a curve. The λ_j are those at n draws of x, so that a
    share of them is a share of the data.

    Args:
        members: trained models, as of one rung of `train`.
        truth: what they were trained on.
        n: points; the averages over x are a quadrature, so that 1024 are enough.
        draws: antithetic pairs ±ε of noise at each point.
        seed: of the noise and of the draws of x.
    """
    u, w = truth.density.nodes(n)
    met = w > NEGLIGIBLE * w.max()
    dtype = next(members[0].parameters()).dtype
    x = truth.embed(u[met]).to(dtype)
    w = w[met] / w[met].sum()
    generator = generator_of(seed)
    eps = torch.randn(draws, len(x), members[0].latent_dim, generator=generator).to(x)
    rows = [_measure_one(model, x, w, torch.cat([eps, -eps])) for model in members]
    columns = torch.tensor(rows, dtype=torch.float64).T
    error, error_at_mean, kl, frobenius, kl_eq83, penalty = columns
    gamma = torch.tensor([model.gamma for model in members], dtype=torch.float64)
    data_term = truth.d * (error / gamma + (2 * math.pi * gamma).log())
    optimum = [theory.certified_optimum(truth, cast(float, model.gamma)) for model in members]
    gap = 0.5 * data_term + kl - torch.tensor(optimum, dtype=torch.float64)
    points = truth.sample(n, seed=seed).to(dtype)
    eigenvalues = torch.stack([model.codes(points).eigenvalues().double() for model in members])
    return Measured(
        gamma=gamma.log().mean().exp().item(),
        data_term=data_term,
        kl_term=2 * kl,
        gap=gap,
        error=error,
        error_at_mean=error_at_mean,
        eigenvalues=eigenvalues,
        frobenius=frobenius,
        kl_eq83=kl_eq83,
        penalty=penalty,
    )


def _measure_one(model: Autoencoder, x: Tensor, w: Tensor, eps: Tensor) -> list[float]:
    q = model.codes(x)
    J = theory.decoder_jacobian(model.decode, q.mean).double()
    expected = theory.optimal_covariance(J, cast(float, model.gamma))
    sigma = q.covariance().double()
    # What a straight decoder makes of noise is known: draws tell the rest, which is small.
    straight = (J @ sigma @ J.mT).diagonal(dim1=1, dim2=2).mean(1)
    drawn = [_error_of_draws(model, x, q.at(noise), q.mean, J) for noise in eps]
    rows = (
        straight + torch.stack(drawn).mean(0),
        (x - model.images(q.mean)).square().mean(1),
        cast(Tensor, q.kl_to_standard_normal()),
        theory.relative_frobenius(sigma, expected),
        theory.kl_between_covariances(sigma, expected),
        theory.diagonal_penalty(expected),
    )
    return [float(w @ row.double()) for row in rows]


def _error_of_draws(model: Autoencoder, x: Tensor, z: Tensor, mean: Tensor, J: Tensor) -> Tensor:
    """‖x − x̂(z)‖² / d less what J alone, on the way from the mean to z, would make of noise."""
    moved = (J @ (z - mean).double()[:, :, None])[:, :, 0]
    return (x - model.images(z)).double().square().mean(1) - moved.square().mean(1)
