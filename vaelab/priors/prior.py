"""What every prior has in common: the codes that noise becomes, their density, the KL to it; and
the standard normal one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vaelab._inputs import check_draws, check_positive_int, generator_of
from vaelab._processes import Generator, draw
from vaelab.parts import Module
from vaelab.posteriors import LOG_2_PI, Distribution


class Prior(Module):
    """p(z): the base of every prior. It says what standard normal noise becomes, and its density.

    A prior with parameters is trained beside the autoencoder, and may have a step size of its own:

    >>> from vaelab import models, networks, priors
    >>> class Scaled(priors.Prior):
    ...     def __init__(self, latent_dim: int) -> None:
    ...         super().__init__()
    ...         self.log_scale = torch.nn.Parameter(torch.zeros(latent_dim))
    ...
    ...     def at(self, eps):
    ...         return eps * self.log_scale.exp()
    ...
    ...     def log_prob(self, z):
    ...         normal = -0.5 * ((z / self.log_scale.exp()) ** 2 + priors.LOG_2_PI)
    ...         return (normal - self.log_scale).sum(-1)
    ...
    ...     def step(self, plan):
    ...         return {"lr": 0.1 * plan.lr, "weight_decay": 0.0}
    >>> model = models.Autoencoder(networks.mlp(3, latent_dim=2), prior=Scaled(2))
    >>> model.loss_terms(torch.zeros(5, 3))["kl"].shape
    torch.Size([5])
    """

    def at(self, eps: Tensor) -> Tensor:
        """The codes that standard normal noise `eps` (n, latent_dim) becomes; differentiable."""
        raise NotImplementedError(f"{type(self).__name__}: write at(eps) -> codes")

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats of codes (n, latent_dim), shape (n,)."""
        raise NotImplementedError(f"{type(self).__name__} has no density: write log_prob(z)")

    def given(self, context: Tensor) -> Prior:
        """p(z given c) for a batch of contexts c, (n, n_context); the same for all unless it says
        otherwise.
        """
        return self

    @property
    def is_learned(self) -> bool:
        """Whether it has parameters, which are trained beside the autoencoder."""
        return next(self.parameters(), None) is not None

    def kl(self, q: Distribution, z: Tensor) -> Tensor:
        """KL[q(z given x) ‖ p], in nats, shape (batch,): exact where a closed form is known, else
        log q(z given x) − log p(z), unbiased for codes `z` drawn from `q`.
        """
        return q.log_prob(z) - self.log_prob(z)

    def split_kl(self, q: Distribution, z: Tensor, beta: float | Tensor) -> Tensor:
        """β KL[q(z given x) ‖ p] for encoder and decoder, and −log p(z) for the prior itself.

        Its value is β (log q(z given x) − log p(z)), and its gradient that of two objectives in one
        pass: the prior learns at full weight whatever β is, at β = 0 too, where nobody else hears
        of it. The density is asked once, at codes with the value of z and β times its gradient.

        Source: "Empirical observations pertaining to learned priors for deep latent variable
        models", Eq. 6 and 7.

        Args:
            q: q(z given x), (batch,); at β = 0 it need have no density.
            z: codes drawn from it, shape (batch, latent_dim).
            beta: β ≥ 0.

        Returns:
            Nats, shape (batch,).
        """
        log_p = self.log_prob(z.detach() + beta * (z - z.detach()))
        own = (1 - beta) * log_p.detach() - log_p
        if isinstance(beta, (int, float)) and beta == 0:
            return own
        return own + beta * q.log_prob(z)

    def standardised(self, z: Tensor) -> Tensor:
        """Codes on the scale on which an adversary or a kernel compares them, same shape."""
        return z

    def follow(self, z: Tensor) -> None:
        """Let that scale follow a batch of codes, shape (batch, latent_dim)."""

    def like(self, z: Tensor, generator: Generator = None) -> Tensor:
        """As many draws as there are rows in `z`, same shape, device and precision."""
        return self.at(draw(torch.randn, z.shape, generator, z))

    @torch.no_grad()
    def sample(self, n: int, latent_dim: int, seed: int = 0) -> Tensor:
        """Draw `n` codes, shape (n, latent_dim), on the CPU."""
        check_draws("n", n, check_positive_int("latent_dim", latent_dim))
        first = next(self.parameters(), torch.zeros(()))
        eps = torch.randn(n, latent_dim, generator=generator_of(seed))
        return self.at(eps.to(first)).cpu()


class StandardNormal(Prior):
    """N(0, I).

    >>> StandardNormal().sample(5, 3).shape
    torch.Size([5, 3])
    """

    def at(self, eps: Tensor) -> Tensor:
        return eps

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square().sum(-1) + z.shape[-1] * LOG_2_PI)

    def kl(self, q: Distribution, z: Tensor) -> Tensor:
        exact = q.kl_to_standard_normal()
        return super().kl(q, z) if exact is None else exact
