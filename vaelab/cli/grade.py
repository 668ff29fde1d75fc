"""Grade students' notebooks.

Every exercise of every FILE is run apart, with limits of time and memory, without network, and with
nothing to write to but a folder of its own, which is gone afterwards. The table says ok, todo, what
slipped, or that the check under an exercise was changed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from vaelab._signals import importing
from vaelab.cli.options import Parser

EPILOG = (
    "This needs Linux with user namespaces or bubblewrap. Elsewhere the command says so, and runs "
    "only code that you trust, with --trusted."
)


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.option("files", "students' notebooks, by any name", metavar="FILE", nargs="+")
    course = "the notebooks as they were handed out (default: notebooks)"
    p.option("--course", course, metavar="FOLDER", default="notebooks")
    p.option("--csv", "write a mark book: a row a file", Path, "FILE")
    p.option("--seconds", "that an exercise may take (default: 20)", float, default=20.0)
    p.option("--memory", "for an exercise (default: 4)", float, "GIB", 4.0)
    p.flag("--trusted", "run them also where nothing can shut them in")


def run(args: argparse.Namespace) -> int:
    """Print each sheet as it is there; write the mark book."""
    if os.name != "posix":
        raise ValueError("grade: expected Linux or macOS, whose processes can be limited")
    with importing():
        from vaelab.course import grading

    jail = grading.find_jail()
    sheets = grading.grade(
        args.files,
        args.course,
        seconds=args.seconds,
        memory=args.memory,
        trusted=args.trusted,
        echo=lambda sheet: print(grading.table([sheet]), flush=True),
    )
    if args.csv:
        args.csv.write_text(grading.mark_book(sheets), "utf-8")
    where = f"in a jail of {jail.name}" if jail else "NOT shut in: network and files were open"
    print(f"run {where}; {len(sheets)} files", file=sys.stderr)
    return 1 if any(sheet.problem for sheet in sheets) else 0
