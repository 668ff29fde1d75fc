"""Sets A of ℝ^d, and the exact mass N(x, γ I) gives them.

A set answers three questions: `level(x)` ≤ 0 exactly inside, `contains(x)`, and `gaussian_mass(x,
gamma)`, the probability that x + N(0, γ I) lies in it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab._inputs import check_finite, check_positive
from vaelab.manifolds.lattice import Nodes, float64

ndtr = torch.special.ndtr


class Region:
    """A set {x : level(x) ≤ 0} of ℝ^d."""

    def level(self, x: Tensor) -> Tensor:
        """A continuous function of x, shape (n, d) to (n,), that is ≤ 0 exactly inside."""
        raise NotImplementedError

    def gaussian_mass(self, x: Tensor, gamma: float) -> Tensor:
        """P[x + N(0, γ I) ∈ A], shape (n, d) to (n,)."""
        raise NotImplementedError

    def contains(self, x: Tensor) -> Tensor:
        """Whether each row lies inside; bool, shape (n,)."""
        return self.level(x) <= 0


class HalfSpace(Region):
    """{x : normal · x ≤ offset}, and P = Φ((offset − normal · x) / (√γ ‖normal‖)).

    Args:
        normal: shape (d,), not zero.
        offset: a number.

    >>> HalfSpace([1.0, 0.0], 0.0).gaussian_mass(torch.zeros(1, 2, dtype=torch.float64), 0.1).item()
    0.5
    """

    def __init__(self, normal: Any, offset: float) -> None:
        self.normal = float64(normal, "normal")
        check_finite("offset", offset)
        self.offset = offset
        if not self.normal.norm() > 0:
            raise ValueError(
                f"normal: expected a vector that is not zero, got {self.normal.tolist()}"
            )

    def level(self, x: Tensor) -> Tensor:
        beyond = x @ self.normal - self.offset
        return beyond / self.normal.norm()

    def gaussian_mass(self, x: Tensor, gamma: float) -> Tensor:
        return ndtr(-self.level(x) / math.sqrt(gamma))


class Box(Region):
    """{x : low_i ≤ x_i ≤ high_i}, and P = Π_i Φ((high_i − x_i) / √γ) − Φ((low_i − x_i) / √γ).

    Args:
        low: lower corner, shape (d,); −∞ allowed.
        high: upper corner, shape (d,); ∞ allowed.
    """

    def __init__(self, low: Any, high: Any) -> None:
        self.low = float64(low, "low")
        self.high = float64(high, "high")
        if self.low.shape != self.high.shape or not (self.low < self.high).all():
            raise ValueError(
                f"box: expected low < high everywhere, got {self.low.tolist()} and "
                f"{self.high.tolist()}"
            )

    def level(self, x: Tensor) -> Tensor:
        beyond = torch.maximum(self.low - x, x - self.high)
        return beyond.amax(1)

    def gaussian_mass(self, x: Tensor, gamma: float) -> Tensor:
        scale = math.sqrt(gamma)
        below = (self.low - x) / scale
        above = (self.high - x) / scale
        lower = ndtr(above) - ndtr(below)
        # Where both corners lie in the upper tail, the digits are there.
        upper = ndtr(-below) - ndtr(-above)
        return torch.where(below > 0, upper, lower).prod(1)


class Ball(Region):
    """{x : ‖x − centre‖ ≤ radius}; P is the distribution function of a non-central χ² with d
    degrees of freedom.

    With D = ‖x − centre‖ and v the length of the noise across that direction (χ with d − 1 degrees
    of freedom), P = E_v[Φ((c − D)/√γ) − Φ((−c − D)/√γ)], c = √(radius² − γ v²), which stays exact
    where γ is tiny.

    Args:
        centre: shape (d,).
        radius: > 0.
    """

    def __init__(self, centre: Any, radius: float) -> None:
        check_positive("radius", radius)
        self.centre = float64(centre, "centre")
        self.radius = radius

    def level(self, x: Tensor) -> Tensor:
        return (x - self.centre).norm(dim=1) - self.radius

    def gaussian_mass(self, x: Tensor, gamma: float) -> Tensor:
        scale = math.sqrt(gamma)
        d = x.shape[1]
        away = (x - self.centre).norm(dim=1)
        mass = (away <= self.radius).double()
        # Elsewhere the noise never reaches the border.
        near = (away - self.radius).abs() < scale * (math.sqrt(d) + 9)
        c, w = _across(self.radius / scale, d)
        D = away[near, None] / scale
        chords = ndtr(c - D) - ndtr(-c - D)
        mass[near] = chords @ w
        return mass


def _across(radius: float, d: int, n_nodes: int = 64) -> Nodes:
    """c = √(radius² − v²) and weights for expectations over v ~ χ with d − 1 degrees of freedom, v
    ≤ radius.

    Gauss–Legendre in the angle with v = radius · sin(angle), c = radius · cos(angle), where nothing
    is singular.
    """
    if d == 1:
        return float64([radius]), float64([1.0])
    reach = math.asin(min(1.0, (math.sqrt(d - 1) + 9) / radius))
    rule = np.polynomial.legendre.leggauss(n_nodes)
    node, weight = map(torch.from_numpy, rule)
    angle = 0.5 * reach * (node + 1)
    v = radius * angle.sin()
    c = radius * angle.cos()
    constant = 0.5 * (d - 3) * math.log(2)
    log_chi = (d - 2) * v.log() - 0.5 * v.square()
    log_chi = log_chi - constant - math.lgamma(0.5 * (d - 1))
    return c, 0.5 * reach * weight * c * log_chi.exp()
