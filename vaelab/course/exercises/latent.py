"""The exercises of notebooks 11, 12 and 14: walks through the latent space, and what lies in it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab.course.exercises.exercise import Answers, Draw, Exercise, Inputs, numbers


def log_eigenvalues(draw: Draw) -> Inputs:
    """log λ (κ,), below 0, and γ."""
    for n, gamma in zip((6, 4), numbers(0.04, 1.7), strict=True):
        log_var = -draw(n).abs() - 0.1
        yield log_var, gamma


def change_of_image(log_var: Tensor, gamma: Tensor) -> Answers:
    """The change of the image along each axis, s² = γ (1/λ − 1), from log λ, (κ,), and γ: to
    (κ,).
    """
    inverse = torch.exp(-log_var)
    right = gamma * (inverse - 1)
    return right, {
        "this is 1/λ for λ: log λ comes in, and 1/λ is exp(−log λ)": gamma * (1 / inverse - 1),
        "log λ is used as λ: take the exponential": gamma * (1 / log_var - 1),
        "log λ is taken for log σ: λ is a variance already": gamma * (inverse**2 - 1),
        "the −1 is missing: at λ = 1 the change is 0": gamma * inverse,
        "divided by γ where it must be multiplied": (inverse - 1) / gamma,
        "γ is the variance already: its root stands here": gamma.sqrt() * (inverse - 1),
        "1 − λ stands where 1/λ − 1 belongs": gamma * (1 - 1 / inverse),
        "γ is missing": inverse - 1,
        "γ multiplies 1/λ alone where it must multiply 1/λ − 1": gamma * inverse - 1,
    }


def ends(draw: Draw) -> Inputs:
    """Two codes (κ,) and t."""
    for k, t in zip((3, 8), numbers(0.3, 0.8), strict=True):
        a = draw(k)
        b = 2 * draw(k)
        yield a, b, t


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Answers:
    """The arc (slerp) from code a to code b, (κ,) each, at one number t: to (κ,). The direction
    turns, the length changes evenly.
    """

    cosine = a @ b / (a.norm() * b.norm())
    omega = torch.arccos(cosine)
    u, v = a / a.norm(), b / b.norm()

    def turn(omega: Tensor = omega, t: Tensor = t, a: Tensor = u, b: Tensor = v) -> Tensor:
        return (torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b) / torch.sin(omega)

    line = (1 - t) * a + t * b
    chord = (1 - t) * u + t * v
    length = (1 - t) * a.norm() + t * b.norm()
    right = length * turn()
    return right, {
        "this is the straight line": line,
        "t and 1 − t are exchanged: at t = 0 you are at a": (
            (t * a.norm() + (1 - t) * b.norm()) * turn(t=1 - t)
        ),
        "the codes are scaled to length 1: keep their own lengths": turn(),
        "turn directions of length 1, and let the length go evenly from ‖a‖ to ‖b‖": turn(a=a, b=b),
        "both lengths are forgotten at one end: only a keeps its length": a.norm() * turn(),
        "only b keeps its length": b.norm() * turn(),
        "divided by sin Ω is missing": right * torch.sin(omega),
        "this is the cosine where Ω, its arccos, belongs": length * turn(cosine),
        "cos Ω is a·b divided by both lengths: the lengths are forgotten": (
            length * turn(torch.arccos((a @ b).clamp(-1 + 1e-6, 1 - 1e-6)))
        ),
        "the direction goes straight and is stretched: it does not turn at one rate": (
            length * chord / chord.norm()
        ),
        "the length is that of the straight line: let it go evenly from ‖a‖ to ‖b‖": (
            line.norm() * turn()
        ),
    }


def encoded(draw: Draw) -> Inputs:
    """The encoder's means and variances, (n, κ) each."""
    for n, k in ((7, 3), (5, 4)):
        mu = draw(n, k) + 1
        var = draw(n, k).square()
        yield mu, var


