"""Gauss–Hermite quadrature against N(0, I)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from vaelab._door import door
from vaelab.manifolds.lattice import Nodes, grid

DEFAULT_NODES = {1: 100, 2: 20, 3: 10, 4: 8}


@door
@lru_cache(maxsize=32)
def hermite(dim: int, n_nodes: int | None = None) -> Nodes:
    """Nodes w, shape (n_nodes^dim, dim), and weights p, shape (n_nodes^dim,), for w ~ N(0, I):
    Σ p g(w) = E g(w).

    Exact for polynomials of degree < 2 n_nodes in each coordinate.

    >>> w, p = hermite(2, 5)
    >>> round((p * w.square().sum(1)).sum().item(), 12)
    2.0
    """
    n_nodes = DEFAULT_NODES.get(dim, 6) if n_nodes is None else n_nodes
    points, weights = np.polynomial.hermite_e.hermegauss(n_nodes)
    shares = torch.from_numpy(weights / weights.sum())
    w = grid(torch.from_numpy(points), dim)
    return w, grid(shares, dim).prod(1)
