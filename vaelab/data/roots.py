"""Where downloaded data sets lie, how they get there, and what is said when they do not."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

_TIMEOUT = 30.0


def data_root(root: str | Path | None = None) -> Path:
    """The folder where downloaded data sets lie: `root`, else VAELAB_DATA, else the checkout's
    data/, else the cache.

    Raises:
        FileNotFoundError: `root` or VAELAB_DATA names a folder that does not exist.
    """
    chosen = root if root is not None else os.environ.get("VAELAB_DATA") or None
    if chosen is not None:
        folder = Path(chosen).expanduser()
        if not folder.is_dir():
            origin = "root" if root is not None else "the environment variable VAELAB_DATA"
            raise FileNotFoundError(
                f"{origin}: expected an existing folder, got {str(chosen)!r}; create it first "
                f"(mkdir -p '{folder}') or correct its spelling"
            )
        return folder
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "data"
    return Path.home() / ".cache" / "vaelab"


def download(name: str, folder: Path, expected: Sequence[str], fetch: Callable[[], Any]) -> None:
    """Have torchvision fetch a data set into a folder, or say what is expected there.

    Args:
        name: of the data set.
        folder: where its files shall lie.
        expected: what they are, a line each.
        fetch: does the work.

    Raises:
        OSError: the folder cannot be made or written to.
        FileNotFoundError: the download failed.
    """
    _check_writable(name, folder, expected)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        fetch()
    except (OSError, RuntimeError, HTTPException, EOFError, ImportError, ValueError) as error:
        problem = (
            "not found, and the download failed "
            f"({' '.join(str(error).split()) or type(error).__name__})"
        )
        raise FileNotFoundError(what_is_expected(name, folder, expected, problem)) from error
    finally:
        socket.setdefaulttimeout(timeout)


def _check_writable(name: str, folder: Path, expected: Sequence[str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("permission denied")
    except OSError as error:
        problem = f"not found, and cannot be downloaded to {folder} ({error.strerror or error})"
        raise OSError(what_is_expected(name, folder, expected, problem)) from error


def what_is_expected(name: str, folder: Path, expected: Sequence[str], problem: str) -> str:
    """The message for a data set that is not there."""
    lines = "\n".join(f"  {line}" for line in expected)
    return (
        f"{name}: {problem}. Expected:\n{lines}\n"
        'With a network, this fetches them:  python -c "import vaelab; '
        f"vaelab.load_images('{name}', root='.')\"\n"
        "If you have them, point root= (or --data, or the environment variable VAELAB_DATA) to "
        "the folder that holds "
        f"{_first_part(folder)}/. Without either, load_images('digits') needs no download."
    )


def _first_part(folder: Path) -> str:
    return folder.parent.name if folder.name == "raw" else folder.name
