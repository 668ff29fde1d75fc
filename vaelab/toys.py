"""Train toys to their theory: several seeds as one model, γ annealed down a ladder, the cost held
to its optimum.

    from vaelab import manifolds, toys

    truth = toys.standardised(manifolds.manifold("smooth_graph", r=2, d=10))
    (models,) = toys.train(truth, latent_dim=5, gammas=(1e-2,))       # five seeds, above the top
    eigenvalue down to γ found = toys.measure(models, truth)
    found.gap                                                         # nats above what no VAE can
    beat, one a seed

The members of an ensemble are ordinary models: trained stacked, by the one loop of `training.fit`,
then taken apart.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from vaelab import models, networks, theory, training
from vaelab._inputs import check_positive_int
from vaelab.manifolds import Manifold
from vaelab.models import Autoencoder

BETAS = (
    0.9,
    0.99,
)  # Adam's: gradients grow as γ falls, and a longer memory of their squares lets steps run away
NEGLIGIBLE = (
    1e-5  # weight of a quadrature node beside the largest: no training run meets data so far out
)
N_DATA = (
    2**17
)  # points drawn for a training run: each is met a few times by a member, as good as fresh ones


class StackedLinear(nn.Module):
    """The dense layers of S models as one batched product: the rows of a batch are S equal groups,
    one a model.

    Args:
        layers: one `nn.Linear` of each model, all of one shape.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.stack([layer.weight.detach().T for layer in layers])
        )  # (S, n_in, n_out)
        self.bias = nn.Parameter(
            torch.stack([layer.bias.detach()[None] for layer in layers])
        )  # (S, 1, n_out)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (S·b, n_in) to (S·b, n_out)."""
        groups = rows.unflatten(0, (len(self.weight), -1))
        return torch.baddbmm(self.bias, groups, self.weight).flatten(0, 1)


def stack(members: Sequence[Autoencoder]) -> Autoencoder:
    """One model that is S models of one kind side by side, for batches of S equal groups of rows,
    one a member.

    Everything works on rows, so the stacked model trains by `training.fit` like any other; Adam
    takes no notice of another member's gradients. Five members cost about twice as much as one. For
    dense networks without batch norm and one γ for all; `training.fit_together` takes every kind of
    `vaelab.models`, and gains on a GPU alone.

    Args:
        members: models of one specification, with the same γ.

    Raises:
        ValueError: no member, or members of different specifications.
    """
    if not members or any(member.spec() != members[0].spec() for member in members):
        raise ValueError(
            f"stack: expected models of one specification, got {len(members)} that differ or none"
        )
    stacked = copy.deepcopy(members[0])
    for name, layer in list(stacked.named_modules()):
        if isinstance(layer, nn.Linear):
            parent, _, child = name.rpartition(".")
            setattr(
                stacked.get_submodule(parent),
                child,
                StackedLinear([m.get_submodule(name) for m in members]),
            )
    return stacked


def unstack(stacked: Autoencoder) -> list[Autoencoder]:
    """The members of a stacked model, as ordinary models with its γ."""
    layers = {
        name: layer for name, layer in stacked.named_modules() if isinstance(layer, StackedLinear)
    }
    if not layers:
        raise ValueError("unstack: expected a model made by stack, got one without stacked layers")
    members = []
    for s in range(len(next(iter(layers.values())).weight)):
        state = {
            k: v for k, v in stacked.state_dict().items() if k.rpartition(".")[0] not in layers
        }
        for name, layer in layers.items():
            state |= {f"{name}.weight": layer.weight[s].T, f"{name}.bias": layer.bias[s, 0]}
        member = models.from_spec(stacked.spec()).to(next(stacked.parameters()).dtype)
        member.load_state_dict(state)
        members.append(member.eval())
    return members


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
            model = models.vae(networks.mlp(truth.d, latent_dim, hidden), gamma, full=full).to(
                dtype
            )
        with torch.no_grad():
            model.decoder[1].weight.mul_(0.1), model.posterior.parameters_of_q.weight.mul_(0.1)
        out.append(model)
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
    plan = [steps] * len(gammas) if isinstance(steps, int) else list(steps)
    model, rungs = stack(members(truth, latent_dim, n_seeds, hidden, full, start, seed, dtype)), []
    x = truth.sample(N_DATA, seed=seed)
    for k, ((above, gamma), n_steps) in enumerate(zip(ladder, plan, strict=True)):
        anneal, size = training.Anneal(above, gamma, over), lr * min(1.0, 100 * gamma) ** 0.25
        _settle(model, x, n_steps, n_seeds * batch_size, anneal, size, seed + k)
        rungs.append(unstack(model))
    return rungs


def _settle(
    model: Autoencoder,
    x: Tensor,
    steps: int,
    rows: int,
    anneal: training.Anneal,
    lr: float,
    seed: int,
) -> None:
    """`steps` steps of `rows` rows by the one training loop: as many epochs as it takes, over as
    many of the points.
    """
    epochs = -(-steps * rows // len(x))
    some = x[: -(-steps // epochs) * rows]
    training.fit(
        model,
        some,
        epochs=epochs,
        batch_size=rows,
        lr=lr,
        schedule=training.Cosine(),
        gamma_schedule=anneal,
        betas=BETAS,
        seed=seed,
        device="cpu",
        progress=False,
    )


@dataclass(frozen=True, eq=False)
class Measured:
    """What trained models reach, beside what theory says they can. Every tensor has one row a
    member.

    Args:
        gamma: decoder variance.
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
    u, w = u[w > NEGLIGIBLE * w.max()], w[w > NEGLIGIBLE * w.max()]
    dtype, gamma = next(members[0].parameters()).dtype, members[0].gamma
    x, w = truth.embed(u).to(dtype), w / w.sum()
    eps = torch.randn(
        draws, *x.shape[:1], members[0].latent_dim, generator=torch.Generator().manual_seed(seed)
    ).to(x)
    rows = [_measure_one(model, x, w, torch.cat([eps, -eps]), gamma) for model in members]
    error, error_at_mean, kl, frobenius, kl_eq83, penalty = torch.tensor(
        rows, dtype=torch.float64
    ).T
    data_term = truth.d * (error / gamma + math.log(2 * math.pi * gamma))
    gap = 0.5 * data_term + kl - theory.certified_optimum(truth, gamma)
    points = truth.sample(n, seed=seed).to(dtype)
    eigenvalues = torch.stack([model.codes(points).eigenvalues().double() for model in members])
    return Measured(
        gamma,
        data_term,
        2 * kl,
        gap,
        error,
        error_at_mean,
        eigenvalues,
        frobenius,
        kl_eq83,
        penalty,
    )


def _measure_one(
    model: Autoencoder, x: Tensor, w: Tensor, eps: Tensor, gamma: float
) -> list[float]:
    q = model.codes(x)
    errors = torch.stack([(x - model.images(q.at(noise))).square().mean(1) for noise in eps]).mean(
        0
    )
    at_mean = (x - model.images(q.mean)).square().mean(1)
    J = theory.decoder_jacobian(model.decode, q.mean).double()
    expected, sigma = theory.optimal_covariance(J, gamma), q.covariance().double()
    frobenius, kl_eq83 = (
        theory.relative_frobenius(sigma, expected),
        theory.kl_between_covariances(sigma, expected),
    )
    rows = (
        errors,
        at_mean,
        q.kl_to_standard_normal(),
        frobenius,
        kl_eq83,
        theory.diagonal_penalty(expected),
    )
    return [float(w @ row.double()) for row in rows]
