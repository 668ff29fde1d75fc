"""The exercises as data: what is asked, the right function, and the wrong ones that people write.

To add one: write the right function, every slip with what is wrong in words, and inputs on which
they all differ. A test turns each slip red.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LOG_2_PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Args:
        id: notebook and number, "01.1".
        asks: what the answer computes, with the shapes.
        right: the right answer, a function.
        slips: what is wrong, in words, and the function that does it.
        inputs: makes the arguments, several tuples of them, from a generator.
    """

    id: str
    asks: str
    right: Callable[..., Any]
    slips: dict[str, Callable[..., Any]]
    inputs: Callable[[torch.Generator], tuple[tuple[Any, ...], ...]]

    def arguments(self) -> tuple[tuple[Any, ...], ...]:
        """Fresh inputs, the same each time, so that an answer that changes its arguments harms
        nothing.
        """
        return self.inputs(torch.Generator().manual_seed(7))


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _scalars(generator: torch.Generator) -> tuple[tuple[Tensor], ...]:
    return tuple((value,) for value in torch.linspace(-2.0, 1.3, 5, dtype=torch.float64))


def _gaussians(generator: torch.Generator) -> tuple[tuple[Tensor, Tensor], ...]:
    return tuple((_normal(generator, n, k), _normal(generator, n, k)) for n, k in ((5, 3), (4, 6)))


def _pairs(generator: torch.Generator) -> tuple[tuple[Tensor, Tensor], ...]:
    return tuple((_normal(generator, n, d), _normal(generator, n, d)) for n, d in ((5, 7), (3, 4)))


def _pairs_and_gamma(generator: torch.Generator) -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
    gammas = torch.tensor(
        [0.3, 1.7], dtype=torch.float64
    )  # tensors, so that math.log and torch.log both take them
    return tuple((*pair, gamma) for pair, gamma in zip(_pairs(generator), gammas, strict=True))


def _decoders(generator: torch.Generator) -> tuple[tuple[Any, ...], ...]:
    weight, gammas = _normal(generator, 3, 4), torch.tensor([0.09, 2.5], dtype=torch.float64)
    return tuple(
        (
            lambda u: torch.tanh(u @ weight),
            gamma,
            _normal(generator, 6, 3),
            _normal(generator, 6, 4),
        )
        for gamma in gammas
    )


def _spectra(generator: torch.Generator) -> tuple[tuple[Tensor], ...]:
    near_zero_or_one = torch.rand(8, 10, generator=generator, dtype=torch.float64)
    between = torch.tensor(
        [[0.02, 0.3, 0.45, 0.6, 0.9, 1.0, 1.0], [0.3, 0.4, 0.47, 0.49, 0.8, 0.95, 1.0]]
    )
    return (near_zero_or_one,), (between.double(),)


def _kernels(generator: torch.Generator) -> tuple[tuple[Tensor, ...], ...]:
    x, y = _normal(generator, 6, 2), _normal(generator, 4, 2) + 1
    return tuple(
        tuple(torch.exp(-torch.cdist(a, b).square() / width) for a, b in ((x, x), (y, y), (x, y)))
        for width in (0.5, 3.0)
    )


def _squares(x: Tensor, x_hat: Tensor) -> Tensor:
    return (x - x_hat).square()


def _nll(
    x: Tensor, x_hat: Tensor, gamma: Tensor, squares: float = 1.0, logs: float = 1.0
) -> Tensor:
    d = x.shape[1]
    return 0.5 * (
        squares * _squares(x, x_hat).sum(1) / gamma + logs * d * (LOG_2_PI + math.log(gamma))
    )


def _kl_terms(mu: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mu.square() + log_var.exp() - log_var - 1)


def _off_diagonal_mean(k: Tensor) -> Tensor:
    return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))


def _widths(generator: torch.Generator) -> tuple[tuple[Tensor, Tensor], ...]:
    slopes = 0.3 + torch.rand(2, 6, generator=generator, dtype=torch.float64)
    gammas = torch.tensor([0.04, 2.3], dtype=torch.float64)
    return tuple(zip(slopes, gammas, strict=True))


