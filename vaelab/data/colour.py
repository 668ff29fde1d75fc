"""CIFAR-10 and CelebA, in the files that torchvision downloads; CIFAR-10 also as pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from vaelab._inputs import check_choice
from vaelab.data.folders import list_folder
from vaelab.data.images import Images
from vaelab.data.pictures import Box, Reading
from vaelab.data.roots import Place, provide
from vaelab.data.stacks import load_folder, read_pictures

CROPS: dict[str, Box] = {  # left, top, right, bottom
    "paper": (25, 45, 153, 173),
    "wae": (19, 39, 159, 179),
}
FACE = (178, 218)  # width and height of CelebA's aligned pictures
FACE_SIDE = 64


def load_cifar10(root: Path, may_download: bool, side: int | None) -> Images:
    """CIFAR-10; see `load_images`."""
    from torchvision.datasets import CIFAR10

    folder = root / CIFAR10.base_folder
    if (root / "cifar10" / "train").is_dir() and not folder.exists():
        return _cifar10_pictures(root / "cifar10", side)
    names = [name for name, _ in CIFAR10.train_list + CIFAR10.test_list]
    files = [folder / name for name in (*names, CIFAR10.meta["filename"])]
    provide(
        Place("cifar10", "CIFAR10", root, folder, list(map(str, files))),
        lambda: all(file.is_file() for file in files),
        may_download,
    )
    try:
        sets = [CIFAR10(root, train) for train in (True, False)]
    except RuntimeError as error:  # torchvision compares checksums before it opens a file
        raise ValueError(f"{folder} is damaged ({error}); delete it and load again") from error
    train, test = (torch.from_numpy(x.data).permute(0, 3, 1, 2).contiguous() for x in sets)
    y_train, y_test = (torch.tensor(part.targets) for part in sets)
    classes = tuple(sets[0].classes)
    return Images("cifar10", train, test, y_train, y_test, classes, "CIFAR-10 (Krizhevsky 2009).")


def _cifar10_pictures(folder: Path, side: int | None) -> Images:
    if not (folder / "test").is_dir():
        raise FileNotFoundError(
            f"{folder}: expected train/ and test/ with a folder for every class, got no test/; "
            "put it there, or move the folder away to have the official files downloaded"
        )
    images = load_folder(folder, Reading(side))
    if len(images.classes) != 10 or images.shape != (3, side or 32, side or 32):
        raise ValueError(
            f"{folder}: expected CIFAR-10's pictures, 32×32 in ten class folders, got {images}; "
            "for other pictures give the folder's path as the data set"
        )
    kinds = sorted({path.suffix.lower() for path, _ in list_folder(folder).train})
    source = (
        f"CIFAR-10 (Krizhevsky 2009), from pictures ({', '.join(kinds)}) in the data root's "
        "cifar10/."
    )
    return replace(images, name="cifar10", source=source)


def load_celeba(root: Path, may_download: bool, side: int | None, crop: str | None) -> Images:
    """CelebA; see `load_images`."""
    crop = "paper" if crop is None else crop
    check_choice("crop", crop, CROPS)
    folder = root / "celeba"
    pictures, partition = folder / "img_align_celeba", folder / "list_eval_partition.txt"
    expected = [f"{pictures / '000001.jpg'}, {pictures / '000002.jpg'}, ...", f"{partition}"]

    provide(
        Place("celeba", "CelebA", root, folder, expected),
        lambda: partition.is_file() and pictures.is_dir(),
        may_download,
    )
    train, test = (_faces(pictures, names, side, crop) for names in _split(partition))
    source = (
        f"CelebA (Liu, Luo, Wang & Tang 2015), official training and test split, crop {crop!r}; "
        "the validation images are left out."
    )
    return Images("celeba", train, test, None, None, (), source)


def _split(partition: Path) -> tuple[list[str], list[str]]:
    """The names of the training and of the test pictures, in the order of the list."""
    parts: dict[str, list[str]] = {"0": [], "1": [], "2": []}
    try:
        for line in filter(str.strip, partition.read_text(encoding="utf-8").splitlines()):
            name, part = line.split()
            parts[part].append(name)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{partition} is damaged: expected a name and 0, 1 or 2 a line; delete it and load "
            "again"
        ) from error
    train, _, test = parts.values()
    if not train or not test:
        raise ValueError(
            f"{partition}: expected training (0) and test (2) pictures, got {len(train)} and "
            f"{len(test)}"
        )
    return train, test


def _faces(folder: Path, names: list[str], side: int | None, crop: str) -> torch.Tensor:
    from PIL import Image

    paths = [folder / name for name in names]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"celeba: {len(missing)} of {len(paths)} pictures are missing, the first is "
            f"{missing[0]}; unpack img_align_celeba.zip again, in {folder.parent}"
        )
    with Image.open(paths[0]) as picture:
        if picture.size != FACE:
            raise ValueError(
                f"{paths[0]}: expected the aligned pictures of 178×218, got "
                f"{picture.width}×{picture.height}; img_align_celeba.zip holds them"
            )
    stack = read_pictures(paths, Reading(side or FACE_SIDE, box=CROPS[crop]), grey=False)
    return torch.from_numpy(stack.pixels)
