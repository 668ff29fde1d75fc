"""Two ways to measure samples against images. A figure is only comparable with one of the same
protocol.

- `clean`: samples are cut to [0, 1] and rounded to bytes, as if written to a file; nothing else is
done.
- `dai-wipf`: as the authors' code does, without the paper saying so: every sample is stretched by
itself to the whole
  range [0, 1] and not rounded, the real images are not; CIFAR-10's images, also those to train on,
  are written as JPEG and read back.

Both compare with the test images.
"""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vaelab._inputs import check_choice
from vaelab.data import Images

PROTOCOLS = ("clean", "dai-wipf")


def prepare(images: Images, protocol: str) -> Images:
    """The images to train on and to compare with."""
    check_choice("protocol", protocol, PROTOCOLS)
    if protocol == "clean" or images.name != "cifar10":
        return images
    source = f"{images.source} Every image written as JPEG (quality 75) and read back."
    return replace(
        images, train_pixels=jpeg(images.train), test_pixels=jpeg(images.test), source=source
    )


def samples(x: Tensor, protocol: str) -> Tensor:
    """Generated images (n, channels, height, width) as the protocol compares them, values in [0,
    1].

    >>> samples(torch.tensor([[[[0.2, 0.3]]], [[[-0.1, 0.9]]]]), "dai-wipf").flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    check_choice("protocol", protocol, PROTOCOLS)
    if protocol == "clean":
        return (x.clamp(0, 1) * 255).round() / 255
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    return (x - low) / (high - low).clamp(min=1e-12)


def jpeg(x: Tensor, quality: int = 75) -> Tensor:
    """Images (n, 1 or 3, height, width) in [0, 1], each written as JPEG and read back."""
    out = torch.empty_like(x)
    for i, image in enumerate((x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()):
        out[i] = torch.from_numpy(_round_trip(image, quality)).permute(2, 0, 1) / 255
    return out


def _round_trip(image: np.ndarray, quality: int) -> np.ndarray:
    from PIL import Image

    grey = image.shape[2] == 1
    file = io.BytesIO()
    Image.fromarray(image[:, :, 0] if grey else image).save(file, "JPEG", quality=quality)
    return np.atleast_3d(np.array(Image.open(file)))
