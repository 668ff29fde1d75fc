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

from vaelab._inputs import (
    check_choice,
    check_flag,
    check_path,
    check_positive,
    check_positive_int,
    check_seed,
    check_share,
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
    lr: float = 1e-3
    schedule: Schedule | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    gamma_lr: float = 10.0
    gamma_schedule: GammaSchedule | None = None
    beta_schedule: BetaSchedule | None = None
    seed: int = 0
    flip: bool = False
    keep_every: int = 0
    validation: float | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", check_seed(self.seed))
        check_flag("flip", self.flip)
        for name in ("schedule", "gamma_schedule", "beta_schedule"):
            schedule = getattr(self, name)
            if schedule is not None and not callable(schedule):
                raise TypeError(f"{name}: expected a function or None, got {schedule!r}")
        check_positive_int("epochs", self.epochs)
        check_positive_int("batch_size", self.batch_size)
        check_positive("lr", self.lr)
        check_positive("gamma_lr", self.gamma_lr)
        check_weight("weight_decay", self.weight_decay)
        check_positive_int("keep_every", self.keep_every, 0)
        if self.patience is not None:
            check_positive_int("patience", self.patience)
        if self.validation is not None:
            check_share("validation", self.validation)
        betas = self.betas if isinstance(self.betas, (tuple, list)) else ()
        for beta in betas:
            check_weight("betas", beta)
        if len(betas) != 2 or max(betas) >= 1:
            raise ValueError(f"betas: expected two numbers in [0, 1), got {shown(self.betas)}")

    def with_seed(self, seed: int) -> Self:
        """The same plan with another seed."""
        return replace(self, seed=seed)

    def settings(self) -> dict[str, Any]:
        """What decides the numbers: two runs of equal settings are one run."""
        settings = {
            **vars(self),
            "schedule": _name_of(self.schedule),
            "gamma_schedule": _name_of(self.gamma_schedule),
        }
        del settings["keep_every"]
        if self.beta_schedule is not None:  # Runs of earlier versions had none.
            settings["beta_schedule"] = _name_of(self.beta_schedule)
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
    checkpoint: str | Path | None = None
    checkpoint_every: float = 60.0
    label: str = "training"
    callback: Callback | None = None
    extends: bool = False

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, PRECISIONS)
        if not (isinstance(self.checkpoint_every, float) and self.checkpoint_every == math.inf):
            check_weight("checkpoint_every", self.checkpoint_every)
        if self.checkpoint is not None:
            check_path("checkpoint", self.checkpoint)
        for name in ("compile", "progress", "extends"):
            check_flag(name, getattr(self, name))
        if self.callback is not None and not callable(self.callback):
            raise TypeError(f"callback: expected a function, got {self.callback!r}")

    def at(self, checkpoint: Path | None, label: str) -> Self:
        """The same session with a checkpoint and a caption of its own."""
        return replace(self, checkpoint=checkpoint, label=label)
