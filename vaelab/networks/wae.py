"""The pair of the Wasserstein autoencoder's experiments on faces."""

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
def wae(
    channels: int = 3,
    side: int = 64,
    latent_dim: int = 64,
    first_stride: int = 1,
    base: int = 128,
    bn_momentum: float = 0.001,
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
    sizes = {"channels": channels, "side": side, "latent_dim": latent_dim, "base": base}
    channels, side, latent_dim, base = check_sizes(**sizes)
    if first_stride not in (1, 2):
        raise ValueError(f"first_stride: expected 1 or 2, got {first_stride!r}")
    if side % (8 * first_stride):
        raise ValueError(
            f"side: the wae networks with first_stride={first_stride} want a multiple of "
            f"{8 * first_stride}, got {side}"
        )
    momentum = check_momentum(bn_momentum)
    widths = [base * 2**i for i in range(4)]
    small = side // 8
    full = side // first_stride  # The side after the first layer.

    encoder = nn.Sequential(
        *normed(same_conv(channels, base, 5, first_stride, side), base, momentum),
        *(
            m
            for i in range(3)
            for m in normed(
                same_conv(widths[i], widths[i + 1], 5, 2, full // 2**i), widths[i + 1], momentum
            )
        ),
        nn.Flatten(),
    )
    decoder = nn.Sequential(
        dense(latent_dim, widths[3] * small**2),
        nn.ReLU(),
        nn.Unflatten(1, (widths[3], small, small)),
        *(
            m
            for i in (2, 1, 0)
            for m in normed(
                same_deconv(widths[i + 1], widths[i], 5, 2, side // 2**i), widths[i], momentum
            )
        ),
        same_deconv(base, channels, 5, 1, side),
        nn.Sigmoid(),
    )
    n_features = widths[3] * (small // first_stride) ** 2
    return Networks(encoder, decoder, (channels, side, side), latent_dim, n_features, unit=True)
