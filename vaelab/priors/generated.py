"""A generator as a prior: codes that noise becomes in a network, without a density."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from vaelab._door import door
from vaelab._inputs import Widths, check_choice
from vaelab.networks.layers import dense
from vaelab.networks.mlp import layers
from vaelab.parts import StepSizes
from vaelab.priors.prior import Prior

DECAY = 0.99  # Of the running mean and variance of the codes.


class Generated(Prior):
    """z = m + s G(ε): a network G of noise, on the scale (m, s) of the codes.

    An unregularised code has no scale of its own, and drifts; m and s follow its mean and standard
    deviation, so that G, and whoever judges its draws, sees standardised codes. It has no density:
    an adversary (`terms.Adversary`) or a kernel (`terms.MMD`) trains it.

    Source: "Empirical observations pertaining to learned priors for deep latent variable models",
    Section 2.1: Prior-AAE, and a generative moment-matching network (Li et al. 2015).

    Args:
        latent_dim: κ, of the noise too.
        hidden: widths of the ReLU layers of G.
        noise: what G takes, "normal" or "uniform" (on [−1, 1]).

    >>> Generated(4, hidden=(8,)).sample(5, 4).shape
    torch.Size([5, 4])
    """

    @door
    def __init__(
        self,
        latent_dim: int,
        hidden: Widths = (128, 128),
        noise: str = "normal",
    ) -> None:
        super().__init__()
        self.noise = check_choice("noise", noise, ("normal", "uniform"))
        body = layers(latent_dim, hidden, "relu")
        self.generator = nn.Sequential(body, dense(hidden[-1], latent_dim))
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("variance", torch.ones(latent_dim))

    def step(self, plan: StepSizes) -> dict[str, Any]:
        return {"lr": 0.5 * plan.lr, "betas": (0.5, 0.99), "weight_decay": 0.0}

    def at(self, eps: Tensor) -> Tensor:
        if self.noise == "uniform":
            eps = torch.erf(eps / math.sqrt(2))  # Φ is uniform on [0, 1] at normal noise.
        return self.mean + self.variance.sqrt() * self.generator(eps)

    def standardised(self, z: Tensor) -> Tensor:
        return (z - self.mean) * self.variance.rsqrt()

    @torch.no_grad()
    def follow(self, z: Tensor) -> None:
        mean, variance = z.mean(0), z.var(0, correction=0)
        self.mean.copy_(torch.lerp(mean, self.mean, DECAY))
        self.variance.copy_(torch.lerp(variance, self.variance, DECAY))
