"""Where the printed proof of Theorem 1 has a gap: pointwise convergence does not control the tails.

Appendix E.2 shows that q(z given x) / p_θ(z given x) → a constant at every z and concludes KL → 0.
For

    f(z) = z exp(exp(z²) − 1),

a smooth diffeomorphism of ℝ (P[|X| > x] falls about as (log x)^(−½), slower than any power), E_q ‖x
− f(z)‖² = ∞ for every γ: the Gaussian q meets an f that grows as a double exponential. So KL = ∞
for all t with the decoder F⁻¹∘G and the encoder of Eq. 24; the existence that the theorem claims
needs another decoder, equal to f on [−R_t, R_t] only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab._inputs import check_positive
from vaelab.manifolds.lattice import log_phi
from vaelab.theory.optimum import check_t


def log_double_exponential(z: Tensor) -> Tensor:
    """log |f(z)| of f(z) = z exp(exp(z²) − 1), any shape; −∞ at 0."""
    return z.abs().log() + torch.expm1(z.square())


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
    square = z * z
    log_slope = math.expm1(square) + math.log1p(2 * z * z * math.exp(square))
    return math.exp(-0.5 * math.log(check_t(t)) - log_slope)


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
    reach = cutoff * math.sqrt(check_t(t))
    centre = min(reach, 12.0)
    parts = [_log_trapezoid(-centre, centre, n_nodes, t)]
    if reach > centre:
        tail = _log_trapezoid(centre, reach, n_nodes, t)
        parts.append(tail + math.log(2))
    return float(torch.stack(parts).logsumexp(0))


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
