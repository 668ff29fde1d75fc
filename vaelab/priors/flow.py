"""A normalizing flow as a prior, trained beside the autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab.flows import Couplings
from vaelab.priors.prior import Prior


class FlowPrior(Prior):
    """log p(z) = log N(f(z); 0, I) + log|det ∂f/∂z|, f a flow of affine couplings.

    A VAE with this prior and decoder D is, to the last nat, a VAE with N(0, I), the decoder D∘f⁻¹
    and f on its posterior (Chen et al. 2017).

    Source: "Empirical observations pertaining to learned priors for deep latent variable models",
    Section 2.1. Depth, widths and the couplings' form are ours: the paper does not say.

    Args:
        latent_dim: κ.
        transforms, hidden, n_context, scaled: as for `flows.Couplings`.

    >>> FlowPrior(4, transforms=2, hidden=(8,)).sample(5, 4).shape
    torch.Size([5, 4])
    """

    context: Tensor | None = None  # Of the codes of a batch.

    def __init__(
        self,
        latent_dim: int,
        transforms: int = 6,
        hidden: Sequence[int] = (64, 64),
        n_context: int = 0,
        scaled: bool = True,
    ) -> None:
        super().__init__()
        self.flow = Couplings(latent_dim, transforms, hidden, n_context, scaled)

    def given(self, context: Tensor) -> Prior:
        if not self.flow.n_context:
            return self
        given = object.__new__(type(self))  # The same parameters, beside another context.
        vars(given).update(vars(self), context=context)
        return given

    def at(self, eps: Tensor) -> Tensor:
        return self.flow.inverse(eps, self.context)

    @torch.no_grad()
    def codes(self, eps: Tensor) -> Tensor:
        """The codes of any noise, without gradients, in its precision and on its device."""
        return self.at(eps.to(self.flow.shift)).to(eps)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.flow.log_prob(z, self.context)
