"""The pairs of the regularised autoencoders' experiments on images."""

from __future__ import annotations

from torch import nn

from vaelab.networks.layers import (
    Networks,
    check_momentum,
    check_sizes,
    dense,
    normed,
    same_conv,
    same_deconv,
)
from vaelab.parts import recorded


@recorded
def rae(
    channels: int,
    side: int,
    latent_dim: int = 16,
    kernel: int = 4,
    doublings: int = 2,
    base: int = 128,
    bn_momentum: float = 0.01,
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
    sizes = {"channels": channels, "side": side, "latent_dim": latent_dim, "kernel": kernel}
    channels, side, latent_dim, kernel = check_sizes(**sizes)
    doublings, base = check_sizes(doublings=doublings, base=base)
    if side % 2**doublings:
        raise ValueError(
            f"side: the rae networks with doublings={doublings} want a multiple of "
            f"{2**doublings}, got {side}"
        )
    momentum = check_momentum(bn_momentum)

    down: list[nn.Module] = []
    n_in, small = channels, side
    for width in (base, 2 * base, 4 * base, 8 * base):
        down += normed(same_conv(n_in, width, kernel, 2, small), width, momentum)
        n_in, small = width, -(-small // 2)
    start = side // 2**doublings
    up = [dense(latent_dim, n_in * start**2), nn.Unflatten(1, (n_in, start, start))]
    width = n_in
    for i in range(doublings):
        deconv = same_deconv(width, width // 2, kernel, 2, start * 2 ** (i + 1))
        width //= 2
        up += normed(deconv, width, momentum)
    up += [same_deconv(width, channels, kernel, 1, side), nn.Sigmoid()]
    encoder = nn.Sequential(*down, nn.Flatten())
    shape = (channels, side, side)
    return Networks(encoder, nn.Sequential(*up), shape, latent_dim, n_in * small**2, unit=True)
