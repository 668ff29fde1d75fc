"""Measures of codes: spectra, eigenvalues of Σ_z, what noise along one direction does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vaelab._inputs import (
    check_callable,
    check_draws,
    check_share,
    generator_of,
)
from vaelab.metrics.samples import as_numbers, as_rows


def singular_values(z: Any) -> Tensor:
    """Singular values of the sample matrix over √n, descending, shape (κ,): all near 1 for codes
    from N(0, I).

    Source: Dai & Wipf (2019), Fig. 2.
    """
    (z,) = as_rows(z)
    return torch.linalg.svdvals(z) / len(z) ** 0.5


def active_dims(eigenvalues: Any, threshold: float = 0.5) -> float:
    """r̂: how many eigenvalues λ_j of Σ_z lie below the threshold, the median over the images.

    The theory has them at 0 (the direction carries the image) or 1 (it carries noise); the
    threshold is the middle.

    Source: Dai & Wipf (2019), Section 3.

    Args:
        eigenvalues: (n, κ), from `q.eigenvalues()`.
        threshold: between 0 and 1.

    Raises:
        ValueError: a threshold outside (0, 1), no eigenvalues, or NaN or infinite ones.
    """
    check_share("threshold", threshold)
    values = as_numbers("eigenvalues", eigenvalues, None)
    if values.ndim != 2:
        raise ValueError(f"eigenvalues: expected shape (n, κ), got {tuple(values.shape)}")
    counts = (values < threshold).sum(1).double()
    return counts.median().item()


def eigenvalue_counts(eigenvalues: Any, bins: int = 20) -> Tensor:
    """How many λ_j of Σ_z lie in each of equal parts of [0, 1], over images and directions: shape
    (bins,), sum 1.

    Values above 1 count in the last part.

    Source: Dai & Wipf (2019), Fig. 11.

    >>> eigenvalue_counts([[0.01, 0.99], [0.02, 1.04]], bins=4).tolist()
    [0.5, 0.0, 0.0, 0.5]
    """
    check_draws("bins", bins, 1)
    values = as_numbers("eigenvalues", eigenvalues).flatten()
    if values.min() < 0:
        raise ValueError(f"eigenvalues: expected all ≥ 0, got {values.min():.4g}")
    return torch.bincount((values * bins).clamp(max=bins - 1).long(), minlength=bins) / len(values)


@torch.no_grad()
def direction_variance(
    decode: Callable[[Tensor], Tensor],
    z: Any,
    directions: Any = None,
    n_draws: int = 16,
    seed: int = 0,
) -> Tensor:
    """How much an image varies when noise of variance 1 is added to its code along one direction at
    a time.

    The theory has it fall with λ_j: noise where λ_j is near 0 changes the image, noise where it is
    near 1 does not.

    Source: Dai & Wipf (2019), Figs. 1b and 10.

    Args:
        decode: from codes (n, κ) to images (n, ...), as `model.images`.
        z: codes (n, κ), such as the posteriors' means.
        directions: unit vectors as rows, (m, κ); the axes unless given, which are the eigenvectors
            of a diagonal Σ_z.
        n_draws: noises a code and direction, ≥ 2; the same for all.
        seed: of the noise.

    Returns:
        The variance over the draws, mean over codes and pixels, shape (m,), float64.

    Raises:
        ValueError: codes, directions or decoded images of another shape or not finite, a bad seed,
            or fewer than two draws.
    """
    check_callable("decode", decode)
    z = _codes(z)
    if check_draws("n_draws", n_draws, z.numel()) < 2:
        raise ValueError("n_draws: expected at least 2, one has no variance")
    axes = torch.eye(z.shape[1]) if directions is None else directions
    axes = as_numbers("directions", axes, None).to(z)
    if axes.ndim != 2 or axes.shape[1] != z.shape[1]:
        raise ValueError(
            f"directions: expected rows of {z.shape[1]} numbers, got shape {tuple(axes.shape)}"
        )
    noise = torch.randn(n_draws, generator=generator_of(seed)).to(z)
    variances = []
    for axis in axes:
        images = torch.stack([decode(z + eps * axis) for eps in noise])
        variances.append(as_numbers("decoded images", images).var(0).mean())
    return torch.stack(variances).cpu()


def _codes(z: Any) -> Tensor:
    z = as_numbers("z", z, None)
    if z.ndim != 2:
        raise ValueError(f"z: expected codes (n, κ), got shape {tuple(z.shape)}")
    return z


def jacobians(decode: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """∂D/∂z at every code, pixel by pixel: shape (n, d, κ).

    Args:
        decode: from codes (n, κ) to images (n, ...), each row by itself, such as `model.decode` in
            evaluation mode.
        z: codes (n, κ), in the decoder's precision.

    >>> jacobians(lambda z: z.square(), torch.tensor([[1.0, 2.0]])).tolist()
    [[[2.0, 0.0], [0.0, 4.0]]]
    """
    check_callable("decode", decode)
    x_hat, pull, *_ = torch.func.vjp(decode, _codes(z))
    pixels = torch.eye(x_hat[0].numel()).to(x_hat).unflatten(1, x_hat.shape[1:])
    rows = torch.vmap(lambda pixel: pull(pixel.expand_as(x_hat))[0], chunk_size=64)(pixels)
    return rows.movedim(0, 1).detach()


def rank_correlation(x: Any, y: Any) -> float:
    """Spearman's rank correlation of two lists of numbers, in [−1, 1], ties at their mean rank.

    >>> rank_correlation([1, 2, 3, 4], [10, 7, 7, 1])
    -0.9486832980505139
    """
    from scipy.stats import spearmanr

    x, y = as_numbers("x", x).cpu(), as_numbers("y", y).cpu()
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(
            f"expected two lists of equal length ≥ 2, got shapes {tuple(x.shape)} and "
            f"{tuple(y.shape)}"
        )
    if x.min() == x.max() or y.min() == y.max():
        raise ValueError(
            "expected values that differ: the rank correlation of a constant is not defined"
        )
    correlation: Any = spearmanr(x.numpy(), y.numpy())
    return float(correlation.statistic)


def mean_squared_error(x: Any, x_hat: Any) -> float:
    """The mean of (x − x_hat)² over images and pixels: the optimal γ of a Gaussian decoder.

    Raises:
        ValueError: two shapes, no values, or NaN or infinite ones.
    """
    x, x_hat = as_numbers("x", x), as_numbers("x_hat", x_hat)
    if x.shape != x_hat.shape:
        raise ValueError(
            f"expected two samples of one shape, got {tuple(x.shape)} and {tuple(x_hat.shape)}"
        )
    return (x - x_hat).square().mean().item()
