"""Where cells run, and where their checkpoints lie."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vaelab.experiments.grid import Cell
from vaelab.training import Session

_RESULTS = Path(__file__).parents[2] / "data" / "results"
SHIPPED = _RESULTS if _RESULTS.is_dir() else None  # What came with a checkout of the package.


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
        shipped: folder of the results that came with the package, which `read_cell` reads where
            `out` has none; None for none.
    """

    out: Path = Path("results")
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
    shipped: Path | None = SHIPPED

    @property
    def session(self) -> Session:
        """Under what circumstances its cells are trained; a checkpoint is still to be named."""
        return Session(
            device=self.device,
            precision=self.precision,
            compile=self.compile,
            progress=self.progress,
            checkpoint_every=self.checkpoint_every,
        )


def first_stage_name(cell: Cell, place: Place) -> str:
    """A name for what is trained first: readable, with a digest of all that decides it but the
    seed.

    Cells have the same name if and only if they share their first stage.
    """
    decisive = {
        "settings": asdict(replace(cell.settings, seed=0)),
        "n_train": cell.profile.n_train,
        "precision": place.precision,
        "compile": place.compile,
    }
    content = json.dumps(decisive, sort_keys=True).encode()
    return f"{cell.settings.model.replace('_', '-')}-{hashlib.sha256(content).hexdigest()[:8]}"


def folder_of(cell: Cell, place: Place, trials: Sequence[int]) -> Path:
    """Where the checkpoints of a first stage lie, of trials trained together: those of 0, 1, 2 and
    5 in "…-0..2+5".
    """
    spans: list[list[int]] = []
    for trial in sorted(trials):
        if spans and trial == spans[-1][-1] + 1:
            spans[-1].append(trial)
        else:
            spans.append([trial])
    spelled = (f"{span[0]}..{span[-1]}" if len(span) > 1 else str(span[0]) for span in spans)
    return place.runs / cell.path.parent / f"{first_stage_name(cell, place)}-{'+'.join(spelled)}"


def folders_of(cell: Cell, place: Place) -> dict[tuple[int, ...], Path]:
    """The folders of a cell's first stage in which there are checkpoints, by their trials."""
    folders = {}
    prefix = f"{first_stage_name(cell, place)}-"
    for state in (place.runs / cell.path.parent).glob(f"{prefix}*/*.state.safetensors"):
        spelled = state.parent.name.removeprefix(prefix)
        if re.fullmatch(r"\d+(\.\.\d+)?(\+\d+(\.\.\d+)?)*", spelled):
            folders[_trials(spelled)] = state.parent
    return folders


def _trials(spelled: str) -> tuple[int, ...]:
    ends = [span.split("..") for span in spelled.split("+")]
    return tuple(trial for span in ends for trial in range(int(span[0]), int(span[-1]) + 1))


def clear(cell: Cell, place: Place) -> None:
    """Delete the checkpoints of a cell's first stage that no cell still needs."""
    # Another worker may clear up at the same moment.
    with contextlib.suppress(OSError):
        for trials, folder in folders_of(cell, place).items():
            sharing = [other for t in trials for other in replace(cell, trial=t).sharing()]
            if all((place.out / other.path).exists() for other in sharing):
                _clear_folder(folder)


def _clear_folder(folder: Path) -> None:
    for state in folder.glob("*.state.safetensors"):
        state.unlink(missing_ok=True)
    # A folder in which the runs of others go on is not empty, and stays.
    with contextlib.suppress(OSError):
        for empty in (folder, *folder.parents[:3]):
            empty.rmdir()
