"""The theorems, each against a second route, and each check against slips in the theory that must
turn it red.
"""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from mutating import (
    minus_for_plus,
    other_constant,
    red,
    rewritten,
    untransposed,
    without_call,
    without_factor,
    without_method,
    wrapped,
)
from scipy import optimize, stats

from vaelab import manifolds, theory
from vaelab.manifolds import Ball, HalfSpace, Manifold, Mixture, manifold
from vaelab.theory import (
    kl_q_to_posterior,
    kl_rate_exact,
    linear_cost,
    linear_optimum,
    optimal_vae,
    slope_in_log_gamma,
)

F64 = torch.float64
FLAT_1 = ("skewed", "bimodal", "valley", "narrow", "student_t", "cauchy", "half_line")
FLAT_2 = ("two_moons", "skewed", "banana", "open_square")
CURVED = (
    ("arc", "bimodal", {}),
    ("sine_curve", "skewed", {}),
    ("helix", "bimodal", {}),
    ("smooth_graph", "modes", {"r": 1, "d": 10, "seed": 1}),
    ("smooth_graph", "banana", {"r": 2, "d": 10, "seed": 2}),
    ("graph_surface", "skewed", {}),
    ("swiss_roll", "modes", {}),
)


def flat(density, r=1):
    return manifold("flat", density, r=r)


def linear_data(d=10, r=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(d, d, dtype=F64, generator=generator)).Q[:, :r]
    return basis @ torch.diag(torch.tensor([3.0, 1.0, 0.3, 0.1][:r], dtype=F64)) @ basis.T


# ---- Theorem 1: r = d


@pytest.mark.parametrize("name", FLAT_1)
def test_theorem_1_on_the_line_converges_at_the_exact_rate(name):
    vae = optimal_vae(flat(name))
    x = vae.truth.sample(100, seed=1)
    ts = (1e2, 1e3, 1e4, 1e6)
    kl = torch.stack([kl_q_to_posterior(vae, x, t, 120) for t in ts])
    slope, _ = slope_in_log_gamma([1e-4, 1e-6], kl[2:].mean(1).log())
    ratio = kl[3].mean().item() * 1e6 / kl_rate_exact(vae, x).mean().item()
    print(f"D4 {name}: slope {slope:.5f}, KL / (gamma half Var delta_1) {ratio:.6f}")
    assert 0.999 <= slope <= 1.001
    assert abs(ratio - 1) < 1e-3
    assert (kl[1:] < kl[:-1]).all()


@pytest.mark.parametrize("name", FLAT_2)
def test_theorem_1_in_the_plane_converges_at_the_exact_rate(name):
    vae = optimal_vae(flat(name, 2))
    x = vae.truth.sample(20, seed=1)
    t = (
        1e8 if name == "open_square" else 1e6
    )  # the unit square is small, and √γ counts against its size
    kl = torch.stack([kl_q_to_posterior(vae, x, s, 24) for s in (1e2, 1e-2 * t, t)])
    slope, _ = slope_in_log_gamma([1e2 / t, 1 / t], kl[1:].mean(1).log())
    ratio = kl[2].mean().item() * t / kl_rate_exact(vae, x).mean().item()
    print(f"D4 {name} r=2: slope {slope:.5f}, ratio {ratio:.6f}")
    assert 0.999 <= slope <= 1.001
    assert abs(ratio - 1) < 1e-3
    assert (kl[1:] < kl[:-1]).all()


@pytest.mark.parametrize(("name", "r"), [("skewed", 1), ("bimodal", 1), ("two_moons", 2)])
def test_model_density_converges_in_l1_and_sup_at_the_exact_rate(name, r):
    p = manifolds.density(name, r)
    ts = (1e1, 1e2, 1e3, 1e4, 1e6)
    distance = [theory.l1_distance(p, t, 2**13) for t in ts]
    rate = theory.l1_rate_exact(p, 2**13)
    grid = p.sample(4000, seed=0)
    sup = theory.sup_distance(p, grid, 1e6) * 1e6 / theory.sup_rate_exact(p, grid)
    print(f"D3 {name}: L1 / (gamma rate) {distance[-1] * 1e6 / rate:.6f}, sup {sup:.6f}")
    assert all(b < a for a, b in itertools.pairwise(distance))
    assert abs(distance[-1] * 1e6 / rate - 1) < 1e-3
    assert abs(sup - 1) < 1e-3


def test_l1_distance_against_a_grid():
    p, axis = manifolds.skewed(), torch.linspace(-8, 12, 40_001, dtype=F64)[:, None]
    gap = p.convolve(1e-2).log_prob(axis).exp() - p.log_prob(axis).exp()
    assert abs(theory.l1_distance(p, 1e2) - gap.abs().sum().item() * 5e-4) < 1e-6
    dx = axis[1:2] - axis[:1]
    y = p.log_prob(axis).exp()
    bend = (y[2:] - 2 * y[1:-1] + y[:-2]) / dx[0] ** 2
    torch.testing.assert_close(
        theory.laplacian(p, axis[1:-1:100]), bend[::100], rtol=1e-4, atol=1e-5
    )


def check_change_of_variables():
    for truth in (
        flat("skewed"),
        flat("skewed", 2),
        flat("banana", 2),
        flat("cauchy"),
        flat("modes", 3),
    ):
        p, u = truth.density, truth.sample(50, seed=2)
        z, J = theory.to_noise(p, u), theory.to_noise_jacobian(p, u)
        normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
        torch.testing.assert_close(
            torch.linalg.slogdet(J).logabsdet + normal, p.log_prob(u), rtol=0, atol=1e-12
        )
        torch.testing.assert_close(theory.from_noise(p, z), u, rtol=1e-12, atol=1e-12)


def test_derivatives_of_the_map_against_finite_differences():
    p, h = manifolds.skewed(2), 1e-5
    u = p.sample(20, seed=0)
    J, H = theory.to_noise_jacobian(p, u), theory.to_noise_hessian(p, u)
    for j in range(2):
        step = torch.zeros(2, dtype=F64)
        step[j] = h
        twin = (theory.to_noise(p, u + step) - theory.to_noise(p, u - step)) / (2 * h)
        torch.testing.assert_close(J[:, :, j], twin, rtol=1e-6, atol=1e-7)
        twin = (theory.to_noise_jacobian(p, u + step) - theory.to_noise_jacobian(p, u - step)) / (
            2 * h
        )
        torch.testing.assert_close(H[..., j], twin, rtol=1e-5, atol=1e-6)


def test_rosenblatt_map_makes_uniform_noise():
    p = manifolds.two_moons()
    for column in theory.rosenblatt(p, p.sample(4000, seed=1)).T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > 1e-4


def check_decoder_density():
    for name in ("skewed", "bimodal"):
        vae = optimal_vae(flat(name))
        x = vae.truth.sample(20, seed=3)
        for t in (1e2, 1e4):
            exact = theory.log_p_theta(vae, x, t)
            torch.testing.assert_close(
                theory.log_p_theta_lattice(vae, x, t, 2**14), exact, rtol=0, atol=1e-12
            )
        torch.testing.assert_close(
            theory.log_p_theta_decoder(vae, x, 1e6, 120),
            theory.log_p_theta(vae, x, 1e6),
            rtol=0,
            atol=1e-12,
        )


