"""Encoders and decoders: `mlp` for vectors and small images, `infogan` for images.

A `Networks` is the pair before any choice is made about q or p: the encoder ends in features, from which a posterior
head reads its parameters with `dense`; the decoder ends in an image.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from vaelab._inputs import check_choice, check_positive_int, check_seed


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Build networks inside: their weights follow from `seed`, and the caller's random state is left as it was.

    >>> with seeded(0):
    ...     nets = mlp(3, latent_dim=2)
    """
    check_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(seed))
        yield


ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh}
OUTPUTS = {"identity": nn.Identity, "sigmoid": nn.Sigmoid}


@dataclass(frozen=True)
class Networks:
    """An encoder, a decoder and what a posterior head must know of them.

    Args:
        encoder: images (batch, *image_shape) to features (batch, n_features).
        decoder: codes (batch, latent_dim) to images (batch, *image_shape).
        image_shape: shape of one example.
        latent_dim: κ.
        n_features: width of the encoder's output.
        dense: makes the head's dense layer from (n_in, n_out).
        scale: how a diagonal head reads σ, "exp" or "softplus".
        spec: the call that rebuilds this pair: {"name": ..., arguments}.
    """

    encoder: nn.Module
    decoder: nn.Module
    image_shape: tuple[int, ...]
    latent_dim: int
    n_features: int
    dense: Callable[[int, int], nn.Module]
    scale: str = "exp"
    spec: dict = field(default_factory=dict)


class _Skip(nn.Module):
    """x ↦ [body(x), x]: the layers' output with the input beside it."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.body(x), x), -1)


def _glorot(n_in: int, n_out: int) -> nn.Linear:
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _layers(n_in: int, hidden: Sequence[int], activation: str) -> nn.Sequential:
    pairs = itertools.pairwise([n_in, *hidden])
    return nn.Sequential(*(m for a, b in pairs for m in (_glorot(a, b), ACTIVATIONS[activation]())))


def mlp(
    image_shape: int | Sequence[int],
    latent_dim: int,
    hidden: Sequence[int] = (128, 128),
    activation: str = "silu",
    output: str = "identity",
) -> Networks:
    """Fully connected encoder and decoder, each with its input concatenated to its last hidden layer.

    The linear path from input to output lets the pair start as probabilistic PCA does. With `hidden=(1024, 1024, 1024)`
    and `activation="relu"` it is the second stage's network.

    | encoder                                        | decoder                                    |
    | ---                                            | ---                                        |
    | x, flattened to d                              | z, κ                                       |
    | dense + activation, once for each of `hidden`  | dense + activation, once for each          |
    | concatenate x                                  | concatenate z                              |
    | (head: dense to the parameters of q)           | dense to d, `output`, shaped as an image   |

    Glorot-uniform weights, biases zero.

    Source: Dai & Wipf (2019), Appendix D; the concatenation stands in the authors' code, not in the text.

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
    shape = (image_shape,) if isinstance(image_shape, (int, np.integer)) else tuple(image_shape)
    shape = tuple(check_positive_int("image_shape", size) for size in shape)
    latent_dim = check_positive_int("latent_dim", latent_dim)
    check_choice("activation", activation, ACTIVATIONS)
    check_choice("output", output, OUTPUTS)
    hidden = tuple(check_positive_int("hidden", width) for width in hidden)
    if not hidden:
        raise ValueError("hidden: expected the width of at least one hidden layer, got none")
    d = math.prod(shape)
    encoder = nn.Sequential(nn.Flatten(), _Skip(_layers(d, hidden, activation)))
    decoder = nn.Sequential(
        _Skip(_layers(latent_dim, hidden, activation)),
        _glorot(hidden[-1] + latent_dim, d),
        OUTPUTS[output](),
        nn.Unflatten(1, shape),
    )
    arguments = {"image_shape": shape, "latent_dim": latent_dim, "hidden": hidden}
    spec = {"name": "mlp", **arguments, "activation": activation, "output": output}
    return Networks(encoder, decoder, shape, latent_dim, hidden[-1] + d, _glorot, "exp", spec)


