"""One class, four choices: the objective is the papers' sum, and a model survives every way of
moving it.
"""

import copy
import json
import math
import pickle

import pytest
import torch
from torch import nn

from vaelab import (
    checkpoints,
    densities,
    grammar,
    likelihoods,
    models,
    networks,
    posteriors,
    terms,
)
from vaelab.models import Autoencoder
from vaelab.parts import UnknownPart, account, rebuild


def with_posterior(kind, **choices):
    nets = networks.mlp(6, 3, (8,))
    return Autoencoder(nets, kind(nets), **choices)


CATALOGUE = {
    "vae": lambda: models.vae(networks.mlp(6, 3, (8,))),
    "vae, fixed": lambda: models.vae(networks.mlp(6, 3, (8,)), gamma=0.5),
    "vae, optimal": lambda: models.vae(networks.mlp(6, 3, (8,)), gamma="optimal"),
    "beta-vae": lambda: models.vae(networks.mlp(6, 3, (8,)), beta=4.0),
    "vae, full": lambda: models.vae(networks.mlp(6, 3, (8,)), full=True),
    "ce-vae": lambda: models.ce_vae(networks.mlp(6, 3, (8,), output="sigmoid")),
    "ae": lambda: models.ae(networks.mlp(6, 3, (8,))),
    "vae, three draws": lambda: models.vae(networks.mlp(6, 3, (8,)), draws=3),
    "cv-vae": lambda: models.cv_vae(networks.mlp(6, 3, (8,))),
    "rae": lambda: models.rae(networks.mlp(6, 3, (8,)), 0.1),
    "rae-l2": lambda: models.rae_l2(networks.mlp(6, 3, (8,)), 0.1),
    "rae-gp": lambda: models.rae_gp(networks.mlp(6, 3, (8,)), 0.1),
    "rae-gp, infogan": lambda: models.rae_gp(networks.infogan(1, 8, 3), 0.1),
    "rae-sn": lambda: models.rae_sn(networks.mlp(6, 3, (8,)), 0.1),
    "rae-sn, rae networks": lambda: models.rae_sn(networks.rae(1, 8, 3, base=2), last=True),
    "ae-l2": lambda: models.ae_l2(networks.mlp(6, 3, (8,))),
    "infogan": lambda: models.vae(networks.infogan(1, 8, 3)),
    "small_conv": lambda: models.vae(networks.small_conv(1, (7, 9), 3, width=2, hidden=8)),
    "resnet": lambda: models.vae(networks.resnet(1, 8, 3, 2, base=2)),
    "wae networks": lambda: models.ae(networks.wae(1, 8, 3, base=2)),
    "flow": lambda: models.vae_flow(
        networks.mlp(6, 3, (8,)), transforms=2, hidden=(8,), n_context=4
    ),
    "flow, infogan": lambda: models.vae_flow(
        networks.infogan(1, 8, 3), transforms=1, hidden=(8,), n_context=4
    ),
    "wae-mmd": lambda: models.wae_mmd(networks.mlp(6, 3, (8,))),
    "wae-gan": lambda: models.wae_gan(networks.mlp(6, 3, (8,)), hidden=(8, 8)),
    "flow prior": lambda: models.flow_prior_vae(
        networks.mlp(6, 3, (8,)), transforms=2, hidden=(8,)
    ),
    "flow prior, beta 0": lambda: models.flow_prior_vae(
        networks.mlp(6, 3, (8,)), 1.0, 0.0, transforms=2, hidden=(8,)
    ),
    "prior-aae": lambda: models.prior_aae(networks.mlp(6, 3, (8,)), hidden=(8,)),
    "gmmn-ae": lambda: models.gmmn_ae(networks.mlp(6, 3, (8,)), hidden=(8,)),
    "fused": lambda: models.fused_vae(networks.infogan(1, 8, 3), hidden=(8,)),
    "grammar-rae": lambda: models.grammar_rae(networks.sequence(6, 3, width=8)),
    "grammar-vae": lambda: models.grammar_vae(
        networks.sequence(7, 3, 4, width=8, layers=2),
        grammar.Grammar("S -> 'a' S 'b' S | 'c' | ''"),
    ),
    "character-rae": lambda: models.character_rae(networks.sequence(6, 3, 13, width=8)),
    "joint": lambda: models.joint_vae(networks.mlp(6, 3, (8,)), hidden=(8,)),
}


