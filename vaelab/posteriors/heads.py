"""The last layer of the encoder: features become the parameters of q(z given x)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vaelab._door import door
from vaelab._inputs import Positive
from vaelab.networks import Networks
from vaelab.parts import Module
from vaelab.posteriors.distributions import DiagonalNormal, Distribution, FullNormal, Point


class Posterior(Module):
    """The last layer of an encoder: features (batch, n_features) become the distribution of z.

    A user's posterior is made with the networks, reads its parameters off the features, and gives a
    `Distribution`:

    >>> from vaelab import models, networks, posteriors
    >>> class Narrow(posteriors.Posterior):
    ...     def __init__(self, networks, sigma: float = 0.1) -> None:
    ...         super().__init__()
    ...         self.mean = networks.dense(networks.n_features, networks.latent_dim)
    ...         self.sigma = sigma
    ...
    ...     def forward(self, features):
    ...         mean = self.mean(features)
    ...         sigma = torch.full_like(mean, self.sigma)
    ...         return posteriors.DiagonalNormal(mean, sigma, 2 * sigma.log())
    >>> nets = networks.mlp(3, latent_dim=2)
    >>> models.Autoencoder(nets, posterior=Narrow(nets)).codes(torch.zeros(5, 3)).mean.shape
    torch.Size([5, 2])
    """

    def forward(self, features: Tensor) -> Distribution:
        """Features, shape (batch, n_features), to the distribution of z."""
        raise NotImplementedError(f"{type(self).__name__}: write forward(features) -> Distribution")


class PointHead(Posterior):
    """The encoder's features become one point, as in a plain or regularised autoencoder.

    Args:
        networks: gives `n_features`, `latent_dim` and `dense`, the maker of its dense layers.
    """

    @door
    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.mean = networks.dense(networks.n_features, networks.latent_dim)

    def forward(self, features: Tensor) -> Point:
        return Point(self.mean(features))


class DiagonalGaussian(Posterior):
    """The encoder's features become N(μ, diag σ²).

    Args:
        networks: gives `n_features`, `latent_dim`, `dense` and `scale`: "exp" for log σ² read off a
            linear layer, or "softplus" for σ = 1e-6 + softplus(linear), as the paper's InfoGAN
            encoder does.
    """

    @door
    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.scale = networks.scale
        self.parameters_of_q = networks.dense(networks.n_features, 2 * networks.latent_dim)

    def forward(self, features: Tensor) -> DiagonalNormal:
        mean, raw = self.parameters_of_q(features).chunk(2, 1)
        if self.scale == "softplus":
            sigma = 1e-6 + F.softplus(raw)
            return DiagonalNormal(mean, sigma, 2 * sigma.log())
        return DiagonalNormal(mean, (0.5 * raw).exp(), raw)


class ConstantGaussian(Posterior):
    """N(μ, σ² I) with one σ for every image, never learned (the CV-VAE).

    Source: Ghosh et al. (2020), Section 3.1 and Eq. 10.

    Args:
        networks: as for `PointHead`.
        sigma: the standard deviation, > 0.
    """

    @door
    def __init__(self, networks: Networks, sigma: Positive = 0.7) -> None:
        super().__init__()
        self.mean = networks.dense(networks.n_features, networks.latent_dim)
        self.sigma = float(sigma)

    def forward(self, features: Tensor) -> DiagonalNormal:
        mean = self.mean(features)
        sigma = torch.full_like(mean, self.sigma)
        return DiagonalNormal(mean, sigma, 2 * sigma.log())


class FullGaussian(Posterior):
    """The encoder's features become N(μ, S Sᵀ), S = D (I + L): D diagonal and positive, L strictly
    lower triangular.

    Args:
        networks: as for `PointHead`.
    """

    @door
    def __init__(self, networks: Networks) -> None:
        super().__init__()
        k = networks.latent_dim
        self.latent_dim = k
        self.parameters_of_q = networks.dense(networks.n_features, 2 * k + k * (k - 1) // 2)
        self.below: Tensor
        self.register_buffer("below", torch.tril_indices(k, k, -1), persistent=False)

    def forward(self, features: Tensor) -> FullNormal:
        k = self.latent_dim
        mean, log_d, lower = self.parameters_of_q(features).split([k, k, k * (k - 1) // 2], 1)
        unit = torch.diag_embed(torch.ones_like(mean))
        unit[:, self.below[0], self.below[1]] = lower
        return FullNormal(mean, log_d.exp().unsqueeze(-1) * unit)
