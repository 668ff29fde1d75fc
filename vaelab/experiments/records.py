"""The file of a cell: what it holds, how it is written, and how it is read with suspicion."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from vaelab import checkpoints
from vaelab._files import write_atomic
from vaelab.experiments.grid import Cell, Outcome
from vaelab.experiments.measuring import NORMAL, SECONDS
from vaelab.experiments.places import Place
from vaelab.experiments.provenance import commit, machine
from vaelab.experiments.settings import settings_from

FORMAT = "vaelab cell 2"
_FORMAT_1 = "vaelab cell 1"  # It has no checksum, no date, and one Fréchet distance of samples.
_FIELDS = {
    "cell": ("data_set", "profile", "protocol", "features"),
    "data": ("name", "source", "n_train", "fingerprint"),
    "measured": ("frechet", "mmd2", "n_samples"),
    "machine": ("device_name", "cores"),
}


def identity(cell: Cell, place: Place) -> dict[str, Any]:
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


def write_cell(cell: Cell, place: Place, content: Mapping[str, Any]) -> dict[str, Any]:
    """Write a cell's file.

    Args:
        cell, place: which, and where.
        content: "measured", "gamma_curves", "data", "arithmetic" and "seconds".

    Returns:
        The record, as `read_cell` gives it back.

    Raises:
        ValueError: a figure that no measurement can have. OSError: the file cannot be written.
    """
    path = place.out / cell.path
    record = {
        "format": FORMAT,
        "cell": identity(cell, place) | {"features": content["measured"]["features"]},
        "settings": asdict(cell.settings) | {"second_stage": cell.row.second},
        **content,
        "versions": checkpoints.versions(),
        "commit": commit(),
        "machine": machine(place.device),
        "date": datetime.now(UTC).date().isoformat(),
    }
    record = json.loads(json.dumps(record))
    _check_figures(record["measured"])
    summed = record | {"checksum": _checksum(record)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(summed, indent=1, ensure_ascii=False) + "\n").encode())
    return record | {"shipped": False}


def read_cell(cell: Cell, place: Place, shipped: bool = True) -> dict[str, Any] | None:
    """What a cell's file says; None where it has not run.

    Args:
        cell, place: which, and where.
        shipped: whether a result that came with the package is taken where `place.out` has none.

    Returns:
        The record, with "shipped" where the file came with the package.

    Raises:
        ValueError: a damaged file, or one of other settings.
    """
    folders = [place.out]
    if shipped and place.shipped is not None:
        folders.append(place.shipped)
    for folder in folders:
        path = folder / cell.path
        try:
            record = _read(path, cell)
        except FileNotFoundError:
            continue
        _check_same(path, record, cell, place)
        came = place.shipped is not None and folder.resolve() == place.shipped.resolve()
        return record | {"shipped": came}
    return None


def read_table(cells: list[Cell], place: Place) -> list[Outcome]:
    """What is stored of a table, for print: an outcome a cell, failed where its file is damaged."""
    return [outcome_of(cell, place) for cell in cells]


def outcome_of(cell: Cell, place: Place, shipped: bool = True) -> Outcome:
    """What is stored of a cell, as from `read_cell`; failed where its file is damaged."""
    try:
        return Outcome(cell, record=read_cell(cell, place, shipped))
    except ValueError as error:
        return Outcome(cell, failed=str(error))


def _read(path: Path, cell: Cell) -> dict[str, Any]:
    """A file's record in today's form, with all its fields and with figures that can be."""
    try:
        record = _parse(path.read_text(encoding="utf-8"))
        for row in cell.table.rows:
            if row.cell == cell.model:
                reduce(getitem, row.path, record["measured"])
        return record
    except KeyError as error:
        reason = f"it lacks {error}"
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error)
    raise ValueError(
        f"{path} is damaged ({reason}); delete it, the next call measures the cell again"
    )


def _parse(text: str) -> dict[str, Any]:
    record = json.loads(text)
    kind = record.get("format") if isinstance(record, dict) else None
    if kind not in (FORMAT, _FORMAT_1):
        raise ValueError("another format")
    if kind == FORMAT and record.pop("checksum") != _checksum(record):
        raise ValueError("it does not match its checksum, as if it had been edited")
    second = record["settings"]["second_stage"]
    if kind == _FORMAT_1:
        record["measured"] = _measured_from_format_1(record["measured"], second)
    settings = asdict(settings_from(record["settings"])) | {"second_stage": second}
    record["settings"] = json.loads(json.dumps(settings))
    for part, names in _FIELDS.items():
        for name in names:
            if name not in record[part]:
                raise KeyError(f"{part}.{name}")
    _check_figures(record["measured"])
    return record


def _measured_from_format_1(measured: dict[str, Any], second: bool) -> dict[str, Any]:
    density = SECONDS if second else NORMAL
    distances = {density: measured["frechet"]}
    distances |= {name: measured.pop(name) for name in ("reconstructions", "floor")}
    return measured | {"frechet": distances, "n_samples": measured.pop("n_fake")}


def _check_figures(measured: dict[str, Any]) -> None:
    """Raise unless every distance is a finite number, and no Fréchet distance is below 0."""
    for figure, least in (("frechet", 0.0), ("mmd2", -math.inf)):
        for name, value in measured[figure].items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and math.isfinite(value) and value >= least):
                bound = " ≥ 0" if least == 0 else ""
                raise ValueError(
                    f"{figure} of {name}: expected a finite number{bound}, got {value!r}"
                )


def _check_same(path: Path, record: dict[str, Any], cell: Cell, place: Place) -> None:
    """Raise unless a record is of this cell, trained as it would be trained now."""
    wanted = json.loads(json.dumps(identity(cell, place) | asdict(cell.settings)))
    stored = {**record["cell"], **record["settings"]}
    other = [
        f"{name}: {stored.get(name)!r} there, {value!r} here"
        for name, value in wanted.items()
        if name not in stored or stored[name] != value
    ]
    if other:
        raise ValueError(
            f"{path} was measured in another way ({'; '.join(other)}); delete it or give another "
            "--out"
        )


def _checksum(record: Mapping[str, Any]) -> str:
    """SHA-256 of all that a record holds but its checksum."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
