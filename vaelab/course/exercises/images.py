"""The exercises of notebooks 07 and 08: training on images, and comparing models."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab.course.exercises.catalogue import Exercise


def _layers(generator: torch.Generator) -> tuple[tuple[int, int, int], ...]:
    return (1, 64, 4), (64, 128, 4), (3, 32, 5)


def _pictures(generator: torch.Generator) -> tuple[tuple[Tensor], ...]:
    shapes = (4, 3, 5, 5), (2, 1, 3, 3)
    return tuple((0.1 + 0.7 * torch.rand(shape, generator=generator).double(),) for shape in shapes)


def _spread(x: Tensor, dim: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    low = x.amin(dim, keepdim=True)
    return low, x.amax(dim, keepdim=True) - low


def _stretched(x: Tensor, dim: tuple[int, ...]) -> Tensor:
    low, spread = _spread(x, dim)
    return (x - low) / spread


def _gaussians(generator: torch.Generator) -> tuple[tuple[Tensor, ...], ...]:
    def draw(k: int) -> tuple[Tensor, ...]:
        m = torch.randn(2, k, generator=generator).double()
        v = 0.2 + 2 * torch.rand(2, k, generator=generator).double()
        return m[0], v[0], m[1], v[1]

    return draw(5), draw(3)


def _frechet(m: Tensor, v: Tensor, n: Tensor, w: Tensor) -> Tensor:
    return (m - n).square().sum() + (v.sqrt() - w.sqrt()).square().sum()


def _codes(generator: torch.Generator) -> tuple[tuple[int, int], ...]:
    return (6, 2), (16, 11), (32, 5)


EXERCISES = {
    exercise.id: exercise
    for exercise in (
        Exercise(
            "07.1",
            (
                "how many parameters a convolution with bias has, from its input channels, output "
                "channels and kernel side"
            ),
            lambda c_in, c_out, k: k * k * c_in * c_out + c_out,
            {
                "the biases are missing": lambda c_in, c_out, k: k * k * c_in * c_out,
                "one bias for each input channel; it is one for each output channel": lambda c_in, c_out, k: (
                    k * k * c_in * c_out + c_in
                ),
                "a kernel has k × k entries, not k": lambda c_in, c_out, k: (
                    k * c_in * c_out + c_out
                ),
                "the input channels are missing: each kernel goes through all of them": lambda c_in, c_out, k: (
                    k * k * c_out + c_out
                ),
                "one bias for the whole layer; it is one for each output channel": lambda c_in, c_out, k: (
                    k * k * c_in * c_out + 1
                ),
            },
            _layers,
        ),
        Exercise(
            "07.2",
            (
                "each image stretched by itself to the whole range [0, 1]: (n, channels, h, w) "
                "to the "
                "same shape"
            ),
            lambda x: _stretched(x, (1, 2, 3)),
            {
                "stretched over the whole batch; each image has its own range": lambda x: (
                    _stretched(x, (0, 1, 2, 3))
                ),
                "each channel is stretched by itself; one range an image is asked for": lambda x: (
                    _stretched(x, (2, 3))
                ),
                "the minimum is not taken away": lambda x: x / x.amax((1, 2, 3), keepdim=True),
                (
                    "divided by the maximum; after the minimum is taken away the range is "
                    "maximum − "
                    "minimum"
                ): lambda x: (
                    (x - x.amin((1, 2, 3), keepdim=True)) / x.amax((1, 2, 3), keepdim=True)
                ),
                "the minimum is taken away, but nothing is divided": lambda x: (
                    x - x.amin((1, 2, 3), keepdim=True)
                ),
                "this is standardised, not stretched": lambda x: (
                    (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)
                ),
            },
            _pictures,
        ),
        Exercise(
            "08.1",
            (
                "the Fréchet distance of two Gaussians of diagonal covariance, from means and "
                "variances (k,) to one number"
            ),
            _frechet,
            {
                "this is its root; the distance is squared here, as in FID": lambda m, v, n, w: (
                    _frechet(m, v, n, w).sqrt()
                ),
                "variances are compared where their roots must be": lambda m, v, n, w: (
                    (m - n).square().sum() + (v - w).square().sum()
                ),
                "the means are missing": lambda m, v, n, w: _frechet(m, v, m, w),
                "the covariances are missing": lambda m, v, n, w: (m - n).square().sum(),
                "averaged over the features where it must be summed": lambda m, v, n, w: (
                    _frechet(m, v, n, w) / len(m)
                ),
                "the factor 2 before the root of the product is missing": lambda m, v, n, w: (
                    (m - n).square().sum() + (v + w - (v * w).sqrt()).sum()
                ),
                "this is KL, not the Fréchet distance": lambda m, v, n, w: (
                    0.5 * ((v + (m - n).square()) / w - 1 - (v / w).log()).sum()
                ),
            },
            _gaussians,
        ),
        Exercise(
            "08.2",
            "by how many nats the optimal cost of a second stage falls when its γ is divided by "
            "ten, for codes with κ "
            "coordinates that lie on a surface of dimension r",
            lambda kappa, r: (kappa - r) / 2 * math.log(10),
            {
                "the factor 1/2 is missing: γ is a variance": lambda kappa, r: (
                    (kappa - r) * math.log(10)
                ),
                "these are decades, not nats": lambda kappa, r: (kappa - r) / 2,
                "the r directions along the surface save nothing: subtract r": lambda kappa, r: (
                    kappa / 2 * math.log(10)
                ),
                "only directions off the surface save, κ − r of them": lambda kappa, r: (
                    r / 2 * math.log(10)
                ),
                "it falls, and by how much is asked: the sign is wrong": lambda kappa, r: (
                    -(kappa - r) / 2 * math.log(10)
                ),
            },
            _codes,
        ),
    )
}
