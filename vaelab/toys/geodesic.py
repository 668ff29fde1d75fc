"""Coordinates along a data manifold from the data alone, and a start for training that knows them.

A curve that winds is laid on a line in pieces by a VAE trained from scratch, and the pieces cannot
pass one another later. Started in the order along the curve, it keeps one dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import KDTree
from sklearn.neighbors import kneighbors_graph
from torch import Tensor, nn

from vaelab import posteriors
from vaelab._door import door
from vaelab._processes import Generator, draw
from vaelab.likelihoods import Likelihood
from vaelab.manifolds import Manifold
from vaelab.models import Autoencoder
from vaelab.training import Cosine, Plan, Session, fit_together

# Adam's: gradients grow as γ falls, and a longer memory of their squares lets steps run away.
BETAS = (0.9, 0.99)
# Points of a graph: dense enough for the turns of the named manifolds, and a second's work.
N_POINTS = 8000
# An edge this many times the median distance to the last neighbour cuts across a gap.
CUT = 3.0
# Starts of a seed by width, of which the cheapest goes on: a line can be met in one order alone.
STARTS = {1: 1, 2: 2, 3: 2}
QUIET = Session(device="cpu", progress=False)
# Some 1500 steps; the points are met two dozen times.
PLAN = Plan(epochs=24, batch_size=128, lr=5e-3, schedule=Cosine(), betas=BETAS)
# A code is held to its coordinate no more sharply than by this variance.
SHARPEST = 1e-3


@dataclass(frozen=True, eq=False)
class GeodesicCoordinates:
    """Where points lie along their manifold.

    Args:
        coordinates: of every point, by falling spread, mean 0, shape (n, dim).
        spectrum: the largest eigenvalues of the scaling, up to ten, falling: how far the manifold
            extends in each direction, squared. A flat manifold of dimension r has r that count.
        n_joined: pieces that the graph without its long edges had fallen into, less one.
    """

    coordinates: Tensor
    spectrum: Tensor
    n_joined: int


@door
def geodesic_coordinates(
    x: Tensor,
    dim: int,
    neighbours: int = 10,
    landmarks: int = 400,
    seed: int = 0,
    cut: float = CUT,
) -> GeodesicCoordinates:
    """Coordinates along the manifold that points lie on, by shortest paths between neighbours.

    Each point is joined to its nearest neighbours, long edges are cut, the pieces are joined again
    by a minimum spanning tree, which adds no cycle and so no short circuit, and classical scaling
    lays the shortest paths from the landmarks out on a plane.

    Source: Tenenbaum, de Silva & Langford (2000), with the landmarks of de Silva & Tenenbaum
    (2004); the cut and the joining are ours.

    Args:
        x: points, shape (n, d), n ≥ 1000.
        dim: how many coordinates, at most 3: the scaling of more wants far more points.
        neighbours: of each point.
        landmarks: from how many points shortest paths are followed.
        seed: which points they are.
        cut: edges longer than this many times the median distance to the last neighbour are left
            out; `math.inf` keeps all.

    Raises:
        ValueError: too few points, another shape, more than three coordinates.

    >>> t = torch.linspace(0, 9, 1000)
    >>> found = geodesic_coordinates(torch.stack([t.cos(), t.sin(), 0.2 * t], 1), dim=1)
    >>> abs(float(torch.corrcoef(torch.stack([found.coordinates[:, 0], t]))[0, 1])) > 0.999
    True
    """
    if x.ndim != 2 or len(x) < 1000:
        raise ValueError(f"x: expected at least 1000 points (n, d), got {tuple(x.shape)}")
    if dim > 3:
        raise ValueError(f"dim: expected at most 3 geodesic coordinates, got {dim}")
    graph, n_joined = _graph(x.double().cpu().numpy(), neighbours, cut)
    n = min(landmarks, len(x))
    chosen = np.random.default_rng(seed).choice(len(x), n, replace=False)
    paths = torch.from_numpy(csgraph.dijkstra(graph, directed=False, indices=chosen))
    coordinates, spectrum = _scaling(paths.square(), torch.from_numpy(chosen), dim)
    return GeodesicCoordinates(coordinates, spectrum, n_joined)


def _graph(x: np.ndarray, neighbours: int, cut: float) -> tuple[sparse.csr_array, int]:
    """Distances to the neighbours without the long ones, the pieces joined; and how many joins."""
    near = sparse.csr_array(kneighbors_graph(x, neighbours, mode="distance"))
    near.data[near.data > cut * np.median(near.max(axis=1).toarray())] = 0
    near.eliminate_zeros()
    pieces, piece = csgraph.connected_components(near, directed=False)
    n_joined = pieces - 1
    for _ in range(n_joined):
        near = near + _shortest_bridge(piece == piece[0], x)
        _, piece = csgraph.connected_components(near, directed=False)
    return near, n_joined


def _shortest_bridge(is_inside: np.ndarray, x: np.ndarray) -> sparse.csr_array:
    """The shortest edge that leaves some of the points."""
    inside = np.flatnonzero(is_inside)
    outside = np.flatnonzero(~is_inside)
    lengths, nearest = KDTree(x[inside]).query(x[outside])
    k = int(lengths.argmin())
    ends = ([inside[np.asarray(nearest)[k]]], [outside[k]])
    return sparse.csr_array((lengths[[k]], ends), shape=(len(x), len(x)))


def _scaling(squared: Tensor, chosen: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Landmark scaling of squared distances (landmarks, n): coordinates (n, dim), the spectrum."""
    among = squared[:, chosen]
    mean = among.mean(1, keepdim=True)
    centred = -0.5 * (among - mean - mean.T + among.mean())
    values, vectors = torch.linalg.eigh(centred)
    values, vectors = values.flip(0), vectors.flip(1)
    inverse = vectors[:, :dim] / values[:dim].sqrt()
    coordinates = -0.5 * (squared - mean).T @ inverse
    return coordinates - coordinates.mean(0), values[:10] / len(chosen)