def _mixtures(generator: torch.Generator) -> tuple[tuple[Tensor, ...], ...]:
    pi = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    m, C = (
        torch.tensor([-0.8, 0.4, 1.8], dtype=torch.float64),
        torch.tensor([0.2, 0.4, 0.8], dtype=torch.float64),
    )
    return tuple(
        (_normal(generator, n), pi, m, C, torch.tensor(g).double()) for n, g in ((5, 0.3), (4, 1.7))
    )


def _blurred(x: Tensor, pi: Tensor, m: Tensor, variance: Tensor) -> Tensor:
    return (
        pi
        * torch.exp(-0.5 * (x[:, None] - m).square() / variance)
        / (2 * math.pi * variance).sqrt()
    ).sum(1)


def _dimensions(generator: torch.Generator) -> tuple[tuple[int, int, int], ...]:
    return (3, 1, 2), (10, 2, 7), (64, 5, 20)


def _optima(generator: torch.Generator) -> tuple[tuple[Any, ...], ...]:
    gammas = torch.tensor([0.3, 0.02, 1e-3], dtype=torch.float64)
    return tuple(
        (d, r, gamma, H)
        for (d, r, _), gamma, H in zip(
            _dimensions(generator), gammas, (1.2, -0.7, 3.4), strict=True
        )
    )


def _optimum(n: float, gamma: Tensor, H: float) -> Tensor:
    return 0.5 * n * torch.log(2 * math.pi * gamma) + H


def _jacobians(generator: torch.Generator) -> tuple[tuple[Tensor, Tensor], ...]:
    gammas = torch.tensor([0.2, 3.0], dtype=torch.float64)
    return tuple(
        (_normal(generator, d, k), g) for (d, k), g in zip(((5, 3), (4, 4)), gammas, strict=True)
    )


def _eq_83(J: Tensor, gamma: Tensor) -> Tensor:
    return torch.linalg.inv(torch.eye(J.shape[1], dtype=J.dtype) + J.T @ J / gamma)


def _two_costs(generator: torch.Generator) -> tuple[tuple[Any, ...], ...]:
    near, far = torch.tensor(1e-2, dtype=torch.float64), torch.tensor(1e-5, dtype=torch.float64)
    cases = ((5, 2, 1.3), (10, 3, -0.4), (64, 14, 5.0))
    return tuple(
        (d, _optimum(d - r, near, H), _optimum(d - r, far, H), near, far) for d, r, H in cases
    )


def _fall(high: Tensor, low: Tensor, gamma_high: Tensor, gamma_low: Tensor) -> Tensor:
    return (high - low) / torch.log(gamma_high / gamma_low)


