"""Worker processes that end with the command that started them."""

from __future__ import annotations

import os
import signal
import threading
import time

LOOK_EVERY = 1.0  # Seconds between two looks for the parent.
PATIENCE = 10.0  # Seconds that a step may take to end in, once the parent is gone.


def end_with_parent() -> None:
    """Have this process end when its parent has ended, however that was: a step of training ends
    and is saved first, as at SIGTERM.
    """
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)
