"""A data set in memory, and what turns bytes into it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """A set of images, split once and for all into training and test images.

    Args:
        name: "digits", "mnist", "fashion", "cifar10", "celeba", or the name of the folder.
        train: training images, float32 in [0, 1], shape (n_train, channels, height, width).
        test: test images, shape (n_test, channels, height, width).
        train_labels: class numbers, int64, shape (n_train,); None where the pictures have no
            classes.
        test_labels: the same for the test images, shape (n_test,).
        classes: the name of each class number; empty where there are none.
        source: a sentence on the origin of the images.
    """

    name: str
    train: Tensor
    test: Tensor
    train_labels: Tensor | None
    test_labels: Tensor | None
    classes: tuple[str, ...]
    source: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """One image's (channels, height, width)."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    def fingerprint(self) -> str:
        """The SHA-256 of the training pixels' float32 bytes, 64 hexadecimal digits: equal pixels,
        equal print.
        """
        return hashlib.sha256(self.train.cpu().contiguous().numpy()).hexdigest()

    def __repr__(self) -> str:
        n_train, n_test, n_classes = len(self.train), len(self.test), len(self.classes)
        return (
            f"Images({self.name!r}: {n_train} train, {n_test} test, shape {self.shape}, "
            f"{n_classes} classes)"
        )


def unit(pixels: np.ndarray) -> Tensor:
    """Bytes 0..255 to float32 in [0, 1], same shape."""
    return torch.from_numpy(pixels).float().div_(255)


def resize(x: Tensor, side: int | None) -> Tensor:
    """Images (n, channels, h, w) to (n, channels, side, side), bilinear and antialiased; None
    leaves them alone.
    """
    if side is None or x.shape[-2:] == (side, side):
        return x
    return F.interpolate(x, (side, side), mode="bilinear", antialias=True).clamp_(0, 1)
