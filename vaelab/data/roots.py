"""Where downloaded data sets lie, how they get there, and what is said when they do not."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from vaelab._files import check_writable
from vaelab._inputs import check_path

_TIMEOUT = 30.0  # seconds


def data_root(root: str | Path | None = None) -> Path:
    """The folder where downloaded data sets lie: `root`, else VAELAB_DATA, else the checkout's
    data/, else the cache.

    Raises:
        FileNotFoundError: `root` or VAELAB_DATA names a folder that does not exist.
    """
    chosen = root if root is not None else os.environ.get("VAELAB_DATA") or None
    if chosen is not None:
        folder = check_path("root", chosen).expanduser()
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


@dataclass(frozen=True)
class Place:
    """Where the files of a downloaded data set lie.

    Args:
        name: of the data set.
        kind: torchvision's name of it, a class of `torchvision.datasets`.
        root: the data root.
        folder: that holds its files, inside the root.
        expected: what they are, a line each.
    """

    name: str
    kind: str
    root: Path
    folder: Path
    expected: Sequence[str]

    def message(self, problem: str) -> str:
        """What to say of a data set that is not there: what was expected, what lies there."""
        lines = "\n".join(f"  {line}" for line in self.expected)
        return (
            f"{self.name}: {problem}. Expected:\n{lines}\n{self._contents()}"
            'With a network, this fetches them:  python -c "import vaelab; '
            f"vaelab.load_images('{self.name}', root={str(self.root)!r})\"\n"
            "If you have them, point root=, or the environment variable VAELAB_DATA, to "
            f"the folder that holds {self.folder.relative_to(self.root).parts[0]}/. Without "
            "either, load_images('digits') needs no download."
        )

    def _contents(self) -> str:
        """A line on what lies in the folder, or in the nearest one above it that holds more."""
        for place in (self.folder, *self.folder.parents):
            if not place.is_relative_to(self.root):
                break
            entries = sorted(place.iterdir()) if place.is_dir() else []
            names = [path.name for path in entries if not self.folder.is_relative_to(path)]
            if names:
                return f"Found in {place}:\n  {enumerated(names, 12)}\n"
        return ""


def enumerated(names: Sequence[str], most: int) -> str:
    """The names with commas between them, and how many more there are than `most`.

    >>> enumerated(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def provide(place: Place, is_whole: Callable[[], bool], may_download: bool) -> None:
    """Have torchvision fetch a data set that is not there, or say what is expected.

    Args:
        place: where its files lie.
        is_whole: whether all of them do.
        may_download: whether they may be fetched.

    Raises:
        OSError: the folder cannot be made or written to.
        FileNotFoundError: the files are not there, or the download failed.
    """
    if not is_whole() and may_download:
        _download(place)
    if not is_whole():
        problem = "not found" if may_download else "not found, and download=False"
        raise FileNotFoundError(place.message(problem))


def _download(place: Place) -> None:
    try:
        check_writable(place.folder)
    except OSError as error:
        problem = f"not found, and cannot be downloaded ({error.strerror})"
        raise OSError(place.message(problem)) from error
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        torchvision = importlib.import_module("torchvision.datasets")
        getattr(torchvision, place.kind)(place.root, download=True)
    except (OSError, RuntimeError, HTTPException, EOFError, ImportError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "gdown" in reason:
            reason = "it needs gdown, in the extra celeba: pip install 'vaelab[celeba]'"
        problem = f"not found, and the download failed ({reason})"
        raise FileNotFoundError(place.message(problem)) from error
    finally:
        socket.setdefaulttimeout(timeout)
