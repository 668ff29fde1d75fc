"""Priors that are learned: two objectives in one pass, and what each of them reaches."""

import json
import math

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from stored import measured
from torch.func import functional_call

from vaelab import (
    claims,
    interpolation,
    likelihoods,
    models,
    networks,
    priors,
    terms,
    training,
)
from vaelab.experiments.places import SHIPPED
from vaelab.models import Autoencoder

KINDS = {
    "flow": lambda: models.flow_prior_vae(
        networks.mlp(6, 3, (8,)), gamma=0.5, transforms=3, hidden=(8,)
    ),
    "adversary": lambda: models.prior_aae(networks.mlp(6, 3, (8,)), hidden=(8,)),
    "kernel": lambda: models.gmmn_ae(networks.mlp(6, 3, (8,)), hidden=(8,)),
}


def made(kind="flow", beta=1.0, seed=0):
    with networks.seeded(seed):
        model = KINDS[kind]().double()
        for weight in model.prior.parameters():
            torch.nn.init.normal_(weight, std=0.4)
    [term] = model.terms.values()
    vars(term)["beta" if kind == "flow" else "weight"] = beta
    return model


def images(n=12):
    return torch.rand(n, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def gradients(cost, model):
    weights = dict(model.named_parameters())
    found = torch.autograd.grad(cost, list(weights.values()), allow_unused=True)
    return dict(zip(weights, found, strict=True))


def pass_of(model, x):
    q = model.encode(x)
    return q, q.rsample(generator())


def of_prior(name):
    return name.startswith("prior.")


# ---- two objectives, one pass


@pytest.mark.parametrize("beta", [0.0, 1e-3, 0.3, 1.0, 2.5])
def test_one_pass_gives_the_gradients_of_two(beta):
    """Eq. 7 with the prior frozen for encoder and decoder, Eq. 6 with the code frozen for it."""
    model, x = made("flow", beta), images()
    one = gradients(torch.stack(list(model(x, generator()).values())).sum(0).mean(), model)
    q, z = pass_of(model, x)
    frozen = {name: w.detach() for name, w in model.prior.flow.named_parameters()}
    u, log_det = functional_call(model.prior.flow, frozen, (z,))
    log_p = log_det - 0.5 * (u.square() + priors.LOG_2_PI).sum(-1)
    nll = model.likelihood.nll(x, model.decode(z))
    seven = gradients((nll + beta * (q.log_prob(z) - log_p)).mean(), model)
    six = gradients(-model.prior.log_prob(z.detach()).mean(), model)
    for name, found in one.items():
        two = six[name] if of_prior(name) else seven[name]
        same = found is two if two is None else torch.allclose(found, two, 1e-12, 1e-12)
        claims.check("L2", bool(same), "one pass, the gradients of Eq. 6 and 7, to 1e-12")


def test_at_beta_1_it_is_the_plain_elbo():
    model, x = made("flow", 1.0), images()
    (q, z), again = pass_of(model, x), pass_of(model, x)
    kl = q.log_prob(z) - model.prior.log_prob(z)
    split = model.prior.split_kl(*again, 1.0)
    torch.testing.assert_close(split, kl, rtol=0, atol=1e-12)
    plain, ours = gradients(kl.mean(), model), gradients(split.mean(), model)
    for name, g in plain.items():
        assert (g is None and ours[name] is None) or torch.allclose(g, ours[name], 1e-12, 1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_the_value_is_that_of_the_encoders_objective(beta):
    model, x = made("flow", beta), images()
    q, z = pass_of(model, x)
    expected = beta * (q.log_prob(z) - model.prior.log_prob(z))
    torch.testing.assert_close(model(x, generator())["kl"], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_at_beta_0_the_autoencoder_hears_nothing_of_its_prior(kind):
    """It ends in the bytes of one without, and its prior is a density fitted to its codes."""
    x = images(40).float()
    with_prior = made(kind, 0.0).float()
    with networks.seeded(0):
        alone = KINDS[kind]().float()
    alone.load_state_dict(with_prior.state_dict())
    alone.terms = torch.nn.ModuleDict({"none": terms.SquaredNorm(0.0)})
    for p in alone.prior.parameters():
        p.requires_grad_(False)
    before = {name: w.clone() for name, w in with_prior.prior.state_dict().items()}
    for model in (with_prior, alone):
        with_noise = {"epochs": 3, "batch_size": 10, "progress": False, "lr": 1e-2}
        training.fit(model, x, **with_noise)
    for part in ("encoder", "decoder", "posterior"):
        states = [getattr(model, part).state_dict() for model in (with_prior, alone)]
        if kind == "flow":  # The others draw noise of their own between the batches'.
            assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        assert all(torch.allclose(states[0][name], states[1][name]) for name in states[0])
    after = with_prior.prior.state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", ["adversary", "kernel"])
def test_each_player_of_a_generated_prior_has_its_own_gradient(kind):
    """The generator's is that of its own loss, whatever β; the encoder's is β times its term's."""
    x, at = images(), {}
    for beta in (0.0, 0.5, 1.0):
        model = made(kind, beta)
        [name] = model.terms
        at[beta] = gradients(model(x, generator())[name].mean(), model)
    for name, full in at[1.0].items():
        others = (at[0.0][name], at[0.5][name])
        if of_prior(name) or "discriminator" in name:
            assert all(torch.allclose(full, g, 1e-12, 1e-14) for g in others), name
        elif full is not None:
            torch.testing.assert_close(others[1], 0.5 * full, rtol=1e-10, atol=1e-14)
            assert not others[0].any()


def test_a_generator_is_told_apart_by_a_frozen_discriminator():
    """−log(1 − D) of its own draws is what the generator of Prior-AAE falls along."""
    model, x = made("adversary"), images()
    model.eval()
    term, prior = model.terms["adversary"], model.prior
    p = terms.Pass(
        x, *pass_of(model, x), model.decode, model.decoder, prior, generator=generator(3)
    )
    found = gradients(term(p).mean(), model)
    eps = torch.randn(12, 3, dtype=torch.float64, generator=generator(3))
    drawn = prior.standardised(prior.at(eps))
    logit = term.discriminator(drawn).squeeze(-1)
    wanted = gradients(-torch.log(1 - torch.sigmoid(logit)).mean(), model)
    for name in wanted:
        if of_prior(name):
            torch.testing.assert_close(found[name], wanted[name], rtol=1e-10, atol=1e-14)


def test_standardised_codes_have_mean_0_and_variance_1():
    prior = priors.Generated(3, (8,)).double()
    z = 3 + 2 * torch.randn(4000, 3, dtype=torch.float64, generator=generator())
    for _ in range(1500):
        prior.follow(z)
    code = prior.standardised(z)
    assert code.mean(0).abs().max() < 1e-4 and (code.var(0) - 1).abs().max() < 1e-3
    drawn = prior.at(torch.randn(5, 3, dtype=torch.float64, generator=generator()))
    again = prior.generator(torch.randn(5, 3, dtype=torch.float64, generator=generator()))
    torch.testing.assert_close(prior.standardised(drawn), again)


def test_uniform_noise_is_uniform():
    prior = priors.Generated(2, (8,), "uniform")
    seen = []
    prior.generator = torch.nn.Sequential(torch.nn.Identity())
    seen = prior.sample(20_000, 2)
    assert seen.abs().max() < 1 and abs(seen.var().item() - 1 / 3) < 0.01


# ---- a flow prior is a flow posterior (Chen et al. 2017)


def test_a_flow_prior_is_a_flow_on_the_posterior():
    """KL[q ‖ p_θ] in Z_T = KL[f#q ‖ N(0, I)] in Z_0, for the same draws: claim L12."""
    model, x = made(), images()
    q, z = pass_of(model, x)
    flow = model.prior.flow
    u, log_det = flow(z)
    pushed = q.log_prob(flow.inverse(u)) - log_det
    in_0 = pushed - priors.StandardNormal().log_prob(u)
    in_t = model.prior.kl(q, z)
    claims.check_close("L12", in_t, in_0.detach(), atol=1e-10, says="KL in Z_T = KL in Z_0")


# ---- the KL, annealed


@pytest.mark.parametrize("kind", ["flow", "normal"])
def test_annealing_weighs_the_kl_of_each_step(kind):
    """With the weight 0 throughout a model trains as at β = 0; afterwards it has β again."""

    def trained(beta, schedule):
        with networks.seeded(0):
            nets = networks.mlp(6, 3, (8,))
            prior = priors.FlowPrior(3, 2, (8,)) if kind == "flow" else None
            model = Autoencoder(nets, prior=prior, latent_term=terms.KL(beta))
        plan = {"epochs": 4, "batch_size": 10, "progress": False, "keep_every": 2}
        run = training.fit(model, images(40).float(), beta_schedule=schedule, **plan)
        return model, run

    held, run = trained(1.0, nothing)
    never, _ = trained(0.0, None)
    for part in ("encoder", "decoder"):
        pairs = zip(
            getattr(held, part).parameters(), getattr(never, part).parameters(), strict=True
        )
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)
    assert not run.history["kl"].any() and run.settings["beta_schedule"].endswith("nothing")
    for model in (held, run.saved[0][1]):
        assert model(images().float())["kl"].abs().min() > 0
    _, run = trained(1.0, training.Ramp(0.5))
    assert run.settings["beta_schedule"] == "Ramp(over=0.5)"
    assert run.history["kl"][-1] > 0


def nothing(progress):
    return 0.0


def test_a_model_without_a_kl_is_not_annealed():
    model = models.ae(networks.mlp(6, 3, (8,)))
    with pytest.raises(ValueError, match="beta_schedule: this model has no KL; expected None"):
        training.fit(model, images().float(), epochs=1, beta_schedule=training.Ramp())


def test_the_annealed_weight_ends_at_beta():
    """Whatever γ is: at the end of the ramp the KL has its whole weight, for pixels of any unit."""
    x = images()
    for gamma in (0.1, 10.0):
        nets = networks.mlp(6, 3, (8,))
        model = Autoencoder(
            nets, likelihood=likelihoods.Gaussian(gamma), latent_term=terms.KL(0.7)
        ).double()
        kl = [model.loss_terms(x, generator())["kl"]]
        model.anneal(torch.tensor(training.Ramp(0.25)(1.0), dtype=x.dtype))
        kl.append(model.loss_terms(x, generator())["kl"])
        exact = 0.7 * model.encode(x).kl_to_standard_normal()
        agree = torch.allclose(kl[0], exact) and torch.equal(*kl)
        claims.check("E10", agree, "the annealed weight of the KL ends at β, for every γ")


def test_two_slips_of_the_paper():
    """W₂² is the least cost of all couplings; slerp with its bracket keeps to the sphere."""
    a, b = torch.randn(2, 40, 3, dtype=torch.float64, generator=generator())
    cost = torch.cdist(a, b).square()
    best = cost.numpy()[linear_sum_assignment(cost.numpy())].mean()
    claims.check("E21", best < 0.7 * cost.diagonal().mean(), "one coupling is no infimum")
    ends = torch.nn.functional.normalize(a[:2], dim=1)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    angle = torch.arccos(ends[0] @ ends[1])
    weights = torch.stack([torch.sin((1 - t) * angle), torch.sin(t * angle)]) / torch.sin(angle)
    on_it = weights.T @ ends
    same = torch.allclose(on_it, interpolation.slerp(*ends, t), atol=1e-10)
    fine = same and torch.allclose(on_it.norm(dim=1), torch.ones(9, dtype=torch.float64))
    claims.check("E21", fine, "slerp: sin((1 − t)Ω)/sin(Ω), the bracket before the division")


# ---- resumed, and side by side


@pytest.mark.parametrize("kind", KINDS)
def test_a_learned_prior_is_resumed_to_the_byte(kind, tmp_path):
    x = images(40).float()
    plan = {"batch_size": 10, "progress": False, "lr": 1e-2, "epochs": 3}
    if kind == "flow":
        plan["beta_schedule"] = training.Ramp(0.5)
    whole = made(kind, 0.5).float()
    training.fit(whole, x, **plan)
    part, path = made(kind, 0.5).float(), tmp_path / "state.safetensors"
    calls, loss_terms = [], part.loss_terms

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return loss_terms(*arguments)

    part.loss_terms = interrupted
    with pytest.raises(KeyboardInterrupt):
        training.fit(part, x, checkpoint=path, checkpoint_every=0, **plan)
    again = made(kind, 0.5).float()
    training.fit(again, x, checkpoint=path, **plan)
    states = (whole.state_dict(), again.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("kind", KINDS)
def test_learned_priors_train_together_as_alone(kind):
    x = images(40)
    schedule = training.Ramp(0.5) if kind == "flow" else None
    plan = training.Plan(epochs=3, batch_size=10, beta_schedule=schedule)
    session = training.Session(progress=False)
    several = [made(kind, 0.5, seed) for seed in (1, 2)]
    runs = training.fit_together(several, x, plan, session, seeds=[1, 2])
    for seed, run in zip((1, 2), runs, strict=True):
        alone = made(kind, 0.5, seed)
        other = training.fit_plan(alone, x, plan.with_seed(seed), session)
        assert abs(run.history["loss"] - other.history["loss"]).max() < 1e-6
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(run.model.state_dict()[name], value, rtol=1e-5, atol=1e-5)


def test_a_mixture_of_ones_own_is_a_prior_too():
    """The last exercise of notebook 10, at full length."""

    class Mixture(priors.Prior):
        def __init__(self, latent_dim: int, n: int) -> None:
            super().__init__()
            self.means = torch.nn.Parameter(torch.randn(n, latent_dim))
            self.log_scales = torch.nn.Parameter(torch.zeros(n, latent_dim))
            self.logits = torch.nn.Parameter(torch.zeros(n))

        def log_prob(self, z):
            each = (z.unsqueeze(-2) - self.means) * torch.exp(-self.log_scales)
            log_n = -(0.5 * (each.square() + priors.LOG_2_PI) + self.log_scales).sum(-1)
            return torch.logsumexp(log_n + self.logits.log_softmax(-1), -1)

    with networks.seeded(0):
        model = Autoencoder(
            networks.mlp(6, 3, (8,)), prior=Mixture(3, 4), latent_term=terms.KL(0.0)
        )
    run = training.fit(model, images(40).float(), epochs=3, batch_size=10, progress=False)
    assert math.isfinite(run.history["loss"][-1]) and model.prior.means.grad is not None


# ---- the stored figures of the paper's Fig. 3 ----------------------------------------------------


def test_on_fashion_samples_of_a_flow_come_nearer_as_beta_falls():
    """60,000 images, three trials; where the prior learns nothing, β has a best place."""

    def stored(prior, gamma):
        """Distances for β = 1, 0.1 and 0, of three trials each."""
        keys = [f"{prior}-gamma-{gamma}-beta-{beta:g}" for beta in (1.0, 0.1, 0.0)]
        found = [measured("learned-priors-3", "laptop", "fashion", key) for key in keys]
        return torch.tensor([[each["frechet"]["N(0, I)"] for each in some] for some in found])

    flow, normal = stored("flow", 1.0), stored("n", 1.0)
    claims.check_below("L3", flow[1:], 0.8 * flow[:-1], "Fashion, γ = 1, a flow: each β in turn")
    claims.check_below("L3", flow[2], 0.3 * flow[0], "Fashion, γ = 1, a flow: to a quarter")
    between = bool((normal[1] < torch.minimum(normal[0], normal[2])).all())
    claims.check("L3", between, "Fashion, γ = 1, N(0, I): smallest at β = 0.1", found=normal)
    rises = bool((stored("n", "learned").diff(dim=0) > 0).all())
    claims.refute("L3", rises, "γ learned, N(0, I): it rises as β falls")


def test_on_mnist_samples_of_a_flow_are_best_at_a_small_beta():
    """60,000 images, γ = 1, one trial: at β = 0 the flow falls behind its codes, and a mixture that
    is fitted to them does not.
    """

    def stored(prior, density):
        """Distances for β = 1, 0.1 and 0."""
        keys = [f"{prior}-gamma-1.0-beta-{beta:g}" for beta in (1.0, 0.1, 0.0)]
        found = [measured("learned-priors-3", "laptop", "mnist", key, 1)[0] for key in keys]
        return torch.tensor([each["frechet"][density] for each in found])

    flow, mixture = stored("flow", "N(0, I)"), stored("flow", "mixture of 10")
    claims.check_below("L3", flow[1:], 0.5 * flow[0], "MNIST, γ = 1, a flow: both below β = 1")
    claims.refute("L3", bool(flow[2] > 2 * flow[1]), "MNIST, γ = 1, a flow: it rises to β = 0")
    claims.check_below("L3", mixture[1:], 0.2 * mixture[0], "MNIST, γ = 1, a mixture of its codes")
    normal = stored("n", "N(0, I)")
    between = bool(normal[1] < min(normal[0], normal[2]))
    claims.check("L3", between, "MNIST, γ = 1, N(0, I): smallest at β = 0.1", found=normal)


# ---- the stored completions of the paper's Table 2 -----------------------------------------------


@pytest.mark.parametrize("data_set", ["mnist", "fashion"])
def test_where_gamma_is_learned_a_flow_completes_better_and_not_more_diversely(data_set):
    kinds = ("gaussian", "flow")
    found = {key: measured("learned-priors-2", "laptop", data_set, key) for key in kinds}

    def of(key, name):
        return torch.tensor([each[name] for each in found[key]])

    less = bool((of("flow", "diversity") < of("gaussian", "diversity")).all())
    claims.refute("L9", less, f"{data_set}, γ learned: the flow's completions are less diverse")
    score = "inception_score"
    claims.check_above("L9", of("flow", score).mean(), of("gaussian", score).mean(), data_set)
    claims.check_below("L9", of("flow", "best"), 0.9 * of("gaussian", "best"), "best of ten")


# ---- other pictures and other sizes --------------------------------------------------------------

CLOTHES = json.loads((SHIPPED / "priors.json").read_text(encoding="utf-8"))


def test_on_clothes_a_flow_matches_the_plane_and_a_gaussian_does_not():
    flow, gaussian = (torch.tensor(CLOTHES["plane"][name]) for name in ("flow", "Gaussian"))
    claims.check_above("L1", flow, 0.05, "clothes: an energy test does not tell the flow")
    claims.check_below("L1", gaussian, 0.05, "but tells one Gaussian, three seeds")


@pytest.mark.parametrize("kappa", [8, 16])
def test_on_clothes_learned_priors_stand_as_on_digits(kappa):
    """But for the AAE, whose rates were found on digits, and for the density along the arc."""
    found = CLOTHES[f"κ = {kappa}"]
    frechet = {name: torch.tensor(values) for name, values in found["frechet"].items()}
    ten, where = frechet.pop("flow's codes, mixture of 10"), f"clothes, κ = {kappa}"
    for name in ("Prior-AAE", "GMMN"):
        claims.check_below("L4", frechet[name], 1.4 * frechet["flow"], f"{where}: {name} samples")
    claims.check_below("L4", ten, torch.stack([*frechet.values()]).amin(0), f"{where}: a mixture")
    roads = {name: [road[name] for road in found["roads"]] for name in found["roads"][0]}
    surer = min(roads["surer"]) > 0.6 and min(roads["middle"]) > 0.01
    claims.check("L5", surer, f"{where}: the arc is surer", found=roads["surer"])
    assert all(0.5 < share < 0.67 for share in roads["denser"])
    shares, ratios = ([each[name] for each in found["evenness"]] for name in ("share", "ratio"))
    claims.check_above("L6", shares, 0.6, f"{where}: Z_T is evener for most images")
    claims.check_above("L6", ratios, 1.25, f"{where}: by a quarter or more")
    control = found["nearest of real images"]
    near = all(abs(share - control) < 0.1 for share in found["nearest"])
    says = f"{where}: samples are as often next to a test image as real ones"
    claims.refute("L13", near, says, found=[*found["nearest"], control])
