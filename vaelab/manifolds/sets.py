"""Sets A of ℝ^d, and the exact mass N(x, γ I) gives them.

A set answers three questions: `level(x)` ≤ 0 exactly inside, `contains(x)`, and `gaussian_mass(x, gamma)`, the
probability that x + N(0, γ I) lies in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from scipy.special import roots_genlaguerre
from torch import Tensor

from vaelab._inputs import check_positive

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


@dataclass(frozen=True, eq=False)
class HalfSpace(Region):
    """{x : normal · x ≤ offset}, and P = Φ((offset − normal · x) / (√γ ‖normal‖)).

    Args:
        normal: shape (d,), not zero.
        offset: a number.

    >>> HalfSpace([1.0, 0.0], 0.0).gaussian_mass(torch.zeros(1, 2, dtype=torch.float64), 0.1).item()
    0.5
    """

    normal: Tensor
    offset: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "normal", torch.as_tensor(self.normal, dtype=torch.float64))
        if not self.normal.norm() > 0:
            raise ValueError(f"normal: expected a vector that is not zero, got {self.normal.tolist()}")

    def level(self, x: Tensor) -> Tensor:
        return (x @ self.normal - self.offset) / self.normal.norm()

    def gaussian_mass(self, x: Tensor, gamma: float) -> Tensor:
        return ndtr(-self.level(x) / math.sqrt(gamma))


@dataclass(frozen=True, eq=False)
class Box(Region):
    """{x : low_i ≤ x_i ≤ high_i}, and P = Π_i Φ((high_i − x_i) / √γ) − Φ((low_i − x_i) / √γ).

    Args:
        low: lower corner, shape (d,); −∞ allowed.
        high: upper corner, shape (d,); ∞ allowed.
    """

    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, torch.as_tensor(getattr(self, name), dtype=torch.float64))
        if self.low.shape != self.high.shape or not (self.low < self.high).all():
            raise ValueError(f"box: expected low < high everywhere, got {self.low.tolist()} and {self.high.tolist()}")

    def level(self, x: Tensor) -> Tensor:
        return torch.maximum(self.low - x, x - self.high).amax(1)

    def gaussian_mass(self, x: Tensor, gamma: float) -> Tensor:
        scale = math.sqrt(gamma)
        below, above = (self.low - x) / scale, (self.high - x) / scale
        flip = below > 0  # both corners in the upper tail: subtract there, where digits are
        return torch.where(flip, ndtr(-below) - ndtr(-above), ndtr(above) - ndtr(below)).prod(1)


@dataclass(frozen=True, eq=False)
class Ball(Region):
    """{x : ‖x − centre‖ ≤ radius}; P is the distribution function of a non-central χ² with d degrees of freedom.

    With D = ‖x − centre‖ and s ~ χ²_{d−1}, P = E_s[Φ((c − D)/√γ) − Φ((−c − D)/√γ)], c = √(radius² − γ s), which stays
    exact where γ is tiny.

    Args:
        centre: shape (d,).
        radius: > 0.
    """

    centre: Tensor
    radius: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "centre", torch.as_tensor(self.centre, dtype=torch.float64))
        check_positive("radius", self.radius)

    def level(self, x: Tensor) -> Tensor:
        return (x - self.centre).norm(dim=1) - self.radius

    def gaussian_mass(self, x: Tensor, gamma: float) -> Tensor:
        away, scale, d = (x - self.centre).norm(dim=1), math.sqrt(gamma), x.shape[1]
        near = (away - self.radius).abs() < scale * (math.sqrt(d) + 9)  # elsewhere the noise never reaches the border
        out = (away <= self.radius).double()
        s, w = _chi_square(d - 1)
        room = self.radius**2 - gamma * s
        c, D = room.clamp_min(0).sqrt(), away[near, None]
        out[near] = ((ndtr((c - D) / scale) - ndtr((-c - D) / scale)) * (room > 0) * w).sum(1)
        return out


@lru_cache(maxsize=8)
def _chi_square(df: int, n_nodes: int = 40) -> tuple[Tensor, Tensor]:
    """Gauss–Laguerre nodes and weights for expectations under χ² with `df` degrees of freedom; df = 0 is the point 0."""
    if df == 0:
        return torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    half, w = roots_genlaguerre(n_nodes, 0.5 * df - 1)
    return torch.from_numpy(2 * half), torch.from_numpy(w / w.sum())
