"""Densities by name: Gaussian or not, with light or heavy tails, on ℝ^r or on an open part of
it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab._inputs import check_choice, check_positive, check_positive_int
from vaelab.manifolds.densities import Product, StudentT, Transformed
from vaelab.manifolds.lattice import generator_from, unit_lattice
from vaelab.manifolds.mixture import LOG_2_PI, Density, Mixture


def _line(weights: list[float], means: list[float], sds: list[float]) -> Mixture:
    return Mixture(weights, torch.tensor(means)[:, None], torch.tensor(sds)[:, None, None])


def gaussian(dim: int = 1, mean: Tensor | None = None, covariance: Tensor | None = None) -> Mixture:
    """N(mean, covariance) on ℝ^dim; the standard one unless told."""
    check_positive_int("dim", dim)
    mean = torch.zeros(dim) if mean is None else mean
    covariance = torch.eye(dim) if covariance is None else covariance
    return Mixture.from_covariances(
        [1.0], torch.as_tensor(mean)[None], torch.as_tensor(covariance)[None]
    )


def skewed(dim: int = 1) -> Mixture:
    """Three unequal components, one long tail; dim 1 or 2 (correlated)."""
    check_choice("dim", dim, (1, 2))
    if dim == 1:
        return _line([0.5, 0.3, 0.2], [-0.8, 0.4, 1.8], [0.45, 0.6, 0.9])
    return Mixture(
        [0.5, 0.3, 0.2],
        [[-0.7, 0.2], [0.5, -0.6], [1.5, 1.2]],
        [[[0.6, 0.0], [0.3, 0.5]], [[0.7, 0.0], [-0.4, 0.5]], [[0.9, 0.0], [0.4, 0.7]]],
    )


def bimodal() -> Mixture:
    """Two modes on ℝ with a shallow valley."""
    return _line([0.6, 0.4], [-1.0, 1.2], [0.4, 0.45])


def valley() -> Mixture:
    """Two modes on ℝ so far apart that almost nothing lies between them: the hard case for small
    t.
    """
    return _line([0.5, 0.5], [-2.4, 2.4], [0.56, 0.56])


def narrow() -> Mixture:
    """Three narrow modes on ℝ."""
    return _line([0.3, 0.4, 0.3], [-2.0, 0.0, 2.0], [0.42, 0.42, 0.42])


def two_moons(n_components: int = 10, width: float = 0.25) -> Mixture:
    """Two interleaved half circles in ℝ², smoothed: `n_components` round bumps along them."""
    check_positive_int("n_components", n_components)
    check_positive("width", width)
    half = (
        math.pi
        * (torch.arange((n_components + 1) // 2, dtype=torch.float64) + 0.5)
        / ((n_components + 1) // 2)
    )
    upper = torch.stack([half.cos() - 0.5, half.sin() - 0.25], 1)
    means = torch.cat([upper, -upper])[:n_components] * 1.2
    return Mixture(
        torch.ones(n_components), means, width * 1.2 * torch.eye(2).expand(n_components, 2, 2)
    )


def modes(
    dim: int, n_modes: int = 4, width: float = 0.5, spread: float = 1.0, seed: int = 0
) -> Mixture:
    """`n_modes` round bumps of standard deviation `width` at random centres of variance `spread`²,
    on ℝ^dim.
    """
    for name, value in (("dim", dim), ("n_modes", n_modes)):
        check_positive_int(name, value)
    check_positive("width", width)
    centres = spread * torch.randn(
        n_modes, dim, generator=generator_from(seed), dtype=torch.float64
    )
    return Mixture(torch.ones(n_modes), centres, width * torch.eye(dim).expand(n_modes, dim, dim))


def banana(bend: float = 0.7, width: float = 0.5) -> Transformed:
    """A Gaussian bent along a parabola: u = (v₁, width v₂ + bend (v₁² − 1)), v ~ N(0, I₂)."""

    def shear(v: Tensor, sign: float) -> Tensor:
        return torch.cat([v[:, :1], v[:, 1:] + sign * bend * (v[:, :1].square() - 1)], 1)

    base = gaussian(2, covariance=torch.diag(torch.tensor([1.0, width**2], dtype=torch.float64)))
    return Transformed(base, lambda v: shear(v, 1.0), lambda u: shear(u, -1.0), torch.zeros_like)


def student_t(df: float = 3.0, dim: int = 1) -> Density:
    """Student's t with ν = df, in `dim` independent coordinates."""
    check_positive_int("dim", dim)
    return StudentT(df) if dim == 1 else Product([StudentT(df)] * dim)


