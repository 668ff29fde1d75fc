"""Densities that are not mixtures: heavy tails, independent coordinates, and triangular maps of
another density.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import special
from torch import Tensor

from vaelab._door import check_fields, door
from vaelab._inputs import check_positive
from vaelab.manifolds.lattice import Nodes, beside, float64
from vaelab.manifolds.mixture import Conditionals, Density, log_ndtr


class _StudentLogCdf(torch.autograd.Function):
    """log F of Student's t, differentiable as often as wanted; both tails by symmetry."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, df: float) -> Tensor:
        ctx.save_for_backward(t)
        ctx.df = df
        square = t.detach().numpy() ** 2
        half = 0.5 * df
        # Both are 2 (1 − F(|t|)): the first exact in the tail, the second at the centre.
        far = special.betainc(half, 0.5, df / (df + square))
        near = 1 - special.betainc(0.5, half, square / (df + square))
        both = np.where(square < df, near, far)
        tail = 0.5 * torch.from_numpy(both)
        return torch.where(t < 0, tail.log(), torch.log1p(-tail))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (t,) = ctx.saved_tensors
        log_slope = _student_log_prob(t, ctx.df) - _student_log_cdf(t, ctx.df)
        return grads[0] * log_slope.exp(), None


_student_log_cdf = _StudentLogCdf.apply


def _student_log_prob(t: Tensor, df: float) -> Tensor:
    half = 0.5 * (df + 1)
    constant = math.lgamma(half) - math.lgamma(0.5 * df) - 0.5 * math.log(df * math.pi)
    return constant - half * torch.log1p(t.square() / df)


@dataclass(frozen=True)
class StudentT(Density):
    """Student's t on ℝ; ν = 1 is Cauchy. Heavy tails for which Theorem 1 still holds at the rate γ.

    Args:
        df: ν > 0.
        loc: centre.
        scale: > 0.

    >>> p = StudentT(1.0).log_prob(torch.zeros(1, 1, dtype=torch.float64)).exp().item()
    >>> round(math.pi * p, 12)
    1.0
    """

    df: float = 3.0
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        check_positive("df", self.df)
        check_positive("scale", self.scale)

    @property
    def dim(self) -> int:
        """1."""
        return 1

    def conditionals(self, u: Tensor) -> Conditionals:
        t = (u - self.loc) / self.scale
        log_p = _student_log_prob(t, self.df) - math.log(self.scale)
        log_cdf = _student_log_cdf(t, self.df)
        log_sf = _student_log_cdf(-t, self.df)
        return log_p, log_cdf, log_sf

    def quantile(self, z: Tensor, before: Tensor) -> Tensor:
        lower = -z.abs()
        share = special.ndtr(lower.numpy())
        t = torch.from_numpy(special.stdtrit(self.df, share))
        for _ in range(2):  # Newton's method on log F polishes the last digits.
            log_f = _student_log_cdf(t, self.df)
            log_slope = _student_log_prob(t, self.df)
            miss = log_f - log_ndtr(lower)
            t = t - miss * (log_f - log_slope).exp()
        return self.loc - self.scale * torch.where(z > 0, t, -t)


@dataclass(frozen=True)
class Product(Density):
    """Independent coordinates, each with its own density on ℝ.

    Args:
        parts: densities with dim 1.
    """

    parts: Sequence[Density]

    def __post_init__(self) -> None:
        check_fields(self)
        wrong = [part.dim for part in self.parts if part.dim != 1]
        if wrong or not self.parts:
            dims = wrong or "none"
            raise ValueError(f"parts: expected one or more densities on ℝ (dim 1), got dims {dims}")

    @property
    def dim(self) -> int:
        """r."""
        return len(self.parts)

    def _columns(self, u: Tensor) -> Iterator[tuple[Density, Tensor]]:
        return zip(self.parts, u.split(1, 1), strict=False)

    def conditionals(self, u: Tensor) -> Conditionals:
        columns = [part.conditionals(column) for part, column in self._columns(u)]
        log_p, log_cdf, log_sf = map(beside, *columns)
        return log_p, log_cdf, log_sf

    def quantile(self, z: Tensor, before: Tensor) -> Tensor:
        part = self.parts[before.shape[1]]
        return part.quantile(z, before[:, :0])

    def sample_with(self, n: int, generator: torch.Generator) -> Tensor:
        columns = [part.sample_with(n, generator) for part in self.parts]
        return beside(*columns)

    def contains(self, u: Tensor) -> Tensor:
        inside = [part.contains(column) for part, column in self._columns(u)]
        return torch.stack(inside).all(0)


@dataclass(frozen=True)
class Transformed(Density):
    """The density of T(v), v from `base`, for T triangular and increasing: T_i depends on v_1..v_i
    and rises in v_i.

    Such maps keep the Rosenblatt map simple: log F_i(u) is the base's at T⁻¹(u).

    Args:
        base: density of v.
        forward: T, (n, i) to (n, i) for every i ≤ r.
        inverse: T⁻¹.
        log_slopes: v to log ∂T_i / ∂v_i, shape (n, i).
        low: the support is {u : low_i < u_i < high_i for every i}, before any shear: a number for
            all coordinates, or one for each.
        high: see `low`.
    """

    base: Density
    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    log_slopes: Callable[[Tensor], Tensor]
    low: float | Tensor = -math.inf
    high: float | Tensor = math.inf

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def dim(self) -> int:
        """r."""
        return self.base.dim

    def contains(self, u: Tensor) -> Tensor:
        ends = float64(self.low), float64(self.high)
        low, high = (end.expand(self.dim)[: u.shape[1]] for end in ends)
        inside = (u > low) & (u < high)
        return inside.all(1)

    def conditionals(self, u: Tensor) -> Conditionals:
        v = self.inverse(u)
        log_p, log_cdf, log_sf = self.base.conditionals(v)
        return log_p - self.log_slopes(v), log_cdf, log_sf

    def _log_prob_inside(self, u: Tensor) -> Tensor:
        v = self.inverse(u)
        return self.base.log_prob(v) - self.log_slopes(v).sum(-1)

    def quantile(self, z: Tensor, before: Tensor) -> Tensor:
        v = self.inverse(before) if before.shape[1] else before
        following = self.base.quantile(z, v)
        u = self.forward(beside(v, following[:, None]))
        return u[:, -1]

    def sample_with(self, n: int, generator: torch.Generator) -> Tensor:
        return self.forward(self.base.sample_with(n, generator))

    @door
    def nodes(self, n: int, smooth: bool = False) -> Nodes:
        v, w = self.base.nodes(n, smooth)
        return self.forward(v), w
