"""The cells of a table as data: at what size it is run, which cells there are, how each is trained,
where its file lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vaelab import networks
from vaelab._inputs import check_choice, check_positive_int
from vaelab.experiments.settings import LAPTOP, SMALL, SOONER, Settings, mapping
from vaelab.experiments.tables import Row, Table

_MOST = 1000  # Trials of a table: each has cells of its own, which are listed before they are run.

# Appendix D of the paper; CIFAR-10's epochs and halvings are those of its extended version. γ
# follows the text, see `settings`.
PAPER = {
    **SMALL,
    "mnist": Settings(),
    "fashion": Settings(),
    "cifar10": Settings(epochs=1000, second_epochs=2000, halve_every=300),
    "celeba": Settings(epochs=120, second_epochs=300, halve_every=48, second_halve_every=120),
}


@dataclass(frozen=True)
class Profile:
    """At what size a table is run.

    Args:
        name: as on the command line, and in the paths of results.
        trials: how often, unless the caller says; trial t has seed t.
        features: "classifier" or "inception" for the Fréchet distances.
        columns: data sets unless the caller says; None for the table's own.
        n_train: training images, drawn with a fixed seed; None for all.
        n_samples: generated images.
        share: of the paper's epochs, for every data set but those that come with the package.
        images: what else it changes in the settings of the others.
        base: settings in the place of the paper's and the table's, for the others.
        on: what it changes in the settings of one data set.
        searches: whether rows that say what to search among have it searched.
    """

    name: str
    trials: int
    features: str
    columns: tuple[str, ...] | None = None
    n_train: int | None = None
    n_samples: int = 10_000
    share: float = 1.0
    images: Mapping[str, Any] = mapping()
    base: Settings | None = None
    on: Mapping[str, Mapping[str, Any]] = mapping()
    searches: bool = False


QUICK = Profile(
    "quick",
    3,
    "classifier",
    ("digits", "mnist", "fashion"),
    n_train=10_000,
    images={
        "epochs": 4,
        "second_epochs": 40,
        "lr": 1e-3,
        "second_lr": 1e-3,
        "halve_every": 0,
        "second_halve_every": 0,
        "bn_momentum": 0.05,
        "second_hidden": 512,
        **SOONER,
        "gamma_lr": 50.0,
    },
)
# A small network on few images: the figures that notes on Ghosh et al. (2020) compare, a minute a
# model on one core.
SKETCH = Profile(
    "sketch",
    3,
    "classifier",
    ("digits", "mnist", "fashion"),
    n_train=5_000,
    n_samples=5_000,
    images={
        "network": networks.small_conv,
        "network_arguments": {},
        "latent_dim": 16,
        "epochs": 12,
        "second_epochs": 60,
        "batch_size": 100,
        "lr": 3e-3,
        "second_lr": 4e-3,
        "halve_every": 0,
        "second_halve_every": 0,
        "second_hidden": 128,
        **SOONER,
    },
)
FULL = Profile("full", 3, "classifier", share=0.25, images=SOONER)
AT_HOME = Profile(
    "laptop",
    3,
    "classifier",
    ("digits", "fashion-small", "mnist", "fashion", "cifar10"),
    base=LAPTOP,
    on={"cifar10": {"latent_dim": 64}},
    searches=True,
)
PAPERS = Profile("paper", 10, "inception")
PROFILES = {profile.name: profile for profile in (SKETCH, QUICK, AT_HOME, FULL, PAPERS)}


def settings_for(table: Table, row: Row, data_set: str, profile: Profile, trial: int) -> Settings:
    """How the model of a row is trained on a data set; trial t has seed t."""
    check_choice("data set", data_set, PAPER)
    changed = {**profile.on.get(data_set, {}), **row.settings_on(data_set), "seed": trial}
    if profile.searches:
        changed["search"] = row.search
    own = table.on.get(data_set, {})
    if data_set in SMALL:
        return replace(SMALL[data_set], **{**own, **changed})
    paper = profile.base or replace(PAPER[data_set], **{**table.settings, **own})
    names = ("epochs", "second_epochs", "halve_every", "second_halve_every")
    lengths = {name: getattr(paper, name) for name in names}
    shorter = {k: v and max(1, round(profile.share * v)) for k, v in lengths.items()}
    return replace(paper, **{**shorter, **profile.images, **changed})


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
    if trials > _MOST:
        raise ValueError(f"trials: expected at most {_MOST}, got {trials}")
    if not data_sets:
        known = (*table.columns, *SMALL)
        data_sets = tuple(d for d in profile.columns or table.columns if d in known)
    keys = models or tuple(row.key for row in table.rows)
    names = dict.fromkeys(table.row(key).cell for key in keys)
    for data_set in data_sets:
        check_choice("data set", data_set, PAPER)
    return [
        Cell(table, data_set, name, trial, profile, protocol)
        for trial in range(trials)
        for data_set in data_sets
        for name in names
    ]