@pytest.mark.parametrize("name", ["skewed", "bimodal"])
def test_more_latent_dimensions_than_needed_change_nothing(name):
    small, large = optimal_vae(flat(name)), optimal_vae(flat(name), latent_dim=4, seed=7)
    x = small.truth.sample(4, seed=0)
    for t in (1e2, 1e4, 1e6):
        gap = (
            (kl_q_to_posterior(large, x, t, 10) - kl_q_to_posterior(small, x, t, 10))
            .abs()
            .max()
            .item()
        )
        print(f"D5 {name} t={t:.0e}: |KL_4 - KL_1| = {gap:.1e}")
        assert gap < 1e-12


def check_kappa_split():
    for truth, kappa in (
        (flat("skewed"), 2),
        (flat("skewed", 2), 5),
        (manifold("helix", "bimodal"), 6),
    ):
        vae = optimal_vae(truth, kappa, seed=3)
        x = truth.sample(10, seed=1)
        values = torch.linalg.eigvalsh(vae.covariance(x, 1e4))
        assert (values[:, : vae.r] < 0.5).all()
        torch.testing.assert_close(
            values[:, vae.r :], torch.ones_like(values[:, vae.r :]), rtol=0, atol=1e-12
        )
        torch.testing.assert_close(vae.decode(vae.encode(x)), x, rtol=0, atol=1e-11)
        leak = vae.decode(vae.encode(x) + 1e-3 * vae.scale(x, 1e4)[:, :, -1]) - x
        assert leak.abs().max() < 1e-11


def check_scale_is_the_inverse_jacobian():
    """Σ_z restricted to the r coordinates equals γ (JᵀJ)⁻¹, J by finite differences of the
    decoder.
    """
    for truth in (flat("skewed", 2), manifold("smooth_graph", "skewed", r=2, d=5, seed=3)):
        vae = optimal_vae(truth)
        x, h = truth.sample(10, seed=1), 1e-5
        z = vae.encode(x)
        step = h * torch.eye(2, dtype=F64)
        J = torch.stack([(vae.decode(z + s) - vae.decode(z - s)) / (2 * h) for s in step], 2)
        torch.testing.assert_close(
            vae.covariance(x, 1e4), 1e-4 * torch.linalg.inv(J.mT @ J), rtol=1e-6, atol=1e-12
        )


def check_kl_goes_to_zero():
    for truth in (flat("skewed"), flat("skewed", 2), manifold("helix", "skewed")):
        vae = optimal_vae(truth, truth.r + 1, seed=2) if truth.r == 1 else optimal_vae(truth)
        x = truth.sample(4, seed=5)
        ratio = kl_q_to_posterior(vae, x, 1e6, 16) * 1e6 / kl_rate_exact(vae, x)
        assert ((ratio - 1).abs() < 5e-3).all()


def check_kl_against_gaussian_closed_form():
    """p_gt = N(0, C), r = d: q = N(A x, γ C⁻¹), the true posterior N((γ I + C)⁻¹ …) — all
    Gaussian.
    """
    C = torch.tensor([[1.5, 0.4], [0.4, 0.7]], dtype=F64)
    vae = optimal_vae(Manifold(manifolds.charts.flat(2), manifolds.gaussian(2, covariance=C)))
    x = vae.truth.sample(5, seed=0)
    L = torch.linalg.cholesky(C)
    for gamma in (0.5, 1e-2):
        posterior = torch.linalg.inv(torch.eye(2, dtype=F64) + L.T @ L / gamma)
        away = vae.encode(x) - x @ L / gamma @ posterior
        ratio = torch.linalg.inv(posterior) @ (gamma * torch.linalg.inv(L.T @ L))
        quadratic = torch.einsum("ni,ij,nj->n", away, torch.linalg.inv(posterior), away)
        exact = 0.5 * (ratio.trace() - 2 - torch.logdet(ratio) + quadratic)
        torch.testing.assert_close(
            kl_q_to_posterior(vae, x, 1 / gamma), exact, rtol=1e-9, atol=1e-12
        )


def test_a_rotation_changes_no_theorem():
    """κ > r, r = d and r < d, turned against every axis: the same numbers."""
    for truth in (
        flat("skewed", 2),
        flat("student_t", 2),
        manifold("smooth_graph", "skewed", r=2, d=4, seed=1),
    ):
        turned, kappa = truth.rotated(seed=9), 3
        for t in (1e3, 1e5):
            one, two = (
                kl_q_to_posterior(optimal_vae(m, kappa, seed=4), m.sample(4, seed=2), t, 8)
                for m in (truth, turned)
            )
            torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-10)


def check_cost_adds_up():
    vae = optimal_vae(manifold("helix", "skewed"), 3, seed=1)
    x = vae.truth.sample(6, seed=2)
    data, divergence = theory.cost_terms(vae, x, 1e3, 16)
    torch.testing.assert_close(
        0.5 * (data + divergence), theory.loss(vae, x, 1e3, 16), rtol=1e-9, atol=1e-9
    )


def test_zero_density_outside_a_diffeomorphic_set_is_allowed():
    for truth in (flat("half_line"), flat("open_square", 2)):
        vae = optimal_vae(truth)
        x = truth.sample(20, seed=4)
        assert kl_q_to_posterior(vae, x, 1e6).mean() < 1e-3
        outside = -torch.ones(1, truth.r, dtype=F64)
        assert truth.density.log_prob(outside).item() == -math.inf
        with pytest.raises(ValueError, match="density is positive"):
            vae.encode(outside)


def test_pointwise_limits_do_not_control_the_tails():
    starts = [theory.tails.divergence_starts(t) for t in (1e2, 1e4, 1e8, 1e16)]
    assert starts == sorted(starts)
    for t, start in zip((1e4, 1e8, 1e16), starts[1:], strict=True):
        assert abs(theory.tails.truncated_error(t, 0.8 * start) - math.log(0.5)) < 1e-3
        assert theory.tails.truncated_error(t, start + 0.5) > 1e3
        assert theory.tails.truncated_error(t, start + 1.0) > theory.tails.truncated_error(
            t, start + 0.5
        )


def test_where_the_tail_takes_over():
    """The integrand passes 1 within a step of the grid, and a sum over both sides agrees."""
    for z in (0.0, 0.5):
        start, step = theory.tails.divergence_starts(1e2, z), (26 - z) / 200_000
        at = torch.tensor([start - step, start], dtype=F64)
        low, high = theory.tails.log_integrand((at - z) / theory.tails._scale(1e2, z), 1e2, z)
        assert low <= 0 < high < 0.5
    for cutoff in (0.5, 2.2, 2.3):
        w = torch.linspace(-10 * cutoff, 10 * cutoff, 400_001, dtype=F64)
        twin = theory.tails.log_integrand(w, 1e2).logsumexp(0) + (w[1] - w[0]).log()
        assert abs(theory.tails.truncated_error(1e2, cutoff) - twin.item()) < 0.05


