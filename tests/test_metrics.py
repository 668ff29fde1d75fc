"""Each measure against its definition, written out by brute force."""

import inspect
import itertools
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.stats
import torch

from vaelab import metrics


def normal(n, k, seed=0):
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def samples(n=23, m=31, k=3):
    return normal(n, k), 1.5 * normal(m, k, seed=1) + 0.3


def double_loop(x, y, skip):
    pairs = [
        (a - b).square().sum().item()
        for i, a in enumerate(x)
        for j, b in enumerate(y)
        if not (skip and i == j)
    ]
    return np.array(pairs)


def imq_by_hand(squared, k):
    return sum(2 * k * s / (2 * k * s + squared) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10))


# ---- MMD and energy distance


@pytest.mark.parametrize("block", [7, 512])
def test_mmd_is_the_double_loop(block, monkeypatch):
    monkeypatch.setattr(metrics.distances, "BLOCK", block)
    x, y = samples()
    xx, yy, xy = (
        imq_by_hand(double_loop(*p), 3).mean() for p in ((x, x, True), (y, y, True), (x, y, False))
    )
    assert metrics.mmd2(x, y) == pytest.approx(xx + yy - 2 * xy, abs=1e-12)


@pytest.mark.parametrize("block", [7, 512])
def test_energy_distance_is_the_double_loop(block, monkeypatch):
    monkeypatch.setattr(metrics.distances, "BLOCK", block)
    x, y = samples()
    xx, yy, xy = (
        np.sqrt(double_loop(*p)).mean() for p in ((x, x, True), (y, y, True), (x, y, False))
    )
    assert metrics.energy_distance(x, y) == pytest.approx(2 * xy - xx - yy, abs=1e-9)


@pytest.mark.parametrize("measure", [metrics.mmd2, metrics.energy_distance])
def test_equal_distributions_are_at_distance_zero_without_bias(measure):
    values = np.array(
        [measure(normal(20, 2, seed=2 * s), normal(25, 2, seed=2 * s + 1)) for s in range(300)]
    )
    assert abs(values.mean()) < 5 * values.std() / 300**0.5 and (values < 0).any()


def test_mmd_takes_another_kernel():
    x, y = samples()
    assert (
        metrics.mmd2(x, y, lambda squared, dimension: squared / dimension) < 0
    )  # −2/k ‖m_x − m_y‖², estimated
    expected = (
        -2
        / 3
        * ((x.mean(0) - y.mean(0)).square().sum() - x.var(0).sum() / 23 - y.var(0).sum() / 31)
    )
    assert metrics.mmd2(x, y, lambda squared, dimension: squared / dimension) == pytest.approx(
        expected.item()
    )


def test_the_kernel_is_its_formula():
    squared = torch.tensor([0.0, 1.0, 17.5]).double()
    expected = torch.tensor([imq_by_hand(s, 4) for s in squared.tolist()]).double()
    torch.testing.assert_close(metrics.imq()(squared, 4), expected)
    assert metrics.imq((0.3,))(squared, 4).tolist() == pytest.approx([1, 2.4 / 3.4, 2.4 / 19.9])


# ---- Fréchet


