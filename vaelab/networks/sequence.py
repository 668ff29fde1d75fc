"""A pair for lines kept as rule numbers: convolutions along the line, and a recurrent decoder."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vaelab._door import door
from vaelab._inputs import Widths, check_shape
from vaelab.networks.layers import Networks, dense, glorot
from vaelab.parts import recorded


class OneHot(nn.Module):
    """Rule numbers b / 255, (batch, length), to one-hot columns (batch, n_rules, length)."""

    def __init__(self, n_rules: int) -> None:
        super().__init__()
        self.every: Tensor
        self.register_buffer("every", torch.arange(n_rules).unsqueeze(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.eq((x * 255).round().unsqueeze(-2), self.every).to(x.dtype)


class Recurrent(nn.Module):
    """Code features (batch, n_in), the same at every step, to outputs (batch, length, width)."""

    def __init__(self, n_in: int, width: int, layers: int, length: int) -> None:
        super().__init__()
        self.length = length
        self.gru = nn.GRU(n_in, width, layers, batch_first=True)

    def forward(self, features: Tensor) -> Tensor:
        steps = features.unsqueeze(1).expand(-1, self.length, -1)
        return self.gru(steps)[0]


@recorded
@door
def sequence(
    image_shape: int | Sequence[int],
    latent_dim: int = 25,
    n_rules: int = 12,
    channels: Widths = (16, 32, 64),
    hidden: int = 100,
    width: int = 64,
    layers: int = 1,
) -> Networks:
    """Lines of rule numbers: 1-D convolutions to the features, a GRU from the code to the logits.

    | encoder | decoder |
    | --- | --- |
    | rule numbers as one-hot columns, n_rules × length | z, κ |
    | conv 3 along the line, ReLU, once for each of `channels` | dense κ → κ, ReLU |
    | flatten, dense → `hidden`, ReLU | repeated at each step |
    | (head: dense → κ for a point) | GRU of `width` units, `layers` deep |
    | | dense → n_rules: a logit for each rule at each step |

    Glorot-uniform weights, biases zero; torch's own first weights for the GRU. For expressions
    126,000 parameters.

    Source: the shape of Kusner, Paige & Hernández-Lobato's (2017) networks, which have kernels of 9
    to 11, `hidden=435`, `width=501`, `layers=3` and κ = 56 for molecules, and a tenth of it for
    expressions.

    Args:
        image_shape: length of a line in rules, (length,).
        latent_dim: κ ≥ 1.
        n_rules: of the grammar, with the padding.
        channels: of the convolutions.
        hidden: features of the encoder.
        width, layers: of the GRU.

    Returns:
        The pair; its decoder gives logits (batch, length, n_rules), for `likelihoods.Rules`.

    Raises:
        ValueError: examples that are no lines.

    >>> nets = sequence(15, latent_dim=4)
    >>> nets.encoder(torch.zeros(2, 15)).shape, nets.decoder(torch.zeros(2, 4)).shape
    (torch.Size([2, 100]), torch.Size([2, 15, 12]))
    """
    shape = check_shape("image_shape", image_shape)
    if len(shape) != 1:
        raise ValueError(f"image_shape: expected the length of a line, (length,), got {shape}")
    [length] = shape
    encoder = [OneHot(n_rules)]
    for n_in, n_out in itertools.pairwise((n_rules, *channels)):
        encoder += [glorot(nn.Conv1d(n_in, n_out, 3, padding=1)), nn.ReLU()]
    encoder += [nn.Flatten(), dense(channels[-1] * length, hidden), nn.ReLU()]
    decoder = nn.Sequential(
        dense(latent_dim, latent_dim),
        nn.ReLU(),
        Recurrent(latent_dim, width, layers, length),
        dense(width, n_rules),
    )
    return Networks(nn.Sequential(*encoder), decoder, shape, latent_dim, hidden, unit=True)
