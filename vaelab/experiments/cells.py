"""The cells of a table: train, measure, write a file each. A cell that was killed goes on from its
checkpoints.
"""

from __future__ import annotations

import contextlib
import gc
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from vaelab import checkpoints, densities, models, training
from vaelab._inputs import check_choice, generator_of, pick_device
from vaelab._memory import message_of
from vaelab.data import Images, load_images
from vaelab.experiments import protocols
from vaelab.experiments.grid import Cell, Outcome
from vaelab.experiments.measuring import (
    Judge,
    Midpoints,
    fit_densities,
    judge_for,
    measure,
    measure_given,
)
from vaelab.experiments.places import Place, clear, folder_of
from vaelab.experiments.records import commit, write_cell
from vaelab.experiments.searching import searched
from vaelab.experiments.settings import Settings
from vaelab.experiments.stages import train_firsts, train_seconds
from vaelab.features import features_for, inception

_SUBSET_SEED = 0
_APART = (training.TrainingDiverged, training.OutOfMemory)


def load_shared(cell: Cell, place: Place) -> tuple[Images, Judge]:
    """What the cells of a data set share, kept for the next cell of the same: the images to train
    on (perhaps fewer than there are) and to compare with, and the judge of as many samples.
    """
    name = place.features or cell.profile.features
    check_choice("features", name, ("classifier", "inception"))
    # Cells that differ in nothing else share: model and trial are made equal for the cache.
    one = replace(cell, model="", trial=0)
    return _load(one, name, str(pick_device(place.session.device)), place.data, place.weights)


@lru_cache(maxsize=1)
def _load(
    cell: Cell, features: str, device: str, root: Path | None, weights: Path | None
) -> tuple[Images, Judge]:
    images = protocols.prepare(load_images(cell.data_set, root=root), cell.protocol)
    is_own = features == "classifier"
    space = features_for(images) if is_own else inception(images.shape, weights, root)
    generator = generator_of(_SUBSET_SEED)
    pixels, labels = images.train_pixels, images.train_labels
    if cell.profile.n_train is not None:
        chosen = torch.randperm(len(pixels), generator=generator)[: cell.profile.n_train]
        pixels = pixels[chosen]
        labels = labels if labels is None else labels[chosen]
    some = torch.randperm(len(pixels), generator=generator)[: cell.profile.n_samples]
    judge = judge_for(images, space, pixels[some], cell.protocol, device, cell.table.ex_post)
    return replace(images, train_pixels=pixels, train_labels=labels), judge


@dataclass(frozen=True)
class Trained:
    """What has been trained for the cells of one first stage and one trial.

    Args:
        images, judge: as from `load_shared`.
        search: what was found for the arguments, as from `searched`; empty where none was.
        seconds: what it took, of all trials that were trained together, and whether it was resumed.
        model, run: the first stage.
        second: the second stage, where there is one.
    """

    images: Images
    judge: Judge
    search: dict[str, Any]
    seconds: dict[str, Any]
    model: models.Autoencoder
    run: training.Run
    second: densities.SecondStage | None = None


def run_cells(cells: Sequence[Cell], place: Place, trials: tuple[int, ...]) -> list[Outcome]:
    """Run cells that share their first stage, which is trained once; what goes wrong with one is
    its outcome.

    Args:
        cells: of one data set and first stage.
        place: where.
        trials: what to train together in one pass; those of the cells are among them.
    """
    try:
        with one_thread(place):
            return _run(cells, place, trials)
    except Exception as error:
        return [Outcome(cell, failed=advice(error)) for cell in cells]
    finally:
        clear(cells[0], place)


@contextlib.contextmanager
def one_thread(place: Place) -> Iterator[None]:
    """One thread on a CPU: cells run side by side, and it gives the same floats everywhere. On
    NVIDIA's GPUs convolutions in float32 are float32, not TF32.
    """
    threads = torch.get_num_threads()
    try:
        if pick_device(place.session.device).type == "cpu":
            torch.set_num_threads(1)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(threads)


