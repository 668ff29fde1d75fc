"""Ctrl-C while a command line imports what is heavy."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Let Ctrl-C end the process at once, with one line and status 130.

    An import that is interrupted by an exception may swallow it, hang, or abort the process.
    """
    usual = signal.getsignal(signal.SIGINT)
    alone = threading.current_thread() is threading.main_thread()
    if usual is not signal.default_int_handler or not alone:
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _leave(*_: object) -> NoReturn:
    os.write(sys.stderr.fileno(), b"\nstopped\n")
    os._exit(130)
