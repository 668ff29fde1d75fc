"""The cells of a table: train, measure, write a file each. A cell that was killed goes on from its
checkpoints.
"""

from __future__ import annotations

import contextlib
import gc
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelab import checkpoints, densities, metrics, models, training
from vaelab._files import write_atomic
from vaelab._inputs import check_choice, pick_device
from vaelab.data import Images, load_images
from vaelab.experiments import protocols
from vaelab.experiments.measuring import commit, machine, measure_stages
from vaelab.experiments.settings import second_stage, train_firsts
from vaelab.experiments.tables import Cell
from vaelab.features import FeatureSpace, features_for, inception

FORMAT = "vaelab cell 1"
_SUBSET_SEED = 0


@dataclass(frozen=True)
class Place:
    """Where cells run and where their files lie.

    Args:
        out: folder of results, one JSON a cell.
        runs: folder of checkpoints; those of a cell are deleted once nothing needs them.
        data: the data root, as for `load_images`.
        device: as in `training.fit`.
        features: "classifier" or "inception"; the profile's unless given.
        weights: the file of Inception weights, as for `features.inception`.
        checkpoint_every: seconds between two checkpoints.
        progress: whether to show bars.
        precision, compile: as in `training.fit`, for both stages; each file says which.
        together: how many trials of a cell are trained at once in one pass; each file says how many
            were.
    """

    out: Path = Path("data/results")
    runs: Path = Path("runs")
    data: Path | None = None
    device: str = "auto"
    features: str | None = None
    weights: Path | None = None
    checkpoint_every: float = 60.0
    progress: bool = False
    precision: str = "float32"
    compile: bool = False
    together: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Args:
        cell: which.
        failed: what went wrong and what to do; empty if nothing did.
        told: what its file says; None where it failed.
    """

    cell: Cell
    failed: str = ""
    told: dict[str, Any] | None = None


# ---- what the cells of one data set share
# --------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """A data set as a protocol has it, the features to compare in, and the real images' features.

    Args:
        images: to train on (perhaps fewer than there are) and to compare with.
        space: the features.
        real: of the test images.
        floor: Fréchet distance of as many training images as there will be samples, from the test
            images.
    """

    images: Images
    space: FeatureSpace
    real: Tensor
    floor: float


def load_world(cell: Cell, place: Place) -> World:
    """What the cells of a data set share; kept for the next cell of the same."""
    name = place.features or cell.profile.features
    check_choice("features", name, ("classifier", "inception"))
    device = str(pick_device(place.device))
    return _load_world(
        cell.data_set,
        cell.protocol,
        cell.profile.n_train,
        cell.profile.n_samples,
        name,
        place.data,
        place.weights,
        device,
    )


@lru_cache(maxsize=1)
def _load_world(
    data_set: str,
    protocol: str,
    n_train: int | None,
    n_samples: int,
    features: str,
    data: Path | None,
    weights: Path | None,
    device: str,
) -> World:
    images = protocols.prepare(load_images(data_set, root=data), protocol)
    space = (
        features_for(images) if features == "classifier" else inception(images.shape, weights, data)
    )
    generator = torch.Generator().manual_seed(_SUBSET_SEED)
    if n_train is not None:
        chosen = torch.randperm(len(images.train), generator=generator)[:n_train]
        labels = images.train_labels[chosen] if images.train_labels is not None else None
        images = replace(images, train=images.train[chosen], train_labels=labels)
    real = space.over(images.test, device)
    some = images.train[torch.randperm(len(images.train), generator=generator)[:n_samples]]
    return World(images, space, real, metrics.frechet_distance(space.over(some, device), real))


# ---- cells ---------------------------------------------------------------------------------------
# ------------------


First = dict[int, tuple[models.Autoencoder, training.Run]]  # by trial


def run_cells(cells: Sequence[Cell], place: Place, trials: Sequence[int] = ()) -> list[Outcome]:
    """Run cells that share their first stage, which is trained once; what goes wrong with one is
    its outcome.

    Args:
        cells: of one data set and first stage.
        place: where.
        trials: what to train together in one pass, where the cells are of several trials; theirs,
            unless given.
    """
    trials, one = tuple(trials) or tuple(dict.fromkeys(cell.trial for cell in cells)), cells[0]
    threads = torch.get_num_threads()
    try:
        if pick_device(place.device).type == "cpu":
            torch.set_num_threads(
                1
            )  # cells run side by side, and one thread gives the same floats everywhere
        started = time.perf_counter()
        commit()  # before hours of training, in which the checkout may change
        world = load_world(one, place)
        resumed = any(folder_of(one, place, trials).glob("*.state.safetensors"))
        first, lost = _apart_if_need_be(lambda some: _first_stages(one, place, world, some), trials)
        seconds = {
            "resumed": resumed,
            "data and first stage": round(time.perf_counter() - started, 1),
        }
        left = [cell for cell in cells if cell.trial in first]
        return [
            *(Outcome(cell, failed=lost[cell.trial]) for cell in cells if cell.trial in lost),
            *_finish([cell for cell in left if not cell.row.second], place, world, first, seconds),
            *_finish([cell for cell in left if cell.row.second], place, world, first, seconds),
        ]
    except Exception as error:
        return [Outcome(cell, failed=advice(error)) for cell in cells]
    finally:
        torch.set_num_threads(threads)
        with contextlib.suppress(OSError):  # another worker may clear up at the same moment
            for those, folder in folders_of(one, place).items():
                if all(
                    (place.out / other.path).exists()
                    for t in those
                    for other in sharing(replace(one, trial=t))
                ):
                    _clear(folder)


def _apart_if_need_be(
    train: Callable[[tuple[int, ...]], dict[int, Any]], trials: tuple[int, ...]
) -> tuple[dict[int, Any], dict[int, str]]:
    """What `train` makes of all trials at once or, where one diverges or memory is short, of each;
    and what failed.
    """
    try:
        return train(trials), {}
    except (training.TrainingDiverged, training.OutOfMemory) as error:
        said = advice(error)
    if len(trials) == 1:
        return {}, {trials[0]: said}
    gc.collect()  # what the attempt still held, so that the next has room
    each = [_apart_if_need_be(train, (trial,)) for trial in trials]
    return {t: v for made, _ in each for t, v in made.items()}, {
        t: v for _, lost in each for t, v in lost.items()
    }


def _first_stages(cell: Cell, place: Place, world: World, trials: tuple[int, ...]) -> First:
    several, folder = (
        [replace(cell, trial=trial).settings for trial in trials],
        folder_of(cell, place, trials),
    )
    plan = (place.device, place.progress, place.checkpoint_every, place.precision, place.compile)
    return dict(zip(trials, train_firsts(world.images, several, folder, *plan), strict=True))


def _second_stages(
    cell: Cell, place: Place, world: World, first: First
) -> dict[int, densities.SecondStage]:
    stages = {
        trial: second_stage(cell.settings, place.device, place.precision, place.compile)
        for trial in first
    }
    seeds = [replace(cell, trial=trial).settings.seed for trial in first]
    posteriors = [model.codes(world.images.train) for model, _ in first.values()]
    folder = folder_of(cell, place, tuple(first))
    plan = (folder / "stage2.state.safetensors", place.checkpoint_every, place.progress)
    if len(first) == 1:
        next(iter(stages.values())).fit_codes(posteriors[0], seeds[0], *plan)
    else:
        densities.fit_second_stages(list(stages.values()), posteriors, seeds, *plan)
    return stages


def _finish(
    cells: list[Cell], place: Place, world: World, first: First, seconds: dict[str, Any]
) -> list[Outcome]:
    """The rest of cells that all have a second stage or all have none, and their files."""
    if not cells:
        return []
    started, stages, lost = time.perf_counter(), {}, {}
    try:
        if cells[0].row.second:
            stages, lost = _apart_if_need_be(
                lambda some: _second_stages(cells[0], place, world, {t: first[t] for t in some}),
                tuple(first),
            )
            seconds = {**seconds, "second stage": round(time.perf_counter() - started, 1)}
    except Exception as error:
        return [Outcome(cell, failed=advice(error)) for cell in cells]
    return [
        Outcome(cell, failed=lost[cell.trial])
        if cell.trial in lost
        else _tell(cell, place, world, *first[cell.trial], stages.get(cell.trial), seconds)
        for cell in cells
    ]


def _tell(
    cell: Cell,
    place: Place,
    world: World,
    model: models.Autoencoder,
    run: training.Run,
    second: densities.SecondStage | None,
    seconds: dict[str, Any],
) -> Outcome:
    """Measure, and write the cell's file; `seconds` are those of all trials that were trained
    together.
    """
    settings, images, started = cell.settings, world.images, time.perf_counter()
    try:
        curves = {"first stage": run.history["gamma"].tolist()}
        if second is not None:
            curves["second stage"] = second.run.history["gamma"].tolist()
        told = {
            "format": FORMAT,
            "cell": _name(cell, place) | {"features": world.space.name},
            "settings": asdict(settings) | {"second_stage": cell.row.second},
            "measured": _measure(cell, place, world, model, second),
            "gamma_curves": curves if model.gamma is not None else {},
            "data": {
                "name": images.name,
                "source": images.source,
                "n_train": len(images.train),
                "n_test": len(images.test),
                "fingerprint": images.fingerprint(),
            },
            "arithmetic": {
                "precision": place.precision,
                "compile": place.compile,
                "together": run.settings.get("together", 1),
            },
            "versions": checkpoints.versions(),
            "commit": commit(),
            "machine": machine(place.device),
        }
        measuring = round(time.perf_counter() - started, 1)
        trained = sum(seconds.get(name, 0) for name in ("data and first stage", "second stage"))
        told["seconds"] = {
            **seconds,
            "measuring": measuring,
            "whole": round(trained + measuring, 1),
        }
        (place.out / cell.path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(
            place.out / cell.path, (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()
        )
    except Exception as error:
        return Outcome(cell, failed=advice(error))
    return Outcome(cell, told=told)


# ---- where checkpoints lie
# -----------------------------------------------------------------------------------------


def sharing(cell: Cell) -> list[Cell]:
    """The cells of this table, data set and trial with the same first stage, this one included."""
    cells = [
        replace(cell, model=name) for name in dict.fromkeys(row.cell for row in cell.table.rows)
    ]
    return [other for other in cells if other.settings == cell.settings]


def folder_of(cell: Cell, place: Place, trials: Sequence[int]) -> Path:
    """Where the checkpoints of a first stage lie, of trials trained together: those of 0, 1, 2 and
    5 in "…-0..2+5".
    """
    runs: list[list[int]] = []
    for trial in sorted(trials):
        if runs and trial == runs[-1][-1] + 1:
            runs[-1].append(trial)
        else:
            runs.append([trial])
    spelled = (f"{run[0]}..{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return place.runs / cell.path.parent / f"{_first_stage(cell)}-{'+'.join(spelled)}"


def folders_of(cell: Cell, place: Place) -> dict[tuple[int, ...], Path]:
    """The folders of a cell's first stage in which there are checkpoints, by their trials."""
    found, prefix = {}, f"{_first_stage(cell)}-"
    for state in (place.runs / cell.path.parent).glob(f"{prefix}*/*.state.safetensors"):
        spelled = state.parent.name.removeprefix(prefix)
        if re.fullmatch(r"\d+(\.\.\d+)?(\+\d+(\.\.\d+)?)*", spelled):
            ends = [
                (int(run.split("..")[0]), int(run.split("..")[-1])) for run in spelled.split("+")
            ]
            found[tuple(trial for low, high in ends for trial in range(low, high + 1))] = (
                state.parent
            )
    return found


