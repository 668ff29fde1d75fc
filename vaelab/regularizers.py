"""What pulls q(z) into shape: the latent terms of the objective, one value a row, weight included.

A term is called with the posteriors q, one code z drawn from each, and the generator of the draws.
KL and ½‖z‖² look at each row alone; MMD and the adversary compare the batch of codes with a batch
drawn from the prior N(0, I).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaelab._inputs import check_positive, check_positive_int, check_weight
from vaelab._processes import draw
from vaelab.networks.parts import dense
from vaelab.posteriors import Point


@dataclass(frozen=True)
class KL:
    """β · KL[q(z given x) ‖ N(0, I)]: the VAE's term (β = 1), a β-VAE's otherwise.

    Args:
        beta: the weight, ≥ 0.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        check_weight("beta", self.beta)

    def __call__(self, q: Point, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The term for posteriors `q` and codes `z` drawn from them, in nats, shape (batch,)."""
        kl = q.kl_at(z)
        return kl if self.beta == 1 else self.beta * kl

    def spec(self) -> dict:
        """What rebuilds this term."""
        return {"name": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class SquaredNorm(KL):
    """β · ½‖z‖², the latent term of a regularised autoencoder; β = 0 leaves a plain autoencoder.

    Source: Ghosh et al. (2020), Eq. 11.

    Args:
        beta: the weight, ≥ 0.
    """

    def __call__(self, q: Point, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The term for codes `z`, shape (batch,)."""
        return (0.5 * self.beta) * z.square().sum(-1)


def prior_like(z: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """As many codes from N(0, I) as there are rows in `z`, same shape, device and precision."""
    return draw(torch.randn, z.shape, generator, z)


def imq(x: Tensor, y: Tensor, scales: Sequence[float]) -> Tensor:
    """Σ_s C_s / (C_s + ‖x_i − y_j‖²), C_s = 2κ s, for all pairs of rows, shape (n, m);
    differentiable.

    `metrics.imq` is the same kernel for samples too large for a matrix.
    """
    squared = torch.addmm(
        x.square().sum(1, keepdim=True) + y.square().sum(1), x, y.T, alpha=-2
    ).clamp(min=0)
    return sum(c / (c + squared) for c in (2 * x.shape[1] * s for s in scales))


@dataclass(frozen=True)
class MMD:
    """λ · MMD²(batch of codes, N(0, I)) with the inverse multiquadratic kernel: the term of
    WAE-MMD.

    Row i holds mean_{j≠i} k(z_i, z_j) + mean_{j≠i} k(p_i, p_j) − 2 mean_j k(z_i, p_j), p drawn from
    the prior: the mean over the batch is the unbiased estimate, and may be negative.

    Source: Tolstikhin et al. (2018), Algorithm 2; the seven scales are their code's.

    Args:
        weight: λ ≥ 0, beside −log p(x given z); see `models.wae_mmd`.
        scales: s of the kernel, over which it is summed.
    """

    weight: float = 1.0
    scales: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

    def __post_init__(self) -> None:
        check_weight("weight", self.weight)
        object.__setattr__(self, "scales", tuple(self.scales))
        for scale in self.scales:
            check_positive("scales", scale)

    def __call__(self, q: Point, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The term for codes `z`, shape (batch,).

        Raises:
            ValueError: a batch of one, in which there are no pairs.
        """
        n = len(z)
        if n < 2:
            raise ValueError(
                "MMD compares the codes of a batch with each other: expected batch_size ≥ 2, got 1"
            )
        p = prior_like(z, generator)
        others = 1 - torch.eye(n, device=z.device, dtype=z.dtype)
        within = (others * (imq(z, z, self.scales) + imq(p, p, self.scales))).sum(1) / (n - 1)
        return self.weight * (within - 2 * imq(z, p, self.scales).mean(1))

    def spec(self) -> dict:
        """What rebuilds this term."""
        return {"name": "MMD", **asdict(self)}


class Adversary(nn.Module):
    """−λ log D(z): the codes are to be taken for draws of N(0, I) by a discriminator D that is
    trained beside them.

    The discriminator's own loss, `own_loss`, enters the term with the value 0: it adds a gradient
    for the discriminator alone, while the term itself adds none for it. So one backward pass serves
    both players, and the loop needs no second one; in Adam the discriminator has a step size
    (`rate`) and a momentum of its own, 0.5.

    Source: Tolstikhin et al. (2018), Algorithm 1, with the non-saturating loss of Goodfellow et al.
    (2014) for the encoder; Makhzani et al. (2016).

    Args:
        latent_dim: κ.
        weight: λ ≥ 0, beside −log p(x given z); see `models.wae_gan`.
        hidden: widths of the discriminator's ReLU layers.
        rate: factor on `training.fit`'s step size for the discriminator, > 0. Ours: at 1 the
            discriminator lags behind.
    """

    def __init__(
        self,
        latent_dim: int,
        weight: float = 1.0,
        hidden: Sequence[int] = (512, 512, 512, 512),
        rate: float = 4.0,
    ) -> None:
        super().__init__()
        check_weight("weight", weight), check_positive("rate", rate)
        self.latent_dim, self.weight, self.rate = (
            check_positive_int("latent_dim", latent_dim),
            weight,
            rate,
        )
        self.hidden = tuple(check_positive_int("hidden", width) for width in hidden)
        widths = [self.latent_dim, *self.hidden]
        layers = [
            m for a, b in zip(widths, self.hidden, strict=False) for m in (dense(a, b), nn.ReLU())
        ]
        self.discriminator = nn.Sequential(*layers, dense(widths[-1], 1))

    def own_loss(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """−log D(p) − log(1 − D(z)) for codes `z` and as many draws p of the prior, in nats, shape
        (batch,).
        """
        real, fake = self.discriminator(prior_like(z, generator)), self.discriminator(z)
        return (F.softplus(-real) + F.softplus(fake)).squeeze(-1)

    def forward(self, q: Point, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The term for codes `z`, shape (batch,)."""
        frozen = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        fooled = F.softplus(-torch.func.functional_call(self.discriminator, frozen, (z,))).squeeze(
            -1
        )
        own = self.own_loss(z.detach(), generator)
        return self.weight * fooled + (own - own.detach())

    def spec(self) -> dict:
        """What rebuilds this term."""
        told = {
            "latent_dim": self.latent_dim,
            "weight": self.weight,
            "hidden": self.hidden,
            "rate": self.rate,
        }
        return {"name": "Adversary", **told}
