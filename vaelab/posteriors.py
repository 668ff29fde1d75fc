"""What the encoder says about z: a point, or a Gaussian with diagonal, full or constant covariance.

Each head turns the encoder's features into a distribution q(z given x), one row an image. The distributions share one
small interface: `mean`, `rsample`, `at(eps)`, `log_prob`, `kl_to_standard_normal`, `covariance`, `eigenvalues`,
`len(q)`, `q[index]`, and `cat` to join batches.

Source: Dai & Wipf (2019), Definition 1: q(z given x) = N(mu_z, S_z S_zᵀ), S_z any κ×κ matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaelab._inputs import check_positive

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
        eps = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.at(eps)

    def at(self, eps: Tensor) -> Tensor:
        """The code that standard normal noise `eps`, shape (batch, latent_dim), is turned into."""
        return self.mean

    def kl_to_standard_normal(self) -> Tensor:
        """KL[q(z given x) ‖ N(0, I)]: infinite for a point, so it raises."""
        raise TypeError("a point code is infinitely far from N(0, I): expected a Gaussian head, or SquaredNorm")

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
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))

    def to(self, *args: Any) -> Self:
        """Move or cast every tensor, as `torch.Tensor.to` does."""
        return type(self)(*(getattr(self, f.name).to(*args) for f in fields(self)))


@dataclass(frozen=True)
class DiagonalNormal(Point):
    """N(mean, diag σ²), one row an image.

    Args:
        mean: μ_z, shape (batch, latent_dim).
        sigma: the standard deviations σ, same shape.
        log_var: log σ², same shape. Kept beside σ because the KL needs it and its head often has it for free.
    """

    sigma: Tensor
    log_var: Tensor

    def rsample(self, generator: torch.Generator | None = None) -> Tensor:
        eps = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return torch.addcmul(self.mean, self.sigma, eps)

    def at(self, eps: Tensor) -> Tensor:
        return torch.addcmul(self.mean, self.sigma, eps)

    def kl_to_standard_normal(self) -> Tensor:
        """KL[q(z given x) ‖ N(0, I)] in nats, shape (batch,): ½ Σ_j (μ_j² + σ_j² − 1 − log σ_j²)."""
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
        scale_tril: S_z, lower triangular with positive diagonal, shape (batch, latent_dim, latent_dim).
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
        white = torch.linalg.solve_triangular(self.scale_tril, (z - self.mean).unsqueeze(-1), upper=False)
        return -0.5 * (white.square().sum((-2, -1)) + self._log_det() + self.mean.shape[-1] * LOG_2_PI)

    def covariance(self) -> Tensor:
        return self.scale_tril @ self.scale_tril.mT

    def eigenvalues(self) -> Tensor:
        return torch.linalg.svdvals(self.scale_tril).square().flip(-1)


def cat(parts: list[Point]) -> Point:
    """Join distributions of one kind along the batch."""
    kind = type(parts[0])
    return kind(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(kind)))


class PointHead(nn.Module):
    """The encoder's features become one point, as in a plain or regularised autoencoder.

    Args:
        networks: gives `n_features`, `latent_dim` and `dense`, the maker of its dense layers.
    """

    def __init__(self, networks: Any) -> None:
        super().__init__()
        self.mean = networks.dense(networks.n_features, networks.latent_dim)

    def forward(self, features: Tensor) -> Point:
        """Features, shape (batch, n_features), to the distribution of z."""
        return Point(self.mean(features))

    def spec(self) -> dict:
        """What rebuilds this head."""
        return {"name": type(self).__name__}


class DiagonalGaussian(PointHead):
    """The encoder's features become N(μ, diag σ²).

    Args:
        networks: gives `n_features`, `latent_dim`, `dense` and `scale`: "exp" for log σ² read off a linear layer, or
            "softplus" for σ = 1e-6 + softplus(linear), as the paper's InfoGAN encoder does.
    """

    def __init__(self, networks: Any) -> None:
        nn.Module.__init__(self)
        self.scale = networks.scale
        self.parameters_of_q = networks.dense(networks.n_features, 2 * networks.latent_dim)

    def forward(self, features: Tensor) -> DiagonalNormal:
        mean, raw = self.parameters_of_q(features).chunk(2, -1)
        if self.scale == "softplus":
            sigma = 1e-6 + F.softplus(raw)
            return DiagonalNormal(mean, sigma, 2 * sigma.log())
        return DiagonalNormal(mean, (0.5 * raw).exp(), raw)


class ConstantGaussian(PointHead):
    """N(μ, σ² I) with one σ for every image, never learned (the CV-VAE).

    Source: Ghosh et al. (2020), Section 3.1 and Eq. 10.

    Args:
        networks: as for `PointHead`.
        sigma: the standard deviation, > 0.
    """

    def __init__(self, networks: Any, sigma: float = 0.7) -> None:
        super().__init__(networks)
        check_positive("sigma, the standard deviation", sigma)
        self.sigma = float(sigma)

    def forward(self, features: Tensor) -> DiagonalNormal:
        mean = self.mean(features)
        sigma = torch.full_like(mean, self.sigma)
        return DiagonalNormal(mean, sigma, 2 * sigma.log())

    def spec(self) -> dict:
        return {"name": type(self).__name__, "sigma": self.sigma}


class FullGaussian(PointHead):
    """The encoder's features become N(μ, S Sᵀ), S = D (I + L): D diagonal and positive, L strictly lower triangular.

    Args:
        networks: as for `PointHead`.
    """

    def __init__(self, networks: Any) -> None:
        nn.Module.__init__(self)
        k = networks.latent_dim
        self.latent_dim = k
        self.parameters_of_q = networks.dense(networks.n_features, 2 * k + k * (k - 1) // 2)
        self.register_buffer("below", torch.tril_indices(k, k, -1), persistent=False)

    def forward(self, features: Tensor) -> FullNormal:
        k = self.latent_dim
        mean, log_d, lower = self.parameters_of_q(features).split([k, k, k * (k - 1) // 2], -1)
        unit = torch.eye(k, device=mean.device, dtype=mean.dtype).expand(len(mean), k, k).clone()
        unit[:, self.below[0], self.below[1]] = lower
        return FullNormal(mean, log_d.exp().unsqueeze(-1) * unit)