def test_slope_and_its_error_are_those_of_a_regression():
    gammas = torch.tensor([1e-1, 3e-2, 1e-3, 1e-4], dtype=F64)
    values = 2 * gammas.log() + torch.tensor([0.3, -0.1, 0.4, 0.0], dtype=F64)
    twin = stats.linregress(gammas.log().numpy(), values.numpy())
    found = slope_in_log_gamma(gammas, values)
    assert found == pytest.approx((twin.slope, twin.stderr), rel=1e-12)


# ---- Theorem 2: r < d


@pytest.mark.parametrize(("name", "density", "options"), CURVED)
def test_theorem_2_slope_intercept_and_rate(name, density, options):
    truth = manifold(name, density, **options).rotated(seed=1)
    vae = optimal_vae(truth)
    x = truth.sample(30 if truth.r == 1 else 8, seed=1)
    gammas, excess = [1e-5, 1e-6, 1e-8], 0.5 * (truth.d - truth.r)
    nll = torch.stack([-theory.log_p_theta(vae, x, 1 / g) for g in gammas])
    loss = torch.stack([theory.loss(vae, x, 1 / g) for g in gammas])
    kl = loss - nll
    slope, full = (slope_in_log_gamma(gammas, part.mean(1))[0] / excess for part in (nll, loss))
    kl_slope, _ = slope_in_log_gamma(gammas[:2], kl[:2].mean(1).log())
    intercept = (nll[0] - theory.nll_limit(truth, x, 1e5)).abs().mean().item()
    ratio = kl[1].mean().item() * 1e6 / kl_rate_exact(vae, x).mean().item()
    print(
        f"D7 {truth.chart.name}: slope/expected {slope:.7f}, cost {full:.6f}, KL slope "
        f"{kl_slope:.5f}, intercept {intercept:.1e} nats, KL ratio {ratio:.6f}"
    )
    assert abs(slope - 1) < 1e-3 and abs(full - 1) < 1e-3
    assert abs(kl_slope - 1) < 1e-2 and abs(ratio - 1) < 1e-3
    assert intercept < 1e-3


def test_theorem_2_in_three_dimensions():
    truth = manifold("smooth_graph", r=3, d=20, seed=4)
    vae, x = optimal_vae(truth), truth.sample(3, seed=1)
    nll = [-theory.log_p_theta(vae, x, t, 8) for t in (1e5, 1e7)]
    slope, _ = slope_in_log_gamma([1e-5, 1e-7], [part.mean() for part in nll])
    assert abs(slope / 8.5 - 1) < 1e-3
    assert (nll[0] - theory.nll_limit(truth, x, 1e5)).abs().max() < 1e-3


def check_intercept():
    truth = manifold("smooth_graph", "skewed", r=1, d=5, seed=2)
    vae, x = optimal_vae(truth), truth.sample(5, seed=1)
    for t in (1e5, 1e6):
        limit = theory.nll_limit(truth, x, t)
        torch.testing.assert_close(-theory.log_p_theta(vae, x, t), limit, rtol=0, atol=1e-3)
    everyone = truth.density.nodes(400)
    average = (everyone[1] * theory.loss(vae, truth.embed(everyone[0]), 1e6)).sum().item()
    assert abs(average - theory.certified_optimum(truth, 1e-6)) < 1e-3


def check_slopes_of_both_terms():
    truth = manifold("smooth_graph", "banana", r=2, d=6, seed=3)
    vae, gammas = optimal_vae(truth, 3, seed=1), [1e-5, 1e-6, 1e-7]
    x = truth.sample(4, seed=0)
    terms = [theory.cost_terms(vae, x, 1 / g, 8) for g in gammas]
    data, divergence = (slope_in_log_gamma(gammas, [t[i].mean() for t in terms])[0] for i in (0, 1))
    assert abs(data / truth.d - 1) < 1e-3
    assert abs(divergence / -truth.r - 1) < 1e-3


def check_mass_of_a_ball():
    region, x = (
        Ball([0.1, 0.2, -0.1], 0.9),
        torch.tensor([[0.3, 0.1, 0.2], [0.9, 0.4, 0.1], [0.99, 0.2, -0.1]], dtype=F64),
    )
    for gamma in (0.3, 1e-2, 1e-4):
        away = (x - region.centre).square().sum(1) / gamma
        twin = torch.from_numpy(stats.ncx2.cdf(0.81 / gamma, 3, away.numpy()))
        torch.testing.assert_close(region.gaussian_mass(x, gamma), twin, rtol=0, atol=1e-9)


def check_masses():
    curve = manifold("helix", "bimodal").rotated(seed=1)
    vae, x = optimal_vae(curve), curve.sample(6, seed=3)
    for region in (Ball(x[0], 0.7), HalfSpace(x[1], 0.3), manifolds.Box(x[2] - 0.5, x[2] + 0.6)):
        mass = curve.mass(region)
        errors = [abs(theory.mass_of_set(vae, region, t, 2**13) - mass) for t in (1e2, 1e4)]
        assert errors[1] < 0.1 * errors[0] and errors[1] < 2e-3


def test_masses_of_sets_converge():
    worst = 0.0
    for truth in (
        manifold("helix", "bimodal"),
        manifold("smooth_graph", r=2, d=10),
        manifold("graph_surface", "banana"),
    ):
        vae, x = optimal_vae(truth), truth.sample(4, seed=3)
        for region in [Ball(row, 0.8) for row in x[:2]] + [HalfSpace(row, 0.4) for row in x[2:]]:
            worst = max(worst, abs(theory.mass_of_set(vae, region, 1e6) - truth.mass(region)))
    print(f"D8 worst |p_theta(A) - mu_gt(A)| at t=1e6: {worst:.1e}")
    assert worst < 1e-4


def test_masses_against_sampling_the_model():
    vae = optimal_vae(manifold("helix", "skewed"), 3, seed=1)
    x = vae.sample(20_000, t=50.0, seed=0)
    for region in (Ball([0.5, 0.0, 0.0], 0.8), HalfSpace([1.0, 1.0, 0.0], 0.3)):
        mass = theory.mass_of_set(vae, region, 50.0)
        assert abs(mass - region.contains(x).double().mean().item()) < 5 * math.sqrt(
            mass * (1 - mass) / 20_000
        )


def test_a_boundary_on_the_manifold_breaks_the_limit():
    curve = manifold("sine_curve", "skewed")
    for t in (1e2, 1e4, 1e6):
        assert abs(theory.mass_under_graph(curve, t) - 0.5) < 0.02
    thick = [theory.mass_under_graph(curve, t, thicken=0.01) for t in (1e2, 1e4, 1e6)]
    assert thick[0] < 0.6 and thick[1] < 0.8 and thick[2] > 0.99999
    u, eps = (
        curve.density.sample(100_000, seed=0),
        torch.randn(100_000, 2, dtype=F64, generator=torch.Generator().manual_seed(1)),
    )
    x = curve.embed(u) + 0.1 * eps
    sampled = (x[:, 1] <= torch.sin(2 * x[:, 0])).double().mean().item()
    assert abs(theory.mass_under_graph(curve, 1e2) - sampled) < 5 * 0.5 / math.sqrt(100_000)