def aggregated_covariance(mu: Tensor, var: Tensor) -> Answers:
    """The covariance of q(z) from the encoder's means and variances, (n, κ) each: to (κ, κ)."""
    spread = torch.cov(mu.T, correction=0)
    noise = torch.diag(var.mean(0))
    right = spread + noise
    return right, {
        "the encoder's noise is missing: this is the covariance of the means": spread,
        "the spread of the means is missing: this is the noise alone": noise,
        "the mean of the means is not subtracted: these are second moments": (
            mu.T @ mu / len(mu) + noise
        ),
        "variances add up, standard deviations do not": (
            spread + torch.diag(var.sqrt().mean(0).square())
        ),
        "var is the variance already; it is squared here": (
            spread + torch.diag(var.square().mean(0))
        ),
        "divided by n − 1: q(z) is the mixture of these n, so divide by n": (
            torch.cov(mu.T) + noise
        ),
        "the means' products are summed where they must be averaged": len(mu) * spread + noise,
        "this is the diagonal alone": right.diagonal(),
        "the variances are summed over the images; their mean is asked for": (
            spread + torch.diag(var.sum(0))
        ),
        "the noise belongs on the diagonal: here it is added to every entry": spread + var.mean(0),
        "each dimension has a noise of its own: here all get the mean one": (
            spread + var.mean() * torch.eye(mu.shape[1], dtype=mu.dtype)
        ),
        "the noise is subtracted where it must be added": spread - noise,
    }


def samples(draw: Draw) -> Inputs:
    """Two samples of one size, (n,) each."""
    for n in (6, 9):
        a = draw(n)
        b = 2 * draw(n) + 1
        yield a, b


def wasserstein(a: Tensor, b: Tensor) -> Answers:
    """The squared 2-Wasserstein distance of two samples of one dimension and size, (n,) and (n,) to
    one number.
    """
    first = a.sort().values
    second = b.sort().values
    right = (first - second).square().mean()
    return right, {
        "not sorted: this pairs the samples as they came": (a - b).square().mean(),
        "this is the 1-Wasserstein distance: square the differences": (first - second).abs().mean(),
        "summed over the samples where it must be averaged": len(a) * right,
        "one is sorted up and the other down": (first - second.flip(0)).square().mean(),
        "the root of each difference is taken: square it": (first - second).abs().sqrt().mean(),
        "every pair is compared; sort, and compare the k-th with the k-th": (
            (a[:, None] - b).square().mean()
        ),
        "this compares the means alone": (a.mean() - b.mean()).square(),
    }


def log_densities(draw: Draw) -> Inputs:
    """log densities (m, n); the exponentials of the second underflow."""
    yield (3 * draw(5, 7),)
    yield (draw(3, 3) - 900,)


def log_mixture(log_p: Tensor) -> Answers:
    """log q(z) of a mixture of n equal parts from the parts' log densities, (m, n) to (m,)."""
    m, n = log_p.shape
    log_sum = torch.logsumexp(log_p, 1)
    return log_sum - math.log(n), {
        "the mean of the logarithms is not the logarithm of the mean": log_p.mean(1),
        "the weights 1/n are missing: subtract log n": log_sum,
        "log m stands where log n belongs: n is how many parts there are": log_sum - math.log(m),
        "divided by n outside the logarithm": log_sum / n,
        "log n is added where it must be subtracted": log_sum + math.log(n),
        "averaged over the codes: the parts are the columns": (
            torch.logsumexp(log_p, 0) - math.log(m)
        ),
        "only the nearest part counts here": log_p.amax(1) - math.log(n),
    }


def neighbour_distances(draw: Draw) -> Inputs:
    """Distances to the next neighbours, ascending, (n, k)."""
    for n, k in ((6, 5), (4, 8)):
        yield (draw.uniform(n, k).sort(1).values + 0.1,)


def local_dimension(t: Tensor) -> Answers:
    """The local dimension from the distances to the next neighbours, (n, k), to one number."""
    logs = (t[:, -1:] / t[:, :-1]).log()
    return 1 / logs.mean(), {
        "the mean comes before the inverse": (1 / logs).mean(),
        "the inverse of each point, then the mean: the mean over points comes first": (
            (1 / logs.mean(1)).mean()
        ),
        "summed over the neighbours where it must be averaged": 1 / logs.sum(1).mean(),
        "the last neighbour itself is counted: its logarithm is always 0": (
            1 / (t[:, -1:] / t).log().mean()
        ),
        "the logarithm is missing": 1 / (t[:, -1:] / t[:, :-1]).mean(),
    }


EXERCISES = (
    Exercise("11.1", change_of_image, log_eigenvalues),
    Exercise("11.2", slerp, ends),
    Exercise("12.1", aggregated_covariance, encoded),
    Exercise("12.2", wasserstein, samples),
    Exercise("12.3", log_mixture, log_densities),
    Exercise("14.1", local_dimension, neighbour_distances),
)
