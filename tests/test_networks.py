"""The layers are those of the tables, with the papers' sizes, first weights and normalisations."""

import copy
import itertools
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from vaelab import densities, models, networks
from vaelab.networks import fused, infogan, layers, mlp, resnet, seeded, small_conv, wae
from vaelab.parts import account, call_of


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def net():
    with seeded(0):
        return infogan(1, 28, latent_dim=64)


# ---- rae, and spectral normalisation


@pytest.mark.parametrize(
    ("channels", "side", "latent_dim", "more", "millions"),
    [
        (1, 32, 16, {}, 22.69),
        (1, 28, 16, {}, 22.43),
        (3, 32, 128, {}, 30.50),
        (3, 64, 64, {"kernel": 5, "doublings": 3}, 39.74),
    ],
    ids=["mnist, padded", "mnist", "cifar10", "celeba"],
)
def test_rae_has_the_parameters_of_appendix_c(channels, side, latent_dim, more, millions):
    """Counted by hand from the list of layers: weights, biases, and two numbers a channel for each
    batch normalisation.
    """
    square = more.get("kernel", 4) ** 2
    widths = [channels, 128, 256, 512, 1024]
    by_hand = sum(a * b * square + 3 * b for a, b in itertools.pairwise(widths))
    flat = 1024 * math.ceil(side / 16) ** 2
    by_hand += flat * latent_dim + latent_dim
    doublings = more.get("doublings", 2)
    start = 1024 * (side // 2**doublings) ** 2
    by_hand += latent_dim * start + start
    down = [1024 // 2**i for i in range(doublings + 1)]
    by_hand += sum(a * b * square + 3 * b for a, b in itertools.pairwise(down))
    by_hand += down[-1] * channels * square + channels
    with torch.device("meta"):
        nets = networks.rae(channels, side, latent_dim, **more)
        found = parameters(models.ae(nets))
    assert found == by_hand and round(found / 1e6, 2) == millions


def test_rae_takes_28_as_it_is_and_says_what_it_expected():
    with seeded(0):
        nets = networks.rae(1, 28, 3, base=2)
    assert nets.encoder(torch.zeros(2, 1, 28, 28)).shape == (2, nets.n_features)
    assert nets.decoder(torch.zeros(2, 3)).shape == (2, 1, 28, 28)
    with pytest.raises(ValueError, match="with doublings=3 want a multiple of 8, got 28"):
        networks.rae(1, 28, 3, doublings=3)


@pytest.mark.parametrize("last", [False, True])
def test_spectral_sets_the_largest_singular_value_to_one(last):
    with seeded(0):
        plain = mlp(6, 3, (8, 7))
        nets = networks.spectral(plain, last)
    nets.decoder.eval()
    before = [m for m in plain.decoder.modules() if isinstance(m, nn.Linear)]
    layers_ = [m for m in nets.decoder.modules() if isinstance(m, nn.Linear)]
    largest = [torch.linalg.svdvals(m.weight)[0].item() for m in layers_]
    assert largest[:-1] == pytest.approx([1, 1], abs=1e-3)
    expected = 1 if last else torch.linalg.svdvals(before[-1].weight)[0].item()
    assert largest[-1] == pytest.approx(expected, abs=1e-3)
    assert nets.encoder is plain.encoder and not hasattr(before[0], "parametrizations")


# ---- infogan


@pytest.mark.parametrize(
    ("channels", "side", "millions"), [(1, 28, 13.33), (3, 32, 17.27), (3, 64, 67.68)]
)
def test_parameter_counts_are_the_papers(channels, side, millions):
    with torch.device("meta"):
        nets = infogan(channels, side, latent_dim=64)
        count = parameters(models.vae(nets, gamma=1.0))
    assert round(count / 1e6, 2) == millions


def test_encoder_is_the_table(net):
    kinds = [
        type(m).__mro__[1] if "Parametrized" in type(m).__name__ else type(m) for m in net.encoder
    ]
    assert kinds == [
        nn.Conv2d,
        nn.LeakyReLU,
        nn.Conv2d,
        nn.BatchNorm2d,
        nn.LeakyReLU,
        nn.Flatten,
        nn.Linear,
        nn.BatchNorm1d,
        nn.LeakyReLU,
    ]
    convolutions = [m for m in net.encoder if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [(1, 64), (64, 128)]
    assert all(
        (m.kernel_size, m.stride, m.padding) == ((4, 4), (2, 2), (1, 1)) for m in convolutions
    )
    dense = next(m for m in net.encoder if isinstance(m, nn.Linear))
    assert (dense.in_features, dense.out_features) == (128 * 7 * 7, 1024)
    assert all(m.negative_slope == 0.2 for m in net.encoder if isinstance(m, nn.LeakyReLU))


def test_decoder_is_the_table(net):
    assert [type(m) for m in net.decoder] == [
        nn.Linear,
        nn.BatchNorm1d,
        nn.ReLU,
        nn.Linear,
        nn.BatchNorm1d,
        nn.ReLU,
        nn.Unflatten,
        nn.ConvTranspose2d,
        nn.BatchNorm2d,
        nn.ReLU,
        nn.ConvTranspose2d,
        nn.Sigmoid,
    ]
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
    layers = [
        m
        for half in (net.encoder, net.decoder)
        for m in half
        if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))
    ]
    assert len(layers) == 5 and all(
        (m.eps, m.momentum, m.affine) == (1e-5, 0.001, True) for m in layers
    )
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
        weight = (
            layer.parametrizations.weight.original
            if hasattr(layer, "parametrizations")
            else layer.weight
        )
        is_cut = isinstance(layer, nn.Conv2d)
        spread, n = (cut if is_cut else 0.02), weight.numel()
        assert weight.std().item() == pytest.approx(spread, rel=5 / math.sqrt(2 * n))
        assert abs(weight.mean().item()) < 5 * spread / math.sqrt(n)
        assert (weight.abs().max() <= 0.04) == is_cut or n < 5000
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (1, 30),
            ValueError,
            "side: the infogan networks halve the image twice; expected a multiple of 4, got 30",
        ),
        ((0, 28), ValueError, "channels: expected a whole number ≥ 1, got 0"),
        ((1, 28, 0), ValueError, "latent_dim: expected a whole number ≥ 1, got 0"),
        ((1, 28, 2.5), TypeError, r"latent_dim: expected a whole number ≥ 1, got 2.5 \(float\)"),
        ((1, 28, 2, 0.0), ValueError, r"bn_momentum: expected a number in \(0, 1\], got 0.0"),
    ],
)
def test_infogan_says_what_it_expected(arguments, error, message):
    with pytest.raises(error, match=message):
        infogan(*arguments)


