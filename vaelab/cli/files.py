"""The files that commands read and write."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vaelab.cli.options import reading

if TYPE_CHECKING:
    from vaelab.checkpoints import Saved
    from vaelab.data import Images


def beside(folder: Path, name: str) -> Path:
    """Where a command writes unless told: into a run's folder, or here for a model that comes with
    the package.
    """
    return folder / name if folder.is_dir() else Path(f"{folder.name}-{name}")


def check_ending(path: Path, *endings: str, option: str = "--out") -> str:
    """The ending of a file's name in small letters, or raise unless it is one of `endings`."""
    ending = path.suffix.lower()
    if ending not in endings or path.is_dir():
        expected = " or ".join(endings)
        got = f"the folder {path}; try {path / f'out{endings[0]}'}" if path.is_dir() else path
        raise ValueError(f"{option}: expected a file that ends in {expected}, got {got}")
    return ending


def images_of(saved: Saved, args: argparse.Namespace) -> Images:
    """The images that a saved model was trained on, or those that the command line names; prints
    what is to be said of them.
    """
    from vaelab.apps.images import images_for, notes_on

    images = images_for(saved, args.data, args.images, reading(args, args.images))
    for note in notes_on(saved, images):
        print(note)
    return images
