"""Several models of one kind trained at once: one pass for all of them, where a GPU would wait for
the next launch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from vaelab._inputs import check_seed
from vaelab.models import Autoencoder
from vaelab.posteriors import Point
from vaelab.training.ensemble import Ensemble
from vaelab.training.loop import Run, fit


def fit_together(
    models: Sequence[Autoencoder],
    data: Tensor | Sequence[Tensor | Point],
    *,
    seeds: Sequence[int],
    **settings: Any,
) -> list[Run]:
    """Train several models of one kind at once, each as `fit` with its seed would, up to rounding.

    One pass computes all of them (`torch.func`), so that a GPU, which spends most of its time on a
    small batch waiting for the next launch, has as much more to do in each. On a CPU it takes
    longer than one model after another.

    Args:
        models: of one kind (equal `spec()`), with weights of their own. Trained in place.
        data: images for all of them; or a sequence with the images, or the posteriors, of each:
            equally many.
        seeds: of batches and noise, one a model.
        settings: what `fit` takes, but for `seed` and `keep_every`. A checkpoint is one file for
            all.

    Returns:
        One run a model; `seconds` is the time of all.

    Raises:
        As `fit`, and:
        ValueError: models of several kinds, or made of networks by hand; seeds or data of another
            number. One model that diverges stops all.
    """
    models, seeds = list(models), list(seeds)
    _check(models, seeds, settings)
    seeds = [int(seed) for seed in seeds]
    many = data if isinstance(data, Sequence) else (data,)
    if len(many) not in (1, len(models)):
        raise ValueError(
            f"data: expected one set for all models or one for each of {len(models)}, got "
            f"{len(many)}"
        )
    ensemble = Ensemble(models, seeds)
    try:
        run = fit(ensemble, many, seed=seeds, **settings)
    finally:  # as after `fit`, an interrupted model is what it had become
        for model, state in zip(models, ensemble.member_states(), strict=True):
            model.to(next(ensemble.parameters()).device).load_state_dict(state)
            model.train(ensemble.training)
    return [_own(run, model, i) for i, model in enumerate(models)]


def _own(run: Run, model: Autoencoder, i: int) -> Run:
    """What `fit` would have told of the i-th model alone."""
    history = {
        name: np.ascontiguousarray(v[:, i]) if v.ndim == 2 else v for name, v in run.history.items()
    }
    digests = run.settings["data"].split("+")
    own = {
        "seed": run.settings["seed"][i],
        "model": model.spec(),
        "data": digests[i % len(digests)],
    }
    own["together"] = len(run.settings["seed"])
    settings = {**run.settings, **own}
    return replace(run, model=model, history=history, settings=settings)


def _check(models: list[Autoencoder], seeds: list[int], settings: dict) -> None:
    if not models or len(seeds) != len(models):
        raise ValueError(
            f"seeds: expected one for each of {len(models)} models (at least one), got {len(seeds)}"
        )
    for seed in seeds:
        check_seed(seed)
    for name in ("seed", "keep_every"):
        if name in settings:
            raise TypeError(
                f"{name}: not for models trained together; expected seeds, and no copies on the way"
            )
    if len({id(model) for model in models}) < len(models):
        raise ValueError(
            "models: expected different ones, got one of them twice; build each with "
            "weights of "
            "its own"
        )
    places = {(p.dtype, p.device) for model in models for p in model.parameters()}
    if len(places) > 1:
        raise ValueError(
            f"models: expected one precision and one device for all, got {sorted(map(str, places))}"
        )
    kinds = [model.spec() for model in models]
    other = next((i for i, kind in enumerate(kinds) if kind != kinds[0]), None)
    if other is not None:
        raise ValueError(
            f"models: expected all of one kind, but 0 is {kinds[0]} and {other} is {kinds[other]}"
        )
    if not kinds[0]["networks"]:
        raise ValueError(
            "models: expected networks of vaelab.networks; those made by hand are trained one "
            "by one"
        )
