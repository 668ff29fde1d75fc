"""Each closed form has a brute-force twin: torch's own distributions, Monte Carlo, finite
differences.
"""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from vaelab import networks, posteriors
from vaelab.posteriors import DiagonalNormal, FullNormal, Point
from vaelab.priors import StandardNormal

KINDS = ("diagonal", "full")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def build(kind, mean, raw):
    """A posterior from unconstrained parameters: mean (n, k) and raw (n, k) or (n, k, k)."""
    if kind == "diagonal":
        return DiagonalNormal(mean, (0.5 * raw).exp(), raw)
    return FullNormal(mean, raw.tril(-1) + torch.diag_embed(raw.diagonal(dim1=-2, dim2=-1).exp()))


def example(kind, n=4, k=3):
    shape = (n, k) if kind == "diagonal" else (n, k, k)
    return build(kind, normal(n, k), 0.7 * normal(*shape, seed=1))


def twin(q):
    """The same distribution by torch."""
    return MultivariateNormal(q.mean, q.covariance())


def standard_normal(k):
    return MultivariateNormal(
        torch.zeros(k, dtype=torch.float64), torch.eye(k, dtype=torch.float64)
    )


# ---- closed forms


@pytest.mark.parametrize("kind", KINDS)
def test_kl_is_that_of_torch(kind):
    q = example(kind)
    assert q.kl_to_standard_normal().shape == (4,)
    expected = kl_divergence(twin(q), standard_normal(3))
    torch.testing.assert_close(q.kl_to_standard_normal(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_kl_is_within_five_standard_errors_of_monte_carlo(kind):
    n = 40_000
    q = example(kind, n=1)
    rows = q[torch.zeros(n, dtype=torch.long)]
    z = rows.rsample(generator(2))
    log_ratio = rows.log_prob(z) - standard_normal(3).log_prob(z)
    error = (log_ratio.mean() - q.kl_to_standard_normal()).abs()
    assert error < 5 * log_ratio.std() / n**0.5


@pytest.mark.parametrize("kind", KINDS)
def test_log_prob_is_that_of_torch(kind):
    q, z = example(kind), normal(4, 3, seed=3)
    torch.testing.assert_close(q.log_prob(z), twin(q).log_prob(z), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_the_mean_and_covariance_that_q_says(kind):
    n = 40_000
    q = example(kind, n=1)
    z = q[torch.zeros(n, dtype=torch.long)].rsample(generator(4))
    centred = z - q.mean
    assert (centred.mean(0).abs() < 5 * z.std(0) / n**0.5).all()
    products = centred.unsqueeze(2) * centred.unsqueeze(1)
    assert ((products.mean(0) - q.covariance()[0]).abs() < 5 * products.std(0) / n**0.5).all()


@pytest.mark.parametrize("kind", KINDS)
def test_eigenvalues_are_those_of_the_covariance_in_ascending_order(kind):
    q = example(kind)
    torch.testing.assert_close(
        q.eigenvalues(), torch.linalg.eigvalsh(q.covariance()), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_at_and_rsample_agree(kind):
    q = example(kind)
    eps = torch.randn(4, 3, generator=generator(5), dtype=torch.float64)
    assert torch.equal(q.at(eps), q.rsample(generator(5)))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_with_finite_differences(kind):
    mean, eps = normal(2, 3).requires_grad_(), normal(2, 3, seed=6)
    raw = (0.5 * normal(*((2, 3) if kind == "diagonal" else (2, 3, 3)), seed=7)).requires_grad_()
    z = normal(2, 3, seed=8).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda m, r: build(kind, m, r).kl_to_standard_normal(), (mean, raw)
    )
    assert torch.autograd.gradcheck(lambda m, r: build(kind, m, r).at(eps), (mean, raw))
    assert torch.autograd.gradcheck(lambda m, r, z: build(kind, m, r).log_prob(z), (mean, raw, z))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_may_lie_along_several_axes(kind):
    """Six posteriors in three rows of two say what they say in one row of six."""
    q = example(kind, n=6)
    shaped = type(q)(**{name: t.unflatten(0, (3, 2)) for name, t in q.tensors().items()})
    z = normal(6, 3, seed=3)
    torch.testing.assert_close(shaped.log_prob(z.unflatten(0, (3, 2))).flatten(), q.log_prob(z))
    for ask in ("kl_to_standard_normal", "covariance", "eigenvalues"):
        found = getattr(shaped, ask)().flatten(0, 1)
        torch.testing.assert_close(found, getattr(q, ask)())


def test_the_kl_of_each_dimension_is_that_of_one_normal():
    q = example("diagonal")
    expected = kl_divergence(Normal(q.mean, q.sigma), Normal(0.0, 1.0))
    torch.testing.assert_close(q.kls_to_standard_normal(), expected)


@pytest.mark.parametrize("kind", ["point", "diagonal", "full"])
def test_a_scaled_distribution_is_that_of_scaled_codes(kind):
    mean = normal(5, 2)
    sigma = torch.rand(5, 2, generator=generator(), dtype=torch.float64) + 0.1
    q = {
        "point": lambda: Point(mean),
        "diagonal": lambda: DiagonalNormal(mean, sigma, 2 * sigma.log()),
        "full": lambda: FullNormal(mean, torch.diag_embed(sigma) + torch.ones(2, 2).tril(-1)),
    }[kind]()
    shift, eps = torch.tensor([3.0, -1.0]).double(), normal(5, 2, seed=1)
    scaled = q.scaled(shift, 4.0)
    torch.testing.assert_close(scaled.at(eps), (q.at(eps) - shift) / 4)
    if kind != "point":
        z = q.at(eps)
        lost = scaled.log_prob((z - shift) / 4) - q.log_prob(z)
        torch.testing.assert_close(lost, torch.full_like(lost, 2 * math.log(4)))


def test_standard_normal_itself_has_no_kl():
    zero = torch.zeros(2, 3, dtype=torch.float64)
    assert torch.equal(build("diagonal", zero, zero).kl_to_standard_normal(), zero[:, 0])
    assert torch.equal(
        build("full", zero, zero.new_zeros(2, 3, 3)).kl_to_standard_normal(), zero[:, 0]
    )


# ---- rows


@pytest.mark.parametrize(
    "q", [Point(normal(4, 3)), example("diagonal"), example("full")], ids=["point", *KINDS]
)
def test_rows_are_taken_and_joined(q):
    again = posteriors.cat([q[:1], q[torch.tensor([1, 2, 3])]])
    assert len(again) == len(q) == 4 and type(again) is type(q)
    assert all(torch.equal(getattr(again, name), value) for name, value in vars(q).items())
    assert q.to(torch.float32).mean.dtype == torch.float32


def test_a_point_has_no_noise_and_no_density():
    q = Point(normal(4, 3))
    assert (
        torch.equal(q.rsample(), q.mean) and not q.eigenvalues().any() and not q.covariance().any()
    )
    assert q.covariance().shape == (4, 3, 3)
    for call in (lambda: StandardNormal().kl(q, q.mean), lambda: q.log_prob(q.mean)):
        with pytest.raises(TypeError, match=r"a point code .* expected a Gaussian posterior"):
            call()


def test_draws_leave_the_global_random_state_alone():
    before = torch.get_rng_state()
    example("diagonal").rsample(generator())
    assert torch.equal(before, torch.get_rng_state())


# ---- heads


def head(kind, **arguments):
    with networks.seeded(0):
        return kind(networks.mlp(5, latent_dim=3), **arguments).double()


def features():
    return normal(4, 128 + 5)


def test_diagonal_head_reads_log_sigma_squared():
    net = head(posteriors.DiagonalGaussian)
    mean, log_var = net.parameters_of_q(features()).chunk(2, -1)
    q = net(features())
    assert torch.equal(q.mean, mean)
    torch.testing.assert_close(
        q.covariance().diagonal(dim1=1, dim2=2).log(), log_var, rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(q.log_var, log_var)


def test_infogan_head_reads_sigma_through_a_softplus():
    with networks.seeded(0):
        net = posteriors.DiagonalGaussian(networks.infogan(1, 8, latent_dim=3)).eval()
    x = torch.randn(4, 1024, generator=generator())
    raw = net.parameters_of_q(x)[:, 3:]
    q = net(x)
    torch.testing.assert_close(q.sigma, 1e-6 + torch.log1p(raw.exp()))
    torch.testing.assert_close(q.log_var, 2 * q.sigma.log())


def test_full_head_is_lower_triangular_with_positive_diagonal():
    q = head(posteriors.FullGaussian)(features())
    assert (
        torch.equal(q.scale_tril, q.scale_tril.tril())
        and (q.scale_tril.diagonal(dim1=1, dim2=2) > 0).all()
    )
    below = q.scale_tril[:, 1, 0]
    assert below.unique().numel() == len(below) and below.all()


def test_full_head_reaches_every_covariance():
    net, target = (
        head(posteriors.FullGaussian),
        torch.tensor([[2.0, 0.8, 0], [0.8, 1, -0.3], [0, -0.3, 0.5]]).double(),
    )
    log_d = torch.linalg.cholesky(target).diagonal().log()
    unit = torch.linalg.cholesky(target) / log_d.exp().unsqueeze(1)
    with torch.no_grad():
        net.parameters_of_q.weight.zero_()
        net.parameters_of_q.bias.copy_(
            torch.cat((torch.zeros(3).double(), log_d, unit[net.below[0], net.below[1]]))
        )
    torch.testing.assert_close(net(features()).covariance()[0], target)


def test_constant_head_has_one_sigma():
    q = head(posteriors.ConstantGaussian, sigma=0.7)(features())
    torch.testing.assert_close(q.covariance(), 0.49 * torch.eye(3).double().expand(4, 3, 3))
    reference = kl_divergence(Normal(q.mean, q.sigma), Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(q.kl_to_standard_normal(), reference)


@pytest.mark.parametrize("sigma", [0, -1, float("nan")])
def test_constant_sigma_must_be_positive(sigma):
    with pytest.raises(ValueError, match="sigma: expected a finite number > 0, got"):
        head(posteriors.ConstantGaussian, sigma=sigma)


# ---- a flow on top


def flow(k=3, n=4, **arguments):
    """A flow posterior of n images, with features made up, in float64; weights pulled up so that it
    bends.
    """
    with networks.seeded(0):
        nets = networks.mlp(5, k, hidden=(6,))
        head = posteriors.FlowGaussian(
            nets, transforms=2, hidden=(8,), n_context=4, **arguments
        ).double()
    with networks.seeded(1), torch.no_grad():
        [p.add_(0.3 * torch.randn_like(p)) for p in head.flow.parameters()]
    return head(nets.encoder.double()(normal(n, 5)))


def test_log_prob_of_a_flow_is_the_change_of_variables():
    q = flow()
    eps = normal(4, 3, seed=2)
    z = q.at(eps)
    for i in range(4):
        jacobian = torch.autograd.functional.jacobian(
            lambda e, i=i: q[i : i + 1].at(e[None])[0], eps[i]
        )
        expected = Normal(0.0, 1.0).log_prob(eps[i]).sum() - jacobian.det().abs().log()
        assert q.log_prob(z)[i].item() == pytest.approx(expected.item(), abs=1e-9)
    assert not torch.allclose(z - q.mean, q.sigma * eps, atol=0.1)  # it does bend


def test_a_flow_is_a_density_and_kl_is_unbiased():
    q = flow(k=1, n=1)
    low, high = (
        q.at(torch.full((1, 1), e, dtype=torch.float64)).item() for e in (-9, 9)
    )  # T is monotone
    z = torch.linspace(low, high, 40_001, dtype=torch.float64)[:, None]
    rows = q[torch.zeros(len(z), dtype=torch.long)]
    log_q = rows.log_prob(z).detach()
    density, step = log_q.exp(), (high - low) / 40_000
    assert (density.sum() * step).item() == pytest.approx(1, abs=1e-4)
    kl = (density * (log_q - Normal(0.0, 1.0).log_prob(z[:, 0]))).sum() * step
    many = q[torch.zeros(20_000, dtype=torch.long)]
    at = StandardNormal().kl(many, many.rsample(generator(3))).detach()
    assert abs(at.mean() - kl) < 5 * at.std() / 20_000**0.5


def test_a_flows_covariance_is_that_of_its_tangent():
    q, h = flow(), 1e-6
    steps = torch.eye(3, dtype=torch.float64) * h
    scale = torch.stack(
        [(q.at(e.expand(4, 3)) - q.at(-e.expand(4, 3))) / (2 * h) for e in steps], 2
    ).detach()
    torch.testing.assert_close(q.covariance().detach(), scale @ scale.mT, rtol=1e-5, atol=1e-9)
    expected = torch.linalg.eigvalsh(scale @ scale.mT)
    torch.testing.assert_close(q.eigenvalues().detach(), expected, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(q.mean, q.at(torch.zeros(4, 3, dtype=torch.float64)))


def test_flows_are_cut_joined_and_cast_like_the_others():
    q = flow()
    eps = normal(4, 3, seed=2)
    again = posteriors.cat([q[:1], q[1:]])
    assert torch.equal(again.at(eps), q.at(eps)) and len(q[:3]) == 3
    assert q.to(torch.float32).at(eps.float()).dtype == torch.float32
    assert set(q.tensors()) == {"mean", "sigma", "log_var", "base_mean", "context"}
    assert q.kl_to_standard_normal() is None


def test_an_old_flow_is_zukos():
    """The couplings that old folders hold: zuko's flow from codes to noise, run from noise on."""
    flows = pytest.importorskip("zuko.flows")
    with networks.seeded(0):
        theirs = flows.MAF(3, 2, transforms=2, passes=2, hidden_features=(8,))
    with networks.seeded(0):
        ours = posteriors.flow._ZukoCouplings(3, 2, 2, (8,))
    w, context = normal(4, 3).float(), normal(4, 2, seed=1).float()
    z = ours.inverse(w, context)
    again, log_det = ours(z, context)
    torch.testing.assert_close(again, w)
    log_p = Normal(0.0, 1.0).log_prob(z).sum(1) - log_det
    torch.testing.assert_close(theirs(context).log_prob(w), log_p)


@pytest.mark.parametrize("kind", KINDS)
def test_closed_forms_take_no_notice_of_the_draw(kind):
    q = example(kind)
    assert torch.equal(StandardNormal().kl(q, normal(4, 3, seed=5)), q.kl_to_standard_normal())


def test_a_full_normal_places_noise_by_its_factor():
    q = FullNormal(torch.ones(1, 2), torch.tensor([[[2.0, 0.0], [3.0, 4.0]]]))
    assert q.at(torch.tensor([[1.0, 10.0]])).tolist() == [[3.0, 44.0]]


def test_densities_of_many_codes_under_each_posterior():
    zeros = torch.zeros(4, 3)
    q = DiagonalNormal(zeros, zeros + 1, zeros)
    z = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))
    exact = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(q.log_prob(z), exact)
