"""A manifold with a density on it: the ground truth μ_gt of the theorems, everything known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab._door import check_fields, door
from vaelab._inputs import check_choice
from vaelab.manifolds.calculus import row_jacobian
from vaelab.manifolds.charts import CHARTS, Chart
from vaelab.manifolds.lattice import float64, generator_from, normal_noise
from vaelab.manifolds.mixture import Density
from vaelab.manifolds.named import density as named_density
from vaelab.manifolds.named import uniform
from vaelab.manifolds.sets import Region


@dataclass(frozen=True, eq=False)
class Manifold:
    """x = ψ(u) with u drawn from a density on ℝ^r: a probability measure μ_gt on an r-dimensional χ
    in ℝ^d.

    Args:
        chart: ψ and φ.
        density: of the coordinates u.

    >>> line = manifold("helix", "bimodal")
    >>> line.r, line.d, line.sample(5, seed=1).shape
    (1, 3, torch.Size([5, 3]))
    """

    chart: Chart
    density: Density

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def r(self) -> int:
        """Dimension of the manifold."""
        return self.chart.r

    @property
    def d(self) -> int:
        """Dimension of the space around it."""
        return self.chart.d

    def embed(self, u: Tensor) -> Tensor:
        """ψ: coordinates, shape (n, r), to points, shape (n, d)."""
        return self.chart.embed(u)

    def coordinates(self, x: Tensor) -> Tensor:
        """φ: points on the manifold, shape (n, d), to coordinates, shape (n, r)."""
        return self.chart.coordinates(x)

    @door
    def sample(
        self, n: int, seed: int | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n points x ~ μ_gt, shape (n, d), float64."""
        return self.embed(self.density.sample(n, seed, generator))

    def jacobian(self, u: Tensor) -> Tensor:
        """∂ψ/∂u, shape (n, d, r)."""
        return row_jacobian(self.embed, u)

    def log_volume(self, u: Tensor) -> Tensor:
        """½ log det JᵀJ, the log of the r-dimensional volume that a unit of u covers; shape
        (n,).
        """
        J = self.jacobian(u)
        if self.r == self.d:
            return torch.linalg.slogdet(J).logabsdet
        return torch.linalg.svdvals(J).log().sum(-1)

    @door
    def log_density(self, x: Tensor) -> Tensor:
        """log p̃_gt(x), the density of μ_gt with respect to r-dimensional volume at points x of the
        manifold; (n,).

        p̃_gt(x) = Σ p(u') / √det JᵀJ, over the coordinates u' of x (one of them where the manifold
        is simple).

        Source: Dai & Wipf (2019), Appendix F, the density behind μ_gt in Eq. 37.
        """
        preimages = self.chart.preimages(self.coordinates(x))
        u = preimages.reshape(-1, self.r)
        log_p = self.density.log_prob(u) - self.log_volume(u)
        return log_p.reshape(len(preimages), -1).logsumexp(0)

    @door
    def expectation(self, g: Callable[[Tensor], Tensor], n_nodes: int = 2**16) -> Tensor:
        """∫ g dμ_gt by quadrature, for g from points (n, d) to values (n,)."""
        u, w = self.density.nodes(n_nodes)
        return (w * g(self.embed(u))).sum()

    @door
    def entropy(self, n_nodes: int = 2**14) -> float:
        """H(μ_gt) = −∫ log p̃_gt dμ_gt in nats, for r-dimensional volume, by quadrature."""
        u, w = self.density.nodes_inside(n_nodes)
        if self.chart.simple:
            surprise = self.log_volume(u) - self.density.log_prob(u)
        else:
            surprise = -self.log_density(self.embed(u))
        return float((w * surprise).sum())

    @door
    def mass(self, region: Region, n_nodes: int = 2**18) -> float:
        """μ_gt(A), for r = 1 to about 12 digits, from where the curve crosses the border of A.

        For r ≥ 2 by quadrature, whose error falls about as n_nodes^(−3/4): some 1e-5 to 5e-5 at the
        default.
        """
        if self.r == 1:
            return _mass_on_curve(self, region)
        return float(self.expectation(lambda x: region.contains(x).double(), n_nodes))

    @door
    def with_density(self, density: str | Density) -> Manifold:
        """The same χ with another measure on it."""
        return Manifold(self.chart, named_density(density, self.r))

    @door
    def rotated(self, seed: int = 0, rotation: Tensor | None = None) -> Manifold:
        """Turned by a rotation of ℝ^d, random unless given, so that no axis agrees with the
        manifold by luck.

        Raises:
            ValueError: `rotation` not an orthogonal d×d matrix.
        """
        d, chart = self.d, self.chart
        Q = float64(_random_rotation(d, seed) if rotation is None else rotation)
        eye = torch.eye(d, dtype=Q.dtype)
        if Q.shape != eye.shape or not torch.allclose(Q @ Q.T, eye, atol=1e-10):
            raise ValueError(
                f"rotation: expected an orthogonal matrix ({d}, {d}), got {tuple(Q.shape)}"
            )
        turned = dataclasses.replace(
            chart,
            name=f"{chart.name}, turned",
            embed=lambda u: chart.embed(u) @ Q.T,
            coordinates=lambda x: chart.coordinates(x @ Q),
        )
        return Manifold(turned, self.density)


def _random_rotation(d: int, seed: int) -> Tensor:
    Q, R = torch.linalg.qr(normal_noise(generator_from(seed), d, d))
    Q = Q * R.diagonal().sign()
    if torch.linalg.det(Q) < 0:
        Q[:, 0] = -Q[:, 0]
    return Q


def _mass_on_curve(curve: Manifold, region: Region, n_scan: int = 20_000) -> float:
    """Σ of differences of Φ(z) where the curve enters and leaves, found by bisection in z."""
    edges = torch.linspace(-9, 9, n_scan, dtype=torch.float64)

    def inside(z: Tensor) -> Tensor:
        u = curve.density.from_noise(z[:, None])
        return region.contains(curve.embed(u))

    flags = inside(edges)
    changes = flags[1:] != flags[:-1]
    at = changes.nonzero()[:, 0]
    low = edges[at]
    high = edges[at + 1]
    for _ in range(52):
        middle = 0.5 * (low + high)
        same = inside(middle) == flags[at]
        low = torch.where(same, middle, low)
        high = torch.where(same, high, middle)
    infinity = float64([torch.inf])
    borders = torch.cat([-infinity, low, infinity])
    state = torch.cat([flags[:1], flags[at + 1]])
    masses = torch.special.ndtr(borders).diff()
    return float((masses * state).sum())


@door
def manifold(
    chart: Chart | str, density: str | Density | None = None, **options: float
) -> Manifold:
    """A manifold by name, with a density by name: `manifold("helix", "bimodal")`.

    Args:
        chart: a `Chart`, or the name of a function of `vaelab.manifolds.charts`.
        density: a `Density` or a name known to `named.density`; by default `modes` on a simple
            manifold and the uniform density on the coordinates of a closed one.
        options: the chart's own arguments, such as `r=2, d=10, seed=3` for "smooth_graph".

    Raises:
        ValueError: an unknown name, or a density of another dimension.
    """
    if isinstance(chart, str):
        check_choice("chart", chart, CHARTS)
        return manifold(CHARTS[chart](**options), density)
    if density is None:
        density = uniform(*chart.cell) if chart.cell else "modes"
    return Manifold(chart, named_density(density, chart.r))