_ALL = (
    Exercise(
        "00.1",
        "the variance γ from the code's loggamma, the log of a standard deviation",
        lambda loggamma: torch.exp(2 * loggamma),
        {
            "this is the standard deviation; γ is its square": torch.exp,
            "this is log γ; the exponential is missing": lambda loggamma: 2 * loggamma,
            "this is the root of the standard deviation; γ is its square": lambda loggamma: (
                torch.exp(loggamma / 2)
            ),
            "the sign in the exponent is wrong: this is the precision 1/γ": lambda loggamma: (
                torch.exp(-2 * loggamma)
            ),
        },
        _scalars,
    ),
    Exercise(
        "00.2",
        "log σ² from log σ",
        lambda log_sigma: 2 * log_sigma,
        {
            "this is log σ itself; the factor 2 is missing": lambda log_sigma: log_sigma,
            "halved where it must be doubled": lambda log_sigma: log_sigma / 2,
            "the square goes inside the logarithm: log σ² is not (log σ)²": lambda log_sigma: (
                log_sigma**2
            ),
            "this is the variance σ²; its logarithm is asked for": lambda log_sigma: torch.exp(
                2 * log_sigma
            ),
        },
        _scalars,
    ),
    Exercise(
        "01.1",
        "KL[N(mu, diag exp log_var) ‖ N(0, I)] of each row, (batch, κ) twice to (batch,)",
        lambda mu, log_var: _kl_terms(mu, log_var).sum(1),
        {
            "the factor 1/2 is missing": lambda mu, log_var: 2 * _kl_terms(mu, log_var).sum(1),
            "the sign of log_var is wrong": lambda mu, log_var: (
                _kl_terms(mu, log_var) + log_var
            ).sum(1),
            "the sign of the whole is wrong: a KL is never negative": lambda mu, log_var: (
                -_kl_terms(mu, log_var).sum(1)
            ),
            "averaged over the latent dimensions where it must be summed": lambda mu, log_var: (
                _kl_terms(mu, log_var).mean(1)
            ),
            "reduced over the batch too: one value a row is asked for": lambda mu, log_var: (
                _kl_terms(mu, log_var).sum(1).mean()
            ),
            "not summed over the latent dimensions": _kl_terms,
            "σ stands where σ² belongs: exp(log_var) is the variance already": lambda mu, log_var: (
                _kl_terms(mu, log_var) + 0.5 * ((0.5 * log_var).exp() - log_var.exp())
            ).sum(1),
            "log_var is taken for log σ: exp(2 log_var) is the variance squared": lambda mu, log_var: (
                _kl_terms(mu, 2 * log_var).sum(1)
            ),
            "log σ stands where log σ² belongs": lambda mu, log_var: (
                _kl_terms(mu, log_var) + log_var / 4
            ).sum(1),
            "the −1 of each dimension is missing": lambda mu, log_var: (
                _kl_terms(mu, log_var) + 0.5
            ).sum(1),
            "+1 stands where −1 belongs": lambda mu, log_var: (_kl_terms(mu, log_var) + 1).sum(1),
            "−1 is taken once, not once for each dimension": lambda mu, log_var: (
                (_kl_terms(mu, log_var) + 0.5).sum(1) - 0.5
            ),
            "mu is not squared": lambda mu, log_var: (
                _kl_terms(mu, log_var) + 0.5 * (mu - mu.square())
            ).sum(1),
        },
        _gaussians,
    ),
    Exercise(
        "01.2",
        "−log N(x; x_hat, γ I) of each row, (batch, d) twice and γ to (batch,)",
        _nll,
        {
            "γ is taken for a standard deviation: it is the variance": lambda x, x_hat, g: _nll(
                x, x_hat, g * g
            ),
            "only the quadratic term takes γ for a standard deviation": lambda x, x_hat, g: _nll(
                x, x_hat, g, 1 / g
            ),
            "the factor d before log 2πγ is missing": lambda x, x_hat, g: _nll(
                x, x_hat, g, 1, 1 / x.shape[1]
            ),
            "a factor 2 too many before the quadratic term, as printed in Eq. 8": lambda x, x_hat, g: (
                _nll(x, x_hat, g, 2)
            ),
            "this is −2 log p: the factor 1/2 is missing": lambda x, x_hat, g: (
                2 * _nll(x, x_hat, g)
            ),
            "averaged over the pixels where it must be summed": lambda x, x_hat, g: (
                _nll(x, x_hat, g) / x.shape[1]
            ),
            "only the squares are averaged over the pixels": lambda x, x_hat, g: _nll(
                x, x_hat, g, 1 / x.shape[1]
            ),
            "reduced over the batch too: one value a row is asked for": lambda x, x_hat, g: _nll(
                x, x_hat, g
            ).mean(),
            "the log 2π is missing": lambda x, x_hat, g: (
                _nll(x, x_hat, g) - 0.5 * x.shape[1] * LOG_2_PI
            ),
            "the sign is wrong: this is log p, not −log p": lambda x, x_hat, g: -_nll(x, x_hat, g),
            "the term d log 2πγ is missing": lambda x, x_hat, g: _nll(x, x_hat, g, 1, 0),
        },
        _pairs_and_gamma,
    ),
    Exercise(
        "01.3",
        "the γ that minimises the mean of −log N(x; x_hat, γ I), (batch, d) twice to one number",
        lambda x, x_hat: _squares(x, x_hat).mean(),
        {
            "summed over the pixels where it must be averaged": lambda x, x_hat: (
                _squares(x, x_hat).sum(1).mean()
            ),
            "summed over pixels and batch where it must be averaged": lambda x, x_hat: _squares(
                x, x_hat
            ).sum(),
            "this is the root of the mean squared error; γ is a variance": lambda x, x_hat: (
                _squares(x, x_hat).mean().sqrt()
            ),
            "the mean absolute error; γ is a variance": lambda x, x_hat: (x - x_hat).abs().mean(),
            "halved: the ½ stands before both terms and cancels": lambda x, x_hat: (
                0.5 * _squares(x, x_hat).mean()
            ),
            "one γ an image; one for all is asked for": lambda x, x_hat: _squares(x, x_hat).mean(1),
        },
        _pairs,
    ),
    Exercise(
        "02.1",
        (
            "the density p_θt of Eq. 21 at x, for a mixture of weights pi, means m, variances "
            "C: (n,) "
            "and 3 × (k,) to (n,)"
        ),
        lambda x, pi, m, C, gamma: _blurred(x, pi, m, C + gamma),
        {
            "the decoder's noise is missing: this is p_gt": lambda x, pi, m, C, gamma: _blurred(
                x, pi, m, C
            ),
            "γ is a variance: add it as it is, not squared": lambda x, pi, m, C, gamma: _blurred(
                x, pi, m, C + gamma**2
            ),
            "γ is a variance: add it as it is, not its root": lambda x, pi, m, C, gamma: _blurred(
                x, pi, m, C + gamma.sqrt()
            ),
            "standard deviations do not add up, variances do": lambda x, pi, m, C, gamma: _blurred(
                x, pi, m, (C.sqrt() + gamma.sqrt()) ** 2
            ),
            "C + γ is the variance; it is used as a standard deviation": lambda x, pi, m, C, gamma: (
                _blurred(x, pi, m, (C + gamma) ** 2)
            ),
            "t stands where γ = 1/t belongs": lambda x, pi, m, C, gamma: _blurred(
                x, pi, m, C + 1 / gamma
            ),
            "this is the logarithm of the density": lambda x, pi, m, C, gamma: _blurred(
                x, pi, m, C + gamma
            ).log(),
            "the weights are missing": lambda x, pi, m, C, gamma: _blurred(
                x, torch.ones_like(pi), m, C + gamma
            ),
        },
        _mixtures,
    ),
    Exercise(
        "02.2",
        (
            "the scale S_z of Eq. 24 for r = 1, from the decoder's slope f' at the code and "
            "γ: (n,) "
            "and a number to (n,)"
        ),
        lambda slope, gamma: gamma.sqrt() / slope,
        {
            "γ stands where √γ belongs: S_z is a standard deviation": lambda slope, gamma: (
                gamma / slope
            ),
            "this is the variance S_z²; its root is asked for": lambda slope, gamma: (
                gamma / slope**2
            ),
            "multiplied by f' where it must be divided: h is the inverse of f": lambda slope, gamma: (
                gamma.sqrt() * slope
            ),
            "the factor √γ is missing": lambda slope, gamma: 1 / slope,
            "√γ stands in the denominator: the width must fall with γ": lambda slope, gamma: (
                1 / (slope * gamma.sqrt())
            ),
            "the slope is missing: where f is steep, the code must be precise": lambda slope, gamma: (
                gamma.sqrt().expand_as(slope)
            ),
            "this is Eq. 83 at a finite γ; Eq. 24 is its limit": lambda slope, gamma: (
                1 / (1 + slope**2 / gamma).sqrt()
            ),
        },
        _widths,
    ),
    Exercise(
        "03.1",
        "the slope of the optimal cost against log γ as γ → 0, from d, r and κ",
        lambda d, r, kappa: (d - r) / 2,
        {
            "the factor 1/2 is missing": lambda d, r, kappa: d - r,
            "the sign is wrong: the cost falls as γ falls, so the slope is positive": lambda d, r, kappa: (
                (r - d) / 2
            ),
            "κ stands where r belongs: idle code dimensions change no cost": lambda d, r, kappa: (
                (d - kappa) / 2
            ),
            "this is the data term alone; the KL term gives r/2 of it back": lambda d, r, kappa: (
                d / 2
            ),
            "this is what the KL term gives back; the data term is missing": lambda d, r, kappa: (
                r / 2
            ),
            "the KL term is added where it must be subtracted": lambda d, r, kappa: (d + r) / 2,
        },
        _dimensions,
    ),
    Exercise(
        "03.2",
        (
            "the certified optimum at γ, from d, r, γ and the entropy H of μ_gt on its manifold, "
            "in nats"
        ),
        lambda d, r, gamma, H: _optimum(d - r, gamma, H),
        {
            "the factor 1/2 is missing": lambda d, r, gamma, H: 2 * _optimum(d - r, gamma, H / 2),
            "the 2π is missing": lambda d, r, gamma, H: _optimum(d - r, gamma / (2 * math.pi), H),
            "d stands where d − r belongs: along the manifold no noise is paid for": lambda d, r, gamma, H: (
                _optimum(d, gamma, H)
            ),
            "r stands where d − r belongs": lambda d, r, gamma, H: _optimum(r, gamma, H),
            "the sign of the entropy is wrong": lambda d, r, gamma, H: _optimum(d - r, gamma, -H),
            "the entropy is missing": lambda d, r, gamma, H: _optimum(d - r, gamma, 0.0),
            "the sign of the first term is wrong: it falls to −∞ as γ → 0": lambda d, r, gamma, H: (
                -_optimum(d - r, gamma, -H)
            ),
            "γ is taken for a standard deviation: it is the variance": lambda d, r, gamma, H: (
                _optimum(d - r, gamma**2, H)
            ),
            "half a nat too much for each of the d − r directions": lambda d, r, gamma, H: _optimum(
                d - r, math.e * gamma, H
            ),
        },
        _optima,
    ),
    Exercise(
        "04.1",
        "Σ_z of Eq. 83 from the decoder's Jacobian J, (d, κ), and γ: to (κ, κ)",
        _eq_83,
        {
            "J is transposed: this has the size of x, d × d, and Σ_z has that of z": lambda J, gamma: (
                torch.linalg.inv(torch.eye(len(J), dtype=J.dtype) + J @ J.T / gamma)
            ),
            "√γ stands where γ belongs: γ is the variance already": lambda J, gamma: _eq_83(
                J, gamma.sqrt()
            ),
            "γ is squared: it is the variance already": lambda J, gamma: _eq_83(J, gamma**2),
            "multiplied by γ where it must be divided": lambda J, gamma: _eq_83(J, 1 / gamma),
            "the identity is missing: without the prior no λ is 1": lambda J, gamma: (
                gamma * torch.linalg.pinv(J.T @ J)
            ),
            "this is the precision: the inverse is missing": lambda J, gamma: (
                torch.eye(J.shape[1], dtype=J.dtype) + J.T @ J / gamma
            ),
            "the inverse of each entry is not the inverse of the matrix": lambda J, gamma: (
                1 / (torch.eye(J.shape[1], dtype=J.dtype) + J.T @ J / gamma)
            ),
            "this is the diagonal alone": lambda J, gamma: _eq_83(J, gamma).diagonal(),
        },
        _jacobians,
    ),
    Exercise(
        "04.2",
        (
            "r from d and the optimal cost in nats at two γ: d, cost_high, cost_low, gamma_high, "
            "gamma_low to one number"
        ),
        lambda d, high, low, g_high, g_low: d - 2 * _fall(high, low, g_high, g_low),
        {
            "this is d − r, the dimensions that are empty": lambda d, high, low, g_high, g_low: (
                2 * _fall(high, low, g_high, g_low)
            ),
            "the cost is half of (d − r) log γ: the factor 2 is missing": lambda d, high, low, g_high, g_low: (
                d - _fall(high, low, g_high, g_low)
            ),
            "the logarithm is the natural one, not that of base 10": lambda d, high, low, g_high, g_low: (
                d - 2 * math.log(10) * _fall(high, low, g_high, g_low)
            ),
            "the sign of the slope is wrong: the cost falls as γ falls": lambda d, high, low, g_high, g_low: (
                d + 2 * _fall(high, low, g_high, g_low)
            ),
            "divided by the difference of the γ; the logarithm is missing": lambda d, high, low, g_high, g_low: (
                d - 2 * (high - low) / (g_high - g_low)
            ),
        },
        _two_costs,
    ),
    Exercise(
        "05.1",
        "the soft count of active dimensions of each row, Σ_j (1 − λ_j), (batch, κ) to (batch,)",
        lambda lam: (1 - lam).sum(1),
        {
            "this counts the idle dimensions, κ − r, where the active ones are asked for": lambda lam: (
                lam.sum(1)
            ),
            "this is the count with a threshold; the soft one is asked for": lambda lam: (
                lam < 0.5
            ).sum(1),
            "averaged over the dimensions where it must be summed": lambda lam: (1 - lam).mean(1),
            "summed over the whole batch: one number a row is asked for": lambda lam: (
                1 - lam
            ).sum(),
            "summed along the batch: the dimensions are the columns": lambda lam: (1 - lam).sum(0),
            "not summed: this is each dimension's share": lambda lam: 1 - lam,
            "√λ stands where λ belongs: λ is the variance": lambda lam: (1 - lam.sqrt()).sum(1),
        },
        _spectra,
    ),
    Exercise(
        "06.1",
        "codes z drawn from the second stage: its decoder, its γ, u and noise of z's shape to z",
        lambda decode, gamma, u, eps: decode(u) + math.sqrt(gamma) * eps,
        {
            "the noise on z is missing: the second stage is a density, not its mean": lambda decode, gamma, u, eps: (
                decode(u)
            ),
            "γ is a variance: the noise is scaled by its root": lambda decode, gamma, u, eps: (
                decode(u) + gamma * eps
            ),
            "the noise is not scaled by √γ": lambda decode, gamma, u, eps: decode(u) + eps,
            "the noise is divided by √γ": lambda decode, gamma, u, eps: (
                decode(u) + eps / math.sqrt(gamma)
            ),
        },
        _decoders,
    ),
    Exercise(
        "06.2",
        "the number of active dimensions of each row, λ_j < 1/2, (batch, κ) to (batch,)",
        lambda lam: (lam < 0.5).sum(1),
        {
            "these are the dimensions filled with noise: active is λ_j near 0": lambda lam: (
                lam > 0.5
            ).sum(1),
            "counted over the whole batch: one number a row is asked for": lambda lam: (
                lam < 0.5
            ).sum(),
            "averaged over the batch: one number a row is asked for": lambda lam: (
                (lam < 0.5).double().sum(1).mean()
            ),
            "this is the fraction; the count is asked for": lambda lam: (
                (lam < 0.5).double().mean(1)
            ),
            "counted along the batch: the dimensions are the columns": lambda lam: (lam < 0.5).sum(
                0
            ),
            "the threshold is put to √λ_j; λ_j is the variance": lambda lam: (lam.sqrt() < 0.5).sum(
                1
            ),
            "not counted: this says which dimensions are active": lambda lam: lam < 0.5,
        },
        _spectra,
    ),
    Exercise(
        "06.3",
        "the unbiased MMD² from the kernel matrices of x with x, y with y and x with y",
        lambda k_xx, k_yy, k_xy: (
            _off_diagonal_mean(k_xx) + _off_diagonal_mean(k_yy) - 2 * k_xy.mean()
        ),
        {
            "the diagonals are kept: this is the biased one": lambda k_xx, k_yy, k_xy: (
                k_xx.mean() + k_yy.mean() - 2 * k_xy.mean()
            ),
            "the diagonals are left out but still counted: divide by n (n − 1)": lambda k_xx, k_yy, k_xy: (
                (k_xx.mean() - k_xx.trace() / len(k_xx) ** 2)
                + (k_yy.mean() - k_yy.trace() / len(k_yy) ** 2)
                - 2 * k_xy.mean()
            ),
            "the factor 2 of the cross term is missing": lambda k_xx, k_yy, k_xy: (
                _off_diagonal_mean(k_xx) + _off_diagonal_mean(k_yy) - k_xy.mean()
            ),
            "the cross term is added where it must be subtracted": lambda k_xx, k_yy, k_xy: (
                _off_diagonal_mean(k_xx) + _off_diagonal_mean(k_yy) + 2 * k_xy.mean()
            ),
            "the sign of the whole is wrong": lambda k_xx, k_yy, k_xy: (
                2 * k_xy.mean() - _off_diagonal_mean(k_xx) - _off_diagonal_mean(k_yy)
            ),
            "this is MMD, the root; MMD² is asked for": lambda k_xx, k_yy, k_xy: (
                _off_diagonal_mean(k_xx) + _off_diagonal_mean(k_yy) - 2 * k_xy.mean()
            ).sqrt(),
        },
        _kernels,
    ),
)
EXERCISES = {exercise.id: exercise for exercise in _ALL}
