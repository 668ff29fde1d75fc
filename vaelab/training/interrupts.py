"""Ctrl-C and SIGTERM, held back until a step is complete."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from vaelab._imports import STOPS, USUAL, handled


@contextlib.contextmanager
def interrupts_held() -> Iterator[threading.Event]:
    """Hold Ctrl-C and SIGTERM back until a step is complete: what is saved then is a state that an
    unstopped run passes through.

    Only the first of each, and only in the main thread, where nobody else handles it.
    """
    interrupted = threading.Event()
    former = {number: signal.getsignal(number) for number in STOPS}

    def hold(number: int, frame: Any) -> None:
        signal.signal(number, former[signal.Signals(number)])
        interrupted.set()

    with handled(hold, USUAL, *STOPS):
        yield interrupted
