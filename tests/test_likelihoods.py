"""γ is a variance; the two terms of −log p(x given z), its gradient, and where the three rules of γ
end.
"""

import copy
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal

from vaelab import grammar, load, models, networks, parts, save, training
from vaelab.grammar import Grammar
from vaelab.likelihoods import CrossEntropy, Gaussian, Perceptual, Rules


def pair(n=4, shape=(2, 3, 3), seed=0):
    x, x_hat = torch.rand(
        2, n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return x, x_hat


def mse(x, x_hat):
    return (x - x_hat).square().mean().item()


# ---- Gaussian


def test_nll_is_that_of_torch_with_gamma_as_variance():
    for x, x_hat in (pair(1), pair(4)):
        expected = -Normal(x_hat, math.sqrt(0.3)).log_prob(x).flatten(1).sum(1)
        found = Gaussian(0.3).double().nll(x, x_hat)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_nll_is_the_data_term_of_equation_8_pixel_by_pixel():
    x, x_hat = pair()
    likelihood = Gaussian("learned", init=0.2).double()
    gamma = likelihood.gamma
    for row, value in enumerate(likelihood.nll(x, x_hat).tolist()):
        pixels = zip(x[row].ravel().tolist(), x_hat[row].ravel().tolist(), strict=True)
        total = sum(
            0.5 * (a - b) ** 2 / gamma + 0.5 * math.log(2 * math.pi * gamma) for a, b in pixels
        )
        assert value == pytest.approx(total, rel=1e-12)


def test_gradients_agree_with_finite_differences():
    x, x_hat = pair(2)
    likelihood = Gaussian().double()

    def nll(x_hat, log_gamma):
        with torch.no_grad():
            likelihood.log_gamma.copy_(log_gamma)
        return torch.func.functional_call(likelihood, {"log_gamma": log_gamma}, (x, x_hat))

    likelihood.forward = likelihood.nll
    log_gamma = torch.tensor(-0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(nll, (x_hat.requires_grad_(), log_gamma))


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_gradient_of_log_gamma_vanishes_at_the_mean_squared_error(factor):
    x, x_hat = pair()
    likelihood = Gaussian().double()
    likelihood.gamma = factor * mse(x, x_hat)
    likelihood.nll(x, x_hat).mean().backward()
    d = x[0].numel()
    assert likelihood.log_gamma.grad.item() == pytest.approx(0.5 * d * (1 - 1 / factor), abs=1e-10)


def test_optimal_gamma_ends_at_the_mean_squared_error():
    x, x_hat = pair()
    likelihood = Gaussian("optimal").double()
    likelihood.nll(x, x_hat)
    assert likelihood.gamma == pytest.approx(0.99 * 1 + 0.01 * mse(x, x_hat))
    for _ in range(2500):
        likelihood.nll(x, x_hat)
    assert likelihood.gamma == pytest.approx(mse(x, x_hat), rel=1e-9)


def test_optimal_gamma_does_not_move_in_evaluation():
    likelihood = Gaussian("optimal", init=0.5).eval()
    likelihood.nll(*pair())
    assert likelihood.gamma == pytest.approx(0.5)


def test_learned_gamma_ends_at_the_mean_squared_error():
    x, x_hat = pair()
    likelihood = Gaussian("learned").double()
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=0.05)
    for _ in range(500):
        optimizer.zero_grad()
        likelihood.nll(x, x_hat).mean().backward()
        optimizer.step()
    assert likelihood.gamma == pytest.approx(mse(x, x_hat), rel=1e-4)


def test_fixed_gamma_never_moves():
    with networks.seeded(0):
        model = models.vae(networks.mlp(3, latent_dim=2, hidden=(4,)), gamma=0.25)
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    run = training.fit(
        model, x, epochs=3, batch_size=10, weight_decay=1.0, device="cpu", progress=False
    )
    assert model.gamma == pytest.approx(0.25) and run.history["gamma"].tolist() == [model.gamma] * 3
    assert not any("gamma" in name for name, _ in model.named_parameters())


def test_gamma_can_be_set():
    likelihood = Gaussian()
    likelihood.gamma = 0.01
    assert likelihood.gamma == pytest.approx(0.01)
    with pytest.raises(
        ValueError, match="gamma, the decoder variance: expected a finite number > 0, got -1"
    ):
        likelihood.gamma = -1


@pytest.mark.parametrize("gamma", [0, -1.0, float("nan"), float("inf"), None])
def test_gamma_must_be_positive(gamma):
    with pytest.raises(
        ValueError, match="gamma, the decoder variance: expected a finite number > 0, got"
    ):
        Gaussian(gamma)


def test_other_settings_are_checked():
    with pytest.raises(
        ValueError, match='expected "learned", "optimal" or a number > 0, got \'lerned\''
    ):
        Gaussian("lerned")
    with pytest.raises(ValueError, match="expected a finite number > 0, got 0"):
        Gaussian("learned", init=0)
    with pytest.raises(ValueError, match=r"decay: expected a number in \[0, 1\), got 1"):
        Gaussian("optimal", decay=1)


@pytest.mark.parametrize(
    "likelihood", [Gaussian(0.2), Gaussian("learned", init=2.0), Gaussian("optimal", decay=0.9)]
)
def test_its_account_rebuilds_it(likelihood):
    again = parts.rebuild(parts.account(likelihood), {"likelihoods.Gaussian": Gaussian})
    assert parts.account(again) == parts.account(likelihood) and again.gamma == likelihood.gamma


# ---- cross-entropy


def test_cross_entropy_is_bernoulli_for_bits():
    x, x_hat = pair()
    bits = (x > 0.5).double()
    expected = -Bernoulli(x_hat).log_prob(bits).flatten(1).sum(1)
    torch.testing.assert_close(CrossEntropy().nll(bits, x_hat), expected)


def test_cross_entropy_for_grey_values():
    x, x_hat = pair()
    expected = -(x * x_hat.log() + (1 - x) * (1 - x_hat).log()).flatten(1).sum(1)
    torch.testing.assert_close(CrossEntropy().nll(x, x_hat), expected)
    assert CrossEntropy().gamma is None


def test_cross_entropy_of_what_is_no_number_is_none_and_other_rows_keep_theirs():
    x, x_hat = pair()
    expected = CrossEntropy().nll(x, x_hat)
    x_hat = x_hat.detach().clone()
    x_hat[0].flatten()[0] = math.nan
    nll = CrossEntropy().nll(x, x_hat)
    assert nll[0].isnan() and torch.equal(nll[1:], expected[1:].detach())


def test_cross_entropy_is_finite_at_certain_and_right():
    x = torch.tensor([[0.0, 1.0]])
    assert CrossEntropy().nll(x, x).item() == 0


def test_cross_entropy_gradient_agrees_with_finite_differences():
    x, x_hat = pair(2)
    assert torch.autograd.gradcheck(
        lambda y: CrossEntropy().nll(x, y), x_hat.clamp(0.05, 0.95).requires_grad_()
    )


def test_gamma_has_a_step_of_its_own():
    step = Gaussian("learned").step(training.Plan(epochs=1, lr=0.1, gamma_lr=4.0))
    assert step == {"lr": 0.4, "weight_decay": 0.0}


# ---- features


def test_a_perceptual_loss_is_the_gaussian_and_the_distance_of_the_features():
    likelihood = Perceptual("digits", weight=3.0, gamma=0.5).double()
    x, x_hat = pair(shape=(1, 8, 8))
    first, second = likelihood.body[1], likelihood.body[3]
    expected = Gaussian(0.5).double().nll(x, x_hat)
    hidden = [torch.relu(first(v.flatten(1))) for v in (x, x_hat)]
    last = [torch.relu(second(h)) for h in hidden]
    for a, b in (hidden, last):
        expected = expected + 3.0 * (a - b).square().mean(1)
    torch.testing.assert_close(likelihood.nll(x, x_hat), expected)


def test_the_network_of_a_perceptual_loss_stays_as_it_is():
    with networks.seeded(0):
        nets = networks.mlp((1, 8, 8), 2, (8,), output="sigmoid")
    model = models.Autoencoder(nets, likelihood=Perceptual("digits", gamma=0.1))
    before = [p.clone() for p in model.likelihood.body.parameters()]
    x = pair(20, (1, 8, 8))[0].float()
    training.fit(model, x, epochs=2, batch_size=10, progress=False)
    assert all(
        torch.equal(a, b) for a, b in zip(before, model.likelihood.body.parameters(), strict=True)
    )
    twin = parts.rebuild(parts.account(model.likelihood), {"likelihoods.Perceptual": Perceptual})
    torch.testing.assert_close(twin.nll(x, 1 - x), model.likelihood.nll(x, 1 - x))


def test_vgg19_looks_at_its_first_four_blocks(tmp_path, monkeypatch):
    """Of a network as deep as torchvision's and a sixteenth as wide."""
    vgg = pytest.importorskip("torchvision.models.vgg")
    widths = [n if n == "M" else n // 16 for n in vgg.cfgs["E"]]
    whole = torch.nn.ModuleDict({"features": vgg.make_layers(widths)})
    monkeypatch.setitem(vgg.cfgs, "E", widths)
    with pytest.raises(FileNotFoundError, match=r"path: no file .*expected torchvision's weights"):
        Perceptual("vgg19", path=str(tmp_path / "none.pth"))
    torch.save(whole.state_dict(), tmp_path / "vgg19.pth")
    likelihood = Perceptual("vgg19", gamma=1.0, path=str(tmp_path / "vgg19.pth"))
    x = torch.rand(2, 1, 32, 32)
    found = likelihood.maps(x)
    assert [m.shape[1:] for m in found] == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]
    preset = vgg.VGG19_Weights.IMAGENET1K_V1.transforms()
    mean, std = (torch.tensor(v)[:, None, None] for v in (preset.mean, preset.std))
    seen = (torch.cat([x, x, x], 1) - mean) / std
    for depth, each in zip((2, 7, 12, 21), found, strict=True):
        torch.testing.assert_close(each, whole["features"][:depth](seen))
    assert len(likelihood.body) == 21  # Nothing is computed that nobody looks at.
    (tmp_path / "vgg19.pth").unlink()  # Its layers lie with the model.
    model = models.Autoencoder(networks.mlp((1, 32, 32), 2, (4,)), likelihood=likelihood)
    saved = load(save(tmp_path / "run", model)).model
    for twin in (saved, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        torch.testing.assert_close(twin.likelihood.nll(x, 1 - x), likelihood.nll(x, 1 - x))


def test_a_classifier_sees_images_of_the_shape_it_was_trained_on():
    x = torch.rand(2, 3, 64, 64)
    small = torch.nn.functional.avg_pool2d(x, 2)
    seen, expected = (Perceptual("cifar10").maps(each) for each in (x, small))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(seen, expected, strict=True))
    with pytest.raises(ValueError, match=r"expected images of shape \(3, 32, 32\).*got \(1, 8, 8"):
        Perceptual("cifar10").nll(x[:, :1, :8, :8], x[:, :1, :8, :8])


# ---- the rules of a grammar

SMALL = Grammar("S -> 'a' S 'b' | 'c' T | '' \n T -> 'd' | S")


def logits(g, n, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, length, g.n_rules, generator=generator, dtype=torch.float64)


def test_log_p_is_the_product_of_masked_softmaxes_along_the_stack():
    lines = ["aabb", "cd", "", "accdb"]
    x_hat, x = logits(SMALL, 4, 9), SMALL.encode(lines, 9).double() / 255
    nll = Rules(SMALL).double().nll(x, x_hat)
    for line, scores, value in zip(lines, x_hat, nll.tolist(), strict=True):
        stack, total = (0,), 0.0
        for rule, each in zip(SMALL.parse(line), scores.tolist(), strict=False):
            options = np.flatnonzero(SMALL.masks[stack[0]])
            total -= each[rule] - math.log(sum(math.exp(each[r]) for r in options))
            stack = SMALL.step(stack, rule)
        assert value == pytest.approx(total, rel=1e-12)


def test_p_sums_to_one_over_all_sequences_and_is_zero_off_the_grammar():
    g, length = SMALL, 3
    every = list(itertools.product(range(g.n_rules), repeat=length))
    x = torch.tensor(every, dtype=torch.float64) / 255
    rules = Rules(g).double()
    p = (-rules.nll(x, logits(g, 1, length).expand(len(x), -1, -1))).exp()
    assert p.sum().item() == pytest.approx(1, rel=1e-12)
    for sequence, value in zip(every, p.tolist(), strict=True):
        stack, fits = (0,), True
        for rule in sequence:
            fits = fits and bool(g.masks[stack[0] if stack else -1, rule])
            stack = g.step(stack, rule) if fits else stack
        assert (value > 0) == fits
    assert rules.nll(torch.full((1, 3), 200 / 255), logits(g, 1, 3)).item() == math.inf


def test_the_mode_is_the_likeliest_step_by_step():
    rules, x_hat = Rules(SMALL).double(), logits(SMALL, 1, 3)
    step = rules.mode(x_hat)
    assert torch.equal(step, grammar.expand(x_hat, grammar.tables(SMALL)).double() / 255)


def test_gradient_of_masked_softmaxes_agrees_with_finite_differences():
    x = SMALL.encode(["aabb", "cd"], 6).double() / 255
    x_hat = logits(SMALL, 2, 6).requires_grad_()
    rules = Rules(SMALL).double()
    assert torch.autograd.gradcheck(lambda x_hat: rules.nll(x, x_hat), x_hat)