def check_mass_of_a_tube():
    """Against N(0, γ) on [−h, h] for small γ, and against draws of the model for a large one."""
    vae = optimal_vae(manifold("sine_curve", "skewed"))
    for width in (0.1, 0.03, 0.003):
        exact = math.erf(width * math.sqrt(0.5e3))
        assert abs(theory.mass_of_tube(vae, 1e3, width) / exact - 1) < 1e-3
    z = torch.linspace(-5, 5, 4000, dtype=F64)[:, None]
    x = vae.sample(4000, t=20.0, seed=0)
    near = torch.cdist(x, vae.decode(z)).amin(1) < 0.15
    share = near.double().mean().item()
    mass = theory.mass_of_tube(vae, 20.0, 0.15)
    assert abs(mass - share) < 5 * math.sqrt(share / 4000)


def check_mass_under_a_thick_graph():
    """The border moves away from the curve by h: by h / √(1 + g'²) along the normal."""
    curve = manifold("sine_curve", "skewed")
    u, w = curve.density.nodes(2000)
    height = curve.jacobian(u)[:, 1, 0]
    for gamma in (1e-4, 1e-6):
        reach = math.sqrt(gamma) / (math.sqrt(gamma) * (1 + height.square()).sqrt())
        exact = float(w @ torch.special.ndtr(reach))
        mass = theory.mass_under_graph(curve, 1 / gamma, thicken=math.sqrt(gamma))
        assert abs(mass - exact) < math.sqrt(gamma)


def check_wrong_measure():
    truth = manifold("helix", "bimodal")
    wrong = theory.wrong_measure(truth)
    u, w = truth.density.nodes(400)
    mean, covariance = wrong.density.moments()
    assert abs(float(w @ u[:, 0] - mean)) < 1e-9
    assert abs(float(w @ (u[:, 0] - mean).square() - covariance)) < 1e-9
    assert wrong.chart is truth.chart


def check_lattice_on_a_curve():
    vae = optimal_vae(manifold("helix", "skewed"))
    x = vae.truth.sample(4, seed=1)
    two = [f(vae, x, 1e3) for f in (theory.log_p_theta_lattice, theory.log_p_theta_decoder)]
    torch.testing.assert_close(*two, rtol=0, atol=1e-6)


def check_heavy_tail():
    """Its entropy, truncated, by quadrature in v = log(e + |u|); its map and its two tails."""
    p = theory.tails.LogTail()
    for cutoff in (0.5, 3.0, 40.0, 1e4):
        v = torch.logspace(0, math.log10(cutoff + math.log1p(math.exp(1 - cutoff))), 20_001)
        v = v.to(F64)
        surprise = (math.log(2) + v + 2 * v.log()) / v**2
        twin = torch.trapezoid(surprise, v).item()
        assert abs(theory.tails.truncated_entropy(cutoff) - twin) < 1e-5
    z = torch.linspace(-3, 3, 13, dtype=F64)[:, None]
    u = theory.from_noise(p, z)
    torch.testing.assert_close(theory.to_noise(p, u), z, rtol=1e-10, atol=1e-10)
    J = theory.to_noise_jacobian(p, u[u[:, 0] != 0])[:, 0, 0]
    normal = stats.norm.pdf(z[u[:, 0] != 0][:, 0].numpy())
    torch.testing.assert_close(J * torch.from_numpy(normal), p.log_prob(u[u[:, 0] != 0]).exp())


def check_both_tails_make_one():
    u = torch.tensor([[-1e6], [-2.0], [0.5], [30.0]], dtype=F64)
    _, log_cdf, log_sf = theory.tails.LogTail().conditionals(u)
    torch.testing.assert_close(log_cdf.exp() + log_sf.exp(), torch.ones(4, 1, dtype=F64))


def check_slope_of_a_double_exponential():
    """S = √γ / f' against the difference quotient of f = z exp(exp(z²) − 1)."""
    for z in (0.3, 0.9):
        ends = torch.tensor([z - 1e-6, z + 1e-6], dtype=F64)
        low, high = theory.tails.log_double_exponential(ends).exp()
        slope = float((high - low) / 2e-6)
        assert abs(theory.tails._scale(1e4, z) * slope / 1e-2 - 1) < 1e-6


def check_cost_floor():
    """No density in the place of the truth costs less, not the truth itself either."""
    p, cutoff, gamma = theory.tails.LogTail(), 30.0, 1e-3
    v = torch.linspace(1, math.log(math.e + math.exp(cutoff)), 200_001, dtype=F64)
    u = (math.e * torch.expm1(v - 1))[:, None]
    rivals = [manifolds.cauchy(), manifolds.gaussian(1, covariance=torch.tensor([[1e20]])), p]
    costs = []
    for q in rivals:
        cost = 0.5 * math.log(2 * math.pi * gamma) - q.log_prob(u)
        costs.append(torch.trapezoid(cost / v.square(), v).item())
    floor = theory.tails.cost_floor(cutoff, gamma)
    assert min(costs) == costs[-1] and floor < costs[-1] < floor + 0.2


def test_an_infinite_entropy_is_refused():
    for density in (theory.tails.LogTail(), manifolds.half_line(manifolds.cauchy())):
        with pytest.raises(ValueError, match="past its range"):
            theory.certified_optimum(flat(density), 1e-2)
    assert abs(theory.certified_optimum(flat("cauchy"), 1.0) - math.log(4 * math.pi)) < 1e-9


def check_kl_far_from_its_limit():
    """At a large γ the posterior is far from Gaussian: the default against a fine sum over w."""
    vae = optimal_vae(flat("bimodal"))
    x, t = vae.truth.sample(20, seed=1), 100.0
    w = torch.linspace(-10, 10, 20_001, dtype=F64)
    weights = torch.exp(-0.5 * w.square())
    S = vae.scale(x, t)[:, :, 0]
    z = vae.encode(x) + S * w
    log_p_x_given_z = -0.5 * (t * theory.squared_error(vae, x, z[..., None]))
    log_ratio = log_p_x_given_z - 0.5 * (z.square() - w.square()) + S.log()
    elbo = log_ratio @ weights / weights.sum() - 0.5 * math.log(2 * math.pi / t)
    fine = theory.log_p_theta(vae, x, t) - elbo
    torch.testing.assert_close(kl_q_to_posterior(vae, x, t), fine, rtol=1e-3, atol=0)


def test_in_two_dimensions_a_large_gamma_wants_more_nodes():
    vae = optimal_vae(flat("two_moons", r=2))
    x = vae.truth.sample(4, seed=0)[1:2]
    fine = kl_q_to_posterior(vae, x, 10.0, 70)
    torch.testing.assert_close(kl_q_to_posterior(vae, x, 10.0), fine, rtol=1e-3, atol=0)
    assert abs(kl_q_to_posterior(vae, x, 10.0, 20) / fine - 1) > 3e-3  # The default's nodes.


def check_strict_rule():
    """An eigenvalue equal to γ, up to rounding, is not active."""
    C = torch.linalg.qr(torch.randn(5, 5, dtype=F64, generator=torch.Generator().manual_seed(0))).Q
    C = C @ torch.tensor([3.0, 1.0, 0.3, 0.3, 0.0], dtype=F64).diag() @ C.T
    assert [linear_optimum(C, 4, g).n_active for g in (3.0, 1.0, 0.3, 0.299, 1e-14)] == [
        0,
        1,
        2,
        4,
        4,
    ]


