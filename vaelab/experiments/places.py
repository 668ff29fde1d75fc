"""Where cells run, and where their checkpoints lie."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vaelab._files import came_with
from vaelab.experiments.grid import Cell
from vaelab.experiments.settings import Settings
from vaelab.training import Session

SHIPPED = came_with("results")
_QUIET = Session(progress=False)


@dataclass(frozen=True)
class Place:
    """Where cells run and where their files lie.

    Args:
        out: folder of results, one JSON a cell.
        runs: folder of checkpoints; those of a cell are deleted once nothing needs them.
        data: the data root, as for `load_images`.
        session: how both stages are trained: device, arithmetic, bars and how often a checkpoint is
            written. Each file says on what device and in which arithmetic.
        features: "classifier" or "inception"; the profile's unless given.
        weights: the file of Inception weights, as for `features.inception`.
        together: how many trials of a cell are trained at once in one pass; each file says how many
            were.
        shipped: folder of the results that came with the package, which `read_cell` reads where
            `out` has none; None for none.
    """

    out: Path = Path("results")
    runs: Path = Path("runs")
    data: Path | None = None
    session: Session = _QUIET
    features: str | None = None
    weights: Path | None = None
    together: int = 1
    shipped: Path | None = SHIPPED


def first_stage_name(cell: Cell, place: Place) -> str:
    """A name for what is trained first: readable, with a digest of all that decides it but the
    seed.

    Cells have the same name if and only if they share their first stage.
    """
    return stage_name(cell.settings, cell.profile.n_train, place.session)


def stage_name(settings: Settings, n_train: int | None, session: Session) -> str:
    """`first_stage_name`, of settings on so many training images."""
    decisive = {
        "settings": asdict(replace(settings, seed=0)),
        "n_train": n_train,
        "precision": session.precision,
        "compile": session.compile,
    }
    content = json.dumps(decisive, sort_keys=True).encode()
    model = str(settings.model).replace("_", "-")
    return f"{model}-{hashlib.sha256(content).hexdigest()[:8]}"


def folder_of(cell: Cell, place: Place, trials: Sequence[int]) -> Path:
    """Where the checkpoints of a first stage lie, of trials trained together: those of 0, 1, 2 and
    5 in "…-0..2+5".
    """
    starts = [trial for trial in sorted(trials) if trial - 1 not in trials]
    ends = [trial for trial in sorted(trials) if trial + 1 not in trials]
    spans = [f"{a}" if a == b else f"{a}..{b}" for a, b in zip(starts, ends, strict=True)]
    return place.runs / cell.path.parent / f"{first_stage_name(cell, place)}-{'+'.join(spans)}"


def folders_of(cell: Cell, place: Place) -> dict[tuple[int, ...], Path]:
    """The folders of a cell's first stage in which there are checkpoints, by their trials."""
    folders = {}
    prefix = f"{first_stage_name(cell, place)}-"
    for state in (place.runs / cell.path.parent).glob(f"{prefix}*/*.state.safetensors"):
        with contextlib.suppress(ValueError):  # Another folder, which is named in another way.
            trials: list[int] = []
            for span in state.parent.name.removeprefix(prefix).split("+"):
                first, _, last = span.partition("..")
                trials += range(int(first), int(last or first) + 1)
            folders[tuple(trials)] = state.parent
    return folders


def clear(cell: Cell, place: Place) -> None:
    """Delete the checkpoints of a cell's first stage that no cell still needs."""
    # Another worker may clear up at the same moment.
    with contextlib.suppress(OSError):
        for trials, folder in folders_of(cell, place).items():
            sharing = [other for t in trials for other in replace(cell, trial=t).sharing()]
            if not all((place.out / other.path).exists() for other in sharing):
                continue
            for state in folder.glob("*.state.safetensors"):
                state.unlink(missing_ok=True)
            # A folder in which the runs of others go on is not empty, and stays.
            with contextlib.suppress(OSError):
                for empty in (folder, *folder.parents[:3]):
                    empty.rmdir()
