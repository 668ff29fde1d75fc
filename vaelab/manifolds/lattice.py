"""Evenly spread points for quadrature, and random numbers from seeds, all in float64."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vaelab._arrays import as_tensor
from vaelab._door import door
from vaelab._inputs import check_draws, shown

Nodes = tuple[Tensor, Tensor]  # Points, shape (n, k), and their weights, shape (n,).
LOG_2_PI = math.log(2 * math.pi)


def float64(values: Any, name: str = "values") -> Tensor:
    """Numbers, an array or a tensor as a float64 tensor; infinite ones may be among them.

    Raises:
        TypeError, ValueError: what is no real number, none at all.
    """
    x = as_tensor(values, name)
    if x.is_complex() or not x.numel() or bool(x.isnan().any()):
        raise ValueError(f"{name}: expected real numbers without NaN, got {shown(values)}")
    return x.to(torch.float64)


def beside(*columns: Tensor) -> Tensor:
    """Tensors of shape (n, …) side by side."""
    return torch.cat(columns, 1)


def log_phi(z: Tensor) -> Tensor:
    """log N(z; 0, 1) of each entry, any shape."""
    return -0.5 * (z.square() + LOG_2_PI)


@door
def generator_from(
    seed: int | None = None, generator: torch.Generator | None = None
) -> torch.Generator:
    """The generator itself, or a new one with this seed; with neither, seed 0.

    Raises:
        ValueError: both given.
    """
    if generator is not None and seed is not None:
        raise ValueError("randomness: expected seed= or generator=, got both; pass one of them")
    return torch.Generator().manual_seed(seed or 0) if generator is None else generator


def normal_noise(generator: torch.Generator, *shape: int) -> Tensor:
    """Draws from N(0, 1) of the given shape."""
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


@door
def unit_lattice(n: int, dim: int) -> Tensor:
    """n evenly spread points of the unit cube (0, 1)^dim, shape (n, dim).

    The midpoint rule for dim = 1. Otherwise the Kronecker sequence frac(i α), α_j = ρ^(−j), where ρ
    > 1 solves ρ^(dim+1) = ρ + 1 (the golden ratio for dim 1, the plastic number for dim 2).

    >>> unit_lattice(2, 1).flatten().tolist()
    [0.25, 0.75]
    """
    check_draws("n", n, 2 * dim)
    i = float64(torch.arange(n))[:, None] + 0.5
    if dim == 1:
        return i / n
    rho = 2.0
    for _ in range(60):
        rho = (1 + rho) ** (1 / (dim + 1))
    j = float64(torch.arange(1, dim + 1))
    return torch.frac(0.5 + i * rho**-j)


@door
def normal_lattice(n: int, dim: int, smooth: bool = False) -> Nodes:
    """About n points z, shape (m, dim), with weights, shape (m,): Σ w g(z) ≈ E g(z) for z ~ N(0,
    I).

    For dim = 1, or with `smooth`, the trapezoidal rule on [−9, 9] in each coordinate, exact to
    rounding for any g that is smooth on the scale of a few steps. Else the lattice pushed through
    Φ⁻¹: its error for sets with smooth boundary falls about as n^(−3/4).
    """
    if dim == 1 or smooth:
        n_axis = max(8, round(n ** (1 / dim)))
        axis = 18 * unit_lattice(n_axis, 1)[:, 0] - 9
        z = grid(axis, dim)
        w = torch.exp(-0.5 * z.square().sum(1))
        return z, w / w.sum()
    z = torch.special.ndtri(unit_lattice(n, dim))
    return z, equal_weights(n)


def grid(axis: Tensor, dim: int) -> Tensor:
    """All points of ℝ^dim with coordinates from `axis`, shape (len(axis)^dim, dim)."""
    return torch.cartesian_prod(*[axis] * dim).reshape(-1, dim)


def equal_weights(n: int) -> Tensor:
    """1/n, n times."""
    return torch.full((n,), 1 / n, dtype=torch.float64)