def test_the_cost_does_not_certify_the_measure_when_r_is_less_than_d():
    truth = manifold("smooth_graph", "bimodal", r=1, d=10, seed=1)
    wrong = theory.wrong_measure(truth)
    right_vae, wrong_vae = optimal_vae(truth), optimal_vae(wrong)
    u, w = truth.density.nodes(400)
    x = truth.embed(u)
    gaps = [
        float(w @ (theory.loss(wrong_vae, x, t, 40) - theory.loss(right_vae, x, t, 40)))
        for t in (1e5, 1e6, 1e8)
    ]
    expected = theory.kl_between_measures(truth.density, wrong.density)
    print(f"D9 gap in nats at t = 1e5, 1e6, 1e8: {gaps}, KL between the measures {expected:.6f}")
    assert all(abs(gap - expected) < 1e-3 for gap in gaps)
    costs = [float(w @ theory.loss(wrong_vae, x, t, 40)) for t in (1e5, 1e6, 1e8)]
    slope, _ = slope_in_log_gamma([1e-5, 1e-6, 1e-8], costs)
    assert abs(slope / 4.5 - 1) < 1e-3
    assert float(w @ kl_q_to_posterior(wrong_vae, x, 1e6, 40)) < 1e-4


def test_the_cost_certifies_the_measure_when_r_equals_d():
    truth = flat("bimodal")
    wrong = optimal_vae(theory.wrong_measure(truth))
    u, w = truth.density.nodes(400)
    entropy = truth.entropy()
    best, other = (float(w @ theory.loss(vae, u, 1e6)) for vae in (optimal_vae(truth), wrong))
    assert abs(best - entropy) < 1e-4
    assert (
        abs(other - entropy - theory.kl_between_measures(truth.density, wrong.truth.density)) < 1e-4
    )
    assert other > entropy + 0.1


def test_every_latent_noise_decodes_to_x_as_gamma_falls():
    vae = optimal_vae(manifold("helix", "skewed"), 4, seed=5)
    x = vae.truth.sample(50, seed=0)
    eps = torch.randn(50, 4, dtype=F64, generator=torch.Generator().manual_seed(2))
    errors = [theory.reconstruction_error(vae, x, t, eps).mean().item() for t in (1e2, 1e4, 1e6)]
    slope, _ = slope_in_log_gamma([1e-4, 1e-6], [math.log(e) for e in errors[1:]])
    assert abs(slope - 1) < 0.01
    idle = eps.clone()
    idle[:, 0] = 0  # S_z's first column is the direction that matters, the rest is noise
    assert theory.reconstruction_error(vae, x, 1e4, idle).max() < 1e-20


# ---- Section 3: Eq. 83, active dimensions, the linear case


def check_equation_83():
    generator = torch.Generator().manual_seed(0)
    for d, kappa in ((7, 4), (3, 5), (4, 4)):
        J = torch.randn(6, d, kappa, dtype=F64, generator=generator)
        for gamma in (1.0, 1e-2):
            twin = torch.linalg.inv(torch.eye(kappa, dtype=F64) + J.mT @ J / gamma)
            torch.testing.assert_close(
                theory.optimal_covariance(J, gamma), twin, rtol=1e-9, atol=1e-10
            )
            values = theory.optimal_eigenvalues(J, gamma)
            torch.testing.assert_close(values, torch.linalg.eigvalsh(twin), rtol=1e-9, atol=1e-10)


def test_equation_83_is_the_limit_of_the_construction():
    """S_z S_zᵀ = U γ(JᵀJ)⁻¹ Uᵀ + N Nᵀ and [I + JᵀJ/γ]⁻¹ agree up to a relative O(γ)."""
    vae = optimal_vae(manifold("smooth_graph", "banana", r=2, d=8, seed=1), 5, seed=2)
    x = vae.truth.sample(10, seed=0)
    J = vae.jacobian(x) @ vae.basis[:, :2].T
    gaps = []
    for gamma in (1e-3, 1e-5):
        expected = theory.optimal_covariance(J, gamma)
        assert theory.relative_frobenius(vae.covariance(x, 1 / gamma), expected).max() < gamma
        gaps.append(
            theory.kl_between_covariances(vae.covariance(x, 1 / gamma), expected).mean().item()
        )
    assert gaps[1] < 2e-4 * gaps[0] * 1.5  # ½ Σ (γ/s²)² / 2 falls as γ²


def check_decoder_jacobian():
    generator = torch.Generator().manual_seed(1)
    layers = torch.nn.Sequential(
        torch.nn.Linear(3, 8),
        torch.nn.SiLU(),
        torch.nn.Linear(8, 12),
        torch.nn.Unflatten(1, (3, 2, 2)),
    )
    decoder, z = layers.double(), torch.randn(5, 3, dtype=F64, generator=generator)
    J = theory.decoder_jacobian(decoder, z)
    assert J.shape == (5, 12, 3)
    with torch.no_grad():
        for j in range(3):
            step = 1e-6 * torch.eye(3, dtype=F64)[j]
            twin = (decoder(z + step) - decoder(z - step)).flatten(1) / 2e-6
            torch.testing.assert_close(J[:, :, j], twin, rtol=1e-6, atol=1e-8)


def test_kl_between_covariances_against_torch():
    generator, family = torch.Generator().manual_seed(2), torch.distributions
    A, B = (torch.randn(4, 3, 3, dtype=F64, generator=generator) for _ in range(2))
    A, B = A @ A.mT + 0.1 * torch.eye(3), B @ B.mT + 0.1 * torch.eye(3)
    zero = torch.zeros(3, dtype=F64)
    twin = family.kl_divergence(
        family.MultivariateNormal(zero, A), family.MultivariateNormal(zero, B)
    )
    torch.testing.assert_close(theory.kl_between_covariances(A, B), twin)
    D = torch.diag_embed(1 / torch.linalg.inv(A).diagonal(dim1=1, dim2=2))
    torch.testing.assert_close(theory.diagonal_penalty(A), theory.kl_between_covariances(D, A))
    for wiggle in (0.9, 1.1):  # no other diagonal is better
        assert (theory.kl_between_covariances(wiggle * D, A) > theory.diagonal_penalty(A)).all()


def test_active_dimensions_and_their_uncertainty():
    generator = torch.Generator().manual_seed(3)
    values = torch.cat(
        [0.02 * torch.rand(200, 2, generator=generator) + 1e-3, torch.ones(200, 3) - 0.01], 1
    )
    active = theory.active_dimensions(values)
    assert (active.modal, active.fraction, active.mean) == (2, 1.0, 2.0)
    assert active.low > 0.98 and active.high > 1 - 1e-12
    assert active.gap[0] < 0.03 and active.gap[1] > 0.98
    assert abs(active.soft - 2) < 0.1
    mixed = values.clone()
    mixed[:20, 2] = 0.4
    active = theory.active_dimensions(mixed)
    assert (active.modal, active.fraction) == (2, 0.9)
    assert active.low < 0.9 < active.high
    assert active.gap[0] < 0.03 and abs(active.gap[1] - 0.4) < 1e-6
    assert theory.active_dimensions(torch.ones(3, 2)).modal == 0


