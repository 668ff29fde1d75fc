"""Two heavy tails: one for which the printed proof of Theorem 1 has a gap, one for which Theorems 2
and 3 are false.

**Pointwise convergence does not control the tails.**

Appendix E.2 shows that q(z given x) / p_θ(z given x) → a constant at every z and concludes KL → 0.
For

    f(z) = z exp(exp(z²) − 1),

a smooth diffeomorphism of ℝ (P[|X| > x] falls about as (log x)^(−½), slower than any power), E_q ‖x
− f(z)‖² = ∞ for every γ: the Gaussian q meets an f that grows as a double exponential. So KL = ∞
for all t with the decoder F⁻¹∘G and the encoder of Eq. 24; the existence that the theorem claims
needs another decoder, equal to f on [−R_t, R_t] only.

**Without a finite entropy there is no cost to speak of.** `LogTail` has H = ∞. On a line in ℝ² any
decoder with variance γ has p_θ(u, 0) ≤ (2πγ)^(−½) q(u), q a density: its mean cost is at least
½ log 2πγ + H = ∞ at every γ. So Eq. 5 and Theorem 3 need H(μ_gt) < ∞, which the paper does not say.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import check_positive
from vaelab.manifolds.lattice import log_phi
from vaelab.manifolds.mixture import Conditionals, Density


@door
def log_double_exponential(z: Tensor) -> Tensor:
    """log |f(z)| of f(z) = z exp(exp(z²) − 1), any shape; −∞ at 0."""
    return z.abs().log() + torch.expm1(z.square())


@door
def log_integrand(w: Tensor, t: float, z: float = 0.0) -> Tensor:
    """log [φ(w) · ½ t f(z + S w)²] for x = f(z), S = √γ / f'(z): the tail of E_q[−log p(x given
    z)]; any shape.

    >>> w = torch.tensor([300.0, 400.0, 500.0], dtype=torch.float64)     # at γ = 1e-4, S = 0.01
    >>> (log_integrand(w, 1e4) > 0).tolist()
    [False, True, True]
    """
    position = z + _scale(t, z) * w
    log_square = 2 * log_double_exponential(position)
    return log_square + log_phi(w) + math.log(0.5 * t)


def _scale(t: float, z: float) -> float:
    """S = √γ / f'(z)."""
    log_slope = math.expm1(z * z) + math.log1p(2 * z * z * math.exp(z * z))
    return math.exp(-0.5 * math.log(t) - log_slope)


@door
def divergence_starts(t: float, z: float = 0.0) -> float:
    """The latent position z + S w past which the integrand exceeds 1 and grows without bound: the
    integral is ∞.

    exp(z²) outgrows w²/2 for every γ: the position moves out only as √log t. Found on a grid of 200
    000 positions.
    """
    at = torch.linspace(z, 26.0, 200_001, dtype=torch.float64)[1:]
    w = (at - z) / _scale(t, z)
    grows = log_integrand(w, t, z) > 0
    last_low = torch.nonzero(~grows)[-1, 0]
    return float(at[last_low + 1])


@door
def truncated_error(t: float, cutoff: float, n_nodes: int = 20_001) -> float:
    """log of E_q[½ t f(z)²; |z| ≤ cutoff] for x = f(0) = 0, by the trapezoidal rule.

    What a quadrature that stops early reports: log ½ as long as the cutoff lies before
    `divergence_starts`, anything past it.

    Args:
        t: 1/γ.
        cutoff: largest |z| looked at, > 0.
        n_nodes: of the trapezoidal rule.
    """
    check_positive("cutoff", cutoff)
    reach = cutoff * math.sqrt(t)
    centre = min(reach, 12.0)
    total = _log_trapezoid(-centre, centre, n_nodes, t)
    if reach > centre:
        tail = _log_trapezoid(centre, reach, n_nodes, t)
        total = torch.logaddexp(total, tail + math.log(2))
    return float(total)


def _log_trapezoid(
    low: float,
    high: float,
    n_nodes: int,
    t: float,
) -> Tensor:
    w = torch.linspace(low, high, n_nodes, dtype=torch.float64)
    y = log_integrand(w, t)
    half_step = 0.5 * (w[1] - w[0])
    sums = torch.logaddexp(y[1:], y[:-1])
    return sums.logsumexp(0) + half_step.log()


class LogTail(Density):
    """p(u) = 1 / [2 (e + |u|) log²(e + |u|)] on ℝ: P[|U| > a] = 1 / log(e + a), and H = ∞.

    >>> p = LogTail()
    >>> p.from_noise(torch.tensor([[0.0], [1.0]], dtype=torch.float64)).flatten().tolist()
    [0.0, 20.6...]
    """

    @property
    def dim(self) -> int:
        """1."""
        return 1

    def conditionals(self, u: Tensor) -> Conditionals:
        v = (math.e + u.abs()).log()
        log_tail = -(2 * v).log()
        log_rest = torch.log1p(-log_tail.exp())
        log_p = log_tail - v - v.log()
        below = u < 0
        log_cdf = torch.where(below, log_tail, log_rest)
        log_sf = torch.where(below, log_rest, log_tail)
        return log_p, log_cdf, log_sf

    def quantile(self, z: Tensor, before: Tensor) -> Tensor:
        v = 0.5 / torch.special.ndtr(-z.abs())
        return z.sign() * math.e * torch.expm1(v - 1)


@door
def truncated_entropy(cutoff: float) -> float:
    """−∫ p log p du of `LogTail` over |u| < e^T, in nats: about log T + 2.7, so H = ∞.

    With V = log(e + e^T): (1 − 1/V) log 2 + log V + 2 [1 − (1 + log V)/V].

    Args:
        cutoff: T > 0.

    >>> [round(truncated_entropy(T), 1) for T in (10.0, 1e2, 1e4, 1e6)]
    [4.3, 7.2, 11.9, 16.5]
    """
    V = _log_reach(cutoff)
    log_V = math.log(V)
    return (1 - 1 / V) * math.log(2) + log_V + 2 * (1 - (1 + log_V) / V)


@door
def cost_floor(cutoff: float, gamma: float) -> float:
    """What every VAE with this γ costs at least on |u| < e^T, in nats, for `LogTail` on a line in
    ℝ²; it grows without bound in T.

    With P = P[|U| < e^T], the floor is P (½ log 2πγ + log P) + `truncated_entropy`: over a set of
    mass P, ∫ p log (p/q) ≥ P log P for every density q.

    Args:
        cutoff: T > 0.
        gamma: decoder variance > 0.
    """
    P = 1 - 1 / _log_reach(cutoff)
    return P * (0.5 * math.log(2 * math.pi * gamma) + math.log(P)) + truncated_entropy(cutoff)


def _log_reach(cutoff: float) -> float:
    """log(e + e^T)."""
    check_positive("cutoff", cutoff)
    return max(cutoff, 1.0) + math.log1p(math.exp(-abs(cutoff - 1)))
