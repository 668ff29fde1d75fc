"""Many pictures at once, as one array of bytes, and what is checked of them all together."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vaelab._arrays import Rows
from vaelab._bars import bar_of
from vaelab.data.folders import list_folder
from vaelab.data.images import Images
from vaelab.data.pictures import BYTE, Picture, Reading, UnreadableError, read_picture, white_of
from vaelab.data.roots import enumerated

_WORKERS = 4
_BLOCK = 256
_HELD = 2000  # test pictures that are used where not all pictures are kept
_NAMED = 20  # bad pictures that a message names
_ALIKE = 4  # levels of 255 by which pictures that are not the same differ
_SHARE = 4  # one part in so many of the range is exceeded by the brightest picture
_BYTE_SHARE = 8  # the same in pictures of bytes, which may well be dark

Result = Picture | UnreadableError | None  # None for a coloured picture where grey is wanted.


@dataclass(frozen=True)
class Stack:
    """Pictures that were read.

    Args:
        pixels: bytes, shape (n, channels, height, width); none where they were looked at alone.
        kept: the numbers, among the paths given, of the n pictures that were read.
        notes: what was done to them and which were left out, a sentence each.
    """

    pixels: np.ndarray
    kept: list[int]
    notes: list[str]
    shape: tuple[int, ...]  # of one


def load_folder(folder: Path, reading: Reading) -> Images:
    """A folder of pictures; see `load_images`."""
    listing = list_folder(folder)
    paths, labels = zip(*listing.train, *listing.test, strict=True)
    stack = read_pictures(paths, reading)
    kept = stack.kept
    n_train = sum(number < len(listing.train) for number in kept)
    n_test = len(kept) - n_train
    if not n_train or not n_test:
        raise ValueError(
            f"{folder}: expected at least 1 picture to train on and 1 to test on, got {n_train} "
            f"and {n_test} that can be read"
        )
    notes = [*listing.notes, *stack.notes, *_shared(stack.pixels, n_train)]
    train, test = torch.from_numpy(stack.pixels).tensor_split([n_train])
    if reading.stream:
        held = np.sort(np.random.default_rng(0).permutation(n_test)[:_HELD])
        kept = kept[:n_train] + [kept[n_train + i] for i in held]
        notes.append(
            f"Pictures to train on are read as they are asked for; {len(held)} of {n_test} test "
            "pictures are used."
        )
        train = _on_disk([paths[number] for number in kept[:n_train]], reading, stack.shape)
        test = _on_disk([paths[number] for number in kept[n_train:]], reading, stack.shape)[:]
    files = tuple(printable(paths[number].relative_to(folder).as_posix()) for number in kept)
    y_train, y_test = torch.tensor(labels)[kept].tensor_split([n_train])
    place = printable(str(folder.resolve()))
    classes, notes = (tuple(map(printable, texts)) for texts in (listing.classes, notes))
    return Images(
        Path(place).name,
        train,
        test,
        y_train if classes else None,
        y_test if classes else None,
        classes,
        " ".join((f"{len(stack.kept)} pictures from the folder {place}.", *notes)),
        notes,
        files[:n_train],
        files[n_train:],
    )


def _shared(pixels: np.ndarray, n_train: int) -> list[str]:
    """A sentence, where pictures to test on are also among those to train on, pixel by pixel."""
    known = {hash(picture.tobytes()) for picture in pixels[:n_train]}
    n = sum(hash(picture.tobytes()) in known for picture in pixels[n_train:])
    of = f"{n} of {len(pixels) - n_train} test pictures"
    return [f"{of} are also to train on, pixel by pixel: remove copies."] if n else []


def _on_disk(paths: Sequence[Path], reading: Reading, shape: tuple[int, ...]) -> Rows:
    """Pictures that were looked at, read as they are asked for by a few threads."""
    pool = ThreadPoolExecutor(_WORKERS)
    grey = shape[0] == 1

    def read_one(number: int) -> np.ndarray:
        picture = read_picture(paths[number], reading, grey)
        if picture is None or picture.pixels.shape != shape:
            raise UnreadableError("it has changed")
        return picture.pixels

    def read(numbers: np.ndarray) -> torch.Tensor:
        try:
            pixels = list(pool.map(read_one, numbers.tolist()))
        except UnreadableError as error:
            raise ValueError(
                f"a picture that was read before cannot be read again ({error}); leave the folder "
                "as it is while a run goes on"
            ) from error
        return torch.from_numpy(np.stack(pixels) if pixels else np.empty((0, *shape), np.uint8))

    return Rows((len(paths), *shape), torch.uint8, read)


def printable(text: str) -> str:
    r"""The text with what is no UTF-8 in a file's name written as \x and two digits."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def read_pictures(paths: Sequence[Path], reading: Reading, grey: bool = True) -> Stack:
    """All pictures as bytes: grey if `grey` is true and all are, otherwise RGB.

    Decoded by a few threads, in blocks, into one array. The first coloured picture starts it over
    in RGB.

    Args:
        paths: of the pictures, at least one.
        reading: how to read them.
        grey: whether grey pictures may stay grey.

    Raises:
        ValueError: pictures that cannot be read (up to twenty are named, "cannot be read as a
            picture"), or none that can; several sizes; values above white, or all of them far
            below it ("such as white=").
    """
    pixels = low = high = np.empty(0, np.uint8)
    kept, bad = [], []
    tops: dict[str, float] = {}
    notes: Counter[str] = Counter()
    with closing(_results(paths, reading, grey)) as results:
        for number, result in enumerate(results):
            if result is None:
                results.close()
                return read_pictures(paths, reading, False)
            if isinstance(result, UnreadableError):
                bad.append(f"{paths[number]} ({result})")
                continue
            if not kept:
                n_rows = 0 if reading.stream else len(paths)
                pixels = np.empty((n_rows, *result.pixels.shape), np.uint8)
                low = high = result.pixels
            if result.pixels.shape != pixels.shape[1:]:
                raise ValueError(
                    f"pictures of several sizes: {paths[kept[0]]} is {_size(pixels)}, "
                    f"{paths[number]} is {_size(result.pixels)}; pass side= to crop and resize "
                    "them all"
                )
            if not reading.stream:
                pixels[len(kept)] = result.pixels
            low = np.minimum(low, result.pixels)
            high = np.maximum(high, result.pixels)
            kept.append(number)
            tops[result.depth] = max(result.top, tops.get(result.depth, 0))
            notes.update(result.notes)
    problem = f"{len(bad)} of {len(paths)} files cannot be read as a picture"
    names = enumerated(sorted(bad), _NAMED)
    if bad and not (reading.skip_bad and kept):
        raise ValueError(
            f"{problem}: {names}; repair or remove them, or leave them out with skip_bad=True"
        )
    for depth, top in tops.items():
        _check_range(depth, top, reading.white)
    sentences = [f"{note}: {n} of {len(kept)} pictures." for note, n in notes.items()]
    if (high - low).max() < _ALIKE:
        sentences.append("All pictures are the same, or nearly.")
    if bad:
        sentences.append(f"{problem} and are left out: {names}.")
    return Stack(pixels[: len(kept)], kept, sentences, low.shape)


