"""The latent term of WAE-MMD: a batch of codes against a batch of the prior, by a kernel."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab._inputs import check_positive, check_weight
from vaelab.terms.term import Pass, Term


def imq(x: Tensor, y: Tensor, scales: Sequence[float]) -> Tensor:
    """Σ_s C_s / (C_s + ‖x_i − y_j‖²), C_s = 2κ s, for all pairs of rows, shape (n, m);
    differentiable.

    `metrics.imq` is the same kernel for samples too large for a matrix.
    """
    squares = x.square().sum(1, keepdim=True) + y.square().sum(1)
    squared = torch.addmm(squares, x, y.T, alpha=-2).clamp(min=0)
    sizes = [2 * x.shape[1] * s for s in scales]
    return functools.reduce(torch.add, [c / (c + squared) for c in sizes])


class MMD(Term):
    """λ · MMD²(batch of codes, p(z)) with the inverse multiquadratic kernel: the term of WAE-MMD.

    Row i holds mean_{j≠i} k(z_i, z_j) + mean_{j≠i} k(p_i, p_j) − 2 mean_j k(z_i, p_j), p drawn from
    the prior: the mean over the batch is the unbiased estimate, and may be negative.

    Source: Tolstikhin et al. (2018), Algorithm 2; the seven scales are their code's.

    Args:
        weight: λ ≥ 0, beside −log p(x given z); see `models.wae_mmd`.
        scales: s of the kernel, over which it is summed.
    """

    name = "mmd"
    whole_batch = True

    def __init__(
        self,
        weight: float = 1.0,
        scales: Sequence[float] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    ) -> None:
        super().__init__()
        check_weight("weight", weight)
        self.weight = weight
        self.scales = tuple(scales)
        for scale in self.scales:
            check_positive("scales", scale)

    def forward(self, p: Pass) -> Tensor:
        """The term for codes `p.z`, shape (batch,).

        Raises:
            ValueError: a batch of one, in which there are no pairs.
        """
        z, n = p.z, len(p.z)
        if n < 2:
            raise ValueError(
                "MMD compares the codes of a batch with each other: expected batch_size ≥ 2, got 1"
            )
        others = 1 - torch.eye(n, device=z.device, dtype=z.dtype)
        pairs = others * (imq(z, z, self.scales) + imq(p.p, p.p, self.scales))
        across = imq(z, p.p, self.scales)
        return self.weight * (pairs.sum(1) / (n - 1) - 2 * across.mean(1))
