"""Run the checkout's tests, all but the long ones, as `make test` does."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import vaelab
from vaelab.cli.options import Parser


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.option(
        "files",
        "files or tests to run alone, such as tests/test_terms.py or "
        "tests/test_terms.py::NAME; all but the long ones unless given",
        metavar="FILE",
        nargs="*",
    )


def run(args: argparse.Namespace) -> int:
    """Run pytest in two processes of one thread each, and give its status."""
    root = Path(vaelab.__file__).parents[1]
    if not (root / "tests").is_dir() or not (root / "pyproject.toml").is_file():
        raise FileNotFoundError(
            f"{root} is no checkout of vaelab, and the tests are in one; `vaelab doctor` looks at "
            "an installed package"
        )
    if importlib.util.find_spec("xdist") is None:
        raise ValueError("this needs pytest; install it with: pip install -e '.[test]'")
    line = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "worksteal", "-m", "not long"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.call([*line, *args.files], cwd=root, env=environment)