def make(name):
    with networks.seeded(0):
        return CATALOGUE[name]()


def images(model, n=5, dtype=torch.float32):
    if isinstance(model.likelihood, likelihoods.Rules):
        g = model.likelihood.grammar
        return g.encode(grammar.draw_lines(g, n, 6), *model.image_shape).to(dtype) / 255
    return torch.rand(
        n, *model.image_shape, generator=torch.Generator().manual_seed(0), dtype=dtype
    )


@pytest.mark.parametrize("name", CATALOGUE)
def test_terms_are_one_value_a_row(name):
    model = make(name)
    nats = model(images(model))
    assert len(nats) >= 2 and {n.shape for n in nats.values()} == {(5,)}
    sum(nats.values()).sum().backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert not missing


def test_the_objective_is_the_negative_elbo():
    model = make("vae").double()
    model.likelihood.gamma = 0.3
    x = images(model, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    nats = model.loss_terms(x, generator)
    q = model.encode(x)
    eps = torch.randn(5, 3, generator=generator.manual_seed(1), dtype=torch.float64)
    x_hat = model.decode(q.mean + q.sigma * eps)
    gamma, d = model.gamma, 6
    nll = (x - x_hat).square().sum(1) / (2 * gamma) + d / 2 * math.log(2 * math.pi * gamma)
    kl = 0.5 * (q.mean**2 + q.sigma**2 - 1 - 2 * q.sigma.log()).sum(1)
    torch.testing.assert_close(nats["nll"], nll)
    torch.testing.assert_close(nats["kl"], kl)


def test_gradient_of_the_objective_agrees_with_finite_differences():
    model = make("vae").double()
    x, weight = images(model, 3, torch.float64), model.decoder[1].weight

    def loss():
        return sum(t.mean() for t in model.loss_terms(x, torch.Generator().manual_seed(2)).values())

    loss().backward()
    for place in ((0, 0), (3, 5), (5, 10)):
        with torch.no_grad():
            weight[place] += 1e-5
            up = loss().item()
            weight[place] -= 2e-5
            down = loss().item()
            weight[place] += 1e-5
        assert weight.grad[place].item() == pytest.approx((up - down) / 2e-5, rel=1e-6)


def test_encoder_gets_its_gradient_through_the_draw():
    model = make("ae")
    model.loss_terms(images(model))["nll"].sum().backward()
    assert model.posterior.mean.weight.grad.any()


def test_joint_training_minimises_both_objectives_in_one_sum():
    model = make("joint").double()
    x, generator = images(model, dtype=torch.float64), torch.Generator().manual_seed(3)
    nats = model.loss_terms(x, generator)
    generator.manual_seed(3)
    q = model.encode(x)
    z = q.rsample(generator)
    second = models.vae(networks.mlp(3, 3, (8,), "relu")).double()
    second.load_state_dict(model.terms["second_stage"].vae.state_dict())
    assert second.gamma == pytest.approx(0.1, rel=1e-6)
    torch.testing.assert_close(nats["kl"], q.kl_to_standard_normal())
    expected = sum(second.loss_terms(z, generator).values())
    torch.testing.assert_close(nats["second_stage"], expected)
    nats["second_stage"].sum().backward()
    assert model.encoder[1].body[0].weight.grad.any()  # the codes learn from the second stage too


def test_the_second_of_a_joint_pair_samples_as_a_second_stage():
    model = make("joint").eval()
    second = densities.SecondStage((8,)).load_state(model.terms["second_stage"].vae.state_dict(), 3)
    assert model.images(second.sample(4)).shape == (4, 6)


def test_wae_counts_squared_errors():
    model, x = make("wae-mmd"), images(make("wae-mmd"))
    errors = (x - model.reconstruct(x)).square().sum(1)
    torch.testing.assert_close(model.loss_terms(x)["nll"] - 3 * math.log(math.pi), errors)


def test_the_terms_of_several_draws_are_means_over_them():
    one, three = make("vae").double(), make("vae, three draws").double()
    three.load_state_dict(one.state_dict())
    x = images(one, dtype=torch.float64)
    nats = three.loss_terms(x, torch.Generator().manual_seed(1))
    z = torch.randn(15, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    q = one.encode(x)
    each = [one.likelihood.nll(x, one.decode(q.mean + q.sigma * z[k::3])) for k in range(3)]
    torch.testing.assert_close(nats["nll"], sum(each) / 3)
    torch.testing.assert_close(nats["kl"], q.kl_to_standard_normal())
    with pytest.raises(ValueError, match="draws: expected"):
        Autoencoder(networks.mlp(3, 2), draws=0)


@pytest.mark.parametrize("name", ["ae-l2", "rae", "rae-l2", "rae-gp", "rae-sn"])
def test_a_rae_minimises_equation_11(name):
    model = make(name).double()
    x = images(model, dtype=torch.float64)
    nats = model.eval().loss_terms(x, torch.Generator().manual_seed(1))
    z = model.encode(x).mean
    error = (x - model.decode(z)).square().sum(1)
    torch.testing.assert_close(nats["nll"] - 3 * math.log(math.pi), error)
    beta = 0.0 if name == "ae-l2" else 0.1
    torch.testing.assert_close(nats["squared_norm"], beta * 0.5 * z.square().sum(1))
    kinds = {"rae-l2": "weight_norm", "ae-l2": "weight_norm", "rae-gp": "gradient_penalty"}
    assert list(nats)[2:] == [kind for key, kind in kinds.items() if key == name]


def test_the_kl_of_a_constant_variance_is_half_the_squared_norm_and_a_constant():
    model = make("cv-vae").double()
    q = model.encode(images(model, dtype=torch.float64))
    rest = q.kl_to_standard_normal() - 0.5 * q.mean.square().sum(1)
    constant = 1.5 * (0.49 - 1 - math.log(0.49))
    assert rest.tolist() == pytest.approx([constant] * 5, rel=1e-12)


# ---- moving a model


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize(
    "move", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"]
)
def test_a_moved_model_is_the_same_model(name, move):
    model = make(name).train(False)
    before = torch.get_rng_state()
    again = move(model)
    assert torch.equal(before, torch.get_rng_state()), "the caller's random state moved"
    assert account(again) == account(model) and not again.training
    x = images(model)
    assert torch.equal(again.reconstruct(x), model.reconstruct(x)) and again.gamma == model.gamma


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_saved_model_is_the_same_model(name, tmp_path):
    model = make(name).train(False)
    x = images(model)
    density = densities.StandardNormal().fit(model, x)
    checkpoints.save(tmp_path / "run", model, density)
    again = checkpoints.load(tmp_path / "run")
    assert json.dumps(account(again.model)) == json.dumps(account(model))
    assert not again.model.training
    assert (
        torch.equal(again.model.reconstruct(x), model.reconstruct(x))
        and again.model.gamma == model.gamma
    )
    assert torch.equal(again.sample(3), model.images(density.sample(3)))
    nats, expected = (
        m.loss_terms(x, torch.Generator().manual_seed(0)) for m in (again.model, model)
    )
    assert list(nats) == list(expected)
    assert all(torch.equal(nats[name], expected[name]) for name in nats)


def test_precision_and_mode_move_too():
    again = copy.deepcopy(make("vae").double())
    assert again.training and next(again.parameters()).dtype == torch.float64


def test_networks_made_by_hand_train_and_copy_but_cannot_be_rebuilt_from_a_file(tmp_path):
    nets = networks.Networks(nn.Linear(6, 4), nn.Linear(3, 6), (6,), 3, 4, nn.Linear)
    model = models.vae(nets)
    x = torch.rand(5, 6)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(again.reconstruct(x), model.reconstruct(x))
    with pytest.raises(TypeError, match=r"encoder of networks\.Networks: .* networks made by hand"):
        checkpoints.save(tmp_path / "run", model)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "part", ["networks.infogun", "system", "os.system", "posix.system", "models.torch.save"]
)
def test_unknown_parts_are_refused(part):
    record = account(make("vae"))
    record["with"]["likelihood"] = {"part": part, "with": {"gamma": "touch /tmp/owned"}}
    with pytest.raises(UnknownPart, match=part):
        rebuild(record, checkpoints.makers())


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"posterior": posteriors.PointHead}, "expected a Posterior, got .*; make one of it"),
        ({"likelihood": terms.KL()}, "likelihood: expected a Likelihood, got KL"),
        ({"latent_term": nn.Identity()}, "term: expected a Term, got Identity"),
        ({"prior": posteriors.Point(torch.zeros(1))}, "prior: expected a Prior, got Point"),
    ],
)
def test_parts_in_the_wrong_place_are_named(choices, message):
    with pytest.raises(TypeError, match=message):
        Autoencoder(networks.mlp(3, 2), **choices)