# ---- spectral normalisation by the output


def spectral_twins(dtype):
    """A small pair whose dense layers divide their outputs by σ, and one that divides weights."""
    twins = []
    for _ in range(2):
        with seeded(0):
            twins.append(models.vae(infogan(1, 8, 3, bn_momentum=0.1)).to(dtype))
    for layer in twins[1].modules():
        vars(layer).pop("forward", None)  # torch's own, of the layer's class
    return twins


def loss_of(model, x, seed):
    terms = model.train().loss_terms(x, torch.Generator().manual_seed(seed))
    return sum(terms.values()).mean()


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.float64, 1e-11)])
def test_dividing_outputs_by_sigma_has_the_gradients_of_dividing_weights(dtype, rtol):
    x = torch.rand(20, 1, 8, 8, dtype=dtype, generator=torch.Generator().manual_seed(0))
    fast, plain = spectral_twins(dtype)
    assert "forward" in vars(fast.encoder[6]) and "forward" not in vars(plain.encoder[6])
    losses = [loss_of(model, x, 1) for model in (fast, plain)]
    torch.testing.assert_close(*losses, rtol=rtol, atol=0)
    for loss in losses:
        loss.backward()
    largest = max(p.grad.norm() for p in plain.parameters())
    for (name, mine), theirs in zip(fast.named_parameters(), plain.parameters(), strict=True):
        # Before batch normalisation a bias has no gradient but rounding.
        size = max(theirs.grad.norm(), 1e-2 * largest)
        assert (mine.grad - theirs.grad).norm() < rtol * size, name


