"""The training itself: first stages, second stages, and both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vaelab import densities, models, training
from vaelab.data import Images
from vaelab.experiments.settings import Settings, build
from vaelab.posteriors import Point
from vaelab.training import Cosine, HalveEvery, Hold

FIRST = "stage1.state.safetensors"
SECOND = "stage2.state.safetensors"


@dataclass(frozen=True)
class Session:
    """Under what circumstances something is trained, none of which is a choice of the model.

    Args:
        device, precision, compile, progress, checkpoint, checkpoint_every: as in `training.fit`.
    """

    device: str = "auto"
    precision: str = "float32"
    compile: bool = False
    progress: bool = True
    checkpoint: Path | None = None
    checkpoint_every: float = 60.0

    def at(self, folder: Path | None, file: str) -> Session:
        """The same, with its checkpoint in a file of a folder, or without one."""
        return replace(self, checkpoint=folder and folder / file)


def second_stage(
    settings: Settings, device: str = "auto", precision: str = "float32", compile: bool = False
) -> densities.SecondStage:
    """The second stage that goes with the settings, untrained."""
    small = settings.network == "mlp"
    halve_every = settings.second_halve_every
    halve_every = 2 * settings.halve_every if halve_every is None else halve_every
    return densities.SecondStage(
        (settings.second_hidden,) * 3,
        "silu" if small else "relu",
        epochs=settings.second_epochs,
        batch_size=settings.batch_size,
        lr=settings.second_lr,
        schedule=_schedule(halve_every),
        weight_decay=settings.weight_decay,
        gamma_schedule=Hold(1.0, 0.7 if small else 0.5),
        device=device,
        precision=precision,
        compile=compile,
    )


def _schedule(halve_every: int) -> HalveEvery | Cosine:
    return HalveEvery(halve_every) if halve_every else Cosine()


def train_firsts(
    images: Images, several: Sequence[Settings], session: Session
) -> list[tuple[models.Autoencoder, training.Run]]:
    """Train the first stage alone, by one or more settings that differ in nothing but the seed:
    those at once.

    Raises:
        ValueError: settings that differ in more.
    """
    one = several[0]
    if any(replace(each, seed=one.seed) != one for each in several):
        raise ValueError(f"settings: expected no difference but in the seed, got {list(several)}")
    built = [build(images.shape, each) for each in several]
    plan = {
        name: getattr(one, name)
        for name in ("epochs", "batch_size", "lr", "weight_decay", "gamma_lr")
    }
    plan |= {"schedule": _schedule(one.halve_every), "label": "first stage", **asdict(session)}
    if len(built) == 1:
        return [(built[0], training.fit(built[0], images.train, seed=one.seed, **plan))]
    seeds = [each.seed for each in several]
    runs = training.fit_together(built, images.train, seeds=seeds, **plan)
    return list(zip(built, runs, strict=True))


def train_seconds(
    several: Sequence[Settings], posteriors: Sequence[Point], session: Session
) -> list[densities.SecondStage]:
    """Train second stages, one for each of the settings, on the codes of their first stages: those
    at once.
    """
    parts = (session.device, session.precision, session.compile)
    stages = [second_stage(settings, *parts) for settings in several]
    seeds = [settings.seed for settings in several]
    saving = (session.checkpoint, session.checkpoint_every, session.progress)
    if len(stages) == 1:
        stages[0].fit_codes(posteriors[0], seeds[0], *saving)
    else:
        densities.fit_second_stages(stages, posteriors, seeds, *saving)
    return stages


def train(
    images: Images,
    settings: Settings,
    folder: Path | None = None,
    device: str = "auto",
    progress: bool = True,
    checkpoint_every: float = 60.0,
    precision: str = "float32",
    compile: bool = False,
) -> tuple[models.Autoencoder, densities.SecondStage, dict[str, training.Run]]:
    """Train both stages.

    Args:
        images: the data set.
        settings: how.
        folder: where both stages keep their checkpoints; a call with the same arguments goes on
            from them.
        device: as in `training.fit`.
        progress: whether to show bars.
        checkpoint_every: seconds between two checkpoints.
        precision, compile: as in `training.fit`, for both stages.

    Returns:
        First stage, second stage, and the run of each.
    """
    session = Session(device, precision, compile, progress, None, checkpoint_every)
    [(model, run)] = train_firsts(images, [settings], session.at(folder, FIRST))
    posteriors = [model.codes(images.train)]
    [second] = train_seconds([settings], posteriors, session.at(folder, SECOND))
    return model, second, {"first": run, "second": second.run}
