"""The code that measures, as a fingerprint of the package, which is compared with that of a process
elsewhere.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path


def _fingerprint() -> str:
    """SHA-256 of the package's modules, their names and their contents."""
    sha = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        sha.update(f"{path.relative_to(package).as_posix()}\n".encode() + path.read_bytes())
    return sha.hexdigest()


# Taken as this module is imported: what a process has imported does not change with its files.
CODE = _fingerprint()


def check_code(code: str, host: str) -> None:
    """Raise unless a fingerprint is this code's.

    Raises:
        ValueError: names `host`, where the other code runs.
    """
    if code != CODE:
        raise ValueError(
            f"{host} runs other code of vaelab than {platform.node()} ({code[:12]}… and "
            f"{CODE[:12]}…); install the same at both, start the worker again, and give the same "
            "command"
        )