def check_linear_optimum():
    for seed, (d, r, kappa) in enumerate(((10, 3, 6), (5, 4, 2), (4, 4, 4), (3, 2, 5))):
        C = linear_data(d, r, seed) + (1e-2 * torch.eye(d, dtype=F64) if seed == 1 else 0)
        for gamma in (2.0, 0.5, 0.05, 1e-3):
            best = linear_optimum(C, kappa, gamma)
            model = best.weights @ best.weights.T + gamma * torch.eye(d, dtype=F64)
            inverse = torch.linalg.inv(model)
            likelihood = 0.5 * (
                d * math.log(2 * math.pi) + torch.logdet(model) + (C @ inverse).trace()
            )
            assert abs(best.cost - likelihood.item()) < 1e-9 * max(1, abs(likelihood.item()))
            scale = best.sigma_z.sqrt()
            data, divergence = linear_cost(C, best.weights, best.encoder, scale, gamma)
            assert (
                abs(data.item() - best.data_term) < 1e-9
                and abs(divergence.item() - best.kl_term) < 1e-9
            )
            J = theory.decoder_jacobian(
                lambda z, W=best.weights: z @ W.T, torch.zeros(1, kappa, dtype=F64)
            )
            torch.testing.assert_close(
                theory.optimal_covariance(J, gamma)[0], best.sigma_z, rtol=1e-10, atol=1e-12
            )
            values, _ = theory.spectrum(C)
            assert best.n_active == min(kappa, int((values > gamma).sum()))


def check_linear_cost_by_sampling():
    C = linear_data(4, 2, 3) + 0.05 * torch.eye(4, dtype=F64)
    generator = torch.Generator().manual_seed(4)
    W, V, S = (
        torch.randn(*shape, dtype=F64, generator=generator) for shape in ((4, 3), (3, 4), (3, 3))
    )
    gamma, n = 0.7, 200_000
    x = torch.randn(n, 4, dtype=F64, generator=generator) @ torch.linalg.cholesky(C).T
    mu = x @ V.T
    z = mu + torch.randn(n, 3, dtype=F64, generator=generator) @ S.T
    data = (x - z @ W.T).square().sum(1) / gamma + 4 * math.log(2 * math.pi * gamma)
    sigma, family = S @ S.T, torch.distributions
    prior = family.MultivariateNormal(torch.zeros(3, dtype=F64), torch.eye(3, dtype=F64))
    divergence = 2 * family.kl_divergence(
        family.MultivariateNormal(mu, sigma.expand(n, 3, 3)), prior
    )
    for exact, sampled in zip(linear_cost(C, W, V, S, gamma), (data, divergence), strict=True):
        assert abs(exact.item() - sampled.mean().item()) < 5 * sampled.std().item() / math.sqrt(n)


def minimise_linear_cost(C, kappa, gamma, seed):
    """L-BFGS from small random weights; S diagonal, its logarithm free."""
    d = len(C)
    generator = torch.Generator().manual_seed(seed)
    start = 0.3 * torch.randn(2 * d * kappa + kappa, dtype=F64, generator=generator)

    def unpack(flat):
        W, V, log_s = flat.split([d * kappa, d * kappa, kappa])
        return W.reshape(d, kappa), V.reshape(kappa, d), log_s.exp().diag()

    def value_and_slope(array):
        flat = torch.from_numpy(array).requires_grad_()
        cost = 0.5 * sum(linear_cost(C, *unpack(flat), gamma))
        (slope,) = torch.autograd.grad(cost, flat)
        return cost.item(), slope.numpy()

    options = {"maxiter": 3000, "maxfun": 6000, "maxcor": 40, "ftol": 1e-16, "gtol": 1e-10}
    best = optimize.minimize(
        value_and_slope, start.numpy(), jac=True, method="L-BFGS-B", options=options
    )
    return best.fun, unpack(torch.from_numpy(best.x))


@pytest.mark.parametrize("gamma", [1.0, 0.2, 1e-1, 1e-2, 1e-3])
def test_an_optimiser_reaches_the_linear_optimum_and_no_lower(gamma):
    C = linear_data(10, 3, 0)
    exact = linear_optimum(C, 6, gamma)
    found, (W, _, S) = minimise_linear_cost(C, 6, gamma, seed=1)
    active = int((theory.optimal_eigenvalues(W[None], gamma) < 1 - 1e-4).sum())
    print(
        f"affine control gamma={gamma}: L - L* = {found - exact.cost:.1e}, active {active} of "
        f"{exact.n_active}"
    )
    assert -1e-10 < found - exact.cost < 1e-10
    assert active == exact.n_active == int((theory.spectrum(C)[0] > gamma).sum())
    torch.testing.assert_close(
        S.diagonal().square().sort().values,
        exact.sigma_z.diagonal().sort().values,
        rtol=1e-3,
        atol=1e-6,
    )


def test_linear_slopes_are_exact():
    C, gammas = linear_data(10, 3, 5), [1e-2, 1e-4, 1e-6]
    best = [linear_optimum(C, 6, g) for g in gammas]
    slopes = [
        slope_in_log_gamma(gammas, [getattr(b, name) for b in best])[0]
        for name in ("data_term", "kl_term", "cost")
    ]
    print(f"D13, D14 linear slopes {slopes}")
    assert [round(s, 9) for s in slopes] == [10.0, -3.0, 3.5]
    smallest = [b.sigma_z.diagonal()[0].log().item() for b in best]
    assert abs(slope_in_log_gamma(gammas, smallest)[0] - 1) < 1e-9
    for b in best:
        assert theory.active_dimensions(b.sigma_z.diagonal()[None]).modal == 3
        assert (b.sigma_z.diagonal()[3:] == 1).all()


