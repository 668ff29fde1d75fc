"""`load_images`: a data set by its name, or a folder of pictures by its path."""

from __future__ import annotations

import os
from pathlib import Path

from vaelab._inputs import check_choice, check_positive_int
from vaelab.data.colour import CROPS, load_celeba, load_cifar10
from vaelab.data.digits import load_digits_split
from vaelab.data.idx import IDX_SETS, load_idx
from vaelab.data.images import Images
from vaelab.data.pictures import load_folder
from vaelab.data.roots import data_root

NAMES = ("digits", "mnist", "fashion", "cifar10", "celeba")


def load_images(
    name: str | Path,
    root: str | Path | None = None,
    download: bool = True,
    side: int | None = None,
    crop: str | None = None,
) -> Images:
    """Load a data set by name, or a folder of pictures by its path.

    A folder holds pictures (png, jpg, jpeg, bmp, webp), in sub-folders named after their classes or
    in none. If it has a folder train/ the pictures are looked for there and, for the test images,
    in test/. Without a test/ every tenth picture, drawn with a fixed seed, is held out. Grey
    pictures stay grey if all are; otherwise all become RGB. Transparency is dropped.

    Args:
        name: "digits" (8×8, 1297 + 500), "mnist" or "fashion" (28×28, 60,000 + 10,000), "cifar10"
            (32×32 RGB, 50,000 + 10,000; the official files, or pictures in the root's
            cifar10/train/ and test/), "celeba" (64×64 RGB, 162,770 + 19,962, 9 GB as float32), or
            the path of a folder.
        root: where downloaded sets lie, or shall; see the top of `vaelab.data`.
        download: whether to download what is absent.
        side: height and width to resize to, with antialiasing; pictures are first cropped to their
            central square.
        crop: of CelebA's 178×218 pictures, before they are resized to 64×64 (or `side`): "paper",
            the 128×128 of Dai & Wipf (2019), unless given; or "wae", the 140×140 of Tolstikhin et
            al. (2018) and Ghosh et al. (2020).

    Returns:
        The images.

    Raises:
        ValueError: an unknown name; a folder with fewer than two pictures, with a broken one or
            with several sizes.
        FileNotFoundError: the folder, the root or the data is not there and could not be
            downloaded.
        OSError: the root cannot be written to.

    >>> load_images("digits")
    Images('digits': 1297 train, 500 test, shape (1, 8, 8), 10 classes)
    """
    if side is not None:
        check_positive_int("side", side)
    if crop is not None and name != "celeba":
        raise ValueError(
            f"crop: only celeba has crops ({', '.join(CROPS)}); expected None for {str(name)!r}"
        )
    if name == "digits":
        return load_digits_split(side)
    if name in IDX_SETS:
        return load_idx(str(name), data_root(root), download, side)
    if name == "cifar10":
        return load_cifar10(data_root(root), download, side)
    if name == "celeba":
        return load_celeba(data_root(root), download, side, crop)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return load_folder(folder, side)
    if (
        isinstance(name, Path)
        or len(folder.parts) > 1
        or str(name).startswith(".")
        or str(name).endswith(os.sep)
    ):
        raise FileNotFoundError(
            f"expected a data set ({', '.join(NAMES)}) or a folder of pictures, got {str(name)!r}, "
            "which is no folder here; check its spelling"
        )
    check_choice("data set (or path of a folder)", name, NAMES)
    raise AssertionError("unreachable: every known name is loaded above")
