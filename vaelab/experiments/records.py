"""The file of a cell: what it holds, how it is written, and how it is read with suspicion; and on
what machine and by what code its figures were measured.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch

from vaelab import checkpoints
from vaelab._files import check_file, write_atomic
from vaelab._inputs import pick_device
from vaelab.experiments.grid import Cell, Outcome
from vaelab.experiments.measuring import NORMAL, SECONDS
from vaelab.experiments.places import Place
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
        "code": CODE,
        "machine": machine(place.session.device),
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
    for folder in (place.out, place.shipped if shipped else None):
        if folder is not None and (folder / cell.path).exists():
            record = _read(folder / cell.path, cell)
            check_same(folder / cell.path, record, cell, place)
            came = place.shipped and folder.resolve() == place.shipped.resolve()
            return record | {"shipped": bool(came)}
    return None


def read_table(cells: Iterable[Cell], place: Place, shipped: bool = True) -> list[Outcome]:
    """What is stored of cells, as from `read_cell`: an outcome each, failed where its file is
    damaged.
    """
    outcomes = []
    for cell in cells:
        try:
            outcomes.append(Outcome(cell, record=read_cell(cell, place, shipped)))
        except ValueError as error:
            outcomes.append(Outcome(cell, failed=str(error)))
    return outcomes


def _read(path: Path, cell: Cell) -> dict[str, Any]:
    """A file's record in today's form, with all its fields and with figures that can be."""
    check_file(path)
    try:
        record = _parse(path.read_text(encoding="utf-8"))
        if cell.row.value(record) is None:
            raise KeyError(cell.row.path[-1])
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
        measured = record["measured"]
        distances = {SECONDS if second else NORMAL: measured.pop("frechet")}
        distances |= {name: measured.pop(name) for name in ("reconstructions", "floor")}
        measured |= {"frechet": distances, "n_samples": measured.pop("n_fake")}
    settings = asdict(settings_from(record["settings"])) | {"second_stage": second}
    record["settings"] = json.loads(json.dumps(settings))
    for part, names in _FIELDS.items():
        for name in names:
            if name not in record[part]:
                raise KeyError(f"{part}.{name}")
    _check_figures(record["measured"])
    return record


def _check_figures(measured: dict[str, Any]) -> None:
    """Raise unless every distance is a finite number, and no Fréchet distance is below 0."""
    for figure, least in (("frechet", 0.0), ("mmd2", -math.inf)):
        for name, value in measured[figure].items():
            number = type(value) in (int, float)
            if not (number and math.isfinite(value) and value >= least):
                bound = " ≥ 0" if least == 0 else ""
                raise ValueError(
                    f"{figure} of {name}: expected a finite number{bound}, got {value!r}"
                )


def check_same(path: Path, record: dict[str, Any], cell: Cell, place: Place) -> None:
    """Raise unless a record is of this cell, trained as it would be trained now."""
    wanted = json.loads(json.dumps(identity(cell, place) | asdict(cell.settings)))
    stored = record["cell"] | record["settings"]
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


# ---- on what machine and by what code


def _fingerprint() -> str:
    """SHA-256 of the package's modules, their names and their contents."""
    sha = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        sha.update(f"{path.relative_to(package).as_posix()}\n".encode() + path.read_bytes())
    return sha.hexdigest()


# Taken as this module is imported: what a process has imported does not change with its files.
CODE = _fingerprint()


def machine(device: str | torch.device = "cpu") -> dict[str, Any]:
    """What a figure was measured on.

    Args:
        device: where it was computed; as in `training.fit`.
    """
    where = pick_device(device)
    ask = getattr(getattr(torch, where.type), "get_device_name", str)
    is_cpu = where.type == "cpu"
    name = (platform.processor() or platform.machine()) if is_cpu else ask(where)
    return {
        "host": platform.node(),
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": where.type,
        "device_name": name,
    }


@cache
def commit() -> str | None:
    """The commit of the checkout this package sits in, with a + where files differ from it; None
    without git.

    Asked once: what a process has imported does not change when the checkout does.
    """
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", "vaelab")
    return None if head is None or changed is None else head + ("+" if changed else "")


@cache
def commit_date(commit: str) -> str | None:
    """The day of a commit, such as "2026-11-20"; None where the checkout does not know it."""
    known = re.fullmatch(r"([0-9a-f]{40})\+?", commit)
    return _git("show", "-s", "--format=%cs", known[1]) if known else None


def _git(*arguments: str) -> str | None:
    """What git says in the checkout this package sits in; None without either."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / "pyproject.toml").is_file():
        return None
    command = ["git", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