def check_optimal_gamma():
    C = linear_data(6, 3, 1)
    costs = [linear_optimum(C, 4, g).cost for g in (1.0, 1e-1, 1e-2, 1e-4, 1e-8)]
    assert all(
        b < a for a, b in itertools.pairwise(costs)
    )  # Theorem 3: always a better, smaller gamma
    assert theory.optimal_gamma(C, 4) == 0.0
    full = C + 0.05 * torch.eye(6, dtype=F64)
    for kappa in (
        1,
        2,
        3,
        5,
    ):  # r = d with fewer latents: an interior optimum, found again by search
        search = optimize.minimize_scalar(
            lambda log_g, k=kappa: linear_optimum(full, k, math.exp(log_g)).cost,
            bounds=(-6, 2),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert abs(math.exp(search.x) / theory.optimal_gamma(full, kappa) - 1) < 1e-4
    exact = theory.optimal_gamma(full, 6)  # footnote 3: r = d = kappa, nothing gained below ℓ_d
    assert abs(exact - 0.05) < 1e-9
    at = linear_optimum(full, 6, 0.999 * exact).cost
    assert all(abs(linear_optimum(full, 6, g).cost - at) < 1e-9 for g in (1e-2, 1e-4, 1e-8))
    assert linear_optimum(full, 6, 2 * exact).cost > at


def check_linear_certified_optimum():
    """Gaussian data on a plane: the certified optimum is the linear cost."""
    chart = manifolds.charts.smooth_graph(2, 5, seed=1, bend=0.0)
    C = torch.tensor([[1.0, 0.3], [0.3, 0.5]], dtype=F64)
    truth = Manifold(chart, manifolds.gaussian(2, covariance=C))
    A = truth.jacobian(torch.zeros(1, 2, dtype=F64))[0]
    for gamma in (1e-3, 1e-6):
        exact = linear_optimum(A @ C @ A.T, 4, gamma).cost
        assert abs(theory.certified_optimum(truth, gamma) - exact) < 1e-4


CHECKS = {name: check for name, check in list(globals().items()) if name.startswith("check_")}


@pytest.mark.parametrize("name", CHECKS)
def test_check(name):
    CHECKS[name]()


# Slips: a wrong theory must be caught
# ---------------------------------------------------------------------------


def wrong_scale(factor, of):
    """A slip in S_z: `factor(γ)` in front of the r columns of the code, or of the others."""

    def wrong(right, vae, x, t):
        code, idle = right(vae, x, t).split([vae.r, vae.latent_dim - vae.r], 2)
        f = factor(1 / t)
        return torch.cat([f * code, idle] if of == "code" else [code, f * idle], 2)

    return wrapped(theory.OptimalVAE, "scale", wrong)


def swapped_basis(right, vae, x, t):
    return right(replace(vae, basis=vae.basis.roll(vae.r, 1)), x, t)


def r_for_d(right, vae, x, t, *given):
    data, divergence = right(vae, x, t, *given)
    return data - (vae.d - vae.r) * math.log(2 * math.pi / t), divergence


def upper_tail_as_it_is(right, log_cdf, log_sf):
    score = right(log_cdf, log_sf)
    return torch.where(log_sf < log_cdf, -score, score)


def wrong_codimension(right_plus):
    """A slip of the limit in which ½ (d − r) is `right_plus(d, r)` larger."""

    def wrong(right, truth, x, t):
        return right(truth, x, t) + right_plus(truth.d, truth.r) * math.log(2 * math.pi / t)

    return wrapped(theory, "nll_limit", wrong)


def without_2_pi(right, truth, gamma):
    return right(truth, gamma) - 0.5 * (truth.d - truth.r) * math.log(2 * math.pi)


def wrong_optimum(**parts):
    """A slip in some fields of the linear optimum, each a function of the right one and of κ."""

    def wrong(right, covariance, latent_dim, gamma):
        best = right(covariance, latent_dim, gamma)
        return replace(best, **{name: part(best, latent_dim) for name, part in parts.items()})

    return wrapped(theory, "linear_optimum", wrong)


def codes_for_pixels(best, kappa):
    d = len(best.weights)
    return best.data_term - (d - min(d, kappa)) * math.log(2 * math.pi * best.gamma)


def error_over_gamma_squared(right, covariance, weights, encoder, scale, gamma):
    data, divergence = right(covariance, weights, encoder, scale, gamma)
    constant = len(weights) * math.log(2 * math.pi * gamma)
    return constant + (data - constant) / gamma, divergence


def sum_of_the_rest(right, covariance, latent_dim):
    return right(covariance, latent_dim) * max(1, len(covariance) - latent_dim)


def half_the_covariance(right, truth):
    mean, covariance = truth.density.moments()
    return truth.with_density(manifolds.gaussian(truth.r, mean, 0.5 * covariance))


def r_for_d_in_the_noise(right, vae, x, t, *given):
    return right(vae, x, t, *given) + 0.5 * (vae.d - vae.r) * math.log(2 * math.pi / t)


SLIPS = {
    "γ for √γ in S_z": (
        wrong_scale(math.sqrt, "code"),
        (check_kl_goes_to_zero, check_scale_is_the_inverse_jacobian),
    ),
    "(JᵀJ)⁻¹ for its root": (
        wrapped(theory, "inverse_root", lambda right, J: right(J) @ right(J)),
        (check_scale_is_the_inverse_jacobian,),
    ),
    "V for Vᵀ in (JᵀJ)^(−½)": (
        rewritten(theory, "inverse_root", untransposed),
        (check_scale_is_the_inverse_jacobian,),
    ),
    "the Jacobian transposed": (
        wrapped(theory.OptimalVAE, "jacobian", lambda right, *given: right(*given).mT),
        (check_kl_goes_to_zero,),
    ),
    "h' for its inverse": (
        rewritten(theory.OptimalVAE, "jacobian", without_call("inv")),
        (check_scale_is_the_inverse_jacobian,),
    ),
    "a ½ lost in log p(x given z) or in log p(z)": (
        rewritten(theory.optimum, "loss", other_constant(0.5, 1.0)),
        (check_kl_against_gaussian_closed_form,),
    ),
    "U and N swapped": (
        wrapped(theory.OptimalVAE, "scale", swapped_basis),
        (check_kappa_split,),
    ),
    "half of N": (wrong_scale(lambda gamma: 0.5, "rest"), (check_kappa_split,)),
    "a 2 lost in the two terms": (
        rewritten(theory, "cost_terms", without_factor(2)),
        (check_cost_adds_up,),
    ),
    "r for d in the data term": (
        wrapped(theory, "cost_terms", r_for_d),
        (check_slopes_of_both_terms,),
    ),
    "√γ for γ in the convolution": (
        wrapped(Mixture, "convolve", lambda right, p, gamma: right(p, math.sqrt(gamma))),
        (check_decoder_density,),
    ),
    "½ γ for γ in the convolution": (
        wrapped(Mixture, "convolve", lambda right, p, gamma: right(p, 0.5 * gamma)),
        (check_decoder_density,),
    ),
    "the slope of Φ⁻¹ without its ½": (
        wrapped(theory.knothe, "log_phi", lambda right, z: right(z) - 0.5 * z.square()),
        (check_change_of_variables,),
    ),
    "the upper tail of Φ⁻¹ with the sign of the lower": (
        wrapped(theory.knothe, "normal_score", upper_tail_as_it_is),
        (check_change_of_variables,),
    ),
    "the rate of the KL without its ½": (
        wrapped(theory, "kl_rate_exact", lambda right, *given: 2 * right(*given)),
        (check_kl_goes_to_zero,),
    ),
    "a sign of the rate of the KL flipped": (
        rewritten(theory, "kl_rate_exact", minus_for_plus),
        (check_kl_goes_to_zero,),
    ),
    "15 for 6 in the rate of the KL": (
        rewritten(theory, "kl_rate_exact", other_constant(6, 15)),
        (check_kl_goes_to_zero,),
    ),
    "d − r for ½ (d − r)": (
        wrong_codimension(lambda d, r: 0.5 * (d - r)),
        (check_intercept,),
    ),
    "r for d − r": (wrong_codimension(lambda d, r: 0.5 * (2 * r - d)), (check_intercept,)),
    "minus the entropy": (
        wrapped(
            theory,
            "certified_optimum",
            lambda right, truth, gamma: right(truth, gamma) - 2 * truth.entropy(),
        ),
        (check_linear_certified_optimum,),
    ),
    "log γ for log 2πγ": (
        wrapped(theory, "certified_optimum", without_2_pi),
        (check_linear_certified_optimum,),
    ),
    "γ for √γ in the mass of a half-space": (
        wrapped(HalfSpace, "gaussian_mass", lambda right, A, x, gamma: right(A, x, gamma**2)),
        (check_masses,),
    ),
    "γ for √γ in the mass of a ball": (
        wrapped(Ball, "gaussian_mass", lambda right, A, x, gamma: right(A, x, gamma**2)),
        (check_mass_of_a_ball,),
    ),
    "the area of a tube without its curve's speed": (
        rewritten(theory, "mass_of_tube", without_method("norm")),
        (check_mass_of_a_tube,),
    ),
    "a tube of no mass": (
        wrapped(theory, "mass_of_tube", lambda right, *given: 0.0 * right(*given)),
        (check_mass_of_a_tube,),
    ),
    "γ for √γ in the mass under a graph": (
        rewritten(theory, "mass_under_graph", without_call("sqrt")),
        (check_mass_under_a_thick_graph,),
    ),
    "half the covariance in the wrong measure": (
        wrapped(theory, "wrong_measure", half_the_covariance),
        (check_wrong_measure,),
    ),
    "r for d in the lattice's noise": (
        wrapped(theory, "log_p_theta_lattice", r_for_d_in_the_noise),
        (check_lattice_on_a_curve,),
    ),
    "ℓ ≥ γ for ℓ > γ": (
        wrapped(theory.LinearOptimum, "n_active", lambda right, best: right(best) + 1),
        (check_strict_rule,),
    ),
    "a tail without its ½": (
        rewritten(theory.tails.LogTail, "conditionals", without_factor(2)),
        (check_heavy_tail,),
    ),
    "a truncated entropy without a 2": (
        rewritten(theory.tails, "truncated_entropy", without_factor(2)),
        (check_heavy_tail,),
    ),
    "a floor of the cost without its ½": (
        rewritten(theory.tails, "cost_floor", without_factor(0.5)),
        (check_cost_floor,),
    ),
    "few nodes at a large γ": (
        rewritten(theory, "kl_q_to_posterior", other_constant(1e3, 1.0)),
        (check_kl_far_from_its_limit,),
    ),
    "s for s² in Equation 83": (
        rewritten(theory.split, "_noise_shares", without_method("square")),
        (check_equation_83,),
    ),
    "γ² for γ in Equation 83": (
        wrapped(theory, "optimal_covariance", lambda right, J, gamma: right(J, gamma**2)),
        (check_equation_83,),
    ),
    "V for Vᵀ in Equation 83": (
        rewritten(theory, "optimal_covariance", untransposed),
        (check_equation_83,),
    ),
    "the decoder's Jacobian transposed": (
        wrapped(theory, "decoder_jacobian", lambda right, *given: right(*given).mT),
        (check_decoder_jacobian,),
    ),
    "ℓ − γ for its root": (
        rewritten(theory, "linear_optimum", without_method("sqrt")),
        (check_linear_optimum,),
    ),
    "√λ for λ": (
        wrong_optimum(sigma_z=lambda best, kappa: best.sigma_z.sqrt()),
        (check_linear_optimum,),
    ),
    "half of the linear KL": (
        wrong_optimum(kl_term=lambda best, kappa: 0.5 * best.kl_term),
        (check_linear_optimum,),
    ),
    "κ for d in the linear data term": (
        wrong_optimum(data_term=codes_for_pixels),
        (check_linear_optimum,),
    ),
    "a 2 lost in the linear cost": (
        rewritten(theory, "linear_cost", without_factor(2)),
        (check_linear_cost_by_sampling,),
    ),
    "γ² for γ in the linear cost": (
        wrapped(theory, "linear_cost", error_over_gamma_squared),
        (check_linear_cost_by_sampling,),
    ),
    "the optimal γ as a sum": (
        wrapped(theory, "optimal_gamma", sum_of_the_rest),
        (check_optimal_gamma,),
    ),
}


@pytest.mark.parametrize("name", SLIPS)
def test_the_slip_is_noticed(name):
    slip, checks = SLIPS[name]
    for wrong in slip.versions():
        for check in checks:
            with slip.in_place(wrong):
                assert red(check, (AssertionError, ValueError, RuntimeError)), wrong


# ---- Doors


def vertical_line_chart():
    return manifolds.Chart(
        "cusp",
        1,
        2,
        lambda u: torch.cat([u**3, u**2], 1),
        lambda x: x[:, :1].sign() * x[:, :1].abs() ** (1 / 3),
    )


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: optimal_vae(flat("skewed", 2), latent_dim=1), "expected κ ≥ r = 2, got 1"),
        (lambda: optimal_vae(manifold("circle")), "global chart"),
        (
            lambda: optimal_vae(
                Manifold(
                    manifolds.Chart("x", 2, 1, lambda u: u[:, :1], lambda x: x), manifolds.skewed(2)
                )
            ),
            "expected d ≥ r",
        ),
        (
            lambda: kl_q_to_posterior(
                optimal_vae(flat("skewed")), torch.zeros(1, 1, dtype=F64), 0.0
            ),
            "expected a finite number > 0",
        ),
        (
            lambda: theory.loss(optimal_vae(flat("skewed")), torch.zeros(1, 1, dtype=F64), -1.0),
            "expected a finite number > 0",
        ),
        (lambda: optimal_vae(flat("skewed")).sample(3, t=math.nan), "expected a finite number > 0"),
        (lambda: optimal_vae(flat("skewed")).encode(torch.zeros(1, 1)), "expected float64"),
        (
            lambda: optimal_vae(flat("skewed")).encode(torch.zeros(1, 3, dtype=F64)),
            r"shape \(n, 1\)",
        ),
        (
            lambda: theory.to_noise(
                manifolds.half_line(), torch.tensor([[1.0], [-2.0]], dtype=F64)
            ),
            r"\[-2.0\] \(row 1\)",
        ),
        (
            lambda: optimal_vae(Manifold(vertical_line_chart(), manifolds.gaussian(1))).scale(
                torch.zeros(1, 2, dtype=F64), 10.0
            ),
            "full rank 1",
        ),
        (lambda: theory.inverse_root(torch.ones(1, 3, 2, dtype=F64)), "full rank 2"),
        (lambda: theory.optimal_covariance(torch.ones(1, 2, 2), 0.0), "gamma"),
        (
            lambda: theory.optimal_covariance(torch.full((1, 2, 2), math.nan), 1.0),
            "J: expected finite numbers",
        ),
        (lambda: theory.active_dimensions(torch.ones(2, 2), threshold=1.5), "threshold"),
        (lambda: theory.active_dimensions(torch.zeros(2, 2)), "positive"),
        (lambda: linear_optimum(torch.ones(2, 3), 1, 1.0), "symmetric"),
        (lambda: linear_optimum(-torch.eye(2), 1, 1.0), "eigenvalues ≥ 0"),
        (lambda: linear_optimum(torch.eye(2), 0, 1.0), "latent_dim"),
        (lambda: slope_in_log_gamma([1e-1], [1.0]), "2 or more"),
        (lambda: theory.mass_under_graph(manifold("helix"), 1e2), "graph of a function"),
        (lambda: theory.wrong_measure(flat("cauchy")), "expected a Mixture"),
    ],
)
def test_errors_say_what_was_expected(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_rooms_are_lazy():
    import vaelab

    assert {"theory", "manifolds"} <= set(dir(vaelab))
    assert isinstance(manifolds.skewed(), Mixture)
