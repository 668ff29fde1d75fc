"""Densities by name: Gaussian or not, with light or heavy tails, on ℝ^r or on an open part of
it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import check_choice, check_positive
from vaelab.manifolds.densities import Product, StudentT, Transformed
from vaelab.manifolds.lattice import (
    Nodes,
    beside,
    equal_weights,
    float64,
    generator_from,
    log_phi,
    normal_noise,
    unit_lattice,
)
from vaelab.manifolds.mixture import Density, Mixture


def _line(weights: list[float], means: list[float], sds: list[float]) -> Mixture:
    column = torch.tensor(means)[:, None]
    factors = torch.tensor(sds)[:, None, None]
    return Mixture(weights, column, factors)


def _bumps(centres: Tensor, width: float) -> Mixture:
    """Equal round bumps of standard deviation `width` at the centres, shape (k, r)."""
    k, r = centres.shape
    factors = width * torch.eye(r).expand(k, r, r)
    return Mixture(torch.ones(k), centres, factors)


@door
def gaussian(dim: int = 1, mean: Tensor | None = None, covariance: Tensor | None = None) -> Mixture:
    """N(mean, covariance) on ℝ^dim; the standard one by default."""
    mean = torch.zeros(dim) if mean is None else mean
    covariance = torch.eye(dim) if covariance is None else covariance
    return Mixture.from_covariances([1.0], mean[None], covariance[None])


@door
def skewed(dim: int = 1) -> Mixture:
    """Three unequal components, one long tail; dim 1 or 2 (correlated)."""
    if dim not in (1, 2):
        raise ValueError(f"dim: expected 1 or 2, got {dim!r}")
    if dim == 1:
        return _line([0.5, 0.3, 0.2], [-0.8, 0.4, 1.8], [0.45, 0.6, 0.9])
    return Mixture(
        [0.5, 0.3, 0.2],
        [[-0.7, 0.2], [0.5, -0.6], [1.5, 1.2]],
        [[[0.6, 0.0], [0.3, 0.5]], [[0.7, 0.0], [-0.4, 0.5]], [[0.9, 0.0], [0.4, 0.7]]],
    )


@door
def bimodal() -> Mixture:
    """Two modes on ℝ with a shallow valley."""
    return _line([0.6, 0.4], [-1.0, 1.2], [0.4, 0.45])


@door
def valley() -> Mixture:
    """Two modes on ℝ so far apart that almost nothing lies between them: the hard case for small
    t.
    """
    return _line([0.5, 0.5], [-2.4, 2.4], [0.56, 0.56])


@door
def narrow() -> Mixture:
    """Three narrow modes on ℝ."""
    return _line([0.3, 0.4, 0.3], [-2.0, 0.0, 2.0], [0.42, 0.42, 0.42])


@door
def two_moons(n_components: int = 10, width: float = 0.25) -> Mixture:
    """Two interleaved half circles in ℝ², smoothed: `n_components` round bumps along them."""
    check_positive("width", width)
    n_upper = (n_components + 1) // 2
    place = float64(torch.arange(n_upper)) + 0.5
    angle = math.pi * place / n_upper
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1)
    centres = torch.cat([upper, -upper])[:n_components]
    return _bumps(1.2 * centres, 1.2 * width)


@door
def modes(
    dim: int,
    n_modes: int = 4,
    width: float = 0.5,
    spread: float = 1.0,
    seed: int = 0,
) -> Mixture:
    """`n_modes` round bumps of standard deviation `width` at random centres of variance `spread`²,
    on ℝ^dim.
    """
    check_positive("width", width)
    centres = normal_noise(generator_from(seed), n_modes, dim)
    return _bumps(spread * centres, width)


@door
def banana(bend: float = 0.7, width: float = 0.5) -> Transformed:
    """A Gaussian bent along a parabola: u = (v₁, width v₂ + bend (v₁² − 1)), v ~ N(0, I₂)."""

    def shear(v: Tensor, sign: float) -> Tensor:
        first = v[:, :1]
        parabola = sign * bend * (first.square() - 1)
        return beside(first, v[:, 1:] + parabola)

    covariance = float64([1.0, width**2]).diag()
    return Transformed(
        gaussian(2, covariance=covariance),
        forward=lambda v: shear(v, 1.0),
        inverse=lambda u: shear(u, -1.0),
        log_slopes=torch.zeros_like,
    )


@door
def student_t(df: float = 3.0, dim: int = 1) -> Density:
    """Student's t with ν = df, in `dim` independent coordinates."""
    return StudentT(df) if dim == 1 else Product([StudentT(df)] * dim)


