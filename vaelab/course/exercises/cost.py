"""The exercises of notebooks A and 01: names for the variance, and the two terms of the cost."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab.course.exercises.exercise import Answers, Draw, Exercise, Inputs
from vaelab.posteriors import LOG_2_PI


def scalars(draw: Draw) -> Inputs:
    """Five single numbers."""
    for value in torch.linspace(-2.0, 1.3, 5, dtype=torch.float64):
        yield (value,)


def variance(loggamma: Tensor) -> Answers:
    """The variance γ from the code's loggamma, the log of a standard deviation."""
    return torch.exp(2 * loggamma), {
        "this is the standard deviation; γ is its square": torch.exp(loggamma),
        "this is the root of the standard deviation; γ is its square": torch.exp(loggamma / 2),
    }


def log_variance(log_sigma: Tensor) -> Answers:
    """log σ² from log σ."""
    return 2 * log_sigma, {
        "halved where it must be doubled": log_sigma / 2,
        "the square goes inside the logarithm: log σ² is not (log σ)²": log_sigma**2,
    }


def kl(mu: Tensor, log_var: Tensor) -> Answers:
    """KL[N(mu, diag exp log_var) ‖ N(0, I)] of each row, (batch, κ) twice to (batch,)."""
    squares = mu.square()
    var = log_var.exp()

    def terms(var: Tensor = var, pay: Tensor = log_var, far: Tensor = squares) -> Tensor:
        return 0.5 * (far + var - pay - 1)

    right = terms().sum(1)
    return right, {
        "the sign of log_var is wrong": terms(pay=-log_var).sum(1),
        "averaged over the latent dimensions where it must be summed": terms().mean(1),
        "not summed over the latent dimensions": terms(),
        "σ stands where σ² belongs: exp(log_var) is the variance already": (
            terms(var.sqrt()).sum(1)
        ),
        "log_var is taken for log σ: exp(2 log_var) is the variance squared": (
            terms(var**2, 2 * log_var).sum(1)
        ),
        "log σ stands where log σ² belongs": terms(pay=log_var / 2).sum(1),
        "the −1 of each dimension is missing": (terms() + 0.5).sum(1),
        "+1 stands where −1 belongs": (terms() + 1).sum(1),
        "−1 is taken once, not once for each dimension": (terms() + 0.5).sum(1) - 0.5,
        "mu is not squared": terms(far=mu).sum(1),
        "this is KL[p ‖ q]; KL[q ‖ p] is asked for": (
            0.5 * ((squares + 1) / var + log_var - 1).sum(1)
        ),
        "log_var is a logarithm already: do not take it again": terms(pay=log_var.log()).sum(1),
        "log_var stands where the variance belongs, and its logarithm is taken": (
            terms(log_var, log_var.log()).sum(1)
        ),
        "summed along the batch: one value a row is asked for, a sum over dim 1": terms().sum(0),
    }


def nll(x: Tensor, x_hat: Tensor, gamma: Tensor) -> Answers:
    """−log N(x; x_hat, γ I) of each row, (batch, d) twice and γ to (batch,)."""
    d = x.shape[1]
    squares = (x - x_hat).square().sum(1)
    ratio = squares / gamma
    log_term = d * (LOG_2_PI + math.log(gamma))
    right = 0.5 * (ratio + log_term)
    return right, {
        "γ is taken for a standard deviation: it is the variance": (
            0.5 * (squares / gamma**2 + d * (LOG_2_PI + 2 * math.log(gamma)))
        ),
        "only the quadratic term takes γ for a standard deviation": (
            0.5 * (squares / gamma**2 + log_term)
        ),
        "the factor d before log 2πγ is missing": 0.5 * (ratio + log_term / d),
        "a factor 2 too many before the quadratic term, as printed in Eq. 8": (
            0.5 * (2 * ratio + log_term)
        ),
        "log γ is not multiplied by d": 0.5 * (ratio + d * LOG_2_PI + math.log(gamma)),
        "averaged over the pixels where it must be summed": right / d,
        "only the squares are averaged over the pixels": 0.5 * (ratio / d + log_term),
        "the log 2π is missing": 0.5 * (ratio + d * math.log(gamma)),
        "the term d log 2πγ is missing": 0.5 * ratio,
        "the ½ stands before the quadratic term alone": 0.5 * ratio + log_term,
        "the quadratic term is not divided by γ": 0.5 * (gamma * ratio + log_term),
    }


def best_gamma(x: Tensor, x_hat: Tensor) -> Answers:
    """The γ that minimises the mean of −log N(x; x_hat, γ I), (batch, d) twice to one number."""
    squares = (x - x_hat).square()
    right = squares.mean()
    return right, {
        "summed over the pixels where it must be averaged": squares.sum(1).mean(),
        "summed over pixels and batch where it must be averaged": squares.sum(),
        "the mean absolute error; γ is a variance": squares.sqrt().mean(),
        "this is the mean length of the error; γ is its square for each pixel": (
            squares.sum(1).sqrt().mean()
        ),
        "this is the variance of x; x_hat is not used": x.var(correction=0),
        "the mean error, not squared": (x - x_hat).mean(),
        "one γ an image; one for all is asked for": squares.mean(1),
        "one γ a pixel; one for all is asked for": squares.mean(0),
        "the mean error is subtracted: an error that all pixels share counts as well": (
            (x - x_hat).var(correction=0)
        ),
        "the root of each image's error is averaged; γ is a variance": squares.mean(1)
        .sqrt()
        .mean(),
        "this is the standard deviation of the error; γ is a variance": (x - x_hat).std(),
        "by n − 1, and with the mean error subtracted: take the mean of the squares": (
            (x - x_hat).var()
        ),
        "this is the variance of x, by n − 1; x_hat is not used": x.var(),
        "this is the largest square; their mean is asked for": squares.max(),
        "the mean is squared: square first, then average": (x - x_hat).mean().square(),
        "this is the length of all errors together; γ is the mean of their squares": (
            squares.sum().sqrt()
        ),
        "summed over the batch where it must be averaged": squares.sum(0).mean(),
        "the median where the mean belongs": squares.median(),
        "divided by n d − 1: nothing was estimated beside γ": squares.sum() / (squares.numel() - 1),
    }


EXERCISES = (
    Exercise("A.1", variance, scalars),
    Exercise("A.2", log_variance, scalars),
    Exercise("01.1", kl, [((5, 3), (5, 3)), ((4, 6), (4, 6))]),
    Exercise("01.2", nll, [((5, 7), (5, 7), 0.3), ((3, 4), (3, 4), 1.7)]),
    Exercise("01.3", best_gamma, [((5, 7), (5, 7)), ((3, 4), (3, 4))]),
)
