"""Ctrl-C and SIGTERM: at a command line, while it imports what is heavy, and in the steps of a
training.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

STOPS = (signal.SIGINT, signal.SIGTERM)
USUAL = (signal.default_int_handler, signal.SIG_DFL)  # Handlers that nobody else has set.


@contextlib.contextmanager
def handled(handler: Any, usual: Sequence[Any], *numbers: signal.Signals) -> Iterator[None]:
    """Let a handler answer signals, where one of the `usual` ones did, in the main thread."""
    alone = threading.current_thread() is threading.main_thread()
    before = {n: h for n in numbers if alone and (h := signal.getsignal(n)) in usual}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def terminable() -> contextlib.AbstractContextManager[None]:
    """Let SIGTERM (Slurm, `docker stop`, `timeout`) do what Ctrl-C does."""
    return handled(signal.default_int_handler, [signal.SIG_DFL], signal.SIGTERM)


def importing() -> contextlib.AbstractContextManager[None]:
    """Let Ctrl-C and SIGTERM end the process at once, with one line and status 130.

    An import that is interrupted by an exception may swallow it, hang, or abort the process.
    """
    return handled(_leave, USUAL, *STOPS)


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


def _leave(*_: object) -> NoReturn:
    os.write(sys.stderr.fileno(), b"\nstopped\n")
    os._exit(130)
