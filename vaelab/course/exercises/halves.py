"""The exercises of notebook 10b: models that are given one half of a picture."""

from __future__ import annotations

import torch
from torch import Tensor

from vaelab.course.exercises.exercise import (
    FIRST,
    Answers,
    Draw,
    Exercise,
    Inputs,
    Slope,
    descent,
    in_turn,
)


def posteriors(draw: Draw) -> Inputs:
    """The encoder's mean and log σ², and the prior's mean, each (n, κ)."""
    for n, kappa in ((4, 3), (5, 2)):
        mu, log_var, place = (draw(n, kappa) for _ in range(3))
        yield mu, log_var, 2 * place


def kl_given(mu: Tensor, log_var: Tensor, m: Tensor) -> Answers:
    """KL[N(mu, exp(log_var)) ‖ N(m, I)] in nats, (n, κ) each: to (n,)."""
    var = log_var.exp()

    def summed(far: Tensor, noise: Tensor = var, pay: Tensor = log_var) -> Tensor:
        return 0.5 * (noise + far - 1 - pay).sum(1)

    far = (mu - m).square()
    return summed(far), {
        "the distance of two means is (mu − m)², not mu² − m²": summed(mu.square() - m.square()),
        "(mu − m)² has a mixed term, − 2 mu m": summed(mu.square() + m.square()),
        "this is the KL to N(0, I): what was given is not heard": summed(mu.square()),
        "the sign of m is wrong": summed((mu + m).square()),
        "mean over the dimensions; their sum is asked for": summed(far) / mu.shape[1],
        "log_var is log σ², so σ² = exp(log_var)": summed(far, (0.5 * log_var).exp()),
        "the term − log σ² is missing": summed(far, pay=torch.zeros_like(mu)),
    }


def halves(draw: Draw) -> Inputs:
    """What is given, (n, a), and what is asked for, (n, b), which depends on it."""
    for n, a, b in ((30, 3, 4), (25, 2, 3)):
        given = 1.5 * draw(n, a) + 1
        wanted = given @ draw(a, b) + draw(n, b) - 2
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
        "this is the sum of all eigenvalues": residual.square().sum() / n,
    }


def to_follow(draw: Draw) -> Inputs:
    """Codes (n,), what is given with each, (n,), a number of steps and a step size."""
    for n, steps, lr in ((9, 4, 0.1), (7, 6, 0.05)):
        y = draw(n) + 0.5
        yield 2 * y - 1 + draw(n), y, steps, lr


def followed(z: Tensor, y: Tensor, steps: int, lr: float) -> Answers:
    """The prior N(w y + b, 1) of codes z (n,) given y (n,), after so many steps of gradient
    descent, of size lr, on the mean of −log p, from w = b = 0: (w, b) as a tensor of two.
    """

    def right(at: Tensor) -> Tensor:
        w, b = at
        off = w * y + b - z
        return torch.stack([(off * y).mean(), off.mean()])

    def after(slope: Slope) -> Tensor:
        return descent(slope, steps, lr)

    columns = torch.stack([y, torch.ones_like(y)], 1)
    return after(right), {
        "this climbs: −log p is to fall": after(lambda at: -right(at)),
        "summed over the codes where their mean is asked for": after(lambda at: len(z) * right(at)),
        "−log p has ½ (z − m)²: this is the slope of (z − m)²": after(lambda at: 2 * right(at)),
        "w never hears of y: its slope is the mean of (m − z) y": after(
            lambda at: right(at)[[1, 1]]
        ),
        "b does not move": after(lambda at: FIRST * right(at)),
        "b must move by the slope at the old w: take both, then move both": (
            after(in_turn(right, lr))
        ),
        "this is (b, w): (w, b) is asked for": after(right).flip(0),
        "this is where descent ends: so many steps are asked for, no more": (
            torch.linalg.lstsq(columns, z[:, None]).solution[:, 0]
        ),
        "one step too few": descent(right, steps - 1, lr),
        "slopes of earlier steps are added up: clear the gradient at each step": (
            descent(right, steps, lr, kept=1.0)
        ),
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
