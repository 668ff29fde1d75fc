"""Open the course in JupyterLab.

Its notebooks are those of the checkout or, of an installed package, a copy of them in the folder
`course` here, which is made if it is not there.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

from vaelab.cli import course
from vaelab.cli.options import Parser

CONNECTION = "vaelab.apps.dashboards.connection.NoDelayConnection"


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.option("folder", "of notebooks (default: those of the course)", Path, "FOLDER", nargs="?")
    p.flag("--no-browser", "do not open a browser; print the address")


def run(args: argparse.Namespace) -> int:
    """Start JupyterLab, and wait until it ends."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise ValueError("this needs JupyterLab; install it with: pip install 'vaelab[course]'")
    folder = args.folder or _course()
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; `vaelab course {folder}` makes one")
    line = [sys.executable, "-m", "jupyterlab", str(folder)]
    line.append(f"--ServerApp.kernel_websocket_connection_class={CONNECTION}")
    try:
        return subprocess.call([*line, *["--no-browser"] * args.no_browser])
    except KeyboardInterrupt:  # JupyterLab has heard it too, and asked.
        return 0


def _course() -> Path:
    """The checkout's notebooks, which may be edited; or a copy of the package's."""
    origin = course.notebooks()
    if origin.name == "notebooks":
        return origin
    folder = Path("course")
    if not folder.exists():
        course.run(argparse.Namespace(folder=folder, without_solutions=False))
    return folder
