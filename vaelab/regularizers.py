"""What pulls q(z) into shape: the latent terms of the objective, one value a row, weight included."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Tensor

from vaelab._inputs import check_weight
from vaelab.posteriors import Point


@dataclass(frozen=True)
class KL:
    """β · KL[q(z given x) ‖ N(0, I)]: the VAE's term (β = 1), a β-VAE's otherwise.

    Args:
        beta: the weight, ≥ 0.
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        check_weight("beta", self.beta)

    def __call__(self, q: Point, z: Tensor) -> Tensor:
        """The term for posteriors `q` and codes `z` drawn from them, in nats, shape (batch,)."""
        kl = q.kl_to_standard_normal()
        return kl if self.beta == 1 else self.beta * kl

    def spec(self) -> dict:
        """What rebuilds this term."""
        return {"name": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class SquaredNorm(KL):
    """β · ½‖z‖², the latent term of a regularised autoencoder; β = 0 leaves a plain autoencoder.

    Source: Ghosh et al. (2020), Eq. 11.

    Args:
        beta: the weight, ≥ 0.
    """

    def __call__(self, q: Point, z: Tensor) -> Tensor:
        """The term for codes `z`, shape (batch,)."""
        return (0.5 * self.beta) * z.square().sum(-1)
