"""A data set in memory: pixels as they came, and floats when they are asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vaelab._arrays import Rows, as_tensor

_BLOCK = 4096  # pictures that are turned into floats at a time
_VALUES = 2**22  # pixels that are, where pictures are large
_LOOK = 1000  # pictures of a set out of memory that are looked at
_FLAT = 3.5 / 255  # a range of values in which there is nothing to see


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """A set of images, split once and for all into training and test images.

    The pixels stay as they came: bytes (uint8, 0..255) where the pictures were bytes, which takes
    a quarter of the memory of floats, and float32 in [0, 1] where they were not, such as resized
    data sets. `train` and `test` are float32 in [0, 1] whatever came. They are made anew each time
    they are asked for and are not kept, so ask once and hold on to it; for a few rows ask for
    `unit(images.train_pixels[rows])`, for their number for `len(images.train_pixels)`. A subset is
    `dataclasses.replace(images, train_pixels=..., train_labels=...)`, with `train_factors` where
    there are any.

    Args:
        name: that of the data set, such as "digits", or of the folder.
        train_pixels: training images, uint8 or float32, shape (n_train, channels, height, width);
            `Rows` where they are read as they are asked for.
        test_pixels: test images, shape (n_test, channels, height, width).
        train_labels: class numbers, int64, shape (n_train,); None where the pictures have no
            classes.
        test_labels: the same for the test images, shape (n_test,).
        classes: the name of each class number; empty where there are none.
        source: the origin of the images, and how they were read.
        notes: what a reader of a folder should know, a sentence each: how its split was read, what
            was left out, what was laid on which ground. They end `source`, too.
        train_files, test_files: of a folder, the file of each picture, below the folder.
        train_factors: the numbers that a picture was made from, float64, shape (n_train, factors);
            None where nobody knows them.
        test_factors: the same for the test images.
        factors: the names of their columns.
    """

    name: str
    train_pixels: Any
    test_pixels: Tensor
    train_labels: Tensor | None
    test_labels: Tensor | None
    classes: tuple[str, ...]
    source: str
    notes: tuple[str, ...] = ()
    train_files: tuple[str, ...] = ()
    test_files: tuple[str, ...] = ()
    train_factors: Tensor | None = None
    test_factors: Tensor | None = None
    factors: tuple[str, ...] = ()

    @property
    def train(self) -> Tensor:
        """Training images, float32 in [0, 1]; made anew from bytes at every call."""
        return unit(self.train_pixels)

    @property
    def test(self) -> Tensor:
        """Test images, float32 in [0, 1]; made anew from bytes at every call."""
        return unit(self.test_pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """One image's (channels, height, width)."""
        channels, height, width = self.train_pixels.shape[1:]
        return channels, height, width

    def fingerprint(self) -> str:
        """The SHA-256 of the training pixels' float32 bytes, 64 hexadecimal digits: equal pixels,
        equal print.
        """
        sha = hashlib.sha256()
        block_size = max(min(_BLOCK, _VALUES // self.train_pixels.shape[1:].numel()), 1)
        for block in self.train_pixels.split(block_size):
            sha.update(unit(block).cpu().contiguous().numpy().data)
        return sha.hexdigest()

    def __repr__(self) -> str:
        n_train, n_test = len(self.train_pixels), len(self.test_pixels)
        return (
            f"Images({self.name!r}: {n_train} train, {n_test} test, shape {self.shape}, "
            f"{len(self.classes)} classes)"
        )


def unit(pixels: Tensor | Rows) -> Tensor:
    """Bytes 0..255 to float32 in [0, 1], same shape; floats are returned as they are, and rows that
    are not in memory are read, all of them.

    >>> unit(torch.tensor([0, 51, 255], dtype=torch.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    pixels = as_tensor(pixels, "pixels")
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels


def resize(pixels: Tensor | Rows, side: int) -> Tensor | Rows:
    """Images (n, channels, h, w) to float32 (n, channels, side, side), bilinear and antialiased.

    Those that have that side are left as they came.
    """
    if pixels.shape[-2:] == (side, side):
        return pixels
    out = torch.empty(*pixels.shape[:2], side, side)
    for part, block in zip(out.split(_BLOCK), pixels.split(_BLOCK), strict=True):
        part.copy_(F.interpolate(unit(block), (side, side), mode="bilinear", antialias=True))
    return out.clamp_(0, 1)


def check_contrast(images: Images) -> None:
    """Raise unless the pixels of a data set differ.

    Raises:
        ValueError: all pixels of all images have the same value, or nearly.
    """
    train = images.train_pixels
    parts = (train[:_LOOK] if isinstance(train, Rows) else train, images.test_pixels)
    low = min(unit(pixels.min()).item() for pixels in parts)
    high = max(unit(pixels.max()).item() for pixels in parts)
    if not high - low >= _FLAT:
        raise ValueError(
            f"{images.name}: expected images that differ, got the values {low:.3g} to {high:.3g} "
            f"(of 0 to 1) in all pixels of all {sum(map(len, parts))}; look at the files, and if "
            "they are drawn in transparency alone choose another background="
        )
