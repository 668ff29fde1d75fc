"""What a model assumes of q(z) without being asked: its own prior."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from vaelab._door import door
from vaelab.densities.density import Density
from vaelab.parts import fill
from vaelab.posteriors import Distribution
from vaelab.priors import Prior
from vaelab.priors import StandardNormal as StandardNormalPrior


class _OfPrior(Density):
    """A density that is a prior's."""

    prior: Prior

    def sample(self, n: int, seed: int = 0) -> Tensor:
        self.check(n)
        return self.prior.sample(n, self.latent_dim, seed)

    @torch.no_grad()
    def log_prob(self, z: Tensor) -> Tensor:
        z = self.check_codes(z)
        return self.prior.log_prob(z.to(next(self.prior.parameters(), z))).to(z)

    def state_dict(self) -> dict[str, Tensor]:
        return self.prior.state_dict()

    def load_state(self, tensors: dict[str, Tensor], latent_dim: int) -> Self:
        self.latent_dim = latent_dim
        fill(self.prior, tensors)
        return self


class ModelPrior(_OfPrior):
    """p(z) of a model, from which ancestral sampling draws: nothing is fitted.

    Args:
        prior: the model's, `model.prior`.

    >>> from vaelab import models, networks
    >>> model = models.vae(networks.mlp(3, latent_dim=2))
    >>> import torch
    >>> ModelPrior(model.prior).fit(model, torch.zeros(4, 3)).sample(5).shape
    torch.Size([5, 2])
    """

    @door
    def __init__(self, prior: Prior) -> None:
        self.prior = prior

    @door
    def fit_codes(self, q: Distribution, seed: int = 0) -> Self:
        self.latent_dim = q.mean.shape[1]
        return self


class StandardNormal(ModelPrior):
    """N(0, I), what a VAE's ancestral sampling assumes of q(z).

    >>> import torch
    >>> from vaelab.posteriors import Point
    >>> StandardNormal().fit_codes(Point(torch.zeros(2, 3))).sample(5).shape
    torch.Size([5, 3])
    """

    def __init__(self) -> None:
        super().__init__(StandardNormalPrior())


def is_standard_normal(density: Density) -> bool:
    """Whether a density is N(0, I): asked for, or the prior of the model."""
    return isinstance(density, ModelPrior) and isinstance(density.prior, StandardNormalPrior)