def _run(cells: Sequence[Cell], place: Place, trials: tuple[int, ...]) -> list[Outcome]:
    started = time.perf_counter()
    commit()  # Asked before hours of training, in which the checkout may change.
    one = cells[0]
    images, judge = load_shared(one, place)
    chosen, search = searched(images, one.settings, judge, place.session)
    resumed = any(folder_of(one, place, trials).glob("*.state.safetensors"))

    def settings(some: tuple[int, ...]) -> list[Settings]:
        return [replace(chosen, seed=trial) for trial in some]

    def first_stages(some: tuple[int, ...]) -> list[tuple[models.Autoencoder, training.Run]]:
        return train_firsts(images, settings(some), place.session, folder_of(one, place, some))

    def second_stages(some: tuple[int, ...]) -> list[densities.SecondStage]:
        codes = [trained[trial].model.codes(images.train_pixels) for trial in some]
        return train_seconds(settings(some), codes, place.session, folder_of(one, place, some))

    lost: dict[int, str] = {}
    firsts = _apart_if_need_be(first_stages, trials, lost)
    seconds = {"resumed": resumed, "data and first stage": _since(started)}
    shared = (images, judge, search, seconds)
    trained = {trial: Trained(*shared, *first) for trial, first in firsts.items()}
    outcomes = [_outcome(cell, place, trained, lost) for cell in cells if not cell.row.second]
    some = [cell for cell in cells if cell.row.second]
    if some:
        started = time.perf_counter()
        stages = _apart_if_need_be(second_stages, tuple(trained), lost)
        seconds = seconds | {"second stage": _since(started)}
        both = {t: replace(trained[t], second=s, seconds=seconds) for t, s in stages.items()}
        outcomes += [_outcome(cell, place, both, lost) for cell in some]
    return outcomes


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 2)


def _apart_if_need_be(
    train: Callable[[tuple[int, ...]], list], trials: tuple[int, ...], lost: dict[int, str]
) -> dict[int, Any]:
    """What `train` makes of all trials at once or, where one diverges or memory is short, of each;
    why others failed goes into `lost`.
    """
    try:
        return dict(zip(trials, train(trials), strict=True))
    except Exception as error:
        if len(trials) < 2 or not isinstance(error, _APART):
            lost |= dict.fromkeys(trials, advice(error))
            return {}
    trained = {}
    for trial in trials:
        gc.collect()  # A failed attempt may still hold memory that the next one needs.
        trained |= _apart_if_need_be(train, (trial,), lost)
    return trained


def _outcome(
    cell: Cell, place: Place, trained: Mapping[int, Trained], lost: Mapping[int, str]
) -> Outcome:
    """Measure, and write the cell's file; or say why it could not be trained."""
    if cell.trial in lost:
        return Outcome(cell, failed=lost[cell.trial])
    try:
        return Outcome(cell, record=write_cell(cell, place, _content(cell, place, trained)))
    except Exception as error:
        return Outcome(cell, failed=advice(error))


def _content(cell: Cell, place: Place, trained: Mapping[int, Trained]) -> dict[str, Any]:
    """What a cell's file says of its training and of what was measured."""
    one = trained[cell.trial]
    images, model, second = one.images, one.model, one.second
    started = time.perf_counter()
    if isinstance(model, models.Conditional):
        measured = measure_given(images, model, one.judge, cell.settings.seed)
    else:
        fitted = _densities(cell, images, model, second)
        how = (one.judge, cell.settings.seed, fitted, cell.profile.n_samples)
        measured = measure(images, model, second, *how)
    runs = {"first stage": one.run}
    if second is not None:
        runs["second stage"] = second.run
    curves = {} if model.gamma is None else runs
    seconds = one.seconds | {"measuring": _since(started)}
    whole = sum(value for name, value in seconds.items() if name != "resumed")
    search = {"search": one.search} if one.search else {}
    return {
        "measured": measured,
        **search,
        "gamma_curves": {stage: run.history["gamma"].tolist() for stage, run in curves.items()},
        "data": {
            "name": images.name,
            "source": images.source,
            "n_train": len(images.train_pixels),
            "n_test": len(images.test_pixels),
            "fingerprint": images.fingerprint(),
        },
        "arithmetic": {
            "precision": one.run.settings["precision"],
            "compile": place.session.compile,
            "together": one.run.settings.get("together", 1),
        },
        "seconds": seconds | {"whole": round(whole, 2)},
    }


def _densities(
    cell: Cell,
    images: Images,
    model: models.Autoencoder,
    second: densities.SecondStage | None,
) -> dict[str, densities.Density]:
    """What samples are drawn from, by name: what the rows read, or every one that can be fitted."""
    seed = cell.settings.seed
    if cell.table.ex_post:
        ends = Midpoints().fit(model, images.test_pixels, seed)
        return fit_densities(model, second, images.train_pixels, seed) | {"midpoints": ends}
    readers = [row for row in cell.table.rows if row.cell == cell.model]
    wanted = {row.path[-1] for row in readers if row.path[0] == "frechet"}
    if wanted <= {cell.row.density}:
        return {cell.row.density: second or checkpoints.model_prior(model)}
    fitted = fit_densities(model, second, images.train_pixels, seed)
    return {name: density for name, density in fitted.items() if name in wanted}


def advice(error: Exception) -> str:
    """An error as a sentence that says what to do."""
    less = "give fewer --jobs, --device cpu, or free what else uses the device"
    message = message_of(error, less)
    if message is not None and not isinstance(error, TypeError):
        return message
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
    return f"{where}: {error}; this is a fault of vaelab, please report it"
