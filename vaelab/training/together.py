"""Several models of one kind trained at once: one pass for all of them, where a GPU would wait for
the next launch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from vaelab import _processes
from vaelab._inputs import as_list, check_seeds, pick_device
from vaelab.posteriors import Distribution
from vaelab.training.batches import Given, feed
from vaelab.training.ensemble import Ensemble, StackedBatches
from vaelab.training.loop import Run, check_trainable, kind, run
from vaelab.training.plan import Plan, Session, check_plan


def fit_together(
    models: Sequence[nn.Module],
    data: Tensor | Given | Sequence[Tensor | Distribution | Given],
    plan: Plan,
    session: Session | None = None,
    *,
    seeds: Sequence[int],
) -> list[Run]:
    """Train several models of one kind at once, each as `fit` with its seed would, up to rounding.

    One pass computes all of them (`torch.func`), so that a GPU, which spends most of its time on a
    small batch waiting for the next launch, has as much more to do in each. Models of dense layers
    pass as one batched product: on one CPU core five perceptrons of two layers of 64 take half the
    time of one after another, and networks with convolutions twice the time.

    Args:
        models: of one kind, with weights of their own. Trained in place.
        data: images for all of them, perhaps with what is given (`Given`); or a sequence with the
            images, or the posteriors, of each: equally many.
        plan: what is computed; its seed is not used, and no copies are kept on the way.
        session: where and how; a checkpoint is one file for all.
        seeds: of batches and noise, one a model.

    Returns:
        One run a model; `seconds` is the time of all.

    Raises:
        As `fit`, and:
        ValueError: models of several kinds, or with recurrent layers; seeds or data of another
            number; several processes. One model that diverges stops all.
    """
    models = as_list("models", models, "a list of models")
    seeds = check_seeds("seeds", seeds)
    session = check_plan(plan, session)
    for model in models:
        check_trainable(model)
    _check(models, seeds, plan)
    alone = isinstance(data, Given) or not isinstance(data, Sequence)
    many = (data,) if alone else data
    if len(many) not in (1, len(models)):
        raise ValueError(
            f"data: expected one set for all models or one for each of {len(models)}, got "
            f"{len(many)}"
        )
    device = pick_device(session.device, next(models[0].parameters()).dtype)
    rows = [feed(models[0], each, device, plan.flip) for each in many]
    account = {**kind(models[0]), "together": len(models)}
    ensemble = Ensemble(models).to(device)
    try:
        whole = run(ensemble, StackedBatches(rows, device, seeds), plan, session, account)
    finally:  # As after `fit`, an interrupted model keeps what it has learned.
        for model, state in zip(models, ensemble.member_states(), strict=True):
            model.to(device).load_state_dict(state)
            model.train(ensemble.training)
    return [_member(whole, model, i) for i, model in enumerate(models)]


def _member(whole: Run, model: nn.Module, i: int) -> Run:
    """The run that `fit` would have given for the i-th model alone."""
    history = {
        name: np.ascontiguousarray(values[:, i]) if values.ndim == 2 else values
        for name, values in whole.history.items()
    }
    digests = whole.settings["data"].split("+")
    settings = {
        **whole.settings,
        "seed": whole.settings["seed"][i],
        "model": kind(model),
        "data": digests[i % len(digests)],
        "together": len(whole.settings["seed"]),
    }
    return replace(whole, model=model, history=history, settings=settings)


def _check(models: list[nn.Module], seeds: Sequence[int], plan: Plan) -> None:
    if not models or len(seeds) != len(models):
        raise ValueError(
            f"seeds: expected one for each of {len(models)} models (at least one), got {len(seeds)}"
        )
    for name in ("keep_every", "validation", "patience"):
        if getattr(plan, name):
            raise ValueError(
                f"{name}: expected nothing for models trained together, which are neither copied "
                "on the way nor held out from; or call training.fit for each"
            )
    if _processes.place()[1] > 1:
        raise ValueError(
            "models trained together: expected one process; let each of several train models of "
            "its own"
        )
    if any(isinstance(part, nn.RNNBase) for part in models[0].modules()):
        raise ValueError(
            "models: recurrent layers cannot pass for several models at once; train each by fit"
        )
    if len(set(map(id, models))) < len(models):
        raise ValueError(
            "models: expected different ones, got one of them twice; build each with weights of "
            "its own"
        )
    places = {f"{p.dtype}, {p.device}" for model in models for p in model.parameters()}
    if len(places) > 1:
        raise ValueError(
            f"models: expected one precision and one device for all, got {sorted(places)}"
        )
    first = kind(models[0])
    for i, model in enumerate(models):
        if kind(model) != first:
            raise ValueError(
                f"models: expected all of one kind, but 0 is {first} and {i} is {kind(model)}"
            )
