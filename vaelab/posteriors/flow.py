"""A normalizing flow on top of a diagonal Gaussian: what the encoder says about z need not be
Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vaelab._inputs import check_positive_int
from vaelab.networks import Networks
from vaelab.posteriors.distributions import DiagonalNormal, Distribution
from vaelab.posteriors.heads import DiagonalGaussian, Posterior


@dataclass(frozen=True)
class FlowNormal(Distribution):
    """The distribution of z = T(w; c), w ~ N(base_mean, diag σ²), T an invertible map that depends
    on the image by c.

    log q(z given x) = log N(w; base_mean, diag σ²) − log|det ∂T/∂w| at w = T⁻¹(z; c). Source:
    Rezende & Mohamed (2015), Eq. 13.

    Args:
        mean: T(base_mean), the code of the base's mean, shape (batch, latent_dim).
        sigma: standard deviations of the base, same shape.
        log_var: log σ², same shape.
        base_mean: mean of the base, same shape.
        context: c, shape (batch, n_context).
        flow: gives T for a batch of contexts.
    """

    sigma: Tensor
    log_var: Tensor
    base_mean: Tensor
    context: Tensor
    flow: nn.Module

    @property
    def _base(self) -> DiagonalNormal:
        return DiagonalNormal(self.base_mean, self.sigma, self.log_var)

    def _map(self) -> Any:
        return self.flow(self.context.to(next(self.flow.parameters())))

    def at(self, eps: Tensor) -> Tensor:
        w = self._base.at(eps)
        return self._map()(w.to(next(self.flow.parameters()))).to(w)

    def log_prob(self, z: Tensor) -> Tensor:
        transform = self._map()
        code = z.to(next(self.flow.parameters()))
        w = transform.inv(code)
        log_det = transform.log_abs_det_jacobian(w, code).to(z)
        return self._base.log_prob(w.to(z)) - log_det

    def _scale(self) -> Tensor:
        """∂T/∂w diag σ at the base's mean, shape (batch, latent_dim, latent_dim)."""
        with torch.enable_grad():
            w = self.base_mean.detach().to(next(self.flow.parameters())).requires_grad_()
            z = self._map()(w)
            rows = [
                torch.autograd.grad(z[:, i].sum(), w, retain_graph=True)[0]
                for i in range(z.shape[1])
            ]
        return torch.stack(rows, 1).to(self.sigma) * self.sigma.detach().unsqueeze(1)

    def covariance(self) -> Tensor:
        """Σ_z of every row where T is replaced by its tangent at the base's mean, shape (batch, κ,
        κ).
        """
        scale = self._scale()
        return scale @ scale.mT

    def eigenvalues(self) -> Tensor:
        """Those of `covariance`, ascending, shape (batch, latent_dim)."""
        return torch.linalg.svdvals(self._scale()).square().flip(-1)


class FlowGaussian(Posterior):
    """The encoder's features become N(μ, diag σ²) and what a flow of affine couplings makes of it.

    The couplings are zuko's masked autoregressive transforms with two passes; both of their
    directions are cheap.

    Args:
        networks: as for `DiagonalGaussian`.
        transforms: number of couplings.
        hidden: widths of the network in each.
        n_context: features that the couplings see of the image.

    Raises:
        ModuleNotFoundError: zuko is not installed.
    """

    def __init__(
        self,
        networks: Networks,
        transforms: int = 4,
        hidden: Sequence[int] = (128, 128),
        n_context: int = 64,
    ) -> None:
        super().__init__()
        self.base = DiagonalGaussian(networks)
        try:
            from zuko.flows import MAF
        except ModuleNotFoundError as error:
            problem = (
                "a flow posterior needs the package zuko: pip install 'vaelab[flows]', or pip "
                "install zuko"
            )
            raise ModuleNotFoundError(problem) from error
        self.transforms = check_positive_int("transforms", transforms)
        self.n_context = check_positive_int("n_context", n_context)
        self.hidden = tuple(check_positive_int("hidden", width) for width in hidden)
        self.context = networks.dense(networks.n_features, self.n_context)
        self.flow = MAF(
            networks.latent_dim,
            self.n_context,
            self.transforms,
            passes=2,
            hidden_features=self.hidden,
        ).transform

    def forward(self, features: Tensor) -> FlowNormal:
        base = self.base(features)
        context = self.context(features)
        mean = self.flow(context)(base.mean)
        return FlowNormal(mean, base.sigma, base.log_var, base.mean, context, self.flow)
