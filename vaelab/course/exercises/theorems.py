"""The exercises of notebooks 02 to 06: the two theorems, the split of the λ, the second stage."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vaelab.course.exercises.exercise import (
    Answers,
    Draw,
    Exercise,
    Inputs,
    Slip,
    explained,
    numbers,
)


def mixtures(draw: Draw) -> Inputs:
    """x (n,), the weights, means and variances of a mixture, and γ."""
    pi = numbers(0.5, 0.3, 0.2)
    m = numbers(-0.8, 0.4, 1.8)
    C = numbers(0.2, 0.4, 0.8)
    gammas = numbers(0.3, 1.7)
    yield draw(5), pi, m, C, gammas[0]
    yield draw(4), pi, m, C, gammas[1]


def blurred_density(
    x: Tensor,
    pi: Tensor,
    m: Tensor,
    C: Tensor,
    gamma: Tensor,
) -> Answers:
    """The density p_θt of Eq. 21 at x, for a mixture of weights pi, means m, variances C: (n,) and
    3 × (k,) to (n,).
    """

    def density(variance: Tensor, weights: Tensor = pi) -> Tensor:
        exponent = -0.5 * (x[:, None] - m).square() / variance
        factor = (2 * math.pi * variance).sqrt()
        return (weights * exponent.exp() / factor).sum(1)

    right = density(C + gamma)
    return right, {
        "the decoder's noise is missing: this is p_gt": density(C),
        "γ is a variance: add it as it is, not squared": density(C + gamma**2),
        "γ is a variance: add it as it is, not its root": density(C + gamma.sqrt()),
        "standard deviations do not add up, variances do": density((C.sqrt() + gamma.sqrt()) ** 2),
        "C + γ is the variance; it is used as a standard deviation": density((C + gamma) ** 2),
        "t stands where γ = 1/t belongs": density(C + 1 / gamma),
        "averaged over the parts where their weights belong": density(
            C + gamma, torch.full_like(pi, 1 / len(pi))
        ),
        "γ is subtracted where it must be added: noise widens": density((C - gamma).abs()),
        "the normalising factor 1/√(2π(C + γ)) is missing": (
            pi * (-0.5 * (x[:, None] - m).square() / (C + gamma)).exp()
        ).sum(1),
        "the weights are missing": density(C + gamma, torch.ones_like(pi)),
        "the root of the factor is forgotten: it is √(2π (C + γ))": (
            density(C + gamma, pi / (2 * math.pi * (C + gamma)).sqrt())
        ),
        "this is one Gaussian with the mean of the mixture: the components are lost": (
            torch.distributions.Normal(pi @ m, (pi @ C + gamma).sqrt()).log_prob(x).exp()
        ),
        "the components are averaged where their weights must add up": right / len(pi),
    }


def slopes(draw: Draw) -> Inputs:
    """f' at six codes, and γ."""
    values = 0.3 + draw.uniform(2, 6)
    yield from zip(values, numbers(0.04, 2.3), strict=True)


def width(slope: Tensor, gamma: Tensor) -> Answers:
    """The scale S_z of Eq. 24 for r = 1, from the decoder's slope f' at the code and γ: (n,) and a
    number to (n,).
    """
    root = gamma.sqrt()
    return root / slope, {
        "γ stands where √γ belongs: S_z is a standard deviation": gamma / slope,
        "multiplied by f' where it must be divided: h is the inverse of f": root * slope,
        "the factor √γ is missing": 1 / slope,
        "√γ stands in the denominator: the width must fall with γ": 1 / (slope * root),
        "the slope is missing: where f is steep, the code must be precise": root.expand_as(slope),
        "this is Eq. 83 at a finite γ; Eq. 24 is its limit": 1 / (1 + slope**2 / gamma).sqrt(),
    }


def cost_slope(d: int, r: int, kappa: int) -> Answers:
    """The slope of the optimal cost against log γ as γ → 0, from d, r and κ."""
    return (d - r) / 2, {
        "κ stands where r belongs: idle code dimensions change no cost": (d - kappa) / 2,
        "this is the data term alone; the KL term gives r/2 of it back": d / 2,
        "this is what the KL term gives back; the data term is missing": r / 2,
        "the KL term is added where it must be subtracted": (d + r) / 2,
    }


