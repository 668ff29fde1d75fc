"""Six thousand pictures of Fashion-MNIST that come with the package: chosen, written and read."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from importlib import resources
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vaelab.data.grey import IDX_SETS
from vaelab.data.images import Images

FILE = resources.files("vaelab") / "data" / "fashion-small" / "rows.gz"
SHA256 = "a699e0bf976ce87203ab04ad3a6845f586fabb7477fffe53bdfb9e4faacc81c2"
N_TRAIN, N_TEST = 5000, 1000
_SHAPE = (1, 28, 28)


def load_fashion_small() -> Images:
    """The set as `load_images` gives it, read from the package.

    Raises:
        ValueError: the file is not the one that was written.
    """
    rows = read_rows(FILE.read_bytes())
    pixels, labels = rows[:, 1:].reshape(-1, *_SHAPE), rows[:, 0].long()
    _, classes, source = IDX_SETS["fashion"]
    return Images(
        "fashion-small",
        pixels[:N_TRAIN],
        pixels[N_TRAIN:],
        labels[:N_TRAIN],
        labels[N_TRAIN:],
        classes,
        f"{N_TRAIN} training and {N_TEST} test images of {source}",
    )


def pack_rows(fashion: Images) -> bytes:
    """What the file unpacks to: a row of 785 bytes for each picture, its label and its pixels.

    In each class the pictures with the smallest SHA-256 of their pixels are taken, 500 of the
    training images and 100 of the test images, and lie in the order of these sums. So they are the
    same from any copy of Fashion-MNIST, in whatever order.

    Args:
        fashion: the whole set, as bytes.
    """
    train = _choose(fashion.train_pixels, cast(Tensor, fashion.train_labels), N_TRAIN // 10)
    test = _choose(fashion.test_pixels, cast(Tensor, fashion.test_labels), N_TEST // 10)
    return torch.cat([train, test]).numpy().tobytes()


def _choose(pixels: Tensor, labels: Tensor, per_class: int) -> Tensor:
    """Rows (label, pixels) of the `per_class` pictures of each class with the smallest hashes."""
    order = by_hash(pixels)
    counts = F.one_hot(labels[order]).cumsum(0)
    place = counts.gather(1, labels[order, None]).squeeze(1)
    kept = order[place <= per_class]
    return torch.cat([labels[kept, None].byte(), pixels[kept].flatten(1)], 1)


def by_hash(pixels: Tensor) -> Tensor:
    """The numbers of pictures (n, ...) in the order of the SHA-256 of their bytes: the same choice
    from any copy of a set, in whatever order.
    """
    hashes = [hashlib.sha256(picture.numpy().tobytes()).digest() for picture in pixels]
    return torch.tensor(sorted(range(len(hashes)), key=hashes.__getitem__))


def read_rows(packed: bytes) -> Tensor:
    """The rows of the file, uint8, shape (6000, 785), if they are those that were written.

    Raises:
        ValueError: others, or a torn file.
    """
    try:
        content = gzip.decompress(packed)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(str(error)) from error
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != SHA256:
        raise _damaged(f"expected the SHA-256 {SHA256[:12]}…, got {checksum[:12]}…")
    rows = np.frombuffer(bytearray(content), np.uint8)
    return torch.from_numpy(rows.reshape(N_TRAIN + N_TEST, -1))


def _damaged(why: str) -> ValueError:
    return ValueError(
        f"{FILE} is damaged ({why}); install vaelab again, or write the file with "
        "python -m vaelab.data"
    )