@pytest.mark.long
def test_a_hundred_steps_of_either_have_the_same_losses():
    x = torch.rand(100, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    losses = []
    for model in spectral_twins(torch.float64):
        adam, each = torch.optim.Adam(model.parameters(), 1e-3), []
        for step in range(100):
            rows = torch.arange(20 * step, 20 * step + 20) % 100
            loss = loss_of(model, x[rows], step)
            adam.zero_grad()
            loss.backward()
            adam.step()
            each.append(loss.item())
        losses.append(each)
    assert losses[0][-1] < losses[0][0] - 1
    np.testing.assert_allclose(*losses, rtol=1e-8)


def test_copies_and_loaded_models_divide_their_own_outputs():
    fast, plain = spectral_twins(torch.float64)
    twin = copy.deepcopy(fast)
    layer = twin.encoder[6]
    assert layer.forward.__self__ is layer
    x = torch.rand(20, 1, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        for model in (twin, plain):
            for p in model.parameters():
                p.mul_(1.5)
    torch.testing.assert_close(loss_of(twin, x, 0), loss_of(plain, x, 0), rtol=1e-9, atol=0)
    assert not torch.equal(loss_of(fast, x, 0), loss_of(twin, x, 0))


# ---- small_conv


@pytest.mark.parametrize(
    ("channels", "side", "thousands"), [(1, 28, 426), (3, 32, 551), (3, 28, 427)]
)
def test_small_conv_is_small(channels, side, thousands):
    with torch.device("meta"):
        count = parameters(models.vae(small_conv(channels, side, latent_dim=16)))
    assert round(count / 1e3) == thousands


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("side", [1, 7, 28, (5, 8), (30, 1), (27, 18)])
def test_small_conv_takes_any_channels_and_sides(channels, side):
    with seeded(0):
        nets = small_conv(channels, side, 3, width=2, hidden=5)
        model = models.vae(nets)
    height, width = (side, side) if isinstance(side, int) else side
    x = torch.rand(4, channels, height, width)
    assert model.reconstruct(x).shape == x.shape and nets.n_features == 5 and nets.unit
    sum(model.loss_terms(x, torch.Generator().manual_seed(0)).values()).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_every_pixel_of_small_conv_counts_and_is_decoded():
    with seeded(0):
        nets = small_conv(1, (7, 5), 3, width=2, hidden=16).double()
    x = torch.rand(1, 1, 7, 5, dtype=torch.float64, requires_grad=True)
    (seen,) = torch.autograd.grad(nets.encoder(x).square().sum(), x)
    z = torch.randn(1, 3, dtype=torch.float64)
    moved = torch.func.jacrev(nets.decoder)(z).square().sum((0, -1, -2))
    assert seen.abs().min() > 0 and moved.min() > 0


def test_small_conv_by_its_name_and_by_the_shape_of_images():
    made = networks.for_shape("small_conv", (1, 7, 5), 3, {"width": 2})
    assert made.image_shape == (1, 7, 5)
    assert account(made)["with"]["side"] == [7, 5]
    assert networks.for_shape("small_conv", (3, 8, 8), 3, {}).image_shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1, 0), ValueError, "side: expected a whole number ≥ 1, got 0"),
        ((1, (28,)), ValueError, r"side: expected a side or \(height, width\), got \(28,\)"),
        ((1, "28"), TypeError, "side: expected a whole number ≥ 1, got '28'"),
        ((0, 28), ValueError, "channels: expected a whole number ≥ 1, got 0"),
        ((1, 28, 2, 0), ValueError, "width: expected a whole number ≥ 1, got 0"),
        ((1, 28, 2, 1, 0), ValueError, "hidden: expected a whole number ≥ 1, got 0"),
        ((1, 28, 2, 1, 1, "rellu"), ValueError, "did you mean 'relu'"),
    ],
)
def test_small_conv_says_what_it_expected(arguments, error, message):
    with pytest.raises(error, match=message):
        small_conv(*arguments)


