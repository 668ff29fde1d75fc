"""Fully connected pairs, and a pair whose code has a second pair around it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vaelab._door import door
from vaelab._inputs import Widths, check_choice, check_positive_int, check_shape
from vaelab.networks.layers import Networks, dense
from vaelab.parts import recorded

ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh}
OUTPUTS = {"identity": nn.Identity, "sigmoid": nn.Sigmoid}


class Skip(nn.Module):
    """x ↦ [body(x), x]: the layers' output with the input beside it."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.body(x), x), -1)


def layers(n_in: int, hidden: Sequence[int], activation: str) -> nn.Sequential:
    """Dense layers of those widths, each with its activation."""
    pairs = itertools.pairwise([n_in, *hidden])
    return nn.Sequential(*(m for a, b in pairs for m in (dense(a, b), ACTIVATIONS[activation]())))


@recorded
@door
def mlp(
    image_shape: int | Sequence[int],
    latent_dim: int,
    hidden: Widths = (128, 128),
    activation: str = "silu",
    output: str = "identity",
) -> Networks:
    """Fully connected encoder and decoder, each with its input concatenated to its last hidden
    layer.

    The linear path from input to output lets the pair start as probabilistic PCA does. With
    `hidden=(1024, 1024, 1024)` and `activation="relu"` it is the second stage's network.

    | encoder                                        | decoder                                    |
    | ---                                            | ---                                        |
    | x, flattened to d                              | z, κ                                       |
    | dense + activation, once for each of `hidden`  | dense + activation, once for each          |
    | concatenate x                                  | concatenate z                              |
    | (head: dense to the parameters of q)           | dense to d, `output`, shaped as an image   |

    Glorot-uniform weights, biases zero.

    Source: Dai & Wipf (2019), Appendix D; the concatenation stands in the authors' code, not in the
    text.

    Args:
        image_shape: shape of one example, or its length.
        latent_dim: κ ≥ 1.
        hidden: widths of the hidden layers.
        activation: "silu", "relu" or "tanh".
        output: "identity", or "sigmoid" for pixels in [0, 1].

    Returns:
        The pair, with n_features = hidden[-1] + d.

    >>> nets = mlp((1, 8, 8), latent_dim=4)
    >>> nets.encoder(torch.zeros(2, 1, 8, 8)).shape, nets.decoder(torch.zeros(2, 4)).shape
    (torch.Size([2, 192]), torch.Size([2, 1, 8, 8]))
    """
    shape = check_shape("image_shape", image_shape)
    check_choice("activation", activation, ACTIVATIONS)
    check_choice("output", output, OUTPUTS)
    d = math.prod(shape)
    encoder = nn.Sequential(nn.Flatten(), Skip(layers(d, hidden, activation)))
    decoder = nn.Sequential(
        Skip(layers(latent_dim, hidden, activation)),
        dense(hidden[-1] + latent_dim, d),
        OUTPUTS[output](),
        nn.Unflatten(1, shape),
    )
    n_features, unit = hidden[-1] + d, output == "sigmoid"
    return Networks(encoder, decoder, shape, latent_dim, n_features, unit=unit)


@recorded
@door
def fused(
    networks: Networks, hidden: Widths = (1024, 1024, 1024), activation: str = "relu"
) -> Networks:
    """Both stages' networks in one pair: x → z → u and back, with no posterior and no penalty at z.

    | encoder | decoder |
    | --- | --- |
    | the encoder of `networks`, then dense to z, κ | u, κ |
    | dense + activation, once for each of `hidden` | dense + activation, once for each |
    | concatenate z | concatenate u |
    | (head: dense to the parameters of q(u given x)) | dense to z, the decoder of `networks` |

    A VAE on this pair has the parameters of two stages and the objective of one: the ablation that
    asks whether the second stage gains by its depth alone.

    Source: Dai & Wipf (2019), Section 4, on why the stages are trained apart.

    Args:
        networks: the first stage's pair.
        hidden: widths of the second stage's layers.
        activation: of those layers.

    Returns:
        The pair, with n_features = hidden[-1] + κ.

    >>> nets = fused(mlp(6, latent_dim=2), hidden=(8, 8))
    >>> nets.encoder(torch.zeros(3, 6)).shape, nets.decoder(torch.zeros(3, 2)).shape
    (torch.Size([3, 10]), torch.Size([3, 6]))
    """
    k = networks.latent_dim
    inner = mlp(k, k, hidden, activation)
    encoder = nn.Sequential(networks.encoder, networks.dense(networks.n_features, k), inner.encoder)
    decoder = nn.Sequential(inner.decoder, networks.decoder)
    shape, unit = networks.image_shape, networks.unit
    return Networks(encoder, decoder, shape, k, inner.n_features, unit=unit)


@recorded
@door
def with_context(networks: Networks, n_context: int) -> Networks:
    """A pair whose decoder takes a context beside the code, for `models.Conditional`.

    Args:
        networks: a pair made for codes of κ + n_context numbers.
        n_context: how many of them are the context.

    Returns:
        The pair for codes of κ numbers.

    >>> with_context(mlp(3, latent_dim=5), n_context=3).latent_dim
    2
    """
    left = check_positive_int("latent_dim less n_context", networks.latent_dim - n_context)
    return networks.changed(latent_dim=left)
