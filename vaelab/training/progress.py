"""What a run says of itself while it goes: a bar on a terminal and in a notebook, a line a minute
in a log.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from vaelab._bars import MINUTE, is_watched
from vaelab._processes import place

if TYPE_CHECKING:
    from vaelab.training.plan import Session
    from vaelab.training.state import State


class Progress:
    """What a session tells of a run; of several processes, the first one tells.

    Where somebody watches it is tqdm's bar, of steps. In a log file, a pipe or Slurm it is one line
    a minute with epoch, loss, γ and time left; a run of less than a minute writes nothing.

    Args:
        state: of the run, before its first step here.
        session: whether it tells, and what each line starts with.
    """

    def __init__(self, state: State, session: Session) -> None:
        from tqdm.auto import tqdm

        quiet = not session.progress or place()[0] > 0
        self.label = session.label
        self.logs = not quiet and not is_watched()
        self.bar = tqdm(
            total=state.total,
            initial=state.step,
            desc=self.label,
            unit="step",
            disable=quiet or self.logs,
        )
        self.first_step = state.step
        self.started = self.last = time.monotonic()

    def due(self) -> bool:
        """Whether a line is to be written, whatever step it is."""
        return self.logs and time.monotonic() - self.last >= MINUTE

    def show(self, state: State) -> None:
        """Show how far the run has come, if it is time to."""
        if self.due():
            self._write(state)
        self.bar.update(state.step - self.bar.n)
        if not self.bar.disable and state.step % state.steps_per_epoch == 0:
            loss, gamma = figures(state)
            self.bar.set_postfix({"nats": loss, "γ": gamma}, refresh=False)

    def _write(self, state: State) -> None:
        self.last = time.monotonic()
        rate = (self.last - self.started) / max(state.step - self.first_step, 1)
        loss, gamma = figures(state)
        epoch = min(state.epoch + 1, state.plan.epochs)
        print(
            f"{self.label}: epoch {epoch} of {state.plan.epochs}, loss {loss} nats, γ {gamma}, "
            f"{duration(rate * (state.total - state.step))} left",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Show no more."""
        self.bar.close()


def figures(state: State) -> tuple[str, str]:
    """The loss of the newest epoch, or of the steps so far in the first, and its γ; averaged over
    the models where there are several.
    """
    if state.history:
        loss, gamma = (float(np.mean(state.history[name][-1])) for name in ("loss", "gamma"))
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
