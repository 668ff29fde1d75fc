"""The pairs of regularised and of Wasserstein autoencoders: four convolutions down, and some up."""

from __future__ import annotations

from torch import nn

from vaelab._door import door
from vaelab._inputs import Fraction
from vaelab.networks.layers import Networks, dense, normed, same_conv, same_deconv
from vaelab.parts import recorded


@recorded
@door
def rae(
    channels: int,
    side: int,
    latent_dim: int = 16,
    kernel: int = 4,
    doublings: int = 2,
    base: int = 128,
    bn_momentum: Fraction = 0.01,
) -> Networks:
    """The convolutional pair of Ghosh et al. (2020), k = `kernel`, w = `base` channels, s = side.

    | encoder | decoder, d = `doublings`, t = s / 2^d |
    | --- | --- |
    | conv k×k, stride 2, c → w, BN, ReLU | dense κ → 8w t², as 8w × t × t |
    | the same, w → 2w, 4w, 8w | deconv k×k, stride 2, 8w → 4w, BN, ReLU; d of these, halving |
    | flatten | deconv k×k, stride 1, to c, sigmoid |
    | (head: dense → κ for a point) | |

    MNIST and CIFAR-10 have k = 4 and d = 2: 22.69 million parameters with a point's head at 32×32×1
    and κ = 16, 30.50 million at 32×32×3 and κ = 128. CelebA has k = 5 and d = 3. Glorot-uniform
    weights, biases zero, TensorFlow's SAME padding, which takes 28×28 as it is.

    Source: Ghosh et al. (2020), Appendix C, as the authors' code has it: no batch normalisation
    after the dense layer, where the text has one. For MNIST and CIFAR-10 their encoder sees 2x − 1,
    which the first layer's weights make of x all but at the border.

    Args:
        channels: of the images, c.
        side: height and width, s, a multiple of 2^d.
        latent_dim: κ ≥ 1.
        kernel: of every convolution, k.
        doublings: of the image's side in the decoder, d.
        base: channels of the first layer, w.
        bn_momentum: weight of a new batch in the running statistics; see `infogan`.

    Returns:
        The pair, with n_features = 8w · ⌈s/16⌉² and `scale="exp"`.

    Raises:
        ValueError: a side that cannot be halved so often, a size below 1, a bad momentum.
    """
    if side % 2**doublings:
        raise ValueError(
            f"side: the rae networks with doublings={doublings} want a multiple of "
            f"{2**doublings}, got {side}"
        )
    encoder, n_features = _down(channels, side, kernel, base, bn_momentum)
    decoder = _up(channels, side, latent_dim, kernel, 8 * base, doublings, bn_momentum)
    pair = nn.Sequential(*encoder), nn.Sequential(*decoder)
    return Networks(*pair, (channels, side, side), latent_dim, n_features, unit=True)


@recorded
@door
def wae(
    channels: int = 3,
    side: int = 64,
    latent_dim: int = 64,
    first_stride: int = 1,
    base: int = 128,
    bn_momentum: Fraction = 0.001,
) -> Networks:
    """The convolutional pair of Table 2, w = `base` channels, s = side, c = channels, q = (s/8)².

    | encoder | decoder |
    | --- | --- |
    | conv 5×5, stride `first_stride`, c → w, BN, ReLU | dense κ → 8w·q, ReLU, as 8w × s/8 × s/8 |
    | conv 5×5, stride 2, w → 2w, BN, ReLU | deconv 5×5, stride 2, 8w → 4w, BN, ReLU |
    | conv 5×5, stride 2, 2w → 4w, BN, ReLU | deconv 5×5, stride 2, 4w → 2w, BN, ReLU |
    | conv 5×5, stride 2, 4w → 8w, BN, ReLU, flatten | deconv 5×5, stride 2, 2w → w, BN, ReLU |
    | (head: dense → κ for a point, 2κ for a diagonal) | deconv 5×5, stride 1, w → c, sigmoid |

    Glorot-uniform weights, biases zero, TensorFlow's SAME padding. 47.1 million parameters with a
    Gaussian head at 64×64×3, κ = 64.

    Source: Tolstikhin et al. (2018), Appendix, as Dai & Wipf's (2019) code has it for Table 2. The
    former's own encoder has stride 2 in its first layer too: `first_stride=2`, which Ghosh et al.
    (2020) use.

    Args:
        channels: of the images, c.
        side: height and width, s, a multiple of 8 (of 16 with `first_stride=2`).
        latent_dim: κ ≥ 1.
        first_stride: 1 or 2.
        base: channels of the first layer, w.
        bn_momentum: weight of a new batch in the running statistics; see `infogan`.

    Returns:
        The pair, with n_features = 8w · (s/8)², a quarter of that with `first_stride=2`, and
        `scale="exp"`.

    Raises:
        ValueError: a side that cannot be halved so often, a stride that is neither 1 nor 2, a bad
            momentum.
    """
    if first_stride not in (1, 2):
        raise ValueError(f"first_stride: expected 1 or 2, got {first_stride!r}")
    if side % (8 * first_stride):
        raise ValueError(
            f"side: the wae networks with first_stride={first_stride} want a multiple of "
            f"{8 * first_stride}, got {side}"
        )
    encoder, n_features = _down(channels, side, 5, base, bn_momentum, first_stride)
    first, *others = _up(channels, side, latent_dim, 5, 8 * base, 3, bn_momentum)
    pair = nn.Sequential(*encoder), nn.Sequential(first, nn.ReLU(), *others)
    return Networks(*pair, (channels, side, side), latent_dim, n_features, unit=True)


def _down(
    n_in: int, side: int, kernel: int, base: int, momentum: float, stride: int = 2
) -> tuple[list[nn.Module], int]:
    """Four convolutions, of which the first has a stride of its own, and how many features."""
    layers: list[nn.Module] = []
    for width in (base, 2 * base, 4 * base, 8 * base):
        layers += normed(same_conv(n_in, width, kernel, stride, side), width, momentum)
        n_in, side, stride = width, -(-side // stride), 2
    return [*layers, nn.Flatten()], n_in * side**2


def _up(
    channels: int,
    side: int,
    latent_dim: int,
    kernel: int,
    width: int,
    doublings: int,
    momentum: float,
) -> list[nn.Module]:
    """A dense layer to `width` channels, doublings of the side that halve them, the image."""
    start = side // 2**doublings
    layers = [dense(latent_dim, width * start**2), nn.Unflatten(1, (width, start, start))]
    for i in range(doublings):
        doubled = same_deconv(width, width // 2, kernel, 2, start * 2 ** (i + 1))
        width //= 2
        layers += normed(doubled, width, momentum)
    return [*layers, same_deconv(width, channels, kernel, 1, side), nn.Sigmoid()]
