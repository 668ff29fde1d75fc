"""The exercises of notebooks 07 and 08: training on images, and comparing models."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab.course.exercises.exercise import Answers, Draw, Exercise, Inputs


def convolution_weights(c_in: int, c_out: int, k: int) -> Answers:
    """How many parameters a convolution with bias has, from its input channels, output channels and
    kernel side.
    """
    weights = k * k * c_in * c_out
    return weights + c_out, {
        "the biases are missing": weights,
        "one bias for each input channel; it is one for each output channel": weights + c_in,
        "a kernel has k × k entries, not k": k * c_in * c_out + c_out,
        "the input channels are missing: each kernel goes through all of them": (
            k * k * c_out + c_out
        ),
        "two biases for each output channel": weights + 2 * c_out,
        "input and output channels are added where they must be multiplied": (
            k * k * (c_in + c_out) + c_out
        ),
        "one bias for the whole layer; it is one for each output channel": weights + 1,
        "one bias for each pair of channels; it is one for each output channel": (
            weights + c_in * c_out
        ),
        "the output channels are missing: each has a kernel of its own": k * k * c_in + 1,
        "a bias belongs to the output channel, not to each weight": 2 * weights,
    }


def pictures(draw: Draw) -> Inputs:
    """Images (n, channels, h, w) that fill part of [0, 1]."""
    for shape in ((4, 3, 5, 5), (2, 1, 3, 3)):
        noise = torch.rand(shape, generator=draw.generator).double()
        yield (0.1 + 0.7 * noise,)


def stretch(x: Tensor) -> Answers:
    """Each image stretched by itself to the whole range [0, 1]: (n, channels, h, w) to the same
    shape.
    """

    def over(*dims: int) -> Tensor:
        low = x.amin(dims, keepdim=True)
        return (x - low) / (x - low).amax(dims, keepdim=True)

    image = (1, 2, 3)
    above = x - x.amin(image, keepdim=True)
    centred = x - x.mean(image, keepdim=True)
    high = x.amax(image, keepdim=True)
    return over(*image), {
        "stretched over the whole batch; each image has its own range": over(0, 1, 2, 3),
        "each channel is stretched by itself; one range an image is asked for": over(2, 3),
        "the minimum is not taken away": x / high,
        (
            "divided by the maximum; after the minimum is taken away the range is maximum − minimum"
        ): above / high,
        "the minimum is taken away, but nothing is divided": above,
        "the maximum is taken away: the range runs from −1 to 0": over(*image) - 1,
        "stretched to [−1, 1]; [0, 1] is asked for": 2 * over(*image) - 1,
        "this is standardised, not stretched": centred / x.std(image, keepdim=True),
        "each pixel is stretched over the batch; an image is stretched over its own pixels": over(
            0
        ),
        "divided by the range, but the minimum is not taken away": x / (high - x.amin(image, True)),
        "white and black are exchanged": 1 - over(*image),
        "the images are as they came": x,
    }


def two_gaussians(draw: Draw) -> Inputs:
    """Mean and variances of one Gaussian, then of another, each (k,)."""
    for k in (5, 3):
        means = torch.randn(2, k, generator=draw.generator).double()
        variances = 0.2 + 2 * torch.rand(2, k, generator=draw.generator).double()
        yield means[0], variances[0], means[1], variances[1]


def frechet(
    m: Tensor,
    v: Tensor,
    n: Tensor,
    w: Tensor,
) -> Answers:
    """The Fréchet distance of two Gaussians of diagonal covariance, from means and variances (k,)
    to one number.
    """
    squares = (m - n).square()
    means = squares.sum()
    roots = (v.sqrt() - w.sqrt()).square().sum()
    right = means + roots
    return right, {
        "variances are compared where their roots must be": means + (v - w).square().sum(),
        "the means are missing": roots,
        "the covariances are missing": means,
        "the means are not squared": (m - n).abs().sum() + roots,
        "the variances are used as standard deviations": means + (v - w).abs().sum(),
        "the roots are multiplied where the difference is squared": (
            means + (v.sqrt() * w.sqrt()).sum()
        ),
        "averaged over the features where it must be summed": right / len(m),
        "the cross term −2 √(v w) is missing": means + (v + w).sum(),
        "the root of the product v w is forgotten": means + (v + w - 2 * v * w).sum(),
        "the roots of the variances are compared without a square": (
            means + (v.sqrt() - w.sqrt()).abs().sum()
        ),
        "the product is added where twice its root is taken away": means + (v + w + v * w).sum(),
        "the factor 2 before the root of the product is missing": (
            means + (v + w - (v * w).sqrt()).sum()
        ),
        "this is KL, not the Fréchet distance": (
            0.5 * (squares / w + v / w - (v / w).log() - 1).sum()
        ),
    }


def fall_of_cost(kappa: int, r: int) -> Answers:
    """By how many nats the optimal cost of a second stage falls when its γ is divided by ten, for
    codes with κ coordinates that lie on a surface of dimension r.
    """
    decade = math.log(10)
    right = (kappa - r) / 2 * decade
    return right, {
        "these are decades, not nats": (kappa - r) / 2,
        "the r directions along the surface save nothing: subtract r": kappa / 2 * decade,
        "only directions off the surface save, κ − r of them": r / 2 * decade,
        "the logarithm is that of 2, not of 10": (kappa - r) / 2 * math.log(2),
        "the sum κ + r stands where the difference belongs": (kappa + r) / 2 * decade,
        "these are bits, not nats: take the natural logarithm": right / math.log(2),
        "γ is divided by ten, so its logarithm falls by log 10, not by 10": 5.0 * (kappa - r),
    }


EXERCISES = (
    Exercise("07.1", convolution_weights, [(1, 64, 4), (64, 128, 4), (3, 32, 5)]),
    Exercise("07.2", stretch, pictures),
    Exercise("08.1", frechet, two_gaussians),
    Exercise("08.2", fall_of_cost, [(6, 2), (16, 11), (32, 5)]),
)
