"""Grey images: scikit-learn's digits, which need no download; MNIST and Fashion-MNIST, in the idx
files that torchvision keeps.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaelab.data.images import Images
from vaelab.data.roots import Place, provide

_DIGITS = tuple(map(str, range(10)))
IDX_SETS = {
    "mnist": ("MNIST", _DIGITS, "MNIST (LeCun, Cortes & Burges 1998)."),
    "fashion": (
        "FashionMNIST",
        (
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        "Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, Zalando Research).",
    ),
}
IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_SPLIT_SEED = 0
_N_DIGITS_TRAIN = 1297
_LARGEST = 2**31  # bytes in one file; MNIST's largest holds 47 million


def load_digits_split() -> Images:
    """The split: numpy.random.default_rng(0).permutation(1797), its first 1297 for training, the
    other 500 for test.
    """
    from sklearn.datasets import load_digits

    pixels, labels = map(np.asarray, load_digits(return_X_y=True))
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(pixels))
    x = torch.from_numpy((pixels[order] / 16).astype(np.float32)).reshape(-1, 1, 8, 8)
    y = torch.from_numpy(labels[order].astype(np.int64))
    source = (
        "Handwritten digits (Alpaydin & Kaynak 1998, UCI repository, the test part), as in "
        "scikit-learn."
    )
    n = _N_DIGITS_TRAIN
    return Images("digits", x[:n], x[n:], y[:n], y[n:], _DIGITS, source)


def load_idx(name: str, root: Path, may_download: bool) -> Images:
    """MNIST or Fashion-MNIST; see `load_images`."""
    folder, classes, source = IDX_SETS[name]
    raw = root / folder / "raw"
    expected = [f"{raw / file}  (or packed, .gz)" for file in IDX_FILES]
    place = Place(name, folder, root, raw, expected)
    provide(place, lambda: len(_idx_files(raw)) == len(IDX_FILES), may_download)
    x, y, x_test, y_test = map(_read_idx, _idx_files(raw))
    for images, labels in ((x, y), (x_test, y_test)):
        shapes = f"{tuple(images.shape)} and {tuple(labels.shape)}"
        match = images.ndim == 3 and labels.shape == images.shape[:1] and len(labels) > 0
        _expect(raw, match, "images (n, h, w) and labels (n,)", shapes)
        in_range = bool(labels.max() < len(classes))
        _expect(raw, in_range, f"labels from 0 to {len(classes) - 1}", f"{labels.max()}")
    sizes = [f"{images.shape[2]}×{images.shape[1]}" for images in (x, x_test)]
    _expect(raw, sizes[0] == sizes[1], "training and test images of one size", " and ".join(sizes))
    train, test = x.unsqueeze(1), x_test.unsqueeze(1)
    return Images(name, train, test, y.long(), y_test.long(), classes, source)


def _expect(raw: Path, is_right: bool, expected: str, got: str) -> None:
    if not is_right:
        raise ValueError(
            f"{raw}: expected {expected}, got {got}; delete this folder and load again"
        )


def _idx_files(raw: Path) -> list[Path]:
    """The files that are there, plain or packed, in the order of `IDX_FILES`, also where a name is
    spelled with a dot for the hyphen (train-images.idx3-ubyte).
    """
    files = []
    for name in IDX_FILES:
        spellings = (name, name.replace("-idx", ".idx"))
        paths = [raw / f"{spelling}{ending}" for ending in ("", ".gz") for spelling in spellings]
        files += [path for path in paths if path.is_file()][:1]
    return files


def _read_idx(path: Path) -> Tensor:
    """The array of bytes in an idx file, or in the same file packed with gzip.

    No more is unpacked than the file's header announces.

    Raises:
        ValueError: the file is no idx file, or is longer or shorter than its header says.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            zero, kind, rank = struct.unpack(">HBB", file.read(4))
            if (zero, kind) != (0, 8):
                raise ValueError("not an idx file of bytes")
            shape = struct.unpack(f">{rank}I", file.read(4 * rank))
            size = math.prod(shape)
            if size > _LARGEST:
                raise ValueError(f"its header announces {size} bytes, more than {_LARGEST}")
            pixels = np.empty(size, np.uint8)
            n_read = file.readinto(pixels.data)
            if n_read < size or file.read(1):
                got = n_read if n_read < size else "more"
                raise ValueError(f"expected {size} bytes after its header, got {got}")
    except (ValueError, EOFError, struct.error, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and load again") from error
    return torch.from_numpy(pixels).reshape(shape)
