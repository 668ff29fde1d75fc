"""`load_images`: a data set by its name, or a folder of pictures by its path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vaelab._inputs import check_choice, check_flag, check_path, check_positive, check_positive_int
from vaelab.data.colour import CROPS, load_celeba, load_cifar10
from vaelab.data.drawn import shapes
from vaelab.data.grey import IDX_SETS, load_digits_split, load_idx
from vaelab.data.images import Images, check_contrast, resize
from vaelab.data.pictures import Reading, colour_of
from vaelab.data.roots import data_root
from vaelab.data.shipped import load_fashion_small
from vaelab.data.stacks import load_folder

NAMES = ("digits", "fashion-small", "shapes", "mnist", "fashion", "cifar10", "celeba")


def load_images(
    name: str | Path,
    root: str | Path | None = None,
    download: bool = True,
    side: int | None = None,
    crop: str | None = None,
    background: str | float = "white",
    white: float | None = None,
    skip_bad: bool = False,
    stream: bool = False,
) -> Images:
    """Load a data set by name, or a folder of pictures by its path.

    A folder holds pictures in any format that Pillow reads (png, jpg, tif, gif, webp, ...), in
    sub-folders named after their classes or in none. If it has a folder for training (train,
    training, Train, ...) the pictures are looked for there, and in test/ (or testing, val, valid,
    validation, ...) for the test images. Otherwise every tenth picture, drawn with a fixed seed, is
    held out. Grey pictures stay grey if all are; otherwise all become RGB. How the folder was read,
    what was left out and what was laid on the ground stands in `Images.notes`.

    Args:
        name: "digits" (8×8, 1297 + 500), "fashion-small" (28×28, 5000 + 1000) or "shapes" (32×32
            RGB, 5000 + 1000, drawn by code, see `shapes`), which come with the package; "mnist" or
            "fashion" (28×28, 60,000 + 10,000), "cifar10" (32×32 RGB, 50,000 + 10,000; the official
            files, or pictures in the root's cifar10/train/ and test/), "celeba" (64×64 RGB, 162,770
            + 19,962, 2.2 GB as bytes); or the path of a folder.
        root: where downloaded sets lie, or shall; see the top of `vaelab.data`.
        download: whether to download what is absent.
        side: height and width to resize to, with antialiasing; pictures are first cropped to their
            central square.
        crop: of CelebA's 178×218 pictures, before they are resized to 64×64 (or `side`): "paper",
            the 128×128 of Dai & Wipf (2019), unless given; or "wae", the 140×140 of Tolstikhin et
            al. (2018) and Ghosh et al. (2020).
        background: of a folder's pictures, what shows through where they are transparent: a
            colour's name, "#rrggbb", or a grey from 0 (black) to 1 (white).
        white: of a folder's pictures, the pixel value that counts as white: 4095 for 12 bits in
            16-bit files. None for the largest one that the files can hold (1 in floating-point
            ones).
        skip_bad: whether a folder's pictures that cannot be read are left out, and named in the
            notes.
        stream: whether a folder's training pictures stay on the disk and are read as they are asked
            for, in every epoch anew; 2,000 test pictures at most are then kept. Every picture is
            read once, to check it.

    Returns:
        The images; what a folder holds stays bytes, in 256 steps.

    Raises:
        ValueError: an unknown name; options that the data set does not have; a damaged file; a
            folder with fewer than two pictures, with several sizes, with a split that can be read
            in two ways, with pictures that cannot be read, or whose values lie above white or far
            below it; pixels that are all alike.
        FileNotFoundError: the folder, the root or the data is not there and could not be
            downloaded.
        OSError: the root cannot be written to.

    >>> load_images("digits")
    Images('digits': 1297 train, 500 test, shape (1, 8, 8), 10 classes)
    """
    check_path("name", name)
    if root is not None:
        check_path("root", root)
    for option, flag in {"download": download, "skip_bad": skip_bad, "stream": stream}.items():
        check_flag(option, flag)
    if side is not None:
        check_positive_int("side", side)
    if crop is not None and name != "celeba":
        raise ValueError(
            f"crop: only celeba has crops ({', '.join(CROPS)}); expected None for {str(name)!r}"
        )
    colour_of(background)
    if white is not None:
        check_positive("white", white)
    reading = Reading(side, background, white, skip_bad, stream=stream)
    if name in NAMES and reading != Reading(side):
        raise ValueError(
            "background, white, skip_bad and stream are for folders of pictures; leave them out "
            f"for {str(name)!r}"
        )
    images = _load(name, root, download, reading, crop)
    if side is not None:
        train, test = (resize(x, side) for x in (images.train_pixels, images.test_pixels))
        if test.shape != images.test_pixels.shape:
            width, height = images.shape[:0:-1]
            note = f"Cropped and resized from {width}×{height} pixels to {side}×{side}."
            images = replace(images, notes=(*images.notes, note))
        images = replace(images, train_pixels=train, test_pixels=test)
    check_contrast(images)
    return images


def _load(
    name: str | Path,
    root: str | Path | None,
    may_download: bool,
    reading: Reading,
    crop: str | None,
) -> Images:
    if name == "digits":
        return load_digits_split()
    if name == "fashion-small":
        return load_fashion_small()
    if name == "shapes":
        return shapes()
    if name in IDX_SETS:
        return load_idx(str(name), data_root(root), may_download)
    if name == "cifar10":
        return load_cifar10(data_root(root), may_download, reading.side)
    if name == "celeba":
        return load_celeba(data_root(root), may_download, reading.side, crop)
    check_name(name)
    images = load_folder(Path(name).expanduser(), reading)
    is_taken = images.name in NAMES  # by a data set of that name, which this is not
    return replace(images, name=f"{images.name}-folder") if is_taken else images


def check_name(name: str | Path, more: Sequence[str] = ()) -> None:
    """Raise unless it is the name of a data set, one of `more`, or the path of a folder."""
    known, text = (*NAMES, *more), str(name)
    if name in known or (text and Path(text).expanduser().is_dir()):
        return
    if not (isinstance(name, Path) or text.startswith(".") or {"/", os.sep} & set(text)):
        check_choice("data set", name, known, " or the path of a folder of pictures")
    raise FileNotFoundError(
        f"expected a data set ({', '.join(known)}) or a folder of pictures, got {text!r}, which is "
        "no folder here; check its spelling"
    )
