"""What q(z given x) can be in closed form: a point, or a Gaussian with diagonal or full
covariance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from vaelab._processes import Generator, draw
from vaelab.flows import LOG_2_PI


@dataclass(frozen=True)
class Distribution:
    """What q(z given x) is for a batch of images: the base of every distribution of z, one row
    each.

    A user's distribution is a frozen dataclass of tensors, one row an image. It says at least what
    standard normal noise becomes (`at`) and, unless it has no density, `log_prob`.

    Args:
        mean: the mean code, shape (batch, latent_dim).

    >>> @dataclass(frozen=True)
    ... class Box(Distribution):
    ...     half: Tensor
    ...
    ...     def at(self, eps: Tensor) -> Tensor:
    ...         return self.mean + self.half * torch.erf(eps / math.sqrt(2))
    ...
    ...     def log_prob(self, z: Tensor) -> Tensor:
    ...         inside = ((z - self.mean).abs() <= self.half).all(-1)
    ...         return torch.where(inside, -(2 * self.half).log().sum(-1), -math.inf)
    >>> Box(torch.zeros(5, 2), torch.ones(5, 2)).rsample().shape
    torch.Size([5, 2])
    """

    mean: Tensor

    def at(self, eps: Tensor) -> Tensor:
        """The code that standard normal noise `eps` (batch, latent_dim) becomes; differentiable."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say what noise becomes: write `at`"
        )

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z given x) in nats, shape (batch,)."""
        raise NotImplementedError(f"{type(self).__name__} has no density: write `log_prob`")

    def kl_to_standard_normal(self) -> Tensor | None:
        """KL[q(z given x) ‖ N(0, I)] in closed form, in nats, shape (batch,); None where none is
        known.
        """
        return None

    def covariance(self) -> Tensor:
        """Σ_z of every row, shape (batch, latent_dim, latent_dim)."""
        raise NotImplementedError(f"{type(self).__name__} does not say its covariance")

    def eigenvalues(self) -> Tensor:
        """λ_j of Σ_z of every row, ascending, shape (batch, latent_dim)."""
        return torch.linalg.eigvalsh(self.covariance())

    def scaled(self, shift: Tensor, scale: float) -> Self:
        """The distribution of (z − shift) / scale, for `shift` of shape (latent_dim,)."""
        raise NotImplementedError(
            f"{type(self).__name__} cannot be scaled: train on it with standardise=False, or write "
            "`scaled`"
        )

    def rsample(self, generator: Generator = None) -> Tensor:
        """Draw one code a row, differentiable in the parameters. Shape (batch, latent_dim)."""
        return self.at(draw(torch.randn, self.mean.shape, generator, self.mean))

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, index: Tensor | slice) -> Self:
        return self._each(lambda tensor: tensor[index])

    def to(self, *args: Any) -> Self:
        """Move or cast every tensor, as `torch.Tensor.to` does."""
        return self._each(lambda tensor: tensor.to(*args))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(self, **{name: change(value) for name, value in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name, one row an image."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}


@dataclass(frozen=True)
class Point(Distribution):
    """A deterministic code: all mass at `mean`.

    Args:
        mean: the codes, shape (batch, latent_dim).
    """

    def at(self, eps: Tensor) -> Tensor:
        return self.mean

    def scaled(self, shift: Tensor, scale: float) -> Self:
        return replace(self, mean=(self.mean - shift) / scale)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z given x), which a KL asks for too: a point has none, so it raises."""
        raise TypeError(
            "a point code has no density, and no KL: expected a Gaussian posterior, or SquaredNorm "
            "in the place of the KL"
        )

    def covariance(self) -> Tensor:
        return torch.diag_embed(torch.zeros_like(self.mean))

    def eigenvalues(self) -> Tensor:
        return torch.zeros_like(self.mean)


@dataclass(frozen=True)
class DiagonalNormal(Distribution):
    """N(mean, diag σ²), one row an image.

    Args:
        mean: μ_z, shape (batch, latent_dim).
        sigma: the standard deviations σ, same shape.
        log_var: log σ², same shape. Kept beside σ because the KL needs it and its head often has it
            for free.
    """

    sigma: Tensor
    log_var: Tensor

    def at(self, eps: Tensor) -> Tensor:
        return torch.addcmul(self.mean, self.sigma, eps)

    def scaled(self, shift: Tensor, scale: float) -> Self:
        log_var = self.log_var - 2 * math.log(scale)
        mean = (self.mean - shift) / scale
        return replace(self, mean=mean, sigma=self.sigma / scale, log_var=log_var)

    def kl_to_standard_normal(self) -> Tensor:
        """KL[q(z given x) ‖ N(0, I)] in nats, shape (batch,): ½ Σ_j (μ_j² + σ_j² − 1 − log
        σ_j²).
        """
        terms = self.mean.square() + self.sigma.square() - self.log_var
        return 0.5 * (terms.sum(-1) - self.mean.shape[-1])

    def kls_to_standard_normal(self) -> Tensor:
        """The share of each latent dimension in it, shape (batch, latent_dim)."""
        return 0.5 * (self.mean.square() + self.sigma.square() - self.log_var - 1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z given x) in nats, shape (batch,)."""
        squares = ((z - self.mean) / self.sigma).square() + self.log_var
        return -0.5 * (squares.sum(-1) + self.mean.shape[-1] * LOG_2_PI)

    def covariance(self) -> Tensor:
        return torch.diag_embed(self.sigma.square())

    def eigenvalues(self) -> Tensor:
        return self.sigma.square().sort(-1).values


@dataclass(frozen=True)
class FullNormal(Distribution):
    """N(mean, S Sᵀ) with S lower triangular, one row an image.

    Args:
        mean: μ_z, shape (batch, latent_dim).
        scale_tril: S_z, lower triangular with positive diagonal, shape (batch, latent_dim,
            latent_dim).
    """

    scale_tril: Tensor

    def scaled(self, shift: Tensor, scale: float) -> Self:
        mean = (self.mean - shift) / scale
        return replace(self, mean=mean, scale_tril=self.scale_tril / scale)

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


def cat(parts: Iterable[Distribution], n: int | None = None) -> Distribution:
    """Join distributions of one kind, of `n` rows in all (counted unless given), along the batch.

    Each part is copied into its place and let go: small tensors kept among the large ones that each
    part takes to compute would leave holes in memory that nothing fits into.
    """
    if n is None:
        parts = list(parts)
        n = sum(map(len, parts))
    parts = iter(parts)
    first = part = next(parts)
    whole = {name: t.new_empty((n, *t.shape[1:])) for name, t in first.tensors().items()}
    start = 0
    while part is not None:
        stop = start + len(part)
        for name, value in part.tensors().items():
            whole[name][start:stop] = value
        part, start = next(parts, None), stop
    return replace(first, **whole)
