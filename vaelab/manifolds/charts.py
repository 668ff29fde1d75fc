"""Maps ψ = φ⁻¹ from coordinates u to points x, and the charts φ back.

Each function returns a `Chart`: r, d, ψ and φ. Those with one global chart are *simple* in the
sense of Dai & Wipf (2019), Section 2: φ is a diffeomorphism between the manifold and ℝ^r. Circle,
sphere, torus, Clifford torus and Möbius band are not; their φ picks one of several coordinates,
`preimages` lists them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import check_positive
from vaelab.manifolds.lattice import beside, generator_from, normal_noise

TURN = 2 * math.pi
_Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Chart:
    """Coordinates of a manifold χ in ℝ^d.

    Args:
        name: what a title calls it.
        r: dimension of χ.
        d: dimension of the space around it.
        embed: ψ, coordinates (n, r) to points (n, d).
        coordinates: φ, points (n, d) to coordinates (n, r).
        isometric: whether ψ is a rotation of ℝ^r itself (r = d), under which N(0, γ I) keeps its
            form.
        preimages: every u' with ψ(u') = ψ(u) near enough to matter, (n, r) to (m, n, r); for closed
            manifolds.
        cell: corners of one cell of coordinates, on which the uniform density stands by default,
            for manifolds without a global chart.
    """

    name: str
    r: int
    d: int
    embed: _Map
    coordinates: _Map
    isometric: bool = False
    preimages: _Map = lambda u: u[None]
    cell: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def simple(self) -> bool:
        """Whether φ is a global chart onto ℝ^r."""
        return self.cell is None


def _around(rho: Tensor | float, angle: Tensor, *rest: Tensor) -> Tensor:
    """(ρ cos angle, ρ sin angle, …), the columns side by side."""
    x = rho * angle.cos()
    y = rho * angle.sin()
    return beside(x, y, *rest)


def _by_columns(f: Callable[..., Tensor]) -> _Map:
    """A map of points (n, k) from one of their k columns."""
    return lambda points: f(*points.split(1, 1))


def _turned(x: Tensor, y: Tensor) -> Tensor:
    """The angle of (x, y) in [0, 2π)."""
    return torch.atan2(y, x) % TURN


def _squeeze(u: Tensor, reach: float) -> Tensor:
    """reach · u / √(1 + u²): ℝ onto (−reach, reach)."""
    return reach * u / (1 + u.square()).sqrt()


def _stretch(s: Tensor, scale: float = 1.0) -> Tensor:
    """scale · s / √(1 − s²): (−1, 1) onto ℝ."""
    left = (1 - s) * (1 + s)
    return scale * s / left.clamp_min(1e-300).sqrt()


@door
def flat(r: int) -> Chart:
    """ℝ^r itself: r = d, the setting of Theorem 1."""
    return Chart(
        f"flat r={r}",
        r,
        r,
        embed=lambda u: u,
        coordinates=lambda x: x,
        isometric=True,
    )


@door
def sine_curve(frequency: float = 2.0, height: float = 1.0) -> Chart:
    """The graph x = (u, height sin(frequency u)): r = 1, d = 2."""
    return Chart(
        "sine curve",
        1,
        2,
        embed=lambda u: beside(u, height * torch.sin(frequency * u)),
        coordinates=lambda x: x[:, :1],
    )


@door
def arc(radius: float = 1.0, opening: float = 1.5 * math.pi) -> Chart:
    """An open arc of a circle, `opening` radians long: angle = ½ opening · u / √(1 + u²).

    r = 1, d = 2.
    """
    check_positive("radius", radius)
    if not 0 < opening < TURN:
        raise ValueError(
            f"opening: expected an angle in (0, 2π), got {opening}; a whole circle has no global "
            "chart"
        )
    half = 0.5 * opening

    def embed(u: Tensor) -> Tensor:
        angle = _squeeze(u, half)
        return radius * beside(angle.sin(), angle.cos())

    def coordinates(x: Tensor) -> Tensor:
        angle = torch.atan2(x[:, :1], x[:, 1:])
        return _stretch(angle / half)

    return Chart("open arc", 1, 2, embed, coordinates)


@door
def helix(pitch: float = 0.4, turns: float = 1.5) -> Chart:
    """x = (cos ωu, sin ωu, pitch · u), ω = turns: r = 1, d = 3."""
    check_positive("pitch", pitch)
    return Chart(
        "helix",
        1,
        3,
        embed=lambda u: _around(1.0, turns * u, pitch * u),
        coordinates=lambda x: x[:, 2:] / pitch,
    )


@door
def graph_surface(bend: float = 0.5) -> Chart:
    """A saddle with ripples, x = (u₁, u₂, bend (u₁² − u₂²)/2 + bend sin 2u₁ cos u₂).

    r = 2, d = 3.
    """

    def embed(u: Tensor) -> Tensor:
        a, b = u.split(1, 1)
        saddle = 0.5 * (a.square() - b.square())
        ripples = torch.sin(2 * a) * torch.cos(b)
        return beside(u, bend * (saddle + ripples))

    return Chart("graph surface", 2, 3, embed, lambda x: x[:, :2])


@door
def swiss_roll(tightness: float = 0.12, inner: float = 0.3) -> Chart:
    """A rolled-up sheet: angle θ = 1.5π + 3u₁/√(1 + (u₁/4)²), radius inner + tightness θ, height
    u₂; r = 2, d = 3.

    The angle stays in an interval where the radius is positive, so that every (u₁, u₂) in ℝ² has
    its own point. The chart reads θ off the radius.
    """
    check_positive("tightness", tightness)
    middle = 4.5 * math.pi
    reach = 12.0

    def embed(u: Tensor) -> Tensor:
        theta = middle + _squeeze(u[:, :1] / reach * 3, reach)
        radius = inner + tightness * theta
        return _around(radius, theta, u[:, 1:])[:, [0, 2, 1]]

    def coordinates(x: Tensor) -> Tensor:
        radius = x[:, ::2].norm(dim=1, keepdim=True)
        theta = (radius - inner) / tightness
        share = (theta - middle) / reach
        return beside(_stretch(share, reach / 3), x[:, 1:2])

    return Chart("Swiss roll", 2, 3, embed, coordinates)


@door
def smooth_graph(
    r: int,
    d: int,
    seed: int = 0,
    bend: float = 1.0,
    frequency: float = 1.0,
) -> Chart:
    """A random smooth r-dimensional graph in ℝ^d: x = A u + B sin(W u + b), AᵀA = I, and B made
    orthogonal to A.

    Because AᵀB = 0, u = Aᵀx: the map is an embedding whatever the draw.

    Args:
        r: dimension of the manifold.
        d: dimension of the space, ≥ r.
        seed: of A, B, W and b.
        bend: how steep the waves are beside the plane A u, root mean square, at frequency 1.
        frequency: radians of a wave to a unit of length, root mean square. Both mean the same for
            every r and d.

    Raises:
        ValueError: d < r.

    >>> u = torch.ones(1, 2, dtype=torch.float64)
    >>> chart = smooth_graph(2, 5)
    >>> torch.allclose(chart.coordinates(chart.embed(u)), u)
    True
    """
    if d < r:
        raise ValueError(
            f"smooth_graph: expected d ≥ r, got r = {r}, d = {d}; no manifold is larger than its "
            "space"
        )
    generator = generator_from(seed)
    waves = 2 * r + 2
    A = torch.linalg.qr(normal_noise(generator, d, r)).Q
    B = normal_noise(generator, d, waves)
    steepness = bend * math.sqrt(2 * r / (waves * max(d - r, 1)))
    B = steepness * (B - A @ (A.T @ B))
    W = frequency / math.sqrt(r) * normal_noise(generator, waves, r)
    b = TURN * torch.rand(waves, dtype=torch.float64, generator=generator)

    return Chart(
        f"smooth graph r={r} d={d}",
        r,
        d,
        embed=lambda u: u @ A.T + torch.sin(u @ W.T + b) @ B.T,
        coordinates=lambda x: x @ A,
    )


def _closed(
    name: str,
    d: int,
    embed: Callable[..., Tensor],
    coordinates: Callable[..., Tensor],
    cell: tuple[tuple[float, ...], tuple[float, ...]],
    flip: bool = False,
) -> Chart:
    """A manifold without a global chart, its coordinates in one cell.

    Coordinates that reach 2π are angles: a point has preimages with 2πk added to them, k = −3..3.
    With `flip`, odd k changes the sign of the second coordinate.

    Args:
        name: what a title calls it.
        d: dimension of the space around it.
        embed: ψ, from the columns of u.
        coordinates: φ, from the columns of x.
        cell: its corners.
        flip: for a band that comes back upside down.
    """
    none = torch.zeros(1, dtype=torch.long)
    turns = [torch.arange(-3, 4) if end == TURN else none for end in cell[1]]
    ks = torch.cartesian_prod(*turns).reshape(-1, 1, len(turns))

    def preimages(u: Tensor) -> Tensor:
        turned = u + TURN * ks.to(u)
        if flip:
            turned[..., 1] *= (-1.0) ** ks[..., 0]
        return turned

    return Chart(
        name,
        r=len(turns),
        d=d,
        embed=_by_columns(embed),
        coordinates=_by_columns(coordinates),
        preimages=preimages,
        cell=cell,
    )


@door
def circle(radius: float = 1.0) -> Chart:
    """radius · (cos u, sin u): r = 1, d = 2, no global chart."""
    check_positive("radius", radius)
    return _closed(
        "circle",
        2,
        embed=lambda a: _around(radius, a),
        coordinates=_turned,
        cell=((0.0,), (TURN,)),
    )


@door
def sphere(radius: float = 1.0) -> Chart:
    """radius · (√(1−h²) cos a, √(1−h²) sin a, h), u = (a, h), −1 < h < 1: r = 2, d = 3.

    Uniform in u is uniform in area (Archimedes).
    """
    check_positive("radius", radius)

    def embed(a: Tensor, h: Tensor) -> Tensor:
        square = (1 - h) * (1 + h)
        return radius * _around(square.clamp_min(0).sqrt(), a, h)

    return _closed(
        "sphere",
        3,
        embed,
        coordinates=lambda x, y, z: beside(_turned(x, y), z / radius),
        cell=((0.0, -1.0), (TURN, 1.0)),
    )


@door
def torus(major: float = 1.0, minor: float = 0.4) -> Chart:
    """A doughnut in ℝ³, u = (a, b) two angles: r = 2, d = 3."""
    check_positive("minor", minor)
    if not major > minor:
        raise ValueError(
            f"torus: expected major > minor, got {major} and {minor}; otherwise it meets itself"
        )
    return _closed(
        "torus",
        3,
        embed=lambda a, b: _around(major + minor * b.cos(), a, minor * b.sin()),
        coordinates=lambda x, y, z: beside(_turned(x, y), _turned(torch.hypot(x, y) - major, z)),
        cell=((0.0, 0.0), (TURN, TURN)),
    )


@door
def clifford_torus() -> Chart:
    """The flat torus (cos a, sin a, cos b, sin b): r = 2, d = 4."""
    return _closed(
        "Clifford torus",
        4,
        embed=lambda a, b: _around(1.0, a, _around(1.0, b)),
        coordinates=lambda x, y, z, w: beside(_turned(x, y), _turned(z, w)),
        cell=((0.0, 0.0), (TURN, TURN)),
    )


@door
def moebius_band(half_width: float = 0.4) -> Chart:
    """((1 + w cos ½a) cos a, (1 + w cos ½a) sin a, w sin ½a), |w| < half_width < 1: r = 2, d = 3.

    u = (a, w).
    """
    if not 0 < half_width < 1:
        raise ValueError(
            f"half_width: expected a number in (0, 1), got {half_width}; a wider band meets itself"
        )

    def embed(a: Tensor, w: Tensor) -> Tensor:
        half = 0.5 * a
        return _around(1 + w * half.cos(), a, w * half.sin())

    def coordinates(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        a = _turned(x, y)
        half = 0.5 * a
        width = (torch.hypot(x, y) - 1) * half.cos() + z * half.sin()
        return beside(a, width)

    return _closed(
        "Möbius band",
        3,
        embed,
        coordinates,
        cell=((0.0, -half_width), (TURN, half_width)),
        flip=True,
    )


SIMPLE = ("flat", "sine_curve", "arc", "helix", "graph_surface", "swiss_roll", "smooth_graph")
CLOSED = ("circle", "sphere", "torus", "clifford_torus", "moebius_band")
CHARTS = {name: globals()[name] for name in SIMPLE + CLOSED}