def _first_stage(cell: Cell) -> str:
    """A name for what is trained first, the same for cells that share it."""
    return (
        cell.settings.model
        if cell.settings.gamma == "learned"
        else f"{cell.settings.model}-{cell.settings.gamma:g}"
    )


# ---- what a cell measures, and its file
# ----------------------------------------------------------------------------


def _name(cell: Cell, place: Place) -> dict[str, Any]:
    """What tells a cell from others; its file is only taken for it where all of this agrees."""
    profile = cell.profile
    return {
        "table": cell.table.store,
        "data_set": cell.data_set,
        "model": cell.model,
        "trial": cell.trial,
        "profile": profile.name,
        "protocol": cell.protocol,
        "space": place.features or profile.features,
        "n_train": profile.n_train,
        "n_samples": profile.n_samples,
    }


def _measure(
    cell: Cell,
    place: Place,
    world: World,
    model: models.Autoencoder,
    second: densities.SecondStage | None,
) -> dict[str, Any]:
    images, seed = world.images, cell.settings.seed
    n = min(cell.profile.n_samples, len(images.train))  # as many as in the floor
    rebuilt = model.reconstruct(images.test)
    told = measure_stages(images, model, second, seed, n, rebuilt)
    density = (
        densities.StandardNormal().fit_codes(model.codes(images.train[:2]))
        if second is None
        else second
    )
    z = density.sample(n, seed)
    fake = world.space.over(protocols.samples(model.images(z), cell.protocol), place.device)
    again = world.space.over(protocols.samples(rebuilt, cell.protocol), place.device)
    frechet = {
        "frechet": metrics.frechet_distance(fake, world.real),
        "floor": world.floor,
        "reconstructions": metrics.frechet_distance(again, world.real),
    }
    return {**frechet, "n_fake": n, **told, **world.space.scores(fake, world.real, seed)}


