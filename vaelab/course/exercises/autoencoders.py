"""The exercises of notebook 09: autoencoders without noise, and how they are judged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaelab.course.exercises.exercise import (
    Answers,
    Draw,
    Exercise,
    Inputs,
    Slip,
    gradient,
    numbers,
)


def constant_kl(sigma: Tensor, k: Tensor) -> Answers:
    """The constant of the KL at one variance σ², ½ κ (σ² − 1 − log σ²), from σ and κ: a number."""

    def kl(variance: Tensor) -> Tensor:
        return 0.5 * k * (variance - 1 - torch.log(variance))

    right = kl(sigma**2)
    return right, {
        "σ is taken for the variance: square it": kl(sigma),
        "κ is missing: every direction pays it": right / k,
        "log σ stands where log σ² belongs": 0.5 * k * (sigma**2 - 1 - torch.log(sigma)),
        "the −1 is missing: at σ = 1 the constant is 0": right + 0.5 * k,
        "+1 stands where −1 belongs: at σ = 1 the constant is 0": right + k,
        "the sign of the logarithm is wrong": 0.5 * k * (sigma**2 - 1 + 2 * torch.log(sigma)),
    }


def slopes(draw: Draw) -> Inputs:
    """A decoder, codes (n, κ) that have a gradient, and a probe a code, (n, d)."""
    for n, k, d in ((3, 2, 4), (5, 3, 6)):
        weight = draw(k, d).requires_grad_()
        decode = Decoder(weight)
        yield decode, draw(n, k).requires_grad_(), draw(n, d)


@dataclass(frozen=True)
class Decoder:
    """z ↦ tanh(z W)."""

    weight: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        return torch.tanh(z @ self.weight)


def pulled_back(decode: Callable[[Tensor], Tensor], z: Tensor, v: Tensor) -> Tensor:
    """Jᵀv at every code, (n, κ), with a gradient."""
    return torch.autograd.grad((decode(z) * v).sum(), z, create_graph=True)[0]


def probed(decode: Callable[[Tensor], Tensor], z: Tensor, v: Tensor) -> Tensor:
    """The answer of 09.2 alone, for any decoder."""
    return pulled_back(decode, z, v).square().sum(1)


def probe(decode: Decoder, z: Tensor, v: Tensor) -> Answers:
    """One probe ‖Jᵀv‖² of ‖J‖² a code, for J the Jacobian of `decode` at z (n, κ) and v (n, d): to
    (n,), with a gradient in the decoder's weights.
    """
    pulled, right = pulled_back(decode, z, v), probed(decode, z, v)
    slope = (1 - decode(z).square())[:, None] * decode.weight
    return right, {
        "this is Jᵀv itself: square it, and sum over its κ entries": pulled,
        "the squares of Jᵀv are to be summed over its κ entries": pulled.square(),
        "this is the length ‖Jᵀv‖: square it": right.sqrt(),
        "this is a mean over the directions: they are summed": pulled.square().mean(1),
        "divided by ‖v‖², the estimate is d times too small in the mean": (
            right / v.square().sum(1)
        ),
        "this is ‖J‖² itself, which no probe needs": slope.square().sum((1, 2)),
        "the sum comes before the square": pulled.sum(1).square(),
        "summed over all codes: each has its own slope": right.sum(),
        "this is the mean over the codes: each has its own slope": right.mean(),
        "a mean stands inside grad: sum decode(z) · v over codes and pixels": (
            right / v.numel() ** 2
        ),
        "the mean over the codes stands inside grad: take their sum": right / len(z) ** 2,
        "the weights hear nothing of it: create_graph=True keeps the way back": right.detach(),
    }


LEFT_BEHIND = (
    "backward() also fills the .grad of the decoder's weights, and training would add it up: "
    "torch.autograd.grad gives the gradient in z alone"
)


def value_and_slope(function: Callable[..., Any], decode: Decoder, z: Tensor, v: Tensor) -> Any:
    """The value and the gradient in the decoder's weights of what a function gives.

    Raises:
        Slip: a shape that no slip has, or a gradient left behind in the weights.
    """
    result = function(decode, z, v)
    if not isinstance(result, Tensor):
        return result
    if decode.weight.grad is not None:
        raise Slip(LEFT_BEHIND)
    if result.shape not in ((), z.shape[:1], z.shape):
        raise Slip(f"expected shape ({len(z)},) back, one value a code, got {tuple(result.shape)}")
    slope = gradient(result.sum(), decode.weight)
    return torch.cat([result.detach().flatten(), slope.flatten()])


def log_densities(draw: Draw) -> Inputs:
    """Log-densities of training codes (n,) and of held-out ones (m,)."""
    for n, m, held_out in ((9, 5, -9), (12, 20, -9), (8, 6, -2)):
        yield 3 * draw(n) - 4, 3 * draw(m) + held_out


def gap_in_nats(train: Tensor, held_out: Tensor) -> Answers:
    """What one code loses in the mean when it was held out, from log-densities of training codes
    (n,) and of held-out codes (m,): a number, in nats.
    """
    right = train.mean() - held_out.mean()
    both = min(len(train), len(held_out))
    return right, {
        "a gap may be negative, if held-out codes are likelier: keep its sign": right.abs(),
        "these are sums: the samples have different sizes": train.sum() - held_out.sum(),
        "both sums are divided by one size: each sample has its own": (
            (train.sum() - held_out.sum()) / len(train)
        ),
        "codes are cut off, or paired: take the mean of all codes of each sample": (
            (train[:both] - held_out[:both]).mean()
        ),
        "this is a ratio of means: the difference is asked for": train.mean() / held_out.mean(),
        "these are bits: nats are asked for": right / math.log(2),
    }


def curves(draw: Draw) -> Inputs:
    """Precision and recall (m,), and b."""
    for m, b in zip((7, 11), numbers(8, 0.125), strict=True):
        share = torch.linspace(0.05, 0.95, m, dtype=torch.float64)
        yield 0.9 * share, 0.8 * (1 - share**2), b


def best_f(precision: Tensor, recall: Tensor, b: Tensor) -> Answers:
    """The largest F_b, (1 + b²) P R / (b² P + R), of a curve of precision and recall, (m,) each:
    a number.
    """

    def f(p: Tensor, r: Tensor, squared: Tensor) -> Tensor:
        return (1 + squared) * p * r / (squared * p + r)

    right = f(precision, recall, b**2).max()
    return right, {
        "b stands where b² belongs": f(precision, recall, b).max(),
        "b stands where b² belongs, in the denominator": (
            f(precision, recall, b) * (1 + b**2) / (1 + b)
        ).max(),
        "b stands where b² belongs, in the numerator": right * (1 + b) / (1 + b**2),
        "precision and recall are exchanged": f(recall, precision, b**2).max(),
        "one F for each point: take the largest": f(precision, recall, b**2),
        "the mean over the curve: the largest is asked for": f(precision, recall, b**2).mean(),
        "this is F of the largest precision and the largest recall, which no point has": f(
            precision.max(), recall.max(), b**2
        ),
        "the factor 1 + b² is missing": right / (1 + b**2),
        "the factor is 1 + b², not (1 + b)²": right * (1 + b) ** 2 / (1 + b**2),
        "argmax says where it lies: the value there is asked for": (
            f(precision, recall, b**2).argmax().to(right.dtype)
        ),
    }


EXERCISES = (
    Exercise("09.1", constant_kl, [(0.7, 16.0), (0.3, 5.0)]),
    Exercise("09.2", probe, slopes, ours=probed, probe=value_and_slope),
    Exercise("09.3", gap_in_nats, log_densities),
    Exercise("09.4", best_f, curves),
)
