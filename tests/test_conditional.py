"""What is given with a picture reaches prior and decoder, by the door that pictures come in."""

import copy
import pickle

import pytest
import torch

from vaelab import load, models, networks, priors, save, training
from vaelab.training import Given

PART = (0, 1, 2)


def made(prior="flow", seed=0, part=PART):
    with networks.seeded(seed):
        nets = networks.with_context(networks.mlp(6, 2 + 3, (8,)), 3)
        kinds = {
            "flow": lambda: priors.FlowPrior(2, 2, (8,), n_context=3),
            "shift": lambda: priors.FlowPrior(2, 0, (8,), n_context=3, scaled=False),
            "normal": lambda: None,
        }
        model = models.Conditional(nets, prior=kinds[prior](), part=part).double()
        for weight in model.prior.parameters():
            if weight.requires_grad:
                torch.nn.init.normal_(weight, std=0.4)
    return model


def pictures(n=24):
    x = torch.rand(n, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Given(x, x[:, :3])


@pytest.mark.parametrize("prior", ["flow", "shift", "normal"])
def test_the_objective_is_that_of_the_pixels_not_given(prior):
    model, (x, c) = made(prior), pictures()
    generator = torch.Generator().manual_seed(1)
    nats = model.loss_terms(Given(x, c), generator)
    q = model.encode(x)
    z = q.rsample(generator.manual_seed(1))
    x_hat = model.decoder(torch.cat([z, c], 1))
    gamma = model.gamma
    squares = (x - x_hat)[:, 3:].square().sum(1) / gamma
    expected = 0.5 * (squares + 6 * torch.log(torch.tensor(2 * torch.pi * gamma)))
    torch.testing.assert_close(nats["nll"], expected)
    if prior != "normal":
        log_p = model.prior.flow.log_prob(z, c)
        torch.testing.assert_close(nats["kl"], q.log_prob(z) - log_p)


def test_a_shift_alone_is_the_variational_u_nets_prior():
    """N(m(c), I): the noise is moved by the context, and neither scaled nor bent."""
    prior = made("shift").prior.given(pictures().context)
    eps = torch.randn(24, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    moved = prior.at(eps) - eps
    torch.testing.assert_close(moved, prior.at(0 * eps))
    assert moved.std(0).min() > 0.01
    expected = torch.distributions.Normal(moved, 1.0).log_prob(eps).sum(1)
    torch.testing.assert_close(prior.log_prob(eps), expected)


def test_draws_keep_what_is_given_and_differ_in_the_rest():
    model, (_, c) = made(), pictures()
    x = model.draw(c, n=5, seed=3)
    assert x.shape == (24, 5, 6) and torch.equal(x[..., :3], c[:, None].expand(24, 5, 3))
    assert x[..., 3:].std(1).min() > 0 and torch.equal(x, model.draw(c, n=5, seed=3))
    labels = made(part=())
    assert not torch.equal(labels.draw(c, n=1)[:, 0, :3], c)
    torch.testing.assert_close(model.context(x[:, 0]), c)


@pytest.mark.parametrize("prior", ["flow", "normal"])
def test_conditional_models_train_together_as_alone(prior):
    data, session = pictures(), training.Session(progress=False)
    plan = training.Plan(epochs=3, batch_size=8, lr=1e-2)
    runs = training.fit_together(
        [made(prior, s) for s in (1, 2)], data, plan, session, seeds=[1, 2]
    )
    for seed, run in zip((1, 2), runs, strict=True):
        alone = training.fit_plan(made(prior, seed), data, plan.with_seed(seed), session)
        assert abs(run.history["loss"] - alone.history["loss"]).max() < 1e-6
        assert run.settings["data"] == alone.settings["data"]
    other = training.fit_plan(made(prior), Given(data.x, 1 - data.context), plan, session)
    assert other.settings["data"] != alone.settings["data"]


def test_a_conditional_model_is_saved_and_copied(tmp_path):
    model = made()
    save(tmp_path / "run", model)
    c = pictures().context
    for twin in (
        load(tmp_path / "run").model,
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        assert torch.equal(twin.draw(c, 2), model.draw(c, 2))


def test_context_may_be_an_array():
    x, c = pictures()
    runs = [
        training.fit(made(), Given(x, given), epochs=1, progress=False) for given in (c, c.numpy())
    ]
    assert runs[0].history["loss"] == runs[1].history["loss"]


def test_what_does_not_fit_is_refused():
    model, (x, c) = made(), pictures()
    with pytest.raises(ValueError, match="context: expected finite numbers, but it holds NaN"):
        training.fit(model, Given(x, c / 0), epochs=1)
    with pytest.raises(ValueError, match=r"context: expected finite numbers of shape \(24, n_c"):
        training.fit(model, Given(x, c[1:]), epochs=1)
    with pytest.raises(TypeError, match="context: expected what is given with each code"):
        model.images(torch.zeros(2, 2, dtype=torch.float64))
    images = torch.rand(8, 1, 2, 3)
    with pytest.raises(ValueError, match="flip: what is given with an image is not mirrored"):
        training.fit(
            models.ae(networks.mlp((1, 2, 3), 2)),
            Given(images, images.flatten(1)),
            epochs=1,
            flip=True,
        )


@pytest.mark.parametrize("kind", [torch.Tensor.numpy, torch.Tensor.float, torch.Tensor.half])
def test_images_and_contexts_may_be_what_other_models_take(kind):
    model, (x, c) = made(), pictures()
    x, c = (x * 16).round() / 16, (c * 16).round() / 16  # Numbers that every type holds.
    assert torch.equal(model.reconstruct(kind(x)), model.reconstruct(x))
    assert torch.equal(model.draw(kind(c), 2).double(), model.draw(c, 2))


def test_bytes_are_rebuilt_as_pixels_in_any_number():
    pixels = torch.randint(256, (1001, 6), dtype=torch.uint8)
    model = made()
    torch.testing.assert_close(model.reconstruct(pixels), model.reconstruct(pixels.double() / 255))
    assert model.reconstruct(pixels)[:, :3].mul(255).round().equal(pixels[:, :3].double())


def test_a_saved_one_says_how_it_draws(tmp_path):
    saved = load(save(tmp_path / "run", made()))
    with pytest.raises(TypeError, match=r"pass what is given to saved\.model\.draw\(context, n\)"):
        saved.sample(3)


def test_a_part_need_not_be_given_twice():
    model, (x, c) = made(), pictures()
    ours, theirs = (
        model.loss_terms(rows, torch.Generator().manual_seed(0)) for rows in (x, Given(x, c))
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    again = model.reconstruct(x)
    assert torch.equal(again, model.decode(model.codes(x).mean, c)) and not torch.equal(again, x)


@pytest.mark.parametrize("transforms", [0, 2])
def test_half_given_is_what_its_parts_are(transforms):
    nets = networks.mlp((3, 4, 2), 2 + 12, (8,))
    model = models.half_given(nets, 0.5, 1.0, transforms, (8,))
    x = torch.rand(5, 3, 4, 2)
    upper, lower = x.split(2, dim=2)
    assert torch.equal(model.context(x), upper.flatten(1))
    drawn = model.draw(model.context(x))[:, 0]
    assert torch.equal(drawn[:, :, :2], upper) and not torch.equal(drawn[:, :, 2:], lower)
    assert model.prior.flow.log_scale.requires_grad == (transforms > 0)