def read_cell(cell: Cell, place: Place) -> dict[str, Any] | None:
    """What a cell's file says; None where it has not run.

    Raises:
        ValueError: a damaged file, or one of other settings.
    """
    path = place.out / cell.path
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); delete it, the next call measures the cell again"
        ) from error
    here = json.loads(json.dumps(_name(cell, place) | asdict(cell.settings)))
    there = (
        {**told["cell"], **told["settings"]}
        if isinstance(told, dict) and told.get("format") == FORMAT
        else {}
    )
    other = [
        f"{k}: {there.get(k)!r} there, {v!r} here"
        for k, v in here.items()
        if k not in there or there[k] != v
    ]
    if other:
        said = "; ".join(other) if there else "another format"
        raise ValueError(
            f"{path} was measured in another way ({said}); delete it or give another --out"
        )
    return told


def _clear(folder: Path) -> None:
    for state in folder.glob("*.state.safetensors"):
        state.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # raised where one is not empty, as others' runs go on in it
        for empty in (folder, *folder.parents[:3]):
            empty.rmdir()


def advice(error: Exception) -> str:
    """An error as a sentence that says what to do."""
    said = str(
        error.strerror
        if isinstance(error, OSError) and error.strerror and not error.filename
        else error
    )
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        first = (said.splitlines() or [type(error).__name__])[0]
        return (
            f"out of memory ({first}); give fewer --jobs, --device cpu, or free what else uses "
            "the device"
        )
    if isinstance(
        error, (ValueError, OSError, ImportError, training.TrainingDiverged, training.OutOfMemory)
    ):
        return said
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    where = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}"
    return f"{type(error).__name__} at {where}: {said}; this is a fault of vaelab, please report it"
