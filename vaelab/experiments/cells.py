"""The cells of a table: train, measure, write a file each. A cell that was killed goes on from its
checkpoints.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vaelab import densities, models, training
from vaelab._inputs import pick_device
from vaelab.experiments.grid import Cell, Outcome
from vaelab.experiments.measuring import measure
from vaelab.experiments.places import Place, clear, folder_of
from vaelab.experiments.provenance import commit
from vaelab.experiments.records import write_cell
from vaelab.experiments.shared import Shared, load_shared
from vaelab.experiments.stages import FIRST, SECOND, at, train_firsts, train_seconds


@dataclass(frozen=True)
class Trained:
    """What has been trained for the cells of one first stage and one trial.

    Args:
        model, run: the first stage.
        seconds: what it took, of all trials that were trained together, and whether it was resumed.
        second: the second stage, where there is one.
    """

    model: models.Autoencoder
    run: training.Run
    seconds: dict[str, Any]
    second: densities.SecondStage | None = None


def run_cells(cells: Sequence[Cell], place: Place, trials: Sequence[int] = ()) -> list[Outcome]:
    """Run cells that share their first stage, which is trained once; what goes wrong with one is
    its outcome.

    Args:
        cells: of one data set and first stage.
        place: where.
        trials: what to train together in one pass, where the cells are of several trials; theirs,
            unless given.
    """
    trials = tuple(trials) or tuple(dict.fromkeys(cell.trial for cell in cells))
    threads = torch.get_num_threads()
    try:
        if pick_device(place.device).type == "cpu":
            # Cells run side by side, and one thread gives the same floats everywhere.
            torch.set_num_threads(1)
        return _run(cells, place, trials)
    except Exception as error:
        return [Outcome(cell, failed=advice(error)) for cell in cells]
    finally:
        torch.set_num_threads(threads)
        clear(cells[0], place)


def _run(cells: Sequence[Cell], place: Place, trials: tuple[int, ...]) -> list[Outcome]:
    started = time.perf_counter()
    commit()  # Asked before hours of training, in which the checkout may change.
    one = cells[0]
    shared = load_shared(one, place)
    settings = {trial: replace(one, trial=trial).settings for trial in trials}
    resumed = any(folder_of(one, place, trials).glob("*.state.safetensors"))

    def train_some(some: tuple[int, ...]) -> list[tuple[models.Autoencoder, training.Run]]:
        session = at(place.session, folder_of(one, place, some), FIRST)
        return train_firsts(shared.images, [settings[trial] for trial in some], session)

    def train_their_seconds(some: tuple[int, ...]) -> list[densities.SecondStage]:
        session = at(place.session, folder_of(one, place, some), SECOND)
        posteriors = [trained[trial].model.codes(shared.images.train) for trial in some]
        return train_seconds([settings[trial] for trial in some], posteriors, session)

    firsts, lost = _apart_if_need_be(train_some, trials)
    seconds = {"resumed": resumed, "data and first stage": _since(started)}
    trained = {trial: Trained(*first, seconds) for trial, first in firsts.items()}
    plain = [cell for cell in cells if not cell.row.second]
    outcomes = [_outcome(cell, place, shared, trained, lost) for cell in plain]
    if len(plain) < len(cells):
        started = time.perf_counter()
        stages, failed = _apart_if_need_be(train_their_seconds, tuple(trained))
        seconds = seconds | {"second stage": _since(started)}
        both = {t: replace(trained[t], second=s, seconds=seconds) for t, s in stages.items()}
        some = [cell for cell in cells if cell.row.second]
        outcomes += [_outcome(cell, place, shared, both, lost | failed) for cell in some]
    return outcomes


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 2)


def _apart_if_need_be(
    train: Callable[[tuple[int, ...]], list], trials: tuple[int, ...]
) -> tuple[dict[int, Any], dict[int, str]]:
    """What `train` makes of all trials at once or, where one diverges or memory is short, of each;
    and why the others failed.
    """
    if not trials:
        return {}, {}
    try:
        return dict(zip(trials, train(trials), strict=True)), {}
    except Exception as error:
        reason = advice(error)
        apart = isinstance(error, (training.TrainingDiverged, training.OutOfMemory))
    if len(trials) == 1 or not apart:
        return {}, dict.fromkeys(trials, reason)
    gc.collect()  # The failed attempt may still hold memory that the next one needs.
    trained, lost = {}, {}
    for trial in trials:
        one, failed = _apart_if_need_be(train, (trial,))
        trained |= one
        lost |= failed
    return trained, lost


def _outcome(
    cell: Cell,
    place: Place,
    shared: Shared,
    trained: Mapping[int, Trained],
    lost: Mapping[int, str],
) -> Outcome:
    """Measure, and write the cell's file; or say why it could not be trained."""
    if cell.trial in lost:
        return Outcome(cell, failed=lost[cell.trial])
    try:
        content = _content(cell, place, shared, trained[cell.trial])
        return Outcome(cell, record=write_cell(cell, place, content))
    except Exception as error:
        return Outcome(cell, failed=advice(error))


def _content(cell: Cell, place: Place, shared: Shared, trained: Trained) -> dict[str, Any]:
    """What a cell's file says of its training and of what was measured."""
    images, run, second = shared.images, trained.run, trained.second
    started = time.perf_counter()
    density = second
    if density is None:
        density = densities.ModelPrior(trained.model.prior)
        density.fit_codes(trained.model.codes(images.train_pixels[:2]))
    fitted = {cell.row.density: density}
    how = (shared.judge, cell.settings.seed, fitted, cell.profile.n_samples)
    measured = measure(images, trained.model, second, *how)
    curves = {}
    if trained.model.gamma is not None:
        curves["first stage"] = run.history["gamma"].tolist()
        if second is not None:
            curves["second stage"] = second.run.history["gamma"].tolist()
    seconds = trained.seconds | {"measuring": _since(started)}
    whole = sum(value for name, value in seconds.items() if name != "resumed")
    return {
        "measured": measured,
        "gamma_curves": curves,
        "data": {
            "name": images.name,
            "source": images.source,
            "n_train": len(images.train_pixels),
            "n_test": len(images.test_pixels),
            "fingerprint": images.fingerprint(),
        },
        "arithmetic": {
            "precision": place.precision,
            "compile": place.compile,
            "together": run.settings.get("together", 1),
        },
        "seconds": seconds | {"whole": round(whole, 2)},
    }


def advice(error: Exception) -> str:
    """An error as a sentence that says what to do."""
    message = str(error)
    if isinstance(error, OSError) and error.strerror and not error.filename:
        message = str(error.strerror)
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        first = (message.splitlines() or [type(error).__name__])[0]
        return (
            f"out of memory ({first}); give fewer --jobs, --device cpu, or free what else uses "
            "the device"
        )
    expected = (ValueError, OSError, ImportError, training.TrainingDiverged, training.OutOfMemory)
    if isinstance(error, expected):
        return message
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"
    return (
        f"{type(error).__name__} at {where}: {message}; this is a fault of vaelab, please report it"
    )
