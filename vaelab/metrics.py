"""Measures of codes and samples: MMD, singular-value spectra, active dimensions, Fréchet and energy distance.

All compute in float64 and give plain numbers or tensors; arrays and tensors are both welcome.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vaelab._inputs import check_positive

BLOCK = 1000  # rows at a time: a block of pair distances is 8 MB


def _rows(*samples: Any) -> list[Tensor]:
    out = [torch.as_tensor(s).detach().double().flatten(1) for s in samples]
    for x in out:
        if len(x) < 2:
            raise ValueError(f"expected samples of at least 2 rows, got {len(x)}")
        if not torch.isfinite(x).all():
            raise ValueError("a sample holds NaN or infinite values; expected finite rows")
    if len({x.shape[1] for x in out}) > 1:
        raise ValueError(f"expected samples of one dimension, got {' and '.join(str(x.shape[1]) for x in out)}")
    return out


def imq(scales: Sequence[float] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)) -> Callable[[Tensor, int], Tensor]:
    """The inverse multiquadratic kernel of WAE, summed over scales: k = Σ_s C_s / (C_s + ‖x − y‖²), C_s = 2κ s.

    Source: Tolstikhin et al. (2018), Section 4; the seven scales are their code's.

    Returns:
        A function of squared distances and the dimension κ.
    """

    def kernel(squared: Tensor, dimension: int) -> Tensor:
        total = torch.zeros_like(squared)
        for s in scales:
            total += (2 * dimension * s) / (2 * dimension * s + squared)
        return total

    return kernel


def _pair_sum(x: Tensor, y: Tensor, function: Callable[[Tensor], Tensor]) -> float:
    total = 0.0
    for a in x.split(BLOCK):
        for b in y.split(BLOCK):
            total += function(torch.cdist(a, b)).sum().item()
    return total


def mmd2(x: Any, y: Any, kernel: Callable[[Tensor, int], Tensor] | None = None) -> float:
    """The squared maximum mean discrepancy, unbiased: near 0, or below, for samples of one distribution.

    mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean_{i,j} k(x_i, y_j), computed in blocks of a thousand rows,
    so that memory does not grow with the samples.

    Source: Gretton et al. (2012), Eq. 3.

    Args:
        x, y: samples (n, κ) and (m, κ).
        kernel: a function of squared distances and κ; `imq()` unless given.
    """
    x, y = _rows(x, y)
    kernel = imq() if kernel is None else kernel
    k = lambda distance: kernel(distance.square_(), x.shape[1])  # noqa: E731
    n, m = len(x), len(y)
    diagonal = kernel(x.new_zeros(1), x.shape[1]).item()
    xx = (_pair_sum(x, x, k) - n * diagonal) / (n * (n - 1))
    yy = (_pair_sum(y, y, k) - m * diagonal) / (m * (m - 1))
    return xx + yy - 2 * _pair_sum(x, y, k) / (n * m)


def energy_distance(x: Any, y: Any) -> float:
    """2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖, unbiased: 0 exactly for equal distributions (Székely & Rizzo 2013)."""
    x, y = _rows(x, y)
    same = lambda a: _pair_sum(a, a, lambda d: d) / (len(a) * (len(a) - 1))  # noqa: E731
    return 2 * _pair_sum(x, y, lambda d: d) / (len(x) * len(y)) - same(x) - same(y)


def frechet_distance(x: Any, y: Any) -> float:
    """The squared 2-Wasserstein distance of two Gaussians with the samples' means and covariances.

    ‖m_x − m_y‖² + tr C_x + tr C_y − 2 tr (C_x C_y)^½. In the features of an Inception network it is the FID
    (Heusel et al. 2017, Eq. 6); here the features are the caller's.

    Args:
        x, y: features (n, κ) and (m, κ).
    """
    x, y = _rows(x, y)
    (mean_x, cov_x), (mean_y, cov_y) = ((s.mean(0), s.T.cov().reshape(s.shape[1], -1)) for s in (x, y))
    root = _psd_sqrt(cov_x)
    cross = torch.linalg.eigvalsh(root @ cov_y @ root).clamp(min=0).sqrt().sum()
    return float((mean_x - mean_y).square().sum() + cov_x.trace() + cov_y.trace() - 2 * cross)


def _psd_sqrt(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def singular_values(z: Any) -> Tensor:
    """Singular values of the sample matrix over √n, descending, shape (κ,): all near 1 for codes from N(0, I).

    Source: Dai & Wipf (2019), Fig. 2.
    """
    (z,) = _rows(z)
    return torch.linalg.svdvals(z) / len(z) ** 0.5


def active_dims(eigenvalues: Any, threshold: float = 0.5) -> float:
    """r̂: how many eigenvalues λ_j of Σ_z lie below the threshold, the median over the images.

    The theory has them at 0 (the direction carries the image) or 1 (it carries noise); the threshold is the middle.

    Source: Dai & Wipf (2019), Section 3.

    Args:
        eigenvalues: (n, κ), from `q.eigenvalues()`.
        threshold: between 0 and 1.
    """
    check_positive("threshold", threshold)
    counts = (torch.as_tensor(eigenvalues) < threshold).sum(-1).double()
    return counts.median().item()


def mean_squared_error(x: Tensor, x_hat: Tensor) -> float:
    """The mean of (x − x_hat)² over images and pixels: the optimal γ of a Gaussian decoder."""
    return (x - x_hat).double().square().mean().item()
