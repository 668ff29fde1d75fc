"""The cells of a table as data: which there are, how each is trained, where its file lies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vaelab._inputs import check_choice, check_positive_int
from vaelab.experiments.profiles import Profile, settings_for
from vaelab.experiments.settings import Settings
from vaelab.experiments.tables import DATA_SETS, Row, Table


@dataclass(frozen=True)
class Cell:
    """What is trained and measured at once, stored as one file.

    Args:
        table: whose rows and settings.
        data_set: a column.
        model: the key of a row.
        trial: t ≥ 0, also its seed.
        profile: at what size.
        protocol: "clean" or "dai-wipf"; see `protocols`.
    """

    table: Table
    data_set: str
    model: str
    trial: int
    profile: Profile
    protocol: str = "clean"

    @property
    def row(self) -> Row:
        """The row whose model it trains."""
        return self.table.row(self.model)

    @property
    def settings(self) -> Settings:
        """How it is trained."""
        return settings_for(self.table, self.row, self.data_set, self.profile, self.trial)

    @property
    def path(self) -> Path:
        """Its file, below the folder of results."""
        size = f"{self.profile.name}-{self.protocol}"
        return Path(self.table.store) / size / self.data_set / f"{self.model}-{self.trial}.json"

    def sharing(self) -> list[Cell]:
        """The cells of this table, data set and trial with the same first stage, and this one."""
        keys = dict.fromkeys(row.cell for row in self.table.rows)
        cells = [replace(self, model=key) for key in keys]
        return [cell for cell in cells if cell.settings == self.settings]

    def __str__(self) -> str:
        return f"{self.data_set}, {self.model}, trial {self.trial}"


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Args:
        cell: which.
        failed: what went wrong and what to do; empty if nothing did.
        record: what its file says, as from `read_cell`; None where there is none.
    """

    cell: Cell
    failed: str = ""
    record: dict | None = None


def cells_of(
    table: Table,
    profile: Profile,
    data_sets: tuple[str, ...] = (),
    models: tuple[str, ...] = (),
    trials: int | None = None,
    protocol: str = "clean",
) -> list[Cell]:
    """The cells of a table: trial by trial, so that a run that is stopped has whole rows; all
    unless the caller names some.
    """
    trials = profile.trials if trials is None else check_positive_int("trials", trials)
    if not data_sets:
        known = (*table.columns, "digits")
        data_sets = tuple(d for d in profile.columns or table.columns if d in known)
    keys = models or tuple(row.key for row in table.rows)
    names = dict.fromkeys(table.row(key).cell for key in keys)
    for data_set in data_sets:
        check_choice("data set", data_set, DATA_SETS)
    return [
        Cell(table, data_set, name, trial, profile, protocol)
        for trial in range(trials)
        for data_set in data_sets
        for name in names
    ]
