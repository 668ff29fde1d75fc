"""Latent terms that look at each row alone: the KL to the prior, and ½‖z‖²."""

from __future__ import annotations

from torch import Tensor

from vaelab._inputs import check_weight
from vaelab.terms.term import Pass, Term


class KL(Term):
    """β · KL[q(z given x) ‖ p(z)]: the VAE's term (β = 1), a β-VAE's otherwise.

    Args:
        beta: the weight, ≥ 0.
    """

    name = "kl"

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        check_weight("beta", beta)
        self.beta = beta

    def forward(self, p: Pass) -> Tensor:
        return p.kl if self.beta == 1 else self.beta * p.kl


class SquaredNorm(Term):
    """β · ½‖z‖², the latent term of a regularised autoencoder; β = 0 leaves a plain autoencoder.

    Source: Ghosh et al. (2020), Eq. 11.

    Args:
        beta: the weight, ≥ 0.
    """

    name = "squared_norm"

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        check_weight("beta", beta)
        self.beta = beta

    def forward(self, p: Pass) -> Tensor:
        return (0.5 * self.beta) * p.z.square().sum(-1)
