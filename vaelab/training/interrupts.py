"""Ctrl-C and SIGTERM, held back until a step is complete."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_USUAL = (signal.default_int_handler, signal.SIG_DFL)


@contextlib.contextmanager
def interrupts_held() -> Iterator[threading.Event]:
    """Hold Ctrl-C and SIGTERM back until a step is complete: what is saved then is a state that an
    unstopped run passes through.

    Only the first of each, and only in the main thread, where nobody else handles it.
    """
    interrupted = threading.Event()
    held = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        held = {number: handler for number, handler in handlers.items() if handler in _USUAL}

    def hold(number: int, frame: Any) -> None:
        signal.signal(number, held[signal.Signals(number)])
        interrupted.set()

    for number in held:
        signal.signal(number, hold)
    try:
        yield interrupted
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
