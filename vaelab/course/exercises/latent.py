"""The exercises of notebooks 11 and 12: walks through the latent space, and what lies in it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab.course.exercises.catalogue import Exercise


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _log_variances(generator: torch.Generator) -> tuple[tuple[Tensor, Tensor], ...]:
    gammas = torch.tensor([0.04, 1.7], dtype=torch.float64)
    return tuple(
        (-_normal(generator, n).abs() - 0.1, gamma) for n, gamma in ((6, gammas[0]), (4, gammas[1]))
    )


def _ends(generator: torch.Generator) -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
    t = torch.tensor([0.3, 0.8], dtype=torch.float64)
    return tuple(
        (_normal(generator, k), 2 * _normal(generator, k), each)
        for k, each in zip((3, 8), t, strict=True)
    )


def _arc(a: Tensor, b: Tensor, t: Tensor, omega: Tensor) -> Tensor:
    return (torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b) / torch.sin(omega)


def _angle(a: Tensor, b: Tensor) -> Tensor:
    return torch.arccos(a @ b / (a.norm() * b.norm()))


def _on_sphere(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    a, b = a / a.norm(), b / b.norm()
    return _arc(a, b, t, _angle(a, b))


def _posteriors(generator: torch.Generator) -> tuple[tuple[Tensor, Tensor], ...]:
    return tuple(
        (_normal(generator, n, k) + 1, _normal(generator, n, k).square())
        for n, k in ((7, 3), (5, 4))
    )


def _cov(mu: Tensor) -> Tensor:
    return torch.cov(mu.T, correction=0)


def _samples(generator: torch.Generator) -> tuple[tuple[Tensor, Tensor], ...]:
    return tuple((_normal(generator, n), 2 * _normal(generator, n) + 1) for n in (6, 9))


def _w2(a: Tensor, b: Tensor) -> Tensor:
    return (a.sort().values - b.sort().values).square().mean()


def _log_densities(generator: torch.Generator) -> tuple[tuple[Tensor], ...]:
    return (3 * _normal(generator, 5, 7),), (
        _normal(generator, 3, 3) - 900,
    )  # the second underflows without care


def _mixture(log_p: Tensor) -> Tensor:
    return torch.logsumexp(log_p, 1) - math.log(log_p.shape[1])


_ALL: tuple[Exercise, ...] = (
    Exercise(
        "11.1",
        (
            "the change of the image along each axis, s² = γ (1/λ − 1), from log λ, (κ,), and γ: "
            "to (κ,)"
        ),
        lambda log_var, gamma: gamma * (torch.exp(-log_var) - 1),
        {
            "this is 1/λ for λ: log λ comes in, and 1/λ is exp(−log λ)": lambda log_var, gamma: (
                gamma * (torch.exp(log_var) - 1)
            ),
            "log λ is used as λ: take the exponential": lambda log_var, gamma: (
                gamma * (1 / log_var - 1)
            ),
            "log λ is taken for log σ: λ is a variance already": lambda log_var, gamma: (
                gamma * (torch.exp(-2 * log_var) - 1)
            ),
            "the −1 is missing: at λ = 1 the change is 0": lambda log_var, gamma: (
                gamma * torch.exp(-log_var)
            ),
            "the sign is wrong: a change is not negative": lambda log_var, gamma: (
                gamma * (1 - torch.exp(-log_var))
            ),
            "divided by γ where it must be multiplied": lambda log_var, gamma: (
                (torch.exp(-log_var) - 1) / gamma
            ),
            "γ is the variance already: its root stands here": lambda log_var, gamma: (
                gamma.sqrt() * (torch.exp(-log_var) - 1)
            ),
            "γ is missing": lambda log_var, gamma: torch.exp(-log_var) - 1,
            "this is s, the length; its square is asked for": lambda log_var, gamma: (
                gamma * (torch.exp(-log_var) - 1)
            ).sqrt(),
        },
        _log_variances,
    ),
    Exercise(
        "11.2",
        "the arc (slerp) from code a to code b, (κ,) each, at one number t: to (κ,)",
        lambda a, b, t: _arc(a, b, t, _angle(a, b)),
        {
            "this is the straight line": lambda a, b, t: (1 - t) * a + t * b,
            "t and 1 − t are exchanged: at t = 0 you are at a": lambda a, b, t: _arc(
                a, b, 1 - t, _angle(a, b)
            ),
            "the codes are scaled to length 1: keep their own lengths": _on_sphere,
            "divided by sin Ω is missing": lambda a, b, t: (
                _arc(a, b, t, _angle(a, b)) * torch.sin(_angle(a, b))
            ),
            "this is the cosine where Ω, its arccos, belongs": lambda a, b, t: _arc(
                a, b, t, torch.cos(_angle(a, b))
            ),
        },
        _ends,
    ),
    Exercise(
        "12.1",
        "the covariance of q(z) from the encoder's means and variances, (n, κ) each: to (κ, κ)",
        lambda mu, var: _cov(mu) + torch.diag(var.mean(0)),
        {
            "the encoder's noise is missing: this is the covariance of the means": lambda mu, var: (
                _cov(mu)
            ),
            "the spread of the means is missing: this is the noise alone": lambda mu, var: (
                torch.diag(var.mean(0))
            ),
            "the mean of the means is not subtracted: these are second moments": lambda mu, var: (
                mu.T @ mu / len(mu) + torch.diag(var.mean(0))
            ),
            "variances add up, standard deviations do not": lambda mu, var: (
                _cov(mu) + torch.diag(var.sqrt().mean(0).square())
            ),
            "var is the variance already; it is squared here": lambda mu, var: (
                _cov(mu) + torch.diag(var.square().mean(0))
            ),
            "divided by n − 1: q(z) is the mixture of these n, so divide by n": lambda mu, var: (
                torch.cov(mu.T) + torch.diag(var.mean(0))
            ),
            "this is the diagonal alone": lambda mu, var: mu.var(0, correction=0) + var.mean(0),
            "the variances are summed over the images; their mean is asked for": lambda mu, var: (
                _cov(mu) + torch.diag(var.sum(0))
            ),
        },
        _posteriors,
    ),
    Exercise(
        "12.2",
        (
            "the squared 2-Wasserstein distance of two samples of one dimension and size, (n,) and "
            "(n,) to one number"
        ),
        _w2,
        {
            "not sorted: this pairs the samples as they came": lambda a, b: (a - b).square().mean(),
            "this is the 1-Wasserstein distance: square the differences": lambda a, b: (
                (a.sort().values - b.sort().values).abs().mean()
            ),
            "this is W₂, the root; its square is asked for": lambda a, b: _w2(a, b).sqrt(),
            "summed over the samples where it must be averaged": lambda a, b: len(a) * _w2(a, b),
            "one is sorted up and the other down": lambda a, b: (
                (a.sort().values - b.sort(descending=True).values).square().mean()
            ),
            "this compares the means alone": lambda a, b: (a.mean() - b.mean()).square(),
        },
        _samples,
    ),
    Exercise(
        "12.3",
        "log q(z) of a mixture of n equal parts from the parts' log densities, (m, n) to (m,)",
        _mixture,
        {
            "the mean of the logarithms is not the logarithm of the mean": lambda log_p: log_p.mean(
                1
            ),
            "the weights 1/n are missing: subtract log n": lambda log_p: torch.logsumexp(log_p, 1),
            "log n is added where it must be subtracted": lambda log_p: (
                torch.logsumexp(log_p, 1) + math.log(log_p.shape[1])
            ),
            "averaged over the codes: the parts are the columns": lambda log_p: (
                torch.logsumexp(log_p, 0) - math.log(len(log_p))
            ),
            "only the nearest part counts here": lambda log_p: (
                log_p.max(1).values - math.log(log_p.shape[1])
            ),
        },
        _log_densities,
    ),
)
EXERCISES: dict[str, Exercise] = {exercise.id: exercise for exercise in _ALL}