@door
def cauchy(dim: int = 1) -> Density:
    """Student's t with ν = 1: no mean, and yet Theorem 1 holds at the rate γ."""
    return student_t(1.0, dim)


@door
def half_line(base: Density | None = None) -> Transformed:
    """A density on (0, ∞): exp of a draw from `base` (default: `skewed()`), zero on (−∞, 0]."""
    return Transformed(
        base or skewed(),
        forward=torch.exp,
        inverse=torch.log,
        log_slopes=lambda v: v,
        low=0.0,
    )


@door
def open_square(base: Density | None = None) -> Transformed:
    """A density on (0, 1)^r: Φ of a draw from `base` in each coordinate (default: a correlated
    Gaussian on ℝ²).
    """
    if base is None:
        base = gaussian(2, covariance=float64([[0.5, 0.2], [0.2, 0.4]]))
    edge = torch.finfo(torch.float64)

    def forward(v: Tensor) -> Tensor:
        # Rounding must not leave the open square.
        return torch.special.ndtr(v).clamp(edge.tiny, 1 - edge.eps)

    return Transformed(base, forward, torch.special.ndtri, log_phi, low=0.0, high=1.0)


@door
def uniform(lows: tuple[float, ...], highs: tuple[float, ...]) -> Transformed:
    """The uniform density on the open box with these corners.

    >>> uniform((0.0,), (4.0,)).log_prob(torch.ones(1, 1, dtype=torch.float64)).exp().item()
    0.25
    """
    low = float64(lows)
    high = float64(highs)
    if low.shape != high.shape or not (low < high).all():
        raise ValueError(
            f"uniform: expected low < high in every coordinate, got {lows} and {highs}"
        )

    width = high - low

    def forward(v: Tensor) -> Tensor:
        # Rounding must not leave the open box.
        share = torch.special.ndtr(v).clamp(1e-15, 1 - 1e-15)
        return low[: v.shape[1]] + width[: v.shape[1]] * share

    def inverse(u: Tensor) -> Tensor:
        share = (u - low[: u.shape[1]]) / width[: u.shape[1]]
        return torch.special.ndtri(share)

    def log_slopes(v: Tensor) -> Tensor:
        return width[: v.shape[1]].log() + log_phi(v)

    return _Boxed(gaussian(len(lows)), forward, inverse, log_slopes, low, high)


class _Boxed(Transformed):
    """The uniform density, with nodes spread evenly over its box."""

    @door
    def nodes(self, n: int, smooth: bool = False) -> Nodes:
        share = unit_lattice(n, self.dim)
        u = self.low + (self.high - self.low) * share
        return u, equal_weights(n)


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


@door
def density(name: str | Density, dim: int) -> Density:
    """The density called `name` on ℝ^dim; a `Density` is checked and passed through.

    Any dim: gaussian, modes, cauchy, student_t. dim 1: skewed, bimodal, valley, narrow, half_line.
    dim 2: skewed, two_moons, banana, open_square.

    Raises:
        ValueError: an unknown name for this dim, or a density of another dim.

    >>> density("bimodal", 1).dim
    1
    """
    if isinstance(name, Density):
        if name.dim != dim:
            raise ValueError(
                f"density: expected one on ℝ^{dim}, got one on ℝ^{name.dim}; match it to the "
                "manifold's r"
            )
        return name
    special = {1: _LINE, 2: _PLANE}.get(dim, {})
    check_choice("density", name, (*_ANY, *special))
    return special[name]() if name in special else _ANY[name](dim)
