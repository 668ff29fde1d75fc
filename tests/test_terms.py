"""The latent and the decoder terms carry their weight, row by row."""

import math

import pytest
import torch

from vaelab import claims, metrics, models, networks, posteriors, priors, terms, training
from vaelab.posteriors import DiagonalNormal, Point
from vaelab.priors import StandardNormal
from vaelab.terms import (
    KL,
    MMD,
    Adversary,
    GradientPenalty,
    Pass,
    SquaredNorm,
    SquaredNormPenalty,
    WeightNorm,
)


def posterior():
    mean, log_var = torch.randn(
        2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    return DiagonalNormal(mean, (0.5 * log_var).exp(), log_var)


def passed(z, q=None, seed=None):
    """A pass of which only the codes are known, and the generator of seed 0 for the prior."""
    drawn = generator(seed) if seed is not None else None
    return Pass(z, Point(z) if q is None else q, z, None, None, StandardNormal(), drawn)


@pytest.mark.parametrize("beta", [0, 0.5, 1, 2.0])
def test_kl_carries_its_weight(beta):
    q = posterior()
    torch.testing.assert_close(KL(beta)(passed(q.mean, q)), beta * q.kl_to_standard_normal())


def test_a_kl_that_is_annealed_has_a_share_of_its_weight():
    q = posterior()
    for beta in (1.0, 2.0):
        term = KL(beta)
        term.share = torch.tensor(0.25)
        expected = 0.25 * beta * q.kl_to_standard_normal()
        torch.testing.assert_close(term(passed(q.mean, q)), expected)


def test_free_bits_are_free_below_lambda():
    """No gradient at all from a dimension whose KL is below λ, the whole from one above."""
    mean = torch.tensor([[0.1, 2.0]], dtype=torch.float64, requires_grad=True)
    log_var = torch.tensor([[-0.1, -1.0]], dtype=torch.float64, requires_grad=True)
    q = DiagonalNormal(mean, (0.5 * log_var).exp(), log_var)
    each = q.kls_to_standard_normal()
    assert each[0, 0] < 0.25 < each[0, 1]
    value = KL(0.5, free=0.25)(passed(mean, q))
    found = torch.autograd.grad(value.sum(), (mean, log_var), retain_graph=True)
    claims.check("L20", all(g[0, 0] == 0 for g in found), "below λ the gradient is exactly 0")
    assert value.tolist() == pytest.approx([0.5 * (0.25 + each[0, 1].item())], abs=1e-12)
    whole = torch.autograd.grad(q.kl_to_standard_normal().sum(), (mean, log_var))
    for some, every in zip(found, whole, strict=True):
        assert some[0, 1] == 0.5 * every[0, 1] != 0


def test_free_bits_want_a_kl_of_each_dimension():
    nets = networks.mlp(6, 3, (8,))
    model = models.Autoencoder(nets, prior=priors.FlowPrior(3), latent_term=KL(free=0.1))
    with pytest.raises(TypeError, match="expected a diagonal Gaussian and N"):
        model(torch.rand(4, 6))


@pytest.mark.parametrize("beta", [0, 1, 0.25])
def test_squared_norm_is_half_the_squared_length(beta):
    z = posterior().mean
    expected = torch.tensor(
        [beta * 0.5 * sum(v * v for v in row) for row in z.tolist()], dtype=torch.float64
    )
    torch.testing.assert_close(SquaredNorm(beta)(passed(z)), expected)


def test_gradient_of_the_squared_norm_is_the_code():
    z = posterior().mean.requires_grad_()
    SquaredNorm(0.5)(passed(z)).sum().backward()
    torch.testing.assert_close(z.grad, 0.5 * z.detach())


@pytest.mark.parametrize("beta", [-1, float("nan"), "big"])
@pytest.mark.parametrize("kind", [KL, SquaredNorm])
def test_beta_must_not_be_negative(kind, beta):
    with pytest.raises(ValueError, match="beta: expected a finite number ≥ 0, got"):
        kind(beta)


def test_a_point_code_has_no_kl():
    nets = networks.mlp(3, latent_dim=2)
    model = models.Autoencoder(nets, posteriors.PointHead(nets))
    with pytest.raises(TypeError, match="expected a Gaussian posterior, or SquaredNorm"):
        model.loss_terms(torch.zeros(2, 3))


# ---- MMD


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def codes(n=5, k=3, seed=1):
    return torch.randn(n, k, generator=generator(seed), dtype=torch.float64)


def prior(z):
    """What the term draws with a generator of seed 0."""
    return torch.randn(z.shape, generator=generator(), dtype=z.dtype)


def mmd_by_hand(z, p, scales):
    """The three means of Algorithm 2, pair by pair."""

    def k(x, y):
        squared = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
        return sum(2 * len(x) * s / (2 * len(x) * s + squared) for s in scales)

    z, p, n = z.tolist(), p.tolist(), len(z)
    pairs = [(i, j) for i in range(n) for j in range(n)]
    within = sum(k(z[i], z[j]) + k(p[i], p[j]) for i, j in pairs if i != j) / (n * (n - 1))
    return within - 2 * sum(k(z[i], p[j]) for i, j in pairs) / n**2


@pytest.mark.parametrize("weight", [1.0, 7.5])
def test_mmd_is_the_mean_over_pairs(weight):
    z, term = codes(), MMD(weight)
    rows = term(passed(z, seed=0))
    assert rows.shape == (5,)
    assert rows.mean().item() == pytest.approx(
        weight * mmd_by_hand(z, prior(z), term.scales), abs=1e-12
    )


def test_mmd_is_the_metric_of_that_name():
    z = codes(40, 8)
    assert MMD()(passed(z, seed=0)).mean().item() == pytest.approx(
        metrics.mmd2(z, prior(z)), abs=1e-12
    )


def test_gradient_of_mmd_agrees_with_finite_differences():
    z, term = codes().requires_grad_(), MMD(2.0)
    term(passed(z, seed=0)).mean().backward()
    step = torch.zeros_like(z)
    step[2, 1] = 1e-6
    with torch.no_grad():
        up, down = (term(passed(z + s, seed=0)).mean().item() for s in (step, -step))
    assert z.grad[2, 1].item() == pytest.approx((up - down) / 2e-6, rel=1e-6)


def test_mmd_pulls_codes_towards_the_prior():
    z = (3 + codes(64)).requires_grad_()
    MMD()(passed(z, seed=0)).mean().backward()
    assert (z.grad.mean(0) > 0).all()  # downhill is back to 0


def test_mmd_of_one_code_is_refused():
    with pytest.raises(ValueError, match="expected batch_size ≥ 2, got 1"):
        MMD()(passed(codes(1)))
    with pytest.raises(ValueError, match="weight: expected a finite number ≥ 0, got -1"):
        MMD(-1)
    with pytest.raises(ValueError, match="scales: expected a finite number > 0, got 0"):
        MMD(1.0, (1.0, 0))


# ---- the adversary


def adversary(**arguments):
    with networks.seeded(0):
        return Adversary(3, hidden=(6, 4), **arguments).double()


def test_adversary_is_minus_log_d():
    z, term = codes(), adversary(weight=2.5)
    logits = term.discriminator(z).squeeze(1).tolist()
    expected = [-2.5 * math.log(1 / (1 + math.exp(-logit))) for logit in logits]
    assert term(passed(z, seed=0)).tolist() == pytest.approx(expected, rel=1e-12)


def test_discriminators_own_loss_is_two_cross_entropies():
    z, term = codes(), adversary()
    real, fake = (torch.sigmoid(term.discriminator(x)).squeeze(1).tolist() for x in (prior(z), z))
    expected = [-math.log(a) - math.log(1 - b) for a, b in zip(real, fake, strict=True)]
    assert term.own_loss(z, prior(z)).tolist() == pytest.approx(expected, rel=1e-12)


def test_r1_is_the_squared_slope_of_the_discriminator_at_the_codes():
    plain, both = adversary(), adversary(penalty=0.7)
    z = codes()
    extra = both.own_loss(z, prior(z)) - plain.own_loss(z, prior(z))
    for i, row in enumerate(z):
        slope = torch.autograd.functional.jacobian(plain.discriminator, row)
        assert extra[i].item() == pytest.approx(0.35 * slope.square().sum().item(), abs=1e-12)
    extra.sum().backward()
    assert both.discriminator[0].weight.grad.any()


def test_each_player_gets_the_gradient_of_its_own_loss_and_no_other():
    term, z = adversary(weight=2.5), codes().requires_grad_()
    term(passed(z, seed=0)).mean().backward()
    ours = [p.grad.clone() for p in term.parameters()]
    own = torch.autograd.grad(term.own_loss(codes(), prior(z)).mean(), list(term.parameters()))
    for a, b in zip(ours, own, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)
    again = codes().requires_grad_()
    fooled = -2.5 * torch.sigmoid(term.discriminator(again)).log().mean()
    torch.testing.assert_close(z.grad, torch.autograd.grad(fooled, again)[0], rtol=1e-10, atol=0)


def test_the_discriminator_does_not_move_a_learned_prior():
    z = codes()
    term = adversary()
    drawn = prior(z).requires_grad_()
    p = passed(z)
    p.p = drawn
    term(p).mean().backward()
    assert drawn.grad is None and term.discriminator[0].weight.grad.any()


def test_adversary_has_four_layers_of_512_unless_told():
    with networks.seeded(0):
        layers = [m for m in Adversary(64).discriminator if isinstance(m, torch.nn.Linear)]
    sizes = [(m.in_features, m.out_features) for m in layers]
    assert sizes == [(64, 512), (512, 512), (512, 512), (512, 512), (512, 1)]
    with pytest.raises(ValueError, match="rate: expected a finite number > 0, got 0"):
        adversary(rate=0)


# ---- a prior that is learned


class Shifted(priors.Prior):
    """N(m, I), m learned."""

    def __init__(self):
        super().__init__()
        self.m = torch.nn.Parameter(torch.full((3,), 0.7, dtype=torch.float64))

    def at(self, eps):
        return eps + self.m


@pytest.mark.parametrize("kind", ["mmd", "adversary"])
def test_a_learned_prior_has_its_own_loss_at_full_weight_and_the_codes_their_share(kind):
    term = MMD(0.3) if kind == "mmd" else adversary(weight=0.3)
    learned, z = Shifted(), codes().requires_grad_()
    value = term(Pass(z, Point(z), z, None, None, learned, generator()))
    found = torch.autograd.grad(value.mean(), (z, learned.m))
    drawn = prior(z) + learned.m
    if kind == "mmd":
        fixed = passed(z)
        fixed.p = drawn
        loss = of_codes = MMD()(fixed)
    else:
        of_codes = -torch.sigmoid(term.discriminator(z)).log().squeeze(1)
        loss = -torch.log1p(-torch.sigmoid(term.discriminator(drawn)))
    torch.testing.assert_close(value, 0.3 * of_codes)
    (own,) = torch.autograd.grad(loss.mean(), learned.m, retain_graph=True)
    (share,) = torch.autograd.grad(of_codes.mean(), z)
    torch.testing.assert_close(found, (0.3 * share, own))


# ---- the decoder terms


def decoded(model, n=3, repeat=1, seed=0):
    """A pass of a model in evaluation mode, whose codes are `n` draws, each `repeat` times."""
    z = torch.randn(n, model.latent_dim, generator=generator(4), dtype=torch.float64)
    z = z.repeat_interleave(repeat, 0)
    x = torch.zeros(len(z), *model.image_shape, dtype=torch.float64)
    return Pass(x, Point(z), z, model.decode, model.decoder, model.prior, generator(seed))


def decoder(build=lambda: networks.mlp(6, 3, (8,))):
    with networks.seeded(0):
        return models.ae(build()).double().eval()


def jacobians(model, z):
    """∂D/∂z of every code, column by column: shape (n, d, κ)."""
    each = [
        torch.autograd.functional.jacobian(lambda row: model.decode(row[None]).flatten(), row)
        for row in z
    ]
    return torch.stack(each)


@pytest.mark.parametrize("build", [networks.mlp, networks.rae], ids=["mlp", "rae"])
def test_weight_norm_sums_the_squares_of_the_decoders_matrices(build):
    nets = build(1, 8, 3, base=2) if build is networks.rae else build(6, 3, (8,))
    model = models.ae(nets).double()
    layers = [m for m in model.decoder.modules() if hasattr(m, "weight")]
    kept = [m.weight for m in layers if not isinstance(m, torch.nn.BatchNorm2d)]
    by_hand = sum(v * v for w in kept for v in w.flatten().tolist())
    rows = WeightNorm(0.5)(decoded(model))
    assert rows.tolist() == pytest.approx([0.5 * by_hand] * 3, rel=1e-12)


@pytest.mark.parametrize("probes", [1, 4])
@pytest.mark.parametrize("base", [0, 2], ids=["mlp", "rae"])
def test_gradient_penalty_is_the_jacobians_norm_in_the_mean(base, probes):
    nets = (lambda: networks.rae(1, 8, 3, base=2)) if base else (lambda: networks.mlp(6, 3, (8,)))
    model, repeat = decoder(nets), 2000
    p = decoded(model, repeat=repeat)
    exact = jacobians(model, p.z[::repeat])
    found = GradientPenalty(0.5, probes)(p).detach().unflatten(0, (3, repeat)).mean(1)
    expected = 0.5 * exact.square().sum((1, 2))
    # The variance of ‖Jᵀv‖² is 2 ‖JᵀJ‖².
    spread = 0.5 * (2 * (exact.mT @ exact).square().sum((1, 2)) / (probes * repeat)).sqrt()
    assert ((found - expected).abs() < 5 * spread).all()
    assert (spread < 0.06 * expected).all()


def test_squared_norm_penalty_is_the_slope_of_the_squared_length():
    model = decoder()
    p = decoded(model)
    x_hat = model.decode(p.z)
    slope = 2 * torch.einsum("nij,ni->nj", jacobians(model, p.z), x_hat.flatten(1))
    torch.testing.assert_close(SquaredNormPenalty(0.5)(p), 0.5 * slope.square().sum(1))


def test_its_gradient_in_the_weights_agrees_with_finite_differences():
    model = decoder()
    weight = model.decoder[1].weight
    for term in (SquaredNormPenalty(0.5), GradientPenalty(0.5)):
        weight.grad = None
        term(decoded(model)).sum().backward()
        with torch.no_grad():
            weight[3, 5] += 1e-5
            up = term(decoded(model)).sum().item()
            weight[3, 5] -= 2e-5
            down = term(decoded(model)).sum().item()
            weight[3, 5] += 1e-5
        assert weight.grad[3, 5].item() == pytest.approx((up - down) / 2e-5, rel=1e-6)


def test_an_image_that_turns_costs_the_gradient_penalty_alone():
    """D(z) = (cos z, sin z) has the slope 1 and the length 1 everywhere."""

    def turned(z):
        return torch.cat([z.cos(), z.sin()], 1)

    z = torch.linspace(-3, 3, 2000, dtype=torch.float64)[:, None]
    p = Pass(turned(z), Point(z), z, turned, torch.nn.Identity(), StandardNormal(), generator())
    assert SquaredNormPenalty(1.0)(p).abs().max() < 1e-30
    assert GradientPenalty(1.0)(p).mean().item() == pytest.approx(1, rel=5 * math.sqrt(2 / 2000))


def test_the_encoder_pays_for_the_latent_term_alone():
    with networks.seeded(0):
        model = models.rae_gp(networks.mlp(6, 3, (8,)))
    nats = model.loss_terms(torch.rand(5, 6), generator())
    nats["gradient_penalty"].sum().backward()
    assert model.decoder[1].weight.grad.any() and model.encoder[1].body[0].weight.grad is None


def test_batch_statistics_move_once_a_step():
    with networks.seeded(0):
        plain = models.rae(networks.rae(1, 8, 3, base=2))
    other = models.rae_gp(networks.rae(1, 8, 3, base=2))
    other.load_state_dict(plain.state_dict())
    x = torch.rand(6, 1, 8, 8)
    for model in (plain, other):
        model.train().loss_terms(x, generator())
    for name, value in plain.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


@pytest.mark.parametrize("kind", [WeightNorm, GradientPenalty, SquaredNormPenalty])
def test_a_decoder_terms_weight_is_checked(kind):
    with pytest.raises(ValueError, match="weight: expected a finite number ≥ 0, got -1"):
        kind(-1)
    with pytest.raises(ValueError, match="probes: expected"):
        GradientPenalty(1.0, 0)


def test_the_kernels_of_wae_are_their_formulas():
    """Scales that are no mirror image of one another, so that s is told from 1/s."""
    x, y = torch.zeros(1, 3), torch.tensor([[1.0, 2.0, 2.0]])
    values = [terms.mmd.KERNELS[name](x, y, [0.3]).item() for name in ("imq", "gaussian")]
    assert values == pytest.approx([1.8 / (1.8 + 9), math.exp(-9 / 1.8)], rel=1e-6)


def test_an_adversary_forgets_faster_than_a_weight():
    step = terms.Adversary(4, rate=0.5).step(training.Plan(epochs=1, lr=0.1))
    assert step == {"lr": 0.05, "betas": (0.5, 0.999), "weight_decay": 0.0}