@pytest.mark.parametrize(("k", "constant"), [(1, 0), (3, 0), (20, 0), (20, 4), (60, 0)])
def test_frechet_distance_is_that_of_scipys_root(k, constant):
    x, y = samples(200, 150, k)
    x[:, :constant] = 0  # a singular covariance, as dead features have
    y = y @ normal(k, k, seed=5)
    (a, b), (m, n) = (
        (np.cov(s.numpy().T).reshape(k, k) for s in (x, y)),
        (s.numpy().mean(0) for s in (x, y)),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Matrix is")
        root = scipy.linalg.sqrtm(a @ b)
    expected = ((m - n) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * np.trace(root).real
    assert metrics.frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_known_gaussians():
    x = normal(50, 3)
    assert metrics.frechet_distance(x, x + torch.tensor([3.0, 4.0, 0.0])) == pytest.approx(
        25, abs=1e-6
    )
    scaled = metrics.frechet_distance(x, 3 * (x - x.mean(0)) + x.mean(0))
    assert scaled == pytest.approx(4 * x.var(0).sum().item())  # (3σ − σ)² for every direction


def test_frechet_distance_of_fewer_rows_than_features():
    x, y = samples(5, 6, 12)
    assert 0 < metrics.frechet_distance(x, y) < math.inf
    assert metrics.frechet_distance(x, x) == pytest.approx(0, abs=1e-6)


# ---- spectra and dimensions


def test_singular_values_are_those_of_the_second_moment():
    z = normal(40, 3) + 1
    moments = np.linalg.eigvalsh((z.T @ z).numpy() / 40)[::-1]
    np.testing.assert_allclose(metrics.singular_values(z), np.sqrt(moments), rtol=1e-10)


def test_singular_values_of_a_standard_normal_are_near_one():
    assert (metrics.singular_values(normal(20_000, 4)) - 1).abs().max() < 0.05


def test_active_dims_count_small_eigenvalues():
    eigenvalues = torch.tensor([[0.01, 0.02, 0.99], [0.01, 0.6, 1.0], [0.01, 0.3, 0.9]])
    assert (
        metrics.active_dims(eigenvalues) == 2
        and metrics.active_dims(eigenvalues.numpy(), threshold=0.95) == 2
    )
    assert metrics.active_dims(eigenvalues, threshold=0.015) == 1
    with pytest.raises(ValueError, match=r"threshold: expected a share between 0 and 1, .* got 0"):
        metrics.active_dims(eigenvalues, threshold=0)


def test_mean_squared_error_is_a_mean_over_everything():
    x, y = normal(6, 4), normal(6, 4, seed=1)
    expected = np.mean(
        [(a - b) ** 2 for a, b in zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)]
    )
    assert metrics.mean_squared_error(x, y) == pytest.approx(expected)
    assert metrics.mean_squared_error(x.numpy(), y.numpy()) == pytest.approx(expected)
    with pytest.raises(
        ValueError, match=r"expected two samples of one shape, got \(6, 4\) and \(6, 1\)"
    ):
        metrics.mean_squared_error(x, y[:, :1])


# ---- doors


def test_arrays_and_tensors_and_images_are_welcome():
    x, y = samples()
    for measure in (metrics.mmd2, metrics.energy_distance, metrics.frechet_distance):
        assert measure(x.numpy(), y) == measure(x, y) == measure(x.reshape(23, 1, 3), y)
        assert type(measure(x, y)) is float


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(1, 3), r"expected a sample \(n, κ\) of at least 2 rows, got shape \(1, 3\)"),
        (torch.zeros(5), r"of at least 2 rows, got shape \(5,\)"),
        (torch.full((5, 3), math.nan), "holds NaN or infinite values"),
        (torch.zeros(5, 2), "expected samples of one dimension, got 2 and 3"),
    ],
)
@pytest.mark.parametrize(
    "measure", [metrics.mmd2, metrics.energy_distance, metrics.frechet_distance]
)
def test_bad_samples_are_answered(measure, x, message):
    with pytest.raises(ValueError, match=message):
        measure(x, torch.zeros(5, 3))


def column(sample):
    return torch.as_tensor(sample)[:, 0]


SAMPLES = {
    "mmd2": metrics.mmd2,
    "energy_distance": metrics.energy_distance,
    "energy_test": metrics.energy_test,
    "conditional_entropy": lambda x, y: metrics.conditional_entropy(column(x), column(y)),
    "separability": lambda x, _: metrics.separability(x, [[0], [1]] * 3)[0],
    "step_variation": lambda x, _: metrics.step_variation(x),
    "nearest_share": lambda x, y: metrics.nearest_share(x, x, y),
    "diversity": lambda x, _: metrics.diversity(torch.as_tensor(x)[None]),
    "frechet_distance": metrics.frechet_distance,
    "sliced_wasserstein": metrics.sliced_wasserstein,
    "kernel_distance": metrics.kernel_distance,
    "mean_squared_error": metrics.mean_squared_error,
    "rank_correlation": lambda x, y: metrics.rank_correlation(column(x), column(y)),
    "singular_values": lambda x, _: metrics.singular_values(x),
    "inception_score": lambda x, _: metrics.inception_score(x, n_splits=2),
    "active_dims": lambda x, _: metrics.active_dims(x),
    "eigenvalue_counts": lambda x, _: metrics.eigenvalue_counts(x),
    "direction_variance": lambda x, _: metrics.direction_variance(torch.sin, x),
    "precision_recall": lambda x, y: metrics.precision_recall(x, y, 3, 11, 1),
    "f_score": lambda x, y: metrics.f_score(column(x), column(y)),
    "nearest": metrics.nearest,
}


