"""The command line in processes of its own that are forks of one that has done its imports.

Those of PyTorch and scikit-learn take longer than most of these tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import safetensors

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "torch._dynamo",
        "tqdm.auto",
        "sklearn.datasets",
        "sklearn.mixture",
        "vaelab.cli.train",
        "vaelab.experiments",
    ]
)


@dataclass
class Done:
    """What a process said, and its status: minus the number of the signal that killed it."""

    returncode: int
    stdout: str
    stderr: str


def _main(arguments: list[str], folder: str, before: Callable[[], None] | None) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = (Path(folder) / name).open("w", encoding="utf-8")
        os.dup2(file.fileno(), number)
        setattr(sys, name, file)
    if before is not None:
        before()
    from vaelab.__main__ import main

    sys.exit(main(arguments))


@contextlib.contextmanager
def started(arguments, before=None) -> Iterator[tuple]:
    """Start `vaelab` with these arguments.

    Yields:
        The process, and a function that waits for its end and gives it as `Done`.
    """
    with TemporaryDirectory() as folder:
        process = FORKS.Process(target=_main, args=([str(a) for a in arguments], folder, before))
        process.start()

        def done(timeout: float = 300.0) -> Done:
            process.join(timeout)
            assert process.exitcode is not None, f"still at work after {timeout:.0f} s"
            texts = [(Path(folder) / name).read_text("utf-8") for name in ("stdout", "stderr")]
            return Done(process.exitcode, *texts)

        try:
            yield process, done
        finally:
            if process.is_alive():
                process.kill()
                process.join()


def vaelab(*arguments, before=None) -> Done:
    """Run `vaelab` with these arguments to its end; `before` is called in its process first."""
    with started(arguments, before) as (_, done):
        return done()


def progress(folder: Path) -> float:
    """How far a run has come by its checkpoints: 0 to 1 in the first stage, 1 to 2 in the
    second.
    """
    for number in (2, 1):
        with (
            contextlib.suppress(OSError, safetensors.SafetensorError),
            safetensors.safe_open(folder / f"stage{number}.state.safetensors", "pt") as file,
        ):
            record = json.loads(file.metadata()["vaelab"])["record"]
            settings = record["settings"]
            steps = settings["n"] // settings["batch_size"] * settings["epochs"]
            return number - 1 + record["step"] / steps
    return 0.0


@dataclass(frozen=True)
class Signal:
    """Have a process send itself a signal, a pause after its run has come beyond a point.

    A thread of its own does: another process might look away until the run is over.
    """

    number: int
    folder: Path
    beyond: float
    pause: float = 0.0

    def __call__(self) -> None:
        threading.Thread(target=self._send, daemon=True).start()

    def _send(self) -> None:
        while progress(self.folder) <= self.beyond:
            time.sleep(0.005)
        time.sleep(self.pause)
        os.kill(os.getpid(), self.number)
