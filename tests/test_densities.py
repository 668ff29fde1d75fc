"""What stands in for q(z): each density samples what its log_prob says, and the second stage is the
paper's.
"""

import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.mixture import BayesianGaussianMixture
from torch.distributions import MultivariateNormal

from vaelab import checkpoints, densities, likelihoods, metrics, models, networks, parts, priors
from vaelab.densities import (
    DirichletMixture,
    Empirical,
    Gaussian,
    GaussianMixture,
    SecondStage,
    StandardNormal,
    draw,
)
from vaelab.posteriors import DiagonalNormal, FullNormal, Point
from vaelab.training import Cosine, Hold, Session


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def clusters(n=600, sigma=0.1):
    """Posteriors around three corners: as far from N(0, I) as a second stage needs."""
    corners = torch.tensor([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    mean = corners[torch.arange(n) % 3] + 0.2 * torch.randn(n, 2, generator=generator())
    return DiagonalNormal(
        mean, torch.full_like(mean, sigma), torch.full_like(mean, sigma).log() * 2
    )


def quiet(checkpoint=None, every=60.0):
    return Session(device="cpu", progress=False, checkpoint=checkpoint, checkpoint_every=every)


def small_stage(**arguments):
    settings = {
        "epochs": 300,
        "batch_size": 100,
        "lr": 1e-2,
        "schedule": Cosine(),
        **arguments,
    }
    return SecondStage((32, 32), "silu", **settings)


@pytest.fixture(scope="module")
def fitted():
    return {
        "normal": StandardNormal().fit_codes(clusters()),
        "gaussian": Gaussian().fit_codes(clusters()),
        "mixture": GaussianMixture(3).fit_codes(clusters()),
        "dirichlet": DirichletMixture(6).fit_codes(clusters()),
        "second stage": small_stage().fit_codes(clusters()),
        "flow": small_flow().fit_codes(clusters()),
    }


def small_flow():
    return densities.Flow(4, (16, 16), epochs=60, lr=1e-2)


NAMES = ("normal", "gaussian", "mixture", "dirichlet", "second stage", "flow")


# ---- every density


@pytest.mark.parametrize("name", NAMES)
def test_draws_repeat_with_the_seed_and_leave_the_global_state_alone(fitted, name):
    density = fitted[name]
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = density.sample(7, seed=1)
    assert first.shape == (7, 2) and first.dtype == torch.float32
    assert torch.equal(first, density.sample(7, seed=1)) and not torch.equal(
        first, density.sample(7, seed=2)
    )
    assert (
        torch.equal(torch.get_rng_state(), before[0])
        and (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_density_comes_back_from_its_account(fitted, name):
    density = fitted[name]
    again = parts.rebuild(parts.account(density), checkpoints.makers())
    again.load_state(density.state_dict(), density.latent_dim)
    assert torch.equal(again.sample(9, seed=4), density.sample(9, seed=4))
    torch.testing.assert_close(again.log_prob(clusters().mean), density.log_prob(clusters().mean))


@pytest.mark.parametrize("name", NAMES)
def test_draws_live_where_log_prob_is_high(fitted, name):
    """E log p over own draws is minus an entropy; of any other distribution it is lower by a
    divergence.
    """
    density = fitted[name]
    z = density.sample(2000, seed=3)
    far = 3 * torch.randn(2000, 2, generator=generator())
    assert density.log_prob(z).mean() > density.log_prob(far).mean() + 1


@pytest.mark.parametrize("name", ["normal", "gaussian", "mixture", "dirichlet", "flow"])
def test_log_prob_integrates_to_one(fitted, name):
    axis = torch.linspace(-6, 6, 161)
    grid = torch.cartesian_prod(axis, axis)
    total = (
        fitted[name].log_prob(grid).double().exp().sum().item() * (axis[1] - axis[0]).item() ** 2
    )
    assert total == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", [StandardNormal, Gaussian, GaussianMixture, SecondStage])
def test_an_unfitted_density_says_so(kind):
    for call in (
        lambda d: d.sample(3),
        lambda d: d.log_prob(torch.zeros(2, 2)),
    ):
        with pytest.raises(
            NotFittedError, match=r"is not fitted yet; call fit\(model, images\) first"
        ):
            call(kind())


def test_unknown_densities_and_bad_counts_are_answered(fitted):
    with pytest.raises(parts.UnknownPart, match=r"unknown part .densities\.SecondStag."):
        parts.rebuild({"part": "densities.SecondStag", "with": {}}, checkpoints.makers())
    with pytest.raises(ValueError, match="n: expected a whole number ≥ 1, got 0"):
        fitted["mixture"].sample(0)
    with pytest.raises(ValueError, match="n_components: expected a whole number ≥ 1, got 0"):
        GaussianMixture(0)
    with pytest.raises(ValueError, match="10 components: expected at least 10 images, got 6"):
        GaussianMixture(10).fit_codes(clusters(6))


def test_fit_reads_the_codes_of_images():
    with networks.seeded(0):
        model = models.vae(networks.mlp(4, 2, (8,)))
    x = torch.randn(30, 4, generator=generator())
    direct = Gaussian().fit_codes(model.codes(x), seed=1)
    assert torch.equal(Gaussian().fit(model, x, seed=1).sample(3), direct.sample(3))


# ---- closed forms


def test_standard_normal_is_that_of_torch():
    z = clusters().mean.double()
    normal = StandardNormal().fit_codes(clusters())
    twin = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    torch.testing.assert_close(normal.log_prob(z), twin.log_prob(z))
    assert normal.sample(3).shape == (3, 2)


def test_gaussian_has_the_moments_of_the_codes(fitted):
    z = draw(clusters(), 0).double()
    twin = MultivariateNormal(z.mean(0), z.T.cov(correction=0) + 1e-6 * torch.eye(2))
    torch.testing.assert_close(
        fitted["gaussian"].log_prob(z), twin.log_prob(z), rtol=1e-6, atol=1e-8
    )


@pytest.mark.parametrize("density", [Gaussian(), GaussianMixture(3), DirichletMixture(6)])
@pytest.mark.parametrize("scale", [1e-2, 1e-5])
def test_small_codes_keep_their_spread(density, scale):
    """A density of cz is that of z, scaled: nothing absolute is added to a covariance."""
    small = clusters().scaled(torch.zeros(2), 1 / scale)
    z = draw(small, 1).double()
    by_scale = density.fit_codes(clusters()).log_prob(z / scale) - 2 * math.log(scale)
    assert (density.fit_codes(small).log_prob(z) - by_scale).abs().max() < 0.1
    torch.testing.assert_close(density.sample(5000).std(0), z.float().std(0), rtol=0.05, atol=0)


@pytest.mark.parametrize("density", [Gaussian(), DirichletMixture(2)])
def test_a_density_takes_every_seed_that_codes_are_drawn_with(density):
    z = Point(torch.rand(30, 2))
    same = [density.fit_codes(z, seed).mixture.means_ for seed in (5, 2**32 + 5, 2**63 - 2**32 + 5)]
    assert (same[0] == same[1]).all() and (same[0] == same[2]).all()
    constant = density.fit_codes(Point(torch.full((30, 2), 3.1)))
    assert constant.sample(9).sub(3.1).abs().max() < 0.01


def test_a_gaussian_takes_two_codes_and_no_fewer():
    gaussian = Gaussian().fit_codes(Point(torch.tensor([[1.0, 2.0], [3.0, 2.0]])))
    np.testing.assert_allclose(gaussian.mixture.means_, [[2.0, 2.0]])
    with pytest.raises(ValueError, match="1 components: expected at least 2 images, got 1"):
        Gaussian().fit_codes(Point(torch.zeros(1, 2)))


def test_the_dirichlet_mixture_is_scikit_learns_with_concentration_1_over_k():
    """Stopped after a hundred iterations, as the authors stop theirs."""
    z = torch.rand(600, 2, generator=generator())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # They are too few here.
        twin = BayesianGaussianMixture(
            n_components=6, max_iter=100, weight_concentration_prior=1 / 6, random_state=0
        ).fit(z.double())
        ours = DirichletMixture(6).fit_codes(Point(z))
    assert not twin.converged_
    np.testing.assert_allclose(ours.mixture.weights_, twin.weights_, rtol=1e-12)


def test_mixture_log_prob_is_the_log_of_the_sum(fitted):
    m, z = fitted["mixture"].mixture, draw(clusters(), 1).double()
    parts = zip(
        m.weights_, torch.from_numpy(m.means_), torch.from_numpy(m.covariances_), strict=True
    )
    total = sum(w * MultivariateNormal(mean, cov).log_prob(z).exp() for w, mean, cov in parts)
    torch.testing.assert_close(fitted["mixture"].log_prob(z), total.log(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["gaussian", "mixture"])
def test_mixture_draws_have_the_mixtures_mean_and_covariance(fitted, name):
    m, n = fitted[name].mixture, 40_000
    mean = m.weights_ @ m.means_
    second = np.einsum(
        "k,kij->ij", m.weights_, m.covariances_ + m.means_[:, :, None] * m.means_[:, None, :]
    )
    z = fitted[name].sample(n).double().numpy()
    products = z[:, :, None] * z[:, None, :]
    assert (abs(z.mean(0) - mean) < 5 * z.std(0) / n**0.5).all()
    assert (abs(products.mean(0) - second) < 5 * products.std(0) / n**0.5).all()


# ---- the second stage


def test_noise_is_on_for_z_and_off_for_x(fitted):
    second, n = fitted["second stage"], 20_000
    u, _ = torch.randn(2, n, 2, generator=generator(5))
    noise = (second.sample(n, seed=5) - second.vae.images(u)) / math.sqrt(second.gamma)
    assert noise.mean().abs() < 5 / (2 * n) ** 0.5 and noise.std().item() == pytest.approx(
        1, abs=5 / (4 * n) ** 0.5
    )
    with networks.seeded(0):
        model = models.vae(networks.mlp(4, 2, (8,)), gamma=100.0)
    z = second.sample(5)
    assert torch.equal(model.images(z), model.images(z))
    torch.testing.assert_close(model.images(z), model.eval().decode(z).detach())


def test_each_pass_over_the_codes_sees_other_draws(monkeypatch):
    seen, usual = [], models.Autoencoder.loss_terms
    monkeypatch.setattr(
        models.Autoencoder, "loss_terms", lambda self, x, g: seen.append(x) or usual(self, x, g)
    )
    small_stage(epochs=2, batch_size=600).fit_codes(clusters())
    first, second = (x.sort(0).values for x in seen)
    assert not torch.equal(first, second)
    orders = (torch.randperm(600, generator=generator(epoch)) for epoch in (0, 1))
    spread = [
        (x - clusters().mean[order]).std().item() for x, order in zip(seen, orders, strict=True)
    ]
    assert spread == pytest.approx([0.1, 0.1], rel=0.1)  # σ of q(z given x)


def test_second_stage_is_as_deep_as_its_data_and_learns_gamma(fitted):
    second = fitted["second stage"]
    assert second.vae.latent_dim == second.latent_dim == 2 and second.vae.image_shape == (2,)
    assert isinstance(second.vae.likelihood.log_gamma, torch.nn.Parameter) and second.gamma != 1
    assert second.vae.terms["kl"].beta == 1


def test_second_stage_samples_where_the_codes_are(fitted):
    z = draw(clusters(), 9)
    distance = {
        name: metrics.energy_distance(fitted[name].sample(600, seed=1), z) for name in NAMES
    }
    assert distance["second stage"] < 0.25 * distance["normal"]
    assert distance["second stage"] < 0.4 * distance["gaussian"]


def test_gamma_is_held_at_first_unless_told_otherwise():
    assert SecondStage().plan.gamma_schedule == Hold(1.0)
    second = small_stage(epochs=10, gamma_schedule=Hold(0.3)).fit_codes(clusters(100))
    assert second.run.history["gamma"][:4] == pytest.approx(0.3, rel=0.2)


def test_a_collapsed_second_stage_looks_perfect_to_mmd_and_samples_badly(fitted):
    """With γ held above the codes' eigenvalues nothing is encoded: q(u) = N(0, I), and the samples
    ignore the codes.
    """
    q = clusters()
    normal = torch.randn(600, 2, generator=generator(3))
    z = draw(q, 1)
    collapsed = small_stage(epochs=60, gamma_schedule=Hold(50.0, until=2.0)).fit_codes(q)
    assert collapsed.run.history["kl"][-1] < 0.01  # KL = 0
    assert abs(metrics.mmd2(collapsed.codes(z), normal)) < 0.02
    collapsed.vae.likelihood.gamma = (
        z.var().item()
    )  # even with the best γ its samples are one Gaussian
    bad, good = (
        metrics.energy_distance(d.sample(600, seed=1), z)
        for d in (collapsed, fitted["second stage"])
    )
    assert bad > 3 * good


def test_same_seed_same_second_stage():
    one, two, other = (
        small_stage(epochs=2).fit_codes(clusters(100), seed=s).sample(5) for s in (0, 0, 1)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_second_stage_resumes(tmp_path):
    first = small_stage(epochs=3).fit_codes(clusters(100), session=quiet(tmp_path / "a", 0))
    again = small_stage(epochs=3).fit_codes(clusters(100), session=quiet(tmp_path / "a"))
    assert torch.equal(first.sample(5), again.sample(5))


@pytest.mark.parametrize("hidden", [(8,), (8, 7)])
def test_scaling_back_is_a_change_of_units(hidden):
    stage = SecondStage(hidden)
    vae = stage.new_vae(2, 0).double().eval()
    vae.likelihood.gamma = 0.3
    shift, scale = torch.tensor([3.0, -1.0]).double(), 0.25
    w = torch.randn(6, 2, generator=generator(), dtype=torch.float64)
    before = vae.codes(w), vae.images(w), vae.likelihood.nll(w, vae.images(w))
    densities.second_stage.scale_back(vae, shift, scale)
    z = shift + scale * w
    torch.testing.assert_close(vae.codes(z).mean, before[0].mean)
    torch.testing.assert_close(vae.codes(z).sigma, before[0].sigma)
    torch.testing.assert_close(vae.images(w), shift + scale * before[1])
    assert vae.gamma == pytest.approx(0.3 * scale**2)
    nll = vae.likelihood.nll(z, vae.images(w))
    torch.testing.assert_close(nll, before[2] + 2 * math.log(scale))


def test_small_codes_need_standardising():
    """Codes of variance 1e-4, under a γ held at 1 that comes down from there."""
    small = clusters().scaled(torch.zeros(2), 100.0)
    z = draw(small, 1)
    plan = {"epochs": 80, "gamma_schedule": Hold(1.0, until=0.7)}
    distances = {}
    for standardise in (False, True):
        stage = small_stage(**plan, standardise=standardise).fit_codes(small)
        distances[standardise] = metrics.energy_distance(100 * stage.sample(600, 1), 100 * z)
    assert 5 * distances[True] < distances[False]
    point = small_stage(epochs=2).fit_codes(Point(small.mean))
    assert point.gamma < 1e-2 and small_stage(epochs=2).fit_codes(small).gamma > 0.1


def test_the_empirical_density_draws_the_codes_again():
    q = clusters(50)
    density = Empirical().fit_codes(q, seed=3)
    z = draw(q, 3)
    drawn = density.sample(2000, seed=1)
    same = (drawn[:, None] == z).all(-1)
    assert (same.sum(1) == 1).all()
    counts = same.sum(0)
    assert counts.min() > 10 and counts.max() < 80
    with pytest.raises(NotImplementedError, match="Empirical has no log-density"):
        density.log_prob(z)
    again = Empirical().load_state(density.state_dict(), 2)
    assert torch.equal(again.sample(5), density.sample(5))


def test_components_of_the_dirichlet_mixture_fade(fitted):
    weights = fitted["dirichlet"].state_dict()["weights"]
    assert (weights > 0.01).sum() == 3 and weights.sum().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "kind", "size"),
    [
        ("gmm-10", GaussianMixture, 10),
        ("gmm_50", GaussianMixture, 50),
        ("dirichlet-7", DirichletMixture, 7),
        ("mixture", GaussianMixture, 10),
        ("gaussian", Gaussian, 1),
        ("empirical", Empirical, None),
        ("second-stage", SecondStage, None),
        ("prior", densities.ModelPrior, None),
    ],
)
def test_densities_have_names(name, kind, size):
    made = densities.named(name, priors.StandardNormal())
    assert type(made) is kind and getattr(made, "n_components", None) == size


@pytest.mark.parametrize("name", ["gmm", "gmm-x", "gm-10", "dirichlet_0x", ""])
def test_an_unknown_name_lists_those_known(name):
    with pytest.raises(ValueError, match="density: expected one of 'prior', 'gaussian'"):
        densities.named(name, priors.StandardNormal())


@pytest.mark.parametrize("standardise", [False, True, None])
def test_a_second_stage_is_scaled_back_by_the_codes_own_units(standardise):
    """Before it has learned anything: points alone are standardised unless one says so."""
    z = 3 + 0.2 * torch.randn(40, 2, generator=generator())
    for codes in (z, z.new_full((40, 2), 5.0)):
        stage = SecondStage((8,), epochs=1, lr=1e-12, standardise=standardise)
        new = stage.new_vae(2, seed=4)
        stage.fit_codes(Point(codes), seed=4)
        shift, scale = torch.zeros(2), 1.0
        if standardise is not False:
            shift = codes.mean(0)
            scale = (codes - shift).square().sum().div(79).sqrt().item() or 1.0
        u = torch.randn(5, 2, generator=generator(1))
        torch.testing.assert_close(stage.vae.images(u), shift + scale * new.images(u))
        assert stage.gamma == pytest.approx(scale**2, rel=1e-5)


def test_codes_that_cannot_be_scaled_say_how_else():
    model = models.vae_flow(networks.mlp(3, 2, (4,)))
    q = model.codes(torch.rand(30, 3))
    with pytest.raises(
        NotImplementedError, match=r"FlowNormal .*train on it with standardise=False"
    ):
        SecondStage((4,), epochs=1, standardise=True).fit_codes(q)
    SecondStage((4,), epochs=1, standardise=False).fit_codes(q)


def test_the_history_of_a_second_stage_is_in_the_units_of_its_codes():
    z = 3 + 0.01 * torch.randn(400, 2, generator=generator()).double()
    plan = {"epochs": 3, "gamma_schedule": None, "standardise": True}
    stage = SecondStage((8,), **plan).fit_codes(Point(z))
    history = stage.run.history
    assert history["gamma"][-1] == pytest.approx(stage.gamma)
    still = SecondStage((8,), **plan, lr=1e-12).fit_codes(Point(z))
    nats = still.run.history
    found = still.vae.loss_terms(z.float(), generator())["nll"].mean().item()
    assert abs(nats["nll"] - found).max() < 1
    np.testing.assert_allclose(nats["loss"], nats["nll"] + nats["kl"])


@pytest.mark.parametrize("n", [1, 2])
def test_second_stages_fitted_at_once_are_those_fitted_alone(n):
    plan = {"epochs": 2, "batch_size": 20, "standardise": True}
    codes = [clusters(60).scaled(torch.tensor([1.0, 2.0]), scale) for scale in (0.1, 3.0)[:n]]
    stages = [SecondStage((6,), **plan) for _ in codes]
    densities.fit_second_stages(stages, codes, range(n))
    for seed, (stage, q) in enumerate(zip(stages, codes, strict=True)):
        alone = SecondStage((6,), **plan).fit_codes(q, seed)
        torch.testing.assert_close(stage.sample(5), alone.sample(5), rtol=1e-3, atol=1e-4)


# ---- log p(x)


class LinearGaussian(models.Autoencoder):
    """x = W z + b + √γ ε, whose marginal N(b, W Wᵀ + γ I) and posterior are known."""

    def __init__(self, gamma=0.3, stretch=1.0, d=5, k=2):
        super().__init__(networks.mlp(d, k, (2,)), likelihood=likelihoods.Gaussian(gamma))
        self.double()
        self.w, self.b = torch.randn(d, k, generator=generator()).double(), torch.arange(d).double()
        self.stretch = stretch
        self.covariance = torch.linalg.inv(torch.eye(k).double() + self.w.T @ self.w / self.gamma)

    def encode(self, x):
        mean = (x - self.b) @ self.w @ self.covariance / self.gamma
        scale = torch.linalg.cholesky(self.stretch * self.covariance)
        return FullNormal(mean, scale.expand(len(x), *scale.shape))

    def decode(self, z):
        return z @ self.w.T + self.b

    def log_p(self, x):
        cov = self.w @ self.w.T + self.gamma * torch.eye(len(self.b)).double()
        return MultivariateNormal(self.b, cov).log_prob(x)


def rows(model, n=6):
    return model.b + 2 * torch.randn(n, 5, generator=generator(1)).double()


def test_one_draw_is_exact_where_the_posterior_is():
    model = LinearGaussian()
    x = rows(model)
    torch.testing.assert_close(
        densities.log_prob_mc(model, x, n_samples=1), model.log_p(x), rtol=1e-7, atol=1e-7
    )


def test_many_draws_come_near_where_it_is_not():
    model = LinearGaussian(stretch=1.8)
    x = rows(model)
    torch.testing.assert_close(
        densities.log_prob_mc(model, x, n_samples=1000), model.log_p(x), rtol=0, atol=0.1
    )
    few = torch.stack(
        [densities.log_prob_mc(model, x, n_samples=1, seed=s) for s in range(100)]
    ).mean(0)
    assert (few < model.log_p(x)).all()  # a lower bound in expectation


@pytest.mark.parametrize("name", NAMES)
def test_log_prob_is_a_number_in_the_codes_own_type(fitted, name):
    z = draw(clusters(), 0)[:5]
    for each in (z.double(), z.clone().requires_grad_()):
        nats = fitted[name].log_prob(each)
        assert nats.dtype == each.dtype and np.isfinite(nats.numpy()).all()
    learned = models.flow_prior_vae(networks.mlp(3, 2, (4,)))
    assert checkpoints.model_prior(learned).log_prob(z.double()).numpy().dtype == np.float64


def test_the_density_takes_the_priors_place():
    model = LinearGaussian()
    x = rows(model)
    prior = Gaussian().fit_codes(
        Point(2 * torch.randn(5000, 2, generator=generator(2)).double() + 1)
    )
    mean, cov = (torch.from_numpy(a[0]) for a in (prior.mixture.means_, prior.mixture.covariances_))
    exact = MultivariateNormal(
        model.w @ mean + model.b, model.w @ cov @ model.w.T + model.gamma * torch.eye(5).double()
    ).log_prob(x)
    torch.testing.assert_close(
        densities.log_prob_mc(model, x, prior, n_samples=500), exact, rtol=0, atol=0.2
    )


def test_more_draws_than_memory_holds_are_refused():
    model = LinearGaussian()
    with pytest.raises(ValueError, match="n_samples=1000000000000: needs "):
        densities.log_prob_mc(model, rows(model), n_samples=10**12)


def test_where_no_draw_can_be_the_value_is_minus_infinity():
    class Nowhere(densities.Density):
        def log_prob(self, z):
            return torch.full((len(z),), -math.inf)

    model = LinearGaussian()
    assert densities.log_prob_mc(model, rows(model), Nowhere()).tolist() == 6 * [-math.inf]


def test_a_row_does_not_depend_on_its_neighbours_nor_gamma_on_the_look():
    with networks.seeded(0):
        model = models.vae(networks.mlp(4, 2, (8,)), gamma="optimal").double().train()
    x = torch.randn(6, 4, generator=generator()).double()
    torch.testing.assert_close(
        densities.log_prob_mc(model, x)[2:3], densities.log_prob_mc(model, x[2:3])
    )
    assert model.gamma == 1 and model.training


def test_a_point_code_has_no_log_prob():
    with networks.seeded(0):
        model = models.ae(networks.mlp(4, 2, (8,)))
    with pytest.raises(TypeError, match="expected a Gaussian posterior"):
        densities.log_prob_mc(model, torch.zeros(2, 4))
    with pytest.raises(TypeError, match="pass x / 255"):
        densities.log_prob_mc(model, torch.zeros(2, 4, dtype=torch.int64))


def test_a_nested_estimate_never_uses_its_own_noise_again(monkeypatch):
    with networks.seeded(0):
        model = models.vae(networks.mlp(3, 2, (4,)), gamma=0.1)
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    second = densities.SecondStage((4,), epochs=1).fit(model, x)
    seen, at = [], DiagonalNormal.at
    monkeypatch.setattr(
        DiagonalNormal, "at", lambda q, eps: seen.append(eps[0].clone()) or at(q, eps)
    )
    densities.log_prob_mc(model, x, second, n_samples=8)
    outer, inner = seen[0], torch.stack(seen[1:9])
    assert len(seen) == 8 + 8 * 16 and not (inner == outer).all(1).any()
    assert (
        len(torch.stack(seen).unique(dim=0)) == 8 + 16
    )  # each inner estimate repeats its own sixteen


# ---- a flow


def test_a_flow_fitted_afterwards_is_a_learned_prior_at_beta_0():
    """On codes that stand still both minimise the same sum: the density's only one, and that of the
    prior of a model at β = 0.
    """
    with networks.seeded(0):
        model = models.flow_prior_vae(networks.mlp(6, 3, (8,)), 1.0, 0.0, 2, (8,))
    x = torch.rand(20, 6, generator=generator())
    q = model.codes(x)
    z = q.rsample(generator(1))
    model.loss_terms(x, generator(1))["kl"].sum().backward()
    beside = [p.grad.clone() for p in model.prior.parameters()]
    model.zero_grad()
    (-model.prior.log_prob(z)).sum().backward()
    afterwards = [p.grad for p in model.prior.parameters()]
    assert all(torch.allclose(a, b, 1e-4, 1e-5) for a, b in zip(beside, afterwards, strict=True))
    assert all(p.grad is None or not p.grad.any() for p in model.encoder.parameters())


def test_a_flow_learns_from_minus_its_log_density():
    q = clusters()
    first, later = (densities.Flow(2, (8,), epochs=n, lr=1e-2).fit_codes(q) for n in (1, 8))
    nll = -later.log_prob(draw(q, 9)).mean().item()
    assert later.latent_dim == 2 and later.sample(3).shape == (3, 2)
    assert later.run.history["nll"][-1] == pytest.approx(nll, abs=0.1)
    assert nll < -first.log_prob(draw(q, 9)).mean().item() - 0.1


def test_a_flow_is_fitted_nearly_as_well_as_the_truth_allows(fitted):
    """Its mean log-density on fresh draws is within a tenth of a nat of the mixture fitted."""
    fresh = draw(clusters(3000), 5)
    truth = fitted["mixture"].log_prob(fresh).mean()
    assert fitted["flow"].log_prob(fresh).mean() > truth - 0.1


def test_a_second_stage_adds_the_noise_of_its_decoder(fitted):
    stage = fitted["second stage"]
    u, noise = torch.randn(2, 50, 2, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        expected = stage.vae.images(u) + stage.gamma**0.5 * noise
    torch.testing.assert_close(stage.sample(50, seed=4), expected)


def test_a_mixture_draws_from_each_part_as_it_says(fitted):
    z = fitted["mixture"].sample(20_000, seed=0).double()
    mixture = fitted["mixture"].mixture
    mean = torch.from_numpy(mixture.weights_ @ mixture.means_)
    away = torch.from_numpy(mixture.means_) - mean
    within = torch.from_numpy(np.einsum("k,kij->ij", mixture.weights_, mixture.covariances_))
    between = torch.einsum("k,ki,kj->ij", torch.from_numpy(mixture.weights_), away, away)
    torch.testing.assert_close(z.mean(0), mean, rtol=0, atol=0.1)
    torch.testing.assert_close(torch.cov(z.T), within + between, rtol=0.1, atol=0.1)
