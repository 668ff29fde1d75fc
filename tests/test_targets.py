"""Trained toys against theory, more sharply than a notebook has time for. `pytest -s` prints every
figure.
"""

import statistics

import pytest

from vaelab import manifolds, theory, toys, training

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("one_thread")]


def toy(name, **options):
    return toys.standardised(manifolds.manifold(name, **options))


def shown(values, digits=3):
    return " ".join(f"{float(v):.{digits}g}" for v in values)


@pytest.mark.parametrize(
    ("r", "d", "kappa", "bend", "ladder", "steps", "hidden", "slope_error", "gap"),
    [
        (1, 3, 3, 1.0, (1e-1, 1e-2, 1e-3, 1e-4), (2000, 2000, 2000, 2500), (64, 64), 0.005, 0.05),
        (2, 10, 5, 0.5, (1e-1, 1e-2, 1e-3), (4000, 4000, 7000), (64, 64, 64), 0.01, 0.15),
    ],
)
def test_the_cost_follows_the_certified_optimum(
    r, d, kappa, bend, ladder, steps, hidden, slope_error, gap
):
    truth = toy("smooth_graph", r=r, d=d, bend=bend)
    found = [
        toys.measure(rung, truth) for rung in toys.train(truth, kappa, ladder, steps, hidden=hidden)
    ]
    for s in range(5):
        slope, _ = theory.slope_in_log_gamma(ladder[:3], [m.cost[s] for m in found[:3]])
        print(f"r={r} d={d} seed {s}: slope / expected {slope / ((d - r) / 2):.4f}")
        assert abs(slope / ((d - r) / 2) - 1) < slope_error
    scaled = [m.eigenvalues[:, :, :r].mean((1, 2)) / m.gamma for m in found[:3]]
    print("  λ of the active dimensions over γ:", "; ".join(map(shown, scaled)))
    # By Eq. 83 λ / γ = 1 / (s² + γ), s the decoder's slope: what stays the same is s².
    slopes = [1 / ratio - m.gamma for ratio, m in zip(scaled, found[:3], strict=True)]
    for squared in slopes:
        assert (squared / slopes[-1] - 1).abs().max() < 0.1
    for m in found:
        print(f"  γ = {m.gamma:.0e}: gaps in nats {shown(m.gap)}")
        assert -0.02 < m.gap.min() < gap and m.gap.max() < 2 * gap


