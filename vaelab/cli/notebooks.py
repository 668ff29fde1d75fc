"""Build the course's notebooks from their sources.

notebooks/*.ipynb and notebooks/solutions/*.ipynb are made from notebooks/src/*.py, and executed.
"""

from __future__ import annotations

import argparse
import sys

from vaelab._signals import importing
from vaelab.cli.options import Parser


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.add_argument(
        "action", choices=["build"], help="make the student copies and the solutions, executed"
    )
    names = "only these, such as 01 (default: all that changed)"
    p.option("names", names, metavar="NAME", nargs="*")
    p.flag("--check", "build nothing; fail where a notebook is not its source's")
    p.flag("--force", "build also what did not change")


def run(args: argparse.Namespace) -> int:
    """Build the notebooks, or check that they are their sources'."""
    with importing():
        from vaelab import notebooks

    problems = notebooks.build(names=args.names, check=args.check, force=args.force)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0
