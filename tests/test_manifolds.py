"""Toy manifolds: every closed form against brute force."""

import doctest
import importlib
import math
import pkgutil

import pytest
import torch
from scipy import stats

from vaelab import manifolds
from vaelab.manifolds import Ball, Box, HalfSpace, Mixture, manifold

F64 = torch.float64
LINE = (
    "gaussian",
    "modes",
    "cauchy",
    "student_t",
    "skewed",
    "bimodal",
    "valley",
    "narrow",
    "half_line",
)
PLANE = ("gaussian", "modes", "cauchy", "student_t", "skewed", "two_moons", "banana", "open_square")
NAMED = [(name, 1) for name in LINE] + [(name, 2) for name in PLANE] + [("modes", 3)]
OPTIONS = {"flat": {"r": 2}, "smooth_graph": {"r": 2, "d": 6, "seed": 1}}
SMALL_SETS = [
    HalfSpace([1.0, -0.5, 0.3], 0.2),
    Ball([0.1, 0.2, -0.1], 0.9),
    Box([-1.0, -0.6, -2.0], [0.5, 0.7, 0.4]),
]


def everywhere():
    return [manifold(name, **OPTIONS.get(name, {})) for name in manifolds.SIMPLE + manifolds.CLOSED]


@pytest.mark.parametrize(("name", "dim"), NAMED)
def test_quantile_inverts_the_conditionals_far_into_the_tails(name, dim):
    p = manifolds.density(name, dim)
    z = torch.linspace(-7, 7, 57, dtype=F64)
    before = p.sample(57, seed=1)[:, : dim - 1]
    u = torch.cat([before, p.quantile(z, before)[:, None]], 1)
    _, log_cdf, log_sf = (part[:, -1] for part in p.conditionals(u))
    tail = torch.where(z < 0, log_cdf, log_sf)
    if name == "open_square":  # 1 − u has no digits left near the corner 1
        z, tail = z[z < 4], tail[z < 4]
    torch.testing.assert_close(tail, torch.special.log_ndtr(-z.abs()), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("name", "dim"), NAMED)
def test_conditional_density_is_the_slope_of_the_conditional_cdf(name, dim):
    p = manifolds.density(name, dim)
    u, h = p.sample(50, seed=2), 1e-5
    step = torch.zeros(dim, dtype=F64)
    step[-1] = h
    up, down = (p.conditionals(u + sign * step)[1][:, -1].exp() for sign in (1, -1))
    torch.testing.assert_close(
        (up - down) / (2 * h), p.conditionals(u)[0][:, -1].exp(), rtol=2e-4, atol=1e-6
    )


@pytest.mark.parametrize("name", ["skewed", "two_moons", "banana", "modes"])
def test_density_integrates_to_one_over_the_plane(name):
    p = manifolds.density(name, 2)
    first = torch.linspace(-9, 9, 251, dtype=F64)
    second = torch.linspace(
        -9, 72 if name == "banana" else 9, 1001 if name == "banana" else 251, dtype=F64
    )
    cell = (first[1] - first[0]) * (second[1] - second[0])
    total = p.log_prob(torch.cartesian_prod(first, second)).exp().sum() * cell
    assert abs(total.item() - 1) < 1e-8


@pytest.mark.parametrize(("name", "dim"), NAMED)
def test_samples_and_nodes_follow_the_density(name, dim):
    p = manifolds.density(name, dim)
    uniform = p.conditionals(p.sample(4000, seed=3))[1].exp()
    for column in uniform.T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-4
    u, w = p.nodes(20_000)
    assert abs(w.sum().item() - 1) < 1e-12
    inside = p.contains(u)
    moments = (w[inside, None] * p.conditionals(u[inside])[1].exp()).sum(0)
    torch.testing.assert_close(moments, torch.full_like(moments, 0.5), rtol=0, atol=3e-4)


