"""The command line, and pytest, in processes of their own: forks of one that has done its imports.

Those of PyTorch, scikit-learn and nbformat take longer than most of these tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
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
        "nbformat",
        "jupyter_client",
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


def commands(arguments: list[str]) -> int:
    """What `python -m vaelab` does."""
    from vaelab.__main__ import main

    return main(arguments)


def tests(arguments: list[str]) -> int:
    """What `python -m pytest` does."""
    import pytest

    return pytest.main(arguments)


def _run(main, arguments: list[str], folder: str, before: Callable[[], None] | None) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = (Path(folder) / name).open("w", encoding="utf-8")
        os.dup2(file.fileno(), number)
        setattr(sys, name, file)
    if before is not None:
        before()
    sys.exit(int(main(arguments)))


def run(main, *arguments, before: Callable[[], None] | None = None) -> Done:
    """Run `commands` or `tests` to the end; `before` is called in their process first."""
    with TemporaryDirectory() as folder:
        words = [str(argument) for argument in arguments]
        process = FORKS.Process(target=_run, args=(main, words, folder, before))
        process.start()
        try:
            process.join(500)
            assert process.exitcode is not None, "still at work after 500 s"
        finally:
            process.kill()
            process.join()
        texts = [(Path(folder) / name).read_text("utf-8") for name in ("stdout", "stderr")]
        return Done(process.exitcode, *texts)


@dataclass(frozen=True)
class Moved:
    """Go to a folder, set variables of the environment, and unset those of pytest."""

    folder: Path
    environment: dict[str, str]

    def __call__(self) -> None:
        os.chdir(self.folder)
        for name in [name for name in os.environ if name.startswith("PYTEST_")]:
            del os.environ[name]
        os.environ.update(self.environment)


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
