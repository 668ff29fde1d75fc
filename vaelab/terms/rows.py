"""Latent terms that look at each row alone: the KL to the prior, and ½‖z‖²."""

from __future__ import annotations

from torch import Tensor

from vaelab._door import door
from vaelab._inputs import Weight
from vaelab.posteriors import DiagonalNormal
from vaelab.priors import StandardNormal
from vaelab.terms.term import Pass, Term


class KL(Term):
    """β · KL[q(z given x) ‖ p(z)]: the VAE's term (β = 1), a β-VAE's otherwise.

    β is the weight for encoder and decoder. A prior that is learned has an objective of its own,
    E[−log p(z)], at full weight whatever β is (`Prior.split_kl`): at β = 0 the autoencoder knows
    nothing of its prior, which is then a density fitted to the codes, only not afterwards.

    Args:
        beta: the weight, ≥ 0.
        free: λ nats a latent dimension that cost the same whether they are used or not, ≥ 0: the
            KL is Σ_j max(λ, KL_j), without a gradient where KL_j < λ. For a diagonal Gaussian and
            N(0, I). Kingma et al. (2016) average KL_j over the batch before they compare.
    """

    name = "kl"

    @door
    def __init__(self, beta: Weight = 1.0, free: Weight = 0.0) -> None:
        super().__init__()
        self.beta = beta
        self.free = free
        self.share: Tensor | None
        self.register_buffer("share", None, persistent=False)  # Of β, while it is annealed.

    def forward(self, p: Pass) -> Tensor:
        beta = self.beta if self.share is None or not self.beta else self.beta * self.share
        if self.free:
            return beta * self._above(p)
        if self.beta == 1 and self.share is None:
            return p.kl
        if p.prior.is_learned:
            return p.prior.split_kl(p.q, p.z, beta)
        return beta * p.kl

    def _above(self, p: Pass) -> Tensor:
        if not isinstance(p.prior, StandardNormal) or not isinstance(p.q, DiagonalNormal):
            raise TypeError(
                "free bits compare each latent dimension: expected a diagonal Gaussian and N(0, I),"
                f" got {type(p.q).__name__} and {type(p.prior).__name__}; use free=0"
            )
        return p.q.kls_to_standard_normal().clamp(min=self.free).sum(1)


class SquaredNorm(Term):
    """β · ½‖z‖², the latent term of a regularised autoencoder; β = 0 leaves a plain autoencoder.

    Source: Ghosh et al. (2020), Eq. 11.

    Args:
        beta: the weight, ≥ 0.
    """

    name = "squared_norm"

    @door
    def __init__(self, beta: Weight = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, p: Pass) -> Tensor:
        return (0.5 * self.beta) * p.z.square().sum(1)