OPTIMA = [(3, 1, 0.3, 1.2), (10, 2, 0.02, -0.7), (64, 5, 1e-3, 3.4)]  # d, r, γ and an entropy.


def certified_optimum(
    d: int,
    r: int,
    gamma: Tensor,
    H: float,
) -> Answers:
    """The certified optimum at γ, from d, r, γ and the entropy H of μ_gt on its manifold, in
    nats.
    """
    noise = _noise_cost(d - r, gamma)
    return noise + H, {
        "the factor 1/2 is missing": 2 * noise + H,
        "the 2π is missing": (d - r) / 2 * torch.log(gamma) + H,
        "d stands where d − r belongs: along the manifold no noise is paid for": (
            _noise_cost(d, gamma) + H
        ),
        "r stands where d − r belongs": _noise_cost(r, gamma) + H,
        "the sign of the entropy is wrong": noise - H,
        "the entropy is missing": noise,
        "the sign of the first term is wrong: it falls to −∞ as γ → 0": H - noise,
        "γ is taken for a standard deviation: it is the variance": _noise_cost(d - r, gamma**2) + H,
        "half a nat too much for each of the d − r directions": noise + (d - r) / 2 + H,
    }


def _noise_cost(n: int, gamma: Tensor) -> Tensor:
    return n / 2 * torch.log(2 * math.pi * gamma)


def posterior_covariance(J: Tensor, gamma: Tensor) -> Answers:
    """Σ_z of Eq. 83 from the decoder's Jacobian J, (d, κ), and γ: to (κ, κ)."""

    def precision(J: Tensor, gamma: Tensor) -> Tensor:
        identity = torch.eye(J.shape[1], dtype=J.dtype)
        return identity + J.T @ J / gamma

    inverse = torch.linalg.inv
    right = inverse(precision(J, gamma))
    return right, {
        "J is transposed: this has the size of x, d × d, and Σ_z has that of z": (
            inverse(precision(J.T, gamma))
        ),
        "√γ stands where γ belongs: γ is the variance already": inverse(precision(J, gamma.sqrt())),
        "γ is squared: it is the variance already": inverse(precision(J, gamma**2)),
        "multiplied by γ where it must be divided": inverse(precision(J, 1 / gamma)),
        "the identity is missing: without the prior no λ is 1": gamma * torch.linalg.pinv(J.T @ J),
        "this is the precision: the inverse is missing": precision(J, gamma),
        "the inverse of each entry is not the inverse of the matrix": 1 / precision(J, gamma),
        "this is the diagonal alone": right.diagonal(),
    }


def two_costs(draw: Draw) -> Inputs:
    """d, the optimal costs at two γ, and both γ."""
    gammas = numbers(1e-2, 1e-5)
    yield 5, *(_noise_cost(3, gammas) + 1.3), *gammas
    yield 10, *(_noise_cost(7, gammas) - 0.4), *gammas
    yield 64, *(_noise_cost(50, gammas) + 5.0), *gammas


def dimension(
    d: int,
    cost_high: Tensor,
    cost_low: Tensor,
    gamma_high: Tensor,
    gamma_low: Tensor,
) -> Answers:
    """r from d and the optimal cost in nats at two γ: d, cost_high, cost_low, gamma_high, gamma_low
    to one number.
    """
    fall = cost_high - cost_low
    slope = fall / torch.log(gamma_high / gamma_low)
    return d - 2 * slope, {
        "this is d − r, the dimensions that are empty": 2 * slope,
        "the cost is half of (d − r) log γ: the factor 2 is missing": d - slope,
        "the difference of the costs is not divided by that of the log γ": d - 2 * fall,
        "this is the slope of the cost; r is d minus twice of it": slope,
        "the logarithm is the natural one, not that of base 10": d - 2 * math.log(10) * slope,
        "the sign of the slope is wrong: the cost falls as γ falls": d + 2 * slope,
        "divided by the difference of the γ; the logarithm is missing": (
            d - 2 * fall / (gamma_high - gamma_low)
        ),
        "halved where it must be doubled: the slope is (d − r)/2": d - slope / 2,
        "divided by log γ of one end: a slope needs both": d - 2 * fall / torch.log(gamma_high),
    }


def spectra(draw: Draw) -> Inputs:
    """λ (batch, κ): anywhere in [0, 1], and some between idle and active."""
    anywhere = draw.uniform(8, 10)
    yield (anywhere,)
    first = numbers(0.02, 0.3, 0.45, 0.6, 0.9, 1.0, 1.0)
    second = numbers(0.3, 0.4, 0.47, 0.49, 0.8, 0.95, 1.0)
    between = torch.stack([first, second])
    yield (between,)


