"""The exercises of notebook 10b: models that are given one half of a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vaelab.course.exercises.exercise import Answers, Exercise, Generator, Inputs, normal


def posteriors(generator: Generator) -> Inputs:
    """The encoder's mean and log σ², and the prior's mean, each (n, κ)."""
    for n, kappa in ((4, 3), (5, 2)):
        mu, log_var, place = (normal(generator, n, kappa) for _ in range(3))
        yield mu, log_var, 2 * place


def kl_given(mu: Tensor, log_var: Tensor, m: Tensor) -> Answers:
    """KL[N(mu, exp(log_var)) ‖ N(m, I)] in nats, (n, κ) each: to (n,)."""
    var = log_var.exp()

    def summed(far: Tensor, noise: Tensor = var, pay: Tensor = log_var) -> Tensor:
        return 0.5 * (noise + far - 1 - pay).sum(1)

    far = (mu - m).square()
    return summed(far), {
        "the distance of two means is (mu − m)², not mu² − m²": summed(mu.square() - m.square()),
        "this is the KL to N(0, I): what was given is not heard": summed(mu.square()),
        "the sign of m is wrong": summed((mu + m).square()),
        "the factor ½ is missing": 2 * summed(far),
        "mean over the dimensions; their sum is asked for": summed(far) / mu.shape[1],
        "log_var is log σ², so σ² = exp(log_var)": summed(far, (0.5 * log_var).exp()),
        "the term − log σ² is missing": summed(far, pay=torch.zeros_like(mu)),
    }


def halves(generator: Generator) -> Inputs:
    """What is given, (n, a), and what is asked for, (n, b), which depends on it."""
    for n, a, b in ((30, 3, 4), (25, 2, 3)):
        given = 1.5 * normal(generator, n, a) + 1
        wanted = given @ normal(generator, a, b) + normal(generator, n, b) - 2
        yield given, wanted


def silent_gamma(given: Tensor, wanted: Tensor) -> Answers:
    """The smallest γ at which a linear model of `wanted` (n, b) given (n, a) ignores its code: the
    largest eigenvalue of the covariance, divided by n, of what least squares with a constant leave.
    """
    n = len(given)

    def top(rows: Tensor, divisor: int = n) -> Tensor:
        return torch.linalg.eigvalsh(rows.T @ rows / divisor)[-1]

    def left(x: Tensor, y: Tensor) -> Tensor:
        return y - x @ torch.linalg.lstsq(x, y).solution

    x, y = given - given.mean(0), wanted - wanted.mean(0)
    residual = left(x, y)
    return top(residual), {
        "this is the whole covariance: what is given explains a part of it": top(y),
        "this is the covariance of what is given": top(x),
        "without a constant least squares leave a mean: centre both first": top(
            left(given, wanted)
        ),
        "what is given is not centred": top(left(given, y)),
        "what is wanted is not centred": top(left(x, wanted)),
        "divided by n − 1, where n is asked for": top(residual, n - 1),
        "this is the smallest eigenvalue": torch.linalg.eigvalsh(residual.T @ residual / n)[0],
        "an eigenvalue is a variance already: no root": top(residual).sqrt(),
        "this is the sum of all eigenvalues": residual.square().sum() / n,
    }


def to_follow(generator: Generator) -> Inputs:
    """Codes (n,), what is given with each, (n,), a number of steps and a step size."""
    for n, steps, lr in ((9, 4, 0.1), (7, 6, 0.05)):
        y = normal(generator, n) + 0.5
        yield 2 * y - 1 + normal(generator, n), y, steps, lr


def followed(z: Tensor, y: Tensor, steps: int, lr: float) -> Answers:
    """The prior N(w y + b, 1) of codes z (n,) given y (n,), after so many steps of gradient
    descent, of size lr, on the mean of −log p, from w = b = 0: (w, b) as a tensor of two.
    """

    def after(slope: Callable[..., Any], steps: int = steps) -> Tensor:
        w = b = torch.zeros((), dtype=z.dtype)
        for _ in range(steps):
            down_w, down_b = slope(w, b)
            w, b = w - lr * down_w, b - lr * down_b
        return torch.stack([w, b])

    def right(w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        off = w * y + b - z
        return (off * y).mean(), off.mean()

    def in_turn() -> Tensor:
        w = b = torch.zeros((), dtype=z.dtype)
        for _ in range(steps):
            w = w - lr * right(w, b)[0]
            b = b - lr * right(w, b)[1]
        return torch.stack([w, b])

    def closed_form() -> Tensor:
        columns = torch.stack([y, torch.ones_like(y)], 1)
        return torch.linalg.lstsq(columns, z[:, None]).solution[:, 0]

    return after(right), {
        "this climbs: −log p is to fall": after(lambda w, b: tuple(-g for g in right(w, b))),
        "summed over the codes where their mean is asked for": (
            after(lambda w, b: tuple(len(z) * g for g in right(w, b)))
        ),
        "−log p has ½ (z − m)²: this is the slope of (z − m)²": (
            after(lambda w, b: tuple(2 * g for g in right(w, b)))
        ),
        "w never hears of y: its slope is the mean of (m − z) y": (
            after(lambda w, b: (right(w, b)[1], right(w, b)[1]))
        ),
        "b does not move": after(lambda w, b: (right(w, b)[0], 0 * b)),
        "b must move by the slope at the old w: take both, then move both": in_turn(),
        "this is (b, w): (w, b) is asked for": after(right).flip(0),
        "this is where descent ends: so many steps are asked for, no more": closed_form(),
        "one step too few": after(right, steps - 1),
    }


EXERCISES = (
    Exercise(
        "10b.1",
        kl_given,
        posteriors,
        planted="the distance of two means is (mu − m)², not mu² − m²",
    ),
    Exercise("10b.2", followed, to_follow),
    Exercise("10b.3", silent_gamma, halves),
)
