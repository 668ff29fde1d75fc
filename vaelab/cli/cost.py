"""What a run will take, said before it is spent."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaelab.data import Images
    from vaelab.experiments import Cell, Settings
    from vaelab.training import Session

HOUR = 3600.0
SHORT = 1800.0  # What a shorter command should take.
TIMED = 3  # Steps that are timed, after one to warm up; more where they take less than
LEAST = 0.15  # seconds.


@dataclass(frozen=True)
class Cost:
    """Seconds an epoch of each stage, as a few steps took."""

    first: float
    second: float

    def seconds(self, settings: Settings, trained: float = 0.0) -> float:
        """Of a run of both stages, of whose first so many epochs have been trained."""
        left = max(settings.epochs - trained, 0.0)
        return self.first * left + self.second * settings.second_epochs


def cost_of(images: Images, settings: Settings, session: Session) -> Cost | None:
    """Time a few steps of both stages on copies that are thrown away; None where they diverge.

    Nothing that decides the run's numbers is touched.
    """
    from vaelab import experiments
    from vaelab.training import Plan, TrainingDiverged, fit_plan

    began = time.perf_counter()
    batch = images.train_pixels[: settings.batch_size]
    reading = time.perf_counter() - began  # Nothing, but where pictures stay on the disk.
    steps = len(images.train_pixels) // len(batch)
    plan = Plan(1, len(batch), settings.lr, seed=settings.seed)
    quiet = replace(session, progress=False, checkpoint=None, compile=False)
    model = experiments.build(images.shape, settings)
    try:
        first = _seconds_a_step(lambda n: fit_plan(model, _repeated(batch, n), plan, quiet))
        codes = model.codes(batch)
        vae = experiments.second_stage(settings).new_vae(settings.latent_dim, settings.seed)
        second = _seconds_a_step(lambda n: fit_plan(vae, _repeated(codes, n), plan, quiet))
    except TrainingDiverged:
        return None
    except KeyboardInterrupt:  # Without the notes of a run that nobody asked for.
        raise KeyboardInterrupt from None
    return Cost((first + reading) * steps, second * steps)


def cost_of_cells(cells: Sequence[Cell], images: Images, session: Session) -> float:
    """Seconds of training that cells of a table take one after the other on their data set, as a
    few steps of each kind took: those whose steps do not diverge.
    """
    total = 0.0
    kinds: dict[Settings, Cost | None] = {}
    seconds = {cell.settings for cell in cells if cell.row.second}
    for settings in dict.fromkeys(cell.settings for cell in cells):
        kind = replace(settings, seed=0)
        if kind not in kinds:
            kinds[kind] = cost_of(images, _found(kind), session)
        one = kinds[kind] or Cost(0.0, 0.0)
        total += one.first * (settings.epochs + _searching(settings, len(images.train_pixels)))
        total += one.second * settings.second_epochs * (settings in seconds)
    return total


def _found(settings: Settings) -> Settings:
    """The settings as if a search had ended, with its first candidate: each takes as long."""
    first = {name: values[0] for name, values in settings.search.items()}
    return replace(settings, search={}, arguments={**settings.arguments, **first})


def _searching(settings: Settings, n_train: int) -> float:
    """Epochs of all training images that the search for its arguments is worth."""
    from vaelab.experiments.searching import N_TRAIN

    candidates = math.prod(map(len, settings.search.values())) if settings.search else 0
    return candidates * settings.epochs / 4 * min(1.0, N_TRAIN / n_train)


def _seconds_a_step(train: Callable[[int], Any]) -> float:
    """Of a training of n steps: what the steps take beyond what a run takes once."""

    def fastest(n: int) -> float:  # Other work on the machine may hold one of them up.
        return min(train(n).seconds for _ in range(2))

    if (first := fastest(1)) > 10 * LEAST:
        return first
    once = min(first, train(1).seconds)
    steps, several = TIMED, fastest(1 + TIMED)
    while several < LEAST:
        steps *= 4
        several = fastest(1 + steps)
    return max(several - once, several / (1 + steps) / 10) / steps


def _repeated(batch: Any, n: int) -> Any:
    """A batch n times, as the rows of one epoch."""
    import torch

    return batch[torch.arange(n * len(batch)) % len(batch)]


def trained_epochs(state: Path) -> float:
    """How many epochs a checkpoint has behind it; 0 where there is none."""
    from vaelab._files import read_state

    if not state.exists():
        return 0.0
    record = read_state(state)[1]
    settings = record.get("settings", {})
    steps = settings.get("n", 0) // max(settings.get("batch_size", 1), 1)
    return record.get("step", 0) / max(steps, 1)


def as_text(cost: Cost, settings: Settings, steps: int, trained: float = 0.0) -> str:
    """The estimate, and, where it is over an hour, a shorter command."""
    from vaelab.training.progress import duration

    total = cost.seconds(settings, trained)
    length = "less than a minute" if total < 60 else f"about {duration(total)}"
    text = f"it will take {length} on this machine, by a few steps of each stage"
    return text if total <= HOUR else f"{text}\n{_shorter(cost, settings, steps)}"


def _shorter(cost: Cost, settings: Settings, steps: int) -> str:
    """The options of a run of half an hour, or of one epoch a stage where that takes longer."""
    from vaelab.training.progress import duration

    share = SHORT / cost.seconds(settings)
    less = replace(
        settings,
        epochs=max(math.floor(share * settings.epochs), 1),
        second_epochs=max(math.floor(share * settings.second_epochs), 1),
    )
    options = f"--epochs {less.epochs} --second-epochs {less.second_epochs}"
    momentum = better_momentum(less, steps)
    if momentum is not None:
        options += f" --bn-momentum {momentum:.2g}"
    total = cost.seconds(less)
    text = f"about {duration(total)} with {options} --out FOLDER added to the command"
    smaller = "; smaller networks (--network mlp) or pictures (--side) are faster"
    return f"shorter: {text}{smaller if total > HOUR else ''}"


def better_momentum(settings: Settings, steps: int) -> float | None:
    """A momentum of batch normalisation for a run that is too short for its own, where it is."""
    from vaelab import networks

    total = settings.epochs * steps
    takes = inspect.signature(networks.MAKERS[str(settings.network)]).parameters
    lags = "bn_momentum" in takes and total * settings.bn_momentum < 5
    return min(5 / total, 0.1) if lags else None
