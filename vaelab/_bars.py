"""Bars of progress: where somebody watches they move, in a log they say a line a minute."""

from __future__ import annotations

import sys
from typing import Any

MINUTE = 60.0


def is_watched() -> bool:
    """Whether standard error is a terminal, or a notebook's."""
    in_notebook = type(sys.stderr).__module__.startswith("ipykernel")
    return in_notebook or (sys.stderr is not None and sys.stderr.isatty())


def bar_of(total: int, label: str, quiet: bool = False, delay: float = 2) -> Any:
    """tqdm's bar of a side errand, gone when it is done; in a log it is written once a minute.

    Args:
        total: how many steps there are.
        label: what is being done.
        quiet: whether to show nothing.
        delay: seconds that pass before it shows where somebody watches.
    """
    from tqdm.auto import tqdm

    between = 0.1 if is_watched() else MINUTE
    return tqdm(
        total=total,
        desc=label,
        disable=quiet,
        leave=False,
        mininterval=between,
        maxinterval=max(between, 10),
        delay=delay if is_watched() else MINUTE,
    )
