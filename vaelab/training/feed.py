"""The data on the device, a batch at a time: bytes where they came from bytes, scaled and mirrored
as they are met.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaelab import _files
from vaelab._inputs import check_images
from vaelab._processes import draw
from vaelab.likelihoods import CrossEntropy
from vaelab.models import Autoencoder
from vaelab.posteriors import Point

BLOCK = 4096  # rows looked at together


def to_bytes(x: Tensor) -> Tensor | None:
    """The bytes b with x = b / 255 to the last bit, a quarter of float32's memory; None where there
    are none.

    >>> to_bytes(torch.tensor([0, 128, 255]) / 255), to_bytes(torch.tensor([0.5]))
    (tensor([  0, 128, 255], dtype=torch.uint8), None)
    """
    out = torch.empty(x.shape, dtype=torch.uint8, device=x.device)
    for part, into in zip(x.split(BLOCK), out.split(BLOCK), strict=True):
        into.copy_((part * 255).round_().clamp_(0, 255))
        if not torch.equal(into.to(x.dtype).div_(255), part):
            return None
    return out


@dataclass(frozen=True)
class Feed:
    """Images, or posteriors that a code is drawn from afresh each time, on the device they are
    trained on.

    Args:
        rows: images (n, *image_shape), as bytes where that loses nothing; or posteriors of n
            images.
        given: precision in which the bytes become b / 255, that of the images given.
        dtype: precision of a batch.
        flip: whether each image is mirrored with probability ½ each time it is met.
    """

    rows: Tensor | Point
    given: torch.dtype
    dtype: torch.dtype
    flip: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """The rows of those numbers, shape (batch, *image_shape)."""
        rows = self.rows[index]
        if isinstance(rows, Point):
            return rows.rsample(generator).detach()
        x = rows.to(self.given).div_(255).to(self.dtype) if rows.dtype == torch.uint8 else rows
        if self.flip:
            mirrored = draw(torch.rand, (len(x), 1, 1, 1), generator, x) < 0.5
            x = torch.where(mirrored, x.flip(-1), x)
        return x


def feed(
    model: Autoencoder, data: Any, device: torch.device, flip: bool = False
) -> tuple[Feed, str]:
    """Check the data, bring them to the device, and say their digest."""
    dtype = next(model.parameters()).dtype
    if isinstance(data, Point):
        if flip:
            raise ValueError("flip: codes cannot be mirrored; expected False for posteriors")
        check_images(data.mean, model.image_shape, minimum=2)
        return Feed(data.to(device, dtype), dtype, dtype), _files.digest(data.to(dtype).tensors())
    if flip and len(model.image_shape) != 3:
        raise ValueError(
            f"flip: expected images of shape (channels, height, width), got {model.image_shape}"
        )
    x = check_images(data, model.image_shape, isinstance(model.likelihood, CrossEntropy), minimum=2)
    packed = to_bytes(x)
    rows = x.to(dtype) if packed is None else packed
    return Feed(rows.to(device), x.dtype, dtype, flip), _files.digest({"x": rows})
