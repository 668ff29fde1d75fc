"""A normalizing flow on top of a diagonal Gaussian: what the encoder says about z need not be
Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vaelab._door import door
from vaelab._inputs import Widths
from vaelab.flows import Couplings
from vaelab.networks import Networks
from vaelab.posteriors.distributions import DiagonalNormal, Distribution
from vaelab.posteriors.heads import DiagonalGaussian, Posterior


@dataclass(frozen=True)
class FlowNormal(Distribution):
    """The distribution of z = T(w; c), w ~ N(base_mean, diag σ²), T an invertible map that depends
    on the image by c.

    log q(z given x) = log N(w; base_mean, diag σ²) + log|det ∂T⁻¹/∂z| at w = T⁻¹(z; c). Source:
    Rezende & Mohamed (2015), Eq. 13.

    Args:
        mean: T(base_mean), the code of the base's mean, shape (batch, latent_dim).
        sigma: standard deviations of the base, same shape.
        log_var: log σ², same shape.
        base_mean: mean of the base, same shape.
        context: c, shape (batch, n_context).
        flow: T⁻¹, whose `inverse` is T.
    """

    sigma: Tensor
    log_var: Tensor
    base_mean: Tensor
    context: Tensor
    flow: nn.Module

    @property
    def _base(self) -> DiagonalNormal:
        return DiagonalNormal(self.base_mean, self.sigma, self.log_var)

    def _own(self, *tensors: Tensor) -> list[Tensor]:
        """Tensors in the precision and on the device of the flow."""
        first = next(self.flow.parameters())
        return [tensor.to(first) for tensor in tensors]

    def _map(self, w: Tensor) -> Tensor:
        inverse: Any = self.flow.inverse
        return inverse(*self._own(w, self.context))

    def at(self, eps: Tensor) -> Tensor:
        w = self._base.at(eps)
        return self._map(w).to(w)

    def log_prob(self, z: Tensor) -> Tensor:
        w, log_det = self.flow(*self._own(z, self.context))
        return self._base.log_prob(w.to(z)) + log_det.to(z)

    def _scale(self) -> Tensor:
        """∂T/∂w diag σ at the base's mean, shape (batch, latent_dim, latent_dim)."""
        with torch.enable_grad():
            (w,) = self._own(self.base_mean.detach())
            z = self._map(w.requires_grad_())
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
        return torch.linalg.svdvals(self._scale()).square().flip(1)


class FlowGaussian(Posterior):
    """The encoder's features become N(μ, diag σ²) and what a flow of affine couplings makes of it.

    Folders saved before the couplings were our own hold those of zuko, which they need to load.

    Args:
        networks: as for `DiagonalGaussian`.
        transforms: number of couplings.
        hidden: widths of the network in each.
        n_context: features that the couplings see of the image.
    """

    @door
    def __init__(
        self,
        networks: Networks,
        transforms: int = 4,
        hidden: Widths = (128, 128),
        n_context: int = 64,
    ) -> None:
        super().__init__()
        self.base = DiagonalGaussian(networks)
        self.transforms = transforms
        self.n_context = n_context
        self.hidden = hidden
        self.context = networks.dense(networks.n_features, n_context)
        self.flow: Any = Couplings(networks.latent_dim, transforms, hidden, n_context)

    def forward(self, features: Tensor) -> FlowNormal:
        base = self.base(features)
        context = self.context(features)
        mean = self.flow.inverse(base.mean, context)
        return FlowNormal(mean, base.sigma, base.log_var, base.mean, context, self.flow)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take over zuko's couplings where the weights are theirs."""
        theirs = f"{prefix}flow.transforms."
        if any(name.startswith(theirs) for name in state_dict):
            k = len(state_dict[f"{theirs}0.order"])
            flow = _ZukoCouplings(k, self.n_context, self.transforms, self.hidden)
            self.flow = flow.to(state_dict[f"{prefix}context.weight"])
        super()._load_from_state_dict(state_dict, prefix, *rest)


class _ZukoCouplings(nn.Module):
    """zuko's couplings in the place of ours: masked autoregressive transforms of two passes."""

    def __init__(
        self, latent_dim: int, n_context: int, transforms: int, hidden: Sequence[int]
    ) -> None:
        super().__init__()
        try:
            from zuko.flows import MAF
        except ModuleNotFoundError as error:
            problem = (
                "this model was saved with the flow of the package zuko: to load it, pip install "
                "'vaelab[flows]', or pip install zuko"
            )
            raise ModuleNotFoundError(problem) from error
        flow = MAF(latent_dim, n_context, transforms, passes=2, hidden_features=tuple(hidden))
        self.transforms: Any = flow.transform.transforms

    def forward(self, z: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """w = T⁻¹(z; c) and log|det ∂T⁻¹/∂z|, as `flows.Couplings` gives them."""
        log_det = z.new_zeros(len(z))
        for transform in reversed(self.transforms):
            z, more = transform(context).inv.call_and_ladj(z)
            log_det = log_det + more
        return z, log_det

    def inverse(self, w: Tensor, context: Tensor) -> Tensor:
        """T(w; c)."""
        for transform in self.transforms:
            w = transform(context)(w)
        return w
