"""A pair for images of any shape, by the name of its maker."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vaelab._door import taken
from vaelab._inputs import check_callable, check_choice, check_options, check_shape
from vaelab._memory import check_parameters
from vaelab.networks.infogan import infogan
from vaelab.networks.layers import Networks
from vaelab.networks.mlp import mlp
from vaelab.networks.resnet import resnet
from vaelab.networks.sequence import sequence
from vaelab.networks.small_conv import small_conv
from vaelab.networks.strided import rae, wae

MAKERS = {maker.__name__: maker for maker in (mlp, small_conv, infogan, rae, resnet, wae, sequence)}


def for_shape(
    maker: str | Callable[..., Networks],
    image_shape: Sequence[int],
    latent_dim: int,
    options: Mapping[str, Any],
) -> Networks:
    """A pair for images of a shape, from a maker that takes the shape, or channels and side.

    Args:
        maker: the name of a function of `vaelab.networks`, or a function that makes networks.
        image_shape: shape of one example.
        latent_dim: κ ≥ 1.
        options: what else it is called with.

    Raises:
        ValueError: an unknown name; no images, or images that are not square for a maker of square
            ones; more parameters than fit into memory.
        TypeError: options that it does not take.
    """
    shape = check_shape("image_shape", image_shape)
    options = taken("options", options, Mapping[str, Any])
    named = MAKERS[check_choice("network", maker, MAKERS)] if isinstance(maker, str) else maker
    make = check_callable("network", named)
    parameters = inspect.signature(make).parameters
    check_options(make, options, parameters)
    sizes: dict[str, Any] = {"image_shape": shape}
    if "image_shape" not in parameters:
        sizes = _channels_and_side(make, *shape)
    build = functools.partial(make, latent_dim=latent_dim, **sizes, **options)
    if make in MAKERS.values():
        check_parameters(build)
    return build()


def _channels_and_side(maker: Callable[..., Networks], *image_shape: int) -> dict[str, Any]:
    shapes = "images (c, h, w)" if maker is small_conv else "square images (c, s, s)"
    if len(image_shape) != 3 or len(set(image_shape[1:])) > 1 + (maker is small_conv):
        raise ValueError(
            f"{maker.__name__} takes {shapes}, got {image_shape}; give side= to crop and resize "
            "pictures"
        )
    channels, height, width = image_shape
    return {"channels": channels, "side": height if height == width else (height, width)}
