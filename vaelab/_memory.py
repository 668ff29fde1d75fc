"""Whether what is asked for fits into memory, said before anything is allocated; and memory that
is kept from one step to the next.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_LIMIT = Path("/sys/fs/cgroup/memory.max")
_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h.
_LARGEST_BLOCK = 32 * 2**20  # What the second comes to by itself; glibc takes no more.


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


def check_parameters(build: Callable[[], nn.Module]) -> None:
    """Raise unless the parameters of what `build` makes, their gradients and Adam's two moments fit
    into memory.

    Raises:
        ValueError: they do not.
    """
    import torch

    with torch.device("meta"):  # Nothing is allocated, and nothing is drawn.
        count = sum(p.numel() for p in build().parameters())
    advice = "give a smaller latent_dim=, smaller layers or smaller images"
    check_memory(f"a network of {count / 1e6:,.0f} million parameters", 4 * 4 * count, advice)


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory inside, for what is allocated next.

    glibc hands large blocks back to the system, which clears their pages when they are asked for
    again: an eighth of a small convolutional network's step. Afterwards they go back.
    """
    libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(_MMAP, _LARGEST_BLOCK)
    libc.mallopt(_TRIM, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(_TRIM, 2 * _LARGEST_BLOCK)
        libc.malloc_trim(0)


def message_of(
    error: Exception, advice: str = "ask for less, or close what else needs memory"
) -> str | None:
    """What an error says to a user who can mend it; None where it is a fault of vaelab.

    Args:
        error: what was raised.
        advice: what to do where memory did not suffice.
    """
    if isinstance(error, OSError) and error.strerror and not error.filename:
        return error.strerror
    is_ours = type(error).__module__.startswith("vaelab.")
    if is_ours or isinstance(error, (ValueError, TypeError, OSError, ImportError)):
        return str(error)
    return out_of_memory(error, advice) if is_out_of_memory(error) else None


def out_of_memory(error: BaseException, advice: str) -> str:
    """What to say of an error that `is_out_of_memory`: its own first line, and what to do."""
    detail = str(error).partition("\n")[0]
    detail = f" ({detail})" if detail else ""
    return f"out of memory{detail}; {advice}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy or torch says that memory, of a GPU or of this machine, did not
    suffice.
    """
    said = "out of memory|can't allocate memory|calculation overflowed"
    known = isinstance(error, RuntimeError) and re.search(said, str(error))
    return isinstance(error, MemoryError) or bool(known)
