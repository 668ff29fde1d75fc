"""A convolutional pair for one CPU core."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from vaelab._door import door
from vaelab._inputs import check_choice
from vaelab.networks.layers import Networks, dense, glorot
from vaelab.networks.mlp import ACTIVATIONS
from vaelab.parts import recorded


@recorded
@door
def small_conv(
    channels: int,
    side: int | Sequence[int],
    latent_dim: int = 16,
    width: int = 16,
    hidden: int = 128,
    activation: str = "silu",
) -> Networks:
    """Two strided convolutions each way, small enough for one CPU core: h × w images, c channels.

    | encoder | decoder |
    | --- | --- |
    | zeros below and right, to multiples of 4 | dense κ → 128, activation |
    | conv 4×4, stride 2, c → 16, activation | dense → 32 ⌈h/4⌉ ⌈w/4⌉, activation, shaped |
    | conv 4×4, stride 2, 16 → 32, activation | deconv 4×4, stride 2, 32 → 16, activation |
    | flatten, dense → 128, activation | deconv 4×4, stride 2, 16 → c, sigmoid |
    | (head: dense to the parameters of q) | cut to h × w |

    426 thousand parameters with its head at 28×28×1 and κ = 16, 551 thousand at 32×32×3. Weights
    Glorot-uniform, biases zero, no normalisation.

    Tried on 20,000 images of MNIST, κ = 16, γ learned, five epochs along a cosine, one seed each;
    reconstructions' Fréchet distance in the shipped features, with this table, Adam's step 2e-3 and
    batches of 100: 10.3. ReLU 59.7, leaky ReLU 12.0, GELU 11.0; batch normalisation 9.6, with ReLU
    10.7, and a quarter slower; width 12 with hidden 160 10.4; width 24 with hidden 96 10.1, and
    half again as slow. Step 1e-3 17.4, 4e-3 8.4; batches of 50 8.5, and of 250 with step 4e-3 13.4.
    Hence a table's profile `laptop` trains it with step 4e-3 and batches of 100.

    Args:
        channels: of the images, c.
        side: height and width of the images, or the two, (h, w).
        latent_dim: κ ≥ 1.
        width: channels after the first convolution; twice as many after the second.
        hidden: width of the dense layers.
        activation: "silu", "relu" or "tanh".

    Returns:
        The pair, with n_features = hidden, for pixels in [0, 1].

    >>> import torch
    >>> nets = small_conv(1, (27, 18), latent_dim=4)
    >>> nets.encoder(torch.zeros(2, 1, 27, 18)).shape, nets.decoder(torch.zeros(2, 4)).shape
    (torch.Size([2, 128]), torch.Size([2, 1, 27, 18]))
    """
    sides = (side, side) if isinstance(side, int) else tuple(side)
    if len(sides) != 2:
        raise ValueError(f"side: expected a side or (height, width), got {sides}")
    height, w = sides
    check_choice("activation", activation, ACTIVATIONS)
    active = ACTIVATIONS[activation]
    tall, wide = -(-height // 4), -(-w // 4)
    below, right = 4 * tall - height, 4 * wide - w
    flat = 2 * width * tall * wide
    encoder = nn.Sequential(
        *_zeros(right, below),
        glorot(nn.Conv2d(channels, width, 4, 2, 1)),
        active(),
        glorot(nn.Conv2d(width, 2 * width, 4, 2, 1)),
        active(),
        nn.Flatten(),
        dense(flat, hidden),
        active(),
    )
    decoder = nn.Sequential(
        dense(latent_dim, hidden),
        active(),
        dense(hidden, flat),
        active(),
        nn.Unflatten(1, (2 * width, tall, wide)),
        glorot(nn.ConvTranspose2d(2 * width, width, 4, 2, 1)),
        active(),
        glorot(nn.ConvTranspose2d(width, channels, 4, 2, 1)),
        *_zeros(-right, -below),
        nn.Sigmoid(),
    )
    return Networks(encoder, decoder, (channels, height, w), latent_dim, hidden, unit=True)


def _zeros(right: int, below: int) -> list[nn.Module]:
    """Rows and columns of zeros at the end, or, where negative, none of the last; nothing for 0."""
    return [nn.ZeroPad2d((0, right, 0, below))] if right or below else []
