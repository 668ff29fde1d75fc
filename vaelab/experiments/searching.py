"""A short search for the arguments of a model that must be tuned."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from typing import Any

from vaelab import checkpoints, training
from vaelab.data import Images
from vaelab.data.shipped import by_hash
from vaelab.experiments.measuring import Judge
from vaelab.experiments.settings import Settings, build
from vaelab.training import Session

N_TRAIN = 10_000  # Images that a candidate is trained on, for a quarter of the run's epochs.
N_HELD_OUT = 5_000  # Other training images, with which as many samples are compared.


def searched(
    images: Images, settings: Settings, judge: Judge, session: Session
) -> tuple[Settings, dict[str, Any]]:
    """The settings with the best of the arguments that `settings.search` names, and what was found.

    Every combination trains a first stage with seed 0 for a quarter of the run's epochs on some of
    the training images, and is judged by the Fréchet distance of samples from its prior to other
    training images. Test images have no say.

    Args:
        images: the data set.
        settings: how the model is trained, and what is searched.
        judge: whose features and protocol count.
        session: where candidates are trained.

    Returns:
        The settings with nothing left to search, and plain data for a cell's file: the sizes, each
        candidate's distance (None if its training diverged), and the choice.
    """
    if not settings.search:
        return settings, {}
    held_out = min(N_HELD_OUT, len(images.train_pixels) // 4)
    pixels = images.train_pixels[by_hash(images.train_pixels)]
    some = replace(images, train_pixels=pixels[held_out:][:N_TRAIN], train_labels=None)
    apart = replace(judge, real=judge.space(pixels[:held_out], judge.device))
    short = replace(settings, epochs=-(-settings.epochs // 4), seed=0, search={})
    quiet = replace(session, progress=False, checkpoint=None)
    tried = []
    for values in itertools.product(*settings.search.values()):
        candidate = dict(zip(settings.search, values, strict=True))
        one = replace(short, arguments={**settings.arguments, **candidate})
        model = build(images.shape, one)
        distance = None
        with contextlib.suppress(training.TrainingDiverged):
            training.fit_plan(model, some.train_pixels, one.plan(), quiet)
            z = checkpoints.model_prior(model).sample(held_out, one.seed)
            distance = apart.distance(apart.features(model.images(z)))
        tried.append({"arguments": candidate, "frechet": distance})
    left = [each for each in tried if each["frechet"] is not None]
    if not left:
        raise training.TrainingDiverged(f"every candidate of the search diverged: {tried}")
    chosen = min(left, key=lambda each: each["frechet"])["arguments"]
    found = {
        "n_train": len(some.train_pixels),
        "n_held_out": held_out,
        "epochs": short.epochs,
        "tried": tried,
        "chosen": chosen,
    }
    return replace(settings, arguments={**settings.arguments, **chosen}, search={}), found
