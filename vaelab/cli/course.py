"""Copy the course's notebooks to a folder of your own.

They come out of the installed package, so that a class needs no checkout: the students' copies,
with the exercises' stubs, and the solved ones in solutions/.
"""

from __future__ import annotations

import argparse
import filecmp
from pathlib import Path

import vaelab
from vaelab.cli.options import Parser


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.option("folder", "where they go; made if it is not there", Path, "FOLDER")
    p.flag("--without-solutions", "leave the solved copies out")


def run(args: argparse.Namespace) -> int:
    """Copy them; what is there already is left as it is, or refused where it differs."""
    from vaelab._files import check_writable, write_atomic

    origin = notebooks()
    patterns = ("*.ipynb",) if args.without_solutions else ("*.ipynb", "solutions/*.ipynb")
    names = [p.relative_to(origin) for pattern in patterns for p in sorted(origin.glob(pattern))]
    there = [name for name in names if (args.folder / name).exists()]
    changed = [n for n in there if not filecmp.cmp(origin / n, args.folder / n, shallow=False)]
    if changed:
        raise FileExistsError(
            f"{args.folder} holds {changed[0]} and {len(changed) - 1} more that differ from the "
            "course's, such as your own work; give another folder"
        )
    for name in names:
        target = args.folder / name
        check_writable(target.parent)
        write_atomic(target, (origin / name).read_bytes())
    print(f"{len(names)} notebooks in {args.folder}    next: jupyter lab {args.folder}/{names[0]}")
    return 0


def notebooks() -> Path:
    """The folder that holds them: of the checkout, or of the installed package.

    Raises:
        FileNotFoundError: neither has them.
    """
    package = Path(vaelab.__file__).parent
    for folder in (package.parent / "notebooks", package / "lessons"):
        if any(folder.glob("*.ipynb")):
            return folder
    raise FileNotFoundError(
        f"{package} was installed without the course's notebooks; install the package anew"
    )