def test_terms_of_one_name_are_told_apart():
    several = [terms.KL(), terms.KL(0.5)]
    model = Autoencoder(networks.mlp(3, 2), latent_term=several, decoder_term=terms.SquaredNorm())
    nats = model.loss_terms(torch.rand(4, 3))
    assert list(nats) == ["nll", "kl", "kl_2", "squared_norm"]
    torch.testing.assert_close(nats["kl_2"], 0.5 * nats["kl"])


# ---- codes and images


@pytest.mark.parametrize("name", ["vae", "vae, full", "infogan"])
def test_codes_and_images_do_not_depend_on_the_batch(name):
    model = make(name).double()
    x = images(model, 7, torch.float64)
    torch.testing.assert_close(model.codes(x, 3).mean, model.codes(x).mean)
    z = model.codes(x).mean
    torch.testing.assert_close(model.images(z, 2), model.images(z))
    torch.testing.assert_close(model.reconstruct(x), model.images(z))


def test_evaluation_leaves_the_mode_and_the_statistics_as_they_were():
    model = make("infogan").train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.reconstruct(images(model))
    assert model.training and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not model.codes(images(model)).mean.requires_grad


def test_inputs_are_checked():
    model = make("vae")
    with pytest.raises(
        ValueError, match=r"expected shape \(n, 6\), as the network was built for, got \(2, 5\)"
    ):
        model.codes(torch.zeros(2, 5))
    with pytest.raises(
        TypeError, match=r"expected floating-point values, got torch\.int32; .* pass x / 255"
    ):
        model.codes(torch.zeros(2, 6, dtype=torch.int32))
    bytes_ = torch.randint(256, (2, 6), dtype=torch.uint8)
    assert torch.equal(model.codes(bytes_).mean, model.codes(bytes_ / 255).mean)
    with pytest.raises(ValueError, match=r"codes: expected shape \(n, 3\), got \(2, 4\)"):
        model.images(torch.zeros(2, 4))


def test_cross_entropy_wants_a_sigmoid():
    with pytest.raises(
        ValueError, match=r'cross-entropy needs outputs in .* build the mlp with output="sigmoid"'
    ):
        models.ce_vae(networks.mlp(6, 3))


def test_full_covariance_contains_the_diagonal_one():
    model = make("vae, full")
    assert isinstance(model.codes(images(model)), posteriors.FullNormal)
    assert (model.codes(images(model)).eigenvalues() > 0).all()
