"""A toy on a scale where γ means something, and what can be told of it before any training."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from sklearn.neighbors import kneighbors_graph
from torch import Tensor

from vaelab.manifolds import Manifold
from vaelab.toys.geodesic import geodesic_coordinates

# Share of the mass from which a map counts as one without folds.
SURE = 0.98
# Neighbours from which the slope of the geodesic coordinates is read.
NEAR = 30


def standardised(truth: Manifold, n_nodes: int = 2**14) -> Manifold:
    """The same manifold moved to mean 0 and scaled to a variance of 1 on average over the d
    coordinates.

    γ then has a scale: 1 is the error of the mean, and the PCA eigenvalues add up to d.

    >>> from vaelab import manifolds
    >>> line = standardised(manifolds.manifold("helix"))
    >>> round(float(line.expectation(lambda x: x.square().mean(1))), 6)
    1.0
    """
    u, w = truth.density.nodes(n_nodes)
    x = truth.embed(u)
    mean = w @ x
    scale = (w @ (x - mean).square().mean(1)).sqrt()
    old = truth.chart
    chart = dataclasses.replace(
        old,
        embed=lambda u: (old.embed(u) - mean) / scale,
        coordinates=lambda x: old.coordinates(x * scale + mean),
    )
    return Manifold(chart, truth.density)


def covariance(truth: Manifold, n_nodes: int = 2**14) -> Tensor:
    """Covariance of x ~ μ_gt by quadrature, shape (d, d); its eigenvalues say where γ has to
    start.
    """
    u, w = truth.density.nodes(n_nodes)
    away = truth.embed(u) - w @ truth.embed(u)
    return away.T @ (w[:, None] * away)


@dataclass(frozen=True)
class Outlook:
    """What can be told of a toy before it is trained; every share is of μ_gt's mass.

    Args:
        order: in which `train` is expected to keep r dimensions; None where neither is.
        upright: share on which the projection to the r largest principal directions keeps its
            orientation: 1 for a graph over a plane, less where the manifold folds over it.
        unrolled: the same share for the geodesic coordinates; NaN where they are not needed, or
            cannot be had.
        reason: in a sentence.
    """

    order: str | None
    upright: float
    unrolled: float
    reason: str


def explain(truth: Manifold, n: int = 4000, seed: int = 0) -> Outlook:
    """Whether training is expected to find r̂ = r, in which order, and why.

    A manifold that is a graph over its r leading principal directions is found by γ falling from
    above. One that winds, with a chart of r ≤ 3, is found in geodesic order, if that order unrolls
    it. A closed one has no code of r dimensions (N7).

    Args:
        truth: the toy, `standardised`.
        n: draws from which geodesic coordinates are found.
        seed: of the draws.

    >>> from vaelab import manifolds
    >>> explain(manifolds.manifold("helix")).order
    'geodesic'
    """
    upright = _share_upright(truth)
    if not truth.chart.simple:
        return Outlook(
            None, upright, math.nan, "it is closed: a diagonal encoder keeps more than r"
        )
    if upright > SURE:
        reason = "it is a graph over its r leading principal directions"
        return Outlook("variance", upright, math.nan, reason)
    if truth.r > 3:
        reason = "it winds, and r > 3 wants more points than a graph of neighbours can hold"
        return Outlook(None, upright, math.nan, reason)
    unrolled = _share_unrolled(truth, n, seed)
    if unrolled > SURE:
        return Outlook("geodesic", upright, unrolled, "it winds, and shortest paths unroll it")
    return Outlook(None, upright, unrolled, "it winds, and shortest paths do not unroll it")


def _share_upright(truth: Manifold) -> float:
    u, w = truth.density.nodes(2**14)
    directions = torch.linalg.eigh(covariance(truth)).eigenvectors[:, -truth.r :]
    turned = directions.T @ truth.jacobian(u)
    return _larger_share(torch.linalg.det(turned) > 0, w)


def _share_unrolled(truth: Manifold, n: int, seed: int) -> float:
    u = truth.density.sample(n, seed=seed)
    found = geodesic_coordinates(truth.embed(u), truth.r, seed=seed)
    near = torch.from_numpy(kneighbors_graph(u.numpy(), NEAR).indices).reshape(n, NEAR).long()
    slopes = torch.linalg.lstsq(
        u[near] - u[:, None], found.coordinates[near] - found.coordinates[:, None]
    ).solution
    return _larger_share(torch.linalg.det(slopes) > 0, torch.full((n,), 1 / n))


def _larger_share(positive: Tensor, w: Tensor) -> float:
    share = float(w[positive].sum() / w.sum())
    return max(share, 1 - share)
