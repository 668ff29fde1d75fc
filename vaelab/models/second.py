"""A second VAE as a term of the first: both stages' objectives in one sum."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab import likelihoods, networks, terms
from vaelab.models.autoencoder import Autoencoder


class SecondVAE(terms.Term):
    """The cost of a second VAE of z, minimised together with the first: the codes learn from both.

    Beside the KL it is the ablation that asks whether the stages must be trained apart. `vae` is an
    ordinary autoencoder; to sample as two stages do, hand its weights to one:
    `densities.SecondStage(hidden).load_state(model.terms["second_stage"].vae.state_dict(),
    latent_dim)`.

    Source: Dai & Wipf (2019), Section 4.

    Args:
        latent_dim: κ, of z and of u.
        hidden: widths of the second stage's layers.
        activation: of those layers.
        init: where the second stage's γ starts; from 1 it may settle on u that say nothing of z.
    """

    name = "second_stage"

    def __init__(
        self,
        latent_dim: int,
        hidden: Sequence[int] = (1024, 1024, 1024),
        activation: str = "relu",
        init: float = 0.1,
    ) -> None:
        super().__init__()
        nets = networks.mlp(latent_dim, latent_dim, hidden, activation)
        self.vae = Autoencoder(nets, likelihood=likelihoods.Gaussian("learned", init))

    def forward(self, p: terms.Pass) -> Tensor:
        return functools.reduce(torch.add, self.vae.loss_terms(p.z, p.generator).values())
