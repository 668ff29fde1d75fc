"""A training run as two frozen objects: what is computed (`Plan`), and where and how
(`Session`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import FunctionType
from typing import Any, Self

import torch

from vaelab._door import check_fields, taken
from vaelab._inputs import (
    PathLike,
    Positive,
    Share,
    Weight,
    Whole,
    check_choice,
    check_seed,
    check_weight,
    shown,
)
from vaelab.training.acceleration import PRECISIONS

Schedule = Callable[[float, int], float]
GammaSchedule = Callable[[float], float | None]
BetaSchedule = Callable[[float], float]
Callback = Callable[[Any, int, dict[str, Any]], Any]


@dataclass(frozen=True)
class _Fields:
    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """Made of those arguments that are its fields."""
        names = [field.name for field in fields(cls) if field.name in arguments]
        return cls(**{name: arguments[name] for name in names})


@dataclass(frozen=True)
class Plan(_Fields):
    """What a training run computes; every argument is explained at `training.fit`.

    Raises:
        ValueError, TypeError: a number outside its range.
    """

    epochs: int
    batch_size: int = 100
    lr: Positive = 1e-3
    schedule: Schedule | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: Weight = 0.0
    gamma_lr: Positive = 10.0
    gamma_schedule: GammaSchedule | None = None
    beta_schedule: BetaSchedule | None = None
    seed: int = 0
    flip: bool = False
    keep_every: Whole = 0
    validation: Share | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", check_seed(self.seed))
        check_fields(self)
        if not 0 <= min(self.betas) <= max(self.betas) < 1:
            raise ValueError(f"betas: expected two numbers in [0, 1), got {shown(self.betas)}")

    def with_seed(self, seed: int) -> Self:
        """The same plan with another seed."""
        return replace(self, seed=seed)

    def settings(self) -> dict[str, Any]:
        """What decides the numbers: two runs of equal settings are one run."""
        settings = dict(vars(self))
        del settings["keep_every"]
        for name in ("schedule", "gamma_schedule", "beta_schedule"):
            settings[name] = _name_of(getattr(self, name))
        return settings


def _name_of(schedule: Any) -> str:
    """What a checkpoint calls a schedule: a function of a module by its name, else the repr."""
    if isinstance(schedule, FunctionType) and "<" not in schedule.__qualname__:
        return f"{schedule.__module__}.{schedule.__qualname__}"
    return repr(schedule)


@dataclass(frozen=True)
class Session(_Fields):
    """Where and how a run is computed; its arguments are explained at `training.fit`, but for one.

    Args:
        extends: whether a checkpoint of the same run with fewer epochs is gone on from. Adam's step
            size is then the longer run's; with a schedule of γ or β it is refused.

    Raises:
        ValueError, TypeError: an unknown precision, a negative time, a callback that is none.
    """

    device: str | torch.device = "auto"
    precision: str = "float32"
    compile: bool = False
    progress: bool = True
    checkpoint: PathLike | None = None
    checkpoint_every: float = 60.0
    label: str = "training"
    callback: Callback | None = None
    extends: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        check_choice("precision", self.precision, PRECISIONS)
        if self.checkpoint_every != math.inf:
            check_weight("checkpoint_every", self.checkpoint_every)

    def at(self, checkpoint: Path | None, label: str) -> Self:
        """The same session with a checkpoint and a caption of its own."""
        return replace(self, checkpoint=checkpoint, label=label)


def check_plan(plan: Any, session: Any) -> Session:
    """Return the session, a plain one unless given, or raise unless both are what they are called.

    Raises:
        TypeError: another kind of thing.
    """
    taken("plan", plan, Plan)
    return taken("session", Session() if session is None else session, Session)
