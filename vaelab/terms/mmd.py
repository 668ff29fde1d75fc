"""The latent term of WAE-MMD: a batch of codes against a batch of the prior, by a kernel."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import Scales, Weight, check_choice
from vaelab.terms.term import Pass, Term


def imq(x: Tensor, y: Tensor, scales: Sequence[float]) -> Tensor:
    """Σ_s C_s / (C_s + ‖x_i − y_j‖²), C_s = 2κ s, for all pairs of rows, shape (n, m);
    differentiable.

    `metrics.imq` is the same kernel for samples too large for a matrix.
    """
    squared, sizes = _distances(x, y, scales)
    return functools.reduce(torch.add, [c / (c + squared) for c in sizes])


def gaussian(x: Tensor, y: Tensor, scales: Sequence[float]) -> Tensor:
    """Σ_s exp(−‖x_i − y_j‖² / 2κs) for all pairs of rows, shape (n, m); differentiable."""
    squared, sizes = _distances(x, y, scales)
    return functools.reduce(torch.add, [torch.exp(-squared / c) for c in sizes])


def _distances(x: Tensor, y: Tensor, scales: Sequence[float]) -> tuple[Tensor, list[float]]:
    """‖x_i − y_j‖² for all pairs of rows, shape (n, m), and what it is compared with, 2κ s."""
    squares = x.square().sum(1, keepdim=True) + y.square().sum(1)
    squared = torch.addmm(squares, x, y.T, alpha=-2).clamp(min=0)
    return squared, [2 * x.shape[1] * s for s in scales]


KERNELS = {"imq": imq, "gaussian": gaussian}


class MMD(Term):
    """λ · MMD²(batch of codes, p(z)) by a kernel: the term of WAE-MMD.

    Row i holds mean_{j≠i} k(z_i, z_j) + mean_{j≠i} k(p_i, p_j) − 2 mean_j k(z_i, p_j), p drawn from
    the prior: the mean over the batch is the unbiased estimate, and may be negative. A prior that
    is learned gets the gradient of MMD² at full weight whatever λ is (GMMN, Li et al. 2015).

    Source: Tolstikhin et al. (2018), Algorithm 2; the seven scales are their code's.

    Args:
        weight: λ ≥ 0, beside −log p(x given z); see `models.wae_mmd`.
        scales: s of the kernel, over which it is summed.
        kernel: "imq", the inverse multiquadratic one, or "gaussian".
    """

    name = "mmd"
    whole_batch = True

    @door
    def __init__(
        self,
        weight: Weight = 1.0,
        scales: Scales = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
        kernel: str = "imq",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.scales = scales
        self.kernel = check_choice("kernel", kernel, KERNELS)

    def forward(self, p: Pass) -> Tensor:
        """The term for codes `p.z`, shape (batch,).

        Raises:
            ValueError: a batch of one, in which there are no pairs.
        """
        z, drawn = self.compared(p)
        if not p.prior.is_learned:
            return self.weight * self._squared(z, drawn)
        squared = self._squared(z.detach() + self.weight * (z - z.detach()), drawn)
        return squared + (self.weight - 1) * squared.detach()

    def _squared(self, z: Tensor, drawn: Tensor) -> Tensor:
        n = len(z)
        if n < 2:
            raise ValueError(
                "MMD compares the codes of a batch with each other: expected batch_size ≥ 2, got 1"
            )
        others = 1 - torch.eye(n, device=z.device, dtype=z.dtype)
        k = KERNELS[self.kernel]
        pairs = others * (k(z, z, self.scales) + k(drawn, drawn, self.scales))
        return pairs.sum(1) / (n - 1) - 2 * k(z, drawn, self.scales).mean(1)
