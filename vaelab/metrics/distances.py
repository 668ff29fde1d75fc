"""Distances of two samples: MMD, energy, sliced Wasserstein and Fréchet."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import (
    Scales,
    check_callable,
    check_draws,
    generator_of,
    shown,
)
from vaelab.metrics.samples import as_rows

BLOCK = 512  # rows at a time: a block of pair distances is 2 MB and stays in the processor's cache

Kernel = Callable[[Tensor, int], Tensor]


@door
def imq(scales: Scales = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)) -> Kernel:
    """The inverse multiquadratic kernel of WAE, summed over scales: k = Σ_s C_s / (C_s + ‖x − y‖²),
    C_s = 2κ s.

    Source: Tolstikhin et al. (2018), Section 4; the seven scales are their code's.

    Returns:
        A function of squared distances and the dimension κ.
    """

    def kernel(squared: Tensor, dimension: int) -> Tensor:
        total = torch.zeros_like(squared)
        term = torch.empty_like(squared)
        for s in scales:
            c = 2 * dimension * s
            total.add_(torch.add(squared, c, out=term).reciprocal_(), alpha=c)
        return total

    return kernel


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    norms = x.square().sum(1, keepdim=True) + y.square().sum(1)
    return torch.addmm(norms, x, y.T, alpha=-2).clamp_(min=0)


def _mean_across(x: Tensor, y: Tensor, function: Callable[[Tensor], Tensor]) -> float:
    """The mean of a function of ‖x_i − y_j‖² over all pairs, block by block."""
    total = sum(
        function(_squared_distances(a, b)).sum().item()
        for a in x.split(BLOCK)
        for b in y.split(BLOCK)
    )
    return total / (len(x) * len(y))


def _mean_within(x: Tensor, function: Callable[[Tensor], Tensor]) -> float:
    """The mean of a function of ‖x_i − x_j‖² over all i ≠ j; each pair is computed once."""
    blocks = x.split(BLOCK)
    total = 0.0
    for i, a in enumerate(blocks):
        square = function(_squared_distances(a, a))
        total += (square.sum() - square.trace()).item()
        total += 2 * sum(function(_squared_distances(a, b)).sum().item() for b in blocks[i + 1 :])
    return total / (len(x) * (len(x) - 1))


def mmd2(x: Any, y: Any, kernel: Kernel | None = None) -> float:
    """The squared maximum mean discrepancy, unbiased: near 0, or below, for samples of one
    distribution.

    mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean_{i,j} k(x_i, y_j), block by block, so
    that memory does not grow with the samples.

    Source: Gretton et al. (2012), Eq. 3.

    Args:
        x, y: samples (n, κ) and (m, κ).
        kernel: a function of squared distances and κ; `imq()` unless given.
    """
    x, y = as_rows(x, y)
    kernel = imq() if kernel is None else kernel
    check_callable("kernel", kernel)

    def k(squared: Tensor) -> Tensor:
        return kernel(squared, x.shape[1])

    return _mean_within(x, k) + _mean_within(y, k) - 2 * _mean_across(x, y, k)


def energy_distance(x: Any, y: Any) -> float:
    """2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖, unbiased: near 0, or below, for one distribution (Székely
    & Rizzo 2013).
    """
    x, y = as_rows(x, y)
    across = _mean_across(x, y, torch.sqrt)
    return 2 * across - _mean_within(x, torch.sqrt) - _mean_within(y, torch.sqrt)


def sliced_wasserstein(
    x: Any, y: Any, n_projections: int = 200, p: int = 2, seed: int = 0
) -> float:
    """The sliced p-Wasserstein distance (E_θ W_p(θᵀx, θᵀy)^p)^(1/p), θ uniform on the sphere, by
    random directions.

    On a line W_p^p = ∫₀¹ |F⁻¹(s) − G⁻¹(s)|^p ds, exact for two samples. Its square root makes it
    biased upwards for small samples: compare samples of the same sizes.

    Source: Bonneel et al. (2015), Eq. 8.

    Args:
        x, y: samples (n, κ) and (m, κ).
        n_projections: how many directions θ.
        p: 1 or 2.
        seed: of the directions.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> sliced_wasserstein(x, x + 3)
    3.0
    """
    x, y = as_rows(x, y)
    check_draws("n_projections", n_projections, len(x) + len(y))
    if isinstance(p, bool) or not isinstance(p, Real) or p not in (1, 2):
        raise ValueError(f"p: expected 1 or 2, got {shown(p)}")
    generator = generator_of(seed)
    theta = torch.randn(x.shape[1], n_projections, dtype=torch.float64, generator=generator)
    theta = (theta / theta.norm(dim=0)).to(x.device)
    steps = [torch.arange(1, len(s) + 1, dtype=torch.float64) / len(s) for s in (x, y)]
    levels = torch.cat(steps).sort().values
    # Both quantile functions are constant on each stretch between neighbouring levels.
    widths = levels.diff(prepend=levels.new_zeros(1))
    middle = levels - 0.5 * widths
    F, G = (_quantiles(s @ theta, middle) for s in (x, y))
    return float((widths.to(x.device) @ (F - G).abs().pow(p)).mean() ** (1 / p))


def _quantiles(s: Tensor, levels: Tensor) -> Tensor:
    """The empirical quantiles of each column of a sample (n, m) at levels (k,): shape (k, m)."""
    n = len(s)
    return s.sort(0).values[(levels * n).long().clamp(max=n - 1)]


def frechet_distance(x: Any, y: Any) -> float:
    """The squared 2-Wasserstein distance of two Gaussians with the samples' means and covariances.

    ‖m_x − m_y‖² + tr C_x + tr C_y − 2 tr (C_x C_y)^½. In the features of an Inception network it is
    the FID (Heusel et al. 2017, Eq. 6); here the features are the caller's.

    Args:
        x, y: features (n, κ) and (m, κ).
    """
    x, y = as_rows(x, y)
    cov_x, cov_y = (s.T.cov().reshape(s.shape[1], -1) for s in (x, y))
    root = _factor(cov_x)  # R Rᵀ = C_x, and Rᵀ C_y R has the eigenvalues of C_x C_y
    cross = torch.linalg.eigvalsh(root.T @ cov_y @ root).clamp(min=0).sqrt().sum()
    shift = (x.mean(0) - y.mean(0)).square().sum()
    return max(0.0, float(shift + cov_x.trace() + cov_y.trace() - 2 * cross))


def _factor(matrix: Tensor) -> Tensor:
    """R with R Rᵀ = `matrix`: Cholesky's, or its symmetric root where it is singular."""
    lower, failed = torch.linalg.cholesky_ex(matrix)
    if not failed:
        return lower
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def energy_test(x: Any, y: Any, shuffles: int = 200, seed: int = 0) -> float:
    """The p-value of "both samples come from one distribution", by the energy distance of two
    samples and of shuffled ones.

    Source: Székely & Rizzo (2004); the share of shuffles as far apart as the samples, which count
    as one of them.

    Args:
        x, y: samples (n, κ) and (m, κ) of at most some thousand rows: all distances are kept.
        shuffles: how many; the least p is 1 / (shuffles + 1).
        seed: of the shuffles.

    >>> rows = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> energy_test(rows[:30], rows[30:]) > 0.05, energy_test(rows[:30], rows[30:] + 2) < 0.01
    (True, True)
    """
    x, y = as_rows(x, y)
    check_draws("shuffles", shuffles, len(x) + len(y))
    pooled, n = torch.cat([x, y]), len(x)
    distances = torch.cdist(pooled, pooled)
    generator = generator_of(seed)
    sides = torch.ones(shuffles + 1, len(pooled), dtype=pooled.dtype)
    sides[:, :n] = 0
    for row in sides[1:]:
        row.copy_(row[torch.randperm(len(row), generator=generator)])
    weights = (1 - sides) / n - sides / (len(pooled) - n)  # Of each row, in both means at once.
    energies = -((weights @ distances) * weights).sum(1)
    as_far = energies >= energies[0] - 1e-12
    return as_far.double().mean().item()
