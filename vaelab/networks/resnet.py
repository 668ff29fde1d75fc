"""The residual pair: scale blocks, each of a few residual blocks, between halvings of the image."""

from __future__ import annotations

import functools

from torch import Tensor, nn

from vaelab._door import door
from vaelab._inputs import Fraction
from vaelab.networks.layers import Networks, dense, same_conv, same_deconv
from vaelab.parts import recorded

WIDEST = 1024  # Channels of the decoder at most.
DENSE = 512  # Width of the encoder's fully connected scale block.


class Residual(nn.Module):
    """x ↦ body(x) + shortcut(x), the shortcut a layer too."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


def _scale_block(width: int, side: int, blocks: int, momentum: float) -> nn.Sequential:
    """`blocks` residual blocks of two [BN, ReLU, conv 3×3] and a conv 3×3 as shortcut."""
    conv = functools.partial(same_conv, width, width, 3, 1, side)
    norm = functools.partial(nn.BatchNorm2d, width, momentum=momentum)
    layers: list[nn.Module] = []
    for _ in range(blocks):
        body = nn.Sequential(norm(), nn.ReLU(), conv(), norm(), nn.ReLU(), conv())
        layers.append(Residual(body, conv()))
    return nn.Sequential(*layers)


def _dense_block(n_in: int, blocks: int) -> nn.Sequential:
    """The same with dense layers of 512 for convolutions, and no batch normalisation."""
    layers: list[nn.Module] = []
    for width in (n_in, *[DENSE] * (blocks - 1)):
        body = nn.Sequential(nn.ReLU(), dense(width, DENSE), nn.ReLU(), dense(DENSE, DENSE))
        layers.append(Residual(body, dense(width, DENSE)))
    return nn.Sequential(*layers)


@recorded
@door
def resnet(
    channels: int,
    side: int,
    latent_dim: int = 64,
    n_scales: int | None = None,
    base: int = 32,
    blocks: int = 2,
    pool: bool = False,
    bn_momentum: Fraction = 0.001,
) -> Networks:
    """The residual pair of the paper's Fig. 12, for square images of any side s, c channels.

    | encoder | decoder |
    | --- | --- |
    | conv 3×3, c → base | dense κ → 2·2·w, shaped w × 2 × 2 |
    | n_scales times: scale block; between them | until s: deconv 3×3, stride 2, w → w/2; block |
    | conv 3×3, stride 2, channels doubled | conv 3×3, base → c |
    | flatten (or, with `pool`, average over the image) | sigmoid |
    | dense scale block of width 512 | |
    | (head: dense → 2κ, log σ² read off it) | |

    A scale block is `blocks` residual blocks: twice [BN, ReLU, conv 3×3], plus a conv 3×3 of the
    input. The dense one has [ReLU, dense 512] twice, plus a dense layer of its input. The decoder's
    sides are s halved, rounded up, down to 2: 64, 32, 16, 8, 4, 2 or 28, 14, 7, 4, 2, and its width
    w doubles at each from `base`, to 1024 at most: its first layer has 4096 units at s = 64 and
    2048 at 28 and 32, as in the text. Glorot-uniform weights, biases zero.

    Source: Dai & Wipf (2019), Appendix D and Fig. 12. The authors' code differs: `base=16`,
    `blocks=1`, `pool=True`, n_scales = 4 for all data, and images of 28×28 impossible.

    Args:
        channels: of the images, c.
        side: height and width, s ≥ 2.
        latent_dim: κ ≥ 1.
        n_scales: scale blocks of the encoder; 4 for s ≥ 64 and 3 below unless given, as in the
            text.
        base: channels at full size.
        blocks: residual blocks in a scale block.
        pool: whether the encoder averages over the image instead of flattening it.
        bn_momentum: weight of a new batch in the running statistics; see `infogan`.

    Returns:
        The pair, with n_features = 512 and `scale="exp"`.

    Raises:
        ValueError: more scales than the side can be halved, a momentum outside (0, 1].
    """
    if n_scales is None:
        n_scales = 4 if side >= 64 else 3
    sides = [side]
    while sides[-1] > 2:
        sides.append(-(-sides[-1] // 2))
    if side < 2 or n_scales > len(sides):
        raise ValueError(
            f"side: a resnet of {n_scales} scales needs images of at least "
            f"{2 ** (n_scales - 1) + 1} pixels a side, got {side}; pass fewer n_scales or larger "
            "images"
        )
    block = functools.partial(_scale_block, blocks=blocks, momentum=bn_momentum)
    widths = [base * 2**i for i in range(n_scales)]
    encoder = [same_conv(channels, base, 3, 1, side), block(base, side)]
    for i in range(1, n_scales):
        halved = same_conv(widths[i - 1], widths[i], 3, 2, sides[i - 1])
        encoder += [halved, block(widths[i], sides[i])]
    if pool:
        encoder.append(nn.AdaptiveAvgPool2d(1))
    flat = widths[-1] * (1 if pool else sides[n_scales - 1] ** 2)
    encoder += [nn.Flatten(), _dense_block(flat, blocks)]
    widths = [min(base * 2**i, max(WIDEST, base)) for i in range(len(sides))]
    decoder = [dense(latent_dim, 4 * widths[-1]), nn.Unflatten(1, (widths[-1], 2, 2))]
    for i in reversed(range(len(sides) - 1)):
        doubled = same_deconv(widths[i + 1], widths[i], 3, 2, sides[i])
        decoder += [doubled, block(widths[i], sides[i])]
    decoder += [same_conv(base, channels, 3, 1, side), nn.Sigmoid()]
    shape, pair = (channels, side, side), (nn.Sequential(*encoder), nn.Sequential(*decoder))
    return Networks(*pair, shape, latent_dim, DENSE, unit=True)
