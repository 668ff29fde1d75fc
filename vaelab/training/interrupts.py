"""Ctrl-C and SIGTERM, held back until a step is complete."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


@contextlib.contextmanager
def interrupts_held() -> Iterator[threading.Event]:
    """Hold Ctrl-C and SIGTERM back until a step is complete: what is saved then is a state that an
    unstopped run passes through.

    Only the first of each, and only in the main thread, where nobody else handles it.
    """
    interrupted = threading.Event()
    held = []
    if threading.current_thread() is threading.main_thread():
        held = [number for number, usual in _USUAL.items() if signal.getsignal(number) == usual]

    def hold(number: int, frame: Any) -> None:
        signal.signal(number, _USUAL[signal.Signals(number)])
        interrupted.set()

    for number in held:
        signal.signal(number, hold)
    try:
        yield interrupted
    finally:
        for number in held:
            signal.signal(number, _USUAL[number])