def _results(paths: Sequence[Path], reading: Reading, grey: bool) -> Generator[Result]:
    """What comes of each picture, in their order: None for a coloured one where grey is wanted."""

    def read_block(start: int) -> list[Result]:
        return [_attempt(path, reading, grey) for path in paths[start : start + _BLOCK]]

    starts = range(0, len(paths), _BLOCK)
    pool = ThreadPoolExecutor(_WORKERS)
    bar = bar_of(len(paths), "reading pictures")
    try:
        for block in pool.map(read_block, starts):
            bar.update(len(block))
            yield from block
    finally:
        bar.close()
        pool.shutdown(cancel_futures=True)


def _attempt(path: Path, reading: Reading, grey: bool) -> Result:
    try:
        return read_picture(path, reading, grey)
    except UnreadableError as error:
        return error


def _check_range(depth: str, top: float, named: float | None) -> None:
    """Raise if values are above white, or, where white was not named, all of them far below."""
    white = white_of(depth, named)
    least = white / (_BYTE_SHARE if white == BYTE else _SHARE)
    is_dark = 0 < top <= least and (named is None or named > white)
    if not is_dark and top <= white:
        return
    likely = 2 ** math.ceil(math.log2(top + 1)) - 1 if top > 1 else top
    remedy = f"say which value is white, such as white={likely:.6g}"
    problem = f"up to {white:g}"
    if is_dark:
        remedy += f" (white={white:g} takes them as they are)"
        problem = f"above {least:.6g}, as white is {white:g}"
    if depth == "16-bit colour":
        remedy = "Pillow reads its upper 8 bits alone; convert the pictures to 8 bits"
    raise ValueError(
        f"{depth} pictures: expected pixel values {problem}, got at most {top:.6g}; {remedy}"
    )


def _size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[-1]}×{pixels.shape[-2]}"
