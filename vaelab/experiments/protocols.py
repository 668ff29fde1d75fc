"""Two ways to measure samples against images. A figure is only comparable with one of the same
protocol.

- `clean`: samples are cut to [0, 1] and rounded to bytes, as if written to a file; nothing else is
done.
- `dai-wipf`: as the authors' code does, without the paper saying so: every sample is stretched by
  itself to the whole range [0, 1] and not rounded, the real images are not; CIFAR-10's images, also
  those to train on, are written as JPEG and read back.

Both compare with the test images.

What `dai-wipf` does not match of the authors' code: reconstructions decode the mean of q(z given
x), theirs a draw; CelebA is compared with all test images, theirs with 10,000; batch norm keeps an
unbiased running variance, TensorFlow's a biased one.
"""

from __future__ import annotations

import io
from dataclasses import replace

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
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor, to_pil_image

    out = torch.empty_like(x)
    for i, image in enumerate((x * 255).round().to(torch.uint8)):
        file = io.BytesIO()
        to_pil_image(image).save(file, "JPEG", quality=quality)
        out[i] = pil_to_tensor(Image.open(file)) / 255
    return out