def scaled(coordinates: Tensor) -> Tensor:
    """The coordinates as normal scores, spread as N(0, I) is. A curve's, divided by its deviation
    instead, ends up to four times as far from the certified optimum (helix), or as far (arc).
    """
    ranks = coordinates.argsort(0).argsort(0).to(coordinates)
    return torch.special.ndtri((ranks + 0.5) / len(coordinates))


class Anchored(nn.Module):
    """A VAE whose code is held at a given coordinate: the decoder sees the coordinate with the
    encoder's noise, and the encoder's mean is drawn to it.

    A row is a point with its coordinate behind it, (d + m).
    """

    rows_alone = True  # Whether a row's terms depend on no other row.
    draws = 1

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = model
        self.d = model.image_shape[0]
        self.image_shape = (self.d + model.latent_dim,)

    @property
    def likelihood(self) -> Likelihood:
        """The model's."""
        return self.model.likelihood

    def loss_terms(self, rows: Tensor, generator: Generator = None) -> dict[str, Tensor]:
        """The terms of the objective by name: nats, shape (batch,)."""
        x, c = rows[:, : self.d], rows[:, self.d :]
        q = self.model.encode(x)
        noise = q.at(draw(torch.randn, c.shape, generator, c)) - q.mean
        variance = q.covariance().diagonal(dim1=1, dim2=2)
        kl = cast(Tensor, q.kl_to_standard_normal()) - 0.5 * q.mean.square().sum(1)
        away = (q.mean - c).square() / variance.detach().clamp(min=SHARPEST)
        nll = self.likelihood.nll(x, self.model.decode(c + noise))
        return {"nll": nll, "kl_of_covariance": kl, "anchor": 0.5 * away.sum(1)}

    forward = loss_terms


def anchored(
    truth: Manifold,
    make: Callable[[int, int], list[Autoencoder]],
    widths: Sequence[int],
    n_seeds: int,
    neighbours: int,
    seed: int,
) -> list[list[Autoencoder]]:
    """For each width, models whose codes lie in the order of the data, one a seed: the cheapest of
    its starts.

    Args:
        truth: what to learn.
        make: of a width and a number, so many untrained models.
        widths: numbers of latent dimensions, at most 3.
        n_seeds: models of each width.
        neighbours: as for `geodesic_coordinates`.
        seed: of data, landmarks and noise.
    """
    x = truth.sample(N_POINTS, seed=seed)
    along = geodesic_coordinates(x, max(widths), neighbours, seed=seed).coordinates
    groups = []
    for m in widths:
        rows = torch.cat([x, scaled(along[:, :m]).to(x)], 1)
        held = [Anchored(model) for model in make(m, n_seeds * STARTS[m])]
        seeds = [seed + s for s in range(len(held))]
        runs = fit_together(held, rows, PLAN, QUIET, seeds=seeds)
        costs = torch.tensor([run.history["loss"][-1] for run in runs]).reshape(-1, n_seeds)
        best = costs.argmin(0).tolist()
        groups.append([held[start * n_seeds + s].model for s, start in enumerate(best)])
    return groups


@door
@torch.no_grad()
def widen(narrow: Autoencoder, wide: Autoencoder) -> Autoencoder:
    """Put a model's weights into one with more latent dimensions, the added ones at the prior: q is
    N(0, 1) there, and the decoder does not look.

    Args:
        narrow: of `members`, m latent dimensions.
        wide: of the same networks with κ ≥ m.
    """
    m, k = narrow.latent_dim, wide.latent_dim
    full = isinstance(narrow.posterior, posteriors.FullGaussian)
    pairs = torch.arange(m * (m - 1) // 2 if full else 0)  # Row by row below the diagonal.
    head = torch.cat([torch.arange(m), k + torch.arange(m), 2 * k + pairs])
    tensors = wide.state_dict()
    for name, value in narrow.state_dict().items():
        kept = tensors[name].zero_()
        if name.startswith("posterior.parameters_of_q"):
            kept[head] = value
        else:
            kept[tuple(slice(n) for n in value.shape)] = value
    return wide
