"""The standard normal prior."""

from __future__ import annotations

from torch import Tensor

from vaelab.posteriors import LOG_2_PI, Distribution
from vaelab.priors.prior import Prior


class StandardNormal(Prior):
    """N(0, I).

    >>> StandardNormal().sample(5, 3).shape
    torch.Size([5, 3])
    """

    def at(self, eps: Tensor) -> Tensor:
        return eps

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z.square().sum(-1) + z.shape[-1] * LOG_2_PI)

    def kl(self, q: Distribution, z: Tensor) -> Tensor:
        exact = q.kl_to_standard_normal()
        return super().kl(q, z) if exact is None else exact
