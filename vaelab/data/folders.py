"""A folder of pictures: which files it holds, their classes and split, and what is left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaelab.data.pictures import picture_endings

# A folder is read as a split if its name is one of these: in capitals or not, and with or without
# a word that says what any folder is ("Training Set", "test_images").
SPLITS = {
    "train": ("train", "training", "trainset"),
    "test": ("test", "testing", "testset"),
    "validation": ("val", "valid", "validation", "eval", "evaluation", "dev", "holdout"),
}
_FILLERS = {"set", "data", "dataset", "images", "imgs", "pictures", "split"}
_SYSTEM = {"__MACOSX", "@eaDir", "$RECYCLE.BIN"}  # made by systems, and not hidden by a dot
_SPLIT_SEED = 0
Entry = tuple[Path, int]


@dataclass(frozen=True)
class Listing:
    """What is in a folder of pictures.

    Args:
        train: files to train on, each with the number of its class (0 where there are no classes).
        test: files to test on; none of them is in `train`.
        classes: their names; empty where there are fewer than two.
        notes: how the folder was read, and what was left out, a sentence each.
    """

    train: list[Entry]
    test: list[Entry]
    classes: tuple[str, ...]
    notes: tuple[str, str]


def list_folder(folder: Path) -> Listing:
    """The pictures in a folder.

    Taken: every file whose ending Pillow reads, in capitals or not. Two or more sub-folders with
    pictures make classes, with what lies at any depth below them. If there are sub-folders to train
    on and to test on (`SPLITS`), each is read in this way; validation pictures are for test if
    there are no others, and left out otherwise. Without test pictures every tenth, drawn by
    numpy.random.default_rng(0), is held out. Hidden files and folders (a dot in front, __MACOSX)
    are passed over and not counted.

    Raises:
        ValueError: no pictures ("found none") or one ("at least 2 pictures"); some loose and some
            in class folders ("got both"); test pictures without any to train on ("no folder to
            train on"); several folders for one part ("expected one folder"); train/ beside other
            folders with pictures ("also hold pictures"); a split below a class folder ("a split
            inside"); other classes to test than to train on ("the same class folders").
    """
    splits = _split_folders(folder)
    source = splits.get("train", folder)
    train, classes = _entries(source)
    aside = splits.get("test") or splits.get("validation")
    if aside:
        test, test_classes = _entries(aside)
        how = f"{source.name}/ is to train on, {aside.name}/ to test on"
        if test_classes != classes:
            raise ValueError(
                f"{folder}: expected the same class folders in {source.name}/ and {aside.name}/, "
                f"got {list(classes)} and {list(test_classes)}; rename or remove the odd ones"
            )
    else:
        train, test = _hold_out(train)
        how = f"Every tenth picture in {source} is held out to test on"
    left_out = _left_out(folder, train + test)
    if not train:
        raise ValueError(
            f"{folder}: expected at least 2 pictures, one to train on and one to test, got "
            f"{len(test)} ({left_out})"
        )
    how = f"{how}; {len(classes) or 'no'} class folders."
    return Listing(train, test, classes, (how, f"{left_out.capitalize()}."))


def split_kind(name: str) -> str | None:
    """What a folder of that name is for, "train", "test" or "validation"; None for other names.

    >>> split_kind("Training Set"), split_kind("VAL"), split_kind("trains")
    ('train', 'validation', None)
    """
    words = [word for word in re.split(r"[\W_]+", name.lower()) if word not in _FILLERS]
    return next((kind for kind, names in SPLITS.items() if words and "".join(words) in names), None)


def _split_folders(folder: Path) -> dict[str, Path]:
    """The sub-folders for each part of a split; empty where the folder is not split."""
    inside = [path for path in _visible(folder) if path.is_dir()]
    splits: dict[str, Path] = {}
    for path in inside:
        kind = split_kind(path.name)
        if kind in splits:
            raise ValueError(
                f"{folder}: expected one folder for {kind} pictures, got {splits[kind].name}/ and "
                f"{path.name}/; merge or rename them"
            )
        if kind is not None:
            splits[kind] = path
    if splits and "train" not in splits:
        raise ValueError(
            f"{folder}: {next(iter(splits.values())).name}/ names a part of a split, and there is "
            "no folder to train on; add train/, or rename it if it is a class"
        )
    others = [path for path in inside if path not in splits.values() and _pictures(_files(path))]
    if set(splits) == {"train"} and others:
        raise ValueError(
            f"{folder}: {splits['train'].name}/ names a part of a split, and {others[0].name}/ "
            "beside it does not and also holds pictures; rename one of them"
        )
    return splits


def _entries(folder: Path) -> tuple[list[Entry], tuple[str, ...]]:
    """The pictures of a folder in the order of their names, and the names of the classes.

    Two or more sub-folders with pictures make classes; otherwise the class number is 0 and there
    are no names.
    """
    inside = _visible(folder)
    loose = _pictures(inside)
    groups = {path.name: _pictures(_files(path)) for path in inside if path.is_dir()}
    groups = {name: paths for name, paths in groups.items() if paths}
    if loose and groups:
        raise ValueError(
            f"{folder}: expected pictures either directly in it or in class folders, got both "
            f"({loose[0].name} and {next(iter(groups))}/); move them to one place"
        )
    if not loose and not groups:
        raise ValueError(
            f"{folder}: expected pictures (.png, .jpg, .tif and all else that Pillow reads), "
            f"found none ({_left_out(folder, [])}); check the path"
        )
    several = groups.values() if groups else [loose]
    entries = [(path, label) for label, paths in enumerate(several) for path in paths]
    places = {place for path, _ in entries for place in path.relative_to(folder).parents}
    for above in sorted(places):
        if split_kind(above.name):
            raise ValueError(
                f"{folder}: expected {above.name}/ at the top, got a split inside ({above}/); "
                "give the folder that holds it, or rename it"
            )
    return entries, tuple(groups) if len(groups) > 1 else ()


def _hold_out(entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The entries in two parts in their order, the second a tenth of them drawn by
    numpy.random.default_rng(0).
    """
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(entries))
    n_test = max(1, round(len(entries) / 10))
    train, test = sorted(order[n_test:]), sorted(order[:n_test])
    return [entries[i] for i in train], [entries[i] for i in test]


def _visible(folder: Path) -> list[Path]:
    inside = folder.iterdir()
    return sorted(p for p in inside if not (p.name.startswith(".") or p.name in _SYSTEM))


def _files(folder: Path) -> list[Path]:
    """All files below a folder in the order of their paths, without hidden ones."""
    files = []
    for path in _visible(folder):
        if not path.is_dir():
            files.append(path)
        elif not path.is_symlink():  # A link may lead back to where it lies.
            files += _files(path)
    return sorted(files, key=Path.as_posix)


def _pictures(paths: Sequence[Path]) -> list[Path]:
    """Those whose ending Pillow reads, and which are files."""
    endings = picture_endings()
    chosen = [path for path in paths if path.suffix.lower() in endings and path.is_file()]
    return sorted(chosen, key=Path.as_posix)


def _left_out(folder: Path, taken: Sequence[Entry]) -> str:
    """How many files below the folder are not taken, by ending: "16 files left out: 8 .heic, 8
    .txt".
    """
    rest = set(_files(folder)).difference(path for path, _ in taken)
    counts = Counter(path.suffix.lower() or "without an ending" for path in rest)
    kinds = ", ".join(f"{n} {ending}" for ending, n in sorted(counts.items()))
    files = "1 file" if len(rest) == 1 else f"{len(rest) or 'no other'} files"
    return f"{files} left out{': ' * bool(rest)}{kinds}"
