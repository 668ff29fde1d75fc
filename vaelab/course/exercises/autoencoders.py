"""The exercises of notebook 09: autoencoders without noise, and how they are judged."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab.course.exercises.exercise import Answers, Exercise, Generator, Inputs, normal, numbers


def spreads(generator: Generator) -> Inputs:
    """σ, a number, and κ."""
    yield from zip(numbers(0.7, 0.3), numbers(16, 5), strict=True)


def constant_kl(sigma: Tensor, k: Tensor) -> Answers:
    """The constant of the KL at one variance σ², ½ κ (σ² − 1 − log σ²), from σ and κ: a number."""

    def kl(variance: Tensor) -> Tensor:
        return 0.5 * k * (variance - 1 - torch.log(variance))

    right = kl(sigma**2)
    return right, {
        "σ is taken for the variance: square it": kl(sigma),
        "the ½ is missing": 2 * right,
        "κ is missing: every direction pays it": right / k,
        "log σ stands where log σ² belongs": 0.5 * k * (sigma**2 - 1 - torch.log(sigma)),
        "the −1 is missing: at σ = 1 the constant is 0": right + 0.5 * k,
        "the sign of the logarithm is wrong": 0.5 * k * (sigma**2 - 1 + 2 * torch.log(sigma)),
    }


def slopes(generator: Generator) -> Inputs:
    """A Jacobian (d, κ) and a probe (d,)."""
    for d, k in ((6, 3), (9, 4)):
        yield normal(generator, d, k), normal(generator, d)


def probe(jacobian: Tensor, v: Tensor) -> Answers:
    """One probe of ‖J‖², ‖Jᵀv‖², from J (d, κ) and v (d,): a number."""
    pulled = jacobian.T @ v
    right = pulled.square().sum()
    return right, {
        "this is the length ‖Jᵀv‖: square it": right.sqrt(),
        "this is a mean over the directions: they are summed": pulled.square().mean(),
        "divided by ‖v‖², the estimate is d times too small in the mean": right / v.square().sum(),
        "this is ‖J‖² itself, which no probe needs": jacobian.square().sum(),
        "the sum comes before the square": pulled.sum().square(),
    }


def log_densities(generator: Generator) -> Inputs:
    """Log-densities of training codes (n,) and of held-out ones (m,)."""
    for n, m in ((9, 5), (12, 20)):
        yield 3 * normal(generator, n) - 4, 3 * normal(generator, m) - 9


def gap_in_nats(train: Tensor, held_out: Tensor) -> Answers:
    """What one code loses in the mean when it was held out, from log-densities of training codes
    (n,) and of held-out codes (m,): a number, in nats.
    """
    right = train.mean() - held_out.mean()
    return right, {
        "the sign is wrong: the gap of a density that memorises is positive": -right,
        "these are sums: the samples have different sizes": train.sum() - held_out.sum(),
        "this is a ratio of densities: leave it in nats": torch.exp(right),
        "this is a ratio of means: the difference is asked for": train.mean() / held_out.mean(),
        "these are bits: nats are asked for": right / math.log(2),
    }


def curves(generator: Generator) -> Inputs:
    """Precision and recall (m,), and β."""
    for m, beta in zip((7, 11), numbers(8, 0.125), strict=True):
        share = torch.linspace(0.05, 0.95, m, dtype=torch.float64)
        yield 0.9 * share, 0.8 * (1 - share**2), beta


def best_f(precision: Tensor, recall: Tensor, beta: Tensor) -> Answers:
    """The largest F_β, (1 + β²) P R / (β² P + R), of a curve of precision and recall, (m,) each:
    a number.
    """

    def f(p: Tensor, r: Tensor, squared: Tensor) -> Tensor:
        return (1 + squared) * p * r / (squared * p + r)

    right = f(precision, recall, beta**2).max()
    return right, {
        "β stands where β² belongs": f(precision, recall, beta).max(),
        "precision and recall are exchanged": f(recall, precision, beta**2).max(),
        "one F for each point: take the largest": f(precision, recall, beta**2),
        "the mean over the curve: the largest is asked for": f(precision, recall, beta**2).mean(),
        "this is F of the largest precision and the largest recall, which no point has": f(
            precision.max(), recall.max(), beta**2
        ),
        "the factor 1 + β² is missing": right / (1 + beta**2),
        "the factor is 1 + β², not (1 + β)²": right * (1 + beta) ** 2 / (1 + beta**2),
        "argmax says where it lies: the value there is asked for": (
            f(precision, recall, beta**2).argmax().to(right.dtype)
        ),
    }


EXERCISES = (
    Exercise("09.1", constant_kl, spreads),
    Exercise("09.2", probe, slopes),
    Exercise("09.3", gap_in_nats, log_densities),
    Exercise("09.4", best_f, curves),
)