def test_mixture_agrees_with_torch_distributions_and_its_own_moments():
    p = manifolds.skewed(2)
    family = torch.distributions
    parts = family.MultivariateNormal(p.means, scale_tril=p.scale_trils)
    twin = family.MixtureSameFamily(family.Categorical(p.weights), parts)
    u = p.sample(200, seed=0)
    torch.testing.assert_close(p.log_prob(u), twin.log_prob(u), rtol=1e-12, atol=1e-12)
    mean, covariance = p.moments()
    many = p.sample(200_000, seed=1)
    torch.testing.assert_close(mean, many.mean(0), rtol=0, atol=0.02)
    torch.testing.assert_close(covariance, many.T.cov(), rtol=0, atol=0.03)


@pytest.mark.parametrize("truth", everywhere(), ids=lambda m: m.chart.name)
def test_charts_invert_and_rotations_change_nothing_but_the_axes(truth):
    x, turned = truth.sample(300, seed=4), truth.rotated(seed=5)
    torch.testing.assert_close(truth.embed(truth.coordinates(x)), x, rtol=0, atol=1e-12)
    y = turned.sample(300, seed=4)
    torch.testing.assert_close(turned.embed(turned.coordinates(y)), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(turned.log_density(y), truth.log_density(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(x.norm(dim=1), y.norm(dim=1))
    assert (x - y).abs().max() > 0.1


@pytest.mark.parametrize("truth", everywhere(), ids=lambda m: m.chart.name)
def test_entropy_by_quadrature_is_the_average_over_samples(truth):
    surprise = -truth.log_density(truth.sample(4000, seed=6))
    error = surprise.std().item() / math.sqrt(len(surprise))
    assert abs(truth.entropy() - surprise.mean().item()) < 5 * error + 1e-9


@pytest.mark.parametrize("name", ["sine_curve", "arc", "helix", "circle"])
def test_density_on_a_curve_integrates_to_one_along_its_length(name):
    truth = manifold(name, "bimodal")
    u = torch.linspace(-6, 6, 40_001, dtype=F64)[:, None]
    x = truth.embed(u)
    length = (x[1:] - x[:-1]).norm(dim=1)
    middle = truth.embed(0.5 * (u[1:] + u[:-1]))
    density = truth.density.log_prob(0.5 * (u[1:] + u[:-1])).exp() * 12 / 40_000 / length
    if truth.chart.simple:
        torch.testing.assert_close(truth.log_density(middle).exp(), density, rtol=1e-5, atol=1e-9)
    turn = (
        torch.linspace(0, 2 * math.pi, 2001, dtype=F64)[:-1, None]
        if not truth.chart.simple
        else None
    )
    if turn is not None:  # every winding of the coordinates counts once
        total = truth.log_density(truth.embed(turn)).exp().mean() * 2 * math.pi
        assert abs(total.item() - 1) < 1e-9


def test_uniform_measures_of_closed_manifolds_are_what_geometry_says():
    expected = {"circle": 2 * math.pi, "sphere": 4 * math.pi, "clifford_torus": 4 * math.pi**2}
    for name, volume in expected.items():
        x = manifold(name).sample(50, seed=0)
        torch.testing.assert_close(
            manifold(name).log_density(x), torch.full((50,), -math.log(volume), dtype=F64)
        )


def test_smooth_graph_is_an_embedding_for_every_draw():
    for seed in range(20):
        for r, d in ((1, 3), (2, 3), (3, 20), (4, 20)):
            truth = manifold("smooth_graph", r=r, d=d, seed=seed)
            smallest = torch.linalg.svdvals(truth.jacobian(truth.density.sample(50, seed=seed)))[
                :, -1
            ].min()
            assert smallest >= 1 - 1e-9


@pytest.mark.parametrize("gamma", [1e-1, 1e-2, 1e-4, 1e-6])
def test_gaussian_mass_of_sets_against_scipy_and_sampling(gamma):
    eps = torch.randn(100_000, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    x = torch.tensor(
        [[0.3, 0.1, 0.2], [0.9, 0.4, 0.1], [0.99, 0.2, -0.1], [3.0, 0.0, 0.0]], dtype=F64
    )
    for region in SMALL_SETS:
        exact = region.gaussian_mass(x, gamma)
        sampled = torch.stack(
            [region.contains(row + math.sqrt(gamma) * eps).double().mean() for row in x]
        )
        assert (
            (exact - sampled).abs()
            <= 5 * (exact * (1 - exact) / len(eps)).clamp_min(0).sqrt() + 1e-9
        ).all()
    if gamma >= 1e-4:
        ball = SMALL_SETS[1]
        away = (x - ball.centre).square().sum(1) / gamma
        twin = stats.ncx2.cdf(ball.radius**2 / gamma, 3, away.numpy())
        torch.testing.assert_close(
            ball.gaussian_mass(x, gamma), torch.from_numpy(twin), rtol=0, atol=1e-9
        )


def test_masses_against_closed_forms():
    plane, line = manifold("flat", "gaussian", r=2), manifold("flat", "gaussian", r=1)
    phi = torch.special.ndtr(torch.tensor([1.0, -0.5, 0.7], dtype=F64))
    box = float((phi[0] - phi[1]) * phi[2])
    assert abs(plane.mass(Box([-0.5, -math.inf], [1.0, 0.7])) - box) < 1e-4
    assert abs(plane.mass(Ball([0.0, 0.0], 1.2)) - (1 - math.exp(-0.72))) < 1e-4
    assert abs(plane.mass(HalfSpace([3.0, 4.0], 5.0)) - float(phi[0])) < 1e-4
    assert abs(line.mass(Box([-0.5], [1.0])) - float(phi[0] - phi[1])) < 1e-12
    assert abs(line.mass(Box([-30.0], [math.inf])) - 1) < 1e-12


@pytest.mark.parametrize("name", ["helix", "graph_surface", "swiss_roll", "sphere", "moebius_band"])
def test_masses_against_sampling(name):
    truth = manifold(name).rotated(seed=2)
    x = truth.sample(40_000, seed=7)
    for region in SMALL_SETS:
        mass = truth.mass(region, n_nodes=2**15)
        assert (
            abs(mass - region.contains(x).double().mean().item())
            < 5 * math.sqrt(mass * (1 - mass) / 40_000) + 1e-3
        )


def test_seeds_and_generators():
    truth = manifold("helix", "skewed")
    assert torch.equal(
        truth.sample(5, seed=3), truth.sample(5, generator=torch.Generator().manual_seed(3))
    )
    assert not torch.equal(truth.sample(5, seed=3), truth.sample(5, seed=4))
    assert truth.sample(5, seed=3).dtype == F64
    state = torch.random.get_rng_state()
    truth.sample(5)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: manifold("helx"), "did you mean 'helix'"),
        (lambda: manifold("helix", "two_moons"), "density: expected one of"),
        (lambda: manifold("helix", manifolds.skewed(2)), r"expected one on ℝ\^1, got one on ℝ\^2"),
        (lambda: manifold("smooth_graph", r=3, d=2), "expected d ≥ r"),
        (lambda: manifold("arc", opening=7.0), "no global chart"),
        (lambda: manifold("torus", major=0.2), "major > minor"),
        (lambda: manifold("helix").rotated(rotation=torch.ones(3, 3)), "orthogonal matrix"),
        (lambda: manifold("helix").sample(2, seed=1, generator=torch.Generator()), "got both"),
        (
            lambda: Mixture([1.0, 0.0], [[0.0], [1.0]], [[[1.0]], [[1.0]]]),
            "weights: expected finite numbers > 0",
        ),
        (lambda: Mixture([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.0, 1.0]]]), "lower triangular"),
        (lambda: manifolds.gaussian(2, covariance=torch.ones(2, 2)), "positive-definite"),
        (lambda: Ball([0.0], -1.0), "radius"),
        (lambda: Box([1.0], [0.0]), "low < high"),
        (lambda: HalfSpace([0.0], 1.0), "not zero"),
        (lambda: manifolds.uniform((1.0,), (0.0,)), "low < high"),
        (lambda: manifolds.skewed().convolve(0.0), "gamma: expected a finite number > 0"),
    ],
)
def test_errors_say_what_was_expected(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_examples_in_the_docstrings():
    options = doctest.ELLIPSIS
    for module in pkgutil.iter_modules(manifolds.__path__, "vaelab.manifolds."):
        result = doctest.testmod(importlib.import_module(module.name), optionflags=options)
        assert result.failed == 0, module.name