def _normal(layer: nn.Module) -> nn.Module:
    """The InfoGAN initialisation: N(0, 0.02²), cut at two standard deviations for convolutions; biases zero."""
    if isinstance(layer, nn.Conv2d):
        nn.init.trunc_normal_(layer.weight, std=0.02, a=-0.04, b=0.04)
    else:
        nn.init.normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def _spectral(layer: nn.Module) -> nn.Module:
    return spectral_norm(_normal(layer), n_power_iterations=1)


def _spectral_dense(n_in: int, n_out: int) -> nn.Module:
    return _spectral(nn.Linear(n_in, n_out))


def infogan(channels: int, side: int, latent_dim: int = 64, bn_momentum: float = 0.001) -> Networks:
    """The convolutional pair of the paper's image experiments ("neutral" architecture), s = side, c = channels.

    | encoder (every layer spectrally normalised)          | decoder                                            |
    | ---                                                  | ---                                                |
    | conv 4×4, stride 2, c → 64, leaky ReLU 0.2           | dense κ → 1024, BN, ReLU                           |
    | conv 4×4, stride 2, 64 → 128, BN, leaky ReLU         | dense → 128 (s/4)², BN, ReLU, shape 128 × s/4 × s/4 |
    | flatten, dense → 1024, BN, leaky ReLU                | deconv 4×4, stride 2, 128 → 64, BN, ReLU           |
    | (head: dense → 2κ, σ = 1e-6 + softplus)              | deconv 4×4, stride 2, 64 → c, sigmoid              |

    13.33 million parameters with its head at 28×28×1 and κ = 64, 17.27 million at 32×32×3. Weights N(0, 0.02²), biases
    zero. Padding 1 on each side equals TensorFlow's SAME here. Batch normalisation has ε = 1e-5.

    Source: Dai & Wipf (2019), Appendix D (after Chen et al. 2016); spectral normalisation and the softplus are in the
    authors' code only.

    Args:
        channels: of the images, c.
        side: height and width of the images, s, a multiple of 4.
        latent_dim: κ ≥ 1.
        bn_momentum: weight of a new batch in the running statistics. 0.001 is the paper's and needs about 5,000 steps;
            a run shorter than that wants 0.01 to 0.1.

    Returns:
        The pair, with n_features = 1024 and `scale="softplus"`.

    Raises:
        ValueError: `side` is no multiple of 4, a size below 1, a momentum outside (0, 1].
    """
    channels, side = check_positive_int("channels", channels), check_positive_int("side", side)
    latent_dim = check_positive_int("latent_dim", latent_dim)
    if side % 4:
        raise ValueError(f"side: the infogan networks halve the image twice; expected a multiple of 4, got {side}")
    if not 0 < bn_momentum <= 1:
        raise ValueError(f"bn_momentum: expected a number in (0, 1], got {bn_momentum}")
    flat = 128 * (side // 4) ** 2
    bn = {"eps": 1e-5, "momentum": bn_momentum}
    encoder = nn.Sequential(
        _spectral(nn.Conv2d(channels, 64, 4, 2, 1)), nn.LeakyReLU(0.2),
        _spectral(nn.Conv2d(64, 128, 4, 2, 1)), nn.BatchNorm2d(128, **bn), nn.LeakyReLU(0.2),
        nn.Flatten(),
        _spectral_dense(flat, 1024), nn.BatchNorm1d(1024, **bn), nn.LeakyReLU(0.2),
    )
    decoder = nn.Sequential(
        _normal(nn.Linear(latent_dim, 1024)), nn.BatchNorm1d(1024, **bn), nn.ReLU(),
        _normal(nn.Linear(1024, flat)), nn.BatchNorm1d(flat, **bn), nn.ReLU(),
        nn.Unflatten(1, (128, side // 4, side // 4)),
        _normal(nn.ConvTranspose2d(128, 64, 4, 2, 1)), nn.BatchNorm2d(64, **bn), nn.ReLU(),
        _normal(nn.ConvTranspose2d(64, channels, 4, 2, 1)), nn.Sigmoid(),
    )
    spec = {"name": "infogan", "channels": channels, "side": side, "latent_dim": latent_dim, "bn_momentum": bn_momentum}
    return Networks(encoder, decoder, (channels, side, side), latent_dim, 1024, _spectral_dense, "softplus", spec)