def cauchy(dim: int = 1) -> Density:
    """Student's t with ν = 1: no mean, and yet Theorem 1 holds at the rate γ."""
    return student_t(1.0, dim)


def half_line(base: Density | None = None) -> Transformed:
    """A density on (0, ∞): exp of a draw from `base` (default: `skewed()`), zero on (−∞, 0]."""
    return Transformed(
        skewed() if base is None else base, torch.exp, torch.log, lambda v: v, low=0.0
    )


def open_square(base: Density | None = None) -> Transformed:
    """A density on (0, 1)^r: Φ of a draw from `base` in each coordinate (default: a correlated
    Gaussian on ℝ²).
    """
    if base is None:
        base = gaussian(2, covariance=torch.tensor([[0.5, 0.2], [0.2, 0.4]], dtype=torch.float64))
    edge = torch.finfo(torch.float64)

    def forward(v: Tensor) -> Tensor:
        return torch.special.ndtr(v).clamp(
            edge.tiny, 1 - edge.eps
        )  # rounding must not leave the open square

    return Transformed(
        base,
        forward,
        torch.special.ndtri,
        lambda v: -0.5 * (v.square() + LOG_2_PI),
        low=0.0,
        high=1.0,
    )


def uniform(lows: tuple[float, ...], highs: tuple[float, ...]) -> Transformed:
    """The uniform density on the open box with these corners.

    >>> uniform((0.0,), (4.0,)).log_prob(torch.ones(1, 1, dtype=torch.float64)).exp().item()
    0.25
    """
    low, high = (torch.tensor(side, dtype=torch.float64) for side in (lows, highs))
    if low.shape != high.shape or not (low < high).all():
        raise ValueError(
            f"uniform: expected low < high in every coordinate, got {lows} and {highs}"
        )

    def forward(v: Tensor) -> Tensor:
        i = v.shape[1]
        share = torch.special.ndtr(v).clamp(
            1e-15, 1 - 1e-15
        )  # rounding must not leave the open box
        return low[:i] + (high - low)[:i] * share

    def inverse(u: Tensor) -> Tensor:
        i = u.shape[1]
        return torch.special.ndtri((u - low[:i]) / (high - low)[:i])

    def log_slopes(v: Tensor) -> Tensor:
        return (high - low)[: v.shape[1]].log() - 0.5 * (v.square() + LOG_2_PI)

    return _Boxed(gaussian(len(lows)), forward, inverse, log_slopes, low, high)


class _Boxed(Transformed):
    """The uniform density: its support has its own bounds in each coordinate."""

    def contains(self, u: Tensor) -> Tensor:
        i = u.shape[1]
        return ((u > self.low[:i]) & (u < self.high[:i])).all(1)

    def nodes(self, n: int, smooth: bool = False) -> tuple[Tensor, Tensor]:
        u = unit_lattice(n, self.dim)
        return self.low + (self.high - self.low) * u, torch.full((n,), 1 / n, dtype=torch.float64)


_LINE = {
    "skewed": skewed,
    "bimodal": bimodal,
    "valley": valley,
    "narrow": narrow,
    "half_line": half_line,
}
_PLANE = {
    "skewed": lambda: skewed(2),
    "two_moons": two_moons,
    "banana": banana,
    "open_square": open_square,
}
_ANY = {
    "gaussian": gaussian,
    "modes": modes,
    "cauchy": cauchy,
    "student_t": lambda dim: student_t(3.0, dim),
}


def density(name: str | Density, dim: int) -> Density:
    """The density called `name` on ℝ^dim; a `Density` is checked and passed through.

    Any dim: gaussian, modes, cauchy, student_t. dim 1: skewed, bimodal, valley, narrow, half_line.
    dim 2: skewed, two_moons, banana, open_square.

    Raises:
        ValueError: an unknown name for this dim, or a density of another dim.

    >>> density("bimodal", 1).dim
    1
    """
    check_positive_int("dim", dim)
    if isinstance(name, Density):
        if name.dim != dim:
            raise ValueError(
                f"density: expected one on ℝ^{dim}, got one on ℝ^{name.dim}; match it to the "
                "manifold's r"
            )
        return name
    own = {1: _LINE, 2: _PLANE}.get(dim, {})
    check_choice("density", name, (*_ANY, *own))
    return own[name]() if name in own else _ANY[name](dim)
