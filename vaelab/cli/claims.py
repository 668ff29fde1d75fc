"""Print the ledger: what the papers claim, and what was found.

It holds every claim that a computer can check, with what was found and where.
"""

from __future__ import annotations

import argparse

from vaelab._signals import importing
from vaelab.cli.options import Parser


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.option("ids", "only these, such as D15 (default: all)", metavar="ID", nargs="*")
    form = p.add_mutually_exclusive_group()
    form.add_argument("--short", action="store_true", help="print a line a claim")
    form.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the ledger."""
    with importing():
        from vaelab import claims

    print(claims.render(args.json, args.ids, args.short))
    return 0
