"""Toy data with everything known: r, d, a chart and its inverse, a density, exact masses, a
sampler.

    from vaelab import manifolds

    truth = manifolds.manifold("helix", "bimodal").rotated(seed=1)
    x = truth.sample(1000, seed=0)                     # (1000, 3), float64
    truth.log_density(x)                               # with respect to length along the helix
    truth.mass(manifolds.Ball([0.0, 0.0, 0.0], 0.8))   # exact

Densities on ℝ^r: `named.density`. Manifolds with one global chart: flat, sine_curve, arc, helix,
graph_surface, swiss_roll, smooth_graph(r, d). Without one, as counter-examples: circle, sphere,
torus, clifford_torus, moebius_band.
"""

from __future__ import annotations

from vaelab.manifolds import charts
from vaelab.manifolds.calculus import row_hessian, row_jacobian
from vaelab.manifolds.charts import CHARTS, CLOSED, SIMPLE, Chart
from vaelab.manifolds.densities import Product, StudentT, Transformed
from vaelab.manifolds.lattice import generator_from, normal_lattice, unit_lattice
from vaelab.manifolds.manifold import Manifold, manifold
from vaelab.manifolds.mixture import Density, Mixture
from vaelab.manifolds.named import (
    banana,
    bimodal,
    cauchy,
    density,
    gaussian,
    half_line,
    modes,
    narrow,
    open_square,
    skewed,
    student_t,
    two_moons,
    uniform,
    valley,
)
from vaelab.manifolds.sets import Ball, Box, HalfSpace, Region

__all__ = [
    "CHARTS",
    "CLOSED",
    "SIMPLE",
    "Ball",
    "Box",
    "Chart",
    "Density",
    "HalfSpace",
    "Manifold",
    "Mixture",
    "Product",
    "Region",
    "StudentT",
    "Transformed",
    "banana",
    "bimodal",
    "cauchy",
    "charts",
    "density",
    "gaussian",
    "generator_from",
    "half_line",
    "manifold",
    "modes",
    "narrow",
    "normal_lattice",
    "open_square",
    "row_hessian",
    "row_jacobian",
    "skewed",
    "student_t",
    "two_moons",
    "uniform",
    "unit_lattice",
    "valley",
]
