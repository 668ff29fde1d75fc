"""The command line, one module a command: doctor, demo, course, lab, train, search, show,
sample, encode, reconstruct, export-page, dashboards, table, figure, claims, notebooks, grade,
test.

A command is a module whose docstring is its help, with `add_arguments(parser)` and `run(args)`,
which returns the exit status; `EPILOG`, where there is one, ends its help. `run` imports what is
heavy, so that `--help` waits for nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Sequence

from vaelab import __version__
from vaelab._memory import message_of
from vaelab._signals import terminable
from vaelab.cli import (
    claims,
    course,
    dashboards,
    demo,
    doctor,
    encode,
    export_page,
    figure,
    grade,
    lab,
    notebooks,
    reconstruct,
    sample,
    search,
    show,
    table,
    test,
    train,
)
from vaelab.cli.options import Parser
from vaelab.cli.words import translate

DESCRIPTION = "Variational autoencoders, taught in notebooks that check themselves."
COMMANDS = {
    "doctor": doctor,
    "demo": demo,
    "course": course,
    "lab": lab,
    "train": train,
    "search": search,
    "show": show,
    "sample": sample,
    "encode": encode,
    "reconstruct": reconstruct,
    "export-page": export_page,
    "dashboards": dashboards,
    "table": table,
    "figure": figure,
    "claims": claims,
    "notebooks": notebooks,
    "grade": grade,
    "test": test,
}


def parser() -> Parser:
    """The parser of every command."""
    top = Parser("vaelab", description=DESCRIPTION)
    top.add_argument("--version", action="version", version=f"vaelab {__version__}")
    top.set_defaults(run=_print_help, parser=top)
    commands = top.add_subparsers(metavar="COMMAND")
    for name, command in COMMANDS.items():
        text = command.__doc__ or name
        p = commands.add_parser(
            name,
            help=re.split(r"(?<! al)\.|:", text)[0],
            description=text,
            epilog=getattr(command, "EPILOG", None),
        )
        command.add_arguments(p)
        p.set_defaults(run=command.run, parser=p)
    return top


def _print_help(args: argparse.Namespace) -> int:
    args.parser.print_help()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    An error that a user can mend is one line on standard error, in the words of the command line,
    and status 2; a warning is one line, too.
    """
    command = parser()
    usual = warnings.formatwarning
    warnings.formatwarning = _one_line
    try:
        args, unknown = command.parse_known_args(argv)
        command = args.parser
        if unknown:
            command.refuse(unknown)
        with terminable():
            status = args.run(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # The reader, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt as interrupt:
        print("\n".join(["", *getattr(interrupt, "__notes__", ["stopped"])]), file=sys.stderr)
        return 130
    except Exception as error:
        message = message_of(error)
        if message is None:
            raise
        print(f"vaelab: error: {translate(message, command.options())}", file=sys.stderr)
        return 2
    finally:
        warnings.formatwarning = usual


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"vaelab: warning: {message}\n"
