"""The layers are those of the tables, with the papers' sizes, first weights and normalisations."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from vaelab import densities, models, networks
from vaelab.networks import infogan, mlp, seeded


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def net():
    with seeded(0):
        return infogan(1, 28, latent_dim=64)


# ---- infogan -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "side", "millions"), [(1, 28, 13.33), (3, 32, 17.27), (3, 64, 67.68)])
def test_parameter_counts_are_the_papers(channels, side, millions):
    with torch.device("meta"):
        nets = infogan(channels, side, latent_dim=64)
        count = parameters(models.vae(nets, gamma=1.0))
    assert round(count / 1e6, 2) == millions


def test_encoder_is_the_table(net):
    kinds = [type(m).__mro__[1] if "Parametrized" in type(m).__name__ else type(m) for m in net.encoder]
    assert kinds == [
        nn.Conv2d, nn.LeakyReLU, nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU, nn.Flatten,
        nn.Linear, nn.BatchNorm1d, nn.LeakyReLU,
    ]  # fmt: skip
    convolutions = [m for m in net.encoder if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [(1, 64), (64, 128)]
    assert all((m.kernel_size, m.stride, m.padding) == ((4, 4), (2, 2), (1, 1)) for m in convolutions)
    dense = next(m for m in net.encoder if isinstance(m, nn.Linear))
    assert (dense.in_features, dense.out_features) == (128 * 7 * 7, 1024)
    assert all(m.negative_slope == 0.2 for m in net.encoder if isinstance(m, nn.LeakyReLU))


def test_decoder_is_the_table(net):
    assert [type(m) for m in net.decoder] == [
        nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Unflatten,
        nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU, nn.ConvTranspose2d, nn.Sigmoid,
    ]  # fmt: skip
    sizes = [(m.in_features, m.out_features) for m in net.decoder if isinstance(m, nn.Linear)]
    assert sizes == [(64, 1024), (1024, 128 * 7 * 7)]
    up = [m for m in net.decoder if isinstance(m, nn.ConvTranspose2d)]
    assert [(m.in_channels, m.out_channels) for m in up] == [(128, 64), (64, 1)]
    assert all((m.kernel_size, m.stride, m.padding) == ((4, 4), (2, 2), (1, 1)) for m in up)


def test_sides_halve_twice_and_come_back(net):
    x, sides = torch.zeros(2, 1, 28, 28), []
    for layer in net.encoder:
        x = layer(x)
        sides += [x.shape[-1]] if isinstance(layer, nn.Conv2d) else []
    assert sides == [14, 7] and x.shape == (2, 1024)
    assert net.decoder(torch.zeros(2, 64)).shape == (2, 1, 28, 28)


def test_batch_normalisation_has_the_papers_constants(net):
    layers = [m for half in (net.encoder, net.decoder) for m in half if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert len(layers) == 5 and all((m.eps, m.momentum, m.affine) == (1e-5, 0.001, True) for m in layers)
    assert infogan(1, 8, 2, bn_momentum=0.05).decoder[1].momentum == 0.05


def test_encoder_and_head_are_spectrally_normalised_and_the_decoder_is_not():
    with seeded(0):
        net = infogan(1, 8, latent_dim=64)
    head = net.dense(1024, 128)
    layers = [m for m in (*net.encoder, head) if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == 4
    for layer in layers:
        layer.train()
        for _ in range(30):  # each look is one power iteration
            weight = layer.weight
        with torch.no_grad():
            largest = torch.linalg.matrix_norm(weight.detach().flatten(1), 2).item()
        assert largest == pytest.approx(1, abs=0.05)
    assert not any("parametrizations" in name for name, _ in net.decoder.named_parameters())


def test_first_weights_have_the_papers_spread():
    with seeded(1):
        net = infogan(3, 32, latent_dim=64)
    cut = 0.02 * math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))
    for layer in [*net.encoder, *net.decoder]:
        if not isinstance(layer, (nn.Conv2d, nn.Linear, nn.ConvTranspose2d)):
            continue
        weight = layer.parametrizations.weight.original if hasattr(layer, "parametrizations") else layer.weight
        is_cut = isinstance(layer, nn.Conv2d)
        spread, n = (cut if is_cut else 0.02), weight.numel()
        assert weight.std().item() == pytest.approx(spread, rel=5 / math.sqrt(2 * n))
        assert abs(weight.mean().item()) < 5 * spread / math.sqrt(n)
        assert (weight.abs().max() <= 0.04) == is_cut or n < 5000
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1, 30), ValueError, "side: the infogan networks halve the image twice; expected a multiple of 4, got 30"),
        ((0, 28), ValueError, "channels: expected a whole number ≥ 1, got 0"),
        ((1, 28, 0), ValueError, "latent_dim: expected a whole number ≥ 1, got 0"),
        ((1, 28, 2.5), TypeError, r"latent_dim: expected a whole number ≥ 1, got 2.5 \(float\)"),
        ((1, 28, 2, 0.0), ValueError, r"bn_momentum: expected a number in \(0, 1\], got 0.0"),
    ],
)
def test_infogan_says_what_it_expected(arguments, error, message):
    with pytest.raises(error, match=message):
        infogan(*arguments)


# ---- mlp -----------------------------------------------------------------------------------------------------------


def test_mlp_concatenates_its_input_to_its_last_hidden_layer():
    with seeded(0):
        net = mlp((2, 3), latent_dim=4, hidden=(7, 5))
    x, z = torch.randn(6, 2, 3), torch.randn(6, 4)
    features = net.encoder(x)
    assert features.shape == (6, 5 + 6) and net.n_features == 11
    assert torch.equal(features[:, 5:], x.flatten(1))
    last = net.decoder[1]
    assert last.in_features == 5 + 4
    torch.testing.assert_close(net.decoder(z).flatten(1), last(net.decoder[0](z)))
    assert torch.equal(net.decoder[0](z)[:, 5:], z)


def test_mlp_starts_with_glorot_weights_and_zero_biases():
    with seeded(0):
        net = mlp(40, latent_dim=8, hidden=(200, 100))
    layers = [m for half in (net.encoder, net.decoder) for m in half.modules() if isinstance(m, nn.Linear)]
    assert len(layers) == 5
    for layer in layers:
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert 0.95 * bound < layer.weight.abs().max() <= bound and not layer.bias.any()
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_second_stage_has_the_papers_size():
    second = densities.SecondStage()
    second.latent_dim = 64
    assert round(parameters(second._new(0)) / 1e6, 2) == 4.54


def test_mlp_output_can_be_a_sigmoid():
    with seeded(0):
        net = mlp(3, latent_dim=2, output="sigmoid")
    x = net.decoder(100 * torch.randn(50, 2))
    assert x.min() >= 0 and x.max() <= 1 and x.max() > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": 0}, "image_shape: expected a whole number ≥ 1, got 0"),
        ({"latent_dim": 0}, "latent_dim: expected a whole number ≥ 1, got 0"),
        ({"hidden": ()}, "hidden: expected the width of at least one hidden layer, got none"),
        ({"hidden": (3, -1)}, "hidden: expected a whole number ≥ 1, got -1"),
        ({"activation": "rellu"}, "activation: expected one of .* got 'rellu'; did you mean 'relu'"),
        ({"output": "sigmoidal"}, "output: expected one of .* did you mean 'sigmoid'"),
    ],
)
def test_mlp_says_what_it_expected(arguments, message):
    with pytest.raises(ValueError, match=message):
        mlp(**{"image_shape": 3, "latent_dim": 2, **arguments})


def test_sizes_may_be_numpys_and_the_spec_is_plain():
    specs = mlp(np.int64(3), np.int32(2), np.array([4, 5])).spec, infogan(np.int64(1), np.int64(8), np.int64(2)).spec
    assert json.loads(json.dumps(specs))[0]["hidden"] == [4, 5]


# ---- seeds ---------------------------------------------------------------------------------------------------------


def weights(seed, make):
    with seeded(seed):
        model = models.vae(make())
    return torch.cat([p.detach().ravel() for p in model.parameters()])


@pytest.mark.parametrize("make", [lambda: mlp(3, 2), lambda: infogan(1, 8, 2)], ids=["mlp", "infogan"])
def test_weights_follow_from_the_seed_alone(make):
    torch.manual_seed(5)
    first, before = weights(0, make), torch.get_rng_state()
    torch.rand(3)
    assert torch.equal(first, weights(0, make)) and not torch.equal(first, weights(1, make))
    torch.manual_seed(5)
    weights(7, make)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match="seed: expected a whole number from 0 to 2³² − 1, got"), networks.seeded(seed):
        pass
