"""Pictures in files: a folder of your own, and the reading of many at once."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from vaelab.data.images import Images, unit

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
Box = tuple[int, int, int, int]  # left, top, right, bottom
_SPLIT_SEED = 0
_WORKERS = 4
_BLOCK = 256


def load_folder(folder: Path, side: int | None) -> Images:
    """A folder of pictures; see `load_images`."""
    split = (folder / "train").is_dir()
    train_paths, labels, classes = _list_pictures(folder / "train" if split else folder)
    test_paths: list[Path] = []
    if split and (folder / "test").is_dir():
        test_paths, test_labels, test_classes = _list_pictures(folder / "test")
        if test_classes != classes:
            raise ValueError(
                f"{folder}: expected the same class folders in train/ and test/, got "
                f"{list(classes)} and "
                f"{list(test_classes)}; rename or remove the odd ones"
            )
        labels += test_labels
    paths = train_paths + test_paths
    if len(paths) < 2 or not train_paths:
        raise ValueError(
            f"{folder}: expected at least 2 pictures, one to train on and one to test, got "
            f"{len(paths)}"
        )
    pixels, y = read_pictures(paths, side), torch.tensor(labels)
    train, test = (
        np.split(np.arange(len(paths)), [len(train_paths)]) if test_paths else _hold_out(len(paths))
    )
    source = f"{len(paths)} pictures from the folder {folder.resolve()}."
    return Images(
        folder.resolve().name,
        unit(pixels[train]),
        unit(pixels[test]),
        y[train] if classes else None,
        y[test] if classes else None,
        classes,
        source,
    )


def _hold_out(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers 0..n−1 in two ascending parts, the second a tenth of them drawn by
    numpy.random.default_rng(0).
    """
    order = np.random.default_rng(_SPLIT_SEED).permutation(n)
    n_test = max(1, round(n / 10))
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def _list_pictures(folder: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """The pictures of a folder in the order of their names, their class numbers, and the classes'
    names.

    Two or more sub-folders with pictures make classes; otherwise the class number is 0 and there
    are no names.
    """
    loose = _pictures(folder.iterdir())
    inside = {
        sub.name: _pictures(sub.rglob("*")) for sub in sorted(folder.iterdir()) if sub.is_dir()
    }
    inside = {name: paths for name, paths in inside.items() if paths}
    if loose and inside:
        raise ValueError(
            f"{folder}: expected pictures either directly in it or in class folders, got both "
            f"({loose[0].name} and {next(iter(inside))}/); move them to one place"
        )
    if not loose and not inside:
        raise ValueError(
            f"{folder}: expected pictures ({', '.join(SUFFIXES)}), found none; check the path"
        )
    groups = list(inside.values()) or [loose]
    labels = [label for label, paths in enumerate(groups) for _ in paths]
    return (
        [path for paths in groups for path in paths],
        labels,
        tuple(inside) if len(inside) > 1 else (),
    )


def _pictures(paths: Sequence[Path]) -> list[Path]:
    kept = (
        p
        for p in paths
        if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    )
    return sorted(kept, key=lambda path: path.as_posix())


def read_pictures(
    paths: Sequence[Path], side: int | None, grey: bool = True, box: Box | None = None
) -> np.ndarray:
    """All pictures as bytes, shape (n, channels, height, width): grey if `grey` is true and all
    are, otherwise RGB.

    Decoded by a few threads, in blocks, straight into one array. The first coloured picture starts
    it over in RGB.

    Args:
        paths: of the pictures, at least one.
        side: height and width to resize to; None leaves them as they are.
        grey: whether grey pictures may stay grey.
        box: what to cut out before resizing; the central square unless given.
    """
    from tqdm.auto import tqdm

    first = _read_picture(paths[0], side, grey, box)
    if first is None:
        return read_pictures(paths, side, False, box)
    pixels = np.empty((len(paths), *first.shape), np.uint8)

    def read_block(start: int) -> bool:
        for i in range(start, min(start + _BLOCK, len(paths))):
            picture = _read_picture(paths[i], side, grey, box)
            if picture is None:
                return False
            _check_size(paths[0], first, paths[i], picture)
            pixels[i] = picture
        return True

    blocks = range(0, len(paths), _BLOCK)
    with ThreadPoolExecutor(_WORKERS) as pool:
        bar = tqdm(
            pool.map(read_block, blocks),
            "reading pictures",
            len(blocks),
            False,
            delay=2,
            unit_scale=_BLOCK,
        )
        all_fit = all(bar)
        bar.close()
        pool.shutdown(cancel_futures=True)
    return pixels if all_fit else read_pictures(paths, side, False, box)


def _check_size(path: Path, picture: np.ndarray, other_path: Path, other: np.ndarray) -> None:
    if picture.shape != other.shape:
        raise ValueError(
            f"pictures of several sizes: {path} is {picture.shape[2]}×{picture.shape[1]}, "
            f"{other_path} is "
            f"{other.shape[2]}×{other.shape[1]}; pass side= to crop and resize them all"
        )


def _middle(size: tuple[int, int]) -> Box:
    """The central square of a picture of that width and height."""
    edge = min(size)
    left, top = ((length - edge) // 2 for length in size)
    return left, top, left + edge, top + edge


def _read_picture(
    path: Path, side: int | None, grey: bool, box: Box | None = None
) -> np.ndarray | None:
    """One picture as bytes, shape (channels, height, width); None if grey is wanted and it is
    coloured.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            if grey and picture.mode not in ("1", "L", "LA", "I", "I;16"):
                return None
            ImageOps.exif_transpose(picture, in_place=True)
            if picture.mode.startswith("I"):  # 16-bit grey, which convert("L") would clip
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            if picture.mode == "P":
                picture = picture.convert("RGBA")
            picture = picture.convert("L" if grey else "RGB")
            if side is not None:
                picture = picture.crop(box or _middle(picture.size))
                picture = picture.resize(
                    (side, side), Image.Resampling.BILINEAR
                )  # which antialiases
            return np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1)
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} cannot be read as a picture ({reason}); repair or remove it"
        ) from error
