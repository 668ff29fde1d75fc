"""A toy on a scale where γ means something, and what can be told of it before any training."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import kneighbors_graph
from torch import Tensor

from vaelab._door import door
from vaelab.manifolds import Manifold
from vaelab.toys.geodesic import geodesic_coordinates

# Share of the mass from which a map counts as one without folds.
SURE = 0.98
# Neighbours from which the slope of the geodesic coordinates is read, …
NEAR = 30
# … and those in a shadow that must be neighbours on the manifold.
NEXT = 5
# Points this share of the data's radius apart are of one piece.
GAP = 0.5
# A chart's slope below this share of its median is a point without one.
SLOPELESS = 1e-3


@door
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


@door
def covariance(truth: Manifold, n_nodes: int = 2**14) -> Tensor:
    """Covariance of x ~ μ_gt by quadrature, shape (d, d); its eigenvalues say where γ has to
    start.
    """
    u, w = truth.density.nodes(n_nodes)
    x = truth.embed(u)
    away = x - w @ x
    return away.T @ (w[:, None] * away)


@dataclass(frozen=True)
class Outlook:
    """What can be told of a toy before it is trained; every share is of μ_gt's mass.

    Args:
        order: in which `train` is expected to keep r dimensions; None where neither is.
        upright: share on which the projection to the r largest principal directions keeps its
            orientation and meets no other part of the manifold: 1 for a graph over a plane, less
            where the manifold folds or winds over it.
        unrolled: the same share for the geodesic coordinates; NaN where they are not needed, or
            cannot be had.
        reason: in a sentence.
        apart: share of the data's second largest piece, where they fall into several.
    """

    order: str | None
    upright: float
    unrolled: float
    reason: str
    apart: float = math.nan


@door
def explain(truth: Manifold, n: int = 4000, seed: int = 0) -> Outlook:
    """Whether training is expected to find r̂ = r, in which order, and why.

    A manifold that is a graph over its r leading principal directions is found by γ falling from
    above. One that winds, with a chart of r ≤ 3, is found in geodesic order, if that order unrolls
    it. Neither is expected of a closed one, which has no code of r dimensions (N7), of data in
    pieces far apart, which a curved manifold lets tell by a dimension of their own, nor of a chart
    that has no slope somewhere, such as a cusp, where Eq. 83 has no limit.

    Args:
        truth: the toy, `standardised`.
        n: draws from which shadow, pieces and geodesic coordinates are judged.
        seed: of the draws.

    >>> from vaelab import manifolds
    >>> explain(manifolds.manifold("helix")).order
    'geodesic'
    """
    unrolled = math.nan
    if not truth.chart.simple:
        reason = "it is closed: a diagonal encoder keeps more than r"
        return Outlook(None, math.nan, unrolled, reason)
    if _has_a_cusp(truth):
        reason = "its chart has no slope somewhere, as at a cusp"
        return Outlook(None, math.nan, unrolled, reason)
    u = truth.density.sample(n, seed=seed)
    upright, apart = _share_upright(truth, u), _share_of_second_piece(truth.embed(u))
    order, reason = None, "it winds, and shortest paths do not unroll it"
    if apart > 1 - SURE:
        reason = "the data fall into pieces, which training may tell by a dimension of their own"
    elif upright > SURE:
        order, reason = "variance", "it is a graph over its r leading principal directions"
    elif truth.r > 3:
        reason = "it winds, and r > 3 wants more points than a graph of neighbours can hold"
    else:
        unrolled = _share_unrolled(truth, u, seed)
        if unrolled > SURE:
            order, reason = "geodesic", "it winds, and shortest paths unroll it"
    return Outlook(order, upright, unrolled, reason, apart)


def _has_a_cusp(truth: Manifold) -> bool:
    u, _ = truth.density.nodes(2**14)
    slope = torch.linalg.svdvals(truth.jacobian(u))[:, -1]
    return bool(slope.min() < SLOPELESS * slope.median())


def _share_of_second_piece(x: Tensor) -> float:
    x = x[:1000]
    radius = GAP * (x - x.mean(0)).square().sum(1).mean().sqrt()
    _, piece = connected_components((torch.cdist(x, x) < radius).numpy())
    sizes = np.sort(np.bincount(piece))[::-1]
    return float(sizes[1:2].sum() / len(x))


def _neighbours(points: Tensor, k: int) -> Tensor:
    """Indices of the k nearest points of each, shape (n, k)."""
    return torch.from_numpy(kneighbors_graph(points.numpy(), k).indices).reshape(-1, k).long()


def _share_upright(truth: Manifold, u: Tensor) -> float:
    """Neighbours in the shadow are as far from each other as the slope at a point says, unless they
    lie on another part of the manifold, ten times as far or farther.
    """
    directions = torch.linalg.eigh(covariance(truth)).eigenvectors[:, -truth.r :]
    turned = directions.T @ truth.jacobian(u)
    shadow = truth.embed(u) @ directions
    near = _neighbours(shadow, NEXT)
    expected = (turned[:, None] @ (u[near] - u[:, None])[..., None])[..., 0].norm(dim=2)
    is_beside = (expected < 10 * (shadow[near] - shadow[:, None]).norm(dim=2)).all(1)
    return min(_larger_share(torch.linalg.det(turned) > 0), float(is_beside.double().mean()))


def _share_unrolled(truth: Manifold, u: Tensor, seed: int) -> float:
    found = geodesic_coordinates(truth.embed(u), truth.r, seed=seed).coordinates
    near = _neighbours(u, NEAR)
    slopes = torch.linalg.lstsq(u[near] - u[:, None], found[near] - found[:, None]).solution
    return _larger_share(torch.linalg.det(slopes) > 0)


def _larger_share(positive: Tensor) -> float:
    share = float(positive.double().mean())
    return max(share, 1 - share)