def test_every_measure_is_asked_at_the_door():
    elsewhere = {"Kernel", "imq", "jacobians", "perceptual_diversity"}
    assert set(SAMPLES) == set(metrics.__all__) - elsewhere


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_measure_takes_numbers_that_are_not_finite(name, bad):
    x, y = normal(6, 3).abs(), normal(6, 3, seed=1).abs()
    x[4, 0] = bad
    with pytest.raises(ValueError, match=r"expected finite numbers, .* NaN or infinite values \(1"):
        SAMPLES[name](x, y)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("as_array", [torch.Tensor.int, torch.Tensor.numpy, torch.Tensor.tolist])
def test_whole_numbers_and_arrays_count_as_the_floats_they_are(name, as_array):
    pytest.importorskip("torchmetrics")
    x, y = torch.arange(18.0).reshape(6, 3), torch.arange(18.0).reshape(6, 3).square()
    measured = SAMPLES[name](as_array(x), as_array(y))
    torch.testing.assert_close(measured, SAMPLES[name](x, y), rtol=1e-6, atol=0, check_dtype=False)


@pytest.mark.parametrize("name", SAMPLES)
def test_no_measure_takes_an_empty_sample(name):
    with pytest.raises(ValueError, match=r"expected (a sample|at least one value)"):
        SAMPLES[name](torch.zeros(0, 3), torch.zeros(0, 3))


def test_large_whole_numbers_keep_their_digits():
    dates = torch.tensor([20_251_125_000, 20_251_125_001, 20_251_125_002])
    assert metrics.rank_correlation(dates, [1, 2, 3]) == pytest.approx(1)
    assert metrics.mean_squared_error(dates, dates + 1) == 1


def test_complex_numbers_are_no_sample():
    with pytest.raises(TypeError, match="expected real numbers, got"):
        metrics.mean_squared_error(torch.zeros(2, dtype=torch.complex64), [0, 0])


def test_noise_on_whole_number_codes_is_not_cut():
    w, z = normal(6, 3).float(), torch.tensor([[0, 1, 2], [3, 4, 5]])
    decode = lambda codes: codes @ w.T  # noqa: E731
    expected = metrics.direction_variance(decode, z.float())
    torch.testing.assert_close(metrics.direction_variance(decode, z), expected)
    turned = metrics.direction_variance(decode, z, directions=torch.eye(3, dtype=torch.long))
    torch.testing.assert_close(turned, expected)


def test_a_decoder_that_overflows_is_named():
    with pytest.raises(ValueError, match="decoded images: expected finite numbers"):
        metrics.direction_variance(lambda z: z / 0, torch.ones(2, 3))


@pytest.mark.parametrize("settings", [{"subset_size": 1}, {"subset_size": 0}, {"n_subsets": 0}])
def test_kernel_distance_names_a_bad_setting(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))}: expected"):
        metrics.kernel_distance(*samples(), **settings)


def test_kernel_distance_of_the_smallest_subsets_is_finite():
    pytest.importorskip("torchmetrics")
    assert all(map(math.isfinite, metrics.kernel_distance(*samples(), 1, 2)))


# ---- sliced Wasserstein


@pytest.mark.parametrize(("n", "m"), [(23, 31), (30, 30), (6, 18)])
def test_sliced_wasserstein_is_scipys_distance_along_each_direction(n, m):
    x, y = samples(n, m)
    theta = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    theta /= theta.norm(dim=0)
    by_scipy = [scipy.stats.wasserstein_distance(x @ t, y @ t) for t in theta.T]
    assert metrics.sliced_wasserstein(x, y, 5, p=1, seed=4) == pytest.approx(
        np.mean(by_scipy), rel=1e-12
    )