def soft_count(lam: Tensor) -> Answers:
    """The soft count of active dimensions of each row, Σ_j (1 − λ_j), (batch, κ) to (batch,)."""
    shares = 1 - lam
    return shares.sum(1), {
        "this counts the idle dimensions, κ − r, where the active ones are asked for": lam.sum(1),
        "this is the count with a threshold; the soft one is asked for": (lam < 0.5).sum(1),
        "averaged over the dimensions where it must be summed": shares.mean(1),
        "summed along the batch: the dimensions are the columns": shares.sum(0),
        "not summed: this is each dimension's share": shares,
        "√λ stands where λ belongs: λ is the variance": (1 - lam.sqrt()).sum(1),
    }


def encoders(draw: Draw) -> Inputs:
    """The first encoder, x, noise, and a training that shows on what it was called."""
    weight = draw(3, 3)

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(x @ weight), 0.3 + x.square()

    def train(z: Tensor) -> Tensor:
        if not isinstance(z, Tensor):
            raise Slip(f"train takes codes, one tensor; it got a {type(z).__name__}: draw z first")
        return torch.cos(z)

    yield encode, draw(6, 3), draw(6, 3), train


def trained_on_codes(encode: Callable, x: Tensor, eps: Tensor, train: Callable) -> Any:
    """What `train` makes of draws from q(z | x)."""
    mu, sigma = encode(x)
    return train(mu + sigma * eps)


def trained_second(
    encode: Callable[[Tensor], tuple[Tensor, Tensor]],
    x: Tensor,
    eps: Tensor,
    train: Callable[[Tensor], Tensor],
) -> Answers:
    """The second VAE: encode, which gives μ and σ; x; noise of their shape; and train, which
    returns what it trained.
    """
    mu, sigma = encode(x)
    z = mu + sigma * eps
    return trained_on_codes(encode, x, eps, train), {
        "it is trained on x: the data of the second VAE are the codes": train(x),
        "it is trained on μ alone: codes are draws, and on these the first decoder was trained": (
            train(mu)
        ),
        "these are the codes: the VAE that is trained on them is asked for": z,
        "σ is a standard deviation already: it needs no root": train(mu + sigma.sqrt() * eps),
        "σ is a standard deviation, and is not squared": train(mu + sigma.square() * eps),
        "the noise is not scaled by σ": train(mu + eps),
        "eps is not used: σ is added, and is no noise by itself": train(mu + sigma),
        "it is trained on noise alone: the mean is missing": train(sigma * eps),
        "σ is taken for log σ: it needs no exponential": train(mu + sigma.exp() * eps),
        "σ is taken for log σ²: it needs no exponential": train(mu + (sigma / 2).exp() * eps),
        "it is trained on N(0, I): the encoder is not used": train(eps),
        "the noise is subtracted; on average it is the same, for this eps it is not": (
            train(mu - sigma * eps)
        ),
    }


def decoders(draw: Draw) -> Inputs:
    """A decoder, its γ, u and noise."""
    weight = draw(4, 4)

    def decode(u: Tensor) -> Tensor:
        return torch.tanh(u @ weight)

    for gamma in (0.09, 2.5):
        u = draw(6, 4)
        eps = draw(6, 4)
        yield decode, gamma, u, eps


NO_TENSOR = "γ is a plain number, not a tensor: its root is gamma ** 0.5, or math.sqrt(gamma)"
ROOTS = {"must be Tensor, not float": NO_TENSOR, "'float' object has no attribute": NO_TENSOR}


def drawn(sample: Callable[..., Any], *arguments: Any) -> Any:
    """What a reader's function draws; it may take γ for a tensor."""
    with explained(ROOTS):
        return sample(*arguments)


