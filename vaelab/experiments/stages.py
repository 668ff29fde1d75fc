"""The training itself: first stages, second stages, and both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from vaelab import densities, models, training
from vaelab.data import Images
from vaelab.experiments.settings import Settings, build, second_stage
from vaelab.posteriors import Distribution
from vaelab.training import Run, Session

FIRST = "stage1.state.safetensors"  # The state of training of each stage, in a run's folder.
SECOND = "stage2.state.safetensors"


def train_firsts(
    images: Images,
    several: Sequence[Settings],
    session: Session,
    folder: Path | None = None,
    start: dict[str, Tensor] | None = None,
) -> list[tuple[models.Autoencoder, Run]]:
    """Train the first stage alone, by one or more settings that differ in nothing but the seed:
    those at once.

    Args:
        images: the data set.
        several: the settings.
        session: where it runs.
        folder: where it keeps its checkpoint; none unless given.
        start: weights to start from, by their names.

    Raises:
        ValueError: settings that differ in more; weights of another model.
    """
    one = several[0]
    if any(replace(each, seed=one.seed) != one for each in several):
        raise ValueError(f"settings: expected no difference but in the seed, got {list(several)}")
    session = session.at(folder and folder / FIRST, "first stage")
    built = [build(images.shape, each) for each in several]
    if start is not None:
        try:
            for model in built:
                model.load_state_dict(start)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise ValueError(
                f"start: expected weights of the model that is to be trained ({reason}); give the "
                "same network, latent_dim, model and side as that run"
            ) from error
    x = images.train_pixels
    plan = one.plan()
    if len(built) == 1:
        return [(built[0], training.fit_plan(built[0], x, plan, session))]
    seeds = [each.seed for each in several]
    runs = training.fit_together(built, x, plan, session, seeds=seeds)
    return list(zip(built, runs, strict=True))


def train_seconds(
    several: Sequence[Settings],
    posteriors: Sequence[Distribution],
    session: Session,
    folder: Path | None = None,
) -> list[densities.SecondStage]:
    """Train second stages, one for each of the settings, on the codes of their first stages: those
    at once. Session and folder are as in `train_firsts`.
    """
    session = session.at(folder and folder / SECOND, "second stage")
    stages = [second_stage(settings) for settings in several]
    seeds = [settings.seed for settings in several]
    if len(stages) == 1:
        stages[0].fit_codes(posteriors[0], seeds[0], session)
    else:
        densities.fit_second_stages(stages, posteriors, seeds, session)
    return stages


def train(
    images: Images,
    settings: Settings,
    folder: Path | None = None,
    session: Session | None = None,
    start: models.Autoencoder | None = None,
) -> tuple[models.Autoencoder, densities.SecondStage, dict[str, Run]]:
    """Train both stages.

    Args:
        images: the data set.
        settings: how.
        folder: where both stages keep their checkpoints; a call with the same arguments goes on
            from them.
        session: where it runs, as in `training.fit`.
        start: a model of the same parts, whose weights the first stage starts from.

    Returns:
        First stage, second stage, and the run of each.
    """
    session = session or Session()
    first = None if start is None else start.state_dict()
    [(model, run)] = train_firsts(images, [settings], session, folder, first)
    codes = model.codes(images.train_pixels)
    [second] = train_seconds([settings], [codes], session, folder)
    return model, second, {"first": run, "second": second.run}
