"""MNIST and Fashion-MNIST, in the idx files that torchvision keeps."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import torch

from vaelab.data.images import Images, resize, unit
from vaelab.data.roots import download, what_is_expected

IDX_SETS = {
    "mnist": ("MNIST", tuple(map(str, range(10))), "MNIST (LeCun, Cortes & Burges 1998)."),
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


def load_idx(name: str, root: Path, may_download: bool, side: int | None) -> Images:
    """MNIST or Fashion-MNIST; see `load_images`."""
    folder, classes, source = IDX_SETS[name]
    raw = root / folder / "raw"
    expected = [f"{raw / file}  (or packed, .gz)" for file in IDX_FILES]
    if may_download and not _all_there(raw):
        from torchvision import datasets

        download(name, raw, expected, lambda: getattr(datasets, folder)(root, download=True))
    if not _all_there(raw):
        problem = "not found" if may_download else "not found, and download=False"
        raise FileNotFoundError(what_is_expected(name, raw, expected, problem))
    x, y, x_test, y_test = (_read_idx(raw / file) for file in IDX_FILES)
    for images, labels in ((x, y), (x_test, y_test)):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{raw}: expected images (n, h, w) and labels (n,), got {images.shape} and "
                f"{labels.shape}; delete this folder and load again"
            )
    train, test = (resize(unit(images[:, None]), side) for images in (x, x_test))
    return Images(
        name,
        train,
        test,
        torch.from_numpy(y).long(),
        torch.from_numpy(y_test).long(),
        classes,
        source,
    )


def _all_there(raw: Path) -> bool:
    return all((raw / file).is_file() or (raw / f"{file}.gz").is_file() for file in IDX_FILES)


def _read_idx(path: Path) -> np.ndarray:
    """The array of bytes in an idx file, or in the same file packed with gzip."""
    try:
        data = (
            path.read_bytes()
            if path.is_file()
            else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
        )
        zero, kind, rank = struct.unpack(">HBB", data[:4])
        shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
        if (zero, kind) != (0, 8):
            raise ValueError("not an idx file of bytes")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()
    except (ValueError, EOFError, struct.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and load again") from error