def second_stage(
    decode: Callable[[Tensor], Tensor],
    gamma: float,
    u: Tensor,
    eps: Tensor,
) -> Answers:
    """Codes z drawn from the second stage: its decoder, its γ, u and noise of z's shape to z."""
    mean = decode(u)
    sigma = math.sqrt(gamma)
    return mean + sigma * eps, {
        "the noise on z is missing: the second stage is a density, not its mean": mean,
        "γ is a variance: the noise is scaled by its root": mean + gamma * eps,
        "the noise is not scaled by √γ": mean + eps,
        "the noise alone: the decoder's mean is missing": sigma * eps,
        "the noise is divided by √γ": mean + eps / sigma,
        "√γ scales the mean as well": sigma * (mean + eps),
        "γ scales the mean, and the noise is not scaled": gamma * mean + eps,
        "u and eps are swapped: u goes into the decoder": decode(eps) + sigma * u,
        "the noise goes on what is decoded, not on u": decode(u + sigma * eps),
        "u stands for the noise as well: eps is to be scaled": mean + sigma * u,
        "γ is taken for log γ: it needs no exponential": mean + math.exp(gamma / 2) * eps,
        "γ is no logarithm: its root is asked for": mean + math.exp(gamma) * eps,
        "a 2 too many under the root: γ is the variance": mean + math.sqrt(2 * gamma) * eps,
        "the decoder is missing": u + sigma * eps,
        "eps goes into the decoder: u does": decode(eps),
        "eps goes into the decoder, and is the noise too: u goes in": decode(eps) + sigma * eps,
        "the noise goes on u, unscaled: it goes on z, times √γ": decode(u + eps),
        "the noise goes on u as well: it goes on z alone": decode(u + sigma * eps) + sigma * eps,
        "γ is squared; the noise is scaled by its root": mean + gamma**2 * eps,
        "the mean is multiplied in: add it": mean * sigma * eps,
        "the noise is subtracted; on average it is the same, for this eps it is not": (
            mean - sigma * eps
        ),
    }


def kernels(draw: Draw) -> Inputs:
    """The kernel matrices of x with x, y with y and x with y, at two widths."""
    x = draw(6, 2)
    y = draw(4, 2) + 1
    pairs = ((x, x), (y, y), (x, y))
    for width in (0.5, 3.0):
        squares = [torch.cdist(a, b).square() for a, b in pairs]
        yield tuple(torch.exp(-square / width) for square in squares)


def unbiased_mmd(k_xx: Tensor, k_yy: Tensor, k_xy: Tensor) -> Answers:
    """The unbiased MMD² from the kernel matrices of x with x, y with y and x with y."""

    m = len(k_xx)
    n = len(k_yy)
    sum_x = k_xx.sum() - k_xx.trace()
    sum_y = k_yy.sum() - k_yy.trace()
    within = sum_x / (m * (m - 1)) + sum_y / (n * (n - 1))
    cross = k_xy.mean()
    right = within - 2 * cross
    return right, {
        "the diagonals are kept: this is the biased one": k_xx.mean() + k_yy.mean() - 2 * cross,
        "the diagonals are left out but still counted: divide by n (n − 1)": (
            sum_x / m**2 + sum_y / n**2 - 2 * cross
        ),
        "the factor 2 of the cross term is missing": within - cross,
        "the cross term is added where it must be subtracted": within + 2 * cross,
        "the mean within y is divided by m (m − 1), that of x": (
            (sum_x + sum_y) / (m * (m - 1)) - 2 * cross
        ),
        "sums stand where means belong": sum_x + sum_y - 2 * k_xy.sum(),
        "the diagonals are kept, though only n (n − 1) entries are counted": (
            k_xx.sum() / (m * (m - 1)) + k_yy.sum() / (n * (n - 1)) - 2 * cross
        ),
        "both samples in one mean: each has a mean of its own": (
            2 * (sum_x + sum_y) / (m * (m - 1) + n * (n - 1)) - 2 * cross
        ),
        "the cross term is summed, not averaged": within - 2 * k_xy.sum(),
    }


EXERCISES = (
    Exercise("02.1", blurred_density, mixtures),
    Exercise("02.2", width, slopes),
    Exercise("03.1", cost_slope, [(3, 1, 2), (10, 2, 7), (64, 5, 20)]),
    Exercise("03.2", certified_optimum, OPTIMA),
    Exercise("04.1", posterior_covariance, [((5, 3), 0.2), ((4, 4), 3.0)]),
    Exercise("04.2", dimension, two_costs),
    Exercise("05.1", soft_count, spectra),
    Exercise("06.1", trained_second, encoders, ours=trained_on_codes),
    Exercise("06.2", second_stage, decoders, probe=drawn),
    Exercise("06.3", unbiased_mmd, kernels),
)
