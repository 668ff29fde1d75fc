"""What every term of the objective keeps: one forward pass in, nats a row out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from vaelab._processes import Generator, draw
from vaelab.networks.layers import statistics_kept
from vaelab.parts import Module
from vaelab.posteriors import Distribution
from vaelab.priors import Prior


@dataclass
class Pass:
    """What one forward pass knows. What is costly is computed when a term first asks for it.

    Args:
        x: images (batch, *image_shape).
        q: q(z given x), one row an image.
        z: one code drawn from each, shape (batch, latent_dim).
        decode: the decoder, from codes to images.
        decoder: the module behind it.
        prior: the model's p(z).
        generator: of everything drawn.
    """

    x: Tensor
    q: Distribution
    z: Tensor
    decode: Callable[[Tensor], Tensor]
    decoder: nn.Module
    prior: Prior
    generator: Generator = None

    @cached_property
    def x_hat(self) -> Tensor:
        """The decoder's output for `z`, shape (batch, *image_shape)."""
        return self.decode(self.z)

    @cached_property
    def kl(self) -> Tensor:
        """KL[q(z given x) ‖ p(z)], in nats, shape (batch,)."""
        return self.prior.kl(self.q, self.z)

    @cached_property
    def p(self) -> Tensor:
        """As many codes drawn from the prior, shape (batch, latent_dim)."""
        return self.prior.like(self.z, self.generator)

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal noise of the shape of `like`, rows first."""
        return draw(torch.randn, like.shape, self.generator, like)

    def pull_back(self, v: Tensor | Callable[[Tensor], Tensor]) -> Tensor:
        """Jᵀv of every row, J = ∂x_hat/∂z at `z`, for `v` of the shape of images, or a function of
        `x_hat` that gives it: shape of `z`.

        Differentiable in the decoder's weights, not in the codes; batch statistics stay as they
        are.
        """
        with statistics_kept(self.decoder):
            x_hat, pull, *_ = torch.func.vjp(self.decode, self.z.detach())
            return pull(v(x_hat) if callable(v) else v)[0]


class Term(Module):
    """One term of the objective, in nats a row: the base of latent terms and of decoder terms.

    `name` is what it is called in histories and tables. A user's term takes what it needs from the
    pass:

    >>> from vaelab import models, networks, terms
    >>> class Flat(terms.Term):
    ...     name = "flat"
    ...
    ...     def __init__(self, weight: float = 1e-2) -> None:
    ...         super().__init__()
    ...         self.weight = weight
    ...
    ...     def forward(self, p: terms.Pass) -> Tensor:
    ...         slope = p.pull_back(p.noise(p.x))     # E ‖Jᵀv‖² = ‖J‖² for v ~ N(0, I)
    ...         return self.weight * slope.square().sum(-1)
    >>> model = models.Autoencoder(networks.mlp(3, latent_dim=2), decoder_term=Flat())
    >>> list(model.loss_terms(torch.zeros(5, 3)))
    ['nll', 'kl', 'flat']
    """

    name: ClassVar[str]
    whole_batch: ClassVar[bool] = False  # Whether a row's value depends on the other rows.

    def forward(self, p: Pass) -> Tensor:
        """The term for one pass, in nats, weight included, shape (batch,)."""
        raise NotImplementedError(f"{type(self).__name__}: write forward(p) -> nats a row")

    def compared(self, p: Pass) -> tuple[Tensor, Tensor]:
        """Codes and draws of the prior, on the prior's scale, which follows them in training."""
        if self.training:
            p.prior.follow(p.z)
        return p.prior.standardised(p.z), p.prior.standardised(p.p)
