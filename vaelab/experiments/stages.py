"""The training itself: first stages, second stages, and both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vaelab import densities, models, training
from vaelab.data import Images
from vaelab.experiments.settings import Settings, build
from vaelab.posteriors import Distribution
from vaelab.training import Cosine, HalveEvery, Hold, Plan, Session

FIRST = "stage1.state.safetensors"
SECOND = "stage2.state.safetensors"


def second_stage(settings: Settings) -> densities.SecondStage:
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
    plan = Plan(
        epochs=one.epochs,
        batch_size=one.batch_size,
        lr=one.lr,
        schedule=_schedule(one.halve_every),
        weight_decay=one.weight_decay,
        gamma_lr=one.gamma_lr,
        seed=one.seed,
    )
    if len(built) == 1:
        return [(built[0], training.fit_plan(built[0], images.train_pixels, plan, session))]
    seeds = [each.seed for each in several]
    runs = training.fit_together(built, images.train_pixels, plan, session, seeds=seeds)
    return list(zip(built, runs, strict=True))


def train_seconds(
    several: Sequence[Settings], posteriors: Sequence[Distribution], session: Session
) -> list[densities.SecondStage]:
    """Train second stages, one for each of the settings, on the codes of their first stages: those
    at once.
    """
    stages = [second_stage(settings) for settings in several]
    seeds = [settings.seed for settings in several]
    if len(stages) == 1:
        stages[0].fit_codes(posteriors[0], seeds[0], session)
    else:
        densities.fit_second_stages(stages, posteriors, seeds, session)
    return stages


def at(session: Session, folder: Path | None, file: str) -> Session:
    """The same session, with its checkpoint in a file of a folder, or without one."""
    label = "first stage" if file == FIRST else "second stage"
    return session.at(folder and folder / file, label)


def train(
    images: Images,
    settings: Settings,
    folder: Path | None = None,
    session: Session | None = None,
) -> tuple[models.Autoencoder, densities.SecondStage, dict[str, training.Run]]:
    """Train both stages.

    Args:
        images: the data set.
        settings: how.
        folder: where both stages keep their checkpoints; a call with the same arguments goes on
            from them.
        session: where it runs, as in `training.fit`.

    Returns:
        First stage, second stage, and the run of each.
    """
    session = Session() if session is None else session
    [(model, run)] = train_firsts(images, [settings], at(session, folder, FIRST))
    posteriors = [model.codes(images.train_pixels)]
    [second] = train_seconds([settings], posteriors, at(session, folder, SECOND))
    return model, second, {"first": run, "second": second.run}
