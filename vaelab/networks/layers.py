"""What every pair of networks is made of: the pair itself, seeds, first weights, and TensorFlow's
SAME padding.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vaelab._door import door
from vaelab._inputs import check_choice, check_seed, check_shape
from vaelab.parts import Module

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d
_BUILDING = threading.RLock()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Build networks inside: their weights follow from `seed`, and the caller's random state is
    left as it was. Threads build one after another, since torch draws first weights from one
    generator.

    >>> with seeded(0):
    ...     layer = dense(3, 2)
    """
    seed = check_seed(seed)
    with _BUILDING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def initialised(layer: Layer, draw: Callable[[Tensor], Any]) -> Layer:
    """Draw a layer's first weights in place; its biases are zero."""
    draw(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def glorot(layer: Layer) -> Layer:
    """Give a layer Glorot-uniform weights and zero biases, TensorFlow's defaults."""
    return initialised(layer, nn.init.xavier_uniform_)


def dense(n_in: int, n_out: int) -> nn.Module:
    """A fully connected layer with Glorot-uniform weights and zero biases."""
    return glorot(nn.Linear(n_in, n_out))


class Networks(Module):
    """An encoder, a decoder and what the other parts must know of them.

    A user's pair is a function under `@networks.recorded`, or a subclass, whose arguments are plain
    data; then it is saved and loaded like the package's.

    Args:
        encoder: images (batch, *image_shape) to features (batch, n_features).
        decoder: codes (batch, latent_dim) to images (batch, *image_shape).
        image_shape: shape of one example.
        latent_dim: κ.
        n_features: width of the encoder's output.
        dense: makes the posterior's dense layer from (n_in, n_out).
        scale: how a diagonal posterior reads σ, "exp" or "softplus".
        unit: whether the decoder's outputs lie in [0, 1], so that images must; None if unknown.

    >>> from vaelab import models, networks
    >>> @networks.recorded
    ... def linear(d: int, latent_dim: int) -> Networks:
    ...     return Networks(nn.Identity(), nn.Linear(latent_dim, d), (d,), latent_dim, n_features=d)
    >>> models.vae(linear(5, 2)).reconstruct(torch.zeros(3, 5)).shape
    torch.Size([3, 5])
    """

    @door
    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        image_shape: Sequence[int],
        latent_dim: int,
        n_features: int,
        dense: Callable[[int, int], nn.Module] = dense,
        scale: str = "exp",
        unit: bool | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.image_shape = check_shape("image_shape", image_shape)
        self.latent_dim = latent_dim
        self.n_features = n_features
        self.dense = dense
        self.scale = check_choice("scale", scale, ("exp", "softplus"))
        self.unit = unit

    def changed(self, **arguments: Any) -> Networks:
        """A pair of the same networks, but for these arguments."""
        own = {name: getattr(self, name) for name in inspect.signature(Networks).parameters}
        return Networks(**{**own, **arguments})


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, as in TensorFlow's SAME: a convolution turns `size` pixels into
    ceil(size / stride).

    >>> same_padding(28, 4, 2), same_padding(28, 3, 2), same_padding(7, 3, 2)
    ((1, 1), (0, 1), (1, 1))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def same_conv(n_in: int, n_out: int, kernel: int, stride: int, side: int) -> nn.Module:
    """A convolution (batch, n_in, side, side) → (batch, n_out, s, s), s = ceil(side / stride), with
    SAME padding.

    Where SAME puts an odd zero after the image, which `nn.Conv2d` cannot, the padding is a separate
    layer. Glorot-uniform weights, bias zero.
    """
    before, after = same_padding(side, kernel, stride)
    if before == after:
        return glorot(nn.Conv2d(n_in, n_out, kernel, stride, before))
    conv = glorot(nn.Conv2d(n_in, n_out, kernel, stride))
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), conv)


def same_deconv(n_in: int, n_out: int, kernel: int, stride: int, side: int) -> nn.Module:
    """The transpose of `same_conv` for images of that side: (batch, n_in, s, s) → (batch, n_out,
    side, side).

    Glorot-uniform weights, bias zero.
    """
    before, after = same_padding(side, kernel, stride)
    layer = glorot(nn.ConvTranspose2d(n_in, n_out, kernel, stride, before))
    if before == after:
        return layer
    crop = before - after
    return nn.Sequential(layer, nn.ZeroPad2d((0, crop, 0, crop)))


@contextlib.contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Let batch normalisation normalise by the batch inside, without following its statistics."""
    layers: list[Any] = [m for m in network.modules() if getattr(m, "track_running_stats", False)]
    for layer in layers:
        layer.track_running_stats = not layer.training
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


def normed(layer: nn.Module, width: int, momentum: float) -> list[nn.Module]:
    """A convolution to `width` channels, with batch normalisation and a ReLU behind it."""
    return [layer, nn.BatchNorm2d(width, momentum=momentum), nn.ReLU()]
