"""The directions of the latent space that the page's sliders move along."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from vaelab import posteriors

SOME = 100  # Covariances hold κ² numbers an image, so they are made for so many images at a time.


class Directions(NamedTuple):
    """Orthonormal directions of the latent space, the one that moves the picture most first.

    Args:
        matrix: a direction a row, shape (κ, κ).
        names: of the directions.
        values: what they are ordered by, shape (κ,); None if nothing is known of them.
        kind: "lambda" (mean eigenvalue of Σ_z, ascending), "sd" (standard deviation of the codes,
            descending), "none".
    """

    matrix: Tensor
    names: list[str]
    values: Tensor | None
    kind: str


def directions(q: posteriors.Distribution) -> Directions:
    """The directions that sliders move along, read off the posteriors of images.

    They are the eigenvectors of Σ_z's mean over the images: the axes, if every Σ_z is diagonal.
    Where all eigenvalues of all images are one number (a point, a constant variance), no direction
    is preferred, and they are the principal ones.

    >>> sigma = torch.tensor([[1.0, 0.1]] * 4)
    >>> directions(posteriors.DiagonalNormal(torch.zeros(4, 2), sigma, 2 * sigma.log())).names
    ['z[1]', 'z[0]']
    """
    latent_dim = q.mean.shape[1]
    few = q[:SOME].eigenvalues()
    if few.min() == few.max():
        sd, vectors = principal(q.mean)
        return Directions(vectors, _names("pc", range(latent_dim)), sd, "sd")
    mean = torch.zeros(latent_dim, latent_dim, dtype=torch.float64)
    for start in range(0, len(q), SOME):
        mean += q[start : start + SOME].covariance().double().sum(0)
    mean /= len(q)
    if torch.equal(mean, mean.diagonal().diag()):
        values, order = mean.diagonal().sort(stable=True)
        axes = torch.eye(latent_dim)[order]
        return Directions(axes, _names("z", order.tolist()), values.float(), "lambda")
    values, vectors = torch.linalg.eigh(mean)
    return Directions(vectors.T.float(), _names("e", range(latent_dim)), values.float(), "lambda")


def unknown_directions(latent_dim: int) -> Directions:
    """The axes in their own order, with nothing known of them."""
    return Directions(torch.eye(latent_dim), _names("z", range(latent_dim)), None, "none")


def principal(z: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviations (κ,), descending, and principal directions (κ, κ), one a row, of codes
    (n, κ).
    """
    covariance = torch.cov(z.double().T, correction=0)
    variances, vectors = torch.linalg.eigh(torch.atleast_2d(covariance))
    sd = variances.clamp(min=0).sqrt()
    return sd.flip(0).float(), vectors.T.flip(0).float()


def _names(letter: str, numbers: Iterable[int]) -> list[str]:
    return [f"{letter}[{j}]" for j in numbers]