def test_small_conv_wants_images():
    with pytest.raises(ValueError, match=r"small_conv takes images \(c, h, w\), got \(5,\)"):
        networks.for_shape("small_conv", (5,), 3, {})


# ---- TensorFlow's SAME padding


def same_by_hand(x, weight, stride):
    """conv2d of TensorFlow with SAME padding, pixel by pixel: x (n_in, s, s), weight (n_out, n_in,
    k, k).
    """
    s, k = x.shape[-1], weight.shape[-1]
    out = -(-s // stride)
    before = max((out - 1) * stride + k - s, 0) // 2
    y = np.zeros((len(weight), out, out))
    for i in range(out):
        for j in range(out):
            for a in range(k):
                for b in range(k):
                    row, column = i * stride + a - before, j * stride + b - before
                    if 0 <= row < s and 0 <= column < s:
                        y[:, i, j] += weight[:, :, a, b] @ x[:, row, column]
    return y


PLACES = [(8, 4, 2), (8, 3, 2), (7, 3, 2), (8, 5, 2), (6, 5, 1), (6, 3, 1), (5, 4, 1), (4, 3, 2)]


@pytest.mark.parametrize(("side", "kernel", "stride"), PLACES)
def test_convolutions_are_tensorflows(side, kernel, stride):
    with seeded(0):
        layer = layers.same_conv(2, 3, kernel, stride, side).double()
    weight = next(p for p in layer.parameters() if p.ndim == 4).detach().numpy()
    x = np.random.default_rng(0).standard_normal((2, side, side))
    with torch.no_grad():
        ours = layer(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(ours, same_by_hand(x, weight, stride), atol=1e-12)


@pytest.mark.parametrize(("side", "kernel", "stride"), PLACES)
def test_transposed_convolutions_are_their_transposes(side, kernel, stride):
    with seeded(0):
        layer = layers.same_deconv(3, 2, kernel, stride, side).double()
    weight = next(p for p in layer.parameters() if p.ndim == 4).detach().numpy()
    rng, small = np.random.default_rng(0), -(-side // stride)
    y, x = rng.standard_normal((3, small, small)), rng.standard_normal((2, side, side))
    with torch.no_grad():
        up = layer(torch.from_numpy(y)[None])[0].numpy()
    assert up.shape == x.shape  # <Aᵀy, x> = <y, A x>, A the convolution with this very weight
    assert (up * x).sum() == pytest.approx((y * same_by_hand(x, weight, stride)).sum(), abs=1e-10)


# ---- wae


def sizes_of(sequence, x):
    """The shapes behind every layer with weights, of one example."""
    out = []
    for layer in sequence.eval():
        x = layer(x)
        out += [tuple(x.shape[1:])] if any(p.ndim > 1 for p in layer.parameters()) else []
    return out


@pytest.mark.parametrize(("first_stride", "flat"), [(1, 65536), (2, 16384)])
def test_wae_has_the_tables_parameters(first_stride, flat):
    with torch.device("meta"):
        nets = wae(3, 64, 64, first_stride)
    w, bn = [3, 128, 256, 512, 1024], 2 * (128 + 256 + 512 + 1024)
    encoder = sum(25 * a * b + b for a, b in zip(w, w[1:])) + bn  # noqa: B905, RUF007
    decoder = 65 * 65536 + sum(25 * a * b + a for a, b in zip(w, w[1:])) + 2 * (128 + 256 + 512)  # noqa: B905, RUF007
    assert (parameters(nets.encoder), parameters(nets.decoder), nets.n_features) == (
        encoder,
        decoder,
        flat,
    )


def test_wae_layers_have_the_tables_sizes():
    nets = wae(1, 16, 3, base=4)
    assert sizes_of(nets.encoder, torch.zeros(1, 1, 16, 16)) == [
        (4, 16, 16),
        (8, 8, 8),
        (16, 4, 4),
        (32, 2, 2),
    ]
    assert sizes_of(nets.decoder, torch.zeros(1, 3)) == [
        (128,),
        (16, 4, 4),
        (8, 8, 8),
        (4, 16, 16),
        (1, 16, 16),
    ]
    kinds = [type(m) for m in nets.decoder]
    assert kinds[:3] == [nn.Linear, nn.ReLU, nn.Unflatten] and kinds[-1] == nn.Sigmoid
    assert sum(isinstance(m, nn.BatchNorm2d) for m in nets.decoder) == 3
    assert sizes_of(wae(1, 16, 3, 2, base=4).encoder, torch.zeros(1, 1, 16, 16))[-1] == (32, 1, 1)


# ---- resnet


def resnet_by_hand(c, sides, n_scales, k, base, blocks, pool):
    """Parameters of encoder and decoder, counted from the table."""

    def conv(a, b):
        return 9 * a * b + b

    def scale(w):
        return blocks * (3 * conv(w, w) + 4 * w)

    def dense(a, b):
        return a * b + b

    widths = [base * 2**i for i in range(n_scales)]
    encoder = conv(c, base) + sum(map(scale, widths)) + sum(conv(a, 2 * a) for a in widths[:-1])
    flat = widths[-1] * (1 if pool else sides[n_scales - 1] ** 2)
    for n in [flat] + [512] * (blocks - 1):
        encoder += dense(n, 512) + dense(512, 512) + dense(n, 512)
    widths = [min(base * 2**i, 1024) for i in range(len(sides))]
    decoder = dense(k, 4 * widths[-1]) + conv(base, c) + sum(map(scale, widths[:-1]))
    decoder += sum(9 * b * a + a for a, b in zip(widths, widths[1:]))  # noqa: B905, RUF007
    return encoder, decoder


@pytest.mark.parametrize(
    ("c", "sides", "n_scales", "first"),
    [
        (1, (28, 14, 7, 4, 2), 3, 2048),
        (3, (32, 16, 8, 4, 2), 3, 2048),
        (3, (64, 32, 16, 8, 4, 2), 4, 4096),
    ],
)
@pytest.mark.parametrize("coded", [False, True], ids=["text", "code"])
def test_resnet_has_the_tables_parameters(c, sides, n_scales, first, coded):
    arguments = {"base": 16, "blocks": 1, "pool": True} if coded else {}
    with torch.device("meta"):
        nets = resnet(c, sides[0], 64, **arguments)
    expected = resnet_by_hand(
        c, sides, n_scales, 64, **({"base": 32, "blocks": 2, "pool": False} | arguments)
    )
    assert (
        parameters(nets.encoder),
        parameters(nets.decoder),
    ) == expected and nets.n_features == 512
    assert nets.decoder[0].out_features == (
        first // 2 if coded else first
    )  # 4096 for CelebA, 2048 for the others


def test_resnet_halves_28_as_the_convolution_does_and_comes_back():
    nets = resnet(1, 28, 3, base=2)
    x, sides = torch.zeros(2, 1, 28, 28), []
    for layer in nets.encoder:
        x = layer(x)
        sides += [x.shape[-1]] if x.ndim == 4 and (not sides or x.shape[-1] != sides[-1]) else []
    assert sides == [28, 14, 7] and x.shape == (2, 512)
    assert nets.decoder(torch.zeros(2, 3)).shape == (2, 1, 28, 28)


def test_a_residual_block_adds_its_shortcut():
    with seeded(0):
        block = resnet(1, 8, 2, n_scales=2, base=3).encoder[1][0].eval()
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    kinds = [type(m) for m in block.body]
    assert kinds == 2 * [nn.BatchNorm2d, nn.ReLU, nn.Conv2d] and isinstance(
        block.shortcut, nn.Conv2d
    )
    torch.testing.assert_close(block(x), block.body(x) + block.shortcut(x))
    block.body[5].weight.data.zero_()
    torch.testing.assert_close(block(x), block.shortcut(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: wae(3, 60),
            "side: the wae networks with first_stride=1 want a multiple of 8, got 60",
        ),
        (lambda: wae(3, 24, first_stride=2), "first_stride=2 want a multiple of 16, got 24"),
        (lambda: wae(3, 64, first_stride=3), "first_stride: expected 1 or 2, got 3"),
        (lambda: wae(3, 64, base=0), "base: expected a whole number ≥ 1, got 0"),
        (lambda: wae(3, 64, bn_momentum=2), r"bn_momentum: expected a number in \(0, 1\], got 2"),
        (
            lambda: resnet(3, 3),
            "a resnet of 3 scales needs images of at least 5 pixels a side, got 3",
        ),
        (
            lambda: resnet(3, 16, n_scales=9),
            "a resnet of 9 scales needs images of at least 257 pixels a side, got 16",
        ),
        (lambda: resnet(3, 32, blocks=0), "blocks: expected a whole number ≥ 1, got 0"),
    ],
)
def test_wae_and_resnet_say_what_they_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- mlp


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
    layers = [
        m for half in (net.encoder, net.decoder) for m in half.modules() if isinstance(m, nn.Linear)
    ]
    assert len(layers) == 5
    for layer in layers:
        bound = math.sqrt(6 / (layer.in_features + layer.out_features))
        assert 0.95 * bound < layer.weight.abs().max() <= bound and not layer.bias.any()
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_second_stage_has_the_papers_size():
    second = densities.SecondStage()
    assert round(parameters(second.new_vae(64, 0)) / 1e6, 2) == 4.54


def test_fused_networks_are_both_stages_in_a_row():
    with seeded(0):
        first = mlp(6, latent_dim=2, hidden=(8,))
        nets = fused(first, hidden=(5, 4), activation="tanh")
    x, u = torch.randn(3, 6), torch.randn(3, 2)
    z = nets.encoder[1](first.encoder(x))
    features = nets.encoder(x)
    assert z.shape == (3, 2) and features.shape == (3, 4 + 2) and nets.n_features == 6
    assert torch.equal(features[:, 4:], z)
    assert torch.equal(nets.decoder(u), first.decoder(nets.decoder[0](u)))
    assert account(nets)["with"]["networks"] == account(first)


def test_fused_has_the_parameters_of_two_stages_less_the_noise_between_them():
    with torch.device("meta"):
        first = infogan(1, 28, 64)
        two = models.vae(first, gamma=1.0)
        second = densities.SecondStage()
        both, one = (
            parameters(two) + parameters(second.new_vae(64, 0)),
            parameters(models.vae(fused(infogan(1, 28, 64)))),
        )
    assert (
        both - one == 64 * 1024 + 64
    )  # the layer that reads σ, and nothing else: each stage's log γ but one


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
        (
            {"activation": "rellu"},
            "activation: expected one of .* got 'rellu'; did you mean 'relu'",
        ),
        ({"output": "sigmoidal"}, "output: expected one of .* did you mean 'sigmoid'"),
    ],
)
def test_mlp_says_what_it_expected(arguments, message):
    with pytest.raises(ValueError, match=message):
        mlp(**{"image_shape": 3, "latent_dim": 2, **arguments})


