"""The convolutional pair of the paper's image experiments."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from vaelab._door import door
from vaelab._inputs import Fraction
from vaelab.networks.layers import Layer, Networks, initialised
from vaelab.networks.scaling import scaled
from vaelab.parts import recorded


def _normal(layer: Layer) -> Layer:
    """The InfoGAN initialisation: N(0, 0.02²), cut at two standard deviations for convolutions;
    biases zero.
    """
    draw = partial(nn.init.normal_, std=0.02)
    if isinstance(layer, nn.Conv2d):
        draw = partial(nn.init.trunc_normal_, std=0.02, a=-0.04, b=0.04)
    return initialised(layer, draw)


def _spectral(layer: Layer) -> nn.Module:
    return spectral_norm(_normal(layer), n_power_iterations=1)


def _spectral_dense(n_in: int, n_out: int) -> nn.Module:
    return scaled(_spectral(nn.Linear(n_in, n_out)))


@recorded
@door
def infogan(
    channels: int, side: int, latent_dim: int = 64, bn_momentum: Fraction = 0.001
) -> Networks:
    """The convolutional pair of the paper's image experiments ("neutral" architecture), s = side, c
    = channels.

    | encoder (every layer spectrally normalised) | decoder |
    | --- | --- |
    | conv 4×4, stride 2, c → 64, leaky ReLU 0.2 | dense κ → 1024, BN, ReLU |
    | conv 4×4, stride 2, 64 → 128, BN, leaky ReLU | dense → 128 (s/4)², BN, ReLU, 128 × s/4 × s/4 |
    | flatten, dense → 1024, BN, leaky ReLU | deconv 4×4, stride 2, 128 → 64, BN, ReLU |
    | (head: dense → 2κ, σ = 1e-6 + softplus) | deconv 4×4, stride 2, 64 → c, sigmoid |

    13.33 million parameters with its head at 28×28×1 and κ = 64, 17.27 million at 32×32×3, 67.68
    million at 64×64×3. Weights N(0, 0.02²), biases zero. Padding 1 on each side equals TensorFlow's
    SAME here. Batch normalisation has ε = 1e-5.

    Source: Dai & Wipf (2019), Appendix D (after Chen et al. 2016); spectral normalisation and the
    softplus are in the authors' code only.

    Args:
        channels: of the images, c.
        side: height and width of the images, s, a multiple of 4.
        latent_dim: κ ≥ 1.
        bn_momentum: weight of a new batch in the running statistics. 0.001 is the paper's and needs
            about 5,000 steps; a shorter run needs 0.01 to 0.1.

    Returns:
        The pair, with n_features = 1024 and `scale="softplus"`.

    Raises:
        ValueError: `side` is no multiple of 4, a size below 1, a momentum outside (0, 1].
    """
    if side % 4:
        raise ValueError(
            "side: the infogan networks halve the image twice; expected a multiple of 4, got "
            f"{side}"
        )
    flat = 128 * (side // 4) ** 2
    encoder = nn.Sequential(
        _spectral(nn.Conv2d(channels, 64, 4, 2, 1)),
        nn.LeakyReLU(0.2),
        _spectral(nn.Conv2d(64, 128, 4, 2, 1)),
        nn.BatchNorm2d(128, momentum=bn_momentum),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        _spectral_dense(flat, 1024),
        nn.BatchNorm1d(1024, momentum=bn_momentum),
        nn.LeakyReLU(0.2),
    )
    decoder = nn.Sequential(
        _normal(nn.Linear(latent_dim, 1024)),
        nn.BatchNorm1d(1024, momentum=bn_momentum),
        nn.ReLU(),
        _normal(nn.Linear(1024, flat)),
        nn.BatchNorm1d(flat, momentum=bn_momentum),
        nn.ReLU(),
        nn.Unflatten(1, (128, side // 4, side // 4)),
        _normal(nn.ConvTranspose2d(128, 64, 4, 2, 1)),
        nn.BatchNorm2d(64, momentum=bn_momentum),
        nn.ReLU(),
        _normal(nn.ConvTranspose2d(64, channels, 4, 2, 1)),
        nn.Sigmoid(),
    )
    shape = (channels, side, side)
    return Networks(
        encoder, decoder, shape, latent_dim, 1024, _spectral_dense, "softplus", unit=True
    )
