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

import copy
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor

from vaelab import models, networks, theory
from vaelab._inputs import check_positive_int
from vaelab.manifolds import Manifold
from vaelab.models import Autoencoder
from vaelab.training import Anneal, Cosine, Plan, Session, fit_together

# Adam's: gradients grow as γ falls, and a longer memory of their squares lets steps run away.
BETAS = (0.9, 0.99)
# Weight of a quadrature node beside the largest: no training run meets data so far out.
NEGLIGIBLE = 1e-5
# Points drawn for a training run: each is met a few times by a member, as good as fresh ones.
N_DATA = 2**17
QUIET = Session(device="cpu", progress=False)


def standardised(truth: Manifold, n_nodes: int = 2**14) -> Manifold:
    """The same manifold moved to mean 0 and scaled to a variance of 1 on average over the d
    coordinates.

    γ then has a scale: 1 is the error of the mean, and the PCA eigenvalues add up to d.

    >>> from vaelab import manifolds
    >>> line = standardised(manifolds.manifold("helix"))
    >>> round(float(line.expectation(lambda x: x.square().mean(1))), 6)
    1.0
    """
    u, w = truth.density.nodes(n_nodes)
    x = truth.embed(u)
    mean = w @ x
    scale = (w @ (x - mean).square().mean(1)).sqrt()
    old = truth.chart
    chart = dataclasses.replace(
        old,
        embed=lambda u: (old.embed(u) - mean) / scale,
        coordinates=lambda x: old.coordinates(x * scale + mean),
    )
    return Manifold(chart, truth.density)


def covariance(truth: Manifold, n_nodes: int = 2**14) -> Tensor:
    """Covariance of x ~ μ_gt by quadrature, shape (d, d); its eigenvalues say where γ has to
    start.
    """
    u, w = truth.density.nodes(n_nodes)
    away = truth.embed(u) - w @ truth.embed(u)
    return away.T @ (w[:, None] * away)


def members(
    truth: Manifold,
    latent_dim: int,
    n_seeds: int = 5,
    hidden: Sequence[int] = (64, 64),
    full: bool = False,
    gamma: float | str = 1.0,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> list[Autoencoder]:
    """Untrained VAEs for a toy that differ in their initial weights alone; the last layers start at
    a tenth.
    """
    out = []
    for s in range(n_seeds):
        with networks.seeded(seed + s):
            model = models.vae(networks.mlp(truth.d, latent_dim, hidden), gamma, full=full)
        with torch.no_grad():
            for last in (cast(Any, model.decoder)[1], cast(Any, model.posterior).parameters_of_q):
                last.weight.mul_(0.1)
        out.append(model.to(dtype))
    return out


def train(
    truth: Manifold,
    latent_dim: int,
    gammas: Sequence[float] = (1e-2,),
    steps: int | Sequence[int] = 4000,
    n_seeds: int = 5,
    *,
    start: float | None = None,
    over: float = 0.6,
    lr: float = 2e-2,
    batch_size: int = 256,
    hidden: Sequence[int] = (64, 64),
    full: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> list[list[Autoencoder]]:
    """Anneal γ down a ladder and settle on every rung; the models as they stand at the end of each.

    On each rung γ falls geometrically over a share of the steps and is then held, while the step
    size falls along half a cosine from lr · min(1, (100 γ)^¼). γ starts above the top PCA
    eigenvalue, where no direction is active (N6), so that each λ_j leaves 1 in its turn: whoever
    starts far lower wakes a latent dimension for every PCA direction at once, and may keep too many
    (N1).

    Args:
        truth: what to learn; `standardised`, so that `lr` fits.
        latent_dim: κ ≥ r.
        gammas: the rungs, falling.
        steps: on each rung, or one number for all.
        n_seeds: initialisations trained side by side, each on batches of its own.
        start: where γ starts; 5/4 of the top PCA eigenvalue unless given.
        over: share of a rung over which γ falls.
        lr: Adam's step size at the beginning.
        batch_size: rows a step for each seed.
        hidden: widths of the networks.
        full: whether Σ_z is a full matrix.
        seed: of the first member, of data and noise.
        dtype: of the networks.

    Returns:
        for every rung the `n_seeds` models.

    Raises:
        ValueError: κ < r, γ that do not fall, or not as many `steps` as `gammas`.
        TrainingDiverged: as `training.fit`.
    """
    check_positive_int("n_seeds", n_seeds)
    if latent_dim < truth.r:
        raise ValueError(
            f"latent_dim: expected κ ≥ r = {truth.r}, got {latent_dim}; no VAE can fill the "
            "manifold"
        )
    start = 1.25 * float(theory.spectrum(covariance(truth))[0][0]) if start is None else start
    ladder = list(pairwise((start, *gammas)))
    if not ladder or any(not 0 < b <= a for a, b in ladder):
        raise ValueError(
            f"gammas: expected values > 0 that fall from the start, {start:.3g}, got "
            f"{tuple(gammas)}"
        )
    each = [steps] * len(gammas) if isinstance(steps, int) else list(steps)
    trained = members(truth, latent_dim, n_seeds, hidden, full, start, seed, dtype)
    x = truth.sample(N_DATA, seed=seed)
    rungs = []
    for k, ((above, gamma), n_steps) in enumerate(zip(ladder, each, strict=True)):
        epochs = -(-n_steps * batch_size // len(x))  # As many as it takes, …
        some = x[: -(-n_steps // epochs) * batch_size]  # … over as many of the points.
        plan = Plan(
            epochs=epochs,
            batch_size=batch_size,
            lr=lr * min(1.0, 100 * gamma) ** 0.25,
            schedule=Cosine(),
            gamma_schedule=Anneal(above, gamma, over),
            betas=BETAS,
        )
        seeds = [seed + s + n_seeds * k for s in range(n_seeds)]
        fit_together(trained, some, plan, QUIET, seeds=seeds)
        rungs.append(copy.deepcopy(trained))
    return rungs


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


@torch.no_grad()
def measure(
    members: Sequence[Autoencoder], truth: Manifold, n: int = 1024, draws: int = 8, seed: int = 0
) -> Measured:
    """Hold models of one γ against the theory, at about n quadrature nodes of μ_gt and 2 · `draws`
    draws of z at each.

    The λ_j are those at n draws of x, so that a share of them is a share of the data.

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
    generator = torch.Generator().manual_seed(seed)
    eps = torch.randn(draws, len(x), members[0].latent_dim, generator=generator).to(x)
    rows = [_measure_one(model, x, w, torch.cat([eps, -eps])) for model in members]
    error, error_at_mean, kl, frobenius, kl_eq83, penalty = torch.tensor(
        rows, dtype=torch.float64
    ).T
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
    errors = [(x - model.images(q.at(noise))).square().mean(1) for noise in eps]
    J = theory.decoder_jacobian(model.decode, q.mean).double()
    expected = theory.optimal_covariance(J, cast(float, model.gamma))
    sigma = q.covariance().double()
    rows = (
        torch.stack(errors).mean(0),
        (x - model.images(q.mean)).square().mean(1),
        cast(Tensor, q.kl_to_standard_normal()),
        theory.relative_frobenius(sigma, expected),
        theory.kl_between_covariances(sigma, expected),
        theory.diagonal_penalty(expected),
    )
    return [float(w @ row.double()) for row in rows]