def test_sliced_wasserstein_of_squares_is_that_of_the_best_matching():
    x, y = samples(12, 18)
    x, y = (
        x.repeat_interleave(3, 0),
        y.repeat_interleave(2, 0),
    )  # 36 rows each: the same two samples
    theta = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    theta /= theta.norm(dim=0)
    costs = [(x @ t)[:, None].sub(y @ t).square().numpy() for t in theta.T]
    best = [cost[scipy.optimize.linear_sum_assignment(cost)].mean() for cost in costs]
    assert metrics.sliced_wasserstein(x[::3], y[::2], 4) == pytest.approx(
        math.sqrt(np.mean(best)), rel=1e-10
    )


def test_sliced_wasserstein_of_a_shift_has_a_closed_form():
    x, shift = normal(50, 4), torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    expected = shift.norm().item() / 2  # E (θᵀ shift)² = ‖shift‖² / κ
    assert metrics.sliced_wasserstein(x, x + shift, 40_000) == pytest.approx(expected, rel=0.01)
    assert metrics.sliced_wasserstein(x, x) == 0


@pytest.mark.parametrize("settings", [{"p": 3}, {"n_projections": 0}, {"seed": -1}])
def test_sliced_wasserstein_names_a_bad_setting(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        metrics.sliced_wasserstein(*samples(), **settings)


# ---- what torchmetrics measures


def test_kernel_distance_is_its_formula():
    pytest.importorskip("torchmetrics")
    x, y = samples(40, 40, 3)
    kernel = lambda a, b: (1 + (a @ b.T) / 3) ** 3  # noqa: E731
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    pairs = 40 * 39
    expected = (xx.sum() - xx.trace()) / pairs + (yy.sum() - yy.trace()) / pairs - 2 * xy.mean()
    mean, spread = metrics.kernel_distance(x, y, n_subsets=3)
    assert (
        mean == pytest.approx(expected.item(), rel=1e-5) and spread < 1e-5
    )  # every subset is the whole
    assert metrics.kernel_distance(x, y, 3, 20, seed=1) == metrics.kernel_distance(
        x, y, 3, 20, seed=1
    )
    assert metrics.kernel_distance(x, y, 3, 20, seed=1) != metrics.kernel_distance(
        x, y, 3, 20, seed=2
    )


def test_inception_score_is_its_formula():
    pytest.importorskip("torchmetrics")
    logits = 2 * normal(50, 4)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(7)
        halves = logits[torch.randperm(50)].softmax(1).chunk(2)
    expected = np.mean(
        [(p * (p.log() - p.mean(0).log())).sum(1).mean().exp().item() for p in halves]
    )
    assert metrics.inception_score(logits, n_splits=2, seed=7)[0] == pytest.approx(
        expected, rel=1e-6
    )
    sure = 50 * torch.eye(4).repeat(500, 1)
    assert metrics.inception_score(sure, n_splits=2)[0] == pytest.approx(4, rel=0.01)
    with pytest.raises(ValueError, match="n_splits: expected at least 2"):
        metrics.inception_score(logits, n_splits=1)


def test_measures_of_the_extra_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.image.kid", None)
    with pytest.raises(ImportError, match=r"needs torchmetrics .*pip install 'vaelab\[metrics\]'"):
        metrics.kernel_distance(normal(5, 2), normal(5, 2))


# ---- eigenvalues and directions


def test_eigenvalue_counts_are_a_histogram():
    values = torch.rand(30, 7, generator=torch.Generator().manual_seed(0))
    expected, _ = np.histogram(values.numpy(), bins=8, range=(0, 1))
    np.testing.assert_allclose(metrics.eigenvalue_counts(values, 8), expected / 210)
    assert metrics.eigenvalue_counts([0.3, 1.04, 2.0, 1.0], 2).tolist() == [0.25, 0.75]
    with pytest.raises(ValueError, match="expected all ≥ 0, got -0"):
        metrics.eigenvalue_counts([-0.1])


def test_direction_variance_of_a_linear_decoder_is_the_squared_column():
    w, z = normal(6, 3), normal(4, 3, seed=1)
    measured = metrics.direction_variance(lambda z: z @ w.T, z, n_draws=4000)
    np.testing.assert_allclose(measured, w.square().mean(0), rtol=5 * (2 / 4000) ** 0.5)
    turn = torch.linalg.qr(normal(3, 3, seed=2)).Q
    turned = metrics.direction_variance(lambda z: z @ w.T, z, directions=turn.T, n_draws=4000)
    np.testing.assert_allclose(turned, (w @ turn).square().mean(0), rtol=5 * (2 / 4000) ** 0.5)


def test_direction_variance_is_that_of_one_noise_for_all():
    z, axes = normal(4, 3), normal(2, 3, seed=1)
    noise = torch.randn(5, generator=torch.Generator().manual_seed(7)).double()
    by_hand = [torch.stack([(z + e * axis).exp() for e in noise]).var(0).mean() for axis in axes]
    found = metrics.direction_variance(torch.exp, z, axes, n_draws=5, seed=7)
    np.testing.assert_allclose(found, by_hand, rtol=1e-12)


def test_rank_correlation_is_that_of_ranks():
    x, y = normal(20, 1)[:, 0], normal(20, 1, seed=1)[:, 0]
    ranks = [np.argsort(np.argsort(a.numpy())) for a in (x, y)]
    assert metrics.rank_correlation(x, y) == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert metrics.rank_correlation(x, -x.exp()) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: metrics.rank_correlation([1, 2], [3, 3]),
            "rank correlation of a constant is not defined",
        ),
        (lambda: metrics.rank_correlation([1, 2], [3]), "two lists of equal length"),
        (
            lambda: metrics.direction_variance(lambda z: z, torch.zeros(2, 3), torch.eye(2)),
            "rows of 3 numbers",
        ),
        (
            lambda: metrics.direction_variance(lambda z: z, torch.zeros(2, 3), n_draws=1),
            "at least 2",
        ),
        (
            lambda: metrics.direction_variance(lambda z: z, torch.zeros(3)),
            r"expected codes \(n, κ\)",
        ),
    ],
)
def test_bad_arguments_are_answered(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- precision and recall, and the nearest rows


def islands(counts, seed):
    """Rows on far islands, so many on each."""
    centres = 100 * torch.arange(len(counts)).double()
    island = torch.repeat_interleave(torch.tensor(counts))
    return centres[island, None] + normal(len(island), 2, seed)


def curve_by_hand(p, q, angles):
    precision, recall = [], []
    for angle in angles:
        slope = math.tan(angle)
        alpha = sum(min(slope * a, b) for a, b in zip(p, q, strict=True))
        precision.append(alpha)
        recall.append(sum(min(a, b / slope) for a, b in zip(p, q, strict=True)))
    return np.array(precision), np.array(recall)


def test_precision_and_recall_are_those_of_histograms():
    data, samples = (30, 10, 0, 20, 40), (5, 0, 25, 60, 10)
    found = metrics.precision_recall(islands(samples, 0), islands(data, 1), 5, 101, 2)
    angles = np.linspace(1e-10, math.pi / 2 - 1e-10, 101)
    expected = curve_by_hand([n / 100 for n in data], [n / 100 for n in samples], angles)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    # At the ends stand the masses that each has where the other is.
    assert found[0].max() == pytest.approx(0.75) and found[1].max() == pytest.approx(0.9)


def test_f_score_finds_precision_and_recall():
    """Samples on one of four islands: all of it is data, a quarter of the data is met."""
    one, four = islands((40, 0, 0, 0), 0), islands((10, 10, 10, 10), 1)
    for samples, data, precision, recall in ((one, four, 1.0, 0.25), (four, one, 0.25, 1.0)):
        curve = metrics.precision_recall(samples, data, 4, n_runs=1)
        # F_8 of one pair is (1 + 64) P R / (64 P + R).
        pairs = [(float(p), float(r)) for p, r in zip(*curve, strict=True) if p > 0 and r > 0]
        for beta in (8.0, 0.125):
            by_hand = max((1 + beta**2) * p * r / (beta**2 * p + r) for p, r in pairs)
            assert metrics.f_score(*curve, beta) == pytest.approx(by_hand, rel=1e-12)
        assert metrics.f_score(*curve, 1 / 8) == pytest.approx(precision, abs=0.06)
        assert metrics.f_score(*curve, 8) == pytest.approx(recall, abs=0.06)


def test_precision_and_recall_of_equal_and_of_far_sets():
    x = normal(300, 3)
    assert metrics.f_score(*metrics.precision_recall(x, x, n_runs=2), 8) == pytest.approx(1)
    far = metrics.precision_recall(x, x + 100, 2, n_runs=1)
    assert metrics.f_score(*far) == pytest.approx(0, abs=1e-9)
    same = metrics.precision_recall(x, 1 + x, seed=3), metrics.precision_recall(x, 1 + x, seed=3)
    assert all(map(torch.equal, *same))
    once, twice = (metrics.precision_recall(x, 1 + x, n_runs=n)[0] for n in (1, 2))
    assert not torch.equal(once, twice)  # Each run has a seed of its own.
    with pytest.raises(ValueError, match="n_clusters: expected at most 46 rows, got 47"):
        metrics.precision_recall(*(normal(23, 2, s) for s in (0, 1)), n_clusters=47)


def test_nearest_is_the_least_of_all_distances():
    x, y = samples(600, 41)
    index, distance = metrics.nearest(x, y)
    for i in (0, 7, 511, 512, 599):
        each = [(x[i] - row).square().sum().sqrt().item() for row in y]
        assert index[i] == np.argmin(each) and distance[i].item() == pytest.approx(min(each))


def test_jacobians_agree_with_finite_differences():
    w = normal(6, 3)

    def decode(z):
        return torch.tanh(z @ w.T).unflatten(1, (2, 3))

    z = normal(1, 3, seed=2)
    found = metrics.jacobians(decode, z)
    assert found.shape == (1, 6, 3)
    for j in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[j] = 1e-6
        slope = (decode(z + step) - decode(z - step)).flatten(1) / 2e-6
        torch.testing.assert_close(found[:, :, j], slope, rtol=1e-7, atol=1e-8)


# ---- along and across a latent space


def test_conditional_entropy_is_the_joint_one_less_that_of_the_prediction():
    rng = np.random.default_rng(0)
    x, y = rng.random(500) < 0.3, rng.random(500) < 0.6
    y = np.where(rng.random(500) < 0.5, x, y)

    def entropy(values):
        shares = np.unique(values, return_counts=True)[1] / len(values)
        return -(shares * np.log2(shares)).sum()

    expected = entropy(2 * x + y) - entropy(x)
    assert metrics.conditional_entropy(x, y) == pytest.approx(expected, abs=1e-12)


def test_separability_is_1_where_a_plane_divides_and_2_to_the_e_where_nothing_does():
    z = torch.randn(600, 3, generator=torch.Generator().manual_seed(0))
    z = torch.cat([z, -z])
    plane = (z[:, 0] > 0).long()
    score, bits = metrics.separability(z, plane[:, None])
    assert score < 1.1 and bits.shape == (1,)
    ring = (z.norm(dim=1) > z.norm(dim=1).median()).long()
    score, bits = metrics.separability(100 * z + 5, torch.stack([plane, ring], 1))
    assert bits[0] < 0.1 and bits[1] > 0.97
    assert score == pytest.approx(math.exp(bits.sum()), rel=1e-6)


def test_separability_takes_no_notice_of_units():
    z = normal(400, 3)
    sides = (z[:, :1] + normal(400, 2, seed=1) > 0.5).long()
    units, shift = torch.tensor([1e-3, 1.0, 1e3]), torch.tensor([0.0, 5.0, -3e4])
    bits = metrics.separability(z, sides)[1]
    torch.testing.assert_close(metrics.separability(units * z + shift, sides)[1], bits)


def test_an_attribute_that_all_have_separates_nothing():
    with pytest.raises(ValueError, match=r"both values of each, \[1\] are constant"):
        metrics.separability(torch.randn(6, 2), [[0, 1], [1, 1], [0, 1], [1, 1], [0, 1], [1, 1]])


def test_step_variation_is_that_of_the_steps_lengths():
    paths = torch.randn(4, 7, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    steps = [[(b - a).square().sum() ** 0.5 for a, b in itertools.pairwise(p)] for p in paths]
    expected = [np.std(each) / np.mean(each) for each in steps]
    np.testing.assert_allclose(metrics.step_variation(paths), expected, rtol=1e-12)


def test_nearest_share_counts_whose_neighbour_it_is():
    rng = torch.Generator().manual_seed(0)
    x, a, b = torch.randn(3, 40, 2, dtype=torch.float64, generator=rng)
    expected = np.mean([(p - a).norm(dim=1).min() < (p - b).norm(dim=1).min() for p in x])
    assert metrics.nearest_share(x, a, b) == pytest.approx(expected)
    assert metrics.nearest_share(a, a, b) == 1
    with pytest.raises(ValueError, match="expected two sets of one size, got 40 and 39"):
        metrics.nearest_share(x, a, b[1:])


def test_diversity_is_the_mean_over_pairs():
    x = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    unit = x / x.norm(dim=-1, keepdim=True)
    pairs = [[(a - b).norm() for a, b in itertools.combinations(group, 2)] for group in unit]
    np.testing.assert_allclose(metrics.diversity(x), np.mean(pairs, 1), rtol=1e-7)
    assert metrics.diversity(torch.ones(1, 3, 2)).item() == pytest.approx(0, abs=1e-7)


def test_an_energy_test_rejects_as_often_as_it_says():
    """Under the null its p-values are even; against a shift it rejects."""
    draws = torch.randn(60, 40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    p = [metrics.energy_test(x[:20], x[20:], 99, k) for k, x in enumerate(draws)]
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01
    shifted = [metrics.energy_test(x[:20], x[20:] + 1.5, 99) for x in draws[:5]]
    assert max(shifted) <= 0.05 and min(shifted) == 0.01


def test_the_energies_of_the_test_are_the_distances():
    x, y = normal(9, 2), normal(7, 2, seed=1)
    means = [torch.cdist(a, b).mean() for a, b in ((x, y), (x, x), (y, y))]
    biased = 2 * means[0] - means[1] - means[2]
    generator, pooled, seen = torch.Generator().manual_seed(3), torch.cat([x, y]), []
    for _ in range(300):
        order = torch.randperm(16, generator=generator)
        a, b = pooled[order < 9], pooled[order >= 9]
        means = [torch.cdist(u, v).mean() for u, v in ((a, b), (a, a), (b, b))]
        seen.append(2 * means[0] - means[1] - means[2])
    expected = (1 + sum(bool(each >= biased) for each in seen)) / 301
    assert metrics.energy_test(x, y, 300, 3) == pytest.approx(expected)


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory):
    """A file of weights of SqueezeNet as torchvision saves them, random ones, and its layers."""
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1(weights=None).eval()
    path = tmp_path_factory.mktemp("weights") / "squeezenet1_1-0.pth"
    torch.save(network.state_dict(), path)
    return path, network.features


def test_perceptual_diversity_is_the_mean_lpips_over_pairs(squeezenet):
    """Zhang et al. (2018), Eq. 1, written out: channels of unit length, weighted squares, means."""
    lpips = pytest.importorskip("torchmetrics.functional.image.lpips")
    path, features = squeezenet
    x = torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    weights = Path(lpips.__file__).parent / "lpips_models" / "squeeze.pth"
    heads = torch.load(weights, "cpu", weights_only=True)
    shift, scale = (
        torch.tensor(v)[:, None, None] for v in ((-0.03, -0.088, -0.188), (0.458, 0.448, 0.45))
    )
    maps, seen = [], (2 * x.flatten(0, 1) - 1 - shift) / scale
    with torch.no_grad():
        for number, layer in enumerate(features[:13]):
            seen = layer(seen)
            if number in (1, 4, 7, 9, 10, 11, 12):
                maps.append(torch.nn.functional.normalize(seen, dim=1).unflatten(0, (2, 3)))
    expected = torch.zeros(2)
    for a, b in itertools.combinations(range(3), 2):
        for k, m in enumerate(maps):
            squares = (m[:, a] - m[:, b]).square() * heads[f"lin{k}.model.1.weight"]
            expected += squares.sum(1).mean((1, 2)) / 3
    found = metrics.perceptual_diversity(x, path, "squeeze")
    np.testing.assert_allclose(found, expected.detach(), rtol=1e-4)
    grey = metrics.perceptual_diversity(x[:, :, :1], path, "squeeze")
    twin = metrics.perceptual_diversity(x[:, :, :1].expand(-1, -1, 3, -1, -1), path, "squeeze")
    assert torch.equal(grey, twin) and not torch.equal(grey, found)


def test_lpips_says_what_it_wants(squeezenet, tmp_path):
    x, (path, _) = torch.rand(1, 2, 3, 32, 32), squeezenet
    with pytest.raises(FileNotFoundError, match=r"weights: no file .*none\.pth; expected torchv"):
        metrics.perceptual_diversity(x, tmp_path / "none.pth")
    with pytest.raises(ValueError, match="does not hold alexnet's"):
        metrics.perceptual_diversity(x, path, "alex")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match="does not hold vgg16's"):
        metrics.perceptual_diversity(x, tmp_path / "text.pth")
    for wrong in (x[0], x[:, :1], x[..., :28, :28], x.expand(-1, -1, 3, -1, -1)[:, :, :2]):
        with pytest.raises(ValueError, match=r"images: expected \(g, m ≥ 2, 1 or 3, height"):
            metrics.perceptual_diversity(wrong, path, "squeeze")
    with pytest.raises(ValueError, match="network"):
        metrics.perceptual_diversity(x, path, "resnet")
    with pytest.raises(ValueError, match="expected finite numbers"):
        metrics.perceptual_diversity(x / 0, path, "squeeze")


# ---- any input


NAN = torch.full((4, 2), math.nan)
BAD = (None, "abc", math.nan, math.inf, -1, 0, 1.5, torch.empty(0), torch.empty(0, 2), NAN)
BAD += (torch.tensor(1.0), torch.zeros(2, 2, 2), [1, [2]], object(), {}, NAN.to(torch.cfloat))
GOOD = {
    "decode": lambda z: z,
    "logits": torch.ones(20, 3).cumsum(0),
    "attributes": torch.arange(8) % 2,
    "eigenvalues": torch.tensor([[0.1, 0.9]]),
    "paths": torch.arange(8.0).reshape(2, 4),
}


def is_finite(result):
    if isinstance(result, (tuple, list)):
        return all(map(is_finite, result))
    return not isinstance(result, (float, torch.Tensor)) or bool(
        torch.as_tensor(result).isfinite().all()
    )


@pytest.mark.parametrize(
    "name", [n for n in metrics.__all__ if inspect.isfunction(getattr(metrics, n))]
)
def test_any_argument_is_taken_or_refused_in_words(name):
    pytest.importorskip("torchmetrics")
    rows = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    arguments = inspect.signature(getattr(metrics, name)).parameters
    fit = {
        n: GOOD.get(n, rows if p.default is p.empty else p.default) for n, p in arguments.items()
    }
    for argument in arguments:
        for value in BAD:
            try:
                result = getattr(metrics, name)(**fit | {argument: value})
            except (ValueError, TypeError) as error:
                said = str(error)
                words = ("expected", "masked", "pass ")
                assert any(word in said for word in words), (argument, value, said)
                assert "\n" not in said
            else:
                assert is_finite(result), (argument, value)


def test_sure_classes_have_a_finite_inception_score():
    pytest.importorskip("torchmetrics")
    logits = 1e6 * np.random.default_rng(0).normal(size=(20, 3))
    assert np.isfinite(metrics.inception_score(logits)).all()
