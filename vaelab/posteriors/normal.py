"""What q(z given x) can be in closed form: a point, or a Gaussian with diagonal or full
covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from vaelab._processes import draw

LOG_2_PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Point:
    """A deterministic code: all mass at `mean`.

    Args:
        mean: the codes, shape (batch, latent_dim).
    """

    mean: Tensor

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw one code a row, differentiable in the parameters. Shape (batch, latent_dim)."""
        return self.at(draw(torch.randn, self.mean.shape, generator, self.mean))

    def at(self, eps: Tensor) -> Tensor:
        """The code that standard normal noise `eps`, shape (batch, latent_dim), is turned into."""
        return self.mean

    def kl_to_standard_normal(self) -> Tensor:
        """KL[q(z given x) ‖ N(0, I)]: infinite for a point, so it raises."""
        raise TypeError(
            "a point code is infinitely far from N(0, I): expected a Gaussian head, or SquaredNorm"
        )

    def kl_at(self, z: Tensor) -> Tensor:
        """KL[q(z given x) ‖ N(0, I)], where need be from the codes `z` drawn from it alone; in
        nats, shape (batch,).
        """
        return self.kl_to_standard_normal()

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z given x): a point has none, so it raises."""
        raise TypeError("a point code has no density: expected a model with a Gaussian head")

    def covariance(self) -> Tensor:
        """Σ_z of every row, shape (batch, latent_dim, latent_dim)."""
        return self.mean.new_zeros(*self.mean.shape, self.mean.shape[-1])

    def eigenvalues(self) -> Tensor:
        """λ_j of Σ_z of every row, ascending, shape (batch, latent_dim)."""
        return torch.zeros_like(self.mean)

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, index: Tensor | slice) -> Self:
        return replace(self, **{name: value[index] for name, value in self.tensors().items()})

    def to(self, *args: Any) -> Self:
        """Move or cast every tensor, as `torch.Tensor.to` does."""
        return replace(self, **{name: value.to(*args) for name, value in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name, one row an image."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}


@dataclass(frozen=True)
class DiagonalNormal(Point):
    """N(mean, diag σ²), one row an image.

    Args:
        mean: μ_z, shape (batch, latent_dim).
        sigma: the standard deviations σ, same shape.
        log_var: log σ², same shape. Kept beside σ because the KL needs it and its head often has it
            for free.
    """

    sigma: Tensor
    log_var: Tensor

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        eps = draw(torch.randn, self.mean.shape, generator, self.mean)
        return torch.addcmul(self.mean, self.sigma, eps)

    def at(self, eps: Tensor) -> Tensor:
        return torch.addcmul(self.mean, self.sigma, eps)

    def kl_to_standard_normal(self) -> Tensor:
        """KL[q(z given x) ‖ N(0, I)] in nats, shape (batch,): ½ Σ_j (μ_j² + σ_j² − 1 − log
        σ_j²).
        """
        terms = self.mean.square() + self.sigma.square() - self.log_var
        return 0.5 * (terms.sum(-1) - self.mean.shape[-1])

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z given x) in nats, shape (batch,)."""
        squares = ((z - self.mean) / self.sigma).square() + self.log_var
        return -0.5 * (squares.sum(-1) + self.mean.shape[-1] * LOG_2_PI)

    def covariance(self) -> Tensor:
        return torch.diag_embed(self.sigma.square())

    def eigenvalues(self) -> Tensor:
        return self.sigma.square().sort(-1).values


@dataclass(frozen=True)
class FullNormal(Point):
    """N(mean, S Sᵀ) with S lower triangular, one row an image.

    Args:
        mean: μ_z, shape (batch, latent_dim).
        scale_tril: S_z, lower triangular with positive diagonal, shape (batch, latent_dim,
            latent_dim).
    """

    scale_tril: Tensor

    def at(self, eps: Tensor) -> Tensor:
        return self.mean + (self.scale_tril @ eps.unsqueeze(-1)).squeeze(-1)

    def _log_det(self) -> Tensor:
        return 2 * self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def kl_to_standard_normal(self) -> Tensor:
        """KL[q(z given x) ‖ N(0, I)] in nats, shape (batch,): ½ (‖μ‖² + tr Σ − κ − log det Σ)."""
        quadratic = self.mean.square().sum(-1) + self.scale_tril.square().sum((-2, -1))
        return 0.5 * (quadratic - self.mean.shape[-1] - self._log_det())

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z given x) in nats, shape (batch,)."""
        white = torch.linalg.solve_triangular(
            self.scale_tril, (z - self.mean).unsqueeze(-1), upper=False
        )
        return -0.5 * (
            white.square().sum((-2, -1)) + self._log_det() + self.mean.shape[-1] * LOG_2_PI
        )

    def covariance(self) -> Tensor:
        return self.scale_tril @ self.scale_tril.mT

    def eigenvalues(self) -> Tensor:
        return torch.linalg.svdvals(self.scale_tril).square().flip(-1)


def cat(parts: list[Point]) -> Point:
    """Join distributions of one kind along the batch."""
    first = parts[0]
    return replace(
        first,
        **{name: torch.cat([getattr(part, name) for part in parts]) for name in first.tensors()},
    )
