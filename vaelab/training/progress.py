"""What a run says of itself while it goes: a bar on a terminal and in a notebook, a line a minute
in a log.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from vaelab._bars import MINUTE, is_watched
from vaelab._processes import place

if TYPE_CHECKING:
    from vaelab.training.plan import Session
    from vaelab.training.state import State


class Bar:
    """tqdm's bar, of steps, for a terminal or a notebook."""

    def __init__(self, state: State, label: str, quiet: bool) -> None:
        from tqdm.auto import tqdm

        self.bar = tqdm(
            total=state.total, initial=state.step, desc=label, unit="step", disable=quiet
        )

    def due(self) -> bool:
        """Whether it wants to be shown the state now, whatever step it is."""
        return False

    def show(self, state: State) -> None:
        """Show how far the run has come."""
        self.bar.update(state.step - self.bar.n)
        if state.step % state.steps_per_epoch == 0:
            loss, gamma = figures(state)
            self.bar.set_postfix({"nats": loss, "γ": gamma}, refresh=False)

    def close(self) -> None:
        """Show no more."""
        self.bar.close()


class Lines:
    """One line a minute with epoch, loss, γ and time left, where nobody watches a bar: a log file,
    a pipe, Slurm. A run of less than a minute writes nothing.

    Args:
        state: of the run, before its first step here.
        label: what each line starts with.
        every: seconds between two lines.
        clock: gives seconds.
        write: takes a line; standard error unless given.
    """

    def __init__(
        self,
        state: State,
        label: str,
        every: float = MINUTE,
        clock: Callable[[], float] = time.monotonic,
        write: Callable[[str], None] | None = None,
    ) -> None:
        self.label = label
        self.every = every
        self.clock = clock
        self.write = _to_stderr if write is None else write
        self.first_step = state.step
        self.started = self.last = clock()

    def due(self) -> bool:
        """Whether a minute has passed since the last line."""
        return self.clock() - self.last >= self.every

    def show(self, state: State) -> None:
        """Write a line, if it is time to."""
        if not self.due():
            return
        self.last = self.clock()
        rate = (self.last - self.started) / max(state.step - self.first_step, 1)
        loss, gamma = figures(state)
        epoch = min(state.epoch + 1, state.plan.epochs)
        self.write(
            f"{self.label}: epoch {epoch} of {state.plan.epochs}, loss {loss} nats, γ {gamma}, "
            f"{duration(rate * (state.total - state.step))} left"
        )

    def close(self) -> None:
        """Nothing is open."""


def progress_of(state: State, session: Session) -> Bar | Lines:
    """What a session tells of a run; of several processes, the first one tells."""
    quiet = not session.progress or place()[0] > 0
    if quiet or is_watched():
        return Bar(state, session.label, quiet)
    return Lines(state, session.label)


def figures(state: State) -> tuple[str, str]:
    """The loss of the newest epoch, or of the steps so far in the first, and its γ."""
    if state.history:
        loss = state.newest("loss")
        gamma = state.newest("gamma")
    else:
        loss = float(torch.stack(state.terms).double().mean(0).sum(0).mean())
        gamma = getattr(state.model, "gamma", None)
        gamma = math.nan if gamma is None else float(np.mean(gamma))
    return f"{loss:.4g}", "–" if math.isnan(gamma) else f"{gamma:.3g}"


def duration(seconds: float) -> str:
    """A time in words, to two places.

    >>> duration(42), duration(760), duration(12_000), duration(300_000)
    ('42 s', '13 min', '3 h 20 min', '3 d 11 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours = minutes // 60
    if hours == 0:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