@pytest.mark.parametrize(
    ("r", "d", "kappa", "bend", "floor"),
    [(1, 3, 3, 1.0, 5e-7), (2, 10, 5, 0.5, 2e-6), (3, 20, 6, 1.0, 1e-4)],
)
def test_a_learned_gamma_falls_far(r, d, kappa, bend, floor):
    truth = toy("smooth_graph", r=r, d=d, bend=bend)
    models = toys.members(truth, kappa, gamma="optimal")
    x = truth.sample(2**17, seed=0)
    plan = training.Plan(
        epochs=18, batch_size=256, lr=1e-2, betas=toys.BETAS, schedule=training.Cosine()
    )
    runs = training.fit_together(models, x, plan, toys.QUIET, seeds=range(len(models)))
    gammas = [model.gamma for model in models]
    mean = statistics.fmean(gammas)
    steps = plan.epochs * (len(x) // plan.batch_size)
    print(
        f"r={r} d={d}: γ = {mean:.2g} ({shown(gammas)}) after {steps} steps, "
        f"{runs[0].seconds:.0f} s for five seeds"
    )
    assert mean <= floor


NAMED = [
    ("sine_curve", {}, 3),
    ("arc", {"opening": 3.1416}, 3),
    ("graph_surface", {}, 4),
    ("smooth_graph", {"r": 2, "d": 10}, 5),
    ("smooth_graph", {"r": 3, "d": 20}, 8),
]


@pytest.mark.parametrize(("name", "options", "kappa"), NAMED)
def test_every_seed_splits_on_named_manifolds_of_one_chart(name, options, kappa):
    truth = toy(name, **options)
    for m in (
        toys.measure(rung, truth) for rung in toys.train(truth, kappa, (1e-2, 1e-3), (1500, 1500))
    ):
        print(
            f"{truth.chart.name}, γ = {m.gamma:.0e}: exact {shown(a.fraction for a in m.active)}, "
            f"Eq. 83 {shown(m.frobenius)} (Frobenius), {shown(m.kl_eq83)} nats, of which a "
            f"diagonal encoder cannot avoid {shown(m.penalty)}"
        )
        assert all(a.modal == truth.r and a.fraction >= 0.99 for a in m.active)
        if (
            name != "arc" or m.gamma < 0.005
        ):  # at γ = 1e-2 the arc bends too much near its ends, by 5 %
            assert m.frobenius.max() < 0.01
        if truth.r <= 2 and m.gamma < 0.005:  # arc and graph surface bend more than the others
            assert (m.kl_eq83 - m.penalty).max() < (
                0.03 if name in ("arc", "graph_surface") else 0.02
            )
        assert m.eigenvalues[:, :, truth.r :].amin(2).median(1).values.min() > 0.95


def test_a_full_encoder_has_the_covariance_of_eq_83():
    truth = toy("smooth_graph", r=2, d=10)
    for m in (
        toys.measure(rung, truth)
        for rung in toys.train(truth, 2, (1e-2, 1e-3), (1500, 1500), full=True)
    ):
        print(f"κ = r = 2, full Σ_z, γ = {m.gamma:.0e}: KL to Eq. 83 {shown(m.kl_eq83)} nats")
        assert m.kl_eq83.max() < 0.02


@pytest.mark.timeout(1800)
def test_random_manifolds_split_from_nearly_every_start():
    """r = 1..4 in d = 20 with κ = 10, five manifolds of each r, three initialisations of each."""
    right, best_exact, frobenius = [], [], []
    for r in (1, 2, 3, 4):
        for seed in range(5):
            truth = toy("smooth_graph", r=r, d=20, seed=seed)
            (rung,) = toys.train(truth, 10, steps=3000, n_seeds=3)
            m = toys.measure(rung, truth, n=512)
            right += [a.modal == r for a in m.active]
            best_exact.append(m.active[int(m.cost.argmin())].fraction)
            frobenius += m.frobenius.tolist()
            counts, exact = [a.modal for a in m.active], shown(a.fraction for a in m.active)
            print(f"r={r} manifold {seed}: r_hat {counts}, exact {exact}")
    n_best = sum(exact >= 0.99 for exact in best_exact)
    print(
        f"r_hat = r in {sum(right)} of {len(right)}; the cheapest of three exact on {n_best} of "
        f"{len(best_exact)} manifolds; Eq. 83: median {statistics.median(frobenius):.4f}"
    )
    assert sum(right) >= 0.95 * len(right) and n_best >= 18
    assert statistics.median(frobenius) < 0.005


@pytest.mark.parametrize(
    ("name", "kappa", "steps", "gap"),
    [("helix", 3, 3000, 0.1), ("arc", 3, 3000, 0.17), ("swiss_roll", 4, 4000, 0.2)],
)
def test_manifolds_that_wind_keep_r_dimensions_in_geodesic_order(name, kappa, steps, gap):
    truth = toy(name)
    assert toys.explain(truth).order == "geodesic"
    (rung,) = toys.train(truth, kappa, steps=steps, order="geodesic", seed=11)
    m = toys.measure(rung, truth, n=512)
    print(f"{name}, κ = {kappa}: gaps {shown(m.gap)}, exact {shown(a.fraction for a in m.active)}")
    assert all(a.modal == truth.r and a.fraction >= 0.99 for a in m.active)
    assert m.gap.max() < gap and m.frobenius.max() < 0.05