def test_sizes_may_be_numpys_and_the_account_is_plain():
    accounts = (
        account(mlp(np.int64(3), np.int32(2), np.array([4, 5]))),
        account(infogan(np.int64(1), np.int64(8), np.int64(2))),
    )
    assert json.loads(json.dumps(accounts))[0]["with"]["hidden"] == [4, 5]


# ---- seeds


def weights(seed, make):
    with seeded(seed):
        model = models.vae(make())
    return torch.cat([p.detach().ravel() for p in model.parameters()])


NETWORKS = [
    lambda: mlp(3, 2),
    lambda: small_conv(1, (6, 7), 2, width=2, hidden=4),
    lambda: infogan(1, 8, 2),
    lambda: resnet(1, 8, 2, 2, base=2),
    lambda: wae(1, 8, 2, base=2),
    lambda: fused(infogan(1, 8, 2), (4,)),
    lambda: networks.rae(1, 8, 2, base=2),
    lambda: networks.spectral(mlp(3, 2)),
]


@pytest.mark.parametrize("make", NETWORKS, ids=[call_of(n()).maker.__name__ for n in NETWORKS])
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
    with (
        pytest.raises(ValueError, match="seed: expected a whole number from 0 to 2³² − 1, got"),
        networks.seeded(seed),
    ):
        pass
