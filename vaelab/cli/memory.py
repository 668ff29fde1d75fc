"""Whether what is asked for fits into memory, said before anything is allocated."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory() -> float:
    """Bytes of memory this machine has, or its container may use; infinite where neither is
    known.
    """
    sizes = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows does not tell.
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ValueError, OSError):  # Without a limit the file says "max".
        sizes.append(int(_LIMIT.read_text()))
    return min(sizes)


def check_memory(what: str, need: int, advice: str = "give less") -> None:
    """Raise unless `need` bytes fit into memory.

    Raises:
        ValueError: they do not.
    """
    if need > memory():
        raise ValueError(
            f"{what}: needs {need // 10**9:,} GB of memory, and there are {memory() / 1e9:,.0f}; "
            f"{advice}"
        )
